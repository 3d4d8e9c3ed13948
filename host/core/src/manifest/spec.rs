//! The format itself. Its doc comments are the reference that users read: `holystone explain`, the page `MANIFEST.md`
//! and the CRD are made from them.

mod pod_template;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::capability::Capability;
use super::value::{Bytes, Duration, Parallelism, Percent};
pub use pod_template::{
    Affinity, Amounts, NodeAffinity, NodeExpression, NodeOperator, NodeSelector, NodeSelectorTerm, PodTemplate,
    PullSecret, Resources, SeLinuxOptions,
};

use crate::pattern::Pattern;
use crate::pressure::Disk;
use crate::schedule::ConcurrencyPolicy;
use crate::sweep::{IN_FLIGHT, MAX_FAILURES};

/// A declaration of what to clean from nodes, when, and within what limits.
///
/// The same manifest works with `holystone plan` and `run`, with `holystone daemon` and on a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeCleanup {
    /// Version of this format.
    pub api_version: ApiVersion,
    /// Kind of this object.
    pub kind: Kind,
    /// Standard object metadata.
    pub metadata: Metadata,
    /// Specification of the cleanup.
    pub spec: NodeCleanupSpec,
    /// Observed state. Written by the operator on a cluster, and ignored when read from a file.
    #[serde(default, skip_serializing)]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub status: Option<Value>,
}

/// Version of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only version so far.
    #[serde(rename = "holystone.dev/v1alpha1")]
    V1Alpha1,
}

/// Kind of this object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// The only kind.
    NodeCleanup,
}

/// The metadata of a NodeCleanup. Other metadata of Kubernetes is accepted and ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name, unique in the namespace. At most 52 characters, because OpenKruise names each run after it and adds
    /// eleven.
    #[schemars(extend("format" = "name", "maxLength" = 52))]
    pub name: String,
    /// Kubernetes namespace of the NodeCleanup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "name", "maxLength" = 63))]
    pub namespace: Option<String>,
    /// Labels for finding it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations for people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Other metadata that Kubernetes stores with it.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Specification of the cleanup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeCleanupSpec {
    /// Schedule of the runs; without a schedule, there is one run. Five cron fields (minute, hour, day of month, month,
    /// day of week with Sunday as 0), one of `@yearly`, `@monthly`, `@weekly`, `@daily` and `@hourly`, or `@every` and
    /// a duration such as `@every 90m`. The dialect is that of OpenKruise's AdvancedCronJob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "cron"))]
    pub schedule: Option<String>,
    /// Time zone of the schedule by its IANA name, such as `Europe/Berlin`; UTC by default. A time that clocks skip in
    /// spring has no run on that day; a time that they show twice in autumn has two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "time-zone"))]
    pub time_zone: Option<String>,
    /// Maximum delay of a run in seconds, for example after the machine was off; a run that would be later is skipped.
    /// Without a deadline, the latest missed run is made up for, however late. With `@every`, the deadline must not be
    /// shorter than the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub starting_deadline_seconds: Option<u32>,
    /// Policy for a run that is due while the one before is still active.
    #[serde(default = "defaults::concurrency_policy")]
    pub concurrency_policy: ConcurrencyPolicy,
    /// Suspend new runs. An active run is not stopped.
    #[serde(default)]
    pub paused: bool,
    /// Number of successful runs to keep on record.
    #[serde(default = "defaults::successful_history")]
    pub successful_jobs_history_limit: u32,
    /// Number of failed runs to keep on record.
    #[serde(default = "defaults::failed_history")]
    pub failed_jobs_history_limit: u32,
    /// Mode of a run: a dry run or real removals.
    #[serde(default)]
    pub mode: Mode,
    /// The container runtime.
    #[serde(default)]
    pub runtime: Runtime,
    /// Log directories of the node that plugins may inspect, and in which files may be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub log_roots: Vec<LogRoot>,
    /// Plugins that propose removals. All plugins see the node as it was before the run, and their wishes are reviewed
    /// in this order.
    #[schemars(length(min = 1, max = 64))]
    pub plugins: Vec<Plugin>,
    /// Guard rails: what is never removed, whatever plugins propose. Images that are in use, pinned, or of pod
    /// sandboxes are always kept.
    #[serde(default)]
    pub guard_rails: GuardRails,
    /// Limits on the speed of removals.
    #[serde(default)]
    pub pace: Pace,
    /// Bounds of disk usage for removing anything; without them, runs remove at any disk usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<Pressure>,
    /// Rollout of a run over the nodes of a cluster, in the terms of OpenKruise's BroadcastJob.
    #[serde(default)]
    pub rollout: Rollout,
}

/// Mode of a run: a dry run or real removals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Only report what would be removed.
    #[default]
    DryRun,
    /// Remove it.
    Enforce,
}

impl Mode {
    /// Returns the word for the mode in manifests and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DryRun => "DryRun",
            Self::Enforce => "Enforce",
        }
    }
}

/// The container runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Runtime {
    /// Socket of the runtime, for example `unix:///run/containerd/containerd.sock`; `auto` finds it, and `none` uses no
    /// runtime, for log roots alone. In a pod, `auto` is containerd's `/run/containerd/containerd.sock`; name any other
    /// socket, or set `mount` to `Run`, with which each pod finds the socket of its node.
    #[schemars(extend("format" = "endpoint"))]
    pub endpoint: String,
    /// Mount through which pods reach the socket: the socket itself, its directory, or all of `/run`. By default, pods
    /// that end get the socket, and pods of a DaemonSet the directory. No effect on a single machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<SocketMount>,
    /// Directory on the filesystem where the runtime keeps images, usually its root. Pods get an empty directory of
    /// their own in it, named `holystone`, to measure how full that filesystem is. No effect on a single machine.
    #[schemars(extend("format" = "host-path"))]
    pub image_root: String,
}

/// The mount through which pods reach the runtime's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SocketMount {
    /// The socket and nothing else. A runtime creates a new socket when it restarts, which a running pod does not see.
    Socket,
    /// The directory of the socket, with everything else in it. Pods survive restarts of the runtime.
    Directory,
    /// The whole of `/run`, where each pod finds the one runtime that answers: for fleets whose nodes have several
    /// runtimes.
    Run,
}

/// A log directory of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogRoot {
    /// Name by which plugins know the directory; they never see its path.
    #[schemars(extend("format" = "name", "maxLength" = 63))]
    pub name: String,
    /// Path on the node, for example `/var/log/app`.
    #[schemars(extend("format" = "host-path"))]
    pub host_path: String,
}

/// A plugin with its configuration, capabilities and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plugin {
    /// Name of the plugin in reports, unique in this manifest.
    #[schemars(extend("format" = "name", "maxLength" = 63))]
    pub name: String,
    /// Source of the plugin: exactly one of `builtin`, `file`, `configMap` and `imageVolume`.
    pub source: PluginSource,
    /// Required digest of the plugin's bytes, `sha256:` and 64 hexadecimal digits. With another digest, the plugin is
    /// not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "digest"))]
    pub digest: Option<String>,
    /// Parts of the node that the plugin may see. A plugin that requires more is not started.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Settings of the plugin; each plugin documents its own. They are checked before anything runs: by the plugin, and
    /// against its JSON Schema. Plugins that come with Holystone have a schema; that of `cleaner.wasm` is
    /// `cleaner.schema.json` beside it.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub config: Map<String, Value>,
    /// Limits on the time and the memory of the plugin.
    #[serde(default)]
    pub limits: PluginLimits,
    /// Policy for the run when the plugin fails.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// The source of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum PluginSource {
    /// Built-in plugin of Holystone, by its name, for example `unused-images`.
    Builtin(#[schemars(extend("format" = "filled"))] String),
    /// Component on this machine, by the path of its file. A relative path starts at the directory of the manifest. Not
    /// available on a cluster.
    File(#[schemars(extend("format" = "filled"))] String),
    /// Component in a ConfigMap. A user who may edit the ConfigMap could change it, so the plugin must have a `digest`:
    /// `sha256:` and the output of `sha256sum` for the file. Outside of a cluster, the component is the file `NAME/KEY`
    /// in the directory that `--config-map-dir` names.
    ConfigMap(ConfigMapKey),
    /// Component in a container image, which the kubelet mounts into the pods (Kubernetes 1.33 and containerd 2.1 or
    /// later). Outside of a cluster, the component is the file `PLUGIN/PATH` in the directory that `--image-volume-dir`
    /// names, where PLUGIN is the name of the plugin.
    ImageVolume(ImagePath),
}

/// A value in a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKey {
    /// Name of the ConfigMap, in the namespace of the NodeCleanup.
    #[schemars(extend("format" = "object-name"))]
    pub name: String,
    /// The key, for example `cleaner.wasm`.
    #[schemars(extend("format" = "config-map-key"))]
    pub key: String,
}

/// A file in a container image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImagePath {
    /// Image reference, for example `registry.example.com/cleaners@sha256:…`. A tag can be moved to another image, so
    /// without a digest here the plugin must have one in its field `digest`.
    #[schemars(extend("format" = "image-reference"))]
    pub reference: String,
    /// Path of the file in the image, for example `cleaner.wasm`.
    #[schemars(extend("format" = "relative-path"))]
    pub path: String,
}

/// The limits on the time and the memory of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PluginLimits {
    /// Maximum duration of one call.
    pub timeout: Duration,
    /// Maximum memory, from 1Mi to 4Gi. Plugins in JavaScript or Python need 256Mi or more.
    #[schemars(extend("minimum" = LEAST_MEMORY, "maximum" = MOST_MEMORY))]
    pub memory: Bytes,
}

/// The minimum memory limit of a plugin, in bytes.
pub(super) const LEAST_MEMORY: u64 = 1 << 20;
/// The maximum memory limit of a plugin, in bytes.
pub(super) const MOST_MEMORY: u64 = 4 << 30;

/// The policy for a run in which a plugin fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// The plugin proposes nothing; the other plugins continue.
    #[default]
    Skip,
    /// The run fails before anything is removed.
    FailRun,
}

/// The guard rails: what is never removed, whatever plugins propose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GuardRails {
    /// Images to keep, by pattern: `docker.io/minchou/base` matches every tag and digest of a repository, `*` stands
    /// for any characters and `?` for one; a digest or an image ID works too. One protected tag protects the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub protect_images: Vec<Pattern>,
    /// Built-in patterns that do not protect on this node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unprotect_images: Vec<BuiltIn>,
    /// Permission to remove images with several names from a runtime that removes the names one after the other. Docker
    /// (cri-dockerd) does so, and finds out only at the last name that the image is in use. Such images are therefore
    /// refused by default; with `true` they are removed, and names may be lost.
    pub allow_partial_untag: bool,
    /// Keep images that were first seen or last used less than this ago. If the age of an image is unknown, because the
    /// node has not been seen before, the image is kept while a pod younger than this may be starting, and with a
    /// schedule until the node has been known for this long. `0s` disables the check.
    pub min_age: Duration,
    /// Number of consecutive runs in which a plugin must propose the same removal before it is done, including the
    /// current run.
    #[schemars(range(min = 1))]
    pub confirmations: u32,
    /// Time for which a log file counts as in use after its last change, where Holystone cannot see which files are in
    /// use (for example, in a pod without `hostPID`). Such a file is neither removed nor truncated.
    pub unknown_open_age: Duration,
    /// Keep log files and directories until their content, place, name and attributes have not changed for this long: a
    /// file that was just unpacked, restored or moved here may have an old date. `0s` disables the check.
    pub settle_time: Duration,
    /// Limits of one run, over all plugins together; an absent limit does not apply. Images and log entries are counted
    /// separately: each may reach the limit.
    pub max_deletions: MaxDeletions,
}

/// A built-in pattern that `unprotectImages` may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BuiltIn {
    /// Images that exist on this node only.
    #[serde(rename = "localhost/*")]
    Localhost,
    /// Pause images under any name. Those that the runtime uses are kept in any case.
    #[serde(rename = "*pause*")]
    Pause,
}

/// The limits of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MaxDeletions {
    /// Maximum number of removals. Each wish beyond it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Maximum total size of the removals; for images, by the sizes that the runtime reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Bytes>,
    /// Maximum share of the node's images, or of the entries under its log roots, that may be proposed. If a plugin's
    /// proposal exceeds it, all of its wishes are refused: a policy that wants to remove nearly everything is a broken
    /// policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
}

/// Limits on the speed of removals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pace {
    /// Maximum number of image removals in flight. One at a time takes several times as long: runtimes clean up after
    /// each removal, and concurrent removals share that work.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: u16,
    /// Pause after the start of each removal; with a pause, removals start one at a time.
    pub pause: Duration,
    /// Number of consecutive failed removals after which the run stops.
    #[schemars(range(min = 1))]
    pub max_failures: u32,
}

/// The disk usage at which a run starts and stops removing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pressure {
    /// Filesystem to measure: `images`, the one that holds the runtime's images (of several, the fullest), or
    /// `logs:NAME`, the one that holds a log root.
    #[serde(default)]
    pub filesystem: Disk,
    /// Remove only if the filesystem is fuller than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Percent>,
    /// Stop as soon as the filesystem is no fuller than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Percent>,
}

/// The rollout of a run over the nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rollout {
    /// Number of nodes at a time: a number, or a share such as `10%`. All nodes by default. No effect on a single
    /// machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<Parallelism>,
    /// Conditions for the end of a run.
    pub completion_policy: CompletionPolicy,
    /// Policy for failures on a node.
    pub failure_policy: FailurePolicy,
    /// Run only on nodes with all of these labels. No effect on a single machine.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "propertyNames" = { "format": "label-key" },
        "additionalProperties" = { "type": "string", "format": "label-value" },
        "maxProperties" = 64,
    ))]
    pub node_selector: BTreeMap<String, String>,
    /// Run also on nodes with these taints. The taints that a DaemonSet's pods tolerate are always tolerated: nodes
    /// under disk, memory or PID pressure, and unschedulable nodes. No effect on a single machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tolerations: Vec<Toleration>,
    /// Priority class of the pods. A node under disk pressure admits only critical pods. No effect on a single machine.
    #[schemars(extend("format" = "object-name"))]
    pub priority_class_name: String,
    /// Engine that starts runs on the nodes of a cluster. No effect on a single machine.
    pub engine: RolloutEngine,
    /// Additions to the pods on the nodes. No effect on a single machine.
    #[serde(skip_serializing_if = "PodTemplate::is_empty")]
    pub pod_template: PodTemplate,
}

/// The engine that starts runs on the nodes of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutEngine {
    /// OpenKruise: an AdvancedCronJob starts a BroadcastJob at each time of the schedule, which runs a pod on each
    /// node. Without a schedule, one BroadcastJob.
    #[default]
    BroadcastJob,
    /// A DaemonSet, whose daemon on each node follows the schedule. Needs nothing but Kubernetes. `parallelism`,
    /// `completionPolicy.type`, `failurePolicy.type` and `Replace` then have no effect.
    DaemonSet,
}

/// Conditions for the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CompletionPolicy {
    /// End of a run: `Always` or `Never`. No effect on a single machine.
    #[serde(rename = "type")]
    pub kind: CompletionType,
    /// End a run after this many seconds: nothing more is removed, and the report lists what was removed. Without it, a
    /// run on one machine ends after 30 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<u32>,
    /// Delete the record of a run this many seconds after its end; without it, the history limits apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<u32>,
}

/// The end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CompletionType {
    /// The run ends when every node has had its turn.
    #[default]
    Always,
    /// The run never ends and includes every node that joins the cluster. Not allowed with a schedule, a deadline or a
    /// TTL.
    Never,
}

/// Policy for failures on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FailurePolicy {
    /// Effect on the other nodes. No effect on a single machine.
    #[serde(rename = "type")]
    pub kind: FailurePolicyType,
    /// Number of retries of a run that could not take place, for example because the runtime did not answer.
    pub restart_limit: u32,
}

/// The effect of a failure on one node on the other nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicyType {
    /// The other nodes continue.
    #[default]
    Continue,
    /// The run ends on all nodes.
    FailFast,
    /// The run pauses: it starts on no further node until an administrator intervenes.
    Pause,
}

/// A taint that is tolerated, as in a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Toleration {
    /// Key of the taint; without a key, the operator must be `Exists`, which then matches every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "taint-key"))]
    pub key: Option<String>,
    /// Comparison of key and value.
    #[serde(default)]
    pub operator: TolerationOperator,
    /// Value of the taint, with operator `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "label-value"))]
    pub value: Option<String>,
    /// Effect of the taint; without it, every effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Number of seconds for which a taint with effect `NoExecute` is tolerated; without it, forever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// The comparison of a toleration with a taint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// The keys and the values are equal.
    #[default]
    Equal,
    /// The keys are equal, whatever the value.
    Exists,
}

/// The effect of a taint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// Pods are not scheduled on the node.
    NoSchedule,
    /// Pods are scheduled elsewhere if possible.
    PreferNoSchedule,
    /// Running pods are evicted as well.
    NoExecute,
}

impl NodeCleanupSpec {
    /// Resets the settings that only concern when runs are started and how long they are kept: they do not affect what
    /// a run does on a node. The schedule stays, because ages of images are judged by whether another run follows.
    pub(crate) fn forget_starts(&mut self) {
        self.starting_deadline_seconds = None;
        self.concurrency_policy = defaults::concurrency_policy();
        self.paused = false;
        self.successful_jobs_history_limit = defaults::successful_history();
        self.failed_jobs_history_limit = defaults::failed_history();
        self.rollout.completion_policy.ttl_seconds_after_finished = None;
    }
}

impl PluginSource {
    /// Returns the name of the ConfigMap that holds the plugin, if there is one.
    pub fn config_map(&self) -> Option<&str> {
        match self {
            Self::ConfigMap(key) => Some(&key.name),
            _ => None,
        }
    }
}

impl BuiltIn {
    /// Returns the pattern.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Localhost => "localhost/*",
            Self::Pause => "*pause*",
        }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self { endpoint: "auto".to_owned(), mount: None, image_root: "/var/lib/containerd".to_owned() }
    }
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            parallelism: None,
            completion_policy: CompletionPolicy::default(),
            failure_policy: FailurePolicy::default(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            priority_class_name: "system-node-critical".to_owned(),
            engine: RolloutEngine::default(),
            pod_template: PodTemplate::default(),
        }
    }
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), memory: Bytes::new(64 << 20) }
    }
}

impl Default for GuardRails {
    fn default() -> Self {
        Self {
            protect_images: Vec::new(),
            unprotect_images: Vec::new(),
            allow_partial_untag: false,
            min_age: Duration::from_secs(600),
            confirmations: 1,
            unknown_open_age: Duration::from_secs(24 * 60 * 60),
            settle_time: Duration::from_secs(600),
            max_deletions: MaxDeletions::default(),
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { concurrency: IN_FLIGHT, pause: Duration::from_secs(0), max_failures: MAX_FAILURES }
    }
}

mod defaults {
    //! Defaults that differ from those of the type.

    use super::ConcurrencyPolicy;

    /// Returns `Forbid`, because two sweeps on one node only get in each other's way.
    pub(super) fn concurrency_policy() -> ConcurrencyPolicy {
        ConcurrencyPolicy::Forbid
    }

    pub(super) fn successful_history() -> u32 {
        3
    }

    pub(super) fn failed_history() -> u32 {
        1
    }
}
