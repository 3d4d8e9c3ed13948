//! What is remembered of a node from run to run, by the real binary on a simulated node: what it shows, what it decides,
//! and that nothing that is wrong with it ever costs an image.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use holystone_core::container::{Container, ImageMentions, Pod, Sandbox};
use holystone_core::state::State;
use holystone_node::{Faults, StateDir};
use holystone_tests::SmallDisk;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::simulated::{CONFIG, OLD, SMALL, TestNode, container_of, id, small, small_planned, starting_pod};
use crate::support::{Ended, end, holystone, policy, run, sweep, text, unused_images};

/// The rail that asks for the age of images, at its default.
const MIN_AGE: [&str; 2] = ["--min-age", "10m"];

fn codes(report: &Value) -> Vec<String> {
    report["images"]["refusals"].as_array().unwrap().iter().map(|it| text(&it["refusal"]["code"])).collect()
}

fn state(directory: &Path, format: &str) -> Ended {
    end(holystone().args(["state", "-o", format, "--state-dir"]).arg(directory))
}

/// Everything in a directory, with its content.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut contents: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    contents.sort();
    contents
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_first_sight_of_a_node_no_image_is_young() {
    let node = TestNode::small(Faults::none());
    let report = node.truth(&node.run(&MIN_AGE).expect(0));
    assert_eq!(node.gone(), small_planned(), "{}", report["images"]["refusals"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_comes_later_is_young_at_first() {
    let node = TestNode::small(Faults::none());
    node.run(&[&MIN_AGE[..], &["--protect", "*"]].concat()).expect(0);
    let mut new = small().images.into_iter().find(|image| image.id.as_str() == id(OLD)).unwrap();
    assert!(node.simulated.remove_image(&id(OLD)));
    node.run(&[&MIN_AGE[..], &["--protect", "*"]].concat()).expect(0);
    new.repo_digests.clear();
    node.simulated.add_image(new);
    let report = node.truth(&node.run(&MIN_AGE).expect(0));
    assert_eq!(codes(&report), ["TooYoung"]);
    assert_eq!(node.gone(), &small_planned() - &BTreeSet::from([id(OLD)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn ages_survive_runs_and_show_wherever_one_looks() {
    let node = TestNode::small(Faults::none());
    node.run(&["--protect", "*"]).expect(0);
    let first = node.remembered();
    node.run(&["--protect", "*"]).expect(0);
    let second = node.remembered();
    assert_ne!(first["writtenAt"], second["writtenAt"]);
    let image = |state: &Value| state["images"][id(OLD)].clone();
    assert_eq!(image(&first), image(&second), "it was first seen once");
    assert_eq!(first["since"], image(&first)["first"]);

    let yaml: Value = serde_saphyr::from_str(&state(&node.state_dir(), "yaml").expect(0).stdout).unwrap();
    assert_eq!(yaml, second);
    let table = state(&node.state_dir(), "table").expect(0).stdout;
    let day = &text(&second["since"])[..10];
    let called = format!("{OLD} ({})", &id(OLD)[7..19]);
    for words in [&format!("remembered since {day}"), &called, "never", "unused-images 2×", "The last run ended at"] {
        assert!(table.contains(words), "{words} is missing: {table}");
    }

    let mut snapshot = holystone();
    snapshot.args(["snapshot", "--endpoint", &node.endpoint(), "--state-dir"]).arg(node.state_dir());
    let snapshot = end(&mut snapshot).expect(0).json();
    assert_eq!(snapshot["memory"]["since"], second["since"]);
    for image in snapshot["images"].as_array().unwrap() {
        assert_eq!(image["firstSeen"], second["images"][text(&image["id"])]["first"]);
        let used = ["docker.io/library/nginx:1.27.4", "docker.io/minchou/rollout:v1.11.4"];
        let is_used = used.iter().any(|tag| text(&image["id"]) == id(tag));
        assert_eq!(image["lastUsed"].is_string(), is_used || text(&image["id"]) == id("registry.k8s.io/pause:3.9"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_by_age_act_once_a_node_is_known_for_long_enough() {
    for field in ["maxAge", "unusedFor"] {
        let config = json!({"repositories": ["docker.io/minchou/*"], field: "30d"}).to_string();
        let node = TestNode::small(Faults::none());
        let go = |node: &TestNode| node.truth(&unused_images("run", &node.endpoint(), &config, &[]).expect(0));
        assert_eq!(go(&node)["images"]["totals"]["planned"], 0, "{field}: first seen a moment ago");
        node.remember_since(Timestamp::now() - (29 * 24).hours());
        assert_eq!(go(&node)["images"]["totals"]["planned"], 0, "{field}: not long enough");
        node.remember_since(Timestamp::now() - (31 * 24).hours());
        assert_eq!(node.plan(&config, &[])["images"]["totals"]["planned"], 4, "a plan comes to the same");
        go(&node);
        assert_eq!(node.gone(), small_planned(), "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_until_now_is_not_unused_for_long() {
    let config = json!({"repositories": ["docker.io/minchou/*"], "unusedFor": "30d"}).to_string();
    let node = TestNode::small(Faults::none());
    node.remember_since(Timestamp::now() - (31 * 24).hours());
    // Its container is seen once and has gone by the next run.
    node.simulated.add_container(container_of(OLD));
    node.run(&["--protect", "*"]).expect(0);
    assert!(node.simulated.remove_container("late"));
    node.truth(&unused_images("run", &node.endpoint(), &config, &[]).expect(0));
    assert_eq!(node.gone(), &small_planned() - &BTreeSet::from([id(OLD)]));
}

/// States that are of no use, with words of what is told about each.
fn useless_states(good: &State) -> Vec<(&'static str, Vec<u8>)> {
    let good_text = good.to_json().unwrap();
    let with = |field: &str, value: Value| {
        let mut state: Value = serde_json::from_slice(&good_text).unwrap();
        state[field] = value;
        serde_json::to_vec(&state).unwrap()
    };
    vec![
        ("cannot be read", Vec::new()),
        ("cannot be read", b"\x00\xff\x1b[31mgarbage".to_vec()),
        ("cannot be read", good_text[..good_text.len() / 2].to_vec()),
        ("cannot be read", [&good_text[..], b"}"].concat()),
        ("cannot be read", with("images", json!({"a": {"first": "long ago"}}))),
        ("cannot be read", with("since", json!(0))),
        ("surprise is no field", with("surprise", json!(true))),
        ("writtenAt is missing", with("writtenAt", Value::Null)),
        ("has format 3", with("format", json!(3))),
        ("has format 0", with("format", json!(0))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_no_use_is_told_makes_every_image_young_and_costs_none() {
    let mut node = small();
    node.taken_at = Timestamp::now() - (90 * 24).hours();
    node.sandboxes.push(starting_pod());
    let seed = node.normalize();
    let mut good = State::new(seed.taken_at);
    good.observe(&mut seed.clone());

    let by_age = json!({"repositories": ["docker.io/minchou/*"], "maxAge": "30d"}).to_string();
    for (words, text_of_state) in useless_states(&good) {
        let node = TestNode::seeded(seed.clone(), Faults::none());
        let state_dir = StateDir::make(&node.state_dir()).unwrap();
        fs::write(state_dir.file(), &text_of_state).unwrap();
        let shown = state(&node.state_dir(), "json").expect(2);
        assert!(shown.stderr.contains(words), "{words} is missing: {}", shown.stderr);

        // By the state that is lost all images are old.
        let report = node.truth(&unused_images("run", &node.endpoint(), &by_age, &MIN_AGE).expect(0));
        let notice = text(&report["notices"][0]);
        assert!(notice.contains(words) && notice.contains("ages are unknown"), "{notice}");
        let second = text(&report["notices"][1]);
        assert!(second.starts_with("what was remembered of this node was lost"), "{second}");
        assert!(!notice.contains('\u{1b}'));
        assert_eq!(report["images"]["totals"]["planned"], 0);

        fs::write(state_dir.file(), &text_of_state).unwrap();
        let report = node.truth(&node.run(&MIN_AGE).expect(0));
        assert_eq!(codes(&report), ["AgeLost"; 4]);
        assert!(node.gone().is_empty(), "{words}");
        state(&node.state_dir(), "json").expect(0);
        assert!(node.run(&MIN_AGE).expect(0).json()["notices"].is_null(), "it is told once");
    }

    // And by the state that is not lost they go.
    let node = TestNode::seeded(seed, Faults::none());
    StateDir::make(&node.state_dir()).unwrap().save(&good).unwrap();
    node.truth(&unused_images("run", &node.endpoint(), &by_age, &MIN_AGE).expect(0));
    assert_eq!(node.gone().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_in_the_table_and_on_standard_error_as_well() {
    let node = TestNode::small(Faults::none());
    StateDir::make(&node.state_dir()).unwrap();
    fs::write(node.state_dir().join("state.json"), "?").unwrap();
    let mut command = policy("run", "builtin:unused-images", CONFIG);
    command.args(["--protect", "*", "--endpoint", &node.endpoint(), "--state-dir"]).arg(node.state_dir());
    let ended = end(&mut command).expect(0);
    assert!(ended.stdout.contains("Note: the state ") && ended.stderr.contains("is damaged"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_cannot_be_trusted_or_used_is_no_run() {
    let node = TestNode::small(Faults::none());
    let path = |name: &str| node.directory().join(name);
    fs::write(path("file"), "precious").unwrap();
    fs::create_dir(path("open")).unwrap();
    fs::set_permissions(path("open"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir(path("real")).unwrap();
    symlink(path("real"), path("link")).unwrap();
    fs::create_dir_all(path("lockless/lock")).unwrap();
    let mut cases = vec![
        ("file", "not a directory"),
        ("file/beneath", "cannot be made"),
        ("open", "chmod 700"),
        ("link", "not a directory"),
        ("lockless", "its lock cannot be made"),
    ];
    if rustix::process::geteuid().is_root() {
        fs::create_dir(path("theirs")).unwrap();
        std::os::unix::fs::chown(path("theirs"), Some(65534), Some(65534)).unwrap();
        cases.push(("theirs", "it belongs to user 65534, not to user 0"));
    }
    for (name, words) in &cases {
        let error = node.untouched(node.run(&["--state-dir", &path(name).display().to_string()]));
        let names_it = error.contains(&path(name).display().to_string()) && error.contains("--state-dir");
        assert!(error.contains(words) && names_it, "{error}");
    }
    assert_eq!(node.simulated.all_calls(), 0, "the node is not even asked");
    for (name, _) in cases {
        let directory = path(name).display().to_string();
        // A plan knows no ages then, and says so.
        let mut plan = sweep("plan", "builtin:unused-images", CONFIG, &node.endpoint(), &["--state-dir", &directory]);
        let plan = end(&mut plan).expect(0);
        assert!(name == "lockless" || plan.stderr.contains("ages are unknown"), "{name}: {}", plan.stderr);
        let says_what_a_run_does = plan.stdout.contains("until that is mended a run ends with this error");
        assert_eq!(says_what_a_run_does, name != "lockless", "{name}: {}", plan.stdout);
    }
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "precious");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_is_named_by_an_absolute_path() {
    let node = TestNode::small(Faults::none());
    for relative in ["state", "./state", "../state", ""] {
        let ended = end(node.command(&["--state-dir", relative]).current_dir(node.directory())).expect(64);
        assert!(ended.stderr.contains("--state-dir"), "{}", ended.stderr);
    }
    assert!(node.simulated.removals().is_empty() && !node.directory().join("state").exists());
    let shown = run(&["state", "--state-dir", "state"]).expect(64);
    assert!(shown.stderr.contains("absolute"), "{}", shown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_a_users_state_is_in_the_users_home() {
    if rustix::process::geteuid().is_root() {
        // Root's is the node's own, which a test must not touch.
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let shown = end(holystone().arg("state").env("HOME", home.path()).env("XDG_STATE_HOME", "relative")).expect(2);
    let expected = home.path().join(".local/state/holystone").display().to_string();
    assert!(shown.stderr.contains(&expected), "{}", shown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_has_run_there_is_nothing_to_show() {
    let directory = tempfile::tempdir().unwrap();
    let missing = state(&directory.path().join("none"), "table").expect(2);
    assert!(missing.stderr.contains("nothing has run here yet"), "{}", missing.stderr);
    StateDir::make(&directory.path().join("empty")).unwrap();
    let empty = state(&directory.path().join("empty"), "table").expect(2);
    assert!(empty.stderr.contains("comes with the first run"), "{}", empty.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_the_run_takes_place_and_says_what_it_could_not_keep() -> anyhow::Result<()> {
    const TEST: &str = "on_a_full_disk_the_run_takes_place_and_says_what_it_could_not_keep";
    let Some(disk) = SmallDisk::mount(TEST, 64 << 10)? else { return Ok(()) };
    let state_dir = disk.path().join("state");
    let node = TestNode::small(Faults::none());
    let go = |more: &[&str]| node.run(&[&["--state-dir", state_dir.to_str().unwrap()], more].concat()).expect(0).json();
    go(&["--protect", "*"]);
    let before = contents(&state_dir);

    let filling = disk.fill()?;
    let report = go(&["--max-count", "2"]);
    assert_eq!(node.gone().len(), 2, "a full disk is when a cleaner is wanted");
    let notices = report["notices"].as_array().unwrap();
    assert!(!notices.is_empty() && text(&notices[0]).contains("the state could not be written"), "{notices:?}");
    let kept = fs::read(state_dir.join("state.json"))?;
    assert!(
        before.iter().any(|(name, content)| name.ends_with("state.json") && *content == kept),
        "the old one is kept"
    );

    fs::remove_file(filling)?;
    assert!(go(&[])["notices"].is_null());
    assert_eq!(node.gone(), small_planned());
    state(&state_dir, "json").expect(0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_has_just_come_stays_whatever_happens_to_the_state() {
    type Damage = fn(&Path);
    let young = id(OLD);
    let damages: [(&str, Damage); 5] = [
        ("cut off", |file| {
            let text = fs::read(file).unwrap();
            fs::write(file, &text[..text.len() / 2]).unwrap();
        }),
        ("garbage", |file| fs::write(file, "\u{0}?").unwrap()),
        ("another format", |file| fs::write(file, r#"{"format":9}"#).unwrap()),
        ("gone", |file| fs::remove_file(file).unwrap()),
        ("from the future", |file| {
            let mut state: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
            state["writtenAt"] = json!((Timestamp::now() + 20.minutes()).to_string());
            fs::write(file, state.to_string()).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let node = TestNode::small(Faults::none());
        let image = small().images.into_iter().find(|image| image.id.as_str() == young).unwrap();
        assert!(node.simulated.remove_image(&young));
        node.run(&[&MIN_AGE[..], &["--protect", "*"]].concat()).expect(0);
        node.simulated.add_image(image);
        node.run(&[&MIN_AGE[..], &["--protect", "*"]].concat()).expect(0);
        damage(&node.state_dir().join("state.json"));
        for _ in 0..2 {
            let report = node.run(&MIN_AGE).expect(0).json();
            assert!(node.gone().is_empty(), "{what}: {}", report["images"]["steps"]);
            assert_eq!(codes(&report), ["AgeLost"; 4], "{what}");
        }
        assert!(node.remembered()["since"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_a_state_is_kept_from_run_to_run() -> anyhow::Result<()> {
    const TEST: &str = "on_a_full_disk_a_state_is_kept_from_run_to_run";
    let Some(disk) = SmallDisk::mount(TEST, 64 << 10)? else { return Ok(()) };
    let state_dir = disk.path().join("state");
    let node = TestNode::small(Faults::none());
    own_pod(&node);
    let go = |more: &[&str]| {
        let all = [&["--state-dir", state_dir.to_str().unwrap(), "--pod-uid", "own"], &MIN_AGE[..], more].concat();
        node.run(&all).expect(0).json()
    };
    let image = small().images.into_iter().find(|image| image.id.as_str() == id(OLD)).unwrap();
    assert!(node.simulated.remove_image(&id(OLD)));
    go(&["--protect", "*"]);
    disk.fill()?;
    // It comes while nothing can be written, and so at every run after that.
    node.simulated.add_image(image);
    let first_seen = |report: &Value| {
        let young = report["images"]["refusals"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["wish"]["target"].to_string().contains(&id(OLD)));
        young.map(|it| (text(&it["refusal"]["code"]), text(&it["refusal"]["message"])))
    };
    let first = first_seen(&go(&[])).unwrap();
    assert_eq!(first.0, "TooYoung", "{first:?}");
    assert!(node.simulated.remove_container("own-container"));
    for _ in 0..2 {
        let report = go(&[]);
        assert_eq!(first_seen(&report).unwrap(), first, "it was first seen once");
        let notices = report["notices"].to_string();
        assert!(notices.contains("could not be written") && notices.contains("kept beside it"), "{notices}");
        assert_eq!(codes(&report).iter().filter(|code| *code == "Own").count(), 2, "{:?}", codes(&report));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_waits_for_ages_and_a_run_by_hand_does_not() {
    let manifest = |more: &str| {
        format!(
            "apiVersion: holystone.dev/v1alpha1\nkind: NodeCleanup\nmetadata: {{name: a}}\nspec:\n  mode: Enforce\n{more}  plugins:\n  - name: a\n    source: {{builtin: unused-images}}\n    capabilities: [images]\n    config: {{repositories: [docker.io/minchou/*], keepLast: 1}}\n"
        )
    };
    let run = |node: &TestNode, more: &str| {
        let path = node.directory().join("a.yaml");
        fs::write(&path, manifest(more)).unwrap();
        let mut command = holystone();
        command.args(["run", "-o", "json", "-f"]).arg(&path).arg("--cache-dir").arg(crate::support::cache());
        end(crate::support::on(&mut command, &node.endpoint())).expect(0).json()
    };
    let node = TestNode::small(Faults::none());
    let report = run(&node, "  schedule: '@hourly'\n");
    assert_eq!(codes(&report), ["AgeUnknown"; 4]);
    assert!(node.gone().is_empty());
    let notice = text(&report["notices"][0]);
    let begins = "4 images stay because this node has just been seen for the first time";
    assert!(notice.starts_with(begins) && notice.contains("minAge: 0s"), "{notice}");
    node.remember_since(Timestamp::now() - 10.minutes());
    assert!(run(&node, "  schedule: '@hourly'\n")["notices"].is_null());
    assert_eq!(node.gone(), small_planned(), "at a later tick");

    for more in ["", "  schedule: '@hourly'\n  guardRails: {minAge: 0s}\n"] {
        let node = TestNode::small(Faults::none());
        assert!(run(&node, more)["notices"].is_null());
        assert_eq!(node.gone(), small_planned(), "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_other_manifests_and_plugins_change_no_count() {
    let node = TestNode::small(Faults::none());
    let go = |file: &str| {
        let text = format!(
            "apiVersion: holystone.dev/v1alpha1\nkind: NodeCleanup\nmetadata: {{name: {file}}}\nspec:\n  mode: Enforce\n  guardRails: {{minAge: 0s, confirmations: 2}}\n  plugins:\n  - name: same\n    source: {{builtin: unused-images}}\n    capabilities: [images]\n    config: {{repositories: [docker.io/minchou/*], keepLast: 1}}\n"
        );
        let path = node.directory().join(file);
        fs::write(&path, text).unwrap();
        let mut command = holystone();
        command.args(["run", "-o", "json", "-f"]).arg(&path).arg("--cache-dir").arg(crate::support::cache());
        end(crate::support::on(&mut command, &node.endpoint())).expect(0).json()
    };
    assert_eq!(codes(&go("one")), ["NotConfirmed"; 4]);
    assert_eq!(codes(&go("two")), ["NotConfirmed"; 4], "a plugin of the same name");
    assert_eq!(codes(&node.run(&["--confirmations", "2"]).expect(0).json()), ["NotConfirmed"; 4]);
    assert!(node.gone().is_empty());
    let table = state(&node.state_dir(), "table").expect(0).stdout;
    assert!(table.contains("same of one 1×, same of two 1×"), "{table}");
    go("one");
    assert_eq!(node.gone(), small_planned(), "its own second run in a row");
}

/// A run in a time namespace, whose clock since boot is so many seconds off: to it the wall clock has jumped by as much.
fn run_elsewhen(node: &TestNode, offset: i64, more: &[&str]) -> Ended {
    let inner = node.command(more);
    let mut command = std::process::Command::new("unshare");
    command.args(["--time", "--boottime", &offset.to_string(), "--"]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    end(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_between_two_real_runs_is_told_and_makes_nothing_old() {
    const DAY: i64 = 24 * 60 * 60;
    let may = std::process::Command::new("unshare").args(["--time", "--boottime", "60", "true"]).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED a_clock_that_jumps_between_two_real_runs: time namespaces");
        return;
    }
    let keep = [&MIN_AGE[..], &["--protect", "*"]].concat();
    let notices = |report: &Value| report["notices"].to_string();
    // In the namespace a day has passed that the wall clock knows nothing of: it was set back.
    let node = TestNode::small(Faults::none());
    node.run(&keep).expect(0);
    let first = node.remembered()["since"].clone();
    let report = run_elsewhen(&node, DAY, &MIN_AGE).expect(0).json();
    assert!(notices(&report).contains("the clock was set back by 24h since the last run"), "{report}");
    assert_eq!(node.gone(), small_planned(), "a day has really passed");
    assert_ne!(node.remembered()["since"], first);

    // Then back: the time since boot stands still, and the wall clock has jumped ahead by nothing that passed.
    let node = TestNode::small(Faults::none());
    run_elsewhen(&node, 40 * DAY, &keep).expect(0);
    let report = run_elsewhen(&node, 41 * DAY, &keep).expect(0).json();
    assert!(notices(&report).contains("set back by 24h"), "{report}");
    let state_file = node.state_dir().join("state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&state_file).unwrap()).unwrap();
    // As if the last run had been forty days ago by the wall clock, and a moment ago by the other.
    for time in ["/writtenAt", "/clock/wall"] {
        let long_ago = text(state.pointer(time).unwrap()).parse::<Timestamp>().unwrap() - (40 * 24).hours();
        *state.pointer_mut(time).unwrap() = json!(long_ago.to_string());
    }
    state["since"] = state["writtenAt"].clone();
    for image in state["images"].as_object_mut().unwrap().values_mut() {
        image["first"] = json!(text(&json!((Timestamp::now() - (40 * 24).hours() - 1.minute()).to_string())));
    }
    fs::remove_file(node.state_dir().join("state.reserve")).unwrap();
    fs::write(&state_file, state.to_string()).unwrap();
    let report = run_elsewhen(&node, 41 * DAY, &MIN_AGE).expect(0).json();
    assert!(notices(&report).contains("the clock was set ahead by 9"), "{report}");
    assert_eq!(codes(&report), ["ClockNotTrusted"; 4]);
    assert!(node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_have_gone_are_forgotten() {
    let node = TestNode::small(Faults::none());
    node.run(&["--protect", "*:v1.0.1"]).expect(0);
    let known = |node: &TestNode| node.remembered()["images"].as_object().unwrap().len();
    assert_eq!(known(&node), 4, "what a run removed is not kept");
    assert!(node.simulated.remove_image(&id(SMALL[1])));
    node.run(&[]).expect(0);
    assert_eq!(known(&node), 3, "nor is what others removed");
    let state = node.remembered();
    assert!(state["confirmations"].is_null(), "{}", state["confirmations"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_never_writes() {
    let look = |node: &TestNode| {
        node.plan(CONFIG, &MIN_AGE);
        let mut snapshot = holystone();
        snapshot.args(["snapshot", "--endpoint", &node.endpoint(), "--state-dir"]).arg(node.state_dir());
        end(&mut snapshot).expect(0);
    };
    let node = TestNode::small(Faults::none());
    look(&node);
    assert!(!node.state_dir().exists());
    node.run(&["--protect", "*"]).expect(0);
    let before = contents(&node.state_dir());
    look(&node);
    state(&node.state_dir(), "table").expect(0);
    assert_eq!(contents(&node.state_dir()), before);
    for useless in ["", "{"] {
        fs::write(node.state_dir().join("state.json"), useless).unwrap();
        look(&node);
        assert_eq!(fs::read_to_string(node.state_dir().join("state.json")).unwrap(), useless);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_confirmations_take_three_runs() {
    let node = TestNode::small(Faults::none());
    let go = |more: &[&str]| node.run(&[&["--confirmations", "3"], more].concat()).expect(0).json();
    for _ in 0..2 {
        assert_eq!(codes(&go(&[])), ["NotConfirmed"; 4]);
    }
    // A plan is no run, and neither is a run of another plugin's wishes or one that is kept out.
    node.plan(CONFIG, &["--confirmations", "3"]);
    assert!(node.gone().is_empty());
    let other = json!({"repositories": ["docker.io/minchou/rollout:v1.0.3"]}).to_string();
    unused_images("run", &node.endpoint(), &other, &["--confirmations", "9"]).expect(0);
    let report = go(&[]);
    assert_eq!(codes(&report), ["NotConfirmed"; 3], "only one was wished in between");
    assert_eq!(node.gone(), BTreeSet::from([id(OLD)]));
    go(&[]);
    node.truth_since(&node.run(&["--confirmations", "3"]).expect(0), &BTreeSet::from([id(OLD)]));
    assert_eq!(node.gone(), small_planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_did_not_take_place_confirms_nothing() {
    let node = TestNode::small(Faults::none());
    let twice = ["--confirmations", "2"];
    node.run(&twice).expect(0);
    node.simulated.change_faults(Faults::none().hang(holystone_node::simulated::Method::Status, 2));
    node.run(&[&twice[..], &["--time-limit", "1s"]].concat()).expect(2);
    assert_eq!(node.remembered()["confirmations"][0]["images"][id(OLD)], 1);
    node.simulated.change_faults(Faults::none());
    node.truth(&node.run(&twice).expect(0));
    assert_eq!(node.gone(), small_planned());
}

/// The pod that Holystone runs in: its container is made of one image that the policy wants, and mounts another.
fn own_pod(node: &TestNode) {
    let pod = Pod { uid: "own".to_owned(), namespace: "node-ops".to_owned(), name: "holystone".to_owned() };
    node.simulated.add_sandbox(Sandbox { id: "own-sandbox".to_owned(), pod: pod.clone(), ..starting_pod() });
    node.simulated.add_container(Container {
        id: "own-container".to_owned(),
        sandbox_id: "own-sandbox".to_owned(),
        pod,
        image: ImageMentions { image_id: id(SMALL[0]), ..ImageMentions::default() },
        image_volumes: vec![SMALL[1].to_owned()],
        ..container_of("")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_images_stay_also_when_our_pod_has_gone() {
    let own = BTreeSet::from([id(SMALL[0]), id(SMALL[1])]);
    let node = TestNode::small(Faults::none());
    own_pod(&node);
    let in_pod = ["--pod-uid", "own", "--min-age", "10m"];
    let report = node.truth(&node.run(&in_pod).expect(0));
    assert_eq!(node.gone(), &small_planned() - &own, "our own pod, which has just started, makes no image young");
    assert_eq!(node.remembered()["ownImages"], json!(own));
    assert!(codes(&report).iter().all(|code| code == "InUse"), "{:?}", codes(&report));

    assert!(node.simulated.remove_container("own-container"));
    let gone = node.gone();
    // Without the pod, in another pod, and by hand.
    for more in [&["--pod-uid", "own"][..], &["--pod-uid", "next"], &[]] {
        let report = node.truth_since(&node.run(more).expect(0), &gone);
        assert_eq!(codes(&report), ["Own", "Own"], "{more:?}");
    }
    assert_eq!(node.gone(), &small_planned() - &own);
    let table = state(&node.state_dir(), "table").expect(0).stdout;
    assert_eq!(table.matches("(Holystone's own)").count(), 2, "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pod_of_others_makes_no_image_our_own() {
    let node = TestNode::small(Faults::none());
    own_pod(&node);
    node.run(&["--pod-uid", "another"]).expect(0);
    assert!(node.remembered()["ownImages"].as_array().unwrap().is_empty());
    assert!(node.simulated.remove_container("own-container"));
    node.run(&["--pod-uid", ""]).expect(0);
    assert_eq!(node.gone(), small_planned());
}

/// Daemons of a cluster have directories of their own on each node. Those of NodeCleanups that are gone go after a month.
#[tokio::test(flavor = "multi_thread")]
async fn records_of_daemons_that_are_gone_go_and_those_of_others_stay() {
    let node = TestNode::small(Faults::none());
    let daemons = node.state_dir().join("daemons");
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(40 * 24);
    let directory = |name: &str| StateDir::make(&daemons.join(name)).unwrap();
    // A mark of this age, and records that are older.
    let unclaimed = |name: &str, days: i64| {
        let directory = directory(name);
        directory.keep("daemon.json", b"{}").unwrap();
        directory.keep("unclaimed", (Timestamp::now() - (days * 24).hours()).to_string().as_bytes()).unwrap();
        let file = fs::File::options().write(true).open(daemons.join(name).join("daemon.json")).unwrap();
        file.set_modified(old).unwrap();
    };
    StateDir::make(&node.state_dir()).unwrap();
    for name in ["ops.gone", "ops.waits", "ops.new", "ops.lives"] {
        drop(directory(name).lock_daemon().unwrap());
    }
    let _living = directory("ops.lives").lock_daemon().unwrap();
    unclaimed("ops.gone", 31);
    unclaimed("ops.waits", 29);
    unclaimed("ops.lives", 31);
    let kept = || {
        let names = fs::read_dir(&daemons).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<String>>()
    };
    node.plan(CONFIG, &[]);
    assert_eq!(kept().len(), 4, "a plan touches nothing");
    node.run(&[]).expect(0);
    assert_eq!(kept(), ["ops.lives", "ops.new", "ops.waits"].map(str::to_owned).into());
    assert!(daemons.join("ops.new/unclaimed").exists(), "from now on it waits");
    assert!(daemons.join("ops.lives/daemon.json").exists());
    node.run(&[]).expect(0);
    assert_eq!(kept().len(), 3);
}
