//! Carrying out a plan: look again, check again, remove.

use futures_util::future::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use holystone_core::guard::{Clearance, Guard, GuardRails, Refusal, Step};
use holystone_core::report::Outcome;
use jiff::Timestamp;

use crate::observe::LiveNode;

/// How many removals are under way at once. containerd ends each with a collection of its whole store, which calls
/// in flight together share: one at a time is quadratic in the number of images. The benchmark `sweep` measures it.
const IN_FLIGHT: usize = 128;

/// Performs the steps in order and says what became of each. Before an image is removed, the node is looked at
/// anew and the guard rails are asked again; one look serves the removals that start right after it.
///
/// A step that fails stops no other. Only a node that cannot be looked at any more ends the sweep: what
/// cannot be checked is not removed.
pub(crate) async fn sweep(node: &LiveNode, steps: &[Step], rails: &GuardRails) -> Vec<Outcome> {
    let mut sweep = Sweep { node, rails, steps, next: 0, outcomes: vec![None; steps.len()] };
    let mut under_way = FuturesUnordered::new();
    while sweep.next < steps.len() || !under_way.is_empty() {
        for (place, clearance) in sweep.clear_next(IN_FLIGHT - under_way.len()).await {
            under_way.push(async move { (place, node.cri.remove_image(clearance).await) });
        }
        let mut ended = under_way.next().await;
        // One that has ended is often one of many: they shared a collection, and can share the next look.
        while let Some((place, outcome)) = ended {
            sweep.note(place, outcome);
            ended = under_way.next().now_or_never().flatten();
        }
    }
    sweep.outcomes()
}

/// A sweep under way.
struct Sweep<'a> {
    node: &'a LiveNode,
    rails: &'a GuardRails,
    steps: &'a [Step],
    /// The first step that has not been looked at.
    next: usize,
    outcomes: Vec<Option<Outcome>>,
}

impl Sweep<'_> {
    /// Looks at the node and clears the next steps, at most `room` of them. Those that may not be performed any
    /// more get their outcome here.
    async fn clear_next(&mut self, room: usize) -> Vec<(usize, Clearance)> {
        let batch = self.next..self.steps.len().min(self.next + room);
        if batch.is_empty() {
            return Vec::new();
        }
        let snapshot = match self.node.cri.look(Timestamp::now(), &self.node.name).await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.give_up(&format!("the node could not be looked at again: {error}"));
                return Vec::new();
            }
        };
        self.next = batch.end;
        let guard = Guard::new(&snapshot, self.rails);
        let mut cleared = Vec::with_capacity(batch.len());
        for place in batch {
            match guard.clear(&self.steps[place]) {
                Ok(clearance) => cleared.push((place, clearance)),
                Err(Refusal::NotFound) => self.note(place, Outcome::AlreadyGone),
                Err(refusal) => self.note(place, Outcome::NoLongerAllowed(refusal)),
            }
        }
        cleared
    }

    /// Leaves all that has not been started.
    fn give_up(&mut self, why: &str) {
        tracing::error!("{why}");
        for place in self.next..self.steps.len() {
            self.outcomes[place] = Some(Outcome::NotAttempted(why.to_owned()));
        }
        self.next = self.steps.len();
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
