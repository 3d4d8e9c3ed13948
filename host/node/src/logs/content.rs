//! Bounded reads of log files.

use std::os::fd::AsFd;

use holystone_core::logs::{FileKind, LogPath, LogsError};
use holystone_core::text;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::confined::{self, PASSAGE, c_name};
use super::root::Root;
use super::{LogRoots, stat};

/// How many bytes are read at once, whatever is asked for.
pub(super) const MAX_READ: usize = 1 << 20;

impl LogRoots {
    /// Reads up to so many bytes of a regular file; none if it ends before `offset`.
    ///
    /// # Errors
    /// When there is no such root, or no such file in it, or it is no regular file.
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
    // Before it is opened: opening a device, or a pipe, does something to it.
    let regular = |kind| if kind == FileKind::File { Ok(()) } else { Err(Errno::NODEV) };
    regular(stat::by_name(parent.as_fd(), &c_name(name))?.kind())?;
    let file = root.beneath().open(parent.as_fd(), name, OFlags::RDONLY)?;
    regular(stat::by_handle(file.as_fd())?.kind())?;
    let mut bytes = Vec::with_capacity(most);
    while bytes.len() < most {
        let at = offset.saturating_add(bytes.len() as u64);
        // The system's offsets are signed; no file is that long.
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
