//! The simulated node answers like a real containerd, so that what is tested on the one holds on the other.
//!
//! One suite of [`checks`] is run against nodes that look alike: simulated ones seeded from files, real containerds,
//! and simulated ones seeded from what each containerd has just shown. The files are such seeds, one for each version,
//! kept for machines without containerd; `HOLYSTONE_BLESS=1` writes them anew.

mod checks;
mod lookalike;
mod subject;

use std::path::Path;
use std::time::Duration;

use holystone_core::image::ImageId;
use holystone_core::snapshot::Snapshot;
use holystone_node::simulated::Method;
use holystone_node::{Faults, SimulatedNode};
use holystone_tests::{ContainerSpec, Crio, Version, crio};

use crate::support::on_each_containerd;
use checks::suite;
use lookalike::{MAIN, furnish, furnish_crio};
use subject::Subject;

const SEEDS: [&[u8]; 2] =
    [include_bytes!("conformance/containerd-1.6.json"), include_bytes!("conformance/containerd-2.4.json")];

/// How many containers come and go while the node is looked at.
const VISITORS: usize = 20;
/// How long one stays, where it does not take what it takes.
const VISIT: Duration = Duration::from_millis(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_node_passes() -> anyhow::Result<()> {
    for seed in SEEDS {
        let seed = Snapshot::from_json(seed)?;
        println!("a simulated containerd {}:", seed.node.runtime_version);
        simulated(seed).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_crio_passes() -> anyhow::Result<()> {
    for seed in SEEDS {
        simulated(as_crio(Snapshot::from_json(seed)?)).await?;
    }
    Ok(())
}

/// The node as CRI-O would show it: ids without the name of their algorithm.
fn as_crio(mut seed: Snapshot) -> Snapshot {
    "cri-o".clone_into(&mut seed.node.runtime_name);
    // It answers no API of containerd.
    seed.node.outside_unseen = true;
    let bare = |text: &mut String| *text = text.trim_start_matches("sha256:").to_owned();
    for image in &mut seed.images {
        image.id = ImageId::new(image.id.hex());
    }
    for container in &mut seed.containers {
        let mentions = &mut container.image;
        [&mut mentions.image_id, &mut mentions.image_ref, &mut mentions.image].into_iter().for_each(bare);
    }
    for sandbox in &mut seed.sandboxes {
        bare(&mut sandbox.image);
    }
    seed.normalize()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_containerd_passes_and_so_does_its_image_in_memory() -> anyhow::Result<()> {
    on_each_containerd("a_real_containerd_passes_and_so_does_its_image_in_memory", async |containerd| {
        let raw = containerd.cri()?;
        let pod = Box::pin(furnish(&containerd)).await?;
        let real = Subject::connect(&containerd.socket(), raw.clone()).await?;
        let seed = real.observe().await?;
        if std::env::var_os("HOLYSTONE_BLESS").is_some() {
            bless(&seed, containerd.version())?;
        }
        simulated(seed).await?;

        let visits = async || {
            for number in 0..VISITORS {
                let visitor = ContainerSpec::new(&format!("visitor-{number}"), MAIN);
                let id = raw.create_container(&pod, &visitor).await?;
                raw.remove_container(&id).await?;
            }
            Ok(())
        };
        Box::pin(suite(&real, visits)).await?;
        containerd.close()
    })
    .await
}

/// Where the machine brings one.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_crio_passes_and_so_does_its_image_in_memory() -> anyhow::Result<()> {
    let Some(binary) = crio("a_real_crio_passes_and_so_does_its_image_in_memory")? else { return Ok(()) };
    let crio = Crio::start(&binary, &std::env::temp_dir(), &[]).await?;
    let raw = crio.cri()?;
    let pod = Box::pin(furnish_crio(&crio)).await?;
    let real = Subject::connect(&crio.socket(), raw.clone()).await?;
    simulated(real.observe().await?).await?;
    let visits = async || {
        for number in 0..VISITORS {
            let visitor = ContainerSpec::new(&format!("visitor-{number}"), MAIN).user_specified_image(MAIN);
            let id = raw.create_container(&pod, &visitor).await?;
            raw.remove_container(&id).await?;
        }
        Ok(())
    };
    Box::pin(suite(&real, visits)).await?;
    crio.close()
}

/// Seeds a simulated node, checks that it shows the seed, and runs the suite.
async fn simulated(seed: Snapshot) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("cri.sock");
    // Longer than a visit, so that a visitor's status is asked for when it has gone.
    let faults = Faults::none().latency(Method::ContainerStatus, 2 * VISIT);
    let node = SimulatedNode::start(&socket, seed.clone(), faults)?;
    let subject = Subject::connect(&socket, holystone_tests::Cri::new(&socket, directory.path())?).await?;
    assert_eq!(subject::timeless(subject.observe().await?), subject::timeless(seed.clone()));

    let mut visitor = seed.containers.first().expect("the seed has containers").clone();
    let visits = async || {
        let asked = node.calls(Method::ContainerStatus);
        for number in 0..VISITORS {
            visitor.id = format!("visitor-{number}");
            node.add_container(visitor.clone());
            tokio::time::sleep(VISIT).await;
            assert!(node.remove_container(&visitor.id));
        }
        assert!(node.calls(Method::ContainerStatus) > asked, "no look saw a visitor");
        Ok(())
    };
    suite(&subject, visits).await
}

/// Keeps a seed, without what only tells of the machine that it was recorded on.
fn bless(seed: &Snapshot, version: Version) -> anyhow::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it/conformance");
    let file = directory.join(format!("containerd-{version}.json"));
    let seed = subject::timeless(seed.clone());
    std::fs::write(file, format!("{}\n", serde_json::to_string_pretty(&seed)?))?;
    Ok(())
}
