//! The difference between an existing object and its desired state, and the action that resolves it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::action::Action;
use super::decide::time_of;
use super::objects::{Engine, digest};
use crate::manifest::NodeCleanup;

/// Annotations with digests of the desired state. They reveal changes that the API server's additions would hide, such
/// as a removed field.
pub(super) const SPEC_DIGEST: &str = "holystone.dev/spec-digest";
pub(super) const TEMPLATE_DIGEST: &str = "holystone.dev/template-digest";

/// Adds the annotations that reveal a change.
pub(super) fn marked(mut object: Value) -> Value {
    let template = object["spec"]["template"].to_string();
    let mut spec = object["spec"].clone();
    if object["kind"] == "BroadcastJob" {
        // The template of a BroadcastJob stays the same from the start of its run.
        spec["template"] = Value::Null;
    }
    object["metadata"]["annotations"] = json!({
        SPEC_DIGEST: digest(&spec.to_string()),
        TEMPLATE_DIGEST: digest(&template),
    });
    object
}

/// Returns whether OpenKruise would start a run at once, for a time that has passed, if the AdvancedCronJob were
/// updated. OpenKruise looks back by the updated spec, not by the spec of that time.
pub(super) fn makes_up(live: &Value, want: &Value, manifest: &NodeCleanup, now: Timestamp) -> bool {
    let [was, is] = [live, want].map(|object| &object["spec"]);
    let changes = was["paused"] == true || was["startingDeadlineSeconds"] != is["startingDeadlineSeconds"];
    let Ok(Some(timetable)) = manifest.timetable() else { return false };
    if !changes || manifest.spec.paused {
        return false;
    }
    let last = time_of(&live["status"]["lastScheduleTime"]).or_else(|| time_of(&live["metadata"]["creationTimestamp"]));
    let deadline = SignedDuration::from_secs(is["startingDeadlineSeconds"].as_i64().unwrap_or_default());
    let too_late = now.checked_sub(deadline).unwrap_or(now);
    let from = last.map_or(too_late, |last| last.max(too_late));
    timetable.schedule.next(from).is_some_and(|tick| tick <= now)
}

/// Chooses the action that brings an existing object to its desired state. A DaemonSet is replaced, because an apply
/// would leave fields that are no longer desired, for example a label of its node selector. In an AdvancedCronJob, only
/// values change in place.
pub(super) fn brought_up_to(live: &Value, want: &Value, engine: Engine) -> Action {
    let mut object = want.clone();
    object["metadata"]["uid"] = live["metadata"]["uid"].clone();
    if engine != Engine::DaemonSet {
        return Action::Apply(object);
    }
    object["metadata"] = live["metadata"].clone();
    for part in ["labels", "annotations"] {
        for (name, value) in want["metadata"][part].as_object().into_iter().flatten() {
            object["metadata"][part][name] = value.clone();
        }
    }
    object["metadata"]["ownerReferences"] = want["metadata"]["ownerReferences"].clone();
    Action::Replace(object)
}

/// Returns whether all pods of a DaemonSet use its current template.
pub(super) fn is_rolled_out(daemon_set: &Value) -> bool {
    let status = &daemon_set["status"];
    let updated = status["updatedNumberScheduled"].as_u64().unwrap_or_default();
    status["observedGeneration"] == daemon_set["metadata"]["generation"]
        && status["desiredNumberScheduled"].as_u64().is_some_and(|desired| desired <= updated)
}

/// Checks whether the live object contains all desired fields. It may contain more: the API server and other writers
/// add fields.
pub(super) fn contains(live: &Value, want: &Value) -> bool {
    match (live, want) {
        (Value::Object(live), Value::Object(want)) => want.iter().all(|(name, want)| match live.get(name) {
            Some(live) => contains(live, want),
            // The API server leaves out empty values and `false`.
            None => matches!(want, Value::Null | Value::Bool(false)) || want == &json!({}) || want == &json!([]),
        }),
        (Value::Array(live), Value::Array(want)) => {
            live.len() == want.len() && live.iter().zip(want).all(|(live, want)| contains(live, want))
        }
        (live, want) => live == want,
    }
}

/// Fields of a pod spec that grant rights on the node, and that neither the API server nor OpenKruise fills in.
const POD_RIGHTS: [&str; 7] = [
    "ephemeralContainers",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "initContainers",
    "serviceAccountName",
    "shareProcessNamespace",
];
/// Such fields of a container.
const CONTAINER_RIGHTS: [&str; 4] = ["command", "envFrom", "lifecycle", "volumeDevices"];
/// Such fields of the security context of a container.
const SECURITY_RIGHTS: [&str; 3] = ["capabilities", "privileged", "procMount"];

/// Returns whether the pods of a template have more rights than desired, because another writer added them.
pub(super) fn grants_more(live: &Value, want: &Value) -> bool {
    !contains(&rights(want), &rights(live))
}

/// Returns the fields of a pod template that grant rights to its pods.
fn rights(template: &Value) -> Value {
    let of = |object: &Value, names: &[&str]| -> Value {
        let given = names.iter().filter(|name| !object[**name].is_null());
        given.map(|name| ((*name).to_owned(), object[*name].clone())).collect()
    };
    let spec = &template["spec"];
    let containers = spec["containers"].as_array().into_iter().flatten();
    let containers = containers.map(|container| {
        let mut rights = of(container, &CONTAINER_RIGHTS);
        rights["securityContext"] = of(&container["securityContext"], &SECURITY_RIGHTS);
        rights
    });
    let mut rights = of(spec, &POD_RIGHTS);
    rights["containers"] = containers.collect();
    rights
}
