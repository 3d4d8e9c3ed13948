use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::ProptestConfig;
use proptest::{prop_assert_eq, proptest};

use super::*;
use crate::manifest::{Text, read};
use crate::report::{Brief, Totals};
use crate::schedule::HistoryLimits;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn at(text: &str) -> Timestamp {
    format!("2026-{text}Z").parse().unwrap()
}

/// The duty of a manifest with these lines in its spec.
fn duty(lines: &str) -> Triggers {
    let text = format!(
        "{{apiVersion: holystone.dev/v1alpha1, kind: NodeCleanup, metadata: {{name: a}}, spec: {{plugins: [{{name: p, source: {{builtin: unused-images}}}}], {lines}}}}}"
    );
    let found = read(&[Text { origin: "", text: &text, skips_others: false }]).unwrap();
    Triggers::of(&found[0].manifest, SignedDuration::ZERO).unwrap()
}

/// A machine that is told what happens to it: its clock, its power, how long runs take and whether they take place.
struct Machine {
    duties: Vec<Triggers>,
    /// What is on its disk.
    standings: Vec<ScheduleProgress>,
    now: Timestamp,
    /// Seconds since it was made, whatever its clock says.
    elapsed: i64,
    /// What runs, and until which of these seconds.
    running: Option<(Start, i64)>,
    length: SignedDuration,
    fails: bool,
    full: bool,
    /// When each run was started, by the machine's clock.
    started: Vec<(Timestamp, Start)>,
    /// How many were asked to end.
    replaced: usize,
}

impl Machine {
    fn new(duties: Vec<Triggers>, now: Timestamp) -> Self {
        let standings = duties.iter().map(|_| ScheduleProgress::new(now)).collect();
        Self {
            duties,
            standings,
            now,
            elapsed: 0,
            running: None,
            length: SECOND,
            fails: false,
            full: false,
            started: Vec::new(),
            replaced: 0,
        }
    }

    fn decide(&mut self) {
        for (standing, duty) in self.standings.iter_mut().zip(&self.duties) {
            *standing = standing.mended(duty, self.now);
        }
        let entry = |(place, (duty, standing))| Entry {
            duty,
            standing,
            active: self.running.is_some_and(|(start, _)| start.entry == place),
            full: self.full,
        };
        let entries: Vec<Entry<'_>> = self.duties.iter().zip(&self.standings).enumerate().map(entry).collect();
        let agenda = agenda(&entries, self.now);
        if agenda.replace {
            self.replaced += 1;
            self.end();
            return self.decide();
        }
        if let Some(start) = agenda.start {
            assert!(self.running.is_none(), "one run at a time");
            self.standings[start.entry] = self.standings[start.entry].started(&start, self.now);
            self.started.push((self.now, start));
            self.running = Some((start, self.elapsed + self.length.as_secs()));
        }
    }

    fn end(&mut self) {
        let Some((start, _)) = self.running.take() else { return };
        let retries = self.duties[start.entry].retries;
        self.standings[start.entry] = self.standings[start.entry].ended(&start, !self.fails, retries, self.now);
    }

    /// Lets time go by, second by second.
    fn run_for(&mut self, time: SignedDuration) -> &mut Self {
        for _ in 0..time.as_secs() {
            self.now += SECOND;
            self.elapsed += 1;
            if self.running.is_some_and(|(_, end)| end <= self.elapsed) {
                self.end();
            }
            self.decide();
        }
        self
    }

    /// The clock is set, or the machine sleeps: nothing runs meanwhile.
    fn jump(&mut self, by: SignedDuration) -> &mut Self {
        self.now += by;
        self.decide();
        self
    }

    /// The process is killed, and started again.
    fn restart(&mut self) -> &mut Self {
        self.running = None;
        self.decide();
        self
    }

    fn ticks(&self) -> Vec<String> {
        self.started.iter().map(|(_, start)| start.tick.map_or("-".to_owned(), |tick| tick.to_string())).collect()
    }

    fn causes(&self) -> Vec<Cause> {
        self.started.iter().map(|(_, start)| start.cause).collect()
    }
}

#[test]
fn ticks_start_runs_at_their_time_and_a_little_later_with_a_delay() {
    let mut plain = duty("schedule: '*/5 * * * *'");
    let mut machine = Machine::new(vec![plain.clone()], at("03-01T00:00:30"));
    machine.run_for(SignedDuration::from_mins(11));
    assert_eq!(machine.ticks(), ["2026-03-01T00:05:00Z", "2026-03-01T00:10:00Z"]);
    assert_eq!(machine.started[0].0, at("03-01T00:05:00"));

    plain.delay = SignedDuration::from_secs(42);
    let standing = ScheduleProgress::new(at("03-01T00:00:30"));
    assert_eq!(plain.next(&standing, at("03-01T00:01:00")), Some(at("03-01T00:05:42")));
    let mut machine = Machine::new(vec![plain], at("03-01T00:00:30"));
    machine.run_for(SignedDuration::from_mins(11));
    let times: Vec<Timestamp> = machine.started.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [at("03-01T00:05:42"), at("03-01T00:10:42")]);
    assert_eq!(machine.ticks(), ["2026-03-01T00:05:00Z", "2026-03-01T00:10:00Z"]);
}

#[test]
fn clock_steps_suspend_and_restarts_run_no_tick_twice_and_miss_no_latest_one() {
    let mut machine = Machine::new(vec![duty("schedule: '*/5 * * * *'")], at("03-01T00:00:30"));
    machine.run_for(SignedDuration::from_mins(5));
    machine.jump(SignedDuration::from_mins(-4)).run_for(SignedDuration::from_mins(4));
    assert_eq!(machine.ticks().len(), 1, "the clock was set back before a tick that has run");
    machine.run_for(SignedDuration::from_mins(5));
    assert_eq!(machine.ticks().last().unwrap(), "2026-03-01T00:10:00Z");
    machine.jump(SignedDuration::from_hours(9));
    assert_eq!(machine.ticks().len(), 3, "of all that were missed one is made up for");
    machine.restart().restart();
    assert_eq!(machine.ticks().len(), 3);
    // A clock that was years ahead.
    machine.jump(SignedDuration::from_hours(24 * 3000)).jump(SignedDuration::from_hours(-24 * 3000));
    let before = machine.ticks().len();
    machine.run_for(SignedDuration::from_mins(10));
    assert_eq!(machine.ticks().len(), before + 2, "it does not wait for years");
}

#[test]
fn what_summer_time_skips_and_shows_twice() {
    let nightly = || duty("schedule: '30 2 * * *', timeZone: Europe/Berlin");
    let mut spring = Machine::new(vec![nightly()], at("03-28T22:00:00"));
    spring.run_for(SignedDuration::from_hours(27));
    assert_eq!(spring.ticks(), ["2026-03-30T00:30:00Z"], "there is no 2:30 on the 29th");
    let mut autumn = Machine::new(vec![nightly()], at("10-24T22:00:00"));
    autumn.run_for(SignedDuration::from_hours(5));
    assert_eq!(autumn.ticks(), ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]);
}

#[test]
fn a_run_longer_than_the_period_is_waited_for_or_replaced() {
    for (policy, runs, replaced) in [("Forbid", 4, 0), ("Allow", 4, 0), ("Replace", 11, 10)] {
        let lines = format!("schedule: '*/5 * * * *', concurrencyPolicy: {policy}");
        let mut machine = Machine::new(vec![duty(&lines)], at("03-01T00:00:30"));
        machine.length = SignedDuration::from_mins(17);
        machine.run_for(SignedDuration::from_mins(56));
        assert_eq!((machine.started.len(), machine.replaced), (runs, replaced), "{policy}");
    }
    // Too late by the end of the run before.
    let mut strict =
        Machine::new(vec![duty("schedule: '*/5 * * * *', startingDeadlineSeconds: 60")], at("03-01T00:00:30"));
    strict.length = SignedDuration::from_mins(7);
    strict.run_for(SignedDuration::from_mins(20));
    assert_eq!(strict.ticks(), ["2026-03-01T00:05:00Z", "2026-03-01T00:15:00Z"]);
}

#[test]
fn a_replacing_manifest_does_not_end_the_run_of_another() {
    let duties = vec![duty("schedule: '0 * * * *'"), duty("schedule: '*/5 * * * *', concurrencyPolicy: Replace")];
    let mut machine = Machine::new(duties, at("03-01T00:59:30"));
    machine.length = SignedDuration::from_mins(4);
    machine.run_for(SignedDuration::from_mins(5));
    assert_eq!(machine.replaced, 0);
    let entries: Vec<usize> = machine.started.iter().map(|(_, start)| start.entry).collect();
    assert_eq!(entries, [0, 1], "both were due at one, and take turns");
}

#[test]
fn a_manifest_without_a_schedule_runs_once_for_good() {
    let mut machine = Machine::new(vec![duty("mode: Enforce")], at("03-01T00:00:30"));
    machine.run_for(SignedDuration::from_mins(30)).restart().run_for(SignedDuration::from_mins(30));
    // The machine starts up without a clock, and is told the time later.
    let since_1970 = SignedDuration::from_hours(24 * 365 * 56);
    machine.jump(-since_1970).restart().run_for(SECOND).jump(since_1970).run_for(SECOND);
    assert_eq!(machine.causes(), [Cause::Once]);
}

#[test]
fn a_run_that_cannot_take_place_is_tried_again_later_and_later() {
    let lines = "schedule: '0 0 * * *', rollout: {failurePolicy: {restartLimit: 7}}";
    let mut machine = Machine::new(vec![duty(lines)], at("03-01T23:59:30"));
    machine.fails = true;
    machine.run_for(SignedDuration::from_hours(3));
    let seconds: Vec<i64> = machine
        .started
        .windows(2)
        .map(|pair| pair[0].0.duration_until(pair[1].0).as_secs() - machine.length.as_secs())
        .collect();
    assert_eq!(seconds, [10, 20, 40, 80, 160, 300, 300]);
    let attempts: Vec<u32> = machine.started.iter().map(|(_, start)| start.attempt).collect();
    assert_eq!(attempts, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(machine.causes()[1..].iter().all(|cause| *cause == Cause::Retry));

    let mut mended = Machine::new(vec![duty(lines)], at("03-01T23:59:30"));
    mended.fails = true;
    mended.run_for(SignedDuration::from_mins(1));
    mended.fails = false;
    mended.run_for(SignedDuration::from_hours(3));
    assert!(mended.started.len() < 5, "the first that takes place is the last: {:?}", mended.started);
    let none = Machine::new(vec![duty("schedule: '0 0 * * *'")], at("03-01T23:59:30")).with_failures();
    assert_eq!(none, 1, "without a limit nothing is tried again");
}

impl Machine {
    fn with_failures(mut self) -> usize {
        self.fails = true;
        self.run_for(SignedDuration::from_hours(1));
        self.started.len()
    }
}

#[test]
fn a_tick_takes_the_place_of_a_retry_and_a_wrong_clock_delays_none() {
    let lines = "schedule: '* * * * *', rollout: {failurePolicy: {restartLimit: 9}}";
    let mut machine = Machine::new(vec![duty(lines)], at("03-01T00:00:30"));
    machine.fails = true;
    machine.run_for(SignedDuration::from_mins(2));
    assert_eq!(machine.started.iter().filter(|(_, start)| start.cause == Cause::Schedule).count(), 2);
    assert_eq!(machine.started.last().map(|(_, start)| start.attempt < 3), Some(true), "each tick counts anew");

    let mut back = Machine::new(
        vec![duty("schedule: '0 0 * * *', rollout: {failurePolicy: {restartLimit: 1}}")],
        at("03-01T23:59:59"),
    );
    back.fails = true;
    back.run_for(SignedDuration::from_secs(3));
    back.jump(SignedDuration::from_hours(-5)).run_for(SignedDuration::from_secs(5));
    assert_eq!(back.causes(), [Cause::Schedule, Cause::Retry]);
}

#[test]
fn a_full_disk_starts_runs_between_ticks_with_a_rest() {
    let lines = "schedule: '0 0 * * *', pressure: {above: 85%}";
    let mut machine = Machine::new(vec![duty(lines)], at("03-01T01:00:00"));
    machine.run_for(SignedDuration::from_mins(5));
    assert!(machine.started.is_empty());
    machine.full = true;
    machine.run_for(SignedDuration::from_mins(25));
    assert_eq!(machine.causes(), [Cause::Pressure; 3]);
    machine.restart().run_for(SignedDuration::from_mins(4));
    assert_eq!(machine.started.len(), 3, "a restart is no reason for another");
    machine.jump(SignedDuration::from_hours(-20)).run_for(SECOND);
    assert_eq!(machine.started.len(), 4, "nor does a clock that was set back keep it waiting");
    for lines in ["schedule: '0 0 * * *'", "schedule: '0 0 * * *', pressure: {until: 85%}", "pressure: {above: 85%}"] {
        let mut other = Machine::new(vec![duty(lines)], at("03-01T01:00:00"));
        other.full = true;
        other.run_for(SignedDuration::from_mins(25));
        assert!(!other.causes().contains(&Cause::Pressure), "{lines}");
    }
}

#[test]
fn pressure_rests_for_ten_minutes_after_a_run_that_it_started() {
    let (duty, pressed) = (duty("schedule: '0 0 * * *', pressure: {above: 85%}"), at("03-01T01:00:00"));
    let standing = ScheduleProgress { pressed: Some(pressed), ..ScheduleProgress::new(pressed) };
    let starts = |now: Timestamp| {
        let entry = Entry { duty: &duty, standing: &standing, active: false, full: true };
        agenda(&[entry], now).start.map(|start| start.cause)
    };
    let nanosecond = SignedDuration::from_nanos(1);
    assert_eq!((starts(pressed), starts(pressed + REST - nanosecond)), (None, None));
    assert_eq!(starts(pressed + REST), Some(Cause::Pressure));
    assert_eq!(starts(pressed - nanosecond), Some(Cause::Pressure), "the clock was set back");
}

#[test]
fn a_paused_manifest_starts_nothing() {
    for lines in [
        "paused: true, schedule: '* * * * *'",
        "paused: true",
        "paused: true, schedule: '* * * * *', pressure: {above: 1}",
    ] {
        let mut machine = Machine::new(vec![duty(lines)], at("03-01T01:00:00"));
        machine.full = true;
        machine.run_for(SignedDuration::from_mins(25));
        assert!(machine.started.is_empty(), "{lines}");
    }
}

#[test]
fn a_thousand_machines_spread_and_each_keeps_its_place() {
    let most = SignedDuration::from_secs(600);
    let mut minutes = BTreeMap::new();
    for number in 0..1000 {
        let delay = delay(&format!("node-{number}"), "ops/cleanup", most);
        assert_eq!(delay, super::delay(&format!("node-{number}"), "ops/cleanup", most));
        assert!(delay < most && delay >= SignedDuration::ZERO);
        *minutes.entry(delay.as_secs() / 60).or_insert(0) += 1;
    }
    assert!(minutes.len() == 10 && minutes.values().all(|count| (60..150).contains(count)), "{minutes:?}");
    assert_ne!(delay("a", "bc", most), delay("ab", "c", most));
    assert_eq!(delay("a", "b", SignedDuration::ZERO), SignedDuration::ZERO);
    assert_eq!(delay("a", "b", SignedDuration::from_secs(-5)), SignedDuration::ZERO);
    assert!(delay("a", "b", SignedDuration::MAX) >= SignedDuration::ZERO);
    // Another version delays by as much. Computed by another program.
    for (node, manifest, most, milliseconds) in [
        ("node-1", "ops/cleanup", 600, 382_490),
        ("node-2", "ops/cleanup", 600, 204_949),
        ("node-1", "ops/other", 600, 91_802),
        ("", "", 3_600, 534_178),
    ] {
        let expected = SignedDuration::from_millis(milliseconds);
        assert_eq!(delay(node, manifest, SignedDuration::from_secs(most)), expected, "{node} {manifest}");
    }
    let whole = SignedDuration::from_millis(i64::MAX);
    assert_eq!(delay("node-1", "ops/cleanup", whole), SignedDuration::from_millis(5_879_747_404_522_489_294));
}

#[test]
fn a_record_is_a_sentence_with_what_it_knows() {
    let totals =
        |removed, truncated, refused, failed| Totals { removed, truncated, refused, failed, ..Totals::default() };
    let images = Some(totals(5, 0, 6, 7));
    let logs = Some(totals(3, 4, 8, 9));
    let late = Some("late".to_owned());
    for (result, images, logs, message, sentence) in [
        (RunResult::Done, None, None, None, "done"),
        (RunResult::NotRun, None, None, late.clone(), "did not run: late"),
        (RunResult::Done, images, None, None, "done: 5 removed, 6 refused, 7 failed"),
        (
            RunResult::SomeFailed,
            images,
            logs,
            late,
            "some failed: 5 removed, 6 refused, 7 failed; of log files 7 removed or cut, 8 refused, 9 failed: late",
        ),
    ] {
        let brief = Brief::of_record(RunSummary { result, message, images, logs });
        assert_eq!(status::sentence(&Record { brief, ..record(result, 0) }), sentence);
    }
}

fn record(result: RunResult, minute: i64) -> Record {
    let started = at("03-01T00:00:00") + SignedDuration::from_mins(minute);
    Record {
        node_cleanup: "a".to_owned(),
        cause: Cause::Schedule,
        attempt: 0,
        tick: None,
        started_at: started,
        finished_at: started + SECOND,
        brief: Brief::of_record(RunSummary { result, message: None, images: None, logs: None }),
    }
}

#[test]
fn records_are_kept_within_limits_and_for_their_time() {
    use RunResult::{Done, NotRun, SomeFailed};
    let records: Vec<Record> = [(Done, 0), (NotRun, 1), (Done, 2), (SomeFailed, 3), (Done, 4)]
        .into_iter()
        .map(|(result, minute)| record(result, minute))
        .collect();
    let limits = |successful, failed| HistoryLimits { successful: Some(successful), failed: Some(failed) };
    let now = at("03-01T00:04:01");
    assert_eq!(excess(&records, limits(3, 2), None, now), Vec::<usize>::new());
    assert_eq!(excess(&records, limits(2, 1), None, now), [0, 1]);
    assert_eq!(excess(&records, limits(0, 0), None, now), [0, 1, 2, 3, 4]);
    // As BroadcastJob does it: inclusive, counted from the end.
    let ttl = |seconds| Some(SignedDuration::from_secs(seconds));
    assert_eq!(excess(&records, limits(9, 9), ttl(120), now), [0, 1, 2]);
    assert_eq!(excess(&records, limits(9, 9), ttl(121), now), [0, 1]);
    assert_eq!(excess(&records, limits(1, 9), ttl(121), now), [0, 1, 2], "what has gone does not count");
    assert_eq!(excess(&records, limits(9, 9), ttl(0), now), [0, 1, 2, 3, 4]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn one_run_at_a_time_and_no_tick_twice(
        events in proptest::collection::vec((0..4_usize, 1..2_000_i64), 1..20),
        length in 1..900_i64,
        fails: bool,
        delay in 0..120_i64,
    ) {
        let lines = "schedule: '*/5 * * * *', rollout: {failurePolicy: {restartLimit: 2}}, pressure: {above: 80%}";
        let mut one = duty(lines);
        one.delay = SignedDuration::from_secs(delay);
        let duties = vec![one, duty("schedule: '@every 7m', concurrencyPolicy: Replace"), duty("mode: Enforce")];
        let mut machine = Machine::new(duties, at("03-01T00:00:30"));
        machine.length = SignedDuration::from_secs(length);
        machine.fails = fails;
        for (event, seconds) in events {
            let time = SignedDuration::from_secs(seconds);
            match event {
                0 => machine.jump(time),
                1 => machine.jump(-time),
                2 => machine.restart(),
                _ => &mut machine,
            };
            machine.full = event == 3;
            machine.run_for(SignedDuration::from_secs(600));
        }
        let mut ticks: Vec<(usize, Timestamp)> =
            machine.started.iter().filter_map(|(_, start)| Some((start.entry, start.tick?))).collect();
        let count = ticks.len();
        ticks.sort_unstable();
        ticks.dedup();
        prop_assert_eq!(ticks.len(), count, "a tick ran twice");
        prop_assert_eq!(machine.causes().iter().filter(|cause| **cause == Cause::Once).count(), 1);
    }
}
