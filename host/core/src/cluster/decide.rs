//! From what is there to what is to be done: one step towards what a NodeCleanup says, and its status.
//!
//! Deciding twice about the same comes to nothing the second time. Whoever carries the actions out asks again when
//! something has changed, and at [`Decided::again`].

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::RUN_NOW;
use super::fold::NodeState;
use super::objects::{self, Engine, Rendered, digest, render, run_now};
use super::pod::{MANIFEST_KEY, Site};
use crate::manifest::status::NodeCleanupStatus;
use crate::manifest::{self, NodeCleanup, Problem, Text};
use crate::schedule::{HistoryLimits, Past, RunState};

/// The annotations by which a change is seen that the API server's additions would hide: a field that was taken away.
const SPEC_DIGEST: &str = "holystone.dev/spec-digest";
const TEMPLATE_DIGEST: &str = "holystone.dev/template-digest";

/// How long to wait for something that is about to happen: an object that is going, a run that is to end.
const SOON: SignedDuration = SignedDuration::from_secs(5);
/// How often something has to be done in a row before somebody seems to undo it.
const UNDONE: u32 = 3;
/// How often to ask whether OpenKruise has appeared.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// What is there.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The NodeCleanup as the API server hands it out.
    pub object: &'a Value,
    /// What the operator adds to it.
    pub site: Site<'a>,
    /// Whether the API server knows AdvancedCronJob and BroadcastJob.
    pub has_kruise: bool,
    /// Its ConfigMap.
    pub config_map: Option<&'a Value>,
    /// Its AdvancedCronJob.
    pub advanced_cron_job: Option<&'a Value>,
    /// Its DaemonSet.
    pub daemon_set: Option<&'a Value>,
    /// The BroadcastJobs that belong to it or to its AdvancedCronJob.
    pub broadcast_jobs: Vec<&'a Value>,
    /// What is known of nodes, by the name of the BroadcastJob or DaemonSet.
    pub runs: BTreeMap<&'a str, Vec<&'a NodeState>>,
    /// What is wrong with it beyond its text: with its plugins and log roots.
    pub problems: &'a [Problem],
    /// How often in a row something was done, and had to be done again.
    pub acts: u32,
    /// The time.
    pub now: Timestamp,
}

/// Something to be done to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the object, or make it so (server-side apply).
    Apply(Value),
    /// Start nothing more: set `spec.paused`, and leave everything else.
    Pause(Value),
    /// Delete exactly this object, with what belongs to it.
    Delete(Value),
}

/// Something for people to know, as a Kubernetes Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNote {
    /// Whether it is a warning.
    pub is_warning: bool,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub note: String,
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
    pub events: Vec<EventNote>,
    /// When to ask again, though nothing has changed.
    pub again: Option<SignedDuration>,
}

/// How one thing stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outlook {
    pub(super) is_true: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Outlook {
    pub(super) fn good(reason: &'static str, message: impl Into<String>) -> Self {
        Self { is_true: true, reason, message: message.into() }
    }

    pub(super) fn bad(reason: &'static str, message: impl Into<String>) -> Self {
        Self { is_true: false, reason, message: message.into() }
    }
}

/// Decides.
pub fn decide(observed: &Observed<'_>) -> Decided {
    let before = serde_json::from_value(observed.object["status"].clone()).unwrap_or_default();
    let mut step = Step { observed, before, actions: Vec::new(), events: Vec::new(), again: None };
    if !observed.object["metadata"]["deletionTimestamp"].is_null() {
        // What belongs to it goes with it.
        let status = step.before.clone();
        return Decided { actions: Vec::new(), status, is_news: false, events: Vec::new(), again: None };
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
    let status = match manifest {
        Ok(manifest) => step.of_valid(&manifest),
        Err(problems) => step.of_invalid(&problems),
    };
    step.tell_of_runs(&status);
    let is_news = status != step.before;
    Decided { actions: step.actions, status, is_news, events: step.events, again: step.again }
}

pub(super) struct Step<'a> {
    pub(super) observed: &'a Observed<'a>,
    pub(super) before: NodeCleanupStatus,
    actions: Vec<Action>,
    pub(super) events: Vec<EventNote>,
    again: Option<SignedDuration>,
}

impl Step<'_> {
    fn of_invalid(&mut self, problems: &[Problem]) -> NodeCleanupStatus {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let message = format!("the spec cannot be used, and nothing more is started: {}", told.join("; "));
        // What was asked for before may be the very thing that somebody set out to change.
        if let Some(cron_job) = self.observed.advanced_cron_job.filter(|object| object["spec"]["paused"] != true) {
            self.actions.push(Action::Pause(cron_job.clone()));
        }
        if self.observed.daemon_set.is_some()
            && let Some(paused) = self.observed.config_map.and_then(paused)
        {
            self.actions.push(Action::Apply(self.owned(paused)));
        }
        let ready = Outlook::bad("InvalidSpec", message.clone());
        let (last_run, plugins, resolved) = self.last_run(None);
        let scheduled = Outlook::bad("InvalidSpec", "nothing is started while the spec cannot be used");
        self.status(
            None,
            &[("Ready", ready), ("Scheduled", scheduled), ("PluginsResolved", resolved)],
            last_run,
            plugins,
        )
    }

    fn of_valid(&mut self, manifest: &NodeCleanup) -> NodeCleanupStatus {
        let mut rendered = render(manifest, self.observed.site);
        let needs_kruise = rendered.engine != Engine::DaemonSet;
        let mut once = self.before.once.clone();
        let config_map = self.owned(rendered.config_map.clone());
        if self.observed.config_map.is_none_or(|live| !contains(live, &config_map)) {
            self.actions.push(Action::Apply(config_map));
        }
        self.remove_other_engines(rendered.engine);
        let ready = if needs_kruise && !self.observed.has_kruise {
            self.wait(PATIENCE);
            let message = "OpenKruise is not installed: there is no AdvancedCronJob and BroadcastJob in the group \
                           apps.kruise.io; install it, or set spec.rollout.engine to DaemonSet";
            Outlook::bad("OpenKruiseMissing", message)
        } else {
            rendered.workload = self.owned(marked(rendered.workload));
            let ready = self.workload(&rendered, &mut once);
            self.run_now(manifest, rendered.engine);
            ready
        };
        self.trim(manifest, once.as_deref());
        let (next, scheduled) = self.next(manifest, &ready);
        let ready = self.unless_undone(ready);
        let (last_run, plugins, resolved) = self.last_run(Some(rendered.engine));
        let outlooks = [("Ready", ready), ("Scheduled", scheduled), ("PluginsResolved", resolved)];
        let mut status = self.status(next, &outlooks, last_run, plugins);
        status.once = once;
        status
    }

    /// What is done again and again is undone by somebody.
    fn unless_undone(&self, ready: Outlook) -> Outlook {
        let applied = |action: &Action| match action {
            Action::Apply(object) => Some(format!("{} {}", object["kind"].as_str()?, name_of(object))),
            Action::Pause(_) | Action::Delete(_) => None,
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
        Outlook::bad("Undone", message)
    }

    /// Brings the object of the engine one step closer to what it should be.
    fn workload(&mut self, rendered: &Rendered, once: &mut Option<String>) -> Outlook {
        let want = &rendered.workload;
        let name = name_of(want).to_owned();
        let live = match rendered.engine {
            Engine::AdvancedCronJob => self.observed.advanced_cron_job,
            Engine::DaemonSet => self.observed.daemon_set,
            Engine::BroadcastJob => {
                // The same spec is the same run, whether or not it is still there to be seen.
                if once.as_deref() != Some(&name) {
                    self.actions.push(Action::Apply(want.clone()));
                    self.note("RunStarted", format!("started BroadcastJob {name}"));
                    *once = Some(name.clone());
                }
                return Outlook::good("Applied", format!("BroadcastJob {name} does what the spec says"));
            }
        };
        let kind = rendered.engine.kind();
        let Some(live) = live else {
            self.actions.push(Action::Apply(want.clone()));
            self.note("Created", format!("created {kind} {name}"));
            return Outlook::good("Applied", format!("{kind} {name} does what the spec says"));
        };
        if !self.owns(live) {
            let message =
                format!("there is a {kind} {name} already that belongs to somebody else; delete or rename one");
            return Outlook::bad("NameTaken", message);
        }
        if is_going(live) {
            self.wait(SOON);
            return Outlook::bad("Replacing", format!("{kind} {name} is going, to be made anew"));
        }
        let is_same = |name: &str| live["metadata"]["annotations"][name] == want["metadata"]["annotations"][name];
        if rendered.engine == Engine::AdvancedCronJob && !is_same(TEMPLATE_DIGEST) {
            return self.replace(live, &name);
        }
        if !is_same(SPEC_DIGEST) || !contains(live, want) {
            self.actions.push(Action::Apply(want.clone()));
            self.note("Updated", format!("updated {kind} {name}"));
        }
        Outlook::good("Applied", format!("{kind} {name} does what the spec says"))
    }

    /// OpenKruise does not let the template of an AdvancedCronJob change, so it is made anew. A run that is going on ends
    /// first, and none is started before it has gone. The new one counts from its own beginning, so no time of the
    /// schedule comes twice.
    fn replace(&mut self, live: &Value, name: &str) -> Outlook {
        let running = self.runs_of(live).find(|run| !is_over(run)).map(|run| name_of(run).to_owned());
        if let Some(run) = running {
            let message = format!("AdvancedCronJob {name} is made anew when its run {run} has ended");
            if live["spec"]["paused"] != true {
                self.actions.push(Action::Pause(live.clone()));
            }
            return Outlook::bad("WaitingForRun", message);
        }
        self.actions.push(Action::Delete(live.clone()));
        self.note("Replaced", format!("deleted AdvancedCronJob {name} to make it anew, because its template changed"));
        self.wait(SOON);
        Outlook::bad("Replacing", format!("AdvancedCronJob {name} is going, to be made anew"))
    }

    /// What carried it out before the engine was another one, or before it had a schedule or none.
    fn remove_other_engines(&mut self, engine: Engine) {
        let cron_job = self.observed.advanced_cron_job.filter(|_| engine != Engine::AdvancedCronJob);
        let daemon_set = self.observed.daemon_set.filter(|_| engine != Engine::DaemonSet);
        for object in cron_job.into_iter().chain(daemon_set) {
            if self.owns(object) && !is_going(object) {
                self.actions.push(Action::Delete(object.clone()));
                let (kind, name) = (object["kind"].as_str().unwrap_or("object"), name_of(object));
                self.note("Deleted", format!("deleted {kind} {name}, which the spec does not ask for any more"));
            }
        }
    }

    fn run_now(&mut self, manifest: &NodeCleanup, engine: Engine) {
        let Some(word) = manifest.metadata.annotations.get(RUN_NOW) else { return };
        if self.before.run_now.as_ref() == Some(word) {
            return;
        }
        if engine == Engine::DaemonSet {
            let note = format!("the annotation {RUN_NOW} means nothing with a DaemonSet, whose daemons keep the time");
            self.events.push(EventNote { is_warning: true, reason: "RunNowIgnored", note });
        } else {
            let job = self.owned(marked(run_now(manifest, self.observed.site, word)));
            self.note(
                "RunStarted",
                format!("started BroadcastJob {}, as the annotation {RUN_NOW} asks", name_of(&job)),
            );
            self.actions.push(Action::Apply(job));
        }
        self.before.run_now = Some(word.clone());
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
        excess.extend((0..own.len()).filter(|place| is_outdated(own[*place])));
        self.actions.extend(excess.into_iter().map(|place| Action::Delete(own[place].clone())));
    }

    /// The BroadcastJobs of an AdvancedCronJob.
    fn runs_of(&self, cron_job: &Value) -> impl Iterator<Item = &Value> {
        let name = name_of(cron_job).to_owned();
        let jobs = self.observed.broadcast_jobs.iter().copied();
        jobs.filter(move |job| owners(job).any(|owner| owner["kind"] == "AdvancedCronJob" && owner["name"] == *name))
    }

    fn note(&mut self, reason: &'static str, note: String) {
        self.events.push(EventNote { is_warning: false, reason, note });
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

/// With the annotations by which a change is seen.
fn marked(mut object: Value) -> Value {
    let template = object["spec"]["template"].to_string();
    object["metadata"]["annotations"] = json!({
        SPEC_DIGEST: digest(&object["spec"].to_string()),
        TEMPLATE_DIGEST: digest(&template),
    });
    object
}

/// The ConfigMap with its manifest paused, unless it is so already.
fn paused(config_map: &Value) -> Option<Value> {
    let text = config_map["data"][MANIFEST_KEY].as_str()?;
    let mut manifest = manifest::read(&[Text { origin: "", text, skips_others: false }]).ok()?.pop()?.manifest;
    if manifest.spec.paused {
        return None;
    }
    manifest.spec.paused = true;
    Some(objects::config_map(&manifest))
}

/// Whether everything that is wanted is there. More may be there: what the API server and others add.
fn contains(live: &Value, want: &Value) -> bool {
    match (live, want) {
        (Value::Object(live), Value::Object(want)) => want.iter().all(|(name, want)| match live.get(name) {
            Some(live) => contains(live, want),
            // The API server leaves out what is empty, and false.
            None => matches!(want, Value::Null | Value::Bool(false)) || want == &json!({}) || want == &json!([]),
        }),
        (Value::Array(live), Value::Array(want)) => {
            live.len() == want.len() && live.iter().zip(want).all(|(live, want)| contains(live, want))
        }
        (live, want) => live == want,
    }
}

pub(super) fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten()
}

fn is_going(object: &Value) -> bool {
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
