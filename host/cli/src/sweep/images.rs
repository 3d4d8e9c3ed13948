//! Carrying out the part of a plan that is about images: look again, check again, remove, make sure.

mod settle;

use std::collections::{BTreeMap, BTreeSet};

use holystone_core::guard::{Guard, Refusal, Step};
use holystone_core::report::{EndReason, Ending, Outcome, Remark, Swept};
use holystone_core::snapshot::{Filesystem, Snapshot};
use holystone_core::state::State;
use holystone_core::text;
use holystone_node::{Attempt, NodeError};
use tokio::task::JoinSet;

use super::{Job, goal_met, not_needed, tell};

/// How many removals start on the first look at the node, and at most on later ones: each time twice as many, and after
/// a failure as few as at first, so that a runtime that fails is noticed early. Smaller costs more looks; larger lets a
/// look grow old.
const FIRST_BATCH: usize = 32;
const LARGEST_BATCH: usize = 512;

/// How many removals start between two measurements, where there is a goal to be met.
const MEASURED_BATCH: usize = 8;

/// How often a removal is tried that nobody answers, as while the runtime restarts.
const TRIES: u32 = 4;

/// Performs the steps in order and says what became of each. Before an image is removed, the node is looked at
/// anew and the guard rails are asked again; one look serves the removals that start right after it. An image
/// counts as removed when a later look does not show it any more, whatever the runtime answered; one that is still
/// there after an answer that is no success is compared with what was judged, for it may have lost names.
///
/// A step that fails stops no other. What ends a sweep early is an [`Ending`]: a node that cannot be looked at any
/// more, for one, since what cannot be checked is not removed.
pub(super) async fn sweep(job: Job<'_>, state: &State, steps: &[Step], filesystems: &[Filesystem]) -> Swept {
    let mut sweep = Sweep::new(job, state, steps);
    let pressure = &job.pace.pressure;
    if let Some(ending) = not_needed(pressure.to_begin(filesystems), pressure) {
        sweep.end(ending);
    }
    while !sweep.waiting.is_empty() || !sweep.under_way.is_empty() {
        tokio::select! {
            biased;
            ending = job.stop.overdue() => sweep.abandon(ending),
            ending = job.stop.requested(), if !sweep.waiting.is_empty() => sweep.end(ending),
            () = sweep.advance() => {}
        }
        sweep.collect();
    }
    if job.stop.at_the_end(sweep.make_sure()).await.is_none() {
        sweep.note_unknown("the run was over before the node could be looked at");
    }
    sweep.swept()
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
    job: Job<'a>,
    /// What is known of the images.
    state: &'a State,
    steps: &'a [Step],
    /// What is to be started, by its place in the plan, with how often it has been tried before.
    waiting: BTreeMap<usize, u32>,
    /// Removals that the runtime has not answered. They go on while the node is looked at for the next ones.
    under_way: JoinSet<(Turn, Attempt)>,
    /// Their places in the plan.
    unanswered: BTreeSet<usize>,
    /// Images that are gone by the runtime's word, which no look has confirmed, with what became of them if it is true.
    accepted: BTreeMap<usize, Outcome>,
    /// Removals that were not waited for to the end, and why; a look shows whether they were carried out.
    abandoned: BTreeMap<usize, String>,
    /// Images that the runtime has been asked to remove at least once.
    asked: BTreeSet<usize>,
    /// Images on which others were built, with what the runtime said of that.
    parents: BTreeMap<usize, String>,
    remarks: BTreeMap<usize, Remark>,
    outcomes: Vec<Option<Outcome>>,
    /// How many may start on the next look.
    batch: usize,
    /// How many failed since the last one that did not.
    failures: u32,
    ending: Option<Ending>,
}

impl<'a> Sweep<'a> {
    fn new(job: Job<'a>, state: &'a State, steps: &'a [Step]) -> Self {
        Self {
            job,
            state,
            steps,
            waiting: (0..steps.len()).map(|place| (place, 0)).collect(),
            under_way: JoinSet::new(),
            unanswered: BTreeSet::new(),
            accepted: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            asked: BTreeSet::new(),
            parents: BTreeMap::new(),
            remarks: BTreeMap::new(),
            outcomes: vec![None; steps.len()],
            batch: FIRST_BATCH,
            failures: 0,
            ending: None,
        }
    }

    async fn look(&self) -> Result<Snapshot, NodeError> {
        self.job.node.look(self.state).await
    }

    /// Starts what may be started, or waits for what has been. May be dropped at any point without loss.
    async fn advance(&mut self) {
        match self.room() {
            0 => self.wait().await,
            room => self.start(room).await,
        }
    }

    /// How many removals may start now.
    fn room(&self) -> usize {
        let pace = self.job.pace;
        let free = pace.in_flight.saturating_sub(self.under_way.len());
        let measured = pace.pressure.until.is_some();
        // Whether a goal is met shows only when everything that was started has ended.
        if self.waiting.is_empty() || measured && !self.under_way.is_empty() {
            return 0;
        }
        let batch = if measured { MEASURED_BATCH } else { self.batch };
        free.min(if pace.pause.is_zero() { batch } else { 1 })
    }

    /// Looks at the node and starts the next steps, at most `room` of them. Those that may not be performed any
    /// more get their outcome here.
    async fn start(&mut self, room: usize) {
        if let Some(ending) = goal_met(self.job).await {
            return self.end(ending);
        }
        let snapshot = match self.look().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let message = format!("the node could not be looked at again: {error}");
                return self.end(Ending { reason: EndReason::NodeUnseen, message });
            }
        };
        self.confirm(&snapshot);
        // What was answered meanwhile may end the sweep, or slow it down.
        self.collect();
        let guard = Guard::new(&snapshot, self.job.rails);
        for _ in 0..room.min(self.batch) {
            let Some((place, before)) = self.waiting.pop_first() else { break };
            match guard.clear(&self.steps[place]) {
                Ok(clearance) => {
                    let removal = self.job.node.removal(clearance);
                    let turn = Turn { place, before };
                    self.unanswered.insert(place);
                    self.asked.insert(place);
                    self.under_way.spawn(async move { (turn, removal.await) });
                }
                // The try that nobody answered was carried out after all.
                Err(Refusal::NotFound) if before > 0 => self.note(place, Outcome::Removed),
                Err(Refusal::NotFound) => self.note(place, Outcome::AlreadyGone),
                Err(refusal) => self.note(place, Outcome::NoLongerAllowed(refusal)),
            }
        }
        self.batch = (self.batch * 2).min(LARGEST_BATCH);
        if !self.job.pace.pause.is_zero() && !self.waiting.is_empty() {
            tokio::time::sleep(self.job.pace.pause).await;
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
        self.unanswered.remove(&turn.place);
        match attempt {
            Attempt::Accepted => {
                self.failures = 0;
                self.accepted.insert(turn.place, Outcome::Removed);
            }
            // The code for it may mean anything else that is missing.
            Attempt::Over(Outcome::AlreadyGone) => {
                self.failures = 0;
                self.accepted.insert(turn.place, Outcome::AlreadyGone);
            }
            Attempt::Over(outcome) => self.note_answer(turn.place, outcome),
            Attempt::HasChildren(words) => {
                self.failures = 0;
                self.parents.insert(turn.place, words);
            }
            Attempt::Unanswered(why) if tries < TRIES && self.ending.is_none() => {
                tracing::debug!("{why}; after another look it is tried again");
                self.batch = FIRST_BATCH;
                self.waiting.insert(turn.place, tries);
            }
            Attempt::Unanswered(why) => self.note_answer(turn.place, Outcome::Failed(why)),
        }
    }

    /// Notes what a removal came to, and ends the sweep when one after the other fails.
    fn note_answer(&mut self, place: usize, outcome: Outcome) {
        self.failures = if outcome.is_failure() { self.failures.saturating_add(1) } else { 0 };
        if outcome.is_failure() {
            self.batch = FIRST_BATCH;
        }
        if self.failures >= self.job.pace.max_failures && !self.waiting.is_empty() {
            let last = if let Outcome::Failed(why) = &outcome { text::shown(why) } else { String::new() };
            let message = format!("{} removals failed in a row, the last with: {last}", self.failures);
            self.end(Ending { reason: EndReason::RuntimeFailing, message });
        }
        self.note(place, outcome);
    }

    /// Counts as gone what was accepted or abandoned before this look and is not in it.
    fn confirm(&mut self, snapshot: &Snapshot) {
        let asked: Vec<usize> = self.accepted.keys().chain(self.abandoned.keys()).copied().collect();
        for place in asked {
            if snapshot.image(self.steps[place].image().as_str()).is_none() {
                self.abandoned.remove(&place);
                let outcome = self.accepted.remove(&place).unwrap_or(Outcome::Removed);
                self.note(place, outcome);
            }
        }
    }

    /// Leaves all that has not been started.
    fn end(&mut self, ending: Ending) {
        tell(&ending);
        for (place, before) in std::mem::take(&mut self.waiting) {
            let outcome = match before {
                0 => ending.of_a_step(),
                _ => Outcome::Failed(format!("its removal was not answered, and {}", ending.message)),
            };
            self.note(place, outcome);
        }
        self.ending.get_or_insert(ending);
    }

    /// Waits for nothing any more.
    fn abandon(&mut self, ending: Ending) {
        self.collect();
        self.under_way.abort_all();
        self.under_way = JoinSet::new();
        let why = format!("{} before the runtime answered; it may still remove the image", ending.message);
        self.abandoned.extend(std::mem::take(&mut self.unanswered).into_iter().map(|place| (place, why.clone())));
        self.end(ending);
    }

    fn note(&mut self, place: usize, outcome: Outcome) {
        let step = &self.steps[place];
        let (image, plugin, reason) = (step.image().as_str(), step.plugin(), step.reason().kind.as_str());
        tracing::info!(image, plugin, reason, outcome = outcome.as_str());
        self.outcomes[place] = Some(outcome);
    }

    fn swept(mut self) -> Swept {
        for (place, why) in std::mem::take(&mut self.abandoned) {
            self.note(place, Outcome::Failed(why));
        }
        // Only a panic in a removal leaves a step without an outcome.
        let lost = || Outcome::Failed("the removal ended without an answer".to_owned());
        let outcomes = self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(lost)).collect();
        Swept { outcomes, remarks: self.remarks, ending: self.ending }
    }
}
