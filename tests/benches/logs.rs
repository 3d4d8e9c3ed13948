//! How long it takes to walk a million files, through a plugin and without, and to remove old ones, beside `find` and
//! `systemd-tmpfiles` doing the same. `cargo bench -p holystone --bench logs`
//!
//! Every walk is a process of its own, so that its memory is its own. Arguments, after `--`:
//! - `--files N`: how many files to walk, in place of a million
//! - `--rounds N`: how often to measure each, in place of 3
//! - `--parent DIR`: where to make them, in place of the directory for temporary files

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark fails by panicking")]

mod log_source;
mod measure;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use holystone_core::guard::logs::{LogGuard, LogRails, LogTarget};
use holystone_core::logs::WalkOptions;
use holystone_core::proposal::{Proposal, Target};
use holystone_core::snapshot::Snapshot;
use holystone_core::usage::Usage;
use holystone_node::{LogAttempt, LogLimits, LogRoots, Processes, RootSpec};
use holystone_runtime::{Capability, Engine, Limits, Plugin, View};
use jiff::{SignedDuration, Timestamp};
use log_source::{NodeLogs, component};
use measure::{Times, goal, row, table};

/// What `find` prints of a file: as much as a plugin gets.
const FIND: &str = "%P\\t%y\\t%s\\t%b\\t%T@\\t%C@\\t%n\\n";
/// A policy that looks at every file and takes none.
const NOTHING: &str = r#"{"rules":[{"files":["**"],"maxAge":"3650d"}]}"#;
/// A policy that has to compare all files with each other, and takes none.
const COMPARE: &str = r#"{"rules":[{"files":["**"],"maxTotalSize":"900Ti","keepNewest":10}]}"#;
/// The policy of the clean-up.
const OLD: &str = r#"{"rules":[{"files":["**"],"maxAge":"7d"}]}"#;
/// How many files the clean-up has, every second of them old: as many as one plan takes.
const CLEANED: usize = 40_000;

struct Arguments {
    files: usize,
    rounds: usize,
    parent: PathBuf,
}

/// What one process came to.
struct Ran {
    time: Duration,
    /// The most that was resident, in MiB.
    peak: f64,
    entries: usize,
}

#[derive(Default)]
struct Figures {
    times: Times,
    peak: f64,
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match given.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--one", what, root, cache] => one(what, Path::new(root), Path::new(cache)),
        _ => all(&arguments(&given)),
    }
}

fn arguments(given: &[String]) -> Arguments {
    let mut arguments = Arguments { files: 1_000_000, rounds: 3, parent: std::env::temp_dir() };
    for pair in given.chunks(2) {
        match pair {
            [name, value] if name == "--files" => arguments.files = value.parse().expect("a number of files"),
            [name, value] if name == "--rounds" => arguments.rounds = value.parse().expect("a number of rounds"),
            [name, value] if name == "--parent" => arguments.parent = PathBuf::from(value),
            other => panic!("{other:?} is no argument"),
        }
    }
    arguments
}

fn all(arguments: &Arguments) {
    let cache = tempfile::tempdir().unwrap();
    let mut goals = Vec::new();
    for (name, per_directory) in [("a thousand in each directory", 1_000), ("all in one directory", arguments.files)] {
        let tree = tempfile::tempdir_in(&arguments.parent).unwrap();
        make(tree.path(), arguments.files, per_directory, |_| None);
        let figures = walks(tree.path(), cache.path(), arguments.rounds);
        print_walks(&format!("{} files, {name}", arguments.files), &figures);
        let more = figures[2].1.times.median() - figures[1].1.times.median();
        let peak = figures.iter().skip(2).map(|(_, figures)| figures.peak).fold(0.0, f64::max);
        goals.push((name, more / 1e3, peak));
    }
    clean_up(arguments, cache.path());
    println!("\nGoals");
    for (name, more, peak) in goals {
        goal(&format!("time of a plugin more than a native walk takes, {name}"), more, 5.0, "s");
        goal(&format!("peak memory, {name}"), peak, 128.0, "MiB");
    }
}

/// Makes empty files, with the time that each is to have.
fn make(root: &Path, files: usize, per_directory: usize, time: impl Fn(usize) -> Option<SystemTime>) {
    for first in (0..files).step_by(per_directory) {
        let directory = if per_directory == files { root.to_owned() } else { root.join(format!("pod-{first:07}")) };
        fs::create_dir_all(&directory).unwrap();
        for number in first..(first + per_directory).min(files) {
            let file = File::create(directory.join(format!("app-{number:07}.log"))).unwrap();
            if let Some(time) = time(number) {
                file.set_modified(time).unwrap();
            }
        }
    }
}

/// Walks by turns, so that what else the machine does hits them alike.
fn walks(root: &Path, cache: &Path, rounds: usize) -> Vec<(&'static str, Figures)> {
    let names = ["find", "native walk", "plugin, by age", "plugin, comparing all"];
    let mut figures: Vec<(&str, Figures)> = names.map(|name| (name, Figures::default())).into();
    // The first round warms the kernel's caches and ours.
    for round in 0..=rounds {
        let ran = [find(root), child("native", root, cache), child("age", root, cache), child("compare", root, cache)];
        assert!(ran.iter().all(|one| one.entries == ran[1].entries), "all see the same");
        for ((_, figures), one) in figures.iter_mut().zip(ran).filter(|_| round > 0) {
            figures.times.add(one.time);
            figures.peak = figures.peak.max(one.peak);
        }
    }
    figures
}

fn print_walks(title: &str, figures: &[(&str, Figures)]) {
    let mut rows = vec![row(["", "median / minimum, ms", "peak memory, MiB"])];
    rows.extend(
        figures
            .iter()
            .map(|(name, figures)| vec![(*name).to_owned(), figures.times.both(), format!("{:.1}", figures.peak)]),
    );
    table(title, &rows);
}

/// As a process that prints what it sees, in no order.
fn find(root: &Path) -> Ran {
    let start = Instant::now();
    let mut child = Command::new("find")
        .arg(root)
        .args(["-mindepth", "1", "-type", "f", "-printf", FIND])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::with_capacity(1 << 16, child.stdout.take().unwrap());
    let (mut entries, mut peak) = (0, 0.0_f64);
    let mut line = Vec::new();
    while std::io::BufRead::read_until(&mut output, b'\n', &mut line).unwrap() > 0 {
        entries += 1;
        line.clear();
        if entries % 50_000 == 0 {
            peak = peak.max(high_water_mark(&format!("/proc/{}/status", child.id())));
        }
    }
    assert!(child.wait().unwrap().success());
    Ran { time: start.elapsed(), peak, entries }
}

/// This program once more, doing one thing.
fn child(what: &str, root: &Path, cache: &Path) -> Ran {
    let start = Instant::now();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--one", what])
        .args([root, cache])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let time = start.elapsed();
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let [entries, peak] = numbers[..] else { panic!("{what}: {text}") };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a count")]
    Ran { time, peak, entries: entries as usize }
}

fn one(what: &str, root: &Path, cache: &Path) {
    let logs = open(root);
    let entries = match what {
        "native" => native(&logs),
        "age" => propose(&logs, cache, NOTHING).1,
        "compare" => propose(&logs, cache, COMPARE).1,
        other => panic!("{other} is nothing to do"),
    };
    println!("{entries} {}", high_water_mark("/proc/self/status"));
}

fn open(root: &Path) -> Arc<NodeLogs> {
    let spec = RootSpec::new("app", root.canonicalize().unwrap());
    let roots = LogRoots::open(&[spec], LogLimits::default(), None).unwrap();
    let open_files = Arc::new(roots.open_files(&Processes::default()));
    Arc::new(NodeLogs { roots, open_files, walked: Arc::default() })
}

/// What the plugin's walk is held against: the same walk, without a plugin.
fn native(logs: &NodeLogs) -> usize {
    let options = WalkOptions { kinds: vec![holystone_core::logs::FileKind::File], ..WalkOptions::default() };
    let mut walk = logs.roots.walk("app", options, &logs.open_files).unwrap();
    let mut entries = 0;
    loop {
        let batch = walk.next(1_000).unwrap();
        entries += batch.entries.len();
        if batch.is_over {
            return entries;
        }
    }
}

/// Asks the plugin, and counts what it was shown.
fn propose(logs: &Arc<NodeLogs>, cache: &Path, config: &str) -> (Proposal, usize) {
    let engine = Engine::new(Some(cache)).unwrap();
    let grants = [Capability::Logs].into_iter().collect();
    let limits = Limits { timeout: Duration::from_mins(5), ..Limits::default() };
    let bytes = fs::read(component("log_retention.wasm")).unwrap();
    let plugin = Plugin::load(&engine, "log-retention", &bytes, &grants, limits).unwrap();
    let snapshot = snapshot();
    let source: Arc<NodeLogs> = Arc::clone(logs);
    let view = Arc::new(View::of(&snapshot, &Usage::of(&snapshot)).with_logs(source));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let proposal = runtime.block_on(plugin.propose(&view, config)).unwrap();
    (proposal, logs.walked.load(std::sync::atomic::Ordering::Relaxed))
}

fn snapshot() -> Snapshot {
    let recorded = include_bytes!("../../examples/snapshots/rollout-node.json");
    Snapshot { taken_at: Timestamp::now() + SignedDuration::from_secs(1), ..Snapshot::from_json(recorded).unwrap() }
}

/// The most that a process has had resident, in MiB.
fn high_water_mark(status: &str) -> f64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .map_or(0.0, |kilobytes| kilobytes / 1024.0)
}

/// Removes every second of some files, each time of a fresh tree.
fn clean_up(arguments: &Arguments, cache: &Path) {
    let mut figures: Vec<(&str, Times)> = Vec::new();
    let tools: [(&str, fn(&Path, &Path)); 3] =
        [("holystone", sweep), ("find -delete", find_delete), ("systemd-tmpfiles", tmpfiles)];
    for (name, clean) in tools {
        if name == "systemd-tmpfiles" && Command::new(name).arg("--version").output().is_err() {
            println!("\nsystemd-tmpfiles is not here");
            continue;
        }
        let mut times = Times::default();
        for _ in 0..arguments.rounds {
            let tree = tempfile::tempdir_in(&arguments.parent).unwrap();
            let old = SystemTime::now() - Duration::from_hours(24 * 10);
            make(tree.path(), CLEANED, 1_000, |number| (number % 2 == 0).then_some(old));
            times.time(|| clean(tree.path(), cache));
            let left = native(&open(tree.path()));
            assert_eq!(left, CLEANED / 2, "{name} leaves what is young");
        }
        figures.push((name, times));
    }
    let mut rows = vec![row(["", "median / minimum, ms"])];
    rows.extend(figures.iter().map(|(name, times)| vec![(*name).to_owned(), times.both()]));
    table(&format!("Removing {} of {CLEANED} files by their age", CLEANED / 2), &rows);
}

/// Everything that a run does about log files: open them, ask the plugin, judge, look again, remove.
fn sweep(root: &Path, cache: &Path) {
    let logs = open(root);
    let (proposal, _) = propose(&logs, cache, OLD);
    let snapshot = snapshot();
    let rails = LogRails { unknown_open_age: SignedDuration::ZERO, ..LogRails::default() };
    let guard = LogGuard::new(rails, snapshot.taken_at, Some(&snapshot));
    let look = |target: &LogTarget| logs.roots.look(target, &logs.open_files);
    for wish in &proposal.wishes {
        assert!(matches!(wish.target, Target::LogFile(_)));
        let step = guard.judge("log-retention", wish, look(&LogTarget::of(wish).unwrap())).unwrap();
        let clearance = guard.clear(&step, look(step.target())).unwrap();
        assert!(matches!(logs.roots.perform(clearance), LogAttempt::Done(_)));
    }
}

fn find_delete(root: &Path, _: &Path) {
    let status = Command::new("find").arg(root).args(["-type", "f", "-mtime", "+7", "-delete"]).status().unwrap();
    assert!(status.success());
}

fn tmpfiles(root: &Path, _: &Path) {
    let rules = tempfile::NamedTempFile::new().unwrap();
    fs::write(rules.path(), format!("e {} - - - m:7d\n", root.display())).unwrap();
    let status = Command::new("systemd-tmpfiles").arg("--clean").arg(rules.path()).status().unwrap();
    assert!(status.success());
}
