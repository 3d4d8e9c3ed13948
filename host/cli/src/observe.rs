//! Looking at a node, this one or a recorded one. A look at this one comes with what is remembered of it.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use holystone_core::snapshot::Snapshot;
use holystone_core::state::State;
use holystone_node::{Cri, Endpoint, NodeError, Options, Surroundings};
use jiff::Timestamp;

use crate::args::NodeArguments;
use crate::exit::Usage;

/// A connected runtime, what this node is called, and the pod that this runs in; empty outside of pods.
pub(crate) struct LiveNode {
    pub(crate) cri: Cri,
    pub(crate) name: String,
    pub(crate) own_pod: String,
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
        let pod_uid = arguments.pod_uid.clone().filter(|uid| !uid.is_empty());
        let own_pod = pod_uid.or_else(holystone_node::own_pod).unwrap_or_default();
        Ok(Self { cri, name: node_name(arguments), own_pod })
    }

    /// Looks at everything.
    pub(crate) async fn observe(&self) -> Result<Snapshot, NodeError> {
        Ok(self.named(self.cri.observe(Timestamp::now(), &self.name).await?))
    }

    /// Looks again, right before a removal, and recalls what is known of the images.
    pub(crate) async fn look(&self, state: &State) -> Result<Snapshot, NodeError> {
        let mut snapshot = self.named(self.cri.look(Timestamp::now(), &self.name).await?);
        state.recall(&mut snapshot);
        Ok(snapshot)
    }

    fn named(&self, mut snapshot: Snapshot) -> Snapshot {
        self.own_pod.clone_into(&mut snapshot.node.own_pod);
        snapshot
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
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| Usage(format!("--snapshot: {} cannot be read: {error}", path.display())))?;
    let snapshot =
        Snapshot::from_json(&bytes).map_err(|error| Usage(format!("--snapshot: {}: {error}", path.display())))?;
    tracing::info!(images = snapshot.images.len(), "snapshot read");
    Ok(snapshot)
}

/// Writes a snapshot as the file format has it.
pub(crate) fn to_json(snapshot: &Snapshot) -> anyhow::Result<String> {
    serde_json::to_string_pretty(snapshot).context("the snapshot cannot be written")
}
