//! Removal of a directory as one unit: the directory was judged with everything in it. The removal stops at the first
//! entry that is new or changed since then.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use holystone_core::guard::logs::FileObjection;
use holystone_core::logs::{FileEntry, FileKind, Identity, LogPath};
use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::{NameInDirectory, Removed, Stopped};
use crate::logs::confined::LIST;
use crate::logs::listing::{Budget, Listing, ListingError};
use crate::logs::stat;

/// Maximum depth of a directory. A judged directory is less deep.
const MAX_DEPTH: usize = 256;

/// A directory that is being emptied.
struct EmptiedLevel {
    handle: OwnedFd,
    listing: Listing,
    /// Name of the directory in its parent.
    name: CString,
    identity: Identity,
}

struct Emptying<'a> {
    place: &'a NameInDirectory<'a>,
    removed: &'a mut Removed,
    budget: Budget,
    levels: Vec<EmptiedLevel>,
    /// Files with several names, one of which is already removed.
    unlinked: HashSet<Identity>,
}

/// Removes the directory and everything in it.
pub(super) fn remove(place: &NameInDirectory<'_>, removed: &mut Removed) -> Result<(), Stopped> {
    place.check(&place.name)?;
    let handle = place.open(LIST)?;
    // From here on, the content is reached by the descriptor, whichever directory has the name.
    let entry = stat::by_handle(handle.as_fd())?.entry(place.clearance.target().path.clone());
    place.clearance.still_fits(&entry)?;
    let budget = Budget::new(usize::MAX);
    let mut emptying = Emptying { place, removed, budget, levels: Vec::new(), unlinked: HashSet::new() };
    emptying.enter(handle, place.name.clone(), entry.identity)?;
    emptying.run()
}

impl Emptying<'_> {
    fn run(&mut self) -> Result<(), Stopped> {
        while let Some(level) = self.levels.last_mut() {
            if self.place.is_ended.load(Ordering::Relaxed) {
                return Err(Stopped::Told("the run was over before all of it was removed".to_owned()));
            }
            match level.listing.next() {
                Some((name, _)) => {
                    let name = name.to_owned();
                    self.entry(name)?;
                }
                None => self.leave()?,
            }
        }
        Ok(())
    }

    fn enter(&mut self, handle: OwnedFd, name: CString, identity: Identity) -> Result<(), Stopped> {
        if self.levels.len() >= MAX_DEPTH {
            return Err(Stopped::Told("it became deeper than it was when it was judged".to_owned()));
        }
        let listing = match Listing::read(handle.as_fd(), u64::MAX, &self.budget) {
            Ok(listing) => listing,
            Err(ListingError::System(error)) => return Err(error.into()),
            Err(ListingError::Memory | ListingError::Names) => {
                return Err(Stopped::Told("it has too many names in it".to_owned()));
            }
        };
        self.levels.push(EmptiedLevel { handle, listing, name, identity });
        Ok(())
    }

    /// Removes an emptied directory, unless another one has its name by now.
    fn leave(&mut self) -> Result<(), Stopped> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        let directory = self.levels.last().map_or(self.place.directory, |above| above.handle.as_fd());
        match stat::by_name(directory, &level.name) {
            Ok(status) if status.entry(LogPath::root()).identity != level.identity => return Err(changed()),
            Ok(_) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        match rustix::fs::unlinkat(directory, &level.name, AtFlags::REMOVEDIR) {
            Ok(()) => self.removed.entries += 1,
            // Another process was faster.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn entry(&mut self, name: CString) -> Result<(), Stopped> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let status = match stat::by_name(level.handle.as_fd(), &name) {
            Ok(status) => status,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if !self.place.root.confined().is_on_mount(status.mount()) {
            return Err(FileObjection::OtherFilesystem.into());
        }
        let entry = status.entry(LogPath::root());
        match entry.kind {
            FileKind::Directory => self.directory(&entry, name),
            FileKind::File | FileKind::Symlink => self.file(&entry, &name),
            _ => Err(changed()),
        }
    }

    fn directory(&mut self, entry: &FileEntry, name: CString) -> Result<(), Stopped> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let handle = match self.place.root.confined().open(level.handle.as_fd(), name.as_bytes(), LIST) {
            Ok(handle) => handle,
            // These are errors of the entry, and not of the target.
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(changed()),
            Err(error) => return Err(error.into()),
        };
        let opened = stat::by_handle(handle.as_fd())?.entry(LogPath::root());
        if opened.identity != entry.identity {
            return Err(changed());
        }
        self.place.clearance.covers(&opened)?;
        self.enter(handle, name, opened.identity)
    }

    fn file(&mut self, entry: &FileEntry, name: &CString) -> Result<(), Stopped> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let roots = self.place.roots;
        let mut as_judged = entry.clone();
        roots.undo_unlinked([&mut as_judged]);
        self.place.clearance.covers(&as_judged)?;
        let open = || self.place.root.confined().open(level.handle.as_fd(), name.as_bytes(), OFlags::PATH);
        let other_names = (entry.hard_links > 1).then(open).and_then(Result::ok);
        match rustix::fs::unlinkat(level.handle.as_fd(), name, AtFlags::empty()) {
            // Another process was faster.
            Err(Errno::NOENT) => return Ok(()),
            unlinked => unlinked?,
        }
        roots.note_removed_name(entry, other_names);
        // A file counts once, under whichever of its names is removed first. At the last name, the system reports one
        // link.
        let is_first = !self.unlinked.contains(&entry.identity);
        if entry.hard_links > 1 {
            self.unlinked.insert(entry.identity);
        }
        self.removed.entries += 1;
        let size = if is_first { entry.size_bytes } else { 0 };
        self.removed.size_bytes = self.removed.size_bytes.saturating_add(size);
        Ok(())
    }
}

/// Returns the refusal for a directory in which an entry is not the judged one any more.
fn changed() -> Stopped {
    FileObjection::Changed { what: "something in it has changed" }.into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::logs::Confinement;
    use crate::logs::confined::c_name;
    use crate::logs::tests::{Scene, directory};

    /// Enters the cleared directory `d`, and its directory `d/x` if `depth` is two, and then does `work`.
    fn within<T>(scene: &Scene, depth: usize, work: impl FnOnce(&mut Emptying<'_>) -> T) -> T {
        let clearance = scene.clear(&directory("d")).unwrap();
        let root = scene.roots.find("app").unwrap();
        let (name, is_ended) = (c_name(b"d"), &AtomicBool::new(false));
        let place = NameInDirectory {
            roots: &scene.roots,
            root,
            directory: root.handle(),
            name: name.clone(),
            clearance: &clearance,
            is_ended,
        };
        let (removed, budget) = (&mut Removed::default(), Budget::new(usize::MAX));
        let handle = place.open(LIST).unwrap();
        let identity = place.check(&name).unwrap().identity;
        let mut emptying = Emptying { place: &place, removed, budget, levels: Vec::new(), unlinked: HashSet::new() };
        emptying.enter(handle, name, identity).unwrap();
        if depth == 2 {
            emptying.entry(c_name(b"x")).unwrap();
        }
        assert_eq!(emptying.levels.len(), depth);
        work(&mut emptying)
    }

    #[test]
    fn an_emptied_directory_goes_only_by_the_name_that_it_still_has() {
        for (depth, path) in [(1, "d"), (2, "d/x")] {
            let scene = Scene::new(Confinement::OneCall);
            fs::create_dir_all(scene.root.join("d/x")).unwrap();
            let path = scene.root.join(path);
            within(&scene, depth, |emptying| {
                fs::rename(&path, scene.root.join("away")).unwrap();
                fs::create_dir(&path).unwrap();
                assert!(matches!(emptying.leave(), Err(Stopped::Refused(_))), "{depth}");
                assert_eq!(emptying.removed.entries, 0);
            });
            assert!(path.exists(), "another directory has the name");
        }
        let scene = Scene::new(Confinement::OneCall);
        fs::create_dir_all(scene.root.join("d/x")).unwrap();
        within(&scene, 2, |emptying| {
            fs::remove_dir(scene.root.join("d/x")).unwrap();
            emptying.leave().map_err(drop).unwrap();
            assert_eq!(emptying.removed.entries, 0, "another process was faster");
            emptying.leave().map_err(drop).unwrap();
            assert_eq!(emptying.removed.entries, 1);
        });
    }

    #[test]
    fn an_entry_that_is_gone_is_not_counted_and_is_not_the_target() {
        let scene = Scene::new(Confinement::OneCall);
        fs::create_dir_all(scene.root.join("d/x")).unwrap();
        scene.file("d/a", "12345");
        within(&scene, 1, |emptying| {
            let level = emptying.levels.last().unwrap();
            let look = |name: &CString| stat::by_name(level.handle.as_fd(), name).unwrap().entry(LogPath::root());
            let (x, a) = (c_name(b"x"), c_name(b"a"));
            let (directory, file) = (look(&x), look(&a));
            fs::remove_dir(scene.root.join("d/x")).unwrap();
            fs::remove_file(scene.root.join("d/a")).unwrap();
            emptying.directory(&directory, x.clone()).map_err(drop).unwrap();
            emptying.file(&file, &a).map_err(drop).unwrap();
            assert_eq!((emptying.removed.entries, emptying.removed.size_bytes, emptying.levels.len()), (0, 0, 1));
            // A file in its place, or a link, is a change of the directory.
            scene.file("d/x", "now a file");
            assert!(matches!(emptying.directory(&directory, x), Err(Stopped::Refused(_))));
        });
    }
}
