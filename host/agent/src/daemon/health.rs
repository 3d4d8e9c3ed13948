//! The status and the liveness of the daemon, published by the loop and served over HTTP.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holystone_core::daemon::status::Status;

use super::metrics::Counters;
use crate::http::Answers;

/// The longest time that a live loop takes for one turn; the loop never blocks.
const TURN: Duration = Duration::from_mins(1);

/// The last published status of the daemon.
pub(crate) struct Health(Mutex<HealthState>);

struct HealthState {
    status: Status,
    counters: Counters,
    turned: Instant,
}

impl Health {
    /// Creates the record with this status.
    pub(crate) fn new(status: Status) -> Self {
        Self(Mutex::new(HealthState { status, counters: Counters::default(), turned: Instant::now() }))
    }

    /// Publishes the status, with the time of this turn of the loop.
    pub(crate) fn publish(&self, status: Status) {
        let mut state = self.lock();
        state.status = status;
        state.turned = Instant::now();
    }

    /// Updates the counters.
    pub(crate) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.lock().counters);
    }

    /// Locks the state. A poisoned lock is still usable: a panic elsewhere leaves whole values behind.
    fn lock(&self) -> MutexGuard<'_, HealthState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Health {
    fn is_alive(&self) -> bool {
        self.lock().turned.elapsed() < TURN
    }

    fn is_ready(&self) -> bool {
        !self.lock().status.stopping
    }

    fn metrics(&self) -> String {
        let state = self.lock();
        state.counters.text(&state.status)
    }

    fn has_status(&self) -> bool {
        true
    }

    fn status(&self, runs: usize) -> String {
        let mut status = self.lock().status.clone();
        for cleanup in &mut status.node_cleanups {
            cleanup.runs.truncate(runs);
        }
        // Every status can be serialized.
        serde_json::to_string_pretty(&status).unwrap_or_default() + "\n"
    }
}
