//! What an idle daemon takes: `cargo bench -p holystone --bench daemon`. Takes six minutes.
//!
//! The real binary on a simulated node, with manifests whose next tick is far away and the watch for a full disk on, as
//! it comes from the start and after it has run. Time on a processor is that of all its threads by the scheduler's own
//! account; memory is what is resident, the binary's own pages included.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod measure;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holystone_core::snapshot::Snapshot;
use holystone_node::{Faults, SimulatedNode};

use measure::{Memory, goal, row, table};

const NODE: &[u8] = include_bytes!("../../examples/snapshots/rollout-node.json");

/// How long it is watched: two looks at the disk and a bit.
const WATCHED: Duration = Duration::from_secs(150);

/// How long it is left alone before that.
const SETTLED: Duration = Duration::from_secs(20);

/// A daemon, killed in the end.
struct Daemon(Child);

impl Daemon {
    fn start(manifests: &Path, endpoint: &str, directory: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holystone"));
        command.args(["daemon", "--listen", "127.0.0.1:0", "--endpoint", endpoint, "-f"]).arg(manifests);
        command.arg("--state-dir").arg(directory.join("state")).arg("--cache-dir").arg(directory.join("cache"));
        // As the unit for systemd has it.
        command.envs([("MALLOC_TRIM_THRESHOLD_", "65536"), ("MALLOC_ARENA_MAX", "2")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Time on a processor, of all threads that there are.
    fn processor(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let times = threads.filter_map(|thread| {
            let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(times.sum())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn manifest(name: &str, schedule: &str) -> String {
    format!(
        "apiVersion: holystone.dev/v1alpha1
kind: NodeCleanup
metadata: {{name: {name}}}
spec:
  {schedule}
  mode: Enforce
  plugins:
  - name: unused
    source: {{builtin: unused-images}}
    capabilities: [images]
    config: {{repositories: [docker.io/minchou/*], keepLast: 1}}
  pressure: {{above: 99%}}
"
    )
}

#[tokio::main]
async fn main() {
    let mut rows = vec![row(["daemon", "processor, % of one", "resident, MiB", "of that its own, MiB"])];
    let (mut busiest, mut largest): (f64, f64) = (0.0, 0.0);
    for (title, schedule) in [("from the start", "schedule: '@yearly'"), ("after a run", "paused: false")] {
        let directory = tempfile::tempdir().unwrap();
        let snapshot = Snapshot::from_json(NODE).unwrap();
        let node = SimulatedNode::start(&directory.path().join("cri.sock"), snapshot, Faults::none()).unwrap();
        let manifests = directory.path().join("manifests");
        std::fs::create_dir(&manifests).unwrap();
        std::fs::write(manifests.join("watching.yaml"), manifest("watching", "schedule: '@yearly'")).unwrap();
        std::fs::write(manifests.join("a.yaml"), manifest("first", schedule)).unwrap();
        let daemon = Daemon::start(&manifests, &node.endpoint().to_string(), directory.path());
        std::thread::sleep(SETTLED);
        let (before, start) = (daemon.processor(), Instant::now());
        std::thread::sleep(WATCHED);
        let spent = daemon.processor().saturating_sub(before);
        let share = spent.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
        let memory = Memory::of(daemon.0.id()).unwrap();
        (busiest, largest) = (busiest.max(share), largest.max(memory.resident));
        rows.push(row([
            title,
            &format!("{share:.4}"),
            &format!("{:.1}", memory.resident),
            &format!("{:.1}", memory.own),
        ]));
    }
    table("an idle daemon", &rows);
    goal("time on a processor", busiest, 0.1, "% of one");
    goal("resident memory", largest, 30.0, "MiB");
}
