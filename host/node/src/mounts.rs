//! Mount tables (`mountinfo`), and the location of a directory on its filesystem, independent of mount points and
//! links.
//!
//! A bind mount, or a second mount of the same disk, shows one directory under several paths. The location on the
//! filesystem is the same each time: the device of the mount, and the path within it that the kernel's table gives.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

use crate::logs::mount_id;

/// The mounts that can be reached from the root directory of one process.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) mounts: Vec<Mount>,
}

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    /// The device of its filesystem.
    pub(crate) device: u64,
    /// The directory of the filesystem that is mounted, as a path there.
    pub(crate) root: Vec<u8>,
    /// The mount point.
    pub(crate) point: Vec<u8>,
    /// The type of the filesystem.
    pub(crate) kind: Vec<u8>,
    /// The source of the mount, as the mounter named it.
    source: Vec<u8>,
    /// Options of the mount and of the filesystem.
    options: Vec<u8>,
}

/// The location of a directory on its filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The device of the filesystem; on btrfs the same for all subvolumes.
    pub(crate) device: u64,
    pub(crate) path: PathBuf,
}

impl Spot {
    /// Returns the relative path from another spot down to this one: empty if they are equal, `None` if this one is not
    /// below the other.
    pub(crate) fn beneath(&self, other: &Self) -> Option<&Path> {
        self.path.strip_prefix(&other.path).ok().filter(|_| self.device == other.device)
    }
}

impl Table {
    /// Reads the table of this thread, because a thread can have a mount namespace different from its process's.
    pub(crate) fn own() -> Result<Self> {
        Self::read(Path::new("/proc/thread-self/mountinfo"))
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(Self::parse(&text))
    }

    /// Parses a table. Malformed lines are skipped, because the kernel writes none.
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self { mounts: text.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect() }
    }

    /// Finds the mount that an open file or directory is on.
    pub(crate) fn mount_of(&self, handle: BorrowedFd<'_>) -> Option<&Mount> {
        let id = mount_id(handle).ok()?;
        self.mounts.iter().find(|mount| mount.id == id)
    }

    /// Returns the name of the filesystem at a path, see [`filesystem_name`]. Links are followed.
    pub(crate) fn filesystem_at(&self, path: &Path) -> Option<String> {
        let handle = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        self.mount_of(handle.as_fd()).map(|mount| filesystem_name(mount.device))
    }

    /// Finds the spot of an open directory.
    pub(crate) fn spot(&self, handle: BorrowedFd<'_>) -> Option<Spot> {
        let mount = self.mount_of(handle)?;
        let link = format!("/proc/thread-self/fd/{}", handle.as_raw_fd());
        let path = mount.on_filesystem(rustix::fs::readlink(link, Vec::new()).ok()?.to_bytes())?;
        Some(Spot { device: mount.device, path: OsStr::from_bytes(&path).into() })
    }

    /// Finds the spot of the directory at a path, following links. If the path does not exist yet, its missing part is
    /// appended to the spot of its nearest existing parent.
    pub(crate) fn find(&self, path: &Path) -> Option<Spot> {
        let (real, missing) =
            path.ancestors().find_map(|parent| Some((parent.canonicalize().ok()?, path.strip_prefix(parent).ok()?)))?;
        let handle = rustix::fs::openat(CWD, &real, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut spot = self.spot(handle.as_fd())?;
        spot.path = spot.path.join(missing).components().collect();
        Some(spot)
    }

    /// Returns whether a mount covers a process's directory or the `swaps` table in the proc filesystem here.
    pub(crate) fn covers_processes(&self, proc: &Path) -> bool {
        let covers = |mount: &Mount| {
            let point = Path::new(OsStr::from_bytes(&mount.point)).strip_prefix(proc).ok()?;
            let first = point.components().next()?.as_os_str().as_bytes();
            Some(first == b"swaps" || first.iter().all(u8::is_ascii_digit))
        };
        self.mounts.iter().any(|mount| covers(mount).unwrap_or_default())
    }

    /// Returns whether the proc filesystem here hides processes from users who may not trace them (`hidepid`), or omits
    /// other files (`subset`). If the table has no mount at this path, the answer is yes.
    pub(crate) fn hides_processes(&self, proc: &Path) -> bool {
        let hides = |option: &[u8]| {
            option.strip_prefix(b"hidepid=").is_some_and(|how| !matches!(how, b"0" | b"off"))
                || option.starts_with(b"subset=")
        };
        let on = |mount: &&Mount| mount.point == proc.as_os_str().as_bytes();
        let mounted = self.mounts.iter().rfind(on);
        mounted.is_none_or(|mount| mount.options.split(|byte| *byte == b',').any(hides))
    }
}

/// The files of a node as seen by another task.
#[derive(Debug)]
pub(crate) struct MountView {
    /// The directory of the task in a proc filesystem.
    task: PathBuf,
    root: OwnedFd,
}

impl MountView {
    /// Opens the view of the task with this directory in a proc filesystem; `None` if its root cannot be opened.
    pub(crate) fn of(task: PathBuf) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(task.join("root"), flags, Mode::empty()).ok()?;
        Some(Self { task, root })
    }

    /// Finds the spot of the directory at a path of the task, following links. `own` is the table of this thread.
    pub(crate) fn find(&self, path: &Path, own: &Table) -> Option<Spot> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let handle = rustix::fs::openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
        // The kernel shows the path of a file from our root, or else from the root of the file's mount namespace.
        let in_its_namespace = || self.shows_all_mounts().then(|| Table::read(&self.task.join("mountinfo")).ok());
        own.spot(handle.as_fd()).or_else(|| in_its_namespace()??.spot(handle.as_fd()))
    }

    /// Returns whether the task's table has all mounts of its mount namespace, with full paths: true if the task's root
    /// is that of the namespace.
    fn shows_all_mounts(&self) -> bool {
        rustix::fs::readlink(self.task.join("root"), Vec::new()).is_ok_and(|path| path.to_bytes() == b"/")
    }
}

/// Formats the name of a filesystem, which is the same for all its mounts.
pub(crate) fn filesystem_name(device: u64) -> String {
    format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device))
}

impl Mount {
    /// Parses a line: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().skip(6).position(|field| *field == b"-")? + 6;
        let text = |field: usize| std::str::from_utf8(fields.get(field)?).ok();
        let (major, minor) = text(2)?.split_once(':')?;
        Some(Self {
            id: text(0)?.parse().ok()?,
            parent: text(1)?.parse().ok()?,
            device: rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?),
            root: unescape(fields.get(3)?),
            point: unescape(fields.get(4)?),
            kind: fields.get(dash + 1)?.to_vec(),
            source: unescape(fields.get(dash + 2)?),
            options: [*fields.get(5)?, *fields.get(dash + 3)?].join(&b','),
        })
    }

    /// Converts a path to the path on this mount's filesystem; `None` if the path is outside of the mount.
    pub(crate) fn on_filesystem(&self, path: &[u8]) -> Option<Vec<u8>> {
        let beneath = match path.strip_prefix(self.point.as_slice())? {
            // The mount point itself, or a path below.
            beneath if beneath.is_empty() || beneath.starts_with(b"/") => beneath,
            _ if self.point == b"/" => path,
            _ => return None,
        };
        let root = self.root.strip_suffix(b"/").unwrap_or(&self.root);
        let joined = [root, beneath].concat();
        let joined = joined.strip_suffix(b"/").map(<[u8]>::to_vec).unwrap_or(joined);
        Some(if joined.is_empty() { b"/".to_vec() } else { joined })
    }

    /// Lists the directories whose content this mount shows with other devices or inodes, as the mounter named them.
    pub(crate) fn layers(&self) -> Vec<Vec<u8>> {
        match self.kind.as_slice() {
            b"overlay" => self.options.split(|byte| *byte == b',').flat_map(layers_of_option).collect(),
            b"ecryptfs" => vec![self.source.clone()],
            _ => Vec::new(),
        }
    }

    /// Returns the inode number of the mount namespace that this mount keeps alive; `None` for other mounts.
    pub(crate) fn pinned_namespace(&self) -> Option<u64> {
        let number = self.root.strip_prefix(b"mnt:[")?.strip_suffix(b"]")?;
        std::str::from_utf8(number).ok()?.parse().ok().filter(|_| self.kind == b"nsfs")
    }
}

/// Lists the directories that an option of an overlay names. Colons separate the entries of `lowerdir`; a backslash
/// escapes a colon in a path.
fn layers_of_option(option: &[u8]) -> Vec<Vec<u8>> {
    let Some(at) = option.iter().position(|byte| *byte == b'=') else { return Vec::new() };
    let value = unescape(&option[at + 1..]);
    match &option[..at] {
        b"lowerdir" => parted_by_colons(&value),
        b"lowerdir+" | b"datadir+" | b"upperdir" | b"workdir" => vec![value],
        _ => Vec::new(),
    }
}

fn parted_by_colons(list: &[u8]) -> Vec<Vec<u8>> {
    let (mut paths, mut bytes) = (vec![Vec::new()], list.iter());
    while let Some(byte) = bytes.next() {
        match (byte, paths.last_mut()) {
            (b':', _) => paths.push(Vec::new()),
            (b'\\', Some(path)) => path.extend(bytes.next()),
            (other, Some(path)) => path.push(*other),
            (_, None) => {}
        }
    }
    // Two colons precede a data-only layer.
    paths.retain(|path| !path.is_empty());
    paths
}

/// Decodes a path of the kernel's tables, where blanks and backslashes are octal (`\040`, `\134`).
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'\\').then(|| std::str::from_utf8(after.get(..3)?).ok()).flatten();
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            out.push(byte);
            rest = &after[3..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests;
