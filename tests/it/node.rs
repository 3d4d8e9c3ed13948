//! A simulated node of its own for one test, to run the binary on and to ask afterwards what is gone.

use std::collections::BTreeSet;

use holystone_core::snapshot::Snapshot;
use holystone_node::{Faults, SimulatedNode};
use tempfile::TempDir;

/// The recorded node of the demo, of which [`TestNode::start`] makes a live one.
pub(crate) const NODE: &[u8] = include_bytes!("../../examples/snapshots/rollout-node.json");

/// A simulated node that knows what it held at the start.
pub(crate) struct TestNode {
    pub(crate) simulated: SimulatedNode,
    before: BTreeSet<String>,
    _directory: TempDir,
}

impl TestNode {
    /// The node of the demo.
    pub(crate) fn start(faults: Faults) -> Self {
        Self::seeded(snapshot(), faults)
    }

    /// A node that looks like this.
    pub(crate) fn seeded(snapshot: Snapshot, faults: Faults) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let simulated = SimulatedNode::start(&directory.path().join("cri.sock"), snapshot, faults).unwrap();
        let before = simulated.images().into_iter().collect();
        Self { simulated, before, _directory: directory }
    }

    /// Where its runtime listens.
    pub(crate) fn endpoint(&self) -> String {
        self.simulated.endpoint().to_string()
    }

    /// The ids of the images that are gone from the node.
    pub(crate) fn gone(&self) -> BTreeSet<String> {
        &self.before - &self.simulated.images().into_iter().collect()
    }
}

/// The node of the demo as it was recorded.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot::from_json(NODE).unwrap()
}

/// The id of the image with this tag.
pub(crate) fn id(tag: &str) -> String {
    let snapshot = snapshot();
    let image = snapshot.images.iter().find(|image| image.repo_tags.iter().any(|known| known == tag));
    image.expect(tag).id.to_string()
}
