//! The document that describes a plan.

use jiff::Timestamp;
use serde::Serialize;

use super::PlanPart;
use crate::document::DocumentKind;
use crate::guard::images::{ImageGuard, Images};
use crate::guard::logs::Logs;
use crate::guard::{Plan, Step};
use crate::manifest::ApiVersion;
use crate::matches::PatternMatch;
use crate::snapshot::{Filesystem, Snapshot};

/// The result of one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginRun {
    /// Name of the plugin.
    pub name: String,
    /// `sha256:` and the digest of its bytes; absent if the plugin could not be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The number of its wishes.
    pub wishes: usize,
    /// The number of entries that each pattern of its config matched, if the plugin reports them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<PatternMatch>,
    /// The failure, if the plugin failed and so contributed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<PluginFailure>,
}

/// The failure of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginFailure {
    /// A stable word, to count by, for example `Timeout`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// A plan and the facts that it is based on: the output of `holystone plan`. Reads no clock, so that the same snapshot,
/// plugins and configs give the same document, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
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
    /// The plugins, in the order in which they ran.
    pub plugins: Vec<PluginRun>,
    /// The plan for images.
    pub images: PlanPart<Images>,
    /// The plan for log roots; absent if there are no log roots and no wishes for log files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<PlanPart<Logs>>,
    /// The names of the log roots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_roots: Vec<String>,
    /// The number of images that each pattern that protects or unprotects matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<PatternMatch>,
    /// Filesystems at the time of the snapshot.
    pub filesystems: Vec<Filesystem>,
    /// Other notes, in sentences, for example about fields of the manifest that have no effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

impl PlanReport {
    /// Builds the document of a plan that was made from a snapshot.
    pub fn new(snapshot: &Snapshot, plugins: Vec<PluginRun>, plan: Plan<Images>) -> Self {
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: DocumentKind::Plan,
            node_cleanup: None,
            node: snapshot.node.name.clone(),
            runtime: runtime(snapshot),
            taken_at: snapshot.taken_at,
            plugins,
            images: PlanPart::new(plan, Some(snapshot.images.len() as u64)),
            logs: None,
            log_roots: Vec::new(),
            matches: Vec::new(),
            filesystems: snapshot.filesystems.clone(),
            notices: Vec::new(),
        }
    }

    /// Adds the plan for these log roots, with the number of their entries if they were counted.
    #[must_use]
    pub fn with_logs(mut self, roots: Vec<String>, plan: Plan<Logs>, entries: Option<u64>) -> Self {
        let is_empty = roots.is_empty() && plan.is_empty();
        self.logs = (!is_empty).then(|| PlanPart::new(plan, entries));
        self.log_roots = roots;
        self
    }

    /// Adds the matches of the guard rails' patterns, and notices about patterns without a match.
    #[must_use]
    pub fn with_matches(mut self, guard: &ImageGuard<'_>) -> Self {
        self.matches = guard.matches();
        self.notices.extend(guard.unmatched(&self.matches));
        self
    }

    /// Returns the steps about images.
    pub fn image_steps(&self) -> &[Step<Images>] {
        &self.images.plan.steps
    }

    /// Returns the steps under log roots.
    pub fn log_steps(&self) -> &[Step<Logs>] {
        self.logs.as_ref().map_or(&[], |logs| &logs.plan.steps)
    }

    /// Returns the codes of all refusals.
    pub fn refusal_codes(&self) -> impl Iterator<Item = &'static str> {
        let logs = self.logs.iter().flat_map(|logs| &logs.plan.refusals).map(|refused| refused.refusal.code());
        self.images.plan.refusals.iter().map(|refused| refused.refusal.code()).chain(logs)
    }

    /// Returns whether the first step under log roots comes from an earlier plugin than the first step about images.
    pub fn begins_with_logs(&self) -> bool {
        let place = |name: &str| self.plugins.iter().position(|plugin| plugin.name == name);
        let images = self.image_steps().first().map(|step| place(step.plugin()));
        let logs = self.log_steps().first().map(|step| place(step.plugin()));
        images.zip(logs).is_some_and(|(images, logs)| logs < images)
    }

    /// Returns whether the plan is about images at all: a runtime was asked, or a wish was refused.
    pub fn has_image_part(&self) -> bool {
        !self.runtime.is_empty() || self.images.totals.refused > 0
    }

    /// Returns whether the plan has no steps.
    pub fn is_empty(&self) -> bool {
        self.image_steps().is_empty() && self.log_steps().is_empty()
    }
}

fn runtime(snapshot: &Snapshot) -> String {
    let node = &snapshot.node;
    if snapshot.has_runtime() { format!("{} {}", node.runtime_name, node.runtime_version) } else { String::new() }
}
