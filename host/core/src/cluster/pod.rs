//! The pod that runs on each node.
//!
//! It needs no API token, and gets of the node what the manifest names: the runtime's socket, the log roots, and a
//! directory for what is remembered.

use serde_json::{Map, Value, json};

use super::objects::PodManifest;
use super::{Allowed, DAEMON_PORT, MANAGED_BY, NAME_LABEL};
use crate::manifest::{
    Amounts, Bytes, CompletionPolicy, Cpu, Mode, NodeCleanup, PluginSource, PodTemplate, Resources, RolloutEngine,
    SocketMount,
};
use crate::pressure::Disk;
use crate::worker::{COMPILE_MEMORY, WORKERS};

/// Where things are in the pods.
const MANIFEST_DIR: &str = "/etc/holystone/manifest";
const CONFIG_MAP_DIR: &str = "/etc/holystone/config-maps";
const IMAGE_VOLUME_DIR: &str = "/etc/holystone/image-volumes";
const LOG_ROOT_DIR: &str = "/host/logs";
const ALLOWED_DIR: &str = "/host/allowed";
const IMAGE_ROOT: &str = "/host/images";
const STATE_DIR: &str = "/var/lib/holystone";
/// The file that a pod ends with.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// The runtime that `auto` means in a pod, which sees no other socket of the node than the one that it is given.
const AUTO: &str = "/run/containerd/containerd.sock";
/// The directory in which the sockets of runtimes are, and where a pod that gets all of it sees it. It is not mounted over
/// the pod's own, in which runtimes may put files.
const RUN: (&str, &str) = ("/run", "/host/run");
/// The volume with the manifest.
const MANIFEST_VOLUME: &str = "manifest";
/// The manifest in its ConfigMap.
pub(super) const MANIFEST_KEY: &str = "node-cleanup.yaml";
/// The memory that the host takes besides the plugin and the workers that compile: a run on a node of thousands of images.
const HOST_MEMORY: u64 = 256 << 20;
/// The requests of a pod when the manifest does not say.
const REQUESTED_CPU: Cpu = Cpu::from_thousandths(10);
const REQUESTED_MEMORY: Bytes = Bytes::new(64 << 20);
/// The taints that Kubernetes lets the pods of a DaemonSet tolerate. BroadcastJobs add none of their own, and a full
/// disk is what this is for.
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
    /// The image that pods run.
    pub image: &'a str,
    /// The limits of what may be asked of nodes.
    pub allowed: &'a Allowed,
}

/// The labels of everything that belongs to a NodeCleanup.
pub(super) fn labels(manifest: &NodeCleanup) -> Value {
    json!({
        "app.kubernetes.io/name": "holystone",
        "app.kubernetes.io/component": "node",
        MANAGED_BY.0: MANAGED_BY.1,
        NAME_LABEL: manifest.metadata.name,
    })
}

/// A volume and where it is mounted.
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

/// The template of the pods.
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
        // OpenKruise refuses every other policy but OnFailure, with which a pod that keeps failing never ends.
        spec["restartPolicy"] = "Never".into();
    }
    json!({ "metadata": metadata(manifest), "spec": spec })
}

/// The labels and annotations of the pods. Those of Holystone are never those of the manifest, which may not name them.
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

/// Adds what the manifest says of its pods; what it does not say is left out, as the API server leaves it out.
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

/// Renders requests and limits of a pod. Defaults fit what the manifest says: no request is larger
/// than its limit, or the API server would refuse each pod.
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

/// The ConfigMap that the pods of a template read their manifest from.
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
    // Whoever owns a log file, and whatever sticky directory it is in, root without these could not remove it.
    let capabilities: &[&str] = match (manifest.spec.log_roots.is_empty(), manifest.spec.rollout.pod_template.host_pid)
    {
        (true, _) => &[],
        (false, false) => &["DAC_OVERRIDE", "FOWNER"],
        // To see which files the processes of the node have open.
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

/// The most memory that a pod takes, in bytes. Plugins are asked one after the other, and compiled before that, some at
/// a time.
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
        // A user who may change ConfigMaps may put another one in its place; then this pod does nothing.
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
            // Another NodeCleanup may run on the node at the same time; they take turns.
            arguments.push(format!("--wait={deadline}s"));
            arguments.push(format!("--time-limit={deadline}s"));
        }
        RolloutEngine::DaemonSet => {
            arguments.push(format!("--listen=0.0.0.0:{DAEMON_PORT}"));
            // Several daemons share the state of the node, and each has its own records.
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

/// Only pressure needs to know how large the filesystem is.
fn measures_images(manifest: &NodeCleanup) -> bool {
    manifest.spec.pressure.as_ref().is_some_and(|pressure| pressure.filesystem == Disk::Images)
}

/// The directory that pods may measure the image filesystem by, spelt in one way.
pub(super) fn image_root(manifest: &NodeCleanup) -> &str {
    manifest.spec.runtime.image_root.trim_end_matches('/')
}

/// The allowed directories that the log roots of a manifest are in.
fn log_roots_in<'a>(manifest: &NodeCleanup, allowed: &'a Allowed) -> Vec<&'a str> {
    let mut found = Vec::new();
    for directory in manifest.spec.log_roots.iter().filter_map(|root| allowed.log_root_over(&root.host_path)) {
        if !found.contains(&directory) {
            found.push(directory);
        }
    }
    found
}

/// The way from a pod to the runtime of its node.
pub(super) enum Reach<'a> {
    /// The path of the socket on the node.
    Socket(&'a str),
    /// Through all of `/run`.
    Run,
}

/// Returns how pods reach the runtime; none where no runtime is asked.
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
        // What only looks need not be able to write.
        let read_only = spec.mode == Mode::DryRun;
        let mut mount = VolumeMount::new(&name, &path, read_only, host(&root.host_path, "Directory"));
        // What the node mounts beneath it later shows in the pod, which then stays away from there.
        mount.mount["mountPropagation"] = "HostToContainer".into();
        mounts.push(mount);
    }
    // What the roots have to lie in, to find out in the pod that they do: of a link, the kubelet mounts what it leads to.
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

/// A pod that ends gets the socket alone. One that goes on gets its directory, because a runtime that is restarted makes
/// a new socket; what is mounted beneath it later shows in the pod, so that the pod keeps nothing mounted.
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
