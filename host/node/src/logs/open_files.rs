//! Detection of the files of log roots that are in use by any task, mount namespace or device of the node.
//!
//! The result is complete only if all processes are visible: from the machine's initial pid namespace, with the right
//! to inspect other users' processes. A process that cannot be inspected in full may use any file that has no known
//! use.
//!
//! - `tasks`: descriptors, directories, executables and mappings of processes.
//! - `overlays`: layers of overlays, whose files are used under other identities.
//! - `backing`: files of loop devices and swap files, which no process has open, and files that `io_uring` keeps for a
//!   process.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holystone_core::logs::{FileEntry, Identity, InUse, LogPath, OpenState, Use};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, StatxFlags};
use rustix::io::{Errno, Result};
use rustix::thread::CapabilitySet;

use super::confined::{PASSAGE, c_name};
use super::root::Root;
use super::stat;
use crate::mounts::{Mount, Table};

mod backing;
mod overlays;
mod tasks;

use backing::{BackingFile, Unidentified};
use overlays::{Layers, Overlay};

/// The place to look for processes, and their visibility there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processes {
    /// Path of a mounted proc filesystem.
    pub proc: PathBuf,
    /// Path of a mounted sys filesystem, which lists the loop devices.
    pub sys: PathBuf,
    /// Visibility of the node's processes in the proc filesystem.
    pub visibility: Visibility,
}

/// The visibility of the node's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Visibility that the host detects.
    Detect,
    /// All processes visible.
    All,
    /// Some processes hidden.
    Some,
}

impl Default for Processes {
    fn default() -> Self {
        Self { proc: PathBuf::from("/proc"), sys: PathBuf::from("/sys"), visibility: Visibility::Detect }
    }
}

/// The machine's initial pid and user namespaces, whose numbers are part of the kernel's interface. No process can
/// create a namespace with one of these numbers, whereas a process in a nested namespace can choose its own name.
const FIRST_PID_NAMESPACE: &[u8] = b"pid:[4026531836]";
const FIRST_USER_NAMESPACE: &[u8] = b"user:[4026531837]";

impl Processes {
    fn are_all_visible(&self, own: &Table) -> bool {
        match self.visibility {
            Visibility::All => true,
            Visibility::Some => false,
            Visibility::Detect => {
                self.is_own("pid", FIRST_PID_NAMESPACE) && (!own.hides_processes(&self.proc) || self.sees_hidden())
            }
        }
    }

    /// Returns whether this process sees processes that the proc filesystem hides from others.
    fn sees_hidden(&self) -> bool {
        let sets = rustix::thread::capabilities(None);
        self.is_own("user", FIRST_USER_NAMESPACE)
            && sets.is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE))
    }

    fn is_own(&self, kind: &str, expected: &[u8]) -> bool {
        let namespace = rustix::fs::readlink(self.proc.join("self/ns").join(kind), Vec::new());
        namespace.is_ok_and(|namespace| namespace.to_bytes() == expected)
    }
}

/// The files that were in use at one moment.
#[derive(Clone, Debug, Default)]
pub struct OpenFiles {
    /// Uses by device and inode.
    uses: HashMap<(u64, u64), InUse>,
    /// Uses of files that only the kernel has open, by the last component of their path: the path may belong to a mount
    /// namespace without processes.
    names: HashMap<Vec<u8>, InUse>,
    /// Loop devices whose backing file is unknown.
    unidentified: Vec<Unidentified>,
    layers: Layers,
    /// Set if all users of the node's files were inspected.
    is_complete: bool,
}

impl OpenFiles {
    /// Scans everything visible for uses of files on the filesystems of these roots.
    pub(super) fn scan(processes: &Processes, roots: &[Arc<Root>]) -> Self {
        let own = Table::own();
        let is_complete = own.is_ok() && processes.are_all_visible(own.as_ref().unwrap_or(&Table::default()));
        let regions = roots.iter().filter_map(|root| Region::of(root, own.as_ref().ok()?)).collect::<Vec<_>>();
        let found = Self { is_complete: is_complete && regions.len() == roots.len(), ..Self::default() };
        let mut scan = Scan::new(regions, found);
        if scan.all(processes, own.as_ref().unwrap_or(&Table::default())).is_err() {
            scan.found.is_complete = false;
        }
        // The mounts of a pinned namespace without processes are not visible. The same holds for a namespace if its
        // root is not the root directory of any process in it.
        let mut namespaces = scan.pinned.iter().chain(&scan.inhabited);
        scan.found.is_complete &= namespaces.all(|namespace| scan.seen.contains(namespace));
        tracing::debug!(uses = scan.found.uses.len(), complete = scan.found.is_complete, "looked for files in use");
        scan.found
    }

    /// Returns whether this file or directory under a root of this name was in use.
    pub fn state(&self, root: &str, entry: &FileEntry) -> OpenState {
        match self.usage(root, entry) {
            Some(_) => OpenState::Open,
            None if self.is_complete => OpenState::Closed,
            None => OpenState::Unknown,
        }
    }

    /// Returns the use of an entry, if one is known.
    pub fn usage(&self, root: &str, entry: &FileEntry) -> Option<&InUse> {
        let by_identity = self.uses.get(&(entry.identity.device, entry.identity.inode));
        let by_name = || self.names.get(entry.path.name()?);
        let by_exclusion = || self.unidentified.iter().find_map(|file| file.usage(entry));
        by_identity.or_else(by_name).or_else(|| self.layers.usage(root, &entry.path)).or_else(by_exclusion)
    }

    /// Returns whether an entry without a known use was not in use.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }
}

/// The location of a log root on its filesystem, whatever its mount point.
struct Region<'a> {
    root: &'a Root,
    /// Device of its files, as `stat` reports it.
    device: u64,
    /// Device of its filesystem, as tables of mounts and mappings report it: btrfs has others for its subvolumes.
    filesystem: u64,
    /// Set if mappings report its files by the same inode as `stat`.
    shows_mappings: bool,
    /// Path on the filesystem.
    path: Vec<u8>,
}

impl<'a> Region<'a> {
    fn of(root: &'a Root, own: &Table) -> Option<Self> {
        let mount = own.mount_of(root.handle())?;
        let spot = own.spot(root.handle())?;
        let (device, filesystem) = (root.identity().device, spot.device);
        let shows_mappings = mount.kind == b"btrfs" || (device == filesystem && mount.kind != b"overlay");
        Some(Self { root, device, filesystem, shows_mappings, path: spot.path.into_os_string().into_encoded_bytes() })
    }

    /// Finds the entry strictly under the root by its path on the filesystem. An entry that cannot be reached from the
    /// root cannot be removed from there either.
    fn find(&self, filesystem: u64, path: &[u8]) -> Option<Identity> {
        if filesystem != self.filesystem {
            return None;
        }
        let beneath = path.strip_prefix(self.path.as_slice())?;
        let relative = if self.path.ends_with(b"/") { beneath } else { beneath.strip_prefix(b"/")? };
        let path = LogPath::from_bytes(relative).ok()?;
        let parent = self.root.reach(&path.parent()?, PASSAGE).ok()?;
        stat::by_name(parent.as_fd(), &c_name(path.name()?)).ok().map(|status| status.identity())
    }
}

struct Scan<'a> {
    regions: Vec<Region<'a>>,
    found: OpenFiles,
    /// Mount namespaces that a descriptor or a mount pins.
    pinned: HashSet<u64>,
    /// Mount namespaces with a task in them.
    inhabited: HashSet<u64>,
    /// Mount namespaces whose mounts were all seen.
    seen: HashSet<u64>,
    /// One task for each mount namespace and root directory in it, as a path in the proc filesystem.
    views: Vec<String>,
    /// Overlays by device.
    overlays: HashMap<u64, Overlay>,
    /// Files that the kernel keeps for processes.
    kept: Vec<BackingFile>,
}

impl<'a> Scan<'a> {
    fn new(regions: Vec<Region<'a>>, found: OpenFiles) -> Self {
        let (pinned, inhabited, seen) = (HashSet::new(), HashSet::new(), HashSet::new());
        let (views, overlays, kept) = (Vec::new(), HashMap::new(), Vec::new());
        Self { regions, found, pinned, inhabited, seen, views, overlays, kept }
    }

    fn all(&mut self, processes: &Processes, own: &Table) -> Result<()> {
        let proc = rustix::fs::open(&processes.proc, LIST, Mode::empty())?;
        // A mount over a process makes it look ended; one over `swaps` hides swap files.
        self.found.is_complete &= !own.covers_processes(&processes.proc);
        self.processes(proc.as_fd())?;
        self.layers(&processes.proc, own);
        self.backing_files(proc.as_fd(), &processes.sys)
    }

    /// Adds a use, if the file is on the filesystem of a root and no graver use is known.
    fn add(&mut self, device: u64, inode: u64, how: Use, by: impl FnOnce() -> Arc<str>) {
        if self.regions.iter().all(|region| region.device != device) {
            return;
        }
        let known = self.found.uses.get(&(device, inode));
        if known.is_none_or(|known| known.how < how) {
            self.found.uses.insert((device, inode), InUse { how, by: by() });
        }
    }

    /// Marks the scan incomplete if an inspection failed. A process that has ended meanwhile uses nothing.
    fn missed(&mut self, looked: Result<()>) {
        if looked.is_err_and(|error| !is_gone(error)) {
            self.found.is_complete = false;
        }
    }

    /// Adds the mounts in the mount namespace of a task: overlays, pinned namespaces, sources and mount points.
    fn mounted(&mut self, table: &Table, task: &str, by: &Arc<str>) {
        for mount in &table.mounts {
            self.overlay(mount, task, by);
            if let Some(namespace) = mount.pinned_namespace() {
                self.pinned.insert(namespace);
            }
            self.mount(mount.device, &mount.root, Use::MountSource, by);
            let parent: Option<&Mount> = table.mounts.iter().find(|parent| parent.id == mount.parent);
            if let Some((parent, path)) = parent.and_then(|parent| Some((parent, parent.on_filesystem(&mount.point)?)))
            {
                self.mount(parent.device, &path, Use::MountPoint, by);
            }
        }
    }

    fn mount(&mut self, filesystem: u64, path: &[u8], how: Use, by: &Arc<str>) {
        let found: Vec<Identity> = self.regions.iter().filter_map(|region| region.find(filesystem, path)).collect();
        for identity in found {
            self.add(identity.device, identity.inode, how, || Arc::clone(by));
        }
    }
}

const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Returns whether an error means that a process, or its resource, is gone.
fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::SRCH)
}

fn open_directory(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    rustix::fs::openat(directory, name, LIST | OFlags::NOFOLLOW, Mode::empty())
}

/// Follows a link of a process, even to a file without a name, and returns device, inode and mount. An unreachable file
/// server must not block this, so cached values are enough.
fn follow(directory: BorrowedFd<'_>, link: &CStr) -> Result<(u64, u64, u64)> {
    let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
    let status = rustix::fs::statx(directory, link, AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT, wanted)?;
    Ok((rustix::fs::makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino, status.stx_mnt_id))
}

/// Follows a link of a process like [`follow`], and returns the file's entry.
fn follow_file(directory: BorrowedFd<'_>, link: &CStr) -> Result<FileEntry> {
    stat::by_link(directory, link).map(|status| status.entry(LogPath::root()))
}

fn read(directory: BorrowedFd<'_>, name: &CStr, into: &mut Vec<u8>) -> Result<()> {
    use std::io::Read as _;

    into.clear();
    let file = rustix::fs::openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let read = std::fs::File::from(file).read_to_end(into);
    read.map(drop).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Lists the names in a directory, except hidden ones.
fn names(directory: BorrowedFd<'_>) -> Result<Vec<std::ffi::CString>> {
    let mut buffer = Vec::with_capacity(16 << 10);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !entry.file_name().to_bytes().starts_with(b".") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn is_number(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_digit)
}

/// Returns the last component of a path.
fn last(path: &[u8]) -> &[u8] {
    Path::new(std::ffi::OsStr::from_bytes(path)).file_name().map_or(&[], std::ffi::OsStr::as_bytes)
}

#[cfg(test)]
pub(super) mod tests;
