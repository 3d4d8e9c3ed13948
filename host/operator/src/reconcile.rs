//! Reconciliation of one NodeCleanup after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holystone_core::cluster::{
    Action, CleanupObject, Decided, NodeState, Observed, Site, decide, is_news, not_applied, other_operator,
};
use holystone_core::manifest::Problem;
use holystone_core::manifest::status::NodeCleanupStatus;
use jiff::{SignedDuration, Timestamp};
use kube::{Client, Error};
use tokio::time::Instant;

use crate::apply::Applier;
use crate::claims::Claims;
use crate::events;
use crate::health::{Shared, lock};
use crate::mirror::{DaemonPod, Mirror, ObjectChange, ObjectRef, WatchedKind};
use crate::queue::{SETTLE, WorkQueue};
use crate::reach::{Sentence, is_away};
use crate::settings::Settings;

/// Delay after a change that only shows how far a run has got. A run on thousands of nodes changes thousands of pods,
/// and the counts of its job as often; its status is written at most this often.
const SETTLE_PROGRESS: Duration = Duration::from_secs(15);
/// Minimum interval between requests for events about one NodeCleanup.
const ASK_EVENTS: Duration = Duration::from_secs(25);
/// The time limit of one call.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval between checks whether another operator still manages a NodeCleanup.
const ASK_CLAIMANT: Duration = Duration::from_secs(15);

/// The mirror of a cluster, and the queue of NodeCleanups to look at.
pub(crate) struct Reconciler {
    client: Client,
    settings: Settings,
    shared: Arc<Mutex<Shared>>,
    world: Mirror,
    queue: WorkQueue,
    claims: Claims,
    hands: Applier,
}

impl Reconciler {
    /// Creates a reconciler that knows nothing yet.
    pub(crate) fn new(client: Client, settings: Settings, shared: Arc<Mutex<Shared>>) -> Self {
        Self {
            world: Mirror::default(),
            queue: WorkQueue::default(),
            claims: Claims::new(client.clone(), &settings.installation),
            hands: Applier::new(client.clone(), &settings.identity),
            client,
            settings,
            shared,
        }
    }

    /// Returns the due time of the first NodeCleanup, once the whole cluster has been seen.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.queue.first().filter(|_| self.world.is_complete()).map(|(_, time)| time)
    }

    /// Takes in a change of an object. Changes come in bursts, so the NodeCleanups concerned are looked at a little
    /// later.
    pub(crate) fn change(&mut self, kind: WatchedKind, change: ObjectChange) {
        let time = if self.world.is_progress(&change) { SETTLE_PROGRESS } else { SETTLE };
        for key in self.world.take(kind, change) {
            let settle = if kind == WatchedKind::NodeCleanup { time } else { self.queue.settle(&key, time) };
            self.queue.by(key, Instant::now() + settle);
        }
    }

    /// Takes in whether OpenKruise is installed. If that is new, all NodeCleanups are looked at.
    pub(crate) fn kruise(&mut self, is_there: bool) {
        if self.world.kruise(is_there) {
            let all: Vec<ObjectRef> = self.world.node_cleanups().cloned().collect();
            for key in all {
                self.queue.by(key, Instant::now() + SETTLE);
            }
        }
    }

    /// Returns whether every kind of object has been listed.
    pub(crate) fn has_seen_all(&self) -> bool {
        self.world.is_complete()
    }

    /// Returns the daemons of all NodeCleanups.
    pub(crate) fn daemons(&self) -> BTreeMap<ObjectRef, BTreeMap<String, DaemonPod>> {
        self.world.daemons()
    }

    /// Takes in the answers of daemons.
    pub(crate) fn answers(&mut self, key: ObjectRef, answers: &BTreeMap<String, NodeState>) {
        self.world.hear(&key, answers);
        self.queue.by(key, Instant::now());
    }

    /// Reconciles the first NodeCleanup that is due, if there is one.
    pub(crate) async fn next(&mut self) {
        let first = self.queue.first().filter(|(_, time)| *time <= Instant::now() && self.world.is_complete());
        let Some(key) = first.map(|(key, _)| key.clone()) else { return };
        self.queue.due.remove(&key);
        if self.is_ours(&key).await {
            self.look_at(&key).await;
        }
    }

    /// Returns whether no other operator manages a NodeCleanup. Reports another operator once, and checks again later.
    async fn is_ours(&mut self, key: &ObjectRef) -> bool {
        let Some(object) = self.world.node_cleanup(key) else { return true };
        let Some(claimant) = object.status.foreign.operator.as_deref() else { return true };
        if !self.claims.is_taken(claimant).await {
            self.queue.others.remove(key);
            return true;
        }
        self.queue.by(key.clone(), Instant::now() + ASK_CLAIMANT);
        if self.queue.others.insert(key.clone(), claimant.to_owned()).as_deref() != Some(claimant) {
            let event = other_operator(claimant, &self.settings.installation);
            tracing::warn!("{key}: {}", event.note);
            self.hands.tell(object, &event).await;
        }
        false
    }

    /// Reconciles a NodeCleanup, and puts it back into the queue if it needs another look.
    async fn look_at(&mut self, key: &ObjectRef) {
        let acts = self.queue.acts(key);
        self.inquire(key).await;
        let problems = self.checked(key).await;
        let site = Site { image: &self.settings.image, allowed: &self.settings.allowed };
        let look = |observed: &Observed<'_>| {
            let operator = &self.settings.installation;
            let observed = Observed { problems: &problems, operator, ..observed.clone() };
            (observed.object.clone(), decide(&observed))
        };
        let Some((object, decided)) = self.world.observe(key, site, acts, Timestamp::now(), look) else {
            self.queue.forget(key);
            lock(&self.shared).health.cleanups.remove(&(key.namespace.clone(), key.name.clone()));
            return;
        };
        let again = decided.again;
        let done: Vec<String> = decided.actions.iter().map(Action::to_string).collect();
        let mut status = decided.status.clone();
        let result = tokio::time::timeout(PATIENCE, self.carry_out(key, &object, decided, &mut status)).await;
        lock(&self.shared).health.cleanups.insert((key.namespace.clone(), key.name.clone()), status);
        match result {
            Ok(Ok(())) => self.succeeded(key, object.meta.generation, done, again),
            Ok(Err(error)) => self.failed(key, &Sentence(&error).to_string(), is_away(&error)),
            Err(_) => {
                let why = format!("the API server has not answered for {} seconds", PATIENCE.as_secs());
                self.failed(key, &why, false);
            }
        }
    }

    fn succeeded(
        &mut self,
        key: &ObjectRef,
        generation: Option<i64>,
        done: Vec<String>,
        again: Option<SignedDuration>,
    ) {
        lock(&self.shared).health.done += 1;
        self.queue.failures.remove(key);
        let again = again.map(|again| again.max(SignedDuration::ZERO).unsigned_abs());
        let once_more = self.queue.acted(key, generation, done);
        if let Some(wait) = again.into_iter().chain(once_more).min() {
            self.queue.by(key.clone(), Instant::now() + wait);
        }
    }

    fn failed(&mut self, key: &ObjectRef, why: &str, is_away: bool) {
        lock(&self.shared).health.failed += 1;
        let wait = self.queue.failed(key);
        if is_away {
            tracing::debug!("{key} is looked at again in {} seconds: {why}", wait.as_secs());
        } else {
            tracing::warn!("{key} is looked at again in {} seconds: {why}", wait.as_secs());
        }
        self.queue.by(key.clone(), Instant::now() + wait);
    }

    /// Requests events about objects that do not explain their problem themselves, at limited intervals.
    async fn inquire(&mut self, key: &ObjectRef) {
        let questions = self.world.questions(key, Timestamp::now());
        let is_early = self.queue.inquired.get(key).is_some_and(|asked| asked.elapsed() < ASK_EVENTS);
        if questions.is_empty() || is_early {
            return;
        }
        self.queue.inquired.insert(key.clone(), Instant::now());
        for question in questions {
            let asked = events::about(&self.client, &question.namespace, &question.uid);
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(events)) => self.world.answer(&question, &events),
                Ok(Err(error)) => return tracing::warn!("{key}: events cannot be read: {error}"),
                Err(_) => return tracing::warn!("{key}: events cannot be read: the API server does not answer"),
            }
        }
    }

    /// Checks a spec when it has changed. If the check exceeds its time limit, the spec counts as valid: its pods check
    /// it as well.
    async fn checked(&mut self, key: &ObjectRef) -> Vec<Problem> {
        let Some(object) = self.world.node_cleanup(key) else { return Vec::new() };
        let spec = object.raw_spec().clone();
        if let Some((known, problems)) = self.queue.checked.get(key)
            && *known == spec
        {
            return problems.clone();
        }
        let Ok(problems) = tokio::time::timeout(PATIENCE, (self.settings.check)(object.raw.clone())).await else {
            tracing::warn!("{key}: its plugins could not be checked within {} seconds", PATIENCE.as_secs());
            return Vec::new();
        };
        self.queue.checked.insert(key.clone(), (spec, problems.clone()));
        problems
    }

    /// Carries out the actions, then writes the status, then publishes the events. If the operator is interrupted in
    /// between, the rest is done by the next reconciliation. If an action failed, `status` is changed to what is true
    /// then.
    async fn carry_out(
        &mut self,
        key: &ObjectRef,
        object: &CleanupObject,
        decided: Decided,
        status: &mut NodeCleanupStatus,
    ) -> Result<(), Error> {
        let mut failure = None;
        for action in &decided.actions {
            match self.hands.act(action).await {
                Ok(Some((kind, change))) => drop::<BTreeSet<ObjectRef>>(self.world.take(kind, change)),
                Ok(None) => {}
                // Another writer was faster, and the watch will show its change.
                Err(Error::Api(status)) if status.reason == "Conflict" => return Err(Error::Api(status)),
                Err(error) => {
                    let is_there_already = matches!(&error, Error::Api(status) if status.reason == "AlreadyExists");
                    failure = Some((action.obstacle(is_there_already, Sentence(&error).to_string()), error));
                    break;
                }
            }
        }
        let mut complaint = None;
        if let Some((obstacle, _)) = &failure {
            let has_workload = self.world.has_workload(key);
            (*status, complaint) = not_applied(object, status, obstacle, has_workload, Timestamp::now());
        }
        if is_news(object, status) {
            // If two operators claim the NodeCleanup at once, one of them finds that it has changed.
            let is_claim = object.status.foreign.operator != status.operator;
            let version = object.meta.resource_version.as_deref().filter(|_| is_claim);
            let change = self.hands.write_status(key, status, version).await?;
            self.world.take(WatchedKind::NodeCleanup, change);
        }
        if let Some(complaint) = &complaint {
            self.hands.tell(object, complaint).await;
        }
        // The status says that runs have ended, so nothing would report their ends later. What was to be done is not done.
        let events = decided.events.iter().filter(|event| failure.is_none() || event.reason.is_end_of_run());
        for event in events {
            if event.is_warning {
                tracing::warn!("{key}: {}: {}", event.reason, event.note);
            } else {
                tracing::info!("{key}: {}: {}", event.reason, event.note);
            }
            self.hands.tell(object, event).await;
        }
        failure.map_or(Ok(()), |(_, error)| Err(error))
    }
}
