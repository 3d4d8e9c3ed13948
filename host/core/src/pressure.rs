//! Pressure: whether a filesystem is full enough to remove anything at all, and when it is empty enough to stop.

use crate::snapshot::Filesystem;

/// When to act, and until when. An absent bound does not bind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Remove only while the filesystem of the images is fuller than this, in percent.
    pub above: Option<u8>,
    /// Stop as soon as it is no fuller than this, in percent.
    pub until: Option<u8>,
}

/// What the figures of a filesystem say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Go on.
    Yes,
    /// There is nothing to be gained: the share in use, rounded up, and the bound that it is not above.
    No {
        /// Percent in use.
        used: u8,
        /// The bound, in percent.
        bound: u8,
    },
    /// The share in use cannot be told.
    Unknown,
}

impl Pressure {
    /// Whether there is a need to begin.
    pub fn to_begin(self, filesystems: &[Filesystem]) -> Need {
        match self.above.max(self.until) {
            Some(bound) => compare(filesystems, bound),
            None => Need::Yes,
        }
    }

    /// Whether there is a need to go on, once something has been removed.
    pub fn to_go_on(self, filesystems: &[Filesystem]) -> Need {
        match self.until {
            Some(bound) => compare(filesystems, bound),
            None => Need::Yes,
        }
    }
}

fn compare(filesystems: &[Filesystem], bound: u8) -> Need {
    match used_percent(filesystems) {
        Some(used) if used > bound => Need::Yes,
        Some(used) => Need::No { used, bound },
        None => Need::Unknown,
    }
}

/// How full the fullest filesystem of images is, in percent, rounded up: at 85.1 % it is above 85.
fn used_percent(filesystems: &[Filesystem]) -> Option<u8> {
    let images = filesystems.iter().filter(|filesystem| is_of_images(&filesystem.name));
    let shares = images.filter_map(|filesystem| {
        let (capacity, available) = (filesystem.capacity_bytes?, filesystem.available_bytes?);
        let used = u128::from(capacity.saturating_sub(available));
        let percent = (used * 100).checked_div(u128::from(capacity))?;
        let whole = percent * u128::from(capacity) == used * 100;
        u8::try_from(if whole { percent } else { percent + 1 }).ok()
    });
    shares.max()
}

fn is_of_images(name: &str) -> bool {
    name == "images" || name.starts_with("images-")
}

#[cfg(test)]
mod tests {
    use super::{Need, Pressure};
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
    fn a_run_begins_above_and_ends_at_until() {
        let pressure = Pressure { above: Some(85), until: Some(70) };
        let begin = |available| pressure.to_begin(&[disk("images", 1000, available)]);
        assert_eq!(begin(150), Need::No { used: 85, bound: 85 });
        assert_eq!(begin(149), Need::Yes);
        let go_on = |available| pressure.to_go_on(&[disk("images", 1000, available)]);
        assert_eq!(go_on(299), Need::Yes);
        assert_eq!(go_on(300), Need::No { used: 70, bound: 70 });
    }

    #[test]
    fn until_alone_also_says_when_to_begin() {
        let pressure = Pressure { above: None, until: Some(70) };
        assert_eq!(pressure.to_begin(&[disk("images", 100, 30)]), Need::No { used: 70, bound: 70 });
        assert_eq!(pressure.to_begin(&[disk("images", 100, 29)]), Need::Yes);
    }

    #[test]
    fn without_bounds_there_is_always_a_need() {
        assert_eq!(Pressure::default().to_begin(&[]), Need::Yes);
        assert_eq!(Pressure::default().to_go_on(&[]), Need::Yes);
        let only_above = Pressure { above: Some(50), until: None };
        assert_eq!(only_above.to_go_on(&[disk("images", 100, 99)]), Need::Yes);
    }

    #[test]
    fn what_cannot_be_measured_is_unknown_and_other_filesystems_do_not_count() {
        let pressure = Pressure { above: Some(50), until: None };
        let unmeasured = Filesystem { name: "images".to_owned(), ..Filesystem::default() };
        assert_eq!(pressure.to_begin(&[unmeasured, disk("containers", 100, 0)]), Need::Unknown);
        assert_eq!(pressure.to_begin(&[disk("images", 0, 0)]), Need::Unknown);
    }

    #[test]
    fn the_fullest_of_several_counts_and_no_size_overflows() {
        let pressure = Pressure { above: Some(50), until: None };
        assert_eq!(pressure.to_begin(&[disk("images", 100, 90), disk("images-2", 100, 10)]), Need::Yes);
        let odd = disk("images", u64::MAX, u64::MAX);
        assert_eq!(pressure.to_begin(&[odd]), Need::No { used: 0, bound: 50 });
        assert_eq!(pressure.to_begin(&[disk("images", 1, u64::MAX)]), Need::No { used: 0, bound: 50 });
    }
}
