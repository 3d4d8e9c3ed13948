//! What Holystone remembers of a node from run to run. CRI has no timestamps of images and no history; this has.
//!
//! A [`State`] is a value and a file format of its own; where it is kept is an edge's business. Whatever cannot be
//! read or makes no sense is forgotten, and what is forgotten is unknown: an unknown age never permits a removal that
//! a known one would forbid.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::guard::logs::{LogPlan, LogStep};
use crate::guard::{Plan, Step};
use crate::image::Image;
use crate::proposal::Target;
use crate::removals::Removals;
use crate::report::{Ending, Interrupted, LogTotals, Totals};
use crate::snapshot::{Memory, Snapshot};
use crate::usage::{Holder, Usage};

/// Version of the file format that this build reads and writes.
pub const FORMAT: u32 = 1;

/// How many images are remembered at most; a node has some hundreds. What is beyond stays of unknown age.
const MAX_IMAGES: usize = 100_000;

/// How many names of an image are remembered at most.
const MAX_NAMES: usize = 16;

/// How far a clock may have been set back before what was written under it is not believed any more.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// Version of the format, [`FORMAT`].
    pub format: u32,
    /// When it was last changed, by this node's clock.
    pub written_at: Timestamp,
    /// When the node was first seen: what was there then may be older. Absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The images that the last run saw, by id.
    #[serde(default)]
    pub images: BTreeMap<String, Seen>,
    /// Ids of the images that Holystone itself and its plugins came in when it last ran in a pod.
    #[serde(default)]
    pub own_images: BTreeSet<String>,
    /// In how many runs in a row, up to the last one, a plugin wished the removal of an image: plugin, id, runs.
    #[serde(default)]
    pub wishes: BTreeMap<String, BTreeMap<String, u32>>,
    /// The same of log files and directories: plugin, which file or directory, runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub log_wishes: BTreeMap<String, BTreeMap<String, u32>>,
    /// The tags of the images, or their digests where they have no tag, by id: for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Vec<String>>,
    /// How the runtime removes images.
    #[serde(default, skip_serializing_if = "Removals::is_empty")]
    pub removals: Removals,
    /// The last run that came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// A run that has begun to remove; still there afterwards only when the run was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
}

/// What is known of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seen {
    /// When it was first seen.
    pub first: Timestamp,
    /// When it was last seen in use, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Timestamp>,
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
    pub totals: Totals,
    /// What it came to beneath log roots, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_totals: Option<LogTotals>,
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

/// Why a text is not a state that can be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Not JSON, or not of this shape.
    #[error("it cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Written by another version.
    #[error("it has format {found}, this version reads format {FORMAT}")]
    Format {
        /// The format that the text claims.
        found: u32,
    },
    /// Written later than now: one of the two times is wrong, and so may be every age.
    #[error("it was written at {written_at}, which is in the future of this node's clock")]
    FromTheFuture {
        /// The time in question.
        written_at: Timestamp,
    },
}

/// Reads only the version, so that a newer format is named as such and not as an unknown field.
#[derive(Deserialize)]
struct Header {
    format: u32,
}

impl State {
    /// The state of a node that has not been seen.
    pub fn new(now: Timestamp) -> Self {
        Self {
            format: FORMAT,
            written_at: now,
            since: None,
            images: BTreeMap::new(),
            own_images: BTreeSet::new(),
            wishes: BTreeMap::new(),
            log_wishes: BTreeMap::new(),
            names: BTreeMap::new(),
            removals: Removals::default(),
            last_run: None,
            under_way: None,
        }
    }

    /// Reads what [`State::to_json`] wrote. A time that lies a little ahead, because the clock was set back, becomes
    /// `now`.
    ///
    /// # Errors
    /// When the text is not a state, of another format, or from the future. Whoever gets one starts anew.
    pub fn from_json(text: &[u8], now: Timestamp) -> Result<Self, StateError> {
        let header: Header = serde_json::from_slice(text)?;
        if header.format != FORMAT {
            return Err(StateError::Format { found: header.format });
        }
        let mut state: Self = serde_json::from_slice(text)?;
        if state.written_at.duration_since(now) > CLOCK_TOLERANCE {
            return Err(StateError::FromTheFuture { written_at: state.written_at });
        }
        state.since = state.since.map(|since| since.min(now));
        for seen in state.images.values_mut() {
            seen.first = seen.first.min(now);
            seen.used = seen.used.map(|used| used.min(now));
        }
        Ok(state)
    }

    /// The state as a file has it.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which no value of this type is known to do.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Takes in a full look at the node and adds to it what is remembered: ages, own images, earlier wishes.
    /// Forgets images that have gone. Says how an earlier run was cut off, if one was.
    pub fn observe(&mut self, snapshot: &mut Snapshot) -> Option<Interrupted> {
        let now = snapshot.taken_at;
        self.written_at = now;
        self.since.get_or_insert(now);
        let interrupted = self.under_way.take().map(|run| interrupted(&run, snapshot));
        let mut before = std::mem::take(&mut self.images);
        for image in snapshot.images.iter().take(MAX_IMAGES) {
            let id = image.id.as_str();
            let (id, seen) =
                before.remove_entry(id).unwrap_or_else(|| (id.to_owned(), Seen { first: now, used: None }));
            self.images.insert(id, seen);
        }
        self.note_users(snapshot);
        self.note_names(snapshot);
        self.removals.observe(snapshot);
        self.own_images.retain(|id| snapshot.image(id).is_some());
        for wishes in self.wishes.values_mut() {
            wishes.retain(|id, _| snapshot.image(id).is_some());
        }
        self.recall(snapshot);
        snapshot.memory.wishes.clone_from(&self.wishes);
        snapshot.memory.log_wishes.clone_from(&self.log_wishes);
        interrupted
    }

    /// Adds what is remembered to a second look at the node, and takes nothing in. Wishes are left out: they count when
    /// a plan is made.
    pub fn recall(&self, snapshot: &mut Snapshot) {
        for image in &mut snapshot.images {
            let seen = self.images.get(image.id.as_str());
            image.first_seen = seen.map(|seen| seen.first);
            image.last_used = seen.and_then(|seen| seen.used);
        }
        snapshot.memory = Memory { since: self.since, own_images: self.own_images.clone(), ..Memory::default() };
        self.removals.recall(&mut snapshot.memory);
    }

    /// Counts what the plugins wished in this run. A wish that was not repeated, for whatever reason, starts anew.
    pub fn count_wishes(&mut self, plan: &Plan, logs: &LogPlan) {
        let steps = logs.steps.iter().map(|step| (step.plugin(), step.key()));
        let refused = logs.refusals.iter().filter_map(|refused| Some((refused.plugin.as_str(), refused.key.clone()?)));
        let before = std::mem::take(&mut self.log_wishes);
        self.log_wishes = counted(&before, steps.chain(refused));
        let before = std::mem::take(&mut self.wishes);
        let steps = plan.steps.iter().map(|step| (step.plugin(), step.image().as_str().to_owned()));
        let refused = plan.refusals.iter().filter_map(|refused| match &refused.wish.target {
            Target::Image(id) if self.images.contains_key(id) => Some((refused.plugin.as_str(), id.clone())),
            _ => None,
        });
        self.wishes = counted(&before, steps.chain(refused));
    }

    /// Notes that removals are about to begin.
    pub fn begin(&mut self, started_at: Timestamp, steps: &[Step], logs: &[LogStep]) {
        let images = steps.iter().map(|step| step.image().as_str().to_owned()).collect();
        self.under_way = Some(UnderWay { started_at, images, logs: logs.len() });
    }

    /// Notes how the run ended, and forgets what is gone: should an image come back, it is young again.
    pub fn finish<'a>(
        &mut self,
        run: LastRun,
        gone: impl Iterator<Item = &'a Step>,
        gone_logs: impl Iterator<Item = &'a LogStep>,
    ) {
        for step in gone_logs {
            for wishes in self.log_wishes.values_mut() {
                wishes.remove(&step.key());
            }
        }
        self.log_wishes.retain(|_, wishes| !wishes.is_empty());
        for step in gone {
            let id = step.image().as_str();
            self.images.remove(id);
            self.names.remove(id);
            for wishes in self.wishes.values_mut() {
                wishes.remove(id);
            }
        }
        self.wishes.retain(|_, wishes| !wishes.is_empty());
        self.written_at = run.finished_at.max(self.written_at);
        self.last_run = Some(run);
        self.under_way = None;
    }

    /// Notes what the images are called.
    fn note_names(&mut self, snapshot: &Snapshot) {
        let names = |image: &Image| {
            let tags = if image.repo_tags.is_empty() { &image.repo_digests } else { &image.repo_tags };
            tags.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>()
        };
        let named = snapshot.images.iter().take(MAX_IMAGES).filter(|image| image.references().next().is_some());
        self.names = named.map(|image| (image.id.to_string(), names(image))).collect();
    }

    /// Notes which images are in use, and, where this runs in a pod, which of them are our own.
    fn note_users(&mut self, snapshot: &Snapshot) {
        let usage = Usage::of(snapshot);
        let own_pod = snapshot.node.own_pod.as_str();
        let is_ours = |holder: &Holder<'_>| matches!(holder, Holder::Container(container) if !own_pod.is_empty() && container.pod.uid == own_pod);
        let mut own = BTreeSet::new();
        for (place, image) in snapshot.images.iter().enumerate() {
            let users = usage.users(place);
            if let Some(seen) = self.images.get_mut(image.id.as_str()).filter(|_| !users.is_empty()) {
                seen.used = Some(snapshot.taken_at);
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

/// Earlier counts of wishes, carried on by those that are wished now. A wish that was not repeated starts anew.
fn counted<'a>(
    before: &BTreeMap<String, BTreeMap<String, u32>>,
    wished: impl Iterator<Item = (&'a str, String)>,
) -> BTreeMap<String, BTreeMap<String, u32>> {
    let mut now: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    for (plugin, key) in wished {
        let runs = before.get(plugin).and_then(|wishes| wishes.get(&key)).copied().unwrap_or(0);
        now.entry(plugin.to_owned()).or_default().insert(key, runs.saturating_add(1));
    }
    now
}

fn interrupted(run: &UnderWay, snapshot: &Snapshot) -> Interrupted {
    let left = run.images.iter().filter(|id| snapshot.image(id).is_some()).count();
    let (planned, gone) = (run.images.len(), run.images.len() - left);
    Interrupted { started_at: run.started_at, planned, gone, left, logs: run.logs }
}

#[cfg(test)]
mod tests;
