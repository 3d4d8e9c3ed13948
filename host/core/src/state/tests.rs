use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::{CLOCK_TOLERANCE, LastRun, State, StateError};
use crate::container::ImageMentions;
use crate::fixture::{container, image, snapshot};
use crate::guard::logs::LogPlan;
use crate::guard::{Guard, GuardRails, Plan};
use crate::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
use crate::report::Totals;
use crate::snapshot::Snapshot;

fn at(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + minutes.minutes()
}

/// A node with images of these ids; those that begin with `used` run.
fn node(minutes: i64, ids: &[&str]) -> Snapshot {
    let images = ids.iter().map(|id| image(id, &[], &[])).collect();
    let used = ids.iter().filter(|id| id.starts_with("used"));
    let containers = used.map(|id| {
        let id = (*id).to_owned();
        container(&format!("of-{id}"), ImageMentions { image_id: id, ..ImageMentions::default() })
    });
    Snapshot { taken_at: at(minutes), ..snapshot(images, containers.collect()) }
}

fn plan(node: &Snapshot, rails: &GuardRails, plugin: &str, ids: &[&str]) -> Plan {
    let wish = |id: &&str| Wish {
        target: Target::Image((*id).to_owned()),
        verb: Verb::Remove,
        reason: Reason { kind: ReasonKind::Unused, text: String::new() },
        expected_bytes: None,
    };
    let proposal = Proposal { plugin: plugin.to_owned(), wishes: ids.iter().map(wish).collect() };
    Guard::new(node, rails).review(vec![proposal])
}

/// Rails for which no image is too young.
fn ageless() -> GuardRails {
    GuardRails { min_age: SignedDuration::ZERO, ..GuardRails::default() }
}

fn last_run(minutes: i64) -> LastRun {
    LastRun {
        started_at: at(minutes),
        finished_at: at(minutes),
        ending: None,
        totals: Totals::default(),
        log_totals: None,
    }
}

#[test]
fn an_image_keeps_the_time_at_which_it_was_first_seen() {
    let mut state = State::new(at(0));
    state.observe(&mut node(0, &["a"]));
    let mut later = node(5, &["a", "b"]);
    assert_eq!(state.observe(&mut later), None);
    let first_seen: Vec<_> = later.images.iter().map(|image| image.first_seen).collect();
    assert_eq!(first_seen, [Some(at(0)), Some(at(5))]);
    assert_eq!(later.memory.since, Some(at(0)));
}

#[test]
fn what_is_there_at_the_first_look_was_not_seen_to_come() {
    // A moment passes between the two, and what was there must not seem to have come in it.
    let mut state = State::new(at(0));
    let mut first = node(1, &["a"]);
    state.observe(&mut first);
    assert_eq!((first.memory.since, first.images[0].first_seen), (Some(at(1)), Some(at(1))));
    assert_eq!(plan(&first, &GuardRails::default(), "p", &["a"]).steps.len(), 1, "of unknown age, and nothing starts");

    // A node that was seen empty is one that has been seen.
    let mut state = State::new(at(0));
    state.observe(&mut node(0, &[]));
    state.finish(last_run(0), [].into_iter(), [].into_iter());
    let mut later = node(5, &["a"]);
    state.observe(&mut later);
    assert_eq!((later.memory.since, later.images[0].first_seen), (Some(at(0)), Some(at(5))));
    assert!(plan(&later, &GuardRails::default(), "p", &["a"]).steps.is_empty());
}

#[test]
fn an_image_that_went_and_came_back_is_young_again() {
    let mut state = State::new(at(0));
    state.observe(&mut node(0, &["a", "b"]));
    state.observe(&mut node(5, &["b"]));
    assert_eq!(state.images.len(), 1, "what has gone is forgotten");
    let mut back = node(10, &["a", "b"]);
    state.observe(&mut back);
    assert_eq!(back.images[0].first_seen, Some(at(10)));
}

#[test]
fn the_last_use_is_remembered() {
    let mut state = State::new(at(0));
    state.observe(&mut node(0, &["a", "used"]));
    let mut idle = node(5, &["a", "used"]);
    idle.containers.clear();
    state.observe(&mut idle);
    assert_eq!(idle.images.iter().map(|image| image.last_used).collect::<Vec<_>>(), [None, Some(at(0))]);
}

#[test]
fn a_second_look_recalls_and_takes_nothing_in() {
    let mut state = State::new(at(0));
    state.observe(&mut node(0, &["a"]));
    let before = state.clone();
    let mut look = node(5, &["a", "new"]);
    state.recall(&mut look);
    assert_eq!(state, before);
    assert_eq!(look.images.iter().map(|image| image.first_seen).collect::<Vec<_>>(), [Some(at(0)), None]);
}

#[test]
fn wishes_are_counted_while_they_are_repeated() {
    let rails = GuardRails { confirmations: 3, ..ageless() };
    let mut state = State::new(at(0));
    let mut run = |minutes, plugin: &str, ids: &[&str]| {
        let mut now = node(minutes, &["a", "b", "used"]);
        state.observe(&mut now);
        let plan = plan(&now, &rails, plugin, ids);
        state.count_wishes(&plan, &LogPlan::default());
        plan.steps.iter().map(|step| step.image().to_string()).collect::<Vec<_>>()
    };
    assert!(run(0, "p", &["a", "b", "used", "gone"]).is_empty());
    assert!(run(1, "p", &["a", "b", "b"]).is_empty(), "twice in one run counts once");
    assert_eq!(run(2, "p", &["a", "b"]), ["a", "b"]);
    assert_eq!(run(3, "p", &["a"]), ["a"]);
    assert_eq!(run(4, "p", &["a", "b"]), ["a"], "b was left out once");
    assert!(run(5, "q", &["a"]).is_empty(), "another plugin starts anew");
    assert!(run(6, "p", &["a"]).is_empty(), "and so does a plugin that did not run");
}

#[test]
fn what_a_run_removed_is_forgotten() {
    let mut state = State::new(at(0));
    let mut now = node(20, &["a", "b"]);
    state.observe(&mut now);
    let plan = plan(&now, &ageless(), "p", &["a"]);
    state.count_wishes(&plan, &LogPlan::default());
    state.begin(at(20), &plan.steps, &[]);
    state.finish(last_run(21), plan.steps.iter(), [].into_iter());
    assert_eq!(state.images.keys().collect::<Vec<_>>(), ["b"]);
    assert!(state.wishes.is_empty() && state.under_way.is_none());
    assert_eq!((state.written_at, state.last_run.map(|run| run.finished_at)), (at(21), Some(at(21))));
}

#[test]
fn a_run_that_was_cut_off_is_told_once() {
    let mut state = State::new(at(0));
    let mut now = node(20, &["a", "b", "c"]);
    state.observe(&mut now);
    let plan = plan(&now, &ageless(), "p", &["a", "b"]);
    state.begin(at(20), &plan.steps, &[]);
    let mut state = State::from_json(&state.to_json().unwrap(), at(25)).unwrap();
    let told = state.observe(&mut node(25, &["b", "c"])).unwrap();
    assert_eq!((told.started_at, told.planned, told.gone, told.left), (at(20), 2, 1, 1));
    assert_eq!(state.observe(&mut node(26, &["b", "c"])), None);
}

#[test]
fn the_images_of_our_own_pod_are_ours_until_we_run_in_others() {
    let ours = |minutes, ids: &[&str]| {
        let mut node = node(minutes, ids);
        "own-pod".clone_into(&mut node.node.own_pod);
        for container in &mut node.containers {
            if container.id == "of-used-own" {
                "own-pod".clone_into(&mut container.pod.uid);
                container.image_volumes = vec!["docker.io/a/plugin:1".to_owned()];
            }
        }
        node
    };
    let plugin = image("plugin", &["docker.io/a/plugin:1"], &[]);
    let mut state = State::new(at(0));
    let mut now = ours(0, &["used-own", "used-other"]);
    now.images.push(plugin.clone());
    state.observe(&mut now.normalize());
    let own: Vec<_> = state.own_images.iter().map(String::as_str).collect();
    assert_eq!(own, ["plugin", "used-own"]);

    // Started by hand on the node itself, or between two pods: the images stay ours.
    let mut by_hand = node(5, &["used-other"]);
    by_hand.images.push(plugin);
    state.observe(&mut by_hand.normalize());
    assert_eq!(state.own_images.iter().collect::<Vec<_>>(), ["plugin"], "what has gone is not");
}

#[test]
fn what_is_written_reads_back() {
    let mut state = State::new(at(0));
    let mut now = node(20, &["a", "used"]);
    state.observe(&mut now);
    let plan = plan(&now, &ageless(), "p", &["a"]);
    state.count_wishes(&plan, &LogPlan::default());
    state.begin(at(20), &plan.steps, &[]);
    assert_eq!(State::from_json(&state.to_json().unwrap(), at(30)).unwrap(), state);
    state.finish(last_run(21), [].into_iter(), [].into_iter());
    assert_eq!(State::from_json(&state.to_json().unwrap(), at(30)).unwrap(), state);
}

#[test]
fn what_is_no_state_is_refused() {
    let good = String::from_utf8(State::new(at(0)).to_json().unwrap()).unwrap();
    for text in ["", "{", "[]", "null", "\0", r#"{"format":1}"#, &good[..good.len() - 2], &"[".repeat(10_000)] {
        assert!(matches!(State::from_json(text.as_bytes(), at(0)), Err(StateError::Malformed(_))), "{text:.20}");
    }
    let newer = r#"{"format": 2, "surprise": 1}"#;
    assert!(matches!(State::from_json(newer.as_bytes(), at(0)), Err(StateError::Format { found: 2 })));
}

#[test]
fn a_state_from_the_future_is_refused_and_a_clock_set_back_a_little_is_not() {
    let mut state = State::new(at(60));
    state.observe(&mut node(60, &["used"]));
    let text = state.to_json().unwrap();
    let early = at(60) - CLOCK_TOLERANCE - 1.second();
    assert!(matches!(State::from_json(&text, early), Err(StateError::FromTheFuture { .. })));
    let set_back = State::from_json(&text, at(57)).unwrap();
    let seen = set_back.images["used"];
    assert_eq!((set_back.since, seen.first, seen.used), (Some(at(57)), at(57), Some(at(57))));
}

#[test]
fn nothing_remembered_adds_nothing_to_a_recorded_snapshot() {
    let json = serde_json::to_string(&node(0, &["a"])).unwrap();
    assert!(!json.contains("memory"), "{json}");
    let wishes = BTreeMap::from([("p".to_owned(), BTreeMap::from([("a".to_owned(), 2)]))]);
    let mut remembered = node(0, &["a"]);
    remembered.memory.wishes = wishes;
    assert_eq!(Snapshot::from_json(&serde_json::to_vec(&remembered).unwrap()).unwrap(), remembered);
}

#[test]
fn of_what_was_wished_only_what_is_gone_is_forgotten() {
    for gone in ["a", "b"] {
        let mut state = State::new(at(0));
        let mut now = node(20, &["a", "b"]);
        state.observe(&mut now);
        let plan = plan(&now, &ageless(), "p", &["a", "b"]);
        state.count_wishes(&plan, &LogPlan::default());
        let steps = plan.steps.iter().filter(|step| step.image().as_str() == gone);
        state.finish(last_run(21), steps, [].into_iter());
        let left = if gone == "a" { "b" } else { "a" };
        assert_eq!(state.images.keys().collect::<Vec<_>>(), [left]);
        let wishes: Vec<&String> = state.wishes.values().flat_map(|wishes| wishes.keys()).collect();
        assert_eq!(wishes, [left]);
        // Should it come back, it is as young as any that was never seen.
        let mut back = node(30, &["a", "b"]);
        state.observe(&mut back);
        let first_seen = back.images.iter().map(|image| (image.id.as_str(), image.first_seen));
        let expected = if gone == "a" { [at(30), at(20)] } else { [at(20), at(30)] };
        assert_eq!(first_seen.collect::<Vec<_>>(), [("a", Some(expected[0])), ("b", Some(expected[1]))]);
    }
}

#[test]
fn what_images_are_called_is_remembered_for_people() {
    let mut node = snapshot(
        vec![
            image("sha256:1", &["a/b:1", "c/d:1"], &["a/b@sha256:9"]),
            image("sha256:2", &[], &["a/b@sha256:8"]),
            image("sha256:3", &[], &[]),
        ],
        Vec::new(),
    );
    let mut state = State::new(node.taken_at);
    state.observe(&mut node);
    let names = |id: &str| state.names.get(id).map(|names| names.join(" "));
    assert_eq!(names("sha256:1").as_deref(), Some("a/b:1 c/d:1"));
    assert_eq!(names("sha256:2").as_deref(), Some("a/b@sha256:8"));
    assert_eq!(names("sha256:3"), None);
    node.images.remove(0);
    state.observe(&mut node);
    assert_eq!(state.names.keys().collect::<Vec<_>>(), ["sha256:2"], "what is gone is forgotten");
}
