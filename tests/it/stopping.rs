//! Runs that do not come to their own end, on a simulated node: asked to end by a signal, over their time limit, kept
//! out by another run, or killed at any step and even in the middle of writing down the state.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use holystone_node::Faults;
use holystone_node::simulated::{Method, Moment};
use rustix::process::Signal;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::simulated::{CONFIG, OLD, SMALL, TestNode, container_of, id, planned, results, small_planned};
use crate::support::{Running, end, result, sweep, text};
use crate::terminal::Asking;

const SIGNALS: [Signal; 2] = [Signal::TERM, Signal::INT];
/// How long an end may take that is to be at once, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Slow enough for a test to notice that removals are under way.
fn slow_removals() -> Faults {
    Faults::none().latency(Method::RemoveImage, Duration::from_millis(300))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_lets_what_is_under_way_end_and_starts_nothing_more() {
    for signal in SIGNALS {
        let node = TestNode::start(slow_removals());
        let mut run = node.start_run(&["--concurrency", "4"]);
        node.until(&mut run, || node.simulated.calls(Method::RemoveImage) >= 6).await;
        run.signal(signal);
        let ended = run.end().expect(1);
        let report = node.truth(&ended);
        assert_eq!(report["ending"]["reason"], "Stopped");
        // All that was asked for was waited for, and is told.
        let asked = node.simulated.calls(Method::RemoveImage);
        assert_eq!(report["images"]["totals"]["removed"], asked);
        assert_eq!(node.gone().len() as u64, asked);
        assert!(results(&report).iter().all(|result| result == "removed" || result == "notAttempted"));
        assert_eq!(node.remembered()["lastRun"]["ending"]["reason"], "Stopped");

        node.simulated.change_faults(Faults::none());
        let next = node.run(&[]).expect(0).json();
        assert!(next["interrupted"].is_null(), "it was not cut off, it ended");
        assert_eq!(node.gone(), planned());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_when_everything_is_under_way_changes_nothing() {
    let node = TestNode::small(slow_removals());
    let mut run = node.start_run(&[]);
    node.until(&mut run, || node.simulated.calls(Method::RemoveImage) == 4).await;
    run.signal(Signal::TERM);
    let report = node.truth(&run.end().expect(0));
    assert!(report["ending"].is_null());
    assert_eq!(node.gone(), small_planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_run_at_once_with_a_report() {
    for signal in SIGNALS {
        let node = TestNode::small(Faults::none().hanging(id(OLD)));
        let mut run = node.start_run(&[]);
        node.until(&mut run, || node.simulated.removals().len() == 4).await;
        run.signal(signal);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!run.is_over(), "the first signal lets it finish");
        let start = Instant::now();
        run.signal(signal);
        let report = node.truth(&run.end().expect(1));
        assert!(start.elapsed() < AT_ONCE);
        assert_eq!(report["ending"]["reason"], "Stopped");
        assert!(
            text(&result(&report, &id(OLD))["detail"]).contains("the run was asked to end before the runtime answered")
        );
        assert_eq!(node.gone(), &small_planned() - &BTreeSet::from([id(OLD)]));
        assert_eq!(report["images"]["totals"]["removed"], 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_a_last_look_that_hangs_as_well() {
    let node = TestNode::small(Faults::none().hang(Method::ListImages, 3));
    let mut run = node.start_run(&[]);
    node.until_called(&mut run, Method::ListImages, 3).await;
    let start = Instant::now();
    run.signal(Signal::TERM);
    // Two that come together may be taken for one.
    tokio::time::sleep(Duration::from_millis(100)).await;
    run.signal(Signal::TERM);
    let report = node.truth(&run.end().expect(1));
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    assert_eq!(results(&report), ["failed"; 4], "whether they are gone is unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_before_the_first_removal_leaves_everything_untouched() {
    for signal in SIGNALS {
        for method in [Method::Version, Method::ListImages, Method::ContainerStatus] {
            let node = TestNode::small(Faults::none().hang(method, 1));
            let mut run = node.start_run(&[]);
            node.until_called(&mut run, method, 1).await;
            run.signal(signal);
            let error = node.untouched(run.end());
            assert!(error.contains("nothing was touched: the run was asked to end"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_the_second_look_is_a_run_that_removed_nothing() {
    let node = TestNode::small(Faults::none().hang(Method::ListContainers, 2));
    let mut run = node.start_run(&[]);
    node.until_called(&mut run, Method::ListContainers, 2).await;
    run.signal(Signal::TERM);
    let report = node.truth(&run.end().expect(1));
    assert_eq!(results(&report), ["notAttempted"; 4]);
    assert!(node.simulated.removals().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_at_the_question_is_a_no() {
    let node = TestNode::small(Faults::none());
    let asking = Asking::start(&node.command(&[]));
    asking.signal(Signal::TERM);
    let ended = asking.rest().expect(2);
    assert!(ended.stderr.contains("nothing was touched"), "{}", ended.stderr);
    assert!(node.simulated.removals().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limit_ends_a_run_with_what_it_did() {
    let node = TestNode::start(slow_removals());
    let start = Instant::now();
    let report = node.truth(&node.run(&["--concurrency", "2", "--time-limit", "3s"]).expect(1));
    assert!(start.elapsed() < Duration::from_secs(3) + AT_ONCE);
    assert_eq!(report["ending"]["reason"], "TimeLimit");
    assert!(!node.gone().is_empty() && node.gone().is_subset(&planned()));
    assert!(report["images"]["steps"].as_array().unwrap().iter().any(|step| step["result"] == "notAttempted"));

    let limit = node.run(&["--time-limit", "0s"]);
    assert!(limit.expect(2).stderr.contains("nothing was touched"));
}

/// Images that are still listed are looked for several times; a slow runtime must not make that endless.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_looks_are_within_the_time_limit_together() {
    let slow = Faults::none().sticky(id(OLD)).latency(Method::ListPodSandbox, Duration::from_millis(800));
    let node = TestNode::small(slow);
    let start = Instant::now();
    let report = node.truth(&node.run(&["--time-limit", "3s"]).expect(1));
    assert!(start.elapsed() < Duration::from_secs(3) + AT_ONCE);
    assert!(!node.gone().contains(&id(OLD)));
    assert!(["failed", "stillListed"].contains(&text(&result(&report, &id(OLD))["result"]).as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_dies_with_a_killed_holder_and_its_text_is_in_nobodys_way() {
    let node = TestNode::small(Faults::none().hang(Method::ListImages, 1));
    let mut holder = node.start_run(&[]);
    node.until_called(&mut holder, Method::ListImages, 1).await;
    let lock = node.state_dir().join("lock");
    assert_eq!(std::fs::read_to_string(&lock).unwrap(), holder.id().to_string());
    let mut waiting = node.start_run(&["--wait", "5m"]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_over());
    assert_eq!(node.simulated.calls(Method::ListImages), 1, "it does not even look");
    holder.kill();
    node.truth(&waiting.end().expect(0));
    assert_eq!(node.gone(), small_planned());

    for text in ["4294967295", "not a number \u{1b}[31m", &"9".repeat(10_000), ""] {
        std::fs::write(&lock, text).unwrap();
        node.run(&[]).expect(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_the_lock_ends_by_patience_time_limit_or_signal() {
    let node = TestNode::small(Faults::none().hang(Method::ListImages, 1));
    let mut holder = node.start_run(&[]);
    node.until_called(&mut holder, Method::ListImages, 1).await;
    let leaves = |more: &[&str]| node.untouched(node.run(more));
    assert!(leaves(&[]).contains(&format!("process {} holds", holder.id())));
    assert!(leaves(&["--wait", "300ms"]).contains("wait for it with --wait"));
    assert!(leaves(&["--wait", "5m", "--time-limit", "300ms"]).contains("the time limit of the run, 300ms"));
    let waiting = node.start_run(&["--wait", "5m"]);
    // It listens before it waits.
    tokio::time::sleep(Duration::from_secs(1)).await;
    waiting.signal(Signal::TERM);
    assert!(node.untouched(waiting.end()).contains("asked to end"));
    holder.kill();
}

/// One call at a time, so that every run makes the same calls in the same order.
const ONE_BY_ONE: [&str; 2] = ["--concurrency", "1"];

/// The node stops answering at a call, and the run is killed there; then another run comes.
async fn killed_at(call: u64) -> bool {
    let node = TestNode::small(Faults::none().halt(call));
    let mut run = node.start_run(&ONE_BY_ONE);
    let reached = loop {
        if node.simulated.all_calls() >= call {
            break true;
        }
        if run.is_over() {
            break false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    if !reached {
        run.end().expect(0);
        assert_eq!(node.gone(), small_planned());
        return false;
    }
    run.kill();
    the_next_run_goes_on(&node);
    true
}

/// Whatever a killed run left: the state is readable, the next run tells the truth about the killed one and does the
/// rest, and each image was removed once.
fn the_next_run_goes_on(node: &TestNode) {
    let gone = node.gone();
    assert!(gone.is_subset(&small_planned()));
    let begun = under_way(node);
    node.simulated.change_faults(Faults::none());
    let report = node.truth_since(&node.run(&ONE_BY_ONE).expect(0), &gone);
    assert_eq!(node.gone(), small_planned());
    if begun {
        let told = &report["interrupted"];
        assert_eq!((&told["planned"], &told["gone"]), (&4.into(), &gone.len().into()), "{told}");
        assert_eq!(told["left"], 4 - gone.len());
    } else {
        assert!(gone.is_empty(), "images were removed of which nothing was written down");
        assert!(report["interrupted"].is_null());
    }
    let removed: Vec<String> = node.simulated.removals().into_iter().filter_map(|removal| removal.image).collect();
    assert_eq!(removed.len(), removed.iter().collect::<BTreeSet<_>>().len(), "removed twice: {removed:?}");
    let state = node.remembered();
    assert!(state["underWay"].is_null());
    assert_eq!(state["lastRun"]["images"]["removed"], 4 - gone.len());
}

/// Whether a run that was cut off had written down that it was about to remove.
fn under_way(node: &TestNode) -> bool {
    node.state_dir().join("state.json").exists() && !node.remembered()["underWay"].is_null()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_at_any_call_is_finished_by_the_next() {
    let mut calls = 1;
    loop {
        // Each waits for the processes that it starts, on a thread of its own, while the nodes answer on others.
        let some: Vec<_> = (calls..calls + 4)
            .map(|call| spawn_blocking(move || Handle::current().block_on(killed_at(call))))
            .collect();
        let mut reached = true;
        for one in some {
            reached &= one.await.unwrap();
        }
        if !reached {
            break;
        }
        calls += 4;
    }
    assert!(calls > 25, "a run makes more than {calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_between_a_removal_and_its_answer_is_finished_by_the_next() {
    for tag in SMALL {
        let node = TestNode::small(Faults::none().silent(id(tag)));
        let mut run = node.start_run(&ONE_BY_ONE);
        node.until(&mut run, || node.gone().contains(&id(tag))).await;
        run.kill();
        the_next_run_goes_on(&node);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_are_killed_one_after_the_other_lose_nothing() {
    let node = TestNode::small(Faults::none());
    for removals in 1..=3 {
        let before = node.simulated.calls(Method::RemoveImage);
        node.simulated.change_faults(Faults::none().hang(Method::RemoveImage, before + 2));
        let mut run = node.start_run(&ONE_BY_ONE);
        node.until_called(&mut run, Method::RemoveImage, before + 2).await;
        run.kill();
        assert_eq!(node.gone().len(), removals);
        assert_eq!(node.remembered()["underWay"]["images"].as_array().unwrap().len(), 5 - removals);
    }
    node.simulated.change_faults(Faults::none());
    let report = node.run(&ONE_BY_ONE).expect(0).json();
    assert_eq!((&report["interrupted"]["planned"], &report["interrupted"]["gone"]), (&2.into(), &1.into()));
    assert_eq!(node.gone(), small_planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_protects_an_image_protects_it_after_a_kill_as_well() {
    let node = TestNode::small(Faults::none().hang(Method::RemoveImage, 1));
    let mut run = node.start_run(&ONE_BY_ONE);
    node.until_called(&mut run, Method::RemoveImage, 1).await;
    run.kill();
    node.simulated.change_faults(Faults::none().appearance(3, Moment::Before, container_of(OLD)));
    let report = node.truth(&node.run(&ONE_BY_ONE).expect(0));
    assert_eq!(report["interrupted"]["left"], 4);
    assert_eq!(node.gone(), &small_planned() - &BTreeSet::from([id(OLD)]));
}

/// Runs the binary so that the system kills it as it enters a call on one file, the n-th time.
fn killed_in(node: &TestNode, file: &Path, call: &str, time: u32) -> std::process::ExitStatus {
    let run = node.command(&ONE_BY_ONE);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-P"]).arg(file);
    // A call that names a file names it within its directory, one on an open file is known by its whole path.
    strace.arg("-P").arg(file.file_name().expect("a name"));
    strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:signal=KILL:when={time}")]);
    strace.arg(run.get_program()).args(run.get_args()).env_clear();
    strace.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    strace.stdin(Stdio::null()).output().expect("strace starts").status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_the_state_is_written_leaves_the_old_one_or_the_new_one() -> anyhow::Result<()> {
    const TEST: &str = "a_kill_while_the_state_is_written_leaves_the_old_one_or_the_new_one";
    let works = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        return holystone_tests::missing(TEST, "strace is not installed, or may not trace here");
    }
    let calls = [
        ("openat", "state.json.new"),
        ("write", "state.json.new"),
        ("fsync", "state.json.new"),
        ("/^rename", "state.json.new"),
        ("fsync", ""),
    ];
    // Before the first removal, and after the last one.
    for time in [1, 2] {
        for (call, file) in calls {
            let node = TestNode::small(Faults::none());
            let old = jiff::Timestamp::now() - jiff::ToSpan::hours(3);
            node.remember_since(old);
            let path = if file.is_empty() { node.state_dir() } else { node.state_dir().join(file) };
            // The directory is opened, and synced, by nobody else.
            let status = killed_in(&node, &path, call, time);
            assert_eq!(status.signal(), Some(9), "{call} of {} was not made {time} times: {status}", path.display());
            assert_eq!(node.gone().is_empty(), time == 1, "{call}");
            assert_eq!(node.remembered()["since"], old.to_string(), "what was known is known");
            let report = node.run(&ONE_BY_ONE).expect(0).json();
            assert!(report["notices"].is_null(), "{}", report["notices"]);
            assert_eq!(node.gone(), small_planned());
            assert_eq!(node.simulated.removals().len(), 4, "each was removed once");
            assert!(!node.state_dir().join("state.json.new").exists());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_killed_leaves_nothing_behind() {
    let node = TestNode::small(Faults::none().hang(Method::ListPodSandbox, 1));
    let mut plan = Running::start(sweep("plan", "builtin:unused-images", CONFIG, &node.endpoint(), &[]));
    node.until_called(&mut plan, Method::ListPodSandbox, 1).await;
    plan.signal(Signal::TERM);
    plan.end();
    assert!(!node.state_dir().exists());
    let report: Value = end(&mut node.command(&[])).expect(0).json();
    assert!(report["interrupted"].is_null());
    assert_eq!(node.gone(), small_planned());
}
