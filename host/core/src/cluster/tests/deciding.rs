//! What is decided about what is there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::drift::contains;
use super::super::*;
use super::{object, site};
use crate::manifest::status::NodeCleanupStatus;
use crate::report::{Brief, BriefPlugin, Planned, PlannedRepository, Totals};

mod runs;

const OPERATOR: &str = "holystone-system/holystone-operator";

/// A cluster in which whatever is decided is done, as an API server would.
#[derive(Clone, Default)]
struct Cluster {
    object: Value,
    has_kruise: bool,
    config_maps: BTreeMap<String, Value>,
    cron_job: Option<Value>,
    daemon_set: Option<Value>,
    jobs: BTreeMap<String, Value>,
    runs: BTreeMap<String, BTreeMap<String, NodeState>>,
    complaints: BTreeMap<String, Vec<String>>,
    acts: u32,
    now: i64,
    uids: u32,
}

impl Cluster {
    fn new(spec: Value) -> Self {
        let mut object = object(spec);
        object["status"] = json!({ "operator": OPERATOR });
        Self { object, has_kruise: true, now: 1_780_000_000, ..Self::default() }
    }

    /// The NodeCleanup as the operator sees it.
    fn cleanup(&self) -> CleanupObject {
        self.object.clone().into()
    }

    fn look(&self) -> Decided {
        let object = self.cleanup();
        let config_maps: Vec<ConfigMap> = self.config_maps.values().cloned().map(Into::into).collect();
        let cron_job: Option<AdvancedCronJob> = self.cron_job.clone().map(Into::into);
        let daemon_set: Option<DaemonSet> = self.daemon_set.clone().map(Into::into);
        let jobs: Vec<BroadcastJob> = self.jobs.values().cloned().map(Into::into).collect();
        decide(&Observed {
            problems: &[],
            operator: OPERATOR,
            object: &object,
            site: site(),
            has_kruise: self.has_kruise,
            config_maps: config_maps.iter().collect(),
            advanced_cron_job: cron_job.as_ref(),
            daemon_set: daemon_set.as_ref(),
            broadcast_jobs: jobs.iter().collect(),
            complaints: self.complaints.iter().map(|(name, said)| (name.as_str(), said.as_slice())).collect(),
            runs: self.runs.iter().map(|(name, states)| (name.as_str(), states.values().collect())).collect(),
            acts: self.acts,
            now: Timestamp::from_second(self.now).unwrap(),
        })
    }

    /// Decides and does it; the words for what was done.
    fn step(&mut self) -> (Decided, Vec<String>) {
        let decided = self.look();
        let done = decided.actions.iter().map(|action| self.act(action)).collect();
        self.object["status"] = serde_json::to_value(&decided.status).unwrap();
        (decided, done)
    }

    fn act(&mut self, action: &Action) -> String {
        let object = action.object();
        let kind = object["kind"].as_str().unwrap().to_owned();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let live = match kind.as_str() {
            "ConfigMap" => self.config_maps.get(&name).cloned(),
            "AdvancedCronJob" => self.cron_job.clone(),
            "DaemonSet" => self.daemon_set.clone(),
            "BroadcastJob" => self.jobs.get(&name).cloned(),
            other => panic!("{other}"),
        };
        let mut new = object.clone();
        if let Action::Create(_) = action {
            assert_eq!(live, None, "what is there is not created");
            self.uids += 1;
            new["metadata"]["uid"] = format!("made-{}", self.uids).into();
            // What an API server adds.
            new["metadata"]["creationTimestamp"] = Timestamp::from_second(self.now).unwrap().to_string().into();
        } else {
            let live = live.as_ref().expect("what is changed is there");
            assert_eq!(new["metadata"]["uid"], live["metadata"]["uid"], "exactly what was looked at");
            new["metadata"]["creationTimestamp"] = live["metadata"]["creationTimestamp"].clone();
            new["status"] = live["status"].clone();
        }
        if let Action::Adjust { fields, .. } = action {
            new = live.clone().unwrap();
            merge(&mut new, fields);
        }
        let (word, new) = match action {
            Action::Adjust { .. } => ("adjust", Some(new)),
            Action::Create(_) => ("create", Some(new)),
            Action::Apply(_) => ("apply", Some(new)),
            Action::Replace(_) => ("replace", Some(new)),
            Action::Pause(_) => {
                new["spec"]["paused"] = true.into();
                ("pause", Some(new))
            }
            Action::Delete(_) => ("delete", None),
        };
        match kind.as_str() {
            "AdvancedCronJob" => self.cron_job = new,
            "DaemonSet" => self.daemon_set = new,
            _ => {
                let map = if kind == "ConfigMap" { &mut self.config_maps } else { &mut self.jobs };
                match new {
                    Some(new) => drop(map.insert(name.clone(), new)),
                    None => drop(map.remove(&name)),
                }
            }
        }
        // The digits of a digest say nothing here.
        let name = if kind == "ConfigMap" { name.rsplit_once('-').map_or("", |(name, _)| name) } else { &name };
        format!("{word} {kind} {name}")
    }

    /// The one ConfigMap that there is.
    fn config_map(&self) -> &Value {
        assert_eq!(self.config_maps.len(), 1, "{:?}", self.config_maps.keys());
        self.config_maps.values().next().unwrap()
    }

    /// Lets the runs end that the NodeCleanup started itself.
    fn end_own_runs(&mut self, phase: &str) {
        let time = Timestamp::from_second(self.now).unwrap().to_string();
        for job in self.jobs.values_mut().filter(|job| job["status"]["phase"].is_null()) {
            job["status"] =
                json!({ "phase": phase, "desired": 2, "succeeded": 2, "startTime": time, "completionTime": time });
        }
    }

    /// OpenKruise's garbage collection: the runs of an AdvancedCronJob go with it.
    fn collect(&mut self) {
        self.jobs.retain(|_, job| job["metadata"]["ownerReferences"][0]["kind"] == "NodeCleanup");
    }

    /// A run of the AdvancedCronJob, as OpenKruise makes it.
    fn run(&mut self, name: &str, phase: &str, started: i64) {
        let time = |second| Timestamp::from_second(second).unwrap().to_string();
        let cron_job = self.cron_job.clone().unwrap();
        let owner = &cron_job["metadata"]["uid"];
        // A run that has begun keeps its template.
        let template = self.jobs.get(name).map_or_else(
            || cron_job["spec"]["template"]["broadcastJobTemplate"]["spec"]["template"].clone(),
            |job| job["spec"]["template"].clone(),
        );
        let mut job = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "BroadcastJob",
            "metadata": { "name": name, "namespace": "ops", "uid": name,
                "ownerReferences": [{ "kind": "AdvancedCronJob", "name": "stale", "uid": owner }] },
            "spec": { "template": template },
            "status": { "phase": phase, "desired": 2, "startTime": time(started) },
        });
        if phase != "running" {
            job["status"]["completionTime"] = time(started + 60).into();
        }
        self.jobs.insert(name.to_owned(), job);
    }

    fn pod(&mut self, run: &str, node: &str, state: NodeState) {
        self.runs.entry(run.to_owned()).or_default().insert(format!("{run}-{node}"), state);
    }

    fn edit(&mut self, field: &str, value: Value) {
        self.object["spec"][field] = value;
        let generation = self.object["metadata"]["generation"].as_i64().unwrap();
        self.object["metadata"]["generation"] = (generation + 1).into();
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            self.step();
        }
        self.is_settled();
    }

    fn is_settled(&self) {
        let decided = self.look();
        assert_eq!(decided.actions, [], "a second look at the same writes nothing");
        assert!(!decided.is_news && decided.events.is_empty(), "{:?} {:?}", decided.events, decided.status);
    }
}

/// A merge patch, as an API server takes it.
fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else { return into.clone_from(patch) };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, field) in fields {
        if field.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut into[name.as_str()], field);
        }
    }
}

fn condition<'a>(status: &'a NodeCleanupStatus, kind: &str) -> (&'a str, &'a str) {
    let condition = status.conditions.iter().find(|condition| condition.kind == kind).unwrap();
    (&condition.status, &condition.reason)
}

fn scheduled() -> Cluster {
    Cluster::new(json!({ "schedule": "*/5 * * * *", "mode": "Enforce" }))
}

fn done(node: &str, removed: usize) -> NodeState {
    NodeState::ended(node, &report(removed).to_message())
}

fn report(removed: usize) -> Brief {
    let totals = Totals { removed, ..Default::default() };
    let outcome = crate::daemon::RunSummary {
        result: crate::daemon::RunResult::Done,
        message: None,
        images: Some(totals),
        logs: None,
    };
    Brief::of_record(outcome)
}

#[test]
fn nothing_is_done_before_it_is_known_who_does_it() {
    for other in [Value::Null, json!("elsewhere/holystone-operator")] {
        let mut cluster = scheduled();
        cluster.object["status"] = json!({ "operator": other, "runNow": "x" });
        let (decided, done) = cluster.step();
        assert_eq!((done, decided.is_news, decided.again), (Vec::new(), true, Some(SignedDuration::ZERO)));
        assert_eq!(decided.status.operator.as_deref(), Some(OPERATOR));
        assert_eq!(decided.status.run_now.as_deref(), Some("x"), "what is known stays known");
        assert_eq!(cluster.step().1, ["create ConfigMap holystone-stale", "create AdvancedCronJob stale"]);
        cluster.settle();
    }
    let event = other_operator("a/b", OPERATOR);
    assert_eq!(
        (event.reason.as_str(), event.note.as_str()),
        (
            "OtherOperator",
            "the operator a/b looks after it, so the operator holystone-system/holystone-operator leaves it alone; let each \
             operator watch other namespaces"
        )
    );
}

#[test]
fn the_first_look_makes_everything_and_the_second_nothing() {
    let mut cluster = scheduled();
    let (decided, done) = cluster.step();
    assert_eq!(done, ["create ConfigMap holystone-stale", "create AdvancedCronJob stale"]);
    assert_eq!(decided.events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["Created"]);
    assert_eq!(condition(&decided.status, "Ready"), ("True", "Applied"));
    assert_eq!(condition(&decided.status, "Scheduled"), ("True", "Scheduled"));
    assert_eq!(condition(&decided.status, "PluginsResolved"), ("False", "NoRunYet"));
    assert_eq!(decided.status.next_schedule_time.unwrap().as_second() % 300, 0);
    assert_eq!(decided.status.observed_generation, Some(3));
    let owner = &cluster.cron_job.as_ref().unwrap()["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["uid"], &owner["controller"]), (&json!("u-1"), &json!(true)));
    assert!(owner.get("blockOwnerDeletion").is_none(), "nobody gave the operator that right");
    cluster.is_settled();
}

#[test]
fn the_next_time_moves_on_and_nothing_else() {
    let mut cluster = scheduled();
    cluster.settle();
    let before = cluster.look().status;
    cluster.now += 300;
    let (decided, done) = cluster.step();
    assert!(done.is_empty() && decided.is_news);
    assert_eq!(decided.status.conditions, before.conditions);
    assert!(decided.status.next_schedule_time > before.next_schedule_time);
}

#[test]
fn what_was_announced_stays_until_it_comes_or_the_spec_changes() {
    // It is 20:26:40, and the schedule has a time every five minutes: the next is 200 seconds away.
    for (announced, is_same_spec, expected) in
        [(50, true, 50), (1, true, 1), (0, true, 200), (-50, true, 200), (50, false, 200)]
    {
        let mut cluster = scheduled();
        cluster.settle();
        let time = |seconds: i64| Timestamp::from_second(1_780_000_000 + seconds).unwrap();
        cluster.object["status"]["nextScheduleTime"] = time(announced).to_string().into();
        if !is_same_spec {
            cluster.object["status"]["observedGeneration"] = 1.into();
        }
        let decided = cluster.look();
        assert_eq!(decided.status.next_schedule_time, Some(time(expected)), "{announced} {is_same_spec}");
        assert_eq!(decided.again, Some(SignedDuration::from_secs(expected + 1)), "a second after it");
    }
}

#[test]
fn a_period_counts_from_the_last_run() {
    for (ago, expected) in [(None, 600), (Some(100), 500), (Some(599), 1), (Some(600), 600), (Some(1_000), 600)] {
        let mut cluster = Cluster::new(json!({ "schedule": "@every 10m", "rollout": { "engine": "DaemonSet" } }));
        let time = |seconds: i64| Timestamp::from_second(1_780_000_000 + seconds).unwrap();
        if let Some(ago) = ago {
            let nodes = json!({ "desired": 1, "succeeded": 1 });
            let run = json!({ "name": "holystone-stale", "phase": "Complete", "nodes": nodes, "startedAt": time(-ago).to_string() });
            cluster.object["status"]["lastRun"] = run;
        }
        assert_eq!(cluster.look().status.next_schedule_time, Some(time(expected)), "{ago:?}");
    }
}

#[test]
fn pausing_and_limits_are_edited_in_place() {
    let mut cluster = scheduled();
    cluster.settle();
    for (field, value) in [
        ("paused", json!(true)),
        ("successfulJobsHistoryLimit", json!(5)),
        ("concurrencyPolicy", json!("Replace")),
        ("startingDeadlineSeconds", json!(60)),
    ] {
        cluster.edit(field, value.clone());
        let (decided, done) = cluster.step();
        assert!(done.contains(&"apply AdvancedCronJob stale".to_owned()), "{field}: {done:?}");
        assert!(!done.iter().any(|done| done.starts_with("delete")), "{field}: {done:?}");
        assert_eq!(cluster.cron_job.as_ref().unwrap()["spec"][field], value);
        assert_eq!(condition(&decided.status, "Ready"), ("True", "Applied"));
        cluster.is_settled();
    }
    assert_eq!(condition(&cluster.look().status, "Scheduled"), ("False", "Paused"));
}

fn plugins(repositories: &str) -> Value {
    json!([{ "name": "p", "source": { "builtin": "unused-images" }, "config": { "repositories": [repositories] } }])
}

#[test]
fn a_run_has_one_manifest_from_its_first_node_to_its_last() {
    let mut cluster = scheduled();
    cluster.settle();
    let first = cluster.config_map().clone();
    assert_eq!(first["immutable"], true);
    cluster.run("stale-1", "running", cluster.now);
    let read_by = |job: &Value| manifest_of(&job["spec"]["template"]).unwrap().to_owned();
    assert_eq!(read_by(&cluster.jobs["stale-1"]), first["metadata"]["name"].as_str().unwrap());
    for (field, value) in [("mode", json!("DryRun")), ("plugins", plugins("a/*")), ("mode", json!("Enforce"))] {
        cluster.edit(field, value);
        cluster.step();
        cluster.step();
        assert_eq!(cluster.config_maps[&read_by(&cluster.jobs["stale-1"])], first, "what its pods read is as it was");
        assert_eq!(condition(&cluster.look().status, "Ready"), ("False", "WaitingForRun"));
        assert_eq!(cluster.config_maps.len(), 2, "that of the run, and that of the spec");
    }
    cluster.run("stale-1", "completed", cluster.now);
    assert_eq!(cluster.step().1, ["delete AdvancedCronJob stale"]);
    assert_eq!(cluster.config_maps.len(), 2, "its run is still on record");
    cluster.collect();
    assert_eq!(cluster.step().1, ["delete ConfigMap holystone-stale", "create AdvancedCronJob stale"]);
    cluster.settle();
    let text = cluster.config_map()["data"]["node-cleanup.yaml"].as_str().unwrap();
    assert!(text.contains("a/*") && text.contains("mode: Enforce"), "{text}");
}

#[test]
fn manifests_of_runs_that_are_kept_are_kept_and_go_with_them() {
    let mut cluster = Cluster::new(json!({ "mode": "Enforce", "successfulJobsHistoryLimit": 2 }));
    cluster.settle();
    for repositories in ["a/*", "b/*", "c/*", "d/*"] {
        for job in cluster.jobs.values_mut() {
            let started = job["metadata"]["creationTimestamp"].clone();
            job["status"] = json!({ "phase": "completed", "startTime": started, "completionTime": started });
        }
        cluster.now += 100;
        cluster.edit("plugins", plugins(repositories));
        for _ in 0..4 {
            cluster.step();
        }
        let needed: Vec<&str> =
            cluster.jobs.values().map(|job| manifest_of(&job["spec"]["template"]).unwrap()).collect();
        let mut kept: Vec<&str> = cluster.config_maps.keys().map(String::as_str).collect();
        kept.retain(|name| !needed.contains(name));
        assert_eq!(kept, [""; 0], "{needed:?}");
        assert!(needed.iter().all(|name| cluster.config_maps.contains_key(*name)), "{needed:?}");
    }
    assert_eq!((cluster.jobs.len(), cluster.config_maps.len()), (3, 3), "two on record, and one that goes on");
}

#[test]
fn daemons_keep_their_manifest_until_all_have_the_next() {
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
    cluster.settle();
    cluster.edit("mode", json!("Enforce"));
    assert_eq!(cluster.step().1, ["create ConfigMap holystone-stale", "replace DaemonSet holystone-stale"]);
    let status = |updated: u32| json!({ "observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated });
    cluster.daemon_set.as_mut().unwrap()["metadata"]["generation"] = 2.into();
    for stale in [
        json!({}),
        status(2),
        json!({ "observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3 }),
    ] {
        cluster.daemon_set.as_mut().unwrap()["status"] = stale.clone();
        assert_eq!(cluster.step().1, Vec::<String>::new(), "{stale}");
    }
    cluster.daemon_set.as_mut().unwrap()["status"] = status(3);
    assert_eq!(cluster.step().1, ["delete ConfigMap holystone-stale"]);
    assert!(cluster.config_map().to_string().contains("Enforce"));
    cluster.is_settled();
}

#[test]
fn what_a_daemon_set_is_to_have_no_more_goes_and_what_others_added_to_its_metadata_stays() {
    let selector = |labels: Value| json!({ "engine": "DaemonSet", "nodeSelector": labels });
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": selector(json!({ "a": "b" })) }));
    cluster.settle();
    cluster.daemon_set.as_mut().unwrap()["metadata"]["annotations"]["of/others"] = "x".into();
    cluster.daemon_set.as_mut().unwrap()["metadata"]["resourceVersion"] = "77".into();
    cluster.edit("rollout", selector(json!({})));
    let action = cluster.look().actions.remove(0);
    let Action::Replace(object) = &action else { panic!("{action:?}") };
    assert_eq!(object["metadata"]["resourceVersion"], "77", "exactly the version that was looked at");
    assert_eq!(object["metadata"]["annotations"]["of/others"], "x");
    assert_eq!(object["spec"]["template"]["spec"]["nodeSelector"], json!({ "kubernetes.io/os": "linux" }));
    cluster.settle();
}

#[test]
fn pausing_daemons_reaches_all_nodes_at_once() {
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
    cluster.settle();
    let unavailable = |cluster: &Cluster| {
        cluster.daemon_set.as_ref().unwrap()["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"].clone()
    };
    assert_eq!(unavailable(&cluster), "10%");
    cluster.edit("paused", json!(true));
    assert_eq!(cluster.step().1, ["create ConfigMap holystone-stale", "replace DaemonSet holystone-stale"]);
    assert_eq!(unavailable(&cluster), "100%");
    cluster.edit("paused", json!(false));
    assert_eq!(cluster.step().1, ["replace DaemonSet holystone-stale"], "its ConfigMap is still there");
    assert_eq!(unavailable(&cluster), "10%");
}

#[test]
fn a_template_that_changes_is_made_anew_after_the_run_has_ended() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now);
    cluster.edit("rollout", json!({ "nodeSelector": { "a": "b" } }));
    let (decided, done) = cluster.step();
    assert_eq!(done, ["pause AdvancedCronJob stale"], "no further run may start before");
    assert_eq!(condition(&decided.status, "Ready"), ("False", "WaitingForRun"));
    assert_eq!(
        decided.status.conditions[0].message,
        "AdvancedCronJob stale is recreated when its run stale-1 has ended; delete BroadcastJob stale-1 to give that run up"
    );
    assert_eq!(cluster.step().1, Vec::<String>::new());
    cluster.run("stale-1", "completed", cluster.now);
    let (decided, done) = cluster.step();
    assert_eq!(done, ["delete AdvancedCronJob stale"]);
    assert_eq!(condition(&decided.status, "Ready"), ("False", "Replacing"));
    // It goes with its runs.
    cluster.jobs.clear();
    let (decided, done) = cluster.step();
    assert_eq!(done, ["create AdvancedCronJob stale"]);
    assert_eq!(condition(&decided.status, "Ready"), ("True", "Applied"));
    assert_eq!(decided.status.last_run.as_ref().unwrap().name, "stale-1", "what is known of it stays");
    cluster.settle();
}

#[test]
fn an_object_that_is_going_is_waited_for() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.cron_job.as_mut().unwrap()["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let (decided, done) = cluster.step();
    assert!(done.is_empty() && decided.again.is_some());
    assert_eq!(condition(&decided.status, "Ready"), ("False", "Replacing"));
}

#[test]
fn drift_is_put_right_and_what_others_add_is_left() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.cron_job.as_mut().unwrap()["metadata"]["annotations"]["of/others"] = "x".into();
    cluster.cron_job.as_mut().unwrap()["spec"]["template"]["broadcastJobTemplate"]["spec"]["template"]["spec"]["dnsPolicy"] =
        "Default".into();
    cluster.is_settled();
    cluster.cron_job.as_mut().unwrap()["spec"]["schedule"] = "* * * * *".into();
    assert_eq!(cluster.step().1, ["apply AdvancedCronJob stale"]);
    cluster.cron_job = None;
    assert_eq!(cluster.step().1, ["create AdvancedCronJob stale"]);
    cluster.config_maps.clear();
    assert_eq!(cluster.step().1, ["create ConfigMap holystone-stale"]);
    // Who may edit ConfigMaps puts another manifest in its place: pods refuse it, and it is made again.
    let before = cluster.config_map().clone();
    cluster.config_maps.values_mut().next().unwrap()["data"]["node-cleanup.yaml"] = "mode: Enforce".into();
    let (decided, done) = cluster.step();
    assert_eq!(done, ["delete ConfigMap holystone-stale", "pause AdvancedCronJob stale"]);
    assert_eq!(condition(&decided.status, "Ready"), ("False", "Replacing"));
    assert_eq!(cluster.step().1, ["create ConfigMap holystone-stale", "apply AdvancedCronJob stale"]);
    assert_eq!(cluster.config_map()["data"], before["data"]);
    cluster.settle();
}

/// The pod template of an AdvancedCronJob.
const TEMPLATE: &str = "/spec/template/broadcastJobTemplate/spec/template";

#[test]
fn rights_that_others_give_to_pods_are_taken_back() {
    let additions = [
        ("/spec/hostPID", json!(true)),
        ("/spec/hostNetwork", json!(true)),
        ("/spec/hostIPC", json!(true)),
        ("/spec/shareProcessNamespace", json!(true)),
        ("/spec/serviceAccountName", json!("admin")),
        ("/spec/initContainers", json!([{ "name": "x", "image": "y" }])),
        ("/spec/ephemeralContainers", json!([{ "name": "x", "image": "y" }])),
        ("/spec/serviceAccount", json!("admin")),
        ("/spec/nodeSelector/x", json!("y")),
        ("/spec/securityContext/seLinuxOptions", json!({ "type": "spc_t" })),
        ("/spec/securityContext/supplementalGroups", json!([0])),
        ("/spec/containers/0/startupProbe", json!({ "exec": { "command": ["/holystone"] } })),
        ("/spec/containers/0/securityContext/seccompProfile", json!({ "type": "Unconfined" })),
        ("/spec/containers/0/volumeMounts/1/subPath", json!("x")),
        ("/spec/containers/0/command", json!(["/bin/sh"])),
        ("/spec/containers/0/lifecycle", json!({ "postStart": { "exec": { "command": ["x"] } } })),
        ("/spec/containers/0/envFrom", json!([{ "secretRef": { "name": "x" } }])),
        ("/spec/containers/0/volumeDevices", json!([{ "name": "x", "devicePath": "/dev/x" }])),
        ("/spec/containers/0/securityContext/privileged", json!(true)),
        ("/spec/containers/0/securityContext/procMount", json!("Unmasked")),
        ("/spec/containers/0/securityContext/capabilities/add", json!(["SYS_ADMIN"])),
    ];
    for (field, value) in additions {
        let mut cluster = scheduled();
        cluster.settle();
        let template = |cluster: &mut Cluster, value: Value| {
            let live = cluster.cron_job.as_mut().unwrap().pointer_mut(TEMPLATE).unwrap();
            let (parent, name) = field.rsplit_once('/').unwrap();
            live.pointer_mut(parent).unwrap()[name] = value;
        };
        let empty = match value {
            Value::Array(_) => json!([]),
            Value::Object(_) => json!({}),
            _ => Value::Null,
        };
        template(&mut cluster, empty);
        cluster.is_settled();
        template(&mut cluster, value);
        let (decided, done) = cluster.step();
        assert_eq!(done, ["delete AdvancedCronJob stale"], "{field}");
        let note = "deleted AdvancedCronJob stale to recreate it, because another writer added fields to its template";
        assert_eq!(told(&decided), [("Replaced", note, None)]);
        assert_eq!(cluster.step().1, ["create AdvancedCronJob stale"], "{field}");
        cluster.is_settled();

        let mut cluster = Cluster::new(json!({ "schedule": "*/5 * * * *", "rollout": { "engine": "DaemonSet" } }));
        cluster.settle();
        let before = cluster.daemon_set.as_ref().unwrap()["spec"].clone();
        let live = cluster.daemon_set.as_mut().unwrap();
        let (parent, name) = field.rsplit_once('/').unwrap();
        live.pointer_mut(&format!("/spec/template{parent}")).unwrap()[name] = json!("more");
        assert_eq!(cluster.step().1, ["replace DaemonSet holystone-stale"], "{field}");
        assert_eq!(cluster.daemon_set.as_ref().unwrap()["spec"], before, "{field}");
    }
}

#[test]
fn what_the_webhooks_fill_in_and_harmless_additions_are_left() {
    let mut cluster = scheduled();
    cluster.settle();
    let template = cluster.cron_job.as_mut().unwrap().pointer_mut("/spec/template").unwrap();
    template["broadcastJobTemplate"]["metadata"] = json!({});
    template["broadcastJobTemplate"]["spec"]["parallelism"] = json!(i32::MAX);
    template["broadcastJobTemplate"]["spec"]["failurePolicy"]["restartLimit"] = json!(0);
    let pod = &mut template["broadcastJobTemplate"]["spec"]["template"];
    pod["metadata"]["creationTimestamp"] = Value::Null;
    pod["metadata"]["labels"]["team"] = "a".into();
    pod["spec"]["dnsPolicy"] = "ClusterFirst".into();
    pod["spec"]["schedulerName"] = "default-scheduler".into();
    pod["spec"]["imagePullSecrets"] = json!([{ "name": "mirror" }]);
    pod["spec"]["volumes"][0]["configMap"]["defaultMode"] = json!(420);
    let tolerations = pod["spec"]["tolerations"].as_array_mut().unwrap();
    tolerations.insert(0, json!({ "key": "corp", "operator": "Exists" }));
    tolerations.push(json!({ "key": "other", "operator": "Exists" }));
    cluster.is_settled();
    let of_cron_job = |cluster: &mut Cluster, field: &str, value: Value| {
        cluster.cron_job.as_mut().unwrap().pointer_mut("/spec/template").unwrap()[field] = value;
    };
    of_cron_job(&mut cluster, "jobTemplate", json!({ "spec": { "template": {} } }));
    assert_eq!(cluster.step().1, ["delete AdvancedCronJob stale"], "OpenKruise would run that one instead");
    cluster.settle();
    let spec = "/spec/template/broadcastJobTemplate/spec";
    cluster.cron_job.as_mut().unwrap().pointer_mut(spec).unwrap()["parallelism"] = json!(1);
    assert_eq!(cluster.step().1, ["delete AdvancedCronJob stale"]);
    cluster.settle();
    let wanted = format!("{spec}/template/spec/tolerations");
    cluster.cron_job.as_mut().unwrap().pointer_mut(&wanted).unwrap().as_array_mut().unwrap().remove(0);
    assert_eq!(cluster.step().1, ["apply AdvancedCronJob stale"], "a wanted one is missing");
}

#[test]
fn rights_that_are_given_time_and_again_pause_the_schedule() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.cron_job.as_mut().unwrap().pointer_mut(TEMPLATE).unwrap()["spec"]["hostPID"] = true.into();
    cluster.acts = 3;
    let (decided, done) = cluster.step();
    assert_eq!(done, ["pause AdvancedCronJob stale"]);
    let message = "whenever AdvancedCronJob stale is recreated, another writer adds fields to its template, so \
                   it is paused; its metadata.managedFields name the writer";
    assert_eq!(ready(&decided.status), ("False", "Undone", message));
    cluster.is_settled();
    // After a while it is tried again.
    cluster.acts = 0;
    assert_eq!(cluster.step().1, ["delete AdvancedCronJob stale"]);
}

#[test]
fn what_somebody_undoes_is_told() {
    let mut cluster = scheduled();
    cluster.settle();
    let undo = |cluster: &mut Cluster| cluster.cron_job.as_mut().unwrap()["spec"]["schedule"] = "@yearly".into();
    for (acts, ready) in [(2, ("True", "Applied")), (3, ("False", "Undone")), (4, ("False", "Undone"))] {
        cluster.acts = acts;
        undo(&mut cluster);
        let (decided, done) = cluster.step();
        assert_eq!(done, ["apply AdvancedCronJob stale"]);
        assert_eq!(condition(&decided.status, "Ready"), ready);
        assert_eq!(condition(&decided.status, "Scheduled").0, "True", "it is there, only not as it should be");
        assert_eq!(decided.events.iter().any(|event| event.reason == "Undone"), acts == 3, "it is told once");
    }
    let (decided, _) = cluster.step();
    assert_eq!(condition(&decided.status, "Ready"), ("True", "Applied"));
    cluster.is_settled();
}

#[test]
fn an_object_of_somebody_else_is_left_alone() {
    let mut cluster = scheduled();
    let theirs = json!({ "kind": "AdvancedCronJob", "metadata": { "name": "stale", "uid": "x" }, "spec": {} });
    cluster.cron_job = Some(theirs.clone());
    let (decided, done) = cluster.step();
    assert_eq!(done, ["create ConfigMap holystone-stale"]);
    assert_eq!(condition(&decided.status, "Ready"), ("False", "NameTaken"));
    let message = &decided.status.conditions[0].message;
    assert!(
        message.starts_with("there is the AdvancedCronJob stale already, which belongs to another owner"),
        "{message}"
    );
    assert_eq!(decided.events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["NameTaken"]);
    cluster.is_settled();
    // Neither another NodeCleanup nor another object of the same name has anything to do with this one.
    for owner in [json!({ "kind": "NodeCleanup", "name": "x" }), json!({ "kind": "ReplicaSet", "name": "stale" })] {
        cluster.cron_job.as_mut().unwrap()["metadata"]["ownerReferences"] = json!([owner]);
        assert_eq!(condition(&cluster.look().status, "Ready"), ("False", "NameTaken"), "{owner}");
    }
    cluster.cron_job = Some(theirs.clone());
    for (field, value) in
        [("schedule", json!("nonsense")), ("schedule", Value::Null), ("rollout", json!({ "engine": "DaemonSet" }))]
    {
        cluster.edit(field, value.clone());
        cluster.step();
        cluster.step();
        assert_eq!(cluster.cron_job, Some(theirs.clone()), "{field} {value}: neither paused nor deleted");
    }
}

#[test]
fn a_daemon_set_of_somebody_else_is_left_alone() {
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
    let theirs = json!({ "kind": "DaemonSet", "metadata": { "name": "holystone-stale", "uid": "x" }, "spec": {} });
    cluster.daemon_set = Some(theirs.clone());
    assert_eq!(condition(&cluster.step().0.status, "Ready"), ("False", "NameTaken"));
    for (field, value) in [("schedule", json!("nonsense")), ("schedule", json!("@daily")), ("rollout", json!({}))] {
        cluster.edit(field, value);
        cluster.step();
        assert_eq!(cluster.daemon_set, Some(theirs.clone()), "{field}");
    }
}

#[test]
fn a_config_map_of_somebody_else_is_left_alone_and_nothing_goes_on_by_the_spec_before() {
    let mut cluster = scheduled();
    cluster.settle();
    let mut other = Cluster::new(json!({ "schedule": "*/5 * * * *", "mode": "DryRun" }));
    other.settle();
    let mut theirs = other.config_map().clone();
    theirs["metadata"]["ownerReferences"] = json!([{ "kind": "ReplicaSet", "name": "app", "uid": "x" }]);
    let name = theirs["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.config_maps.insert(name.clone(), theirs.clone());
    cluster.is_settled();
    cluster.edit("mode", json!("DryRun"));
    let (decided, done) = cluster.step();
    assert_eq!(done, ["pause AdvancedCronJob stale"]);
    assert_eq!(condition(&decided.status, "Ready"), ("False", "NameTaken"));
    assert!(decided.status.conditions[0].message.contains(&format!("ConfigMap {name}")), "{:?}", decided.status);
    assert_eq!(cluster.config_maps[&name], theirs);
    cluster.is_settled();
}

#[test]
fn what_belonged_to_an_earlier_one_of_this_name_is_waited_for() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.object["metadata"]["uid"] = "u-2".into();
    cluster.object["status"] = json!({ "operator": OPERATOR });
    let (decided, done) = cluster.step();
    assert_eq!(done, Vec::<String>::new(), "it goes with the NodeCleanup that it belonged to");
    assert_eq!(condition(&decided.status, "Ready"), ("False", "Replacing"));
    assert!(decided.again.is_some());
    cluster.config_maps.clear();
    cluster.cron_job = None;
    assert_eq!(cluster.step().1, ["create ConfigMap holystone-stale", "create AdvancedCronJob stale"]);
}

#[test]
fn without_openkruise_it_says_so_and_goes_on_when_it_appears() {
    let mut cluster = scheduled();
    cluster.has_kruise = false;
    let (decided, done) = cluster.step();
    assert_eq!(done, ["create ConfigMap holystone-stale"]);
    assert_eq!(condition(&decided.status, "Ready"), ("False", "OpenKruiseMissing"));
    assert_eq!(decided.events.iter().filter(|event| event.is_warning).count(), 1);
    assert!(decided.again.is_some());
    cluster.is_settled();
    cluster.has_kruise = true;
    assert_eq!(cluster.step().1, ["create AdvancedCronJob stale"]);
    cluster.settle();
}

#[test]
fn an_invalid_spec_names_the_field_and_stops_what_there_is() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.edit("startingDeadlineSeconds", json!(90_000));
    let (decided, done) = cluster.step();
    assert_eq!(done, ["pause AdvancedCronJob stale"]);
    assert_eq!(condition(&decided.status, "Ready"), ("False", "InvalidSpec"));
    assert!(
        decided.status.conditions[0].message.contains("spec.startingDeadlineSeconds: must be at most"),
        "{:?}",
        decided.status
    );
    assert_eq!(decided.events[0].reason, "InvalidSpec");
    cluster.is_settled();
    cluster.edit("startingDeadlineSeconds", json!(60));
    assert_eq!(cluster.step().1, ["apply AdvancedCronJob stale"]);
    assert_eq!(cluster.cron_job.as_ref().unwrap()["spec"]["paused"], false);

    for nonsense in [json!({ "plugins": [] }), json!({ "schedule": "nonsense" }), json!({ "unknown": 1 })] {
        let mut cluster = Cluster::new(nonsense.clone());
        let (decided, done) = cluster.step();
        assert!(done.is_empty(), "{nonsense}");
        assert_eq!(condition(&decided.status, "Ready"), ("False", "InvalidSpec"), "{nonsense}");
    }
    let mut cluster = Cluster::new(json!({}));
    cluster.object["spec"] = json!("no map at all");
    assert!(cluster.step().1.is_empty());
}

#[test]
fn an_invalid_spec_ends_daemons_until_it_is_mended() {
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
    assert_eq!(cluster.step().1, ["create ConfigMap holystone-stale", "create DaemonSet holystone-stale"]);
    cluster.edit("schedule", json!("nonsense"));
    let (decided, done) = cluster.step();
    assert_eq!(done, ["delete DaemonSet holystone-stale"]);
    assert!(decided.events.iter().any(|event| event.reason == "Deleted"), "{:?}", decided.events);
    cluster.is_settled();
    cluster.edit("schedule", json!("@daily"));
    assert_eq!(cluster.step().1, ["create DaemonSet holystone-stale"]);
}

#[test]
fn a_deleted_one_is_left_to_the_garbage_collector() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    cluster.cron_job = None;
    cluster.is_settled();
}

#[test]
fn runs_are_folded_and_told_of_once() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now);
    cluster.pod("stale-1", "a", done("a", 3));
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.as_ref().unwrap();
    assert_eq!((run.name.as_str(), run.phase.as_str(), run.removed), ("stale-1", "Running", 3));
    assert_eq!((run.nodes.desired, run.nodes.active, run.nodes.succeeded), (2, 1, 1));
    let note = "AdvancedCronJob stale started BroadcastJob stale-1";
    assert_eq!(told(&decided), [("RunStarted", note, Some("stale-1"))]);
    cluster.pod("stale-1", "b", done("b", 4));
    cluster.run("stale-1", "completed", cluster.now);
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.phase.as_str(), run.removed, run.nodes.summary.as_str()), ("Complete", 7, "2/2"));
    assert_eq!(decided.events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["RunCompleted"]);
    cluster.is_settled();
    // Its pods vanish, as they do with their nodes.
    cluster.runs.clear();
    cluster.is_settled();
    // The next one takes its place.
    cluster.run("stale-2", "failed", cluster.now + 300);
    cluster.pod("stale-2", "a", NodeState::ended("a", ""));
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.name.as_str(), run.phase.as_str()), ("stale-2", "Failed"));
    assert_eq!((run.nodes.active, run.nodes.skipped), (0, 2), "one ended without a word, one never began");
    assert_eq!(decided.events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["RunStarted", "RunFailed"]);
    cluster.is_settled();
}

#[test]
fn a_dry_run_says_what_it_would_remove_in_the_status_and_in_an_event() {
    let mut cluster = Cluster::new(json!({ "schedule": "*/5 * * * *", "mode": "DryRun" }));
    cluster.settle();
    cluster.run("stale-1", "completed", cluster.now);
    for (node, planned) in [("a", 3), ("b", 4)] {
        let mut brief = report(0);
        brief.outcome.images = Some(Totals { planned, refused: 5, ..Totals::default() });
        let repository = |name: &str, count, size_bytes| PlannedRepository { name: name.to_owned(), count, size_bytes };
        let repositories = vec![repository("docker.io/a/b", planned - 1, 3 << 30), repository("c", 1, 1 << 20)];
        brief.planned = Some(Planned { size_bytes: (3 << 30) + (1 << 20), repositories });
        brief.refusals = [("InUse", 4), ("TooYoung", 1)].map(|(code, count)| (code.to_owned(), count)).into();
        cluster.pod("stale-1", node, NodeState::ended(node, &brief.to_message()));
    }
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.phase.as_str(), run.planned, run.removed), ("Complete", Some(7), 0));
    assert_eq!(run.size_planned_bytes, Some((6 << 30) + (2 << 20)));
    let told: Vec<(&str, &str)> =
        decided.events.iter().map(|event| (event.reason.as_str(), event.note.as_str())).collect();
    let note = "stale-1: 2/2 nodes done, a dry run would remove 7 (6.0 GiB, most of it in docker.io/a/b), 0 removed, 10 \
                refused (8 InUse, 2 TooYoung), 0 failed";
    assert_eq!(told, [("RunCompleted", note)]);
    cluster.is_settled();
}

#[test]
fn an_annotation_starts_a_run_once() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "tuesday" });
    let (decided, done) = cluster.step();
    assert!(done.len() == 1 && done[0].starts_with("create BroadcastJob stale-r"), "{done:?}");
    assert_eq!(decided.status.run_now.as_deref(), Some("tuesday"));
    cluster.settle();
    let job = cluster.jobs.values().next().unwrap().clone();
    assert_eq!(job["metadata"]["ownerReferences"][0]["kind"], "NodeCleanup");
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "wednesday" });
    assert_eq!(cluster.step().1.len(), 1);
    // Cut off before the status was written, it asks for the same run again, which is there already.
    cluster.object["status"]["runNow"] = "tuesday".into();
    let (decided, done) = cluster.step();
    assert_eq!((done, decided.events), (Vec::new(), Vec::new()), "it is there already");
    assert_eq!(decided.status.run_now.as_deref(), Some("wednesday"));
}

#[test]
fn a_word_that_was_used_before_starts_another_run() {
    let mut cluster = scheduled();
    cluster.settle();
    let ask = |cluster: &mut Cluster, word: &str| cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: word });
    for word in ["a", "b"] {
        ask(&mut cluster, word);
        cluster.step();
        cluster.end_own_runs("completed");
    }
    assert_eq!(cluster.jobs.len(), 2);
    ask(&mut cluster, "a");
    let (decided, done) = cluster.step();
    assert!(done.len() == 1 && done[0].starts_with("delete BroadcastJob stale-r"), "it makes room: {done:?}");
    assert_eq!(decided.status.run_now.as_deref(), Some("b"), "it has not been started");
    let (decided, done) = cluster.step();
    assert!(done.len() == 1 && done[0].starts_with("create BroadcastJob stale-r"), "{done:?}");
    assert_eq!(decided.status.run_now.as_deref(), Some("a"));
    cluster.settle();
}

#[test]
fn what_the_annotation_asks_for_is_remembered_at_once() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "x" });
    let (decided, _) = cluster.step();
    assert!(decided.is_news, "else it would be started again");
    assert_eq!(decided.events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["RunStarted"]);
    let (decided, done) = cluster.step();
    assert_eq!((done, decided.events), (Vec::new(), Vec::new()), "it runs, and nothing more is done");
    cluster.is_settled();
}

#[test]
fn a_run_that_is_asked_for_while_paused_is_refused_and_told_once() {
    let mut cluster = scheduled();
    cluster.edit("paused", json!(true));
    cluster.settle();
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "x" });
    let (decided, done) = cluster.step();
    assert_eq!(done, Vec::<String>::new());
    assert_eq!(
        decided.events.iter().map(|event| (event.reason.as_str(), event.note.as_str())).collect::<Vec<_>>(),
        [(
            "RunNowIgnored",
            "the annotation holystone.dev/run-now is ignored: spec.paused is set; give the annotation another value when it \
             is not set any more"
        )]
    );
    assert_eq!(decided.status.last_run, None, "nothing runs");
    cluster.is_settled();
    cluster.edit("paused", json!(false));
    assert_eq!(cluster.step().1, ["apply AdvancedCronJob stale"], "and nothing is started then");
    cluster.settle();
}

fn once() -> Cluster {
    let mut cluster = Cluster::new(json!({ "mode": "Enforce" }));
    cluster.settle();
    cluster
}

#[test]
fn without_a_schedule_it_runs_once_and_again_when_the_spec_changes() {
    let mut cluster = Cluster::new(json!({ "mode": "Enforce" }));
    let (_, done) = cluster.step();
    assert!(done[1].starts_with("create BroadcastJob stale-o"), "{done:?}");
    cluster.settle();
    let first = cluster.jobs.keys().next().unwrap().clone();
    // Gone, by its time to live or by somebody: it has run all the same.
    let job = cluster.jobs[&first].clone();
    cluster.end_own_runs("completed");
    cluster.settle();
    cluster.jobs.clear();
    cluster.is_settled();
    cluster.jobs.insert(first.clone(), job);
    cluster.edit("mode", json!("DryRun"));
    let (_, done) = cluster.step();
    assert!(done.iter().any(|done| done.starts_with("create BroadcastJob stale-o")), "{done:?}");
    assert!(
        done.contains(&format!("delete BroadcastJob {first}")),
        "one that goes on by the old spec is ended: {done:?}"
    );
    cluster.settle();
}

#[test]
fn what_changes_nothing_of_a_run_that_is_done_starts_no_other() {
    let ttl = json!({ "completionPolicy": { "ttlSecondsAfterFinished": 60 } });
    for (field, value) in [
        ("paused", json!(true)),
        ("rollout", ttl),
        ("rollout", json!({ "parallelism": 3 })),
        ("successfulJobsHistoryLimit", json!(9)),
    ] {
        for is_there in [true, false] {
            let mut cluster = once();
            cluster.end_own_runs("completed");
            cluster.settle();
            if !is_there {
                cluster.jobs.clear();
                cluster.settle();
            }
            for value in [value.clone(), Value::Null] {
                cluster.edit(field, value.clone());
                if value.is_null() {
                    cluster.object["spec"].as_object_mut().unwrap().remove(field);
                }
                let (_, done) = cluster.step();
                assert!(!done.iter().any(|done| done.starts_with("create")), "{field} {value}: {done:?}");
                cluster.step();
                cluster.is_settled();
            }
            assert_eq!(cluster.jobs.len(), usize::from(is_there));
        }
    }
    let mut cluster = once();
    cluster.end_own_runs("completed");
    cluster.object["metadata"]["labels"] = json!({ "a": "b" });
    cluster.settle();
    assert_eq!(cluster.jobs.len(), 1);
}

#[test]
fn a_run_that_goes_on_follows_what_may_change_of_it() {
    let mut cluster = once();
    let name = cluster.jobs.keys().next().unwrap().clone();
    let template = cluster.jobs[&name]["spec"]["template"].clone();
    cluster.edit("paused", json!(true));
    assert_eq!(cluster.step().1, [format!("adjust BroadcastJob {name}")]);
    assert_eq!(cluster.jobs[&name]["spec"]["paused"], true);
    cluster.is_settled();
    cluster.edit("paused", json!(false));
    cluster.edit("rollout", json!({ "parallelism": 3, "completionPolicy": { "ttlSecondsAfterFinished": 60 } }));
    assert_eq!(cluster.step().1, [format!("adjust BroadcastJob {name}")]);
    let spec = &cluster.jobs[&name]["spec"];
    assert_eq!((&spec["paused"], &spec["parallelism"]), (&json!(false), &json!(3)));
    assert_eq!(spec["completionPolicy"]["ttlSecondsAfterFinished"], 60);
    cluster.edit("rollout", json!({}));
    assert_eq!(cluster.step().1, [format!("adjust BroadcastJob {name}")]);
    let spec = &cluster.jobs[&name]["spec"];
    assert!(spec.get("parallelism").is_none() && spec["completionPolicy"].get("ttlSecondsAfterFinished").is_none());
    assert_eq!(spec["template"], template, "each of its nodes gets the same");
    cluster.is_settled();
}

#[test]
fn only_its_own_run_follows_an_edit() {
    let mut cluster = once();
    let name = cluster.jobs.keys().next().unwrap().clone();
    let own = cluster.jobs[&name].clone();
    let (mut theirs, mut going) = (own.clone(), own.clone());
    theirs["metadata"]["ownerReferences"][0]["uid"] = "u-2".into();
    going["metadata"]["deletionTimestamp"] = "2026-05-28T20:26:40Z".into();
    cluster.edit("paused", json!(true));
    for other in [theirs, going] {
        cluster.jobs.insert(name.clone(), other);
        assert_eq!(cluster.look().actions, []);
    }
    // An earlier run that is kept on record is none either.
    cluster.jobs.insert(name.clone(), own.clone());
    let mut earlier = own;
    earlier["metadata"]["name"] = "stale-a".into();
    earlier["status"] = json!({ "phase": "completed", "desired": 2, "completionTime": "2026-05-28T20:00:00Z" });
    cluster.jobs.insert("stale-a".to_owned(), earlier);
    assert_eq!(cluster.step().1, [format!("adjust BroadcastJob {name}")]);
}

#[test]
fn what_others_change_of_a_run_is_put_right() {
    let mut cluster = once();
    let name = cluster.jobs.keys().next().unwrap().clone();
    for (path, value) in [("/spec/paused", json!(true)), ("/metadata/annotations", json!({}))] {
        let before = cluster.jobs[&name].clone();
        *cluster.jobs.get_mut(&name).unwrap().pointer_mut(path).unwrap() = value;
        assert_eq!(cluster.step().1, [format!("adjust BroadcastJob {name}")], "{path}");
        let after = &cluster.jobs[&name];
        assert_eq!(after["spec"], before["spec"], "{path}");
        let digest = |job: &Value| job["metadata"]["annotations"]["holystone.dev/spec-digest"].clone();
        assert_eq!(digest(after), digest(&before), "{path}");
        cluster.is_settled();
    }
}

#[test]
fn a_parallelism_that_openkruise_fills_in_is_left() {
    let mut cluster = once();
    cluster.settle();
    let name = cluster.jobs.keys().next().unwrap().clone();
    let parallelism = |cluster: &mut Cluster, value: Value| {
        cluster.jobs.get_mut(&name).unwrap()["spec"]["parallelism"] = value;
    };
    parallelism(&mut cluster, json!(i32::MAX));
    cluster.is_settled();
    parallelism(&mut cluster, json!(3));
    assert_eq!(cluster.step().1, [format!("adjust BroadcastJob {name}")], "another writer slows it down");
    cluster.edit("rollout", json!({ "parallelism": 2 }));
    cluster.settle();
    parallelism(&mut cluster, json!(i32::MAX));
    assert_eq!(cluster.step().1, [format!("adjust BroadcastJob {name}")]);
}

#[test]
fn a_run_that_is_resumed_does_not_wait_for_a_person() {
    let mut cluster = once();
    cluster.edit("paused", json!(true));
    cluster.settle();
    let name = cluster.jobs.keys().next().unwrap().clone();
    cluster.jobs.get_mut(&name).unwrap()["status"] = json!({ "phase": "paused", "desired": 2 });
    cluster.settle();
    cluster.edit("paused", json!(false));
    let (decided, done) = cluster.step();
    assert!(done.contains(&format!("adjust BroadcastJob {name}")), "{done:?}");
    assert_eq!((condition(&decided.status, "Ready"), warnings(&decided)), (("True", "Applied"), Vec::new()));
}

#[test]
fn pausing_a_run_that_is_decided_says_that_it_is_applied() {
    let mut cluster = once();
    cluster.edit("paused", json!(true));
    let status = cluster.step().0.status;
    let ready = status.conditions.iter().find(|condition| condition.kind == "Ready").unwrap();
    assert!(ready.message.ends_with("does what the spec says"), "{}", ready.message);
}

#[test]
fn a_run_that_an_operator_does_not_remember_is_not_started_again() {
    for (phase, after) in [(Value::Null, "another"), (json!("completed"), ""), (json!("completed"), "another")] {
        let mut cluster = once();
        let name = cluster.jobs.keys().next().unwrap().clone();
        let job = cluster.jobs.get_mut(&name).unwrap();
        job["metadata"]["annotations"]["holystone.dev/after"] = after.into();
        if phase != Value::Null {
            job["status"] = json!({ "phase": phase, "desired": 2, "completionTime": "2026-05-28T20:26:40Z" });
        }
        cluster.object["status"] = json!({ "operator": OPERATOR });
        let makes_room = phase != Value::Null && !after.is_empty();
        let done: Vec<String> = cluster.step().1.into_iter().filter(|done| !done.starts_with("adjust")).collect();
        let expected = if makes_room { vec![format!("delete BroadcastJob {name}")] } else { Vec::new() };
        assert_eq!(done, expected, "{phase}, after {after:?}");
    }
}

#[test]
fn a_run_that_is_paused_from_the_start_waits_for_that() {
    let mut cluster = Cluster::new(json!({ "mode": "Enforce", "paused": true }));
    let (decided, done) = cluster.step();
    assert_eq!(done, ["create ConfigMap holystone-stale"]);
    assert_eq!((decided.status.once.as_ref(), decided.status.last_run.as_ref()), (None, None));
    assert!(decided.status.conditions[0].message.starts_with("spec.paused is set, so BroadcastJob stale-o"));
    cluster.is_settled();
    cluster.edit("paused", json!(false));
    assert!(cluster.step().1[0].starts_with("create BroadcastJob stale-o"));
    cluster.settle();
}

#[test]
fn pausing_with_another_spec_stops_the_run_by_the_one_before() {
    let mut cluster = once();
    let name = cluster.jobs.keys().next().unwrap().clone();
    cluster.edit("paused", json!(true));
    cluster.edit("mode", json!("DryRun"));
    let (_, done) = cluster.step();
    assert_eq!(done, ["create ConfigMap holystone-stale".to_owned(), format!("adjust BroadcastJob {name}")]);
    assert_eq!(cluster.jobs[&name]["spec"]["paused"], true);
}

#[test]
fn another_version_of_the_operator_starts_nothing_again() {
    let mut cluster = once();
    cluster.end_own_runs("completed");
    cluster.settle();
    // It would call the run of the same spec by another name.
    cluster.object["status"]["once"] = "stale-o00000000".into();
    cluster.step();
    cluster.is_settled();
    assert_eq!(cluster.jobs.len(), 1);
    // What could not be started is not taken for started, though its generation has been seen.
    cluster.edit("mode", json!("DryRun"));
    let decided = cluster.look();
    let refused = Obstacle::Refused("forbidden".to_owned());
    let status =
        not_applied(&cluster.cleanup(), &decided.status, &refused, true, Timestamp::from_second(cluster.now).unwrap())
            .0;
    cluster.object["status"] = serde_json::to_value(status).unwrap();
    assert!(cluster.step().1.iter().any(|done| done.starts_with("create BroadcastJob stale-o")));
}

#[test]
fn a_spec_that_comes_back_runs_again() {
    let mut cluster = once();
    cluster.end_own_runs("completed");
    cluster.settle();
    cluster.edit("mode", json!("DryRun"));
    cluster.step();
    cluster.end_own_runs("completed");
    cluster.settle();
    cluster.edit("successfulJobsHistoryLimit", json!(9));
    cluster.now += 1_000;
    cluster.edit("mode", json!("Enforce"));
    let (decided, done) = cluster.step();
    assert!(done.len() == 1 && done[0].starts_with("delete BroadcastJob stale-o"), "it makes room: {done:?}");
    assert_eq!(condition(&decided.status, "Ready"), ("False", "Replacing"));
    let (decided, done) = cluster.step();
    assert!(done.len() == 1 && done[0].starts_with("create BroadcastJob stale-o"), "{done:?}");
    assert_eq!(decided.events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["RunStarted"]);
    cluster.settle();
}

#[test]
fn a_schedule_that_is_edited_to_a_time_just_past_starts_nothing() {
    let now = Timestamp::from_second(1_780_000_000).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    let past = |minutes: i64| {
        let at = now.checked_sub(SignedDuration::from_mins(minutes)).unwrap();
        format!("{} {} * * *", at.minute(), at.hour())
    };
    for (field, value) in [("schedule", json!(past(2))), ("timeZone", json!("Asia/Shanghai"))] {
        let mut cluster = Cluster::new(json!({ "schedule": past(300) }));
        cluster.settle();
        cluster.now += 100;
        cluster.edit(field, value);
        let (_, done) = cluster.step();
        assert!(done.contains(&"delete AdvancedCronJob stale".to_owned()), "{field}: {done:?}");
        let (_, done) = cluster.step();
        assert_eq!(done, ["delete ConfigMap holystone-stale", "create AdvancedCronJob stale"]);
        let made = &cluster.cron_job.as_ref().unwrap()["metadata"]["creationTimestamp"];
        assert_eq!(made, &json!(Timestamp::from_second(cluster.now).unwrap().to_string()), "it counts from now on");
    }
}

#[test]
fn times_that_pass_while_paused_are_not_made_up_for() {
    for (field, before, after) in
        [("paused", json!(true), json!(false)), ("startingDeadlineSeconds", json!(10), json!(3_600))]
    {
        for (seconds, is_made_anew) in [(60, false), (199, false), (200, true), (400, true)] {
            let mut cluster = scheduled();
            cluster.edit(field, before.clone());
            cluster.settle();
            // It is 20:26:40, and the schedule has a time every five minutes: the next is 200 seconds away.
            cluster.now += seconds;
            cluster.edit(field, after.clone());
            let (_, done) = cluster.step();
            let expected = if is_made_anew { "delete AdvancedCronJob stale" } else { "apply AdvancedCronJob stale" };
            assert_eq!(done, [expected], "{field} {seconds}");
            cluster.step();
            cluster.settle();
        }
    }
    // A run of that time has been started.
    let mut cluster = scheduled();
    cluster.edit("paused", json!(true));
    cluster.settle();
    cluster.now += 400;
    cluster.cron_job.as_mut().unwrap()["status"]["lastScheduleTime"] =
        Timestamp::from_second(cluster.now - 100).unwrap().to_string().into();
    cluster.edit("paused", json!(false));
    assert_eq!(cluster.step().1, ["apply AdvancedCronJob stale"]);
}

#[test]
fn the_status_never_goes_back_to_an_earlier_run() {
    for later in ["z", "a"] {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: later });
        cluster.step();
        cluster.end_own_runs("completed");
        let by_hand = cluster.jobs.keys().next().unwrap().clone();
        cluster.now += 1_000;
        cluster.run("stale-2", "completed", cluster.now);
        cluster.pod("stale-2", "a", done("a", 3));
        cluster.pod("stale-2", "b", done("b", 4));
        let (decided, _) = cluster.step();
        assert_eq!(decided.status.last_run.as_ref().map(|run| (run.name.as_str(), run.removed)), Some(("stale-2", 7)));
        let kept = decided.status.last_run;
        // The AdvancedCronJob is recreated, and takes its runs along. That by hand stays.
        cluster.now += 1_000;
        cluster.edit("mode", json!("DryRun"));
        for _ in 0..4 {
            let (decided, _) = cluster.step();
            assert_eq!(decided.status.last_run, kept);
            assert_eq!(decided.events.iter().filter(|event| event.reason == EventReason::RunCompleted).count(), 0);
            cluster.collect();
        }
        assert!(cluster.jobs.contains_key(&by_hand) && !cluster.jobs.contains_key("stale-2"));
        cluster.is_settled();
        // The next one takes its place.
        cluster.run("stale-3", "running", cluster.now + 1);
        assert_eq!(cluster.step().0.status.last_run.unwrap().name, "stale-3");
    }
}

#[test]
fn of_two_runs_that_began_together_one_is_the_last_in_whatever_order_they_are_seen() {
    for names in [["stale-1", "stale-2"], ["stale-2", "stale-1"]] {
        let mut cluster = scheduled();
        cluster.settle();
        for name in names {
            cluster.run(name, "completed", cluster.now);
            cluster.step();
        }
        assert_eq!(cluster.look().status.last_run.unwrap().name, "stale-2");
        cluster.is_settled();
    }
}

#[test]
fn the_reports_of_a_run_are_waited_for_before_it_goes_with_its_advanced_cron_job() {
    // A run ends sixty seconds after it began; one that ends ahead of this clock says nothing.
    for (began, waits) in [(-71, false), (-70, false), (-69, true), (-60, true), (-59, false)] {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.run("stale-1", "completed", cluster.now + began);
        cluster.edit("mode", json!("DryRun"));
        let (decided, done) = cluster.step();
        assert_eq!(!done.contains(&"delete AdvancedCronJob stale".to_owned()), waits, "{began}: {done:?}");
        let reason = if waits { "WaitingForRun" } else { "Replacing" };
        assert_eq!(condition(&decided.status, "Ready"), ("False", reason), "{began}");
        assert!(decided.again.is_some());
    }
}

#[test]
fn a_report_that_arrives_after_the_end_replaces_what_was_missed() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "completed", cluster.now - 70);
    cluster.pod("stale-1", "a", done("a", 1));
    cluster.pod("stale-1", "b", NodeState::ended("b", "oom"));
    let run = cluster.step().0.status.last_run.unwrap();
    assert_eq!((run.nodes.succeeded, run.removed), (1, 1));
    assert_eq!(run.errors[0].message, "the pod ended with oom");
    cluster.pod("stale-1", "b", done("b", 2));
    let run = cluster.step().0.status.last_run.unwrap();
    assert_eq!((run.nodes.succeeded, run.removed, run.errors), (2, 3, Vec::new()));
}

#[test]
fn the_counts_of_the_job_count_where_there_are_no_reports() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "completed", cluster.now);
    cluster.jobs.get_mut("stale-1").unwrap()["status"]["succeeded"] = 2.into();
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.phase.as_str(), run.nodes.summary.as_str()), ("Complete", "2/2"));
    assert_eq!((run.nodes.unreported, run.nodes.skipped, run.nodes.active), (2, 0, 0));
    assert_eq!(decided.events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["RunCompleted"]);
    cluster.is_settled();
    // A report is better than a count, and one that comes later is taken in.
    cluster.pod("stale-1", "a", done("a", 3));
    let run = cluster.step().0.status.last_run.unwrap();
    assert_eq!((run.nodes.summary.as_str(), run.nodes.unreported, run.removed), ("2/2", 1, 3));
    // It vanishes again.
    cluster.runs.clear();
    let run = cluster.step().0.status.last_run.unwrap();
    assert_eq!((run.nodes.summary.as_str(), run.nodes.unreported, run.removed), ("2/2", 1, 3));
    cluster.is_settled();
}

#[test]
fn what_failed_by_report_is_not_counted_as_done_by_the_job() {
    let mut cluster = scheduled();
    cluster.settle();
    let mut brief = report(1);
    brief.outcome.result = crate::daemon::RunResult::SomeFailed;
    cluster.run("stale-1", "completed", cluster.now);
    // Both pods ended with 0: on one something failed, of the other nothing is known.
    cluster.jobs.get_mut("stale-1").unwrap()["status"]["succeeded"] = 1.into();
    cluster.jobs.get_mut("stale-1").unwrap()["status"]["failed"] = 1.into();
    cluster.pod("stale-1", "a", NodeState::ended("a", &brief.to_message()));
    let run = cluster.step().0.status.last_run.unwrap();
    assert_eq!((run.phase.as_str(), run.nodes.succeeded, run.nodes.failed, run.nodes.skipped), ("Failed", 0, 1, 1));
    assert_eq!(run.nodes.unreported, 0);
}

#[test]
fn reports_that_were_read_before_a_restart_count_when_the_run_ends() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now);
    cluster.pod("stale-1", "a", done("a", 3));
    cluster.step();
    // The node is gone, and another operator never saw its pod.
    cluster.runs.clear();
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.phase.as_str(), run.removed, run.nodes.succeeded), ("Running", 3, 1));
    cluster.run("stale-1", "completed", cluster.now);
    cluster.jobs.get_mut("stale-1").unwrap()["status"]["succeeded"] = 2.into();
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.phase.as_str(), run.removed, run.nodes.summary.as_str()), ("Complete", 3, "2/2"));
    assert_eq!((run.nodes.unreported, run.nodes.active), (1, 0));
    cluster.is_settled();
}

#[test]
fn a_run_that_is_deleted_before_it_ends_does_not_go_on_for_ever() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now);
    cluster.pod("stale-1", "a", done("a", 3));
    cluster.step();
    cluster.jobs.clear();
    cluster.runs.clear();
    cluster.has_kruise = false;
    assert_eq!(
        cluster.step().0.status.last_run.unwrap().phase.as_str(),
        "Running",
        "nothing is seen of it without OpenKruise"
    );
    cluster.has_kruise = true;
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.phase.as_str(), run.removed, run.nodes.active, run.nodes.skipped), ("Failed", 3, 0, 1));
    assert_eq!(
        run.errors,
        [crate::manifest::status::RunError {
            message: "the BroadcastJob stale-1 was deleted before its end was seen".to_owned(),
            count: 1,
            nodes: Vec::new()
        }]
    );
    assert!(decided.events.iter().any(|event| event.reason == "RunFailed"));
    cluster.is_settled();
}

#[test]
fn a_run_that_is_paused_says_so_and_is_not_over() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "paused", cluster.now);
    cluster.jobs.get_mut("stale-1").unwrap()["status"]["completionTime"] = Value::Null;
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.phase.as_str(), run.finished_at, run.nodes.active), ("Paused", None, 2));
    cluster.is_settled();
}

fn ready(status: &NodeCleanupStatus) -> (&str, &str, &str) {
    let condition = status.conditions.iter().find(|condition| condition.kind == "Ready").unwrap();
    (&condition.status, &condition.reason, &condition.message)
}

fn warnings(decided: &Decided) -> Vec<(&str, &str)> {
    decided
        .events
        .iter()
        .filter(|event| event.is_warning)
        .map(|event| (event.reason.as_str(), event.note.as_str()))
        .collect()
}

#[test]
fn a_run_that_waits_for_a_person_says_so_and_what_to_do() {
    let by_policy = "BroadcastJob stale-1 is paused by failurePolicy Pause, because 1 pod failed (no runtime answers), and \
                     waits for a person: mend what is wrong and delete its failed pods, which are then made again, or \
                     delete the BroadcastJob to give its run up";
    let by_hand = "BroadcastJob stale-1 is paused by its own spec.paused, and waits for a person: set that to false, or \
                   delete the BroadcastJob to give its run up";
    for (paused, message) in [(Value::Null, by_policy), (json!(false), by_policy), (json!(true), by_hand)] {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.run("stale-1", "running", cluster.now);
        cluster.pod("stale-1", "a", NodeState::ended("a", &Brief::not_run("no runtime answers").to_message()));
        cluster.step();
        assert_eq!(ready(&cluster.look().status).1, "Applied", "it goes on");
        let job = cluster.jobs.get_mut("stale-1").unwrap();
        job["status"]["phase"] = "paused".into();
        job["status"]["failed"] = 1.into();
        job["spec"]["paused"] = paused;
        let (decided, _) = cluster.step();
        assert_eq!(ready(&decided.status), ("False", "RunPaused", message));
        assert_eq!(warnings(&decided), [("RunPaused", message)]);
        assert_eq!(condition(&decided.status, "Scheduled").0, "True");
        cluster.is_settled();
        cluster.jobs.get_mut("stale-1").unwrap()["status"]["phase"] = "running".into();
        let (decided, _) = cluster.step();
        assert_eq!((ready(&decided.status).1, warnings(&decided)), ("Applied", Vec::new()), "a person has looked");
    }
}

#[test]
fn a_run_that_the_spec_pauses_does_not_wait_for_a_person() {
    let mut cluster = once();
    let name = cluster.jobs.keys().next().unwrap().clone();
    cluster.edit("paused", json!(true));
    cluster.settle();
    cluster.jobs.get_mut(&name).unwrap()["status"] = json!({ "phase": "paused", "desired": 2 });
    let (decided, _) = cluster.step();
    assert_eq!(decided.status.last_run.as_ref().unwrap().phase.as_str(), "Paused");
    assert_eq!((ready(&decided.status).1, warnings(&decided)), ("Applied", Vec::new()));
}

/// A pod that has been there so many seconds and does not start.
fn held(cluster: &Cluster, node: &str, seconds: i64, why: Option<&str>, is_daemon: bool) -> NodeState {
    let since = Some(Timestamp::from_second(cluster.now - seconds).unwrap());
    let word = NodeResult::Waiting(Held { since, why: why.map(Into::into), is_daemon });
    NodeState { node: node.to_owned(), times: None, word }
}

fn errors(status: &NodeCleanupStatus) -> Vec<(&str, u32, Vec<&str>)> {
    let errors = status.last_run.iter().flat_map(|run| &run.errors);
    errors
        .map(|error| (error.message.as_str(), error.count, error.nodes.iter().map(String::as_str).collect()))
        .collect()
}

#[test]
fn pods_that_do_not_start_say_why_after_a_while() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now);
    for (node, seconds) in [("a", 10), ("b", 3)] {
        let state = held(&cluster, node, seconds, Some("no image"), false);
        cluster.pod("stale-1", node, state);
    }
    let (decided, _) = cluster.step();
    assert_eq!((errors(&decided.status), ready(&decided.status).1), (Vec::new(), "Applied"), "they may still start");
    assert_eq!(decided.again, Some(SignedDuration::from_secs(5)), "until the first of them has taken too long");
    cluster.now += 5;
    let (decided, _) = cluster.step();
    assert_eq!(errors(&decided.status), [("no image", 1, vec!["a"])]);
    let nodes = decided.status.last_run.clone().unwrap().nodes;
    assert_eq!((nodes.active, nodes.waiting, nodes.skipped), (2, 1, 0));
    assert_eq!(ready(&decided.status).1, "Applied", "the other one may still start");
    cluster.now += 10;
    let (decided, _) = cluster.step();
    assert_eq!(errors(&decided.status), [("no image", 2, vec!["a", "b"])]);
    let message = "no pod of stale-1 has started, on 2 nodes: no image";
    assert_eq!(ready(&decided.status), ("False", "PodsNotStarted", message));
    assert_eq!(warnings(&decided), [("PodsNotStarted", message)]);
    cluster.is_settled();
    // One of them starts after all.
    cluster.pod("stale-1", "a", done("a", 3));
    let (decided, _) = cluster.step();
    assert_eq!((errors(&decided.status), ready(&decided.status).1), (vec![("no image", 1, vec!["b"])], "Applied"));
    // The time of the run is over, and the other pod is gone.
    cluster.pod(
        "stale-1",
        "b",
        NodeState { node: "b".to_owned(), times: None, word: NodeResult::Silent("no image".to_owned()) },
    );
    cluster.run("stale-1", "failed", cluster.now);
    let (decided, _) = cluster.step();
    assert_eq!(errors(&decided.status), [("no image", 1, vec!["b"])]);
    let nodes = decided.status.last_run.clone().unwrap().nodes;
    assert_eq!((nodes.active, nodes.waiting, nodes.skipped, nodes.succeeded), (0, 0, 1, 1));
    let note = "stale-1: 1/2 nodes done, 3 removed, 0 refused, 0 failed; on 1 node: no image";
    assert_eq!(warnings(&decided), [("RunFailed", note)]);
}

#[test]
fn a_run_is_stuck_when_those_whose_turn_it_is_are() {
    let mut failed = report(0);
    failed.outcome.result = crate::daemon::RunResult::SomeFailed;
    let ended = vec![done("c", 1).word, NodeState::ended("d", &failed.to_message()).word];
    for (others, is_stuck) in [
        (vec![], true),
        (ended, false),
        (vec![NodeResult::Active], false),
        (vec![NodeResult::Silent("killed".to_owned())], false),
        (vec![NodeResult::Idle], false),
    ] {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.run("stale-1", "running", cluster.now);
        // One pod after the other: most nodes have none yet.
        cluster.jobs.get_mut("stale-1").unwrap()["status"]["desired"] = 5_000.into();
        for node in ["a", "b"] {
            let state = held(&cluster, node, 15, Some("no image"), false);
            cluster.pod("stale-1", node, state);
        }
        for (node, word) in ["c", "d"].into_iter().zip(others.clone()) {
            cluster.pod("stale-1", node, NodeState { node: node.to_owned(), times: None, word });
        }
        let (decided, _) = cluster.step();
        let expected = if is_stuck { "PodsNotStarted" } else { "Applied" };
        assert_eq!(ready(&decided.status).1, expected, "{others:?}");
        assert_eq!(decided.status.last_run.unwrap().nodes.waiting, 2);
    }
}

#[test]
fn a_pod_that_says_nothing_is_asked_about_again() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now);
    for node in ["a", "b"] {
        let state = held(&cluster, node, 15, None, false);
        cluster.pod("stale-1", node, state);
    }
    let (decided, _) = cluster.step();
    let message = "the pod does not start, and its status does not say why; see kubectl describe pod";
    assert_eq!(errors(&decided.status), [(message, 2, vec!["a", "b"])]);
    assert_eq!(decided.again, Some(ASK_AGAIN));
}

#[test]
fn pods_that_are_not_made_are_told_in_the_words_of_events() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now - 5);
    assert_eq!(cluster.step().0.again, Some(PATIENCE - SignedDuration::from_secs(5)));
    cluster.now += 10;
    let (decided, _) = cluster.step();
    assert_eq!((errors(&decided.status), decided.again), (Vec::new(), Some(ASK_AGAIN)), "nothing is known yet");
    cluster.complaints.insert("stale-1".to_owned(), vec!["no pod is made: forbidden".to_owned()]);
    cluster.complaints.insert("stale-0".to_owned(), vec!["of another run".to_owned()]);
    let (decided, _) = cluster.step();
    assert_eq!(errors(&decided.status), [("no pod is made: forbidden", 2, vec![])]);
    let message = "no pod of stale-1 has started, on 2 nodes: no pod is made: forbidden";
    assert_eq!(ready(&decided.status), ("False", "PodsNotStarted", message));
    assert_eq!(warnings(&decided), [("PodsNotStarted", message)]);
    let nodes = decided.status.last_run.unwrap().nodes;
    assert_eq!((nodes.desired, nodes.active, nodes.waiting), (2, 2, 2));
    cluster.is_settled();
    // While one is running, the others wait for their turn.
    let active = NodeState { node: "a".to_owned(), times: None, word: NodeResult::Active };
    cluster.pod("stale-1", "a", active);
    assert_eq!(errors(&cluster.look().status), [] as [(&str, u32, Vec<&str>); 0]);
    cluster.runs.clear();
    // The deadline.
    cluster.run("stale-1", "failed", cluster.now);
    let (decided, _) = cluster.step();
    assert_eq!(errors(&decided.status), [("no pod is made: forbidden", 2, vec![])]);
    let message = "stale-1 was done on no node: no pod is made: forbidden";
    assert_eq!(ready(&decided.status), ("False", "NoNodeDone", message));
    cluster.is_settled();
    // An operator that starts then knows nothing of it but what the status says.
    cluster.complaints.clear();
    cluster.is_settled();
    // Another spec may do better.
    cluster.edit("successfulJobsHistoryLimit", json!(9));
    cluster.step();
    assert_eq!(ready(&cluster.step().0.status).1, "Applied");
}

#[test]
fn a_run_that_failed_without_any_pod_says_what_openkruise_says() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "failed", cluster.now);
    let conditions = json!([{ "type": "Complete", "message": "no" }, { "type": "Failed", "message": "Job was active longer than specified deadline" }]);
    cluster.jobs.get_mut("stale-1").unwrap()["status"]["conditions"] = conditions;
    let (decided, _) = cluster.step();
    let message = "there is no report: BroadcastJob stale-1 failed: Job was active longer than specified deadline";
    assert_eq!(errors(&decided.status), [(message, 2, vec![])]);
    cluster.is_settled();
}

#[test]
fn a_run_without_a_node_is_told_when_it_has_had_its_time() {
    for (seconds, is_told) in [(14, false), (15, true), (16, true)] {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.run("stale-1", "running", cluster.now - seconds);
        cluster.jobs.get_mut("stale-1").unwrap()["status"]["desired"] = 0.into();
        let (decided, _) = cluster.step();
        let reason = if is_told { "NoNodeMatches" } else { "Applied" };
        assert_eq!(ready(&decided.status).1, reason, "after {seconds} s");
        assert!(is_told || decided.again == Some(SignedDuration::from_secs(1)), "{:?}", decided.again);
    }
}

#[test]
fn what_openkruise_says_of_a_run_is_no_error_of_nodes_that_have_reported() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "failed", cluster.now - 70);
    let conditions = json!([{ "type": "Failed", "message": "Job was active longer than specified deadline" }]);
    cluster.jobs.get_mut("stale-1").unwrap()["status"]["conditions"] = conditions;
    for node in ["a", "b"] {
        cluster.pod("stale-1", node, done(node, 1));
    }
    assert_eq!(errors(&cluster.step().0.status), []);
}

#[test]
fn the_end_of_a_run_whose_pods_have_gone_counts_each_node_once() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now - 70);
    let mut failed = report(0);
    failed.outcome.result = crate::daemon::RunResult::SomeFailed;
    cluster.pod("stale-1", "a", done("a", 1));
    cluster.pod("stale-1", "b", NodeState::ended("b", &failed.to_message()));
    cluster.step();
    cluster.runs.clear();
    cluster.run("stale-1", "completed", cluster.now - 70);
    let status = &mut cluster.jobs.get_mut("stale-1").unwrap()["status"];
    (status["desired"], status["succeeded"]) = (3.into(), 3.into());
    let nodes = cluster.step().0.status.last_run.unwrap().nodes;
    assert_eq!((nodes.succeeded, nodes.failed, nodes.unreported, nodes.skipped), (2, 1, 1, 0));
}

#[test]
fn what_keeps_pods_from_being_made_comes_before_what_nodes_say() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "failed", cluster.now - 70);
    cluster.jobs.get_mut("stale-1").unwrap()["status"]["desired"] = 12.into();
    let said: Vec<(String, String)> = ('a'..='j').map(|node| (node.to_string(), format!("word {node}"))).collect();
    for (node, word) in &said {
        cluster.pod("stale-1", node, NodeState::ended(node, word));
    }
    cluster.complaints.insert("stale-1".to_owned(), vec!["no pod is made: forbidden".to_owned()]);
    let status = cluster.step().0.status;
    let messages: Vec<String> = said.iter().map(|(_, word)| format!("the pod ended with {word}")).collect();
    // Ten are named, and the last of the nodes has to make room.
    let mut expected = vec![("no pod is made: forbidden", 2, Vec::new())];
    let of_nodes = said.iter().zip(&messages).take(9);
    expected.extend(of_nodes.map(|((node, _), message)| (message.as_str(), 1, vec![node.as_str()])));
    assert_eq!(errors(&status), expected);
}

#[test]
fn a_selector_that_matches_no_node_is_told() {
    let long = json!({ "a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6" });
    for (selector, words) in [
        (
            json!({ "disk": "ssd" }),
            "no node matches spec.rollout.nodeSelector disk=ssd and has no taint but those that spec.rollout.tolerations tolerates; see kubectl get nodes --show-labels",
        ),
        (
            long,
            "no node matches spec.rollout.nodeSelector a=1, b=2, c=3, d=4, e=5 and has no taint but those that spec.rollout.tolerations tolerates; see kubectl get nodes --show-labels",
        ),
        (
            json!({}),
            "no node is Linux, can be scheduled, and has no taint but those that spec.rollout.tolerations tolerates; see kubectl describe nodes",
        ),
    ] {
        for engine in ["BroadcastJob", "DaemonSet"] {
            let rollout = json!({ "engine": engine, "nodeSelector": selector });
            let mut cluster = Cluster::new(json!({ "schedule": "*/5 * * * *", "rollout": rollout }));
            cluster.settle();
            let name = if engine == "DaemonSet" {
                let set = cluster.daemon_set.as_mut().unwrap();
                set["metadata"]["generation"] = 1.into();
                set["status"] = json!({ "observedGeneration": 1, "desiredNumberScheduled": 0 });
                cluster.runs.insert("holystone-stale".to_owned(), BTreeMap::new());
                "holystone-stale"
            } else {
                cluster.run("stale-1", "completed", cluster.now);
                cluster.jobs.get_mut("stale-1").unwrap()["status"]["desired"] = 0.into();
                "stale-1"
            };
            let (decided, _) = cluster.step();
            assert_eq!(errors(&decided.status), [(words, 0, vec![])], "{engine}");
            let message = format!("{name} has nowhere to run: {words}");
            assert_eq!(ready(&decided.status), ("False", "NoNodeMatches", message.as_str()));
            assert!(warnings(&decided).contains(&("NoNodeMatches", message.as_str())), "{:?}", decided.events);
            cluster.is_settled();
        }
    }
}

#[test]
fn daemons_that_have_not_run_yet_wait_for_their_time() {
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
    cluster.settle();
    let set = cluster.daemon_set.as_mut().unwrap();
    set["metadata"]["generation"] = 1.into();
    set["status"] = json!({ "observedGeneration": 1, "desiredNumberScheduled": 2 });
    let said = |node: &str, word| NodeState { node: node.to_owned(), times: None, word };
    let phase = |cluster: &mut Cluster| cluster.step().0.status.last_run.unwrap().phase.as_str();
    cluster.pod("holystone-stale", "a", said("a", NodeResult::Idle));
    cluster.pod("holystone-stale", "b", said("b", NodeResult::Idle));
    let (decided, _) = cluster.step();
    assert_eq!(decided.status.last_run.as_ref().unwrap().phase.as_str(), "Waiting");
    assert_eq!(condition(&decided.status, "PluginsResolved"), ("False", "NoRunYet"));
    assert!(decided.events.is_empty(), "{:?}", decided.events);
    cluster.is_settled();
    cluster.pod("holystone-stale", "a", said("a", NodeResult::Active));
    assert_eq!(phase(&mut cluster), "Running");
    let mut brief = report(3);
    brief.plugins = vec![BriefPlugin { name: "p".to_owned(), digest: Some(format!("sha256:{:064}", 1)) }];
    let at = |second| Some((Timestamp::from_second(second).unwrap(), Timestamp::from_second(second + 1).unwrap()));
    let ended = |node: &str| NodeState { times: at(10), ..NodeState::ended(node, &brief.to_message()) };
    cluster.pod("holystone-stale", "a", ended("a"));
    assert_eq!(phase(&mut cluster), "Waiting", "the other one has not had its first run");
    cluster.pod("holystone-stale", "b", ended("b"));
    let (decided, _) = cluster.step();
    assert_eq!(decided.status.last_run.as_ref().unwrap().phase.as_str(), "Complete");
    assert_eq!(condition(&decided.status, "PluginsResolved"), ("True", "Resolved"));
    cluster.is_settled();
}

#[test]
fn daemons_that_do_not_stay_started_are_skipped_and_say_why() {
    for order in [["a", "b"], ["b", "a"]] {
        let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
        cluster.settle();
        cluster.daemon_set.as_mut().unwrap()["status"] = json!({ "desiredNumberScheduled": 2 });
        for node in order {
            let state = held(&cluster, node, 20, Some("the container ends again and again"), true);
            cluster.pod("holystone-stale", node, state);
        }
        let (decided, _) = cluster.step();
        assert_eq!(errors(&decided.status), [("the container ends again and again", 2, vec!["a", "b"])]);
        let nodes = decided.status.last_run.clone().unwrap().nodes;
        assert_eq!((nodes.active, nodes.skipped, nodes.waiting), (0, 2, 2));
        assert_eq!(ready(&decided.status).1, "PodsNotStarted");
    }
}

#[test]
fn daemons_of_nodes_that_have_left_do_not_keep_the_status_at_an_earlier_run() {
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
    cluster.settle();
    cluster.daemon_set.as_mut().unwrap()["status"] = json!({ "desiredNumberScheduled": 2 });
    let at = |second| Some((Timestamp::from_second(second).unwrap(), Timestamp::from_second(second + 1).unwrap()));
    for node in ["a", "b"] {
        cluster.pod("holystone-stale", node, NodeState { times: at(10), ..done(node, 3) });
    }
    assert_eq!(cluster.step().0.status.last_run.unwrap().removed, 6);
    // One does not answer for a while.
    let silent = NodeState { node: "b".to_owned(), times: None, word: NodeResult::Silent("no answer".to_owned()) };
    cluster.pod("holystone-stale", "b", silent.clone());
    assert_eq!(cluster.step().0.status.last_run.unwrap().removed, 6, "what was said stays said");
    // The other has a later run.
    cluster.pod("holystone-stale", "a", NodeState { times: at(20), ..done("a", 1) });
    let run = cluster.step().0.status.last_run.unwrap();
    assert_eq!((run.removed, run.nodes.skipped, run.finished_at), (1, 1, at(20).map(|times| times.1)));
}

#[test]
fn runs_of_its_own_are_kept_as_the_limits_say() {
    let mut cluster = scheduled();
    cluster.edit("successfulJobsHistoryLimit", json!(1));
    cluster.settle();
    for (at, word) in ["a", "b", "c"].into_iter().enumerate() {
        cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: word });
        cluster.step();
        cluster.now += 100;
        for job in cluster.jobs.values_mut().filter(|job| job.get("status").is_none()) {
            let started = Timestamp::from_second(cluster.now + i64::try_from(at).unwrap()).unwrap().to_string();
            job["status"] = json!({ "phase": "completed", "startTime": started, "completionTime": started });
        }
    }
    cluster.step();
    assert_eq!(cluster.jobs.len(), 1);
}

#[test]
fn successful_and_failed_runs_are_kept_apart_and_those_of_others_are_no_runs() {
    let mut cluster = scheduled();
    cluster.edit("successfulJobsHistoryLimit", json!(1));
    cluster.edit("failedJobsHistoryLimit", json!(2));
    cluster.settle();
    let mut put = |name: &str, phase: &str, started: i64, uid: &str, is_going: bool| {
        let time = Timestamp::from_second(1_780_000_000 + started).unwrap().to_string();
        let mut job = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "BroadcastJob",
            "metadata": { "name": name, "uid": name, "ownerReferences": [{ "kind": "NodeCleanup", "name": "stale", "uid": uid }] },
            "status": { "phase": phase, "startTime": time, "completionTime": time },
        });
        if is_going {
            job["metadata"]["deletionTimestamp"] = time.into();
        }
        cluster.jobs.insert(name.to_owned(), job);
    };
    for (place, name) in ["f1", "f2", "f3"].into_iter().enumerate() {
        put(name, "failed", i64::try_from(place).unwrap(), "u-1", false);
    }
    put("s1", "completed", 1, "u-1", false);
    put("s2", "completed", 2, "u-1", false);
    put("theirs", "completed", 0, "u-2", false);
    put("going", "completed", 0, "u-1", true);
    put("running", "running", 9, "u-1", false);
    let gone: Vec<String> = cluster.look().actions.iter().map(ToString::to_string).collect();
    assert_eq!(gone, ["delete BroadcastJob f1", "delete BroadcastJob s1"]);
}

#[test]
fn only_a_run_of_the_advanced_cron_job_is_waited_for() {
    for (kind, name, waits) in
        [("AdvancedCronJob", "stale", true), ("AdvancedCronJob", "other", false), ("ReplicaSet", "stale", false)]
    {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.run("stale-1", "running", cluster.now);
        cluster.jobs.get_mut("stale-1").unwrap()["metadata"]["ownerReferences"] =
            json!([{ "kind": kind, "name": name }]);
        cluster.edit("mode", json!("DryRun"));
        let reason = if waits { "WaitingForRun" } else { "Replacing" };
        assert_eq!(condition(&cluster.step().0.status, "Ready"), ("False", reason), "{kind} {name}");
    }
}

#[test]
fn a_digest_of_a_run_leaves_out_the_template_which_stays() {
    let job = once().jobs.into_values().next().unwrap();
    let mut spec = job["spec"].clone();
    spec["template"] = Value::Null;
    assert_eq!(
        job["metadata"]["annotations"]["holystone.dev/spec-digest"],
        super::super::render::digest(&spec.to_string())
    );
    let mut cluster = scheduled();
    cluster.settle();
    let cron_job = cluster.cron_job.unwrap();
    let whole = super::super::render::digest(&cron_job["spec"].to_string());
    assert_eq!(cron_job["metadata"]["annotations"]["holystone.dev/spec-digest"], whole);
}

#[test]
fn another_engine_takes_the_place_of_the_one_before() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.edit("rollout", json!({ "engine": "DaemonSet" }));
    let (_, done) = cluster.step();
    assert!(done.contains(&"delete AdvancedCronJob stale".to_owned()), "{done:?}");
    assert!(done.contains(&"create DaemonSet holystone-stale".to_owned()), "{done:?}");
    cluster.settle();
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "x" });
    let (decided, done) = cluster.step();
    assert!(done.is_empty() && decided.events[0].reason == "RunNowIgnored");
    cluster.settle();
    cluster.edit("rollout", json!({}));
    let (_, done) = cluster.step();
    assert!(done.contains(&"delete DaemonSet holystone-stale".to_owned()), "{done:?}");
}

#[test]
fn daemons_are_folded_too() {
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
    cluster.settle();
    cluster.daemon_set.as_mut().unwrap()["status"] = json!({ "desiredNumberScheduled": 3 });
    let times = Some((Timestamp::from_second(1).unwrap(), Timestamp::from_second(9).unwrap()));
    cluster.pod("holystone-stale", "a", NodeState { times, ..done("a", 3) });
    cluster.pod(
        "holystone-stale",
        "b",
        NodeState { node: "b".to_owned(), times: None, word: NodeResult::Silent("no answer".to_owned()) },
    );
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.phase.as_str(), run.nodes.active, run.nodes.skipped, run.removed), ("Waiting", 1, 1, 3));
    assert_eq!(run.finished_at, times.map(|times| times.1));
    cluster.is_settled();
}

#[test]
fn daemons_that_have_all_run_are_complete_or_failed() {
    let mut failed = report(0);
    failed.outcome.result = crate::daemon::RunResult::SomeFailed;
    for (second, phase) in [(done("b", 1), "Complete"), (NodeState::ended("b", &failed.to_message()), "Failed")] {
        let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
        cluster.settle();
        cluster.daemon_set.as_mut().unwrap()["status"] = json!({ "desiredNumberScheduled": 2 });
        cluster.pod("holystone-stale", "a", done("a", 3));
        cluster.pod("holystone-stale", "b", second);
        assert_eq!(cluster.step().0.status.last_run.unwrap().phase.as_str(), phase);
    }
}

#[test]
fn daemons_that_are_not_made_on_nodes_that_there_are_have_a_reason_of_their_own() {
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
    cluster.settle();
    let set = cluster.daemon_set.as_mut().unwrap();
    set["metadata"]["generation"] = 1.into();
    set["status"] = json!({ "observedGeneration": 1, "desiredNumberScheduled": 2 });
    cluster.runs.insert("holystone-stale".to_owned(), BTreeMap::new());
    cluster.complaints.insert("holystone-stale".to_owned(), vec!["no pod is made: a webhook says no".to_owned()]);
    cluster.now += 60;
    let status = cluster.step().0.status;
    assert_eq!(errors(&status), [("no pod is made: a webhook says no", 2, vec![])]);
    assert_eq!(ready(&status).1, "PodsNotStarted");
}

#[test]
fn plugins_that_differ_between_nodes_are_told() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now);
    for (node, digest) in [("a", 1), ("b", 2)] {
        let mut brief = report(1);
        let plugin = |name: &str| BriefPlugin { name: name.to_owned(), digest: Some(format!("sha256:{digest:064}")) };
        brief.plugins = ["p", "not of the spec"].map(plugin).to_vec();
        cluster.pod("stale-1", node, NodeState::ended(node, &brief.to_message()));
    }
    let (decided, _) = cluster.step();
    assert_eq!(condition(&decided.status, "PluginsResolved"), ("False", "Different"));
    assert_eq!(decided.events[0].reason, "RunStarted");
    assert_eq!(decided.events[1].reason, "PluginsDiffer");
    assert_eq!(decided.events[1].note, "not all nodes have the same bytes, or some have none, of: p");
    let names: Vec<&str> = decided.status.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["p"], "what a pod names beyond the spec is left out");
    cluster.is_settled();
    // What the nodes had loaded stays known when the run has gone.
    cluster.run("stale-1", "completed", cluster.now);
    cluster.step();
    cluster.jobs.clear();
    cluster.runs.clear();
    assert_eq!(condition(&cluster.step().0.status, "PluginsResolved"), ("False", "Different"));
    cluster.is_settled();
}

#[test]
fn times_that_are_none_are_left_out() {
    let mut cluster = Cluster::new(json!({ "schedule": "@hourly", "rollout": { "engine": "DaemonSet" } }));
    cluster.settle();
    let now = cluster.now;
    let time = |second: i64| Timestamp::from_second(second).unwrap();
    let ahead = now + 3_600;
    for (started, finished, kept) in [
        (now - 9, now - 5, (Some(now - 9), Some(now - 5))),
        (now, ahead, (Some(now), Some(ahead))),
        (now, ahead + 1, (Some(now), None)),
        (0, now, (Some(0), Some(now))),
        (-1, now, (None, Some(now))),
        (Timestamp::MIN.as_second(), Timestamp::MAX.as_second(), (None, None)),
    ] {
        let state = NodeState { times: Some((time(started), time(finished))), ..done("a", 3) };
        cluster.pod("holystone-stale", "a", state);
        let run = cluster.look().status.last_run.unwrap();
        let seconds = (run.started_at.map(Timestamp::as_second), run.finished_at.map(Timestamp::as_second));
        assert_eq!(seconds, kept, "{started} {finished}");
    }
}

#[test]
fn a_message_of_a_condition_is_bounded() {
    let plugins: Vec<Value> = (0..3_000).map(|at| json!({ "name": format!("p{at}"), "sauce": {} })).collect();
    let cluster = Cluster::new(json!({ "plugins": plugins }));
    let status = cluster.look().status;
    let ready = status.conditions.iter().find(|condition| condition.kind == "Ready").unwrap();
    assert_eq!((ready.reason.as_str(), ready.message.chars().count()), ("InvalidSpec", 4_097));
    assert!(ready.message.starts_with("the spec cannot be used, and nothing more is started: spec.plugins"));
}

#[test]
fn what_could_not_be_done_is_not_taken_for_done() {
    let mut cluster = Cluster::new(json!({ "mode": "Enforce" }));
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "x" });
    let decided = cluster.look();
    let now = Timestamp::from_second(cluster.now).unwrap();
    let refused = Obstacle::Refused("forbidden".to_owned());
    let (status, event) = not_applied(&cluster.cleanup(), &decided.status, &refused, true, now);
    assert_eq!(condition(&status, "Ready"), ("False", "ApplyFailed"));
    assert_eq!(event.map(|event| (event.reason.as_str(), event.note)), Some(("ApplyFailed", "forbidden".to_owned())));
    assert_eq!((status.once.as_ref(), status.run_now.as_ref()), (None, None));
    let long = format!("failed calling webhook {}: connection refused", "x".repeat(2_000));
    let message = not_applied(&cluster.cleanup(), &decided.status, &Obstacle::Refused(long), true, now).1.unwrap().note;
    assert!(message.starts_with("failed calling webhook x") && message.ends_with("x: connection refused"), "{message}");
    assert_eq!(message.chars().count(), 600);
    cluster.object["status"] = serde_json::to_value(&status).unwrap();
    assert!(!is_news(&cluster.cleanup(), &status));
    assert_eq!(cluster.look().actions, decided.actions, "it is tried again");
    let again = Obstacle::Refused("forbidden, once more".to_owned());
    assert_eq!(not_applied(&cluster.cleanup(), &decided.status, &again, true, now).1, None, "it is told once");
    let create = &decided.actions[0];
    let taken = create.obstacle(true, "already exists".to_owned());
    let name = name_of_config_map(create);
    assert_eq!(taken, Obstacle::NameTaken { kind: "ConfigMap".to_owned(), name: name.clone() });
    let (status, event) = not_applied(&cluster.cleanup(), &decided.status, &taken, true, now);
    assert_eq!(condition(&status, "Ready"), ("False", "NameTaken"));
    assert_eq!(
        event.unwrap().note,
        format!(
            "there is the ConfigMap {name} already, which belongs to another owner and is left as it is; delete or \
             rename it, or give this NodeCleanup another name"
        )
    );
    let apply = Action::Apply(create.object().clone());
    for (action, is_there_already) in [(create, false), (&apply, true), (&apply, false)] {
        let refused = action.obstacle(is_there_already, "a conflict".to_owned());
        assert_eq!(refused, Obstacle::Refused("a conflict".to_owned()), "{action}, {is_there_already}");
    }
}

#[test]
fn only_ready_says_what_could_not_be_done_and_since_when() {
    let mut cluster = scheduled();
    let decided = cluster.look().status;
    let now = cluster.now;
    let at = |seconds: i64| Timestamp::from_second(now + seconds).unwrap();
    let others = |status: &NodeCleanupStatus| status.conditions[1..].to_vec();
    let taken = |name: &str| Obstacle::NameTaken { kind: "ConfigMap".to_owned(), name: name.to_owned() };
    let refused = || Obstacle::Refused("forbidden".to_owned());
    cluster.object["status"] = serde_json::to_value(&decided).unwrap();
    for (seconds, obstacle, event) in [
        (5, refused(), Some("ApplyFailed")),
        (6, refused(), None),
        (7, taken("a"), Some("NameTaken")),
        (8, taken("a"), None),
        (9, taken("b"), Some("NameTaken")),
        (10, refused(), Some("ApplyFailed")),
    ] {
        let (status, note) = not_applied(&cluster.cleanup(), &decided, &obstacle, true, at(seconds));
        assert_eq!(others(&status), others(&decided));
        assert_eq!((status.conditions[0].kind.as_str(), status.conditions[0].status.as_str()), ("Ready", "False"));
        assert_eq!(status.conditions[0].last_transition_time, at(5), "after {seconds} s");
        assert_eq!(note.map(|note| note.reason.as_str()), event, "after {seconds} s");
        cluster.object["status"] = serde_json::to_value(&status).unwrap();
    }
}

#[test]
fn a_condition_has_the_time_since_which_its_status_is_what_it_is() {
    let mut cluster = scheduled();
    cluster.settle();
    let start = cluster.now;
    let since = |status: &NodeCleanupStatus| {
        let conditions = status.conditions.iter();
        conditions.map(|it| (it.kind.clone(), it.last_transition_time.as_second() - start)).collect::<Vec<_>>()
    };
    for (field, value, expected) in [
        ("paused", json!(true), [0, 10, 0]),
        // Scheduled has another reason, and is as false as before.
        ("schedule", json!("nonsense"), [20, 10, 0]),
        ("schedule", json!("*/5 * * * *"), [30, 10, 0]),
        ("paused", json!(false), [30, 40, 0]),
    ] {
        cluster.now += 10;
        cluster.edit(field, value);
        let status = cluster.step().0.status;
        let kinds = ["Ready", "Scheduled", "PluginsResolved"].map(str::to_owned);
        assert_eq!(since(&status), kinds.into_iter().zip(expected).collect::<Vec<_>>(), "{field}");
        assert_eq!(since(&cluster.look().status), since(&status), "a second look changes none");
    }
}

#[test]
fn what_is_wanted_is_there_beside_what_others_add() {
    let live = json!({ "a": 1, "list": [{ "b": 2, "more": 3 }], "empty": {}, "more": 4 });
    for want in [
        json!({}),
        json!({ "a": 1 }),
        json!({ "list": [{ "b": 2 }] }),
        // What an API server leaves out.
        json!({ "none": null, "off": false, "object": {}, "array": [] }),
        json!({ "list": [{ "b": 2, "none": null }], "empty": { "array": [] } }),
    ] {
        assert!(contains(&live, &want), "{want}");
    }
    for want in [
        json!({ "a": 2 }),
        json!({ "a": null }),
        json!({ "list": [] }),
        json!({ "list": [{ "b": 2 }, {}] }),
        json!({ "list": [{ "b": 3 }] }),
        json!({ "none": true }),
        json!({ "none": 0 }),
        json!({ "object": { "x": {} } }),
        json!({ "array": [null] }),
        json!({ "empty": [] }),
        json!([]),
    ] {
        assert!(!contains(&live, &want), "{want}");
    }
}

fn name_of_config_map(action: &Action) -> String {
    action.object()["metadata"]["name"].as_str().unwrap().to_owned()
}

/// Something that happens to a cluster.
type Change = fn(&mut Cluster);

/// The events of a decision, with the run that each is about.
fn told(decided: &Decided) -> Vec<(&str, &str, Option<&str>)> {
    let events = decided.events.iter();
    events
        .map(|event| {
            let run = event.run.as_ref().map(|(kind, name)| {
                assert_eq!(*kind, "BroadcastJob");
                name.as_str()
            });
            (event.reason.as_str(), event.note.as_str(), run)
        })
        .collect()
}

#[test]
fn the_end_of_each_run_is_an_event_in_whatever_order_they_end() {
    for order in [["stale-1", "x", "y"], ["y", "x", "stale-1"], ["x", "stale-1", "y"]] {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.run("stale-1", "running", cluster.now);
        cluster.step();
        let mut names = BTreeMap::from([("stale-1", "stale-1".to_owned())]);
        for word in ["x", "y"] {
            cluster.now += 1;
            cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: word });
            let started = cluster.step().1[0].strip_prefix("create BroadcastJob ").unwrap().to_owned();
            names.insert(word, started);
            cluster.step();
        }
        let last = cluster.look().status;
        assert_eq!(last.last_run.map(|run| run.name), Some(names["y"].clone()));
        assert_eq!(last.active_runs, [names["x"].as_str(), "stale-1"], "the latest first");
        for word in order {
            let (name, now) = (&names[word], Timestamp::from_second(cluster.now).unwrap().to_string());
            let status = json!({ "phase": "completed", "desired": 2, "succeeded": 2, "completionTime": now });
            cluster.jobs.get_mut(name).unwrap()["status"] = status;
            let note = format!("{name}: 2/2 nodes done, 0 removed, 0 refused, 0 failed");
            assert_eq!(told(&cluster.step().0), [("RunCompleted", note.as_str(), Some(name.as_str()))]);
            cluster.is_settled();
        }
        assert_eq!(cluster.look().status.active_runs, [""; 0]);
    }
}

#[test]
fn the_end_of_a_run_that_was_deleted_beside_another_is_an_event() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now);
    cluster.step();
    cluster.run("stale-2", "running", cluster.now + 60);
    assert_eq!(cluster.step().0.status.active_runs, ["stale-1"]);
    cluster.jobs.remove("stale-1");
    cluster.has_kruise = false;
    assert_eq!(cluster.look().status.active_runs, ["stale-1"], "nothing is seen of it without OpenKruise");
    cluster.has_kruise = true;
    let note = "the BroadcastJob stale-1 was deleted before its end was seen";
    let (decided, _) = cluster.step();
    assert_eq!(told(&decided), [("RunFailed", note, Some("stale-1"))]);
    assert_eq!(decided.status.active_runs, [""; 0]);
    cluster.is_settled();
}

#[test]
fn runs_that_began_and_ended_between_two_looks_are_events() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "completed", cluster.now);
    cluster.step();
    cluster.run("stale-2", "failed", cluster.now + 60);
    cluster.run("stale-3", "completed", cluster.now + 120);
    let (decided, _) = cluster.step();
    let reasons: Vec<(&str, Option<&str>)> = told(&decided).into_iter().map(|(reason, _, run)| (reason, run)).collect();
    assert_eq!(
        reasons,
        [
            ("RunStarted", Some("stale-2")),
            ("RunStarted", Some("stale-3")),
            ("RunFailed", Some("stale-2")),
            ("RunFailed", Some("stale-3"))
        ]
    );
    cluster.is_settled();
}

#[test]
fn of_very_many_runs_the_latest_are_waited_for() {
    let mut cluster = scheduled();
    cluster.settle();
    for at in 0..30 {
        cluster.run(&format!("stale-{at:02}"), "running", cluster.now + at);
    }
    let active = cluster.step().0.status.active_runs;
    assert_eq!((active.len(), active[0].as_str(), active[19].as_str()), (20, "stale-28", "stale-09"));
    cluster.is_settled();
}

#[test]
fn the_start_of_each_run_of_the_schedule_is_an_event() {
    let mut cluster = scheduled();
    cluster.settle();
    let begun = |decided: &Decided| -> Vec<(String, String)> {
        let starts = told(decided).into_iter().filter(|(reason, ..)| *reason == "RunStarted");
        starts.map(|(_, note, run)| (note.to_owned(), run.unwrap().to_owned())).collect()
    };
    let start = |name: &str| (format!("AdvancedCronJob stale started BroadcastJob {name}"), name.to_owned());
    cluster.run("stale-1", "running", cluster.now);
    assert_eq!(begun(&cluster.step().0), [start("stale-1")]);
    cluster.is_settled();
    // A run by hand beside it is reported when it is created, and is none of the schedule.
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "x" });
    cluster.now += 1;
    let (decided, done) = cluster.step();
    let by_hand = done[0].strip_prefix("create BroadcastJob ").unwrap().to_owned();
    let note = format!("started BroadcastJob {by_hand}, as the annotation holystone.dev/run-now asks");
    assert_eq!(begun(&decided), [(note, by_hand)]);
    assert_eq!(begun(&cluster.step().0), []);
    // Two at one look, one of which has ended already, in the order of their starts.
    cluster.run("stale-3", "running", cluster.now + 120);
    cluster.run("stale-2", "completed", cluster.now + 60);
    assert_eq!(begun(&cluster.step().0), [start("stale-2"), start("stale-3")]);
    cluster.is_settled();
    // The clock of OpenKruise was set back between two runs.
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "completed", cluster.now + 180);
    cluster.step();
    cluster.run("stale-2", "running", cluster.now + 60);
    assert_eq!(begun(&cluster.step().0), [start("stale-2")]);
    cluster.is_settled();
    // A run that ended before the status knew any run has no event.
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "completed", cluster.now - 100);
    assert_eq!(begun(&cluster.step().0), []);
}

#[test]
fn a_run_that_the_next_one_waits_for_is_named_beside_the_next_time() {
    let message = |cluster: &Cluster| {
        let status = cluster.look().status;
        let scheduled = status.conditions.into_iter().find(|condition| condition.kind == "Scheduled").unwrap();
        (scheduled.status, scheduled.message)
    };
    let says = |words: &str| ("True".to_owned(), format!("runs at */5 * * * *{words}"));
    let mut cluster = scheduled();
    cluster.settle();
    assert_eq!(message(&cluster), says(""));
    cluster.run("stale-1", "running", cluster.now);
    assert_eq!(message(&cluster), says("; the next run waits for the end of stale-1"));
    cluster.edit("concurrencyPolicy", "Replace".into());
    assert_eq!(message(&cluster), says(""));
    cluster.edit("concurrencyPolicy", "Forbid".into());
    cluster.jobs.get_mut("stale-1").unwrap()["metadata"]["deletionTimestamp"] = "2026-06-01T00:00:00Z".into();
    assert_eq!(message(&cluster), says(""));
    cluster.run("stale-1", "completed", cluster.now);
    assert_eq!(message(&cluster), says(""));
    // A run by hand holds up no run of the schedule.
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "x" });
    cluster.step();
    assert_eq!(message(&cluster), says(""));
}

#[test]
fn a_run_that_the_next_one_replaced_says_so() {
    let lost = "the BroadcastJob stale-1 was deleted before its end was seen";
    let replaced = format!("{lost}: concurrencyPolicy Replace ends a run when the next one of the schedule begins");
    for (policy, words) in [("Forbid", lost), ("Replace", &replaced)] {
        let mut cluster = Cluster::new(json!({ "schedule": "*/5 * * * *", "concurrencyPolicy": policy }));
        cluster.settle();
        cluster.run("stale-1", "running", cluster.now);
        cluster.step();
        // The next one is there, or is not yet.
        for next in [None, Some("stale-2")] {
            let mut cluster = cluster.clone();
            cluster.jobs.remove("stale-1");
            if let Some(next) = next {
                cluster.run(next, "running", cluster.now + 300);
            }
            let decided = cluster.step().0;
            let ends: Vec<_> = told(&decided).into_iter().filter(|(reason, ..)| *reason == "RunFailed").collect();
            // Without a later run, another writer deleted it.
            let note = if next.is_some() {
                words.to_owned()
            } else {
                format!("stale-1: 0/2 nodes done, 0 removed, 0 refused, 0 failed; on 2 nodes: {lost}")
            };
            assert_eq!(ends, [("RunFailed", note.as_str(), Some("stale-1"))], "{policy} {next:?}");
            // The run that is lost had a node.
            let ready = if next.is_some() { ("True", "Applied") } else { ("False", "NoNodeDone") };
            assert_eq!(condition(&decided.status, "Ready"), ready, "{policy} {next:?}");
        }
    }
}

#[test]
fn nodes_are_not_counted_before_openkruise_has_counted_them() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now);
    cluster.jobs.get_mut("stale-1").unwrap()["status"] = json!({});
    assert_eq!(cluster.step().0.status.last_run.unwrap().nodes.summary, "");
    cluster.run("stale-1", "running", cluster.now);
    assert_eq!(cluster.step().0.status.last_run.unwrap().nodes.summary, "0/2");
}

#[test]
fn no_run_begins_before_it_is_created() {
    let mut cluster = scheduled();
    cluster.settle();
    let started = |cluster: &mut Cluster| cluster.step().0.status.last_run.unwrap().started_at.unwrap().as_second();
    cluster.run("stale-1", "running", cluster.now);
    for (created, begins) in [(cluster.now - 5, cluster.now), (cluster.now + 5, cluster.now + 5)] {
        let created = Timestamp::from_second(created).unwrap().to_string();
        cluster.jobs.get_mut("stale-1").unwrap()["metadata"]["creationTimestamp"] = created.into();
        assert_eq!(started(&mut cluster), begins);
    }
}

#[test]
fn each_start_is_an_event_of_its_own_run() {
    let mut cluster = scheduled();
    cluster.settle();
    let mut names = BTreeSet::new();
    for word in ["x", "y"] {
        cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: word });
        let (decided, done) = cluster.step();
        let name = done[0].strip_prefix("create BroadcastJob ").unwrap().to_owned();
        let note = format!("started BroadcastJob {name}, as the annotation holystone.dev/run-now asks");
        assert_eq!(told(&decided), [("RunStarted", note.as_str(), Some(name.as_str()))]);
        names.insert(name);
    }
    assert_eq!(names.len(), 2);
}

#[test]
fn a_run_that_is_asked_for_before_ready_is_true_is_refused_and_not_made_up_for() {
    const WHY: &str = "the annotation holystone.dev/run-now is ignored: nothing is started before the condition Ready is \
                       true; give the annotation another value then";
    let ask = |cluster: &mut Cluster| cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "x" });
    let ways: [(&str, Change, Change); 4] = [
        (
            "InvalidSpec",
            |cluster| cluster.edit("timeZone", json!("Europe/Nix")),
            |cluster| cluster.edit("timeZone", json!("Europe/Berlin")),
        ),
        ("OpenKruiseMissing", |cluster| cluster.has_kruise = false, |cluster| cluster.has_kruise = true),
        (
            "NameTaken",
            |cluster| {
                cluster.cron_job =
                    Some(json!({ "kind": "AdvancedCronJob", "metadata": { "name": "stale", "uid": "x" }, "spec": {} }));
            },
            |cluster| cluster.cron_job = None,
        ),
        (
            "WaitingForRun",
            |cluster| {
                cluster.run("stale-1", "running", cluster.now);
                cluster.edit("plugins", plugins("b/*"));
            },
            |cluster| cluster.run("stale-1", "completed", cluster.now - 600),
        ),
    ];
    for (reason, break_it, mend) in ways {
        let mut cluster = scheduled();
        cluster.settle();
        break_it(&mut cluster);
        cluster.step();
        cluster.step();
        ask(&mut cluster);
        let (decided, done) = cluster.step();
        assert_eq!(condition(&decided.status, "Ready"), ("False", reason));
        assert!(!done.iter().any(|done| done.starts_with("create BroadcastJob")), "{reason}: {done:?}");
        assert!(told(&decided).contains(&("RunNowIgnored", WHY, None)), "{reason}: {:?}", decided.events);
        assert_eq!(decided.status.run_now.as_deref(), Some("x"), "{reason}");
        let (decided, _) = cluster.step();
        assert!(told(&decided).is_empty(), "{reason}: it is reported once: {:?}", decided.events);
        mend(&mut cluster);
        for _ in 0..4 {
            let (_, done) = cluster.step();
            assert!(!done.iter().any(|done| done.starts_with("create BroadcastJob")), "{reason}: {done:?}");
        }
    }
}

#[test]
fn a_long_word_of_the_annotation_is_kept_as_its_digest() {
    for (word, kept) in
        [("x".repeat(64), "x".repeat(64)), ("x".repeat(65), crate::digest::of("x".repeat(65).as_bytes()))]
    {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: word });
        let (decided, done) = cluster.step();
        assert!(done[0].starts_with("create BroadcastJob stale-r"), "{done:?}");
        assert_eq!(decided.status.run_now, Some(kept));
        cluster.step();
        cluster.is_settled();
    }
}

#[test]
fn a_run_that_an_edit_ends_is_told() {
    let mut cluster = once();
    let first = cluster.jobs.keys().next().unwrap().clone();
    cluster.edit("mode", json!("DryRun"));
    let (decided, done) = cluster.step();
    assert!(done.contains(&format!("delete BroadcastJob {first}")), "{done:?}");
    let note = format!("deleted BroadcastJob {first}, whose run had not ended, because the spec has changed");
    assert!(told(&decided).contains(&("Deleted", note.as_str(), Some(first.as_str()))), "{:?}", decided.events);
    assert!(decided.events.iter().any(|event| event.is_warning && event.reason == "Deleted"));
}

#[test]
fn until_a_finalizer_lets_it_go_nothing_more_is_started() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "x" });
    assert_eq!(cluster.step().1, ["pause AdvancedCronJob stale"]);
    cluster.is_settled();
    let mut cluster = scheduled();
    cluster.settle();
    let theirs = json!({ "kind": "AdvancedCronJob", "metadata": { "name": "stale", "uid": "x" }, "spec": {} });
    cluster.cron_job = Some(theirs);
    cluster.object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    cluster.is_settled();
}

#[test]
fn a_job_that_openkruise_has_not_taken_up_is_not_said_to_have_no_node() {
    const WHY: &str =
        "OpenKruise has not taken up the BroadcastJob; see whether its manager (kruise-controller-manager) runs";
    for (desired, reason) in [(Value::Null, "PodsNotStarted"), (json!(0), "NoNodeMatches")] {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.run("stale-1", "running", cluster.now - 15);
        cluster.jobs.get_mut("stale-1").unwrap()["status"]["desired"] = desired.clone();
        let (decided, _) = cluster.step();
        assert_eq!(ready(&decided.status).1, reason, "{desired}");
        assert_eq!(errors(&decided.status)[0].0 == WHY, desired.is_null(), "{desired}");
        if desired.is_null() {
            assert_eq!(ready(&decided.status).2, format!("no pod of stale-1 has started: {WHY}"));
        }
    }
}

#[test]
fn nothing_is_scheduled_by_a_spec_that_could_not_be_applied() {
    let cluster = scheduled();
    let decided = cluster.look().status;
    assert!(decided.next_schedule_time.is_some());
    let now = Timestamp::from_second(cluster.now).unwrap();
    let refused = Obstacle::Refused("forbidden".to_owned());
    let (status, _) = not_applied(&cluster.cleanup(), &decided, &refused, false, now);
    assert_eq!(condition(&status, "Scheduled"), ("False", "ApplyFailed"));
    assert_eq!((status.next_schedule_time, condition(&status, "Ready")), (None, ("False", "ApplyFailed")));
    // A workload of an earlier spec still runs.
    let (status, _) = not_applied(&cluster.cleanup(), &decided, &refused, true, now);
    assert_eq!(condition(&status, "Scheduled"), ("True", "Scheduled"));
    assert_eq!(status.next_schedule_time, decided.next_schedule_time);
    // A run without a schedule is not announced at all.
    let once = Cluster::new(json!({ "mode": "Enforce" }));
    let (status, _) = not_applied(&once.cleanup(), &once.look().status, &refused, false, now);
    assert_eq!(condition(&status, "Scheduled"), ("True", "Once"));
}

#[test]
fn of_two_runs_that_began_together_one_that_was_deleted_gives_way() {
    for (gone, left) in [("stale-2", "stale-1"), ("stale-1", "stale-2")] {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.run(gone, "running", cluster.now);
        cluster.step();
        cluster.run(left, "running", cluster.now);
        cluster.jobs.remove(gone);
        let (decided, _) = cluster.step();
        assert_eq!(decided.status.last_run.unwrap().name, left);
        cluster.is_settled();
    }
}

#[test]
fn a_run_without_nodes_that_was_deleted_has_not_nowhere_to_run() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now);
    cluster.jobs.get_mut("stale-1").unwrap()["status"]["desired"] = 0.into();
    cluster.step();
    cluster.jobs.clear();
    let (decided, _) = cluster.step();
    let message = "the BroadcastJob stale-1 was deleted before its end was seen";
    assert_eq!(errors(&decided.status), [(message, 0, vec![])]);
    assert_eq!((ready(&decided.status).0, ready(&decided.status).1), ("True", "Applied"));
}

#[test]
fn daemons_that_are_gone_and_have_not_run_leave_no_run() {
    for (state, is_kept) in [(None, false), (Some(done("a", 1)), true)] {
        let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
        cluster.settle();
        let set = cluster.daemon_set.as_mut().unwrap();
        set["metadata"]["generation"] = 1.into();
        set["status"] = json!({ "observedGeneration": 1, "desiredNumberScheduled": 2 });
        let states = state.map(|state| ("holystone-stale-a".to_owned(), state));
        cluster.runs.insert("holystone-stale".to_owned(), states.into_iter().collect());
        cluster.step();
        cluster.edit("rollout", json!({ "engine": "BroadcastJob" }));
        cluster.settle();
        let last = cluster.look().status.last_run.map(|run| run.name);
        assert_eq!(last, is_kept.then(|| "holystone-stale".to_owned()));
    }
}
