use std::collections::BTreeMap;

use holystone_core::container::{ImageMentions, Pod};
use holystone_core::document::DocumentKind;
use holystone_core::image::ImageId;
use holystone_core::manifest::ApiVersion;
use holystone_core::proposal::{ReasonKind, Verb};
use holystone_core::snapshot::Node;

use super::*;

mod log_directories;

fn image(id: &str, tag: &str) -> Image {
    Image {
        id: ImageId::new(id),
        repo_tags: vec![tag.to_owned()],
        repo_digests: Vec::new(),
        size_bytes: 7,
        pinned: true,
        first_seen: Some(Timestamp::from_second(1).unwrap()),
        last_used: None,
        annotations: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
    }
}

fn snapshot() -> Snapshot {
    let pod = Pod { uid: "u".to_owned(), namespace: "n".to_owned(), name: "p".to_owned() };
    let container = |id: &str, image: &str| Container {
        id: id.to_owned(),
        name: "main".to_owned(),
        sandbox_id: "s".to_owned(),
        pod: pod.clone(),
        image: ImageMentions { image: image.to_owned(), ..ImageMentions::default() },
        image_volumes: Vec::new(),
        state: ContainerState::Exited,
        created_at: Timestamp::UNIX_EPOCH,
        finished_at: Some(Timestamp::from_second(2).unwrap()),
        exit_code: Some(3),
        labels: BTreeMap::new(),
    };
    Snapshot {
        api_version: ApiVersion::V1Alpha1,
        kind: DocumentKind::Snapshot,
        taken_at: Timestamp::from_second(100).unwrap(),
        node: Node { name: "node".to_owned(), ..Node::default() },
        filesystems: vec![Filesystem { name: "images".to_owned(), used_bytes: Some(5), ..Filesystem::default() }],
        images: vec![image("a", "docker.io/x/a:1"), image("b", "docker.io/x/b:1")],
        containers: vec![container("c2", "x/a:1"), container("c1", "x/a:1"), container("c3", "y/gone:1")],
        sandboxes: vec![Sandbox {
            id: "s".to_owned(),
            pod,
            ready: true,
            created_at: Timestamp::UNIX_EPOCH,
            image: String::new(),
            labels: BTreeMap::new(),
        }],
        outside: Vec::new(),
        memory: holystone_core::snapshot::Memory::default(),
    }
    .normalize()
}

#[test]
fn plugins_see_the_node_as_the_snapshot_has_it() {
    let snapshot = snapshot();
    let view = View::of(&snapshot, &Usage::of(&snapshot));
    assert_eq!(view.node.snapshot_time, 100_000_000_000);
    assert_eq!(view.node.filesystems[0].used_bytes, Some(5));

    let [a, b] = &view.images[..] else { panic!("two images") };
    assert_eq!(a.in_use_by, ["c1", "c2"], "sorted, and every user");
    assert_eq!(b.in_use_by, Vec::<String>::new());
    assert_eq!((a.size_bytes, a.pinned, a.first_seen, a.last_used), (7, true, Some(1_000_000_000), None));
    assert_eq!(a.attributes, [("a".to_owned(), "b".to_owned())]);

    let images: Vec<Option<&str>> = view.containers.iter().map(|container| container.image_id.as_deref()).collect();
    assert_eq!(images, [Some("a"), Some("a"), None], "an image that is gone has no id");
    let first = &view.containers[0];
    assert_eq!((first.finished, first.exit_code, first.pod_name.as_str()), (Some(2_000_000_000), Some(3), "p"));
    assert!(matches!(view.pods[0].state, pods::SandboxState::Ready));
}

#[test]
fn times_beyond_64_bits_are_clamped() {
    assert_eq!(timestamp(Timestamp::MAX), i64::MAX);
    assert_eq!(timestamp(Timestamp::MIN), i64::MIN);
    assert_eq!(timestamp(Timestamp::UNIX_EPOCH), 0);
}

fn removal(target: cleaner::Target, text: &str) -> cleaner::Removal {
    cleaner::Removal {
        target,
        verb: cleaner::Verb::Remove,
        reason: cleaner::Reason { kind: cleaner::ReasonKind::Superseded, text: text.to_owned() },
        expected_bytes: Some(9),
        attributes: Vec::new(),
    }
}

fn wishes(removals: Vec<cleaner::Removal>) -> Result<Vec<Wish>, String> {
    answered(decision(removals)).map(|answered| answered.wishes)
}

fn decision(removals: Vec<cleaner::Removal>) -> Decision {
    Decision { removals, matches: Vec::new(), notices: Vec::new(), attributes: Vec::new() }
}

#[test]
fn wishes_keep_what_the_plugin_said() {
    let wishes = wishes(vec![removal(cleaner::Target::Image("a".to_owned()), "why")]).unwrap();
    let reason = proposal::Reason { kind: ReasonKind::Superseded, text: "why".to_owned() };
    let target = Target::Image("a".to_owned());
    assert_eq!(wishes, [Wish { target, verb: Verb::Remove, reason, expected_bytes: Some(9) }]);
}

#[test]
fn long_reasons_are_cut_and_long_names_are_refused() {
    let image = || cleaner::Target::Image("a".to_owned());
    let cut = wishes(vec![removal(image(), &"ä".repeat(10_000))]).unwrap();
    assert_eq!(cut[0].reason.text.len(), MAX_REASON);

    let long = cleaner::Target::Image("x".repeat(MAX_NAME + 1));
    let problem = wishes(vec![removal(image(), ""), removal(long, "")]).unwrap_err();
    assert!(problem.starts_with("removal 2 names"), "{problem}");
    let path = || cleaner::LogLocation { root: "r".to_owned(), path: "x".repeat(MAX_NAME) };
    assert!(wishes(vec![removal(cleaner::Target::LogFile(path()), "")]).is_err());
}

#[test]
fn matches_and_notices_are_kept_escaped_cut_and_counted() {
    let one = |field: &str, pattern: &str, matches| cleaner::PatternMatch {
        field: field.to_owned(),
        pattern: pattern.to_owned(),
        matches,
    };
    let few = Decision {
        matches: vec![one("list[0]", "a*", 3), one("\u{1b}", &"x".repeat(1_000), u64::MAX)],
        notices: vec!["list[1]: \u{1b}b matches nothing".to_owned(), "y".repeat(1_000)],
        ..decision(Vec::new())
    };
    let answered_few = answered(few).unwrap();
    let expected = PatternMatch { field: "list[0]".to_owned(), pattern: "a*".to_owned(), matches: 3 };
    assert_eq!(answered_few.matches[0], expected);
    let evil = &answered_few.matches[1];
    assert_eq!((evil.field.as_str(), evil.pattern.chars().count(), evil.matches), ("\\u{1b}", 201, u64::MAX));
    assert_eq!(answered_few.notices[0], "list[1]: \\u{1b}b matches nothing");
    assert_eq!((answered_few.notices.len(), answered_few.notices[1].chars().count()), (2, 201));

    let many = Decision {
        matches: (0..1_001).map(|number| one("list", "x", number)).collect(),
        notices: (0..101).map(|number| number.to_string()).collect(),
        ..decision(Vec::new())
    };
    let many = answered(many).unwrap();
    assert_eq!((many.matches.len(), many.matches[999].matches), (1_000, 999), "the first ones, in their order");
    let dropped = [
        "101 notices were given, of which the first 100 are shown",
        "1001 matches of patterns were given, of which the first 1000 are shown",
    ];
    assert_eq!(
        (many.notices.len(), many.notices[99].as_str(), &many.notices[100..]),
        (102, "99", &dropped.map(str::to_owned)[..])
    );
}

#[test]
fn problems_with_a_config_are_escaped_cut_and_counted() {
    let one = |field: &str, message: &str| cleaner::Problem { field: field.to_owned(), message: message.to_owned() };
    let found = problems(&[one("a\u{1b}", "is \u{202e}wrong"), one("", ""), one(&"x".repeat(999), &"y".repeat(999))]);
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(texts[0], "a\\u{1b}: is \\u{202e}wrong");
    assert_eq!(texts[1], "config: the plugin does not say what is wrong");
    assert_eq!(texts[2].chars().count(), 201 + 2 + 201);
    assert_eq!(problems(&vec![one("a", "b"); 30]).len(), MAX_OBJECTIONS);
}
