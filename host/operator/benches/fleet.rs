//! `cargo bench -p holystone-operator`: twelve runs on five thousand nodes, and a hundred NodeCleanups, through the whole
//! operator and an API server in memory.

#![allow(clippy::similar_names, clippy::unwrap_used, reason = "a benchmark ends by panicking")]

#[path = "../tests/fake_api.rs"]
mod fake_api;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_api::{FakeApi, broadcast_job, node_cleanup, pod};
use holystone_core::cluster::{NodeState, fold};
use holystone_core::daemon::{Outcome, RunResult};
use holystone_core::report::{Brief, BriefError, BriefPlugin, Totals};
use holystone_operator::{Operator, Settings};
use serde_json::{Value, json};

const NODES: usize = 5_000;
const RUNS: usize = 12;
const CLEANUPS: usize = 100;
/// The most that a status may come to, in bytes.
const MOST_STATUS: usize = 16 << 10;

fn message(node: usize) -> String {
    let totals = Some(Totals { removed: node % 50, refused: 3, size_removed_bytes: 1 << 30, ..Totals::default() });
    let result = if node.is_multiple_of(20) { RunResult::SomeFailed } else { RunResult::Done };
    let mut brief = Brief::of_record(Outcome { result, message: None, totals, log_totals: None });
    brief.plugins = vec![BriefPlugin { name: "p".to_owned(), digest: Some(format!("sha256:{}", "0".repeat(64))) }];
    if node.is_multiple_of(20) {
        brief.errors = (0..8)
            .map(|error| BriefError { message: format!("error {error} of node {node}: {}", "x".repeat(150)), count: 1 })
            .collect();
    }
    brief.to_message()
}

fn main() {
    folding();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(fleet());
}

fn folding() {
    let states: Vec<NodeState> =
        (0..NODES).map(|node| NodeState::ended(&format!("node-{node:05}"), &message(node))).collect();
    let begun = Instant::now();
    let folded = fold(u32::try_from(NODES).unwrap(), &states);
    let status = serde_json::to_string(&folded.run).unwrap().len();
    println!("fold {NODES} nodes: {:.1} ms, {status} bytes of status", begun.elapsed().as_secs_f64() * 1e3);
    println!("{}: status of at most {MOST_STATUS} bytes", if status <= MOST_STATUS { "MET" } else { "NOT MET" });
}

async fn fleet() {
    let api = FakeApi::new(true);
    for cleanup in 0..CLEANUPS {
        api.put("nodecleanups", node_cleanup(&format!("c{cleanup}"), json!({})));
    }
    let settings = Settings {
        namespace: None,
        image: "image:1".to_owned(),
        identity: "bench".to_owned(),
        ask: Arc::new(|_| Box::pin(async { Err(String::new()) })),
    };
    let operator = Operator::new(api.client(), settings);
    tokio::spawn(async move { operator.run().await });
    let last_run = |name: &str| api.get("nodecleanups", name).unwrap()["status"]["lastRun"].clone();
    let made = |name: &str| api.get("nodecleanups", name).unwrap()["status"]["conditions"].is_array();
    wait(|| (0..CLEANUPS).all(|cleanup| made(&format!("c{cleanup}")))).await;
    println!("{CLEANUPS} NodeCleanups applied with {} requests", api.take_count());
    for run in 0..RUNS {
        let name = format!("c0-{}", 1_780_000_000 + run);
        let created = format!("2026-11-{:02}T00:00:00Z", run + 1);
        let mut job = broadcast_job("c0", &name, "running", NODES);
        job["status"]["startTime"] = created.clone().into();
        api.put("broadcastjobs", job.clone());
        let begun = Instant::now();
        for node in 0..NODES {
            api.put("pods", pod("c0", &name, &format!("node-{node:05}"), &created, Some(&message(node))));
            if node % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        job["status"]["phase"] = "completed".into();
        api.put("broadcastjobs", job);
        let is_folded = |run: &Value| run["name"] == *name && run["phase"] != "Running" && run["nodes"]["active"] == 0;
        wait(|| is_folded(&last_run("c0"))).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let bytes = last_run("c0").to_string().len();
        println!(
            "run {run}: {NODES} pods in {:.1} s, {} requests, {bytes} bytes",
            begun.elapsed().as_secs_f64(),
            api.take_count()
        );
        // As the history limits of an AdvancedCronJob leave it.
        if run >= 3 {
            let old = format!("c0-{}", 1_780_000_000 + run - 3);
            api.delete("broadcastjobs", &old);
            for node in 0..NODES {
                api.delete("pods", &format!("{old}-node-{node:05}"));
            }
        }
    }
}

async fn wait(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
