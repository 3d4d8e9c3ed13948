//! The container image runs, and is what the manifests in `deploy` and the Dockerfile name.

use std::fs;
use std::path::Path;
use std::process::Command;

use holystone_tests::{ContainerSpec, Containerd, holystone_image, on_each_containerd, pause_image};
use serde_json::Value;

/// The image that the manifests in `deploy` name.
fn name() -> String {
    format!("docker.io/holystone/holystone:{}", env!("CARGO_PKG_VERSION"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_runs() -> anyhow::Result<()> {
    on_each_containerd("the_image_runs", async |tools| {
        let containerd = Containerd::start(&tools).await?;
        containerd.import(&[pause_image()?]).await?;
        containerd.import_archive(&holystone_image()?).await?;
        let cri = containerd.cri()?;
        let pod = cri.run_pod("demo").await?;
        let spec = ContainerSpec::new("demo", &name()).args(&["demo"]);
        let id = cri.running_container(&pod, &spec).await?;
        cri.wait_for_exit(&id).await?;
        let log = fs::read_to_string(Path::new(&pod.config.log_directory).join("demo/0.log"))?;
        assert!(log.contains("The runtime's disk after:"), "{log}");
        containerd.close()
    })
    .await
}

/// Docker is not asked here: what it would label is compared with what the script does.
#[test]
fn docker_makes_the_same_image() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let layout = tempfile::tempdir()?;
    let unpacked = Command::new("tar").arg("-xf").arg(holystone_image()?).arg("-C").arg(layout.path()).status()?;
    assert!(unpacked.success());
    let read =
        |path: &str| -> anyhow::Result<Value> { Ok(serde_json::from_slice(&fs::read(layout.path().join(path))?)?) };
    let blob = |descriptor: &Value| read(&descriptor["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/"));
    let index = read("index.json")?;
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], *name());
    let config = blob(&blob(&index["manifests"][0])?["config"])?;
    let dockerfile = fs::read_to_string(root.join("deploy/image/Dockerfile"))?;
    for (label, value) in config["config"]["Labels"].as_object().unwrap() {
        assert!(dockerfile.contains(&format!("{label}={value}")), "the Dockerfile lacks {label}={value}");
    }
    assert!(dockerfile.contains(&format!("ENTRYPOINT {}", config["config"]["Entrypoint"])));
    Ok(())
}
