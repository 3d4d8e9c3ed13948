//! What a connection remembers from one look to the next, so that the second look is cheap.
//!
//! Only what cannot change in the life of a container or sandbox is kept: the images that it uses and, once it has
//! exited, how. Each look works on its own copy, so that looks taken at the same time cannot take from each other;
//! the last one leaves its copy behind, and what it did not list is forgotten.

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
    /// The runtime as it last described itself.
    pub(super) node: Option<Node>,
    /// True if it answers containerd's own API as well; unknown until it is asked.
    pub(super) answers_as_containerd: Option<bool>,
    pub(super) containers: ContainerDetails,
    pub(super) sandboxes: SandboxImages,
}

impl Memory {
    /// Whether none of these has to be asked about.
    pub(super) fn knows(&self, containers: &[Container], sandboxes: &[Sandbox]) -> bool {
        containers.iter().all(|container| self.containers.contains_key(&container.id))
            && sandboxes.iter().all(|sandbox| self.sandboxes.contains_key(&sandbox.id))
    }

    /// What is known of these containers, and the ids of those that must be asked about: new ones and, for a full
    /// look, those that exited since.
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

    /// The same for sandboxes.
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

/// Adds what is known to listed containers: their details, and the pod of the sandbox that they run in.
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

/// Adds what is known to listed sandboxes: their images.
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

/// The list comes first; the status fills what it leaves empty.
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
