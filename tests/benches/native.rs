//! The decision of the plugin `unused-images` without WebAssembly: what the plugin is measured against.

use holystone_core::container::{Container, Sandbox};
use holystone_core::image::Image;
use holystone_core::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
use holystone_core::snapshot::Snapshot;
use holystone_core::usage::Usage;
use jiff::Timestamp;
use unused_images::Config;
use unused_images::select::{Choice, ImageView, Kind, select};

/// What [`holystone_runtime::View`] is to a plugin: every record of the snapshot in the interface's own shape.
pub(crate) struct Records {
    now: i64,
    images: Vec<Record>,
    /// Made because the host makes them, whether or not a plugin asks for them.
    _rest: (Vec<ContainerRecord>, Vec<SandboxRecord>),
}

/// An image as the interface has it.
#[derive(Clone)]
struct Record {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    size_bytes: u64,
    pinned: bool,
    in_use_by: Vec<String>,
    first_seen: Option<i64>,
    last_used: Option<i64>,
    _attributes: Vec<(String, String)>,
}

/// The texts and times of a container; its other fields take no time to copy.
struct ContainerRecord {
    _texts: [String; 6],
    _image_id: Option<String>,
    _times: [Option<i64>; 2],
    _attributes: Vec<(String, String)>,
}

/// The texts and times of a sandbox.
struct SandboxRecord {
    _texts: [String; 4],
    _created: i64,
    _attributes: Vec<(String, String)>,
}

impl Records {
    /// Copies a snapshot's records, as `View::of` does.
    pub(crate) fn of(snapshot: &Snapshot, usage: &Usage<'_>) -> Self {
        let images = snapshot.images.iter().enumerate().map(|(place, image)| Record::of(image, place, usage)).collect();
        let containers = snapshot.containers.iter().map(|container| ContainerRecord::of(container, usage)).collect();
        let sandboxes = snapshot.sandboxes.iter().map(SandboxRecord::of).collect();
        Self { now: nanoseconds(snapshot.taken_at), images, _rest: (containers, sandboxes) }
    }

    /// Everything that happens in a plugin: it gets its own copy of the images, reads the config twice (to check
    /// it, and to plan by it), decides, and answers with removals.
    pub(crate) fn propose(&self, config: &str) -> Proposal {
        Config::parse(config).unwrap();
        let config = Config::parse(config).unwrap();
        let mut images = self.images.clone();
        let selection = select(&images, self.now, &config);
        let wishes = selection.choices.into_iter().map(|choice| wish(&mut images, choice)).collect();
        Proposal { plugin: "native".to_owned(), wishes }
    }
}

fn wish(images: &mut [Record], choice: Choice) -> Wish {
    let image = &mut images[choice.image];
    let kind = match choice.kind {
        Kind::Unused => ReasonKind::Unused,
        Kind::Dangling => ReasonKind::Dangling,
        Kind::Superseded => ReasonKind::Superseded,
    };
    Wish {
        target: Target::Image(std::mem::take(&mut image.id)),
        verb: Verb::Remove,
        reason: Reason { kind, text: choice.text },
        expected_bytes: Some(image.size_bytes),
    }
}

impl Record {
    fn of(image: &Image, place: usize, usage: &Usage<'_>) -> Self {
        let mut in_use_by: Vec<String> = usage.users(place).iter().map(|user| user.holder.id().to_owned()).collect();
        in_use_by.sort();
        Self {
            id: image.id.as_str().to_owned(),
            repo_tags: image.repo_tags.clone(),
            repo_digests: image.repo_digests.clone(),
            size_bytes: image.size_bytes,
            pinned: image.pinned,
            in_use_by,
            first_seen: image.first_seen.map(nanoseconds),
            last_used: image.last_used.map(nanoseconds),
            _attributes: attributes(&image.annotations),
        }
    }
}

impl ContainerRecord {
    fn of(container: &Container, usage: &Usage<'_>) -> Self {
        let texts = [
            &container.id,
            &container.name,
            &container.sandbox_id,
            &container.pod.uid,
            &container.pod.namespace,
            &container.pod.name,
        ];
        Self {
            _texts: texts.map(String::clone),
            _image_id: usage.image_of(container).map(|id| id.as_str().to_owned()),
            _times: [Some(nanoseconds(container.created_at)), container.finished_at.map(nanoseconds)],
            _attributes: attributes(&container.labels),
        }
    }
}

impl SandboxRecord {
    fn of(sandbox: &Sandbox) -> Self {
        let texts = [&sandbox.id, &sandbox.pod.uid, &sandbox.pod.namespace, &sandbox.pod.name];
        Self {
            _texts: texts.map(String::clone),
            _created: nanoseconds(sandbox.created_at),
            _attributes: attributes(&sandbox.labels),
        }
    }
}

fn attributes<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<(String, String)> {
    pairs.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap()
}

impl ImageView for Record {
    fn id(&self) -> &str {
        &self.id
    }
    fn tags(&self) -> &[String] {
        &self.repo_tags
    }
    fn digests(&self) -> &[String] {
        &self.repo_digests
    }
    fn is_pinned(&self) -> bool {
        self.pinned
    }
    fn is_in_use(&self) -> bool {
        !self.in_use_by.is_empty()
    }
    fn first_seen(&self) -> Option<i64> {
        self.first_seen
    }
    fn last_used(&self) -> Option<i64> {
        self.last_used
    }
}
