//! Every order of answers, failures, losses and ends: a runtime that does anything, against rules of its own.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::any;
use proptest::{collection, prop_assert, prop_assert_eq, proptest, sample};

use super::{ending, full, id, image, says_in_use, steps, user_of};
use crate::fixture;
use crate::guard::images::{ImageObjection, Images};
use crate::guard::{Clearance, GuardRails, Refusal, Step};
use crate::pressure::Pressure;
use crate::report::{EndReason, Outcome, Swept};
use crate::snapshot::Snapshot;
use crate::sweep::{Action, Attempt, Event, Pace, Sweep};

/// Decisions that were drawn beforehand; when they are used up, all is quiet.
struct Dice(std::vec::IntoIter<u8>);

impl Dice {
    fn below(&mut self, sides: u8) -> u8 {
        self.0.next().map_or(sides - 1, |rolled| rolled % sides)
    }
}

/// An image on the node, or what became of it.
#[derive(Clone, Debug)]
struct Held {
    names: Vec<String>,
    is_there: bool,
    is_used: bool,
}

/// A node, and everything that was asked of it.
struct World {
    dice: Dice,
    images: Vec<Held>,
    /// Answers that have not been given.
    in_flight: BTreeMap<usize, Attempt>,
    looks: u32,
    /// By which look each image was asked for last.
    asked: BTreeMap<usize, u32>,
    /// The node as the last look showed it.
    shown: Vec<Held>,
    has_ended: bool,
    /// Images that were asked for and have not been looked at since the answer.
    accepted: BTreeSet<usize>,
    is_blind: bool,
}

impl World {
    fn new(count: usize, dice: Vec<u8>) -> Self {
        let held = |n| Held { names: image(n).repo_tags, is_there: true, is_used: false };
        let images: Vec<Held> = (0..count).map(held).collect();
        Self {
            dice: Dice(dice.into_iter()),
            shown: images.clone(),
            images,
            in_flight: BTreeMap::new(),
            looks: 0,
            asked: BTreeMap::new(),
            has_ended: false,
            accepted: BTreeSet::new(),
            is_blind: false,
        }
    }

    fn snapshot(&self) -> Snapshot {
        let there = || (0..).zip(&self.images).filter(|(_, held)| held.is_there);
        let image = |(n, held): (usize, &Held)| {
            let names: Vec<&str> = held.names.iter().map(String::as_str).collect();
            fixture::image(&id(n), &names, &[])
        };
        let users = there().filter(|(_, held)| held.is_used).map(|(n, _)| user_of(n)).collect();
        let mut snapshot = fixture::snapshot(there().map(image).collect(), users);
        "cri-o".clone_into(&mut snapshot.node.runtime_name);
        snapshot
    }

    /// Something happens on the node by itself.
    fn live(&mut self) {
        let at = usize::from(self.dice.below(20));
        if let Some(held) = self.images.get_mut(at) {
            match self.dice.below(6) {
                0 => held.is_there = false,
                1 => held.is_used = true,
                2 => held.is_used = false,
                _ => {}
            }
        }
    }

    /// The runtime takes a request, and decides what it will answer.
    fn remove(&mut self, place: usize, clearance: &Clearance<Images>) {
        let held = &mut self.images[place];
        let by_name = clearance.asked() != clearance.target().as_str();
        if by_name {
            assert!(held.names.iter().any(|name| name == clearance.asked()), "{} is no name of it", clearance.asked());
        }
        assert!(!self.shown[place].is_used && self.shown[place].is_there, "the look showed otherwise");
        let before = self.asked.insert(place, self.looks);
        assert!(before.is_none_or(|look| look < self.looks), "twice on one look");
        assert!(!self.has_ended, "nothing starts after the end");
        let failed = || Outcome::Failed("no".to_owned());
        let answer = match self.dice.below(12) {
            0 => Attempt::Over(failed()),
            1 => Attempt::Unanswered("gone away".to_owned()),
            2 => {
                held.is_there = false;
                Attempt::Unanswered("gone away".to_owned())
            }
            3 => Attempt::Over(says_in_use()),
            4 => {
                held.names.truncate(1);
                Attempt::Over(says_in_use())
            }
            5 => Attempt::HasChildren("children".to_owned()),
            6 => {
                held.is_there = false;
                Attempt::HasChildren("children".to_owned())
            }
            7 => {
                held.is_there = false;
                Attempt::Over(failed())
            }
            8 => Attempt::Over(Outcome::AlreadyGone),
            9 => Attempt::Accepted,
            _ => {
                held.is_there = false;
                Attempt::Accepted
            }
        };
        self.in_flight.insert(place, answer);
    }

    /// Gives some answers, in any order.
    fn answer(&mut self, sweep: &mut Sweep<'_>, at_least: usize) {
        let count = at_least.max(usize::from(self.dice.below(4)));
        for _ in 0..count {
            let places: Vec<usize> = self.in_flight.keys().copied().collect();
            let Some(last) = places.len().checked_sub(1) else { return };
            let place = places[usize::from(self.dice.below(8)).min(last)];
            if let Some(attempt) = self.in_flight.remove(&place) {
                if matches!(attempt, Attempt::Accepted | Attempt::Over(Outcome::AlreadyGone)) {
                    self.accepted.insert(place);
                }
                sweep.on(Event::Answered(place, attempt));
            }
        }
    }

    /// Makes the event that an action leads to.
    fn event(&mut self, action: &Action, sweep: &mut Sweep<'_>) -> Event {
        if self.dice.below(40) == 0 {
            if sweep.is_settling() {
                self.is_blind = true;
                return Event::OutOfTime;
            }
            self.has_ended = true;
            return Event::Overdue(ending(EndReason::TimeLimit));
        }
        if sweep.can_stop() && self.dice.below(30) == 0 {
            self.has_ended = true;
            return Event::Stopped(ending(EndReason::Stopped));
        }
        match action {
            Action::Look => self.look(sweep),
            Action::Measure => Event::Measured(Ok(full(if self.dice.below(10) == 0 { 50 } else { 90 }))),
            Action::Rest(_) => Event::Rested,
            _ if self.in_flight.is_empty() || self.dice.below(50) == 0 => {
                self.in_flight.clear();
                Event::Lost
            }
            _ => {
                self.answer(sweep, 1);
                Event::Rested
            }
        }
    }

    fn look(&mut self, sweep: &mut Sweep<'_>) -> Event {
        if self.dice.below(40) == 0 {
            self.has_ended |= !sweep.is_settling();
            self.is_blind |= sweep.is_settling();
            return Event::Looked(Err("no answer".to_owned()));
        }
        self.looks += 1;
        self.shown = self.images.clone();
        let snapshot = self.snapshot();
        if self.dice.below(3) == 0 {
            self.answer(sweep, 0);
        }
        Event::Looked(Ok(Box::new(snapshot)))
    }

    /// Carries a sweep to its end.
    fn carry_out(&mut self, steps: &[Step<Images>], pace: &Pace) -> Swept<Images> {
        let rails = GuardRails::default();
        let mut sweep = Sweep::new(steps, &rails, pace, &full(90));
        for _ in 0..20_000 {
            match sweep.next_action() {
                Action::Done => return sweep.swept(),
                Action::Remove(at, clearance) => {
                    assert_eq!(clearance.target(), steps[at].target());
                    self.remove(at, &clearance);
                    assert!(self.in_flight.len() <= pace.in_flight, "too many at once");
                }
                action => {
                    self.live();
                    let event = self.event(&action, &mut sweep);
                    sweep.on(event);
                }
            }
        }
        panic!("it does not end: {sweep:?}");
    }

    /// Checks the outcome of a step against the node as the last look showed it.
    fn judge(&self, place: usize, outcome: &Outcome<Images>, swept: &Swept<Images>) -> Result<(), String> {
        let (was_asked, shown) = (self.asked.contains_key(&place), &self.shown[place]);
        let is_so = match outcome {
            Outcome::Truncated => false,
            Outcome::Removed => was_asked && !shown.is_there,
            Outcome::AlreadyGone => !shown.is_there,
            Outcome::NoLongerAllowed(Refusal::Own(ImageObjection::KeptByRuntime { .. })) => {
                was_asked && shown.is_there && self.accepted.contains(&place) && swept.ending.is_none()
            }
            Outcome::NoLongerAllowed(Refusal::Own(ImageObjection::RuntimeSaysInUse { .. })) => was_asked,
            Outcome::NoLongerAllowed(_) => true,
            Outcome::StillListed => was_asked && shown.is_there && swept.ending.is_some(),
            Outcome::NotAttempted(_) | Outcome::NotNeeded(_) => !was_asked && swept.ending.is_some(),
            Outcome::Failed(_) => was_asked && (shown.is_there || self.is_blind),
        };
        if is_so { Ok(()) } else { Err(format!("{place}: {outcome:?}, asked: {was_asked}, {shown:?}")) }
    }
}

proptest! {
    #[test]
    fn every_order_of_events_ends_with_true_outcomes(
        count in 0..16_usize,
        dice in collection::vec(any::<u8>(), 0..400),
        in_flight in 1..6_usize,
        pause in any::<bool>(),
        until in sample::select(vec![None, Some(60)]),
        max_failures in 1..6_u32,
    ) {
        let pause = std::time::Duration::from_millis(pause.into());
        let pressure = Pressure { until, ..Pressure::default() };
        let pace = Pace { in_flight, pause, pressure, max_failures };
        let steps = steps(count);
        let mut world = World::new(count, dice);
        let swept = world.carry_out(&steps, &pace);
        prop_assert_eq!(swept.outcomes.len(), count);
        for (place, outcome) in swept.outcomes.iter().enumerate() {
            let judged = world.judge(place, outcome, &swept);
            prop_assert!(judged.is_ok(), "{}, {:?}", judged.unwrap_err(), swept.ending);
        }
        for (place, remark) in &swept.remarks {
            let has_lost = |name: &String| !world.shown[*place].names.contains(name);
            prop_assert!(remark.lost_names.iter().all(|name| has_lost(name) || !world.shown[*place].is_there));
        }
        prop_assert!(!world.has_ended || swept.ending.is_some() || world.is_blind);
    }
}
