//! The decision of one rule: which of the files that it is about should go, in which order, and why.
//!
//! Files are shown one by one and not all kept: of a group only the newest that stay in any case and the oldest that may
//! go, as many as one plan can have, and the sum of all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};

use holystone_core::text::rough_age;

use crate::config::{Per, Rule};
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

/// A file as this plugin sees it. Ordered from old to new.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
}

/// One file that should go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The file.
    pub file: File,
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

/// What earlier rules of a plan have come to.
#[derive(Debug, Default)]
pub struct Taken {
    files: HashSet<(usize, String)>,
}

/// Gathers the files that one rule is about.
#[derive(Debug)]
pub struct Survey<'a> {
    rule: &'a Rule,
    now: i64,
    taken: &'a Taken,
    groups: BTreeMap<(usize, String), Group>,
    /// How many files would go if no process held them open.
    held_open: usize,
}

#[derive(Debug, Default)]
struct Group {
    total_bytes: u64,
    /// The newest, of which the oldest comes first.
    newest: BinaryHeap<Reverse<File>>,
    /// The oldest, of which the newest comes first.
    oldest: BinaryHeap<File>,
}

impl<'a> Survey<'a> {
    /// Prepares for one rule, at the time `now` in nanoseconds since 1970.
    pub fn new(rule: &'a Rule, now: i64, taken: &'a Taken) -> Self {
        Self { rule, now, taken, groups: BTreeMap::new(), held_open: 0 }
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
        group.total_bytes = group.total_bytes.saturating_add(file.allocated_bytes);
        group.add(file, self.rule.keep_newest.map_or(0, |number| number as usize));
    }

    /// Adds to the plan what should go, the oldest first, as long as the goals are not met. Tells how many more would go
    /// if no process held them open.
    pub fn choose(mut self, goals: &mut Goals, plan: &mut Vec<Choice>) -> usize {
        let mut choices = Vec::new();
        for (_, group) in std::mem::take(&mut self.groups) {
            self.choose_in(group, &mut choices);
        }
        choices.sort_by(|one, other| one.file.cmp(&other.file));
        for choice in choices {
            if plan.len() < MOST && goals.is_unmet(choice.file.root) {
                goals.gain(choice.file.root, choice.gain());
                plan.push(choice);
            }
        }
        self.held_open
    }

    fn choose_in(&mut self, group: Group, choices: &mut Vec<Choice>) {
        let mut total = group.total_bytes;
        let first_kept = group.newest.peek().map(|Reverse(file)| file.clone());
        let is_full = group.newest.len() >= self.rule.keep_newest.map_or(0, |number| number as usize);
        for file in group.oldest.into_sorted_vec() {
            // The newest stay, in any case.
            if first_kept.as_ref().is_some_and(|first| file >= *first) {
                return;
            }
            // As it may be older than it seems it takes no place among the newest, nor does it go before they are there.
            if file.is_ahead && !is_full {
                continue;
            }
            let Some(kind) = self.kind(&file, total) else { continue };
            let truncate = self.may_be_open(&file);
            if truncate && !(self.rule.truncate_open && file.hard_links == 1 && file.allocated_bytes > 0) {
                self.held_open += 1;
                continue;
            }
            total = total.saturating_sub(file.allocated_bytes);
            let text = self.text(&file, kind);
            choices.push(Choice { file, truncate, kind, text });
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

impl Group {
    fn add(&mut self, file: File, keep: usize) {
        if keep > 0 && !file.is_ahead {
            self.newest.push(Reverse(file.clone()));
            if self.newest.len() > keep {
                self.newest.pop();
            }
        }
        self.oldest.push(file);
        if self.oldest.len() > MOST {
            self.oldest.pop();
        }
    }
}

impl Choice {
    /// How many bytes the filesystem should gain.
    pub fn gain(&self) -> u64 {
        if self.file.hard_links > 1 { 0 } else { self.file.allocated_bytes }
    }
}

impl Taken {
    /// Takes note of what a rule has come to, so that the rules after it leave it alone.
    pub fn add(&mut self, choices: &[Choice]) {
        self.files.extend(choices.iter().map(|choice| (choice.file.root, choice.file.path.clone())));
    }
}

#[cfg(test)]
mod tests;
