//! Decisions of a daemon on one machine: which manifest to start, what to retry, and which records to keep. Values
//! only: the caller has the clock and the disk.
//!
//! One node has one sweep at a time, so there is one run at a time, of any manifest. A run that becomes due meanwhile
//! waits for it. If several ticks were missed, only the latest one is taken. `Allow` and `Forbid` are therefore the
//! same here, and `Replace` asks the run of the same manifest to end.
//!
//! Besides its ticks, a run may start because
//!
//! - the manifest has no schedule: then once, for good;
//! - the previous run could not take place, and retries are left ([`Retry`]);
//! - the disk is fuller than `pressure.above` ([`REST`] apart).
//!
//! A machine among many starts a little later than its tick, always by the same time ([`delay`]), so that not all
//! machines ask the same registry and the same storage at once.

mod record;
pub mod status;
pub mod unclaimed;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::manifest::{NodeCleanup, TimetableError};
use crate::schedule::{self, ConcurrencyPolicy, Progress, Timetable};

pub use record::{Cause, Record, RunResult, RunSummary, excess};

/// Minimum time between two starts under pressure: a disk that cannot be cleaned must not cause permanent runs.
pub const REST: SignedDuration = SignedDuration::from_mins(10);

/// Delay before the first retry, and the maximum before a later one; the delay doubles each time.
const BACK_OFF: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(10), SignedDuration::from_mins(5));

/// The work that a manifest requests from the daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Triggers {
    /// Ticks of the manifest; without any, it runs once.
    pub timetable: Option<Timetable>,
    /// Set when nothing may start for now.
    pub paused: bool,
    /// Number of retries of a run that could not take place.
    pub retries: u32,
    /// Delay of this machine after its ticks.
    pub delay: SignedDuration,
    /// Set when the manifest requests a run if the disk is full.
    pub watches: bool,
}

/// The remembered state of a manifest, kept across restarts. The caller stores it before a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleProgress {
    /// Ticks that are done. A manifest without a schedule counts its only run as one.
    pub progress: Progress,
    /// Run that is to be retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Time of the last start under pressure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressed: Option<Timestamp>,
}

/// A run that could not take place, and its retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// Number of the retry, counted from 1.
    pub number: u32,
    /// Time when the retry is due.
    pub due: Timestamp,
}

/// A manifest at the time of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Work that the manifest requests.
    pub duty: &'a Triggers,
    /// Remembered state of the manifest.
    pub standing: &'a ScheduleProgress,
    /// Set while a run of the manifest is in progress.
    pub active: bool,
    /// Set when the disk is fuller than the manifest allows.
    pub full: bool,
}

/// A run to start, with its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Index of the entry.
    pub entry: usize,
    /// Tick that the run is for, with a schedule.
    pub tick: Option<Timestamp>,
    /// Cause of the run.
    pub cause: Cause,
    /// Number of the retry; 0 for none.
    pub attempt: u32,
}

/// The decision about what to do now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agenda {
    /// Run to start; `None` while another one is in progress.
    pub start: Option<Start>,
    /// Set when the run in progress has to end, because its successor is due.
    pub replace: bool,
    /// Latest time of the next decision. The caller also decides when a run has ended, and now and then, because clocks
    /// are set.
    pub wake: Option<Timestamp>,
}

/// The state of one manifest: a run that is due, or the time of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Start { since: Timestamp, tick: Option<Timestamp>, cause: Cause, attempt: u32 },
    Wait(Option<Timestamp>),
}

impl Triggers {
    /// Reads the work that a manifest requests, on a machine that starts this much later than its ticks.
    ///
    /// # Errors
    /// As [`NodeCleanup::timetable`].
    pub fn of(manifest: &NodeCleanup, delay: SignedDuration) -> Result<Self, TimetableError> {
        Ok(Self {
            timetable: manifest.timetable()?,
            paused: manifest.spec.paused,
            retries: manifest.spec.rollout.failure_policy.restart_limit,
            delay,
            watches: manifest.pressure().above.is_some(),
        })
    }

    /// Returns when the next run is due on this machine.
    pub fn next(&self, standing: &ScheduleProgress, now: Timestamp) -> Option<Timestamp> {
        match wish(Entry { duty: self, standing, active: false, full: false }, now) {
            Due::Start { .. } => Some(now),
            Due::Wait(next) => next,
        }
    }
}

impl ScheduleProgress {
    /// Creates the state of a manifest that is seen for the first time.
    pub fn new(now: Timestamp) -> Self {
        Self { progress: Progress::new(now), retry: None, pressed: None }
    }

    /// Repairs the remembered state if a wrong clock wrote it. A manifest without a schedule that has run stays done at
    /// any time, because many machines start up in 1970.
    #[must_use]
    pub fn mended(self, duty: &Triggers, now: Timestamp) -> Self {
        if duty.timetable.is_none() {
            return self;
        }
        Self { progress: self.progress.mended(now).unwrap_or(self.progress), ..self }
    }

    /// Records the start of a run. The caller stores the result before the run begins.
    #[must_use]
    pub fn started(self, start: &Start, now: Timestamp) -> Self {
        let progress = match (start.cause, start.tick) {
            (Cause::Schedule, Some(tick)) => self.progress.started(tick),
            (Cause::Once, _) => self.progress.started(now),
            _ => self.progress,
        };
        let pressed = if start.cause == Cause::Pressure { Some(now) } else { self.pressed };
        Self { progress, retry: None, pressed }
    }

    /// Records the end of a run. A run that could not take place is retried, with a longer delay each time.
    #[must_use]
    pub fn ended(self, start: &Start, took_place: bool, retries: u32, now: Timestamp) -> Self {
        let retry = (!took_place && start.attempt < retries)
            .then(|| Retry { number: start.attempt + 1, due: now.checked_add(back_off(start.attempt)).unwrap_or(now) });
        Self { retry, ..self }
    }
}

/// Computes the delay before the next retry of a run that could not take place, after this number of retries.
pub fn back_off(retries: u32) -> SignedDuration {
    let doubled = BACK_OFF.0.as_secs().saturating_mul(1_i64.checked_shl(retries.min(32)).unwrap_or(i64::MAX));
    SignedDuration::from_secs(doubled).min(BACK_OFF.1)
}

/// Decides what to do. If several runs are due, the one that has waited longest starts.
pub fn agenda(entries: &[Entry<'_>], now: Timestamp) -> Agenda {
    let wishes: Vec<Due> = entries.iter().map(|entry| wish(*entry, now)).collect();
    let busy = entries.iter().any(|entry| entry.active);
    let due = wishes.iter().enumerate().filter_map(|(entry, wish)| match *wish {
        Due::Start { since, tick, cause, attempt } => Some((since, Start { entry, tick, cause, attempt })),
        Due::Wait(_) => None,
    });
    let start = due.min_by_key(|(since, start)| (*since, start.entry)).map(|(_, start)| start);
    let replaces = |(entry, wish): (&Entry<'_>, &Due)| {
        let policy = entry.duty.timetable.as_ref().map(|timetable| timetable.concurrency);
        let ticks = matches!(wish, Due::Start { cause: Cause::Schedule, .. });
        entry.active && ticks && policy == Some(ConcurrencyPolicy::Replace)
    };
    Agenda {
        start: start.filter(|_| !busy),
        replace: entries.iter().zip(&wishes).any(replaces),
        wake: wishes.iter().filter_map(|wish| if let Due::Wait(next) = wish { *next } else { None }).min(),
    }
}

fn wish(entry: Entry<'_>, now: Timestamp) -> Due {
    let Entry { duty, standing, full, .. } = entry;
    if duty.paused {
        return Due::Wait(None);
    }
    let wish = match &duty.timetable {
        Some(timetable) => by_schedule(timetable, duty.delay, standing, now),
        None if standing.progress.last.is_none() => {
            Due::Start { since: standing.progress.since, tick: None, cause: Cause::Once, attempt: 0 }
        }
        None => Due::Wait(None),
    };
    // A tick replaces a retry: the work is the same, and newer.
    let Due::Wait(next) = wish else { return wish };
    let retry = match standing.retry {
        // A retry that is further ahead than any delay was written by a wrong clock.
        Some(Retry { number, due }) if due <= now || now.duration_until(due) > BACK_OFF.1 => {
            return Due::Start { since: due.min(now), tick: None, cause: Cause::Retry, attempt: number };
        }
        Some(Retry { due, .. }) => Some(due),
        None => None,
    };
    // A manifest without a schedule has had its run.
    if full && duty.watches && duty.timetable.is_some() && rested(standing.pressed, now) {
        return Due::Start { since: now, tick: None, cause: Cause::Pressure, attempt: 0 };
    }
    Due::Wait(next.into_iter().chain(retry).min())
}

/// Applies the schedule with the delay of the machine: a machine that starts later behaves like one whose clock is
/// behind.
fn by_schedule(timetable: &Timetable, delay: SignedDuration, standing: &ScheduleProgress, now: Timestamp) -> Due {
    let behind = now.checked_sub(delay).unwrap_or(now);
    let later = |tick: Timestamp| tick.checked_add(delay).unwrap_or(tick);
    // Runs in progress do not matter here: the limit of one run at a time holds for the whole machine.
    match timetable.decide(&standing.progress, 0, behind) {
        schedule::Decision::Run { tick, .. } | schedule::Decision::Blocked { tick, .. } => {
            Due::Start { since: later(tick), tick: Some(tick), cause: Cause::Schedule, attempt: 0 }
        }
        schedule::Decision::Wait { next } => Due::Wait(Some(later(next))),
        schedule::Decision::Paused | schedule::Decision::Never => Due::Wait(None),
    }
}

/// Returns whether the last start under pressure is long enough ago, or the clock was set back since.
fn rested(pressed: Option<Timestamp>, now: Timestamp) -> bool {
    pressed.is_none_or(|pressed| pressed > now || pressed.duration_until(now) >= REST)
}

/// Computes by how much a manifest starts later than its ticks on this machine. The delay is less than `most`, constant
/// for a machine and a manifest, and spread evenly over many.
pub fn delay(node: &str, manifest: &str, most: SignedDuration) -> SignedDuration {
    let Ok(range) = u64::try_from(most.as_millis()) else { return SignedDuration::ZERO };
    // FNV-1a, and the finish of SplitMix64, without which names that differ in their last digit lie close together.
    let bytes = node.bytes().chain([0]).chain(manifest.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let share = (u128::from(mixed ^ (mixed >> 31)) * u128::from(range)) >> 64;
    SignedDuration::from_millis(i64::try_from(share).unwrap_or_default())
}

#[cfg(test)]
mod tests;
