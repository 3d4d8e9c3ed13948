//! Where compiled plugins are kept from run to run.

use std::path::{Path, PathBuf};

use holystone_runtime::{CacheError, Engine, EngineError, Worker};

/// The place of compiled plugins.
#[derive(Clone, Debug)]
pub enum CacheDir {
    /// The usual directory, if it is of use.
    Usual,
    /// This directory.
    At(PathBuf),
    /// None: plugins are compiled at each run.
    Nowhere,
}

/// Makes an engine that compiles plugins, or takes them from the cache.
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

/// Returns the directory of compiled plugins that is used by default.
pub(crate) fn usual_cache() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(Path::new("/var/lib/holystone/cache").to_owned());
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(base.join("holystone"))
}
