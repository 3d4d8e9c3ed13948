//! Plugins that say what no terminal should hear: in their wishes, reasons, messages, output and names. That nothing
//! of it comes out raw is checked wherever a plugin is run (`assert_harmless`); here it is looked for.

use std::fs;

use holystone_core::image::ImageId;
use holystone_core::snapshot::Snapshot;
use holystone_tests::misbehave;
use serde_json::json;

use super::{Attack, assert_harmless, attack, harm, node_like};
use crate::simulated::{id, whole};
use crate::support::{end, holystone, on};

/// What moves cursors, colours screens, breaks lines, turns text around, and hides.
const EVIL: &str = "\u{1b}[2J\u{9b}31m\r\nforged line\t\0\u{7f}\u{85}\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}";

/// Wishes with such words in every place, one of which is granted.
fn speaking() -> Attack {
    let removed = json!({ "target": "image", "name": id("docker.io/minchou/rollout:v1.0.3"), "why": EVIL });
    let mut wishes = vec![removed];
    for target in ["image", "container", "sandbox", "log-file", "log-directory", EVIL] {
        wishes.push(json!({ "target": target, "root": EVIL, "name": EVIL, "why": EVIL }));
        let name = format!("{EVIL}{}", "x".repeat(4096));
        wishes.push(json!({ "target": target, "root": EVIL, "name": name, "why": name }));
    }
    harm("wish").config(json!({ "do": "wish", "wishes": wishes })).with("-vv")
}

const REMOVED: &[&str] = &["docker.io/minchou/rollout:v1.0.3"];

#[test]
fn a_table_shows_wishes_escaped_and_cut() {
    let ended = speaking().removes(REMOVED);
    assert!(ended.stdout.contains("\\u{1b}[2J\\u{9b}31m\\u{d}\\u{a}forged line"), "{}", ended.stdout);
    assert!(ended.stdout.lines().all(|line| line.chars().count() < 1_000), "{}", ended.stdout);
}

#[test]
fn json_and_yaml_say_exactly_what_the_plugin_said() {
    for format in ["json", "yaml"] {
        let ended = speaking().with(&format!("-o {format}")).removes(REMOVED);
        let report: serde_json::Value = serde_saphyr::from_str(&ended.stdout).unwrap();
        assert_eq!(report["images"]["steps"][0]["reason"]["text"], EVIL, "{format}");
        assert_eq!(report["images"]["refusals"][0]["wish"]["target"]["image"], EVIL, "{format}");
        assert_eq!(report["images"]["refusals"].as_array().unwrap().len(), 8, "{format}");
        assert_eq!(report["logs"]["refusals"].as_array().unwrap().len(), 4, "{format}");
    }
}

#[test]
fn talking_too_much_is_cut_off() {
    let ended = harm("print").removes(&[]);
    assert_eq!(ended.stderr, "", "what a plugin prints is for debugging");
    let ended = harm("print").with("-vv").removes(&[]);
    assert!(ended.stderr.contains("line 1 of far too many") && ended.stderr.len() < 1 << 20, "{}", ended.stderr.len());
    let ended = harm("log").removes(&[]);
    assert_eq!(ended.stderr.lines().count(), 1_001, "a thousand messages and one that says so");
    assert!(ended.stderr.contains("the rest is dropped"));
    assert!(ended.stderr.contains("flood 0\\u{1b}[2J\\u{a}forged line"), "{}", &ended.stderr[..1_000]);
}

#[test]
fn matches_and_notices_are_shown_escaped_and_cut() {
    let ended = harm("evil-words").with("-o json").removes(&[]);
    let report = ended.json();
    let matches = report["plugins"][0]["matches"].as_array().unwrap();
    let escaped = "\\u{1b}[2J\\u{d}\\u{a}forged line\\u{202e}";
    let expected = json!({ "field": escaped, "pattern": escaped, "matches": u64::MAX });
    assert_eq!((matches.len(), &matches[0]), (3, &expected));
    let notices: Vec<&str> =
        report["notices"].as_array().unwrap().iter().filter_map(|notice| notice.as_str()).collect();
    assert_eq!((notices.len(), notices[0]), (3, format!("plugin misbehave: {escaped}").as_str()));
    assert!(ended.stdout.len() < 10_000, "{}", ended.stdout.len());
    let table = harm("evil-words").removes(&[]).stdout;
    assert!(table.contains(&format!("Note: plugin misbehave: {escaped}")), "{table}");
}

#[test]
fn matches_and_notices_are_counted() {
    let report = harm("many-matches").with("-o json").removes(&[]).json();
    assert_eq!(report["plugins"][0]["matches"].as_array().unwrap().len(), 1_000);
    let dropped = "plugin misbehave: 20000 matches of patterns were given, of which the first 1000 are shown";
    assert_eq!(report["notices"], json!([dropped]));
    let report = harm("many-notices").with("-o json").removes(&[]).json();
    let notices = report["notices"].as_array().unwrap();
    let dropped = "plugin misbehave: 20000 notices were given, of which the first 100 are shown";
    assert_eq!(
        (notices.len(), &notices[99], &notices[100]),
        (101, &json!("plugin misbehave: notice 99"), &json!(dropped))
    );
}

#[test]
fn the_name_of_a_plugins_file_is_shown_escaped() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("\u{1b}[31mred\nforged \u{202e}.wasm");
    fs::copy(misbehave(), &file).unwrap();
    let named = |what| attack(file.clone()).config(json!({ "do": what }));
    let name = "\\u{1b}[31mred\\u{a}forged \\u{202e}";
    named("panic").is_stopped("Trapped", &[&format!("plugin {name} failed with Trapped")]);
    assert!(named("print").removes(&[]).stdout.contains(&format!("Plugin {name}: 0 wishes")));
    let missing = attack(directory.path().join("\u{1b}[31mmissing"));
    missing.is_stopped("FetchFailed", &["\\u{1b}[31mmissing cannot be read"]);
}

/// A node whose runtime, images and pods are called like that.
fn evil_node() -> Snapshot {
    let mut snapshot = whole();
    snapshot.node.runtime_name.push_str(EVIL);
    for (number, image) in snapshot.images.iter_mut().enumerate() {
        image.repo_tags.iter_mut().for_each(|tag| tag.push_str(EVIL));
        if number % 3 == 0 {
            image.id = ImageId::new(format!("{}{EVIL}", image.id));
        }
    }
    let listed: Vec<String> = snapshot
        .images
        .iter()
        .flat_map(|image| image.repo_tags.iter().cloned().chain([image.id.to_string()]))
        .collect();
    for container in &mut snapshot.containers {
        // By the names that are listed: one that no image has could mean any of such a node.
        let image = &mut container.image;
        for mention in [&mut image.image_id, &mut image.image_ref, &mut image.image, &mut image.user_specified_image] {
            let renamed = format!("{mention}{EVIL}");
            if listed.contains(&renamed) {
                *mention = renamed;
            }
        }
        container.name.push_str(EVIL);
        container.labels.insert(EVIL.to_owned(), EVIL.to_owned());
    }
    snapshot.normalize()
}

#[test]
fn what_a_node_is_called_is_shown_escaped() {
    for flags in ["-vv", "-vv -o json", "-vv -o yaml"] {
        let (node, _runtime) = node_like(evil_node());
        let ended = harm("greedy").with(flags).run(&node).expect(0);
        assert!(!node.gone().is_empty(), "{flags}");
        assert!(ended.stderr.contains("outcome=\"removed\""), "every removal is logged: {}", ended.stderr);
    }
}

#[test]
fn a_snapshot_of_such_a_node_is_harmless_and_whole() {
    let (node, _runtime) = node_like(evil_node());
    let ended = end(on(holystone().arg("snapshot"), &node.endpoint())).expect(0);
    assert_harmless(&ended);
    let (mut recorded, expected) = (Snapshot::from_json(ended.stdout.as_bytes()).unwrap(), evil_node());
    // What is remembered of images is recorded with them.
    recorded.images.iter_mut().for_each(|image| (image.first_seen, image.last_used) = (None, None));
    assert_eq!(recorded.images, expected.images);
    assert_eq!(recorded.containers, expected.containers);
}
