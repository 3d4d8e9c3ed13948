//! `holystone state`: what is remembered of this node.

use anyhow::Context as _;
use holystone_node::{Found, StateDir};
use jiff::Timestamp;

use crate::args::StateArguments;
use crate::exit::Exit;
use crate::output;
use crate::remembered;

/// Prints the state. One that is of no use is an error here: there is nothing to show.
pub(crate) fn state(arguments: &StateArguments) -> anyhow::Result<Exit> {
    let state_dir = StateDir::open(&remembered::directory(&arguments.directory)?)?;
    let Found { state, notice } = state_dir.load(Timestamp::now());
    if let Some(notice) = notice {
        anyhow::bail!(notice);
    }
    let file = state_dir.file();
    let known = file.try_exists().with_context(|| file.display().to_string())?;
    anyhow::ensure!(known, "nothing is remembered yet: {} comes with the first run", file.display());
    output::state(&state, arguments.output)?;
    Ok(Exit::Done)
}
