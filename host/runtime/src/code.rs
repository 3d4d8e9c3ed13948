//! Conversion of a component's bytes to code that can run: compiled by a worker process, and kept in a cache.
//!
//! This is the only file with `unsafe`: [`Component::deserialize`] gets bytes that become code with the rights of this
//! process. They are a [`NativeCode`], which only this file creates, from two sources: the answer of a worker of this very
//! program, read from a pipe that no other process holds, or a file of the [`Cache`], which only this user could have
//! written and which begins with the digest of all that follows.
//!
//! This does not defend against a fault in Cranelift that lets a component take over the worker. The worker can then do
//! nothing to the machine, but its answer is run. Compiling in this process would be no better.

mod cache;

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::component::Component;

use crate::engine::{Engine, config};
use crate::limits::{COMPILE_MEMORY, Limits, MAX_COMPILED};
use crate::worker::{Allowance, Limit, Prepared, Task, WorkError};

pub(crate) use cache::Cache;
pub use cache::CacheError;

/// The task of a worker process that compiles a component for an [`Engine`].
pub const COMPILE: Task = Task { name: "compile", prepare: compiler };

/// The stack size of a thread that compiles, in bytes.
const STACK: usize = 4 << 20;
/// The time until a component that took too long is retried. A busy machine may have been the reason.
const TRIED: Duration = Duration::from_hours(1);
/// The largest number of remembered components that cannot be compiled.
const REMEMBERED: usize = 256;

/// Native code from one of the two trusted sources.
struct NativeCode(Vec<u8>);

/// The error of compiling a component, and the time of the next attempt, if there may be one.
struct CompileFailure {
    error: WorkError,
    again: Option<Instant>,
}

/// Components that cannot be compiled, by digest and limits, for the lifetime of this process: a daemon loads the same
/// plugins at every tick.
static FAILURES: LazyLock<Mutex<HashMap<(String, Limits), CompileFailure>>> = LazyLock::new(Mutex::default);

/// Loads a component from the cache, or compiles it.
///
/// # Errors
/// When it cannot be compiled within the limits.
pub(crate) async fn component(
    engine: &Engine,
    digest: &str,
    bytes: &[u8],
    limits: Limits,
) -> Result<Component, WorkError> {
    if let Some(cache) = engine.cache() {
        let (cache, key) = (cache.clone(), digest.to_owned());
        let read = tokio::task::spawn_blocking(move || cache.get(&key)).await;
        // Code of another version, or for another processor, is compiled again.
        if let Some(component) = read.ok().flatten().and_then(|code| load(engine, &NativeCode(code)).ok()) {
            return Ok(component);
        }
    }
    let code = compile(engine, digest, bytes, limits).await?;
    let component = load(engine, &code).map_err(|error| WorkError::Refused(crate::plugin::one_line(&error)))?;
    if let Some(cache) = engine.cache() {
        let (cache, key) = (cache.clone(), digest.to_owned());
        // A cache that cannot be written to costs time and nothing else.
        let _ = tokio::task::spawn_blocking(move || cache.put(&key, &code.0)).await;
    }
    Ok(component)
}

async fn compile(engine: &Engine, digest: &str, bytes: &[u8], limits: Limits) -> Result<NativeCode, WorkError> {
    let key = (digest.to_owned(), limits);
    if let Some(error) = remembered(&key) {
        return Err(error);
    }
    let allowance = Allowance { memory: COMPILE_MEMORY, time: limits.compile, answer: MAX_COMPILED };
    match Box::pin(engine.worker().run(COMPILE.name, bytes, allowance)).await {
        Ok(code) => Ok(NativeCode(code)),
        Err(error) => {
            remember(key, &error);
            Err(error)
        }
    }
}

fn remembered(key: &(String, Limits)) -> Option<WorkError> {
    let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    let failure = failures.get(key)?;
    if failure.again.is_some_and(|again| Instant::now() >= again) {
        failures.remove(key);
        return None;
    }
    Some(failure.error.clone())
}

fn remember(key: (String, Limits), error: &WorkError) {
    let again = match error {
        WorkError::Refused(_) | WorkError::OverLimit { limit: Limit::Memory(_) | Limit::Answer(_), .. } => None,
        WorkError::OverLimit { .. } => Some(Instant::now() + TRIED),
        // The cause is outside of the component, or may be.
        WorkError::Ended { .. } | WorkError::NotStarted(_) => return,
    };
    let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    if failures.len() >= REMEMBERED {
        failures.clear();
    }
    failures.insert(key, CompileFailure { error: error.clone(), again });
}

#[allow(unsafe_code, reason = "the one way from a worker's answer to code; see the top of this file")]
fn load(engine: &Engine, NativeCode(code): &NativeCode) -> wasmtime::Result<Component> {
    // SAFETY: a Code was made by `Engine::precompile_component`, in a worker of this program or in an earlier run of it
    // that stored it where no other user can write; wasmtime itself checks that its version, its settings and the
    // processor are the same.
    unsafe { Component::deserialize(engine.wasmtime(), code) }
}

/// Prepares a worker to compile on so many threads.
fn compiler(threads: usize) -> Result<Prepared, String> {
    let words = |error: wasmtime::Error| crate::plugin::one_line(&error);
    let engine = wasmtime::Engine::new(&config(true)).map_err(words)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(STACK).build();
    let pool = pool.map_err(|error| format!("no threads to compile on: {error}"))?;
    // The broadcast waits until all threads are started.
    pool.broadcast(|_| ());
    Ok(Box::new(move |bytes| pool.install(|| engine.precompile_component(&bytes)).map_err(words)))
}
