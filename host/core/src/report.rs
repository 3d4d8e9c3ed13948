//! Plans and reports: the output of `holystone plan` and `holystone run`.

mod outcome;
mod part;
mod plan;
mod termination_message;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::document::DocumentKind;
use crate::guard::images::{ImageObjection, Images};
use crate::guard::logs::Logs;
use crate::guard::{Kind, Refusal, Step};
use crate::manifest::ApiVersion;
use crate::matches::PatternMatch;
use crate::snapshot::Filesystem;

pub use outcome::{EndReason, Ending, Outcome, Remark, StepResult, Swept};
pub use part::{PlanPart, PlanTotals, ReportPart, Totals};
pub use plan::{PlanReport, PluginFailure, PluginRun};
pub use termination_message::{Brief, BriefError, BriefPlugin, MAX_BRIEF, Planned, PlannedRepository};

/// An earlier run that was interrupted after it began to remove: killed, or the machine went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupted {
    /// The time of its snapshot.
    pub started_at: Timestamp,
    /// Number of images in its plan.
    pub planned: usize,
    /// Number of these images that are gone.
    pub gone: usize,
    /// Number of these images that are still listed.
    pub left: usize,
    /// Number of log files and directories that it planned to remove or truncate; the next plan shows which are left.
    #[serde(skip_serializing_if = "is_zero")]
    pub logs: usize,
}

/// A report of a sweep: the output of `holystone run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of the format.
    pub api_version: ApiVersion,
    /// The kind of this document.
    pub kind: DocumentKind,
    /// Namespace and name of the NodeCleanup; absent when there is no manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_cleanup: Option<String>,
    /// Name of the node.
    pub node: String,
    /// The runtime's name and version; empty if no runtime was asked.
    pub runtime: String,
    /// The time of the snapshot.
    pub taken_at: Timestamp,
    /// The end of the sweep.
    pub finished_at: Timestamp,
    /// The plugins, in the order in which they ran.
    pub plugins: Vec<PluginRun>,
    /// The outcomes of the plan for images.
    pub images: ReportPart<Images>,
    /// The outcomes of the plan for log roots, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<ReportPart<Logs>>,
    /// The names of the log roots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_roots: Vec<String>,
    /// The number of images that each pattern that protects or unprotects matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<PatternMatch>,
    /// The reason why the run ended before its plan did, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// The previous run, if it was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<Interrupted>,
    /// Other notes, in sentences, for example about a lost state.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
    /// Filesystems at the time of the snapshot.
    pub filesystems_before: Vec<Filesystem>,
    /// Filesystems after the last removal; empty if they could not be measured.
    pub filesystems_after: Vec<Filesystem>,
    /// The gain of each filesystem, in bytes, by its name: see [`Totals::filesystem_freed_bytes`].
    pub filesystem_freed_bytes: BTreeMap<String, i64>,
    /// The duration of each part of the run, in milliseconds.
    pub milliseconds: BTreeMap<&'static str, Milliseconds>,
}

/// A duration, serialized in milliseconds with three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Milliseconds(pub std::time::Duration);

impl Serialize for Milliseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.0.as_secs_f64() * 1e6).round() / 1e3)
    }
}

impl Report {
    /// Builds the report of a sweep.
    pub fn new(
        planned: PlanReport,
        (images, logs): (Swept<Images>, Swept<Logs>),
        finished_at: Timestamp,
        filesystems_after: Vec<Filesystem>,
        milliseconds: BTreeMap<&'static str, Milliseconds>,
    ) -> Self {
        let ending = images.ending.clone().or_else(|| logs.ending.clone());
        let mut images = ReportPart::new(planned.images, images);
        let mut logs = planned.logs.map(|part| ReportPart::new(part, logs));
        let (before, after) = (&planned.filesystems, &filesystems_after);
        images.totals.filesystem_freed_bytes = freed_of::<Images>(before, after);
        if let Some(logs) = &mut logs {
            logs.totals.filesystem_freed_bytes = freed_of::<Logs>(before, after);
        }
        let freed = before.iter().filter_map(|before| Some((before.name.clone(), freed(before, after)?)));
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: DocumentKind::Report,
            node_cleanup: planned.node_cleanup,
            node: planned.node,
            runtime: planned.runtime,
            taken_at: planned.taken_at,
            finished_at,
            plugins: planned.plugins,
            images,
            logs,
            log_roots: planned.log_roots,
            matches: planned.matches,
            ending,
            interrupted: None,
            notices: planned.notices,
            filesystem_freed_bytes: freed.collect(),
            filesystems_before: planned.filesystems,
            filesystems_after,
            milliseconds,
        }
    }

    /// Returns whether the report is about images at all: a runtime was asked, or a wish was refused.
    pub fn has_image_part(&self) -> bool {
        !self.runtime.is_empty() || self.images.totals.refused > 0
    }

    /// Returns the totals of each kind.
    pub fn totals(&self) -> impl Iterator<Item = &Totals> {
        std::iter::once(&self.images.totals).chain(self.logs.iter().map(|logs| &logs.totals))
    }

    /// Returns the codes of all refusals.
    pub fn refusal_codes(&self) -> impl Iterator<Item = &'static str> {
        let logs = self.logs.iter().flat_map(|logs| &logs.refusals).map(|refused| refused.refusal.code());
        self.images.refusals.iter().map(|refused| refused.refusal.code()).chain(logs)
    }

    /// Returns the steps whose image the runtime reported as removed but still listed, and the time of that inspection.
    pub fn kept(&self) -> impl Iterator<Item = (&Step<Images>, Timestamp)> {
        self.images.steps.iter().filter_map(|result| match result.outcome {
            Outcome::NoLongerAllowed(Refusal::Own(ImageObjection::KeptByRuntime { since })) => {
                Some((&result.step, since))
            }
            _ => None,
        })
    }

    /// Returns whether the runtime removed some names of an image, not all, and then refused the image's removal.
    pub fn shows_untagging(&self) -> bool {
        self.images.steps.iter().any(|result| {
            let lost = result.remark.lost_names.len();
            let says_in_use = matches!(
                result.outcome,
                Outcome::NoLongerAllowed(Refusal::Own(ImageObjection::RuntimeSaysInUse { .. }))
            );
            says_in_use && lost > 0 && lost < result.step.references().len()
        })
    }

    /// Returns the steps whose log file or directory is gone, removed by this run or by another process.
    pub fn gone_logs(&self) -> impl Iterator<Item = &Step<Logs>> {
        self.logs.iter().flat_map(ReportPart::gone)
    }

    /// Returns whether a step failed or was not attempted, or a plugin failed.
    pub fn has_failures(&self) -> bool {
        self.totals().any(Totals::has_failures) || self.plugins.iter().any(|plugin| plugin.failure.is_some())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Returns the gain of a filesystem in bytes, if the same one was measured by statvfs before and after.
fn freed(before: &Filesystem, after: &[Filesystem]) -> Option<i64> {
    let same = |after: &&Filesystem| after.name == before.name && after.mountpoint == before.mountpoint;
    let after = after.iter().find(same)?;
    i64::try_from(after.available_bytes?).ok()?.checked_sub(i64::try_from(before.available_bytes?).ok()?)
}

/// Returns the gain of the filesystems of one kind, in bytes. Several names of one filesystem count once; if an
/// identity is unknown, filesystems with the same gain count as one.
fn freed_of<K: Kind>(before: &[Filesystem], after: &[Filesystem]) -> Option<i64> {
    let mut counted: Vec<(&Filesystem, i64)> = Vec::new();
    for filesystem in before.iter().filter(|filesystem| K::is_on(&filesystem.name)) {
        let Some(gain) = freed(filesystem, after) else { continue };
        let is_same = |(other, its): &(&Filesystem, i64)| {
            let is_unknown = other.identity.is_empty() || filesystem.identity.is_empty();
            other.is_same(filesystem) || is_unknown && *its == gain
        };
        if !counted.iter().any(is_same) {
            counted.push((filesystem, gain));
        }
    }
    counted.iter().map(|(_, gain)| *gain).reduce(i64::saturating_add)
}

#[cfg(test)]
mod tests;
