//! A record of how a runtime removes images: the images that it keeps after accepting their removal, and whether it
//! removes names of an image before it refuses the removal.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::report::Report;
use crate::snapshot::{Memory, Snapshot};

/// The time after which the host asks a runtime again to remove an image that it kept.
const ASK_AGAIN: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The behaviour of a runtime when it removes images, as observed in earlier runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Removals {
    /// Name and version of the runtime that the record is about.
    pub runtime: String,
    /// Images that the runtime reported as removed but still lists, by id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, Kept>,
    /// True if the runtime removed names of an image and then refused the image's removal.
    pub untags_first: bool,
}

/// An image that a runtime keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kept {
    /// The time of the inspection that listed the image after its removal.
    pub since: Timestamp,
    /// The names that the image had.
    pub names: Vec<String>,
}

impl Removals {
    /// Returns whether no run has observed such behaviour.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && !self.untags_first
    }

    /// Updates the record from a full snapshot. Drops everything if the runtime or its version changed, and drops kept
    /// images that are gone, have other names, or date from at least a week ago or from the future.
    pub fn observe(&mut self, snapshot: &Snapshot) {
        let node = &snapshot.node;
        if !snapshot.has_runtime() {
            // A run of log directories alone lists no images.
            return;
        }
        let runtime = format!("{} {}", node.runtime_name, node.runtime_version);
        if self.runtime != runtime {
            *self = Self::default();
        }
        let now = snapshot.taken_at;
        self.kept.retain(|id, kept| {
            let age = now.duration_since(kept.since);
            let same = |own: &crate::image::Image| own.references().eq(kept.names.iter().map(String::as_str));
            snapshot.image(id).is_some_and(same) && age >= SignedDuration::ZERO && age < ASK_AGAIN
        });
    }

    /// Copies the record into the memory of a snapshot.
    pub fn recall(&self, memory: &mut Memory) {
        memory.kept = self.kept.iter().map(|(id, kept)| (id.clone(), kept.since)).collect();
        memory.untags_first = self.untags_first;
    }

    /// Adds the runtime's behaviour in a run to the record.
    pub fn learn(&mut self, report: &Report) {
        if report.runtime.is_empty() {
            return;
        }
        self.untags_first |= report.shows_untagging();
        report.runtime.clone_into(&mut self.runtime);
        let kept = report.kept().map(|(step, since)| {
            (step.target().as_str().to_owned(), Kept { since, names: step.references().to_vec() })
        });
        self.kept.extend(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, Removals};
    use crate::fixture::{image, snapshot};
    use crate::guard::images::{ImageGuard, ImageObjection, Images};
    use crate::guard::{GuardRails, Plan};
    use crate::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
    use crate::report::{Outcome, PlanReport, Remark, Report, Swept};
    use crate::snapshot::{Memory, Snapshot};
    use jiff::{SignedDuration, Timestamp};
    use std::collections::BTreeMap;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn node() -> Snapshot {
        let mut node = snapshot(vec![image("sha256:1", &["a/b:1", "a/b:2"], &["a/b@sha256:2"])], Vec::new());
        node.taken_at = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000);
        node.node.runtime_name = "cri-o".to_owned();
        node.node.runtime_version = "1.37.0".to_owned();
        node.normalize()
    }

    /// Returns how many kept images are left of one after this snapshot, and whether names count as removed first.
    fn left(look: &Snapshot, since: Timestamp) -> (usize, bool) {
        let names = node().images[0].references().map(str::to_owned).collect();
        let kept = [(node().images[0].id.to_string(), Kept { since, names })].into();
        let mut removals = Removals { runtime: "cri-o 1.37.0".to_owned(), kept, untags_first: true };
        removals.observe(look);
        let mut memory = Memory::default();
        removals.recall(&mut memory);
        (memory.kept.len(), memory.untags_first)
    }

    #[test]
    fn what_is_kept_is_remembered_for_a_week() {
        let now = node().taken_at;
        for (age, expected) in [(0, 1), (1, 1), (167, 1), (168, 0), (1_000, 0), (-1, 0)] {
            assert_eq!(left(&node(), now - HOUR * age), (expected, true), "{age} hours");
        }
    }

    #[test]
    fn another_version_another_name_and_a_gone_image_are_asked_for_anew() {
        let now = node().taken_at;
        let mut other = node();
        other.node.runtime_version = "1.37.1".to_owned();
        assert_eq!(left(&other, now), (0, false));
        let mut other = node();
        other.node.runtime_name = "containerd".to_owned();
        assert_eq!(left(&other, now), (0, false));
        let mut renamed = node();
        renamed.images[0].repo_tags.push("c/d:1".to_owned());
        assert_eq!(left(&renamed, now), (0, true));
        let mut untagged = node();
        untagged.images[0].repo_tags.pop();
        assert_eq!(left(&untagged, now), (0, true));
        let mut gone = node();
        gone.images.clear();
        assert_eq!(left(&gone, now), (0, true));
    }

    #[test]
    fn a_run_without_a_runtime_forgets_nothing() {
        let names = node().images[0].references().map(str::to_owned).collect();
        let kept = [("sha256:1".to_owned(), Kept { since: node().taken_at, names })].into();
        let before = Removals { runtime: "cri-o 1.37.0".to_owned(), kept, untags_first: true };
        let mut removals = before.clone();
        let mut logs_only = snapshot(Vec::new(), Vec::new());
        logs_only.taken_at = node().taken_at + HOUR;
        (logs_only.node.runtime_name, logs_only.node.runtime_version) = (String::new(), String::new());
        let logs_only = logs_only.normalize();
        removals.observe(&logs_only);
        let planned = PlanReport::new(&logs_only, Vec::new(), Plan::default());
        let swept = (Swept::default(), Swept::default());
        let report = Report::new(planned, swept, logs_only.taken_at, Vec::new(), BTreeMap::new());
        assert_eq!(report.runtime, "");
        removals.learn(&report);
        assert_eq!(removals, before);
        removals.observe(&node());
        assert_eq!(removals, before, "the next run of images knows it");
    }

    #[test]
    fn what_a_runtime_kept_or_untagged_is_learnt_and_written() {
        let report = |outcome: Outcome<Images>, lost: usize| {
            let mut node = node();
            node.node.runtime_version = "1.38.0".to_owned();
            let names: Vec<String> = node.images[0].references().map(str::to_owned).collect();
            let reason = Reason { kind: ReasonKind::Unused, text: String::new() };
            let target = Target::Image("sha256:1".to_owned());
            let wishes = vec![Wish { target, verb: Verb::Remove, reason, expected_bytes: None }];
            let proposal = Proposal { plugin: "p".to_owned(), wishes };
            let plan = ImageGuard::new(&node, &GuardRails::default()).review(vec![proposal.into()]);
            let remark = Remark { lost_names: names[..lost].to_vec(), answer: None };
            let swept = Swept { outcomes: vec![outcome], remarks: BTreeMap::from([(0, remark)]), ending: None };
            let planned = PlanReport::new(&node, Vec::new(), plan);
            let swept = (swept, Swept::default());
            (names, Report::new(planned, swept, Timestamp::UNIX_EPOCH, Vec::new(), BTreeMap::new()))
        };
        let since = Timestamp::UNIX_EPOCH;
        let kept = Outcome::NoLongerAllowed(ImageObjection::KeptByRuntime { since }.into());
        let in_use = || Outcome::NoLongerAllowed(ImageObjection::RuntimeSaysInUse { message: String::new() }.into());
        assert!(Removals::default().is_empty());

        let (names, kept) = report(kept, 0);
        let mut removals = Removals::default();
        removals.learn(&kept);
        let expected = BTreeMap::from([("sha256:1".to_owned(), Kept { since, names })]);
        assert_eq!(removals, Removals { runtime: "cri-o 1.38.0".to_owned(), kept: expected, untags_first: false });
        assert!(!removals.is_empty());

        let mut removals = Removals::default();
        removals.learn(&report(in_use(), 0).1);
        assert!(!removals.untags_first && removals.is_empty());
        for lost in [1, 1, 0] {
            removals.learn(&report(in_use(), lost).1);
            assert!(removals.untags_first && !removals.is_empty(), "once learnt, it stays");
        }
    }
}
