//! The main job on a real CRI-O, which `HOLYSTONE_CRIO` names: what is in use stays, and what CRI-O lists and never removes
//! is no failure.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use holystone_tests::{ContainerSpec, Crio, LayerSpec, TestImage, crio, pause_image, sleep_image};
use serde_json::Value;

use crate::support::{result, unused_images};

const CONFIG: &str = r#"{"repositories":["docker.io/minchou/*"],"dangling":true}"#;
const RUNS: &str = "docker.io/minchou/runs:1";
const JOB: &str = "docker.io/minchou/job:1";
const OLD: [&str; 2] = ["docker.io/minchou/old:1", "docker.io/minchou/old:2"];
const TWICE: &str = "docker.io/minchou/twice:1";
const KEPT: &str = "docker.io/minchou/kept:1";
const ARTIFACT: &str = "docker.io/minchou/artifact:1";

fn layer(seed: u64) -> LayerSpec {
    LayerSpec { files: 2, bytes_per_file: 4096, seed }
}

/// An additional store with one image.
async fn additional(parent: &Path) -> anyhow::Result<PathBuf> {
    let store = parent.join("additional");
    fs::create_dir_all(&store)?;
    fs::write(parent.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)?;
    holystone_tests::crio::import(&[TestImage::new(KEPT).layer(layer(9))], parent, &store).await?;
    Ok(store)
}

/// Ids and tags of all images.
async fn listed(crio: &Crio) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let images = crio.cri()?.list_images().await?;
    Ok(images.into_iter().map(|image| (image.id, image.repo_tags)).collect())
}

fn id(images: &[(String, Vec<String>)], tag: &str) -> String {
    let image = images.iter().find(|(_, tags)| tags.iter().any(|own| own == tag));
    image.unwrap_or_else(|| panic!("{tag}: {images:?}")).0.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unused_goes_and_what_crio_keeps_is_no_failure() -> anyhow::Result<()> {
    let Some(binary) = crio("what_is_unused_goes_and_what_crio_keeps_is_no_failure")? else { return Ok(()) };
    let scratch = tempfile::tempdir()?;
    let crio = Crio::start(&binary, &std::env::temp_dir(), &[additional(scratch.path()).await?]).await?;
    let images = [
        pause_image()?,
        sleep_image(RUNS)?,
        sleep_image(JOB)?,
        TestImage::new(OLD[0]).layer(layer(1)),
        TestImage::new(OLD[1]).layer(layer(2)),
        TestImage::new(TWICE).tag("docker.io/minchou/twice:2").layer(layer(3)),
    ];
    crio.import(&images).await?;
    crio.add_artifact(ARTIFACT).await?;
    let raw = crio.cri()?;
    let pod = raw.run_pod("web").await?;
    raw.running_container(&pod, &ContainerSpec::new("runs", RUNS).user_specified_image(RUNS)).await?;
    raw.exited_container(&pod, "job", JOB).await?;
    let before = listed(&crio).await?;
    let kept = id(&before, KEPT);

    let report = unused_images("run", &crio.endpoint(), CONFIG, &[]).expect(0).json();
    let after: BTreeSet<String> = listed(&crio).await?.into_iter().flat_map(|(_, tags)| tags).collect();
    for tag in [RUNS, JOB, KEPT] {
        assert!(after.contains(tag), "{tag}: {report:#}");
    }
    for tag in [OLD[0], OLD[1], TWICE, ARTIFACT] {
        assert!(!after.contains(tag), "{tag}: {report:#}");
        assert_eq!(result(&report, &id(&before, tag))["result"], "removed", "{tag}");
    }
    assert_eq!(result(&report, &kept)["detail"]["code"], "KeptByRuntime");
    assert_eq!(report["images"]["totals"]["failed"], 0);

    // From then on it is refused, and the run is green.
    let again = unused_images("run", &crio.endpoint(), CONFIG, &[]).expect(0).json();
    assert_eq!(again["images"]["totals"]["planned"], 0);
    let codes: Vec<&Value> =
        again["images"]["refusals"].as_array().unwrap().iter().map(|it| &it["refusal"]["code"]).collect();
    assert_eq!(codes, ["KeptByRuntime"]);
    crio.close()
}
