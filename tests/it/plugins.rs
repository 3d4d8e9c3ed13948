//! Plugins that misbehave, run on a simulated node. Each is stopped with its own reason in a bounded time, and what
//! became of the node is asked of the node, never of the report: a plugin that failed has not led to one removal.
//!
//! - `time`: those that do not end.
//! - `memory`: those that want too much of it, their own or the host's.
//! - `arbitrary`: those that chance made.
//! - `bombs`: small ones that compiling blows up, by their shapes.
//! - `compiling`: those that take too much before any of their code runs, and their schemas.
//! - `crash`: those that break, and those whose answers are broken.
//! - `wishes`: those that wish for what must stay.
//! - `words`: those that say what no terminal should hear.
//! - `knowledge`: those that want to know or do more than they may.
//! - `files`: those that are no plugins.

mod arbitrary;
mod bombs;
mod compiling;
mod crash;
mod files;
mod knowledge;
mod memory;
mod time;
mod wishes;
mod words;

pub(crate) use compiling::{checking, doubling, is_alive};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holystone_core::snapshot::Snapshot;
use holystone_core::text::is_harmful;
use holystone_node::Faults;
use holystone_tests::misbehave;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::simulated::{TestNode, id, whole};
use crate::support::{Ended, deciding, end_within, on};

/// No run takes longer, on however busy a machine: what takes longer would take for ever.
const BOUND: Duration = Duration::from_mins(2);

/// A plugin that means harm, and how it is run.
struct Attack {
    plugin: PathBuf,
    config: Value,
    flags: Vec<String>,
}

/// The guest that does what its config asks for.
fn harm(what: &str) -> Attack {
    attack(misbehave().to_owned()).config(json!({ "do": what }))
}

/// A guest of which the text lies in `tests/guests`.
fn guest(name: &str) -> Attack {
    attack(holystone_tests::guest(name))
}

/// Any file, or what else a user may give for a plugin.
fn attack(plugin: PathBuf) -> Attack {
    Attack { plugin, config: json!({}), flags: Vec::new() }
}

impl Attack {
    fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// With these flags, which make up one command-line text.
    fn with(mut self, flags: &str) -> Self {
        self.flags.extend(flags.split(' ').map(str::to_owned));
        self
    }

    /// How `run` ends on this node.
    fn run(&self, node: &TestNode) -> Ended {
        let mut command = deciding("run", &[(&self.plugin, &self.config.to_string())]);
        on(&mut command, &node.endpoint()).args(&self.flags);
        // A busy machine is no reason for a well-behaved plugin to fail.
        if !self.flags.iter().any(|flag| flag == "--timeout") {
            command.args(["--timeout", "1m"]);
        }
        if !self.flags.iter().any(|flag| flag == "--allow") {
            command.args(["--allow", "images,logs,log-content"]);
        }
        let ended = end_within(&mut command, BOUND);
        assert_ne!(ended.code, -1, "it did not end within {BOUND:?}: {}", ended.stderr);
        assert_harmless(&ended);
        ended
    }

    /// Checks that the plugin fails for this reason and with a message with these words, and that the node has not
    /// been asked to remove anything. What the user has to mend is wrong usage.
    #[track_caller]
    fn is_stopped(&self, reason: &str, words: &[&str]) {
        let (node, _runtime) = node();
        let ended = self.run(&node);
        assert_untouched(&node);
        let is_usage = ["FetchFailed", "ConfigInvalid"].contains(&reason);
        let ended = ended.expect(if is_usage { 64 } else { 2 });
        assert_eq!(ended.stdout, "");
        let failed = ended.stderr.contains(&format!("failed with {reason}: "));
        assert_eq!(failed, !is_usage, "{}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{word} is missing: {}", ended.stderr);
        }
    }

    /// Checks that the run takes place, and that these images are gone and no others have been asked to go.
    #[track_caller]
    fn removes(&self, tags: &[&str]) -> Ended {
        self.removes_on(whole(), tags)
    }

    /// The same on a node that looks like this.
    #[track_caller]
    fn removes_on(&self, snapshot: Snapshot, tags: &[&str]) -> Ended {
        let (node, _runtime) = node_like(snapshot);
        let ended = self.run(&node).expect(0);
        assert_removed(&node, &tags.iter().map(|tag| id(tag)).collect());
        ended
    }
}

/// A node for one attack, and what it runs in.
fn node() -> (TestNode, Runtime) {
    node_like(whole())
}

fn node_like(snapshot: Snapshot) -> (TestNode, Runtime) {
    let runtime = Runtime::new().unwrap();
    let node = runtime.block_on(async { TestNode::seeded(snapshot, Faults::none()) });
    (node, runtime)
}

/// Asks the node whether everything is there, and whether it was asked to remove anything.
#[track_caller]
fn assert_untouched(node: &TestNode) {
    assert_removed(node, &BTreeSet::new());
}

/// Asks the node whether exactly these images are gone, and whether it was asked to remove any other.
#[track_caller]
fn assert_removed(node: &TestNode, ids: &BTreeSet<String>) {
    assert_eq!(&node.gone(), ids, "gone from the node");
    let asked: BTreeSet<String> =
        node.simulated.removals().into_iter().map(|removal| removal.image.unwrap_or(removal.asked)).collect();
    assert_eq!(&asked, ids, "asked to be removed");
}

/// Nothing that a plugin says moves a cursor or turns text around; lines are the host's own.
#[track_caller]
fn assert_harmless(ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        let raw: Vec<char> = text.chars().filter(|character| *character != '\n' && is_harmful(*character)).collect();
        assert!(raw.is_empty(), "{raw:?} in {text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("forged")), "a forged line: {text}");
    }
}

#[test]
fn one_failing_plugin_leaves_the_others_alone() {
    let config = r#"{"repositories":["docker.io/minchou/*"],"keepLast":1}"#;
    let good = (Path::new("builtin:unused-images"), config);
    let (alone, _runtime) = node();
    let report = |node: &TestNode, plugins: &[(&Path, &str)], code| {
        let mut command = deciding("run", plugins);
        on(&mut command, &node.endpoint()).args(["--timeout", "1s", "-o", "json"]);
        end_within(command.args(["--allow", "images,logs,log-content"]), BOUND).expect(code).json()
    };
    let expected = report(&alone, &[good], 0);
    assert!(alone.gone().len() > 90);
    for (what, reason) in
        [("panic", "Trapped"), ("loop", "Timeout"), ("allocate", "MemoryLimit"), ("huge", "MemoryLimit")]
    {
        let harm = json!({ "do": what }).to_string();
        let bad = (misbehave(), harm.as_str());
        let (node, _runtime) = node();
        let among = report(&node, &[bad, good, bad], 1);
        assert_removed(&node, &alone.gone());
        assert_eq!(among["images"]["steps"], expected["images"]["steps"], "{what}");
        let plugins = among["plugins"].as_array().unwrap();
        let failures: Vec<&Value> = plugins.iter().map(|plugin| &plugin["failure"]["reason"]).collect();
        assert_eq!(failures, [&json!(reason), &Value::Null, &json!(reason)], "{what}");
    }
}
