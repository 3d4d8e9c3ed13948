//! The manifest and its reference: what `explain` prints, and the page that is made from the same comments.
//!
//! `HOLYSTONE_BLESS=1 cargo test -p holystone --test it manifest` writes the page anew; read the diff.

use std::fs;
use std::path::Path;

use holystone_core::manifest;
use holystone_runtime::Capability;

use crate::support::run;

#[test]
fn the_page_is_what_the_comments_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../MANIFEST.md");
    let page = manifest::markdown();
    if std::env::var_os("HOLYSTONE_BLESS").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "MANIFEST.md is not what host/core/src/manifest/spec.rs says; it should read:\n{page}");
}

#[test]
fn explain_tells_of_the_whole_and_of_each_field() {
    let whole = run(&["explain"]).expect(0);
    for words in [
        "NodeCleanup: map",
        "A declaration of what to clean",
        "FIELDS",
        "  spec ",
        "Specification of the cleanup. (must be given)",
    ] {
        assert!(whole.stdout.contains(words), "{words} is missing:\n{}", whole.stdout);
    }
    let policy = run(&["explain", "spec.concurrencyPolicy"]).expect(0);
    for words in
        ["spec.concurrencyPolicy: Allow, Forbid or Replace (default Forbid)", "WORDS", "Replace  Stop the active run"]
    {
        assert!(policy.stdout.contains(words), "{words} is missing:\n{}", policy.stdout);
    }
    let timeout = run(&["explain", "spec.plugins[0].limits.timeout"]).expect(0);
    assert!(timeout.stdout.starts_with("spec.plugins[].limits.timeout: a duration such as 30s"), "{}", timeout.stdout);
    assert!(timeout.stdout.lines().skip(1).all(|line| line.chars().count() <= 110), "{}", timeout.stdout);
}

#[test]
fn explain_knows_what_was_meant() {
    let unknown = run(&["explain", "spec.shedule"]).expect(64);
    assert_eq!(unknown.stderr, "holystone: there is no field \"shedule\" in spec; did you mean schedule?\n");
    assert_eq!(unknown.stdout, "");
}

#[test]
fn the_schema_is_for_programs() {
    let schema = run(&["explain", "--schema"]).expect(0).json();
    assert_eq!(schema["properties"]["kind"]["oneOf"][0]["const"], "NodeCleanup");
    assert_eq!(schema["properties"]["spec"]["properties"]["plugins"]["minItems"], 1);
    run(&["explain", "--schema", "spec"]).expect(64);
}

#[test]
fn a_manifest_can_grant_what_the_runtime_offers() {
    let words = manifest::explain("spec.plugins.capabilities").unwrap().words;
    let granted: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
    assert_eq!(granted, Capability::ALL.map(Capability::as_str));
}
