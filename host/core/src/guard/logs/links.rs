//! Files with several names: the number of names that a plan takes, so that their content counts once, and as freed
//! only with the last name.

use std::collections::HashMap;

use crate::logs::{FileEntry, FileKind};

/// The maximum number of files with several names that a directory tracks. Beyond it, each name counts as a file that
/// frees nothing.
const MOST: usize = 100_000;

/// Device and inode of a file.
type FileKey = (u64, u64);

/// Some names of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileNames {
    /// The number of these names.
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
    /// Returns the names of one entry.
    pub(super) fn of(entry: &FileEntry) -> Self {
        let mut links = Self::default();
        links.add(entry);
        links
    }

    /// Adds a name. Returns the size that it adds, and the bytes that removing it and all earlier names frees beyond
    /// what those did; `None` if the entry is not a file with several names.
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

    /// Returns the size that the names of a step count twice, and the bytes that they free only together with the
    /// names taken before. The step must not take more names than there are.
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

    /// Returns whether a step would take more names than there are: one of them was reached by another path.
    pub(super) fn is_exceeded_by(&self, step: &Self) -> bool {
        step.0.iter().any(|(key, more)| {
            self.0.get(key).is_some_and(|before| before.taken.saturating_add(more.taken) > before.all)
        })
    }

    /// Adds the names of a step.
    pub(super) fn take(&mut self, step: &Self) {
        for (key, more) in &step.0 {
            let names = self.0.entry(*key).or_insert(FileNames { taken: 0, ..*more });
            names.taken = names.taken.saturating_add(more.taken);
        }
    }
}
