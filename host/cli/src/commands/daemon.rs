//! `holystone daemon`: carries out manifests repeatedly.

use holystone_agent::{not_run, run_daemon};

use crate::args::DaemonArguments;
use crate::exit::Exit;
use crate::termination_message;

/// Runs the daemon until a stop is requested, and writes the termination message of a pod.
pub(crate) async fn daemon(arguments: &DaemonArguments) -> anyhow::Result<Exit> {
    let ended = Box::pin(run_daemon(arguments.options())).await;
    let brief = match &ended {
        Ok(last) => last.clone(),
        Err(error) => Some(not_run(error)),
    };
    if let (Some(path), Some(brief)) = (&arguments.termination_message, brief) {
        termination_message::write(path, &brief);
    }
    ended.map(|_| Exit::Done)
}
