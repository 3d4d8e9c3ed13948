//! Plugins that misbehave: each is stopped with a stable reason, and nothing is planned on its word.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holystone_tests::misbehave;
use serde_json::{Value, json};

use crate::support::{Ended, cache, end, holystone, scratch};

/// A plan by these plugins for the recorded node of the demo.
fn plan(plugins: &[(&Path, Value)], more: &[&str]) -> Ended {
    let mut command = holystone();
    command.args(["plan", "-o", "json", "--snapshot", NODE, "--cache-dir"]).arg(cache());
    if !more.contains(&"--allow") {
        command.args(["--allow", "images,logs,log-content"]);
    }
    for (plugin, config) in plugins {
        command.arg("--plugin").arg(plugin).args(["--config", &config.to_string()]);
    }
    end(command.args(more))
}

const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/snapshots/rollout-node.json");

/// How a plugin ends that is told to do this harm, on its own.
fn harm(what: &str, more: &[&str]) -> Ended {
    plan(&[(misbehave(), json!({ "do": what }))], more)
}

/// Checks that the harm ends with this reason and a message with these words, that nothing came of it, and that
/// nothing that the plugin said reaches the terminal raw.
#[track_caller]
fn stopped(what: &str, more: &[&str], reason: &str, words: &[&str]) {
    let ended = harm(what, more).expect(2);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains(&format!("misbehave failed with {reason}")), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word} is missing: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
}

#[test]
fn an_endless_loop_ends_in_time() {
    for what in ["loop", "loop-in-host", "validate-loop"] {
        // The first run may have to compile.
        stopped(what, &["--timeout", "300ms"], "Timeout", &["did not finish within 0.3 s"]);
        let start = Instant::now();
        stopped(what, &["--timeout", "300ms"], "Timeout", &[]);
        assert!(start.elapsed() < Duration::from_secs(5), "{what} took {:?}", start.elapsed());
    }
}

#[test]
fn memory_ends_at_its_limit() {
    stopped("allocate", &["--memory", "32Mi"], "MemoryLimit", &["32 MiB"]);
}

#[test]
fn a_crash_is_told_with_its_last_words() {
    stopped("panic", &[], "Trapped", &["panicked or aborted", "on purpose"]);
    stopped("recurse", &[], "Trapped", &["it "]);
    stopped("exit-3", &[], "Trapped", &["exit code"]);
    stopped("exit-0", &[], "Trapped", &["ended itself"]);
}

#[test]
fn a_plan_that_no_host_takes_is_rejected() {
    stopped("error", &[], "PlanRejected", &["could not decide: cannot\\u{1b}[2J decide"]);
    stopped("many", &["--memory", "256Mi"], "PlanRejected", &["100001 removals"]);
    stopped("long-name", &[], "PlanRejected", &["removal 1 names its target with 1048576 bytes"]);
    stopped("huge", &["--memory", "512Mi"], "Trapped", &["too much"]);
}

#[test]
fn a_config_that_the_plugin_refuses_is_told_field_by_field() {
    stopped("validate-error", &[], "ConfigInvalid", &["do: is \\u{1b}[31mwrong; else: too"]);
}

#[test]
fn talking_too_much_is_cut_off_and_harmless() {
    let ended = harm("print", &[]).expect(0);
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
    let ended = harm("log", &[]).expect(0);
    assert_eq!(ended.stderr.lines().count(), 1_001, "a thousand messages and one that says so");
    assert!(ended.stderr.contains("the rest is dropped"));
    assert!(!ended.stderr.contains('\u{1b}'), "no escape codes");
    assert!(!ended.stderr.lines().any(|line| line.starts_with("forged")), "no forged lines");
}

#[test]
fn a_greedy_plugin_gets_only_what_the_rails_allow() {
    let report = harm("greedy", &[]).expect(0).json();
    assert_eq!(report["plugins"][0]["wishes"], 125);
    let refused: Vec<&str> =
        report["refusals"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for kept in ["registry.k8s.io/pause:3.9", "docker.io/library/nginx:1.27.4", "docker.io/minchou/rollout:v1.9.3"] {
        assert!(refused.contains(&kept), "{kept} is not refused");
    }
    assert_eq!(report["totals"]["planned"].as_u64().unwrap() + refused.len() as u64, 125);

    let rejected = harm("greedy", &["--max-percent", "60"]).expect(0).json();
    assert_eq!(rejected["totals"]["planned"], 0);
    assert_eq!(rejected["refusals"][0]["refusal"]["code"], "OverPercent");
}

#[test]
fn targets_that_this_host_does_not_offer_are_refused() {
    let report = harm("everything", &[]).expect(0).json();
    assert_eq!(report["totals"]["planned"], 0);
    assert_eq!(report["totals"]["refused"], 10);
    let table = plan(&[(misbehave(), json!({ "do": "everything" }))], &["-o", "table"]);
    assert_eq!(table.code, 64, "-o given twice is refused");
    let mut command = holystone();
    command.args(["plan", "--snapshot", NODE, "--allow", "images,logs,log-content", "--cache-dir"]).arg(cache());
    command.args(["--config", r#"{"do":"everything"}"#, "--plugin"]).arg(misbehave());
    let table = end(&mut command).expect(0);
    assert!(!table.stdout.contains(['\u{1b}', '\0']), "{}", table.stdout);
}

#[test]
fn a_plugin_finds_out_nothing_and_the_same_each_time() {
    let confession = |_| harm("confess", &[]).expect(2).stderr;
    let said: Vec<String> = (0..2).map(confession).collect();
    let told = |stderr: &str| stderr.split("now=").nth(1).map(str::to_owned);
    assert_eq!(told(&said[0]), told(&said[1]), "clocks and random numbers are fixed");
    // 2026-11-24T06:00:00Z, the time of the recorded snapshot.
    let nothing = "env=0 args=0 cwd=false passwd=false net=false stdin=false roots=0";
    for words in ["now=Ok(1795500000000000000)", "elapsed=0ns", nothing] {
        assert!(said[0].contains(words), "{words} is missing: {}", said[0]);
    }
}

#[test]
fn without_declared_log_roots_there_are_none() {
    stopped("logs", &[], "PlanRejected", &["0 roots; Err(Error::NotFound", "no log root is named app"]);
}

#[test]
fn what_is_not_granted_is_denied_before_anything_runs() {
    let denied = harm("loop", &["--allow", "pods"]).expect(2);
    for words in ["failed with CapabilityDenied", "capability images", "capability logs", "capability log-content"] {
        assert!(denied.stderr.contains(words), "{words} is missing: {}", denied.stderr);
    }
}

#[test]
fn one_failing_plugin_leaves_the_others_alone() {
    let config = json!({ "repositories": ["docker.io/minchou/*"], "keepLast": 1 });
    let good = (Path::new("builtin:unused-images"), config);
    let alone = plan(std::slice::from_ref(&good), &[]).expect(0).json();
    let bad = (misbehave(), json!({ "do": "panic" }));
    let among = plan(&[bad.clone(), good.clone(), bad], &[]).expect(1).json();
    assert_eq!(among["steps"], alone["steps"]);
    let failures: Vec<&Value> =
        among["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["failure"]["reason"]).collect();
    assert_eq!(failures, [&json!("Trapped"), &Value::Null, &json!("Trapped")]);
}

#[test]
fn files_that_are_no_plugins_are_told_apart() {
    let file = |name: &str, content: &[u8]| -> PathBuf {
        let path = scratch().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let component = std::fs::read(misbehave()).unwrap();
    let cases = [
        (file("empty.wasm", b""), "NotAComponent", "the file is empty"),
        (file("text.wasm", b"hello"), "NotAComponent", "not WebAssembly"),
        (file("text.wat", b"(component)"), "NotAComponent", "WebAssembly text"),
        (file("module.wasm", b"\0asm\x01\0\0\0"), "NotAComponent", "wasm32-wasip2"),
        (file("native.wasm", b"\x7fELF and so on"), "NotAComponent", "native code"),
        (file("large.wasm", &vec![0; 65 << 20]), "NotAComponent", "at most 64 MiB"),
        (file("bare.wasm", b"\0asm\x0d\0\x01\0"), "IncompatibleApi", "holystone:node/cleaner@0.1.0"),
        (file("cut.wasm", &component[..component.len() / 2]), "CompileFailed", "cannot be compiled"),
        (scratch().join("missing.wasm"), "FetchFailed", "cannot be read"),
        (PathBuf::from("builtin:missing"), "FetchFailed", "unused-images"),
    ];
    for (path, reason, words) in cases {
        let ended = plan(&[(&path, json!({}))], &[]).expect(2);
        assert!(ended.stderr.contains(&format!("failed with {reason}")), "{path:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{path:?}: {}", ended.stderr);
    }
}
