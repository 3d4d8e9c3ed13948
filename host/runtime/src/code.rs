//! From a component's bytes to code that can run: compiled by a worker process, kept in a cache of our own.
//!
//! This is the only file with `unsafe`: [`Component::deserialize`] is given bytes that become code with the rights of
//! this process. They are a [`Code`], which only this file makes, out of two sources: the answer of a worker of this
//! very program, read from a pipe that nobody else holds, or a file of the [`Cache`], which only this user could have
//! written and which begins with the digest of all that follows.
//!
//! What that does not defend against: a fault in Cranelift that lets a component take over the worker. The worker can
//! do nothing to the machine then, but its answer is run. Compiling in this process would be no better.

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

/// Compiles a component: what a worker process does for an [`Engine`].
pub const COMPILE: Task = Task { name: "compile", prepare: compiler };

/// The stack of a thread that compiles.
const STACK: usize = 4 << 20;
/// How long a component that took too long is not tried again. A busy machine may have been the reason.
const TRIED: Duration = Duration::from_hours(1);
/// How many components that cannot be compiled are remembered.
const REMEMBERED: usize = 256;

/// Native code from one of the two trusted sources.
struct Code(Vec<u8>);

/// What kept a component from being compiled, and when it may be tried again.
struct Failure {
    error: WorkError,
    again: Option<Instant>,
}

/// Components that cannot be compiled, by digest and limits, for as long as this process lives: a daemon loads the
/// same plugins at every tick.
static FAILURES: LazyLock<Mutex<HashMap<(String, Limits), Failure>>> = LazyLock::new(Mutex::default);

/// Gets a component ready to run. Asks the cache first.
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
        // Code of another version, or for another processor, is made anew.
        if let Some(component) = read.ok().flatten().and_then(|code| load(engine, &Code(code)).ok()) {
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

async fn compile(engine: &Engine, digest: &str, bytes: &[u8], limits: Limits) -> Result<Code, WorkError> {
    let key = (digest.to_owned(), limits);
    if let Some(error) = remembered(&key) {
        return Err(error);
    }
    let allowance = Allowance { memory: COMPILE_MEMORY, time: limits.compile, answer: MAX_COMPILED };
    match Box::pin(engine.worker().run(COMPILE.name, bytes, allowance)).await {
        Ok(code) => Ok(Code(code)),
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
        // Whatever ended it came from outside, or may have.
        WorkError::Ended { .. } | WorkError::NotStarted(_) => return,
    };
    let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
    if failures.len() >= REMEMBERED {
        failures.clear();
    }
    failures.insert(key, Failure { error: error.clone(), again });
}

#[allow(unsafe_code, reason = "the one way from a worker's answer to code; see the top of this file")]
fn load(engine: &Engine, Code(code): &Code) -> wasmtime::Result<Component> {
    // SAFETY: a Code is what `Engine::precompile_component` made, in a worker of this program or in an earlier run of
    // it that left it where nobody else can write; wasmtime itself checks that its version, its settings and the
    // processor are the same.
    unsafe { Component::deserialize(engine.wasmtime(), code) }
}

/// Gets ready to compile on so many threads.
fn compiler(threads: usize) -> Result<Prepared, String> {
    let words = |error: wasmtime::Error| crate::plugin::one_line(&error);
    let engine = wasmtime::Engine::new(&config(true)).map_err(words)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(STACK).build();
    let pool = pool.map_err(|error| format!("no threads to compile on: {error}"))?;
    // Until each of them is there.
    pool.broadcast(|_| ());
    Ok(Box::new(move |bytes| pool.install(|| engine.precompile_component(&bytes)).map_err(words)))
}
