//! Runs that are over, and which of their records are kept.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::report::{Brief, Totals};
use crate::schedule::{HistoryLimits, Past, RunState};

/// Why a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A tick of the schedule.
    Schedule,
    /// There is no schedule: its only run.
    Once,
    /// The run before could not take place.
    Retry,
    /// The disk was fuller than the manifest wants.
    Pressure,
}

/// How a run ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RunResult {
    /// It took place, and nothing failed.
    Done,
    /// It took place, and something failed.
    SomeFailed,
    /// It did not take place.
    NotRun,
}

/// The result of a run, with its counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// In one word.
    pub result: RunResult,
    /// A sentence where there is something to say: why it did not take place, or ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Counts and sums of images; absent when it did not take place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Totals>,
    /// The same of log files; absent without log roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Totals>,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Namespace and name of the manifest.
    pub node_cleanup: String,
    /// Why it was started.
    pub cause: Cause,
    /// Which retry it was; 0 for none.
    #[serde(default)]
    pub attempt: u32,
    /// The tick that it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<Timestamp>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it was over.
    pub finished_at: Timestamp,
    /// The result of the run, in as few bytes as a termination message has.
    #[serde(flatten)]
    pub brief: Brief,
}

/// The records of one manifest to forget now, by their place: those over the limits, and those whose time is over.
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
