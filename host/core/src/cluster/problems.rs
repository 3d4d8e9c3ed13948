//! What is wrong with a manifest on a cluster only. The CRD says most of it in CEL; this is for those who have no API
//! server at hand, and for what CEL cannot say.

use jiff::Timestamp;

use super::Allowed;
use crate::manifest::{NodeCleanup, PluginSource, Problem};
use crate::reference::Reference;
use crate::schedule::{ConcurrencyPolicy, Schedule, zone};

/// How many ticks OpenKruise looks back over; when more were missed it gives up for good.
const MOST_TICKS: usize = 100;
/// The labels that say what a node runs.
const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];
/// How many ticks of a schedule are looked at to find out how close together they come.
const SAMPLE: usize = 2_000;

/// Everything that keeps a manifest from a cluster whose operator allows this.
pub fn problems(manifest: &NodeCleanup, allowed: &Allowed) -> Vec<Problem> {
    let spec = &manifest.spec;
    let mut problems = allowed.problems(manifest);
    let mut add = |path: &str, message: String| problems.push(Problem::new(None, path, message));
    if manifest.metadata.name.contains('.') {
        add("metadata.name", "must have no dots, because pods carry it as the value of a label".to_owned());
    }
    for (index, plugin) in spec.plugins.iter().enumerate() {
        let source = format!("spec.plugins[{index}].source");
        match &plugin.source {
            PluginSource::File(_) => {
                let message = "is a file of one machine; on a cluster use configMap or imageVolume";
                add(&format!("{source}.file"), message.to_owned());
            }
            // The kubelet would refuse each pod.
            PluginSource::ImageVolume(image) => {
                if let Err(error) = Reference::parse(&image.reference) {
                    add(&format!("{source}.imageVolume.reference"), error.to_string());
                }
            }
            PluginSource::Builtin(_) | PluginSource::ConfigMap(_) => {}
        }
    }
    for (label, value) in &spec.rollout.node_selector {
        if OS_LABELS.contains(&label.as_str()) && value != "linux" {
            let message = format!(
                "must not ask for another {label} than linux, because the pods run on Linux nodes only; found {value}"
            );
            add("spec.rollout.nodeSelector", message);
        }
    }
    if spec.concurrency_policy == ConcurrencyPolicy::Allow {
        let message = "must be Forbid or Replace on a cluster: two sweeps on one node only get into each other's way";
        add("spec.concurrencyPolicy", message.to_owned());
    }
    if spec.schedule.is_some() && spec.rollout.completion_policy.ttl_seconds_after_finished.is_some() {
        let message = "must be left out with a schedule: OpenKruise starts the last run again when it is forgotten; use \
                       the history limits";
        add("spec.rollout.completionPolicy.ttlSecondsAfterFinished", message.to_owned());
    }
    if let Some(most) = longest_deadline(manifest)
        && let Some(given) = spec.starting_deadline_seconds
        && i64::from(given) > most
    {
        let message = format!(
            "must be at most {most} on a cluster, which is {MOST_TICKS} times of the schedule: OpenKruise gives up for \
             good when it has missed more"
        );
        add("spec.startingDeadlineSeconds", message);
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
