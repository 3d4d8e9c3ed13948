//! Carrying out a plan. No step is performed on an old look: before each the node is looked at anew and the guard rails
//! are asked again.

mod images;
mod logs;

use holystone_core::guard::GuardRails;
use holystone_core::pressure::Excess;
use holystone_core::report::{EndReason, Ending, LogSwept, PlanReport, Swept};
use holystone_core::state::State;
use holystone_core::sweep::{Pace, not_needed};

use crate::observe::LiveNode;
use crate::stop::Stop;

/// Where, within what, how and until when a plan is carried out.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) node: &'a LiveNode,
    pub(crate) rails: &'a GuardRails,
    pub(crate) pace: &'a Pace,
    pub(crate) stop: &'a Stop,
}

/// Performs all steps of a plan and says what became of each: those about images and those about log files one after the
/// other, beginning with what the first plugin wished.
pub(crate) async fn sweep(job: Job<'_>, state: &State, planned: &PlanReport) -> (Swept, LogSwept) {
    let (steps, log_steps, filesystems) = (&planned.plan.steps, planned.log_steps(), &planned.filesystems);
    if planned.begins_with_logs() {
        let log_swept = logs::sweep(job, state, log_steps, filesystems).await;
        (images::sweep(job, state, steps, filesystems).await, log_swept)
    } else {
        let swept = images::sweep(job, state, steps, filesystems).await;
        (swept, logs::sweep(job, state, log_steps, filesystems).await)
    }
}

/// Returns what has to become free, where there is a goal.
///
/// # Errors
/// With the end of the sweep, when the goal is met or the filesystem cannot be measured.
async fn excess(job: Job<'_>) -> Result<Option<Excess>, Ending> {
    let pressure = &job.pace.pressure;
    if pressure.until.is_none() {
        return Ok(None);
    }
    let filesystems = job.node.filesystems().await.map_err(|error| Ending {
        reason: EndReason::NodeUnseen,
        message: format!("{} could not be measured again: {error}", pressure.disk.subject()),
    })?;
    not_needed(pressure.to_go_on(&filesystems), pressure).map_or_else(|| Ok(pressure.excess(&filesystems)), Err)
}

/// Logs why a sweep ends.
fn tell(ending: &Ending) {
    if ending.is_failure() {
        tracing::error!("{}", ending.message);
    } else {
        tracing::info!("{}", ending.message);
    }
}
