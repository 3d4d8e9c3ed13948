//! What is rendered, and the traps of OpenKruise that it steps around. Each test is named after its trap.

use serde_json::{Value, json};

use super::super::{Engine, Site, manifest_of, object_name, problems, render, run_now};
use super::{manifest, object, site};
use crate::manifest::crd;

fn scheduled(mut spec: Value) -> Value {
    if spec.get("schedule").is_none() {
        spec["schedule"] = "*/5 * * * *".into();
    }
    render(&manifest(spec), site()).workload
}

fn job_spec(cron_job: &Value) -> &Value {
    &cron_job["spec"]["template"]["broadcastJobTemplate"]["spec"]
}

fn pod(spec: Value) -> Value {
    job_spec(&scheduled(spec))["template"]["spec"].clone()
}

fn messages(spec: Value) -> Vec<String> {
    problems(&manifest(spec), site().allowed).iter().map(ToString::to_string).collect()
}

#[test]
fn the_restart_policy_is_written_out_because_its_default_is_refused() {
    assert_eq!(pod(json!({}))["restartPolicy"], "Never");
    let daemons = render(&manifest(json!({ "rollout": { "engine": "DaemonSet" } })), site()).workload;
    assert_eq!(daemons["spec"]["template"]["spec"]["restartPolicy"], "Always");
}

#[test]
fn metadata_of_the_job_template_is_pruned_so_labels_are_in_that_of_the_pod() {
    let cron_job = scheduled(json!({}));
    assert!(cron_job["spec"]["template"]["broadcastJobTemplate"].get("metadata").is_none());
    assert_eq!(job_spec(&cron_job)["template"]["metadata"]["labels"]["holystone.dev/node-cleanup"], "stale");
}

#[test]
fn labels_that_openkruise_sets_itself_are_not_preset() {
    let labels = job_spec(&scheduled(json!({})))["template"]["metadata"]["labels"].clone();
    for reserved in ["broadcastjob-name", "broadcastjob-controller-uid"] {
        assert!(labels.get(reserved).is_none());
    }
}

#[test]
fn a_starting_deadline_is_always_given_because_a_hundred_missed_times_wedge() {
    for (schedule, deadline) in
        [("*/5 * * * *", 300), ("@daily", 300), ("@every 1h", 7200), ("@every 1s", 90), ("@every 150s", 300)]
    {
        assert_eq!(
            scheduled(json!({ "schedule": schedule }))["spec"]["startingDeadlineSeconds"],
            deadline,
            "{schedule}"
        );
    }
    let given = json!({ "startingDeadlineSeconds": 77 });
    assert_eq!(scheduled(given)["spec"]["startingDeadlineSeconds"], 77);
}

#[test]
fn a_starting_deadline_of_more_than_a_hundred_times_is_a_problem() {
    let spec = |schedule: &str, seconds: u32| json!({ "schedule": schedule, "startingDeadlineSeconds": seconds });
    assert!(messages(spec("* * * * *", 5_900)).is_empty());
    let told = messages(spec("* * * * *", 6_000));
    assert!(told[0].starts_with("spec.startingDeadlineSeconds: must be at most 5940"), "{told:?}");
    // The densest hundred times count: every minute, but in one hour of the day.
    assert_eq!(messages(spec("* 3 * * *", 88_741)).len(), 1);
    assert!(messages(spec("* 3 * * *", 88_740)).is_empty());
    assert!(messages(spec("@daily", 86_400)).is_empty());
}

#[test]
fn a_ttl_replays_times_of_a_schedule_so_it_is_a_problem() {
    let ttl = json!({ "completionPolicy": { "ttlSecondsAfterFinished": 60 } });
    assert_eq!(messages(json!({ "schedule": "@daily", "rollout": ttl })).len(), 1);
    assert!(messages(json!({ "rollout": ttl })).is_empty());
    let job = render(&manifest(json!({ "rollout": ttl })), site()).workload;
    assert_eq!(job["spec"]["completionPolicy"]["ttlSecondsAfterFinished"], 60);
    assert!(job_spec(&scheduled(json!({})))["completionPolicy"].get("ttlSecondsAfterFinished").is_none());
}

#[test]
fn without_history_openkruise_forgets_when_it_ran_so_one_run_is_always_kept() {
    let spec = scheduled(json!({ "successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0 }))["spec"].clone();
    assert_eq!((&spec["successfulJobsHistoryLimit"], &spec["failedJobsHistoryLimit"]), (&json!(1), &json!(1)));
}

#[test]
fn a_deadline_is_always_given_because_a_pod_that_cannot_start_never_ends() {
    let policy = |rollout: Value| job_spec(&scheduled(json!({ "rollout": rollout })))["completionPolicy"].clone();
    assert_eq!(policy(json!({})), json!({ "type": "Always", "activeDeadlineSeconds": 1800 }));
    assert_eq!(policy(json!({ "completionPolicy": { "activeDeadlineSeconds": 60 } }))["activeDeadlineSeconds"], 60);
    let never = json!({ "rollout": { "completionPolicy": { "type": "Never" } } });
    assert_eq!(render(&manifest(never), site()).workload["spec"]["completionPolicy"], json!({ "type": "Never" }));
}

#[test]
fn one_failed_node_does_not_end_the_run_unless_asked_for() {
    let policy = |rollout: Value| job_spec(&scheduled(json!({ "rollout": rollout })))["failurePolicy"].clone();
    assert_eq!(policy(json!({})), json!({ "type": "Continue" }));
    let fast = json!({ "failurePolicy": { "type": "FailFast", "restartLimit": 3 } });
    assert_eq!(policy(fast), json!({ "type": "FailFast" }), "restarts are of the run in the pod, not of the pod");
}

#[test]
fn a_number_of_nodes_is_a_number_because_text_is_taken_for_percent() {
    let parallelism =
        |given: Value| job_spec(&scheduled(json!({ "rollout": { "parallelism": given } })))["parallelism"].clone();
    assert_eq!(parallelism(json!(3)), json!(3));
    assert_eq!(parallelism(json!("3")), json!(3));
    assert_eq!(parallelism(json!("10%")), json!("10%"));
}

#[test]
fn broadcast_jobs_tolerate_nothing_by_themselves_so_full_and_cordoned_nodes_are_tolerated() {
    let given = json!({ "key": "dedicated", "operator": "Exists", "effect": "NoSchedule" });
    let pod = pod(json!({ "rollout": { "tolerations": [given] } }));
    let tolerations = pod["tolerations"].as_array().unwrap();
    for key in ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable", "not-ready", "unreachable"] {
        let key = format!("node.kubernetes.io/{key}");
        assert!(tolerations.iter().any(|toleration| toleration["key"] == *key), "{key}");
    }
    assert_eq!(tolerations.last(), Some(&given));
}

#[test]
fn a_full_node_takes_critical_pods_only() {
    assert_eq!(pod(json!({}))["priorityClassName"], "system-node-critical");
    let other = json!({ "rollout": { "priorityClassName": "batch" } });
    assert_eq!(pod(other)["priorityClassName"], "batch");
}

#[test]
fn names_leave_room_for_what_openkruise_adds() {
    let longest = "a".repeat(52);
    let mut manifest = manifest(json!({}));
    manifest.metadata.name.clone_from(&longest);
    let once = render(&manifest, site()).workload;
    let now = run_now(&manifest, site(), "word");
    for name in [&once, &now].map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()) {
        assert!(name.len() <= 63 && name.starts_with(&longest), "{name}");
    }
    assert!(object_name(&longest).len() <= 63);
    assert!(longest.len() + "-1780000000".len() <= 63);
}

#[test]
fn a_zone_is_given_once() {
    let spec = scheduled(json!({ "timeZone": "Asia/Shanghai" }))["spec"].clone();
    assert_eq!((&spec["timeZone"], &spec["schedule"]), (&json!("Asia/Shanghai"), &json!("*/5 * * * *")));
    assert!(scheduled(json!({ "schedule": "TZ=Asia/Shanghai 0 3 * * *" }))["spec"].get("timeZone").is_none());
}

#[test]
fn two_sweeps_at_once_are_a_problem() {
    assert_eq!(messages(json!({ "schedule": "@daily", "concurrencyPolicy": "Allow" })).len(), 1);
    for policy in ["Forbid", "Replace"] {
        let spec = json!({ "schedule": "@daily", "concurrencyPolicy": policy });
        assert!(messages(spec.clone()).is_empty());
        assert_eq!(scheduled(spec)["spec"]["concurrencyPolicy"], policy);
    }
}

#[test]
fn a_run_by_hand_is_none_of_the_schedule() {
    let manifest = manifest(json!({ "schedule": "@daily" }));
    let (one, other) = (run_now(&manifest, site(), "one"), run_now(&manifest, site(), "two"));
    assert_ne!(one["metadata"]["name"], other["metadata"]["name"]);
    assert_eq!(one, run_now(&manifest, site(), "one"), "the same word is the same run");
    assert!(one["metadata"].get("ownerReferences").is_none(), "the AdvancedCronJob must not own it");
}

#[test]
fn a_version_that_every_release_serves_is_named() {
    assert_eq!(scheduled(json!({}))["apiVersion"], "apps.kruise.io/v1alpha1");
    assert_eq!(render(&manifest(json!({})), site()).workload["apiVersion"], "apps.kruise.io/v1alpha1");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one pod, looked at from all sides")]
fn pods_get_what_the_manifest_names_and_no_more() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let pod = pod(json!({
        "mode": "Enforce",
        "pressure": { "above": "80%" },
        "logRoots": [{ "name": "app", "hostPath": "/var/log/app" }],
        "plugins": [
            { "name": "a", "source": { "configMap": { "name": "plugins", "key": "a.wasm" } }, "digest": digest },
            { "name": "b", "source": { "configMap": { "name": "plugins", "key": "b.wasm" } }, "digest": digest, "limits": { "memory": "256Mi" } },
            { "name": "c", "source": { "imageVolume": { "reference": format!("r@{digest}"), "path": "c.wasm" } } },
        ],
    }));
    let volumes = pod["volumes"].as_array().unwrap();
    let sources: Vec<String> = volumes
        .iter()
        .map(|volume| {
            let path = volume["hostPath"]["path"].as_str().or_else(|| volume["configMap"]["name"].as_str());
            path.or_else(|| volume["image"]["reference"].as_str()).unwrap().to_owned()
        })
        .collect();
    assert!(sources[0].starts_with("holystone-stale-"), "{sources:?}");
    assert_eq!(
        sources[1..],
        [
            "/var/lib/holystone",
            "/run/containerd/containerd.sock",
            "/var/lib/containerd/holystone",
            "/var/log/app",
            "/var/log",
            "plugins",
            &format!("r@{digest}")
        ]
    );
    assert_eq!(volumes[2]["hostPath"]["type"], "Socket");
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(
        (&security["readOnlyRootFilesystem"], &security["allowPrivilegeEscalation"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(security["capabilities"], json!({ "drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"] }));
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["resources"]["limits"]["memory"], "1536Mi", "the host, the largest plugin, and two workers");
    let arguments = container["args"].to_string();
    for argument in [
        "--config-map-dir=/etc/holystone/config-maps",
        "--image-volume-dir=/etc/holystone/image-volumes",
        "--log-root-dir=/host/logs",
        "--image-root=/var/lib/containerd=/host/images",
        "--termination-message=/dev/termination-log",
        "--endpoint=/run/containerd/containerd.sock",
        "--time-limit=1800s",
    ] {
        assert!(arguments.contains(argument), "{argument}: {arguments}");
    }
    let mounts = container["volumeMounts"].as_array().unwrap();
    let writable: Vec<&str> = mounts
        .iter()
        .filter(|mount| mount["readOnly"] != true)
        .filter_map(|mount| mount["mountPath"].as_str())
        .collect();
    assert_eq!(writable, ["/var/lib/holystone", "/host/logs/app"]);
}

#[test]
fn a_pod_that_only_looks_cannot_write_and_one_without_log_roots_has_no_capabilities() {
    let looks = pod(json!({ "logRoots": [{ "name": "app", "hostPath": "/var/log/app" }] }));
    let mounts = looks["containers"][0]["volumeMounts"].as_array().unwrap().clone();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/host/logs/app" && mount["readOnly"] == true));
    let images = pod(json!({ "mode": "Enforce" }));
    assert_eq!(images["containers"][0]["securityContext"]["capabilities"], json!({ "drop": ["ALL"] }));
    assert!(!pod(json!({ "runtime": { "endpoint": "none" } }))["volumes"].to_string().contains("containerd"));
}

#[test]
fn whatever_a_pod_ends_with_is_its_termination_message() {
    for engine in ["BroadcastJob", "DaemonSet"] {
        let workload =
            render(&manifest(json!({ "schedule": "@daily", "rollout": { "engine": engine } })), site()).workload;
        let template =
            if engine == "DaemonSet" { &workload["spec"]["template"] } else { &job_spec(&workload)["template"] };
        let container = &template["spec"]["containers"][0];
        let arguments = container["args"].as_array().unwrap();
        assert!(arguments.contains(&json!("--termination-message=/dev/termination-log")), "{engine}: {arguments:?}");
        assert_eq!(container["terminationMessagePath"], "/dev/termination-log", "{engine}");
        for probe in ["ports", "readinessProbe", "livenessProbe"] {
            assert_eq!(container.get(probe).is_some(), engine == "DaemonSet", "{engine}: {probe}");
        }
        for unneeded in ["--config-map-dir", "--image-volume-dir", "--log-root-dir"] {
            assert!(!container["args"].to_string().contains(unneeded), "{engine}: {unneeded}");
        }
        assert_eq!(
            container["terminationMessagePolicy"], "FallbackToLogsOnError",
            "what no report could be written of"
        );
    }
}

#[test]
fn what_the_node_mounts_beneath_log_roots_later_shows_in_the_pod() {
    for mode in ["DryRun", "Enforce"] {
        let pod = pod(json!({ "mode": mode, "logRoots": [{ "name": "app", "hostPath": "/var/log/app" }] }));
        let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap().clone();
        let logs = mounts.into_iter().find(|mount| mount["mountPath"] == "/host/logs/app").unwrap();
        assert_eq!(logs["mountPropagation"], "HostToContainer", "{mode}");
    }
}

#[test]
fn daemons_get_the_directory_of_the_socket_and_pods_that_end_the_socket() {
    let runtime = |engine: &str, mount: Value| {
        let spec = json!({ "schedule": "@daily", "rollout": { "engine": engine }, "runtime": { "endpoint": "unix:///run/x/crio.sock", "mount": mount } });
        let workload = render(&manifest(spec), site()).workload;
        let template =
            if engine == "DaemonSet" { &workload["spec"]["template"] } else { &job_spec(&workload)["template"] };
        let volumes = template["spec"]["volumes"].as_array().unwrap();
        volumes.iter().find(|volume| volume["name"] == "runtime").unwrap()["hostPath"]["path"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(runtime("BroadcastJob", Value::Null), "/run/x/crio.sock");
    assert_eq!(runtime("DaemonSet", Value::Null), "/run/x");
    assert_eq!(runtime("BroadcastJob", json!("Directory")), "/run/x");
    assert_eq!(runtime("DaemonSet", json!("Socket")), "/run/x/crio.sock");
}

#[test]
fn pods_of_fleets_with_several_runtimes_get_all_of_run() {
    for (engine, pod) in [
        ("BroadcastJob", "/spec/template/broadcastJobTemplate/spec/template/spec"),
        ("DaemonSet", "/spec/template/spec"),
    ] {
        let spec = json!({ "schedule": "@daily", "rollout": { "engine": engine }, "runtime": { "mount": "Run" } });
        let rendered = render(&manifest(spec), site()).workload;
        let pod = rendered.pointer(pod).unwrap();
        let of = |list: &Value| list.as_array().unwrap().iter().find(|item| item["name"] == "runtime").unwrap().clone();
        let volume = json!({ "name": "runtime", "hostPath": { "path": "/run", "type": "Directory" } });
        assert_eq!(of(&pod["volumes"]), volume, "{engine}");
        let mount = json!({ "name": "runtime", "mountPath": "/host/run", "mountPropagation": "HostToContainer", "readOnly": true });
        assert_eq!(of(&pod["containers"][0]["volumeMounts"]), mount, "{engine}");
        let arguments: Vec<&str> =
            pod["containers"][0]["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(arguments.contains(&"--run-dir=/host/run"), "{arguments:?}");
        assert!(!arguments.iter().any(|argument| argument.starts_with("--endpoint")), "{arguments:?}");
    }
}

#[test]
fn pods_read_the_manifest_without_what_means_nothing_to_them() {
    let spec = json!({ "schedule": "@daily", "mode": "Enforce", "runtime": { "endpoint": "unix:///run/x/crio.sock", "mount": "Directory" }, "rollout": { "parallelism": 3, "nodeSelector": { "a": "b" }, "failurePolicy": { "restartLimit": 2 }, "completionPolicy": { "type": "Always", "activeDeadlineSeconds": 77 } } });
    let rendered = render(&manifest(spec), site());
    assert_eq!(rendered.engine, Engine::AdvancedCronJob);
    let text = rendered.config_map["data"]["node-cleanup.yaml"].as_str().unwrap().to_owned();
    let read = crate::manifest::read(&[crate::manifest::Text { origin: "", text: &text, skips_others: false }])
        .unwrap()
        .remove(0)
        .manifest;
    assert!(read.only_on_a_fleet().is_empty(), "{:?}", read.only_on_a_fleet());
    assert_eq!((read.spec.mode, read.spec.rollout.failure_policy.restart_limit), (crate::manifest::Mode::Enforce, 2));
    assert_eq!(read.full_name(), "ops/stale");
    assert_eq!(read.spec.runtime.endpoint, "unix:///run/x/crio.sock");
    assert_eq!(read.spec.rollout.completion_policy.active_deadline_seconds, Some(77));
}

#[test]
fn pods_take_exactly_the_manifest_that_they_were_made_for() {
    let of = |spec: Value| {
        let rendered = render(&manifest(spec), site());
        let text = rendered.config_map["data"]["node-cleanup.yaml"].as_str().unwrap().to_owned();
        let name = rendered.config_map["metadata"]["name"].as_str().unwrap().to_owned();
        (rendered, text, name)
    };
    for engine in ["BroadcastJob", "DaemonSet"] {
        for schedule in [Value::Null, json!("@daily")] {
            let spec = |mode: &str| json!({ "schedule": schedule, "mode": mode, "rollout": { "engine": engine } });
            let (rendered, text, name) = of(spec("Enforce"));
            let digest = crate::digest::of(text.as_bytes());
            assert_eq!(name, format!("holystone-stale-{}", &digest["sha256:".len()..][..16]));
            assert_eq!(rendered.config_map["immutable"], true);
            assert!(name.len() <= 253 && rendered.config_map["data"].as_object().unwrap().len() == 1);
            let template = match rendered.engine {
                Engine::AdvancedCronJob => &job_spec(&rendered.workload)["template"],
                _ => &rendered.workload["spec"]["template"],
            };
            assert_eq!(manifest_of(template), Some(name.as_str()), "{engine} {schedule}");
            let arguments = template["spec"]["containers"][0]["args"].as_array().unwrap();
            assert!(arguments.contains(&json!(format!("--manifest-digest={digest}"))), "{arguments:?}");
            assert!(
                arguments.contains(&json!("--filename=/etc/holystone/manifest/node-cleanup.yaml")),
                "{arguments:?}"
            );
            assert_ne!(of(spec("DryRun")).2, name, "another content has another name");
            assert_eq!(of(spec("Enforce")).2, name, "and the same the same");
        }
    }
}

#[test]
fn a_run_reads_nothing_of_when_it_starts_and_daemons_read_it_all() {
    for (field, value) in [
        ("paused", json!(true)),
        ("startingDeadlineSeconds", json!(77)),
        ("concurrencyPolicy", json!("Replace")),
        ("successfulJobsHistoryLimit", json!(9)),
        ("failedJobsHistoryLimit", json!(9)),
    ] {
        for (engine, is_same) in [("BroadcastJob", true), ("DaemonSet", false)] {
            let mut spec = json!({ "schedule": "@daily", "rollout": { "engine": engine } });
            let before = render(&manifest(spec.clone()), site()).config_map;
            spec[field] = value.clone();
            assert_eq!(render(&manifest(spec), site()).config_map == before, is_same, "{engine} {field}");
        }
    }
}

#[test]
fn a_run_without_a_schedule_is_the_same_until_what_it_does_changes() {
    let name = |spec: Value| render(&manifest(spec), site()).workload["metadata"]["name"].as_str().unwrap().to_owned();
    let base = name(json!({ "mode": "Enforce" }));
    for same in [
        json!({ "paused": true }),
        json!({ "successfulJobsHistoryLimit": 9, "failedJobsHistoryLimit": 9 }),
        json!({ "rollout": { "completionPolicy": { "ttlSecondsAfterFinished": 60, "activeDeadlineSeconds": 60 } } }),
        json!({ "rollout": { "parallelism": 3, "failurePolicy": { "type": "Pause", "restartLimit": 2 } } }),
    ] {
        let mut spec = same.clone();
        spec["mode"] = "Enforce".into();
        assert_eq!(name(spec), base, "{same}");
    }
    for other in [
        json!({ "mode": "DryRun" }),
        json!({ "guardRails": { "minAge": "1h" } }),
        json!({ "rollout": { "nodeSelector": { "a": "b" } } }),
        json!({ "rollout": { "tolerations": [{ "operator": "Exists" }] } }),
        json!({ "rollout": { "completionPolicy": { "type": "Never" } } }),
        json!({ "pressure": { "above": "80%" } }),
    ] {
        let mut spec = other.clone();
        if spec["mode"].is_null() {
            spec["mode"] = "Enforce".into();
        }
        assert_ne!(name(spec), base, "{other}");
    }
    assert_eq!(
        render(&manifest(json!({ "mode": "Enforce" })), Site { image: "other:2", ..site() }).workload["metadata"]["name"],
        base,
        "an upgrade"
    );
}

#[test]
fn pods_get_what_the_template_says_and_keep_what_is_holystones() {
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
        { "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a"] }] }
    ] } } });
    let given = json!({
        "labels": { "team": "platform" },
        "annotations": { "example.com/owner": "platform" },
        "imagePullSecrets": [{ "name": "registry" }],
        "serviceAccountName": "agent",
        "hostPID": true,
        "seLinuxOptions": { "type": "spc_t", "level": "s0" },
        "resources": { "requests": { "cpu": "1", "memory": "128Mi" }, "limits": { "cpu": 2 } },
        "affinity": affinity,
    });
    let spec = |given: &Value| json!({ "mode": "Enforce", "logRoots": [{ "name": "a", "hostPath": "/var/log" }], "rollout": { "podTemplate": given } });
    for engine in ["BroadcastJob", "DaemonSet"] {
        let template = |given: &Value| {
            let mut spec = spec(given);
            spec["rollout"]["engine"] = engine.into();
            render(&manifest(spec), site()).workload["spec"]["template"].clone()
        };
        let (plain, pod) = (template(&json!({})), template(&given));
        let mut labels = plain["metadata"]["labels"].clone();
        labels["team"] = "platform".into();
        assert_eq!(pod["metadata"], json!({ "labels": labels, "annotations": { "example.com/owner": "platform" } }));
        let mut expected = plain["spec"].clone();
        expected["imagePullSecrets"] = json!([{ "name": "registry" }]);
        expected["serviceAccountName"] = "agent".into();
        expected["hostPID"] = true.into();
        expected["affinity"] = affinity.clone();
        expected["securityContext"]["seLinuxOptions"] = json!({ "type": "spc_t", "level": "s0" });
        let container = &mut expected["containers"][0];
        container["resources"]["requests"] = json!({ "cpu": "1", "memory": "128Mi" });
        container["resources"]["limits"]["cpu"] = "2".into();
        container["securityContext"]["capabilities"]["add"] = json!(["DAC_OVERRIDE", "FOWNER", "SYS_PTRACE"]);
        assert_eq!(pod["spec"], expected, "{engine}");
        assert_eq!(plain["metadata"].as_object().unwrap().len(), 1, "no annotations without any");
        for absent in ["imagePullSecrets", "serviceAccountName", "hostPID", "affinity"] {
            assert!(plain["spec"][absent].is_null(), "{absent}");
        }
    }
    let without_roots = pod(json!({ "rollout": { "podTemplate": { "hostPID": true } } }));
    assert_eq!(without_roots["containers"][0]["securityContext"]["capabilities"], json!({ "drop": ["ALL"] }));
}

#[test]
fn no_pod_requests_more_than_its_limits() {
    let resources = |given: Value| {
        pod(json!({ "rollout": { "podTemplate": { "resources": given } } }))["containers"][0]["resources"].clone()
    };
    let usual = json!({ "limits": { "memory": "832Mi" }, "requests": { "cpu": "10m", "memory": "64Mi" } });
    assert_eq!(resources(json!({})), usual);
    assert_eq!(
        resources(json!({ "requests": { "memory": "1Gi" } })),
        json!({ "limits": { "memory": "1024Mi" }, "requests": { "cpu": "10m", "memory": "1Gi" } })
    );
    assert_eq!(
        resources(json!({ "limits": { "cpu": "5m", "memory": "32Mi" } })),
        json!({ "limits": { "cpu": "5m", "memory": "32Mi" }, "requests": { "cpu": "5m", "memory": "32Mi" } })
    );
}

#[test]
fn a_run_that_is_done_is_not_run_again_for_labels_of_its_pods() {
    let name = |template: Value| {
        let spec = json!({ "schedule": null, "rollout": { "podTemplate": template } });
        render(&manifest(spec), site()).workload["metadata"]["name"].clone()
    };
    let base = name(json!({}));
    for same in [
        json!({ "labels": { "a": "b" } }),
        json!({ "resources": { "limits": { "cpu": 1 } } }),
        json!({ "serviceAccountName": "a" }),
    ] {
        assert_eq!(name(same.clone()), base, "{same}");
    }
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
        { "matchExpressions": [{ "key": "zone", "operator": "Exists" }] }
    ] } } });
    for other in [json!({ "hostPID": true }), json!({ "affinity": affinity })] {
        assert_ne!(name(other.clone()), base, "{other}");
    }
}

#[test]
fn another_operating_system_is_a_problem() {
    let told =
        |label: &str, value: &str| messages(json!({ "rollout": { "nodeSelector": { label: value, "a": "windows" } } }));
    for label in ["kubernetes.io/os", "beta.kubernetes.io/os"] {
        assert_eq!(told(label, "linux"), [""; 0]);
        assert_eq!(
            told(label, "windows"),
            [
                "spec.rollout.nodeSelector: must not ask for another kubernetes.io/os than linux, because the pods run on \
                 Linux nodes only"
            ]
        );
    }
}

#[test]
fn a_plugin_in_a_config_map_that_anybody_could_change_is_a_problem() {
    let source = json!({ "configMap": { "name": "plugins", "key": "a.wasm" } });
    let mut plugin = json!({ "name": "a", "source": source });
    let spec = |plugin: &Value| crate::manifest::from_value(&object(json!({ "plugins": [plugin] })));
    let told: Vec<String> = spec(&plugin).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["spec.plugins[0].digest: must be given, because a user who may edit the ConfigMap could change the plugin"]
    );
    plugin["digest"] = format!("sha256:{}", "0".repeat(64)).into();
    assert!(spec(&plugin).is_ok());
}

#[test]
fn files_of_one_machine_are_a_problem() {
    let told = messages(json!({ "plugins": [{ "name": "a", "source": { "file": "/a.wasm" } }] }));
    assert!(told[0].starts_with("spec.plugins[0].source.file: is a file of one machine"), "{told:?}");
}

#[test]
fn the_definition_is_structural() {
    fn walk(schema: &Value, path: &str) {
        let fields = schema.as_object().unwrap();
        for forbidden in ["$schema", "$ref", "oneOf", "const", "allOf", "title", "definitions"] {
            assert!(!fields.contains_key(forbidden), "{path} has {forbidden}");
        }
        let kept = schema["x-kubernetes-preserve-unknown-fields"] == true;
        let int_or_string = schema["x-kubernetes-int-or-string"] == true;
        assert!(int_or_string != schema["type"].is_string(), "{path}: {schema}");
        assert!(!(schema["properties"].is_object() && fields.contains_key("additionalProperties")), "{path}");
        if schema["type"] == "object" && !kept && !["metadata"].contains(&path) {
            assert!(schema["properties"].is_object() || schema["additionalProperties"].is_object(), "{path}: {schema}");
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            walk(field, name);
        }
        for part in ["items", "additionalProperties"] {
            if schema[part].is_object() {
                walk(&schema[part], path);
            }
        }
    }
    let crd = crd();
    let version = &crd["spec"]["versions"][0];
    walk(&version["schema"]["openAPIV3Schema"], "");
    assert_eq!(version["subresources"]["status"], json!({}));
    assert_eq!(crd["spec"]["names"]["categories"], json!(["holystone"]));
    let columns = version["additionalPrinterColumns"].as_array().unwrap();
    let shown: Vec<(&str, u64)> = columns
        .iter()
        .map(|column| (column["name"].as_str().unwrap(), column["priority"].as_u64().unwrap_or_default()))
        .collect();
    let expected = [
        ("Schedule", 0),
        ("Mode", 0),
        ("Phase", 1),
        ("Nodes", 0),
        ("Failed", 0),
        ("Planned", 0),
        ("Removed", 0),
        ("Last run", 0),
        ("Next run", 1),
        ("Ready", 0),
        ("Age", 0),
    ];
    assert_eq!(shown, expected);
    // Of a date that is to come, kubectl says that it is invalid.
    assert_eq!(columns[8]["type"], "string");
    let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(spec["properties"]["mode"]["default"], "DryRun");
    assert_eq!(spec["properties"]["mode"]["enum"], json!(["DryRun", "Enforce"]));
    assert!(spec["properties"]["mode"]["description"].as_str().unwrap().contains("Enforce: Remove it."));
}

#[test]
fn whatever_the_definition_takes_is_read() {
    // Defaults that the API server fills in are ours.
    assert!(crate::manifest::from_value(&object(json!({ "rollout": {}, "pace": {}, "guardRails": {} }))).is_ok());
}
