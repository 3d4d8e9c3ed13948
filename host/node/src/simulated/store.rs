//! The contents of a simulated node and their changes: a runtime's store without a runtime.
//!
//! Names resolve as in containerd: an id, a part of one, a tag or a digest. Space is modelled as if images shared no
//! layers, which no real store does. The model makes figures move, and predicts nothing.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use holystone_core::container::{Container, OutsideContainer, Sandbox};
use holystone_core::image::Image;
use holystone_core::reference::Reference;
use holystone_core::snapshot::{Filesystem, Node, Snapshot};

use super::faults::{Answer, Faults, Method, Moment};
use super::ways::Flavour;

/// Prefix of every modelled mount point, so that no path of this machine is mistaken for one of the simulated node.
const ELSEWHERE: &str = "/simulated-node";

/// A `RemoveImage` call as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The image as the caller named it.
    pub asked: String,
    /// The id of the image that the name resolved to, if any.
    pub image: Option<String>,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) node: Node,
    pub(super) images: BTreeMap<String, Image>,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) sandboxes: BTreeMap<String, Sandbox>,
    pub(super) outside: BTreeMap<String, OutsideContainer>,
    pub(super) filesystems: Vec<Filesystem>,
    pub(super) removals: Vec<Removal>,
    pub(super) faults: Faults,
    pub(super) flavour: Flavour,
    /// The directory of this machine in which images take space: a file for each.
    pub(super) disk: Option<PathBuf>,
    calls: HashMap<Method, u64>,
}

impl Store {
    pub(super) fn of(snapshot: Snapshot, faults: Faults) -> Self {
        let nominal = snapshot.images.iter().map(|image| image.size_bytes).fold(0, u64::saturating_add);
        Self {
            flavour: Flavour::of(&snapshot.node.runtime_name),
            node: snapshot.node,
            filesystems: modelled(snapshot.filesystems, nominal),
            images: snapshot.images.into_iter().map(|image| (image.id.to_string(), image)).collect(),
            containers: snapshot.containers.into_iter().map(|it| (it.id.clone(), it)).collect(),
            sandboxes: snapshot.sandboxes.into_iter().map(|it| (it.id.clone(), it)).collect(),
            outside: snapshot.outside.into_iter().map(|it| (it.id.clone(), it)).collect(),
            removals: Vec::new(),
            faults,
            disk: None,
            calls: HashMap::new(),
        }
    }

    /// Counts a call, and returns its number among those of its kind.
    pub(super) fn count(&mut self, method: Method) -> u64 {
        let calls = self.calls.entry(method).or_default();
        *calls += 1;
        *calls
    }

    /// Returns the garbled answer to the next call of this kind, if there is one, and then counts the call.
    pub(super) fn garbled(&mut self, method: Method) -> Option<Answer> {
        let answer = self.faults.garbled(method, self.calls(method) + 1)?;
        self.count(method);
        Some(answer)
    }

    pub(super) fn calls(&self, method: Method) -> u64 {
        self.calls.get(&method).copied().unwrap_or(0)
    }

    pub(super) fn all_calls(&self) -> u64 {
        self.calls.values().sum()
    }

    /// Returns the mount point that the node reports for a filesystem.
    pub(super) fn place_of(&self, filesystem: &Filesystem) -> String {
        match &self.disk {
            Some(disk) if filesystem.name == "images" => disk.display().to_string(),
            _ => format!("{ELSEWHERE}{}", filesystem.mountpoint),
        }
    }

    /// Writes a file of its size for each image.
    pub(super) fn fill(&mut self, disk: &Path) -> io::Result<()> {
        for image in self.images.values() {
            let size = usize::try_from(image.size_bytes).unwrap_or(usize::MAX);
            std::fs::write(disk.join(image.id.hex()), vec![0; size])?;
        }
        self.disk = Some(disk.to_owned());
        Ok(())
    }

    /// Returns all containers, as the n-th list shows them.
    pub(super) fn list_containers(&mut self, list: u64) -> Vec<Container> {
        self.appear(list, Moment::Before);
        let listed = self.containers.values().cloned().collect();
        self.appear(list, Moment::After);
        listed
    }

    fn appear(&mut self, list: u64, moment: Moment) {
        let appearing = self.faults.appearing(list, moment);
        self.containers.extend(appearing.map(|container| (container.id.clone(), container.clone())));
    }

    /// Resolves a name to an image: an id, a part of one, a tag or a digest.
    pub(super) fn find(&self, name: &str) -> Option<&Image> {
        if name.is_empty() {
            return None;
        }
        if let Some(image) = self.images.get(name) {
            return Some(image);
        }
        let full = Reference::parse(name).ok();
        let answers = |image: &&Image| {
            image.id.names(name)
                || image.references().any(|reference| reference == name)
                || full.as_ref().is_some_and(|full| has_reference(image, full))
        };
        self.images.values().find(answers).or_else(|| self.find_by_short_id(name))
    }

    fn find_by_short_id(&self, name: &str) -> Option<&Image> {
        let hex = name.strip_prefix("sha256:").unwrap_or(name);
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        only(self.images.values().filter(|image| !hex.is_empty() && image.id.hex().starts_with(hex)))
    }

    /// Returns the container with this id, or the only one whose id begins with it.
    pub(super) fn container(&self, id: &str) -> Option<&Container> {
        let begins = self.containers.values().filter(|container| !id.is_empty() && container.id.starts_with(id));
        self.containers.get(id).or_else(|| only(begins))
    }

    /// Returns the sandbox with this id, or the only one whose id begins with it.
    pub(super) fn sandbox(&self, id: &str) -> Option<&Sandbox> {
        let begins = self.sandboxes.values().filter(|sandbox| !id.is_empty() && sandbox.id.starts_with(id));
        self.sandboxes.get(id).or_else(|| only(begins))
    }

    pub(super) fn add_image(&mut self, image: Image) {
        let size = image.size_bytes;
        let replaced = self.images.insert(image.id.to_string(), image).map_or(0, |image| image.size_bytes);
        self.account(replaced, size);
    }

    pub(super) fn remove_image(&mut self, id: &str) -> Option<Image> {
        let image = self.images.remove(id)?;
        if let Some(disk) = &self.disk {
            drop(std::fs::remove_file(disk.join(image.id.hex())));
        }
        self.account(image.size_bytes, 0);
        Some(image)
    }

    fn account(&mut self, gone: u64, come: u64) {
        let moved = |used: u64| used.saturating_sub(gone).saturating_add(come);
        if let Some(filesystem) = self.filesystems.iter_mut().find(|it| it.name == "images") {
            let capacity = filesystem.capacity_bytes.unwrap_or(u64::MAX);
            filesystem.used_bytes = filesystem.used_bytes.map(moved);
            filesystem.available_bytes = filesystem
                .available_bytes
                .map(|available| available.saturating_add(gone).saturating_sub(come).min(capacity));
        }
    }
}

/// Returns the seed's filesystems, including one for images that has a used size.
fn modelled(mut filesystems: Vec<Filesystem>, nominal: u64) -> Vec<Filesystem> {
    match filesystems.iter_mut().find(|filesystem| filesystem.name == "images") {
        Some(images) => images.used_bytes = images.used_bytes.or(Some(nominal)),
        None => filesystems.push(Filesystem {
            name: "images".to_owned(),
            mountpoint: "/images".to_owned(),
            used_bytes: Some(nominal),
            ..Default::default()
        }),
    }
    filesystems
}

/// Returns the item, if it is the only one.
fn only<T>(mut found: impl Iterator<Item = T>) -> Option<T> {
    found.next().filter(|_| found.next().is_none())
}

fn has_reference(image: &Image, full: &Reference) -> bool {
    image.references().filter_map(|reference| Reference::parse(reference).ok()).any(|other| {
        let latest = full.tag().is_none() && full.digest().is_none() && other.tag() == Some("latest");
        other == *full || (latest && other.repository() == full.repository())
    })
}
