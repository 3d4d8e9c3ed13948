//! The check of a tree against the schema, which finds every violation.

use serde_json::{Map, Value};

use super::document::{Content, Field, Node};
use super::format::{Fault, Format};
use super::problem::Problem;
use crate::text;

/// A check that collects problems.
pub(super) struct Check<'a> {
    problems: &'a mut Vec<Problem>,
}

impl<'a> Check<'a> {
    pub(super) fn new(problems: &'a mut Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Checks a value that is present.
    pub(super) fn node(&mut self, node: &Node, schema: &Value, path: &str) {
        if let Some(words) = words(schema) {
            return self.word(node, &words, path);
        }
        if let Some(choices) = choices(schema) {
            return self.choice(node, &choices, path);
        }
        if let Some(format) = text_format(schema) {
            return self.formatted(node, format, schema, path);
        }
        match schema["type"].as_str() {
            Some("object") => self.map(node, schema, path),
            Some("array") => self.list(node, schema, path),
            Some("string") => self.text(node, schema, path),
            Some("integer") => self.integer(node, schema, path),
            Some("boolean") if matches!(node.content, Content::Bool(_)) => {}
            Some(_) => self.unexpected(node, schema, path),
            None => self.anything(node, path),
        }
    }

    fn unexpected(&mut self, node: &Node, schema: &Value, path: &str) {
        let message = format!("must be {}", expected(schema));
        self.problems.push(Problem::new(node.line, path, message).found(node.shown()));
    }

    fn word(&mut self, node: &Node, words: &[&str], path: &str) {
        if node.text().is_some_and(|text| words.contains(&text)) {
            return;
        }
        let meant = node.text().and_then(|text| text::closest(text, words.iter().copied()));
        let message = format!("must be {}", one_of(words));
        self.problems.push(Problem::new(node.line, path, message).found(node.shown()).meant(meant));
    }

    /// Checks a map that must have exactly one of several fields.
    fn choice(&mut self, node: &Node, choices: &[(&str, &Value)], path: &str) {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let message = || format!("must have exactly one of the fields {}", names.join(", "));
        let Content::Map(fields) = &node.content else {
            return self.problems.push(Problem::new(node.line, path, message()).found(node.shown()));
        };
        self.distinct(fields, path);
        let mut given = Vec::new();
        for field in fields {
            match choices.iter().find(|(name, _)| *name == field.name) {
                Some((_, schema)) if field.value.content != Content::Null => {
                    given.push(field.name.as_str());
                    self.node(&field.value, schema, &child(path, &field.name));
                }
                Some(_) => {}
                None => self.unknown(field, &names, path),
            }
        }
        given.dedup();
        match given.as_slice() {
            [_] => {}
            // A misspelt field has already been reported.
            [] if fields.iter().any(|field| !names.contains(&field.name.as_str())) => {}
            [] => self.problems.push(Problem::new(node.line, path, message()).found("none of them")),
            several => self.problems.push(Problem::new(node.line, path, message()).found(several.join(" and "))),
        }
    }

    fn formatted(&mut self, node: &Node, format: Format, schema: &Value, path: &str) {
        let text = match &node.content {
            Content::Text(text) => text.clone(),
            Content::Number(number) if format.numbers.is_some() && !number.is_f64() => number.to_string(),
            // YAML parses an unquoted text such as true or 1 as another type.
            Content::Number(_) | Content::Bool(_)
                if format.numbers.is_none() && format.judge(&node.shown()).is_ok() =>
            {
                return self.unquoted(node, path);
            }
            _ => return self.unexpected(node, schema, path),
        };
        match format.judge(&text) {
            Ok(()) => self.length(node, &text, longest(schema), path),
            Err(Fault::Unexpected) => self.unexpected(node, schema, path),
            Err(Fault::Because(message)) => self.problems.push(Problem::new(node.line, path, message)),
        }
    }

    fn text(&mut self, node: &Node, schema: &Value, path: &str) {
        match &node.content {
            Content::Text(text) => self.length(node, text, longest(schema), path),
            Content::Number(_) | Content::Bool(_) => self.unquoted(node, path),
            _ => self.unexpected(node, schema, path),
        }
    }

    fn unquoted(&mut self, node: &Node, path: &str) {
        let quoted = format!("\"{}\"", node.shown());
        let problem = Problem::new(node.line, path, "must be text").found(node.shown());
        self.problems.push(problem.meant(Some(&quoted)));
    }

    fn length(&mut self, node: &Node, text: &str, longest: u64, path: &str) {
        let length = text.chars().count() as u64;
        if length > longest {
            let message = format!("must have at most {longest} characters");
            self.problems.push(Problem::new(node.line, path, message).found(format!("{length}: {}", node.shown())));
        }
    }

    fn integer(&mut self, node: &Node, schema: &Value, path: &str) {
        let (least, most) = bounds(schema);
        let fits = match &node.content {
            Content::Number(number) => {
                let number = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                number.is_some_and(|number| least.is_none_or(|least| number >= least) && number <= most)
            }
            _ => false,
        };
        if !fits {
            self.unexpected(node, schema, path);
        }
    }

    fn list(&mut self, node: &Node, schema: &Value, path: &str) {
        let Content::List(items) = &node.content else { return self.unexpected(node, schema, path) };
        let least = schema["minItems"].as_u64().unwrap_or_default();
        if (items.len() as u64) < least {
            let message = format!("must have at least {least} {}", if least == 1 { "entry" } else { "entries" });
            self.problems.push(Problem::new(node.line, path, message).found(items.len().to_string()));
        }
        let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
        if (items.len() as u64) > most {
            let message = format!("must have at most {most} entries");
            self.problems.push(Problem::new(node.line, path, message).found(items.len().to_string()));
        }
        for (index, item) in items.iter().enumerate() {
            self.node(item, &schema["items"], &format!("{path}[{index}]"));
        }
    }

    fn map(&mut self, node: &Node, schema: &Value, parent: &str) {
        let Content::Map(fields) = &node.content else { return self.unexpected(node, schema, parent) };
        self.distinct(fields, parent);
        self.keys(node, fields, schema, parent);
        let nothing = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&nothing);
        for field in fields {
            let path = child(parent, &field.name);
            match (known.get(&field.name), &schema["additionalProperties"]) {
                // A field that is null counts as absent.
                (Some(_), _) if field.value.content == Content::Null => {}
                (Some(schema), _) => self.node(&field.value, schema, &path),
                (None, Value::Bool(false)) => {
                    let names: Vec<&str> = known.keys().map(String::as_str).collect();
                    self.unknown(field, &names, parent);
                }
                (None, Value::Object(_)) => self.node(&field.value, &schema["additionalProperties"], &path),
                (None, _) => self.anything(&field.value, &path),
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if node.get(name).is_none() {
                let message = format!("is missing; it must be {}", expected(&schema["properties"][name]));
                self.problems.push(Problem::new(node.line, &child(parent, name), message));
            }
        }
    }

    /// Checks the number and the format of the keys of a map.
    fn keys(&mut self, node: &Node, fields: &[Field], schema: &Value, path: &str) {
        let most = schema["maxProperties"].as_u64().unwrap_or(u64::MAX);
        if fields.len() as u64 > most {
            let message = format!("must have at most {most} entries");
            self.problems.push(Problem::new(node.line, path, message).found(fields.len().to_string()));
        }
        let Some(format) = key_format(schema) else { return };
        for field in fields.iter().filter(|field| format.judge(&field.name).is_err()) {
            let found = format!("{:?}", text::shown(&field.name));
            self.problems.push(Problem::new(field.line, path, key_message(format)).found(found));
        }
    }

    /// Checks a value without a schema: no field may be given twice, because one of the two would be lost silently.
    fn anything(&mut self, node: &Node, path: &str) {
        self.distinct(node.fields(), path);
        for field in node.fields() {
            self.anything(&field.value, &child(path, &field.name));
        }
        for (index, item) in node.items().iter().enumerate() {
            self.anything(item, &format!("{path}[{index}]"));
        }
    }

    fn unknown(&mut self, field: &Field, names: &[&str], path: &str) {
        self.problems.push(unknown(field, names, path));
    }

    fn distinct(&mut self, fields: &[Field], path: &str) {
        let mut seen = std::collections::HashSet::new();
        for field in fields {
            if !seen.insert(&field.name) {
                let problem = Problem::new(field.line, &child(path, &field.name), "is given more than once");
                self.problems.push(problem);
            }
        }
    }
}

/// Builds the problem of an unknown field.
pub(super) fn unknown(field: &Field, names: &[&str], path: &str) -> Problem {
    let meant = text::closest(&field.name, names.iter().copied());
    let message = match meant {
        Some(_) => "there is no such field".to_owned(),
        None => format!("there is no such field; there are {}", names.join(", ")),
    };
    Problem::new(field.line, &child(path, &field.name), message).meant(meant)
}

/// Returns the path of a field, as problems name it.
pub fn child(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match (path, plain) {
        ("", true) => name.to_owned(),
        (_, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{:?}]", text::shown(name)),
    }
}

/// Describes the values that a schema allows.
pub(super) fn expected(schema: &Value) -> String {
    if let Some(words) = words(schema) {
        return one_of(&words);
    }
    if let Some(choices) = choices(schema) {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        return format!("a map with exactly one of the fields {}", names.join(", "));
    }
    if let Some(format) = text_format(schema) {
        return format.expected.to_owned();
    }
    match schema["type"].as_str() {
        Some("object") => "a map of fields".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => match bounds(schema) {
            (Some(least), most) if most < i128::from(u32::MAX) => format!("a whole number from {least} to {most}"),
            (Some(least), _) => format!("a whole number from {least} on"),
            (None, _) => "a whole number".to_owned(),
        },
        _ => "text".to_owned(),
    }
}

/// Returns the words that a field may hold, if its schema is an enum of words.
pub(super) fn words(schema: &Value) -> Option<Vec<&str>> {
    schema["oneOf"].as_array()?.iter().map(|choice| choice["const"].as_str()).collect()
}

/// Returns the fields of which exactly one must be given, with their schemas, if the schema is such a choice.
pub(super) fn choices(schema: &Value) -> Option<Vec<(&str, &Value)>> {
    schema["oneOf"].as_array()?.iter().map(only_field).collect()
}

fn only_field(choice: &Value) -> Option<(&str, &Value)> {
    choice["properties"].as_object()?.iter().next().map(|(name, schema)| (name.as_str(), schema))
}

/// Returns the format of a text, or of a number that may be written as text.
pub(super) fn text_format(schema: &Value) -> Option<Format> {
    Format::named(schema["format"].as_str()?)
}

/// Returns the maximum number of characters of a text.
pub(super) fn longest(schema: &Value) -> u64 {
    let of_format = || text_format(schema).map(|format| format.longest);
    schema["maxLength"].as_u64().or_else(of_format).unwrap_or(u64::MAX)
}

/// Returns the format of the keys of a map, if the schema restricts them.
pub(super) fn key_format(schema: &Value) -> Option<Format> {
    text_format(&schema["propertyNames"])
}

/// Builds the message for a key of a map that does not have its format.
pub(super) fn key_message(format: Format) -> String {
    format!("each key must be {}", format.expected)
}

fn one_of(words: &[&str]) -> String {
    match words {
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
        [] => String::new(),
    }
}

/// Returns the minimum and the maximum of a number.
fn bounds(schema: &Value) -> (Option<i128>, i128) {
    let bits = match schema["format"].as_str() {
        Some("uint16") => i128::from(u16::MAX),
        Some("uint32") => i128::from(u32::MAX),
        Some("uint64") => i128::from(u64::MAX),
        _ => i128::from(i64::MAX),
    };
    let given = |name: &str| schema[name].as_i64().map(i128::from);
    (given("minimum"), given("maximum").map_or(bits, |most| most.min(bits)))
}
