//! Whole proposals: the rails that concern a run as a whole.

use crate::confirmation::{Wishers, Wishes};
use crate::proposal::Proposal;
use crate::state::State;

use super::*;

/// Looks at files of these paths, each with an inode of its own, and at directories of ten entries.
fn sights(files: &[&str], directories: &[&str], entries: Option<u64>) -> Sights {
    let target =
        |path: &str, is_directory| LogTarget { root: "app".to_owned(), path: path.parse().unwrap(), is_directory };
    let mut targets = HashMap::new();
    for (number, path) in files.iter().enumerate() {
        let seen = with(sight("/x", path), |sight| sight.entry.identity.inode = 100 + number as u64);
        targets.insert(target(path, false), Ok(seen));
    }
    for path in directories {
        let seen = with(tree_sight("/x", path), |sight| sight.tree.as_mut().unwrap().entries = 9);
        targets.insert(target(path, true), Ok(seen));
    }
    Sights { targets, entries }
}

fn proposal(plugin: &str, wishes: Vec<Wish>) -> Proposal {
    Proposal { plugin: plugin.to_owned(), wishes }
}

/// A run by flags of this plugin.
fn wishers(plugin: &str) -> Wishers {
    Wishers { manifest: String::new(), digests: [(plugin.to_owned(), "sha256:1".to_owned())].into() }
}

fn limited(limits: Limits) -> LogGuard<'static> {
    LogGuard::new(LogRails { limits, ..LogRails::default() }, now(), None)
}

fn planned(plan: &LogPlan) -> Vec<String> {
    plan.steps.iter().map(|step| step.target().path.to_string()).collect()
}

fn codes(plan: &LogPlan) -> Vec<(String, &'static str, u8)> {
    let code = |refused: &LogRefused| (refused.name(), refused.refusal.code(), refused.refusal.rail());
    plan.refusals.iter().map(code).collect()
}

fn told(name: &str, code: &'static str, rail: u8) -> (String, &'static str, u8) {
    (name.to_owned(), code, rail)
}

#[test]
fn every_wish_is_granted_or_refused_in_its_order() {
    let wishes = vec![file("b"), file("../x"), file("a"), truncate("a"), file("unseen"), directory("d")];
    let plan = limited(Limits::default()).review(
        vec![proposal("p", wishes), proposal("q", vec![file("b"), file("c")])],
        sights(&["a", "b", "c"], &["d"], None),
        &Wishes::default(),
    );
    assert_eq!(planned(&plan), ["b", "a", "d", "c"]);
    assert_eq!(plan.steps.iter().map(LogStep::entries).sum::<u64>(), 13);
    let expected = [
        told("app:../x", "BadPath", 7),
        told("app:a", "Duplicate", 1),
        told("app:unseen", "Unseen", 7),
        told("app:b", "Duplicate", 1),
    ];
    assert_eq!(codes(&plan), expected);
}

#[test]
fn rail_8_limits_count_what_is_in_directories() {
    let review = |limits| {
        let wishes = vec![file("a"), directory("d"), file("b"), file("c")];
        limited(limits).review(vec![proposal("p", wishes)], sights(&["a", "b", "c"], &["d"], None), &Wishes::default())
    };
    let plan = review(Limits { count: Some(3), ..Limits::default() });
    assert_eq!(planned(&plan), ["a", "b", "c"]);
    assert_eq!(codes(&plan), [told("app:d", "OverCount", 8)]);
    let plan = review(Limits { bytes: Some(400), ..Limits::default() });
    assert_eq!(planned(&plan), ["a", "d"], "files have 100 bytes, the directory 300");
    assert_eq!(codes(&plan), [told("app:b", "OverBytes", 8), told("app:c", "OverBytes", 8)]);
}

#[test]
fn rail_8_a_proposal_that_wants_too_large_a_share_is_rejected_whole() {
    let review = |percent, entries| {
        let proposals = vec![
            proposal("p", vec![file("a"), file("a"), file("b")]),
            proposal("q", vec![directory("d")]),
            proposal("r", vec![file("c"), file("unseen")]),
        ];
        let limits = Limits { percent: Some(percent), ..Limits::default() };
        limited(limits).review(proposals, sights(&["a", "b", "c"], &["d"], entries), &Wishes::default())
    };
    let plan = review(30, Some(10));
    assert_eq!(planned(&plan), ["a", "b", "c"], "two and one of ten");
    assert_eq!(codes(&plan)[1], told("app:d", "OverPercent", 8), "twelve of ten");
    assert_eq!(planned(&review(19, Some(10))), ["c"]);
    assert_eq!(planned(&review(100, Some(13))), ["a", "b", "d", "c"]);
    let plan = review(30, None);
    assert_eq!((planned(&plan), codes(&plan)[0].1), (Vec::new(), "Uncounted"), "a share of nobody knows what");
    assert_eq!(planned(&review(0, Some(10))), Vec::<String>::new());
}

#[test]
fn rail_6_a_wish_counts_for_the_file_and_not_for_its_name() {
    let guard = LogGuard::new(LogRails { confirmations: 2, ..LogRails::default() }, now(), None);
    let mut state = State::new(now());
    let mut run = |plugin: &str, sights| {
        let wishes = wishers(plugin).wishes(&state.confirmations);
        let plan = guard.review(vec![proposal(plugin, vec![file("a"), file("b")])], sights, &wishes);
        state.count_wishes(&wishers(plugin), &crate::guard::Plan::default(), &plan);
        assert!(codes(&plan).iter().all(|(_, code, rail)| (*code, *rail) == ("NotConfirmed", 6)), "{plan:?}");
        planned(&plan)
    };
    assert_eq!(run("p", sights(&["a", "b"], &[], None)), Vec::<String>::new());
    // Rotated: `a` has become `b`, and `a` is a new file.
    assert_eq!(run("p", sights(&["other", "b", "a"], &[], None)), ["b"]);
    assert_eq!(run("p", sights(&["other", "b", "a"], &[], None)), ["a", "b"]);
    assert_eq!(run("q", sights(&["other", "b", "a"], &[], None)), Vec::<String>::new(), "by another plugin");
}

#[test]
fn rail_6_what_is_gone_is_forgotten() {
    let plan = limited(Limits { count: Some(1), ..Limits::default() }).review(
        vec![proposal("p", vec![file("a"), file("b")])],
        sights(&["a", "b"], &[], None),
        &Wishes::default(),
    );
    let mut state = State::new(now());
    state.count_wishes(&wishers("p"), &crate::guard::Plan::default(), &plan);
    assert_eq!(state.confirmations[0].logs.len(), 2, "what only the limits are against counts as well");
    let run = crate::state::LastRun {
        started_at: now(),
        finished_at: now(),
        ending: None,
        totals: crate::report::Totals::default(),
        log_totals: None,
    };
    state.finish(run, [].into_iter(), plan.steps.iter());
    assert_eq!(state.confirmations[0].logs.keys().collect::<Vec<_>>(), ["1:101:5000000000"]);
    assert_eq!(State::from_json(&state.to_json().unwrap()).unwrap().state, state);
}
