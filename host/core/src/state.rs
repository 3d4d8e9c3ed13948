//! What Holystone remembers of a node from run to run. CRI has no timestamps of images and no history; this has.
//!
//! A [`State`] is a value and a file format of its own; where it is kept is an edge's business.
//!
//! - `time`: carries the times over from one run to the next, so that ages are of time that really passed.
//! - `read`: reads a file, an older format and a damaged one included.
//!
//! What is lost makes young: for a while after a loss no image is removed, so a lost age never permits a removal that
//! a known one would forbid.

mod read;
mod time;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::{Misdated, Reading};
use crate::confirmation::{self, Confirmations, Wishers};
use crate::container::{ContainerState, Sandbox};
use crate::guard::images::Images;
use crate::guard::logs::Logs;
use crate::guard::{Plan, Step};
use crate::image::Image;
use crate::removals::Removals;
use crate::report::{Ending, Interrupted, Totals};
use crate::snapshot::{Memory, PodsSeen, Snapshot};
use crate::usage::{Holder, Usage};

pub use read::{Read, StateError};
pub use time::{Booted, Jump};

/// Version of the file format that this build reads and writes.
pub const FORMAT: u32 = 2;

/// How many images are remembered at most; a node has some hundreds. What is beyond stays of unknown age.
const MAX_IMAGES: usize = 100_000;

/// How many names of an image are remembered at most.
const MAX_NAMES: usize = 16;

/// The labels of the pods in which Holystone runs on each node.
const OUR_LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/name", "holystone"), ("app.kubernetes.io/component", "node")];

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Version of the format, [`FORMAT`].
    pub format: u32,
    /// How often it has been changed: of two copies, the one with more is the newer, whatever the clock said.
    pub revision: u64,
    /// When it was last changed. Every other time is on the same scale: see [`State::observe`].
    pub written_at: Timestamp,
    /// All clocks at that time; absent where the time since boot cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Reading>,
    /// When the node was first seen: what was there then may be older. Absent before that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it was noticed that what had been remembered was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Timestamp>,
    /// The images that the last run saw, by id.
    pub images: BTreeMap<String, Seen>,
    /// Ids of the images that Holystone itself and its plugins came in when it last ran in a pod.
    pub own_images: BTreeSet<String>,
    /// When there were pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsSeen>,
    /// In how many runs in a row the same was wished, by manifest, plugin and digest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confirmations: Vec<Confirmations>,
    /// The last boot, while the time between the run before it and the boot does not count yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booted: Option<Booted>,
    /// A jump ahead of the wall clock that is not believed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jump: Option<Jump>,
    /// A span of time in which files were dated wrongly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misdated: Option<Misdated>,
    /// The tags of the images, or their digests where they have no tag, by id: for people.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Vec<String>>,
    /// How the runtime removes images.
    #[serde(skip_serializing_if = "Removals::is_empty")]
    pub removals: Removals,
    /// The last run that came to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// A run that has begun to remove; still there afterwards only when the run was cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
    /// Whether something of it has been lost, which the next look notes.
    #[serde(skip)]
    losing: bool,
}

/// What a look at the node brought to light about what is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// How an earlier run was cut off, if one was.
    pub interrupted: Option<Interrupted>,
    /// What happened to the clock, and what was lost, in sentences.
    pub notices: Vec<String>,
}

/// What is known of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seen {
    /// When it was first seen.
    pub first: Timestamp,
    /// Until when it may have been in use, if ever: the last look that saw it in use, or the first one after it that did
    /// not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Timestamp>,
    /// Whether the last look saw it in use.
    #[serde(default, skip_serializing_if = "is_false")]
    pub in_use: bool,
}

/// How the last run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LastRun {
    /// When its look at the node was taken.
    pub started_at: Timestamp,
    /// When it was over.
    pub finished_at: Timestamp,
    /// Why it ended before its plan did, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What it came to.
    pub images: Totals,
    /// What it came to beneath log roots, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Totals>,
}

/// A run that has begun to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnderWay {
    /// When its look at the node was taken.
    pub started_at: Timestamp,
    /// Ids of the images that it set out to remove.
    pub images: Vec<String>,
    /// How many log files and directories it set out to remove or truncate.
    #[serde(default)]
    pub logs: usize,
}

// serde asks for a reference here.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_false(value: &bool) -> bool {
    !value
}

impl State {
    /// Makes the state of a node that has not been seen.
    pub fn new(now: Timestamp) -> Self {
        Self {
            format: FORMAT,
            revision: 0,
            written_at: now,
            clock: None,
            since: None,
            lost: None,
            images: BTreeMap::new(),
            own_images: BTreeSet::new(),
            pods: None,
            confirmations: Vec::new(),
            booted: None,
            jump: None,
            misdated: None,
            names: BTreeMap::new(),
            removals: Removals::default(),
            last_run: None,
            under_way: None,
            losing: false,
        }
    }

    /// Marks that something of it has been lost: the next look makes every image young.
    #[must_use]
    pub fn damaged(mut self) -> Self {
        self.losing = true;
        self
    }

    /// Keeps what a small file has room for: everything but images and wishes.
    #[must_use]
    pub fn essentials(&self) -> Self {
        Self {
            images: BTreeMap::new(),
            names: BTreeMap::new(),
            confirmations: Vec::new(),
            under_way: None,
            ..self.clone()
        }
    }

    /// Writes the state as a file has it.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which no value of this type is known to do.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Takes in a full look at the node and adds to it what is remembered: ages, own images, earlier wishes.
    /// Forgets images that have gone.
    ///
    /// Moves every time that is remembered so that its distance from `snapshot.taken_at` is the time that has really
    /// passed, as far as that is known, and never more.
    pub fn observe(&mut self, snapshot: &mut Snapshot) -> Observed {
        let now = snapshot.taken_at;
        let mut notices = self.follow(now, snapshot.node.clock.as_ref());
        self.losing |= self.since.is_none() && was_here(snapshot);
        if std::mem::take(&mut self.losing) {
            self.lost = Some(now);
            notices.push("what was remembered of this node was lost: until guardRails.minAge has passed, no image is old enough to be removed".to_owned());
        }
        self.written_at = now;
        self.revision = self.revision.saturating_add(1);
        self.since.get_or_insert(now);
        let interrupted = self.under_way.take().map(|run| interrupted(&run, snapshot));
        if snapshot.has_runtime() {
            self.take_in(snapshot);
        }
        confirmation::bound(&mut self.confirmations, now);
        self.recall(snapshot);
        snapshot.memory.confirmations.clone_from(&self.confirmations);
        Observed { interrupted, notices }
    }

    /// Takes in what a runtime lists. Without one nothing is known of images and pods, and so nothing has gone.
    fn take_in(&mut self, snapshot: &Snapshot) {
        let now = snapshot.taken_at;
        let mut before = std::mem::take(&mut self.images);
        for image in snapshot.images.iter().take(MAX_IMAGES) {
            let id = image.id.as_str();
            let new = || (id.to_owned(), Seen { first: now, used: None, in_use: false });
            let (id, seen) = before.remove_entry(id).unwrap_or_else(new);
            self.images.insert(id, seen);
        }
        self.note_users(snapshot);
        self.note_names(snapshot);
        self.removals.observe(snapshot);
        self.note_pods(snapshot);
        self.own_images.retain(|id| snapshot.image(id).is_some());
        confirmation::forget(&mut self.confirmations, |id| snapshot.image(id).is_none(), |_| false);
    }

    /// Adds what is remembered to a second look at the node, and takes nothing in. Wishes are left out: they count when
    /// a plan is made.
    pub fn recall(&self, snapshot: &mut Snapshot) {
        for image in &mut snapshot.images {
            let seen = self.images.get(image.id.as_str());
            image.first_seen = seen.map(|seen| seen.first);
            image.last_used = seen.and_then(|seen| seen.used);
        }
        snapshot.memory = Memory {
            since: self.since,
            own_images: self.own_images.clone(),
            lost: self.lost,
            pods: self.pods,
            clock_doubt: self.doubt(snapshot),
            misdated: self.misdated,
            ..Memory::default()
        };
        self.removals.recall(&mut snapshot.memory);
    }

    /// Counts what the plugins of a manifest wished in this run. A wish that was not repeated, for whatever reason, starts
    /// from the beginning.
    pub fn count_wishes(&mut self, wishers: &Wishers, images: &Plan<Images>, logs: &Plan<Logs>) {
        let known = &mut self.confirmations;
        wishers.count(known, images.counted(), logs.counted(), self.written_at);
        confirmation::bound(known, self.written_at);
    }

    /// Notes that removals are about to begin.
    pub fn begin(&mut self, started_at: Timestamp, steps: &[Step<Images>], logs: &[Step<Logs>]) {
        let images = steps.iter().map(|step| step.target().as_str().to_owned()).collect();
        self.under_way = Some(UnderWay { started_at, images, logs: logs.len() });
    }

    /// Notes how the run ended, and forgets what is gone: should an image come back, it is young again.
    pub fn finish<'a>(
        &mut self,
        run: LastRun,
        gone: impl Iterator<Item = &'a Step<Images>>,
        gone_logs: impl Iterator<Item = &'a Step<Logs>>,
    ) {
        let gone: BTreeSet<&str> = gone.map(|step| step.target().as_str()).collect();
        let gone_logs: BTreeSet<String> = gone_logs.map(Step::key).collect();
        self.images.retain(|id, _| !gone.contains(id.as_str()));
        self.names.retain(|id, _| !gone.contains(id.as_str()));
        confirmation::forget(&mut self.confirmations, |id| gone.contains(id), |key| gone_logs.contains(key));
        self.advance_to(run.finished_at);
        self.revision = self.revision.saturating_add(1);
        self.last_run = Some(run);
        self.under_way = None;
    }

    /// Notes what the images are called.
    fn note_names(&mut self, snapshot: &Snapshot) {
        let names = |image: &Image| {
            let tags = if image.repo_tags.is_empty() { &image.repo_digests } else { &image.repo_tags };
            tags.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>()
        };
        let with_names = snapshot.images.iter().take(MAX_IMAGES).filter(|image| image.references().next().is_some());
        self.names = with_names.map(|image| (image.id.to_string(), names(image))).collect();
    }

    /// Notes when there were pods. A runtime that is starting lists none.
    fn note_pods(&mut self, snapshot: &Snapshot) {
        let now = snapshot.taken_at;
        if !snapshot.sandboxes.is_empty() {
            self.pods = Some(PodsSeen { last: now, none_since: None });
        } else if let Some(pods) = &mut self.pods {
            pods.none_since.get_or_insert(now);
        }
    }

    /// Notes which images are in use, and, where this runs in a pod, which of them are our own.
    fn note_users(&mut self, snapshot: &Snapshot) {
        let usage = Usage::of(snapshot);
        let own_pod = snapshot.node.own_pod.as_str();
        let is_ours = |holder: &Holder<'_>| matches!(holder, Holder::Container(container) if !own_pod.is_empty() && container.pod.uid == own_pod);
        let mut own = BTreeSet::new();
        for (place, image) in snapshot.images.iter().enumerate() {
            let users = usage.users(place);
            if let Some(seen) = self.images.get_mut(image.id.as_str()) {
                // Until when it was in use is not known more precisely than from look to look.
                if seen.in_use || !users.is_empty() {
                    seen.used = Some(snapshot.taken_at);
                }
                seen.in_use = !users.is_empty();
            }
            if users.iter().any(|user| user.unresolved.is_none() && is_ours(&user.holder)) {
                own.insert(image.id.as_str().to_owned());
            }
        }
        // After an update of Holystone the images of the old version are like any others.
        if !own.is_empty() {
            self.own_images = own;
        }
    }
}

/// Whether a pod of Holystone has come to its end on this node: then there was something to remember.
fn was_here(snapshot: &Snapshot) -> bool {
    let is_ours = |sandbox: &&Sandbox| {
        let has = |(label, value): (&str, &str)| sandbox.labels.get(label).is_some_and(|found| found == value);
        OUR_LABELS.into_iter().all(has) && sandbox.pod.uid != snapshot.node.own_pod
    };
    let ours: BTreeSet<&str> = snapshot.sandboxes.iter().filter(is_ours).map(|sandbox| sandbox.id.as_str()).collect();
    snapshot.containers.iter().any(|container| {
        let has_ended = container.state == ContainerState::Exited && container.exit_code == Some(0);
        has_ended && ours.contains(container.sandbox_id.as_str())
    })
}

fn interrupted(run: &UnderWay, snapshot: &Snapshot) -> Interrupted {
    let left = run.images.iter().filter(|id| snapshot.image(id).is_some()).count();
    let (planned, gone) = (run.images.len(), run.images.len() - left);
    Interrupted { started_at: run.started_at, planned, gone, left, logs: run.logs }
}

#[cfg(test)]
mod tests;
