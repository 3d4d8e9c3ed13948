//! Clocks and times exactly at their limits, and what is kept where two things happen at once.

use super::clocks::clock;
use super::*;
use crate::clock::{Clock, Reading, rounded};
use crate::confirmation::{Confirmations, bound};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// The clock that counts from the boot, after so many seconds.
fn up(boot: &str, seconds: i64) -> Clock {
    Clock { up_for: SignedDuration::from_secs(seconds), ..clock(boot, 0).unwrap() }
}

/// A run so long after the start of 2027.
fn run(state: &mut State, wall: SignedDuration, clock: Option<Clock>) -> (Snapshot, Vec<String>) {
    let mut now = Snapshot { taken_at: at(0) + wall, ..node(0, &["a"]) };
    now.node.clock = clock;
    *state = reread(state);
    let notices = state.observe(&mut now).notices;
    (now, notices)
}

fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// The age of the image, in seconds.
fn age(now: &Snapshot) -> i64 {
    now.taken_at.duration_since(now.images[0].first_seen.unwrap()).as_secs()
}

/// A state of a first run at the start of 2027, so many seconds after a boot.
fn seen(up_for: i64) -> State {
    let mut state = State::new(at(0));
    run(&mut state, secs(0), Some(up("boot", up_for)));
    state
}

#[test]
fn a_clock_was_set_when_it_is_off_by_more_than_two_seconds_and_a_thousandth_of_what_passed() {
    let notices = |wall| run(&mut seen(0), wall, Some(up("boot", 1_000))).1.len();
    let nanosecond = SignedDuration::from_nanos(1);
    assert_eq!((notices(secs(1_003)), notices(secs(997))), (0, 0));
    assert_eq!((notices(secs(1_003) + nanosecond), notices(secs(997) - nanosecond)), (1, 1));
}

#[test]
fn a_jump_that_is_taken_back_to_two_seconds_is_none() {
    for (rest, is_doubted) in [(0, false), (2, false), (3, true)] {
        let mut state = seen(1_000);
        let (now, _) = run(&mut state, secs(5_100), Some(up("boot", 1_100)));
        assert!(now.memory.clock_doubt.is_some());
        let (now, _) = run(&mut state, secs(200 + rest), Some(up("boot", 1_200)));
        assert_eq!(now.memory.clock_doubt.is_some(), is_doubted, "{rest}");
    }
}

#[test]
fn the_hour_of_a_doubt_begins_with_the_last_jump_ahead() {
    let (jump, boot) = (secs(DAY), |minutes: i64| Some(up("boot", minutes * MINUTE)));
    let mut state = seen(0);
    run(&mut state, jump, boot(0));
    run(&mut state, jump * 2 + secs(30 * MINUTE), boot(30));
    let doubt = |state: &mut State, minutes| {
        run(state, jump * 2 + secs(minutes * MINUTE), boot(minutes)).0.memory.clock_doubt.is_some()
    };
    assert_eq!([60, 89, 90].map(|minutes| doubt(&mut state, minutes)), [true, true, false]);
    // A part that is taken back begins no other hour.
    let mut state = seen(0);
    run(&mut state, jump * 2, boot(0));
    run(&mut state, jump + secs(30 * MINUTE), boot(30));
    let doubt =
        |state: &mut State, minutes| run(state, jump + secs(minutes * MINUTE), boot(minutes)).0.memory.clock_doubt;
    assert_eq!([59, 60].map(|minutes| doubt(&mut state, minutes).is_some()), [true, false]);
}

#[test]
fn a_clock_that_says_the_time_of_the_build_is_believed() {
    let built = |up_for: i64, built: Timestamp| Some(Clock { built, ..up("boot", up_for) });
    let at_build = |late: SignedDuration| {
        let mut state = State::new(at(0));
        let (now, notices) = run(&mut state, secs(100), built(7_200, at(0) + secs(100) + late));
        let is_wrong = state.clock.unwrap().is_wrong;
        assert_eq!((is_wrong, is_wrong), (now.memory.clock_doubt.is_some(), !notices.is_empty()));
        is_wrong
    };
    assert_eq!((at_build(secs(0)), at_build(SignedDuration::from_nanos(1))), (false, true));
    // Put right to the very time of the build, which is no jump to doubt.
    let mut state = State::new(at(0));
    run(&mut state, secs(0), built(1_000, at(0) + secs(50_000)));
    let (now, notices) = run(&mut state, secs(50_000), built(1_010, at(0) + secs(50_000)));
    assert_eq!((now.memory.clock_doubt, notices.len()), (None, 1));
    // The time between two boots counts from then on as well.
    let mut state = seen(7_200);
    let next = Clock { built: at(0) + secs(10_000), ..up("next", 4_000) };
    assert_eq!(age(&run(&mut state, secs(10_000), Some(next)).0), 10_000);
}

#[test]
fn what_passed_between_two_boots_counts_once_a_clock_behind_the_build_is_put_right() {
    let mut state = seen(7_200);
    let built = at(-100_000) - at(0);
    let wrong = SignedDuration::try_from(built).unwrap() - secs(DAY);
    // Off for 80 minutes.
    let (now, _) = run(&mut state, wrong, Some(up("next", 60 * MINUTE)));
    assert_eq!(age(&now), 60 * MINUTE);
    let (now, _) = run(&mut state, secs(160 * MINUTE), Some(up("next", 80 * MINUTE)));
    assert_eq!(age(&now), 160 * MINUTE);
}

#[test]
fn what_passed_before_a_boot_counts_only_after_an_hour_of_the_clock_before_it() {
    for (before, counted) in [(30, 70), (59, 70), (60, 200), (61, 200)] {
        let mut state = seen(before * MINUTE);
        let (now, _) = run(&mut state, secs(200 * MINUTE), Some(up("next", 70 * MINUTE)));
        assert_eq!(age(&now), counted * MINUTE, "{before} minutes");
    }
    // Nor while a jump was doubted, however long the machine had been up.
    let mut state = seen(70 * MINUTE);
    run(&mut state, secs(30 * DAY), Some(up("boot", 70 * MINUTE)));
    let (now, _) = run(&mut state, secs(30 * DAY + 200 * MINUTE), Some(up("next", 70 * MINUTE)));
    assert_eq!(age(&now), 70 * MINUTE);
}

#[test]
fn what_came_right_after_a_boot_is_not_made_older_by_the_time_before_it() {
    let mut state = seen(7_200);
    let mut look = |minutes: i64, up_for: i64| {
        let mut now = node(minutes, &["a", "b"]);
        now.node.clock = clock("next", up_for);
        state.observe(&mut now);
        now.images.iter().map(|image| now.taken_at.duration_since(image.first_seen.unwrap()).as_mins()).collect()
    };
    let ages: Vec<i64> = look(80, 0);
    assert_eq!(ages, [0, 0]);
    let ages: Vec<i64> = look(140, 60);
    assert_eq!(ages, [140, 60]);
}

#[test]
fn over_a_boot_a_clock_was_set_back_by_more_than_two_seconds_or_ahead_by_more_than_a_day() {
    let boot = |gap: SignedDuration, up_for: i64| {
        let (now, notices) = run(&mut seen(7_200), gap + secs(up_for), Some(up("next", up_for)));
        (notices.len(), now.memory.clock_doubt.is_some())
    };
    let nanosecond = SignedDuration::from_nanos(1);
    for gap in [secs(-2), secs(-1), secs(0), secs(1), secs(2), secs(DAY)] {
        assert_eq!(boot(gap, 60), (0, false), "{gap}");
    }
    assert_eq!(boot(secs(-2) - nanosecond, 60), (1, false));
    assert_eq!(boot(secs(DAY) + nanosecond, 60), (1, true));
    assert_eq!(boot(secs(DAY) + nanosecond, 3_599), (1, true));
    assert_eq!(boot(secs(DAY) + nanosecond, 3_600), (0, false), "it has run for an hour");
}

#[test]
fn a_first_look_has_no_times_to_carry_over() {
    // The state was made by a clock that was behind, or ahead, of that of the look.
    for written_at in [Timestamp::UNIX_EPOCH, at(0), at(1_000)] {
        let (now, notices) = run(&mut State::new(written_at), secs(0), Some(up("boot", 7_200)));
        assert_eq!((now.memory.lost, notices), (None, Vec::new()), "{written_at}");
    }
}

#[test]
fn without_a_clock_beside_it_a_state_is_lost_before_2024_or_more_than_five_minutes_ahead() {
    let lost = |written_at: Timestamp, now: Timestamp, clock: Option<Clock>, damaged: bool| {
        let mut state = State { since: Some(written_at), ..State::new(written_at) };
        if damaged {
            state = state.damaged();
        }
        let mut node = Snapshot { taken_at: now, ..node(0, &["a"]) };
        node.node.clock = clock;
        state.observe(&mut node);
        node.memory.lost
    };
    let clock = || Some(up("boot", 7_200));
    let earliest: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    let before = earliest - 1.seconds();
    assert_eq!(lost(earliest, at(0), clock(), false), None);
    assert_eq!((lost(before, at(0), clock(), false), lost(before, at(0), None, false)), (Some(at(0)), None));
    assert_eq!(lost(before, at(0), clock(), true), Some(at(0)), "lost for two reasons");
    let ahead = |by: SignedDuration, damaged| lost(at(0) + by, at(0), None, damaged).is_some();
    let five = SignedDuration::from_mins(5);
    assert!(!ahead(five, false) && ahead(five + SignedDuration::from_nanos(1), false));
    assert!(ahead(five * 2, true) && ahead(five, true));
}

#[test]
fn a_loss_is_noted_as_well_where_a_pod_of_ours_shows_one() {
    let mut now = node(0, &["a"]);
    let mut sandbox = crate::fixture::sandbox("ours", "");
    "before".clone_into(&mut sandbox.pod.uid);
    let labels = [("app.kubernetes.io/name", "holystone"), ("app.kubernetes.io/component", "node")];
    sandbox.labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into();
    now.sandboxes.push(sandbox);
    let mut ended = container("c", ImageMentions { image_id: "x".repeat(64), ..ImageMentions::default() });
    "ours".clone_into(&mut ended.sandbox_id);
    ended.exit_code = Some(0);
    now.containers.push(ended);
    State::new(at(0)).damaged().observe(&mut now);
    assert_eq!(now.memory.lost, Some(at(0)));
}

#[test]
fn looks_recall_the_images_that_are_ours_and_removed_ones_lose_their_names() {
    let mut state = State::new(at(0));
    let mut now = node(0, &["a", "used-own"]);
    "own-pod".clone_into(&mut now.node.own_pod);
    "own-pod".clone_into(&mut now.containers[0].pod.uid);
    now.images[0].repo_tags = vec!["x/a:1".to_owned()];
    now.images[1].repo_tags = vec!["x/own:1".to_owned()];
    state.observe(&mut now);
    let own = ["used-own".to_owned()].into();
    assert_eq!(now.memory.own_images, own);
    let mut second = node(1, &["a", "used-own"]);
    state.recall(&mut second);
    assert_eq!(second.memory.own_images, own);
    let plan = plan(&now, &ageless(), "p", &["a"]);
    state.finish(last_run(1), plan.steps.iter(), [].into_iter());
    assert_eq!(state.names, [("used-own".to_owned(), vec!["x/own:1".to_owned()])].into());
}

#[test]
fn what_is_as_usual_is_not_written() {
    let mut state = State::new(at(0));
    let mut now = node(0, &["a", "used"]);
    now.node.clock = clock("boot", 1);
    state.observe(&mut now);
    let json: serde_json::Value = serde_json::from_slice(&state.to_json().unwrap()).unwrap();
    assert_eq!(json["images"]["a"].get("inUse"), None);
    assert_eq!(json["images"]["used"]["inUse"], true);
    assert_eq!(json["clock"].get("isWrong"), None);
    assert_eq!(json.get("removals"), None);
    let reading = Reading { is_wrong: true, ..state.clock.clone().unwrap() };
    state.removals.untags_first = true;
    let wrong = State { clock: Some(reading), ..state.clone() };
    let json: serde_json::Value = serde_json::from_slice(&wrong.to_json().unwrap()).unwrap();
    assert_eq!((&json["clock"]["isWrong"], &json["removals"]["untagsFirst"]), (&true.into(), &true.into()));
    assert_eq!(reread(&state), state);
}

#[test]
fn of_many_problems_of_a_state_the_first_three_are_named() {
    let text = r#"{"format": 2, "since": 1, "lastRun": 2, "names": 3, "revision": "x", "lost": 4}"#;
    let problems = State::from_json(text.as_bytes()).unwrap().problems;
    assert_eq!(problems.len(), 3, "{problems:?}");
    for (problem, begins) in problems.iter().zip(["writtenAt is missing", "since cannot", "lastRun cannot"]) {
        assert!(problem.starts_with(begins), "{problems:?}");
    }
}

#[test]
fn sixty_four_manifests_are_remembered_for_less_than_thirty_days() {
    let of = |manifest: usize, counted_at| {
        let (plugin, digest) = ("p".to_owned(), "sha256:1".to_owned());
        let images = [("a".to_owned(), 1)].into();
        Confirmations { manifest: manifest.to_string(), plugin, digest, counted_at, images, logs: [].into() }
    };
    let left = |known: &[Confirmations], now| {
        let mut known = known.to_vec();
        bound(&mut known, now);
        known.iter().map(|one| one.manifest.parse().unwrap()).collect::<Vec<usize>>()
    };
    let month = SignedDuration::from_hours(30 * 24);
    assert_eq!(left(&[of(1, at(0)), of(2, at(1))], at(0) + month), [2]);
    assert_eq!(left(&[of(1, at(0))], at(0) + month - SignedDuration::from_nanos(1)), [1]);
    let mut known: Vec<_> = (0_i64..).zip(0..130).map(|(minutes, manifest)| of(manifest, at(minutes))).collect();
    assert_eq!(left(&known[..64], at(200)), (0..64).collect::<Vec<_>>());
    assert_eq!(left(&known[..65], at(200)), (1..65).collect::<Vec<_>>());
    assert_eq!(left(&known, at(200)), (66..130).collect::<Vec<_>>(), "those that ran last");
    known.reverse();
    assert_eq!(left(&known, at(200)), (66..130).rev().collect::<Vec<_>>());
}

#[test]
fn durations_are_rounded_to_the_nearest_second() {
    for (millis, seconds) in [(0, 0), (499, 0), (500, 1), (1_499, 1), (-499, 0), (-500, -1), (-1_600, -2)] {
        assert_eq!(rounded(SignedDuration::from_millis(millis)), secs(seconds), "{millis}");
    }
}
