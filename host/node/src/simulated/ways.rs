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
mod tests {
    use super::Answered;
    use crate::simulated::fixture::{container, id, image, snapshot};
    use crate::simulated::store::Store;
    use crate::simulated::{Faults, Flavour};
    use holystone_core::image::Image;
    use holystone_core::snapshot::Snapshot;

    /// Returns the store of a node with six unused images under this runtime.
    fn store(runtime: &str, faults: Faults) -> Store {
        let mut node = Snapshot { containers: Vec::new(), ..snapshot(6) };
        node.node.runtime_name = runtime.to_owned();
        Store::of(node, faults)
    }

    fn remove(store: &mut Store, name: &str) -> Result<(), String> {
        let id = store.find(name).map(|image| image.id.to_string());
        match id.map_or(Answered::Done, |id| store.remove_by(name, &id)) {
            Answered::Done => Ok(()),
            Answered::Refused(words) => Err(words),
            Answered::Never => Err("never".to_owned()),
        }
    }

    fn named(number: usize, tags: &[&str]) -> Image {
        Image { repo_tags: tags.iter().map(ToString::to_string).collect(), ..image(number) }
    }

    #[test]
    fn the_flavour_is_that_of_the_runtimes_name() {
        let flavours = ["cri-o", "docker", "containerd", "other"].map(Flavour::of);
        assert_eq!(flavours, [Flavour::CriO, Flavour::Docker, Flavour::Containerd, Flavour::Containerd]);
    }

    #[test]
    fn crio_says_that_it_removed_what_it_keeps() {
        let mut crio = store("cri-o", Faults::none().artifact(id(3)).read_only(id(4)));
        assert_eq!(remove(&mut crio, &id(3)), Ok(()));
        assert_eq!(remove(&mut crio, &id(4)), Ok(()));
        assert_eq!(crio.images.len(), 6, "neither went by its id");
        assert_eq!(remove(&mut crio, &image(3).repo_digests[0]), Ok(()));
        assert_eq!(crio.images.len(), 6, "it was pulled by its tag");
        assert_eq!(remove(&mut crio, "minchou/app:v3"), Ok(()));
        assert_eq!(crio.images.len(), 5, "the artifact went by its tag");
        assert!(remove(&mut crio, "minchou/app:v4").unwrap_err().contains("read-only store"));
    }

    #[test]
    fn crio_refuses_what_is_used_and_takes_no_name_of_it() {
        let mut crio = store("cri-o", Faults::none().in_use(id(5)));
        crio.containers.insert("c".to_owned(), container("c", 3));
        for number in [3, 5] {
            assert!(remove(&mut crio, &id(number)).unwrap_err().ends_with("image is in use by a container"));
            assert_eq!(crio.images[&id(number)], image(number));
        }
        crio.add_image(named(2, &["docker.io/a/b:1", "docker.io/a/b:2"]));
        assert_eq!(remove(&mut crio, "docker.io/a/b:1"), Ok(()));
        assert_eq!(crio.images[&id(2)].repo_tags, ["docker.io/a/b:2"], "by one name, that name");
        assert_eq!(remove(&mut crio, &id(2)), Ok(()));
        assert!(!crio.images.contains_key(&id(2)));
    }

    #[test]
    fn docker_takes_name_after_name_until_one_is_refused() {
        for (tags, left) in [
            (&["a/b:1"][..], &["a/b:1"][..]),
            (&["a/b:1", "a/b:2"], &["a/b:2"]),
            (&["a/b:1", "c/d:1", "e/f:1"], &["e/f:1"]),
        ] {
            let mut docker = store("docker", Faults::none().in_use(id(3)));
            docker.add_image(Image { repo_digests: Vec::new(), ..named(3, tags) });
            let words = remove(&mut docker, &id(3)).unwrap_err();
            assert!(words.starts_with("Error response from daemon: conflict: unable to remove repository"), "{words}");
            assert_eq!(docker.images[&id(3)].repo_tags, left, "{tags:?}");
        }
        let mut docker = store("docker", Faults::none());
        assert_eq!(remove(&mut docker, &id(3)), Ok(()));
        assert_eq!(docker.images.len(), 5);
    }

    #[test]
    fn docker_keeps_parents_until_their_children_go_and_hides_them() {
        for (first, second, answers) in [(3, 4, [false, true]), (4, 3, [true, true])] {
            let mut docker = store("docker", Faults::none().built_on(id(4), id(3)));
            let listed = |docker: &Store| docker.listed().iter().filter(|image| image.id.as_str() == id(3)).count();
            assert_eq!(remove(&mut docker, &id(first)).is_ok(), answers[0], "{first}");
            if first == 3 {
                assert!(docker.images.contains_key(&id(3)) && listed(&docker) == 0, "there, and not to be seen");
            }
            assert_eq!(remove(&mut docker, &id(second)).is_ok(), answers[1], "{second}");
            assert!(!docker.images.contains_key(&id(3)) && !docker.images.contains_key(&id(4)));
        }
        let mut docker = store("docker", Faults::none().built_on(id(4), id(3)));
        let words = remove(&mut docker, &id(3)).unwrap_err();
        assert!(words.ends_with("(cannot be forced) - image has dependent child images"), "{words}");
    }

    #[test]
    fn docker_lists_missing_names_as_none() {
        let mut docker = store("docker", Faults::none());
        docker.add_image(Image { repo_digests: Vec::new(), ..named(7, &[]) });
        let listed = docker.listed();
        let bare = listed.iter().find(|image| image.id.as_str() == id(7)).unwrap();
        assert_eq!(
            (&bare.repo_tags[..], &bare.repo_digests[..]),
            (&["<none>:<none>".to_owned()][..], &["<none>@<none>".to_owned()][..])
        );
    }
}
