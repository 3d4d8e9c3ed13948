use super::Usage;
use crate::container::ImageMentions;
use crate::fixture::{self, container, sandbox, snapshot};
use crate::image::{Image, ImageId};

fn id(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

fn image(digit: char, tags: &[&str], digests: &[&str]) -> Image {
    fixture::image(&id(digit), tags, digests)
}

/// For a container with one mention: which of four images it uses, certainly (upper case) or possibly (lower case).
fn used_by(mention: &str) -> String {
    let digest_b = format!("quay.io/team/b@{}", id('9'));
    let images = vec![
        image('a', &["docker.io/library/nginx:1.27", "docker.io/library/nginx:latest"], &[]),
        image('b', &["quay.io/team/b:2"], &[&digest_b]),
        image('c', &[], &["quay.io/team/c@sha256:8888888888888888888888888888888888888888888888888888888888888888"]),
        image('d', &[], &[]),
    ];
    let mentions = ImageMentions { image: mention.to_owned(), ..ImageMentions::default() };
    let snapshot = snapshot(images, vec![container("c", mentions)]);
    let usage = Usage::of(&snapshot);
    (0..4)
        .filter_map(|place| {
            let letter = snapshot.images[place].id.as_str().chars().last()?;
            let user = usage.users(place).first()?;
            Some(if user.unresolved.is_none() { letter.to_ascii_uppercase() } else { letter })
        })
        .collect()
}

#[test]
fn every_way_to_name_an_image_resolves() {
    let cases = [
        (id('a'), "A"),
        ("a".repeat(64), "A"),
        ("nginx:1.27".to_owned(), "A"),
        ("nginx".to_owned(), "A"),
        ("docker.io/library/nginx:1.27".to_owned(), "A"),
        ("docker.io/nginx:1.27".to_owned(), "A"),
        ("quay.io/team/b:2".to_owned(), "B"),
        (format!("quay.io/team/b@{}", id('9')), "B"),
        (format!("quay.io/team/b:2@{}", id('9')), "B"),
        // Pulled from a mirror: the same digest is the same content.
        (format!("mirror.example/b@{}", id('9')), "B"),
        (id('9'), "B"),
        ("cccccccccccc".to_owned(), "C"),
        (format!("sha256:{}", "8".repeat(64)), "C"),
    ];
    for (mention, expected) in cases {
        assert_eq!(used_by(&mention), expected, "{mention}");
    }
}

#[test]
fn an_unresolved_reference_protects_what_it_could_mean() {
    let cases = [
        // The tag has moved on: any image of that repository, or one that has lost its name.
        ("nginx:1.26", "ad"),
        ("quay.io/team/b:1", "bd"),
        ("quay.io/team/c:1", "cd"),
        ("quay.io/team/unheard-of:1", "d"),
        // Neither an id nor a known digest: an image whose digests are unknown may have it.
        ("sha256:7777777777777777777777777777777777777777777777777777777777777777", "ad"),
        // No telling at all.
        ("%%%", "abcd"),
    ];
    for (mention, expected) in cases {
        assert_eq!(used_by(mention), expected, "{mention}");
    }
}

#[test]
fn a_container_that_names_no_image_protects_all() {
    assert_eq!(used_by(""), "abcd");
}

#[test]
fn an_exact_id_that_is_gone_protects_nothing_else() {
    let mentions = ImageMentions {
        image_id: id('7'),
        image: "docker.io/library/nginx:1.26".to_owned(),
        ..ImageMentions::default()
    };
    let snapshot = snapshot(vec![image('a', &["docker.io/library/nginx:1.27"], &[])], vec![container("c", mentions)]);
    assert!(Usage::of(&snapshot).users(0).is_empty());
}

#[test]
fn all_mentions_count() {
    let mentions = ImageMentions {
        image_id: id('a'),
        image_ref: id('b'),
        image: "quay.io/x:1".to_owned(),
        user_specified_image: "quay.io/y:1".to_owned(),
    };
    let images = vec![
        image('a', &[], &[]),
        image('b', &[], &[]),
        image('c', &["quay.io/x:1"], &[]),
        image('d', &["quay.io/y:1"], &[]),
        image('e', &["quay.io/z:1"], &[]),
    ];
    let snapshot = snapshot(images, vec![container("c", mentions)]);
    let usage = Usage::of(&snapshot);
    let users: Vec<usize> = (0..5).map(|place| usage.users(place).len()).collect();
    assert_eq!(users, [1, 1, 1, 1, 0]);
    assert_eq!(usage.image_of(&snapshot.containers[0]).map(ImageId::as_str), Some(id('a').as_str()));
}

#[test]
fn image_volumes_and_sandboxes_count() {
    let mut mounting = container("c", ImageMentions { image_id: id('a'), ..ImageMentions::default() });
    mounting.image_volumes = vec!["quay.io/plugin:1".to_owned()];
    let images = vec![
        image('a', &[], &[]),
        image('b', &["quay.io/plugin:1"], &[]),
        image('c', &["registry.k8s.io/pause:3.9"], &[]),
        image('d', &["quay.io/other:1"], &[]),
    ];
    let mut snapshot = snapshot(images, vec![mounting]);
    snapshot.sandboxes.push(sandbox("s", "registry.k8s.io/pause:3.9"));
    let usage = Usage::of(&snapshot);
    let users: Vec<usize> = (0..4).map(|place| usage.users(place).len()).collect();
    assert_eq!(users, [1, 1, 1, 0]);
}

#[test]
fn certain_users_come_first() {
    let unsure = container("a", ImageMentions { image: "nginx:old".to_owned(), ..ImageMentions::default() });
    let sure = container("b", ImageMentions { image: "nginx:1".to_owned(), ..ImageMentions::default() });
    let snapshot = snapshot(vec![image('a', &["docker.io/library/nginx:1"], &[])], vec![unsure, sure]);
    let usage = Usage::of(&snapshot);
    let users: Vec<&str> = usage.users(0).iter().map(|user| user.holder.id()).collect();
    assert_eq!(users, ["b", "a"]);
}
