//! `holystone completion`: a script for a shell.

use std::io::Write as _;

use crate::args::CompletionArguments;
use crate::exit::Exit;

/// Prints the completion script.
pub(crate) fn completion(arguments: &CompletionArguments) -> anyhow::Result<Exit> {
    std::io::stdout().lock().write_all(&arguments.script())?;
    Ok(Exit::Done)
}
