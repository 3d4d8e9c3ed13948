use serde_json::{Value, json};

use super::{Tally, tally};
use crate::Config;
use crate::select::ImageView;

#[derive(Clone, Debug, Default)]
struct Image {
    tags: Vec<String>,
    digests: Vec<String>,
}

impl ImageView for Image {
    fn id(&self) -> &'static str {
        "id"
    }
    fn tags(&self) -> &[String] {
        &self.tags
    }
    fn digests(&self) -> &[String] {
        &self.digests
    }
    fn is_pinned(&self) -> bool {
        true
    }
    fn is_in_use(&self) -> bool {
        true
    }
    fn first_seen(&self) -> Option<i64> {
        None
    }
    fn last_used(&self) -> Option<i64> {
        None
    }
}

fn image(references: &[&str]) -> Image {
    let (digests, tags) =
        references.iter().map(|text| (*text).to_owned()).partition(|text: &String| text.contains('@'));
    Image { tags, digests }
}

/// All of them are in use and pinned, which makes no difference to a count.
fn node() -> Vec<Image> {
    let digest = format!("docker.io/minchou/rollout@sha256:{}", "0".repeat(64));
    vec![
        image(&["docker.io/minchou/rollout:v1", "docker.io/minchou/rollout:latest", &digest]),
        image(&["docker.io/minchou/rollout:v2", "docker.io/library/nginx:stable"]),
        image(&["docker.io/library/nginx:1.27-lts"]),
        image(&[&digest]),
        image(&[]),
        image(&["Odd-Name:x"]),
    ]
}

fn told(config: &Value) -> (Vec<String>, Vec<String>) {
    let mut images = node();
    let config = Config::parse(&config.to_string()).unwrap();
    let Tally { matches, notices } = tally(&images, &config);
    images.reverse();
    assert_eq!(tally(&images, &config), Tally { matches: matches.clone(), notices: notices.clone() }, "in any order");
    let line = |one: &holystone_core::matches::PatternMatch| format!("{} {} {}", one.field, one.pattern, one.matches);
    (matches.iter().map(line).collect(), notices)
}

#[test]
fn an_image_counts_once_for_each_pattern_that_matches_it() {
    let (matches, notices) = told(&json!({
        "repositories": ["docker.io/minchou/*", "!nginx", "nginx:*", "*", "!minchou/rollout:v2", "?dd-*"],
        "keepTags": ["latest", "*-lts", "v*"],
    }));
    let expected = [
        "repositories[0] docker.io/minchou/* 3",
        "repositories[1] !nginx 2",
        "repositories[2] nginx:* 2",
        "repositories[3] * 6",
        "repositories[4] !minchou/rollout:v2 1",
        "repositories[5] ?dd-* 1",
        "keepTags[0] latest 1",
        // Out of scope, by the exclusion of nginx and of rollout:v2.
        "keepTags[1] *-lts 0",
        "keepTags[2] v* 1",
    ];
    assert_eq!(matches, expected);
    assert_eq!(notices, ["keepTags[1]: *-lts matched no image on this node"]);
}

#[test]
fn a_pattern_that_matches_nothing_is_told_with_what_was_meant() {
    let (matches, notices) = told(&json!({
        "repositories": ["docker.io/minchuo/*", "*", "!docker.io/minchou/rolout", "!ngnix:stable", "quay.io/other"],
        "keepTags": ["lastest", "1.27-lst", "none-like-it"],
    }));
    assert_eq!(matches.iter().filter(|line| line.ends_with(" 0")).count(), 7, "{matches:?}");
    assert_eq!(
        notices,
        [
            "repositories[0]: docker.io/minchuo/* matched no image on this node; did you mean docker.io/minchou/*?",
            "repositories[2]: !docker.io/minchou/rolout matched no image on this node; did you mean !docker.io/minchou/rollout?",
            "repositories[3]: !ngnix:stable matched no image on this node; did you mean !nginx:stable?",
            "repositories[4]: quay.io/other matched no image on this node",
            "keepTags[0]: lastest matched no image on this node; did you mean latest?",
            "keepTags[1]: 1.27-lst matched no image on this node; did you mean 1.27-lts?",
            "keepTags[2]: none-like-it matched no image on this node",
        ]
    );
}

#[test]
fn a_node_without_images_has_nothing_to_suggest() {
    let config = Config::parse(r#"{"repositories":["*","nginx"]}"#).unwrap();
    let Tally { matches, notices } = tally::<Image>(&[], &config);
    assert_eq!(matches.iter().map(|one| one.matches).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(notices[1], "repositories[1]: nginx matched no image on this node");
}

#[test]
fn the_pattern_of_the_order_is_counted_like_any_other() {
    let node = [image(&["app:main-a-1", "app:main-b-2"]), image(&["app:v1"]), image(&["other:main-a-1"])];
    let config = |pattern: &str| {
        let config = json!({"repositories": ["app"], "order": {"byTag": pattern}});
        tally(&node, &Config::parse(&config.to_string()).unwrap())
    };
    let last = |tally: &Tally| tally.matches.last().map(|one| (one.field.clone(), one.pattern.clone(), one.matches));
    let found = config("main-*-#");
    assert_eq!(last(&found), Some(("order.byTag".to_owned(), "main-*-#".to_owned(), 1)));
    assert!(found.notices.is_empty(), "{:?}", found.notices);
    let found = config("dev-*-#");
    assert_eq!(last(&found).map(|(_, _, matches)| matches), Some(0));
    assert!(
        matches!(&*found.notices, [notice] if notice.contains("order.byTag") && notice.contains("dev-*-#")),
        "{:?}",
        found.notices
    );
}
