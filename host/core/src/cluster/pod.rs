//! The pod that runs on each node.
//!
//! The pod needs no API token. Its mounts from the node follow from the manifest: the socket of the runtime, the log
//! roots, and a directory for its state.

use serde_json::{Map, Value, json};

use super::render::PodManifest;
use super::{Allowed, DAEMON_PORT, MANAGED_BY, NAME_LABEL};
use crate::manifest::{
    Amounts, Bytes, CompletionPolicy, Cpu, Mode, NodeCleanup, PluginSource, PodTemplate, Resources, RolloutEngine,
    SocketMount,
};
use crate::pressure::Disk;
use crate::worker::{COMPILE_MEMORY, WORKERS};

/// Paths inside of the pods.
const MANIFEST_DIR: &str = "/etc/holystone/manifest";
const CONFIG_MAP_DIR: &str = "/etc/holystone/config-maps";
const IMAGE_VOLUME_DIR: &str = "/etc/holystone/image-volumes";
const LOG_ROOT_DIR: &str = "/host/logs";
const ALLOWED_DIR: &str = "/host/allowed";
const IMAGE_ROOT: &str = "/host/images";
const STATE_DIR: &str = "/var/lib/holystone";
/// File for the termination message of a pod.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Socket that `auto` resolves to in a pod that mounts a single socket. Such a pod sees no other socket of the node.
const AUTO: &str = "/run/containerd/containerd.sock";
/// Directory with the sockets of runtimes, and its mount path in pods that get all of it. The mount path is not the
/// pod's own `/run`, in which runtimes may put files.
const RUN: (&str, &str) = ("/run", "/host/run");
/// Name of the volume with the manifest.
const MANIFEST_VOLUME: &str = "manifest";
/// Key of the manifest in its ConfigMap.
pub(super) const MANIFEST_KEY: &str = "node-cleanup.yaml";
/// Memory of the host in bytes, besides the plugin and the compile workers: enough for a run on a node with thousands
/// of images.
const HOST_MEMORY: u64 = 256 << 20;
/// Requests of a pod, if the manifest sets none.
const REQUESTED_CPU: Cpu = Cpu::from_thousandths(10);
const REQUESTED_MEMORY: Bytes = Bytes::new(64 << 20);
/// Taints that Kubernetes lets the pods of a DaemonSet tolerate. BroadcastJobs add no tolerations of their own, and
/// nodes with a full disk are where a cleanup is needed.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
];

/// The operator's part of the pods: image and limits.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Image that the pods run.
    pub image: &'a str,
    /// Limits of what manifests may request from nodes.
    pub allowed: &'a Allowed,
}

/// Returns the labels of all objects of a NodeCleanup.
pub(super) fn labels(manifest: &NodeCleanup) -> Value {
    json!({
        "app.kubernetes.io/name": "holystone",
        "app.kubernetes.io/component": "node",
        MANAGED_BY.0: MANAGED_BY.1,
        NAME_LABEL: manifest.metadata.name,
    })
}

/// A volume and its mount.
struct VolumeMount {
    volume: Value,
    mount: Value,
}

impl VolumeMount {
    fn new(name: &str, path: &str, read_only: bool, (kind, source): (&str, Value)) -> Self {
        let mut mount = json!({ "name": name, "mountPath": path });
        if read_only {
            mount["readOnly"] = true.into();
        }
        Self { volume: json!({ "name": name, kind: source }), mount }
    }
}

/// Renders the pod template.
pub(super) fn template(manifest: &NodeCleanup, site: Site<'_>, source: &PodManifest, engine: RolloutEngine) -> Value {
    let rollout = &manifest.spec.rollout;
    let mounts = mounts(manifest, site.allowed, source, engine);
    let volumes: Vec<&Value> = mounts.iter().map(|mount| &mount.volume).collect();
    let mut selector: Map<String, Value> =
        rollout.node_selector.iter().map(|(label, value)| (label.clone(), value.as_str().into())).collect();
    selector.insert("kubernetes.io/os".to_owned(), "linux".into());
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "containers": [container(manifest, site, &arguments(manifest, site.allowed, source, engine), engine, &mounts)],
        "enableServiceLinks": false,
        "nodeSelector": selector,
        "priorityClassName": rollout.priority_class_name,
        "restartPolicy": "Always",
        "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
        "terminationGracePeriodSeconds": 30,
        "tolerations": tolerations(manifest),
        "volumes": volumes,
    });
    add_given(&mut spec, &rollout.pod_template);
    if engine == RolloutEngine::BroadcastJob {
        // OpenKruise also accepts OnFailure, but a pod that keeps failing would then never end. It refuses every other
        // policy.
        spec["restartPolicy"] = "Never".into();
    }
    json!({ "metadata": metadata(manifest), "spec": spec })
}

/// Renders the labels and annotations of the pods. The labels of Holystone override those of the manifest, which may
/// not set them.
fn metadata(manifest: &NodeCleanup) -> Value {
    let PodTemplate { labels: given, annotations, .. } = &manifest.spec.rollout.pod_template;
    let mut metadata = json!({ "labels": given });
    for (label, value) in labels(manifest).as_object().into_iter().flatten() {
        metadata["labels"][label] = value.clone();
    }
    if !annotations.is_empty() {
        metadata["annotations"] = json!(annotations);
    }
    metadata
}

/// Adds the pod settings of the manifest. Unset fields are left out, as the API server leaves them out.
fn add_given(spec: &mut Value, template: &PodTemplate) {
    if !template.image_pull_secrets.is_empty() {
        spec["imagePullSecrets"] = json!(template.image_pull_secrets);
    }
    if let Some(name) = &template.service_account_name {
        spec["serviceAccountName"] = name.as_str().into();
    }
    if template.host_pid {
        spec["hostPID"] = true.into();
    }
    if let Some(options) = &template.se_linux_options {
        spec["securityContext"]["seLinuxOptions"] = json!(options);
    }
    if let Some(affinity) = &template.affinity {
        spec["affinity"] = json!(affinity);
    }
}

/// Renders requests and limits of a pod. Default requests are capped by the limits of the manifest, and the default
/// limit is at least the memory request: the API server would refuse a pod whose request is larger than its limit.
fn resources(manifest: &NodeCleanup) -> Value {
    let Resources { requests, limits } = manifest.spec.rollout.pod_template.resources;
    let usual = Amounts {
        cpu: Some(limits.cpu.map_or(REQUESTED_CPU, |limit| limit.min(REQUESTED_CPU))),
        memory: Some(limits.memory.map_or(REQUESTED_MEMORY, |limit| limit.min(REQUESTED_MEMORY))),
    };
    let most = memory(manifest).max(requests.memory.map_or(0, Bytes::get));
    let mut resources = json!({
        "limits": { "memory": format!("{}Mi", most.div_ceil(1 << 20)) },
        "requests": usual,
    });
    for (kind, amounts) in [("requests", requests), ("limits", limits)] {
        for (name, amount) in json!(amounts).as_object().into_iter().flatten() {
            resources[kind][name] = amount.clone();
        }
    }
    resources
}

/// Returns the name of the ConfigMap that the pods of a template read their manifest from.
pub fn manifest_of(template: &Value) -> Option<&str> {
    let volumes = template["spec"]["volumes"].as_array()?;
    volumes.iter().find(|volume| volume["name"] == MANIFEST_VOLUME)?["configMap"]["name"].as_str()
}

fn tolerations(manifest: &NodeCleanup) -> Vec<Value> {
    let usual = TOLERATED.map(|(key, effect)| json!({ "key": key, "operator": "Exists", "effect": effect }));
    let given = manifest.spec.rollout.tolerations.iter().map(|toleration| json!(toleration));
    usual.into_iter().chain(given).collect()
}

fn container(
    manifest: &NodeCleanup,
    site: Site<'_>,
    arguments: &[String],
    engine: RolloutEngine,
    mounts: &[VolumeMount],
) -> Value {
    let field = |path: &str| json!({ "fieldRef": { "apiVersion": "v1", "fieldPath": path } });
    let mounts: Vec<&Value> = mounts.iter().map(|mount| &mount.mount).collect();
    // Without these capabilities, root could not remove log files of other users, or files in sticky directories.
    let capabilities: &[&str] = match (manifest.spec.log_roots.is_empty(), manifest.spec.rollout.pod_template.host_pid)
    {
        (true, _) => &[],
        (false, false) => &["DAC_OVERRIDE", "FOWNER"],
        // SYS_PTRACE shows which files the processes of the node have open.
        (false, true) => &["DAC_OVERRIDE", "FOWNER", "SYS_PTRACE"],
    };
    let mut dropped = json!({ "drop": ["ALL"] });
    if !capabilities.is_empty() {
        dropped["add"] = json!(capabilities);
    }
    let mut container = json!({
        "name": "holystone",
        "image": site.image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments,
        "env": [
            { "name": "NODE_NAME", "valueFrom": field("spec.nodeName") },
            { "name": "POD_UID", "valueFrom": field("metadata.uid") },
            { "name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace") },
        ],
        "resources": resources(manifest),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": dropped,
            "readOnlyRootFilesystem": true,
            "runAsUser": 0,
        },
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    });
    if engine == RolloutEngine::DaemonSet {
        let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "http" }, "periodSeconds": 10 });
        container["ports"] = json!([{ "name": "http", "containerPort": DAEMON_PORT, "protocol": "TCP" }]);
        container["readinessProbe"] = probe("/readyz");
        container["livenessProbe"] = probe("/healthz");
        container["livenessProbe"]["failureThreshold"] = 6.into();
    }
    container
}

/// Computes the most memory that a pod takes, in bytes. Plugins are asked one after the other. Before that they are
/// compiled, several at a time.
fn memory(manifest: &NodeCleanup) -> u64 {
    let plugins = &manifest.spec.plugins;
    let largest = plugins.iter().map(|plugin| plugin.limits.memory.get()).max().unwrap_or_default();
    let workers = u64::try_from(plugins.len().min(WORKERS)).unwrap_or_default();
    HOST_MEMORY.saturating_add(largest).saturating_add(workers.saturating_mul(COMPILE_MEMORY))
}

fn arguments(manifest: &NodeCleanup, allowed: &Allowed, source: &PodManifest, engine: RolloutEngine) -> Vec<String> {
    let spec = &manifest.spec;
    let mut arguments = vec![
        match engine {
            RolloutEngine::BroadcastJob => "run".to_owned(),
            RolloutEngine::DaemonSet => "daemon".to_owned(),
        },
        format!("--filename={MANIFEST_DIR}/{MANIFEST_KEY}"),
        // A user with write access to ConfigMaps may replace this one. Its digest then differs, and the pod does
        // nothing.
        format!("--manifest-digest={}", source.digest),
    ];
    if has_source(manifest, |source| matches!(source, PluginSource::ConfigMap(_))) {
        arguments.push(format!("--config-map-dir={CONFIG_MAP_DIR}"));
    }
    if has_source(manifest, |source| matches!(source, PluginSource::ImageVolume(_))) {
        arguments.push(format!("--image-volume-dir={IMAGE_VOLUME_DIR}"));
    }
    if !spec.log_roots.is_empty() {
        arguments.push(format!("--log-root-dir={LOG_ROOT_DIR}"));
    }
    for (index, directory) in log_roots_in(manifest, allowed).into_iter().enumerate() {
        arguments.push(format!("--log-roots-in={directory}={ALLOWED_DIR}/{index}"));
    }
    if !allowed.log_content {
        arguments.push("--deny=log-content".to_owned());
    }
    if measures_images(manifest) {
        arguments.push(format!("--image-root={}={IMAGE_ROOT}", spec.runtime.image_root));
    }
    match reach(manifest) {
        Some(Reach::Socket(socket)) => arguments.push(format!("--endpoint={socket}")),
        Some(Reach::Run) => arguments.push(format!("--run-dir={}", RUN.1)),
        None => {}
    }
    arguments.push(format!("--termination-message={TERMINATION_LOG}"));
    match engine {
        RolloutEngine::BroadcastJob => {
            let deadline = active_deadline_seconds(&spec.rollout.completion_policy);
            arguments.push(format!("--retries={}", spec.rollout.failure_policy.restart_limit));
            // Another NodeCleanup may run on the node at the same time; the runs take turns.
            arguments.push(format!("--wait={deadline}s"));
            arguments.push(format!("--time-limit={deadline}s"));
        }
        RolloutEngine::DaemonSet => {
            arguments.push(format!("--listen=0.0.0.0:{DAEMON_PORT}"));
            // Several daemons share the state of the node, and each one keeps its own records.
            arguments.push(format!("--history-dir={STATE_DIR}/daemons/$(POD_NAMESPACE).{}", manifest.metadata.name));
        }
    }
    arguments
}

pub(super) fn active_deadline_seconds(policy: &CompletionPolicy) -> u32 {
    policy.active_deadline_seconds.unwrap_or(super::ACTIVE_DEADLINE_SECONDS)
}

fn has_source(manifest: &NodeCleanup, is: impl Fn(&PluginSource) -> bool) -> bool {
    manifest.spec.plugins.iter().any(|plugin| is(&plugin.source))
}

/// Returns whether the pod measures the image filesystem, which only `pressure` requires.
fn measures_images(manifest: &NodeCleanup) -> bool {
    manifest.spec.pressure.as_ref().is_some_and(|pressure| pressure.filesystem == Disk::Images)
}

/// Returns the directory for measuring the image filesystem, without trailing slashes.
pub(super) fn image_root(manifest: &NodeCleanup) -> &str {
    manifest.spec.runtime.image_root.trim_end_matches('/')
}

/// Returns the allowed directories that contain the log roots of a manifest, each once.
fn log_roots_in<'a>(manifest: &NodeCleanup, allowed: &'a Allowed) -> Vec<&'a str> {
    let mut found = Vec::new();
    for directory in manifest.spec.log_roots.iter().filter_map(|root| allowed.log_root_over(&root.host_path)) {
        if !found.contains(&directory) {
            found.push(directory);
        }
    }
    found
}

/// The access of a pod to the runtime of its node.
pub(super) enum Reach<'a> {
    /// The path of the socket on the node.
    Socket(&'a str),
    /// The whole of `/run`.
    Run,
}

/// Resolves how pods reach the runtime; `None` if no runtime is asked.
pub(super) fn reach(manifest: &NodeCleanup) -> Option<Reach<'_>> {
    let runtime = &manifest.spec.runtime;
    Some(match runtime.endpoint.as_str() {
        "none" => return None,
        "auto" if runtime.mount == Some(SocketMount::Run) => Reach::Run,
        "auto" => Reach::Socket(AUTO),
        given => {
            Reach::Socket(given.strip_prefix("unix:").map_or(given, |path| path.strip_prefix("//").unwrap_or(path)))
        }
    })
}

fn mounts(manifest: &NodeCleanup, allowed: &Allowed, source: &PodManifest, engine: RolloutEngine) -> Vec<VolumeMount> {
    let spec = &manifest.spec;
    let host = |path: &str, kind: &str| ("hostPath", json!({ "path": path, "type": kind }));
    let config_map = |name: &str| ("configMap", json!({ "name": name }));
    let mut mounts = vec![
        VolumeMount::new(MANIFEST_VOLUME, MANIFEST_DIR, true, config_map(&source.config_map)),
        VolumeMount::new("state", STATE_DIR, false, host(STATE_DIR, "DirectoryOrCreate")),
    ];
    mounts.extend(reach(manifest).map(|reach| runtime(&reach, spec.runtime.mount, engine)));
    if measures_images(manifest) {
        let own = format!("{}/holystone", image_root(manifest));
        mounts.push(VolumeMount::new("images", IMAGE_ROOT, true, host(&own, "DirectoryOrCreate")));
    }
    for (index, root) in spec.log_roots.iter().enumerate() {
        let (name, path) = (format!("logs-{index}"), format!("{LOG_ROOT_DIR}/{}", root.name));
        // A dry run needs no write access.
        let read_only = spec.mode == Mode::DryRun;
        let mut mount = VolumeMount::new(&name, &path, read_only, host(&root.host_path, "Directory"));
        // Later mounts of the node under the log root show in the pod, which then stays out of them.
        mount.mount["mountPropagation"] = "HostToContainer".into();
        mounts.push(mount);
    }
    // The directories that must contain the log roots let the pod verify that they do: for a link, the kubelet mounts
    // its target.
    for (index, directory) in log_roots_in(manifest, allowed).into_iter().enumerate() {
        let path = format!("{ALLOWED_DIR}/{index}");
        let mut mount = VolumeMount::new(&format!("allowed-{index}"), &path, true, host(directory, "Directory"));
        mount.mount["mountPropagation"] = "HostToContainer".into();
        mounts.push(mount);
    }
    let mut config_maps: Vec<&str> = spec.plugins.iter().filter_map(|plugin| plugin.source.config_map()).collect();
    config_maps.sort_unstable();
    config_maps.dedup();
    for (index, name) in config_maps.into_iter().enumerate() {
        let path = format!("{CONFIG_MAP_DIR}/{name}");
        mounts.push(VolumeMount::new(&format!("config-map-{index}"), &path, true, config_map(name)));
    }
    for (index, plugin) in spec.plugins.iter().enumerate() {
        if let PluginSource::ImageVolume(image) = &plugin.source {
            let source = ("image", json!({ "reference": image.reference, "pullPolicy": "IfNotPresent" }));
            let path = format!("{IMAGE_VOLUME_DIR}/{}", plugin.name);
            mounts.push(VolumeMount::new(&format!("image-{index}"), &path, true, source));
        }
    }
    mounts
}

/// Mounts the socket of the runtime. By default, a pod that ends gets the socket alone. A daemon gets its directory,
/// because a restarted runtime creates a new socket. Later mounts under that directory show in the pod, so that the pod
/// keeps nothing mounted.
fn runtime(reach: &Reach<'_>, mount: Option<SocketMount>, engine: RolloutEngine) -> VolumeMount {
    let Reach::Socket(socket) = reach else { return directory_of_sockets(RUN.0, RUN.1) };
    let usual = if engine == RolloutEngine::DaemonSet { SocketMount::Directory } else { SocketMount::Socket };
    let directory = socket.rsplit_once('/').map_or("", |(directory, _)| directory);
    if mount.unwrap_or(usual) == SocketMount::Socket || directory.is_empty() {
        return VolumeMount::new("runtime", socket, true, ("hostPath", json!({ "path": socket, "type": "Socket" })));
    }
    directory_of_sockets(directory, directory)
}

/// Mounts a directory of the node with one or more sockets.
fn directory_of_sockets(directory: &str, seen_at: &str) -> VolumeMount {
    let source = ("hostPath", json!({ "path": directory, "type": "Directory" }));
    let mut mount = VolumeMount::new("runtime", seen_at, true, source);
    mount.mount["mountPropagation"] = "HostToContainer".into();
    mount
}
