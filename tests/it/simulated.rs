//! A simulated node of its own for one test, and runs of the binary on it. What must stay is asked of the node, never
//! of the report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use holystone_core::container::{Container, ContainerState, ImageMentions, Pod, Sandbox};
use holystone_core::snapshot::Snapshot;
use holystone_core::state::{Observed, State};
use holystone_node::simulated::Method;
use holystone_node::{Faults, SimulatedNode, StateDir};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ended, Running, end, state_dir, steps, sweep, text, unused_images};

const NODE: &[u8] = include_bytes!("../../examples/snapshots/rollout-node.json");

/// What the policy of these tests takes: all of a repository but the newest.
pub(crate) const CONFIG: &str = r#"{"repositories":["docker.io/minchou/*"],"keepLast":1}"#;
/// One of the images that it takes.
pub(crate) const OLD: &str = "docker.io/minchou/rollout:v1.0.3";
/// The images that it takes of the small node.
pub(crate) const SMALL: [&str; 4] =
    ["docker.io/minchou/rollout:v1.0.0", "docker.io/minchou/rollout:v1.0.1", "docker.io/minchou/rollout:v1.0.2", OLD];
/// What else the small node has; the first two run.
const SMALL_STAYS: [&str; 3] =
    ["docker.io/minchou/rollout:v1.11.4", "docker.io/library/nginx:1.27.4", "registry.k8s.io/pause:3.9"];

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_mins(1);

/// The node of 125 images that the demo shows.
pub(crate) fn whole() -> Snapshot {
    Snapshot::from_json(NODE).unwrap()
}

/// A part of it: four images that the policy takes, and three that stay.
pub(crate) fn small() -> Snapshot {
    let mut node = whole();
    let wanted: Vec<&str> = SMALL.into_iter().chain(SMALL_STAYS).collect();
    node.images.retain(|image| image.repo_tags.iter().any(|tag| wanted.contains(&tag.as_str())));
    assert_eq!(node.images.len(), wanted.len());
    node.containers.retain(|container| wanted.contains(&container.image.user_specified_image.as_str()));
    let sandboxes: Vec<&str> = node.containers.iter().map(|container| container.sandbox_id.as_str()).collect();
    node.sandboxes.retain(|sandbox| sandboxes.contains(&sandbox.id.as_str()));
    assert_eq!((node.containers.len(), node.sandboxes.len()), (2, 2));
    node
}

/// A simulated node, and where what is remembered of it is kept.
pub(crate) struct TestNode {
    pub(crate) simulated: SimulatedNode,
    seed: Snapshot,
    before: BTreeSet<String>,
    directory: TempDir,
}

impl TestNode {
    /// The whole node.
    pub(crate) fn start(faults: Faults) -> Self {
        Self::seeded(whole(), faults)
    }

    /// The small one.
    pub(crate) fn small(faults: Faults) -> Self {
        Self::seeded(small(), faults)
    }

    pub(crate) fn seeded(snapshot: Snapshot, faults: Faults) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let simulated = SimulatedNode::start(&directory.path().join("cri.sock"), snapshot.clone(), faults).unwrap();
        let before = simulated.images().into_iter().collect();
        Self { simulated, seed: snapshot, before, directory }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.simulated.endpoint().to_string()
    }

    /// A directory for this test alone.
    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        state_dir(&self.endpoint())
    }

    /// The command line of a run.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        sweep("run", "builtin:unused-images", CONFIG, &self.endpoint(), more)
    }

    pub(crate) fn run(&self, more: &[&str]) -> Ended {
        end(&mut self.command(more))
    }

    pub(crate) fn plan(&self, config: &str, more: &[&str]) -> Value {
        unused_images("plan", &self.endpoint(), config, more).expect(0).json()
    }

    pub(crate) fn start_run(&self, more: &[&str]) -> Running {
        Running::start(self.command(more))
    }

    /// Waits until a run on the node has asked for a removal.
    pub(crate) async fn until_the_first_removal(&self, run: &mut Running) {
        self.until(run, || !self.simulated.removals().is_empty()).await;
    }

    /// Waits until the node has got so many calls of a kind.
    pub(crate) async fn until_called(&self, run: &mut Running, method: Method, calls: u64) {
        self.until(run, || self.simulated.calls(method) >= calls).await;
    }

    /// Waits for something to come true, during a run that ends only after it.
    pub(crate) async fn until(&self, run: &mut Running, what: impl Fn() -> bool) {
        let start = Instant::now();
        while !what() {
            assert!(!run.is_over(), "the run was over before");
            assert!(start.elapsed() < PATIENCE, "it does not come");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The ids of the images that are gone from the node.
    pub(crate) fn gone(&self) -> BTreeSet<String> {
        &self.before - &self.simulated.images().into_iter().collect()
    }

    /// What is remembered of the node, as `holystone state` shows it.
    pub(crate) fn remembered(&self) -> Value {
        let mut command = crate::support::holystone();
        end(command.args(["state", "-o", "json", "--state-dir"]).arg(self.state_dir())).expect(0).json()
    }

    /// Lets the node be remembered since then, with all that it has and nothing in use but what is now.
    pub(crate) fn remember_since(&self, when: Timestamp) {
        let mut then = Snapshot { taken_at: when, ..self.seed.clone() };
        let mut state = State::new(when);
        assert_eq!(state.observe(&mut then), Observed::default());
        let state_dir = StateDir::make(&self.state_dir()).unwrap();
        // What is remembered so far would be newer.
        state_dir.forget("state.reserve").unwrap();
        state_dir.save(&state).unwrap();
    }

    /// Checks a report against the node, and answers it: what is said to be gone is gone, what is said to be there is
    /// there, and nothing else has gone.
    #[track_caller]
    pub(crate) fn truth(&self, ended: &Ended) -> Value {
        self.truth_since(ended, &BTreeSet::new())
    }

    /// The same, when these images were gone before.
    #[track_caller]
    pub(crate) fn truth_since(&self, ended: &Ended, before: &BTreeSet<String>) -> Value {
        let report = ended.json();
        let gone = &self.gone() - before;
        assert!(gone.is_subset(&steps(&report)), "gone without a step: {:?}", &gone - &steps(&report));
        let mut counts = BTreeMap::new();
        for step in report["images"]["steps"].as_array().unwrap() {
            let is_gone = gone.contains(step["target"].as_str().unwrap());
            let result = step["result"].as_str().unwrap();
            *counts.entry(result).or_insert(0) += 1;
            match result {
                "removed" | "alreadyGone" => assert!(is_gone, "{step}"),
                "notAttempted" | "notNeeded" | "noLongerAllowed" | "stillListed" => assert!(!is_gone, "{step}"),
                // It may have gone or not, which is what the detail says.
                "failed" => assert!(!text(&step["detail"]).is_empty()),
                other => panic!("{other}: {step}"),
            }
        }
        let count = |results: &[&str]| results.iter().filter_map(|result| counts.get(result)).sum::<u64>();
        for (total, results) in [
            ("removed", &["removed"][..]),
            ("alreadyGone", &["alreadyGone"]),
            ("noLongerAllowed", &["noLongerAllowed"]),
            ("notNeeded", &["notNeeded"]),
            ("notAttempted", &["notAttempted"]),
            ("failed", &["failed", "stillListed"]),
        ] {
            assert_eq!(report["images"]["totals"][total], count(results), "{total}");
        }
        let is_whole = report["images"]["totals"]["failed"] == 0 && report["images"]["totals"]["notAttempted"] == 0;
        assert_eq!(ended.code, i32::from(!is_whole), "{}", ended.stderr);
        report
    }

    /// Checks that no run took place and nothing was touched; answers the error.
    #[track_caller]
    pub(crate) fn untouched(&self, ended: Ended) -> String {
        let ended = ended.expect(2);
        assert_eq!(ended.stdout, "");
        assert!(self.simulated.removals().is_empty());
        assert!(self.gone().is_empty());
        ended.stderr
    }
}

/// The id of the image with this tag.
pub(crate) fn id(tag: &str) -> String {
    let snapshot = whole();
    let image = snapshot.images.iter().find(|image| image.repo_tags.iter().any(|known| known == tag));
    image.expect(tag).id.to_string()
}

/// The ids that the policy takes of the small node.
pub(crate) fn small_planned() -> BTreeSet<String> {
    SMALL.map(id).into()
}

/// The ids that a plan of the untroubled node would remove.
pub(crate) fn planned() -> BTreeSet<String> {
    let node = TestNode::start(Faults::none());
    let plan = node.plan(CONFIG, &[]);
    assert!(node.gone().is_empty(), "a plan touches nothing");
    assert!(node.simulated.removals().is_empty(), "a plan does not even ask");
    steps(&plan)
}

/// The results of a report's steps, in the order of the plan.
pub(crate) fn results(report: &Value) -> Vec<String> {
    report["images"]["steps"].as_array().unwrap().iter().map(|step| text(&step["result"])).collect()
}

/// A container that has just been made.
pub(crate) fn container_of(tag: &str) -> Container {
    Container {
        id: "late".to_owned(),
        name: "late".to_owned(),
        sandbox_id: "late".to_owned(),
        pod: Pod::default(),
        image: ImageMentions { image: tag.to_owned(), ..ImageMentions::default() },
        image_volumes: Vec::new(),
        state: ContainerState::Created,
        created_at: Timestamp::UNIX_EPOCH,
        finished_at: None,
        exit_code: None,
        labels: BTreeMap::new(),
    }
}

/// The sandbox of a pod that has just been started.
pub(crate) fn starting_pod() -> Sandbox {
    Sandbox {
        id: "starting".to_owned(),
        pod: Pod { uid: "starting".to_owned(), namespace: "shop".to_owned(), name: "starting".to_owned() },
        ready: true,
        created_at: Timestamp::now(),
        image: "registry.k8s.io/pause:3.9".to_owned(),
        labels: BTreeMap::new(),
    }
}
