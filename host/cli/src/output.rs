//! Printing results: a table for people, JSON and YAML for programs. All of it goes out through [`Lines`].

mod cluster;
mod formats;
mod lines;
mod logs;
mod tables;
mod version;

use std::io::{BufWriter, IsTerminal, Write};

use anyhow::Context as _;
use comfy_table::Table;
use holystone_agent::RunOutput;
use holystone_core::clock::Doubt;
use holystone_core::confirmation::Confirmations;
use holystone_core::daemon::status::{Status, sentence};
use holystone_core::guard::Refused;
use holystone_core::report::{Interrupted, Outcome, PlanReport, PluginFailure, PluginRun, Remark, Report, StepResult};
use holystone_core::snapshot::{Filesystem, Snapshot};
use holystone_core::state::State;
use holystone_core::text::{self, escaped};
use serde_json::{Value, json};

pub(crate) use self::cluster::{NodeReport, Shown};
use self::formats::{json, yaml};
use self::lines::Lines;
use self::tables::{bytes, columns, freed, new_table, number, others, print_table, time};
pub(crate) use self::version::{BuildInfo, version};
use crate::args::{Format, OutputArguments};

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
    print(&mut std::io::stdout().lock(), Format::Json, |out| json(out, snapshot))
}

/// Prints sentences to standard output, one a line.
pub(crate) fn lines(sentences: impl Iterator<Item = String>) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), Format::Table, |out| {
        for sentence in sentences {
            writeln!(out, "{}", escaped(&sentence))?;
        }
        Ok(())
    })
}

/// Prints filesystems to standard output.
pub(crate) fn filesystems(filesystems: &[Filesystem]) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), Format::Table, |out| filesystem_lines(out, filesystems))
}

/// Prints a plan.
pub(crate) fn plan_to(out: &mut impl Write, planned: &PlanReport, how: OutputArguments) -> anyhow::Result<()> {
    print(out, how.format, |out| match how.format {
        Format::Table => plan_table(out, planned, how.all),
        Format::Json => json(out, planned),
        Format::Yaml => yaml(out, planned),
    })
}

/// Prints what stands between two results: a program can tell them apart, and a person as well.
pub(crate) fn separator(format: Format) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => writeln!(out)?,
        // JSON texts follow each other as they are.
        Format::Json => {}
        Format::Yaml => writeln!(out, "---")?,
    }
    Ok(())
}

fn report_to(out: &mut impl Write, report: &Report, how: OutputArguments) -> anyhow::Result<()> {
    print(out, how.format, |out| match how.format {
        Format::Table => report_table(out, report, how.all),
        Format::Json => json(out, report),
        Format::Yaml => yaml(out, report),
    })
}

/// Prints what is remembered of a node.
pub(crate) fn state(state: &State, format: Format) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), format, |out| match format {
        Format::Table => state_table(out, state),
        Format::Json => json(out, state),
        Format::Yaml => yaml(out, state),
    })
}

/// Prints how a daemon stands.
pub(crate) fn status(status: &Status, format: Format) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), format, |out| match format {
        Format::Table => status_table(out, status),
        Format::Json => json(out, status),
        Format::Yaml => yaml(out, status),
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
pub(crate) fn node_cleanups(shown: &[Shown], with_namespace: bool, format: Format) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), format, |out| match format {
        Format::Table => node_cleanups_table(out, shown, with_namespace),
        Format::Json => json(out, &shown),
        Format::Yaml => yaml(out, &shown),
    })
}

/// Prints a NodeCleanup of a cluster in full.
pub(crate) fn node_cleanup(shown: &Shown, format: Format) -> anyhow::Result<()> {
    print(&mut std::io::stdout().lock(), format, |out| match format {
        Format::Table => node_cleanup_lines(out, shown),
        Format::Json => json(out, shown),
        Format::Yaml => yaml(out, shown),
    })
}

/// Prints a run of a cluster node by node.
pub(crate) fn node_reports(run: &str, reports: &[NodeReport], format: Format) -> anyhow::Result<()> {
    let all = json!({ "run": run, "nodes": reports });
    print(&mut std::io::stdout().lock(), format, |out| match format {
        Format::Table => node_reports_table(out, run, reports),
        Format::Json => json(out, &all),
        Format::Yaml => yaml(out, &all),
    })
}

fn node_cleanups_table(out: &mut impl Write, shown: &[Shown], with_namespace: bool) -> anyhow::Result<()> {
    let head = ["NAME", "MODE", "SCHEDULE", "READY", "PHASE", "NODES", "PLANNED", "REMOVED", "LAST RUN", "NEXT RUN"];
    let mut table = columns(with_namespace.then_some("NAMESPACE").into_iter().chain(head));
    for Shown { namespace, name, mode, schedule, paused, status, .. } in shown {
        let ready = status.conditions.iter().find(|condition| condition.kind == "Ready");
        let run = status.last_run.as_ref();
        let schedule = schedule.as_deref().unwrap_or("once");
        let row = [
            text::shown(name),
            format!("{mode:?}"),
            text::shown(&if *paused { format!("{schedule} (paused)") } else { schedule.to_owned() }),
            ready.map_or_else(String::new, |ready| text::shown(&ready.reason)),
            run.map_or_else(String::new, |run| text::shown(&run.phase)),
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

fn node_cleanup_lines(out: &mut impl Write, shown: &Shown) -> anyhow::Result<()> {
    let Shown { namespace, name, mode, schedule, paused, engine, status } = shown;
    let schedule = schedule.as_ref().map_or_else(|| "once".to_owned(), |schedule| text::shown(schedule));
    let paused = if *paused { ", paused" } else { "" };
    writeln!(out, "{}/{}: {mode:?}, {schedule}, {engine}{paused}", text::shown(namespace), text::shown(name))?;
    for condition in &status.conditions {
        let state = if condition.status == "True" { "" } else { "not " };
        let (kind, reason) = (text::shown(&condition.kind), text::shown(&condition.reason));
        writeln!(out, "{state}{kind}: {reason}: {}", escaped(&condition.message))?;
    }
    if let Some(next) = status.next_schedule_time {
        writeln!(out, "Next run: {next:.0}")?;
    }
    if let Some(run) = &status.last_run {
        let times = [("started", run.started_at), ("finished", run.finished_at)];
        let times = times.iter().filter_map(|(word, at)| Some(format!(", {word} {:.0}", (*at)?))).collect::<String>();
        let (run_name, phase) = (text::shown(&run.name), text::shown(&run.phase));
        writeln!(out, "Last run: {run_name}, {phase}, {} nodes{times}", text::shown(&run.nodes.summary))?;
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
            let names: Vec<String> = error.nodes.iter().map(|node| text::shown(node)).collect();
            writeln!(out, "  on {} nodes ({}): {}", error.count, names.join(", "), escaped(&error.message))?;
        }
    }
    for plugin in &status.plugins {
        let digest = plugin.digest.as_ref().map_or_else(|| "not loaded".to_owned(), |digest| text::shown(digest));
        writeln!(out, "Plugin {}: {digest}", text::shown(&plugin.name))?;
    }
    Ok(())
}

fn node_reports_table(out: &mut impl Write, run: &str, reports: &[NodeReport]) -> anyhow::Result<()> {
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

fn state_table(out: &mut impl Write, state: &State) -> anyhow::Result<()> {
    match state.since {
        Some(since) => writeln!(out, "This node is remembered since {since:.0}")?,
        None => writeln!(out, "This node has not been seen yet")?,
    }
    match &state.last_run {
        Some(run) => writeln!(
            out,
            "The last run ended at {:.0}: {} removed, {} refused, {} failed{}",
            run.finished_at,
            run.totals.removed,
            run.totals.refused,
            run.totals.failed,
            run.ending.as_ref().map(|ending| format!("; {}", text::shown(&ending.message))).unwrap_or_default()
        )?,
        None => writeln!(out, "No run has come to its end yet")?,
    }
    if let Some(totals) = state.last_run.as_ref().and_then(|run| run.log_totals) {
        writeln!(
            out,
            "Beneath log roots it removed {} and truncated {}; {} refused, {} failed",
            totals.removed, totals.truncated, totals.refused, totals.failed
        )?;
    }
    if let Some(run) = &state.under_way {
        let (images, logs) = (run.images.len(), run.logs);
        let logs = if logs == 0 { String::new() } else { format!(" and {logs} log files and directories") };
        writeln!(
            out,
            "A run that began at {:.0} to remove {images} images{logs} is under way or was cut off",
            run.started_at
        )?;
    }
    state_notes(out, state)?;
    let mut table = new_table(["IMAGE", "FIRST SEEN", "LAST USED", "WISHED"]);
    for (id, seen) in &state.images {
        let own = if state.own_images.contains(id) { " (Holystone's own)" } else { "" };
        let used = match seen.used {
            _ if seen.in_use => "in use".to_owned(),
            None => "never".to_owned(),
            Some(used) => format!("{used:.0}"),
        };
        let first = format!("{:.0}", seen.first);
        let called = called(state, id);
        table.add_row([&format!("{called}{own}"), &first, &used, &wished(state, id)]);
    }
    print_table(out, &table)
}

/// What an image is called, with the beginning of its id; the whole of it where it has no name.
fn called(state: &State, id: &str) -> String {
    let Some(names) = state.names.get(id) else { return text::shown(id) };
    let names: Vec<String> = names.iter().map(|name| text::shown(name)).collect();
    format!("{} ({})", names.join(", "), short(id))
}

/// As much of an id as tells images of a node apart.
fn short(id: &str) -> String {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    text::shown(&hex.chars().take(12).collect::<String>())
}

/// What there is to say about whether ages are known.
fn state_notes(out: &mut impl Write, state: &State) -> anyhow::Result<()> {
    if let Some(lost) = state.lost {
        writeln!(out, "What had been remembered before {lost:.0} was lost")?;
    }
    if let Some(jump) = state.jump {
        writeln!(out, "{}", Doubt::Ahead { by: jump.by })?;
    }
    if state.clock.as_ref().is_some_and(|clock| clock.is_wrong) {
        writeln!(out, "The clock was wrong at the last run, which it dated {:.0}", state.written_at)?;
    }
    if let Some(since) = state.pods.and_then(|pods| pods.none_since) {
        writeln!(out, "The runtime lists no pods since {since:.0}")?;
    }
    Ok(())
}

/// By whom, and in how many runs in a row, the removal of an image was wished.
fn wished(state: &State, id: &str) -> String {
    let runs = state.confirmations.iter().filter_map(|counted| Some((counted, counted.images.get(id)?)));
    let by = |counted: &Confirmations| match counted.manifest.as_str() {
        "" => text::shown(&counted.plugin),
        manifest => format!("{} of {}", text::shown(&counted.plugin), text::shown(manifest)),
    };
    let runs: Vec<String> = runs.map(|(counted, runs)| format!("{} {runs}×", by(counted))).collect();
    runs.join(", ")
}

/// Writes as it goes: the text of a large plan takes more memory than the plan.
fn print<W: Write>(
    out: &mut W,
    format: Format,
    content: impl FnOnce(&mut Lines<BufWriter<&mut W>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut out = Lines::new(BufWriter::new(out), format);
    content(&mut out)?;
    Ok(out.flush()?)
}

/// Prints Kubernetes objects, for programs and people: YAML documents, or one JSON list.
pub(crate) fn documents(objects: &[Value], format: Format) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    match (format, objects) {
        (Format::Json, [object]) => json(&mut out, object)?,
        (Format::Json, objects) => {
            json(&mut out, &serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects }))?;
        }
        (Format::Table | Format::Yaml, objects) => {
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
    writeln!(out, "{}", node(&planned.node, &planned.runtime, (planned.totals.planned, planned.images), "to remove"))?;
    manifest_line(out, planned.node_cleanup.as_deref())?;
    filesystem_lines(out, &planned.filesystems)?;
    notices(out, &planned.notices)?;
    plugins(out, &planned.plugins)?;
    let mut table = new_table(["PLAN", "IMAGE", "SIZE", "REASON"]);
    for step in &planned.plan.steps {
        let names = names(step.references(), step.name());
        table.add_row(["remove", &names, &bytes(step.size_bytes()), &step.reason().line()]);
    }
    refusals(&mut table, &planned.plan.refusals);
    print_table(out, &table)?;
    let totals = &planned.totals;
    if planned.has_image_part() {
        writeln!(
            out,
            "{} to remove, {} refused; size to remove {}",
            totals.planned,
            totals.refused,
            bytes(totals.size_planned_bytes)
        )?;
    }
    planned.logs.as_ref().map_or(Ok(()), |planned| logs::plan(out, planned, all))
}

/// Says what a plan or report is about, and how much of the node it takes: a plan that takes nearly everything must not
/// look like any other.
fn node(name: &str, runtime: &str, (part, images): (usize, usize), what: &str) -> String {
    let name = text::shown(name);
    if runtime.is_empty() {
        return format!("Node {name}, no container runtime");
    }
    let of = format!("{part} of {}", text::counted(images, "image", "images"));
    let percent = text::percent(part, images).map(|percent| format!(" ({percent} %)")).unwrap_or_default();
    format!("Node {name} ({}), {of} {what}{percent}", text::shown(runtime))
}

fn report_table(out: &mut impl Write, report: &Report, all: bool) -> anyhow::Result<()> {
    writeln!(out, "{}", node(&report.node, &report.runtime, (report.totals.removed, report.images), "removed"))?;
    manifest_line(out, report.node_cleanup.as_deref())?;
    if let Some(earlier) = &report.interrupted {
        writeln!(out, "{}", interrupted(earlier))?;
    }
    notices(out, &report.notices)?;
    plugins(out, &report.plugins)?;
    let mut table = new_table(["RESULT", "IMAGE", "SIZE", "REASON"]);
    for StepResult { step, outcome, remark } in &report.steps {
        let why = explain(outcome, remark).unwrap_or_else(|| step.reason().line());
        let names = names(step.references(), step.name());
        table.add_row([outcome.as_str(), &names, &bytes(step.size_bytes()), &why]);
    }
    refusals(&mut table, &report.refusals);
    print_table(out, &table)?;
    if let Some(logs) = &report.logs {
        logs::report(out, logs, all)?;
    }
    if let Some(ending) = &report.ending {
        writeln!(out, "Ended before its plan did: {}", text::shown(&ending.message))?;
    }
    if report.has_image_part() {
        totals(out, report)?;
    }
    if let Some(logs) = &report.logs {
        logs::totals(out, logs, &report.filesystems_after)?;
    }
    filesystem_lines(out, &report.filesystems_after)
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

fn totals(out: &mut impl Write, report: &Report) -> anyhow::Result<()> {
    let totals = &report.totals;
    write!(out, "{} removed", totals.removed)?;
    others(
        out,
        [
            (totals.already_gone, "already gone"),
            (totals.refused, "refused"),
            (totals.no_longer_allowed, "no longer allowed"),
            (totals.not_needed, "not needed"),
            (totals.not_attempted, "not attempted"),
            (totals.failed, "failed"),
        ],
    )?;
    writeln!(out, "; size removed {} (as the runtime counts; layers are shared)", bytes(totals.size_removed_bytes))?;
    Ok(writeln!(out, "filesystem {}", freed(totals.filesystem_freed_bytes))?)
}

/// Every tag of an image, for all of them go or stay together; what else it is called when it has none.
fn names(references: &[String], otherwise: &str) -> String {
    let tags = references.iter().filter(|reference| !reference.contains('@'));
    let tags: Vec<String> = tags.map(|tag| text::shown(tag)).collect();
    if tags.is_empty() { text::shown(otherwise) } else { tags.join(", ") }
}

/// How many characters of a runtime's words are shown in a row.
const ROW: usize = 300;

/// What there is to say beyond the plugin's reason.
fn explain(outcome: &Outcome, remark: &Remark) -> Option<String> {
    let answer = remark
        .answer
        .as_ref()
        .map(|answer| format!("not listed any more, though the runtime answered: {}", text::both_ends(answer, ROW)));
    let lost: Vec<String> = remark.lost_names.iter().map(|name| text::shown(name)).collect();
    let lost = (!lost.is_empty()).then(|| format!("it has lost the names {}", lost.join(", ")));
    let parts: Vec<String> = reason_of(outcome).into_iter().chain(answer).chain(lost).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Why a step came to its outcome, unless that is what it set out to do.
fn reason_of(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Removed => None,
        Outcome::AlreadyGone => Some("somebody else removed it".to_owned()),
        Outcome::NoLongerAllowed(refusal) => Some(format!("rail {}: {refusal}", refusal.rail())),
        Outcome::StillListed => Some("by the runtime's word it is gone, and it is listed all the same".to_owned()),
        Outcome::Failed(why) | Outcome::NotAttempted(why) | Outcome::NotNeeded(why) => Some(text::both_ends(why, ROW)),
    }
}

fn refusals(table: &mut Table, refusals: &[Refused]) {
    for Refused { name, references, size_bytes, refusal, .. } in refusals {
        let size = size_bytes.map_or_else(String::new, bytes);
        table.add_row(["refuse", &names(references, name), &size, &format!("rail {}: {refusal}", refusal.rail())]);
    }
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

/// One line for each filesystem, under all of its names.
fn filesystem_lines(out: &mut impl Write, filesystems: &[Filesystem]) -> anyhow::Result<()> {
    for names in by_filesystem(filesystems) {
        let shown: Vec<String> = names.iter().map(|filesystem| text::shown(&filesystem.name)).collect();
        writeln!(out, "Filesystem {}: {}", shown.join(", "), disk_use(&names))?;
    }
    Ok(())
}

/// The names under which each filesystem is there.
fn by_filesystem(filesystems: &[Filesystem]) -> Vec<Vec<&Filesystem>> {
    let mut found: Vec<Vec<&Filesystem>> = Vec::new();
    for filesystem in filesystems {
        match found.iter_mut().find(|names| names.iter().any(|other| other.is_same(filesystem))) {
            Some(names) => names.push(filesystem),
            None => found.push(vec![filesystem]),
        }
    }
    found
}

/// Describes how full a filesystem is, of bytes and, where that is more, of inodes; and what the runtime says of its store there.
fn disk_use(names: &[&Filesystem]) -> String {
    let measured = names.iter().find_map(|filesystem| Some((filesystem, filesystem.bytes_used()?)));
    let whole = measured.map(|(filesystem, percent)| {
        format!("{percent} % of {} in use", bytes(filesystem.capacity_bytes.unwrap_or_default()))
    });
    let inodes = measured.and_then(|(filesystem, percent)| {
        let used = filesystem.inodes_used().filter(|used| *used > percent)?;
        Some(format!("{used} % of {} inodes in use", filesystem.inodes?))
    });
    // The runtime computes its figure now and then; until it has, it says 0.
    let stores = names.iter().filter_map(|filesystem| filesystem.used_bytes.filter(|used| *used > 0));
    let stores = stores.map(|used| format!("the runtime says that its store uses {}", bytes(used)));
    let parts: Vec<String> = whole.into_iter().chain(inodes).chain(stores).collect();
    if parts.is_empty() { "no figures".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests;
