//! Rendering of a manifest into the Kubernetes objects that carry it out.
//!
//! Rendering is deterministic, so the objects can be applied repeatedly. The details follow from the behavior of
//! OpenKruise 1.6 to 1.9; the tests name each trap.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::KRUISE_API;
use super::pod::{self, MANIFEST_KEY, Site};
use crate::manifest::{
    CompletionPolicy, CompletionType, FailurePolicy, FailurePolicyType, Metadata, NodeCleanup, PodTemplate, Rollout,
    RolloutEngine, Runtime,
};
use crate::schedule::Schedule;

/// Delay up to which a run may start, if the manifest sets none. It is long enough for a controller that restarts, and
/// always shorter than a hundred ticks: OpenKruise gives up when it has missed more.
const STARTING_DEADLINE: SignedDuration = SignedDuration::from_secs(300);

/// The engine that carries out a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// AdvancedCronJob of OpenKruise, which creates BroadcastJobs.
    AdvancedCronJob,
    /// A single BroadcastJob of OpenKruise.
    BroadcastJob,
    /// DaemonSet of daemons.
    DaemonSet,
}

impl Engine {
    /// Returns the engine that a manifest requests.
    pub fn of(manifest: &NodeCleanup) -> Self {
        Self::by(manifest.spec.rollout.engine, manifest.spec.schedule.is_some())
    }

    /// Resolves the engine of a manifest with this rollout engine, with or without a schedule.
    pub fn by(engine: RolloutEngine, has_schedule: bool) -> Self {
        match (engine, has_schedule) {
            (RolloutEngine::DaemonSet, _) => Self::DaemonSet,
            (RolloutEngine::BroadcastJob, true) => Self::AdvancedCronJob,
            (RolloutEngine::BroadcastJob, false) => Self::BroadcastJob,
        }
    }

    /// Returns the kind of the engine's object.
    pub fn kind(self) -> &'static str {
        match self {
            Self::AdvancedCronJob => "AdvancedCronJob",
            Self::BroadcastJob => "BroadcastJob",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

/// The rendered objects of a manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// Engine that carries out the manifest.
    pub engine: Engine,
    /// ConfigMap with the manifest, as the pods read it.
    pub config_map: Value,
    /// Object of the engine.
    pub workload: Value,
}

/// Number of digits of the digest in the name of a ConfigMap. The arguments of the pods contain all of them.
const DIGITS_IN_NAME: usize = 16;

/// The manifest as the pods of one engine read it, and the ConfigMap that holds exactly this text.
pub(super) struct PodManifest {
    /// Name of the ConfigMap, which contains the first digits of the digest.
    pub(super) config_map: String,
    /// Digest of the text: `sha256:` and 64 hexadecimal digits.
    pub(super) digest: String,
    text: String,
}

impl PodManifest {
    pub(super) fn of(manifest: &NodeCleanup) -> Self {
        // A manifest can always be serialized.
        let text = serde_saphyr::to_string(&plain(manifest)).unwrap_or_default();
        let digest = crate::digest::of(text.as_bytes());
        let digits: String = digest.trim_start_matches("sha256:").chars().take(DIGITS_IN_NAME).collect();
        Self { config_map: format!("{}-{digits}", object_name(&manifest.metadata.name)), digest, text }
    }

    /// Renders the ConfigMap. A ConfigMap is immutable, so a run reads the same manifest from its start to its end.
    fn object(&self, manifest: &NodeCleanup) -> Value {
        let mut object = object("v1", "ConfigMap", manifest, &self.config_map);
        object["data"] = json!({ MANIFEST_KEY: self.text });
        object["immutable"] = true.into();
        object
    }
}

/// Returns the name of the DaemonSet of a NodeCleanup, which is also the prefix of its ConfigMaps. The prefix
/// `holystone-` keeps it apart from names that users choose.
pub fn object_name(name: &str) -> String {
    format!("holystone-{name}")
}

/// Renders the objects of a manifest, with pods of this site.
pub fn render(manifest: &NodeCleanup, site: Site<'_>) -> Rendered {
    let engine = Engine::of(manifest);
    let source = PodManifest::of(manifest);
    let workload = match engine {
        Engine::AdvancedCronJob => advanced_cron_job(manifest, site, &source),
        Engine::BroadcastJob => once(manifest, site, &source),
        Engine::DaemonSet => daemon_set(manifest, site, &source),
    };
    Rendered { engine, config_map: source.object(manifest), workload }
}

/// Renders a BroadcastJob that runs a manifest at once, for a value of the annotation `holystone.dev/run-now`.
/// OpenKruise does not count it as a run of the schedule, because it belongs to the NodeCleanup itself.
pub fn run_now(manifest: &NodeCleanup, site: Site<'_>, word: &str) -> Value {
    let name = format!("{}-r{}", manifest.metadata.name, digest(word));
    broadcast_job(manifest, site, &PodManifest::of(manifest), &name)
}

fn object(api_version: &str, kind: &str, manifest: &NodeCleanup, name: &str) -> Value {
    let mut metadata = json!({ "name": name, "labels": pod::labels(manifest) });
    if let Some(namespace) = &manifest.metadata.namespace {
        metadata["namespace"] = namespace.as_str().into();
    }
    json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata })
}

/// Reduces a manifest to the part that pods read: without the metadata that the API server stores, and without the
/// settings of the rollout that mean nothing on one node. Unless the engine is a DaemonSet, settings that only concern
/// the start of runs are left out as well.
fn plain(manifest: &NodeCleanup) -> NodeCleanup {
    let mut plain = manifest.clone();
    plain.metadata = Metadata {
        name: manifest.metadata.name.clone(),
        namespace: manifest.metadata.namespace.clone(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        other: BTreeMap::new(),
    };
    let spec = &mut plain.spec;
    spec.runtime = Runtime { endpoint: manifest.spec.runtime.endpoint.clone(), ..Runtime::default() };
    let policies = &manifest.spec.rollout;
    spec.rollout = Rollout {
        completion_policy: CompletionPolicy { kind: CompletionType::default(), ..policies.completion_policy },
        failure_policy: FailurePolicy { kind: FailurePolicyType::default(), ..policies.failure_policy },
        ..Rollout::default()
    };
    // Daemons start runs themselves. For a pod that runs once, a change of these settings would only make it another
    // pod.
    if Engine::of(manifest) != Engine::DaemonSet {
        spec.forget_starts();
    }
    plain
}

fn advanced_cron_job(manifest: &NodeCleanup, site: Site<'_>, source: &PodManifest) -> Value {
    let spec = &manifest.spec;
    let schedule = spec.schedule.as_deref().unwrap_or_default();
    let mut cron = json!({
        "schedule": schedule,
        "startingDeadlineSeconds": starting_deadline_seconds(manifest),
        "concurrencyPolicy": spec.concurrency_policy,
        "paused": spec.paused,
        "successfulJobsHistoryLimit": history(spec.successful_jobs_history_limit),
        "failedJobsHistoryLimit": history(spec.failed_jobs_history_limit),
        "template": { "broadcastJobTemplate": { "spec": broadcast_job_spec(manifest, site, source) } },
    });
    if let Some(zone) = &spec.time_zone {
        cron["timeZone"] = zone.as_str().into();
    }
    let mut object = object(KRUISE_API, "AdvancedCronJob", manifest, &manifest.metadata.name);
    object["spec"] = cron;
    object
}

/// Raises a history limit to at least 1. OpenKruise derives the last run from the runs on record; without any, it
/// starts the last one again.
fn history(limit: u32) -> u32 {
    limit.max(1)
}

/// Computes the starting deadline. It is always set: without one, OpenKruise gives up for good after a hundred missed
/// ticks.
fn starting_deadline_seconds(manifest: &NodeCleanup) -> i64 {
    if let Some(seconds) = manifest.spec.starting_deadline_seconds {
        return seconds.into();
    }
    let period = manifest.spec.schedule.as_deref().and_then(|text| Schedule::parse(text, None).ok()?.period());
    let deadline = period.map_or(STARTING_DEADLINE, |period| {
        // The deadline is longer than a period, or no run would ever start, and far below a hundred periods.
        let seconds = period.as_secs().max(1);
        SignedDuration::from_secs(STARTING_DEADLINE.as_secs().clamp(seconds * 2, seconds.saturating_mul(90)))
    });
    deadline.as_secs()
}

fn once(manifest: &NodeCleanup, site: Site<'_>, source: &PodManifest) -> Value {
    broadcast_job(manifest, site, source, &format!("{}-o{}", manifest.metadata.name, digest(&identity(manifest))))
}

/// Returns the identity of a run without a schedule: its work, and its nodes. Settings for its start, its speed, its
/// time limit and its retention do not make it another run.
fn identity(manifest: &NodeCleanup) -> String {
    let mut spec = manifest.spec.clone();
    spec.forget_starts();
    spec.time_zone = None;
    spec.rollout.parallelism = None;
    spec.rollout.failure_policy = FailurePolicy::default();
    spec.rollout.completion_policy.active_deadline_seconds = None;
    // Only those settings of the pods count that affect on which nodes they run, and what they see there.
    let PodTemplate { host_pid, affinity, .. } = spec.rollout.pod_template;
    spec.rollout.pod_template = PodTemplate { host_pid, affinity, ..PodTemplate::default() };
    serde_json::to_string(&spec).unwrap_or_default()
}

fn broadcast_job(manifest: &NodeCleanup, site: Site<'_>, source: &PodManifest, name: &str) -> Value {
    let mut object = object(KRUISE_API, "BroadcastJob", manifest, name);
    object["spec"] = broadcast_job_spec(manifest, site, source);
    object["spec"]["paused"] = manifest.spec.paused.into();
    object
}

fn broadcast_job_spec(manifest: &NodeCleanup, site: Site<'_>, source: &PodManifest) -> Value {
    let rollout = &manifest.spec.rollout;
    let policy = rollout.completion_policy;
    let mut completion = json!({ "type": "Always", "activeDeadlineSeconds": pod::active_deadline_seconds(&policy) });
    if policy.kind == CompletionType::Never {
        completion = json!({ "type": "Never" });
    } else if let Some(seconds) = policy.ttl_seconds_after_finished {
        completion["ttlSecondsAfterFinished"] = seconds.into();
    }
    let mut spec = json!({
        "completionPolicy": completion,
        "failurePolicy": { "type": rollout.failure_policy.kind },
        "template": pod::template(manifest, site, source, RolloutEngine::BroadcastJob),
    });
    if let Some(parallelism) = rollout.parallelism {
        // A number stays a number: OpenKruise takes "3" for 3 percent.
        spec["parallelism"] = json!(parallelism);
    }
    spec
}

fn daemon_set(manifest: &NodeCleanup, site: Site<'_>, source: &PodManifest) -> Value {
    let mut object = object("apps/v1", "DaemonSet", manifest, &object_name(&manifest.metadata.name));
    let selector: Map<String, Value> = pod::labels(manifest).as_object().cloned().unwrap_or_default();
    // A pause applies to all nodes at once, and not to a tenth of them at a time.
    let unavailable = if manifest.spec.paused { "100%" } else { "10%" };
    object["spec"] = json!({
        "selector": { "matchLabels": selector },
        "template": pod::template(manifest, site, source, RolloutEngine::DaemonSet),
        "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": unavailable } },
    });
    object
}

/// Computes eight hexadecimal digits that distinguish texts (FNV-1a). Finding a collision gives no advantage to anyone.
pub(super) fn digest(text: &str) -> String {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}
