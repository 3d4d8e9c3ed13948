use serde_json::{Value, json};

use super::*;

fn held_of(pod: &Value, is_daemon: bool) -> Option<Held> {
    Held::of(&PodView::of(pod), is_daemon)
}

fn views(events: &[Value]) -> Vec<EventView> {
    events.iter().map(EventView::of).collect()
}

fn not_made(events: &[Value], name: &str) -> Vec<String> {
    super::not_made(&views(events), name)
}

fn not_started(events: &[Value]) -> Option<String> {
    super::not_started(&views(events))
}

#[expect(clippy::needless_pass_by_value, reason = "tests write it in place")]
fn pod(status: Value) -> Value {
    json!({ "metadata": { "name": "a-1-x", "creationTimestamp": "2026-11-02T00:00:00Z" }, "status": status })
}

fn waiting(reason: &str, message: &str) -> Value {
    pod(json!({ "phase": "Pending", "containerStatuses": [
        { "name": "holystone", "state": { "waiting": { "reason": reason, "message": message } } }
    ] }))
}

fn why(pod: &Value) -> Option<String> {
    held_of(pod, false).unwrap().why.map(String::from)
}

#[test]
fn a_pod_that_has_started_or_ended_is_not_held() {
    for status in [
        json!({ "phase": "Running" }),
        json!({ "phase": "Running", "containerStatuses": [{ "name": "holystone", "state": { "running": {} } }] }),
        json!({ "phase": "Succeeded", "containerStatuses": [{ "name": "holystone", "state": { "waiting": {} } }] }),
        json!({ "phase": "Failed", "reason": "Evicted" }),
        json!({}),
        Value::Null,
    ] {
        assert_eq!(held_of(&pod(status.clone()), false), None, "{status}");
    }
}

#[test]
fn a_pod_says_why_it_does_not_start_and_what_to_do() {
    let unscheduled = json!({ "phase": "Pending", "conditions": [
        { "type": "Ready", "status": "False", "reason": "x" },
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available: 1 Insufficient memory." },
    ] });
    let held = held_of(&pod(unscheduled), false).unwrap();
    assert_eq!(held.since, Some("2026-11-02T00:00:00Z".parse().unwrap()));
    assert_eq!(
        held.why(),
        "the pod is not scheduled: Unschedulable: 0/2 nodes are available: 1 Insufficient memory.; see whether the nodes \
         have room, and taints that spec.rollout.tolerations does not name"
    );
    let scheduled = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True" }] });
    for (pod, expected) in [
        (pod(scheduled), None),
        (pod(json!({ "phase": "Pending" })), None),
        (waiting("ContainerCreating", ""), None),
        (waiting("PodInitializing", ""), None),
        (waiting("", "x"), None),
        (waiting("ContainerCreating", "a word"), Some("the container does not start: ContainerCreating: a word")),
        (waiting("ErrX", ""), Some("the container does not start: ErrX")),
        (
            waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
            Some(
                "the container does not start: CreateContainerConfigError: container has runAsNonRoot and image will run as root",
            ),
        ),
        (
            waiting("ErrImagePull", "not found"),
            Some(
                "the container does not start: ErrImagePull: not found; see the images that are named: that of the pods is the operator's option --image (in the chart nodeImage)",
            ),
        ),
        (
            waiting("CreateContainerError", "failed to generate spec: failed to mkdir \"\": mkdir : no such file"),
            Some(
                "the container does not start: CreateContainerError: failed to generate spec: failed to mkdir \"\": mkdir : no such file; the runtime of these nodes cannot mount images: use source.configMap for the plugin, or containerd 2.1 or CRI-O 1.31 and later",
            ),
        ),
    ] {
        assert_eq!(why(&pod).as_deref(), expected, "{pod}");
    }
    assert_eq!(
        held_of(&waiting("ContainerCreating", ""), false).unwrap().why(),
        "the pod does not start, and its status does not say why; see kubectl describe pod"
    );
}

#[test]
fn the_container_of_holystone_counts_whatever_is_beside_it() {
    let (own, other) = (
        json!({ "name": "holystone", "state": { "waiting": { "reason": "ErrX", "message": "own" } } }),
        json!({ "name": "sidecar", "state": { "waiting": { "reason": "ErrY", "message": "other" } } }),
    );
    for containers in [json!([own, other]), json!([other, own])] {
        let why = why(&pod(json!({ "phase": "Pending", "containerStatuses": containers })));
        assert_eq!(why.as_deref(), Some("the container does not start: ErrX: own"));
    }
}

#[test]
fn a_daemon_that_ends_again_and_again_says_what_it_ended_with() {
    let crashing = |terminated: Value| {
        pod(json!({ "phase": "Running", "containerStatuses": [{
            "name": "holystone",
            "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container" } },
            "lastState": { "terminated": terminated },
        }] }))
    };
    let brief = Brief::not_run("there are 2 problems:")
        .with_errors(&["spec.a: is wrong".to_owned(), "spec.b: as well".to_owned()]);
    for (terminated, expected) in [
        (
            json!({ "exitCode": 64, "message": brief.to_message() }),
            "the container ends again and again, at last with exit code 64: there are 2 problems: spec.a: is wrong spec.b: as well",
        ),
        (
            json!({ "exitCode": 2, "reason": "Error", "message": "holystone: no such file\n" }),
            "the container ends again and again, at last with exit code 2: holystone: no such file",
        ),
        (
            json!({ "exitCode": 137, "reason": "OOMKilled" }),
            "the container ends again and again, at last with exit code 137: OOMKilled",
        ),
        (json!({ "exitCode": 1 }), "the container ends again and again, at last with exit code 1"),
        (json!({ "exitCode": "x", "message": 7 }), "the container ends again and again, at last with exit code 0"),
    ] {
        let held = held_of(&crashing(terminated), true).unwrap();
        assert_eq!((held.why(), held.is_daemon), (expected, true));
    }
    assert_eq!(
        why(&crashing(Value::Null)).as_deref(),
        Some("the container does not start: CrashLoopBackOff: back-off 5m0s restarting failed container")
    );
}

fn event(reason: &str, time: &str, note: &str) -> Value {
    json!({ "type": "Warning", "reason": reason, "note": note, "deprecatedLastTimestamp": time })
}

#[test]
fn events_say_why_no_pod_is_made_and_what_to_do() {
    let pod_security = "Error creating: pods \"a-1-x7k2p\" is forbidden: violates PodSecurity \"baseline:latest\": hostPath volumes (volume \"state\")";
    for (note, expected) in [
        (
            pod_security,
            "no pod is made: FailedCreate: Error creating: pods \"a-1-…\" is forbidden: violates PodSecurity \
             \"baseline:latest\": hostPath volumes (volume \"state\"); label the namespace \
             pod-security.kubernetes.io/enforce=privileged, because the pods mount paths of their node",
        ),
        (
            "Error creating: pods \"a-1-x7k2p\" is forbidden: no PriorityClass with name gold was found",
            "no pod is made: FailedCreate: Error creating: pods \"a-1-…\" is forbidden: no PriorityClass with name gold was \
             found; create that PriorityClass, or set spec.rollout.priorityClassName to one that there is",
        ),
        (
            "Error creating: pods \"a-1-x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3",
            "no pod is made: FailedCreate: Error creating: pods \"a-1-…\" is forbidden: exceeded quota: q, requested: pods=1, \
             used: pods=3, limited: pods=3; raise the ResourceQuota of the namespace",
        ),
        ("a webhook says no", "no pod is made: FailedCreate: a webhook says no"),
    ] {
        assert_eq!(not_made(&[event("FailedCreate", "", note)], "a-1"), [expected]);
    }
    let others = ["Paused", "TooManyActivePods", "DeadlineExceeded", "failed pod is found", "FailedDaemonPod", ""];
    let others = others.map(|reason| event(reason, "", "x"));
    assert_eq!(not_made(&others, "a-1"), [""; 0], "they are about something else");
}

#[test]
fn of_several_events_the_latest_of_each_reason_counts_in_whatever_order() {
    let events = [
        event("FailedCreate", "2026-11-02T00:00:01Z", "the earlier one"),
        event("FailedCreate", "2026-11-02T00:00:02Z", "later"),
        json!({ "type": "Warning", "reason": "FailedPlacement", "note": "earlier", "eventTime": "2026-11-02T00:00:08Z" }),
        json!({ "type": "Warning", "reason": "FailedPlacement", "note": "b", "series": { "lastObservedTime": "2026-11-02T00:00:09Z" } }),
        json!({ "type": "Normal", "reason": "FailedNever", "note": "no warning" }),
        event("FailedZ", "2026-11-02T00:00:09Z", "one too many"),
        json!({ "type": "Warning" }),
        json!("nonsense"),
    ];
    let expected = ["no pod is made: FailedCreate: later", "no pod is made: FailedPlacement: b"];
    assert_eq!(not_made(&events, "a"), expected);
    let mut reversed = events.to_vec();
    reversed.reverse();
    assert_eq!(not_made(&reversed, "a"), expected);
}

#[test]
fn events_say_why_a_pod_does_not_start_and_which_field_is_meant() {
    let timed_out =
        "Unable to attach or mount volumes: unmounted volumes=[runtime]: timed out waiting for the condition";
    let socket = |volume: &str| {
        format!(
            "MountVolume.SetUp failed for volume \"{volume}\" : hostPath type check failed: /run/x.sock is not a socket file"
        )
    };
    for (volume, field) in [
        ("runtime", "; set spec.runtime.endpoint to what is there on these nodes"),
        ("images", "; set spec.runtime.imageRoot to what is there on these nodes"),
        ("logs-3", "; set spec.logRoots[3].hostPath to what is there on these nodes"),
        ("logs-x", ""),
        ("logs", ""),
        ("other", ""),
    ] {
        let mut events = vec![
            event("FailedMount", "2026-11-02T00:00:01Z", &socket(volume)),
            event("FailedMount", "2026-11-02T00:00:02Z", timed_out),
        ];
        let expected = format!("the pod does not start: FailedMount: {}{field}", socket(volume));
        assert_eq!(not_started(&events), Some(expected.clone()));
        events.reverse();
        assert_eq!(not_started(&events), Some(expected), "what timed out says less, though it is later");
    }
    assert_eq!(
        not_started(&[event("FailedMount", "", timed_out)]),
        Some(format!("the pod does not start: FailedMount: {timed_out}"))
    );
    let missing = |volume: &str, name: &str| {
        not_started(&[event(
            "FailedMount",
            "",
            &format!("MountVolume.SetUp failed for volume \"{volume}\" : configmap \"{name}\" not found"),
        )])
    };
    assert_eq!(
        missing("config-map-0", "plugins"),
        Some(
            "the pod does not start: FailedMount: MountVolume.SetUp failed for volume \"config-map-0\" : configmap \"plugins\" \
             not found; create the ConfigMap plugins, or set source.configMap of the plugin to one that there is"
                .to_owned()
        )
    );
    assert!(
        missing("manifest", "holystone-a-1234")
            .unwrap()
            .ends_with("; it has the manifest, and the operator makes it again")
    );
    assert_eq!(not_started(&[]), None);
}

#[test]
fn each_wording_of_a_problem_has_the_same_advice() {
    let volume = "; set spec.runtime.endpoint to what is there on these nodes";
    let image_volume = "; the runtime of these nodes cannot mount images: use source.configMap for the plugin, or containerd \
                        2.1 or CRI-O 1.31 and later";
    let image =
        "; see the images that are named: that of the pods is the operator's option --image (in the chart nodeImage)";
    for (text, advice) in [
        ("hostPath type check failed for volume \"runtime\"", volume),
        ("MountVolume.SetUp failed for volume \"runtime\" : a hostPath", volume),
        ("MountVolume.SetUp failed for volume \"runtime\" : a secret", ""),
        ("volume \"runtime\" : a hostPath", ""),
        ("stat /etc/holystone/image-volumes/0: no such file", image_volume),
        ("failed to mkdir \"\"", image_volume),
        ("failed to stat \"\"", image_volume),
        ("ErrImagePull", image),
        ("ImagePullBackOff", image),
        ("InvalidImageName", image),
        ("ErrImageNeverPull", image),
        ("configmap \"a\" is too large", ""),
        ("secret \"a\" not found", ""),
        (
            "configmap \"holystone-a-1\" not found",
            "; create the ConfigMap holystone-a-1, or set source.configMap of the plugin to one that there is",
        ),
        (
            "volume \"manifest\" : configmap \"a\" not found",
            "; create the ConfigMap a, or set source.configMap of the plugin to one that there is",
        ),
    ] {
        let expected = format!("the pod does not start: Failed: {text}{advice}");
        assert_eq!(not_started(&[event("Failed", "", text)]), Some(expected));
    }
}

#[test]
fn what_others_write_is_cleaned_and_cut() {
    let long = "\u{1b}[2J\u{202e}".repeat(9_000);
    let events: Vec<Value> = (0..5_000).map(|at| event(&format!("Failed{at}{long}"), "", &long)).collect();
    let complaints = not_made(&events, "a");
    assert_eq!(complaints.len(), 2);
    for text in complaints.into_iter().chain(not_started(&events)).chain(why(&waiting(&long, &long))) {
        assert!(text.chars().count() < 1_000 && !text.contains(['\u{1b}', '\u{202e}']), "{} {text}", text.len());
    }
    for nonsense in [json!([]), json!({ "conditions": 7, "containerStatuses": {}, "phase": "Pending" }), json!("x")] {
        drop(held_of(&pod(nonsense), false));
    }
    assert_eq!(without_suffix("\"a-1-b9\" and a-1-c7, a-1- a-", "a-1"), "\"a-1-…\" and a-1-…, a-1-… a-");
}
