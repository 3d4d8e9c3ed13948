//! What a fleet asks of the operator and of its API server: `cargo bench -p holystone --bench fleet`. Takes five minutes,
//! and eight more with a real API server.
//!
//! The real binary in conversation with an API server in memory, which plays OpenKruise as well: a hundred NodeCleanups,
//! one of them twelve times on five thousand nodes, the others on fifty nodes each. Pods are as large as on a cluster.
//! `cargo bench -p holystone --bench fleet -- real` runs the part on a real API server alone: see `real`.

#![allow(clippy::panic, clippy::similar_names, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../measure.rs"]
mod measure;
mod real;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holystone_core::cluster::{NodeState, aggregate};
use holystone_core::daemon::{RunResult, RunSummary};
use holystone_core::report::{Brief, BriefError, BriefPlugin, MAX_BRIEF, Totals};
use holystone_tests::fake_api::{FakeApi, broadcast_job, node_cleanup, pod};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use measure::{Memory, Times, goal, milliseconds, row, table};

const CLEANUPS: usize = 100;
const NODES: usize = 5_000;
const RUNS: usize = 12;
/// Nodes of each of the other NodeCleanups.
const FEW: usize = 50;
/// Runs of which an AdvancedCronJob keeps the pods.
const HISTORY: usize = 3;
/// How long the operator is left alone before it is looked at.
const SETTLED: Duration = Duration::from_secs(10);
/// How long all pods of a run take to end.
const SPREAD: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    if std::env::args().any(|argument| argument == "real") {
        return real::measure().await;
    }
    folding();
    let directory = tempfile::tempdir().unwrap();
    let fleet = Fleet::start(directory.path()).await;
    let mut rows =
        vec![row(["operator", "requests", "writes", "status, bytes", "resident, MiB", "peak", "of that its own"])];
    let mut looks = Looks::default();

    let operator = fleet.operator();
    fleet.until(|api| (0..CLEANUPS).all(|at| is_ready(api, at))).await;
    rows.push(fleet.look("100 NodeCleanups are new", &operator, 1, &mut looks).await);
    for at in 1..CLEANUPS {
        fleet.run(at, 0, FEW, &message).await;
    }
    rows.push(fleet.look("99 have run on 50 nodes", &operator, 99, &mut looks).await);
    for at in 0..RUNS {
        fleet.run(0, at, NODES, &message).await;
    }
    rows.push(fleet.look("1 has run 12 times on 5000", &operator, RUNS, &mut looks).await);
    let of_runs = looks;
    drop(operator);

    let mut of_starts = Looks::default();
    let operator = fleet.operator();
    rows.push(fleet.look("started with all that", &operator, 1, &mut of_starts).await);
    let mut of_worst = Looks::default();
    for at in RUNS..RUNS + 2 {
        fleet.run(0, at, NODES, &full_message).await;
    }
    rows.push(fleet.look("2 runs, full reports", &operator, 2, &mut of_worst).await);
    for at in 1..4 {
        for run in 1..3 {
            fleet.run(at, run, NODES, &message).await;
        }
    }
    let mut of_more = Looks::default();
    rows.push(fleet.look("3 more on 5000", &operator, 6, &mut of_more).await);

    table("A hundred NodeCleanups (requests and writes: of each run)", &rows);
    goal("resident memory, with a run behind it", of_runs.resident, 64.0, "MiB");
    goal("resident memory, started anew", of_starts.resident, 64.0, "MiB");
    goal("resident memory, when every node's report is full", of_worst.resident, 64.0, "MiB");
    goal("writes when nothing has changed", of_starts.writes, 0.0, "");
    goal("size of the largest status", of_runs.status.max(of_worst.status), 16_384.0, "bytes");
    real::measure().await;
}

/// Starts the operator with a kubeconfig; it writes what it logs into a file.
fn operator_by(kubeconfig: &Path, log: &Path) -> Operator {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holystone"));
    command.args(["operator", "--image", "docker.io/holystone/holystone:0.1.0", "--identity", "fleet"]);
    command.args(["--listen", "none"]).env("KUBECONFIG", kubeconfig).env("NO_PROXY", "*");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log).unwrap());
    Operator(command.spawn().unwrap())
}

/// Without an API server: from what pods end with to a status.
fn folding() {
    let mut rows = vec![row(["12 runs on 5000 nodes", "read, ms", "fold, ms (median / min)", "status, bytes"])];
    for (title, words) in [("usual reports", message as fn(usize) -> String), ("full reports", full_message)] {
        let messages: Vec<String> = (0..NODES).map(words).collect();
        let (mut reading, mut folding, mut size) = (Times::default(), Times::default(), 0);
        for _ in 0..RUNS {
            let states: Vec<NodeState> = reading.time(|| {
                messages.iter().enumerate().map(|(at, message)| NodeState::ended(&node(at), message)).collect()
            });
            let folded = folding.time(|| aggregate(u32::try_from(NODES).unwrap(), &states, jiff::Timestamp::now()));
            size = serde_json::to_string(&folded.run).unwrap().len();
        }
        rows.push(row([title, &milliseconds(reading.median()), &folding.both(), &size.to_string()]));
    }
    table("Folding", &rows);
}

/// The worst that was seen.
#[derive(Clone, Copy, Default)]
struct Looks {
    resident: f64,
    writes: f64,
    status: f64,
}

/// A cluster that is asked over the loopback.
struct Fleet<'a> {
    api: FakeApi,
    directory: &'a Path,
}

struct Operator(Child);

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl<'a> Fleet<'a> {
    async fn start(directory: &'a Path) -> Self {
        let api = FakeApi::new(true);
        for at in 0..CLEANUPS {
            api.put("nodecleanups", node_cleanup(&cleanup(at), &json!({})));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fleet",
            "clusters": [{ "name": "fleet", "cluster": { "server": format!("http://{}", listener.local_addr().unwrap()) } }],
            "users": [{ "name": "fleet", "user": {} }],
            "contexts": [{ "name": "fleet", "context": { "cluster": "fleet", "user": "fleet" } }],
        });
        std::fs::write(directory.join("kubeconfig"), config.to_string()).unwrap();
        tokio::spawn(api.clone().serve(listener));
        Self { api, directory }
    }

    fn operator(&self) -> Operator {
        self.api.take_counts();
        operator_by(&self.directory.join("kubeconfig"), &self.directory.join("operator.log"))
    }

    async fn until(&self, is_so: impl Fn(&FakeApi) -> bool) {
        let begun = Instant::now();
        while !is_so(&self.api) {
            let log = || std::fs::read_to_string(self.directory.join("operator.log")).unwrap();
            assert!(begun.elapsed() < Duration::from_mins(2), "the operator does not get on:\n{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One run, from its first pod to its status.
    async fn run(&self, at: usize, number: usize, nodes: usize, words: &dyn Fn(usize) -> String) {
        let cleanup = cleanup(at);
        let name = |number: usize| format!("{cleanup}-{}", 1_780_000_000 + number);
        let (job_name, created) = (name(number), format!("2026-11-{:02}T00:00:00Z", number + 1));
        let cron_job = self.api.get("advancedcronjobs", &cleanup).unwrap();
        let mut job = broadcast_job(&cron_job, &job_name, "running", nodes);
        job["status"]["startTime"] = created.clone().into();
        self.api.put("broadcastjobs", job.clone());
        let template = &cron_job["spec"]["template"]["broadcastJobTemplate"];
        let (begun, pause) = (Instant::now(), SPREAD / u32::try_from(NODES).unwrap());
        for at in 0..nodes {
            let small = pod(&job, &node(at), &created, Some(&words(at)));
            self.api.put("pods", as_on_a_cluster(small, &template["spec"]["template"]["spec"]));
            let ahead = (pause * u32::try_from(at).unwrap()).saturating_sub(begun.elapsed());
            if ahead > Duration::from_millis(5) {
                tokio::time::sleep(ahead).await;
            }
        }
        job["status"]["phase"] = "completed".into();
        self.api.put("broadcastjobs", job);
        if nodes == NODES {
            self.until(|api| is_folded(api, &cleanup, &job_name)).await;
        }
        if let Some(old) = number.checked_sub(HISTORY) {
            self.api.delete("broadcastjobs", &name(old));
            for at in 0..nodes {
                self.api.delete("pods", &format!("{}-{}", name(old), node(at)));
            }
        }
    }

    async fn look(&self, title: &str, operator: &Operator, runs: usize, looks: &mut Looks) -> Vec<String> {
        tokio::time::sleep(SETTLED).await;
        let (requests, writes) = self.api.take_counts();
        let memory = Memory::of(operator.0.id()).unwrap();
        let size = |at| self.api.get("nodecleanups", &cleanup(at)).unwrap()["status"].to_string().len();
        let status = (0..CLEANUPS).map(size).max().unwrap();
        looks.resident = looks.resident.max(memory.resident);
        #[expect(clippy::cast_precision_loss, reason = "they are small")]
        let (each, wrote) =
            ((requests as f64 / runs as f64, writes as f64 / runs as f64), (writes as f64, status as f64));
        (looks.writes, looks.status) = (looks.writes.max(wrote.0), looks.status.max(wrote.1));
        row([
            title,
            &format!("{:.1}", each.0),
            &format!("{:.1}", each.1),
            &status.to_string(),
            &format!("{:.1}", memory.resident),
            &format!("{:.1}", memory.peak),
            &format!("{:.1}", memory.own),
        ])
    }
}

fn cleanup(at: usize) -> String {
    format!("cleanup-{at:02}")
}

fn node(at: usize) -> String {
    format!("ip-10-{}-{}-{}.eu-central-1.compute.internal", at / 4096, at / 64 % 64, at % 64)
}

fn is_ready(api: &FakeApi, at: usize) -> bool {
    api.get("nodecleanups", &cleanup(at)).unwrap()["status"]["conditions"].is_array()
}

fn is_folded(api: &FakeApi, cleanup: &str, run: &str) -> bool {
    let last = &api.get("nodecleanups", cleanup).unwrap()["status"]["lastRun"];
    last["name"] == *run && last["phase"] != "Running" && last["nodes"]["active"] == 0
}

fn message(node: usize) -> String {
    brief(node, if node.is_multiple_of(20) { 2 } else { 0 }, 2).to_message()
}

/// As large as Kubernetes keeps it, and unlike that of any other node.
fn full_message(node: usize) -> String {
    let text = (1..20).map(|errors| brief(node, errors, 8).to_message()).max_by_key(String::len).unwrap();
    assert!(text.len() > MAX_BRIEF * 9 / 10, "{} bytes", text.len());
    text
}

fn brief(node: usize, errors: usize, plugins: usize) -> Brief {
    let result = if errors > 0 { RunResult::SomeFailed } else { RunResult::Done };
    let totals = Totals { removed: node % 50, refused: 3, size_removed_bytes: 1 << 30, ..Totals::default() };
    let mut brief = Brief::of_record(RunSummary { result, message: None, images: Some(totals), logs: None });
    let plugin = |at| BriefPlugin { name: format!("plugin-{at}"), digest: Some(format!("sha256:{at:064}")) };
    brief.plugins = (0..plugins).map(plugin).collect();
    let error = |at| BriefError { message: format!("error {at} of node {node}: {}", "x".repeat(170)), count: 1 };
    brief.errors = (0..errors).map(error).collect();
    brief
}

/// With all that a pod has and the operator does not read.
fn as_on_a_cluster(mut pod: Value, spec: &Value) -> Value {
    let node_name = pod["spec"]["nodeName"].take();
    pod["spec"] = spec.clone();
    pod["spec"]["nodeName"] = node_name;
    // Who wrote which field: about as much again as the spec.
    pod["metadata"]["managedFields"] = json!([{
        "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": spec,
    }]);
    let condition =
        |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": "2026-11-02T00:00:00Z" });
    let kinds = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    pod["status"]["conditions"] = kinds.map(condition).to_vec().into();
    pod
}
