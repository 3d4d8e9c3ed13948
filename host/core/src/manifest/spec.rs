//! The format itself. Doc comments are the reference that users read: `holystone explain`, the page in `docs/` and the
//! CRD are made from them.

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

/// Says what is to be cleaned from nodes, when, and within what limits.
///
/// The same manifest works with `holystone plan` and `run`, with `holystone daemon` and on a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeCleanup {
    /// The version of this format.
    pub api_version: ApiVersion,
    /// What this is.
    pub kind: Kind,
    /// How it is called.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: NodeCleanupSpec,
    /// What has come of it. Written by the operator on a cluster, and ignored when it is read from a file.
    #[serde(default, skip_serializing)]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub status: Option<Value>,
}

/// The version of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only one so far.
    #[serde(rename = "holystone.dev/v1alpha1")]
    V1Alpha1,
}

/// What this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// The only one.
    NodeCleanup,
}

/// How a NodeCleanup is called. Other metadata of Kubernetes is taken as well and means nothing here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Its name, unlike that of any other in the namespace. At most 52 characters, because OpenKruise names each run
    /// after it and adds eleven.
    #[schemars(extend("format" = "name", "maxLength" = 52))]
    pub name: String,
    /// The Kubernetes namespace that it lives in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "name", "maxLength" = 63))]
    pub namespace: Option<String>,
    /// Labels, to find it by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Notes for people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What else Kubernetes stores with it.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeCleanupSpec {
    /// When to run; without it, once. Five cron fields (minute, hour, day of month, month, day of week with Sunday as
    /// 0), one of `@yearly`, `@monthly`, `@weekly`, `@daily` and `@hourly`, or `@every` and a duration such as
    /// `@every 90m`. The dialect is that of OpenKruise's AdvancedCronJob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "cron"))]
    pub schedule: Option<String>,
    /// The time zone of the schedule by its IANA name, such as `Europe/Berlin`; UTC by default. A time that clocks skip
    /// in spring has no run on that day; a time that they show twice in autumn has two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "time-zone"))]
    pub time_zone: Option<String>,
    /// How many seconds late a run may start, for example after the machine was off; later than that it is left out.
    /// Without it the latest run that was missed is made up for, however late. With `@every` it must not be shorter
    /// than the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub starting_deadline_seconds: Option<u32>,
    /// What to do when a run is due and the one before is still going on.
    #[serde(default = "defaults::concurrency_policy")]
    pub concurrency_policy: ConcurrencyPolicy,
    /// Start nothing for now. A run that is going on is not stopped.
    #[serde(default)]
    pub paused: bool,
    /// How many runs that went well to keep on record.
    #[serde(default = "defaults::successful_history")]
    pub successful_jobs_history_limit: u32,
    /// How many runs that failed to keep on record.
    #[serde(default = "defaults::failed_history")]
    pub failed_jobs_history_limit: u32,
    /// Whether to remove anything.
    #[serde(default)]
    pub mode: Mode,
    /// The container runtime.
    #[serde(default)]
    pub runtime: Runtime,
    /// Log directories of the node that plugins may be shown, and that files may be removed from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub log_roots: Vec<LogRoot>,
    /// Who decides what is to go. All see the node as it was before the run, and their wishes are reviewed in this order.
    #[schemars(length(min = 1, max = 64))]
    pub plugins: Vec<Plugin>,
    /// What is not removed, whatever a plugin wishes. Images in use, pinned, or of pods' sandboxes stay in any case.
    #[serde(default)]
    pub guard_rails: GuardRails,
    /// How fast to remove.
    #[serde(default)]
    pub pace: Pace,
    /// How full the disk must be for anything to be removed; without it, however empty it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<Pressure>,
    /// How a run spreads over the nodes of a cluster, in the words of OpenKruise's BroadcastJob.
    #[serde(default)]
    pub rollout: Rollout,
}

/// Whether to remove anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Only report what would be removed.
    #[default]
    DryRun,
    /// Remove it.
    Enforce,
}

/// The container runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Runtime {
    /// Its socket, for example `unix:///run/containerd/containerd.sock`; `auto` finds it, `none` asks no runtime, for
    /// log roots alone. In a pod, `auto` is containerd's `/run/containerd/containerd.sock`; name any other, or let `mount`
    /// be `Run`, with which each pod finds that of its node.
    #[schemars(extend("format" = "endpoint"))]
    pub endpoint: String,
    /// What pods get of the node to reach the socket: the socket itself, the directory that it is in, or all of `/run`. By
    /// default the socket in pods that end, and the directory in those of a DaemonSet. Means nothing on one machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<SocketMount>,
    /// A directory on the filesystem that the runtime keeps images on, usually its root. Pods get an empty directory
    /// of their own beneath it, named `holystone`, to measure how full that filesystem is. Means nothing on one machine.
    #[schemars(extend("format" = "host-path"))]
    pub image_root: String,
}

/// What pods get of the node to reach the runtime's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SocketMount {
    /// The socket and nothing else. A runtime that is restarted makes a new socket, which a pod that is running does
    /// not see.
    Socket,
    /// The directory of the socket, with everything else that is in it. Pods outlive restarts of the runtime.
    Directory,
    /// All of `/run`, where each pod finds the one runtime that answers: for fleets whose nodes have several runtimes.
    Run,
}

/// A log directory of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogRoot {
    /// What plugins know it by; they never learn where it is.
    #[schemars(extend("format" = "name", "maxLength" = 63))]
    pub name: String,
    /// Where it is on the node, for example `/var/log/app`.
    #[schemars(extend("format" = "host-path"))]
    pub host_path: String,
}

/// A plugin, and what it is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plugin {
    /// What reports call it, unlike any other in this manifest.
    #[schemars(extend("format" = "name", "maxLength" = 63))]
    pub name: String,
    /// Where it comes from: exactly one of `builtin`, `file`, `configMap` and `imageVolume`.
    pub source: PluginSource,
    /// The digest that its bytes must have, `sha256:` and 64 hexadecimal digits. With another one it is not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "digest"))]
    pub digest: Option<String>,
    /// What it may see of the node. A plugin that wants more than that is not started.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// Its own settings; each plugin documents which it has. They are checked before anything runs: by the plugin, and
    /// against its JSON Schema. Plugins that come with Holystone have one; that of `cleaner.wasm` is
    /// `cleaner.schema.json` beside it.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub config: Map<String, Value>,
    /// What it may take.
    #[serde(default)]
    pub limits: PluginLimits,
    /// What becomes of the run when the plugin fails.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum PluginSource {
    /// A plugin that comes with Holystone, by its name, for example `unused-images`.
    Builtin(#[schemars(extend("format" = "filled"))] String),
    /// A component on this machine, by the path of its file. A relative path starts at the directory of the manifest.
    /// Not on a cluster.
    File(#[schemars(extend("format" = "filled"))] String),
    /// A component in a ConfigMap. A user who may edit the ConfigMap could change it, so the plugin must have a
    /// `digest`: `sha256:` and what `sha256sum` prints for the file. Outside of a cluster it is the file `NAME/KEY` in
    /// the directory that `--config-map-dir` names.
    ConfigMap(ConfigMapKey),
    /// A component in a container image, which the kubelet mounts into the pods (Kubernetes 1.33 and containerd 2.1 or
    /// later). Outside of a cluster it is the file `PLUGIN/PATH` in the directory that `--image-volume-dir` names, where
    /// PLUGIN is the name of the plugin.
    ImageVolume(ImagePath),
}

/// A value in a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKey {
    /// The name of the ConfigMap, in the namespace of the NodeCleanup.
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
    /// The image, for example `registry.example.com/cleaners@sha256:…`. What a tag names can change, so without a digest
    /// here the plugin must have one in its field `digest`.
    #[schemars(extend("format" = "image-reference"))]
    pub reference: String,
    /// The file in the image, for example `cleaner.wasm`.
    #[schemars(extend("format" = "relative-path"))]
    pub path: String,
}

/// What a plugin may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PluginLimits {
    /// How long one call may take.
    pub timeout: Duration,
    /// How much memory it may have, from 1Mi to 4Gi. Plugins in JavaScript or Python need 256Mi and more.
    #[schemars(extend("minimum" = LEAST_MEMORY, "maximum" = MOST_MEMORY))]
    pub memory: Bytes,
}

/// The least memory that a plugin may be given, in bytes.
pub(super) const LEAST_MEMORY: u64 = 1 << 20;
/// The most memory that a plugin may be given, in bytes.
pub(super) const MOST_MEMORY: u64 = 4 << 30;

/// What becomes of the run when a plugin fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// The plugin wishes nothing; the others go on.
    #[default]
    Skip,
    /// The run ends before anything is removed.
    FailRun,
}

/// What is not removed, whatever a plugin wishes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GuardRails {
    /// Images to keep, by pattern: `docker.io/minchou/base` is every tag and digest of a repository, `*` stands for any
    /// characters and `?` for one; a digest or an image id works too. One protected tag protects the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub protect_images: Vec<Pattern>,
    /// Built-in patterns that do not protect on this node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unprotect_images: Vec<BuiltIn>,
    /// Docker (cri-dockerd) removes the names of an image one by one and finds out last that the image is in use. Images
    /// with several names are therefore refused on such runtimes; `true` removes them, and names may be lost.
    pub allow_partial_untag: bool,
    /// Keep images that were first seen less than this ago. As long as the ages of images are not known, because the
    /// node has not been seen before, they are kept only while a pod younger than this may be starting. `0s` keeps none.
    pub min_age: Duration,
    /// In how many runs in a row a plugin has to wish the same before it is done, the current one included.
    #[schemars(range(min = 1))]
    pub confirmations: u32,
    /// Which log files are in use cannot be seen everywhere (not in a pod without `hostPID`): there a file counts as in
    /// use for this long after its last change, and is neither removed nor truncated.
    pub unknown_open_age: Duration,
    /// Keep log files and directories until their content and their place, name and attributes have not changed for this
    /// long: what was just unpacked, restored or moved here may have an old date. `0s` keeps none.
    pub settle_time: Duration,
    /// Limits of one run, all plugins together; an absent limit does not limit. Images are counted apart from what is
    /// beneath log roots: each may come to the limit.
    pub max_deletions: MaxDeletions,
}

/// A built-in pattern that may be lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BuiltIn {
    /// Images that exist on this node only.
    #[serde(rename = "localhost/*")]
    Localhost,
    /// Pause images under any name. Those that the runtime uses stay all the same.
    #[serde(rename = "*pause*")]
    Pause,
}

/// Limits of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MaxDeletions {
    /// How many images may be removed. Wishes past it are refused one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How large the removed images may be in sum, as the runtime counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Bytes>,
    /// Which share of the node's images may be wished for. Everything that a plugin wishes is refused when it comes to
    /// more: a policy that wants to remove nearly everything is a broken policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
}

/// How fast to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pace {
    /// The most removals in flight. One by one takes several times as long: runtimes clean up after each
    /// removal, and removals that are under way together share that.
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: u16,
    /// How long to wait after each removal has been started; with a pause they start one by one.
    pub pause: Duration,
    /// Stop when so many removals in a row have failed.
    #[schemars(range(min = 1))]
    pub max_failures: u32,
}

/// How full the disk must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pressure {
    /// Which filesystem is measured: `images`, the one that the runtime keeps images on (of several, the fullest), or
    /// `logs:NAME`, the one that a log root is on.
    #[serde(default)]
    pub filesystem: Disk,
    /// Remove only if it is fuller than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<Percent>,
    /// Stop as soon as it is no fuller than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Percent>,
}

/// How a run spreads over the nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rollout {
    /// On how many nodes at a time: a number, or a share such as `10%`. All by default. Means nothing on one machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<Parallelism>,
    /// When a run is over.
    pub completion_policy: CompletionPolicy,
    /// What a failure on one node means.
    pub failure_policy: FailurePolicy,
    /// Run on nodes with all of these labels only. Means nothing on one machine.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "propertyNames" = { "format": "label-key" },
        "additionalProperties" = { "type": "string", "format": "label-value" },
        "maxProperties" = 64,
    ))]
    pub node_selector: BTreeMap<String, String>,
    /// Run on nodes with these taints as well. The taints that a DaemonSet's pods tolerate are tolerated in any case:
    /// nodes under pressure for disk, memory or process ids, and nodes that are unschedulable. Means nothing on one
    /// machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tolerations: Vec<Toleration>,
    /// The priority class of the pods. A node under disk pressure takes only pods that are critical. Means nothing on
    /// one machine.
    #[schemars(extend("format" = "object-name"))]
    pub priority_class_name: String,
    /// What brings runs to the nodes of a cluster. Means nothing on one machine.
    pub engine: RolloutEngine,
    /// Additions to the pods on the nodes. Means nothing on one machine.
    #[serde(skip_serializing_if = "PodTemplate::is_empty")]
    pub pod_template: PodTemplate,
}

/// What brings runs to the nodes of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutEngine {
    /// OpenKruise: an AdvancedCronJob starts a BroadcastJob at each time of the schedule, which runs a pod on each node.
    /// Without a schedule, one BroadcastJob.
    #[default]
    BroadcastJob,
    /// A DaemonSet, on each node of which a daemon keeps the schedule. Nothing but Kubernetes is needed. `parallelism`,
    /// `completionPolicy.type`, `failurePolicy.type` and `Replace` mean nothing then.
    DaemonSet,
}

/// When a run is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CompletionPolicy {
    /// Whether a run is ever over. Means nothing on one machine.
    #[serde(rename = "type")]
    pub kind: CompletionType,
    /// End a run after this many seconds, whatever it is doing: nothing more is removed, and the report says what was.
    /// Without it, a run on one machine ends after 30 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<u32>,
    /// Forget a run this many seconds after its end; without it, as the history limits say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<u32>,
}

/// Whether a run is ever over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CompletionType {
    /// It is over when every node has had its turn.
    #[default]
    Always,
    /// It goes on, and takes in every node that joins the cluster. Not together with a schedule, a deadline or a ttl.
    Never,
}

/// What a failure on one node means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FailurePolicy {
    /// What it means for the other nodes. Means nothing on one machine.
    #[serde(rename = "type")]
    pub kind: FailurePolicyType,
    /// How often a run that could not take place, for example because the runtime did not answer, is tried again.
    pub restart_limit: u32,
}

/// What a failure on one node means for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicyType {
    /// They go on.
    #[default]
    Continue,
    /// The run ends everywhere.
    FailFast,
    /// No further node is started until somebody has a look.
    Pause,
}

/// A taint that is tolerated, as in a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Toleration {
    /// The key of the taint; without one, with operator `Exists`, every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "taint-key"))]
    pub key: Option<String>,
    /// How key and value are compared.
    #[serde(default)]
    pub operator: TolerationOperator,
    /// The value of the taint, with operator `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "label-value"))]
    pub value: Option<String>,
    /// The effect of the taint; without one, every effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// For how many seconds a taint with effect `NoExecute` is tolerated; without it, forever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a toleration is compared with a taint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Key and value are the same.
    #[default]
    Equal,
    /// The key is the same, whatever the value.
    Exists,
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// Pods are not put on the node.
    NoSchedule,
    /// Pods are put elsewhere if possible.
    PreferNoSchedule,
    /// Pods that are there are evicted as well.
    NoExecute,
}

impl NodeCleanupSpec {
    /// Sets back what only concerns when runs are started, and how long they are kept: what a run does on a node does
    /// not depend on it. The schedule stays, because ages of images are judged by whether another run comes.
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
    /// The ConfigMap that it is in, if it is in one.
    pub fn config_map(&self) -> Option<&str> {
        match self {
            Self::ConfigMap(key) => Some(&key.name),
            _ => None,
        }
    }
}

impl BuiltIn {
    /// The pattern.
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
    //! Defaults that differ from the type's own.

    use super::ConcurrencyPolicy;

    /// Two sweeps on one node only get into each other's way.
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
