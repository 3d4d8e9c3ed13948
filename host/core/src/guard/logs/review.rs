//! Whole proposals about what lies beneath log roots: rail 7 for each target, by the looks at all of them, and what
//! steps about the same files have in common.
//!
//! A target is wished only once (rail 1), by whatever path, and not once more as part of a directory. Wishes are counted
//! (rail 6) by file, because names of rotated logs go from one to the next.

use std::collections::{HashMap, HashSet};

use super::{InspectError, Inspection, Links, LogGuard, Logs, RootedPath};
use crate::confirmation::Wishes;
use crate::guard::review::{self, Judge, Known};
use crate::guard::{Operation, ParsedProposal, Plan, Refusal, Step};
use crate::logs::LogPath;
use crate::proposal::Reason;

/// What looks at everything that is wished beneath log roots have found.
#[derive(Debug, Default)]
pub struct Sights {
    /// By target.
    pub targets: HashMap<RootedPath, Result<Inspection, InspectError>>,
    /// How many entries there are beneath all log roots; absent when they were not, or could not be, counted.
    pub entries: Option<u64>,
}

/// The files and directories of the steps of a plan.
#[derive(Default)]
struct TakenFiles {
    /// Files and directories, by device and inode, and names of files that have several.
    files: HashSet<(u64, u64)>,
    links: Links,
    /// Directories that are removed as a whole.
    directories: HashSet<RootedPath>,
    /// Directories that something in goes by itself, and that have changed by then.
    parents: HashSet<RootedPath>,
}

/// The directories that something lies in.
fn above(target: &RootedPath) -> impl Iterator<Item = RootedPath> + '_ {
    let paths = std::iter::successors(target.path.parent(), LogPath::parent);
    paths.map(|path| RootedPath { root: target.root.clone(), path, is_directory: true })
}

/// Rail 7 for the wishes of a run.
struct LogReview<'a> {
    guard: &'a LogGuard<'a>,
    sights: Sights,
    taken: TakenFiles,
}

impl LogGuard<'_> {
    /// Judges what the plugins wish beneath log roots, in the order given, by the looks at their targets.
    pub fn review(&self, proposals: Vec<ParsedProposal<Logs>>, sights: Sights, wishes: &Wishes) -> Plan<Logs> {
        let mut judge = LogReview { guard: self, sights, taken: TakenFiles::default() };
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
        let seen = self.sights.targets.remove(target).unwrap_or_else(unseen);
        self.guard.judge(plugin, target, operation, reason, seen)
    }

    fn known(&self, _: &RootedPath) -> Known<Logs> {
        Known::default()
    }

    fn entries(&self, target: &RootedPath) -> u64 {
        self.sights.targets.get(target).and_then(|seen| seen.as_ref().ok()).map_or(0, Inspection::entries)
    }

    fn all_entries(&self) -> Option<u64> {
        self.sights.entries
    }

    /// Returns whether a step is about something that another one takes already: the same file or directory, reached by
    /// another way, something in a directory that goes as a whole, or a directory that something in goes by itself.
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
