//! The state of a target when it was judged, which it must still have when it is removed or truncated.

use jiff::Timestamp;

use super::{FileObjection, Inspection, Logs, RootedPath};
use crate::guard::{Clearance, Operation};
use crate::logs::{FileEntry, FileKind, Identity};

/// The state of a target when it was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// A file or link to remove: it must be the same, with the same content.
    Whole {
        /// Which one it is.
        identity: Identity,
        /// A file, or a link.
        kind: FileKind,
        /// Apparent size.
        size_bytes: u64,
        /// Time of its content.
        modified: Timestamp,
    },
    /// A file to truncate: it may have grown.
    Growing {
        /// Which one it is.
        identity: Identity,
        /// Apparent size.
        size_bytes: u64,
    },
    /// A directory: nothing in it may have changed since.
    Tree {
        /// Which one it is.
        identity: Identity,
        /// When anything in it last changed.
        touched: Timestamp,
        /// When the look at it was over.
        seen_at: Timestamp,
    },
}

impl Judged {
    /// Takes what a look found, to compare later looks with it.
    ///
    /// # Errors
    /// Returns the objection when it is of another kind than the operation needs.
    pub(super) fn of(target: &RootedPath, operation: Operation, sight: &Inspection) -> Result<Self, FileObjection> {
        let entry = &sight.entry;
        let (identity, size_bytes, kind) = (entry.identity, entry.size_bytes, entry.kind);
        match (operation, kind, &sight.tree) {
            (Operation::Remove, FileKind::Directory, Some(tree)) if target.is_directory => {
                let touched = tree.touched.max(entry.touched(sight.seen_at));
                Ok(Self::Tree { identity, touched, seen_at: sight.seen_at })
            }
            // Directories are not offered to be cut.
            (Operation::Truncate, FileKind::File, None) => Ok(Self::Growing { identity, size_bytes }),
            (Operation::Remove, FileKind::File | FileKind::Symlink, None) if !target.is_directory => {
                Ok(Self::Whole { identity, kind, size_bytes, modified: entry.modified })
            }
            _ => Err(FileObjection::WrongKind { found: kind }),
        }
    }

    /// Returns whether something in a directory has changed since it was judged, by a later look.
    pub(super) fn is_outdated_by(&self, later: &Self) -> bool {
        matches!((self, later), (Self::Tree { touched: before, .. }, Self::Tree { touched, .. }) if touched > before)
    }

    /// Returns which file or directory it is.
    pub(super) fn identity(&self) -> Identity {
        match *self {
            Self::Whole { identity, .. } | Self::Growing { identity, .. } | Self::Tree { identity, .. } => identity,
        }
    }

    /// Compares an entry with what was judged.
    ///
    /// # Errors
    /// Returns the objection when it is not the same.
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

/// Returns whether an entry has not changed since it was judged. A content time ahead of the clock was so already, unless its
/// inode has changed as well.
fn is_as_judged(entry: &FileEntry, touched: Timestamp, seen_at: Timestamp) -> bool {
    entry.changed <= touched && (entry.modified <= touched || entry.modified > seen_at)
}

impl Clearance<Logs> {
    /// Checks that the target, looked at through its open descriptor, is still what was judged.
    ///
    /// # Errors
    /// Returns the objection when it is not.
    pub fn still_fits(&self, entry: &FileEntry) -> Result<(), FileObjection> {
        self.permit.check(entry)
    }

    /// Checks that something within a directory that is being removed was there, as it is, when the directory was judged.
    ///
    /// # Errors
    /// Returns the objection when it was not.
    pub fn covers(&self, entry: &FileEntry) -> Result<(), FileObjection> {
        match self.permit {
            Judged::Tree { touched, seen_at, .. } if is_as_judged(entry, touched, seen_at) => Ok(()),
            _ => Err(FileObjection::Changed { what: "something in it has changed" }),
        }
    }
}
