//! What the operator says of a NodeCleanup on a cluster. Doc comments become the CRD's.

use std::sync::LazyLock;

use jiff::Timestamp;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// What has come of a NodeCleanup. Of bounded size, however many nodes there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCleanupStatus {
    /// The generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The operator that looks after it, by the namespace and name of its Lease. Another one that watches the namespace as
    /// well leaves it alone until that Lease is no longer renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// `Ready`: the cluster does what the spec says. `Scheduled`: a next run is to come. `PluginsResolved`: the plugins
    /// of the last run could be loaded, and were the same on all nodes.
    pub conditions: Vec<Condition>,
    /// When the next run is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub next_schedule_time: Option<Timestamp>,
    /// The last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// The BroadcastJobs of earlier runs that have not ended, the latest first, at most 20. Their ends are events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub active_runs: Vec<String>,
    /// The plugins of the last run, as the nodes loaded them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<ResolvedPlugin>,
    /// The BroadcastJob that was started last for a NodeCleanup without a schedule. It is not started again as long as the
    /// spec asks for the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once: Option<String>,
    /// The generation of the spec that `once` is known to be the run of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once_generation: Option<i64>,
    /// The value of the annotation `holystone.dev/run-now` that was acted on last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_now: Option<String>,
}

/// How one thing stands, in the form that Kubernetes uses everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word on why.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// Since when the status is what it is.
    #[schemars(schema_with = "date_time")]
    pub last_transition_time: Timestamp,
    /// The generation of the spec that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// A run on the nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastRun {
    /// The BroadcastJob, or the DaemonSet.
    pub name: String,
    /// Whether it is over, and whether every node was done. `Paused` when no further node is started, as `spec.paused` or
    /// `failurePolicy` asks. `Waiting` when daemons of a DaemonSet wait for the time of their first run.
    #[serde(deserialize_with = "phase")]
    pub phase: RunPhase,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub started_at: Option<Timestamp>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub finished_at: Option<Timestamp>,
    /// The nodes, counted.
    pub nodes: Nodes,
    /// Images, log files and log directories that a dry run would remove or truncate; absent when nodes were to remove
    /// them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
    /// Sizes of what a dry run would remove, as runtimes and files say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_planned_bytes: Option<u64>,
    /// The repositories of most of what a dry run would remove, the largest first, by the ten largest of each node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub planned_repositories: Vec<RepositorySum>,
    /// Images, log files and log directories removed or truncated.
    pub removed: u64,
    /// Wishes that the guard rails refused, or a later look.
    pub refused: u64,
    /// The refusals of the guard rails by their codes, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<RefusalCount>,
    /// Removals that failed or were not tried any more.
    pub failed: u64,
    /// Sizes of what was removed, as runtimes and files say: not what the filesystems gained.
    pub size_removed_bytes: u64,
    /// What filesystems gained, measured before and after on each node; nodes that cannot measure it are left out. Other
    /// writers count into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem_freed_bytes: Option<i64>,
    /// What went wrong on most nodes, with the names of some of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<NodeError>,
}

/// The phase of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunPhase {
    /// The run has not ended.
    #[default]
    Running,
    /// No further node is started.
    Paused,
    /// Daemons wait for the time of their first run.
    Waiting,
    /// The run is over, and every node was done.
    Complete,
    /// The run is over, and some node was not done.
    Failed,
}

impl RunPhase {
    /// The word, as it is in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::Waiting => "Waiting",
            Self::Complete => "Complete",
            Self::Failed => "Failed",
        }
    }
}

/// The nodes of a run, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Nodes {
    /// Done and desired, for people: `4998/5000`.
    pub summary: String,
    /// Nodes that the run is for.
    pub desired: u32,
    /// Nodes on which it goes on or has yet to begin.
    pub active: u32,
    /// Nodes whose pod has not started, does not stay started, or is not made; `errors` says why. They are among those that
    /// are active, or skipped where the pod is a daemon.
    #[serde(skip_serializing_if = "is_zero")]
    pub waiting: u32,
    /// Nodes on which it took place and nothing failed.
    pub succeeded: u32,
    /// Nodes on which something failed, or on which it did not take place.
    pub failed: u32,
    /// Nodes that succeeded and of which no report is left: the BroadcastJob counts them as done. What was
    /// removed there is not in the sums.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreported: u32,
    /// Nodes that did not say what came of it: whose pod was rejected, killed or lost, or whose daemon does not answer.
    pub skipped: u32,
}

/// A repository with images that a dry run would remove, on all nodes together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RepositorySum {
    /// Its name.
    pub name: String,
    /// Number of images, each counted on every node that has it.
    pub count: u64,
    /// Sum of their sizes, as runtimes count them.
    pub size_bytes: u64,
}

/// The number of wishes that the guard rails refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RefusalCount {
    /// The code of the reason, as reports have it.
    pub code: String,
    /// Number of refusals, on all nodes together.
    pub count: u64,
}

/// Something that went wrong on one or more nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeError {
    /// A sentence.
    pub message: String,
    /// On how many nodes.
    pub count: u32,
    /// The first of them by name.
    pub nodes: Vec<String>,
}

/// A plugin, as the nodes loaded it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResolvedPlugin {
    /// Its name in the spec.
    pub name: String,
    /// The digest of its bytes; of several, the one that most nodes have. Absent when no node could load it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The schema of the status.
pub(super) fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<NodeCleanupStatus>().to_value();
        super::schema::without_null(&mut schema);
        schema
    });
    &SCHEMA
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// Reads a phase. One of a later version counts as an end: an unreadable status would start runs again.
fn phase<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RunPhase, D::Error> {
    let word = String::deserialize(deserializer)?;
    Ok(RunPhase::deserialize(word.into_deserializer()).unwrap_or_else(|_: serde::de::value::Error| RunPhase::Failed))
}
