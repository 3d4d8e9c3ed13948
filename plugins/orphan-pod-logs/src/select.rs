//! The decision: which pods' log directories should go, and why. Entries are shown in the order of a walk, a directory
//! before its content, and only one directory is kept in mind at a time.

use std::collections::HashSet;

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
    /// What removing it gives back.
    pub bytes: u64,
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
    bytes: u64,
    is_open: bool,
    is_hidden: bool,
}

impl<'a> Survey<'a> {
    /// Prepares, with the uids of the pods that there are; times in nanoseconds.
    pub fn new(pods: &'a HashSet<String>, now: i64, grace_period: i64) -> Self {
        Self { pods, now, grace_period, current: None, choices: Vec::new(), kept: Kept::default() }
    }

    /// Looks at one entry.
    pub fn look(&mut self, entry: &Entry<'_>) {
        if let Some(current) = self.current.as_mut().filter(|current| is_beneath(entry.path, &current.path)) {
            current.add(entry, self.now);
            return;
        }
        self.settle();
        self.current = self.is_of_gone_pod(entry).then(|| Directory {
            path: entry.path.to_owned(),
            changed: entry.touched(self.now),
            bytes: entry.bytes,
            is_open: entry.is_open,
            is_hidden: entry.is_hidden,
        });
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

    /// A pod's own directory is called `NAMESPACE_POD_UID`; what is in it belongs to the pod as well.
    fn is_of_gone_pod(&self, entry: &Entry<'_>) -> bool {
        let Some(uid) = entry.pod_uid.filter(|_| entry.is_directory) else { return false };
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        name.strip_suffix(uid).is_some_and(|rest| rest.ends_with('_')) && !self.pods.contains(uid)
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
        self.choices.push(Choice { path: directory.path, text, bytes: directory.bytes });
    }
}

impl Directory {
    fn add(&mut self, entry: &Entry<'_>, now: i64) {
        self.changed = self.changed.max(entry.touched(now));
        self.bytes = self.bytes.saturating_add(entry.bytes);
        self.is_open |= entry.is_open;
        self.is_hidden |= entry.is_hidden;
    }
}

fn is_beneath(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests;
