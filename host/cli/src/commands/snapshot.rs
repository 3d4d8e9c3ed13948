//! `holystone snapshot`: records the node, to be replayed anywhere.

use crate::args::SnapshotArguments;
use crate::exit::Exit;
use crate::output;

/// Observes the node and prints the snapshot.
pub(crate) async fn snapshot(arguments: &SnapshotArguments) -> anyhow::Result<Exit> {
    let node = &arguments.node;
    let endpoint = node.endpoint.as_deref().unwrap_or("auto");
    let snapshot = holystone_agent::record(endpoint, &node.log_roots, &node.options(Vec::new())).await?;
    output::snapshot(&snapshot)?;
    Ok(Exit::Done)
}
