//! Random lives of a node: pulls, uses, boots, clocks that are set, states that are lost. Nothing that the rails let go
//! has been there, or unused, for less than they ask.

use proptest::prelude::{Just, Strategy};
use proptest::{collection, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::clock::Clock;

/// What happens to the node, in minutes.
#[derive(Clone, Debug)]
enum Event {
    Pass(i64),
    /// The wall clock is set by so much.
    Set(i64),
    /// It is off for so long, and comes up with a clock that is wrong by so much.
    Boot(i64, i64),
    Pull(usize),
    Vanish(usize),
    Start(usize),
    Stop(usize),
    /// A run that only remembers.
    Run,
    /// What is remembered is lost; or only its times, or the last write.
    Lose,
    Damage,
    Unwritten,
}

const IDS: [&str; 4] = ["a", "b", "c", "d"];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let jump = || {
        prop_oneof![Just(0), -60..60_i64, Just(40 * 24 * 60), Just(-40 * 24 * 60), Just(6_000_000), Just(-25_000_000)]
    };
    let one = prop_oneof![
        6 => (0..40_i64).prop_map(Event::Pass),
        1 => jump().prop_map(Event::Set),
        1 => (0..5_000_i64, jump()).prop_map(|(off, wrong)| Event::Boot(off, wrong)),
        3 => (0..IDS.len()).prop_map(Event::Pull),
        1 => (0..IDS.len()).prop_map(Event::Vanish),
        2 => (0..IDS.len()).prop_map(Event::Start),
        2 => (0..IDS.len()).prop_map(Event::Stop),
        5 => Just(Event::Run),
        1 => Just(Event::Lose),
        1 => Just(Event::Damage),
        1 => Just(Event::Unwritten),
    ];
    collection::vec(one, 1..60)
}

/// The node as it really is, by a time that nobody sets.
struct World {
    truth: i64,
    wall: i64,
    boot: usize,
    booted: i64,
    /// Since when each image is there, and until when it was last in use.
    images: [Option<(i64, Option<i64>)>; 4],
    running: [bool; 4],
    /// Images that have gone since the last look: one that is back by the next never seems to have been away.
    away: [Option<(i64, Option<i64>)>; 4],
    /// Those that a run has seen in use since they were started: what comes and goes between two looks shows to nobody.
    seen: [bool; 4],
    state: State,
    /// What is on the disk, where the last write failed.
    unwritten: bool,
}

impl World {
    fn new() -> Self {
        Self {
            truth: 0,
            wall: 0,
            boot: 0,
            booted: -1_000,
            images: [None; 4],
            running: [false; 4],
            away: [None; 4],
            seen: [false; 4],
            state: State::new(at(0)),
            unwritten: false,
        }
    }

    fn pass(&mut self, minutes: i64) {
        self.truth += minutes;
        self.wall += minutes;
        for (image, seen) in self.images.iter_mut().zip(self.seen) {
            if let Some((_, used)) = image.as_mut().filter(|_| seen) {
                *used = Some(self.truth);
            }
        }
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Pass(minutes) => self.pass(minutes),
            Event::Set(by) => self.wall += by,
            Event::Boot(off, wrong) => {
                self.running = [false; 4];
                self.seen = [false; 4];
                self.pass(off);
                self.wall += wrong;
                self.boot += 1;
                self.booted = self.truth;
            }
            Event::Pull(place) => {
                let back = self.away[place].take().unwrap_or((self.truth, None));
                self.images[place].get_or_insert(back);
            }
            Event::Vanish(place) if !self.running[place] => {
                if let Some(image) = self.images[place].take() {
                    self.away[place] = Some(image);
                }
            }
            Event::Start(place) if self.images[place].is_some() => self.running[place] = true,
            Event::Stop(place) => (self.running[place], self.seen[place]) = (false, false),
            Event::Vanish(_) | Event::Start(_) => {}
            Event::Run => drop(self.run()),
            Event::Lose => self.state = State::new(at(self.wall)).damaged(),
            Event::Damage => self.state = self.state.clone().damaged(),
            Event::Unwritten => self.unwritten = true,
        }
        self.pass(0);
    }

    fn look(&self) -> Snapshot {
        let present: Vec<&str> =
            IDS.into_iter().zip(self.images).filter_map(|(id, image)| image.is_some().then_some(id)).collect();
        let mut now = node(self.wall, &present);
        for (id, running) in IDS.into_iter().zip(self.running) {
            if running {
                let image = ImageMentions { image_id: id.to_owned(), ..ImageMentions::default() };
                now.containers.push(container(&format!("c-{id}"), image));
            }
        }
        now.sandboxes.push(crate::fixture::sandbox("s", ""));
        now.node.clock = Some(Clock {
            boot_id: format!("boot-{}", self.boot),
            up_for: SignedDuration::from_mins(self.truth - self.booted),
            built: at(-1_000),
        });
        now
    }

    /// A run as it takes place: the state is read, taken on, and written unless the disk is full.
    fn run(&mut self) -> Snapshot {
        let mut now = self.look();
        let mut state =
            if self.state.since.is_some() && !self.state.losing { reread(&self.state) } else { self.state.clone() };
        state.observe(&mut now);
        if !std::mem::take(&mut self.unwritten) {
            self.state = state;
            self.seen = self.running;
            self.away = [None; 4];
        }
        now
    }
}

proptest! {
    #[test]
    fn nothing_goes_that_has_not_really_been_there_and_unused_for_as_long_as_it_has_to(events in events()) {
        let rails = GuardRails { unknown_is_young: true, ..GuardRails::default() };
        let min_age = rails.min_age.as_mins();
        let mut world = World::new();
        for event in &events {
            world.happen(event);
            if !matches!(event, Event::Run) {
                continue;
            }
            let now = world.run();
            for step in &plan(&now, &rails, "p", &IDS).steps {
                let place = IDS.iter().position(|id| *id == step.target().as_str()).unwrap();
                let (since, used) = world.images[place].unwrap();
                prop_assert!(world.truth - since >= min_age, "pulled {} minutes ago", world.truth - since);
                let idle = used.map_or(i64::MAX, |used| world.truth - used);
                prop_assert!(idle >= min_age, "in use {idle} minutes ago");
                prop_assert!(world.truth - world.booted >= min_age, "just booted");
            }
            // What policies go by is never more than what really passed, but for what the clock made of each boot.
            let believed = i64::try_from(world.boot).unwrap() * 24 * 60;
            for image in &now.images {
                let place = IDS.iter().position(|id| *id == image.id.as_str()).unwrap();
                let (since, used) = world.images[place].unwrap();
                let age = |time: Timestamp| now.taken_at.duration_since(time).as_mins();
                prop_assert!(image.first_seen.is_none_or(|first| age(first) <= world.truth - since + believed));
                if let (Some(last), Some(used)) = (image.last_used, used) {
                    prop_assert!(age(last) <= world.truth - used + believed, "unused for {} by what is remembered", age(last));
                }
            }
        }
    }

    /// A node that is left alone is cleaned: rails that say no to everything would pass the test above.
    #[test]
    fn a_node_whose_clock_is_left_alone_is_cleaned_in_the_end(events in events()) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
        }
        (world.running, world.seen) = ([false; 4], [false; 4]);
        world.unwritten = false;
        // Whatever the clock said before, from now on it is right.
        world.wall = world.truth;
        world.run();
        world.pass(61);
        world.run();
        world.pass(61);
        let now = world.run();
        let steps = plan(&now, &GuardRails::default(), "p", &IDS).steps.len();
        prop_assert_eq!(steps, world.images.iter().flatten().count());
    }
}
