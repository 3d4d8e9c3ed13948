//! What it looks at. Each arm of [`tell`] is one test; the config is the arm's name as JSON.

#[allow(clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });
}

use bindings::exports::holystone::node::cleaner::{
    Decision, Guest, Problem, Reason, ReasonKind, Removal, Target, Verb,
};
use bindings::holystone::node::logs::{self, Walk, WalkOptions};
use bindings::holystone::node::{log_content, types::Error};

struct Walks;

impl Guest for Walks {
    fn validate(_: String) -> Result<(), Vec<Problem>> {
        Ok(())
    }

    fn plan(config: String) -> Result<Decision, String> {
        let removals = tell(config.trim_matches('"')).into_iter().map(removal).collect();
        Ok(Decision { removals, matches: Vec::new(), notices: Vec::new(), attributes: Vec::new() })
    }
}

fn removal(line: String) -> Removal {
    Removal {
        target: Target::Other(("told".to_owned(), line)),
        verb: Verb::Other,
        reason: Reason { kind: ReasonKind::Other, text: String::new() },
        expected_bytes: None,
        attributes: Vec::new(),
    }
}

fn tell(what: &str) -> Vec<String> {
    match what {
        "everything" => everything(),
        "count" => count(),
        "mistakes" => mistakes(),
        "greed" => greed(),
        "forgotten" => forgotten(),
        other => vec![format!("no such look: {other}")],
    }
}

fn options() -> WalkOptions {
    WalkOptions {
        prefix: String::new(),
        include: Vec::new(),
        exclude: Vec::new(),
        kinds: Vec::new(),
        max_depth: None,
        attributes: Vec::new(),
    }
}

/// Every entry of every root, and the beginning of every file.
fn everything() -> Vec<String> {
    let mut lines = Vec::new();
    for root in logs::roots() {
        let walk = logs::open(&root.name, &options()).expect("a root that is listed is there");
        while let Some(entries) = walk.next(7).ok().filter(|entries| !entries.is_empty()) {
            for entry in entries {
                let content = log_content::read(&root.name, &entry.path, 0, 8);
                lines.push(format!("{} {entry:?} {content:?}", root.name));
            }
        }
    }
    lines
}

/// How many entries there are.
fn count() -> Vec<String> {
    let walk = logs::open("app", &options()).expect("the root is there");
    let mut number = 0;
    while let Some(entries) = walk.next(1_000).ok().filter(|entries| !entries.is_empty()) {
        number += entries.len();
    }
    vec![number.to_string()]
}

/// What is said to questions that make no sense.
fn mistakes() -> Vec<String> {
    let places =
        ["missing", "../../etc/passwd", "/etc/passwd", "link", "away", "away/secret", "\\x41", "a\0b", "", "closed"];
    let mut lines = Vec::new();
    for place in places {
        let walk = logs::open("app", &WalkOptions { prefix: place.to_owned(), ..options() });
        lines.push(format!("walk {place:?}: {}", said(walk.map(|_| ()))));
        lines.push(format!("read {place:?}: {}", said(log_content::read("app", place, 0, 8))));
    }
    for glob in ["a**", "[", "/etc/*", "../*", ""] {
        let walk = logs::open("app", &WalkOptions { include: vec![glob.to_owned()], ..options() });
        lines.push(format!("glob {glob:?}: {}", said(walk.map(|_| ()))));
    }
    lines.push(said(logs::open("elsewhere", &options()).map(|_| ())));
    lines.push(said(log_content::read("elsewhere", "a", 0, 8)));
    lines.push(said(logs::open("app", &options()).and_then(|walk| walk.next(0))));
    lines
}

fn said<T>(answer: Result<T, Error>) -> String {
    match answer {
        Ok(_) => "fine".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// As many walks as it gets, and as much at once as it gets.
fn greed() -> Vec<String> {
    let mut walks: Vec<Walk> = Vec::new();
    let refusal = loop {
        match logs::open("app", &options()) {
            Ok(walk) => walks.push(walk),
            Err(error) => break format!("{error:?}"),
        }
    };
    let batches: Vec<usize> = walks.iter().map(|walk| walk.next(u32::MAX).map_or(0, |entries| entries.len())).collect();
    let largest = log_content::read("app", "large", 0, u32::MAX).map_or(0, |bytes| bytes.len());
    vec![format!("{} walks, then {refusal}", walks.len()), format!("{batches:?}"), format!("{largest}")]
}

/// Many walks that are begun and dropped, then the whole of one.
fn forgotten() -> Vec<String> {
    for _ in 0..500 {
        let walk = logs::open("app", &options()).expect("there is always room for one");
        let _ = walk.next(1);
    }
    count()
}

bindings::export!(Walks with_types_in bindings);
