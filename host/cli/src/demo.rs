//! `holystone demo`: a whole sweep on a simulated node, over a real socket, by the same code as on a real one.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use holystone_core::snapshot::Snapshot;
use holystone_node::{Clock, Cri, Faults, Options, Processes, RootSpec, SimulatedNode, Visibility};
use jiff::SignedDuration;
use tempfile::TempDir;

use crate::args::{DemoArguments, OutputArguments};
use crate::exit::Exit;
use crate::logs::Logs;
use crate::observe::LiveNode;
use crate::output;
use crate::plan;
use crate::plugins::{self, CacheDir};
use crate::policy::{self, Policy};
use crate::remembered::Remembered;
use crate::run::{self, Stopwatch};
use crate::stop::{Asked, Stop};
use crate::sweep::Job;

/// A node as the best-practice page of `OpenKruise` describes it: 125 images, most of them old tags of one rollout.
pub(crate) const NODE: &[u8] = include_bytes!("../../../examples/snapshots/rollout-node.json");

/// How long the sweep may take; it takes a moment.
const TIME_LIMIT: Duration = Duration::from_mins(10);

/// What the demo does to the logs: those of more than two weeks go, and one of more than 16 MiB is cut.
const LOG_CONFIG: &str = r#"{"rules":[
    {"files":["**/*.log.*"],"maxAge":"14d"},
    {"files":["debug.log"],"maxTotalSize":"16Mi","truncateOpen":true}
]}"#;

/// What the demo protects, for a rail to be seen at work.
const PROTECTED: &str = "*:v1.5.*";

/// Starts the simulated node, sweeps it, and shows each part.
pub(crate) async fn demo(arguments: &DemoArguments) -> anyhow::Result<Exit> {
    let directory = tempfile::Builder::new().prefix("holystone-demo-").tempdir().context("no temporary directory")?;
    let socket = directory.path().join("cri.sock");
    let simulated = SimulatedNode::start(&socket, Snapshot::from_json(NODE)?, Faults::default())?;
    let cri = Cri::connect(simulated.endpoint(), Options::default()).await?;
    let logs = Logs { processes: processes(&directory)?, ..Logs::open(&[log_root(&directory)?], &[])? };
    let node = LiveNode {
        cri: Some(cri),
        logs,
        name: "demo-node".to_owned(),
        own_pod: String::new(),
        clock: Clock::of_the_wall(),
    };

    say("A simulated node. The runtime's disk before:")?;
    output::filesystems(&simulated.filesystems())?;
    say(
        "\nThe plan: what builtin:unused-images and builtin:log-retention wish, after the guard rails have looked at it.\n",
    )?;
    let policy = policy(arguments)?;
    let mut clock = Stopwatch::start();
    let look = async { Ok(node.observe().await?) };
    let (loaded, snapshot) = tokio::try_join!(plugins::load(&policy.plugins, &CacheDir::Nowhere), look)?;
    clock.lap("observe");
    let planned = plan::decide(&policy, &loaded, &snapshot, &node.logs).await?;
    clock.lap("plan");
    output::plan(&planned, OutputArguments { all: arguments.all, ..OutputArguments::default() })?;

    say("\nThe sweep: every image and every file is looked at once more right before it is removed.\n")?;
    let stop = Stop::within(TIME_LIMIT, &Asked::by_signals()?);
    let job = Job { node: &node, rails: &policy.rails, pace: &policy.pace, stop: &stop };
    let report = run::carry_out(job, planned, &mut Remembered::nothing(), clock).await;
    output::report(&report, OutputArguments { all: arguments.all, ..OutputArguments::default() })?;
    say("\nThe runtime's disk after:")?;
    output::filesystems(&simulated.filesystems())?;
    Ok(if report.has_failures() { Exit::SomeFailed } else { Exit::Done })
}

fn policy(arguments: &DemoArguments) -> anyhow::Result<Policy> {
    let plugins = ["builtin:unused-images", "builtin:log-retention"].map(str::to_owned);
    let mut policy = Policy::of(policy::choices(&plugins, &[arguments.config.clone(), LOG_CONFIG.to_owned()])?);
    // Its logs are seconds old, whatever their dates.
    policy.rails.settle_time = SignedDuration::ZERO;
    arguments.rails.clone().or_protect(PROTECTED.parse()?).replace(&mut policy.rails);
    Ok(policy)
}

/// Makes a directory with logs: rotated ones of six weeks, some of which are still wanted, and one that has grown too
/// large.
fn log_root(directory: &TempDir) -> anyhow::Result<RootSpec> {
    let path = directory.path().canonicalize()?.join("logs");
    for (service, bytes) in [("checkout", 96 << 10), ("web", 64 << 10)] {
        let service = path.join(service);
        fs::create_dir_all(&service)?;
        fs::write(service.join("app.log"), vec![b'.'; bytes])?;
        for days in 1..=42_u64 {
            let rotated = File::create(service.join(format!("app.log.{days}")))?;
            (&rotated).write_all(&vec![b'.'; bytes])?;
            rotated.set_modified(SystemTime::now() - Duration::from_hours(24 * days))?;
        }
    }
    fs::write(path.join("debug.log"), vec![b'.'; 24 << 20])?;
    Ok(RootSpec::new("app", path))
}

/// The simulated node's processes: one, which writes to the log that has grown too large.
fn processes(directory: &TempDir) -> anyhow::Result<Processes> {
    let proc = directory.path().join("proc");
    let task = proc.join("1/task/1");
    fs::create_dir_all(task.join("fd"))?;
    symlink(directory.path().join("logs/debug.log"), task.join("fd/3"))?;
    Ok(Processes { proc, visibility: Visibility::All, ..Processes::default() })
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
