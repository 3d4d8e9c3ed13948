//! The end of a sweep: the final inspections turn the runtime's answers into outcomes.
//!
//! A success counts only when the image is not listed any more. If a runtime that removes by name still lists the
//! image, the host requests the removal by the image's other names, each with a separate clearance. An image that is
//! still listed afterwards is refused from then on, unless the sweep ended early. After every other answer, the image's
//! names are compared with those that were judged.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Action, Attempt, News, Sweep};
use crate::guard::Clearance;
use crate::guard::images::{ImageGuard, ImageObjection, Images};
use crate::image::Image;
use crate::report::Outcome;
use crate::snapshot::Snapshot;

/// The most inspections for images that should be gone, and the time between them: some runtimes learn of a removal by
/// an event.
const CHECKS: u32 = 4;
const BETWEEN_CHECKS: Duration = Duration::from_millis(100);

/// The most names, besides the id, by which the removal of an image is requested.
const NAMES: usize = 8;

/// The state of the final inspections.
#[derive(Debug)]
pub(super) enum SettlingLooks {
    /// Inspections until every accepted image is gone, at most [`CHECKS`].
    Checking(Checks),
    /// Requests by name for images that are listed although their removal was accepted.
    ByName(ByName),
    /// The end: nothing is left to check.
    Over,
}

/// Inspections of which the last one decides.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// Set after the requests by name.
    is_second: bool,
    looks: u32,
    has_rested: bool,
    last: Option<Box<Snapshot>>,
}

/// Requests by name, one image after the other, each permitted by a new inspection.
#[derive(Debug)]
pub(super) struct ByName {
    places: VecDeque<usize>,
    /// The names by which the removal of the first of these images was requested.
    tried: Vec<String>,
    request: Request,
}

#[derive(Debug)]
enum Request {
    /// No request: an inspection has to choose a name.
    None,
    /// A request by the name that an inspection chose.
    Cleared(Clearance<Images>),
    /// A request that the runtime has not answered.
    InFlight,
}

impl Default for SettlingLooks {
    fn default() -> Self {
        Self::Checking(Checks::default())
    }
}

impl Sweep<'_> {
    /// Returns the next action of the final inspections.
    pub(super) fn settle_next(&mut self) -> Action {
        loop {
            let next = match self.settling.take().unwrap_or_default() {
                SettlingLooks::Checking(checks) => self.check_next(checks),
                SettlingLooks::ByName(by_name) => self.ask_next(by_name),
                SettlingLooks::Over => (SettlingLooks::Over, Some(Action::Done)),
            };
            self.settling = Some(next.0);
            if let Some(action) = next.1 {
                return action;
            }
        }
    }

    /// Takes the result of a final inspection.
    pub(super) fn looked_at_last(&mut self, looked: Result<Box<Snapshot>, String>) {
        if let Ok(snapshot) = &looked {
            self.confirm(snapshot);
        }
        match (&mut self.settling, looked) {
            (Some(SettlingLooks::Checking(checks)), Ok(snapshot)) => {
                checks.looks += 1;
                checks.has_rested = false;
                checks.last = Some(snapshot);
            }
            (Some(SettlingLooks::Checking(_)), Err(problem)) => self.give_up(&problem),
            (Some(SettlingLooks::ByName(_)), looked) => self.choose_name(looked.ok().as_deref()),
            _ => {}
        }
    }

    pub(super) fn rested_at_last(&mut self) {
        if let Some(SettlingLooks::Checking(checks)) = &mut self.settling {
            checks.has_rested = true;
        }
    }

    pub(super) fn is_asking_by_name(&self) -> bool {
        matches!(self.settling, Some(SettlingLooks::ByName(_)))
    }

    /// Takes the answer to a request by name.
    pub(super) fn answered_by_name(&mut self, place: usize, attempt: &Attempt) {
        self.lose_request_by_name();
        if *attempt == Attempt::Accepted && self.accepted.contains_key(&place) {
            // The image may have been reported as already gone by id; this run removed it by name.
            self.accepted.insert(place, Outcome::Removed);
        }
    }

    /// Clears the request by name. A request that is never answered counts as one that changed nothing.
    pub(super) fn lose_request_by_name(&mut self) {
        if let Some(SettlingLooks::ByName(by_name)) = &mut self.settling {
            by_name.request = Request::None;
        }
    }

    /// Ends the final inspections. For images whose removal was accepted, or refused for their children, the result
    /// stays unknown.
    pub(super) fn give_up(&mut self, why: &str) {
        for place in std::mem::take(&mut self.accepted).into_keys() {
            let why = format!("the removal was accepted, but whether the image is gone is unknown: {why}");
            self.note(place, Outcome::Failed(why));
        }
        for (place, words) in std::mem::take(&mut self.parents) {
            self.note(place, Outcome::NoLongerAllowed(ImageObjection::RuntimeSaysInUse { message: words }.into()));
        }
        self.settling = Some(SettlingLooks::Over);
    }

    fn check_next(&mut self, mut checks: Checks) -> (SettlingLooks, Option<Action>) {
        // One inspection is enough for removals that were not accepted.
        let needs_look = !self.accepted.is_empty() || checks.looks == 0 && self.is_unsettled();
        if needs_look && checks.looks < CHECKS {
            let action =
                if checks.looks > 0 && !checks.has_rested { Action::Rest(BETWEEN_CHECKS) } else { Action::Look };
            return (SettlingLooks::Checking(checks), Some(action));
        }
        if !checks.is_second && !self.accepted.is_empty() && self.ending.is_none() {
            let places = self.accepted.keys().copied().collect();
            return (SettlingLooks::ByName(ByName { places, tried: Vec::new(), request: Request::None }), None);
        }
        if let Some(last) = checks.last.take() {
            self.note_kept(&last);
            self.compare(&last);
        }
        (SettlingLooks::Over, None)
    }

    fn ask_next(&mut self, mut by_name: ByName) -> (SettlingLooks, Option<Action>) {
        let (Some(&place), None) = (by_name.places.front(), &self.ending) else {
            return (SettlingLooks::Checking(Checks { is_second: true, ..Checks::default() }), None);
        };
        match std::mem::replace(&mut by_name.request, Request::InFlight) {
            Request::InFlight => (SettlingLooks::ByName(by_name), Some(Action::Wait)),
            Request::Cleared(clearance) => {
                by_name.tried.push(clearance.asked().to_owned());
                (SettlingLooks::ByName(by_name), Some(Action::Remove(place, clearance)))
            }
            Request::None => {
                by_name.request = Request::None;
                let is_open = by_name.tried.len() < NAMES && self.accepted.contains_key(&place);
                if !is_open {
                    by_name.places.pop_front();
                    by_name.tried.clear();
                }
                (SettlingLooks::ByName(by_name), is_open.then_some(Action::Look))
            }
        }
    }

    /// Chooses the next name for a request, or the next image if this inspection permits no name.
    fn choose_name(&mut self, snapshot: Option<&Snapshot>) {
        let Some(SettlingLooks::ByName(by_name)) = &mut self.settling else { return };
        let Some(&place) = by_name.places.front() else { return };
        let cleared = match snapshot {
            Some(snapshot) if self.accepted.contains_key(&place) => {
                ImageGuard::new(snapshot, self.rails).clear_by_name(&self.steps[place], &by_name.tried)
            }
            _ => Ok(None),
        };
        match cleared {
            Ok(Some(clearance)) => by_name.request = Request::Cleared(clearance),
            Ok(None) => {
                by_name.places.pop_front();
                by_name.tried.clear();
            }
            Err(refusal) => {
                self.accepted.remove(&place);
                self.note(place, Outcome::NoLongerAllowed(refusal));
            }
        }
    }

    /// Returns whether the runtime was asked for a removal that it did not answer with a success.
    fn is_unsettled(&self) -> bool {
        let is_open = |place: &usize| {
            !self.accepted.contains_key(place)
                && !matches!(self.outcomes[*place], Some(Outcome::Removed | Outcome::AlreadyGone))
        };
        self.asked.iter().any(is_open)
    }

    /// Notes the outcome of images that are listed although their removal was accepted.
    fn note_kept(&mut self, last: &Snapshot) {
        for place in std::mem::take(&mut self.accepted).into_keys() {
            let outcome = match self.ending {
                None => Outcome::NoLongerAllowed(ImageObjection::KeptByRuntime { since: last.taken_at }.into()),
                Some(_) => Outcome::StillListed,
            };
            self.note(place, outcome);
        }
    }

    /// Settles the removals without a success by the last inspection: an image that is not listed is gone, and a listed
    /// one may have lost names.
    fn compare(&mut self, last: &Snapshot) {
        for place in self.asked.clone() {
            let image = last.image(self.steps[place].target().as_str());
            self.settle_one(place, image.is_some());
            let is_gone = matches!(self.outcomes[place], Some(Outcome::Removed | Outcome::AlreadyGone));
            let lost_names = self.lost_names(place, image);
            if !is_gone && !lost_names.is_empty() {
                self.news.push(News::LostNames(place, lost_names.clone()));
                self.remarks.entry(place).or_default().lost_names = lost_names;
            }
        }
    }

    fn settle_one(&mut self, place: usize, is_listed: bool) {
        match (self.parents.remove(&place), &self.outcomes[place]) {
            (Some(words), _) if is_listed => {
                self.note(place, Outcome::NoLongerAllowed(ImageObjection::RuntimeSaysInUse { message: words }.into()));
            }
            (Some(words), _) => self.note_gone(place, words),
            (None, Some(Outcome::Failed(why))) if !is_listed => {
                let why = why.clone();
                self.note_gone(place, why);
            }
            _ => {}
        }
    }

    /// Returns the names that an image had when it was judged and has no more.
    fn lost_names(&self, place: usize, image: Option<&Image>) -> Vec<String> {
        let names: Vec<&str> = image.into_iter().flat_map(Image::references).collect();
        let judged = self.steps[place].references().iter();
        judged.filter(|name| !names.contains(&name.as_str())).cloned().collect()
    }

    /// Notes that an image is gone although the runtime answered otherwise.
    fn note_gone(&mut self, place: usize, answer: String) {
        self.note(place, Outcome::Removed);
        self.remarks.entry(place).or_default().answer = Some(answer);
    }
}
