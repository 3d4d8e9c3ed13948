//! Images described by what a test cares about: names, layers, labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A layer of generated files. Two images with equal specifications share the layer, as two images with the same
/// base do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerSpec {
    /// How many files.
    pub files: u32,
    /// How big each is. The content is random to a compressor.
    pub bytes_per_file: u32,
    /// Chooses the content and the directory it lies in.
    pub seed: u64,
}

/// A layer of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Layer {
    /// Made up.
    Generated(LayerSpec),
    /// One executable file at the root, such as `/sleep`.
    Program { name: String, content: Arc<[u8]> },
}

/// An image to be made and imported.
///
/// However alike two images are, they have different ids: the first name is a label in the configuration, and the
/// id is the digest of that.
#[derive(Debug, Clone)]
pub struct TestImage {
    pub(crate) tags: Vec<String>,
    pub(crate) repositories: BTreeSet<String>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) created: Option<String>,
    pub(crate) pinned: bool,
}

/// What an imported image is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The id: the digest of the configuration, `sha256:…`.
    pub id: String,
    /// The digest of the manifest, `sha256:…`.
    pub digest: String,
    /// The tags given to it, in full: `docker.io/minchou/rollout:1.0.0`.
    pub tags: Vec<String>,
    /// The names by digest given to it: `docker.io/minchou/rollout@sha256:…`.
    pub repo_digests: Vec<String>,
}

/// The label that makes otherwise equal images different.
const IDENTITY: &str = "holystone.test/identity";

impl TestImage {
    /// An image with one tag, given in full: `docker.io/minchou/rollout:1.0.0`. Like every image that was imported
    /// and not pulled it has no repo digest; see [`TestImage::pulled`].
    pub fn new(tag: &str) -> Self {
        let mut image = Self::nameless(tag);
        image.tags.push(tag.to_owned());
        image
    }

    /// An image that has no tag but a repo digest, which is what becomes of a pulled image whose tag has moved on to
    /// a newer one. `identity` makes it different from the others of the same repository.
    pub fn dangling(repository: &str, identity: &str) -> Self {
        let mut image = Self::nameless(&format!("{repository}#{identity}"));
        image.repositories.insert(repository.to_owned());
        image
    }

    /// An image without a name; containerd would import nothing of it.
    fn nameless(identity: &str) -> Self {
        Self {
            tags: Vec::new(),
            repositories: BTreeSet::new(),
            layers: Vec::new(),
            labels: BTreeMap::from([(IDENTITY.to_owned(), identity.to_owned())]),
            entrypoint: Vec::new(),
            created: None,
            pinned: false,
        }
    }

    /// Adds another tag to the same image.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tags.push(tag.to_owned());
        self
    }

    /// Gives the image a repo digest in the repository of each of its tags, as a pulled image has one.
    #[must_use]
    pub fn pulled(mut self) -> Self {
        self.repositories.extend(self.tags.iter().map(|tag| repository_of(tag).to_owned()));
        self
    }

    /// Adds a layer of generated files.
    #[must_use]
    pub fn layer(mut self, layer: LayerSpec) -> Self {
        self.layers.push(Layer::Generated(layer));
        self
    }

    /// Adds a layer that holds one executable file, and runs it as the entry point.
    #[must_use]
    pub fn program(mut self, name: &str, content: Arc<[u8]>) -> Self {
        self.layers.push(Layer::Program { name: name.to_owned(), content });
        self.entrypoint = vec![format!("/{name}")];
        self
    }

    /// Puts a label into the image's configuration, as `LABEL` in a Dockerfile does.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Says when the image was built: `2024-01-31T12:00:00Z`.
    #[must_use]
    pub fn created(mut self, moment: &str) -> Self {
        self.created = Some(moment.to_owned());
        self
    }

    /// Pins the image once it is imported, see [`crate::Containerd::pin`].
    #[must_use]
    pub fn pinned(mut self) -> Self {
        self.pinned = true;
        self
    }
}

/// `docker.io/minchou/rollout` of `docker.io/minchou/rollout:1.0.0`. A colon before the last slash belongs to a
/// registry's port.
fn repository_of(tag: &str) -> &str {
    match tag.rsplit_once(':') {
        Some((repository, rest)) if !rest.contains('/') => repository,
        _ => tag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_a_tag() {
        assert_eq!(repository_of("localhost:5000/a:1"), "localhost:5000/a");
        assert_eq!(repository_of("localhost:5000/a"), "localhost:5000/a");
    }

    #[test]
    fn a_pulled_image_has_each_repository_once() {
        let image = TestImage::new("localhost/a:1").tag("localhost/a:2").tag("localhost/b:1").pulled();
        assert_eq!(image.repositories.iter().collect::<Vec<_>>(), ["localhost/a", "localhost/b"]);
    }
}
