//! The ticks of two other crates, `cron` and `croner`, over random expressions, zones and years, are the same, but for
//! what [`what_they_do_otherwise`] lists.

use std::str::FromStr as _;

use chrono::{DateTime, FixedOffset};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, TestCaseError};
use proptest::{prop_assert_eq, prop_assume, prop_oneof, proptest, sample};

use super::super::Schedule;
use super::at;

/// The most ticks that are compared at once.
const TICKS: usize = 60;

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo"];

const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A field in the words that all have in common: numbers, ranges and lists, with steps behind ranges.
fn restricted(first: u8, last: u8) -> impl Strategy<Value = String> {
    let range = move || (first..=last, first..=last).prop_map(|(one, other)| (one.min(other), one.max(other)));
    prop_oneof![
        (first..=last).prop_map(|number| number.to_string()),
        vec(first..=last, 1..4).prop_map(|numbers| numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(",")),
        range().prop_map(|(from, to)| format!("{from}-{to}")),
        (range(), 1..=last).prop_map(|((from, to), step)| format!("{from}-{to}/{step}")),
    ]
}

fn field(first: u8, last: u8) -> impl Strategy<Value = String> {
    prop_oneof![Just("*".to_owned()), (1..=last).prop_map(|step| format!("*/{step}")), restricted(first, last),]
}

/// Days of the week by name: the numbers of `cron` begin with 1.
fn weekdays() -> impl Strategy<Value = String> {
    prop_oneof![
        sample::subsequence(DAYS.to_vec(), 1..=7).prop_map(|days| days.join(",")),
        (0..6_usize, 1..7_usize).prop_map(|(from, more)| format!("{}-{}", DAYS[from], DAYS[(from + more).min(6)])),
    ]
}

/// A day of the month and a day of the week, of which one is restricted at most.
fn days() -> impl Strategy<Value = String> {
    let month = || field(1, 12);
    prop_oneof![
        (field(1, 31), month()).prop_map(|(day, month)| format!("{day} {month} *")),
        (month(), weekdays()).prop_map(|(month, day)| format!("* {month} {day}")),
    ]
}

/// The same with both.
fn both_days() -> impl Strategy<Value = String> {
    (restricted(1, 31), field(1, 12), weekdays()).prop_map(|(day, month, weekday)| format!("{day} {month} {weekday}"))
}

fn expressions(days: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), days).prop_map(|(minute, hour, days)| format!("{minute} {hour} {days}"))
}

/// An instant between 2015 and 2030.
fn instants() -> impl Strategy<Value = Timestamp> {
    (1_420_070_400_i64..1_893_456_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

/// Returns whether the clocks of a zone change on the day of an instant.
fn is_transition(tick: Timestamp, zone: &TimeZone) -> bool {
    let day = tick.to_zoned(zone.clone()).start_of_day().unwrap();
    let next = day.tomorrow().unwrap().start_of_day().unwrap();
    day.offset() != next.offset() || next.timestamp().duration_since(day.timestamp()).as_hours() != 24
}

/// The ticks after an instant.
fn ours(expression: &str, zone: &TimeZone, after: Timestamp) -> Vec<Timestamp> {
    let schedule = Schedule::parse(expression, Some(zone.clone())).unwrap();
    std::iter::successors(schedule.next(after), |tick| schedule.next(*tick)).take(TICKS).collect()
}

/// The ticks of `cron` until the clocks of the zone change: zones of its own it has none.
fn of_cron(expression: &str, zone: &TimeZone, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let schedule = cron::Schedule::from_str(&format!("0 {expression}")).unwrap();
    let offset = FixedOffset::east_opt(zone.to_offset(after).seconds()).unwrap();
    let after = DateTime::from_timestamp(after.as_second(), 0).unwrap().with_timezone(&offset);
    let ticks = schedule.after(&after).map(|tick| Timestamp::from_second(tick.timestamp()).unwrap());
    ticks.take_while(|tick| *tick <= until).take(10 * TICKS).collect()
}

/// When the clocks of a zone change next, or a given time if that is earlier.
fn transition(zone: &TimeZone, after: Timestamp, until: Timestamp) -> Timestamp {
    zone.following(after).next().map_or(until, |next| next.timestamp().min(until))
}

fn of_croner(expression: &str, zone: &TimeZone, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let schedule = croner::Cron::from_str(expression).unwrap();
    let ticks = schedule.iter_after(after.to_zoned(zone.clone())).map(|tick: Zoned| tick.timestamp());
    ticks.take_while(|tick| *tick <= until).take(10 * TICKS).collect()
}

/// Leaves out the days on which clocks change.
fn usual(mut ticks: Vec<Timestamp>, zone: &TimeZone) -> Vec<Timestamp> {
    ticks.retain(|tick| !is_transition(*tick, zone));
    ticks
}

/// Compares all ticks with those of `croner`, but for days on which clocks change.
fn agrees_with_croner(expression: &str, zone: &TimeZone, after: Timestamp) -> Result<(), TestCaseError> {
    let ours = ours(expression, zone, after);
    prop_assume!(!ours.is_empty());
    let until = ours[ours.len() - 1];
    prop_assert_eq!(usual(of_croner(expression, zone, after, until), zone), usual(ours, zone), "croner");
    Ok(())
}

proptest! {
    #[test]
    fn ticks_are_those_of_two_other_crates(
        expression in expressions(days()), zone in sample::select(ZONES.to_vec()), after in instants()
    ) {
        let time_zone = super::zone(zone).unwrap();
        let ours = ours(&expression, &time_zone, after);
        prop_assume!(!ours.is_empty());
        let until = ours[ours.len() - 1];
        let change = transition(&time_zone, after, until);
        let before: Vec<Timestamp> = ours.iter().copied().filter(|tick| *tick < change).collect();
        let mut cron = of_cron(&expression, &time_zone, after, change);
        cron.retain(|tick| *tick < change);
        prop_assert_eq!(cron, before, "cron");
        agrees_with_croner(&expression, &time_zone, after)?;
    }

    #[test]
    fn one_of_two_days_is_enough_for_croner_as_well(
        expression in expressions(both_days()), zone in sample::select(ZONES.to_vec()), after in instants()
    ) {
        agrees_with_croner(&expression, &super::zone(zone).unwrap(), after)?;
    }
}

/// The differences, each with what OpenKruise does, which is what counts.
#[test]
fn what_they_do_otherwise() {
    let count = |ticks: Vec<Timestamp>| ticks.len();
    let (utc, after) = (TimeZone::UTC, at("03-01 00:00:00"));
    let month = after + (30 * 24).hours();
    let within = |ticks: Vec<Timestamp>| ticks.into_iter().filter(|tick| *tick <= month).count();

    // cron wants both days where two are restricted; for robfig/cron, and so for OpenKruise, one is enough.
    let two_days = "0 12 13 * FRI";
    assert_eq!((within(ours(two_days, &utc, after)), count(of_cron(two_days, &utc, after, month))), (4, 1));
    // cron calls Sunday 1.
    let sunday = "0 12 * * 0-1";
    assert_eq!(within(ours(sunday, &utc, after)), 10);
    assert!(cron::Schedule::from_str(&format!("0 {sunday}")).is_err());

    // When clocks go forward, croner makes up for a time of the day that was skipped; there is no tick on that day.
    let berlin = super::zone("Europe/Berlin").unwrap();
    let (spring, skipped) = (at("03-28 22:00:00"), "30 2 29 3 *");
    let day = spring + 24.hours();
    assert_eq!(ours(skipped, &berlin, spring).into_iter().filter(|tick| *tick <= day).count(), 0);
    assert_eq!(of_croner(skipped, &berlin, spring, day), [at("03-29 01:00:00")]);
    // When they go back, a time of the day comes twice, and so do ticks; croner takes the first alone.
    let (autumn, twice) = (at("10-24 22:00:00"), "30 2 25 10 *");
    let day = autumn + 24.hours();
    let both = [at("10-25 00:30:00"), at("10-25 01:30:00")];
    assert_eq!(ours(twice, &berlin, autumn)[..2], both);
    assert_eq!(of_croner(twice, &berlin, autumn, day), both[..1]);

    // croner takes a range from Sunday to Sunday for a whole week.
    let week = after + (7 * 24).hours();
    assert_eq!(ours("0 12 * * SUN-SUN", &utc, after).into_iter().filter(|tick| *tick <= week).count(), 1);
    assert_eq!(count(of_croner("0 12 * * SUN-SUN", &utc, after, week)), 7);
}
