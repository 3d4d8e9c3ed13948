//! The part of a manifest about the pods on the nodes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::value::{Bytes, Cpu};

/// Additions to the pods on the nodes: a part of Kubernetes' pod template, within what the operator allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodTemplate {
    /// Labels of the pods. You cannot set the labels that Holystone or OpenKruise sets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "propertyNames" = { "format": "label-key" },
        "additionalProperties" = { "type": "string", "format": "label-value" },
        "maxProperties" = 32,
    ))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods: only those that the operator allows (`--allow-pod-annotations`), because other programs
    /// on the cluster may act on them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "propertyNames" = { "format": "label-key" },
        "additionalProperties" = { "type": "string", "maxLength": 4096 },
        "maxProperties" = 32,
    ))]
    pub annotations: BTreeMap<String, String>,
    /// Secrets for pulling the image of the pods, in the namespace of the NodeCleanup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<PullSecret>,
    /// Service account of the pods, if the operator allows it (`--allow-service-accounts`): OpenShift grants rights on
    /// nodes through it. The pods get no token for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "object-name"))]
    pub service_account_name: Option<String>,
    /// Share the process ID namespace of the node, if the operator allows it (`--allow-host-pid`). With log roots, the
    /// pods then also get the capability `SYS_PTRACE` and see which log files are in use.
    #[serde(rename = "hostPID", skip_serializing_if = "std::ops::Not::not")]
    pub host_pid: bool,
    /// SELinux context of the pods, if the operator allows the type (`--allow-selinux-types`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub se_linux_options: Option<SeLinuxOptions>,
    /// Resource requests and limits of the pods. By default, the pods request 10m of CPU and 64Mi of memory. Their
    /// memory limit covers Holystone itself, the compilation of plugins and the largest memory limit among the plugins.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Affinity of the pods to nodes, in addition to `nodeSelector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
}

impl PodTemplate {
    /// Returns whether no field is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A secret for pulling images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PullSecret {
    /// Name of the Secret.
    #[schemars(extend("format" = "object-name"))]
    pub name: String,
}

/// The SELinux context of pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeLinuxOptions {
    /// SELinux type, for example `spc_t` on RHEL and OpenShift, or `control_t` on Bottlerocket.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "selinux-word"))]
    pub kind: String,
    /// SELinux level, for example `s0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "selinux-level"))]
    pub level: Option<String>,
    /// SELinux role, for example `system_r`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "selinux-word"))]
    pub role: Option<String>,
    /// SELinux user, for example `system_u`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "selinux-word"))]
    pub user: Option<String>,
}

/// Resource requests and limits of pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// Amounts reserved for a pod: at most one CPU and 1Gi of memory, because pods of this priority evict others.
    #[serde(skip_serializing_if = "Amounts::is_empty")]
    pub requests: Amounts,
    /// Maximum amounts that a pod may use. With too little memory, a run is killed.
    #[serde(skip_serializing_if = "Amounts::is_empty")]
    pub limits: Amounts,
}

impl Resources {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Amounts of CPU and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Amounts {
    /// Number of CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Amount of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
}

impl Amounts {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The affinity of pods to nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Affinity {
    /// Affinity by the labels of nodes.
    pub node_affinity: NodeAffinity,
}

/// The affinity of pods to nodes, by their labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeAffinity {
    /// Terms of which a node must match at least one. Preferences are not supported, because they have no meaning for a
    /// run on every matching node.
    pub required_during_scheduling_ignored_during_execution: NodeSelector,
}

/// A list of terms, of which one match is enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSelector {
    /// List of terms.
    #[schemars(length(min = 1, max = 16))]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// A list of expressions that must all match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSelectorTerm {
    /// List of expressions.
    #[schemars(length(min = 1, max = 16))]
    pub match_expressions: Vec<NodeExpression>,
}

/// A requirement for a label of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeExpression {
    /// Key of the label.
    #[schemars(extend("format" = "label-key"))]
    pub key: String,
    /// Comparison of the label with the values.
    pub operator: NodeOperator,
    /// Values that the label is compared with: at least one value with `In` and `NotIn`, and none otherwise.
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
