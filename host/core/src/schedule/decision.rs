//! The decision to start a run now, which follows AdvancedCronJob.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Schedule;

/// The schedule of a NodeCleanup, with the conditions for starting its runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable {
    /// The schedule, which has the ticks.
    pub schedule: Schedule,
    /// The maximum delay of a run; a tick whose run would start later is skipped. Without a deadline, a run may start
    /// however late.
    pub starting_deadline: Option<SignedDuration>,
    /// The policy for a run that is due while the one before is still active.
    pub concurrency: ConcurrencyPolicy,
    /// Set when no run is to be started for now.
    pub paused: bool,
}

/// The policy for a run that is due while the one before is still active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// Start the run beside the active one.
    #[default]
    Allow,
    /// Wait until the active run has ended; then start one run, unless the starting deadline has passed.
    Forbid,
    /// Stop the active run and start the new one.
    Replace,
}

/// The progress of a schedule, stored across decisions and restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// The time from which ticks count: when the NodeCleanup was first seen.
    pub since: Timestamp,
    /// The latest tick that a run was started for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

/// The maximum lead of a stored time over the clock. Beyond it, the stored time is wrong.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

impl Progress {
    /// Creates the progress of a schedule without runs.
    pub fn new(since: Timestamp) -> Self {
        Self { since, last: None }
    }

    /// Records that a run was started for this tick. Store the result before the run begins: then no tick runs twice,
    /// even if the process dies.
    #[must_use]
    pub fn started(self, tick: Timestamp) -> Self {
        Self { last: Some(tick), ..self }
    }

    /// Returns a reset progress if this one was written by a wrong clock, or `None` when nothing is wrong.
    ///
    /// If a clock was set back by up to a day, the decision waits until the clock catches up, so that no tick runs
    /// twice. A time that is further ahead can only come from a clock that ran far in the future. Waiting for that time
    /// might take years, so counting restarts at `now`.
    pub fn mended(self, now: Timestamp) -> Option<Self> {
        let ahead = now.duration_until(self.since.max(self.last.unwrap_or(self.since)));
        (ahead > AHEAD).then(|| Self::new(now))
    }
}

/// The action to take now, and the time of the next decision. A new decision is also needed when a run has ended, and
/// when the clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start a run.
    Run {
        /// The tick that the run is for; see [`Progress::started`].
        tick: Timestamp,
        /// Set when active runs must be stopped first.
        replace: bool,
        /// The time at which the following tick is due.
        next: Option<Timestamp>,
    },
    /// Wait, because no tick is due.
    Wait {
        /// The time at which the next tick is due.
        next: Timestamp,
    },
    /// A run is due, and the one before must end first.
    Blocked {
        /// The tick that is blocked.
        tick: Timestamp,
        /// The time at which the following tick is due.
        next: Option<Timestamp>,
    },
    /// Start nothing until the manifest is changed.
    Paused,
    /// The schedule has no further tick, as on February 30.
    Never,
}

impl Timetable {
    /// Decides whether to start a run now. `active` is the number of active runs.
    pub fn decide(&self, progress: &Progress, active: usize, now: Timestamp) -> Decision {
        if self.paused {
            return Decision::Paused;
        }
        let start = self.start(progress, now);
        let due = self.schedule.latest(start, now);
        let next = self.next(due.unwrap_or(start), now);
        match (due, next) {
            (None, None) => Decision::Never,
            (None, Some(next)) => Decision::Wait { next },
            (Some(tick), next) if active > 0 && self.concurrency == ConcurrencyPolicy::Forbid => {
                Decision::Blocked { tick, next }
            }
            (Some(tick), next) => {
                let replace = active > 0 && self.concurrency == ConcurrencyPolicy::Replace;
                Decision::Run { tick, replace, next }
            }
        }
    }

    /// Returns the time up to which ticks no longer count: they have run, are from before the NodeCleanup was seen, or
    /// are too late by now.
    fn start(&self, progress: &Progress, now: Timestamp) -> Timestamp {
        let start = progress.last.unwrap_or(progress.since);
        let too_late = self.starting_deadline.and_then(|deadline| now.checked_sub(deadline).ok());
        too_late.map_or(start, |too_late| start.max(too_late))
    }

    /// Returns the first tick after `now`; `@every` counts from the tick, or the start, before it.
    fn next(&self, before: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let from = if self.schedule.period().is_some() { before } else { now };
        self.schedule.next(from)
    }
}
