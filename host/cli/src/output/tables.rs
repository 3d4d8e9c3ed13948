//! Tables, and the format of figures in them.

use std::io::Write;

use bytesize::ByteSize;
use comfy_table::{CellAlignment, Table, presets};
use holystone_core::report::Totals;
use jiff::Timestamp;

pub(super) fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(String::new, |time| format!("{time:.0}"))
}

pub(super) fn number(number: Option<u64>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

/// Prints the other counts that are not zero.
pub(super) fn others<const N: usize>(out: &mut impl Write, counts: [(usize, &str); N]) -> anyhow::Result<()> {
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        write!(out, ", {count} {what}")?;
    }
    Ok(())
}

pub(super) fn freed(measured: Option<i64>) -> String {
    match measured {
        Some(freed) if freed >= 0 => format!("freed {} (measured)", bytes(freed.unsigned_abs())),
        Some(lost) => format!("fuller by {} (measured; others write to it, too)", bytes(lost.unsigned_abs())),
        None => "freed: unknown, it cannot be measured from here".to_owned(),
    }
}

/// Prints the counts of a sweep that are not zero, except that of removals.
pub(super) fn other_outcomes(out: &mut impl Write, totals: &Totals) -> anyhow::Result<()> {
    others(
        out,
        [
            (totals.truncated, "truncated"),
            (totals.already_gone, "already gone"),
            (totals.refused, "refused"),
            (totals.no_longer_allowed, "no longer allowed"),
            (totals.not_needed, "not needed"),
            (totals.not_attempted, "not attempted"),
            (totals.failed, "failed"),
        ],
    )
}

/// Formats a size for people.
pub(super) fn bytes(size: u64) -> String {
    ByteSize::b(size).display().iec().to_string()
}

pub(super) fn new_table(header: [&str; 4]) -> Table {
    let mut table = columns(header);
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Creates a table whose columns are all aligned to the left.
pub(super) fn columns<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

pub(super) fn print_table(out: &mut impl Write, table: &Table) -> anyhow::Result<()> {
    if !table.is_empty() {
        writeln!(out, "\n{}\n", table.trim_fmt())?;
    }
    Ok(())
}
