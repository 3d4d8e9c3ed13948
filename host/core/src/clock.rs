//! Clock readings of a machine, and reasons to doubt its wall clock.
//!
//! Ages count time that really passed. A wall clock can be set, stale after a boot, or wrong; the time since boot only
//! moves forward, at a steady pace, and counts suspends. So the host records both together.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The time for which the wall clock has to keep pace with the time since boot before the host trusts a jump ahead, or
/// counts the time between the last run before a boot and that boot.
pub const SETTLES: SignedDuration = SignedDuration::from_hours(1);

/// The maximum that a wall clock may advance between the last run before a boot and that boot without doubt, as on a
/// node that was off overnight, and the maximum of it that counts as time passed.
pub const BELIEVED_GAP: SignedDuration = SignedDuration::from_hours(24);

/// The time since boot of a machine, and the earliest time that its wall clock can correctly show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Clock {
    /// Id of the boot, unique for each boot of the machine (from the kernel).
    pub boot_id: String,
    /// The time since boot, suspends included.
    pub up_for: SignedDuration,
    /// Build time of the Holystone that read the clocks. A wall clock that shows an earlier time is wrong.
    pub built: Timestamp,
}

/// A wall clock and the time since boot, read together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reading {
    /// The time on the wall clock.
    pub wall: Timestamp,
    /// Id of the boot.
    pub boot_id: String,
    /// The time since boot.
    pub up_for: SignedDuration,
    /// True if the wall clock was wrong: behind the build time of the Holystone that read it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_wrong: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A reason not to trust the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Doubt {
    /// The wall clock shows a time before this Holystone was built.
    BeforeBuild {
        /// The time on the wall clock.
        now: Timestamp,
        /// Build time of Holystone.
        built: Timestamp,
    },
    /// The wall clock jumped ahead, and has not yet kept pace with the time since boot for [`SETTLES`].
    Ahead {
        /// Length of the jump.
        by: SignedDuration,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeBuild { now, built } => {
                write!(f, "the clock says {now:.0}, and this version of Holystone was built later, at {built:.0}")
            }
            Self::Ahead { by } => {
                let by = rounded(*by);
                write!(f, "the clock has jumped ahead by {by:#}, and is not believed before it has run for {SETTLES:#}")
            }
        }
    }
}

/// A span of wall time in which files got wrong times, because the clock was set ahead later in the same boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Misdated {
    /// The time on the clock at the boot.
    pub from: Timestamp,
    /// The time that the clock would have shown at the next run, had it not been set ahead.
    pub until: Timestamp,
    /// The time at which a run noticed the change, on the scale of the clock as it is now.
    pub noticed_at: Timestamp,
}

impl Misdated {
    /// Returns whether a file may have got this time while the clock was wrong.
    pub fn covers(&self, time: Timestamp) -> bool {
        self.from <= time && time <= self.until
    }
}

/// Rounds to whole seconds, for people.
pub fn rounded(duration: SignedDuration) -> SignedDuration {
    let half = SignedDuration::from_millis(if duration.is_negative() { -500 } else { 500 });
    SignedDuration::from_secs(duration.saturating_add(half).as_secs())
}
