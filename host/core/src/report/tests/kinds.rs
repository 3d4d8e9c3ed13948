//! Reports and plans of images and log files together.

use super::*;
use crate::confirmation::Wishes;
use crate::guard::logs::{Inspection, Inspections, LogGuard, LogRails, Logs, RootedPath};
use crate::logs::{FileEntry, FileKind, Identity, OpenState, Place};
use crate::proposal::LogLocation;
use crate::report::{
    Brief, BriefError, BriefPlugin, Interrupted, MAX_BRIEF, PlannedRepository, PluginFailure, PluginRun,
};

/// A plan to remove these files, each of 100 bytes; others are refused, since they were not looked at.
fn log_plan(plugin: &str, planned: &[&str], refused: &[&str]) -> Plan<Logs> {
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    let seen = |(inode, path): (u64, &&str)| {
        let path = path.parse().unwrap();
        let target = RootedPath { root: "app".to_owned(), path, is_directory: false };
        let entry = FileEntry {
            path: target.path.clone(),
            kind: FileKind::File,
            identity: Identity { device: 1, inode, born: None },
            size_bytes: 100,
            allocated_bytes: 4096,
            modified: at(0),
            changed: at(0),
            hard_links: 1,
            open: OpenState::Closed,
            pod_uid: None,
            not_entered: None,
        };
        let place = Place::of(b"/var/log/app", &target.path);
        let (tree, in_use, seen_at) = (None, None, at(1_000_000));
        (target, Ok(Inspection { entry, place, leads_somewhere: None, tree, in_use, all_uses_seen: true, seen_at }))
    };
    let inspections = Inspections { targets: (0..).zip(planned).map(seen).collect(), entries: None };
    let wish = |path: &&str| Wish {
        target: Target::LogFile(LogLocation { root: "app".to_owned(), path: (*path).to_owned() }),
        verb: Verb::Remove,
        reason: Reason { kind: ReasonKind::TooOld, text: String::new() },
        expected_bytes: None,
    };
    let wishes = planned.iter().chain(refused).map(wish).collect();
    let proposal = Proposal { plugin: plugin.to_owned(), wishes };
    LogGuard::new(LogRails::default(), at(1_000_000), None).review(
        vec![proposal.into()],
        inspections,
        &Wishes::default(),
    )
}

/// A plan for these images, by id and tags, of 10 bytes each; others are refused, since they are not there.
fn image_plan(images: &[(&str, &[&str])], refused: &[&str]) -> PlanReport {
    let image = |(id, tags): &(&str, &[&str])| crate::fixture::image(id, tags, &[]);
    let mut snapshot = crate::fixture::snapshot(images.iter().map(image).collect(), Vec::new());
    snapshot.images.iter_mut().for_each(|image| image.size_bytes = 10);
    let wish = |id: &str| Wish {
        target: Target::Image(id.to_owned()),
        verb: Verb::Remove,
        reason: Reason { kind: ReasonKind::Unused, text: String::new() },
        expected_bytes: None,
    };
    let wishes = images.iter().map(|(id, _)| wish(id)).chain(refused.iter().map(|id| wish(id))).collect();
    let rails = GuardRails::default();
    let proposal = Proposal { plugin: "images".to_owned(), wishes };
    let plan = ImageGuard::new(&snapshot, &rails).review(vec![proposal.into()]);
    PlanReport::new(&snapshot, Vec::new(), plan)
}

/// A report with these outcomes of images and log files.
fn report_of(planned: PlanReport, images: Swept<Images>, logs: Vec<Outcome<Logs>>) -> Report {
    let swept = (images, Swept { outcomes: logs, ..Swept::default() });
    Report::new(planned, swept, Timestamp::UNIX_EPOCH, Vec::new(), BTreeMap::new())
}

fn plugin(name: &str, failure: Option<(&str, &str)>) -> PluginRun {
    let failed = |(reason, message): (&str, &str)| PluginFailure { reason: reason.into(), message: message.into() };
    let failure = failure.map(failed);
    let digest = failure.is_none().then(|| format!("sha256:{}", "a".repeat(64)));
    PluginRun { name: name.to_owned(), digest, wishes: 0, matches: Vec::new(), failure }
}

#[test]
fn a_plan_and_a_report_say_of_images_what_a_runtime_or_a_refusal_gives_them_to_say() {
    let refused = |ids: &[&str]| {
        let planned = image_plan(&[], ids);
        (planned.has_image_part(), report_of(planned, Swept::default(), Vec::new()).has_image_part())
    };
    assert_eq!(refused(&[]), (false, false));
    assert_eq!(refused(&["gone"]), (true, true));
    assert_eq!(refused(&["gone", "gone too"]), (true, true));
    let mut planned = image_plan(&[], &[]);
    "containerd 2.0".clone_into(&mut planned.runtime);
    assert!(planned.has_image_part() && report_of(planned, Swept::default(), Vec::new()).has_image_part());
}

#[test]
fn refusals_and_steps_of_all_kinds_are_listed() {
    let logs = log_plan("logs", &["a", "b", "c"], &["x", "../y"]);
    let planned = image_plan(&[("sha256:1", &[])], &["gone"]).with_logs(vec!["app".to_owned()], logs, None);
    let paths: Vec<String> = planned.log_steps().iter().map(|step| step.target().path.to_string()).collect();
    assert_eq!(paths, ["a", "b", "c"]);
    assert_eq!(planned.refusal_codes().collect::<Vec<_>>(), ["NotFound", "Unseen", "BadPath"]);
    let outcomes = vec![Outcome::Removed, Outcome::Truncated, Outcome::AlreadyGone];
    let report = report_of(planned, Swept::default(), outcomes);
    assert_eq!(report.refusal_codes().collect::<Vec<_>>(), ["NotFound", "Unseen", "BadPath"]);
    let gone: Vec<String> = report.gone_logs().map(|step| step.target().path.to_string()).collect();
    assert_eq!(gone, ["a", "c"]);
}

#[test]
fn a_plan_begins_with_the_kind_that_the_first_plugin_wished() {
    let begins = |order: [&str; 2], images: &[(&str, &[&str])], logs: (&str, &[&str])| {
        let mut planned = image_plan(images, &[]);
        planned.plugins = order.map(|name| plugin(name, None)).into();
        planned.with_logs(vec!["app".to_owned()], log_plan(logs.0, logs.1, &[]), None).begins_with_logs()
    };
    let image: &[(&str, &[&str])] = &[("sha256:1", &[])];
    assert!(begins(["logs", "images"], image, ("logs", &["a"])));
    assert!(!begins(["images", "logs"], image, ("logs", &["a"])));
    assert!(!begins(["images", "logs"], image, ("images", &["a"])), "one plugin wished both");
    assert!(!begins(["logs", "images"], &[], ("logs", &["a"])) && !begins(["logs", "images"], image, ("logs", &[])));
}

#[test]
fn a_runtime_takes_names_first_if_it_took_some_and_refused_the_rest() {
    let names = ["a:1", "a:2", "a:3"];
    let in_use = || Outcome::NoLongerAllowed(ImageObjection::RuntimeSaysInUse { message: "no".to_owned() }.into());
    let shows = |outcome: Outcome<Images>, lost: usize| {
        let lost_names = names[..lost].iter().map(|name| (*name).to_owned()).collect();
        let remarks = BTreeMap::from([(1, Remark { lost_names, answer: None })]);
        let planned = image_plan(&[("sha256:1", &["b:1"]), ("sha256:2", &names)], &[]);
        let swept = Swept { outcomes: vec![in_use(), outcome], remarks, ending: None };
        report_of(planned, swept, Vec::new()).shows_untagging()
    };
    for (lost, expected) in [(0, false), (1, true), (2, true), (3, false)] {
        assert_eq!(shows(in_use(), lost), expected, "{lost} of three names");
        for other in [Outcome::Failed("no".to_owned()), Outcome::NoLongerAllowed(ImageObjection::Pinned.into())] {
            assert!(!shows(other, lost), "{lost}");
        }
    }
}

#[test]
fn the_gain_of_images_is_of_their_filesystem_alone() {
    let mut planned = planned(images(Some(100), None));
    planned.filesystems.push(Filesystem { name: "logs:a".to_owned(), ..images(Some(100), None) });
    let after = vec![
        Filesystem { name: "logs:a".to_owned(), identity: "8:2".to_owned(), ..images(Some(150), None) },
        Filesystem { identity: "8:1".to_owned(), ..images(Some(107), None) },
    ];
    let swept = (Swept::default(), Swept::default());
    let report = Report::new(planned, swept, Timestamp::UNIX_EPOCH, after, BTreeMap::new());
    assert_eq!(report.images.totals.filesystem_freed_bytes, Some(7));
}

#[test]
fn an_interrupted_run_without_log_files_says_nothing_of_them() {
    let of = |logs| {
        let started_at = Timestamp::UNIX_EPOCH;
        serde_json::to_value(Interrupted { started_at, planned: 3, gone: 1, left: 2, logs }).unwrap()
    };
    assert_eq!(of(0), json!({ "startedAt": "1970-01-01T00:00:00Z", "planned": 3, "gone": 1, "left": 2 }));
    assert_eq!(of(1)["logs"], 1);
}

#[test]
fn a_brief_report_has_what_failed_and_what_was_refused_by_frequency() {
    let logs = log_plan("logs", &["a", "b", "c", "d"], &["x", "y"]);
    let mut planned = image_plan(&[("sha256:1", &[]), ("sha256:2", &[])], &["gone"]);
    planned.plugins = vec![plugin("fine", None), plugin("slow", Some(("Timeout", "it took too long")))];
    let planned = planned.with_logs(vec!["app".to_owned()], logs, None);
    let images = Swept { outcomes: vec![Outcome::StillListed, Outcome::Removed], ..Swept::default() };
    let outcomes = vec![
        Outcome::Failed("no space".to_owned()),
        Outcome::Removed,
        Outcome::NotAttempted("late".to_owned()),
        Outcome::Failed("no space".to_owned()),
    ];
    let brief = Brief::of_report(&report_of(planned, images, outcomes));
    let error = |message: &str, count| BriefError { message: message.to_owned(), count };
    let expected = [
        error("no space", 2),
        error("late", 1),
        error("plugin slow failed with Timeout: it took too long", 1),
        error("the runtime still lists an image after its removal", 1),
    ];
    assert_eq!(brief.errors, expected);
    assert_eq!(brief.refusals, BTreeMap::from([("NotFound".to_owned(), 1), ("Unseen".to_owned(), 2)]));
    let digest = Some(format!("sha256:{}", "a".repeat(64)));
    let named = |name: &str, digest| BriefPlugin { name: name.to_owned(), digest };
    assert_eq!(brief.plugins, [named("fine", digest), named("slow", None)]);
    let json = serde_json::to_value(&brief).unwrap();
    assert_eq!((json.get("planned"), json.get("shortened")), (None, None));
    assert_eq!(json["result"], "SomeFailed");
}

#[test]
fn a_brief_plan_sums_up_repositories_by_the_first_names_of_images() {
    let tagged: &[(&str, &[&str])] = &[
        ("sha256:1", &["docker.io/a/b:1", "docker.io/z/z:1"]),
        ("sha256:2", &["docker.io/a/c:1"]),
        ("sha256:3", &["a/b:2"]),
        ("sha256:4", &[]),
        ("sha256:5", &["%%%"]),
    ];
    let repository = |name: &str, count, size_bytes| PlannedRepository { name: name.to_owned(), count, size_bytes };
    for reversed in [false, true] {
        let mut tagged = tagged.to_vec();
        if reversed {
            tagged.reverse();
        }
        let logs = log_plan("logs", &["a"], &["x"]);
        let mut planned = image_plan(&tagged, &["gone"]).with_logs(vec!["app".to_owned()], logs, None);
        planned.plugins = vec![plugin("slow", Some(("Timeout", "it took too long")))];
        let outcome = Brief::not_run("").outcome;
        let brief = Brief::of_plan(&planned, outcome);
        let planned = brief.planned.unwrap();
        assert_eq!(planned.size_bytes, 150);
        assert_eq!(planned.repositories, [repository("docker.io/a/b", 2, 20), repository("docker.io/a/c", 1, 10)]);
        assert_eq!(brief.refusals, BTreeMap::from([("NotFound".to_owned(), 1), ("Unseen".to_owned(), 1)]));
        assert_eq!(brief.errors.len(), 1);
    }
}

#[test]
fn a_message_of_the_greatest_length_is_whole() {
    let size = |brief: &Brief| serde_json::to_string(brief).unwrap().len();
    let of_length = |length: usize| {
        let mut brief = Brief::not_run("late");
        brief.errors = vec![BriefError { message: "x".to_owned(), count: 1 }; 22];
        let mut missing = length - size(&brief);
        for error in &mut brief.errors {
            let more = missing.min(190);
            error.message.push_str(&"x".repeat(more));
            missing -= more;
        }
        assert_eq!(size(&brief), length);
        brief
    };
    let longest = of_length(MAX_BRIEF);
    assert_eq!(longest.fitting(), longest);
    let longer = of_length(MAX_BRIEF + 1).fitting();
    assert_eq!((longer.errors.len(), longer.shortened), (10, true));
    // Once shortened, a report stays marked as shortened.
    let more = Brief { shortened: true, ..of_length(MAX_BRIEF + 1) }.fitting();
    assert_eq!((more.errors.len(), more.shortened), (10, true));
    let whole = Brief { shortened: true, ..Brief::not_run("late") };
    assert_eq!(whole.fitting(), whole);
}
