//! The `CustomResourceDefinition`, made from the schema.
//!
//! Kubernetes accepts a part of JSON Schema ("structural schemas"), so the schema is converted. Alternatives become
//! fields with a rule. The `format` of texts and the constraints on combinations of fields become rules in CEL, from
//! the tables of the reader (`format` and `rules`) and with the reader's messages. The operator uses the reader itself,
//! which finds the problems that these rules miss.
//!
//! The API server estimates the cost of a rule before it accepts a definition. Every text therefore has a maximum
//! length, and every list and map a maximum size.

use serde_json::{Map, Value, json};

use super::check::{choices, key_format, key_message, longest, text_format};
use super::format::Format;

use super::rules::RULES;
use super::{schema, status};

/// The name of the definition.
pub const NAME: &str = "nodecleanups.holystone.dev";

/// A column of `kubectl get`.
struct Column {
    name: &'static str,
    kind: &'static str,
    path: &'static str,
    description: &'static str,
    /// The priority: 0 for every listing, 1 for `-o wide` only.
    priority: u8,
}

impl Column {
    const fn new(name: &'static str, kind: &'static str, path: &'static str, description: &'static str) -> Self {
        Self { name, kind, path, description, priority: 0 }
    }

    const fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }

    fn to_json(&self) -> Value {
        let mut column = json!({ "name": self.name, "type": self.kind, "jsonPath": self.path });
        if !self.description.is_empty() {
            column["description"] = self.description.into();
        }
        if self.priority > 0 {
            column["priority"] = self.priority.into();
        }
        column
    }
}

/// The columns of `kubectl get`, from left to right.
const COLUMNS: [Column; 11] = [
    Column::new("Schedule", "string", ".spec.schedule", "When it runs; empty when it runs once."),
    Column::new("Mode", "string", ".spec.mode", "Whether it removes anything."),
    Column::new("Phase", "string", ".status.lastRun.phase", "Whether the last run is over, and went well.").wide(),
    Column::new(
        "Nodes",
        "string",
        ".status.lastRun.nodes.summary",
        "Nodes of the last run that were done, of how many.",
    ),
    Column::new("Failed", "integer", ".status.lastRun.nodes.failed", "Nodes on which the last run failed."),
    Column::new(
        "Planned",
        "integer",
        ".status.lastRun.planned",
        "What the last run would remove, if it was a dry run.",
    ),
    Column::new("Removed", "integer", ".status.lastRun.removed", "What the last run removed, images and log files."),
    Column::new("Last run", "date", ".status.lastRun.startedAt", "When the last run began."),
    // kubectl shows columns of the type `date` as the time that has passed since then.
    Column::new("Next run", "string", ".status.nextScheduleTime", "When the next run is due.").wide(),
    Column::new(
        "Ready",
        "string",
        ".status.conditions[?(@.type=='Ready')].status",
        "Whether the cluster does what it says.",
    ),
    Column::new("Age", "date", ".metadata.creationTimestamp", ""),
];

/// Builds the definition, as it is applied to a cluster.
pub fn crd() -> Value {
    let columns: Vec<Value> = COLUMNS.iter().map(Column::to_json).collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": NAME },
        "spec": {
            "group": "holystone.dev",
            "names": {
                "kind": "NodeCleanup",
                "listKind": "NodeCleanupList",
                "plural": "nodecleanups",
                "singular": "nodecleanup",
                "shortNames": ["ncl"],
                "categories": ["holystone"],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": definition() },
                "subresources": { "status": {} },
                "additionalPrinterColumns": columns,
            }],
        },
    })
}

fn definition() -> Value {
    let mut definition = structural(schema::schema(), Repeats::No);
    let properties = &mut definition["properties"];
    // The API server manages these fields itself.
    properties["apiVersion"] = json!({ "type": "string" });
    properties["kind"] = json!({ "type": "string" });
    properties["metadata"] = json!({ "type": "object" });
    properties["status"] = structural(&without_defaults(status::schema()), Repeats::No);
    for list in ["plugins", "logRoots"] {
        let list = &mut properties["spec"]["properties"][list];
        list["x-kubernetes-list-type"] = "map".into();
        list["x-kubernetes-list-map-keys"] = json!(["name"]);
    }
    properties["status"]["properties"]["conditions"]["x-kubernetes-list-type"] = "map".into();
    properties["status"]["properties"]["conditions"]["x-kubernetes-list-map-keys"] = json!(["type"]);
    for rule in &RULES {
        if let (Some(part), Some(cel)) = (at(&mut definition, rule.place), rule.cel) {
            add_rule(part, cel, rule.message, rule.field);
        }
    }
    definition
}

/// Removes all defaults: the operator writes the whole status, and the API server must not add to it.
fn without_defaults(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| *name != "default");
            fields.map(|(name, value)| (name.clone(), without_defaults(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(without_defaults).collect(),
        scalar => scalar.clone(),
    }
}

/// Returns the schema of the field at a path.
fn at<'a>(schema: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').filter(|step| !step.is_empty()).try_fold(schema, |schema, step| {
        let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        let field = schema.get_mut("properties")?.get_mut(name)?;
        if is_list { field.get_mut("items") } else { Some(field) }
    })
}

fn add_rule(schema: &mut Value, rule: &str, message: &str, field: &str) {
    let mut added = json!({ "rule": rule, "message": message });
    if !field.is_empty() {
        added["fieldPath"] = field.into();
    }
    match schema.get_mut("x-kubernetes-validations").and_then(Value::as_array_mut) {
        Some(rules) => rules.push(added),
        None => schema["x-kubernetes-validations"] = json!([added]),
    }
}

/// The position of a part of the schema: inside of the entries of a list, or not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeats {
    No,
    Yes,
}

/// Converts a schema to a structural schema of Kubernetes.
fn structural(schema: &Value, repeats: Repeats) -> Value {
    let mut out = Map::new();
    let mut description = schema["description"].as_str().map(unwrapped).unwrap_or_default();
    if let Some(words) = words_with_meanings(schema) {
        out.insert("type".to_owned(), "string".into());
        out.insert("enum".to_owned(), words.iter().map(|(word, _)| Value::from(*word)).collect());
        for (word, meaning) in words.iter().filter(|(_, meaning)| !meaning.is_empty()) {
            let told = format!("{description} {word}: {}", unwrapped(meaning));
            told.trim_start().clone_into(&mut description);
        }
    } else if let Some(choices) = choices(schema) {
        let fields: Map<String, Value> =
            choices.iter().map(|(name, schema)| ((*name).to_owned(), structural(schema, repeats))).collect();
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        out.insert("type".to_owned(), "object".into());
        out.insert("properties".to_owned(), fields.into());
        let has: Vec<String> = names.iter().map(|name| format!("has(self.{name})")).collect();
        let rule = format!("[{}].exists_one(given, given)", has.join(", "));
        let message = format!("must have exactly one of the fields {}", names.join(", "));
        let mut with_rule = Value::Object(out);
        add_rule(&mut with_rule, &rule, &message, "");
        out = with_rule.as_object().cloned().unwrap_or_default();
    } else {
        plain(schema, repeats, &mut out);
    }
    if !description.is_empty() {
        out.insert("description".to_owned(), description.into());
    }
    // An empty default is left out, so that it is not written into every object.
    if let Some(default) = schema.get("default").filter(|default| !is_empty(default)) {
        out.insert("default".to_owned(), default.clone());
    }
    Value::Object(out)
}

fn is_empty(default: &Value) -> bool {
    default.as_object().is_some_and(Map::is_empty) || default.as_array().is_some_and(Vec::is_empty)
}

/// Converts a schema that is neither an enum of words nor a choice between fields.
fn plain(schema: &Value, repeats: Repeats, out: &mut Map<String, Value>) {
    let kept = [
        "type",
        "anyOf",
        "required",
        "enum",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "maxProperties",
        "maxLength",
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
    ];
    for name in kept {
        if let Some(value) = schema.get(name) {
            out.insert(name.to_owned(), value.clone());
        }
    }
    match schema["format"].as_str().unwrap_or_default() {
        "uint16" | "int32" => drop(out.insert("format".to_owned(), "int32".into())),
        "uint32" | "int64" | "uint64" | "uint" => {
            out.insert("format".to_owned(), "int64".into());
            if schema["format"] == "uint32" {
                out.entry("maximum").or_insert_with(|| u32::MAX.into());
            }
        }
        "date-time" => drop(out.insert("format".to_owned(), "date-time".into())),
        _ => {}
    }
    if let Some(fields) = schema["properties"].as_object() {
        let fields: Map<String, Value> =
            fields.iter().map(|(name, schema)| (name.clone(), structural(schema, repeats))).collect();
        out.insert("properties".to_owned(), fields.into());
    } else if schema["additionalProperties"].is_object() {
        out.insert("additionalProperties".to_owned(), structural(&schema["additionalProperties"], repeats));
    }
    if schema["items"].is_object() {
        out.insert("items".to_owned(), structural(&schema["items"], Repeats::Yes));
    }
    if let Some(format) = text_format(schema) {
        formatted(schema, format, repeats, out);
    }
    if let Some(format) = key_format(schema) {
        let mut map = Value::Object(std::mem::take(out));
        let rule = format!("self.all(key, key.size() <= {} && {})", format.longest, matches("key", format));
        add_rule(&mut map, &rule, &key_message(format), "");
        *out = map.as_object().cloned().unwrap_or_default();
    }
}

/// Renders a format as a rule, with the message of the reader.
fn formatted(schema: &Value, format: Format, repeats: Repeats, out: &mut Map<String, Value>) {
    let rule = match (format.numbers, repeats) {
        (None, _) => {
            out.insert("maxLength".to_owned(), longest(schema).into());
            matches("self", format)
        }
        (Some(numbers), Repeats::No) => format!("type(self) == int ? {numbers} : {}", matches("self", format)),
        // The API server assumes the maximum size of a request as the length of such a text. For each entry of a list,
        // every rule is therefore too expensive, but a pattern costs nothing.
        (Some(_), Repeats::Yes) => {
            out.insert("pattern".to_owned(), format.pattern().into());
            return;
        }
    };
    let mut text = Value::Object(std::mem::take(out));
    add_rule(&mut text, &rule, &format!("must be {}", format.expected), "");
    *out = text.as_object().cloned().unwrap_or_default();
}

/// Renders the CEL expression that checks whether a text has a format.
fn matches(text: &str, format: Format) -> String {
    format!("{text}.matches(r'{}')", format.pattern())
}

/// Returns the words of an enum, each with its meaning.
fn words_with_meanings(schema: &Value) -> Option<Vec<(&str, &str)>> {
    let words = schema["oneOf"].as_array()?;
    words.iter().map(|word| Some((word["const"].as_str()?, word["description"].as_str().unwrap_or_default()))).collect()
}

/// Joins the lines of each paragraph: comments are wrapped at line ends, texts for people are not.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
