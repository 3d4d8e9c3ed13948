//! The end of a run: its time limit, and stop requests.
//!
//! The first SIGTERM or SIGINT lets operations in progress finish and starts no more. The second signal, a grace period
//! without an answer, or the time limit ends those as well: the report is then made from what is known.

use std::time::Duration;

use holystone_core::report::{EndReason, Ending};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

/// The time that removals in progress have after the first signal. Kubernetes kills after 30 s.
const GRACE: Duration = Duration::from_secs(20);
/// The shortest and the longest time for final questions once a run is overdue. In between, a tenth of the time limit.
const LAST_LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The time at which a run has to end.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    limit: Duration,
    deadline: Instant,
    grace: Duration,
    token: StopToken,
}

/// The stop requests that runs listen to.
#[derive(Clone, Debug)]
pub struct StopToken(watch::Receiver<Signals>);

/// The times of the first and the second stop request.
#[derive(Clone, Copy, Debug, Default)]
struct Signals {
    first: Option<Instant>,
    again: Option<Instant>,
}

/// The sending side of a [`StopToken`], which requests the end of a run.
#[derive(Debug)]
pub(crate) struct StopHandle(watch::Sender<Signals>);

impl StopHandle {
    /// Requests a stop: the first request lets operations in progress finish, the second waits for nothing.
    pub(crate) fn ask(&self) {
        self.0.send_modify(Signals::count);
    }
}

impl StopToken {
    /// Creates a token, and the handle that stops its runs.
    pub(crate) fn with_handle() -> (StopHandle, Self) {
        let (sender, receiver) = watch::channel(Signals::default());
        (StopHandle(sender), Self(receiver))
    }

    /// Listens to SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn on_signals() -> anyhow::Result<Self> {
        let (sender, receiver) = watch::channel(Signals::default());
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(()) = terminate.recv() => {}
                    Some(()) = interrupt.recv() => {}
                    else => return,
                }
                sender.send_modify(Signals::count);
            }
        });
        Ok(Self(receiver))
    }
}

impl Signals {
    fn count(&mut self) {
        let next = if self.first.is_none() { &mut self.first } else { &mut self.again };
        next.get_or_insert_with(Instant::now);
    }
}

impl Stop {
    /// Starts the clock of one run.
    pub(crate) fn within(limit: Duration, token: &StopToken) -> Self {
        let now = Instant::now();
        // A limit beyond the range of the clock becomes a year.
        let deadline = now.checked_add(limit).unwrap_or_else(|| now + Duration::from_hours(24 * 365));
        Self { limit, deadline, grace: GRACE, token: token.clone() }
    }

    /// Waits until nothing more may be started, and returns why.
    pub(crate) async fn requested(&self) -> Ending {
        let mut signals = self.token.0.clone();
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.deadline) => self.time_limit(),
            Ok(_) = signals.wait_for(|signals| signals.first.is_some()) => stopped(),
        }
    }

    /// Waits until nothing may be waited for any more, and returns why.
    pub(crate) async fn overdue(&self) -> Ending {
        self.overdue_by(Duration::ZERO).await
    }

    /// Asks the node a final question about the result of a sweep. Once the run is overdue, little time is left for all
    /// such questions together; returns `None` when that was not enough.
    pub(crate) async fn at_the_end<T>(&self, question: impl Future<Output = T>) -> Option<T> {
        let last_look = (self.limit / 10).clamp(LAST_LOOK.0, LAST_LOOK.1);
        tokio::select! {
            biased;
            answer = question => Some(answer),
            _ = self.overdue_by(last_look) => None,
        }
    }

    async fn overdue_by(&self, more: Duration) -> Ending {
        let mut signals = self.token.0.clone();
        loop {
            let (since, ending) = self.end(*signals.borrow_and_update());
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(since + more) => return ending,
                Ok(()) = signals.changed() => {}
            }
        }
    }

    /// Returns when the run becomes overdue if no other signal comes, and why.
    fn end(&self, signals: Signals) -> (Instant, Ending) {
        let signalled = signals.first.map(|first| first + self.grace).into_iter().chain(signals.again).min();
        match signalled.filter(|stopped| *stopped < self.deadline) {
            Some(since) => (since, stopped()),
            None => (self.deadline, self.time_limit()),
        }
    }

    /// Performs the work before the first removal, unless the run has to end earlier.
    ///
    /// # Errors
    /// Fails with the reason, when the run has to end earlier; or with the error of the work itself.
    pub(crate) async fn before_removals<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::select! {
            biased;
            ending = self.requested() => {
                anyhow::bail!("nothing was touched: {} before there was anything to remove", ending.message)
            }
            result = work => result,
        }
    }

    fn time_limit(&self) -> Ending {
        let limit = humantime::format_duration(self.limit);
        Ending { reason: EndReason::TimeLimit, message: format!("the time limit of the run, {limit}, was reached") }
    }
}

fn stopped() -> Ending {
    Ending { reason: EndReason::Stopped, message: "the run was asked to end".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stop that does not listen to the test's own process, and waits for nothing after a signal.
    fn stop(limit: Duration) -> (watch::Sender<Signals>, Stop) {
        let (sender, receiver) = watch::channel(Signals::default());
        let token = StopToken(receiver);
        (sender, Stop { limit, deadline: Instant::now() + limit, grace: Duration::ZERO, token })
    }

    fn signal(sender: &watch::Sender<Signals>) {
        sender.send_modify(Signals::count);
    }

    #[tokio::test]
    async fn the_time_limit_ends_everything() {
        let (_sender, stop) = stop(Duration::ZERO);
        assert_eq!(stop.requested().await.reason, EndReason::TimeLimit);
        assert_eq!(stop.overdue().await.reason, EndReason::TimeLimit);
        assert_eq!(stop.at_the_end(async { 7 }).await, Some(7), "a quick answer is still taken");
        assert_eq!(stop.at_the_end(std::future::pending::<()>()).await, None);
        let start = Instant::now();
        assert_eq!(stop.at_the_end(std::future::pending::<()>()).await, None);
        assert!(start.elapsed() < LAST_LOOK.0, "the questions have that time together");
    }

    #[tokio::test]
    async fn one_signal_lets_things_end_for_a_while() {
        let (sender, mut stop) = stop(Duration::from_mins(10));
        signal(&sender);
        assert_eq!(stop.requested().await.reason, EndReason::Stopped);
        assert_eq!(stop.overdue().await.reason, EndReason::Stopped, "the while is over");
        stop.grace = Duration::from_mins(1);
        assert!(tokio::time::timeout(Duration::from_millis(20), stop.overdue()).await.is_err(), "and here it is not");
        let unanswered = stop.at_the_end(std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::from_millis(20), unanswered).await.is_err(), "nor for a last question");
    }

    #[tokio::test]
    async fn a_second_signal_ends_everything() {
        let (sender, mut stop) = stop(Duration::from_mins(10));
        stop.grace = Duration::from_mins(1);
        signal(&sender);
        signal(&sender);
        assert_eq!(stop.overdue().await.reason, EndReason::Stopped);
    }

    #[tokio::test]
    async fn what_takes_too_long_before_the_first_removal_removes_nothing() {
        let (_sender, short) = stop(Duration::from_millis(10));
        let error = short.before_removals(std::future::pending::<anyhow::Result<()>>()).await.unwrap_err();
        assert!(error.to_string().contains("nothing was touched: the time limit of the run, 10ms"), "{error}");
        let (_sender, long) = stop(Duration::from_mins(10));
        assert_eq!(long.before_removals(async { Ok(7) }).await.unwrap(), 7);
    }
}
