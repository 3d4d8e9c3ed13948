//! The operator, which watches a cluster, asks daemons, and reconciles one NodeCleanup after the other.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holystone_core::cluster::NodeState;
use holystone_core::text;
use kube::config::InferConfigError;
use kube::{Client, Error};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::daemons::{self, Ask};
use crate::health::{Shared, Watcher, lock};
use crate::mirror::{DaemonPod, ObjectRef, WatchedKind};
use crate::reach::Sentence;
use crate::reconcile::Reconciler;
use crate::settings::Settings;
use crate::watch::{WatchEvent, watch, watch_kruise};

/// Capacity of the channels for news and for answers; their senders wait while they are full.
const CHANNEL: usize = 256;
/// Interval between rounds of questions to the daemons of DaemonSets, and its extension for each daemon: with five
/// thousand, less than a hundred are asked a second.
const ASK_EVERY: (Duration, Duration) = (Duration::from_secs(15), Duration::from_millis(10));
/// An error of connecting to a cluster.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OperatorError(String);

impl OperatorError {
    /// Builds the error that neither a pod's service account nor a kubeconfig names a cluster.
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

/// The operator.
pub struct Operator {
    client: Client,
    settings: Settings,
    shared: Arc<Mutex<Shared>>,
}

/// The answers of the daemons of one NodeCleanup, by pod.
type DaemonAnswers = (ObjectRef, BTreeMap<String, NodeState>);

/// The rounds of questions to daemons.
struct Rounds {
    ask: Ask,
    answers: mpsc::Sender<DaemonAnswers>,
    /// Tasks of the round in progress.
    asking: JoinSet<()>,
    next: Instant,
}

impl Rounds {
    fn new(ask: Ask, answers: mpsc::Sender<DaemonAnswers>) -> Self {
        Self { ask, answers, asking: JoinSet::new(), next: Instant::now() + ASK_EVERY.0 }
    }

    /// Begins a round, unless the previous one is in progress.
    fn begin(&mut self, daemons: BTreeMap<ObjectRef, BTreeMap<String, DaemonPod>>) {
        while self.asking.try_join_next().is_some() {}
        let number = u32::try_from(daemons.values().map(BTreeMap::len).sum::<usize>());
        self.next = Instant::now() + ASK_EVERY.0 + ASK_EVERY.1 * number.unwrap_or(u32::MAX);
        if self.asking.is_empty() {
            self.asking.spawn(ask(daemons, Arc::clone(&self.ask), self.answers.clone()));
        }
    }
}

/// Asks all daemons, one NodeCleanup after the other.
async fn ask(
    daemons: BTreeMap<ObjectRef, BTreeMap<String, DaemonPod>>,
    ask: Ask,
    answers: mpsc::Sender<DaemonAnswers>,
) {
    for (key, pods) in daemons {
        let states = daemons::ask(&key, pods, &ask).await;
        // The receiver is gone when the operator ends.
        drop(answers.send((key, states)).await);
    }
}

/// The watches of a cluster.
struct Watches {
    client: Client,
    namespace: Option<String>,
    news: mpsc::Sender<WatchEvent>,
    tasks: JoinSet<()>,
    has_kruise: bool,
}

impl Watches {
    /// Begins to watch all objects except OpenKruise's, and whether OpenKruise is installed.
    fn begin(client: Client, namespace: Option<String>, news: mpsc::Sender<WatchEvent>) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(watch_kruise(client.clone(), news.clone()));
        let mut watches = Self { client, namespace, news, tasks, has_kruise: false };
        watches.watch(|kind| !kind.is_kruise());
        watches
    }

    /// Begins to watch OpenKruise's objects, unless they are watched already.
    fn watch_kruise_objects(&mut self) {
        if !std::mem::replace(&mut self.has_kruise, true) {
            self.watch(WatchedKind::is_kruise);
        }
    }

    fn watch(&mut self, is_wanted: fn(WatchedKind) -> bool) {
        for kind in WatchedKind::ALL.into_iter().filter(|kind| is_wanted(*kind)) {
            self.tasks.spawn(watch(self.client.clone(), kind, self.namespace.clone(), self.news.clone()));
        }
    }
}

impl Operator {
    /// Creates an operator that has not started yet.
    pub fn new(client: Client, settings: Settings) -> Self {
        Self { client, settings, shared: Arc::default() }
    }

    /// Returns a view of the operator for probes and metrics.
    pub fn watcher(&self) -> Watcher {
        Watcher(Arc::clone(&self.shared))
    }

    /// Runs until it is dropped. Reconciliation is idempotent and can be interrupted at any point: the next operator
    /// continues from the existing objects.
    pub async fn run(&self) {
        let (sender, mut news) = mpsc::channel(CHANNEL);
        let (answers, mut answered) = mpsc::channel(CHANNEL);
        let mut watches = Watches::begin(self.client.clone(), self.settings.namespace.clone(), sender);
        let mut rounds = Rounds::new(Arc::clone(&self.settings.ask), answers);
        let mut reconciler = Reconciler::new(self.client.clone(), self.settings.clone(), Arc::clone(&self.shared));
        loop {
            lock(&self.shared).turn(reconciler.has_seen_all(), Instant::now());
            let wake = reconciler.due().unwrap_or(rounds.next).min(rounds.next);
            tokio::select! {
                Some(news) = news.recv() => match news {
                    WatchEvent::ObjectChange(kind, change) => reconciler.change(kind, change),
                    WatchEvent::Kruise(is_there) => {
                        if is_there {
                            watches.watch_kruise_objects();
                        }
                        reconciler.kruise(is_there);
                    }
                },
                Some((key, states)) = answered.recv() => reconciler.answers(key, &states),
                () = tokio::time::sleep_until(wake) => {
                    if Instant::now() >= rounds.next {
                        rounds.begin(reconciler.daemons());
                    }
                    reconciler.next().await;
                }
            }
        }
    }
}
