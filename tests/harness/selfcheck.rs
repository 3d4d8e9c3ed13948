//! The harness proves itself: what it starts works, and nothing of it is left.

mod kube;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use k8s_cri::v1::ContainerState;

use crate::{
    ContainerSpec, Containerd, LayerSpec, TestImage, Tools, du, mounts_beneath, on_each_containerd, pause_image,
    processes_naming, skip, sleep_image,
};

const SLEEP: &str = "docker.io/library/sleep:1";
const BASE: LayerSpec = LayerSpec { files: 20, bytes_per_file: 4096, seed: 0 };

/// 125 images over one base, of which every fifth has two tags.
fn node_images() -> Vec<TestImage> {
    let image = |number: u64| {
        let tag = format!("docker.io/minchou/rollout:1.0.{number}");
        let own = LayerSpec { files: 4, bytes_per_file: 4096, seed: number };
        let image = TestImage::new(&tag).layer(BASE).layer(own);
        if number.is_multiple_of(5) { image.tag(&format!("docker.io/minchou/rollout:latest-{number}")) } else { image }
    };
    (1..=125).map(image).collect()
}

/// That nothing of a closed containerd is left: no mount, no process, no file.
fn assert_gone(base: &Path, containers: &[String]) -> anyhow::Result<()> {
    assert_eq!(mounts_beneath(base)?, Vec::<PathBuf>::new());
    assert_eq!(processes_naming(base)?, Vec::<i32>::new());
    assert!(!base.exists());
    // A container's process is in a cgroup of the container's name.
    for id in containers {
        for entry in std::fs::read_dir("/proc")?.filter_map(Result::ok) {
            let cgroup = std::fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
            assert!(!cgroup.contains(id), "{} belongs to {id}", entry.path().display());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_and_nothing_left_of_it() -> anyhow::Result<()> {
    on_each_containerd("a_full_node_and_nothing_left_of_it", async |tools| {
        let start = Instant::now();
        let containerd = Containerd::start(&tools).await?;
        eprintln!("containerd {} started in {:?}", containerd.version(), start.elapsed());
        let cri = containerd.cri()?;
        containerd.import(&[pause_image()?, sleep_image(SLEEP)?]).await?;
        let start = Instant::now();
        let images = containerd.import(&node_images()).await?;
        eprintln!("125 images imported in {:?}", start.elapsed());

        let pod = cri.run_pod("web").await?;
        let running = cri.running_container(&pod, &ContainerSpec::new("main", SLEEP)).await?;
        let exited = cri.exited_container(&pod, "init", SLEEP).await?;
        cri.wait_for_state(&running, ContainerState::ContainerRunning).await?;
        assert_eq!(cri.list_containers().await?.len(), 2);
        assert_eq!(cri.image_ids().await?.len(), 127);

        let two_tags = &images[4];
        assert_eq!(two_tags.tags.len(), 2);
        cri.remove_image(&two_tags.id).await?;
        for tag in &two_tags.tags {
            assert!(cri.image_status(tag).await?.is_none(), "{tag}");
        }
        let before = containerd.image_bytes()?;
        let start = Instant::now();
        for image in &images {
            cri.remove_image(&image.id).await?;
        }
        eprintln!("124 images removed in {:?}", start.elapsed());
        let after = containerd.image_bytes()?;
        eprintln!("{before} bytes before, {after} after");
        // Each image has a layer and a snapshot of four files of 4096 bytes of its own.
        assert!(before - after > 124 * 2 * 4 * 4096);
        assert_eq!(cri.image_ids().await?.len(), 2);
        let start = Instant::now();
        let base = containerd.directory().to_path_buf();
        let daemon = containerd.daemon_id();
        containerd.close()?;
        eprintln!("closed in {:?}", start.elapsed());
        assert!(!Path::new("/proc").join(daemon.unwrap_or_default().to_string()).exists());
        assert_gone(&base, &[pod.id, running, exited])
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_survive_a_restart_and_are_ended_with_a_stopped_daemon() -> anyhow::Result<()> {
    on_each_containerd("containers_survive_a_restart_and_are_ended_with_a_stopped_daemon", async |tools| {
        let mut containerd = Containerd::start(&tools).await?;
        let cri = containerd.cri()?;
        containerd.import(&[pause_image()?, sleep_image(SLEEP)?]).await?;
        let pod = cri.run_pod("web").await?;
        let running = cri.running_container(&pod, &ContainerSpec::new("main", SLEEP)).await?;
        containerd.restart().await?;
        cri.wait_for_state(&running, ContainerState::ContainerRunning).await?;
        containerd.stop()?;
        assert!(cri.version().await.is_err());
        let base = containerd.directory().to_path_buf();
        drop(containerd);
        assert_gone(&base, &[pod.id, running])
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_daemon_answers_later_and_containers_survive_a_killed_one() -> anyhow::Result<()> {
    on_each_containerd("a_frozen_daemon_answers_later_and_containers_survive_a_killed_one", async |tools| {
        let mut containerd = Containerd::start(&tools).await?;
        let cri = containerd.cri()?;
        containerd.import(&[pause_image()?, sleep_image(SLEEP)?]).await?;
        let pod = cri.run_pod("web").await?;
        let running = cri.running_container(&pod, &ContainerSpec::new("main", SLEEP)).await?;

        containerd.freeze()?;
        let mut asked = Box::pin(cri.list_containers());
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut asked).await.is_err());
        containerd.thaw()?;
        assert_eq!(asked.await?.len(), 1);

        containerd.kill()?;
        assert!(cri.version().await.is_err());
        containerd.resume().await?;
        cri.wait_for_state(&running, ContainerState::ContainerRunning).await?;
        let base = containerd.directory().to_path_buf();
        containerd.close()?;
        assert_gone(&base, &[pod.id, running])
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_removed_and_stopped_quickly() -> anyhow::Result<()> {
    on_each_containerd("pods_are_removed_and_stopped_quickly", async |tools| {
        let containerd = Containerd::start(&tools).await?;
        let cri = containerd.cri()?;
        containerd.import(&[pause_image()?, sleep_image(SLEEP)?]).await?;
        let pod = cri.run_pod("web").await?;
        let running = cri.running_container(&pod, &ContainerSpec::new("main", SLEEP)).await?;
        let start = Instant::now();
        cri.stop_container(&running).await?;
        assert!(start.elapsed().as_secs() < 5, "the program does not heed SIGTERM");
        cri.remove_container(&running).await?;
        cri.remove_pod(&pod.id).await?;
        assert!(cri.list_containers().await?.is_empty());
        assert!(cri.list_pods().await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_tag_can_be_made_in_two_ways() -> anyhow::Result<()> {
    on_each_containerd("an_image_without_a_tag_can_be_made_in_two_ways", async |tools| {
        let containerd = Containerd::start(&tools).await?;
        let cri = containerd.cri()?;
        let first = [
            TestImage::dangling("docker.io/minchou/rollout", "old").layer(BASE),
            TestImage::new("docker.io/minchou/web:1").layer(BASE),
            TestImage::new("docker.io/minchou/pulled:1").layer(BASE).pulled(),
        ];
        let made = containerd.import(&first).await?;
        let newer = TestImage::new("docker.io/minchou/web:1").label("newer", "yes").layer(BASE);
        let newer = containerd.import(&[newer]).await?;
        assert_ne!(newer[0].id, made[1].id);
        let status = async |id: &str| Ok::<_, anyhow::Error>(cri.image_status(id).await?.unwrap_or_default());
        let by_digest = status(&made[0].id).await?;
        assert!(by_digest.repo_tags.is_empty());
        assert_eq!(by_digest.repo_digests, made[0].repo_digests);
        let replaced = status(&made[1].id).await?;
        assert!(replaced.repo_tags.is_empty() && replaced.repo_digests.is_empty());
        assert_eq!(replaced.id, made[1].id);
        let pulled = status(&made[2].id).await?;
        assert_eq!((pulled.repo_tags, pulled.repo_digests), (made[2].tags.clone(), made[2].repo_digests.clone()));
        cri.remove_image(&made[0].id).await?;
        cri.remove_image(&made[1].id).await?;
        assert_eq!(cri.list_images().await?.len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_image_is_reported_where_containerd_can() -> anyhow::Result<()> {
    on_each_containerd("a_pinned_image_is_reported_where_containerd_can", async |tools| {
        let mut containerd = Containerd::start(&tools).await?;
        let cri = containerd.cri()?;
        let image = containerd.import(&[TestImage::new("docker.io/minchou/keep:1").layer(BASE).pinned()]).await?;
        let before = cri.image_status(&image[0].id).await?.unwrap_or_default().pinned;
        containerd.restart().await?;
        let after = cri.image_status(&image[0].id).await?.unwrap_or_default().pinned;
        assert_eq!((before, after), (containerd.can_pin(), containerd.can_pin()));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn several_live_side_by_side() -> anyhow::Result<()> {
    on_each_containerd("several_live_side_by_side", async |tools| {
        let (one, two, three) = tokio::join!(one_of_several(&tools), one_of_several(&tools), one_of_several(&tools));
        one.and(two).and(three)
    })
    .await
}

/// One containerd among others, with a pod of the same name as theirs.
async fn one_of_several(tools: &Tools) -> anyhow::Result<()> {
    let containerd = Containerd::start(tools).await?;
    let cri = containerd.cri()?;
    containerd.import(&[pause_image()?, sleep_image(SLEEP)?]).await?;
    let pod = cri.run_pod("web").await?;
    let running = cri.running_container(&pod, &ContainerSpec::new("main", SLEEP)).await?;
    let base = containerd.directory().to_path_buf();
    ensure!(cri.list_containers().await?.len() == 1 && du(&base)? > 0);
    drop(containerd);
    assert_gone(&base, &[pod.id, running])
}

#[tokio::test]
async fn a_containerd_that_cannot_start_says_why() -> anyhow::Result<()> {
    on_each_containerd("a_containerd_that_cannot_start_says_why", async |tools| {
        let broken = Tools { containerd: "/bin/false".into(), ..tools };
        let error = Containerd::start(&broken).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("containerd ended with"), "{error}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_failing_test_leaves_nothing_either() -> anyhow::Result<()> {
    on_each_containerd("a_failing_test_leaves_nothing_either", async |tools| {
        let (send, receive) = std::sync::mpsc::channel();
        let failing = tokio::spawn(async move {
            let containerd = Containerd::start_beneath(&tools, Path::new("/dev/shm")).await?;
            containerd.import(&[pause_image()?]).await?;
            let pod = containerd.cri()?.run_pod("web").await?;
            send.send((containerd.directory().to_path_buf(), pod.id))?;
            assert!(!containerd.socket().exists(), "this panic is meant to be");
            anyhow::Ok(())
        });
        assert!(failing.await.is_err_and(|error| error.is_panic()));
        let (base, pod) = receive.try_recv()?;
        assert_gone(&base, &[pod])
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_can_be_mounted_where_containerd_can() -> anyhow::Result<()> {
    on_each_containerd("an_image_can_be_mounted_where_containerd_can", async |tools| {
        let containerd = Containerd::start(&tools).await?;
        if !containerd.can_mount_images() {
            let version = tools.version;
            return skip("an_image_can_be_mounted_where_containerd_can", &format!("containerd {version} cannot"));
        }
        let cri = containerd.cri()?;
        let data = TestImage::new("docker.io/minchou/data:1").layer(BASE);
        let images = [pause_image()?, sleep_image(SLEEP)?, data];
        let known = containerd.import(&images).await?;
        let pause = cri.image_status(&known[0].id).await?.unwrap_or_default();
        assert!(pause.pinned, "{pause:?}");
        let pod = cri.run_pod("web").await?;
        let spec = ContainerSpec::new("main", SLEEP).mount_image("docker.io/minchou/data:1", "/data");
        let running = cri.running_container(&pod, &spec).await?;
        let base = containerd.directory().to_path_buf();
        containerd.close()?;
        assert_gone(&base, &[pod.id, running])
    })
    .await
}
