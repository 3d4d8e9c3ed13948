//! Carrying out a plan. No step is performed on an old look: before each the node is looked at again and the guard rails
//! are asked again.

mod context;
mod images;
mod logs;

use holystone_core::guard::images::Images;
use holystone_core::guard::logs::Logs;
use holystone_core::report::{PlanReport, Swept};
use holystone_core::state::State;

pub(crate) use self::context::SweepContext;

/// Performs all steps of a plan and says what became of each: those about images and those about log files one after the
/// other, beginning with what the first plugin wished.
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
