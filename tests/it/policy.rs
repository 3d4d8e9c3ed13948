//! `plan` and `run` by manifests: what they come to, and everything that is wrong with one told before anything is
//! touched.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use holystone_core::manifest::{self, Text};
use holystone_node::Faults;
use holystone_tests::misbehave;
use serde_json::Value;

use crate::simulated::{OLD, SMALL, TestNode, id, small_planned};
use crate::support::{Ended, cache, component, end, holystone, on, text};
use crate::terminal::{self, Asking};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/manifests");
const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/snapshots/rollout-node.json");

/// A manifest that takes what the tests on a simulated node take, with more lines in its spec.
fn manifest(name: &str, more: &str) -> String {
    manifest_of(name, "{builtin: unused-images}", "{repositories: [docker.io/minchou/*], keepLast: 1}", more)
}

fn manifest_of(name: &str, source: &str, config: &str, more: &str) -> String {
    format!(
        "apiVersion: holystone.dev/v1alpha1
kind: NodeCleanup
metadata: {{name: {name}}}
spec:
  guardRails: {{minAge: 0s}}
  plugins:
  - name: {name}
    source: {source}
    capabilities: [images]
    config: {config}
{more}"
    )
}

const ENFORCE: &str = "  mode: Enforce\n";

/// A directory with these files.
fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn command(verb: &str, files: &[&Path]) -> Command {
    let mut command = holystone();
    command.arg(verb).arg("--cache-dir").arg(cache());
    for file in files {
        command.arg("-f").arg(file);
    }
    command
}

/// `plan` or `run` of manifests on a node, as JSON.
fn on_node(node: &TestNode, verb: &str, files: &[&Path], more: &[&str]) -> Ended {
    end(on(&mut command(verb, files), &node.endpoint()).args(["-o", "json"]).args(more))
}

/// `plan` of manifests on the recorded node.
fn on_recorded(files: &[&Path], more: &[&str]) -> Ended {
    end(command("plan", files).args(["--snapshot", SNAPSHOT, "-o", "json"]).args(more))
}

/// The JSON documents of an output.
fn documents(ended: &Ended) -> Vec<Value> {
    serde_json::Deserializer::from_str(&ended.stdout).into_iter().map(Result::unwrap).collect()
}

#[test]
fn every_example_reads_and_plans_on_a_recorded_node() {
    let mut planned = 0;
    for entry in fs::read_dir(EXAMPLES).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read_to_string(&path).unwrap();
        let found = manifest::read(&[Text { origin: "example", text: &content, skips_others: false }]).unwrap();
        if found.iter().any(|found| !found.manifest.spec.log_roots.is_empty()) {
            // Log directories are not recorded.
            assert!(on_recorded(&[&path], &[]).expect(2).stderr.contains("there is no log root app"));
            continue;
        }
        let plans = documents(&on_recorded(&[&path], &[]).expect(0));
        assert_eq!(plans.len(), found.len(), "{}", path.display());
        for (plan, found) in plans.iter().zip(found) {
            assert_eq!(text(&plan["nodeCleanup"]), found.manifest.full_name());
            let total = |name: &str| plan["images"]["totals"][name].as_u64().unwrap();
            assert!(total("planned") + total("refused") > 0, "{}: {plan:#}", path.display());
            planned += 1;
        }
    }
    assert!(planned > 3);
    let all = documents(&on_recorded(&[Path::new(EXAMPLES)], &[]).expect(1));
    assert_eq!(all.len(), planned, "a directory is all of its files");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_plans_on_a_node() {
    let node = TestNode::start(Faults::none());
    let logs = tempfile::tempdir().unwrap();
    let roots = ["app", "pods"].map(|root| {
        let path = logs.path().canonicalize().unwrap().join(root);
        fs::create_dir(&path).unwrap();
        format!("--log-root={root}={}", path.display())
    });
    let more: Vec<&str> = roots.iter().map(String::as_str).collect();
    let plans = documents(&on_node(&node, "plan", &[Path::new(EXAMPLES)], &more).expect(0));
    assert_eq!(plans.len(), 6);
    assert!(node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn log_roots_of_a_manifest_are_cleaned_and_a_flag_moves_them() {
    let node = TestNode::small(Faults::none());
    let more = "  - name: logs
    source: {builtin: log-retention}
    capabilities: [logs]
    config: {rules: [{files: [\"**/*.log.1\"], maxAge: 1s}]}
  logRoots: [{name: app, hostPath: LOGS}]
  mode: Enforce
";
    let directory = files(&[("logs/a.log.1", "old"), ("logs/a.log", "new"), ("moved/b.log.1", "old")]);
    let path = |name: &str| directory.path().canonicalize().unwrap().join(name);
    fs::write(path("logs.yaml"), manifest("logs-too", &more.replace("LOGS", path("logs").to_str().unwrap()))).unwrap();
    for old in ["logs/a.log.1", "moved/b.log.1"] {
        // Younger ones count as open where it cannot be seen which files are.
        let days_ago = SystemTime::now() - Duration::from_hours(72);
        fs::File::options().write(true).open(path(old)).unwrap().set_modified(days_ago).unwrap();
    }
    let moved = format!("app={}", path("moved").display());
    let run = |flags: &[&str]| {
        let day = ["--unknown-open-age", "0s", "--settle-time", "0s"];
        on_node(&node, "run", &[&path("logs.yaml")], &[&day[..], flags].concat()).expect(0)
    };
    run(&["--log-root", &moved]);
    assert!(!path("moved/b.log.1").exists() && path("logs/a.log.1").exists());
    run(&[]);
    assert!(!path("logs/a.log.1").exists() && path("logs/a.log").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_enforces_removes_and_one_that_does_not_only_tells() {
    let node = TestNode::small(Faults::none());
    let directory = files(&[("dry.yaml", &manifest("dry", "")), ("enforce.yaml", &manifest("enforce", ENFORCE))]);
    let file = |name: &str| directory.path().join(name);
    let told = on_node(&node, "run", &[&file("dry.yaml")], &[]).expect(0).json();
    assert_eq!((text(&told["nodeCleanup"]).as_str(), &told["images"]["totals"]["planned"]), ("dry", &Value::from(4)));
    assert!(text(&told["notices"][0]).contains("DryRun"));
    assert!(node.simulated.removals().is_empty());
    assert!(!node.state_dir().exists(), "and nothing is remembered");

    on_node(&node, "run", &[&file("enforce.yaml")], &["--mode", "DryRun"]).expect(0);
    assert!(node.simulated.removals().is_empty(), "the flag wins");
    let report = node.truth(&on_node(&node, "run", &[&file("enforce.yaml")], &[]).expect(0));
    assert_eq!(
        (text(&report["nodeCleanup"]).as_str(), &report["images"]["totals"]["removed"]),
        ("enforce", &Value::from(4))
    );
    assert_eq!(node.gone(), small_planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mode_of_a_dry_manifest_can_be_overridden() {
    let node = TestNode::small(Faults::none());
    let directory = files(&[("dry.yaml", &manifest("dry", ""))]);
    on_node(&node, "run", &[&directory.path().join("dry.yaml")], &["--mode", "Enforce", "--max-count", "1"]).expect(0);
    assert_eq!(node.gone().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_manifests_run_one_after_the_other_each_with_its_report() {
    let node = TestNode::small(Faults::none());
    let one = manifest_of("one", "{builtin: unused-images}", "{repositories: [\"*:v1.0.3\"]}", ENFORCE);
    let broken = manifest("no-runtime", "  mode: Enforce\n  runtime: {endpoint: /nonexistent.sock}\n");
    let directory =
        files(&[("a.yaml", &format!("{one}---\n{}", manifest("two", ENFORCE))), ("b.yml", &broken), ("note.txt", "?")]);
    let mut run = command("run", &[directory.path()]);
    let state = node.state_dir();
    let ended = end(run.env("CONTAINER_RUNTIME_ENDPOINT", node.endpoint()).arg("--state-dir").arg(&state));
    let ended = ended.expect(1);
    assert!(ended.stderr.contains("holystone: no-runtime: "), "{}", ended.stderr);
    let at = |words: &str| ended.stdout.find(words).unwrap_or_else(|| panic!("{words}: {}", ended.stdout));
    assert!(at("NodeCleanup one\n") < at("1 removed") && at("1 removed") < at("NodeCleanup two\n"));
    assert!(at("NodeCleanup two\n") < at("3 removed"));
    assert_eq!(node.gone(), small_planned());

    let both = on_node(&node, "run", &[&directory.path().join("a.yaml")], &[]).expect(0);
    assert_eq!(documents(&both).iter().map(|report| text(&report["nodeCleanup"])).collect::<Vec<_>>(), ["one", "two"]);
    let mut yaml = command("run", &[&directory.path().join("a.yaml")]);
    let yaml = end(on(&mut yaml, &node.endpoint()).args(["-o", "yaml"])).expect(0);
    let documents: Vec<Value> = serde_saphyr::from_multiple(&yaml.stdout).unwrap();
    assert_eq!(documents.len(), 2, "{}", yaml.stdout);

    let mut unreachable = command("run", &[directory.path()]);
    let unreachable = end(on(&mut unreachable, "/nonexistent.sock")).expect(2);
    assert!(unreachable.stderr.ends_with("none of the 3 manifests came to a run\n"), "{}", unreachable.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_comes_from_standard_input_and_as_json() {
    let node = TestNode::small(Faults::none());
    let yaml = manifest("piped", ENFORCE);
    let found = manifest::read(&[Text { origin: "", text: &yaml, skips_others: false }]).unwrap().remove(0);
    let json = serde_json::to_string_pretty(&found.manifest).unwrap();
    let mut run = command("run", &[Path::new("-")]);
    on(&mut run, &node.endpoint()).args(["--max-count", "1"]);
    for text in [&yaml, &json] {
        let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Ended::from(child.wait_with_output().unwrap()).expect(0);
    }
    assert_eq!(node.gone().len(), 2);
}

#[test]
fn a_plugin_is_found_beside_its_manifest_and_in_config_maps() {
    let component = fs::read(misbehave()).unwrap();
    let config = "{do: greedy}";
    let beside = manifest_of("beside", "{file: plugins/mine.wasm}", config, "");
    let digest = format!("    digest: {}\n", holystone_core::digest::of(&component));
    let mapped = manifest_of("mapped", "{configMap: {name: our.plugins, key: mine.wasm}}", config, &digest);
    let directory = files(&[("here/beside.yaml", &beside), ("mapped.yaml", &mapped)]);
    let file = |name: &str| directory.path().join(name);
    for place in ["here/plugins/mine.wasm", "maps/our.plugins/mine.wasm"] {
        fs::create_dir_all(file(place).parent().unwrap()).unwrap();
        fs::write(file(place), &component).unwrap();
    }
    let more = ["--allow", "images,logs,log-content"];
    on_recorded(&[&file("here/beside.yaml")], &more).expect(0);
    let maps = file("maps");
    on_recorded(&[&file("mapped.yaml")], &[&more[..], &["--config-map-dir", maps.to_str().unwrap()]].concat())
        .expect(0);
    for (manifest, flags, words) in [
        ("mapped.yaml", vec![], "mapped.yaml:8: spec.plugins[0].source.configMap: a ConfigMap is a directory outside"),
        ("mapped.yaml", vec!["--config-map-dir", "/nonexistent"], "/nonexistent/our.plugins/mine.wasm cannot be read"),
    ] {
        let ended = on_recorded(&[&file(manifest)], &flags).expect(64);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    fs::remove_file(file("here/plugins/mine.wasm")).unwrap();
    let ended = on_recorded(&[&file("here/beside.yaml")], &[]).expect(64);
    assert!(ended.stderr.contains("beside.yaml:8: spec.plugins[0].source.file: "), "{}", ended.stderr);
}

#[test]
fn everything_that_is_wrong_with_the_plugins_is_told_at_once() {
    let component = fs::read(misbehave()).unwrap();
    let plugins = "apiVersion: holystone.dev/v1alpha1
kind: NodeCleanup
metadata: {name: wrong}
spec:
  plugins:
  - {name: a, source: {builtin: unused-image}}
  - name: b
    source: {builtin: unused-images}
    capabilities: [images]
    config: {repositorys: [\"*\"], keepLast: -1, dangling: maybe}
  - name: c
    source: {file: mine.wasm}
    capabilities: [images, logs, log-content]
    config: {do: validate-error, times: many}
  - {name: d, source: {file: broken.wasm}}
";
    let schema = r#"{"properties": {"do": {"type": "string"}, "times": {"type": "integer"}}}"#;
    let directory = files(&[
        ("wrong.yaml", plugins),
        ("mine.schema.json", schema),
        ("broken.wasm", "no component"),
        ("broken.schema.json", "no schema"),
    ]);
    fs::write(directory.path().join("mine.wasm"), component).unwrap();
    let ended = on_recorded(&[&directory.path().join("wrong.yaml")], &[]).expect(64);
    assert_eq!(ended.stdout, "");
    for words in [
        "wrong.yaml:6: spec.plugins[0].source.builtin: there is no builtin of this name",
        "did you mean unused-images?",
        "wrong.yaml:10: spec.plugins[1].config.repositorys: ",
        "wrong.yaml:10: spec.plugins[1].config.keepLast: must be",
        "wrong.yaml:10: spec.plugins[1].config.dangling: ",
        "wrong.yaml:14: spec.plugins[2].config.times: it is not of type \"integer\", found \"many\"",
        "wrong.yaml:14: spec.plugins[2].config.do: is \\u{1b}[31mwrong",
        "wrong.yaml:14: spec.plugins[2].config.else: too",
        "spec.plugins[3].source.file: the schema of its config, ",
    ] {
        assert!(ended.stderr.contains(words), "{words} is missing: {}", ended.stderr);
    }
    assert!(ended.stderr.lines().all(|line| line.starts_with("holystone: ") || line.starts_with("  ")));
}

const WRONG: &str = "apiVersion: holystone.dev/v1alpha1
kind: NodeCleanup
metadata: {name: wrong}
spec:
  timeZone: Europe/Berlin
  pased: true
  logRoots: [{name: system, hostPath: /etc}]
  plugins:
  - {name: a, source: {builtin: unused-image}}
  - name: b
    source: {builtin: unused-images}
    capabilities: [containers]
    config: {repositorys: ['*'], keepLast: -1}
";

#[test]
fn every_command_reports_everything_in_one_go() {
    let directory = files(&[("wrong.yaml", WRONG)]);
    let path = directory.path().join("wrong.yaml");
    let commands: [&[&str]; 5] =
        [&["validate"], &["validate", "--cluster"], &["render"], &["plan", "--snapshot", SNAPSHOT], &["run"]];
    for command in commands {
        let ended = end(holystone().args(command).arg("-f").arg(&path)).expect(64);
        assert_eq!(ended.stdout, "", "{command:?}");
        for words in [
            "wrong.yaml:5: spec.timeZone: has no effect without a schedule; leave it out, or give spec.schedule",
            "wrong.yaml:6: spec.pased: there is no such field; did you mean paused?",
            "wrong.yaml:7: spec.logRoots[0].hostPath: /etc is never opened as a log root: it is /etc, where the system keeps its own files",
            "wrong.yaml:9: spec.plugins[0].source.builtin: there is no builtin of this name",
            "did you mean unused-images?",
            "wrong.yaml:12: spec.plugins[1].capabilities: must have images, which the plugin looks at",
            "wrong.yaml:13: spec.plugins[1].config.repositorys: there is no such field; did you mean repositories?",
            "wrong.yaml:13: spec.plugins[1].config.keepLast: must be a whole number",
        ] {
            assert!(ended.stderr.contains(words), "{command:?}: {words} is missing: {}", ended.stderr);
        }
    }
}

#[test]
fn what_a_cluster_allows_is_said_by_options() {
    let app = manifest("app", "  logRoots: [{name: app, hostPath: /data/logs}]\n");
    let directory = files(&[("app.yaml", &app)]);
    let path = directory.path().join("app.yaml");
    let told = |arguments: &[&str]| end(holystone().args(arguments).arg("-f").arg(&path));
    let refused = "spec.logRoots[0].hostPath: is not among the log roots that the operator allows (/var/log); its \
                   administrator can add /data/logs to its option --allow-log-roots (in the chart allowed.logRoots)";
    told(&["validate"]).expect(0);
    for arguments in [&["render"][..], &["validate", "--cluster"], &["render", "--allow-log-roots=/var/log"]] {
        let ended = told(arguments).expect(64);
        assert!(ended.stderr.contains(refused) && ended.stdout.is_empty(), "{arguments:?}: {}", ended.stderr);
    }
    told(&["validate", "--cluster", "--allow-log-roots=/data"]).expect(0);
    let rendered = told(&["render", "--allow-log-roots", "/var/log,/data"]).expect(0).stdout;
    assert!(rendered.contains("--log-roots-in=/data=/host/allowed/0"), "{rendered}");
    for (arguments, said) in [
        (&["validate", "--allow-log-roots=/data"][..], "add --cluster to the options --allow-"),
        (&["validate", "--allow-log-content"], "add --cluster to the options --allow-"),
        (&["render", "--allow-log-roots=data"], "give an absolute path below /, without . and .."),
        (&["render", "--allow-sockets=/run/\u{202e}kcos"], "give an absolute path below /, without . and .."),
        (
            &["render", "--allow-priority-classes=a,B"],
            "give the name of an object: lower-case letters, digits, - and .",
        ),
        (
            &["render", "--allow-service-accounts=a/b"],
            "give the name of an object: lower-case letters, digits, - and .",
        ),
        (&["render", "--allow-selinux-types=spc:t"], "give the type of SELinux, such as spc_t"),
        (
            &["render", "--allow-pod-annotations=a*"],
            "give the key of an annotation, such as example.com/team, or a domain",
        ),
        (
            &["render", "--allow-pod-annotations=*"],
            "give the key of an annotation, such as example.com/team, or a domain",
        ),
        (&["render", "--allow-sockets=/a,/b/../c"], "give an absolute path below /, without . and .."),
        (&["render", "--allow-log-roots="], "the operator allows (none)"),
    ] {
        let ended = told(arguments).expect(64);
        assert!(ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn a_manifest_is_validated_without_a_node() {
    let directory =
        files(&[("wrong.yaml", WRONG), ("good/a.yaml", &manifest("good", "")), ("good/b.yaml", &manifest("fine", ""))]);
    let validate = |file: &str, more: &[&str]| {
        end(holystone().arg("validate").arg("-f").arg(directory.path().join(file)).args(more))
    };
    let told = validate("good", &[]).expect(0).stdout;
    assert_eq!(told, "NodeCleanup good is valid\nNodeCleanup fine is valid\n");
    let good = validate("good", &["-o", "json"]).expect(0).json();
    assert_eq!(good, serde_json::json!({ "valid": true, "nodeCleanups": ["good", "fine"], "problems": [] }));
    let wrong = validate("wrong.yaml", &["-o", "json"]).expect(64).json();
    assert_eq!(wrong["valid"], false);
    let problem = &wrong["problems"][0];
    assert_eq!((&problem["line"], &problem["path"]), (&Value::from(5), &Value::from("spec.timeZone")));
    assert_eq!(
        (text(&problem["found"]).as_str(), wrong["problems"].as_array().unwrap().len()),
        ("\"Europe/Berlin\"", 8)
    );
    let file = manifest_of("here", "{file: nowhere.wasm}", "{}", "");
    fs::write(directory.path().join("file.yaml"), file).unwrap();
    assert!(validate("file.yaml", &[]).expect(64).stderr.contains("nowhere.wasm cannot be read"));
    let told = validate("file.yaml", &["--cluster"]).expect(64).stderr;
    assert!(told.contains("is a file of one machine; on a cluster use configMap or imageVolume"), "{told}");
}

#[test]
fn what_has_no_effect_on_a_run_is_a_notice() {
    let more = "  logRoots: [{name: app, hostPath: /var/log/app}]
  pace: {pause: 1s, concurrency: 8}
";
    let rails = "{maxDeletions: {percent: 100, count: 0}}";
    let granted = manifest("much", more).replace("[images]", "[images, pods, logs]").replace("{minAge: 0s}", rails);
    let files_only = manifest("files", "").replace("{minAge: 0s}", "{settleTime: 1h, unknownOpenAge: 2h}");
    let directory =
        files(&[("much.yaml", &granted), ("least.yaml", &manifest("least", "")), ("files.yaml", &files_only)]);
    let plan = |file: &str| on_recorded(&[&directory.path().join(file)], &[]).expect(0).json();
    let expected = [
        "plugin much does not use what it is granted: pods, logs",
        "no plugin looks at log files, so these log roots have no effect: app",
        "a limit of 100 percent refuses nothing",
        "the limit of count is 0, so every removal is refused",
        "with a pause, removals start one by one, so the limit of concurrency has no effect",
        "log directories are not recorded, so these log roots are left out: app",
    ];
    assert_eq!(plan("much.yaml")["notices"], serde_json::json!(expected));
    assert!(plan("least.yaml")["notices"].is_null());
    let expected = "without a log root there are no log files, so these have no effect: the settle time, the age of \
                    files whose uses are unknown";
    assert_eq!(plan("files.yaml")["notices"], serde_json::json!([expected]));

    let logs = manifest_of("logs", "{builtin: log-retention}", "{rules: [{files: ['**'], maxAge: 1d}]}", "")
        .replace("[images]", "[logs]")
        .replace(
            "{minAge: 0s}",
            "{minAge: 1h, protectImages: [a/b], unprotectImages: ['*pause*'], allowPartialUntag: true}",
        );
    let logs = format!("{logs}  runtime: {{endpoint: none}}\n  logRoots: [{{name: app, hostPath: LOGS}}]\n");
    let place = directory.path().canonicalize().unwrap();
    fs::write(place.join("logs.yaml"), logs.replace("LOGS", place.to_str().unwrap())).unwrap();
    let notices =
        end(command("plan", &[&place.join("logs.yaml")]).args(["-o", "json"])).expect(0).json()["notices"].clone();
    let expected = "without a container runtime there are no images, so these have no effect: patterns to protect, \
                    patterns not to protect, leave to remove only some names of an image";
    assert_eq!(notices[0], expected);
}

#[test]
fn a_plugin_that_can_never_have_an_effect_is_told() {
    let logs = "{rules: [{files: ['**'], maxAge: 1d}]}";
    let logs = manifest_of("logs", "{builtin: log-retention}", logs, "").replace("[images]", "[logs]");
    let pods = manifest_of("pods", "{builtin: orphan-pod-logs}", "{}", "").replace("[images]", "[logs, pods]");
    let none = manifest("none", "  runtime: {endpoint: none}\n");
    let roots = "  logRoots: [{name: pods, hostPath: /var/log/pods}]\n";
    let alone = format!("{pods}  runtime: {{endpoint: none}}\n{roots}");
    let directory = files(&[("logs.yaml", &logs), ("pods.yaml", &pods), ("none.yaml", &none), ("alone.yaml", &alone)]);
    for (file, words) in [
        (
            "logs.yaml",
            "logs.yaml:8: spec.plugins[0].source.builtin: looks at log files alone, and there is no log root; add one to spec.logRoots",
        ),
        ("pods.yaml", "spec.plugins[0].source.builtin: looks at log files alone, and there is no log root"),
        (
            "none.yaml",
            "spec.plugins[0].source.builtin: looks at images and containers alone, and no container runtime is asked",
        ),
        (
            "alone.yaml",
            "spec.plugins[0].source.builtin: keeps the logs of pods that exist, and no container runtime is asked which do",
        ),
    ] {
        for command in [&["validate"][..], &["render"], &["plan"]] {
            let told = end(holystone().args(command).arg("-f").arg(directory.path().join(file))).expect(64).stderr;
            assert!(told.contains(words), "{command:?}: {words} is missing: {told}");
        }
    }
    let root = format!("--log-root=app={}", directory.path().canonicalize().unwrap().display());
    let more = [root.as_str(), "--endpoint", "none", "--cache-dir", cache().to_str().unwrap()].map(str::to_owned);
    end(holystone().args(["plan", "-f"]).arg(directory.path().join("logs.yaml")).args(more)).expect(0);
}

#[test]
fn log_roots_that_are_none_or_overlap_are_told_wherever_a_manifest_is_read() {
    let config = "{rules: [{files: ['**'], maxAge: 1d, roots: [apps]}, {files: ['*'], maxAge: 1d, roots: [other]}]}";
    let named = manifest_of("named", "{builtin: log-retention}", config, "").replace("[images]", "[logs]");
    let root = |name: &str, path: &str| format!("{{name: {name}, hostPath: {path}}}");
    let with = |text: &str, roots: &[String]| format!("{text}  logRoots: [{}]\n", roots.join(", "));
    let good = named.replace("[apps]", "[app]").replace("[other]", "[app]");
    let named = with(&named, &[root("app", "/var/log/app")]);
    let nested = with(&good, &[root("inner", "/var/log/app/x/"), root("app", "/var/log/app")]);
    let twice = with(&good, &[root("app", "/var/log/app"), root("again", "/var/log/app/")]);
    let apart = with(&good, &[root("app", "/var/log/app"), root("apps", "/var/log/apps")]);
    let directory =
        files(&[("named.yaml", &named), ("nested.yaml", &nested), ("twice.yaml", &twice), ("apart.yaml", &apart)]);
    let ended =
        |command: &[&str], file: &str| end(holystone().args(command).arg("-f").arg(directory.path().join(file)));
    let unknown = [
        (
            "named.yaml",
            "config.rules[0].roots[0]: there is no log root of this name, found \"apps\"; did you mean app?",
        ),
        ("named.yaml", "config.rules[1].roots[0]: there is no log root of this name; there are app, found \"other\""),
    ];
    let overlapping = [
        (
            "nested.yaml",
            "spec.logRoots[0].hostPath: it lies in spec.logRoots[1], /var/log/app; declare the outer one alone and pick \
             by globs, or two that lie apart",
        ),
        (
            "twice.yaml",
            "spec.logRoots[1].hostPath: it is the same directory as spec.logRoots[0], /var/log/app; declare it once",
        ),
    ];
    // A run finds out by what the directories are.
    for (command, cases) in [
        (&["validate"][..], [unknown, overlapping].concat()),
        (&["validate", "--cluster"], [unknown, overlapping].concat()),
        (&["render"], [unknown, overlapping].concat()),
        (&["plan", "--endpoint", "none"], unknown.to_vec()),
    ] {
        for (file, words) in cases {
            let told = ended(command, file).expect(64).stderr;
            assert!(told.contains(words), "{command:?}: {words} is missing: {told}");
        }
    }
    ended(&["validate", "--cluster"], "apart.yaml").expect(0);
}

#[test]
fn what_can_have_no_effect_is_said_without_a_node() {
    let idle =
        "  guardRails: {minAge: 0s, maxDeletions: {percent: 100, count: 0}}\n  pace: {pause: 1s, concurrency: 8}\n";
    let idle = manifest("idle", idle).replacen("  guardRails: {minAge: 0s}\n", "", 1);
    let directory = files(&[("idle.yaml", &idle), ("busy.yaml", &manifest("busy", "  pace: {pause: 1s}\n"))]);
    let words = [
        "a limit of 100 percent refuses nothing",
        "the limit of count is 0, so every removal is refused",
        "with a pause, removals start one by one, so the limit of concurrency has no effect",
    ];
    for command in [&["validate"][..], &["validate", "--cluster"], &["render"]] {
        let of =
            |file: &str| end(holystone().args(command).arg("-f").arg(directory.path().join(file))).expect(0).stderr;
        let idle = of("idle.yaml");
        for words in words {
            assert!(idle.contains(&format!("idle: {words}")), "{command:?}: {words} is missing: {idle}");
        }
        let busy = of("busy.yaml");
        assert!(!busy.contains("no effect") && !busy.contains("refuse"), "{command:?}: {busy}");
    }
}

#[test]
fn schemas_of_plugins_that_lie_among_manifests_are_skipped() {
    let schema = r#"{"type": "object", "properties": {"do": {"type": "string"}}}"#;
    let good = manifest("good", "");
    let directory = files(&[
        ("all/good.yaml", &good),
        ("all/mine.wasm", "whatever it is"),
        ("all/mine.schema.json", schema),
        ("all/lonely.schema.json", schema),
        ("schemas/mine.schema.json", schema),
        ("named/odd.schema.json", &good),
    ]);
    let file = |name: &str| directory.path().join(name);
    let validate = |path: &Path| end(holystone().args(["validate", "-f"]).arg(path));

    let all = validate(&file("all")).expect(0);
    let note = "lonely.schema.json: by its name the JSON Schema of a plugin's config, not a NodeCleanup: skipped; give the file itself to -f to have it read";
    assert!(all.stderr.contains(note), "{}", all.stderr);
    assert!(!all.stderr.contains("mine.schema.json"), "the plugin that it belongs to is there: {}", all.stderr);

    for directory in ["schemas", "named"] {
        let empty = validate(&file(directory)).expect(64);
        let words = "has no file that ends in .yaml, .yml or .json, besides .schema.json";
        assert!(empty.stderr.contains(words), "{}", empty.stderr);
    }
    // By its own name any file is read.
    validate(&file("named/odd.schema.json")).expect(0);
    let no_manifest = validate(&file("schemas/mine.schema.json")).expect(64);
    assert!(no_manifest.stderr.contains("mine.schema.json:1: kind: "), "{}", no_manifest.stderr);
}

#[test]
fn wrong_manifests_are_wrong_usage() {
    let directory = files(&[
        ("broken.yaml", &manifest("a", "  shedule: \"@daily\"\n")),
        ("twice/a.yaml", &manifest("same", "")),
        ("twice/b.yaml", &manifest("same", "")),
        ("none/readme.txt", ""),
        ("empty.yaml", ""),
        ("good.yaml", &manifest("good", "")),
    ]);
    fs::write(directory.path().join("binary.yaml"), b"\xff\xfe").unwrap();
    let file = |name: &str| directory.path().join(name);
    for (path, words) in [
        (file("broken.yaml"), "broken.yaml:11: spec.shedule: there is no such field; did you mean schedule?"),
        (file("twice"), "metadata.name: another NodeCleanup has this name: "),
        (file("none"), "has no file that ends in .yaml, .yml or .json"),
        (file("empty.yaml"), "there is no NodeCleanup in it"),
        (file("binary.yaml"), "is not UTF-8"),
        (file("missing.yaml"), "missing.yaml cannot be read: No such file"),
        (PathBuf::from("/dev/zero"), "is a device, not a regular file"),
    ] {
        // A good one beside it changes nothing.
        for verb in ["plan", "run"] {
            let mut command = command(verb, &[&file("good.yaml"), &path]);
            let ended = end(on(&mut command, "/nonexistent.sock")).expect(64);
            assert!(ended.stderr.contains(words), "{words} is missing: {}", ended.stderr);
            assert_eq!(ended.stdout, "");
        }
    }
    let both = end(command("plan", &[Path::new("-")]).args(["--snapshot", "-"])).expect(64);
    assert!(both.stderr.contains("standard input cannot be both"), "{}", both.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_on_a_terminal_ask_one_after_the_other() {
    let node = TestNode::small(Faults::none());
    let (old, kept) = (SMALL[..2].join(", "), SMALL[2..].join(", "));
    let one = |name: &str, images: &str| {
        manifest_of(name, "{builtin: unused-images}", &format!("{{repositories: [{images}]}}"), ENFORCE)
    };
    let directory = files(&[("both.yaml", &format!("{}---\n{}", one("first", &old), one("second", &kept)))]);
    let path = directory.path().join("both.yaml");
    let run = |more: &[&str]| {
        let mut command = command("run", &[&path]);
        on(&mut command, &node.endpoint()).args(more);
        command
    };
    for answer in ["n", ""] {
        let mut asking = Asking::start(&run(&[]));
        assert!(asking.said().contains("Remove 2 of 7 images ("), "{}", asking.said());
        assert!(asking.said().contains(SMALL[0]) && !asking.said().contains(SMALL[2]), "{}", asking.said());
        asking.answer_and_wait(answer);
        assert!(asking.said().contains(SMALL[2]), "the second asks for itself: {}", asking.said());
        let ended = asking.answer("n").expect(2);
        assert!(ended.stderr.contains("nothing was touched: the plan was not confirmed"), "{}", ended.stderr);
    }
    assert!(node.simulated.removals().is_empty());

    // A no to one is no answer to the other.
    let mut asking = Asking::start(&run(&[]));
    asking.answer_and_wait("n");
    asking.answer("y").expect(1);
    assert_eq!(node.gone(), SMALL[2..].iter().map(|tag| id(tag)).collect());

    // What only plans does not ask, and neither does a run that was told not to.
    let ended = terminal::run_on_terminal(&run(&["--mode", "DryRun"])).expect(0);
    assert!(!ended.stderr.contains("[y/N]"), "{}", ended.stderr);
    assert_eq!(node.gone().len(), 2);
    let ended = terminal::run_on_terminal(&run(&["--yes"])).expect(0);
    assert!(!ended.stderr.contains("[y/N]"), "{}", ended.stderr);
    assert_eq!(node.gone(), small_planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_with_another_digest_is_not_started() {
    let node = TestNode::small(Faults::none());
    let more = |digest: &str| format!("    digest: {digest}\n{ENFORCE}");
    let other = format!("sha256:{}", "0".repeat(64));
    let wrong = manifest_of("pinned", "{file: here.wasm}", "{do: greedy}", &more(&other));
    let directory = files(&[("wrong.yaml", &wrong), ("shipped.yaml", &manifest("pinned", &more(&other)))]);
    fs::copy(misbehave(), directory.path().join("here.wasm")).unwrap();
    let ended = on_node(&node, "run", &[&directory.path().join("wrong.yaml")], &[]).expect(2);
    assert!(ended.stderr.contains("plugin pinned failed with DigestMismatch: its digest must be sha256:000"));
    assert!(node.simulated.removals().is_empty());

    // The bytes of one that comes with Holystone are known to every command.
    let plan = node.plan(crate::simulated::CONFIG, &[]);
    let digest = text(&plan["plugins"][0]["digest"]);
    let told = format!(
        "shipped.yaml:11: spec.plugins[0].digest: must be {digest}, the digest of unused-images in this version of \
         Holystone, or be left out, found {other}"
    );
    let shipped = directory.path().join("shipped.yaml");
    let ended = on_node(&node, "run", &[&shipped], &[]).expect(64);
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    for command in ["validate", "render"] {
        let ended = end(holystone().arg(command).arg("-f").arg(&shipped)).expect(64);
        assert!(ended.stderr.contains(&told), "{command}: {}", ended.stderr);
    }

    fs::write(directory.path().join("right.yaml"), manifest("pinned", &more(&digest))).unwrap();
    on_node(&node, "run", &[&directory.path().join("right.yaml")], &[]).expect(0);
    assert_eq!(node.gone(), small_planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_fails_is_left_out_or_keeps_the_run_from_taking_place() {
    let failing = |on_failure: &str| {
        let more = format!(
            "  - name: failing
    source: {{file: {}}}
    capabilities: [images, logs, log-content]
    config: {{do: panic}}
    onFailure: {on_failure}
{ENFORCE}",
            misbehave().display()
        );
        manifest("working", &more)
    };
    let directory = files(&[("skip.yaml", &failing("Skip")), ("fail.yaml", &failing("FailRun"))]);
    let node = TestNode::small(Faults::none());
    let ended = on_node(&node, "run", &[&directory.path().join("fail.yaml")], &[]).expect(2);
    assert!(ended.stderr.contains("nothing was touched, because onFailure is FailRun: plugin failing failed with"));
    assert!(node.simulated.removals().is_empty());
    on_node(&node, "plan", &[&directory.path().join("fail.yaml")], &[]).expect(2);

    let report = on_node(&node, "run", &[&directory.path().join("skip.yaml")], &[]).expect(1).json();
    assert_eq!(report["plugins"][1]["failure"]["reason"], "Trapped");
    assert_eq!(node.gone(), small_planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn capabilities_are_granted_to_each_plugin_by_itself() {
    let node = TestNode::small(Faults::none());
    let more = |source: &str| format!("  - {{name: blind, source: {source}, config: {{dangling: true}}}}\n{ENFORCE}");
    let builtin = manifest("seeing", &more("{builtin: unused-images}"));
    let file = manifest("seeing", &more(&format!("{{file: {}}}", component("unused_images.wasm").display())));
    let directory = files(&[("builtin.yaml", &builtin), ("two.yaml", &file)]);
    // What the plugins that come with Holystone look at is known wherever a manifest is checked.
    let told = on_node(&node, "run", &[&directory.path().join("builtin.yaml")], &[]).expect(64).stderr;
    assert!(told.contains("spec.plugins[1].capabilities: must have images, which the plugin looks at"), "{told}");
    let report = on_node(&node, "run", &[&directory.path().join("two.yaml")], &[]).expect(1).json();
    assert!(report["plugins"][0]["failure"].is_null());
    assert_eq!(report["plugins"][1]["failure"]["reason"], "CapabilityDenied");
    assert_eq!(node.gone(), small_planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn rails_pace_and_pressure_of_a_manifest_hold() {
    let node = TestNode::small(Faults::none());
    let rails = |more: &str| manifest("railed", ENFORCE).replace("{minAge: 0s}", more);
    let directory = files(&[
        ("protected.yaml", &rails("{minAge: 0s, protectImages: [docker.io/minchou/*]}")),
        ("count.yaml", &rails("{minAge: 0s, maxDeletions: {count: 1}}")),
        ("confirmed.yaml", &rails("{minAge: 0s, confirmations: 2}")),
    ]);
    let run = |name: &str| on_node(&node, "run", &[&directory.path().join(name)], &[]).expect(0).json();
    assert_eq!(run("protected.yaml")["images"]["refusals"][0]["refusal"]["rail"], 4);
    assert!(node.gone().is_empty());
    assert_eq!(run("count.yaml")["images"]["totals"]["removed"], 1);
    let fresh = TestNode::small(Faults::none());
    let confirmed = |times: usize| {
        let path = directory.path().join("confirmed.yaml");
        for _ in 0..times {
            on_node(&fresh, "run", &[&path], &[]).expect(0);
        }
        fresh.gone().len()
    };
    assert_eq!((confirmed(1), confirmed(1)), (0, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_a_manifest_is_the_time_limit_of_its_run() {
    let node = TestNode::small(Faults::none().hanging(id(OLD)));
    let deadline = format!("{ENFORCE}  rollout: {{parallelism: 1, completionPolicy: {{activeDeadlineSeconds: 1}}}}\n");
    let directory = files(&[("short.yaml", &manifest("short", &deadline))]);
    let report = on_node(&node, "run", &[&directory.path().join("short.yaml")], &[]).expect(1).json();
    assert_eq!(report["ending"]["reason"], "TimeLimit");
    assert_eq!(report["notices"].as_array().unwrap().len(), 1, "one word about what is for a fleet");
    assert!(text(&report["notices"][0]).contains("ignored: spec.rollout.parallelism"));
    assert_eq!(node.gone(), &small_planned() - &BTreeSet::from([id(OLD)]));
}
