//! Schedules in the dialect of OpenKruise's AdvancedCronJob, and the decision to start a run.
//!
//! # The dialect
//!
//! A schedule has five fields: minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-6, Sunday
//! is 0 and nothing else). A field is a list, separated by commas, of `N`, `A-B`, `*` or `?` (the same as `*`), each
//! with an optional `/STEP`; `N/STEP` runs to the end of the field. Months and days of the week also have names, the
//! first three letters of their English names. If the day of month and the day of week are both restricted, a match of
//! one of the two is enough. As in robfig/cron v3, `*/2` restricts, while `*` and `*/1` do not.
//!
//! `@yearly` (`@annually`), `@monthly`, `@weekly`, `@daily` (`@midnight`) and `@hourly` are short for the usual fields.
//! `@every 1h30m` counts elapsed time, independent of any wall clock. A prefix `TZ=ZONE` or `CRON_TZ=ZONE` may name the
//! time zone.
//!
//! # Time zones
//!
//! A tick is a whole minute at which the clocks of the zone match the fields. If clocks go forward, a time that is
//! skipped has no tick that day. If clocks go back, a time that is shown twice has two ticks. Zones come from the
//! built-in database, never from the machine: a manifest has the same meaning on every machine.
//!
//! # The decision
//!
//! [`Timetable::decide`] follows AdvancedCronJob (see the tests in `conformance.rs`), with these intended differences:
//!
//! 1. The last tick is stored ([`Progress`]) and not derived from the runs that are left, so deleting old reports never
//!    runs a tick again.
//! 2. The latest missed tick is taken, however many were missed. AdvancedCronJob gives up for good after 100.
//! 3. `@every` wakes when the next tick is due. AdvancedCronJob waits a whole period from the time of its last check.
//! 4. An unknown time zone is an error. AdvancedCronJob would run in another zone.
//! 5. A period of less than a second is an error. AdvancedCronJob treats zero and negative periods as one second.

mod calendar;
mod decision;
mod every;
mod field;
mod history;
mod pattern;
mod zone;

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::text;
use calendar::Calendar;

pub use decision::{ConcurrencyPolicy, Decision, Progress, Timetable};
pub use history::{HistoryLimits, Past, RunState};
pub(crate) use pattern::pattern;
pub use zone::{ZoneError, zone};

/// The ticks of runs, with the text that they were parsed from.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    rhythm: Rhythm,
}

#[derive(Clone, Debug)]
enum Rhythm {
    Calendar(Calendar, TimeZone),
    Every(SignedDuration),
}

/// The error of a text that is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a schedule: {problem}")]
pub struct ScheduleError {
    text: String,
    problem: String,
}

/// The descriptors except `@every`, and the fields that they are short for.
const DESCRIPTORS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Schedule {
    /// Parses a schedule. A zone in front of the text overrides `time_zone`; without both, the zone is UTC.
    ///
    /// # Errors
    /// Fails when the text is not in the dialect.
    pub fn parse(text: &str, time_zone: Option<TimeZone>) -> Result<Self, ScheduleError> {
        let fail = |problem| ScheduleError { text: text::shown(text), problem };
        let rhythm = parse(text, time_zone).map_err(fail)?;
        Ok(Self { text: text.to_owned(), rhythm })
    }

    /// Returns the schedule as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the period of an `@every` schedule.
    pub fn period(&self) -> Option<SignedDuration> {
        match self.rhythm {
            Rhythm::Every(period) => Some(period),
            Rhythm::Calendar(..) => None,
        }
    }

    /// Returns whether no date and time ever match the fields, as for February 30.
    pub fn is_impossible(&self) -> bool {
        matches!(&self.rhythm, Rhythm::Calendar(calendar, _) if calendar.is_impossible())
    }

    /// Returns the first tick after an instant, or `None` when there is none until the end of the fifth calendar year
    /// after it.
    ///
    /// `@every` has no ticks of its own; it counts from the given instant.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.rhythm {
            Rhythm::Calendar(calendar, zone) => calendar.next(zone, whole_second(after)?),
            Rhythm::Every(period) => whole_second(after)?.checked_add(*period).ok(),
        }
    }

    /// Returns the last tick after `after` that is not after `until`, however many ticks are in between.
    pub fn latest(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        match &self.rhythm {
            Rhythm::Calendar(..) => self.latest_in_calendar(after, until),
            Rhythm::Every(period) => {
                let start = whole_second(after)?;
                let periods = start.duration_until(until).as_secs() / period.as_secs();
                let elapsed = SignedDuration::from_secs(period.as_secs() * periods);
                (periods > 0).then(|| start.checked_add(elapsed).ok()).flatten()
            }
        }
    }

    /// Finds the last tick of a calendar. Usually, at most one tick is due. Otherwise, the search bisects: the later an
    /// instant is, the later is the tick after it.
    fn latest_in_calendar(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let due = |second: i64| {
            let tick = self.next(Timestamp::from_second(second).ok()?)?;
            (tick <= until).then_some(tick)
        };
        let mut low = whole_second(after)?.as_second();
        let mut high = until.as_second();
        let mut found = due(low)?;
        if due(found.as_second()).is_none() {
            return Some(found);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match due(middle) {
                Some(tick) => (low, found) = (middle, tick),
                None => high = middle,
            }
        }
        Some(found)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Equality of ticks and rules, independent of the text.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        match (&self.rhythm, &other.rhythm) {
            (Rhythm::Calendar(mine, zone), Rhythm::Calendar(theirs, other)) => mine == theirs && zone == other,
            (Rhythm::Every(mine), Rhythm::Every(theirs)) => mine == theirs,
            _ => false,
        }
    }
}

fn parse(text: &str, time_zone: Option<TimeZone>) -> Result<Rhythm, String> {
    if text.is_empty() {
        return Err("it is empty; leave the field out to run once, or write for example \"*/5 * * * *\"".to_owned());
    }
    let (zone, body) = match split_zone(text)? {
        Some((name, body)) => (zone::of_prefix(name)?, body.trim()),
        // A leading blank makes "@daily" a field, unless there is a time zone. AdvancedCronJob behaves the same,
        // because it puts the zone in front of the text.
        None if time_zone.is_some() => (time_zone.unwrap_or(TimeZone::UTC), text.trim()),
        None => (TimeZone::UTC, text),
    };
    if body.starts_with('@') { descriptor(body, zone) } else { fields(body, zone) }
}

/// Splits the text into the zone in front of it, if there is one, and the rest.
fn split_zone(text: &str) -> Result<Option<(&str, &str)>, String> {
    let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) else { return Ok(None) };
    match rest.split_once(' ') {
        Some(parts) => Ok(Some(parts)),
        None => Err("after the time zone must come a blank and the schedule itself".to_owned()),
    }
}

fn descriptor(body: &str, zone: TimeZone) -> Result<Rhythm, String> {
    if let Some(period) = body.strip_prefix("@every ") {
        return every::parse(period).map(Rhythm::Every);
    }
    if let Some((_, short_for)) = DESCRIPTORS.iter().find(|(name, _)| *name == body) {
        return fields(short_for, zone);
    }
    let names: Vec<&str> = DESCRIPTORS.iter().map(|(name, _)| *name).collect();
    Err(format!("there is no {}; there are {} and \"@every DURATION\"", text::shown(body), names.join(", ")))
}

fn fields(body: &str, zone: TimeZone) -> Result<Rhythm, String> {
    let fields: Vec<&str> = body.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else {
        let hint = if fields.len() == 6 { "; there is no field for seconds or years" } else { "" };
        return Err(format!(
            "it has {} fields and needs five: minute, hour, day of month, month, day of week{hint}",
            fields.len()
        ));
    };
    let calendar = Calendar::parse(minute, hour, day, month, weekday)?;
    Ok(Rhythm::Calendar(calendar, zone))
}

/// Returns the last whole second that is not after the instant.
fn whole_second(instant: Timestamp) -> Option<Timestamp> {
    let seconds = instant.as_nanosecond().div_euclid(1_000_000_000);
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

#[cfg(test)]
mod tests;
