//! The review of all wishes under log roots: rail 7 for each target, by the inspections of all of them, and the
//! overlaps of steps for the same files.
//!
//! A target is accepted only once (rail 1), by whatever path, and not again as part of a directory. Wishes are counted
//! by file (rail 6), because the names of rotated logs pass from one file to the next.

use std::collections::{HashMap, HashSet};

use super::{InspectError, Inspection, Links, LogGuard, Logs, RootedPath};
use crate::confirmation::Wishes;
use crate::guard::review::{self, Judge, Known};
use crate::guard::{Operation, ParsedProposal, Plan, Refusal, Step};
use crate::logs::LogPath;
use crate::proposal::Reason;

/// The inspections of all proposed targets under log roots.
#[derive(Debug, Default)]
pub struct Inspections {
    /// Inspections by target.
    pub targets: HashMap<RootedPath, Result<Inspection, InspectError>>,
    /// The number of entries under all log roots; absent if they were not, or could not be, counted.
    pub entries: Option<u64>,
}

/// The files and directories in a plan's steps.
#[derive(Default)]
struct TakenFiles {
    /// Files and directories, by device and inode, and the names of files that have several.
    files: HashSet<(u64, u64)>,
    links: Links,
    /// Directories to remove as a whole.
    directories: HashSet<RootedPath>,
    /// Directories that contain the target of another step, and will have changed by then.
    parents: HashSet<RootedPath>,
}

/// Returns all directories above a target, up to the root.
fn above(target: &RootedPath) -> impl Iterator<Item = RootedPath> + '_ {
    let paths = std::iter::successors(target.path.parent(), LogPath::parent);
    paths.map(|path| RootedPath { root: target.root.clone(), path, is_directory: true })
}

/// The review of a run's wishes by rail 7.
struct LogReview<'a> {
    guard: &'a LogGuard<'a>,
    inspections: Inspections,
    taken: TakenFiles,
}

impl LogGuard<'_> {
    /// Judges the plugins' wishes under log roots, in the order given, by the inspections of their targets.
    pub fn review(
        &self,
        proposals: Vec<ParsedProposal<Logs>>,
        inspections: Inspections,
        wishes: &Wishes,
    ) -> Plan<Logs> {
        let mut judge = LogReview { guard: self, inspections, taken: TakenFiles::default() };
        review::review(&mut judge, proposals, (self.rails.limits, self.rails.confirmations), &wishes.logs)
    }
}

impl Judge<Logs> for LogReview<'_> {
    fn judge(
        &mut self,
        plugin: &str,
        target: &RootedPath,
        operation: Operation,
        reason: &Reason,
    ) -> Result<Step<Logs>, Refusal<Logs>> {
        let unseen = || Err(InspectError::Failed("it was not looked at".to_owned()));
        let seen = self.inspections.targets.remove(target).unwrap_or_else(unseen);
        self.guard.judge(plugin, target, operation, reason, seen)
    }

    fn known(&self, _: &RootedPath) -> Known<Logs> {
        Known::default()
    }

    fn entries(&self, target: &RootedPath) -> u64 {
        self.inspections.targets.get(target).and_then(|seen| seen.as_ref().ok()).map_or(0, Inspection::entries)
    }

    fn all_entries(&self) -> Option<u64> {
        self.inspections.entries
    }

    /// Returns whether another step covers this one already: the same file or directory by another path, an entry in a
    /// directory to remove, or a directory that contains another step's target.
    fn is_covered(&self, step: &Step<Logs>) -> bool {
        let is_whole = step.hard_links() < 2 || step.target().is_directory;
        above(step.target()).any(|directory| self.taken.directories.contains(&directory))
            || self.taken.parents.contains(step.target())
            || (is_whole && self.taken.files.contains(&step.file()))
            || self.taken.links.is_exceeded_by(&step.facts.links)
    }

    fn share(&self, step: &mut Step<Logs>) {
        let (twice, freed) = self.taken.links.beyond(&step.facts.links);
        step.size_bytes = step.size_bytes.saturating_sub(twice);
        step.facts.freeable_bytes = step.facts.freeable_bytes.saturating_add(freed);
    }

    fn take(&mut self, step: &Step<Logs>) {
        self.taken.files.insert(step.file());
        self.taken.links.take(&step.facts.links);
        self.taken.parents.extend(above(step.target()));
        if step.target().is_directory {
            self.taken.directories.insert(step.target().clone());
        }
    }
}
