//! The part of a manifest about the pods on the nodes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::value::{Bytes, Cpu};

/// Additions to the pods on the nodes: a part of Kubernetes' pod template, within what the operator
/// allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodTemplate {
    /// Labels of the pods. Those that Holystone or OpenKruise sets cannot be given.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "propertyNames" = { "format": "label-key" },
        "additionalProperties" = { "type": "string", "format": "label-value" },
        "maxProperties" = 32,
    ))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods: only those that the operator allows (`--allow-pod-annotations`), because other programs on
    /// the cluster may act on them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "propertyNames" = { "format": "label-key" },
        "additionalProperties" = { "type": "string", "maxLength": 4096 },
        "maxProperties" = 32,
    ))]
    pub annotations: BTreeMap<String, String>,
    /// Secrets to pull the image of the pods with, in the namespace of the NodeCleanup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<PullSecret>,
    /// The service account of the pods, if the operator allows it (`--allow-service-accounts`): OpenShift grants rights on
    /// nodes by it. The pods get no token of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "object-name"))]
    pub service_account_name: Option<String>,
    /// Share the process ids of the node, if the operator allows it (`--allow-host-pid`). With log roots the pods then get
    /// the capability `SYS_PTRACE` as well, and see which log files are in use.
    #[serde(rename = "hostPID", skip_serializing_if = "std::ops::Not::not")]
    pub host_pid: bool,
    /// The SELinux context of the pods, if the operator allows the type (`--allow-selinux-types`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub se_linux_options: Option<SeLinuxOptions>,
    /// Requests and limits of the pods. By default they request 10m of CPU and 64Mi of memory, and may
    /// take as much memory as the limits of the plugins add up to.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Which nodes the pods run on, besides `nodeSelector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
}

impl PodTemplate {
    /// Returns whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A secret to pull images with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PullSecret {
    /// The name of the Secret.
    #[schemars(extend("format" = "object-name"))]
    pub name: String,
}

/// The SELinux context of pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeLinuxOptions {
    /// The type, for example `spc_t` on RHEL and OpenShift, or `control_t` on Bottlerocket.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "selinux-word"))]
    pub kind: String,
    /// The level, for example `s0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "selinux-level"))]
    pub level: Option<String>,
    /// The role, for example `system_r`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "selinux-word"))]
    pub role: Option<String>,
    /// The user, for example `system_u`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "selinux-word"))]
    pub user: Option<String>,
}

/// Requests and limits of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// Amounts that are kept free for a pod: at most one CPU and 1Gi of memory, because pods of this priority evict
    /// others.
    #[serde(skip_serializing_if = "Amounts::is_empty")]
    pub requests: Amounts,
    /// The most that a pod may take. With too little memory a run is killed.
    #[serde(skip_serializing_if = "Amounts::is_empty")]
    pub limits: Amounts,
}

impl Resources {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Amounts of what a node has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Amounts {
    /// CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
}

impl Amounts {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which nodes pods run on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Affinity {
    /// By their labels.
    pub node_affinity: NodeAffinity,
}

/// Which nodes pods run on, by their labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeAffinity {
    /// Terms of which a node must meet one. Preferences mean nothing to a run on every node.
    pub required_during_scheduling_ignored_during_execution: NodeSelector,
}

/// Terms, one of which is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSelector {
    /// The terms.
    #[schemars(length(min = 1, max = 16))]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// Expressions, all of which have to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSelectorTerm {
    /// The expressions.
    #[schemars(length(min = 1, max = 16))]
    pub match_expressions: Vec<NodeExpression>,
}

/// Something about a label of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeExpression {
    /// The label.
    #[schemars(extend("format" = "label-key"))]
    pub key: String,
    /// The comparison.
    pub operator: NodeOperator,
    /// The values that the label is compared with: at least one value with `In` and `NotIn`, and none otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("items" = { "type": "string", "format": "label-value" }))]
    pub values: Vec<String>,
}

/// A comparison of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeOperator {
    /// The label has one of the values.
    In,
    /// The label has none of the values, or is absent.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is absent.
    DoesNotExist,
}
