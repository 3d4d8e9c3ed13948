//! Rendering of a NodeCleanup into Kubernetes objects, and of their state into its status. Values only: this module
//! does not talk to a cluster.
//!
//! - `render`: the Kubernetes objects of a manifest; `pod` renders the pods among them.
//! - `allowed`: the limits of what NodeCleanups may request from nodes.
//! - `validate`: the validation of a manifest that applies on a cluster only.
//! - `held`: the reasons why pods are not created or do not start.
//! - `aggregate`: the aggregation of the reports of pods and daemons into the last run of a status.
//! - `decide`: the decision about the next actions, from the observed objects.
//! - `objects`: typed views of the objects of a cluster.
//! - `drift`: the difference between an existing object and its desired state.
//! - `action`: the actions on a cluster, and the obstacles to them.
//! - `status`, `runs`: the status of a NodeCleanup, and of its last run.
//! - `reasons`: the reasons of conditions and events.

mod action;
mod aggregate;
mod allowed;
mod decide;
mod drift;
mod held;
mod objects;
mod pod;
mod reasons;
mod render;
mod runs;
mod status;
mod validate;

pub use action::{Action, Obstacle};
pub use aggregate::{NodeResult, NodeState, NodeSummary, aggregate};
pub use allowed::{Allowed, RUN_SOCKETS, is_annotation_pattern, is_plain_path};
pub use decide::{ClusterEvent, Decided, Observed, decide};
pub use held::{ASK_AGAIN, Held, PATIENCE, not_made, not_started};
pub use objects::{
    AdvancedCronJob, BroadcastJob, CleanupObject, ConfigMap, DaemonSet, EventView, JobPhase, Meta, Object,
    OwnerReference, PodView, kind_of, name_of, reduce_template, remove_managed_fields,
};
pub use pod::{Site, manifest_of};
pub use reasons::{ConditionReason, EventReason};
pub use render::{Engine, Rendered, object_name, render, run_now};
pub use status::{is_news, not_applied, other_operator};
pub use validate::problems;

/// Label on all objects of a NodeCleanup; its value is the name of the NodeCleanup.
pub const NAME_LABEL: &str = "holystone.dev/node-cleanup";
/// Label that names the manager of an object, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "holystone");
/// Annotation of a NodeCleanup that starts a run when its value changes.
pub const RUN_NOW: &str = "holystone.dev/run-now";
/// Label on the pods of a BroadcastJob; its value is the name of the BroadcastJob.
pub const BROADCAST_JOB_LABEL: &str = "broadcastjob-name";
/// Group and version of the OpenKruise API in use: the one that every release serves.
pub const KRUISE_API: &str = "apps.kruise.io/v1alpha1";
/// Port on which the daemons of a DaemonSet answer.
pub const DAEMON_PORT: u16 = 9823;
/// Time limit of a run in seconds, if the manifest sets none. A cluster needs a limit: a pod that cannot start would
/// otherwise block its run forever.
pub const ACTIVE_DEADLINE_SECONDS: u32 = 1800;

#[cfg(test)]
mod tests;
