//! The memory of a connection from one look to the next, so that the second look is cheap.
//!
//! Only facts that cannot change are kept of a container or sandbox: its images and, after its exit, the exit time and
//! code. Each look works on its own copy, so that concurrent looks cannot affect each other. The last look stores its
//! copy, and entries that it did not list are dropped.

use std::collections::HashMap;
use std::sync::Arc;

use holystone_core::container::{Container, ContainerState, ImageMentions, Pod, Sandbox};
use holystone_core::snapshot::Node;

use super::convert::Details;

/// Details of containers, by id.
pub(super) type ContainerDetails = HashMap<String, Arc<Details>>;

/// Images of sandboxes, by the sandbox's id.
pub(super) type SandboxImages = HashMap<String, Arc<str>>;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The runtime's last description of itself.
    pub(super) node: Option<Node>,
    /// True if the runtime offers containerd's own API as well; `None` until the first answer.
    pub(super) answers_as_containerd: Option<bool>,
    pub(super) containers: ContainerDetails,
    pub(super) sandboxes: SandboxImages,
}

impl Memory {
    /// Returns whether all of these are known.
    pub(super) fn knows(&self, containers: &[Container], sandboxes: &[Sandbox]) -> bool {
        containers.iter().all(|container| self.containers.contains_key(&container.id))
            && sandboxes.iter().all(|sandbox| self.sandboxes.contains_key(&sandbox.id))
    }

    /// Returns the known details of these containers, and the ids of those whose status must be fetched: new ones and,
    /// for a full look, those that exited since their last status.
    pub(super) fn of_containers(&self, containers: &[Container], full: bool) -> (ContainerDetails, Vec<String>) {
        let (mut known, mut unknown) = (HashMap::new(), Vec::new());
        for container in containers {
            let details = self.containers.get(&container.id);
            let exited_since =
                |details: &Arc<Details>| full && container.state == ContainerState::Exited && !details.exited;
            if details.is_none_or(exited_since) {
                unknown.push(container.id.clone());
            }
            known.extend(details.map(|details| (container.id.clone(), Arc::clone(details))));
        }
        (known, unknown)
    }

    /// Returns the known images of these sandboxes, and the ids of those whose status must be fetched.
    pub(super) fn of_sandboxes(&self, sandboxes: &[Sandbox]) -> (SandboxImages, Vec<String>) {
        let (mut known, mut unknown) = (HashMap::new(), Vec::new());
        for sandbox in sandboxes {
            match self.sandboxes.get(&sandbox.id) {
                Some(image) => drop(known.insert(sandbox.id.clone(), Arc::clone(image))),
                None => unknown.push(sandbox.id.clone()),
            }
        }
        (known, unknown)
    }
}

/// Completes listed containers by their details and by the pod of their sandbox.
pub(super) fn complete_containers(containers: &mut [Container], details: &ContainerDetails, sandboxes: &[Sandbox]) {
    let pods: HashMap<&str, &Pod> = sandboxes.iter().map(|sandbox| (sandbox.id.as_str(), &sandbox.pod)).collect();
    for container in containers {
        if let Some(pod) = pods.get(container.sandbox_id.as_str()) {
            container.pod = Pod::clone(pod);
        }
        if let Some(details) = details.get(&container.id) {
            add_details(container, details);
        }
    }
}

/// Completes listed sandboxes by their images.
pub(super) fn complete_sandboxes(sandboxes: &mut [Sandbox], images: &SandboxImages) {
    for sandbox in sandboxes {
        sandbox.image = images.get(&sandbox.id).map(ToString::to_string).unwrap_or_default();
    }
}

fn add_details(container: &mut Container, details: &Details) {
    container.image_volumes.clone_from(&details.image_volumes);
    fill_gaps(&mut container.image, &details.image);
    if container.state == ContainerState::Exited {
        container.finished_at = details.finished_at;
        container.exit_code = details.exit_code;
    }
}

/// Fills the fields that the list leaves empty from the status.
fn fill_gaps(mentions: &mut ImageMentions, more: &ImageMentions) {
    let pairs = [
        (&mut mentions.image_id, &more.image_id),
        (&mut mentions.image_ref, &more.image_ref),
        (&mut mentions.image, &more.image),
        (&mut mentions.user_specified_image, &more.user_specified_image),
    ];
    for (gap, filling) in pairs {
        if gap.is_empty() {
            gap.clone_from(filling);
        }
    }
}
