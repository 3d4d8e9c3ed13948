//! Log directories from a plugin's question to the file that is gone: real plugins, the guard rail, real files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use holystone_core::container::{Pod, Sandbox};
use holystone_core::guard::Kind as _;
use holystone_core::guard::logs::{LogGuard, LogRails, Logs, RootedPath};
use holystone_core::proposal::{Target, Wish};
use holystone_core::snapshot::Snapshot;
use holystone_core::usage::Usage;
use holystone_node::{LogRoots, OpenFiles, Performed, Processes, RootReader, RootSpec, Visibility, WalkLimits};
use holystone_runtime::{Capability, Engine, Limits, Plugin, View, Worker};
use holystone_tests::walks;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::support::component;

const UID: &str = "0f1e2d3c-4b5a-6978-8695-a4b3c2d1e0f0";
const GONE: &str = "ffffffff-4b5a-6978-8695-a4b3c2d1e0f0";

/// A node with a log root `app`, and one pod.
struct Node {
    directory: TempDir,
    snapshot: Snapshot,
    roots: Arc<LogRoots>,
    open_files: Arc<OpenFiles>,
}

impl Node {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        fs::create_dir(base.join("app")).unwrap();
        fs::create_dir(base.join("outside")).unwrap();
        fs::write(base.join("outside/secret"), "secret").unwrap();
        let spec = RootSpec::new("app", base.join("app"));
        let roots = LogRoots::open(&[spec], WalkLimits::default(), None).unwrap();
        // As on a node on which nothing is open.
        let processes = Processes { proc: base.join("outside"), visibility: Visibility::All, ..Processes::default() };
        let open_files = Arc::new(roots.open_files(&processes));
        let recorded = include_bytes!("../../examples/snapshots/rollout-node.json");
        let mut snapshot = Snapshot::from_json(recorded).unwrap();
        let pod = Pod { uid: UID.to_owned(), namespace: "shop".to_owned(), name: "web".to_owned() };
        let created_at = snapshot.taken_at;
        let sandbox =
            Sandbox { id: "s".to_owned(), pod, ready: true, created_at, image: String::new(), labels: [].into() };
        snapshot.sandboxes = vec![sandbox];
        snapshot.filesystems.extend(roots.filesystems());
        Self { directory, snapshot: snapshot.normalize(), roots: Arc::new(roots), open_files }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join("app")
    }

    /// Makes a file that was last changed so many days ago.
    fn file(&self, path: &str, days: u64) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(&path).unwrap();
        std::io::Write::write_all(&mut &file, &[b'x'; 5_000]).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(24 * days)).unwrap();
    }

    /// What a plugin wishes, with the snapshot taken now.
    async fn wishes(&mut self, path: PathBuf, config: &str) -> Result<Vec<Wish>, String> {
        self.wishes_in(SignedDuration::from_millis(50), path, config).await
    }

    /// What a plugin wishes, with the snapshot taken some time from now.
    async fn wishes_in(&mut self, time: SignedDuration, path: PathBuf, config: &str) -> Result<Vec<Wish>, String> {
        self.snapshot.taken_at = Timestamp::now() + time;
        let engine = Engine::new(Some(&crate::support::cache()), Worker::at(env!("CARGO_BIN_EXE_holystone"))).unwrap();
        let grants = [Capability::Logs, Capability::LogContent, Capability::Pods].into_iter().collect();
        let bytes = fs::read(path).unwrap();
        let plugin = Plugin::load(&engine, "p", bytes, &grants, Limits::default()).await.unwrap();
        let logs = RootReader::new(Arc::clone(&self.roots), Arc::clone(&self.open_files));
        let view = View::of(&self.snapshot, &Usage::of(&self.snapshot)).with_logs(Arc::new(logs));
        plugin
            .propose(&Arc::new(view), config)
            .await
            .map(|answer| answer.proposal.wishes)
            .map_err(|error| error.message)
    }

    /// What a plugin that only tells has told.
    async fn told(&mut self, what: &str) -> Vec<String> {
        let wishes = self.wishes(walks().to_owned(), &format!("\"{what}\"")).await.unwrap();
        let line = |wish: Wish| match wish.target {
            Target::Other(_, line) => line,
            other => panic!("{other:?}"),
        };
        wishes.into_iter().map(line).collect()
    }

    /// Judges and carries out, and gives the codes of what was refused.
    fn sweep(&self, wishes: &[Wish]) -> Vec<&'static str> {
        let rails = LogRails { settled_for: SignedDuration::ZERO, ..LogRails::default() };
        let guard = LogGuard::new(rails, self.snapshot.taken_at, Some(&self.snapshot));
        let mut refused = Vec::new();
        for wish in wishes {
            let look = |target: &RootedPath| self.roots.look(target, &self.open_files);
            let operation = |target: &RootedPath| Logs::operation(target, wish.verb).expect("it is offered");
            let judged = Logs::parse(&wish.target)
                .and_then(|target| guard.judge("p", &target, operation(&target), &wish.reason, look(&target)));
            let cleared = judged.and_then(|step| guard.clear(&step, look(step.target())));
            match cleared.map(|clearance| self.roots.perform(clearance)) {
                Ok(Performed::Done(_)) => {}
                Ok(other) => panic!("{other:?}"),
                Err(refusal) => refused.push(refusal.code()),
            }
        }
        refused
    }

    /// All files that are left.
    fn left(&self) -> BTreeSet<String> {
        let mut left = BTreeSet::new();
        let mut open = vec![self.root()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    left.insert(path.strip_prefix(self.root()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        left
    }
}

fn set<const N: usize>(paths: [&str; N]) -> BTreeSet<String> {
    paths.map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_retention_removes_what_its_rules_say() {
    let mut node = Node::new();
    for (path, days) in
        [("web/a.log", 0), ("web/a.log.1", 3), ("web/a.log.2", 9), ("web/a.log.3", 20), ("db/b.log.1", 30)]
    {
        node.file(path, days);
    }
    node.file("db/keep.txt", 99);
    let config = r#"{"rules":[{"files":["**/*.log.*"],"maxAge":"7d","keepNewest":1,"per":"directory"}]}"#;
    let wishes = node.wishes(component("log_retention.wasm"), config).await.unwrap();
    assert_eq!(node.sweep(&wishes), [""; 0]);
    assert_eq!(node.left(), set(["web/a.log", "web/a.log.1", "db/b.log.1", "db/keep.txt"]));
    assert_eq!(wishes[0].expected_bytes, Some(8_192));
    assert_eq!(wishes[0].reason.text, "last changed 20 days ago, maxAge is 7d");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_retention_stops_at_its_goal_and_tells_what_is_wrong() {
    let mut node = Node::new();
    node.file("a.log.1", 9);
    node.file("a.log.2", 19);
    let plugin = || component("log_retention.wasm");
    let all = r#"{"rules":[{"files":["**"],"maxAge":"7d"}],"minFree":"1k"}"#;
    assert!(node.wishes(plugin(), all).await.unwrap().is_empty(), "a thousand bytes are free");
    let more = r#"{"rules":[{"files":["**"],"maxAge":"7d"}],"minFree":"100%"}"#;
    assert_eq!(node.wishes(plugin(), more).await.unwrap().len(), 2);
    let elsewhere = r#"{"rules":[{"files":["**"],"maxAge":"7d","roots":["x"]}]}"#;
    let told = node.wishes(plugin(), elsewhere).await.unwrap_err();
    assert!(told.contains("rules[0].roots: there is no log root x, there are: app"), "{told}");
    let told = node.wishes(plugin(), r#"{"rules":[{"files":["a**"]}]}"#).await.unwrap_err();
    assert!(told.contains("rules[0].files[0]") && told.contains("rules[0]: says nothing"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphan_pod_logs_removes_the_logs_of_pods_that_are_gone() {
    let mut node = Node::new();
    for uid in [UID, GONE] {
        node.file(&format!("pods/shop_web_{uid}/main/0.log"), 5);
        node.file(&format!("pods/shop_web_{uid}/main/0.log.20260102-030405.gz"), 9);
    }
    let plugin = || component("orphan_pod_logs.wasm");
    // Nothing in these directories is older than this test.
    assert!(node.wishes(plugin(), "{}").await.unwrap().is_empty());
    let told = node.wishes(plugin(), r#"{"gracePeriod":"1s"}"#).await.unwrap_err();
    assert!(told.contains("gracePeriod: must be at least"), "{told}");
    let wishes = node.wishes_in(SignedDuration::from_hours(2), plugin(), "{}").await.unwrap();
    assert_eq!(node.sweep(&wishes), [""; 0]);
    let alive = format!("pods/shop_web_{UID}/main");
    assert_eq!(node.left(), set([&format!("{alive}/0.log"), &format!("{alive}/0.log.20260102-030405.gz")]));
    node.snapshot.sandboxes.clear();
    let told = node.wishes(plugin(), "{}").await.unwrap_err();
    assert!(told.contains("lists no pod at all"), "{told}");
    node.snapshot.node.runtime_name.clear();
    let told = node.wishes(plugin(), "{}").await.unwrap_err();
    assert!(told.contains("no container runtime is asked, so which pods exist is not known"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_sees_every_entry_and_no_path_of_the_host() {
    let mut node = Node::new();
    node.file("d/a.log", 1);
    std::os::unix::fs::symlink(node.directory.path().join("outside/secret"), node.root().join("link")).unwrap();
    std::os::unix::fs::symlink(node.directory.path().join("outside"), node.root().join("away")).unwrap();
    let everything = node.told("everything").await;
    let starts = [
        r#"app FileEntry { path: "away", identity: ""#,
        r#"app FileEntry { path: "d""#,
        r#"app FileEntry { path: "d/a.log""#,
        r#"app FileEntry { path: "link""#,
    ];
    assert_eq!(everything.len(), starts.len(), "{everything:#?}");
    for (line, start) in everything.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    assert!(everything[0].contains("kind: FileKind::Symlink"), "{}", everything[0]);
    assert!(
        everything[2].contains("open: OpenState::Closed") && everything[2].contains("Ok([120, 120"),
        "{}",
        everything[2]
    );
    let mistakes = node.told("mistakes").await;
    assert_eq!(mistakes.len(), 28);
    let fine: Vec<&String> = mistakes.iter().filter(|line| line.ends_with("fine")).collect();
    assert_eq!(fine, [r#"walk "": fine"#], "only the root itself can be walked: {mistakes:#?}");
    let host = node.directory.path().to_str().unwrap();
    for line in everything.iter().chain(&mistakes) {
        assert!(!line.contains(host) && !line.contains("[115, 101, 99"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn greed_gets_a_plugin_no_further() {
    let mut node = Node::new();
    for name in 0..1_200 {
        File::create(node.root().join(format!("{name:04}"))).unwrap();
    }
    File::create(node.root().join("large")).unwrap().set_len(3 << 20).unwrap();
    let told = node.told("greed").await;
    assert!(told[0].starts_with("16 walks, then Error::Limit("), "{}", told[0]);
    assert_eq!(told[1], format!("{:?}", [1_000; 16]));
    assert_eq!(told[2], (1 << 20).to_string());
    let handles = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = handles();
    assert_eq!(node.told("forgotten").await, ["1201"]);
    assert!(handles() < before + 50, "walks that were dropped leave no handles behind");
    assert_eq!(node.told("count").await, ["1201"]);
}
