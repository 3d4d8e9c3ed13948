//! Small nodes for tests.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::container::{Container, ContainerState, ImageMentions, OutsideContainer, Pod, Sandbox};
use crate::document::DocumentKind;
use crate::image::{Image, ImageId};
use crate::manifest::ApiVersion;
use crate::snapshot::{Memory, Node, Snapshot};

/// Creates an unused image of 100 bytes.
pub(crate) fn image(id: &str, tags: &[&str], digests: &[&str]) -> Image {
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Image {
        id: ImageId::new(id),
        repo_tags: own(tags),
        repo_digests: own(digests),
        size_bytes: 100,
        pinned: false,
        first_seen: None,
        last_used: None,
        annotations: BTreeMap::new(),
    }
}

/// Creates an exited container of the pod `shop/web` with these references to its image.
pub(crate) fn container(name: &str, image: ImageMentions) -> Container {
    Container {
        id: name.to_owned(),
        name: name.to_owned(),
        sandbox_id: "sandbox".to_owned(),
        pod: Pod { uid: "u".to_owned(), namespace: "shop".to_owned(), name: "web".to_owned() },
        image,
        image_volumes: Vec::new(),
        state: ContainerState::Exited,
        created_at: Timestamp::UNIX_EPOCH,
        finished_at: None,
        exit_code: None,
        labels: BTreeMap::new(),
    }
}

/// Creates a sandbox that runs this image.
pub(crate) fn sandbox(id: &str, image: &str) -> Sandbox {
    Sandbox {
        id: id.to_owned(),
        pod: Pod::default(),
        ready: false,
        created_at: Timestamp::UNIX_EPOCH,
        image: image.to_owned(),
        labels: BTreeMap::new(),
    }
}

/// Creates a container of `ctr` from this image.
pub(crate) fn outside(id: &str, image: &str) -> OutsideContainer {
    OutsideContainer { id: id.to_owned(), namespace: "k8s.io".to_owned(), image: image.to_owned() }
}

/// Creates the snapshot of a node with these images and containers.
pub(crate) fn snapshot(images: Vec<Image>, containers: Vec<Container>) -> Snapshot {
    Snapshot {
        api_version: ApiVersion::V1Alpha1,
        kind: DocumentKind::Snapshot,
        taken_at: Timestamp::UNIX_EPOCH,
        node: Node::default(),
        filesystems: Vec::new(),
        images,
        containers,
        sandboxes: Vec::new(),
        outside: Vec::new(),
        memory: Memory::default(),
    }
    .normalize()
}
