//! Files with several names: how many of them a plan takes, so that their content counts once, and as freed only when
//! the last name goes.

use std::collections::HashMap;

use crate::logs::{FileEntry, FileKind};

/// The number of files with several names that a directory keeps apart. Past that each name counts as a file that frees nothing.
const MOST: usize = 100_000;

/// Which file: device and inode.
type FileKey = (u64, u64);

/// Some names of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileNames {
    /// Their number.
    taken: u64,
    /// The number of names that the file has.
    all: u64,
    size_bytes: u64,
    allocated_bytes: u64,
}

/// Files with several names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(HashMap<FileKey, FileNames>);

impl Links {
    /// Those of one entry.
    pub(super) fn of(entry: &FileEntry) -> Self {
        let mut links = Self::default();
        links.add(entry);
        links
    }

    /// Adds a name. Gives what it adds to the sizes, and what removing it and all names before it frees beyond what they
    /// did; nothing if the entry is no file with several names.
    pub(super) fn add(&mut self, entry: &FileEntry) -> Option<(u64, u64)> {
        if entry.kind == FileKind::Directory || entry.hard_links < 2 {
            return None;
        }
        let key = (entry.identity.device, entry.identity.inode);
        if !self.0.contains_key(&key) && self.0.len() >= MOST {
            return Some((entry.size_bytes, 0));
        }
        let new = FileNames {
            taken: 0,
            all: entry.hard_links,
            size_bytes: entry.size_bytes,
            allocated_bytes: entry.allocated_bytes,
        };
        let names = self.0.entry(key).or_insert(new);
        let size = if names.taken == 0 { names.size_bytes } else { 0 };
        names.taken += 1;
        Some((size, if names.taken == names.all { names.allocated_bytes } else { 0 }))
    }

    /// What the names of a step count twice in size, and what they free that each for itself does not, when these have
    /// been taken before. The step takes no more names than there are.
    pub(super) fn beyond(&self, step: &Self) -> (u64, u64) {
        step.0.iter().fold((0, 0), |(twice, freed): (u64, u64), (key, more)| match self.0.get(key) {
            Some(before) => {
                let is_last = before.taken.saturating_add(more.taken) >= before.all;
                let more_freed = if is_last && more.taken < more.all { more.allocated_bytes } else { 0 };
                (twice.saturating_add(more.size_bytes), freed.saturating_add(more_freed))
            }
            None => (twice, freed),
        })
    }

    /// Returns whether more names would be taken than there are: one of them has been reached by another way.
    pub(super) fn is_exceeded_by(&self, step: &Self) -> bool {
        step.0.iter().any(|(key, more)| {
            self.0.get(key).is_some_and(|before| before.taken.saturating_add(more.taken) > before.all)
        })
    }

    /// Takes the names of a step.
    pub(super) fn take(&mut self, step: &Self) {
        for (key, more) in &step.0 {
            let names = self.0.entry(*key).or_insert(FileNames { taken: 0, ..*more });
            names.taken = names.taken.saturating_add(more.taken);
        }
    }
}
