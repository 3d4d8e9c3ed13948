//! Common ground of the tests of log directories: a root, a directory beside it that must stay untouched, and the steps
//! from a wish to a clearance.

mod allowed;
mod aside;
pub(super) mod attacks;
mod content;
mod names;
mod performing;
mod roots;
mod walking;

use std::fs;
use std::path::{Path, PathBuf};

use holystone_core::guard::logs::{InspectError, Inspection, LogGuard, LogRails, Logs, RootedPath};
use holystone_core::guard::{Clearance, Kind, Operation, Refusal, Step};
use holystone_core::logs::{FileEntry, LogPath};
use holystone_core::proposal::{LogLocation, Reason, ReasonKind, Target, Verb, Wish};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::*;

pub(super) const BOTH: [Confinement; 2] = [Confinement::OneCall, Confinement::Stepwise];

/// A log root `app` and a directory beside it.
pub(super) struct Scene {
    _directory: TempDir,
    pub(super) root: PathBuf,
    pub(super) outside: PathBuf,
    pub(super) roots: LogRoots,
    pub(super) open_files: Arc<OpenFiles>,
}

impl Scene {
    pub(super) fn new(confinement: Confinement) -> Self {
        Self::beneath(&std::env::temp_dir(), confinement, WalkLimits::default())
    }

    pub(super) fn beneath(parent: &Path, confinement: Confinement, limits: WalkLimits) -> Self {
        let directory = tempfile::tempdir_in(parent).unwrap();
        let base = directory.path().canonicalize().unwrap();
        let (root, outside) = (base.join("root"), base.join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        let roots = LogRoots::open(&[RootSpec::new("app", &root)], limits, Some(confinement)).unwrap();
        // An empty proc filesystem: no file is in use.
        let processes = Processes { proc: outside.clone(), visibility: Visibility::All, ..Processes::default() };
        let open_files = Arc::new(roots.open_files(&processes));
        Self { _directory: directory, root, outside, roots, open_files }
    }

    /// Creates a file and its parent directories.
    pub(super) fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    pub(super) fn look(&self, target: &RootedPath) -> Result<Inspection, InspectError> {
        self.roots.look(target, &self.open_files)
    }

    /// Judges a wish by an inspection made now.
    pub(super) fn judge(&self, wish: &Wish) -> Result<Step<Logs>, Refusal<Logs>> {
        let target = Logs::parse(&wish.target)?;
        judge(&guard(), wish, self.look(&target))
    }

    pub(super) fn clear(&self, wish: &Wish) -> Result<Clearance<Logs>, Refusal<Logs>> {
        let step = self.judge(wish)?;
        guard().clear(&step, self.look(step.target()))
    }

    /// Runs all steps for a wish, undisturbed.
    pub(super) fn perform(&self, wish: &Wish) -> Performed {
        match self.clear(wish) {
            Ok(clearance) => self.roots.perform(clearance),
            Err(refusal) => Performed::NoLongerAllowed(refusal),
        }
    }

    /// Returns all entries of a walk.
    pub(super) fn walk(&self, options: WalkOptions) -> Vec<FileEntry> {
        all(&mut self.roots.walk("app", options, &self.open_files).unwrap())
    }
}

pub(super) fn all(walk: &mut Walk) -> Vec<FileEntry> {
    let mut entries = Vec::new();
    loop {
        let batch = walk.next(100).unwrap();
        entries.extend(batch.entries);
        if batch.is_over {
            return entries;
        }
    }
}

/// Builds a guard for which ages make no difference: the files of these tests are seconds old.
pub(super) fn guard() -> LogGuard<'static> {
    let rails =
        LogRails { unknown_open_age: SignedDuration::ZERO, settled_for: SignedDuration::ZERO, ..LogRails::default() };
    LogGuard::new(rails, Timestamp::now() + SignedDuration::from_secs(1), None)
}

/// Returns the target of a wish.
pub(super) fn target_of(wish: &Wish) -> RootedPath {
    Logs::parse(&wish.target).unwrap()
}

/// Judges a wish by this inspection.
pub(super) fn judge(
    guard: &LogGuard<'_>,
    wish: &Wish,
    seen: Result<Inspection, InspectError>,
) -> Result<Step<Logs>, Refusal<Logs>> {
    let target = Logs::parse(&wish.target)?;
    let operation = Logs::operation(&target, wish.verb).ok_or(Refusal::NotOffered)?;
    guard.judge("test", &target, operation, &wish.reason, seen)
}

pub(super) fn wish(path: &str, is_directory: bool, verb: Operation) -> Wish {
    let place = LogLocation { root: "app".to_owned(), path: path.to_owned() };
    Wish {
        target: if is_directory { Target::LogDirectory(place) } else { Target::LogFile(place) },
        verb: if verb == Operation::Remove { Verb::Remove } else { Verb::Truncate },
        reason: Reason { kind: ReasonKind::TooOld, text: String::new() },
        expected_bytes: None,
    }
}

pub(super) fn file(path: &str) -> Wish {
    wish(path, false, Operation::Remove)
}

pub(super) fn truncation(path: &str) -> Wish {
    wish(path, false, Operation::Truncate)
}

pub(super) fn directory(path: &str) -> Wish {
    wish(path, true, Operation::Remove)
}

pub(super) fn path(text: &str) -> LogPath {
    text.parse().unwrap()
}

/// Returns whether a test can run here, and reports it as skipped if not.
pub(super) fn can(test: &str, what: &str, possible: bool) -> bool {
    if !possible {
        println!("SKIPPED {test}: {what}");
    }
    possible
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn two_roots_of_one_name_are_refused() {
    let scene = Scene::new(Confinement::OneCall);
    let specs = [RootSpec::new("app", &scene.root), RootSpec::new("app", &scene.outside)];
    let error = LogRoots::open(&specs, WalkLimits::default(), None).unwrap_err().to_string();
    assert!(error.ends_with("another log root has this name already"), "{error}");
}

#[test]
fn roots_are_told_by_name_and_measured() {
    let scene = Scene::new(Confinement::OneCall);
    let specs = [RootSpec::new("b", &scene.root), RootSpec::new("a", &scene.outside)];
    let roots = LogRoots::open(&specs, WalkLimits::default(), None).unwrap();
    assert_eq!(roots.names().collect::<Vec<_>>(), ["a", "b"]);
    let [a, b] = &roots.filesystems()[..] else { panic!("two filesystems") };
    assert_eq!((a.name.as_str(), b.name.as_str()), ("logs:a", "logs:b"));
    assert!(a.capacity_bytes > a.available_bytes && a.mountpoint.is_empty());
    let error = roots.walk("c\u{1b}", WalkOptions::default(), &scene.open_files).unwrap_err();
    assert_eq!(error, LogsError::NotFound("no log root is named c\\u{1b}".to_owned()));
}
