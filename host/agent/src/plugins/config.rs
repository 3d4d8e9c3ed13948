//! Checks of a manifest's plugins before anything runs: a missing plugin, a config that does not fit the plugin's JSON
//! Schema, a config that the plugin itself rejects.
//!
//! Schema and plugin check the same fields. If the plugin reports a problem with a field, its message replaces that of
//! the schema, because it says more; the schema covers the other fields.

use std::fmt;
use std::time::Duration;

use holystone_core::config::Problem;
use holystone_core::manifest::field_path;
use holystone_core::text::{self, shown};
use holystone_runtime::worker::{Allowance, Prepared, Task};
use holystone_runtime::{Capability, Plugin, PluginError, Reason, Worker};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::loaded::LoadedPlugin;
use super::source::{Schema, Source};
use crate::builtin;

/// The largest number of problems that a schema reports about one config.
const MOST: usize = 20;
/// The memory limit of checking a config against the schema of a plugin, in bytes; the time limit is that of the
/// plugin. A few lines of schema can ask for more than any machine has.
const SCHEMA_MEMORY: u64 = 128 << 20;
/// The largest size of the reported problems, in bytes.
const PROBLEMS: usize = 1 << 20;

/// The task of a worker process that checks a config against an untrusted schema.
pub const SCHEMA: Task = Task { name: "schema", prepare: checker };

/// A problem with a plugin of a manifest or of flags.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConfigProblem {
    /// The index of the plugin, counted from 0.
    pub(crate) plugin: usize,
    /// The field of the plugin, for example `config.keepLast`; `source` for every kind of source.
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) found: Option<String>,
    pub(crate) suggestion: Option<String>,
}

impl ConfigProblem {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { plugin: 0, path: path.into(), message: message.into(), found: None, suggestion: None }
    }
}

/// Finds all problems with these plugins and their configs.
pub(crate) async fn config_problems(loaded: &[LoadedPlugin]) -> Vec<ConfigProblem> {
    let mut all = Vec::new();
    for (plugin, one) in loaded.iter().enumerate() {
        all.extend(of_one(one).await.into_iter().map(|problem| ConfigProblem { plugin, ..problem }));
    }
    all
}

/// Returns whether this is a plugin that comes with Holystone and was not granted a capability that it uses.
pub(crate) fn is_denied_builtin(one: &LoadedPlugin) -> bool {
    let is_denied = one.plugin.as_ref().is_err_and(|error| error.reason == Reason::CapabilityDenied);
    is_denied && matches!(one.source, Source::Builtin(_))
}

/// Reports the capabilities that a plugin uses and is not granted.
pub(crate) fn denied(one: &LoadedPlugin, granted: &[Capability]) -> Option<ConfigProblem> {
    let uses = one.plugin.as_ref().map_or(&[][..], Plugin::uses);
    let missing: Vec<&str> =
        uses.iter().filter(|used| !granted.contains(used)).map(|capability| capability.as_str()).collect();
    let message = format!("must have {}, which the plugin looks at", missing.join(", "));
    (!missing.is_empty()).then(|| ConfigProblem::new("capabilities", message))
}

async fn of_one(one: &LoadedPlugin) -> Vec<ConfigProblem> {
    let schema = by_schema(&one.source, &one.config, one.limits.timeout).await;
    let problems = match &one.plugin {
        Ok(plugin) => plugin.problems(&one.config).await,
        Err(error) if error.reason == Reason::FetchFailed => return vec![not_there(&one.source, error)],
        Err(error) => Err(error.clone()),
    };
    // Other failures do not concern the manifest: the plugin fails in the run as well, and the run reports it.
    merged(schema, problems.unwrap_or_default().into_iter().map(by_plugin).collect())
}

fn not_there(source: &Source, error: &PluginError) -> ConfigProblem {
    let suggestion = match source {
        Source::Builtin(name) => text::closest(name, builtin::names()).map(str::to_owned),
        // The user may have named a builtin without `builtin:`.
        Source::File(path) => {
            let name = path.to_str().filter(|name| !name.contains('/')).unwrap_or_default();
            text::closest(name, builtin::names()).map(|name| format!("builtin:{name}"))
        }
    };
    ConfigProblem { suggestion, ..ConfigProblem::new("source", &error.message) }
}

fn by_plugin(Problem { field, message }: Problem) -> ConfigProblem {
    match field.as_str() {
        "" => ConfigProblem::new("config", message),
        field if field.starts_with('[') => ConfigProblem::new(format!("config{field}"), message),
        field => ConfigProblem::new(format!("config.{field}"), message),
    }
}

async fn by_schema(source: &Source, config: &str, time: Duration) -> Vec<ConfigProblem> {
    let Schema { text, place } = match source.schema() {
        Ok(Some(schema)) => schema,
        Ok(None) => return Vec::new(),
        Err(problem) => return vec![ConfigProblem::new("source", problem)],
    };
    if let Source::Builtin(_) = source {
        return judge(&text, &place, config);
    }
    let failed = |error: &dyn fmt::Display| {
        vec![ConfigProblem::new("source", format!("checking the config against its schema, {place}, {error}"))]
    };
    let allowance = Allowance { memory: SCHEMA_MEMORY, time, answer: PROBLEMS };
    let input = json!([text, place, config]).to_string();
    match Box::pin(Worker::this_program().run(SCHEMA.name, input.as_bytes(), allowance)).await {
        Ok(found) => serde_json::from_slice(&found).unwrap_or_else(|error| failed(&error)),
        Err(error) => failed(&error),
    }
}

/// Prepares a worker for the check. Hash tables ask for random bytes once, here before the worker gives up its rights.
#[allow(clippy::unnecessary_wraps, reason = "other tasks fail to get ready")]
fn checker(_: usize) -> Result<Prepared, String> {
    judge(r#"{"type":"object"}"#, "", "{}");
    Ok(Box::new(|input| check(&input)))
}

fn check(input: &[u8]) -> Result<Vec<u8>, String> {
    let words = |error: serde_json::Error| error.to_string();
    let (text, place, config): (String, String, String) = serde_json::from_slice(input).map_err(words)?;
    serde_json::to_vec(&judge(&text, &place, &config)).map_err(words)
}

fn judge(text: &str, place: &str, config: &str) -> Vec<ConfigProblem> {
    let schema: Value = match serde_json::from_str(text) {
        Ok(schema) => schema,
        Err(error) => {
            return vec![ConfigProblem::new(
                "source",
                format!("the schema of its config, {place}, is not JSON: {error}"),
            )];
        }
    };
    match jsonschema::options().offline().build(&schema) {
        Ok(validator) => violations(&validator, &schema, config),
        Err(error) => {
            let message =
                format!("the schema of its config, {place}, is no JSON Schema: {}", shown(&error.to_string()));
            vec![ConfigProblem::new("source", message)]
        }
    }
}

fn violations(validator: &Validator, schema: &Value, config: &str) -> Vec<ConfigProblem> {
    // The configs of manifests and of flags have been parsed, so they are JSON.
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    let mut found: Vec<ConfigProblem> =
        validator.iter_errors(&config).flat_map(|error| violation(&error, schema, &config)).take(MOST).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn violation(error: &ValidationError<'_>, schema: &Value, config: &Value) -> Vec<ConfigProblem> {
    let path = path_of(error.instance_path().as_str(), config);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = known_fields(error, schema);
            unexpected.iter().take(MOST).map(|name| unknown(&field_path(&path, name), name, &known)).collect()
        }
        ValidationErrorKind::Required { property } => {
            vec![ConfigProblem::new(field_path(&path, &shown(property.as_str().unwrap_or_default())), "is missing")]
        }
        _ => {
            let message = shown(&error.masked_with("it").to_string());
            vec![ConfigProblem {
                found: Some(shown(&error.instance().to_string())),
                ..ConfigProblem::new(path, message)
            }]
        }
    }
}

fn unknown(path: &str, name: &str, known: &[&str]) -> ConfigProblem {
    let suggestion = text::closest(name, known.iter().copied()).map(str::to_owned);
    let message = match (&suggestion, known) {
        (Some(_), _) | (None, []) => "there is no such field".to_owned(),
        (None, known) => format!("there is no such field; there are {}", shown(&known.join(", "))),
    };
    ConfigProblem { suggestion, ..ConfigProblem::new(path, message) }
}

/// Returns the fields that the schema has at the place of a violation.
fn known_fields<'a>(error: &ValidationError<'_>, schema: &'a Value) -> Vec<&'a str> {
    let keyword = error.schema_path().as_str();
    let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
    let fields = schema.pointer(parent).and_then(|part| part["properties"].as_object());
    fields.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// Converts a JSON Pointer to a path in the notation of all other messages.
pub(super) fn path_of(pointer: &str, config: &Value) -> String {
    let mut path = "config".to_owned();
    let mut value = Some(config);
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        path = match value {
            Some(Value::Array(_)) => format!("{path}[{step}]"),
            _ => field_path(&path, &step),
        };
        value = value.and_then(|value| match value {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            other => other.get(&step),
        });
    }
    path
}

/// Merges the problems of schema and plugin, without those of the schema about fields that the plugin reports.
fn merged(schema: Vec<ConfigProblem>, plugin: Vec<ConfigProblem>) -> Vec<ConfigProblem> {
    // About the config as a whole, a schema can only say that some alternative is not met.
    let more = !plugin.is_empty() || schema.iter().any(|problem| within(&problem.path, "config"));
    let covered = |problem: &ConfigProblem| {
        let about = |other: &ConfigProblem| other.path == problem.path || within(&other.path, &problem.path);
        problem.path == "config" && more || plugin.iter().any(about)
    };
    let mut all: Vec<ConfigProblem> = schema.into_iter().filter(|problem| !covered(problem)).collect();
    all.extend(plugin);
    all
}

fn within(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests;
