//! The context of a sweep, and the parts that sweeps of images and of log files share.

use holystone_core::guard::GuardRails;
use holystone_core::pressure::Excess;
use holystone_core::report::{EndReason, Ending};
use holystone_core::sweep::{Pace, not_needed};

use crate::node::LiveNode;
use crate::stop::Stop;

/// The node, rails, pace and time limit of a sweep.
#[derive(Clone, Copy)]
pub(crate) struct SweepContext<'a> {
    pub(crate) node: &'a LiveNode,
    pub(crate) rails: &'a GuardRails,
    pub(crate) pace: &'a Pace,
    pub(crate) stop: &'a Stop,
}

/// Computes how much still has to be freed, if there is a goal.
///
/// # Errors
/// Fails with the end of the sweep, when the goal is met or the filesystem cannot be measured.
pub(super) async fn excess(context: SweepContext<'_>) -> Result<Option<Excess>, Ending> {
    let pressure = &context.pace.pressure;
    if pressure.until.is_none() {
        return Ok(None);
    }
    let filesystems = context.node.filesystems().await.map_err(|error| Ending {
        reason: EndReason::NodeUnseen,
        message: format!("{} could not be measured again: {error}", pressure.disk.subject()),
    })?;
    not_needed(pressure.to_go_on(&filesystems), pressure).map_or_else(|| Ok(pressure.excess(&filesystems)), Err)
}

/// Logs the reason why a sweep ends.
pub(super) fn tell(ending: &Ending) {
    if ending.is_failure() {
        tracing::error!("{}", ending.message);
    } else {
        tracing::info!("{}", ending.message);
    }
}
