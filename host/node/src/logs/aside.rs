//! Recovery of files that an interrupted run set aside: each gets its name back, or its removal is finished.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use holystone_core::logs::{
    Aside, AsideDirectory, AsideRecord, AsideRoot, AsideRun, FileKind, Identity, LogPath, OpenState,
};
use holystone_core::text;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::confined::{LIST, c_name, sentence};
use super::listing::{Listing, ListingError};
use super::open_files::OpenFiles;
use super::root::Root;
use super::{LogRoots, stat};

/// The result of the recovery of interrupted runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Directories that still need recovery, by run.
    pub record: AsideRecord,
    /// One sentence for each file that was restored, removed or left.
    pub notices: Vec<String>,
}

/// The result for one file.
enum End {
    GivenBack,
    Removed,
    Gone,
    /// A file that still has its other name, and the reason.
    Left(String),
}

impl LogRoots {
    /// Builds the record of this run, which is about to remove files in these directories.
    pub fn aside_run(&self, directories: impl IntoIterator<Item = AsideDirectory>, started_at: Timestamp) -> AsideRun {
        let mut directories: Vec<AsideDirectory> = directories.into_iter().collect();
        directories.sort_unstable();
        directories.dedup();
        let mark = |root: &Arc<Root>| {
            let Identity { device, inode, .. } = root.identity();
            (root.name().to_owned(), AsideRoot { device, inode })
        };
        let named = |root: &&Arc<Root>| directories.iter().any(|directory| directory.root == root.name());
        let roots = self.roots.iter().filter(named).map(mark).collect();
        AsideRun { run: self.run.clone(), started_at, directories, roots }
    }

    /// Returns whether this is the id of this run.
    pub fn is_run(&self, run: &str) -> bool {
        self.run == run
    }

    /// Recovers files that interrupted runs set aside. A file gets its name back, unless another file has that name by
    /// now. In that case the host finishes the removal, if the file is the one that was to be removed, has not changed
    /// since and cannot be in use. If its uses cannot be seen, it counts as in use for `unknown_open_age` after its
    /// last change.
    pub fn recover(&self, record: AsideRecord, open_files: &OpenFiles, unknown_open_age: SignedDuration) -> Recovered {
        let mut recovered = Recovered::default();
        for mut run in record.runs {
            let (id, roots) = ((run.run.clone(), run.started_at), run.roots.clone());
            run.directories.retain(|directory| {
                // The root is not open here; another run may have it.
                let Some(root) = self.root_of(directory, &roots) else { return true };
                let recovery = Recovery { open_files, unknown_open_age, run: &id.0, started_at: id.1 };
                !self.recover_in(root, directory, &recovery, &mut recovered.notices)
            });
            if !run.directories.is_empty() {
                recovered.record.runs.push(run);
            }
        }
        recovered
    }

    /// Finds the root that a directory is in: the one with the recorded device and inode, whatever its name is now.
    /// Devices can be renumbered at boot, so a root of the same name and inode is accepted as well.
    fn root_of(&self, place: &AsideDirectory, roots: &BTreeMap<String, AsideRoot>) -> Option<&Arc<Root>> {
        let named = self.find(&place.root).ok();
        let Some(mark) = roots.get(&place.root) else { return named };
        let is_it = |root: &&Arc<Root>| {
            let Identity { device, inode, .. } = root.identity();
            *mark == AsideRoot { device, inode }
        };
        self.roots.iter().find(is_it).or_else(|| named.filter(|root| root.identity().inode == mark.inode))
    }

    /// Recovers the files in one directory, and returns whether nothing is left to do there.
    fn recover_in(
        &self,
        root: &Root,
        place: &AsideDirectory,
        recovery: &Recovery<'_>,
        notices: &mut Vec<String>,
    ) -> bool {
        let Ok(path) = place.path.parse::<LogPath>() else { return true };
        let directory = match root.reach(&path, LIST) {
            Ok(directory) => directory,
            Err(error) => return matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP),
        };
        let mut listing = match Listing::read(directory.as_fd(), self.limits.names, &self.budget) {
            Ok(listing) => listing,
            Err(ListingError::System(_) | ListingError::Memory | ListingError::Names) => return false,
        };
        let mut is_over = true;
        while let Some((name, _)) = listing.next() {
            let Some(aside) = Aside::parse(recovery.run, name.to_bytes()) else { continue };
            let name = name.to_owned();
            let shown = |name: &[u8]| {
                let path = path.join(name).map(|path| path.to_string()).unwrap_or_default();
                text::shown(&format!("{}:{path}", root.name()))
            };
            let place = AsidePlace { root, path: &path, directory: directory.as_fd() };
            match recovery.one(&place, &name, &aside) {
                End::Gone => {}
                End::GivenBack => notices.push(format!(
                    "{}: an interrupted run had taken it aside to remove it; it has its name back",
                    shown(aside.name.unwrap_or_default())
                )),
                End::Removed => notices.push(format!(
                    "{}: an interrupted run had taken it aside to remove it, and another file has its name by now; its removal is finished",
                    shown(aside.name.unwrap_or_default())
                )),
                End::Left(why) => {
                    is_over = false;
                    notices.push(format!("{}: an interrupted run had taken it aside to remove it; {why}", shown(name.to_bytes())));
                }
            }
        }
        is_over
    }
}

/// The run whose files are recovered, and the facts to judge them by.
struct Recovery<'a> {
    open_files: &'a OpenFiles,
    unknown_open_age: SignedDuration,
    run: &'a str,
    started_at: Timestamp,
}

/// An open directory that may hold files set aside.
struct AsidePlace<'a> {
    root: &'a Root,
    path: &'a LogPath,
    directory: BorrowedFd<'a>,
}

impl Recovery<'_> {
    fn one(&self, place: &AsidePlace<'_>, name: &CString, aside: &Aside<'_>) -> End {
        let Some(before) = aside.name else {
            return End::Left("its own name was too long to be kept, so give it one".to_owned());
        };
        let to = c_name(before);
        match rustix::fs::renameat_with(place.directory, name, place.directory, to, RenameFlags::NOREPLACE) {
            Ok(()) => End::GivenBack,
            Err(Errno::NOENT) => End::Gone,
            Err(Errno::EXIST) => self.finish(place, name, aside),
            Err(error) => End::Left(format!("it could not be given its name back: {}", sentence(error))),
        }
    }

    fn finish(&self, place: &AsidePlace<'_>, name: &CString, aside: &Aside<'_>) -> End {
        let status = match stat::by_name(place.directory, name) {
            Ok(status) => status,
            Err(Errno::NOENT) => return End::Gone,
            Err(error) => return End::Left(sentence(error)),
        };
        let entry = status.entry(place.path.join(name.to_bytes()).unwrap_or_else(|_| LogPath::root()));
        let is_same = entry.identity.inode == aside.inode
            && matches!(entry.kind, FileKind::File | FileKind::Symlink)
            && place.root.confined().is_on_mount(status.mount());
        // The rename counts as a change as well: another process may have opened the file since.
        let now = Timestamp::now();
        let age = now.duration_since(entry.touched(now));
        let why = match self.open_files.state(place.root.name(), &entry) {
            _ if !is_same => "it is not the file that was to be removed",
            _ if entry.modified > self.started_at => "it has changed since",
            OpenState::Open => "it is in use",
            OpenState::Unknown if age < self.unknown_open_age => "it may be in use",
            OpenState::Closed | OpenState::Unknown => {
                match rustix::fs::unlinkat(place.directory, name, AtFlags::empty()) {
                    Ok(()) => return End::Removed,
                    Err(Errno::NOENT) => return End::Gone,
                    Err(error) => return End::Left(sentence(error)),
                }
            }
        };
        End::Left(format!("{why}, and another file has its name by now"))
    }
}
