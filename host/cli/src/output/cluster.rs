//! NodeCleanups of a cluster and reports of its nodes, as they are shown.

use anyhow::Context as _;
use holystone_core::cluster::{Engine, NodeState, NodeWord, fold};
use holystone_core::manifest::status::{LastRun, NodeCleanupStatus};
use holystone_core::manifest::{Mode, RolloutEngine};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A NodeCleanup as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    pub(crate) paused: bool,
    pub(crate) engine: &'static str,
    pub(crate) status: NodeCleanupStatus,
}

impl Shown {
    /// Reads an object that the API server has checked; what is missing has its default.
    pub(crate) fn of(object: &Value) -> anyhow::Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let name = text(&object["metadata"]["name"]).unwrap_or_default();
        let status = match &object["status"] {
            Value::Null => NodeCleanupStatus::default(),
            status => serde_json::from_value(status.clone())
                .with_context(|| format!("the status of NodeCleanup {name} is not of this version of Holystone"))?,
        };
        let spec = &object["spec"];
        let schedule = text(&spec["schedule"]);
        let rollout: RolloutEngine = serde_json::from_value(spec["rollout"]["engine"].clone()).unwrap_or_default();
        Ok(Self {
            namespace: text(&object["metadata"]["namespace"]).unwrap_or_default(),
            name,
            mode: serde_json::from_value(spec["mode"].clone()).unwrap_or_default(),
            paused: spec["paused"] == true,
            engine: Engine::by(rollout, schedule.is_some()).kind(),
            schedule,
            status,
        })
    }
}

/// The report of one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeReport {
    pub(crate) node: String,
    /// `Succeeded`, `Failed`, `Active`, `Waiting` for its time or for its pod to start, or `NoReport`.
    pub(crate) result: &'static str,
    #[serde(flatten)]
    pub(crate) sums: NodeSums,
    /// Sentences, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<String>,
}

/// The sums of one node, which are those of a run that took place there alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeSums {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) planned: Option<u64>,
    pub(crate) removed: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) size_removed_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filesystem_freed_bytes: Option<i64>,
}

impl NodeReport {
    /// Sums up what is known of one node.
    pub(crate) fn of(state: &NodeState) -> Self {
        let LastRun { nodes, planned, removed, refused, failed, size_removed_bytes, filesystem_freed_bytes, .. } =
            fold(1, [state], Timestamp::now()).run;
        let result = match &state.word {
            NodeWord::Ended(_) if nodes.failed > 0 => "Failed",
            NodeWord::Ended(_) => "Succeeded",
            NodeWord::Active => "Active",
            NodeWord::Idle | NodeWord::Waiting(_) => "Waiting",
            NodeWord::Silent(_) => "NoReport",
        };
        Self {
            node: state.node.clone(),
            result,
            sums: NodeSums { planned, removed, refused, failed, size_removed_bytes, filesystem_freed_bytes },
            errors: state.errors().into_iter().map(str::to_owned).collect(),
        }
    }
}
