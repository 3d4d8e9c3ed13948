use std::collections::BTreeMap;

use holystone_core::container::{ImageMentions, Pod};
use holystone_core::image::ImageId;
use holystone_core::proposal::{ReasonKind, Verb};
use holystone_core::snapshot::{FORMAT, Node};

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
        format: FORMAT,
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
