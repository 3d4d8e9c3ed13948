//! Pressure: whether a filesystem is full enough to remove anything at all, and when it is empty enough to stop.
//!
//! The fullness of a filesystem is that of the fuller of its bytes and its inodes: without either no file can be
//! written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::snapshot::Filesystem;
use crate::text;

/// The bounds at which to begin and to stop. An absent bound does not bind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// The filesystem that the bounds apply to.
    pub disk: Disk,
    /// The percentage in use above which removal begins; [`Pressure::until`] counts instead if it is higher.
    pub above: Option<u8>,
    /// The percentage in use at or below which removal stops.
    pub until: Option<u8>,
}

/// A filesystem that can fill up, written `images` or `logs:NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Disk {
    /// The filesystem on which the runtime keeps images; of several, the fullest.
    #[default]
    Images,
    /// The filesystem of the log root of this name.
    LogRoot(String),
}

/// The error of a text that names no filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be images, or logs: with the name of a log root, for example logs:app")]
pub struct DiskError;

impl FromStr for Disk {
    type Err = DiskError;

    fn from_str(text: &str) -> Result<Self, DiskError> {
        match (text, text.strip_prefix("logs:")) {
            ("images", _) => Ok(Self::Images),
            (_, Some(root)) if !root.is_empty() => Ok(Self::LogRoot(root.to_owned())),
            _ => Err(DiskError),
        }
    }
}

impl TryFrom<String> for Disk {
    type Error = DiskError;

    fn try_from(text: String) -> Result<Self, DiskError> {
        text.parse()
    }
}

impl From<Disk> for String {
    fn from(disk: Disk) -> Self {
        disk.to_string()
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Images => f.write_str("images"),
            Self::LogRoot(root) => write!(f, "logs:{root}"),
        }
    }
}

impl Disk {
    /// Returns the name of the filesystem for messages.
    pub fn subject(&self) -> String {
        match self {
            Self::Images => "the filesystem of the images".to_owned(),
            Self::LogRoot(root) => format!("the filesystem of the log root {}", text::shown(root)),
        }
    }

    fn is(&self, name: &str) -> bool {
        match self {
            Self::Images => name == "images" || name.starts_with("images-"),
            Self::LogRoot(root) => name.strip_prefix("logs:") == Some(root),
        }
    }
}

/// The need to remove, according to the figures of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Removal is needed.
    Yes,
    /// Removal is not needed: the share in use, rounded up, is not above the bound.
    No {
        /// Percent in use.
        used: u64,
        /// The resource of the share.
        measure: Measure,
        /// The bound, in percent.
        bound: u8,
    },
    /// The share in use is unknown.
    Unknown,
}

/// A resource of a filesystem that can run out. If both shares are equal, the bytes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Room for further files, whatever their size.
    Inodes,
    /// Room for the content of files.
    Bytes,
}

impl Measure {
    /// Returns the word that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Inodes => "inodes",
        }
    }
}

/// The space that has to become free to meet a goal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    /// In bytes.
    pub bytes: u64,
    /// In inodes.
    pub inodes: u64,
}

impl Excess {
    /// Returns whether the space expected to become free is enough.
    pub fn is_covered_by(self, expected: Self) -> bool {
        expected.bytes >= self.bytes && expected.inodes >= self.inodes
    }

    /// Adds further space expected to become free.
    pub fn add(&mut self, bytes: u64, inodes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.inodes = self.inodes.saturating_add(inodes);
    }
}

/// Returns the percentage in use and its resource, the fuller of bytes and inodes; `None` if the bytes are unknown.
pub fn fullness(filesystem: &Filesystem) -> Option<(u64, Measure)> {
    let bytes = (filesystem.bytes_used()?, Measure::Bytes);
    Some(filesystem.inodes_used().map_or(bytes, |inodes| bytes.max((inodes, Measure::Inodes))))
}

impl Pressure {
    /// Returns whether a sweep needs to begin.
    pub fn to_begin(&self, filesystems: &[Filesystem]) -> Need {
        match self.above.max(self.until) {
            Some(bound) => self.compare(filesystems, bound),
            None => Need::Yes,
        }
    }

    /// Returns whether a sweep needs to continue after a removal.
    pub fn to_go_on(&self, filesystems: &[Filesystem]) -> Need {
        match self.until {
            Some(bound) => self.compare(filesystems, bound),
            None => Need::Yes,
        }
    }

    /// Returns the space in use beyond the goal, `None` without a goal. Of several filesystems, the largest excess in
    /// bytes and the largest in inodes count.
    pub fn excess(&self, filesystems: &[Filesystem]) -> Option<Excess> {
        let bound = u128::from(self.until?);
        let beyond = |total: Option<u64>, free: Option<u64>| {
            let (total, free) = (total.unwrap_or(0), free.unwrap_or(0));
            let allowed = u64::try_from(u128::from(total) * bound / 100).unwrap_or(total);
            total.saturating_sub(free).saturating_sub(allowed)
        };
        let mut most = Excess::default();
        for filesystem in filesystems.iter().filter(|filesystem| self.disk.is(&filesystem.name)) {
            most.bytes = most.bytes.max(beyond(filesystem.capacity_bytes, filesystem.available_bytes));
            most.inodes = most.inodes.max(beyond(filesystem.inodes, filesystem.inodes_free));
        }
        Some(most)
    }

    fn compare(&self, filesystems: &[Filesystem], bound: u8) -> Need {
        match self.fullest(filesystems) {
            Some((used, _)) if used > u64::from(bound) => Need::Yes,
            Some((used, measure)) => Need::No { used, measure, bound },
            None => Need::Unknown,
        }
    }

    /// Returns the percentage in use and its resource; of several filesystems, of the fullest.
    fn fullest(&self, filesystems: &[Filesystem]) -> Option<(u64, Measure)> {
        let in_question = filesystems.iter().filter(|filesystem| self.disk.is(&filesystem.name));
        in_question.filter_map(fullness).max()
    }
}

#[cfg(test)]
mod tests;
