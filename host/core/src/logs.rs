//! Log directories: the paths, patterns and names of their entries, and the entries that a walk yields.
//!
//! - [`path`]: paths under a log root, as bytes and as the text that plugins see.
//! - [`glob`]: patterns that match such paths.
//! - [`aside`]: names of files that are about to be removed.
//! - [`walk`]: options of a walk, applied name by name.
//! - [`in_use`]: uses that keep a file or directory from being removed.
//! - [`kubelet_paths`]: names that belong to the kubelet.
//! - [`reserved`]: directories that are never log roots.
//! - [`source`]: the interface for requests about log directories.
//!
//! This module does not open directories; another crate does. [`guard::logs`](crate::guard::logs) decides whether an
//! entry may be removed.

pub mod aside;
pub mod glob;
pub mod in_use;
pub mod kubelet_paths;
pub mod path;
pub mod reserved;
pub mod runtime_directory;
pub mod source;
pub mod walk;

use jiff::Timestamp;

pub use aside::{Aside, AsideDirectory, AsideRecord, AsideRoot, AsideRun, aside_name};
pub use glob::{Glob, GlobError};
pub use in_use::{InUse, Use};
pub use kubelet_paths::{Place, PodDirectory};
pub use path::{LogPath, PathError};
pub use runtime_directory::{Relation, RuntimeDirectory};
pub use source::{EntrySource, EntryWalk};
pub use walk::{GlobCounts, Reach, WalkOptions};

/// Type of an entry. Links are never followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharacterDevice,
    /// A type that this version has no name for.
    Other,
}

impl FileKind {
    /// Returns the kind in words for people, with its article.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "a regular file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::BlockDevice => "a block device",
            Self::CharacterDevice => "a character device",
            Self::Other => "of an unknown kind",
        }
    }
}

/// Usage of a file or directory, in any of the ways of [`Use`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenState {
    /// In use.
    Open,
    /// Not in use.
    Closed,
    /// Unknown: the host cannot see the node's processes, or not all of them.
    Unknown,
}

/// Identity of a file, independent of its name and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Device that the file is on.
    pub device: u64,
    /// Inode number on that device. Numbers are reused after a file is gone.
    pub inode: u64,
    /// Creation time, where the filesystem keeps one. Distinguishes two files that had the same inode number one after
    /// the other.
    pub born: Option<Timestamp>,
}

/// An entry under a log root, as of the time when the host looked at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Path under the log root.
    pub path: LogPath,
    /// Type of the entry.
    pub kind: FileKind,
    /// Identity of the file. Plugins see it as an opaque text, without the creation time.
    pub identity: Identity,
    /// Apparent size in bytes.
    pub size_bytes: u64,
    /// Bytes allocated on disk.
    pub allocated_bytes: u64,
    /// Time of the last change of the content.
    pub modified: Timestamp,
    /// Time of the last change of the content or the inode.
    pub changed: Timestamp,
    /// Number of hard links.
    pub hard_links: u64,
    /// Usage of the entry.
    pub open: OpenState,
    /// Uid of the pod that the entry belongs to, if it lies in a pod's log directory.
    pub pod_uid: Option<String>,
    /// Reason why a walk did not enter the entry although it was asked to, or could not have entered it.
    pub not_entered: Option<NotEntered>,
}

impl FileEntry {
    /// Returns the time of the last change of the content or the inode, for an entry seen at `seen_at`. Programs can
    /// set [`modified`](Self::modified) to any time, so a value ahead of the clock is ignored.
    /// [`changed`](Self::changed) is set by the system, but some filesystems do not keep it.
    pub fn touched(&self, seen_at: Timestamp) -> Timestamp {
        if self.modified > seen_at { self.changed } else { self.modified.max(self.changed) }
    }

    /// Returns the bytes that removing the entry gives back to the filesystem: 0 while the file has another name.
    pub fn freeable_bytes(&self) -> u64 {
        if self.hard_links > 1 && self.kind != FileKind::Directory { 0 } else { self.allocated_bytes }
    }
}

/// A batch of entries of a walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Next entries, in order. The list can be empty before the walk has ended.
    pub entries: Vec<FileEntry>,
    /// Set when these entries were the last.
    pub is_over: bool,
}

/// The reason why a walk did not enter a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotEntered {
    /// A directory deeper than the host's limit.
    Depth,
    /// Another filesystem that begins at the directory; for a file, a mount over it.
    Filesystem,
    /// Missing permission of the host.
    Denied,
    /// Any other error of the system.
    Failed,
}

impl NotEntered {
    /// Returns the word that plugins see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Depth => "depth",
            Self::Filesystem => "filesystem",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// The reason why a request about log directories failed. The text is a sentence that names the entry by its root and
/// its path under it, never by a path of the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogsError {
    /// A root, directory or file that does not exist.
    #[error("{0}")]
    NotFound(String),
    /// An invalid argument.
    #[error("{0}")]
    Invalid(String),
    /// A limit of the host that has been reached.
    #[error("{0}")]
    Limit(String),
    /// A failure of the node; another run may succeed.
    #[error("{0}")]
    Unavailable(String),
}
