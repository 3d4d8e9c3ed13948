//! Options of a walk, applied name by name on the way down.

use super::FileKind;
use super::glob::{Glob, State};
use super::path::LogPath;

/// The entries that a walk yields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalkOptions {
    /// Directory to start at, which is not among the entries itself.
    pub prefix: LogPath,
    /// Globs, one of which an entry must match; empty for all.
    pub include: Vec<Glob>,
    /// Globs of entries to leave out, with everything under them.
    pub exclude: Vec<Glob>,
    /// Kinds of entries to yield; empty for all.
    pub kinds: Vec<FileKind>,
    /// Maximum depth below `prefix` at which directories are entered; absent for the host's own limit.
    pub max_depth: Option<u32>,
}

/// The number of entries that each glob of a walk has matched or left out, in the order of the globs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobCounts {
    /// Entries of the kinds asked for that match each glob of [`WalkOptions::include`].
    pub include: Vec<u64>,
    /// Entries that each glob of [`WalkOptions::exclude`] leaves out: those that would be yielded without it, and
    /// directories that are not entered because of it.
    pub exclude: Vec<u64>,
}

/// The progress of the globs on the way to one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    include: Box<[State]>,
    exclude: Box<[State]>,
}

impl WalkOptions {
    /// Computes the reach at the directory where the walk starts; `None` if that directory, or one that it lies in, is
    /// left out.
    pub fn start(&self) -> Option<Reach> {
        let begin = |globs: &[Glob]| globs.iter().map(Glob::start).collect();
        let root = Reach { include: begin(&self.include), exclude: begin(&self.exclude) };
        self.prefix.components().try_fold(root, |reach, name| {
            let inside = self.step(&reach, name);
            (!self.leaves_out(&inside)).then_some(inside)
        })
    }

    /// Returns counts that are all zero.
    pub fn counts(&self) -> GlobCounts {
        GlobCounts { include: vec![0; self.include.len()], exclude: vec![0; self.exclude.len()] }
    }

    /// Returns whether an entry is yielded, as far as its name decides that. Of the kind, only what the filesystem
    /// keeps beside the name is known.
    pub fn names(&self, reach: &Reach, name: &[u8], kind: Option<FileKind>, counts: &mut GlobCounts) -> bool {
        let is_wanted = kind.is_none_or(|kind| self.wants(kind));
        let is_included =
            self.include.is_empty() || hits(&self.include, &reach.include, name, is_wanted, &mut counts.include);
        // A directory that is left out is counted where it is not entered.
        let is_counted = is_wanted && kind != Some(FileKind::Directory);
        is_included && !hits(&self.exclude, &reach.exclude, name, is_counted, &mut counts.exclude)
    }

    /// Computes the reach within the directory of this name; `None` if the walk need not enter it.
    pub fn enter(&self, reach: &Reach, name: &[u8], counts: &mut GlobCounts) -> Option<Reach> {
        let inside = self.step(reach, name);
        for ((glob, state), count) in self.exclude.iter().zip(&inside.exclude).zip(&mut counts.exclude) {
            *count += u64::from(glob.accepts(*state));
        }
        let mut include = self.include.iter().zip(&inside.include);
        let can_match = self.include.is_empty() || include.any(|(glob, state)| glob.reaches_beneath(*state));
        (can_match && !self.leaves_out(&inside)).then_some(inside)
    }

    /// Returns whether entries of this kind are yielded.
    pub fn wants(&self, kind: FileKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn step(&self, reach: &Reach, name: &[u8]) -> Reach {
        let step = |globs: &[Glob], states: &[State]| {
            globs.iter().zip(states).map(|(glob, state)| glob.step(*state, name)).collect()
        };
        Reach { include: step(&self.include, &reach.include), exclude: step(&self.exclude, &reach.exclude) }
    }

    fn leaves_out(&self, reach: &Reach) -> bool {
        self.exclude.iter().zip(&reach.exclude).any(|(glob, state)| glob.accepts(*state))
    }
}

/// Returns whether one of the globs matches, and counts each that does.
fn hits(globs: &[Glob], states: &[State], name: &[u8], is_counted: bool, counts: &mut [u64]) -> bool {
    let mut is_hit = false;
    for ((glob, state), count) in globs.iter().zip(states).zip(counts) {
        if glob.accepts(glob.step(*state, name)) {
            *count += u64::from(is_counted);
            is_hit = true;
        }
    }
    is_hit
}

#[cfg(test)]
mod tests;
