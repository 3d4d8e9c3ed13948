//! What the system says about a file, as the core's types.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use holystone_core::logs::{FileEntry, FileKind, Identity, LogPath, OpenState};
use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp};
use rustix::io::Result;

/// What one look at a file found.
pub(super) struct FileStatus {
    raw: Statx,
}

/// Looks at what has this name, without following it.
pub(super) fn by_name(directory: BorrowedFd<'_>, name: &CStr) -> Result<FileStatus> {
    stat(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
}

/// Looks at what a link leads to. A file server that is gone must not hold this up: what is known of the file is enough.
pub(super) fn by_link(directory: BorrowedFd<'_>, link: &CStr) -> Result<FileStatus> {
    stat(directory, link, AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT)
}

/// Looks at an open file.
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

    /// The mount that it is on, where the kernel tells.
    pub(super) fn mount(&self) -> Option<u64> {
        self.has(StatxFlags::MNT_ID).then_some(self.raw.stx_mnt_id)
    }

    /// As an entry, of which the name is all that is not known from the file itself.
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

/// Files can claim to be from before the year -9999 or after 9999.
fn timestamp(time: StatxTimestamp) -> Timestamp {
    let clamped = if time.tv_sec < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::new(time.tv_sec, time.tv_nsec.try_into().unwrap_or_default()).unwrap_or(clamped)
}
