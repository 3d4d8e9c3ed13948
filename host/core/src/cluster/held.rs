//! Reasons why the pods of a run are not created or do not start: in the words of the cluster, with advice.
//!
//! These texts come from other writers, so each text is sanitized and truncated, and their number is limited.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::objects::{ContainerStatus, EventView, PodPhase, PodView, TerminatedContainer, WaitingContainer};
use super::render::object_name;
use crate::report::Brief;
use crate::text::shown;

/// Time for pods to be created and to start before a problem is reported.
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(15);
/// Interval between requests for events while no other source explains the problem.
pub const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// Maximum number of event messages that are kept for one object, and of errors from one report.
const SENTENCES: usize = 2;
/// Maximum number of events that are read for one object.
const EVENTS: usize = 100;
/// Waiting reasons of containers that explain nothing: no problem exists yet, or only events name it.
const SAYS_NOTHING: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// The kubelet's repeated message about a volume; another event says more about it.
const TIMED_OUT: &str = "timed out waiting for the condition";

/// A pod that has not started, or does not keep running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Creation time of the pod.
    pub since: Option<Timestamp>,
    /// Cause with advice; absent while unknown.
    pub why: Option<Box<str>>,
    /// Set for daemons, which never end by themselves.
    pub is_daemon: bool,
}

impl Held {
    /// Reads the status of a pod; `None` if the pod runs or has ended.
    pub fn of(pod: &PodView, is_daemon: bool) -> Option<Self> {
        let container = container(pod);
        let waiting = container.and_then(|container| container.state.waiting.as_ref());
        if pod.is_over() || pod.status.phase != PodPhase::Pending && waiting.is_none() {
            return None;
        }
        let since = pod.meta.creation_timestamp;
        let why = unscheduled(pod).or_else(|| not_running(container?, waiting?)).map(|text| advised(&text));
        Some(Self { since, why: why.map(String::into_boxed_str), is_daemon })
    }

    /// Returns the time left before the pod is reported; `None` if the pod has taken too long or its age is unknown.
    pub(super) fn patience(&self, now: Timestamp) -> Option<SignedDuration> {
        let left = PATIENCE - self.since?.duration_until(now);
        (left > SignedDuration::ZERO).then_some(left)
    }

    /// Returns the cause, or a general sentence while the cause is unknown.
    pub(super) fn why(&self) -> &str {
        self.why
            .as_deref()
            .unwrap_or("the pod does not start, and its status does not say why; see kubectl describe pod")
    }
}

/// Returns the container of Holystone; other writers may have added containers to the pod.
fn container(pod: &PodView) -> Option<&ContainerStatus> {
    let containers = &pod.status.container_statuses;
    let own = containers.iter().find(|container| container.name == "holystone");
    own.or(containers.first())
}

fn unscheduled(pod: &PodView) -> Option<String> {
    let scheduled = pod.status.conditions.iter().find(|condition| condition.kind == "PodScheduled")?;
    let is_held = scheduled.status == "False";
    let said = || reason_and_message(&scheduled.reason, &scheduled.message);
    is_held.then(|| format!("the pod is not scheduled: {}", said()))
}

fn not_running(container: &ContainerStatus, waiting: &WaitingContainer) -> Option<String> {
    let WaitingContainer { reason, message } = waiting;
    if reason.is_empty() || SAYS_NOTHING.contains(&reason.as_str()) && message.is_empty() {
        return None;
    }
    Some(match &container.last_state.terminated {
        Some(last) => format!("the container ends again and again, at last with {}", last_words(last)),
        None => format!("the container does not start: {}", reason_and_message(reason, message)),
    })
}

fn reason_and_message(reason: &str, message: &str) -> String {
    [shown(reason), shown(message)].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ")
}

/// Formats the end of a container: its exit code, and the sentences of its report, or else its message or reason.
fn last_words(ended: &TerminatedContainer) -> String {
    let message = ended.message.as_deref().unwrap_or_default();
    let code = ended.exit_code;
    let words = match Brief::from_message(message) {
        Ok(brief) => {
            let errors = brief.errors.into_iter().map(|error| error.message).take(SENTENCES);
            brief.outcome.message.into_iter().chain(errors).collect::<Vec<_>>().join(" ")
        }
        Err(_) if message.trim().is_empty() => shown(ended.reason.as_deref().unwrap_or_default()),
        Err(_) => shown(message.trim()),
    };
    if words.is_empty() { format!("exit code {code}") } else { format!("exit code {code}: {words}") }
}

/// Explains why the pods of a BroadcastJob or a DaemonSet are not created, in the words of its events.
pub fn not_made(events: &[EventView], name: &str) -> Vec<String> {
    let is_about_pods = |reason: &str| reason.starts_with("Failed") && reason != "FailedDaemonPod";
    sentences(events, is_about_pods)
        .map(|text| advised(&format!("no pod is made: {}", without_suffix(&text, name))))
        .collect()
}

/// Explains why a pod does not start, in the words of its events.
pub fn not_started(events: &[EventView]) -> Option<String> {
    let texts: Vec<String> = sentences(events, |_| true).collect();
    (!texts.is_empty()).then(|| advised(&format!("the pod does not start: {}", texts.join("; "))))
}

/// Selects one warning for each reason, in the order of the reasons: the latest, and a mere timeout only without
/// another.
fn sentences(events: &[EventView], is_wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
    let mut latest: BTreeMap<&str, (bool, &str, &str)> = BTreeMap::new();
    for event in events.iter().take(EVENTS).filter(|event| event.kind == "Warning") {
        let (reason, note) = (event.reason.as_str(), event.note.as_str());
        if reason.is_empty() || !is_wanted(reason) {
            continue;
        }
        let found = (!note.contains(TIMED_OUT), event.last_time(), note);
        let known = latest.entry(reason).or_insert(found);
        *known = found.max(*known);
    }
    let texts: Vec<String> = latest
        .into_iter()
        .take(SENTENCES)
        .map(|(reason, (_, _, note))| format!("{}: {}", shown(reason), shown(note)))
        .collect();
    texts.into_iter()
}

/// Removes the random suffixes of pod names, so that the same problem yields the same sentence.
fn without_suffix(text: &str, name: &str) -> String {
    let prefix = format!("{name}-");
    let is_suffix = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let mut parts = text.split(&prefix);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + &prefix + "…" + part.trim_start_matches(is_suffix))
}

/// Appends advice, if any is known.
fn advised(text: &str) -> String {
    advice(text).map_or_else(|| text.to_owned(), |advice| format!("{text}; {advice}"))
}

fn advice(text: &str) -> Option<String> {
    let has = |words: &str| text.contains(words);
    let advice = if has("violates PodSecurity") {
        "label the namespace pod-security.kubernetes.io/enforce=privileged, because the pods mount paths of their node"
    } else if has("no PriorityClass with name") {
        "create that PriorityClass, or set spec.rollout.priorityClassName to one that there is"
    } else if has("exceeded quota") {
        "raise the ResourceQuota of the namespace"
    } else if has("hostPath type check failed") || has("MountVolume") && has("hostPath") {
        return Some(format!("set {} to what is there on these nodes", field_of_volume(text)?));
    } else if has("configmap \"") && has("not found") {
        return missing_config_map(text);
    } else if has("/etc/holystone/image-volumes") || has("failed to mkdir \"\"") || has("failed to stat \"\"") {
        "the runtime of these nodes cannot mount images: use source.configMap for the plugin, or containerd 2.1 or CRI-O \
         1.31 and later"
    } else if has("ErrImagePull") || has("ImagePullBackOff") || has("InvalidImageName") || has("ErrImageNeverPull") {
        "see the images that are named: that of the pods is the operator's option --image (in the chart nodeImage)"
    } else if has("not scheduled") {
        "see whether the nodes have room, and taints that spec.rollout.tolerations does not name"
    } else {
        return None;
    };
    Some(advice.to_owned())
}

/// Returns the field of the manifest that a volume of a pod comes from.
fn field_of_volume(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("volume \"")?;
    let (volume, _) = rest.split_once('"')?;
    match volume.split_once('-') {
        None if volume == "runtime" => Some("spec.runtime.endpoint".to_owned()),
        None if volume == "images" => Some("spec.runtime.imageRoot".to_owned()),
        Some(("logs", index)) => Some(format!("spec.logRoots[{}].hostPath", index.parse::<usize>().ok()?)),
        _ => None,
    }
}

fn missing_config_map(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("configmap \"")?;
    let (name, _) = rest.split_once('"')?;
    let own = object_name("");
    Some(if name.starts_with(&own) && text.contains("volume \"manifest\"") {
        "it has the manifest, and the operator makes it again".to_owned()
    } else {
        format!("create the ConfigMap {name}, or set source.configMap of the plugin to one that there is")
    })
}

#[cfg(test)]
mod tests;
