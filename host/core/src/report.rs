//! What became of a run: outcomes, totals, and the report as a value.

mod brief;
mod logs;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::guard::logs::{LogPlan, LogStep};
use crate::guard::{Guard, Plan, Refusal, Refused, Step};
use crate::matches::PatternMatch;
use crate::snapshot::{Filesystem, Snapshot};
use crate::text::percent;

pub use brief::{Brief, BriefError, BriefPlugin, MAX_BRIEF, Planned, PlannedRepository};
pub use logs::{LogOutcome, LogPlanReport, LogPlanTotals, LogReport, LogStepResult, LogSwept, LogTotals};

/// What became of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "result", content = "detail")]
pub enum Outcome {
    /// The runtime removed it and lists it no more.
    Removed,
    /// It had gone by itself: somebody else removed it.
    AlreadyGone,
    /// The second look said no.
    NoLongerAllowed(Refusal),
    /// It is gone by the runtime's word and listed all the same, and the run ended before more could be done about it.
    StillListed,
    /// The removal failed; the text is the runtime's, with what was tried.
    Failed(String),
    /// Not tried, because the run ended before; the text says why.
    NotAttempted(String),
    /// Not tried, because there was nothing more to be gained; the text says why.
    NotNeeded(String),
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
    /// Somebody asked it to end (SIGTERM, SIGINT).
    Stopped,
    /// The runtime failed one removal after the other.
    RuntimeFailing,
    /// One removal beneath the log roots failed after the other.
    LogsFailing,
    /// The node could not be looked at again, and nothing is removed unseen.
    NodeUnseen,
}

impl Ending {
    /// Whether it keeps a run from what it set out to do, and not only from what is not needed.
    pub fn is_failure(&self) -> bool {
        self.reason != EndReason::NotNeeded
    }

    /// What becomes of a step that this kept from being tried.
    pub fn of_a_step(&self) -> Outcome {
        let message = self.message.clone();
        if self.is_failure() { Outcome::NotAttempted(message) } else { Outcome::NotNeeded(message) }
    }
}

/// What a sweep came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// One entry for each step of the plan, in its order.
    pub outcomes: Vec<Outcome>,
    /// What else the removals did, by the places of their steps in the plan.
    pub remarks: BTreeMap<usize, Remark>,
    /// Why it ended before the plan did, if so.
    pub ending: Option<Ending>,
}

/// What a removal did besides its outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Remark {
    /// Tags and digests that the image had when it was judged and that it had lost after a removal that did not succeed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_names: Vec<String>,
    /// What the runtime answered, where the image is gone although the answer was an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// An earlier run that was cut off in the middle: killed, or the machine went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupted {
    /// When its look at the node was taken.
    pub started_at: Timestamp,
    /// How many images it set out to remove.
    pub planned: usize,
    /// How many of them have gone since.
    pub gone: usize,
    /// How many of them are still there.
    pub left: usize,
    /// How many log files and directories it set out to remove or truncate. What became of them shows in the next plan.
    #[serde(skip_serializing_if = "is_zero")]
    pub logs: usize,
}

impl Outcome {
    /// The word that people read.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::AlreadyGone => "already gone",
            Self::NoLongerAllowed(_) => "no longer allowed",
            Self::StillListed => "still listed",
            Self::Failed(_) => "failed",
            Self::NotAttempted(_) => "not attempted",
            Self::NotNeeded(_) => "not needed",
        }
    }

    /// Whether the run did not do what it set out to do.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::StillListed | Self::Failed(_) | Self::NotAttempted(_))
    }
}

/// What became of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginRun {
    /// Name of the plugin.
    pub name: String,
    /// `sha256:` and the digest of its bytes; absent when they could not be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How many removals it wished.
    pub wishes: usize,
    /// How many entries each pattern of its config matched, as far as it reports that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<PatternMatch>,
    /// Why it contributed nothing, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<PluginFailure>,
}

/// Why a plugin failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginFailure {
    /// A stable word, to count by, for example `Timeout`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// A plan and what it rests on: what `holystone plan` prints. Has no clock readings of its own, so that the
/// same snapshot, plugins and configs give the same document, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// Namespace and name of the NodeCleanup; absent when there is no manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_cleanup: Option<String>,
    /// Name of the node.
    pub node: String,
    /// The runtime's name and version; empty when none was asked.
    pub runtime: String,
    /// When the snapshot was taken.
    pub taken_at: Timestamp,
    /// How many images the node has.
    pub images: usize,
    /// Which share of them would be removed, in percent; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_planned: Option<u8>,
    /// The plugins, in the order in which they ran.
    pub plugins: Vec<PluginRun>,
    /// What may be done and what may not.
    #[serde(flatten)]
    pub plan: Plan,
    /// Sums over the plan.
    pub totals: PlanTotals,
    /// What is planned beneath log roots. Absent when there are none and nothing is wished there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogPlanReport>,
    /// How many images each pattern that protects or unprotects matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<PatternMatch>,
    /// Filesystems at the time of the snapshot.
    pub filesystems: Vec<Filesystem>,
    /// What else there is to know, in sentences: fields of the manifest that mean nothing here, for example.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// Sums over a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanTotals {
    /// Steps.
    pub planned: usize,
    /// Refusals.
    pub refused: usize,
    /// Sum of the sizes of what would be removed, as the runtime counts them. Layers are shared and runtimes count
    /// differently: the filesystem will gain another number.
    pub size_planned_bytes: u64,
}

impl PlanReport {
    /// Puts together what was decided about a snapshot.
    pub fn new(snapshot: &Snapshot, plugins: Vec<PluginRun>, plan: Plan) -> Self {
        let totals = PlanTotals {
            planned: plan.steps.len(),
            refused: plan.refusals.len(),
            size_planned_bytes: plan.steps.iter().map(Step::size_bytes).fold(0, u64::saturating_add),
        };
        Self {
            node_cleanup: None,
            node: snapshot.node.name.clone(),
            runtime: runtime(snapshot),
            taken_at: snapshot.taken_at,
            images: snapshot.images.len(),
            percent_planned: percent(totals.planned, snapshot.images.len()),
            plugins,
            plan,
            totals,
            logs: None,
            matches: Vec::new(),
            filesystems: snapshot.filesystems.clone(),
            notices: Vec::new(),
        }
    }

    /// With what is planned beneath these log roots.
    #[must_use]
    pub fn with_logs(mut self, roots: Vec<String>, plan: LogPlan) -> Self {
        let is_empty = roots.is_empty() && plan.steps.is_empty() && plan.refusals.is_empty();
        self.logs = (!is_empty).then(|| LogPlanReport::new(roots, plan));
        self
    }

    /// With what the patterns of the guard rails matched, and a notice for each that matched nothing.
    #[must_use]
    pub fn with_matches(mut self, guard: &Guard<'_>) -> Self {
        self.matches = guard.matches();
        self.notices.extend(guard.unmatched(&self.matches));
        self
    }

    /// With how many entries there are beneath the log roots, where they were counted.
    #[must_use]
    pub fn counting(mut self, entries: Option<u64>) -> Self {
        if let Some(logs) = &mut self.logs {
            logs.counted_entries = entries;
        }
        self
    }

    /// The steps beneath log roots.
    pub fn log_steps(&self) -> &[LogStep] {
        self.logs.as_ref().map_or(&[], |logs| &logs.plan.steps)
    }

    /// Whether the first step that a plugin wished is about log files.
    pub fn begins_with_logs(&self) -> bool {
        let place = |name: &str| self.plugins.iter().position(|plugin| plugin.name == name);
        let images = self.plan.steps.first().map(|step| place(step.plugin()));
        let logs = self.log_steps().first().map(|step| place(step.plugin()));
        images.zip(logs).is_some_and(|(images, logs)| logs < images)
    }

    /// Whether there is anything to say of images.
    pub fn has_image_part(&self) -> bool {
        !self.runtime.is_empty() || self.totals.refused > 0
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.plan.steps.is_empty() && self.log_steps().is_empty()
    }
}

/// A step and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepResult {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What else the removal did.
    #[serde(flatten)]
    pub remark: Remark,
}

/// What a sweep did: what `holystone run` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Namespace and name of the NodeCleanup; absent when there is no manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_cleanup: Option<String>,
    /// Name of the node.
    pub node: String,
    /// The runtime's name and version; empty when none was asked.
    pub runtime: String,
    /// When the snapshot was taken.
    pub taken_at: Timestamp,
    /// When the sweep was over.
    pub finished_at: Timestamp,
    /// How many images the node had.
    pub images: usize,
    /// Which share of them was removed, in percent; absent when there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_removed: Option<u8>,
    /// The plugins, in the order in which they ran.
    pub plugins: Vec<PluginRun>,
    /// Every step with its outcome, in the order of the plan.
    pub steps: Vec<StepResult>,
    /// Every wish that was refused.
    pub refusals: Vec<Refused>,
    /// Counts and sums.
    pub totals: Totals,
    /// What became of the plan beneath log roots, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogReport>,
    /// How many images each pattern that protects or unprotects matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<PatternMatch>,
    /// Why the run ended before its plan did, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// How an earlier run was cut off, if the last one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<Interrupted>,
    /// What else there is to know, in sentences: a state that had to be started anew, for example.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// Filesystems before the first removal.
    pub filesystems_before: Vec<Filesystem>,
    /// Filesystems after the last one.
    pub filesystems_after: Vec<Filesystem>,
    /// How long each part took, in milliseconds.
    pub milliseconds: BTreeMap<&'static str, Milliseconds>,
}

/// A duration, written with three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Milliseconds(pub std::time::Duration);

impl Serialize for Milliseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.0.as_secs_f64() * 1e6).round() / 1e3)
    }
}

/// Counts and sums over a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Totals {
    /// Steps that the plan had.
    pub planned: usize,
    /// Images removed.
    pub removed: usize,
    /// Images that had gone by themselves.
    pub already_gone: usize,
    /// Wishes refused by the review.
    pub refused: usize,
    /// Steps that the second look refused.
    pub no_longer_allowed: usize,
    /// Steps that were not tried because there was nothing more to be gained.
    pub not_needed: usize,
    /// Steps that were not attempted, because the run ended before.
    pub not_attempted: usize,
    /// Steps that failed, or left the image listed.
    pub failed: usize,
    /// Sum of the sizes of the removed images, as the runtime counts them: not what the filesystem gained.
    pub size_removed_bytes: u64,
    /// What the image filesystem gained, in bytes, by statvfs before and after. Other writers count into it, runtimes
    /// free space late, and it is negative when the disk filled up meanwhile. Absent where its mount point cannot be
    /// seen: what the runtime says that its store uses is no measurement of a disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem_freed_bytes: Option<i64>,
}

impl Report {
    /// Puts together what a sweep did.
    pub fn new(
        planned: PlanReport,
        swept: Swept,
        log_swept: LogSwept,
        finished_at: Timestamp,
        filesystems_after: Vec<Filesystem>,
        milliseconds: BTreeMap<&'static str, Milliseconds>,
    ) -> Self {
        let mut remarks = swept.remarks;
        let steps: Vec<StepResult> = planned
            .plan
            .steps
            .into_iter()
            .zip(swept.outcomes)
            .enumerate()
            .map(|(place, (step, outcome))| {
                let remark = remarks.remove(&place).unwrap_or_default();
                StepResult { step, outcome, remark }
            })
            .collect();
        let mut totals = Totals::of(&steps);
        totals.refused = planned.plan.refusals.len();
        totals.filesystem_freed_bytes = freed(&planned.filesystems, &filesystems_after, "images");
        let log_ending = log_swept.ending.clone();
        let logs = planned.logs.map(|logs| {
            let mut report = LogReport::new(logs, log_swept);
            report.measure(&planned.filesystems, &filesystems_after);
            report
        });
        Self {
            node_cleanup: planned.node_cleanup,
            node: planned.node,
            runtime: planned.runtime,
            taken_at: planned.taken_at,
            finished_at,
            images: planned.images,
            percent_removed: percent(totals.removed, planned.images),
            plugins: planned.plugins,
            steps,
            refusals: planned.plan.refusals,
            totals,
            logs,
            matches: planned.matches,
            ending: swept.ending.or(log_ending),
            interrupted: None,
            notices: planned.notices,
            filesystems_before: planned.filesystems,
            filesystems_after,
            milliseconds,
        }
    }

    /// Whether there is anything to say of images.
    pub fn has_image_part(&self) -> bool {
        !self.runtime.is_empty() || self.totals.refused > 0
    }

    /// The steps whose image the runtime said it removed and lists all the same, and when it was asked.
    pub fn kept(&self) -> impl Iterator<Item = (&Step, Timestamp)> {
        self.steps.iter().filter_map(|result| match result.outcome {
            Outcome::NoLongerAllowed(Refusal::KeptByRuntime { since }) => Some((&result.step, since)),
            _ => None,
        })
    }

    /// Whether the runtime took names from an image whose removal it then refused.
    pub fn shows_untagging(&self) -> bool {
        self.steps.iter().any(|result| {
            let lost = result.remark.lost_names.len();
            let says_in_use = matches!(result.outcome, Outcome::NoLongerAllowed(Refusal::RuntimeSaysInUse { .. }));
            says_in_use && lost > 0 && lost < result.step.references().len()
        })
    }

    /// The steps whose image is gone, whoever removed it.
    pub fn gone(&self) -> impl Iterator<Item = &Step> {
        let is_gone = |result: &&StepResult| matches!(result.outcome, Outcome::Removed | Outcome::AlreadyGone);
        self.steps.iter().filter(is_gone).map(|result| &result.step)
    }

    /// The log files and directories that are gone, whoever removed them.
    pub fn gone_logs(&self) -> impl Iterator<Item = &LogStep> {
        self.logs.iter().flat_map(LogReport::gone)
    }

    /// Whether something did not go as planned: a step or a plugin failed.
    pub fn has_failures(&self) -> bool {
        let logs = self.logs.as_ref().map_or(0, |logs| logs.totals.failed + logs.totals.not_attempted);
        self.totals.failed + self.totals.not_attempted + logs > 0
            || self.plugins.iter().any(|plugin| plugin.failure.is_some())
    }
}

impl Totals {
    fn of(steps: &[StepResult]) -> Self {
        let mut totals = Self { planned: steps.len(), ..Self::default() };
        for StepResult { step, outcome, .. } in steps {
            match outcome {
                Outcome::Removed => {
                    totals.removed += 1;
                    totals.size_removed_bytes = totals.size_removed_bytes.saturating_add(step.size_bytes());
                }
                Outcome::AlreadyGone => totals.already_gone += 1,
                Outcome::NoLongerAllowed(_) => totals.no_longer_allowed += 1,
                Outcome::NotNeeded(_) => totals.not_needed += 1,
                Outcome::NotAttempted(_) => totals.not_attempted += 1,
                Outcome::StillListed | Outcome::Failed(_) => totals.failed += 1,
            }
        }
        totals
    }
}

fn runtime(snapshot: &Snapshot) -> String {
    let node = &snapshot.node;
    if snapshot.has_runtime() { format!("{} {}", node.runtime_name, node.runtime_version) } else { String::new() }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What a filesystem gained, when the same one was measured by statvfs both times.
fn freed(before: &[Filesystem], after: &[Filesystem], name: &str) -> Option<i64> {
    let before = before.iter().find(|filesystem| filesystem.name == name)?;
    let same = |after: &&Filesystem| after.name == name && after.mountpoint == before.mountpoint;
    let after = after.iter().find(same)?;
    i64::try_from(after.available_bytes?).ok()?.checked_sub(i64::try_from(before.available_bytes?).ok()?)
}

#[cfg(test)]
mod tests;
