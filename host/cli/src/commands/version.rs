//! `holystone version`: this binary, and what plugins have to do with it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::args::VersionArguments;
use crate::exit::Exit;
use crate::output;

/// What this binary is.
#[derive(Debug, Serialize)]
pub(crate) struct Version {
    pub(crate) version: &'static str,
    /// The commit that it was built from; `unknown` unless `HOLYSTONE_COMMIT` was set during the build.
    pub(crate) commit: &'static str,
    /// The package and version of the interface that plugins see.
    pub(crate) wit: &'static str,
    /// The engine that runs them; compiled plugins are kept for one engine.
    pub(crate) engine: &'static str,
    /// The plugins that come with it, with their digests.
    pub(crate) builtins: BTreeMap<&'static str, String>,
}

/// Prints the versions.
pub(crate) fn version(arguments: &VersionArguments) -> anyhow::Result<Exit> {
    let version = Version {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("HOLYSTONE_COMMIT").unwrap_or("unknown"),
        wit: holystone_runtime::WIT,
        engine: holystone_runtime::ENGINE,
        builtins: holystone_agent::builtins().collect(),
    };
    output::version(&version, arguments.output)?;
    Ok(Exit::Done)
}
