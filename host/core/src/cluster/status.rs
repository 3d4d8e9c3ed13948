//! What a status says: how things stand, when the next run is due, what came of the last one, and what of that is news.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::decide::{EventNote, Outlook, Step, began, is_over, name_of, time_of};
use super::fold::{ERRORS, Folded, NodeState, fold, summary};
use super::held::{ASK_AGAIN, PATIENCE};
use super::objects::{Engine, object_name};
use super::reasons::{ConditionReason, EventReason};
use crate::manifest::NodeCleanup;
use crate::manifest::status::{Condition, LastRun, NodeCleanupStatus, NodeError, ResolvedPlugin};
use crate::text::{beginning, both_ends, counted, shown, size};

/// The largest difference between the clocks of two nodes.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(1);
/// The most labels of a node selector that a message names.
const LABELS_TOLD: usize = 5;
/// The most codes of refusals that an event names.
const CODES_TOLD: usize = 3;
/// As much of the API server's words as a message keeps, in characters.
const LONGEST_REFUSAL: usize = 600;
/// The longest message of a condition, in characters.
const LONGEST_MESSAGE: usize = 4_096;

impl<'a> Step<'a> {
    /// When the next run is due, and whether one is.
    pub(super) fn next(&mut self, manifest: &NodeCleanup, ready: &Outlook) -> (Option<Timestamp>, Outlook) {
        let now = self.observed.now;
        let Ok(Some(timetable)) = manifest.timetable() else {
            return (
                None,
                Outlook::good(
                    ConditionReason::Once,
                    "there is no schedule: it runs once, and again when the spec changes",
                ),
            );
        };
        if manifest.spec.paused {
            return (None, Outlook::bad(ConditionReason::Paused, "spec.paused is set, so nothing is started"));
        }
        if !ready.is_true {
            return (None, Outlook::bad(ready.reason, "nothing is started before Ready is true"));
        }
        // `@every` counts from the run before.
        let last = self.before.last_run.as_ref().and_then(|run| run.started_at);
        let next = match (timetable.schedule.period(), last) {
            (Some(_), Some(last)) => timetable.schedule.next(last).filter(|next| *next > now),
            _ => None,
        };
        let Some(next) = next.or_else(|| timetable.schedule.next(now)) else {
            return (None, Outlook::bad(ConditionReason::Never, "the schedule never comes"));
        };
        // What was told before stays as long as it is to come, so that asking twice comes to the same.
        let told = self.before.next_schedule_time.filter(|told| *told > now && self.is_same_generation());
        let next = told.unwrap_or(next);
        self.wait(now.duration_until(next).max(SignedDuration::ZERO) + SignedDuration::from_secs(1));
        (
            Some(next),
            Outlook::good(
                ConditionReason::Scheduled,
                format!("runs at {}", manifest.spec.schedule.as_deref().unwrap_or_default()),
            ),
        )
    }

    fn is_same_generation(&self) -> bool {
        self.before.observed_generation == self.generation()
    }

    pub(super) fn generation(&self) -> Option<i64> {
        self.observed.object["metadata"]["generation"].as_i64()
    }

    /// The last run, its plugins, and whether they are the same everywhere. Never an earlier one than is known already,
    /// and never less of it: runs go with their AdvancedCronJob, and pods with their nodes.
    pub(super) fn last_run(&mut self, engine: Option<Engine>) -> (Option<LastRun>, Vec<ResolvedPlugin>, Outlook) {
        let found = match engine {
            Some(Engine::DaemonSet) => self.observed.daemon_set.and_then(|set| self.run_of_daemons(set)),
            _ => self.latest_run().map(|job| self.run_of_job(job)),
        };
        let is_of_daemons = engine == Some(Engine::DaemonSet);
        let found = found.filter(|found| !self.knows_better(&found.run, is_of_daemons));
        let found = found.map(|folded| self.of_the_spec(folded));
        self.is_stuck = found.as_ref().is_some_and(|folded| folded.run.nodes.waiting > 0 && folded.moving == 0);
        let Some(Folded { run, plugins, unlike, .. }) = found else {
            let kept = self.before.conditions.iter().find(|condition| condition.kind == "PluginsResolved");
            let resolved = kept.map_or_else(
                || Outlook::bad(ConditionReason::NoRunYet, "no node has loaded the plugins yet"),
                |kept| Outlook {
                    is_true: kept.status == "True",
                    reason: ConditionReason::parse(&kept.reason).unwrap_or(ConditionReason::NoRunYet),
                    message: kept.message.clone(),
                },
            );
            return (self.kept_run(is_of_daemons), self.before.plugins.clone(), resolved);
        };
        let resolved = if !unlike.is_empty() {
            let message = format!("not all nodes have the same bytes, or some have none, of: {}", unlike.join(", "));
            Outlook::bad(ConditionReason::Different, message)
        } else if plugins.is_empty() {
            Outlook::bad(ConditionReason::NoRunYet, "no node has loaded the plugins yet")
        } else {
            Outlook::good(ConditionReason::Resolved, "all nodes have loaded the same plugins")
        };
        (Some(run), plugins, resolved)
    }

    /// Leaves out plugins that the spec does not name: what a pod says is no more than what it says.
    fn of_the_spec(&self, mut folded: Folded) -> Folded {
        let plugins = self.observed.object["spec"]["plugins"].as_array().into_iter().flatten();
        let names: BTreeSet<&str> = plugins.filter_map(|plugin| plugin["name"].as_str()).collect();
        folded.plugins.retain(|plugin| names.contains(plugin.name.as_str()));
        folded.unlike.retain(|name| names.contains(name.as_str()));
        folded
    }

    /// Returns whether the status has a later run than this one, or more of the same.
    fn knows_better(&self, run: &LastRun, is_of_daemons: bool) -> bool {
        let Some(before) = &self.before.last_run else { return false };
        let reports = |run: &LastRun| (run.nodes.succeeded + run.nodes.failed).saturating_sub(run.nodes.unreported);
        if before.name != run.name {
            // Of two that began together, one that was deleted before its end gives way.
            let is_known =
                has_ended(before) || self.observed.broadcast_jobs.iter().any(|job| name_of(job) == before.name);
            let is_later = before.started_at > run.started_at;
            return is_later || before.started_at == run.started_at && before.name > run.name && is_known;
        }
        // The name of a DaemonSet is that of all of its runs.
        let is_later = is_of_daemons && run.finished_at > before.finished_at;
        // When it is over, why there are no reports is known of pods and events, which vanish.
        let reasons =
            |run: &LastRun| if has_ended(run) { run.errors.iter().map(|error| error.count).max() } else { None };
        let is_less = reports(before) == reports(run) && has_ended(run) && reasons(before) > reasons(run);
        !is_later && (reports(before) > reports(run) || is_less)
    }

    /// Returns the run of the status, updated by its BroadcastJob.
    fn kept_run(&self, is_of_daemons: bool) -> Option<LastRun> {
        let mut run = self.before.last_run.clone()?;
        let is_of_former_daemons = !is_of_daemons && run.name == object_name(name_of(self.observed.object));
        if is_of_former_daemons && !has_ended(&run) && run.nodes.succeeded + run.nodes.failed == 0 {
            // Daemons that are gone and have not run will not.
            return None;
        }
        if has_ended(&run) || is_of_daemons || run.name == object_name(name_of(self.observed.object)) {
            return Some(run);
        }
        let Some(job) = self.observed.broadcast_jobs.iter().copied().find(|job| name_of(job) == run.name) else {
            // Without OpenKruise nothing is seen of BroadcastJobs.
            if self.observed.has_kruise {
                self.was_lost(&mut run);
            }
            return Some(run);
        };
        // How many of those with a report ended well for OpenKruise is not known any more; at most all of them.
        let took_place = run.nodes.succeeded + run.nodes.failed;
        settle(job, took_place, &mut run);
        Some(run)
    }

    /// A run whose BroadcastJob was deleted before its end was seen.
    fn was_lost(&self, run: &mut LastRun) {
        "Failed".clone_into(&mut run.phase);
        run.finished_at = Some(whole_second(self.observed.now));
        run.nodes.skipped += std::mem::take(&mut run.nodes.active);
        run.nodes.waiting = 0;
        run.errors.push(NodeError { message: lost(&run.name), count: run.nodes.skipped, nodes: Vec::new() });
    }

    fn latest_run(&self) -> Option<&'a Value> {
        let jobs = self.observed.broadcast_jobs.iter().copied();
        jobs.max_by_key(|job| (began(job), name_of(job).to_owned()))
    }

    fn run_of_job(&mut self, job: &Value) -> Folded {
        let now = self.observed.now;
        let states = self.observed.runs.get(name_of(job)).into_iter().flatten().copied();
        let mut folded = fold(count(&job["status"]["desired"]), states, now);
        let run = &mut folded.run;
        name_of(job).clone_into(&mut run.name);
        run.started_at = began(job);
        settle(job, folded.took_place, run);
        let unseen = run.nodes.desired.saturating_sub(folded.seen).saturating_sub(run.nodes.unreported);
        let age = began(job).map_or(SignedDuration::MAX, |began| began.duration_until(now));
        if is_over(job) {
            let complaint = self.complaints(job).or_else(|| ending(job));
            if let Some(message) = complaint.filter(|_| unseen > 0) {
                tell(run, message, unseen);
            }
        } else if folded.running == 0 && run.phase == "Running" {
            self.is_not_made(job, run, unseen, age);
        }
        if run.nodes.desired == 0 && (is_over(job) || age >= PATIENCE) {
            let message = if is_taken_up(job) { self.no_node() } else { NOT_TAKEN_UP.to_owned() };
            tell(run, message, 0);
        }
        self.observe_again(folded.again);
        folded
    }

    /// Says of a run that has nothing going on why there are no pods of it on some nodes.
    fn is_not_made(&mut self, object: &Value, run: &mut LastRun, unseen: u32, age: SignedDuration) {
        if unseen == 0 && run.nodes.desired > 0 {
            return;
        }
        if age < PATIENCE {
            return self.wait(PATIENCE - age);
        }
        self.wait(ASK_AGAIN);
        if let Some(message) = self.complaints(object) {
            run.nodes.waiting += unseen;
            tell(run, message, unseen);
        }
    }

    fn observe_again(&mut self, again: Option<SignedDuration>) {
        if let Some(again) = again {
            self.wait(again);
        }
    }

    /// The words of events about an object.
    fn complaints(&self, object: &Value) -> Option<String> {
        let complaints = self.observed.complaints.get(name_of(object))?;
        (!complaints.is_empty()).then(|| complaints.join("; "))
    }

    /// Says that there is no node for a run.
    fn no_node(&self) -> String {
        let selector = self.observed.object["spec"]["rollout"]["nodeSelector"].as_object();
        let labels = selector.into_iter().flatten().take(LABELS_TOLD);
        let labels: Vec<String> =
            labels.map(|(label, value)| shown(&format!("{label}={}", value.as_str().unwrap_or_default()))).collect();
        if labels.is_empty() {
            return "no node is Linux, can be scheduled, and has no taint but those that spec.rollout.tolerations \
                    tolerates; see kubectl describe nodes"
                .to_owned();
        }
        format!(
            "no node matches spec.rollout.nodeSelector {} and has no taint but those that spec.rollout.tolerations \
             tolerates; see kubectl get nodes --show-labels",
            labels.join(", ")
        )
    }

    /// The last runs of the daemons. They keep the same schedule, so these are those of one time, or nearly.
    fn run_of_daemons(&mut self, set: &Value) -> Option<Folded> {
        let (observed, now) = (self.observed, self.observed.now);
        let states = observed.runs.get(name_of(set))?;
        let mut folded = fold(count(&set["status"]["desiredNumberScheduled"]), states.iter().copied(), now);
        let run = &mut folded.run;
        // A node's clock may be ahead a little. What is later, or before there were computers, is no time.
        let latest = now.checked_add(CLOCKS_APART).unwrap_or(now);
        let is_one = move |time: &Timestamp| (Timestamp::UNIX_EPOCH..=latest).contains(time);
        let times = |of: fn(&NodeState) -> Option<Timestamp>| {
            states.iter().copied().filter_map(of).filter(move |time| is_one(time))
        };
        name_of(set).clone_into(&mut run.name);
        run.started_at = times(|state| state.times.map(|times| times.0)).min();
        run.finished_at = times(|state| state.times.map(|times| times.1)).max();
        let phase = match &run.nodes {
            _ if folded.running > 0 => "Running",
            nodes if nodes.active > 0 || nodes.succeeded + nodes.failed == 0 => "Waiting",
            nodes if nodes.succeeded < nodes.desired => "Failed",
            _ => "Complete",
        };
        phase.clone_into(&mut run.phase);
        let unseen = run.nodes.desired.saturating_sub(folded.seen);
        if set["status"]["observedGeneration"] == set["metadata"]["generation"] {
            let age = time_of(&set["metadata"]["creationTimestamp"])
                .map_or(SignedDuration::MAX, |created| created.duration_until(now));
            if set["status"]["desiredNumberScheduled"] == 0 && folded.seen == 0 {
                let message = self.no_node();
                tell(run, message, 0);
            } else {
                self.is_not_made(set, run, unseen, age);
            }
        }
        self.observe_again(folded.again);
        Some(folded)
    }

    /// Says that a run is held up as a whole, if it is: that it waits for a person, has no node, or that none of its pods
    /// has started. Of a run that is over this counts as long as the spec is the same.
    pub(super) fn unless_held(&self, ready: Outlook, run: Option<&LastRun>) -> Outlook {
        let Some(run) = run.filter(|_| ready.is_true) else { return ready };
        let Some(held) = self.held(run) else { return ready };
        let known = self.before.last_run.as_ref().is_some_and(|before| before.name == run.name && has_ended(before));
        let is_told = self.before.conditions.iter().any(|condition| {
            condition.kind == "Ready"
                && condition.reason == held.reason.as_str()
                && condition.observed_generation == self.generation()
        });
        if has_ended(run) && known && !is_told { ready } else { held }
    }

    fn held(&self, run: &LastRun) -> Option<Outlook> {
        let nodes = &run.nodes;
        let why = || run.errors.first().map(|error| error.message.as_str()).unwrap_or_default();
        if run.phase == "Paused" {
            return self.waits_for_a_person(run);
        }
        if nodes.desired == 0 && !run.errors.is_empty() && why() != lost(&run.name) {
            return Some(if why() == NOT_TAKEN_UP {
                Outlook::bad(ConditionReason::PodsNotStarted, format!("no pod of {} has started: {}", run.name, why()))
            } else {
                Outlook::bad(ConditionReason::NoNodeMatches, format!("{} has nowhere to run: {}", run.name, why()))
            });
        }
        if self.is_stuck {
            let nodes = counted(nodes.waiting as usize, "node", "nodes");
            let message = format!("no pod of {} has started, on {nodes}: {}", run.name, why());
            return Some(Outlook::bad(ConditionReason::PodsNotStarted, message));
        }
        let has_nothing = has_ended(run) && nodes.desired > 0 && nodes.succeeded + nodes.failed == 0;
        (has_nothing && !run.errors.is_empty())
            .then(|| Outlook::bad(ConditionReason::NoNodeDone, format!("{} was done on no node: {}", run.name, why())))
    }

    /// Says why a run is paused that spec.paused does not pause, and what to do.
    fn waits_for_a_person(&self, run: &LastRun) -> Option<Outlook> {
        let job = self.observed.broadcast_jobs.iter().copied().find(|job| name_of(job) == run.name)?;
        if self.observed.object["spec"]["paused"] == true {
            return None;
        }
        let name = &run.name;
        if job["spec"]["paused"] == true {
            let message = format!(
                "BroadcastJob {name} is paused by its own spec.paused, and waits for a person: set that to false, or delete \
                 the BroadcastJob to give its run up"
            );
            return Some(Outlook::bad(ConditionReason::RunPaused, message));
        }
        let failed = counted(count(&job["status"]["failed"]) as usize, "pod", "pods");
        let why = run.errors.first().map(|error| format!(" ({})", error.message)).unwrap_or_default();
        let message = format!(
            "BroadcastJob {name} is paused by failurePolicy Pause, because {failed} failed{why}, and waits for a person: \
             mend what is wrong and delete its failed pods, which are then made again, or delete the BroadcastJob to give \
             its run up"
        );
        Some(Outlook::bad(ConditionReason::RunPaused, message))
    }

    pub(super) fn status(
        &self,
        next: Option<Timestamp>,
        outlooks: &[(&str, Outlook)],
        last_run: Option<LastRun>,
        plugins: Vec<ResolvedPlugin>,
    ) -> NodeCleanupStatus {
        let generation = self.generation();
        let condition = |(kind, outlook): &(&str, Outlook)| {
            let status = if outlook.is_true { "True" } else { "False" };
            let before = self.before.conditions.iter().find(|before| before.kind == *kind && before.status == status);
            Condition {
                kind: (*kind).to_owned(),
                status: status.to_owned(),
                reason: outlook.reason.to_string(),
                message: beginning(&outlook.message, LONGEST_MESSAGE),
                last_transition_time: before
                    .map_or(whole_second(self.observed.now), |before| before.last_transition_time),
                observed_generation: generation,
            }
        };
        NodeCleanupStatus {
            observed_generation: generation,
            conditions: outlooks.iter().map(condition).collect(),
            next_schedule_time: next,
            last_run,
            plugins,
            once: self.before.once.clone(),
            once_generation: self.before.once_generation,
            run_now: self.before.run_now.clone(),
            operator: self.before.operator.clone(),
        }
    }

    /// Tells of runs that have ended, and of what is wrong, once.
    pub(super) fn tell_of_runs(&mut self, status: &NodeCleanupStatus) {
        for condition in &status.conditions {
            let before = self.before.conditions.iter().find(|before| before.kind == condition.kind);
            let is_new =
                before.is_none_or(|before| (&before.status, &before.reason) != (&condition.status, &condition.reason));
            let reason = ConditionReason::parse(&condition.reason).and_then(EventReason::of_condition);
            let Some(reason) = reason else { continue };
            if is_new && condition.status == "False" && condition.kind != "Scheduled" {
                let run = status.last_run.as_ref().filter(|_| reason.is_of_run()).map(|run| self.reference(run));
                self.events.push(EventNote { run, ..EventNote::warning(reason, condition.message.clone()) });
            }
        }
        let Some(run) = status.last_run.as_ref().filter(|run| has_ended(run)) else { return };
        let is_told = self.before.last_run.as_ref().is_some_and(|before| {
            has_ended(before) && before.name == run.name && before.finished_at == run.finished_at
        });
        if !is_told {
            let is_warning = run.phase == "Failed";
            let note = sentence(run);
            let reason = if is_warning { EventReason::RunFailed } else { EventReason::RunCompleted };
            self.events.push(EventNote { is_warning, reason, note, run: Some(self.reference(run)) });
        }
    }

    fn reference(&self, run: &LastRun) -> (&'static str, String) {
        let is_of_daemons = run.name == object_name(name_of(self.observed.object));
        (if is_of_daemons { "DaemonSet" } else { "BroadcastJob" }, run.name.clone())
    }
}

/// Says that the BroadcastJob of a run is gone.
fn lost(name: &str) -> String {
    format!("the BroadcastJob {name} was deleted before its end was seen")
}

/// The message about a BroadcastJob without a status.
const NOT_TAKEN_UP: &str =
    "OpenKruise has not taken up the BroadcastJob; see whether its manager (kruise-controller-manager) runs";

/// Returns whether OpenKruise has counted the nodes of a job, or has ended it.
fn is_taken_up(job: &Value) -> bool {
    is_over(job) || !job["status"]["desired"].is_null()
}

/// Says what came of a run: what a dry run would remove, the reasons of refusals, and what went wrong on most nodes.
fn sentence(run: &LastRun) -> String {
    let planned = run.planned.map(|planned| {
        let most = run.planned_repositories.first().map(|most| format!(", most of it in {}", most.name));
        let size = size(run.size_planned_bytes.unwrap_or_default());
        format!("a dry run would remove {planned} ({size}{}), ", most.unwrap_or_default())
    });
    let codes = run.refusals.iter().take(CODES_TOLD);
    let codes: Vec<String> = codes.map(|refusal| format!("{} {}", refusal.count, refusal.code)).collect();
    let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
    let error = run.errors.first().map(|error| {
        let nodes = counted(error.count as usize, "node", "nodes");
        format!("; on {nodes}: {}", error.message)
    });
    format!(
        "{}: {} nodes done, {}{} removed, {} refused{codes}, {} failed{}",
        run.name,
        run.nodes.summary,
        planned.unwrap_or_default(),
        run.removed,
        run.refused,
        run.failed,
        error.unwrap_or_default()
    )
}

/// Returns whether a run is over.
fn has_ended(run: &LastRun) -> bool {
    !matches!(run.phase.as_str(), "Running" | "Paused" | "Waiting")
}

/// Adds what is wrong on so many nodes, of which no names are known.
fn tell(run: &mut LastRun, message: String, count: u32) {
    run.errors.insert(0, NodeError { message, count, nodes: Vec::new() });
    run.errors.truncate(ERRORS);
}

/// The words of a BroadcastJob that failed: that its deadline is over, for example.
fn ending(job: &Value) -> Option<String> {
    let conditions = job["status"]["conditions"].as_array()?;
    let failed = conditions.iter().find(|condition| condition["type"] == "Failed")?;
    let message = failed["message"].as_str().filter(|message| !message.is_empty())?;
    Some(format!("there is no report: BroadcastJob {} failed: {}", name_of(job), shown(message)))
}

/// Puts what a BroadcastJob says of itself to what its pods reported: whether it is over, and nodes that it counts as
/// done of which there is no report (any more). `took_place` is how many of those with a report it counts as done.
fn settle(job: &Value, took_place: u32, run: &mut LastRun) {
    let status = &job["status"];
    let nodes = &mut run.nodes;
    run.finished_at = time_of(&status["completionTime"]);
    if is_over(job) {
        nodes.desired = nodes.desired.max(count(&status["desired"]));
        let seen = nodes.succeeded + nodes.failed + nodes.skipped;
        let unseen = nodes.desired.saturating_sub(seen);
        let unreported = count(&status["succeeded"]).saturating_sub(took_place).min(unseen);
        nodes.succeeded += unreported;
        nodes.unreported += unreported;
        // Whose pod never began, because of a volume that is not there for example, will not say anything any more.
        nodes.skipped += unseen - unreported;
        nodes.active = 0;
        nodes.waiting = 0;
        nodes.summary = summary(nodes);
    }
    let phase = match status["phase"].as_str() {
        Some("paused") => "Paused",
        Some("failed") => "Failed",
        Some("completed") if nodes.succeeded < nodes.desired => "Failed",
        Some("completed") => "Complete",
        _ => "Running",
    };
    phase.clone_into(&mut run.phase);
}

fn count(value: &Value) -> u32 {
    u32::try_from(value.as_i64().unwrap_or_default()).unwrap_or_default()
}

/// Kubernetes' times have no fractions of seconds.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Says that another operator looks after a NodeCleanup, and what to do about it.
pub fn other_operator(other: &str, own: &str) -> EventNote {
    let note = format!(
        "the operator {} looks after it, so the operator {own} leaves it alone; let each operator watch other namespaces",
        shown(other)
    );
    EventNote::warning(EventReason::OtherOperator, note)
}

/// Why something that was decided could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// An object of this kind and name was to be created, and there is one already.
    NameTaken {
        /// The kind.
        kind: String,
        /// The name.
        name: String,
    },
    /// The API server's words.
    Refused(String),
}

/// Says that a name is taken, and what to do about it.
pub(super) fn name_taken(kind: &str, name: &str) -> String {
    format!(
        "there is the {kind} {name} already, which belongs to another owner and is left as it is; delete or rename it, \
         or give this NodeCleanup another name"
    )
}

/// The status when something that was decided could not be done: it was not, and Ready says why; and an event, if that is
/// news. What would count as done once it is in the status stays as it was. `has_workload` says whether an AdvancedCronJob
/// or a DaemonSet of the NodeCleanup is there all the same.
pub fn not_applied(
    object: &Value,
    decided: &NodeCleanupStatus,
    obstacle: &Obstacle,
    has_workload: bool,
    now: Timestamp,
) -> (NodeCleanupStatus, Option<EventNote>) {
    let before: NodeCleanupStatus = serde_json::from_value(object["status"].clone()).unwrap_or_default();
    let (reason, message) = match obstacle {
        Obstacle::NameTaken { kind, name } => (EventReason::NameTaken, name_taken(kind, &shown(name))),
        // The cause stands at the end of what a webhook says.
        Obstacle::Refused(problem) => (EventReason::ApplyFailed, both_ends(problem, LONGEST_REFUSAL)),
    };
    let mut status = decided.clone();
    (status.once, status.once_generation) = (before.once, before.once_generation);
    status.run_now = before.run_now;
    let was = before.conditions.iter().find(|before| before.kind == "Ready" && before.status == "False");
    // A spec that could not be applied starts nothing. A workload of an earlier spec still runs.
    let is_scheduled = has_workload || status.next_schedule_time.is_none();
    if !is_scheduled {
        status.next_schedule_time = None;
    }
    for condition in &mut status.conditions {
        let message = match condition.kind.as_str() {
            "Ready" => message.as_str(),
            "Scheduled" if !is_scheduled => "nothing is started before Ready is true",
            _ => continue,
        };
        let was = before.conditions.iter().find(|before| before.kind == condition.kind && before.status == "False");
        condition.last_transition_time = was.map_or(whole_second(now), |was| was.last_transition_time);
        "False".clone_into(&mut condition.status);
        reason.as_str().clone_into(&mut condition.reason);
        message.clone_into(&mut condition.message);
    }
    // The API server's words may be others each time.
    let is_new = was
        .is_none_or(|was| was.reason != reason.as_str() || reason == EventReason::NameTaken && was.message != message);
    (status, is_new.then(|| EventNote::warning(reason, message)))
}

/// Whether a status is another one than an object has.
pub fn is_news(object: &Value, status: &NodeCleanupStatus) -> bool {
    serde_json::from_value::<NodeCleanupStatus>(object["status"].clone()).ok().as_ref() != Some(status)
}
