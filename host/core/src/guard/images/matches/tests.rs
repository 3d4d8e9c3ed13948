use crate::fixture::{image, snapshot};
use crate::guard::images::ImageGuard;
use crate::guard::{GuardRails, RailPattern};
use crate::snapshot::Snapshot;

fn named(field: &str, pattern: &str) -> RailPattern {
    RailPattern::new(field, pattern.parse().unwrap())
}

fn node() -> Snapshot {
    let names: [&[&str]; 5] = [
        &["docker.io/minchou/rollout:v1", "docker.io/minchou/rollout:v2"],
        &["docker.io/minchou/rollout:v3"],
        &["docker.io/library/nginx:1.27"],
        &["registry.example.com:5000/team/app:2"],
        &["localhost/mine:1"],
    ];
    let id = |place: usize| format!("sha256:{place:064x}");
    let images = names.iter().enumerate().map(|(place, tags)| image(&id(place), tags, &[])).collect();
    let mut node = snapshot(images, Vec::new());
    node.node.runtime_name = "containerd".to_owned();
    node
}

/// The counts and notices of one protected pattern.
fn protecting(pattern: &str) -> (u64, Vec<String>) {
    let (node, rails) = (node(), GuardRails { protect: vec![named("--protect", pattern)], ..GuardRails::default() });
    let guard = ImageGuard::new(&node, &rails);
    let matches = guard.matches();
    let notices = guard.unmatched(&matches);
    (matches[0].matches, notices)
}

#[test]
fn every_pattern_is_counted_under_its_field() {
    let rails = GuardRails {
        protect: vec![named("guardRails.protectImages[0]", "minchou/*"), named("--protect", "nginx")],
        lift: vec![named("--unprotect", "localhost/*"), named("guardRails.unprotectImages[0]", "*pause*")],
        ..GuardRails::default()
    };
    let node = node();
    let guard = ImageGuard::new(&node, &rails);
    let matches = guard.matches();
    assert_eq!(
        serde_json::to_value(&matches).unwrap(),
        serde_json::json!([
            { "field": "guardRails.protectImages[0]", "pattern": "minchou/*", "matches": 2 },
            { "field": "--protect", "pattern": "nginx", "matches": 1 },
            { "field": "--unprotect", "pattern": "localhost/*", "matches": 1 },
            { "field": "guardRails.unprotectImages[0]", "pattern": "*pause*", "matches": 0 },
        ])
    );
    assert_eq!(guard.unmatched(&matches), ["guardRails.unprotectImages[0]: *pause* matched no image on this node"]);
}

#[test]
fn what_matched_nothing_is_said_with_the_name_that_is_near() {
    for (pattern, meant) in [
        ("docker.io/minchuo/rollout", "docker.io/minchou/rollout"),
        ("minchou/rolout", "minchou/rollout"),
        ("docker.io/minchuo/*", "docker.io/minchou/*"),
        ("docker.io/minchuo/rollout:v4", "docker.io/minchou/rollout:v4"),
        ("ngnix:1.*", "nginx:1.*"),
        ("registry.example.com:500/team/app:*", "registry.example.com:5000/team/app:*"),
    ] {
        let notice = format!("--protect: {pattern} matched no image on this node; did you mean {meant}?");
        assert_eq!(protecting(pattern), (0, vec![notice]), "{pattern}");
    }
    for pattern in ["quay.io/other/thing", "docker.io/minchou/rollout:v4", "sha256:0123456789ab", "*:no-such-tag"] {
        let notice = format!("--protect: {pattern} matched no image on this node");
        assert_eq!(protecting(pattern), (0, vec![notice]), "{pattern}");
    }
    assert_eq!(protecting("docker.io/minchou/rollout"), (2, Vec::new()));
    assert_eq!(protecting("*"), (5, Vec::new()));
}

#[test]
fn without_a_runtime_there_is_nothing_to_match() {
    let node = Snapshot::without_runtime(jiff::Timestamp::UNIX_EPOCH, "n");
    let rails =
        GuardRails { protect: vec![named("--protect", "nginx"), named("--protect", "*")], ..Default::default() };
    let guard = ImageGuard::new(&node, &rails);
    let what = "no container runtime was asked, so these patterns have nothing to match: --protect";
    assert_eq!(guard.unmatched(&guard.matches()), [what]);
    let plain = GuardRails::default();
    assert_eq!(ImageGuard::new(&node, &plain).unmatched(&[]), Vec::<String>::new());
}
