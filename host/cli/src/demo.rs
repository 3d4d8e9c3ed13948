//! `holystone demo`: a whole sweep on a simulated node, over a real socket, by the same code as on a real one.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use holystone_core::snapshot::Snapshot;
use holystone_node::{Cri, Faults, Options, SimulatedNode};

use crate::args::{DemoArguments, Format};
use crate::exit::Exit;
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

    say("A simulated node. The runtime's disk before:")?;
    output::filesystems(&simulated.filesystems())?;
    say("\nThe plan: what builtin:unused-images wishes, after the guard rails have looked at it.\n")?;
    let policy = policy(arguments)?;
    let mut clock = Stopwatch::start();
    let look = async { Ok(node.observe().await?) };
    let (loaded, snapshot) = tokio::try_join!(plugins::load(&policy.plugins, &CacheDir::Nowhere), look)?;
    clock.lap("observe");
    let planned = plan::decide(&policy, &loaded, &snapshot).await?;
    clock.lap("plan");
    output::plan(&planned, Format::Table)?;

    say("\nThe sweep: every image is looked at once more right before it is removed.\n")?;
    let stop = Stop::within(TIME_LIMIT, &Asked::by_signals()?);
    let job = Job { node: &node, rails: &policy.rails, pace: &policy.pace, stop: &stop };
    let report = run::carry_out(job, planned, &mut Remembered::nothing(), clock).await;
    output::report(&report, Format::Table)?;
    say("\nThe runtime's disk after:")?;
    output::filesystems(&simulated.filesystems())?;
    Ok(if report.has_failures() { Exit::SomeFailed } else { Exit::Done })
}

fn policy(arguments: &DemoArguments) -> anyhow::Result<Policy> {
    let plugins = policy::choices(&["builtin:unused-images".to_owned()], std::slice::from_ref(&arguments.config))?;
    let mut policy = Policy::of(plugins);
    arguments.rails.clone().or_protect(PROTECTED.parse()?).replace(&mut policy.rails);
    Ok(policy)
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
