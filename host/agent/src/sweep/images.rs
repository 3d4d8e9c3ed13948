//! Execution of the image part of a plan: performs the actions of [`Sweep`] until the run has to end.

use std::time::Duration;

use holystone_core::guard::Step;
use holystone_core::guard::images::Images;
use holystone_core::report::Swept;
use holystone_core::snapshot::Filesystem;
use holystone_core::state::State;
use holystone_core::sweep::{Action, Event, News, Sweep};
use tokio::task::JoinSet;

use super::context::{SweepContext, tell};
use crate::stop::Stop;

/// Performs the steps in order and returns the outcome of each.
pub(super) async fn sweep(
    context: SweepContext<'_>,
    state: &State,
    steps: &[Step<Images>],
    filesystems: &[Filesystem],
) -> Swept<Images> {
    let mut sweep = Sweep::new(steps, context.rails, context.pace, filesystems);
    // Removals stay in flight while the node is inspected for the next ones.
    let mut removals = JoinSet::new();
    loop {
        let action = sweep.next_action();
        for news in sweep.news() {
            log(&news, steps);
        }
        let until = Until { stop: context.stop, can_stop: sweep.can_stop(), is_settling: sweep.is_settling() };
        let event = match action {
            Action::Done => break,
            Action::Remove(place, clearance) => {
                let removal = context.node.removal(clearance);
                removals.spawn(async move { Event::Answered(place, removal.await) });
                continue;
            }
            Action::Wait => until.end_of(next_answer(&mut removals)).await,
            Action::Rest(time) => until.end_of(rest(time)).await,
            Action::Measure => until.end_of(measure(context)).await,
            Action::Look => until.end_of(Box::pin(look(context, state))).await,
        };
        // Removals that share a collection end together, and share the next inspection.
        while let Some(ended) = removals.try_join_next() {
            if let Ok(answer) = ended {
                sweep.on(answer);
            }
        }
        if matches!(event, Event::Overdue(_)) {
            removals.abort_all();
        }
        sweep.on(event);
    }
    sweep.swept()
}

/// The events that end a wait early.
struct Until<'a> {
    stop: &'a Stop,
    /// Set when a stop request would keep a step from starting.
    can_stop: bool,
    /// Set when only the final inspections are left, for which the run has a little time after its end.
    is_settling: bool,
}

impl Until<'_> {
    async fn end_of(self, work: impl Future<Output = Event>) -> Event {
        let last = async {
            if self.is_settling { self.stop.at_the_end(work).await.unwrap_or(Event::OutOfTime) } else { work.await }
        };
        tokio::select! {
            biased;
            ending = self.stop.overdue(), if !self.is_settling => Event::Overdue(ending),
            ending = self.stop.requested(), if self.can_stop => Event::Stopped(ending),
            event = last => event,
        }
    }
}

async fn next_answer(removals: &mut JoinSet<Event>) -> Event {
    loop {
        match removals.join_next().await {
            Some(Ok(answer)) => return answer,
            // A removal panicked; the others may still be answered.
            Some(Err(_)) => {}
            None => return Event::Lost,
        }
    }
}

async fn rest(time: Duration) -> Event {
    tokio::time::sleep(time).await;
    Event::Rested
}

async fn measure(context: SweepContext<'_>) -> Event {
    Event::Measured(context.node.filesystems().await.map_err(|error| error.to_string()))
}

async fn look(context: SweepContext<'_>, state: &State) -> Event {
    Event::Looked(context.node.look(state).await.map(Box::new).map_err(|error| error.to_string()))
}

fn log(news: &News, steps: &[Step<Images>]) {
    match news {
        News::Outcome(place, outcome) => {
            let step = &steps[*place];
            let (image, plugin, reason) = (step.target().as_str(), step.plugin(), step.reason().kind.as_str());
            tracing::info!(image, plugin, reason, outcome = outcome.as_str());
        }
        News::LostNames(place, lost_names) => {
            tracing::warn!(image = steps[*place].target().as_str(), ?lost_names, "names were lost by its removal");
        }
        News::Retry(why) => tracing::debug!("{why}; after another look it is tried again"),
        News::Ending(ending) => tell(ending),
    }
}
