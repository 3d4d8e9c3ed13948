use schemars::generate::SchemaSettings;

use super::*;

/// The definitions of OpenKruise, by release and kind.
const KRUISE: [(&str, &str, &str); 4] = [
    (
        "v1.6.4",
        "AdvancedCronJob",
        include_str!("../../../../../tests/kruise-crds/v1.6.4/apps.kruise.io_advancedcronjobs.yaml"),
    ),
    (
        "v1.6.4",
        "BroadcastJob",
        include_str!("../../../../../tests/kruise-crds/v1.6.4/apps.kruise.io_broadcastjobs.yaml"),
    ),
    (
        "v1.9.0",
        "AdvancedCronJob",
        include_str!("../../../../../tests/kruise-crds/v1.9.0/apps.kruise.io_advancedcronjobs.yaml"),
    ),
    (
        "v1.9.0",
        "BroadcastJob",
        include_str!("../../../../../tests/kruise-crds/v1.9.0/apps.kruise.io_broadcastjobs.yaml"),
    ),
];

fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The schema of a part of the objects that a definition is about.
fn defined(definition: &Value, version: &str, part: &str) -> Value {
    let versions = definition["spec"]["versions"].as_array().unwrap();
    let version = versions.iter().find(|found| found["name"] == version).unwrap();
    version["schema"]["openAPIV3Schema"]["properties"][part].clone()
}

/// The type that a schema names, apart from null. Words of an enum have one each.
fn type_of(schema: &Value) -> Option<&str> {
    let named = match &schema["type"] {
        Value::Array(types) => types.iter().find(|named| *named != "null"),
        named => Some(named),
    };
    named?.as_str().or_else(|| type_of(schema["oneOf"].get(0)?))
}

/// The fields of a view that a definition does not have, or has with another type; and how many were compared.
fn misfits(view: &Value, definition: &Value, path: &str) -> (usize, Vec<String>) {
    let (mut compared, mut found) = (1, Vec::new());
    let types = (type_of(view), type_of(definition));
    // A number or a text has no type, and neither has a view of anything.
    if types.0.is_some() && types.0 != types.1 {
        found.push(format!("{path}: {types:?}"));
    }
    let mut inner: Vec<(String, &Value, &Value)> = Vec::new();
    for (name, field) in view["properties"].as_object().into_iter().flatten() {
        inner.push((format!("{path}.{name}"), field, &definition["properties"][name]));
    }
    for part in ["items", "additionalProperties"] {
        if view[part].is_object() {
            inner.push((format!("{path}.{part}"), &view[part], &definition[part]));
        }
    }
    for (path, field, definition) in inner {
        if definition.is_null() {
            found.push(format!("{path}: is not defined"));
        }
        let (more, problems) = misfits(field, definition, &path);
        compared += more;
        found.extend(problems);
    }
    (compared, found)
}

#[test]
fn every_field_of_a_view_is_one_that_openkruise_defines() {
    for (release, kind, text) in KRUISE {
        let definition: Value = serde_saphyr::from_str(text).unwrap();
        assert_eq!(definition["spec"]["names"]["kind"], kind);
        let views = if kind == "BroadcastJob" {
            [schema_of::<BroadcastJobSpec>(), schema_of::<BroadcastJobStatus>()]
        } else {
            [schema_of::<AdvancedCronJobSpec>(), schema_of::<AdvancedCronJobStatus>()]
        };
        let mut compared = 0;
        for (part, view) in ["spec", "status"].into_iter().zip(&views) {
            let (more, found) = misfits(view, &defined(&definition, "v1alpha1", part), part);
            assert_eq!(found, [""; 0], "{kind} of {release}");
            compared += more;
        }
        assert!(compared > 15, "{compared} of {kind} of {release}");
    }
}

#[test]
fn every_field_of_a_view_is_one_that_holystone_defines() {
    let definition = crate::manifest::crd();
    let views = [("spec", schema_of::<CleanupSpec>()), ("status", schema_of::<ForeignStatus>())];
    for (part, view) in views {
        assert_eq!(misfits(&view, &defined(&definition, "v1alpha1", part), part).1, [""; 0]);
    }
}

#[test]
fn a_field_that_is_not_defined_is_found() {
    let definition: Value = serde_saphyr::from_str(KRUISE[3].2).unwrap();
    let definition = defined(&definition, "v1alpha1", "status");
    for (right, wrong) in [("\"startTime\"", "\"starttime\""), ("\"message\"", "\"massage\"")] {
        let view = schema_of::<BroadcastJobStatus>().to_string();
        let view: Value = serde_json::from_str(&view.replace(right, wrong)).unwrap();
        let (_, found) = misfits(&view, &definition, "status");
        assert!(found.iter().any(|found| found.contains(wrong.trim_matches('"'))), "{found:?}");
    }
    let mut view = schema_of::<BroadcastJobStatus>();
    view["properties"]["desired"]["type"] = "string".into();
    assert_eq!(misfits(&view, &definition, "status").1, [r#"status.desired: (Some("string"), Some("integer"))"#]);
}

#[test]
fn a_field_of_another_type_is_absent_and_the_others_are_read() {
    let job = BroadcastJob::from(json!({
        "metadata": { "name": "a", "uid": 7, "creationTimestamp": "then", "ownerReferences": "x" },
        "spec": { "paused": "yes", "parallelism": "30%", "completionPolicy": [1], "template": 7 },
        "status": { "phase": "failed", "desired": -1, "succeeded": 2, "startTime": "2026-11-02T00:00:00Z", "conditions": null },
    }));
    assert_eq!((job.meta.name.as_str(), &job.meta.uid, job.meta.creation_timestamp), ("a", &None, None));
    assert_eq!(job.meta.owner_references, []);
    assert_eq!((job.spec.paused, &job.spec.parallelism), (false, &json!("30%")));
    assert_eq!((job.status.desired, job.status.succeeded, job.status.conditions.len()), (None, 2, 0));
    assert!(job.is_over());
    assert_eq!(job.began(), Some("2026-11-02T00:00:00Z".parse().unwrap()));
    for nothing in [Value::Null, json!({}), json!("x"), json!({ "metadata": null, "spec": 1, "status": [] })] {
        let BroadcastJob { meta, spec, status, .. } = nothing.clone().into();
        assert_eq!((meta, spec, status), Default::default(), "{nothing}");
    }
}

#[test]
fn phases_have_the_words_of_openkruise() {
    for (word, phase, is_over) in [
        ("running", JobPhase::Running, false),
        ("paused", JobPhase::Paused, false),
        ("completed", JobPhase::Completed, true),
        ("failed", JobPhase::Failed, true),
        ("Failed", JobPhase::Unknown, false),
        ("", JobPhase::Unknown, false),
    ] {
        let job = BroadcastJob::from(json!({ "status": { "phase": word } }));
        assert_eq!((job.status.phase, job.is_over()), (phase, is_over), "{word}");
    }
}

#[test]
fn a_run_begins_when_it_was_created_at_the_earliest() {
    let [early, late] = ["2026-11-02T00:00:00Z", "2026-11-02T00:00:01Z"];
    for (created, started, expected) in [
        (json!(early), json!(late), Some(late)),
        (json!(late), json!(early), Some(late)),
        (json!(early), Value::Null, Some(early)),
        (Value::Null, json!(early), Some(early)),
        (Value::Null, Value::Null, None),
    ] {
        let job = json!({ "metadata": { "creationTimestamp": created }, "status": { "startTime": started } });
        assert_eq!(BroadcastJob::from(job).began(), expected.map(|time| time.parse().unwrap()));
    }
}

#[test]
fn the_status_of_another_version_still_names_its_operator_and_run() {
    let status = json!({ "operator": "a/b", "lastRun": { "name": "x-1", "nodes": "many" } });
    let object = CleanupObject::from(json!({ "status": status }));
    assert_eq!((object.status.foreign.operator.as_deref(), &object.status.known), (Some("a/b"), &None));
    assert_eq!(object.status.foreign.last_run.name.as_deref(), Some("x-1"));
    assert!(object.read_status().is_err());
    assert_eq!(CleanupObject::default().read_status().unwrap(), NodeCleanupStatus::default());
}
