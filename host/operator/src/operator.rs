//! One NodeCleanup after the other, from what is known to what is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holystone_core::cluster::{
    Action, Allowed, Decided, NodeState, Observed, Site, decide, is_news, not_applied, other_operator,
};
use holystone_core::manifest::Problem;
use holystone_core::manifest::status::NodeCleanupStatus;
use holystone_core::text;
use jiff::{SignedDuration, Timestamp};
use kube::config::InferConfigError;
use kube::{Client, Error};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::claims::Claims;
use crate::daemons::{self, Ask};
use crate::events;
use crate::hands::Hands;
use crate::reach::{Sentence, is_away};
use crate::watch::{News, watch, watch_kruise};
use crate::world::{Daemon, Key, Kind, World};

/// How many news may wait; watches wait when there are more.
const CHANNEL: usize = 256;
/// How long to wait after a change before acting on it: changes come in swarms.
const SETTLE: Duration = Duration::from_millis(200);
/// The delay after a change that only says how far a run has got: a run on thousands of nodes changes thousands
/// of pods and the counts of its job as often, and its status is written at most this often.
const SETTLE_PROGRESS: Duration = Duration::from_secs(15);
/// How often the daemons of DaemonSets are asked, and how much longer it takes for each of them: of five thousand, a
/// hundred a second.
const ASK_EVERY: (Duration, Duration) = (Duration::from_secs(15), Duration::from_millis(10));
/// The shortest interval between requests for events about one NodeCleanup.
const ASK_EVENTS: Duration = Duration::from_secs(25);
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long before the first retry, and the longest before a later one.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// The time without any action after which earlier ones are forgotten.
const CALM: Duration = Duration::from_mins(10);
/// The interval at which the operator asks whether another one still looks after a NodeCleanup.
const ASK_CLAIMANT: Duration = Duration::from_secs(15);
/// How long a turn of the loop may take before it counts as stuck.
const STUCK: Duration = Duration::from_mins(5);

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OperatorError(String);

impl OperatorError {
    /// Neither a pod's service account nor a kubeconfig names a cluster.
    pub(crate) fn no_cluster(error: &InferConfigError) -> Self {
        let kubeconfig = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        Self(format!(
            "no cluster is named: this is no pod with a service account, and the kubeconfig (KUBECONFIG, or \
             ~/.kube/config) cannot be used: {}",
            text::shown(&kubeconfig)
        ))
    }

    pub(crate) fn kubeconfig(file: Option<&Path>, error: &dyn Display) -> Self {
        let file =
            file.map_or_else(|| "the kubeconfig".to_owned(), |file| format!("the kubeconfig {}", file.display()));
        Self(format!("{file} cannot be used: {error}"))
    }

    pub(crate) fn connect(error: &Error) -> Self {
        Self(format!("the cluster cannot be spoken to: {}", Sentence(error)))
    }
}

/// What the operator is told.
#[derive(Clone)]
pub struct Settings {
    /// The namespace to look after; all without one.
    pub namespace: Option<String>,
    /// The image that pods on the nodes run.
    pub image: String,
    /// The limits of what NodeCleanups may ask of nodes.
    pub allowed: Allowed,
    /// What this replica is called.
    pub identity: String,
    /// The name of all replicas together: `NAMESPACE/NAME` of their Lease, or the name of the only one.
    pub installation: String,
    /// How daemons are asked.
    pub ask: Ask,
    /// How what a NodeCleanup says of plugins and log roots is checked.
    pub check: Check,
}

/// Finds what is wrong with a NodeCleanup beyond its text, which the operator, that knows no plugins, cannot.
pub type Check = Arc<dyn Fn(Value) -> Pin<Box<dyn Future<Output = Vec<Problem>> + Send>> + Send + Sync>;

/// How the operator stands, for those who ask.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Whether this is the replica that acts.
    pub is_leader: bool,
    /// How often a NodeCleanup was looked at and everything went well.
    pub done: u64,
    /// How often something failed.
    pub failed: u64,
    /// The statuses of all NodeCleanups, by namespace and name.
    pub cleanups: BTreeMap<(String, String), NodeCleanupStatus>,
}

/// The operator.
pub struct Operator {
    client: Client,
    settings: Settings,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    standing: Standing,
    turned: Option<Instant>,
}

/// A view of an operator that goes on.
#[derive(Clone)]
pub struct Watcher(Arc<Mutex<Shared>>);

impl Watcher {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        lock(&self.0).standing.clone()
    }

    /// Whether its loop goes on; one that waits for the lease does.
    pub fn is_alive(&self) -> bool {
        lock(&self.0).turned.is_none_or(|turned| turned.elapsed() < STUCK)
    }

    /// Takes in whether this replica acts.
    pub fn lead(&self, leads: bool) {
        lock(&self.0).standing.is_leader = leads;
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When each NodeCleanup is to be looked at.
#[derive(Default)]
struct Agenda {
    due: BTreeMap<Key, Instant>,
    failures: BTreeMap<Key, u32>,
    /// Recent actions.
    acts: BTreeMap<Key, Acts>,
    /// NodeCleanups that other operators look after, and their names.
    others: BTreeMap<Key, String>,
    /// When events were last asked for.
    inquired: BTreeMap<Key, Instant>,
    /// What was wrong with each spec when it was checked last.
    checked: BTreeMap<Key, (Value, Vec<Problem>)>,
}

/// The actions for one spec, with the number of times of each. A writer that undoes them may wait in between, as
/// another operator does that replaces the same objects, so a look with nothing to do forgets none of it.
struct Acts {
    generation: Value,
    times: BTreeMap<String, u32>,
    last: Instant,
}

impl Acts {
    fn new(generation: &Value) -> Self {
        Self { generation: generation.clone(), times: BTreeMap::new(), last: Instant::now() }
    }

    fn is_over(&self) -> bool {
        self.last.elapsed() > CALM
    }
}

impl Agenda {
    /// Not later than this.
    fn by(&mut self, key: Key, time: Instant) {
        self.due.entry(key).and_modify(|due| *due = (*due).min(time)).or_insert(time);
    }

    fn first(&self) -> Option<(&Key, Instant)> {
        self.due.iter().min_by_key(|(_, time)| **time).map(|(key, time)| (key, *time))
    }

    fn failed(&mut self, key: &Key) -> Duration {
        let failures = self.failures.entry(key.clone()).or_default();
        let wait = doubled(BACK_OFF.0, *failures);
        *failures += 1;
        wait
    }

    /// What was changed is looked at once more, as it has become; when, if anything was.
    fn acted(&mut self, key: &Key, generation: &Value, done: Vec<String>) -> Option<Duration> {
        if done.is_empty() {
            return None;
        }
        let acts = self.acts.entry(key.clone()).or_insert_with(|| Acts::new(generation));
        if acts.generation != *generation || acts.is_over() {
            *acts = Acts::new(generation);
        }
        acts.last = Instant::now();
        for what in done {
            *acts.times.entry(what).or_default() += 1;
        }
        Some(self.settle(key, SETTLE))
    }

    /// Returns the largest number of recent repetitions of one action.
    fn acts(&self, key: &Key) -> u32 {
        let acts = self.acts.get(key).filter(|acts| !acts.is_over());
        acts.and_then(|acts| acts.times.values().max().copied()).unwrap_or_default()
    }

    /// Returns the delay after a change: the longer, the more often the same had to be done, because then another
    /// writer undoes it.
    fn settle(&self, key: &Key, time: Duration) -> Duration {
        doubled(time, self.acts(key).saturating_sub(1))
    }

    fn forget(&mut self, key: &Key) {
        self.failures.remove(key);
        self.acts.remove(key);
        self.checked.remove(key);
        self.inquired.remove(key);
        self.others.remove(key);
    }
}

fn doubled(time: Duration, times: u32) -> Duration {
    time.saturating_mul(1 << times.min(16)).min(BACK_OFF.1)
}

/// Asks all daemons, of one NodeCleanup after the other.
async fn ask(
    daemons: BTreeMap<Key, BTreeMap<String, Daemon>>,
    ask: Ask,
    heard: mpsc::Sender<(Key, BTreeMap<String, NodeState>)>,
) {
    for (key, pods) in daemons {
        let told = daemons::ask(&key, pods, &ask).await;
        // Nobody listens any more when the operator ends.
        drop(heard.send((key, told)).await);
    }
}

impl Operator {
    /// An operator that has not begun yet.
    pub fn new(client: Client, settings: Settings) -> Self {
        Self { client, settings, shared: Arc::default() }
    }

    /// For those who ask how it stands.
    pub fn watcher(&self) -> Watcher {
        Watcher(Arc::clone(&self.shared))
    }

    /// Goes on until it is dropped. What it does can be cut off anywhere: the next one goes on from what is there.
    pub async fn run(&self) {
        let (sender, mut news) = mpsc::channel(CHANNEL);
        let mut watches = JoinSet::new();
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_kruise()) {
            watches.spawn(watch(self.client.clone(), kind, self.settings.namespace.clone(), sender.clone()));
        }
        watches.spawn(watch_kruise(self.client.clone(), sender.clone()));
        let hands = Hands::new(self.client.clone(), &self.settings.identity);
        let mut claims = Claims::new(self.client.clone(), &self.settings.installation);
        let (heard_sender, mut heard) = mpsc::channel(CHANNEL);
        let mut world = World::default();
        let mut agenda = Agenda::default();
        let mut kruise_is_watched = false;
        let mut asking = JoinSet::new();
        let mut ask_at = Instant::now() + ASK_EVERY.0;
        loop {
            lock(&self.shared).turned = Some(Instant::now());
            let next = agenda.first().filter(|_| world.is_complete()).map(|(_, time)| time);
            let wake = next.unwrap_or(ask_at).min(ask_at);
            tokio::select! {
                Some(news) = news.recv() => match news {
                    News::Change(kind, change) => {
                        let time = if world.is_progress(kind, &change) { SETTLE_PROGRESS } else { SETTLE };
                        for key in world.take(kind, change) {
                            let settle = if kind == Kind::NodeCleanup { time } else { agenda.settle(&key, time) };
                            agenda.by(key, Instant::now() + settle);
                        }
                    }
                    News::Kruise(is_there) => {
                        if is_there && !kruise_is_watched {
                            kruise_is_watched = true;
                            for kind in Kind::ALL.into_iter().filter(|kind| kind.is_kruise()) {
                                watches.spawn(watch(self.client.clone(), kind, self.settings.namespace.clone(), sender.clone()));
                            }
                        }
                        if world.kruise(is_there) {
                            let all: Vec<Key> = world.node_cleanups().map(|(key, _)| key.clone()).collect();
                            for key in all {
                                agenda.by(key, Instant::now() + SETTLE);
                            }
                        }
                    }
                },
                Some((key, told)) = heard.recv() => {
                    world.hear(&key, &told);
                    agenda.by(key, Instant::now());
                }
                () = tokio::time::sleep_until(wake) => {
                    if Instant::now() >= ask_at {
                        while asking.try_join_next().is_some() {}
                        let daemons = world.daemons();
                        let number = u32::try_from(daemons.values().map(BTreeMap::len).sum::<usize>());
                        ask_at = Instant::now() + ASK_EVERY.0 + ASK_EVERY.1 * number.unwrap_or(u32::MAX);
                        if asking.is_empty() {
                            asking.spawn(ask(daemons, Arc::clone(&self.settings.ask), heard_sender.clone()));
                        }
                    }
                    let first = agenda.first().filter(|(_, time)| *time <= Instant::now() && world.is_complete());
                    if let Some(key) = first.map(|(key, _)| key.clone()) {
                        agenda.due.remove(&key);
                        if self.is_ours(&key, &world, &mut agenda, &mut claims, &hands).await {
                            self.look_at(&key, &mut world, &mut agenda, &hands).await;
                        }
                    }
                }
            }
        }
    }

    /// Returns whether no other operator looks after a NodeCleanup. Reports another one once, and asks again later.
    async fn is_ours(&self, key: &Key, world: &World, agenda: &mut Agenda, claims: &mut Claims, hands: &Hands) -> bool {
        let Some(object) = world.node_cleanup(key) else { return true };
        let Some(claimant) = object["status"]["operator"].as_str() else { return true };
        if !claims.is_taken(claimant).await {
            agenda.others.remove(key);
            return true;
        }
        agenda.by(key.clone(), Instant::now() + ASK_CLAIMANT);
        if agenda.others.insert(key.clone(), claimant.to_owned()).as_deref() != Some(claimant) {
            let event = other_operator(claimant, &self.settings.installation);
            tracing::warn!("{key}: {}", event.note);
            hands.tell(object, &event).await;
        }
        false
    }

    async fn look_at(&self, key: &Key, world: &mut World, agenda: &mut Agenda, hands: &Hands) {
        let acts = agenda.acts(key);
        self.inquire(key, world, agenda).await;
        let problems = self.checked(key, world, agenda).await;
        let site = Site { image: &self.settings.image, allowed: &self.settings.allowed };
        let look = |observed: &Observed<'_>| {
            let operator = &self.settings.installation;
            let observed = Observed { problems: &problems, operator, ..observed.clone() };
            (observed.object.clone(), decide(&observed))
        };
        let Some((object, decided)) = world.observe(key, site, acts, Timestamp::now(), look) else {
            agenda.forget(key);
            lock(&self.shared).standing.cleanups.remove(&(key.namespace.clone(), key.name.clone()));
            return;
        };
        let again = decided.again;
        let done: Vec<String> = decided.actions.iter().map(Action::to_string).collect();
        let status = decided.status.clone();
        let failure = tokio::time::timeout(PATIENCE, self.carry_out(key, &object, decided, world, hands)).await;
        let failure = match failure {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some((Sentence(&error).to_string(), is_away(&error))),
            Err(_) => Some((format!("the API server has not answered for {} seconds", PATIENCE.as_secs()), false)),
        };
        let mut shared = lock(&self.shared);
        shared.standing.cleanups.insert((key.namespace.clone(), key.name.clone()), status);
        match failure {
            None => {
                shared.standing.done += 1;
                agenda.failures.remove(key);
                let again = again.map(|again| again.max(SignedDuration::ZERO).unsigned_abs());
                let once_more = agenda.acted(key, &object["metadata"]["generation"], done);
                if let Some(wait) = again.into_iter().chain(once_more).min() {
                    agenda.by(key.clone(), Instant::now() + wait);
                }
            }
            Some((why, is_away)) => {
                shared.standing.failed += 1;
                let wait = agenda.failed(key);
                if is_away {
                    tracing::debug!("{key} is looked at again in {} seconds: {why}", wait.as_secs());
                } else {
                    tracing::warn!("{key} is looked at again in {} seconds: {why}", wait.as_secs());
                }
                agenda.by(key.clone(), Instant::now() + wait);
            }
        }
    }

    /// Asks for events about what does not say itself what is wrong, now and then.
    async fn inquire(&self, key: &Key, world: &mut World, agenda: &mut Agenda) {
        let questions = world.questions(key, Timestamp::now());
        let is_early = agenda.inquired.get(key).is_some_and(|asked| asked.elapsed() < ASK_EVENTS);
        if questions.is_empty() || is_early {
            return;
        }
        agenda.inquired.insert(key.clone(), Instant::now());
        for question in questions {
            let asked = events::about(&self.client, &question.namespace, &question.uid);
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(events)) => world.answer(&question, &events),
                Ok(Err(error)) => return tracing::warn!("{key}: events cannot be read: {error}"),
                Err(_) => return tracing::warn!("{key}: events cannot be read: the API server does not answer"),
            }
        }
    }

    /// Checks a spec when it has changed. One that cannot be checked in time counts as fine: its pods check it as well.
    async fn checked(&self, key: &Key, world: &World, agenda: &mut Agenda) -> Vec<Problem> {
        let Some(object) = world.node_cleanup(key) else { return Vec::new() };
        let spec = object["spec"].clone();
        if let Some((known, problems)) = agenda.checked.get(key)
            && *known == spec
        {
            return problems.clone();
        }
        let Ok(problems) = tokio::time::timeout(PATIENCE, (self.settings.check)(object.clone())).await else {
            tracing::warn!("{key}: its plugins could not be checked within {} seconds", PATIENCE.as_secs());
            return Vec::new();
        };
        agenda.checked.insert(key.clone(), (spec, problems.clone()));
        problems
    }

    /// Actions first, then the status that says so, then events: who is cut off in between does the rest again.
    async fn carry_out(
        &self,
        key: &Key,
        object: &Value,
        decided: Decided,
        world: &mut World,
        hands: &Hands,
    ) -> Result<(), Error> {
        let mut failure = None;
        for action in &decided.actions {
            match hands.act(action).await {
                Ok(Some((kind, change))) => drop::<BTreeSet<Key>>(world.take(kind, change)),
                Ok(None) => {}
                // Another writer was quicker, as the watch will show.
                Err(Error::Api(status)) if status.reason == "Conflict" => return Err(Error::Api(status)),
                Err(error) => {
                    let is_there_already = matches!(&error, Error::Api(status) if status.reason == "AlreadyExists");
                    failure = Some((action.obstacle(is_there_already, Sentence(&error).to_string()), error));
                    break;
                }
            }
        }
        let (mut status, mut complaint) = (decided.status, None);
        if let Some((obstacle, _)) = &failure {
            (status, complaint) = not_applied(object, &status, obstacle, Timestamp::now());
        }
        if is_news(object, &status) {
            // Of two operators that claim it at once, one finds that it has changed.
            let is_claim = object["status"]["operator"].as_str() != status.operator.as_deref();
            let version = object["metadata"]["resourceVersion"].as_str().filter(|_| is_claim);
            let change = hands.write_status(key, &status, version).await?;
            world.take(Kind::NodeCleanup, change);
        }
        if let Some(complaint) = &complaint {
            hands.tell(object, complaint).await;
        }
        if let Some((_, error)) = failure {
            return Err(error);
        }
        for event in &decided.events {
            tracing::info!("{key}: {}: {}", event.reason, event.note);
            hands.tell(object, event).await;
        }
        Ok(())
    }
}
