//! Execution of the log part of a plan: inspect again, review again, remove or truncate.
//!
//! Steps run one after the other, in batches on a thread that may block. The pods of the runtime and the open files of
//! the processes are read again after a second at the earliest; each target is inspected right before its own step.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use holystone_core::guard::logs::{LogGuard, LogRails, Logs};
use holystone_core::guard::{Refusal, Step};
use holystone_core::pressure::Excess;
use holystone_core::report::{EndReason, Ending, Outcome, Swept};
use holystone_core::snapshot::{Filesystem, Snapshot};
use holystone_core::state::State;
use holystone_core::sweep::not_needed;
use holystone_core::text;
use holystone_node::{OpenFiles, Performed};
use jiff::Timestamp;

use super::context::{SweepContext, excess, tell};
use crate::log_access::RootAccess;

/// The shortest time for which an inspection of pods and open files is valid.
const FRESH: Duration = Duration::from_secs(1);

/// The validity of an inspection, as a multiple of the time that it took, so that a sweep on a node with very many
/// threads does not spend its time on inspections.
const SERVES: u32 = 4;

/// The largest number of steps between two measurements, if there is a goal. A batch ends earlier once its removals
/// should have freed enough.
const MEASURED: usize = 64;

/// Performs the steps in order and returns the outcome of each. A failed step does not stop the others, unless too many
/// fail in a row.
pub(super) async fn sweep(
    context: SweepContext<'_>,
    state: &State,
    steps: &[Step<Logs>],
    filesystems: &[Filesystem],
) -> Swept<Logs> {
    if steps.is_empty() {
        return Swept::default();
    }
    let mut sweep =
        LogSweep { context, state, steps: steps.into(), look: None, outcomes: Vec::new(), failures: 0, ending: None };
    sweep.ending = not_needed(context.pace.pressure.to_begin(filesystems), &context.pace.pressure);
    while sweep.ending.is_none() && sweep.outcomes.len() < steps.len() {
        sweep.advance().await;
    }
    sweep.swept()
}

struct LogSweep<'a> {
    context: SweepContext<'a>,
    state: &'a State,
    steps: Arc<[Step<Logs>]>,
    /// The last inspection, which may still be valid.
    look: Option<Arc<Look>>,
    /// The outcomes of the steps so far.
    outcomes: Vec<Outcome<Logs>>,
    /// Number of failures in a row, up to the last step.
    failures: u32,
    ending: Option<Ending>,
}

impl LogSweep<'_> {
    /// Performs the next steps, as many as one inspection and, if there is a goal, one measurement allow.
    async fn advance(&mut self) {
        let last = self.look.take();
        let look = async {
            let excess = excess(self.context).await?;
            let look = match last.filter(|look| look.serves()) {
                Some(look) => look,
                None => Look::take(self.context, self.state).await.map(Arc::new)?,
            };
            Ok((look, excess))
        };
        let looked = tokio::select! {
            biased;
            ending = self.context.stop.requested() => Err(ending),
            looked = look => looked,
        };
        match looked {
            Ok((look, excess)) => {
                self.look = Some(Arc::clone(&look));
                self.carry_out(look, excess).await;
            }
            Err(ending) => self.end(ending),
        }
    }

    async fn carry_out(&mut self, look: Arc<Look>, excess: Option<Excess>) {
        let pace = self.context.pace;
        let slice = Batch {
            logs: self.context.node.logs.clone(),
            rails: self.context.rails.for_logs(),
            look,
            steps: Arc::clone(&self.steps),
            first: self.outcomes.len(),
            excess,
            pause: pace.pause,
            max_failures: pace.max_failures,
            failures: self.failures,
            done: Arc::default(),
            halt: Arc::default(),
        };
        let (done, halt, roots) = (Arc::clone(&slice.done), Arc::clone(&slice.halt), Arc::clone(&slice.logs.roots));
        let mut work = tokio::task::spawn_blocking(move || slice.run());
        let stopped = tokio::select! {
            biased;
            _ = &mut work => None,
            ending = self.context.stop.requested() => Some(ending),
        };
        let mut is_lost = false;
        if stopped.is_some() {
            halt.store(true, Ordering::Relaxed);
            let overdue = async {
                self.context.stop.overdue().await;
                roots.end();
                std::future::pending::<()>().await;
            };
            is_lost = tokio::select! {
                biased;
                ended = self.context.stop.at_the_end(&mut work) => ended.is_none(),
                () = overdue => true,
            };
        }
        self.take(std::mem::take(&mut *done.lock().unwrap_or_else(PoisonError::into_inner)));
        if let Some(ending) = stopped {
            // The sweep no longer waits for the step in progress.
            if is_lost && self.outcomes.len() < self.steps.len() {
                self.take(vec![Outcome::Failed(format!("{} before the system answered", ending.message))]);
            }
            self.end(ending);
        }
    }

    fn take(&mut self, outcomes: Vec<Outcome<Logs>>) {
        for outcome in outcomes {
            let step = &self.steps[self.outcomes.len()];
            let (log, plugin, reason) = (step.name(), step.plugin(), step.reason().kind.as_str());
            tracing::info!(log, plugin, reason, outcome = outcome.as_str());
            self.failures = if outcome.is_failure() { self.failures.saturating_add(1) } else { 0 };
            if self.failures >= self.context.pace.max_failures {
                let last = if let Outcome::Failed(why) = &outcome { text::shown(why) } else { String::new() };
                let message =
                    format!("{} removals beneath the log roots failed in a row, the last with: {last}", self.failures);
                self.end(Ending { reason: EndReason::LogsFailing, message });
            }
            self.outcomes.push(outcome);
        }
    }

    /// Ends the sweep before the steps that are left, if any. The first ending counts.
    fn end(&mut self, ending: Ending) {
        if self.outcomes.len() < self.steps.len() {
            self.ending.get_or_insert(ending);
        }
    }

    fn swept(mut self) -> Swept<Logs> {
        if let Some(ending) = &self.ending {
            tell(ending);
            self.outcomes.resize_with(self.steps.len(), || ending.of_a_step());
        }
        Swept { outcomes: self.outcomes, ending: self.ending, ..Swept::default() }
    }
}

/// An inspection of the pods of the node, and of the files in use.
struct Look {
    /// The snapshot of the node; `None` when its pods are not known.
    snapshot: Option<Snapshot>,
    open_files: Arc<OpenFiles>,
    /// The end of the time for which the inspection is valid.
    until: Instant,
}

impl Look {
    /// Inspects the node now.
    ///
    /// # Errors
    /// Fails with the end of the sweep, when the files in use cannot be inspected.
    async fn take(context: SweepContext<'_>, state: &State) -> Result<Self, Ending> {
        let begun = Instant::now();
        // Without a snapshot, the guard assumes that every pod exists.
        let looked = context.node.look(state).await;
        let snapshot = looked.inspect_err(|error| tracing::warn!("the pods of the node are not known: {error}")).ok();
        let logs = context.node.logs.clone();
        let open_files = tokio::task::spawn_blocking(move || logs.open_files()).await.map_err(|error| Ending {
            reason: EndReason::NodeUnseen,
            message: format!("the files in use could not be looked at: {error}"),
        })?;
        let until = Instant::now() + FRESH.max(begun.elapsed() * SERVES);
        Ok(Self { snapshot, open_files, until })
    }

    fn serves(&self) -> bool {
        Instant::now() <= self.until
    }
}

/// A batch of steps, for a thread that may block.
struct Batch {
    logs: RootAccess,
    rails: LogRails,
    look: Arc<Look>,
    steps: Arc<[Step<Logs>]>,
    first: usize,
    /// The space to free, if there is a goal.
    excess: Option<Excess>,
    /// The pause after each step.
    pause: Duration,
    max_failures: u32,
    failures: u32,
    /// The outcomes of the steps so far.
    done: Arc<Mutex<Vec<Outcome<Logs>>>>,
    /// Set to start no further step.
    halt: Arc<AtomicBool>,
}

impl Batch {
    fn run(mut self) {
        let Look { snapshot, open_files, .. } = &*self.look;
        let known = snapshot.as_ref().filter(|snapshot| snapshot.has_runtime());
        let guard = LogGuard::new(self.rails, Timestamp::now(), known);
        let guard = match snapshot {
            Some(snapshot) => guard.on(snapshot),
            None => guard,
        };
        let most = self.excess.map_or(usize::MAX, |_| MEASURED);
        let mut expected = Excess::default();
        for step in self.steps.iter().skip(self.first).take(most) {
            let is_enough =
                expected != Excess::default() && self.excess.is_some_and(|excess| excess.is_covered_by(expected));
            if self.is_halted() || !self.look.serves() || self.failures >= self.max_failures || is_enough {
                return;
            }
            let outcome = match guard.clear(step, self.logs.roots.look(step.target(), open_files)) {
                Ok(clearance) => outcome(step, self.logs.roots.perform(clearance)),
                Err(Refusal::NotFound) => Outcome::AlreadyGone,
                Err(refusal) => Outcome::NoLongerAllowed(refusal),
            };
            self.failures = if outcome.is_failure() { self.failures + 1 } else { 0 };
            match outcome {
                Outcome::Removed => expected.add(step.freeable_bytes(), step.entries()),
                Outcome::Truncated => expected.add(step.freeable_bytes(), 0),
                _ => {}
            }
            self.done.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
            self.rest();
        }
    }

    fn is_halted(&self) -> bool {
        self.halt.load(Ordering::Relaxed)
    }

    /// Waits between two steps. A halt ends the wait early.
    fn rest(&self) {
        let until = Instant::now() + self.pause;
        while !self.is_halted() && Instant::now() < until {
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(Duration::from_millis(20)));
        }
    }
}

fn outcome(step: &Step<Logs>, attempt: Performed) -> Outcome<Logs> {
    match attempt {
        Performed::Done(_) => Outcome::of_done(step.operation()),
        Performed::AlreadyGone => Outcome::AlreadyGone,
        Performed::NoLongerAllowed(refusal) => Outcome::NoLongerAllowed(refusal),
        Performed::Failed(why) => Outcome::Failed(why),
    }
}
