//! Validation of a manifest that applies on a cluster only: the limits of the operator, the rules of
//! [`crate::manifest`] for clusters, and deadlines with which OpenKruise would give up for good.

use jiff::Timestamp;

use super::Allowed;
use crate::manifest::{NodeCleanup, Problem, problems_on_cluster};
use crate::schedule::{Schedule, zone};

/// Number of ticks that OpenKruise looks back over; after more missed ticks, it gives up for good.
const MOST_TICKS: usize = 100;
/// Number of ticks of a schedule that are examined for their density.
const SAMPLE: usize = 2_000;

/// Finds all problems that keep a manifest from a cluster whose operator has these limits.
pub fn problems(manifest: &NodeCleanup, allowed: &Allowed) -> Vec<Problem> {
    let spec = &manifest.spec;
    let mut problems = allowed.problems(manifest);
    problems.extend(problems_on_cluster(manifest));
    if let Some(most) = longest_deadline(manifest)
        && let Some(given) = spec.starting_deadline_seconds
        && i64::from(given) > most
    {
        let message = format!(
            "must be at most {most} on a cluster, which is {MOST_TICKS} times of the schedule: OpenKruise gives up for \
             good when it has missed more"
        );
        problems.push(Problem::new(None, "spec.startingDeadlineSeconds", message));
    }
    problems
}

/// Computes the time that the densest hundred ticks of the schedule take, in seconds.
fn longest_deadline(manifest: &NodeCleanup) -> Option<i64> {
    let zone = manifest.spec.time_zone.as_deref().and_then(|name| zone(name).ok());
    let schedule = Schedule::parse(manifest.spec.schedule.as_deref()?, zone).ok()?;
    let first = Timestamp::UNIX_EPOCH;
    let ticks: Vec<i64> = std::iter::successors(schedule.next(first), |tick| schedule.next(*tick))
        .take(SAMPLE)
        .map(Timestamp::as_second)
        .collect();
    ticks.windows(MOST_TICKS).filter_map(|ticks| Some(ticks.last()? - ticks.first()?)).min()
}
