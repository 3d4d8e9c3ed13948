//! Looking at a node, this one or a recorded one.

use std::path::Path;

use holystone_core::snapshot::Snapshot;
use holystone_node::{Cri, Endpoint, Options, Surroundings};
use jiff::Timestamp;

use crate::args::NodeArguments;
use crate::exit::Usage;
use crate::files;

/// A connected runtime and what this node is called.
pub(crate) struct LiveNode {
    pub(crate) cri: Cri,
    pub(crate) name: String,
}

impl LiveNode {
    /// Finds the runtime's socket and connects to it.
    pub(crate) async fn connect(arguments: &NodeArguments) -> anyhow::Result<Self> {
        let endpoint = match arguments.endpoint.as_str() {
            "auto" => holystone_node::discover(&Surroundings::from_environment()).await?,
            given => given.parse::<Endpoint>().map_err(|error| Usage(format!("--endpoint: {error}")))?,
        };
        tracing::info!(%endpoint, "connecting");
        let cri = Cri::connect(&endpoint, Options::default()).await?;
        Ok(Self { cri, name: node_name(arguments) })
    }

    /// Looks at everything.
    pub(crate) async fn observe(&self) -> anyhow::Result<Snapshot> {
        Ok(self.cri.observe(Timestamp::now(), &self.name).await?)
    }
}

fn node_name(arguments: &NodeArguments) -> String {
    match &arguments.node_name {
        Some(name) if !name.is_empty() => name.clone(),
        _ => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}

/// Reads a recorded snapshot; - is standard input.
pub(crate) fn recorded(path: &Path) -> anyhow::Result<Snapshot> {
    let read = match path.to_str() {
        Some("-") => files::standard_input(files::MAX_SNAPSHOT),
        _ => files::read(path, files::MAX_SNAPSHOT),
    };
    let bytes = read.map_err(|error| Usage(format!("--snapshot: {} {error}", path.display())))?;
    let snapshot =
        Snapshot::from_json(&bytes).map_err(|error| Usage(format!("--snapshot: {}: {error}", path.display())))?;
    tracing::info!(images = snapshot.images.len(), "snapshot read");
    Ok(snapshot)
}
