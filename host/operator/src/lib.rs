//! The edge to Kubernetes: watches NodeCleanups and what becomes of them, asks the core what is to be done, and does it.
//!
//! - [`world`]: what is known of the cluster, kept current by watches; of pods, only what they end with.
//! - `watch`: the watches.
//! - [`operator`]: one NodeCleanup after the other, from what is known to what is done.
//! - `hands`: what is done: apply, pause, delete, write a status, tell of an event.
//! - `claims`: leaves alone what another operator looks after.
//! - `events`: asks what is said of pods that are not made, or do not start.
//! - `daemons`: asks the daemons of DaemonSets what has come of their runs.
//! - `access`: NodeCleanups and the reports of their nodes, with a user's own rights.
//! - [`lease`]: replicas agree on the one that acts.
//! - `reach`: says when the API server does not answer, and puts its refusals into sentences.
//!
//! Nothing is decided here but when to look again: decisions are in [`holystone_core::cluster`].

mod access;
mod claims;
mod daemons;
mod events;
mod hands;
mod health;
pub mod lease;
pub mod operator;
mod queue;
mod reach;
mod reconcile;
mod settings;
mod watch;
pub mod world;

use std::fmt::Display;
use std::path::Path;

use kube::Config;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::reach::ReachLayer;

pub use access::{Access, AccessError, NodeReports};
pub use daemons::{Ask, MOST_ANSWER, Whereabouts};
pub use health::{OperatorHealth, Watcher};
pub use kube::Client;
pub use lease::{Lease, LeaseError};
pub use operator::{Operator, OperatorError};
pub use settings::{Settings, SpecCheck};

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

/// Connects to the cluster of a kubeconfig file, by one of its contexts or by the current one. Without a file, reads
/// those that `KUBECONFIG` names, or `~/.kube/config`.
///
/// # Errors
/// When a file cannot be read, or lacks the context or what it refers to.
pub async fn connect_by(file: Option<&Path>, context: Option<&str>) -> Result<Client, OperatorError> {
    let refused = |error: &dyn Display| OperatorError::kubeconfig(file, error);
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = match file {
        Some(file) => {
            let read = Kubeconfig::read_from(file).map_err(|error| refused(&error))?;
            Config::from_custom_kubeconfig(read, &options).await
        }
        None => Config::from_kubeconfig(&options).await,
    };
    Client::try_from(config.map_err(|error| refused(&error))?).map_err(|error| refused(&error))
}
