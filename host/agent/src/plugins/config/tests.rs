use super::*;

fn told(problems: Vec<ConfigProblem>) -> Vec<String> {
    let found = |found: Option<String>| found.map_or_else(String::new, |found| format!(" [{found}]"));
    let meant = |meant: Option<String>| meant.map_or_else(String::new, |meant| format!(" ({meant}?)"));
    problems
        .into_iter()
        .map(|it| format!("{}: {}{}{}", it.path, it.message, found(it.found), meant(it.suggestion)))
        .collect()
}

fn judged(schema: &Value, config: &Value) -> Vec<String> {
    let input = json!([schema.to_string(), "cleaner.schema.json", config.to_string()]).to_string();
    told(serde_json::from_slice(&check(input.as_bytes()).unwrap()).unwrap())
}

#[test]
fn a_schema_tells_everything_with_paths_and_what_was_meant() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["root"],
        "properties": {
            "root": { "type": "string" },
            "keepLast": { "type": "integer", "minimum": 0 },
            "rules": { "type": "array", "items": { "type": "object", "properties": { "a/b": { "type": "string" } } } }
        }
    });
    let config = json!({ "keeplast": 1, "keepLast": -1, "xyz": 2, "rules": [{}, { "a/b": 7 }] });
    let mut told = judged(&schema, &config);
    told.sort();
    assert_eq!(
        told,
        [
            "config.keepLast: it is less than the minimum of 0 [-1]",
            "config.keeplast: there is no such field (keepLast?)",
            "config.root: is missing",
            "config.rules[1][\"a/b\"]: it is not of type \"string\" [7]",
            "config.xyz: there is no such field; there are keepLast, root, rules",
        ]
    );
    assert_eq!(judged(&schema, &json!({ "root": "/" })), Vec::<String>::new());
}

#[test]
fn a_schema_that_is_none_is_told_and_fetches_nothing() {
    for (schema, words) in [
        (json!({ "type": "frob" }), "is no JSON Schema"),
        (json!({ "$ref": "https://schemas.example/a.json" }), "is no JSON Schema"),
        (json!({ "$ref": "file:///etc/hostname" }), "is no JSON Schema"),
        (json!(7), "is no JSON Schema"),
    ] {
        let told = judged(&schema, &json!({}));
        assert!(told.len() == 1 && told[0].starts_with("source: ") && told[0].contains(words), "{told:?}");
    }
    for endless in [json!({ "$ref": "#" }), json!({ "allOf": [{ "$ref": "#" }] })] {
        assert_eq!(judged(&endless, &json!({})), Vec::<String>::new());
    }
}

#[test]
fn what_a_schema_makes_the_host_say_is_short() {
    let many = |name: &str| (0..5_000).map(|n| (format!("{name}{n}"), json!({}))).collect::<serde_json::Map<_, _>>();
    let long = "x".repeat(100_000);
    for (schema, config) in [
        (json!({ "additionalProperties": false, "properties": many("known") }), Value::Object(many("other"))),
        (json!({ "required": [long] }), json!({})),
        (json!({ "properties": { "a": { "enum": [long] } } }), json!({ "a": 1 })),
        (json!({ "properties": { "a": { "const": long } } }), json!({ "a": "y".repeat(100_000) })),
        (
            json!({ "required": (0..5_000).collect::<Vec<_>>().iter().map(ToString::to_string).collect::<Vec<_>>() }),
            json!({}),
        ),
        (json!({ "type": long }), json!({})),
    ] {
        let told = judged(&schema, &config);
        assert!((1..=MOST).contains(&told.len()), "{} problems", told.len());
        assert!(told.iter().all(|problem| problem.len() < 1_000), "{}", told[0].len());
    }
}

#[test]
fn the_shipped_schemas_are_schemas() {
    for builtin in builtin::BUILTINS {
        let schema: Value = serde_json::from_str(builtin.schema).unwrap();
        assert!(jsonschema::options().offline().build(&schema).is_ok(), "{}", builtin.name);
    }
}

#[test]
fn the_words_of_the_plugin_count_and_the_schema_tells_the_rest() {
    let schema =
        ["config", "config.a", "config.b", "config.list"].map(|path| ConfigProblem::new(path, "by the schema"));
    let problem = |(field, message): (&str, &str)| Problem { field: field.to_owned(), message: message.to_owned() };
    let plugin = [
        ("a", "by the plugin"),
        ("list[3].x", "by the plugin"),
        ("", "something is wrong: all of it"),
        ("bb", "by the plugin"),
        ("[\"a b\"]", "by the plugin"),
    ];
    let all = merged(schema.into(), plugin.into_iter().map(problem).map(by_plugin).collect());
    assert_eq!(
        told(all),
        [
            "config.b: by the schema",
            "config.a: by the plugin",
            "config.list[3].x: by the plugin",
            "config: something is wrong: all of it",
            "config.bb: by the plugin",
            "config[\"a b\"]: by the plugin",
        ]
    );
    assert_eq!(
        told(merged(vec![ConfigProblem::new("config", "by the schema")], Vec::new())),
        ["config: by the schema"]
    );
}
