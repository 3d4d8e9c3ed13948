//! Containers and pod sandboxes, and their references to images.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::reference;

/// A placeholder for the image reference of a container or sandbox whose image the runtime does not report: it may use
/// any image.
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
    /// Unknown to the runtime, or a state that this version does not know.
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

/// The pod of a container or sandbox. Fields are empty if the runtime does not report them.
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

/// Every name by which a container references its image. All of them count, because runtimes and versions differ in
/// which fields they fill, and whether with an id, a tag or a digest. Unknown ones are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ImageMentions {
    /// CRI `image_id`: the image's id; only since Kubernetes 1.30.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_id: String,
    /// CRI `image_ref`: an id or a digest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image_ref: String,
    /// CRI `image.image`: the id or name that the container was created with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// CRI `image.user_specified_image`: the reference in the pod.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_specified_image: String,
}

impl ImageMentions {
    /// Returns the mentions, without those that are empty or `<none>`.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        [&self.image_id, &self.image_ref, &self.image, &self.user_specified_image]
            .into_iter()
            .map(String::as_str)
            .filter(|mention| !reference::is_none(mention))
    }
}

/// One container of the node, in any state.
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
    /// References to its image.
    #[serde(default)]
    pub image: ImageMentions,
    /// References of images mounted as volumes (CRI `Mount.image`), sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_volumes: Vec<String>,
    /// Life-cycle state.
    pub state: ContainerState,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of its exit, if it exited and the runtime reports the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Exit code, if it exited and the runtime reports the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Container {
    /// Returns every reference to an image: the mentions of the container's own image, then image volumes.
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
    /// True if the sandbox is up (CRI `SANDBOX_READY`).
    pub ready: bool,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// Reference of the image that the sandbox itself runs (the pause image); empty if the runtime does not report it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A container that the runtime has but CRI does not list: created by `ctr` or nerdctl, not by the kubelet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutsideContainer {
    /// Identity.
    pub id: String,
    /// Namespace in the runtime (containerd's, not a Kubernetes namespace).
    pub namespace: String,
    /// The image reference that it was created from; [`UNKNOWN_IMAGE`] if that may be any image.
    pub image: String,
}
