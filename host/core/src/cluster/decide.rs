//! Decisions about a NodeCleanup: the next step from the observed objects towards its spec, and its status.
//!
//! Decisions are idempotent. The caller carries out the actions, and decides again when something has changed, and
//! after [`Decided::again`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::RUN_NOW;
use super::action::{Action, name_taken};
use super::aggregate::NodeState;
use super::drift::{
    ALL_AT_ONCE, SPEC_DIGEST, TEMPLATE_DIGEST, brought_up_to, contains, has_additions, makes_up, marked,
};
use super::objects::{
    AdvancedCronJob, BroadcastJob, CleanupObject, ConfigMap, DaemonSet, JobPhase, Meta, kind_of, name_of, template_of,
};
use super::pod::Site;
use super::reasons::{ConditionReason, EventReason};
use super::render::{Engine, Rendered, render, run_now};
use crate::manifest::status::NodeCleanupStatus;
use crate::manifest::{self, NodeCleanup, Problem};
use crate::schedule::{HistoryLimits, Past, RunState};

/// Annotation of a run that the NodeCleanup started itself. Its value is the run that was started before, or the value
/// of the annotation `holystone.dev/run-now` that was handled before.
const AFTER: &str = "holystone.dev/after";

/// Delay before the next decision while a change is imminent: the deletion of an object, or the end of a run.
const SOON: SignedDuration = SignedDuration::from_secs(5);
/// Maximum time between the end of a run and the report of its last pod.
const LAST_WORDS: SignedDuration = SignedDuration::from_secs(10);
/// Number of repetitions of one action at which another writer seems to undo it.
const UNDONE: u32 = 3;
/// Interval between checks for OpenKruise.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// The observed state of a NodeCleanup and its objects.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// NodeCleanup as the API server returns it.
    pub object: &'a CleanupObject,
    /// Image and limits that the operator adds.
    pub site: Site<'a>,
    /// Set when the API server serves AdvancedCronJob and BroadcastJob.
    pub has_kruise: bool,
    /// ConfigMaps that reference the NodeCleanup as their owner: one for each manifest that pods may still read.
    pub config_maps: Vec<&'a ConfigMap>,
    /// AdvancedCronJob with the name of the NodeCleanup, of any owner.
    pub advanced_cron_job: Option<&'a AdvancedCronJob>,
    /// DaemonSet with the name that belongs to the NodeCleanup, of any owner.
    pub daemon_set: Option<&'a DaemonSet>,
    /// BroadcastJobs that belong to the NodeCleanup or to its AdvancedCronJob.
    pub broadcast_jobs: Vec<&'a BroadcastJob>,
    /// States of nodes, by the name of the BroadcastJob or DaemonSet.
    pub runs: BTreeMap<&'a str, Vec<&'a NodeState>>,
    /// Reasons from events why pods are not created, by the name of the BroadcastJob or DaemonSet.
    pub complaints: BTreeMap<&'a str, &'a [String]>,
    /// Problems of the NodeCleanup beyond its text: with its plugins and log roots.
    pub problems: &'a [Problem],
    /// Name of this operator: the Lease of its replicas.
    pub operator: &'a str,
    /// Number of recent repetitions of one action.
    pub acts: u32,
    /// Current time.
    pub now: Timestamp,
}

/// Reason why a requested run does not start.
const NOT_READY: &str = "nothing is started before the condition Ready is true; give the annotation another value then";

/// Maximum length of an annotation value that is kept verbatim, in bytes.
const LONGEST_WORD: usize = 64;

/// Information for people, as a Kubernetes Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEvent {
    /// Set for a warning.
    pub is_warning: bool,
    /// Reason of the event, in one word.
    pub reason: EventReason,
    /// Message of the event, a sentence.
    pub note: String,
    /// Kind and name of the run that the event is about, so that messages about two runs stay two events.
    pub run: Option<(&'static str, String)>,
}

impl ClusterEvent {
    /// Builds a normal event.
    pub(super) fn normal(reason: EventReason, note: String) -> Self {
        Self { is_warning: false, reason, note, run: None }
    }

    /// Builds a warning.
    pub(super) fn warning(reason: EventReason, note: String) -> Self {
        Self { is_warning: true, reason, note, run: None }
    }
}

/// The decision about a NodeCleanup.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// Actions, in the order of their execution.
    pub actions: Vec<Action>,
    /// Status to write, if it differs from the current one.
    pub status: NodeCleanupStatus,
    /// Set when the status differs from the current one.
    pub is_news: bool,
    /// Events since the last status.
    pub events: Vec<ClusterEvent>,
    /// Delay until the next decision, even if nothing changes.
    pub again: Option<SignedDuration>,
}

/// The state of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConditionState {
    pub(super) is_true: bool,
    pub(super) reason: ConditionReason,
    pub(super) message: String,
}

impl ConditionState {
    pub(super) fn good(reason: ConditionReason, message: impl Into<String>) -> Self {
        Self { is_true: true, reason, message: message.into() }
    }

    pub(super) fn bad(reason: ConditionReason, message: impl Into<String>) -> Self {
        Self { is_true: false, reason, message: message.into() }
    }
}

/// Decides about a NodeCleanup: computes its actions, its status and its events.
pub fn decide(observed: &Observed<'_>) -> Decided {
    let before = observed.object.status.known.clone().unwrap_or_default();
    let mut step = Decider { observed, before, actions: Vec::new(), events: Vec::new(), again: None, is_stuck: false };
    if observed.object.meta.is_going() {
        // Owned objects are deleted with the NodeCleanup. Until its finalizers allow that, no further run is started.
        step.start_nothing();
        let status = step.before.clone();
        return Decided { actions: step.actions, status, is_news: false, events: Vec::new(), again: None };
    }
    if step.before.operator.as_deref() != Some(observed.operator) {
        // The operator claims the NodeCleanup first: no action is taken before it is certain that no other operator
        // acts.
        let status = NodeCleanupStatus { operator: Some(observed.operator.to_owned()), ..step.before };
        return Decided {
            actions: Vec::new(),
            status,
            is_news: true,
            events: Vec::new(),
            again: Some(SignedDuration::ZERO),
        };
    }
    let (manifest, mut problems) = match manifest::from_value(&observed.object.raw) {
        Ok(manifest) => {
            let problems = super::problems(&manifest, observed.site.allowed);
            (Some(manifest), problems)
        }
        Err(problems) => (None, problems),
    };
    problems.extend(observed.problems.iter().cloned());
    let manifest = manifest.filter(|_| problems.is_empty()).ok_or(problems);
    let mut status = match manifest {
        Ok(manifest) => step.of_valid(&manifest),
        Err(problems) => step.of_invalid(&problems),
    };
    step.report_starts();
    status.active_runs = step.earlier_runs(status.last_run.as_ref());
    step.add_events(&status);
    let is_news = status != step.before;
    Decided { actions: step.actions, status, is_news, events: step.events, again: step.again }
}

/// The run of a NodeCleanup without a schedule.
struct Once {
    name: Option<String>,
    /// Generation of the spec that the run is known to belong to.
    generation: Option<i64>,
}

pub(super) struct Decider<'a> {
    pub(super) observed: &'a Observed<'a>,
    pub(super) before: NodeCleanupStatus,
    actions: Vec<Action>,
    pub(super) events: Vec<ClusterEvent>,
    again: Option<SignedDuration>,
    /// Set when no pod of the current run has started, though all have had enough time.
    pub(super) is_stuck: bool,
}

impl Decider<'_> {
    fn of_invalid(&mut self, problems: &[Problem]) -> NodeCleanupStatus {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let message = format!("the spec cannot be used, and nothing more is started: {}", told.join("; "));
        // The earlier spec may be the very thing that a user set out to change.
        self.start_nothing();
        // Daemons keep the schedule themselves, so the DaemonSet has to be deleted.
        if let Some(daemon_set) = self.observed.daemon_set.filter(|object| self.keeps(&object.meta)) {
            self.actions.push(Action::Delete(daemon_set.raw.clone()));
            let note = format!("deleted DaemonSet {} until the spec can be used", daemon_set.meta.name);
            self.note(EventReason::Deleted, note);
        }
        let ready = ConditionState::bad(ConditionReason::InvalidSpec, message.clone());
        let (last_run, plugins, resolved) = self.last_run(None);
        let scheduled =
            ConditionState::bad(ConditionReason::InvalidSpec, "nothing is started while the spec cannot be used");
        let outlooks = [("Ready", ready), ("Scheduled", scheduled), ("PluginsResolved", resolved)];
        let mut status = self.status(None, &outlooks, last_run, plugins);
        // Otherwise, a run that was requested long ago would start as soon as the spec is fixed.
        if let Some(word) = self.asked_now(self.before.run_now.as_deref()) {
            self.ignore_run_now(NOT_READY);
            status.run_now = Some(word);
        }
        status
    }

    fn of_valid(&mut self, manifest: &NodeCleanup) -> NodeCleanupStatus {
        let mut rendered = render(manifest, self.observed.site);
        let needs_kruise = rendered.engine != Engine::DaemonSet;
        let mut once = Once { name: self.before.once.clone(), generation: self.before.once_generation };
        let mut run_now = self.before.run_now.clone();
        let is_in_the_way = self.config_map(self.owned(rendered.config_map.clone()));
        self.remove_other_engines(rendered.engine);
        let ready = if let Some(problem) = is_in_the_way {
            self.start_nothing();
            problem
        } else if needs_kruise && !self.observed.has_kruise {
            self.wait(PATIENCE);
            if let Some(word) = self.asked_now(run_now.as_deref()) {
                self.ignore_run_now(NOT_READY);
                run_now = Some(word);
            }
            let message = "OpenKruise is not installed: there is no AdvancedCronJob and BroadcastJob in the group \
                           apps.kruise.io; install it, or set spec.rollout.engine to DaemonSet";
            ConditionState::bad(ConditionReason::OpenKruiseMissing, message)
        } else {
            rendered.workload = self.owned(marked(rendered.workload));
            let ready = self.workload(manifest, &rendered, &mut once);
            // A workload that is being recreated exists again in a moment, so the request waits for it.
            if ready.is_true || ready.reason != ConditionReason::Replacing {
                self.run_now(manifest, rendered.engine, &ready, &mut run_now);
            }
            ready
        };
        self.prune(name_of(&rendered.config_map));
        self.trim(manifest, once.name.as_deref());
        // Pauses and deletions go first: workloads of another manifest stop before this manifest is created. Workloads
        // of this manifest already come after it.
        self.actions.sort_by_key(|action| !matches!(action, Action::Pause(_) | Action::Delete(_)));
        let (next, scheduled) = self.next(manifest, &ready);
        let ready = self.unless_undone(ready);
        let (last_run, plugins, resolved) = self.last_run(Some(rendered.engine));
        let ready = self.unless_held(ready, last_run.as_ref());
        let outlooks = [("Ready", ready), ("Scheduled", scheduled), ("PluginsResolved", resolved)];
        let mut status = self.status(next, &outlooks, last_run, plugins);
        (status.once, status.once_generation) = (once.name, once.generation);
        status.run_now = run_now;
        status
    }

    /// Returns the readiness; `Undone` if another writer seems to undo an action that the operator has repeated.
    fn unless_undone(&self, ready: ConditionState) -> ConditionState {
        let applied = |action: &Action| match action {
            Action::Pause(_) | Action::Delete(_) => None,
            action => Some(format!("{} {}", kind_of(action.object()), name_of(action.object()))),
        };
        let objects: Vec<String> = self.actions.iter().filter_map(applied).collect();
        if self.observed.acts < UNDONE || objects.is_empty() || !ready.is_true {
            return ready;
        }
        let message = format!(
            "whenever {} is put right, something changes it again: a webhook, or another controller; its \
             metadata.managedFields tell who",
            objects.join(" and ")
        );
        ConditionState::bad(ConditionReason::Undone, message)
    }

    /// Creates the ConfigMap of the manifest. Returns the obstacle to that, if there is one.
    fn config_map(&mut self, want: Value) -> Option<ConditionState> {
        let name = name_of(&want).to_owned();
        let Some(live) = self.observed.config_maps.iter().copied().find(|object| object.meta.name == name) else {
            self.actions.push(Action::Create(want));
            return None;
        };
        let problem = self.is_in_the_way(&live.meta, "ConfigMap");
        if problem.is_some() || contains(&live.raw, &want) {
            return problem;
        }
        // An immutable ConfigMap with other content was created by another writer. Pods would refuse it by its digest.
        self.actions.push(Action::Delete(live.raw.clone()));
        self.wait(SOON);
        let message = format!("ConfigMap {name} has other content than its name says, and is made again");
        Some(ConditionState::bad(ConditionReason::Replacing, message))
    }

    /// Finds the obstacle to using an existing object for the NodeCleanup: another owner, or its pending deletion.
    fn is_in_the_way(&mut self, live: &Meta, kind: &str) -> Option<ConditionState> {
        let name = &live.name;
        let is_former = live.is_owned_by("NodeCleanup", &self.observed.object.meta.name);
        if self.keeps(live) {
            return None;
        }
        if self.owns(live) || is_former {
            self.wait(SOON);
            return Some(ConditionState::bad(
                ConditionReason::Replacing,
                format!("{kind} {name} is going, to be made again"),
            ));
        }
        Some(ConditionState::bad(ConditionReason::NameTaken, name_taken(kind, name)))
    }

    /// Pauses the AdvancedCronJob, so that it starts no run by another manifest.
    fn start_nothing(&mut self) {
        let cron_job = self.observed.advanced_cron_job.filter(|object| self.keeps(&object.meta));
        if let Some(cron_job) = cron_job.filter(|object| !object.spec.paused) {
            self.actions.push(Action::Pause(cron_job.raw.clone()));
        }
    }

    /// Deletes the ConfigMaps that no pod reads any more. They belong neither to the current manifest, nor to a run
    /// that is kept on record, nor to a daemon.
    fn prune(&mut self, current: &str) {
        let observed = self.observed;
        let of_jobs = observed.broadcast_jobs.iter().map(|job| &job.spec.template);
        let of_cron_job =
            observed.advanced_cron_job.map(|object| &object.spec.template.broadcast_job_template.spec.template);
        let templates = of_jobs.chain(of_cron_job).chain(observed.daemon_set.map(|object| &object.spec.template));
        let mut needed: BTreeSet<&str> = templates.filter_map(|template| template.manifest.as_deref()).collect();
        needed.insert(current);
        // Pods of the previous template may start again until they have been replaced.
        if observed.daemon_set.is_some_and(|daemon_set| !daemon_set.is_rolled_out()) {
            return;
        }
        let is_old = |meta: &Meta| self.keeps(meta) && !needed.contains(meta.name.as_str());
        let old = observed.config_maps.iter().filter(|object| is_old(&object.meta));
        let old: Vec<Action> = old.map(|object| Action::Delete(object.raw.clone())).collect();
        self.actions.extend(old);
    }

    /// Brings the workload of the engine one step closer to its desired state.
    fn workload(&mut self, manifest: &NodeCleanup, rendered: &Rendered, once: &mut Once) -> ConditionState {
        let want = &rendered.workload;
        let name = name_of(want).to_owned();
        let cron_job = self.observed.advanced_cron_job.filter(|_| rendered.engine == Engine::AdvancedCronJob);
        let live = match rendered.engine {
            Engine::AdvancedCronJob => cron_job.map(|object| (&object.meta, &object.raw)),
            Engine::DaemonSet => self.observed.daemon_set.map(|object| (&object.meta, &object.raw)),
            Engine::BroadcastJob => return self.once(manifest, want, once),
        };
        let kind = rendered.engine.kind();
        let Some((meta, live)) = live else {
            self.actions.push(Action::Create(want.clone()));
            self.note(EventReason::Created, format!("created {kind} {name}"));
            return ConditionState::good(ConditionReason::Applied, format!("{kind} {name} does what the spec says"));
        };
        if let Some(problem) = self.is_in_the_way(meta, kind) {
            return problem;
        }
        let wanted = Meta::of(want);
        let is_same = |name: &str| meta.annotation(name) == wanted.annotation(name);
        let has_additions = has_additions(template_of(live), template_of(want));
        if let Some(cron_job) = cron_job {
            if !is_same(TEMPLATE_DIGEST) {
                return self.replace(cron_job, "its template changed");
            }
            let wanted = AdvancedCronJob::from(want.clone()).spec;
            if makes_up(cron_job, &wanted, manifest, self.observed.now) {
                return self.replace(cron_job, "OpenKruise would make up at once for a time that has passed");
            }
            if has_additions {
                return self.undo_additions(cron_job);
            }
        }
        if !is_same(SPEC_DIGEST) || !contains(live, want) || has_additions {
            self.actions.push(brought_up_to(live, want, rendered.engine));
            self.note(EventReason::Updated, format!("updated {kind} {name}"));
        }
        ConditionState::good(ConditionReason::Applied, format!("{kind} {name} does what the spec says"))
    }

    /// Starts or adjusts the single run of a NodeCleanup without a schedule. The same spec is the same run, even if its
    /// BroadcastJob is gone, and even if another version of the operator computes another name for it.
    fn once(&mut self, manifest: &NodeCleanup, want: &Value, once: &mut Once) -> ConditionState {
        let name = name_of(want).to_owned();
        let generation = self.generation();
        let is_same_spec = once.generation.is_some() && once.generation == generation;
        let is_decided = once.name.is_some() && (once.name.as_ref() == Some(&name) || is_same_spec);
        if !is_decided && !manifest.spec.paused {
            let before = once.name.clone();
            if let Some(problem) = self.start(want.clone(), before.as_deref(), format!("started BroadcastJob {name}")) {
                return problem;
            }
            once.name = Some(name.clone());
        }
        let jobs = self.observed.broadcast_jobs.iter().copied();
        let mut own = jobs.filter(|job| once.name.as_ref() == Some(&job.meta.name) && self.keeps(&job.meta));
        if let Some(live) = own.next() {
            self.adjust(live, want);
        }
        if !is_decided && manifest.spec.paused {
            return ConditionState::good(
                ConditionReason::Applied,
                format!("spec.paused is set, so BroadcastJob {name} is not started"),
            );
        }
        once.generation = generation;
        let name = once.name.as_deref().unwrap_or(&name);
        ConditionState::good(ConditionReason::Applied, format!("BroadcastJob {name} does what the spec says"))
    }

    /// Updates the fields of a started run that may change. The template stays, so that the last node of the run gets
    /// the same pod as the first one.
    fn adjust(&mut self, live: &BroadcastJob, want: &Value) {
        let BroadcastJob { meta, spec: given, .. } = BroadcastJob::from(want.clone());
        let (digest, policy) = (meta.annotation(SPEC_DIGEST), &given.completion_policy);
        let spec = json!({
            "paused": given.paused,
            "parallelism": given.parallelism,
            "failurePolicy": given.failure_policy,
            "completionPolicy": {
                "type": policy.kind,
                "activeDeadlineSeconds": policy.active_deadline_seconds,
                "ttlSecondsAfterFinished": policy.ttl_seconds_after_finished,
            },
        });
        let mut expected = json!({ "spec": spec });
        if given.parallelism.is_null() && live.spec.parallelism == ALL_AT_ONCE {
            expected["spec"]["parallelism"] = ALL_AT_ONCE.into();
        }
        if live.meta.annotation(SPEC_DIGEST) == digest && contains(&live.raw, &expected) {
            return;
        }
        // Absent fields are null, and a merge patch removes fields that are null.
        let metadata = json!({ "uid": live.meta.uid, "annotations": { SPEC_DIGEST: digest } });
        let fields = json!({ "metadata": metadata, "spec": spec });
        self.actions.push(Action::Adjust { object: live.raw.clone(), fields });
    }

    /// Starts a run. Returns the obstacle to that, if there is one.
    ///
    /// An operator that was interrupted may not remember that it started the run. In that case, the predecessor in the
    /// annotation is the same as it would be now. A finished run of the same name with another predecessor is an
    /// earlier run, and is deleted.
    fn start(&mut self, mut job: Value, before: Option<&str>, note: String) -> Option<ConditionState> {
        let name = name_of(&job).to_owned();
        let before = before.unwrap_or_default();
        let jobs = &self.observed.broadcast_jobs;
        let live = jobs.iter().copied().find(|live| live.meta.name == name && self.owns(&live.meta));
        if let Some(live) = live {
            let is_earlier = live.is_over() && live.meta.annotation(AFTER) != Some(before);
            if is_earlier && !live.meta.is_going() {
                self.actions.push(Action::Delete(live.raw.clone()));
            }
            if is_earlier || live.meta.is_going() {
                self.wait(SOON);
                let message = format!("BroadcastJob {name} of an earlier run is going, to make room for the next one");
                return Some(ConditionState::bad(ConditionReason::Replacing, message));
            }
            return None;
        }
        job["metadata"]["annotations"][AFTER] = before.into();
        self.actions.push(Action::Create(job));
        let run = Some(("BroadcastJob", name));
        self.events.push(ClusterEvent { run, ..ClusterEvent::normal(EventReason::RunStarted, note) });
        None
    }

    /// Recreates an AdvancedCronJob, because OpenKruise does not allow changes of its template. A current run ends
    /// first; until then, the AdvancedCronJob is paused. The new one counts from its own creation, so no time of the
    /// schedule occurs twice.
    fn replace(&mut self, live: &AdvancedCronJob, because: &str) -> ConditionState {
        let name = &live.meta.name;
        let running = self.runs_of(live).find(|run| !run.is_over()).map(|run| run.meta.name.clone());
        if let Some(run) = running {
            let message = format!(
                "AdvancedCronJob {name} is recreated when its run {run} has ended; delete BroadcastJob {run} to give that \
                 run up"
            );
            if !live.spec.paused {
                self.actions.push(Action::Pause(live.raw.clone()));
            }
            return ConditionState::bad(ConditionReason::WaitingForRun, message);
        }
        // The deletion removes the runs and their pods, so their reports have to be read first.
        let now = self.observed.now;
        let ended = self.runs_of(live).filter_map(|run| run.status.completion_time).max();
        if ended.is_some_and(|ended| ended <= now && now < ended + LAST_WORDS) {
            self.wait(SOON);
            let message = format!("AdvancedCronJob {name} is recreated when all pods of its run have been heard");
            return ConditionState::bad(ConditionReason::WaitingForRun, message);
        }
        self.actions.push(Action::Delete(live.raw.clone()));
        self.note(EventReason::Replaced, format!("deleted AdvancedCronJob {name} to recreate it, because {because}"));
        self.wait(SOON);
        ConditionState::bad(
            ConditionReason::Replacing,
            format!("AdvancedCronJob {name} is being deleted, to be recreated"),
        )
    }

    /// Takes back what another writer added to the template of an AdvancedCronJob, which has to be recreated for that. If a
    /// writer adds fields repeatedly, the AdvancedCronJob is paused.
    fn undo_additions(&mut self, live: &AdvancedCronJob) -> ConditionState {
        if self.observed.acts < UNDONE {
            return self.replace(live, "another writer added fields to its template");
        }
        let name = &live.meta.name;
        self.start_nothing();
        let message = format!(
            "whenever AdvancedCronJob {name} is recreated, another writer adds fields to its template, so it is paused; its \
             metadata.managedFields name the writer"
        );
        ConditionState::bad(ConditionReason::Undone, message)
    }

    /// Deletes the objects of other engines. They remain when the engine changes, or when a schedule is added or
    /// removed.
    fn remove_other_engines(&mut self, engine: Engine) {
        let cron_job = self.observed.advanced_cron_job.filter(|_| engine != Engine::AdvancedCronJob);
        let daemon_set = self.observed.daemon_set.filter(|_| engine != Engine::DaemonSet);
        let cron_job = cron_job.map(|object| (Engine::AdvancedCronJob, &object.meta, &object.raw));
        let daemon_set = daemon_set.map(|object| (Engine::DaemonSet, &object.meta, &object.raw));
        for (engine, meta, object) in cron_job.into_iter().chain(daemon_set) {
            if self.keeps(meta) {
                self.actions.push(Action::Delete(object.clone()));
                let (kind, name) = (engine.kind(), &meta.name);
                self.note(
                    EventReason::Deleted,
                    format!("deleted {kind} {name}, which the spec does not ask for any more"),
                );
            }
        }
    }

    /// Starts the run that the annotation requests, or reports why it is ignored. After that, this value of the
    /// annotation counts as handled. While an earlier run makes room, the request stays open.
    fn run_now(&mut self, manifest: &NodeCleanup, engine: Engine, ready: &ConditionState, done: &mut Option<String>) {
        let Some(word) = self.asked_now(done.as_deref()) else { return };
        let ignored = if engine == Engine::DaemonSet {
            Some("it means nothing with a DaemonSet, whose daemons keep the time")
        } else if manifest.spec.paused {
            Some("spec.paused is set; give the annotation another value when it is not set any more")
        } else if !ready.is_true {
            Some(NOT_READY)
        } else {
            None
        };
        if let Some(reason) = ignored {
            self.ignore_run_now(reason);
        } else {
            let job =
                self.owned(marked(run_now(manifest, self.observed.site, self.annotation(RUN_NOW).unwrap_or_default())));
            let note = format!("started BroadcastJob {}, as the annotation {RUN_NOW} asks", name_of(&job));
            let before = done.clone();
            if self.start(job, before.as_deref(), note).is_some() {
                return;
            }
        }
        *done = Some(word);
    }

    /// Returns the value of the annotation if it requests a run, that is if it differs from the value that was handled
    /// last. A long value is replaced by its digest, because it is kept in the status.
    fn asked_now(&self, done: Option<&str>) -> Option<String> {
        let word = self.annotation(RUN_NOW)?;
        let word = if word.len() > LONGEST_WORD { crate::digest::of(word.as_bytes()) } else { word.to_owned() };
        (done != Some(word.as_str())).then_some(word)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.observed.object.meta.annotation(name)
    }

    fn ignore_run_now(&mut self, reason: &str) {
        let note = format!("the annotation {RUN_NOW} is ignored: {reason}");
        self.events.push(ClusterEvent::warning(EventReason::RunNowIgnored, note));
    }

    /// Deletes runs that the NodeCleanup started itself: those over the history limits, and unfinished ones of a spec
    /// that has changed. OpenKruise deletes the runs of an AdvancedCronJob.
    fn trim(&mut self, manifest: &NodeCleanup, once: Option<&str>) {
        let observed = self.observed;
        let own: Vec<&BroadcastJob> =
            observed.broadcast_jobs.iter().copied().filter(|job| self.keeps(&job.meta)).collect();
        let past = |(place, job): (usize, &&BroadcastJob)| Past {
            name: place,
            state: match job.status.phase {
                JobPhase::Completed => RunState::Successful,
                JobPhase::Failed => RunState::Failed,
                JobPhase::Running | JobPhase::Paused | JobPhase::Unknown => RunState::Active,
            },
            started: job.status.start_time,
        };
        let limits = HistoryLimits {
            successful: Some(manifest.spec.successful_jobs_history_limit.max(1)),
            failed: Some(manifest.spec.failed_jobs_history_limit.max(1)),
        };
        let mut excess = limits.excess(own.iter().enumerate().map(past).collect());
        let is_outdated = |job: &BroadcastJob| {
            let prefix = format!("{}-o", manifest.metadata.name);
            !job.is_over() && job.meta.name.starts_with(&prefix) && Some(job.meta.name.as_str()) != once
        };
        for (place, job) in own.iter().enumerate().filter(|(_, job)| is_outdated(job)) {
            excess.push(place);
            let name = job.meta.name.clone();
            let note = format!("deleted BroadcastJob {name}, whose run had not ended, because the spec has changed");
            let run = Some(("BroadcastJob", name));
            self.events.push(ClusterEvent { run, ..ClusterEvent::warning(EventReason::Deleted, note) });
        }
        let excess = excess.into_iter().map(|place| Action::Delete(own[place].raw.clone()));
        let excess: Vec<Action> = excess.filter(|action| !self.actions.contains(action)).collect();
        self.actions.extend(excess);
    }

    /// Returns the BroadcastJobs of an AdvancedCronJob.
    pub(super) fn runs_of(&self, cron_job: &AdvancedCronJob) -> impl Iterator<Item = &BroadcastJob> {
        let name = cron_job.meta.name.clone();
        let jobs = self.observed.broadcast_jobs.iter().copied();
        jobs.filter(move |job| job.meta.is_owned_by("AdvancedCronJob", &name))
    }

    /// Returns whether one of the actions changes the BroadcastJob of this name.
    pub(super) fn adjusts(&self, name: &str) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Adjust { object, .. } if name_of(object) == name))
    }

    /// Returns whether one of the actions deletes the BroadcastJob of this name.
    pub(super) fn deletes(&self, name: &str) -> bool {
        let is_it = |object: &Value| kind_of(object) == "BroadcastJob" && name_of(object) == name;
        self.actions.iter().any(|action| matches!(action, Action::Delete(object) if is_it(object)))
    }

    fn note(&mut self, reason: EventReason, note: String) {
        self.events.push(ClusterEvent::normal(reason, note));
    }

    pub(super) fn wait(&mut self, time: SignedDuration) {
        self.again = Some(self.again.map_or(time, |again| again.min(time)));
    }

    /// Adds an owner reference to the NodeCleanup, so that the object is deleted with it.
    fn owned(&self, mut object: Value) -> Value {
        object["metadata"]["ownerReferences"] = json!([self.observed.object.owner_reference()]);
        object
    }

    /// Returns whether an object references the NodeCleanup as its owner.
    pub(super) fn owns(&self, object: &Meta) -> bool {
        object.owner_references.iter().any(|owner| owner.uid == self.observed.object.meta.uid)
    }

    /// Returns whether the NodeCleanup owns an object that is not being deleted.
    fn keeps(&self, object: &Meta) -> bool {
        self.owns(object) && !object.is_going()
    }
}
