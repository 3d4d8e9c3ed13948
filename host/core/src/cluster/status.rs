//! The status of a NodeCleanup: its conditions, its next run and its last run, and the events for changes.

use jiff::{SignedDuration, Timestamp};

use super::action::{Obstacle, name_taken};
use super::decide::{ClusterEvent, ConditionState, Decider};
use super::objects::CleanupObject;
use super::reasons::{ConditionReason, EventReason};
use super::render::object_name;
use super::runs::{NOT_TAKEN_UP, has_ended, lost, whole_second};
use crate::manifest::NodeCleanup;
use crate::manifest::status::{Condition, LastRun, NodeCleanupStatus, ResolvedPlugin, RunPhase};
use crate::schedule::ConcurrencyPolicy;
use crate::text::{beginning, both_ends, counted, shown, size};

/// Maximum number of refusal codes in an event.
const CODES_TOLD: usize = 3;
/// Maximum length of the API server's words in a message, in characters.
const LONGEST_REFUSAL: usize = 600;
/// Maximum length of the message of a condition, in characters.
const LONGEST_MESSAGE: usize = 4_096;

impl Decider<'_> {
    /// Computes the time of the next run, and the condition `Scheduled`.
    pub(super) fn next(
        &mut self,
        manifest: &NodeCleanup,
        ready: &ConditionState,
    ) -> (Option<Timestamp>, ConditionState) {
        let now = self.observed.now;
        let Ok(Some(timetable)) = manifest.timetable() else {
            return (
                None,
                ConditionState::good(
                    ConditionReason::Once,
                    "there is no schedule: it runs once, and again when the spec changes",
                ),
            );
        };
        if manifest.spec.paused {
            return (None, ConditionState::bad(ConditionReason::Paused, "spec.paused is set, so nothing is started"));
        }
        if !ready.is_true {
            return (None, ConditionState::bad(ready.reason, "nothing is started before Ready is true"));
        }
        // `@every` counts from the start of the previous run.
        let last = self.before.last_run.as_ref().and_then(|run| run.started_at);
        let next = match (timetable.schedule.period(), last) {
            (Some(_), Some(last)) => timetable.schedule.next(last).filter(|next| *next > now),
            _ => None,
        };
        let Some(next) = next.or_else(|| timetable.schedule.next(now)) else {
            return (None, ConditionState::bad(ConditionReason::Never, "the schedule never comes"));
        };
        // A time that was announced before stays while it lies in the future, so that decisions are idempotent.
        let told = self.before.next_schedule_time.filter(|told| *told > now && self.is_same_generation());
        let next = told.unwrap_or(next);
        self.wait(now.duration_until(next).max(SignedDuration::ZERO) + SignedDuration::from_secs(1));
        (
            Some(next),
            ConditionState::good(
                ConditionReason::Scheduled,
                format!(
                    "runs at {}{}",
                    manifest.spec.schedule.as_deref().unwrap_or_default(),
                    self.blocked(manifest).unwrap_or_default()
                ),
            ),
        )
    }

    /// Formats the name of the run that the next run of the schedule waits for, if there is one.
    fn blocked(&self, manifest: &NodeCleanup) -> Option<String> {
        if manifest.spec.concurrency_policy != ConcurrencyPolicy::Forbid {
            return None;
        }
        let run = self.scheduled_runs().find(|run| !run.is_over() && !run.meta.is_going())?;
        Some(format!("; the next run waits for the end of {}", run.meta.name))
    }

    fn is_same_generation(&self) -> bool {
        self.before.observed_generation == self.generation()
    }

    pub(super) fn generation(&self) -> Option<i64> {
        self.observed.object.meta.generation
    }

    /// Returns the readiness, or the reason why a run is blocked as a whole: it waits for a person, has no node, was
    /// done on no node, or none of its pods has started. The reason of a finished run counts as long as the spec stays
    /// the same.
    pub(super) fn unless_held(&self, ready: ConditionState, run: Option<&LastRun>) -> ConditionState {
        let Some(run) = run.filter(|_| ready.is_true) else { return ready };
        let Some(held) = self.held(run) else { return ready };
        let known = self.before.last_run.as_ref().is_some_and(|before| before.name == run.name && has_ended(before));
        let is_reported = self.before.conditions.iter().any(|condition| {
            condition.kind == "Ready"
                && condition.reason == held.reason.as_str()
                && condition.observed_generation == self.generation()
        });
        if has_ended(run) && known && !is_reported { ready } else { held }
    }

    fn held(&self, run: &LastRun) -> Option<ConditionState> {
        let nodes = &run.nodes;
        let why = || run.errors.first().map(|error| error.message.as_str()).unwrap_or_default();
        if run.phase == RunPhase::Paused {
            return self.waits_for_a_person(run);
        }
        if nodes.desired == 0 && !run.errors.is_empty() && !why().starts_with(&lost(&run.name)) {
            return Some(if why() == NOT_TAKEN_UP {
                ConditionState::bad(
                    ConditionReason::PodsNotStarted,
                    format!("no pod of {} has started: {}", run.name, why()),
                )
            } else {
                ConditionState::bad(
                    ConditionReason::NoNodeMatches,
                    format!("{} has nowhere to run: {}", run.name, why()),
                )
            });
        }
        if self.is_stuck {
            let nodes = counted(nodes.waiting as usize, "node", "nodes");
            let message = format!("no pod of {} has started, on {nodes}: {}", run.name, why());
            return Some(ConditionState::bad(ConditionReason::PodsNotStarted, message));
        }
        let has_nothing = has_ended(run) && nodes.desired > 0 && nodes.succeeded + nodes.failed == 0;
        (has_nothing && !run.errors.is_empty()).then(|| {
            ConditionState::bad(ConditionReason::NoNodeDone, format!("{} was done on no node: {}", run.name, why()))
        })
    }

    /// Explains why a run is paused other than by `spec.paused` of the NodeCleanup, with advice.
    fn waits_for_a_person(&self, run: &LastRun) -> Option<ConditionState> {
        let job = self.observed.broadcast_jobs.iter().copied().find(|job| job.meta.name == run.name)?;
        if self.observed.object.spec.paused || self.adjusts(&run.name) {
            return None;
        }
        let name = &run.name;
        if job.spec.paused {
            let message = format!(
                "BroadcastJob {name} is paused by its own spec.paused, and waits for a person: set that to false, or delete \
                 the BroadcastJob to give its run up"
            );
            return Some(ConditionState::bad(ConditionReason::RunPaused, message));
        }
        let failed = counted(job.status.failed as usize, "pod", "pods");
        let why = run.errors.first().map(|error| format!(" ({})", error.message)).unwrap_or_default();
        let message = format!(
            "BroadcastJob {name} is paused by failurePolicy Pause, because {failed} failed{why}, and waits for a person: \
             mend what is wrong and delete its failed pods, which are then made again, or delete the BroadcastJob to give \
             its run up"
        );
        Some(ConditionState::bad(ConditionReason::RunPaused, message))
    }

    pub(super) fn status(
        &self,
        next: Option<Timestamp>,
        outlooks: &[(&str, ConditionState)],
        last_run: Option<LastRun>,
        plugins: Vec<ResolvedPlugin>,
    ) -> NodeCleanupStatus {
        let generation = self.generation();
        let condition = |(kind, outlook): &(&str, ConditionState)| {
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
            active_runs: self.before.active_runs.clone(),
            plugins,
            once: self.before.once.clone(),
            once_generation: self.before.once_generation,
            run_now: self.before.run_now.clone(),
            operator: self.before.operator.clone(),
        }
    }

    /// Adds the events for the end of the last run and for problems, each once.
    pub(super) fn add_events(&mut self, status: &NodeCleanupStatus) {
        for condition in &status.conditions {
            let before = self.before.conditions.iter().find(|before| before.kind == condition.kind);
            let is_new =
                before.is_none_or(|before| (&before.status, &before.reason) != (&condition.status, &condition.reason));
            let reason = ConditionReason::parse(&condition.reason).and_then(EventReason::of_condition);
            let Some(reason) = reason else { continue };
            if is_new && condition.status == "False" && condition.kind != "Scheduled" {
                let run = status.last_run.as_ref().filter(|_| reason.is_of_run()).map(|run| self.reference(run));
                self.events.push(ClusterEvent { run, ..ClusterEvent::warning(reason, condition.message.clone()) });
            }
        }
        let Some(run) = status.last_run.as_ref().filter(|run| has_ended(run)) else { return };
        let is_reported = self.before.last_run.as_ref().is_some_and(|before| {
            has_ended(before) && before.name == run.name && before.finished_at == run.finished_at
        });
        if !is_reported {
            self.report_end(run);
        }
    }

    /// Adds the event for a run that has ended.
    pub(super) fn report_end(&mut self, run: &LastRun) {
        let is_warning = run.phase == RunPhase::Failed;
        let reason = if is_warning { EventReason::RunFailed } else { EventReason::RunCompleted };
        self.events.push(ClusterEvent { is_warning, reason, note: sentence(run), run: Some(self.reference(run)) });
    }

    fn reference(&self, run: &LastRun) -> (&'static str, String) {
        let is_of_daemons = run.name == object_name(&self.observed.object.meta.name);
        (if is_of_daemons { "DaemonSet" } else { "BroadcastJob" }, run.name.clone())
    }
}

/// Formats the result of a run: its counts, the planned removals of a dry run, the reasons of refusals, and the error
/// on most nodes.
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
        let place = if error.count > 0 { format!("on {nodes}: ") } else { String::new() };
        format!("; {place}{}", error.message)
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

/// Builds the event for a NodeCleanup that another operator manages, with advice.
pub fn other_operator(other: &str, own: &str) -> ClusterEvent {
    let note = format!(
        "the operator {} looks after it, so the operator {own} leaves it alone; let each operator watch other namespaces",
        shown(other)
    );
    ClusterEvent::warning(EventReason::OtherOperator, note)
}

/// Builds the status for a decision that could not be carried out: Ready becomes false, with the reason. Returns an
/// event as well, if the reason is new. Fields that would mark the decision as done keep their previous values.
/// `has_workload` is set if an AdvancedCronJob or a DaemonSet of the NodeCleanup exists all the same.
pub fn not_applied(
    object: &CleanupObject,
    decided: &NodeCleanupStatus,
    obstacle: &Obstacle,
    has_workload: bool,
    now: Timestamp,
) -> (NodeCleanupStatus, Option<ClusterEvent>) {
    let before = object.status.known.clone().unwrap_or_default();
    let (reason, message) = match obstacle {
        Obstacle::NameTaken { kind, name } => (EventReason::NameTaken, name_taken(kind, &shown(name))),
        // Webhooks name the cause at the end of their message.
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
    // The API server's words may differ each time.
    let is_new = was
        .is_none_or(|was| was.reason != reason.as_str() || reason == EventReason::NameTaken && was.message != message);
    (status, is_new.then(|| ClusterEvent::warning(reason, message)))
}

/// Returns whether a status differs from that of an object.
pub fn is_news(object: &CleanupObject, status: &NodeCleanupStatus) -> bool {
    object.status.known.as_ref() != Some(status)
}
