//! `holystone plan`: what a run would do. A dry run is the absence of the sweep, not a flag passed down.

use holystone_core::confirmation::Wishers;
use holystone_core::guard::logs::LogGuard;
use holystone_core::guard::{Guard, GuardRails, Refusal, Refused};
use holystone_core::proposal::Proposal;
use holystone_core::report::{PlanReport, PluginRun};
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
    let mut planned = decide(&prepared.policy, &loaded, snapshot, &Logs::open(&[], &[])?).await?;
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
        let notices = remembered::recall(&node.state, &mut snapshot);
        Ok((snapshot, live.logs, notices))
    };
    let (loaded, (snapshot, logs, notices)) = tokio::try_join!(prepared.plugins(), look)?;
    let mut planned = decide(&prepared.policy, &loaded, &snapshot, &logs).await?;
    planned.notices.extend(notices);
    Ok(planned)
}

/// From a snapshot to a plan by a policy.
pub(crate) async fn decide(
    policy: &Policy,
    loaded: &[Loaded],
    snapshot: &Snapshot,
    logs: &Logs,
) -> anyhow::Result<PlanReport> {
    let mut planned = review(policy, loaded, snapshot, logs).await?;
    planned.node_cleanup.clone_from(&policy.name);
    let unknown = unknown_ages(&planned, &policy.rails);
    let before = policy.notices.iter().cloned().chain(policy::without_effect(policy, loaded)).chain(unknown);
    let before = before.chain(snapshot.outside_notice());
    planned.notices.splice(..0, before);
    Ok(planned)
}

/// From a snapshot to a plan: the plugins propose, the guard rails review. Log directories are looked at as they are
/// when they are asked about.
async fn review(policy: &Policy, loaded: &[Loaded], snapshot: &Snapshot, logs: &Logs) -> anyhow::Result<PlanReport> {
    let rails = &policy.rails;
    let guard = Guard::new(snapshot, rails);
    let view = View::of(snapshot, guard.usage()).with_logs(logs.source().await?);
    let Proposed { runs, proposals, notices } = plugins::propose(loaded, view).await?;
    let wishers = wishers(policy.name.as_deref(), &runs);
    let (others, wished): (Vec<_>, Vec<_>) = proposals.into_iter().map(Proposal::part_logs).unzip();
    let sights = logs.sights(&wished, rails.limits.percent.is_some()).await?;
    let entries = sights.entries;
    let known = snapshot.has_runtime().then_some(snapshot);
    let log_guard = LogGuard::new(rails.for_logs(), snapshot.taken_at, known).on(snapshot);
    let log_plan = log_guard.review(wished, sights, &snapshot.memory.wishes_of(&wishers));
    let guard = guard.counting(&wishers);
    let planned = PlanReport::new(snapshot, runs, guard.review(others)).with_logs(logs.names(), log_plan);
    let mut planned = planned.counting(entries).with_matches(&guard);
    planned.notices.extend(notices);
    Ok(planned)
}

/// Names whose wishes are counted: the plugins of a manifest, with their digests.
pub(crate) fn wishers(manifest: Option<&str>, runs: &[PluginRun]) -> Wishers {
    let mut wishers = Wishers { manifest: manifest.unwrap_or_default().to_owned(), ..Wishers::default() };
    for run in runs {
        let Some(digest) = &run.digest else { continue };
        let known = wishers.digests.entry(run.name.clone()).or_default();
        // Flags may name two plugins alike: then the count is of both together.
        known.push_str(digest);
    }
    wishers
}

/// Says that images stay because their age is unknown, and what to do about it.
fn unknown_ages(planned: &PlanReport, rails: &GuardRails) -> Option<String> {
    let unknown = |refused: &&Refused| matches!(refused.refusal, Refusal::AgeUnknown { .. });
    let images = planned.plan.refusals.iter().filter(unknown).count();
    let stay = if images == 1 { "1 image stays".to_owned() } else { format!("{images} images stay") };
    (images > 0).then(|| {
        format!(
            "{stay} because this node has just been seen for the first time, and ages are unknown: a run of the schedule may remove what is still unused when {:#} have passed, and guardRails.minAge: 0s (--min-age 0s) does so at once",
            rails.min_age
        )
    })
}
