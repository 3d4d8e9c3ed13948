//! `holystone daemon`: runs by manifests, again and again, on one machine.
//!
//! What is to be done is decided in core; here is the loop that has the clock, the files and the signals. It does nothing
//! that takes long itself: runs, reading manifests and measuring disks are tasks beside it.
//!
//! - `charge`: the manifests, read again when they change.
//! - `books`: what is kept on disk.
//! - `shared`, `metrics`: what those are told who ask.
//! - `notify`: what systemd is told.

pub(crate) mod books;
mod charge;
mod metrics;
mod notify;
mod shared;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use holystone_core::daemon::{self, Agenda, Cause, Entry, Record, RunResult, Standing, Start};
use holystone_core::manifest::Mode;
use holystone_core::pressure::Need;
use holystone_core::report::Brief;
use jiff::Timestamp;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::books::Books;
use self::charge::{Charge, Charging, Fingerprint};
use self::notify::Notifier;
use self::shared::Shared;
use crate::args::{DaemonArguments, Listen, NodeArguments};
use crate::exit::{Exit, Usage};
use crate::http;
use crate::observe::{self, LiveNode};
use crate::policy::{Manifests, Policy, Prepared};
use crate::remembered;
use crate::run::{self, Came, How};
use crate::stop::{Asked, Asking, Stop};
use holystone_core::daemon::status::{self, Charged, Run, Status};

/// How often to look at the clock and at the files: clocks are set and machines sleep without notice.
const TURN: Duration = Duration::from_secs(5);

/// How long to wait for a run that somebody else has started on this node.
const LOCK_PATIENCE: Duration = Duration::from_mins(5);

/// Default interval between two measurements of disks.
const WATCH: Duration = Duration::from_mins(1);

/// Keeps running until it is asked to end, and leaves the termination message of a pod.
pub(crate) async fn daemon(arguments: &DaemonArguments) -> anyhow::Result<Exit> {
    let ended = Box::pin(keep_running(arguments)).await;
    let brief = match &ended {
        Ok(last) => last.clone(),
        Err(error) => Some(run::not_run(error)),
    };
    if let (Some(path), Some(brief)) = (&arguments.brief, brief) {
        run::write_brief(path, &brief);
    }
    ended.map(|_| Exit::Done)
}

/// Keeps running until it is asked to end. Returns what came of the last run, if there was one.
async fn keep_running(arguments: &DaemonArguments) -> anyhow::Result<Option<Brief>> {
    let manifests = Manifests::new(&arguments.manifests);
    if manifests.is_empty() {
        return Err(Usage("the daemon runs by manifests: name some with -f".to_owned()).into());
    }
    let mut signals = Signals::listen()?;
    let charging = Charging {
        manifests,
        cache: arguments.cache.directory(),
        node: arguments.node.clone(),
        node_name: observe::node_name(&arguments.node),
        mode: arguments.mode.map(Mode::from),
        jitter: arguments.jitter,
        watch_interval: arguments.watch_interval,
    };
    let files = charging.fingerprint();
    // A plugin that takes long to compile, or a schema without end, does not block a stop.
    let charges = tokio::select! {
        biased;
        () = signals.end() => return Ok(None),
        charges = charging.read() => charges?,
    };
    let books = match &arguments.books {
        Some(directory) => Books::open(directory)?,
        None => Books::open(&remembered::directory(&arguments.node.state)?)?,
    };
    let listener = match arguments.listen {
        Listen::At(address) => Some(http::listen(address).await?),
        Listen::Nowhere => None,
    };
    let mut daemon = Daemon::new(charging, books, files);
    daemon.take(charges);
    daemon.publish();
    if let Some(listener) = listener {
        tokio::spawn(http::serve(listener, Arc::clone(&daemon.shared)));
    }
    Ok(daemon.work(signals).await)
}

/// Who may want something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
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

/// A run that is going on.
struct Running {
    /// Namespace and name of its manifest, which may have changed or gone since.
    name: String,
    start: Start,
    started_at: Timestamp,
    asking: Asking,
    /// Whether it has been asked to end.
    asked: bool,
    task: JoinHandle<anyhow::Result<Came>>,
}

/// The loop's own state.
struct Daemon {
    charging: Charging,
    charges: Vec<Charge>,
    books: Books,
    running: Option<Running>,
    /// The manifests whose disk is fuller than they want.
    full: BTreeSet<String>,
    /// How often to measure disks, and the next time; none never.
    watch: Option<(Duration, Instant)>,
    measuring: Option<JoinHandle<BTreeSet<String>>>,
    files: Fingerprint,
    reading: Option<JoinHandle<anyhow::Result<Vec<Charge>>>>,
    read_at: Timestamp,
    reload_problem: Option<String>,
    started_at: Timestamp,
    stopping: bool,
    shared: Arc<Shared>,
    notifier: Notifier,
}

/// What the loop is woken by.
enum Event {
    Ended(Box<anyhow::Result<Came>>),
    Read(anyhow::Result<Vec<Charge>>),
    Measured(BTreeSet<String>),
    Stop,
    Reload,
    Turn,
}

impl Daemon {
    fn new(charging: Charging, books: Books, files: Fingerprint) -> Self {
        let watch_interval = charging.watch_interval.unwrap_or(WATCH);
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
            charging,
            charges: Vec::new(),
            books,
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
            shared: Arc::new(Shared::new(status)),
            notifier: Notifier::from_environment(),
        }
    }

    /// Works until it is asked to end. Returns what came of the last run, if there was one.
    async fn work(mut self, mut signals: Signals) -> Option<Brief> {
        self.notifier.ready(&self.summary());
        while !self.is_over() {
            let wake = self.act();
            self.publish();
            self.notifier.alive();
            let event = self.event(&mut signals, self.pause(wake)).await;
            self.handle(event);
        }
        self.publish();
        let records = self.charges.iter().flat_map(|charge| self.books.runs(&charge.name));
        let last = records.max_by_key(|(_, record)| record.finished_at);
        last.map(|(_, record)| record.brief.clone())
    }

    fn is_over(&self) -> bool {
        self.stopping && self.running.is_none()
    }

    /// Does what is due; tells when something will be.
    fn act(&mut self) -> Option<Timestamp> {
        let now = Timestamp::now();
        for charge in &self.charges {
            self.books.tidy(&charge.name, charge.limits, charge.ttl, now);
            let standing = self.books.standing(&charge.name, now);
            self.books.set_standing(&charge.name, standing.mended(&charge.duty, now));
        }
        if self.stopping {
            return None;
        }
        let Agenda { start, replace, wake } = self.agenda(now);
        if let Some(running) = self.running.as_mut().filter(|running| replace && !running.asked) {
            tracing::info!(node_cleanup = running.name, "the next run is due and replaces the one that is going on");
            running.asked = true;
            running.asking.ask();
        }
        if let Some(start) = start {
            self.start(start, now);
        }
        wake
    }

    fn agenda(&mut self, now: Timestamp) -> Agenda {
        let standings: Vec<Standing> =
            self.charges.iter().map(|charge| self.books.standing(&charge.name, now)).collect();
        let is_active = |name: &str| self.running.as_ref().is_some_and(|running| running.name == name);
        let entry = |(charge, standing)| {
            let Charge { name, duty, .. }: &Charge = charge;
            Entry { duty, standing, active: is_active(name), full: self.full.contains(name) }
        };
        let entries: Vec<Entry<'_>> = self.charges.iter().zip(&standings).map(entry).collect();
        let mut agenda = daemon::agenda(&entries, now);
        // The manifest of the run that is going on may be gone.
        if self.running.is_some() {
            agenda.start = None;
        }
        agenda
    }

    fn start(&mut self, start: Start, now: Timestamp) {
        let Charge { name, policy, .. } = self.charges[start.entry].clone();
        tracing::info!(node_cleanup = name, cause = ?start.cause, attempt = start.attempt, "a run starts");
        // First of all: then no tick runs twice, whenever this process dies.
        let standing = self.books.standing(&name, now).started(&start, now);
        self.books.set_standing(&name, standing);
        let (asking, asked) = Asked::by_another();
        let run = one_run(Prepared::later(policy, self.charging.cache.clone()), self.charging.node.clone(), asked);
        let task = tokio::spawn(run);
        self.running = Some(Running { name, start, started_at: now, asking, asked: false, task });
    }

    /// How long to wait for something to happen.
    fn pause(&self, wake: Option<Timestamp>) -> Duration {
        let until = |wake| Duration::try_from(Timestamp::now().duration_until(wake)).unwrap_or(Duration::ZERO);
        let until_wake = wake.map(until);
        let beat = self.notifier.beat();
        [until_wake, beat].into_iter().flatten().fold(TURN, Duration::min)
    }

    async fn event(&mut self, signals: &mut Signals, pause: Duration) -> Event {
        let Self { running, reading, measuring, .. } = self;
        tokio::select! {
            biased;
            Some(()) = signals.terminate.recv() => Event::Stop,
            Some(()) = signals.interrupt.recv() => Event::Stop,
            came = done(running.as_mut().map(|running| &mut running.task)) => {
                Event::Ended(Box::new(came.context("the run broke off").flatten()))
            }
            read = done(reading.as_mut()) => Event::Read(read.context("reading broke off").flatten()),
            full = done(measuring.as_mut()) => Event::Measured(full.unwrap_or_default()),
            Some(()) = signals.reload.recv() => Event::Reload,
            () = tokio::time::sleep(pause) => Event::Turn,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ended(came) => self.ended(*came),
            Event::Read(read) => self.has_read(read),
            Event::Measured(full) => {
                self.measuring = None;
                self.full = full;
            }
            Event::Stop => self.stop(),
            Event::Reload => self.read_again(),
            Event::Turn => {
                if self.charging.fingerprint() != self.files {
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
            running.asking.ask();
        }
    }

    fn read_again(&mut self) {
        if self.stopping {
            return;
        }
        // What is being read may not be what the files say now, and may never end: its workers end with it.
        if let Some(outdated) = self.reading.take() {
            outdated.abort();
        }
        self.files = self.charging.fingerprint();
        self.notifier.reloading();
        if self.charging.manifests.read_standard_input() {
            self.has_read(Err(anyhow::anyhow!("standard input cannot be read a second time")));
            return;
        }
        let charging = self.charging.clone();
        self.reading = Some(tokio::spawn(async move { charging.read().await }));
    }

    fn has_read(&mut self, read: anyhow::Result<Vec<Charge>>) {
        self.reading = None;
        match read {
            Ok(charges) => {
                tracing::info!(manifests = charges.len(), "the manifests have been read again");
                self.take(charges);
            }
            Err(error) => {
                let problem = format!("{error:#}");
                tracing::error!("the manifests cannot be used, those before stay in use: {problem}");
                self.reload_problem = Some(problem);
                self.shared.count(metrics::Counters::reload_failed);
            }
        }
        self.notifier.ready(&self.summary());
    }

    /// From now on these are in charge.
    fn take(&mut self, charges: Vec<Charge>) {
        let now = Timestamp::now();
        let names: BTreeSet<String> = charges.iter().map(|charge| charge.name.clone()).collect();
        for charge in &charges {
            for notice in &charge.policy.notices {
                tracing::warn!(node_cleanup = charge.name, "{notice}");
            }
            self.books.standing(&charge.name, now);
        }
        for notice in self.charging.without_effect(&charges) {
            tracing::warn!("{notice}");
        }
        self.books.retain(&names);
        self.books.save();
        self.shared.count(|counters| counters.retain(|name| names.contains(name)));
        self.full.retain(|name| names.contains(name));
        self.charges = charges;
        self.read_at = now;
        self.reload_problem = None;
    }

    fn ended(&mut self, came: anyhow::Result<Came>) {
        let Some(Running { name, start, started_at, asked, .. }) = self.running.take() else { return };
        let now = Timestamp::now();
        if let Err(error) = &came {
            tracing::error!(node_cleanup = name, "{error:#}");
        }
        let (brief, report) = reports(came);
        // What was asked to end is not tried again.
        let took_place = asked || brief.outcome.result != RunResult::NotRun;
        if start.cause == Cause::Pressure {
            self.full.remove(&name);
        }
        let Start { cause, attempt, tick, .. } = start;
        let record = Record { node_cleanup: name.clone(), cause, attempt, tick, started_at, finished_at: now, brief };
        tracing::info!(node_cleanup = name, "a run is over: {}", status::sentence(&record));
        self.shared.count(|counters| counters.add(&record));
        let Some(charge) = self.charges.iter().find(|charge| charge.name == name) else { return };
        let standing = self.books.standing(&name, now).ended(&start, took_place, charge.duty.retries, now);
        self.books.add(record, report);
        self.books.set_standing(&name, standing);
    }

    /// Finds out now and then whether a disk is too full.
    fn measure(&mut self) {
        let Some((interval, due)) = &mut self.watch else { return };
        let watching = self.charges.iter().filter(|charge| charge.duty.watches && !charge.duty.paused);
        let policies: Vec<(String, Policy)> =
            watching.map(|charge| (charge.name.clone(), charge.policy.clone())).collect();
        if policies.is_empty() || self.measuring.is_some() || *due > Instant::now() {
            return;
        }
        *due = Instant::now() + *interval;
        let node = self.charging.node.clone();
        self.measuring = Some(tokio::spawn(async move { full(&policies, &node).await }));
    }

    fn summary(&self) -> String {
        match &self.reload_problem {
            None => format!("{} manifests in charge", self.charges.len()),
            Some(_) => format!("{} manifests in charge; newer ones cannot be used", self.charges.len()),
        }
    }

    fn publish(&mut self) {
        let now = Timestamp::now();
        let standings: Vec<Standing> =
            self.charges.iter().map(|charge| self.books.standing(&charge.name, now)).collect();
        let charged = self.charges.iter().zip(standings).map(|(charge, standing)| self.charged(charge, standing, now));
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            stopping: self.stopping,
            read_at: self.read_at,
            reload_problem: self.reload_problem.clone(),
            node_cleanups: charged.collect(),
        };
        self.shared.turn(status);
    }

    fn charged(&self, charge: &Charge, standing: Standing, now: Timestamp) -> Charged {
        let running = self.running.as_ref().filter(|running| running.name == charge.name);
        let next = charge.duty.next(&standing, now);
        let state = match (running, next) {
            (Some(_), _) => "Running",
            _ if charge.duty.paused => "Paused",
            (None, Some(_)) => "Waiting",
            (None, None) => "Done",
        };
        let runs = self.books.runs(&charge.name).rev();
        Charged {
            name: charge.name.clone(),
            mode: format!("{:?}", charge.policy.mode),
            schedule: charge.duty.timetable.as_ref().map(|timetable| timetable.schedule.to_string()),
            state: state.to_owned(),
            next_run_at: next,
            running_since: running.map(|running| running.started_at),
            runs: runs.map(|(file, record)| Run { file: file.to_owned(), record: record.clone() }).collect(),
        }
    }
}

/// Waits for a task; for ever when there is none.
async fn done<T>(task: Option<&mut JoinHandle<T>>) -> Result<T, tokio::task::JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

async fn one_run(mut prepared: Prepared, node: NodeArguments, asked: Asked) -> anyhow::Result<Came> {
    let stop = Stop::within(prepared.policy.time_limit, &asked);
    let how = How { node: &node, wait: LOCK_PATIENCE, ask: false };
    Box::pin(run::once(&mut prepared, how, &stop)).await
}

/// Returns what came of a run, in as few bytes as a pod ends with, and its report.
fn reports(came: anyhow::Result<Came>) -> (Brief, Value) {
    match came {
        Ok(came) => (came.brief().fitting(), came.to_json()),
        Err(error) => (run::not_run(&error).fitting(), Value::Null),
    }
}

/// The manifests whose disk is fuller than they want. One that cannot be measured is not.
async fn full(policies: &[(String, Policy)], node: &NodeArguments) -> BTreeSet<String> {
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
