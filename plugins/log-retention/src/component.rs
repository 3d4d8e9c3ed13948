//! The glue between WIT and the decision.

#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "plugin" });
    export!(LogRetention with_types_in self);

    pub(super) struct LogRetention;
}

use bindings::exports::holystone::node::cleaner::{
    Decision, Guest, LogLocation, Problem, Reason, ReasonKind, Removal, Target, Verb,
};
use bindings::holystone::node::logs::{self, FileEntry, FileKind, OpenState, WalkOptions};
use bindings::holystone::node::types::Error;
use bindings::holystone::node::{host, log};
use holystone_core::config;

use crate::Config;
use crate::config::Rule;
use crate::goal::{Figures, Goals};
use crate::select::{Choice, File, Kind, MOST, Open, Survey, Taken};

/// How many entries are taken at a time.
const BATCH: u32 = 1_000;

impl From<config::Problem> for Problem {
    fn from(problem: config::Problem) -> Self {
        Self { field: problem.field, message: problem.message }
    }
}

impl Guest for bindings::LogRetention {
    fn validate(config: String) -> Result<(), Vec<Problem>> {
        Config::parse(&config).map(|_| ()).map_err(|problems| problems.into_iter().map(Problem::from).collect())
    }

    fn plan(config: String) -> Result<Decision, String> {
        let config = Config::parse(&config).map_err(|problems| config::Problem::line(&problems))?;
        let roots: Vec<String> = logs::roots().into_iter().map(|root| root.name).collect();
        let node = host::node();
        let mut goals = Goals::new(config.min_free, &figures(&roots, &node.filesystems));
        let (mut plan, mut taken, mut held_open, mut ahead) = (Vec::new(), Taken::default(), 0, 0_u64);
        for (number, rule) in config.rules.iter().enumerate() {
            let mut survey = Survey::new(rule, node.snapshot_time, &taken);
            for root in roots_of(rule, number, &roots)? {
                if goals.is_unknown(root) {
                    warn(&format!("nothing in log root {} is judged: how much of it is free is unknown", roots[root]));
                } else if goals.is_unmet(root) {
                    ahead += walk(&roots[root], root, rule, node.snapshot_time, &mut survey)?;
                }
            }
            let before = plan.len();
            held_open += survey.choose(&mut goals, &mut plan);
            taken.add(&plan[before..]);
        }
        if held_open > 0 {
            warn(&format!("files kept because a process holds them open, or may: {held_open}"));
        }
        if ahead > 0 {
            warn(&format!(
                "files kept because all of their times are ahead of the clock, so that their age is unknown: {ahead}"
            ));
        }
        if plan.len() == MOST {
            warn(&format!("there may be more to remove than the {MOST} files of one plan; the next run goes on"));
        }
        let removals = plan.into_iter().map(|choice| removal(choice, &roots)).collect();
        Ok(Decision { removals, matches: Vec::new(), notices: Vec::new(), attributes: Vec::new() })
    }
}

fn warn(message: &str) {
    log::log(log::Level::Warn, message);
}

/// What is known of the filesystem of each root.
fn figures(roots: &[String], filesystems: &[host::Filesystem]) -> Vec<Figures> {
    let of = |root: &String| {
        let name = format!("logs:{root}");
        let found = filesystems.iter().find(|filesystem| filesystem.name == name);
        found.map_or_else(Figures::default, |filesystem| Figures {
            capacity_bytes: filesystem.capacity_bytes,
            available_bytes: filesystem.available_bytes,
            inodes: (filesystem.inodes, filesystem.inodes_free),
        })
    };
    roots.iter().map(of).collect()
}

/// The numbers of the roots that a rule is about.
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

/// Shows the files in a root that a rule is about to it. Returns how many of them are of unknown age.
fn walk(name: &str, root: usize, rule: &Rule, now: i64, survey: &mut Survey<'_>) -> Result<u64, String> {
    let options = WalkOptions {
        prefix: String::new(),
        include: rule.include.clone(),
        exclude: rule.exclude.clone(),
        kinds: vec![FileKind::File],
        max_depth: None,
        attributes: Vec::new(),
    };
    let walk = logs::open(name, &options).map_err(|error| sentence(name, &error))?;
    let mut ahead = 0;
    loop {
        match walk.next(BATCH) {
            Ok(entries) if entries.is_empty() => return Ok(ahead),
            Ok(entries) => {
                for entry in entries {
                    match file(root, entry, now) {
                        Some(file) => survey.look(file),
                        None => ahead += 1,
                    }
                }
            }
            // With less than all, more is kept and not less.
            Err(Error::Limit(why)) => {
                warn(&why);
                return Ok(ahead);
            }
            Err(error) => return Err(sentence(name, &error)),
        }
    }
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

/// An entry as the rules see it; nothing if its age is unknown.
fn file(root: usize, entry: FileEntry, now: i64) -> Option<File> {
    let (modified, is_ahead) = File::time(entry.modified, entry.changed, now)?;
    Some(File {
        is_ahead,
        modified,
        root,
        path: entry.path,
        allocated_bytes: entry.allocated_bytes,
        hard_links: entry.hard_links,
        open: match entry.open {
            OpenState::Open => Open::Yes,
            OpenState::Closed => Open::No,
            OpenState::Unknown => Open::Unknown,
        },
    })
}

fn removal(choice: Choice, roots: &[String]) -> Removal {
    let expected_bytes = Some(choice.gain());
    let kind = match choice.kind {
        Kind::TooOld => ReasonKind::TooOld,
        Kind::TooLarge => ReasonKind::TooLarge,
        Kind::Superseded => ReasonKind::Superseded,
    };
    Removal {
        target: Target::LogFile(LogLocation { root: roots[choice.file.root].clone(), path: choice.file.path }),
        verb: if choice.truncate { Verb::Truncate } else { Verb::Remove },
        reason: Reason { kind, text: choice.text },
        expected_bytes,
        attributes: Vec::new(),
    }
}

/// The config's schema, for tools that look into the component without running it.
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
