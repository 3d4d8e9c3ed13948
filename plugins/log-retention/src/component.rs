//! The glue between WIT and the decision.

#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "plugin" });
    export!(LogRetention with_types_in self);

    pub(super) struct LogRetention;
}

use bindings::exports::holystone::node::cleaner::{
    Decision, Guest, LogLocation, PatternMatch, Problem, Reason, ReasonKind, Removal, Target, Verb,
};
use bindings::holystone::node::logs::{self, FileEntry, FileKind, OpenState, WalkOptions};
use bindings::holystone::node::types::Error;
use bindings::holystone::node::{host, log};
use holystone_core::{config, matches};

use crate::Config;
use crate::config::Rule;
use crate::directories::{Directory, Search};
use crate::goal::{Figures, Goals};
use crate::select::{self, Choice, File, Kept, Kind, MOST, Open, Survey, Taken};
use crate::tally::{Counts, Names};

/// Number of entries requested at a time.
const BATCH: u32 = 1_000;
/// Number of batches that are read to suggest a glob.
const SAMPLE: usize = 5;

impl From<config::Problem> for Problem {
    fn from(problem: config::Problem) -> Self {
        Self { field: problem.field, message: problem.message }
    }
}

impl From<matches::PatternMatch> for PatternMatch {
    fn from(one: matches::PatternMatch) -> Self {
        Self { field: one.field, pattern: one.pattern, matches: one.matches }
    }
}

impl Guest for bindings::LogRetention {
    fn validate(config: String) -> Result<(), Vec<Problem>> {
        Config::parse(&config).map(|_| ()).map_err(|problems| problems.into_iter().map(Problem::from).collect())
    }

    fn plan(config: String) -> Result<Decision, String> {
        let config = Config::parse(&config).map_err(|problems| config::Problem::line(&problems))?;
        let (declared, node) = (logs::roots(), host::node());
        let goals = Goals::new(config.goal, &figures(&declared, &node.filesystems));
        let roots = declared.into_iter().map(|root| root.name).collect();
        let mut planning = Planning { roots, now: node.snapshot_time, goals, ..Planning::default() };
        for (number, rule) in config.rules.iter().enumerate() {
            planning.follow(number, rule)?;
        }
        Ok(planning.decision())
    }
}

/// A plan in progress, rule by rule.
#[derive(Default)]
struct Planning {
    /// Names of the log roots.
    roots: Vec<String>,
    now: i64,
    goals: Goals,
    plan: Vec<Choice>,
    taken: Taken,
    kept: Kept,
    matches: Vec<matches::PatternMatch>,
    notices: Vec<String>,
}

impl Planning {
    fn follow(&mut self, number: usize, rule: &Rule) -> Result<(), String> {
        let mut counts = Counts::of(rule);
        let (before, roots) = (self.plan.len(), roots_of(rule, number, &self.roots)?);
        let mut survey = Survey::new(rule, self.now, &self.taken);
        for (place, root) in roots.iter().copied().enumerate() {
            let name = &self.roots[root];
            if self.goals.is_unknown(root) {
                warn(&format!("nothing in log root {name} is judged: how much of it is free is unknown"));
            }
            if !self.goals.is_unmet(root) {
                counts.is_whole = false;
                continue;
            }
            let in_it = if rule.is_of_directories {
                let (found, in_it) = empty_directories(name, rule, self.now, &mut counts)?;
                select::take_directories(found, root, self.now, &mut self.goals, &mut self.plan);
                in_it
            } else {
                walk(name, root, rule, self.now, &mut survey, &mut counts)?
            };
            if let Some(count) = counts.roots.get_mut(place) {
                *count = in_it;
            }
        }
        let more = survey.choose(&mut self.goals, &mut self.plan);
        self.kept.add(more);
        self.taken.add(&self.plan[before..]);
        self.count(number, rule, &roots, &counts);
        Ok(())
    }

    /// Records the matches of a rule's patterns, and the notices about them.
    fn count(&mut self, number: usize, rule: &Rule, roots: &[usize], counts: &Counts) {
        let mut names = Names::default();
        if counts.has_unmatched() {
            for root in roots {
                gather(&self.roots[*root], &mut names);
            }
        }
        let matches = counts.matches(number, rule);
        self.notices.extend(counts.notices(&matches, rule, &names));
        self.matches.extend(matches);
    }

    fn decision(self) -> Decision {
        let Self { roots, plan, kept, matches, notices, .. } = self;
        tell(kept);
        if plan.len() == MOST {
            warn(&format!(
                "there may be more to remove than the {MOST} files of one plan; the next run takes the rest"
            ));
        }
        Decision {
            removals: plan.into_iter().map(|choice| removal(choice, &roots)).collect(),
            matches: matches.into_iter().map(PatternMatch::from).collect(),
            notices,
            attributes: Vec::new(),
        }
    }
}

/// Logs how many files are kept although a rule covers them.
fn tell(kept: Kept) {
    if kept.held_open > 0 {
        warn(&format!("files kept because a process holds them open, or may: {}", kept.held_open));
    }
    if kept.named_elsewhere > 0 {
        let count = kept.named_elsewhere;
        warn(&format!(
            "names kept because their files have others that stay, and removing them frees nothing: {count}"
        ));
    }
    if kept.ahead > 0 {
        warn(&format!(
            "files kept because all of their times are ahead of the clock, so that their age is unknown: {}",
            kept.ahead
        ));
    }
}

fn warn(message: &str) {
    log::log(log::Level::Warn, message);
}

/// Returns the known figures of the filesystem of each root.
fn figures(roots: &[logs::LogRoot], filesystems: &[host::Filesystem]) -> Vec<Figures> {
    let of = |root: &logs::LogRoot| {
        let name = format!("logs:{}", root.name);
        let found = filesystems.iter().find(|filesystem| filesystem.name == name);
        let figures = found.map_or_else(Figures::default, |filesystem| Figures {
            identity: None,
            capacity_bytes: filesystem.capacity_bytes,
            available_bytes: filesystem.available_bytes,
            inodes: filesystem.inodes,
            inodes_free: filesystem.inodes_free,
        });
        Figures { identity: root.filesystem.clone(), ..figures }
    };
    roots.iter().map(of).collect()
}

/// Resolves the roots that a rule covers to their numbers.
fn roots_of(rule: &Rule, number: usize, roots: &[String]) -> Result<Vec<usize>, String> {
    if rule.roots.is_empty() {
        return Ok((0..roots.len()).collect());
    }
    let find = |name: &String| {
        let missing = || format!("rules[{number}].roots: there is no log root {name}, there are: {}", roots.join(", "));
        roots.iter().position(|root| root == name).ok_or_else(missing)
    };
    rule.roots.iter().map(find).collect()
}

/// Options of a walk over all entries of a root.
const EVERYTHING: WalkOptions = WalkOptions {
    prefix: String::new(),
    include: Vec::new(),
    exclude: Vec::new(),
    kinds: Vec::new(),
    max_depth: None,
    attributes: Vec::new(),
};

/// Passes the files in a root that a rule covers to the rule's survey. Returns their number.
fn walk(
    name: &str,
    root: usize,
    rule: &Rule,
    now: i64,
    survey: &mut Survey<'_>,
    counts: &mut Counts,
) -> Result<u64, String> {
    let options = WalkOptions {
        include: rule.include.clone(),
        exclude: rule.exclude.clone(),
        kinds: vec![FileKind::File],
        ..EVERYTHING
    };
    let walk = logs::open(name, &options).map_err(|error| sentence(name, &error))?;
    let mut seen = 0;
    loop {
        match walk.next(BATCH) {
            Ok(entries) if entries.is_empty() => break,
            Ok(entries) => {
                seen += entries.len() as u64;
                for entry in entries {
                    match file(root, entry, now) {
                        Some(file) => survey.look(file),
                        None => survey.skip(),
                    }
                }
            }
            // If the walk is incomplete, the rule keeps more files, never fewer.
            Err(Error::Limit(why)) => {
                warn(&why);
                counts.is_whole = false;
                break;
            }
            Err(error) => return Err(sentence(name, &error)),
        }
    }
    let matched = walk.counts();
    counts.add(&matched.include, &matched.exclude);
    Ok(seen)
}

/// Finds the empty directories in a root that a rule covers, and adds up the matches of the rule's globs. The walk must
/// include every entry: a directory whose entries are left out would look empty.
fn empty_directories(name: &str, rule: &Rule, now: i64, counts: &mut Counts) -> Result<(Vec<Directory>, u64), String> {
    let scope = rule.scope(now);
    let mut search = Search::new(&scope);
    let walk = logs::open(name, &EVERYTHING).map_err(|error| sentence(name, &error))?;
    let is_whole = loop {
        match walk.next(BATCH) {
            Ok(entries) if entries.is_empty() => break true,
            Ok(entries) => entries.into_iter().for_each(|entry| show(&mut search, entry, now)),
            Err(Error::Limit(why)) => {
                warn(&why);
                break false;
            }
            Err(error) => return Err(sentence(name, &error)),
        }
    };
    counts.is_whole &= is_whole;
    let (include, exclude) = search.counts();
    counts.add(include, exclude);
    let matched = include.iter().sum();
    Ok((search.finish(is_whole), matched))
}

/// Gathers names in a root, to suggest a glob; the first ones are enough.
fn gather(root: &str, names: &mut Names) {
    let Ok(walk) = logs::open(root, &EVERYTHING) else { return };
    for _ in 0..SAMPLE {
        match walk.next(BATCH) {
            Ok(entries) if !entries.is_empty() => entries.iter().for_each(|entry| names.add(&entry.path)),
            _ => return,
        }
    }
}

/// Passes an entry to the search. Directories of pods are left to another plugin, which knows which pods exist.
fn show(search: &mut Search<'_>, entry: FileEntry, now: i64) {
    if entry.kind != FileKind::Directory {
        return search.other(&entry.path);
    }
    let was_entered = !entry.attributes.iter().any(|(name, _)| name == "not-entered");
    let FileEntry { path, modified, changed, allocated_bytes, .. } = entry;
    // As with files, a date ahead of the clock is ignored.
    let time = File::time(modified, changed, now).map(|(modified, _)| modified);
    let is_known = was_entered && entry.pod_uid.is_none() && time.is_some();
    search.directory(Directory { path, modified: time.unwrap_or(modified), changed, allocated_bytes }, is_known);
}

fn sentence(root: &str, error: &Error) -> String {
    let (Error::Denied(why)
    | Error::NotFound(why)
    | Error::Invalid(why)
    | Error::Limit(why)
    | Error::Unavailable(why)
    | Error::Other(why)) = error;
    format!("log root {root} cannot be walked: {why}")
}

/// Converts an entry to a file as the rules see it; `None` if its age is unknown.
fn file(root: usize, entry: FileEntry, now: i64) -> Option<File> {
    let (modified, is_ahead) = File::time(entry.modified, entry.changed, now)?;
    Some(File {
        is_ahead,
        modified,
        root,
        path: entry.path,
        allocated_bytes: entry.allocated_bytes,
        hard_links: entry.hard_links,
        // Most files have one name, and need no identity.
        identity: if entry.hard_links > 1 { entry.identity } else { String::new() },
        open: match entry.open {
            OpenState::Open => Open::Yes,
            OpenState::Closed => Open::No,
            OpenState::Unknown => Open::Unknown,
        },
    })
}

fn removal(choice: Choice, roots: &[String]) -> Removal {
    let place = LogLocation { root: roots[choice.file.root].clone(), path: choice.file.path };
    let kind = match choice.kind {
        Kind::TooOld => ReasonKind::TooOld,
        Kind::TooLarge => ReasonKind::TooLarge,
        Kind::Superseded => ReasonKind::Superseded,
    };
    Removal {
        target: if choice.is_directory { Target::LogDirectory(place) } else { Target::LogFile(place) },
        verb: if choice.truncate { Verb::Truncate } else { Verb::Remove },
        reason: Reason { kind, text: choice.text },
        expected_bytes: Some(choice.gain),
        attributes: Vec::new(),
    }
}

/// JSON Schema of the config, for tools that inspect the component without running it.
#[used]
#[expect(
    unsafe_code,
    reason = "naming a section is unsafe in general; a custom section of a Wasm module is not even loaded"
)]
#[unsafe(link_section = "holystone:config-schema")]
static CONFIG_SCHEMA: [u8; crate::SCHEMA.len()] = {
    let mut bytes = [0; crate::SCHEMA.len()];
    bytes.copy_from_slice(crate::SCHEMA.as_bytes());
    bytes
};
