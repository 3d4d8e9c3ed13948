//! The part of a plan or a report about one kind of target. The parts of all kinds have the same fields.

use serde::{Deserialize, Serialize};

use super::{Outcome, StepResult, Swept};
use crate::guard::{Kind, Plan, Refused, Step};
use crate::text::percent;

/// The plan for one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct PlanPart<K: Kind> {
    /// The number of all entries of this kind: images of the node, or entries under the log roots. Absent if they were
    /// not counted: log roots are counted only for a limit in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// The share of them that would be removed or truncated, in percent; absent if there are none or they were not
    /// counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_planned: Option<u8>,
    /// The steps and the refusals.
    #[serde(flatten)]
    pub plan: Plan<K>,
    /// Sums over the plan.
    pub totals: PlanTotals,
}

/// Sums over a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanTotals {
    /// Number of steps.
    pub planned: usize,
    /// Number of refusals.
    pub refused: usize,
    /// Number of entries that the steps cover: images, or files, links and directories with everything in them.
    pub entries: u64,
    /// Total size to remove or truncate, in bytes: of images by the runtime's figures, although they share layers; of
    /// files by apparent size. The filesystem gains a different amount.
    pub size_planned_bytes: u64,
    /// The expected gain of the filesystems, in bytes: the space of the files on disk, without those that keep another
    /// name. Absent for images, whose gain is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeable_bytes: Option<u64>,
}

impl<K: Kind> PlanPart<K> {
    /// Sums up a plan; `entries` is the number of all entries of this kind, if they were counted.
    pub fn new(plan: Plan<K>, entries: Option<u64>) -> Self {
        let sum = |of: fn(&Step<K>) -> u64| plan.steps.iter().map(of).fold(0, u64::saturating_add);
        let freeable = |of| plan.steps.iter().map(Step::facts).map(of).fold(0, u64::saturating_add);
        let totals = PlanTotals {
            planned: plan.steps.len(),
            refused: plan.refusals.len(),
            entries: sum(Step::entries),
            size_planned_bytes: sum(Step::size_bytes),
            freeable_bytes: K::FREEABLE_BYTES.map(freeable),
        };
        Self { entries, percent_planned: share(totals.entries, entries), plan, totals }
    }
}

/// The outcomes of the plan for one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct ReportPart<K: Kind> {
    /// The number of all entries of this kind when the plan was made, if they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// The share of them that was removed or truncated, in percent; absent if there were none or they were not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_removed: Option<u8>,
    /// Every step with its outcome, in the order of the plan.
    pub steps: Vec<StepResult<K>>,
    /// Every refused wish.
    pub refusals: Vec<Refused<K>>,
    /// Counts and sums.
    pub totals: Totals,
}

impl<K: Kind> ReportPart<K> {
    /// Builds the part of a report from a plan and the result of its sweep.
    pub fn new(planned: PlanPart<K>, swept: Swept<K>) -> Self {
        let mut remarks = swept.remarks;
        let steps = planned.plan.steps.into_iter().zip(swept.outcomes).enumerate();
        let steps: Vec<StepResult<K>> = steps
            .map(|(place, (step, outcome))| {
                let remark = remarks.remove(&place).unwrap_or_default();
                StepResult { step, outcome, remark }
            })
            .collect();
        let refusals = planned.plan.refusals;
        let totals = Totals { refused: refusals.len(), ..Totals::of(&steps) };
        let percent_removed = share(totals.entries, planned.entries);
        Self { entries: planned.entries, percent_removed, steps, refusals, totals }
    }

    /// Returns the steps whose target is gone, removed by this run or by another process.
    pub fn gone(&self) -> impl Iterator<Item = &Step<K>> {
        self.steps.iter().filter(|result| result.outcome.is_gone()).map(|result| &result.step)
    }
}

/// Counts and sums over a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Totals {
    /// Number of steps in the plan.
    pub planned: usize,
    /// Images, files and whole directories removed.
    pub removed: usize,
    /// Files truncated to zero length.
    pub truncated: usize,
    /// Targets that another process had removed.
    pub already_gone: usize,
    /// Wishes that the review refused.
    pub refused: usize,
    /// Steps refused after the plan was made.
    pub no_longer_allowed: usize,
    /// Steps that were not needed, because the filesystem was empty enough.
    pub not_needed: usize,
    /// Steps that were not attempted, because the run ended first.
    pub not_attempted: usize,
    /// Steps that failed, or left an image listed.
    pub failed: usize,
    /// Entries removed or truncated: images, or files, links and directories with everything in them.
    pub entries: u64,
    /// Total size that was removed or truncated, in bytes: of images by the runtime's figures; of files by apparent
    /// size when they were judged. The filesystem gained a different amount.
    pub size_removed_bytes: u64,
    /// The gain of the filesystems, in bytes, by statvfs before and after; several names of one filesystem count once.
    /// Other writers affect it, runtimes free space late, and it is negative if the disk filled up meanwhile. Absent if
    /// the mount point cannot be seen: the runtime's figure for its store is no measurement of a disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem_freed_bytes: Option<i64>,
}

impl Totals {
    fn of<K: Kind>(steps: &[StepResult<K>]) -> Self {
        let mut totals = Self { planned: steps.len(), ..Self::default() };
        for StepResult { step, outcome, .. } in steps {
            match outcome {
                Outcome::Removed => totals.removed += 1,
                Outcome::Truncated => totals.truncated += 1,
                Outcome::AlreadyGone => totals.already_gone += 1,
                Outcome::NoLongerAllowed(_) => totals.no_longer_allowed += 1,
                Outcome::NotNeeded(_) => totals.not_needed += 1,
                Outcome::NotAttempted(_) => totals.not_attempted += 1,
                Outcome::StillListed | Outcome::Failed(_) => totals.failed += 1,
            }
            if outcome.is_done() {
                totals.entries = totals.entries.saturating_add(step.entries());
                totals.size_removed_bytes = totals.size_removed_bytes.saturating_add(step.size_bytes());
            }
        }
        totals
    }

    /// Returns whether a step failed or was not attempted.
    pub fn has_failures(&self) -> bool {
        self.failed > 0 || self.not_attempted > 0
    }
}

fn share(part: u64, whole: Option<u64>) -> Option<u8> {
    percent(usize::try_from(part).unwrap_or(usize::MAX), usize::try_from(whole?).unwrap_or(usize::MAX))
}
