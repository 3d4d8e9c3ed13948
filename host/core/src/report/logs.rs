//! The part of plans and reports that is about log roots.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Ending, freed};
use crate::guard::logs::{LogPlan, LogRefusal, LogRefused, LogStep, LogVerb};
use crate::snapshot::Filesystem;

/// What is planned beneath log roots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogPlanReport {
    /// The names of the log roots.
    pub roots: Vec<String>,
    /// How many entries there are beneath them; absent when they were not counted, which only a limit of percent does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_entries: Option<u64>,
    /// What may be done and what may not.
    #[serde(flatten)]
    pub plan: LogPlan,
    /// Sums over the plan.
    pub totals: LogPlanTotals,
}

/// Sums over a plan beneath log roots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogPlanTotals {
    /// Steps.
    pub planned: usize,
    /// Refusals.
    pub refused: usize,
    /// Files, links and directories that the steps are about, with all that is in directories.
    pub entries: u64,
    /// Sum of their apparent sizes.
    pub size_planned_bytes: u64,
    /// What the filesystems should gain, as far as one can tell: what the files take on disk, those that keep a name left
    /// out.
    pub freeable_bytes: u64,
}

impl LogPlanReport {
    pub(super) fn new(roots: Vec<String>, plan: LogPlan) -> Self {
        let sum = |of: fn(&LogStep) -> u64| plan.steps.iter().map(of).fold(0, u64::saturating_add);
        let totals = LogPlanTotals {
            planned: plan.steps.len(),
            refused: plan.refusals.len(),
            entries: sum(LogStep::entries),
            size_planned_bytes: sum(LogStep::size_bytes),
            freeable_bytes: sum(LogStep::freeable_bytes),
        };
        Self { roots, counted_entries: None, plan, totals }
    }
}

/// What became of one step beneath a log root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "result", content = "detail")]
pub enum LogOutcome {
    /// It is gone.
    Removed,
    /// It is cut to zero length.
    Truncated,
    /// It had gone by itself: somebody else removed it.
    AlreadyGone,
    /// The second look said no, or the last one with the file in hand.
    NoLongerAllowed(LogRefusal),
    /// It failed; the text is the system's, with how much of a directory had gone by then.
    Failed(String),
    /// Not tried, because the run ended before; the text says why.
    NotAttempted(String),
    /// Not tried, because there was nothing more to be gained; the text says why.
    NotNeeded(String),
}

impl LogOutcome {
    /// What becomes of a step that was carried out.
    pub fn of_done(verb: LogVerb) -> Self {
        match verb {
            LogVerb::Remove => Self::Removed,
            LogVerb::Truncate => Self::Truncated,
        }
    }

    /// What becomes of a step that an ending kept from being tried.
    pub fn of_ending(ending: &Ending) -> Self {
        let message = ending.message.clone();
        if ending.is_failure() { Self::NotAttempted(message) } else { Self::NotNeeded(message) }
    }

    /// The word that people read.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Truncated => "truncated",
            Self::AlreadyGone => "already gone",
            Self::NoLongerAllowed(_) => "no longer allowed",
            Self::Failed(_) => "failed",
            Self::NotAttempted(_) => "not attempted",
            Self::NotNeeded(_) => "not needed",
        }
    }

    /// Whether the run did not do what it set out to do.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::NotAttempted(_))
    }
}

/// What a sweep beneath log roots came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSwept {
    /// One entry for each step of the plan, in its order.
    pub outcomes: Vec<LogOutcome>,
    /// Why it ended before the plan did, if so.
    pub ending: Option<Ending>,
}

/// A step and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogStepResult {
    /// The step.
    #[serde(flatten)]
    pub step: LogStep,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: LogOutcome,
}

/// What became of the plan beneath log roots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogReport {
    /// The names of the log roots.
    pub roots: Vec<String>,
    /// Every step with its outcome, in the order of the plan.
    pub steps: Vec<LogStepResult>,
    /// Every wish that was refused.
    pub refusals: Vec<LogRefused>,
    /// Counts and sums.
    pub totals: LogTotals,
    /// What the filesystem of each log root gained, in bytes, by statvfs before and after. Other writers count into it;
    /// it is negative when the disk filled up meanwhile. Roots on one filesystem have the same figure, and one whose
    /// figures are not known has none.
    pub filesystem_freed_bytes: BTreeMap<String, i64>,
}

/// Counts and sums over a sweep beneath log roots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct LogTotals {
    /// Steps that the plan had.
    pub planned: usize,
    /// Files and whole directories removed.
    pub removed: usize,
    /// Files cut to zero length.
    pub truncated: usize,
    /// Those that had gone by themselves.
    pub already_gone: usize,
    /// Wishes refused by the review.
    pub refused: usize,
    /// Steps that a later look refused.
    pub no_longer_allowed: usize,
    /// Steps that were not tried because there was nothing more to be gained.
    pub not_needed: usize,
    /// Steps that were not attempted, because the run ended before.
    pub not_attempted: usize,
    /// Steps that failed.
    pub failed: usize,
    /// Files, links and directories removed or truncated, with all that was in directories.
    pub entries: u64,
    /// Sum of the apparent sizes of what was removed or truncated, as it was judged: not what the filesystem gained.
    pub size_removed_bytes: u64,
}

impl LogReport {
    pub(super) fn new(planned: LogPlanReport, swept: LogSwept) -> Self {
        let steps = planned.plan.steps.into_iter().zip(swept.outcomes);
        let steps: Vec<LogStepResult> = steps.map(|(step, outcome)| LogStepResult { step, outcome }).collect();
        let mut totals = LogTotals::of(&steps);
        totals.refused = planned.plan.refusals.len();
        let (roots, refusals) = (planned.roots, planned.plan.refusals);
        Self { roots, steps, refusals, totals, filesystem_freed_bytes: BTreeMap::new() }
    }

    /// Takes in what the filesystems of the roots were before and after.
    pub(super) fn measure(&mut self, before: &[Filesystem], after: &[Filesystem]) {
        let freed = |root: &String| Some((root.clone(), freed(before, after, &format!("logs:{root}"))?));
        self.filesystem_freed_bytes = self.roots.iter().filter_map(freed).collect();
    }

    /// The steps whose target is gone, whoever removed it.
    pub(super) fn gone(&self) -> impl Iterator<Item = &LogStep> {
        let is_gone = |result: &&LogStepResult| matches!(result.outcome, LogOutcome::Removed | LogOutcome::AlreadyGone);
        self.steps.iter().filter(is_gone).map(|result| &result.step)
    }
}

impl LogTotals {
    fn of(steps: &[LogStepResult]) -> Self {
        let mut totals = Self { planned: steps.len(), ..Self::default() };
        for LogStepResult { step, outcome } in steps {
            match outcome {
                LogOutcome::Removed => totals.removed += 1,
                LogOutcome::Truncated => totals.truncated += 1,
                LogOutcome::AlreadyGone => totals.already_gone += 1,
                LogOutcome::NoLongerAllowed(_) => totals.no_longer_allowed += 1,
                LogOutcome::NotNeeded(_) => totals.not_needed += 1,
                LogOutcome::NotAttempted(_) => totals.not_attempted += 1,
                LogOutcome::Failed(_) => totals.failed += 1,
            }
            if matches!(outcome, LogOutcome::Removed | LogOutcome::Truncated) {
                totals.entries = totals.entries.saturating_add(step.entries());
                totals.size_removed_bytes = totals.size_removed_bytes.saturating_add(step.size_bytes());
            }
        }
        totals
    }
}
