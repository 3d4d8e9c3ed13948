//! Races and faults between the plan and the last removal, on a simulated node. What must stay is asked of the node,
//! never of the report.

use std::collections::BTreeSet;
use std::time::Duration;

use holystone_core::image::{Image, ImageId};
use holystone_core::snapshot::Snapshot;
use holystone_node::Faults;
use holystone_node::simulated::{Code, Method, Moment};
use serde_json::Value;

use crate::simulated::{CONFIG, OLD, TestNode, container_of, id, planned, whole};
use crate::support::{result, state_dir, sweep, text, unused_images};
use crate::terminal::Asking;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_goes_and_a_second_run_finds_nothing() {
    let node = TestNode::start(Faults::none());
    let report = node.run(&[]).expect(0).json();
    assert_eq!(node.gone(), planned());
    assert_eq!(report["images"]["totals"]["removed"], node.gone().len());
    let used = |when: &str| report[when][0]["usedBytes"].as_u64().unwrap();
    assert!(used("filesystemsBefore") > used("filesystemsAfter"), "by the runtime's word");

    let again = node.run(&[]).expect(0).json();
    assert_eq!(again["images"]["totals"]["planned"], 0);
    assert_eq!(node.simulated.removals().len(), node.gone().len(), "every image was asked to go once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_a_terminal_removes_nothing_without_a_yes() {
    let node = TestNode::start(Faults::none());
    let ask = || Asking::start(&sweep("run", "builtin:unused-images", CONFIG, &node.endpoint(), &[]));
    for answer in ["", "n", "yeah", "y n"] {
        let asking = ask();
        assert!(asking.said().contains(OLD), "{}", asking.said());
        let ended = asking.answer(answer).expect(2);
        assert!(ended.stderr.contains("nothing was touched"), "{}", ended.stderr);
    }
    let ended = ask().end_of_input().expect(2);
    assert!(ended.stderr.contains("the plan was not confirmed, the input ended without an answer"), "{}", ended.stderr);
    assert!(ask().said().contains(" of 125 images ("), "the share is seen before the answer: {}", ask().said());
    ask().kill();
    assert!(node.simulated.removals().is_empty());

    ask().answer("yes").expect(0);
    assert_eq!(node.gone(), planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_becomes_used_after_the_plan_stays() {
    // The first list is the snapshot's, the second is the look before the removals.
    for moment in [(1, Moment::After), (2, Moment::Before)] {
        let node = TestNode::start(Faults::none().appearance(moment.0, moment.1, container_of(OLD)));
        let report = node.run(&[]).expect(0).json();
        let step = result(&report, &id(OLD));
        assert_eq!(step["result"], "noLongerAllowed");
        assert_eq!(step["detail"]["code"], "InUse");
        assert!(!node.gone().contains(&id(OLD)));
        assert_eq!(node.gone().len() + 1, planned().len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_container_that_names_nothing_known_stops_what_it_may_mean() {
    let stranger = container_of("docker.io/minchou/rollout:v9.9.9");
    let node = TestNode::start(Faults::none().appearance(1, Moment::After, stranger));
    let report = node.run(&[]).expect(0).json();
    assert_eq!(result(&report, &id(OLD))["detail"]["code"], "MayBeInUse");
    assert!(!node.gone().contains(&id(OLD)));
    assert!(node.gone().contains(&id("docker.io/minchou/kruiserollout:build-3")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_nobody_answered_is_judged_anew_before_it_is_tried_again() {
    // The runtime goes away in the middle of the only removal, and a container starts before it is back.
    let faults = Faults::none().disconnect(Method::RemoveImage, 1, Duration::from_millis(200));
    let node = TestNode::start(faults.appearance(3, Moment::Before, container_of(OLD)));
    let only = r#"{"repositories":["docker.io/minchou/rollout:v1.0.3"]}"#;
    let report = unused_images("run", &node.endpoint(), only, &[]).expect(0).json();
    assert_eq!(result(&report, &id(OLD))["result"], "noLongerAllowed");
    assert!(node.gone().is_empty());

    let node = TestNode::start(Faults::none().disconnect(Method::RemoveImage, 1, Duration::from_millis(200)));
    let report = unused_images("run", &node.endpoint(), only, &[]).expect(0).json();
    assert_eq!(result(&report, &id(OLD))["result"], "removed");
    assert_eq!(node.gone(), BTreeSet::from([id(OLD)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtimes_own_refusal_is_a_refusal() {
    let node = TestNode::start(Faults::none().in_use(id(OLD)));
    let report = node.run(&[]).expect(0).json();
    assert_eq!(result(&report, &id(OLD))["detail"]["code"], "RuntimeSaysInUse");
    assert_eq!(report["images"]["totals"]["failed"], 0);
    assert_eq!(node.gone().len() + 1, planned().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_still_listed_is_told_as_such_and_refused_from_then_on() {
    let node = TestNode::start(Faults::none().sticky(id(OLD)));
    let report = node.run(&[]).expect(0).json();
    assert_eq!(result(&report, &id(OLD))["detail"]["code"], "KeptByRuntime");
    assert!(text(&report["notices"][0]).contains("lists all the same"), "{}", report["notices"]);
    let again = node.run(&[]).expect(0).json();
    assert_eq!(again["images"]["refusals"][0]["refusal"]["code"], "KeptByRuntime");
    assert_eq!(again["images"]["totals"]["planned"], 0);
    assert_eq!(node.simulated.removals().len(), planned().len(), "it was asked for once");
    assert_eq!(report["images"]["totals"]["removed"], node.gone().len());
    assert_eq!(node.gone().len() + 1, planned().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_removals_stop_no_other_and_show_in_the_exit_code() {
    let node =
        TestNode::start(Faults::none().first_errors(3, Method::RemoveImage, Code::Internal, "disk\u{1b}[31m on fire"));
    let ended = node.run(&[]).expect(1);
    let report = ended.json();
    assert_eq!(report["images"]["totals"]["failed"], 3);
    assert_eq!(node.gone().len() + 3, planned().len());
    let failed = report["images"]["steps"].as_array().unwrap().iter().find(|step| step["result"] == "failed").unwrap();
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.contains("on fire") && !detail.contains('\u{1b}'), "{detail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn short_absences_of_the_runtime_are_waited_out() {
    let absent = Faults::none()
        .first_errors(2, Method::ListImages, Code::Unavailable, "starting")
        .first_errors(2, Method::RemoveImage, Code::Unavailable, "starting")
        .disconnect(Method::RemoveImage, 20, Duration::from_millis(300));
    let node = TestNode::start(absent);
    node.run(&[]).expect(0);
    assert_eq!(node.gone(), planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_listed_is_not_swept() {
    for method in
        [Method::ListImages, Method::ListContainers, Method::ListPodSandbox, Method::ContainerStatus, Method::Version]
    {
        let node = TestNode::start(Faults::none().error(method, Code::Internal, "no"));
        let ended = node.run(&[]).expect(2);
        assert!(ended.stdout.is_empty());
        assert!(ended.stderr.contains(&format!("{method:?}")), "{method:?} is not named: {}", ended.stderr);
        assert!(node.simulated.removals().is_empty(), "{method:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_again_is_not_removed() {
    let node = TestNode::start(Faults::none().disconnect(Method::ListContainers, 2, Duration::from_mins(2)));
    let report = node.run(&[]).expect(1).json();
    assert_eq!(
        (&report["images"]["totals"]["failed"], &report["images"]["totals"]["notAttempted"]),
        (&Value::from(0), &Value::from(planned().len()))
    );
    assert_eq!(result(&report, &id(OLD))["result"], "notAttempted");
    assert!(node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_cannot_be_confirmed_is_not_claimed() {
    // The third list is the one that would show that the images are gone.
    let node = TestNode::start(Faults::none().disconnect(Method::ListContainers, 3, Duration::from_mins(2)));
    let report = node.run(&["--max-count", "20"]).expect(1).json();
    let step = &report["images"]["steps"][0];
    assert_eq!(step["result"], "failed");
    assert!(step["detail"].as_str().unwrap().contains("whether the image is gone is unknown"), "{step}");
    assert_eq!(report["images"]["totals"]["removed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn protection_and_limits_hold() {
    let node = TestNode::start(Faults::none());
    let report =
        node.run(&["--protect", "*:v1.0.*", "--protect", &id("docker.io/minchou/rollout:v1.1.0")]).expect(0).json();
    assert_eq!(report["images"]["totals"]["refused"], 7);
    assert!(!node.gone().contains(&id(OLD)) && !node.gone().contains(&id("docker.io/minchou/rollout:v1.1.0")));

    let node = TestNode::start(Faults::none());
    node.run(&["--max-count", "5"]).expect(0);
    assert_eq!(node.gone().len(), 5);

    let node = TestNode::start(Faults::none());
    node.run(&["--max-percent", "50"]).expect(0);
    assert!(node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_for_another_or_leaves() {
    let node = TestNode::start(Faults::none());
    // Longer than another run takes to get as far as the lock, on however busy a machine.
    let mut first = node.start_run(&["--pause", "100ms"]);
    node.until_the_first_removal(&mut first).await;
    let left = node.run(&[]).expect(2);
    let holder = format!("process {} holds", first.id());
    assert!(left.stderr.contains("another run is under way") && left.stderr.contains(&holder), "{}", left.stderr);
    let waited = node.run(&["--wait", "1m"]).expect(0).json();
    first.end().expect(0);
    assert_eq!(waited["images"]["totals"]["planned"], 0, "the first has done it all");
    assert_eq!(node.gone(), planned());
    assert_eq!(node.simulated.removals().len(), planned().len(), "nothing was asked to go twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_that_do_not_know_of_each_other_do_no_harm() {
    let node = TestNode::start(Faults::none().latency(Method::RemoveImage, Duration::from_millis(20)));
    let other = state_dir(&node.endpoint()).with_file_name("other-state");
    let runs = [node.start_run(&[]), node.start_run(&["--state-dir", other.to_str().unwrap()])];
    for run in runs {
        assert_eq!(run.end().expect(0).json()["images"]["totals"]["failed"], 0);
    }
    assert_eq!(node.gone(), planned());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_leaves_a_node_that_the_next_run_finishes() {
    let node = TestNode::start(Faults::none().latency(Method::ListPodSandbox, Duration::from_millis(100)));
    let mut killed = node.start_run(&[]);
    node.until_the_first_removal(&mut killed).await;
    killed.kill();
    assert!(node.gone().is_subset(&planned()));
    node.run(&[]).expect(0);
    assert_eq!(node.gone(), planned());
}

/// More than fit into one batch, and more than are in flight at once.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_images_are_swept_in_batches() {
    let mut snapshot: Snapshot = whole();
    let model = snapshot.images[0].clone();
    snapshot.images.extend((0..3_000).map(|n| {
        let tag = format!("docker.io/minchou/many:v{n}");
        Image {
            id: ImageId::new(format!("sha256:{n:064x}")),
            repo_tags: vec![tag],
            repo_digests: Vec::new(),
            ..model.clone()
        }
    }));
    let faults = Faults::none().latency(Method::RemoveImage, Duration::from_millis(300));
    // A container that starts while the second batch waits for its look.
    let late = container_of("docker.io/minchou/many:v2800");
    let node = TestNode::seeded(snapshot.normalize(), faults.appearance(3, Moment::Before, late));
    let report =
        unused_images("run", &node.endpoint(), r#"{"repositories":["docker.io/minchou/many"]}"#, &[]).expect(0).json();
    assert_eq!(report["images"]["totals"]["removed"], 2_999);
    assert_eq!(report["images"]["totals"]["noLongerAllowed"], 1);
    assert_eq!(node.gone().len(), 2_999);
    assert!(node.simulated.calls(Method::ListImages) >= 8, "a look for each batch, one before and one after");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_are_no_failures() {
    let slow = Faults::none()
        .latency(Method::ListContainers, Duration::from_millis(300))
        .latency(Method::RemoveImage, Duration::from_millis(500));
    let node = TestNode::start(slow);
    node.run(&[]).expect(0);
    assert_eq!(node.gone(), planned());
}
