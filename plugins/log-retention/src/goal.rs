//! The space that has to be free on the filesystems of the log roots, and the space that is missing.

use holystone_core::manifest::Percent;

use crate::config::{Goal, MinFree, MinFreeInodes};

/// The known figures of the filesystem of a log root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Identity of the filesystem; absent when the host cannot determine it, and then the filesystem counts as
    /// different from all others.
    pub identity: Option<String>,
    /// Size in bytes.
    pub capacity_bytes: Option<u64>,
    /// Number of free bytes.
    pub available_bytes: Option<u64>,
    /// Number of inodes.
    pub inodes: Option<u64>,
    /// Number of free inodes.
    pub inodes_free: Option<u64>,
}

/// The shortage for each log root, by the root's number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goals {
    /// Number of the filesystem of each root.
    filesystems: Vec<usize>,
    /// Shortage of each filesystem; absent if it is unknown.
    missing: Vec<Option<Missing>>,
}

/// The shortage of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    /// A shortage without end: there is no goal.
    More,
    /// The missing bytes and inodes.
    Some { bytes: u64, inodes: u64 },
}

impl Goals {
    /// Computes the shortages from the figures of each root's filesystem. Without a goal, the shortage never ends.
    pub fn new(goal: Goal, roots: &[Figures]) -> Self {
        let mut goals = Self::default();
        let mut known: Vec<&Figures> = Vec::new();
        for figures in roots {
            // Roots on one filesystem share its free space, and the space that is freed.
            let same = known.iter().position(|other| other.identity == figures.identity && other.identity.is_some());
            goals.filesystems.push(same.unwrap_or(known.len()));
            if same.is_none() {
                known.push(figures);
                goals.missing.push(missing(goal, figures));
            }
        }
        goals
    }

    /// Returns whether more has to be freed on the filesystem of this root.
    pub fn is_unmet(&self, root: usize) -> bool {
        !matches!(self.filesystem(root), None | Some(Missing::Some { bytes: 0, inodes: 0 }))
    }

    /// Returns whether the shortage on the filesystem of this root is unknown.
    pub fn is_unknown(&self, root: usize) -> bool {
        self.filesystem(root).is_none()
    }

    /// Subtracts bytes and inodes that are going to be freed.
    pub fn gain(&mut self, root: usize, freed_bytes: u64, freed_inodes: u64) {
        let filesystem = self.filesystems.get(root).copied().and_then(|place| self.missing.get_mut(place));
        if let Some(Some(Missing::Some { bytes, inodes })) = filesystem {
            *bytes = bytes.saturating_sub(freed_bytes);
            *inodes = inodes.saturating_sub(freed_inodes);
        }
    }

    fn filesystem(&self, root: usize) -> Option<Missing> {
        self.filesystems.get(root).and_then(|place| *self.missing.get(*place)?)
    }
}

fn missing(goal: Goal, figures: &Figures) -> Option<Missing> {
    if goal == Goal::default() {
        return Some(Missing::More);
    }
    let bytes = match goal.min_free {
        None => 0,
        Some(MinFree::Bytes(bytes)) => bytes.get(),
        Some(MinFree::Share(share)) => part(share, figures.capacity_bytes?),
    };
    let available = figures.available_bytes?;
    // Filesystems that create inodes on demand report no number of them, and never run out.
    let inodes = figures.inodes.zip(figures.inodes_free).map_or(0, |(all, free)| {
        let wanted = match (goal.min_free_inodes, goal.min_free) {
            (Some(MinFreeInodes::Number(number)), _) => number.into(),
            (Some(MinFreeInodes::Share(share)), _) | (None, Some(MinFree::Share(share))) => part(share, all),
            (None, _) => 0,
        };
        wanted.saturating_sub(free)
    });
    Some(Missing::Some { bytes: bytes.saturating_sub(available), inodes })
}

/// Computes a share of a whole, rounded up.
fn part(share: Percent, whole: u64) -> u64 {
    let part = (u128::from(whole) * u128::from(share.get())).div_ceil(100);
    u64::try_from(part).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(identity: &str, capacity: u64, available: u64) -> Figures {
        let identity = Some(identity.to_owned());
        Figures { identity, capacity_bytes: Some(capacity), available_bytes: Some(available), ..Figures::default() }
    }

    fn bytes(text: &str) -> Goal {
        Goal { min_free: Some(MinFree::Bytes(text.parse().unwrap())), ..Goal::default() }
    }

    fn share(text: &str) -> Goal {
        Goal { min_free: Some(MinFree::Share(text.parse().unwrap())), ..Goal::default() }
    }

    #[test]
    fn without_a_goal_it_is_never_met() {
        let mut goals = Goals::new(Goal::default(), &[Figures::default()]);
        goals.gain(0, u64::MAX, u64::MAX);
        assert!(goals.is_unmet(0) && !goals.is_unknown(0));
    }

    #[test]
    fn what_is_freed_brings_the_goal_nearer_on_that_filesystem() {
        let mut goals = Goals::new(bytes("100"), &[figures("a", 500, 60), figures("b", 500, 60)]);
        goals.gain(0, 39, 0);
        assert!(goals.is_unmet(0) && goals.is_unmet(1));
        goals.gain(0, 1, 0);
        assert!(!goals.is_unmet(0) && goals.is_unmet(1));
        goals.gain(0, 1_000, 0);
        assert!(!goals.is_unmet(0));
    }

    #[test]
    fn roots_on_one_filesystem_share_what_is_free() {
        let mut goals = Goals::new(share("20%"), &[figures("a", 501, 60), figures("a", 501, 60)]);
        goals.gain(0, 40, 0);
        assert!(goals.is_unmet(1), "a fifth is 100.2");
        goals.gain(1, 1, 0);
        assert!(!goals.is_unmet(0) && !goals.is_unmet(1));
    }

    #[test]
    fn what_cannot_be_told_is_not_met_by_removing() {
        let goals = Goals::new(share("20%"), &[Figures::default(), figures("a", 100, 50), Figures::default()]);
        assert!(goals.is_unknown(0) && !goals.is_unmet(0) && goals.is_unknown(2));
        assert!(!goals.is_unknown(1) && !goals.is_unmet(1));
        assert!(goals.is_unknown(9));
    }

    #[test]
    fn roots_without_an_identity_are_on_filesystems_of_their_own() {
        let nameless = || Figures { identity: None, ..figures("", 500, 60) };
        let mut goals = Goals::new(bytes("100"), &[nameless(), nameless()]);
        goals.gain(0, 40, 0);
        assert!(!goals.is_unmet(0) && goals.is_unmet(1));
    }

    /// A filesystem of which 870 of 1 000 bytes are free, and so many of 1 000 inodes.
    fn with_inodes(free: u64) -> Figures {
        Figures { inodes: Some(1_000), inodes_free: Some(free), ..figures("a", 1_000, 870) }
    }

    #[test]
    fn a_share_is_one_of_inodes_as_well() {
        let mut goals = Goals::new(share("15%"), &[with_inodes(0)]);
        goals.gain(0, 1_000, 149);
        assert!(goals.is_unmet(0), "one inode is missing");
        goals.gain(0, 0, 1);
        assert!(!goals.is_unmet(0));
        assert!(!Goals::new(share("15%"), &[with_inodes(150)]).is_unmet(0));
        assert!(!Goals::new(bytes("100"), &[with_inodes(0)]).is_unmet(0), "a size says nothing about inodes");
    }

    #[test]
    fn inodes_have_a_goal_of_their_own() {
        let of = |goal: Goal, number| Goal { min_free_inodes: Some(number), ..goal };
        let (number, tenth) = (MinFreeInodes::Number(200), MinFreeInodes::Share("10%".parse().unwrap()));
        for (goal, free, is_unmet) in [
            (of(Goal::default(), number), 199, true),
            (of(Goal::default(), number), 200, false),
            (of(Goal::default(), tenth), 99, true),
            (of(Goal::default(), tenth), 100, false),
            (of(bytes("100"), number), 199, true),
            (of(bytes("871"), number), 200, true),
            (of(bytes("870"), number), 200, false),
            // It says more about inodes than the share of both.
            (of(share("50%"), tenth), 100, false),
            (of(share("5%"), tenth), 99, true),
        ] {
            assert_eq!(Goals::new(goal, &[with_inodes(free)]).is_unmet(0), is_unmet, "{goal:?} with {free}");
        }
        let mut goals = Goals::new(of(Goal::default(), number), &[with_inodes(198)]);
        goals.gain(0, 1_000_000, 1);
        assert!(goals.is_unmet(0), "bytes are no inodes");
        goals.gain(0, 0, 1);
        assert!(!goals.is_unmet(0));
        let endless = Goals::new(of(Goal::default(), number), &[figures("a", 1_000, 0)]);
        assert!(!endless.is_unmet(0) && !endless.is_unknown(0), "a filesystem that makes inodes as it goes");
        assert!(Goals::new(of(Goal::default(), number), &[Figures::default()]).is_unknown(0));
    }
}
