//! `holystone run`: cleans this node, the main command.

use std::io::IsTerminal as _;

use holystone_agent::{Confirm, Prepared, RunOptions, RunOutput, StopToken, UsageError, not_run, prepare_until};

use crate::args::RunArguments;
use crate::exit::Exit;
use crate::question::Terminal;
use crate::results::Results;
use crate::termination_message;

/// Runs each policy once on this node, in order.
pub(crate) async fn run(arguments: &RunArguments) -> anyhow::Result<Exit> {
    let prepared = Box::pin(prepare(arguments)).await.inspect_err(|error| {
        if let Some(path) = &arguments.termination_message {
            termination_message::write(path, &not_run(error));
        }
    });
    let (token, asks, prepared) = prepared?;
    let node = arguments.node_options();
    let confirm: Option<&dyn Confirm> = if asks { Some(&Terminal) } else { None };
    let options = RunOptions { node: &node, wait: arguments.wait, confirm };
    let mut results =
        Results::new(prepared.len(), arguments.output).hiding_failures(arguments.termination_message.is_some());
    for mut one in prepared {
        let result = holystone_agent::run(&mut one, options, arguments.retries, &token).await;
        if let Some(path) = &arguments.termination_message {
            termination_message::write(path, &result.as_ref().map_or_else(not_run, RunOutput::brief));
        }
        results.add(one.name(), result)?;
    }
    results.end()
}

/// Reads and checks the requested policies, and determines whether to ask before anything is removed.
async fn prepare(arguments: &RunArguments) -> anyhow::Result<(StopToken, bool, Vec<Prepared>)> {
    let token = StopToken::on_signals()?;
    let prepared = prepare_until(&arguments.request(), &token).await?;
    Ok((token, asks(arguments, &prepared)?, prepared))
}

/// Returns whether to ask on a terminal before anything is removed. A manifest needs no confirmation without a
/// terminal; flags alone need `--yes` then.
fn asks(arguments: &RunArguments, prepared: &[Prepared]) -> anyhow::Result<bool> {
    let has_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let by_manifest = !arguments.manifests.filenames.is_empty();
    if prepared.iter().any(Prepared::removes) && !arguments.yes && !by_manifest && !has_terminal {
        let problem = "--yes is missing: a run by flags asks before it removes anything, and there is no terminal to ask \
                       on; add --yes, or see what it would remove with holystone plan";
        return Err(UsageError::new(problem).into());
    }
    Ok(!arguments.yes && has_terminal)
}
