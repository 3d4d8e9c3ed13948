//! Typed views of the objects that a cluster returns: the only place that knows the names of their fields.
//!
//! A view never fails. A field that is absent or has another type gets its default, and a time that cannot be parsed
//! is absent, because other writers may change every object. The tests compare the views with the definitions of
//! OpenKruise and with the types of Kubernetes.

use std::collections::BTreeMap;

use jiff::Timestamp;
#[cfg(test)]
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::pod::manifest_of;
use crate::manifest::status::NodeCleanupStatus;
use crate::manifest::{Mode, RolloutEngine};
use crate::schedule::ConcurrencyPolicy;

/// Defines views, in which every field is lenient.
macro_rules! views {
    ($(
        $(#[$about:meta])*
        pub struct $name:ident { $($(#[$more:meta])* pub $field:ident: $type:ty,)* }
    )*) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[cfg_attr(test, derive(JsonSchema))]
        #[serde(default, rename_all = "camelCase")]
        pub struct $name { $($(#[$more])* #[serde(deserialize_with = "lenient")] pub $field: $type,)* }
    )*};
}

/// Deserializes a field, or returns its default if it has another type.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(read(&Value::deserialize(deserializer)?))
}

/// Reads a view of a value, or returns the default if it has another type.
fn read<T: DeserializeOwned + Default>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_default()
}

/// An object of the cluster: the typed view, and the object itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<Spec, Status = ()> {
    /// Group and version of the API.
    pub api_version: Option<String>,
    /// Kind of the object.
    pub kind: Option<String>,
    /// Metadata.
    pub meta: Meta,
    /// Desired state.
    pub spec: Spec,
    /// Observed state.
    pub status: Status,
    /// Object as the API server returns it.
    pub raw: Value,
}

impl<Spec: DeserializeOwned + Default, Status: DeserializeOwned + Default> From<Value> for Object<Spec, Status> {
    fn from(raw: Value) -> Self {
        Self {
            api_version: read(&raw["apiVersion"]),
            kind: read(&raw["kind"]),
            meta: read(&raw["metadata"]),
            spec: read(&raw["spec"]),
            status: read(&raw["status"]),
            raw,
        }
    }
}

/// A NodeCleanup.
pub type CleanupObject = Object<CleanupSpec, CleanupState>;
/// A ConfigMap, which is only compared as a whole.
pub type ConfigMap = Object<()>;
/// An AdvancedCronJob of OpenKruise.
pub type AdvancedCronJob = Object<AdvancedCronJobSpec, AdvancedCronJobStatus>;
/// A BroadcastJob of OpenKruise.
pub type BroadcastJob = Object<BroadcastJobSpec, BroadcastJobStatus>;
/// A DaemonSet.
pub type DaemonSet = Object<DaemonSetSpec, DaemonSetStatus>;

/// Returns the name of an object.
pub fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Returns the kind of an object.
pub fn kind_of(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

/// Removes the record of all writers of an object, which is large.
pub fn remove_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

/// Removes the pod template of a BroadcastJob, except for the volume of its manifest.
pub fn reduce_template(job: &mut Value) {
    let Some(template) = job.pointer_mut("/spec/template").filter(|template| template.is_object()) else { return };
    let volumes = template["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    let is_manifest = |volume: &Value| manifest_of(&json!({ "spec": { "volumes": [volume] } })).is_some();
    let manifest: Vec<Value> = volumes.into_iter().filter(is_manifest).collect();
    *template = json!({ "spec": { "volumes": manifest } });
}

/// Returns the template of a workload, with all its fields.
pub(super) fn template_of(workload: &Value) -> &Value {
    &workload["spec"]["template"]
}

views! {
    /// The metadata of an object.
    pub struct Meta {
        /// Name.
        pub name: String,
        /// Namespace.
        pub namespace: String,
        /// Unique identifier; another object of the same name has another one.
        pub uid: Option<String>,
        /// Number of the version of the spec.
        pub generation: Option<i64>,
        /// Version of the object.
        pub resource_version: Option<String>,
        /// Creation time.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        pub creation_timestamp: Option<Timestamp>,
        /// Time of the requested deletion, as the API server writes it.
        pub deletion_timestamp: Option<String>,
        /// Labels.
        pub labels: BTreeMap<String, String>,
        /// Annotations.
        pub annotations: BTreeMap<String, String>,
        /// Owners.
        pub owner_references: Vec<OwnerReference>,
    }

    /// A reference to an owner of an object.
    pub struct OwnerReference {
        /// Kind of the owner.
        pub kind: String,
        /// Name of the owner.
        pub name: Option<String>,
        /// Unique identifier of the owner.
        pub uid: Option<String>,
    }
}

impl Meta {
    /// Reads the metadata of an object.
    pub fn of(object: &Value) -> Self {
        read(&object["metadata"])
    }

    /// Returns whether the deletion of the object was requested.
    pub fn is_going(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// Returns whether the object references an owner of this kind and name.
    pub(super) fn is_owned_by(&self, kind: &str, name: &str) -> bool {
        self.owner_references.iter().any(|owner| owner.kind == kind && owner.name.as_deref() == Some(name))
    }

    /// Returns the value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

views! {
    /// The part of a NodeCleanup's spec that is read without validation.
    pub struct CleanupSpec {
        /// Mode of the runs.
        pub mode: Mode,
        /// Schedule of the runs.
        pub schedule: Option<String>,
        /// Set while nothing is started.
        pub paused: bool,
        /// Policy for a run that is due while another is active.
        pub concurrency_policy: ConcurrencyPolicy,
        /// Rollout.
        pub rollout: CleanupRollout,
        /// Plugins.
        pub plugins: Vec<CleanupPlugin>,
    }

    /// The part of a NodeCleanup's rollout that is read without validation.
    pub struct CleanupRollout {
        /// Engine of the runs.
        pub engine: RolloutEngine,
        /// Labels of the selected nodes.
        pub node_selector: BTreeMap<String, String>,
    }

    /// The name of a plugin in a NodeCleanup's spec.
    pub struct CleanupPlugin {
        /// Name of the plugin.
        pub name: Option<String>,
    }

    /// The part of a NodeCleanup's status that is readable even if another version of Holystone wrote it.
    pub struct ForeignStatus {
        /// Operator that manages the NodeCleanup.
        pub operator: Option<String>,
        /// Last run.
        pub last_run: ForeignRun,
    }

    /// The name of the last run in a NodeCleanup's status.
    pub struct ForeignRun {
        /// BroadcastJob or DaemonSet of the run.
        pub name: Option<String>,
    }
}

/// The status of a NodeCleanup.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CleanupState {
    /// Part that is readable in any case.
    pub foreign: ForeignStatus,
    /// Whole status, if this version of Holystone can read it.
    pub known: Option<NodeCleanupStatus>,
}

impl<'de> Deserialize<'de> for CleanupState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = Value::deserialize(deserializer)?;
        Ok(Self { foreign: read(&status), known: NodeCleanupStatus::deserialize(status).ok() })
    }
}

impl CleanupObject {
    /// Builds the reference by which other objects name the NodeCleanup as their owner. `blockOwnerDeletion` is not
    /// set: for that, the operator would need the right to change the NodeCleanup.
    pub(super) fn owner_reference(&self) -> Value {
        json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "name": self.meta.name,
            "uid": self.meta.uid,
            "controller": true,
        })
    }

    /// Returns the spec as it is written.
    pub fn raw_spec(&self) -> &Value {
        &self.raw["spec"]
    }

    /// Reads the status.
    ///
    /// # Errors
    /// When this version of Holystone cannot read it.
    pub fn read_status(&self) -> Result<NodeCleanupStatus, serde_json::Error> {
        match &self.raw["status"] {
            Value::Null => Ok(NodeCleanupStatus::default()),
            status => NodeCleanupStatus::deserialize(status),
        }
    }
}

views! {
    /// The spec of an AdvancedCronJob.
    pub struct AdvancedCronJobSpec {
        /// Set while it starts nothing.
        pub paused: bool,
        /// Delay up to which a run may start.
        pub starting_deadline_seconds: Option<i64>,
        /// Template of the runs.
        pub template: CronJobTemplate,
    }

    /// The template of an AdvancedCronJob's runs.
    pub struct CronJobTemplate {
        /// Template of BroadcastJobs.
        pub broadcast_job_template: BroadcastJobTemplate,
    }

    /// The template of a BroadcastJob.
    pub struct BroadcastJobTemplate {
        /// Spec of the BroadcastJobs.
        pub spec: BroadcastJobSpec,
    }

    /// The status of an AdvancedCronJob.
    pub struct AdvancedCronJobStatus {
        /// Last time at which it started a run.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        pub last_schedule_time: Option<Timestamp>,
    }

    /// The spec of a BroadcastJob.
    pub struct BroadcastJobSpec {
        /// Set while no further pod is started.
        pub paused: bool,
        /// Maximum number of pods at a time: a number, or a percentage as text.
        pub parallelism: Value,
        /// Conditions for the end of the run.
        pub completion_policy: JobCompletionPolicy,
        /// Reaction to failed pods.
        pub failure_policy: Value,
        /// Template of the pods.
        #[cfg_attr(test, schemars(with = "Value"))]
        pub template: PodTemplateView,
    }

    /// The conditions for the end of a BroadcastJob.
    pub struct JobCompletionPolicy {
        /// Type of the policy.
        #[serde(rename = "type")]
        pub kind: Option<String>,
        /// Time limit of the run.
        pub active_deadline_seconds: Option<i64>,
        /// Time after its end at which the BroadcastJob is deleted.
        pub ttl_seconds_after_finished: Option<i64>,
    }

    /// The status of a BroadcastJob.
    pub struct BroadcastJobStatus {
        /// Phase.
        pub phase: JobPhase,
        /// Number of nodes; absent until OpenKruise has counted them.
        pub desired: Option<u32>,
        /// Number of pods that succeeded.
        pub succeeded: u32,
        /// Number of pods that failed.
        pub failed: u32,
        /// Start time, by the clock of OpenKruise.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        pub start_time: Option<Timestamp>,
        /// End time.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        pub completion_time: Option<Timestamp>,
        /// Conditions.
        pub conditions: Vec<JobCondition>,
    }

    /// A condition of a BroadcastJob.
    pub struct JobCondition {
        /// Type of the condition.
        #[serde(rename = "type")]
        pub kind: String,
        /// Message for people.
        pub message: String,
    }
}

/// The phase of a BroadcastJob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum JobPhase {
    /// The run has not ended.
    Running,
    /// No further pod is started.
    Paused,
    /// The run has ended.
    Completed,
    /// The run has ended early, for example because of its time limit.
    Failed,
    /// There is no phase yet, or one of a later version.
    #[default]
    Unknown,
}

impl BroadcastJob {
    /// Returns whether the run has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.status.phase, JobPhase::Completed | JobPhase::Failed)
    }

    /// Returns whether OpenKruise has counted the nodes of the run, or has ended it.
    pub(super) fn is_taken_up(&self) -> bool {
        self.is_over() || self.status.desired.is_some()
    }

    /// Returns the start of the run. The clock of OpenKruise may be behind that of the API server, and no run starts
    /// before it is created.
    pub fn began(&self) -> Option<Timestamp> {
        self.status.start_time.max(self.meta.creation_timestamp)
    }
}

views! {
    /// The spec of a DaemonSet.
    pub struct DaemonSetSpec {
        /// Template of the pods.
        #[cfg_attr(test, schemars(with = "Value"))]
        pub template: PodTemplateView,
    }

    /// The status of a DaemonSet.
    pub struct DaemonSetStatus {
        /// Generation that the numbers refer to.
        pub observed_generation: Option<i64>,
        /// Number of nodes; absent until Kubernetes has counted them.
        pub desired_number_scheduled: Option<u32>,
        /// Number of nodes with a pod.
        pub current_number_scheduled: u32,
        /// Number of nodes with a pod of the current template.
        pub updated_number_scheduled: u32,
    }
}

impl DaemonSet {
    /// Returns whether the numbers in the status refer to the current spec.
    pub(super) fn is_observed(&self) -> bool {
        self.status.observed_generation == self.meta.generation
    }

    /// Returns whether all pods use the current template.
    pub(super) fn is_rolled_out(&self) -> bool {
        let status = &self.status;
        let is_updated = |desired| desired <= status.updated_number_scheduled;
        self.is_observed() && status.desired_number_scheduled.is_some_and(is_updated)
    }
}

/// The part of a pod template that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodTemplateView {
    /// ConfigMap with the manifest that the pods read.
    pub manifest: Option<String>,
}

impl<'de> Deserialize<'de> for PodTemplateView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let template = Value::deserialize(deserializer)?;
        Ok(Self { manifest: manifest_of(&template).map(str::to_owned) })
    }
}

views! {
    /// The part of a pod that is read.
    pub struct PodView {
        /// Metadata.
        #[serde(rename = "metadata")]
        pub meta: Meta,
        /// Desired state.
        pub spec: PodSpecView,
        /// Observed state.
        pub status: PodStatusView,
    }

    /// The place of a pod.
    pub struct PodSpecView {
        /// Node of the pod; absent until it is scheduled.
        pub node_name: Option<String>,
        /// Affinity, which names the node that the pod was created for before it is scheduled.
        pub affinity: AffinityView,
    }

    /// The affinity of a pod.
    pub struct AffinityView {
        /// Affinity to nodes.
        pub node_affinity: NodeAffinityView,
    }

    /// The affinity of a pod to nodes.
    pub struct NodeAffinityView {
        /// Nodes that the pod may be scheduled to.
        pub required_during_scheduling_ignored_during_execution: NodeSelectorView,
    }

    /// A selection of nodes.
    pub struct NodeSelectorView {
        /// Alternatives of the selection.
        pub node_selector_terms: Vec<NodeTermView>,
    }

    /// An alternative of a selection of nodes.
    pub struct NodeTermView {
        /// Requirements on the fields of a node.
        pub match_fields: Vec<FieldRequirement>,
    }

    /// A requirement on a field of a node.
    pub struct FieldRequirement {
        /// Path of the field.
        pub key: String,
        /// Allowed values.
        pub values: Vec<String>,
    }

    /// The status of a pod.
    pub struct PodStatusView {
        /// Phase.
        pub phase: PodPhase,
        /// Reason why the pod was ended from outside.
        pub reason: Option<String>,
        /// Message to that reason.
        pub message: Option<String>,
        /// Address of the pod.
        #[serde(rename = "podIP")]
        pub pod_ip: Option<String>,
        /// Conditions.
        pub conditions: Vec<PodCondition>,
        /// Containers.
        pub container_statuses: Vec<ContainerStatus>,
    }

    /// A condition of a pod.
    pub struct PodCondition {
        /// Type of the condition.
        #[serde(rename = "type")]
        pub kind: String,
        /// `True`, `False` or `Unknown`.
        pub status: String,
        /// Reason for the status.
        pub reason: String,
        /// Message for people.
        pub message: String,
    }

    /// The status of a container.
    pub struct ContainerStatus {
        /// Name of the container.
        pub name: String,
        /// Current state.
        pub state: ContainerPhase,
        /// State before the last restart.
        pub last_state: ContainerPhase,
    }

    /// The state of a container: one of its fields, or neither while it runs.
    pub struct ContainerPhase {
        /// State of a container that has not started.
        pub waiting: Option<WaitingContainer>,
        /// State of a container that has ended.
        pub terminated: Option<TerminatedContainer>,
    }

    /// A container that has not started.
    pub struct WaitingContainer {
        /// Reason why it waits.
        pub reason: String,
        /// Message to that reason.
        pub message: String,
    }

    /// A container that has ended.
    pub struct TerminatedContainer {
        /// Exit code.
        pub exit_code: i64,
        /// Reason for its end.
        pub reason: Option<String>,
        /// Termination message.
        pub message: Option<String>,
        /// Start time; absent if it never started.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        pub started_at: Option<Timestamp>,
    }
}

/// The phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub enum PodPhase {
    /// Not all containers have started.
    Pending,
    /// The containers run.
    Running,
    /// All containers have ended well.
    Succeeded,
    /// All containers have ended, and not all of them well.
    Failed,
    /// There is no phase, or the node does not answer.
    #[default]
    Unknown,
}

impl PodView {
    /// Reads a pod.
    pub fn of(pod: &Value) -> Self {
        read(pod)
    }

    /// Returns whether the pod has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.status.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// Returns the node of the pod. If the pod is not scheduled yet, this is the node that it was created for.
    pub fn node(&self) -> &str {
        let affinity = &self.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution;
        let field = || affinity.node_selector_terms.first()?.match_fields.first();
        let made_for = || field().filter(|field| field.key == "metadata.name")?.values.first();
        let name = self.spec.node_name.as_ref().filter(|name| !name.is_empty());
        name.or_else(made_for).map_or("", String::as_str)
    }

    /// Returns the end of the first container, if it has ended.
    pub fn terminated(&self) -> Option<&TerminatedContainer> {
        self.status.container_statuses.first()?.state.terminated.as_ref()
    }
}

views! {
    /// The part of an event of Kubernetes that is read.
    pub struct EventView {
        /// Type: `Normal` or `Warning`.
        #[serde(rename = "type")]
        pub kind: String,
        /// Reason, in one word.
        pub reason: String,
        /// Message for people.
        pub note: String,
        /// Repetitions, if the event was repeated.
        pub series: EventSeries,
        /// Last time, in events of the older API.
        pub deprecated_last_timestamp: Option<String>,
        /// First time.
        pub event_time: Option<String>,
    }

    /// The repetitions of an event.
    pub struct EventSeries {
        /// Last time.
        pub last_observed_time: Option<String>,
    }
}

impl EventView {
    /// Reads an event.
    pub fn of(event: &Value) -> Self {
        read(event)
    }

    /// Returns the time when the event was seen last, as the API server writes it.
    pub(super) fn last_time(&self) -> &str {
        let times = [&self.series.last_observed_time, &self.deprecated_last_timestamp, &self.event_time];
        times.into_iter().flatten().next().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests;
