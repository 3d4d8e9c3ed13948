//! Runs on five thousand nodes with a real API server, with as large reports as pods can leave. This plays OpenKruise and
//! the kubelets: it makes the BroadcastJob and its pods, ends them one after the other, and writes the counts of the job
//! as often as OpenKruise does, after each pod.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use holystone_operator::{Client, connect_by};
use holystone_tests::Cluster;
use holystone_tests::fake_api::{broadcast_job, node_cleanup, pod};
use hyper::Request;
use serde_json::{Value, json};

use super::{NODES, Operator, full_message, node, operator_by};
use crate::measure::{Memory, goal, row, table};

const NAMESPACE: &str = "ops";
/// How many requests are under way at a time.
const AT_ONCE: usize = 32;
/// How long the pods of the first and of the second run take to end.
const SPREADS: [Duration; 2] = [Duration::from_mins(5), Duration::from_secs(30)];
const PATIENCE: Duration = Duration::from_mins(2);
/// The seconds of a run that the goal for status writes is about.
const LONG: f64 = 300.0;

pub(crate) async fn measure() {
    let cluster = Cluster::start_api_server_only("the fleet on a real API server").await.unwrap();
    let Some(cluster) = cluster else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let definitions = [
        "deploy/crd/nodecleanups.holystone.dev.yaml",
        "tests/kruise-crds/v1.9.0/apps.kruise.io_advancedcronjobs.yaml",
        "tests/kruise-crds/v1.9.0/apps.kruise.io_broadcastjobs.yaml",
    ];
    for file in definitions {
        // With client-side apply, OpenKruise's definitions are too large for their annotation.
        let file = root.join(file);
        cluster.kubectl(&["apply", "--server-side", "--filename", file.to_str().unwrap()]).await.unwrap();
    }
    for create in [&["namespace", NAMESPACE][..], &["serviceaccount", "default", "--namespace", NAMESPACE]] {
        cluster.kubectl(&[&["create"], create].concat()).await.unwrap();
    }
    let fleet = Fleet { client: connect_by(Some(cluster.kubeconfig()), None).await.unwrap(), cluster };
    fleet.runs().await;
    fleet.cluster.close().unwrap();
}

struct Fleet {
    client: Client,
    cluster: Cluster,
}

/// What one run has shown.
struct Shown {
    /// From the end of the last pod to the final status.
    late: Duration,
    /// From the start of the job to the end of its last pod; a machine that is busy may take longer than the spread.
    took: Duration,
    /// Status writes.
    writes: usize,
    memory: Memory,
}

impl Fleet {
    async fn runs(&self) {
        let directory = tempfile::tempdir().unwrap();
        let cleanup = node_cleanup("fleet", &json!({}));
        self.write("POST", &collection("holystone.dev/v1alpha1", "nodecleanups"), &cleanup).await;
        let operator = self.operator(directory.path());
        self.until("applied", |object| object["status"]["conditions"][0]["reason"] == "Applied").await;
        let mut rows = vec![row([
            "5000 nodes, real API server",
            "took, s",
            "final status, s",
            "status writes",
            "resident, MiB",
            "peak",
        ])];
        let mut worst = (0.0_f64, 0.0_f64, 0.0_f64);
        for (at, spread) in SPREADS.into_iter().enumerate() {
            let shown = self.run(at, spread, &operator).await;
            rows.push(row([
                &format!("full reports, ends spread over {} s", spread.as_secs()),
                &format!("{:.0}", shown.took.as_secs_f64()),
                &format!("{:.1}", shown.late.as_secs_f64()),
                &shown.writes.to_string(),
                &format!("{:.1}", shown.memory.resident),
                &format!("{:.1}", shown.memory.peak),
            ]));
            #[expect(clippy::cast_precision_loss, reason = "they are few")]
            let writes = shown.writes as f64 / shown.took.as_secs_f64().max(LONG) * LONG;
            worst = (worst.0.max(shown.late.as_secs_f64()), worst.1.max(writes), worst.2.max(shown.memory.resident));
        }
        drop(operator);
        let before = self.status_writes();
        let operator = self.operator(directory.path());
        tokio::time::sleep(Duration::from_secs(30)).await;
        let (memory, again) = (Memory::of(operator.0.id()).unwrap(), self.status_writes() - before);
        rows.push(row([
            "restarted",
            "",
            "",
            &again.to_string(),
            &format!("{:.1}", memory.resident),
            &format!("{:.1}", memory.peak),
        ]));
        table("A fleet on a real API server", &rows);
        goal("final status after the last pod", worst.0, 5.0, "s");
        goal("status writes, in five minutes of a run", worst.1, 40.0, "");
        goal("resident memory, two runs with full reports", worst.2.max(memory.resident), 64.0, "MiB");
        #[expect(clippy::cast_precision_loss, reason = "they are few")]
        goal("status writes after a restart", again as f64, 0.0, "");
    }

    fn operator(&self, directory: &Path) -> Operator {
        operator_by(self.cluster.kubeconfig(), &directory.join("operator.log"))
    }

    async fn run(&self, number: usize, spread: Duration, operator: &Operator) -> Shown {
        let cron_job = self.get("apps.kruise.io/v1alpha1", "advancedcronjobs", "fleet").await;
        let jobs = collection("apps.kruise.io/v1alpha1", "broadcastjobs");
        let mut job = broadcast_job(&cron_job, &format!("fleet-{number}"), "running", NODES);
        job["metadata"].as_object_mut().unwrap().remove("uid");
        job["spec"] = cron_job["spec"]["template"]["broadcastJobTemplate"]["spec"].clone();
        let status = job["status"].take();
        let job = self.write("POST", &jobs, &job).await;
        let job_name = job["metadata"]["name"].as_str().unwrap().to_owned();
        let (job_status, before) = (format!("{jobs}/{job_name}/status"), self.status_writes());
        let started = Instant::now();
        let counted = |ended: usize, phase: &str| counted(&status, number, ended, phase);
        self.write("PATCH", &job_status, &counted(0, "running")).await;
        let pods = collection("v1", "pods");
        let template = &job["spec"]["template"]["spec"];
        let created = format!("2026-11-0{}T00:00:00Z", number + 1);
        let made: Vec<Value> = (0..NODES).map(|at| made_pod(&job, at, &created, template)).collect();
        self.all(made.iter().map(|pod| ("POST", pods.clone(), pod.clone()))).await;

        let ended = Arc::new(AtomicUsize::new(0));
        let begun = Instant::now();
        let pause = spread / u32::try_from(NODES).unwrap();
        let ends = stream::iter(0..NODES).for_each_concurrent(AT_ONCE, |at| {
            let (pods, job_status, counted, ended) = (&pods, &job_status, &counted, Arc::clone(&ended));
            let name = made[at]["metadata"]["name"].as_str().unwrap().to_owned();
            async move {
                let due = pause * u32::try_from(at).unwrap();
                tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
                let message = full_message(at);
                let end = json!({ "status": {
                    "phase": "Succeeded",
                    "containerStatuses": [{ "name": "holystone", "image": "x", "imageID": "", "ready": false,
                        "restartCount": 0, "state": { "terminated": { "exitCode": 0, "message": message } } }],
                } });
                self.write("PATCH", &format!("{pods}/{name}/status"), &end).await;
                let ended = ended.fetch_add(1, Ordering::Relaxed) + 1;
                self.write("PATCH", job_status, &counted(ended.min(NODES - 1), "running")).await;
            }
        });
        ends.await;
        self.write("PATCH", &job_status, &counted(NODES, "completed")).await;
        let last = Instant::now();
        self.until("folded", |object| {
            let run = &object["status"]["lastRun"];
            run["name"] == *job_name
                && run["phase"] != "Running"
                && run["nodes"]["succeeded"].as_u64().unwrap_or(0) + run["nodes"]["failed"].as_u64().unwrap_or(0)
                    == u64::try_from(NODES).unwrap()
        })
        .await;
        let late = last.elapsed();
        tokio::time::sleep(Duration::from_secs(15)).await;
        let memory = Memory::of(operator.0.id()).unwrap();
        Shown { took: last - started, late, writes: self.status_writes() - before, memory }
    }

    async fn all(&self, writes: impl Iterator<Item = (&'static str, String, Value)>) {
        stream::iter(writes)
            .for_each_concurrent(AT_ONCE, |(method, path, body)| async move {
                self.write(method, &path, &body).await;
            })
            .await;
    }

    async fn write(&self, method: &str, path: &str, body: &Value) -> Value {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.body(body.to_string().into_bytes()).unwrap();
        self.client.request(request).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    async fn get(&self, version: &str, plural: &str, name: &str) -> Value {
        let request = Request::get(format!("{}/{name}", collection(version, plural))).body(Vec::new()).unwrap();
        self.client.request(request).await.unwrap()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        while !is_so(&self.get("holystone.dev/v1alpha1", "nodecleanups", "fleet").await) {
            assert!(begun.elapsed() < PATIENCE, "it never came to this: {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How often a status of a NodeCleanup was written since the API server started, by its audit log.
    fn status_writes(&self) -> usize {
        let audit = self.cluster.audit().unwrap();
        audit
            .lines()
            .filter(|line| line.contains("\"subresource\":\"status\"") && line.contains("nodecleanups"))
            .count()
    }
}

/// A pod of a run as it is created: on its node, and not ended yet.
fn made_pod(job: &Value, at: usize, created: &str, template: &Value) -> Value {
    let mut made = pod(job, &node(at), created, None);
    let fields = made.as_object_mut().unwrap();
    fields.remove("status");
    for field in ["uid", "creationTimestamp"] {
        made["metadata"].as_object_mut().unwrap().remove(field);
    }
    made["metadata"]["ownerReferences"][0]["uid"] = job["metadata"]["uid"].clone();
    made["spec"] = template.clone();
    made["spec"]["nodeName"] = node(at).into();
    // The API server has no such class, and no controller that would make it.
    made["spec"].as_object_mut().unwrap().remove("priorityClassName");
    made
}

/// The status of the job of a run when so many of its pods have ended.
fn counted(status: &Value, number: usize, ended: usize, phase: &str) -> Value {
    let mut status = status.clone();
    status["startTime"] = format!("2026-11-0{}T00:00:00Z", number + 1).into();
    status["phase"] = phase.into();
    status["succeeded"] = ended.into();
    status["active"] = (NODES - ended).into();
    if phase == "completed" {
        status["completionTime"] = format!("2026-11-0{}T00:10:00Z", number + 1).into();
    }
    json!({ "status": status })
}

fn collection(version: &str, plural: &str) -> String {
    let root = if version == "v1" { "/api" } else { "/apis" };
    format!("{root}/{version}/namespaces/{NAMESPACE}/{plural}")
}
