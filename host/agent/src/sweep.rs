//! The execution of a plan. No step relies on an old observation: before each step the node is inspected again and the
//! guard rails review the step again.

mod context;
mod images;
mod logs;

use holystone_core::guard::images::Images;
use holystone_core::guard::logs::Logs;
use holystone_core::report::{PlanReport, Swept};
use holystone_core::state::State;

pub(crate) use self::context::SweepContext;

/// Performs all steps of a plan and returns the outcome of each. The steps on images and the steps on log files run one
/// group after the other, starting with the group that the first plugin proposed.
pub(crate) async fn sweep(
    context: SweepContext<'_>,
    state: &State,
    planned: &PlanReport,
) -> (Swept<Images>, Swept<Logs>) {
    let (steps, log_steps, filesystems) = (planned.image_steps(), planned.log_steps(), &planned.filesystems);
    if planned.begins_with_logs() {
        let log_swept = logs::sweep(context, state, log_steps, filesystems).await;
        (images::sweep(context, state, steps, filesystems).await, log_swept)
    } else {
        let swept = images::sweep(context, state, steps, filesystems).await;
        (swept, logs::sweep(context, state, log_steps, filesystems).await)
    }
}
