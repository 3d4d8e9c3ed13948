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
    ALL_AT_ONCE, SPEC_DIGEST, TEMPLATE_DIGEST, brought_up_to, contains, has_additions, is_rolled_out, makes_up, marked,
};
use super::pod::{self, Site};
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
    pub object: &'a Value,
    /// Image and limits that the operator adds.
    pub site: Site<'a>,
    /// Set when the API server serves AdvancedCronJob and BroadcastJob.
    pub has_kruise: bool,
    /// ConfigMaps that reference the NodeCleanup as their owner: one for each manifest that pods may still read.
    pub config_maps: Vec<&'a Value>,
    /// AdvancedCronJob with the name of the NodeCleanup, of any owner.
    pub advanced_cron_job: Option<&'a Value>,
    /// DaemonSet with the name that belongs to the NodeCleanup, of any owner.
    pub daemon_set: Option<&'a Value>,
    /// BroadcastJobs that belong to the NodeCleanup or to its AdvancedCronJob.
    pub broadcast_jobs: Vec<&'a Value>,
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
    let before: NodeCleanupStatus = serde_json::from_value(observed.object["status"].clone()).unwrap_or_default();
    let mut step = Decider { observed, before, actions: Vec::new(), events: Vec::new(), again: None, is_stuck: false };
    if !observed.object["metadata"]["deletionTimestamp"].is_null() {
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
    let (manifest, mut problems) = match manifest::from_value(observed.object) {
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
        if let Some(daemon_set) = self.observed.daemon_set.filter(|object| self.owns(object) && !is_going(object)) {
            self.actions.push(Action::Delete(daemon_set.clone()));
            let note = format!("deleted DaemonSet {} until the spec can be used", name_of(daemon_set));
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
            action => Some(format!("{} {}", action.object()["kind"].as_str()?, name_of(action.object()))),
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
        let Some(live) = self.observed.config_maps.iter().copied().find(|object| name_of(object) == name) else {
            self.actions.push(Action::Create(want));
            return None;
        };
        let problem = self.is_in_the_way(live, "ConfigMap");
        if problem.is_some() || contains(live, &want) {
            return problem;
        }
        // An immutable ConfigMap with other content was created by another writer. Pods would refuse it by its digest.
        self.actions.push(Action::Delete(live.clone()));
        self.wait(SOON);
        let message = format!("ConfigMap {name} has other content than its name says, and is made again");
        Some(ConditionState::bad(ConditionReason::Replacing, message))
    }

    /// Finds the obstacle to using an existing object for the NodeCleanup: another owner, or its pending deletion.
    fn is_in_the_way(&mut self, live: &Value, kind: &str) -> Option<ConditionState> {
        let name = name_of(live);
        let is_former = owners(live)
            .any(|owner| owner["kind"] == "NodeCleanup" && owner["name"] == self.observed.object["metadata"]["name"]);
        if self.owns(live) && !is_going(live) {
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
        let cron_job = self.observed.advanced_cron_job.filter(|object| self.owns(object) && !is_going(object));
        if let Some(cron_job) = cron_job.filter(|object| object["spec"]["paused"] != true) {
            self.actions.push(Action::Pause(cron_job.clone()));
        }
    }

    /// Deletes the ConfigMaps that no pod reads any more. They belong neither to the current manifest, nor to a run
    /// that is kept on record, nor to a daemon.
    fn prune(&mut self, current: &str) {
        let observed = self.observed;
        let others = observed.advanced_cron_job.into_iter().chain(observed.daemon_set);
        let objects = observed.broadcast_jobs.iter().copied().chain(others);
        let templates = objects.map(|object| pod_template(&object["spec"]));
        let mut needed: BTreeSet<&str> = templates.filter_map(pod::manifest_of).collect();
        needed.insert(current);
        // Pods of the previous template may start again until they have been replaced.
        if observed.daemon_set.is_some_and(|daemon_set| !is_rolled_out(daemon_set)) {
            return;
        }
        let old = observed
            .config_maps
            .iter()
            .copied()
            .filter(|object| self.owns(object) && !is_going(object) && !needed.contains(name_of(object)));
        let old: Vec<Action> = old.map(|object| Action::Delete(object.clone())).collect();
        self.actions.extend(old);
    }

    /// Brings the workload of the engine one step closer to its desired state.
    fn workload(&mut self, manifest: &NodeCleanup, rendered: &Rendered, once: &mut Once) -> ConditionState {
        let want = &rendered.workload;
        let name = name_of(want).to_owned();
        let live = match rendered.engine {
            Engine::AdvancedCronJob => self.observed.advanced_cron_job,
            Engine::DaemonSet => self.observed.daemon_set,
            Engine::BroadcastJob => return self.once(manifest, want, once),
        };
        let kind = rendered.engine.kind();
        let Some(live) = live else {
            self.actions.push(Action::Create(want.clone()));
            self.note(EventReason::Created, format!("created {kind} {name}"));
            return ConditionState::good(ConditionReason::Applied, format!("{kind} {name} does what the spec says"));
        };
        if let Some(problem) = self.is_in_the_way(live, kind) {
            return problem;
        }
        let is_same = |name: &str| live["metadata"]["annotations"][name] == want["metadata"]["annotations"][name];
        if rendered.engine == Engine::AdvancedCronJob {
            if !is_same(TEMPLATE_DIGEST) {
                return self.replace(live, &name, "its template changed");
            }
            if makes_up(live, want, manifest, self.observed.now) {
                return self.replace(live, &name, "OpenKruise would make up at once for a time that has passed");
            }
        }
        let [has_more, should_have] = [live, want].map(|object| &object["spec"]["template"]);
        if rendered.engine == Engine::AdvancedCronJob && has_additions(has_more, should_have) {
            return self.undo_additions(live, &name);
        }
        if !is_same(SPEC_DIGEST) || !contains(live, want) || has_additions(has_more, should_have) {
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
        let mut own = jobs.filter(|job| once.name.as_deref() == Some(name_of(job)) && self.owns(job) && !is_going(job));
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
    fn adjust(&mut self, live: &Value, want: &Value) {
        let (given, policy) = (&want["spec"], &want["spec"]["completionPolicy"]);
        let digest = &want["metadata"]["annotations"][SPEC_DIGEST];
        let mut spec = json!({ "paused": given["paused"], "parallelism": given["parallelism"], "failurePolicy": given["failurePolicy"] });
        spec["completionPolicy"] = json!({
            "type": policy["type"],
            "activeDeadlineSeconds": policy["activeDeadlineSeconds"],
            "ttlSecondsAfterFinished": policy["ttlSecondsAfterFinished"],
        });
        let mut expected = spec.clone();
        if given["parallelism"].is_null() && live["spec"]["parallelism"] == ALL_AT_ONCE {
            expected["parallelism"] = ALL_AT_ONCE.into();
        }
        if live["metadata"]["annotations"][SPEC_DIGEST] == *digest && contains(&live["spec"], &expected) {
            return;
        }
        // Absent fields are null, and a merge patch removes fields that are null.
        let metadata = json!({ "uid": live["metadata"]["uid"], "annotations": { SPEC_DIGEST: digest } });
        let fields = json!({ "metadata": metadata, "spec": spec });
        self.actions.push(Action::Adjust { object: live.clone(), fields });
    }

    /// Starts a run. Returns the obstacle to that, if there is one.
    ///
    /// An operator that was interrupted may not remember that it started the run. In that case, the predecessor in the
    /// annotation is the same as it would be now. A finished run of the same name with another predecessor is an
    /// earlier run, and is deleted.
    fn start(&mut self, mut job: Value, before: Option<&str>, note: String) -> Option<ConditionState> {
        let name = name_of(&job).to_owned();
        let before = before.unwrap_or_default();
        let live = self.observed.broadcast_jobs.iter().copied().find(|live| name_of(live) == name && self.owns(live));
        if let Some(live) = live {
            let is_earlier = is_over(live) && live["metadata"]["annotations"][AFTER] != before;
            if is_earlier && !is_going(live) {
                self.actions.push(Action::Delete(live.clone()));
            }
            if is_earlier || is_going(live) {
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
    fn replace(&mut self, live: &Value, name: &str, because: &str) -> ConditionState {
        let running = self.runs_of(live).find(|run| !is_over(run)).map(|run| name_of(run).to_owned());
        if let Some(run) = running {
            let message = format!(
                "AdvancedCronJob {name} is recreated when its run {run} has ended; delete BroadcastJob {run} to give that \
                 run up"
            );
            if live["spec"]["paused"] != true {
                self.actions.push(Action::Pause(live.clone()));
            }
            return ConditionState::bad(ConditionReason::WaitingForRun, message);
        }
        // The deletion removes the runs and their pods, so their reports have to be read first.
        let now = self.observed.now;
        let ended = self.runs_of(live).filter_map(|run| time_of(&run["status"]["completionTime"])).max();
        if ended.is_some_and(|ended| ended <= now && now < ended + LAST_WORDS) {
            self.wait(SOON);
            let message = format!("AdvancedCronJob {name} is recreated when all pods of its run have been heard");
            return ConditionState::bad(ConditionReason::WaitingForRun, message);
        }
        self.actions.push(Action::Delete(live.clone()));
        self.note(EventReason::Replaced, format!("deleted AdvancedCronJob {name} to recreate it, because {because}"));
        self.wait(SOON);
        ConditionState::bad(
            ConditionReason::Replacing,
            format!("AdvancedCronJob {name} is being deleted, to be recreated"),
        )
    }

    /// Takes back what another writer added to the template of an AdvancedCronJob, which has to be recreated for that. If a
    /// writer adds fields repeatedly, the AdvancedCronJob is paused.
    fn undo_additions(&mut self, live: &Value, name: &str) -> ConditionState {
        if self.observed.acts < UNDONE {
            return self.replace(live, name, "another writer added fields to its template");
        }
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
        for object in cron_job.into_iter().chain(daemon_set) {
            if self.owns(object) && !is_going(object) {
                self.actions.push(Action::Delete(object.clone()));
                let (kind, name) = (object["kind"].as_str().unwrap_or("object"), name_of(object));
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
        self.observed.object["metadata"]["annotations"][name].as_str()
    }

    fn ignore_run_now(&mut self, reason: &str) {
        let note = format!("the annotation {RUN_NOW} is ignored: {reason}");
        self.events.push(ClusterEvent::warning(EventReason::RunNowIgnored, note));
    }

    /// Deletes runs that the NodeCleanup started itself: those over the history limits, and unfinished ones of a spec
    /// that has changed. OpenKruise deletes the runs of an AdvancedCronJob.
    fn trim(&mut self, manifest: &NodeCleanup, once: Option<&str>) {
        let observed = self.observed;
        let own: Vec<&Value> =
            observed.broadcast_jobs.iter().copied().filter(|job| self.owns(job) && !is_going(job)).collect();
        let past = |(place, job): (usize, &&Value)| Past {
            name: place,
            state: match job["status"]["phase"].as_str() {
                Some("completed") => RunState::Successful,
                Some("failed") => RunState::Failed,
                _ => RunState::Active,
            },
            started: time_of(&job["status"]["startTime"]),
        };
        let limits = HistoryLimits {
            successful: Some(manifest.spec.successful_jobs_history_limit.max(1)),
            failed: Some(manifest.spec.failed_jobs_history_limit.max(1)),
        };
        let mut excess = limits.excess(own.iter().enumerate().map(past).collect());
        let is_outdated = |job: &Value| {
            let prefix = format!("{}-o", manifest.metadata.name);
            !is_over(job) && name_of(job).starts_with(&prefix) && Some(name_of(job)) != once
        };
        for (place, job) in own.iter().enumerate().filter(|(_, job)| is_outdated(job)) {
            excess.push(place);
            let name = name_of(job).to_owned();
            let note = format!("deleted BroadcastJob {name}, whose run had not ended, because the spec has changed");
            let run = Some(("BroadcastJob", name));
            self.events.push(ClusterEvent { run, ..ClusterEvent::warning(EventReason::Deleted, note) });
        }
        let excess = excess.into_iter().map(|place| Action::Delete(own[place].clone()));
        let excess: Vec<Action> = excess.filter(|action| !self.actions.contains(action)).collect();
        self.actions.extend(excess);
    }

    /// Returns the BroadcastJobs of an AdvancedCronJob.
    pub(super) fn runs_of(&self, cron_job: &Value) -> impl Iterator<Item = &Value> {
        let name = name_of(cron_job).to_owned();
        let jobs = self.observed.broadcast_jobs.iter().copied();
        jobs.filter(move |job| owners(job).any(|owner| owner["kind"] == "AdvancedCronJob" && owner["name"] == *name))
    }

    /// Returns whether one of the actions changes the BroadcastJob of this name.
    pub(super) fn adjusts(&self, name: &str) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Adjust { object, .. } if name_of(object) == name))
    }

    /// Returns whether one of the actions deletes the BroadcastJob of this name.
    pub(super) fn deletes(&self, name: &str) -> bool {
        let is_it = |object: &Value| object["kind"] == "BroadcastJob" && name_of(object) == name;
        self.actions.iter().any(|action| matches!(action, Action::Delete(object) if is_it(object)))
    }

    fn note(&mut self, reason: EventReason, note: String) {
        self.events.push(ClusterEvent::normal(reason, note));
    }

    pub(super) fn wait(&mut self, time: SignedDuration) {
        self.again = Some(self.again.map_or(time, |again| again.min(time)));
    }

    /// Adds an owner reference to the NodeCleanup, so that the object is deleted with it. `blockOwnerDeletion` is not
    /// set: for that, the operator would need the right to change the NodeCleanup.
    fn owned(&self, mut object: Value) -> Value {
        let owner = self.observed.object;
        object["metadata"]["ownerReferences"] = json!([{
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": true,
        }]);
        object
    }

    pub(super) fn owns(&self, object: &Value) -> bool {
        owners(object).any(|owner| owner["uid"] == self.observed.object["metadata"]["uid"])
    }
}

/// Returns the pod template of a BroadcastJob, a DaemonSet or an AdvancedCronJob, from its spec.
fn pod_template(spec: &Value) -> &Value {
    let template = &spec["template"];
    let of_cron_job = &template["broadcastJobTemplate"]["spec"]["template"];
    if of_cron_job.is_null() { template } else { of_cron_job }
}

pub(super) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten()
}

pub(super) fn is_going(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// Returns whether a BroadcastJob has ended.
pub(super) fn is_over(job: &Value) -> bool {
    matches!(job["status"]["phase"].as_str(), Some("completed" | "failed"))
}

/// Returns the start of a BroadcastJob. The clock of OpenKruise may be behind that of the API server, and no run starts
/// before it is created.
pub(super) fn began(job: &Value) -> Option<Timestamp> {
    time_of(&job["status"]["startTime"]).max(time_of(&job["metadata"]["creationTimestamp"]))
}

pub(super) fn time_of(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}
