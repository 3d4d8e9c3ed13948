//! Log directories: what is beneath them, how it is named, and which of it a walk yields.
//!
//! - [`path`]: where something is beneath its root, as bytes and as the text that plugins see.
//! - [`glob`]: patterns over such paths.
//! - [`aside`]: the names of files that are about to be removed.
//! - [`walk`]: what a walk is asked for, decided name by name.
//! - [`in_use`]: what keeps a file or directory in use.
//! - [`place`]: which names are the kubelet's.
//! - [`reserved`]: which directories are never log roots.
//! - [`source`]: where questions about all of it go to.
//!
//! Whoever opens directories does so in another crate. Whether something may be removed is for
//! [`guard::logs`](crate::guard::logs) to say.

pub mod aside;
pub mod glob;
pub mod in_use;
pub mod path;
pub mod place;
pub mod reserved;
pub mod runtime_directory;
pub mod source;
pub mod walk;

use jiff::Timestamp;

pub use aside::{Aside, AsideDirectory, AsideRecord, AsideRoot, AsideRun, aside_name};
pub use glob::{Glob, GlobError};
pub use in_use::{InUse, Use};
pub use path::{LogPath, PathError};
pub use place::{Place, PodDirectory};
pub use runtime_directory::{Relation, RuntimeDirectory};
pub use source::{LogSource, LogWalk};
pub use walk::{GlobCounts, Reach, WalkOptions};

/// What an entry is. Links are never followed.
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
    /// Something that this version has no word for.
    Other,
}

impl FileKind {
    /// The word that people read, with its article.
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

/// Whether a file or directory is in use, in any of the ways of [`Use`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenState {
    /// It is.
    Open,
    /// It is not.
    Closed,
    /// The node's processes cannot be seen, or not all of them.
    Unknown,
}

/// Which file it is, whatever it is called and whatever is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device that it is on.
    pub device: u64,
    /// Its number there. Numbers are used again once a file is gone.
    pub inode: u64,
    /// When it was made, where the filesystem keeps that: it tells apart two files that had one number after the other.
    pub born: Option<Timestamp>,
}

/// One entry beneath a log root, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Where it is beneath its root.
    pub path: LogPath,
    /// What it is.
    pub kind: FileKind,
    /// Which one it is. Not shown to plugins.
    pub identity: Identity,
    /// Apparent size in bytes.
    pub size_bytes: u64,
    /// Bytes that it takes on disk.
    pub allocated_bytes: u64,
    /// When its content last changed.
    pub modified: Timestamp,
    /// When its content or its inode last changed.
    pub changed: Timestamp,
    /// Number of hard links.
    pub hard_links: u64,
    /// Whether it is in use.
    pub open: OpenState,
    /// Uid of the pod that it belongs to, if it lies in a pod's log directory.
    pub pod_uid: Option<String>,
    /// Why a walk did not look beneath it although it was asked to, or could not have.
    pub not_entered: Option<NotEntered>,
}

impl FileEntry {
    /// Returns when anything about it last changed, by a look at the time `seen_at`. Programs can set
    /// [`modified`](Self::modified) to any time, so one that is ahead of the clock says nothing; the other time is the
    /// system's own, but some filesystems do not keep it.
    pub fn touched(&self, seen_at: Timestamp) -> Timestamp {
        if self.modified > seen_at { self.changed } else { self.modified.max(self.changed) }
    }

    /// What removing it would give back to the filesystem: nothing, while it has another name.
    pub fn freeable_bytes(&self) -> u64 {
        if self.hard_links > 1 && self.kind != FileKind::Directory { 0 } else { self.allocated_bytes }
    }
}

/// Some entries of a walk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The next entries, in order. There may be none although the walk goes on.
    pub entries: Vec<FileEntry>,
    /// Whether these were the last.
    pub is_over: bool,
}

/// Why a walk did not enter a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotEntered {
    /// It is deeper than the host goes.
    Depth,
    /// Another filesystem begins there; of a file, that something is mounted over it.
    Filesystem,
    /// The host is not allowed to.
    Denied,
    /// The system says something else.
    Failed,
}

impl NotEntered {
    /// The word that plugins see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Depth => "depth",
            Self::Filesystem => "filesystem",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// Why a request about log directories was not answered. The text is a sentence that names the thing by its root and
/// its path beneath it, never by a path of the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogsError {
    /// There is no such root, directory or file.
    #[error("{0}")]
    NotFound(String),
    /// An argument makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A limit of the host has been reached.
    #[error("{0}")]
    Limit(String),
    /// The node failed to answer; another run may succeed.
    #[error("{0}")]
    Unavailable(String),
}
