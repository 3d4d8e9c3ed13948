//! The last run of a status: the observed run, merged with what the status already knows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::aggregate::{Aggregated, ERRORS, NodeState, aggregate, summary};
use super::decide::{ClusterEvent, ConditionState, Decider};
use super::held::{ASK_AGAIN, PATIENCE};
use super::objects::{BroadcastJob, DaemonSet, JobPhase};
use super::reasons::{ConditionReason, EventReason};
use super::render::{Engine, object_name};
use crate::manifest::status::{LastRun, ResolvedPlugin, RunError, RunPhase};
use crate::schedule::ConcurrencyPolicy;
use crate::text::shown;

/// Maximum difference between the clocks of two nodes.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(1);
/// Maximum number of labels of a node selector in a message.
const LABELS_TOLD: usize = 5;
/// Maximum number of earlier runs whose ends are awaited.
const ACTIVE_RUNS: usize = 20;

impl<'a> Decider<'a> {
    /// Returns the last run, its plugins, and whether they are the same on all nodes. The run is never an earlier one
    /// than the status knows, and never less of it: runs are deleted with their AdvancedCronJob, and pods with their
    /// nodes.
    pub(super) fn last_run(
        &mut self,
        engine: Option<Engine>,
    ) -> (Option<LastRun>, Vec<ResolvedPlugin>, ConditionState) {
        let found = match engine {
            Some(Engine::DaemonSet) => self.observed.daemon_set.and_then(|set| self.run_of_daemons(set)),
            _ => self.latest_run().map(|job| self.run_of_job(job)),
        };
        let is_of_daemons = engine == Some(Engine::DaemonSet);
        let found = found.filter(|found| !self.knows_better(&found.run, is_of_daemons));
        let found = found.map(|folded| self.of_the_spec(folded));
        self.is_stuck = found.as_ref().is_some_and(|folded| folded.run.nodes.waiting > 0 && folded.moving == 0);
        let Some(Aggregated { run, plugins, unlike, .. }) = found else {
            let kept = self.before.conditions.iter().find(|condition| condition.kind == "PluginsResolved");
            let resolved = kept.map_or_else(
                || ConditionState::bad(ConditionReason::NoRunYet, "no node has loaded the plugins yet"),
                |kept| ConditionState {
                    is_true: kept.status == "True",
                    reason: ConditionReason::parse(&kept.reason).unwrap_or(ConditionReason::NoRunYet),
                    message: kept.message.clone(),
                },
            );
            return (self.kept_run(is_of_daemons), self.before.plugins.clone(), resolved);
        };
        let resolved = if !unlike.is_empty() {
            let message = format!("not all nodes have the same bytes, or some have none, of: {}", unlike.join(", "));
            ConditionState::bad(ConditionReason::Different, message)
        } else if plugins.is_empty() {
            ConditionState::bad(ConditionReason::NoRunYet, "no node has loaded the plugins yet")
        } else {
            ConditionState::good(ConditionReason::Resolved, "all nodes have loaded the same plugins")
        };
        (Some(run), plugins, resolved)
    }

    /// Removes plugins that the spec does not name, because the report of a pod is not trusted.
    fn of_the_spec(&self, mut folded: Aggregated) -> Aggregated {
        let plugins = &self.observed.object.spec.plugins;
        let names: BTreeSet<&str> = plugins.iter().filter_map(|plugin| plugin.name.as_deref()).collect();
        folded.plugins.retain(|plugin| names.contains(plugin.name.as_str()));
        folded.unlike.retain(|name| names.contains(name.as_str()));
        folded
    }

    /// Returns whether the status knows a later run than this one, or more of the same run.
    fn knows_better(&self, run: &LastRun, is_of_daemons: bool) -> bool {
        let Some(before) = &self.before.last_run else { return false };
        let reports = |run: &LastRun| (run.nodes.succeeded + run.nodes.failed).saturating_sub(run.nodes.unreported);
        let order = before.name.cmp(&run.name);
        if order.is_ne() {
            // If two runs began at the same time, the one that was deleted before its end yields.
            let is_known =
                has_ended(before) || self.observed.broadcast_jobs.iter().any(|job| job.meta.name == before.name);
            let is_later = before.started_at > run.started_at;
            return is_later || before.started_at == run.started_at && order.is_gt() && is_known;
        }
        // The runs of a DaemonSet all have its name.
        let is_later = is_of_daemons && run.finished_at > before.finished_at;
        // After the end of a run, the reasons for missing reports are known from pods and events, which vanish.
        let reasons =
            |run: &LastRun| if has_ended(run) { run.errors.iter().map(|error| error.count).max() } else { None };
        let is_less = reports(before) == reports(run) && has_ended(run) && reasons(before) > reasons(run);
        !is_later && (reports(before) > reports(run) || is_less)
    }

    /// Returns the run of the status, updated from its BroadcastJob.
    fn kept_run(&self, is_of_daemons: bool) -> Option<LastRun> {
        let mut run = self.before.last_run.clone()?;
        let is_of_former_daemons = !is_of_daemons && run.name == object_name(&self.observed.object.meta.name);
        if is_of_former_daemons && !has_ended(&run) && run.nodes.succeeded + run.nodes.failed == 0 {
            // Deleted daemons that have not run yet will not run any more.
            return None;
        }
        if has_ended(&run) || is_of_daemons || run.name == object_name(&self.observed.object.meta.name) {
            return Some(run);
        }
        let Some(job) = self.observed.broadcast_jobs.iter().copied().find(|job| job.meta.name == run.name) else {
            // Without OpenKruise, BroadcastJobs cannot be observed.
            if self.observed.has_kruise {
                self.was_lost(&mut run);
            }
            return Some(run);
        };
        // The number of reporting nodes that OpenKruise counts as done is not known any more; at most, it is all of
        // them.
        let took_place = run.nodes.succeeded + run.nodes.failed;
        settle(job, took_place, &mut run);
        Some(run)
    }

    /// Marks a run as failed whose BroadcastJob was deleted before its end was seen.
    fn was_lost(&self, run: &mut LastRun) {
        run.phase = RunPhase::Failed;
        run.finished_at = Some(whole_second(self.observed.now));
        run.nodes.skipped += std::mem::take(&mut run.nodes.active);
        run.nodes.waiting = 0;
        run.nodes.summary = summary(&run.nodes);
        run.errors.push(RunError { message: self.why_lost(&run.name), count: run.nodes.skipped, nodes: Vec::new() });
    }

    /// Formats the message for a deleted BroadcastJob. If a later run of the schedule exists, `Replace` deleted it.
    fn why_lost(&self, name: &str) -> String {
        // OpenKruise names a run of a schedule by its time.
        let tick = |name: &str| name.rsplit_once('-').and_then(|(_, tick)| tick.parse::<u64>().ok());
        let replaces = self.observed.object.spec.concurrency_policy == ConcurrencyPolicy::Replace;
        let is_replaced =
            replaces && tick(name).is_some_and(|own| self.scheduled_runs().any(|run| tick(&run.meta.name) > Some(own)));
        let policy = if is_replaced {
            ": concurrencyPolicy Replace ends a run when the next one of the schedule begins"
        } else {
            ""
        };
        format!("{}{policy}", lost(name))
    }

    /// Reports the runs of the schedule that have started since the last observation.
    pub(super) fn report_starts(&mut self) {
        let before = self.before.last_run.as_ref();
        let since = before.and_then(|run| run.started_at);
        let is_known = |name: &str| {
            before.is_some_and(|run| run.name == name) || self.before.active_runs.iter().any(|run| run == name)
        };
        // A run that has not ended is new if the status does not know it, unless the status knows as many as it can. Of
        // the others, those are new that began after the last run: without one, they may be older than the status.
        let is_complete = self.before.active_runs.len() < ACTIVE_RUNS;
        let is_new = |job: &&BroadcastJob| {
            let is_later = if since.is_some() { job.began() > since } else { !job.is_over() };
            is_later || is_complete && !job.is_over()
        };
        let new = self.scheduled_runs().filter(is_new).filter(|job| !is_known(&job.meta.name) && !job.meta.is_going());
        let mut new: Vec<_> = new.map(|job| (job.began(), job.meta.name.clone())).collect();
        new.sort();
        for (_, name) in new {
            let note = format!("AdvancedCronJob {} started BroadcastJob {name}", self.observed.object.meta.name);
            let run = Some(("BroadcastJob", name));
            self.events.push(ClusterEvent { run, ..ClusterEvent::normal(EventReason::RunStarted, note) });
        }
    }

    /// Returns the BroadcastJobs of the current AdvancedCronJob.
    pub(super) fn scheduled_runs(&self) -> impl Iterator<Item = &BroadcastJob> {
        self.observed
            .advanced_cron_job
            .filter(|object| self.owns(&object.meta))
            .into_iter()
            .flat_map(|job| self.runs_of(job))
    }

    /// Reports the ends of runs that began before the last one, and returns the names of those that have not ended. A
    /// manual run may begin and end beside a scheduled one.
    pub(super) fn earlier_runs(&mut self, last: Option<&LastRun>) -> Vec<String> {
        let jobs: BTreeMap<&str, &BroadcastJob> =
            self.observed.broadcast_jobs.iter().map(|job| (job.meta.name.as_str(), *job)).collect();
        let mut names = self.awaited(&jobs);
        names.retain(|name| last.is_none_or(|last| last.name != *name) && !self.deletes(name));
        let mut active = Vec::new();
        for name in names {
            match jobs.get(name.as_str()) {
                Some(job) if job.is_over() => {
                    let run = self.run_of_job(job).run;
                    self.report_end(&run);
                }
                None if self.observed.has_kruise => {
                    let event = ClusterEvent::warning(EventReason::RunFailed, self.why_lost(&name));
                    self.events.push(ClusterEvent { run: Some(("BroadcastJob", name)), ..event });
                }
                job => active.push((job.and_then(|job| job.began()), name)),
            }
        }
        active.sort();
        active.reverse();
        active.truncate(ACTIVE_RUNS);
        active.into_iter().map(|(_, name)| name).collect()
    }

    /// Returns the names of the BroadcastJobs whose end has not been reported: those that had not ended at the last
    /// observation, and those that began after it.
    fn awaited(&self, jobs: &BTreeMap<&str, &BroadcastJob>) -> BTreeSet<String> {
        let before = self.before.last_run.as_ref();
        let mut names: BTreeSet<String> = self.before.active_runs.iter().cloned().collect();
        let is_of_daemons = |run: &&LastRun| run.name == object_name(&self.observed.object.meta.name);
        names.extend(before.filter(|run| !has_ended(run) && !is_of_daemons(run)).map(|run| run.name.clone()));
        let since = before.and_then(|run| run.started_at);
        let is_new = |job: &BroadcastJob| {
            if job.is_over() { since.is_some() && job.began() > since } else { !job.meta.is_going() }
        };
        names.extend(jobs.iter().filter(|(_, job)| is_new(job)).map(|(name, _)| (*name).to_owned()));
        names
    }

    fn latest_run(&self) -> Option<&'a BroadcastJob> {
        let jobs = self.observed.broadcast_jobs.iter().copied();
        jobs.max_by_key(|job| (job.began(), job.meta.name.as_str()))
    }

    fn run_of_job(&mut self, job: &BroadcastJob) -> Aggregated {
        let now = self.observed.now;
        let states = self.observed.runs.get(job.meta.name.as_str()).into_iter().flatten().copied();
        let mut folded = aggregate(job.status.desired.unwrap_or_default(), states, now);
        let run = &mut folded.run;
        run.name.clone_from(&job.meta.name);
        run.started_at = job.began();
        settle(job, folded.took_place, run);
        let unseen = run.nodes.desired.saturating_sub(folded.seen).saturating_sub(run.nodes.unreported);
        let age = job.began().map_or(SignedDuration::MAX, |began| began.duration_until(now));
        if job.is_over() {
            let complaint = self.complaints(&job.meta.name).or_else(|| ending(job));
            if let Some(message) = complaint.filter(|_| unseen > 0) {
                tell(run, message, unseen);
            }
        } else if folded.running == 0 && run.phase == RunPhase::Running {
            self.is_not_made(&job.meta.name, run, unseen, age);
        }
        if run.nodes.desired == 0 && !job.is_taken_up() {
            // The number of nodes is not known yet.
            run.nodes.summary.clear();
        }
        if run.nodes.desired == 0 && (job.is_over() || age >= PATIENCE) {
            let message = if job.is_taken_up() { self.no_node() } else { NOT_TAKEN_UP.to_owned() };
            tell(run, message, 0);
        }
        self.observe_again(folded.again);
        folded
    }

    /// Adds the reason why an idle run lacks pods on some nodes.
    fn is_not_made(&mut self, name: &str, run: &mut LastRun, unseen: u32, age: SignedDuration) {
        if unseen == 0 && run.nodes.desired > 0 {
            return;
        }
        if age < PATIENCE {
            return self.wait(PATIENCE - age);
        }
        self.wait(ASK_AGAIN);
        if let Some(message) = self.complaints(name) {
            run.nodes.waiting += unseen;
            tell(run, message, unseen);
        }
    }

    fn observe_again(&mut self, again: Option<SignedDuration>) {
        if let Some(again) = again {
            self.wait(again);
        }
    }

    /// Returns the messages of events about the object of this name, as one text.
    fn complaints(&self, name: &str) -> Option<String> {
        let complaints = self.observed.complaints.get(name)?;
        (!complaints.is_empty()).then(|| complaints.join("; "))
    }

    /// Formats the message for a run without a node.
    fn no_node(&self) -> String {
        let labels = self.observed.object.spec.rollout.node_selector.iter().take(LABELS_TOLD);
        let labels: Vec<String> = labels.map(|(label, value)| shown(&format!("{label}={value}"))).collect();
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

    /// Aggregates the last runs of the daemons. Daemons follow the same schedule, so their runs are of one time, or
    /// nearly.
    fn run_of_daemons(&mut self, set: &DaemonSet) -> Option<Aggregated> {
        let (observed, now) = (self.observed, self.observed.now);
        let states = observed.runs.get(set.meta.name.as_str())?;
        let desired = set.status.desired_number_scheduled;
        let mut folded = aggregate(desired.unwrap_or_default(), states.iter().copied(), now);
        let run = &mut folded.run;
        // The clock of a node may be slightly ahead. Times that are even later, and times before 1970, are ignored.
        let latest = now.checked_add(CLOCKS_APART).unwrap_or(now);
        let is_one = move |time: &Timestamp| (Timestamp::UNIX_EPOCH..=latest).contains(time);
        let times = |of: fn(&NodeState) -> Option<Timestamp>| {
            states.iter().copied().filter_map(of).filter(move |time| is_one(time))
        };
        run.name.clone_from(&set.meta.name);
        run.started_at = times(|state| state.times.map(|times| times.0)).min();
        run.finished_at = times(|state| state.times.map(|times| times.1)).max();
        run.phase = match &run.nodes {
            _ if folded.running > 0 => RunPhase::Running,
            nodes if nodes.active > 0 || nodes.succeeded + nodes.failed == 0 => RunPhase::Waiting,
            nodes if nodes.succeeded < nodes.desired => RunPhase::Failed,
            _ => RunPhase::Complete,
        };
        let unseen = run.nodes.desired.saturating_sub(folded.seen);
        if set.is_observed() {
            let created = set.meta.creation_timestamp;
            let age = created.map_or(SignedDuration::MAX, |created| created.duration_until(now));
            if desired == Some(0) && folded.seen == 0 {
                let message = self.no_node();
                tell(run, message, 0);
            } else {
                self.is_not_made(&set.meta.name, run, unseen, age);
            }
        }
        self.observe_again(folded.again);
        Some(folded)
    }
}

/// Formats the message for a deleted BroadcastJob of a run.
pub(super) fn lost(name: &str) -> String {
    format!("the BroadcastJob {name} was deleted before its end was seen")
}

/// The message about a BroadcastJob without a status.
pub(super) const NOT_TAKEN_UP: &str =
    "OpenKruise has not taken up the BroadcastJob; see whether its manager (kruise-controller-manager) runs";

/// Returns whether a run is over.
pub(super) fn has_ended(run: &LastRun) -> bool {
    matches!(run.phase, RunPhase::Complete | RunPhase::Failed)
}

/// Inserts an error that concerns `count` nodes with unknown names.
fn tell(run: &mut LastRun, message: String, count: u32) {
    run.errors.insert(0, RunError { message, count, nodes: Vec::new() });
    run.errors.truncate(ERRORS);
}

/// Formats the failure of a BroadcastJob, for example an exceeded deadline.
fn ending(job: &BroadcastJob) -> Option<String> {
    let failed = job.status.conditions.iter().find(|condition| condition.kind == "Failed")?;
    let message = Some(&failed.message).filter(|message| !message.is_empty())?;
    Some(format!("there is no report: BroadcastJob {} failed: {}", job.meta.name, shown(message)))
}

/// Merges the status of a BroadcastJob into the reports of its pods: its phase, and nodes that it counts as done
/// without a report (any more). `took_place` is the number of reporting nodes that it counts as done.
fn settle(job: &BroadcastJob, took_place: u32, run: &mut LastRun) {
    let status = &job.status;
    let nodes = &mut run.nodes;
    run.finished_at = status.completion_time;
    if job.is_over() {
        nodes.desired = nodes.desired.max(status.desired.unwrap_or_default());
        let seen = nodes.succeeded + nodes.failed + nodes.skipped;
        let unseen = nodes.desired.saturating_sub(seen);
        let unreported = status.succeeded.saturating_sub(took_place).min(unseen);
        nodes.succeeded += unreported;
        nodes.unreported += unreported;
        // A pod that never started, for example because of a missing volume, will not report any more.
        nodes.skipped += unseen - unreported;
        nodes.active = 0;
        nodes.waiting = 0;
        nodes.summary = summary(nodes);
    }
    run.phase = match status.phase {
        JobPhase::Paused => RunPhase::Paused,
        JobPhase::Failed => RunPhase::Failed,
        JobPhase::Completed if nodes.succeeded < nodes.desired => RunPhase::Failed,
        JobPhase::Completed => RunPhase::Complete,
        JobPhase::Running | JobPhase::Unknown => RunPhase::Running,
    };
}

/// Truncates a time to whole seconds, because times of Kubernetes have no fractions.
pub(super) fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
