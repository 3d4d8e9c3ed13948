//! Runs of the binary beneath log roots: what a user types and reads, and whatever happens to a run.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use holystone_node::Faults;
use holystone_node::simulated::{Code, Method};
use holystone_tests::{ContainerSpec, Pod, SmallDisk, misbehave, pause_image, sleep_image};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::simulated::TestNode;
use crate::support::{Ended, Running, end, holystone, on, on_each_containerd, policy, text};

const DAY: Duration = Duration::from_hours(24);

/// Everything that has not changed for a week.
const OLD: &str = r#"{"rules":[{"files":["**"],"maxAge":"7d"}]}"#;

/// What the plugin that does whatever one wants asks for.
const ALL: [&str; 2] = ["--allow", "images,logs,log-content"];

/// A log root `app`, and a directory beside it that nobody may touch.
struct Scene {
    directory: TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("app")).unwrap();
        fs::create_dir(directory.path().join("outside")).unwrap();
        fs::write(directory.path().join("outside/secret"), "secret").unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    fn root(&self) -> PathBuf {
        self.path("app")
    }

    /// Makes a file that was last changed so many days ago.
    fn file(&self, path: impl AsRef<Path>, days: u32) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(&path).unwrap();
        std::io::Write::write_all(&mut &file, &[b'x'; 5_000]).unwrap();
        file.set_modified(SystemTime::now() - DAY * days).unwrap();
        path
    }

    fn files(&self, count: usize) {
        for number in 0..count {
            self.file(format!("{number:05}.log"), 20);
        }
    }

    /// Without a runtime. Files are seconds old here, and which of them are open may not be seen.
    fn command(&self, verb: &str, plugin: impl AsRef<OsStr>, config: &str, more: &[&str]) -> Command {
        let mut command = policy(verb, plugin, config);
        self.on(&mut command).args(["--endpoint", "none", "-o", "json"]).args(more);
        command
    }

    fn on<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.arg(format!("--log-root=app={}", self.root().display()));
        command.arg("--state-dir").arg(self.path("state")).args(["--unknown-open-age", "0s", "--settle-time", "0s"])
    }

    fn retention(&self, verb: &str, config: &str, more: &[&str]) -> Ended {
        end(&mut self.command(verb, "builtin:log-retention", config, more))
    }

    /// A run of a plugin with one wish.
    fn wish(&self, target: &str, path: &str, verb: &str) -> Value {
        let wish = json!({ "target": target, "root": "app", "name": path, "verb": verb });
        let config = json!({ "do": "wish", "wishes": [wish] });
        let report = end(&mut self.command("run", misbehave(), &config.to_string(), &ALL)).json();
        self.truth(&report);
        report
    }

    /// All files that are left, by their names.
    fn left(&self) -> BTreeSet<String> {
        let mut left = BTreeSet::new();
        let mut open = vec![self.root()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    open.push(path);
                } else {
                    left.insert(path.strip_prefix(self.root()).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        left
    }

    /// What a report says is so, and nothing outside was touched.
    #[track_caller]
    fn truth(&self, report: &Value) {
        assert_eq!(fs::read_to_string(self.path("outside/secret")).unwrap(), "secret");
        let left = self.left();
        for step in report["logs"]["steps"].as_array().into_iter().flatten() {
            let is_left = left.contains(step["target"]["path"].as_str().unwrap());
            match step["result"].as_str().unwrap() {
                "removed" | "alreadyGone" => assert!(!is_left, "{step}"),
                "truncated" | "notAttempted" | "notNeeded" | "noLongerAllowed" => assert!(is_left, "{step}"),
                "failed" => assert!(!text(&step["detail"]).is_empty()),
                other => panic!("{other}: {step}"),
            }
        }
    }
}

fn set<const N: usize>(paths: [&str; N]) -> BTreeSet<String> {
    paths.map(str::to_owned).into()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap().try_into().unwrap()
}

fn refusal(report: &Value) -> &str {
    report["logs"]["refusals"][0]["refusal"]["code"].as_str().unwrap_or_else(|| panic!("{report:#}"))
}

#[test]
fn a_run_needs_no_runtime_to_clean_logs() {
    let scene = Scene::new();
    for (path, days) in [("a.log", 0), ("a.log.1", 9), ("d/b.log.1", 30)] {
        scene.file(path, days);
    }
    let config = r#"{"rules":[{"files":["**/*.log.*","*.log.*"],"maxAge":"7d"}]}"#;
    let plan = scene.retention("plan", config, &[]).expect(0).json();
    assert_eq!(plan["logRoots"], json!(["app"]));
    assert_eq!(
        plan["logs"]["totals"],
        json!({
            "planned": 2, "refused": 0, "entries": 2, "sizePlannedBytes": 10_000, "freeableBytes": 16_384
        })
    );
    assert_eq!(scene.left().len(), 3, "a plan touches nothing");
    let report = scene.retention("run", config, &[]).expect(0).json();
    scene.truth(&report);
    assert_eq!(scene.left(), set(["a.log"]));
    let totals = &report["logs"]["totals"];
    assert_eq!((&totals["removed"], &totals["entries"], &totals["failed"]), (&json!(2), &json!(2), &json!(0)));
    assert!(report["filesystemFreedBytes"]["logs:app"].is_i64(), "{report:#}");
    assert!(report["filesystemsAfter"].as_array().unwrap().iter().any(|filesystem| filesystem["name"] == "logs:app"));
    let again = scene.retention("run", config, &[]).expect(0).json();
    assert_eq!(again["logs"]["totals"]["planned"], 0);
}

#[test]
fn tables_tell_of_directories_and_on_demand_of_every_file() {
    let scene = Scene::new();
    for number in 0..100 {
        scene.file(format!("web/{number:03}.log"), 20);
    }
    let table = |verb: &str, more: &[&str]| {
        let mut command = policy(verb, "builtin:log-retention", OLD);
        end(scene.on(&mut command).args(["--endpoint", "none"]).args(more)).expect(0).stdout
    };
    let plan = table("plan", &[]);
    assert!(plan.contains("app:web/ (100 entries)"), "{plan}");
    assert!(plan.contains("Log files: 100 to remove; size 488.3 KiB, which should free 800.0 KiB"), "{plan}");
    assert!(plan.contains(", no container runtime") && !plan.contains("IMAGE"), "{plan}");
    let all = table("plan", &["--all"]);
    assert!((0..100).all(|number| all.contains(&format!("app:web/{number:03}.log"))), "{all}");
    let json = scene.retention("plan", OLD, &[]).json();
    assert_eq!(json["logs"]["steps"].as_array().unwrap().len(), 100);
    let report = table("run", &[]);
    assert!(report.contains("removed  app:web/ (100 entries)"), "{report}");
    assert!(report.contains("Log files: 100 removed; size removed 488.3 KiB\nfilesystem logs:app "), "{report}");
}

#[test]
fn wishes_about_what_is_not_beneath_the_root_are_refused() {
    let scene = Scene::new();
    scene.file("a", 20);
    symlink(scene.path("outside"), scene.root().join("away")).unwrap();
    symlink(scene.path("outside/secret"), scene.root().join("link")).unwrap();
    let long = "x/".repeat(4_000);
    for path in ["../outside/secret", "/etc/passwd", "a/../../outside/secret", "a\0", "", ".", &long, "\u{1b}[2J"] {
        let report = scene.wish("log-file", path, "remove");
        assert!(["BadPath", "RootItself"].contains(&refusal(&report)), "{path}: {report:#}");
    }
    for (target, path, verb, code) in [
        ("log-file", "away/secret", "remove", "ThroughLink"),
        ("log-file", "away", "remove", "WrongKind"),
        ("log-directory", "away", "remove", "WrongKind"),
        ("log-file", "link", "truncate", "WrongKind"),
        ("log-directory", "", "remove", "RootItself"),
        ("log-file", "missing", "remove", "NotFound"),
        ("log-file", "a/b", "remove", "ThroughLink"),
        ("log-file", "a", "other", "NotOffered"),
    ] {
        let report = scene.wish(target, path, verb);
        assert_eq!(refusal(&report), code, "{path}: {report:#}");
    }
    let config = r#"{"do":"wish","wishes":[{"target":"log-file","root":"other","name":"a"}]}"#;
    let report = end(&mut scene.command("run", misbehave(), config, &ALL)).expect(0).json();
    assert_eq!(refusal(&report), "NoSuchRoot");
    assert_eq!(scene.left(), set(["a", "away", "link"]));
}

#[test]
fn names_of_every_kind_are_listed_told_and_removed() {
    let scene = Scene::new();
    let names: [&[u8]; 8] =
        [b"\xff\xfe.log", b"new\nline", b"\x1b[2J", b"back\\slash", b" ", b"-rf", "\u{202e}gol".as_bytes(), b"*"];
    for name in names {
        scene.file(OsStr::from_bytes(name), 20);
    }
    let mut command = policy("run", "builtin:log-retention", OLD);
    let table = end(scene.on(&mut command).args(["--endpoint", "none", "-vv"])).expect(0);
    assert_eq!(scene.left(), set([]));
    for output in [&table.stdout, &table.stderr] {
        assert!(!output.contains(['\u{1b}', '\u{202e}']), "{output:?}");
    }
    assert!(table.stdout.contains(r"app:\xff\xfe.log"), "{}", table.stdout);
}

#[test]
fn mistakes_with_log_roots_are_told() {
    let scene = Scene::new();
    let app = format!("app={}", scene.root().display());
    symlink(scene.root(), scene.path("link")).unwrap();
    let missing = format!("x={}", scene.path("missing").display());
    let file = format!("x={}", scene.path("outside/secret").display());
    let link = format!("x={}", scene.path("link").display());
    fs::create_dir_all(scene.path("app/deeper")).unwrap();
    fs::create_dir_all(scene.path("state")).unwrap();
    let deeper = format!("deeper={}", scene.path("app/deeper").display());
    let again = format!("again={}", scene.root().display());
    let state = format!("x={}", scene.path("state").display());
    let holds_state = format!("x={}", scene.path("").display());
    for (roots, problem) in [
        (vec!["/var/log"], "give a name and a path, for example app=/var/log/app"),
        (vec!["app="], "give a name and a path"),
        (vec!["=/var/log"], "is no name"),
        (vec!["App=/var/log"], "App is no name: use lower-case letters, digits and -"),
        (vec!["x=var/log"], "give an absolute path"),
        (vec!["x=/var/log/../lib"], "without .. in it"),
        (vec!["x=/"], "it holds more than logs"),
        (vec!["x=/etc"], "it is /etc, where the system keeps its own files; no logs are kept there, so give"),
        (vec!["x=/etc/app"], "it lies in /etc, where the system keeps its own files"),
        (vec!["x=/usr/bin"], "it lies in /usr, where the system keeps its own files"),
        (vec!["x=/run/containerd"], "it lies in /run, where the system keeps its own files"),
        (vec!["x=/var/lib/dpkg/info"], "it lies in /var/lib/dpkg, where the system keeps its own files"),
        (vec!["x=/var/lib/kubelet"], "it is /var/lib/kubelet, where Kubernetes keeps its own files"),
        (vec![&state], "it is the state directory, "),
        (vec![&holds_state], "it holds the state directory, "),
        (vec![&app, &deeper], "it lies in the log root app; declare the outer one alone"),
        (vec![&deeper, &app], "the log root deeper lies in it; declare the outer one alone"),
        (vec![&app, &again], "it is the same directory as the log root app; declare it once"),
        (vec![&missing], "there is no such directory"),
        (vec![&file], "it is not a directory"),
        (vec![&link], "a symbolic link is on its path; give the directory itself"),
        (vec![&app, &app], "another log root has this name already"),
    ] {
        let mut command = policy("run", "builtin:log-retention", OLD);
        command.args(["--endpoint", "none", "--state-dir"]).arg(scene.path("state"));
        for root in &roots {
            command.args(["--log-root", root]);
        }
        let told = end(&mut command).expect(64).stderr;
        assert!(told.contains(problem), "{roots:?}: {told}");
    }
    let arguments = ["plan", "--plugin", "builtin:log-retention", "--snapshot", "x", "--log-root", &app];
    let told = end(holystone().args(arguments)).expect(64).stderr;
    assert!(told.contains("cannot be used with"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_directories_of_the_runtime_that_is_asked_are_no_log_roots() -> anyhow::Result<()> {
    const TEST: &str = "the_directories_of_the_runtime_that_is_asked_are_no_log_roots";
    on_each_containerd(TEST, async |containerd| {
        let base = containerd.socket().parent().unwrap().canonicalize()?;
        let (state, logs) = (tempfile::tempdir()?, base.join("app/logs"));
        fs::create_dir_all(&logs)?;
        let plan = |path: &Path| {
            let mut plan = policy("plan", "builtin:log-retention", OLD);
            plan.args(["--endpoint", &containerd.endpoint(), "--state-dir"]).arg(state.path().join("state"));
            end(plan.arg(format!("--log-root=app={}", path.display())))
        };
        let parts = ["", "root", "root/io.containerd.content.v1.content", "state", "state/io.containerd.grpc.v1.cri"];
        for path in parts.map(|part| base.join(part)).iter().filter(|path| path.exists()) {
            let told = plan(path).expect(64).stderr;
            assert!(told.contains(", where the runtime"), "{}: {told}", path.display());
        }
        plan(&logs).expect(0);
        containerd.close()
    })
    .await
}

/// Ten names of one file of 100 kB, and a file of 50 kB that is older.
fn snapshots(scene: &Scene) {
    let first = scene.file("snap.0", 1);
    fs::write(&first, vec![b'x'; 100_000]).unwrap();
    for number in 1..10 {
        fs::hard_link(&first, scene.root().join(format!("snap.{number}"))).unwrap();
    }
    File::open(&first).unwrap().set_modified(SystemTime::now() - DAY).unwrap();
    let plain = scene.file("plain.log", 5);
    fs::write(&plain, vec![b'x'; 50_000]).unwrap();
    File::open(&plain).unwrap().set_modified(SystemTime::now() - DAY * 5).unwrap();
}

#[test]
fn names_of_one_file_count_once_in_a_plan_its_limits_and_its_report() {
    let scene = Scene::new();
    snapshots(&scene);
    let of_size = |size: &str| format!(r#"{{"rules":[{{"files":["**"],"maxTotalSize":"{size}"}}]}}"#);
    let planned = |size: &str| scene.retention("plan", &of_size(size), &[]).expect(0).json()["logs"]["totals"].clone();
    assert_eq!(planned("200k")["planned"], 0, "150 kB are not more than 200");
    assert_eq!(planned("120k")["planned"], 1, "the plain file goes");
    let all = planned("50k");
    assert_eq!((&all["planned"], &all["sizePlannedBytes"]), (&json!(11), &json!(150_000)));
    let freeable = all["freeableBytes"].as_u64().unwrap();
    assert!((150_000..170_000).contains(&freeable), "{freeable}");
    // A name outside of the root keeps the content, so none of them goes for the size.
    fs::hard_link(scene.root().join("snap.0"), scene.path("outside/kept")).unwrap();
    assert_eq!(planned("50k")["planned"], 1);
    fs::remove_file(scene.path("outside/kept")).unwrap();
    let report = scene.retention("run", &of_size("50k"), &["--max-bytes", "150k"]).expect(0).json();
    let totals = &report["logs"]["totals"];
    assert_eq!((&totals["removed"], &totals["refused"]), (&json!(11), &json!(0)), "{report:#}");
    assert_eq!(totals["sizeRemovedBytes"], 150_000);
    assert_eq!(scene.left(), set([]));
}

#[test]
fn days_that_share_files_are_not_counted_twice() {
    let scene = Scene::new();
    scene.file("daily.0/big", 3);
    fs::write(scene.root().join("daily.0/big"), vec![b'x'; 100_000]).unwrap();
    for day in 1..4 {
        let copied = Command::new("cp")
            .arg("-al")
            .arg(scene.root().join("daily.0"))
            .arg(scene.root().join(format!("daily.{day}")))
            .status();
        assert!(copied.unwrap().success());
    }
    let config = r#"{"rules":[{"files":["**"],"maxTotalSize":"150k"}]}"#;
    let planned = scene.retention("plan", config, &[]).expect(0).json();
    assert_eq!(planned["logs"]["totals"]["planned"], 0, "{planned:#}");
}

#[test]
fn globs_say_what_they_matched_and_foreign_ones_are_mistakes() {
    let scene = Scene::new();
    for name in ["a.log", "b.audit", "c.pid"] {
        scene.file(name, 20);
    }
    let of = |files: &str| format!(r#"{{"rules":[{{"files":{files},"maxAge":"7d"}}]}}"#);
    let report = scene.retention("run", &of(r#"["**","!**/*.{audit,pid}","!**/*.lgo"]"#), &[]).expect(0).json();
    assert_eq!(scene.left(), set(["b.audit", "c.pid"]));
    let matches = &report["plugins"][0]["matches"];
    let counted: Vec<u64> = matches.as_array().unwrap().iter().map(|one| one["matches"].as_u64().unwrap()).collect();
    assert_eq!(counted, [3, 2, 0], "{report:#}");
    let notices = report["notices"].to_string();
    assert!(
        notices.contains("rules[0].files[2]: !**/*.lgo leaves out nothing on this node; did you mean !**/*.log?"),
        "{notices}"
    );
    for glob in ["!!(d)/**", "~/x", "$HOME/*.log", "%Y/*.log", "a.gz ", "^a"] {
        let told = scene.retention("plan", &of(&format!(r#"["**","{glob}"]"#)), &[]);
        assert!(
            told.stderr.contains("is not a glob") || told.stdout.contains("is not a glob"),
            "{glob}: {}{}",
            told.stdout,
            told.stderr
        );
    }
}

#[test]
fn empty_directories_go_and_others_stay() {
    let scene = Scene::new();
    let pod = "shop_web_0f1e2d3c-4b5a-6978-8695-a4b3c2d1e0f0";
    for path in ["empty/deep", "kept", "with-link", "part/empty", pod] {
        fs::create_dir_all(scene.root().join(path)).unwrap();
    }
    scene.file("full/x.log", 0);
    scene.file("part/y.log", 0);
    symlink("nowhere", scene.root().join("with-link/link")).unwrap();
    let config = r#"{"rules":[{"emptyDirectories":["**","!kept"],"maxAge":"1s"}]}"#;
    let removed = |report: &Value| report["logs"]["totals"]["removed"].clone();
    let settled = scene.retention("run", r#"{"rules":[{"emptyDirectories":["**"]}]}"#, &[]).expect(0).json();
    assert_eq!(removed(&settled), 0, "they are seconds old: {settled:#}");
    std::thread::sleep(Duration::from_millis(1_200));
    let mut unsettled = policy("run", "builtin:log-retention", config);
    unsettled.arg(format!("--log-root=app={}", scene.root().display())).arg("--state-dir").arg(scene.path("state"));
    let young = end(unsettled.args(["--endpoint", "none", "-o", "json", "--unknown-open-age", "0s"])).expect(0).json();
    assert_eq!((removed(&young), refusal(&young)), (json!(0), "Unsettled"), "the host asks for more: {young:#}");
    let report = scene.retention("run", config, &[]).expect(0).json();
    assert_eq!(removed(&report), 2, "{report:#}");
    let left: BTreeSet<String> =
        fs::read_dir(scene.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(left, set(["full", "kept", "part", "with-link", pod]));
    assert_eq!(fs::read_dir(scene.root().join("part")).unwrap().count(), 1, "part/empty is gone");
    let matches = &report["plugins"][0]["matches"];
    assert_eq!((&matches[0]["matches"], &matches[1]["matches"]), (&json!(8), &json!(1)), "{report:#}");
}

/// Makes a file of so many bytes that was last changed so many days ago.
fn sized(path: &Path, bytes: usize, days: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, vec![b'x'; bytes]).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - DAY * days).unwrap();
}

/// A run of `log-retention` with these roots, in which nothing counts as too young.
fn retention_in(verb: &str, config: &str, roots: &[String], state: &Path, more: &[&str]) -> Command {
    let mut command = policy(verb, "builtin:log-retention", config);
    command.args(["--endpoint", "none", "--unknown-open-age", "0s", "--settle-time", "0s", "--state-dir"]).arg(state);
    command.args(roots.iter().map(|root| format!("--log-root={root}"))).args(more);
    command
}

#[test]
fn roots_on_one_disk_have_one_goal_together() {
    const TEST: &str = "roots_on_one_disk_have_one_goal_together";
    const MIB: usize = 1 << 20;
    let (Some(disk), state) = (SmallDisk::mount(TEST, 64 << 20).unwrap(), tempfile::tempdir().unwrap()) else { return };
    let state = state.path().canonicalize().unwrap().join("state");
    let base = disk.path().canonicalize().unwrap();
    let roots: Vec<String> =
        ["a", "b", "c"].iter().map(|name| format!("{name}={}", base.join(name).display())).collect();
    for (name, days) in [("a", 30), ("b", 20), ("c", 10)] {
        for number in 0..4 {
            sized(&base.join(format!("{name}/{number}.log")), 4 * MIB, days + number);
        }
    }
    // 16 of 64 MiB are free, and the oldest two files are what is missing to 24.
    for order in [[0, 1, 2], [2, 1, 0]] {
        let ordered = order.map(|place: usize| roots[place].clone());
        for (goal, planned) in [("24Mi", 2), ("37%", 2), ("15Mi", 0)] {
            let config = format!(r#"{{"minFree":"{goal}","rules":[{{"files":["**"],"maxAge":"1d"}}]}}"#);
            let plan =
                end(&mut retention_in("plan", &config, &ordered, &state, &["-o", "json", "--all"])).expect(0).json();
            let steps = plan["logs"]["steps"].as_array().unwrap();
            let names: Vec<String> = steps
                .iter()
                .map(|step| format!("{}/{}", text(&step["target"]["root"]), text(&step["target"]["path"])))
                .collect();
            let expected = ["a/3.log", "a/2.log"].map(str::to_owned);
            assert_eq!(names, expected[..planned], "{goal}: {plan:#}");
        }
    }
    // The same disk under another path is no second one.
    let other = tempfile::tempdir().unwrap();
    let bound = other.path().canonicalize().unwrap();
    rustix::mount::mount_bind(base.join("c"), &bound).unwrap();
    let apart = [roots[0].clone(), roots[1].clone(), format!("c={}", bound.display())];
    let config = r#"{"minFree":"24Mi","rules":[{"files":["**"],"maxAge":"1d"}]}"#;
    let report = end(&mut retention_in("run", config, &apart, &state, &["-o", "json"])).expect(0).json();
    rustix::mount::unmount(&bound, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(report["logs"]["totals"]["removed"], 2, "{report:#}");
    let figures = |field: &str| -> BTreeSet<String> {
        report["filesystemsAfter"].as_array().unwrap().iter().map(|one| one[field].to_string()).collect()
    };
    assert_eq!(figures("name").len(), 3);
    for field in ["identity", "capacityBytes", "availableBytes", "inodesFree"] {
        assert_eq!(figures(field).len(), 1, "{field}: {report:#}");
    }
}

#[test]
fn a_disk_without_free_inodes_is_full() {
    const TEST: &str = "a_disk_without_free_inodes_is_full";
    let (Some(disk), state) = (SmallDisk::with_inodes(TEST, 64 << 20, 100).unwrap(), tempfile::tempdir().unwrap())
    else {
        return;
    };
    let state = state.path().canonicalize().unwrap().join("state");
    let root = disk.path().canonicalize().unwrap().join("app");
    // With the root of the disk and that of the logs, 95 of 100 are used.
    for number in 0..93 {
        sized(&root.join(format!("{number:02}.log")), 10, 20);
    }
    let roots = [format!("app={}", root.display())];
    let run =
        |verb: &str, config: &str, more: &[&str]| end(&mut retention_in(verb, config, &roots, &state, more)).expect(0);
    let above = |percent: &'static str| ["--filesystem", "logs:app", "--above", percent];
    let calm = run("run", OLD, &[&["-o", "json"], &above("95")[..]].concat()).json();
    assert_eq!(calm["logs"]["totals"]["removed"], 0, "{calm:#}");
    let why = text(&calm["ending"]["message"]);
    assert!(why.contains("is 95 % full (by inodes), and removal is wanted above 95 %"), "{calm:#}");
    // A goal of inodes, as a share and as a number, which a goal of bytes is not.
    for (goal, planned) in [
        (r#""minFree":"10%""#, 5),
        (r#""minFreeInodes":"7%""#, 2),
        (r#""minFreeInodes":8"#, 3),
        (r#""minFree":"50%","minFreeInodes":6"#, 1),
        (r#""minFree":"1Mi""#, 0),
    ] {
        let config = format!(r#"{{{goal},"rules":[{{"files":["**"],"maxAge":"7d"}}]}}"#);
        let plan = run("plan", &config, &["-o", "json"]).json();
        assert_eq!(plan["logs"]["totals"]["planned"], planned, "{goal}: {plan:#}");
    }
    let table = run("run", OLD, &above("94")).stdout;
    assert!(table.contains("Log files: 93 removed"), "{table}");
    assert!(!root.join("00.log").exists());
}

#[test]
fn one_disk_has_one_figure_for_all_of_its_roots() {
    let scene = Scene::new();
    scene.files(3);
    let other = format!("other={}", scene.path("outside").display());
    let report = scene.retention("run", OLD, &["--log-root", &other]).expect(0).json();
    for moment in ["filesystemsBefore", "filesystemsAfter"] {
        let [app, outside] = report[moment].as_array().unwrap().as_slice() else { panic!("{report:#}") };
        assert_eq!((&app["name"], &outside["name"]), (&json!("logs:app"), &json!("logs:other")));
        for field in ["identity", "capacityBytes", "availableBytes", "inodesFree"] {
            assert_eq!(app[field], outside[field], "{field}");
        }
    }
    let mut command = policy("plan", "builtin:log-retention", OLD);
    let table = end(scene.on(&mut command).args(["--endpoint", "none", "--log-root", &other])).expect(0).stdout;
    assert_eq!(table.matches("Filesystem ").count(), 1, "{table}");
    assert!(table.contains("Filesystem logs:app, logs:other: "), "{table}");
}

#[test]
fn what_has_to_be_confirmed_goes_with_the_second_run() {
    let scene = Scene::new();
    scene.file("a", 20);
    let run = || scene.retention("run", OLD, &["--confirmations", "2"]).expect(0).json();
    assert_eq!(refusal(&run()), "NotConfirmed");
    // Another file by the same name has not been confirmed.
    fs::remove_file(scene.root().join("a")).unwrap();
    scene.file("b", 20);
    scene.file("a", 20);
    assert_eq!(refusal(&run()), "NotConfirmed");
    assert_eq!(run()["logs"]["totals"]["removed"], 2);
    assert_eq!(scene.left(), set([]));
}

#[test]
fn a_run_keeps_its_limits() {
    let scene = Scene::new();
    scene.files(10);
    let report = scene.retention("run", OLD, &["--max-percent", "50"]).expect(0).json();
    assert_eq!(refusal(&report), "OverPercent");
    assert_eq!(scene.left().len(), 10);
    let report = scene.retention("run", OLD, &["--max-count", "3"]).expect(0).json();
    assert_eq!((refusal(&report), scene.left().len()), ("OverCount", 7));
    let report = scene.retention("run", OLD, &["--max-bytes", "12k"]).expect(0).json();
    assert_eq!((refusal(&report), scene.left().len()), ("OverBytes", 5));
    for number in 0..10 {
        scene.file(format!("new-{number}"), 0);
    }
    let report = scene.retention("run", OLD, &["--max-percent", "50"]).expect(0).json();
    assert_eq!((&report["logs"]["totals"]["removed"], scene.left().len()), (&json!(5), 10));
}

#[test]
fn the_disk_of_a_log_root_says_whether_there_is_a_need() {
    let scene = Scene::new();
    scene.files(3);
    let full = ["--filesystem", "logs:app", "--above", "99"];
    let report = scene.retention("run", OLD, &full).expect(0).json();
    assert_eq!(report["ending"]["reason"], "NotNeeded");
    assert!(text(&report["ending"]["message"]).starts_with("the filesystem of the log root app is "));
    assert_eq!((&report["logs"]["totals"]["notNeeded"], scene.left().len()), (&json!(3), 3));
    let told = scene.retention("run", OLD, &["--filesystem", "logs:ap", "--above", "1"]).expect(64).stderr;
    assert!(told.contains("there is no log root of this name; did you mean logs:app?"), "{told}");
    assert_eq!(scene.left().len(), 3);
    let report = scene.retention("run", OLD, &["--filesystem", "logs:app", "--until", "0"]).expect(0).json();
    assert_eq!((&report["logs"]["totals"]["removed"], scene.left().len()), (&json!(3), 0));
}

/// Looking at all processes takes longer than removing a few files, so one look serves many of them, whatever is measured
/// in between.
#[test]
fn a_run_towards_a_goal_does_not_look_at_all_processes_for_each_measurement() {
    let scene = Scene::new();
    scene.files(2_000);
    let goal = ["-vv", "--filesystem", "logs:app", "--until", "0"];
    let begun = Instant::now();
    let ended = scene.retention("run", OLD, &goal).expect(0);
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert_eq!((&ended.json()["logs"]["totals"]["removed"], scene.left().len()), (&json!(2_000), 0));
    // Plugins are shown what is in use, wishes are judged by it, and each second of the sweep begins with it.
    let looks = ended.stderr.matches("looked for files in use").count();
    assert!((3..=3 + seconds).contains(&looks), "{looks} looks in {seconds} s");
}

#[test]
fn a_signal_ends_a_run_after_the_file_under_way() {
    let scene = Scene::new();
    scene.files(200);
    let run = Running::start(scene.command("run", "builtin:log-retention", OLD, &["--pause", "20ms"]));
    until(|| scene.left().len() < 190);
    run.signal(Signal::TERM);
    let report = run.end().expect(1).json();
    scene.truth(&report);
    assert_eq!(report["ending"]["reason"], "Stopped");
    let totals = &report["logs"]["totals"];
    assert_eq!(number(&totals["removed"]), 200 - scene.left().len());
    assert_eq!((number(&totals["notAttempted"]), &totals["failed"]), (scene.left().len(), &json!(0)));
    let next = scene.retention("run", OLD, &[]).expect(0).json();
    assert!(next["interrupted"].is_null(), "it was not cut off, it ended");
    assert_eq!(scene.left(), set([]));
}

#[test]
fn a_run_that_is_killed_leaves_nothing_half_done_and_is_known_to_the_next() {
    let scene = Scene::new();
    scene.files(200);
    let run = Running::start(scene.command("run", "builtin:log-retention", OLD, &["--pause", "20ms"]));
    until(|| scene.left().len() < 190);
    run.kill();
    let before = scene.left().len();
    let next = scene.retention("run", OLD, &[]).expect(0).json();
    scene.truth(&next);
    assert_eq!(next["interrupted"]["logs"], 200);
    assert_eq!(number(&next["logs"]["totals"]["removed"]), before, "also what was taken aside");
    assert_eq!(scene.left(), set([]));
}

#[test]
fn a_kubelet_in_a_nested_pid_namespace_does_not_prove_that_all_processes_are_seen() {
    const TEST: &str = "a_kubelet_in_a_nested_pid_namespace_does_not_prove_that_all_processes_are_seen";
    let scene = Scene::new();
    let held = File::open(scene.file("held.log", 20)).unwrap();
    let kubelet = scene.path("kubelet");
    fs::copy("/bin/sleep", &kubelet).unwrap();
    let plan = |more: &[&str]| {
        let mut plan = policy("plan", "builtin:log-retention", OLD);
        plan.arg(format!("--log-root=app={}", scene.root().display())).arg("--state-dir").arg(scene.path("state"));
        plan.args(["--endpoint", "none", "-o", "json", "--settle-time", "0s"]).args(more);
        let mut nested = Command::new("unshare");
        nested.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", "\"$0\" 1000 & \"$@\""]);
        nested.arg(&kubelet).arg(plan.get_program()).args(plan.get_args());
        nested.envs(plan.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ended = nested.output().unwrap();
        serde_json::from_slice::<Value>(&ended.stdout).map_err(|_| String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let nests = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    if !nests.is_ok_and(|output| output.status.success()) {
        return holystone_tests::missing(TEST, "unshare does not work, or not without root").unwrap();
    }
    let report = plan(&[]).unwrap();
    assert_eq!(refusal(&report), "MayBeOpen", "{report:#}");
    assert_eq!(plan(&["--trust-pid-namespace"]).unwrap()["logs"]["totals"]["planned"], 1, "the operator says so");
    drop(held);
}

/// Runs the binary so that the system kills it at its first removal of a name in the log root.
fn killed_between_the_two_calls(scene: &Scene) -> bool {
    let run = scene.command("run", "builtin:log-retention", OLD, &[]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-P"]).arg(scene.root());
    strace.args(["-e", "trace=unlinkat", "-e", "inject=unlinkat:signal=KILL:when=1"]);
    strace.arg(run.get_program()).args(run.get_args()).env_clear();
    strace.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let status = strace.stdin(std::process::Stdio::null()).output().map(|output| output.status);
    status.is_ok_and(|status| std::os::unix::process::ExitStatusExt::signal(&status) == Some(9))
}

#[test]
fn a_file_that_a_killed_run_took_aside_is_found_by_the_next() {
    const TEST: &str = "a_file_that_a_killed_run_took_aside_is_found_by_the_next";
    let works = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        return holystone_tests::missing(TEST, "strace is not installed, or may not trace here").unwrap();
    }
    for is_taken in [false, true] {
        let scene = Scene::new();
        scene.file("a.log.1", 20);
        assert!(killed_between_the_two_calls(&scene), "it was killed");
        let left = scene.left().into_iter().next().unwrap();
        assert!(left.starts_with(".holystone-") && left.ends_with(".a.log.1"), "{left}");
        if is_taken {
            scene.file("a.log.1", 0);
        }
        // A run that has nothing to do with such files finds it all the same.
        let nothing = r#"{"rules":[{"files":["no/such/file"],"maxAge":"7d"}]}"#;
        let report = scene.retention("run", nothing, &[]).expect(0).json();
        let told = report["notices"].to_string();
        let end = if is_taken { "its removal is finished" } else { "it has its name back" };
        assert!(told.contains("app:a.log.1: an interrupted run") && told.contains(end), "{told}");
        assert_eq!(scene.left(), set(["a.log.1"]));
        assert_eq!(fs::metadata(scene.root().join("a.log.1")).unwrap().len(), 5_000);
        assert!(!scene.path("state/aside.json").exists());
        let again = scene.retention("run", nothing, &[]).expect(0).json();
        assert!(!again["notices"].to_string().contains("an interrupted run"), "it is told once: {again:#}");
        let goes = scene.retention("run", OLD, &[]).expect(0).json();
        assert_eq!(goes["logs"]["totals"]["removed"], u64::from(!is_taken));
        assert!(!scene.path("state/aside.json").exists(), "a run that ends leaves nothing to look for");
    }
}

#[test]
fn by_default_what_has_just_arrived_stays() {
    let scene = Scene::new();
    scene.file("unpacked.log", 20);
    let run = |more: &[&str]| {
        let mut command = policy("run", "builtin:log-retention", OLD);
        command.arg(format!("--log-root=app={}", scene.root().display())).arg("--state-dir").arg(scene.path("state"));
        end(command.args(["--endpoint", "none", "-o", "json", "--unknown-open-age", "0s"]).args(more)).expect(0).json()
    };
    let report = run(&[]);
    assert_eq!(refusal(&report), "Unsettled");
    let message = text(&report["logs"]["refusals"][0]["refusal"]["message"]);
    assert!(message.contains("though its content is dated"), "{message}");
    assert_eq!(scene.left(), set(["unpacked.log"]));
    assert_eq!(run(&["--settle-time", "0s"])["logs"]["totals"]["removed"], 1);
}

#[test]
fn a_run_over_its_time_limit_reports_what_it_did() {
    let scene = Scene::new();
    scene.files(500);
    let more = ["--pause", "10ms", "--time-limit", "1500ms"];
    let report = scene.retention("run", OLD, &more).expect(1).json();
    scene.truth(&report);
    assert_eq!(report["ending"]["reason"], "TimeLimit");
    let removed = number(&report["logs"]["totals"]["removed"]);
    assert_eq!(removed, 500 - scene.left().len());
    assert!(removed > 0 && removed < 500, "{removed}");
}

#[test]
fn a_run_ends_when_one_removal_after_the_other_fails() {
    let scene = Scene::new();
    scene.files(100);
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(scene.root(), fs::Permissions::from_mode(0o555)).unwrap();
    } else if !immutable(&scene.root(), true) {
        println!("SKIPPED a directory that nobody may change: this filesystem has none");
        return;
    }
    let ended = scene.retention("run", OLD, &[]);
    immutable(&scene.root(), false);
    fs::set_permissions(scene.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let report = ended.expect(1).json();
    scene.truth(&report);
    assert_eq!(report["ending"]["reason"], "LogsFailing");
    let totals = &report["logs"]["totals"];
    assert_eq!((&totals["failed"], &totals["notAttempted"], &totals["removed"]), (&json!(20), &json!(80), &json!(0)));
    assert_eq!(scene.left().len(), 100);
    let failed = report["logs"]["steps"].as_array().unwrap().iter().filter(|step| step["result"] == "failed");
    assert_eq!(failed.count(), 20);
}

/// Lets nobody change a directory, the superuser included. Not every filesystem knows that.
fn immutable(path: &Path, on: bool) -> bool {
    let flag = if on { "+i" } else { "-i" };
    Command::new("chattr").arg(flag).arg(path).output().is_ok_and(|output| output.status.success())
}

#[test]
fn two_runs_at_once_do_not_get_into_each_others_way() {
    let scene = Scene::new();
    scene.files(200);
    let first = Running::start(scene.command("run", "builtin:log-retention", OLD, &["--pause", "5ms"]));
    until(|| scene.left().len() < 190);
    let told = scene.retention("run", OLD, &[]).expect(2).stderr;
    assert!(told.contains("another run"), "{told}");
    let second = scene.retention("run", OLD, &["--wait", "1m"]).expect(0).json();
    let first = first.end().expect(0).json();
    assert_eq!(first["logs"]["totals"]["removed"], 200);
    assert_eq!(second["logs"]["totals"]["planned"], 0);
    assert_eq!(scene.left(), set([]));
}

/// The node of the simulated runtime, with the logs of one of its pods and of one that is gone.
struct Pods {
    node: TestNode,
    scene: Scene,
    alive: String,
}

const GONE: &str = "shop_old_ffffffff-4b5a-6978-8695-a4b3c2d1e0f0";
/// What the kubelet rotated.
const ROTATED: &str = "main/0.log.20260102-030405.gz";

impl Pods {
    fn new(faults: Faults) -> Self {
        let node = TestNode::small(faults);
        let pod = crate::simulated::small().sandboxes[0].pod.clone();
        let alive = format!("{}_{}_{}", pod.namespace, pod.name, pod.uid);
        let scene = Scene::new();
        for pod in [&alive, GONE] {
            scene.file(format!("pods/{pod}/main/0.log"), 20);
            scene.file(format!("pods/{pod}/{ROTATED}"), 20);
        }
        Self { node, scene, alive }
    }

    fn command(&self, plugin: &str, config: &str) -> Command {
        let mut command = policy("run", plugin, config);
        self.scene.on(&mut command).args(["--endpoint", &self.node.endpoint(), "-o", "json"]);
        command
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_of_pods_that_exist_are_the_kubelets_to_care_for() {
    let pods = Pods::new(Faults::none());
    let report = end(&mut pods.command("builtin:log-retention", OLD)).expect(0).json();
    pods.scene.truth(&report);
    assert_eq!(pods.scene.left(), set([&format!("pods/{}/main/0.log", pods.alive)]));
    assert_eq!(refusal(&report), "LiveContainerLog");
    assert!(pods.node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_runtime_is_gone_every_pod_exists() {
    // It answers the first look, and no other.
    let faults = Faults::none().later_errors(1, Method::ListImages, Code::Unavailable, "gone");
    let pods = Pods::new(faults);
    let report = end(&mut pods.command("builtin:log-retention", OLD)).expect(0).json();
    pods.scene.truth(&report);
    assert!(pods.scene.left().contains(&format!("pods/{GONE}/main/0.log")), "{report:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_and_logs_are_swept_in_one_run_in_the_order_of_the_plugins() {
    let pods = Pods::new(Faults::none());
    let images = (Path::new("builtin:unused-images"), crate::simulated::CONFIG);
    let logs = (Path::new("builtin:log-retention"), OLD);
    let mut command = crate::support::deciding("run", &[logs, images]);
    pods.scene.on(&mut command).args(["--endpoint", &pods.node.endpoint(), "-o", "json", "-v"]);
    let ended = end(&mut command).expect(0);
    let report = pods.node.truth(&ended);
    pods.scene.truth(&report);
    assert_eq!((&report["images"]["totals"]["removed"], &report["logs"]["totals"]["removed"]), (&json!(4), &json!(3)));
    let first = |what: &str| ended.stderr.find(what).unwrap_or_else(|| panic!("{}", ended.stderr));
    assert!(first("log=") < first("image="), "{}", ended.stderr);
}

#[test]
fn without_a_runtime_the_live_logs_of_static_pods_stay() {
    let scene = Scene::new();
    let pods = [
        ("kube-system_etcd-n1_etcd-static-7", "Obstacle"),
        ("kube-system_etcd-n1_0123456789abcdef0123456789abcdef", "PodUnknown"),
        ("kube-system_etcd-n1_etcd_static_7", "Obstacle"),
        ("kube-system_etcd-n1_7", "Obstacle"),
    ];
    for (pod, _) in pods {
        scene.file(format!("{pod}/etcd/0.log"), 30);
        scene.file(format!("{pod}/etcd/0.log.20260102-030405"), 30);
    }
    scene.file("my_app_server/x/app.log", 30);
    let report = scene.retention("run", OLD, &[]).expect(0).json();
    scene.truth(&report);
    let live: BTreeSet<String> = pods.iter().map(|(pod, _)| format!("{pod}/etcd/0.log")).collect();
    assert_eq!(scene.left(), live, "{report:#}");
    let refusals = report["logs"]["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), pods.len());
    assert!(refusals.iter().all(|refused| refused["refusal"]["code"] == "LiveContainerLog"), "{refusals:#?}");
    for (pod, code) in pods {
        for directory in [pod.to_owned(), format!("{pod}/etcd")] {
            assert_eq!(refusal(&scene.wish("log-directory", &directory, "remove")), code, "{directory}");
        }
    }
    assert_eq!(scene.left(), live);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_of_real_pods_go_with_the_pod() -> anyhow::Result<()> {
    on_each_containerd("the_logs_of_real_pods_go_with_the_pod", async |containerd| {
        let tag = "docker.io/minchou/web:1";
        containerd.import(&[pause_image()?, sleep_image(tag)?]).await?;
        let cri = containerd.cri()?;
        let (alive, ended) = (cri.run_pod("alive").await?, cri.run_pod("ended").await?);
        for pod in [&alive, &ended] {
            cri.running_container(pod, &ContainerSpec::new("main", tag)).await?;
        }
        cri.remove_pod(&ended.id).await?;
        let live = |pod: &Pod| Path::new(&pod.config.log_directory).join("main/0.log");
        let rotated = |pod: &Pod| Path::new(&pod.config.log_directory).join(ROTATED);
        assert!(live(&alive).exists() && live(&ended).exists(), "the runtime writes logs, and leaves them");
        for pod in [&alive, &ended] {
            fs::write(rotated(pod), "rotated")?;
            for log in [live(pod), rotated(pod)] {
                File::options().append(true).open(log)?.set_modified(SystemTime::now() - 20 * DAY)?;
            }
        }
        let run = |plugin: &Path, config: &str| {
            let mut command = policy("run", plugin, config);
            on(&mut command, &containerd.endpoint())
                .args(["-o", "json", "--unknown-open-age", "0s", "--settle-time", "0s"])
                .args(ALL);
            let root = containerd.pod_logs().canonicalize().unwrap();
            end(command.arg(format!("--log-root=app={}", root.display()))).expect(0).json()
        };
        // The plugin sees that the runtime holds the live log open; a worse one wishes it all the same.
        let report = run(Path::new("builtin:log-retention"), OLD);
        assert!(live(&alive).exists() && !rotated(&alive).exists(), "{report:#}");
        assert!(!live(&ended).exists() && !rotated(&ended).exists(), "{report:#}");
        assert_eq!(report["logs"]["totals"]["removed"], 3);
        fs::write(live(&alive), "a line")?;
        let path = live(&alive).strip_prefix(containerd.pod_logs())?.to_str().unwrap().to_owned();
        for verb in ["remove", "truncate"] {
            let wish = json!({ "target": "log-file", "root": "app", "name": path, "verb": verb });
            let report = run(misbehave(), &json!({ "do": "wish", "wishes": [wish] }).to_string());
            assert_eq!(refusal(&report), "LiveContainerLog");
        }
        assert_eq!(fs::read_to_string(live(&alive))?, "a line");
        containerd.close()
    })
    .await
}

/// Waits for something to come true.
fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_mins(1), "it does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}
