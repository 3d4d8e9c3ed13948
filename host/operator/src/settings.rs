//! The settings of an operator.

use std::pin::Pin;
use std::sync::Arc;

use holystone_core::cluster::Allowed;
use holystone_core::manifest::Problem;
use serde_json::Value;

use crate::daemons::Ask;

/// The settings of an operator.
#[derive(Clone)]
pub struct Settings {
    /// Namespace to look after; without one, all namespaces.
    pub namespace: Option<String>,
    /// Image that the pods on the nodes run.
    pub image: String,
    /// Limits of what NodeCleanups may request from nodes.
    pub allowed: Allowed,
    /// Name of this replica.
    pub identity: String,
    /// Name of all replicas together: `NAMESPACE/NAME` of their Lease, or the name of the only replica.
    pub installation: String,
    /// Function that asks daemons.
    pub ask: Ask,
    /// Function that checks the plugins and log roots of a NodeCleanup.
    pub check: SpecCheck,
}

/// The function that finds problems of a NodeCleanup beyond its text. The operator knows no plugins, so it cannot find
/// them itself.
pub type SpecCheck = Arc<dyn Fn(Value) -> Pin<Box<dyn Future<Output = Vec<Problem>> + Send>> + Send + Sync>;
