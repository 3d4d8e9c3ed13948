//! Carrying out a plan. No step is performed on an old look: before each the node is looked at anew and the guard rails
//! are asked again.

mod images;
mod logs;

use holystone_core::guard::GuardRails;
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

/// Where there is a goal, the end of a sweep that has met it, or of which nobody can tell any more.
async fn goal_met(job: Job<'_>) -> Option<Ending> {
    let pressure = &job.pace.pressure;
    pressure.until?;
    match job.node.filesystems().await {
        Ok(filesystems) => not_needed(pressure.to_go_on(&filesystems), pressure),
        Err(error) => {
            let message = format!("{} could not be measured again: {error}", pressure.disk.subject());
            Some(Ending { reason: EndReason::NodeUnseen, message })
        }
    }
}

/// Logs why a sweep ends.
fn tell(ending: &Ending) {
    if ending.is_failure() {
        tracing::error!("{}", ending.message);
    } else {
        tracing::info!("{}", ending.message);
    }
}
