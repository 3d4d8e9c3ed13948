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
mod tests {
    use super::{Disk, DiskError, Excess, Measure, Need, Pressure};
    use crate::snapshot::Filesystem;

    fn disk(name: &str, capacity: u64, available: u64) -> Filesystem {
        Filesystem {
            name: name.to_owned(),
            capacity_bytes: Some(capacity),
            available_bytes: Some(available),
            ..Filesystem::default()
        }
    }

    #[test]
    fn a_filesystem_is_written_as_it_is_read() {
        for (text, disk) in [("images", Disk::Images), ("logs:app", Disk::LogRoot("app".to_owned()))] {
            let json = format!("\"{text}\"");
            assert_eq!(serde_json::from_str::<Disk>(&json).unwrap(), disk);
            assert_eq!(serde_json::to_string(&disk).unwrap(), json);
        }
        for text in ["\"logs:\"", "\"\"", "\"image\"", "1"] {
            assert!(serde_json::from_str::<Disk>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_run_begins_above_and_ends_at_until() {
        let pressure = Pressure { above: Some(85), until: Some(70), ..Pressure::default() };
        let begin = |available| pressure.to_begin(&[disk("images", 1000, available)]);
        assert_eq!(begin(150), Need::No { used: 85, measure: Measure::Bytes, bound: 85 });
        assert_eq!(begin(149), Need::Yes);
        let go_on = |available| pressure.to_go_on(&[disk("images", 1000, available)]);
        assert_eq!(go_on(299), Need::Yes);
        assert_eq!(go_on(300), Need::No { used: 70, measure: Measure::Bytes, bound: 70 });
    }

    #[test]
    fn until_alone_also_says_when_to_begin() {
        let pressure = Pressure { until: Some(70), ..Pressure::default() };
        assert_eq!(
            pressure.to_begin(&[disk("images", 100, 30)]),
            Need::No { used: 70, measure: Measure::Bytes, bound: 70 }
        );
        assert_eq!(pressure.to_begin(&[disk("images", 100, 29)]), Need::Yes);
    }

    #[test]
    fn without_bounds_there_is_always_a_need() {
        assert_eq!(Pressure::default().to_begin(&[]), Need::Yes);
        assert_eq!(Pressure::default().to_go_on(&[]), Need::Yes);
        let only_above = Pressure { above: Some(50), ..Pressure::default() };
        assert_eq!(only_above.to_go_on(&[disk("images", 100, 99)]), Need::Yes);
    }

    #[test]
    fn what_cannot_be_measured_is_unknown_and_other_filesystems_do_not_count() {
        let pressure = Pressure { above: Some(50), ..Pressure::default() };
        let unmeasured = Filesystem { name: "images".to_owned(), ..Filesystem::default() };
        assert_eq!(pressure.to_begin(&[unmeasured, disk("containers", 100, 0)]), Need::Unknown);
        assert_eq!(pressure.to_begin(&[disk("images", 0, 0)]), Need::Unknown);
    }

    #[test]
    fn the_fullest_of_several_counts_and_no_size_overflows() {
        let pressure = Pressure { above: Some(50), ..Pressure::default() };
        assert_eq!(pressure.to_begin(&[disk("images", 100, 90), disk("images-2", 100, 10)]), Need::Yes);
        let odd = disk("images", u64::MAX, u64::MAX);
        assert_eq!(pressure.to_begin(&[odd]), Need::No { used: 0, measure: Measure::Bytes, bound: 50 });
        assert_eq!(
            pressure.to_begin(&[disk("images", 1, u64::MAX)]),
            Need::No { used: 0, measure: Measure::Bytes, bound: 50 }
        );
    }

    #[test]
    fn the_fuller_of_bytes_and_inodes_counts() {
        let pressure = Pressure { above: Some(85), until: Some(70), ..Pressure::default() };
        let with = |available, inodes_free| Filesystem {
            inodes: Some(1_000),
            inodes_free: Some(inodes_free),
            ..disk("images", 1_000, available)
        };
        assert_eq!(pressure.to_begin(&[with(870, 0)]), Need::Yes, "13 % of the bytes, and no inode left");
        assert_eq!(pressure.to_begin(&[with(0, 870)]), Need::Yes);
        let no = |used, measure, bound| Need::No { used, measure, bound };
        assert_eq!(pressure.to_begin(&[with(870, 150)]), no(85, Measure::Inodes, 85));
        assert_eq!(pressure.to_begin(&[with(150, 870)]), no(85, Measure::Bytes, 85));
        assert_eq!(pressure.to_go_on(&[with(870, 299)]), Need::Yes);
        assert_eq!(pressure.to_go_on(&[with(870, 300)]), no(70, Measure::Inodes, 70));
        assert_eq!(pressure.to_go_on(&[with(300, 300)]), no(70, Measure::Bytes, 70));
        let without = Filesystem { inodes: None, inodes_free: None, ..with(870, 0) };
        assert_eq!(pressure.to_begin(&[without]), no(13, Measure::Bytes, 85), "btrfs counts none");
        for pair in [[with(870, 870), with(870, 0)], [with(870, 0), with(870, 870)]] {
            assert_eq!(pressure.to_begin(&pair), Need::Yes, "of several the fullest");
        }
    }

    #[test]
    fn what_is_in_use_beyond_the_goal_is_what_has_to_go() {
        let pressure = Pressure { above: Some(85), until: Some(70), ..Pressure::default() };
        let with = |available, inodes_free| Filesystem {
            inodes: Some(200),
            inodes_free: Some(inodes_free),
            ..disk("images", 1_001, available)
        };
        let excess = |bytes, inodes| Some(Excess { bytes, inodes });
        // 700 of 1001 bytes may be in use, and 140 of 200 inodes.
        assert_eq!(pressure.excess(&[with(301, 60)]), excess(0, 0));
        assert_eq!(pressure.excess(&[with(300, 59)]), excess(1, 1));
        assert_eq!(pressure.excess(&[with(0, 0)]), excess(301, 60));
        for pair in [[with(0, 60), with(301, 0)], [with(301, 0), with(0, 60)]] {
            assert_eq!(pressure.excess(&pair), excess(301, 60), "of several the most");
        }
        assert_eq!(pressure.excess(&[disk("containers", 100, 0)]), excess(0, 0), "it is another filesystem");
        assert_eq!(pressure.excess(&[disk("images", u64::MAX, 0)]), excess(u64::MAX - u64::MAX / 10 * 7 - 3, 0));
        assert_eq!(Pressure { until: None, ..pressure }.excess(&[with(0, 0)]), None);
    }

    #[test]
    fn an_excess_is_covered_when_bytes_and_inodes_are() {
        let excess = Excess { bytes: 10, inodes: 2 };
        let mut expected = Excess::default();
        assert!(Excess::default().is_covered_by(expected) && !excess.is_covered_by(expected));
        expected.add(10, 1);
        assert!(!excess.is_covered_by(expected), "the inodes are not");
        expected.add(u64::MAX, 1);
        assert!(excess.is_covered_by(expected));
        assert!(!excess.is_covered_by(Excess { bytes: 9, inodes: 2 }));
    }

    #[test]
    fn the_disk_of_a_log_root_counts_where_it_is_asked_for() {
        let pressure = Pressure { disk: "logs:app".parse().unwrap(), above: Some(50), until: None };
        assert_eq!(
            pressure.to_begin(&[disk("images", 100, 0), disk("logs:app", 100, 90)]),
            Need::No { used: 10, measure: Measure::Bytes, bound: 50 }
        );
        assert_eq!(pressure.to_begin(&[disk("images", 100, 90), disk("logs:app", 100, 0)]), Need::Yes);
        assert_eq!(pressure.to_begin(&[disk("images", 100, 90), disk("logs:apps", 100, 0)]), Need::Unknown);
    }

    #[test]
    fn disks_are_written_as_filesystems_are_named() {
        for text in ["images", "logs:app", "logs:logs:x"] {
            assert_eq!(text.parse::<Disk>().unwrap().to_string(), text);
        }
        for text in ["", "logs:", "logs", "containers", "Images"] {
            assert_eq!(text.parse::<Disk>(), Err(DiskError), "{text}");
        }
    }
}
