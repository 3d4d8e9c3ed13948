//! `holystone status`: how a daemon on this machine stands.

use anyhow::Context as _;

use crate::args::StatusArguments;
use crate::daemon::http;
use crate::daemon::status::Status;
use crate::exit::Exit;
use crate::output;

/// Asks the daemon and prints what it says.
pub(crate) async fn status(arguments: &StatusArguments) -> anyhow::Result<Exit> {
    let answer = http::get(arguments.address, "/status").await?;
    let status: Status = serde_json::from_slice(&answer)
        .with_context(|| format!("what answers on {} is no daemon of this version", arguments.address))?;
    output::status(&status, arguments.output)?;
    Ok(Exit::Done)
}
