//! Carrying out a plan: look again, check again, remove.

use std::collections::BTreeMap;

use futures_util::future::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use holystone_core::guard::{Clearance, Guard, GuardRails, Refusal, Step};
use holystone_core::report::Outcome;
use holystone_node::Attempt;
use jiff::Timestamp;

use crate::observe::LiveNode;

/// How many removals are under way at once. containerd ends each with a collection of its whole store, which calls
/// in flight together share: one at a time is quadratic in the number of images. The benchmark `sweep` measures it.
const IN_FLIGHT: usize = 128;

/// How often a removal is tried that nobody answers, as while the runtime restarts.
const TRIES: u32 = 4;

/// Performs the steps in order and says what became of each. Before an image is removed, the node is looked at
/// anew and the guard rails are asked again; one look serves the removals that start right after it.
///
/// A step that fails stops no other. Only a node that cannot be looked at any more ends the sweep: what
/// cannot be checked is not removed.
pub(crate) async fn sweep(node: &LiveNode, steps: &[Step], rails: &GuardRails) -> Vec<Outcome> {
    let mut sweep = Sweep::new(node, steps, rails);
    let mut under_way = FuturesUnordered::new();
    while !sweep.waiting.is_empty() || !under_way.is_empty() {
        for (turn, clearance) in sweep.clear_next(IN_FLIGHT - under_way.len()).await {
            under_way.push(async move { (turn, node.cri.remove_image(clearance).await) });
        }
        let mut ended = under_way.next().await;
        // One that has ended is often one of many: they shared a collection, and can share the next look.
        while let Some((turn, attempt)) = ended {
            sweep.note_attempt(turn, attempt);
            ended = under_way.next().now_or_never().flatten();
        }
    }
    sweep.outcomes()
}

/// One try of a step.
#[derive(Clone, Copy)]
struct Turn {
    /// Its place in the plan.
    place: usize,
    /// How often it has been tried before.
    before: u32,
}

/// A sweep under way.
struct Sweep<'a> {
    node: &'a LiveNode,
    rails: &'a GuardRails,
    steps: &'a [Step],
    /// What is to be started, by its place in the plan, with how often it has been tried before.
    waiting: BTreeMap<usize, u32>,
    outcomes: Vec<Option<Outcome>>,
}

impl<'a> Sweep<'a> {
    fn new(node: &'a LiveNode, steps: &'a [Step], rails: &'a GuardRails) -> Self {
        let waiting = (0..steps.len()).map(|place| (place, 0)).collect();
        Self { node, rails, steps, waiting, outcomes: vec![None; steps.len()] }
    }

    /// Looks at the node and clears the next steps, at most `room` of them. Those that may not be performed any
    /// more get their outcome here.
    async fn clear_next(&mut self, room: usize) -> Vec<(Turn, Clearance)> {
        if room == 0 || self.waiting.is_empty() {
            return Vec::new();
        }
        let snapshot = match self.node.cri.look(Timestamp::now(), &self.node.name).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.give_up(&format!("the node could not be looked at again: {error}"));
                return Vec::new();
            }
        };
        let guard = Guard::new(&snapshot, self.rails);
        let mut cleared = Vec::with_capacity(room);
        while cleared.len() < room
            && let Some((place, before)) = self.waiting.pop_first()
        {
            match guard.clear(&self.steps[place]) {
                Ok(clearance) => cleared.push((Turn { place, before }, clearance)),
                // The try that nobody answered was carried out after all.
                Err(Refusal::NotFound) if before > 0 => self.note(place, Outcome::Removed),
                Err(Refusal::NotFound) => self.note(place, Outcome::AlreadyGone),
                Err(refusal) => self.note(place, Outcome::NoLongerAllowed(refusal)),
            }
        }
        cleared
    }

    fn note_attempt(&mut self, turn: Turn, attempt: Attempt) {
        let tries = turn.before + 1;
        match attempt {
            Attempt::Over(outcome) => self.note(turn.place, outcome),
            Attempt::Unanswered(why) if tries < TRIES => {
                tracing::debug!("{why}; after another look it is tried again");
                self.waiting.insert(turn.place, tries);
            }
            Attempt::Unanswered(why) => self.note(turn.place, Outcome::Failed(why)),
        }
    }

    /// Leaves all that has not been started.
    fn give_up(&mut self, why: &str) {
        tracing::error!("{why}");
        for (place, before) in std::mem::take(&mut self.waiting) {
            let outcome = match before {
                0 => Outcome::NotAttempted(why.to_owned()),
                _ => Outcome::Failed(format!("its removal was not answered, and {why}")),
            };
            self.note(place, outcome);
        }
    }

    fn note(&mut self, place: usize, outcome: Outcome) {
        let step = &self.steps[place];
        let (image, plugin, reason) = (step.image().as_str(), step.plugin(), step.reason().kind.as_str());
        tracing::info!(image, plugin, reason, outcome = outcome.as_str());
        self.outcomes[place] = Some(outcome);
    }

    fn outcomes(self) -> Vec<Outcome> {
        let never = || Outcome::NotAttempted("the sweep ended before".to_owned());
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(never)).collect()
    }
}
