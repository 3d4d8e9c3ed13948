//! Whole proposals: the rails that concern a run as a whole.

use crate::confirmation::{Wishers, Wishes};
use crate::proposal::Proposal;
use crate::state::State;

use super::*;

/// Looks at files of these paths, each with an inode of its own, and at directories of ten entries.
fn inspections(files: &[&str], directories: &[&str], entries: Option<u64>) -> Inspections {
    let target =
        |path: &str, is_directory| RootedPath { root: "app".to_owned(), path: path.parse().unwrap(), is_directory };
    let mut targets = HashMap::new();
    for (number, path) in files.iter().enumerate() {
        let seen = with(inspection("/x", path), |inspection| inspection.entry.identity.inode = 100 + number as u64);
        targets.insert(target(path, false), Ok(seen));
    }
    for path in directories {
        let mut seen = with(tree_sight("/x", path), |inspection| inspection.tree.as_mut().unwrap().entries = 9);
        seen.entry.identity.inode = 1_000 + targets.len() as u64;
        targets.insert(target(path, true), Ok(seen));
    }
    Inspections { targets, entries }
}

fn proposal(plugin: &str, wishes: Vec<Wish>) -> ParsedProposal<Logs> {
    Proposal { plugin: plugin.to_owned(), wishes }.into()
}

/// A run by flags of this plugin.
fn wishers(plugin: &str) -> Wishers {
    Wishers { manifest: String::new(), digests: [(plugin.to_owned(), "sha256:1".to_owned())].into() }
}

fn limited(limits: Limits) -> LogGuard<'static> {
    LogGuard::new(LogRails { limits, ..LogRails::default() }, now(), None)
}

fn planned(plan: &Plan<Logs>) -> Vec<String> {
    plan.steps.iter().map(|step| step.target().path.to_string()).collect()
}

fn codes(plan: &Plan<Logs>) -> Vec<(String, &'static str, u8)> {
    let code = |refused: &Refused<Logs>| (refused.name.clone(), refused.refusal.code(), refused.refusal.rail());
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
        inspections(&["a", "b", "c"], &["d"], None),
        &Wishes::default(),
    );
    assert_eq!(planned(&plan), ["b", "a", "d", "c"]);
    assert_eq!(plan.steps.iter().map(Step::entries).sum::<u64>(), 13);
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
        limited(limits).review(
            vec![proposal("p", wishes)],
            inspections(&["a", "b", "c"], &["d"], None),
            &Wishes::default(),
        )
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
        limited(limits).review(proposals, inspections(&["a", "b", "c"], &["d"], entries), &Wishes::default())
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
    let mut run = |plugin: &str, inspections| {
        let wishes = wishers(plugin).wishes(&state.confirmations);
        let plan = guard.review(vec![proposal(plugin, vec![file("a"), file("b")])], inspections, &wishes);
        state.count_wishes(&wishers(plugin), &Plan::default(), &plan);
        assert!(codes(&plan).iter().all(|(_, code, rail)| (*code, *rail) == ("NotConfirmed", 6)), "{plan:?}");
        planned(&plan)
    };
    assert_eq!(run("p", inspections(&["a", "b"], &[], None)), Vec::<String>::new());
    // Rotated: `a` has become `b`, and `a` is a new file.
    assert_eq!(run("p", inspections(&["other", "b", "a"], &[], None)), ["b"]);
    assert_eq!(run("p", inspections(&["other", "b", "a"], &[], None)), ["a", "b"]);
    assert_eq!(run("q", inspections(&["other", "b", "a"], &[], None)), Vec::<String>::new(), "by another plugin");
}

#[test]
fn rail_6_a_wish_counts_for_what_is_to_be_done() {
    let guard = LogGuard::new(LogRails { confirmations: 2, ..LogRails::default() }, now(), None);
    let mut state = State::new(now());
    let mut run = |verb| {
        let wishes = wishers("p").wishes(&state.confirmations);
        let wish = Wish { verb, ..file("a") };
        let plan = guard.review(vec![proposal("p", vec![wish])], inspections(&["a"], &[], None), &wishes);
        state.count_wishes(&wishers("p"), &Plan::default(), &plan);
        planned(&plan).len()
    };
    let verbs = [Verb::Truncate, Verb::Remove, Verb::Truncate, Verb::Truncate, Verb::Remove, Verb::Remove];
    assert_eq!(verbs.map(&mut run), [0, 0, 0, 1, 0, 1]);
}

#[test]
fn rail_6_what_is_gone_is_forgotten() {
    let plan = limited(Limits { count: Some(1), ..Limits::default() }).review(
        vec![proposal("p", vec![file("a"), file("b")])],
        inspections(&["a", "b"], &[], None),
        &Wishes::default(),
    );
    let mut state = State::new(now());
    state.count_wishes(&wishers("p"), &Plan::default(), &plan);
    assert_eq!(state.confirmations[0].logs.len(), 2, "what only the limits are against counts as well");
    let run = crate::state::LastRun {
        started_at: now(),
        finished_at: now(),
        ending: None,
        images: crate::report::Totals::default(),
        logs: None,
    };
    state.finish(run, [].into_iter(), plan.steps.iter());
    assert_eq!(state.confirmations[0].logs.keys().collect::<Vec<_>>(), ["1:101:5000000000"]);
    assert_eq!(State::from_json(&state.to_json().unwrap()).unwrap().state, state);
}

/// A file of 100 bytes, 4 096 on disk, under one of so many names.
fn linked(path: &str, inode: u64, links: u64) -> FileEntry {
    let entry = FileEntry { hard_links: links, ..entry(path) };
    FileEntry { identity: Identity { inode, ..entry.identity }, ..entry }
}

/// Reviews the removal of these files, in this order.
fn removals(files: &[FileEntry], rails: LogRails) -> Plan<Logs> {
    let seen = |entry: &FileEntry| {
        let target = RootedPath { root: "app".to_owned(), path: entry.path.clone(), is_directory: false };
        let seen = Inspection { entry: entry.clone(), ..inspection("/x", &entry.path.to_string()) };
        (target, Ok(seen))
    };
    let inspections = Inspections { targets: files.iter().map(seen).collect(), entries: None };
    let wishes = files.iter().map(|entry| file(&entry.path.to_string())).collect();
    LogGuard::new(rails, now(), None).review(vec![proposal("p", wishes)], inspections, &Wishes::default())
}

#[test]
fn a_file_with_several_names_counts_once_and_is_freed_with_its_last() {
    let sizes = |files: &[FileEntry]| {
        let plan = removals(files, LogRails::default());
        plan.steps.iter().map(|step| (step.size_bytes(), step.freeable_bytes())).collect::<Vec<_>>()
    };
    let names = |count: u64, links| (0..count).map(|name| linked(&format!("n{name}"), 7, links)).collect::<Vec<_>>();
    assert_eq!(sizes(&names(3, 3)), [(100, 0), (0, 0), (0, 4096)]);
    assert_eq!(sizes(&names(3, 4)), [(100, 0), (0, 0), (0, 0)], "a name lies elsewhere");
    let mixed = [linked("a", 7, 2), linked("b", 8, 1), linked("c", 7, 2), linked("d", 9, 2)];
    assert_eq!(sizes(&mixed), [(100, 0), (100, 4096), (0, 4096), (100, 0)]);
    let turned: Vec<FileEntry> = mixed.into_iter().rev().collect();
    assert_eq!(sizes(&turned), [(100, 0), (100, 0), (100, 4096), (0, 4096)]);
}

#[test]
fn rail_8_counts_the_bytes_of_a_file_once() {
    let files: Vec<FileEntry> =
        (0..10).map(|name| linked(&format!("n{name}"), 7, 10)).chain([linked("x", 8, 1)]).collect();
    let limited =
        |bytes| LogRails { limits: Limits { bytes: Some(bytes), ..Limits::default() }, ..LogRails::default() };
    assert_eq!(removals(&files, limited(200)).steps.len(), 11);
    let plan = removals(&files, limited(199));
    assert_eq!((plan.steps.len(), plan.refusals[0].refusal.code()), (10, "OverBytes"));
    let turned: Vec<FileEntry> = files.into_iter().rev().collect();
    let plan = removals(&turned, limited(199));
    assert_eq!((plan.steps.len(), plan.refusals.len()), (1, 10), "the first name of a file has its size");
}

#[test]
fn rail_1_one_file_is_taken_once_by_whatever_path() {
    // The same file by two paths, though it has one name.
    for order in [["a", "b"], ["b", "a"]] {
        let plan = removals(&order.map(|path| linked(path, 7, 1)), LogRails::default());
        assert_eq!(planned(&plan), [order[0]]);
        assert_eq!(codes(&plan), [told(&format!("app:{}", order[1]), "Duplicate", 1)]);
    }
    // Three paths, two names: one of them has been reached twice.
    let plan = removals(&["a", "b", "c"].map(|path| linked(path, 7, 2)), LogRails::default());
    assert_eq!(
        (planned(&plan), codes(&plan)),
        (vec!["a".to_owned(), "b".to_owned()], vec![told("app:c", "Duplicate", 1)])
    );
}

#[test]
fn rail_1_what_goes_with_its_directory_is_not_taken_once_more() {
    let wishes = vec![directory("d"), file("d/x"), directory("d/e"), file("dx")];
    let plan = limited(Limits::default()).review(
        vec![proposal("p", wishes)],
        inspections(&["d/x", "dx"], &["d", "d/e"], None),
        &Wishes::default(),
    );
    assert_eq!(planned(&plan), ["d", "dx"]);
    assert_eq!(codes(&plan), [told("app:d/x", "Duplicate", 1), told("app:d/e", "Duplicate", 1)]);
    // The other way round the directory has changed by the time that it is its turn.
    let wishes = vec![file("dx"), directory("d/e"), file("d/x"), directory("d")];
    let plan = limited(Limits::default()).review(
        vec![proposal("p", wishes)],
        inspections(&["d/x", "dx"], &["d", "d/e"], None),
        &Wishes::default(),
    );
    assert_eq!(planned(&plan), ["dx", "d/e", "d/x"]);
    assert_eq!(codes(&plan), [told("app:d", "Duplicate", 1)]);
}
