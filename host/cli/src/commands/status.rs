//! `holystone status`: shows the status of a daemon on this machine.

use anyhow::Context as _;
use holystone_agent::http;
use holystone_core::daemon::status::Status;

use crate::args::StatusArguments;
use crate::exit::Exit;
use crate::output;

/// The longest answer that is read, in bytes: it has all stored runs.
const MOST_ANSWER: usize = 16 << 20;

/// Requests the status of the daemon and prints it.
pub(crate) async fn status(arguments: &StatusArguments) -> anyhow::Result<Exit> {
    let answer = http::get(arguments.address, "/status", MOST_ANSWER).await?;
    let status: Status = serde_json::from_slice(&answer)
        .with_context(|| format!("what answers on {} is no daemon of this version", arguments.address))?;
    output::status(&status, arguments.output)?;
    Ok(Exit::Done)
}
