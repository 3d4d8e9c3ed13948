//! The state of a target when it was judged, which it must still have when it is removed or truncated.

use jiff::Timestamp;

use super::{FileObjection, Inspection, Logs, RootedPath};
use crate::guard::{Clearance, Operation};
use crate::logs::{FileEntry, FileKind, Identity};

/// The state of a target when it was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// A file or link to remove: identity, kind, size and content time must be the same.
    Whole {
        /// Identity.
        identity: Identity,
        /// Kind: a file or a link.
        kind: FileKind,
        /// Apparent size.
        size_bytes: u64,
        /// Time of the last change of the content.
        modified: Timestamp,
    },
    /// A file to truncate: it may have grown.
    Growing {
        /// Identity.
        identity: Identity,
        /// Apparent size.
        size_bytes: u64,
    },
    /// A directory to remove: nothing in it may have changed since.
    Tree {
        /// Identity.
        identity: Identity,
        /// Time of the last change of the directory or anything in it.
        touched: Timestamp,
        /// The end of the inspection.
        seen_at: Timestamp,
    },
}

impl Judged {
    /// Records the state that an inspection found, for comparison with later inspections.
    ///
    /// # Errors
    /// Returns the objection if the target is of another kind than proposed, or than the operation needs.
    pub(super) fn of(
        target: &RootedPath,
        operation: Operation,
        inspection: &Inspection,
    ) -> Result<Self, FileObjection> {
        let entry = &inspection.entry;
        let (identity, size_bytes, kind) = (entry.identity, entry.size_bytes, entry.kind);
        match (operation, kind, &inspection.tree) {
            (Operation::Remove, FileKind::Directory, Some(tree)) if target.is_directory => {
                let touched = tree.touched.max(entry.touched(inspection.seen_at));
                Ok(Self::Tree { identity, touched, seen_at: inspection.seen_at })
            }
            // Truncation is not offered for directories.
            (Operation::Truncate, FileKind::File, None) => Ok(Self::Growing { identity, size_bytes }),
            (Operation::Remove, FileKind::File | FileKind::Symlink, None) if !target.is_directory => {
                Ok(Self::Whole { identity, kind, size_bytes, modified: entry.modified })
            }
            _ => Err(FileObjection::WrongKind { found: kind }),
        }
    }

    /// Returns whether something in a directory has changed since it was judged, by a later inspection.
    pub(super) fn is_outdated_by(&self, later: &Self) -> bool {
        matches!((self, later), (Self::Tree { touched: before, .. }, Self::Tree { touched, .. }) if touched > before)
    }

    /// Returns the identity of the target.
    pub(super) fn identity(&self) -> Identity {
        match *self {
            Self::Whole { identity, .. } | Self::Growing { identity, .. } | Self::Tree { identity, .. } => identity,
        }
    }

    /// Compares an entry with the judged state.
    ///
    /// # Errors
    /// Returns the objection if the entry differs, or if a file to truncate has other names.
    pub(super) fn check(&self, entry: &FileEntry) -> Result<(), FileObjection> {
        let changed = |what| Err(FileObjection::Changed { what });
        match *self {
            Self::Whole { identity, kind, .. } if (identity, kind) != (entry.identity, entry.kind) => {
                changed("it is another one by now")
            }
            Self::Whole { size_bytes, modified, .. }
                if (size_bytes, modified) != (entry.size_bytes, entry.modified) =>
            {
                changed("its content has changed")
            }
            Self::Growing { identity, .. } if (identity, FileKind::File) != (entry.identity, entry.kind) => {
                changed("it is another one by now")
            }
            Self::Growing { size_bytes, .. } if entry.size_bytes < size_bytes => changed("it has been cut already"),
            Self::Growing { .. } if entry.hard_links > 1 => Err(FileObjection::HardLinked { links: entry.hard_links }),
            Self::Tree { identity, .. } if (identity, FileKind::Directory) != (entry.identity, entry.kind) => {
                changed("it is another one by now")
            }
            Self::Tree { touched, seen_at, .. } if !is_as_judged(entry, touched, seen_at) => {
                changed("something in it has changed")
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether an entry has not changed since it was judged. A content time ahead of that inspection's clock was
/// there before: setting it later would have changed the inode as well.
fn is_as_judged(entry: &FileEntry, touched: Timestamp, seen_at: Timestamp) -> bool {
    entry.changed <= touched && (entry.modified <= touched || entry.modified > seen_at)
}

impl Clearance<Logs> {
    /// Checks that the target, seen by its name or through its open descriptor, still has the judged state.
    ///
    /// # Errors
    /// Returns the objection if it has not.
    pub fn still_fits(&self, entry: &FileEntry) -> Result<(), FileObjection> {
        self.permit.check(entry)
    }

    /// Checks that an entry in a directory that is being removed was there, unchanged, when the directory was judged.
    ///
    /// # Errors
    /// Returns the objection if it was not.
    pub fn covers(&self, entry: &FileEntry) -> Result<(), FileObjection> {
        match self.permit {
            Judged::Tree { touched, seen_at, .. } if is_as_judged(entry, touched, seen_at) => Ok(()),
            _ => Err(FileObjection::Changed { what: "something in it has changed" }),
        }
    }
}
