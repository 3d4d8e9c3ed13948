//! `holystone plan`: what a run would do. A dry run is the absence of the sweep, not a flag passed down.

use holystone_core::guard::logs::LogGuard;
use holystone_core::guard::{Guard, GuardRails};
use holystone_core::proposal::Proposal;
use holystone_core::report::PlanReport;
use holystone_core::snapshot::Snapshot;
use holystone_runtime::View;

use crate::args::{NodeArguments, PlanArguments};
use crate::exit::Exit;
use crate::logs::Logs;
use crate::observe::{self, LiveNode};
use crate::output;
use crate::plugins::{self, Loaded, Proposed};
use crate::policy::{self, Policy, Prepared};
use crate::remembered;
use crate::series::Series;

/// Decides and prints, one policy after the other.
pub(crate) async fn plan(arguments: &PlanArguments) -> anyhow::Result<Exit> {
    policy::check_standard_input(arguments)?;
    let recorded = arguments.snapshot.as_deref().map(observe::recorded).transpose()?;
    let prepared = policy::of_plan(arguments).await?;
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
    let mut planned = decide(&prepared.policy, &loaded, snapshot, &Logs::open(&[])?).await?;
    let roots: Vec<&str> = prepared.policy.log_roots.iter().map(|root| root.name.as_str()).collect();
    if !roots.is_empty() {
        planned
            .notices
            .push(format!("log directories are not recorded, so these log roots are left out: {}", roots.join(", ")));
    }
    Ok(planned)
}

/// What a run on this node would do. Looks, and touches nothing.
pub(crate) async fn of_live(prepared: &mut Prepared, node: &NodeArguments) -> anyhow::Result<PlanReport> {
    let (endpoint, log_roots) = (prepared.policy.endpoint.clone(), prepared.policy.log_roots.clone());
    let look = async {
        let live = LiveNode::connect(&endpoint, &log_roots, node).await?;
        let mut snapshot = live.observe().await?;
        remembered::recall(&node.state, &mut snapshot);
        Ok((snapshot, live.logs))
    };
    let (loaded, (snapshot, logs)) = tokio::try_join!(prepared.plugins(), look)?;
    decide(&prepared.policy, &loaded, &snapshot, &logs).await
}

/// From a snapshot to a plan by a policy.
pub(crate) async fn decide(
    policy: &Policy,
    loaded: &[Loaded],
    snapshot: &Snapshot,
    logs: &Logs,
) -> anyhow::Result<PlanReport> {
    let mut planned = review(loaded, snapshot, logs, &policy.rails).await?;
    planned.node_cleanup.clone_from(&policy.name);
    let before = policy.notices.iter().cloned().chain(policy::without_effect(policy, loaded));
    planned.notices.splice(..0, before);
    Ok(planned)
}

/// From a snapshot to a plan: the plugins propose, the guard rails review. Log directories are looked at as they are
/// when they are asked about.
async fn review(loaded: &[Loaded], snapshot: &Snapshot, logs: &Logs, rails: &GuardRails) -> anyhow::Result<PlanReport> {
    let guard = Guard::new(snapshot, rails);
    let view = View::of(snapshot, guard.usage()).with_logs(logs.source().await?);
    let Proposed { runs, proposals, notices } = plugins::propose(loaded, view).await?;
    let (others, wished): (Vec<_>, Vec<_>) = proposals.into_iter().map(Proposal::part_logs).unzip();
    let sights = logs.sights(&wished, rails.limits.percent.is_some()).await?;
    let entries = sights.entries;
    let known = snapshot.has_runtime().then_some(snapshot);
    let log_plan = LogGuard::new(rails.for_logs(), snapshot.taken_at, known).review(wished, sights, &snapshot.memory);
    let planned = PlanReport::new(snapshot, runs, guard.review(others)).with_logs(logs.names(), log_plan);
    let mut planned = planned.counting(entries).with_matches(&guard);
    planned.notices.extend(notices);
    Ok(planned)
}
