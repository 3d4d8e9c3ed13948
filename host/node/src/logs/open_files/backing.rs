//! Loop devices and swap files. Only the kernel has their files open, and it tells a path and no inode: a path of the
//! mount namespace in which the device was set up, which may be gone. So the path is looked up in all of them, and files
//! of the same name count as well.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use holystone_core::logs::{InUse, Use};
use rustix::fs::{CWD, Mode};
use rustix::io::{Errno, Result};

use super::{LIST, Scan, follow, is_gone, last, names, read};
use crate::mounts::unescape;

/// What the kernel adds to the path of a file without a name.
const DELETED: &[u8] = b" (deleted)";

impl Scan<'_> {
    pub(super) fn backing_files(&mut self, proc: BorrowedFd<'_>, sys: &Path) -> Result<()> {
        for path in swap_files(proc)? {
            self.backing_file(proc, &path, Use::Swap, "a swap file");
        }
        for (device, path) in loop_devices(sys)? {
            self.backing_file(proc, &path, Use::LoopDevice, &device);
        }
        Ok(())
    }

    fn backing_file(&mut self, proc: BorrowedFd<'_>, path: &[u8], how: Use, by: &str) {
        let by: Arc<str> = by.into();
        let views = std::mem::take(&mut self.views);
        for (process, _) in &views {
            let found = CString::new([process, &b"/root"[..], path].concat()).map(|path| follow(proc, &path));
            if let Ok(Ok((device, inode, _))) = found {
                self.add(device, inode, how, || Arc::clone(&by));
            }
        }
        self.views = views;
        for path in [path, path.strip_suffix(DELETED).unwrap_or(path)] {
            self.found.names.insert(last(path).to_vec(), InUse { how, by: Arc::clone(&by) });
        }
    }
}

/// The files that the kernel swaps to. A kernel without swap has no such table.
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

/// The loop devices that are in use, each with the path of its file.
fn loop_devices(sys: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let block = rustix::fs::openat(CWD, sys.join("block"), LIST, Mode::empty())?;
    let mut devices = Vec::new();
    for name in names(block.as_fd())?.into_iter().filter(|name| name.to_bytes().starts_with(b"loop")) {
        match backing_path(block.as_fd(), &name) {
            Ok(path) => devices.push((name.to_string_lossy().into_owned(), path)),
            Err(error) if is_gone(error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(devices)
}

fn backing_path(block: BorrowedFd<'_>, device: &CStr) -> Result<Vec<u8>> {
    let path = CString::new([device.to_bytes(), b"/loop/backing_file"].concat()).unwrap_or_default();
    let mut text = Vec::new();
    read(block, &path, &mut text)?;
    Ok(text.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(text))
}
