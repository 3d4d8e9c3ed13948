//! The operating system's figures of a filesystem (statvfs).
//!
//! The runtime names mount points by their paths on the node. In a pod such a path exists only if it is mounted at the
//! same path, or is known from a [`PathMapping`]. Otherwise the figures stay unknown, because those of another
//! filesystem would mislead.

use std::path::{Path, PathBuf};

use holystone_core::snapshot::Filesystem;
use rustix::fs::StatVfs;

use crate::mounts::Table;

/// A directory of the node that this process sees at another path, as in a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMapping {
    /// The path on the node.
    pub host_path: PathBuf,
    /// The directory as this process sees it; to measure it, any path on the same filesystem is enough.
    pub mounted_at: PathBuf,
}

impl PathMapping {
    /// Returns the path at which to measure a path of the node, if that lies in this directory.
    fn place(&self, path: &Path) -> Option<&Path> {
        path.starts_with(&self.host_path).then_some(&self.mounted_at)
    }
}

/// Adds identity, size and free space if the mount point exists here, or is in the directory of the mapping.
pub(crate) fn measured(filesystem: Filesystem, elsewhere: Option<&PathMapping>) -> Filesystem {
    let mountpoint = Path::new(&filesystem.mountpoint);
    if !mountpoint.is_absolute() {
        return filesystem;
    }
    let place = elsewhere.and_then(|elsewhere| elsewhere.place(mountpoint)).unwrap_or(mountpoint);
    match rustix::fs::statvfs(place) {
        Ok(figures) => {
            let identity = Table::own().ok().and_then(|mounts| mounts.filesystem_at(place)).unwrap_or_default();
            let filesystem = Filesystem { identity, ..filesystem };
            with_figures(filesystem, &figures)
        }
        Err(_) => filesystem,
    }
}

/// Adds size and free space, in bytes and in inodes.
pub(crate) fn with_figures(mut filesystem: Filesystem, figures: &StatVfs) -> Filesystem {
    let block = figures.f_frsize;
    filesystem.capacity_bytes = Some(figures.f_blocks.saturating_mul(block));
    filesystem.available_bytes = Some(figures.f_bavail.saturating_mul(block));
    // Filesystems that allocate inodes on demand (btrfs) report a total of 0.
    let counted = figures.f_files > 0;
    filesystem.inodes = counted.then_some(figures.f_files);
    filesystem.inodes_free = counted.then_some(figures.f_ffree);
    filesystem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_path_is_measured() {
        let measured = measured(Filesystem { mountpoint: "/".to_owned(), ..Default::default() }, None);
        assert!(measured.capacity_bytes.unwrap() >= measured.available_bytes.unwrap());
        assert!(measured.identity.contains(':'), "{}", measured.identity);
    }

    #[test]
    fn a_path_of_another_world_is_not() {
        let elsewhere = Filesystem { mountpoint: "/nowhere/at/all".to_owned(), ..Default::default() };
        assert_eq!(measured(elsewhere.clone(), None), elsewhere);
    }

    #[test]
    fn in_a_pod_it_is_measured_where_it_is_mounted_and_no_other_is() {
        let filesystem = |path: &str| Filesystem { mountpoint: path.to_owned(), ..Default::default() };
        let root = PathMapping { host_path: "/nowhere/containerd".into(), mounted_at: "/".into() };
        let found = measured(filesystem("/nowhere/containerd/overlayfs"), Some(&root));
        assert!(found.capacity_bytes.is_some() && found.mountpoint == "/nowhere/containerd/overlayfs");
        let other = filesystem("/nowhere/containerd-2");
        assert_eq!(measured(other.clone(), Some(&root)), other);
    }
}
