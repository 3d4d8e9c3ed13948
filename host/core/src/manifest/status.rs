//! The status of a NodeCleanup, which the operator writes on a cluster. Doc comments become the CRD's.

use std::sync::LazyLock;

use jiff::Timestamp;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The observed state of a NodeCleanup. Its size is bounded, however many nodes there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCleanupStatus {
    /// Generation of the spec that this status refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Operator that manages the NodeCleanup, by the namespace and name of its Lease. Another operator that also
    /// watches the namespace leaves the NodeCleanup alone until that Lease is no longer renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Conditions. `Ready`: the cluster does what the spec says. `Scheduled`: there is a next run. `PluginsResolved`:
    /// the plugins of the last run could be loaded, and were the same on all nodes.
    pub conditions: Vec<Condition>,
    /// Time at which the next run is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub next_schedule_time: Option<Timestamp>,
    /// Last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// BroadcastJobs of earlier runs that have not ended, the latest first, at most 20. Their ends are reported as
    /// events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub active_runs: Vec<String>,
    /// Plugins of the last run, as the nodes loaded them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<ResolvedPlugin>,
    /// BroadcastJob that was started last for a NodeCleanup without a schedule. It is not started again as long as the
    /// spec asks for the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once: Option<String>,
    /// Generation of the spec that the run in `once` is known to belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub once_generation: Option<i64>,
    /// Last value of the annotation `holystone.dev/run-now` that was acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_now: Option<String>,
}

/// A condition, in the usual form of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of the condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Reason for the status, in one word.
    pub reason: String,
    /// Message for people.
    pub message: String,
    /// Time of the last change of the status.
    #[schemars(schema_with = "date_time")]
    pub last_transition_time: Timestamp,
    /// Generation of the spec that the condition refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// A run on the nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastRun {
    /// BroadcastJob or DaemonSet of the run.
    pub name: String,
    /// Phase of the run: `Complete` if every node succeeded, `Failed` if not, and `Running` before the end. `Paused`
    /// when no further node is started, as `spec.paused` or `failurePolicy` asks. `Waiting` when the daemons of a
    /// DaemonSet wait for the time of their first run.
    #[serde(deserialize_with = "phase")]
    pub phase: RunPhase,
    /// Start time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub started_at: Option<Timestamp>,
    /// End time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub finished_at: Option<Timestamp>,
    /// Numbers of nodes.
    pub nodes: Nodes,
    /// Images, log files and log directories that a dry run would remove or truncate; absent if nodes were to remove
    /// them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<u64>,
    /// Total size of what a dry run would remove, as runtimes and files report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_planned_bytes: Option<u64>,
    /// Repositories with most of what a dry run would remove, the largest first, by the ten largest of each node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub planned_repositories: Vec<RepositorySum>,
    /// Images, log files and log directories removed or truncated.
    pub removed: u64,
    /// Wishes refused by the guard rails or by a later check.
    pub refused: u64,
    /// Refusals of the guard rails by their codes, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<RefusalCount>,
    /// Removals that failed or were no longer tried.
    pub failed: u64,
    /// Total size of what was removed, as runtimes and files report it: not the space that the filesystems gained.
    pub size_removed_bytes: u64,
    /// Space that filesystems gained, measured before and after on each node; nodes that cannot measure it are left
    /// out. Writes by other programs are included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem_freed_bytes: Option<i64>,
    /// Errors that occurred on the most nodes, with the names of some of these nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<RunError>,
}

/// The phase of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunPhase {
    /// The run has not ended.
    #[default]
    Running,
    /// The run is paused: no further node is started.
    Paused,
    /// Daemons wait for the time of their first run.
    Waiting,
    /// The run has ended, and every node succeeded.
    Complete,
    /// The run has ended, and some nodes did not succeed.
    Failed,
}

impl RunPhase {
    /// Returns the word for the phase in the status.
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

/// The numbers of nodes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Nodes {
    /// Succeeded and desired nodes, for people: `4998/5000`.
    pub summary: String,
    /// Nodes that the run is for.
    pub desired: u32,
    /// Nodes on which the run is active or has yet to start.
    pub active: u32,
    /// Nodes whose pod has not started, does not stay up, or is not created; `errors` has the reasons. They are
    /// included in `active`, or in `skipped` if the pod is a daemon.
    #[serde(skip_serializing_if = "is_zero")]
    pub waiting: u32,
    /// Nodes on which the run took place and nothing failed.
    pub succeeded: u32,
    /// Nodes on which something failed, or on which the run did not take place.
    pub failed: u32,
    /// Nodes that succeeded and have no report left: the BroadcastJob counts them as done. The totals do not include
    /// what was removed there.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreported: u32,
    /// Nodes without a result: the pod was rejected, killed or lost, or the daemon does not answer.
    pub skipped: u32,
}

/// A repository with images that a dry run would remove, summed over all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RepositorySum {
    /// Name of the repository.
    pub name: String,
    /// Number of images, each counted on every node that has it.
    pub count: u64,
    /// Sum of their sizes, as runtimes report them.
    pub size_bytes: u64,
}

/// The number of wishes that the guard rails refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RefusalCount {
    /// Code of the reason, as in reports.
    pub code: String,
    /// Number of refusals, summed over all nodes.
    pub count: u64,
}

/// An error on one or more nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunError {
    /// Message.
    pub message: String,
    /// Number of nodes with this error.
    pub count: u32,
    /// First of these nodes by name.
    pub nodes: Vec<String>,
}

/// A plugin, as the nodes loaded it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResolvedPlugin {
    /// Name of the plugin in the spec.
    pub name: String,
    /// Digest of the plugin's bytes; if nodes have different digests, the one that most nodes have. Absent if no node
    /// could load the plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Returns the schema of the status.
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

/// Parses a phase. A phase of a later version is read as `Failed`, which is an end: an unreadable status would start
/// runs again.
fn phase<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RunPhase, D::Error> {
    let word = String::deserialize(deserializer)?;
    let read: Result<RunPhase, serde::de::value::Error> = RunPhase::deserialize(word.into_deserializer());
    Ok(read.unwrap_or(RunPhase::Failed))
}
