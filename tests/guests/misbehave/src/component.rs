//! What it can do. Each arm of [`harm`] is one test.

use std::hint::black_box;

#[allow(clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });
}

use serde_json::Value;

use bindings::exports::holystone::node::cleaner::{
    Decision, Guest, LogLocation, PatternMatch, Problem, Reason, ReasonKind, Removal, Target, Verb,
};
use bindings::holystone::node::{host, images, log, log_content, logs};

struct Misbehave;

impl Guest for Misbehave {
    fn validate(config: String) -> Result<(), Vec<Problem>> {
        match wanted(&config).as_str() {
            "validate-loop" => spin(),
            "validate-panic" => panic!("on purpose"),
            "validate-error" => Err(vec![problem("do", "is \u{1b}[31mwrong"), problem("else", "too")]),
            "validate-strange" => Err(vec![
                problem("", "as a whole"),
                problem(&"x".repeat(10_000), &"y".repeat(10_000)),
                problem("a\u{1b}[31m b", ""),
            ]),
            _ => Ok(()),
        }
    }

    fn plan(config: String) -> Result<Decision, String> {
        let config: Value = serde_json::from_str(&config).unwrap_or_default();
        match text(&config, "do").as_str() {
            "many-matches" => Ok(Decision { matches: (0..20_000).map(matches).collect(), ..decision(Vec::new()) }),
            "many-notices" => {
                let notices = (0..20_000).map(|number| format!("notice {number}")).collect();
                Ok(Decision { notices, ..decision(Vec::new()) })
            }
            "evil-words" => Ok(evil_words()),
            _ => harm(&config).map(decision),
        }
    }
}

fn problem(field: &str, message: &str) -> Problem {
    Problem { field: field.to_owned(), message: message.to_owned() }
}

fn decision(removals: Vec<Removal>) -> Decision {
    Decision { removals, matches: Vec::new(), notices: Vec::new(), attributes: Vec::new() }
}

fn matches(number: u64) -> PatternMatch {
    PatternMatch { field: format!("list[{number}]"), pattern: "x".to_owned(), matches: number }
}

/// What no terminal should hear, and far too much of it, in everything that a plan consists of besides removals.
fn evil_words() -> Decision {
    let evil = "\u{1b}[2J\r\nforged line\u{202e}";
    let long = format!("{evil}{}", "x".repeat(100_000));
    let entry = |field: &str, pattern: &str| PatternMatch {
        field: field.to_owned(),
        pattern: pattern.to_owned(),
        matches: u64::MAX,
    };
    Decision {
        matches: vec![entry(evil, evil), entry(&long, &long), entry("", "")],
        notices: vec![evil.to_owned(), long, String::new()],
        attributes: vec![(evil.to_owned(), evil.to_owned())],
        ..decision(Vec::new())
    }
}

fn wanted(config: &str) -> String {
    let value: Value = serde_json::from_str(config).unwrap_or_default();
    text(&value, "do")
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn harm(config: &Value) -> Result<Vec<Removal>, String> {
    match text(config, "do").as_str() {
        "loop" => spin(),
        "loop-in-host" => loop {
            black_box(host::node());
        },
        "loop-listing" => loop {
            black_box(images::list());
        },
        "loop-printing" => loop {
            println!("and on and on");
        },
        "loop-logging" => loop {
            log::log(log::Level::Warn, "and on and on");
        },
        "sleep" => {
            std::thread::sleep(std::time::Duration::from_secs(3600));
            Ok(Vec::new())
        }
        "allocate" => allocate(),
        "recurse" => Err(recurse(0).to_string()),
        "panic" => panic!("on purpose\u{1b}[31m"),
        "exit-0" => std::process::exit(0),
        "exit-1" => std::process::exit(1),
        "exit-in-mid-sentence" => {
            eprint!("half a line");
            std::process::exit(1)
        }
        "abort" => std::process::abort(),
        "print" => {
            (0..200_000).for_each(|n| println!("line {n} of far too many"));
            Ok(Vec::new())
        }
        "log" => {
            (0..100_000).for_each(|n| log::log(log::Level::Warn, &format!("flood {n}\u{1b}[2J\nforged line")));
            Ok(Vec::new())
        }
        "error" => Err("cannot\u{1b}[2J decide".to_owned()),
        "many" => Ok((0..50_001).map(|n| image(n.to_string())).collect()),
        "huge" => Ok((0..200).map(|_| image("x".repeat(1 << 19))).collect()),
        "long-name" => Ok(vec![image("x".repeat(10 << 20))]),
        "long-reason" => {
            let mut wish = image(images::list().first().map(|known| known.id.clone()).unwrap_or_default());
            wish.reason.text = "x".repeat(10 << 20);
            Ok(vec![wish])
        }
        "wish" => Ok(config["wishes"].as_array().into_iter().flatten().map(wish).collect()),
        "greedy" => Ok(images::list().into_iter().map(|known| image(known.id)).collect()),
        "confess" => Err(confess()),
        "logs" => Err(look_at_logs()),
        other => Err(format!("no such harm: {other}")),
    }
}

fn spin<T>() -> T {
    loop {
        black_box(());
    }
}

fn allocate() -> ! {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(black_box(vec![1; 1 << 20]));
    }
}

#[allow(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(frame[0] + 1) + frame[63]
}

fn image(id: String) -> Removal {
    removal(Target::Image(id), Verb::Remove)
}

fn removal(target: Target, verb: Verb) -> Removal {
    let reason = Reason { kind: ReasonKind::Other, text: "because\u{1b}[31m".to_owned() };
    Removal { target, verb, reason, expected_bytes: Some(u64::MAX), attributes: Vec::new() }
}

/// A wish as the config spells it: `{"target": "image", "name": "…", "verb": "remove", "why": "…"}`.
fn wish(config: &Value) -> Removal {
    let name = || text(config, "name");
    let place = || LogLocation { root: text(config, "root"), path: name() };
    let target = match text(config, "target").as_str() {
        "image" => Target::Image(name()),
        "container" => Target::Container(name()),
        "sandbox" => Target::Sandbox(name()),
        "log-file" => Target::LogFile(place()),
        "log-directory" => Target::LogDirectory(place()),
        other => Target::Other((other.to_owned(), name())),
    };
    let verb = match text(config, "verb").as_str() {
        "truncate" => Verb::Truncate,
        "other" => Verb::Other,
        _ => Verb::Remove,
    };
    let mut wish = removal(target, verb);
    wish.reason.text = text(config, "why");
    wish
}

/// Tells all that it can find out about where it runs, for a test to see that it is nothing.
fn confess() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map(|age| age.as_nanos());
    let elapsed = {
        let start = std::time::Instant::now();
        (0..1_000_000_u64).for_each(|n| {
            black_box(n);
        });
        start.elapsed()
    };
    let mut random = std::collections::HashMap::new();
    (0..50).for_each(|n| {
        random.insert(n, ());
    });
    let order: Vec<i32> = random.keys().copied().take(5).collect();
    format!(
        "now={now:?} elapsed={elapsed:?} order={order:?} env={} args={} cwd={} passwd={} write={} remove={} tcp={} \
         listen={} udp={} dns={} stdin={:?} roots={}",
        std::env::vars().count(),
        std::env::args().count(),
        std::fs::read_dir(".").is_ok(),
        std::fs::read("/etc/passwd").is_ok(),
        std::fs::write("/tmp/holystone-was-here", "").is_ok(),
        std::fs::remove_file("/etc/passwd").is_ok(),
        std::net::TcpStream::connect("127.0.0.1:1").is_ok(),
        std::net::TcpListener::bind("127.0.0.1:0").is_ok(),
        std::net::UdpSocket::bind("127.0.0.1:0").is_ok(),
        std::net::ToSocketAddrs::to_socket_addrs("localhost:1").is_ok(),
        std::io::Read::bytes(std::io::stdin()).next().is_some(),
        logs::roots().len(),
    )
}

fn look_at_logs() -> String {
    let options = logs::WalkOptions {
        prefix: String::new(),
        include: Vec::new(),
        exclude: Vec::new(),
        kinds: Vec::new(),
        max_depth: None,
        attributes: Vec::new(),
    };
    let walk = logs::open("app", &options).map(|_| ());
    format!("{} roots; {walk:?}; {:?}", logs::roots().len(), log_content::read("app", "x", 0, 1))
}

bindings::export!(Misbehave with_types_in bindings);
