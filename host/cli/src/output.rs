//! Output of results: a table for people, JSON and YAML for programs. All of it passes through [`Lines`].

mod cluster;
mod filesystems;
mod formats;
mod images;
mod lines;
mod logs;
mod state;
mod tables;
mod version;

use std::io::{BufWriter, IsTerminal, Write};

use anyhow::Context as _;
use holystone_agent::RunOutput;
use holystone_core::daemon::status::{Status, sentence};
use holystone_core::report::{Interrupted, PlanReport, PluginFailure, PluginRun, Report};
use holystone_core::snapshot::{Filesystem, Snapshot};
use holystone_core::state::State;
use holystone_core::text::{self, escaped};
use serde_json::{Value, json};

pub(crate) use self::cluster::{NodeReport, Shown};
use self::formats::{json, yaml};
use self::lines::Lines;
use self::tables::{new_table, print_table, time};
pub(crate) use self::version::{BuildInfo, version};
use crate::args::{OutputArguments, OutputFormat};

/// Returns whether to colour what goes to this stream.
pub(crate) fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints the result of a run to standard output.
pub(crate) fn run(output: &RunOutput, how: OutputArguments) -> anyhow::Result<()> {
    match output {
        RunOutput::Planned(planned) => plan(planned, how),
        RunOutput::Swept(swept) => report(swept, how),
    }
}

/// Prints a plan to standard output.
pub(crate) fn plan(planned: &PlanReport, how: OutputArguments) -> anyhow::Result<()> {
    plan_to(&mut std::io::stdout().lock(), planned, how)
}

/// Prints a report to standard output.
pub(crate) fn report(report: &Report, how: OutputArguments) -> anyhow::Result<()> {
    report_to(&mut std::io::stdout().lock(), report, how)
}

/// Prints a snapshot, in its file format, to standard output.
pub(crate) fn snapshot(snapshot: &Snapshot) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), OutputFormat::Json, |out| json(out, snapshot))
}

/// Prints sentences to standard output, one a line.
pub(crate) fn lines(sentences: impl Iterator<Item = String>) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), OutputFormat::Table, |out| {
        for sentence in sentences {
            writeln!(out, "{}", escaped(&sentence))?;
        }
        Ok(())
    })
}

/// Prints filesystems to standard output.
pub(crate) fn filesystems(filesystems: &[Filesystem]) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), OutputFormat::Table, |out| filesystems::lines(out, filesystems))
}

/// Prints a plan.
pub(crate) fn plan_to(out: &mut impl Write, planned: &PlanReport, how: OutputArguments) -> anyhow::Result<()> {
    print(out, how.format, |out| match how.format {
        OutputFormat::Table => plan_table(out, planned, how.all),
        OutputFormat::Json => json(out, planned),
        OutputFormat::Yaml => yaml(out, planned),
    })
}

/// Prints the separator between two results, for people and for programs.
pub(crate) fn separator(format: OutputFormat) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        OutputFormat::Table => writeln!(out)?,
        // JSON texts need no separator.
        OutputFormat::Json => {}
        OutputFormat::Yaml => writeln!(out, "---")?,
    }
    Ok(())
}

fn report_to(out: &mut impl Write, report: &Report, how: OutputArguments) -> anyhow::Result<()> {
    print(out, how.format, |out| match how.format {
        OutputFormat::Table => report_table(out, report, how.all),
        OutputFormat::Json => json(out, report),
        OutputFormat::Yaml => yaml(out, report),
    })
}

/// Prints the recorded state of a node.
pub(crate) fn state(state: &State, format: OutputFormat) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), format, |out| match format {
        OutputFormat::Table => state::table(out, state),
        OutputFormat::Json => json(out, state),
        OutputFormat::Yaml => yaml(out, state),
    })
}

/// Prints the status of a daemon.
pub(crate) fn status(status: &Status, format: OutputFormat) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), format, |out| match format {
        OutputFormat::Table => status_table(out, status),
        OutputFormat::Json => json(out, status),
        OutputFormat::Yaml => yaml(out, status),
    })
}

fn status_table(out: &mut impl Write, status: &Status) -> anyhow::Result<()> {
    let ending = if status.stopping { ", about to end" } else { "" };
    writeln!(out, "Holystone {} since {:.0}{ending}", text::shown(&status.version), status.started_at)?;
    writeln!(out, "Manifests of {:.0}", status.read_at)?;
    if let Some(problem) = &status.reload_problem {
        writeln!(out, "Newer manifests cannot be used: {}", escaped(problem))?;
    }
    let mut table = new_table(["NODECLEANUP", "STATE", "NEXT RUN", "LAST RUN"]);
    for charged in &status.node_cleanups {
        let last = charged.runs.first().map(|run| {
            let sentence = sentence(&run.record);
            format!("{:.0} {}", run.record.finished_at, text::shown(&sentence))
        });
        let state = format!("{} ({})", charged.state, charged.mode);
        table.add_row([
            text::shown(&charged.name),
            text::shown(&state),
            time(charged.next_run_at),
            last.unwrap_or_default(),
        ]);
    }
    print_table(out, &table)
}

/// Prints NodeCleanups of a cluster.
pub(crate) fn node_cleanups(shown: &[Shown], with_namespace: bool, format: OutputFormat) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), format, |out| match format {
        OutputFormat::Table => cluster::node_cleanups(out, shown, with_namespace),
        OutputFormat::Json => json(out, &shown),
        OutputFormat::Yaml => yaml(out, &shown),
    })
}

/// Prints a NodeCleanup of a cluster in full.
pub(crate) fn node_cleanup(shown: &Shown, format: OutputFormat) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), format, |out| match format {
        OutputFormat::Table => cluster::node_cleanup(out, shown),
        OutputFormat::Json => json(out, shown),
        OutputFormat::Yaml => yaml(out, shown),
    })
}

/// Prints a run of a cluster node by node.
pub(crate) fn node_reports(run: &str, reports: &[NodeReport], format: OutputFormat) -> anyhow::Result<()> {
    let all = json!({ "run": run, "nodes": reports });
    print(&mut std::io::stdout().lock(), format, |out| match format {
        OutputFormat::Table => cluster::node_reports(out, run, reports),
        OutputFormat::Json => json(out, &all),
        OutputFormat::Yaml => yaml(out, &all),
    })
}

/// Writes the content as a stream, because the text of a large plan takes more memory than the plan.
fn print<W: Write>(
    out: &mut W,
    format: OutputFormat,
    content: impl FnOnce(&mut Lines<BufWriter<&mut W>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut out = Lines::new(BufWriter::new(out), format);
    content(&mut out)?;
    Ok(out.flush()?)
}

/// Prints Kubernetes objects, for programs and people: YAML documents, or one JSON list.
pub(crate) fn documents(objects: &[Value], format: OutputFormat) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match (format, objects) {
        (OutputFormat::Json, [object]) => json(&mut out, object)?,
        (OutputFormat::Json, objects) => {
            json(&mut out, &serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects }))?;
        }
        (OutputFormat::Table | OutputFormat::Yaml, objects) => {
            for (place, object) in objects.iter().enumerate() {
                if place > 0 {
                    writeln!(out, "---")?;
                }
                serde_saphyr::to_io_writer(&mut out, object).context("the result cannot be written as YAML")?;
            }
        }
    }
    Ok(out.flush()?)
}

fn plan_table(out: &mut impl Write, planned: &PlanReport, all: bool) -> anyhow::Result<()> {
    writeln!(
        out,
        "{}",
        node(&planned.node, &planned.runtime, (planned.images.totals.planned, planned.images.entries), "to remove")
    )?;
    manifest_line(out, planned.node_cleanup.as_deref())?;
    filesystems::lines(out, &planned.filesystems)?;
    notices(out, &planned.notices)?;
    plugins(out, &planned.plugins)?;
    images::plan(out, planned)?;
    planned.logs.as_ref().map_or(Ok(()), |planned| logs::plan(out, planned, all))
}

/// Formats the first line of a plan or report, with the share of the node's images that it concerns: a plan that takes
/// nearly everything must not look like any other.
fn node(name: &str, runtime: &str, (part, images): (usize, Option<u64>), what: &str) -> String {
    let (name, images) = (text::shown(name), images.and_then(|images| usize::try_from(images).ok()).unwrap_or(0));
    if runtime.is_empty() {
        return format!("Node {name}, no container runtime");
    }
    let of = format!("{part} of {}", text::counted(images, "image", "images"));
    let percent = text::percent(part, images).map(|percent| format!(" ({percent} %)")).unwrap_or_default();
    format!("Node {name} ({}), {of} {what}{percent}", text::shown(runtime))
}

fn report_table(out: &mut impl Write, report: &Report, all: bool) -> anyhow::Result<()> {
    writeln!(
        out,
        "{}",
        node(&report.node, &report.runtime, (report.images.totals.removed, report.images.entries), "removed")
    )?;
    manifest_line(out, report.node_cleanup.as_deref())?;
    if let Some(earlier) = &report.interrupted {
        writeln!(out, "{}", interrupted(earlier))?;
    }
    notices(out, &report.notices)?;
    plugins(out, &report.plugins)?;
    images::report(out, report)?;
    if let Some(logs) = &report.logs {
        logs::report(out, logs, all)?;
    }
    if let Some(ending) = &report.ending {
        writeln!(out, "Ended before its plan did: {}", text::shown(&ending.message))?;
    }
    if report.has_image_part() {
        images::totals(out, report)?;
    }
    if let Some(logs) = &report.logs {
        logs::totals(out, report, logs)?;
    }
    filesystems::lines(out, &report.filesystems_after)
}

fn interrupted(run: &Interrupted) -> String {
    let images = format!(
        "of the {} images that it set out to remove {} are gone and {} are still there",
        run.planned, run.gone, run.left
    );
    let logs = format!("it had set out to remove or truncate {} log files and directories", run.logs);
    let parts = match (run.planned, run.logs) {
        (_, 0) => images,
        (0, _) => logs,
        _ => format!("{images}; {logs}"),
    };
    format!("The run of {} was cut off: {parts}", run.started_at)
}

fn manifest_line(out: &mut impl Write, name: Option<&str>) -> anyhow::Result<()> {
    if let Some(name) = name {
        writeln!(out, "NodeCleanup {}", text::shown(name))?;
    }
    Ok(())
}

fn notices(out: &mut impl Write, notices: &[String]) -> anyhow::Result<()> {
    for notice in notices {
        writeln!(out, "Note: {}", escaped(notice))?;
    }
    Ok(())
}

fn plugins(out: &mut impl Write, plugins: &[PluginRun]) -> anyhow::Result<()> {
    for plugin in plugins {
        match &plugin.failure {
            None => {
                let wishes = text::counted(plugin.wishes, "wish", "wishes");
                writeln!(out, "Plugin {}: {wishes}", escaped(&plugin.name))?;
            }
            Some(PluginFailure { reason, message }) => {
                writeln!(out, "Plugin {}: {}: {}", escaped(&plugin.name), escaped(reason), escaped(message))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
