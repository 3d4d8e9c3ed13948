//! The end of a sweep: the last looks decide which outcomes the runtime's answers become.
//!
//! A success counts only when the image is not listed any more. Where it is, the runtime is asked again by the image's
//! other names, each time with a clearance of its own, and what it keeps all the same is refused from then on. After
//! every other answer the image's names are compared with those that were judged.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Action, Attempt, News, Sweep};
use crate::guard::Clearance;
use crate::guard::images::{ImageGuard, ImageObjection, Images};
use crate::image::Image;
use crate::report::Outcome;
use crate::snapshot::Snapshot;

/// The number of looks for images that should be gone, and the time between them: some runtimes learn of a removal by an
/// event.
const CHECKS: u32 = 4;
const BETWEEN_CHECKS: Duration = Duration::from_millis(100);

/// By how many other names an image is asked for at most.
const NAMES: usize = 8;

/// The last looks under way.
#[derive(Debug)]
pub(super) enum SettlingLooks {
    /// Looks until what was accepted is gone, at most [`CHECKS`] times.
    Checking(Checks),
    /// Asks by name for what is listed although its removal was accepted.
    ByName(ByName),
    /// Nothing is left to find out.
    Over,
}

/// Looks of which the last one decides.
#[derive(Debug, Default)]
pub(super) struct Checks {
    /// Whether images were asked for by name before.
    is_second: bool,
    looks: u32,
    has_rested: bool,
    last: Option<Box<Snapshot>>,
}

/// Requests by name, one image after the other, each by a look of that very moment.
#[derive(Debug)]
pub(super) struct ByName {
    places: VecDeque<usize>,
    /// The names that the first of these images was asked for by.
    tried: Vec<String>,
    request: Request,
}

#[derive(Debug)]
enum Request {
    /// A look has to choose a name.
    None,
    /// A look has chosen this one.
    Cleared(Clearance<Images>),
    /// The runtime has been asked.
    InFlight,
}

impl Default for SettlingLooks {
    fn default() -> Self {
        Self::Checking(Checks::default())
    }
}

impl Sweep<'_> {
    /// Says what the last looks need next.
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

    /// Takes one of the last looks.
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
            // The image may have gone by id before; now this run removed it.
            self.accepted.insert(place, Outcome::Removed);
        }
    }

    /// Counts a request by name that will never be answered as one that changed nothing.
    pub(super) fn lose_request_by_name(&mut self) {
        if let Some(SettlingLooks::ByName(by_name)) = &mut self.settling {
            by_name.request = Request::None;
        }
    }

    /// Ends the last looks. Whether images are gone whose removal was accepted, or refused for their children, stays
    /// unknown.
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
        // One look is enough for those that were not accepted.
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

    /// Chooses the name to ask for an image by, and goes to the next image where this look permits none.
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

    /// Returns whether something was asked of the runtime that it did not answer with a success.
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

    /// Settles by the last look what the runtime did not answer with a success: what is not listed is gone, and what is
    /// listed may have lost names.
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

    /// The names that an image had when it was judged and has no more.
    fn lost_names(&self, place: usize, image: Option<&Image>) -> Vec<String> {
        let names: Vec<&str> = image.into_iter().flat_map(Image::references).collect();
        let judged = self.steps[place].references().iter();
        judged.filter(|name| !names.contains(&name.as_str())).cloned().collect()
    }

    /// Notes that an image is gone, although the runtime answered something else.
    fn note_gone(&mut self, place: usize, answer: String) {
        self.note(place, Outcome::Removed);
        self.remarks.entry(place).or_default().answer = Some(answer);
    }
}
