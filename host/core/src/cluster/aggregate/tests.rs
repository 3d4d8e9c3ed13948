use super::*;
use crate::report::{BriefError, Totals};

fn aggregate<'a>(desired: u32, states: impl IntoIterator<Item = &'a NodeState>) -> Aggregated {
    super::aggregate(desired, states, Timestamp::from_second(1_780_000_000).unwrap())
}

fn node(at: usize, failed: bool) -> NodeState {
    let mut brief = Brief::not_run("the runtime does not answer");
    brief.outcome.result = if failed { RunResult::SomeFailed } else { RunResult::Done };
    brief.outcome.images = Some(Totals {
        removed: 3,
        refused: 1,
        size_removed_bytes: 10,
        filesystem_freed_bytes: Some(-1),
        ..Totals::default()
    });
    brief.plugins = vec![BriefPlugin { name: "p".to_owned(), digest: Some(format!("sha256:{:064}", at % 7 / 6)) }];
    if failed {
        brief.errors =
            (0..9).map(|error| BriefError { message: format!("error {error} of {}", at % 40), count: 1 }).collect();
    }
    NodeState::ended(&format!("node-{at:05}"), &brief.to_message())
}

#[test]
fn each_node_has_its_own_errors() {
    let errors =
        |message: &str| NodeState::ended("a", message).errors().into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(errors(""), ["the pod ended without a report"]);
    assert_eq!(errors("out of\nmemory"), ["the pod ended with out of\\u{a}memory"]);
    assert_eq!(errors(&Brief::not_run("the runtime does not answer").to_message()), ["the runtime does not answer"]);
    assert_eq!(node(3, true).errors()[..2], ["error 0 of 3", "error 1 of 3"]);
    assert_eq!(node(3, false).errors(), [""; 0]);
    for word in [NodeResult::Active, NodeResult::Idle] {
        assert_eq!(NodeState { node: String::new(), times: None, word }.errors(), [""; 0]);
    }
}

#[test]
fn sums_names_and_plugins_of_all_nodes() {
    let states = [
        node(0, false),
        node(1, true),
        NodeState::ended("lost", "oom"),
        NodeState { node: String::new(), times: None, word: NodeResult::Active },
    ];
    let Aggregated { run, plugins, unlike, took_place, .. } = aggregate(6, &states);
    assert_eq!((run.nodes.desired, run.nodes.active, run.nodes.succeeded), (6, 3, 1));
    assert_eq!((run.nodes.failed, run.nodes.skipped, run.nodes.summary.as_str()), (1, 1, "1/6"));
    assert_eq!((run.removed, run.refused, run.size_removed_bytes, run.filesystem_freed_bytes), (6, 2, 20, Some(-2)));
    assert_eq!(run.errors.len(), 5, "three of one node, its sentence, and the silent one: {:?}", run.errors);
    assert!(run.errors.iter().any(|error| error.message == "the pod ended with oom" && error.nodes == ["lost"]));
    assert_eq!((plugins.len(), unlike.len()), (1, 0));
    assert_eq!(took_place, 2, "something failed on one of them");
}

#[test]
fn five_thousand_nodes_come_to_a_few_kilobytes_in_any_order() {
    let states: Vec<NodeState> = (0..5_000).map(|at| node(at, at % 3 == 0)).collect();
    let folded = aggregate(5_000, &states);
    let size = serde_json::to_string(&folded.run).unwrap().len();
    assert!(size < 8 << 10, "{size}");
    assert_eq!(folded, aggregate(5_000, states.iter().rev()));
    assert_eq!(folded.unlike, ["p"]);
    assert_eq!(folded.plugins[0].digest, Some(format!("sha256:{:064}", 0)), "what most nodes have");
}

#[test]
fn what_was_done_beneath_log_roots_counts_beside_images() {
    let mut brief = Brief::not_run("");
    brief.outcome.result = RunResult::Done;
    brief.outcome.images = Some(Totals {
        planned: 1,
        removed: 2,
        refused: 4,
        no_longer_allowed: 8,
        failed: 16,
        size_removed_bytes: 32,
        filesystem_freed_bytes: Some(64),
        ..Totals::default()
    });
    brief.outcome.logs = Some(Totals {
        planned: 100,
        removed: 200,
        truncated: 300,
        refused: 400,
        no_longer_allowed: 500,
        failed: 600,
        size_removed_bytes: 700,
        filesystem_freed_bytes: Some(800),
        ..Totals::default()
    });
    brief.planned = Some(Planned { size_bytes: 9, repositories: Vec::new() });
    let run = aggregate(1, [&NodeState::ended("a", &brief.to_message())]).run;
    assert_eq!((run.planned, run.size_planned_bytes), (Some(101), Some(9)));
    assert_eq!((run.removed, run.refused, run.failed), (502, 912, 616));
    assert_eq!((run.size_removed_bytes, run.filesystem_freed_bytes), (732, Some(864)));
    brief.outcome.images = None;
    let run = aggregate(1, [&NodeState::ended("a", &brief.to_message())]).run;
    assert_eq!((run.planned, run.removed, run.refused, run.failed), (Some(100), 500, 900, 600));
    assert_eq!((run.size_removed_bytes, run.filesystem_freed_bytes), (700, Some(800)));
}

/// A node whose dry run found these: repository, images, bytes; and refused these.
fn dry(at: usize, repositories: &[(&str, usize, u64)], refusals: &[(&str, usize)]) -> NodeState {
    let mut brief = Brief::not_run("");
    brief.outcome.result = RunResult::Done;
    let planned = repositories.iter().map(|repository| repository.1).sum();
    let refused = refusals.iter().map(|refusal| refusal.1).sum();
    brief.outcome.images = Some(Totals { planned, refused, ..Totals::default() });
    let repositories = repositories.iter().map(|(name, count, size_bytes)| PlannedRepository {
        name: (*name).to_owned(),
        count: *count,
        size_bytes: *size_bytes,
    });
    let size_bytes = repositories.clone().map(|repository| repository.size_bytes).sum();
    brief.planned = Some(Planned { size_bytes, repositories: repositories.collect() });
    brief.refusals = refusals.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
    NodeState::ended(&format!("node-{at:05}"), &brief.to_message())
}

#[test]
fn what_dry_runs_would_remove_is_summed_by_repository_and_refusals_by_code() {
    let states = [
        dry(0, &[("a", 1, 10), ("b", 2, 300), ("c", 3, 40)], &[("InUse", 3), ("TooYoung", 1)]),
        dry(1, &[("b", 1, 100), ("c", 1, 1), ("d", 9, 41), ("e", 1, 5), ("f", 1, 5)], &[("InUse", 2), ("Pinned", 3)]),
        node(2, false),
    ];
    for states in [states.iter().collect::<Vec<_>>(), states.iter().rev().collect()] {
        let run = aggregate(3, states).run;
        assert_eq!((run.planned, run.size_planned_bytes), (Some(19), Some(502)));
        let repositories = run.planned_repositories.iter();
        let repositories: Vec<(&str, u64, u64)> =
            repositories.map(|sum| (sum.name.as_str(), sum.count, sum.size_bytes)).collect();
        let expected = [("b", 3, 400), ("c", 4, 41), ("d", 9, 41), ("a", 1, 10), ("e", 1, 5)];
        assert_eq!(repositories, expected, "the five largest, and of those that are as large the first by name");
        let refusals: Vec<(&str, u64)> =
            run.refusals.iter().map(|refusal| (refusal.code.as_str(), refusal.count)).collect();
        assert_eq!(refusals, [("InUse", 5), ("Pinned", 3), ("TooYoung", 1)]);
        assert_eq!((run.removed, run.refused), (3, 10), "what one node removed is beside it");
    }
    let run = aggregate(1, [&node(0, false)]).run;
    assert_eq!((run.planned, run.size_planned_bytes), (None, None), "it was no dry run");
    let run = aggregate(1, [&dry(0, &[], &[])]).run;
    assert_eq!((run.planned, run.size_planned_bytes), (Some(0), Some(0)), "it was one, and found nothing");
}

#[test]
fn what_dry_runs_say_is_bounded_however_much_it_is() {
    let codes: Vec<(String, usize)> = (0..40).map(|at| (format!("Code{at:02}"), at)).collect();
    let codes: Vec<(&str, usize)> = codes.iter().map(|(code, count)| (code.as_str(), *count)).collect();
    let states: Vec<NodeState> = (0..2_000)
        .map(|at| {
            let names: Vec<String> = (0..10).map(|part| format!("{at}-{part}-{}", "r".repeat(300))).collect();
            let repositories: Vec<(&str, usize, u64)> =
                names.iter().map(|name| (name.as_str(), usize::MAX / 100, u64::MAX / 100)).collect();
            dry(at, &repositories, &codes)
        })
        .collect();
    let run = aggregate(2_000, &states).run;
    assert_eq!((run.planned_repositories.len(), run.refusals.len()), (5, 10));
    assert_eq!(run, aggregate(2_000, states.iter().rev()).run);
    let size = serde_json::to_string(&run).unwrap().len();
    assert!(size < 4 << 10, "{size}");
    assert!(run.size_planned_bytes.unwrap() <= i64::MAX.unsigned_abs());
}

#[test]
fn nodes_keep_the_same_names_once() {
    let told = |state: &NodeState| match &state.word {
        NodeResult::Ended(told) => told.clone(),
        _ => panic!("{state:?}"),
    };
    let first = dry(0, &[("a", 1, 2), ("b", 1, 1)], &[("InUse", 1)]);
    for (second, shares) in [
        (dry(1, &[("b", 5, 5), ("a", 1, 1)], &[("InUse", 7)]), (true, true)),
        (dry(1, &[("b", 5, 5)], &[("InUse", 7)]), (false, true)),
        (dry(1, &[("b", 5, 5), ("a", 1, 1)], &[]), (true, false)),
    ] {
        let (mut state, whole) = (second.clone(), second);
        state.share(&first);
        let (own, other) = (told(&state), told(&first));
        let is_shared = |own: &Tally, other: &Tally| Arc::ptr_eq(&own.names, &other.names);
        let found = (is_shared(&own.repositories, &other.repositories), is_shared(&own.refusals, &other.refusals));
        assert_eq!(found, shares);
        assert_eq!(state, whole, "nothing of it is another");
    }
}

#[test]
fn nodes_keep_the_same_plugins_once() {
    let plugins = |state: &NodeState| match &state.word {
        NodeResult::Ended(told) => Arc::clone(&told.plugins),
        _ => panic!("{state:?}"),
    };
    let first = node(0, false);
    for (at, is_shared) in [(1, true), (6, false)] {
        let (mut state, whole) = (node(at, true), node(at, true));
        state.share(&first);
        assert_eq!(Arc::ptr_eq(&plugins(&state), &plugins(&first)), is_shared);
        assert_eq!(state, whole, "nothing of it is another");
    }
}

#[test]
fn the_largest_reports_come_to_numbers_that_kubernetes_stores() {
    let most = u64::MAX;
    let totals = serde_json::json!({
        "planned": 0, "removed": most, "alreadyGone": 0, "refused": most, "noLongerAllowed": most, "notNeeded": 0,
        "failed": most, "sizeRemovedBytes": most, "filesystemFreedBytes": i64::MAX,
    });
    let largest = serde_json::json!({ "result": "Done", "images": totals });
    let state = NodeState::ended("n", &largest.to_string());
    let run = aggregate(1, [&state]).run;
    assert_eq!((run.removed, run.refused, run.failed), (4_294_967_295, 8_589_934_590, 4_294_967_295));
    assert_eq!((run.size_removed_bytes, run.filesystem_freed_bytes), (1 << 50, Some(1 << 50)));
    let states = vec![state; 20_000];
    let run = aggregate(20_000, &states).run;
    assert_eq!((run.size_removed_bytes, run.filesystem_freed_bytes), (i64::MAX.unsigned_abs(), Some(i64::MAX)));
}

#[test]
fn what_nodes_say_is_cleaned_before_it_is_kept() {
    let error = |text: &str| {
        serde_json::json!({ "result": "SomeFailed", "errors": [{ "message": text, "count": 1 }] }).to_string()
    };
    let long = NodeState::ended("a", &error(&"x".repeat(3_000)));
    let forged = NodeState::ended("b", &error("a\u{7f}b"));
    let much = NodeState::ended("c", &"y".repeat(8 << 20));
    let run = aggregate(3, [&long, &forged, &much]).run;
    let messages: Vec<(&str, &str)> =
        run.errors.iter().map(|error| (error.nodes[0].as_str(), error.message.as_str())).collect();
    let (long, much) = (format!("{}…", "x".repeat(200)), format!("the pod ended with {}…", "y".repeat(200)));
    assert_eq!(messages, [("b", "a\\u{7f}b"), ("c", much.as_str()), ("a", long.as_str())]);
    assert!(serde_json::to_string(&run).unwrap().len() < 1_500);
}

#[test]
fn nodes_that_have_left_still_count() {
    let states = [node(0, false), node(1, false)];
    let nodes = aggregate(1, &states).run.nodes;
    assert_eq!((nodes.desired, nodes.active, nodes.succeeded), (2, 0, 2));
}
