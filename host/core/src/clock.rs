//! What the clocks of a machine say, and how far the wall clock is believed.
//!
//! Ages are of time that really passed. A wall clock is set, stale after a boot, or wrong altogether; the time since boot
//! only ever moves forward, at its own pace, and counts suspends. So both are noted together.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long the wall clock has to have run along with the time since boot before a jump ahead, or the time that passed
/// between two boots, is believed.
pub const SETTLES: SignedDuration = SignedDuration::from_hours(1);

/// How far a wall clock may have moved ahead between two boots without a doubt, as of a node that was off over night, and
/// how much of that counts as time that has passed.
pub const BELIEVED_GAP: SignedDuration = SignedDuration::from_hours(24);

/// The clock of a machine beside the wall clock, and what the wall clock cannot be behind of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Clock {
    /// Which boot of the machine this is: the kernel makes a new id for each.
    pub boot_id: String,
    /// For how long the machine has been up, suspends included.
    pub up_for: SignedDuration,
    /// When the Holystone that looked was built. A wall clock that says less is wrong.
    pub built: Timestamp,
}

/// A wall clock and the time since boot, read together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reading {
    /// What the wall clock said.
    pub wall: Timestamp,
    /// Which boot it was.
    pub boot_id: String,
    /// For how long the machine had been up.
    pub up_for: SignedDuration,
    /// Whether the wall clock was known to be wrong, being behind the build of the Holystone that read it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_wrong: bool,
}

// serde asks for a reference here.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Why the wall clock is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Doubt {
    /// It says a time at which this Holystone had not been built.
    BeforeBuild {
        /// What it says.
        now: Timestamp,
        /// When Holystone was built.
        built: Timestamp,
    },
    /// It has jumped ahead, and has not run along with the time since boot for [`SETTLES`] since.
    Ahead {
        /// By how much.
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

/// A span of wall time in which files were dated wrongly: the clock of this boot was set ahead afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Misdated {
    /// What the clock said at the boot.
    pub from: Timestamp,
    /// What it said when it was set ahead, or would have said by the next run.
    pub until: Timestamp,
    /// When that was noticed, by the clock as it is now.
    pub noticed_at: Timestamp,
}

impl Misdated {
    /// Whether a file may have got this time while the clock was wrong.
    pub fn covers(&self, time: Timestamp) -> bool {
        self.from <= time && time <= self.until
    }
}

/// Rounds to whole seconds, for people.
pub fn rounded(duration: SignedDuration) -> SignedDuration {
    let half = SignedDuration::from_millis(if duration.is_negative() { -500 } else { 500 });
    SignedDuration::from_secs(duration.saturating_add(half).as_secs())
}
