//! Files that only the kernel has open: backing files of loop devices, swap files, and files that `io_uring` keeps for
//! a process. The kernel reports a path and no inode. The path belongs to the mount namespace in which the file was
//! opened, which may be gone. So the path is resolved in all mount namespaces, and for devices and swap, files of the
//! same name count as well.
//!
//! A path is dangling if its mount namespace is gone. A file whose name was removed, or that was mounted by itself, is
//! reported without a usable name. In both cases any file that is not shorter than the device may back it; if the name
//! is known, only files of that name or with several names.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use holystone_core::logs::{FileEntry, FileKind, InUse, Use};
use rustix::fs::{CWD, Mode};
use rustix::io::{Errno, Result};

use super::{LIST, Scan, follow_file, is_gone, last, names, read};
use crate::mounts::unescape;

/// Suffix that the kernel appends to the path of a file without a name.
const DELETED: &[u8] = b" (deleted)";
/// Unit of the sizes of block devices, in bytes.
const SECTOR: u64 = 512;

/// A file that the kernel keeps open, by the path that the kernel reports.
pub(super) struct BackingFile {
    pub(super) path: Vec<u8>,
    pub(super) how: Use,
    pub(super) by: Arc<str>,
}

/// A loop device whose backing file is unknown.
#[derive(Clone, Debug)]
pub(super) struct Unidentified {
    /// Minimum length of the file, in bytes.
    least_bytes: u64,
    /// Set if the file has the name that the kernel reports, or another one beside it.
    has_its_name: bool,
    in_use: InUse,
}

impl Unidentified {
    /// Returns the use by the device, unless the file cannot be the one that backs it.
    pub(super) fn usage(&self, entry: &FileEntry) -> Option<&InUse> {
        let fits = entry.kind == FileKind::File && entry.size_bytes >= self.least_bytes;
        (fits && (entry.hard_links > 1 || !self.has_its_name)).then_some(&self.in_use)
    }
}

impl BackingFile {
    /// Returns whether the path has the name of the file. A mount of a file by itself has none.
    fn has_name(&self) -> bool {
        self.path != b"/" && !self.path.ends_with(DELETED)
    }
}

impl Scan<'_> {
    pub(super) fn backing_files(&mut self, proc: BorrowedFd<'_>, sys: &Path) -> Result<()> {
        for path in swap_files(proc)? {
            let swap = BackingFile { path, how: Use::Swap, by: "a swap file".into() };
            self.find(proc, &swap);
            self.add_names(&swap);
        }
        for Loop { file, least_bytes } in loop_devices(sys)? {
            let found = self.find(proc, &file);
            self.add_names(&file);
            let is_found = file.has_name() && found.iter().any(|found| may_back(found, least_bytes));
            if !is_found {
                let in_use = InUse { how: Use::MayBackLoopDevice, by: Arc::clone(&file.by) };
                let has_its_name = file.has_name();
                self.found.unidentified.push(Unidentified { least_bytes, has_its_name, in_use });
            }
        }
        for file in std::mem::take(&mut self.kept) {
            let found = self.find(proc, &file);
            self.found.is_complete &= file.has_name() && !found.is_empty();
        }
        Ok(())
    }

    /// Resolves the path in all mount namespaces, adds a use of each file found, and returns these files.
    fn find(&mut self, proc: BorrowedFd<'_>, file: &BackingFile) -> Vec<FileEntry> {
        let follow = |task: &String| {
            let path = CString::new([task.as_bytes(), b"/root", &file.path].concat()).ok()?;
            follow_file(proc, &path).ok()
        };
        let found: Vec<FileEntry> = self.views.iter().filter_map(follow).collect();
        for entry in &found {
            self.add(entry.identity.device, entry.identity.inode, file.how, || Arc::clone(&file.by));
        }
        found
    }

    fn add_names(&mut self, file: &BackingFile) {
        for path in [&file.path, file.path.strip_suffix(DELETED).unwrap_or(&file.path)] {
            self.found.names.insert(last(path).to_vec(), InUse { how: file.how, by: Arc::clone(&file.by) });
        }
    }
}

/// Returns whether this entry can back a loop device of at least this length.
fn may_back(entry: &FileEntry, least_bytes: u64) -> bool {
    entry.kind == FileKind::BlockDevice || entry.kind == FileKind::File && entry.size_bytes >= least_bytes
}

/// Lists the files that the kernel swaps to. A kernel without swap has no such table.
fn swap_files(proc: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    match read(proc, c"swaps", &mut text) {
        Err(Errno::NOENT) => return Ok(Vec::new()),
        read => read?,
    }
    let file = |line: &[u8]| {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind != b"partition").then(|| unescape(path))
    };
    Ok(text.split(|byte| *byte == b'\n').skip(1).filter_map(file).collect())
}

/// A loop device in use.
struct Loop {
    file: BackingFile,
    /// Minimum length of its file at setup, in bytes.
    least_bytes: u64,
}

fn loop_devices(sys: &Path) -> Result<Vec<Loop>> {
    let block = rustix::fs::openat(CWD, sys.join("block"), LIST, Mode::empty())?;
    let mut devices = Vec::new();
    for name in names(block.as_fd())?.into_iter().filter(|name| name.to_bytes().starts_with(b"loop")) {
        match loop_device(block.as_fd(), &name) {
            Ok(device) => devices.push(device),
            Err(error) if is_gone(error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(devices)
}

fn loop_device(block: BorrowedFd<'_>, name: &CStr) -> Result<Loop> {
    let path = attribute(block, name, b"/loop/backing_file")?;
    let number = |attribute: Result<Vec<u8>>| -> Result<u64> {
        String::from_utf8_lossy(&attribute?).trim().parse().map_err(|_| Errno::INVAL)
    };
    let (size, offset) = (number(attribute(block, name, b"/size"))?, number(attribute(block, name, b"/loop/offset"))?);
    let file = BackingFile { path, how: Use::LoopDevice, by: name.to_string_lossy().into() };
    Ok(Loop { file, least_bytes: size.saturating_mul(SECTOR).saturating_add(offset) })
}

fn attribute(block: BorrowedFd<'_>, device: &CStr, name: &[u8]) -> Result<Vec<u8>> {
    let path = CString::new([device.to_bytes(), name].concat()).unwrap_or_default();
    let mut text = Vec::new();
    read(block, &path, &mut text)?;
    Ok(text.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use holystone_core::logs::{Identity, LogPath, OpenState};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_device_without_a_known_file_may_be_backed_by_any_that_is_long_enough() {
        let in_use = InUse { how: Use::MayBackLoopDevice, by: "loop3".into() };
        let device = |has_its_name| Unidentified { least_bytes: 4096, has_its_name, in_use: in_use.clone() };
        let (unnamed, named) = (device(false), device(true));
        let entry = |kind, size_bytes, hard_links| FileEntry {
            path: LogPath::root(),
            kind,
            identity: Identity { device: 1, inode: 2, born: None },
            size_bytes,
            allocated_bytes: 0,
            modified: Timestamp::UNIX_EPOCH,
            changed: Timestamp::UNIX_EPOCH,
            hard_links,
            open: OpenState::Unknown,
            pod_uid: None,
            not_entered: None,
        };
        for (kind, size, links, may_be, may_be_named) in [
            (FileKind::File, 4096, 1, true, false),
            (FileKind::File, 5000, 2, true, true),
            (FileKind::File, 4095, 2, false, false),
            (FileKind::Directory, 4096, 2, false, false),
            (FileKind::Symlink, 4096, 1, false, false),
        ] {
            let entry = entry(kind, size, links);
            let told = (unnamed.usage(&entry).is_some(), named.usage(&entry).is_some());
            assert_eq!(told, (may_be, may_be_named), "{kind:?} of {size} with {links} names");
        }
    }
}
