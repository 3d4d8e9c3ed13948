//! Carrying out a plan. No step is performed on an old look: before each the node is looked at anew and the guard rails
//! are asked again.

mod images;
mod logs;

use std::time::Duration;

use holystone_core::guard::GuardRails;
use holystone_core::pressure::{Disk, Need, Pressure};
use holystone_core::report::{EndReason, Ending, LogSwept, PlanReport, Swept};
use holystone_core::state::State;

use crate::observe::LiveNode;
use crate::stop::Stop;

/// How many removals of images may be under way at once, by default. containerd ends each with a collection of its whole
/// store, which calls in flight together share: one at a time is quadratic in the number of images. The benchmark `sweep`
/// measures it.
pub(crate) const IN_FLIGHT: u16 = 1024;

/// After how many failures in a row a sweep ends, by default.
pub(crate) const MAX_FAILURES: u32 = 20;

/// How fast to remove, and how far to go.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// How many removals of images may be under way at once. Files are removed one by one.
    pub(crate) in_flight: usize,
    /// How long to wait after each removal has been started; zero does not wait.
    pub(crate) pause: Duration,
    /// Whether to begin, and when to stop.
    pub(crate) pressure: Pressure,
    /// After how many failures in a row to stop.
    pub(crate) max_failures: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            in_flight: IN_FLIGHT.into(),
            pause: Duration::ZERO,
            pressure: Pressure::default(),
            max_failures: MAX_FAILURES,
        }
    }
}

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

/// The end of a sweep for which there is no need.
fn not_needed(need: Need, pressure: &Pressure) -> Option<Ending> {
    let (reason, message) = match need {
        Need::Yes => return None,
        Need::No { used, measure, bound } => (
            EndReason::NotNeeded,
            format!(
                "{} is {used} % full (by {}), and removal is wanted above {bound} %",
                pressure.disk.subject(),
                measure.as_str()
            ),
        ),
        Need::Unknown => (
            EndReason::NodeUnseen,
            format!(
                "how full {} is cannot be seen from here, and --above or --until ask for it: {}, or leave them out",
                pressure.disk.subject(),
                match pressure.disk {
                    Disk::Images => "mount the runtime's directory at the same path",
                    Disk::LogRoot(_) => "declare that log root",
                }
            ),
        ),
    };
    Some(Ending { reason, message })
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
