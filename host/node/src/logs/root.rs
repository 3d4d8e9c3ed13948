//! Opening of the log roots that the operator declares.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use holystone_core::logs::{Identity, LogPath, Place, reserved};
use holystone_core::text;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::confined::{self, Confined, Confinement};
use super::{allowed, stat};
use crate::filesystem::PathMapping;
use crate::mounts::{Spot, Table, filesystem_name};

/// A log root as the operator declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootSpec {
    /// Name that plugins use.
    pub name: String,
    /// Path on the node.
    pub host_path: PathBuf,
    /// Path for this process, if it differs: in a pod, the mount point.
    pub mounted_at: Option<PathBuf>,
    /// Directories of the node that the root must be in, as this process sees them; absent if it may be anywhere.
    pub allowed_in: Option<Vec<PathMapping>>,
}

/// The reason why a log root cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log root {name} ({path}): {problem}")]
pub struct RootError {
    name: String,
    path: String,
    problem: String,
}

impl RootSpec {
    /// Declares a root that this process sees at its path on the node.
    pub fn new(name: &str, host_path: impl Into<PathBuf>) -> Self {
        Self { name: name.to_owned(), host_path: host_path.into(), mounted_at: None, allowed_in: None }
    }

    /// Explains why the path on the node cannot be a log root, as far as the path alone shows.
    pub fn problem(&self) -> Option<String> {
        objection(&self.host_path)
    }

    /// Returns the path to open.
    fn path(&self) -> &Path {
        self.mounted_at.as_deref().unwrap_or(&self.host_path)
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> RootError {
        RootError::new(&self.name, self.path(), problem.into())
    }
}

impl RootError {
    fn new(name: &str, path: &Path, problem: String) -> Self {
        Self { name: text::shown(name), path: text::shown(&path.to_string_lossy()), problem }
    }
}

/// A directory of Holystone itself: for its state, cache or history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDirectory {
    /// Name of the directory in messages, for example `the state directory`.
    pub what: String,
    /// Path for this process; the directory need not exist yet.
    pub path: PathBuf,
}

impl OwnDirectory {
    /// Explains why the directory at this spot cannot be a log root, if it is, holds or lies in this one.
    fn objection(&self, own: &Spot, spot: &Spot) -> Option<String> {
        let relation = match (own.beneath(spot), spot.beneath(own)) {
            (Some(_), Some(_)) => "it is",
            (Some(_), None) => "it holds",
            (None, Some(_)) => "it lies in",
            (None, None) => return None,
        };
        let path = text::shown(&self.path.to_string_lossy());
        Some(format!("{relation} {}, {path}; keep logs and {} apart", self.what, self.what))
    }
}

/// Explains why the directory at this path cannot be a log root, whether or not it exists.
fn objection(path: &Path) -> Option<String> {
    // Rules name only UTF-8 paths, and no rule has a replacement character in it.
    reserved::objection(&path.to_string_lossy())
}

/// Holystone's own directories and those that the core has rules for, as located on this machine.
pub(super) struct Reserved<'a> {
    mounts: &'a Table,
    own: Vec<(&'a OwnDirectory, Spot)>,
    others: Vec<(&'static str, Spot)>,
}

impl<'a> Reserved<'a> {
    pub(super) fn find(mounts: &'a Table, own: &'a [OwnDirectory]) -> Self {
        let own = own.iter().filter_map(|own| Some((own, mounts.find(&own.path)?))).collect();
        let exists = |path: &&'static str| Path::new(path).exists();
        let others = reserved::directories().filter(exists);
        let others = others.filter_map(|path| Some((path, mounts.find(Path::new(path))?))).collect();
        Self { mounts, own, others }
    }

    /// Explains why the directory at this spot cannot be a log root, whatever path leads there.
    fn objection(&self, spot: &Spot) -> Option<String> {
        if let Some(problem) = self.own.iter().find_map(|(own, its)| own.objection(its, spot)) {
            return Some(problem);
        }
        // The location is checked before the content, since it explains more: /usr holds the directory that /bin links
        // to.
        let is = self.others.iter().find_map(|(path, other)| {
            // Joining an empty path appends a slash, which `components` drops.
            let path: PathBuf = Path::new(path).join(spot.beneath(other)?).components().collect();
            let problem = objection(&path)?;
            Some(format!("it is {} under another path: {problem}", text::shown(&path.to_string_lossy())))
        });
        let holds = |(path, other): &(&str, Spot)| {
            let is_held = other.beneath(spot).is_some() && reserved::objection(path).is_some();
            let advice = "give the directory of the logs themselves";
            is_held.then(|| format!("it holds {path} under another path; {advice}"))
        };
        is.or_else(|| self.others.iter().find_map(holds))
    }
}

/// An open log root.
#[derive(Debug)]
pub(super) struct Root {
    name: String,
    /// Path at which the root was opened.
    opened_at: PathBuf,
    host_path: Vec<u8>,
    /// Set if the root was opened at its path on the node, so that link targets mean the same for this process.
    is_at_home: bool,
    handle: OwnedFd,
    identity: Identity,
    spot: Spot,
    confined: Confined,
}

impl Root {
    pub(super) fn open(
        spec: &RootSpec,
        confinement: Option<Confinement>,
        reserved: &Reserved<'_>,
    ) -> Result<Self, RootError> {
        for path in [&spec.host_path, spec.path()] {
            if let Some(problem) = objection(path) {
                return Err(spec.error(problem));
            }
        }
        let handle = open_directory(spec.path()).map_err(|error| spec.error(explain(spec.path(), error)))?;
        let failed = |error: Errno| spec.error(confined::sentence(error));
        let confined = Confined::new(handle.as_fd(), confinement).map_err(failed)?;
        let identity = stat::by_handle(handle.as_fd()).map_err(failed)?.identity();
        if let Some(problem) = allowed::objection(spec, identity) {
            return Err(spec.error(problem));
        }
        let spot = reserved.mounts.spot(handle.as_fd());
        let spot =
            spot.ok_or_else(|| spec.error("it is on no mount that this process sees; was it mounted just now?"))?;
        if let Some(problem) = reserved.objection(&spot) {
            return Err(spec.error(problem));
        }
        let is_at_home = spec.path() == spec.host_path;
        // Normalized, without doubled slashes: the kubelet's directories are recognized by their paths.
        let host_path = spec.host_path.components().collect::<PathBuf>().into_os_string().into_encoded_bytes();
        let (name, opened_at) = (spec.name.clone(), spec.path().to_owned());
        Ok(Self { name, opened_at, host_path, is_at_home, handle, identity, spot, confined })
    }

    /// Explains how this root and another overlap, if they do: entries in both would be counted and removed twice.
    pub(super) fn overlap(&self, other: &Self) -> Option<String> {
        let name = text::shown(&other.name);
        let is_same = (self.identity.device, self.identity.inode) == (other.identity.device, other.identity.inode);
        if is_same || self.spot == other.spot {
            return Some(format!("it is the same directory as the log root {name}; declare it once"));
        }
        let advice = "declare the outer one alone and pick by globs, or two that lie apart";
        if self.spot.beneath(&other.spot).is_some() {
            return Some(format!("it lies in the log root {name}; {advice}"));
        }
        other.spot.beneath(&self.spot).map(|_| format!("the log root {name} lies in it; {advice}"))
    }

    /// Builds the error for a problem with this root.
    pub(super) fn error(&self, problem: String) -> RootError {
        RootError::new(&self.name, &self.opened_at, problem)
    }

    /// Returns the path on the node.
    pub(super) fn host_path(&self) -> &Path {
        Path::new(std::ffi::OsStr::from_bytes(&self.host_path))
    }

    /// Returns the location on the filesystem.
    pub(super) fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Returns the name of the filesystem, the same for all roots on it.
    pub(super) fn filesystem(&self) -> String {
        filesystem_name(self.spot.device)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn is_at_home(&self) -> bool {
        self.is_at_home
    }

    pub(super) fn confined(&self) -> &Confined {
        &self.confined
    }

    /// Opens an entry under the root.
    pub(super) fn reach(&self, path: &LogPath, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        self.confined.open(self.handle(), path.as_bytes(), flags)
    }

    /// Returns the place of a path under the root, relative to the kubelet's directories.
    pub(super) fn place(&self, path: &LogPath) -> Place {
        Place::of(&self.host_path, path)
    }

    /// Converts a path on the node to a path under the root; returns `None` if it lies elsewhere.
    pub(super) fn relative(&self, host_path: &[u8]) -> Option<LogPath> {
        let relative = Path::new(std::ffi::OsStr::from_bytes(host_path)).strip_prefix(self.host_path()).ok()?;
        LogPath::from_bytes(relative.as_os_str().as_bytes()).ok()
    }
}

/// Opens a directory by a path of the host without following any link: the target of a link can change, and the user
/// who can change it is not always the one who declared the root.
pub(super) fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = confined::LIST | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Err(Errno::NOSYS | Errno::PERM) => open_step_by_step(path, flags),
        result => result,
    }
}

fn open_step_by_step(path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mut at = rustix::fs::open("/", flags, Mode::empty())?;
    for part in path.components().skip(1) {
        at = rustix::fs::openat(&at, part.as_os_str(), flags, Mode::empty())?;
    }
    Ok(at)
}

fn explain(path: &Path, error: Errno) -> String {
    match error {
        Errno::NOENT => "there is no such directory".to_owned(),
        Errno::LOOP | Errno::NOTDIR => match std::fs::canonicalize(path) {
            Ok(real) if real != path => {
                let real = text::shown(&real.to_string_lossy());
                format!("a symbolic link is on its path; give the directory itself, {real}")
            }
            _ => "it is not a directory".to_owned(),
        },
        Errno::ACCESS => "there is no permission to open it".to_owned(),
        other => confined::sentence(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(spec: &RootSpec, confinement: Option<Confinement>) -> Result<Root, RootError> {
        let mounts = Table::own().unwrap();
        Root::open(spec, confinement, &Reserved::find(&mounts, &[]))
    }

    #[test]
    fn what_is_wrong_with_a_root_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("real")).unwrap();
        std::fs::write(base.join("file"), "").unwrap();
        std::os::unix::fs::symlink(base.join("real"), base.join("link")).unwrap();
        let problem = |path: &str| open(&RootSpec::new("app", base.join(path)), None).unwrap_err().to_string();
        assert!(problem("missing").ends_with("there is no such directory"), "{}", problem("missing"));
        assert!(problem("file").ends_with("it is not a directory"), "{}", problem("file"));
        let through = problem("link");
        assert!(through.starts_with("log root app (") && through.ends_with("/real"), "{through}");
        std::fs::create_dir(base.join("real/sub")).unwrap();
        assert!(problem("link/sub").ends_with("/real/sub"), "{}", problem("link/sub"));
        for confinement in [None, Some(Confinement::OneCall), Some(Confinement::Stepwise)] {
            let root = open(&RootSpec::new("app", base.join("real")), confinement).unwrap();
            assert!(root.is_at_home());
        }
        assert!(open_step_by_step(&base.join("real/sub"), confined::LIST | OFlags::NOFOLLOW).is_ok());
        assert!(open_step_by_step(&base.join("link/sub"), confined::LIST | OFlags::NOFOLLOW).is_err());
    }

    #[test]
    fn paths_of_the_host_are_found_beneath() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap();
        let spec = RootSpec { mounted_at: Some(real), ..RootSpec::new("pods", "/var/log/pods") };
        let root = open(&spec, None).unwrap();
        assert!(!root.is_at_home());
        assert_eq!(root.relative(b"/var/log/pods/a/0.log").unwrap().to_string(), "a/0.log");
        assert!(root.relative(b"/var/log/podsx/a").is_none());
        assert!(root.relative(b"/var/log/pods/../a").is_none());
        assert!(root.place(&LogPath::root()).is_of_all_pods);
    }
}
