//! `holystone version`: shows the versions of this binary, the plugin interface, the engine and the shipped plugins.

use crate::args::VersionArguments;
use crate::exit::Exit;
use crate::output::{self, BuildInfo};

/// Prints the versions.
pub(crate) fn version(arguments: &VersionArguments) -> anyhow::Result<Exit> {
    let version = BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("HOLYSTONE_COMMIT").unwrap_or("unknown"),
        wit: holystone_runtime::WIT,
        engine: holystone_runtime::ENGINE,
        builtins: holystone_agent::builtins().collect(),
    };
    output::version(&version, arguments.output)?;
    Ok(Exit::Done)
}
