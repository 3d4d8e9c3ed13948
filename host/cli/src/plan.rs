//! `holystone plan`: what a run would do. A dry run is the absence of the sweep, not a flag passed down.

use holystone_core::guard::{Guard, GuardRails};
use holystone_core::report::PlanReport;
use holystone_core::snapshot::Snapshot;
use holystone_runtime::View;

use crate::args::PlanArguments;
use crate::exit::Exit;
use crate::observe::{self, LiveNode};
use crate::output;
use crate::plugins::{self, Loaded};
use crate::remembered;

/// Decides and prints.
pub(crate) async fn plan(arguments: &PlanArguments) -> anyhow::Result<Exit> {
    let snapshot = async {
        if let Some(path) = &arguments.snapshot {
            return observe::recorded(path);
        }
        let mut snapshot = LiveNode::connect(&arguments.node).await?.observe().await?;
        remembered::recall(&arguments.node.state, &mut snapshot);
        Ok(snapshot)
    };
    let (loaded, snapshot) = tokio::try_join!(plugins::load(&arguments.policy), snapshot)?;
    let planned = decide(&loaded, &snapshot, &arguments.policy.rails.rails()).await?;
    // Printing needs neither, and they are what takes memory.
    drop((loaded, snapshot));
    output::plan(&planned, arguments.output)?;
    let failed = planned.plugins.iter().any(|plugin| plugin.failure.is_some());
    Ok(if failed { Exit::SomeFailed } else { Exit::Done })
}

/// From a snapshot to a plan: the plugins propose, the guard rails review.
pub(crate) async fn decide(loaded: &[Loaded], snapshot: &Snapshot, rails: &GuardRails) -> anyhow::Result<PlanReport> {
    let guard = Guard::new(snapshot, rails);
    let (runs, proposals) = plugins::propose(loaded, View::of(snapshot, guard.usage())).await?;
    Ok(PlanReport::new(snapshot, runs, guard.review(proposals)))
}
