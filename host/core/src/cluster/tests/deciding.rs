//! What is decided about what is there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::*;
use super::{object, site};
use crate::manifest::status::NodeCleanupStatus;
use crate::report::{Brief, BriefPlugin, Totals};

/// A cluster in which whatever is decided is done, as an API server would.
#[derive(Default)]
struct Cluster {
    object: Value,
    has_kruise: bool,
    config_map: Option<Value>,
    cron_job: Option<Value>,
    daemon_set: Option<Value>,
    jobs: BTreeMap<String, Value>,
    runs: BTreeMap<String, BTreeMap<String, NodeState>>,
    acts: u32,
    now: i64,
    uids: u32,
}

impl Cluster {
    fn new(spec: Value) -> Self {
        Self { object: object(spec), has_kruise: true, now: 1_780_000_000, ..Self::default() }
    }

    fn look(&self) -> Decided {
        decide(&Observed {
            problems: &[],
            object: &self.object,
            site: site(),
            has_kruise: self.has_kruise,
            config_map: self.config_map.as_ref(),
            advanced_cron_job: self.cron_job.as_ref(),
            daemon_set: self.daemon_set.as_ref(),
            broadcast_jobs: self.jobs.values().collect(),
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
        let (Action::Apply(object) | Action::Pause(object) | Action::Delete(object)) = action;
        let kind = object["kind"].as_str().unwrap().to_owned();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.uids += 1;
        let mut new = object.clone();
        new["metadata"]["uid"] = format!("made-{}", self.uids).into();
        // What an API server adds.
        new["metadata"]["creationTimestamp"] = Timestamp::from_second(self.now).unwrap().to_string().into();
        let (word, new) = match action {
            Action::Apply(_) => ("apply", Some(new)),
            Action::Pause(_) => {
                new["spec"]["paused"] = true.into();
                ("pause", Some(new))
            }
            Action::Delete(_) => ("delete", None),
        };
        match kind.as_str() {
            "ConfigMap" => self.config_map = new,
            "AdvancedCronJob" => self.cron_job = new,
            "DaemonSet" => self.daemon_set = new,
            "BroadcastJob" => match new {
                Some(new) => drop(self.jobs.insert(name.clone(), new)),
                None => drop(self.jobs.remove(&name)),
            },
            other => panic!("{other}"),
        }
        format!("{word} {kind} {name}")
    }

    /// A run of the AdvancedCronJob, as OpenKruise makes it.
    fn run(&mut self, name: &str, phase: &str, started: i64) {
        let time = |second| Timestamp::from_second(second).unwrap().to_string();
        let mut job = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "BroadcastJob",
            "metadata": { "name": name, "namespace": "ops", "uid": name,
                "ownerReferences": [{ "kind": "AdvancedCronJob", "name": "stale", "uid": "made-2" }] },
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
    let outcome = crate::daemon::Outcome {
        result: crate::daemon::RunResult::Done,
        message: None,
        totals: Some(totals),
        log_totals: None,
    };
    Brief::of_record(outcome)
}

#[test]
fn the_first_look_makes_everything_and_the_second_nothing() {
    let mut cluster = scheduled();
    let (decided, done) = cluster.step();
    assert_eq!(done, ["apply ConfigMap holystone-stale", "apply AdvancedCronJob stale"]);
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
fn pausing_schedules_and_limits_are_edited_in_place() {
    let mut cluster = scheduled();
    cluster.settle();
    for (field, value) in [
        ("paused", json!(true)),
        ("schedule", json!("@daily")),
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

#[test]
fn what_the_plugin_is_told_changes_only_the_config_map() {
    let mut cluster = scheduled();
    cluster.settle();
    let plugins =
        json!([{ "name": "p", "source": { "builtin": "unused-images" }, "config": { "repositories": ["a/*"] } }]);
    cluster.edit("plugins", plugins);
    assert_eq!(cluster.step().1, ["apply ConfigMap holystone-stale"]);
    cluster.is_settled();
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
    assert_eq!(cluster.step().1, Vec::<String>::new());
    cluster.run("stale-1", "completed", cluster.now);
    let (decided, done) = cluster.step();
    assert_eq!(done, ["delete AdvancedCronJob stale"]);
    assert_eq!(condition(&decided.status, "Ready"), ("False", "Replacing"));
    // It goes with its runs.
    cluster.jobs.clear();
    let (decided, done) = cluster.step();
    assert_eq!(done, ["apply AdvancedCronJob stale"]);
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
    cluster.config_map.as_mut().unwrap()["data"]["node-cleanup.yaml"] = "mode: Enforce".into();
    assert_eq!(cluster.step().1, ["apply ConfigMap holystone-stale"]);
    cluster.cron_job = None;
    assert_eq!(cluster.step().1, ["apply AdvancedCronJob stale"]);
    cluster.settle();
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
    cluster.cron_job =
        Some(json!({ "kind": "AdvancedCronJob", "metadata": { "name": "stale", "uid": "x" }, "spec": {} }));
    let (decided, done) = cluster.step();
    assert_eq!(done, ["apply ConfigMap holystone-stale"]);
    assert_eq!(condition(&decided.status, "Ready"), ("False", "NameTaken"));
    cluster.is_settled();
    cluster.edit("schedule", Value::Null);
    assert!(cluster.step().1.iter().all(|done| !done.starts_with("delete")));
}

#[test]
fn without_openkruise_it_says_so_and_goes_on_when_it_appears() {
    let mut cluster = scheduled();
    cluster.has_kruise = false;
    let (decided, done) = cluster.step();
    assert_eq!(done, ["apply ConfigMap holystone-stale"]);
    assert_eq!(condition(&decided.status, "Ready"), ("False", "OpenKruiseMissing"));
    assert_eq!(decided.events.iter().filter(|event| event.is_warning).count(), 1);
    assert!(decided.again.is_some());
    cluster.is_settled();
    cluster.has_kruise = true;
    assert_eq!(cluster.step().1, ["apply AdvancedCronJob stale"]);
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
    assert_eq!(cluster.step().1, ["apply ConfigMap holystone-stale", "apply AdvancedCronJob stale"]);
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
fn an_invalid_spec_pauses_daemons_by_their_manifest() {
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
    assert_eq!(cluster.step().1, ["apply ConfigMap holystone-stale", "apply DaemonSet holystone-stale"]);
    cluster.edit("schedule", json!("nonsense"));
    assert_eq!(cluster.step().1, ["apply ConfigMap holystone-stale"]);
    assert!(
        cluster.config_map.as_ref().unwrap()["data"]["node-cleanup.yaml"].as_str().unwrap().contains("paused: true")
    );
    assert_eq!(cluster.step().1, Vec::<String>::new());
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
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.name.as_str(), run.phase.as_str(), run.removed), ("stale-1", "Running", 3));
    assert_eq!((run.nodes.desired, run.nodes.active, run.nodes.succeeded), (2, 1, 1));
    assert!(decided.events.is_empty());
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
    assert_eq!(decided.events.iter().map(|event| event.reason).collect::<Vec<_>>(), ["RunFailed"]);
    cluster.is_settled();
}

#[test]
fn an_annotation_starts_a_run_once() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "tuesday" });
    let (decided, done) = cluster.step();
    assert!(done.len() == 1 && done[0].starts_with("apply BroadcastJob stale-r"), "{done:?}");
    assert_eq!(decided.status.run_now.as_deref(), Some("tuesday"));
    cluster.settle();
    let job = cluster.jobs.values().next().unwrap().clone();
    assert_eq!(job["metadata"]["ownerReferences"][0]["kind"], "NodeCleanup");
    cluster.object["metadata"]["annotations"] = json!({ RUN_NOW: "wednesday" });
    assert_eq!(cluster.step().1.len(), 1);
    // Cut off before the status was written, it asks for the same run again, which is there already.
    cluster.object["status"]["runNow"] = "tuesday".into();
    let names: Vec<String> = cluster.jobs.keys().cloned().collect();
    cluster.step();
    assert_eq!(names, cluster.jobs.keys().cloned().collect::<Vec<_>>());
}

#[test]
fn without_a_schedule_it_runs_once_and_again_when_the_spec_changes() {
    let mut cluster = Cluster::new(json!({ "mode": "Enforce" }));
    let (_, done) = cluster.step();
    assert!(done[1].starts_with("apply BroadcastJob stale-o"), "{done:?}");
    cluster.settle();
    let first = cluster.jobs.keys().next().unwrap().clone();
    // Gone, by its time to live or by somebody: it has run all the same.
    let job = cluster.jobs.remove(&first).unwrap();
    cluster.is_settled();
    cluster.jobs.insert(first.clone(), job);
    cluster.edit("mode", json!("DryRun"));
    let (_, done) = cluster.step();
    assert!(done.iter().any(|done| done.starts_with("apply BroadcastJob stale-o")), "{done:?}");
    assert!(
        done.contains(&format!("delete BroadcastJob {first}")),
        "one that goes on by the old spec is ended: {done:?}"
    );
    cluster.settle();
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
fn another_engine_takes_the_place_of_the_one_before() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.edit("rollout", json!({ "engine": "DaemonSet" }));
    let (_, done) = cluster.step();
    assert!(done.contains(&"delete AdvancedCronJob stale".to_owned()), "{done:?}");
    assert!(done.contains(&"apply DaemonSet holystone-stale".to_owned()), "{done:?}");
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
        NodeState { node: "b".to_owned(), times: None, word: NodeWord::Silent("no answer".to_owned()) },
    );
    let (decided, _) = cluster.step();
    let run = decided.status.last_run.unwrap();
    assert_eq!((run.phase.as_str(), run.nodes.active, run.nodes.skipped, run.removed), ("Running", 1, 1, 3));
    assert_eq!(run.finished_at, times.map(|times| times.1));
    cluster.is_settled();
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
    assert_eq!(decided.events[0].reason, "PluginsDiffer");
    assert_eq!(decided.events[0].note, "not all nodes have the same bytes, or some have none, of: p");
    let names: Vec<&str> = decided.status.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["p"], "what a pod names beyond the spec is left out");
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
    let status = not_applied(&cluster.object, &decided.status, "forbidden", now);
    assert_eq!(condition(&status, "Ready"), ("False", "ApplyFailed"));
    assert_eq!((status.once.as_ref(), status.run_now.as_ref()), (None, None));
    cluster.object["status"] = serde_json::to_value(&status).unwrap();
    assert!(!is_news(&cluster.object, &status));
    assert_eq!(cluster.look().actions, decided.actions, "it is tried again");
}
