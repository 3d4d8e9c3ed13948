//! What a runtime does wrong during a run, on a simulated node: errors of every code, calls that hang, answers that are
//! none, changes at the worst moment. Each time the node is asked whether what must stay is there, and whether the
//! report tells the truth.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use holystone_core::container::Container;
use holystone_core::snapshot::Snapshot;
use holystone_node::Faults;
use holystone_node::simulated::{Answer, Code, Method, Moment};
use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;

use crate::simulated::{OLD, TestNode, container_of, id, planned, results, small, small_planned, starting_pod};
use crate::support::{Ended, result, text};

/// What a look at a node with nothing new in it asks for.
const LISTS: [Method; 4] = [Method::ListImages, Method::ListContainers, Method::ListPodSandbox, Method::ListStream];
/// What the first look asks for besides.
const FIRST_LOOK_ONLY: [Method; 5] =
    [Method::Version, Method::Status, Method::ContainerStatus, Method::PodSandboxStatus, Method::ImageFsInfo];

/// How many runs go on at once.
const AT_A_TIME: usize = 8;

/// Runs on small nodes, each with faults of its own, some at a time.
fn run_each<T>(cases: impl IntoIterator<Item = (T, Faults)>, more: &[&str]) -> Vec<(T, TestNode, Ended)> {
    let mut cases = cases.into_iter();
    let mut ended = Vec::new();
    loop {
        let some = cases.by_ref().take(AT_A_TIME).map(|(case, faults)| {
            let node = TestNode::small(faults);
            let run = node.start_run(more);
            (case, node, run)
        });
        let running: Vec<_> = some.collect();
        if running.is_empty() {
            return ended;
        }
        ended.extend(running.into_iter().map(|(case, node, run)| (case, node, run.end())));
    }
}

fn ending(report: &Value) -> (String, String) {
    (text(&report["ending"]["reason"]), text(&report["ending"]["message"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_code_removals_fail_with_the_report_is_true() {
    let all = Code::ALL.map(|code| (code, Faults::none().error(Method::RemoveImage, code, "no")));
    for (code, node, ended) in run_each(all, &[]) {
        let report = node.truth(&ended);
        assert!(node.gone().is_empty(), "{code:?}");
        let expected = match code {
            // The runtime's own refusal; and what it says is gone while it lists it, which it keeps.
            Code::FailedPrecondition | Code::NotFound => "noLongerAllowed",
            _ => "failed",
        };
        assert_eq!(results(&report), [expected; 4], "{code:?}");
        if expected == "failed" {
            assert!(
                text(&report["images"]["steps"][0]["detail"]).starts_with(&format!("no ({code:?}; RemoveImage of ")),
                "{code:?}"
            );
        }
        let asked = if code == Code::Unavailable { 16 } else { 4 };
        assert_eq!(
            node.simulated.removals().len() + usize::try_from(node.simulated.calls(Method::RemoveImage)).unwrap(),
            asked,
            "{code:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_code_a_removal_fails_with_it_stops_no_other() {
    let one = Code::ALL.map(|code| (code, Faults::none().first_errors(1, Method::RemoveImage, code, "no")));
    for (code, node, ended) in run_each(one, &[]) {
        node.truth(&ended);
        let tried_again = code == Code::Unavailable;
        assert_eq!(node.gone().len(), if tried_again { 4 } else { 3 }, "{code:?}");
        assert!(node.gone().is_subset(&small_planned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_code_the_first_look_fails_with_nothing_is_touched() {
    let each = Code::ALL.map(|code| (code, Faults::none().error(Method::ListContainers, code, "no")));
    for (code, node, ended) in run_each(each, &[]) {
        let error = node.untouched(ended);
        assert!(error.contains("ListContainers") && error.contains(&format!("{code:?}: no")), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_code_the_second_look_fails_with_nothing_is_removed() {
    let codes = Code::ALL.map(|code| (Method::ListContainers, code));
    let lists = LISTS.map(|method| (method, Code::Internal));
    let each = codes.into_iter().chain(lists);
    let each = each.map(|(method, code)| ((method, code), Faults::none().later_errors(1, method, code, "no")));
    for ((method, code), node, ended) in run_each(each, &[]) {
        let report = node.truth(&ended);
        assert!(node.simulated.removals().is_empty() && node.gone().is_empty(), "{method:?} {code:?}");
        assert_eq!(results(&report), ["notAttempted"; 4]);
        let (reason, message) = ending(&report);
        assert_eq!(reason, "NodeUnseen");
        assert!(message.contains(&format!("{method:?}")) && message.contains(&format!("{code:?}: no")), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_container_or_pod_that_cannot_be_asked_about_stops_the_removals() {
    let elsewhere = container_of("docker.io/library/nginx:1.27.4");
    let new = Faults::none().appearance(2, Moment::Before, elsewhere);
    let node = TestNode::small(new.later_errors(2, Method::ContainerStatus, Code::Internal, "no"));
    let report = node.truth(&node.run(&[]));
    assert_eq!(ending(&report).0, "NodeUnseen");
    assert!(node.gone().is_empty());

    let faults = Faults::none().delay(Method::ListImages, 2, Duration::from_millis(300));
    let node = TestNode::small(faults.later_errors(2, Method::PodSandboxStatus, Code::Internal, "no"));
    let mut run = node.start_run(&[]);
    node.until_called(&mut run, Method::ListImages, 2).await;
    node.simulated.add_sandbox(starting_pod());
    let report = node.truth(&run.end());
    assert_eq!(ending(&report).0, "NodeUnseen");
    assert!(node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_look_that_hangs_ends_at_the_time_limit_with_nothing_touched() {
    let each = LISTS.iter().chain(&FIRST_LOOK_ONLY).map(|method| (method, Faults::none().hang(*method, 1)));
    for (method, node, ended) in run_each(each, &["--time-limit", "700ms"]) {
        let error = node.untouched(ended);
        assert!(error.contains("the time limit of the run, 700ms, was reached"), "{method:?}: {error}");
        assert!(!node.state_dir().join("state.json").exists(), "nor is anything remembered of it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_look_that_hangs_ends_at_the_time_limit_with_nothing_removed() {
    let each = LISTS.iter().map(|method| (method, Faults::none().hang(*method, 2)));
    for (method, node, ended) in run_each(each, &["--time-limit", "3s"]) {
        let report = node.truth(&ended);
        assert!(node.simulated.removals().is_empty(), "{method:?}");
        assert_eq!(results(&report), ["notAttempted"; 4]);
        assert_eq!(ending(&report).0, "TimeLimit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_hangs_costs_no_other_one_and_is_told() {
    let hanging = Faults::none().hanging(id(OLD));
    // Removed, and never said so.
    let silent = Faults::none().silent(id(OLD));
    for (is_gone, node, ended) in run_each([(false, hanging), (true, silent)], &["--time-limit", "3s"]) {
        let report = node.truth(&ended);
        assert_eq!(node.gone().contains(&id(OLD)), is_gone);
        assert_eq!(node.gone().len(), if is_gone { 4 } else { 3 });
        let step = result(&report, &id(OLD));
        if is_gone {
            // The last look shows what the runtime did not say.
            assert_eq!(step["result"], "removed");
        } else {
            assert_eq!(step["result"], "failed");
            let detail = text(&step["detail"]);
            assert!(detail.contains("before the runtime answered; it may still remove the image"), "{detail}");
        }
        assert_eq!(report["images"]["totals"]["removed"], node.gone().len());
        assert!(report["ending"].is_null() || ending(&report).0 == "TimeLimit");
        assert_eq!(node.remembered()["lastRun"]["images"]["failed"], u64::from(!is_gone));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_look_that_hangs_leaves_it_open_what_was_removed() {
    // The third list comes after the removals.
    let each = LISTS.iter().map(|method| (method, Faults::none().hang(*method, 3)));
    for (_, node, ended) in run_each(each, &["--time-limit", "3s"]) {
        let report = node.truth(&ended);
        assert_eq!(node.gone(), small_planned());
        assert_eq!(results(&report), ["failed"; 4]);
        assert!(text(&report["images"]["steps"][0]["detail"]).contains("whether the image is gone is unknown"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_that_cannot_be_had_after_the_run_are_left_out() {
    let faults = [
        Faults::none().hang(Method::ImageFsInfo, 2),
        Faults::none().garble(Method::ImageFsInfo, 2, Answer::CutOff),
        Faults::none().later_errors(1, Method::ImageFsInfo, Code::Internal, "no"),
    ];
    for ((), node, ended) in run_each(faults.map(|faults| ((), faults)), &["--time-limit", "3s"]) {
        let report = node.truth(&ended.expect(0));
        assert_eq!(node.gone(), small_planned());
        if report["filesystemsAfter"].as_array().unwrap().is_empty() {
            assert!(report["images"]["totals"]["filesystemFreedBytes"].is_null());
        }
    }
}

const NO_ANSWERS: [Answer; 4] = [Answer::Nonsense, Answer::CutOff, Answer::TooLarge, Answer::WebPage];

/// What breaks off in the middle counts as nobody being there, and is asked again.
fn breaks_off(answer: Answer) -> bool {
    answer == Answer::CutOff
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_look_that_is_answered_with_nonsense_touches_nothing() {
    let lists = LISTS.into_iter().flat_map(|method| NO_ANSWERS.map(|answer| (method, answer)));
    let others = FIRST_LOOK_ONLY.map(|method| (method, Answer::Nonsense));
    let cases = lists.chain(others);
    let cases = cases.map(|(method, answer)| ((method, answer), Faults::none().garble(method, 1, answer)));
    for ((method, answer), node, ended) in run_each(cases, &[]) {
        if ended.code == 0 {
            assert!(breaks_off(answer), "{method:?} {answer:?} was taken for an answer");
            node.truth(&ended);
            assert_eq!(node.gone(), small_planned());
        } else {
            let error = node.untouched(ended);
            let names_it = error.contains(&format!("{method:?}")) || error.contains("does not answer in gRPC");
            assert!(names_it, "{method:?} {answer:?}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_look_that_is_answered_with_nonsense_removes_nothing() {
    let cases = LISTS
        .iter()
        .flat_map(|method| NO_ANSWERS.map(|answer| ((*method, answer), Faults::none().garble(*method, 2, answer))));
    for ((method, answer), node, ended) in run_each(cases, &[]) {
        let report = node.truth(&ended);
        if breaks_off(answer) && node.gone() == small_planned() {
            continue;
        }
        assert!(node.gone().is_empty(), "{method:?} {answer:?}");
        assert_eq!(ending(&report).0, "NodeUnseen", "{method:?} {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_is_answered_with_nonsense_is_no_success() {
    let cases = NO_ANSWERS.map(|answer| (answer, Faults::none().garble(Method::RemoveImage, 1, answer)));
    for (answer, node, ended) in run_each(cases, &["--concurrency", "1"]) {
        let report = node.truth(&ended);
        assert_eq!(node.gone().len(), if ended.code == 0 { 4 } else { 3 }, "{answer:?}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_past_the_message_limit_is_told_with_both_sizes() {
    let node = TestNode::small(Faults::none().garble(Method::ListImages, 1, Answer::TooLarge));
    let start = Instant::now();
    let error = node.untouched(node.run(&[]));
    for words in ["ListImages", "too large", "1073741824", "268435456"] {
        assert!(error.contains(words), "{words} is missing: {error}");
    }
    assert!(start.elapsed() < Duration::from_secs(20), "it was waited for");
}

/// For real: one image whose description fills more than a message may hold.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_list_that_outgrows_a_message_stops_the_removals() {
    let node = TestNode::small(Faults::none().delay(Method::ListImages, 2, Duration::from_millis(300)));
    let mut grown = small().images[0].clone();
    grown.annotations.insert("described".to_owned(), "x".repeat(257 << 20));
    let mut run = node.start_run(&[]);
    node.until_called(&mut run, Method::ListImages, 2).await;
    node.simulated.add_image(grown);
    let report = node.truth(&run.end());
    assert_eq!(ending(&report).0, "NodeUnseen");
    assert!(ending(&report).1.contains("too large"), "{report}");
    assert!(node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_ends_in_the_middle_and_stays_away_is_told() {
    let node = TestNode::start(Faults::none().disconnect(Method::RemoveImage, 20, Duration::from_mins(5)));
    let report = node.truth(&node.run(&["--concurrency", "8"]).expect(1));
    assert!(!node.gone().is_empty() && node.gone().len() < planned().len());
    assert_eq!(ending(&report).0, "NodeUnseen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_comes_and_goes_is_waited_for() {
    let faults = [5, 30, 60]
        .into_iter()
        .fold(Faults::none(), |faults, call| faults.disconnect(Method::RemoveImage, call, Duration::from_millis(100)));
    let node = TestNode::start(faults.disconnect(Method::ListContainers, 3, Duration::from_millis(100)));
    node.truth(&node.run(&["--concurrency", "16"]).expect(0));
    assert_eq!(node.gone(), planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_mounted_as_a_volume_after_the_plan_stays() {
    let mounting = Container { image_volumes: vec![OLD.to_owned()], ..container_of("docker.io/library/nginx:1.27.4") };
    let cases = [(1, Moment::After), (2, Moment::Before)]
        .map(|moment| (moment, Faults::none().appearance(moment.0, moment.1, mounting.clone())));
    for (moment, node, ended) in run_each(cases, &[]) {
        let report = node.truth(&ended.expect(0));
        assert_eq!(result(&report, &id(OLD))["detail"]["code"], "InUse", "{moment:?}");
        assert_eq!(node.gone(), &small_planned() - &BTreeSet::from([id(OLD)]));
    }
}

/// A second look has to ask about each new container, and another one starts meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_starts_during_a_slow_second_look_protects_its_image() {
    let first = Container { id: "first".to_owned(), ..container_of("docker.io/library/nginx:1.27.4") };
    let slow = Faults::none().delay(Method::ContainerStatus, 3, Duration::from_millis(400));
    let node = TestNode::small(slow.appearance(2, Moment::Before, first));
    let mut run = node.start_run(&[]);
    node.until_called(&mut run, Method::ContainerStatus, 3).await;
    node.simulated.add_container(container_of(OLD));
    let report = node.truth(&run.end().expect(0));
    assert_eq!(result(&report, &id(OLD))["detail"]["code"], "InUse");
    assert_eq!(node.gone(), &small_planned() - &BTreeSet::from([id(OLD)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_pod_is_starting_images_of_unknown_age_stay() {
    let seed = || {
        let mut node = small();
        node.sandboxes.push(starting_pod());
        node.normalize()
    };
    let node = TestNode::seeded(seed(), Faults::none());
    let report = node.truth(&node.run(&["--min-age", "10m"]).expect(0));
    let codes: Vec<String> =
        report["images"]["refusals"].as_array().unwrap().iter().map(|it| text(&it["refusal"]["code"])).collect();
    assert_eq!(codes, ["MayBeYoung"; 4]);
    assert!(node.gone().is_empty());

    // Once the images are known to be older than the pod may be, it says nothing about them.
    let node = TestNode::seeded(seed(), Faults::none());
    node.remember_since(Timestamp::now() - 11.minutes());
    node.truth(&node.run(&["--min-age", "10m"]).expect(0));
    assert_eq!(node.gone(), small_planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_starts_after_the_plan_keeps_images_of_unknown_age() {
    let node = TestNode::small(Faults::none().delay(Method::ListImages, 2, Duration::from_millis(300)));
    let mut run = node.start_run(&["--min-age", "10m"]);
    node.until_called(&mut run, Method::ListImages, 2).await;
    node.simulated.add_sandbox(starting_pod());
    let report = node.truth(&run.end().expect(0));
    assert_eq!(results(&report), ["noLongerAllowed"; 4]);
    assert_eq!(report["images"]["steps"][0]["detail"]["code"], "MayBeYoung");
    assert!(node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_keeps_failing_is_left_alone() {
    let failing = || TestNode::start(Faults::none().error(Method::RemoveImage, Code::Internal, "broken"));
    let node = failing();
    let report = node.truth(&node.run(&["--concurrency", "1", "--max-failures", "3"]).expect(1));
    assert_eq!(node.simulated.calls(Method::RemoveImage), 3);
    let (reason, message) = ending(&report);
    assert_eq!(reason, "RuntimeFailing");
    assert!(message.contains("3 removals failed in a row") && message.contains("broken"), "{message}");
    let results = results(&report);
    assert!(results[..3].iter().all(|result| result == "failed"));
    assert!(results[3..].iter().all(|result| result == "notAttempted"));

    // Whatever is in flight by then cannot be taken back, but it is not much.
    let node = failing();
    let report = node.truth(&node.run(&[]).expect(1));
    assert_eq!(ending(&report).0, "RuntimeFailing");
    let asked = node.simulated.calls(Method::RemoveImage);
    assert!((20..=64).contains(&asked), "{asked} removals were asked for");
    assert!(node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_is_never_there_for_removals_is_left_alone() {
    let node = TestNode::start(Faults::none().error(Method::RemoveImage, Code::Unavailable, "overloaded"));
    let report = node.truth(&node.run(&["--concurrency", "1", "--max-failures", "2"]).expect(1));
    assert_eq!(ending(&report).0, "RuntimeFailing");
    assert_eq!(node.simulated.calls(Method::RemoveImage), 8, "each is tried four times");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_in_between_shows_that_the_runtime_is_well() {
    let two_of_three: Vec<u64> = (1..=200).filter(|call| call % 3 != 0).collect();
    let node = TestNode::start(Faults::none().errors_at(&two_of_three, Method::RemoveImage, Code::Internal, "no"));
    let report = node.truth(&node.run(&["--concurrency", "1", "--max-failures", "3"]).expect(1));
    assert!(report["ending"].is_null(), "{}", report["ending"]);
    let all = planned().len();
    assert_eq!(node.simulated.calls(Method::RemoveImage), all as u64);
    assert_eq!(node.gone().len(), all / 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_may_be_slow() {
    let methods = LISTS.into_iter().chain(FIRST_LOOK_ONLY).chain([Method::RemoveImage]);
    let slow = methods.fold(Faults::none(), |faults, method| faults.latency(method, Duration::from_millis(60)));
    let node = TestNode::small(slow);
    node.truth(&node.run(&[]).expect(0));
    assert_eq!(node.gone(), small_planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_somebody_else_removes_first_is_no_failure() {
    let node = TestNode::small(Faults::none().delay(Method::ListImages, 2, Duration::from_millis(300)));
    let mut run = node.start_run(&[]);
    node.until_called(&mut run, Method::ListImages, 2).await;
    assert!(node.simulated.remove_image(&id(OLD)));
    let report = node.truth(&run.end().expect(0));
    assert_eq!(result(&report, &id(OLD))["result"], "alreadyGone");
    assert_eq!(node.simulated.removals().len(), 3, "what has gone is not asked to go");
    assert!(
        !node.remembered()["images"].as_object().unwrap().contains_key(&id(OLD)),
        "should it come back, it is young"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_images_or_containers_is_no_trouble() {
    let bare = Snapshot { images: Vec::new(), containers: Vec::new(), sandboxes: Vec::new(), ..small() };
    let node = TestNode::seeded(bare, Faults::none());
    let report = node.truth(&node.run(&[]).expect(0));
    assert_eq!(report["images"]["totals"]["planned"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_goes_away_during_the_first_call_is_told_as_such() {
    for down in [Duration::ZERO, Duration::from_mins(5)] {
        let faults = (1..=5).fold(Faults::none(), |faults, call| faults.disconnect(Method::Version, call, down));
        let node = TestNode::small(faults);
        let error = node.untouched(node.run(&[]));
        if down.is_zero() {
            assert!(error.contains("does not answer in gRPC"), "{error}");
        } else {
            assert!(error.contains("no socket at"), "{error}");
        }
    }
}
