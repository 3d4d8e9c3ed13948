//! Outcomes of single steps, and the result of a sweep.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::guard::{Kind, Operation, Refusal, Step};

/// The outcome of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "result", content = "detail", bound = "")]
pub enum Outcome<K: Kind> {
    /// The target was removed; the runtime no longer lists a removed image.
    Removed,
    /// The file was truncated to zero length.
    Truncated,
    /// Another process had removed the target.
    AlreadyGone,
    /// The step was refused after the plan was made, by a guard rail or by the runtime.
    NoLongerAllowed(Refusal<K>),
    /// The runtime accepted the removal but still lists the image, and the run ended before it could retry by name.
    StillListed,
    /// The step failed; the text is the error of the runtime, the system or the host, and for a directory how much of
    /// it is gone.
    Failed(String),
    /// The run ended before the step; the text is the reason.
    NotAttempted(String),
    /// The filesystem was empty enough before the step; the text is the reason.
    NotNeeded(String),
}

impl<K: Kind> Outcome<K> {
    /// Returns the outcome of a step that was performed.
    pub fn of_done(operation: Operation) -> Self {
        match operation {
            Operation::Remove => Self::Removed,
            Operation::Truncate => Self::Truncated,
        }
    }

    /// Returns the outcome in words for people.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Truncated => "truncated",
            Self::AlreadyGone => "already gone",
            Self::NoLongerAllowed(_) => "no longer allowed",
            Self::StillListed => "still listed",
            Self::Failed(_) => "failed",
            Self::NotAttempted(_) => "not attempted",
            Self::NotNeeded(_) => "not needed",
        }
    }

    /// Returns whether the step failed, was not attempted, or left the image listed.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::StillListed | Self::Failed(_) | Self::NotAttempted(_))
    }

    /// Returns whether this run removed or truncated the target.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Removed | Self::Truncated)
    }

    /// Returns whether the target is gone, removed by this run or by another process.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Removed | Self::AlreadyGone)
    }
}

/// The reason why a run ended before its plan did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ending {
    /// The reason, to count by.
    pub reason: EndReason,
    /// A sentence for people.
    pub message: String,
}

/// The reasons for which a run ends before its plan does: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The filesystem is empty enough.
    NotNeeded,
    /// The run reached its time limit.
    TimeLimit,
    /// The run was asked to end, by SIGTERM or SIGINT or by the daemon.
    Stopped,
    /// Too many image removals in a row failed.
    RuntimeFailing,
    /// Too many removals in a row failed under the log roots.
    LogsFailing,
    /// The node or its filesystems could not be inspected; nothing is removed without an inspection.
    NodeUnseen,
}

impl Ending {
    /// Returns whether the ending prevents steps that are still needed.
    pub fn is_failure(&self) -> bool {
        self.reason != EndReason::NotNeeded
    }

    /// Returns the outcome of a step that the ending prevented.
    pub fn of_a_step<K: Kind>(&self) -> Outcome<K> {
        let message = self.message.clone();
        if self.is_failure() { Outcome::NotAttempted(message) } else { Outcome::NotNeeded(message) }
    }
}

/// The result of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept<K: Kind> {
    /// The outcome of each step, in the order of the plan.
    pub outcomes: Vec<Outcome<K>>,
    /// Other effects of removals, by the index of their step in the plan.
    pub remarks: BTreeMap<usize, Remark>,
    /// The reason why the sweep ended before the plan did, if so.
    pub ending: Option<Ending>,
}

impl<K: Kind> Default for Swept<K> {
    fn default() -> Self {
        Self { outcomes: Vec::new(), remarks: BTreeMap::new(), ending: None }
    }
}

/// The effects of a removal besides its outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Remark {
    /// Tags and digests that the image had when it was judged, and lost although its removal did not succeed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_names: Vec<String>,
    /// The runtime's error, if the image is gone nevertheless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// A step and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct StepResult<K: Kind> {
    /// The step.
    #[serde(flatten)]
    pub step: Step<K>,
    /// The outcome of the step.
    #[serde(flatten)]
    pub outcome: Outcome<K>,
    /// Other effects of the removal.
    #[serde(flatten)]
    pub remark: Remark,
}
