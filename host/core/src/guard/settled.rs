//! Whether a node has settled: before that, what it does not list may only not be there yet, and what its clock says may
//! not be so.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{Doubt, rounded};
use crate::snapshot::Snapshot;

/// Why nothing is removed from a node as it is: neither images, nor the logs of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// The wall clock is not trusted, so no age is. This concerns all log files.
    Clock(Doubt),
    /// The node has booted a while ago.
    JustBooted {
        /// For how long it has been up.
        up_for: SignedDuration,
        /// For how long it has to have been up.
        min_age: SignedDuration,
    },
    /// The runtime lists no pods, though there were some.
    NoPods {
        /// The last look at which there were.
        last: Timestamp,
        /// For how long there have to have been none.
        min_age: SignedDuration,
    },
}

impl Unsettled {
    /// Says why a node has not settled, if it has not.
    pub fn of(snapshot: &Snapshot, min_age: SignedDuration) -> Option<Self> {
        if min_age <= SignedDuration::ZERO {
            return None;
        }
        if let Some(doubt) = snapshot.memory.clock_doubt {
            return Some(Self::Clock(doubt));
        }
        let up_for = snapshot.node.clock.as_ref().map(|clock| clock.up_for);
        if let Some(up_for) = up_for.filter(|up_for| *up_for < min_age) {
            return Some(Self::JustBooted { up_for, min_age });
        }
        let pods = snapshot.memory.pods.filter(|_| snapshot.sandboxes.is_empty())?;
        let since = pods.none_since.unwrap_or(snapshot.taken_at);
        let is_new = snapshot.taken_at.duration_since(since) < min_age;
        is_new.then_some(Self::NoPods { last: pods.last, min_age })
    }

    /// Answers whether this is about the clock, and not about pods alone.
    pub fn is_of_the_clock(&self) -> bool {
        matches!(self, Self::Clock(_))
    }

    /// A stable word for it, to count by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Clock(_) => "ClockNotTrusted",
            Self::JustBooted { .. } => "JustBooted",
            Self::NoPods { .. } => "NoPodsListed",
        }
    }
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock(doubt) => write!(f, "no age is known: {doubt}"),
            Self::JustBooted { up_for, min_age } => write!(
                f,
                "the node has been up for {:#} only: before {min_age:#}, its pods may still be starting",
                rounded(*up_for)
            ),
            Self::NoPods { last, min_age } => write!(
                f,
                "the runtime lists no pods, though there were some at {last:.0}: unless that stays so for {min_age:#}, it may still be starting"
            ),
        }
    }
}
