//! The operator as a process, in conversation with an API server in memory, with daemons and strangers that mean it ill.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holystone_tests::fake_api::{FakeApi, node_cleanup, pod};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::holystone;

const PATIENCE: Duration = Duration::from_mins(2);
/// What the least of the documented limits leaves it.
const LIMIT: u64 = 128 << 20;
/// What a kubelet waits for an answer to a probe, unless it is told otherwise.
const PROBE: Duration = Duration::from_secs(1);

struct Operator {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("the operator's log:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

impl Operator {
    async fn start(api: &FakeApi, directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(api.clone().serve(listener));
        Self::start_at(server, directory)
    }

    /// One whose API server has this address, whether or not it is there.
    fn start_at(server: SocketAddr, directory: &Path) -> Self {
        let server = format!("http://{server}");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": { "server": server } }],
            "users": [{ "name": "test", "user": {} }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        let kubeconfig = directory.join("kubeconfig");
        fs::write(&kubeconfig, config.to_string()).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command: Command = holystone();
        command.args(["operator", "--image", "docker.io/holystone/holystone:0.1.0", "--identity", "test"]);
        command.arg(format!("--listen={address}")).env("KUBECONFIG", kubeconfig);
        let log = directory.join("operator.log");
        let child = command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        Self { child, address, log }
    }

    /// The most memory that it had so far.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Asks as a kubelet does: how long it took.
    fn probe(&self) -> std::io::Result<(String, Duration)> {
        let begun = Instant::now();
        let mut stream = TcpStream::connect_timeout(&self.address, PROBE)?;
        stream.set_read_timeout(Some(PROBE))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok((answer, begun.elapsed()))
    }
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A daemon that answers whatever it is asked with these bytes, so many times.
async fn daemon(address: String, part: Vec<u8>, times: usize) {
    let listener = TcpListener::bind(&address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let part = part.clone();
            tokio::spawn(async move {
                let mut request = [0; 1024];
                drop(stream.read(&mut request).await);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", part.len() * times);
                drop(stream.write_all(head.as_bytes()).await);
                for _ in 0..times {
                    if stream.write_all(&part).await.is_err() {
                        return;
                    }
                }
                drop(stream.shutdown().await);
            });
        }
    });
}

fn status_of_a_daemon(name: &str, runs: &Value) -> Vec<u8> {
    let time = "2026-11-02T00:00:00Z";
    let charged = json!({ "name": name, "mode": "Enforce", "state": "Waiting", "runs": runs });
    json!({ "version": "0.1.0", "startedAt": time, "stopping": false, "readAt": time, "nodeCleanups": [charged] })
        .to_string()
        .into_bytes()
}

fn run(removed: &Value, message: &str) -> Value {
    json!({
        "file": "x", "nodeCleanup": "ops/a", "cause": "Schedule", "startedAt": "2026-11-02T00:00:00Z",
        "finishedAt": "2026-11-02T00:01:00Z", "result": "SomeFailed", "message": message,
        "images": { "planned": 1, "removed": removed, "alreadyGone": 0, "refused": 0, "noLongerAllowed": 0, "notNeeded": 0,
            "failed": 1, "sizeRemovedBytes": 1 },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_daemons_answer_takes_no_more_memory_than_an_answer_may() {
    const GREEDY: usize = 40;
    let directory = tempfile::tempdir().unwrap();
    let api = FakeApi::new(false);
    api.put("nodecleanups", node_cleanup("a", &json!({ "rollout": { "engine": "DaemonSet" } })));
    // The first to answer are the ones that are well.
    let answers = [
        ("127.71.0.1:9823", status_of_a_daemon("ops/a", &json!([run(&json!(7), "fine")]))),
        ("127.71.0.2:9823", status_of_a_daemon("ops/a", &json!([run(&json!(-7), "a negative number")]))),
        ("127.71.0.3:9823", status_of_a_daemon("ops/a", &json!([run(&json!(u64::MAX), "\u{1b}[2J\u{202e}")]))),
        ("127.71.0.4:9823", format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)).into_bytes()),
        // Rows by the thousand, of which one is about this NodeCleanup, and one more of the same name.
        ("127.71.0.5:9823", {
            let row = |name: String, runs| json!({ "name": name, "mode": "x", "state": "x", "runs": runs });
            let mut rows: Vec<Value> = (0..1_200).map(|at| row(format!("x/{at}"), json!([]))).collect();
            rows.push(row("ops/a".to_owned(), json!([run(&json!(11), "the first")])));
            rows.push(row("ops/a".to_owned(), json!([run(&json!(1_000), "the second")])));
            let time = "2026-11-02T00:00:00Z";
            json!({ "version": "0", "startedAt": time, "stopping": false, "readAt": time, "nodeCleanups": rows })
                .to_string()
                .into_bytes()
        }),
    ];
    let well = answers.len();
    for (address, answer) in answers {
        assert!(answer.len() < 64 << 10, "{} bytes", answer.len());
        daemon(address.to_owned(), answer, 1).await;
    }
    for at in well..well + GREEDY {
        daemon(format!("127.71.0.{}:9823", at + 1), vec![b' '; 1 << 20], 16).await;
    }
    let operator = Operator::start(&api, directory.path()).await;
    let set = until("the DaemonSet", || api.get("daemonsets", "holystone-a")).await;
    for at in 0..well + GREEDY {
        let mut pod = pod(&set, &format!("n{at:02}"), "2026-11-02T00:00:00Z", None);
        pod["status"]["podIP"] = format!("127.71.0.{}", at + 1).into();
        api.put("pods", pod);
    }
    let last = until("all have been asked", || {
        let run = api.get("nodecleanups", "a")?["status"]["lastRun"].clone();
        (run["nodes"]["active"] == 0 && run["nodes"]["desired"] == well + GREEDY).then_some(run)
    })
    .await;
    // 7 and 11, and the most that one node is believed.
    assert_eq!((&last["removed"], &last["nodes"]["failed"]), (&json!(18 + u64::from(u32::MAX)), &json!(3)));
    let told = |message: &str| {
        let errors = last["errors"].as_array().unwrap();
        let error = errors.iter().find(|error| error["message"] == message);
        error.unwrap_or_else(|| panic!("{message}: {errors:#?}"))["count"].clone()
    };
    assert_eq!(told("the daemon does not answer"), GREEDY, "no more of them is read");
    assert_eq!(told("the daemon answers with what is no status"), 2);
    assert_eq!((told("fine"), told("the first"), told("\\u{1b}[2J\\u{202e}")), (json!(1), json!(1), json!(1)));
    assert!(operator.peak() < LIMIT, "{} MiB", operator.peak() >> 20);
}

/// What users get wrong most often, each by itself, and what is said about it.
fn mistakes() -> [(Value, &'static str); 9] {
    let plugin = |builtin: &str, capabilities: Value, config: Value| json!({ "plugins": [{ "name": "p", "source": { "builtin": builtin }, "capabilities": capabilities, "config": config }] });
    let images = json!(["images", "containers"]);
    let repositories = json!({ "repositories": ["docker.io/a/*"] });
    let log_root = |path: &str| json!({ "logRoots": [{ "name": "app", "hostPath": path }] });
    [
        (
            plugin("unusedimages", images.clone(), repositories.clone()),
            "spec.plugins[0].source.builtin: there is no builtin of this name",
        ),
        (
            plugin("unused-images", images.clone(), json!({ "repositorys": ["docker.io/a/*"] })),
            "spec.plugins[0].config.repositorys: there is no such field",
        ),
        (
            plugin("unused-images", images.clone(), json!({ "repositories": [7] })),
            "spec.plugins[0].config.repositories[0]",
        ),
        (plugin("unused-images", images, json!({ "repositories": ["a b"] })), "spec.plugins[0].config"),
        (plugin("unused-images", json!([]), repositories.clone()), "spec.plugins[0].capabilities"),
        (plugin("unused-images", json!(["image"]), repositories), "spec.plugins[0].capabilities[0]"),
        (log_root("/etc"), "spec.logRoots[0].hostPath: is not among the log roots that the operator allows (/var/log)"),
        (log_root("/var/log/../../etc"), "spec.logRoots[0].hostPath: "),
        (log_root("var/log"), "spec.logRoots[0].hostPath: "),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commonest_mistakes_are_an_invalid_spec_that_names_the_field() {
    let directory = tempfile::tempdir().unwrap();
    let api = FakeApi::new(true);
    for (at, (spec, _)) in mistakes().iter().enumerate() {
        api.put("nodecleanups", node_cleanup(&format!("wrong-{at}"), spec));
    }
    let _operator = Operator::start(&api, directory.path()).await;
    for (at, (spec, words)) in mistakes().iter().enumerate() {
        let message = until(&format!("it is told of {spec}"), || {
            let status = api.get("nodecleanups", &format!("wrong-{at}"))?["status"].clone();
            let ready = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Ready")?.clone();
            (ready["reason"] == "InvalidSpec").then(|| ready["message"].as_str().unwrap().to_owned())
        })
        .await;
        assert!(message.contains(words), "{spec}: {message}");
        assert!(message.starts_with("the spec cannot be used, and nothing more is started: "), "{message}");
    }
    assert_eq!(api.list("advancedcronjobs"), [] as [Value; 0], "nothing is started");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_of_the_operator_are_answered_while_strangers_hold_on() {
    let directory = tempfile::tempdir().unwrap();
    let operator = Operator::start(&FakeApi::new(false), directory.path()).await;
    until("it answers", || operator.probe().ok()).await;
    let mut held = Vec::new();
    for at in 0..200 {
        let mut stream = TcpStream::connect(operator.address).unwrap();
        if at % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHo").unwrap();
        }
        held.push(stream);
    }
    for _ in 0..10 {
        let (answer, took) = operator.probe().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && took < PROBE, "{answer} after {took:?}");
    }
}

/// All who speak with an API server that is away fail, again and again; that is one line, with its address and the cause.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_is_said_once_and_once_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = free.local_addr().unwrap();
    drop(free);
    let _operator = Operator::start_at(server, directory.path());
    let lines = || -> Vec<String> {
        let log = fs::read_to_string(directory.path().join("operator.log")).unwrap();
        log.lines().map(|line| line.split_once(" WARN ").map_or(line, |(_, said)| said).to_owned()).collect()
    };
    let away = format!(
        "the API server http://{server}/ does not answer: Connection refused (os error 111); retrying until it does"
    );
    until("it is said that it is away", || (!lines().is_empty()).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(lines(), std::slice::from_ref(&away));
    let listener = TcpListener::bind(server).await.unwrap();
    tokio::spawn(FakeApi::new(false).serve(listener));
    until("it is said that it is back", || (lines().len() > 1).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let said = lines();
    assert_eq!((said.len(), &said[0]), (2, &away), "{said:?}");
    assert!(said[1].starts_with(&format!("the API server http://{server}/ answers again, after ")), "{said:?}");
}

#[test]
fn without_a_cluster_the_operator_says_what_it_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = holystone();
    command.args(["operator", "--listen", "none"]).env_remove("KUBECONFIG").env("HOME", directory.path());
    command.env_remove("KUBERNETES_SERVICE_HOST");
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "holystone: no cluster is named: this is no pod with a service account, and the kubeconfig \
                    (KUBECONFIG, or ~/.kube/config) cannot be used: ";
    assert!(said.starts_with(expected) && said.lines().count() == 1, "{said}");
    assert_eq!(output.status.code(), Some(2));
}
