//! The output formats for programs.

use std::io::Write;

use anyhow::Context as _;
use serde::Serialize;

/// Writes a value as JSON.
pub(super) fn json(out: &mut impl Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).context("the result cannot be written as JSON")?;
    Ok(writeln!(out)?)
}

/// Writes a value as YAML.
pub(super) fn yaml(out: &mut impl Write, value: &impl Serialize) -> anyhow::Result<()> {
    // Block scalars are off: each value takes one line, which `Lines` relies on.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_io_writer_with_options(out, value, options).context("the result cannot be written as YAML")
}
