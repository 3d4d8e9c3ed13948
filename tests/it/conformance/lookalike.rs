//! The node that all subjects look like.

use holystone_tests::{
    ContainerSpec, Containerd, Cri, Crio, Imported, LayerSpec, Pod, TestImage, pause_image, sleep_image,
};

pub(super) const PAUSE: &str = "localhost/pause:1";
/// Of a running container, created by the image's id as the kubelet does.
pub(super) const MAIN: &str = "docker.io/minchou/web:1";
/// Of a running container, created by the image's name.
pub(super) const NAMED: &str = "docker.io/minchou/named:1";
/// Of a container that has exited.
pub(super) const JOB: &str = "docker.io/minchou/job:1";
/// Of a container that was never started.
pub(super) const WAITING: &str = "docker.io/minchou/waiting:1";
/// Of nobody.
pub(super) const UNUSED: [&str; 2] = ["docker.io/minchou/unused:1", "docker.io/minchou/unused:2"];
/// Two tags on one image.
pub(super) const TWINS: [&str; 2] = ["docker.io/minchou/rollout:stable", "docker.io/minchou/rollout:v1"];
/// Of this there is an image without a tag.
pub(super) const DANGLING: &str = "docker.io/minchou/rollout";

/// Makes a containerd the node, and answers its pod.
pub(super) async fn furnish(containerd: &Containerd) -> anyhow::Result<Pod> {
    let imported = containerd.import(&images()?).await?;
    Box::pin(run_pod(&containerd.cri()?, &imported, str::to_owned)).await
}

/// Makes a CRI-O the node, and answers its pod.
pub(super) async fn furnish_crio(crio: &Crio) -> anyhow::Result<Pod> {
    let imported = crio.import(&images()?).await?;
    Box::pin(run_pod(&crio.cri()?, &imported, |id| id.trim_start_matches("sha256:").to_owned())).await
}

fn images() -> anyhow::Result<Vec<TestImage>> {
    let base = LayerSpec { files: 2, bytes_per_file: 4096, seed: 1 };
    let mut images = vec![pause_image()?];
    for tag in [MAIN, NAMED, JOB, WAITING] {
        images.push(sleep_image(tag)?);
    }
    images.extend(UNUSED.map(|tag| TestImage::new(tag).layer(base)));
    images.push(TestImage::new(TWINS[0]).tag(TWINS[1]).layer(base));
    images.push(TestImage::dangling(DANGLING, "old").layer(base));
    Ok(images)
}

/// Runs the pod, with images as this runtime spells their ids.
async fn run_pod(raw: &Cri, imported: &[Imported], spelt: impl Fn(&str) -> String) -> anyhow::Result<Pod> {
    let id = |tag: &str| spelt(&imported.iter().find(|image| image.tags.iter().any(|known| known == tag)).unwrap().id);
    let pod = raw.run_pod("web").await?;
    raw.running_container(&pod, &ContainerSpec::new("main", &id(MAIN)).user_specified_image(MAIN)).await?;
    raw.running_container(&pod, &ContainerSpec::new("named", NAMED).user_specified_image(NAMED)).await?;
    raw.exited_container(&pod, "job", JOB).await?;
    raw.create_container(&pod, &ContainerSpec::new("waiting", &id(WAITING)).user_specified_image(WAITING)).await?;
    Ok(pod)
}
