use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::{
    EndReason, Ending, Milliseconds, Outcome, PlanPart, PlanReport, Remark, Report, ReportPart, Swept, Totals,
};
use crate::guard::images::{ImageGuard, ImageObjection, Images};
use crate::guard::{GuardRails, Operation, Plan, Refusal};
use crate::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
use crate::snapshot::{Filesystem, Snapshot};

mod kinds;

/// A plan of seven removals.
fn planned(filesystem: Filesystem) -> PlanReport {
    let images: Vec<_> = (0..7).map(|n| json!({ "id": format!("sha256:{n}"), "sizeBytes": 10 })).collect();
    let snapshot = json!({ "apiVersion": "holystone.dev/v1alpha1", "kind": "Snapshot", "takenAt": "2026-11-24T06:00:00Z", "node": {}, "images": images });
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
    let plan = ImageGuard::new(&snapshot, &rails).review(vec![proposal.into()]);
    PlanReport::new(&snapshot, Vec::new(), plan)
}

fn report(before: Filesystem, after: Filesystem) -> Report {
    let outcomes = vec![
        Outcome::Removed,
        Outcome::AlreadyGone,
        Outcome::NoLongerAllowed(ImageObjection::Pinned.into()),
        Outcome::StillListed,
        Outcome::Failed("no".to_owned()),
        Outcome::NotAttempted("late".to_owned()),
        Outcome::NotNeeded("empty".to_owned()),
    ];
    let ending = Some(Ending { reason: EndReason::NotNeeded, message: "empty".to_owned() });
    let laps = BTreeMap::from([("sweep", Milliseconds(Duration::from_micros(1_500)))]);
    Report::new(
        planned(before),
        (Swept { outcomes, ending, ..Swept::default() }, Swept::default()),
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
    let totals = report(images(None, None), images(None, None)).images.totals;
    assert_eq!((totals.planned, totals.removed, totals.already_gone), (7, 1, 1));
    assert_eq!((totals.no_longer_allowed, totals.not_needed, totals.not_attempted, totals.failed), (1, 1, 1, 2));
    assert_eq!(totals.size_removed_bytes, 10, "only what was really removed");
}

#[test]
fn the_gain_is_measured_by_statvfs_alone() {
    let freed = |before, after| report(before, after).images.totals.filesystem_freed_bytes;
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
    let kept = Outcome::NoLongerAllowed(ImageObjection::KeptByRuntime { since: Timestamp::UNIX_EPOCH }.into());
    let outcomes = [vec![Outcome::Removed; 6], vec![kept]].concat();
    let swept = Swept { outcomes, remarks: BTreeMap::from([(4, remark)]), ending: None };
    let report = Report::new(
        planned(images(None, None)),
        (swept, Swept::default()),
        Timestamp::UNIX_EPOCH,
        Vec::new(),
        BTreeMap::new(),
    );
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(
        (&value["images"]["steps"][4]["lostNames"], &value["images"]["steps"][4]["answer"]),
        (&json!(["a:1"]), &json!("conflict"))
    );
    assert!(
        value["images"]["steps"][0].get("lostNames").is_none() && value["images"]["steps"][0].get("answer").is_none()
    );
    let kept: Vec<_> = report.kept().map(|(step, since)| (step.target().as_str(), since)).collect();
    assert_eq!(kept, [("sha256:6", Timestamp::UNIX_EPOCH)]);
    assert!(!report.has_failures(), "what a runtime keeps is no failure");
}

#[test]
fn the_document_is_stable() {
    let value = serde_json::to_value(report(images(None, None), images(None, None))).unwrap();
    assert_eq!(value["images"]["steps"][0]["result"], "removed");
    assert_eq!(value["images"]["steps"][2]["result"], "noLongerAllowed");
    assert_eq!(value["images"]["steps"][2]["detail"]["rail"], 3);
    assert_eq!(value["images"]["steps"][4]["detail"], "no");
    assert_eq!(value["ending"], json!({ "reason": "NotNeeded", "message": "empty" }));
    assert!(value.get("interrupted").is_none() && value.get("notices").is_none());
    assert_eq!(value["milliseconds"]["sweep"], 1.5);
    assert!(value["images"]["totals"].get("filesystemFreedBytes").is_none());
}

#[test]
fn failures_show() {
    let with = |images: Totals, logs: Option<Totals>| {
        let mut report = report(self::images(None, None), self::images(None, None));
        report.images.totals = images;
        let part = ReportPart::new(PlanPart::new(Plan::default(), None), Swept::default());
        report.logs = logs.map(|totals| ReportPart { totals, ..part });
        report.has_failures()
    };
    let none = Totals::default();
    assert!(report(images(None, None), images(None, None)).has_failures());
    assert!(!with(
        Totals { planned: 7, removed: 1, already_gone: 1, refused: 1, no_longer_allowed: 1, not_needed: 1, ..none },
        None
    ));
    for failing in [Totals { failed: 1, ..none }, Totals { not_attempted: 1, ..none }] {
        assert!(with(failing, None) && with(none, Some(failing)) && with(failing, Some(failing)), "{failing:?}");
    }
    assert!(!with(none, Some(Totals { removed: 1, truncated: 1, not_needed: 1, ..none })));
}

#[test]
fn every_outcome_has_its_word_its_name_and_its_class() {
    // Word, name in JSON, whether it is a failure, done, gone, and the count that it goes to.
    let refusal = || Refusal::Own(ImageObjection::Pinned);
    let text = || "why".to_owned();
    let table = [
        (Outcome::<Images>::Removed, "removed", "removed", [false, true, true], "removed"),
        (Outcome::Truncated, "truncated", "truncated", [false, true, false], "truncated"),
        (Outcome::AlreadyGone, "already gone", "alreadyGone", [false, false, true], "alreadyGone"),
        (Outcome::NoLongerAllowed(refusal()), "no longer allowed", "noLongerAllowed", [false; 3], "noLongerAllowed"),
        (Outcome::StillListed, "still listed", "stillListed", [true, false, false], "failed"),
        (Outcome::Failed(text()), "failed", "failed", [true, false, false], "failed"),
        (Outcome::NotAttempted(text()), "not attempted", "notAttempted", [true, false, false], "notAttempted"),
        (Outcome::NotNeeded(text()), "not needed", "notNeeded", [false; 3], "notNeeded"),
    ];
    let counts = ["removed", "truncated", "alreadyGone", "noLongerAllowed", "failed", "notAttempted", "notNeeded"];
    for (outcome, word, name, class, count) in table {
        assert_eq!(outcome.as_str(), word);
        assert_eq!([outcome.is_failure(), outcome.is_done(), outcome.is_gone()], class, "{word}");
        assert_eq!(serde_json::to_value(&outcome).unwrap()["result"], name);
        let planned = planned(images(None, None)).images;
        let part = ReportPart::new(planned, Swept { outcomes: vec![outcome], ..Swept::default() });
        let totals = serde_json::to_value(part.totals).unwrap();
        for other in counts {
            assert_eq!(totals[other], u64::from(other == count), "{word}: {other}");
        }
        assert_eq!((part.totals.entries, part.totals.size_removed_bytes), if class[1] { (1, 10) } else { (0, 0) });
        assert_eq!(part.gone().count(), usize::from(class[2]), "{word}");
        assert_eq!(part.totals.has_failures(), class[0], "{word}");
    }
    assert_eq!(Outcome::<Images>::of_done(Operation::Remove), Outcome::Removed);
    assert_eq!(Outcome::<Images>::of_done(Operation::Truncate), Outcome::Truncated);
    let ending = |reason| Ending { reason, message: text() };
    assert_eq!(ending(EndReason::NotNeeded).of_a_step::<Images>(), Outcome::NotNeeded(text()));
    for reason in [
        EndReason::TimeLimit,
        EndReason::Stopped,
        EndReason::RuntimeFailing,
        EndReason::LogsFailing,
        EndReason::NodeUnseen,
    ] {
        assert_eq!(ending(reason).of_a_step::<Images>(), Outcome::NotAttempted(text()), "{reason:?}");
    }
}

#[test]
fn the_gain_of_log_roots_counts_every_filesystem_once() {
    let disk = |name: &str, identity: &str, available| Filesystem {
        name: name.to_owned(),
        identity: identity.to_owned(),
        available_bytes: Some(available),
        ..Filesystem::default()
    };
    let freed = |roots: &[(&str, &str, u64)]| {
        let before: Vec<Filesystem> = roots.iter().map(|(name, identity, _)| disk(name, identity, 100)).collect();
        let after: Vec<Filesystem> =
            roots.iter().map(|(name, identity, gain)| disk(name, identity, 100 + gain)).collect();
        let mut planned = planned(images(None, None));
        planned.filesystems = before;
        let planned = planned.with_logs(vec!["a".to_owned()], Plan::default(), None);
        let swept = (Swept::default(), Swept::default());
        let report = Report::new(planned, swept, Timestamp::UNIX_EPOCH, after, BTreeMap::new());
        (report.logs.unwrap().totals.filesystem_freed_bytes, report.filesystem_freed_bytes)
    };
    for roots in [
        [("logs:a", "8:1", 7), ("logs:b", "8:1", 7), ("logs:c", "8:2", 7), ("images", "8:3", 50)],
        [("images", "8:3", 50), ("logs:c", "8:2", 7), ("logs:b", "8:1", 7), ("logs:a", "8:1", 7)],
    ] {
        let (sum, each) = freed(&roots);
        assert_eq!(sum, Some(14), "two filesystems, of which one has two names");
        let names = ["images", "logs:a", "logs:b", "logs:c"].map(str::to_owned);
        assert_eq!(each, names.into_iter().zip([50, 7, 7, 7]).collect());
    }
    // Where it is unknown which filesystems are one, those with the same gain are.
    for unknown in ["8:1", ""] {
        assert_eq!(freed(&[("logs:a", unknown, 7), ("logs:b", "", 7), ("logs:c", "", 8)]).0, Some(15), "{unknown}");
    }
    assert_eq!(freed(&[("images", "8:1", 7)]).0, None, "none of them has logs");
}

#[test]
fn a_plan_says_what_it_has_and_what_it_begins_with() {
    let empty = |runtime: &str| {
        let mut snapshot = Snapshot::without_runtime(Timestamp::UNIX_EPOCH, "n");
        runtime.clone_into(&mut snapshot.node.runtime_name);
        PlanReport::new(&snapshot, Vec::new(), Plan::default())
    };
    assert!(empty("").is_empty() && !empty("").has_image_part() && empty("containerd").has_image_part());
    assert!(empty("").with_logs(Vec::new(), Plan::default(), None).logs.is_none());
    let rooted = empty("").with_logs(vec!["app".to_owned()], Plan::default(), Some(3));
    assert_eq!(
        (rooted.logs.as_ref().unwrap().entries, rooted.log_roots.as_slice()),
        (Some(3), &["app".to_owned()][..])
    );
    let planned = planned(images(None, None));
    assert!(!planned.is_empty() && !planned.begins_with_logs() && !planned.has_image_part(), "no runtime was asked");
    assert_eq!((planned.images.entries, planned.images.percent_planned), (Some(7), Some(100)));
    assert_eq!(planned.refusal_codes().count(), 0);
}
