//! The directory in which Holystone remembers this node: files that are replaced as a whole, and locks.
//!
//! The file holds a [`State`]. The reserve beside it holds a copy in space that was allocated beforehand. The state,
//! or at least its essentials, can therefore be written on a full disk, and damage to one file costs no more than the
//! ages for a while. Whatever the damage, a run continues with the rest and reports it.
//!
//! The lock makes runs on one node wait for each other, or fail. The system releases it when its holder ends, however
//! that happens.

mod reserve;
mod unclaimed;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holystone_core::state::{Read, State};
use holystone_core::text::shown;
use jiff::Timestamp;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// The state file.
const FILE: &str = "state.json";
/// The copy of the state, which a full disk does not prevent from being written.
const RESERVE: &str = "state.reserve";
/// Suffix of a file that is being written, until it replaces the old one.
const NEW: &str = ".new";
/// The mark of a known node, made with the first state. It distinguishes a deleted state from one that never existed.
const KNOWN: &str = "known";
/// The lock of runs, with the process id of its holder for people.
const LOCK: &str = "lock";
/// The lock of daemons.
const DAEMON_LOCK: &str = "daemon.lock";
/// The largest state that is read, in bytes: room for the most images that are remembered, with a few names each.
const MAX_FILE: u64 = 64 << 20;
/// Time for which a daemon tries to take its lock: far longer than a run holds it to check for a daemon.
const LOOK: Duration = Duration::from_secs(1);
/// The longest pause between two attempts to take a lock.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// An open state directory, which belongs to this user and which no other user can write to.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    handle: OwnedFd,
}

/// A lock that excludes other runs, or other daemons, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: OwnedFd,
}

/// The result of loading a state.
#[derive(Debug)]
pub struct Found {
    /// The state to continue with.
    pub state: State,
    /// A sentence about the damage, if there is any.
    pub notice: Option<String>,
}

/// An error of a state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// The directory is missing.
    #[error("there is no state directory {}: nothing has run here yet, or another was named with --state-dir", .path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// The directory, or a lock in it, cannot be made, opened or trusted.
    #[error("the state directory {} cannot be used: {problem}; name another with --state-dir", .path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// The disk is full, so that the directory or its lock cannot be made.
    #[error("the disk has no room for the state directory {}", .path.display())]
    Full {
        /// The directory.
        path: PathBuf,
    },
    /// Another run holds the lock.
    #[error("another run is under way on this node ({holder}holds {}): wait for it with --wait DURATION", .lock.display())]
    Locked {
        /// The lock's file.
        lock: PathBuf,
        /// `process N ` if known, else empty.
        holder: String,
    },
    /// Another daemon holds the lock of daemons.
    #[error("another daemon is under way on this node ({holder}holds {}): stop it, or give this one --history-dir of its own", .lock.display())]
    SecondDaemon {
        /// The lock's file.
        lock: PathBuf,
        /// `process N ` if known, else empty.
        holder: String,
    },
    /// A file cannot be read, or the directory cannot be listed.
    #[error("{} cannot be read: {problem}", .path.display())]
    Unread {
        /// The file or the directory.
        path: PathBuf,
        /// The system's error.
        problem: io::Error,
    },
    /// The state could only be written into the reserve.
    #[error("the state could not be written to {}, and was kept beside it: {problem}", .path.display())]
    Reserved {
        /// The file.
        path: PathBuf,
        /// The system's error.
        problem: io::Error,
    },
    /// The state or another file could not be written, or another file could not be removed.
    #[error("the state could not be written to {}: {problem}", .path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// The system's error.
        problem: io::Error,
    },
}

impl StateDir {
    /// Opens the directory. Makes it if it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made, is not a directory, belongs to another user or can be written to by others.
    pub fn make(path: &Path) -> Result<Self, StateDirError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        match made {
            // If the path exists but is no directory, opening it gives the clearer error.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(unmade(path, "it", error.kind(), &error)),
            _ => Self::open(path),
        }
    }

    /// Opens the directory.
    ///
    /// # Errors
    /// As [`StateDir::make`], and when the directory is missing.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Err(StateDirError::Missing { path: path.to_owned() }),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(unusable(path, "it is not a directory".to_owned()));
            }
            Err(error) => return Err(unusable(path, error.to_string())),
        };
        let file = File::from(handle);
        let metadata = file.metadata().map_err(|error| unusable(path, error.to_string()))?;
        let user = rustix::process::geteuid().as_raw();
        if metadata.uid() != user {
            let problem = format!("it belongs to user {}, not to user {user} who runs this", metadata.uid());
            return Err(unusable(path, problem));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(unusable(path, "others may write to it: chmod 700 it".to_owned()));
        }
        Ok(Self { path: path.to_owned(), handle: file.into() })
    }

    /// Returns the path of the state.
    pub fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Takes the lock. While another run holds it, tries again until `patience` is over.
    ///
    /// # Errors
    /// When another run keeps the lock, or the lock's file cannot be opened.
    pub async fn lock(&self, patience: Duration) -> Result<Lock, StateDirError> {
        let start = Instant::now();
        loop {
            if let Some(lock) = self.try_lock(LOCK)? {
                return Ok(lock);
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(StateDirError::Locked { lock: self.path.join(LOCK), holder: self.holder(LOCK) });
            }
            tokio::time::sleep(left.min(BETWEEN_TRIES)).await;
        }
    }

    /// Takes the lock of daemons, of which a directory has one, and removes the mark that no daemon holds it. Tries
    /// for a moment, because a run that checks for a daemon holds the lock for as long.
    ///
    /// # Errors
    /// When another daemon holds the lock, or the lock's file cannot be opened.
    pub fn lock_daemon(&self) -> Result<Lock, StateDirError> {
        let start = Instant::now();
        loop {
            if let Some(lock) = self.try_lock(DAEMON_LOCK)? {
                if let Err(error) = self.unlink(unclaimed::MARK) {
                    tracing::debug!("the mark of a daemon that is gone stays: {error}");
                }
                return Ok(lock);
            }
            if start.elapsed() >= LOOK {
                let (lock, holder) = (self.path.join(DAEMON_LOCK), self.holder(DAEMON_LOCK));
                return Err(StateDirError::SecondDaemon { lock, holder });
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
    }

    /// Takes a lock, if it is free.
    fn try_lock(&self, name: &str) -> Result<Option<Lock>, StateDirError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| unmade(&self.path, "its lock", error.kind(), &error))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(unusable(&self.path, format!("its lock cannot be taken: {error}"))),
        }
        // The id is for people only: on a full disk the lock holds without it.
        let note = rustix::fs::ftruncate(&file, 0)
            .and_then(|()| rustix::io::pwrite(&file, std::process::id().to_string().as_bytes(), 0));
        if let Err(error) = note {
            tracing::debug!("the process id could not be written into the lock: {error}");
        }
        Ok(Some(Lock { _file: file }))
    }

    /// Returns the holder of the lock for a message, as far as the file names it.
    fn holder(&self, name: &str) -> String {
        let text = self.read(name, 32).unwrap_or_default();
        let id = String::from_utf8(text).ok().and_then(|text| text.trim().parse::<u32>().ok());
        id.map(|id| format!("process {id} ")).unwrap_or_default()
    }

    /// Reads the newer state of the file and its reserve, or makes a new one, and reports damage to the file.
    ///
    /// A file that is damaged, or missing on a known node, is a loss, which [`State::observe`] notes. The times are
    /// then those of the reserve, if there is one.
    pub fn load(&self, now: Timestamp) -> Found {
        let reserve = self.load_reserve();
        let (state, problem) = match self.read(FILE, MAX_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && reserve.is_none() && !self.is_known() => {
                return Found { state: State::new(now), notice: None };
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, Some("it is missing".to_owned())),
            Err(error) => (None, Some(error.to_string())),
            Ok(text) => match State::from_json(&text) {
                Ok(Read { state, problems }) if problems.is_empty() => (Some(state), None),
                Ok(Read { state, problems }) => (Some(state), Some(problems.join("; "))),
                Err(error) => (None, Some(error.to_string())),
            },
        };
        let Some(problem) = problem else {
            return Found { state: newer(state, reserve).unwrap_or_else(|| State::new(now)), notice: None };
        };
        let file = self.file();
        let notice = format!("the state {} is damaged, so that ages are unknown: {}", file.display(), shown(&problem));
        let state = reserve.or(state).unwrap_or_else(|| State::new(now)).damaged();
        Found { state, notice: Some(notice) }
    }

    /// Returns whether a state was written here before, by the mark or the reserve. A mark that cannot be inspected
    /// counts.
    fn is_known(&self) -> bool {
        !matches!(rustix::fs::statat(&self.handle, KNOWN, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT))
            || self.open_file(RESERVE, OFlags::RDONLY).is_ok()
    }

    fn note_known(&self) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.handle, KNOWN, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(())
    }

    /// Reads the copy in the reserve, if there is an undamaged one.
    fn load_reserve(&self) -> Option<State> {
        let file = self.open_file(RESERVE, OFlags::RDONLY).ok()?;
        let copy = reserve::read(&file).ok()??;
        let read = State::from_json(&copy.text).ok()?;
        read.problems.is_empty().then_some(read.state)
    }

    /// Writes the state atomically: a reader, or a machine that goes down, finds either the old one or the new one.
    /// Writes it into the reserve as well.
    ///
    /// # Errors
    /// When only the reserve could be written: the file then still holds the old state. When neither could be written.
    pub fn save(&self, state: &State) -> Result<(), StateDirError> {
        let failed = |problem: io::Error| StateDirError::Unwritten { path: self.file(), problem };
        let text = state.to_json().map_err(|error| failed(error.into()))?;
        let written = self.replace(FILE, &text);
        let reserved = self.save_reserve(state, &text);
        if let Err(error) = &reserved {
            tracing::debug!("the state could not be written to its reserve: {error}");
        }
        if (written.is_ok() || reserved.is_ok())
            && let Err(error) = self.note_known()
        {
            tracing::debug!("that the node is known could not be noted: {error}");
        }
        match (written, reserved) {
            (Ok(()), _) => Ok(()),
            (Err(problem), Ok(())) => Err(StateDirError::Reserved { path: self.file(), problem }),
            (Err(problem), Err(_)) => Err(failed(problem)),
        }
    }

    /// Writes the copy: in place, or, if it does not fit and there is room, into a larger file. On a full disk, writes
    /// at least the essentials.
    fn save_reserve(&self, state: &State, text: &[u8]) -> io::Result<()> {
        let copy = |text: &[u8]| reserve::Copy { revision: state.revision, text: text.to_vec() };
        let in_place = |text: &[u8]| match self.open_file(RESERVE, OFlags::RDWR) {
            Ok(file) => reserve::write(&file, &copy(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        if in_place(text)? {
            return Ok(());
        }
        let essentials = state.essentials().to_json()?;
        for text in [text, &essentials] {
            let made = self.replace(RESERVE, &reserve::empty(reserve::slot_for(text)));
            if made.is_ok() && in_place(text)? {
                return Ok(());
            }
        }
        if in_place(&essentials)? { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// Writes another file of the directory atomically.
    ///
    /// # Errors
    /// When the file cannot be written. The old one is then still there.
    pub fn keep(&self, name: &str, text: &[u8]) -> Result<(), StateDirError> {
        self.replace(name, text).map_err(|problem| StateDirError::Unwritten { path: self.path.join(name), problem })
    }

    /// Reads another file of the directory, of at most `limit` bytes. Returns nothing if there is none.
    ///
    /// # Errors
    /// When there is a file that cannot be read or is larger.
    pub fn kept(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, StateDirError> {
        match self.read(name, limit) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(problem) => Err(StateDirError::Unread { path: self.path.join(name), problem }),
        }
    }

    /// Removes a file of the directory, if it is there.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget(&self, name: &str) -> Result<(), StateDirError> {
        self.unlink(name).map_err(|problem| StateDirError::Unwritten { path: self.path.join(name), problem })
    }

    /// Lists the names in the directory, sorted, with `.` and `..`. Skips names that are not UTF-8: Holystone makes
    /// none.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn names(&self) -> Result<Vec<String>, StateDirError> {
        let unread = |problem: Errno| StateDirError::Unread { path: self.path.clone(), problem: problem.into() };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.handle).map_err(unread)? {
            if let Ok(name) = entry.map_err(unread)?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn replace(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let new_name = format!("{name}{NEW}");
        // A left-over file may be anything, and a link would redirect the write.
        self.unlink(&new_name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut new = File::from(rustix::fs::openat(&self.handle, &new_name, flags, Mode::RUSR | Mode::WUSR)?);
        new.write_all(text)?;
        new.sync_all()?;
        rustix::fs::renameat(&self.handle, &new_name, &self.handle, name)?;
        // The new name itself is on the disk only after this.
        Ok(rustix::fs::fsync(&self.handle)?)
    }

    /// Opens a regular file of the directory.
    fn open_file(&self, name: &str, access: OFlags) -> io::Result<File> {
        // Opening a named pipe would block otherwise.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.handle, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not an ordinary file")) }
    }

    /// Reads a regular file of the directory. A larger file is an error.
    fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let file = self.open_file(name, OFlags::RDONLY)?;
        let mut text = Vec::new();
        file.take(limit + 1).read_to_end(&mut text)?;
        if text.len() as u64 > limit {
            return Err(io::Error::other(format!("it has more than {limit} bytes")));
        }
        Ok(text)
    }
}

impl StateDirError {
    /// Returns whether the only problem is a full disk. A cleanup is needed most then, so a run continues without the
    /// directory or its lock.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Unwritten { problem, .. } | Self::Reserved { problem, .. } => is_full(problem.kind()),
            _ => false,
        }
    }
}

/// Picks the newer one of a state and the copy in the reserve. A copy of the essentials knows no images.
fn newer(state: Option<State>, reserve: Option<State>) -> Option<State> {
    match (state, reserve) {
        (Some(mut state), Some(reserve)) if reserve.revision > state.revision => {
            if reserve.images.is_empty() {
                state.own_images.extend(reserve.own_images);
                return Some(state);
            }
            Some(reserve)
        }
        (state, reserve) => state.or(reserve),
    }
}

fn is_full(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Returns the error for a directory, or for something in it, that cannot be made.
fn unmade(path: &Path, what: &str, kind: io::ErrorKind, error: &dyn std::fmt::Display) -> StateDirError {
    if is_full(kind) {
        StateDirError::Full { path: path.to_owned() }
    } else {
        unusable(path, format!("{what} cannot be made: {error}"))
    }
}

fn unusable(path: &Path, problem: String) -> StateDirError {
    StateDirError::Unusable { path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests;
