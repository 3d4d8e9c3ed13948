//! What kind of document a plan, a report or a snapshot is. Every one begins with `apiVersion` and `kind`, as a manifest
//! does.

use serde::{Deserialize, Serialize};

/// A kind of document that Holystone writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DocumentKind {
    /// What `holystone plan` prints.
    Plan,
    /// What `holystone run` prints.
    Report,
    /// What `holystone snapshot` prints.
    Snapshot,
}
