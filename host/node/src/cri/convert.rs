//! The conversions between the messages of CRI and containerd and Holystone's own types.
//!
//! Nothing is decided here, and nothing is trusted: absent parts, unknown states and absurd times become defined
//! values, never a panic. The conversions from Holystone's types to messages serve the simulated node.

use std::collections::{BTreeMap, HashMap};

use containerd_client::services::v1 as containerd;
use holystone_core::container::{
    Container, ContainerState, ImageMentions, OutsideContainer, Pod, Sandbox, UNKNOWN_IMAGE,
};
use holystone_core::image::{Image, ImageId};
use holystone_core::snapshot::Filesystem;
use jiff::Timestamp;
use k8s_cri::v1;
use serde_json::{Value, json};

/// Labels that the kubelet puts on every container to name its pod.
const POD_UID: &str = "io.kubernetes.pod.uid";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_NAME: &str = "io.kubernetes.pod.name";

/// The facts that a container's status adds to its entry in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Details {
    pub(crate) image: ImageMentions,
    pub(crate) image_volumes: Vec<String>,
    pub(crate) exited: bool,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) exit_code: Option<i32>,
}

pub(crate) fn image(image: v1::Image) -> Image {
    Image {
        id: ImageId::new(image.id),
        repo_tags: image.repo_tags,
        repo_digests: image.repo_digests,
        size_bytes: image.size,
        pinned: image.pinned,
        first_seen: None,
        last_used: None,
        annotations: sorted(image.spec.unwrap_or_default().annotations),
    }
}

pub(crate) fn image_message(image: &Image) -> v1::Image {
    v1::Image {
        id: image.id.to_string(),
        repo_tags: image.repo_tags.clone(),
        repo_digests: image.repo_digests.clone(),
        size: image.size_bytes,
        pinned: image.pinned,
        spec: (!image.annotations.is_empty())
            .then(|| v1::ImageSpec { annotations: unsorted(&image.annotations), ..Default::default() }),
        ..Default::default()
    }
}

pub(crate) fn container(container: v1::Container) -> Container {
    let state = state(container.state);
    Container {
        pod: pod_by_labels(&container.labels),
        name: container.metadata.unwrap_or_default().name,
        sandbox_id: container.pod_sandbox_id,
        image: mentions(container.image_id, container.image_ref, container.image),
        image_volumes: Vec::new(),
        state,
        created_at: timestamp(container.created_at),
        finished_at: None,
        exit_code: None,
        labels: sorted(container.labels),
        id: container.id,
    }
}

pub(crate) fn container_message(container: &Container) -> v1::Container {
    v1::Container {
        id: container.id.clone(),
        pod_sandbox_id: container.sandbox_id.clone(),
        metadata: Some(v1::ContainerMetadata { name: container.name.clone(), attempt: 0 }),
        image: Some(spec_message(&container.image)),
        image_ref: container.image.image_ref.clone(),
        state: state_number(container.state),
        created_at: nanoseconds(container.created_at),
        labels: unsorted(&container.labels),
        image_id: container.image.image_id.clone(),
        ..Default::default()
    }
}

pub(crate) fn details(status: v1::ContainerStatus) -> Details {
    let exited = state(status.state) == ContainerState::Exited;
    Details {
        image: mentions(status.image_id, status.image_ref, status.image),
        image_volumes: status.mounts.into_iter().filter_map(image_volume).collect(),
        exited,
        finished_at: Some(status.finished_at).filter(|at| exited && *at > 0).map(timestamp),
        exit_code: exited.then_some(status.exit_code),
    }
}

/// Returns the reference of a mounted image; `None` for other mounts. If an image mount names neither image nor host
/// path, the reference is empty, which protects every image.
fn image_volume(mount: v1::Mount) -> Option<String> {
    let spec = mount.image?;
    let reference = if spec.image.is_empty() { spec.user_specified_image } else { spec.image };
    (!reference.is_empty() || mount.host_path.is_empty()).then_some(reference)
}

/// Converts a container of containerd's own list; `None` if the container uses no image.
pub(crate) fn outside(message: containerd::ListContainerMessage, namespace: &str) -> Option<OutsideContainer> {
    let container = message.container?;
    let image = match (container.image.as_str(), container.snapshot_key.as_str()) {
        // The root of the container is a directory of the machine.
        ("", "") => return None,
        // The container was made from the layers of an unnamed image.
        ("", _) => UNKNOWN_IMAGE,
        (image, _) => image,
    };
    Some(OutsideContainer { id: container.id, namespace: namespace.to_owned(), image: image.to_owned() })
}

pub(crate) fn outside_message(container: &OutsideContainer) -> containerd::ListContainerMessage {
    let is_known = container.image != UNKNOWN_IMAGE;
    let container = containerd::Container {
        id: container.id.clone(),
        image: if is_known { container.image.clone() } else { String::new() },
        snapshot_key: container.id.clone(),
        ..Default::default()
    };
    containerd::ListContainerMessage { container: Some(container) }
}

pub(crate) fn status_message(container: &Container) -> v1::ContainerStatus {
    v1::ContainerStatus {
        id: container.id.clone(),
        metadata: Some(v1::ContainerMetadata { name: container.name.clone(), attempt: 0 }),
        state: state_number(container.state),
        created_at: nanoseconds(container.created_at),
        finished_at: container.finished_at.map_or(0, nanoseconds),
        exit_code: container.exit_code.unwrap_or(0),
        image: Some(spec_message(&container.image)),
        image_ref: container.image.image_ref.clone(),
        image_id: container.image.image_id.clone(),
        labels: unsorted(&container.labels),
        mounts: container.image_volumes.iter().map(|reference| mount_message(reference)).collect(),
        ..Default::default()
    }
}

fn mount_message(reference: &str) -> v1::Mount {
    let image = v1::ImageSpec { image: reference.to_owned(), ..Default::default() };
    v1::Mount { container_path: "/volume".to_owned(), readonly: true, image: Some(image), ..Default::default() }
}

pub(crate) fn sandbox(sandbox: v1::PodSandbox) -> Sandbox {
    let metadata = sandbox.metadata.unwrap_or_default();
    Sandbox {
        id: sandbox.id,
        pod: Pod { uid: metadata.uid, namespace: metadata.namespace, name: metadata.name },
        ready: sandbox.state == v1::PodSandboxState::SandboxReady as i32,
        created_at: timestamp(sandbox.created_at),
        image: String::new(),
        labels: sorted(sandbox.labels),
    }
}

pub(crate) fn sandbox_message(sandbox: &Sandbox) -> v1::PodSandbox {
    v1::PodSandbox {
        id: sandbox.id.clone(),
        metadata: Some(pod_message(&sandbox.pod)),
        state: ready_number(sandbox.ready),
        created_at: nanoseconds(sandbox.created_at),
        labels: unsorted(&sandbox.labels),
        ..Default::default()
    }
}

pub(crate) fn sandbox_status_message(sandbox: &Sandbox, verbose: bool) -> v1::PodSandboxStatusResponse {
    let status = v1::PodSandboxStatus {
        id: sandbox.id.clone(),
        metadata: Some(pod_message(&sandbox.pod)),
        state: ready_number(sandbox.ready),
        created_at: nanoseconds(sandbox.created_at),
        labels: unsorted(&sandbox.labels),
        ..Default::default()
    };
    let info = json!({ "pid": 0, "image": sandbox.image }).to_string();
    let info = if verbose { HashMap::from([("info".to_owned(), info)]) } else { HashMap::new() };
    v1::PodSandboxStatusResponse { status: Some(status), info, ..Default::default() }
}

/// Finds the image of a sandbox in its verbose status (containerd and CRI-O alike); empty if not reported.
pub(crate) fn sandbox_own_image(info: &HashMap<String, String>) -> String {
    let info = info.get("info").and_then(|text| serde_json::from_str::<Value>(text).ok());
    info.as_ref().and_then(|info| info.get("image")?.as_str()).unwrap_or_default().to_owned()
}

/// Finds the images of sandboxes in the runtime's verbose status: `sandboxImage` on containerd 1.x and CRI-O.
/// containerd 2.x does not report the image, but pins it; if a release reports its settings for pinned images, they are
/// read too.
pub(crate) fn sandbox_images(info: &HashMap<String, String>) -> Vec<String> {
    let config = info.get("config").and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default();
    let pinned = config.get("pinnedImages").and_then(Value::as_object);
    let named = config.get("sandboxImage").into_iter().chain(pinned.into_iter().flat_map(|images| images.values()));
    let mut images: Vec<String> =
        named.filter_map(Value::as_str).filter(|image| !image.is_empty()).map(str::to_owned).collect();
    images.sort();
    images.dedup();
    images
}

/// Finds the runtime's own directories in its verbose status, as containerd reports them.
pub(crate) fn own_directories(info: &HashMap<String, String>) -> Vec<String> {
    let config = info.get("config").and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default();
    let named = ["containerdRootDir", "rootDir", "stateDir"].map(|field| config.get(field).and_then(Value::as_str));
    named.into_iter().flatten().map(str::to_owned).collect()
}

/// Writes the first sandbox image where containerd has its only one, and further ones to the pinned images.
pub(crate) fn runtime_info(sandbox_images: &[String]) -> HashMap<String, String> {
    let pinned: BTreeMap<String, &String> =
        sandbox_images.iter().skip(1).enumerate().map(|(place, image)| (format!("sandbox{place}"), image)).collect();
    let config = json!({ "sandboxImage": sandbox_images.first().cloned().unwrap_or_default(), "pinnedImages": pinned });
    HashMap::from([("config".to_owned(), config.to_string())])
}

/// Converts the filesystems of images, and of containers if different, named `images`, `images-2`, `containers` …
pub(crate) fn filesystems(answer: v1::ImageFsInfoResponse) -> Vec<Filesystem> {
    let images: Vec<_> = answer.image_filesystems.into_iter().map(filesystem).collect();
    let mut containers: Vec<_> = answer.container_filesystems.into_iter().map(filesystem).collect();
    containers.retain(|filesystem| images.iter().all(|other| other.mountpoint != filesystem.mountpoint));
    numbered(images, "images").chain(numbered(containers, "containers")).collect()
}

fn numbered(filesystems: Vec<Filesystem>, kind: &str) -> impl Iterator<Item = Filesystem> {
    filesystems.into_iter().enumerate().map(move |(place, filesystem)| {
        let name = if place == 0 { kind.to_owned() } else { format!("{kind}-{}", place + 1) };
        Filesystem { name, ..filesystem }
    })
}

fn filesystem(usage: v1::FilesystemUsage) -> Filesystem {
    Filesystem {
        mountpoint: usage.fs_id.unwrap_or_default().mountpoint,
        used_bytes: usage.used_bytes.map(|bytes| bytes.value),
        ..Default::default()
    }
}

pub(crate) fn filesystem_message(filesystem: &Filesystem, mountpoint: String, now: Timestamp) -> v1::FilesystemUsage {
    v1::FilesystemUsage {
        timestamp: nanoseconds(now),
        fs_id: Some(v1::FilesystemIdentifier { mountpoint }),
        used_bytes: Some(v1::UInt64Value { value: filesystem.used_bytes.unwrap_or(0) }),
        inodes_used: filesystem
            .inodes
            .zip(filesystem.inodes_free)
            .map(|(all, free)| v1::UInt64Value { value: all.saturating_sub(free) }),
    }
}

fn mentions(image_id: String, image_ref: String, spec: Option<v1::ImageSpec>) -> ImageMentions {
    let spec = spec.unwrap_or_default();
    ImageMentions { image_id, image_ref, image: spec.image, user_specified_image: spec.user_specified_image }
}

fn spec_message(mentions: &ImageMentions) -> v1::ImageSpec {
    v1::ImageSpec {
        image: mentions.image.clone(),
        user_specified_image: mentions.user_specified_image.clone(),
        ..Default::default()
    }
}

/// Reads a container's pod from the kubelet's labels, because CRI's list does not name it. The pod of a listed sandbox
/// overrides it.
fn pod_by_labels(labels: &HashMap<String, String>) -> Pod {
    let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
    Pod { uid: label(POD_UID), namespace: label(POD_NAMESPACE), name: label(POD_NAME) }
}

fn pod_message(pod: &Pod) -> v1::PodSandboxMetadata {
    v1::PodSandboxMetadata {
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        namespace: pod.namespace.clone(),
        attempt: 0,
    }
}

fn state(number: i32) -> ContainerState {
    match v1::ContainerState::try_from(number) {
        Ok(v1::ContainerState::ContainerCreated) => ContainerState::Created,
        Ok(v1::ContainerState::ContainerRunning) => ContainerState::Running,
        Ok(v1::ContainerState::ContainerExited) => ContainerState::Exited,
        Ok(v1::ContainerState::ContainerUnknown) | Err(_) => ContainerState::Unknown,
    }
}

fn state_number(state: ContainerState) -> i32 {
    let state = match state {
        ContainerState::Created => v1::ContainerState::ContainerCreated,
        ContainerState::Running => v1::ContainerState::ContainerRunning,
        ContainerState::Exited => v1::ContainerState::ContainerExited,
        ContainerState::Unknown => v1::ContainerState::ContainerUnknown,
    };
    state as i32
}

fn ready_number(ready: bool) -> i32 {
    let state = if ready { v1::PodSandboxState::SandboxReady } else { v1::PodSandboxState::SandboxNotready };
    state as i32
}

/// Converts nanoseconds since 1970. Earlier times count as 1970: Go's zero time is in year 1.
fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds.max(0))).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Converts a time to nanoseconds since 1970, clamped to the range of a message.
fn nanoseconds(timestamp: Timestamp) -> i64 {
    i64::try_from(timestamp.as_nanosecond().max(0)).unwrap_or(i64::MAX)
}

fn sorted(map: HashMap<String, String>) -> BTreeMap<String, String> {
    map.into_iter().collect()
}

fn unsorted(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.clone().into_iter().collect()
}

#[cfg(test)]
mod tests;
