//! `holystone explain`: the reference of the manifest.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use holystone_agent::UsageError;
use holystone_core::manifest::{self, ReferenceEntry};

use crate::args::ExplainArguments;
use crate::exit::Exit;

/// The largest width of a table, in characters.
const WIDTH: u16 = 110;

/// Prints the reference of a field, or the schema.
pub(crate) fn explain(arguments: &ExplainArguments) -> anyhow::Result<Exit> {
    let mut out = std::io::stdout().lock();
    if arguments.schema {
        writeln!(out, "{:#}", manifest::schema())?;
        return Ok(Exit::Done);
    }
    let field = arguments.field.as_deref().unwrap_or_default();
    let entry = manifest::explain(field).map_err(UsageError::Invalid)?;
    print(&mut out, &entry)?;
    Ok(Exit::Done)
}

fn print(out: &mut impl Write, entry: &ReferenceEntry) -> std::io::Result<()> {
    let name = if entry.path.is_empty() { "NodeCleanup" } else { &entry.path };
    writeln!(out, "{name}: {}{}", entry.value, presence(entry))?;
    writeln!(out, "\n{}", table(entry.description.split("\n\n").map(|paragraph| vec![paragraph.to_owned()])))?;
    if !entry.words.is_empty() {
        let words = entry.words.iter().map(|(word, meaning)| vec![format!("  {word}"), meaning.clone()]);
        writeln!(out, "\nWORDS\n{}", table(words))?;
    }
    if !entry.fields.is_empty() {
        let fields = entry.fields.iter().map(|field| {
            let meaning = format!("{}{}", field.summary(), presence(field));
            vec![format!("  {}", field.name()), meaning]
        });
        writeln!(out, "\nFIELDS\n{}", table(fields))?;
    }
    Ok(())
}

fn presence(entry: &ReferenceEntry) -> String {
    match (&entry.default, entry.required) {
        (Some(default), _) => format!(" (default {default})"),
        (None, true) if !entry.path.is_empty() => " (must be given)".to_owned(),
        (None, _) => String::new(),
    }
}

fn table(rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}
