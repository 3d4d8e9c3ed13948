//! Snapshots of nodes, recorded by `holystone snapshot`.

use std::path::Path;

use holystone_core::snapshot::Snapshot;
use holystone_node::RootSpec;

use crate::error::UsageError;
use crate::files;
use crate::node::{LiveNode, NodeOptions};
use crate::node_state;

/// Reads a recorded snapshot; `-` is standard input.
///
/// # Errors
/// When the snapshot cannot be read, as a [`UsageError`].
pub fn read_snapshot(path: &Path) -> anyhow::Result<Snapshot> {
    let read = match path.to_str() {
        Some("-") => files::standard_input(files::MAX_SNAPSHOT),
        _ => files::read(path, files::MAX_SNAPSHOT),
    };
    let bytes = read.map_err(|error| UsageError::new(format!("--snapshot: {} {error}", path.display())))?;
    let snapshot = Snapshot::from_json(&bytes).map_err(|error| {
        let advice = if is_manifest(&bytes) { "; it looks like a manifest, which is named with -f" } else { "" };
        UsageError::new(format!("--snapshot: {}: {error}{advice}", path.display()))
    })?;
    tracing::info!(images = snapshot.images.len(), "snapshot read");
    Ok(snapshot)
}

/// Returns whether a text that is no snapshot names the kind of manifests.
fn is_manifest(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.lines().any(|line| line.trim_start().starts_with("kind:") && line.contains("NodeCleanup"))
}

/// Records this node, with its state.
///
/// # Errors
/// When the node cannot be observed.
pub async fn record(endpoint: &str, log_roots: &[RootSpec], node: &NodeOptions) -> anyhow::Result<Snapshot> {
    let mut snapshot = LiveNode::connect(endpoint, log_roots, node).await?.observe().await?;
    for notice in node_state::recall(node.state_dir.as_deref(), &mut snapshot) {
        tracing::warn!("{notice}");
    }
    Ok(snapshot)
}
