//! The output of the versions of this binary and of its parts.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::formats::{json, yaml};
use crate::args::OutputFormat;

/// The versions of this binary and of its parts.
#[derive(Debug, Serialize)]
pub(crate) struct BuildInfo {
    pub(crate) version: &'static str,
    /// The commit that the binary was built from; `unknown` unless `HOLYSTONE_COMMIT` was set during the build.
    pub(crate) commit: &'static str,
    /// The package and version of the interface that plugins see.
    pub(crate) wit: &'static str,
    /// The engine that runs plugins; compiled plugins are kept for one engine.
    pub(crate) engine: &'static str,
    /// The plugins that come with the binary, with their digests.
    pub(crate) builtins: BTreeMap<&'static str, String>,
}

/// Prints the versions.
pub(crate) fn version(version: &BuildInfo, format: OutputFormat) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        OutputFormat::Json => return json(&mut out, version),
        OutputFormat::Yaml => return yaml(&mut out, version),
        OutputFormat::Table => {}
    }
    writeln!(out, "holystone {} (commit {})", version.version, version.commit)?;
    writeln!(out, "plugin interface {}, engine {}", version.wit, version.engine)?;
    for (name, digest) in &version.builtins {
        writeln!(out, "builtin:{name} {digest}")?;
    }
    Ok(())
}
