//! The decision of one rule: which of the files that it is about should go, in which order, and why.
//!
//! Files are shown one by one and not all kept: of a group only the newest that stay in any case and the oldest that may
//! go, as many as one plan can have, and the sum of all. A file with several names is one file: it counts once, stays or
//! goes with all of its names, and frees something only when none of them is left.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use holystone_core::text::rough_age;

use crate::config::{Per, Rule};
use crate::directories::{Directory, Scope};
use crate::goal::Goals;

/// How many files one plan takes. The next run goes on.
pub const MOST: usize = 20_000;
/// As long as it changed less than this ago, a file of which it is unknown whether it is open counts as open, as it does
/// with the host. In nanoseconds: one day.
const UNKNOWN_OPEN_AGE: i64 = 86_400 * SECOND;
const SECOND: i64 = 1_000_000_000;
/// How far ahead of the snapshot the times of a file may be that is written during the run.
const WELL_AHEAD: i64 = 3_600 * SECOND;

/// Whether a file is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Open {
    /// One does.
    Yes,
    /// None does.
    No,
    /// The host cannot tell.
    Unknown,
}

/// A name of a file as this plugin sees it. Ordered from old to new, all names of a file in a log root together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What it is judged by: when its content last changed, in nanoseconds since 1970; when its inode did, where its
    /// content is dated ahead of the clock.
    pub modified: i64,
    /// Number of its log root.
    pub root: usize,
    /// Its path there.
    pub path: String,
    /// What it takes on disk.
    pub allocated_bytes: u64,
    /// How many names it has.
    pub hard_links: u64,
    /// Which file it is; need not be known of one with a single name.
    pub identity: String,
    /// Whether it is in use.
    pub open: Open,
    /// Whether its content is dated ahead of the clock, so that its real age is at least the one that it is judged by.
    pub is_ahead: bool,
}

impl File {
    /// Decides what a file is judged by: none if all of its times are ahead of the clock `now`, further than files that
    /// are written during the run. All times are in nanoseconds since 1970.
    pub fn time(modified: i64, changed: i64, now: i64) -> Option<(i64, bool)> {
        if changed.min(modified) > now.saturating_add(WELL_AHEAD) {
            return None;
        }
        let is_ahead = modified > now && modified > changed;
        Some(if is_ahead { (changed, true) } else { (modified, false) })
    }

    /// Age first, and then whatever tells one file from another.
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

/// One name of a file, or one directory, that should go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The file.
    pub file: File,
    /// It is a directory, with what is in it.
    pub is_directory: bool,
    /// The bytes that the filesystem should gain: all with the last name, and nothing before.
    pub gain: u64,
    /// Cut it and leave it in place.
    pub truncate: bool,
    /// Why, as a kind.
    pub kind: Kind,
    /// Why, for people.
    pub text: String,
}

/// Why a file should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is older than `maxAge`.
    TooOld,
    /// Its group is over `maxTotalSize`.
    TooLarge,
    /// As many newer files as `keepNewest` says are kept.
    Superseded,
}

/// For how long an empty directory has to have been left alone unless the rule says so, in nanoseconds: ten minutes, as
/// with the host.
const SETTLED: i64 = 600 * SECOND;

impl Rule {
    /// Which empty directories the rule is about, at the time `now` in nanoseconds since 1970.
    pub fn scope(&self, now: i64) -> Scope {
        let age = self.max_age.map_or(SETTLED, |age| i64::try_from(age.get().as_nanos()).unwrap_or(i64::MAX));
        // Every glob of a rule has been read before.
        let globs = |texts: &[String]| texts.iter().filter_map(|text| text.parse().ok()).collect();
        let before = now.saturating_sub(age);
        Scope { include: globs(&self.include), exclude: globs(&self.exclude), before }
    }
}

/// What earlier rules of a plan have come to.
#[derive(Debug, Default)]
pub struct Taken {
    files: HashSet<(usize, String)>,
    /// The number of names of a file that go, of those with several.
    names: HashMap<String, u64>,
}

/// Gathers the files that one rule is about.
#[derive(Debug)]
pub struct Survey<'a> {
    rule: &'a Rule,
    now: i64,
    taken: &'a Taken,
    groups: BTreeMap<(usize, String), Group>,
    kept: Kept,
}

/// How many names of files would go but for a reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// A process holds them open, or may.
    pub held_open: usize,
    /// Their group would not get smaller, because the file keeps another name.
    pub named_elsewhere: usize,
    /// All of their times are ahead of the clock.
    pub ahead: usize,
}

impl Kept {
    /// Adds what another rule keeps.
    pub fn add(&mut self, more: Self) {
        self.held_open += more.held_open;
        self.named_elsewhere += more.named_elsewhere;
        self.ahead += more.ahead;
    }
}

#[derive(Debug, Default)]
struct Group {
    /// The size of the files on disk, each once.
    total_bytes: u64,
    /// The number of names of each file that has several.
    names: HashMap<String, u64>,
    /// Which of those are among the newest.
    newest_names: HashSet<String>,
    /// The newest, of which the oldest comes first.
    newest: BinaryHeap<Reverse<File>>,
    /// The oldest, of which the newest comes first.
    oldest: BinaryHeap<File>,
}

impl<'a> Survey<'a> {
    /// Prepares for one rule, at the time `now` in nanoseconds since 1970.
    pub fn new(rule: &'a Rule, now: i64, taken: &'a Taken) -> Self {
        Self { rule, now, taken, groups: BTreeMap::new(), kept: Kept::default() }
    }

    /// Looks at one file that the rule is about.
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

    /// Takes note of a file that the rule is about and that no time is known of.
    pub fn skip(&mut self) {
        self.kept.ahead += 1;
    }

    /// Adds to the plan what should go, the oldest first, as long as the goals are not met. Tells what is kept although
    /// the rule is about it.
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
                // A file that is cut keeps its inode.
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
            // The newest stay, in any case.
            if first_kept.as_ref().is_some_and(|first| file.rank() >= first.rank()) {
                return;
            }
            // As it may be older than it seems it takes no place among the newest, nor does it go before they are there.
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

/// Adds empty directories to the plan, as long as the goals are not met.
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

/// Returns what the filesystem gains with one more name, of a file of which these have gone already.
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
        // A file is among the newest once, whatever it is called there.
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
    /// Takes note of what a rule has come to, so that the rules after it leave it alone.
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
