//! How much has to be free on the filesystems of the log roots, and how much is missing.

use crate::config::MinFree;

/// What is known of the filesystem of a log root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Its size in bytes.
    pub capacity_bytes: Option<u64>,
    /// How many bytes are free on it.
    pub available_bytes: Option<u64>,
    /// How many files it has room for, and for how many more: to tell filesystems apart.
    pub inodes: (Option<u64>, Option<u64>),
}

/// How much is missing for each log root, by the root's number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goals {
    /// For each root, which filesystem it is on.
    filesystems: Vec<usize>,
    /// For each filesystem, how many bytes are missing; absent where that cannot be told.
    missing: Vec<Option<u64>>,
}

impl Goals {
    /// Prepares, with what is known of each root's filesystem. Without a goal everything is always missing.
    pub fn new(min_free: Option<MinFree>, roots: &[Figures]) -> Self {
        let mut goals = Self::default();
        let mut known: Vec<Figures> = Vec::new();
        for figures in roots {
            // Roots on one filesystem share what is free on it, and show the same figures to the byte.
            let same = known.iter().position(|other| other == figures && figures.available_bytes.is_some());
            goals.filesystems.push(same.unwrap_or(known.len()));
            if same.is_none() {
                known.push(*figures);
                goals.missing.push(missing(min_free, figures));
            }
        }
        goals
    }

    /// Whether more has to be freed on the filesystem of this root.
    pub fn is_unmet(&self, root: usize) -> bool {
        self.filesystem(root).is_some_and(|missing| missing > 0)
    }

    /// Whether it cannot be told how much is missing on the filesystem of this root.
    pub fn is_unknown(&self, root: usize) -> bool {
        self.filesystem(root).is_none()
    }

    /// Takes into account that so much is going to be freed.
    pub fn gain(&mut self, root: usize, bytes: u64) {
        let filesystem = self.filesystems.get(root).copied().and_then(|place| self.missing.get_mut(place));
        if let Some(Some(missing)) = filesystem
            && *missing != u64::MAX
        {
            *missing = missing.saturating_sub(bytes);
        }
    }

    fn filesystem(&self, root: usize) -> Option<u64> {
        self.filesystems.get(root).and_then(|place| *self.missing.get(*place)?)
    }
}

fn missing(min_free: Option<MinFree>, figures: &Figures) -> Option<u64> {
    let wanted = match min_free {
        None => return Some(u64::MAX),
        Some(MinFree::Bytes(bytes)) => bytes.get(),
        Some(MinFree::Share(share)) => {
            let hundredth = u128::from(figures.capacity_bytes?) * u128::from(share.get());
            u64::try_from(hundredth.div_ceil(100)).unwrap_or(u64::MAX)
        }
    };
    Some(wanted.saturating_sub(figures.available_bytes?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(capacity: u64, available: u64) -> Figures {
        Figures { capacity_bytes: Some(capacity), available_bytes: Some(available), inodes: (Some(capacity), None) }
    }

    #[test]
    fn without_a_goal_it_is_never_met() {
        let mut goals = Goals::new(None, &[Figures::default()]);
        goals.gain(0, u64::MAX);
        assert!(goals.is_unmet(0) && !goals.is_unknown(0));
    }

    #[test]
    fn what_is_freed_brings_the_goal_nearer_on_that_filesystem() {
        let mut goals = Goals::new(Some(MinFree::Bytes("100".parse().unwrap())), &[figures(500, 60), figures(900, 60)]);
        goals.gain(0, 39);
        assert!(goals.is_unmet(0) && goals.is_unmet(1));
        goals.gain(0, 1);
        assert!(!goals.is_unmet(0) && goals.is_unmet(1));
        goals.gain(0, 1_000);
        assert!(!goals.is_unmet(0));
    }

    #[test]
    fn roots_on_one_filesystem_share_what_is_free() {
        let mut goals = Goals::new(Some(MinFree::Share("20%".parse().unwrap())), &[figures(501, 60), figures(501, 60)]);
        goals.gain(0, 40);
        assert!(goals.is_unmet(1), "a fifth is 100.2");
        goals.gain(1, 1);
        assert!(!goals.is_unmet(0) && !goals.is_unmet(1));
    }

    #[test]
    fn what_cannot_be_told_is_not_met_by_removing() {
        let share = Some(MinFree::Share("20%".parse().unwrap()));
        let goals = Goals::new(share, &[Figures::default(), figures(100, 50), Figures::default()]);
        assert!(goals.is_unknown(0) && !goals.is_unmet(0) && goals.is_unknown(2));
        assert!(!goals.is_unknown(1) && !goals.is_unmet(1));
        assert!(goals.is_unknown(9));
    }
}
