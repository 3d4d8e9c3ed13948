//! A directory of compiled components.
//!
//! The entries are run with the rights of this process, so the cache only uses a directory that no other user could
//! have written to: the directory and every entry belong to this user and are writable by no other user, and no
//! directory above lets another user replace its content. All checks use open handles, and files are opened from the
//! handle of the directory, so nothing can be exchanged in between.
//!
//! Each entry begins with the digest of its content: an entry that a crash or a disk has damaged is compiled again.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat, Timespec, Timestamps, fstat, openat, renameat, statat, unlinkat};
use sha2::{Digest as _, Sha256};

use crate::limits::MAX_COMPILED;

/// The prefix of an entry. It changes with everything that decides what code a component becomes and that wasmtime does
/// not check by itself: `config` in `engine.rs`.
const MAGIC: &[u8] = concat!("holystone ", env!("CARGO_PKG_VERSION"), " compiled 1\n").as_bytes();
/// The largest size of all entries together, in bytes. Beyond it, the least recently used entries are removed.
const ROOM: u64 = 512 << 20;
/// The greatest age of a file that is being written: an older one was left by a run that was killed.
const WRITING: Duration = Duration::from_hours(1);
/// The precision of the time of the last use.
const USED: Duration = Duration::from_hours(1);

/// A directory that can be trusted. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    directory: Arc<OwnedFd>,
}

/// The reason why a directory is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// A directory that cannot be created or opened.
    #[error("{0}")]
    Unusable(String),
    /// A directory to which another user could have written code.
    #[error("{0}")]
    Untrusted(String),
}

impl Cache {
    /// Opens a directory, and creates it if it is missing.
    pub(crate) fn open(path: &Path) -> Result<Self, CacheError> {
        use std::os::unix::fs::DirBuilderExt as _;

        if !path.is_absolute() {
            return Err(CacheError::Unusable("it must be an absolute path".to_owned()));
        }
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| CacheError::Unusable(format!("it cannot be made: {error}")))?;
        let path = path.canonicalize().map_err(|error| CacheError::Unusable(error.to_string()))?;
        let directory = trusted(&path)?;
        check_entries(&directory, &path)?;
        Ok(Self { directory: Arc::new(directory) })
    }

    /// Reads the code of a component, if it is there and undamaged.
    pub(crate) fn get(&self, digest: &str) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(self.directory.as_fd(), name(digest), flags, Mode::empty()).ok()?;
        let stat = fstat(&file).ok()?;
        let whole = MAGIC.len() as u64 + 32 + MAX_COMPILED as u64;
        if foreign(&stat).is_some() || !is_file(&stat) || u64::try_from(stat.st_size).ok()? > whole {
            return None;
        }
        let mut file = File::from(file);
        let mut head = vec![0; MAGIC.len() + 32];
        file.read_exact(&mut head).ok()?;
        let mut code = Vec::with_capacity(usize::try_from(stat.st_size).ok()?);
        (&file).take(MAX_COMPILED as u64).read_to_end(&mut code).ok()?;
        let (magic, sum) = head.split_at(MAGIC.len());
        if magic != MAGIC || sum != sum_of(digest, &code) {
            return None;
        }
        mark_used(&file, &stat);
        Some(code)
    }

    /// Stores the code of a component, and makes room for it.
    pub(crate) fn put(&self, digest: &str, code: &[u8]) -> std::io::Result<()> {
        let (name, temporary) = (name(digest), format!(".{}.{}", name(digest), std::process::id()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(self.directory.as_fd(), &temporary, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        let written = file
            .write_all(MAGIC)
            .and_then(|()| file.write_all(&sum_of(digest, code)))
            .and_then(|()| file.write_all(code))
            .and_then(|()| Ok(renameat(self.directory.as_fd(), &temporary, self.directory.as_fd(), &name)?));
        if written.is_err() {
            let _ = unlinkat(self.directory.as_fd(), &temporary, AtFlags::empty());
        }
        self.make_room(ROOM);
        written
    }

    /// Removes the least recently used entries until the rest fits, and files that were left half written.
    fn make_room(&self, room: u64) {
        let Ok(entries) = entries(&self.directory) else { return };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut kept = Vec::new();
        for (name, stat) in entries {
            let age = now.saturating_sub(u64::try_from(stat.st_mtime).unwrap_or_default());
            if name.starts_with('.') && age > WRITING.as_secs() && is_file(&stat) {
                let _ = unlinkat(self.directory.as_fd(), &name, AtFlags::empty());
            } else if name.ends_with(ENDING) && is_file(&stat) {
                kept.push((stat.st_mtime, name, u64::try_from(stat.st_size).unwrap_or_default()));
            }
        }
        kept.sort();
        let mut all: u64 = kept.iter().map(|(_, _, size)| size).sum();
        for (_, name, size) in kept {
            if all <= room {
                return;
            }
            if unlinkat(self.directory.as_fd(), &name, AtFlags::empty()).is_ok() {
                all = all.saturating_sub(size);
            }
        }
    }
}

/// The extension of entries.
const ENDING: &str = ".code";

/// Builds the name of an entry: `sha256:…` without the colon, which people can recognise.
fn name(digest: &str) -> String {
    format!("{}{ENDING}", digest.replace(':', "-"))
}

/// Computes the digest of the code and of the component that it was made from, so that no entry can replace another.
fn sum_of(digest: &str, code: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(digest).chain_update([0]).chain_update(code).finalize().into()
}

fn mark_used(file: &File, stat: &Stat) {
    let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else { return };
    let used = u64::try_from(stat.st_mtime).unwrap_or_default();
    if now.as_secs().abs_diff(used) > USED.as_secs() {
        let time = Timespec { tv_sec: now.as_secs().try_into().unwrap_or_default(), tv_nsec: 0 };
        // The time only decides which entries are removed first. A failure does no harm.
        let _ = rustix::fs::futimens(file, &Timestamps { last_access: time, last_modification: time });
    }
}

/// Opens a directory from the root on down without following links, and checks each directory on the way by its handle.
fn trusted(path: &Path) -> Result<OwnedFd, CacheError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut so_far = PathBuf::from("/");
    let failed = |path: &Path, error| CacheError::Unusable(format!("{} cannot be opened: {error}", path.display()));
    let mut handle = rustix::fs::open("/", flags, Mode::empty()).map_err(|error| failed(&so_far, error))?;
    let mut stat = fstat(&handle).map_err(|error| failed(&so_far, error))?;
    for component in path.components() {
        let Component::Normal(name) = component else { continue };
        if let Some(problem) = replaceable(&stat) {
            let problem = format!("{} {problem}, who can exchange what is beneath it", so_far.display());
            return Err(CacheError::Untrusted(format!("{problem}: use another directory, or mend that one")));
        }
        so_far.push(name);
        handle = openat(&handle, name, flags, Mode::empty()).map_err(|error| failed(&so_far, error))?;
        stat = fstat(&handle).map_err(|error| failed(&so_far, error))?;
    }
    match foreign(&stat) {
        None => Ok(handle),
        Some(problem) => Err(planted(&format!("it {problem}"), path)),
    }
}

/// Checks all entries: one that another user could have written means that others may have been, too.
fn check_entries(directory: &OwnedFd, path: &Path) -> Result<(), CacheError> {
    let entries = entries(directory).map_err(|error| CacheError::Unusable(format!("it cannot be listed: {error}")))?;
    for (name, stat) in entries {
        if let Some(problem) = foreign(&stat) {
            return Err(planted(&format!("its entry {} {problem}", holystone_core::text::shown(&name)), path));
        }
    }
    Ok(())
}

fn planted(problem: &str, path: &Path) -> CacheError {
    let advice = "what is in it is run as code, and others may have put it there: delete the directory";
    CacheError::Untrusted(format!("{problem}; {advice}, rm -r {}", path.display()))
}

fn entries(directory: &OwnedFd) -> rustix::io::Result<Vec<(String, Stat)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => found.push((name.to_string_lossy().into_owned(), stat)),
            // Another run has removed the entry.
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn is_file(stat: &Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file()
}

/// Explains why a file or directory does not belong to this user alone; `None` if it does.
fn foreign(stat: &Stat) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    if stat.st_uid != own {
        return Some(format!("belongs to user {}, not to user {own} who runs this", stat.st_uid));
    }
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    if kind.is_symlink() {
        return Some("is a link".to_owned());
    }
    if stat.st_mode & 0o022 != 0 {
        return Some(format!("is writable by others (mode {:o})", stat.st_mode & 0o7777));
    }
    (kind.is_file() && stat.st_nlink > 1).then(|| format!("has {} names", stat.st_nlink))
}

/// Explains how another user could replace an entry of a directory; `None` if no other user can.
fn replaceable(stat: &Stat) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    if stat.st_uid != own && stat.st_uid != 0 {
        return Some(format!("belongs to user {}", stat.st_uid));
    }
    // In a directory with the sticky bit only the owner of an entry can replace it.
    let open = stat.st_mode & 0o022 != 0 && stat.st_mode & 0o1000 == 0;
    open.then(|| format!("is writable by others (mode {:o})", stat.st_mode & 0o7777))
}

#[cfg(test)]
mod tests;
