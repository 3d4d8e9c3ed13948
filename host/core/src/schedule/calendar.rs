//! The five fields of a schedule: the wall-clock minutes that match them, and the next time at which clocks show one.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::field::{Bounds, CronField};

const MINUTE: Bounds = Bounds { name: "minute", min: 0, max: 59, names: &[], hint: "" };
const HOUR: Bounds = Bounds { name: "hour", min: 0, max: 23, names: &[], hint: "" };
const DAY: Bounds = Bounds { name: "day of month", min: 1, max: 31, names: &[], hint: "" };
const MONTH: Bounds = Bounds {
    name: "month",
    min: 1,
    max: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    hint: "",
};
const WEEKDAY: Bounds = Bounds {
    name: "day of week",
    min: 0,
    max: 6,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    hint: " (Sunday is 0)",
};

/// The bounds of the five fields, in their order.
pub(super) const FIELDS: [Bounds; 5] = [MINUTE, HOUR, DAY, MONTH, WEEKDAY];

/// The number of calendar years after the current one that are searched.
const YEARS: i16 = 5;

/// A set of wall-clock minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Calendar {
    minute: CronField,
    hour: CronField,
    day: CronField,
    month: CronField,
    weekday: CronField,
}

impl Calendar {
    pub(super) fn parse(minute: &str, hour: &str, day: &str, month: &str, weekday: &str) -> Result<Self, String> {
        Ok(Self {
            minute: CronField::parse(minute, &MINUTE)?,
            hour: CronField::parse(hour, &HOUR)?,
            day: CronField::parse(day, &DAY)?,
            month: CronField::parse(month, &MONTH)?,
            weekday: CronField::parse(weekday, &WEEKDAY)?,
        })
    }

    /// Returns whether no date or no time of day ever matches.
    pub(super) fn is_impossible(&self) -> bool {
        // Any 28 years in a row without a missing leap day have every date on every day of the week.
        let years = 2000..2028;
        let days = || years.clone().filter_map(|year| Date::new(year, 1, 1).ok()).flat_map(days_of_year);
        self.minute.is_empty() || self.hour.is_empty() || !days().any(|date| self.has_day(date))
    }

    /// Returns the first instant after this one at which clocks in the zone show a matching minute. The given instant
    /// is a whole second.
    ///
    /// The search goes from one change of the clocks to the next: in between, wall-clock time passes at the usual rate.
    pub(super) fn next(&self, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
        let mut from = after.checked_add(SignedDuration::from_secs(1)).ok()?;
        let horizon = horizon(zone.to_datetime(from));
        loop {
            let offset = zone.to_offset(from);
            let start = offset.to_datetime(from);
            if start >= horizon {
                return None;
            }
            let change = zone.following(from).next().map(|change| change.timestamp());
            let end = change.map_or(horizon, |change| horizon.min(offset.to_datetime(change)));
            match self.find(start, end) {
                Some(found) => return offset.to_timestamp(found).ok(),
                None => from = change?,
            }
        }
    }

    /// Finds the first matching minute that is not before `start`, and is before `end`.
    fn find(&self, start: DateTime, end: DateTime) -> Option<DateTime> {
        let mut date = start.date();
        let mut time = self.time_from(start);
        while date <= end.date() {
            if self.has_day(date)
                && let Some((hour, minute)) = time
            {
                let found = date.at(hour, minute, 0, 0);
                return (found < end).then_some(found);
            }
            date = self.next_date(date)?;
            time = self.first_time();
        }
        None
    }

    /// Returns the next day, or the first day of the next month if this month does not match.
    fn next_date(&self, date: Date) -> Option<Date> {
        let last = if self.month.contains(date.month()) { date } else { date.last_of_month() };
        last.tomorrow().ok()
    }

    fn has_day(&self, date: Date) -> bool {
        let day = self.day.contains(date.day());
        let weekday = self.weekday.contains(date.weekday().to_sunday_zero_offset());
        let matches = if self.day.is_any() || self.weekday.is_any() { day && weekday } else { day || weekday };
        matches && self.month.contains(date.month())
    }

    /// Returns the first matching hour and minute of the day that are not before this time.
    fn time_from(&self, start: DateTime) -> Option<(i8, i8)> {
        let begun = start.second() > 0 || start.subsec_nanosecond() > 0;
        if self.hour.contains(start.hour())
            && let Some(minute) = self.minute.from(start.minute() + i8::from(begun))
        {
            return Some((start.hour(), minute));
        }
        Some((self.hour.from(start.hour() + 1)?, self.minute.from(0)?))
    }

    fn first_time(&self) -> Option<(i8, i8)> {
        Some((self.hour.from(0)?, self.minute.from(0)?))
    }
}

/// Returns the end of the search: the end of the fifth calendar year after this one.
fn horizon(start: DateTime) -> DateTime {
    let end = start.year().checked_add(YEARS + 1).and_then(|year| Date::new(year, 1, 1).ok());
    end.map_or(DateTime::MAX, |date| date.at(0, 0, 0, 0))
}

fn days_of_year(first: Date) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(first), |date| date.tomorrow().ok()).take_while(move |date| date.year() == first.year())
}
