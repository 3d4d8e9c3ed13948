//! What is really on the disk and really mounted, as the kernel says it, whatever containerd reports.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The bytes allocated on disk beneath a path, like `du -s`: hard links count once, a missing path is zero, and
/// what vanishes during the walk is left out.
pub fn du(path: &Path) -> anyhow::Result<u64> {
    let mut seen = HashSet::new();
    let mut total = 0;
    let mut waiting = vec![path.to_path_buf()];
    while let Some(next) = waiting.pop() {
        let Some(metadata) = existing(fs::symlink_metadata(&next)).with_context(|| describe(&next))? else {
            continue;
        };
        if seen.insert((metadata.dev(), metadata.ino())) {
            // st_blocks counts units of 512 bytes whatever the file system's block size is.
            total += metadata.blocks() * 512;
        }
        if !metadata.is_dir() {
            continue;
        }
        let Some(entries) = existing(fs::read_dir(&next)).with_context(|| describe(&next))? else {
            continue;
        };
        for entry in entries {
            if let Some(entry) = existing(entry).with_context(|| describe(&next))? {
                waiting.push(entry.path());
            }
        }
    }
    Ok(total)
}

/// Every mount point at or beneath a directory, in the order they were mounted.
pub fn mounts_beneath(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let table = fs::read("/proc/self/mounts").context("read /proc/self/mounts")?;
    let points = table.split(|byte| *byte == b'\n').filter_map(mount_point);
    Ok(points.filter(|point| point.starts_with(directory)).collect())
}

/// The second field of a line of the mount table.
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(1)?;
    Some(PathBuf::from(std::ffi::OsString::from_vec(unescape(field))))
}

/// The kernel writes blanks, tabs, newlines and backslashes as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            plain.push(byte);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            plain.push(*first);
            rest = tail;
        }
    }
    plain
}

/// Turns "no such file" into `None`: files come and go while they are looked at.
fn existing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an error of [`du`] was about.
fn describe(path: &Path) -> String {
    format!("measure {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_link_counts_once_and_a_missing_path_is_zero() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("file");
        fs::write(&file, vec![1; 65536])?;
        let before = du(directory.path())?;
        assert!(before >= 65536, "{before}");
        fs::hard_link(&file, directory.path().join("link"))?;
        assert_eq!(du(directory.path())?, before);
        assert_eq!(du(&directory.path().join("missing"))?, 0);
        Ok(())
    }

    #[test]
    fn the_mount_table_is_unescaped() {
        assert_eq!(mount_point(b"tmpfs /a\\040b\\134 tmpfs rw 0 0"), Some(PathBuf::from("/a b\\")));
        assert_eq!(mount_point(b""), None);
    }
}
