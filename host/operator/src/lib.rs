//! The connection to Kubernetes: watches NodeCleanups and their objects, asks the core for decisions, and carries them
//! out.
//!
//! - [`mirror`]: the mirror of the cluster, kept current by watches; of pods, only their results.
//! - `watch`: the watches.
//! - [`operator`]: the loop, which reconciles one NodeCleanup after the other.
//! - `apply`: the actions on the cluster: apply, pause, delete, write a status, publish an event.
//! - `claims`: the claims of other operators, whose NodeCleanups are left alone.
//! - `events`: the events about pods that are not created, or do not start.
//! - `daemons`: the results of runs, from the daemons of DaemonSets.
//! - `access`: NodeCleanups and the reports of their nodes, with a user's own rights.
//! - [`lease`]: the agreement of replicas on the one that acts.
//! - `reach`: the report when the API server does not answer, and its refusals as sentences.
//!
//! This crate decides only when to look again: all other decisions are in [`holystone_core::cluster`].

mod access;
mod apply;
mod claims;
mod daemons;
mod events;
mod health;
pub mod lease;
pub mod mirror;
pub mod operator;
mod queue;
mod reach;
mod reconcile;
mod settings;
mod watch;

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

/// Name under which Kubernetes records the writes and events of Holystone.
pub const MANAGER: &str = "holystone";

/// Connects to the cluster that this process runs in, or that `KUBECONFIG` names.
///
/// # Errors
/// When there is neither, or it cannot be used.
pub async fn connect() -> Result<Client, OperatorError> {
    let config = Config::infer().await.map_err(|error| OperatorError::no_cluster(&error))?;
    let reach = ReachLayer::new(config.cluster_url.to_string());
    let client = ClientBuilder::try_from(config).map_err(|error| OperatorError::connect(&error))?;
    Ok(client.with_layer(&reach).build())
}

/// Connects to the cluster of a kubeconfig file, by one of its contexts or by the current one. Without a file, reads
/// the files that `KUBECONFIG` names, or `~/.kube/config`.
///
/// # Errors
/// When a file cannot be read, or lacks the context or something that the context references.
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
