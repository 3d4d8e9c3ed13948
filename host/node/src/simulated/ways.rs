//! Removal of images as the runtime that the seed names does it.
//!
//! Only effects that a client can see are imitated: removed images, removed names, and answers. CRI-O refuses to
//! remove an image that a container uses, removes one name of an image with several tags, accepts the removal by id of
//! an image in a read-only store without effect, and removes artifacts by their names alone. cri-dockerd removes one
//! name after the other until Docker refuses one, and Docker hides parents without a name.

use holystone_core::image::Image;
use holystone_core::reference::Reference;

use super::store::Store;

/// The runtimes that a simulated node can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Removes an image with all its names, even if a listed container uses it.
    Containerd,
    /// CRI-O.
    CriO,
    /// Docker behind cri-dockerd.
    Docker,
}

/// Placeholders in a list of Docker for a missing tag and a missing digest.
const NO_TAG: &str = "<none>:<none>";
const NO_DIGEST: &str = "<none>@<none>";

/// Number of digits of an id that Docker shows.
const SHORT: usize = 12;

impl Flavour {
    /// Returns the flavour of a runtime of this name. An unknown runtime is like containerd.
    pub fn of(runtime_name: &str) -> Self {
        match runtime_name {
            "cri-o" => Self::CriO,
            "docker" => Self::Docker,
            _ => Self::Containerd,
        }
    }
}

/// The answer of a runtime to a removal.
#[derive(Debug)]
pub(super) enum Answered {
    Done,
    Refused(String),
    Never,
}

impl Store {
    /// Removes the image that a name resolves to, as the runtime would.
    pub(super) fn remove_by(&mut self, name: &str, id: &str) -> Answered {
        if self.faults.hanging.contains(id) {
            return Answered::Never;
        }
        let is_sticky = self.faults.sticky.contains(id);
        let answered = match self.flavour {
            _ if is_sticky => Answered::Done,
            Flavour::Containerd if self.faults.in_use.contains(id) => {
                Answered::Refused("image is in use by a container".to_owned())
            }
            Flavour::Containerd => {
                self.remove_image(id);
                Answered::Done
            }
            Flavour::CriO => ended(self.remove_from_crio(name, id)),
            Flavour::Docker => ended(self.remove_from_docker(name, id)),
        };
        if self.faults.silent.contains(id) { Answered::Never } else { answered }
    }

    /// Returns the images as the runtime lists them.
    pub(super) fn listed(&self) -> Vec<Image> {
        let shown = self.images.values().filter(|image| !self.is_hidden(image)).cloned();
        match self.flavour {
            Flavour::Docker => shown.map(with_missing_names).collect(),
            Flavour::Containerd | Flavour::CriO => shown.collect(),
        }
    }

    /// Returns whether the runtime hides an image: Docker lists no image without a name that others were built on.
    fn is_hidden(&self, image: &Image) -> bool {
        self.flavour == Flavour::Docker && image.references().next().is_none() && self.has_children(image.id.as_str())
    }

    fn has_children(&self, id: &str) -> bool {
        self.faults.parents.iter().any(|(child, parent)| parent == id && self.images.contains_key(child))
    }

    /// Returns the container that prevents the removal of an image: one of the node, or an invented id for one that
    /// CRI does not list.
    fn user(&self, id: &str) -> Option<String> {
        let uses = |mention: &str| self.find(mention).is_some_and(|image| image.id.as_str() == id);
        let listed = self.containers.values().find(|container| container.image_references().any(uses));
        let hidden = || self.faults.in_use.contains(id).then(|| "c0ffee".repeat(8));
        listed.map(|container| container.id.clone()).or_else(hidden)
    }

    fn remove_from_crio(&mut self, name: &str, id: &str) -> Result<(), String> {
        let Some(image) = self.images.get(id) else { return Ok(()) };
        let is_named = image.references().any(|own| means_same(own, name));
        if self.faults.artifacts.contains(id) {
            // An artifact has one name: its first tag, or its first digest if there is no tag.
            if image.repo_tags.first().or(image.repo_digests.first()).is_some_and(|own| means_same(own, name)) {
                self.remove_image(id);
            }
            return Ok(());
        }
        if self.faults.read_only.contains(id) {
            let by_name = Err("called a write method on a read-only store".to_owned());
            return if is_named { by_name } else { Ok(()) };
        }
        if is_named && image.repo_tags.len() > 1 {
            self.untag(id, name);
            return Ok(());
        }
        if let Some(user) = self.user(id) {
            return Err(format!("delete image: image used by {user}: image is in use by a container"));
        }
        self.remove_image(id);
        Ok(())
    }

    /// Removes every tag, every digest, then the id, as cri-dockerd does, until Docker refuses one.
    fn remove_from_docker(&mut self, name: &str, id: &str) -> Result<(), String> {
        let Some(image) = self.images.get(id) else { return Ok(()) };
        for reference in image.references().map(str::to_owned).collect::<Vec<_>>() {
            self.docker_untag(id, &reference)?;
        }
        if !self.images.contains_key(id) {
            return Ok(());
        }
        let is_single = self.images.get(id).is_none_or(|image| image.removable_names() <= 1);
        if is_single && self.find(name).is_some_and(|image| image.id.as_str() == id) {
            self.docker_delete(id, false)?;
        }
        Ok(())
    }

    fn docker_untag(&mut self, id: &str, reference: &str) -> Result<(), String> {
        let Some(image) = self.images.get(id) else { return Ok(()) };
        if !image.references().any(|own| own == reference) {
            return Ok(());
        }
        let hex: String = image.id.hex().chars().take(SHORT).collect();
        if let (false, Some(user)) = (image.removable_names() > 1, self.user(id)) {
            let user: String = user.chars().take(SHORT).collect();
            return Err(docker(&format!(
                "unable to remove repository reference \"{reference}\" (must force) - container {user} is using its referenced image {hex}"
            )));
        }
        self.untag(id, reference);
        match self.images.get(id) {
            Some(image) if image.references().next().is_none() => self.docker_delete(id, true),
            _ => Ok(()),
        }
    }

    /// Deletes an image, unless a child or a container prevents it. `quiet` suppresses that error, because a name at
    /// least has gone.
    fn docker_delete(&mut self, id: &str, quiet: bool) -> Result<(), String> {
        let hex: String = id.trim_start_matches("sha256:").chars().take(SHORT).collect();
        let conflict = if self.has_children(id) {
            Some(format!("unable to delete {hex} (cannot be forced) - image has dependent child images"))
        } else {
            self.user(id).map(|user| {
                let user: String = user.chars().take(SHORT).collect();
                format!("unable to delete {hex} (must be forced) - image is being used by stopped container {user}")
            })
        };
        match conflict {
            Some(_) if quiet => Ok(()),
            Some(conflict) => Err(docker(&conflict)),
            None => {
                self.remove_image(id);
                self.prune_parent(id);
                Ok(())
            }
        }
    }

    /// Removes the parent of a removed image if it has no name, no child and no container, as Docker does, and then
    /// its parent in turn.
    fn prune_parent(&mut self, child: &str) {
        let Some(parent) = self.faults.parents.get(child).cloned() else { return };
        let is_bare = self.images.get(&parent).is_some_and(|image| image.references().next().is_none());
        if is_bare && !self.has_children(&parent) && self.user(&parent).is_none() {
            self.remove_image(&parent);
            self.prune_parent(&parent);
        }
    }

    /// Removes one name from an image. With the last tag of a repository, the digests of that repository go as well.
    fn untag(&mut self, id: &str, reference: &str) {
        let Some(image) = self.images.get_mut(id) else { return };
        image.repo_tags.retain(|own| !means_same(own, reference));
        image.repo_digests.retain(|own| !means_same(own, reference));
        let Ok(removed) = Reference::parse(reference) else { return };
        let same = |own: &String| Reference::parse(own).is_ok_and(|own| own.repository() == removed.repository());
        if removed.digest().is_none() && !image.repo_tags.iter().any(same) {
            image.repo_digests.retain(|own| !same(own));
        }
    }
}

fn ended(result: Result<(), String>) -> Answered {
    result.map_or_else(Answered::Refused, |()| Answered::Done)
}

fn docker(conflict: &str) -> String {
    format!("Error response from daemon: conflict: {conflict}")
}

/// Returns whether two spellings mean the same reference.
fn means_same(own: &str, asked: &str) -> bool {
    own == asked || matches!((Reference::parse(own), Reference::parse(asked)), (Ok(own), Ok(asked)) if own == asked)
}

fn with_missing_names(mut image: Image) -> Image {
    if image.repo_tags.is_empty() {
        image.repo_tags.push(NO_TAG.to_owned());
    }
    if image.repo_digests.is_empty() {
        image.repo_digests.push(NO_DIGEST.to_owned());
    }
    image
}

#[cfg(test)]
mod tests;
