use std::fmt::Debug;

use holystone_core::cluster::EventView;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet as KubeDaemonSet, DaemonSetSpec, DaemonSetStatus};
use k8s_openapi::api::core::v1::{
    Affinity, ConfigMapVolumeSource, ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodCondition, PodSpec, PodStatus,
    PodTemplateSpec, Volume,
};
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use serde_json::json;

use super::*;
use crate::watch::value;

/// Checks that every field of a view has a value, as the object that it was read from has all of them.
fn assert_full(view: &impl Debug) {
    let shown = format!("{view:?}");
    for empty in ["None", "\"\"", "[]", "{}", ": 0", ": false", "Unknown"] {
        assert!(!shown.contains(empty), "{empty}: {shown}");
    }
}

fn time() -> Timestamp {
    "2026-11-02T00:00:00Z".parse().unwrap()
}

fn metadata() -> ObjectMeta {
    let owner =
        OwnerReference { kind: "BroadcastJob".into(), name: "a-1".into(), uid: "u-1".into(), ..Default::default() };
    ObjectMeta {
        name: Some("a".into()),
        namespace: Some("ops".into()),
        uid: Some("u".into()),
        generation: Some(3),
        resource_version: Some("7".into()),
        creation_timestamp: Some(Time(time())),
        deletion_timestamp: Some(Time(time())),
        labels: Some([("a".to_owned(), "b".to_owned())].into()),
        annotations: Some([("c".to_owned(), "d".to_owned())].into()),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    }
}

fn container_state() -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting { reason: Some("ErrX".into()), message: Some("x".into()) }),
        terminated: Some(ContainerStateTerminated {
            exit_code: 7,
            reason: Some("Error".into()),
            message: Some("y".into()),
            started_at: Some(Time(time())),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}

fn affinity() -> Affinity {
    let field =
        NodeSelectorRequirement { key: "metadata.name".into(), operator: "In".into(), values: Some(vec!["n1".into()]) };
    let term = NodeSelectorTerm { match_fields: Some(vec![field]), ..NodeSelectorTerm::default() };
    let nodes = NodeAffinity {
        required_during_scheduling_ignored_during_execution: Some(NodeSelector { node_selector_terms: vec![term] }),
        ..NodeAffinity::default()
    };
    Affinity { node_affinity: Some(nodes), ..Affinity::default() }
}

fn pod() -> Pod {
    let container = ContainerStatus {
        name: "holystone".into(),
        state: Some(container_state()),
        last_state: Some(container_state()),
        ..ContainerStatus::default()
    };
    let condition = PodCondition {
        type_: "PodScheduled".into(),
        status: "False".into(),
        reason: Some("Unschedulable".into()),
        message: Some("z".into()),
        ..PodCondition::default()
    };
    Pod {
        metadata: metadata(),
        spec: Some(PodSpec { node_name: Some("n1".into()), affinity: Some(affinity()), ..PodSpec::default() }),
        status: Some(PodStatus {
            phase: Some("Failed".into()),
            reason: Some("Evicted".into()),
            message: Some("w".into()),
            pod_ip: Some("10.0.0.1".into()),
            conditions: Some(vec![condition]),
            container_statuses: Some(vec![container]),
            ..PodStatus::default()
        }),
    }
}

#[test]
fn every_field_of_a_pod_is_one_of_kubernetes() {
    let view = PodView::of(&value(&pod()));
    assert_full(&view);
    assert_eq!((view.node(), view.is_over(), view.meta.is_going()), ("n1", true, true));
    assert_eq!(view.terminated().unwrap().exit_code, 7);
    let mut pod = pod();
    pod.spec.as_mut().unwrap().node_name = None;
    assert_eq!(PodView::of(&value(&pod)).node(), "n1", "the node that it was created for");
}

#[test]
fn every_field_of_a_daemon_set_is_one_of_kubernetes() {
    let source = ConfigMapVolumeSource { name: "holystone-a-1".into(), ..ConfigMapVolumeSource::default() };
    let volume = Volume { name: "manifest".into(), config_map: Some(source), ..Volume::default() };
    let pods = PodSpec { volumes: Some(vec![volume]), ..PodSpec::default() };
    let set = KubeDaemonSet {
        metadata: metadata(),
        spec: Some(DaemonSetSpec {
            template: PodTemplateSpec { spec: Some(pods), ..PodTemplateSpec::default() },
            ..DaemonSetSpec::default()
        }),
        status: Some(DaemonSetStatus {
            observed_generation: Some(3),
            desired_number_scheduled: 4,
            current_number_scheduled: 5,
            updated_number_scheduled: Some(6),
            ..DaemonSetStatus::default()
        }),
    };
    let view = DaemonSet::from(value(&set));
    assert_full(&(&view.meta, &view.spec, &view.status));
    assert_eq!(view.spec.template.manifest.as_deref(), Some("holystone-a-1"));
    let status = &view.status;
    assert_eq!((status.desired_number_scheduled, status.current_number_scheduled), (Some(4), 5));
}

#[test]
fn every_field_of_an_event_is_one_of_kubernetes() {
    let event = Event {
        type_: Some("Warning".into()),
        reason: Some("FailedCreate".into()),
        note: Some("x".into()),
        series: Some(EventSeries { count: 2, last_observed_time: MicroTime(time()) }),
        deprecated_last_timestamp: Some(Time(time())),
        event_time: Some(MicroTime(time())),
        ..Event::default()
    };
    assert_full(&EventView::of(&value(&event)));
}

#[test]
fn a_field_that_no_object_has_is_found() {
    let view = PodView::of(&json!({ "metadata": value(&metadata()), "status": { "phase": "Failed" } }));
    assert_full(&view.meta);
    assert!(std::panic::catch_unwind(|| assert_full(&view.status)).is_err());
}

#[test]
fn kinds_are_named_as_in_the_api() {
    for kind in WatchedKind::ALL {
        assert_eq!(WatchedKind::parse(kind.kind()), Some(kind));
        let object = WatchedObject::of(kind, json!({ "metadata": { "name": "a", "managedFields": [7] } }));
        assert_eq!((object.meta().name.as_str(), object.meta().is_going()), ("a", false));
    }
    assert_eq!(WatchedKind::parse("pod"), None);
}

#[test]
fn of_a_run_only_the_volume_of_its_manifest_is_kept() {
    let volumes = json!([{ "name": "state" }, { "name": "manifest", "configMap": { "name": "m" } }]);
    let template = json!({ "metadata": { "labels": {} }, "spec": { "containers": [], "volumes": volumes } });
    let job =
        json!({ "metadata": { "name": "a", "managedFields": [7] }, "spec": { "paused": true, "template": template } });
    let WatchedObject::BroadcastJob(job) = WatchedObject::of(WatchedKind::BroadcastJob, job) else { panic!() };
    let kept = json!({ "spec": { "volumes": [volumes[1]] } });
    assert_eq!(job.raw, json!({ "metadata": { "name": "a" }, "spec": { "paused": true, "template": kept } }));
    assert_eq!((job.spec.paused, job.spec.template.manifest.as_deref()), (true, Some("m")));
}
