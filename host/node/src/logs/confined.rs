//! Confined access to entries under an open directory: never through a symbolic link, onto another mount, or above the
//! directory.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use holystone_core::guard::logs::InspectError;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::{Errno, Result};

/// The mechanism that confines access to entries under a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// A single call for the whole path (`openat2`, Linux 5.6).
    OneCall,
    /// One call per component, each checked.
    Stepwise,
}

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
/// Flags of every open call: no symbolic link as the last component, no descriptor left to child processes.
const CONFINED: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);
/// Flags against waiting for the other end of a pipe and against acquiring a terminal.
const PATIENT: OFlags = OFlags::NOCTTY.union(OFlags::NONBLOCK);
/// Flags for a directory to resolve names from, not to read.
pub(super) const PASSAGE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
/// Flags for a directory to list.
pub(super) const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Confined access to entries under directories of one mount.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confined {
    mount: u64,
    confinement: Confinement,
}

impl Confined {
    /// Prepares access to everything under this directory, on its mount. If `wanted` is absent, detects the mechanism.
    pub(super) fn new(directory: BorrowedFd<'_>, wanted: Option<Confinement>) -> Result<Self> {
        let confinement = wanted.unwrap_or_else(|| probe(directory));
        Ok(Self { mount: mount_id(directory)?, confinement })
    }

    /// Opens the entry at this path under the directory; an empty path is the directory itself.
    pub(super) fn open(&self, directory: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = flags | if flags.contains(OFlags::PATH) { CONFINED } else { CONFINED | PATIENT };
        match self.confinement {
            Confinement::OneCall => in_one_call(directory, path, flags),
            Confinement::Stepwise => self.step_by_step(directory, path, flags),
        }
    }

    fn step_by_step(&self, directory: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let (passages, last) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        let mut at: Option<OwnedFd> = None;
        for name in passages.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            at = Some(self.step(at.as_ref().map_or(directory, AsFd::as_fd), name, PASSAGE | CONFINED)?);
        }
        self.step(at.as_ref().map_or(directory, AsFd::as_fd), last, flags)
    }

    fn step(&self, directory: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
        // Paths have no such component; one would lead out of the directory.
        if name == b".." {
            return Err(Errno::XDEV);
        }
        let handle = rustix::fs::openat(directory, name, flags, Mode::empty())?;
        if mount_id(handle.as_fd())? == self.mount { Ok(handle) } else { Err(Errno::XDEV) }
    }

    /// Returns whether this is the mount of the directory, so that nothing is mounted over the entry. If the kernel
    /// does not report the mount, returns true: opening the entry detects another mount.
    pub(super) fn is_on_mount(&self, mount: Option<u64>) -> bool {
        mount.is_none_or(|mount| mount == self.mount)
    }
}

fn in_one_call(directory: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    /// Maximum number of attempts: a rename elsewhere on the machine can make the kernel return EAGAIN.
    const TRIES: usize = 16;
    let mut result = Err(Errno::AGAIN);
    for _ in 0..TRIES {
        result = rustix::fs::openat2(directory, path, flags, Mode::empty(), RESOLVE);
        if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
            break;
        }
    }
    result
}

/// Detects whether the kernel has `openat2`. Sandboxes that do not know the call deny it instead.
fn probe(directory: BorrowedFd<'_>) -> Confinement {
    match in_one_call(directory, b".", PASSAGE | CONFINED) {
        Ok(_) => Confinement::OneCall,
        Err(_) => Confinement::Stepwise,
    }
}

/// Returns the id of the mount that a descriptor is on. Devices are ambiguous: one filesystem can be mounted twice.
pub(crate) fn mount_id(handle: BorrowedFd<'_>) -> Result<u64> {
    let status = rustix::fs::statx(handle, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    if StatxFlags::from_bits_retain(status.stx_mask).contains(StatxFlags::MNT_ID) {
        return Ok(status.stx_mnt_id);
    }
    mount_id_of_old(handle)
}

/// Reads the mount id from `fdinfo`, for kernels before 5.8.
fn mount_id_of_old(handle: BorrowedFd<'_>) -> Result<u64> {
    use std::os::fd::AsRawFd as _;

    let path = format!("/proc/self/fdinfo/{}", handle.as_raw_fd());
    let text = std::fs::read_to_string(path).map_err(|_| Errno::NOSYS)?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or(Errno::NOSYS)
}

/// Converts an error of an open call to the reason why a target cannot be inspected.
pub(super) fn unseen(error: Errno) -> InspectError {
    match error {
        Errno::NOENT => InspectError::NotFound,
        Errno::LOOP | Errno::NOTDIR => InspectError::ThroughLink,
        Errno::XDEV => InspectError::OtherFilesystem,
        other => InspectError::Failed(sentence(other)),
    }
}

/// Returns the system's message in lower case, without the error number.
pub(super) fn sentence(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// Converts a name to a C string. Names from listings and paths have no NUL byte in them.
pub(super) fn c_name(name: &[u8]) -> CString {
    CString::new(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_call_is_used_where_there_is_one() {
        let directory = std::fs::File::open(std::env::temp_dir()).unwrap();
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let has_it = rustix::fs::openat2(&directory, ".", flags, Mode::empty(), ResolveFlags::BENEATH).is_ok();
        let expected = if has_it { Confinement::OneCall } else { Confinement::Stepwise };
        assert_eq!(probe(directory.as_fd()), expected);
    }

    #[test]
    fn both_ways_of_asking_for_the_mount_agree() {
        let directory = std::fs::File::open(std::env::temp_dir()).unwrap();
        assert_eq!(mount_id(directory.as_fd()).unwrap(), mount_id_of_old(directory.as_fd()).unwrap());
        let proc = std::fs::File::open("/proc").unwrap();
        assert_ne!(mount_id(directory.as_fd()).unwrap(), mount_id_of_old(proc.as_fd()).unwrap());
    }

    #[test]
    fn no_step_leads_up() {
        let directory = std::fs::File::open(std::env::temp_dir()).unwrap();
        for confinement in [Confinement::OneCall, Confinement::Stepwise] {
            let confined = Confined::new(directory.as_fd(), Some(confinement)).unwrap();
            for path in [&b".."[..], b"../etc", b"./../x"] {
                assert_eq!(confined.open(directory.as_fd(), path, LIST).unwrap_err(), Errno::XDEV, "{confinement:?}");
            }
            assert!(confined.open(directory.as_fd(), b"", LIST).is_ok());
        }
    }

    #[test]
    fn what_the_system_says_becomes_words() {
        assert_eq!(sentence(Errno::NOENT), "no such file or directory");
        assert_eq!(unseen(Errno::IO), InspectError::Failed("input/output error".to_owned()));
    }
}
