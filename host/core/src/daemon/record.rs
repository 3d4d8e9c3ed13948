//! Finished runs, and the selection of the records to delete.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::report::{Brief, Totals};
use crate::schedule::{HistoryLimits, Past, RunState};

/// The cause of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A tick of the schedule.
    Schedule,
    /// The only run of a manifest without a schedule.
    Once,
    /// A retry, because the previous run could not take place.
    Retry,
    /// A disk that is fuller than the manifest allows.
    Pressure,
}

/// The result of a run, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RunResult {
    /// A run that took place, without failures.
    Done,
    /// A run that took place, with failures.
    SomeFailed,
    /// A run that did not take place.
    NotRun,
}

impl RunResult {
    /// Returns the word for the result in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::SomeFailed => "SomeFailed",
            Self::NotRun => "NotRun",
        }
    }
}

/// The result of a run, with its counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Result in one word.
    pub result: RunResult,
    /// Sentence about the result, if there is one: why the run did not take place, or ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Counts and sums of images; absent if the run did not take place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Totals>,
    /// Counts and sums of log files; absent without log roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Totals>,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Namespace and name of the manifest.
    pub node_cleanup: String,
    /// Cause of the run.
    pub cause: Cause,
    /// Number of the retry; 0 for none.
    #[serde(default)]
    pub attempt: u32,
    /// Tick that the run was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<Timestamp>,
    /// Start of the run.
    pub started_at: Timestamp,
    /// End of the run.
    pub finished_at: Timestamp,
    /// Result of the run, as compact as in a termination message.
    #[serde(flatten)]
    pub brief: Brief,
}

/// Returns the indexes of the records of one manifest to delete now: those over the limits, and those that have
/// expired.
pub fn excess(records: &[Record], limits: HistoryLimits, ttl: Option<SignedDuration>, now: Timestamp) -> Vec<usize> {
    let outlived = |record: &Record| ttl.is_some_and(|ttl| record.finished_at.duration_until(now) >= ttl);
    let (mut forget, left): (Vec<usize>, Vec<usize>) = (0..records.len()).partition(|place| outlived(&records[*place]));
    let past = |place: usize| {
        let well = records[place].brief.outcome.result == RunResult::Done;
        let state = if well { RunState::Successful } else { RunState::Failed };
        Past { name: place, state, started: Some(records[place].started_at) }
    };
    forget.extend(limits.excess(left.into_iter().map(past).collect()));
    forget.sort_unstable();
    forget
}
