//! The interface for requests about log directories: callers do not open directories themselves.

use super::{Batch, GlobCounts, LogPath, LogsError, WalkOptions};

/// The log directories of a node. Answers name roots and paths under them, never paths of the host.
pub trait EntrySource: Send + Sync {
    /// Returns the names of the roots, sorted.
    fn roots(&self) -> Vec<String>;

    /// Returns the identity of the filesystem that a root is on, as in
    /// [`Filesystem::identity`](crate::snapshot::Filesystem::identity).
    fn filesystem(&self, root: &str) -> Option<String>;

    /// Starts a walk.
    ///
    /// # Errors
    /// Fails if there is no such root or directory.
    fn open(&self, root: &str, options: WalkOptions) -> Result<Box<dyn EntryWalk>, LogsError>;

    /// Reads at most `most` bytes of a file, from `offset` on.
    ///
    /// # Errors
    /// Fails if there is no such root or file.
    fn read(&self, root: &str, path: &LogPath, offset: u64, most: usize) -> Result<Vec<u8>, LogsError>;
}

/// A walk in progress.
pub trait EntryWalk: Send {
    /// Returns at most `most` further entries. A batch can be empty before the walk has ended, so that a call takes a
    /// bounded time.
    ///
    /// # Errors
    /// Fails if a limit is reached.
    fn next(&mut self, most: usize) -> Result<Batch, LogsError>;

    /// Reports the entries that the walk could not look at so far, and the reason if it ended early: a sentence for
    /// each kind.
    fn gaps(&self) -> Vec<String>;

    /// Returns the number of matches of each glob of the walk so far.
    fn counts(&self) -> GlobCounts;
}
