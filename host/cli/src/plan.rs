//! `holystone plan`: what a run would do. A dry run is the absence of the sweep, not a flag passed down.

use holystone_core::guard::logs::LogGuard;
use holystone_core::guard::{Guard, GuardRails};
use holystone_core::proposal::Proposal;
use holystone_core::report::PlanReport;
use holystone_core::snapshot::Snapshot;
use holystone_runtime::View;

use crate::args::PlanArguments;
use crate::exit::Exit;
use crate::logs::Logs;
use crate::observe::{self, LiveNode};
use crate::output;
use crate::plugins::{self, Loaded};
use crate::remembered;

/// Decides and prints.
pub(crate) async fn plan(arguments: &PlanArguments) -> anyhow::Result<Exit> {
    let snapshot = async {
        if let Some(path) = &arguments.snapshot {
            return Ok((observe::recorded(path)?, Logs::open(&[])?));
        }
        let node = LiveNode::connect(&arguments.node).await?;
        let mut snapshot = node.observe().await?;
        remembered::recall(&arguments.node.state, &mut snapshot);
        Ok((snapshot, node.logs))
    };
    let (loaded, (snapshot, logs)) = tokio::try_join!(plugins::load(&arguments.policy), snapshot)?;
    let planned = decide(&loaded, &snapshot, &logs, &arguments.policy.rails.rails()).await?;
    // Printing needs neither, and they are what takes memory.
    drop((loaded, snapshot));
    output::plan(&planned, arguments.output)?;
    let failed = planned.plugins.iter().any(|plugin| plugin.failure.is_some());
    Ok(if failed { Exit::SomeFailed } else { Exit::Done })
}

/// From a snapshot to a plan: the plugins propose, the guard rails review. Log directories are looked at as they are
/// when they are asked about.
pub(crate) async fn decide(
    loaded: &[Loaded],
    snapshot: &Snapshot,
    logs: &Logs,
    rails: &GuardRails,
) -> anyhow::Result<PlanReport> {
    let guard = Guard::new(snapshot, rails);
    let view = View::of(snapshot, guard.usage()).with_logs(logs.source().await?);
    let (runs, proposals) = plugins::propose(loaded, view).await?;
    let (others, wished): (Vec<_>, Vec<_>) = proposals.into_iter().map(Proposal::part_logs).unzip();
    let sights = logs.sights(&wished, rails.limits.percent.is_some()).await?;
    let known = snapshot.has_runtime().then_some(snapshot);
    let log_plan = LogGuard::new(rails.for_logs(), snapshot.taken_at, known).review(wished, sights, &snapshot.memory);
    Ok(PlanReport::new(snapshot, runs, guard.review(others)).with_logs(logs.names(), log_plan))
}
