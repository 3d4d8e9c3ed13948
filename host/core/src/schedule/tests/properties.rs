//! Random schedules in random zones against an oracle that looks at every minute: it asks the clock of the zone what
//! it shows, and knows nothing of how a schedule is parsed or searched.

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::{Just, ProptestConfig, Strategy, any};
use proptest::{collection, prop_assert, prop_assert_eq, prop_oneof, proptest, sample};

use super::super::{ConcurrencyPolicy, Decision, Progress, Schedule, Timetable};

/// Zones with something odd: half an hour of summer time, two hours, midnight or a whole day skipped, days that begin
/// twice, quarters of an hour, seconds, clocks that change four times a year.
const ZONES: [&str; 20] = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "America/Asuncion",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Africa/Monrovia",
    "Antarctica/Troll",
    "Asia/Tehran",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Shanghai",
    "Europe/Dublin",
];

fn zone_name() -> impl Strategy<Value = String> {
    let all: Vec<String> = TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect();
    prop_oneof![3 => sample::select(ZONES.to_vec()).prop_map(str::to_owned), 1 => sample::select(all)]
}

/// Instants from 1970 to 2105, half of them close to a change of the clocks.
fn instant(zone: TimeZone) -> impl Strategy<Value = Timestamp> {
    let second = 0..4_260_000_000_i64;
    (second, any::<bool>(), -200_000..200_000_i64).prop_map(move |(second, close, distance)| {
        let second = Timestamp::from_second(second).unwrap();
        match zone.following(second).next() {
            Some(change) if close => change.timestamp().checked_add(SignedDuration::from_secs(distance)).unwrap(),
            _ => second,
        }
    })
}

/// A field as it is written, and its numbers as one counts them by hand.
#[derive(Clone, Debug)]
struct CronField {
    text: String,
    numbers: Vec<i8>,
    any: bool,
}

fn item(min: i8, max: i8) -> impl Strategy<Value = CronField> {
    let number = min..=max;
    let range = (min..=max, min..=max).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let every = move |step: usize| (min..=max).step_by(step).collect::<Vec<i8>>();
    prop_oneof![
        3 => sample::select(vec!["*", "?"]).prop_map(move |text| CronField { text: text.to_owned(), numbers: every(1), any: true }),
        2 => (1..=9_usize).prop_map(move |step| CronField { text: format!("*/{step}"), numbers: every(step), any: step == 1 }),
        4 => number.clone().prop_map(|n| CronField { text: n.to_string(), numbers: vec![n], any: false }),
        2 => range.clone().prop_map(|(a, b)| CronField { text: format!("{a}-{b}"), numbers: (a..=b).collect(), any: false }),
        1 => (range, 1..=70_usize).prop_map(|((a, b), step)| CronField {
            text: format!("{a}-{b}/{step}"),
            numbers: (a..=b).step_by(step).collect(),
            any: false,
        }),
        1 => (number, 1..=70_usize).prop_map(move |(n, step)| CronField {
            text: format!("{n}/{step}"),
            numbers: (n..=max).step_by(step).collect(),
            any: false,
        }),
    ]
}

fn field(min: i8, max: i8) -> impl Strategy<Value = CronField> {
    collection::vec(item(min, max), 1..3).prop_map(|items| CronField {
        text: items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>().join(","),
        numbers: items.iter().flat_map(|item| item.numbers.clone()).collect(),
        any: items.iter().any(|item| item.any),
    })
}

/// Hours close to where clocks change come up often.
fn hour() -> impl Strategy<Value = CronField> {
    let night = (0..=3_i8).prop_map(|n| CronField { text: n.to_string(), numbers: vec![n], any: false });
    prop_oneof![field(0, 23), night]
}

#[derive(Clone, Debug)]
struct Fields {
    minute: CronField,
    hour: CronField,
    day: CronField,
    month: CronField,
    weekday: CronField,
}

fn fields() -> impl Strategy<Value = Fields> {
    let month =
        prop_oneof![Just(CronField { text: "*".to_owned(), numbers: (1..=12).collect(), any: true }), field(1, 12),];
    (field(0, 59), hour(), field(1, 31), month, field(0, 6)).prop_map(|(minute, hour, day, month, weekday)| Fields {
        minute,
        hour,
        day,
        month,
        weekday,
    })
}

impl Fields {
    fn text(&self) -> String {
        [&self.minute, &self.hour, &self.day, &self.month, &self.weekday].map(|field| field.text.as_str()).join(" ")
    }

    fn has_date(&self, date: Date) -> bool {
        let day = self.day.numbers.contains(&date.day());
        let weekday = self.weekday.numbers.contains(&date.weekday().to_sunday_zero_offset());
        let either = !self.day.any && !self.weekday.any;
        self.month.numbers.contains(&date.month()) && if either { day || weekday } else { day && weekday }
    }

    /// Whether clocks in the zone show one of our minutes at this instant.
    fn matches(&self, zone: &TimeZone, instant: Timestamp) -> bool {
        let shown = zone.to_datetime(instant);
        shown.second() == 0
            && self.minute.numbers.contains(&shown.minute())
            && self.hour.numbers.contains(&shown.hour())
            && self.has_date(shown.date())
    }

    /// The first match after an instant, at most this many days later. Offsets of zones with seconds are whole
    /// multiples of half a minute since 1970.
    fn next(&self, zone: &TimeZone, after: Timestamp, days: i64) -> Option<Timestamp> {
        let start = after.as_second().div_euclid(86_400);
        (start..start + days).find_map(|day| {
            let noon = Timestamp::from_second(day * 86_400 + 43_200).unwrap();
            let around = [-30, -20, -10, 0, 10, 20, 30].map(|hours| noon + SignedDuration::from_hours(hours));
            if !around.iter().any(|instant| self.has_date(zone.to_datetime(*instant).date())) {
                return None;
            }
            (0..2_880)
                .map(|half| Timestamp::from_second(day * 86_400 + half * 30).unwrap())
                .find(|instant| *instant > after && self.matches(zone, *instant))
        })
    }
}

/// A zone, a schedule and an instant.
fn situation() -> impl Strategy<Value = (TimeZone, Fields, Timestamp)> {
    zone_name().prop_flat_map(|name| {
        let zone = TimeZoneDatabase::bundled().get(&name).unwrap();
        (Just(zone.clone()), fields(), instant(zone))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_next_tick_is_the_next_minute_that_the_clock_of_the_zone_shows((zone, fields, after) in situation()) {
        let schedule = Schedule::parse(&fields.text(), Some(zone.clone())).unwrap();
        let mut after = after;
        // Several in a row, to go across a change of the clocks.
        for _ in 0..4 {
            let days = 500;
            let expected = fields.next(&zone, after, days);
            let found = schedule.next(after);
            if expected.is_some() {
                prop_assert_eq!(found, expected, "{} after {}", schedule, after);
            } else {
                let late = after + SignedDuration::from_hours(24 * (days - 1));
                prop_assert!(found.is_none_or(|found| found > late), "{schedule} after {after}: {found:?}");
                prop_assert!(found.is_none_or(|found| fields.matches(&zone, found)), "{schedule}: {found:?}");
                prop_assert!(!schedule.is_impossible() || found.is_none());
            }
            let Some(found) = found else { break };
            after = found;
        }
    }

    #[test]
    fn the_latest_tick_is_the_last_of_the_walk((zone, fields, after) in situation(), hours in 0..2_000_i64, seconds in 0..3_600_i64) {
        let schedule = Schedule::parse(&fields.text(), Some(zone)).unwrap();
        let until = after + SignedDuration::from_secs(hours * 3_600 + seconds);
        let walk = std::iter::successors(schedule.next(after), |tick| schedule.next(*tick));
        prop_assert_eq!(schedule.latest(after, until), walk.take_while(|tick| *tick <= until).last());
    }

    #[test]
    fn every_period_of_a_steady_clock_is_the_same(period in 1..100_000_i64, start in 0..4_000_000_000_i64, late in 0..1_000_000_i64) {
        let schedule = Schedule::parse(&format!("@every {period}s"), None).unwrap();
        let start = Timestamp::from_second(start).unwrap();
        let until = start + SignedDuration::from_secs(late);
        let walk = std::iter::successors(schedule.next(start), |tick| schedule.next(*tick));
        prop_assert_eq!(schedule.latest(start, until), walk.take_while(|tick| *tick <= until).last());
    }

    #[test]
    fn a_tick_runs_once_and_never_too_late(
        (zone, fields, since) in situation(),
        waited in 0..10_000_000_i64,
        deadline in 1..100_000_i64,
    ) {
        let timetable = Timetable {
            schedule: Schedule::parse(&fields.text(), Some(zone)).unwrap(),
            starting_deadline: Some(SignedDuration::from_secs(deadline)),
            concurrency: ConcurrencyPolicy::Forbid,
            paused: false,
        };
        let now = since + SignedDuration::from_secs(waited);
        let progress = Progress::new(since);
        match timetable.decide(&progress, 0, now) {
            Decision::Run { tick, replace, next } => {
                prop_assert!(tick > since && tick <= now && !replace);
                prop_assert!(now.as_second() - tick.as_second() < deadline);
                prop_assert_eq!(next, timetable.schedule.next(now));
                prop_assert_eq!(timetable.decide(&progress, 1, now), Decision::Blocked { tick, next });
                let after = timetable.decide(&progress.started(tick), 0, now);
                prop_assert!(!matches!(after, Decision::Run { .. }), "{after:?}");
            }
            Decision::Wait { next } => {
                prop_assert!(next > now);
                let start = since.max(now - SignedDuration::from_secs(deadline));
                prop_assert_eq!(timetable.schedule.latest(start, now), None);
            }
            Decision::Never => prop_assert_eq!(timetable.schedule.next(now), None),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,60}") {
        let _ = Schedule::parse(&text, None);
    }

    #[test]
    fn no_text_that_looks_like_a_schedule_makes_it_panic(text in "(TZ=[A-Z/a-z]{0,8} )?[-0-9*?/,+ A-Za-z@.]{0,40}") {
        if let Ok(schedule) = Schedule::parse(&text, None) {
            let _ = (schedule.next(Timestamp::UNIX_EPOCH), schedule.is_impossible());
        }
    }
}
