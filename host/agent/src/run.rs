//! A run: observe, recall, decide, ask, sweep, report.

mod execute;
mod output;

use std::time::Duration;

use async_trait::async_trait;
use holystone_core::daemon::back_off;
use holystone_core::manifest::Mode;
use holystone_core::report::{PlanReport, Report};
use jiff::Timestamp;

use crate::error::UsageError;
use crate::node::NodeOptions;
use crate::node_state::{LockedState, Recall};
use crate::plan::{self, PlanDecision, PlanTarget};
use crate::prepare::Prepared;
use crate::stop::{Stop, StopToken};
use crate::stopwatch::Stopwatch;
use crate::sweep::SweepContext;

pub(crate) use self::execute::carry_out;
pub use self::output::{RunOutput, not_run};

/// The options of a run.
#[derive(Clone, Copy)]
pub struct RunOptions<'a> {
    /// The node, and the location of its state.
    pub node: &'a NodeOptions,
    /// The longest wait for another run on this node.
    pub wait: Duration,
    /// The confirmation of a plan before anything is removed; without it, a plan is carried out at once.
    pub confirm: Option<&'a dyn Confirm>,
}

/// A confirmation before anything is removed.
#[async_trait]
pub trait Confirm: Send + Sync {
    /// Asks whether to carry out a plan.
    ///
    /// # Errors
    /// When it must not be carried out.
    async fn confirm(&self, planned: &PlanReport) -> anyhow::Result<()>;
}

/// Runs within the time limit of the policy. A run that cannot take place is retried while there is time.
///
/// # Errors
/// When no run takes place; then nothing has been touched.
pub async fn run(
    prepared: &mut Prepared,
    options: RunOptions<'_>,
    retries: u32,
    token: &StopToken,
) -> anyhow::Result<RunOutput> {
    let stop = Stop::within(prepared.policy.time_limit, token);
    let mut attempt = 0;
    loop {
        match run_once(prepared, options, &stop).await {
            Err(error) if attempt < retries && !error.is::<UsageError>() => {
                let pause = back_off(attempt).unsigned_abs();
                tracing::warn!(
                    "no run took place, which is tried again in {}: {error:#}",
                    humantime::format_duration(pause)
                );
                let waited = stop
                    .before_removals(async {
                        tokio::time::sleep(pause).await;
                        anyhow::Ok(())
                    })
                    .await;
                if waited.is_err() {
                    return Err(error);
                }
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// Runs once, from the lock to the report.
///
/// # Errors
/// When no run takes place; then nothing has been touched.
pub(crate) async fn run_once(
    prepared: &mut Prepared,
    options: RunOptions<'_>,
    stop: &Stop,
) -> anyhow::Result<RunOutput> {
    match prepared.policy.mode {
        Mode::DryRun => {
            let mut planned = stop.before_removals(Box::pin(plan::plan(prepared, options.node))).await?;
            planned.notices.push("the mode is DryRun, so nothing was removed".to_owned());
            Ok(RunOutput::Planned(Box::new(planned)))
        }
        Mode::Enforce => Ok(RunOutput::Swept(Box::new(Box::pin(enforce(prepared, options, stop)).await?))),
    }
}

async fn enforce(prepared: &mut Prepared, options: RunOptions<'_>, stop: &Stop) -> anyhow::Result<Report> {
    let mut clock = Stopwatch::start();
    let lock = LockedState::take(options.node.state_dir.as_deref(), options.wait);
    let mut state = stop.before_removals(lock).await?;
    clock.lap("lock");
    let recall = Recall::Locked(&mut state);
    let decide = plan::observe_and_decide(prepared, PlanTarget::This(options.node), recall, &mut clock);
    let PlanDecision { node, planned, recalled } = stop.before_removals(Box::pin(decide)).await?;
    if let Some(question) = options.confirm {
        stop.before_removals(question.confirm(&planned)).await?;
    }
    let policy = &prepared.policy;
    let context = SweepContext { node: &node, rails: &policy.rails, pace: &policy.pace, stop };
    let mut report = carry_out(context, planned, &mut state, clock).await;
    report.interrupted = recalled.interrupted;
    state.forget_unclaimed_daemons(Timestamp::now());
    Ok(report)
}
