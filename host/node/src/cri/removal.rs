//! The meaning of a failed request to remove an image.
//!
//! Runtimes refuse in different ways, so a refusal is distinguished from a failure by the whole message. Some runtimes
//! report success and keep the image, so only the next look shows whether the image is gone.

use holystone_core::guard::images::ImageObjection;
use holystone_core::report::Outcome;
use holystone_core::sweep::Attempt;
use holystone_core::text::both_ends;
use tonic::Code;

use super::call::{CallFailure, KEPT_WORDS};
use crate::endpoint::Endpoint;

/// The words of CRI-O, cri-dockerd and others for an image in use. They have no gRPC code for it.
const IN_USE: [&str; 6] = [
    "in use by",
    "being used by",
    "is using its referenced image",
    "image is in use",
    "is mounted as volume",
    "image is referenced in multiple repositories",
];

/// The words of Docker for an image on which others were built.
const HAS_CHILDREN: &str = "has dependent child images";

/// The words of containers/storage for an image that it does not have, or has only in a read-only store.
const NOT_ITS_OWN: [&str; 3] = ["image not known", "read-only store", "read only store"];

/// Classifies a failed removal by code and message.
pub(super) fn refused(failure: &CallFailure, endpoint: &Endpoint) -> Attempt {
    let words = failure.words().to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if failure.is(Code::NotFound) || says(&NOT_ITS_OWN) {
        Attempt::Over(Outcome::AlreadyGone)
    } else if says(&[HAS_CHILDREN]) {
        Attempt::HasChildren(both_ends(failure.words(), KEPT_WORDS))
    } else if failure.is(Code::FailedPrecondition) || says(&IN_USE) {
        let message = both_ends(failure.words(), KEPT_WORDS);
        Attempt::Over(Outcome::NoLongerAllowed(ImageObjection::RuntimeSaysInUse { message }.into()))
    } else if failure.is_unanswered() {
        Attempt::Unanswered(failure.in_its_words(endpoint))
    } else {
        Attempt::Over(Outcome::Failed(failure.in_its_words(endpoint)))
    }
}
