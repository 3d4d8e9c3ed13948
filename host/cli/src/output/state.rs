//! The table of the recorded state of a node.

use std::io::Write;

use holystone_core::clock::Doubt;
use holystone_core::confirmation::Confirmations;
use holystone_core::state::State;
use holystone_core::text;

use super::tables::{new_table, print_table};

/// Prints the state of a node.
pub(super) fn table(out: &mut impl Write, state: &State) -> anyhow::Result<()> {
    match state.since {
        Some(since) => writeln!(out, "This node is remembered since {since:.0}")?,
        None => writeln!(out, "This node has not been seen yet")?,
    }
    match &state.last_run {
        Some(run) => writeln!(
            out,
            "The last run ended at {:.0}: {} removed, {} refused, {} failed{}",
            run.finished_at,
            run.images.removed,
            run.images.refused,
            run.images.failed,
            run.ending.as_ref().map(|ending| format!("; {}", text::shown(&ending.message))).unwrap_or_default()
        )?,
        None => writeln!(out, "No run has come to its end yet")?,
    }
    if let Some(totals) = state.last_run.as_ref().and_then(|run| run.logs) {
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

/// Formats the names of an image and the beginning of its id; the whole id, if the image has no name.
fn called(state: &State, id: &str) -> String {
    let Some(names) = state.names.get(id) else { return text::shown(id) };
    let names: Vec<String> = names.iter().map(|name| text::shown(name)).collect();
    format!("{} ({})", names.join(", "), short(id))
}

/// Shortens an id to as much as distinguishes images of a node.
fn short(id: &str) -> String {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    text::shown(&hex.chars().take(12).collect::<String>())
}

/// Prints the reasons why ages may be unknown.
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

/// Formats the plugins that proposed to remove an image, each with the number of consecutive runs.
fn wished(state: &State, id: &str) -> String {
    let runs = state.confirmations.iter().filter_map(|counted| Some((counted, counted.images.get(id)?)));
    let by = |counted: &Confirmations| match counted.manifest.as_str() {
        "" => text::shown(&counted.plugin),
        manifest => format!("{} of {}", text::shown(&counted.plugin), text::shown(manifest)),
    };
    let runs: Vec<String> = runs.map(|(counted, runs)| format!("{} {runs}×", by(counted))).collect();
    runs.join(", ")
}
