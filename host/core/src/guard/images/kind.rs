//! Images as a kind: their targets, and their facts in a plan.

use serde::Serialize;

use super::ImageObjection;
use crate::guard::{Clearance, Kind, Operation, Refusal, Step};
use crate::image::{Image, ImageId};
use crate::proposal::{Reason, Target, Verb};
use crate::text;

/// Images of the node's container runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Images;

/// The facts of an image that a plan shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageFacts {
    references: Vec<String>,
}

impl Kind for Images {
    const NOT_FOUND: &'static str = "no image of this node has this id";
    const THINGS: &'static str = "images";
    const ALL: &'static str = "images";
    /// Gains are unknown, because images share layers.
    const FREEABLE_BYTES: Option<fn(&ImageFacts) -> u64> = None;

    type Target = ImageId;
    type Facts = ImageFacts;
    type Objection = ImageObjection;
    /// One of the image's names, if the image has to be removed by that name.
    type Permit = Option<String>;

    fn parse(target: &Target) -> Result<ImageId, Refusal<Self>> {
        match target {
            Target::Image(id) => Ok(ImageId::new(id)),
            _ => Err(Refusal::NotOffered),
        }
    }

    fn operation(_: &ImageId, verb: Verb) -> Option<Operation> {
        (verb == Verb::Remove).then_some(Operation::Remove)
    }

    fn name(target: &ImageId, facts: &ImageFacts) -> String {
        text::shown(facts.references.first().map_or(target.as_str(), String::as_str))
    }

    fn key(target: &ImageId, _: &ImageFacts) -> String {
        target.as_str().to_owned()
    }

    fn entries(_: &ImageFacts) -> u64 {
        1
    }

    fn is_on(filesystem: &str) -> bool {
        filesystem == "images"
    }
}

impl ImageFacts {
    /// Returns every tag and digest that the image had when it was judged.
    pub fn references(&self) -> &[String] {
        &self.references
    }

    pub(super) fn of(image: &Image) -> Self {
        Self { references: image.references().map(str::to_owned).collect() }
    }
}

impl Step<Images> {
    /// Returns every tag and digest that the image had when it was judged.
    pub fn references(&self) -> &[String] {
        &self.facts.references
    }

    pub(super) fn of(plugin: &str, image: &Image, reason: &Reason) -> Self {
        Self {
            plugin: plugin.to_owned(),
            target: image.id.clone(),
            operation: Operation::Remove,
            size_bytes: image.size_bytes,
            reason: reason.clone(),
            facts: ImageFacts::of(image),
        }
    }
}

impl Clearance<Images> {
    /// Returns the identifier for the removal request: the image's id, or the name that
    /// [`ImageGuard::clear_by_name`](super::ImageGuard::clear_by_name) chose.
    pub fn asked(&self) -> &str {
        self.permit.as_deref().unwrap_or(self.target.as_str())
    }
}
