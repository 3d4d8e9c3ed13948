//! The main job on a real containerd, by the real binary. What must stay and what must go is asked of containerd,
//! never of the report.

use std::collections::BTreeSet;
use std::path::Path;

use holystone_core::snapshot::Snapshot;
use holystone_tests::ContainerSpec;
use serde_json::{Value, json};

use crate::furnished::{
    CONFIG, Fate, JOB, LATE, NAMED, Node, OWN_FILE_BYTES, OWN_FILES, PROTECT, PROTECTED, SIBLINGS, WAITING, WEB,
    WITH_DANGLING, on_each_node,
};
use crate::support::{Ended, end, on, policy, run, steps, text, unused_images};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_125_images_is_cleaned() -> anyhow::Result<()> {
    on_each_node("a_node_of_125_images_is_cleaned", async |node| {
        a_recorded_node_comes_to_the_same_plan(node).await?;
        a_plan_lists_what_goes_and_touches_nothing(node).await?;

        let late = ContainerSpec::new("late", &node.id(LATE));
        node.cri.create_container(&node.pod, &late).await?;
        a_run_removes_what_is_unused_in_scope_and_frees_space(node).await?;
        a_second_run_finds_nothing_to_do(node).await?;
        dangling_images_go_when_asked_for(node).await?;
        an_image_goes_when_its_last_container_has_gone(node).await?;

        node.cri.exited_container(&node.pod, "init-again", JOB).await?;
        node.cri.running_container(&node.pod, &ContainerSpec::new("late-again", LATE)).await?;
        node.cri.run_pod("next").await?;
        Ok(())
    })
    .await
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
    let mut command = policy("plan", "builtin:unused-images", CONFIG);
    end(command.args(["-o", "json", "--snapshot"]).arg(snapshot)).expect(0).json()
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
    assert_eq!(plan["images"]["entries"], 125);
    let yaml = yaml("plan", &node.endpoint());
    assert_eq!(yaml["images"]["steps"], plan["images"]["steps"]);
    assert_eq!(yaml["images"]["refusals"], plan["images"]["refusals"]);
    assert_eq!(node.everything().await?, before);
    Ok(())
}

/// The same as [`unused_images`] with protection, as YAML.
fn yaml(verb: &str, endpoint: &str) -> Value {
    let mut command = policy(verb, "builtin:unused-images", CONFIG);
    let Ended { stdout, .. } = end(on(&mut command, endpoint).args(["-o", "yaml"]).args(PROTECT)).expect(0);
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
        assert_eq!(image.id, node.id(tag), "{tag}");
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
    for step in report["images"]["steps"].as_array().unwrap() {
        assert_eq!(step["result"], "removed", "{step}");
        assert_eq!(step["reason"], json!({ "kind": "unused", "text": "not used by any container" }));
        assert_eq!(step["plugin"], "unused-images");
        let (image, _) = node.images.iter().find(|(image, _)| step["target"] == image.id).unwrap();
        let mut names = [image.tags.clone(), image.repo_digests.clone()].concat();
        names.sort();
        assert_eq!(step["references"], json!(names));
        assert!(step["sizeBytes"].as_u64().unwrap() > 0);
    }
    let refusals = report["images"]["refusals"].as_array().unwrap().iter();
    let refused: Vec<_> = refusals.map(|it| (text(&it["name"]), text(&it["refusal"]["code"]))).collect();
    assert_eq!(refused, PROTECTED.map(|tag| (tag.to_owned(), "Protected".to_owned())));
    let totals = &report["images"]["totals"];
    for (total, count) in [("planned", gone.len()), ("removed", gone.len()), ("failed", 0), ("alreadyGone", 0)] {
        assert_eq!(totals[total], count, "{total}");
    }
    let sum: u64 =
        report["images"]["steps"].as_array().unwrap().iter().map(|step| step["sizeBytes"].as_u64().unwrap()).sum();
    assert_eq!(totals["sizeRemovedBytes"], sum);
    assert!(totals["filesystemFreedBytes"].is_i64(), "{totals}");
}

async fn a_second_run_finds_nothing_to_do(node: &Node) -> anyhow::Result<()> {
    let before = node.everything().await?;
    let report = unused_images("run", &node.endpoint(), CONFIG, &PROTECT).expect(0).json();
    assert_eq!(report["images"]["totals"]["planned"], 0);
    assert_eq!(report["images"]["steps"], json!([]));
    assert_eq!(yaml("run", &node.endpoint())["images"]["totals"]["planned"], 0);
    assert_eq!(node.everything().await?, before);
    Ok(())
}

async fn dangling_images_go_when_asked_for(node: &Node) -> anyhow::Result<()> {
    let before = node.ids().await?;
    let report = unused_images("run", &node.endpoint(), WITH_DANGLING, &PROTECT).expect(0).json();
    assert_eq!(&before - &node.ids().await?, node.of(&[Fate::Dangling]));
    for step in report["images"]["steps"].as_array().unwrap() {
        assert_eq!(step["reason"]["kind"], "dangling", "{step}");
    }
    Ok(())
}

async fn an_image_goes_when_its_last_container_has_gone(node: &Node) -> anyhow::Result<()> {
    node.cri.remove_container(&node.waiting).await?;
    let before = node.ids().await?;
    unused_images("run", &node.endpoint(), CONFIG, &PROTECT).expect(0);
    assert_eq!(&before - &node.ids().await?, BTreeSet::from([node.id(WAITING)]));
    Ok(())
}
