//! What a node looks like at one instant: observed once per run, and a file format of its own.

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

/// One look at a node. Lists are sorted by id, so that equal nodes are equal values.
///
/// Written as JSON it can be replayed anywhere: a bug report, the test bench of plugin authors and the input of
/// golden tests at once. Make one with [`Snapshot::normalize`] or read one with [`Snapshot::from_json`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// Version of the format.
    pub api_version: ApiVersion,
    /// The kind of this document: a snapshot.
    pub kind: DocumentKind,
    /// When the look was taken. Whoever judges by age uses it as "now".
    pub taken_at: Timestamp,
    /// The node and its runtime.
    pub node: Node,
    /// Filesystems that cleaning is about, sorted by name.
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
    /// What earlier runs left to remember.
    #[serde(default, skip_serializing_if = "Memory::is_empty")]
    pub memory: Memory,
}

/// What Holystone remembers of the node from earlier runs, as far as it is not said of an image. Empty when nothing
/// is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Memory {
    /// Since when the node is remembered: an image that was first seen then may be older.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Ids of the images that Holystone itself and its plugins come in.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub own_images: BTreeSet<String>,
    /// When it was noticed that what had been remembered was lost: for a while after that every image is young.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Timestamp>,
    /// The pods of the node, as far as it is known to have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsSeen>,
    /// Why the wall clock is not trusted, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_doubt: Option<Doubt>,
    /// A span of time in which files were dated wrongly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misdated: Option<Misdated>,
    /// What plugins wished in runs before this one, by manifest, plugin and digest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confirmations: Vec<Confirmations>,
    /// The same of images, by plugin alone: in snapshots of earlier versions, and where only one manifest is meant.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub wishes: BTreeMap<String, Counts>,
    /// The same of log files and directories.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub log_wishes: BTreeMap<String, Counts>,
    /// Ids of the images that the runtime said it removed and lists all the same, and when it was asked.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, Timestamp>,
    /// Whether the runtime was seen to take names from an image whose removal it then refused.
    #[serde(skip_serializing_if = "is_false")]
    pub untags_first: bool,
}

/// When the runtime listed pod sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodsSeen {
    /// The last look at which there was one.
    pub last: Timestamp,
    /// The first look after it, if that found none: a runtime that is starting lists none, and a node without pods as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none_since: Option<Timestamp>,
}

impl Memory {
    /// Whether nothing is remembered.
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

// serde asks for a reference here.
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
    /// Name of the runtime as it calls itself.
    pub runtime_name: String,
    /// Version of the runtime as it calls itself.
    pub runtime_version: String,
    /// References of the image that the runtime makes sandboxes from, as far as it tells (containerd:
    /// `Status` with details); used by no container, yet no pod starts without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sandbox_images: Vec<String>,
    /// Uid of the pod that Holystone itself runs in; empty outside of pods.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub own_pod: String,
    /// True if the runtime does not answer the question for containers that CRI does not list.
    #[serde(skip_serializing_if = "is_false")]
    pub outside_unseen: bool,
    /// The clock beside the wall clock; absent where it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
}

/// Why a text is not a usable snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not JSON, or not of this shape.
    #[error("the snapshot cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by another version, or another document.
    #[error(
        "it is no snapshot of this version: apiVersion and kind are {found}, not {API_VERSION} and Snapshot; record the node with `holystone snapshot`"
    )]
    Header {
        /// Both, as the text has them.
        found: String,
    },
    /// Two entries of one list have the same id, so that it is unclear which one an id means.
    #[error("the snapshot lists the {kind} {id:?} twice")]
    Duplicate {
        /// `image`, `container`, `sandbox` or `container outside CRI`.
        kind: &'static str,
        /// The id in question.
        id: String,
    },
}

/// Reads only what the text says it is, so that a newer format is named as such and not as an unknown field.
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
    /// Reads a snapshot and brings it into normal form.
    ///
    /// # Errors
    /// When the text is not a snapshot, is of another format, or lists one id twice.
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

    /// Sorts every list, so that equal nodes are equal values whatever order the runtime answers in, and drops names
    /// that are none (`<none>:<none>`).
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

    /// A node of which no container runtime was asked.
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

    /// Whether a container runtime was asked. Without one nothing is known of images, containers and pods, which is not
    /// the same as that there are none.
    pub fn has_runtime(&self) -> bool {
        !self.node.runtime_name.is_empty()
    }

    /// Whether the runtime removes an image's names one by one before it finds out whether the image is in use: then a
    /// refused removal has lost names. cri-dockerd, which calls itself docker, does; others are known by what they did.
    pub fn untags_first(&self) -> bool {
        self.node.runtime_name == "docker" || self.memory.untags_first
    }

    /// Whether the runtime keeps things that it lists by an id and removes only by a name: CRI-O with OCI artifacts.
    pub fn removes_by_name(&self) -> bool {
        self.node.runtime_name.eq_ignore_ascii_case("cri-o")
    }

    /// Says that containers outside CRI are not seen, where nothing else keeps their images. CRI-O, and Docker behind
    /// cri-dockerd, refuse to remove an image that any container uses.
    pub fn outside_notice(&self) -> Option<String> {
        let refuses = self.removes_by_name() || self.node.runtime_name == "docker";
        (self.node.outside_unseen && !refuses).then(|| {
            format!(
                "{} does not list containers that others started beside the kubelet (ctr, nerdctl): protect their images with --protect (guardRails.protectImages)",
                text::shown(&self.node.runtime_name)
            )
        })
    }

    /// The image with this id, spelt as the runtime spells it.
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
