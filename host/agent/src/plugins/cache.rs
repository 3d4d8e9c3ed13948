//! The cache of compiled plugins, kept from run to run.

use std::path::{Path, PathBuf};

use holystone_runtime::{CacheError, Engine, EngineError, Worker};

/// The location of compiled plugins.
#[derive(Clone, Debug)]
pub enum CacheDir {
    /// The default directory, if it can be used.
    Usual,
    /// The directory of this path.
    At(PathBuf),
    /// A run without a cache: plugins are compiled each time.
    Nowhere,
}

/// Creates an engine that compiles plugins, or takes them from the cache.
pub(super) fn engine(cache: &CacheDir) -> anyhow::Result<Engine> {
    let engine = |cache: Option<&Path>| Engine::new(cache, Worker::this_program());
    match cache {
        CacheDir::At(directory) => return Ok(engine(Some(directory))?),
        CacheDir::Usual => {
            if let Some(directory) = usual_cache() {
                match engine(Some(&directory)) {
                    Ok(engine) => return Ok(engine),
                    Err(error @ EngineError::Cache { problem: CacheError::Untrusted(_), .. }) => {
                        tracing::warn!("plugins are compiled without a cache: {error}");
                    }
                    Err(error) => tracing::info!("plugins are compiled without a cache: {error}"),
                }
            }
        }
        CacheDir::Nowhere => {}
    }
    Ok(engine(None)?)
}

/// Returns the default directory of compiled plugins.
pub(crate) fn usual_cache() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(Path::new("/var/lib/holystone/cache").to_owned());
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(base.join("holystone"))
}
