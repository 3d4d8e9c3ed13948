//! One try to remove an image, and how it ended.
//!
//! Runtimes differ in how they refuse, so a refusal is told apart from a failure here. Some report success and keep the
//! image: whether it is gone is for the next look to say.

use holystone_core::guard::{Clearance, Refusal};
use holystone_core::report::Outcome;
use tonic::Code;

use super::Cri;
use super::call::Failure;

/// How CRI-O, cri-dockerd and others word it. There is no code of its own for it.
const IN_USE: [&str; 4] = ["in use by", "being used by", "is using its referenced image", "image is in use"];

/// How a try to remove an image ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The runtime says that it removed the image. The next look shows whether that is so.
    Accepted,
    /// With an outcome.
    Over(Outcome),
    /// Nobody was there to answer, or the connection broke before the answer: it may have been carried out or not.
    /// Whoever wants to try again has to look at the node again, for it may have been a while. The text says what happened.
    Unanswered(String),
}

pub(super) async fn remove(cri: &Cri, clearance: &Clearance) -> Attempt {
    let id = clearance.image().as_str();
    let outcome = match cri.request_removal(id).await {
        Ok(()) => return Attempt::Accepted,
        Err(failure) if failure.is(Code::NotFound) => Outcome::AlreadyGone,
        Err(failure) if says_in_use(&failure) => {
            Outcome::NoLongerAllowed(Refusal::RuntimeSaysInUse { message: failure.message() })
        }
        Err(failure) if failure.is_unanswered() => return Attempt::Unanswered(cri.error(failure).to_string()),
        Err(failure) => Outcome::Failed(cri.error(failure).to_string()),
    };
    Attempt::Over(outcome)
}

fn says_in_use(failure: &Failure) -> bool {
    let message = failure.message().to_lowercase();
    failure.is(Code::FailedPrecondition) || IN_USE.iter().any(|words| message.contains(words))
}
