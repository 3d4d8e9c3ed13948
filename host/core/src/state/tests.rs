use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::{LastRun, Observed, Read, State, StateError};
use crate::confirmation::Wishers;
use crate::container::ImageMentions;
use crate::fixture::{container, image, snapshot};
use crate::guard::images::{ImageGuard, Images};
use crate::guard::{GuardRails, Plan, Refusal};
use crate::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
use crate::report::Totals;
use crate::snapshot::Snapshot;

mod clocks;
mod exact;
mod properties;

/// The start of 2027, and so many minutes.
fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_798_761_600).unwrap() + minutes.minutes()
}

/// A node with images of these ids; those that begin with `used` run.
fn node(minutes: i64, ids: &[&str]) -> Snapshot {
    let images = ids.iter().map(|id| image(id, &[], &[])).collect();
    let used = ids.iter().filter(|id| id.starts_with("used"));
    let containers = used.map(|id| {
        let id = (*id).to_owned();
        container(&format!("of-{id}"), ImageMentions { image_id: id, ..ImageMentions::default() })
    });
    let mut node = Snapshot { taken_at: at(minutes), ..snapshot(images, containers.collect()) };
    "containerd".clone_into(&mut node.node.runtime_name);
    node
}

fn wishers(manifest: &str, plugins: &[(&str, &str)]) -> Wishers {
    let digests = plugins.iter().map(|(plugin, digest)| ((*plugin).to_owned(), (*digest).to_owned()));
    Wishers { manifest: manifest.to_owned(), digests: digests.collect() }
}

fn plan(node: &Snapshot, rails: &GuardRails, plugin: &str, ids: &[&str]) -> Plan<Images> {
    let wish = |id: &&str| Wish {
        target: Target::Image((*id).to_owned()),
        verb: Verb::Remove,
        reason: Reason { kind: ReasonKind::Unused, text: String::new() },
        expected_bytes: None,
    };
    let proposal = Proposal { plugin: plugin.to_owned(), wishes: ids.iter().map(wish).collect() };
    ImageGuard::new(node, rails).counting(&wishers("", &[(plugin, "sha256:1")])).review(vec![proposal.into()])
}

/// What is written and read again.
fn reread(state: &State) -> State {
    let Read { state, problems } = State::from_json(&state.to_json().unwrap()).unwrap();
    assert_eq!(problems, Vec::<String>::new());
    state
}

/// Rails for which no image is too young.
fn ageless() -> GuardRails {
    GuardRails { min_age: SignedDuration::ZERO, ..GuardRails::default() }
}

fn last_run(minutes: i64) -> LastRun {
    LastRun { started_at: at(minutes), finished_at: at(minutes), ending: None, images: Totals::default(), logs: None }
}

#[test]
fn an_image_keeps_the_time_at_which_it_was_first_seen() {
    let mut state = State::new(at(0));
    state.observe(&mut node(0, &["a"]));
    let mut later = node(5, &["a", "b"]);
    assert_eq!(state.observe(&mut later), Observed::default());
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
fn an_image_counts_as_used_until_the_first_look_that_finds_it_idle() {
    let mut state = State::new(at(0));
    state.observe(&mut node(0, &["a", "used"]));
    let mut look = |minutes, ids: &[&str], is_idle: bool| {
        let mut now = node(minutes, ids);
        if is_idle {
            now.containers.clear();
        }
        state.observe(&mut now);
        now.images.iter().map(|image| image.last_used).collect::<Vec<_>>()
    };
    // It may have been in use until a second before.
    assert_eq!(look(60, &["a", "used"], true), [None, Some(at(60))]);
    assert_eq!(look(90, &["a", "used"], true), [None, Some(at(60))]);
    assert_eq!(look(91, &["a", "used"], false), [None, Some(at(91))]);
    assert_eq!(look(95, &["a", "used"], true), [None, Some(at(95))]);
}

#[test]
fn an_image_that_was_in_use_a_moment_ago_stays_and_goes_later() {
    let mut state = State::new(at(0));
    state.observe(&mut node(0, &["used"]));
    let mut verdict = |minutes| {
        let mut idle = node(minutes, &["used"]);
        idle.containers.clear();
        state.observe(&mut idle);
        let plan = plan(&idle, &GuardRails::default(), "p", &["used"]);
        plan.refusals.first().map(|refused| (refused.refusal.code(), refused.refusal.to_string()))
    };
    let (code, sentence) = verdict(60).unwrap();
    let said = "it may have been in use until 2027-01-01T01:00:00Z, less than 10m before this run";
    assert_eq!((code, sentence.as_str()), ("UsedLately", said));
    assert_eq!(verdict(69).map(|(code, _)| code), Some("UsedLately"));
    assert_eq!(verdict(70), None);
}

#[test]
fn a_run_without_a_runtime_forgets_nothing() {
    let mut state = State::new(at(0));
    state.observe(&mut node(0, &["a", "used"]));
    let before = state.images.clone();
    state.observe(&mut Snapshot::without_runtime(at(5), "n"));
    assert_eq!(state.images, before);
    let mut later = node(20, &["a", "used"]);
    state.observe(&mut later);
    assert_eq!(later.images[0].first_seen, Some(at(0)));
}

#[test]
fn a_runtime_that_lists_no_pods_all_of_a_sudden_has_to_do_so_for_a_while() {
    let rails = GuardRails::default();
    let mut state = State::new(at(0));
    let mut run = |minutes, has_pods: bool| {
        let mut now = node(minutes, &["a"]);
        if has_pods {
            now.sandboxes.push(crate::fixture::sandbox("s", ""));
        }
        state.observe(&mut now);
        let first = plan(&now, &rails, "p", &["a"]).refusals.into_iter().next();
        // Between two runs the list may run empty as well.
        let mut look = node(minutes, &["a"]);
        state.recall(&mut look);
        let second = plan(&look, &rails, "p", &["a"]).refusals.into_iter().next();
        [first, second].map(|refused| refused.map(|refused| refused.refusal))
    };
    let code = |refusal: &Option<Refusal<Images>>| refusal.as_ref().map(Refusal::code);
    assert_eq!(run(0, false), [None, None], "a node that never had any");
    let [first, second] = run(30, true);
    assert_eq!((first, code(&second)), (None, Some("NoPodsListed")));
    let [first, _] = run(60, false);
    let said = "the runtime lists no pods, though there were some at 2027-01-01T00:30:00Z: unless that stays so for 10m, it may still be starting";
    assert_eq!(first.unwrap().to_string(), said);
    assert_eq!(run(69, false).map(|refusal| code(&refusal)), [Some("NoPodsListed"); 2]);
    assert_eq!(run(70, false), [None, None], "a node that is drained is cleaned");
    assert_eq!(code(&run(80, true)[0]), None);
    assert_eq!(code(&run(81, false)[0]), Some("NoPodsListed"), "and so once more");
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
        state.count_wishes(&wishers("", &[(plugin, "sha256:1")]), &plan, &Plan::default());
        plan.steps.iter().map(|step| step.target().to_string()).collect::<Vec<_>>()
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
    state.count_wishes(&wishers("", &[("p", "sha256:1")]), &plan, &Plan::default());
    state.begin(at(20), &plan.steps, &[]);
    state.finish(last_run(21), plan.steps.iter(), [].into_iter());
    assert_eq!(state.images.keys().collect::<Vec<_>>(), ["b"]);
    assert!(state.confirmations.is_empty() && state.under_way.is_none());
    assert_eq!((state.written_at, state.last_run.map(|run| run.finished_at)), (at(21), Some(at(21))));
}

#[test]
fn a_run_that_was_cut_off_is_told_once() {
    let mut state = State::new(at(0));
    let mut now = node(20, &["a", "b", "c"]);
    state.observe(&mut now);
    let plan = plan(&now, &ageless(), "p", &["a", "b"]);
    state.begin(at(20), &plan.steps, &[]);
    let mut state = reread(&state);
    let told = state.observe(&mut node(25, &["b", "c"])).interrupted.unwrap();
    assert_eq!((told.started_at, told.planned, told.gone, told.left), (at(20), 2, 1, 1));
    assert_eq!(state.observe(&mut node(26, &["b", "c"])), Observed::default());
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
    state.count_wishes(&wishers("", &[("p", "sha256:1")]), &plan, &Plan::default());
    state.begin(at(20), &plan.steps, &[]);
    assert_eq!(reread(&state), state);
    state.finish(last_run(21), [].into_iter(), [].into_iter());
    assert_eq!(reread(&state), state);
}

#[test]
fn what_is_no_state_is_refused() {
    let good = String::from_utf8(State::new(at(0)).to_json().unwrap()).unwrap();
    for text in ["", "{", "[]", "null", "\0", &good[..good.len() - 2], &"[".repeat(10_000)] {
        assert!(matches!(State::from_json(text.as_bytes()), Err(StateError::Malformed(_))), "{text:.20}");
    }
    for (text, format) in [(r#"{"format": 3, "surprise": 1}"#, 3), (r#"{"format": 0}"#, 0), ("{}", 0)] {
        assert!(
            matches!(State::from_json(text.as_bytes()), Err(StateError::Format { found }) if found == format),
            "{text}"
        );
    }
}

#[test]
fn of_a_damaged_state_the_rest_is_read() {
    let mut state = State::new(at(0));
    state.observe(&mut node(0, &["a", "b"]));
    let whole = serde_json::to_value(&state).unwrap();
    let damaged = |field: &str, value: serde_json::Value| {
        let mut text = whole.clone();
        text[field] = value;
        State::from_json(&serde_json::to_vec(&text).unwrap()).unwrap()
    };
    let Read { state: read, problems } =
        damaged("images", serde_json::json!({"a": {"first": "long ago"}, "b": {"first": at(0)}}));
    assert_eq!(read.images.keys().collect::<Vec<_>>(), ["b"]);
    assert!(problems[0].starts_with("images.a cannot be read"), "{problems:?}");
    assert_eq!(damaged("surprise", true.into()).problems, ["surprise is no field of it"]);
    assert_eq!(damaged("since", serde_json::Value::Null).problems, ["since is missing"]);
    assert!(damaged("since", 0.into()).problems[0].starts_with("since cannot be read"));
    assert_eq!(damaged("ownImages", serde_json::json!(["x"])).state.own_images.len(), 1);
    // What is dated later than the state itself is as young as it.
    let later = damaged("images", serde_json::json!({"a": {"first": at(500), "used": at(600)}})).state.images["a"];
    assert_eq!((later.first, later.used), (at(0), Some(at(0))));
}

#[test]
fn the_format_before_is_read_without_its_wishes() {
    let text = serde_json::json!({
        "format": 1, "writtenAt": at(30), "since": at(0), "images": {"a": {"first": at(5), "used": at(10)}},
        "ownImages": ["own"], "wishes": {"p": {"a": 3}}, "logWishes": {"p": {"1:2": 3}},
    });
    let Read { mut state, problems } = State::from_json(text.to_string().as_bytes()).unwrap();
    assert_eq!(problems, Vec::<String>::new());
    let mut now = node(40, &["a"]);
    now.node.clock = clocks::clock("boot", 500);
    assert_eq!(state.observe(&mut now), Observed::default());
    let image = &now.images[0];
    assert_eq!((now.memory.since, image.first_seen, image.last_used), (Some(at(0)), Some(at(5)), Some(at(10))));
    assert!(now.memory.confirmations.is_empty());
}

#[test]
fn after_a_loss_every_image_is_young_for_a_while() {
    let rails = GuardRails::default();
    let mut known = State::new(at(0));
    known.observe(&mut node(0, &["a"]));
    // With times from elsewhere, and with none.
    for lost in [known.damaged(), State::new(at(500)).damaged()] {
        let mut state = lost;
        let mut now = node(500, &["a"]);
        let Observed { notices, .. } = state.observe(&mut now);
        assert!(notices[0].starts_with("what was remembered of this node was lost"), "{notices:?}");
        let refusal = plan(&now, &rails, "p", &["a"]).refusals.remove(0).refusal;
        assert_eq!((refusal.code(), refusal.rail()), ("AgeLost", 5));
        let said = "its age is unknown: what was remembered of the node was lost before 2027-01-01T08:20:00Z, less than 10m before this run";
        assert_eq!(refusal.to_string(), said);
        assert_eq!(plan(&now, &ageless(), "p", &["a"]).steps.len(), 1, "switched off");
        for (minutes, steps) in [(509, 0), (510, 1)] {
            let mut later = node(minutes, &["a"]);
            assert_eq!(state.observe(&mut later).notices, Vec::<String>::new(), "it is said once");
            assert_eq!(plan(&later, &rails, "p", &["a"]).steps.len(), steps, "{minutes}");
        }
    }
}

#[test]
fn a_pod_of_ours_that_has_ended_says_that_something_is_lost() {
    let run = |exit_code: i32, component: &str, uid: &str| {
        let mut now = node(0, &["a"]);
        let mut sandbox = crate::fixture::sandbox("ours", "");
        uid.clone_into(&mut sandbox.pod.uid);
        let labels = [("app.kubernetes.io/name", "holystone"), ("app.kubernetes.io/component", component)];
        sandbox.labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into();
        now.sandboxes.push(sandbox);
        let mut ended = container("c", ImageMentions { image_id: "x".repeat(64), ..ImageMentions::default() });
        "ours".clone_into(&mut ended.sandbox_id);
        ended.exit_code = Some(exit_code);
        now.containers.push(ended);
        "mine".clone_into(&mut now.node.own_pod);
        State::new(at(0)).observe(&mut now);
        now.memory.lost
    };
    assert_eq!(run(0, "node", "before"), Some(at(0)));
    assert_eq!(run(2, "node", "before"), None, "one that did not run");
    assert_eq!(run(0, "operator", "before"), None);
    assert_eq!(run(0, "node", "mine"), None);
}

#[test]
fn wishes_are_kept_by_manifest_plugin_and_digest() {
    let rails = GuardRails { confirmations: 2, ..ageless() };
    let mut state = State::new(at(0));
    let mut run = |minutes, manifest: &str, plugin: (&str, &str)| {
        let mut now = node(minutes, &["a"]);
        state.observe(&mut now);
        let wishers = wishers(manifest, &[plugin]);
        let wish = Wish {
            target: Target::Image("a".to_owned()),
            verb: Verb::Remove,
            reason: Reason { kind: ReasonKind::Unused, text: String::new() },
            expected_bytes: None,
        };
        let proposal = Proposal { plugin: plugin.0.to_owned(), wishes: vec![wish] };
        let plan = ImageGuard::new(&now, &rails).counting(&wishers).review(vec![proposal.into()]);
        state.count_wishes(&wishers, &plan, &Plan::default());
        state = reread(&state);
        plan.steps.len()
    };
    let (first, second) = (("clean", "sha256:1"), ("clean", "sha256:2"));
    assert_eq!(run(0, "ops/a", first), 0);
    assert_eq!(run(1, "ops/b", first), 0, "another manifest does not share the count");
    assert_eq!(run(2, "", first), 0, "nor do flags");
    assert_eq!(run(3, "ops/a", first), 1, "and neither has changed it");
    assert_eq!(run(4, "ops/b", first), 1);
    assert_eq!(run(5, "ops/a", second), 0, "another version counts from the beginning");
    assert_eq!(run(6, "ops/a", first), 0, "and so does the one before it, which did not run");
    // Not seen for a month.
    assert_eq!(run(7 + 30 * 24 * 60, "ops/b", first), 0);
}

#[test]
fn wishes_of_many_manifests_are_bounded_and_go_with_their_images() {
    let mut state = State::new(at(0));
    let mut now = node(0, &["a"]);
    state.observe(&mut now);
    for number in 0..100 {
        let plan = plan(&now, &ageless(), "p", &["a"]);
        state.written_at = at(number);
        state.count_wishes(&wishers(&format!("ops/{number}"), &[("p", "sha256:1")]), &plan, &Plan::default());
    }
    assert_eq!(state.confirmations.len(), 64);
    assert!(state.confirmations.iter().all(|one| one.counted_at >= at(36)), "those that ran last");
    state.observe(&mut node(200, &["b"]));
    assert!(state.confirmations.is_empty());
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
        state.count_wishes(&wishers("", &[("p", "sha256:1")]), &plan, &Plan::default());
        let steps = plan.steps.iter().filter(|step| step.target().as_str() == gone);
        state.finish(last_run(21), steps, [].into_iter());
        let left = if gone == "a" { "b" } else { "a" };
        assert_eq!(state.images.keys().collect::<Vec<_>>(), [left]);
        let wishes: Vec<&String> = state.confirmations.iter().flat_map(|one| one.images.keys()).collect();
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
    "containerd".clone_into(&mut node.node.runtime_name);
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
