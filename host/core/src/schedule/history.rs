//! The limits on the number of reports of past runs.

use jiff::Timestamp;

/// The number of finished runs to keep; an absent limit keeps all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Number of successful runs to keep.
    pub successful: Option<u32>,
    /// Number of failed runs to keep.
    pub failed: Option<u32>,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// The run has not ended.
    Active,
    /// The run has ended and was successful.
    Successful,
    /// The run has ended and has failed.
    Failed,
}

/// A run in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past<T> {
    /// The name of the run for the caller.
    pub name: T,
    /// The state of the run.
    pub state: RunState,
    /// The start of the run; a run without a start counts as the oldest.
    pub started: Option<Timestamp>,
}

impl HistoryLimits {
    /// Returns the runs to delete: for each outcome, the oldest ones over the limit. Active runs are never deleted.
    pub fn excess<T>(&self, mut runs: Vec<Past<T>>) -> Vec<T> {
        runs.sort_by_key(|run| run.started);
        let mut successful = over(&runs, RunState::Successful, self.successful);
        let mut failed = over(&runs, RunState::Failed, self.failed);
        let mut forget = |run: &Past<T>| match run.state {
            RunState::Active => false,
            RunState::Successful => take(&mut successful),
            RunState::Failed => take(&mut failed),
        };
        runs.into_iter().filter_map(|run| forget(&run).then_some(run.name)).collect()
    }
}

/// Counts the runs in this state that are over the limit.
fn over<T>(runs: &[Past<T>], state: RunState, limit: Option<u32>) -> usize {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    runs.iter().filter(|run| run.state == state).count().saturating_sub(limit)
}

fn take(left: &mut usize) -> bool {
    let some = *left > 0;
    *left -= usize::from(some);
    some
}
