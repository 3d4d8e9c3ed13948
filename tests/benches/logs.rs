//! How long it takes to walk a million files, through a plugin and without, and to remove old ones, beside `find` and
//! `systemd-tmpfiles` doing the same. `cargo bench -p holystone --bench logs`
//!
//! The native walk is this program once more, so that its memory is its own; through plugins walks the binary as users
//! run it. Arguments, after `--`:
//! - `--files N`: how many files to walk, in place of a million
//! - `--rounds N`: how often to measure each, in place of 3
//! - `--parent DIR`: where to make them, in place of the directory for temporary files

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark fails by panicking")]

mod measure;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use holystone_core::logs::{FileKind, WalkOptions};
use holystone_node::{LogRoots, Processes, RootSpec, WalkLimits};
use measure::{Times, goal, row, table};

/// What `find` prints of a file: as much as a plugin gets.
const FIND: &str = "%P\\t%y\\t%s\\t%b\\t%T@\\t%C@\\t%n\\n";
/// A policy that looks at every file and takes the one that is old: the last of the walk, to see that it came there.
const OLD: &str = r#"{"rules":[{"files":["**"],"maxAge":"7d"}]}"#;
/// A policy that has to compare all files with each other, and takes the same.
const COMPARE: &str =
    r#"{"rules":[{"files":["**"],"maxTotalSize":"900Ti","keepNewest":10},{"files":["**"],"maxAge":"7d"}]}"#;
/// How many files the clean-up has, every second of them old. One plan of the plugin has as many as that.
const CLEANED: usize = 40_000;
/// How old the old ones are.
const AGE: Duration = Duration::from_hours(24 * 10);

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
        ["--native", root] => println!("{} {}", native(Path::new(root)), high_water_mark("/proc/self/status")),
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
        let last = arguments.files - 1;
        make(tree.path(), arguments.files, per_directory, |number| number == last);
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

/// Makes empty files, some of them old.
fn make(root: &Path, files: usize, per_directory: usize, is_old: impl Fn(usize) -> bool) {
    let old = SystemTime::now() - AGE;
    for first in (0..files).step_by(per_directory) {
        let directory = if per_directory == files { root.to_owned() } else { root.join(format!("pod-{first:07}")) };
        fs::create_dir_all(&directory).unwrap();
        for number in first..(first + per_directory).min(files) {
            let file = File::create(directory.join(format!("app-{number:07}.log"))).unwrap();
            if is_old(number) {
                file.set_modified(old).unwrap();
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
        let ran = [find(root), child(root), plan(OLD, root, cache), plan(COMPARE, root, cache)];
        assert_eq!(ran[0].entries, ran[1].entries, "both see the same");
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

/// This program once more, doing a native walk.
fn child(root: &Path) -> Ran {
    let start = Instant::now();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.arg("--native").arg(root).stderr(Stdio::inherit()).output().unwrap();
    let time = start.elapsed();
    let text = String::from_utf8(output.stdout).unwrap();
    let (entries, peak) = text.trim().split_once(' ').unwrap();
    Ran { time, peak: peak.parse().unwrap(), entries: entries.parse().unwrap() }
}

fn native(root: &Path) -> usize {
    let spec = RootSpec::new("app", root.canonicalize().unwrap());
    let roots = LogRoots::open(&[spec], WalkLimits::default(), None).unwrap();
    let open_files = Arc::new(roots.open_files(&Processes::default()));
    let options = WalkOptions { kinds: vec![FileKind::File], ..WalkOptions::default() };
    let mut walk = roots.walk("app", options, &open_files).unwrap();
    let mut entries = 0;
    loop {
        let batch = walk.next(1_000).unwrap();
        entries += batch.entries.len();
        if batch.is_over {
            return entries;
        }
    }
}

/// The binary, planning, as a process of which the memory is looked at all the time.
fn plan(config: &str, root: &Path, cache: &Path) -> Ran {
    let start = Instant::now();
    let mut command = holystone("plan", config, root, cache);
    let child = command.args(["--state-dir", "/nonexistent"]).stdout(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let waiting = std::thread::spawn(move || child.wait_with_output().unwrap());
    let mut peak = 0.0_f64;
    while !waiting.is_finished() {
        peak = peak.max(high_water_mark(&status));
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = waiting.join().unwrap();
    let time = start.elapsed();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Log files: 1 to remove;"), "{text}");
    Ran { time, peak, entries: 0 }
}

fn holystone(verb: &str, config: &str, root: &Path, cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holystone"));
    command.args([verb, "--endpoint", "none", "--unknown-open-age", "0s", "--settle-time", "0s", "--timeout", "5m"]);
    command.args(["--plugin", "builtin:log-retention", "--config", config]).arg("--cache-dir").arg(cache);
    command.arg(format!("--log-root=app={}", root.canonicalize().unwrap().display()));
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

/// The most that a process has had resident, in MiB.
fn high_water_mark(status: &str) -> f64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .map_or(0.0, |kilobytes| kilobytes / 1024.0)
}

/// Cleans a tree up, with a directory for what it keeps.
type Cleaner = fn(&Path, &Path);

/// Removes every second of some files, each time of a fresh tree.
fn clean_up(arguments: &Arguments, cache: &Path) {
    let mut figures: Vec<(&str, Times)> = Vec::new();
    let tools: [(&str, Cleaner); 3] =
        [("holystone", sweep), ("find -delete", find_delete), ("systemd-tmpfiles", tmpfiles)];
    for (name, clean) in tools {
        if name == "systemd-tmpfiles" && Command::new(name).arg("--version").output().is_err() {
            println!("\nsystemd-tmpfiles is not here");
            continue;
        }
        let mut times = Times::default();
        for _ in 0..arguments.rounds {
            let tree = tempfile::tempdir_in(&arguments.parent).unwrap();
            make(tree.path(), CLEANED, 1_000, |number| number % 2 == 0);
            times.time(|| clean(tree.path(), cache));
            let left = native(tree.path());
            assert_eq!(left, CLEANED / 2, "{name} leaves what is young");
        }
        figures.push((name, times));
    }
    let mut rows = vec![row(["", "median / minimum, ms"])];
    rows.extend(figures.iter().map(|(name, times)| vec![(*name).to_owned(), times.both()]));
    table(&format!("Removing {} of {CLEANED} files by their age", CLEANED / 2), &rows);
}

/// Everything that a run does: open the root, ask the plugin, judge, remember, look again, remove, report.
fn sweep(root: &Path, cache: &Path) {
    let mut command = holystone("run", OLD, root, cache);
    let status = command.arg("--state-dir").arg(cache.join("state")).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
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
