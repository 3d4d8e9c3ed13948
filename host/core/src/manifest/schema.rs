//! The JSON Schema of the format, made from its types.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::check::choices;
use super::spec::NodeCleanup;

/// Returns the schema of a NodeCleanup: draft 2020-12, without references. An optional field may be absent or null,
/// which means the same, so types do not include null. `format` restricts a text beyond its type. A field that
/// Kubernetes stores unchanged carries `x-kubernetes-preserve-unknown-fields`.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<NodeCleanup>().to_value();
        without_null(&mut schema);
        schema
    });
    &SCHEMA
}

/// Removes null from types, enums and alternatives, at every level.
pub(super) fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            strip(object);
            object.iter_mut().filter(|(name, _)| *name != "default").for_each(|(_, part)| without_null(part));
        }
        Value::Array(parts) => parts.iter_mut().for_each(without_null),
        _ => {}
    }
}

fn strip(object: &mut Map<String, Value>) {
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| *choice != json!({ "type": "null" }));
    if let [Value::Object(only)] = choices.as_mut_slice() {
        // The description of the field is more specific than that of its type.
        let only = std::mem::take(only);
        object.remove("anyOf");
        for (name, value) in only {
            object.entry(name).or_insert(value);
        }
    }
}

/// Removes fields that are null, because null means the same as absent. In a value without a schema, null is a value
/// and stays.
pub(super) fn without_nothing(value: Value, schema: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let known = |name: &str| match choices(schema) {
                Some(choices) => choices.into_iter().find(|(choice, _)| *choice == name).map(|(_, schema)| schema),
                None => schema["properties"].get(name),
            };
            let kept = fields.into_iter().filter_map(|(name, value)| match known(&name) {
                Some(_) if value.is_null() => None,
                Some(schema) => Some((name, without_nothing(value, schema))),
                None => Some((name, value)),
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| without_nothing(item, &schema["items"])).collect())
        }
        scalar => scalar,
    }
}
