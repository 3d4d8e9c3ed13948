//! A small node for this crate's tests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use holystone_core::container::{Container, ContainerState, ImageMentions, Pod, Sandbox};
use holystone_core::document::DocumentKind;
use holystone_core::guard::images::{ImageGuard, Images};
use holystone_core::guard::{Clearance, GuardRails};
use holystone_core::image::{Image, ImageId};
use holystone_core::manifest::ApiVersion;
use holystone_core::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
use holystone_core::snapshot::{Filesystem, Node, Snapshot};
use jiff::Timestamp;
use tempfile::TempDir;

use super::{Faults, SimulatedNode};
use crate::cri::{Cri, Options};

pub(crate) fn id(number: usize) -> String {
    format!("sha256:{number:064x}")
}

pub(crate) fn image(number: usize) -> Image {
    Image {
        id: ImageId::new(id(number)),
        repo_tags: vec![format!("docker.io/minchou/app:v{number}")],
        repo_digests: vec![format!("docker.io/minchou/app@sha256:{:064x}", number + 1_000_000)],
        size_bytes: 1000,
        pinned: number == 1,
        first_seen: None,
        last_used: None,
        annotations: BTreeMap::from([("number".to_owned(), number.to_string())]),
    }
}

pub(crate) fn container(name: &str, image: usize) -> Container {
    Container {
        id: format!("container-{name}"),
        name: name.to_owned(),
        sandbox_id: "sandbox-0".to_owned(),
        pod: pod(),
        image: ImageMentions {
            image_id: id(image),
            image_ref: id(image),
            image: id(image),
            user_specified_image: format!("minchou/app:v{image}"),
        },
        image_volumes: Vec::new(),
        state: ContainerState::Running,
        created_at: Timestamp::new(1_700_000_000, 123_456_789).unwrap(),
        finished_at: None,
        exit_code: None,
        labels: BTreeMap::from([("a".to_owned(), name.to_owned())]),
    }
}

fn pod() -> Pod {
    Pod { uid: "uid-0".to_owned(), namespace: "shop".to_owned(), name: "front".to_owned() }
}

/// Returns a node of this many images; image 0 runs, image 1 is pinned, image 2 is a volume of an exited container.
pub(crate) fn snapshot(images: usize) -> Snapshot {
    let exited = Container {
        state: ContainerState::Exited,
        finished_at: Some(Timestamp::new(1_700_000_500, 0).unwrap()),
        exit_code: Some(3),
        image_volumes: vec![id(2)],
        ..container("init", 0)
    };
    let sandbox = Sandbox {
        id: "sandbox-0".to_owned(),
        pod: pod(),
        ready: true,
        created_at: Timestamp::new(1_699_999_999, 0).unwrap(),
        image: "registry.k8s.io/pause:3.9".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "front".to_owned())]),
    };
    Snapshot {
        api_version: ApiVersion::V1Alpha1,
        kind: DocumentKind::Snapshot,
        taken_at: Timestamp::UNIX_EPOCH,
        node: Node {
            name: "node-1".to_owned(),
            runtime_name: "containerd".to_owned(),
            runtime_version: "1.7.0".to_owned(),
            sandbox_images: vec!["registry.k8s.io/pause:3.9".to_owned()],
            ..Default::default()
        },
        filesystems: vec![Filesystem {
            name: "images".to_owned(),
            mountpoint: "/".to_owned(),
            capacity_bytes: Some(1_000_000),
            available_bytes: Some(400_000),
            used_bytes: Some(600_000),
            ..Default::default()
        }],
        images: (0..images).map(image).collect(),
        containers: vec![container("main", 0), exited],
        sandboxes: vec![sandbox],
        outside: Vec::new(),
        memory: holystone_core::snapshot::Memory::default(),
    }
    .normalize()
}

/// A simulated node on its own socket.
pub(crate) struct Bench {
    pub(crate) node: SimulatedNode,
    directory: TempDir,
}

impl Bench {
    pub(crate) fn new(images: usize, faults: Faults) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let node = SimulatedNode::start(&directory.path().join("cri.sock"), snapshot(images), faults).unwrap();
        Self { node, directory }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub(crate) async fn connect(&self) -> Cri {
        Cri::connect(self.node.endpoint(), Options::default()).await.unwrap()
    }
}

/// Clears the removal of an image, by the default guard rails on a node without containers.
pub(crate) fn clearance(number: usize) -> Clearance<Images> {
    let node = Snapshot { containers: Vec::new(), sandboxes: Vec::new(), ..snapshot(number + 1) };
    let rails = GuardRails::default();
    let guard = ImageGuard::new(&node, &rails);
    let reason = Reason { kind: ReasonKind::Unused, text: String::new() };
    let wish = Wish { target: Target::Image(id(number)), verb: Verb::Remove, reason, expected_bytes: None };
    let plan = guard.review(vec![Proposal { plugin: "test".to_owned(), wishes: vec![wish] }.into()]);
    guard.clear(&plan.steps[0]).unwrap()
}
