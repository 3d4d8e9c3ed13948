//! The rules spelt out anew and by brute force, so that they do not repeat the guard's mistakes. Judges nodes that
//! are made of the names below. The property tests and the fuzz target `proposals` share it.

use jiff::{Timestamp, ToSpan as _};

use crate::container::Container;
use crate::guard::GuardRails;
use crate::image::Image;
use crate::pattern::Pattern;
use crate::snapshot::Snapshot;

/// Few names, so that images, containers and patterns meet often.
pub(crate) const TAGS: [&str; 8] = [
    "docker.io/library/nginx:1",
    "docker.io/library/nginx:latest",
    "docker.io/minchou/rollout:v1",
    "docker.io/minchou/rollout:v2",
    "reg.example:5000/a/b:br-1",
    "registry.k8s.io/pause:3.9",
    "localhost/own:1",
    "quay.io/team/app:2",
];

/// Other spellings under which a container may name an image, and what they mean in full.
pub(crate) const SPELLINGS: [(&str, &str); 6] = [
    ("nginx", "docker.io/library/nginx:latest"),
    ("nginx:1", "docker.io/library/nginx:1"),
    ("docker.io/nginx:1", "docker.io/library/nginx:1"),
    ("minchou/rollout:v1", "docker.io/minchou/rollout:v1"),
    ("reg.example:5000/a/b:br-1", "reg.example:5000/a/b:br-1"),
    ("quay.io/team/app:2", "quay.io/team/app:2"),
];

/// The operator's patterns that this knows.
pub(crate) const PATTERNS: [&str; 6] =
    ["docker.io/minchou/*", "*:br-*", "nginx", "quay.io/team/app:2", "sha256:000000000000", "*"];

/// When every look is taken, in minutes.
pub(crate) const NOW: i64 = 30;

pub(crate) fn minute(minute: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + minute.minutes()
}

/// Why an image is too young, spelt out in minutes.
fn is_young(node: &Snapshot, rails: &GuardRails, image: &Image) -> Option<&'static str> {
    let minutes = |time: Timestamp| time.as_second() / 60;
    let min_age = rails.min_age.as_mins();
    if min_age == 0 {
        return None;
    }
    let unknown = match (image.first_seen, node.memory.since) {
        (Some(first), _) if minutes(first) + min_age <= NOW => return None,
        (Some(first), Some(since)) => first <= since,
        (Some(_), None) => false,
        (None, _) => true,
    };
    if !unknown {
        return Some("it was first seen a moment ago");
    }
    let starting = node.sandboxes.iter().any(|sandbox| {
        let ours = node.node.own_pod == "own" && sandbox.pod.uid == "own";
        sandbox.ready && !ours && minutes(sandbox.created_at) + min_age > NOW
    });
    starting.then_some("nobody knows how old it is, and a pod is starting")
}

/// Whether a mention is this image, spelt out case by case.
pub(crate) fn is_named(mention: &str, image: &Image) -> bool {
    let full = SPELLINGS.iter().find(|(spelling, _)| *spelling == mention).map_or(mention, |(_, full)| full);
    mention == image.id.as_str()
        || format!("sha256:{mention}") == image.id.as_str()
        || image.repo_tags.iter().any(|tag| tag == full)
        || image.repo_digests.iter().any(|known| {
            let known = known.rsplit('@').next().unwrap();
            mention == known || mention.ends_with(&format!("@{known}"))
        })
}

fn starts_with(image: &Image, prefix: &str) -> bool {
    image.repo_tags.iter().chain(&image.repo_digests).any(|reference| reference.starts_with(prefix))
}

/// Every pattern that `rails` draws, spelt out.
fn protects(pattern: &Pattern, image: &Image) -> bool {
    match pattern.as_str() {
        "docker.io/minchou/*" => starts_with(image, "docker.io/minchou/"),
        "*:br-*" => image.repo_tags.iter().any(|tag| tag.contains(":br-")),
        "nginx" => starts_with(image, "docker.io/library/nginx:"),
        "quay.io/team/app:2" => image.repo_tags.iter().any(|tag| tag == "quay.io/team/app:2"),
        // Ids are made of small numbers, so all of them start like that.
        "sha256:000000000000" | "*" => true,
        other => panic!("the oracle does not know {other}"),
    }
}

fn is_lifted(rails: &GuardRails, built_in: &str) -> bool {
    rails.lift.iter().any(|lifted| lifted.pattern.as_str() == built_in)
}

/// Why an image must stay whatever the limits are, by brute force.
pub(crate) fn must_stay(node: &Snapshot, rails: &GuardRails, image: &Image) -> Option<&'static str> {
    let named_by = |container: &Container| container.image_references().any(|mention| is_named(mention, image));
    if node.containers.iter().any(named_by) {
        Some("a container names it")
    } else if node.sandboxes.iter().any(|sandbox| is_named(&sandbox.image, image)) {
        Some("a sandbox names it")
    } else if node.containers.iter().any(|container| container.image.iter().next().is_none()) {
        Some("a container names no image at all")
    } else if image.pinned {
        Some("pinned")
    } else if node.node.sandbox_images.iter().any(|reference| image.repo_tags.contains(reference)) {
        Some("sandbox image")
    } else if starts_with(image, "localhost/") && !is_lifted(rails, "localhost/*")
        || starts_with(image, "registry.k8s.io/pause") && !is_lifted(rails, "*pause*")
    {
        Some("built in")
    } else if node.memory.own_images.contains(image.id.as_str()) {
        Some("our own")
    } else if rails.protect.iter().any(|protect| protects(&protect.pattern, image)) {
        Some("protected")
    } else {
        is_young(node, rails, image)
    }
}
