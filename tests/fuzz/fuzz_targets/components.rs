//! Components that nobody wrote: checked, compiled by a worker, linked, and asked for a plan. Whatever they are, the host
//! stays, and answers in time.
//!
//! Three kinds, by the first byte: a core module with a plugin's imports and exports and with arbitrary code, wrapped as
//! a compiler's linker would do it; an arbitrary component; and the bytes themselves behind the preamble of a component.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use holystone_core::snapshot::Snapshot;
use holystone_core::usage::Usage;
use holystone_runtime::{COMPILE, Capability, Engine, Limits, Plugin, View, Worker, worker};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use wasm_smith::{Component, Config, Module};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve, WorldId};

const NODE: &[u8] = include_bytes!("../../../examples/snapshots/rollout-node.json");
const LIMITS: Limits =
    Limits { timeout: Duration::from_millis(200), memory: 16 << 20, compile: Duration::from_secs(5) };
/// Both limits, for two calls, and what a busy machine adds.
const BOUND: Duration = Duration::from_secs(9);

struct Host {
    runtime: Runtime,
    engine: Engine,
    view: Arc<View>,
    resolve: Resolve,
    world: WorldId,
}

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    let snapshot = Snapshot::from_json(NODE).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    Host {
        runtime,
        engine: Engine::new(None, Worker::this_program()).unwrap(),
        view: Arc::new(View::of(&snapshot, &Usage::of(&snapshot))),
        resolve,
        world,
    }
});

fn plugin(u: &mut Unstructured<'_>) -> Option<Vec<u8>> {
    let dummy = dummy_module(&HOST.resolve, HOST.world, ManglingAndAbi::Standard32);
    let config = Config {
        exports: Some(dummy.clone()),
        available_imports: Some(dummy),
        export_everything: false,
        max_memories: 1,
        min_memories: 1,
        threads_enabled: false,
        gc_enabled: false,
        exceptions_enabled: false,
        memory64_enabled: false,
        ..Config::default()
    };
    let mut module = Module::new(config, u).ok()?.to_bytes();
    embed_component_metadata(&mut module, &HOST.resolve, HOST.world, StringEncoding::UTF8).ok()?;
    ComponentEncoder::default().module(&module).ok()?.encode().ok()
}

fn component(data: &[u8]) -> Option<Vec<u8>> {
    let (kind, rest) = data.split_first()?;
    let mut u = Unstructured::new(rest);
    match kind % 3 {
        0 => plugin(&mut u),
        1 => Some(Component::new(Config::default(), &mut u).ok()?.to_bytes()),
        _ => Some([b"\0asm\x0d\0\x01\0", rest].concat()),
    }
}

fuzz_target!(
    init: {
        // This program is its own worker.
        if worker::main(&[COMPILE]).is_some() {
            std::process::exit(0);
        }
    },
    |data: &[u8]| {
        let Some(bytes) = component(data) else { return };
        let started = Instant::now();
        let _ = HOST.runtime.block_on(async {
            let grants = Capability::ALL.into_iter().collect();
            let plugin = Plugin::load(&HOST.engine, "fuzz", bytes, &grants, LIMITS).await;
            match plugin {
                Ok(plugin) => plugin.propose(&HOST.view, "{}").await.map(drop),
                Err(error) => Err(error),
            }
            .inspect_err(|error| assert!(error.message.len() < 8_000, "{} bytes", error.message.len()))
        });
        assert!(started.elapsed() < BOUND, "it took {:?}", started.elapsed());
    }
);
