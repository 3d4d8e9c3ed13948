//! The decision of one rule: the files to remove, their order, and the reasons.
//!
//! Files arrive one by one, and not all are kept in memory: of a group, only the newest, which stay in any case, the
//! oldest, which may be removed (as many as one plan takes), and the total size. A file with several names is one file:
//! it counts once, stays or goes with all of its names, and frees space only when its last name is removed.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use holystone_core::text::rough_age;

use crate::config::{Per, Rule};
use crate::directories::{Directory, Scope};
use crate::goal::Goals;

/// Maximum number of files in one plan; the next run continues.
pub const MOST: usize = 20_000;
/// Age, in nanoseconds, below which a file whose use is unknown counts as open, as it does with the host: one day.
const UNKNOWN_OPEN_AGE: i64 = 86_400 * SECOND;
const SECOND: i64 = 1_000_000_000;
/// Maximum time, in nanoseconds, that a file written during the run can be ahead of the snapshot: one hour.
const WELL_AHEAD: i64 = 3_600 * SECOND;

/// The usage of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Open {
    /// In use.
    Yes,
    /// Not in use.
    No,
    /// Unknown to the host.
    Unknown,
}

/// A name of a file as this plugin sees it. Names sort from old to new, all names of a file in a log root together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Time that the file is judged by, in nanoseconds since 1970: the last change of the content, or of the inode if
    /// the content is dated ahead of the clock.
    pub modified: i64,
    /// Number of the log root.
    pub root: usize,
    /// Path under the log root.
    pub path: String,
    /// Bytes allocated on disk.
    pub allocated_bytes: u64,
    /// Number of names of the file.
    pub hard_links: u64,
    /// Identity of the file; may be empty if the file has a single name.
    pub identity: String,
    /// Usage of the file.
    pub open: Open,
    /// Set when the content is dated ahead of the clock, so that the real age is at least the age that the file is
    /// judged by.
    pub is_ahead: bool,
}

impl File {
    /// Determines the time that a file is judged by, and whether its content is dated ahead of the clock. Returns
    /// `None` if all of its times are further ahead of `now` than those of a file written during the run can be. All
    /// times are in nanoseconds since 1970.
    pub fn time(modified: i64, changed: i64, now: i64) -> Option<(i64, bool)> {
        if changed.min(modified) > now.saturating_add(WELL_AHEAD) {
            return None;
        }
        let is_ahead = modified > now && modified > changed;
        Some(if is_ahead { (changed, true) } else { (modified, false) })
    }

    /// Returns the sort key: the time first, then the root and the identity or path, which distinguish files of the
    /// same time.
    fn rank(&self) -> (i64, usize, &str) {
        (self.modified, self.root, if self.has_several_names() { &self.identity } else { &self.path })
    }

    fn has_several_names(&self) -> bool {
        self.hard_links > 1
    }
}

impl PartialOrd for File {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for File {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| self.path.cmp(&other.path))
    }
}

/// A name of a file, or a directory, to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// File, or a directory recorded as one.
    pub file: File,
    /// Set for a directory, which is removed with its content.
    pub is_directory: bool,
    /// Bytes that the filesystem should gain: all with the last name, and none before.
    pub gain: u64,
    /// Set when the file is truncated and left in place.
    pub truncate: bool,
    /// Kind of the reason.
    pub kind: Kind,
    /// Reason, for people.
    pub text: String,
}

/// The reason why a file should be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file older than `maxAge`, or an empty directory that has not changed for long enough.
    TooOld,
    /// A file in a group larger than `maxTotalSize`.
    TooLarge,
    /// A file of which as many newer ones are kept as `keepNewest` says.
    Superseded,
}

/// Minimum time since the last change of an empty directory unless the rule sets another, in nanoseconds: ten minutes,
/// as with the host.
const SETTLED: i64 = 600 * SECOND;

impl Rule {
    /// Builds the scope of the empty directories that the rule covers, at the time `now` in nanoseconds since 1970.
    pub fn scope(&self, now: i64) -> Scope {
        let age = self.max_age.map_or(SETTLED, |age| i64::try_from(age.get().as_nanos()).unwrap_or(i64::MAX));
        // The parser of the config has already checked every glob of a rule.
        let globs = |texts: &[String]| texts.iter().filter_map(|text| text.parse().ok()).collect();
        let before = now.saturating_sub(age);
        Scope { include: globs(&self.include), exclude: globs(&self.exclude), before }
    }
}

/// The choices of earlier rules of a plan.
#[derive(Debug, Default)]
pub struct Taken {
    files: HashSet<(usize, String)>,
    /// Number of names that are removed, for each file with several.
    names: HashMap<String, u64>,
}

/// A survey of the files that one rule covers.
#[derive(Debug)]
pub struct Survey<'a> {
    rule: &'a Rule,
    now: i64,
    taken: &'a Taken,
    groups: BTreeMap<(usize, String), Group>,
    kept: Kept,
}

/// The numbers of file names that are kept although a rule covers them, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Number of names of files that a process holds open, or may hold open.
    pub held_open: usize,
    /// Number of names whose removal would not make their group smaller, because the file keeps another name.
    pub named_elsewhere: usize,
    /// Number of names of files whose times are all ahead of the clock.
    pub ahead: usize,
}

impl Kept {
    /// Adds the numbers of another rule.
    pub fn add(&mut self, more: Self) {
        self.held_open += more.held_open;
        self.named_elsewhere += more.named_elsewhere;
        self.ahead += more.ahead;
    }
}

#[derive(Debug, Default)]
struct Group {
    /// Size of the files on disk, each counted once.
    total_bytes: u64,
    /// Number of names of each file that has several.
    names: HashMap<String, u64>,
    /// Identities of those files that are among the newest.
    newest_names: HashSet<String>,
    /// Newest files, the oldest of them first.
    newest: BinaryHeap<Reverse<File>>,
    /// Oldest files, the newest of them first.
    oldest: BinaryHeap<File>,
}

impl<'a> Survey<'a> {
    /// Starts a survey for one rule, at the time `now` in nanoseconds since 1970.
    pub fn new(rule: &'a Rule, now: i64, taken: &'a Taken) -> Self {
        Self { rule, now, taken, groups: BTreeMap::new(), kept: Kept::default() }
    }

    /// Processes one file that the rule covers.
    pub fn look(&mut self, file: File) {
        let only_age = self.rule.keep_newest.is_none() && self.rule.max_total_size.is_none();
        if (only_age && !self.is_old(&file)) || self.taken.files.contains(&(file.root, file.path.clone())) {
            return;
        }
        let directory = match self.rule.per {
            Per::Root => "",
            Per::Directory => file.path.rsplit_once('/').map_or("", |(directory, _)| directory),
        };
        let group = self.groups.entry((file.root, directory.to_owned())).or_default();
        group.count(&file);
        group.add(file, self.rule.keep_newest.map_or(0, |number| number as usize));
    }

    /// Counts a file that the rule covers and whose age is unknown.
    pub fn skip(&mut self) {
        self.kept.ahead += 1;
    }

    /// Adds the files to remove to the plan, the oldest first, until the goals are met. Returns the numbers of those
    /// that are kept although the rule covers them.
    pub fn choose(mut self, goals: &mut Goals, plan: &mut Vec<Choice>) -> Kept {
        let mut choices = Vec::new();
        for (_, group) in std::mem::take(&mut self.groups) {
            self.choose_in(group, &mut choices);
        }
        choices.sort_by(|one, other| one.file.cmp(&other.file));
        let mut names = self.taken.names.clone();
        for mut choice in choices {
            if plan.len() < MOST && goals.is_unmet(choice.file.root) {
                choice.gain = gain(&choice.file, &mut names);
                // A truncated file keeps its inode.
                let inodes = u64::from(!choice.truncate && (choice.gain > 0 || !choice.file.has_several_names()));
                goals.gain(choice.file.root, choice.gain, inodes);
                plan.push(choice);
            }
        }
        self.kept
    }

    fn choose_in(&mut self, group: Group, choices: &mut Vec<Choice>) {
        let mut total = group.total_bytes;
        let first_kept = group.newest.peek().map(|Reverse(file)| file.clone());
        let is_full = group.newest.len() >= self.rule.keep_newest.map_or(0, |number| number as usize);
        let sorted = group.oldest.into_sorted_vec();
        for names in sorted.chunk_by(|one, other| one.rank() == other.rank()) {
            let Some(file) = names.first() else { continue };
            // The newest files stay in any case.
            if first_kept.as_ref().is_some_and(|first| file.rank() >= first.rank()) {
                return;
            }
            // A file dated ahead of the clock may be older than it seems. Such a file takes no place among the newest,
            // and is not removed before all of those places are taken.
            if file.is_ahead && !is_full {
                continue;
            }
            let Some(kind) = self.kind(file, total) else { continue };
            let here = if file.has_several_names() { group.names.get(&file.identity).copied().unwrap_or(1) } else { 1 };
            let is_whole = names.len() as u64 == here;
            let before = self.taken.names.get(&file.identity).copied().unwrap_or(0);
            if kind == Kind::TooLarge && !(is_whole && here.saturating_add(before) >= file.hard_links) {
                self.kept.named_elsewhere += names.len();
                continue;
            }
            let truncate = self.may_be_open(file);
            if truncate && !(self.rule.truncate_open && file.hard_links == 1 && file.allocated_bytes > 0) {
                self.kept.held_open += names.len();
                continue;
            }
            if is_whole {
                total = total.saturating_sub(file.allocated_bytes);
            }
            let text = self.text(file, kind);
            choices.extend(names.iter().map(|file| Choice {
                file: file.clone(),
                is_directory: false,
                gain: 0,
                truncate,
                kind,
                text: text.clone(),
            }));
        }
    }

    fn kind(&self, file: &File, total: u64) -> Option<Kind> {
        let Rule { max_age, max_total_size, .. } = self.rule;
        if self.is_old(file) {
            Some(Kind::TooOld)
        } else if max_total_size.is_some_and(|limit| total > limit.get()) {
            Some(Kind::TooLarge)
        } else {
            (max_age.is_none() && max_total_size.is_none()).then_some(Kind::Superseded)
        }
    }

    fn is_old(&self, file: &File) -> bool {
        let age = i128::from(self.now) - i128::from(file.modified);
        self.rule.max_age.is_some_and(|limit| age > limit.get().as_nanos())
    }

    fn may_be_open(&self, file: &File) -> bool {
        match file.open {
            Open::Yes => true,
            Open::No => false,
            Open::Unknown => self.now.saturating_sub(file.modified) < UNKNOWN_OPEN_AGE,
        }
    }

    fn text(&self, file: &File, kind: Kind) -> String {
        let group = if self.rule.per == Per::Root { "its log root" } else { "its directory" };
        match (kind, self.rule.max_age, self.rule.max_total_size) {
            (Kind::TooOld, Some(limit), _) => {
                let what = if file.is_ahead { "dated ahead of the clock, its inode changed" } else { "last changed" };
                format!("{what} {} ago, maxAge is {limit}", rough_age(self.now.saturating_sub(file.modified)))
            }
            (Kind::TooLarge, _, Some(limit)) => format!("among the oldest in {group}, maxTotalSize is {limit}"),
            _ => format!("not among the {} newest in {group}", self.rule.keep_newest.unwrap_or_default()),
        }
    }
}

/// Adds empty directories to the plan, until the goals are met.
pub fn take_directories(found: Vec<Directory>, root: usize, now: i64, goals: &mut Goals, plan: &mut Vec<Choice>) {
    for Directory { path, modified, allocated_bytes, .. } in found {
        if plan.len() >= MOST || !goals.is_unmet(root) {
            return;
        }
        goals.gain(root, allocated_bytes, 1);
        let text = format!("empty, last changed {} ago", rough_age(now.saturating_sub(modified)));
        let file = File {
            modified,
            root,
            path,
            allocated_bytes,
            hard_links: 1,
            identity: String::new(),
            open: Open::No,
            is_ahead: false,
        };
        plan.push(Choice {
            file,
            is_directory: true,
            gain: allocated_bytes,
            truncate: false,
            kind: Kind::TooOld,
            text,
        });
    }
}

/// Returns the bytes that the filesystem gains when one more name of a file is removed, given the names that are gone
/// already.
fn gain(file: &File, names: &mut HashMap<String, u64>) -> u64 {
    if !file.has_several_names() {
        return file.allocated_bytes;
    }
    let gone = names.entry(file.identity.clone()).or_default();
    *gone += 1;
    if *gone == file.hard_links { file.allocated_bytes } else { 0 }
}

impl Group {
    /// Counts a file once, and its names.
    fn count(&mut self, file: &File) {
        let mut is_first = true;
        if file.has_several_names() {
            let names = self.names.entry(file.identity.clone()).or_default();
            is_first = *names == 0;
            *names += 1;
        }
        if is_first {
            self.total_bytes = self.total_bytes.saturating_add(file.allocated_bytes);
        }
    }

    fn add(&mut self, file: File, keep: usize) {
        // A file with several names takes one place among the newest.
        let newest_names = &mut self.newest_names;
        let mut is_first = || !file.has_several_names() || newest_names.insert(file.identity.clone());
        if keep > 0 && !file.is_ahead && is_first() {
            self.newest.push(Reverse(file.clone()));
            if self.newest.len() > keep
                && let Some(Reverse(oldest)) = self.newest.pop()
            {
                self.newest_names.remove(&oldest.identity);
            }
        }
        self.oldest.push(file);
        if self.oldest.len() > MOST {
            self.oldest.pop();
        }
    }
}

impl Taken {
    /// Records the choices of a rule, so that later rules leave those files alone.
    pub fn add(&mut self, choices: &[Choice]) {
        for Choice { file, .. } in choices {
            self.files.insert((file.root, file.path.clone()));
            if file.has_several_names() {
                *self.names.entry(file.identity.clone()).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
