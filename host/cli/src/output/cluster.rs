//! The output of NodeCleanups of a cluster, and of the reports of its nodes.

use std::io::Write;

use anyhow::Context as _;
use holystone_core::cluster::{CleanupObject, Engine, NodeResult, NodeState, aggregate};
use holystone_core::manifest::Mode;
use holystone_core::manifest::status::{LastRun, NodeCleanupStatus, RunError};
use holystone_core::text::{self, escaped};
use jiff::Timestamp;
use serde::Serialize;

use super::tables::{bytes, columns, freed, number, print_table, time};

/// A NodeCleanup, as printed.
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
    /// Parses an object that the API server has checked; missing fields get their defaults.
    pub(crate) fn of(object: &CleanupObject) -> anyhow::Result<Self> {
        let CleanupObject { meta, spec, .. } = object;
        let status = object
            .read_status()
            .with_context(|| format!("the status of NodeCleanup {} is not of this version of Holystone", meta.name))?;
        Ok(Self {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            mode: spec.mode,
            paused: spec.paused,
            engine: Engine::by(spec.rollout.engine, spec.schedule.is_some()).kind(),
            schedule: spec.schedule.clone(),
            status,
        })
    }
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
    /// The errors as sentences, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<String>,
}

/// The sums of one node, which are those of a run that took place only there.
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
    /// Builds the report of a node from its state.
    pub(crate) fn of(state: &NodeState) -> Self {
        let LastRun { nodes, planned, removed, refused, failed, size_removed_bytes, filesystem_freed_bytes, .. } =
            aggregate(1, [state], Timestamp::now()).run;
        let result = match &state.word {
            NodeResult::Ended(_) if nodes.failed > 0 => "Failed",
            NodeResult::Ended(_) => "Succeeded",
            NodeResult::Active => "Active",
            NodeResult::Idle | NodeResult::Waiting(_) => "Waiting",
            NodeResult::Silent(_) => "NoReport",
        };
        Self {
            node: state.node.clone(),
            result,
            sums: NodeSums { planned, removed, refused, failed, size_removed_bytes, filesystem_freed_bytes },
            errors: state.errors().into_iter().map(str::to_owned).collect(),
        }
    }
}

pub(super) fn node_cleanups(out: &mut impl Write, shown: &[Shown], with_namespace: bool) -> anyhow::Result<()> {
    let head = ["NAME", "MODE", "SCHEDULE", "READY", "PHASE", "NODES", "PLANNED", "REMOVED", "LAST RUN", "NEXT RUN"];
    let mut table = columns(with_namespace.then_some("NAMESPACE").into_iter().chain(head));
    for Shown { namespace, name, mode, schedule, paused, status, .. } in shown {
        let ready = status.conditions.iter().find(|condition| condition.kind == "Ready");
        let run = status.last_run.as_ref();
        let schedule = schedule.as_deref().unwrap_or("once");
        let row = [
            text::shown(name),
            mode.as_str().to_owned(),
            text::shown(&if *paused { format!("{schedule} (paused)") } else { schedule.to_owned() }),
            ready.map_or_else(String::new, |ready| text::shown(&ready.reason)),
            run.map_or_else(String::new, |run| run.phase.as_str().to_owned()),
            run.map_or_else(String::new, |run| text::shown(&run.nodes.summary)),
            number(run.and_then(|run| run.planned)),
            number(run.map(|run| run.removed)),
            time(run.and_then(|run| run.finished_at.or(run.started_at))),
            time(status.next_schedule_time),
        ];
        table.add_row(with_namespace.then(|| text::shown(namespace)).into_iter().chain(row));
    }
    writeln!(out, "{}", table.trim_fmt())?;
    Ok(())
}

pub(super) fn node_cleanup(out: &mut impl Write, shown: &Shown) -> anyhow::Result<()> {
    let Shown { namespace, name, mode, schedule, paused, engine, status } = shown;
    let schedule = schedule.as_ref().map_or_else(|| "once".to_owned(), |schedule| text::shown(schedule));
    let paused = if *paused { ", paused" } else { "" };
    writeln!(out, "{}/{}: {}, {schedule}, {engine}{paused}", text::shown(namespace), text::shown(name), mode.as_str())?;
    for condition in &status.conditions {
        let state = if condition.status == "True" { "" } else { "not " };
        let (kind, reason) = (text::shown(&condition.kind), text::shown(&condition.reason));
        writeln!(out, "{state}{kind}: {reason}: {}", escaped(&condition.message))?;
    }
    if let Some(next) = status.next_schedule_time {
        writeln!(out, "Next run: {next:.0}")?;
    }
    if !status.active_runs.is_empty() {
        let names: Vec<String> = status.active_runs.iter().map(|name| text::shown(name)).collect();
        writeln!(out, "Not ended: {}", names.join(", "))?;
    }
    if let Some(run) = &status.last_run {
        let times = [("started", run.started_at), ("finished", run.finished_at)];
        let times = times.iter().filter_map(|(word, at)| Some(format!(", {word} {:.0}", (*at)?))).collect::<String>();
        let (run_name, phase) = (text::shown(&run.name), run.phase.as_str().to_owned());
        let nodes = match run.nodes.summary.as_str() {
            "" => "nodes not counted yet".to_owned(),
            summary => format!("{} nodes", text::shown(summary)),
        };
        writeln!(out, "Last run: {run_name}, {phase}, {nodes}{times}")?;
        let measured = run.filesystem_freed_bytes;
        let freed = measured.map_or_else(String::new, |_| format!("; filesystems {}", freed(measured)));
        let size = bytes(run.size_removed_bytes);
        writeln!(out, "  {} removed ({size}), {} refused, {} failed{freed}", run.removed, run.refused, run.failed)?;
        if let Some(planned) = run.planned {
            let size = run.size_planned_bytes.map_or_else(String::new, |size| format!(" ({})", bytes(size)));
            writeln!(out, "  {planned} planned{size}")?;
        }
        for sum in &run.planned_repositories {
            writeln!(out, "    {} of {} ({})", sum.count, text::shown(&sum.name), bytes(sum.size_bytes))?;
        }
        for refusal in &run.refusals {
            writeln!(out, "  {} refused: {}", refusal.count, text::shown(&refusal.code))?;
        }
        for error in &run.errors {
            writeln!(out, "  {}{}", place(error), escaped(&error.message))?;
        }
    }
    for plugin in &status.plugins {
        let digest = plugin.digest.as_ref().map_or_else(|| "not loaded".to_owned(), |digest| text::shown(digest));
        writeln!(out, "Plugin {}: {digest}", text::shown(&plugin.name))?;
    }
    Ok(())
}

/// Formats the nodes on which an error occurred, with a colon; empty if the error concerns no node.
fn place(error: &RunError) -> String {
    let names: Vec<String> = error.nodes.iter().map(|node| text::shown(node)).collect();
    let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    if error.count == 0 {
        return String::new();
    }
    format!("on {}{names}: ", text::counted(error.count as usize, "node", "nodes"))
}

pub(super) fn node_reports(out: &mut impl Write, run: &str, reports: &[NodeReport]) -> anyhow::Result<()> {
    let mut table = columns(["NODE", "RESULT", "PLANNED", "REMOVED", "REFUSED", "FAILED", "SIZE", "ERROR"]);
    for NodeReport { node, result, sums, errors } in reports {
        let more = errors.len().saturating_sub(1);
        let first = errors.first().map_or_else(String::new, |error| text::shown(error));
        table.add_row([
            text::shown(node),
            (*result).to_owned(),
            number(sums.planned),
            sums.removed.to_string(),
            sums.refused.to_string(),
            sums.failed.to_string(),
            bytes(sums.size_removed_bytes),
            if more > 0 { format!("{first} (and {more} more)") } else { first },
        ]);
    }
    writeln!(out, "Run {}", text::shown(run))?;
    print_table(out, &table)
}
