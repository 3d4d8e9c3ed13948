//! Runs that depend on how full the disk of the images is (`--above`, `--until`), and the order and pace of removals.
//! The simulated node keeps a file for each image on a small disk of its own, which is measured like any other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use holystone_core::container::Container;
use holystone_core::image::{Image, ImageId};
use holystone_core::snapshot::Snapshot;
use holystone_node::Faults;
use holystone_node::simulated::{Code, Method};
use holystone_tests::SmallDisk;
use serde_json::Value;

use crate::simulated::{SMALL, TestNode, container_of, results, whole};
use crate::support::text;

/// How many images the node with a disk has, and the size of each.
const IMAGES: usize = 41;
const IMAGE_BYTES: u64 = 64 << 10;
/// The disk's size: the images fill 82 of its 100 parts.
const DISK_BYTES: u64 = 50 * IMAGE_BYTES;

/// A node whose images, but for the newest, are what the policy takes.
pub(crate) fn full_node(disk: &SmallDisk, faults: Faults) -> TestNode {
    let model = whole().images[0].clone();
    let image = |number: usize| Image {
        id: ImageId::new(format!("sha256:{number:064x}")),
        repo_tags: vec![format!("docker.io/minchou/many:v{number}")],
        repo_digests: Vec::new(),
        size_bytes: IMAGE_BYTES,
        ..model.clone()
    };
    let images = (1..=IMAGES).map(image).collect();
    let snapshot = Snapshot { images, containers: Vec::new(), sandboxes: Vec::new(), ..whole() };
    let node = TestNode::seeded(snapshot.normalize(), faults);
    node.simulated.fill_disk(disk.path()).unwrap();
    node
}

pub(crate) fn disk(test: &str) -> anyhow::Result<Option<SmallDisk>> {
    SmallDisk::mount(test, DISK_BYTES)
}

fn planned_order(report: &Value) -> Vec<String> {
    report["images"]["steps"].as_array().unwrap().iter().map(|step| text(&step["target"])).collect()
}

fn asked_order(node: &TestNode) -> Vec<String> {
    node.simulated.removals().into_iter().filter_map(|removal| removal.image).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_measured_ends_a_run_that_asks_for_it() {
    for bounds in [&["--above", "1%"][..], &["--until", "1%"], &["--above", "90", "--until", "80"]] {
        let node = TestNode::small(Faults::none());
        let report = node.truth(&node.run(bounds).expect(1));
        assert_eq!(results(&report), ["notAttempted"; 4]);
        assert_eq!(report["ending"]["reason"], "NodeUnseen");
        let message = text(&report["ending"]["message"]);
        assert!(message.contains("cannot be seen from here") && message.contains("--above"), "{message}");
        assert!(node.simulated.removals().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_not_full_enough_is_left_alone() -> anyhow::Result<()> {
    let Some(disk) = disk("a_disk_that_is_not_full_enough_is_left_alone")? else { return Ok(()) };
    let node = full_node(&disk, Faults::none());
    for bounds in [&["--above", "82"][..], &["--until", "90"], &["--above", "82", "--until", "50"]] {
        let report = node.truth(&node.run(bounds).expect(0));
        assert!(results(&report).iter().all(|result| result == "notNeeded"), "{report}");
        assert_eq!(report["ending"]["reason"], "NotNeeded");
        assert!(text(&report["ending"]["message"]).contains("82 % full"), "{}", report["ending"]);
        assert!(node.simulated.removals().is_empty());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_swept_until_it_is_empty_enough() -> anyhow::Result<()> {
    let Some(disk) = disk("a_full_disk_is_swept_until_it_is_empty_enough")? else { return Ok(()) };
    let node = full_node(&disk, Faults::none());
    let report = node.truth(&node.run(&["--above", "81", "--until", "60"]).expect(0));
    // From 41 to 30 of 50 parts is 11 images; what was in flight with the last of them goes, too.
    let gone = node.gone().len();
    assert!((11..=16).contains(&gone), "{gone} of {IMAGES} images are gone");
    assert_eq!(report["ending"]["reason"], "NotNeeded");
    assert_eq!(report["images"]["totals"]["notNeeded"], IMAGES - 1 - gone);
    assert_eq!(report["images"]["totals"]["filesystemFreedBytes"], gone as u64 * IMAGE_BYTES, "it is measured");
    let order = planned_order(&report);
    assert_eq!(node.gone(), order[..gone].iter().cloned().collect::<BTreeSet<_>>(), "the first of the plan went");

    let again = node.truth_since(&node.run(&["--until", "60"]).expect(0), &node.gone());
    assert_eq!(again["images"]["totals"]["removed"], 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_by_one_a_sweep_ends_with_the_image_that_was_enough() -> anyhow::Result<()> {
    let Some(disk) = disk("one_by_one_a_sweep_ends_with_the_image_that_was_enough")? else { return Ok(()) };
    let node = full_node(&disk, Faults::none());
    let report = node.truth(&node.run(&["--until", "70", "--concurrency", "1"]).expect(0));
    assert_eq!(node.gone().len(), 6, "from 82 to 70 %");
    assert_eq!(asked_order(&node), planned_order(&report)[..6]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_that_is_out_of_reach_takes_the_whole_plan_and_no_more() -> anyhow::Result<()> {
    let Some(disk) = disk("a_goal_that_is_out_of_reach_takes_the_whole_plan_and_no_more")? else { return Ok(()) };
    let node = full_node(&disk, Faults::none());
    std::fs::write(disk.path().join("others"), vec![1; 256 << 10])?;
    let report = node.truth(&node.run(&["--until", "5"]).expect(0));
    assert!(report["ending"].is_null());
    assert_eq!(node.gone().len(), IMAGES - 1, "the newest stays");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_measured_any_more_ends_the_sweep() -> anyhow::Result<()> {
    let Some(disk) = disk("a_disk_that_cannot_be_measured_any_more_ends_the_sweep")? else { return Ok(()) };
    let faults = Faults::none().later_errors(3, Method::ImageFsInfo, Code::Internal, "no");
    let node = full_node(&disk, faults);
    let report = node.truth(&node.run(&["--until", "10", "--concurrency", "1"]).expect(1));
    assert_eq!(report["ending"]["reason"], "NodeUnseen");
    assert!(text(&report["ending"]["message"]).contains("could not be measured again"));
    assert_eq!(node.gone().len(), 2, "one after each measurement that there was");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measurement_that_hangs_ends_with_the_time_limit() -> anyhow::Result<()> {
    let Some(disk) = disk("a_measurement_that_hangs_ends_with_the_time_limit")? else { return Ok(()) };
    let node = full_node(&disk, Faults::none().hang(Method::ImageFsInfo, 3));
    let report = node.truth(&node.run(&["--until", "10", "--concurrency", "1", "--time-limit", "3s"]).expect(1));
    assert_eq!(report["ending"]["reason"], "TimeLimit");
    assert_eq!(node.gone().len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_by_one_and_with_pauses_the_order_of_the_plan_is_kept() {
    for pace in [&["--concurrency", "1"][..], &["--pause", "1ms"], &["--pause", "1ms", "--concurrency", "1"]] {
        let node = TestNode::start(Faults::none());
        let report = node.truth(&node.run(&[pace, &["--max-count", "25"]].concat()).expect(0));
        assert_eq!(asked_order(&node), planned_order(&report), "{pace:?}");
        assert_eq!(node.gone().len(), 25);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_made_between_removals_and_ends_with_the_run() {
    let node = TestNode::small(Faults::none());
    let start = Instant::now();
    node.truth(&node.run(&["--pause", "300ms"]).expect(0));
    assert!(start.elapsed() >= Duration::from_millis(900), "three pauses between four removals");

    let node = TestNode::small(Faults::none());
    let report = node.truth(&node.run(&["--pause", "1h", "--time-limit", "3s"]).expect(1));
    assert_eq!(report["ending"]["reason"], "TimeLimit");
    assert_eq!(node.gone().len(), 1);
}

/// One look serves the removals that start right after it, and a pause makes it old.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_pause_the_node_is_looked_at_anew() {
    let node = TestNode::small(Faults::none());
    let mut run = node.start_run(&["--pause", "500ms"]);
    node.until_the_first_removal(&mut run).await;
    let late = |(number, tag): (usize, &&str)| Container { id: format!("late-{number}"), ..container_of(tag) };
    for container in SMALL.iter().enumerate().map(late) {
        node.simulated.add_container(container);
    }
    let report = node.truth(&run.end().expect(0));
    assert_eq!(results(&report), ["removed", "noLongerAllowed", "noLongerAllowed", "noLongerAllowed"]);
    assert_eq!(node.gone().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_that_make_no_sense_are_wrong_usage() {
    let node = TestNode::small(Faults::none());
    for bounds in [&["--above", "70", "--until", "80"][..], &["--above", "101"], &["--until=-1"], &["--above", "x"]] {
        let ended = node.run(bounds).expect(64);
        assert!(ended.stderr.contains("--above") || ended.stderr.contains("--until"), "{}", ended.stderr);
    }
    assert!(node.simulated.removals().is_empty());
}
