//! Reasons why the pods of a run are not created or do not start: in the words of the cluster, with advice.
//!
//! These texts come from other writers, so each text is sanitized and truncated, and their number is limited.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

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
    pub fn of(pod: &Value, is_daemon: bool) -> Option<Self> {
        let status = &pod["status"];
        let waiting = &container(status)["state"]["waiting"];
        let has_started = matches!(status["phase"].as_str(), Some("Succeeded" | "Failed"));
        if has_started || status["phase"] != "Pending" && !waiting.is_object() {
            return None;
        }
        let since = pod["metadata"]["creationTimestamp"].as_str().and_then(|time| time.parse().ok());
        let why = unscheduled(status).or_else(|| not_running(status, waiting)).map(|text| advised(&text));
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
fn container(status: &Value) -> &Value {
    let containers = status["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
    let own = containers.iter().find(|container| container["name"] == "holystone");
    own.or(containers.first()).unwrap_or(&Value::Null)
}

fn unscheduled(status: &Value) -> Option<String> {
    let conditions = status["conditions"].as_array()?;
    let scheduled = conditions.iter().find(|condition| condition["type"] == "PodScheduled")?;
    let is_held = scheduled["status"] == "False";
    is_held.then(|| format!("the pod is not scheduled: {}", reason_and_message(scheduled)))
}

fn not_running(status: &Value, waiting: &Value) -> Option<String> {
    let reason = waiting["reason"].as_str().unwrap_or_default();
    let has_message = waiting["message"].as_str().is_some_and(|message| !message.is_empty());
    if !waiting.is_object() || reason.is_empty() || SAYS_NOTHING.contains(&reason) && !has_message {
        return None;
    }
    let text = format!("the container does not start: {}", reason_and_message(waiting));
    let last = &container(status)["lastState"]["terminated"];
    Some(if last.is_object() {
        format!("the container ends again and again, at last with {}", last_words(last))
    } else {
        text
    })
}

fn reason_and_message(said: &Value) -> String {
    let text = |name: &str| shown(said[name].as_str().unwrap_or_default());
    let (reason, message) = (text("reason"), text("message"));
    [reason, message].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ")
}

/// Formats the end of a container: its exit code, and the sentences of its report, or else its message or reason.
fn last_words(ended: &Value) -> String {
    let message = ended["message"].as_str().unwrap_or_default();
    let code = ended["exitCode"].as_i64().unwrap_or_default();
    let words = match Brief::from_message(message) {
        Ok(brief) => {
            let errors = brief.errors.into_iter().map(|error| error.message).take(SENTENCES);
            brief.outcome.message.into_iter().chain(errors).collect::<Vec<_>>().join(" ")
        }
        Err(_) if message.trim().is_empty() => shown(ended["reason"].as_str().unwrap_or_default()),
        Err(_) => shown(message.trim()),
    };
    if words.is_empty() { format!("exit code {code}") } else { format!("exit code {code}: {words}") }
}

/// Explains why the pods of a BroadcastJob or a DaemonSet are not created, in the words of its events.
pub fn not_made(events: &[Value], name: &str) -> Vec<String> {
    let is_about_pods = |reason: &str| reason.starts_with("Failed") && reason != "FailedDaemonPod";
    sentences(events, is_about_pods)
        .map(|text| advised(&format!("no pod is made: {}", without_suffix(&text, name))))
        .collect()
}

/// Explains why a pod does not start, in the words of its events.
pub fn not_started(events: &[Value]) -> Option<String> {
    let texts: Vec<String> = sentences(events, |_| true).collect();
    (!texts.is_empty()).then(|| advised(&format!("the pod does not start: {}", texts.join("; "))))
}

/// Selects one warning for each reason, in the order of the reasons: the latest, and a mere timeout only without
/// another.
fn sentences(events: &[Value], is_wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
    let mut latest: BTreeMap<&str, (bool, &str, &str)> = BTreeMap::new();
    for event in events.iter().take(EVENTS).filter(|event| event["type"] == "Warning") {
        let (reason, note) = (event["reason"].as_str().unwrap_or_default(), event["note"].as_str().unwrap_or_default());
        if reason.is_empty() || !is_wanted(reason) {
            continue;
        }
        let found = (!note.contains(TIMED_OUT), time_of(event), note);
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

/// Returns the time when an event was seen last, as the API server writes it.
fn time_of(event: &Value) -> &str {
    let times = [&event["series"]["lastObservedTime"], &event["deprecatedLastTimestamp"], &event["eventTime"]];
    times.into_iter().find_map(Value::as_str).unwrap_or_default()
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
