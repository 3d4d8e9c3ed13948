//! The decision: the pods' log directories to remove, with reasons. Entries arrive in the order of a walk, a directory
//! before its content, and only one directory is kept in memory at a time.

use std::collections::{HashMap, HashSet};

use holystone_core::text::rough_age;

/// An entry under a log root, as this plugin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path under the log root.
    pub path: &'a str,
    /// Set for a directory.
    pub is_directory: bool,
    /// Uid of the pod that the entry belongs to.
    pub pod_uid: Option<&'a str>,
    /// Time of the last change of the content, in nanoseconds since 1970.
    pub modified: i64,
    /// Time of the last change of the content or the inode, in nanoseconds since 1970.
    pub changed: i64,
    /// Size on disk, in bytes.
    pub allocated_bytes: u64,
    /// Number of names, for a file.
    pub hard_links: u64,
    /// Identity of the file, equal for all of its names.
    pub identity: &'a str,
    /// Set when the entry is in use.
    pub is_open: bool,
    /// Set when the host could not look under the entry.
    pub is_hidden: bool,
}

impl Entry<'_> {
    /// Returns the time of the last change of the content or the inode. A time of the content that is ahead of the
    /// clock is ignored.
    fn touched(&self, now: i64) -> i64 {
        if self.modified > now { self.changed } else { self.changed.max(self.modified) }
    }
}

/// A directory to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Path under the log root.
    pub path: String,
    /// Reason, for people.
    pub text: String,
    /// Bytes that the removal should free.
    pub bytes: u64,
}

/// A survey of one log root.
#[derive(Debug)]
pub struct Survey<'a> {
    pods: &'a HashSet<String>,
    now: i64,
    grace_period: i64,
    current: Option<Directory>,
    choices: Vec<Choice>,
    kept: Kept,
    /// Number of names that are removed with the choices, for each file that has several.
    gone: HashMap<String, u64>,
    /// Number of pods' directories, of existing pods and of those that are gone.
    of_pods: u64,
}

/// The numbers of directories that are kept although their pod is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Number of directories with an entry that is in use.
    pub in_use: usize,
    /// Number of directories with an entry that changed after the snapshot, or at a time ahead of the clock.
    pub ahead: usize,
}

impl std::ops::AddAssign for Kept {
    fn add_assign(&mut self, other: Self) {
        self.in_use += other.in_use;
        self.ahead += other.ahead;
    }
}

/// A directory of a pod that is gone.
#[derive(Debug)]
struct Directory {
    path: String,
    changed: i64,
    /// Bytes that the removal frees, without files with several names.
    bytes: u64,
    linked: HashMap<String, Linked>,
    is_open: bool,
    is_hidden: bool,
}

/// A file with several names.
#[derive(Debug)]
struct Linked {
    /// Number of the file's names in the directory.
    here: u64,
    all: u64,
    allocated_bytes: u64,
}

impl<'a> Survey<'a> {
    /// Starts a survey with the uids of the pods that exist; times are in nanoseconds.
    pub fn new(pods: &'a HashSet<String>, now: i64, grace_period: i64) -> Self {
        Self {
            pods,
            now,
            grace_period,
            current: None,
            choices: Vec::new(),
            kept: Kept::default(),
            gone: HashMap::new(),
            of_pods: 0,
        }
    }

    /// Processes one entry.
    pub fn look(&mut self, entry: &Entry<'_>) {
        if let Some(current) = self.current.as_mut().filter(|current| is_beneath(entry.path, &current.path)) {
            current.add(entry, self.now);
            return;
        }
        self.settle();
        let Some(uid) = pod_of(entry) else { return };
        self.of_pods += 1;
        self.current = (!self.pods.contains(uid)).then(|| Directory {
            path: entry.path.to_owned(),
            changed: entry.touched(self.now),
            bytes: entry.allocated_bytes,
            linked: HashMap::new(),
            is_open: entry.is_open,
            is_hidden: entry.is_hidden,
        });
    }

    /// Returns the number of pods' directories seen so far, of existing pods and of those that are gone.
    pub fn of_pods(&self) -> u64 {
        self.of_pods
    }

    /// Returns the directories to remove, in the order of the walk, and the numbers of those that are kept
    /// nevertheless.
    pub fn finish(mut self) -> (Vec<Choice>, Kept) {
        self.settle();
        (self.choices, self.kept)
    }

    /// Finishes a walk that ended early: its last directory was not seen as a whole and is not judged.
    pub fn cut_short(mut self) -> (Vec<Choice>, Kept) {
        self.current = None;
        self.finish()
    }

    fn settle(&mut self) {
        let Some(directory) = self.current.take() else { return };
        let age = self.now.saturating_sub(directory.changed);
        if age < 0 {
            self.kept.ahead += 1;
            return;
        }
        if age <= self.grace_period || directory.is_hidden {
            return;
        }
        if directory.is_open {
            self.kept.in_use += 1;
            return;
        }
        let text = format!("its pod is gone; last changed {} ago", rough_age(age));
        let bytes = directory.freed(&mut self.gone);
        self.choices.push(Choice { path: directory.path, text, bytes });
    }
}

impl Directory {
    fn add(&mut self, entry: &Entry<'_>, now: i64) {
        self.changed = self.changed.max(entry.touched(now));
        if entry.is_directory || entry.hard_links < 2 {
            self.bytes = self.bytes.saturating_add(entry.allocated_bytes);
        } else {
            let (all, allocated_bytes) = (entry.hard_links, entry.allocated_bytes);
            let linked = self.linked.entry(entry.identity.to_owned());
            linked.or_insert(Linked { here: 0, all, allocated_bytes }).here += 1;
        }
        self.is_open |= entry.is_open;
        self.is_hidden |= entry.is_hidden;
    }

    /// Computes the bytes that the removal frees, given the names of files that are gone by then; adds the directory's
    /// own names to them.
    fn freed(&self, gone: &mut HashMap<String, u64>) -> u64 {
        self.linked.iter().fold(self.bytes, |bytes, (identity, linked)| {
            let names = gone.entry(identity.clone()).or_default();
            *names += linked.here;
            // A file is freed with its last name.
            if *names >= linked.all { bytes.saturating_add(linked.allocated_bytes) } else { bytes }
        })
    }
}

/// Returns the uid of the pod if this is the pod's own directory, `NAMESPACE_POD_UID`; the content of that directory
/// belongs to the pod as well.
fn pod_of<'e>(entry: &Entry<'e>) -> Option<&'e str> {
    let uid = entry.pod_uid.filter(|_| entry.is_directory)?;
    let name = entry.path.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(uid).is_some_and(|rest| rest.ends_with('_')).then_some(uid)
}

fn is_beneath(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
