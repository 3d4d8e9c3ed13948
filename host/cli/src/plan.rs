//! `holystone plan`: what a run would do. A dry run is the absence of the sweep, not a flag passed down.

use holystone_core::guard::{Guard, GuardRails};
use holystone_core::report::PlanReport;
use holystone_core::snapshot::Snapshot;
use holystone_runtime::View;

use crate::args::{NodeArguments, PlanArguments};
use crate::exit::Exit;
use crate::observe::{self, LiveNode};
use crate::output;
use crate::plugins::{self, Loaded};
use crate::policy::{self, Policy, Prepared};
use crate::remembered;
use crate::series::Series;

/// Decides and prints, one policy after the other.
pub(crate) async fn plan(arguments: &PlanArguments) -> anyhow::Result<Exit> {
    let prepared = policy::of_plan(arguments).await?;
    let recorded = arguments.snapshot.as_deref().map(observe::recorded).transpose()?;
    let mut series = Series::new(prepared.len(), arguments.output);
    for mut one in prepared {
        let planned = match &recorded {
            Some(snapshot) => of_recorded(&mut one, snapshot).await,
            None => of_live(&mut one, &arguments.node).await,
        };
        series.add(&one.policy, planned, output::plan, has_failures)?;
    }
    series.end()
}

/// Whether something did not go as it should.
pub(crate) fn has_failures(planned: &PlanReport) -> bool {
    planned.plugins.iter().any(|plugin| plugin.failure.is_some())
}

async fn of_recorded(prepared: &mut Prepared, snapshot: &Snapshot) -> anyhow::Result<PlanReport> {
    let loaded = prepared.plugins().await?;
    decide(&prepared.policy, &loaded, snapshot).await
}

/// What a run on this node would do. Looks, and touches nothing.
pub(crate) async fn of_live(prepared: &mut Prepared, node: &NodeArguments) -> anyhow::Result<PlanReport> {
    let endpoint = prepared.policy.endpoint.clone();
    let look = async {
        let mut snapshot = LiveNode::connect(&endpoint, node).await?.observe().await?;
        remembered::recall(&node.state, &mut snapshot);
        Ok(snapshot)
    };
    let (loaded, snapshot) = tokio::try_join!(prepared.plugins(), look)?;
    decide(&prepared.policy, &loaded, &snapshot).await
}

/// From a snapshot to a plan by a policy.
pub(crate) async fn decide(policy: &Policy, loaded: &[Loaded], snapshot: &Snapshot) -> anyhow::Result<PlanReport> {
    let mut planned = review(loaded, snapshot, &policy.rails).await?;
    planned.node_cleanup.clone_from(&policy.name);
    planned.notices.clone_from(&policy.notices);
    Ok(planned)
}

/// From a snapshot to a plan: the plugins propose, the guard rails review.
async fn review(loaded: &[Loaded], snapshot: &Snapshot, rails: &GuardRails) -> anyhow::Result<PlanReport> {
    let guard = Guard::new(snapshot, rails);
    let (runs, proposals) = plugins::propose(loaded, View::of(snapshot, guard.usage())).await?;
    Ok(PlanReport::new(snapshot, runs, guard.review(proposals)))
}
