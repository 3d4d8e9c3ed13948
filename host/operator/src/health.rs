//! The health of an operator: its counts, its latest statuses, and whether its loop runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holystone_core::manifest::status::NodeCleanupStatus;
use tokio::time::Instant;

/// Maximum time without a complete view of the cluster before an operator that acts is not ready any more.
const BLIND: Duration = Duration::from_mins(1);
/// Maximum duration of one turn of the loop before the loop counts as stuck.
const STUCK: Duration = Duration::from_mins(5);

/// The health of an operator, for probes and metrics.
#[derive(Clone, Debug, Default)]
pub struct OperatorHealth {
    /// Set on the replica that acts.
    pub is_leader: bool,
    /// Number of successful reconciliations of a NodeCleanup.
    pub done: u64,
    /// Number of failed reconciliations.
    pub failed: u64,
    /// Statuses of all NodeCleanups, by namespace and name.
    pub cleanups: BTreeMap<(String, String), NodeCleanupStatus>,
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) health: OperatorHealth,
    pub(crate) turned: Option<Instant>,
    /// Time when the operator began to act without a complete view of the cluster.
    pub(crate) blind_since: Option<Instant>,
}

/// A view of a running operator.
#[derive(Clone)]
pub struct Watcher(pub(crate) Arc<Mutex<Shared>>);

impl Watcher {
    /// Returns the health of the operator.
    pub fn health(&self) -> OperatorHealth {
        lock(&self.0).health.clone()
    }

    /// Returns whether the loop of the operator runs. A replica that waits for the lease counts as alive.
    pub fn is_alive(&self) -> bool {
        lock(&self.0).is_alive(Instant::now())
    }

    /// Returns whether the operator sees the cluster, or has just begun to look. A replica that waits for the lease is
    /// ready. Without the right to list a required object, an operator does nothing, and is not ready.
    pub fn is_ready(&self) -> bool {
        lock(&self.0).is_ready(Instant::now())
    }

    /// Records whether this replica acts.
    pub fn lead(&self, leads: bool) {
        lock(&self.0).health.is_leader = leads;
    }
}

pub(crate) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Records the start of a turn of the loop, and whether all of the cluster has been seen.
    pub(crate) fn turn(&mut self, has_seen_all: bool, now: Instant) {
        self.turned = Some(now);
        self.blind_since = if has_seen_all { None } else { self.blind_since.or(Some(now)) };
    }

    fn is_alive(&self, now: Instant) -> bool {
        self.turned.is_none_or(|turned| now.duration_since(turned) < STUCK)
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.blind_since.is_none_or(|since| now.duration_since(since) < BLIND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_that_does_not_see_the_cluster_is_not_ready() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut shared = Shared::default();
        assert!(shared.is_ready(at(9_999)) && shared.is_alive(at(9_999)), "one that waits for the lease");
        for (seconds, is_ready) in [(0, true), (59, true), (60, false), (3_600, false)] {
            shared.turn(false, at(seconds));
            assert_eq!((shared.is_ready(at(seconds)), shared.is_alive(at(seconds))), (is_ready, true), "{seconds}");
        }
        shared.turn(true, at(4_000));
        assert!(shared.is_ready(at(4_299)) && shared.is_alive(at(4_299)));
        assert!(shared.is_ready(at(4_300)) && !shared.is_alive(at(4_300)), "a turn that does not end");
        shared.turn(false, at(5_000));
        assert!(shared.is_ready(at(5_059)) && !shared.is_ready(at(5_060)), "it counts from the beginning");
    }
}
