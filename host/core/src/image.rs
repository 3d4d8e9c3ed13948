//! Images as the container runtime lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Identity of an image, in the runtime's spelling: `sha256:` and hexadecimal digits on containerd, bare hexadecimal
/// digits on CRI-O. Equality is that of the spelling; [`ImageId::names`] accepts either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(String);

impl ImageId {
    /// Creates an id in the runtime's spelling.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Returns the id in the runtime's spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id without a leading `sha256:`.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }

    /// Returns whether `mention` is this id, with or without a leading `sha256:`.
    pub fn names(&self, mention: &str) -> bool {
        !mention.is_empty() && mention.strip_prefix("sha256:").unwrap_or(mention) == self.hex()
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Docker's placeholder for a missing name.
const NO_NAME: &str = "<none>";

/// One image of the node (CRI `Image`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Identity. A removal by id drops every tag and digest.
    pub id: ImageId,
    /// References with a tag, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repo_tags: Vec<String>,
    /// References with a digest, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repo_digests: Vec<String>,
    /// Size in bytes by the runtime's figures; images share layers, so sums do not measure disk space.
    pub size_bytes: u64,
    /// True if the runtime is configured to keep the image. CRI calls this a recommendation: a removal still succeeds.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pinned: bool,
    /// The time at which Holystone first saw the image on this node, if known. CRI reports no such time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// The latest time at which the image may have been in use on this node, if known: the last snapshot in which it
    /// was, or the first one after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    /// Annotations (CRI `ImageSpec.annotations`), as far as the runtime reports them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Image {
    /// Returns whether the image has no tag.
    pub fn is_dangling(&self) -> bool {
        self.repo_tags.is_empty()
    }

    /// Returns all references of the image: its tags, then its digests.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.repo_tags.iter().chain(&self.repo_digests).map(String::as_str)
    }

    /// Counts the names that a runtime may remove one by one: the tags, and each repository that has only digests. A
    /// tag and the digests of its own repository are one name: Docker refuses or removes them together.
    pub fn removable_names(&self) -> usize {
        let is_name = |reference: &&str| !reference.contains(NO_NAME);
        let tags: Vec<&str> = self.repo_tags.iter().map(String::as_str).filter(is_name).collect();
        let tagged: BTreeSet<&str> = tags.iter().map(|tag| crate::reference::split_tag(tag).0).collect();
        let digests = self.repo_digests.iter().map(String::as_str).filter(is_name);
        let digested: BTreeSet<&str> =
            digests.map(|name| name.split_once('@').map_or(name, |(name, _)| name)).collect();
        tags.len() + digested.difference(&tagged).count()
    }

    /// Returns a name for messages: the first tag, else the first digest, else the id.
    pub fn display_name(&self) -> &str {
        self.references().next().unwrap_or(self.id.as_str())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::{Image, ImageId};

    fn image(tags: &[&str], digests: &[&str]) -> Image {
        Image {
            id: ImageId::new("sha256:1"),
            repo_tags: tags.iter().map(ToString::to_string).collect(),
            repo_digests: digests.iter().map(ToString::to_string).collect(),
            size_bytes: 1,
            pinned: false,
            first_seen: None,
            last_used: None,
            annotations: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_tag_and_the_digests_of_its_repository_are_one_name() {
        let cases: [(usize, &[&str], &[&str]); 11] = [
            (0, &[], &[]),
            (1, &["a/b:1"], &[]),
            (1, &["a/b:1"], &["a/b@sha256:1", "a/b@sha256:2"]),
            (1, &[], &["reg:5000/a/b@sha256:1", "reg:5000/a/b@sha256:2"]),
            (1, &["<none>:<none>"], &["a/b@sha256:1"]),
            (1, &["a/b:1"], &["<none>@<none>"]),
            (2, &["a/b:1", "a/b:2"], &["a/b@sha256:1", "a/b@sha256:2"]),
            (2, &["a/b:1"], &["mirror/b@sha256:1"]),
            (2, &[], &["a/b@sha256:1", "mirror/b@sha256:1"]),
            (2, &["reg:5000/a:1", "reg:5001/a:1"], &[]),
            (4, &["a/b:1", "a/b:2", "c:1"], &["mirror/b@sha256:1", "mirror/b@sha256:2", "c@sha256:1"]),
        ];
        for (names, tags, digests) in cases {
            assert_eq!(image(tags, digests).removable_names(), names, "{tags:?} {digests:?}");
        }
    }
}
