//! The glue between WIT and the decision.

#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "plugin" });
    export!(OrphanPodLogs with_types_in self);

    pub(super) struct OrphanPodLogs;
}

use std::collections::HashSet;

use bindings::exports::holystone::node::cleaner::{
    Decision, Guest, LogLocation, PatternMatch, Problem, Reason, ReasonKind, Removal, Target, Verb,
};
use bindings::holystone::node::logs::{self, FileEntry, FileKind, OpenState, WalkOptions};
use bindings::holystone::node::types::Error;
use bindings::holystone::node::{host, log, pods};
use holystone_core::{config, matches};

use crate::Config;
use crate::select::{Choice, Entry, Kept, Survey};
use crate::tally::counted;

/// Number of entries requested at a time.
const BATCH: u32 = 1_000;

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

impl Guest for bindings::OrphanPodLogs {
    fn validate(config: String) -> Result<(), Vec<Problem>> {
        Config::parse(&config).map(|_| ()).map_err(|problems| problems.into_iter().map(Problem::from).collect())
    }

    fn plan(config: String) -> Result<Decision, String> {
        let config = Config::parse(&config).map_err(|problems| config::Problem::line(&problems))?;
        let node = host::node();
        if node.runtime_name.is_empty() {
            return Err("no container runtime is asked, so which pods exist is not known".to_owned());
        }
        let pods: HashSet<String> = pods::list().into_iter().map(|sandbox| sandbox.pod_uid).collect();
        if pods.is_empty() {
            return Err("the runtime lists no pod at all, so that every pod would count as gone".to_owned());
        }
        let grace_period = i64::try_from(config.grace_period.get().as_nanos()).unwrap_or(i64::MAX);
        let now = node.snapshot_time;
        let roots = roots(&config)?;
        let (mut removals, mut kept, mut of_pods) = (Vec::new(), Kept::default(), Vec::new());
        for root in &roots {
            let walked = walk(root, Survey::new(&pods, now, grace_period))?;
            removals.extend(walked.choices.into_iter().map(|choice| removal(root, choice)));
            kept += walked.kept;
            of_pods.push((root.as_str(), walked.of_pods));
        }
        tell(kept);
        let (matches, notices) = counted(&config, &of_pods);
        let matches = matches.into_iter().map(PatternMatch::from).collect();
        Ok(Decision { removals, matches, notices, attributes: Vec::new() })
    }
}

/// Logs how many directories are kept although their pod is gone.
fn tell(kept: Kept) {
    let reasons = [
        (kept.in_use, "something in them is in use"),
        (kept.ahead, "something in them changed after the snapshot, or at a time ahead of the clock"),
    ];
    for (number, reason) in reasons.into_iter().filter(|(number, _)| *number > 0) {
        log::log(log::Level::Warn, &format!("directories kept because {reason}: {number}"));
    }
}

/// Returns the names of the roots to walk.
fn roots(config: &Config) -> Result<Vec<String>, String> {
    let known: Vec<String> = logs::roots().into_iter().map(|root| root.name).collect();
    match config.roots.iter().find(|name| !known.contains(name)) {
        Some(missing) => Err(format!("roots: there is no log root {missing}, there are: {}", known.join(", "))),
        None if config.roots.is_empty() => Ok(known),
        None => Ok(config.roots.clone()),
    }
}

/// The result of a walk through one log root.
struct Walked {
    choices: Vec<Choice>,
    kept: Kept,
    /// Number of pods' directories; `None` if the walk ended early.
    of_pods: Option<u64>,
}

fn walk(root: &str, mut survey: Survey<'_>) -> Result<Walked, String> {
    let options = WalkOptions {
        prefix: String::new(),
        include: Vec::new(),
        exclude: Vec::new(),
        kinds: Vec::new(),
        max_depth: None,
        attributes: Vec::new(),
    };
    let walk = logs::open(root, &options).map_err(|error| sentence(root, &error))?;
    let is_whole = loop {
        match walk.next(BATCH) {
            Ok(entries) if entries.is_empty() => break true,
            Ok(entries) => entries.iter().for_each(|entry| survey.look(&seen(entry))),
            Err(Error::Limit(why)) => {
                log::log(log::Level::Warn, &why);
                break false;
            }
            Err(error) => return Err(sentence(root, &error)),
        }
    };
    let of_pods = is_whole.then_some(survey.of_pods());
    let (choices, kept) = if is_whole { survey.finish() } else { survey.cut_short() };
    Ok(Walked { choices, kept, of_pods })
}

fn seen(entry: &FileEntry) -> Entry<'_> {
    Entry {
        path: &entry.path,
        is_directory: entry.kind == FileKind::Directory,
        pod_uid: entry.pod_uid.as_deref(),
        modified: entry.modified,
        changed: entry.changed,
        allocated_bytes: entry.allocated_bytes,
        hard_links: entry.hard_links,
        identity: &entry.identity,
        // The host decides about entries whose use is unknown: it knows the age from which they count as unused.
        is_open: entry.open == OpenState::Open,
        is_hidden: entry.attributes.iter().any(|(name, _)| name == "not-entered"),
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

fn removal(root: &str, choice: Choice) -> Removal {
    Removal {
        target: Target::LogDirectory(LogLocation { root: root.to_owned(), path: choice.path }),
        verb: Verb::Remove,
        reason: Reason { kind: ReasonKind::PodGone, text: choice.text },
        expected_bytes: Some(choice.bytes),
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
