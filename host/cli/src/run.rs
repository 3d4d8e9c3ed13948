//! `holystone run`: the main job. Observe, propose, review, sweep, report.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Instant;

use holystone_core::guard::GuardRails;
use holystone_core::report::{Milliseconds, PlanReport, Report};
use jiff::Timestamp;

use crate::args::{Format, RunArguments};
use crate::exit::Exit;
use crate::observe::LiveNode;
use crate::output;
use crate::plan;
use crate::plugins;
use crate::sweep;

/// Runs once on this node.
pub(crate) async fn run(arguments: &RunArguments) -> anyhow::Result<Exit> {
    let mut clock = Stopwatch::start();
    let rails = arguments.policy.rails.rails();
    let look = async {
        let node = LiveNode::connect(&arguments.node).await?;
        let snapshot = node.observe().await?;
        anyhow::Ok((node, snapshot))
    };
    let (loaded, (node, snapshot)) = tokio::try_join!(plugins::load(&arguments.policy), look)?;
    clock.lap("observe");
    let planned = plan::decide(&loaded, &snapshot, &rails).await?;
    // Neither is needed any more, and they are what takes memory.
    drop((loaded, snapshot));
    clock.lap("plan");
    if !arguments.yes && !confirmed(&planned)? {
        anyhow::bail!("nothing was touched: the plan was not confirmed");
    }
    let report = carry_out(&node, planned, &rails, clock).await?;
    output::report(&report, arguments.output)?;
    Ok(if report.has_failures() { Exit::SomeFailed } else { Exit::Done })
}

/// From a plan to a report.
pub(crate) async fn carry_out(
    node: &LiveNode,
    planned: PlanReport,
    rails: &GuardRails,
    mut clock: Stopwatch,
) -> anyhow::Result<Report> {
    let outcomes = sweep::sweep(node, &planned.plan.steps, rails).await;
    clock.lap("sweep");
    let after = node.cri.filesystems().await.unwrap_or_else(|error| {
        tracing::warn!("the filesystems could not be measured after the run: {error}");
        Vec::new()
    });
    Ok(Report::new(planned, outcomes, Timestamp::now(), after, clock.laps()))
}

/// Asks on a terminal; a run that nobody watches was meant.
fn confirmed(planned: &PlanReport) -> anyhow::Result<bool> {
    let mut stderr = std::io::stderr();
    if planned.plan.steps.is_empty() || !std::io::stdin().is_terminal() || !stderr.is_terminal() {
        return Ok(true);
    }
    output::plan_to(&mut stderr, planned, Format::Table)?;
    write!(stderr, "Remove {} images? [y/N] ", planned.plan.steps.len())?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// How long each part of a run takes.
pub(crate) struct Stopwatch {
    last: Instant,
    laps: BTreeMap<&'static str, Milliseconds>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { last: Instant::now(), laps: BTreeMap::new() }
    }

    /// Ends a part.
    pub(crate) fn lap(&mut self, part: &'static str) {
        let now = Instant::now();
        self.laps.insert(part, Milliseconds(now - self.last));
        self.last = now;
    }

    fn laps(self) -> BTreeMap<&'static str, Milliseconds> {
        self.laps
    }
}
