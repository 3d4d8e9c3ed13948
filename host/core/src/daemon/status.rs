//! The status of the daemon, as `/status` returns it and `holystone status` prints it.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Record, RunResult};

/// The daemon and its manifests.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of Holystone.
    pub version: String,
    /// Start of the daemon.
    pub started_at: Timestamp,
    /// Set when the daemon is about to end.
    pub stopping: bool,
    /// Time when the manifests in use were read.
    pub read_at: Timestamp,
    /// Problem of the last attempt to read the manifests, if that was later; the previous ones stay in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_problem: Option<String>,
    /// Status of each manifest.
    pub node_cleanups: Vec<CleanupStatus>,
}

/// The status of one manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CleanupStatus {
    /// Namespace and name of the manifest.
    pub name: String,
    /// Mode of its runs: whether they remove anything.
    pub mode: String,
    /// Schedule of its runs; absent if it runs once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// State in one word: Waiting, Running, Paused or Done.
    pub state: String,
    /// Time when the next run is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<Timestamp>,
    /// Start of the run in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    /// Runs on record, the latest first.
    pub runs: Vec<Run>,
}

/// A run on record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// File with its report, in the state directory.
    pub file: String,
    #[serde(flatten)]
    /// Record of the run.
    pub record: Record,
}

/// Returns a result as a word for people.
pub fn word(result: RunResult) -> &'static str {
    match result {
        RunResult::Done => "done",
        RunResult::SomeFailed => "some failed",
        RunResult::NotRun => "did not run",
    }
}

/// Formats the result of a run as a sentence.
pub fn sentence(record: &Record) -> String {
    let mut text = word(record.brief.outcome.result).to_owned();
    if let Some(totals) = &record.brief.outcome.images {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {} removed, {} refused, {} failed", totals.removed, totals.refused, totals.failed);
    }
    if let Some(totals) = &record.brief.outcome.logs {
        let gone = totals.removed + totals.truncated;
        let _ =
            write!(text, "; of log files {gone} removed or cut, {} refused, {} failed", totals.refused, totals.failed);
    }
    if let Some(message) = &record.brief.outcome.message {
        let _ = write!(text, ": {message}");
    }
    text
}
