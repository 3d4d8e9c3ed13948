//! Where directories really are: on which filesystem, and where on it, whatever path leads there.
//!
//! A bind mount, or a second mount of the same disk, shows one directory under several paths. Its place on its
//! filesystem is the same each time: the device of the mount, and the path within it that the kernel's table of mounts
//! gives.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::logs::mount_id;

/// The mounts that this process sees, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mounts(Vec<Mount>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    id: u64,
    /// Major and minor number of its filesystem: of btrfs the same for all subvolumes.
    device: String,
    /// What of the filesystem is mounted.
    root: PathBuf,
    /// Where it is mounted.
    at: PathBuf,
}

/// Where a directory is on its filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Major and minor number of the filesystem.
    pub(crate) device: String,
    path: PathBuf,
}

impl Spot {
    /// The way from another spot down to this one: empty if they are the same, nothing if it does not lie beneath.
    pub(crate) fn beneath(&self, other: &Self) -> Option<&Path> {
        self.path.strip_prefix(&other.path).ok().filter(|_| self.device == other.device)
    }
}

impl Mounts {
    /// Reads the table, of this thread: threads can have mounts of their own.
    ///
    /// # Errors
    /// When there is none, as without a proc filesystem.
    pub(crate) fn read() -> std::io::Result<Self> {
        std::fs::read("/proc/thread-self/mountinfo").map(|table| Self::parse(&table))
    }

    fn parse(table: &[u8]) -> Self {
        Self(table.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect())
    }

    /// The filesystem of an open file or directory.
    pub(crate) fn device(&self, handle: BorrowedFd<'_>) -> Option<&str> {
        self.mount(handle).map(|mount| mount.device.as_str())
    }

    /// Where an open directory is that this path without links leads to.
    pub(crate) fn spot(&self, handle: BorrowedFd<'_>, path: &Path) -> Option<Spot> {
        let mount = self.mount(handle)?;
        let path = mount.root.join(path.strip_prefix(&mount.at).ok()?);
        Some(Spot { device: mount.device.clone(), path: path.components().collect() })
    }

    /// Where the directory at a path is, whatever links lead there. What does not exist yet is where its nearest parent
    /// that does would have it.
    pub(crate) fn find(&self, path: &Path) -> Option<Spot> {
        let (real, missing) =
            path.ancestors().find_map(|parent| Some((parent.canonicalize().ok()?, path.strip_prefix(parent).ok()?)))?;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(CWD, &real, flags, Mode::empty()).ok()?;
        let mut spot = self.spot(handle.as_fd(), &real)?;
        spot.path = spot.path.join(missing).components().collect();
        Some(spot)
    }

    /// The filesystem of what is at a path.
    pub(crate) fn device_of(&self, path: &Path) -> Result<Option<String>, Errno> {
        let handle = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(self.device(handle.as_fd()).map(str::to_owned))
    }

    fn mount(&self, handle: BorrowedFd<'_>) -> Option<&Mount> {
        let id = mount_id(handle).ok()?;
        self.0.iter().find(|mount| mount.id == id)
    }
}

impl Mount {
    /// Reads a line: `36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw`.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let device = std::str::from_utf8(fields.nth(1)?).ok()?.to_owned();
        Some(Self { id, device, root: unescaped(fields.next()?), at: unescaped(fields.next()?) })
    }
}

/// Blanks and the like stand in the table as `\040`.
fn unescaped(field: &[u8]) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::with_capacity(field.len()), field);
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        let (byte, left) = match octal.filter(|_| *first == b'\\') {
            Some(byte) => (byte, &after[3..]),
            None => (*first, after),
        };
        bytes.push(byte);
        rest = left;
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        40 21 8:1 /usr/bin /data/tools rw - ext4 /dev/sda1 rw\n\
        41 21 8:2 /a\\040b\\134c /mnt/x\\011y rw master:1 shared:2 - xfs /dev/sdb rw\nodd\n";

    #[test]
    fn the_kernels_table_is_read() {
        let mounts = Mounts::parse(TABLE);
        assert_eq!(mounts.0.len(), 3);
        let mount = |id, device: &str, root: &str, at: &str| Mount {
            id,
            device: device.to_owned(),
            root: root.into(),
            at: at.into(),
        };
        assert_eq!(mounts.0[1], mount(40, "8:1", "/usr/bin", "/data/tools"));
        assert_eq!(mounts.0[2], mount(41, "8:2", "/a b\\c", "/mnt/x\ty"));
    }

    #[test]
    fn spots_know_what_lies_beneath_them() {
        let spot = |device: &str, path: &str| Spot { device: device.to_owned(), path: path.into() };
        let (log, app) = (spot("8:1", "/var/log"), spot("8:1", "/var/log/app"));
        assert_eq!(app.beneath(&log), Some(Path::new("app")));
        assert_eq!(log.beneath(&log), Some(Path::new("")));
        assert_eq!(log.beneath(&app), None);
        assert_eq!(spot("8:2", "/var/log/app").beneath(&log), None);
        assert_eq!(spot("8:1", "/var/logs").beneath(&log), None);
    }

    #[test]
    fn links_are_followed_and_what_is_missing_is_beneath_its_parent() {
        let mounts = Mounts::read().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("real")).unwrap();
        std::os::unix::fs::symlink(base.join("real"), base.join("link")).unwrap();
        let real = mounts.find(&base.join("real")).unwrap();
        assert_eq!(mounts.find(&base.join("link")), Some(real.clone()));
        let missing = mounts.find(&base.join("link/a/b")).unwrap();
        assert_eq!(missing.beneath(&real), Some(Path::new("a/b")));
        let handle = std::fs::File::open(base.join("real")).unwrap();
        assert_eq!(mounts.spot(handle.as_fd(), &base.join("real")), Some(real.clone()));
        assert_eq!(mounts.device(handle.as_fd()), Some(real.device.as_str()));
        assert_eq!(mounts.device_of(&base.join("link")).unwrap(), Some(real.device));
        assert!(mounts.device_of(&base.join("missing")).is_err());
    }
}
