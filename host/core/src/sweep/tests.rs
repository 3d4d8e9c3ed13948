use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Action, Attempt, Event, News, Pace, Sweep};
use crate::container::{Container, ImageMentions};
use crate::fixture;
use crate::guard::images::{ImageGuard, ImageObjection, Images};
use crate::guard::{GuardRails, Step};
use crate::image::Image;
use crate::pressure::Pressure;
use crate::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
use crate::report::{EndReason, Ending, Outcome, Swept};
use crate::snapshot::{Filesystem, Snapshot};

mod names;
mod orders;

fn id(n: usize) -> String {
    format!("sha256:{n:064x}")
}

/// The n-th image, under two names.
fn image(n: usize) -> Image {
    fixture::image(&id(n), &[&format!("docker.io/a/b:{n}"), &format!("docker.io/a/c:{n}")], &[])
}

fn node(images: impl IntoIterator<Item = usize>) -> Snapshot {
    fixture::snapshot(images.into_iter().map(image).collect(), Vec::new())
}

fn user_of(n: usize) -> Container {
    fixture::container("web", ImageMentions { image_id: id(n), ..ImageMentions::default() })
}

/// A step for each of the first images.
fn steps(count: usize) -> Vec<Step<Images>> {
    let reason = Reason { kind: ReasonKind::Unused, text: String::new() };
    let wish =
        |n| Wish { target: Target::Image(id(n)), verb: Verb::Remove, reason: reason.clone(), expected_bytes: None };
    let proposal = Proposal { plugin: "mine".to_owned(), wishes: (0..count).map(wish).collect() };
    ImageGuard::new(&node(0..count), &GuardRails::default()).review(vec![proposal.into()]).steps
}

fn looked(snapshot: Snapshot) -> Event {
    Event::Looked(Ok(Box::new(snapshot)))
}

fn ending(reason: EndReason) -> Ending {
    Ending { reason, message: "it is enough".to_owned() }
}

/// A filesystem of images that is this full, in percent. A percent of it is the size of ten images.
fn full(percent: u64) -> Vec<Filesystem> {
    in_use(percent * 1_000)
}

/// The same with so many bytes in use.
fn in_use(bytes: u64) -> Vec<Filesystem> {
    vec![Filesystem {
        name: "images".to_owned(),
        capacity_bytes: Some(100_000),
        available_bytes: Some(100_000 - bytes),
        ..Filesystem::default()
    }]
}

/// The places of all removals that may start now, which are handed out.
fn started(sweep: &mut Sweep<'_>) -> Vec<usize> {
    let mut places = Vec::new();
    while !sweep.cleared.is_empty() {
        let Action::Remove(place, clearance) = sweep.next_action() else { panic!("what is cleared starts") };
        assert_eq!(clearance.target(), sweep.steps[place].target());
        assert_eq!(clearance.asked(), id(place), "the runtime is asked by id");
        places.push(place);
    }
    places
}

/// Removes everything that this asks for at once, from a node with these images.
fn carry_out(mut sweep: Sweep<'_>, mut there: Vec<usize>) -> Swept<Images> {
    for _ in 0..1_000 {
        match sweep.next_action() {
            Action::Done => return sweep.swept(),
            Action::Look => sweep.on(looked(node(there.clone()))),
            Action::Rest(_) => sweep.on(Event::Rested),
            Action::Measure => sweep.on(Event::Measured(Ok(full(90)))),
            Action::Wait => sweep.on(Event::Lost),
            Action::Remove(place, _) => {
                there.retain(|n| *n != place);
                sweep.on(Event::Answered(place, Attempt::Accepted));
            }
        }
    }
    panic!("it does not end: {sweep:?}");
}

const IN_USE: &str = "in use by web";

fn says_in_use() -> Outcome<Images> {
    Outcome::NoLongerAllowed(ImageObjection::RuntimeSaysInUse { message: IN_USE.to_owned() }.into())
}

#[test]
fn everything_goes_on_a_quiet_node() {
    let (steps, rails, pace) = (steps(100), GuardRails::default(), Pace::default());
    let swept = carry_out(Sweep::new(&steps, &rails, &pace, &[]), (0..100).collect());
    assert_eq!(swept.outcomes, vec![Outcome::Removed; 100]);
    assert_eq!((swept.ending, swept.remarks), (None, BTreeMap::new()));
}

#[test]
fn a_plan_without_steps_asks_for_nothing() {
    let (rails, pace) = (GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&[], &rails, &pace, &[]);
    assert!(matches!(sweep.next_action(), Action::Done));
    assert_eq!(sweep.swept(), Swept::default());
}

#[test]
fn batches_grow_with_each_look_and_fall_back_after_a_failure() {
    let (steps, rails, pace) = (steps(2_000), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    let mut sizes = Vec::new();
    for _ in 0..6 {
        assert!(matches!(sweep.next_action(), Action::Look));
        sweep.on(looked(node(0..2_000)));
        sizes.push(started(&mut sweep).len());
    }
    assert_eq!(sizes, [32, 64, 128, 256, 512, 32], "1024 are in flight by then");
    assert!(matches!(sweep.next_action(), Action::Wait), "there is no room");
    sweep.on(Event::Answered(0, Attempt::Over(Outcome::Failed("no".to_owned()))));
    for place in 1..100 {
        sweep.on(Event::Answered(place, Attempt::Accepted));
    }
    sweep.on(looked(node(100..2_000)));
    assert_eq!(started(&mut sweep).len(), 32);
    let none: Vec<usize> = Vec::new();
    assert_eq!(started(&mut sweep), none, "each look permits once");
}

#[test]
fn a_pause_starts_one_at_a_time() {
    let pace = Pace { pause: Duration::from_secs(3), ..Pace::default() };
    let (steps, rails) = (steps(2), GuardRails::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..2)));
    assert_eq!(started(&mut sweep), [0]);
    assert!(matches!(sweep.next_action(), Action::Rest(time) if time == pace.pause));
    assert!(matches!(sweep.next_action(), Action::Rest(_)), "until it is over");
    sweep.on(Event::Rested);
    assert!(matches!(sweep.next_action(), Action::Look));
    sweep.on(looked(node(0..2)));
    assert_eq!(started(&mut sweep), [1]);
    assert!(matches!(sweep.next_action(), Action::Wait), "nothing comes after the last one");
}

#[test]
fn only_so_many_are_in_flight() {
    let pace = Pace { in_flight: 2, ..Pace::default() };
    let (steps, rails) = (steps(3), GuardRails::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..3)));
    assert_eq!(started(&mut sweep), [0, 1]);
    assert!(matches!(sweep.next_action(), Action::Wait));
    sweep.on(Event::Answered(1, Attempt::Accepted));
    assert!(matches!(sweep.next_action(), Action::Look));
    sweep.on(looked(node([0, 2])));
    assert_eq!(started(&mut sweep), [2]);
}

#[test]
fn what_a_look_forbids_has_its_outcome_at_once() {
    let (steps, rails, pace) = (steps(3), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    let mut snapshot = node([0, 2]);
    snapshot.containers.push(user_of(0));
    sweep.on(looked(snapshot));
    assert_eq!(started(&mut sweep), [2]);
    assert_eq!(
        sweep.news(),
        [
            News::Outcome(
                0,
                Outcome::NoLongerAllowed(
                    ImageObjection::InUse { by: "container web (exited) of pod shop/web".to_owned() }.into()
                )
            ),
            News::Outcome(1, Outcome::AlreadyGone)
        ]
    );
}

#[test]
fn a_goal_is_measured_before_each_batch_and_ends_the_sweep() {
    let pressure = Pressure { above: Some(80), until: Some(70), ..Pressure::default() };
    let pace = Pace { pressure, ..Pace::default() };
    let (steps, rails) = (steps(20), GuardRails::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &full(81));
    assert!(matches!(sweep.next_action(), Action::Measure));
    sweep.on(Event::Measured(Ok(full(81))));
    sweep.on(looked(node(0..20)));
    assert_eq!(started(&mut sweep), (0..8).collect::<Vec<_>>());
    for place in 0..8 {
        assert!(matches!(sweep.next_action(), Action::Wait), "whether it is met shows when all have ended");
        sweep.on(Event::Answered(place, Attempt::Accepted));
    }
    for (bytes, batch) in [(70_201, 8..11), (70_001, 11..12)] {
        assert!(matches!(sweep.next_action(), Action::Measure));
        sweep.on(Event::Measured(Ok(in_use(bytes))));
        sweep.on(looked(node(8..20)));
        assert_eq!(started(&mut sweep), batch.clone().collect::<Vec<_>>(), "no more than should be enough");
        batch.for_each(|place| sweep.on(Event::Answered(place, Attempt::Accepted)));
    }
    assert!(matches!(sweep.next_action(), Action::Measure));
    sweep.on(Event::Measured(Ok(full(70))));
    sweep.on(looked(node(12..20)));
    assert!(matches!(sweep.next_action(), Action::Done));
    let swept = sweep.swept();
    let message = "the filesystem of the images is 70 % full (by bytes), and removal is wanted above 70 %";
    assert_eq!(swept.ending, Some(Ending { reason: EndReason::NotNeeded, message: message.to_owned() }));
    assert_eq!(swept.outcomes[..12], vec![Outcome::Removed; 12]);
    assert_eq!(swept.outcomes[12..], vec![Outcome::NotNeeded(message.to_owned()); 8]);
}

#[test]
fn without_inodes_one_image_goes_after_the_other() {
    let pressure = Pressure { until: Some(70), ..Pressure::default() };
    let pace = Pace { pressure, ..Pace::default() };
    let few = |free| vec![Filesystem { inodes: Some(100), inodes_free: Some(free), ..full(10).remove(0) }];
    let (steps, rails) = (steps(3), GuardRails::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &few(5));
    sweep.on(Event::Measured(Ok(few(5))));
    sweep.on(looked(node(0..3)));
    assert_eq!(started(&mut sweep), [0], "how many inodes it has is not known");
}

#[test]
fn without_need_or_a_measurement_nothing_begins_or_goes_on() {
    let pressure = Pressure { above: Some(80), until: Some(70), ..Pressure::default() };
    let pace = Pace { pressure, ..Pace::default() };
    let (steps, rails) = (steps(1), GuardRails::default());
    for (filesystems, reason, said) in [
        (full(80), EndReason::NotNeeded, "is 80 % full (by bytes), and removal is wanted above 80 %"),
        (Vec::new(), EndReason::NodeUnseen, "how full the filesystem of the images is cannot be seen from here"),
    ] {
        let mut sweep = Sweep::new(&steps, &rails, &pace, &filesystems);
        assert!(matches!(sweep.next_action(), Action::Done));
        let ending = sweep.swept().ending.unwrap();
        assert!(ending.reason == reason && ending.message.contains(said), "{ending:?}");
    }
    let mut sweep = Sweep::new(&steps, &rails, &pace, &full(90));
    sweep.on(Event::Measured(Err("no such mount".to_owned())));
    assert!(matches!(sweep.next_action(), Action::Done));
    let message = "the filesystem of the images could not be measured again: no such mount".to_owned();
    let swept = sweep.swept();
    assert_eq!(swept.outcomes, [Outcome::NotAttempted(message.clone())]);
    assert_eq!(swept.ending, Some(Ending { reason: EndReason::NodeUnseen, message }));
}

#[test]
fn what_cannot_be_looked_at_is_not_removed() {
    let (steps, rails, pace) = (steps(2), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(Event::Looked(Err("no answer".to_owned())));
    assert!(matches!(sweep.next_action(), Action::Done));
    let message = "the node could not be looked at again: no answer".to_owned();
    let swept = sweep.swept();
    assert_eq!(swept.outcomes, vec![Outcome::NotAttempted(message.clone()); 2]);
    assert_eq!(swept.ending, Some(Ending { reason: EndReason::NodeUnseen, message }));
}

#[test]
fn a_runtime_that_fails_on_and_on_ends_the_sweep() {
    let pace = Pace { max_failures: 2, in_flight: 1, ..Pace::default() };
    let (steps, rails) = (steps(5), GuardRails::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    let failed = |why: &str| Attempt::Over(Outcome::Failed(why.to_owned()));
    let refused = Attempt::Over(says_in_use());
    for (place, answer) in [failed("first"), refused, failed("second"), failed("third")].into_iter().enumerate() {
        sweep.on(looked(node(0..5)));
        assert_eq!(started(&mut sweep), [place], "a refusal is no failure, and begins the count again");
        sweep.on(Event::Answered(place, answer));
    }
    sweep.on(looked(node(0..5)));
    let swept = carry_out(sweep, (0..5).collect());
    let message = "2 removals failed in a row, the last with: third".to_owned();
    assert_eq!(swept.outcomes[4], Outcome::NotAttempted(message.clone()));
    assert_eq!(swept.ending, Some(Ending { reason: EndReason::RuntimeFailing, message }));
}

#[test]
fn failures_without_anything_left_end_nothing_early() {
    let pace = Pace { max_failures: 1, ..Pace::default() };
    let (steps, rails) = (steps(1), GuardRails::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..1)));
    started(&mut sweep);
    sweep.on(Event::Answered(0, Attempt::Over(Outcome::Failed("no".to_owned()))));
    sweep.on(looked(node(0..1)));
    let swept = carry_out(sweep, vec![0]);
    assert_eq!((swept.outcomes, swept.ending), (vec![Outcome::Failed("no".to_owned())], None));
}

#[test]
fn an_unanswered_removal_is_tried_four_times_each_by_another_look() {
    let (steps, rails, pace) = (steps(1), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    for _ in 0..4 {
        assert!(matches!(sweep.next_action(), Action::Look));
        sweep.on(looked(node(0..1)));
        assert_eq!(started(&mut sweep), [0]);
        sweep.on(Event::Answered(0, Attempt::Unanswered("the connection broke".to_owned())));
    }
    assert_eq!(sweep.news().iter().filter(|news| matches!(news, News::Retry(_))).count(), 3);
    assert!(matches!(sweep.next_action(), Action::Look), "the last look");
    sweep.on(looked(node(0..1)));
    assert_eq!(carry_out(sweep, vec![0]).outcomes, [Outcome::Failed("the connection broke".to_owned())]);
}

#[test]
fn an_unanswered_removal_that_was_carried_out_is_one() {
    let (steps, rails, pace) = (steps(1), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..1)));
    started(&mut sweep);
    sweep.on(Event::Answered(0, Attempt::Unanswered("the connection broke".to_owned())));
    assert_eq!(carry_out(sweep, Vec::new()).outcomes, [Outcome::Removed]);
}

#[test]
fn a_retry_needs_a_look_that_began_after_the_failure() {
    let (steps, rails, pace) = (steps(40), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..40)));
    assert_eq!(started(&mut sweep).len(), 32);
    assert!(matches!(sweep.next_action(), Action::Look));
    sweep.on(Event::Answered(5, Attempt::Unanswered("the connection broke".to_owned())));
    sweep.on(looked(node(0..40)));
    assert_eq!(started(&mut sweep), (32..40).collect::<Vec<_>>());
    assert!(matches!(sweep.next_action(), Action::Look));
    sweep.on(looked(node(0..40)));
    assert_eq!(started(&mut sweep), [5]);
}

#[test]
fn an_end_leaves_what_has_not_started_and_waits_for_the_rest() {
    let pace = Pace { in_flight: 2, ..Pace::default() };
    let (steps, rails) = (steps(4), GuardRails::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..4)));
    let Action::Remove(0, _) = sweep.next_action() else { panic!() };
    assert!(sweep.can_stop());
    sweep.on(Event::Stopped(ending(EndReason::Stopped)));
    assert!(!sweep.can_stop(), "once is enough");
    assert!(matches!(sweep.next_action(), Action::Wait), "the second had not started");
    sweep.on(Event::Answered(0, Attempt::Accepted));
    sweep.on(looked(node(1..4)));
    let swept = carry_out(sweep, (1..4).collect());
    assert_eq!(swept.outcomes[0], Outcome::Removed);
    assert_eq!(swept.outcomes[1..], vec![Outcome::NotAttempted("it is enough".to_owned()); 3]);
    assert_eq!(swept.ending, Some(ending(EndReason::Stopped)));
}

#[test]
fn what_is_not_waited_for_is_settled_by_the_last_look() {
    let (steps, rails, pace) = (steps(2), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..2)));
    started(&mut sweep);
    sweep.on(Event::Overdue(ending(EndReason::TimeLimit)));
    assert!(matches!(sweep.next_action(), Action::Look) && sweep.is_settling());
    sweep.on(looked(node(1..2)));
    let swept = carry_out(sweep, vec![1]);
    let why = "it is enough before the runtime answered; it may still remove the image".to_owned();
    assert_eq!(swept.outcomes, [Outcome::Removed, Outcome::Failed(why)]);
}

#[test]
fn an_answer_after_that_changes_nothing() {
    let (steps, rails, pace) = (steps(1), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..1)));
    started(&mut sweep);
    sweep.on(Event::Overdue(ending(EndReason::TimeLimit)));
    sweep.on(Event::Answered(0, Attempt::Accepted));
    sweep.on(Event::OutOfTime);
    assert!(matches!(sweep.next_action(), Action::Done));
    assert!(matches!(&sweep.swept().outcomes[0], Outcome::Failed(why) if why.contains("may still remove")));
}

#[test]
fn without_time_for_a_last_look_success_is_not_known() {
    let (steps, rails, pace) = (steps(2), GuardRails::default(), Pace::default());
    for (event, why) in [
        (Event::OutOfTime, "the run was over before the node could be looked at"),
        (Event::Looked(Err("no answer".to_owned())), "no answer"),
    ] {
        let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
        sweep.on(looked(node(0..2)));
        started(&mut sweep);
        sweep.on(Event::Answered(0, Attempt::Accepted));
        sweep.on(Event::Answered(1, Attempt::HasChildren(IN_USE.to_owned())));
        assert!(matches!(sweep.next_action(), Action::Look));
        sweep.on(event);
        assert!(matches!(sweep.next_action(), Action::Done));
        let message = format!("the removal was accepted, but whether the image is gone is unknown: {why}");
        assert_eq!(sweep.swept().outcomes, [Outcome::Failed(message), says_in_use()]);
    }
}

#[test]
fn the_runtime_is_looked_at_four_times_for_what_it_accepted() {
    let (steps, rails, pace) = (steps(1), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..1)));
    started(&mut sweep);
    sweep.on(Event::Answered(0, Attempt::Accepted));
    for check in 0..4 {
        if check > 0 {
            assert!(matches!(sweep.next_action(), Action::Rest(time) if time == Duration::from_millis(100)));
            sweep.on(Event::Rested);
        }
        assert!(matches!(sweep.next_action(), Action::Look));
        sweep.on(looked(node(0..1)));
    }
    // The runtime is not one that removes by name: one more look finds that out, and four more make sure.
    let swept = carry_out(sweep, vec![0]);
    let kept = ImageObjection::KeptByRuntime { since: Timestamp::UNIX_EPOCH };
    assert_eq!(swept.outcomes, [Outcome::NoLongerAllowed(kept.into())]);
}

fn cri_o(images: impl IntoIterator<Item = usize>) -> Snapshot {
    let mut snapshot = node(images);
    "cri-o".clone_into(&mut snapshot.node.runtime_name);
    snapshot
}

/// A sweep that has looked four times for an image that the runtime accepted and lists.
fn listed_all_the_same<'a>(steps: &'a [Step<Images>], rails: &'a GuardRails, pace: &'a Pace) -> Sweep<'a> {
    let mut sweep = Sweep::new(steps, rails, pace, &[]);
    sweep.on(looked(cri_o(0..1)));
    started(&mut sweep);
    sweep.on(Event::Answered(0, Attempt::Over(Outcome::AlreadyGone)));
    for _ in 0..4 {
        while !matches!(sweep.next_action(), Action::Look) {
            sweep.on(Event::Rested);
        }
        sweep.on(looked(cri_o(0..1)));
    }
    sweep
}

#[test]
fn what_is_kept_is_asked_for_by_each_name_once() {
    let (steps, rails, pace) = (steps(1), GuardRails::default(), Pace::default());
    let mut sweep = listed_all_the_same(&steps, &rails, &pace);
    for name in ["docker.io/a/b:0", "docker.io/a/c:0"] {
        assert!(matches!(sweep.next_action(), Action::Look), "each request has a look of its own");
        assert!(sweep.can_stop());
        sweep.on(looked(cri_o(0..1)));
        let Action::Remove(0, clearance) = sweep.next_action() else { panic!("{sweep:?}") };
        assert_eq!(clearance.asked(), name);
        assert!(matches!(sweep.next_action(), Action::Wait));
        sweep.on(Event::Answered(0, Attempt::Accepted));
    }
    assert!(matches!(sweep.next_action(), Action::Look));
    sweep.on(looked(cri_o([])));
    let swept = carry_out(sweep, Vec::new());
    assert_eq!(swept.outcomes, [Outcome::Removed], "the answer by name counts, and not the first one");
}

#[test]
fn a_request_by_name_ends_with_the_run_or_with_a_use() {
    let (steps, rails, pace) = (steps(1), GuardRails::default(), Pace::default());
    let mut stopped = listed_all_the_same(&steps, &rails, &pace);
    stopped.next_action();
    assert!(stopped.can_stop());
    stopped.on(Event::Stopped(ending(EndReason::Stopped)));
    assert!(!stopped.can_stop(), "once is enough");
    assert_eq!(carry_out(stopped, vec![0]).outcomes, [Outcome::StillListed]);

    let mut used = listed_all_the_same(&steps, &rails, &pace);
    used.next_action();
    let mut snapshot = cri_o(0..1);
    snapshot.containers.push(user_of(0));
    used.on(looked(snapshot));
    let by = "container web (exited) of pod shop/web".to_owned();
    assert_eq!(carry_out(used, vec![0]).outcomes, [Outcome::NoLongerAllowed(ImageObjection::InUse { by }.into())]);

    let mut lost = listed_all_the_same(&steps, &rails, &pace);
    lost.next_action();
    lost.on(looked(cri_o(0..1)));
    lost.next_action();
    lost.on(Event::Lost);
    assert!(matches!(lost.next_action(), Action::Look), "the next name");
}

#[test]
fn a_request_by_name_that_fails_leaves_the_first_answer() {
    let (steps, rails, pace) = (steps(1), GuardRails::default(), Pace::default());
    let failed = Attempt::Over(Outcome::Failed("no".to_owned()));
    for (answer, outcome) in [(failed, Outcome::AlreadyGone), (Attempt::Accepted, Outcome::Removed)] {
        let mut sweep = listed_all_the_same(&steps, &rails, &pace);
        sweep.next_action();
        sweep.on(looked(cri_o(0..1)));
        assert!(matches!(sweep.next_action(), Action::Remove(0, _)));
        sweep.on(Event::Answered(0, answer));
        assert!(matches!(sweep.next_action(), Action::Look));
        sweep.on(looked(cri_o([])));
        assert_eq!(carry_out(sweep, Vec::new()).outcomes, [outcome]);
    }
}

#[test]
fn images_that_others_were_built_on_go_with_the_last_of_them() {
    let (steps, rails, pace) = (steps(2), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..2)));
    started(&mut sweep);
    for place in 0..2 {
        sweep.on(Event::Answered(place, Attempt::HasChildren(IN_USE.to_owned())));
    }
    assert!(matches!(sweep.next_action(), Action::Look));
    sweep.on(looked(node(1..2)));
    let swept = carry_out(sweep, vec![1]);
    assert_eq!(swept.outcomes, [Outcome::Removed, says_in_use()]);
    assert_eq!(swept.remarks[&0].answer.as_deref(), Some(IN_USE));
}

#[test]
fn names_that_a_refused_removal_took_are_reported() {
    let (steps, rails, pace) = (steps(1), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..1)));
    started(&mut sweep);
    sweep.on(Event::Answered(0, Attempt::Over(says_in_use())));
    assert!(matches!(sweep.next_action(), Action::Look));
    sweep.on(looked(fixture::snapshot(vec![fixture::image(&id(0), &["docker.io/a/c:0"], &[])], Vec::new())));
    assert!(matches!(sweep.next_action(), Action::Done));
    let lost = vec!["docker.io/a/b:0".to_owned()];
    assert!(sweep.news().contains(&News::LostNames(0, lost.clone())));
    let swept = sweep.swept();
    assert_eq!((&swept.outcomes[0], &swept.remarks[&0].lost_names), (&says_in_use(), &lost));
}

#[test]
fn a_failure_is_a_removal_if_the_image_is_gone() {
    let (steps, rails, pace) = (steps(2), GuardRails::default(), Pace::default());
    let mut sweep = Sweep::new(&steps, &rails, &pace, &[]);
    sweep.on(looked(node(0..2)));
    started(&mut sweep);
    sweep.on(Event::Answered(0, Attempt::Over(Outcome::Failed("no".to_owned()))));
    sweep.on(Event::Lost);
    assert!(matches!(sweep.next_action(), Action::Look));
    sweep.on(looked(node([])));
    let swept = carry_out(sweep, Vec::new());
    assert_eq!(swept.outcomes, [Outcome::Removed, Outcome::Removed]);
    let answers: Vec<_> = swept.remarks.values().map(|remark| remark.answer.as_deref()).collect();
    assert_eq!(answers, [Some("no"), Some("the removal ended without an answer")]);
}
