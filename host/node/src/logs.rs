//! The edge to log directories: opens roots, walks and reads beneath them, and removes or truncates what
//! [`guard::logs`](holystone_core::guard::logs) has cleared.
//!
//! A root is opened once, and everything beneath it is reached from that handle: never by a path of the host, never
//! through a symbolic link, never onto another filesystem.
//!
//! - [`root`]: from what the operator declared to an open root.
//! - `runtime_directories`: which roots are a container runtime's own directories.
//! - `beneath`: from an open directory to what is beneath it; by one call of the kernel where it has that, by
//!   one step at a time where it does not.
//! - `stat`: what the system says about a file, as the core's types.
//! - `listing`: the names in a directory, sorted, within a budget of memory.
//! - [`walk`]: all entries beneath a directory, in order, batch by batch.
//! - [`open_files`]: which files are in use.
//! - `look`: one target, for the guard rail to judge.
//! - [`perform`]: what has been cleared is removed or truncated.
//! - [`aside`]: what an interrupted run has taken aside.
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

/// How far this host goes beneath log roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkLimits {
    /// How many directories below its start a walk goes. Default 64; each takes a file handle.
    pub depth: u32,
    /// How many names a walk looks at. Default 5 million.
    pub names: u64,
    /// How many bytes the names that all walks have read ahead take. Default 128 MiB: a directory is sorted as a whole,
    /// and one with a million files takes about 40.
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
    /// Sorted by name.
    roots: Vec<Arc<Root>>,
    limits: WalkLimits,
    budget: Budget,
    /// Nothing that takes long goes on.
    is_ended: AtomicBool,
    /// Files of which a name was removed: the change time that this gave them, and the one before.
    unlinked: Mutex<HashMap<Identity, (Timestamp, Timestamp)>>,
    /// What names of files that are taken aside carry, so that they are known to be of this run.
    run: String,
}

impl LogRoots {
    /// Opens all roots, or none: a run that sees less than was declared would judge by half a picture.
    /// `confinement` is found out by itself when absent.
    ///
    /// # Errors
    /// With the first root that cannot be opened, and why.
    pub fn open(specs: &[RootSpec], limits: WalkLimits, confinement: Option<Confinement>) -> Result<Self, RootError> {
        Self::open_apart_from(&[], specs, limits, confinement)
    }

    /// The same, with directories of Holystone itself that no root may be, hold or lie in.
    ///
    /// # Errors
    /// With the first root that cannot be opened, and why.
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

    /// Ends what takes long, from now on: looks at whole directories and removals of them stop at the next entry. To be
    /// called when a run is over; plugins have a time limit of their own.
    pub fn end(&self) {
        self.is_ended.store(true, Ordering::Relaxed);
    }

    fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The roots' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().map(|root| root.name())
    }

    /// The filesystems that the roots are on, as `logs:NAME`, measured now.
    pub fn filesystems(&self) -> Vec<Filesystem> {
        let mut measured: Vec<Filesystem> = Vec::new();
        for root in &self.roots {
            let (name, identity) = (format!("logs:{}", root.name()), root.filesystem());
            // A filesystem is measured once: a busy one has other figures a moment later.
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
    /// When there is no such root, or no such directory in it.
    pub fn walk(&self, root: &str, options: WalkOptions, open_files: &Arc<OpenFiles>) -> Result<Walk, LogsError> {
        let root = self.find(root)?;
        Walk::start(Arc::clone(root), options, Arc::clone(open_files), self.limits, self.budget.clone())
    }

    fn find(&self, name: &str) -> Result<&Arc<Root>, LogsError> {
        let found = self.roots.iter().find(|root| root.name() == name);
        found.ok_or_else(|| LogsError::NotFound(format!("no log root is named {}", text::shown(name))))
    }

    /// Looks which files on the roots' filesystems are in use.
    pub fn open_files(&self, processes: &Processes) -> OpenFiles {
        OpenFiles::scan(processes, &self.roots)
    }

    /// Takes note that the removal of one of its names has changed a file.
    fn note_unlinked(&self, before: &FileEntry, changed: Timestamp) {
        let mut unlinked = self.unlinked.lock().unwrap_or_else(PoisonError::into_inner);
        let first =
            unlinked.get(&before.identity).filter(|(after, _)| *after == before.changed).map(|(_, first)| *first);
        unlinked.insert(before.identity, (changed, first.unwrap_or(before.changed)));
    }

    /// Shows entries as they would be if this run had removed none of their other names. A change by anybody else since
    /// then shows as it is.
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

/// Opens roots that do not overlap.
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

/// What plugins see of the log roots: as they are whenever they ask, with the files that were open at one moment.
#[derive(Debug)]
pub struct RootReader {
    roots: Arc<LogRoots>,
    open_files: Arc<OpenFiles>,
}

impl RootReader {
    /// Of these roots.
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
