//! The difference between an existing object and its desired state, and the action that resolves it.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::action::Action;
use super::objects::{AdvancedCronJob, AdvancedCronJobSpec, kind_of, template_of};
use super::render::{Engine, digest};
use crate::manifest::NodeCleanup;

/// Annotations with digests of the desired state. They reveal changes that the API server's additions would hide, such
/// as a removed field.
pub(super) const SPEC_DIGEST: &str = "holystone.dev/spec-digest";
pub(super) const TEMPLATE_DIGEST: &str = "holystone.dev/template-digest";
/// The parallelism that OpenKruise's webhook fills in where none is given.
pub(super) const ALL_AT_ONCE: i32 = i32::MAX;

/// Adds the annotations that reveal a change.
pub(super) fn marked(mut object: Value) -> Value {
    let template = template_of(&object).to_string();
    let mut spec = object["spec"].clone();
    if kind_of(&object) == Engine::BroadcastJob.kind() {
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
pub(super) fn makes_up(
    live: &AdvancedCronJob,
    want: &AdvancedCronJobSpec,
    manifest: &NodeCleanup,
    now: Timestamp,
) -> bool {
    let changes = live.spec.paused || live.spec.starting_deadline_seconds != want.starting_deadline_seconds;
    let Ok(Some(timetable)) = manifest.timetable() else { return false };
    if !changes || manifest.spec.paused {
        return false;
    }
    let last = live.status.last_schedule_time.or(live.meta.creation_timestamp);
    let deadline = SignedDuration::from_secs(want.starting_deadline_seconds.unwrap_or_default());
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

/// Checks whether the live object contains all desired fields. It may contain more: the API server and other writers
/// add fields.
pub(super) fn contains(live: &Value, want: &Value) -> bool {
    match (live, want) {
        (Value::Object(live), Value::Object(want)) => want.iter().all(|(name, want)| match live.get(name) {
            Some(Value::Array(live)) if name == "tolerations" => {
                let is_there = |want: &Value| live.iter().any(|live| contains(live, want));
                want.as_array().is_some_and(|want| want.iter().all(is_there))
            }
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

/// Fields that the API server and OpenKruise fill in, or that other writers may add to: they give pods no right, and change
/// nothing of what pods do.
const HARMLESS: [&str; 19] = [
    "annotations",
    "creationTimestamp",
    "defaultMode",
    "dnsConfig",
    "dnsPolicy",
    "failureThreshold",
    "imagePullSecrets",
    "initialDelaySeconds",
    "labels",
    "metadata",
    "periodSeconds",
    "protocol",
    "schedulerName",
    "scheme",
    "successThreshold",
    "terminationGracePeriodSeconds",
    "timeoutSeconds",
    "tolerations",
    "topologySpreadConstraints",
];

/// Returns whether another writer added a field to the template of an object that should not be there: a probe that runs a
/// command, a second template, a right of the pods.
pub(super) fn has_additions(live: &Value, want: &Value) -> bool {
    match (live, want) {
        (Value::Object(live), Value::Object(want)) => live.iter().any(|(name, value)| {
            if HARMLESS.contains(&name.as_str()) {
                return false;
            }
            match want.get(name).filter(|want| !want.is_null()) {
                Some(want) => has_additions(value, want),
                None => !is_default(name, value, want.get("serviceAccountName")),
            }
        }),
        (Value::Array(live), Value::Array(want)) => live.iter().zip(want).any(|(live, want)| has_additions(live, want)),
        _ => false,
    }
}

/// Returns whether a field that is not wanted is empty, or as the API server or OpenKruise fills it in.
fn is_default(name: &str, value: &Value, service_account: Option<&Value>) -> bool {
    let is_filled_in = match name {
        "parallelism" => *value == ALL_AT_ONCE,
        // The former name of the field, which the API server fills in from the new one.
        "serviceAccount" => Some(value) == service_account,
        _ => false,
    };
    is_filled_in || [json!(null), json!(false), json!(0), json!({}), json!([]), json!("")].contains(value)
}
