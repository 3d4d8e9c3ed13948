//! The operator in conversation with an API server, for each transition.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holystone_core::cluster::{Allowed, manifest_of};
use holystone_core::daemon::{RunResult, RunSummary};
use holystone_core::report::{Brief, Totals};
use holystone_operator::{Ask, Client, Lease, Operator, Settings, SpecCheck};
use holystone_tests::fake_api::{FakeApi, broadcast_job, event, node_cleanup, pod};
use hyper::Request;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// An operator that goes on until it is dropped.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn nobody() -> Ask {
    Arc::new(|_| Box::pin(async { Err("nobody is there".to_owned()) }))
}

fn unchecked() -> SpecCheck {
    Arc::new(|_| Box::pin(async { Vec::new() }))
}

/// Finds a problem with every NodeCleanup whose builtin is called `unused-image`.
fn checked() -> SpecCheck {
    Arc::new(|object| {
        Box::pin(async move {
            let wrong = object["spec"]["plugins"][0]["source"]["builtin"] == "unused-image";
            let draft = holystone_core::manifest::draft_of(&object);
            let problem = draft.problem("spec.plugins[0].source.builtin", "there is no builtin of this name");
            if wrong { vec![problem] } else { Vec::new() }
        })
    })
}

fn client(api: &FakeApi) -> Client {
    let api = api.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(api.answer(request).await) }
    });
    Client::new(service, "default")
}

fn start(api: &FakeApi) -> Running {
    start_with(api, unchecked())
}

fn start_with(api: &FakeApi, check: SpecCheck) -> Running {
    start_as(api, check, "ops/holystone-operator")
}

fn start_as(api: &FakeApi, check: SpecCheck, installation: &str) -> Running {
    let (image, identity, installation) = ("image:1".to_owned(), "test".to_owned(), installation.to_owned());
    let allowed = Allowed::default();
    let settings = Settings { namespace: None, image, allowed, identity, installation, ask: nobody(), check };
    let operator = Operator::new(client(api), settings);
    Running(tokio::spawn(async move { operator.run().await }))
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ready(api: &FakeApi, name: &str) -> String {
    let object = api.get("nodecleanups", name).unwrap_or_default();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default();
    ready["reason"].as_str().unwrap_or_default().to_owned()
}

/// A cluster with one NodeCleanup, `a`, of which everything has been applied.
async fn applied(has_kruise: bool, spec: Value) -> (FakeApi, Running) {
    let api = FakeApi::new(has_kruise);
    api.put("nodecleanups", node_cleanup("a", &spec));
    let operator = start(&api);
    until("ready", || ready(&api, "a") == "Applied").await;
    (api, operator)
}

/// Nothing is written while nothing changes.
async fn is_quiet(api: &FakeApi) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    api.take_writes();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(api.take_writes(), Vec::<String>::new(), "a second look at the same writes nothing");
}

fn message(removed: usize) -> String {
    let totals = Some(Totals { removed, ..Totals::default() });
    Brief::of_record(RunSummary { result: RunResult::Done, message: None, images: totals, logs: None }).to_message()
}

/// Starts another operator, which finds everything done.
async fn start_again(api: &FakeApi) -> Running {
    api.take_writes();
    let operator = start(api);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(api.take_writes(), Vec::<String>::new(), "an operator that starts anew writes nothing");
    operator
}

#[tokio::test]
async fn it_makes_what_is_missing_says_so_and_is_quiet() {
    let (api, _operator) = applied(true, json!({})).await;
    until("told", || api.get("events", "x").is_none() && api.get("advancedcronjobs", "a").is_some()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let writes = api.take_writes();
    assert_eq!(
        writes[..4],
        ["PATCH nodecleanups/status/a", "POST configmaps/", "POST advancedcronjobs/", "PATCH nodecleanups/status/a"],
        "it claims before it acts"
    );
    assert_eq!(writes[4..], ["POST events/"]);
    is_quiet(&api).await;
    let _second = start_again(&api).await;
}

#[tokio::test]
async fn what_is_wrong_with_plugins_is_an_invalid_spec_until_it_is_mended() {
    let api = FakeApi::new(true);
    let mut wrong = node_cleanup("a", &json!({}));
    let right = wrong["spec"]["plugins"][0]["source"].clone();
    wrong["spec"]["plugins"][0]["source"] = json!({ "builtin": "unused-image" });
    api.put("nodecleanups", wrong);
    let _operator = start_with(&api, checked());
    until("told", || ready(&api, "a") == "InvalidSpec").await;
    let status = api.get("nodecleanups", "a").unwrap()["status"].to_string();
    assert!(status.contains("spec.plugins[0].source.builtin: there is no builtin of this name"), "{status}");
    assert_eq!(api.list("configmaps"), [] as [Value; 0], "nothing is started");
    api.edit("nodecleanups", "a", |object| {
        object["spec"]["plugins"][0]["source"] = right.clone();
        object["metadata"]["generation"] = 2.into();
    });
    until("mended", || ready(&api, "a") == "Applied").await;
}

#[tokio::test]
async fn what_the_operator_does_not_allow_is_an_invalid_spec_and_pauses_what_there_is() {
    let (api, _operator) = applied(true, json!({})).await;
    api.edit("nodecleanups", "a", |object| {
        object["spec"]["logRoots"] = json!([{ "name": "etc", "hostPath": "/etc" }]);
        object["metadata"]["generation"] = 2.into();
    });
    until("refused", || ready(&api, "a") == "InvalidSpec").await;
    let status = api.get("nodecleanups", "a").unwrap()["status"].to_string();
    let message = "spec.logRoots[0].hostPath: is not among the log roots that the operator allows (/var/log); its \
                   administrator can add /etc to its option --allow-log-roots (in the chart allowed.logRoots)";
    assert!(status.contains(message), "{status}");
    until("paused", || api.get("advancedcronjobs", "a").unwrap()["spec"]["paused"] == true).await;
    assert!(!api.get("advancedcronjobs", "a").unwrap().to_string().contains("\"/etc\""));
    api.edit("nodecleanups", "a", |object| {
        object["spec"]["logRoots"][0]["hostPath"] = "/var/log/etc".into();
        object["metadata"]["generation"] = 3.into();
    });
    until("mended", || ready(&api, "a") == "Applied").await;
}

#[tokio::test]
async fn drift_edits_and_deletion_are_followed() {
    let (api, _operator) = applied(true, json!({})).await;
    api.edit("advancedcronjobs", "a", |object| object["spec"]["schedule"] = "* * * * *".into());
    until("put right", || api.get("advancedcronjobs", "a").unwrap()["spec"]["schedule"] == "@daily").await;
    let name = config_map(&api);
    api.delete("configmaps", &name);
    until("made again", || api.get("configmaps", &name).is_some()).await;
    api.edit("nodecleanups", "a", |object| {
        object["spec"]["rollout"] = json!({ "nodeSelector": { "x": "y" } });
        object["metadata"]["generation"] = 2.into();
    });
    let has_selector = |object: &Value| object.to_string().contains("\"x\":\"y\"");
    until("made anew", || api.get("advancedcronjobs", "a").is_some_and(|object| has_selector(&object))).await;
    assert!(api.take_writes().contains(&"DELETE advancedcronjobs/a".to_owned()));
    until("ready", || ready(&api, "a") == "Applied").await;
    is_quiet(&api).await;
    assert_eq!(config_map(&api), name, "where pods run is nothing that they read");
    api.delete("nodecleanups", "a");
    is_quiet(&api).await;
}

/// The name of the one ConfigMap that there is.
fn config_map(api: &FakeApi) -> String {
    let maps = api.list("configmaps");
    assert_eq!(maps.len(), 1, "{maps:?}");
    maps[0]["metadata"]["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_run_that_goes_on_keeps_its_manifest_and_the_next_has_another() {
    let (api, _operator) = applied(true, json!({})).await;
    let first = api.list("configmaps").remove(0);
    let template = |object: Value| object["spec"]["template"]["broadcastJobTemplate"]["spec"]["template"].clone();
    let cron_job = api.get("advancedcronjobs", "a").unwrap();
    let mut job = broadcast_job(&cron_job, "a-1", "running", 2);
    job["spec"]["template"] = template(cron_job.clone());
    api.put("broadcastjobs", job.clone());
    api.edit("nodecleanups", "a", |object| {
        object["spec"]["mode"] = "DryRun".into();
        object["metadata"]["generation"] = 2.into();
    });
    until("waiting", || ready(&api, "a") == "WaitingForRun").await;
    is_quiet(&api).await;
    let name = first["metadata"]["name"].as_str().unwrap();
    assert_eq!(api.get("configmaps", name), Some(first.clone()), "what its pods read is as it was");
    assert_eq!(api.get("advancedcronjobs", "a").unwrap()["spec"]["paused"], true);
    job["status"] = broadcast_job(&cron_job, "a-1", "completed", 2)["status"].clone();
    api.put("broadcastjobs", job);
    until("made again", || {
        let cron_job = api.get("advancedcronjobs", "a");
        cron_job.is_some_and(|object| manifest_of(&template(object)) != Some(name))
    })
    .await;
    // Its runs went with the AdvancedCronJob that was replaced.
    until("pruned", || api.get("configmaps", name).is_none()).await;
    let read = config_map(&api);
    assert_eq!(manifest_of(&template(api.get("advancedcronjobs", "a").unwrap())), Some(read.as_str()));
    is_quiet(&api).await;
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_neither_overwritten_nor_deleted() {
    let (api, operator) = applied(true, json!({})).await;
    let theirs = |kind: &str, name: &str| json!({ "kind": kind, "metadata": { "name": name, "namespace": "ops" }, "data": { "of": "theirs" } });
    let config_map = config_map(&api);
    drop(operator);
    for plural in ["configmaps", "advancedcronjobs", "nodecleanups"] {
        for object in api.list(plural) {
            api.delete(plural, object["metadata"]["name"].as_str().unwrap());
        }
    }
    for (plural, kind, name) in [
        ("configmaps", "ConfigMap", config_map.as_str()),
        ("advancedcronjobs", "AdvancedCronJob", "a"),
        ("daemonsets", "DaemonSet", "holystone-a"),
    ] {
        api.put(plural, theirs(kind, name));
        api.put(
            "nodecleanups",
            node_cleanup(
                "a",
                &json!({ "rollout": { "engine": if kind == "DaemonSet" { kind } else { "BroadcastJob" } } }),
            ),
        );
        let before = api.get(plural, name).unwrap();
        let operator = start(&api);
        until(kind, || ready(&api, "a") == "NameTaken").await;
        let status = api.get("nodecleanups", "a").unwrap()["status"].to_string();
        assert!(
            status.contains(&format!("there is the {kind} {name} already, which belongs to another owner")),
            "{status}"
        );
        is_quiet_but_for(&api, "POST configmaps/").await;
        let told = api.list("events").iter().filter(|event| event["reason"] == "NameTaken").count();
        assert_eq!(told, 1, "{kind}: it is told once");
        api.delete("nodecleanups", "a");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(api.get(plural, name), Some(before), "{kind}: it is as it was");
        drop(operator);
        for plural in ["configmaps", "advancedcronjobs", "daemonsets", "events"] {
            for object in api.list(plural) {
                api.delete(plural, object["metadata"]["name"].as_str().unwrap());
            }
        }
    }
}

/// Nothing is written but this, which is tried again later and later.
async fn is_quiet_but_for(api: &FakeApi, write: &str) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    api.take_writes();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let writes = api.take_writes();
    assert!(writes.len() <= 3 && writes.iter().all(|line| line == write), "{writes:?}");
}

#[tokio::test]
async fn a_run_whose_name_is_taken_starts_when_it_is_free() {
    let (api, _operator) = applied(true, json!({})).await;
    api.edit("nodecleanups", "a", |object| {
        object["metadata"]["annotations"] = json!({ "holystone.dev/run-now": "one" });
    });
    let is_by_hand = |job: &Value| job["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("a-r"));
    until("started", || api.list("broadcastjobs").iter().any(is_by_hand)).await;
    let name = api.list("broadcastjobs").remove(0)["metadata"]["name"].as_str().unwrap().to_owned();
    api.delete("broadcastjobs", &name);
    // The same value once more, when the name belongs to another owner.
    api.put(
        "broadcastjobs",
        json!({ "kind": "BroadcastJob", "metadata": { "name": name, "namespace": "ops" }, "spec": {} }),
    );
    api.edit("nodecleanups", "a", |object| object["status"]["runNow"] = "zero".into());
    until("taken", || ready(&api, "a") == "NameTaken").await;
    assert_eq!(api.get("nodecleanups", "a").unwrap()["status"]["runNow"], "zero", "it is not taken for started");
    api.delete("broadcastjobs", &name);
    until("started", || api.get("nodecleanups", "a").unwrap()["status"]["runNow"] == "one").await;
    assert_eq!(api.get("broadcastjobs", &name).unwrap()["metadata"]["ownerReferences"][0]["kind"], "NodeCleanup");
    until("ready", || ready(&api, "a") == "Applied").await;
}

#[tokio::test]
async fn runs_become_a_status_and_an_event() {
    let (api, _operator) = applied(true, json!({})).await;
    let job = |phase| broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-1", phase, 2);
    api.put("broadcastjobs", job("running"));
    let pod = |node, message: Option<&str>| pod(&job("running"), node, "2026-11-02T00:00:00Z", message);
    api.put("pods", pod("n1", Some(&message(3))));
    api.put("pods", pod("n2", None));
    let run = || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone();
    until("one is done", || run()["nodes"]["succeeded"] == 1).await;
    assert_eq!(run()["phase"], "Running");
    api.put("pods", pod("n2", Some(&message(4))));
    api.put("broadcastjobs", job("completed"));
    until("all are done", || run()["phase"] == "Complete" && run()["removed"] == 7).await;
    assert_eq!(run()["nodes"]["summary"], "2/2");
    api.delete("pods", "a-1-n1");
    is_quiet(&api).await;
    assert_eq!(run()["removed"], 7, "what was said stays said");
}

#[tokio::test]
async fn progress_is_written_now_and_then_and_the_end_of_a_run_at_once() {
    const NODES: usize = 50;
    let (api, _operator) = applied(true, json!({})).await;
    let cron_job = api.get("advancedcronjobs", "a").unwrap();
    let job = |phase: &str, succeeded: usize| {
        let mut job = broadcast_job(&cron_job, "a-1", phase, NODES);
        job["status"]["succeeded"] = succeeded.into();
        job
    };
    let end = |at: usize| {
        api.put("pods", pod(&job("running", 0), &format!("n{at}"), "2026-11-02T00:00:00Z", Some(&message(1))));
    };
    let run = || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone();
    api.put("broadcastjobs", job("running", 0));
    until("it runs", || run()["phase"] == "Running").await;
    api.take_writes();
    for at in 1..NODES {
        end(at);
        api.put("broadcastjobs", job("running", at));
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert_eq!(api.take_writes(), [] as [&str; 0], "two seconds of progress are not worth a write");
    api.put("broadcastjobs", job("completed", NODES));
    let ended = Instant::now();
    until("it has ended", || run()["phase"] == "Complete").await;
    assert!(ended.elapsed() < Duration::from_secs(5), "{:?}", ended.elapsed());
    // The last report arrives later than the end of the job.
    end(NODES);
    let reported = Instant::now();
    until("all have reported", || run()["removed"] == NODES).await;
    assert!(reported.elapsed() < Duration::from_secs(5), "{:?}", reported.elapsed());
    let writes = api.take_writes();
    let of_status = writes.iter().filter(|write| *write == "PATCH nodecleanups/status/a").count();
    assert_eq!(of_status, 2, "{writes:?}");
}

#[tokio::test]
async fn each_run_has_an_event_of_its_own() {
    let (api, _operator) = applied(true, json!({})).await;
    for (name, removed) in [("a-1", 3), ("a-2", 4)] {
        let mut job = broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), name, "completed", 1);
        job["status"]["startTime"] = format!("2026-11-02T00:0{removed}:00Z").into();
        api.put("pods", pod(&job, "n1", "2026-11-02T00:00:00Z", Some(&message(removed))));
        api.put("broadcastjobs", job);
        let note = format!("{name}: 1/1 nodes done, {removed} removed, 0 refused, 0 failed");
        until("told", || told(&api, "RunCompleted").contains(&note)).await;
    }
    let events: Vec<Value> = api.list("events").into_iter().filter(|event| event["reason"] == "RunCompleted").collect();
    let mut related: Vec<&Value> = events.iter().map(|event| &event["related"]["name"]).collect();
    related.sort_by_key(ToString::to_string);
    assert_eq!(related, ["a-1", "a-2"]);
}

#[tokio::test]
async fn events_of_one_reason_keep_their_own_words() {
    let (api, _operator) = applied(true, json!({})).await;
    let edit = |zone: &str| {
        let mut object = api.get("nodecleanups", "a").unwrap();
        object["spec"]["timeZone"] = zone.into();
        object["metadata"]["generation"] = (object["metadata"]["generation"].as_i64().unwrap_or(1) + 1).into();
        api.put("nodecleanups", object);
    };
    for zone in ["Europe/Nix", "Mars/Base"] {
        edit(zone);
        until(zone, || told(&api, "InvalidSpec").iter().any(|note| note.contains(zone))).await;
        edit("UTC");
        until("mended", || ready(&api, "a") == "Applied").await;
    }
    let notes = told(&api, "InvalidSpec");
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[tokio::test]
async fn the_reason_of_a_pod_that_never_started_outlives_the_words_of_the_kubelet() {
    let (api, _operator) = applied(true, json!({})).await;
    let job = |phase| broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-1", phase, 1);
    api.put("broadcastjobs", job("running"));
    let with = |status: Value| {
        let mut pod = pod(&job("running"), "n1", CREATED, None);
        pod["status"] = status;
        pod
    };
    let waiting = json!({ "waiting": { "reason": "CreateContainerError", "message": "no such socket" } });
    api.put(
        "pods",
        with(json!({ "phase": "Pending", "containerStatuses": [{ "name": "holystone", "state": waiting }] })),
    );
    let run = || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone();
    until("it is held", || run()["errors"][0]["message"].as_str().is_some_and(|text| text.contains("no such socket")))
        .await;
    let why = run()["errors"][0]["message"].clone();
    let lost = json!({ "terminated": { "reason": "ContainerStatusUnknown", "exitCode": 137, "startedAt": null,
        "message": "The container could not be located when the pod was terminated" } });
    for _ in 0..2 {
        let mut ended =
            with(json!({ "phase": "Failed", "containerStatuses": [{ "name": "holystone", "state": lost }] }));
        ended["metadata"]["deletionTimestamp"] = CREATED.into();
        api.put("pods", ended);
        api.put("broadcastjobs", job("failed"));
        until("it is over", || run()["phase"] == "Failed").await;
        is_quiet(&api).await;
        assert_eq!(run()["errors"], json!([{ "message": why, "count": 1, "nodes": ["n1"] }]));
    }
}

#[tokio::test]
async fn pods_are_believed_by_the_uid_of_their_owner() {
    let (api, _operator) = applied(true, json!({})).await;
    let job = broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-1", "running", 3);
    let (created, run) =
        ("2026-11-02T00:00:00Z", || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone());
    // Whoever may create pods can label them, and name owners that are not theirs.
    let mut stranger = pod(&job, "n1", created, Some(&message(1_000)));
    stranger["metadata"]["ownerReferences"][0]["uid"] = "another".into();
    let mut labelled = pod(&job, "n2", created, Some(&message(2_000)));
    labelled["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    let mut other_name = pod(&job, "n3", created, Some(&message(4_000)));
    other_name["metadata"]["ownerReferences"][0]["name"] = "a-2".into();
    for (name, forged) in [("forged-1", stranger), ("forged-2", labelled), ("forged-3", other_name)] {
        let mut forged = forged;
        forged["metadata"]["name"] = name.into();
        api.put("pods", forged);
    }
    // A job that names the AdvancedCronJob, and another uid.
    let mut foreign = broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-9", "running", 1);
    foreign["metadata"]["ownerReferences"][0]["uid"] = "another".into();
    foreign["status"]["startTime"] = "2026-11-03T00:00:00Z".into();
    api.put("broadcastjobs", foreign.clone());
    api.put("pods", pod(&foreign, "n1", created, Some(&message(8_000))));
    // Pods may be seen before their job.
    api.put("pods", pod(&job, "n1", created, Some(&message(3))));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(run(), Value::Null, "of no job that is known");
    api.put("broadcastjobs", job.clone());
    until("believed", || run()["removed"] == 3).await;
    assert_eq!((&run()["name"], &run()["nodes"]["summary"]), (&json!("a-1"), &json!("1/3")));
    // Of several pods on one node, the latest counts.
    let mut again = pod(&job, "n1", "2026-11-02T00:01:00Z", Some(&message(5)));
    again["metadata"]["name"] = "a-0-again".into();
    api.put("pods", again);
    until("counted once", || run()["removed"] == 5).await;
    assert_eq!(run()["nodes"]["succeeded"], 1);
}

#[tokio::test]
async fn what_is_known_of_a_node_cleanup_that_is_gone_is_forgotten() {
    let (api, _operator) = applied(true, json!({})).await;
    let job = broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-1", "running", 1);
    api.put("broadcastjobs", job.clone());
    api.put("pods", pod(&job, "n1", "2026-11-02T00:00:00Z", Some(&message(3))));
    let run = || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone();
    until("folded", || run()["removed"] == 3).await;
    api.delete("nodecleanups", "a");
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Its pods change once more while they go; then one of the same name is made.
    api.put("pods", pod(&job, "n1", "2026-11-02T00:00:00Z", Some(&message(3))));
    api.put("nodecleanups", node_cleanup("a", &json!({})));
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(run(), Value::Null, "it has not run");
}

#[tokio::test]
async fn a_message_of_megabytes_is_told_in_a_line() {
    let (api, _operator) = applied(true, json!({})).await;
    let job = broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-1", "running", 3);
    api.put("broadcastjobs", job.clone());
    let created = "2026-11-02T00:00:00Z";
    api.put("pods", pod(&job, "n1", created, Some(&"x".repeat(8 << 20))));
    let report =
        |text: &str| format!("{{\"result\":\"SomeFailed\",\"errors\":[{{\"message\":\"{text}\",\"count\":1}}]}}");
    api.put("pods", pod(&job, "n2", created, Some(&report(&"y".repeat(8 << 20)))));
    let mut evicted = pod(&job, "n3", created, None);
    evicted["status"] = json!({ "phase": "Failed", "reason": "Evicted", "message": "z".repeat(8 << 20) });
    api.put("pods", evicted);
    let status = || api.get("nodecleanups", "a").unwrap()["status"].clone();
    until("told", || status()["lastRun"]["nodes"]["skipped"] == 3).await;
    let errors = &status()["lastRun"]["errors"];
    let expected = [
        ("n1", format!("the pod ended with {}…", "x".repeat(200))),
        ("n2", format!("the pod ended with {}…", report(&"y".repeat(8 << 20)).get(..200).unwrap())),
        ("n3", format!("the pod was ended: Evicted: {}…", "z".repeat(200))),
    ];
    for (node, message) in expected {
        let told = errors.as_array().unwrap().iter().find(|error| error["nodes"] == json!([node]));
        assert_eq!(told.unwrap()["message"], message);
    }
    assert!(status().to_string().len() < 4 << 10, "{} bytes", status().to_string().len());
}

/// The message of the condition Ready.
fn why(api: &FakeApi, name: &str) -> String {
    let object = api.get("nodecleanups", name).unwrap_or_default();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready").cloned().unwrap_or_default();
    ready["message"].as_str().unwrap_or_default().to_owned()
}

/// The notes of the events that the operator wrote for a reason.
fn told(api: &FakeApi, reason: &str) -> Vec<String> {
    let events = api.list("events").into_iter().filter(|event| event["reason"] == reason);
    events.map(|event| event["note"].as_str().unwrap_or_default().to_owned()).collect()
}

const CREATED: &str = "2026-11-02T00:00:00Z";

#[tokio::test]
async fn pods_that_do_not_start_say_why_and_it_stays_known_when_they_are_gone() {
    let (api, _operator) = applied(true, json!({})).await;
    let job = |phase| broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-1", phase, 3);
    api.put("broadcastjobs", job("running"));
    let held = |node: &str, status: Value| {
        let mut pod = pod(&job("running"), node, CREATED, None);
        pod["status"] = status;
        pod
    };
    let container = |reason: &str, message: &str| {
        json!({ "phase": "Pending", "containerStatuses": [
        { "name": "holystone", "state": { "waiting": { "reason": reason, "message": message } } }
    ] })
    };
    let mounting = held("n2", container("ContainerCreating", ""));
    api.put("events", event(&mounting, "e1", "FailedMount", "MountVolume.SetUp failed for volume \"runtime\" : hostPath type check failed: /run/x.sock is not a socket file"));
    let mut stranger = mounting.clone();
    stranger["metadata"]["uid"] = "another".into();
    api.put("events", event(&stranger, "e2", "FailedMount", "of another pod of this name"));
    api.put("pods", held("n1", container("ErrImagePull", "docker.io/x: not found")));
    api.put("pods", mounting);
    // One that is not scheduled yet is made for a node all the same.
    let mut unscheduled = held(
        "",
        json!({ "phase": "Pending", "conditions": [
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available" }
    ] }),
    );
    unscheduled["metadata"]["name"] = "a-1-n3".into();
    unscheduled["spec"]["affinity"] = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
        { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n3"] }] }
    ] } } });
    api.put("pods", unscheduled);
    let run = || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone();
    until("all say why", || run()["nodes"]["waiting"] == 3 && ready(&api, "a") == "PodsNotStarted").await;
    let errors = json!([
        { "message": "the container does not start: ErrImagePull: docker.io/x: not found; see the images that are named: that of the pods is the operator's option --image (in the chart nodeImage)", "count": 1, "nodes": ["n1"] },
        { "message": "the pod does not start: FailedMount: MountVolume.SetUp failed for volume \"runtime\" : hostPath type check failed: /run/x.sock is not a socket file; set spec.runtime.endpoint to what is there on these nodes", "count": 1, "nodes": ["n2"] },
        { "message": "the pod is not scheduled: Unschedulable: 0/3 nodes are available; see whether the nodes have room, and taints that spec.rollout.tolerations does not name", "count": 1, "nodes": ["n3"] },
    ]);
    assert_eq!(run()["errors"], errors);
    let message = format!("no pod of a-1 has started, on 3 nodes: {}", errors[0]["message"].as_str().unwrap());
    assert_eq!(why(&api, "a"), message);
    until("told", || told(&api, "PodsNotStarted") == [message.clone()]).await;
    is_quiet(&api).await;
    // OpenKruise gives the run up, and deletes what has not ended.
    for node in ["n1", "n2", "n3"] {
        api.delete("pods", &format!("a-1-{node}"));
    }
    api.put("broadcastjobs", job("failed"));
    until("it is over", || run()["phase"] == "Failed").await;
    assert_eq!(run()["errors"], errors, "what is known stays known");
    assert_eq!((&run()["nodes"]["skipped"], &run()["nodes"]["waiting"]), (&json!(3), &Value::Null));
    is_quiet(&api).await;
    let _second = start_again(&api).await;
    assert_eq!(run()["errors"], errors);
}

#[tokio::test]
async fn pods_that_are_never_made_are_told_in_the_words_of_events() {
    for (note, advice) in [
        (
            "pods \"a-1-x7k2p\" is forbidden: violates PodSecurity \"baseline:latest\": hostPath volumes",
            "; label the namespace pod-security.kubernetes.io/enforce=privileged, because the pods mount paths of their node",
        ),
        (
            "pods \"a-1-x7k2p\" is forbidden: no PriorityClass with name gold was found",
            "; create that PriorityClass, or set spec.rollout.priorityClassName to one that there is",
        ),
    ] {
        let (api, _operator) = applied(true, json!({})).await;
        let job = |phase| broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-1", phase, 2);
        api.put("events", event(&job("running"), "e1", "FailedCreate", note));
        api.put("broadcastjobs", job("running"));
        until("told", || ready(&api, "a") == "PodsNotStarted").await;
        let said = note.replace("a-1-x7k2p", "a-1-…");
        let message = format!("no pod is made: FailedCreate: {said}{advice}");
        let run = || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone();
        assert_eq!(run()["errors"], json!([{ "message": message, "count": 2, "nodes": [] }]));
        assert_eq!(why(&api, "a"), format!("no pod of a-1 has started, on 2 nodes: {message}"));
        is_quiet(&api).await;
        api.put("broadcastjobs", job("failed"));
        until("it is over", || run()["phase"] == "Failed").await;
        assert_eq!(run()["errors"], json!([{ "message": message, "count": 2, "nodes": [] }]));
        until("told", || !told(&api, "RunFailed").is_empty()).await;
        assert_eq!(
            told(&api, "RunFailed"),
            [format!("a-1: 0/2 nodes done, 0 removed, 0 refused, 0 failed; on 2 nodes: {message}")]
        );
    }
}

#[tokio::test]
async fn events_are_not_asked_for_while_all_is_well() {
    let (api, _operator) = applied(true, json!({})).await;
    let job = |phase| broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-1", phase, 2);
    api.put("broadcastjobs", job("running"));
    api.put("pods", pod(&job("running"), "n1", CREATED, None));
    api.put("pods", pod(&job("running"), "n2", CREATED, Some(&message(1))));
    let run = || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone();
    until("one is done", || run()["nodes"]["succeeded"] == 1).await;
    api.put("pods", pod(&job("running"), "n1", CREATED, Some(&message(1))));
    api.put("broadcastjobs", job("completed"));
    until("all are done", || run()["phase"] == "Complete").await;
    assert_eq!(api.requests("GET events"), 0);
}

#[tokio::test]
async fn a_daemon_that_does_not_stay_started_says_what_it_ended_with() {
    let (api, _operator) = applied(false, json!({ "rollout": { "engine": "DaemonSet" } })).await;
    let set = api.get("daemonsets", "holystone-a").unwrap();
    let brief = Brief::not_run("there are 1 problems:").with_errors(&["spec.logRoots[0]: is no directory".to_owned()]);
    let mut daemon = pod(&set, "n1", CREATED, None);
    daemon["status"] = json!({ "phase": "Running", "containerStatuses": [{
        "name": "holystone", "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } },
        "lastState": { "terminated": { "exitCode": 64, "message": brief.to_message() } },
    }] });
    api.put("pods", daemon);
    let run = || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone();
    until("told", || ready(&api, "a") == "PodsNotStarted").await;
    let message = "the container ends again and again, at last with exit code 64: there are 1 problems: spec.logRoots[0]: is \
                   no directory";
    assert_eq!(run()["errors"], json!([{ "message": message, "count": 1, "nodes": ["n1"] }]));
    assert_eq!((&run()["nodes"]["skipped"], &run()["phase"]), (&json!(1), &json!("Waiting")));
    // It starts after all, and waits for its time.
    api.put("pods", pod(&set, "n1", CREATED, None));
    until("started", || ready(&api, "a") == "Applied").await;
    assert_eq!((&run()["phase"], &run()["nodes"]["active"]), (&json!("Waiting"), &json!(1)));
}

#[tokio::test]
async fn a_run_that_failure_policy_pauses_asks_for_a_person() {
    let (api, _operator) = applied(true, json!({ "rollout": { "failurePolicy": { "type": "Pause" } } })).await;
    let mut job = broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-1", "running", 2);
    job["status"]["phase"] = "paused".into();
    job["status"]["failed"] = 1.into();
    api.put("broadcastjobs", job.clone());
    api.put("pods", pod(&job, "n1", CREATED, Some(&Brief::not_run("no runtime answers").to_message())));
    let message = "BroadcastJob a-1 is paused by failurePolicy Pause, because 1 pod failed (no runtime answers), and waits for \
                   a person: mend what is wrong and delete its failed pods, which are then made again, or delete the \
                   BroadcastJob to give its run up";
    until("told", || why(&api, "a") == message).await;
    assert_eq!(
        (ready(&api, "a"), api.get("nodecleanups", "a").unwrap()["status"]["lastRun"]["phase"].clone()),
        ("RunPaused".to_owned(), json!("Paused"))
    );
    until("an event", || !told(&api, "RunPaused").is_empty()).await;
    is_quiet(&api).await;
    job["status"]["phase"] = "running".into();
    api.put("broadcastjobs", job);
    until("it goes on", || ready(&api, "a") == "Applied").await;
}

#[tokio::test]
async fn pods_that_end_one_after_the_other_come_to_few_writes() {
    let (api, _operator) = applied(true, json!({})).await;
    is_quiet(&api).await;
    let job = broadcast_job(&api.get("advancedcronjobs", "a").unwrap(), "a-1", "running", 80);
    api.put("broadcastjobs", job.clone());
    for node in 0..80 {
        api.put("pods", pod(&job, &format!("n{node}"), "2026-11-02T00:00:00Z", Some(&message(1))));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let run = || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone();
    until("all are folded", || run()["removed"] == 80).await;
    // One when the run began, one for each five seconds, and one to spare.
    let writes = api.take_writes();
    assert!(writes.len() <= 4, "{writes:?}");
}

#[tokio::test]
async fn who_undoes_what_is_done_is_not_fought_without_end() {
    let api = FakeApi::new(true);
    api.meddle("advancedcronjobs", |object| object["spec"]["schedule"] = "* * * * *".into());
    api.put("nodecleanups", node_cleanup("a", &json!({})));
    let _operator = start(&api);
    until("ready", || ready(&api, "a") == "Applied").await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let applied = api.take_writes().iter().filter(|line| *line == "PATCH advancedcronjobs/a").count();
    // At once, after 0.2 seconds, 0.4 and so on.
    assert!((4..=7).contains(&applied), "{applied}");
    assert_eq!(ready(&api, "a"), "Undone");
}

#[tokio::test]
async fn who_replaces_what_is_done_now_and_then_is_not_fought_without_end() {
    let (api, _operator) = applied(true, json!({})).await;
    // Another operator deletes what it finds, each time after a while in which all seems well.
    let begun = Instant::now();
    let mut deleted = 0;
    while begun.elapsed() < Duration::from_secs(15) {
        if api.get("advancedcronjobs", "a").is_some() {
            tokio::time::sleep(Duration::from_millis(400)).await;
            api.delete("advancedcronjobs", "a");
            deleted += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // After 0.2 seconds, 0.2, 0.4 and so on, and 0.4 seconds each in between.
    assert!((4..=7).contains(&deleted), "{deleted}");
    api.delete("advancedcronjobs", "a");
    until("told", || ready(&api, "a") == "Undone").await;
}

#[tokio::test]
async fn of_two_operators_one_acts_and_the_other_says_so() {
    let api = FakeApi::new(true);
    let lease =
        json!({ "metadata": { "name": "holystone-operator", "namespace": "ops" }, "spec": { "holderIdentity": "x" } });
    api.put("leases", lease);
    api.put("nodecleanups", node_cleanup("a", &json!({})));
    let _first = start(&api);
    until("ready", || ready(&api, "a") == "Applied").await;
    is_quiet(&api).await;
    for other in ["elsewhere/holystone-operator", "laptop"] {
        let second = start_as(&api, unchecked(), other);
        let told = || api.list("events").iter().filter(|event| event["reason"] == "OtherOperator").count();
        until("told", || told() == 1).await;
        api.edit("nodecleanups", "a", |object| {
            let generation = object["metadata"]["generation"].as_i64().unwrap() + 1;
            object["metadata"]["generation"] = generation.into();
            object["spec"]["successfulJobsHistoryLimit"] = generation.into();
        });
        let generation = api.get("nodecleanups", "a").unwrap()["metadata"]["generation"].clone();
        until("followed", || {
            api.get("advancedcronjobs", "a").unwrap()["spec"]["successfulJobsHistoryLimit"] == generation
        })
        .await;
        is_quiet(&api).await;
        assert_eq!(told(), 1, "it is told once");
        assert_eq!(api.get("nodecleanups", "a").unwrap()["status"]["operator"], "ops/holystone-operator");
        drop(second);
        for event in api.list("events") {
            api.delete("events", event["metadata"]["name"].as_str().unwrap());
        }
    }
}

#[tokio::test]
async fn an_operator_without_a_lease_makes_way_and_one_that_is_gone_is_followed() {
    let api = FakeApi::new(true);
    api.put("nodecleanups", node_cleanup("a", &json!({})));
    drop({
        let laptop = start_as(&api, unchecked(), "laptop");
        until("ready", || ready(&api, "a") == "Applied").await;
        laptop
    });
    let operator = || api.get("nodecleanups", "a").unwrap()["status"]["operator"].clone();
    assert_eq!(operator(), "laptop");
    let first = start(&api);
    until("taken over", || operator() == "ops/holystone-operator").await;
    drop(first);
    // Its Lease is gone; that is seen for a minute before it is believed.
    let _second = start_as(&api, unchecked(), "elsewhere/holystone-operator");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(operator(), "ops/holystone-operator");
    let begun = Instant::now();
    while operator() != "elsewhere/holystone-operator" {
        assert!(begun.elapsed() < Duration::from_secs(90), "it is not taken over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    is_quiet(&api).await;
}

#[tokio::test]
async fn openkruise_may_come_later() {
    let api = FakeApi::new(false);
    api.put("nodecleanups", node_cleanup("a", &json!({})));
    let _operator = start(&api);
    until("missing", || ready(&api, "a") == "OpenKruiseMissing").await;
    api.set_kruise(true);
    until("applied", || ready(&api, "a") == "Applied").await;
    assert!(api.get("advancedcronjobs", "a").is_some());
}

#[tokio::test]
async fn one_bad_object_and_a_failing_server_stop_nobody_else() {
    let api = FakeApi::new(true);
    api.put("nodecleanups", node_cleanup("bad", &json!({ "schedule": "nonsense" })));
    let mut worse = node_cleanup("worse", &json!({}));
    worse["spec"] = json!([1, 2]);
    api.put("nodecleanups", worse);
    api.fail("advancedcronjobs", Some(403));
    api.put("nodecleanups", node_cleanup("good", &json!({})));
    let _operator = start(&api);
    until("told", || ready(&api, "bad") == "InvalidSpec" && ready(&api, "worse") == "InvalidSpec").await;
    until("refused", || ready(&api, "good") == "ApplyFailed").await;
    let status = api.get("nodecleanups", "good").unwrap()["status"].clone();
    assert!(status.to_string().contains("told to fail"), "{status}");
    api.fail("advancedcronjobs", None);
    until("applied", || ready(&api, "good") == "Applied").await;
    is_quiet(&api).await;
}

#[tokio::test]
async fn an_operator_that_found_a_daemon_set_removes_it_for_another_engine() {
    let api = FakeApi::new(true);
    api.put("nodecleanups", node_cleanup("a", &json!({ "rollout": { "engine": "DaemonSet" } })));
    let first = start(&api);
    until("made", || api.get("daemonsets", "holystone-a").is_some()).await;
    is_quiet(&api).await;
    drop(first);
    drop(start_again(&api).await);
    // Nobody is there to see it.
    api.edit("nodecleanups", "a", |object| {
        object["spec"]["rollout"]["engine"] = "BroadcastJob".into();
        object["metadata"]["generation"] = 2.into();
    });
    let _third = start(&api);
    until("made", || api.get("advancedcronjobs", "a").is_some()).await;
    until("gone", || api.get("daemonsets", "holystone-a").is_none()).await;
    is_quiet(&api).await;
}

#[tokio::test]
async fn daemons_that_do_not_answer_are_counted() {
    let (api, _operator) = applied(false, json!({ "rollout": { "engine": "DaemonSet" } })).await;
    let mut daemon = pod(&api.get("daemonsets", "holystone-a").unwrap(), "n1", "2026-11-02T00:00:00Z", None);
    daemon["status"]["podIP"] = "127.0.0.9".into();
    api.put("pods", daemon);
    let run = || api.get("nodecleanups", "a").unwrap()["status"]["lastRun"].clone();
    until("counted", || run()["nodes"]["skipped"] == 1).await;
    assert_eq!(run()["errors"][0], json!({ "message": "the daemon does not answer", "count": 1, "nodes": ["n1"] }));
}

#[tokio::test]
async fn of_two_replicas_one_acts_until_it_lets_go() {
    let api = FakeApi::new(true);
    let (mut first, mut second) = (Lease::new(client(&api), "ops", "one"), Lease::new(client(&api), "ops", "two"));
    first.acquire().await;
    let waiting = tokio::time::timeout(Duration::from_secs(7), second.acquire()).await;
    assert!(waiting.is_err(), "the second one waits");
    first.release().await;
    tokio::time::timeout(Duration::from_secs(7), second.acquire()).await.unwrap();
    let lease = api.get("leases", "holystone-operator").unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "two");
    // The first one notices when it would renew.
    let lost = tokio::time::timeout(Duration::from_secs(20), first.keep()).await.unwrap();
    assert!(lost.to_string().contains("has gone to"), "{lost}");
    let verbs: BTreeSet<String> = api.take_writes().into_iter().collect();
    assert_eq!(verbs, ["POST leases/", "PUT leases/holystone-operator"].map(str::to_owned).into());
}
