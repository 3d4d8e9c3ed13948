//! The check of the capabilities that plugins use against the supplies of a policy: log roots, and a container runtime.

use holystone_core::manifest::field_path;
use holystone_core::text::{self, shown};
use holystone_runtime::{Capability, Plugin};
use serde_json::Value;

use super::config::ConfigProblem;
use super::loaded::LoadedPlugin;
use super::source::Source;

/// The `format` by which a JSON Schema marks a text as the name of a log root.
const LOG_ROOT: &str = "log-root";
/// The largest number of references that are followed from one place of a schema.
const HOPS: usize = 16;

/// The supplies of a policy for its plugins to look at.
pub(crate) struct Supplies<'a> {
    /// The names of the log roots.
    pub(crate) log_roots: Vec<&'a str>,
    /// Set when the policy has a container runtime.
    pub(crate) has_runtime: bool,
    /// The advice on adding a log root.
    pub(crate) add_log_root: &'a str,
}

impl Supplies<'_> {
    /// Finds settings that can never have an effect: plugins without anything to look at, and unknown names of log
    /// roots.
    pub(crate) fn problems(&self, loaded: &[LoadedPlugin]) -> Vec<ConfigProblem> {
        let of_one = |(plugin, one): (usize, &LoadedPlugin)| {
            let lacking = self.lacking(one).map(|message| ConfigProblem::new("source", message));
            let found = lacking.into_iter().chain(self.unknown_log_roots(one));
            found.map(|problem| ConfigProblem { plugin, ..problem }).collect::<Vec<_>>()
        };
        loaded.iter().enumerate().flat_map(of_one).collect()
    }

    /// Explains why a plugin could never propose anything.
    fn lacking(&self, one: &LoadedPlugin) -> Option<String> {
        let uses = one.plugin.as_ref().map_or(&[][..], Plugin::uses);
        let any = |wanted: &[Capability]| uses.iter().any(|used| wanted.contains(used));
        let logs = any(&[Capability::Logs, Capability::LogContent]);
        let images = any(&[Capability::Images, Capability::Containers]);
        // A plugin that is no builtin may use pods if there are any, and otherwise do without.
        let needs_pods = matches!(one.source, Source::Builtin(_)) && any(&[Capability::Pods]);
        let no_runtime = "no container runtime is asked";
        if logs && !images && self.log_roots.is_empty() {
            Some(format!("looks at log files alone, and there is no log root; {}", self.add_log_root))
        } else if images && !logs && !self.has_runtime {
            Some(format!("looks at images and containers alone, and {no_runtime} (the endpoint is none)"))
        } else if needs_pods && !self.has_runtime {
            Some(format!("keeps the logs of pods that exist, and {no_runtime} which do (the endpoint is none)"))
        } else {
            None
        }
    }

    /// Finds texts in a config that its schema marks as names of log roots and that name no log root of the policy.
    fn unknown_log_roots(&self, one: &LoadedPlugin) -> Vec<ConfigProblem> {
        // If there is no log root at all, that is the problem, and not the name.
        let schema = if self.log_roots.is_empty() { None } else { one.source.schema().ok().flatten() };
        let schema: Option<Value> = schema.and_then(|schema| serde_json::from_str(&schema.text).ok());
        let (Some(schema), Ok(config)) = (schema, serde_json::from_str::<Value>(&one.config)) else {
            return Vec::new();
        };
        let mut named = Vec::new();
        log_root_names(&schema, &schema, &config, "config", &mut named);
        let unknown = named.into_iter().filter(|(_, name)| !self.log_roots.contains(&name.as_str()));
        unknown.map(|(path, name)| self.unknown_log_root(path, &name)).collect()
    }

    fn unknown_log_root(&self, path: String, name: &str) -> ConfigProblem {
        let suggestion = text::closest(name, self.log_roots.iter().copied()).map(str::to_owned);
        let message = match suggestion {
            Some(_) => "there is no log root of this name".to_owned(),
            None => format!("there is no log root of this name; there are {}", shown(&self.log_roots.join(", "))),
        };
        ConfigProblem { found: Some(format!("{:?}", shown(name))), suggestion, ..ConfigProblem::new(path, message) }
    }
}

/// Collects the texts in a value that a part of a schema marks as names of log roots, with their paths.
fn log_root_names(whole: &Value, part: &Value, value: &Value, path: &str, named: &mut Vec<(String, String)>) {
    let part = referred(whole, part);
    match value {
        Value::String(name) if part["format"] == LOG_ROOT => named.push((path.to_owned(), name.clone())),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                log_root_names(whole, &part["items"], item, &format!("{path}[{place}]"), named);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                log_root_names(whole, &part["properties"][name.as_str()], field, &field_path(path, name), named);
            }
        }
        _ => {}
    }
}

/// Resolves references within a schema.
fn referred<'a>(whole: &'a Value, mut part: &'a Value) -> &'a Value {
    for _ in 0..HOPS {
        let Some(pointer) = part["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) else { break };
        let Some(next) = whole.pointer(pointer) else { break };
        part = next;
    }
    part
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::log_root_names;
    use crate::builtin;

    fn named(schema: &Value, config: &Value) -> Vec<(String, String)> {
        let mut named = Vec::new();
        log_root_names(schema, schema, config, "config", &mut named);
        named
    }

    #[test]
    fn names_of_log_roots_are_found_where_the_schema_says() {
        let schema = json!({
            "properties": {
                "root": { "format": "log-root" },
                "rules": { "items": { "$ref": "#/$defs/rule" } },
                "other": { "format": "date" }
            },
            "$defs": { "rule": { "properties": { "roots": { "items": { "$ref": "#/$defs/root" } } } },
                "root": { "format": "log-root" } }
        });
        let config =
            json!({ "root": "a", "other": "b", "rules": [{}, { "roots": ["c", 7, "d"] }], "more": { "root": "e" } });
        let expected = [("config.root", "a"), ("config.rules[1].roots[0]", "c"), ("config.rules[1].roots[2]", "d")];
        assert_eq!(named(&schema, &config), expected.map(|(path, name)| (path.to_owned(), name.to_owned())));
        for endless in
            [json!({ "$ref": "#" }), json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/a" } } })]
        {
            assert_eq!(named(&endless, &config), []);
        }
    }

    #[test]
    fn the_shipped_schemas_say_where_log_roots_are_named() {
        for (name, config, path) in [
            ("log-retention", json!({ "rules": [{ "roots": ["x"] }] }), "config.rules[0].roots[0]"),
            ("orphan-pod-logs", json!({ "roots": ["x"] }), "config.roots[0]"),
        ] {
            let schema: Value = serde_json::from_str(builtin::find(name).unwrap().schema).unwrap();
            assert_eq!(named(&schema, &config), [(path.to_owned(), "x".to_owned())], "{name}");
        }
    }
}
