//! A furnished node: a real containerd with 125 images, and containers that run, have exited or were never started.
//! What has to become of each image is written down here and not computed by the product.

use std::collections::BTreeSet;
use std::time::Duration;

use holystone_tests::{
    ContainerSpec, Containerd, Cri, Imported, LayerSpec, Pod, TestImage, pause_image, program, sleep_image,
};

use crate::support::{Running, on_each_containerd, sweep};

pub(crate) const CONFIG: &str = r#"{"repositories":["docker.io/minchou/*"]}"#;
pub(crate) const WITH_DANGLING: &str = r#"{"repositories":["docker.io/minchou/*"],"dangling":true}"#;
pub(crate) const PROTECT: [&str; 2] = ["--protect", "docker.io/minchou/base:*"];

const BASE: LayerSpec = LayerSpec { files: 20, bytes_per_file: 4096, seed: 0 };
/// What every old image has of its own.
pub(crate) const OWN_FILES: u32 = 4;
pub(crate) const OWN_FILE_BYTES: u32 = 16 << 10;

pub(crate) const WEB: &str = "docker.io/minchou/web:1.4.0";
/// Of a running container, created by the short form of the name.
pub(crate) const NAMED: &str = "docker.io/minchou/web:1.3.0";
pub(crate) const JOB: &str = "docker.io/minchou/job:7";
pub(crate) const WAITING: &str = "docker.io/minchou/waiting:1";
/// Of a running container, and then the name of a newer image.
const MOVED: &str = "docker.io/minchou/moved:latest";
/// The same without a container.
const NIGHTLY: &str = "docker.io/minchou/nightly:latest";
pub(crate) const LATE: &str = "docker.io/minchou/late:1";
const VOLUME: &str = "docker.io/minchou/volume:1";
const PINNED: &str = "docker.io/minchou/pinned:1";
pub(crate) const SIBLINGS: [&str; 2] = ["docker.io/elsewhere/shared:1", "docker.io/minchou/shared:1"];
const TWINS: [&str; 2] = ["docker.io/minchou/rollout:latest", "docker.io/minchou/rollout:v9.0.0"];
pub(crate) const PROTECTED: [&str; 2] = ["docker.io/minchou/base:1", "docker.io/minchou/base:2"];
const OUT_OF_SCOPE: [&str; 7] = [
    "docker.io/library/nginx:1.25",
    "docker.io/library/nginx:1.26",
    "docker.io/library/nginx:1.27",
    "docker.io/library/minchou:1",
    "docker.io/minchouette/rollout:v1.0.0",
    "quay.io/minchou/rollout:v1.0.0",
    "registry.example:5000/docker.io/minchou/rollout:v1.0.0",
];

/// CRI's number for a container that runs.
const RUNNING: i32 = 1;
/// How often a run is looked at.
const POLL: Duration = Duration::from_millis(2);

/// What has to become of an image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Unused and in scope.
    Goes,
    /// The same, until a test has a container created.
    UsedLater,
    /// In use, or needed by the node itself.
    Stays,
    /// Unused, but named by [`PROTECT`].
    Protected,
    /// Unused, but with a name that no config here means.
    OutOfScope,
    /// Unused and in scope, but without a tag, which has to be asked for.
    Dangling,
    /// Pinned, where containerd can pin; goes elsewhere.
    Pinned,
    /// Mounted into a container, where containerd can mount images; goes elsewhere.
    Mounted,
}

/// A node to be cleaned.
pub(crate) struct Node {
    pub(crate) containerd: Containerd,
    pub(crate) cri: Cri,
    pub(crate) pod: Pod,
    pub(crate) images: Vec<(Imported, Fate)>,
    /// The containers that run.
    running: Vec<String>,
    /// The container that was never started.
    pub(crate) waiting: String,
}

/// Runs the body of a test on a furnished node of each containerd that the machine has. Afterwards the containers that
/// ran from the start have to run on.
pub(crate) async fn on_each_node(
    test: &str,
    body: impl AsyncFn(&mut Node) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let furnished = async |containerd| {
        let mut node = Box::pin(Node::furnish(containerd)).await?;
        body(&mut node).await?;
        node.assert_all_run().await?;
        node.containerd.close()
    };
    on_each_containerd(test, furnished).await
}

/// The images of the node and what has to become of them. With the [`newer`] ones they are 125.
fn images() -> anyhow::Result<Vec<(TestImage, Fate)>> {
    let mut images = vec![(pause_image()?, Fate::Stays)];
    for tag in [WEB, NAMED, JOB, WAITING, MOVED] {
        images.push((sleep_image(tag)?, Fate::Stays));
    }
    images.push((sleep_image(LATE)?, Fate::UsedLater));
    images.push((TestImage::dangling("docker.io/minchou/digest", "in use").program("sleep", program()?), Fate::Stays));
    images.push((TestImage::new(NIGHTLY).layer(BASE), Fate::Dangling));
    images.push((TestImage::new(TWINS[0]).tag(TWINS[1]).layer(BASE), Fate::Goes));
    images.push((TestImage::new(SIBLINGS[1]).tag(SIBLINGS[0]).layer(BASE), Fate::OutOfScope));
    images.push((TestImage::dangling("docker.io/minchou/rollout", "moved on").layer(BASE), Fate::Dangling));
    images.push((TestImage::new(PINNED).layer(BASE).pinned(), Fate::Pinned));
    images.push((TestImage::new(VOLUME).layer(BASE), Fate::Mounted));
    images.extend(PROTECTED.map(|tag| (TestImage::new(tag).layer(BASE), Fate::Protected)));
    images.extend(OUT_OF_SCOPE.map(|tag| (TestImage::new(tag).layer(BASE), Fate::OutOfScope)));
    let rollout = (0..60).map(|number| format!("docker.io/minchou/rollout:v1.{}.{}", number / 10, number % 10));
    let kruise = (1..=40).map(|number| format!("docker.io/minchou/kruiserollout:build-{number}"));
    images.extend(rollout.chain(kruise).zip(1..).map(|(tag, seed)| (old(&tag, seed), Fate::Goes)));
    Ok(images)
}

/// Images that take their tags from others, which are then without a name.
fn newer() -> anyhow::Result<[(TestImage, Fate); 2]> {
    // A container goes by the name of the first, though it runs the older one: a doubt, and so it stays.
    Ok([
        (sleep_image(MOVED)?.label("newer", "yes"), Fate::Stays),
        (TestImage::new(NIGHTLY).label("newer", "yes").layer(BASE), Fate::Goes),
    ])
}

/// An image that shares its base with others and has a layer of its own.
fn old(tag: &str, seed: u64) -> TestImage {
    TestImage::new(tag).layer(BASE).layer(LayerSpec { files: OWN_FILES, bytes_per_file: OWN_FILE_BYTES, seed })
}

impl Node {
    /// A containerd with the images, and containers running, exited and never started.
    async fn furnish(containerd: Containerd) -> anyhow::Result<Self> {
        let mut images = import(&containerd, images()?).await?;
        let cri = containerd.cri()?;
        let pod = cri.run_pod("web").await?;
        let named = ContainerSpec::new("named", NAMED.trim_start_matches("docker.io/"));
        let running = [
            ContainerSpec::new("main", &image(&images, WEB).id).user_specified_image(WEB),
            if containerd.can_mount_images() { named.mount_image(VOLUME, "/volume") } else { named },
            ContainerSpec::new("by-digest", &digest(&images, "docker.io/minchou/digest")),
            ContainerSpec::new("moved", MOVED),
        ];
        let mut ids = Vec::new();
        for container in &running {
            ids.push(cri.running_container(&pod, container).await?);
        }
        cri.exited_container(&pod, "init", JOB).await?;
        let waiting = cri.create_container(&pod, &ContainerSpec::new("waiting", &image(&images, WAITING).id)).await?;
        images.extend(import(&containerd, newer()?.into()).await?);
        assert_eq!(images.len(), 125);
        Ok(Self { containerd, cri, pod, images, running: ids, waiting })
    }

    /// Adds an image.
    pub(crate) async fn import(&mut self, image: TestImage, fate: Fate) -> anyhow::Result<()> {
        self.images.extend(import(&self.containerd, vec![(image, fate)]).await?);
        Ok(())
    }

    /// Adds a hundred images that are unused and in scope.
    pub(crate) async fn refill(&mut self) -> anyhow::Result<()> {
        let more =
            (0..100).map(|number| (old(&format!("docker.io/minchou/rollout:v2.0.{number}"), number), Fate::Goes));
        self.images.extend(import(&self.containerd, more.collect()).await?);
        Ok(())
    }

    pub(crate) fn endpoint(&self) -> String {
        self.containerd.endpoint()
    }

    /// The image that was imported with this tag, and first if there are several.
    pub(crate) fn image(&self, tag: &str) -> &Imported {
        image(&self.images, tag)
    }

    /// Its id.
    pub(crate) fn id(&self, tag: &str) -> String {
        self.image(tag).id.clone()
    }

    /// The ids of the images that have one of these fates on this node.
    pub(crate) fn of(&self, fates: &[Fate]) -> BTreeSet<String> {
        let here = |fate: Fate| match fate {
            Fate::Pinned if !self.containerd.can_pin() => Fate::Goes,
            Fate::Mounted if !self.containerd.can_mount_images() => Fate::Goes,
            fate => fate,
        };
        let chosen = self.images.iter().filter(|(_, fate)| fates.contains(&here(*fate)));
        chosen.map(|(image, _)| image.id.clone()).collect()
    }

    /// The ids of the images that have none of these fates.
    pub(crate) fn all_but(&self, fates: &[Fate]) -> BTreeSet<String> {
        let all: BTreeSet<String> = self.images.iter().map(|(image, _)| image.id.clone()).collect();
        &all - &self.of(fates)
    }

    /// The ids that are there.
    pub(crate) async fn ids(&self) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.cri.image_ids().await?.into_iter().collect())
    }

    /// All that containerd says about images, for comparing.
    pub(crate) async fn everything(&self) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.cri.list_images().await?.into_iter().map(|image| format!("{image:?}")).collect())
    }

    /// Checks that the containers which ran from the start still run.
    pub(crate) async fn assert_all_run(&self) -> anyhow::Result<()> {
        let containers = self.cri.list_containers().await?;
        for id in &self.running {
            assert!(containers.iter().any(|it| it.id == *id && it.state == RUNNING), "{id} runs: {containers:?}");
        }
        Ok(())
    }

    /// Starts a run with this config, and answers it when an image has gone, or the run is over.
    pub(crate) async fn run_under_way(&self, config: &str) -> anyhow::Result<Running> {
        let before = self.ids().await?;
        let mut run = Running::start(sweep("run", "builtin:unused-images", config, &self.endpoint(), &PROTECT));
        while !run.is_over() && self.ids().await? == before {
            tokio::time::sleep(POLL).await;
        }
        Ok(run)
    }
}

async fn import(containerd: &Containerd, images: Vec<(TestImage, Fate)>) -> anyhow::Result<Vec<(Imported, Fate)>> {
    let (images, fates): (Vec<TestImage>, Vec<Fate>) = images.into_iter().unzip();
    Ok(containerd.import(&images).await?.into_iter().zip(fates).collect())
}

fn image<'a>(images: &'a [(Imported, Fate)], tag: &str) -> &'a Imported {
    let has = |(image, _): &&(Imported, Fate)| image.tags.iter().any(|known| known == tag);
    &images.iter().find(has).unwrap_or_else(|| panic!("{tag} was not imported")).0
}

/// The name by digest of an image in that repository.
fn digest(images: &[(Imported, Fate)], repository: &str) -> String {
    let mut digests = images.iter().flat_map(|(image, _)| &image.repo_digests);
    digests.find(|digest| digest.starts_with(&format!("{repository}@"))).expect(repository).clone()
}
