//! Bounded reads of log files.

use std::os::fd::AsFd;

use holystone_core::logs::{FileKind, LogPath, LogsError};
use holystone_core::text;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::confined::{self, PASSAGE, c_name};
use super::root::Root;
use super::{LogRoots, stat};

/// Maximum number of bytes per read, whatever the caller requests.
pub(super) const MAX_READ: usize = 1 << 20;

impl LogRoots {
    /// Reads up to `most` bytes of a regular file, and never more than 1 MiB; returns no bytes if the file ends
    /// before `offset`.
    ///
    /// # Errors
    /// Fails if the root or the file does not exist, the file is not a regular file, or the file cannot be read.
    pub fn read(&self, root: &str, path: &LogPath, offset: u64, most: usize) -> Result<Vec<u8>, LogsError> {
        let root = self.find(root)?;
        read(root, path, offset, most.min(MAX_READ)).map_err(|error| {
            let what = format!("{} in log root {}", text::shown(&path.to_string()), text::shown(root.name()));
            match error {
                Errno::NOENT => LogsError::NotFound(format!("{what} is not there")),
                Errno::LOOP | Errno::NOTDIR => LogsError::NotFound(format!("{what} is behind a symbolic link")),
                Errno::XDEV => LogsError::NotFound(format!("{what} is on another filesystem")),
                Errno::ISDIR | Errno::NODEV => LogsError::Invalid(format!("{what} is no regular file")),
                other => LogsError::Unavailable(format!("{what} cannot be read: {}", confined::sentence(other))),
            }
        })
    }
}

fn read(root: &Root, path: &LogPath, offset: u64, most: usize) -> Result<Vec<u8>, Errno> {
    let (parent, name) = path.parent().zip(path.name()).ok_or(Errno::ISDIR)?;
    let parent = root.reach(&parent, PASSAGE)?;
    // The kind is checked before opening: opening a device or a pipe has side effects.
    let regular = |kind| if kind == FileKind::File { Ok(()) } else { Err(Errno::NODEV) };
    regular(stat::by_name(parent.as_fd(), &c_name(name))?.kind())?;
    let file = root.confined().open(parent.as_fd(), name, OFlags::RDONLY)?;
    regular(stat::by_handle(file.as_fd())?.kind())?;
    let mut bytes = Vec::with_capacity(most);
    while bytes.len() < most {
        let at = offset.saturating_add(bytes.len() as u64);
        // System offsets are signed, so no file is longer.
        if at > i64::MAX as u64 {
            break;
        }
        match rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}
