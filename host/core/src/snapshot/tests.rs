use super::{Snapshot, SnapshotError};
use crate::image::Image;

const SMALL: &str = r#"{
    "apiVersion": "holystone.dev/v1alpha1", "kind": "Snapshot",
    "takenAt": "2026-11-24T06:00:00Z",
    "node": {"name": "a", "runtimeName": "containerd", "runtimeVersion": "1.6.20"},
    "images": [
        {"id": "sha256:b", "repoTags": ["z:1", "a:1"], "sizeBytes": 2},
        {"id": "sha256:a", "sizeBytes": 1, "pinned": true, "firstSeen": "2026-11-01T00:00:00Z"}
    ]
}"#;

fn read(text: &str) -> Result<Snapshot, SnapshotError> {
    Snapshot::from_json(text.as_bytes())
}

#[test]
fn what_is_read_is_in_order() {
    let snapshot = read(SMALL).unwrap();
    let ids: Vec<&str> = snapshot.images.iter().map(|image| image.id.as_str()).collect();
    assert_eq!(ids, ["sha256:a", "sha256:b"]);
    assert_eq!(snapshot.images[1].repo_tags, ["a:1", "z:1"]);
    assert_eq!(snapshot.image("sha256:a").map(|image| image.pinned), Some(true));
    assert_eq!(snapshot.image("sha256:c"), None);
}

#[test]
fn what_is_written_reads_back() {
    let snapshot = read(SMALL).unwrap();
    assert_eq!(read(&serde_json::to_string(&snapshot).unwrap()).unwrap(), snapshot);
}

#[test]
fn another_format_is_named_before_any_unknown_field() {
    let versions = [
        (r#"{"apiVersion": "holystone.dev/v2", "kind": "Snapshot", "surprise": 1}"#, "holystone.dev/v2 and Snapshot"),
        (r#"{"apiVersion": "holystone.dev/v1alpha1", "kind": "Report"}"#, "holystone.dev/v1alpha1 and Report"),
        (r#"{"format": 1}"#, "missing and missing"),
        ("[]", "missing and missing"),
    ];
    for (text, found) in versions {
        assert_eq!(
            read(text).unwrap_err().to_string(),
            format!(
                "it is no snapshot of this version: apiVersion and kind are {found}, not holystone.dev/v1alpha1 and Snapshot; record the node with `holystone snapshot`"
            )
        );
    }
}

#[test]
fn what_is_no_snapshot_is_refused() {
    for text in
        ["", "{", "null", r#"{"apiVersion": "holystone.dev/v1alpha1", "kind": "Snapshot"}"#, "\0", &"[".repeat(10_000)]
    {
        assert!(matches!(read(text), Err(SnapshotError::Malformed(_))), "{text:.20}");
    }
    let misspelt = SMALL.replace("repoTags", "repo_tags");
    assert!(read(&misspelt).unwrap_err().to_string().contains("repo_tags"));
}

#[test]
fn two_entries_with_one_id_are_refused() {
    let twins = SMALL.replace("sha256:b", "sha256:a");
    assert!(matches!(read(&twins), Err(SnapshotError::Duplicate { kind: "image", .. })));
}

#[test]
fn names_that_are_none_are_dropped() {
    let text = r#"{
        "apiVersion": "holystone.dev/v1alpha1", "kind": "Snapshot", "takenAt": "2026-11-24T06:00:00Z", "node": {"name": "a", "runtimeName": "docker"},
        "images": [
            {"id": "sha256:a", "repoTags": ["<none>:<none>"], "repoDigests": ["<none>@<none>"], "sizeBytes": 1},
            {"id": "sha256:b", "repoTags": ["<none>"], "repoDigests": ["busybox@<none>"], "sizeBytes": 1},
            {"id": "sha256:c", "repoTags": ["busybox:<none>", "busybox:1"], "repoDigests": [""], "sizeBytes": 1}
        ]
    }"#;
    let images = read(text).unwrap().images;
    let names: Vec<Vec<&str>> = images.iter().map(|image| image.references().collect()).collect();
    assert_eq!(names, [vec![], vec![], vec!["busybox:1"]]);
    let dangling: Vec<bool> = images.iter().map(Image::is_dangling).collect();
    assert_eq!(dangling, [true, true, false]);
}

#[test]
fn unseen_containers_are_said_unless_the_runtime_itself_keeps_their_images() {
    let notice = |runtime: &str, outside_unseen: bool| {
        let mut snapshot = read(SMALL).unwrap();
        runtime.clone_into(&mut snapshot.node.runtime_name);
        snapshot.node.outside_unseen = outside_unseen;
        snapshot.outside_notice()
    };
    for runtime in ["containerd", "other"] {
        let told = notice(runtime, true).unwrap();
        assert!(told.starts_with(&format!("{runtime} does not list containers that others started")), "{told}");
    }
    for (runtime, outside_unseen) in [("cri-o", true), ("CRI-O", true), ("docker", true), ("containerd", false)] {
        assert_eq!(notice(runtime, outside_unseen), None, "{runtime}");
    }
}

#[test]
fn containers_outside_cri_are_read_in_order_and_once() {
    let outside = |ids: [&str; 2]| {
        let one = |id: &str| format!(r#"{{"id": "{id}", "namespace": "k8s.io", "image": "x:1"}}"#);
        let list = ids.map(one).join(",");
        read(&SMALL.replacen(r#""images": ["#, &format!(r#""outside": [{list}], "images": ["#), 1))
    };
    let ids: Vec<String> = outside(["b", "a"]).unwrap().outside.into_iter().map(|container| container.id).collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(matches!(outside(["a", "a"]), Err(SnapshotError::Duplicate { kind: "container outside CRI", .. })));
}
