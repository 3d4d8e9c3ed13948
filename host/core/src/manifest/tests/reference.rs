//! `explain` finds what a person looks for.

use super::super::{ReferenceEntry, explain, markdown, schema};
use super::walk;

fn names(entry: &ReferenceEntry) -> Vec<String> {
    entry.fields.iter().map(ReferenceEntry::name).collect()
}

#[test]
fn the_manifest_itself_is_explained_first() {
    let manifest = explain("").unwrap();
    assert_eq!(names(&manifest), ["apiVersion", "kind", "metadata", "spec", "status"]);
    assert_eq!(manifest.summary(), "A declaration of what to clean from nodes, when, and within what limits.");
    assert!(manifest.fields[3].required && !manifest.fields[4].required);
}

#[test]
fn a_field_is_found_with_and_without_places_in_lists() {
    for path in ["spec.plugins.limits.timeout", "spec.plugins[].limits.timeout", "spec.plugins[0].limits.timeout"] {
        let timeout = explain(path).unwrap();
        assert_eq!(timeout.path, "spec.plugins[].limits.timeout");
        assert_eq!(
            (timeout.name().as_str(), timeout.required, timeout.default.as_deref()),
            ("timeout", false, Some("10s"))
        );
        assert!(timeout.value.starts_with("a duration such as"), "{}", timeout.value);
        assert_eq!(timeout.description, "Maximum duration of one call.");
    }
}

#[test]
fn words_choices_and_lists_are_told() {
    let policy = explain("spec.concurrencyPolicy").unwrap();
    assert_eq!((policy.value.as_str(), policy.default.as_deref()), ("Allow, Forbid or Replace", Some("Forbid")));
    assert_eq!(policy.words[0], ("Allow".to_owned(), "Start the run beside the active one.".to_owned()));

    let source = explain("spec.plugins.source").unwrap();
    assert_eq!(
        (names(&source), source.required),
        (["builtin", "file", "configMap", "imageVolume"].map(str::to_owned).to_vec(), true)
    );
    assert!(source.fields.iter().all(|field| !field.description.is_empty()));
    assert_eq!(
        explain("spec.plugins.source.configMap.key").unwrap().description,
        "The key, for example `cleaner.wasm`."
    );

    let capabilities = explain("spec.plugins.capabilities").unwrap();
    assert_eq!(capabilities.value, "list; each entry is images, containers, pods, logs or log-content");
    assert_eq!(capabilities.words.len(), 5);
    assert_eq!(names(&explain("spec.plugins").unwrap())[..2], ["name", "source"]);
    assert_eq!(explain("spec.rollout.nodeSelector").unwrap().value, "map of names and values");
}

#[test]
fn what_is_not_there_is_told_with_a_suggestion() {
    for (path, expected) in [
        ("spec.plugin", "there is no field \"plugin\" in spec; did you mean plugins?"),
        ("sepc", "there is no field \"sepc\"; did you mean spec?"),
        ("spec.pace.rate", "there is no field \"rate\" in spec.pace; there are concurrency, maxFailures, pause"),
        ("spec.mode.x", "there are no fields in spec.mode"),
        ("spec.\u{1b}[2J", "there is no field \"\\\\u{1b}\" in spec; there are plugins,"),
    ] {
        let told = explain(path).unwrap_err();
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn every_field_can_be_explained_and_stands_on_the_page() {
    let page = markdown();
    walk(schema(), "", &mut |_, path| {
        let path = path.trim_start_matches('.');
        let entry = explain(path).unwrap();
        assert!(path.is_empty() || page.contains(&format!("`{}`", entry.name())), "{path} is not on the page");
        assert!(!entry.description.is_empty() || path.ends_with("[]"), "{path}");
    });
    assert!(page.contains("\n## `spec.plugins[].source`\n"));
    assert!(
        page.contains(
            "| `mode` | DryRun or Enforce | `DryRun` | Mode of a run: a dry run or real removals. `DryRun`: Only report"
        ),
        "{page}"
    );
}
