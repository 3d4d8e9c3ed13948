//! The main job on a real containerd, by the real binary. What must stay and what must go is asked of containerd,
//! never of the report; which is which is written down here and not computed by the product.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use holystone_core::snapshot::Snapshot;
use holystone_tests::{
    ContainerSpec, Containerd, Cri, Imported, LayerSpec, Pod, TestImage, Version, pause_image, program, sleep_image,
};
use serde_json::{Value, json};

use crate::support::{Ended, cache, containerd, end, holystone, run, unused_images, unused_images_command};

const CONFIG: &str = r#"{"repositories":["docker.io/minchou/*"]}"#;
const WITH_DANGLING: &str = r#"{"repositories":["docker.io/minchou/*"],"dangling":true}"#;
const PROTECT: [&str; 2] = ["--protect", "docker.io/minchou/base:*"];

const BASE: LayerSpec = LayerSpec { files: 20, bytes_per_file: 4096, seed: 0 };
/// What every old image has of its own.
const OWN_FILES: u32 = 4;
const OWN_FILE_BYTES: u32 = 16 << 10;

const WEB: &str = "docker.io/minchou/web:1.4.0";
/// Of a running container, created by the short form of the name.
const NAMED: &str = "docker.io/minchou/web:1.3.0";
const JOB: &str = "docker.io/minchou/job:7";
const WAITING: &str = "docker.io/minchou/waiting:1";
/// Of a running container, and then the name of a newer image.
const MOVED: &str = "docker.io/minchou/moved:latest";
/// The same without a container.
const NIGHTLY: &str = "docker.io/minchou/nightly:latest";
const LATE: &str = "docker.io/minchou/late:1";
const VOLUME: &str = "docker.io/minchou/volume:1";
const PINNED: &str = "docker.io/minchou/pinned:1";
const SIBLINGS: [&str; 2] = ["docker.io/elsewhere/shared:1", "docker.io/minchou/shared:1"];
const TWINS: [&str; 2] = ["docker.io/minchou/rollout:latest", "docker.io/minchou/rollout:v9.0.0"];
const PROTECTED: [&str; 2] = ["docker.io/minchou/base:1", "docker.io/minchou/base:2"];

/// CRI's number for a container that runs.
const RUNNING: i32 = 1;
/// How long a run may take to begin to remove.
const PATIENCE: Duration = Duration::from_mins(1);

/// What has to become of an image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Unused and in scope.
    Goes,
    /// The same, until a container is created between the plan and the run.
    UsedLater,
    /// In use, protected or out of scope.
    Stays,
    /// Unused and in scope, but without a tag, which has to be asked for.
    Dangling,
    /// Pinned, where containerd can pin; goes elsewhere.
    Pinned,
    /// Mounted into a container, where containerd can mount images; goes elsewhere.
    Mounted,
}

/// A node to be cleaned.
struct Node {
    containerd: Containerd,
    cri: Cri,
    pod: Pod,
    images: Vec<(Imported, Fate)>,
    running: Vec<String>,
    /// The container that was never started.
    waiting: String,
}

/// The images of the node and what has to become of them. With the [`newer`] ones they are 125.
fn images() -> anyhow::Result<Vec<(TestImage, Fate)>> {
    let mut images = vec![(pause_image()?, Fate::Stays)];
    for tag in [WEB, NAMED, JOB, WAITING, MOVED] {
        images.push((sleep_image(tag)?, Fate::Stays));
    }
    images.push((sleep_image(LATE)?, Fate::UsedLater));
    images.push((TestImage::dangling("docker.io/minchou/digest", "in use").program("sleep", program()?), Fate::Stays));
    images.push((TestImage::new(NIGHTLY).layer(BASE), Fate::Dangling));
    images.push((TestImage::new(TWINS[0]).tag(TWINS[1]).layer(BASE), Fate::Goes));
    images.push((TestImage::new(SIBLINGS[1]).tag(SIBLINGS[0]).layer(BASE), Fate::Stays));
    images.push((TestImage::dangling("docker.io/minchou/rollout", "moved on").layer(BASE), Fate::Dangling));
    images.push((TestImage::new(PINNED).layer(BASE).pinned(), Fate::Pinned));
    images.push((TestImage::new(VOLUME).layer(BASE), Fate::Mounted));
    let out_of_scope = [
        "docker.io/library/nginx:1.25",
        "docker.io/library/nginx:1.26",
        "docker.io/library/nginx:1.27",
        "docker.io/library/minchou:1",
        "docker.io/minchouette/rollout:v1.0.0",
        "quay.io/minchou/rollout:v1.0.0",
        "registry.example:5000/docker.io/minchou/rollout:v1.0.0",
    ];
    for tag in PROTECTED.into_iter().chain(out_of_scope) {
        images.push((TestImage::new(tag).layer(BASE), Fate::Stays));
    }
    let rollout = (0..60).map(|number| format!("docker.io/minchou/rollout:v1.{}.{}", number / 10, number % 10));
    let kruise = (1..=40).map(|number| format!("docker.io/minchou/kruiserollout:build-{number}"));
    images.extend(rollout.chain(kruise).zip(1..).map(|(tag, seed)| (old(&tag, seed), Fate::Goes)));
    Ok(images)
}

/// Images that take their tags from others, which are then without a name.
fn newer() -> anyhow::Result<[(TestImage, Fate); 2]> {
    // A container goes by the name of the first, though it runs the older one: a doubt, and so it stays.
    Ok([
        (sleep_image(MOVED)?.label("newer", "yes"), Fate::Stays),
        (TestImage::new(NIGHTLY).label("newer", "yes").layer(BASE), Fate::Goes),
    ])
}

/// An image that shares its base with others and has a layer of its own.
fn old(tag: &str, seed: u64) -> TestImage {
    TestImage::new(tag).layer(BASE).layer(LayerSpec { files: OWN_FILES, bytes_per_file: OWN_FILE_BYTES, seed })
}

impl Node {
    /// A containerd with the images, and containers running, exited and never started.
    async fn furnish(containerd: Containerd) -> anyhow::Result<Self> {
        let mut images = import(&containerd, images()?).await?;
        let cri = containerd.cri()?;
        let pod = cri.run_pod("web").await?;
        let running = [
            ContainerSpec::new("main", &id(&images, WEB)).user_specified_image(WEB),
            with_volume(&containerd, ContainerSpec::new("named", NAMED.trim_start_matches("docker.io/"))),
            ContainerSpec::new("by-digest", &digest(&images, "docker.io/minchou/digest")),
            ContainerSpec::new("moved", MOVED),
        ];
        let mut ids = Vec::new();
        for container in &running {
            ids.push(cri.running_container(&pod, container).await?);
        }
        cri.exited_container(&pod, "init", JOB).await?;
        let waiting = cri.create_container(&pod, &ContainerSpec::new("waiting", &id(&images, WAITING))).await?;
        images.extend(import(&containerd, newer()?.into()).await?);
        assert_eq!(images.len(), 125);
        Ok(Self { containerd, cri, pod, images, running: ids, waiting })
    }

    fn endpoint(&self) -> String {
        self.containerd.endpoint()
    }

    /// The ids that have to go for one of these fates.
    fn of(&self, fates: &[Fate]) -> BTreeSet<String> {
        let here = |fate: Fate| match fate {
            Fate::Pinned if !self.containerd.can_pin() => Fate::Goes,
            Fate::Mounted if !can_mount_images(&self.containerd) => Fate::Goes,
            fate => fate,
        };
        let chosen = self.images.iter().filter(|(_, fate)| fates.contains(&here(*fate)));
        chosen.map(|(image, _)| image.id.clone()).collect()
    }

    /// The ids that are there.
    async fn ids(&self) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.cri.image_ids().await?.into_iter().collect())
    }

    /// All that containerd says about images, for comparing.
    async fn everything(&self) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.cri.list_images().await?.into_iter().map(|image| format!("{image:?}")).collect())
    }

    async fn assert_all_run(&self) -> anyhow::Result<()> {
        let containers = self.cri.list_containers().await?;
        for id in &self.running {
            assert!(containers.iter().any(|it| it.id == *id && it.state == RUNNING), "{id} runs: {containers:?}");
        }
        Ok(())
    }
}

async fn import(containerd: &Containerd, images: Vec<(TestImage, Fate)>) -> anyhow::Result<Vec<(Imported, Fate)>> {
    let (images, fates): (Vec<TestImage>, Vec<Fate>) = images.into_iter().unzip();
    Ok(containerd.import(&images).await?.into_iter().zip(fates).collect())
}

fn with_volume(containerd: &Containerd, container: ContainerSpec) -> ContainerSpec {
    if can_mount_images(containerd) { container.mount_image(VOLUME, "/volume") } else { container }
}

fn can_mount_images(containerd: &Containerd) -> bool {
    containerd.version() >= Version { major: 2, minor: 1 }
}

fn id(images: &[(Imported, Fate)], tag: &str) -> String {
    let has = |(image, _): &&(Imported, Fate)| image.tags.iter().any(|known| known == tag);
    images.iter().find(has).unwrap_or_else(|| panic!("{tag} was not imported")).0.id.clone()
}

/// The name by digest of an image in that repository.
fn digest(images: &[(Imported, Fate)], repository: &str) -> String {
    let mut digests = images.iter().flat_map(|(image, _)| &image.repo_digests);
    digests.find(|digest| digest.starts_with(&format!("{repository}@"))).expect(repository).clone()
}

/// The ids of the images in a plan's or report's steps; each is there once.
fn steps(result: &Value) -> BTreeSet<String> {
    let steps: Vec<String> = result["steps"].as_array().unwrap().iter().map(|step| text(&step["image"])).collect();
    let set: BTreeSet<String> = steps.iter().cloned().collect();
    assert_eq!(set.len(), steps.len());
    set
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_125_images_is_cleaned() -> anyhow::Result<()> {
    let Some(containerd) = containerd("a_node_of_125_images_is_cleaned").await? else {
        return Ok(());
    };
    let node = Box::pin(Node::furnish(containerd)).await?;
    a_recorded_node_comes_to_the_same_plan(&node).await?;
    a_plan_lists_what_goes_and_touches_nothing(&node).await?;

    let late = ContainerSpec::new("late", &id(&node.images, LATE));
    node.cri.create_container(&node.pod, &late).await?;
    a_run_removes_what_is_unused_in_scope_and_frees_space(&node).await?;
    a_second_run_finds_nothing_to_do(&node).await?;
    dangling_images_go_when_asked_for(&node).await?;
    an_image_goes_when_its_last_container_has_gone(&node).await?;

    node.assert_all_run().await?;
    node.cri.exited_container(&node.pod, "init-again", JOB).await?;
    node.cri.running_container(&node.pod, &ContainerSpec::new("late-again", LATE)).await?;
    node.cri.run_pod("next").await?;
    node.containerd.close()
}

async fn a_recorded_node_comes_to_the_same_plan(node: &Node) -> anyhow::Result<()> {
    let endpoint = node.endpoint();
    let recorded = run(&["snapshot", "--endpoint", &endpoint, "--node-name", "a"]).expect(0).stdout;
    let snapshot = Snapshot::from_json(recorded.as_bytes())?;
    assert_eq!(snapshot.node.name, "a");
    let ids: BTreeSet<String> = snapshot.images.iter().map(|image| image.id.to_string()).collect();
    assert_eq!(ids, node.ids().await?);
    assert_eq!(snapshot.containers.len(), node.cri.list_containers().await?.len());

    let file = node.containerd.directory().join("node.json");
    std::fs::write(&file, recorded)?;
    let replayed = essence(&replay(&file));
    assert_eq!(essence(&unused_images("plan", &endpoint, CONFIG, &["--node-name", "a"]).expect(0).json()), replayed);
    Ok(())
}

/// A plan for a recorded node.
fn replay(snapshot: &Path) -> Value {
    let mut command = holystone();
    command.args(["plan", "--plugin", "builtin:unused-images", "--config", CONFIG, "-o", "json", "--snapshot"]);
    end(command.arg(snapshot).arg("--cache-dir").arg(cache())).expect(0).json()
}

/// A plan without what is different at each look: the time and how full the disk is.
fn essence(plan: &Value) -> Value {
    let mut plan = plan.clone();
    let fields = plan.as_object_mut().unwrap();
    for field in ["takenAt", "filesystems"] {
        assert!(fields.remove(field).is_some(), "{field}");
    }
    plan
}

async fn a_plan_lists_what_goes_and_touches_nothing(node: &Node) -> anyhow::Result<()> {
    let before = node.everything().await?;
    let plan = unused_images("plan", &node.endpoint(), CONFIG, &PROTECT).expect(0).json();
    assert_eq!(steps(&plan), node.of(&[Fate::Goes, Fate::UsedLater]));
    assert_eq!(plan["images"], 125);
    let yaml = yaml("plan", &node.endpoint());
    assert_eq!(yaml["steps"], plan["steps"]);
    assert_eq!(yaml["refusals"], plan["refusals"]);
    assert_eq!(node.everything().await?, before);
    Ok(())
}

/// The same as [`unused_images`] with protection, as YAML.
fn yaml(verb: &str, endpoint: &str) -> Value {
    let mut command = unused_images_command(verb, endpoint, CONFIG);
    command.args(["-o", "yaml"]);
    let Ended { stdout, .. } = end(command.args(PROTECT)).expect(0);
    assert!(!stdout.trim_start().starts_with('{'), "not YAML but JSON:\n{stdout}");
    serde_saphyr::from_str(&stdout).unwrap_or_else(|error| panic!("{error}:\n{stdout}"))
}

async fn a_run_removes_what_is_unused_in_scope_and_frees_space(node: &Node) -> anyhow::Result<()> {
    let (before, bytes_before) = (node.ids().await?, node.containerd.image_bytes()?);
    let ended = unused_images("run", &node.endpoint(), CONFIG, &PROTECT).expect(0);
    let report = ended.json();
    let gone = node.of(&[Fate::Goes]);
    assert!(gone.len() >= 102);
    assert_eq!(&before - &node.ids().await?, gone, "{}", ended.stderr);
    the_report_tells_what_happened(node, &report);
    for tag in [WEB, NAMED, JOB, WAITING, LATE, SIBLINGS[0], SIBLINGS[1], PROTECTED[0], PROTECTED[1]] {
        let image = node.cri.image_status(tag).await?.unwrap_or_default();
        assert_eq!(image.id, id(&node.images, tag), "{tag}");
    }

    let freed = bytes_before - node.containerd.image_bytes()?;
    // Each image's own layer lies on the disk twice, as content and as a snapshot; the base stays.
    let own = 100 * 2 * u64::from(OWN_FILES * OWN_FILE_BYTES);
    assert!(freed > own, "{freed} bytes were freed, {own} and more were to be");
    Ok(())
}

fn the_report_tells_what_happened(node: &Node, report: &Value) {
    let gone = node.of(&[Fate::Goes]);
    assert_eq!(steps(report), gone);
    for step in report["steps"].as_array().unwrap() {
        assert_eq!(step["result"], "removed", "{step}");
        assert_eq!(step["reason"], json!({ "kind": "unused", "text": "not used by any container" }));
        assert_eq!(step["plugin"], "unused-images");
        let (image, _) = node.images.iter().find(|(image, _)| step["image"] == image.id).unwrap();
        let mut names = [image.tags.clone(), image.repo_digests.clone()].concat();
        names.sort();
        assert_eq!(step["references"], json!(names));
        assert!(step["sizeBytes"].as_u64().unwrap() > 0);
    }
    let refusals = report["refusals"].as_array().unwrap().iter();
    let refused: Vec<_> = refusals.map(|it| (text(&it["name"]), text(&it["refusal"]["code"]))).collect();
    assert_eq!(refused, PROTECTED.map(|tag| (tag.to_owned(), "Protected".to_owned())));
    let totals = &report["totals"];
    for (total, count) in [("planned", gone.len()), ("removed", gone.len()), ("failed", 0), ("alreadyGone", 0)] {
        assert_eq!(totals[total], count, "{total}");
    }
    let sum: u64 = report["steps"].as_array().unwrap().iter().map(|step| step["sizeBytes"].as_u64().unwrap()).sum();
    assert_eq!(totals["sizeRemovedBytes"], sum);
    assert!(totals["filesystemFreedBytes"].is_i64(), "{totals}");
}

async fn a_second_run_finds_nothing_to_do(node: &Node) -> anyhow::Result<()> {
    let before = node.everything().await?;
    let report = unused_images("run", &node.endpoint(), CONFIG, &PROTECT).expect(0).json();
    assert_eq!(report["totals"]["planned"], 0);
    assert_eq!(report["steps"], json!([]));
    assert_eq!(yaml("run", &node.endpoint())["totals"]["planned"], 0);
    assert_eq!(node.everything().await?, before);
    Ok(())
}

async fn dangling_images_go_when_asked_for(node: &Node) -> anyhow::Result<()> {
    let before = node.ids().await?;
    let report = unused_images("run", &node.endpoint(), WITH_DANGLING, &PROTECT).expect(0).json();
    assert_eq!(&before - &node.ids().await?, node.of(&[Fate::Dangling]));
    for step in report["steps"].as_array().unwrap() {
        assert_eq!(step["reason"]["kind"], "dangling", "{step}");
    }
    Ok(())
}

async fn an_image_goes_when_its_last_container_has_gone(node: &Node) -> anyhow::Result<()> {
    node.cri.remove_container(&node.waiting).await?;
    let before = node.ids().await?;
    unused_images("run", &node.endpoint(), CONFIG, &PROTECT).expect(0);
    assert_eq!(&before - &node.ids().await?, BTreeSet::from([id(&node.images, WAITING)]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containerd_that_restarts_or_stops_costs_nothing_that_must_stay() -> anyhow::Result<()> {
    let Some(containerd) = containerd("a_containerd_that_restarts_or_stops_costs_nothing_that_must_stay").await? else {
        return Ok(());
    };
    let mut node = Box::pin(Node::furnish(containerd)).await?;
    let planned = steps(&unused_images("plan", &node.endpoint(), CONFIG, &PROTECT).expect(0).json());
    node.containerd.restart().await?;
    let again = steps(&unused_images("plan", &node.endpoint(), CONFIG, &PROTECT).expect(0).json());
    assert_eq!(again, planned, "a restarted containerd knows the same containers");

    a_restart_during_a_run_is_survived(&mut node).await?;
    an_end_during_a_run_is_told(&mut node).await?;

    let all = node.ids().await?;
    node.containerd.stop()?;
    without_a_runtime_no_run_takes_place(&node);
    node.containerd.resume().await?;
    assert_eq!(node.ids().await?, all);
    node.assert_all_run().await?;
    node.containerd.close()
}

async fn a_restart_during_a_run_is_survived(node: &mut Node) -> anyhow::Result<()> {
    let before = node.ids().await?;
    let run = run_until_containerd_stops(node).await?;
    node.containerd.resume().await?;
    let ended = run.join().expect("the run was started");
    let gone = &before - &node.ids().await?;
    a_report_is_true(&ended, &gone);
    the_next_runs_do_the_rest(node).await
}

async fn an_end_during_a_run_is_told(node: &mut Node) -> anyhow::Result<()> {
    let more = (0..100).map(|number| (old(&format!("docker.io/minchou/rollout:v2.0.{number}"), number), Fate::Goes));
    let more = import(&node.containerd, more.collect()).await?;
    node.images.extend(more);
    let before = node.ids().await?;
    let run = run_until_containerd_stops(node).await?;
    let ended = run.join().expect("the run was started").expect(1);
    node.containerd.resume().await?;
    let gone = &before - &node.ids().await?;
    a_report_is_true(&ended, &gone);
    the_next_runs_do_the_rest(node).await
}

/// Starts a run, and stops containerd when the first image has gone.
async fn run_until_containerd_stops(node: &mut Node) -> anyhow::Result<JoinHandle<Ended>> {
    let before = node.ids().await?;
    let endpoint = node.endpoint();
    let run = std::thread::spawn(move || unused_images("run", &endpoint, CONFIG, &PROTECT));
    let start = Instant::now();
    while node.ids().await? == before {
        assert!(start.elapsed() < PATIENCE && !run.is_finished(), "the run removed nothing");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    node.containerd.stop()?;
    assert!(!run.is_finished(), "it was over before containerd stopped: more images are needed");
    Ok(run)
}

/// What is said to be removed has gone, and what is not said to be removed or failed has not.
fn a_report_is_true(ended: &Ended, gone: &BTreeSet<String>) {
    let report = ended.json();
    assert!(gone.is_subset(&steps(&report)));
    let failed = report["totals"]["failed"].as_u64().unwrap();
    assert_eq!(ended.code, i32::from(failed > 0), "{}", ended.stderr);
    for step in report["steps"].as_array().unwrap() {
        match step["result"].as_str().unwrap() {
            "removed" | "alreadyGone" => assert!(gone.contains(&text(&step["image"])), "{step}"),
            "notAttempted" => assert!(!gone.contains(&text(&step["image"])), "{step}"),
            // Nobody answered: it may have gone or not.
            "failed" => assert!(!text(&step["detail"]).is_empty()),
            other => panic!("{other}: {step}"),
        }
    }
}

/// containerd drops an image's tags before its id. Where it ended in between, an image without a name is left, which
/// no pattern of repositories can mean any more.
async fn the_next_runs_do_the_rest(node: &Node) -> anyhow::Result<()> {
    let kept = node.of(&[Fate::Stays, Fate::Dangling, Fate::Pinned, Fate::Mounted]);
    unused_images("run", &node.endpoint(), CONFIG, &PROTECT).expect(0);
    for left in node.cri.list_images().await?.into_iter().filter(|image| !kept.contains(&image.id)) {
        assert!(left.repo_tags.is_empty() && left.repo_digests.is_empty(), "{left:?}");
    }
    unused_images("run", &node.endpoint(), WITH_DANGLING, &PROTECT).expect(0);
    assert_eq!(node.ids().await?, node.of(&[Fate::Stays, Fate::Pinned, Fate::Mounted]));
    node.assert_all_run().await
}

fn without_a_runtime_no_run_takes_place(node: &Node) {
    let socket = node.containerd.socket().display().to_string();
    for ended in [
        unused_images("run", &node.endpoint(), CONFIG, &[]),
        unused_images("plan", &node.endpoint(), CONFIG, &[]),
        run(&["snapshot", "--endpoint", &node.endpoint()]),
    ] {
        let ended = ended.expect(2);
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.contains(&socket), "{socket} is not named: {}", ended.stderr);
    }
}
