use super::{Pattern, glob};
use crate::fixture::image;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn matches(pattern: &str, text: &str) -> bool {
    pattern.parse::<Pattern>().unwrap().matches_text(text)
}

#[test]
fn a_repository_matches_all_its_tags_and_nothing_else() {
    let pattern = "docker.io/minchou/pw";
    assert!(matches(pattern, "docker.io/minchou/pw:1"));
    assert!(matches(pattern, &format!("docker.io/minchou/pw@sha256:{HEX}")));
    // The script's grep would have matched both.
    assert!(!matches(pattern, "docker.io/minchou/pw-app:1"));
    assert!(!matches(pattern, "example.com/docker.io/minchou/pw:1"));
}

#[test]
fn wildcards_cross_slashes() {
    for (pattern, text, expected) in [
        ("docker.io/minchou/*", "docker.io/minchou/rollout:v1", true),
        ("docker.io/minchou/*", "docker.io/minchou/a/b:v1", true),
        ("docker.io/minchou/*", "docker.io/minchou2/rollout:v1", false),
        ("*:br-*", "docker.io/minchou/rollout:br-17", true),
        ("*:br-*", "reg.example:5000/a:br-", true),
        ("*:br-*", "docker.io/minchou/rollout:main", false),
        ("*pause*", "registry.k8s.io/pause:3.9", true),
        ("*pause*", "example.com/a/pause-amd64:1", true),
        ("*pause*", "docker.io/library/app:pause", false),
        ("*", "anything/at-all:1", true),
        ("reg.example:5000/team-?/app:1.*", "reg.example:5000/team-a/app:1.9", true),
        ("reg.example:5000/team-?/app:1.*", "reg.example:5000/team-ab/app:1.9", false),
        ("reg.example:5000/*", "reg.example:5000/app:1", true),
        ("localhost/*", "localhost/pause:1", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
    }
}

#[test]
fn short_names_mean_docker_hub() {
    assert!(matches("nginx", "docker.io/library/nginx:1"));
    assert!(matches("nginx:1.*", "docker.io/library/nginx:1.27"));
    assert!(matches("nginx*", "docker.io/library/nginx-unprivileged:1"));
    assert!(!matches("nginx*", "docker.io/bitnami/nginx:1"));
    assert!(matches("minchou/*", "docker.io/minchou/rollout:1"));
    assert!(matches("minch?u/roll*:v1", "docker.io/minchou/rollout:v1"));
    assert!(matches("reg-?.example.com/a", "reg-1.example.com/a:1"));
    assert!(!matches("minchou/*", "quay.io/minchou/rollout:1"));
    assert!(matches("*/minchou/*", "quay.io/minchou/rollout:1"));
    // The other way round: a runtime that lists short names.
    assert!(matches("docker.io/library/nginx:*", "nginx:1"));
}

#[test]
fn digests_and_ids() {
    let tagless = image(&format!("sha256:{HEX}"), &[], &[]);
    let bare = image(HEX, &["a:1"], &[]);
    for pattern in [format!("sha256:{HEX}"), HEX.to_owned(), "sha256:0123456789ab".to_owned(), HEX[..13].to_owned()] {
        let parsed: Pattern = pattern.parse().unwrap();
        assert!(parsed.matches_image(&tagless) && parsed.matches_image(&bare), "{pattern}");
    }
    assert!(matches("sha256:0123456789ab", &format!("a/b@sha256:{HEX}")));
    assert!(!matches("sha256:0123456789ac", &format!("a/b@sha256:{HEX}")));
    assert!(matches(&format!("a/b@sha256:{HEX}"), &format!("a/b:1@sha256:{HEX}")));
    assert!(!matches(&format!("a/c@sha256:{HEX}"), &format!("a/b@sha256:{HEX}")));
    assert!(matches(&format!("a/b:1@sha256:{HEX}"), &format!("a/b@sha256:{HEX}")));
    assert!(!matches(&format!("a/b:1@sha256:{HEX}"), "a/b:1"));
    // A tag is asked for, and a digest alone has none.
    assert!(!matches("a/b:1", &format!("a/b@sha256:{HEX}")));
}

#[test]
fn a_star_matches_even_an_image_without_a_name() {
    let nameless = image(&format!("sha256:{HEX}"), &[], &[]);
    assert!("*".parse::<Pattern>().unwrap().matches_image(&nameless));
    assert!(!"*:1".parse::<Pattern>().unwrap().matches_image(&nameless));
}

#[test]
fn a_name_that_is_no_reference_can_still_be_matched() {
    assert!(matches("*pause*", "K8S pause!"));
    assert!(!matches("*nginx*", "K8S pause!"));
}

#[test]
fn what_can_never_match_is_refused() {
    let long = "a".repeat(513);
    for pattern in [
        "",
        " ",
        "a b",
        "a\tb",
        ":tag",
        "a:",
        "a@",
        "a//b",
        "docker.io/App",
        "sha256:12",
        "sha256:xyz",
        "größe",
        "app:[12].*",
        "a,b",
        "!a",
        &long,
    ] {
        let error = pattern.parse::<Pattern>().expect_err(pattern);
        assert!(error.to_string().contains("is not an image pattern"), "{error}");
    }
}

#[test]
fn globs() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("*", "", true),
        ("?", "", false),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "abcbc", true),
        ("a*b*c", "acb", false),
        ("**a", "a", true),
        ("*a*a*a*", "aa", false),
        ("a?c", "abc", true),
    ] {
        assert_eq!(glob(pattern, text), expected, "{pattern} against {text}");
    }
    // Would take exponential time with naive backtracking.
    assert!(!glob(&"*a".repeat(100), &"a".repeat(99)));
}
