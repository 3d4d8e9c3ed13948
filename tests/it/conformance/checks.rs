//! What a node has to do, one function for each trait that the product relies on or has to guard against.

use std::collections::BTreeSet;
use std::convert::Infallible;

use holystone_core::container::ContainerState;
use holystone_core::guard::Refusal;
use holystone_core::guard::images::ImageObjection;
use holystone_core::image::Image;
use holystone_core::sweep::Attempt;

use super::lookalike::{DANGLING, JOB, MAIN, NAMED, PAUSE, TWINS, UNUSED, WAITING};
use super::subject::{Subject, Ways, timeless, uses, without_digest};

/// A digest of nothing.
const NOBODY: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// All checks, those that remove something last. `visits` lets containers come and go.
pub(super) async fn suite(subject: &Subject, visits: impl AsyncFnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    it_says_what_it_is(subject).await?;
    images_have_their_names(subject).await?;
    images_are_used_by_whom_they_are_used(subject).await?;
    containers_have_their_states(subject).await?;
    the_sandbox_tells_its_image(subject).await?;
    an_image_answers_to_all_its_names(subject).await?;
    a_missing_image_is_no_error(subject).await?;
    two_looks_see_the_same(subject).await?;
    containers_may_vanish_during_a_look(subject, visits).await?;
    filters_are_heeded_or_not(subject).await?;

    removal_by_one_tag_takes_all_tags_or_that_one(subject).await?;
    removal_by_digest_takes_the_image(subject).await?;
    a_cleared_image_goes_and_nothing_else(subject).await?;
    an_image_that_went_by_itself_may_be_removed_again(subject).await?;
    match subject.ways {
        Ways::Containerd => removal_of_a_running_containers_image_is_not_refused(subject).await,
        Ways::CriO => removal_of_a_running_containers_image_is_refused(subject).await,
    }
}

async fn it_says_what_it_is(subject: &Subject) -> anyhow::Result<()> {
    let version = subject.raw.version().await?;
    let name = match subject.ways {
        Ways::Containerd => "containerd",
        Ways::CriO => "cri-o",
    };
    assert_eq!(version.runtime_name, name);
    assert_eq!(version.runtime_api_version, "v1");
    assert!(!version.runtime_version.is_empty() && !version.version.is_empty());
    let node = subject.observe().await?.node;
    assert_eq!((node.runtime_name, node.runtime_version), (version.runtime_name, version.runtime_version));
    assert_eq!(node.name, "node");
    Ok(())
}

async fn images_have_their_names(subject: &Subject) -> anyhow::Result<()> {
    let digest = format!("{DANGLING}@");
    let expected: BTreeSet<Vec<&str>> = [PAUSE, MAIN, NAMED, JOB, WAITING, UNUSED[0], UNUSED[1], &digest]
        .map(|name| vec![name])
        .into_iter()
        .chain([TWINS.to_vec()])
        .collect();
    let snapshot = subject.observe().await?;
    // CRI-O gives a digest to whatever has a tag.
    let counts =
        |image: &&Image, name: &&str| subject.ways == Ways::Containerd || image.is_dangling() || !name.contains('@');
    let names = |image: &Image| image.references().filter(|name| counts(&image, name)).map(without_digest).collect();
    let names: Vec<Vec<String>> = snapshot.images.iter().map(names).collect();
    assert_eq!(names.len(), expected.len());
    assert_eq!(names.iter().map(|names| names.iter().map(String::as_str).collect()).collect::<BTreeSet<_>>(), expected);
    for image in &snapshot.images {
        let is_bare = image.id.as_str().len() == 64;
        assert_eq!(is_bare, subject.ways == Ways::CriO, "{image:?}");
        assert!(image.size_bytes > 0 && (is_bare || image.id.as_str().starts_with("sha256:")), "{image:?}");
        let raw = subject.raw.image_status(image.id.as_str()).await?.unwrap_or_default();
        assert_eq!((raw.size, raw.pinned), (image.size_bytes, image.pinned));
    }
    Ok(())
}

async fn images_are_used_by_whom_they_are_used(subject: &Subject) -> anyhow::Result<()> {
    let expected = BTreeSet::from([
        format!("{PAUSE} by sandbox of default/web"),
        format!("{MAIN} by container main"),
        format!("{NAMED} by container named"),
        format!("{JOB} by container job"),
        format!("{WAITING} by container waiting"),
    ]);
    for snapshot in [subject.observe().await?, subject.look().await?] {
        let (mut expected, mut uses) = (expected.clone(), uses(&snapshot));
        // CRI-O makes no container of it where a pod can do without, and protects the image by its settings.
        if subject.ways == Ways::CriO {
            expected.retain(|used| !used.starts_with(PAUSE));
            uses.retain(|used| !used.starts_with(PAUSE));
        }
        assert_eq!(uses, expected);
    }
    Ok(())
}

async fn containers_have_their_states(subject: &Subject) -> anyhow::Result<()> {
    let snapshot = subject.observe().await?;
    let mut states: Vec<_> = snapshot
        .containers
        .iter()
        .map(|it| (it.name.as_str(), it.state, it.exit_code, it.finished_at.is_some(), it.pod.name.as_str()))
        .collect();
    states.sort_by_key(|state| state.0);
    let expected = [
        ("job", ContainerState::Exited, Some(0), true, "web"),
        ("main", ContainerState::Running, None, false, "web"),
        ("named", ContainerState::Running, None, false, "web"),
        ("waiting", ContainerState::Created, None, false, "web"),
    ];
    assert_eq!(states, expected);
    let raw = subject.raw.list_containers().await?;
    assert!(raw.iter().all(|container| !container.image_ref.is_empty()), "{raw:?}");
    Ok(())
}

async fn the_sandbox_tells_its_image(subject: &Subject) -> anyhow::Result<()> {
    let snapshot = subject.observe().await?;
    let [sandbox] = snapshot.sandboxes.as_slice() else { panic!("{:?}", snapshot.sandboxes) };
    assert!(sandbox.ready);
    assert_eq!((sandbox.pod.namespace.as_str(), sandbox.pod.name.as_str()), ("default", "web"));
    assert!(!sandbox.pod.uid.is_empty());
    if subject.ways == Ways::Containerd || !sandbox.image.is_empty() {
        let image = subject.raw.image_status(&sandbox.image).await?.expect("the sandbox's image");
        assert_eq!(image.repo_tags, [PAUSE]);
    }
    assert!(snapshot.containers.iter().all(|container| container.sandbox_id == sandbox.id));
    Ok(())
}

async fn an_image_answers_to_all_its_names(subject: &Subject) -> anyhow::Result<()> {
    let id = subject.id(TWINS[0]).await?;
    let hex = id.trim_start_matches("sha256:");
    let short = TWINS[0].trim_start_matches("docker.io/");
    // Which registry a short name means is configured in CRI-O.
    let short = if subject.ways == Ways::CriO { TWINS[0] } else { short };
    for name in [id.as_str(), hex, &hex[..12], TWINS[0], TWINS[1], short] {
        let image = subject.raw.image_status(name).await?;
        assert_eq!(image.unwrap_or_default().id, id, "{name}");
    }
    let snapshot = subject.observe().await?;
    let dangling = snapshot.images.iter().find(|image| image.is_dangling()).expect("one without a tag");
    let found = subject.raw.image_status(&dangling.repo_digests[0]).await?.unwrap_or_default();
    assert_eq!(found.id, dangling.id.as_str());
    Ok(())
}

async fn a_missing_image_is_no_error(subject: &Subject) -> anyhow::Result<()> {
    let before = subject.names().await?;
    let nobody = NOBODY.trim_start_matches("sha256:");
    // CRI-O takes a digest for a short name, and which registries those mean is configured.
    let digest = if subject.ways == Ways::CriO { nobody } else { NOBODY };
    for name in [nobody, digest, "docker.io/minchou/nobody:1", "docker.io/minchou/rollout:nobody"] {
        assert_eq!(subject.raw.image_status(name).await?, None, "{name}");
        subject.raw.remove_image(name).await?;
    }
    assert_eq!(subject.names().await?, before);
    Ok(())
}

async fn two_looks_see_the_same(subject: &Subject) -> anyhow::Result<()> {
    let full = subject.observe().await?;
    let again = subject.observe().await?;
    assert!(full.taken_at < again.taken_at);
    assert!(full.filesystems.iter().any(|filesystem| filesystem.name == "images"), "{:?}", full.filesystems);
    let look = subject.look().await?;
    assert!(look.filesystems.is_empty());
    let full = timeless(full);
    assert_eq!(timeless(again), full);
    assert_eq!(timeless(look), full);
    Ok(())
}

/// That is, the status of a missing container is `NotFound`, which the client takes for what it is.
async fn containers_may_vanish_during_a_look(
    subject: &Subject,
    visits: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let before = timeless(subject.observe().await?);
    tokio::select! {
        done = visits() => done?,
        failed = look_on(subject) => failed.map(drop)?,
    }
    assert_eq!(timeless(subject.observe().await?), before);
    Ok(())
}

/// Looks again and again, until a look fails.
async fn look_on(subject: &Subject) -> anyhow::Result<Infallible> {
    loop {
        let uses = uses(&subject.observe().await?);
        assert!(uses.contains(&format!("{NAMED} by container named")), "{uses:?}");
    }
}

/// containerd ignores the filter of images; all shorten ids of containers.
async fn filters_are_heeded_or_not(subject: &Subject) -> anyhow::Result<()> {
    let all = subject.raw.list_images().await?.len();
    let one = subject.raw.list_images_of(UNUSED[0]).await?;
    match subject.ways {
        Ways::Containerd => assert_eq!(one.len(), all),
        Ways::CriO => assert_eq!(one.len(), 1),
    }
    for container in subject.raw.list_containers().await? {
        let short: String = container.id.chars().take(container.id.len() - 3).collect();
        assert_eq!(subject.raw.container_status(&short).await?, container.id, "{short}");
    }
    Ok(())
}

async fn removal_by_one_tag_takes_all_tags_or_that_one(subject: &Subject) -> anyhow::Result<()> {
    let id = subject.id(TWINS[0]).await?;
    let mut expected = subject.names().await?;
    subject.raw.remove_image(TWINS[1]).await?;
    if subject.ways == Ways::CriO {
        assert!(expected.remove(TWINS[1]));
        assert_eq!(subject.names().await?, expected, "the other tag stays");
        subject.raw.remove_image(&id).await?;
        assert_eq!(subject.raw.image_status(TWINS[0]).await?, None, "by its id the image goes");
        return Ok(());
    }
    for name in [id.as_str(), TWINS[0], TWINS[1]] {
        assert!(expected.remove(name));
        assert_eq!(subject.raw.image_status(name).await?, None, "{name}");
    }
    assert_eq!(subject.names().await?, expected);
    Ok(())
}

async fn removal_by_digest_takes_the_image(subject: &Subject) -> anyhow::Result<()> {
    let mut expected = subject.names().await?;
    let digest = expected.iter().find(|name| name.starts_with(DANGLING) && name.contains('@')).unwrap().clone();
    let id = subject.raw.image_status(&digest).await?.unwrap_or_default().id;
    subject.raw.remove_image(&digest).await?;
    assert!(expected.remove(&digest) && expected.remove(&id), "{digest} {id}");
    assert_eq!(subject.names().await?, expected);
    Ok(())
}

async fn a_cleared_image_goes_and_nothing_else(subject: &Subject) -> anyhow::Result<()> {
    let id = subject.id(UNUSED[0]).await?;
    let mut expected = subject.names().await?;
    let clearance = subject.clearance(&id).await?;
    assert_eq!(subject.cri.remove_image(clearance).await, Attempt::Accepted);
    assert!(expected.remove(&id) && expected.remove(UNUSED[0]));
    expected.retain(|name| !name.starts_with("docker.io/minchou/unused@") || subject.ways == Ways::Containerd);
    let mut left = subject.names().await?;
    left.retain(|name| !name.starts_with("docker.io/minchou/unused@") || subject.ways == Ways::Containerd);
    assert_eq!(left, expected);
    let gone = subject.review(&id).await?;
    assert_eq!(gone.refusals.first().map(|refused| &refused.refusal), Some(&Refusal::NotFound));
    Ok(())
}

async fn an_image_that_went_by_itself_may_be_removed_again(subject: &Subject) -> anyhow::Result<()> {
    let id = subject.id(UNUSED[1]).await?;
    let clearance = subject.clearance(&id).await?;
    subject.raw.remove_image(&id).await?;
    assert_eq!(subject.cri.remove_image(clearance).await, Attempt::Accepted);
    assert!(!subject.names().await?.contains(&id));
    Ok(())
}

/// Nobody but the guard rails protects it.
async fn removal_of_a_running_containers_image_is_not_refused(subject: &Subject) -> anyhow::Result<()> {
    for (tag, container) in [(MAIN, "main"), (NAMED, "named"), (JOB, "job")] {
        let id = subject.id(tag).await?;
        let judged = subject.review(&id).await?;
        let refusal = judged.refusals.first().map(|refused| refused.refusal.clone());
        assert!(
            matches!(&refusal, Some(Refusal::Own(ImageObjection::InUse { by })) if by.contains(container)),
            "{refusal:?}"
        );
        let containers = states(subject).await?;
        subject.raw.remove_image(&id).await?;
        assert_eq!(subject.raw.image_status(&id).await?, None);
        assert!(!subject.names().await?.contains(tag));
        assert_eq!(states(subject).await?, containers, "its container goes on");
    }
    subject.observe().await?;
    Ok(())
}

async fn states(subject: &Subject) -> anyhow::Result<BTreeSet<(String, i32)>> {
    Ok(subject.raw.list_containers().await?.into_iter().map(|container| (container.id, container.state)).collect())
}

/// Nor does it lose a name by that.
async fn removal_of_a_running_containers_image_is_refused(subject: &Subject) -> anyhow::Result<()> {
    let before = subject.names().await?;
    for (tag, container) in [(MAIN, "main"), (NAMED, "named"), (JOB, "job"), (WAITING, "waiting")] {
        let id = subject.id(tag).await?;
        let judged = subject.review(&id).await?;
        let refusal = judged.refusals.first().map(|refused| refused.refusal.clone());
        assert!(
            matches!(&refusal, Some(Refusal::Own(ImageObjection::InUse { by })) if by.contains(container)),
            "{refusal:?}"
        );
        let refused = subject.raw.remove_image(&id).await.expect_err("a container uses it");
        assert!(format!("{refused:#}").contains("image is in use by a container"), "{refused:#}");
        assert_eq!(subject.names().await?, before);
    }
    Ok(())
}
