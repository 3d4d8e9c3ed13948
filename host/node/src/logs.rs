//! Access to log directories: opens log roots, walks and reads files under them, and removes or truncates
//! targets that [`guard::logs`](holystone_core::guard::logs) has cleared.
//!
//! A root is opened once, and everything under it is reached from that descriptor: never by a path of the host, through
//! a symbolic link or onto another mount.
//!
//! - [`root`]: opening of the log roots that the operator declares.
//! - `allowed`: check that a root is in a directory that roots may be in.
//! - `runtime_directories`: separation of roots from a container runtime's own directories.
//! - `confined`: confined access to entries under an open directory; by one system call if the kernel has it,
//!   otherwise component by component.
//! - `stat`: file status from the system, as the core's types.
//! - `listing`: names in a directory, sorted, within a memory budget.
//! - [`walk`]: all entries under a directory, in order, in batches.
//! - [`open_files`]: detection of files in use.
//! - `look`: inspection of targets, for the guard rails to judge.
//! - [`perform`]: removal and truncation of cleared targets.
//! - [`aside`]: recovery of files that an interrupted run set aside.
//! - `content`: bounded reads.

mod allowed;
pub mod aside;
mod confined;
mod content;
mod inspect;
mod listing;
pub mod open_files;
pub mod perform;
pub mod root;
mod runtime_directories;
mod stat;
pub mod walk;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use holystone_core::logs::{
    Batch, EntrySource, EntryWalk, FileEntry, GlobCounts, Identity, LogPath, LogsError, WalkOptions,
};
use holystone_core::snapshot::Filesystem;
use holystone_core::text;
use jiff::Timestamp;

pub use aside::Recovered;
pub use confined::Confinement;
pub(crate) use confined::mount_id;
pub use open_files::{OpenFiles, Processes, Visibility};
pub use perform::{Performed, Removed};
pub use root::{OwnDirectory, RootError, RootSpec};
pub use runtime_directories::RuntimeDirectories;
pub use walk::Walk;

use crate::filesystem;
use crate::mounts::Table;
use listing::Budget;
use root::{Reserved, Root};

/// Limits for walks under log roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkLimits {
    /// Maximum depth of directories below the start of a walk. Default 64; each level takes a descriptor.
    pub depth: u32,
    /// Maximum number of names that a walk looks at. Default 5 million.
    pub names: u64,
    /// Maximum size in bytes of the names that all walks hold. Default 128 MiB: a directory is sorted as a whole, and
    /// one with a million files takes about 40.
    pub memory: usize,
}

impl Default for WalkLimits {
    fn default() -> Self {
        Self { depth: 64, names: 5_000_000, memory: 128 << 20 }
    }
}

/// The open log roots of this node.
#[derive(Debug)]
pub struct LogRoots {
    /// Roots, sorted by name.
    roots: Vec<Arc<Root>>,
    limits: WalkLimits,
    budget: Budget,
    /// Set when the run is over: long operations stop.
    is_ended: AtomicBool,
    /// Change times of files that lost a name to a removal: the one after it, and the one before the first removal.
    unlinked: Mutex<HashMap<Identity, (Timestamp, Timestamp)>>,
    /// Id of this run, carried by the names of files that it sets aside.
    run: String,
}

impl LogRoots {
    /// Opens all roots, or none: with a root missing, a run would judge by an incomplete view. If `confinement` is
    /// absent, the host detects it.
    ///
    /// # Errors
    /// Fails if a root cannot be opened, is not allowed, repeats a name or overlaps another root.
    pub fn open(specs: &[RootSpec], limits: WalkLimits, confinement: Option<Confinement>) -> Result<Self, RootError> {
        Self::open_apart_from(&[], specs, limits, confinement)
    }

    /// Opens roots like [`LogRoots::open`], but rejects a root that is, holds or lies in one of Holystone's `own`
    /// directories.
    ///
    /// # Errors
    /// Fails like [`LogRoots::open`], or if a root is rejected.
    pub fn open_apart_from(
        own: &[OwnDirectory],
        specs: &[RootSpec],
        limits: WalkLimits,
        confinement: Option<Confinement>,
    ) -> Result<Self, RootError> {
        let mut names = HashSet::new();
        if let Some(twin) = specs.iter().find(|spec| !names.insert(spec.name.as_str())) {
            return Err(twin.error("another log root has this name already"));
        }
        let mut roots = open_each(own, specs, confinement)?;
        roots.sort_by(|one, other| one.name().cmp(other.name()));
        let (budget, is_ended) = (Budget::new(limits.memory), AtomicBool::new(false));
        let run = format!("{:x}-{:x}", std::process::id(), Timestamp::now().as_nanosecond());
        Ok(Self { roots, limits, budget, is_ended, unlinked: Mutex::default(), run })
    }

    /// Ends long operations from now on: inspections of directories stop at the next batch, removals of directories at
    /// the next entry. To be called when the run is over; plugins have a time limit of their own.
    pub fn end(&self) {
        self.is_ended.store(true, Ordering::Relaxed);
    }

    fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }

    /// Returns whether there are no roots.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Returns the names of the roots, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().map(|root| root.name())
    }

    /// Measures the filesystems of the roots now, and names each `logs:NAME` after its root.
    pub fn filesystems(&self) -> Vec<Filesystem> {
        let mut measured: Vec<Filesystem> = Vec::new();
        for root in &self.roots {
            let (name, identity) = (format!("logs:{}", root.name()), root.filesystem());
            // Each filesystem is measured once: the figures of a busy one change from moment to moment.
            let found = measured.iter().find(|other| other.identity == identity).cloned();
            let unknown = || Filesystem { identity, ..Filesystem::default() };
            let filesystem = found.unwrap_or_else(|| match rustix::fs::fstatvfs(root.handle()) {
                Ok(figures) => filesystem::with_figures(unknown(), &figures),
                Err(_) => unknown(),
            });
            measured.push(Filesystem { name, ..filesystem });
        }
        measured
    }

    /// Starts a walk.
    ///
    /// # Errors
    /// Fails if the root or the directory does not exist or cannot be listed, or if a limit is reached.
    pub fn walk(&self, root: &str, options: WalkOptions, open_files: &Arc<OpenFiles>) -> Result<Walk, LogsError> {
        let root = self.find(root)?;
        Walk::start(Arc::clone(root), options, Arc::clone(open_files), self.limits, self.budget.clone())
    }

    fn find(&self, name: &str) -> Result<&Arc<Root>, LogsError> {
        let found = self.roots.iter().find(|root| root.name() == name);
        found.ok_or_else(|| LogsError::NotFound(format!("no log root is named {}", text::shown(name))))
    }

    /// Scans for files in use on the filesystems of the roots.
    pub fn open_files(&self, processes: &Processes) -> OpenFiles {
        OpenFiles::scan(processes, &self.roots)
    }

    /// Records the change time that a file got when one of its names was removed.
    fn note_unlinked(&self, before: &FileEntry, changed: Timestamp) {
        let mut unlinked = self.unlinked.lock().unwrap_or_else(PoisonError::into_inner);
        let first =
            unlinked.get(&before.identity).filter(|(after, _)| *after == before.changed).map(|(_, first)| *first);
        unlinked.insert(before.identity, (changed, first.unwrap_or(before.changed)));
    }

    /// Restores the change times that entries had before this run removed other names of the same files. A later change
    /// by another process stays visible.
    fn undo_unlinked<'e>(&self, entries: impl IntoIterator<Item = &'e mut FileEntry>) {
        let unlinked = self.unlinked.lock().unwrap_or_else(PoisonError::into_inner);
        if unlinked.is_empty() {
            return;
        }
        for entry in entries {
            if let Some((after, first)) = unlinked.get(&entry.identity)
                && *after == entry.changed
            {
                entry.changed = *first;
            }
        }
    }
}

/// Opens the roots; fails if two of them overlap.
fn open_each(
    own: &[OwnDirectory],
    specs: &[RootSpec],
    confinement: Option<Confinement>,
) -> Result<Vec<Arc<Root>>, RootError> {
    let Some(first) = specs.first() else { return Ok(Vec::new()) };
    let unreadable =
        |error| first.error(format!("the mounts of this process cannot be read, /proc/thread-self/mountinfo: {error}"));
    let mounts = Table::own().map_err(unreadable)?;
    let reserved = Reserved::find(&mounts, own);
    let mut roots: Vec<Arc<Root>> = Vec::new();
    for spec in specs {
        let root = Root::open(spec, confinement, &reserved)?;
        if let Some(problem) = roots.iter().find_map(|other| root.overlap(other)) {
            return Err(spec.error(problem));
        }
        roots.push(Arc::new(root));
    }
    Ok(roots)
}

/// The view of the log roots that plugins get: entries as of each request, files in use as of one moment.
#[derive(Debug)]
pub struct RootReader {
    roots: Arc<LogRoots>,
    open_files: Arc<OpenFiles>,
}

impl RootReader {
    /// Creates a view of these roots.
    pub fn new(roots: Arc<LogRoots>, open_files: Arc<OpenFiles>) -> Self {
        Self { roots, open_files }
    }
}

impl EntrySource for RootReader {
    fn roots(&self) -> Vec<String> {
        self.roots.names().map(str::to_owned).collect()
    }

    fn filesystem(&self, root: &str) -> Option<String> {
        Some(self.roots.find(root).ok()?.filesystem())
    }

    fn open(&self, root: &str, options: WalkOptions) -> Result<Box<dyn EntryWalk>, LogsError> {
        Ok(Box::new(self.roots.walk(root, options, &self.open_files)?))
    }

    fn read(&self, root: &str, path: &LogPath, offset: u64, most: usize) -> Result<Vec<u8>, LogsError> {
        self.roots.read(root, path, offset, most)
    }
}

impl EntryWalk for Walk {
    fn next(&mut self, most: usize) -> Result<Batch, LogsError> {
        Walk::next(self, most)
    }

    fn gaps(&self) -> Vec<String> {
        self.gap_sentences()
    }

    fn counts(&self) -> GlobCounts {
        Walk::counts(self).clone()
    }
}

#[cfg(test)]
mod tests;
