use std::cmp::Ordering;

use holystone_core::pattern::Pattern;
use serde_json::{Value, json};

use super::{ImageView, Kind, Selection, select};
use crate::Config;
use crate::rank::Rank;

const NOW: i64 = 1_800_000_000_000_000_000;
const DAY: i64 = 86_400_000_000_000;

#[derive(Clone, Debug, Default)]
struct Image {
    id: String,
    tags: Vec<String>,
    digests: Vec<String>,
    pinned: bool,
    used: bool,
    /// Days ago.
    seen: Option<i64>,
    last_used: Option<i64>,
}

impl ImageView for Image {
    fn id(&self) -> &str {
        &self.id
    }
    fn tags(&self) -> &[String] {
        &self.tags
    }
    fn digests(&self) -> &[String] {
        &self.digests
    }
    fn is_pinned(&self) -> bool {
        self.pinned
    }
    fn is_in_use(&self) -> bool {
        self.used
    }
    fn first_seen(&self) -> Option<i64> {
        self.seen.map(|days| NOW - days * DAY)
    }
    fn last_used(&self) -> Option<i64> {
        self.last_used.map(|days| NOW - days * DAY)
    }
}

/// An unused image with these tags, named after the first.
fn image(tags: &[&str]) -> Image {
    Image { id: tags[0].to_owned(), tags: tags.iter().map(|&tag| tag.to_owned()).collect(), ..Image::default() }
}

fn images(tags: &[&str]) -> Vec<Image> {
    tags.iter().map(|tag| image(&[tag])).collect()
}

fn dangling(id: &str, digests: &[&str]) -> Image {
    let digest = |name: &&str| format!("{name}@sha256:{}", "0".repeat(64));
    Image { id: id.to_owned(), digests: digests.iter().map(digest).collect(), ..Image::default() }
}

fn run(images: &[Image], config: &Value) -> Selection {
    select(images, NOW, &Config::parse(&config.to_string()).unwrap())
}

/// The ids chosen, in order.
fn chosen<'a>(images: &'a [Image], config: &Value) -> Vec<&'a str> {
    run(images, config).choices.iter().map(|choice| images[choice.image].id.as_str()).collect()
}

#[test]
fn only_unused_images_go() {
    let mut node = images(&["app:1", "app:2", "app:3"]);
    node[0].used = true;
    node[1].pinned = true;
    assert_eq!(chosen(&node, &json!({"repositories": ["*"]})), ["app:3"]);
}

#[test]
fn an_image_with_two_matching_tags_goes_and_goes_once() {
    // The script's `uniq -u` never removed these.
    let node = [image(&["minchou/app:1", "minchou/app:stable", "minchou/other:1"])];
    assert_eq!(chosen(&node, &json!({"repositories": ["minchou/*"]})), ["minchou/app:1"]);
}

#[test]
fn a_sibling_outside_the_patterns_protects() {
    // The script's `crictl rmi ID` took the other tags with it.
    let mut node = vec![image(&["minchou/app:1", "base:1"]), image(&["minchou/app:2", "minchou/app:prod"])];
    assert!(chosen(&node, &json!({"repositories": ["minchou/*", "!minchou/app:prod"]})).is_empty());
    // The same holds for a digest in a repository of which the image has no tag.
    node = vec![image(&["minchou/app:1"]), image(&["minchou/app:2"]), image(&["app:3"])];
    node[0].digests = dangling("", &["docker.io/library/base"]).digests;
    node[1].digests = dangling("", &["docker.io/minchou/app"]).digests;
    node[2].digests = dangling("", &["docker.io/library/app"]).digests;
    assert_eq!(chosen(&node, &json!({"repositories": ["minchou/app:*", "app:*"]})), ["app:3", "minchou/app:2"]);
    assert_eq!(chosen(&node, &json!({"repositories": ["*"]})).len(), 3);
}

#[test]
fn repositories_match_as_a_whole() {
    // The script's grep took a part of the row for a match, and in any case.
    let node = images(&["reg.io/minchou/pw:1", "reg.io/minchou/pw-app:1", "reg.io/minchou/xpw:1", "reg.io/Minchou:pw"]);
    assert_eq!(chosen(&node, &json!({"repositories": ["reg.io/minchou/pw"]})), ["reg.io/minchou/pw:1"]);
    assert_eq!(chosen(&node, &json!({"repositories": ["reg.io/minchou/pw*"]})).len(), 2);
}

#[test]
fn exclusions_win_wherever_they_stand() {
    let node = images(&["nginx:1", "docker.io/library/nginx:2", "redis:1-lts", "redis:1", "reg:5000/nginx:1"]);
    for list in [["!nginx", "*"], ["*", "!nginx"]] {
        assert_eq!(chosen(&node, &json!({"repositories": list})), ["redis:1", "redis:1-lts", "reg:5000/nginx:1"]);
    }
    assert_eq!(chosen(&node, &json!({"repositories": ["redis", "!*:*-lts"]})), ["redis:1"]);
    assert_eq!(chosen(&node, &json!({"repositories": ["*:1"]})), ["nginx:1", "redis:1", "reg:5000/nginx:1"]);
}

#[test]
fn the_newest_versions_stay() {
    let node = images(&["app:v1.9.0", "app:1.10.0-rc1", "app:1.10", "app:v1.2.3", "app:1.10.0-rc.10"]);
    let repositories = json!(["*"]);
    let keep = |count: u64| chosen(&node, &json!({"repositories": repositories, "keepLast": count}));
    assert_eq!(keep(0), ["app:v1.2.3", "app:v1.9.0", "app:1.10.0-rc1", "app:1.10.0-rc.10", "app:1.10"]);
    assert_eq!(keep(2), ["app:v1.2.3", "app:v1.9.0", "app:1.10.0-rc1"]);
    assert!(keep(5).is_empty() && keep(4_294_967_295).is_empty());
}

#[test]
fn used_images_count_among_the_newest() {
    let mut node = images(&["app:1", "app:2", "app:3", "app:4"]);
    node[3].used = true;
    node[2].pinned = true;
    assert_eq!(chosen(&node, &json!({"repositories": ["app"], "keepLast": 2})), ["app:1", "app:2"]);
    let selection = run(&node, &json!({"repositories": ["app"], "keepLast": 2}));
    assert_eq!(selection.choices[0].kind, Kind::Superseded);
    assert_eq!(
        selection.choices[0].text,
        "not used by any container; 2 images of docker.io/library/app that are newer by version are kept"
    );
    let selection = run(&node, &json!({"repositories": ["app"], "keepLast": 1}));
    assert_eq!(
        selection.choices[0].text,
        "not used by any container; 1 image of docker.io/library/app that is newer by version is kept"
    );
}

/// The reasons of the images chosen, in order.
fn reasons(images: &[Image], config: &Value) -> Vec<String> {
    run(images, config).choices.into_iter().map(|choice| choice.text).collect()
}

/// The tags of one repository that go with `keepLast`, whatever the order in which they are listed.
fn gone(tags: &[&str], keep: usize) -> Vec<String> {
    let mut node: Vec<Image> = tags.iter().map(|tag| image(&[&format!("app:{tag}")])).collect();
    let config = json!({"repositories": ["app"], "keepLast": keep});
    let first: Vec<String> = chosen(&node, &config).into_iter().map(|id| id.replace("app:", "")).collect();
    for _ in 0..2 {
        node.reverse();
        let again: Vec<String> = chosen(&node, &config).into_iter().map(|id| id.replace("app:", "")).collect();
        assert_eq!(again, first, "in another order");
        let shift = node.len() / 2;
        node.rotate_left(shift);
    }
    first
}

#[test]
fn nothing_goes_for_an_order_that_is_not_known() {
    for (tags, keep, expected) in [
        (&["16.3", "17beta1"][..], 1, &["16.3"][..]),
        (&["16.3", "17beta1", "17"], 1, &["16.3", "17beta1"]),
        (&["1.21.5", "1.22rc1", "1.22rc1-alpine3.19"], 1, &["1.21.5"]),
        (&["3.12.1", "3.13.0b1", "3.13.0"], 1, &["3.12.1", "3.13.0b1"]),
        (&["1.0.dev5", "2.0a3", "1.0"], 1, &["1.0.dev5", "1.0"]),
        (&["v1.28.3-rc1-k3s1", "v1.28.3-k3s1", "v1.28.3-k3s2"], 1, &["v1.28.3-rc1-k3s1", "v1.28.3-k3s1"]),
        (
            &["1.13.14-0.1.0-rc.1", "1.13.14-0.1.0-rc.2", "1.13.14-0.1.0"],
            1,
            &["1.13.14-0.1.0-rc.1", "1.13.14-0.1.0-rc.2"],
        ),
        (&["8u392-b08-jdk", "11.0.21_9-jdk", "21_35-jdk"], 1, &["11.0.21_9-jdk"]),
        (&["1.2.3.4.5", "1.0"], 1, &[]),
        // Names that move and variants are of the same version.
        (&["7", "7.2", "7.2.4", "7.2.4-alpine", "7.2.3-alpine", "7.2.3"], 1, &["7.2.3", "7.2.3-alpine"]),
        (&["20.9.0", "20.10.0-amd64", "20.10.0-arm64"], 1, &["20.9.0"]),
        (&["20.9.0", "20.10.0-amd64", "20.10.0-arm64"], 2, &["20.9.0"]),
        (&["latest", "stable", "edge", "1.0", "2.0"], 1, &["1.0"]),
        // Hashes.
        (&["v1.4.0", "v1.5.0", "917005", "4e91700"], 2, &[]),
        (&["v1.4.0", "v1.5.0", "1234567", "2345678"], 1, &["v1.4.0"]),
        (&["0012345", "9f8e7d6", "1e23456"], 1, &[]),
        (&["0012345", "2345678", "1234567"], 2, &[]),
        (&["1234567", "2345678", "abcdef0"], 1, &[]),
        (&["1234567", "2345678", "deadbeef"], 1, &[]),
        (&["sha-1234567", "sha-2345678", "sha-ad132f5"], 1, &[]),
        (&["sha-1234567", "sha-2345678", "sha-facade"], 1, &[]),
        (&["main-4e91700-1700000000", "main-5e91700-1600000000", "main-6e91700-1650000000"], 1, &[]),
        (&["main-1234567-1700000000", "main-2345678-1600000000"], 1, &[]),
        (&["master-1700000000-abc123", "master-1700000001-abc123"], 1, &[]),
        // Counts, where there is nothing else.
        (&["917004", "917005", "1000000"], 1, &["917004", "917005"]),
        (&["917004", "917005", "latest"], 1, &["917004"]),
        (&["build-917004", "build-917005", "v1.4.0", "4e91700"], 1, &["build-917004"]),
        (&["build-8", "build-9", "build-10", "main"], 2, &["build-8"]),
        (&["57", "58", "v57.1"], 1, &["57", "v57.1"]),
        // Dates beside versions count apart.
        (&["20240131", "20240201", "1.4.0", "1.5.0"], 1, &["20240131", "1.4.0"]),
        (&["2024-01-31", "20240201", "2024-02-02"], 1, &["2024-01-31", "20240201"]),
        (&["20240131123000", "20240131123001"], 1, &["20240131123000"]),
        (&["jammy-20240111", "jammy-20240125", "noble-20240101"], 1, &["jammy-20240111"]),
        (&["2024.01.05", "2024.1.10", "2023.12.31"], 1, &["2023.12.31", "2024.01.05"]),
    ] {
        assert_eq!(gone(tags, keep), expected, "{tags:?} {keep}");
    }
}

#[test]
fn the_reason_says_by_which_order() {
    let mut node = images(&["v:1", "v:2", "d:20240101", "d:20240102", "s:abc", "s:def", "t:main-x-1", "t:main-y-2"]);
    (node[4].seen, node[5].seen) = (Some(9), Some(1));
    let config = json!({"repositories": ["*"], "keepLast": 1, "order": {"byTag": "main-*-#"}});
    assert_eq!(chosen(&node, &config), ["d:20240101", "s:abc", "t:main-x-1", "v:1"]);
    let text = |repository: &str, newer: &str| {
        format!("not used by any container; 1 image of docker.io/library/{repository} that {newer} is kept")
    };
    let expected = [
        text("d", "is newer by the date in the tag"),
        text("s", "was first seen later"),
        text("t", "is newer by the number in the tag"),
        text("v", "is newer by version"),
    ];
    assert_eq!(reasons(&node, &config), expected);
    node.reverse();
    assert_eq!(reasons(&node, &config), expected);
    node.extend(images(&["s:x", "s:y"]));
    (node[8].seen, node[9].seen) = (Some(0), Some(2));
    let two = json!({"repositories": ["s"], "keepLast": 2});
    assert_eq!(chosen(&node, &two), ["s:abc", "s:y"]);
    assert_eq!(
        reasons(&node, &two)[0],
        "not used by any container; 2 images of docker.io/library/s that were first seen later are kept"
    );
}

#[test]
fn a_reason_names_the_repository_and_the_order_of_its_own_image() {
    let mut node = images(&["a:1", "a:2", "b:1", "b:2", "c:20240101", "c:20240102", "c:1.0", "c:2.0", "c:x", "c:y"]);
    (node[8].seen, node[9].seen) = (Some(9), Some(1));
    node.push(dangling("untagged", &["docker.io/library/c"]));
    let text = |repository: &str, newer: &str| {
        format!("not used by any container; 1 image of docker.io/library/{repository} that {newer} is kept")
    };
    let expected = [
        text("a", "is newer by version"),
        text("b", "is newer by version"),
        super::DANGLING.to_owned(),
        text("c", "was first seen later"),
        text("c", "is newer by the date in the tag"),
        text("c", "is newer by version"),
    ];
    let config = json!({"repositories": ["*"], "keepLast": 1, "dangling": true});
    for _ in 0..2 {
        assert_eq!(reasons(&node, &config), expected);
        node.reverse();
    }
}

#[test]
fn an_image_with_a_version_and_a_date_counts_once_in_each_and_once_in_all() {
    let mut node = images(&["x:1.0", "x:20240101"]);
    node.push(image(&["x:2.0", "x:20240102"]));
    let keep = |node: &[Image], keep: u64| {
        let config = json!({"repositories": ["x"], "keepLast": keep, "dangling": true});
        chosen(node, &config).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        assert_eq!(keep(&node, 1), ["x:20240101", "x:1.0"], "it is the newest by both");
        node.reverse();
    }
    let node = [image(&["x:2.0", "x:20240102"]), dangling("untagged", &["docker.io/library/x"])];
    assert_eq!(keep(&node, 1), ["untagged"]);
    assert!(keep(&node, 2).is_empty(), "one image is not two");
}

#[test]
fn the_config_chooses_the_order() {
    let mut node =
        images(&["app:main-9f8e7d6-1700000001", "app:main-1e23456-1700000002", "app:main-0012345-1700000000"]);
    node.extend(images(&["app:2.0", "app:1.0", "app:x"]));
    for (image, days) in node.iter_mut().zip([3, 2, 1, 6, 5, 4]) {
        image.seen = Some(days);
    }
    let keep = |node: &[Image], order: Value| {
        let config = json!({"repositories": ["app"], "keepLast": 1, "order": order});
        chosen(node, &config).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let first_seen = ["app:2.0", "app:1.0", "app:x", "app:main-9f8e7d6-1700000001", "app:main-1e23456-1700000002"];
        assert_eq!(keep(&node, json!("firstSeen")), first_seen);
        let by_tag = ["app:1.0", "app:main-0012345-1700000000", "app:main-9f8e7d6-1700000001"];
        assert_eq!(keep(&node, json!({"byTag": "main-*-#"})), by_tag);
        let by_version = ["app:x", "app:main-9f8e7d6-1700000001", "app:main-1e23456-1700000002", "app:1.0"];
        assert_eq!(keep(&node, json!("version")), by_version);
        node.reverse();
    }
    for image in &mut node {
        image.seen = None;
    }
    assert_eq!(keep(&node, json!({"byTag": "main-*-#"})).len(), 3, "needs no times");
    assert!(keep(&node, json!("firstSeen")).is_empty());
    assert_eq!(keep(&node, json!("version")), ["app:1.0"]);
}

#[test]
fn images_of_unknown_order_are_counted() {
    let mut node = images(&["app:a", "app:b", "app:c", "other:1", "other:2", "seen:a", "seen:b"]);
    (node[5].seen, node[6].seen) = (Some(2), Some(1));
    let unknown =
        |node: &[Image], keep: u64| run(node, &json!({"repositories": ["*"], "keepLast": keep})).unknown_order;
    assert_eq!(unknown(&node, 1), [("docker.io/library/app".to_owned(), 2)]);
    assert_eq!(unknown(&node, 2), [("docker.io/library/app".to_owned(), 1)]);
    assert!(unknown(&node, 3).is_empty() && unknown(&node, 0).is_empty());
    let said = |node: &[Image]| run(node, &json!({"repositories": ["*"], "keepLast": 1})).kept_for_unknown_order();
    let sentence = "are kept beyond keepLast, because their order is not known; say what orders them with `order`";
    assert_eq!(said(&node).unwrap(), format!("2 images of docker.io/library/app {sentence}"));
    let of_one = "is kept beyond keepLast, because its order is not known; say what orders it with `order`";
    assert_eq!(said(&node[..2]).unwrap(), format!("1 image of docker.io/library/app {of_one}"));
    assert_eq!(said(&node[3..]), None);
    node.extend(images(&["z:a", "z:b"]));
    assert_eq!(said(&node).unwrap(), format!("3 images of docker.io/library/app and 1 more {sentence}"));
    node.truncate(7);
    node[0].used = true;
    node[2].pinned = true;
    node.reverse();
    assert!(unknown(&node, 1).iter().map(|(_, count)| count).sum::<usize>() <= 1, "used ones stay anyway");
}

#[test]
fn a_mixed_repository_keeps_the_newest_of_each_kind() {
    let mut node = images(&["app:build-10", "app:build-9", "app:new", "app:old", "app:1.0", "app:0.9", "app:1.1"]);
    (node[2].seen, node[3].seen, node[4].seen) = (Some(1), Some(9), Some(400));
    node.push(dangling("untagged", &["docker.io/library/app"]));
    for _ in 0..2 {
        for (keep, expected) in [
            (
                0,
                &["untagged", "app:old", "app:new", "app:0.9", "app:1.0", "app:1.1", "app:build-9", "app:build-10"][..],
            ),
            (1, &["untagged", "app:old", "app:0.9", "app:1.0", "app:build-9"]),
            (2, &["untagged", "app:0.9"]),
            (7, &["untagged"]),
            (8, &[]),
        ] {
            let config = json!({"repositories": ["app"], "keepLast": keep, "dangling": true});
            assert_eq!(chosen(&node, &config), expected, "{keep}");
        }
        node.reverse();
    }
}

#[test]
fn images_without_tags_rank_by_when_they_were_seen() {
    let mut node: Vec<Image> = ["a", "b", "c"].iter().map(|id| dangling(id, &["x"])).collect();
    let keep = |node: &[Image], keep: u64| {
        let config = json!({"repositories": ["*"], "keepLast": keep, "dangling": true});
        chosen(node, &config).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(keep(&node, 1).is_empty(), "none is known to be newer");
    for (image, days) in node.iter_mut().zip([1, 3, 2]) {
        image.seen = Some(days);
    }
    for _ in 0..2 {
        assert_eq!(keep(&node, 1), ["b", "c"]);
        assert_eq!(keep(&node, 2), ["b"]);
        node.reverse();
    }
    node.push(image(&["x:1", "x:latest"]));
    assert_eq!(keep(&node, 1), ["b", "c", "a"], "a tag outranks none");
    assert_eq!(keep(&node, 2), ["b", "c"], "an image with two tags counts once");
}

#[test]
fn of_several_tags_the_newest_ranks() {
    for tags in [["app:1", "app:5", "app:latest"], ["app:latest", "app:5", "app:1"], ["app:5", "app:latest", "app:1"]] {
        let mut node = vec![image(&tags), image(&["app:2"]), image(&["app:3"])];
        node[0].id = "newest".to_owned();
        let config = json!({"repositories": ["app"], "keepLast": 1});
        assert_eq!(chosen(&node, &config), ["app:2", "app:3"]);
        node[1].tags.push("app:4".to_owned());
        assert_eq!(chosen(&node, &config), ["app:3", "app:2"]);
        node.reverse();
        assert_eq!(chosen(&node, &config), ["app:3", "app:2"]);
    }
    // Where none is the newest, the image stays as long as one of them does, and counts once.
    let node =
        [image(&["app:1.0", "app:20240101"]), image(&["app:2.0"]), image(&["app:20240102"]), image(&["app:3.0"])];
    let keep = |keep: u64| chosen(&node, &json!({"repositories": ["app"], "keepLast": keep}));
    assert_eq!(keep(1), ["app:1.0", "app:2.0"]);
    assert!(keep(2).is_empty(), "only one date is newer");
    // A tag that begins with its version counts before one that does not.
    let node = [image(&["app:v1.8.5", "app:stable-2025", "app:chart-9"]), image(&["app:v1.8.6"])];
    assert_eq!(chosen(&node, &json!({"repositories": ["app"], "keepLast": 1})), ["app:v1.8.5"]);
    let node = [image(&["app:stable-2025", "app:main"]), image(&["app:stable-2026", "app:chart-9"])];
    assert_eq!(chosen(&node, &json!({"repositories": ["app"], "keepLast": 1})), ["app:stable-2025"]);
    let node = [image(&["app:1.27.4", "app:1.27.4-alpine"]), image(&["app:1.26.0"]), image(&["app:1.25.0"])];
    assert_eq!(chosen(&node, &json!({"repositories": ["app"], "keepLast": 2})), ["app:1.25.0"]);
}

#[test]
fn an_image_counts_once_in_a_repository_and_is_kept_if_any_keeps_it() {
    let node = [image(&["a:1", "a:5"]), image(&["a:3", "b:1"]), image(&["a:4"]), image(&["a:2"]), image(&["b:0"])];
    assert_eq!(chosen(&node, &json!({"repositories": ["a", "b"], "keepLast": 1})), ["a:2", "a:4", "b:0"]);
    // Two spellings of one repository.
    let node = [image(&["a:1"]), image(&["docker.io/library/a:2"]), image(&["index.docker.io/library/a:3"])];
    assert_eq!(chosen(&node, &json!({"repositories": ["a"], "keepLast": 1})), ["a:1", "docker.io/library/a:2"]);
}

#[test]
fn images_out_of_scope_do_not_count() {
    let node = images(&["app:br-1", "app:br-2", "app:v3"]);
    assert_eq!(chosen(&node, &json!({"repositories": ["app:br-*"], "keepLast": 1})), ["app:br-1"]);
    // But they show what numbers are.
    let node = images(&["app:1234567", "app:2345678", "app:abcdef0"]);
    assert!(chosen(&node, &json!({"repositories": ["app", "!app:abcdef0"], "keepLast": 1})).is_empty());
}

#[test]
fn tags_to_keep_keep_their_image_and_take_no_place() {
    let node = [image(&["app:latest"]), image(&["app:1"]), image(&["app:2", "app:x-lts"]), image(&["app:3"])];
    let keep =
        |last: u64| chosen(&node, &json!({"repositories": ["app"], "keepTags": ["latest", "*-lts"], "keepLast": last}));
    assert_eq!(keep(0), ["app:1", "app:3"]);
    assert_eq!(keep(1), ["app:1"]);
}

#[test]
fn dangling_images_go_only_when_asked_for() {
    let node = [
        dangling("in", &["docker.io/minchou/app"]),
        dangling("half", &["docker.io/minchou/app", "docker.io/library/x"]),
        dangling("bare", &[]),
        image(&["minchou/app:1"]),
    ];
    assert_eq!(chosen(&node, &json!({"repositories": ["minchou/*"]})), ["minchou/app:1"]);
    assert_eq!(
        chosen(&node, &json!({"repositories": ["minchou/*"], "dangling": true})),
        ["bare", "in", "minchou/app:1"]
    );
    assert_eq!(chosen(&node, &json!({"dangling": true})), ["bare", "half", "in"]);
    assert_eq!(chosen(&node, &json!({"dangling": true, "repositories": ["!x"]})), ["bare", "in"]);
    let selection = run(&node, &json!({"dangling": true}));
    assert!(selection.choices.iter().all(|choice| choice.kind == Kind::Dangling && choice.text == super::DANGLING));
    // A pattern with a tag says nothing about an image that has none.
    assert_eq!(chosen(&node, &json!({"repositories": ["minchou/*:*"], "dangling": true})), ["bare", "minchou/app:1"]);
}

#[test]
fn ages() {
    let mut node = images(&["app:1", "app:2", "app:3", "app:4", "app:5"]);
    (node[0].seen, node[0].last_used) = (Some(30), Some(3));
    node[1].seen = Some(10);
    node[2].last_used = Some(20);
    (node[3].seen, node[3].last_used) = (Some(-5), Some(-5));
    let all = json!(["*"]);
    let unused_for = json!({"repositories": all, "unusedFor": "7d"});
    assert_eq!(chosen(&node, &unused_for), ["app:2", "app:3"]);
    assert_eq!(run(&node, &unused_for).unknown_age, 1);
    let texts: Vec<_> = run(&node, &unused_for).choices.into_iter().map(|choice| choice.text).collect();
    assert_eq!(
        texts,
        [
            "not used by any container; never seen in use; first seen 10 days ago",
            "not used by any container; last used 20 days ago"
        ]
    );
    let max_age = json!({"repositories": all, "maxAge": "240h"});
    assert_eq!(chosen(&node, &max_age), ["app:1"], "exactly ten days is not longer than ten days");
    assert_eq!(run(&node, &max_age).unknown_age, 2);
    let both = json!({"repositories": all, "maxAge": "9d", "unusedFor": "2d", "keepLast": 1});
    assert_eq!(chosen(&node, &both), ["app:1", "app:2"]);
    assert_eq!(run(&node, &both).unknown_age, 1, "the newest is kept for its version");
    // Extreme times do not overflow.
    let far = Image { seen: Some(i64::MAX / DAY), ..image(&["app:9"]) };
    let config = Config::parse(r#"{"repositories": ["*"], "maxAge": "106751d"}"#).unwrap();
    assert_eq!(select(std::slice::from_ref(&far), i64::MAX, &config).choices.len(), 1);
    assert_eq!(select(&[far], i64::MIN, &config).choices.len(), 0);
}

#[test]
fn odd_references_are_matched_as_they_stand() {
    let node = images(&["<none>:<none>", "UPPER/x:1", "", ":", "@", "a:b@", "//:1"]);
    assert_eq!(chosen(&node, &json!({"repositories": ["*"]})).len(), node.len());
    assert!(chosen(&node, &json!({"repositories": ["app"], "keepTags": ["*"]})).is_empty());
}

/// Everything that holds for any node and any config, checked on random ones.
#[test]
fn random_nodes() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let names = ["app", "docker.io/library/app", "docker.io/minchou/app", "minchou/app-b", "reg.io:5000/x/y"];
    let tags = [
        "1",
        "v1.0",
        "2.0",
        "1.10",
        "1.9",
        "latest",
        "build-9",
        "build-10",
        "2.0-rc1",
        "2.0b1",
        "20240101",
        "20240102",
        "1234567",
        "2345678",
        "2.0-alpine",
        "main-abc1234-3",
        "main-def1234-4",
        "edge",
    ];
    let orders = [json!("version"), json!("firstSeen"), json!({"byTag": "main-*-#"})];
    let patterns = ["*", "app", "minchou/*", "*:1*", "!*:latest", "!minchou/app", "reg.io:5000/*", "!*:build-*"];
    for _ in 0..3_000 {
        let mut node: Vec<Image> = (0..next(9))
            .map(|index| Image {
                id: format!("id{index}"),
                tags: (0..next(4)).map(|_| format!("{}:{}", names[next(5)], tags[next(18)])).collect(),
                digests: (0..next(2)).flat_map(|_| dangling("", &[names[next(5)]]).digests).collect(),
                pinned: next(8) == 0,
                used: next(4) == 0,
                seen: [None, Some(i64::try_from(next(20)).unwrap())][next(2)],
                last_used: [None, Some(i64::try_from(next(20)).unwrap())][next(2)],
            })
            .collect();
        let list: Vec<&str> = (0..=next(3)).map(|_| patterns[next(8)]).chain(["app"]).collect();
        let (keep, dangling) = (next(3), next(2) == 0);
        let config = json!({"repositories": list, "keepLast": keep, "dangling": dangling, "order": orders[next(3)]});
        let selection = run(&node, &config);

        let parse = |text: &&str| text.parse::<Pattern>().unwrap();
        let include: Vec<_> = list.iter().filter(|text| !text.starts_with('!')).map(parse).collect();
        let exclude: Vec<_> = list.iter().filter_map(|text| text.strip_prefix('!')).map(|text| parse(&text)).collect();
        let in_scope = |text: &String| {
            include.iter().any(|p| p.matches_text(text)) && !exclude.iter().any(|p| p.matches_text(text))
        };
        for choice in &selection.choices {
            let image = &node[choice.image];
            assert!(!image.used && !image.pinned, "{image:?} {config}");
            assert!(image.tags.iter().all(in_scope), "{image:?} {config}");
            assert!(
                image.digests.iter().all(|text| !exclude.iter().any(|p| p.matches_text(text))),
                "{image:?} {config}"
            );
            assert!(!image.tags.is_empty() || dangling && image.digests.iter().all(in_scope), "{image:?} {config}");
        }
        let mut ids: Vec<_> = selection.choices.iter().map(|choice| choice.image).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), selection.choices.len(), "no image twice");
        if keep == 0 && !dangling {
            let simple = |image: &&Image| {
                !image.used
                    && !image.pinned
                    && !image.tags.is_empty()
                    && image.tags.iter().all(in_scope)
                    && image.digests.is_empty()
            };
            let missed = node
                .iter()
                .filter(simple)
                .find(|image| !selection.choices.iter().any(|choice| node[choice.image].id == image.id));
            assert!(missed.is_none(), "{missed:?} {config}");
        }

        // As many images as are to be kept are known to be newer, and stay.
        for choice in selection.choices.iter().filter(|choice| keep > 0 && choice.kind == Kind::Superseded) {
            let gone = |other: usize| selection.choices.iter().any(|choice| choice.image == other);
            let newer = (0..node.len()).filter(|&other| !gone(other) && is_newer(&node, other, choice.image, &config));
            assert!(newer.count() >= keep, "{:?} {config} {node:#?}", node[choice.image]);
        }

        // The order in which images and their tags are listed does not matter.
        let before: Vec<_> = chosen(&node, &config).into_iter().map(str::to_owned).collect();
        node.reverse();
        for image in &mut node {
            image.tags.reverse();
        }
        assert_eq!(chosen(&node, &config), before);
    }
}

/// Whether in some repository of `image` a tag of `other` is known to be newer than each of its tags with an order of
/// its own, or was seen later where it has none.
fn is_newer(node: &[Image], other: usize, image: usize, config: &Value) -> bool {
    let config = Config::parse(&config.to_string()).unwrap();
    let ranks = |image: &Image, repository: &str| -> Vec<Rank<'static>> {
        let of = |tag: &String| {
            let (name, tag) = tag.rsplit_once(':').unwrap();
            let tag: &'static str = tag.to_owned().leak();
            let name = name.strip_prefix("docker.io/library/").or(name.strip_prefix("docker.io/")).unwrap_or(name);
            (name == repository).then(|| super::rank(tag, image.first_seen(), &config.order))
        };
        let ranks: Vec<_> = image.tags.iter().filter_map(of).collect();
        let hashes = ranks.iter().filter(|rank| rank.may_be_hash()).map(|rank| rank.without_tag_order());
        let hashes: Vec<_> = hashes.collect();
        ranks.into_iter().chain(hashes).collect()
    };
    ["app", "minchou/app", "minchou/app-b", "reg.io:5000/x/y"].iter().any(|repository| {
        let (of_other, of_image) = (ranks(&node[other], repository), ranks(&node[image], repository));
        of_image.iter().any(|old| of_other.iter().any(|new| new.known(old) == Some(Ordering::Greater)))
    })
}
