//! How the daemon stands, as `/status` answers and `holystone status` prints it.

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
    /// When the daemon was started.
    pub started_at: Timestamp,
    /// Whether it is about to end.
    pub stopping: bool,
    /// When the manifests in use were read.
    pub read_at: Timestamp,
    /// What was wrong with the manifests when they were last read, if that was later: the ones before stay in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload_problem: Option<String>,
    /// The manifests.
    pub node_cleanups: Vec<CleanupStatus>,
}

/// How one manifest stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CleanupStatus {
    /// Namespace and name.
    pub name: String,
    /// Whether it removes anything.
    pub mode: String,
    /// When it runs; absent when it runs once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// In one word: Waiting, Running, Paused or Done.
    pub state: String,
    /// When the next run is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<Timestamp>,
    /// Since when a run of it is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Timestamp>,
    /// The runs that are kept, the latest first.
    pub runs: Vec<Run>,
}

/// A run that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The file in the state directory that has its report.
    pub file: String,
    #[serde(flatten)]
    /// What is known of it.
    pub record: Record,
}

/// A word for people.
pub fn word(result: RunResult) -> &'static str {
    match result {
        RunResult::Done => "done",
        RunResult::SomeFailed => "some failed",
        RunResult::NotRun => "did not run",
    }
}

/// What came of a run, in a sentence.
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
