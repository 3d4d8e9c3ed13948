//! A small disk of its own for a test, in memory.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::requirements::missing;

/// A filesystem in memory of a given size. Unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// Mounts one of so many bytes. Where that is not allowed the test is skipped, which is said in one line.
    pub fn mount(test: &str, bytes: u64) -> anyhow::Result<Option<Self>> {
        Self::with_options(test, &format!("size={bytes}"))
    }

    /// Mounts one of so many bytes with room for so many files and directories, its own root included.
    pub fn with_inodes(test: &str, bytes: u64, inodes: u64) -> anyhow::Result<Option<Self>> {
        Self::with_options(test, &format!("size={bytes},nr_inodes={inodes}"))
    }

    fn with_options(test: &str, options: &str) -> anyhow::Result<Option<Self>> {
        let directory = tempfile::tempdir().context("make a directory")?;
        let options = std::ffi::CString::new(format!("{options},mode=700")).context("name the options")?;
        match mount("holystone-test", directory.path(), "tmpfs", MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Ok(Some(Self { directory })),
            Err(error) => missing(test, &format!("a tmpfs cannot be mounted: {error}")).map(|()| None),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Leaves no room on it; removing the file that this answers gives it back.
    pub fn fill(&self) -> anyhow::Result<PathBuf> {
        let path = self.path().join("filling");
        let file = std::fs::File::create(&path).context("create a file")?;
        // Ends with the error that says so.
        while rustix::io::write(&file, &[1; 4096]).is_ok() {}
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open keeps it until then.
        let _ = unmount(self.directory.path(), UnmountFlags::DETACH);
    }
}
