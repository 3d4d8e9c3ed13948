//! The state that Holystone remembers of a node from run to run. CRI has no timestamps of images and no history; the
//! state has both.
//!
//! A [`State`] is a value and its own file format; an edge decides where it is stored.
//!
//! - `time`: carries the times over from one run to the next, so that ages are of time that really passed.
//! - `read`: reads a file, including an older format and a damaged one.
//!
//! A loss makes images young: for a while after it no image is removed, so a lost age never permits a removal that a
//! known one would forbid.

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

/// The most images that are remembered; a node has some hundreds. The age of any further image stays unknown.
const MAX_IMAGES: usize = 100_000;

/// The most names of an image that are remembered.
const MAX_NAMES: usize = 16;

/// The labels of the pods in which Holystone runs on each node.
const OUR_LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/name", "holystone"), ("app.kubernetes.io/component", "node")];

/// The remembered state of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Version of the format, [`FORMAT`].
    pub format: u32,
    /// The number of changes. The newer of two copies is the one with more, regardless of the clock.
    pub revision: u64,
    /// The time of the last change. All times except clock readings and those of runs are on the same scale: see
    /// [`State::observe`].
    pub written_at: Timestamp,
    /// All clocks at that time; absent if the time since boot cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Reading>,
    /// The first time that the node was seen; absent before that. Anything already there may be older.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The time at which the loss of remembered data was noticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Timestamp>,
    /// The images that the last run saw and did not remove, by id.
    pub images: BTreeMap<String, Seen>,
    /// Ids of the images of Holystone itself and its plugins, from the last run in a pod.
    pub own_images: BTreeSet<String>,
    /// The times at which there were pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsSeen>,
    /// The number of consecutive runs that proposed the same, by manifest, plugin and digest.
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
    /// The tags of the images, or their digests if they have no tag, by id: for people.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Vec<String>>,
    /// Observations on how the runtime removes images.
    #[serde(skip_serializing_if = "Removals::is_empty")]
    pub removals: Removals,
    /// The last finished run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// A run that has begun to remove. After the run, it is still there only if the run was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
    /// A mark that remembered data was lost, for the next look to note.
    #[serde(skip)]
    losing: bool,
}

/// The findings of a look at the node about the remembered state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The earlier run that was interrupted, if any.
    pub interrupted: Option<Interrupted>,
    /// Sentences about changes of the clock and about losses.
    pub notices: Vec<String>,
}

/// The remembered data of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seen {
    /// The time of the first look that saw the image.
    pub first: Timestamp,
    /// The time until which the image may have been in use, if ever: that of the last look that saw it in use, or of
    /// the first look after it that did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Timestamp>,
    /// True if the last look saw the image in use.
    #[serde(default, skip_serializing_if = "is_false")]
    pub in_use: bool,
}

/// The end of the last run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LastRun {
    /// The time of the run's look at the node.
    pub started_at: Timestamp,
    /// The time at which the run was over.
    pub finished_at: Timestamp,
    /// The reason why the run ended before its plan did, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// The results for images.
    pub images: Totals,
    /// The results for logs, if there were log roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Totals>,
}

/// A run that has begun to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnderWay {
    /// The time of the run's look at the node.
    pub started_at: Timestamp,
    /// Ids of the images that the run planned to remove.
    pub images: Vec<String>,
    /// The number of log files and directories that the run planned to remove or truncate.
    #[serde(default)]
    pub logs: usize,
}

// serde requires a reference.
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

    /// Marks that remembered data was lost: the next look makes every image young.
    #[must_use]
    pub fn damaged(mut self) -> Self {
        self.losing = true;
        self
    }

    /// Copies the state for a small file: without images and their names, wishes, and the run under way.
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

    /// Writes the state as JSON, the format of its file.
    ///
    /// # Errors
    /// When the state cannot be written as JSON, which is not known to happen for any value of this type.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Updates the state from a full look at the node, and adds the remembered data to that look: ages, own images,
    /// earlier wishes. Forgets images that have gone.
    ///
    /// Moves the remembered times, other than those of runs, so that their distance from `snapshot.taken_at` is the
    /// time that has really passed, as far as that is known, and never more.
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

    /// Takes in the images and pods that a runtime lists. Without a runtime nothing is known of them, so nothing has
    /// gone.
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

    /// Adds the remembered data to a second look at the node, without updating the state. Leaves out wishes, which
    /// count when a plan is made.
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

    /// Counts the wishes of a manifest's plugins in this run. A wish that was not repeated, for whatever reason,
    /// starts from the beginning.
    pub fn count_wishes(&mut self, wishers: &Wishers, images: &Plan<Images>, logs: &Plan<Logs>) {
        let known = &mut self.confirmations;
        wishers.count(known, images.counted(), logs.counted(), self.written_at);
        confirmation::bound(known, self.written_at);
    }

    /// Records the removals that are about to begin.
    pub fn begin(&mut self, started_at: Timestamp, steps: &[Step<Images>], logs: &[Step<Logs>]) {
        let images = steps.iter().map(|step| step.target().as_str().to_owned()).collect();
        self.under_way = Some(UnderWay { started_at, images, logs: logs.len() });
    }

    /// Records the end of the run, and forgets removed images and logs. An image that returns is young again.
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

    /// Records the names of the images.
    fn note_names(&mut self, snapshot: &Snapshot) {
        let names = |image: &Image| {
            let tags = if image.repo_tags.is_empty() { &image.repo_digests } else { &image.repo_tags };
            tags.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>()
        };
        let with_names = snapshot.images.iter().take(MAX_IMAGES).filter(|image| image.references().next().is_some());
        self.names = with_names.map(|image| (image.id.to_string(), names(image))).collect();
    }

    /// Records the times at which there were pods. A runtime that is starting lists none.
    fn note_pods(&mut self, snapshot: &Snapshot) {
        let now = snapshot.taken_at;
        if !snapshot.sandboxes.is_empty() {
            self.pods = Some(PodsSeen { last: now, none_since: None });
        } else if let Some(pods) = &mut self.pods {
            pods.none_since.get_or_insert(now);
        }
    }

    /// Records the images in use and, if this run is in a pod, the images of that pod.
    fn note_users(&mut self, snapshot: &Snapshot) {
        let usage = Usage::of(snapshot);
        let own_pod = snapshot.node.own_pod.as_str();
        let is_ours = |holder: &Holder<'_>| matches!(holder, Holder::Container(container) if !own_pod.is_empty() && container.pod.uid == own_pod);
        let mut own = BTreeSet::new();
        for (place, image) in snapshot.images.iter().enumerate() {
            let users = usage.users(place);
            if let Some(seen) = self.images.get_mut(image.id.as_str()) {
                // The end of a use is known only from look to look.
                if seen.in_use || !users.is_empty() {
                    seen.used = Some(snapshot.taken_at);
                }
                seen.in_use = !users.is_empty();
            }
            if users.iter().any(|user| user.unresolved.is_none() && is_ours(&user.holder)) {
                own.insert(image.id.as_str().to_owned());
            }
        }
        // After an update of Holystone, the images of the old version are like any others.
        if !own.is_empty() {
            self.own_images = own;
        }
    }
}

/// Returns whether a container of another Holystone pod ended successfully on this node: its run left a state.
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
