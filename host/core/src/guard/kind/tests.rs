//! A toy kind goes the whole way from a wish to a report: nothing but this file knows of it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::json;

use super::{Kind, Operation, ParsedProposal};
use crate::confirmation::Counts;
use crate::guard::review::{Judge, Known, review};
use crate::guard::{Limits, Objection, Plan, Refusal, Step};
use crate::proposal::{LogLocation, Proposal, Reason, ReasonKind, Target, Verb, Wish};
use crate::report::{EndReason, Ending, Outcome, PlanPart, ReportPart, Swept};

/// Volumes, by name. Some are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Volumes;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct VolumeFacts {
    files: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mounted;

impl fmt::Display for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is mounted")
    }
}

impl Objection for Mounted {
    fn rail(&self) -> u8 {
        2
    }

    fn code(&self) -> &'static str {
        "Mounted"
    }
}

impl Kind for Volumes {
    const NOT_FOUND: &'static str = "no volume of this node has this name";
    const THINGS: &'static str = "volumes";
    const ALL: &'static str = "volumes";
    const FREEABLE_BYTES: Option<fn(&VolumeFacts) -> u64> = Some(|facts| facts.files * 4);

    type Target = String;
    type Facts = VolumeFacts;
    type Objection = Mounted;
    type Permit = ();

    fn parse(target: &Target) -> Result<String, Refusal<Self>> {
        match target {
            Target::Other(kind, name) if kind == "volume" => Ok(name.clone()),
            _ => Err(Refusal::NotOffered),
        }
    }

    fn operation(_: &String, verb: Verb) -> Option<Operation> {
        (verb == Verb::Remove).then_some(Operation::Remove)
    }

    fn name(target: &String, _: &VolumeFacts) -> String {
        format!("volume {target}")
    }

    fn key(target: &String, _: &VolumeFacts) -> String {
        target.clone()
    }

    fn entries(facts: &VolumeFacts) -> u64 {
        facts.files
    }

    fn is_on(filesystem: &str) -> bool {
        filesystem == "volumes"
    }
}

/// The volumes of a node: their files, and whether they are mounted.
struct Node(BTreeMap<String, (u64, bool)>);

impl Judge<Volumes> for Node {
    fn judge(
        &mut self,
        plugin: &str,
        target: &String,
        operation: Operation,
        reason: &Reason,
    ) -> Result<Step<Volumes>, Refusal<Volumes>> {
        let (files, is_mounted) = *self.0.get(target).ok_or(Refusal::NotFound)?;
        if is_mounted {
            return Err(Refusal::Own(Mounted));
        }
        let (plugin, target, reason) = (plugin.to_owned(), target.clone(), reason.clone());
        Ok(Step { plugin, target, operation, size_bytes: files * 3, reason, facts: VolumeFacts { files } })
    }

    fn known(&self, target: &String) -> Known<Volumes> {
        let known = |(files, _): &(u64, bool)| Known {
            size_bytes: Some(files * 3),
            facts: Some(VolumeFacts { files: *files }),
            key: None,
        };
        self.0.get(target).map(known).unwrap_or_default()
    }

    fn entries(&self, target: &String) -> u64 {
        self.0.get(target).map_or(0, |(files, _)| *files)
    }

    fn all_entries(&self) -> Option<u64> {
        Some(self.0.values().map(|(files, _)| files).sum())
    }

    fn is_covered(&self, step: &Step<Volumes>) -> bool {
        step.target().ends_with("-snapshot")
    }

    fn share(&self, step: &mut Step<Volumes>) {
        step.size_bytes -= 1;
    }

    fn take(&mut self, step: &Step<Volumes>) {
        self.0.remove(step.target());
    }
}

fn node() -> Node {
    let volumes = [("a", 1, false), ("b", 2, true), ("c", 3, false), ("c-snapshot", 1, false), ("d", 9, false)];
    Node(volumes.map(|(name, files, is_mounted)| (name.to_owned(), (files, is_mounted))).into())
}

fn wish(name: &str, verb: Verb) -> Wish {
    let target = Target::Other("volume".to_owned(), name.to_owned());
    Wish { target, verb, reason: Reason { kind: ReasonKind::Unused, text: String::new() }, expected_bytes: None }
}

fn plan(limits: Limits, confirmations: u32, before: &BTreeMap<String, Counts>, names: &[&str]) -> Plan<Volumes> {
    let wishes = names.iter().map(|name| wish(name, Verb::Remove));
    let others = [wish("a", Verb::Truncate), Wish { target: Target::Image("i".to_owned()), ..wish("", Verb::Remove) }];
    let proposal = Proposal { plugin: "p".to_owned(), wishes: wishes.chain(others).collect() };
    review(&mut node(), vec![proposal.into()], (limits, confirmations), before)
}

fn codes(plan: &Plan<Volumes>) -> Vec<(&str, u8, &str, Option<&str>)> {
    let code = |refused| {
        let crate::guard::Refused { name, refusal, key, .. }: &crate::guard::Refused<Volumes> = refused;
        (name.as_str(), refusal.rail(), refusal.code(), key.as_deref())
    };
    plan.refusals.iter().map(code).collect()
}

const NOT_OFFERED: [(&str, u8, &str, Option<&str>); 2] =
    [("volume a", 1, "NotOffered", None), ("i", 1, "NotOffered", None)];

#[test]
fn every_rail_that_is_not_of_a_kind_is_there_for_all() {
    let names = ["a", "a", "b", "c", "c-snapshot", "gone"];
    let steps = |plan: &Plan<Volumes>| plan.steps.iter().map(|step| step.target().clone()).collect::<Vec<_>>();
    let all = plan(Limits::default(), 1, &BTreeMap::new(), &names);
    assert_eq!(steps(&all), ["a", "c"]);
    let common = [
        ("volume a", 1, "Duplicate", None),
        ("volume b", 2, "Mounted", None),
        ("volume c-snapshot", 1, "Duplicate", None),
        ("gone", 1, "NotFound", None),
    ];
    // What has gone into the plan is not known by this judge any more.
    let common = [("a", 1, "Duplicate", None), common[1], common[2], common[3]];
    let not_offered = [("a", 1, "NotOffered", None), NOT_OFFERED[1]];
    assert_eq!(codes(&all), [&common[..], &not_offered].concat());
    assert_eq!(all.counted().collect::<Vec<_>>(), [("p", "a".to_owned()), ("p", "c".to_owned())]);

    let few = plan(Limits { count: Some(3), ..Limits::default() }, 1, &BTreeMap::new(), &["a", "c"]);
    assert_eq!((steps(&few), codes(&few)[0]), (vec!["a".to_owned()], ("volume c", 8, "OverCount", Some("c"))));
    assert_eq!(few.refusals[0].refusal.to_string(), "over the limit of volumes per run, which is 3");
    let enough =
        plan(Limits { count: Some(4), bytes: Some(10), ..Limits::default() }, 1, &BTreeMap::new(), &["a", "c"]);
    assert_eq!(steps(&enough), ["a", "c"], "3 and 9 bytes, of which each shares one");
    let small = plan(Limits { bytes: Some(9), ..Limits::default() }, 1, &BTreeMap::new(), &["a", "c"]);
    assert_eq!(codes(&small)[0], ("volume c", 8, "OverBytes", Some("c")));
    let share = plan(Limits { percent: Some(24), ..Limits::default() }, 1, &BTreeMap::new(), &["a", "c"]);
    assert_eq!(codes(&share)[1], ("volume c", 8, "OverPercent", None), "4 of 16");
    assert_eq!(
        share.refusals[0].refusal.to_string(),
        "proposal rejected: it is about 25 % of all volumes, the limit is 24 %"
    );
    assert_eq!(
        steps(&plan(Limits { percent: Some(25), ..Limits::default() }, 1, &BTreeMap::new(), &["a", "c"])).len(),
        2
    );

    let before = BTreeMap::from([("p".to_owned(), Counts::from([("c".to_owned(), 1)]))]);
    let once_more = plan(Limits::default(), 2, &before, &["a", "c"]);
    assert_eq!(
        (steps(&once_more), codes(&once_more)[0]),
        (vec!["c".to_owned()], ("volume a", 6, "NotConfirmed", Some("a")))
    );
    assert_eq!(once_more.refusals[0].refusal.to_string(), "proposed in 1 of 2 required consecutive runs");
    assert_eq!(once_more.counted().collect::<Vec<_>>(), [("p", "c".to_owned()), ("p", "a".to_owned())]);
}

#[test]
fn its_part_of_plans_and_reports_has_the_fields_of_all() {
    let planned = PlanPart::new(plan(Limits::default(), 1, &BTreeMap::new(), &["a", "c", "d"]), Some(16));
    let value = serde_json::to_value(&planned).unwrap();
    assert_eq!(
        value["totals"],
        json!({ "planned": 3, "refused": 2, "entries": 13, "sizePlannedBytes": 36, "freeableBytes": 52 })
    );
    assert_eq!((&value["percentPlanned"], &value["entries"]), (&json!(82), &json!(16)));
    assert_eq!(
        value["steps"][0],
        json!({ "plugin": "p", "target": "a", "operation": "remove", "sizeBytes": 2, "reason": { "kind": "unused", "text": "" }, "files": 1 })
    );
    let ending = Ending { reason: EndReason::TimeLimit, message: "late".to_owned() };
    let outcomes = vec![Outcome::Removed, Outcome::NoLongerAllowed(Refusal::Own(Mounted)), ending.of_a_step()];
    let report = ReportPart::new(planned, Swept { outcomes, ending: Some(ending), ..Swept::default() });
    assert_eq!(report.gone().map(Step::name).collect::<Vec<_>>(), ["volume a"]);
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(
        value["totals"],
        json!({
            "planned": 3, "removed": 1, "truncated": 0, "alreadyGone": 0, "refused": 2, "noLongerAllowed": 1, "notNeeded": 0,
            "notAttempted": 1, "failed": 0, "entries": 1, "sizeRemovedBytes": 2,
        })
    );
    assert_eq!(value["steps"][1]["detail"], json!({ "rail": 2, "code": "Mounted", "message": "it is mounted" }));
    assert_eq!((&value["steps"][2]["result"], &value["steps"][2]["detail"]), (&json!("notAttempted"), &json!("late")));
    assert!(report.totals.has_failures());
}

#[test]
fn a_kind_reads_its_own_targets_alone() {
    let wishes =
        vec![wish("a", Verb::Remove), Wish { target: Target::Image("i".to_owned()), ..wish("", Verb::Remove) }];
    let proposal = Proposal { plugin: "p".to_owned(), wishes };
    let volumes = ParsedProposal::<Volumes>::from(proposal);
    assert_eq!(volumes.targets().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn wishes_are_parted_by_kind() {
    let place = |path: &str| LogLocation { root: "app".to_owned(), path: path.to_owned() };
    let targets = [
        Target::LogDirectory(place("d")),
        Target::Image("i".to_owned()),
        Target::Container("c".to_owned()),
        Target::LogFile(place("a")),
        Target::LogFile(place("../x")),
        Target::Other("volume".to_owned(), "v".to_owned()),
    ];
    let wishes = targets.map(|target| Wish { target, ..wish("", Verb::Remove) });
    let proposal = Proposal { plugin: "p".to_owned(), wishes: wishes.to_vec() };
    let (images, logs) = proposal.by_kind();
    let [directory, image, container, file, outside, volume] = wishes;
    assert_eq!((images.plugin.as_str(), logs.plugin.as_str()), ("p", "p"));
    let of_images: Vec<Target> = images.wishes.into_iter().map(|parsed| parsed.wish.target).collect();
    assert_eq!(of_images, [image, container, volume].map(|wish| wish.target));
    let targets: Vec<_> = logs.targets().map(|target| (target.path.to_string(), target.is_directory)).collect();
    assert_eq!(targets, [("d".to_owned(), true), ("a".to_owned(), false)]);
    let of_logs: Vec<Target> = logs.wishes.into_iter().map(|parsed| parsed.wish.target).collect();
    assert_eq!(of_logs, [directory, file, outside].map(|wish| wish.target));
}
