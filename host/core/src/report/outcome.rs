//! Outcomes of single steps, and of a sweep over all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::guard::{Kind, Operation, Refusal, Step};

/// The outcome of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "result", content = "detail", bound = "")]
pub enum Outcome<K: Kind> {
    /// The target is gone: the runtime removed an image and lists it no more.
    Removed,
    /// The file is cut to zero length.
    Truncated,
    /// The target had gone by itself: another process removed it.
    AlreadyGone,
    /// A later look said no.
    NoLongerAllowed(Refusal<K>),
    /// The image is gone by the runtime's word and listed all the same, and the run ended before more could be done about it.
    StillListed,
    /// The step failed; the text is the runtime's or the system's, with what was tried, or how much of a directory had gone.
    Failed(String),
    /// Not tried, because the run ended before; the text says why.
    NotAttempted(String),
    /// Not tried, because there was nothing more to be gained; the text says why.
    NotNeeded(String),
}

impl<K: Kind> Outcome<K> {
    /// Returns the outcome of a step that was carried out.
    pub fn of_done(operation: Operation) -> Self {
        match operation {
            Operation::Remove => Self::Removed,
            Operation::Truncate => Self::Truncated,
        }
    }

    /// Returns the word that people read.
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

    /// Returns whether the run did not do what it set out to do.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::StillListed | Self::Failed(_) | Self::NotAttempted(_))
    }

    /// Returns whether the run did what it set out to do.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Removed | Self::Truncated)
    }

    /// Returns whether the target is gone, removed by this run or by another process.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Removed | Self::AlreadyGone)
    }
}

/// Why a run ended before its plan did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ending {
    /// The part to count by.
    pub reason: EndReason,
    /// A sentence for people.
    pub message: String,
}

/// The closed set of reasons for which a run ends before its plan does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The filesystem is empty enough.
    NotNeeded,
    /// The run reached its time limit.
    TimeLimit,
    /// A signal asked it to end (SIGTERM, SIGINT).
    Stopped,
    /// The runtime failed one removal after the other.
    RuntimeFailing,
    /// One removal beneath the log roots failed after the other.
    LogsFailing,
    /// The node could not be looked at again, and nothing is removed unseen.
    NodeUnseen,
}

impl Ending {
    /// Returns whether it keeps a run from what it set out to do, and not only from what is not needed.
    pub fn is_failure(&self) -> bool {
        self.reason != EndReason::NotNeeded
    }

    /// Returns the outcome of a step that this kept from being tried.
    pub fn of_a_step<K: Kind>(&self) -> Outcome<K> {
        let message = self.message.clone();
        if self.is_failure() { Outcome::NotAttempted(message) } else { Outcome::NotNeeded(message) }
    }
}

/// The result of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept<K: Kind> {
    /// One entry for each step of the plan, in its order.
    pub outcomes: Vec<Outcome<K>>,
    /// Other effects of the removals, by the places of their steps in the plan.
    pub remarks: BTreeMap<usize, Remark>,
    /// Why it ended before the plan did, if so.
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
    /// Tags and digests that the image had when it was judged and that it had lost after a removal that did not succeed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_names: Vec<String>,
    /// The runtime's answer, where the image is gone although the answer was an error.
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
