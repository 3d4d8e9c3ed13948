//! What the hand-written script gets wrong, done right. Each check first makes sure that the script would go wrong
//! on the very node that it looks at, then asks containerd what Holystone has left there.
//!
//! The script: `crictl ps`, column 2, gives the images in use; `crictl images | grep -i PREFIX`, column 3, the targets;
//! `sort target used used | uniq -u | xargs -r crictl rmi` removes those that are printed once; `exit 0`.

use std::collections::{BTreeMap, BTreeSet};

use holystone_tests::{ContainerSpec, Containerd, Cri, LayerSpec, TestImage, pause_image, sleep_image};
use serde_json::Value;

use crate::support::{end, on_each_containerd, sweep, unused_images};

const JOB: &str = "docker.io/minchou/job:1";
const NAMED: &str = "docker.io/minchou/named:1";
const TWINS: [&str; 2] = ["docker.io/minchou/twins:1", "docker.io/minchou/twins:2"];
const SHARED: &str = "docker.io/minchou/shared:1";
const SIBLING: &str = "docker.io/elsewhere/base:1";
const PW: &str = "docker.io/minchou/pw:1";
const PW_APP: &str = "docker.io/minchou/pw-app:1";
const PW_MIRRORED: &str = "registry.example:5000/docker.io/minchou/pw:1";
const PW_SHOUTED: &str = "docker.io/minchou/app:PW-3";
const PAUSE: &str = "localhost/pause:1";
const PAUSE_PULLED: &str = "docker.io/minchou/pause:3.9";
const PINNED: &str = "docker.io/minchou/pinned:1";
const WEB: &str = "docker.io/minchou/web:1";

const CONFIG: &str = r#"{"repositories":[
    "docker.io/minchou/job", "docker.io/minchou/named", "docker.io/minchou/twins", "docker.io/minchou/shared",
    "docker.io/minchou/pw", "docker.io/minchou/pinned", "docker.io/minchou/pause", "docker.io/minchou/web",
    "localhost/pause"]}"#;

/// CRI's number for a container that runs.
const RUNNING: i32 = 1;
/// How much of an id crictl prints.
const SHORT: usize = 13;

/// A node before and after Holystone's run.
struct Swept {
    can_pin: bool,
    before: Look,
    after: Look,
}

/// What containerd lists: the tags of each image by its id, and what crictl prints of running containers' images.
struct Look {
    images: BTreeMap<String, Vec<String>>,
    used: Vec<String>,
}

impl Look {
    async fn at(cri: &Cri) -> anyhow::Result<Self> {
        let images = cri.list_images().await?.into_iter().map(|image| (image.id, image.repo_tags)).collect();
        let containers = cri.list_containers().await?.into_iter().filter(|container| container.state == RUNNING);
        let used = containers.map(|container| short(&container.image.unwrap_or_default().image)).collect();
        Ok(Self { images, used })
    }

    /// The id of the image with this tag.
    fn id(&self, tag: &str) -> Option<&String> {
        self.images.iter().find(|(_, tags)| tags.iter().any(|known| known == tag)).map(|(id, _)| id)
    }

    /// The tags that would be gone after `crictl rmi` of what the script picks for this prefix.
    fn script(&self, prefix: &str) -> BTreeSet<&str> {
        let row = |id: &str, tag: &str| format!("{}  {}  1.2MB", tag.replace(':', "  "), short(id)).to_lowercase();
        let mut printed: BTreeMap<String, usize> = BTreeMap::new();
        for (id, tags) in &self.images {
            for _ in tags.iter().filter(|tag| row(id, tag).contains(&prefix.to_lowercase())) {
                *printed.entry(short(id)).or_default() += 1;
            }
        }
        for used in &self.used {
            *printed.entry(used.clone()).or_default() += 2;
        }
        let picked = self.images.iter().filter(|(id, _)| printed.get(&short(id)) == Some(&1));
        picked.flat_map(|(_, tags)| tags.iter().map(String::as_str)).collect()
    }
}

/// As crictl prints it: the first digits of an id, a name as it stands.
fn short(image: &str) -> String {
    image.strip_prefix("sha256:").map_or(image, |hex| &hex[..SHORT]).to_owned()
}

impl Swept {
    /// That the script would remove the image and Holystone left it, with every tag.
    #[track_caller]
    fn only_the_script_removes(&self, prefix: &str, tag: &str) {
        assert!(self.before.script(prefix).contains(tag), "the script would not go wrong here: {tag}");
        let id = self.before.id(tag).unwrap();
        assert_eq!(self.after.images.get(id), self.before.images.get(id), "{tag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_script_gets_wrong_is_done_right() -> anyhow::Result<()> {
    on_each_containerd("what_the_script_gets_wrong_is_done_right", async |mut containerd| {
        let cri = furnish(&containerd).await?;
        the_pause_image_stays_even_when_wished(&containerd).await?;
        Box::pin(run_pod(&cri)).await?;
        let before = Look::at(&cri).await?;
        unused_images("run", &containerd.endpoint(), CONFIG, &[]).expect(0);
        let swept = Swept { can_pin: containerd.can_pin(), before, after: Look::at(&cri).await? };

        the_script_is_not_wrong_about_everything(&swept);
        an_exited_container_protects_its_image(&swept);
        a_container_created_by_name_protects_its_image(&swept);
        an_image_with_two_matching_tags_goes(&swept);
        a_tag_outside_the_pattern_keeps_the_image_and_all_its_tags(&swept);
        a_repository_matches_as_a_whole(&swept);
        a_pinned_image_and_pause_images_stay(&swept);

        containerd.stop()?;
        a_runtime_that_fails_is_a_failing_run(&containerd)?;
        containerd.close()
    })
    .await
}

async fn furnish(containerd: &Containerd) -> anyhow::Result<Cri> {
    let layer = LayerSpec { files: 1, bytes_per_file: 4096, seed: 1 };
    let mut images = vec![pause_image()?];
    for tag in [JOB, NAMED, WEB] {
        images.push(sleep_image(tag)?);
    }
    images.extend([PW, PW_APP, PW_MIRRORED, PW_SHOUTED, PAUSE_PULLED].map(|tag| TestImage::new(tag).layer(layer)));
    images.push(TestImage::new(TWINS[0]).tag(TWINS[1]).layer(layer));
    images.push(TestImage::new(SHARED).tag(SIBLING).layer(layer));
    images.push(TestImage::new(PINNED).layer(layer).pinned());
    containerd.import(&images).await?;
    containerd.cri()
}

async fn run_pod(cri: &Cri) -> anyhow::Result<()> {
    let pod = cri.run_pod("web").await?;
    let web = cri.image_status(WEB).await?.unwrap_or_default().id;
    cri.running_container(&pod, &ContainerSpec::new("main", &web).user_specified_image(WEB)).await?;
    cri.running_container(&pod, &ContainerSpec::new("named", NAMED)).await?;
    cri.exited_container(&pod, "init", JOB).await?;
    Ok(())
}

/// On a node without a single pod nothing uses it, and no pod would start without it.
async fn the_pause_image_stays_even_when_wished(containerd: &Containerd) -> anyhow::Result<()> {
    let look = Look::at(&containerd.cri()?).await?;
    assert!(look.script("localhost/pause").contains(PAUSE));
    let report = unused_images("run", &containerd.endpoint(), r#"{"repositories":["localhost/pause"]}"#, &[]).expect(0);
    assert_eq!(Look::at(&containerd.cri()?).await?.images, look.images);
    // Where containerd pins it the plugin does not even wish it.
    if !containerd.can_pin() {
        let refusals: Vec<Value> = report.json()["images"]["refusals"].as_array().unwrap().clone();
        assert_eq!(refusals.iter().map(|it| &it["refusal"]["code"]).collect::<Vec<_>>(), ["SandboxImage"]);
    }
    Ok(())
}

fn the_script_is_not_wrong_about_everything(swept: &Swept) {
    assert!(!swept.before.script("docker.io/minchou/web").contains(WEB), "a running container, created by id");
    assert!(swept.before.script("docker.io/minchou/pw").contains(PW));
    assert!(swept.after.id(WEB).is_some());
    assert!(swept.after.id(PW).is_none());
}

fn an_exited_container_protects_its_image(swept: &Swept) {
    swept.only_the_script_removes("docker.io/minchou/job", JOB);
}

fn a_container_created_by_name_protects_its_image(swept: &Swept) {
    swept.only_the_script_removes("docker.io/minchou/named", NAMED);
}

fn an_image_with_two_matching_tags_goes(swept: &Swept) {
    assert!(swept.before.script("docker.io/minchou/twins").is_empty());
    assert!(swept.before.id(TWINS[0]).is_some());
    for tag in TWINS {
        assert!(swept.after.id(tag).is_none(), "{tag}");
    }
}

fn a_tag_outside_the_pattern_keeps_the_image_and_all_its_tags(swept: &Swept) {
    swept.only_the_script_removes("docker.io/minchou/shared", SHARED);
    swept.only_the_script_removes("docker.io/minchou/shared", SIBLING);
    assert_eq!(swept.after.id(SHARED), swept.after.id(SIBLING));
}

fn a_repository_matches_as_a_whole(swept: &Swept) {
    for tag in [PW_APP, PW_MIRRORED] {
        swept.only_the_script_removes("docker.io/minchou/pw", tag);
    }
    swept.only_the_script_removes("pw", PW_SHOUTED);
}

fn a_pinned_image_and_pause_images_stay(swept: &Swept) {
    swept.only_the_script_removes("localhost/pause", PAUSE);
    swept.only_the_script_removes("docker.io/minchou/pause", PAUSE_PULLED);
    if swept.can_pin {
        swept.only_the_script_removes("docker.io/minchou/pinned", PINNED);
    }
}

/// The script ends with 0 and the job is green, whatever happened.
fn a_runtime_that_fails_is_a_failing_run(containerd: &Containerd) -> anyhow::Result<()> {
    let socket = containerd.socket();
    let stopped = unused_images("run", &containerd.endpoint(), CONFIG, &[]).expect(2);
    assert!(stopped.stderr.contains(&socket.display().to_string()), "{}", stopped.stderr);
    assert_eq!(stopped.stdout, "");

    let nowhere = socket.with_file_name("nowhere.sock");
    let missing = unused_images("run", &format!("unix://{}", nowhere.display()), CONFIG, &[]).expect(2);
    assert!(missing.stderr.contains("nowhere.sock"), "{}", missing.stderr);

    let file = socket.with_file_name("file.sock");
    std::fs::write(&file, "no socket")?;
    let no_socket = end(&mut sweep("run", "builtin:unused-images", CONFIG, &file.display().to_string(), &[])).expect(2);
    assert!(no_socket.stderr.contains("file.sock"), "{}", no_socket.stderr);
    Ok(())
}
