//! Looking at a node, this one or a recorded one. A look at this one comes with what is remembered of it.

use std::path::Path;

use holystone_core::snapshot::Snapshot;
use holystone_core::state::State;
use holystone_node::{Cri, Endpoint, NodeError, Options, Surroundings};
use jiff::Timestamp;

use crate::args::NodeArguments;
use crate::exit::Usage;
use crate::files;

/// A connected runtime, what this node is called, and the pod that this runs in; empty outside of pods.
pub(crate) struct LiveNode {
    pub(crate) cri: Cri,
    pub(crate) name: String,
    pub(crate) own_pod: String,
}

impl LiveNode {
    /// Finds the runtime's socket, where none is given (`auto`), and connects to it.
    pub(crate) async fn connect(endpoint: &str, arguments: &NodeArguments) -> anyhow::Result<Self> {
        let endpoint = match endpoint {
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

/// What this node is called.
pub(crate) fn node_name(arguments: &NodeArguments) -> String {
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
