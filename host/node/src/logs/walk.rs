//! A walk over all entries under a directory, in order, in batches.
//!
//! The walk keeps in memory the names of the directories on the way down to its position, and a descriptor for each of
//! them. An entry that vanishes during the walk counts as absent.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use holystone_core::guard::logs::InspectError;
use holystone_core::logs::{
    Batch, FileEntry, FileKind, Glob, GlobCounts, LogPath, LogsError, NotEntered, PodDirectory, Reach, WalkOptions,
};
use holystone_core::text;
use rustix::io::Errno;

use super::WalkLimits;
use super::confined::{self, Confined, LIST};
use super::listing::{Budget, Listing, ListingError};
use super::open_files::OpenFiles;
use super::root::Root;
use super::stat;

/// Maximum number of names per batch, so that a batch takes a bounded time even if nothing matches.
const NAMES_PER_BATCH: usize = 10_000;
/// Size of globs, in bytes, that takes about as long to match as one look at a file.
const GLOB_BYTES_PER_LOOK: usize = 64;

/// A walk in progress. Dropping it ends it.
#[derive(Debug)]
pub struct Walk {
    root: Arc<Root>,
    options: WalkOptions,
    open_files: Arc<OpenFiles>,
    limits: WalkLimits,
    budget: Budget,
    /// Directories from the start down to the position of the walk.
    levels: Vec<WalkLevel>,
    names: u64,
    /// Reason why the walk ended early.
    stopped: Option<LogsError>,
    gaps: Gaps,
    counts: GlobCounts,
}

/// A directory that the walk is in.
#[derive(Debug)]
struct WalkLevel {
    handle: OwnedFd,
    path: LogPath,
    listing: Listing,
    reach: Reach,
    pod_uid: Option<String>,
}

/// The directories and entries that a walk could not look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gaps {
    /// Number of directories that were not entered, and the first of them, for each reason.
    not_entered: Vec<(NotEntered, u64, LogPath)>,
    /// Number of entries that could not be looked at; below, the first of them with the error.
    pub(super) unseen: u64,
    pub(super) first_unseen: Option<(LogPath, String)>,
}

impl Walk {
    pub(super) fn start(
        root: Arc<Root>,
        options: WalkOptions,
        open_files: Arc<OpenFiles>,
        limits: WalkLimits,
        budget: Budget,
    ) -> Result<Self, LogsError> {
        let start = options.prefix.clone();
        let handle = root.reach(&start, LIST).map_err(|error| unreachable(&root, &start, error))?;
        Self::from_handle(root, options, open_files, limits, budget, handle)
    }

    /// Starts a walk at a directory that is already open.
    pub(super) fn from_handle(
        root: Arc<Root>,
        options: WalkOptions,
        open_files: Arc<OpenFiles>,
        limits: WalkLimits,
        budget: Budget,
        handle: OwnedFd,
    ) -> Result<Self, LogsError> {
        let (path, reach) = (options.prefix.clone(), options.start());
        let (gaps, counts) = (Gaps::default(), options.counts());
        let mut walk = Self {
            root,
            options,
            open_files,
            limits,
            budget,
            levels: Vec::new(),
            names: 0,
            stopped: None,
            gaps,
            counts,
        };
        // Without a reach, a glob leaves out the directory, and there is nothing to walk.
        let Some(reach) = reach else { return Ok(walk) };
        let pod_uid = walk.root.place(&path).pod_uid().map(str::to_owned);
        match walk.list(&handle) {
            Ok(listing) => walk.levels.push(WalkLevel { handle, path, listing, reach, pod_uid }),
            Err(ListingError::System(error)) => return Err(unreachable(&walk.root, &path, error)),
            Err(other) => return Err(walk.over_limit(&other)),
        }
        Ok(walk)
    }

    /// Returns at most `most` further entries.
    ///
    /// # Errors
    /// Fails if a limit of this host is reached; from then on at every call.
    pub fn next(&mut self, most: usize) -> Result<Batch, LogsError> {
        let mut batch = Batch::default();
        if let Some(stopped) = &self.stopped {
            return Err(stopped.clone());
        }
        for _ in 0..self.names_per_batch() {
            if batch.entries.len() >= most {
                return Ok(batch);
            }
            match self.step() {
                Ok(WalkStep::Entry(entry)) => batch.entries.push(*entry),
                Ok(WalkStep::Nothing) => {}
                Ok(WalkStep::Over) => return Ok(Batch { is_over: true, ..batch }),
                // Entries found so far are returned first, the error with the next call.
                Err(error) => {
                    self.stopped = Some(error.clone());
                    return if batch.entries.is_empty() { Err(error) } else { Ok(batch) };
                }
            }
        }
        Ok(batch)
    }

    fn names_per_batch(&self) -> usize {
        let globs = self.options.include.iter().chain(&self.options.exclude);
        let bytes: usize = globs.map(Glob::weight).sum();
        (NAMES_PER_BATCH / (1 + bytes / GLOB_BYTES_PER_LOOK)).max(1)
    }

    /// Returns the number of matches of each glob so far.
    pub fn counts(&self) -> &GlobCounts {
        &self.counts
    }

    /// Returns the directory that the walk started at.
    pub(super) fn prefix(&self) -> &LogPath {
        &self.options.prefix
    }

    /// Returns the directories and entries that could not be looked at so far.
    pub(super) fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    /// Describes the gaps in sentences, with the limit that ended the walk.
    pub(super) fn gap_sentences(&self) -> Vec<String> {
        let root = self.root.name();
        let gaps = self.gaps.sentences().into_iter().map(|sentence| format!("log root {root}: {sentence}"));
        gaps.chain(self.stopped.iter().map(|error| format!("log root {root}: {error}"))).collect()
    }

    fn step(&mut self) -> Result<WalkStep, LogsError> {
        let Some(level) = self.levels.last_mut() else { return Ok(WalkStep::Over) };
        let Some((name, kind)) = level.listing.next() else {
            self.levels.pop();
            return Ok(WalkStep::Nothing);
        };
        let kind = kind.map(stat::kind);
        let is_named = self.options.names(&level.reach, name.to_bytes(), kind, &mut self.counts);
        let is_wanted = is_named && kind.is_none_or(|kind| self.options.wants(kind));
        if !is_wanted && kind.is_some_and(|kind| kind != FileKind::Directory) {
            return Ok(WalkStep::Nothing);
        }
        let looked = look(self.root.confined(), level.handle.as_fd(), &level.path, name);
        let mut entry = match looked {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(WalkStep::Nothing),
            Err((path, problem)) => {
                self.gaps.miss(path, problem);
                return Ok(WalkStep::Nothing);
            }
        };
        entry.open = self.open_files.state(self.root.name(), &entry);
        entry.pod_uid.clone_from(&level.pod_uid);
        if entry.kind == FileKind::Directory {
            self.directory(&mut entry)?;
        }
        let is_yielded = is_named && self.options.wants(entry.kind);
        Ok(if is_yielded { WalkStep::Entry(Box::new(entry)) } else { WalkStep::Nothing })
    }

    /// Enters a directory if the options ask for that; records a gap if it cannot be entered.
    fn directory(&mut self, entry: &mut FileEntry) -> Result<(), LogsError> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let name = entry.path.name().unwrap_or_default();
        if entry.pod_uid.is_none() {
            entry.pod_uid = PodDirectory::parse(name).filter(PodDirectory::has_real_uid).map(|pod| pod.uid);
        }
        let depth = u32::try_from(self.levels.len()).unwrap_or(u32::MAX);
        let Some(reach) = self.options.enter(&level.reach, name, &mut self.counts) else { return Ok(()) };
        if self.options.max_depth.is_some_and(|most| depth > most) {
            return Ok(());
        }
        if depth > self.limits.depth {
            entry.not_entered = Some(NotEntered::Depth);
        }
        if entry.not_entered.is_none() {
            let opened = self.root.confined().open(level.handle.as_fd(), name, LIST);
            match opened.map_err(ListingError::System).and_then(|handle| Ok((self.list(&handle)?, handle))) {
                Ok((listing, handle)) => {
                    let (path, pod_uid) = (entry.path.clone(), entry.pod_uid.clone());
                    self.levels.push(WalkLevel { handle, path, listing, reach, pod_uid });
                }
                Err(ListingError::System(error)) => entry.not_entered = why_not_entered(error),
                Err(other) => return Err(self.over_limit(&other)),
            }
        }
        if let Some(why) = entry.not_entered {
            self.gaps.leave_out(why, &entry.path);
        }
        Ok(())
    }

    fn list(&mut self, handle: &OwnedFd) -> Result<Listing, ListingError> {
        let left = self.limits.names.saturating_sub(self.names);
        let listing = Listing::read(handle.as_fd(), left, &self.budget)?;
        self.names += listing.len() as u64;
        Ok(listing)
    }

    fn over_limit(&self, limit: &ListingError) -> LogsError {
        let root = text::shown(self.root.name());
        LogsError::Limit(match limit {
            ListingError::Names => format!(
                "the walk of log root {root} ended after {} names, which is as many as this host looks at: narrow it by its prefix or by globs",
                self.limits.names
            ),
            _ => format!(
                "the walk of log root {root} ended because its directories have more names than this host keeps in memory at a time: narrow it by its prefix or by globs, and end walks that are not needed any more"
            ),
        })
    }
}

/// Looks at one name in a directory; returns `None` if the entry is gone.
fn look(
    confined: &Confined,
    directory: BorrowedFd<'_>,
    path: &LogPath,
    name: &CStr,
) -> Result<Option<FileEntry>, (LogPath, String)> {
    let joined = path.join(name.to_bytes()).map_err(|problem| (path.clone(), problem.to_string()))?;
    let status = match stat::by_name(directory, name) {
        Ok(status) => status,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err((joined, confined::sentence(error))),
    };
    let mut entry = status.entry(joined);
    entry.not_entered = (!confined.is_on_mount(status.mount())).then_some(NotEntered::Filesystem);
    Ok(Some(entry))
}

enum WalkStep {
    Entry(Box<FileEntry>),
    Nothing,
    Over,
}

/// Converts an error to a reason. Returns `None` for a directory that was removed or replaced meanwhile: its content is
/// gone with it.
fn why_not_entered(error: Errno) -> Option<NotEntered> {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => None,
        Errno::XDEV => Some(NotEntered::Filesystem),
        Errno::ACCESS | Errno::PERM => Some(NotEntered::Denied),
        _ => Some(NotEntered::Failed),
    }
}

/// Explains why the start directory of a walk cannot be entered, without a path of the host.
fn unreachable(root: &Root, path: &LogPath, error: Errno) -> LogsError {
    let root = text::shown(root.name());
    let what = if path.is_root() {
        format!("log root {root}")
    } else {
        format!("{} in log root {root}", text::shown(&path.to_string()))
    };
    match confined::unseen(error) {
        InspectError::NotFound | InspectError::NoSuchRoot => LogsError::NotFound(format!("{what} is not there")),
        InspectError::ThroughLink => {
            LogsError::NotFound(format!("{what} is no directory, or is behind a symbolic link"))
        }
        InspectError::OtherFilesystem => LogsError::NotFound(format!("{what} is on another filesystem")),
        InspectError::Failed(problem) => LogsError::Unavailable(format!("{what} cannot be listed: {problem}")),
    }
}

impl Gaps {
    fn miss(&mut self, path: LogPath, problem: String) {
        self.unseen += 1;
        self.first_unseen.get_or_insert((path, problem));
    }

    fn leave_out(&mut self, why: NotEntered, path: &LogPath) {
        match self.not_entered.iter_mut().find(|(known, ..)| *known == why) {
            Some((_, count, _)) => *count += 1,
            None => self.not_entered.push((why, 1, path.clone())),
        }
    }

    /// Describes each kind of gap in one sentence.
    pub(super) fn sentences(&self) -> Vec<String> {
        let shown = |path: &LogPath| text::shown(&path.to_string());
        let directories = self.not_entered.iter().map(|(why, count, first)| {
            let because = match why {
                NotEntered::Depth => "they are deeper than this host goes",
                NotEntered::Filesystem => "another filesystem begins there",
                NotEntered::Denied => "there is no permission to",
                NotEntered::Failed => "they could not be opened",
            };
            format!("directories not entered because {because}: {count}, the first being {}", shown(first))
        });
        let unseen = self.first_unseen.iter().map(|(path, problem)| {
            format!("entries that could not be looked at: {}, the first being {} ({problem})", self.unseen, shown(path))
        });
        directories.chain(unseen).collect()
    }
}
