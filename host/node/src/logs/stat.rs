//! File status from the system, as the core's types.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use holystone_core::logs::{FileEntry, FileKind, Identity, LogPath, OpenState};
use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp};
use rustix::io::Result;

/// The status of a file at one moment.
pub(super) struct FileStatus {
    raw: Statx,
}

/// Reads the status of the entry with this name, without following a link.
pub(super) fn by_name(directory: BorrowedFd<'_>, name: &CStr) -> Result<FileStatus> {
    stat(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
}

/// Reads the status of a link's target. An unreachable file server must not block this, so cached values are enough.
pub(super) fn by_link(directory: BorrowedFd<'_>, link: &CStr) -> Result<FileStatus> {
    stat(directory, link, AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT)
}

/// Reads the status of an open file.
pub(super) fn by_handle(handle: BorrowedFd<'_>) -> Result<FileStatus> {
    stat(handle, c"", AtFlags::EMPTY_PATH)
}

fn stat(directory: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Result<FileStatus> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
    rustix::fs::statx(directory, name, flags, wanted).map(|raw| FileStatus { raw })
}

impl FileStatus {
    pub(super) fn kind(&self) -> FileKind {
        kind(FileType::from_raw_mode(self.raw.stx_mode.into()))
    }

    pub(super) fn identity(&self) -> Identity {
        let born = self.has(StatxFlags::BTIME).then(|| timestamp(self.raw.stx_btime));
        Identity {
            device: rustix::fs::makedev(self.raw.stx_dev_major, self.raw.stx_dev_minor),
            inode: self.raw.stx_ino,
            born,
        }
    }

    /// Returns the id of the mount that the file is on, if the kernel reports it.
    pub(super) fn mount(&self) -> Option<u64> {
        self.has(StatxFlags::MNT_ID).then_some(self.raw.stx_mnt_id)
    }

    /// Returns an entry with this path. Its use, its pod and obstacles to a walk are not known from the file itself.
    pub(super) fn entry(&self, path: LogPath) -> FileEntry {
        FileEntry {
            path,
            kind: self.kind(),
            identity: self.identity(),
            size_bytes: self.raw.stx_size,
            allocated_bytes: self.raw.stx_blocks.saturating_mul(512),
            modified: timestamp(self.raw.stx_mtime),
            changed: timestamp(self.raw.stx_ctime),
            hard_links: self.raw.stx_nlink.into(),
            open: OpenState::Unknown,
            pod_uid: None,
            not_entered: None,
        }
    }

    fn has(&self, part: StatxFlags) -> bool {
        StatxFlags::from_bits_retain(self.raw.stx_mask).contains(part)
    }
}

pub(super) fn kind(raw: FileType) -> FileKind {
    match raw {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::CharacterDevice => FileKind::CharacterDevice,
        FileType::Unknown => FileKind::Other,
    }
}

/// Clamps a time to the supported range: files can claim years before -9999 or after 9999.
fn timestamp(time: StatxTimestamp) -> Timestamp {
    let clamped = if time.tv_sec < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::new(time.tv_sec, time.tv_nsec.try_into().unwrap_or_default()).unwrap_or(clamped)
}
