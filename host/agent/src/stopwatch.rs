//! Time measurement of the parts of a run.

use std::collections::BTreeMap;
use std::time::Instant;

use holystone_core::report::Milliseconds;

/// The durations of the parts of a run.
pub(crate) struct Stopwatch {
    last: Instant,
    laps: BTreeMap<&'static str, Milliseconds>,
}

impl Stopwatch {
    /// Starts the first part.
    pub(crate) fn start() -> Self {
        Self { last: Instant::now(), laps: BTreeMap::new() }
    }

    /// Records the end of a part.
    pub(crate) fn lap(&mut self, part: &'static str) {
        let now = Instant::now();
        self.laps.insert(part, Milliseconds(now - self.last));
        self.last = now;
    }

    /// Returns the durations by part.
    pub(crate) fn laps(self) -> BTreeMap<&'static str, Milliseconds> {
        self.laps
    }
}
