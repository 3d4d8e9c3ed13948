//! The decision: which pods' log directories should go, and why. Entries are shown in the order of a walk, a directory
//! before its content, and only one directory is kept in mind at a time.

use std::collections::{HashMap, HashSet};

use holystone_core::text::rough_age;

/// One entry beneath a log root, as this plugin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its path.
    pub path: &'a str,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Uid of the pod that it belongs to.
    pub pod_uid: Option<&'a str>,
    /// When its content last changed, in nanoseconds since 1970.
    pub modified: i64,
    /// When it last changed itself.
    pub changed: i64,
    /// Its size on disk.
    pub allocated_bytes: u64,
    /// The number of its names, if it is a file.
    pub hard_links: u64,
    /// Which file it is, equal for all names of one.
    pub identity: &'a str,
    /// Whether a process holds it open.
    pub is_open: bool,
    /// Whether the host could not look beneath it.
    pub is_hidden: bool,
}

impl Entry<'_> {
    /// When anything about it last changed. A date of its content that is ahead of the clock says nothing.
    fn touched(&self, now: i64) -> i64 {
        if self.modified > now { self.changed } else { self.changed.max(self.modified) }
    }
}

/// One directory that should go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its path.
    pub path: String,
    /// Why, for people.
    pub text: String,
    /// What removing it should give back.
    pub bytes: u64,
}

/// Goes through one log root.
#[derive(Debug)]
pub struct Survey<'a> {
    pods: &'a HashSet<String>,
    now: i64,
    grace_period: i64,
    current: Option<Directory>,
    choices: Vec<Choice>,
    kept: Kept,
    /// The number of names that go with the choices, of each file that has several.
    gone: HashMap<String, u64>,
    /// The number of directories of pods, gone or not.
    of_pods: u64,
}

/// Directories of pods that are gone which are kept nevertheless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Something in them is in use.
    pub in_use: usize,
    /// Something in them changed after the snapshot, or at a time ahead of the clock.
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
    /// What removing it gives back, files with several names apart.
    bytes: u64,
    linked: HashMap<String, Linked>,
    is_open: bool,
    is_hidden: bool,
}

/// A file with several names.
#[derive(Debug)]
struct Linked {
    /// The number of them in the directory.
    here: u64,
    all: u64,
    allocated_bytes: u64,
}

impl<'a> Survey<'a> {
    /// Prepares, with the uids of the pods that there are; times in nanoseconds.
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

    /// Looks at one entry.
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

    /// The number of directories of pods that were shown, gone or not.
    pub fn of_pods(&self) -> u64 {
        self.of_pods
    }

    /// What should go, in the order of the paths, and how many more would if nothing kept them.
    pub fn finish(mut self) -> (Vec<Choice>, Kept) {
        self.settle();
        (self.choices, self.kept)
    }

    /// What ended before its directory did is not judged.
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

    /// What removing it gives back, after the names of files that are gone by then; adds its own to them.
    fn freed(&self, gone: &mut HashMap<String, u64>) -> u64 {
        self.linked.iter().fold(self.bytes, |bytes, (identity, linked)| {
            let names = gone.entry(identity.clone()).or_default();
            *names += linked.here;
            // A file is freed with its last name.
            if *names >= linked.all { bytes.saturating_add(linked.allocated_bytes) } else { bytes }
        })
    }
}

/// The uid of the pod whose own directory this is, which is called `NAMESPACE_POD_UID`; what is in it belongs to the pod
/// as well.
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
