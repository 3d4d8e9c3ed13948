//! Inspection of targets, for the guard rails to judge.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use holystone_core::guard::logs::{DirectoryObstacle, InspectError, Inspection, RootedPath, Tree};
use holystone_core::logs::{FileEntry, FileKind, LogPath, LogsError, WalkOptions};
use jiff::Timestamp;
use rustix::io::Errno;

use super::confined::{LIST, PASSAGE, c_name, unseen};
use super::open_files::OpenFiles;
use super::root::Root;
use super::walk::Walk;
use super::{LogRoots, stat};

/// Maximum number of entries per batch of a walk.
const BATCH: usize = 1_000;

/// Error for targets and entries that were not inspected before the run was over.
const ENDED: &str = "the run was over before all of it had been looked at";

impl LogRoots {
    /// Inspects each of these targets.
    pub fn look_at(
        &self,
        targets: impl IntoIterator<Item = RootedPath>,
        open_files: &Arc<OpenFiles>,
    ) -> HashMap<RootedPath, Result<Inspection, InspectError>> {
        let look = |target: RootedPath| {
            let seen = if self.is_ended() {
                Err(InspectError::Failed(ENDED.to_owned()))
            } else {
                self.look(&target, open_files)
            };
            (target, seen)
        };
        targets.into_iter().map(look).collect()
    }

    /// Counts the entries under all roots, except those that a walk cannot look at. Returns `None` if a walk fails or
    /// the run is over.
    pub fn count(&self) -> Option<u64> {
        let open_files = Arc::default();
        let mut entries = 0_u64;
        for root in &self.roots {
            let mut walk = self.walk(root.name(), WalkOptions::default(), &open_files).ok()?;
            loop {
                let batch = walk.next(BATCH).ok().filter(|_| !self.is_ended())?;
                entries += batch.entries.len() as u64;
                if batch.is_over {
                    break;
                }
            }
        }
        Some(entries)
    }

    /// Inspects a target. The open files should have been scanned right before.
    ///
    /// # Errors
    /// Fails with the reason if the target cannot be inspected.
    pub fn look(&self, target: &RootedPath, open_files: &Arc<OpenFiles>) -> Result<Inspection, InspectError> {
        let root = self.find(&target.root).map_err(|_| InspectError::NoSuchRoot)?;
        let place = root.place(&target.path);
        let Some((parent, name)) = target.path.parent().zip(target.path.name()) else {
            let status = stat::by_handle(root.handle()).map_err(unseen)?;
            let entry = status.entry(LogPath::root());
            let (all_uses_seen, seen_at) = (open_files.is_complete(), Timestamp::now());
            return Ok(Inspection {
                entry,
                place,
                leads_somewhere: None,
                tree: None,
                in_use: None,
                all_uses_seen,
                seen_at,
            });
        };
        let parent = root.reach(&parent, PASSAGE).map_err(unseen)?;
        let status = stat::by_name(parent.as_fd(), &c_name(name)).map_err(unseen)?;
        if !root.confined().is_on_mount(status.mount()) {
            return Err(InspectError::OtherFilesystem);
        }
        let mut entry = status.entry(target.path.clone());
        self.undo_unlinked([&mut entry]);
        entry.open = open_files.state(root.name(), &entry);
        entry.pod_uid = place.pod_uid().map(str::to_owned);
        let leads_somewhere = match entry.kind {
            FileKind::Symlink => self.leads_somewhere(root, parent.as_fd(), name),
            _ => None,
        };
        let tree = match entry.kind {
            FileKind::Directory if target.is_directory => {
                Some(self.tree(root, parent.as_fd(), &entry, open_files, place.pod_uid().is_some())?)
            }
            _ => None,
        };
        let in_use = open_files.usage(root.name(), &entry).cloned();
        let (all_uses_seen, seen_at) = (open_files.is_complete(), Timestamp::now());
        Ok(Inspection { entry, place, leads_somewhere, tree, in_use, all_uses_seen, seen_at })
    }

    /// Aggregates the content of a directory.
    fn tree(
        &self,
        root: &Arc<Root>,
        parent: BorrowedFd<'_>,
        directory: &FileEntry,
        open_files: &Arc<OpenFiles>,
        is_in_pod: bool,
    ) -> Result<Tree, InspectError> {
        let name = directory.path.name().unwrap_or_default();
        let mut tree = Tree::of(directory, Timestamp::now());
        if let Some(in_use) = open_files.usage(root.name(), directory) {
            tree.add_use(&directory.path, in_use.clone());
        }
        if self.is_root(directory) {
            tree.hinder(DirectoryObstacle::Root(directory.path.clone()));
        }
        let handle = root.confined().open(parent, name, LIST).map_err(unseen)?;
        if stat::by_handle(handle.as_fd()).map_err(unseen)?.identity() != directory.identity {
            return Err(InspectError::Failed("it was replaced while it was looked at".to_owned()));
        }
        let options = WalkOptions { prefix: directory.path.clone(), ..WalkOptions::default() };
        let (shared, budget) = (Arc::clone(open_files), self.budget.clone());
        let walk = Walk::from_handle(Arc::clone(root), options, shared, self.limits, budget, handle);
        match walk {
            Ok(mut walk) => self.add_up(&mut tree, &mut walk, is_in_pod, (root.name(), open_files)),
            Err(error) => tree.hinder(stopped(directory.path.clone(), error)),
        }
        Ok(tree)
    }

    fn add_up(&self, tree: &mut Tree, walk: &mut Walk, is_in_pod: bool, (root, open_files): (&str, &OpenFiles)) {
        let mut last = walk.prefix().clone();
        loop {
            let mut batch = match walk.next(BATCH) {
                _ if self.is_ended() => return tree.hinder(DirectoryObstacle::Unseen(last, ENDED.to_owned())),
                Ok(batch) => batch,
                Err(error) => return tree.hinder(stopped(last, error)),
            };
            self.undo_unlinked(&mut batch.entries);
            // All entries of the batch were looked at before this time.
            let seen_at = Timestamp::now();
            for entry in &batch.entries {
                tree.add(entry, is_in_pod, seen_at);
                if let Some(in_use) = open_files.usage(root, entry) {
                    tree.add_use(&entry.path, in_use.clone());
                }
                if self.is_root(entry) {
                    tree.hinder(DirectoryObstacle::Root(entry.path.clone()));
                }
            }
            if let Some((path, problem)) = walk.gaps().first_unseen.clone() {
                tree.hinder(DirectoryObstacle::Unseen(path, problem));
            }
            // Further entries cannot change the judgement.
            if batch.is_over || tree.is_hindered() {
                return;
            }
            if let Some(entry) = batch.entries.into_iter().next_back() {
                last = entry.path;
            }
        }
    }

    fn is_root(&self, entry: &FileEntry) -> bool {
        entry.kind == FileKind::Directory && self.roots.iter().any(|root| root.identity() == entry.identity)
    }

    /// Returns whether the target of a link exists. That is known only for a target under a root, or for a link in a
    /// root at its path on the node, where paths mean the same for this process.
    fn leads_somewhere(&self, root: &Root, directory: BorrowedFd<'_>, name: &[u8]) -> Option<bool> {
        let to = rustix::fs::readlinkat(directory, name, Vec::new()).ok()?;
        // The kubelet's links have absolute targets; the others need no answer.
        let absolute = to.to_bytes().starts_with(b"/");
        let beneath = self.roots.iter().find_map(|root| Some((root, root.relative(to.to_bytes())?)));
        let found = match beneath {
            Some((root, path)) => root
                .reach(&path.parent()?, PASSAGE)
                .and_then(|parent| stat::by_name(parent.as_fd(), &c_name(path.name().unwrap_or_default())).map(drop)),
            None if absolute && root.is_at_home() => rustix::fs::stat(&*to).map(drop),
            None => return None,
        };
        match found {
            Ok(()) => Some(true),
            Err(Errno::NOENT) => Some(false),
            Err(_) => None,
        }
    }
}

fn stopped(path: LogPath, error: LogsError) -> DirectoryObstacle {
    match error {
        LogsError::Limit(_) => DirectoryObstacle::TooMuch(path),
        other => DirectoryObstacle::Unseen(path, other.to_string()),
    }
}
