//! Snapshots: the state of a node at one instant, and its file format.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Doubt, Misdated};
use crate::confirmation::{Confirmations, Counts, Wishers, Wishes};
use crate::container::{Container, OutsideContainer, Sandbox};
use crate::document::DocumentKind;
use crate::image::Image;
use crate::manifest::{API_VERSION, ApiVersion};
use crate::reference;
use crate::text;

mod filesystem;

pub use filesystem::{Filesystem, share_figures};

/// The state of a node at one instant. Lists are sorted, so that equal nodes are equal values.
///
/// Written as JSON, a snapshot can be replayed anywhere: it serves bug reports, the test bench of plugin authors and
/// golden tests. Make one with [`Snapshot::normalize`] or read one with [`Snapshot::from_json`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// Version of the format.
    pub api_version: ApiVersion,
    /// The kind of this document: a snapshot.
    pub kind: DocumentKind,
    /// The time of the inspection, used as "now" wherever an age is judged.
    pub taken_at: Timestamp,
    /// The node and its runtime.
    pub node: Node,
    /// The filesystems that cleaning concerns, sorted by name.
    #[serde(default)]
    pub filesystems: Vec<Filesystem>,
    /// Images, sorted by id.
    pub images: Vec<Image>,
    /// Containers in every state, sorted by id.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// Pod sandboxes, sorted by id.
    #[serde(default)]
    pub sandboxes: Vec<Sandbox>,
    /// Containers that use images and that CRI does not list, sorted by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<OutsideContainer>,
    /// The state from earlier runs.
    #[serde(default, skip_serializing_if = "Memory::is_empty")]
    pub memory: Memory,
}

/// The state kept from earlier runs, apart from the fields of images. Empty when there is no state yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Memory {
    /// The time at which the node was first seen: an image that was first seen then may be older.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Ids of the images that contain Holystone itself and its plugins.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub own_images: BTreeSet<String>,
    /// The time at which a loss of the state was noticed. For a while afterwards, every image counts as young.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Timestamp>,
    /// The pods of the node; absent when no run has seen any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsSeen>,
    /// The reason not to trust the wall clock, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_doubt: Option<Doubt>,
    /// A span of time in which files were dated wrongly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misdated: Option<Misdated>,
    /// The wishes of plugins in earlier runs, by manifest, plugin and digest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confirmations: Vec<Confirmations>,
    /// Wishes for images in earlier runs, by plugin alone: in snapshots of earlier versions, or where only one manifest
    /// is meant.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub wishes: BTreeMap<String, Counts>,
    /// Wishes for log files and directories in earlier runs, by plugin alone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub log_wishes: BTreeMap<String, Counts>,
    /// Ids of the images that the runtime reported as removed but still lists, with the time of the last inspection
    /// that listed them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, Timestamp>,
    /// Set when the runtime took names from an image whose removal it then refused.
    #[serde(skip_serializing_if = "is_false")]
    pub untags_first: bool,
}

/// The times at which the runtime listed pod sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodsSeen {
    /// The last inspection that found a sandbox.
    pub last: Timestamp,
    /// The first inspection after it, if that found none: a starting runtime lists none, and neither does a node
    /// without pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none_since: Option<Timestamp>,
}

impl Memory {
    /// Returns whether there is no state yet.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Picks the earlier wishes of the plugins of one manifest.
    pub fn wishes_of(&self, wishers: &Wishers) -> Wishes {
        let mut before = wishers.wishes(&self.confirmations);
        for (plugin, counts) in &self.wishes {
            before.images.entry(plugin.clone()).or_insert_with(|| counts.clone());
        }
        for (plugin, counts) in &self.log_wishes {
            before.logs.entry(plugin.clone()).or_insert_with(|| counts.clone());
        }
        before
    }
}

// serde requires a reference here.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The node and its container runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Node {
    /// Name of the Kubernetes node, else the machine's host name.
    pub name: String,
    /// Labels of the node, as far as known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Name of the runtime, as reported by the runtime.
    pub runtime_name: String,
    /// Version of the runtime, as reported by the runtime.
    pub runtime_version: String,
    /// References of the image from which the runtime makes sandboxes, if it reports them (containerd: `Status` with
    /// details). No container uses this image, but no pod starts without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sandbox_images: Vec<String>,
    /// Uid of the pod in which Holystone itself runs; empty outside of pods.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub own_pod: String,
    /// Set when the runtime does not report containers that CRI does not list.
    #[serde(skip_serializing_if = "is_false")]
    pub outside_unseen: bool,
    /// The clock beside the wall clock; absent where it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
}

/// The reason why a text is not a usable snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A text that is not JSON, or not of this shape.
    #[error("the snapshot cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A snapshot of another version, or another document.
    #[error(
        "it is no snapshot of this version: apiVersion and kind are {found}, not {API_VERSION} and Snapshot; record the node with `holystone snapshot`"
    )]
    Header {
        /// Both, as in the text.
        found: String,
    },
    /// Two entries of one list with the same id, which makes the id ambiguous.
    #[error("the snapshot lists the {kind} {id:?} twice")]
    Duplicate {
        /// `image`, `container`, `sandbox` or `container outside CRI`.
        kind: &'static str,
        /// The id in question.
        id: String,
    },
}

/// The header alone, so that a newer format is reported as such and not as an unknown field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

impl Header {
    fn check(self) -> Result<(), SnapshotError> {
        let shown = |text: &str| if text.is_empty() { "missing".to_owned() } else { text::shown(text) };
        match (self.api_version.as_str(), self.kind.as_str()) {
            (API_VERSION, "Snapshot") => Ok(()),
            (version, kind) => Err(SnapshotError::Header { found: format!("{} and {}", shown(version), shown(kind)) }),
        }
    }
}

impl Snapshot {
    /// Reads a snapshot and normalizes it.
    ///
    /// # Errors
    /// When the text is not a snapshot, has another format, or lists one id twice.
    pub fn from_json(text: &[u8]) -> Result<Self, SnapshotError> {
        serde_json::from_slice::<Header>(text)?.check()?;
        let snapshot: Self = serde_json::from_slice(text)?;
        let snapshot = snapshot.normalize();
        first_twin(snapshot.images.iter().map(|image| image.id.as_str()), "image")?;
        first_twin(snapshot.containers.iter().map(|container| container.id.as_str()), "container")?;
        first_twin(snapshot.sandboxes.iter().map(|sandbox| sandbox.id.as_str()), "sandbox")?;
        first_twin(snapshot.outside.iter().map(|container| container.id.as_str()), "container outside CRI")?;
        Ok(snapshot)
    }

    /// Sorts the lists, so that equal nodes are equal values whatever order the runtime answers in. Gives all names of
    /// one filesystem the same figures, and drops image names that are none (`<none>:<none>`).
    #[must_use]
    pub fn normalize(mut self) -> Self {
        self.filesystems.sort_by(|a, b| a.name.cmp(&b.name));
        share_figures(&mut self.filesystems);
        self.images.sort_by(|a, b| a.id.cmp(&b.id));
        self.containers.sort_by(|a, b| a.id.cmp(&b.id));
        self.sandboxes.sort_by(|a, b| a.id.cmp(&b.id));
        self.outside.sort_by(|a, b| a.id.cmp(&b.id));
        self.node.sandbox_images.sort();
        for image in &mut self.images {
            image.repo_tags.retain(|tag| !reference::is_none(tag));
            image.repo_digests.retain(|digest| !reference::is_none(digest));
            image.repo_tags.sort();
            image.repo_digests.sort();
        }
        for container in &mut self.containers {
            container.image_volumes.sort();
        }
        self
    }

    /// Creates the snapshot of a node whose container runtime was not asked.
    pub fn without_runtime(taken_at: Timestamp, name: &str) -> Self {
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: DocumentKind::Snapshot,
            taken_at,
            node: Node { name: name.to_owned(), ..Node::default() },
            filesystems: Vec::new(),
            images: Vec::new(),
            containers: Vec::new(),
            sandboxes: Vec::new(),
            outside: Vec::new(),
            memory: Memory::default(),
        }
    }

    /// Returns whether a container runtime was asked. Otherwise images, containers and pods are unknown, which does not
    /// mean that there are none.
    pub fn has_runtime(&self) -> bool {
        !self.node.runtime_name.is_empty()
    }

    /// Returns whether the runtime removes an image's names one by one before it checks whether the image is in use, so
    /// that a refused removal has lost names. cri-dockerd, which calls itself docker, does; for others, earlier runs
    /// decide.
    pub fn untags_first(&self) -> bool {
        self.node.runtime_name == "docker" || self.memory.untags_first
    }

    /// Returns whether the runtime lists some things by an id but removes them only by a name: CRI-O with OCI
    /// artifacts.
    pub fn removes_by_name(&self) -> bool {
        self.node.runtime_name.eq_ignore_ascii_case("cri-o")
    }

    /// Returns a notice that containers outside CRI are not seen, unless the runtime itself protects their images:
    /// CRI-O, and Docker behind cri-dockerd, refuse to remove an image that any container uses.
    pub fn outside_notice(&self) -> Option<String> {
        let refuses = self.removes_by_name() || self.node.runtime_name == "docker";
        (self.node.outside_unseen && !refuses).then(|| {
            format!(
                "{} does not list containers that others started beside the kubelet (ctr, nerdctl): protect their images with --protect (guardRails.protectImages)",
                text::shown(&self.node.runtime_name)
            )
        })
    }

    /// Returns the image with this id, spelt as the runtime spells it.
    pub fn image(&self, id: &str) -> Option<&Image> {
        let exact = self.images.binary_search_by(|image| image.id.as_str().cmp(id));
        exact.ok().and_then(|index| self.images.get(index))
    }
}

fn first_twin<'a>(ids: impl Iterator<Item = &'a str>, kind: &'static str) -> Result<(), SnapshotError> {
    let mut seen = HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(SnapshotError::Duplicate { kind, id: id.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
