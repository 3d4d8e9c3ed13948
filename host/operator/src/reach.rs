//! Reports on an API server that is away: once when it stops answering, and once when it answers again.
//!
//! If the API server is away, every component that uses it fails at once, and again with each retry. So the client
//! itself observes each answer, and all other components leave the report to the client.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use holystone_core::text;
use hyper::{Response, StatusCode};
use kube::Error;
use kube::core::Status;
use kube::runtime::watcher;
use tower::{BoxError, Layer, Service};

/// Answers of proxies in front of an API server that is away.
const GATEWAY: [StatusCode; 3] =
    [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];

/// The layer of the client that observes each answer.
#[derive(Clone)]
pub(crate) struct ReachLayer(Arc<Reachability>);

/// The API server, as its answers show it.
struct Reachability {
    address: String,
    away_since: Mutex<Option<Instant>>,
}

/// A change in whether the API server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Transition {
    /// An API server that has stopped answering, with the cause.
    Away(String),
    /// An API server that answers again, after this time.
    Back(Duration),
}

impl ReachLayer {
    /// Creates the layer for the API server at this address.
    pub(crate) fn new(address: String) -> Self {
        Self(Arc::new(Reachability { address, away_since: Mutex::new(None) }))
    }
}

impl Reachability {
    /// Takes in an answer or the cause of its absence, and logs the change that follows from it.
    fn hear(&self, answer: Result<(), String>) {
        match self.change(answer) {
            Some(Transition::Away(cause)) => {
                tracing::warn!("the API server {} does not answer: {cause}; retrying until it does", self.address);
            }
            Some(Transition::Back(after)) => {
                // The level is the same as of the other line, which would otherwise stand alone in a log of warnings.
                tracing::warn!("the API server {} answers again, after {} seconds", self.address, after.as_secs());
            }
            None => {}
        }
    }

    fn change(&self, answer: Result<(), String>) -> Option<Transition> {
        let mut away_since = self.away_since.lock().unwrap_or_else(PoisonError::into_inner);
        match (answer, *away_since) {
            (Ok(()), None) | (Err(_), Some(_)) => None,
            (Ok(()), Some(since)) => {
                *away_since = None;
                Some(Transition::Back(since.elapsed()))
            }
            (Err(cause), None) => {
                *away_since = Some(Instant::now());
                Some(Transition::Away(cause))
            }
        }
    }
}

impl<S> Layer<S> for ReachLayer {
    type Service = ReachService<S>;

    fn layer(&self, inner: S) -> ReachService<S> {
        ReachService { inner, reach: Arc::clone(&self.0) }
    }
}

/// A client whose answers are observed.
pub(crate) struct ReachService<S> {
    inner: S,
    reach: Arc<Reachability>,
}

impl<S, R, B> Service<R> for ReachService<S>
where
    S: Service<R, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (answer, reach) = (self.inner.call(request), Arc::clone(&self.reach));
        Box::pin(async move {
            let answer = answer.await;
            reach.hear(match &answer {
                Ok(response) if GATEWAY.contains(&response.status()) => Err(response.status().to_string()),
                Ok(_) => Ok(()),
                Err(error) => Err(cause(error.as_ref())),
            });
            answer
        })
    }
}

/// The most of the API server's words that a sentence keeps, in characters.
const LONGEST_REFUSAL: usize = 600;

/// The cause of an error, in a sentence for people.
pub(crate) struct Sentence<'a>(pub(crate) &'a Error);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Api(status) => f.write_str(&refusal(status)),
            error if is_away(error) => write!(f, "the API server does not answer: {}", cause(error)),
            Error::SerdeError(error) => write!(f, "the API server's answer cannot be read: {error}"),
            error => f.write_str(&cause(error)),
        }
    }
}

/// Formats a refusal of the API server, with its code.
fn refusal(status: &Status) -> String {
    let said = if status.message.is_empty() { &status.reason } else { &status.message };
    let reason = StatusCode::from_u16(status.code).ok().and_then(|code| code.canonical_reason()).unwrap_or_default();
    let code = format!("{} {reason}", status.code);
    // The cause stands at the end of what a webhook says.
    match text::both_ends(said, LONGEST_REFUSAL) {
        said if said.is_empty() => format!("the API server answers {}", code.trim_end()),
        said => format!("{said} ({})", code.trim_end()),
    }
}

/// Returns whether the API server was not reached, which the client has already reported.
pub(crate) fn is_away(error: &Error) -> bool {
    match error {
        Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) => true,
        Error::Api(status) => GATEWAY.iter().any(|code| code.as_u16() == status.code),
        _ => false,
    }
}

/// Formats why a watch was interrupted, if that is worth a line. An API server that is away is not, and neither is a
/// position of the watch that the API server has forgotten.
pub(crate) fn interruption(error: &watcher::Error) -> Option<String> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => (!is_away(error)).then(|| Sentence(error).to_string()),
        watcher::Error::WatchError(status) if status.code == StatusCode::GONE.as_u16() => None,
        watcher::Error::WatchError(status) => Some(refusal(status)),
        watcher::Error::NoResourceVersion => Some("the API server's list has no version".to_owned()),
    }
}

/// Returns the innermost cause of an error, which is the part that users can act on.
fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    loop {
        // TLS has a page of its own to say about a peer that is gone.
        if deepest.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            return "Connection closed".to_owned();
        }
        match deepest.source() {
            Some(source) => deepest = source,
            None => return text::shown(&deepest.to_string()),
        }
    }
}

/// A repeated failure, which is reported when it begins and when its cause changes.
#[derive(Default)]
pub(crate) struct Trouble(Option<String>);

impl Trouble {
    /// Records a failure. Returns whether that is news.
    pub(crate) fn is_news(&mut self, why: &str) -> bool {
        self.0.replace(why.to_owned()).as_deref() != Some(why)
    }

    /// Records a success. Returns whether that is news.
    pub(crate) fn is_over(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests;
