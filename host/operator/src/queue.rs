//! The queue of NodeCleanups to look at, with the due time and the back-off of each.

use std::collections::BTreeMap;
use std::time::Duration;

use holystone_core::manifest::Problem;
use serde_json::Value;
use tokio::time::Instant;

use crate::mirror::ObjectRef;

/// Delay between a change and the reaction to it, because changes come in bursts.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);
/// Delay before the first retry, and the maximum before a later one.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// Time without any action after which earlier actions are forgotten.
const CALM: Duration = Duration::from_mins(10);

/// The NodeCleanups to look at, with their due times.
#[derive(Default)]
pub(crate) struct WorkQueue {
    pub(crate) due: BTreeMap<ObjectRef, Instant>,
    pub(crate) failures: BTreeMap<ObjectRef, u32>,
    /// Recent actions.
    acts: BTreeMap<ObjectRef, Acts>,
    /// NodeCleanups that other operators manage, with the names of those operators.
    pub(crate) others: BTreeMap<ObjectRef, String>,
    /// Times of the last requests for events.
    pub(crate) inquired: BTreeMap<ObjectRef, Instant>,
    /// Problems of each spec at its last check.
    pub(crate) checked: BTreeMap<ObjectRef, (Value, Vec<Problem>)>,
}

/// The actions for one spec, with the count of each. A writer that undoes them may wait in between, as another operator
/// does that replaces the same objects. Therefore, a look without actions forgets nothing.
struct Acts {
    generation: Option<i64>,
    times: BTreeMap<String, u32>,
    last: Instant,
}

impl Acts {
    fn new(generation: Option<i64>) -> Self {
        Self { generation, times: BTreeMap::new(), last: Instant::now() }
    }

    fn is_over(&self) -> bool {
        self.last.elapsed() > CALM
    }
}

impl WorkQueue {
    /// Adds a NodeCleanup, to look at it at this time at the latest.
    pub(crate) fn by(&mut self, key: ObjectRef, time: Instant) {
        self.due.entry(key).and_modify(|due| *due = (*due).min(time)).or_insert(time);
    }

    /// Returns the NodeCleanup to look at first, and its due time.
    pub(crate) fn first(&self) -> Option<(&ObjectRef, Instant)> {
        self.due.iter().min_by_key(|(_, time)| **time).map(|(key, time)| (key, *time))
    }

    /// Counts a failure, and returns the delay before the retry.
    pub(crate) fn failed(&mut self, key: &ObjectRef) -> Duration {
        let failures = self.failures.entry(key.clone()).or_default();
        let wait = doubled(BACK_OFF.0, *failures);
        *failures += 1;
        wait
    }

    /// Counts actions. Returns the delay before another look at their result, if there were any.
    pub(crate) fn acted(&mut self, key: &ObjectRef, generation: Option<i64>, done: Vec<String>) -> Option<Duration> {
        if done.is_empty() {
            return None;
        }
        let acts = self.acts.entry(key.clone()).or_insert_with(|| Acts::new(generation));
        if acts.generation != generation || acts.is_over() {
            *acts = Acts::new(generation);
        }
        acts.last = Instant::now();
        for what in done {
            *acts.times.entry(what).or_default() += 1;
        }
        Some(self.settle(key, SETTLE))
    }

    /// Returns the largest number of recent repetitions of one action.
    pub(crate) fn acts(&self, key: &ObjectRef) -> u32 {
        let acts = self.acts.get(key).filter(|acts| !acts.is_over());
        acts.and_then(|acts| acts.times.values().max().copied()).unwrap_or_default()
    }

    /// Returns the delay after a change. The delay grows with the repetitions of an action, because another writer then
    /// undoes it.
    pub(crate) fn settle(&self, key: &ObjectRef, time: Duration) -> Duration {
        doubled(time, self.acts(key).saturating_sub(1))
    }

    /// Forgets everything about a NodeCleanup that is gone.
    pub(crate) fn forget(&mut self, key: &ObjectRef) {
        self.failures.remove(key);
        self.acts.remove(key);
        self.checked.remove(key);
        self.inquired.remove(key);
        self.others.remove(key);
    }
}

fn doubled(time: Duration, times: u32) -> Duration {
    time.saturating_mul(1 << times.min(16)).min(BACK_OFF.1)
}
