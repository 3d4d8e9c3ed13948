//! The only configuration of wasmtime: the binary, the tests and the benchmarks all get their engine here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wasmtime::Config;
use wasmtime::component::Linker;

use crate::code::{Cache, CacheError};
use crate::v0_1::{self, State};
use crate::worker::Worker;

/// The engine, with its version. Compiled plugins are kept for one engine.
pub const ENGINE: &str = "wasmtime 48.0.8";

/// The package and version of the interface that plugins see.
pub const WIT: &str = "holystone:node@0.1.0";

/// The interval at which running plugins yield, so that the host can enforce their time limit.
const TICK: Duration = Duration::from_millis(10);

/// An engine that runs components. Workers compile them, because this process cannot. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Arc<Linker<State>>,
    worker: Worker,
    cache: Option<Cache>,
}

/// The reason why no engine could be created.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A directory for compiled plugins that cannot be trusted or used.
    #[error("the cache directory {path} cannot be used: {problem}")]
    Cache {
        /// The directory.
        path: PathBuf,
        /// The problem with the directory, and its fix.
        problem: CacheError,
    },
    /// A configuration that wasmtime refused.
    #[error("the WebAssembly engine cannot start on this machine: {0}")]
    Wasmtime(String),
}

impl Engine {
    /// Creates an engine. With a cache directory, compiled plugins are kept there. Code in the directory runs with the
    /// rights of this process, so no other user may be able to write to it. A missing directory is created.
    ///
    /// # Errors
    /// When the directory is not usable or wasmtime does not run here.
    pub fn new(cache: Option<&Path>, worker: Worker) -> Result<Self, EngineError> {
        let failed = |error: wasmtime::Error| EngineError::Wasmtime(format!("{error:#}"));
        let open = |path: &Path| Cache::open(path).map_err(|problem| EngineError::Cache { path: path.into(), problem });
        let cache = cache.map(open).transpose()?;
        let wasmtime = wasmtime::Engine::new(&config(false)).map_err(failed)?;
        start_ticker(&wasmtime)?;
        let mut linker = Linker::new(&wasmtime);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
        v0_1::add_to_linker(&mut linker).map_err(failed)?;
        Ok(Self { wasmtime, linker: Arc::new(linker), worker, cache })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.linker
    }

    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }
}

/// Builds the configuration of every engine. Only that of a worker can compile.
///
/// A change to the code that a component becomes must also change the first line of the cache's entries.
pub(crate) fn config(compiles: bool) -> Config {
    let mut config = Config::new();
    config.enable_compiler(compiles);
    config.wasm_component_model(true);
    // Epochs make guest code yield that never calls the host; a timer outside ends the call.
    config.epoch_interruption(true);
    // A replay must produce the same plan on every machine.
    config.relaxed_simd_deterministic(true);
    if compiles {
        config.cranelift_nan_canonicalization(true);
    }
    // No plugin needs 64-bit memories. Threads, collectors and core dumps are not even compiled in.
    config.wasm_memory64(false);
    config
}

/// Starts a thread that ticks for as long as the engine lives: a busy executor must not stop the clock.
fn start_ticker(engine: &wasmtime::Engine) -> Result<(), EngineError> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    let spawned = std::thread::Builder::new().name("plugin-clock".to_owned()).spawn(tick);
    spawned.map(drop).map_err(|error| EngineError::Wasmtime(format!("no thread for the plugins' clock: {error}")))
}
