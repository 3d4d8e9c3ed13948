//! What a user types and reads: results, exit codes, and the message for each mistake.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Duration;

use holystone_core::snapshot::Snapshot;
use holystone_node::{Faults, SimulatedNode};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::Value;

use crate::support::{cache, end, end_within, holystone, run, scratch, text, unused_images};

const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/snapshots/rollout-node.json");
const CONFIG: &str = r#"{"repositories":["docker.io/minchou/*"]}"#;

fn simulated(directory: &std::path::Path) -> SimulatedNode {
    let snapshot = Snapshot::from_json(&std::fs::read(NODE).unwrap()).unwrap();
    SimulatedNode::start(&directory.join("cri.sock"), snapshot, Faults::none()).unwrap()
}

#[test]
fn the_demo_shows_a_sweep_from_one_end_to_the_other() {
    let demo = run(&["demo"]).expect(0);
    for words in [
        "125 images",
        "Filesystem images: 84 % of 16.0 GiB in use",
        "remove  docker.io/minchou/rollout:v1.0.0",
        "refuse  docker.io/minchou/rollout:v1.5.0",
        "rail 4: protected: *:v1.5.*",
        "removed  docker.io/minchou/rollout:stable-2025, docker.io/minchou/rollout:v1.8.5",
        "filesystem freed: unknown, it cannot be measured from here",
        "% of 16.0 GiB in use, the runtime says that its store uses",
    ] {
        assert!(demo.stdout.contains(words), "{words} is missing:\n{}", demo.stdout);
    }
    for kept in ["nginx", "pause", "rollout:v1.9.3", "rollout:v1.7.0", "kruiserollout:build-37", "rollout:v1.4.2"] {
        assert!(
            !demo.stdout.lines().any(|line| line.starts_with("remove") && line.contains(&format!("{kept} "))),
            "{kept}"
        );
    }
    assert_eq!(demo.stderr, "");
}

#[test]
fn the_demo_takes_rails_and_a_config() {
    let demo = run(&["demo", "--config", CONFIG, "--protect", "*"]).expect(0);
    assert!(demo.stdout.contains("0 removed"), "{}", demo.stdout);
    run(&["demo", "--config", "{"]).expect(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_node_comes_to_the_plan_of_the_node_itself() {
    let directory = tempfile::tempdir().unwrap();
    let node = simulated(directory.path());
    let endpoint = node.endpoint().to_string();
    let recorded = run(&["snapshot", "--endpoint", &endpoint, "--node-name", "a"]).expect(0);
    let file = directory.path().join("node.json");
    std::fs::write(&file, &recorded.stdout).unwrap();

    let cache = cache();
    let plan = |more: &[&str]| {
        let mut command = holystone();
        command.args(["plan", "--plugin", "builtin:unused-images", "--config", CONFIG, "-o", "json", "--cache-dir"]);
        let mut plan = end(command.arg(&cache).args(more)).expect(0).json();
        // The one thing that differs: when it was looked at.
        plan.as_object_mut().unwrap().remove("takenAt");
        plan
    };
    let replayed = plan(&["--snapshot", file.to_str().unwrap()]);
    assert_eq!(replayed, plan(&["--endpoint", &endpoint, "--node-name", "a"]));
    assert!(replayed["images"]["totals"]["planned"].as_u64().unwrap() > 100);

    let mut piped = holystone();
    piped.args(["plan", "--plugin", "builtin:unused-images", "--config", CONFIG, "--snapshot", "-", "--no-cache"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(recorded.stdout.as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_says_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let node = simulated(directory.path());
    let plan = |format: &str| {
        let arguments =
            ["plan", "--plugin", "builtin:unused-images", "--config", CONFIG, "--snapshot", NODE, "-o", format];
        run(&arguments).expect(0)
    };
    let yaml: Value = serde_saphyr::from_str(&plan("yaml").stdout).unwrap();
    assert_eq!(yaml, plan("json").json());
    let table = plan("table").stdout;
    for step in yaml["images"]["steps"].as_array().unwrap() {
        assert!(table.contains(step["references"][0].as_str().unwrap()));
    }
    let report = unused_images("run", &node.endpoint().to_string(), CONFIG, &[]).expect(0).json();
    for field in ["node", "runtime", "takenAt", "finishedAt", "plugins", "images", "milliseconds"] {
        assert!(!report[field].is_null(), "{field} is missing");
    }
    assert!(report["plugins"][0]["digest"].as_str().unwrap().starts_with("sha256:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_takes_what_the_environment_says() {
    let directory = tempfile::tempdir().unwrap();
    let node = simulated(directory.path());
    let found =
        end(holystone().arg("snapshot").env("CONTAINER_RUNTIME_ENDPOINT", node.endpoint().to_string())).expect(0);
    assert_eq!(found.json()["images"].as_array().unwrap().len(), 125);
    let named =
        end(holystone().args(["snapshot", "--endpoint", &node.endpoint().to_string()]).env("NODE_NAME", "worker-7"));
    assert_eq!(named.expect(0).json()["node"]["name"], "worker-7");
}

#[test]
fn what_each_pattern_matched_is_counted_and_a_typo_is_told() {
    let protect = ["--protect", "docker.io/minchuo/rollout", "--protect", "minchou/rollout:v1.5.*", "-o", "json"];
    let plan = [&["plan", "--snapshot", NODE, "--plugin", "builtin:unused-images", "--config", CONFIG], &protect[..]];
    let plan = run(&plan.concat()).expect(0).json();
    assert_eq!(
        plan["matches"],
        serde_json::json!([
            { "field": "--protect", "pattern": "docker.io/minchuo/rollout", "matches": 0 },
            { "field": "--protect", "pattern": "minchou/rollout:v1.5.*", "matches": 6 },
        ])
    );
    assert_eq!(
        plan["notices"],
        serde_json::json!([
            "--protect: docker.io/minchuo/rollout matched no image on this node; did you mean docker.io/minchou/rollout?"
        ])
    );
}

#[test]
fn wrong_usage_is_told_with_code_64() {
    let plan =
        |more: &[&'static str]| [&["plan", "--snapshot", NODE, "--plugin", "builtin:unused-images"], more].concat();
    let missing = "/nonexistent/file.json";
    let cases = [
        (vec![], "Usage"),
        (vec!["plam"], "plan"),
        (vec!["plan"], "--plugin"),
        (plan(&["--frobnicate"]), "--frobnicate"),
        (plan(&["--protect", "a b"]), "is not an image pattern"),
        (plan(&["--protect", "registry.example.com"]), "write registry.example.com/* for all of its images"),
        (plan(&["--protect", "minchou/rollout:v1+2"]), "no tag has a '+'"),
        (plan(&["--protect", "Minchou/*"]), "repositories have no upper-case letters"),
        (plan(&["--protect", "minchou/rollout@sha256:abc"]), "at least 12 of its hexadecimal digits"),
        (plan(&["--max-percent", "101"]), "101"),
        (plan(&["--max-bytes", "lots"]), "--max-bytes"),
        (plan(&["--timeout", "soon"]), "--timeout"),
        (plan(&["--memory", "1Ki"]), "between 1Mi and 4Gi"),
        (plan(&["--allow", "image"]), "there are images, containers"),
        (plan(&["-o", "xml"]), "xml"),
        (plan(&["--config", "{"]), "--config is not JSON"),
        (plan(&["--config", "@/nonexistent/file.json"]), missing),
        (plan(&["--config", "{}", "--config", "{}"]), "2 --config for 1 --plugin"),
        (vec!["plan", "--plugin", "builtin:unused-images", "--snapshot", missing], missing),
        (vec!["plan", "--plugin", "x", "--snapshot", "Cargo.toml"], "--snapshot: Cargo.toml"),
        (vec!["snapshot", "--endpoint", "tcp://127.0.0.1:1"], "--endpoint"),
        (plan(&["--endpoint", "auto"]), "cannot be used with"),
    ];
    for (arguments, words) in cases {
        let ended = run(&arguments).expect(64);
        assert!(ended.stderr.contains(words), "{arguments:?}: {words} is missing: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[test]
fn only_regular_files_of_a_sensible_size_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    mkfifoat(CWD, path("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
    File::create(path("large")).unwrap().set_len(300 << 20).unwrap();
    std::fs::write(path("binary"), b"\xff\xfe").unwrap();
    for (file, words) in [
        (path("pipe"), "is a pipe, not a regular file"),
        (path("."), "is a directory, not a regular file"),
        ("/dev/zero".to_owned(), "is a device, not a regular file"),
        (path("missing"), "cannot be read: No such file"),
        (path("large"), "MiB, which is the most that is read"),
    ] {
        let config = format!("@{file}");
        let arguments = ["plan", "--plugin", "builtin:unused-images", "--snapshot"];
        for arguments in [[&arguments[..], &[NODE, "--config", &config]].concat(), [&arguments[..], &[&file]].concat()]
        {
            let ended = end_within(holystone().args(&arguments), Duration::from_mins(1)).expect(64);
            assert!(ended.stderr.contains(&format!("{file} ")) && ended.stderr.contains(words), "{}", ended.stderr);
            assert_eq!(ended.stdout, "");
        }
    }
    let ended = run(&["plan", "--plugin", "x", "--snapshot", NODE, "--config", &format!("@{}", path("binary"))]);
    assert!(ended.expect(64).stderr.contains("is not UTF-8"));
    let endless = holystone()
        .args(["plan", "--plugin", "builtin:unused-images", "--snapshot", "-"])
        .stdin(File::open("/dev/zero").unwrap())
        .output()
        .unwrap();
    assert_eq!(endless.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&endless.stderr).contains("has more than 256 MiB"));
}

#[test]
fn a_config_is_checked_by_its_plugin_field_by_field() {
    let plan = |plugin: &'static str, config: &str| {
        let ended = run(&["plan", "--snapshot", NODE, "--plugin", plugin, "--config", config]).expect(64);
        assert_eq!(ended.stdout, "");
        ended.stderr
    };
    let told = plan("builtin:unused-images", r#"{"repositorys":["a/*"],"keepLast":-1}"#);
    for words in [
        "holystone: the flags cannot be used, there are 3 problems:\n",
        "  --config: repositorys: there is no such field; did you mean repositories?\n",
        "  --config: keepLast: must be a whole number from 0 to 4294967295, found -1\n",
        "  --config: repositories: say which, [\"*\"] for all\n",
    ] {
        assert!(told.contains(words), "{words} is missing: {told}");
    }
    // Read by the host and written again, one of the two would be lost.
    let twice = r#"{"repositories":["docker.io/minchou/rollout"],"repositories":["*"]}"#;
    let told = plan("builtin:unused-images", twice);
    assert!(told.ends_with("--config: repositories: is given more than once\n"), "{told}");
}

#[test]
fn a_mistaken_plugin_is_told_with_what_was_meant() {
    for (plugin, words) in [
        ("unused-images", "--plugin unused-images: unused-images cannot be read: No such file"),
        ("unused-images", "did you mean builtin:unused-images?"),
        ("log_retention", "did you mean builtin:log-retention?"),
        ("builtin:unusedimages", "--plugin builtin:unusedimages: there is no builtin of this name"),
        ("builtin:unusedimages", "did you mean unused-images?"),
        ("builtin:frobnicate", "the builtins are: log-retention, orphan-pod-logs, unused-images"),
        ("./missing.wasm", "--plugin ./missing.wasm: ./missing.wasm cannot be read: No such file"),
    ] {
        for verb in [&["plan"][..], &["run", "--yes"]] {
            let ended = run(&[verb, &["--plugin", plugin, "--endpoint", "/nonexistent.sock"]].concat()).expect(64);
            assert!(ended.stderr.contains(words), "{words} is missing: {}", ended.stderr);
        }
    }
}

#[test]
fn a_config_may_be_yaml_and_a_mistaken_one_gets_a_hint() {
    let plan = |config: &str| {
        run(&["plan", "--snapshot", NODE, "--plugin", "builtin:unused-images", "--config", config, "-o", "json"])
    };
    let json = plan(r#"{"repositories":["docker.io/minchou/*"],"keepLast":2}"#).expect(0).json();
    for yaml in [
        "{'repositories': ['docker.io/minchou/*'], keepLast: 2}",
        "repositories:\n- docker.io/minchou/*\nkeepLast: 2\n",
    ] {
        assert_eq!(plan(yaml).expect(0).json(), json, "{yaml}");
    }
    for (config, words) in [
        ("nope.json", "--config is not JSON: "),
        ("nope.json", "; to read a file write @nope.json\n"),
        ("dir/nope.yaml", "; to read a file write @dir/nope.yaml\n"),
        ("{'repositories'", "; JSON has double quotes, in a shell: --config '{\"field\": 1}'\n"),
        ("{a: 1, a: 2}", "--config is not JSON: "),
    ] {
        let told = plan(config).expect(64).stderr;
        assert!(told.contains(words), "{config}: {words} is missing: {told}");
    }
}

#[test]
fn a_run_by_flags_needs_a_terminal_or_a_yes() {
    let flags = ["run", "--plugin", "builtin:unused-images", "--config", CONFIG, "--endpoint", "/nonexistent.sock"];
    let told = run(&flags).expect(64).stderr;
    assert!(told.starts_with("holystone: --yes is missing: "), "{told}");
    for more in [&["--yes"][..], &["-y"], &["--mode", "DryRun"]] {
        let told = run(&[&flags, more].concat()).expect(2).stderr;
        assert!(told.contains("/nonexistent.sock"), "{more:?}: {told}");
    }
}

#[test]
fn flags_that_can_have_no_effect_are_told_before_anything_is_connected() {
    let logs = r#"{"rules":[{"files":["**"],"maxAge":"1d"}]}"#;
    let images: &[&str] = &["--plugin", "builtin:unused-images", "--config", CONFIG];
    for (flags, words) in [
        (
            [images, &["--filesystem", "logs:app", "--above", "80"]].concat(),
            "--filesystem logs:app: there is no log root of this name",
        ),
        (
            [images, &["--filesystem", "logs:ap", "--until", "8", "--log-root", "app=/var/log"]].concat(),
            "did you mean logs:app?",
        ),
        (
            [images, &["--filesystem", "logs:app", "--log-root", "app=/var/log"]].concat(),
            "no effect without --above or --until",
        ),
        ([images, &["--above", "100"]].concat(), "--above 100: no filesystem is ever fuller"),
        ([images, &["--until", "100"]].concat(), "--until 100: no filesystem is ever fuller"),
        (
            ["--plugin", "builtin:log-retention", "--config", logs].to_vec(),
            "looks at log files alone, and there is no log root; add one with --log-root NAME=PATH",
        ),
        (
            ["--plugin", "builtin:orphan-pod-logs"].to_vec(),
            "--plugin builtin:orphan-pod-logs: looks at log files alone",
        ),
    ] {
        let ended = run(&[&["run", "--yes", "--endpoint", "/nonexistent.sock"], &flags[..]].concat()).expect(64);
        assert!(ended.stderr.contains(words), "{words} is missing: {}", ended.stderr);
    }
    for (flags, words) in [
        (images.to_vec(), "looks at images and containers alone, and no container runtime is asked"),
        ([images, &["--above", "80"]].concat(), "--above and --until have no effect"),
    ] {
        let ended = run(&[&["run", "--yes", "--endpoint", "none"], &flags[..]].concat()).expect(64);
        assert!(ended.stderr.contains(words), "{words} is missing: {}", ended.stderr);
    }
}

#[test]
fn a_node_that_cannot_be_reached_is_no_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("file"), "").unwrap();
    drop(UnixListener::bind(path("dead")).unwrap());
    for (socket, words) in [("missing", "no socket"), ("file", "not a socket"), ("dead", "listens")] {
        let ended = unused_images("run", &path(socket), CONFIG, &[]).expect(2);
        assert!(ended.stderr.contains(words) && ended.stderr.contains(&path(socket)), "{socket}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn a_snapshot_from_another_version_is_told_as_such() {
    let file = scratch().join("future.json");
    std::fs::write(&file, r#"{"apiVersion":"holystone.dev/v2","kind":"Snapshot","anything":[]}"#).unwrap();
    let ended = run(&["plan", "--plugin", "builtin:unused-images", "--snapshot", file.to_str().unwrap()]).expect(64);
    assert!(
        ended.stderr.contains("apiVersion and kind are holystone.dev/v2 and Snapshot")
            && ended.stderr.contains("holystone snapshot"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let mut demo = holystone().arg("demo").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(demo.stdout.take());
    let ended = demo.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let help = run(&["--help"]).expect(0).stdout;
    for words in ["demo", "plan", "run", "snapshot", "Exit codes"] {
        assert!(help.contains(words), "{words} is missing: {help}");
    }
    let short = run(&["--version"]).expect(0).stdout;
    assert!(short.starts_with("holystone 0."));
    let version = run(&["version", "-o", "json"]).expect(0).json();
    assert_eq!(format!("holystone {}\n", text(&version["version"])), short);
    assert_eq!(
        (text(&version["wit"]), text(&version["commit"])),
        ("holystone:node@0.1.0".to_owned(), "unknown".to_owned())
    );
    let names: Vec<&String> = version["builtins"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["log-retention", "orphan-pod-logs", "unused-images"]);
    let table = run(&["version"]).expect(0).stdout;
    assert!(
        table.contains(&text(&version["builtins"]["unused-images"])) && table.contains("engine wasmtime 48."),
        "{table}"
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completion", shell]).expect(0).stdout;
        assert!(script.contains("log-root") && script.contains("unprotect"), "{shell}");
    }
}
