//! Seventy-two hours of a machine whose clock, power and runs misbehave, second by second, without sleeping.
//!
//! The machine keeps time with a [`Timetable`] like a daemon: it asks when the next tick is due, when a run has ended,
//! at least once a minute (clocks are set without notice), and when it starts. It stores its [`Progress`] before a run
//! begins and has nothing else after a restart.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::{ProptestConfig, Strategy, any};
use proptest::{collection, prop_assert, prop_assert_eq, prop_oneof, proptest, sample};

use super::super::{ConcurrencyPolicy, Decision, Progress, Timetable};
use super::{at, schedule};

const HOURS: i64 = 72;
const SECONDS: i64 = HOURS * 3_600;

/// What happens to the machine at one second.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// It loses power, with whatever runs, for so many seconds.
    Restart(i64),
    /// Its clock is set by so many seconds.
    Jump(i64),
    /// It sleeps for so many seconds: nothing runs, nothing is lost, and the clock goes on.
    Suspend(i64),
}

fn events(jumps: impl Strategy<Value = i64>) -> impl Strategy<Value = BTreeMap<i64, Event>> {
    let event = prop_oneof![
        (1..4_000_i64).prop_map(Event::Restart),
        jumps.prop_map(Event::Jump),
        (1..20_000_i64).prop_map(Event::Suspend),
    ];
    // All jumps together stay below the day after which a remembered time is taken for wrong.
    collection::btree_map(0..SECONDS, event, 0..30)
}

/// A start of a run, in seconds since 1970: when the machine started it by its clock, and for which tick.
type Start = (i64, i64);

struct Machine {
    timetable: Timetable,
    /// What is on the disk.
    progress: Progress,
    /// True seconds since the beginning, and how wrong the clock is.
    second: i64,
    wrong: i64,
    /// The second when the last event was over.
    disturbed: i64,
    /// The second when the current run ends.
    busy: Option<i64>,
    /// What the clock shows when the next tick is due, and the second when the machine decides in any case.
    wake: Option<i64>,
    look: i64,
    /// How long runs take, again and again.
    lengths: Vec<i64>,
    started: Vec<Start>,
    replaced: usize,
}

impl Machine {
    fn new(timetable: Timetable, lengths: Vec<i64>) -> Self {
        let progress = Progress::new(start());
        Self {
            timetable,
            progress,
            second: 0,
            wrong: 0,
            disturbed: 0,
            busy: None,
            wake: None,
            look: 0,
            lengths,
            started: Vec::new(),
            replaced: 0,
        }
    }

    fn clock(&self) -> i64 {
        start().as_second() + self.second + self.wrong
    }

    /// Lives through the seconds; tells every second at which it was awake.
    fn live(&mut self, events: &BTreeMap<i64, Event>, mut awake: impl FnMut(&Self)) {
        while self.second < SECONDS {
            if let Some(event) = events.get(&self.second) {
                self.suffer(*event);
            }
            let ended = self.busy.is_some_and(|end| end <= self.second);
            if ended {
                self.busy = None;
            }
            let due = self.wake.is_some_and(|wake| wake <= self.clock());
            if ended || due || self.look <= self.second {
                self.decide();
            }
            awake(self);
            self.second += 1;
        }
    }

    fn suffer(&mut self, event: Event) {
        match event {
            Event::Jump(by) => self.wrong += by,
            Event::Restart(away) => {
                (self.busy, self.wake, self.look) = (None, None, 0);
                self.second += away;
            }
            Event::Suspend(away) => {
                self.busy = self.busy.map(|end| end + away);
                self.second += away;
            }
        }
        self.disturbed = self.second;
    }

    fn decide(&mut self) {
        let now = Timestamp::from_second(self.clock()).unwrap();
        self.progress = self.progress.mended(now).unwrap_or(self.progress);
        self.look = self.second + 60;
        match self.timetable.decide(&self.progress, usize::from(self.busy.is_some()), now) {
            Decision::Run { tick, replace, next } => {
                assert_eq!(replace, self.busy.is_some());
                self.replaced += usize::from(replace);
                self.progress = stored(self.progress.started(tick));
                self.busy = Some(self.second + self.lengths[self.started.len() % self.lengths.len()]);
                self.started.push((now.as_second(), tick.as_second()));
                self.wake = next.map(Timestamp::as_second);
            }
            Decision::Wait { next } => self.wake = Some(next.as_second()),
            Decision::Blocked { next, .. } => self.wake = next.map(Timestamp::as_second),
            other => panic!("{other:?}"),
        }
    }
}

fn start() -> Timestamp {
    at("2026-03-07 00:00:30")
}

/// To the disk and back.
fn stored(progress: Progress) -> Progress {
    serde_json::from_str(&serde_json::to_string(&progress).unwrap()).unwrap()
}

fn timetable(text: &str, concurrency: ConcurrencyPolicy, deadline: Option<i64>) -> Timetable {
    Timetable {
        schedule: schedule(text),
        starting_deadline: deadline.map(SignedDuration::from_secs),
        concurrency,
        paused: false,
    }
}

/// The rule by itself, for one-minute schedules with Forbid: whenever the machine looks and is idle, the minute that
/// its clock shows runs if it is later than every minute before.
struct Rule {
    highest: i64,
}

impl Rule {
    fn new() -> Self {
        Self { highest: start().as_second() }
    }

    fn expect(&mut self, clock: i64) -> Option<Start> {
        let minute = clock.div_euclid(60) * 60;
        (minute > self.highest).then(|| {
            self.highest = minute;
            (clock, minute)
        })
    }
}

#[test]
fn an_undisturbed_machine_runs_every_tick_of_three_days_on_time() {
    let mut machine = Machine::new(timetable("* * * * *", ConcurrencyPolicy::Forbid, Some(60)), vec![5]);
    machine.live(&BTreeMap::new(), |_| {});
    let ticks = (0..HOURS * 60).map(|minute| start().as_second() + 30 + minute * 60);
    assert_eq!(machine.started, ticks.map(|tick| (tick, tick)).collect::<Vec<Start>>());
}

#[test]
fn a_run_that_is_longer_than_the_period_delays_and_coalesces_under_forbid() {
    let mut machine = Machine::new(timetable("* * * * *", ConcurrencyPolicy::Forbid, None), vec![150]);
    machine.live(&BTreeMap::new(), |_| {});
    let begin = start().as_second();
    let seconds = machine.started[..3].iter().map(|(clock, tick)| (clock - begin, tick - begin));
    // The tick that came while a run was going on starts late, right after it; of two, the later.
    assert_eq!(seconds.collect::<Vec<Start>>(), [(30, 30), (180, 150), (330, 330)]);
    assert_eq!(machine.replaced, 0);
}

#[test]
fn a_run_that_is_longer_than_the_period_is_stopped_under_replace() {
    let mut machine = Machine::new(timetable("* * * * *", ConcurrencyPolicy::Replace, None), vec![150]);
    machine.live(&BTreeMap::new(), |_| {});
    assert!(machine.started.iter().all(|(clock, tick)| clock == tick));
    assert_eq!(machine.started.len(), usize::try_from(HOURS * 60).unwrap());
    assert_eq!(machine.replaced, machine.started.len() - 1);
}

#[test]
fn a_clock_that_was_years_ahead_is_forgotten_once_it_is_right() {
    let century = 100 * 365 * 86_400;
    let events = BTreeMap::from([(1_000, Event::Jump(century)), (2_000, Event::Jump(-century))]);
    let mut machine = Machine::new(timetable("* * * * *", ConcurrencyPolicy::Forbid, None), vec![5]);
    machine.live(&events, |_| {});
    let end = start().as_second() + SECONDS;
    let right: Vec<i64> = machine.started.iter().map(|(_, tick)| *tick).filter(|tick| *tick < end).collect();
    // Of the right minutes all have run but those of the wrong thousand seconds and the one when it was noticed.
    let before = (0..17).map(|minute| start().as_second() + 30 + minute * 60);
    assert_eq!(right[..17], before.collect::<Vec<i64>>());
    let resumed = right[17] - start().as_second();
    assert!((2_000..=2_120).contains(&resumed), "{resumed}");
    assert!(right[17..].windows(2).all(|pair| pair[1] - pair[0] == 60));
    assert!(end - right[right.len() - 1] <= 60);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_minute_of_the_clock_runs_exactly_once_whatever_happens(
        events in events(prop_oneof![-2_800..2_800_i64, -3..3_i64]),
        lengths in collection::vec(1..50_i64, 1..20),
    ) {
        let mut machine = Machine::new(timetable("* * * * *", ConcurrencyPolicy::Forbid, None), lengths);
        let mut rule = Rule::new();
        let mut expected = Vec::new();
        let mut left_out = Vec::new();
        machine.live(&events, |machine| {
            let started = machine.started.len() > expected.len();
            if machine.look == machine.second + 60 && (machine.busy.is_none() || started) {
                expected.extend(rule.expect(machine.clock()));
            }
            // A run that had to wait for another lags behind by less than a minute, and with runs of at most 49 s each
            // minute makes good 11 s of that: after ten, every new minute starts its run at once.
            let (clock, settled) = (machine.clock(), machine.second - machine.disturbed > 600);
            if settled && clock % 60 == 0 && clock > machine.progress.last.unwrap_or(start()).as_second() {
                left_out.push(clock);
            }
        });
        prop_assert_eq!(&machine.started, &expected);
        prop_assert!(left_out.is_empty(), "{left_out:?}");
        prop_assert!(machine.started.windows(2).all(|pair| pair[0].1 < pair[1].1));
        prop_assert!(machine.started.iter().all(|(clock, tick)| (0..60).contains(&(clock - tick))));
    }

    #[test]
    fn with_long_runs_and_a_deadline_no_tick_runs_twice_or_too_late(
        events in events(-2_800..2_800_i64),
        lengths in collection::vec(1..400_i64, 1..20),
        deadline in 10..300_i64,
        replace in any::<bool>(),
        text in sample::select(vec!["* * * * *", "*/7 * * * *", "@every 61s", "0 * * * *"]),
    ) {
        let policy = if replace { ConcurrencyPolicy::Replace } else { ConcurrencyPolicy::Forbid };
        let mut machine = Machine::new(timetable(text, policy, Some(deadline)), lengths);
        machine.live(&events, |_| {});
        prop_assert!(machine.started.windows(2).all(|pair| pair[0].1 < pair[1].1));
        for (clock, tick) in &machine.started {
            prop_assert!((0..deadline).contains(&(clock - tick)), "{tick} at {clock}");
        }
    }
}
