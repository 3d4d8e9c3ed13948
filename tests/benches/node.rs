//! A made-up node of any size: the same one for the same number of images.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use holystone_core::container::{Container, ContainerState, ImageMentions, Pod, Sandbox};
use holystone_core::document::DocumentKind;
use holystone_core::image::{Image, ImageId};
use holystone_core::manifest::ApiVersion;
use holystone_core::snapshot::{Filesystem, Node, Snapshot};
use jiff::{Timestamp, ToSpan as _};

/// Takes the old images of the teams' repositories, keeps the newest of each: most images go, as in the field.
pub(crate) const CONFIG: &str = r#"{"repositories":["docker.io/minchou/*"],"keepLast":1}"#;

const PAUSE: &str = "registry.k8s.io/pause:3.9";

/// How a node of so many images looks.
struct Shape {
    images: usize,
    repositories: usize,
    containers: usize,
}

impl Shape {
    fn of(images: usize) -> Self {
        let (repositories, containers) = match images {
            ..500 => (4, 30),
            500..5_000 => (20, 60),
            _ => (200, 110),
        };
        Self { images, repositories, containers }
    }
}

/// A node with so many images: one digest and one or two tags each, a tenth of them from elsewhere, containers in
/// two of three pods' worth of sandboxes and a third of them exited.
pub(crate) fn snapshot(images: usize) -> Snapshot {
    let shape = Shape::of(images);
    let mut dice = Dice(0x5eed);
    let mut images: Vec<Image> = (1..shape.images).map(|number| image(number, &shape, &mut dice)).collect();
    // Containers run what was pulled last.
    let running = images.len().saturating_sub(shape.containers);
    let sandboxes: Vec<Sandbox> = (0..shape.containers * 2 / 3).map(|number| sandbox(number, &mut dice)).collect();
    let containers = (0..shape.containers)
        .map(|number| container(number, &images[running + number], &sandboxes[number % sandboxes.len()], &mut dice))
        .collect();
    images.push(pause(&mut dice));
    Snapshot {
        api_version: ApiVersion::V1Alpha1,
        kind: DocumentKind::Snapshot,
        taken_at: now(),
        node: Node {
            name: "bench".to_owned(),
            runtime_name: "containerd".to_owned(),
            runtime_version: "v1.7.27".to_owned(),
            sandbox_images: vec![PAUSE.to_owned()],
            ..Node::default()
        },
        filesystems: vec![Filesystem {
            name: "images".to_owned(),
            mountpoint: "/simulated/containerd".to_owned(),
            capacity_bytes: Some(1 << 40),
            available_bytes: Some(1 << 38),
            used_bytes: Some(images.iter().map(|image| image.size_bytes).sum()),
            ..Filesystem::default()
        }],
        images,
        containers,
        sandboxes,
        outside: Vec::new(),
        memory: holystone_core::snapshot::Memory::default(),
    }
    .normalize()
}

fn now() -> Timestamp {
    "2026-11-24T06:00:00Z".parse().unwrap()
}

fn image(number: usize, shape: &Shape, dice: &mut Dice) -> Image {
    let (group, build) = (number % shape.repositories, number / shape.repositories);
    let repository = match (number % 10, group) {
        (9, _) => format!("registry.k8s.io/addons/controller-{group}"),
        (_, 0) => "docker.io/minchou/rollout".to_owned(),
        _ => format!("docker.io/minchou/team-{}/service-{group}", group % 7),
    };
    let mut repo_tags = vec![format!("{repository}:v1.{}.{}", build / 10, build % 10)];
    if number.is_multiple_of(4) {
        repo_tags.push(format!("{repository}:build-{number}"));
    }
    let repo_digests = vec![format!("{repository}@sha256:{}", dice.hex(64))];
    Image {
        id: ImageId::new(format!("sha256:{}", dice.hex(64))),
        repo_tags,
        repo_digests,
        size_bytes: 20_000_000 + dice.next() % 300_000_000,
        pinned: false,
        first_seen: None,
        last_used: None,
        annotations: BTreeMap::new(),
    }
}

fn pause(dice: &mut Dice) -> Image {
    Image {
        id: ImageId::new(format!("sha256:{}", dice.hex(64))),
        repo_tags: vec![PAUSE.to_owned()],
        repo_digests: vec![format!("registry.k8s.io/pause@sha256:{}", dice.hex(64))],
        size_bytes: 320_000,
        pinned: true,
        first_seen: None,
        last_used: None,
        annotations: BTreeMap::new(),
    }
}

fn sandbox(number: usize, dice: &mut Dice) -> Sandbox {
    let pod = Pod {
        uid: dice.hex(32),
        namespace: format!("team-{}", number % 7),
        name: format!("service-{number}-{}", dice.hex(10)),
    };
    let labels = pod_labels(&pod);
    Sandbox { id: dice.hex(64), pod, ready: true, created_at: now() - 30.hours(), image: PAUSE.to_owned(), labels }
}

fn container(number: usize, image: &Image, sandbox: &Sandbox, dice: &mut Dice) -> Container {
    let exited = number % 3 == 2;
    let name = format!("main-{number}");
    let mut labels = pod_labels(&sandbox.pod);
    labels.insert("io.kubernetes.container.name".to_owned(), name.clone());
    Container {
        id: dice.hex(64),
        name,
        sandbox_id: sandbox.id.clone(),
        pod: sandbox.pod.clone(),
        image: ImageMentions {
            image_id: image.id.as_str().to_owned(),
            image_ref: image.id.as_str().to_owned(),
            image: image.id.as_str().to_owned(),
            user_specified_image: image.repo_tags[0].clone(),
        },
        image_volumes: Vec::new(),
        state: if exited { ContainerState::Exited } else { ContainerState::Running },
        created_at: now() - 29.hours(),
        finished_at: exited.then(|| now() - 28.hours()),
        exit_code: exited.then_some(0),
        labels,
    }
}

fn pod_labels(pod: &Pod) -> BTreeMap<String, String> {
    [("name", &pod.name), ("namespace", &pod.namespace), ("uid", &pod.uid)]
        .map(|(key, value)| (format!("io.kubernetes.pod.{key}"), value.clone()))
        .into()
}

/// Numbers without a pattern, the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            // Writing to a String cannot fail.
            let _ = write!(text, "{:016x}", self.next());
        }
        text.truncate(digits);
        text
    }
}
