//! Who uses which image: the join of containers, sandboxes and image volumes to images.
//!
//! A container names its image in up to four ways, and which of them are filled, with an id, a tag or a digest,
//! differs between runtimes (see [`ImageMentions`](crate::container::ImageMentions)). All of them count, in every
//! state of the container. Where none of a container's names can be resolved, every image that could be meant
//! counts as in use: a wrong guess must cost disk space, never an image.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::container::{Container, ContainerState, Sandbox};
use crate::image::{Image, ImageId};
use crate::reference::{self, Reference};
use crate::snapshot::Snapshot;

/// For every image of a snapshot, who uses it.
#[derive(Debug)]
pub struct Usage<'a> {
    users: Vec<Vec<User<'a>>>,
    sandbox_images: BTreeSet<usize>,
    own_image: HashMap<&'a str, &'a ImageId>,
}

/// One user of an image.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// Who it is.
    pub holder: Holder<'a>,
    /// The reference that no image of the node answers to, when the use is only possible and not certain. Empty when
    /// the holder names no image at all.
    pub unresolved: Option<&'a str>,
}

/// A container or a sandbox.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// A container, by its own image or by an image volume.
    Container(&'a Container),
    /// A sandbox, by its pause image.
    Sandbox(&'a Sandbox),
}

impl Holder<'_> {
    /// Id of the container or sandbox.
    pub fn id(&self) -> &str {
        match self {
            Self::Container(container) => &container.id,
            Self::Sandbox(sandbox) => &sandbox.id,
        }
    }
}

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(container) => {
                write!(f, "container {} ({}) of pod {}", container.name, container.state, container.pod)
            }
            Self::Sandbox(sandbox) => write!(f, "the sandbox of pod {}", sandbox.pod),
        }
    }
}

impl<'a> Usage<'a> {
    /// Joins a snapshot's containers and sandboxes to its images.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let index = ImageIndex::of(&snapshot.images);
        let sandbox_images = snapshot.node.sandbox_images.iter().flat_map(|name| index.resolve(name)).collect();
        let users = vec![Vec::new(); snapshot.images.len()];
        let mut usage = Self { users, sandbox_images, own_image: HashMap::new() };
        for container in &snapshot.containers {
            usage.add_container(container, &index);
        }
        for sandbox in &snapshot.sandboxes {
            if !sandbox.image.is_empty() {
                usage.add_references(Holder::Sandbox(sandbox), &[&sandbox.image], &index);
            }
        }
        for users in &mut usage.users {
            users.sort_by(|a, b| rank(a).cmp(&rank(b)));
            users.dedup_by(|a, b| a.holder.id() == b.holder.id());
        }
        usage
    }

    /// The users of the image at this place of the snapshot's list, certain ones and running containers first.
    pub fn users(&self, image: usize) -> &[User<'a>] {
        self.users.get(image).map_or(&[], Vec::as_slice)
    }

    /// Whether the runtime makes sandboxes from the image at this place of the snapshot's list.
    pub fn is_sandbox_image(&self, image: usize) -> bool {
        self.sandbox_images.contains(&image)
    }

    /// The image that a container was made from, when one of its names resolves.
    pub fn image_of(&self, container: &Container) -> Option<&'a ImageId> {
        self.own_image.get(container.id.as_str()).copied()
    }

    fn add_container(&mut self, container: &'a Container, index: &ImageIndex<'a>) {
        let holder = Holder::Container(container);
        let own: Vec<&str> = container.image.iter().collect();
        let first = own.iter().find_map(|mention| index.resolve(mention).first().copied());
        if let Some(image) = first.and_then(|image| index.images.get(image)) {
            self.own_image.insert(&container.id, &image.id);
        } else if is_full_id(&container.image.image_id) {
            // The runtime says exactly which image it is, and the node does not have it any more.
            return self.add_volumes(container, index);
        }
        self.add_references(holder, &own, index);
        self.add_volumes(container, index);
    }

    fn add_volumes(&mut self, container: &'a Container, index: &ImageIndex<'a>) {
        for volume in &container.image_volumes {
            self.add_references(Holder::Container(container), &[volume], index);
        }
    }

    /// Adds a holder to every image that one of its references resolves to, or, when none does, to every image
    /// that one of them could mean.
    fn add_references(&mut self, holder: Holder<'a>, references: &[&'a str], index: &ImageIndex<'a>) {
        let mut resolved: Vec<usize> = references.iter().flat_map(|mention| index.resolve(mention)).collect();
        resolved.sort_unstable();
        resolved.dedup();
        for image in &resolved {
            self.users[*image].push(User { holder, unresolved: None });
        }
        if !resolved.is_empty() {
            return;
        }
        let mentions: &[&'a str] = if references.is_empty() { &[""] } else { references };
        for mention in mentions {
            let meant = Meant::by(mention);
            for (image, users) in index.images.iter().zip(&mut self.users) {
                if meant.could_be(image) {
                    users.push(User { holder, unresolved: Some(mention) });
                }
            }
        }
    }
}

/// Certain users before possible ones, running containers before others, then by id.
fn rank<'a>(user: &'a User<'a>) -> (bool, bool, &'a str) {
    let running = matches!(user.holder, Holder::Container(container) if container.state == ContainerState::Running);
    (user.unresolved.is_some(), !running, user.holder.id())
}

fn is_full_id(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Finds images by whatever a container may call them.
#[derive(Debug)]
struct ImageIndex<'a> {
    images: &'a [Image],
    by_name: HashMap<&'a str, Places>,
}

/// Where the images of one name stand in the list: nearly always a single one, for which nothing is allocated.
#[derive(Debug)]
struct Places {
    first: usize,
    more: Vec<usize>,
}

impl<'a> ImageIndex<'a> {
    fn of(images: &'a [Image]) -> Self {
        let mut index = Self { images, by_name: HashMap::with_capacity(images.len() * 2) };
        for (place, image) in images.iter().enumerate() {
            index.add(image.id.hex(), place);
            for tag in &image.repo_tags {
                index.add(tag, place);
            }
            // A digest means the same content in every repository.
            for digest in &image.repo_digests {
                index.add(digest.split_once('@').map_or(digest.as_str(), |(_, digest)| digest), place);
            }
        }
        index
    }

    fn add(&mut self, name: &'a str, place: usize) {
        match self.by_name.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(Places { first: place, more: Vec::new() });
            }
            Entry::Occupied(mut entry) => entry.get_mut().more.push(place),
        }
    }

    /// The places of all images that answer to `mention`.
    fn resolve(&self, mention: &str) -> Vec<usize> {
        let mut found = self.exact(mention);
        found.extend(self.exact(mention.strip_prefix("sha256:").unwrap_or(mention)));
        if let Ok(reference) = Reference::parse(mention) {
            found.extend(self.by_reference(&reference));
        }
        if found.is_empty() && is_short_id(mention) {
            let starts = |image: &Image| image.id.hex().starts_with(mention);
            found.extend(self.images.iter().enumerate().filter(|(_, image)| starts(image)).map(|(place, _)| place));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn exact(&self, name: &str) -> Vec<usize> {
        let places = self.by_name.get(name);
        places
            .map(|places| std::iter::once(places.first).chain(places.more.iter().copied()).collect())
            .unwrap_or_default()
    }

    fn by_reference(&self, reference: &Reference) -> Vec<usize> {
        let repository = reference.repository();
        match (reference.tag(), reference.digest()) {
            (None, None) => self.exact(&format!("{repository}:latest")),
            (Some(tag), None) => self.exact(&format!("{repository}:{tag}")),
            (tag, Some(digest)) => {
                let mut found = self.exact(digest);
                found.extend(self.exact(digest.strip_prefix("sha256:").unwrap_or(digest)));
                if let Some(tag) = tag {
                    found.extend(self.exact(&format!("{repository}:{tag}")));
                }
                found
            }
        }
    }
}

/// Runtimes accept the leading digits of an id where an image is asked for.
fn is_short_id(mention: &str) -> bool {
    (3..64).contains(&mention.len()) && mention.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a reference that nothing answers to could still mean.
enum Meant {
    /// Any image that has, or may have had, a reference in this repository.
    InRepository(String),
    /// An id or digest; only an image whose digests are unknown can be it.
    Hash,
    /// No telling.
    Anything,
}

impl Meant {
    fn by(mention: &str) -> Self {
        if reference::is_digest(mention) || is_full_id(mention) {
            Self::Hash
        } else if let Ok(reference) = Reference::parse(mention) {
            Self::InRepository(reference.repository().to_owned())
        } else {
            Self::Anything
        }
    }

    fn could_be(&self, image: &Image) -> bool {
        match self {
            Self::Anything => true,
            Self::Hash => image.repo_digests.is_empty(),
            Self::InRepository(repository) => {
                let same = |text| Reference::parse(text).map_or(true, |other| other.repository() == repository);
                image.references().next().is_none() || image.references().any(same)
            }
        }
    }
}

#[cfg(test)]
mod tests;
