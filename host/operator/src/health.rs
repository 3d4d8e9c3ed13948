//! The health of an operator: its counts, the statuses that it wrote last, and whether its loop runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holystone_core::manifest::status::NodeCleanupStatus;
use tokio::time::Instant;

/// The longest time that an operator may act without having seen all of the cluster.
const BLIND: Duration = Duration::from_mins(1);
/// The longest turn of the loop before it counts as stuck.
const STUCK: Duration = Duration::from_mins(5);

/// The health of an operator, for probes and metrics.
#[derive(Clone, Debug, Default)]
pub struct OperatorHealth {
    /// True if this is the replica that acts.
    pub is_leader: bool,
    /// The number of looks at a NodeCleanup that went well.
    pub done: u64,
    /// The number of looks that failed.
    pub failed: u64,
    /// The statuses of all NodeCleanups, by namespace and name.
    pub cleanups: BTreeMap<(String, String), NodeCleanupStatus>,
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) health: OperatorHealth,
    pub(crate) turned: Option<Instant>,
    /// Since when it acts without having seen all of the cluster.
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

    /// Returns whether its loop runs; one that waits for the lease does.
    pub fn is_alive(&self) -> bool {
        lock(&self.0).is_alive(Instant::now())
    }

    /// Returns whether it sees the cluster, or has just begun to look; one that waits for the lease is ready. Without the
    /// right to list an object that it needs, an operator does nothing.
    pub fn is_ready(&self) -> bool {
        lock(&self.0).is_ready(Instant::now())
    }

    /// Takes in whether this replica acts.
    pub fn lead(&self, leads: bool) {
        lock(&self.0).health.is_leader = leads;
    }
}

pub(crate) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Notes that the loop has begun a turn, and whether all of the cluster has been seen.
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
