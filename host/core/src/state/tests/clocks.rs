//! Clocks that are set, stale, ahead or wrong: whatever the wall clock says, an age is of time that really passed.

use super::*;
use crate::clock::{Clock, Doubt};

/// What the clock that counts from the boot says.
#[allow(clippy::unnecessary_wraps, reason = "snapshots have it as an option")]
pub(super) fn clock(boot: &str, up_minutes: i64) -> Option<Clock> {
    Some(Clock { boot_id: boot.to_owned(), up_for: SignedDuration::from_mins(up_minutes), built: at(-100_000) })
}

/// A run at this minute of the wall clock, in this boot, so many minutes after it.
fn run(state: &mut State, wall: i64, boot: &str, up: i64) -> (Snapshot, Vec<String>) {
    let mut now = node(wall, &["a"]);
    now.node.clock = clock(boot, up);
    *state = reread(state);
    let notices = state.observe(&mut now).notices;
    (now, notices)
}

/// The age of the image, in minutes.
fn age(now: &Snapshot) -> i64 {
    now.taken_at.duration_since(now.images[0].first_seen.unwrap()).as_mins()
}

fn code(now: &Snapshot) -> Option<&'static str> {
    let plan = plan(now, &GuardRails::default(), "p", &["a"]);
    plan.refusals.first().map(|refused| refused.refusal.code())
}

const YEAR: i64 = 365 * 24 * 60;

#[test]
fn a_clock_that_is_set_makes_nothing_older_or_younger() {
    for jump in [40 * 24 * 60, 12 * YEAR, 20, -20, -40 * 24 * 60, -12 * YEAR] {
        let mut state = State::new(at(0));
        run(&mut state, 0, "boot", 1_000);
        let (now, notices) = run(&mut state, 5 + jump, "boot", 1_005);
        assert_eq!(age(&now), 5, "{jump}");
        let direction = if jump > 0 { "ahead" } else { "back" };
        let begins = format!("the clock was set {direction} by ");
        let is_wrong = jump < -100_000;
        assert_eq!(notices.len(), 1 + usize::from(is_wrong), "{notices:?}");
        assert!(notices[0].starts_with(&begins) && notices[0].contains("time that really passed"), "{notices:?}");
        // And back again.
        let (now, notices) = run(&mut state, 9, "boot", 1_009);
        assert_eq!((age(&now), notices.len()), (9, 1), "{jump}");
        // Which of the two was wrong is not known, unless one cannot be.
        assert_eq!(now.memory.clock_doubt.is_some(), jump < 0 && !is_wrong, "{jump}");
        let (now, notices) = run(&mut state, 69, "boot", 1_069);
        assert_eq!((age(&now), notices.len()), (69, 0), "{jump}");
        assert_eq!(now.memory.clock_doubt, None, "{jump}");
    }
}

#[test]
fn a_clock_that_jumped_ahead_is_not_trusted_for_an_hour() {
    let mut state = State::new(at(0));
    run(&mut state, 0, "boot", 1_000);
    let jump = 40 * 24 * 60;
    let (now, notices) = run(&mut state, 30 + jump, "boot", 1_030);
    assert_eq!((code(&now), age(&now)), (Some("ClockNotTrusted"), 30));
    assert!(notices[0].starts_with("the clock was set ahead by 960h since the last run"), "{notices:?}");
    let (now, _) = run(&mut state, 89 + jump, "boot", 1_089);
    assert_eq!(code(&now), Some("ClockNotTrusted"));
    let (now, _) = run(&mut state, 90 + jump, "boot", 1_090);
    assert_eq!((code(&now), age(&now)), (None, 90), "what passed counts");
}

#[test]
fn files_of_the_time_before_a_jump_are_known_to_be_dated_wrongly() {
    let mut state = State::new(at(0));
    run(&mut state, 0, "boot", 10);
    let (now, _) = run(&mut state, 5 + YEAR, "boot", 15);
    let span = now.memory.misdated.unwrap();
    assert_eq!((span.from, span.until), (at(-10), at(5)), "since the boot, by the clock before");
    assert!(span.covers(at(-10)) && span.covers(at(5)) && !span.covers(at(6)) && !span.covers(at(-11)));
    let (now, _) = run(&mut state, 5 + YEAR + 29 * 24 * 60, "boot", 15 + 29 * 24 * 60);
    assert!(now.memory.misdated.is_some());
    let (now, _) = run(&mut state, 5 + YEAR + 30 * 24 * 60, "boot", 15 + 30 * 24 * 60);
    assert_eq!(now.memory.misdated, None);
}

#[test]
fn before_the_build_the_clock_is_wrong_and_nothing_goes() {
    let mut state = State::new(at(0));
    run(&mut state, 0, "boot", 1_000);
    // A boot without a clock: it begins in 1970.
    let epoch = Timestamp::UNIX_EPOCH.duration_since(at(0)).as_mins();
    let (now, notices) = run(&mut state, epoch + 30, "next", 30);
    assert_eq!((code(&now), age(&now)), (Some("ClockNotTrusted"), 30), "at least since the boot");
    let said = "the clock says 1970-01-01T00:30:00Z, and this version of Holystone was built later, at 2026-10-23T13:20:00Z: nothing is removed by age until it is set";
    assert_eq!(notices.last().unwrap(), said);
    assert!(matches!(now.memory.clock_doubt, Some(Doubt::BeforeBuild { .. })));
    let switched_off = plan(&now, &ageless(), "p", &["a"]);
    assert_eq!(switched_off.steps.len(), 1);
    // Then it is put right, which is no jump to doubt, and the age is that of the boot.
    let (now, notices) = run(&mut state, 50, "next", 40);
    assert_eq!((code(&now), age(&now), notices.len()), (None, 40, 1), "{notices:?}");
    let span = now.memory.misdated.unwrap();
    assert_eq!(span.from, Timestamp::UNIX_EPOCH, "what was written meanwhile is not from 1970");
    // Nor does a boot make more of it than the time since.
    let (now, _) = run(&mut state, 100, "third", 20);
    assert_eq!(age(&now), 60);
}

#[test]
fn a_first_run_in_1970_makes_nothing_old() {
    let epoch = Timestamp::UNIX_EPOCH.duration_since(at(0)).as_mins();
    for (boot, up, expected) in [("boot", 31, 1), ("next", 20, 20)] {
        let mut state = State::new(at(epoch));
        run(&mut state, epoch + 30, "boot", 30);
        let (now, _) = run(&mut state, 0, boot, up);
        assert_eq!((age(&now), now.memory.since), (expected, now.images[0].first_seen), "{boot}");
    }
    // The format before had no clock beside it.
    let text = serde_json::json!({"format": 1, "writtenAt": "1970-01-01T00:30:00Z", "since": "1970-01-01T00:30:00Z", "images": {"a": {"first": "1970-01-01T00:30:00Z"}}});
    let mut state = State::from_json(text.to_string().as_bytes()).unwrap().state;
    let (now, _) = run(&mut state, 0, "boot", 60);
    assert_eq!(code(&now), Some("AgeLost"));
}

#[test]
fn across_a_boot_only_the_time_since_it_counts_until_the_clock_has_run_for_a_while() {
    // The clock of the new boot is right, stale by 40 days, and years ahead.
    for wrong in [0, -40 * 24 * 60, 12 * YEAR] {
        let mut state = State::new(at(0));
        run(&mut state, 0, "boot", 1_000);
        run(&mut state, 20, "boot", 1_020);
        // Off for 80 minutes, then up for 30.
        let (now, _) = run(&mut state, 130 + wrong, "next", 30);
        assert_eq!(age(&now), 50, "{wrong}");
        assert_eq!(code(&now), (wrong > 0).then_some("ClockNotTrusted"), "{wrong}");
        // Put right by then.
        let (now, notices) = run(&mut state, 140, "next", 40);
        assert_eq!((age(&now), notices.len()), (60, usize::from(wrong != 0)), "{wrong}: {notices:?}");
        let up = if wrong < 0 { 100 } else { 60 };
        let (now, _) = run(&mut state, 100 + up, "next", up);
        assert_eq!((age(&now), code(&now)), (100 + up, None), "{wrong}: the time that it was off counts as well");
    }
}

#[test]
fn of_the_time_between_two_boots_no_more_than_a_day_counts() {
    const DAY: i64 = 24 * 60;
    // Off for so long, or looked at first when a clock that was wrong all the time had run for an hour.
    for (off, expected) in [(DAY - 60, DAY - 60), (DAY, DAY), (DAY + 1, DAY), (7 * DAY, DAY), (12 * YEAR, DAY)] {
        let mut state = State::new(at(0));
        run(&mut state, 0, "boot", 1_000);
        let (now, _) = run(&mut state, off + 60, "next", 60);
        assert_eq!((age(&now), code(&now)), (expected + 60, None), "{off}");
        let (now, _) = run(&mut state, off + 200, "next", 200);
        assert_eq!(age(&now), expected + 200, "{off}: once");
    }
}

#[test]
fn one_run_years_ahead_is_taken_back() {
    let mut state = State::new(at(0));
    run(&mut state, 0, "boot", 1_000);
    // It boots in 2038, is looked at once, and is put right by another boot.
    let (now, notices) = run(&mut state, 60 + 11 * YEAR, "next", 15);
    assert_eq!((age(&now), code(&now)), (15, Some("ClockNotTrusted")));
    assert!(notices[0].contains("ahead of the last run before this boot"), "{notices:?}");
    let (now, notices) = run(&mut state, 120, "third", 20);
    assert_eq!((age(&now), code(&now)), (35, None));
    assert!(notices[0].starts_with("the clock was set back over a boot of this node"), "{notices:?}");
    let (now, _) = run(&mut state, 200, "third", 100);
    assert_eq!(age(&now), 115, "of a clock that was wrong nothing is believed later");
}

#[test]
fn a_clock_that_is_slewed_has_not_been_set() {
    let mut state = State::new(at(0));
    run(&mut state, 0, "boot", 1_000);
    let mut now = node(24 * 60, &["a"]);
    now.node.clock = clock("boot", 1_000 + 24 * 60);
    // Forty seconds within a day, which a kernel may do by going faster.
    now.taken_at += 40.seconds();
    assert_eq!(state.observe(&mut now).notices, Vec::<String>::new());
    assert_eq!(now.memory.clock_doubt, None);
    now.taken_at += 20.minutes();
    assert_eq!(state.observe(&mut now).notices.len(), 1);
}

#[test]
fn without_the_clock_beside_it_a_state_from_the_future_is_a_loss_and_keeps_its_ages() {
    for (back, code) in [(4, None), (20, Some("AgeLost")), (12 * YEAR, Some("AgeLost"))] {
        let mut state = State::new(at(0));
        let mut now = node(0, &["a"]);
        state.observe(&mut now);
        state.observe(&mut node(60, &["a"]));
        let mut early = node(60 - back, &["a"]);
        let notices = reread(&state).observe(&mut early).notices;
        assert_eq!(age(&early), 60, "{back}");
        assert_eq!(super::clocks::code(&early), code, "{back}");
        assert!(notices[0].contains("in the future of this node's clock"), "{notices:?}");
    }
}

#[test]
fn a_node_that_has_just_booted_has_young_images_only() {
    let mut state = State::new(at(0));
    run(&mut state, 0, "boot", 1_000);
    let (now, _) = run(&mut state, 60, "next", 9);
    let refusal = plan(&now, &GuardRails::default(), "p", &["a"]).refusals.remove(0).refusal;
    assert_eq!((refusal.code(), refusal.rail()), ("JustBooted", 5));
    assert_eq!(refusal.to_string(), "the node has been up for 9m only: before 10m, its pods may still be starting");
    assert_eq!(plan(&now, &ageless(), "p", &["a"]).steps.len(), 1);
    let (now, _) = run(&mut state, 61, "next", 10);
    assert_eq!(code(&now), None);
}
