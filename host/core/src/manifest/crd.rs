//! The `CustomResourceDefinition`, made from the schema.
//!
//! Kubernetes takes a part of JSON Schema ("structural schemas"), so the schema is reshaped: what it calls by a `format`
//! of ours becomes a pattern where there is one, alternatives become fields with a rule, and what no schema says becomes
//! a rule in CEL. `rules` and [`crate::cluster::problems`] judge what passes here and is wrong all the same.

use serde_json::{Map, Value, json};

use super::check::choices;
use super::{schema, status};

/// The name of the definition.
pub const NAME: &str = "nodecleanups.holystone.dev";

/// Names of plugins, log roots and objects.
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// What a `format` of ours is as a regular expression. Those that are not here are judged by the operator alone.
const PATTERNS: [(&str, &str); 8] = [
    ("name", LABEL),
    ("object-name", r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
    ("config-map-key", "^[-._a-zA-Z0-9]+$"),
    ("digest", "^sha256:[0-9a-f]{64}$"),
    ("endpoint", "^(auto|none|(unix:(//)?)?/.*[^/])$"),
    ("host-path", "^/.*[^/.].*$"),
    ("filesystem", "^(images|logs:[-a-z0-9]+)$"),
    ("filled", r"\S"),
];

/// A rule in CEL: the field that it is about, the rule, what it says to people, and the field that is shown with it.
type Rule = (&'static str, &'static str, &'static str, &'static str);

/// How fields go together. Paths are those of the schema: `[]` stands for the entries of a list.
const RULES: [Rule; 16] = [
    (
        "",
        "self.metadata.name.size() <= 52",
        "metadata.name must have at most 52 characters, because OpenKruise names each run after it and adds eleven",
        "",
    ),
    (
        "",
        "!self.metadata.name.contains('.')",
        "metadata.name must have no dots, because pods carry it as the value of a label",
        "",
    ),
    (
        "spec",
        "!has(self.timeZone) || !has(self.schedule) || !self.schedule.contains('TZ')",
        "must be left out, because the schedule names a time zone itself",
        ".timeZone",
    ),
    (
        "spec",
        "!has(self.concurrencyPolicy) || self.concurrencyPolicy != 'Allow'",
        "must be Forbid or Replace on a cluster: two sweeps on one node only get into each other's way",
        ".concurrencyPolicy",
    ),
    (
        "spec",
        "!has(self.schedule) || !has(self.rollout) || !has(self.rollout.completionPolicy) || !has(self.rollout.completionPolicy.type) || self.rollout.completionPolicy.type != 'Never'",
        "must not be Never with a schedule, because no run would ever be over",
        ".rollout.completionPolicy.type",
    ),
    (
        "spec",
        "!has(self.schedule) || !has(self.rollout) || !has(self.rollout.completionPolicy) || !has(self.rollout.completionPolicy.ttlSecondsAfterFinished)",
        "must be left out with a schedule: OpenKruise starts the last run again when it is forgotten; use the history limits",
        ".rollout.completionPolicy.ttlSecondsAfterFinished",
    ),
    (
        "spec.plugins[]",
        "!has(self.source.imageVolume) || has(self.digest) || self.source.imageVolume.reference.contains('@sha256:')",
        "must be given, because the reference of the image has no digest (@sha256:…)",
        ".digest",
    ),
    (
        "spec.plugins[]",
        "!has(self.source.configMap) || has(self.digest)",
        "must be given, because whoever may edit the ConfigMap could change the plugin",
        ".digest",
    ),
    (
        "spec.plugins[].source",
        "!has(self.file)",
        "is a file of one machine; on a cluster use configMap or imageVolume",
        ".file",
    ),
    (
        "spec.pressure",
        "has(self.above) || has(self.until)",
        "must have above, until or both; without them it says nothing",
        "",
    ),
    (
        "spec.rollout",
        "!has(self.nodeSelector) || ['kubernetes.io/os', 'beta.kubernetes.io/os'].all(key, !(key in self.nodeSelector) || self.nodeSelector[key] == 'linux')",
        "must not ask for another kubernetes.io/os than linux, because the pods run on Linux nodes only",
        ".nodeSelector",
    ),
    (
        "spec.rollout.completionPolicy",
        "!has(self.type) || self.type != 'Never' || !has(self.activeDeadlineSeconds)",
        "must be left out when type is Never",
        ".activeDeadlineSeconds",
    ),
    (
        "spec.rollout.completionPolicy",
        "!has(self.type) || self.type != 'Never' || !has(self.ttlSecondsAfterFinished)",
        "must be left out when type is Never",
        ".ttlSecondsAfterFinished",
    ),
    (
        "spec.rollout.tolerations[]",
        "has(self.key) && self.key != '' || has(self.operator) && self.operator == 'Exists'",
        "must be Exists when there is no key",
        ".operator",
    ),
    (
        "spec.rollout.tolerations[]",
        "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
        "must be left out when operator is Exists",
        ".value",
    ),
    (
        "spec.rollout.tolerations[]",
        "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
        "must be left out unless effect is NoExecute",
        ".tolerationSeconds",
    ),
];

/// What `kubectl get` shows: name, type, where it is.
const COLUMNS: [(&str, &str, &str, &str); 8] = [
    ("Schedule", "string", ".spec.schedule", "When it runs; empty when it runs once."),
    ("Mode", "string", ".spec.mode", "Whether it removes anything."),
    ("Nodes", "string", ".status.lastRun.nodes.summary", "Nodes of the last run that were done, of how many."),
    ("Planned", "integer", ".status.lastRun.planned", "What the last run would remove, if it was a dry run."),
    ("Removed", "integer", ".status.lastRun.removed", "What the last run removed, images and log files."),
    ("Last run", "date", ".status.lastRun.startedAt", "When the last run began."),
    ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status", "Whether the cluster does what it says."),
    ("Age", "date", ".metadata.creationTimestamp", ""),
];

/// The definition, as it is applied to a cluster.
pub fn crd() -> Value {
    let columns = COLUMNS.map(|(name, kind, path, description)| {
        let mut column = json!({ "name": name, "type": kind, "jsonPath": path });
        if !description.is_empty() {
            column["description"] = description.into();
        }
        column
    });
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
    let mut definition = structural(schema::schema());
    let properties = &mut definition["properties"];
    // The API server looks after these itself.
    properties["apiVersion"] = json!({ "type": "string" });
    properties["kind"] = json!({ "type": "string" });
    properties["metadata"] = json!({ "type": "object" });
    properties["status"] = structural(&without_defaults(status::schema()));
    for list in ["plugins", "logRoots"] {
        let list = &mut properties["spec"]["properties"][list];
        list["x-kubernetes-list-type"] = "map".into();
        list["x-kubernetes-list-map-keys"] = json!(["name"]);
    }
    properties["status"]["properties"]["conditions"]["x-kubernetes-list-type"] = "map".into();
    properties["status"]["properties"]["conditions"]["x-kubernetes-list-map-keys"] = json!(["type"]);
    for (path, rule, message, field) in RULES {
        if let Some(part) = at(&mut definition, path) {
            add_rule(part, rule, message, field);
        }
    }
    definition
}

/// The operator writes all of the status; the API server is not to add to it.
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

/// The schema of a field.
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

/// A schema as Kubernetes takes it.
fn structural(schema: &Value) -> Value {
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
            choices.iter().map(|(name, schema)| ((*name).to_owned(), structural(schema))).collect();
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
        plain(schema, &mut out);
    }
    if !description.is_empty() {
        out.insert("description".to_owned(), description.into());
    }
    if let Some(default) = schema.get("default") {
        out.insert("default".to_owned(), default.clone());
    }
    Value::Object(out)
}

/// Everything but what is told of in words and choices.
fn plain(schema: &Value, out: &mut Map<String, Value>) {
    let kept = [
        "type",
        "anyOf",
        "required",
        "enum",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
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
        ours => {
            if let Some((_, pattern)) = PATTERNS.iter().find(|(format, _)| *format == ours) {
                out.insert("pattern".to_owned(), (*pattern).into());
            }
        }
    }
    if let Some(fields) = schema["properties"].as_object() {
        let fields: Map<String, Value> =
            fields.iter().map(|(name, schema)| (name.clone(), structural(schema))).collect();
        out.insert("properties".to_owned(), fields.into());
    } else if schema["additionalProperties"].is_object() {
        out.insert("additionalProperties".to_owned(), structural(&schema["additionalProperties"]));
    }
    if schema["items"].is_object() {
        out.insert("items".to_owned(), structural(&schema["items"]));
    }
}

/// The words of an enum, each with its meaning.
fn words_with_meanings(schema: &Value) -> Option<Vec<(&str, &str)>> {
    let words = schema["oneOf"].as_array()?;
    words.iter().map(|word| Some((word["const"].as_str()?, word["description"].as_str().unwrap_or_default()))).collect()
}

/// Comments are wrapped where their lines end; texts for people are not.
fn unwrapped(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
