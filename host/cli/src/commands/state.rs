//! `holystone state`: shows the recorded state of this node.

use holystone_agent::read_state;

use crate::args::StateArguments;
use crate::exit::Exit;
use crate::output;

/// Prints the state.
pub(crate) fn state(arguments: &StateArguments) -> anyhow::Result<Exit> {
    let state = read_state(arguments.directory.state_dir.as_deref())?;
    output::state(&state, arguments.output)?;
    Ok(Exit::Done)
}
