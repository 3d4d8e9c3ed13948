//! Containers and pod sandboxes, and the ways in which they name images.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::reference;

/// Stands in the place of an image reference where the runtime lists a container or sandbox and has no status of it: it
/// may use any image.
pub const UNKNOWN_IMAGE: &str = "<unknown>";

/// Life-cycle state of a container (CRI `ContainerState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContainerState {
    /// Created, never started.
    Created,
    /// Running.
    Running,
    /// Exited; init containers and completed jobs stay in this state.
    Exited,
    /// The runtime does not know, or named a state that this version does not know.
    Unknown,
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Unknown => "in an unknown state",
        })
    }
}

/// The pod that a container or sandbox belongs to. Fields are empty when the runtime does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pod {
    /// Uid.
    pub uid: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Every name under which a container refers to its image. Which of them are filled, and with an id, a tag or
/// a digest, differs between runtimes and versions; that is why all of them count. Unknown ones are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ImageMentions {
    /// CRI `image_id`: the image's id; only since Kubernetes 1.30.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_id: String,
    /// CRI `image_ref`: an id or a digest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_ref: String,
    /// CRI `image.image`: what the container was created with, an id or a name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// CRI `image.user_specified_image`: what the pod says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_specified_image: String,
}

impl ImageMentions {
    /// The mentions that are filled.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        [&self.image_id, &self.image_ref, &self.image, &self.user_specified_image]
            .into_iter()
            .map(String::as_str)
            .filter(|mention| !reference::is_none(mention))
    }
}

/// One container of the node, in whatever state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    /// Identity.
    pub id: String,
    /// Name within its pod.
    pub name: String,
    /// Sandbox that it runs in.
    pub sandbox_id: String,
    /// Pod that it belongs to.
    #[serde(default)]
    pub pod: Pod,
    /// How it refers to its image.
    #[serde(default)]
    pub image: ImageMentions,
    /// References of images mounted as volumes (CRI `Mount.image`), sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_volumes: Vec<String>,
    /// Life-cycle state.
    pub state: ContainerState,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it finished, if it has and the runtime tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Exit code, if it has finished and the runtime tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Container {
    /// Every reference to an image: its own image's mentions, then those of image volumes.
    pub fn image_references(&self) -> impl Iterator<Item = &str> {
        self.image.iter().chain(self.image_volumes.iter().map(String::as_str))
    }
}

/// One pod sandbox of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sandbox {
    /// Identity.
    pub id: String,
    /// The pod.
    #[serde(default)]
    pub pod: Pod,
    /// Whether it is up (CRI `SANDBOX_READY`).
    pub ready: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// Reference of the image that the sandbox itself runs (the pause image); empty when the runtime does not tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A container that the runtime has and CRI does not list: `ctr` or nerdctl made it beside the kubelet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutsideContainer {
    /// Identity.
    pub id: String,
    /// The runtime's namespace that it is in (containerd's, not a Kubernetes namespace).
    pub namespace: String,
    /// The name by which it was made from an image; [`UNKNOWN_IMAGE`] when that may be any.
    pub image: String,
}
