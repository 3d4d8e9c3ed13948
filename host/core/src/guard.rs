//! The guard rails: the one place where a plugin's wish can become a [`Step`].
//!
//! The rails are numbered and evaluated in this order; the first that says no names the refusal. Plugins can neither
//! see nor switch them.
//!
//! 1. The target exists in the snapshot, is of a kind that this host removes, and is wished only once; and the runtime
//!    did not keep it when it was last asked to remove it.
//! 2. The image is not in use: no container in any state, no sandbox and no image volume refers to it, and none that
//!    may refer to it is left unresolved (see [`crate::usage`]). Where a runtime takes names from an image before it
//!    refuses the removal, an image has no more than one name, unless [`GuardRails::allow_partial_untag`].
//! 3. The image is not one that the node needs for itself: pinned by the runtime, the sandbox (pause) image, matched
//!    by [`BUILT_IN`], or one that Holystone itself or its plugins come in.
//! 4. The image is not protected by the operator's patterns. One protected tag protects the image, because removing
//!    an image drops every tag.
//! 5. The image is not too young: first seen, and in use, at least [`GuardRails::min_age`] ago. What was there when the
//!    node was first seen is of unknown age, and counts as young only while a pod may be starting: while there is a
//!    ready sandbox, not our own, that is younger than that itself; where a schedule brings another run, until the node
//!    has been known for that long. Every image is young on a node that has just booted or lists no pods all of a
//!    sudden, after a loss of what is remembered, and while the clock is not trusted: see `settled`.
//! 6. The wish is confirmed: the same plugin wished it in [`GuardRails::confirmations`] runs in a row.
//! 7. What is said of log files and directories: see [`logs`].
//! 8. The run stays within its limits: count, size, and the share of all images.
//!
//! Right before a step is performed the rails look once more, at the node as it then is: [`Guard::clear`].

pub mod logs;
mod matches;
mod refusal;
mod settled;

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::confirmation::{Wishers, Wishes};
use crate::container::Pod;
use crate::image::{Image, ImageId};
use crate::pattern::{Names, Pattern};
use crate::percent;
use crate::proposal::{Proposal, Reason, Target, Verb, Wish};
use crate::reference::Reference;
use crate::snapshot::Snapshot;
use crate::text;
use crate::usage::{Usage, User};

use logs::LogRails;
pub use refusal::Refusal;
pub use settled::Unsettled;

/// Images that are never removed, whoever asks: those that exist on this node only, pause images under any name,
/// and Holystone's own.
pub const BUILT_IN: [&str; 3] = ["localhost/*", "*pause*", "*/holystone*"];

/// Those of [`BUILT_IN`] that the operator may lift, and no others.
pub const LIFTABLE: [&str; 2] = ["localhost/*", "*pause*"];

/// What the operator sets: everything else is fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardRails {
    /// Built-in patterns that do not protect on this node (rail 3); what is not in [`LIFTABLE`] has no effect.
    pub lift: Vec<RailPattern>,
    /// Whether an image of several names may be removed by a runtime that takes its names one by one, and may keep the
    /// rest (rail 2). Default no.
    pub allow_partial_untag: bool,
    /// Images to keep (rail 4).
    pub protect: Vec<RailPattern>,
    /// How long an image has to have been here (rail 5). Zero switches the rail off. Default 10 minutes.
    pub min_age: SignedDuration,
    /// Whether an image of unknown age is young until the node has been known for [`min_age`](Self::min_age): where a
    /// schedule brings the next run. Default: no.
    pub unknown_is_young: bool,
    /// In how many runs in a row a plugin has to wish the same (rail 6). Default 1: this one.
    pub confirmations: u32,
    /// How long a log file counts as open where that cannot be seen (rail 7). Default one day.
    pub unknown_open_age: SignedDuration,
    /// For how long a log file or directory has to have been left alone (rail 7). Zero switches that off. Default 10
    /// minutes.
    pub settle_time: SignedDuration,
    /// Limits of one run (rail 8).
    pub limits: Limits,
}

/// A pattern that the operator set, and the field or flag that it was written into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RailPattern {
    /// The field or flag: `guardRails.protectImages[0]`, `--protect`.
    pub field: String,
    /// The pattern.
    pub pattern: Pattern,
}

impl RailPattern {
    /// Puts a pattern and its field together.
    pub fn new(field: impl Into<String>, pattern: Pattern) -> Self {
        Self { field: field.into(), pattern }
    }
}

impl Default for GuardRails {
    fn default() -> Self {
        Self {
            lift: Vec::new(),
            allow_partial_untag: false,
            protect: Vec::new(),
            min_age: SignedDuration::from_mins(10),
            unknown_is_young: false,
            confirmations: 1,
            unknown_open_age: LogRails::default().unknown_open_age,
            settle_time: LogRails::default().settled_for,
            limits: Limits::default(),
        }
    }
}

impl GuardRails {
    /// What of them concerns log files and directories.
    pub fn for_logs(&self) -> LogRails {
        LogRails {
            unknown_open_age: self.unknown_open_age,
            settled_for: self.settle_time,
            min_age: self.min_age,
            confirmations: self.confirmations,
            limits: self.limits,
        }
    }
}

/// Limits of one run, over all plugins together. An absent limit does not limit. Images and what is beneath log roots
/// are counted apart: each may come to the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// How many images may be removed. Wishes past it are refused one by one.
    pub count: Option<u64>,
    /// How many bytes the removed images may have in sum, by the runtime's sizes. An image that would go past it is
    /// refused; a smaller one after it may still fit.
    pub bytes: Option<u64>,
    /// Which share of the node's images, 0 to 100, the plugins may wish to remove. A proposal that would go
    /// past it is rejected as a whole: a policy that wants to remove nearly everything is a broken policy.
    pub percent: Option<u8>,
}

/// An approved removal of an image. Only this module can make one; there is no way to read one from a file.
///
/// ```compile_fail,E0451
/// # fn skip(step: holystone_core::guard::Step) -> holystone_core::guard::Step {
/// holystone_core::guard::Step { plugin: "mine".to_owned(), ..step }
/// # }
/// ```
///
/// ```compile_fail,E0277
/// let step: holystone_core::guard::Step = serde_json::from_str("{}").unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    plugin: String,
    image: ImageId,
    references: Vec<String>,
    size_bytes: u64,
    reason: Reason,
}

impl Step {
    /// The plugin that wished it.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// The image to remove.
    pub fn image(&self) -> &ImageId {
        &self.image
    }

    /// Every tag and digest that the image had when it was judged.
    pub fn references(&self) -> &[String] {
        &self.references
    }

    /// What to call the image in a message.
    pub fn name(&self) -> &str {
        self.references.first().map_or(self.image.as_str(), String::as_str)
    }

    /// Its size in bytes, as the runtime counts.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Why the plugin wished it.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// Permission to remove one image now, made of a step by a second look at the node. Whoever removes images takes
/// one of these by value: nothing is removed unjudged, or twice on one look.
///
/// ```compile_fail,E0451
/// # let image = holystone_core::image::ImageId::new("sha256:…");
/// let forged = holystone_core::guard::Clearance { image };
/// ```
#[derive(Debug)]
pub struct Clearance {
    image: ImageId,
    name: Option<String>,
}

impl Clearance {
    /// The image that may be removed.
    pub fn image(&self) -> &ImageId {
        &self.image
    }

    /// What to ask the runtime for: the image's id, or the one of its names that [`Guard::clear_by_name`] chose.
    pub fn asked(&self) -> &str {
        self.name.as_deref().unwrap_or(self.image.as_str())
    }
}

/// A wish that a rail said no to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// The plugin that wished it.
    pub plugin: String,
    /// What it wished.
    pub wish: Wish,
    /// What to call the target in a message.
    pub name: String,
    /// Every tag and digest of the image; none when there is no such image, or it has no name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// Size of the image in bytes, as the runtime counts; absent when there is no such image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The rail that said no.
    pub refusal: Refusal,
}

/// What the rails made of the proposals. Every wish is in exactly one of the two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// What will be done, in the order in which the plugins wished it.
    pub steps: Vec<Step>,
    /// What will not be done, and why.
    pub refusals: Vec<Refused>,
}

/// The rails, ready to judge one snapshot.
#[derive(Debug)]
pub struct Guard<'a> {
    snapshot: &'a Snapshot,
    rails: &'a GuardRails,
    usage: Usage<'a>,
    built_in: Vec<(&'static str, Pattern)>,
    /// A pod that may be starting.
    starting: Option<&'a Pod>,
    /// Why every image is young, if it is.
    unsettled: Option<Unsettled>,
    /// What the plugins wished in earlier runs.
    wishes: Wishes,
}

/// What earlier wishes of the run have used up.
#[derive(Default)]
struct Tally {
    wished: HashSet<Target>,
    wished_images: u64,
    count: u64,
    bytes: u64,
}

impl<'a> Guard<'a> {
    /// Prepares to judge by this look at the node.
    pub fn new(snapshot: &'a Snapshot, rails: &'a GuardRails) -> Self {
        let lifted = |text: &str| rails.lift.iter().any(|lifted| lifted.pattern.as_str() == text);
        let is_lifted = |text: &&str| LIFTABLE.contains(text) && lifted(text);
        let built_in = BUILT_IN.iter().filter(|text| !is_lifted(text));
        let built_in = built_in.filter_map(|text| Some((*text, text.parse().ok()?))).collect();
        Self {
            snapshot,
            rails,
            usage: Usage::of(snapshot),
            built_in,
            starting: starting(snapshot, rails.min_age),
            unsettled: Unsettled::of(snapshot, rails.min_age),
            wishes: snapshot.memory.wishes_of(&Wishers::default()),
        }
    }

    /// Counts what these plugins of this manifest wished before.
    #[must_use]
    pub fn counting(mut self, wishers: &Wishers) -> Self {
        self.wishes = self.snapshot.memory.wishes_of(wishers);
        self
    }

    /// Who uses which image, as rail 2 sees it.
    pub fn usage(&self) -> &Usage<'a> {
        &self.usage
    }

    /// Judges the plugins' proposals, in the order given.
    pub fn review(&self, proposals: Vec<Proposal>) -> Plan {
        let mut plan = Plan::default();
        let mut tally = Tally::default();
        for proposal in proposals {
            self.review_one(proposal, &mut tally, &mut plan);
        }
        plan
    }

    /// Looks once more, right before the step is performed: `self` must come from a snapshot taken just now.
    /// What belongs to the run as a whole, rails 6 and 8, is not asked again: it was settled when the step was made.
    ///
    /// # Errors
    /// With the refusal, when a rail says no by now; [`Refusal::NotFound`] when the image has gone by itself.
    pub fn clear(&self, step: &Step) -> Result<Clearance, Refusal> {
        let (place, image) = self.find(step.image.as_str()).ok_or(Refusal::NotFound)?;
        self.judge_image(place, image)?;
        let known = |reference: &&str| !step.references.iter().any(|judged| judged == reference);
        match image.references().find(known) {
            Some(reference) => Err(Refusal::Changed { reference: reference.to_owned() }),
            None => Ok(Clearance { image: image.id.clone(), name: None }),
        }
    }

    /// Permits to ask for the image of a step by one of its names, where the runtime lists it although it accepted the
    /// removal by id. `tried` are the names that were asked for before. Digests come first, since they mean the same
    /// content for ever, and no name is chosen that may mean another image. `None` when no name is left, or the runtime
    /// is not one that removes anything by name only.
    ///
    /// # Errors
    /// With the refusal, as [`Guard::clear`]; and while a pod may be starting, which may have pulled the image again.
    pub fn clear_by_name(&self, step: &Step, tried: &[String]) -> Result<Option<Clearance>, Refusal> {
        let cleared = self.clear(step)?;
        if let Some(pod) = self.starting {
            return Err(Refusal::MayBeYoung { pod: pod.to_string(), min_age: self.rails.min_age });
        }
        let Some(image) = self.snapshot.image(cleared.image.as_str()).filter(|_| self.snapshot.removes_by_name())
        else {
            return Ok(None);
        };
        let mut names = image.repo_digests.iter().chain(&image.repo_tags);
        let name = names.find(|name| !tried.contains(name) && self.means_only(name, image)).cloned();
        Ok(name.map(|name| Clearance { name: Some(name), ..cleared }))
    }

    /// Whether a name of an image is a whole reference and none of another image, by its tag, its digest or its id.
    fn means_only(&self, name: &str, image: &Image) -> bool {
        let Ok(reference) = Reference::parse(name) else { return false };
        if reference.tag().is_none() && reference.digest().is_none() {
            return false;
        }
        let digest = reference.digest();
        let is_it = |other: &Image| {
            digest.is_some_and(|digest| other.id.names(digest))
                || other.references().filter_map(|text| Reference::parse(text).ok()).any(|other| match digest {
                    Some(digest) => other.digest() == Some(digest),
                    None => other.repository() == reference.repository() && other.tag() == reference.tag(),
                })
        };
        !self.snapshot.images.iter().any(|other| other.id != image.id && is_it(other))
    }

    fn review_one(&self, proposal: Proposal, tally: &mut Tally, plan: &mut Plan) {
        let rejection = self.whole_proposal(&proposal, tally);
        for wish in proposal.wishes {
            let judged = match &rejection {
                Some(refusal) => Err(refusal.clone()),
                None => self.judge(&proposal.plugin, &wish, tally),
            };
            match judged {
                Ok(image) => plan.steps.push(step(&proposal.plugin, image, wish)),
                Err(refusal) => plan.refusals.push(self.refused(&proposal.plugin, wish, refusal)),
            }
        }
    }

    /// Rail 8, the share of all images. Counts what is wished, not what the other rails would let through: it is
    /// the wish that shows a broken policy.
    fn whole_proposal(&self, proposal: &Proposal, tally: &mut Tally) -> Option<Refusal> {
        let images: HashSet<&str> = proposal
            .wishes
            .iter()
            .filter_map(|wish| match &wish.target {
                Target::Image(id) if !tally.wished.contains(&wish.target) => Some(id.as_str()),
                _ => None,
            })
            .filter(|id| self.find(id).is_some())
            .collect();
        let wished = tally.wished_images + images.len() as u64;
        let all = self.snapshot.images.len() as u64;
        match self.rails.limits.percent {
            Some(limit) if wished * 100 > u64::from(limit) * all => {
                Some(Refusal::OverPercent { limit, wished: percent::rounded_up(wished, all).unwrap_or(u64::MAX) })
            }
            _ => {
                tally.wished_images = wished;
                None
            }
        }
    }

    fn judge(&self, plugin: &str, wish: &Wish, tally: &mut Tally) -> Result<&'a Image, Refusal> {
        let Target::Image(id) = &wish.target else { return Err(Refusal::NotOffered) };
        if wish.verb != Verb::Remove {
            return Err(Refusal::NotOffered);
        }
        let (place, image) = self.find(id).ok_or(Refusal::NotFound)?;
        if !tally.wished.insert(wish.target.clone()) {
            return Err(Refusal::Duplicate);
        }
        self.judge_image(place, image)?;
        self.confirm(plugin, image)?;
        self.spend(image, tally)?;
        Ok(image)
    }

    /// Rails 1 to 5: what the image is, apart from who wishes what.
    fn judge_image(&self, place: usize, image: &Image) -> Result<(), Refusal> {
        if let Some(since) = self.snapshot.memory.kept.get(image.id.as_str()) {
            return Err(Refusal::KeptByRuntime { since: *since });
        }
        if let Some(user) = self.usage.users(place).first() {
            return Err(in_use(user));
        }
        let names = image.removable_names();
        if self.snapshot.untags_first() && !self.rails.allow_partial_untag && names > 1 {
            return Err(Refusal::NamesAtRisk { names });
        }
        if image.pinned {
            return Err(Refusal::Pinned);
        }
        let names = Names::of(image);
        let matches = |pattern: &&Pattern| pattern.matches_names(&names);
        if self.usage.is_sandbox_image(place) {
            return Err(Refusal::SandboxImage);
        }
        if let Some((pattern, _)) = self.built_in.iter().find(|(_, pattern)| matches(&pattern)) {
            return Err(Refusal::BuiltIn { pattern });
        }
        if self.snapshot.memory.own_images.contains(image.id.as_str()) {
            return Err(Refusal::Own);
        }
        if let Some(pattern) = self.rails.protect.iter().map(|protect| &protect.pattern).find(matches) {
            return Err(Refusal::Protected { pattern: pattern.clone() });
        }
        self.judge_age(image)
    }

    /// Rail 5. That an image was there when the node was first seen says only that it is at least that old.
    fn judge_age(&self, image: &Image) -> Result<(), Refusal> {
        let (now, min_age) = (self.snapshot.taken_at, self.rails.min_age);
        if min_age <= SignedDuration::ZERO {
            return Ok(());
        }
        if let Some(unsettled) = self.unsettled {
            return Err(Refusal::Unsettled(unsettled));
        }
        let is_young = |since: &Timestamp| now.duration_since(*since) < min_age;
        let memory = &self.snapshot.memory;
        if let Some(lost) = memory.lost.filter(is_young) {
            return Err(Refusal::AgeLost { lost, min_age });
        }
        if let Some(last_used) = image.last_used.filter(is_young) {
            return Err(Refusal::UsedLately { last_used, min_age });
        }
        if image.first_seen.is_some_and(|first_seen| !is_young(&first_seen)) {
            return Ok(());
        }
        let came_later = |first_seen: &Timestamp| memory.since.is_none_or(|since| *first_seen > since);
        if let Some(first_seen) = image.first_seen.filter(came_later) {
            return Err(Refusal::TooYoung { first_seen, min_age });
        }
        match (self.starting, memory.since) {
            (Some(pod), _) => Err(Refusal::MayBeYoung { pod: pod.to_string(), min_age }),
            (None, Some(since)) if self.rails.unknown_is_young => Err(Refusal::AgeUnknown { since, min_age }),
            (None, _) => Ok(()),
        }
    }

    /// Rail 6.
    fn confirm(&self, plugin: &str, image: &Image) -> Result<(), Refusal> {
        let before = self.wishes.images.get(plugin).and_then(|wishes| wishes.get(image.id.as_str()));
        let (runs, needed) = (before.copied().unwrap_or(0).saturating_add(1), self.rails.confirmations);
        if runs < needed { Err(Refusal::NotConfirmed { runs, needed }) } else { Ok(()) }
    }

    /// Rail 8, count and bytes: takes the image from what the run has left.
    fn spend(&self, image: &Image, tally: &mut Tally) -> Result<(), Refusal> {
        let limits = &self.rails.limits;
        let (count, bytes) = (tally.count + 1, tally.bytes.saturating_add(image.size_bytes));
        if let Some(limit) = limits.count.filter(|limit| count > *limit) {
            return Err(Refusal::OverCount { limit });
        }
        if let Some(limit) = limits.bytes.filter(|limit| bytes > *limit) {
            return Err(Refusal::OverBytes { limit });
        }
        (tally.count, tally.bytes) = (count, bytes);
        Ok(())
    }

    /// The image with this id and its place in the list.
    fn find(&self, id: &str) -> Option<(usize, &'a Image)> {
        let place = self.snapshot.images.binary_search_by(|image| image.id.as_str().cmp(id)).ok()?;
        Some((place, self.snapshot.images.get(place)?))
    }

    fn refused(&self, plugin: &str, wish: Wish, refusal: Refusal) -> Refused {
        let known = match &wish.target {
            Target::Image(id) => self.find(id),
            _ => None,
        };
        let name = known.map_or_else(|| wish.target.name(), |(_, image)| text::shown(image.display_name()));
        let size_bytes = known.map(|(_, image)| image.size_bytes);
        let references = known.map(|(_, image)| references(image)).unwrap_or_default();
        Refused { plugin: plugin.to_owned(), wish, name, references, size_bytes, refusal }
    }
}

fn references(image: &Image) -> Vec<String> {
    image.references().map(str::to_owned).collect()
}

fn step(plugin: &str, image: &Image, wish: Wish) -> Step {
    Step {
        plugin: plugin.to_owned(),
        image: image.id.clone(),
        references: references(image),
        size_bytes: image.size_bytes,
        reason: wish.reason,
    }
}

/// A pod, not our own, whose sandbox is up and younger than this: its containers may not have been made yet.
fn starting(snapshot: &Snapshot, min_age: SignedDuration) -> Option<&Pod> {
    let own_pod = snapshot.node.own_pod.as_str();
    let is_own = |pod: &Pod| !own_pod.is_empty() && pod.uid == own_pod;
    let is_young = |since: Timestamp| snapshot.taken_at.duration_since(since) < min_age;
    let mut sandboxes = snapshot.sandboxes.iter();
    sandboxes
        .find(|sandbox| sandbox.ready && is_young(sandbox.created_at) && !is_own(&sandbox.pod))
        .map(|sandbox| &sandbox.pod)
}

fn in_use(user: &User<'_>) -> Refusal {
    let by = user.holder.to_string();
    match user.unresolved {
        None => Refusal::InUse { by },
        Some(reference) => Refusal::MayBeInUse { by, reference: reference.to_owned() },
    }
}

#[cfg(test)]
mod tests;
