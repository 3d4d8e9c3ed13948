//! The reference of the manifest's fields, made from the schema.

use serde_json::Value;

use super::check::{choices, expected, words};
use super::schema::schema;
use crate::text;

/// The reference entry of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceEntry {
    /// The path, with `[]` for the entries of a list; empty for the manifest itself.
    pub path: String,
    /// The description of its value in words.
    pub value: String,
    /// Set when the field is required.
    pub required: bool,
    /// The default as JSON, without the quotes of a text; absent when the default is a map or an empty list.
    pub default: Option<String>,
    /// The description: paragraphs, with a blank line between them.
    pub description: String,
    /// The words that are allowed as its value, with their meanings.
    pub words: Vec<(String, String)>,
    /// The fields in it, required fields first.
    pub fields: Vec<ReferenceEntry>,
}

/// Returns the entry of the field at a path such as `spec.plugins.source`, or of the manifest when the path is empty.
/// Indexes of lists may be given or left out.
///
/// # Errors
/// Returns a sentence when there is no such field.
pub fn explain(path: &str) -> Result<ReferenceEntry, String> {
    let mut entry = root();
    // kubectl's spelling begins with the kind.
    let path = match path.split_once('.') {
        Some((kind, rest)) if is_kind(kind) => rest,
        None if is_kind(path) => "",
        _ => path,
    };
    for name in path.split('.').map(|name| name.split('[').next().unwrap_or_default()).filter(|name| !name.is_empty()) {
        let known: Vec<String> = entry.fields.iter().map(ReferenceEntry::name).collect();
        let place = known.iter().position(|known| known == name);
        let place = place.ok_or_else(|| missing(name, &entry.path, &known))?;
        entry = entry.fields.swap_remove(place);
    }
    Ok(entry)
}

/// Returns whether a word names the kind as kubectl takes it.
fn is_kind(word: &str) -> bool {
    ["nodecleanup", "nodecleanups", "ncl"].iter().any(|kind| word.eq_ignore_ascii_case(kind))
}

/// Renders the whole reference as a page of Markdown.
pub fn markdown() -> String {
    format!("# The manifest: NodeCleanup\n{}", section(&root()))
}

fn missing(name: &str, parent: &str, known: &[String]) -> String {
    let place = if parent.is_empty() { String::new() } else { format!(" in {parent}") };
    let name = text::shown(name);
    match text::closest(&name, known.iter().map(String::as_str)) {
        Some(meant) => format!("there is no field {name:?}{place}; did you mean {meant}?"),
        None if known.is_empty() => format!("there are no fields{place}"),
        None => format!("there is no field {name:?}{place}; there are {}", known.join(", ")),
    }
}

impl ReferenceEntry {
    /// Returns the last part of the path.
    pub fn name(&self) -> String {
        self.path.rsplit('.').next().unwrap_or_default().trim_end_matches("[]").to_owned()
    }

    /// Returns the first sentence of the description.
    pub fn summary(&self) -> &str {
        let end = self.description.find(". ").map_or(self.description.len(), |end| end + 1);
        let end = self.description.find("\n\n").map_or(end, |paragraph| paragraph.min(end));
        &self.description[..end]
    }
}

fn root() -> ReferenceEntry {
    entry("", schema(), true)
}

fn entry(path: &str, schema: &Value, required: bool) -> ReferenceEntry {
    let items = &schema["items"];
    let (path, inside) = if items.is_object() { (format!("{path}[]"), items) } else { (path.to_owned(), schema) };
    let default = schema.get("default").filter(|default| !is_empty(default)).map(Value::to_string);
    let mut fields = fields(&path, inside);
    fields.sort_by_key(|field| !field.required);
    ReferenceEntry {
        value: value(schema),
        required,
        default: default.map(|default| default.trim_matches('"').to_owned()),
        description: paragraphs(schema["description"].as_str().unwrap_or_default()),
        words: meanings(inside),
        fields,
        path,
    }
}

/// Returns whether a default is left out of the reference. That of a map is shown by the defaults of its fields, and an
/// empty list has nothing to show.
fn is_empty(default: &Value) -> bool {
    matches!(default, Value::Object(_)) || default.as_array().is_some_and(Vec::is_empty)
}

fn value(schema: &Value) -> String {
    let items = &schema["items"];
    if items.is_object() {
        return match items["type"].as_str() {
            Some("object") => "list of maps".to_owned(),
            _ => format!("list; each entry is {}", expected(items)),
        };
    }
    match schema["type"].as_str() {
        Some("object") if schema["properties"].is_object() => "map".to_owned(),
        Some("object") => "map of names and values".to_owned(),
        None if words(schema).is_none() && choices(schema).is_none() && schema["format"].is_null() => {
            "anything".to_owned()
        }
        _ => expected(schema),
    }
}

fn fields(path: &str, schema: &Value) -> Vec<ReferenceEntry> {
    let child = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if words(schema).is_none()
        && let Some(choices) = choices(schema)
    {
        // The descriptions belong to the choices, not to their values.
        let alternatives = schema["oneOf"].as_array().into_iter().flatten();
        let described = choices.iter().zip(alternatives).map(|((name, schema), choice)| {
            let description = paragraphs(choice["description"].as_str().unwrap_or_default());
            ReferenceEntry { description, ..entry(&child(name), schema, false) }
        });
        return described.collect();
    }
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name));
    let known = schema["properties"].as_object().into_iter().flatten();
    known.map(|(name, schema)| entry(&child(name), schema, required(name))).collect()
}

fn meanings(schema: &Value) -> Vec<(String, String)> {
    if words(schema).is_none() {
        return Vec::new();
    }
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    let meaning = |choice: &Value| {
        let text = |name: &str| choice[name].as_str().unwrap_or_default();
        (text("const").to_owned(), paragraphs(text("description")))
    };
    choices.map(meaning).collect()
}

/// Joins the lines of each paragraph: doc comments are wrapped to fit the source, and only blank lines have a meaning.
fn paragraphs(text: &str) -> String {
    text.split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// Renders a field and the fields in it.
fn section(entry: &ReferenceEntry) -> String {
    let heading = if entry.path.is_empty() { String::new() } else { format!("\n## `{}`\n", entry.path) };
    let description = format!("\n{}\n", sentences(&entry.description));
    let rows: String = entry.fields.iter().map(row).collect();
    let table = if rows.is_empty() {
        rows
    } else {
        format!("\n| Field | Value | Default | Meaning |\n|---|---|---|---|\n{rows}")
    };
    let inside = entry.fields.iter().filter(|field| !field.fields.is_empty()).map(section);
    [heading, description, table].into_iter().chain(inside).collect()
}

fn row(field: &ReferenceEntry) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace("\n\n", " ");
    let default = match (&field.default, field.required) {
        (Some(default), _) => format!("`{default}`"),
        (None, true) => "must be given".to_owned(),
        (None, false) => "–".to_owned(),
    };
    let words: Vec<String> = field.words.iter().map(|(word, meaning)| format!("`{word}`: {meaning}")).collect();
    let meaning =
        if words.is_empty() { field.description.clone() } else { format!("{} {}", field.description, words.join(" ")) };
    // Descriptions of values contain patterns without backticks, in which Markdown would read `*` as emphasis.
    let value = cell(&field.value).replace('*', "\\*");
    format!("| `{}` | {value} | {default} | {} |\n", field.name(), cell(&meaning))
}

/// Puts each sentence on its own line, as in the other documents.
fn sentences(text: &str) -> String {
    text.replace(". ", ".\n")
}
