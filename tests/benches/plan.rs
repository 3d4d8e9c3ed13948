//! How long it takes to come to a plan, and how much memory: the binary from its start, the plugin by itself, and
//! the same decision without WebAssembly. `cargo bench -p holystone --bench plan`
//!
//! In each cell: median / minimum in milliseconds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark fails by panicking")]

mod binary;
mod measure;
mod native;
mod node;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use holystone_core::guard::images::{ImageGuard, Images};
use holystone_core::guard::{GuardRails, Plan};
use holystone_core::proposal::Proposal;
use holystone_core::snapshot::Snapshot;
use holystone_core::usage::Usage;
use holystone_node::{Faults, SimulatedNode};
use holystone_runtime::{Capability, Engine, Limits, Plugin, View, Worker};
use tokio::runtime::Runtime;

use binary::Planner;
use measure::{Memory, Times, goal, milliseconds, row, table};
use native::Records;
use node::CONFIG;

/// Nodes of so many images.
const SIZES: [usize; 3] = [125, 1_000, 10_000];
/// How often the binary is started, and how often the library is called.
const STARTS: usize = 20;
const CALLS: usize = 40;
/// A config under which the plugin gets every record and chooses none.
const NOTHING: &str = r#"{"repositories":["nothing.example/at-all"],"keepLast":1}"#;

/// What one size came to.
struct Figures {
    images: usize,
    wishes: usize,
    process: Process,
    memory: Option<Memory>,
    inside: Inside,
}

/// The binary from its start to its end.
struct Process {
    cold: Times,
    file: Times,
    socket: Times,
}

/// The library in this process, on a warm engine.
#[derive(Default)]
struct Inside {
    whole: Times,
    whole_native: Times,
    /// The guard rails' preparation: who uses which image.
    usage: Times,
    view: Times,
    records: Times,
    propose: Times,
    propose_native: Times,
    /// Two instances (one checks the config, one plans) on a node without images.
    empty: Times,
    /// As `propose`, but nothing matches.
    nothing: Times,
    review: Times,
}

fn main() {
    let runtime = Runtime::new().unwrap();
    let plugin = plugin(&runtime);
    let figures: Vec<Figures> = SIZES.iter().map(|size| figures(*size, &plugin, &runtime)).collect();
    print(&figures);
}

fn figures(images: usize, plugin: &Plugin, runtime: &Runtime) -> Figures {
    let snapshot = node::snapshot(images);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("snapshot.json");
    std::fs::write(&file, serde_json::to_vec(&snapshot).unwrap()).unwrap();
    let planner = Planner::new(&directory.path().join("cache"), CONFIG);
    let from_file = [Path::new("--snapshot"), &file];
    let mut process = Process { cold: Times::default(), file: Times::default(), socket: Times::default() };
    process.cold.add(planner.run(&from_file));

    let socket = directory.path().join("cri.sock");
    let simulated = {
        let _inside = runtime.enter();
        SimulatedNode::start(&socket, snapshot.clone(), Faults::default()).unwrap()
    };
    let from_socket = [Path::new("--endpoint"), &socket];
    for _ in 0..STARTS {
        process.file.add(planner.run(&from_file));
        process.socket.add(planner.run(&from_socket));
    }
    let memory = planner.memory(&from_socket);
    drop(simulated);
    let (inside, wishes) = inside(&snapshot, plugin, runtime);
    Figures { images, wishes, process, memory, inside }
}

/// Measures the parts by turns, so that what else the machine does hits them alike.
fn inside(snapshot: &Snapshot, plugin: &Plugin, runtime: &Runtime) -> (Inside, usize) {
    let rails = GuardRails::default();
    let guard = ImageGuard::new(snapshot, &rails);
    let (view, records) = (Arc::new(View::of(snapshot, guard.usage())), Records::of(snapshot, guard.usage()));
    let empty = Snapshot { images: Vec::new(), ..snapshot.clone() };
    let empty = Arc::new(View::of(&empty, &Usage::of(&empty)));
    let propose = |view: &Arc<View>, config| runtime.block_on(plugin.propose(view, config)).unwrap().proposal;
    let proposal = propose(&view, CONFIG);
    assert_eq!(proposal.wishes, records.propose(CONFIG).wishes, "both decide the same");

    let mut times = Inside::default();
    for _ in 0..CALLS {
        times.whole.time(|| plan(snapshot, |usage| propose(&Arc::new(View::of(snapshot, usage)), CONFIG)));
        times.whole_native.time(|| plan(snapshot, |usage| Records::of(snapshot, usage).propose(CONFIG)));
        times.usage.time(|| ImageGuard::new(snapshot, &rails));
        times.view.time(|| View::of(snapshot, guard.usage()));
        times.records.time(|| Records::of(snapshot, guard.usage()));
        times.propose.time(|| propose(&view, CONFIG));
        times.propose_native.time(|| records.propose(CONFIG));
        times.empty.time(|| propose(&empty, CONFIG));
        times.nothing.time(|| propose(&view, NOTHING));
        let mine = vec![proposal.clone()];
        times.review.time(|| guard.review(mine.into_iter().map(Into::into).collect()));
    }
    (times, proposal.wishes.len())
}

/// What the binary does from a snapshot to a plan, with something in the plugin's place.
fn plan(snapshot: &Snapshot, propose: impl FnOnce(&Usage<'_>) -> Proposal) -> Plan<Images> {
    let rails = GuardRails::default();
    let guard = ImageGuard::new(snapshot, &rails);
    guard.review(vec![propose(guard.usage()).into()])
}

/// The shipped plugin, compiled and linked.
fn plugin(runtime: &Runtime) -> Plugin {
    let path = component();
    let bytes =
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: build holystone first", path.display()));
    let engine = Engine::new(None, Worker::at(env!("CARGO_BIN_EXE_holystone"))).unwrap();
    let grants = [Capability::Images, Capability::Containers, Capability::Pods].into_iter().collect();
    runtime.block_on(Plugin::load(&engine, "unused-images", bytes, &grants, Limits::default())).unwrap()
}

/// Where the build of the binary leaves the component: in the folder of plugins beside the profile's folder.
fn component() -> PathBuf {
    let profile = Path::new(env!("CARGO_BIN_EXE_holystone")).parent().unwrap();
    let built = |target: &Path| target.join("plugins/wasm32-wasip2/plugin/unused_images.wasm");
    // With --target there is a folder more.
    let candidates = profile.ancestors().skip(1).take(2).map(built);
    candidates.clone().find(|path| path.is_file()).or_else(|| candidates.last()).unwrap()
}

fn print(figures: &[Figures]) {
    print_process(figures);
    print_inside(figures);
    print_parts(figures);
    println!("\nGoals");
    let [few, .., many] = figures else { panic!("there are several sizes") };
    let peak = many.memory.map_or(f64::NAN, |memory| memory.peak);
    let ratio = many.inside.whole.median() / many.inside.whole_native.median();
    goal("start to plan, 125 images on a node, warm cache", few.process.socket.median(), 25.0, "ms");
    goal("plan for 10 000 images against native", ratio, 2.5, "times");
    goal("peak memory, 10 000 images on a node", peak, 40.0, "MiB");
}

fn print_process(figures: &[Figures]) {
    let mut rows = vec![row(["images", "cold cache", "recorded node", "node", "peak, MiB", "own / file, MiB"])];
    rows.extend(figures.iter().map(|one| {
        vec![
            one.images.to_string(),
            milliseconds(one.process.cold.median()),
            one.process.file.both(),
            one.process.socket.both(),
            one.memory.map_or_else(String::new, |memory| format!("{:.1}", memory.peak)),
            one.memory.map_or_else(String::new, |memory| format!("{:.1} / {:.1}", memory.own, memory.file)),
        ]
    }));
    table("From the start of `holystone plan` to its end, ms; peak memory on a node", &rows);
}

fn print_inside(figures: &[Figures]) {
    let mut rows =
        vec![row(["images", "wishes", "plan", "plan, native", "ratio", "plugin", "plugin, native", "ratio"])];
    rows.extend(figures.iter().map(|Figures { images, wishes, inside, .. }| {
        vec![
            images.to_string(),
            wishes.to_string(),
            inside.whole.both(),
            inside.whole_native.both(),
            format!("{:.2}", inside.whole.median() / inside.whole_native.median()),
            inside.propose.both(),
            inside.propose_native.both(),
            format!("{:.2}", inside.propose.median() / inside.propose_native.median()),
        ]
    }));
    table("From a snapshot to a reviewed plan, and the plugin's part of it, ms", &rows);
}

fn print_parts(figures: &[Figures]) {
    let mut rows =
        vec![row(["images", "usage", "view", "view, native", "2 instances", "records", "deciding", "review"])];
    rows.extend(figures.iter().map(|Figures { images, inside, .. }| {
        let between = |more: &Times, less: &Times| milliseconds((more.median() - less.median()).max(0.0));
        vec![
            images.to_string(),
            inside.usage.both(),
            inside.view.both(),
            inside.records.both(),
            inside.empty.both(),
            between(&inside.nothing, &inside.empty),
            between(&inside.propose, &inside.nothing),
            inside.review.both(),
        ]
    }));
    table("Where it goes, ms", &rows);
}
