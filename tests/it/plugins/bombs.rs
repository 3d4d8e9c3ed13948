//! Components of a few kilobytes, or of many small parts, that take more to compile than a machine has. Each is its own
//! plugin's failure: the good plugin beside it plans, and the memory of the process itself stays small.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use holystone_core::worker::COMPILE_MEMORY;
use holystone_tests::bombs;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::deciding;

const GOOD: &str = r#"{"repositories":["docker.io/minchou/*"],"keepLast":1}"#;
/// The memory that the limits leave the process itself, with a plugin of the usual memory limit of 64 MiB.
const OWN: u64 = (64 + 64) << 20;

/// A plan in which a bomb has its place beside a good plugin.
struct Planned {
    /// The failure of the bomb.
    failure: Value,
    steps: usize,
    /// The most memory that the process had resident, without its workers.
    peak: u64,
}

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bomb.wasm");
    std::fs::write(&path, bytes).unwrap();
    (directory, path)
}

/// Plans for a recorded node with this component and a good plugin, in this order or the other.
fn plan(bytes: &[u8], bomb_first: bool) -> Planned {
    let (_directory, path) = file(bytes);
    let (bomb, good) = ((path.as_path(), "{}"), (Path::new("builtin:unused-images"), GOOD));
    let mut command = deciding("plan", &if bomb_first { [bomb, good] } else { [good, bomb] });
    command.args(["--snapshot", "examples/snapshots/rollout-node.json", "-o", "json"]);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let peak = Peak::watch(child.id());
    let mut plan = String::new();
    child.stdout.take().unwrap().read_to_string(&mut plan).unwrap();
    let peak = peak.end();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{plan}");
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let place = usize::from(!bomb_first);
    assert_eq!(plan["plugins"][1 - place]["failure"], Value::Null);
    Planned {
        failure: plan["plugins"][place]["failure"].clone(),
        steps: plan["images"]["steps"].as_array().unwrap().len(),
        peak,
    }
}

/// Reads the high-water mark of a process again and again.
struct Peak {
    over: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Peak {
    fn watch(process: u32) -> Self {
        let (over, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, seen) = (Arc::clone(&over), Arc::clone(&bytes));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
                let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
                seen.fetch_max(mark.map_or(0, |mark| mark.parse::<u64>().unwrap() << 10), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { over, bytes, thread }
    }

    fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Checks in both orders that a bomb fails by one of these sentences, costs the process little, and keeps nothing from
/// the plugin beside it.
#[track_caller]
fn is_contained(bytes: &[u8], words: &[&str]) {
    for bomb_first in [true, false] {
        let Planned { failure, steps, peak } = plan(bytes, bomb_first);
        let message = failure["message"].as_str().unwrap();
        println!("{message}; {} MiB of its own", peak >> 20);
        assert!(words.iter().any(|words| message.starts_with(words)), "{message}");
        let reason = match message {
            message if message.starts_with(COMPILED) => "IncompatibleApi",
            message if message.starts_with(DENIED) => "CapabilityDenied",
            _ => "CompileFailed",
        };
        assert_eq!(failure["reason"], reason);
        assert_eq!(steps, 103, "the good plugin's");
        assert!(peak > 8 << 20 && peak < OWN, "{} MiB: {message}", peak >> 20);
        // What the worker had says the sentence: its limit, and the pages of the program.
        let taken = message.split_once("with ").and_then(|(_, rest)| rest.split_once(" MiB of memory in use"));
        if let Some((taken, _)) = taken {
            let whole = (taken.parse::<u64>().unwrap() << 20) + peak;
            assert!(whole < OWN + COMPILE_MEMORY, "{} MiB with its worker: {message}", whole >> 20);
        }
    }
}

/// The two limits that compiling runs into: which one comes first depends on how fast the machine is.
const MEMORY: &str = "compiling it took more than 512 MiB of memory and was stopped after ";
const TIME: &str = "compiling it took longer than 120 s and was stopped after ";
const PROCESSOR: &str = "compiling it took more than 120 s of processor time and was stopped after ";
const LIMITS: [&str; 3] = [MEMORY, TIME, PROCESSOR];
/// The words for a component that is refused for its imports.
const DENIED: &str = "it imports f0, which Holystone does not offer to plugins; ";
/// The words for a component that compiles within the limits, and is no plugin.
const COMPILED: &str = "it does not fit holystone:node@0.1.0 ";

#[test]
fn one_function_of_many_locals_and_empty_blocks() {
    let (small, large) = (bombs::blocks(20_000, 12_500), bombs::blocks(40_000, 25_000));
    assert!(small.len() < 122_000 && large.len() < 244_000, "{} {}", small.len(), large.len());
    is_contained(&small, &LIMITS);
    is_contained(&large, &LIMITS);
}

#[test]
fn adapters_of_large_tuples() {
    is_contained(&bombs::adapters(450, 1_000), &[&LIMITS[..], &[COMPILED]].concat());
}

#[test]
fn hundreds_of_thousands_of_segments() {
    let refused = "it has 300000 segments of data and tables, at most 100000 are compiled";
    is_contained(&bombs::data_segments(300_000), &[refused]);
    is_contained(&bombs::element_segments(300_000), &[refused]);
}

/// What is no code is kept by the process itself, once the worker has made of it what it may.
#[test]
fn a_million_types_or_exports() {
    for bytes in [bombs::function_types(1_000_000), bombs::exports(1_000_000), bombs::tuples(90, 10_000)] {
        is_contained(&bytes, &[&LIMITS[..], &[COMPILED, DENIED, "compiling it failed: "]].concat());
    }
}

#[test]
fn tens_of_thousands_of_small_functions() {
    is_contained(&bombs::functions(90_000), &[&LIMITS[..], &[COMPILED]].concat());
    is_contained(&bombs::functions(100_001), &["it has 100001 functions, at most 100000 are compiled"]);
}
