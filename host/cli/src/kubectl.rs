//! `kubectl holystone`: the same binary under the name `kubectl-holystone`. Shows and steers NodeCleanups with the rights of
//! its user.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context as _, bail};
use holystone_core::cluster::{Engine, NodeState, NodeWord, RUN_NOW, fold};
use holystone_core::manifest::status::{LastRun, NodeCleanupStatus};
use holystone_core::manifest::{Mode, RolloutEngine};
use holystone_operator::{Access, NodeReports, connect_by};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{Format, KubectlArguments, KubectlCommand};
use crate::exit::Exit;
use crate::output;

/// The name by which kubectl finds this program.
const NAME: &str = "kubectl-holystone";

/// Returns whether this program was started by kubectl, or by the name that kubectl uses.
pub(crate) fn is_plugin(program: Option<&OsStr>) -> bool {
    program.is_some_and(|program| Path::new(program).file_stem() == Some(OsStr::new(NAME)))
}

/// Carries out a command.
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

/// A NodeCleanup as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<String>,
    pub(crate) paused: bool,
    pub(crate) engine: &'static str,
    pub(crate) status: NodeCleanupStatus,
}

impl Shown {
    /// Reads an object that the API server has checked; what is missing has its default.
    fn of(object: &Value) -> anyhow::Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let name = text(&object["metadata"]["name"]).unwrap_or_default();
        let status = match &object["status"] {
            Value::Null => NodeCleanupStatus::default(),
            status => serde_json::from_value(status.clone())
                .with_context(|| format!("the status of NodeCleanup {name} is not of this version of Holystone"))?,
        };
        let spec = &object["spec"];
        let schedule = text(&spec["schedule"]);
        let rollout: RolloutEngine = serde_json::from_value(spec["rollout"]["engine"].clone()).unwrap_or_default();
        Ok(Self {
            namespace: text(&object["metadata"]["namespace"]).unwrap_or_default(),
            name,
            mode: serde_json::from_value(spec["mode"].clone()).unwrap_or_default(),
            paused: spec["paused"] == true,
            engine: Engine::by(rollout, schedule.is_some()).kind(),
            schedule,
            status,
        })
    }
}

async fn list(access: &Access, all_namespaces: bool, format: Format) -> anyhow::Result<()> {
    let objects = access.list(all_namespaces).await?;
    let shown = objects.iter().map(Shown::of).collect::<anyhow::Result<Vec<_>>>()?;
    if shown.is_empty() && format == Format::Table {
        let place =
            if all_namespaces { "any namespace".to_owned() } else { format!("namespace {}", access.namespace()) };
        eprintln!("No NodeCleanups in {place}.");
        return Ok(());
    }
    output::node_cleanups(&shown, all_namespaces, format)
}

async fn one(access: &Access, name: &str, format: Format) -> anyhow::Result<()> {
    output::node_cleanup(&Shown::of(&access.get(name).await?)?, format)
}

/// The report of one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeReport {
    pub(crate) node: String,
    /// `Succeeded`, `Failed`, `Active`, `Waiting` for its time or for its pod to start, or `NoReport`.
    pub(crate) result: &'static str,
    #[serde(flatten)]
    pub(crate) sums: NodeSums,
    /// Sentences, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<String>,
}

/// The sums of one node, which are those of a run that took place there alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeSums {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) planned: Option<u64>,
    pub(crate) removed: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) size_removed_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filesystem_freed_bytes: Option<i64>,
}

impl NodeReport {
    fn of(state: &NodeState) -> Self {
        let LastRun { nodes, planned, removed, refused, failed, size_removed_bytes, filesystem_freed_bytes, .. } =
            fold(1, [state], Timestamp::now()).run;
        let result = match &state.word {
            NodeWord::Ended(_) if nodes.failed > 0 => "Failed",
            NodeWord::Ended(_) => "Succeeded",
            NodeWord::Active => "Active",
            NodeWord::Idle | NodeWord::Waiting(_) => "Waiting",
            NodeWord::Silent(_) => "NoReport",
        };
        Self {
            node: state.node.clone(),
            result,
            sums: NodeSums { planned, removed, refused, failed, size_removed_bytes, filesystem_freed_bytes },
            errors: state.errors().into_iter().map(str::to_owned).collect(),
        }
    }
}

async fn report(access: &Access, name: &str, node: Option<&str>, format: Format) -> anyhow::Result<()> {
    let cleanup = access.get(name).await?;
    let full = format!("{}/{name}", access.namespace());
    let Some(NodeReports { run, nodes }) = access.reports(&cleanup).await? else {
        bail!("{full} has not run yet; see kubectl holystone status {name}");
    };
    if nodes.is_empty() {
        bail!("no pod of the run {run} of {full} is left; its sums are in kubectl holystone status {name}");
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
        bail!("{full} is paused, and would ignore it; resume it first: kubectl holystone resume {name}");
    }
    if cleanup.engine == Engine::DaemonSet.kind() {
        bail!("{full} runs as a DaemonSet, whose daemons keep the schedule themselves: it cannot be run by hand");
    }
    let value = Timestamp::now().to_string();
    access.change(name, &json!({ "metadata": { "annotations": { RUN_NOW: value } } })).await?;
    output::lines([format!("{full}: run requested; follow it with kubectl holystone status {name}")].into_iter())
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
