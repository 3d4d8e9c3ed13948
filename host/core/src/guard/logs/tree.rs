//! A directory as one unit: sums over its content, and obstacles to its removal as a whole.

use jiff::Timestamp;

use super::links::Links;
use crate::logs::{FileEntry, FileKind, InUse, LogPath, NotEntered, OpenState, kubelet_paths};

/// Sums over the content of a directory, at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The number of entries, without the directory itself.
    pub entries: u64,
    /// The total apparent size of the entries; directories count as 0, files with several names once.
    pub size_bytes: u64,
    /// The bytes that the removal of the directory with its content gives back to the filesystem.
    pub freeable_bytes: u64,
    /// Time of the last change of the directory or anything in it.
    pub touched: Timestamp,
    /// The first entry with a change time ahead of the clock, or the directory itself, and that time.
    pub ahead: Option<(LogPath, Timestamp)>,
    /// Usage of the directory and everything in it.
    pub open: OpenState,
    /// The first entry known to be in use, or the directory itself.
    pub in_use: Option<(LogPath, InUse)>,
    /// The first obstacle to the removal as a whole; a live log only if there is no other.
    pub obstacle: Option<DirectoryObstacle>,
    /// Files in the directory that have several names, in it or elsewhere.
    pub links: Links,
}

/// An obstacle to the removal of a directory as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryObstacle {
    /// An entry that is neither a file nor a directory nor a link.
    Kind(LogPath, FileKind),
    /// A pod's log directory, a link to a container's log, or a file to which Docker writes.
    Kubelet(LogPath),
    /// A file named like a container's live log, of a pod that may exist.
    ContainerLog(LogPath),
    /// Another log root.
    Root(LogPath),
    /// A mount point, where another filesystem begins.
    Filesystem(LogPath),
    /// An entry that could not be inspected, with the reason.
    Unseen(LogPath, String),
    /// The place where the host's limits on number or depth ended the inspection.
    TooMuch(LogPath),
}

impl Tree {
    /// Starts with the directory itself, inspected before `seen_at`.
    pub fn of(directory: &FileEntry, seen_at: Timestamp) -> Self {
        let mut tree = Self {
            entries: 0,
            size_bytes: 0,
            freeable_bytes: directory.freeable_bytes(),
            touched: Timestamp::MIN,
            ahead: None,
            open: directory.open,
            in_use: None,
            obstacle: None,
            links: Links::default(),
        };
        tree.touch(directory, seen_at);
        tree
    }

    /// Adds one entry, at any depth, inspected before `seen_at`. In a pod's log directory (`is_in_pod`), names have no
    /// further meaning to the kubelet.
    pub fn add(&mut self, entry: &FileEntry, is_in_pod: bool, seen_at: Timestamp) {
        self.entries += 1;
        // A file with several names counts once, and frees space only if all of them are in the directory.
        let (size, freeable) = self.links.add(entry).unwrap_or_else(|| match entry.kind {
            FileKind::Directory => (0, entry.freeable_bytes()),
            _ => (entry.size_bytes, entry.freeable_bytes()),
        });
        self.size_bytes = self.size_bytes.saturating_add(size);
        self.freeable_bytes = self.freeable_bytes.saturating_add(freeable);
        self.touch(entry, seen_at);
        self.open = match (self.open, entry.open) {
            (OpenState::Open, _) | (_, OpenState::Open) => OpenState::Open,
            (OpenState::Unknown, _) | (_, OpenState::Unknown) => OpenState::Unknown,
            (OpenState::Closed, OpenState::Closed) => OpenState::Closed,
        };
        if let Some(obstacle) = obstacle(entry, is_in_pod) {
            self.hinder(obstacle);
        }
    }

    fn touch(&mut self, entry: &FileEntry, seen_at: Timestamp) {
        self.touched = self.touched.max(entry.touched(seen_at));
        if entry.changed > seen_at {
            self.ahead.get_or_insert_with(|| (entry.path.clone(), entry.changed));
        }
    }

    /// Records a use of the directory or of an entry, unless there is one already.
    pub fn add_use(&mut self, path: &LogPath, in_use: InUse) {
        self.in_use.get_or_insert_with(|| (path.clone(), in_use));
    }

    /// Records an obstacle, unless there is one already. A live log gives way to any other obstacle, because its pod
    /// may turn out to be gone.
    pub fn hinder(&mut self, obstacle: DirectoryObstacle) {
        if !self.is_hindered() {
            self.obstacle = Some(match self.obstacle.take() {
                Some(first) if matches!(obstacle, DirectoryObstacle::ContainerLog(_)) => first,
                _ => obstacle,
            });
        }
    }

    /// Returns whether an obstacle prevents the removal as a whole, regardless of the pods.
    pub fn is_hindered(&self) -> bool {
        self.obstacle.as_ref().is_some_and(|obstacle| !matches!(obstacle, DirectoryObstacle::ContainerLog(_)))
    }
}

fn obstacle(entry: &FileEntry, is_in_pod: bool) -> Option<DirectoryObstacle> {
    let path = || entry.path.clone();
    match entry.not_entered {
        Some(NotEntered::Depth) => return Some(DirectoryObstacle::TooMuch(path())),
        Some(NotEntered::Filesystem) => return Some(DirectoryObstacle::Filesystem(path())),
        Some(NotEntered::Denied) => {
            return Some(DirectoryObstacle::Unseen(path(), "permission denied".to_owned()));
        }
        Some(NotEntered::Failed) => {
            return Some(DirectoryObstacle::Unseen(path(), "it could not be opened".to_owned()));
        }
        None => {}
    }
    match entry.kind {
        _ if !is_in_pod && kubelet_paths::is_kept(entry.path.name()?, entry.kind) => {
            Some(DirectoryObstacle::Kubelet(path()))
        }
        FileKind::File if !is_in_pod && kubelet_paths::is_live_log(&entry.path) => {
            Some(DirectoryObstacle::ContainerLog(path()))
        }
        FileKind::File | FileKind::Directory | FileKind::Symlink => None,
        kind => Some(DirectoryObstacle::Kind(path(), kind)),
    }
}
