//! One call to a runtime: its time limit, its retries, and the meaning of its failure.
//!
//! Only a call that did not reach the runtime, or lost its answer, is retried, because the runtime may be restarting. A
//! call that timed out or was answered with an error is not. A removal is not retried here: its look would be outdated.

use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::time::Duration;

use holystone_core::text::{both_ends, shown};
use tonic::{Code, Response, Status};

use super::options::Options;
use crate::endpoint::Endpoint;
use crate::error::NodeError;

/// The most bytes of a runtime's message that are searched for words.
const MAX_WORDS: usize = 64 << 10;
/// The most characters of a runtime's message that are kept.
pub(super) const KEPT_WORDS: usize = 2_000;

/// The longest pause between two tries, before it is spread.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A call that failed and is not retried.
#[derive(Debug)]
pub(super) struct CallFailure {
    method: String,
    tries: u32,
    cause: CallCause,
}

#[derive(Debug)]
enum CallCause {
    TimedOut(Duration),
    Answered(Status),
}

/// Makes a call. If the runtime is not reached or its answer is lost, the call is retried while tries are left.
pub(super) async fn call<T, F>(
    method: String,
    timeout: Duration,
    options: &Options,
    attempt: impl Fn() -> F,
) -> Result<T, CallFailure>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        let cause = match tokio::time::timeout(timeout, attempt()).await {
            Ok(Ok(answer)) => return Ok(answer.into_inner()),
            Ok(Err(status)) if nobody_there(&status) && tries < options.tries => {
                tracing::debug!(%method, tries, %status, "the runtime is not there, trying again");
                tokio::time::sleep(pause(options.back_off, tries)).await;
                continue;
            }
            Ok(Err(status)) => CallCause::Answered(status),
            Err(_) => CallCause::TimedOut(timeout),
        };
        return Err(CallFailure { method, tries, cause });
    }
}

/// Returns whether a call did not reach a runtime, or lost the connection to it.
fn nobody_there(status: &Status) -> bool {
    // A connection that breaks during a call is no answer, whatever code the library maps the error to.
    status.code() == Code::Unavailable || (is_local(status) && status.code() != Code::OutOfRange)
}

/// Returns whether the status was made on this side of the socket and not by the runtime.
fn is_local(status: &Status) -> bool {
    status.source().is_some()
}

/// Doubles the pause with every try, and adds up to a quarter so that the pods of a fleet do not retry in step.
fn pause(base: Duration, tries: u32) -> Duration {
    let pause = base.saturating_mul(1 << (tries - 1).min(16)).min(LONGEST_PAUSE);
    let dice = u32::try_from(RandomState::new().hash_one(tries) % 256).unwrap_or(0);
    pause + pause * dice / 1024
}

impl CallFailure {
    /// Returns whether the call ended with this code.
    pub(super) fn is(&self, code: Code) -> bool {
        self.status().is_some_and(|status| status.code() == code)
    }

    /// Returns whether the runtime was not reached or its answer was lost. A time-out does not count.
    pub(super) fn is_unanswered(&self) -> bool {
        self.status().is_some_and(nobody_there)
    }

    /// Returns the runtime's message, unchanged, to decide by: a decisive word may follow a long name. The message is
    /// bounded all the same; it is empty after a time-out.
    pub(super) fn words(&self) -> &str {
        let words = self.status().map(Status::message).unwrap_or_default();
        words.get(..words.floor_char_boundary(MAX_WORDS)).unwrap_or(words)
    }

    /// Describes the failure: the runtime's words first, then code, call and socket.
    pub(super) fn in_its_words(&self, endpoint: &Endpoint) -> String {
        let method = shown(&self.method);
        match &self.cause {
            CallCause::TimedOut(after) => format!("no answer within {after:?} ({method}, on {endpoint})"),
            CallCause::Answered(status) => {
                let words = if is_local(status) { innermost(status) } else { self.words().to_owned() };
                let words = if words.is_empty() { "the runtime gave no reason".to_owned() } else { words };
                format!("{} ({:?}; {method}, on {endpoint})", both_ends(&words, KEPT_WORDS), status.code())
            }
        }
    }

    /// Returns the runtime's message, sanitized; empty if there is none.
    pub(super) fn message(&self) -> String {
        self.status().map(|status| shown(status.message())).unwrap_or_default()
    }

    /// Returns the operating system's error if the call failed because the connection could not be reopened.
    pub(super) fn no_connection(&self) -> Option<&io::Error> {
        let mut next = self.status().and_then(|status| status.source());
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused).then_some(error);
            }
            next = error.source();
        }
        None
    }

    /// Returns the message that shows that the server does not speak gRPC, if the failure shows it.
    pub(super) fn not_grpc(&self) -> Option<String> {
        let status = self.status()?;
        // A web server answers with a page, for which the library reports only this.
        let web_page =
            status.message().contains("grpc-status header missing") || status.message().contains("content-type");
        (is_local(status) || web_page).then(|| shown(&innermost(status)))
    }

    /// Converts the failure to an error for the operator.
    pub(super) fn into_error(self, endpoint: &Endpoint) -> NodeError {
        let Self { method, tries, cause } = self;
        let endpoint = endpoint.clone();
        match cause {
            CallCause::TimedOut(after) => NodeError::TimedOut { endpoint, method, after },
            CallCause::Answered(status) => {
                let code = format!("{:?}", status.code());
                let message = if is_local(&status) { innermost(&status) } else { status.message().to_owned() };
                NodeError::Call { endpoint, method, code, message: shown(&message), tries }
            }
        }
    }

    fn status(&self) -> Option<&Status> {
        match &self.cause {
            CallCause::Answered(status) => Some(status),
            CallCause::TimedOut(_) => None,
        }
    }
}

/// Returns the last message of a chain of errors, which names the actual cause.
fn innermost(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut next = status.source();
    while let Some(error) = next {
        text = error.to_string();
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let base = Duration::from_millis(250);
        let first = pause(base, 1);
        assert!(first >= base && first < base * 5 / 4, "{first:?}");
        assert!(pause(base, 2) >= base * 2);
        assert!(pause(base, u32::MAX) <= LONGEST_PAUSE * 5 / 4);
    }

    #[test]
    fn only_absence_is_repeated() {
        assert!(nobody_there(&Status::unavailable("gone")));
        assert!(!nobody_there(&Status::internal("broken")));
        assert!(!nobody_there(&Status::unknown("image is in use by a container")));
    }
}
