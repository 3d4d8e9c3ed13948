//! The directory in which Holystone remembers this node: files that are replaced as a whole, and locks.
//!
//! The file is what [`State`] says. Beside it, the reserve has a copy in room that was taken beforehand: a full disk keeps
//! nothing from being remembered, and what is wrong with one file costs no more than the ages for a while. Whatever is
//! wrong, a run goes on with what is left and a sentence about it.
//! The lock makes runs on one node wait for each other, or leave; the system frees it when its holder ends, however
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

/// The state.
const FILE: &str = "state.json";
/// The copy of it that a full disk cannot lose.
const RESERVE: &str = "state.reserve";
/// What the name of a file ends in before it takes its place.
const NEW: &str = ".new";
/// Says that the node is known: it is made with the first state, so that a state that was deleted is not one that never
/// was.
const KNOWN: &str = "known";
/// The lock of runs; the process id of the holder is in it, for people.
const LOCK: &str = "lock";
/// The lock of daemons.
const DAEMON_LOCK: &str = "daemon.lock";
/// The largest state that is read, in bytes: more than the most images that are remembered come to.
const MAX_FILE: u64 = 64 << 20;
/// For how long a daemon tries to get its lock: far longer than it takes a run to look who is there.
const LOOK: Duration = Duration::from_secs(1);
/// How often a lock that another run holds is tried again.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// An open state directory: this user's, and writable to nobody else.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    handle: OwnedFd,
}

/// Keeps other runs away from this node's state for as long as it lives, or until the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: OwnedFd,
}

/// What was found in a state directory.
#[derive(Debug)]
pub struct Found {
    /// The state to go on with.
    pub state: State,
    /// What is wrong with what was found, if anything is.
    pub notice: Option<String>,
}

/// Why a state directory is of no use.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// There is none.
    #[error("there is no state directory {}: nothing has run here yet, or another was named with --state-dir", .path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be made, opened or trusted.
    #[error("the state directory {} cannot be used: {problem}; name another with --state-dir", .path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk is full, so that it cannot be made, or its lock.
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
    /// Another daemon holds its lock.
    #[error("another daemon is under way on this node ({holder}holds {}): stop it, or give this one --history-dir of its own", .lock.display())]
    SecondDaemon {
        /// The lock's file.
        lock: PathBuf,
        /// `process N ` if known, else empty.
        holder: String,
    },
    /// A file could not be read.
    #[error("{} cannot be read: {problem}", .path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
    /// The state could only be written into the reserve.
    #[error("the state could not be written to {}, and was kept beside it: {problem}", .path.display())]
    Reserved {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
    /// The state could not be written.
    #[error("the state could not be written to {}: {problem}", .path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
}

impl StateDir {
    /// Opens the directory; makes it if it is missing.
    ///
    /// # Errors
    /// When it cannot be made, is not a directory, belongs to another user or can be written to by others.
    pub fn make(path: &Path) -> Result<Self, StateDirError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        match made {
            // Something that is no directory, of which opening it tells more.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(unmade(path, "it", error.kind(), &error)),
            _ => Self::open(path),
        }
    }

    /// Opens the directory.
    ///
    /// # Errors
    /// As [`StateDir::make`], and when it is missing.
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

    /// Where the state is.
    pub fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Takes the lock. While another run has it, tries again until `patience` is over.
    ///
    /// # Errors
    /// When another run keeps it, or the lock's file cannot be opened.
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

    /// Takes the lock of daemons, of which a node has one, and the mark that says that none has it. Tries for a moment,
    /// because a run that looks whether a daemon lives holds the lock for as long.
    ///
    /// # Errors
    /// When another daemon has it, or the lock's file cannot be opened.
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

    /// Takes a lock if nobody has it.
    fn try_lock(&self, name: &str) -> Result<Option<Lock>, StateDirError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| unmade(&self.path, "its lock", error.kind(), &error))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(unusable(&self.path, format!("its lock cannot be taken: {error}"))),
        }
        // Only for people who look: on a full disk the lock holds without it.
        let note = rustix::fs::ftruncate(&file, 0)
            .and_then(|()| rustix::io::pwrite(&file, std::process::id().to_string().as_bytes(), 0));
        if let Err(error) = note {
            tracing::debug!("the process id could not be written into the lock: {error}");
        }
        Ok(Some(Lock { _file: file }))
    }

    /// Who holds the lock, as far as it says.
    fn holder(&self, name: &str) -> String {
        let text = self.read(name, 32).unwrap_or_default();
        let id = String::from_utf8(text).ok().and_then(|text| text.trim().parse::<u32>().ok());
        id.map(|id| format!("process {id} ")).unwrap_or_default()
    }

    /// Reads the state: the newer one of the file and its reserve, or a new one, and says what is wrong with the file.
    ///
    /// A file that is damaged, or missing on a node that is known, is a loss, which [`State::observe`] notes: then times are
    /// those of the reserve, if there is one.
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

    /// Returns whether a state was written here before. What cannot be looked at may be there.
    fn is_known(&self) -> bool {
        !matches!(rustix::fs::statat(&self.handle, KNOWN, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT))
            || self.open_file(RESERVE, OFlags::RDONLY).is_ok()
    }

    fn note_known(&self) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.handle, KNOWN, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(())
    }

    /// Reads the copy in the reserve, if there is one that is whole.
    fn load_reserve(&self) -> Option<State> {
        let file = self.open_file(RESERVE, OFlags::RDONLY).ok()?;
        let copy = reserve::read(&file).ok()??;
        let read = State::from_json(&copy.text).ok()?;
        read.problems.is_empty().then_some(read.state)
    }

    /// Writes the state: a reader, or a machine that goes down, finds the old one or the new one and nothing between.
    /// Writes it into the reserve as well.
    ///
    /// # Errors
    /// When there is no room for it but in the reserve; the old one is then still there, and older. When it cannot be
    /// written at all.
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

    /// Writes the copy: in place, or, when it does not fit and there is room, into a larger file. On a disk without room
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

    /// Writes another file of the directory, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written; the old one is then still there.
    pub fn keep(&self, name: &str, text: &[u8]) -> Result<(), StateDirError> {
        self.replace(name, text).map_err(|problem| StateDirError::Unwritten { path: self.path.join(name), problem })
    }

    /// Reads another file of the directory, of at most so many bytes; nothing when there is none.
    ///
    /// # Errors
    /// When there is one that cannot be read.
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
    /// When it cannot be removed.
    pub fn forget(&self, name: &str) -> Result<(), StateDirError> {
        self.unlink(name).map_err(|problem| StateDirError::Unwritten { path: self.path.join(name), problem })
    }

    /// The names of the files in the directory, sorted; those that are not UTF-8 are not ours.
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
        // A leftover may be anything; a link would lead the writing elsewhere.
        self.unlink(&new_name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut new = File::from(rustix::fs::openat(&self.handle, &new_name, flags, Mode::RUSR | Mode::WUSR)?);
        new.write_all(text)?;
        new.sync_all()?;
        rustix::fs::renameat(&self.handle, &new_name, &self.handle, name)?;
        // Only then is the new name itself on the disk.
        Ok(rustix::fs::fsync(&self.handle)?)
    }

    /// Opens an ordinary file of the directory.
    fn open_file(&self, name: &str, access: OFlags) -> io::Result<File> {
        // A pipe would otherwise be waited for.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.handle, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not an ordinary file")) }
    }

    /// Reads a file of the directory; one that is larger, or no ordinary file, is an error.
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
    /// Whether the only thing wrong is that the disk is full: exactly then a cleaner is wanted, and it goes on without.
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

/// Why the directory, or something in it, cannot be made.
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
