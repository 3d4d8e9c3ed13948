//! How exactly the limits of plugins hold: time, under load, and memory, of the whole process.
//! `cargo bench -p holystone --bench limits`
//!
//! **Time** is that of the whole call, from before the plugin is asked until its error is there, in this process and on
//! the runtime that the binary has (two worker threads). Loading is not in it: it is over before a plugin is asked.
//! Twice as many threads as there are processors are kept busy meanwhile.
//!
//! **Memory** is the most that was resident at any time in the binary as a process, by the kernel's own high-water mark,
//! when it plans for a node of a thousand images with the plugin that fills its memory, and the shipped one after it.
//!
//! **Compiling** is that of components made to take much: until the plan is there, in which the shipped plugin has
//! planned and the other is a failure; the memory of the binary, and by its own sentence that of the worker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark fails by panicking")]

mod binary;
mod measure;
mod node;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use holystone_core::snapshot::Snapshot;
use holystone_core::usage::Usage;
use holystone_runtime::{Capability, Engine, Limits, Plugin, Reason, View, Worker};
use holystone_tests::{bombs, guest, misbehave};
use serde_json::Value;
use tokio::runtime::Runtime;

use measure::{Memory, Times, goal, milliseconds, row, table};

const NODE: &[u8] = include_bytes!("../../examples/snapshots/rollout-node.json");

/// Time limits, and how often each is run into.
const TIMEOUTS: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(1)];
const CALLS: usize = 10;

/// Memory limits, in MiB.
const MEMORIES: [u16; 2] = [64, 256];
/// What the process may take beyond the plugin's limit, in MiB.
const OWN: f64 = 64.0;

/// The limit of compiling, in MiB.
#[expect(clippy::cast_precision_loss, reason = "it is small")]
const COMPILE: f64 = (holystone_core::worker::COMPILE_MEMORY >> 20) as f64;

/// A plugin that runs into a limit.
struct Case {
    name: &'static str,
    plugin: PathBuf,
    config: &'static str,
}

fn case(name: &'static str, plugin: PathBuf, config: &'static str) -> Case {
    Case { name, plugin, config }
}

fn main() -> ExitCode {
    let times = times();
    let peaks = peaks();
    let (own, whole) = compiling();
    println!("\nGoals");
    let mut met = true;
    for (timeout, worst) in times {
        let limit = timeout.as_secs_f64() * 1e3 * 1.2 + 100.0;
        met &= goal(&format!("worst end of a call of {timeout:?}, under load"), worst, limit, "ms");
    }
    for (memory, worst) in peaks {
        let limit = f64::from(memory) + OWN;
        met &= goal(&format!("peak memory with a plugin of {memory} MiB"), worst, limit, "MiB");
    }
    met &= goal("peak memory while a bomb is compiled", own, f64::from(MEMORIES[0]) + OWN, "MiB");
    let limit = f64::from(MEMORIES[0]) + OWN + COMPILE;
    met &= goal("peak memory while a bomb is compiled, with the worker", whole, limit, "MiB");
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The worst time for each limit.
fn times() -> Vec<(Duration, f64)> {
    let cases = [
        case("loop in plan", misbehave().to_owned(), r#"{"do":"loop"}"#),
        case("loop in validate", misbehave().to_owned(), r#"{"do":"validate-loop"}"#),
        case("loop in start-up", guest("start-loop"), "{}"),
        case("small host calls", misbehave().to_owned(), r#"{"do":"loop-in-host"}"#),
        case("large host calls", misbehave().to_owned(), r#"{"do":"loop-listing"}"#),
        case("printing", misbehave().to_owned(), r#"{"do":"loop-printing"}"#),
        case("sleep", misbehave().to_owned(), r#"{"do":"sleep"}"#),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let engine = Engine::new(None, Worker::at(env!("CARGO_BIN_EXE_holystone"))).unwrap();
    let snapshot = Snapshot::from_json(NODE).unwrap();
    let view = Arc::new(View::of(&snapshot, &Usage::of(&snapshot)));
    let load = Load::start();
    let mut rows = vec![row(["limit, ms", "what it does", "median / minimum, ms", "worst, ms"])];
    let mut worsts = Vec::new();
    for timeout in TIMEOUTS {
        let mut worst = 0.0_f64;
        for case in &cases {
            let times = time_out(case, timeout, &engine, &view, &runtime);
            worst = worst.max(times.max());
            let limit = milliseconds(timeout.as_secs_f64() * 1e3);
            rows.push(vec![limit, case.name.to_owned(), times.both(), milliseconds(times.max())]);
        }
        worsts.push((timeout, worst));
    }
    load.stop();
    table("From the call of a plugin that does not end to its error, under load", &rows);
    worsts
}

fn time_out(case: &Case, timeout: Duration, engine: &Engine, view: &Arc<View>, runtime: &Runtime) -> Times {
    let limits = Limits { timeout, ..Limits::default() };
    let bytes = std::fs::read(&case.plugin).unwrap();
    let grants = Capability::ALL.into_iter().collect();
    let plugin = runtime.block_on(Plugin::load(engine, case.name, bytes, &grants, limits)).unwrap();
    let mut times = Times::default();
    for _ in 0..CALLS {
        let error = times.time(|| runtime.block_on(plugin.propose(view, case.config))).unwrap_err();
        assert_eq!(error.reason, Reason::Timeout, "{error}");
    }
    times
}

/// The worst peak for each limit, in MiB.
fn peaks() -> Vec<(u16, f64)> {
    let cases = [
        (case("one memory", misbehave().to_owned(), r#"{"do":"allocate"}"#), 1),
        (case("several memories", guest("several-memories"), "{}"), 1),
        (case("a table", guest("growing-table"), "{}"), 1),
        (case("62 MiB and a full plan", guest("full-plan"), "{}"), 0),
        (case("62 MiB and many attributes", guest("attributes"), "{}"), 0),
    ];
    let directory = tempfile::tempdir().unwrap();
    let node = directory.path().join("node.json");
    std::fs::write(&node, serde_json::to_vec(&node::snapshot(1_000)).unwrap()).unwrap();
    let mut rows = vec![row(["limit, MiB", "what it fills", "peak, MiB", "above the limit, MiB"])];
    let mut worsts = Vec::new();
    for limit in MEMORIES {
        let mut worst = 0.0_f64;
        for (case, code) in &cases {
            let memory = binary::memory(&mut planning(case, limit, &node, directory.path()), *code);
            let peak = memory.map_or(f64::NAN, |memory| memory.peak);
            worst = worst.max(peak);
            let above = format!("{:.1}", peak - f64::from(limit));
            rows.push(vec![limit.to_string(), case.name.to_owned(), format!("{peak:.1}"), above]);
        }
        worsts.push((limit, worst));
    }
    table("Peak memory of `holystone plan` with a plugin that fills its memory", &rows);
    worsts
}

/// The bomb, and the shipped plugin after it, for there to be something to print.
fn planning(case: &Case, limit: u16, node: &Path, cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holystone"));
    command.args(["plan", "-o", "json", "--memory", &format!("{limit}Mi"), "--allow", "images,logs,log-content"]);
    command.arg("--snapshot").arg(node).arg("--cache-dir").arg(cache.join("cache"));
    command.arg("--plugin").arg(&case.plugin).args(["--config", case.config]);
    command.args(["--plugin", "builtin:unused-images", "--config", node::CONFIG]).stderr(Stdio::null());
    command
}

/// The worst peaks of the binary and of the binary with its worker, in MiB.
fn compiling() -> (f64, f64) {
    let directory = tempfile::tempdir().unwrap();
    let node = directory.path().join("node.json");
    std::fs::write(&node, serde_json::to_vec(&node::snapshot(1_000)).unwrap()).unwrap();
    let mut rows = vec![row(["bomb", "KiB", "time, s", "peak, MiB", "worker, MiB", "what is said"])];
    let mut worsts = (0.0_f64, 0.0_f64);
    for (name, bytes) in bombs::all() {
        let plugin = directory.path().join("bomb.wasm");
        std::fs::write(&plugin, &bytes).unwrap();
        let exploded = explode(&mut planning(&case(name, plugin, "{}"), MEMORIES[0], &node, directory.path()));
        worsts = (worsts.0.max(exploded.own), worsts.1.max(exploded.own + exploded.worker));
        rows.push(vec![
            name.to_owned(),
            (bytes.len() >> 10).to_string(),
            format!("{:.1}", exploded.time.as_secs_f64()),
            format!("{:.1}", exploded.own),
            format!("{:.0}", exploded.worker),
            exploded.message,
        ]);
    }
    table("Compiling what is made to take much", &rows);
    worsts
}

/// The cost of a bomb.
struct Exploded {
    time: Duration,
    own: f64,
    worker: f64,
    message: String,
}

fn explode(command: &mut Command) -> Exploded {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let (id, over) = (child.id(), Arc::new(AtomicBool::new(false)));
    let until = Arc::clone(&over);
    let watch = std::thread::spawn(move || {
        let mut peak = 0.0_f64;
        while !until.load(Ordering::Relaxed) {
            peak = Memory::of(id).map_or(peak, |memory| peak.max(memory.peak));
            std::thread::sleep(Duration::from_millis(2));
        }
        peak
    });
    let mut plan = String::new();
    child.stdout.take().unwrap().read_to_string(&mut plan).unwrap();
    let time = started.elapsed();
    over.store(true, Ordering::Relaxed);
    let own = watch.join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{plan}");
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let message = plan["plugins"][0]["failure"]["message"].as_str().unwrap().to_owned();
    let worker = message.split_once(", with ").and_then(|(_, rest)| rest.split_once(" MiB")?.0.parse().ok());
    Exploded { time, own, worker: worker.unwrap_or(0.0), message }
}

/// Threads that do nothing but keep processors busy.
struct Load {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let count = 2 * std::thread::available_parallelism().unwrap().get();
        let threads = (0..count).map(|_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        });
        Self { threads: threads.collect(), over }
    }

    fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
