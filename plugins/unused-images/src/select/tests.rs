use holystone_core::pattern::Pattern;
use serde_json::{Value, json};

use super::{ImageView, Kind, Selection, select};
use crate::Config;

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
        assert_eq!(chosen(&node, &json!({"repositories": list})), ["redis:1-lts", "redis:1", "reg:5000/nginx:1"]);
    }
    assert_eq!(chosen(&node, &json!({"repositories": ["redis", "!*:*-lts"]})), ["redis:1"]);
    assert_eq!(chosen(&node, &json!({"repositories": ["*:1"]})), ["nginx:1", "redis:1", "reg:5000/nginx:1"]);
}

#[test]
fn the_newest_versions_stay() {
    let node = images(&["app:v1.9.0", "app:1.10.0-rc1", "app:1.10", "app:v1.2.3", "app:1.10.0-rc.10"]);
    let repositories = json!(["*"]);
    let keep = |count: u64| chosen(&node, &json!({"repositories": repositories, "keepLast": count}));
    assert_eq!(keep(0), ["app:v1.2.3", "app:v1.9.0", "app:1.10.0-rc.10", "app:1.10.0-rc1", "app:1.10"]);
    assert_eq!(keep(2), ["app:v1.2.3", "app:v1.9.0", "app:1.10.0-rc.10"]);
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
        "not used by any container; 2 newer versions of docker.io/library/app are kept"
    );
    let selection = run(&node, &json!({"repositories": ["app"], "keepLast": 1}));
    assert_eq!(
        selection.choices[0].text,
        "not used by any container; 1 newer version of docker.io/library/app is kept"
    );
}

#[test]
fn a_mixed_repository_ranks_versions_then_seen_tags_then_names() {
    let mut node = images(&["app:build-10", "app:build-9", "app:new", "app:old", "app:1.0", "app:0.9", "app:v1"]);
    (node[2].seen, node[3].seen, node[4].seen) = (Some(1), Some(9), Some(400));
    node.push(dangling("untagged", &["docker.io/library/app"]));
    let oldest_first =
        ["untagged", "app:build-9", "app:build-10", "app:old", "app:new", "app:0.9", "app:v1", "app:1.0"];
    for keep in 0..=node.len() {
        let config = json!({"repositories": ["app"], "keepLast": keep, "dangling": true});
        assert_eq!(chosen(&node, &config), oldest_first[..node.len() - keep]);
    }
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
    let tags = ["1", "v1.0", "2.0", "1.10", "1.9", "latest", "build-9", "build-10", "2.0-rc1"];
    let patterns = ["*", "app", "minchou/*", "*:1*", "!*:latest", "!minchou/app", "reg.io:5000/*", "!*:build-*"];
    for _ in 0..3_000 {
        let mut node: Vec<Image> = (0..next(9))
            .map(|index| Image {
                id: format!("id{index}"),
                tags: (0..next(4)).map(|_| format!("{}:{}", names[next(5)], tags[next(9)])).collect(),
                digests: (0..next(2)).flat_map(|_| dangling("", &[names[next(5)]]).digests).collect(),
                pinned: next(8) == 0,
                used: next(4) == 0,
                seen: [None, Some(i64::try_from(next(20)).unwrap())][next(2)],
                last_used: [None, Some(i64::try_from(next(20)).unwrap())][next(2)],
            })
            .collect();
        let list: Vec<&str> = (0..=next(3)).map(|_| patterns[next(8)]).chain(["app"]).collect();
        let (keep, dangling) = (next(3), next(2) == 0);
        let config = json!({"repositories": list, "keepLast": keep, "dangling": dangling});
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

        // The order in which images are listed does not matter.
        let before: Vec<_> = chosen(&node, &config).into_iter().map(str::to_owned).collect();
        node.reverse();
        assert_eq!(chosen(&node, &config), before);
    }
}
