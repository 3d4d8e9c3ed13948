//! The removal of a plan's images as a value: [`Sweep::next_action`] returns the next action, [`Sweep::on`] takes the
//! result. The sweep never waits, asks or measures; its driver does, and hands every removal to the runtime in a
//! separate task.
//!
//! No image is removed by an old inspection. Each inspection permits a batch of removals that start at once. An image
//! counts as removed when a later inspection does not list it, whatever the runtime answered. The final inspections are
//! in `settle`.

mod settle;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::guard::images::{ImageGuard, Images};
use crate::guard::{Clearance, GuardRails, Refusal, Step};
use crate::pressure::{Disk, Excess, Need, Pressure};
use crate::report::{EndReason, Ending, Outcome, Remark, Swept};
use crate::snapshot::{Filesystem, Snapshot};
use crate::text;

use settle::SettlingLooks;

/// The number of removals that start after the first inspection, and the maximum after a later one. The number doubles
/// with each inspection and is reset after a failure, so that a failing runtime is noticed early. A smaller batch costs
/// more inspections; in a larger one the inspection becomes outdated.
const FIRST_BATCH: usize = 32;
const LARGEST_BATCH: usize = 512;

/// The most removals between two measurements, if there is a goal. Fewer start if the sizes of fewer images should be
/// enough.
const MEASURED_BATCH: usize = 8;

/// The most tries of a removal that is not answered, for example while the runtime restarts.
const TRIES: u32 = 4;

/// The default for the most removals of images in flight. containerd ends each removal with a collection of its whole
/// store, which removals in flight share: one at a time is quadratic in the number of images. The benchmark `sweep`
/// measures it.
pub const IN_FLIGHT: u16 = 1024;

/// The default number of failures in a row that ends a sweep.
pub const MAX_FAILURES: u32 = 20;

/// The speed and the limits of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The most removals of images in flight. Files are removed one by one.
    pub in_flight: usize,
    /// The pause after the start of each removal; zero does not wait.
    pub pause: Duration,
    /// The conditions to begin and to stop.
    pub pressure: Pressure,
    /// The number of failures in a row that ends the sweep.
    pub max_failures: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            in_flight: IN_FLIGHT.into(),
            pause: Duration::ZERO,
            pressure: Pressure::default(),
            max_failures: MAX_FAILURES,
        }
    }
}

/// The answer to a request to remove an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A success according to the runtime; a later inspection shows whether the image is gone.
    Accepted,
    /// An outcome; later inspections check [`Outcome::AlreadyGone`] and [`Outcome::Failed`].
    Over(Outcome<Images>),
    /// A refusal because other images were built on this one, after the runtime took the image's names. The image is
    /// removed with the last of the others, so an inspection after all removals shows its outcome. The text is the
    /// runtime's.
    HasChildren(String),
    /// No answer, because the runtime was unavailable or the connection broke: the image may be removed or not. A retry
    /// needs a new inspection, because the request may have taken a while. The text gives the error.
    Unanswered(String),
}

/// The next action of the driver.
#[derive(Debug)]
pub enum Action {
    /// A measurement of the filesystems, answered by [`Event::Measured`].
    Measure,
    /// An inspection of the node, answered by [`Event::Looked`].
    Look,
    /// A request to the runtime to remove the image of the step at this place. The answer, [`Event::Answered`], may
    /// arrive at any later time; the sweep continues meanwhile.
    Remove(usize, Clearance<Images>),
    /// A wait for the next answer; [`Event::Lost`] if there is none.
    Wait,
    /// A rest of this length, answered by [`Event::Rested`].
    Rest(Duration),
    /// The end of the sweep: [`Sweep::swept`] returns the outcomes.
    Done,
}

/// A result of an action, or a change outside of the sweep.
#[derive(Debug)]
pub enum Event {
    /// The filesystems, or the error of the measurement.
    Measured(Result<Vec<Filesystem>, String>),
    /// The state of the node, or the error of the inspection.
    Looked(Result<Box<Snapshot>, String>),
    /// The answer to the removal of the step at this place.
    Answered(usize, Attempt),
    /// The end of all removals in flight, without an answer.
    Lost,
    /// The end of a rest.
    Rested,
    /// A request that no further removal starts.
    Stopped(Ending),
    /// A request that the sweep waits for nothing but the final inspections.
    Overdue(Ending),
    /// The end of the time for the final inspections.
    OutOfTime,
}

/// A change that is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The outcome of the step at this place, new or in place of an earlier one.
    Outcome(usize, Outcome<Images>),
    /// The names that the image of the step at this place lost to a removal that did not succeed.
    LostNames(usize, Vec<String>),
    /// The reason why a removal was not answered; it is retried after another inspection.
    Retry(String),
    /// The end of the sweep before the end of its plan.
    Ending(Ending),
}

/// The removal of a plan's images.
#[derive(Debug)]
pub struct Sweep<'a> {
    steps: &'a [Step<Images>],
    rails: &'a GuardRails,
    pace: &'a Pace,
    /// Steps to start, by place, with the number of earlier tries.
    waiting: BTreeMap<usize, u32>,
    /// Steps that the last inspection permits and that have not started yet.
    cleared: VecDeque<(usize, u32, Clearance<Images>)>,
    /// Steps in flight, with the number of earlier tries.
    in_flight: BTreeMap<usize, u32>,
    /// Images that the runtime reported as gone and no inspection has confirmed, with the outcome if confirmed.
    accepted: BTreeMap<usize, Outcome<Images>>,
    /// Removals whose answer was not awaited, with the reason; an inspection shows whether they were carried out.
    abandoned: BTreeMap<usize, String>,
    /// Steps whose removal the runtime was asked for at least once.
    asked: BTreeSet<usize>,
    /// Images on which others were built, with the runtime's answer.
    parents: BTreeMap<usize, String>,
    remarks: BTreeMap<usize, Remark>,
    outcomes: Vec<Option<Outcome<Images>>>,
    /// The most removals that may start after the next inspection.
    batch: usize,
    /// The number of removals that failed since the last one that did not.
    failures: u32,
    /// The space to free, if there is a goal and the filesystems were measured since the last removal started.
    excess: Option<Excess>,
    /// Set when the sweep has to rest before the next inspection.
    is_tired: bool,
    /// Set during an inspection. A retry that arises meanwhile needs another one.
    is_looking: bool,
    /// Steps to retry that the inspection under way must not permit.
    late: BTreeMap<usize, u32>,
    ending: Option<Ending>,
    /// The final inspections, once no removal is left to start or to wait for.
    settling: Option<SettlingLooks>,
    news: Vec<News>,
}

impl<'a> Sweep<'a> {
    /// Creates a sweep with the filesystems as measured for the plan. The sweep ends at once if they are not full
    /// enough, or if that is unknown.
    pub fn new(steps: &'a [Step<Images>], rails: &'a GuardRails, pace: &'a Pace, filesystems: &[Filesystem]) -> Self {
        let mut sweep = Self {
            steps,
            rails,
            pace,
            waiting: (0..steps.len()).map(|place| (place, 0)).collect(),
            cleared: VecDeque::new(),
            in_flight: BTreeMap::new(),
            accepted: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            asked: BTreeSet::new(),
            parents: BTreeMap::new(),
            remarks: BTreeMap::new(),
            outcomes: vec![None; steps.len()],
            batch: FIRST_BATCH,
            failures: 0,
            excess: None,
            is_tired: false,
            is_looking: false,
            late: BTreeMap::new(),
            ending: None,
            settling: None,
            news: Vec::new(),
        };
        if let Some(ending) = not_needed(pace.pressure.to_begin(filesystems), &pace.pressure) {
            sweep.end(ending);
        }
        sweep
    }

    /// Returns the next action: the same until an event, except that each removal is returned once.
    pub fn next_action(&mut self) -> Action {
        if let Some((place, before, clearance)) = self.cleared.pop_front() {
            return self.start(place, before, clearance);
        }
        if !self.has_more() && self.in_flight.is_empty() && self.settling.is_none() {
            self.settling = Some(SettlingLooks::default());
        }
        match &self.settling {
            Some(_) => self.settle_next(),
            None if self.room() == 0 => Action::Wait,
            None if self.is_tired => Action::Rest(self.pace.pause),
            None if self.has_goal() && self.excess.is_none() => Action::Measure,
            None => {
                self.is_looking = true;
                Action::Look
            }
        }
    }

    /// Applies an event. A step that fails stops no other. A sweep ends early only with an [`Ending`], for example if
    /// the node cannot be inspected: an image that cannot be checked is not removed.
    pub fn on(&mut self, event: Event) {
        match event {
            Event::Answered(place, attempt) => self.answered(place, attempt),
            Event::Lost => self.lose(),
            Event::Stopped(ending) => self.end(ending),
            Event::Overdue(ending) => self.abandon(ending),
            Event::Rested => self.rested(),
            Event::OutOfTime => self.give_up("the run was over before the node could be looked at"),
            Event::Measured(measured) => self.measured(measured),
            Event::Looked(looked) if self.settling.is_some() => self.looked_at_last(looked),
            Event::Looked(Ok(snapshot)) => self.clear(&snapshot),
            Event::Looked(Err(problem)) => self.end(Ending {
                reason: EndReason::NodeUnseen,
                message: format!("the node could not be looked at again: {problem}"),
            }),
        }
    }

    /// Returns whether [`Event::Stopped`] would change anything.
    pub fn can_stop(&self) -> bool {
        self.ending.is_none() && (self.has_more() || self.is_asking_by_name())
    }

    /// Returns whether nothing is left but the final inspections.
    pub fn is_settling(&self) -> bool {
        self.settling.is_some()
    }

    /// Takes the news since the last call.
    pub fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Returns the outcome of every step.
    pub fn swept(mut self) -> Swept<Images> {
        for (place, why) in std::mem::take(&mut self.abandoned) {
            self.note(place, Outcome::Failed(why));
        }
        let never_tried = || Outcome::NotAttempted("the sweep was not carried to its end".to_owned());
        let outcomes = self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(never_tried)).collect();
        Swept { outcomes, remarks: self.remarks, ending: self.ending }
    }

    fn start(&mut self, place: usize, before: u32, clearance: Clearance<Images>) -> Action {
        self.in_flight.insert(place, before);
        self.asked.insert(place);
        self.excess = None;
        Action::Remove(place, clearance)
    }

    /// Returns whether steps are left to start.
    fn has_more(&self) -> bool {
        !(self.waiting.is_empty() && self.cleared.is_empty() && self.late.is_empty())
    }

    fn has_goal(&self) -> bool {
        self.pace.pressure.until.is_some()
    }

    /// Returns the most removals that may start after the next inspection.
    fn room(&self) -> usize {
        // A goal can be checked only after all started removals have ended.
        if self.waiting.is_empty() || self.has_goal() && !self.in_flight.is_empty() {
            return 0;
        }
        let batch = match () {
            () if !self.pace.pause.is_zero() => 1,
            () if self.has_goal() => MEASURED_BATCH.min(self.batch),
            () => self.batch,
        };
        self.pace.in_flight.saturating_sub(self.in_flight.len()).min(batch)
    }

    fn rested(&mut self) {
        self.is_tired = false;
        self.rested_at_last();
    }

    /// Ends the sweep if its goal is met or cannot be checked any more.
    fn measured(&mut self, measured: Result<Vec<Filesystem>, String>) {
        let pressure = &self.pace.pressure;
        let ending = match measured {
            Ok(filesystems) => {
                self.excess = pressure.excess(&filesystems);
                not_needed(pressure.to_go_on(&filesystems), pressure)
            }
            Err(problem) => Some(Ending {
                reason: EndReason::NodeUnseen,
                message: format!("{} could not be measured again: {problem}", pressure.disk.subject()),
            }),
        };
        if let Some(ending) = ending {
            self.end(ending);
        }
    }

    /// Permits the next steps by this inspection, and notes the outcome of steps that are not permitted any more.
    fn clear(&mut self, snapshot: &Snapshot) {
        self.confirm(snapshot);
        self.is_looking = false;
        let guard = ImageGuard::new(snapshot, self.rails);
        let mut expected = Excess::default();
        for _ in 0..self.room() {
            if self.excess.is_some_and(|excess| !self.cleared.is_empty() && excess.is_covered_by(expected)) {
                break;
            }
            let Some((place, before)) = self.waiting.pop_first() else { break };
            match guard.clear(&self.steps[place]) {
                Ok(clearance) => {
                    // The number of inodes of an image is unknown: one image may be enough.
                    expected.add(self.steps[place].size_bytes(), u64::MAX);
                    self.cleared.push_back((place, before, clearance));
                }
                // The try that was not answered was carried out after all.
                Err(Refusal::NotFound) if before > 0 => self.note(place, Outcome::Removed),
                Err(Refusal::NotFound) => self.note(place, Outcome::AlreadyGone),
                Err(refusal) => self.note(place, Outcome::NoLongerAllowed(refusal)),
            }
        }
        self.waiting.append(&mut self.late);
        self.batch = (self.batch * 2).min(LARGEST_BATCH);
        self.is_tired = !self.pace.pause.is_zero() && !self.waiting.is_empty();
    }

    fn answered(&mut self, place: usize, attempt: Attempt) {
        if self.is_asking_by_name() {
            return self.answered_by_name(place, &attempt);
        }
        // The final inspections settle an abandoned removal.
        let Some(before) = self.in_flight.remove(&place) else { return };
        let tries = before + 1;
        match attempt {
            Attempt::Accepted => self.accept(place, Outcome::Removed),
            // The status code may refer to something else that is missing.
            Attempt::Over(Outcome::AlreadyGone) => self.accept(place, Outcome::AlreadyGone),
            Attempt::Over(outcome) => self.note_answer(place, outcome),
            Attempt::HasChildren(words) => {
                self.failures = 0;
                self.parents.insert(place, words);
            }
            Attempt::Unanswered(why) if tries < TRIES && self.ending.is_none() => {
                self.batch = FIRST_BATCH;
                let again = if self.is_looking { &mut self.late } else { &mut self.waiting };
                again.insert(place, tries);
                self.news.push(News::Retry(why));
            }
            Attempt::Unanswered(why) => self.note_answer(place, Outcome::Failed(why)),
        }
    }

    fn accept(&mut self, place: usize, outcome: Outcome<Images>) {
        self.failures = 0;
        self.accepted.insert(place, outcome);
    }

    /// Notes the outcome of a removal, and ends the sweep after too many failures in a row.
    fn note_answer(&mut self, place: usize, outcome: Outcome<Images>) {
        self.failures = if outcome.is_failure() { self.failures.saturating_add(1) } else { 0 };
        if outcome.is_failure() {
            self.batch = FIRST_BATCH;
        }
        if self.failures >= self.pace.max_failures && self.has_more() {
            let last = if let Outcome::Failed(why) = &outcome { text::shown(why) } else { String::new() };
            let message = format!("{} removals failed in a row, the last with: {last}", self.failures);
            self.end(Ending { reason: EndReason::RuntimeFailing, message });
        }
        self.note(place, outcome);
    }

    /// Notes that an accepted or abandoned image is gone if this inspection does not list it.
    fn confirm(&mut self, snapshot: &Snapshot) {
        let places: Vec<usize> = self.accepted.keys().chain(self.abandoned.keys()).copied().collect();
        for place in places {
            if snapshot.image(self.steps[place].target().as_str()).is_none() {
                self.abandoned.remove(&place);
                let outcome = self.accepted.remove(&place).unwrap_or(Outcome::Removed);
                self.note(place, outcome);
            }
        }
    }

    /// Ends the sweep, and notes the outcome of every step that has not started or waits for a retry.
    fn end(&mut self, ending: Ending) {
        if self.ending.is_none() {
            self.news.push(News::Ending(ending.clone()));
        }
        let mut left = std::mem::take(&mut self.waiting);
        left.append(&mut self.late);
        left.extend(std::mem::take(&mut self.cleared).into_iter().map(|(place, before, _)| (place, before)));
        for (place, before) in left {
            let outcome = match before {
                0 => ending.of_a_step(),
                _ => Outcome::Failed(format!("its removal was not answered, and {}", ending.message)),
            };
            self.note(place, outcome);
        }
        self.ending.get_or_insert(ending);
    }

    /// Abandons the removals in flight, and ends the sweep.
    fn abandon(&mut self, ending: Ending) {
        let why = format!("{} before the runtime answered; it may still remove the image", ending.message);
        let in_flight = std::mem::take(&mut self.in_flight);
        self.abandoned.extend(in_flight.into_keys().map(|place| (place, why.clone())));
        self.end(ending);
    }

    /// Notes every unanswered removal as failed, unless an inspection later shows that the image is gone.
    fn lose(&mut self) {
        self.lose_request_by_name();
        for place in std::mem::take(&mut self.in_flight).into_keys() {
            self.note(place, Outcome::Failed("the removal ended without an answer".to_owned()));
        }
    }

    fn note(&mut self, place: usize, outcome: Outcome<Images>) {
        self.news.push(News::Outcome(place, outcome.clone()));
        self.outcomes[place] = Some(outcome);
    }
}

/// Returns the ending of a sweep that must not begin or continue; `None` if it may.
pub fn not_needed(need: Need, pressure: &Pressure) -> Option<Ending> {
    let subject = pressure.disk.subject();
    let (reason, message) = match need {
        Need::Yes => return None,
        Need::No { used, measure, bound } => (
            EndReason::NotNeeded,
            format!("{subject} is {used} % full (by {}), and removal is wanted above {bound} %", measure.as_str()),
        ),
        Need::Unknown => {
            let advice = match pressure.disk {
                Disk::Images => "mount the runtime's directory at the same path",
                Disk::LogRoot(_) => "declare that log root",
            };
            let what = "cannot be seen from here, and --above or --until ask for it";
            (EndReason::NodeUnseen, format!("how full {subject} is {what}: {advice}, or leave them out"))
        }
    };
    Some(Ending { reason, message })
}

#[cfg(test)]
mod tests;
