//! Layers of overlays. A file that is used through an overlay has the overlay's device and an inode of its own there,
//! so a layer does not show which of its files are in use. While the overlay is mounted, the whole layer counts as in
//! use.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use holystone_core::logs::{InUse, LogPath, Use};

use super::{Region, Scan};
use crate::mounts::{Mount, MountView, Spot, Table};

/// Maximum number of open views: each takes a descriptor.
const MOST_OPEN: usize = 64;

/// A mounted overlay.
pub(super) struct Overlay {
    /// Layers, as the mounter named them.
    layers: Vec<PathBuf>,
    /// Set if the overlay is mounted on the root directory of a task.
    is_root: bool,
    by: Arc<str>,
    /// Tasks that see the overlay, as paths in the proc filesystem.
    seen_by: Vec<String>,
}

/// The layers of overlays, as far as they concern log roots.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    /// Layers in a log root, or the whole root if it lies in a layer, by the names of the roots.
    found: Vec<(String, LogPath, InUse)>,
    /// Ends of layer paths that do not resolve: of relative paths, and of absolute paths that no task finds.
    ends: Vec<(PathBuf, InUse)>,
    /// Locations of the roots on their filesystems, by name.
    roots: HashMap<String, PathBuf>,
}

impl Layers {
    /// Finds an overlay that uses the entry at this path under a root.
    pub(super) fn usage(&self, root: &str, path: &LogPath) -> Option<&InUse> {
        let is_at = |(name, layer, _): &&(String, LogPath, InUse)| {
            name == root && (lies_in(path, layer) || lies_in(layer, path))
        };
        self.found.iter().find(is_at).map(|(.., in_use)| in_use).or_else(|| self.by_end(root, path))
    }

    fn by_end(&self, root: &str, path: &LogPath) -> Option<&InUse> {
        if self.ends.is_empty() {
            return None;
        }
        let whole = self.roots.get(root)?.join(OsStr::from_bytes(path.as_bytes()));
        let ends_so = |(end, _): &&(PathBuf, InUse)| whole.ancestors().any(|directory| directory.ends_with(end));
        self.ends.iter().find(ends_so).map(|(_, in_use)| in_use)
    }
}

fn lies_in(path: &LogPath, directory: &LogPath) -> bool {
    let mut parts = path.components();
    directory.components().all(|part| parts.next() == Some(part))
}

impl Scan<'_> {
    /// Records an overlay in the mount table of a task.
    pub(super) fn overlay(&mut self, mount: &Mount, task: &str, by: &Arc<str>) {
        if let Some(known) = self.overlays.get_mut(&mount.device) {
            known.seen_by.push(task.to_owned());
            known.is_root |= mount.point == b"/";
            return;
        }
        let layers: Vec<PathBuf> =
            mount.layers().iter().map(|path| Path::new(OsStr::from_bytes(path)).to_owned()).collect();
        if !layers.is_empty() {
            let (by, seen_by) = (Arc::clone(by), vec![task.to_owned()]);
            self.overlays.insert(mount.device, Overlay { layers, is_root: mount.point == b"/", by, seen_by });
        }
    }

    /// Resolves the layers of all overlays to directories of the log roots.
    pub(super) fn layers(&mut self, proc: &Path, own: &Table) {
        let mut views = Views { proc, own, open: HashMap::new() };
        let all: Vec<String> = self.views.clone();
        let mut done = HashSet::new();
        for overlay in std::mem::take(&mut self.overlays).into_values() {
            for layer in &overlay.layers {
                if done.insert((layer.clone(), overlay.seen_by.clone(), overlay.is_root)) {
                    self.layer(layer, &overlay, &mut views, &all);
                }
            }
        }
        let places = self.regions.iter().map(|region| (region.root.name().to_owned(), region.on_filesystem()));
        self.found.layers.roots = places.collect();
    }

    fn layer(&mut self, layer: &Path, overlay: &Overlay, views: &mut Views<'_>, all: &[String]) {
        let in_use = InUse { how: Use::Layer, by: Arc::clone(&overlay.by) };
        if layer.is_relative() {
            // The path starts at a directory that the mounter has left, so only its end is known.
            self.end(layer, in_use);
            return;
        }
        let mut spots: Vec<Spot> = overlay.seen_by.iter().filter_map(|task| views.find(task, layer)).collect();
        if spots.is_empty() {
            spots.extend(all.iter().find_map(|task| views.find(task, layer)));
        }
        for spot in &spots {
            self.found.layers.found.extend(
                self.regions
                    .iter()
                    .filter_map(|region| Some((region.root.name().to_owned(), region.layer(spot)?, in_use.clone()))),
            );
        }
        if spots.is_empty() {
            // If the node is a container, the layers of its root lie on the machine, invisible from the node.
            self.found.is_complete &= overlay.is_root;
            self.end(layer.file_name().map_or(layer, Path::new), in_use);
        }
    }

    fn end(&mut self, path: &Path, in_use: InUse) {
        let mut end = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => end.clear(),
                Component::Normal(name) => end.push(name),
                _ => {}
            }
        }
        if end.as_os_str().is_empty() {
            self.found.is_complete = false;
        } else {
            self.found.layers.ends.push((end, in_use));
        }
    }
}

/// The files of the node as tasks see them.
struct Views<'a> {
    proc: &'a Path,
    own: &'a Table,
    open: HashMap<String, Option<MountView>>,
}

impl Views<'_> {
    fn find(&mut self, task: &str, path: &Path) -> Option<Spot> {
        if self.open.len() >= MOST_OPEN {
            self.open.clear();
        }
        let open = || MountView::of(self.proc.join(task));
        self.open.entry(task.to_owned()).or_insert_with(open).as_ref()?.find(path, self.own)
    }
}

impl Region<'_> {
    fn on_filesystem(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.path))
    }

    /// Finds a layer in the log root; returns the root as a whole if it lies in the layer.
    fn layer(&self, layer: &Spot) -> Option<LogPath> {
        if layer.device != self.filesystem {
            return None;
        }
        let own = self.on_filesystem();
        match layer.path.strip_prefix(&own) {
            Ok(beneath) => LogPath::from_bytes(beneath.as_os_str().as_bytes()).ok(),
            Err(_) => own.starts_with(&layer.path).then(LogPath::root),
        }
    }
}
