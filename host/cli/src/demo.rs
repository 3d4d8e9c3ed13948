//! `holystone demo`: a whole sweep on a simulated node, over a real socket, by the same code as on a real one.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use bytesize::ByteSize;
use holystone_core::snapshot::Snapshot;
use holystone_node::{Cri, Faults, Options, SimulatedNode};
use holystone_runtime::Capability;

use crate::args::{DemoArguments, Format, PolicyArguments};
use crate::exit::Exit;
use crate::observe::LiveNode;
use crate::output;
use crate::plan;
use crate::plugins;
use crate::remembered::Remembered;
use crate::run::{self, Stopwatch};
use crate::stop::Stop;
use crate::sweep::{Job, Pace};

/// A node as the best-practice page of `OpenKruise` describes it: 125 images, most of them old tags of one rollout.
const NODE: &[u8] = include_bytes!("../../../examples/snapshots/rollout-node.json");

/// How long the sweep may take; it takes a moment.
const TIME_LIMIT: Duration = Duration::from_mins(10);

/// What the demo protects, for a rail to be seen at work.
const PROTECTED: &str = "*:v1.5.*";

/// Starts the simulated node, sweeps it, and shows each part.
pub(crate) async fn demo(arguments: &DemoArguments) -> anyhow::Result<Exit> {
    let directory = tempfile::Builder::new().prefix("holystone-demo-").tempdir().context("no temporary directory")?;
    let socket = directory.path().join("cri.sock");
    let simulated = SimulatedNode::start(&socket, Snapshot::from_json(NODE)?, Faults::default())?;
    let cri = Cri::connect(simulated.endpoint(), Options::default()).await?;
    let node = LiveNode { cri, name: "demo-node".to_owned(), own_pod: String::new() };
    let rails = arguments.rails.clone().or_protect(PROTECTED.parse()?).rails();

    say("A simulated node. The runtime's disk before:")?;
    output::filesystems(&simulated.filesystems())?;
    say("\nThe plan: what builtin:unused-images wishes, after the guard rails have looked at it.\n")?;
    let policy = policy(arguments);
    let mut clock = Stopwatch::start();
    let look = async { Ok(node.observe().await?) };
    let (loaded, snapshot) = tokio::try_join!(plugins::load(&policy), look)?;
    clock.lap("observe");
    let planned = plan::decide(&loaded, &snapshot, &rails).await?;
    clock.lap("plan");
    output::plan(&planned, Format::Table)?;

    say("\nThe sweep: every image is looked at once more right before it is removed.\n")?;
    let (pace, stop) = (Pace::default(), Stop::after(TIME_LIMIT)?);
    let job = Job { node: &node, rails: &rails, pace: &pace, stop: &stop };
    let report = run::carry_out(job, planned, &mut Remembered::nothing(), clock).await;
    output::report(&report, Format::Table)?;
    say("\nThe runtime's disk after:")?;
    output::filesystems(&simulated.filesystems())?;
    Ok(if report.has_failures() { Exit::SomeFailed } else { Exit::Done })
}

fn policy(arguments: &DemoArguments) -> PolicyArguments {
    PolicyArguments {
        plugins: vec!["builtin:unused-images".to_owned()],
        configs: vec![arguments.config.clone()],
        capabilities: vec![Capability::Images],
        timeout: Duration::from_secs(10),
        memory: ByteSize::mib(64),
        cache_dir: None,
        no_cache: true,
        rails: arguments.rails.clone(),
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
