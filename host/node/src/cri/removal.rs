//! One try to remove an image, and how it ended.
//!
//! Runtimes differ in how they refuse, so a refusal is told apart from a failure here, by all of what the runtime said.
//! Some report success and keep the image: whether it is gone is for the next look to say.

use holystone_core::guard::images::ImageObjection;
use holystone_core::report::Outcome;
use holystone_core::sweep::Attempt;
use holystone_core::text::both_ends;
use tonic::Code;

use super::call::{CallFailure, KEPT_WORDS};
use crate::endpoint::Endpoint;

/// How CRI-O, cri-dockerd and others word it. There is no code of its own for it.
const IN_USE: [&str; 6] = [
    "in use by",
    "being used by",
    "is using its referenced image",
    "image is in use",
    "is mounted as volume",
    "image is referenced in multiple repositories",
];

/// How Docker words that others were built on an image.
const HAS_CHILDREN: &str = "has dependent child images";

/// How containers/storage words that it does not have the image, or not where it may write.
const NOT_ITS_OWN: [&str; 3] = ["image not known", "read-only store", "read only store"];

/// Reads the answer to a request that was refused or failed, by all of its words.
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
