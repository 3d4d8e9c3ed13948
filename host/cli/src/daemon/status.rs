//! How the daemon stands, as `/status` answers and `holystone status` prints it.

use std::fmt::Write as _;

use holystone_core::daemon::{Record, RunResult};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The daemon and its manifests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// Version of Holystone.
    pub(crate) version: String,
    /// When the daemon was started.
    pub(crate) started_at: Timestamp,
    /// Whether it is about to end.
    pub(crate) stopping: bool,
    /// When the manifests in use were read.
    pub(crate) read_at: Timestamp,
    /// What was wrong with the manifests when they were last read, if that was later: the ones before stay in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reload_problem: Option<String>,
    /// The manifests.
    pub(crate) node_cleanups: Vec<Charged>,
}

/// How one manifest stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Charged {
    /// Namespace and name.
    pub(crate) name: String,
    /// Whether it removes anything.
    pub(crate) mode: String,
    /// When it runs; absent when it runs once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    /// In one word: Waiting, Running, Paused or Done.
    pub(crate) state: String,
    /// When the next run is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_run_at: Option<Timestamp>,
    /// Since when a run of it is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) running_since: Option<Timestamp>,
    /// The runs that are kept, the latest first.
    pub(crate) runs: Vec<Run>,
}

/// A run that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    /// The file in the state directory that has its report.
    pub(crate) file: String,
    #[serde(flatten)]
    pub(crate) record: Record,
}

/// A word for people.
pub(crate) fn word(result: RunResult) -> &'static str {
    match result {
        RunResult::Done => "done",
        RunResult::SomeFailed => "some failed",
        RunResult::NotRun => "did not run",
    }
}

/// What came of a run, in a sentence.
pub(crate) fn sentence(record: &Record) -> String {
    let mut text = word(record.outcome.result).to_owned();
    if let Some(totals) = &record.outcome.totals {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {} removed, {} refused, {} failed", totals.removed, totals.refused, totals.failed);
    }
    if let Some(totals) = &record.outcome.log_totals {
        let gone = totals.removed + totals.truncated;
        let _ =
            write!(text, "; of log files {gone} removed or cut, {} refused, {} failed", totals.refused, totals.failed);
    }
    if let Some(message) = &record.outcome.message {
        let _ = write!(text, ": {message}");
    }
    text
}
