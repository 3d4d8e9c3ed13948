//! The daemon, which carries out manifests repeatedly on one machine.
//!
//! `holystone-core` decides what is due; the loop here owns the clock, the files and the signals. The loop never
//! blocks: runs, reading manifests and measuring disks are separate tasks.
//!
//! - `reload`: the manifests, reloaded when they change.
//! - `history`: the records on disk.
//! - `health`, `metrics`: the answers over HTTP.
//! - `notify`: the messages to systemd.

mod health;
mod history;
mod metrics;
mod notify;
mod reload;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use holystone_core::daemon::status::{self, CleanupStatus, Run, Status};
use holystone_core::daemon::{self, Agenda, Cause, Entry, Record, RunResult, ScheduleProgress, Start};
use holystone_core::pressure::Need;
use holystone_core::report::Brief;
use jiff::Timestamp;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::health::Health;
use self::history::RunHistory;
use self::notify::Notifier;
use self::reload::{Fingerprint, ManifestSource, ScheduledCleanup};
use crate::error::UsageError;
use crate::http;
use crate::manifests::Manifests;
use crate::node::{self, LiveNode, NodeOptions};
use crate::node_state;
use crate::plugins::CacheDir;
use crate::policy::{Overrides, Policy};
use crate::prepare::Prepared;
use crate::run::{self, RunOptions, RunOutput};
use crate::stop::{Stop, StopHandle, StopToken};

/// The interval at which the loop checks the clock and the files: clocks are set and machines sleep without notice.
const TURN: Duration = Duration::from_secs(5);

/// The longest wait for another run on this node.
const LOCK_PATIENCE: Duration = Duration::from_mins(5);

/// Default interval between two measurements of disks.
const WATCH: Duration = Duration::from_mins(1);

/// The settings of a daemon.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// The manifests to carry out.
    pub manifests: Manifests,
    /// The flags that override the manifests.
    pub overrides: Overrides,
    /// The node, and the location of its state.
    pub node: NodeOptions,
    /// The cache of compiled plugins.
    pub cache: CacheDir,
    /// Directory for the daemon's own records; the state directory by default.
    pub history_dir: Option<PathBuf>,
    /// The address for HTTP; without it, the daemon does not listen.
    pub listen: Option<SocketAddr>,
    /// The longest delay of scheduled starts on this machine.
    pub jitter: Duration,
    /// The interval between measurements of disks: a minute by default; zero disables them.
    pub watch_interval: Option<Duration>,
}

/// Carries out manifests until a stop is requested. Returns the summary of the last run, if there was one.
///
/// # Errors
/// When the manifests cannot be used, or the daemon cannot be started.
pub async fn run_daemon(options: DaemonOptions) -> anyhow::Result<Option<Brief>> {
    let DaemonOptions { manifests, overrides, node, cache, history_dir, listen, jitter, watch_interval } = options;
    if manifests.is_empty() {
        return Err(UsageError::new("the daemon runs by manifests: name some with -f").into());
    }
    let mut signals = DaemonSignals::listen()?;
    let node_name = node::node_name(&node);
    let source = ManifestSource { manifests, cache, overrides, node_name, jitter, watch_interval };
    let files = source.fingerprint();
    // A plugin that compiles slowly, or a schema whose check never ends, must not block a stop.
    let cleanups = tokio::select! {
        biased;
        () = signals.end() => return Ok(None),
        cleanups = source.read() => cleanups?,
    };
    let history = match history_dir {
        Some(directory) => RunHistory::open(&directory)?,
        None => RunHistory::open(&node_state::directory(node.state_dir.as_deref())?)?,
    };
    let listener = match listen {
        Some(address) => Some(http::listen(address).await?),
        None => None,
    };
    let mut daemon = Daemon::new(source, node, history, files);
    daemon.take(cleanups);
    daemon.publish();
    if let Some(listener) = listener {
        tokio::spawn(http::serve(listener, Arc::clone(&daemon.health)));
    }
    Ok(daemon.work(signals).await)
}

/// The signals that the daemon acts on.
struct DaemonSignals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl DaemonSignals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
        })
    }

    /// Waits until a stop is requested.
    async fn end(&mut self) {
        tokio::select! {
            Some(()) = self.terminate.recv() => {}
            Some(()) = self.interrupt.recv() => {}
        }
    }
}

/// A run in progress.
struct Running {
    /// Namespace and name of the run's manifest, which may have changed or been removed since.
    name: String,
    start: Start,
    started_at: Timestamp,
    stop: StopHandle,
    /// Set once the run has been asked to end.
    asked: bool,
    task: JoinHandle<anyhow::Result<RunOutput>>,
}

/// The state of the loop.
struct Daemon {
    source: ManifestSource,
    node: NodeOptions,
    cleanups: Vec<ScheduledCleanup>,
    history: RunHistory,
    running: Option<Running>,
    /// The manifests whose disk is above their pressure bound.
    full: BTreeSet<String>,
    /// The interval of disk measurements, and the time of the next one; `None` disables them.
    watch: Option<(Duration, Instant)>,
    measuring: Option<JoinHandle<BTreeSet<String>>>,
    files: Fingerprint,
    reading: Option<JoinHandle<anyhow::Result<Vec<ScheduledCleanup>>>>,
    read_at: Timestamp,
    reload_problem: Option<String>,
    started_at: Timestamp,
    stopping: bool,
    health: Arc<Health>,
    notifier: Notifier,
}

/// The event that wakes the loop.
enum WakeEvent {
    Ended(Box<anyhow::Result<RunOutput>>),
    Read(anyhow::Result<Vec<ScheduledCleanup>>),
    Measured(BTreeSet<String>),
    Stop,
    Reload,
    Turn,
}

impl Daemon {
    fn new(source: ManifestSource, node: NodeOptions, history: RunHistory, files: Fingerprint) -> Self {
        let watch_interval = source.watch_interval.unwrap_or(WATCH);
        let now = Timestamp::now();
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: now,
            stopping: false,
            read_at: now,
            reload_problem: None,
            node_cleanups: Vec::new(),
        };
        Self {
            source,
            node,
            cleanups: Vec::new(),
            history,
            running: None,
            full: BTreeSet::new(),
            watch: (!watch_interval.is_zero()).then(|| (watch_interval, Instant::now())),
            measuring: None,
            files,
            reading: None,
            read_at: now,
            reload_problem: None,
            started_at: now,
            stopping: false,
            health: Arc::new(Health::new(status)),
            notifier: Notifier::from_environment(),
        }
    }

    /// Runs the loop until a stop is requested and no run is in progress. Returns the summary of the last run, if there
    /// was one.
    async fn work(mut self, mut signals: DaemonSignals) -> Option<Brief> {
        self.notifier.ready(&self.summary());
        while !self.is_over() {
            let wake = self.act();
            self.publish();
            self.notifier.alive();
            let event = self.event(&mut signals, self.pause(wake)).await;
            self.handle(event);
        }
        self.publish();
        let records = self.cleanups.iter().flat_map(|cleanup| self.history.runs(&cleanup.name));
        let last = records.max_by_key(|(_, record)| record.finished_at);
        last.map(|(_, record)| record.brief.clone())
    }

    fn is_over(&self) -> bool {
        self.stopping && self.running.is_none()
    }

    /// Performs what is due. Returns the time at which something will be due next.
    fn act(&mut self) -> Option<Timestamp> {
        let now = Timestamp::now();
        for cleanup in &self.cleanups {
            self.history.tidy(&cleanup.name, cleanup.limits, cleanup.ttl, now);
            let standing = self.history.standing(&cleanup.name, now);
            self.history.set_standing(&cleanup.name, standing.mended(&cleanup.duty, now));
        }
        if self.stopping {
            return None;
        }
        let Agenda { start, replace, wake } = self.agenda(now);
        if let Some(running) = self.running.as_mut().filter(|running| replace && !running.asked) {
            tracing::info!(node_cleanup = running.name, "the next run is due and replaces the one that is going on");
            running.asked = true;
            running.stop.ask();
        }
        if let Some(start) = start {
            self.start(start, now);
        }
        wake
    }

    fn agenda(&mut self, now: Timestamp) -> Agenda {
        let standings: Vec<ScheduleProgress> =
            self.cleanups.iter().map(|cleanup| self.history.standing(&cleanup.name, now)).collect();
        let is_active = |name: &str| self.running.as_ref().is_some_and(|running| running.name == name);
        let entry = |(cleanup, standing)| {
            let ScheduledCleanup { name, duty, .. }: &ScheduledCleanup = cleanup;
            Entry { duty, standing, active: is_active(name), full: self.full.contains(name) }
        };
        let entries: Vec<Entry<'_>> = self.cleanups.iter().zip(&standings).map(entry).collect();
        let mut agenda = daemon::agenda(&entries, now);
        // The run in progress may belong to a manifest that is gone, which the entries do not show.
        if self.running.is_some() {
            agenda.start = None;
        }
        agenda
    }

    fn start(&mut self, start: Start, now: Timestamp) {
        let ScheduledCleanup { name, policy, .. } = self.cleanups[start.entry].clone();
        tracing::info!(node_cleanup = name, cause = ?start.cause, attempt = start.attempt, "a run starts");
        // The progress is saved before the run starts, so that no tick runs twice, whenever this process dies.
        let standing = self.history.standing(&name, now).started(&start, now);
        self.history.set_standing(&name, standing);
        let (stop, token) = StopToken::with_handle();
        let run = one_run(Prepared::later(policy, self.source.cache.clone()), self.node.clone(), token);
        let task = tokio::spawn(run);
        self.running = Some(Running { name, start, started_at: now, stop, asked: false, task });
    }

    /// Computes how long to wait for the next event.
    fn pause(&self, wake: Option<Timestamp>) -> Duration {
        let until = |wake| Duration::try_from(Timestamp::now().duration_until(wake)).unwrap_or(Duration::ZERO);
        let until_wake = wake.map(until);
        let beat = self.notifier.beat();
        [until_wake, beat].into_iter().flatten().fold(TURN, Duration::min)
    }

    async fn event(&mut self, signals: &mut DaemonSignals, pause: Duration) -> WakeEvent {
        let Self { running, reading, measuring, .. } = self;
        tokio::select! {
            biased;
            Some(()) = signals.terminate.recv() => WakeEvent::Stop,
            Some(()) = signals.interrupt.recv() => WakeEvent::Stop,
            output = done(running.as_mut().map(|running| &mut running.task)) => {
                WakeEvent::Ended(Box::new(output.context("the run broke off").flatten()))
            }
            read = done(reading.as_mut()) => WakeEvent::Read(read.context("reading broke off").flatten()),
            full = done(measuring.as_mut()) => WakeEvent::Measured(full.unwrap_or_default()),
            Some(()) = signals.reload.recv() => WakeEvent::Reload,
            () = tokio::time::sleep(pause) => WakeEvent::Turn,
        }
    }

    fn handle(&mut self, event: WakeEvent) {
        match event {
            WakeEvent::Ended(output) => self.ended(*output),
            WakeEvent::Read(read) => self.has_read(read),
            WakeEvent::Measured(full) => {
                self.measuring = None;
                self.full = full;
            }
            WakeEvent::Stop => self.stop(),
            WakeEvent::Reload => self.read_again(),
            WakeEvent::Turn => {
                if self.source.fingerprint() != self.files {
                    self.read_again();
                }
                self.measure();
            }
        }
    }

    fn stop(&mut self) {
        tracing::info!("asked to end");
        self.stopping = true;
        self.notifier.stopping();
        if let Some(running) = &mut self.running {
            running.asked = true;
            running.stop.ask();
        }
    }

    fn read_again(&mut self) {
        if self.stopping {
            return;
        }
        // The read in progress may be outdated, and may never end. An abort ends its workers as well.
        if let Some(outdated) = self.reading.take() {
            outdated.abort();
        }
        self.files = self.source.fingerprint();
        self.notifier.reloading();
        if self.source.manifests.read_standard_input() {
            self.has_read(Err(anyhow::anyhow!("standard input cannot be read a second time")));
            return;
        }
        let source = self.source.clone();
        self.reading = Some(tokio::spawn(async move { source.read().await }));
    }

    fn has_read(&mut self, read: anyhow::Result<Vec<ScheduledCleanup>>) {
        self.reading = None;
        match read {
            Ok(cleanups) => {
                tracing::info!(manifests = cleanups.len(), "the manifests have been read again");
                self.take(cleanups);
            }
            Err(error) => {
                let problem = format!("{error:#}");
                tracing::error!("the manifests cannot be used, those before stay in use: {problem}");
                self.reload_problem = Some(problem);
                self.health.count(metrics::Counters::reload_failed);
            }
        }
        self.notifier.ready(&self.summary());
    }

    /// Replaces the manifests in use.
    fn take(&mut self, cleanups: Vec<ScheduledCleanup>) {
        let now = Timestamp::now();
        let names: BTreeSet<String> = cleanups.iter().map(|cleanup| cleanup.name.clone()).collect();
        for cleanup in &cleanups {
            for notice in &cleanup.policy.notices {
                tracing::warn!(node_cleanup = cleanup.name, "{notice}");
            }
            self.history.standing(&cleanup.name, now);
        }
        for notice in self.source.without_effect(&cleanups) {
            tracing::warn!("{notice}");
        }
        self.history.retain(&names);
        self.history.save();
        self.health.count(|counters| counters.retain(|name| names.contains(name)));
        self.full.retain(|name| names.contains(name));
        self.cleanups = cleanups;
        self.read_at = now;
        self.reload_problem = None;
    }

    fn ended(&mut self, output: anyhow::Result<RunOutput>) {
        let Some(Running { name, start, started_at, asked, .. }) = self.running.take() else { return };
        let now = Timestamp::now();
        if let Err(error) = &output {
            tracing::error!(node_cleanup = name, "{error:#}");
        }
        let (brief, report) = reports(output);
        // A run that was asked to end is not retried.
        let took_place = asked || brief.outcome.result != RunResult::NotRun;
        if start.cause == Cause::Pressure {
            self.full.remove(&name);
        }
        let Start { cause, attempt, tick, .. } = start;
        let record = Record { node_cleanup: name.clone(), cause, attempt, tick, started_at, finished_at: now, brief };
        tracing::info!(node_cleanup = name, "a run is over: {}", status::sentence(&record));
        self.health.count(|counters| counters.add(&record));
        let Some(cleanup) = self.cleanups.iter().find(|cleanup| cleanup.name == name) else { return };
        let standing = self.history.standing(&name, now).ended(&start, took_place, cleanup.duty.retries, now);
        self.history.add(record, report);
        self.history.set_standing(&name, standing);
    }

    /// Starts a measurement of the disks, if one is due.
    fn measure(&mut self) {
        let Some((interval, due)) = &mut self.watch else { return };
        let watching = self.cleanups.iter().filter(|cleanup| cleanup.duty.watches && !cleanup.duty.paused);
        let policies: Vec<(String, Policy)> =
            watching.map(|cleanup| (cleanup.name.clone(), cleanup.policy.clone())).collect();
        if policies.is_empty() || self.measuring.is_some() || *due > Instant::now() {
            return;
        }
        *due = Instant::now() + *interval;
        let node = self.node.clone();
        self.measuring = Some(tokio::spawn(async move { full(&policies, &node).await }));
    }

    fn summary(&self) -> String {
        match &self.reload_problem {
            None => format!("{} manifests in charge", self.cleanups.len()),
            Some(_) => format!("{} manifests in charge; newer ones cannot be used", self.cleanups.len()),
        }
    }

    fn publish(&mut self) {
        let now = Timestamp::now();
        let standings: Vec<ScheduleProgress> =
            self.cleanups.iter().map(|cleanup| self.history.standing(&cleanup.name, now)).collect();
        let statuses =
            self.cleanups.iter().zip(standings).map(|(cleanup, standing)| self.status(cleanup, standing, now));
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            stopping: self.stopping,
            read_at: self.read_at,
            reload_problem: self.reload_problem.clone(),
            node_cleanups: statuses.collect(),
        };
        self.health.publish(status);
    }

    fn status(&self, cleanup: &ScheduledCleanup, standing: ScheduleProgress, now: Timestamp) -> CleanupStatus {
        let running = self.running.as_ref().filter(|running| running.name == cleanup.name);
        let next = cleanup.duty.next(&standing, now);
        let state = match (running, next) {
            (Some(_), _) => "Running",
            _ if cleanup.duty.paused => "Paused",
            (None, Some(_)) => "Waiting",
            (None, None) => "Done",
        };
        let runs = self.history.runs(&cleanup.name).rev();
        CleanupStatus {
            name: cleanup.name.clone(),
            mode: cleanup.policy.mode.as_str().to_owned(),
            schedule: cleanup.duty.timetable.as_ref().map(|timetable| timetable.schedule.to_string()),
            state: state.to_owned(),
            next_run_at: next,
            running_since: running.map(|running| running.started_at),
            runs: runs.map(|(file, record)| Run { file: file.to_owned(), record: record.clone() }).collect(),
        }
    }
}

/// Waits for a task; without a task, waits forever.
async fn done<T>(task: Option<&mut JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

async fn one_run(mut prepared: Prepared, node: NodeOptions, token: StopToken) -> anyhow::Result<RunOutput> {
    let stop = Stop::within(prepared.policy.time_limit, &token);
    let options = RunOptions { node: &node, wait: LOCK_PATIENCE, confirm: None };
    Box::pin(run::run_once(&mut prepared, options, &stop)).await
}

/// Returns the summary of a run, short enough for a termination message, and its report.
fn reports(output: anyhow::Result<RunOutput>) -> (Brief, Value) {
    match output {
        Ok(output) => (output.brief().fitting(), output.to_json()),
        Err(error) => (run::not_run(&error).fitting(), Value::Null),
    }
}

/// Returns the manifests whose disk is above their pressure bound. A disk that cannot be measured does not count.
async fn full(policies: &[(String, Policy)], node: &NodeOptions) -> BTreeSet<String> {
    let mut full = BTreeSet::new();
    for (name, policy) in policies {
        let measured = async {
            anyhow::Ok(LiveNode::connect(&policy.endpoint, &policy.log_roots, node).await?.filesystems().await?)
        };
        match measured.await {
            Ok(filesystems) if policy.pace.pressure.to_begin(&filesystems) == Need::Yes => {
                full.insert(name.clone());
            }
            Ok(filesystems) if policy.pace.pressure.to_begin(&filesystems) == Need::Unknown => {
                tracing::info!(node_cleanup = name, "how full the disk is cannot be seen from here");
            }
            Ok(_) => {}
            Err(error) => tracing::info!(node_cleanup = name, "how full the disk is cannot be seen: {error:#}"),
        }
    }
    full
}
