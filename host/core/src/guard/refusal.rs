//! Refusals of the guard rails: the number of the rail, a stable code, and a sentence for people. Refusals that only
//! one kind has are its [`Objection`]s.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Kind;

/// An objection that only the rails of one kind raise.
pub trait Objection: Clone + fmt::Debug + fmt::Display + PartialEq + Eq {
    /// Returns the number of the rail.
    fn rail(&self) -> u8;

    /// Returns a stable code, to count by.
    fn code(&self) -> &'static str;
}

/// A reason why a rail refused a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal<K: Kind> {
    /// Rail 1: the target does not exist.
    NotFound,
    /// Rail 1: the host does not offer this operation on this kind of target.
    NotOffered,
    /// Rail 1: already proposed, by this or an earlier plugin, or covered by another step.
    Duplicate,
    /// An objection of a rail that only this kind has.
    Own(K::Objection),
    /// Rail 6: not proposed in enough consecutive runs.
    NotConfirmed {
        /// The number of consecutive runs with this wish, including the current one.
        runs: u32,
        /// The required number of consecutive runs.
        needed: u32,
    },
    /// Rail 8: the entries would exceed the run's limit.
    OverCount {
        /// The limit.
        limit: u64,
    },
    /// Rail 8: the size would exceed the run's limit.
    OverBytes {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Rail 8: the plugin's proposal is rejected as a whole, because the share would exceed the limit.
    OverPercent {
        /// The limit, in percent of all entries of this kind.
        limit: u8,
        /// The share of the run's proposals up to this one, in percent, rounded up.
        wished: u64,
    },
    /// Rail 8: the plugin's proposal is rejected as a whole, because the entries of this kind could not be counted.
    Uncounted {
        /// The limit, in percent.
        limit: u8,
    },
}

impl<K: Kind> Refusal<K> {
    /// Returns whether the plugin's proposal is rejected as a whole, with all of its other wishes for this kind.
    pub fn rejects_the_proposal(&self) -> bool {
        matches!(self, Self::OverPercent { .. } | Self::Uncounted { .. })
    }

    /// Returns the number of the rail that refused.
    pub fn rail(&self) -> u8 {
        match self {
            Self::NotFound | Self::NotOffered | Self::Duplicate => 1,
            Self::Own(objection) => objection.rail(),
            Self::NotConfirmed { .. } => 6,
            Self::OverCount { .. } | Self::OverBytes { .. } | Self::OverPercent { .. } | Self::Uncounted { .. } => 8,
        }
    }

    /// Returns a stable code, to count by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::NotOffered => "NotOffered",
            Self::Duplicate => "Duplicate",
            Self::Own(objection) => objection.code(),
            Self::NotConfirmed { .. } => "NotConfirmed",
            Self::OverCount { .. } => "OverCount",
            Self::OverBytes { .. } => "OverBytes",
            Self::OverPercent { .. } => "OverPercent",
            Self::Uncounted { .. } => "Uncounted",
        }
    }
}

impl<K: Kind> fmt::Display for Refusal<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str(K::NOT_FOUND),
            Self::NotOffered => f.write_str("this host does not do that to this kind of target"),
            Self::Duplicate => f.write_str("already wished earlier in this run"),
            Self::Own(objection) => fmt::Display::fmt(objection, f),
            Self::NotConfirmed { runs, needed } => {
                write!(f, "proposed in {runs} of {needed} required consecutive runs")
            }
            Self::OverCount { limit } => write!(f, "over the limit of {} per run, which is {limit}", K::THINGS),
            Self::OverBytes { limit } => write!(f, "over the limit of bytes per run, which is {limit}"),
            Self::OverPercent { limit, wished } => {
                write!(f, "proposal rejected: it is about {wished} % of all {}, the limit is {limit} %", K::ALL)
            }
            Self::Uncounted { limit } => {
                write!(f, "proposal rejected: the limit is {limit} % of all {}, and those could not be counted", K::ALL)
            }
        }
    }
}

impl<K: Kind> Serialize for Refusal<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Refusal", 3)?;
        out.serialize_field("rail", &self.rail())?;
        out.serialize_field("code", self.code())?;
        out.serialize_field("message", &self.to_string())?;
        out.end()
    }
}
