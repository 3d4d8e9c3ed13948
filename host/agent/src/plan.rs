//! Planning: observe a node, recall its state, decide. Nothing is touched.

use holystone_core::confirmation::Wishers;
use holystone_core::guard::images::{ImageGuard, ImageObjection, Images};
use holystone_core::guard::logs::LogGuard;
use holystone_core::guard::{GuardRails, Refusal, Refused};
use holystone_core::proposal::Proposal;
use holystone_core::report::{PlanReport, PluginRun};
use holystone_core::snapshot::Snapshot;
use holystone_runtime::View;

use crate::log_access::RootAccess;
use crate::node::{LiveNode, NodeOptions};
use crate::node_state::{Recall, Recalled};
use crate::notices;
use crate::plugins::{self, LoadedPlugin, Proposed};
use crate::policy::Policy;
use crate::prepare::Prepared;
use crate::stopwatch::Stopwatch;

/// The node to observe.
pub(crate) enum PlanTarget<'a> {
    /// This node, reached by the policy and these options.
    This(&'a NodeOptions),
    /// A node that is already connected.
    Connected(Box<LiveNode>),
}

/// A plan, with the node and the recalled state behind it.
pub(crate) struct PlanDecision {
    pub(crate) node: LiveNode,
    pub(crate) planned: PlanReport,
    pub(crate) recalled: Recalled,
}

/// Observes a node, recalls its state and decides by a policy. The plugins are loaded at the same time.
///
/// # Errors
/// When the node cannot be observed, or no plugin answers.
pub(crate) async fn observe_and_decide(
    prepared: &mut Prepared,
    target: PlanTarget<'_>,
    recall: Recall<'_>,
    clock: &mut Stopwatch,
) -> anyhow::Result<PlanDecision> {
    let (endpoint, log_roots) = (prepared.policy.endpoint.clone(), prepared.policy.log_roots.clone());
    let unknown_open_age = prepared.policy.rails.unknown_open_age;
    let look = async {
        let node = match target {
            PlanTarget::This(options) => LiveNode::connect(&endpoint, &log_roots, options).await?,
            PlanTarget::Connected(node) => *node,
        };
        let mut recall = recall;
        recall.recover(&node.logs, unknown_open_age).await?;
        let mut snapshot = node.observe().await?;
        let recalled = recall.complete(&mut snapshot);
        anyhow::Ok((node, snapshot, recalled))
    };
    let (loaded, (node, snapshot, recalled)) = tokio::try_join!(prepared.plugins(), look)?;
    clock.lap("observe");
    let planned = decide(&prepared.policy, &loaded, &snapshot, &node.logs).await?;
    clock.lap("plan");
    Ok(PlanDecision { node, planned, recalled })
}

/// Plans what a run on this node would do.
///
/// # Errors
/// When the node cannot be observed, or no plugin answers.
pub async fn plan(prepared: &mut Prepared, node: &NodeOptions) -> anyhow::Result<PlanReport> {
    let recall = Recall::ReadOnly(node.state_dir.as_deref());
    let decision = observe_and_decide(prepared, PlanTarget::This(node), recall, &mut Stopwatch::start()).await?;
    let mut planned = decision.planned;
    planned.notices.extend(decision.recalled.notices);
    Ok(planned)
}

/// Plans what a run on a recorded node would do. Its state is part of the snapshot.
///
/// # Errors
/// When no plugin answers.
pub async fn plan_recorded(prepared: &mut Prepared, snapshot: &Snapshot) -> anyhow::Result<PlanReport> {
    let loaded = prepared.plugins().await?;
    let mut planned = decide(&prepared.policy, &loaded, snapshot, &RootAccess::open(&[], &[])?).await?;
    let roots: Vec<&str> = prepared.policy.log_roots.iter().map(|root| root.name.as_str()).collect();
    if !roots.is_empty() {
        planned
            .notices
            .push(format!("log directories are not recorded, so these log roots are left out: {}", roots.join(", ")));
    }
    Ok(planned)
}

/// Decides about a snapshot by a policy.
async fn decide(
    policy: &Policy,
    loaded: &[LoadedPlugin],
    snapshot: &Snapshot,
    logs: &RootAccess,
) -> anyhow::Result<PlanReport> {
    let mut planned = review(policy, loaded, snapshot, logs).await?;
    planned.node_cleanup.clone_from(&policy.name);
    let unknown = unknown_ages(&planned, &policy.rails);
    let before = policy.notices.iter().cloned().chain(notices::without_effect(policy, loaded)).chain(unknown);
    let before = before.chain(snapshot.outside_notice());
    planned.notices.splice(..0, before);
    Ok(planned)
}

/// Collects the proposals of the plugins and reviews them by the guard rails. Log directories are read at the time when
/// a plugin asks for them.
async fn review(
    policy: &Policy,
    loaded: &[LoadedPlugin],
    snapshot: &Snapshot,
    logs: &RootAccess,
) -> anyhow::Result<PlanReport> {
    let rails = &policy.rails;
    let guard = ImageGuard::new(snapshot, rails);
    let view = View::of(snapshot, guard.usage()).with_logs(logs.source().await?);
    let Proposed { runs, proposals, notices } = plugins::propose(loaded, view).await?;
    let wishers = wishers(policy.name.as_deref(), &runs);
    let (images, wished): (Vec<_>, Vec<_>) = proposals.into_iter().map(Proposal::by_kind).unzip();
    let inspections = logs.inspections(&wished, rails.limits.percent.is_some()).await?;
    let entries = inspections.entries;
    let known = snapshot.has_runtime().then_some(snapshot);
    let log_guard = LogGuard::new(rails.for_logs(), snapshot.taken_at, known).on(snapshot);
    let log_plan = log_guard.review(wished, inspections, &snapshot.memory.wishes_of(&wishers));
    let guard = guard.counting(&wishers);
    let planned = PlanReport::new(snapshot, runs, guard.review(images));
    let mut planned = planned.with_logs(logs.names(), log_plan, entries).with_matches(&guard);
    planned.notices.extend(notices);
    Ok(planned)
}

/// Builds the names by which wishes are counted: the plugins of a manifest, with their digests.
pub(crate) fn wishers(manifest: Option<&str>, runs: &[PluginRun]) -> Wishers {
    let mut wishers = Wishers { manifest: manifest.unwrap_or_default().to_owned(), ..Wishers::default() };
    for run in runs {
        let Some(digest) = &run.digest else { continue };
        let known = wishers.digests.entry(run.name.clone()).or_default();
        // Flags may give two plugins the same name; their wishes are then counted together.
        known.push_str(digest);
    }
    wishers
}

/// Explains that images stay because their age is unknown, and what the user can do about it.
fn unknown_ages(planned: &PlanReport, rails: &GuardRails) -> Option<String> {
    let unknown =
        |refused: &&Refused<Images>| matches!(refused.refusal, Refusal::Own(ImageObjection::AgeUnknown { .. }));
    let images = planned.images.plan.refusals.iter().filter(unknown).count();
    let stay = if images == 1 { "1 image stays".to_owned() } else { format!("{images} images stay") };
    (images > 0).then(|| {
        format!(
            "{stay} because this node has just been seen for the first time, and ages are unknown: a run of the schedule may remove what is still unused when {:#} have passed, and guardRails.minAge: 0s (--min-age 0s) does so at once",
            rails.min_age
        )
    })
}
