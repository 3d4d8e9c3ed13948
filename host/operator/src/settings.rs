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
    /// The namespace to look after; all without one.
    pub namespace: Option<String>,
    /// The image that pods on the nodes run.
    pub image: String,
    /// The limits of what NodeCleanups may ask of nodes.
    pub allowed: Allowed,
    /// The name of this replica.
    pub identity: String,
    /// The name of all replicas together: `NAMESPACE/NAME` of their Lease, or the name of the only one.
    pub installation: String,
    /// The function that asks daemons.
    pub ask: Ask,
    /// The function that checks what a NodeCleanup says of plugins and log roots.
    pub check: SpecCheck,
}

/// Finds what is wrong with a NodeCleanup beyond its text, which the operator, that knows no plugins, cannot.
pub type SpecCheck = Arc<dyn Fn(Value) -> Pin<Box<dyn Future<Output = Vec<Problem>> + Send>> + Send + Sync>;
