//! `holystone snapshot`: records the node, to be replayed anywhere.

use crate::args::SnapshotArguments;
use crate::exit::Exit;
use crate::observe::LiveNode;
use crate::output;
use crate::remembered;

/// Looks at the node and prints what there is.
pub(crate) async fn snapshot(arguments: &SnapshotArguments) -> anyhow::Result<Exit> {
    let endpoint = arguments.node.endpoint.as_deref().unwrap_or("auto");
    let mut snapshot = LiveNode::connect(endpoint, &arguments.node.log_roots, &arguments.node).await?.observe().await?;
    for notice in remembered::recall(&arguments.node.state, &mut snapshot) {
        tracing::warn!("{notice}");
    }
    output::snapshot(&snapshot)?;
    Ok(Exit::Done)
}
