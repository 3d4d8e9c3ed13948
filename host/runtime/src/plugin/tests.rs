use holystone_core::manifest::Capability;
use tokio::runtime::Runtime;

use super::{Plugin, PluginError, check_bytes};
use crate::capability::Grants;
use crate::engine::Engine;
use crate::error::Reason;
use crate::limits::Limits;
use crate::worker::Worker;

#[test]
fn only_the_preamble_of_a_component_passes() {
    assert_eq!(check_bytes(b"\0asm\x0d\0\x01\0"), Ok(()));
    for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0", b"\x7fELF", b"(component)", b"hello", b"\0asm\x0d\0\x02\0"] {
        assert_eq!(check_bytes(bytes).unwrap_err().0, Reason::NotAComponent, "{bytes:?}");
    }
}

async fn load(engine: &Engine, bytes: Vec<u8>, limits: Limits) -> Result<Plugin, PluginError> {
    Plugin::load(engine, "guest", bytes, &Capability::ALL.into_iter().collect::<Grants>(), limits).await
}

fn problem(bytes: Vec<u8>, limits: Limits) -> (Reason, String) {
    let runtime = Runtime::new().unwrap();
    let engine = Engine::new(None, Worker::at("/nonexistent")).unwrap();
    let error = runtime.block_on(load(&engine, bytes, limits)).err().unwrap();
    runtime.shutdown_background();
    (error.reason, error.message)
}

fn component(body: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {body})")).unwrap()
}

#[test]
fn precompiled_code_is_never_run() {
    let engine = wasmtime::Engine::new(&crate::engine::config(true)).unwrap();
    let precompiled = engine.precompile_component(&component("(core module (func))")).unwrap();
    let (reason, message) = problem(precompiled, Limits::default());
    assert_eq!(reason, Reason::NotAComponent);
    assert!(message.contains("precompiled Wasm"), "{message}");
}

#[test]
fn instances_that_take_more_than_the_memory_are_not_made() {
    let globals = "(global i64 (i64.const 0))".repeat(1_000);
    let body = format!("(core module $m {globals}) {}", "(core instance (instantiate $m))".repeat(64));
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    assert_eq!(problem(component(&body), limits).0, Reason::MemoryLimit);
}
