//! Whether to start a run now: the decision of AdvancedCronJob.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Schedule;

/// When a NodeCleanup runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable {
    /// The ticks.
    pub schedule: Schedule,
    /// How late a run may start; later than that, its tick is passed over. Absent: however late.
    pub starting_deadline: Option<SignedDuration>,
    /// What to do when the run before is still going on.
    pub concurrency: ConcurrencyPolicy,
    /// Whether to start nothing for now.
    pub paused: bool,
}

/// What to do when a run is due and the one before is still going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// Start it beside the other.
    #[default]
    Allow,
    /// Wait until the other has ended; then start one run, unless it is too late by then.
    Forbid,
    /// Stop the other and start.
    Replace,
}

/// What is remembered from one decision to the next, across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// Ticks count from here on: when the NodeCleanup was first seen.
    pub since: Timestamp,
    /// The latest tick that a run was started for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

/// How far ahead of the clock a remembered time may be before it is the remembered time that is wrong.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

impl Progress {
    /// Nothing has run yet.
    pub fn new(since: Timestamp) -> Self {
        Self { since, last: None }
    }

    /// After a run was started for this tick. To be stored before the run begins: then no tick runs twice, whenever
    /// the process dies.
    #[must_use]
    pub fn started(self, tick: Timestamp) -> Self {
        Self { last: Some(tick), ..self }
    }

    /// What is remembered, unless it was written by a clock that was wrong.
    ///
    /// After a clock was set back by up to a day, the decision waits for it to catch up, so that no tick runs twice.
    /// A time that is further ahead can only come from a clock that ran far in the future; waiting for that might
    /// take years, so counting starts anew at `now`. None when nothing is wrong.
    pub fn mended(self, now: Timestamp) -> Option<Self> {
        let ahead = now.duration_until(self.since.max(self.last.unwrap_or(self.since)));
        (ahead > AHEAD).then(|| Self::new(now))
    }
}

/// What to do now, and when to ask again. Ask also when a run has ended, and when the clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start a run.
    Run {
        /// The tick that it is for; see [`Progress::started`].
        tick: Timestamp,
        /// First stop the runs that are going on.
        replace: bool,
        /// When the tick after it is due.
        next: Option<Timestamp>,
    },
    /// Nothing is due.
    Wait {
        /// When the next tick is due.
        next: Timestamp,
    },
    /// A run is due and the one before must end first.
    Blocked {
        /// The tick that waits.
        tick: Timestamp,
        /// When the tick after it is due.
        next: Option<Timestamp>,
    },
    /// Nothing is to be started until somebody changes the manifest.
    Paused,
    /// No tick will ever come, as on February 30.
    Never,
}

impl Timetable {
    /// Decides. `active` is how many runs are going on.
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

    /// Ticks up to here are done with: run, from before our time, or too late by now.
    fn start(&self, progress: &Progress, now: Timestamp) -> Timestamp {
        let start = progress.last.unwrap_or(progress.since);
        let too_late = self.starting_deadline.and_then(|deadline| now.checked_sub(deadline).ok());
        too_late.map_or(start, |too_late| start.max(too_late))
    }

    /// The first tick after `now`; `@every` counts from the tick, or the start, before it.
    fn next(&self, before: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let from = if self.schedule.period().is_some() { before } else { now };
        self.schedule.next(from)
    }
}
