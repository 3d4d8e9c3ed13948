//! What a walk is asked for, decided name by name on the way down.

use super::FileKind;
use super::glob::{Glob, State};
use super::path::LogPath;

/// Which entries a walk yields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalkOptions {
    /// The directory to start at. It is not among the entries itself.
    pub prefix: LogPath,
    /// Yield only what matches one of these; empty for all.
    pub include: Vec<Glob>,
    /// Leave out what matches one of these, and all that is beneath it.
    pub exclude: Vec<Glob>,
    /// Yield only these kinds; empty for all.
    pub kinds: Vec<FileKind>,
    /// Enter at most this many directories below `prefix`; absent for the host's own limit.
    pub max_depth: Option<u32>,
}

/// How far the globs have come on the way to one directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    include: Box<[State]>,
    exclude: Box<[State]>,
}

impl WalkOptions {
    /// The reach at the directory that the walk starts at; nothing if it, or a directory that it is in, is left out.
    pub fn start(&self) -> Option<Reach> {
        let begin = |globs: &[Glob]| globs.iter().map(Glob::start).collect();
        let root = Reach { include: begin(&self.include), exclude: begin(&self.exclude) };
        self.prefix.components().try_fold(root, |reach, name| {
            let inside = self.step(&reach, name);
            (!self.leaves_out(&inside)).then_some(inside)
        })
    }

    /// Whether an entry of this name is yielded, as far as its name goes.
    pub fn names(&self, reach: &Reach, name: &[u8]) -> bool {
        let accepts = |(glob, state): (&Glob, &State)| glob.accepts(glob.step(*state, name));
        (self.include.is_empty() || self.include.iter().zip(&reach.include).any(accepts))
            && !self.exclude.iter().zip(&reach.exclude).any(accepts)
    }

    /// The reach within the directory of this name; nothing if it need not be entered.
    pub fn enter(&self, reach: &Reach, name: &[u8]) -> Option<Reach> {
        let inside = self.step(reach, name);
        let mut include = self.include.iter().zip(&inside.include);
        let can_match = self.include.is_empty() || include.any(|(glob, state)| glob.reaches_beneath(*state));
        (can_match && !self.leaves_out(&inside)).then_some(inside)
    }

    /// Whether entries of this kind are yielded.
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

#[cfg(test)]
mod tests;
