//! How exactly a run keeps its time limit: `cargo bench -p holystone --bench time_limit`.
//!
//! The real binary on a simulated node that hangs, at each stage of a run, with both processors busy and without. The
//! goal is 1.2 times the limit and 100 ms, from the start of the process to its end.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod measure;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holystone_core::snapshot::Snapshot;
use holystone_node::simulated::Method;
use holystone_node::{Faults, SimulatedNode};

use measure::{Times, goal, milliseconds, row, table};

const NODE: &[u8] = include_bytes!("../../examples/snapshots/rollout-node.json");
const CONFIG: &str = r#"{"repositories":["docker.io/minchou/*"],"keepLast":1}"#;
const LIMITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(3)];
const RUNS: usize = 3;

/// Keeps threads busy until it is dropped.
struct Load(Arc<AtomicBool>);

impl Load {
    fn start(threads: usize) -> Self {
        let on = Arc::new(AtomicBool::new(true));
        for _ in 0..threads {
            let on = Arc::clone(&on);
            std::thread::spawn(move || {
                while on.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(on)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What hangs.
fn stages() -> [(&'static str, Faults); 5] {
    let old = Snapshot::from_json(NODE).unwrap().images.into_iter();
    let old = old.filter(|image| image.repo_tags.iter().any(|tag| tag.contains("rollout:v1.0."))).map(|image| image.id);
    let hanging = old.fold(Faults::none(), |faults, id| faults.hanging(id.as_str()));
    [
        ("the first look", Faults::none().hang(Method::ListImages, 1)),
        ("the second look", Faults::none().hang(Method::ListContainers, 2)),
        ("removals", hanging.clone()),
        (
            "removals, then the last look and the figures",
            hanging.hang(Method::ListImages, 5).hang(Method::ImageFsInfo, 2),
        ),
        ("nothing, but every call is slow", slow()),
    ]
}

fn slow() -> Faults {
    let methods = [Method::ListImages, Method::ListContainers, Method::ListPodSandbox, Method::RemoveImage];
    methods.into_iter().fold(Faults::none(), |faults, method| faults.latency(method, Duration::from_millis(120)))
}

/// How long a run takes from one end to the other.
fn run(faults: Faults, limit: Duration, cache: &std::path::Path) -> Duration {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = Snapshot::from_json(NODE).unwrap();
    let node = SimulatedNode::start(&directory.path().join("cri.sock"), snapshot, faults).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holystone"));
    command.args(["run", "--plugin", "builtin:unused-images", "--config", CONFIG, "--min-age", "0s"]);
    command.args(["--concurrency", "8", "--time-limit", &format!("{}ms", limit.as_millis()), "--cache-dir"]).arg(cache);
    command.args(["--endpoint", &node.endpoint().to_string(), "--state-dir"]).arg(directory.path().join("state"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    command.status().unwrap();
    start.elapsed()
}

#[tokio::main]
async fn main() {
    let cache = tempfile::tempdir().unwrap();
    // Compiles the plugin.
    run(Faults::none(), Duration::from_mins(1), cache.path());
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    for (title, busy) in [("on a quiet machine", 0), ("with every processor busy twice", 2 * processors)] {
        let load = Load::start(busy);
        let mut rows = vec![row(["what hangs", "limit, ms", "run, ms, median / min", "of what is allowed, at worst"])];
        let mut worst: f64 = 0.0;
        for (stage, faults) in stages() {
            for limit in LIMITS {
                let (mut times, mut over): (Times, f64) = (Times::default(), 0.0);
                let allowed = limit.as_secs_f64() * 1.2 + 0.1;
                for _ in 0..RUNS {
                    let took = run(faults.clone(), limit, cache.path());
                    over = over.max(took.as_secs_f64() / allowed);
                    times.add(took);
                }
                worst = worst.max(over);
                let share = format!("{over:.2}");
                rows.push(row([stage, &milliseconds(limit.as_secs_f64() * 1e3), &times.both(), &share]));
            }
        }
        drop(load);
        table(title, &rows);
        goal("a run with a time limit, against 1.2 times the limit and 100 ms", worst, 1.0, "times");
    }
}
