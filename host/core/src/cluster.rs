//! What a NodeCleanup becomes on a cluster, and what comes of it there. Values only: nothing here talks to a cluster.
//!
//! - `objects`: from a manifest to the Kubernetes objects that carry it out, with `pod` for the pods among them.
//! - `allowed`: the limits of what NodeCleanups may ask of nodes.
//! - `problems`: what is wrong with a manifest on a cluster only.
//! - `held`: what keeps pods from being made and from starting.
//! - `fold`: from what pods and daemons report to the last run of a status.
//! - `decide`: from what is there to what is to be done.
//! - `drift`: the difference between an object that is there and what it should be.
//! - `action`: what is done, and why it could not be done.
//! - `status`, `runs`: what the status says of all that, and of the last run.
//! - `reasons`: the words of conditions and events.

mod action;
mod allowed;
mod decide;
mod drift;
mod fold;
mod held;
mod objects;
mod pod;
mod problems;
mod reasons;
mod runs;
mod status;

pub use action::{Action, Obstacle};
pub use allowed::{Allowed, RUN_SOCKETS, is_plain_path};
pub use decide::{ClusterEvent, Decided, Observed, decide};
pub use fold::{NodeResult, NodeState, NodeSummary, fold};
pub use held::{ASK_AGAIN, Held, PATIENCE, not_made, not_started};
pub use objects::{Engine, Rendered, object_name, render, run_now};
pub use pod::{Site, manifest_of};
pub use problems::problems;
pub use reasons::{ConditionReason, EventReason};
pub use status::{is_news, not_applied, other_operator};

/// The label that everything of a NodeCleanup carries, with its name.
pub const NAME_LABEL: &str = "holystone.dev/node-cleanup";
/// The label that says who looks after an object.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "holystone");
/// The annotation of a NodeCleanup that starts a run when its value changes.
pub const RUN_NOW: &str = "holystone.dev/run-now";
/// The label of a BroadcastJob's pods: its name.
pub const BROADCAST_JOB_LABEL: &str = "broadcastjob-name";
/// The group and version of OpenKruise that is spoken: the one that every release serves.
pub const KRUISE_API: &str = "apps.kruise.io/v1alpha1";
/// Where the daemons of a DaemonSet answer.
pub const DAEMON_PORT: u16 = 9823;
/// How long a run may take when the manifest does not say, in seconds. On a cluster there must be a bound: a pod that
/// cannot start would otherwise hold up its run for ever.
pub const ACTIVE_DEADLINE_SECONDS: u32 = 1800;

#[cfg(test)]
mod tests;
