//! The inspection of a target under a log root.

use jiff::Timestamp;

use super::{FileObjection, Logs, Tree};
use crate::guard::Refusal;
use crate::logs::{FileEntry, InUse, LogPath, Place};

/// The findings of one inspection of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The target itself.
    pub entry: FileEntry,
    /// The place of the target relative to the kubelet's log directories.
    pub place: Place,
    /// True if the target of a symbolic link exists; `None` for other files, and if the host cannot see that.
    pub leads_somewhere: Option<bool>,
    /// The content of a directory that is proposed as a whole.
    pub tree: Option<Tree>,
    /// A known use of the target itself.
    pub in_use: Option<InUse>,
    /// True if all uses of files on the node were seen.
    pub all_uses_seen: bool,
    /// The end of the inspection, by the node's clock.
    pub seen_at: Timestamp,
}

impl Inspection {
    /// Returns the number of entries: 1, or a directory and everything in it.
    pub(super) fn entries(&self) -> u64 {
        self.tree.as_ref().map_or(1, |tree| tree.entries.saturating_add(1))
    }

    /// Returns the time of the last change of the target, or of anything in it.
    pub(super) fn touched(&self) -> Timestamp {
        self.tree.as_ref().map_or_else(|| self.entry.touched(self.seen_at), |tree| tree.touched)
    }

    /// Returns a change time ahead of the clock, and the path of its entry.
    pub(super) fn ahead(&self) -> Option<(LogPath, Timestamp)> {
        let itself = || (self.entry.changed > self.seen_at).then(|| (self.entry.path.clone(), self.entry.changed));
        self.tree.as_ref().and_then(|tree| tree.ahead.clone()).or_else(itself)
    }
}

/// A reason why a target could not be inspected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InspectError {
    /// No log root has this name.
    NoSuchRoot,
    /// The target does not exist.
    NotFound,
    /// A directory on the path is a symbolic link, or no directory.
    ThroughLink,
    /// The target is on another filesystem than its root.
    OtherFilesystem,
    /// Any other error; the text describes it.
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
