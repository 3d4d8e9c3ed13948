//! Random components: checked, compiled by a worker, linked, and asked for a plan. Whatever they are, the host
//! stays, and answers in time and with a short sentence.
//!
//! By default these are the guests of the other tests with some of their bytes changed. `HOLYSTONE_COMPONENTS=DIRECTORY`
//! takes all files of a directory instead: `.ci/components` has them made by wasm-smith.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holystone_core::usage::Usage;
use holystone_runtime::{Capability, Engine, Limits, Plugin, PluginError, Reason, View, Worker};
use holystone_tests::dice::Dice;
use tokio::runtime::Runtime;

use crate::simulated::small;

const LIMITS: Limits =
    Limits { timeout: Duration::from_millis(200), memory: 16 << 20, compile: Duration::from_secs(30) };
/// Reading, compiling, linking, two calls, and what a busy machine adds.
const BOUND: Duration = Duration::from_mins(1);
/// The number of changed guests that are tried.
const CASES: u64 = 60;

struct Host {
    runtime: Runtime,
    engine: Engine,
    view: Arc<View>,
}

impl Host {
    fn new() -> Self {
        let snapshot = small();
        Self {
            runtime: Runtime::new().unwrap(),
            engine: Engine::new(None, Worker::at(env!("CARGO_BIN_EXE_holystone"))).unwrap(),
            view: Arc::new(View::of(&snapshot, &Usage::of(&snapshot))),
        }
    }

    /// What comes of a component, which is called by this name should it do harm.
    fn attempt(&self, name: &str, bytes: Vec<u8>) -> Result<(), PluginError> {
        let started = Instant::now();
        let result = self.runtime.block_on(async {
            let grants = Capability::ALL.into_iter().collect();
            let plugin = Plugin::load(&self.engine, "arbitrary", bytes, &grants, LIMITS).await?;
            plugin.propose(&self.view, "{}").await.map(drop)
        });
        let took = started.elapsed();
        assert!(took < BOUND, "{name}: it took {took:?}");
        if let Err(error) = &result {
            assert!(error.message.len() < 8_000, "{name}: {} bytes", error.message.len());
            // A worker ends with an answer or at a limit; anything else is a fault of the compiler.
            assert!(!error.message.contains("ended without a result"), "{name}: {error}");
            assert!(!matches!(error.reason, Reason::FetchFailed | Reason::DigestMismatch), "{name}: {error}");
        }
        result
    }
}

/// The components in a directory, by name.
fn components(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|it| it == "wasm")).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no components", directory.display());
    files
}

/// Guests with one or two of their bytes changed, and what to call them.
fn changed() -> impl Iterator<Item = (String, Vec<u8>)> {
    let guests = components(holystone_tests::guest("full-plan").parent().unwrap());
    (0..CASES).map(move |seed| {
        let mut dice = Dice(seed);
        let guest = &guests[dice.below(guests.len())];
        let mut bytes = fs::read(guest).unwrap();
        for _ in 0..=dice.below(2) {
            let place = dice.below(bytes.len());
            bytes[place] = dice.byte();
        }
        (format!("{} changed by {seed}", guest.display()), bytes)
    })
}

#[test]
fn random_components_do_no_harm() {
    let host = Host::new();
    let named = std::env::var_os("HOLYSTONE_COMPONENTS");
    let all: Box<dyn Iterator<Item = (String, Vec<u8>)>> = match &named {
        None => Box::new(changed()),
        Some(directory) => {
            let files = components(Path::new(directory)).into_iter();
            Box::new(files.map(|file| (file.display().to_string(), fs::read(file).unwrap())))
        }
    };
    let (mut answered, mut compiled, mut refused) = (0_u64, 0_u64, 0_u64);
    for (name, bytes) in all {
        match host.attempt(&name, bytes) {
            Ok(()) => answered += 1,
            Err(error) if matches!(error.reason, Reason::CompileFailed | Reason::NotAComponent) => refused += 1,
            Err(_) => compiled += 1,
        }
    }
    println!("{answered} answered, {compiled} failed after they were compiled, {refused} could not be compiled");
    assert!(compiled > 0 && refused > 0, "{answered} answered, {compiled} compiled, {refused} refused");
}
