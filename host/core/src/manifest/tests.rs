use std::str::FromStr as _;

use jiff::SignedDuration;
use serde_json::Value;

use super::spec::{ApiVersion, Kind};
use super::*;
use crate::guard;
use crate::schedule::{ConcurrencyPolicy, HistoryLimits, Schedule};

mod inputs;
mod problems;
mod properties;
mod reference;

/// Everything that a manifest can say.
const FULL: &str = include_str!("tests/full.yaml");

/// As little as it can say.
const LEAST: &str = "
apiVersion: holystone.dev/v1alpha1
kind: NodeCleanup
metadata: {name: stale-images}
spec:
  plugins:
  - name: images
    source: {builtin: unused-images}
";

fn text(text: &str) -> [Text<'_>; 1] {
    [Text { origin: "cleanup.yaml", text, skips_others: false }]
}

/// What is wrong with a text, as a person reads it.
fn complaints(manifest: &str) -> Vec<String> {
    match read(&text(manifest)) {
        Ok(read) => panic!("nothing is wrong with {read:#?}"),
        Err(problems) => problems.iter().map(Problem::to_string).collect(),
    }
}

fn only(manifest: &str) -> NodeCleanup {
    match read(&text(manifest)).as_deref() {
        Ok([Found { origin: "cleanup.yaml", manifest, .. }]) => manifest.clone(),
        other => panic!("{other:#?}"),
    }
}

#[test]
fn what_is_left_out_has_safe_defaults() {
    let NodeCleanup { api_version, kind, metadata, spec, status } = only(LEAST);
    assert_eq!((api_version, kind, status), (ApiVersion::V1Alpha1, Kind::NodeCleanup, None));
    assert_eq!((metadata.name.as_str(), metadata.namespace), ("stale-images", None));
    assert_eq!(spec.mode, Mode::DryRun);
    assert_eq!((spec.schedule, spec.time_zone, spec.starting_deadline_seconds), (None, None, None));
    assert_eq!((spec.concurrency_policy, spec.paused), (ConcurrencyPolicy::Forbid, false));
    assert_eq!((spec.successful_jobs_history_limit, spec.failed_jobs_history_limit), (3, 1));
    assert_eq!((spec.runtime.endpoint.as_str(), spec.log_roots), ("auto", Vec::new()));
    assert_eq!(spec.guard_rails.min_age, "10m".parse().unwrap());
    assert_eq!((spec.guard_rails.confirmations, spec.guard_rails.max_deletions), (1, MaxDeletions::default()));
    assert_eq!(spec.pace, Pace { concurrency: 1024, pause: "0s".parse().unwrap(), max_failures: 20 });
    assert_eq!((spec.pressure, spec.rollout), (None, Rollout::default()));
    let [plugin] = &spec.plugins[..] else { panic!("there is one plugin") };
    assert_eq!(plugin.source, PluginSource::Builtin("unused-images".to_owned()));
    assert_eq!((plugin.digest.as_deref(), plugin.capabilities.as_slice()), (None, [].as_slice()));
    assert_eq!((plugin.config.len(), plugin.on_failure), (0, OnFailure::Skip));
    assert_eq!(plugin.limits, PluginLimits { timeout: "10s".parse().unwrap(), memory: "64Mi".parse().unwrap() });
}

#[test]
fn everything_that_is_written_arrives() {
    let spec = only(FULL).spec;
    assert_eq!(spec.schedule.as_deref(), Some("*/5 * * * *"));
    assert_eq!(spec.time_zone.as_deref(), Some("Asia/Shanghai"));
    assert_eq!(spec.starting_deadline_seconds, Some(60));
    assert_eq!((spec.concurrency_policy, spec.paused), (ConcurrencyPolicy::Replace, true));
    assert_eq!((spec.successful_jobs_history_limit, spec.failed_jobs_history_limit), (5, 0));
    assert_eq!(spec.mode, Mode::Enforce);
    assert_eq!(spec.runtime.endpoint, "unix:///run/containerd/containerd.sock");
    assert_eq!(spec.log_roots, [LogRoot { name: "app".to_owned(), host_path: "/var/log/app".to_owned() }]);

    let sources: Vec<&PluginSource> = spec.plugins.iter().map(|plugin| &plugin.source).collect();
    let key = ConfigMapKey { name: "holystone.plugins".to_owned(), key: "pods.wasm".to_owned() };
    assert_eq!(
        sources,
        [
            &PluginSource::Builtin("unused-images".to_owned()),
            &PluginSource::File("plugins/mine.wasm".to_owned()),
            &PluginSource::ConfigMap(key)
        ]
    );
    let first = &spec.plugins[0];
    assert_eq!(first.digest.as_deref().map(str::len), Some(71));
    assert_eq!(first.capabilities, [Capability::Images, Capability::Containers, Capability::LogContent]);
    assert_eq!(first.config["keepLast"], 2);
    assert_eq!(first.limits, PluginLimits { timeout: "1m30s".parse().unwrap(), memory: Bytes::new(1 << 28) });
    assert_eq!(first.on_failure, OnFailure::FailRun);

    assert_eq!(spec.guard_rails.protect_images[0].as_str(), "docker.io/minchou/base:*");
    assert_eq!(spec.guard_rails.unprotect_images, [BuiltIn::Localhost, BuiltIn::Pause]);
    assert_eq!((spec.guard_rails.min_age, spec.guard_rails.confirmations), ("1h".parse().unwrap(), 3));
    let most = spec.guard_rails.max_deletions;
    assert_eq!((most.count, most.bytes, most.percent), (Some(100), "20Gi".parse().ok(), "60%".parse().ok()));
    assert_eq!(spec.pace, Pace { concurrency: 8, pause: "250ms".parse().unwrap(), max_failures: 5 });
    let bounds = (Percent::from_str("85%").ok(), Percent::from_str("70").ok());
    assert_eq!(spec.pressure.map(|pressure| (pressure.above, pressure.until)), Some(bounds));

    let rollout = spec.rollout;
    assert_eq!(rollout.parallelism, Some("10%".parse().unwrap()));
    assert_eq!(rollout.completion_policy.active_deadline_seconds, Some(600));
    assert_eq!(rollout.completion_policy.ttl_seconds_after_finished, Some(86_400));
    let failure = FailurePolicy { kind: FailurePolicyType::FailFast, restart_limit: 3 };
    assert_eq!(rollout.failure_policy, failure);
    assert_eq!(rollout.node_selector["kubernetes.io/os"], "linux");
    assert_eq!(rollout.tolerations[0].operator, TolerationOperator::Exists);
    assert_eq!(rollout.tolerations[1].effect, Some(TaintEffect::NoExecute));
    let pod = rollout.pod_template;
    assert_eq!((pod.labels["team"].as_str(), pod.annotations["example.com/owner"].as_str()), ("platform", "platform"));
    assert_eq!(pod.image_pull_secrets, [PullSecret { name: "registry".to_owned() }]);
    assert_eq!((pod.service_account_name.as_deref(), pod.host_pid), (Some("node-agent"), true));
    let options = pod.se_linux_options.unwrap();
    assert_eq!(
        (options.kind.as_str(), options.level.as_deref(), options.role.as_deref()),
        ("spc_t", Some("s0"), Some("system_r"))
    );
    assert_eq!(options.user.as_deref(), Some("system_u"));
    let amounts = |cpu: &str, memory: &str| Amounts { cpu: cpu.parse().ok(), memory: memory.parse().ok() };
    assert_eq!(pod.resources, Resources { requests: amounts("0.5", "128Mi"), limits: amounts("2000m", "1Gi") });
    let terms =
        pod.affinity.unwrap().node_affinity.required_during_scheduling_ignored_during_execution.node_selector_terms;
    let [NodeSelectorTerm { match_expressions }] = &terms[..] else { panic!("{terms:?}") };
    assert_eq!(match_expressions[0].values, ["a", "b"]);
    assert_eq!((match_expressions[1].operator, match_expressions[1].values.len()), (NodeOperator::DoesNotExist, 0));
}

#[test]
fn documents_of_a_text_and_texts_are_read_in_order() {
    let called = |name: &str| LEAST.replace("stale-images", name);
    let yaml = format!("# first\n{}---\n---\n{}...\n", called("a"), called("b"));
    let json = |name: &str| serde_json::to_string_pretty(&only(&called(name))).unwrap().replace("  ", "\t");
    let json = format!("{}\n{}{}", json("c"), json("d"), json("e"));
    let texts = [
        Text { origin: "a.yaml", text: &yaml, skips_others: false },
        Text { origin: "b.json", text: &json, skips_others: false },
    ];
    let found = read(&texts).unwrap();
    let names: Vec<(&str, &str)> =
        found.iter().map(|found| (found.origin, found.manifest.metadata.name.as_str())).collect();
    assert_eq!(names, [("a.yaml", "a"), ("a.yaml", "b"), ("b.json", "c"), ("b.json", "d"), ("b.json", "e")]);
}

#[test]
fn json_may_stand_between_the_marks_of_yaml() {
    let json = serde_json::to_string(&only(LEAST)).unwrap();
    let text_of_two = format!("{json}\n---\n{}", json.replace("stale-images", "other"));
    assert_eq!(read(&text(&text_of_two)).map(|found| found.len()), Ok(2));
}

#[test]
fn what_a_cluster_hands_out_is_taken() {
    let manifest = LEAST.replace(
        "metadata: {name: stale-images}",
        "metadata: {name: stale-images, namespace: node-ops, uid: 8a1b, resourceVersion: '12', generation: 3,
            creationTimestamp: '2026-03-01T00:00:00Z', managedFields: [{manager: kubectl}], finalizers: [],
            annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}}",
    );
    let manifest = only(&format!("{manifest}\nstatus: {{anything: [1, {{at: all}}]}}"));
    assert_eq!(manifest.metadata.namespace.as_deref(), Some("node-ops"));
    let value = serde_json::to_value(&manifest).unwrap();
    assert_eq!(value.get("status"), None);
    assert_eq!(from_value(&value).unwrap().metadata, manifest.metadata);
}

#[test]
fn null_is_the_same_as_nothing() {
    let manifest = LEAST
        .replace("spec:\n", "spec:\n  schedule:\n  guardRails: null\n  pressure: ~\n  rollout: {parallelism: null}\n");
    assert_eq!(only(&manifest), only(LEAST));
}

#[test]
fn anchors_and_merges_work() {
    let manifest = LEAST.replace(
        "    source: {builtin: unused-images}\n",
        "    <<: &common {source: {builtin: unused-images}, limits: {timeout: 5s}}\n  - {<<: *common, name: again}\n",
    );
    let plugins = only(&manifest).spec.plugins;
    assert_eq!(plugins.iter().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>(), ["images", "again"]);
    assert!(plugins.iter().all(|plugin| plugin.limits.timeout == Duration::from_secs(5)));
}

#[test]
fn a_manifest_means_a_timetable_limits_and_rails() {
    let full = only(FULL);
    let timetable = full.timetable().unwrap().unwrap();
    assert_eq!(timetable.schedule, Schedule::parse("TZ=Asia/Shanghai */5 * * * *", None).unwrap());
    assert_eq!(timetable.starting_deadline, Some(SignedDuration::from_mins(1)));
    assert_eq!((timetable.concurrency, timetable.paused), (ConcurrencyPolicy::Replace, true));
    assert_eq!(full.history(), HistoryLimits { successful: Some(5), failed: Some(0) });
    let limits = guard::Limits { count: Some(100), bytes: Some(20 << 30), percent: Some(60) };
    let rails = full.rails();
    assert_eq!(rails.limits, limits);
    let written = |list: &[guard::RailPattern]| -> Vec<String> {
        list.iter().map(|named| format!("{}: {}", named.field, named.pattern)).collect()
    };
    assert_eq!(
        written(&rails.protect),
        ["guardRails.protectImages[0]: docker.io/minchou/base:*", "guardRails.protectImages[1]: sha256:0123456789ab"]
    );
    assert_eq!(
        written(&rails.lift),
        ["guardRails.unprotectImages[0]: localhost/*", "guardRails.unprotectImages[1]: *pause*"]
    );
    assert_eq!((rails.min_age, rails.confirmations), (SignedDuration::from_hours(1), 3));
    let pressure = crate::pressure::Pressure { above: Some(85), until: Some(70), ..Default::default() };
    assert_eq!(full.pressure(), pressure);
    let fleet = ["parallelism", "failurePolicy.type", "nodeSelector", "tolerations", "podTemplate"];
    assert_eq!(full.only_on_a_fleet(), fleet.map(|field| format!("spec.rollout.{field}")));

    let least = only(LEAST);
    assert_eq!((least.timetable(), least.rails()), (Ok(None), guard::GuardRails::default()));
    assert_eq!(least.pressure(), crate::pressure::Pressure::default());
    assert!(least.only_on_a_fleet().is_empty());

    let mut wrong = full;
    wrong.spec.time_zone = Some("Mars/Base".to_owned());
    assert!(wrong.timetable().unwrap_err().to_string().starts_with("spec.timeZone: \"Mars/Base\" is not a time zone"));
    wrong.spec.time_zone = None;
    wrong.spec.schedule = Some("daily".to_owned());
    assert!(wrong.timetable().unwrap_err().to_string().starts_with("spec.schedule: \"daily\" is not a schedule"));
}

/// Every schema in the schema that stands for a field.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&Value, &str)) {
    visit(schema, path);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        walk(field, &format!("{path}.{name}"), visit);
    }
    for choice in schema["oneOf"].as_array().into_iter().flatten() {
        for (name, field) in choice["properties"].as_object().into_iter().flatten() {
            walk(field, &format!("{path}.{name}"), visit);
        }
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{path}[]"), visit);
    }
}

#[test]
fn every_field_is_documented() {
    walk(schema(), "", &mut |schema, path| {
        let described = schema["description"].as_str().is_some_and(|text| text.ends_with(['.', '`']));
        // The fields of a choice are described where they are chosen, and entries of lists with their list.
        let elsewhere = path.ends_with("[]") || path.contains(".source.");
        assert!(described || elsewhere, "{path} has no description");
        for word in schema["oneOf"].as_array().into_iter().flatten() {
            assert!(word["description"].is_string(), "{path} has a word without a description: {word}");
        }
    });
}

#[test]
fn the_built_in_patterns_that_may_be_lifted_are_those_of_the_rails() {
    let liftable: Vec<String> =
        explain("spec.guardRails.unprotectImages").unwrap().words.into_iter().map(|(word, _)| word).collect();
    assert_eq!(liftable, guard::LIFTABLE);
    assert_eq!([BuiltIn::Localhost, BuiltIn::Pause].map(BuiltIn::as_str), guard::LIFTABLE);
}

#[test]
fn every_format_and_type_is_one_that_is_checked() {
    walk(schema(), "", &mut |schema, path| {
        let format = schema["format"].as_str();
        let numeric = ["uint16", "uint32", "uint64", "int64"];
        let known = format.is_none_or(|name| numeric.contains(&name) || format::Format::named(name).is_some());
        assert!(known, "{path} has a format that nobody checks: {format:?}");
        let kind = schema["type"].as_str();
        let anything = path == ".status";
        let kinds = ["object", "array", "string", "integer", "boolean"];
        let told =
            kind.is_some_and(|kind| kinds.contains(&kind)) || schema["oneOf"].is_array() || schema["anyOf"].is_array();
        assert!(told || anything, "{path}: {schema}");
        assert!(schema.get("$ref").is_none() && !schema.to_string().contains("\"null\""), "{path}: {schema}");
    });
}

/// What of these texts, from a directory, is skipped, and how many manifests there are.
fn listed(texts: &[&str]) -> (Vec<String>, Result<usize, Vec<String>>) {
    let texts: Vec<Text<'_>> =
        texts.iter().map(|text| Text { origin: "file.yaml", text, skips_others: true }).collect();
    let found = read(&texts).map(|found| found.len());
    (skipped(&texts), found.map_err(|problems| problems.iter().map(ToString::to_string).collect()))
}

#[test]
fn documents_of_other_kinds_in_a_directory_are_skipped_with_a_note() {
    for (other, note) in [
        (
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n",
            "file.yaml:1: kind Namespace, not a NodeCleanup: skipped",
        ),
        ("kind: Kustomization\nresources: []\n", "file.yaml:1: kind Kustomization, not a NodeCleanup: skipped"),
        ("resources: [a.yaml]\n", "file.yaml:1: has no kind, not a NodeCleanup: skipped"),
        ("image: {tag: v1}\n", "file.yaml:1: has no kind, not a NodeCleanup: skipped"),
        (r#"{"name": "a", "version": "1"}"#, "file.yaml:1: has no kind, not a NodeCleanup: skipped"),
        (
            r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}"#,
            "file.yaml:1: has no kind, not a NodeCleanup: skipped",
        ),
        ("[1, 2]", "file.yaml:1: not a map of fields, not a NodeCleanup: skipped"),
    ] {
        assert_eq!(listed(&[other]), (vec![note.to_owned()], Ok(0)), "{other}");
        assert_eq!(listed(&[other, LEAST]), (vec![note.to_owned()], Ok(1)), "{other}");
        assert_eq!(listed(&[LEAST, other]).1, Ok(1), "{other}");
        let named = [Text { origin: "file.yaml", text: other, skips_others: false }];
        assert!(read(&named).is_err() && skipped(&named).is_empty(), "named by itself: {other}");
    }
}

#[test]
fn a_manifest_with_a_slip_is_never_skipped() {
    for (from, to) in [
        ("kind: NodeCleanup", "kind: NodeCleanups"),
        ("kind: NodeCleanup", "kind: nodecleanup"),
        ("kind: NodeCleanup", "kind: Other"),
        ("kind: NodeCleanup\n", ""),
        ("apiVersion: holystone.dev/v1alpha1", "apiVersion: holystone.dev/v2"),
        ("apiVersion: holystone.dev/v1alpha1\n", ""),
    ] {
        let text = LEAST.replace(from, to);
        assert_ne!(text, LEAST, "{from}");
        let (notes, found) = listed(&[&text]);
        assert!(notes.is_empty() && found.is_err(), "{to}: {notes:?}");
    }
    let (notes, found) =
        listed(&[&LEAST.replace("apiVersion: holystone.dev/v1alpha1\n", "").replace("kind: NodeCleanup\n", "")]);
    assert!(notes.is_empty() && found.is_err(), "without both: {notes:?}");
}
