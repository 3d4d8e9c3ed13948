//! The users of images: the join of containers, sandboxes, image volumes and containers outside CRI to images.
//!
//! A container names its image in up to four ways. Which of them are filled, with an id, a tag or a digest, differs
//! between runtimes (see [`ImageMentions`](crate::container::ImageMentions)). All of them count, in every state of the
//! container. A name that resolves makes its images used. A name that does not makes every image that it may mean
//! possibly used, even if another name resolves, unless that name settles the meaning. A wrong guess must cost disk
//! space, never an image.

mod mention;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use self::mention::{Hash, Mention};
use crate::container::{Container, ContainerState, OutsideContainer, Sandbox, UNKNOWN_IMAGE};
use crate::image::{Image, ImageId};
use crate::reference::{self, Reference};
use crate::snapshot::Snapshot;

/// The users of every image of a snapshot.
#[derive(Debug)]
pub struct Usage<'a> {
    users: Vec<Vec<User<'a>>>,
    sandbox_images: BTreeSet<usize>,
    own_image: HashMap<&'a str, &'a ImageId>,
}

/// One user of an image.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// The container or sandbox.
    pub holder: Holder<'a>,
    /// The reference that resolves to no image of the node, if the use is only possible and not certain. Empty when the
    /// holder's image is unknown.
    pub unresolved: Option<&'a str>,
}

/// A container or a sandbox.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// A container, by its own image or by an image volume.
    Container(&'a Container),
    /// A sandbox, by its pause image.
    Sandbox(&'a Sandbox),
    /// A container that CRI does not list.
    Outside(&'a OutsideContainer),
}

impl<'a> Holder<'a> {
    /// Returns the id of the container or sandbox.
    pub fn id(&self) -> &'a str {
        match *self {
            Self::Container(container) => &container.id,
            Self::Sandbox(sandbox) => &sandbox.id,
            Self::Outside(container) => &container.id,
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
            Self::Outside(OutsideContainer { id, namespace, .. }) => {
                write!(f, "container {id} (outside CRI, in containerd namespace {namespace})")
            }
        }
    }
}

impl<'a> Usage<'a> {
    /// Joins a snapshot's containers and sandboxes to its images.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let index = ImageIndex::of(&snapshot.images);
        let sandbox_images = snapshot.node.sandbox_images.iter().flat_map(|name| index.resolve_text(name)).collect();
        let users = vec![Vec::new(); snapshot.images.len()];
        let mut usage = Self { users, sandbox_images, own_image: HashMap::new() };
        for container in &snapshot.containers {
            usage.add_container(container, &index);
        }
        for sandbox in &snapshot.sandboxes {
            usage.add_sandbox(sandbox, &index);
        }
        for container in &snapshot.outside {
            usage.add_reference(Holder::Outside(container), &container.image, &index);
        }
        for users in &mut usage.users {
            users.sort_by(|a, b| rank(a).cmp(&rank(b)));
            let mut seen = HashSet::with_capacity(users.len());
            users.retain(|user| seen.insert(user.holder.id()));
        }
        usage
    }

    /// Returns the users of the image at this place of the snapshot's list, certain ones and running containers first.
    pub fn users(&self, image: usize) -> &[User<'a>] {
        self.users.get(image).map_or(&[], Vec::as_slice)
    }

    /// Returns whether the runtime makes sandboxes from the image at this place of the snapshot's list.
    pub fn is_sandbox_image(&self, image: usize) -> bool {
        self.sandbox_images.contains(&image)
    }

    /// Returns the image that a container was made from, if one of its names resolves.
    pub fn image_of(&self, container: &Container) -> Option<&'a ImageId> {
        self.own_image.get(container.id.as_str()).copied()
    }

    fn add_container(&mut self, container: &'a Container, index: &ImageIndex<'a>) {
        let holder = Holder::Container(container);
        // If the runtime reports an exact id that the node lacks, names without a digest mean that image too, and so
        // does the same id in another field.
        let id = Mention::read(&container.image.image_id);
        let gone = id.hash.as_ref().filter(|hash| {
            !id.is_digest && hash.is_full() && hash.algorithm() == "sha256" && index.of_hash(hash).is_empty()
        });
        for mention in container.image.iter() {
            let read = Mention::read(mention);
            let places = index.resolve(&read);
            if let Some(image) = places.first().and_then(|place| index.images.get(*place)) {
                self.own_image.entry(&container.id).or_insert(&image.id);
            }
            let is_exact = gone.is_some_and(|gone| match &read.hash {
                Some(hash) if !read.is_digest => hash.begins(gone),
                Some(_) => false,
                None => read.name.is_some(),
            });
            let is_told = is_exact || places.is_empty() && index.knows_for(&read, &container.image.image);
            if !is_told || !places.is_empty() {
                self.add(holder, mention, &read, &places, index);
            }
        }
        if container.image.iter().next().is_none() {
            self.add_to_all(holder, "");
        }
        for volume in &container.image_volumes {
            self.add_reference(holder, volume, index);
        }
    }

    fn add_sandbox(&mut self, sandbox: &'a Sandbox, index: &ImageIndex<'a>) {
        if !sandbox.image.is_empty() {
            self.add_reference(Holder::Sandbox(sandbox), &sandbox.image, index);
        }
    }

    fn add_reference(&mut self, holder: Holder<'a>, mention: &'a str, index: &ImageIndex<'a>) {
        let read = Mention::read(mention);
        let places = index.resolve(&read);
        self.add(holder, mention, &read, &places, index);
    }

    /// Adds a holder to every image that a mention resolves to. If it does not resolve, or only its tag does, adds the
    /// holder to every image that it may mean.
    fn add(
        &mut self,
        holder: Holder<'a>,
        mention: &'a str,
        read: &Mention<'_>,
        places: &[usize],
        index: &ImageIndex<'a>,
    ) {
        for place in places {
            self.users[*place].push(User { holder, unresolved: None });
        }
        // A tag beside a digest may have moved to another image, so it does not replace the digest.
        let lacks_digest = read.is_digest && read.hash.as_ref().is_some_and(|hash| index.of_hash(hash).is_empty());
        if !places.is_empty() && !lacks_digest {
            return;
        }
        match index.meant(read) {
            Some(places) => {
                for place in places {
                    self.users[place].push(User { holder, unresolved: Some(mention) });
                }
            }
            None => self.add_to_all(holder, mention),
        }
    }

    fn add_to_all(&mut self, holder: Holder<'a>, mention: &'a str) {
        let mention = if mention == UNKNOWN_IMAGE { "" } else { mention };
        for users in &mut self.users {
            users.push(User { holder, unresolved: Some(mention) });
        }
    }
}

/// Ranks certain users before possible ones, running containers before others, then by id.
fn rank<'a>(user: &'a User<'a>) -> (bool, bool, &'a str) {
    let running = matches!(user.holder, Holder::Container(container) if container.state == ContainerState::Running);
    (user.unresolved.is_some(), !running, user.holder.id())
}

/// An index of images by every name that a container may use.
#[derive(Debug)]
struct ImageIndex<'a> {
    images: &'a [Image],
    /// By tags in full form, and by the [keys](key) of ids and digests.
    by_name: HashMap<Cow<'a, str>, Places>,
    possible: OnceCell<Possible>,
}

/// The places in the list of the images of one name: nearly always one, which allocates nothing.
#[derive(Debug)]
struct Places {
    first: usize,
    more: Vec<usize>,
}

/// The images that an unresolved mention may mean.
#[derive(Debug, Default)]
struct Possible {
    /// Images with a reference in a repository, by repository.
    in_repository: HashMap<String, Vec<usize>>,
    /// Images without any reference, or with one that does not parse: they may have, or have had, any name.
    any_name: Vec<usize>,
}

impl<'a> ImageIndex<'a> {
    fn of(images: &'a [Image]) -> Self {
        let by_name = HashMap::with_capacity(images.len() * 2);
        let mut index = Self { images, by_name, possible: OnceCell::new() };
        for (place, image) in images.iter().enumerate() {
            index.add(key(image.id.as_str()), place);
            for tag in &image.repo_tags {
                index.add(in_full(tag), place);
            }
            // A digest means the same content in every repository.
            for digest in &image.repo_digests {
                index.add(key(digest_of(digest)), place);
            }
        }
        index
    }

    fn add(&mut self, name: Cow<'a, str>, place: usize) {
        match self.by_name.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(Places { first: place, more: Vec::new() });
            }
            Entry::Occupied(mut entry) => entry.get_mut().more.push(place),
        }
    }

    /// Finds the places of all images that a text refers to.
    fn resolve_text(&self, mention: &str) -> Vec<usize> {
        self.resolve(&Mention::read(mention))
    }

    /// Finds the places of all images that a mention refers to.
    fn resolve(&self, mention: &Mention<'_>) -> Vec<usize> {
        // An id or a tag matches as listed, even if it does not parse.
        let mut found = self.exact(mention.text);
        found.extend(mention.hash.as_ref().map(|hash| self.of_hash(hash)).unwrap_or_default());
        if let Some(name) = &mention.name {
            let tag = name.tag().or((!mention.is_digest).then_some("latest"));
            found.extend(tag.map(|tag| self.exact(&format!("{}:{tag}", name.repository()))).unwrap_or_default());
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn of_hash(&self, hash: &Hash<'_>) -> Vec<usize> {
        if hash.is_full() {
            return self.exact(&hash.key());
        }
        // Runtimes accept the leading digits of an id in a request for an image.
        let begins = |text: &str| Hash::read(text).is_some_and(|whole| hash.begins(&whole));
        let is_meant = |image: &Image| {
            begins(image.id.as_str()) || image.repo_digests.iter().any(|digest| begins(digest_of(digest)))
        };
        self.images.iter().enumerate().filter(|(_, image)| is_meant(image)).map(|(place, _)| place).collect()
    }

    /// Returns whether the image that a container was created with must be the one that an unresolved digest means: it
    /// is in the digest's repository, and none of its own digests by that algorithm is known. Docker names containers
    /// like that.
    fn knows_for(&self, mention: &Mention<'_>, created_with: &str) -> bool {
        let (Some(hash), Some(name), true) = (&mention.hash, &mention.name, mention.is_digest) else { return false };
        let is_it = |image: &Image| {
            let in_repository =
                |reference| Reference::parse(reference).is_ok_and(|known| known.repository() == name.repository());
            !image.repo_digests.iter().any(|digest| is_by(digest, hash.algorithm()))
                && image.references().any(in_repository)
        };
        self.resolve_text(created_with).into_iter().filter_map(|place| self.images.get(place)).any(is_it)
    }

    fn exact(&self, name: &str) -> Vec<usize> {
        let places = self.by_name.get(name);
        places
            .map(|places| std::iter::once(places.first).chain(places.more.iter().copied()).collect())
            .unwrap_or_default()
    }

    /// Finds the places of all images that an unresolved mention may mean; `None` if that is any image.
    fn meant(&self, mention: &Mention<'_>) -> Option<Vec<usize>> {
        let mut places = Vec::new();
        if let Some(hash) = &mention.hash {
            // An image without a known digest by this algorithm may have any.
            let may_have = |image: &Image| !image.repo_digests.iter().any(|digest| is_by(digest, hash.algorithm()));
            places.extend(self.images.iter().enumerate().filter(|(_, image)| may_have(image)).map(|(place, _)| place));
        }
        if let Some(name) = &mention.name {
            let possible = self.possible.get_or_init(|| Possible::of(self.images));
            places.extend(possible.in_repository.get(name.repository()).into_iter().flatten());
            places.extend(&possible.any_name);
        }
        (mention.hash.is_some() || mention.name.is_some()).then_some(places)
    }
}

impl Possible {
    fn of(images: &[Image]) -> Self {
        let mut possible = Self::default();
        for (place, image) in images.iter().enumerate() {
            let references: Vec<_> = image.references().map(Reference::parse).collect();
            if references.is_empty() || references.iter().any(Result::is_err) {
                possible.any_name.push(place);
            }
            for reference in references.into_iter().flatten() {
                possible.in_repository.entry(reference.repository().to_owned()).or_default().push(place);
            }
        }
        possible
    }
}

/// Returns the lookup key of an id or digest, equal for all its spellings.
fn key(text: &str) -> Cow<'_, str> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if hex.len() == 64 && reference::is_hex(hex) {
        return Cow::Borrowed(hex);
    }
    Hash::read(text).map_or(Cow::Borrowed(text), |hash| Cow::Owned(hash.key()))
}

/// Returns the digest of a reference, or the whole text if it has none.
fn digest_of(reference: &str) -> &str {
    reference.split_once('@').map_or(reference, |(_, digest)| digest)
}

/// Returns whether the digest of a reference is by this algorithm.
fn is_by(reference: &str, algorithm: &str) -> bool {
    digest_of(reference).split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case(algorithm))
}

/// Puts a listed tag into full form; leaves a tag that does not parse unchanged.
fn in_full(tag: &str) -> Cow<'_, str> {
    if reference::is_in_full_form(tag) {
        return Cow::Borrowed(tag);
    }
    Reference::parse(tag).map_or(Cow::Borrowed(tag), |reference| Cow::Owned(reference.to_string()))
}

#[cfg(test)]
mod tests;
