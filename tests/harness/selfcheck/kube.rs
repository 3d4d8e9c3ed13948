//! A cluster works, and nothing of it is left.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::SLEEP;
use k8s_cri::v1::ContainerState;

use crate::requirements::text_of;
use crate::{Cluster, mounts_beneath, processes_naming, skip, sleep_image};

/// A pod on every node.
const EVERYWHERE: &str = r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: everywhere }
spec:
  selector: { matchLabels: { app: everywhere } }
  template:
    metadata: { labels: { app: everywhere } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - { name: sleep, image: "docker.io/library/sleep:1", imagePullPolicy: Never }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_two_nodes_and_nothing_left_of_it() -> anyhow::Result<()> {
    let start = Instant::now();
    let test = "a_cluster_with_two_nodes_and_nothing_left_of_it";
    let Some(mut cluster) = Cluster::start(test).await? else { return Ok(()) };
    if cluster.nodes().is_empty() {
        return skip(test, "the cluster is not the test's own");
    }
    eprintln!("two nodes ready in {:?}", start.elapsed());
    let directories = cluster.directories();
    let network = fs::read_dir("/sys/class/net")?.count();
    assert_eq!(directories.len(), 3);

    let start = Instant::now();
    cluster.import(&[sleep_image(SLEEP)?]).await?;
    cluster.apply(EVERYWHERE).await?;
    cluster.kubectl(&["rollout", "status", "daemonset/everywhere", "--timeout=60s"]).await?;
    eprintln!("a pod on each in {:?}", start.elapsed());
    let nodes = cluster.kubectl(&["get", "pods", "--output=jsonpath={.items[*].spec.nodeName}"]).await?;
    let mut nodes: Vec<&str> = nodes.split(' ').collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["node-a", "node-b"]);
    // Each has its own containerd, and its own containers.
    for node in cluster.nodes() {
        assert_eq!(node.containerd().cri()?.list_containers().await?.len(), 1);
    }

    cluster.stop_node("node-b")?;
    let containers = cluster.nodes()[1].containerd().cri()?.list_containers().await?;
    assert!(containers.iter().all(|container| container.state() == ContainerState::ContainerRunning));
    cluster.start_node("node-b")?;

    cluster.stop_api_server()?;
    assert!(cluster.kubectl(&["get", "nodes"]).await.is_err());
    let start = Instant::now();
    cluster.start_api_server().await?;
    eprintln!("the API server back in {:?}", start.elapsed());
    cluster.wait_until_ready().await?;

    let start = Instant::now();
    cluster.close()?;
    eprintln!("closed in {:?}", start.elapsed());
    for directory in directories {
        assert_eq!(mounts_beneath(&directory)?, Vec::<PathBuf>::new());
        assert_eq!(processes_naming(&directory)?, Vec::<i32>::new());
        assert!(!directory.exists());
    }
    assert!(fs::read_dir("/sys/class/net")?.count() < network);
    Ok(())
}

/// Not a test, but a cluster to play with. `HOLYSTONE_KEEP_CLUSTER` names a file: the path of the kubeconfig is written
/// into it, and the cluster is there until the file is removed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "keeps a cluster until a file is removed"]
async fn keep_a_cluster() -> anyhow::Result<()> {
    let file = PathBuf::from(text_of("HOLYSTONE_KEEP_CLUSTER")?);
    ensure!(!file.as_os_str().is_empty(), "HOLYSTONE_KEEP_CLUSTER names no file");
    let Some(cluster) = Cluster::start("keep_a_cluster").await? else { return Ok(()) };
    cluster.import(&[sleep_image(SLEEP)?]).await?;
    for node in cluster.nodes() {
        eprintln!(
            "{} with containerd {} at {}",
            node.name(),
            node.containerd().version(),
            node.containerd().endpoint()
        );
    }
    fs::write(&file, cluster.kubeconfig().display().to_string()).context("write HOLYSTONE_KEEP_CLUSTER")?;
    while file.exists() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    cluster.close()
}
