//! Containers that others started beside the kubelet: on a simulated containerd, on runtimes that do not list them, and
//! on real containerds.

use std::collections::BTreeSet;
use std::process::Command;

use holystone_core::container::{OutsideContainer, UNKNOWN_IMAGE};
use holystone_core::snapshot::Snapshot;
use holystone_node::Faults;
use holystone_node::simulated::{Code, Method};
use holystone_tests::{ContainerSpec, Containerd, LayerSpec, TestImage, pause_image, sleep_image};
use serde_json::Value;

use crate::simulated::{OLD, SMALL, TestNode, id, small, small_planned};
use crate::support::{end, on_each_containerd, result, run, sweep, text, unused_images};
use crate::terminal::Asking;

fn outside(id: &str, namespace: &str, image: &str) -> OutsideContainer {
    OutsideContainer { id: id.to_owned(), namespace: namespace.to_owned(), image: image.to_owned() }
}

/// Code and sentence of what is refused about an image.
fn refusal(report: &Value, image: &str) -> (String, String) {
    let refusals = report["images"]["refusals"].as_array().unwrap();
    let refused = refusals.iter().find(|refused| refused["wish"]["target"]["image"] == image);
    let refused = refused.unwrap_or_else(|| panic!("{image} is not refused: {refusals:#?}"));
    (text(&refused["refusal"]["code"]), text(&refused["refusal"]["message"]))
}

/// Runs a plugin that wishes for every image.
fn greedy(verb: &str, endpoint: &str) -> Command {
    let grants = ["--allow", "images,logs,log-content"];
    sweep(verb, holystone_tests::misbehave(), r#"{"do":"greedy"}"#, endpoint, &grants)
}

const NOTICE: &str = "does not list containers that others started beside the kubelet (ctr, nerdctl): protect their images with --protect (guardRails.protectImages)";

fn has_notice(report: &Value) -> bool {
    let mut notices = report["notices"].as_array().into_iter().flatten();
    notices.any(|notice| notice.as_str().unwrap().ends_with(NOTICE))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_cri_does_not_list_keeps_its_image() {
    let node = TestNode::small(Faults::none());
    node.simulated.add_outside(outside("mine", "k8s.io", OLD));
    // One of another namespace uses an image of that namespace.
    node.simulated.add_outside(outside("theirs", "default", SMALL[0]));
    let report = node.run(&[]).expect(0).json();
    assert_eq!(node.gone(), &small_planned() - &BTreeSet::from([id(OLD)]));
    assert!(!has_notice(&report), "{report:#}");

    // A plugin is told, and does not wish for it; one that wishes all the same is refused.
    let plan = end(&mut greedy("plan", &node.endpoint())).expect(0).json();
    let (code, message) = refusal(&plan, &id(OLD));
    assert_eq!(code, "InUse");
    assert_eq!(message, "in use by container mine (outside CRI, in containerd namespace k8s.io)");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_image_is_not_known_keeps_what_it_may_mean() {
    let gone = "docker.io/minchou/rollout:v0.0.1";
    for (image, words) in [
        (
            gone,
            "may be in use: container mine (outside CRI, in containerd namespace k8s.io) references docker.io/minchou/rollout:v0.0.1, which resolves to no image on this node",
        ),
        (
            UNKNOWN_IMAGE,
            "may be in use: the runtime does not say which images container mine (outside CRI, in containerd namespace k8s.io) uses",
        ),
    ] {
        let node = TestNode::small(Faults::none());
        node.simulated.add_outside(outside("mine", "k8s.io", image));
        let report = end(&mut greedy("run", &node.endpoint())).expect(0).json();
        for tag in SMALL {
            assert_eq!(refusal(&report, &id(tag)), ("MayBeInUse".to_owned(), words.to_owned()), "{tag}");
        }
        assert!(node.gone().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_comes_after_the_plan_is_seen() {
    let node = TestNode::small(Faults::none());
    let asking = Asking::start(&node.command(&[]));
    node.simulated.add_outside(outside("late", "k8s.io", OLD));
    let report = asking.answer("y").expect(0).json();
    let step = result(&report, &id(OLD));
    assert_eq!((&step["result"], &step["detail"]["code"]), (&Value::from("noLongerAllowed"), &Value::from("InUse")));
    assert_eq!(node.gone(), &small_planned() - &BTreeSet::from([id(OLD)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_does_not_list_them_is_cleaned_as_before() {
    // The first two refuse to remove what such a container uses, which the report says then.
    for (runtime, told) in [("cri-o", false), ("docker", false), ("containerd", true), ("other", true)] {
        let mut node: Snapshot = small();
        runtime.clone_into(&mut node.node.runtime_name);
        let no = Faults::none().error(Method::ListStream, Code::Unimplemented, "unknown service");
        let node = TestNode::seeded(node, no);
        let report = node.run(&["--allow-partial-untag"]).expect(0).json();
        assert_eq!(node.gone(), small_planned(), "{runtime}");
        assert_eq!(has_notice(&report), told, "{runtime}: {:#}", report["notices"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containerd_that_fails_to_list_them_is_not_cleaned() {
    for code in Code::ALL.into_iter().filter(|code| *code != Code::Unimplemented) {
        let node = TestNode::small(Faults::none().error(Method::ListStream, code, "no"));
        let error = node.untouched(node.run(&[]));
        assert!(error.contains("ListStream of containerd's containers") && error.contains("no"), "{code:?}: {error}");
    }
    // One that listed them before does not come to be a runtime without such a list.
    let node = TestNode::small(Faults::none().later_errors(1, Method::ListStream, Code::Unimplemented, "no"));
    let report = node.truth(&node.run(&[]));
    assert_eq!(report["ending"]["reason"], "NodeUnseen");
    assert!(node.gone().is_empty());
}

const HELD: &str = "docker.io/minchou/held:1";
const FORGOTTEN: [&str; 2] = ["docker.io/minchou/forgotten:1", "docker.io/minchou/forgotten:2"];
const ELSEWHERE: &str = "docker.io/minchou/elsewhere:1";
const LATE: &str = "docker.io/minchou/late:1";
const FREE: &str = "docker.io/minchou/free:1";
const RUNS: &str = "docker.io/minchou/runs:1";

async fn create(containerd: &Containerd, namespace: &str, image: &str, name: &str) -> anyhow::Result<()> {
    containerd.ctr(&["-n", namespace, "containers", "create", image, name, "/sleep"]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_ctr_keep_their_images_on_a_real_containerd() -> anyhow::Result<()> {
    on_each_containerd("containers_of_ctr_keep_their_images_on_a_real_containerd", async |containerd| {
        let layer = |seed| LayerSpec { files: 2, bytes_per_file: 4096, seed };
        let image = |name: &str, seed| TestImage::new(name).layer(layer(seed));
        let images = [
            pause_image()?,
            sleep_image(RUNS)?,
            image(HELD, 1),
            image(FORGOTTEN[0], 2).tag(FORGOTTEN[1]),
            image(ELSEWHERE, 3),
            image(LATE, 4),
            image(FREE, 5),
        ];
        let imported = containerd.import(&images).await?;
        let id = |tag: &str| imported.iter().find(|it| it.tags.iter().any(|own| own == tag)).unwrap().id.clone();
        let ids = |tags: &[&str]| tags.iter().map(|tag| id(tag)).collect::<BTreeSet<String>>();
        let cri = containerd.cri()?;
        let pod = cri.run_pod("web").await?;
        cri.running_container(&pod, &ContainerSpec::new("main", RUNS)).await?;

        create(&containerd, "k8s.io", HELD, "held").await?;
        create(&containerd, "k8s.io", FORGOTTEN[0], "forgetful").await?;
        containerd.ctr(&["images", "rm", FORGOTTEN[0]]).await?;
        let (archive, _) = containerd.archive(&[image(ELSEWHERE, 3)]).await?;
        containerd.ctr(&["-n", "other", "images", "import", archive.to_str().unwrap()]).await?;
        create(&containerd, "other", ELSEWHERE, "theirs").await?;

        let endpoint = containerd.endpoint();
        let recorded = run(&["snapshot", "--endpoint", &endpoint]).expect(0).stdout;
        let snapshot = Snapshot::from_json(recorded.as_bytes())?;
        let seen: Vec<(&str, &str)> = snapshot.outside.iter().map(|it| (it.id.as_str(), it.image.as_str())).collect();
        assert_eq!(seen, [("forgetful", FORGOTTEN[0]), ("held", HELD)], "and nothing of CRI or of another namespace");
        assert!(!snapshot.node.outside_unseen);

        // Between plan and removal one more is made.
        let everything = r#"{"repositories":["docker.io/minchou/*"]}"#;
        let asking = Asking::start(&sweep("run", "builtin:unused-images", everything, &endpoint, &[]));
        create(&containerd, "k8s.io", LATE, "late").await?;
        let report = asking.answer("y").expect(0).json();
        let step = result(&report, &id(LATE));
        assert_eq!(step["detail"]["code"], "InUse", "{step}");
        let listed = async || -> anyhow::Result<BTreeSet<String>> {
            Ok(cri.list_images().await?.into_iter().map(|image| image.id).collect())
        };
        let stays = [RUNS, HELD, FORGOTTEN[1], LATE, "localhost/pause:1"];
        assert_eq!(listed().await?, ids(&stays), "{report:#}");
        // What went from CRI's namespace is whole in the other.
        let others = containerd.ctr(&["-n", "other", "images", "check", &format!("name=={ELSEWHERE}")]).await?;
        assert!(others.contains(ELSEWHERE) && others.contains("complete"), "{others}");

        let plan = end(&mut greedy("plan", &endpoint)).expect(0).json();
        let words = "in use by container held (outside CRI, in containerd namespace k8s.io)";
        assert_eq!(refusal(&plan, &id(HELD)), ("InUse".to_owned(), words.to_owned()));
        assert_eq!(refusal(&plan, &id(FORGOTTEN[1])).0, "MayBeInUse");

        // Without the containers the images are like any others.
        for name in ["held", "forgetful", "late"] {
            containerd.ctr(&["containers", "rm", name]).await?;
        }
        unused_images("run", &endpoint, everything, &[]).expect(0);
        assert_eq!(listed().await?, ids(&[RUNS, "localhost/pause:1"]));
        Ok(())
    })
    .await
}
