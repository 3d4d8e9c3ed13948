//! The edge to Kubernetes: watches NodeCleanups and what becomes of them, asks the core what is to be done, and does it.
//!
//! - [`world`]: what is known of the cluster, kept current by watches; of pods, only what they end with.
//! - `watch`: the watches.
//! - [`operator`]: one NodeCleanup after the other, from what is known to what is done.
//! - `hands`: what is done: apply, pause, delete, write a status, tell of an event.
//! - `claims`: leaves alone what another operator looks after.
//! - `daemons`: asks the daemons of DaemonSets what has come of their runs.
//! - [`lease`]: replicas agree on the one that acts.
//! - `reach`: says when the API server does not answer, and puts its refusals into sentences.
//!
//! Nothing is decided here but when to look again: decisions are in [`holystone_core::cluster`].

mod claims;
mod daemons;
mod hands;
pub mod lease;
pub mod operator;
mod reach;
mod watch;
pub mod world;

pub use daemons::{Ask, MOST_ANSWER};
pub use kube::Client;

use kube::Config;
use kube::client::ClientBuilder;

use crate::reach::ReachLayer;
pub use lease::{Lease, LeaseError};
pub use operator::{Check, Operator, OperatorError, Settings, Standing};

/// What this is called where Kubernetes asks who wrote something.
pub const MANAGER: &str = "holystone";

/// Connects to the cluster that this runs in, or that `KUBECONFIG` names.
///
/// # Errors
/// When neither is there, or is of no use.
pub async fn connect() -> Result<Client, OperatorError> {
    let config = Config::infer().await.map_err(|error| OperatorError::no_cluster(&error))?;
    let reach = ReachLayer::new(config.cluster_url.to_string());
    let client = ClientBuilder::try_from(config).map_err(|error| OperatorError::connect(&error))?;
    Ok(client.with_layer(&reach).build())
}
