//! Detection of a node that has not settled: its list of pods may still be incomplete, or its clock may be wrong.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{Doubt, rounded};
use crate::snapshot::Snapshot;

/// A reason why neither images nor logs of pods are removed from a node in its current state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// The wall clock is not trusted, so no age is. This applies to all log files, not only to those of pods.
    Clock(Doubt),
    /// The node has booted recently.
    JustBooted {
        /// The time since boot.
        up_for: SignedDuration,
        /// The required time since boot.
        min_age: SignedDuration,
    },
    /// The runtime lists no pods, although there were some before.
    NoPods {
        /// The time of the last snapshot with pods.
        last: Timestamp,
        /// The time for which the list has to stay empty.
        min_age: SignedDuration,
    },
}

impl Unsettled {
    /// Returns the reason why a node has not settled; `None` if it has, or if `min_age` is zero, which disables the
    /// check.
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

    /// Returns whether the reason is the clock, which concerns more than pods.
    pub fn is_of_the_clock(&self) -> bool {
        matches!(self, Self::Clock(_))
    }

    /// Returns a stable code, to count by.
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
