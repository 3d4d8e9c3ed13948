//! The demo: a whole sweep on a simulated node, over a real socket, with the same code as on a real node.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use holystone_core::report::{PlanReport, Report};
use holystone_core::snapshot::{Filesystem, Snapshot};
use holystone_node::{Clock, Cri, Faults, Options, Processes, RootSpec, SimulatedNode, Visibility};
use jiff::SignedDuration;
use tempfile::TempDir;

use crate::log_access::RootAccess;
use crate::node::LiveNode;
use crate::node_state::{LockedState, Recall};
use crate::plan::{self, PlanDecision, PlanTarget};
use crate::plugins::{self, CacheDir};
use crate::policy::{Policy, RailOverrides};
use crate::prepare::Prepared;
use crate::run;
use crate::stop::{Stop, StopToken};
use crate::stopwatch::Stopwatch;
use crate::sweep::SweepContext;

/// A node as the best-practice page of `OpenKruise` describes it: 125 images, most of them old tags of one rollout.
pub(crate) const NODE: &[u8] = include_bytes!("../../../examples/snapshots/rollout-node.json");

/// The time limit of the sweep, which takes only a moment.
const TIME_LIMIT: Duration = Duration::from_mins(10);

/// The demo's config for log retention: rotated logs older than two weeks are removed, and `debug.log` is truncated
/// above 16 MiB.
const LOG_CONFIG: &str = r#"{"rules":[
    {"files":["**/*.log.*"],"maxAge":"14d"},
    {"files":["debug.log"],"maxTotalSize":"16Mi","truncateOpen":true}
]}"#;

/// The images that the demo protects, to show a rail at work.
const PROTECTED: &str = "*:v1.5.*";

/// A simulated node, ready for a plan.
pub struct Demo {
    scene: Scene,
    node: LiveNode,
    prepared: Prepared,
}

/// A simulated node and the plan for it.
pub struct PlannedDemo {
    scene: Scene,
    prepared: Prepared,
    decision: PlanDecision,
    clock: Stopwatch,
}

/// The simulated node and its directory, both removed on drop.
struct Scene {
    simulated: SimulatedNode,
    _directory: TempDir,
}

impl Demo {
    /// Starts the simulated node. `config` configures the image plugin.
    ///
    /// # Errors
    /// When the node cannot be started, or the config cannot be read.
    pub async fn start(config: &str, rails: RailOverrides) -> anyhow::Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("holystone-demo-").tempdir().context("no temporary directory")?;
        let socket = directory.path().join("cri.sock");
        let simulated = SimulatedNode::start(&socket, Snapshot::from_json(NODE)?, Faults::default())?;
        let cri = Cri::connect(simulated.endpoint(), Options::default()).await?;
        let logs = RootAccess::open(&[log_root(&directory)?], &[])?;
        let node = LiveNode {
            cri: Some(cri),
            logs: RootAccess { processes: processes(&directory)?, ..logs },
            name: "demo-node".to_owned(),
            own_pod: String::new(),
            clock: Clock::of_the_wall(),
        };
        let scene = Scene { simulated, _directory: directory };
        Ok(Self { scene, node, prepared: Prepared::later(policy(config, rails)?, CacheDir::Nowhere) })
    }

    /// Measures the filesystems of the simulated node.
    pub fn filesystems(&self) -> Vec<Filesystem> {
        self.scene.simulated.filesystems()
    }

    /// Computes the plan.
    ///
    /// # Errors
    /// When no plugin answers.
    pub async fn plan(self) -> anyhow::Result<PlannedDemo> {
        let Self { scene, node, mut prepared } = self;
        let mut clock = Stopwatch::start();
        let target = PlanTarget::Connected(Box::new(node));
        let decision = plan::observe_and_decide(&mut prepared, target, Recall::Nothing, &mut clock).await?;
        Ok(PlannedDemo { scene, prepared, decision, clock })
    }
}

impl PlannedDemo {
    /// Returns the plan.
    pub fn planned(&self) -> &PlanReport {
        &self.decision.planned
    }

    /// Carries out the plan. Returns the report and the filesystems after the sweep.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub async fn sweep(self) -> anyhow::Result<(Report, Vec<Filesystem>)> {
        let Self { scene, prepared, decision: PlanDecision { node, planned, .. }, clock } = self;
        let stop = Stop::within(TIME_LIMIT, &StopToken::on_signals()?);
        let policy = &prepared.policy;
        let context = SweepContext { node: &node, rails: &policy.rails, pace: &policy.pace, stop: &stop };
        let report = run::carry_out(context, planned, &mut LockedState::nothing(), clock).await;
        Ok((report, scene.simulated.filesystems()))
    }
}

fn policy(config: &str, mut overrides: RailOverrides) -> anyhow::Result<Policy> {
    let plugins = ["builtin:unused-images", "builtin:log-retention"].map(str::to_owned);
    let mut policy = Policy::of_plugins(plugins::specs(&plugins, &[config.to_owned(), LOG_CONFIG.to_owned()])?);
    // The demo's logs were written seconds ago, whatever their dates.
    policy.rails.settle_time = SignedDuration::ZERO;
    if overrides.protect.is_empty() {
        overrides.protect.push(PROTECTED.parse()?);
    }
    overrides.apply(&mut policy.rails);
    Ok(policy)
}

/// Creates a directory with logs: rotated ones of six weeks, some of them within the retention, and one that has grown
/// too large.
fn log_root(directory: &TempDir) -> anyhow::Result<RootSpec> {
    let path = directory.path().canonicalize()?.join("logs");
    for (service, bytes) in [("checkout", 96 << 10), ("web", 64 << 10)] {
        let service = path.join(service);
        fs::create_dir_all(&service)?;
        fs::write(service.join("app.log"), vec![b'.'; bytes])?;
        for days in 1..=42_u64 {
            let rotated = File::create(service.join(format!("app.log.{days}")))?;
            (&rotated).write_all(&vec![b'.'; bytes])?;
            rotated.set_modified(SystemTime::now() - Duration::from_hours(24 * days))?;
        }
    }
    fs::write(path.join("debug.log"), vec![b'.'; 24 << 20])?;
    Ok(RootSpec::new("app", path))
}

/// Builds the simulated node's processes: a single one, which has the oversized log open.
fn processes(directory: &TempDir) -> anyhow::Result<Processes> {
    let proc = directory.path().join("proc");
    let task = proc.join("1/task/1");
    fs::create_dir_all(task.join("fd"))?;
    symlink(directory.path().join("logs/debug.log"), task.join("fd/3"))?;
    Ok(Processes { proc, visibility: Visibility::All, ..Processes::default() })
}
