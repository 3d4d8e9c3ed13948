//! Counts and words of runs that are kept, when pods and jobs have gone.

use super::*;

/// A node whose report says that something failed.
fn failed(node: &str) -> NodeState {
    let mut brief = report(0);
    brief.outcome.result = crate::daemon::RunResult::SomeFailed;
    NodeState::ended(node, &brief.to_message())
}

#[test]
fn another_reason_for_as_many_missing_reports_takes_the_place_of_the_first() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "failed", cluster.now - 70);
    for said in ["no pod is made: forbidden", "no pod is made: a webhook says no"] {
        cluster.complaints.insert("stale-1".to_owned(), vec![said.to_owned()]);
        assert_eq!(errors(&cluster.step().0.status), [(said, 2, vec![])]);
    }
}

#[test]
fn nodes_that_reported_a_failure_count_once_when_their_pods_have_gone() {
    let mut cluster = scheduled();
    cluster.settle();
    cluster.run("stale-1", "running", cluster.now - 70);
    cluster.pod("stale-1", "a", done("a", 1));
    cluster.pod("stale-1", "b", failed("b"));
    cluster.step();
    cluster.runs.clear();
    cluster.run("stale-1", "completed", cluster.now - 70);
    let status = &mut cluster.jobs.get_mut("stale-1").unwrap()["status"];
    // Both pods ended with 0, and the third was never made.
    (status["desired"], status["succeeded"]) = (3.into(), 2.into());
    let run = cluster.step().0.status.last_run.unwrap();
    let nodes = &run.nodes;
    assert_eq!((nodes.succeeded, nodes.failed, nodes.unreported, nodes.skipped), (1, 1, 0, 1));
    assert_eq!(run.phase.as_str(), "Failed");
}

#[test]
fn a_run_of_daemons_that_are_gone_stays_as_it_was_seen() {
    for states in [vec![done("a", 1)], vec![failed("a")], vec![done("a", 1), failed("b")]] {
        let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
        cluster.settle();
        cluster.daemon_set.as_mut().unwrap()["status"] = json!({ "desiredNumberScheduled": 3 });
        for state in states {
            let node = state.node.clone();
            cluster.pod("holystone-stale", &node, state);
        }
        let before = cluster.step().0.status.last_run.unwrap();
        assert_eq!((before.name.as_str(), before.phase.as_str()), ("holystone-stale", "Waiting"));
        cluster.edit("rollout", json!({ "engine": "BroadcastJob" }));
        cluster.settle();
        assert_eq!(cluster.look().status.last_run, Some(before));
    }
}

/// The reported ends of runs: the reason, and the object that ran.
fn reported_ends(decided: &Decided) -> Vec<(&str, Option<(&str, &str)>)> {
    let ends = decided.events.iter().filter(|event| event.reason.is_end_of_run());
    ends.map(|event| (event.reason.as_str(), event.run.as_ref().map(|(kind, name)| (*kind, name.as_str())))).collect()
}

#[test]
fn each_run_that_ends_is_reported_by_its_name_and_the_time_of_its_end() {
    let mut cluster = scheduled();
    cluster.settle();
    // The second began later and ended in the same second, the third ended later.
    for (name, began, phase, reason) in [
        ("stale-1", 0, "completed", "RunCompleted"),
        ("stale-2", 10, "completed", "RunCompleted"),
        ("stale-3", 20, "failed", "RunFailed"),
    ] {
        cluster.run(name, phase, cluster.now + began);
        for node in ["a", "b"] {
            cluster.pod(name, node, done(node, 1));
        }
        if name != "stale-3" {
            let end = Timestamp::from_second(cluster.now + 60).unwrap().to_string();
            cluster.jobs.get_mut(name).unwrap()["status"]["completionTime"] = end.into();
        }
        assert_eq!(reported_ends(&cluster.step().0), [(reason, Some(("BroadcastJob", name)))]);
        cluster.is_settled();
    }
}

#[test]
fn each_run_of_daemons_that_ends_is_reported() {
    let mut cluster = Cluster::new(json!({ "schedule": "@daily", "rollout": { "engine": "DaemonSet" } }));
    cluster.settle();
    cluster.daemon_set.as_mut().unwrap()["status"] = json!({ "desiredNumberScheduled": 1 });
    for end in [100, 200] {
        let times = Some((Timestamp::from_second(end - 9).unwrap(), Timestamp::from_second(end).unwrap()));
        cluster.pod("holystone-stale", "a", NodeState { times, ..done("a", 3) });
        assert_eq!(reported_ends(&cluster.step().0), [("RunCompleted", Some(("DaemonSet", "holystone-stale")))]);
        cluster.is_settled();
    }
}

#[test]
fn a_run_that_was_done_on_a_node_is_ready_whatever_happened_on_the_others() {
    for (states, is_ready) in [
        (vec![done("a", 1), NodeState::ended("b", "oom")], true),
        (vec![failed("a"), NodeState::ended("b", "oom")], true),
        (vec![NodeState::ended("a", "oom"), NodeState::ended("b", "oom")], false),
    ] {
        let mut cluster = scheduled();
        cluster.settle();
        cluster.run("stale-1", "completed", cluster.now - 70);
        for state in states {
            let node = state.node.clone();
            cluster.pod("stale-1", &node, state);
        }
        let status = cluster.step().0.status;
        assert!(!errors(&status).is_empty());
        let expected = if is_ready { ("True", "Applied") } else { ("False", "NoNodeDone") };
        assert_eq!(condition(&status, "Ready"), expected);
    }
}

#[test]
fn nodes_whose_pods_have_not_ended_count_as_active_also_where_a_run_is_for_fewer() {
    let state = |word: NodeResult| NodeState { node: "a".to_owned(), times: None, word };
    let now = Timestamp::from_second(1_780_000_000).unwrap();
    let waiting = || NodeResult::Waiting(Held { since: Some(now), why: None, is_daemon: false });
    for word in [|| NodeResult::Active, || NodeResult::Idle] {
        let nodes = aggregate(0, &[state(word()), state(word())], now).run.nodes;
        assert_eq!((nodes.desired, nodes.active, nodes.waiting), (0, 2, 0));
    }
    let nodes = aggregate(0, &[state(waiting()), state(waiting())], now).run.nodes;
    assert_eq!((nodes.desired, nodes.active, nodes.waiting), (0, 2, 0), "there is time left");
    let nodes = aggregate(0, &[state(waiting()), state(waiting())], now + SignedDuration::from_secs(15)).run.nodes;
    assert_eq!((nodes.desired, nodes.active, nodes.waiting), (0, 2, 2));
}

#[test]
fn what_could_not_be_done_is_news_by_ready_alone_in_whatever_order_conditions_are() {
    let mut cluster = scheduled();
    cluster.settle();
    let decided = cluster.look().status;
    assert!(!is_news(&cluster.cleanup(), &decided));
    let now = Timestamp::from_second(cluster.now).unwrap();
    let refused = Obstacle::Refused("forbidden".to_owned());
    let mut before = decided.clone();
    for other in before.conditions.iter_mut().filter(|condition| condition.kind != "Ready") {
        "False".clone_into(&mut other.status);
        "ApplyFailed".clone_into(&mut other.reason);
    }
    for _ in 0..2 {
        before.conditions.reverse();
        cluster.object["status"] = serde_json::to_value(&before).unwrap();
        assert!(is_news(&cluster.cleanup(), &decided));
        let event = not_applied(&cluster.cleanup(), &decided, &refused, true, now).1;
        assert_eq!(event.map(|event| event.reason.as_str()), Some("ApplyFailed"));
    }
}
