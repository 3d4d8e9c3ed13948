//! Where questions about log directories go to: whoever asks them does not open directories itself.

use super::{Batch, GlobCounts, LogPath, LogsError, WalkOptions};

/// The log directories of a node. Answers name roots and paths beneath them, never paths of the host.
pub trait LogSource: Send + Sync {
    /// The names of the roots, sorted.
    fn roots(&self) -> Vec<String>;

    /// Which filesystem a root is on, as [`Filesystem::identity`](crate::snapshot::Filesystem::identity) has it.
    fn filesystem(&self, root: &str) -> Option<String>;

    /// Starts a walk.
    ///
    /// # Errors
    /// When there is no such root or directory.
    fn open(&self, root: &str, options: WalkOptions) -> Result<Box<dyn LogWalk>, LogsError>;

    /// Reads up to so many bytes of a file.
    ///
    /// # Errors
    /// When there is no such root or file.
    fn read(&self, root: &str, path: &LogPath, offset: u64, most: usize) -> Result<Vec<u8>, LogsError>;
}

/// A walk under way.
pub trait LogWalk: Send {
    /// The next entries, at most so many. May give none and go on, so that a call takes a bounded time.
    ///
    /// # Errors
    /// When a limit is reached.
    fn next(&mut self, most: usize) -> Result<Batch, LogsError>;

    /// What it could not look at so far, and why it ended before it was over: a sentence for each kind.
    fn gaps(&self) -> Vec<String>;

    /// Returns the number of matches of each of its globs so far.
    fn counts(&self) -> GlobCounts;
}
