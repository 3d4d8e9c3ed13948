//! The daemon as a process, on a simulated node: runs at their times, reloads, signals, being killed, two at once, and
//! what it answers. When what is due is tested with a simulated clock in core; here tests wait for what has to come.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use holystone_core::daemon::RunResult;
use holystone_core::report::Brief;
use holystone_node::simulated::Method;
use holystone_node::{Faults, StateDir};
use rustix::process::Signal;
use serde_json::Value;

use crate::pressure;
use crate::simulated::{OLD, TestNode, id, small_planned};
use crate::support::{Ended, Running, cache, end, holystone, on, run, text};

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_mins(1);

fn manifest(name: &str, more: &str) -> String {
    format!(
        "apiVersion: holystone.dev/v1alpha1
kind: NodeCleanup
metadata: {{name: {name}}}
spec:
  mode: Enforce
  guardRails: {{minAge: 0s}}
  plugins:
  - name: {name}
    source: {{builtin: unused-images}}
    capabilities: [images]
    config: {{repositories: [docker.io/minchou/*], keepLast: 1}}
{more}"
    )
}

/// A daemon on a node, with manifests in a directory.
struct Daemon<'a> {
    node: &'a TestNode,
    manifests: PathBuf,
    port: u16,
    process: Running,
}

fn command(node: &TestNode, port: u16) -> Command {
    let mut command = holystone();
    command.arg("daemon").arg("--cache-dir").arg(cache()).args(["--listen", &format!("127.0.0.1:{port}"), "-v", "-f"]);
    command.arg(node.directory().join("manifests"));
    on(&mut command, &node.endpoint());
    command
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn write(node: &TestNode, file: &str, text: &str) -> PathBuf {
    let directory = node.directory().join("manifests");
    fs::create_dir_all(&directory).unwrap();
    // Whole or not at all, as a careful operator would.
    let new = directory.join(format!(".{file}"));
    fs::write(&new, text).unwrap();
    fs::rename(new, directory.join(file)).unwrap();
    directory
}

impl<'a> Daemon<'a> {
    fn start(node: &'a TestNode, manifest: &str, more: &[&str]) -> Self {
        let manifests = write(node, "a.yaml", manifest);
        let port = free_port();
        let mut command = command(node, port);
        command.args(more);
        let mut daemon = Self { node, manifests, port, process: Running::start(command) };
        daemon.until("it answers", |daemon| daemon.get("/readyz").is_some_and(|(code, _)| code == 200));
        daemon
    }

    #[track_caller]
    fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is(self) {
            assert!(!self.process.is_over(), "the daemon was over before {what}");
            assert!(start.elapsed() < PATIENCE, "{what}: it does not come; {:#}", self.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Code and body of an answer.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = self.say(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    fn say(&self, request: impl AsRef<[u8]>) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(request.as_ref());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Some(String::from_utf8_lossy(&answer).into_owned())
    }

    fn status(&self) -> Value {
        self.get("/status").map(|(_, body)| serde_json::from_str(&body).unwrap()).unwrap_or_default()
    }

    /// The runs of a manifest that are kept, the latest first.
    fn runs(&self, name: &str) -> Vec<Value> {
        let status = self.status();
        let of = |charged: &&Value| charged["name"] == name;
        let charged = status["nodeCleanups"].as_array().into_iter().flatten().find(of).cloned().unwrap_or_default();
        charged["runs"].as_array().cloned().unwrap_or_default()
    }

    fn stop(self) -> Ended {
        self.process.signal(Signal::TERM);
        self.process.end()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_at_its_times_keeps_reports_and_answers() {
    let node = TestNode::small(Faults::none());
    let once = manifest("once", "");
    let often = manifest("often", "  schedule: '@every 1s'\n  successfulJobsHistoryLimit: 2\n");
    let mut daemon = Daemon::start(&node, &format!("{often}---\n{once}"), &[]);
    daemon.until("both have run", |daemon| daemon.runs("once").len() == 1 && daemon.runs("often").len() == 2);
    assert_eq!(node.gone(), small_planned());
    let first = text(&daemon.runs("often")[0]["startedAt"]);
    daemon.until("the next", |daemon| text(&daemon.runs("often")[0]["startedAt"]) != first);
    assert!(daemon.runs("often").len() <= 2, "no more are kept");
    assert_eq!(daemon.runs("once").len(), 1, "and once is once");

    let file = node.state_dir().join(text(&daemon.runs("once")[0]["file"]));
    let kept: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(
        (&kept["record"]["cause"], &kept["report"]["nodeCleanup"]),
        (&Value::from("Once"), &Value::from("once"))
    );

    let (_, metrics) = daemon.get("/metrics").unwrap();
    for line in
        ["holystone_runs_total{node_cleanup=\"once\",result=\"Done\"} 1", "holystone_config_last_reload_successful 1"]
    {
        assert!(metrics.contains(line), "{line} is missing: {metrics}");
    }
    let address = format!("127.0.0.1:{}", daemon.port);
    let table = run(&["status", "--address", &address]).expect(0);
    assert!(table.stdout.contains("often") && table.stdout.contains("Waiting (Enforce)"), "{}", table.stdout);
    assert!(table.stdout.contains("Done (Enforce)"), "{}", table.stdout);
    let json = run(&["status", "--address", &address, "-o", "json"]).expect(0).json();
    assert_eq!(json["nodeCleanups"].as_array().unwrap().len(), 2);
    let ended = daemon.stop().expect(0);
    assert_eq!(ended.stdout, "");
    let gone = run(&["status", "--address", &address]).expect(2);
    assert!(gone.stderr.contains(&format!("the daemon does not answer on {address}")), "{}", gone.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_change_are_read_again_and_broken_ones_are_not_taken() {
    let node = TestNode::small(Faults::none());
    let mut daemon = Daemon::start(&node, &manifest("first", "  schedule: '@yearly'\n"), &[]);
    let names = |daemon: &Daemon<'_>| -> Vec<String> {
        daemon.status()["nodeCleanups"].as_array().into_iter().flatten().map(|it| text(&it["name"])).collect()
    };
    assert_eq!(names(&daemon), ["first"]);
    write(&node, "b.yaml", &manifest("second", "  schedule: '@yearly'\n"));
    daemon.until("the second is noticed", |daemon| names(daemon).len() == 2);

    write(&node, "b.yaml", &manifest("second", "  shedule: '@yearly'\n"));
    daemon.until("the problem is told", |daemon| daemon.status()["reloadProblem"].is_string());
    let problem = text(&daemon.status()["reloadProblem"]);
    assert!(problem.contains("b.yaml:12: spec.shedule: there is no such field"), "{problem}");
    assert_eq!(names(&daemon), ["first", "second"], "those before stay in use");
    assert!(daemon.get("/metrics").unwrap().1.contains("holystone_config_last_reload_successful 0"));
    let shown = run(&["status", "--address", &format!("127.0.0.1:{}", daemon.port)]).expect(0);
    assert!(shown.stdout.contains("Newer manifests cannot be used"), "{}", shown.stdout);

    fs::remove_file(daemon.manifests.join("b.yaml")).unwrap();
    daemon.process.signal(Signal::HUP);
    daemon.until("all is well", |daemon| daemon.status()["reloadProblem"].is_null() && names(daemon).len() == 1);
    let read_at = text(&daemon.status()["readAt"]);
    daemon.process.signal(Signal::HUP);
    daemon.until("a signal reads them again", |daemon| text(&daemon.status()["readAt"]) != read_at);
    let ended = daemon.stop().expect(0);
    assert!(ended.stderr.contains("those before stay in use"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_can_have_no_effect_are_said() {
    let node = TestNode::small(Faults::none());
    let elsewhere = node.directory().display().to_string();
    let flags = [
        "--jitter=5m",
        "--watch-interval=30s",
        &format!("--config-map-dir={elsewhere}"),
        &format!("--image-volume-dir={elsewhere}"),
        &format!("--log-root-dir={elsewhere}"),
    ];
    let words = [
        "--jitter has no effect, because no manifest has a schedule",
        "--watch-interval has no effect, because no manifest has pressure.above",
        "--config-map-dir has no effect, because no plugin comes from a ConfigMap",
        "--image-volume-dir has no effect, because no plugin comes from an image",
        "--log-root-dir has no effect, because no manifest has log roots",
    ];
    let said = |manifest: &str, flags: &[&str]| {
        let ended = Daemon::start(&node, manifest, flags).stop().expect(0).stderr;
        words.map(|words| ended.contains(words))
    };
    assert_eq!(said(&manifest("once", ""), &flags), [true; 5]);
    assert_eq!(said(&manifest("once", ""), &[]), [false; 5], "the usual interval was not asked for");
    let busy = manifest("busy", "  schedule: '@yearly'\n  pressure: {above: 90%}\n");
    assert_eq!(said(&busy, &flags), [false, false, true, true, true]);
    // One of several is enough.
    let both = format!("{}---\n{busy}", manifest("once", ""));
    assert_eq!(said(&both, &flags[..2]), [false; 5]);
}

/// A manifest with a plugin whose schema never comes to an end, and how long it may take.
fn endless(node: &TestNode, timeout: &str) -> String {
    let plugin = node.directory().join("endless.wasm");
    fs::copy(holystone_tests::misbehave(), &plugin).unwrap();
    fs::write(plugin.with_extension("schema.json"), crate::plugins::doubling("allOf").to_string()).unwrap();
    let plugin = plugin.display();
    format!(
        "apiVersion: holystone.dev/v1alpha1
kind: NodeCleanup
metadata: {{name: endless}}
spec:
  schedule: '@yearly'
  plugins:
  - name: endless
    source: {{file: {plugin}}}
    capabilities: [images, logs, log-content]
    config: {{do: nothing}}
    limits: {{timeout: {timeout}}}
"
    )
}

/// Waits until a process has a worker that checks a schema.
fn until_checking(process: u32) -> u32 {
    let start = Instant::now();
    loop {
        if let Some(worker) = crate::plugins::checking(process) {
            return worker;
        }
        assert!(start.elapsed() < PATIENCE, "no schema is checked");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_without_end_fails_its_reload_and_nothing_else() {
    let node = TestNode::small(Faults::none());
    let mut daemon = Daemon::start(&node, &manifest("first", "  schedule: '@every 1s'\n"), &[]);
    let names = |daemon: &Daemon<'_>| -> Vec<String> {
        daemon.status()["nodeCleanups"].as_array().into_iter().flatten().map(|it| text(&it["name"])).collect()
    };
    write(&node, "b.yaml", &endless(&node, "2s"));
    daemon.until("the problem is told", |daemon| daemon.status()["reloadProblem"].is_string());
    let problem = text(&daemon.status()["reloadProblem"]);
    let checking = "b.yaml:8: spec.plugins[0].source.file: checking the config against its schema, ";
    assert!(problem.contains(checking), "{problem}");
    assert!(problem.contains("endless.schema.json, took longer than 2 s and was stopped after 2."), "{problem}");
    assert_eq!(names(&daemon), ["first"]);
    let latest = |daemon: &Daemon<'_>| text(&daemon.runs("first")[0]["startedAt"]);
    daemon.until("it has run", |daemon| !daemon.runs("first").is_empty());
    let before = latest(&daemon);
    daemon.until("the previous manifest keeps running", |daemon| latest(daemon) != before);

    // One that would take ten minutes gives way to what comes after it.
    write(&node, "b.yaml", &endless(&node, "10m"));
    let worker = until_checking(daemon.process.id());
    let before = latest(&daemon);
    daemon.until("runs take place meanwhile", |daemon| latest(daemon) != before);
    write(&node, "b.yaml", &manifest("second", "  schedule: '@yearly'\n"));
    daemon.until("the second is loaded", |daemon| names(daemon) == ["first", "second"]);
    assert!(daemon.status()["reloadProblem"].is_null());
    assert!(!crate::plugins::is_alive(worker), "its worker has ended");

    // A signal to read again does not wait for it either, and one to end ends it at once.
    write(&node, "b.yaml", &endless(&node, "10m"));
    let worker = until_checking(daemon.process.id());
    daemon.process.signal(Signal::HUP);
    daemon.until("its worker has ended", |_| !crate::plugins::is_alive(worker));
    until_checking(daemon.process.id());
    let asked = Instant::now();
    daemon.stop().expect(0);
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_still_reading_ends_when_it_is_asked_to() {
    let node = TestNode::small(Faults::none());
    for signal in [Signal::TERM, Signal::INT] {
        write(&node, "a.yaml", &endless(&node, "10m"));
        let process = Running::start(command(&node, free_port()));
        until_checking(process.id());
        let asked = Instant::now();
        process.signal(signal);
        process.end().expect(0);
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_run_in_order_and_keeps_its_report() {
    let node = TestNode::small(Faults::none().latency(Method::RemoveImage, Duration::from_millis(1500)));
    let mut daemon = Daemon::start(&node, &manifest("slow", "  pace: {concurrency: 1}\n"), &[]);
    daemon.until("a removal is under way", |daemon| !daemon.node.simulated.removals().is_empty());
    assert_eq!(daemon.status()["nodeCleanups"][0]["state"], "Running");
    let ended = daemon.stop().expect(0);
    let removed = node.simulated.removals().len();
    assert!((1..4).contains(&removed), "{removed} of 4: {}", ended.stderr);
    assert_eq!(node.gone().len(), removed, "what was under way was waited for");
    assert_eq!(node.remembered()["lastRun"]["ending"]["reason"], "Stopped");
    let kept = fs::read_dir(node.state_dir()).unwrap().filter_map(Result::ok);
    assert_eq!(kept.filter(|entry| entry.file_name().to_string_lossy().starts_with("run.")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_run_that_hangs_at_once() {
    let node = TestNode::small(Faults::none().hanging(id(OLD)));
    let mut daemon = Daemon::start(&node, &manifest("hanging", ""), &[]);
    daemon.until("the removals are asked for", |daemon| daemon.node.simulated.removals().len() == 4);
    daemon.process.signal(Signal::TERM);
    daemon.until("it is about to end", |daemon| daemon.get("/readyz").is_some_and(|(code, _)| code == 503));
    let start = Instant::now();
    daemon.stop().expect(0);
    assert!(start.elapsed() < Duration::from_secs(15), "it waited for the removal that hangs");
    assert_eq!(node.remembered()["lastRun"]["ending"]["reason"], "Stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_hand_is_waited_for_and_a_reload_does_not_touch_a_run() {
    let node = TestNode::small(Faults::none().latency(Method::RemoveImage, Duration::from_millis(500)));
    let state_dir = StateDir::make(&node.state_dir()).unwrap();
    let by_hand = state_dir.lock(Duration::ZERO).await.unwrap();
    let mut daemon = Daemon::start(&node, &manifest("first", "  pace: {concurrency: 1}\n"), &[]);
    daemon.until("it wants to run", |daemon| daemon.status()["nodeCleanups"][0]["state"] == "Running");
    assert!(node.simulated.removals().is_empty(), "one sweep at a time");
    drop(by_hand);
    daemon.until("it runs", |daemon| !daemon.node.simulated.removals().is_empty());
    // Its manifest goes, and another comes.
    write(&node, "a.yaml", &manifest("second", "  schedule: '@yearly'\n"));
    daemon.process.signal(Signal::HUP);
    daemon.until("the other is in charge", |daemon| daemon.status()["nodeCleanups"][0]["name"] == "second");
    daemon.until("the run has come to its end", |daemon| daemon.node.gone() == small_planned());
    daemon.stop().expect(0);
    assert!(node.remembered()["lastRun"]["ending"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_does_not_run_twice_when_the_daemon_is_killed_in_a_run() {
    let node = TestNode::small(Faults::none().hanging(id(OLD)));
    let mut daemon = Daemon::start(&node, &manifest("hanging", ""), &[]);
    daemon.until("the removals are asked for", |daemon| daemon.node.simulated.removals().len() == 4);
    daemon.process.kill();
    let asked = node.simulated.removals().len();
    node.simulated.change_faults(Faults::none());
    let mut daemon = Daemon::start(&node, &manifest("hanging", ""), &[]);
    daemon.until("it is known to have run", |daemon| daemon.status()["nodeCleanups"][0]["state"] == "Done");
    assert_eq!(node.simulated.removals().len(), asked);
    daemon.stop().expect(0);
    // Whoever runs next is told.
    let next = node.run(&[]).expect(0).json();
    assert_eq!(next["interrupted"]["planned"], 4);
}

/// What a daemon leaves when it ends, whatever it ends with.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_ends_with_is_in_its_last_words() {
    let node = TestNode::small(Faults::none());
    let last_words = node.directory().join("termination-log");
    let brief_argument = format!("--termination-message={}", last_words.display());
    let left = || Brief::from_message(&fs::read_to_string(&last_words).unwrap()).unwrap();
    let wrong = manifest("wrong", "").replace("unused-images", "unusedimages").replace("[images]", "[image]");
    let directory = write(&node, "a.yaml", &wrong);
    let start = |port: u16, more: &[&str]| {
        let mut command = command(&node, port);
        command.arg(&brief_argument).args(more);
        end(&mut command)
    };
    start(free_port(), &[]).expect(64);
    let brief = left();
    assert_eq!(brief.outcome.result, RunResult::NotRun);
    let errors: Vec<&str> = brief.errors.iter().map(|error| error.message.as_str()).collect();
    for words in
        ["spec.plugins[0].source.builtin: there is no builtin of this name", "spec.plugins[0].capabilities[0]: "]
    {
        assert!(errors.iter().any(|error| error.contains(words)), "{words} is missing: {errors:?}");
    }
    fs::remove_file(&last_words).unwrap();
    start(free_port(), &["--jitter", "often"]).expect(64);
    let message = left().outcome.message.unwrap();
    assert!(message.contains("invalid value 'often' for '--jitter"), "{message}");
    fs::remove_file(&last_words).unwrap();
    // Another one listens there already.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    write(&node, "a.yaml", &manifest("right", ""));
    start(listener.local_addr().unwrap().port(), &[]).expect(2);
    let message = left().outcome.message.unwrap();
    assert!(message.contains("in use"), "{message}");
    fs::remove_file(&last_words).unwrap();
    fs::remove_dir_all(directory).unwrap();
    // One that is asked to end leaves what came of its last run.
    let mut daemon = Daemon::start(&node, &manifest("right", ""), &[&brief_argument]);
    daemon.until("it has run", |daemon| daemon.runs("right").len() == 1);
    daemon.stop().expect(0);
    let brief = left();
    assert_eq!((brief.outcome.result, brief.plugins[0].name.as_str()), (RunResult::Done, "right"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_take_place_is_tried_again() {
    let node = TestNode::small(Faults::none());
    let lines = "  runtime: {endpoint: /nonexistent.sock}\n  failedJobsHistoryLimit: 9\n  rollout: {failurePolicy: {restartLimit: 1}}\n";
    write(&node, "a.yaml", &manifest("unreachable", lines));
    let port = free_port();
    let mut command = holystone();
    command.arg("daemon").arg("--cache-dir").arg(cache()).args(["--listen", &format!("127.0.0.1:{port}"), "-f"]);
    command.arg(node.directory().join("manifests")).arg("--state-dir").arg(node.state_dir());
    let manifests = node.directory().join("manifests");
    let mut daemon = Daemon { node: &node, manifests, port, process: Running::start(command) };
    daemon.until("it has been tried twice", |daemon| daemon.runs("unreachable").len() == 2);
    let runs = daemon.runs("unreachable");
    assert_eq!((&runs[0]["cause"], &runs[0]["attempt"]), (&Value::from("Retry"), &Value::from(1)));
    assert_eq!((&runs[1]["cause"], &runs[1]["result"]), (&Value::from("Once"), &Value::from("NotRun")));
    assert!(text(&runs[1]["message"]).contains("/nonexistent.sock"), "{}", runs[1]);
    daemon.until("there are no tries left", |daemon| daemon.status()["nodeCleanups"][0]["state"] == "Done");
    let ended = daemon.stop().expect(0);
    assert!(ended.stderr.contains("/nonexistent.sock"), "it is told without -v: {}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_starts_a_run() -> anyhow::Result<()> {
    let Some(disk) = pressure::disk("daemon::a_full_disk_starts_a_run")? else { return Ok(()) };
    let node = pressure::full_node(&disk, Faults::none());
    let lines = "  schedule: '@yearly'\n  pressure: {above: 81%, until: 60%}\n";
    let mut daemon = Daemon::start(&node, &manifest("pressed", lines), &["--watch-interval", "1s"]);
    daemon.until("it has run", |daemon| !daemon.runs("pressed").is_empty());
    assert_eq!(daemon.runs("pressed")[0]["cause"], "Pressure");
    assert!(!node.gone().is_empty());
    daemon.stop().expect(0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_starting_is_told() {
    let node = TestNode::small(Faults::none());
    let daemon = Daemon::start(&node, &manifest("first", "  schedule: '@yearly'\n"), &[]);
    let second = end(&mut command(&node, free_port())).expect(2);
    assert!(second.stderr.contains("another daemon is under way on this node (process "), "{}", second.stderr);
    let mut other = command(&node, daemon.port);
    let taken = end(other.arg("--state-dir").arg(node.directory().join("other-state"))).expect(2);
    assert!(taken.stderr.contains("cannot be listened on; name another with --listen"), "{}", taken.stderr);
    // Runs by hand go on beside it.
    node.run(&[]).expect(0);
    daemon.stop().expect(0);

    let open = node.directory().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = end(command(&node, free_port()).arg("--state-dir").arg(&open)).expect(2);
    assert!(refused.stderr.contains("others may write to it"), "{}", refused.stderr);
    let mut file = command(&node, free_port());
    let no_directory = end(file.arg("--state-dir").arg(node.directory().join("manifests/a.yaml"))).expect(2);
    assert!(no_directory.stderr.contains("it is not a directory"), "{}", no_directory.stderr);

    write(&node, "a.yaml", &manifest("wrong", "  shedule: '@yearly'\n"));
    let wrong = end(&mut command(&node, free_port())).expect(64);
    assert!(wrong.stderr.contains("did you mean schedule?"), "{}", wrong.stderr);
    let nothing = end(holystone().arg("daemon")).expect(64);
    assert!(nothing.stderr.contains("name some with -f"), "{}", nothing.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_over_http_changes_nothing() {
    let node = TestNode::small(Faults::none());
    let daemon = Daemon::start(&node, &manifest("first", "  schedule: '@yearly'\n"), &[]);
    for (path, code) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/", 404),
        ("/status/../etc/passwd", 404),
        ("/status?runs=1", 200),
        ("/status?runs=-1", 400),
        ("/status?x=1", 400),
    ] {
        assert_eq!(daemon.get(path).unwrap().0, code, "{path}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    let garbage: [&[u8]; 7] = [
        b"\0\xff\xfe",
        b"GET",
        b"FROB / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
        b"",
    ];
    for request in garbage {
        let mut stream = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
        let _ = stream.write_all(request);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let changed = daemon.say("POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(changed.starts_with("HTTP/1.1 405"), "{changed}");
    // Those who say nothing take no place for ever, and not all of the places at once.
    let silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(("127.0.0.1", daemon.port)).unwrap()).collect();
    assert_eq!(daemon.get("/healthz").unwrap().0, 200);
    drop(silent);
    daemon.stop().expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_of_readiness_reloads_life_and_the_end() {
    let node = TestNode::small(Faults::none());
    let socket = node.directory().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    write(&node, "a.yaml", &manifest("first", "  schedule: '@yearly'\n"));
    let mut command = command(&node, free_port());
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "400000");
    let process = Running::start(command);
    let mut buffer = [0; 512];
    let mut told = || {
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    assert_eq!(told(), "READY=1\nSTATUS=1 manifests in charge");
    for _ in 0..5 {
        assert_eq!(told(), "WATCHDOG=1");
    }
    let mut until = |beginning: &str| {
        let mut message = told();
        while message == "WATCHDOG=1" {
            message = told();
        }
        assert!(message.starts_with(beginning), "{message}");
        message
    };
    process.signal(Signal::HUP);
    assert!(until("RELOADING=1\nMONOTONIC_USEC=").len() > 30);
    until("READY=1");
    process.signal(Signal::TERM);
    until("STOPPING=1");
    process.end().expect(0);
}

#[test]
fn the_unit_is_one_that_systemd_takes_and_sandboxes() {
    let unit =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/systemd/holystone.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/holystone ")).unwrap();
    // What it is started with is understood: only the manifests may be missing here.
    let started = end(holystone().args(start.split(' '))).code;
    assert!([2, 64].contains(&started), "{started}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("holystone.service");
    fs::write(&file, unit.replace("/usr/local/bin/holystone", env!("CARGO_BIN_EXE_holystone"))).unwrap();
    let with_logs = directory.path().join("holystone.service.d");
    let drop_in = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/systemd/holystone.service.d/logs.conf");
    for arguments in [
        &["verify"][..],
        &["security", "--offline=true", "--threshold=20"],
        // The same with the drop-in for logs, which takes more rights.
        &["verify"],
        &["security", "--offline=true", "--threshold=30"],
    ] {
        let Ok(output) = Command::new("systemd-analyze").args(arguments).arg(&file).output() else {
            eprintln!("SKIPPED the_unit_is_one_that_systemd_takes_and_sandboxes: there is no systemd-analyze");
            return;
        };
        let ended = Ended::from(output).expect(0);
        assert_eq!(ended.stderr, "", "{arguments:?}");
        if arguments[0] == "security" && !with_logs.exists() {
            fs::create_dir(&with_logs).unwrap();
            fs::copy(drop_in, with_logs.join("logs.conf")).unwrap();
        }
    }
}
