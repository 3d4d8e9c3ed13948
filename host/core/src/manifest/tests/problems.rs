//! What is wrong with a manifest is told all at once: where, what is there, what is allowed, what was probably meant.

use super::super::{Problem, Text, from_value, read};
use super::{FULL, LEAST, complaints, text};

/// What is said about [`FULL`] with one of its lines written differently.
fn instead(line: &str, other: &str) -> Vec<String> {
    assert_eq!(FULL.matches(line).count(), 1, "{line}");
    complaints(&FULL.replace(line, other))
}

/// The same when it is one problem, without its place.
fn one(line: &str, other: &str) -> String {
    match instead(line, other).as_slice() {
        [only] => only.split_once(": ").unwrap().1.to_owned(),
        several => panic!("{other}: {several:#?}"),
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    assert_eq!(complaints(include_str!("broken.yaml")).join("\n"), include_str!("broken.txt").trim_end());
}

#[test]
fn what_is_not_a_manifest_is_told_once() {
    for (manifest, problem) in [
        ("", "cleanup.yaml: there is no NodeCleanup in it"),
        ("# nothing\n---\n", "cleanup.yaml: there is no NodeCleanup in it"),
        ("just words", "cleanup.yaml:1: must be a NodeCleanup, which is a map of fields, found \"just words\""),
        ("[1, 2]", "cleanup.yaml:1: must be a NodeCleanup, which is a map of fields, found [1,2]"),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {}\n",
            "cleanup.yaml:1: apiVersion: must be holystone.dev/v1alpha1, found \"v1\"|cleanup.yaml:2: kind: must be \
             NodeCleanup, found \"ConfigMap\"",
        ),
        (
            "apiVersion: holystone.dev/v1alpha\nkind: nodecleanup\nnonsense: 1\n",
            "cleanup.yaml:1: apiVersion: must be holystone.dev/v1alpha1, found \"holystone.dev/v1alpha\"; did you mean \
             holystone.dev/v1alpha1?|cleanup.yaml:2: kind: must be NodeCleanup, found \"nodecleanup\"; did you mean NodeCleanup?",
        ),
        (
            "{}",
            "cleanup.yaml:1: apiVersion: is missing; it must be holystone.dev/v1alpha1|cleanup.yaml:1: kind: is missing; it \
             must be NodeCleanup",
        ),
        (
            "apiVersion: holystone.dev/v1alpha1\nkind: NodeCleanup\n",
            "cleanup.yaml:1: metadata: is missing; it must be a map of fields|cleanup.yaml:1: spec: is missing; it must be \
             a map of fields",
        ),
    ] {
        assert_eq!(complaints(manifest).join("|"), problem, "{manifest}");
    }
}

#[test]
fn what_cannot_be_parsed_is_told_with_the_line_and_the_usual_reason() {
    let quotes = "; what starts with such a character belongs in quotes";
    for (line, other, expected) in [
        ("schedule: \"*/5 * * * *\"", "schedule: */5 * * * *", quotes),
        ("schedule: \"*/5 * * * *\"", "schedule: @daily", quotes),
        ("schedule: \"*/5 * * * *\"", "schedule: \"*/5 * * * *", "cleanup.yaml:"),
        ("mode: Enforce", "mode: [Enforce", "cleanup.yaml:"),
        ("mode: Enforce", "mode: Enforce\n\tpaused: true", "cleanup.yaml:16: this is not YAML or JSON: "),
    ] {
        let complaints = instead(line, other);
        let [only] = &complaints[..] else { panic!("{complaints:#?}") };
        assert!(only.contains(expected) && only.contains("this is not YAML or JSON: "), "{other}: {only}");
    }
    assert!(complaints("{\"apiVersion\": ]}")[0].starts_with("cleanup.yaml:1: this is not YAML or JSON: "));
    assert!(complaints("a: \u{1b}[2J\u{0}")[0].contains("this is not YAML or JSON: "));
}

#[test]
fn lines_of_later_documents_are_those_of_the_text() {
    let broken = LEAST.replace("builtin", "builtins").replace("stale-images", "other");
    let yaml = format!("{LEAST}---{broken}");
    assert_eq!(
        complaints(&yaml),
        ["cleanup.yaml:16: spec.plugins[0].source.builtins: there is no such field; did you mean builtin?"]
    );
    let json = "{\"apiVersion\": \"holystone.dev/v1alpha1\",\n\"kind\": \"NodeCleanup\"}\n{\n\"kind\": 1}\n";
    let lines: Vec<Option<u64>> = read(&text(json)).unwrap_err().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [Some(1), Some(1), Some(3), Some(4)]);
}

#[test]
fn what_is_found_out_later_is_told_with_its_line() {
    let manifests = [Text { origin: "cleanup.yaml", text: LEAST, skips_others: false }];
    let found = read(&manifests).unwrap();
    for (path, line) in [
        ("spec.plugins[0].source.builtin", 8),
        ("spec.plugins[0].config.keepLast", 7),
        ("spec.plugins[7].name", 7),
        ("spec.paused", 6),
        ("", 2),
    ] {
        let problem = found[0].problem(path, "is unheard of").found("it");
        let colon = if path.is_empty() { "" } else { ": " };
        assert_eq!(problem.to_string(), format!("cleanup.yaml:{line}: {path}{colon}is unheard of, found it"));
    }
}

#[test]
fn each_document_of_each_text_has_its_say() {
    let texts = [
        Text { origin: "a.yaml", text: &LEAST.replace("unused-images", "''"), skips_others: false },
        Text { origin: "b.yaml", text: LEAST, skips_others: false },
        Text { origin: "c.yaml", text: "nonsense", skips_others: false },
        Text { origin: "d.yaml", text: "[", skips_others: false },
        Text { origin: "e.yaml", text: &LEAST.replace("stale-images", "other"), skips_others: false },
    ];
    let problems = read(&texts).unwrap_err();
    let origins: Vec<&str> = problems.iter().map(|problem| problem.origin.as_str()).collect();
    assert_eq!(origins, ["a.yaml", "b.yaml", "c.yaml", "d.yaml"]);
    // b.yaml has the name of a.yaml.
    let expected = "b.yaml:4: metadata.name: another NodeCleanup has this name: a.yaml:4, found \"stale-images\"";
    assert_eq!(problems[1].to_string(), expected);
}

#[test]
fn the_same_name_in_another_namespace_is_another_manifest() {
    let other = LEAST.replace("{name: stale-images}", "{name: stale-images, namespace: other}");
    assert_eq!(read(&text(&format!("{LEAST}---{other}"))).map(|found| found.len()), Ok(2));
}

#[test]
fn names_are_what_kubernetes_takes_and_openkruise_can_lengthen() {
    let called = |name: &str| read(&text(&LEAST.replace("stale-images", name))).is_ok();
    assert!(called(&"a".repeat(52)) && called("'0'") && called("a-b-0"));
    for name in ["-a", "a-", "a.b", "A", "a_b", "ä", "''", "'a b'"] {
        assert!(!called(name), "{name}");
    }
    let long = "a".repeat(53);
    let problem = one("name: stale-images", &format!("name: {long}"));
    assert_eq!(problem, format!("metadata.name: must have at most 52 characters, found 53: \"{long}\""));
}

#[test]
fn schedules_and_zones_are_checked_as_what_they_are() {
    let schedule = "schedule: \"*/5 * * * *\"\n  timeZone: Asia/Shanghai\n  startingDeadlineSeconds: 60\n";
    for (other, expected) in [
        (
            "schedule: \"0 0 * * 7\"",
            "spec.schedule: \"0 0 * * 7\" is not a schedule: \"7\" is not a number from 0 to 6",
        ),
        ("schedule: ''", "spec.schedule: \"\" is not a schedule: it is empty"),
        ("schedule: 5", "spec.schedule: must be five cron fields, or one of @hourly"),
        ("schedule: \"0 0 30 2 *\"", "spec.schedule: \"0 0 30 2 *\" never comes"),
        ("schedule: \" @daily\"", "spec.schedule: \" @daily\" is not a schedule"),
        ("schedule: '@daily'\n  timeZone: Local", "spec.timeZone: \"Local\" is not a time zone"),
        ("schedule: '@daily'\n  timeZone: ''", "spec.timeZone: \"\" is not a time zone"),
        ("schedule: '@daily'\n  timeZone: broken", "spec.timeZone: \"broken\" is not a time zone"),
        (
            "schedule: TZ=UTC 0 0 * * *\n  timeZone: Asia/Shanghai",
            "spec.timeZone: must be left out, because the schedule names a time zone itself, found \"Asia/Shanghai\"",
        ),
        (
            "schedule: '@daily'\n  startingDeadlineSeconds: -1",
            "spec.startingDeadlineSeconds: must be a whole number from 1 on, found -1",
        ),
        (
            "schedule: '@daily'\n  startingDeadlineSeconds: 0",
            "spec.startingDeadlineSeconds: must be a whole number from 1 on, found 0",
        ),
        (
            "schedule: '@every 1h'\n  startingDeadlineSeconds: 60",
            "spec.startingDeadlineSeconds: must be at least the period of the schedule; no run would ever start, found 60",
        ),
    ] {
        let problem = one(schedule, &format!("{other}\n"));
        assert!(problem.starts_with(expected), "{problem}");
    }
    for fine in
        ["schedule: '@every 1h'\n  startingDeadlineSeconds: 3600", "schedule: TZ=UTC 0 0 * * *", "schedule: '@weekly'"]
    {
        assert!(read(&text(&FULL.replace(schedule, &format!("{fine}\n")))).is_ok(), "{fine}");
    }
}

#[test]
fn what_only_a_schedule_gives_a_meaning_is_a_problem_without_one() {
    let least = |field: &str| LEAST.replace("spec:\n", &format!("spec:\n  {field}\n"));
    let fine = |spec: &str| assert!(read(&text(&least(spec))).is_ok(), "{spec}: {:?}", read(&text(&least(spec))));
    for (field, found) in [
        ("timeZone: Europe/Berlin", "\"Europe/Berlin\""),
        ("startingDeadlineSeconds: 60", "60"),
        ("concurrencyPolicy: Replace", "\"Replace\""),
        ("concurrencyPolicy: Allow", "\"Allow\""),
    ] {
        let (name, _) = field.split_once(':').unwrap();
        let told = complaints(&least(field));
        let expected = format!(
            ": spec.{name}: has no effect without a schedule; leave it out, or give spec.schedule, found {found}"
        );
        assert!(told.len() == 1 && told[0].ends_with(&expected), "{told:?}");
        fine(&format!("{field}\n  schedule: '@daily'"));
    }
    // Defaults are written out wherever a manifest is stored, and a full disk starts runs as well.
    for spec in ["concurrencyPolicy: Forbid", "concurrencyPolicy: Replace\n  pressure: {above: 80%}", "paused: true"] {
        fine(spec);
    }
    for none in ["schedule: null", "schedule: ~"] {
        assert_eq!(complaints(&least(&format!("{none}\n  timeZone: UTC"))).len(), 1, "{none}");
    }
}

#[test]
fn bounds_that_are_met_never_or_always_are_problems() {
    let least = |spec: &str| LEAST.replace("spec:\n", &format!("spec:\n  {spec}\n"));
    let fine = |spec: &str| assert!(read(&text(&least(spec))).is_ok(), "{spec}: {:?}", read(&text(&least(spec))));
    for (spec, words) in [
        ("pressure: {above: 100%}", "spec.pressure.above: must be less than 100%: no filesystem is ever fuller"),
        ("pressure: {above: 100}", "so nothing would ever be removed, found 100"),
        (
            "pressure: {until: 100%}",
            "spec.pressure.until: must be less than 100%: no filesystem is ever fuller, so every run",
        ),
        (
            "pressure: {above: 80%}\n  runtime: {endpoint: none}",
            "spec.pressure.filesystem: must be that of a log root, because spec.runtime.endpoint is none",
        ),
        (
            "pressure: {filesystem: images, until: 80%}\n  runtime: {endpoint: none}",
            "spec.pressure.filesystem: must be that of a log root",
        ),
    ] {
        let told = complaints(&least(spec));
        assert!(told.len() == 1 && told[0].contains(words), "{spec}: {told:?}");
    }
    for spec in [
        "pressure: {above: 99%, until: 0%}",
        "pressure: {filesystem: 'logs:a', above: 80%}\n  runtime: {endpoint: none}\n  logRoots: [{name: a, hostPath: /var/log/a}]",
    ] {
        fine(spec);
    }
}

#[test]
fn each_kind_of_value_is_checked() {
    for (line, other, expected) in [
        ("paused: true", "paused: 'true'", "spec.paused: must be true or false, found \"true\""),
        ("failedJobsHistoryLimit: 0", "failedJobsHistoryLimit: -1", "must be a whole number from 0 on, found -1"),
        ("failedJobsHistoryLimit: 0", "failedJobsHistoryLimit: 1.5", "must be a whole number from 0 on, found 1.5"),
        ("failedJobsHistoryLimit: 0", "failedJobsHistoryLimit: 4294967296", "from 0 on, found 4294967296"),
        (
            "concurrency: 8",
            "concurrency: 2000",
            "spec.pace.concurrency: must be a whole number from 1 to 1024, found 2000",
        ),
        ("pause: 250ms", "pause: 0.25s", "spec.pace.pause: must be a duration such as"),
        ("bytes: 20Gi", "bytes: lots", "spec.guardRails.maxDeletions.bytes: must be a number of bytes such as"),
        ("bytes: 20Gi", "bytes: 1.5", "maxDeletions.bytes: must be a number of bytes such as"),
        ("until: 70", "until: 70.5", "spec.pressure.until: must be a whole number of percent from 0 to 100"),
        ("above: 85%, until: 70", "above: 85%, above: 70", "spec.pressure.above: is given more than once"),
        (
            "filesystem: images",
            "filesystem: logs:ap",
            "spec.pressure.filesystem: must be that of a log root in spec.logRoots, found \"logs:ap\"; did you mean logs:app?",
        ),
        (
            "filesystem: images",
            "filesystem: pods",
            "spec.pressure.filesystem: must be images, or logs: with the name of a log root, found \"pods\"",
        ),
        ("parallelism: 10%", "parallelism: 0", "spec.rollout.parallelism: must be a number of nodes from 1 on"),
        (
            "nodeSelector: {kubernetes.io/os: linux}",
            "nodeSelector: {a.b/c: true}",
            "nodeSelector[\"a.b/c\"]: must be text, found true; did you mean \"true\"?",
        ),
        (
            "nodeSelector: {kubernetes.io/os: linux}",
            "nodeSelector: []",
            "spec.rollout.nodeSelector: must be a map of fields",
        ),
        ("note: \"kept short\"", "note: 5", "metadata.annotations.note: must be text, found 5; did you mean \"5\"?"),
        ("hostPath: /var/log/app", "hostPath: var/log", "spec.logRoots[0].hostPath: must be an absolute path below /"),
        ("hostPath: /var/log/app", "hostPath: /var/../etc", "without . and .. in it, found \"/var/../etc\""),
        ("hostPath: /var/log/app", "hostPath: /", "must be an absolute path below /"),
        (
            "unix:///run/containerd/containerd.sock",
            "tcp://1.2.3.4:5",
            "spec.runtime.endpoint: must be auto, none, or the absolute",
        ),
        ("timeout: 90s", "timeout: 0s", "spec.plugins[0].limits.timeout: must be longer than nothing, found \"0s\""),
        ("memory: 256Mi", "memory: 1Ki", "spec.plugins[0].limits.memory: must be from 1Mi to 4Gi, found \"1Ki\""),
        ("memory: 256Mi", "memory: 5Gi", "must be from 1Mi to 4Gi, found \"5Gi\""),
        ("file: plugins/mine.wasm", "file: ' '", "spec.plugins[1].source.file: must be text that is not empty"),
        ("key: pods.wasm", "key: ../../etc/passwd", "spec.plugins[2].source.configMap.key: must be a key of letters"),
        ("key: pods.wasm", "key: ..", "source.configMap.key: must be a key of letters"),
        ("name: holystone.plugins", "name: a..b", "configMap.name: must be the name of a Kubernetes object"),
        ("name: holystone.plugins, ", "", "spec.plugins[2].source.configMap.name: is missing; it must be the name of"),
        ("localhost/*", "docker.io/*", "spec.guardRails.unprotectImages[0]: must be localhost/* or *pause*, found"),
        (
            "{count: 100, bytes",
            "{counts: 100, bytes",
            "maxDeletions.counts: there is no such field; did you mean count?",
        ),
        (
            "namespace: node-ops",
            "nmaespace: node-ops",
            "metadata.nmaespace: there is no such field; did you mean namespace?",
        ),
        (
            "namespace: node-ops",
            "owner: me",
            "metadata.owner: there is no such field; there are name, namespace, labels",
        ),
        ("type: Always", "type: Sometimes", "spec.rollout.completionPolicy.type: must be Always or Never, found"),
        ("{operator: Exists}", "{}", "spec.rollout.tolerations[0].operator: must be Exists when there is no key"),
        (
            "{operator: Exists}",
            "{key: a, operator: Exists, value: b}",
            "tolerations[0].value: must be left out when operator is",
        ),
        ("effect: NoExecute, ", "", "tolerations[1].tolerationSeconds: must be left out unless effect is NoExecute"),
    ] {
        let problem = one(line, other);
        assert!(problem.contains(expected), "{other}: {problem}");
    }
}

#[test]
fn v4_and_v5_a_run_that_is_never_over_has_no_deadline_and_no_ttl_and_no_schedule() {
    let problems = instead("type: Always", "type: Never");
    assert_eq!(problems.len(), 3);
    for (problem, path) in problems.iter().zip(["type", "activeDeadlineSeconds", "ttlSecondsAfterFinished"]) {
        assert!(problem.contains(&format!("spec.rollout.completionPolicy.{path}: must ")), "{problem}");
    }
}

#[test]
fn pressure_that_says_nothing_is_a_problem() {
    let problem = one("pressure: {filesystem: images, above: 85%, until: 70}", "pressure: {}");
    assert_eq!(problem, "spec.pressure: must have above, until or both; without them it says nothing");
}

#[test]
fn bombs_are_defused() {
    let deep = format!("{LEAST}status: {}", "[".repeat(100_000));
    assert!(complaints(&deep)[0].contains("this is not YAML or JSON"));
    let deep_json = format!("{{\"kind\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(complaints(&deep_json)[0].contains("this is not YAML or JSON"));
    let doubling = |level: usize| format!("a{level}: &a{level} [*a{0}, *a{0}, *a{0}, *a{0}]\n", level - 1);
    let laughs = format!("a0: &a0 [1, 2, 3]\n{}", (1..30).map(doubling).collect::<String>());
    assert!(complaints(&laughs)[0].contains("this is not YAML or JSON"));
    let long = "x".repeat(super::super::MAX_LENGTH + 1);
    assert_eq!(complaints(&long), ["cleanup.yaml: the text is longer than 4194304 bytes"]);
}

#[test]
fn no_problem_carries_control_characters() {
    let manifest = FULL.replace("minchou\n", "\"\\e[2J\\nforged\"\n").replace("mode: Enforce", "\"mo\\nde\\e[2J\": 1");
    for problem in complaints(&manifest) {
        assert!(!problem.chars().any(char::is_control), "{problem:?}");
    }
}

#[test]
fn objects_of_a_cluster_are_checked_the_same_way() {
    let value = serde_json::json!({
        "apiVersion": "holystone.dev/v1alpha1",
        "kind": "NodeCleanup",
        "metadata": { "name": "x" },
        "spec": { "schedule": "nonsense", "plugins": [] },
    });
    let problems = from_value(&value).unwrap_err();
    let told: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(
        told,
        [
            "spec.plugins: must have at least 1 entry, found 0",
            "spec.schedule: \"nonsense\" is not a schedule: it has 1 fields and needs five: minute, hour, day of month, \
             month, day of week"
        ]
    );
}
