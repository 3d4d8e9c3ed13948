//! `kubectl holystone`: the same binary under the name `kubectl-holystone`. Shows and controls NodeCleanups with the
//! permissions of its user.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::bail;
use holystone_core::cluster::{Engine, RUN_NOW};
use holystone_operator::{Access, NodeReports, connect_by};
use jiff::Timestamp;
use serde_json::json;

use crate::args::{KubectlArguments, KubectlCommand, OutputFormat};
use crate::exit::Exit;
use crate::output::{self, NodeReport, Shown};

/// The name by which kubectl finds this program.
const NAME: &str = "kubectl-holystone";

/// Returns whether this program was started by kubectl, or by the name that kubectl uses.
pub(crate) fn is_plugin(program: Option<&OsStr>) -> bool {
    program.is_some_and(|program| Path::new(program).file_stem() == Some(OsStr::new(NAME)))
}

/// Runs a command.
pub(crate) async fn kubectl(arguments: &KubectlArguments) -> anyhow::Result<Exit> {
    let client = connect_by(arguments.kubeconfig.as_deref(), arguments.context.as_deref()).await?;
    let access = Access::new(client, arguments.namespace.as_deref());
    match &arguments.command {
        KubectlCommand::Status { name: Some(name), output, .. } => one(&access, name, *output).await?,
        KubectlCommand::Status { name: None, all_namespaces, output } => {
            list(&access, *all_namespaces, *output).await?;
        }
        KubectlCommand::Report { name, node, output } => report(&access, name, node.as_deref(), *output).await?,
        KubectlCommand::RunNow { name } => run_now(&access, name).await?,
        KubectlCommand::Pause { name } => set_paused(&access, name, true).await?,
        KubectlCommand::Resume { name } => set_paused(&access, name, false).await?,
    }
    Ok(Exit::Done)
}

async fn list(access: &Access, all_namespaces: bool, format: OutputFormat) -> anyhow::Result<()> {
    let objects = access.list(all_namespaces).await?;
    let shown = objects.iter().map(Shown::of).collect::<anyhow::Result<Vec<_>>>()?;
    if shown.is_empty() && format == OutputFormat::Table {
        let place =
            if all_namespaces { "any namespace".to_owned() } else { format!("namespace {}", access.namespace()) };
        eprintln!("No NodeCleanups in {place}.");
        return Ok(());
    }
    output::node_cleanups(&shown, all_namespaces, format)
}

async fn one(access: &Access, name: &str, format: OutputFormat) -> anyhow::Result<()> {
    output::node_cleanup(&Shown::of(&access.get(name).await?)?, format)
}

async fn report(access: &Access, name: &str, node: Option<&str>, format: OutputFormat) -> anyhow::Result<()> {
    let cleanup = access.get(name).await?;
    let full = format!("{}/{name}", access.namespace());
    let Some(NodeReports { run, nodes }) = access.reports(&cleanup).await? else {
        bail!("{full} has not run yet; see kubectl holystone status -n {} {name}", access.namespace());
    };
    if nodes.is_empty() {
        bail!(
            "no pod of the run {run} of {full} is left; its sums are in kubectl holystone status -n {} {name}",
            access.namespace()
        );
    }
    let shown: Vec<NodeReport> =
        nodes.iter().filter(|state| node.is_none_or(|node| state.node == node)).map(NodeReport::of).collect();
    if let (Some(node), true) = (node, shown.is_empty()) {
        bail!("the run {run} of {full} has no pod on the node {node}; without --node, all nodes are shown");
    }
    output::node_reports(&run, &shown, format)
}

async fn run_now(access: &Access, name: &str) -> anyhow::Result<()> {
    let cleanup = Shown::of(&access.get(name).await?)?;
    let full = format!("{}/{name}", access.namespace());
    if cleanup.paused {
        bail!(
            "{full} is paused, and would ignore it; resume it first: kubectl holystone resume -n {} {name}",
            access.namespace()
        );
    }
    if cleanup.engine == Engine::DaemonSet.kind() {
        bail!("{full} runs as a DaemonSet, whose daemons keep the schedule themselves: it cannot be run by hand");
    }
    let value = Timestamp::now().to_string();
    access.change(name, &json!({ "metadata": { "annotations": { RUN_NOW: value } } })).await?;
    let follow = format!("kubectl holystone status -n {} {name}", access.namespace());
    output::lines([format!("{full}: run requested; follow it with {follow}")].into_iter())
}

async fn set_paused(access: &Access, name: &str, paused: bool) -> anyhow::Result<()> {
    let cleanup = Shown::of(&access.get(name).await?)?;
    let (full, word) = (format!("{}/{name}", access.namespace()), if paused { "paused" } else { "resumed" });
    if cleanup.paused == paused {
        let state = if paused { "paused already" } else { "not paused" };
        return output::lines([format!("{full} is {state}")].into_iter());
    }
    access.change(name, &json!({ "spec": { "paused": paused } })).await?;
    output::lines([format!("{full} {word}")].into_iter())
}
