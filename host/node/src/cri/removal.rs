//! One removal, and what became of it.
//!
//! Runtimes differ in what they refuse, and some report success and keep the image. So a refusal is told apart from a
//! failure, and a success is believed only when the image is no longer listed.

use std::time::Duration;

use holystone_core::guard::{Clearance, Refusal};
use holystone_core::report::Outcome;
use tonic::Code;

use super::Cri;
use super::call::Failure;

/// How often, and how long apart, to ask whether the image is gone: some runtimes tell their cache by an event.
const CHECKS: u32 = 4;
const BETWEEN_CHECKS: Duration = Duration::from_millis(100);

/// How CRI-O, cri-dockerd and others word it. There is no code of its own for it.
const IN_USE: [&str; 4] = ["in use by", "being used by", "is using its referenced image", "image is in use"];

/// How a try to remove an image ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// With an outcome.
    Over(Outcome),
    /// Nobody was there to answer, or the connection broke before the answer: it may have been carried out or not.
    /// Whoever wants to try again has to look at the node again, for it may have been a while. The text says what happened.
    Unanswered(String),
}

pub(super) async fn remove(cri: &Cri, clearance: &Clearance) -> Attempt {
    let id = clearance.image().as_str();
    let outcome = match cri.request_removal(id).await {
        Ok(()) => verify(cri, id).await,
        Err(failure) if failure.is(Code::NotFound) => Outcome::AlreadyGone,
        Err(failure) if says_in_use(&failure) => {
            Outcome::NoLongerAllowed(Refusal::RuntimeSaysInUse { message: failure.message() })
        }
        Err(failure) if failure.is_unanswered() => return Attempt::Unanswered(cri.error(failure).to_string()),
        Err(failure) => Outcome::Failed(cri.error(failure).to_string()),
    };
    Attempt::Over(outcome)
}

async fn verify(cri: &Cri, id: &str) -> Outcome {
    for check in 0..CHECKS {
        if check > 0 {
            tokio::time::sleep(BETWEEN_CHECKS).await;
        }
        match cri.has_image(id).await {
            Ok(false) => return Outcome::Removed,
            Ok(true) => {}
            Err(failure) => {
                let error = cri.error(failure);
                return Outcome::Failed(format!(
                    "the removal was accepted, but whether the image is gone is unknown: {error}"
                ));
            }
        }
    }
    Outcome::StillListed
}

fn says_in_use(failure: &Failure) -> bool {
    let message = failure.message().to_lowercase();
    failure.is(Code::FailedPrecondition) || IN_USE.iter().any(|words| message.contains(words))
}
