//! Removal and truncation of cleared targets.
//!
//! Between the last look at a name and the call that removes it, the name can be given to another file, and no call
//! removes a file only if it is a certain one. So the host first sets the file aside under a unique name, and removes
//! it if it is the judged one; any other file gets its name back. Entries of a directory that is removed as a whole are
//! not set aside: the directory was judged with all of them, and they had not changed for a while.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use holystone_core::guard::logs::{FileObjection, Logs};
use holystone_core::guard::{Clearance, Operation, Refusal};
use holystone_core::logs::{FileEntry, aside_name};
use rustix::fs::{AtFlags, OFlags, RenameFlags};
use rustix::io::Errno;

use super::confined::{PASSAGE, c_name, sentence, unseen};
use super::root::Root;
use super::{LogRoots, stat};

mod tree;

/// The outcome of an attempt to remove or truncate a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Performed {
    /// A completed removal or truncation.
    Done(Removed),
    /// A target that was already gone.
    AlreadyGone,
    /// A target that is not, or no longer, the judged one, left in place.
    NoLongerAllowed(Refusal<Logs>),
    /// A failure. The text gives the reason, and the number of entries of a directory that were removed before.
    Failed(String),
}

/// The entries and bytes that an operation has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of files, links and directories.
    pub entries: u64,
    /// Apparent size of the files and links, or the bytes cut from a file; directories count as 0.
    pub size_bytes: u64,
}

/// The reason why an operation stopped.
#[derive(Debug)]
enum Stopped {
    /// A target that is not the judged one.
    Refused(Refusal<Logs>),
    /// An error of the system.
    System(Errno),
    /// Any other reason, as a sentence.
    Told(String),
}

impl From<Errno> for Stopped {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

impl From<FileObjection> for Stopped {
    fn from(objection: FileObjection) -> Self {
        Self::Refused(objection.into())
    }
}

impl LogRoots {
    /// Performs a cleared operation, if the target is still the judged one.
    #[expect(clippy::needless_pass_by_value, reason = "a clearance is used up")]
    pub fn perform(&self, clearance: Clearance<Logs>) -> Performed {
        let target = clearance.target();
        let Ok(root) = self.find(&target.root) else {
            return Performed::NoLongerAllowed(FileObjection::NoSuchRoot.into());
        };
        let Some((parent, name)) = target.path.parent().zip(target.path.name()) else {
            return Performed::NoLongerAllowed(FileObjection::RootItself.into());
        };
        let parent = match root.reach(&parent, PASSAGE) {
            Ok(parent) => parent,
            Err(error) => return not_reached(error),
        };
        let (directory, name, is_ended) = (parent.as_fd(), c_name(name), &self.is_ended);
        let place = NameInDirectory { roots: self, root, directory, name, clearance: &clearance, is_ended };
        let mut removed = Removed::default();
        let ended = match (clearance.operation(), target.is_directory) {
            (Operation::Truncate, _) => place.truncate(&mut removed),
            (Operation::Remove, false) => place.remove_file(&mut removed),
            (Operation::Remove, true) => tree::remove(&place, &mut removed),
        };
        outcome(ended, removed)
    }
}

impl LogRoots {
    /// Records the change time of an open file after the removal of one of its names, known by `before`. Other names of
    /// the file may be among the steps, and must not look changed by another process.
    fn note_removed_name(&self, before: &FileEntry, file: Option<OwnedFd>) {
        if let Some(Ok(status)) = file.map(|file| stat::by_handle(file.as_fd())) {
            self.note_unlinked(before, status.entry(before.path.clone()).changed);
        }
    }
}

fn not_reached(error: Errno) -> Performed {
    match error {
        Errno::NOENT => Performed::AlreadyGone,
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => Performed::NoLongerAllowed(unseen(error).into()),
        other => Performed::Failed(explain(other)),
    }
}

fn outcome(ended: Result<(), Stopped>, removed: Removed) -> Performed {
    let so_far = match removed.entries {
        0 => String::new(),
        1 => "; one entry in it had gone by then".to_owned(),
        more => format!("; {more} entries in it had gone by then"),
    };
    match ended {
        Ok(()) => Performed::Done(removed),
        Err(Stopped::Refused(refusal)) if removed.entries == 0 => Performed::NoLongerAllowed(refusal),
        Err(Stopped::System(Errno::NOENT)) if removed.entries == 0 => Performed::AlreadyGone,
        Err(Stopped::System(error @ (Errno::LOOP | Errno::NOTDIR | Errno::XDEV))) if removed.entries == 0 => {
            not_reached(error)
        }
        Err(Stopped::Refused(refusal)) => Performed::Failed(format!("{refusal}{so_far}")),
        Err(Stopped::System(error)) => Performed::Failed(format!("{}{so_far}", explain(error))),
        Err(Stopped::Told(problem)) => Performed::Failed(format!("{problem}{so_far}")),
    }
}

fn explain(error: Errno) -> String {
    match error {
        Errno::ROFS => "its filesystem is mounted read-only: mount it writable where Holystone runs".to_owned(),
        Errno::ACCESS => "there is no permission to: Holystone needs to be root, or to own the directory".to_owned(),
        Errno::PERM => "the system does not permit it: it or its directory may be immutable (lsattr), or Holystone lacks a capability (DAC_OVERRIDE, FOWNER)".to_owned(),
        Errno::BUSY => "something is mounted there".to_owned(),
        Errno::NOTEMPTY | Errno::EXIST => "something new came into it while it was being removed".to_owned(),
        other => sentence(other),
    }
}

/// A name in an open directory, and the clearance to remove or truncate its file.
struct NameInDirectory<'a> {
    roots: &'a LogRoots,
    root: &'a Root,
    directory: BorrowedFd<'a>,
    name: CString,
    clearance: &'a Clearance<Logs>,
    /// Set when the run is over.
    is_ended: &'a AtomicBool,
}

impl NameInDirectory<'_> {
    /// Returns the entry that has this name now; fails if it is not the judged one.
    fn check(&self, name: &CString) -> Result<FileEntry, Stopped> {
        let status = stat::by_name(self.directory, name)?;
        if !self.root.confined().is_on_mount(status.mount()) {
            return Err(FileObjection::OtherFilesystem.into());
        }
        let entry = status.entry(self.clearance.target().path.clone());
        self.clearance.still_fits(&entry)?;
        Ok(entry)
    }

    fn truncate(&self, removed: &mut Removed) -> Result<(), Stopped> {
        // The kind is checked before opening: opening a device or a pipe has side effects.
        self.check(&self.name)?;
        let file = self.open(OFlags::WRONLY)?;
        let entry = stat::by_handle(file.as_fd())?.entry(self.clearance.target().path.clone());
        self.clearance.still_fits(&entry)?;
        rustix::fs::ftruncate(&file, 0)?;
        *removed = Removed { entries: 1, size_bytes: entry.size_bytes };
        Ok(())
    }

    fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.root.confined().open(self.directory, self.name.as_bytes(), flags)
    }

    fn remove_file(&self, removed: &mut Removed) -> Result<(), Stopped> {
        // Only a file that looks like the judged one is renamed at all.
        let before = self.check(&self.name)?;
        let other_names = if before.hard_links > 1 { Some(self.open(OFlags::PATH)?) } else { None };
        let entry = match self.take_aside(before.identity.inode)? {
            Some(aside) => self.remove_aside(&aside)?,
            None => self.remove_in_place()?,
        };
        self.roots.note_removed_name(&before, other_names);
        *removed = Removed { entries: 1, size_bytes: entry.size_bytes };
        Ok(())
    }

    fn remove_aside(&self, aside: &CString) -> Result<FileEntry, Stopped> {
        let removed = self.check(aside).and_then(|entry| {
            rustix::fs::unlinkat(self.directory, aside, AtFlags::empty())?;
            Ok(entry)
        });
        removed.or_else(|why| self.put_back(aside, why))
    }

    /// Removes the file under its own name. The name can be given to another file between the check and the call, which
    /// [`NameInDirectory::take_aside`] avoids.
    fn remove_in_place(&self) -> Result<FileEntry, Stopped> {
        let entry = self.check(&self.name)?;
        rustix::fs::unlinkat(self.directory, &self.name, AtFlags::empty())?;
        Ok(entry)
    }

    /// Renames the file to a unique name. Returns `None` if the filesystem cannot do that: a full disk may have no room
    /// for another name, and that is when removals matter most.
    fn take_aside(&self, inode: u64) -> Result<Option<CString>, Stopped> {
        for _ in 0..16 {
            let aside = self.unused_name(inode);
            match self.rename(&self.name, &aside) {
                Ok(()) => return Ok(Some(aside)),
                Err(Errno::EXIST) => {}
                Err(Errno::NOSPC | Errno::DQUOT | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Stopped::Told("no free name was found to take it aside under".to_owned()))
    }

    /// Restores the name of the file, and returns `why` as the error.
    fn put_back<T>(&self, aside: &CString, why: Stopped) -> Result<T, Stopped> {
        match (self.rename(aside, &self.name), why) {
            (Ok(()) | Err(Errno::NOENT), why) => Err(why),
            (Err(error), why) => {
                let why = match why {
                    Stopped::Refused(refusal) => refusal.to_string(),
                    Stopped::System(error) => sentence(error),
                    Stopped::Told(text) => text,
                };
                Err(Stopped::Told(format!(
                    "{why}; it is now called {} and could not be given its name back: {}",
                    aside.to_string_lossy(),
                    explain_name(error)
                )))
            }
        }
    }

    /// Builds a name that differs at each call; if another process has taken it, the host tries the next one.
    fn unused_name(&self, inode: u64) -> CString {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        c_name(&aside_name(&self.roots.run, number, inode, self.name.as_bytes()))
    }

    fn rename(&self, from: &CString, to: &CString) -> Result<(), Errno> {
        rustix::fs::renameat_with(self.directory, from, self.directory, to, RenameFlags::NOREPLACE)
    }
}

fn explain_name(error: Errno) -> String {
    match error {
        Errno::EXIST => "another file has that by now".to_owned(),
        other => sentence(other),
    }
}

#[cfg(test)]
mod tests;
