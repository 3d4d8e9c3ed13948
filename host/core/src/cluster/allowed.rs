//! Limits of what a NodeCleanup may request from nodes. The administrator of the operator sets them, so the author of a
//! NodeCleanup need not be trusted with the nodes.

use crate::manifest::{self, Capability, NodeCleanup, PodTemplate, Problem};
use crate::text::is_harmful;

use super::pod::{self, Reach};

/// Well-known sockets of runtimes in `/run`. Pods that get all of `/run` search among them.
pub const RUN_SOCKETS: [&str; 5] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k0s/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
];

/// Lists of allowed values. Each one comes from an option of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Directories that are log roots, or contain them.
    pub log_roots: Vec<String>,
    /// Sockets of container runtimes.
    pub sockets: Vec<String>,
    /// Directories in which pods may create an empty one for measuring a filesystem.
    pub image_roots: Vec<String>,
    /// Priority classes of pods.
    pub priority_classes: Vec<String>,
    /// Set when plugins may read the content of log files.
    pub log_content: bool,
    /// Service accounts that pods may have.
    pub service_accounts: Vec<String>,
    /// SELinux types that pods may run as.
    pub selinux_types: Vec<String>,
    /// Annotations that pods may have: keys, or prefixes of keys that end with `/*`.
    pub pod_annotations: Vec<String>,
    /// Set when pods may share the process ids of their node.
    pub host_pid: bool,
}

/// A list of allowed values, as messages describe it.
struct List {
    /// Name of its entries.
    what: &'static str,
    /// Option of the operator.
    option: &'static str,
    /// Value of the chart.
    value: &'static str,
}

/// The list of log roots.
const LOG_ROOTS: List = List { what: "log roots", option: "--allow-log-roots", value: "allowed.logRoots" };
/// The list of sockets.
const SOCKETS: List = List { what: "sockets", option: "--allow-sockets", value: "allowed.sockets" };
/// The list of image roots.
const IMAGE_ROOTS: List = List { what: "image roots", option: "--allow-image-roots", value: "allowed.imageRoots" };
/// The list of priority classes.
const PRIORITY_CLASSES: List =
    List { what: "priority classes", option: "--allow-priority-classes", value: "allowed.priorityClasses" };

/// The list of service accounts.
const SERVICE_ACCOUNTS: List =
    List { what: "service accounts", option: "--allow-service-accounts", value: "allowed.serviceAccounts" };
/// The list of SELinux types.
const SELINUX_TYPES: List =
    List { what: "types of SELinux", option: "--allow-selinux-types", value: "allowed.seLinuxTypes" };
/// The list of annotations.
const POD_ANNOTATIONS: List =
    List { what: "annotations of pods", option: "--allow-pod-annotations", value: "allowed.podAnnotations" };

impl List {
    /// Formats the message for a value that is not in the list, with advice.
    fn lacks(&self, listed: &[String], wanted: &str) -> String {
        let Self { what, option, value } = self;
        let now = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
        format!(
            "is not among the {what} that the operator allows ({now}); its administrator can add {wanted} to its \
             option {option} (in the chart {value})"
        )
    }
}

impl Default for Allowed {
    /// Allows the system's directory of logs, runtimes at their usual places, and no content of files.
    fn default() -> Self {
        let owned = |list: &[&str]| list.iter().copied().map(str::to_owned).collect();
        Self {
            log_roots: owned(&["/var/log"]),
            sockets: owned(&[
                "/run/containerd/containerd.sock",
                "/var/run/containerd/containerd.sock",
                "/run/k3s/containerd/containerd.sock",
                "/run/k0s/containerd.sock",
                "/var/snap/microk8s/common/run/containerd.sock",
                "/run/crio/crio.sock",
                "/var/run/crio/crio.sock",
                "/run/cri-dockerd.sock",
                "/var/run/cri-dockerd.sock",
            ]),
            image_roots: owned(&[
                "/var/lib/containerd",
                "/var/lib/rancher/k3s/agent/containerd",
                "/var/lib/rancher/rke2/agent/containerd",
                "/var/lib/k0s/containerd",
                "/var/snap/microk8s/common/var/lib/containerd",
                "/var/lib/containers",
                "/var/lib/containers/storage",
                "/var/lib/docker",
            ]),
            priority_classes: owned(&["system-node-critical"]),
            log_content: false,
            service_accounts: Vec::new(),
            selinux_types: Vec::new(),
            pod_annotations: Vec::new(),
            host_pid: false,
        }
    }
}

impl Allowed {
    /// Finds everything that a manifest requests from nodes and that is not allowed.
    pub fn problems(&self, manifest: &NodeCleanup) -> Vec<Problem> {
        let spec = &manifest.spec;
        let mut problems = Vec::new();
        let mut add = |path: &str, message: String| problems.push(Problem::new(None, path, message));
        for (index, root) in spec.log_roots.iter().enumerate() {
            if self.log_root_over(&root.host_path).is_none() {
                let message = LOG_ROOTS.lacks(&self.log_roots, &root.host_path);
                add(&format!("spec.logRoots[{index}].hostPath"), message);
            }
        }
        let lacks = |socket: &str| !self.sockets.iter().any(|allowed| allowed == socket);
        match pod::reach(manifest) {
            Some(Reach::Socket(socket)) if lacks(socket) => {
                add("spec.runtime.endpoint", SOCKETS.lacks(&self.sockets, socket));
            }
            // Pods that see all sockets use any of them that answers.
            Some(Reach::Run) => {
                if let Some(socket) = RUN_SOCKETS.into_iter().find(|socket| lacks(socket)) {
                    add(
                        "spec.runtime.mount",
                        format!("needs {socket}, which {}", SOCKETS.lacks(&self.sockets, socket)),
                    );
                }
            }
            _ => {}
        }
        let image_root = pod::image_root(manifest);
        if !self.image_roots.iter().any(|allowed| allowed == image_root) {
            add("spec.runtime.imageRoot", IMAGE_ROOTS.lacks(&self.image_roots, image_root));
        }
        let class = &spec.rollout.priority_class_name;
        if !self.priority_classes.contains(class) {
            add("spec.rollout.priorityClassName", PRIORITY_CLASSES.lacks(&self.priority_classes, class));
        }
        for (index, plugin) in spec.plugins.iter().enumerate() {
            if plugin.capabilities.contains(&Capability::LogContent) && !self.log_content {
                let message = "may not have log-content, because the operator does not allow plugins to read files; \
                               its administrator can do so by its option --allow-log-content (in the chart \
                               allowed.logContent)";
                add(&format!("spec.plugins[{index}].capabilities"), message.to_owned());
            }
        }
        problems.extend(self.pod_problems(&spec.rollout.pod_template));
        problems
    }

    /// Finds everything that a manifest requests for its pods and that is not allowed.
    fn pod_problems(&self, template: &PodTemplate) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |field: &str, message: String| {
            problems.push(Problem::new(None, &format!("spec.rollout.podTemplate.{field}"), message));
        };
        if let Some(name) = template.service_account_name.as_ref().filter(|name| !self.service_accounts.contains(name))
        {
            add("serviceAccountName", SERVICE_ACCOUNTS.lacks(&self.service_accounts, name));
        }
        if let Some(options) = template.se_linux_options.as_ref().filter(|it| !self.selinux_types.contains(&it.kind)) {
            add("seLinuxOptions.type", SELINUX_TYPES.lacks(&self.selinux_types, &options.kind));
        }
        for key in template.annotations.keys().filter(|key| !self.has_annotation(key)) {
            add("annotations", format!("{key} {}", POD_ANNOTATIONS.lacks(&self.pod_annotations, key)));
        }
        if template.host_pid && !self.host_pid {
            let message = "may not be true, because the operator does not allow pods to share the process ids of their \
                           nodes; its administrator can do so by its option --allow-host-pid (in the chart \
                           allowed.hostPID)";
            add("hostPID", message.to_owned());
        }
        problems
    }

    fn has_annotation(&self, key: &str) -> bool {
        let is = |allowed: &String| match allowed.strip_suffix('*') {
            Some(beginning) => beginning.ends_with('/') && key.starts_with(beginning),
            None => allowed == key,
        };
        self.pod_annotations.iter().any(is)
    }

    /// Returns the listed directory that is a log root, or contains it.
    pub(super) fn log_root_over(&self, host_path: &str) -> Option<&str> {
        if !is_plain_path(host_path.strip_suffix('/').unwrap_or(host_path)) {
            return None;
        }
        self.log_roots.iter().map(String::as_str).find(|allowed| is_or_lies_beneath(host_path, allowed))
    }
}

/// Returns whether a path is a directory, or lies under it.
fn is_or_lies_beneath(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns whether a path is absolute, below `/`, and without redundant parts.
pub fn is_plain_path(path: &str) -> bool {
    let is_plain = |path: &str| path.split('/').all(|part| !["", ".", ".."].contains(&part));
    path.strip_prefix('/').is_some_and(is_plain) && !path.contains(is_harmful)
}

/// Returns whether a text is an entry of [`Allowed::pod_annotations`].
pub fn is_annotation_pattern(text: &str) -> bool {
    text.strip_suffix("/*").map_or_else(|| manifest::is_label_key(text), manifest::is_object_name)
}
