//! Removal of the directories of daemons that are gone; [`holystone_core::daemon::unclaimed`] decides.

use std::path::Path;

use holystone_core::daemon::unclaimed::{Verdict, judge};
use jiff::Timestamp;
use rustix::fs::{AtFlags, OFlags};

use super::{DAEMON_LOCK, NEW, StateDir, StateDirError};

/// Directory of the directories of daemons of a cluster.
const DAEMONS: &str = "daemons";
/// The mark of a directory that no daemon holds, with the time at which a run first saw that.
pub(super) const MARK: &str = "unclaimed";
/// The longest mark, in bytes.
const MAX_MARK: u64 = 64;

impl StateDir {
    /// Checks the directories of daemons below this one, and removes those that no daemon has claimed for long.
    /// Returns the names of the removed ones. `is_record` recognises the names of daemons' records; a directory with
    /// any other file stays.
    ///
    /// # Errors
    /// When the directories cannot be opened or listed.
    pub fn forget_unclaimed_daemons(
        &self,
        is_record: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<Vec<String>, StateDirError> {
        let daemons = match Self::open(&self.path.join(DAEMONS)) {
            Err(StateDirError::Missing { .. }) => return Ok(Vec::new()),
            opened => opened?,
        };
        let names = daemons.names()?.into_iter().filter(|name| ![".", ".."].contains(&name.as_str()));
        let forgotten = names.filter(|name| match daemons.look_at_daemon(name, &is_record, now) {
            Ok(is_forgotten) => is_forgotten,
            Err(error) => {
                tracing::debug!("the records of the daemon {name} stay: {error}");
                false
            }
        });
        Ok(forgotten.collect())
    }

    /// Checks the directory of one daemon. Returns whether it was removed.
    fn look_at_daemon(
        &self,
        name: &str,
        is_record: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> Result<bool, StateDirError> {
        let directory = Self::open(&self.path.join(name))?;
        if directory.open_file(DAEMON_LOCK, OFlags::RDONLY).is_err() {
            return Ok(false);
        }
        let Some(lock) = directory.try_lock(DAEMON_LOCK)? else { return Ok(false) };
        let records = directory.records()?;
        let mark = directory.kept(MARK, MAX_MARK)?.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok());
        match judge(mark, directory.last_change(&records), now) {
            Verdict::Mark => directory.keep(MARK, now.to_string().as_bytes())?,
            Verdict::Forget if records.iter().all(|record| is_record(record.strip_suffix(NEW).unwrap_or(record))) => {
                for file in records.iter().map(String::as_str).chain([MARK, DAEMON_LOCK]) {
                    directory.forget(file)?;
                }
                // A daemon that has just started has made a new lock, which keeps its directory.
                drop(lock);
                return Ok(rustix::fs::unlinkat(&self.handle, name, AtFlags::REMOVEDIR).is_ok());
            }
            // The host removes only its own files.
            Verdict::Wait | Verdict::Forget => {}
        }
        Ok(false)
    }

    /// Lists the names in the directory other than those of lock and mark.
    fn records(&self) -> Result<Vec<String>, StateDirError> {
        let other = [".", "..", MARK, DAEMON_LOCK];
        Ok(self.names()?.into_iter().filter(|name| !other.contains(&name.as_str())).collect())
    }

    /// Returns the time of the last change of any of these files, as far as it is known.
    fn last_change(&self, records: &[String]) -> Option<Timestamp> {
        let change = |name: &String| {
            let stat = rustix::fs::statat(&self.handle, Path::new(name), AtFlags::SYMLINK_NOFOLLOW).ok()?;
            Timestamp::from_second(stat.st_mtime).ok()
        };
        records.iter().filter_map(change).max()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use jiff::SignedDuration;
    use tempfile::TempDir;

    use super::*;

    fn is_record(name: &str) -> bool {
        name == "daemon.json" || name.starts_with("run.")
    }

    /// Makes a state directory with these directories of daemons, each with records.
    fn node(names: &[&str]) -> (TempDir, StateDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDir::make(&parent.path().join("state")).unwrap();
        let daemons = parent.path().join("state/daemons");
        for name in names {
            let directory = StateDir::make(&daemons.join(name)).unwrap();
            drop(directory.lock_daemon().unwrap());
            directory.keep("daemon.json", b"{}").unwrap();
            directory.keep("run.ops.a.1.json", b"{}").unwrap();
        }
        (parent, state, daemons)
    }

    fn days(days: i64) -> SignedDuration {
        SignedDuration::from_hours(days * 24)
    }

    /// Checks the directories, so many days from now.
    fn look(state: &StateDir, after: i64) -> Vec<String> {
        state.forget_unclaimed_daemons(is_record, Timestamp::now() + days(after)).unwrap()
    }

    #[test]
    fn what_no_daemon_claims_for_long_is_forgotten_as_a_whole() {
        let (_parent, state, daemons) = node(&["ops.a", "ops.b"]);
        fs::write(daemons.join("ops.b/daemon.json.new"), "half").unwrap();
        assert_eq!(look(&state, 40), [""; 0], "the first look only marks");
        assert_eq!(look(&state, 69), [""; 0]);
        assert_eq!(look(&state, 71), ["ops.a", "ops.b"]);
        assert_eq!(fs::read_dir(&daemons).unwrap().count(), 0);
        assert_eq!(look(&state, 100), [""; 0]);
    }

    #[test]
    fn nothing_of_a_daemon_that_lives_is_touched() {
        let (_parent, state, daemons) = node(&["ops.gone", "ops.lives"]);
        look(&state, 0);
        let living = StateDir::open(&daemons.join("ops.lives")).unwrap();
        let lock = living.lock_daemon().unwrap();
        assert!(!daemons.join("ops.lives").join(MARK).exists(), "who starts takes the mark away");
        for after in [1, 31, 400, 4000] {
            look(&state, after);
            assert_eq!(living.names().unwrap()[2..], ["daemon.json", "daemon.lock", "run.ops.a.1.json"], "{after}");
        }
        assert!(!daemons.join("ops.gone").exists(), "the other one is gone");
        // A daemon that ends leaves its directory for as long as any other from then on.
        drop(lock);
        assert_eq!(look(&state, 4001), [""; 0]);
        assert_eq!(look(&state, 4030), [""; 0]);
        assert_eq!(look(&state, 4032), ["ops.lives"]);
    }

    #[test]
    fn a_daemon_that_starts_now_and_then_keeps_its_records() {
        let (_parent, state, daemons) = node(&["ops.a"]);
        for month in 0..12 {
            assert_eq!(look(&state, month * 29), [""; 0]);
            drop(StateDir::make(&daemons.join("ops.a")).unwrap().lock_daemon().unwrap());
        }
        assert!(daemons.join("ops.a/daemon.json").exists());
    }

    #[test]
    fn what_is_no_directory_of_a_daemon_stays() {
        let (parent, state, daemons) = node(&["ops.a"]);
        let outside = parent.path().join("outside");
        fs::create_dir(&outside).unwrap();
        for name in ["daemon.lock", "daemon.json"] {
            fs::write(outside.join(name), "{}").unwrap();
        }
        symlink(&outside, daemons.join("ops.link")).unwrap();
        fs::create_dir(daemons.join("ops.other")).unwrap();
        fs::write(daemons.join("ops.other/daemon.json"), "no lock").unwrap();
        fs::write(daemons.join("file"), "x").unwrap();
        fs::write(daemons.join("ops.a/notes.txt"), "by a person").unwrap();
        for after in [0, 100, 200] {
            assert_eq!(look(&state, after), [""; 0], "{after}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 2);
        assert_eq!(fs::read_dir(&daemons).unwrap().count(), 4);
        assert!(daemons.join("ops.a/daemon.json").exists() && daemons.join("ops.other/daemon.json").exists());
        fs::remove_file(daemons.join("ops.a/notes.txt")).unwrap();
        assert_eq!(look(&state, 300), ["ops.a"]);
    }

    #[test]
    fn a_mark_from_the_future_or_of_no_use_starts_the_time_again() {
        let (_parent, state, daemons) = node(&["ops.a"]);
        assert_eq!(look(&state, 4000), [""; 0]);
        assert_eq!(look(&state, 40), [""; 0], "that clock was ahead");
        assert_eq!(look(&state, 69), [""; 0]);
        fs::write(daemons.join("ops.a").join(MARK), "soon").unwrap();
        assert_eq!(look(&state, 70), [""; 0]);
        assert_eq!(look(&state, 101), ["ops.a"]);
    }

    #[test]
    fn without_daemons_there_is_nothing_to_look_at() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDir::make(&parent.path().join("state")).unwrap();
        assert_eq!(look(&state, 0), [""; 0]);
    }
}
