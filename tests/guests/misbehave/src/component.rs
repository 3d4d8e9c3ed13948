//! What it can do. Each arm of [`harm`] is one test.

use std::hint::black_box;

#[allow(clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });
}

use bindings::exports::holystone::node::cleaner::{Guest, LogLocation, Reason, ReasonKind, Removal, Target, Verb};
use bindings::holystone::node::{host, images, log, log_content, logs};

struct Misbehave;

impl Guest for Misbehave {
    fn validate(config: String) -> Result<(), Vec<String>> {
        match wanted(&config).as_str() {
            "validate-loop" => spin(),
            "validate-error" => Err(vec!["do: is \u{1b}[31mwrong".to_owned(), "else: too".to_owned()]),
            _ => Ok(()),
        }
    }

    fn plan(config: String) -> Result<Vec<Removal>, String> {
        harm(&wanted(&config))
    }
}

fn wanted(config: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
    value["do"].as_str().unwrap_or_default().to_owned()
}

fn harm(what: &str) -> Result<Vec<Removal>, String> {
    match what {
        "loop" => spin(),
        "loop-in-host" => loop {
            black_box(host::node());
        },
        "allocate" => allocate(),
        "recurse" => Err(recurse(0).to_string()),
        "panic" => panic!("on purpose\u{1b}[31m"),
        "exit-0" => std::process::exit(0),
        "exit-3" => std::process::exit(3),
        "print" => {
            (0..200_000).for_each(|n| println!("line {n} of far too many"));
            Ok(Vec::new())
        }
        "log" => {
            (0..100_000).for_each(|n| log::log(log::Level::Warn, &format!("flood {n}\u{1b}[2J\nforged line")));
            Ok(Vec::new())
        }
        "error" => Err("cannot\u{1b}[2J decide".to_owned()),
        "many" => Ok((0..100_001).map(|n| image(n.to_string())).collect()),
        "huge" => Ok((0..200).map(|_| image("x".repeat(1 << 19))).collect()),
        "long-name" => Ok(vec![image("x".repeat(1 << 20))]),
        "greedy" => Ok(images::list().into_iter().map(|known| image(known.id)).collect()),
        "everything" => Ok(everything()),
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

/// One wish of every shape that no host should fulfil.
fn everything() -> Vec<Removal> {
    let place = |path: &str| LogLocation { root: "app".to_owned(), path: path.to_owned() };
    let image_id = images::list().first().map(|known| known.id.clone()).unwrap_or_default();
    vec![
        removal(Target::Container("c".to_owned()), Verb::Remove),
        removal(Target::Sandbox("s".to_owned()), Verb::Remove),
        removal(Target::LogFile(place("../../etc/passwd")), Verb::Remove),
        removal(Target::LogFile(place("/etc/passwd\0\n")), Verb::Truncate),
        removal(Target::LogDirectory(place("")), Verb::Remove),
        removal(Target::Other(("volume".to_owned(), "v\u{1b}[31m".to_owned())), Verb::Remove),
        removal(Target::Image(image_id.clone()), Verb::Truncate),
        removal(Target::Image(image_id), Verb::Other),
        removal(Target::Image("no such \u{1b}[31m image".to_owned()), Verb::Remove),
        removal(Target::Image(String::new()), Verb::Remove),
    ]
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
        "now={now:?} elapsed={elapsed:?} order={order:?} env={} args={} cwd={} passwd={} net={} stdin={:?} roots={}",
        std::env::vars().count(),
        std::env::args().count(),
        std::fs::read_dir(".").is_ok(),
        std::fs::read("/etc/passwd").is_ok(),
        std::net::TcpStream::connect("127.0.0.1:1").is_ok(),
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
