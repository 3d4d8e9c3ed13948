//! The end of a sweep of images: what the last looks at the node make of the runtime's answers.
//!
//! A success counts only when the image is not listed any more. Where it is, the runtime is asked by the image's other
//! names, each time with a clearance of its own, and what it keeps all the same is refused from then on. After every
//! other answer the image's names are compared with those that were judged.

use std::time::Duration;

use holystone_core::guard::{Guard, Refusal};
use holystone_core::image::Image;
use holystone_core::report::Outcome;
use holystone_core::snapshot::Snapshot;
use holystone_node::Attempt;

use super::Sweep;

/// How often, and how long apart, to look whether images are gone: some runtimes tell their list by an event.
const CHECKS: u32 = 4;
const BETWEEN_CHECKS: Duration = Duration::from_millis(100);

/// By how many other names an image is asked for at most.
const NAMES: usize = 8;

impl Sweep<'_> {
    /// Looks until everything that was accepted is confirmed, or is known to be listed all the same, and settles what
    /// the other removals came to. May be dropped at any point without loss.
    pub(super) async fn make_sure(&mut self) {
        let Some(mut last) = self.wait_for_lists().await else { return };
        if !self.accepted.is_empty() && self.ending.is_none() {
            self.ask_by_name().await;
            match self.wait_for_lists().await {
                Some(snapshot) => last = snapshot,
                None => return,
            }
        }
        self.note_kept(&last);
        self.settle(&last);
    }

    /// Looks, several times where something accepted is still listed, and answers the last look; `None` where nothing
    /// has to be looked at, or the node cannot be.
    async fn wait_for_lists(&mut self) -> Option<Snapshot> {
        let mut last = None;
        for check in 0..CHECKS {
            // One look is enough for those that were not accepted.
            if self.accepted.is_empty() && (check > 0 || !self.is_unsettled()) {
                break;
            }
            if check > 0 {
                tokio::time::sleep(BETWEEN_CHECKS).await;
            }
            match self.look().await {
                Ok(snapshot) => {
                    self.confirm(&snapshot);
                    last = Some(snapshot);
                }
                Err(error) => {
                    self.note_unknown(&error.to_string());
                    return None;
                }
            }
        }
        last
    }

    /// Whether something was asked of the runtime that it did not answer with a success.
    fn is_unsettled(&self) -> bool {
        let is_open = |place: &usize| {
            !self.accepted.contains_key(place)
                && !matches!(self.outcomes[*place], Some(Outcome::Removed | Outcome::AlreadyGone))
        };
        self.asked.iter().any(is_open)
    }

    /// Asks once more for what is listed although its removal was accepted: by its names, one after the other, as long
    /// as a look of that very moment permits it.
    async fn ask_by_name(&mut self) {
        for place in self.accepted.keys().copied().collect::<Vec<usize>>() {
            let mut tried = Vec::new();
            while tried.len() < NAMES && self.accepted.contains_key(&place) {
                let stop = self.job.stop;
                let asked = tokio::select! {
                    biased;
                    ending = stop.requested() => {
                        self.end(ending);
                        return;
                    }
                    asked = self.ask_for_one(place, &tried) => asked,
                };
                match asked {
                    Some(name) => tried.push(name),
                    None => break,
                }
            }
        }
    }

    /// Asks for one image by a name that was not tried, and answers the name. `None` when there is no more to ask.
    async fn ask_for_one(&mut self, place: usize, tried: &[String]) -> Option<String> {
        let snapshot = self.look().await.ok()?;
        self.confirm(&snapshot);
        if !self.accepted.contains_key(&place) {
            return None;
        }
        match Guard::new(&snapshot, self.job.rails).clear_by_name(&self.steps[place], tried) {
            Ok(Some(clearance)) => {
                let name = clearance.asked().to_owned();
                let attempt = self.job.node.removal(clearance).await;
                tracing::debug!(name, ?attempt, "asked once more, by name");
                if matches!(attempt, Attempt::Accepted) {
                    // Whoever removed the image by id before: now it was us.
                    self.accepted.insert(place, Outcome::Removed);
                }
                Some(name)
            }
            Ok(None) => None,
            Err(refusal) => {
                self.accepted.remove(&place);
                self.note(place, Outcome::NoLongerAllowed(refusal));
                None
            }
        }
    }

    /// Notes what became of the images that are listed although their removal was accepted.
    fn note_kept(&mut self, last: &Snapshot) {
        for place in std::mem::take(&mut self.accepted).into_keys() {
            let outcome = match self.ending {
                None => Outcome::NoLongerAllowed(Refusal::KeptByRuntime { since: last.taken_at }),
                Some(_) => Outcome::StillListed,
            };
            self.note(place, outcome);
        }
    }

    /// Settles by the last look what the runtime did not answer with a success: what is gone is gone, and what is there
    /// may have lost names.
    fn settle(&mut self, last: &Snapshot) {
        for place in self.asked.clone() {
            let step = &self.steps[place];
            let image = last.image(step.image().as_str());
            let names: Vec<&str> = image.into_iter().flat_map(Image::references).collect();
            let lost_names: Vec<String> =
                step.references().iter().filter(|name| !names.contains(&name.as_str())).cloned().collect();
            let is_listed = image.is_some();
            match (self.parents.remove(&place), &self.outcomes[place]) {
                (Some(words), _) if is_listed => {
                    self.note(place, Outcome::NoLongerAllowed(Refusal::RuntimeSaysInUse { message: words }));
                }
                (Some(words), _) => self.note_gone(place, words),
                (None, Some(Outcome::Failed(why))) if !is_listed => {
                    let why = why.clone();
                    self.note_gone(place, why);
                }
                _ => {}
            }
            let is_gone = matches!(self.outcomes[place], Some(Outcome::Removed | Outcome::AlreadyGone));
            if !is_gone && !lost_names.is_empty() {
                tracing::warn!(
                    image = self.steps[place].image().as_str(),
                    ?lost_names,
                    "names were lost by its removal"
                );
                self.remarks.entry(place).or_default().lost_names = lost_names;
            }
        }
    }

    /// Notes that an image is gone, although the runtime answered something else.
    fn note_gone(&mut self, place: usize, answer: String) {
        self.note(place, Outcome::Removed);
        self.remarks.entry(place).or_default().answer = Some(answer);
    }

    /// Notes that nobody knows what the removals came to that were accepted or refused for children.
    pub(super) fn note_unknown(&mut self, why: &str) {
        for place in std::mem::take(&mut self.accepted).into_keys() {
            let why = format!("the removal was accepted, but whether the image is gone is unknown: {why}");
            self.note(place, Outcome::Failed(why));
        }
        for (place, words) in std::mem::take(&mut self.parents) {
            self.note(place, Outcome::NoLongerAllowed(Refusal::RuntimeSaysInUse { message: words }));
        }
    }
}
