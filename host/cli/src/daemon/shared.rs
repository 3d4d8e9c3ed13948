//! What the daemon's loop tells those who ask: how things stand, and that it goes on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holystone_core::daemon::status::Status;

use super::metrics::Counters;
use crate::http::Answers;

/// How long the loop may take for one turn; it does nothing that takes long itself.
const TURN: Duration = Duration::from_mins(1);

/// How things stand.
pub(crate) struct Shared(Mutex<State>);

struct State {
    status: Status,
    counters: Counters,
    turned: Instant,
}

impl Shared {
    pub(crate) fn new(status: Status) -> Self {
        Self(Mutex::new(State { status, counters: Counters::default(), turned: Instant::now() }))
    }

    /// The loop goes on, and this is how things stand.
    pub(crate) fn turn(&self, status: Status) {
        let mut state = self.lock();
        state.status = status;
        state.turned = Instant::now();
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.lock().counters);
    }

    /// A panic elsewhere leaves whole values behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Shared {
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
        for charged in &mut status.node_cleanups {
            charged.runs.truncate(runs);
        }
        // Nothing in it cannot be written.
        serde_json::to_string_pretty(&status).unwrap_or_default() + "\n"
    }
}
