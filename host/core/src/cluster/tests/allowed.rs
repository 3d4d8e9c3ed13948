//! What may be asked of nodes, and by what the pods find out that they got no more.

use serde_json::{Value, json};

use super::super::{Allowed, RUN_SOCKETS, Site, is_plain_path, problems, render};
use super::{IMAGE, manifest, site};

fn refused(spec: Value, allowed: &Allowed) -> Vec<String> {
    problems(&manifest(spec), allowed).iter().map(ToString::to_string).collect()
}

fn roots(paths: &[&str]) -> Value {
    let root = |(at, path): (usize, &&str)| json!({ "name": format!("r{at}"), "hostPath": path });
    json!({ "logRoots": paths.iter().enumerate().map(root).collect::<Vec<_>>() })
}

fn list(paths: &[&str]) -> Vec<String> {
    paths.iter().copied().map(str::to_owned).collect()
}

#[test]
fn log_roots_are_taken_in_the_allowed_directories_only() {
    let allowed = Allowed { log_roots: list(&["/var/log", "/data/app.d"]), ..Allowed::default() };
    for path in ["/var/log", "/var/log/", "/var/log/app", "/var/log/a/b/", "/data/app.d/x", "/var/log/..x/y"] {
        assert_eq!(refused(roots(&[path]), &allowed), Vec::<String>::new(), "{path}");
    }
    for path in [
        "/var",
        "/var/logs",
        "/var/log.d/x",
        "/var/lo",
        "/data",
        "/data/app",
        "/data/app.d2",
        "/VAR/log",
        "//var/log",
        "/var//log",
        "/var/log//app",
        "/var/log/app//",
        "/etc",
        "/run/var/log",
        " /var/log",
    ] {
        let spec = roots(&[path]);
        // What is no absolute path does not come this far.
        let Ok(manifest) = crate::manifest::from_value(&super::object(spec)) else { continue };
        let said: Vec<String> = problems(&manifest, &allowed).iter().map(ToString::to_string).collect();
        let message = format!(
            "spec.logRoots[0].hostPath: is not among the log roots that the operator allows (/var/log, /data/app.d); \
             its administrator can add {path} to its option --allow-log-roots (in the chart allowed.logRoots)"
        );
        assert_eq!(said, [message]);
    }
    let both = refused(roots(&["/srv/a", "/var/log/b", "/srv/c"]), &allowed);
    let fields: Vec<&str> = both.iter().filter_map(|message| Some(message.split_once(':')?.0)).collect();
    assert_eq!(fields, ["spec.logRoots[0].hostPath", "spec.logRoots[2].hostPath"], "each by itself, in order");
    let none = Allowed { log_roots: Vec::new(), ..Allowed::default() };
    assert!(refused(roots(&["/var/log"]), &none)[0].contains("the operator allows (none)"));
}

#[test]
fn sockets_image_roots_and_priority_classes_are_those_of_the_lists() {
    let usual = Allowed::default();
    for spec in [
        json!({}),
        json!({ "runtime": { "endpoint": "none" } }),
        json!({ "runtime": { "endpoint": "auto" } }),
        json!({ "runtime": { "endpoint": "/run/crio/crio.sock", "imageRoot": "/var/lib/containers/storage" } }),
        json!({ "runtime": { "endpoint": "unix:/run/crio/crio.sock" } }),
        json!({ "runtime": { "endpoint": "unix:///run/k3s/containerd/containerd.sock", "imageRoot": "/var/lib/docker/" } }),
        json!({ "rollout": { "priorityClassName": "system-node-critical" } }),
    ] {
        assert_eq!(refused(spec.clone(), &usual), Vec::<String>::new(), "{spec}");
    }
}

#[test]
fn what_is_in_no_list_is_refused_with_the_option_that_would_allow_it() {
    let usual = Allowed::default();
    for (spec, field, wanted, option) in [
        (
            json!({ "runtime": { "endpoint": "/etc/shadow" } }),
            "spec.runtime.endpoint",
            "/etc/shadow",
            "--allow-sockets",
        ),
        (
            json!({ "runtime": { "endpoint": "unix:///run/containerd/other.sock" } }),
            "spec.runtime.endpoint",
            "/run/containerd/other.sock",
            "--allow-sockets",
        ),
        (
            json!({ "runtime": { "endpoint": "/run/containerd//containerd.sock" } }),
            "spec.runtime.endpoint",
            "/run/containerd//containerd.sock",
            "--allow-sockets",
        ),
        (json!({ "runtime": { "imageRoot": "/etc" } }), "spec.runtime.imageRoot", "/etc", "--allow-image-roots"),
        (
            json!({ "runtime": { "imageRoot": "/var/lib/containerd/x" } }),
            "spec.runtime.imageRoot",
            "/var/lib/containerd/x",
            "--allow-image-roots",
        ),
        (
            json!({ "rollout": { "priorityClassName": "system-cluster-critical" } }),
            "spec.rollout.priorityClassName",
            "system-cluster-critical",
            "--allow-priority-classes",
        ),
    ] {
        let said = refused(spec.clone(), &usual);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(&format!("{field}: is not among the ")), "{said:?}");
        assert!(
            said[0].contains(&format!("can add {wanted} to its option {option} (in the chart allowed.")),
            "{said:?}"
        );
    }
}

#[test]
fn pods_have_of_their_node_what_is_allowed_and_nothing_by_default() {
    let usual = Allowed::default();
    let template = |template: Value| json!({ "rollout": { "podTemplate": template } });
    let lacks = |what: &str, wanted: &str, option: &str, value: &str| {
        format!(
            "is not among the {what} that the operator allows (none); its administrator can add {wanted} to its option \
             {option} (in the chart allowed.{value})"
        )
    };
    for (given, field, message) in [
        (
            json!({ "serviceAccountName": "agent" }),
            "serviceAccountName",
            lacks("service accounts", "agent", "--allow-service-accounts", "serviceAccounts"),
        ),
        (
            json!({ "seLinuxOptions": { "type": "spc_t", "level": "s0" } }),
            "seLinuxOptions.type",
            lacks("types of SELinux", "spc_t", "--allow-selinux-types", "seLinuxTypes"),
        ),
        (
            json!({ "annotations": { "a.b/c": "d" } }),
            "annotations",
            format!("a.b/c {}", lacks("annotations of pods", "a.b/c", "--allow-pod-annotations", "podAnnotations")),
        ),
        (
            json!({ "hostPID": true }),
            "hostPID",
            "may not be true, because the operator does not allow pods to share the process ids of their nodes; its \
             administrator can do so by its option --allow-host-pid (in the chart allowed.hostPID)"
                .to_owned(),
        ),
    ] {
        assert_eq!(refused(template(given), &usual), [format!("spec.rollout.podTemplate.{field}: {message}")]);
    }
    for free in [json!({}), json!({ "labels": { "a": "b" }, "imagePullSecrets": [{ "name": "a" }], "hostPID": false })]
    {
        assert_eq!(refused(template(free), &usual), [""; 0]);
    }
    let open = Allowed {
        service_accounts: list(&["agent"]),
        selinux_types: list(&["spc_t"]),
        pod_annotations: list(&["a.b/c", "d.e/*", "f*"]),
        host_pid: true,
        ..Allowed::default()
    };
    let all = json!({ "serviceAccountName": "agent", "seLinuxOptions": { "type": "spc_t" }, "hostPID": true,
        "annotations": { "a.b/c": "", "d.e/f": "", "d.e/g": "" } });
    assert_eq!(refused(template(all), &open), [""; 0]);
    for key in ["a.b/cd", "a.b/d", "d.ef/g", "xd.e/f", "f", "fg", "f*"] {
        // What is no key at all does not come this far.
        let Ok(manifest) = crate::manifest::from_value(&super::object(template(json!({ "annotations": { key: "" } }))))
        else {
            continue;
        };
        assert_eq!(problems(&manifest, &open).len(), 1, "{key}");
    }
    let others =
        refused(template(json!({ "serviceAccountName": "agents", "seLinuxOptions": { "type": "spc" } })), &open);
    assert_eq!(others.len(), 2, "{others:?}");
}

#[test]
fn lists_that_are_given_take_the_place_of_the_usual_ones() {
    let other = Allowed {
        sockets: list(&["/x.sock"]),
        image_roots: list(&["/images"]),
        priority_classes: list(&["low"]),
        ..Allowed::default()
    };
    let spec = json!({ "runtime": { "endpoint": "/x.sock", "imageRoot": "/images" }, "rollout": { "priorityClassName": "low" } });
    assert_eq!(refused(spec, &other), Vec::<String>::new());
    // Lists that do not have the defaults of the manifest refuse those as well.
    assert_eq!(refused(json!({}), &other).len(), 3);
}

#[test]
fn content_of_files_is_for_plugins_only_where_it_is_allowed() {
    let plugin =
        |capabilities: Value| json!({ "name": "p", "source": { "builtin": "x" }, "capabilities": capabilities });
    let spec = json!({ "plugins": [plugin(json!(["logs"])), { "name": "q", "source": { "builtin": "x" }, "capabilities": ["logs", "log-content"] }] });
    let message = "spec.plugins[1].capabilities: may not have log-content, because the operator does not allow plugins \
                   to read files; its administrator can do so by its option --allow-log-content (in the chart \
                   allowed.logContent)";
    assert_eq!(refused(spec.clone(), &Allowed::default()), [message]);
    let allowed = Allowed { log_content: true, ..Allowed::default() };
    assert_eq!(refused(spec, &allowed), Vec::<String>::new());
}

fn pod(spec: Value, allowed: &Allowed) -> Value {
    let workload = render(&manifest(spec), Site { image: IMAGE, allowed }).workload;
    let template = workload["spec"]["template"].clone();
    template["spec"].clone()
}

fn arguments(pod: &Value) -> Vec<&str> {
    pod["containers"][0]["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

#[test]
fn the_lists_travel_in_the_arguments_of_the_pods() {
    let allowed = Allowed { log_roots: list(&["/data", "/var/log", "/unused"]), ..Allowed::default() };
    let pod = pod(roots(&["/var/log/a", "/data/b", "/var/log/c"]), &allowed);
    let given: Vec<&str> =
        arguments(&pod).into_iter().filter(|argument| argument.starts_with("--log-roots-in")).collect();
    assert_eq!(given, ["--log-roots-in=/var/log=/host/allowed/0", "--log-roots-in=/data=/host/allowed/1"]);
    let mount = |index: usize| json!({ "name": format!("allowed-{index}"), "mountPath": format!("/host/allowed/{index}"), "readOnly": true, "mountPropagation": "HostToContainer" });
    let volume = |index: usize, path: &str| json!({ "name": format!("allowed-{index}"), "hostPath": { "path": path, "type": "Directory" } });
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let volumes = pod["volumes"].as_array().unwrap();
    for (index, path) in [(0, "/var/log"), (1, "/data")] {
        assert!(mounts.contains(&mount(index)) && volumes.contains(&volume(index, path)), "{pod:#}");
    }
    assert!(!pod.to_string().contains("/unused"), "what no root lies in is not mounted");
}

#[test]
fn pods_without_log_roots_get_no_directory_to_compare_with() {
    let pod = pod(json!({}), site().allowed);
    assert!(!pod.to_string().contains("/host/allowed"), "{pod:#}");
}

#[test]
fn pods_are_told_whether_plugins_may_read_files() {
    for (log_content, denied) in [(false, true), (true, false)] {
        let pod = pod(json!({}), &Allowed { log_content, ..Allowed::default() });
        assert_eq!(arguments(&pod).contains(&"--deny=log-content"), denied);
    }
}

#[test]
fn a_path_is_plain_when_it_is_spelt_in_one_way() {
    for path in ["/a", "/var/log", "/a.b/..c", "/a b"] {
        assert!(is_plain_path(path), "{path:?}");
    }
    for path in ["", "/", "//", "a", "/a/", "//a", "/a//b", "/.", "/a/..", "/a/./b", "/../a", "./a"] {
        assert!(!is_plain_path(path), "{path:?}");
    }
    let usual = Allowed::default();
    assert!([usual.log_roots, usual.sockets, usual.image_roots].concat().iter().all(|path| is_plain_path(path)));
}

#[test]
fn pods_get_all_of_run_where_each_of_its_sockets_is_allowed() {
    let spec = json!({ "runtime": { "mount": "Run" } });
    assert_eq!(refused(spec.clone(), &Allowed::default()), Vec::<String>::new());
    for socket in RUN_SOCKETS {
        let mut allowed = Allowed::default();
        allowed.sockets.retain(|allowed| allowed != socket);
        let message = format!(
            "spec.runtime.mount: needs {socket}, which is not among the sockets that the operator allows ({}); its \
             administrator can add {socket} to its option --allow-sockets (in the chart allowed.sockets)",
            allowed.sockets.join(", ")
        );
        assert_eq!(refused(spec.clone(), &allowed), [message]);
        assert_eq!(refused(json!({ "runtime": { "endpoint": "none" } }), &allowed), Vec::<String>::new());
    }
}
