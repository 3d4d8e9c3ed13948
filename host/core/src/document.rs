//! The kinds of documents: plans, reports and snapshots. Each begins with `apiVersion` and `kind`, as a manifest does.

use serde::{Deserialize, Serialize};

/// A kind of document that Holystone writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DocumentKind {
    /// The output of `holystone plan`.
    Plan,
    /// The output of `holystone run`.
    Report,
    /// The output of `holystone snapshot`.
    Snapshot,
}
