use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::{
    EndReason, Ending, LogPlanReport, LogReport, LogSwept, LogTotals, Milliseconds, Outcome, PlanReport, Remark,
    Report, Swept, Totals,
};
use crate::guard::logs::LogPlan;
use crate::guard::{Guard, GuardRails, Refusal};
use crate::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
use crate::snapshot::{Filesystem, Snapshot};

/// A plan of seven removals.
fn planned(filesystem: Filesystem) -> PlanReport {
    let images: Vec<_> = (0..7).map(|n| json!({ "id": format!("sha256:{n}"), "sizeBytes": 10 })).collect();
    let snapshot = json!({ "format": 1, "takenAt": "2026-11-24T06:00:00Z", "node": {}, "images": images });
    let mut snapshot = Snapshot::from_json(snapshot.to_string().as_bytes()).unwrap();
    snapshot.filesystems = vec![filesystem];
    let reason = Reason { kind: ReasonKind::Unused, text: String::new() };
    let wish = |n| Wish {
        target: Target::Image(format!("sha256:{n}")),
        verb: Verb::Remove,
        reason: reason.clone(),
        expected_bytes: None,
    };
    let proposal = Proposal { plugin: "p".to_owned(), wishes: (0..7).map(wish).collect() };
    let rails = GuardRails::default();
    let plan = Guard::new(&snapshot, &rails).review(vec![proposal]);
    PlanReport::new(&snapshot, Vec::new(), plan)
}

fn report(before: Filesystem, after: Filesystem) -> Report {
    let outcomes = vec![
        Outcome::Removed,
        Outcome::AlreadyGone,
        Outcome::NoLongerAllowed(Refusal::Pinned),
        Outcome::StillListed,
        Outcome::Failed("no".to_owned()),
        Outcome::NotAttempted("late".to_owned()),
        Outcome::NotNeeded("empty".to_owned()),
    ];
    let ending = Some(Ending { reason: EndReason::NotNeeded, message: "empty".to_owned() });
    let laps = BTreeMap::from([("sweep", Milliseconds(Duration::from_micros(1_500)))]);
    Report::new(
        planned(before),
        Swept { outcomes, ending, ..Swept::default() },
        LogSwept::default(),
        Timestamp::UNIX_EPOCH,
        vec![after],
        laps,
    )
}

fn images(available: Option<u64>, used: Option<u64>) -> Filesystem {
    let name = "images".to_owned();
    Filesystem { name, available_bytes: available, used_bytes: used, ..Filesystem::default() }
}

#[test]
fn every_outcome_is_counted_as_what_it_is() {
    let totals = report(images(None, None), images(None, None)).totals;
    assert_eq!((totals.planned, totals.removed, totals.already_gone), (7, 1, 1));
    assert_eq!((totals.no_longer_allowed, totals.not_needed, totals.not_attempted, totals.failed), (1, 1, 1, 2));
    assert_eq!(totals.size_removed_bytes, 10, "only what was really removed");
}

#[test]
fn the_gain_is_measured_by_statvfs_alone() {
    let freed = |before, after| report(before, after).totals.filesystem_freed_bytes;
    // Other writers may have used up more than was removed.
    assert_eq!(freed(images(Some(100), Some(9)), images(Some(160), Some(5))), Some(60));
    assert_eq!(freed(images(Some(100), None), images(Some(40), None)), Some(-60));
    // What the runtime says that its store uses is no measurement, whatever is missing.
    assert_eq!(freed(images(None, Some(90)), images(None, Some(50))), None);
    assert_eq!(freed(images(None, Some(90)), images(Some(7), Some(50))), None);
    assert_eq!(freed(images(Some(7), Some(90)), images(None, Some(50))), None);
    assert_eq!(freed(images(Some(1), None), images(None, Some(1))), None);
    assert_eq!(freed(images(Some(u64::MAX), None), images(Some(0), None)), None);
    // The second of two filesystems may be listed first the next time.
    let at = |mountpoint: &str| Filesystem { mountpoint: mountpoint.to_owned(), ..images(Some(1), None) };
    assert_eq!(freed(at("/a"), at("/a")), Some(0));
    assert_eq!(freed(at("/a"), at("/b")), None, "two different filesystems");
}

#[test]
fn what_a_removal_did_besides_is_in_the_document() {
    let remark = Remark { lost_names: vec!["a:1".to_owned()], answer: Some("conflict".to_owned()) };
    let kept = Outcome::NoLongerAllowed(Refusal::KeptByRuntime { since: Timestamp::UNIX_EPOCH });
    let outcomes = [vec![Outcome::Removed; 6], vec![kept]].concat();
    let swept = Swept { outcomes, remarks: BTreeMap::from([(4, remark)]), ending: None };
    let report = Report::new(
        planned(images(None, None)),
        swept,
        LogSwept::default(),
        Timestamp::UNIX_EPOCH,
        Vec::new(),
        BTreeMap::new(),
    );
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!((&value["steps"][4]["lostNames"], &value["steps"][4]["answer"]), (&json!(["a:1"]), &json!("conflict")));
    assert!(value["steps"][0].get("lostNames").is_none() && value["steps"][0].get("answer").is_none());
    let kept: Vec<_> = report.kept().map(|(step, since)| (step.image().as_str(), since)).collect();
    assert_eq!(kept, [("sha256:6", Timestamp::UNIX_EPOCH)]);
    assert!(!report.has_failures(), "what a runtime keeps is no failure");
}

#[test]
fn the_document_is_stable() {
    let value = serde_json::to_value(report(images(None, None), images(None, None))).unwrap();
    assert_eq!(value["steps"][0]["result"], "removed");
    assert_eq!(value["steps"][2]["result"], "noLongerAllowed");
    assert_eq!(value["steps"][2]["detail"]["rail"], 3);
    assert_eq!(value["steps"][4]["detail"], "no");
    assert_eq!(value["ending"], json!({ "reason": "NotNeeded", "message": "empty" }));
    assert!(value.get("interrupted").is_none() && value.get("notices").is_none());
    assert_eq!(value["milliseconds"]["sweep"], 1.5);
    assert!(value["totals"].get("filesystemFreedBytes").is_none());
}

#[test]
fn failures_show() {
    let with = |totals: Totals, logs: Option<LogTotals>| {
        let report = report(images(None, None), images(None, None));
        let logs = logs.map(|totals| LogReport {
            totals,
            ..LogReport::new(LogPlanReport::new(vec![], LogPlan::default()), LogSwept::default())
        });
        Report { totals, logs, ..report }.has_failures()
    };
    let (none, no_logs) = (Totals::default(), LogTotals::default());
    assert!(report(images(None, None), images(None, None)).has_failures());
    assert!(!with(
        Totals { planned: 7, removed: 1, already_gone: 1, refused: 1, no_longer_allowed: 1, not_needed: 1, ..none },
        None
    ));
    assert!(with(Totals { failed: 1, ..none }, None) && with(Totals { not_attempted: 1, ..none }, None));
    assert!(!with(none, Some(LogTotals { removed: 1, truncated: 1, not_needed: 1, ..no_logs })));
    assert!(with(none, Some(LogTotals { failed: 1, ..no_logs })));
    assert!(with(none, Some(LogTotals { not_attempted: 1, ..no_logs })));
    assert!(with(Totals { failed: 2, ..none }, Some(LogTotals { failed: 2, ..no_logs })), "they do not cancel out");
}
