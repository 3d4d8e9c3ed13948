//! Carrying out a plan: look again, check again, remove, make sure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holystone_core::guard::{Guard, GuardRails, Refusal, Step};
use holystone_core::report::Outcome;
use holystone_core::snapshot::Snapshot;
use holystone_node::{Attempt, NodeError};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::observe::LiveNode;

/// How many removals are under way at once. containerd ends each with a collection of its whole store, which calls
/// in flight together share: one at a time is quadratic in the number of images. The benchmark `sweep` measures it.
const IN_FLIGHT: usize = 1024;

/// How many removals start on one look at the node. Smaller costs more looks; larger lets a look grow old.
const BATCH: usize = 512;

/// How often a removal is tried that nobody answers, as while the runtime restarts.
const TRIES: u32 = 4;

/// How often, and how long apart, to look whether images are gone: some runtimes tell their list by an event.
const CHECKS: u32 = 4;
const BETWEEN_CHECKS: Duration = Duration::from_millis(100);

/// Performs the steps in order and says what became of each. Before an image is removed, the node is looked at
/// anew and the guard rails are asked again; one look serves the removals that start right after it. An image
/// counts as removed when a later look does not show it any more.
///
/// A step that fails stops no other. Only a node that cannot be looked at any more ends the sweep: what
/// cannot be checked is not removed.
pub(crate) async fn sweep(node: &LiveNode, steps: &[Step], rails: &GuardRails) -> Vec<Outcome> {
    let mut sweep = Sweep::new(node, steps, rails);
    while !sweep.waiting.is_empty() || !sweep.under_way.is_empty() {
        let room = BATCH.min(IN_FLIGHT - sweep.under_way.len());
        if room == 0 || sweep.waiting.is_empty() {
            sweep.wait().await;
        } else {
            sweep.start(room).await;
        }
        sweep.collect();
    }
    sweep.make_sure().await;
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
    /// Removals that the runtime has not answered. They go on while the node is looked at for the next ones.
    under_way: JoinSet<(Turn, Attempt)>,
    /// Removals that the runtime reported as done and no look has confirmed.
    accepted: BTreeSet<usize>,
    outcomes: Vec<Option<Outcome>>,
}

impl<'a> Sweep<'a> {
    fn new(node: &'a LiveNode, steps: &'a [Step], rails: &'a GuardRails) -> Self {
        let waiting = (0..steps.len()).map(|place| (place, 0)).collect();
        let (under_way, accepted) = (JoinSet::new(), BTreeSet::new());
        Self { node, rails, steps, waiting, under_way, accepted, outcomes: vec![None; steps.len()] }
    }

    async fn look(&self) -> Result<Snapshot, NodeError> {
        self.node.cri.look(Timestamp::now(), &self.node.name).await
    }

    /// Looks at the node and starts the next steps, at most `room` of them. Those that may not be performed any
    /// more get their outcome here.
    async fn start(&mut self, room: usize) {
        let snapshot = match self.look().await {
            Ok(snapshot) => snapshot,
            Err(error) => return self.give_up(&format!("the node could not be looked at again: {error}")),
        };
        self.confirm(&snapshot);
        let guard = Guard::new(&snapshot, self.rails);
        for _ in 0..room {
            let Some((place, before)) = self.waiting.pop_first() else { return };
            match guard.clear(&self.steps[place]) {
                Ok(clearance) => {
                    let cri = self.node.cri.clone();
                    let turn = Turn { place, before };
                    self.under_way.spawn(async move { (turn, cri.remove_image(clearance).await) });
                }
                // The try that nobody answered was carried out after all.
                Err(Refusal::NotFound) if before > 0 => self.note(place, Outcome::Removed),
                Err(Refusal::NotFound) => self.note(place, Outcome::AlreadyGone),
                Err(refusal) => self.note(place, Outcome::NoLongerAllowed(refusal)),
            }
        }
    }

    /// Waits until a removal has been answered.
    async fn wait(&mut self) {
        if let Some(Ok((turn, attempt))) = self.under_way.join_next().await {
            self.take(turn, attempt);
        }
    }

    /// Takes what else has been answered: removals that share a collection end together, and can share the next look.
    fn collect(&mut self) {
        while let Some(ended) = self.under_way.try_join_next() {
            if let Ok((turn, attempt)) = ended {
                self.take(turn, attempt);
            }
        }
    }

    fn take(&mut self, turn: Turn, attempt: Attempt) {
        let tries = turn.before + 1;
        match attempt {
            Attempt::Accepted => {
                self.accepted.insert(turn.place);
            }
            Attempt::Over(outcome) => self.note(turn.place, outcome),
            Attempt::Unanswered(why) if tries < TRIES => {
                tracing::debug!("{why}; after another look it is tried again");
                self.waiting.insert(turn.place, tries);
            }
            Attempt::Unanswered(why) => self.note(turn.place, Outcome::Failed(why)),
        }
    }

    /// Counts as removed what was accepted before this look and is not in it.
    fn confirm(&mut self, snapshot: &Snapshot) {
        let is_listed = |place: &usize| snapshot.image(self.steps[*place].image().as_str()).is_some();
        let (listed, gone) = std::mem::take(&mut self.accepted).into_iter().partition(is_listed);
        self.accepted = listed;
        let gone: BTreeSet<usize> = gone;
        for place in gone {
            self.note(place, Outcome::Removed);
        }
    }

    /// Looks until everything that was accepted is confirmed, or is known to be listed all the same.
    async fn make_sure(&mut self) {
        for check in 0..CHECKS {
            if self.accepted.is_empty() {
                return;
            }
            if check > 0 {
                tokio::time::sleep(BETWEEN_CHECKS).await;
            }
            match self.look().await {
                Ok(snapshot) => self.confirm(&snapshot),
                Err(error) => {
                    let why = format!("the removal was accepted, but whether the image is gone is unknown: {error}");
                    return self.note_accepted(&Outcome::Failed(why));
                }
            }
        }
        self.note_accepted(&Outcome::StillListed);
    }

    fn note_accepted(&mut self, outcome: &Outcome) {
        for place in std::mem::take(&mut self.accepted) {
            self.note(place, outcome.clone());
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
        // Only a panic in a removal leaves a step without an outcome.
        let lost = || Outcome::Failed("the removal ended without an answer".to_owned());
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(lost)).collect()
    }
}
