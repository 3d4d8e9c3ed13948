//! Components that take more to compile than a machine has, and schemas that take more to check: a worker process
//! does both, under limits that the kernel keeps, and nothing but that one plugin fails.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holystone_runtime::worker::{Allowance, Limit, WorkError};
use holystone_runtime::{Capability, Engine, Limits, Plugin, PluginError, Reason, Worker};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::{Attack, assert_removed, attack, node};
use crate::support::{Running, deciding, end_within, on};

/// A file with a component that is a core module and nothing else.
fn component(body: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plugin.wasm");
    std::fs::write(&path, assembled(body)).unwrap();
    (directory, path)
}

fn assembled(body: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {body})")).unwrap()
}

/// A component that takes seconds to compile, most of it in one function.
fn tedious() -> String {
    let step = |n: usize| {
        let local = |factor: usize| n * factor % 2_000;
        format!("(local.set {} (i64.add (local.get {}) (local.get {})))", local(31), local(17), local(7))
    };
    let (locals, steps) = ("(local i64)".repeat(2_000), (0..50_000).map(step).collect::<String>());
    format!("(core module (memory 1) (func {locals} (loop $l {steps} (br_if $l (i32.load (i32.const 0))))))")
}

async fn load(engine: &Engine, bytes: Vec<u8>, limits: Limits) -> Result<Plugin, PluginError> {
    Plugin::load(engine, "guest", bytes, &Capability::ALL.into_iter().collect(), limits).await
}

fn engine() -> Engine {
    Engine::new(None, Worker::at(env!("CARGO_BIN_EXE_holystone"))).unwrap()
}

#[test]
fn compiling_ends_in_time_and_holds_up_nobody() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let engine = engine();
    let limits = Limits { compile: Duration::from_millis(300), ..Limits::default() };
    let (slow, quick) = runtime.block_on(async {
        let quick = load(&engine, assembled("(core module (func))"), Limits::default());
        tokio::join!(load(&engine, assembled(&tedious()), limits), quick)
    });
    let slow = slow.err().unwrap();
    assert_eq!(slow.reason, Reason::CompileFailed);
    assert!(slow.message.starts_with("compiling it took longer than 0.3 s and was stopped after "), "{slow}");
    assert_eq!(quick.err().unwrap().reason, Reason::IncompatibleApi, "it was compiled, and is no plugin");
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{parent}"))
    };
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.filter(is_child).collect()
}

/// The worker of a process that checks a config against a schema.
pub(crate) fn checking(parent: u32) -> Option<u32> {
    let is_checking = |process: &u32| {
        let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains("\0schema\0")
    };
    children(parent).into_iter().find(is_checking)
}

/// Waits for something that has to come.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A plan that is compiling something tedious, and its worker.
fn compiling() -> (TempDir, Running, u32) {
    let (directory, path) = component(&tedious());
    let mut command = crate::support::holystone();
    command.args(["plan", "--no-cache", "--snapshot", "examples/snapshots/rollout-node.json", "--plugin"]).arg(&path);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).env("SECRET", "not for workers");
    let running = Running::start(command);
    let worker = eventually("a worker", || children(running.id()).first().copied());
    (directory, running, worker)
}

#[test]
fn a_worker_ends_with_the_process_that_waits_for_it() {
    let (_directory, running, worker) = compiling();
    running.kill();
    eventually("the worker's end", || (!is_alive(worker)).then_some(()));
}

#[test]
fn a_worker_ends_when_the_run_is_asked_to() {
    let (_directory, path) = component(&tedious());
    let (node, _runtime) = node();
    let mut command = crate::support::holystone();
    command.args(["run", "--yes", "--no-cache", "--plugin"]).arg(&path);
    on(&mut command, &node.endpoint());
    let running = Running::start(command);
    let worker = eventually("a worker", || children(running.id()).first().copied());
    running.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    eventually("the worker's end", || (!is_alive(worker)).then_some(()));
}

pub(crate) fn is_alive(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains("Z (zombie)"))
}

#[test]
fn a_worker_started_by_hand_says_that_it_is_none() {
    for arguments in [&["__worker"][..], &["__worker", "compile"], &["__worker", "none", "1000000000", "1"]] {
        let ended = crate::support::run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (70, ""), "{}", ended.stderr);
        assert!(ended.stderr.contains("Holystone itself") || ended.stderr.contains("no such task"), "{}", ended.stderr);
    }
}

/// How a manifest ends whose plugin has this schema.
fn with_schema(schema: &serde_json::Value, config: &serde_json::Value) -> crate::support::Ended {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(holystone_tests::misbehave(), directory.path().join("guest.wasm")).unwrap();
    std::fs::write(directory.path().join("guest.schema.json"), schema.to_string()).unwrap();
    let manifest = json!({
        "apiVersion": "holystone.dev/v1alpha1", "kind": "NodeCleanup", "metadata": { "name": "schemas" },
        "spec": { "plugins": [{
            "name": "guest", "source": { "file": "guest.wasm" }, "capabilities": ["images", "logs", "log-content"],
            "config": config, "limits": { "timeout": "2s" },
        }] },
    });
    let path = directory.path().join("cleanup.json");
    std::fs::write(&path, manifest.to_string()).unwrap();
    let mut command = crate::support::holystone();
    command.args(["plan", "--snapshot", "examples/snapshots/rollout-node.json", "-f"]).arg(&path);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    end_within(&mut command, super::BOUND)
}

/// Forty definitions, each of which asks the next one twice.
pub(crate) fn doubling(keyword: &str) -> serde_json::Value {
    let mut definitions = serde_json::Map::new();
    for n in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
        definitions.insert(format!("d{n}"), json!({ keyword: [next, next] }));
    }
    definitions.insert("d40".to_owned(), json!({ "type": "object" }));
    json!({ "$ref": "#/$defs/d0", "$defs": definitions })
}

#[test]
fn a_schema_that_never_ends_is_ended() {
    let steps = "a".repeat(40);
    for (name, schema, config) in [
        ("allOf", doubling("allOf"), json!({ "do": "nothing" })),
        ("oneOf", doubling("oneOf"), json!({ "do": "nothing" })),
        ("pattern", json!({ "properties": { "do": { "pattern": "^(a|a)*(?=b)c$" } } }), json!({ "do": steps })),
        (
            "uniqueItems",
            json!({ "properties": { "list": { "uniqueItems": true } } }),
            json!({ "do": "nothing", "list": (0..20_000).map(|n| json!({ "a": [n] })).collect::<Vec<_>>() }),
        ),
    ] {
        let ended = with_schema(&schema, &config);
        assert_ne!(ended.code, -1, "{name} did not end: {}", ended.stderr);
        if name == "allOf" || name == "oneOf" {
            assert_eq!(ended.code, 64, "{name}: {}", ended.stderr);
            assert!(
                ended.stderr.contains("spec.plugins[0].source.file: checking the config against its schema, "),
                "{}",
                ended.stderr
            );
            assert!(ended.stderr.contains("guest.schema.json, took "), "{name}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_schema_of_any_depth_or_size_costs_its_own_plugin_only() {
    let mut deep = json!({});
    for _ in 0..100 {
        deep = json!({ "items": deep, "properties": { "do": deep } });
        if deep.to_string().len() > 500_000 {
            break;
        }
    }
    let cycle = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } });
    let huge = json!({ "properties": { "do": { "enum": (0..100_000).collect::<Vec<_>>() } } });
    let nested = json!({ "$dynamicRef": "#x", "$defs": { "x": { "$dynamicAnchor": "x", "anyOf": [{ "$ref": "#/$defs/x" }, { "not": { "$ref": "#/$defs/x" } }] } } });
    for schema in [deep, cycle, huge, nested, json!({ "unevaluatedProperties": false, "allOf": [{}, {}] })] {
        let ended = with_schema(&schema, &json!({ "do": "nothing" }));
        assert!([0, 64, 2].contains(&ended.code), "{}: {}", ended.code, ended.stderr);
        assert!(ended.stderr.len() < 10_000, "{}", ended.stderr.len());
    }
}

#[test]
fn a_run_that_checks_a_schema_without_end_is_ended_by_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(holystone_tests::misbehave(), directory.path().join("guest.wasm")).unwrap();
    std::fs::write(directory.path().join("guest.schema.json"), doubling("allOf").to_string()).unwrap();
    let manifest = json!({
        "apiVersion": "holystone.dev/v1alpha1", "kind": "NodeCleanup", "metadata": { "name": "schemas" },
        "spec": { "plugins": [{
            "name": "guest", "source": { "file": "guest.wasm" }, "capabilities": ["images", "logs", "log-content"],
            "config": { "do": "nothing" }, "limits": { "timeout": "10m" },
        }] },
    });
    std::fs::write(directory.path().join("cleanup.json"), manifest.to_string()).unwrap();
    let (node, _runtime) = node();
    let mut command = crate::support::holystone();
    command.args(["run", "-f"]).arg(directory.path().join("cleanup.json"));
    on(&mut command, &node.endpoint());
    let running = Running::start(command);
    let worker = eventually("the check", || checking(running.id()));
    running.signal(Signal::TERM);
    let ended = running.end();
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert_removed(&node, &std::collections::BTreeSet::new());
    eventually("the worker's end", || (!is_alive(worker)).then_some(()));
}

#[test]
fn nine_thousand_imports_make_a_short_error() {
    let import = |n: usize| format!("(import \"exec-{}-x{n}\" (func))", "x".repeat(200));
    let imports: String = (0..9_000).map(import).collect();
    let (_directory, path) = component(&imports);
    let (node, _runtime) = node();
    let Attack { plugin, config, .. } = attack(path);
    let mut command = deciding("run", &[(&plugin, &config.to_string())]);
    let ended = end_within(on(&mut command, &node.endpoint()), super::BOUND).expect(2);
    assert!(
        ended.stderr.contains("CapabilityDenied") && ended.stderr.contains("for 8990 more imports"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.len() < 5_000, "{}", ended.stderr.len());
}

#[test]
fn a_worker_has_given_up_what_it_does_not_need() {
    let (_directory, running, worker) = compiling();
    let status = || std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap_or_default();
    let status = eventually("giving up", || Some(status()).filter(|status| status.contains("\nSeccomp:\t2")));
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    assert_eq!(of("NoNewPrivs:"), "1");
    for sets in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
        assert_eq!(of(sets), "0000000000000000", "{sets}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
    let limit = |name: &str| {
        limits.lines().find_map(|line| line.strip_prefix(name)).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(limit("Max data size"), holystone_core::worker::COMPILE_MEMORY.to_string());
    assert_eq!(limit("Max address space"), (holystone_core::worker::COMPILE_MEMORY + (1 << 30)).to_string());
    assert_eq!(limit("Max cpu time"), "120");
    for none in ["Max file size", "Max core file size", "Max processes", "Max open files"] {
        assert_eq!(limit(none), "0", "{none}");
    }
    let environment = std::fs::read(format!("/proc/{worker}/environ")).unwrap();
    assert_eq!(environment, b"");
    // What the process was started with beyond the usual three is there as well, and cannot be read or written: the
    // filter allows that for these alone.
    let descriptor = |number: usize| std::fs::read_link(format!("/proc/{worker}/fd/{number}")).unwrap();
    let [input, output, errors] = [0, 1, 2].map(descriptor);
    assert!([&input, &output].iter().all(|it| it.to_str().unwrap().starts_with("pipe:")), "{input:?} {output:?}");
    assert!(output == errors && input != output, "{input:?} {output:?} {errors:?}");
    running.kill();
}

#[test]
fn compiling_ends_at_the_memory_that_it_may_take() {
    let function = "(func (result i32) i32.const 1 i32.const 2 i32.add)";
    let bytes = assembled(&format!("(core module {})", function.repeat(20_000)));
    let worker = Worker::at(env!("CARGO_BIN_EXE_holystone"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let run = |memory| {
        let allowance = Allowance { memory, time: Duration::from_mins(5), answer: 64 << 20 };
        runtime.block_on(worker.run("compile", &bytes, allowance))
    };
    for memory in [16 << 20, 24 << 20, 32 << 20] {
        let error = run(memory).unwrap_err();
        let WorkError::OverLimit { limit, taken } = &error else { panic!("{memory}: {error}") };
        assert_eq!(*limit, Limit::Memory(memory), "{error}");
        // Beyond it are the pages of the program itself.
        assert!(taken.memory < memory + (128 << 20), "{error}");
        let words = format!("took more than {} MiB of memory and was stopped after ", memory >> 20);
        assert!(error.to_string().starts_with(&words), "{error}");
    }
    assert!(run(512 << 20).unwrap().starts_with(b"\x7fELF"));
}

#[test]
fn a_plugin_beside_one_that_cannot_be_compiled_does_its_work() {
    // Only the compiler finds out that an addition of i64 is given two i32.
    let mut bytes = assembled("(core module (func (result i32) (i32.add (i32.const 1) (i32.const 2))))");
    let add = bytes.iter().rposition(|byte| *byte == 0x6a).unwrap();
    bytes[add] = 0x7c;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.wasm");
    std::fs::write(&path, bytes).unwrap();
    let good = (Path::new("builtin:unused-images"), r#"{"repositories":["docker.io/minchou/*"],"keepLast":1}"#);
    let bad = (path.as_path(), "{}");
    for plugins in [[bad, good], [good, bad]] {
        let (node, _runtime) = node();
        let mut command = deciding("run", &plugins);
        on(&mut command, &node.endpoint()).args(["-o", "json"]);
        let report = end_within(&mut command, super::BOUND).expect(1).json();
        let plugins = report["plugins"].as_array().unwrap();
        let failures: Vec<&serde_json::Value> =
            plugins.iter().map(|plugin| &plugin["failure"]["reason"]).filter(|reason| !reason.is_null()).collect();
        assert_eq!(failures, ["CompileFailed"]);
        assert!(node.gone().len() > 90);
    }
}

#[test]
fn what_cannot_be_compiled_in_time_is_not_tried_at_every_tick() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let limits = Limits { compile: Duration::from_millis(301), ..Limits::default() };
    let first = runtime.block_on(load(&engine(), assembled(&tedious()), limits)).err().unwrap();
    assert!(first.message.contains("took longer than 0.301 s"), "{first}");
    // No worker could be started any more, and none has to be.
    let without = Engine::new(None, Worker::at("/nonexistent")).unwrap();
    assert_eq!(runtime.block_on(load(&without, assembled(&tedious()), limits)).err().unwrap(), first);
    // Another component is not what is remembered, and neither is another limit.
    for (bytes, limits) in [(assembled("(core module)"), limits), (assembled(&tedious()), Limits::default())] {
        let other = runtime.block_on(load(&without, bytes, limits)).err().unwrap();
        assert!(other.message.contains("could not be started in a process of its own"), "{other}");
    }
}
