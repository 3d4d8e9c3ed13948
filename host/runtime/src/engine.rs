//! The one place that configures wasmtime: the binary, the tests and the benchmarks all get their engine here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, Linker};
use wasmtime::{Cache, CacheConfig, Config};

use crate::v0_1::{self, State};

/// How often running plugins give the host a chance to look at the clock.
const TICK: Duration = Duration::from_millis(10);

/// At most how many threads compile one component.
const COMPILERS: usize = 8;

/// Compiles and runs components. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Arc<Linker<State>>,
}

/// Why no engine could be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The directory for compiled plugins cannot be trusted or used.
    #[error("the cache directory {path} cannot be used: {problem}")]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// wasmtime refused its configuration.
    #[error("the WebAssembly engine cannot start on this machine: {0}")]
    Wasmtime(String),
}

impl Engine {
    /// Makes an engine. With a cache directory, compiled plugins are kept there: code in it runs with the rights of
    /// this process, so the directory must belong to this user and be writable to nobody else. It is made if missing.
    ///
    /// # Errors
    /// When the directory is not usable or wasmtime does not run here.
    pub fn new(cache: Option<&Path>) -> Result<Self, EngineError> {
        let failed = |error: wasmtime::Error| EngineError::Wasmtime(format!("{error:#}"));
        let mut config = config();
        if let Some(directory) = cache {
            config.cache(Some(open_cache(directory)?));
        }
        let wasmtime = wasmtime::Engine::new(&config).map_err(failed)?;
        start_ticker(&wasmtime)?;
        let mut linker = Linker::new(&wasmtime);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
        v0_1::add_to_linker(&mut linker).map_err(failed)?;
        Ok(Self { wasmtime, linker: Arc::new(linker) })
    }

    /// Compiles on threads of its own, so that a component which takes long does not hold up another one.
    pub(crate) fn compile(&self, bytes: &[u8]) -> wasmtime::Result<Component> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(COMPILERS);
        let compilers = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        compilers.install(|| Component::from_binary(&self.wasmtime, bytes))
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.linker
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // Epochs stop guest code that never calls the host; a timer outside stops everything else.
    config.epoch_interruption(true);
    // A replay must come to the same plan on every machine.
    config.relaxed_simd_deterministic(true);
    config.cranelift_nan_canonicalization(true);
    // Nothing needs it. Threads, collectors and core dumps are not even compiled in.
    config.wasm_memory64(false);
    config
}

/// Opens wasmtime's own compile cache in a directory that only this user can write to.
fn open_cache(directory: &Path) -> Result<Cache, EngineError> {
    let problem = |problem: String| EngineError::Cache { path: directory.to_owned(), problem };
    private_directory(directory).map_err(problem)?;
    let mut config = CacheConfig::new();
    config.with_directory(directory);
    config.with_files_total_size_soft_limit(512 << 20);
    Cache::new(config).map_err(|error| problem(format!("{error:#}")))
}

fn private_directory(directory: &Path) -> Result<(), String> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};

    if !directory.is_absolute() {
        return Err("it must be an absolute path".to_owned());
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| format!("it cannot be made: {error}"))?;
    let metadata = std::fs::symlink_metadata(directory).map_err(|error| error.to_string())?;
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_dir() {
        Err("it is not a directory".to_owned())
    } else if metadata.uid() != own {
        Err(format!("it belongs to user {}, not to user {own} who runs this", metadata.uid()))
    } else if metadata.mode() & 0o022 != 0 {
        Err("others may write to it, and its content is run as code: chmod 700 it".to_owned())
    } else {
        Ok(())
    }
}

/// Ticks on a thread of its own for as long as the engine lives: a busy executor must not stop the clock.
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Engine, EngineError};

    #[test]
    fn a_cache_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = Engine::new(Some(directory.path())).err().unwrap();
        assert!(matches!(&error, EngineError::Cache { problem, .. } if problem.contains("chmod 700")), "{error}");
    }

    #[test]
    fn a_missing_cache_is_made_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        Engine::new(Some(&path)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_relative_cache_is_refused() {
        assert!(Engine::new(Some(std::path::Path::new("cache"))).is_err());
    }
}
