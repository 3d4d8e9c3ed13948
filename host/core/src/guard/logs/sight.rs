//! One look at a target beneath a log root.

use jiff::Timestamp;

use super::{FileObjection, Logs, Tree};
use crate::guard::Refusal;
use crate::logs::{FileEntry, InUse, LogPath, Place};

/// What one look at a target found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The target itself.
    pub entry: FileEntry,
    /// Where that is, as far as the kubelet is concerned.
    pub place: Place,
    /// Of a symbolic link, whether what it points to is there; nothing when that cannot be seen from here.
    pub leads_somewhere: Option<bool>,
    /// Of a directory that is wished as a whole, what is in it.
    pub tree: Option<Tree>,
    /// How it is in use, as far as that is known.
    pub in_use: Option<InUse>,
    /// Whether all uses of files on the node were seen.
    pub all_uses_seen: bool,
    /// When the look was over, by the node's clock.
    pub seen_at: Timestamp,
}

impl Sight {
    /// How many entries it is: one, or a directory and all that is in it.
    pub(super) fn entries(&self) -> u64 {
        self.tree.as_ref().map_or(1, |tree| tree.entries.saturating_add(1))
    }

    /// When anything about it, or in it, last changed.
    pub(super) fn touched(&self) -> Timestamp {
        self.tree.as_ref().map_or_else(|| self.entry.touched(self.seen_at), |tree| tree.touched)
    }

    /// A change time ahead of the clock, and where in it.
    pub(super) fn ahead(&self) -> Option<(LogPath, Timestamp)> {
        let itself = || (self.entry.changed > self.seen_at).then(|| (self.entry.path.clone(), self.entry.changed));
        self.tree.as_ref().and_then(|tree| tree.ahead.clone()).or_else(itself)
    }
}

/// Why there is no [`Sight`] of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// No root has this name.
    NoSuchRoot,
    /// It is not there.
    NotFound,
    /// A directory on the way is a link, or no directory.
    ThroughLink,
    /// It is on another filesystem than its root.
    OtherFilesystem,
    /// The system says something else.
    Failed(String),
}

impl From<Unseen> for Refusal<Logs> {
    fn from(unseen: Unseen) -> Self {
        match unseen {
            Unseen::NoSuchRoot => FileObjection::NoSuchRoot.into(),
            Unseen::NotFound => Self::NotFound,
            Unseen::ThroughLink => FileObjection::ThroughLink.into(),
            Unseen::OtherFilesystem => FileObjection::OtherFilesystem.into(),
            Unseen::Failed(problem) => FileObjection::Unseen { problem }.into(),
        }
    }
}
