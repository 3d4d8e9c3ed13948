//! Refusals of the guard rails: the number of the rail, a stable word to count by, and a sentence for people. Those of
//! single kinds are their [`Objection`]s.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Kind;

/// An objection that only the rails of one kind have.
pub trait Objection: Clone + fmt::Debug + fmt::Display + PartialEq + Eq {
    /// Returns the number of the rail.
    fn rail(&self) -> u8;

    /// Returns a stable word, to count by.
    fn code(&self) -> &'static str;
}

/// Why a rail said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal<K: Kind> {
    /// Rail 1: there is no such thing.
    NotFound,
    /// Rail 1: this host does not do that to that kind of thing.
    NotOffered,
    /// Rail 1: wished before, by this or an earlier plugin.
    Duplicate,
    /// A rail of this kind.
    Own(K::Objection),
    /// Rail 6: it has not been wished in enough runs in a row.
    NotConfirmed {
        /// In how many it has been, this one included.
        runs: u32,
        /// In how many it has to be.
        needed: u32,
    },
    /// Rail 8: the run has reached its number.
    OverCount {
        /// The limit.
        limit: u64,
    },
    /// Rail 8: it does not fit into what is left of the run's bytes.
    OverBytes {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Rail 8: the plugin's proposal as a whole is rejected.
    OverPercent {
        /// The limit, in percent of all there is of this kind.
        limit: u8,
        /// The share that the proposal would have come to, in percent, rounded up.
        wished: u64,
    },
    /// Rail 8: the same, because its share cannot be counted.
    Uncounted {
        /// The limit, in percent.
        limit: u8,
    },
}

impl<K: Kind> Refusal<K> {
    /// Returns whether the proposal of the plugin is rejected as a whole, with this and all of its other wishes of the kind.
    pub fn rejects_the_proposal(&self) -> bool {
        matches!(self, Self::OverPercent { .. } | Self::Uncounted { .. })
    }

    /// Returns the number of the rail that said no.
    pub fn rail(&self) -> u8 {
        match self {
            Self::NotFound | Self::NotOffered | Self::Duplicate => 1,
            Self::Own(objection) => objection.rail(),
            Self::NotConfirmed { .. } => 6,
            Self::OverCount { .. } | Self::OverBytes { .. } | Self::OverPercent { .. } | Self::Uncounted { .. } => 8,
        }
    }

    /// Returns a stable word, to count by.
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
