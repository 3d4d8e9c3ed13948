//! Which files the node's processes hold open.
//!
//! That can be told only where all of them can be seen: from the node's own pid namespace, with the right to look at
//! other users' processes. Where one process cannot be looked at, a file that nobody seems to hold open may be held by
//! that one.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use holystone_core::logs::{Identity, OpenState};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir, StatxFlags};
use rustix::io::{Errno, Result};

/// Where to look for processes, and whether those of the whole node are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processes {
    /// A mounted proc filesystem.
    pub proc: PathBuf,
    /// Whether all of the node's processes are in it.
    pub visibility: Visibility,
}

/// Whether all of the node's processes can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Find out.
    Detect,
    /// They can.
    All,
    /// They cannot.
    Some,
}

impl Default for Processes {
    fn default() -> Self {
        Self { proc: PathBuf::from("/proc"), visibility: Visibility::Detect }
    }
}

/// The number of the machine's first pid namespace, which is part of the kernel's interface.
const FIRST_PID_NAMESPACE: &[u8] = b"pid:[4026531836]";

/// What the kubelet's process is called in the usual distributions, as far as the kernel keeps it. A machine that is
/// itself a container (kind) has a namespace of its own, and it is the right one if its kubelet is in it.
const KUBELETS: [&str; 6] = ["kubelet", "kubelite", "k3s", "k3s-server", "k3s-agent", "hyperkube"];

impl Processes {
    fn are_all_visible(&self) -> bool {
        match self.visibility {
            Visibility::All => true,
            Visibility::Some => false,
            Visibility::Detect => is_first_namespace(&self.proc) || sees_kubelet(&self.proc),
        }
    }
}

fn is_first_namespace(proc: &Path) -> bool {
    let namespace = rustix::fs::readlink(proc.join("self/ns/pid"), Vec::new());
    namespace.is_ok_and(|namespace| namespace.to_bytes() == FIRST_PID_NAMESPACE)
}

fn sees_kubelet(proc: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(proc) else { return false };
    entries.flatten().filter(|entry| is_number(entry.file_name().as_encoded_bytes())).any(|entry| {
        std::fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| KUBELETS.contains(&name.trim_end()))
    })
}

fn is_number(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(u8::is_ascii_digit)
}

/// The files that were open at one moment.
#[derive(Clone, Debug, Default)]
pub struct OpenFiles {
    /// Device and inode.
    open: HashSet<(u64, u64)>,
    /// Every process of the node has been looked at.
    is_complete: bool,
}

impl OpenFiles {
    /// Looks at all processes that can be seen, for files on these devices.
    pub(super) fn scan(processes: &Processes, devices: &HashSet<u64>) -> Self {
        let mut scan = Scan { devices, found: Self { open: HashSet::new(), is_complete: true } };
        scan.found.is_complete = scan.all(&processes.proc).is_ok() && scan.found.is_complete;
        scan.found.is_complete &= processes.are_all_visible();
        tracing::debug!(open = scan.found.open.len(), complete = scan.found.is_complete, "looked for open files");
        scan.found
    }

    /// Whether this file was open.
    pub fn state(&self, identity: &Identity) -> OpenState {
        match self.open.contains(&(identity.device, identity.inode)) {
            true => OpenState::Open,
            false if self.is_complete => OpenState::Closed,
            false => OpenState::Unknown,
        }
    }
}

struct Scan<'a> {
    devices: &'a HashSet<u64>,
    found: OpenFiles,
}

impl Scan<'_> {
    fn all(&mut self, proc: &Path) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open(proc, flags, Mode::empty())?;
        // Our own handles on log directories are none that keep a file.
        let own = std::process::id().to_string().into_bytes();
        for process in names(proc.as_fd())? {
            if is_number(process.as_bytes()) && process.as_bytes() != own {
                self.process(proc.as_fd(), &process);
            }
        }
        Ok(())
    }

    /// What one process has open. A process may end at any moment, and has nothing open then.
    fn process(&mut self, proc: BorrowedFd<'_>, process: &CString) {
        let looked = self.open_files(proc, process);
        if let Err(error) = looked
            && !matches!(error, Errno::NOENT | Errno::SRCH)
        {
            self.found.is_complete = false;
        }
    }

    fn open_files(&mut self, proc: BorrowedFd<'_>, process: &CString) -> Result<()> {
        let open = |directory: BorrowedFd<'_>, name: &std::ffi::CStr| -> Result<OwnedFd> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(directory, name, flags, Mode::empty())
        };
        let process = open(proc, process)?;
        let handles = open(process.as_fd(), c"fd")?;
        for handle in names(handles.as_fd())? {
            self.look(handles.as_fd(), &handle)?;
        }
        // A directory that a process works in is in use as well.
        self.look(process.as_fd(), c"cwd")
    }

    /// Follows one of the links of a process to what it stands for, which works for files without a name, too. A file
    /// server that is gone must not hold this up: what is known of the file is enough.
    fn look(&mut self, directory: BorrowedFd<'_>, link: &std::ffi::CStr) -> Result<()> {
        match rustix::fs::statx(directory, link, AtFlags::STATX_DONT_SYNC, StatxFlags::INO) {
            Ok(status) => {
                let device = rustix::fs::makedev(status.stx_dev_major, status.stx_dev_minor);
                if self.devices.contains(&device) {
                    self.found.open.insert((device, status.stx_ino));
                }
                Ok(())
            }
            // Closed meanwhile, or the process has ended.
            Err(Errno::NOENT | Errno::SRCH) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The names in a directory but for `.` and `..`.
fn names(directory: BorrowedFd<'_>) -> Result<Vec<CString>> {
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

#[cfg(test)]
mod tests;
