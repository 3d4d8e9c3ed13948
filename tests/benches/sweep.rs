//! How long it takes to remove images from a real containerd: by `holystone run`, and by a bare client that makes the
//! same calls all at once or one after another. `cargo bench -p holystone --bench sweep`
//!
//! Every measurement has a fresh containerd of its own with the same images, of each version that
//! `HOLYSTONE_CONTAINERD` names. Arguments, after `--`:
//! - `--images N`: only nodes of so many images, in place of 125 and 1 000
//! - `--rounds N`: how often to measure each
//! - `--tmpfs`: in memory, where containerd does not wait for the disk; nodes have disks
//! - `--binary PATH`: another build of holystone
//! - `--concurrency N`: what holystone is to have under way at once, in place of its default

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark fails by panicking")]
#![allow(clippy::large_futures, reason = "there is one of them at a time")]

mod measure;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use holystone_tests::{ContainerSpec, Containerd, LayerSpec, TestImage, Tools, containerds, pause_image, sleep_image};
use measure::{Times, goal, row, table};
use serde_json::Value;

/// Images that containers run, apart from the sandboxes' one.
const RUNNING: usize = 4;
/// What the policy takes, which is all that nobody uses.
const CONFIG: &str = r#"{"repositories":["docker.io/minchou/*"]}"#;
/// Up to so many images are also removed one after another, which is quadratic.
const PATIENCE: usize = 125;

/// What to measure.
struct Arguments {
    sizes: Vec<usize>,
    rounds: Option<usize>,
    parent: PathBuf,
    binary: PathBuf,
    concurrency: Option<String>,
}

/// A containerd with images, a few of them in use.
struct Node {
    containerd: Containerd,
    unused: Vec<String>,
}

/// What one size came to.
#[derive(Default)]
struct Figures {
    /// The process, from its start to its end.
    process: Times,
    /// What it says that the sweep itself took.
    sweep: Times,
    at_once: Times,
    one_by_one: Times,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    warm_cache(&arguments.binary)?;
    for tools in containerds("the benchmark sweep")? {
        println!("\ncontainerd {}, beneath {}", tools.version, arguments.parent.display());
        for size in &arguments.sizes {
            let figures = figures(*size, &arguments, &tools).await?;
            print(*size, &figures);
        }
    }
    Ok(())
}

/// Compiles the plugin, which a node does once and not at every sweep.
fn warm_cache(binary: &Path) -> anyhow::Result<()> {
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/snapshots/rollout-node.json");
    let status = holystone(binary, "plan").args(["--snapshot", recorded]).stdout(Stdio::null()).status()?;
    assert!(status.success(), "holystone plan ended with {status}");
    Ok(())
}

fn holystone(binary: &Path, verb: &str) -> Command {
    let mut command = Command::new(binary);
    command.args([verb, "--plugin", "builtin:unused-images", "--config", CONFIG, "-o", "json", "--cache-dir"]);
    command.arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache"));
    // The pods of this node have just been started.
    command.args(["--min-age", "0s"]);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

impl Arguments {
    fn parse() -> Self {
        let mut arguments = std::env::args().skip(1);
        let mut parsed = Self {
            sizes: Vec::new(),
            rounds: None,
            parent: std::env::temp_dir(),
            binary: env!("CARGO_BIN_EXE_holystone").into(),
            concurrency: None,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
            match argument.as_str() {
                // cargo says so to every benchmark.
                "--bench" => {}
                "--images" => parsed.sizes.push(value().parse().expect("a number of images")),
                "--rounds" => parsed.rounds = Some(value().parse().expect("a number of rounds")),
                "--tmpfs" => parsed.parent = "/dev/shm".into(),
                "--binary" => parsed.binary = value().into(),
                "--concurrency" => parsed.concurrency = Some(value()),
                _ => {
                    panic!("{argument} is not known; there are --images, --rounds, --tmpfs, --binary and --concurrency")
                }
            }
        }
        if parsed.sizes.is_empty() {
            parsed.sizes = vec![125, 1_000];
        }
        parsed
    }
}

/// Measures by turns, so that what else the machine does hits all alike.
async fn figures(images: usize, arguments: &Arguments, tools: &Tools) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let rounds = arguments.rounds.unwrap_or(if images <= PATIENCE { 5 } else { 3 });
    for round in 0..rounds {
        // The disk, too, is another one after the first turn: take turns at being first.
        for turn in [round, round + 1] {
            let node = Node::start(images, arguments, tools).await?;
            if turn % 2 == 0 {
                let (process, sweep) = node.sweep(arguments)?;
                figures.process.add(process);
                figures.sweep.add_milliseconds(sweep);
            } else {
                figures.at_once.add(node.remove_at_once().await?);
            }
            node.end().await?;
        }
        if images <= PATIENCE {
            let node = Node::start(images, arguments, tools).await?;
            figures.one_by_one.add(node.remove_one_by_one().await?);
            node.end().await?;
        }
    }
    Ok(figures)
}

impl Node {
    /// Brings up a node. What it takes is not measured, nor is its aftermath: all of it is on the disk at the end.
    async fn start(images: usize, arguments: &Arguments, tools: &Tools) -> anyhow::Result<Self> {
        let containerd = Containerd::start_beneath(tools, &arguments.parent).await?;
        let mut all = vec![pause_image()?];
        for number in 0..RUNNING {
            all.push(sleep_image(&running(number))?);
        }
        all.extend((all.len()..images).map(unused));
        let imported = containerd.import(&all).await?;
        let cri = containerd.cri()?;
        let pod = cri.run_pod("bench").await?;
        for number in 0..RUNNING {
            cri.running_container(&pod, &ContainerSpec::new(&format!("c{number}"), &running(number))).await?;
        }
        let unused = imported.into_iter().skip(1 + RUNNING).map(|image| image.id).collect();
        rustix::fs::sync();
        Ok(Self { containerd, unused })
    }

    /// By the binary: the time of the process, and its own time of the sweep in milliseconds.
    fn sweep(&self, arguments: &Arguments) -> anyhow::Result<(Duration, f64)> {
        let mut command = holystone(&arguments.binary, "run");
        command.args(["--endpoint", &self.containerd.endpoint(), "--state-dir"]);
        command.arg(self.containerd.directory().join("holystone-state"));
        if let Some(concurrency) = &arguments.concurrency {
            command.args(["--concurrency", concurrency]);
        }
        let start = Instant::now();
        let output = command.output()?;
        let elapsed = start.elapsed();
        let report: Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(report["images"]["totals"]["removed"], self.unused.len(), "{}", report["images"]["totals"]);
        Ok((elapsed, report["milliseconds"]["sweep"].as_f64().expect("the report has the time of the sweep")))
    }

    /// By a bare client, every call in flight from the start.
    async fn remove_at_once(&self) -> anyhow::Result<Duration> {
        let cri = self.containerd.cri()?;
        cri.version().await?;
        let start = Instant::now();
        try_join_all(self.unused.iter().map(|id| cri.remove_image(id))).await?;
        Ok(start.elapsed())
    }

    /// By a bare client, each call after the end of the one before.
    async fn remove_one_by_one(&self) -> anyhow::Result<Duration> {
        let cri = self.containerd.cri()?;
        cri.version().await?;
        let start = Instant::now();
        for id in &self.unused {
            cri.remove_image(id).await?;
        }
        Ok(start.elapsed())
    }

    /// Checks that what is in use is all that is left.
    async fn end(self) -> anyhow::Result<()> {
        let left = self.containerd.cri()?.list_images().await?;
        assert_eq!(left.len(), 1 + RUNNING, "{left:?}");
        self.containerd.close()
    }
}

fn running(number: usize) -> String {
    format!("docker.io/minchou/service-{number}:v1")
}

/// One small layer that no other image has.
fn unused(number: usize) -> TestImage {
    let layer = LayerSpec { files: 4, bytes_per_file: 4096, seed: number as u64 };
    TestImage::new(&format!("docker.io/minchou/rollout-{}:v1.{number}", number % 5)).layer(layer)
}

fn print(images: usize, figures: &Figures) {
    let removed = u32::try_from(images - RUNNING - 1).expect("that many images fit on no disk");
    let line = |what: &str, times: &Times| {
        let ratio = format!("{:.2}", times.median() / figures.at_once.median());
        vec![what.to_owned(), times.both(), format!("{:.2}", times.median() / f64::from(removed)), ratio]
    };
    let mut rows = vec![
        row(["", "ms, median / min", "ms per image", "of all at once"]),
        line("holystone run, the process", &figures.process),
        line("holystone run, the sweep", &figures.sweep),
        line("bare client, all at once", &figures.at_once),
    ];
    if images <= PATIENCE {
        rows.push(line("bare client, one by one", &figures.one_by_one));
    }
    table(&format!("{removed} of {images} images removed"), &rows);
    let ratio = figures.sweep.median() / figures.at_once.median();
    goal("the sweep against the same removals all at once", ratio, 1.0, "times");
}
