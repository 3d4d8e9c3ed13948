//! Which reports of past runs are kept.

use jiff::Timestamp;

/// How many finished runs to keep; an absent limit keeps all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Of the runs that went well.
    pub successful: Option<u32>,
    /// Of the runs that did not.
    pub failed: Option<u32>,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It is still going on.
    Active,
    /// It went well.
    Successful,
    /// It did not.
    Failed,
}

/// A run, as far as keeping it is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past<T> {
    /// Whatever names the run to the caller.
    pub name: T,
    /// How it stands.
    pub state: RunState,
    /// When it started; one without counts as the oldest.
    pub started: Option<Timestamp>,
}

impl HistoryLimits {
    /// The runs to forget: of each outcome the oldest that are over the limit. Active runs never are.
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

/// How many runs in this state are too many.
fn over<T>(runs: &[Past<T>], state: RunState, limit: Option<u32>) -> usize {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    runs.iter().filter(|run| run.state == state).count().saturating_sub(limit)
}

fn take(left: &mut usize) -> bool {
    let some = *left > 0;
    *left -= usize::from(some);
    some
}
