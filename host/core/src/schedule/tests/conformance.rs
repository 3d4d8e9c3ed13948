//! The decisions of AdvancedCronJob, case by case as in `conformance.txt`, the trimming of its history, and the
//! next times of its zones. Where Holystone decides otherwise on purpose, the case says which difference it is.

use jiff::{SignedDuration, Timestamp};

use super::super::{ConcurrencyPolicy, Decision, HistoryLimits, Past, Progress, RunState, Schedule, Timetable, zone};
use super::{at, in_zone, schedule};
use RunState::{Active, Failed, Successful};

const TABLE: &str = include_str!("conformance.txt");

/// Where Holystone decides otherwise: the case, the decision, the next one, and the difference by its number in the
/// documentation of the module `schedule`.
const DIFFERENT: [(&str, &str, &str, u8); 10] = [
    ("11", "Run 03-01 01:41:00", "03-01 01:42:00", 2),
    ("13", "Run 03-01 01:41:00", "03-01 01:42:00", 2),
    ("15", "Run 03-01 02:00:00", "03-01 02:01:00", 2),
    ("27", "Error", "-", 4),
    ("37", "Wait", "03-01 01:00:30", 3),
    ("39", "Run 03-01 02:00:30", "03-01 03:00:30", 3),
    ("40", "Wait", "03-01 02:59:31", 3),
    ("41", "Run 03-01 02:00:30", "03-01 03:00:30", 3),
    ("42", "Run 03-01 00:02:00", "03-01 00:02:30", 3),
    ("57", "Run 06-15 21:46:00", "06-16 21:46:00", 2),
];

/// The same for the one case that is too long for the line above.
const EDITED: (&str, &str, &str, u8) = ("59", "Run 03-02 12:01:00", "03-02 12:02:00", 2);

struct Case {
    number: &'static str,
    timetable: Option<Timetable>,
    progress: Progress,
    active: usize,
    now: Timestamp,
    decision: &'static str,
    next: &'static str,
}

fn cases() -> Vec<Case> {
    TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(case).collect()
}

fn case(line: &'static str) -> Case {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [number, text, time_zone, created, last, deadline, policy, now, decision, next] = cells[..] else {
        panic!("{line}: a case has ten cells");
    };
    let given = |cell: &'static str| (cell != "-").then_some(cell);
    let (policy, active) = match given(policy) {
        Some("paused") | None => ("Allow", "0"),
        Some(policy) => policy.split_once(", ").unwrap(),
    };
    let parsed = match given(time_zone).map(zone) {
        Some(Err(_)) => None,
        Some(Ok(zone)) => Schedule::parse(text.trim_matches('"'), Some(zone)).ok(),
        None => Schedule::parse(text.trim_matches('"'), None).ok(),
    };
    let timetable = parsed.map(|schedule| Timetable {
        schedule,
        starting_deadline: given(deadline).map(|seconds| SignedDuration::from_secs(seconds.parse().unwrap())),
        concurrency: serde_json::from_value(policy.into()).unwrap(),
        paused: line.contains("| paused "),
    });
    let progress = Progress { since: at(given(created).unwrap_or("03-01 00:00:30")), last: given(last).map(at) };
    Case { number, timetable, progress, active: active.parse().unwrap(), now: at(now), decision, next }
}

impl Case {
    fn find(number: &str) -> Self {
        cases().into_iter().find(|case| case.number == number).unwrap()
    }

    fn decide(&self) -> Decision {
        self.timetable
            .as_ref()
            .map_or(Decision::Never, |timetable| timetable.decide(&self.progress, self.active, self.now))
    }

    fn expected(&self) -> (&'static str, &'static str) {
        let different = DIFFERENT.iter().chain([&EDITED]).find(|(number, ..)| *number == self.number);
        different.map_or((self.decision, self.next), |(_, decision, next, _)| (decision, next))
    }
}

/// A decision in the table's words.
fn told(decision: Decision) -> (String, Option<Timestamp>) {
    match decision {
        Decision::Run { tick, next, .. } => (format!("Run {}", tick.strftime("%m-%d %H:%M:%S")), next),
        Decision::Wait { next } => ("Wait".to_owned(), Some(next)),
        Decision::Blocked { next, .. } => ("SkipForbid".to_owned(), next),
        Decision::Paused => ("Paused".to_owned(), None),
        Decision::Never => ("Error".to_owned(), None),
    }
}

#[test]
fn every_case_comes_to_the_decision_of_the_table_or_to_an_intended_difference() {
    for case in cases() {
        let (decision, next) = case.expected();
        let next = (next != "-").then(|| at(next));
        assert_eq!(told(case.decide()), (decision.to_owned(), next), "case {}", case.number);
    }
}

#[test]
fn the_table_is_whole() {
    let numbers: Vec<&str> = cases().iter().map(|case| case.number).collect();
    let expected: Vec<String> = (1..=62)
        .flat_map(|number| match number {
            60 => ('a'..='l').map(|letter| format!("60{letter}")).collect(),
            _ => vec![number.to_string()],
        })
        .collect();
    assert_eq!(numbers, expected);
}

#[test]
fn a_difference_is_one() {
    for (number, decision, next, _) in DIFFERENT.into_iter().chain([EDITED]) {
        let case = Case::find(number);
        assert_ne!((case.decision, case.next), (decision, next), "case {number}");
    }
}

#[test]
fn cases_16_to_22_only_replace_stops_what_is_active() {
    for (number, expected) in [("17", false), ("18", false), ("20", true), ("21", false), ("22", false)] {
        let Decision::Run { replace, .. } = Case::find(number).decide() else { panic!("case {number} does not run") };
        assert_eq!(replace, expected, "case {number}");
    }
    let blocked = Decision::Blocked { tick: at("03-01 00:05:00"), next: Some(at("03-01 00:10:00")) };
    assert_eq!(Case::find("16").decide(), blocked);
}

#[test]
fn cases_2_and_4_name_their_ticks_in_unix_time() {
    for (number, suffix) in [("2", 1_772_323_500), ("4", 1_772_324_100)] {
        let Decision::Run { tick, .. } = Case::find(number).decide() else { panic!("case {number} does not run") };
        assert_eq!(tick.as_second(), suffix);
    }
}

#[test]
fn difference_1_a_tick_that_has_run_is_remembered_and_never_runs_again() {
    let case = Case::find("54");
    let Decision::Run { tick, .. } = case.decide() else { panic!("the tick is due") };
    let timetable = case.timetable.unwrap();
    let progress = case.progress.started(tick);
    for now in ["03-01 21:47:10", "03-01 21:47:11", "03-02 21:45:59"] {
        assert_eq!(timetable.decide(&progress, 0, at(now)), Decision::Wait { next: at("03-02 21:46:00") });
    }
}

#[test]
fn difference_2_the_latest_of_more_than_a_hundred_missed_ticks_runs_once() {
    for number in ["11", "13", "15", "57", "59"] {
        let case = Case::find(number);
        let timetable = case.timetable.as_ref().unwrap();
        let deadline = timetable.starting_deadline.map_or(Timestamp::MIN, |deadline| case.now - deadline);
        let start = case.progress.last.unwrap_or(case.progress.since).max(deadline);
        let missed = std::iter::successors(timetable.schedule.next(start), |tick| timetable.schedule.next(*tick));
        let missed: Vec<Timestamp> = missed.take_while(|tick| *tick <= case.now).collect();
        assert!(missed.len() > 100, "case {number}");

        let Decision::Run { tick, .. } = case.decide() else { panic!("case {number} does not run") };
        assert_eq!(Some(&tick), missed.last(), "case {number}");
        let after = timetable.decide(&case.progress.started(tick), 0, case.now);
        assert!(matches!(after, Decision::Wait { .. }), "case {number}: {after:?}");
    }
}

#[test]
fn difference_2_years_of_missed_seconds_are_no_trouble() {
    for text in ["* * * * *", "@every 1s"] {
        let timetable = Timetable {
            schedule: schedule(text),
            starting_deadline: None,
            concurrency: ConcurrencyPolicy::Allow,
            paused: false,
        };
        let now = at("2226-01-01 00:00:00");
        let Decision::Run { tick, .. } = timetable.decide(&Progress::new(at("1970-01-01 00:00:00")), 0, now) else {
            panic!("{text} does not run")
        };
        assert_eq!(tick, now);
    }
}

#[test]
fn difference_3_every_keeps_its_pace_however_late_it_is_asked() {
    let timetable = Timetable {
        schedule: schedule("@every 1h"),
        starting_deadline: None,
        concurrency: ConcurrencyPolicy::Allow,
        paused: false,
    };
    let mut progress = Progress::new(at("03-01 00:00:30"));
    for (now, tick) in [
        ("03-01 01:59:00", "03-01 01:00:30"),
        ("03-01 02:00:30", "03-01 02:00:30"),
        ("03-01 05:30:00", "03-01 05:00:30"),
    ] {
        let Decision::Run { tick: due, next, .. } = timetable.decide(&progress, 0, at(now)) else { panic!("{now}") };
        assert_eq!((due, next), (at(tick), Some(at(tick) + SignedDuration::from_hours(1))));
        progress = progress.started(due);
    }
}

#[test]
fn case_27_an_unknown_zone_is_told_where_it_is_written() {
    let error = zone("Mars/Base").unwrap_err().to_string();
    assert!(error.contains("\"Mars/Base\" is not a time zone"), "{error}");
}

/// Runs with these start times, in minutes before noon; none for a run that has none. Named by state and start.
fn runs(state: RunState, started: &[Option<i64>]) -> Vec<Past<String>> {
    let start = |minutes: i64| at("03-01 12:00:00").checked_sub(SignedDuration::from_mins(minutes)).unwrap();
    let name = |minutes: &Option<i64>| match minutes {
        Some(minutes) => format!("{state:?} {minutes}"),
        None => format!("{state:?}"),
    };
    started.iter().map(|minutes| Past { name: name(minutes), state, started: minutes.map(start) }).collect()
}

fn excess(successful: Option<u32>, failed: Option<u32>, runs: Vec<Past<String>>) -> Vec<String> {
    HistoryLimits { successful, failed }.excess(runs)
}

#[test]
fn history_a_the_oldest_success_over_the_limit_goes() {
    assert_eq!(excess(Some(3), Some(1), runs(Successful, &[Some(2), Some(4), Some(1), Some(3)])), ["Successful 4"]);
}

#[test]
fn history_b_a_limit_of_nothing_keeps_nothing() {
    assert_eq!(excess(Some(0), Some(9), runs(Successful, &[Some(1), Some(2)])), ["Successful 2", "Successful 1"]);
    assert_eq!(excess(Some(9), Some(0), runs(Failed, &[Some(1), Some(2)])), ["Failed 2", "Failed 1"]);
}

#[test]
fn history_c_without_a_limit_everything_stays() {
    let all = [runs(Successful, &[Some(1); 500]), runs(Failed, &[Some(1); 500])].concat();
    assert_eq!(excess(None, None, all), Vec::<String>::new());
}

#[test]
fn history_d_the_oldest_failure_over_the_limit_goes() {
    assert_eq!(excess(Some(3), Some(1), runs(Failed, &[Some(2), Some(1)])), ["Failed 2"]);
}

#[test]
fn history_e_a_run_without_a_start_counts_as_the_oldest() {
    assert_eq!(excess(Some(2), Some(2), runs(Successful, &[Some(5), None, Some(1)])), ["Successful"]);
    assert_eq!(excess(Some(2), Some(2), runs(Failed, &[Some(5), Some(1), None])), ["Failed"]);
}

#[test]
fn history_f_active_runs_never_go() {
    assert_eq!(excess(Some(0), Some(0), runs(Active, &[Some(3), None, Some(1)])), Vec::<String>::new());
    let mixed = [runs(Active, &[Some(9)]), runs(Failed, &[Some(5)]), runs(Successful, &[Some(7)])].concat();
    assert_eq!(excess(Some(0), Some(0), mixed), ["Successful 7", "Failed 5"]);
}

#[test]
fn history_g_a_tick_with_replace_leaves_two_successes_one_failure_and_the_new_run() {
    let now = at("03-01 12:00:00");
    let children = [
        runs(Successful, &[Some(25), Some(10), Some(5)]),
        runs(Failed, &[Some(20), Some(15)]),
        runs(Active, &[Some(0)]),
    ]
    .concat();
    let deleted = excess(Some(2), Some(1), children.clone());
    assert_eq!(deleted, ["Successful 25", "Failed 20"]);

    let timetable = Timetable {
        schedule: schedule("* * * * *"),
        starting_deadline: None,
        concurrency: ConcurrencyPolicy::Replace,
        paused: false,
    };
    let progress = Progress { since: at("03-01 11:00:00"), last: Some(at("03-01 11:59:00")) };
    let Decision::Run { tick, replace, .. } = timetable.decide(&progress, 1, now) else { panic!("the tick is due") };
    assert_eq!((tick, replace), (now, true));
    let (stopped, new) = (1, 1);
    assert_eq!(children.len() - deleted.len() - stopped + new, 4);
}

#[test]
fn zones_z1_to_z4() {
    let ten = "0 10 * * ?";
    for (case, schedule, after, next) in [
        ("z1", schedule(ten), "2022-09-05 09:01:00", "2022-09-05 10:00:00"),
        ("z2", schedule(ten), "2022-09-05 11:01:00", "2022-09-06 10:00:00"),
        ("z3", in_zone(ten, "Asia/Shanghai"), "2022-09-05 09:01:00", "2022-09-06 02:00:00"),
        ("z4", schedule("TZ=Asia/Shanghai 0 10 * * ?"), "2022-09-05 09:01:00", "2022-09-06 02:00:00"),
    ] {
        assert_eq!(schedule.next(at(after)), Some(at(next)), "{case}");
    }
}
