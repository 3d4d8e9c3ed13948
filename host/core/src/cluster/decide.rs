//! From what is there to what is to be done: one step towards what a NodeCleanup says, and its status.
//!
//! Deciding twice about the same comes to nothing the second time. Whoever carries the actions out asks again when
//! something has changed, and at [`Decided::again`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::RUN_NOW;
use super::action::{Action, name_taken};
use super::drift::{
    SPEC_DIGEST, TEMPLATE_DIGEST, brought_up_to, contains, grants_more, is_rolled_out, makes_up, marked,
};
use super::fold::NodeState;
use super::objects::{Engine, Rendered, render, run_now};
use super::pod::{self, Site};
use super::reasons::{ConditionReason, EventReason};
use crate::manifest::status::NodeCleanupStatus;
use crate::manifest::{self, NodeCleanup, Problem};
use crate::schedule::{HistoryLimits, Past, RunState};

/// The annotation of a run that the NodeCleanup started itself: what it had started before, or been asked for.
const AFTER: &str = "holystone.dev/after";

/// The parallelism that OpenKruise's webhook fills in where none is given.
const ALL_AT_ONCE: i32 = i32::MAX;

/// How long to wait for something that is about to happen: an object that is going, a run that is to end.
const SOON: SignedDuration = SignedDuration::from_secs(5);
/// The longest time after the end of a run at which the report of its last pod may arrive.
const LAST_WORDS: SignedDuration = SignedDuration::from_secs(10);
/// The number of repetitions of one action at which another writer seems to undo it.
const UNDONE: u32 = 3;
/// How often to ask whether OpenKruise has appeared.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// What is there.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The NodeCleanup as the API server hands it out.
    pub object: &'a Value,
    /// The image and the limits that the operator adds to it.
    pub site: Site<'a>,
    /// Whether the API server knows AdvancedCronJob and BroadcastJob.
    pub has_kruise: bool,
    /// The ConfigMaps that say that they belong to it: one for each manifest that pods may still read.
    pub config_maps: Vec<&'a Value>,
    /// Its AdvancedCronJob.
    pub advanced_cron_job: Option<&'a Value>,
    /// Its DaemonSet.
    pub daemon_set: Option<&'a Value>,
    /// The BroadcastJobs that belong to it or to its AdvancedCronJob.
    pub broadcast_jobs: Vec<&'a Value>,
    /// What is known of nodes, by the name of the BroadcastJob or DaemonSet.
    pub runs: BTreeMap<&'a str, Vec<&'a NodeState>>,
    /// Why pods of a BroadcastJob or DaemonSet are not made, by its name, as its events say.
    pub complaints: BTreeMap<&'a str, &'a [String]>,
    /// What is wrong with it beyond its text: with its plugins and log roots.
    pub problems: &'a [Problem],
    /// The name of this operator: the Lease of its replicas.
    pub operator: &'a str,
    /// The number of recent repetitions of one action.
    pub acts: u32,
    /// The time.
    pub now: Timestamp,
}

/// Why a run that is asked for does not start.
const NOT_READY: &str = "nothing is started before the condition Ready is true; give the annotation another value then";

/// The longest word of the annotation that is kept as it is.
const LONGEST_WORD: usize = 64;

/// Something for people to know, as a Kubernetes Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEvent {
    /// Whether it is a warning.
    pub is_warning: bool,
    /// One word.
    pub reason: EventReason,
    /// A sentence.
    pub note: String,
    /// Kind and name of the run that it is about: what is said of two runs is not one event.
    pub run: Option<(&'static str, String)>,
}

impl ClusterEvent {
    /// An event that all is well with.
    pub(super) fn normal(reason: EventReason, note: String) -> Self {
        Self { is_warning: false, reason, note, run: None }
    }

    /// A warning.
    pub(super) fn warning(reason: EventReason, note: String) -> Self {
        Self { is_warning: true, reason, note, run: None }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// In this order.
    pub actions: Vec<Action>,
    /// The status to be written, if it is not the one that is there.
    pub status: NodeCleanupStatus,
    /// Whether it is another one than is there.
    pub is_news: bool,
    /// What has happened since the last status.
    pub events: Vec<ClusterEvent>,
    /// When to ask again, though nothing has changed.
    pub again: Option<SignedDuration>,
}

/// How one thing stands.
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

/// Decides.
pub fn decide(observed: &Observed<'_>) -> Decided {
    let before: NodeCleanupStatus = serde_json::from_value(observed.object["status"].clone()).unwrap_or_default();
    let mut step = Decider { observed, before, actions: Vec::new(), events: Vec::new(), again: None, is_stuck: false };
    if !observed.object["metadata"]["deletionTimestamp"].is_null() {
        // What belongs to it goes with it; until a finalizer lets it, nothing more is started.
        step.start_nothing();
        let status = step.before.clone();
        return Decided { actions: step.actions, status, is_news: false, events: Vec::new(), again: None };
    }
    if step.before.operator.as_deref() != Some(observed.operator) {
        // Nothing is done before it is known that no other operator does it.
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
    status.active_runs = step.earlier_runs(status.last_run.as_ref());
    step.add_events(&status);
    let is_news = status != step.before;
    Decided { actions: step.actions, status, is_news, events: step.events, again: step.again }
}

/// The run of a NodeCleanup without a schedule.
struct Once {
    name: Option<String>,
    /// The generation of the spec that it is known to be the run of.
    generation: Option<i64>,
}

pub(super) struct Decider<'a> {
    pub(super) observed: &'a Observed<'a>,
    pub(super) before: NodeCleanupStatus,
    actions: Vec<Action>,
    pub(super) events: Vec<ClusterEvent>,
    again: Option<SignedDuration>,
    /// Set when no pod of the current run has started, though all have had the time to.
    pub(super) is_stuck: bool,
}

impl Decider<'_> {
    fn of_invalid(&mut self, problems: &[Problem]) -> NodeCleanupStatus {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let message = format!("the spec cannot be used, and nothing more is started: {}", told.join("; "));
        // What was asked for before may be the very thing that somebody set out to change.
        self.start_nothing();
        // Daemons keep the time themselves, so they have to go.
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
        // Otherwise a run that was asked for long ago would start as soon as the spec is mended.
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
            // What is being recreated is there in a moment.
            if ready.is_true || ready.reason != ConditionReason::Replacing {
                self.run_now(manifest, rendered.engine, &ready, &mut run_now);
            }
            ready
        };
        self.prune(name_of(&rendered.config_map));
        self.trim(manifest, once.name.as_deref());
        // What goes by another manifest stops before this one is there; what goes by this one comes after it already.
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

    /// What is done again and again is undone by somebody.
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

    /// Makes the ConfigMap of the manifest; what is in the way of that, if anything is.
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
        // An immutable ConfigMap of other content was created by another writer. Pods would refuse it by its digest.
        self.actions.push(Action::Delete(live.clone()));
        self.wait(SOON);
        let message = format!("ConfigMap {name} has other content than its name says, and is made again");
        Some(ConditionState::bad(ConditionReason::Replacing, message))
    }

    /// Finds what keeps an existing object from being the NodeCleanup's: another owner, or its pending deletion.
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

    /// Keeps what goes by another manifest from starting anything.
    fn start_nothing(&mut self) {
        let cron_job = self.observed.advanced_cron_job.filter(|object| self.owns(object) && !is_going(object));
        if let Some(cron_job) = cron_job.filter(|object| object["spec"]["paused"] != true) {
            self.actions.push(Action::Pause(cron_job.clone()));
        }
    }

    /// Deletes the ConfigMaps that no pod reads any more: not of the manifest as it is, of no run that is kept on record,
    /// and of no daemon.
    fn prune(&mut self, current: &str) {
        let observed = self.observed;
        let others = observed.advanced_cron_job.into_iter().chain(observed.daemon_set);
        let objects = observed.broadcast_jobs.iter().copied().chain(others);
        let templates = objects.map(|object| pod_template(&object["spec"]));
        let mut needed: BTreeSet<&str> = templates.filter_map(pod::manifest_of).collect();
        needed.insert(current);
        // Pods of the template before may start again as long as they have not been replaced.
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

    /// Brings the object of the engine one step closer to what it should be.
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
        let [has_more, should_have] = [live, want].map(|object| pod_template(&object["spec"]));
        if rendered.engine == Engine::AdvancedCronJob && grants_more(has_more, should_have) {
            return self.revoke_rights(live, &name);
        }
        if !is_same(SPEC_DIGEST) || !contains(live, want) || grants_more(has_more, should_have) {
            self.actions.push(brought_up_to(live, want, rendered.engine));
            self.note(EventReason::Updated, format!("updated {kind} {name}"));
        }
        ConditionState::good(ConditionReason::Applied, format!("{kind} {name} does what the spec says"))
    }

    /// The one run of a NodeCleanup without a schedule. The same spec is the same run, whether or not it is still there to
    /// be seen, and whichever version of the operator finds out what its name is.
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

    /// Brings what may change of a run that has been started to what the spec says. Its template stays, so that its last
    /// node gets what its first one got.
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
        // What is absent is null, and a merge patch takes away what is null.
        let metadata = json!({ "uid": live["metadata"]["uid"], "annotations": { SPEC_DIGEST: digest } });
        let fields = json!({ "metadata": metadata, "spec": spec });
        self.actions.push(Action::Adjust { object: live.clone(), fields });
    }

    /// Starts a run; what is in the way of that, if anything is. An operator that was cut off may not remember that it
    /// started it: then it came after the same one as it would now. A run of the same name that came after another one is
    /// an earlier one, and makes room.
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

    /// OpenKruise does not let the template of an AdvancedCronJob change, so it is recreated. A current run ends
    /// first, and none is started before it has gone. The new one counts from its own beginning, so no time of the
    /// schedule comes twice.
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
        // It takes its runs and their pods along, so what they say has to be known before.
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

    /// Revokes rights that another writer gave to the pods of an AdvancedCronJob, whose template can only be recreated.
    /// A writer that adds them repeatedly gets it paused.
    fn revoke_rights(&mut self, live: &Value, name: &str) -> ConditionState {
        if self.observed.acts < UNDONE {
            return self.replace(live, name, "another writer gave its pods more rights");
        }
        self.start_nothing();
        let message = format!(
            "whenever AdvancedCronJob {name} is recreated, another writer gives its pods more rights, so it is paused; its \
             metadata.managedFields name the writer"
        );
        ConditionState::bad(ConditionReason::Undone, message)
    }

    /// What carried it out before the engine was another one, or before it had a schedule or none.
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

    /// Does what the annotation asks for, or says why not; either way that value of it is done with.
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

    /// Returns the word by which a run is asked for now, if that is another one than was heeded last. A long one is kept as
    /// its digest: it is in the status.
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

    /// Deletes runs that the NodeCleanup started itself: those over the history limits, and those that go on by a spec
    /// that has changed. OpenKruise looks after those of an AdvancedCronJob.
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

    /// The BroadcastJobs of an AdvancedCronJob.
    fn runs_of(&self, cron_job: &Value) -> impl Iterator<Item = &Value> {
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

    /// An object that belongs to the NodeCleanup and goes with it. Without blockOwnerDeletion, for which the operator
    /// would need the right to change the NodeCleanup.
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

    fn owns(&self, object: &Value) -> bool {
        owners(object).any(|owner| owner["uid"] == self.observed.object["metadata"]["uid"])
    }
}

/// Returns the template of the pods of a BroadcastJob, a DaemonSet or an AdvancedCronJob, by its spec.
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

/// Whether a BroadcastJob has ended.
pub(super) fn is_over(job: &Value) -> bool {
    matches!(job["status"]["phase"].as_str(), Some("completed" | "failed"))
}

pub(super) fn began(job: &Value) -> Option<Timestamp> {
    time_of(&job["status"]["startTime"]).or_else(|| time_of(&job["metadata"]["creationTimestamp"]))
}

pub(super) fn time_of(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}
