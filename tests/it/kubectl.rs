//! `kubectl holystone`, in conversation with an API server in memory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

use holystone_tests::fake_api::{FakeApi, broadcast_job, node_cleanup, owner_references, pod};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A cluster, and a machine on which the plugin is installed as its documentation says.
struct User {
    api: FakeApi,
    directory: TempDir,
    plugin: PathBuf,
}

impl User {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let plugin = directory.path().join("kubectl-holystone");
        symlink(env!("CARGO_BIN_EXE_holystone"), &plugin).unwrap();
        let api = FakeApi::new(true);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(api.clone().serve(listener));
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [
                { "name": "one", "cluster": { "server": server } },
                // Port 1 answers nobody.
                { "name": "none", "cluster": { "server": "http://127.0.0.1:1" } },
            ],
            "users": [{ "name": "user", "user": {} }],
            "contexts": [
                { "name": "here", "context": { "cluster": "one", "user": "user", "namespace": "ops" } },
                { "name": "elsewhere", "context": { "cluster": "one", "user": "user", "namespace": "empty" } },
                { "name": "nowhere", "context": { "cluster": "none", "user": "user" } },
            ],
        });
        fs::write(directory.path().join("kubeconfig"), config.to_string()).unwrap();
        Self { api, directory, plugin }
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.plugin);
        command.args(words.split_whitespace()).env("KUBECONFIG", self.directory.path().join("kubeconfig"));
        command.env("NO_PROXY", "*");
        command
    }

    /// Runs the plugin while the API server answers.
    async fn run(&self, words: &str) -> (i32, String, String) {
        let mut command = self.command(words);
        let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    async fn expect(&self, words: &str, code: i32) -> String {
        let (found, out, error) = self.run(words).await;
        assert_eq!(found, code, "{words}: {out}{error}");
        if code == 0 { out } else { error }
    }

    fn cleanup(&self, name: &str) -> Value {
        self.api.get("nodecleanups", name).unwrap()
    }

    /// A NodeCleanup that has run on two nodes of three.
    fn with_a_run(&self) -> Value {
        self.api.put("nodecleanups", node_cleanup("a", &json!({})));
        let mut cron_job = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "AdvancedCronJob",
            "metadata": { "name": "a", "namespace": "ops", "ownerReferences": owner_references(&self.cleanup("a")) },
        });
        self.api.put("advancedcronjobs", cron_job.clone());
        cron_job = self.api.get("advancedcronjobs", "a").unwrap();
        let job = broadcast_job(&cron_job, "a-1", "running", 3);
        self.api.put("broadcastjobs", job.clone());
        let created = "2026-11-02T00:00:00Z";
        let report = |result: &str, removed: u64, errors: Value| {
            json!({
                "result": result, "errors": errors,
                "images": { "planned": removed, "removed": removed, "alreadyGone": 0, "refused": 2, "noLongerAllowed": 0,
                    "notNeeded": 0, "failed": 0, "sizeRemovedBytes": 1 << 20 },
            })
            .to_string()
        };
        let errors = json!([{ "message": "the disk is on fire", "count": 2 }, { "message": "b", "count": 1 }]);
        // The order of the pods is not that of the nodes.
        self.api.put("pods", pod(&job, "n2", created, Some(&report("SomeFailed", 5, errors))));
        self.api.put("pods", pod(&job, "n1", created, Some(&report("Done", 7, json!([])))));
        self.api.put("pods", pod(&job, "n3", created, None));
        // Another's pod with the same label.
        let mut stranger = pod(&job, "n4", created, Some(&report("Done", 1_000, json!([]))));
        stranger["metadata"]["ownerReferences"][0]["uid"] = "another".into();
        self.api.put("pods", stranger);
        self.api.edit("nodecleanups", "a", |object| {
            object["status"] = json!({
                "conditions": [
                    { "type": "Ready", "status": "True", "reason": "Applied", "message": "all is as the spec says",
                      "lastTransitionTime": created },
                    { "type": "PluginsResolved", "status": "False", "reason": "NoRunYet", "message": "\u{1b}[2Jno",
                      "lastTransitionTime": created },
                ],
                "nextScheduleTime": "2026-11-03T00:00:00Z",
                "lastRun": { "name": "a-1", "phase": "Running", "startedAt": created, "removed": 12, "refused": 4,
                    "nodes": { "summary": "2/3", "desired": 3 }, "sizeRemovedBytes": 2 << 20,
                    "planned": 15, "sizePlannedBytes": 3 << 20,
                    "plannedRepositories": [{ "name": "docker.io/a/b", "count": 9, "sizeBytes": 1 << 20 }],
                    "refusals": [{ "code": "InUse", "count": 4 }],
                    "errors": [{ "message": "the disk is on fire", "count": 1, "nodes": ["n2"] }] },
                "plugins": [{ "name": "p", "digest": "sha256:12" }, { "name": "q" }],
            });
        });
        job
    }
}

/// Lines without the blanks that columns are filled with.
fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_all_or_one() {
    let user = User::new().await;
    user.with_a_run();
    let mut once = node_cleanup("b", &json!({ "paused": true, "mode": "DryRun" }));
    once["spec"].as_object_mut().unwrap().remove("schedule");
    user.api.put("nodecleanups", once);
    let mut other = node_cleanup("c", &json!({}));
    other["metadata"]["namespace"] = "other".into();
    user.api.put("nodecleanups", other);

    assert_eq!(
        lines(&user.expect("status", 0).await),
        [
            "NAME MODE SCHEDULE READY PHASE NODES PLANNED REMOVED LAST RUN NEXT RUN",
            "a Enforce @daily Applied Running 2/3 15 12 2026-11-02T00:00:00Z 2026-11-03T00:00:00Z",
            "b DryRun once (paused)",
        ]
    );
    assert_eq!(
        lines(&user.expect("status -A", 0).await)[1..],
        [
            "ops a Enforce @daily Applied Running 2/3 15 12 2026-11-02T00:00:00Z 2026-11-03T00:00:00Z",
            "ops b DryRun once (paused)",
            "other c Enforce @daily",
        ]
    );
    assert_eq!(lines(&user.expect("status --namespace other", 0).await)[1..], ["c Enforce @daily"]);
    assert_eq!(
        lines(&user.expect("status a", 0).await),
        [
            "ops/a: Enforce, @daily, AdvancedCronJob",
            "Ready: Applied: all is as the spec says",
            "not PluginsResolved: NoRunYet: \\u{1b}[2Jno",
            "Next run: 2026-11-03T00:00:00Z",
            "Last run: a-1, Running, 2/3 nodes, started 2026-11-02T00:00:00Z",
            "12 removed (2.0 MiB), 4 refused, 0 failed",
            "15 planned (3.0 MiB)",
            "9 of docker.io/a/b (1.0 MiB)",
            "4 refused: InUse",
            "on 1 node (n2): the disk is on fire",
            "Plugin p: sha256:12",
            "Plugin q: not loaded",
        ]
    );
    let shown: Value = serde_json::from_str(&user.expect("status a -o json", 0).await).unwrap();
    assert_eq!(shown["status"]["lastRun"]["removed"], 12);
    assert_eq!((&shown["engine"], &shown["paused"]), (&json!("AdvancedCronJob"), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_has_a_row_for_each_node_that_the_run_has_a_pod_on() {
    let user = User::new().await;
    let job = user.with_a_run();
    let expected = [
        "Run a-1",
        "NODE RESULT PLANNED REMOVED REFUSED FAILED SIZE ERROR",
        "n1 Succeeded 7 2 0 1.0 MiB",
        "n2 Failed 5 2 0 1.0 MiB the disk is on fire (and 1 more)",
        "n3 Active 0 0 0 0 B",
    ];
    assert_eq!(lines(&user.expect("report a", 0).await), expected);
    assert_eq!(lines(&user.expect("report a --node n2", 0).await), [expected[0], expected[1], expected[3]]);
    let shown: Value = serde_json::from_str(&user.expect("report a --node n2 --output json", 0).await).unwrap();
    assert_eq!(shown["run"], "a-1");
    assert_eq!(shown["nodes"][0]["errors"], json!(["the disk is on fire", "b"]));
    assert_eq!(shown["nodes"][0]["removed"], 5);

    let told = user.expect("report a --node n4", 2).await;
    assert!(
        told.contains("the run a-1 of ops/a has no pod on the node n4; without --node, all nodes are shown"),
        "{told}"
    );
    for name in ["a-1-n1", "a-1-n2", "a-1-n3", "a-1-n4"] {
        user.api.delete("pods", name);
    }
    let told = user.expect("report a", 2).await;
    assert!(
        told.contains("no pod of the run a-1 of ops/a is left; its sums are in kubectl holystone status -n ops a"),
        "{told}"
    );
    user.api.edit("nodecleanups", "a", |object| object["status"] = Value::Null);
    drop(job);
    let told = user.expect("report a", 2).await;
    assert!(told.contains("ops/a has not run yet; see kubectl holystone status -n ops a"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_started_paused_and_resumed() {
    let user = User::new().await;
    user.api.put("nodecleanups", node_cleanup("a", &json!({})));
    let asked = |object: &Value| object["metadata"]["annotations"]["holystone.dev/run-now"].as_str().map(str::to_owned);
    let out = user.expect("run-now a", 0).await;
    assert_eq!(out, "ops/a: run requested; follow it with kubectl holystone status -n ops a\n");
    let first = asked(&user.cleanup("a")).unwrap();
    user.expect("run-now a", 0).await;
    assert_ne!(asked(&user.cleanup("a")).unwrap(), first, "another value is another run");

    assert_eq!(user.expect("resume a", 0).await, "ops/a is not paused\n");
    assert_eq!(user.expect("pause a", 0).await, "ops/a paused\n");
    assert_eq!(user.cleanup("a")["spec"]["paused"], true);
    assert_eq!(user.cleanup("a")["spec"]["schedule"], "@daily", "nothing else has changed");
    assert_eq!(user.expect("pause a", 0).await, "ops/a is paused already\n");
    let before = asked(&user.cleanup("a"));
    let told = user.expect("run-now a", 2).await;
    assert!(
        told.contains("ops/a is paused, and would ignore it; resume it first: kubectl holystone resume -n ops a"),
        "{told}"
    );
    assert_eq!(asked(&user.cleanup("a")), before);
    assert_eq!(user.expect("resume a", 0).await, "ops/a resumed\n");
    assert_eq!(user.cleanup("a")["spec"]["paused"], false);

    user.api.put("nodecleanups", node_cleanup("d", &json!({ "rollout": { "engine": "DaemonSet" } })));
    let told = user.expect("run-now d", 2).await;
    assert!(told.contains("ops/d runs as a DaemonSet, whose daemons keep the schedule themselves"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named() {
    let user = User::new().await;
    let there = user.directory.path().join("kubeconfig");
    let missing = user.directory.path().join("missing");
    for (words, code, message) in [
        ("status x", 2, "NodeCleanup ops/x: "),
        ("pause x", 2, "NodeCleanup ops/x: "),
        ("report x", 2, "NodeCleanup ops/x: "),
        ("status --context other", 2, "other"),
        ("status --context nowhere", 2, "NodeCleanups: the API server does not answer: "),
        (&format!("status --kubeconfig {}", missing.display()), 2, "missing cannot be used: "),
        ("status -A -n x", 64, "--all-namespaces"),
        ("status ../../pods/a", 64, "'[NAME]': give the name of an object: lower-case letters, digits, - and ."),
        ("run-now a?dryRun=All", 64, "'<NAME>': give the name of an object: lower-case letters, digits, - and ."),
        ("pause A", 64, "'<NAME>': give the name of an object: lower-case letters, digits, - and ."),
        ("resume a -n ../b", 64, "'--namespace <NAMESPACE>': give the name of a namespace: lower-case letters, digits"),
        ("reports a", 64, "'report'"),
        ("", 64, "Usage: kubectl holystone"),
    ] {
        let told = user.expect(words, code).await;
        assert!(told.contains(message), "{words}: {told}");
    }
    let (code, out, told) = user.run("status --context elsewhere").await;
    assert_eq!((code, out.as_str(), told.as_str()), (0, "", "No NodeCleanups in namespace empty.\n"));
    user.expect(&format!("status --kubeconfig {}", there.display()), 0).await;
    let help = user.expect("--help", 0).await;
    assert!(help.contains("Usage: kubectl holystone [OPTIONS] <COMMAND>"), "{help}");
}
