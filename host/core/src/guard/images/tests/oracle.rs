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

fn minutes(time: Timestamp) -> i64 {
    time.as_second() / 60
}

/// Why nothing at all may go, because the node has not settled or has lost its memory.
fn is_unsettled(node: &Snapshot, min_age: i64) -> Option<&'static str> {
    let memory = &node.memory;
    let none_for = memory.pods.map(|pods| NOW - pods.none_since.map_or(NOW, minutes));
    if memory.clock_doubt.is_some() {
        Some("its clock is wrong")
    } else if node.node.clock.as_ref().is_some_and(|clock| clock.up_for.as_mins() < min_age) {
        Some("it has just booted")
    } else if node.sandboxes.is_empty() && none_for.is_some_and(|none_for| none_for < min_age) {
        Some("its pods may not be listed yet")
    } else if memory.lost.is_some_and(|lost| minutes(lost) + min_age > NOW) {
        Some("its memory was lost")
    } else {
        None
    }
}

/// Why an image is too young, spelt out in minutes.
fn is_young(node: &Snapshot, rails: &GuardRails, image: &Image) -> Option<&'static str> {
    let min_age = rails.min_age.as_mins();
    if min_age == 0 {
        return None;
    }
    if let Some(why) = is_unsettled(node, min_age) {
        return Some(why);
    }
    if image.last_used.is_some_and(|used| minutes(used) + min_age > NOW) {
        return Some("it was in use a moment ago");
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
    if starting {
        return Some("nobody knows how old it is, and a pod is starting");
    }
    (rails.unknown_is_young && node.memory.since.is_some())
        .then_some("nobody knows how old it is, and a run comes later")
}

/// Whether a mention is this image, spelt out case by case.
fn is_named(mention: &str, image: &Image) -> bool {
    let mention = mention.trim_start_matches("docker://").trim_start_matches("docker-pullable://");
    if let Some((name, digest)) = mention.split_once('@') {
        let name = name.to_ascii_lowercase();
        return has_digest(image, digest) || image.repo_tags.contains(&name);
    }
    let full = SPELLINGS.iter().find(|(spelling, _)| *spelling == mention).map_or(mention, |(_, full)| full);
    let lower = mention.to_ascii_lowercase();
    lower == image.id.as_str()
        || format!("sha256:{lower}") == image.id.as_str()
        || has_digest(image, &lower)
        || image.repo_tags.iter().any(|tag| tag == full)
}

fn has_digest(image: &Image, digest: &str) -> bool {
    image.repo_digests.iter().any(|known| known.rsplit('@').next() == Some(&digest.to_ascii_lowercase()))
}

/// What a mention says of an image, by itself: it names it, or names none of the node and may mean it.
fn mention_of(node: &Snapshot, mention: &str, image: &Image) -> Option<&'static str> {
    if is_named(mention, image) {
        return Some("it is named");
    }
    let digest = mention.split_once('@').map(|(_, digest)| digest);
    let resolves = match digest {
        Some(digest) => node.images.iter().any(|image| has_digest(image, digest)),
        None => node.images.iter().any(|image| is_named(mention, image)),
    };
    if resolves {
        return None;
    }
    let mention = mention.trim_start_matches("docker://").trim_start_matches("docker-pullable://");
    let full = SPELLINGS.iter().find(|(spelling, _)| *spelling == mention).map_or(mention, |(_, full)| full);
    let repository = full.split('@').next().unwrap_or_default();
    let repository = match repository.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => repository,
    };
    let in_repository = starts_with(image, &format!("{repository}:")) || starts_with(image, &format!("{repository}@"));
    let nameless = image.repo_tags.is_empty() && image.repo_digests.is_empty();
    let may_be = match mention {
        mention if is_sha512(mention) => true,
        mention if mention.starts_with('\u{1b}') => true,
        mention if mention.contains('@') => image.repo_digests.is_empty() || in_repository,
        mention if is_id(mention) => image.repo_digests.is_empty(),
        _ => nameless || in_repository,
    };
    may_be.then_some("it may be meant")
}

fn is_id(mention: &str) -> bool {
    let lower = mention.to_ascii_lowercase();
    is_hex(lower.trim_start_matches("docker://").trim_start_matches("sha256:"), 64)
}

/// No image of these nodes has a digest by this algorithm.
fn is_sha512(mention: &str) -> bool {
    mention.strip_prefix("sha512:").is_some_and(|hex| is_hex(hex, 128))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a container's mentions of its own image say, one by one.
fn own_image(node: &Snapshot, container: &Container, image: &Image) -> Option<&'static str> {
    let mentions = &container.image;
    let all = [&mentions.image_id, &mentions.image_ref, &mentions.image, &mentions.user_specified_image];
    if all.iter().all(|mention| mention.is_empty()) {
        return Some("a container names no image at all");
    }
    let bare = |mention: &str| mention.to_ascii_lowercase().replace("docker://", "").replace("sha256:", "");
    let id = &mentions.image_id;
    let id_is_gone = is_id(id) && !node.images.iter().any(|image| is_named(id, image));
    let says_nothing_more = |mention: &str| {
        let is_name = !is_id(mention) && !mention.contains(['@', '\u{1b}']) && !is_sha512(mention);
        id_is_gone && (bare(mention) == bare(id) || is_name)
    };
    // The image that the container was created with, where it may have the digest.
    let has_its_own = |mention: &str| {
        let mention = mention.trim_start_matches("docker://").trim_start_matches("docker-pullable://");
        let Some((name, digest)) = mention.split_once('@') else { return false };
        let repository = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => name,
        };
        !node.images.iter().any(|image| is_named(&format!("{name}@{digest}"), image))
            && node.images.iter().any(|image| {
                !mentions.image.is_empty()
                    && is_named(&mentions.image, image)
                    && image.repo_digests.is_empty()
                    && starts_with(image, &format!("{}:", repository.to_ascii_lowercase()))
            })
    };
    all.into_iter().filter(|mention| !mention.is_empty() && !has_its_own(mention)).find_map(|mention| {
        if says_nothing_more(mention) {
            return is_named(mention, image).then_some("it is named");
        }
        mention_of(node, mention, image)
    })
}

/// Why an image is in use, or may be.
fn used(node: &Snapshot, image: &Image) -> Option<&'static str> {
    let mention = |mention: &String| mention_of(node, mention, image);
    node.containers
        .iter()
        .find_map(|container| {
            own_image(node, container, image).or_else(|| container.image_volumes.iter().find_map(mention))
        })
        .or_else(|| {
            node.sandboxes.iter().map(|sandbox| &sandbox.image).filter(|image| !image.is_empty()).find_map(mention)
        })
        .or_else(|| node.outside.iter().map(|container| &container.image).find_map(mention))
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

/// How many names the image has that Docker removes apart from each other: tags, and digests in repositories without
/// one. Ports are no tags.
fn names(image: &Image) -> usize {
    let repository = |tag: &str| tag[..tag.rfind(':').unwrap()].to_owned();
    let tagged: Vec<String> = image.repo_tags.iter().map(|tag| repository(tag)).collect();
    let mut apart: Vec<&str> = image.repo_digests.iter().map(|digest| digest.split('@').next().unwrap()).collect();
    apart.sort_unstable();
    apart.dedup();
    tagged.len() + apart.iter().filter(|name| !tagged.iter().any(|tagged| tagged == **name)).count()
}

/// Why an image must stay whatever the limits are, by brute force.
pub(crate) fn must_stay(node: &Snapshot, rails: &GuardRails, image: &Image) -> Option<&'static str> {
    if node.memory.kept.contains_key(image.id.as_str()) {
        Some("the runtime keeps it")
    } else if let Some(why) = used(node, image) {
        Some(why)
    } else if (node.node.runtime_name == "docker" || node.memory.untags_first)
        && !rails.allow_partial_untag
        && names(image) > 1
    {
        Some("it may lose names")
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
