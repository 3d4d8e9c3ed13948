//! A directory as one unit: what is in it, in sum, and what keeps it from being removed as a whole.

use jiff::Timestamp;

use super::links::Links;
use crate::logs::{FileEntry, FileKind, InUse, LogPath, NotEntered, OpenState, kubelet_paths};

/// What is in a directory, at any depth, in sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// How many entries, the directory itself apart.
    pub entries: u64,
    /// Their sizes.
    pub size_bytes: u64,
    /// What removing them and the directory would give back to the filesystem.
    pub freeable_bytes: u64,
    /// When anything in it, or itself, last changed.
    pub touched: Timestamp,
    /// The first thing in it, or itself, whose change time is ahead of the clock, and that time.
    pub ahead: Option<(LogPath, Timestamp)>,
    /// Whether something in it, or itself, is in use.
    pub open: OpenState,
    /// The first thing in it, or itself, that is known to be in use.
    pub in_use: Option<(LogPath, InUse)>,
    /// The first thing in it that keeps it from being removed as a whole.
    pub obstacle: Option<DirectoryObstacle>,
    /// Files in it that have several names, there or elsewhere.
    pub links: Links,
}

/// Something in a directory that keeps it from being removed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryObstacle {
    /// Neither a file nor a directory nor a link.
    Kind(LogPath, FileKind),
    /// A pod's log directory, or a link to a container's log.
    Kubelet(LogPath),
    /// What looks like the live log of a container, of a pod that may exist.
    ContainerLog(LogPath),
    /// Another log root.
    Root(LogPath),
    /// A place where another filesystem begins.
    Filesystem(LogPath),
    /// Something that could not be looked at; the text says why.
    Unseen(LogPath, String),
    /// More than the host looks at, in number or in depth.
    TooMuch(LogPath),
}

impl Tree {
    /// Starts with the directory itself, looked at before the time `seen_at`.
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

    /// Adds one thing that is in it, at any depth, looked at before the time `seen_at`. Within a pod's log directory,
    /// names mean nothing more to the kubelet.
    pub fn add(&mut self, entry: &FileEntry, is_in_pod: bool, seen_at: Timestamp) {
        self.entries += 1;
        // A file with several names counts once, and frees something when all of them are in it.
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

    /// Adds a use of something in it, or of itself, unless there is one already.
    pub fn add_use(&mut self, path: &LogPath, in_use: InUse) {
        self.in_use.get_or_insert_with(|| (path.clone(), in_use));
    }

    /// Adds something that keeps it from being removed as a whole, unless there is something already. What a look at the
    /// pods can do away with gives way.
    pub fn hinder(&mut self, obstacle: DirectoryObstacle) {
        if !self.is_hindered() {
            self.obstacle = Some(match self.obstacle.take() {
                Some(first) if matches!(obstacle, DirectoryObstacle::ContainerLog(_)) => first,
                _ => obstacle,
            });
        }
    }

    /// Whether something keeps it from being removed as a whole, whatever the pods are.
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
