//! What the operating system says about a filesystem (statvfs).
//!
//! The runtime names its mount points as it sees them. In a pod they exist only where they are mounted at the same
//! path; where they do not, the figures stay unknown instead of being those of some other filesystem.

use holystone_core::snapshot::Filesystem;
use rustix::fs::StatVfs;

/// Adds size and what is free, where the mount point exists.
pub(crate) fn measured(filesystem: Filesystem) -> Filesystem {
    if !filesystem.mountpoint.starts_with('/') {
        return filesystem;
    }
    match rustix::fs::statvfs(&filesystem.mountpoint) {
        Ok(figures) => with_figures(filesystem, &figures),
        Err(_) => filesystem,
    }
}

/// Adds size and what is free.
pub(crate) fn with_figures(mut filesystem: Filesystem, figures: &StatVfs) -> Filesystem {
    let block = figures.f_frsize;
    filesystem.capacity_bytes = Some(figures.f_blocks.saturating_mul(block));
    filesystem.available_bytes = Some(figures.f_bavail.saturating_mul(block));
    // Filesystems that make inodes as they go (btrfs) say that they have none.
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
        let measured = measured(Filesystem { mountpoint: "/".to_owned(), ..Default::default() });
        assert!(measured.capacity_bytes.unwrap() >= measured.available_bytes.unwrap());
    }

    #[test]
    fn a_path_of_another_world_is_not() {
        let elsewhere = Filesystem { mountpoint: "/nowhere/at/all".to_owned(), ..Default::default() };
        assert_eq!(measured(elsewhere.clone()), elsewhere);
    }
}
