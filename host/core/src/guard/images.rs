//! Images: rails 2 to 5, and the image facts of a plan.

mod kind;
mod matches;
mod objection;

use jiff::{SignedDuration, Timestamp};

use super::review::{self, Judge, Known};
use super::{BUILT_IN, Clearance, GuardRails, LIFTABLE, Operation, ParsedProposal, Plan, Refusal, Step, Unsettled};
use crate::confirmation::{Wishers, Wishes};
use crate::container::Pod;
use crate::image::{Image, ImageId};
use crate::pattern::{Names, Pattern};
use crate::proposal::Reason;
use crate::reference::Reference;
use crate::snapshot::Snapshot;
use crate::usage::{Usage, User};

pub use kind::{ImageFacts, Images};
pub use objection::ImageObjection;

/// The rails for images, prepared for one snapshot.
#[derive(Debug)]
pub struct ImageGuard<'a> {
    snapshot: &'a Snapshot,
    rails: &'a GuardRails,
    usage: Usage<'a>,
    built_in: Vec<(&'static str, Pattern)>,
    /// A pod that may be starting.
    starting: Option<&'a Pod>,
    /// The reason why every image counts as young, if the node has not settled.
    unsettled: Option<Unsettled>,
    /// The wishes of the plugins in earlier runs.
    wishes: Wishes,
}

impl<'a> ImageGuard<'a> {
    /// Prepares the rails for this snapshot.
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

    /// Counts the earlier wishes of these plugins of this manifest.
    #[must_use]
    pub fn counting(mut self, wishers: &Wishers) -> Self {
        self.wishes = self.snapshot.memory.wishes_of(wishers);
        self
    }

    /// Returns the usage of the images, as rail 2 sees it.
    pub fn usage(&self) -> &Usage<'a> {
        &self.usage
    }

    /// Judges the plugins' proposals, in the order given.
    pub fn review(&self, proposals: Vec<ParsedProposal<Images>>) -> Plan<Images> {
        review::review(&mut &*self, proposals, (self.rails.limits, self.rails.confirmations), &self.wishes.images)
    }

    /// Checks a step again, right before it is performed: `self` must come from a snapshot taken just now. Rails 6 and
    /// 8 concern the run as a whole and are not checked again: the plan settled them.
    ///
    /// # Errors
    /// Returns the refusal if a rail refuses now; [`Refusal::NotFound`] if the image has disappeared in the meantime.
    pub fn clear(&self, step: &Step<Images>) -> Result<Clearance<Images>, Refusal<Images>> {
        let (place, image) = self.find(step.target.as_str()).ok_or(Refusal::NotFound)?;
        self.judge_image(place, image)?;
        let known = |reference: &&str| !step.references().iter().any(|judged| judged == reference);
        match image.references().find(known) {
            Some(reference) => Err(ImageObjection::Changed { reference: reference.to_owned() }.into()),
            None => Ok(Clearance { target: image.id.clone(), operation: Operation::Remove, permit: None }),
        }
    }

    /// Permits the removal of a step's image by one of its names, for a runtime that still lists the image after it
    /// accepted the removal by id. `tried` holds the names of earlier requests. Digests come first, because their
    /// content never changes, and names that may mean another image are skipped. Returns `None` if no name is left, or
    /// if the runtime has nothing that it removes by name only.
    ///
    /// # Errors
    /// Returns the refusal, as [`ImageGuard::clear`] does; also refuses while a pod may be starting, because it may
    /// have pulled the image again.
    pub fn clear_by_name(
        &self,
        step: &Step<Images>,
        tried: &[String],
    ) -> Result<Option<Clearance<Images>>, Refusal<Images>> {
        self.clear(step)?;
        if let Some(pod) = self.starting {
            return Err(ImageObjection::MayBeYoung { pod: pod.to_string(), min_age: self.rails.min_age }.into());
        }
        let Some(image) = self.snapshot.image(step.target.as_str()).filter(|_| self.snapshot.removes_by_name()) else {
            return Ok(None);
        };
        let mut names = image.repo_digests.iter().chain(&image.repo_tags);
        let name = names.find(|name| !tried.contains(name) && self.means_only(name, image)).cloned();
        let permit = |name| Clearance { target: image.id.clone(), operation: Operation::Remove, permit: Some(name) };
        Ok(name.map(permit))
    }

    /// Returns whether a name of an image has a tag or digest, and is no name of another image, by its tag, digest or
    /// id.
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

    /// Checks rails 1 to 5: the image itself, regardless of the wishes.
    fn judge_image(&self, place: usize, image: &Image) -> Result<(), ImageObjection> {
        if let Some(since) = self.snapshot.memory.kept.get(image.id.as_str()) {
            return Err(ImageObjection::KeptByRuntime { since: *since });
        }
        if let Some(user) = self.usage.users(place).first() {
            return Err(in_use(user));
        }
        let names = image.removable_names();
        if self.snapshot.untags_first() && !self.rails.allow_partial_untag && names > 1 {
            return Err(ImageObjection::NamesAtRisk { names });
        }
        if image.pinned {
            return Err(ImageObjection::Pinned);
        }
        let names = Names::of(image);
        let matches = |pattern: &&Pattern| pattern.matches_names(&names);
        if self.usage.is_sandbox_image(place) {
            return Err(ImageObjection::SandboxImage);
        }
        if let Some((pattern, _)) = self.built_in.iter().find(|(_, pattern)| matches(&pattern)) {
            return Err(ImageObjection::BuiltIn { pattern });
        }
        if self.snapshot.memory.own_images.contains(image.id.as_str()) {
            return Err(ImageObjection::Own);
        }
        if let Some(pattern) = self.rails.protect.iter().map(|protect| &protect.pattern).find(matches) {
            return Err(ImageObjection::Protected { pattern: pattern.clone() });
        }
        self.judge_age(image)
    }

    /// Checks the age (rail 5). If an image was present when the node was first seen, it may be older than that.
    fn judge_age(&self, image: &Image) -> Result<(), ImageObjection> {
        let (now, min_age) = (self.snapshot.taken_at, self.rails.min_age);
        if min_age <= SignedDuration::ZERO {
            return Ok(());
        }
        if let Some(unsettled) = self.unsettled {
            return Err(ImageObjection::Unsettled(unsettled));
        }
        let is_young = |since: &Timestamp| now.duration_since(*since) < min_age;
        let memory = &self.snapshot.memory;
        if let Some(lost) = memory.lost.filter(is_young) {
            return Err(ImageObjection::AgeLost { lost, min_age });
        }
        if let Some(last_used) = image.last_used.filter(is_young) {
            return Err(ImageObjection::UsedLately { last_used, min_age });
        }
        if image.first_seen.is_some_and(|first_seen| !is_young(&first_seen)) {
            return Ok(());
        }
        let came_later = |first_seen: &Timestamp| memory.since.is_none_or(|since| *first_seen > since);
        if let Some(first_seen) = image.first_seen.filter(came_later) {
            return Err(ImageObjection::TooYoung { first_seen, min_age });
        }
        match (self.starting, memory.since) {
            (Some(pod), _) => Err(ImageObjection::MayBeYoung { pod: pod.to_string(), min_age }),
            (None, Some(since)) if self.rails.unknown_is_young => Err(ImageObjection::AgeUnknown { since, min_age }),
            (None, _) => Ok(()),
        }
    }

    /// Returns the image with this id and its position in the list.
    fn find(&self, id: &str) -> Option<(usize, &'a Image)> {
        let place = self.snapshot.images.binary_search_by(|image| image.id.as_str().cmp(id)).ok()?;
        Some((place, self.snapshot.images.get(place)?))
    }
}

impl Judge<Images> for &ImageGuard<'_> {
    fn judge(
        &mut self,
        plugin: &str,
        target: &ImageId,
        _: Operation,
        reason: &Reason,
    ) -> Result<Step<Images>, Refusal<Images>> {
        let (place, image) = self.find(target.as_str()).ok_or(Refusal::NotFound)?;
        self.judge_image(place, image)?;
        Ok(Step::of(plugin, image, reason))
    }

    fn known(&self, target: &ImageId) -> Known<Images> {
        let of = |(_, image): (usize, &Image)| Known {
            size_bytes: Some(image.size_bytes),
            facts: Some(ImageFacts::of(image)),
            key: Some(image.id.as_str().to_owned()),
        };
        self.find(target.as_str()).map(of).unwrap_or_default()
    }

    fn entries(&self, target: &ImageId) -> u64 {
        u64::from(self.find(target.as_str()).is_some())
    }

    fn all_entries(&self) -> Option<u64> {
        Some(self.snapshot.images.len() as u64)
    }

    fn is_covered(&self, _: &Step<Images>) -> bool {
        false
    }

    fn share(&self, _: &mut Step<Images>) {}

    fn take(&mut self, _: &Step<Images>) {}
}

/// Returns a pod, other than Holystone's own, with a ready sandbox younger than `min_age`: its containers may not
/// exist yet.
fn starting(snapshot: &Snapshot, min_age: SignedDuration) -> Option<&Pod> {
    let own_pod = snapshot.node.own_pod.as_str();
    let is_own = |pod: &Pod| !own_pod.is_empty() && pod.uid == own_pod;
    let is_young = |since: Timestamp| snapshot.taken_at.duration_since(since) < min_age;
    let mut sandboxes = snapshot.sandboxes.iter();
    sandboxes
        .find(|sandbox| sandbox.ready && is_young(sandbox.created_at) && !is_own(&sandbox.pod))
        .map(|sandbox| &sandbox.pod)
}

fn in_use(user: &User<'_>) -> ImageObjection {
    let by = user.holder.to_string();
    match user.unresolved {
        None => ImageObjection::InUse { by },
        Some(reference) => ImageObjection::MayBeInUse { by, reference: reference.to_owned() },
    }
}

#[cfg(test)]
mod tests;
