//! Problems of a manifest on a cluster only: what the operator does not allow, the rules of [`crate::manifest`]
//! that hold on a cluster, and what OpenKruise would never come back from.

use jiff::Timestamp;

use super::Allowed;
use crate::manifest::{NodeCleanup, Problem, problems_on_cluster};
use crate::schedule::{Schedule, zone};

/// How many ticks OpenKruise looks back over; when more were missed it gives up for good.
const MOST_TICKS: usize = 100;
/// How many ticks of a schedule are looked at to find out how close together they come.
const SAMPLE: usize = 2_000;

/// Everything that keeps a manifest from a cluster whose operator allows this.
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

/// How many seconds the densest hundred ticks of the schedule take.
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
