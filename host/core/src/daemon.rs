//! What a daemon has to do on one machine: which manifest to start, what to try again, what to keep. Values in, values
//! out; whoever calls it has the clock and the disk.
//!
//! One node has one sweep at a time, so there is one run at a time, of whichever manifest. What is due meanwhile waits
//! for it, and of several ticks that were missed the latest is taken. So `Allow` and `Forbid` come to the same here, and
//! `Replace` asks the run of the same manifest to end.
//!
//! Besides its ticks a run may be started because
//!
//! - the manifest has no schedule: then once, for good;
//! - the one before could not take place, and there are tries left ([`Retry`]);
//! - the disk is fuller than `pressure.above` ([`REST`] apart).
//!
//! A machine among many starts a little later than its tick, always by the same time ([`delay`]), so that not all ask
//! the same registry and the same storage at once.

mod record;
pub mod status;
pub mod unclaimed;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::manifest::{NodeCleanup, TimetableError};
use crate::schedule::{self, ConcurrencyPolicy, Progress, Timetable};

pub use record::{Cause, Record, RunResult, RunSummary, excess};

/// How long after a start under pressure the next one may come: a disk that cannot be cleaned is not cleaned all the
/// time.
pub const REST: SignedDuration = SignedDuration::from_mins(10);

/// How long before the first retry, and the longest before a later one; each time it is twice as long.
const BACK_OFF: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(10), SignedDuration::from_mins(5));

/// What a manifest asks of the daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Triggers {
    /// Its ticks; without, it runs once.
    pub timetable: Option<Timetable>,
    /// Whether nothing is to be started for now.
    pub paused: bool,
    /// How often a run that could not take place is tried again.
    pub retries: u32,
    /// How much later than its ticks this machine starts.
    pub delay: SignedDuration,
    /// Whether it asks for a run when the disk is full.
    pub watches: bool,
}

/// What is remembered of a manifest, across restarts. To be stored before a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleProgress {
    /// Which ticks are done with. A manifest without a schedule counts its only run as one.
    pub progress: Progress,
    /// A run that is to be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// When a run was last started under pressure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressed: Option<Timestamp>,
}

/// A run that could not take place and is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// Which retry it will be, counted from 1.
    pub number: u32,
    /// When it is due.
    pub due: Timestamp,
}

/// A manifest at the time of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// What it asks for.
    pub duty: &'a Triggers,
    /// What is remembered of it.
    pub standing: &'a ScheduleProgress,
    /// Whether a run of it is going on.
    pub active: bool,
    /// Whether the disk is fuller than it wants.
    pub full: bool,
}

/// Why a run is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which of the entries.
    pub entry: usize,
    /// The tick that it is for, with a schedule.
    pub tick: Option<Timestamp>,
    /// What for.
    pub cause: Cause,
    /// Which retry it is; 0 for none.
    pub attempt: u32,
}

/// What to do now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agenda {
    /// A run to start; nothing while one is going on.
    pub start: Option<Start>,
    /// Whether the run that is going on is to be asked to end, for its successor is due.
    pub replace: bool,
    /// When to decide again at the latest. Also when a run has ended, and now and then, because clocks are set.
    pub wake: Option<Timestamp>,
}

/// How things stand with one manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Start { since: Timestamp, tick: Option<Timestamp>, cause: Cause, attempt: u32 },
    Wait(Option<Timestamp>),
}

impl Triggers {
    /// What a manifest asks for on a machine that starts so much later than its ticks.
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

    /// When its next tick is due on this machine.
    pub fn next(&self, standing: &ScheduleProgress, now: Timestamp) -> Option<Timestamp> {
        match wish(Entry { duty: self, standing, active: false, full: false }, now) {
            Due::Start { .. } => Some(now),
            Due::Wait(next) => next,
        }
    }
}

impl ScheduleProgress {
    /// Of a manifest that is seen for the first time.
    pub fn new(now: Timestamp) -> Self {
        Self { progress: Progress::new(now), retry: None, pressed: None }
    }

    /// What is remembered, unless a clock that was wrong wrote it. That a manifest without a schedule has run stays true
    /// whatever the clock says, and many a machine starts up in 1970.
    #[must_use]
    pub fn mended(self, duty: &Triggers, now: Timestamp) -> Self {
        if duty.timetable.is_none() {
            return self;
        }
        Self { progress: self.progress.mended(now).unwrap_or(self.progress), ..self }
    }

    /// After a run was started. To be stored before the run begins.
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

    /// After a run has ended: one that could not take place is tried again, a little later each time.
    #[must_use]
    pub fn ended(self, start: &Start, took_place: bool, retries: u32, now: Timestamp) -> Self {
        let retry = (!took_place && start.attempt < retries)
            .then(|| Retry { number: start.attempt + 1, due: now.checked_add(back_off(start.attempt)).unwrap_or(now) });
        Self { retry, ..self }
    }
}

/// How long to wait before a run that could not take place is tried again, after so many retries.
pub fn back_off(retries: u32) -> SignedDuration {
    let doubled = BACK_OFF.0.as_secs().saturating_mul(1_i64.checked_shl(retries.min(32)).unwrap_or(i64::MAX));
    SignedDuration::from_secs(doubled).min(BACK_OFF.1)
}

/// Decides. Of several that are due the one that has waited longest starts.
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
    // A tick takes the place of a retry: it is the same work, and newer.
    let Due::Wait(next) = wish else { return wish };
    let retry = match standing.retry {
        // One that is further ahead than any wait was written by a clock that was wrong.
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

/// A machine that starts later than its ticks is one whose clock is behind by as much.
fn by_schedule(timetable: &Timetable, delay: SignedDuration, standing: &ScheduleProgress, now: Timestamp) -> Due {
    let behind = now.checked_sub(delay).unwrap_or(now);
    let later = |tick: Timestamp| tick.checked_add(delay).unwrap_or(tick);
    // What is going on is no matter here: one run at a time is the rule of the whole machine.
    match timetable.decide(&standing.progress, 0, behind) {
        schedule::Decision::Run { tick, .. } | schedule::Decision::Blocked { tick, .. } => {
            Due::Start { since: later(tick), tick: Some(tick), cause: Cause::Schedule, attempt: 0 }
        }
        schedule::Decision::Wait { next } => Due::Wait(Some(later(next))),
        schedule::Decision::Paused | schedule::Decision::Never => Due::Wait(None),
    }
}

/// Also when the clock was set back since.
fn rested(pressed: Option<Timestamp>, now: Timestamp) -> bool {
    pressed.is_none_or(|pressed| pressed > now || pressed.duration_until(now) >= REST)
}

/// How much later than its ticks a manifest starts on this machine: less than `most`, always the same for the same
/// machine and manifest, and spread evenly over many.
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
