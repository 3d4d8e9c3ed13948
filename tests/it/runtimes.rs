//! Runtimes that are not containerd: nodes that answer as CRI-O and as cri-dockerd do, swept by the real binary. What
//! became of an image is asked of the node, never of the report.

use std::collections::BTreeSet;

use holystone_core::image::ImageId;
use holystone_core::snapshot::Snapshot;
use holystone_node::Faults;
use holystone_node::simulated::{Code, Method};
use serde_json::{Value, json};

use crate::simulated::{OLD, SMALL, TestNode, small, starting_pod};
use crate::support::{Ended, end, on, policy, result, text, unused_images};

/// The policy takes every version but the newest, which runs.
const NEXT: &str = "docker.io/minchou/rollout:v1.0.2";

/// The small node, as a runtime of this name shows it.
fn as_of(runtime: &str) -> Snapshot {
    let mut node = small();
    runtime.clone_into(&mut node.node.runtime_name);
    node
}

/// The id of the image with this tag.
fn id(node: &Snapshot, tag: &str) -> String {
    let image = node.images.iter().find(|image| image.repo_tags.iter().any(|own| own == tag));
    image.expect(tag).id.to_string()
}

/// Gives an image more names.
fn name(node: &mut Snapshot, tag: &str, more: &[&str]) {
    let image = node.images.iter_mut().find(|image| image.repo_tags.iter().any(|own| own == tag)).expect(tag);
    image.repo_tags.extend(more.iter().map(ToString::to_string));
}

/// CRI-O writes ids without the name of their algorithm.
fn crio() -> Snapshot {
    let mut node = as_of("cri-o");
    for image in &mut node.images {
        image.id = ImageId::new(image.id.hex());
    }
    for container in &mut node.containers {
        for mention in [&mut container.image.image_id, &mut container.image.image_ref, &mut container.image.image] {
            *mention = mention.trim_start_matches("sha256:").to_owned();
        }
    }
    node.normalize()
}

/// Takes every image that nothing uses, whatever it is called.
const ALL: &str = r#"{"repositories":["*"]}"#;

fn run(node: &TestNode, more: &[&str]) -> Ended {
    unused_images("run", &node.endpoint(), ALL, more)
}

fn table(node: &TestNode, more: &[&str]) -> Ended {
    end(on(&mut policy("run", "builtin:unused-images", ALL), &node.endpoint()).args(more))
}

/// The row about an image.
fn row<'a>(ended: &'a Ended, name: &str) -> &'a str {
    ended.stdout.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {}", ended.stdout))
}

fn lost(report: &Value, image: &str) -> Value {
    result(report, image)["lostNames"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_several_names_is_refused_where_a_refusal_would_take_some() {
    for more in [&["docker.io/minchou/rollout:stable"][..], &["quay.io/mirror/rollout:v1"]] {
        let mut docker = as_of("docker");
        name(&mut docker, OLD, more);
        let old = id(&docker, OLD);
        let node = TestNode::seeded(docker.normalize(), Faults::none().in_use(old.clone()));
        let report = run(&node, &[]).expect(0).json();
        let refused = report["images"]["refusals"].as_array().unwrap();
        let refused =
            refused.iter().find(|refused| refused["refusal"]["code"] == "NamesAtRisk").expect("it is refused");
        assert_eq!((&refused["refusal"]["rail"], refused["references"].as_array().unwrap().len()), (&json!(2), 3));
        let message = text(&refused["refusal"]["message"]);
        assert!(message.contains("it has 2 names") && message.contains("--allow-partial-untag"), "{message}");
        assert!(!node.gone().contains(&old));
        assert!(node.simulated.removals().iter().all(|removal| removal.asked != old), "it was not even asked for");
        assert_eq!(node.gone().len(), SMALL.len() - 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_image_that_lost_names_is_told_with_them() {
    let names = ["docker.io/minchou/rollout:stable", "quay.io/mirror/rollout:v1"];
    for more in [names, [names[1], names[0]]] {
        let mut docker = as_of("docker");
        name(&mut docker, OLD, &more);
        let docker = docker.normalize();
        let old = id(&docker, OLD);
        let node = TestNode::seeded(docker.clone(), Faults::none().in_use(old.clone()));
        let ended = run(&node, &["--allow-partial-untag"]).expect(0);
        let report = node.truth(&ended);
        assert_eq!(result(&report, &old)["detail"]["code"], "RuntimeSaysInUse");
        // Docker takes the names in their order, the last one is refused; the digests of a repository go with its tags.
        let digest = docker.image(&old).unwrap().repo_digests[0].clone();
        assert_eq!(lost(&report, &old), json!([names[0], OLD, digest]));
        assert!(ended.stderr.contains("names were lost"), "{}", ended.stderr);

        let node = TestNode::seeded(docker, Faults::none().in_use(old.clone()));
        let ended = table(&node, &["--allow-partial-untag"]).expect(0);
        let row = row(&ended, OLD);
        assert!(row.contains("no longer allowed") && row.contains("it has lost the names "), "{row}");
        assert!(row.contains("in use, says the runtime: Error response from daemon: conflict: unable to"), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_image_of_one_name_keeps_it() {
    for runtime in ["docker", "cri-o", "containerd"] {
        let seed = as_of(runtime);
        let old = id(&seed, OLD);
        let node = TestNode::seeded(seed, Faults::none().in_use(old.clone()));
        let report = node.truth(&node.run(&[]).expect(0));
        assert_eq!(result(&report, &old)["detail"]["code"], "RuntimeSaysInUse", "{runtime}");
        assert_eq!(lost(&report, &old), Value::Null, "{runtime}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parents_and_children_that_docker_built_are_both_gone() {
    // In the order of the plan the parent comes first, or the child.
    for (child, parent) in [(OLD, NEXT), (NEXT, OLD)] {
        let docker = as_of("docker");
        let (child, parent) = (id(&docker, child), id(&docker, parent));
        let node = TestNode::seeded(docker, Faults::none().built_on(child.clone(), parent.clone()));
        let report = node.truth(&node.run(&["--concurrency", "1"]).expect(0));
        for image in [&child, &parent] {
            assert_eq!(result(&report, image)["result"], "removed");
            assert!(node.gone().contains(image));
        }
        assert_eq!(report["images"]["totals"]["removed"], SMALL.len());
    }
}

/// The runtime does not list it any more, which is all that can be known.
#[tokio::test(flavor = "multi_thread")]
async fn a_parent_whose_child_stays_is_not_listed_any_more_and_the_report_says_what_the_runtime_answered() {
    let docker = as_of("docker");
    let (child, parent) = (id(&docker, "docker.io/minchou/rollout:v1.11.4"), id(&docker, OLD));
    let faults = Faults::none().built_on(child.clone(), parent.clone());
    let node = TestNode::seeded(docker.clone(), faults.clone());
    let report = node.run(&[]).expect(0).json();
    assert_eq!(result(&report, &parent)["result"], "removed");
    assert!(text(&result(&report, &parent)["answer"]).ends_with("image has dependent child images"));
    assert!(!node.gone().contains(&child));

    let ended = table(&TestNode::seeded(docker, faults), &[]).expect(0);
    let row = row(&ended, OLD);
    assert!(
        row.contains("removed") && row.contains("not listed any more, though the runtime answered: Error"),
        "{row}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_an_image_with_a_long_name_is_no_failure() {
    let mut docker = as_of("docker");
    let long = format!("docker.io/minchou/{}", "a-very-long-name/".repeat(11));
    for (place, image) in docker.images.iter_mut().enumerate() {
        if image.repo_tags.iter().any(|tag| SMALL.contains(&tag.as_str())) {
            image.repo_tags = vec![format!("{long}rollout:v{place}")];
            image.repo_digests = vec![format!("{long}rollout@sha256:{place:064x}")];
        }
    }
    let ids: Vec<String> = docker
        .images
        .iter()
        .filter(|image| image.repo_tags[0].starts_with(&long))
        .map(|image| image.id.to_string())
        .collect();
    let faults = ids.iter().fold(Faults::none(), |faults, id| faults.in_use(id.clone()));
    let node = TestNode::seeded(docker.normalize(), faults);
    let config = format!(r#"{{"repositories":["{long}rollout"]}}"#);
    let report = unused_images("run", &node.endpoint(), &config, &["--max-failures", "2"]).expect(0).json();
    assert_eq!(report["images"]["totals"]["failed"], 0);
    assert_eq!(report["images"]["totals"]["noLongerAllowed"], SMALL.len());
    assert_eq!(report["ending"], Value::Null);
    let message = text(&result(&report, &ids[0])["detail"]["message"]);
    assert!(message.contains("is using its referenced image"), "what matters is not cut off: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_about_a_failure_begins_with_the_runtimes_own_words() {
    let node = TestNode::small(Faults::none().error(Method::RemoveImage, Code::Internal, "no space left on device"));
    let ended = table(&node, &[]).expect(1);
    let row = row(&ended, OLD);
    let (_, why) = row.split_once("no space left on device").expect(row);
    assert!(why.starts_with(" (Internal; RemoveImage of sha256:"), "{row}");
    assert!(!row.contains("failed: "), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_of_crio_goes_by_the_name_that_works() {
    for digests in [true, false] {
        let mut seed = crio();
        let old = id(&seed, OLD);
        if !digests {
            seed.images.iter_mut().for_each(|image| image.repo_digests.clear());
        }
        let node = TestNode::seeded(seed, Faults::none().artifact(old.clone()));
        let report = node.truth(&node.run(&[]).expect(0));
        assert_eq!(result(&report, &old)["result"], "removed");
        assert!(node.gone().contains(&old));
        let asked: Vec<String> = node.simulated.removals().into_iter().map(|removal| removal.asked).collect();
        assert_eq!(asked.last().map(String::as_str), Some(OLD), "by its tag last: {asked:?}");
        assert_eq!(report["images"]["totals"]["removed"], SMALL.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_by_a_name_while_a_pod_may_have_pulled_it_again() {
    let mut seed = crio();
    let old = id(&seed, OLD);
    seed.sandboxes.push(starting_pod());
    let node = TestNode::seeded(seed.normalize(), Faults::none().artifact(old.clone()));
    node.remember_since(jiff::Timestamp::now() - jiff::SignedDuration::from_hours(48));
    let report = node.truth(&node.run(&["--min-age", "10m"]).expect(0));
    assert_eq!(result(&report, &old)["detail"]["code"], "MayBeYoung");
    assert!(node.simulated.removals().iter().all(|removal| !removal.asked.contains("minchou")));
}

/// Only CRI-O removes anything by a name alone; elsewhere the name may be another image's by now.
#[tokio::test(flavor = "multi_thread")]
async fn other_runtimes_are_not_asked_by_name() {
    let node = TestNode::small(Faults::none().sticky(crate::simulated::id(OLD)));
    let report = node.truth(&node.run(&[]).expect(0));
    assert_eq!(result(&report, &crate::simulated::id(OLD))["detail"]["code"], "KeptByRuntime");
    assert_eq!(node.simulated.removals().len(), SMALL.len(), "each was asked for once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_crio_keeps_for_ever_is_no_failure() {
    let seed = crio();
    let (old, next) = (id(&seed, OLD), id(&seed, NEXT));
    let node = TestNode::seeded(seed, Faults::none().read_only(old.clone()).read_only(next.clone()));
    let report = node.truth(&node.run(&[]).expect(0));
    for image in [&old, &next] {
        assert_eq!(result(&report, image)["detail"]["code"], "KeptByRuntime");
        assert_eq!(result(&report, image)["detail"]["rail"], 1);
        assert_eq!(lost(&report, image), Value::Null);
    }
    assert_eq!(node.gone().len(), SMALL.len() - 2);
    assert_eq!(report["images"]["totals"]["failed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_two_images_have_is_not_asked_for() {
    let mut seed = crio();
    let (old, next) = (id(&seed, OLD), id(&seed, NEXT));
    // The same digest in another repository, and the same tag once more.
    let digest = seed.image(&old).unwrap().repo_digests[0].split_once('@').unwrap().1.to_owned();
    let other = seed.images.iter_mut().find(|image| image.id.as_str() == next).unwrap();
    other.repo_digests.push(format!("quay.io/other/name@{digest}"));
    other.repo_tags.push(OLD.to_owned());
    let node = TestNode::seeded(seed.normalize(), Faults::none().artifact(old.clone()).sticky(next.clone()));
    let report = node.run(&[]).expect(0).json();
    assert_eq!(result(&report, &old)["detail"]["code"], "KeptByRuntime");
    let asked: BTreeSet<String> = node.simulated.removals().into_iter().map(|removal| removal.asked).collect();
    assert!(!asked.contains(OLD) && !asked.iter().any(|asked| asked.ends_with(&digest)), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_shows_all_names() {
    let mut seed = small();
    name(&mut seed, OLD, &["docker.io/minchou/rollout:stable", "quay.io/mirror/rollout:v1"]);
    let node = TestNode::seeded(seed.normalize(), Faults::none());
    let ended = table(&node, &["--protect", "quay.io/mirror/*"]).expect(0);
    let row = row(&ended, "refuse ");
    assert!(row.contains(&format!("docker.io/minchou/rollout:stable, {OLD}, quay.io/mirror/rollout:v1")), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_runtime_says_of_its_store_is_no_measurement() {
    // The simulated node names a mount point that is nowhere on this machine.
    let node = TestNode::small(Faults::none());
    let ended = table(&node, &[]).expect(0);
    assert!(!ended.stdout.contains("(measured)"), "{}", ended.stdout);
    assert!(ended.stdout.contains("filesystem freed: unknown, it cannot be measured from here"), "{}", ended.stdout);
    assert!(ended.stdout.contains("the runtime says that its store uses "), "{}", ended.stdout);
    let report = TestNode::small(Faults::none()).run(&[]).expect(0).json();
    assert_eq!(report["images"]["totals"]["filesystemFreedBytes"], Value::Null);
    assert_ne!(report["filesystemsBefore"][0]["usedBytes"], Value::Null);
}
