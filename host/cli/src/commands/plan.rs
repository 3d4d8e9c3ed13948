//! `holystone plan`: shows what a run would do. A dry run is the absence of the sweep, not a flag passed down.

use std::path::Path;

use holystone_agent::{RunOutput, UsageError, plan_recorded, prepare, read_snapshot};

use crate::args::PlanArguments;
use crate::exit::Exit;
use crate::results::Results;

/// Computes and prints a plan for each policy, in order.
pub(crate) async fn plan(arguments: &PlanArguments) -> anyhow::Result<Exit> {
    check_standard_input(arguments)?;
    let recorded = arguments.snapshot.as_deref().map(read_snapshot).transpose()?;
    let node = arguments.node_options();
    let prepared = prepare(&arguments.request()).await?;
    let mut results = Results::new(prepared.len(), arguments.output);
    for mut one in prepared {
        let planned = match &recorded {
            Some(snapshot) => plan_recorded(&mut one, snapshot).await,
            None => holystone_agent::plan(&mut one, &node).await,
        };
        results.add(one.name(), planned.map(|planned| RunOutput::Planned(Box::new(planned))))?;
    }
    results.end()
}

/// Checks that standard input is used only once.
fn check_standard_input(arguments: &PlanArguments) -> anyhow::Result<()> {
    let from_stdin = |path: &Path| path.as_os_str() == "-";
    if arguments.snapshot.as_deref().is_some_and(from_stdin)
        && arguments.manifests.filenames.iter().any(|path| from_stdin(path))
    {
        let problem = "standard input cannot be both the manifest (-f -) and the node (--snapshot -)";
        return Err(UsageError::new(problem).into());
    }
    Ok(())
}
