//! One look at a target beneath a log root.

use jiff::Timestamp;

use super::{FileObjection, Logs, Tree};
use crate::guard::Refusal;
use crate::logs::{FileEntry, InUse, LogPath, Place};

/// The findings of one look at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The target itself.
    pub entry: FileEntry,
    /// Where that is, as far as the kubelet is concerned.
    pub place: Place,
    /// True if the target of a symbolic link is there; `None` for other files, and when that cannot be seen from here.
    pub leads_somewhere: Option<bool>,
    /// The content of a directory that is wished as a whole.
    pub tree: Option<Tree>,
    /// A known use of it.
    pub in_use: Option<InUse>,
    /// True if all uses of files on the node were seen.
    pub all_uses_seen: bool,
    /// When the look was over, by the node's clock.
    pub seen_at: Timestamp,
}

impl Inspection {
    /// Returns the number of entries: one, or a directory and all that is in it.
    pub(super) fn entries(&self) -> u64 {
        self.tree.as_ref().map_or(1, |tree| tree.entries.saturating_add(1))
    }

    /// Returns the time of the last change of it, or of anything in it.
    pub(super) fn touched(&self) -> Timestamp {
        self.tree.as_ref().map_or_else(|| self.entry.touched(self.seen_at), |tree| tree.touched)
    }

    /// Returns a change time ahead of the clock, and the path that has it.
    pub(super) fn ahead(&self) -> Option<(LogPath, Timestamp)> {
        let itself = || (self.entry.changed > self.seen_at).then(|| (self.entry.path.clone(), self.entry.changed));
        self.tree.as_ref().and_then(|tree| tree.ahead.clone()).or_else(itself)
    }
}

/// Why there is no [`Inspection`] of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InspectError {
    /// No root has this name.
    NoSuchRoot,
    /// The target is not there.
    NotFound,
    /// A directory on the way is a link, or no directory.
    ThroughLink,
    /// The target is on another filesystem than its root.
    OtherFilesystem,
    /// The system says something else.
    Failed(String),
}

impl From<InspectError> for Refusal<Logs> {
    fn from(unseen: InspectError) -> Self {
        match unseen {
            InspectError::NoSuchRoot => FileObjection::NoSuchRoot.into(),
            InspectError::NotFound => Self::NotFound,
            InspectError::ThroughLink => FileObjection::ThroughLink.into(),
            InspectError::OtherFilesystem => FileObjection::OtherFilesystem.into(),
            InspectError::Failed(problem) => FileObjection::Unseen { problem }.into(),
        }
    }
}
