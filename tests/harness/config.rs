//! The configuration of a private containerd: everything it would put in a shared place goes beneath one directory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::requirements::Version;

/// The image of every pod sandbox.
pub(crate) const PAUSE: &str = "localhost/pause:1";
/// The socket of a node's containerd, beneath the node's directory.
pub(crate) const NODE_SOCKET: &str = "run/containerd/containerd.sock";

/// The places of one private containerd.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Beneath which everything lies.
    pub(crate) base: PathBuf,
    /// For the containerd of a Kubernetes node: the directory of the plugins that give pods a network.
    pub(crate) network_plugins: Option<PathBuf>,
}

impl Places {
    /// What containerd keeps: content, snapshots, metadata.
    pub(crate) fn root(&self) -> PathBuf {
        self.base.join("root")
    }

    /// What lives as long as the machine runs: tasks, mounts.
    pub(crate) fn state(&self) -> PathBuf {
        self.base.join("state")
    }

    /// The CRI socket. The name is short because a socket's path must stay below 108 bytes, and containerd makes
    /// a second one beside it with `.ttrpc` added. A node sees `run` as its `/run`, and so the socket at its usual place.
    pub(crate) fn socket(&self) -> PathBuf {
        let name = if self.network_plugins.is_some() { NODE_SOCKET } else { "c.sock" };
        self.base.join(name)
    }

    /// Where the shims have runc keep its state, in place of the `/run/containerd/runc` of all containerds.
    pub(crate) fn runc(&self) -> PathBuf {
        self.base.join("runc")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.base.join("config.toml")
    }

    /// What the daemon prints.
    pub(crate) fn log(&self) -> PathBuf {
        self.base.join("containerd.log")
    }

    /// Where container logs go. A node sees `log` as its `/var/log`.
    pub(crate) fn pod_logs(&self) -> PathBuf {
        self.base.join(if self.network_plugins.is_some() { "log/pods" } else { "pods" })
    }

    /// Where the networks of pods are described.
    pub(crate) fn networks(&self) -> PathBuf {
        self.base.join("cni")
    }

    /// Where the plugins that make these networks are: nowhere, unless for a node.
    fn network_plugins(&self) -> PathBuf {
        self.network_plugins.clone().unwrap_or_else(|| self.base.join("cni-bin"))
    }

    /// Where images wait to be imported.
    pub(crate) fn archives(&self) -> PathBuf {
        self.base.join("archives")
    }
}

/// The configuration file for a containerd of that version.
pub(crate) fn render(places: &Places, version: Version) -> String {
    let mut text = String::new();
    let format = if version.major >= 2 { 3 } else { 2 };
    line(&mut text, &format!("version = {format}"));
    line(&mut text, &format!("root = {}", quoted(&places.root())));
    line(&mut text, &format!("state = {}", quoted(&places.state())));
    // Not needed here, and each would probe the machine or write to a place that all containerds share.
    line(
        &mut text,
        "disabled_plugins = [\"io.containerd.snapshotter.v1.aufs\", \"io.containerd.snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.zfs\", \"io.containerd.nri.v1.nri\"]",
    );
    line(&mut text, "[grpc]");
    line(&mut text, &format!("address = {}", quoted(&places.socket())));
    line(&mut text, "[plugins.\"io.containerd.internal.v1.opt\"]");
    line(&mut text, &format!("path = {}", quoted(&places.base.join("opt"))));
    if version.major >= 2 {
        second_generation(&mut text, places, version);
    } else {
        first_generation(&mut text, places);
    }
    text
}

/// The CRI plugin of containerd 1.
fn first_generation(text: &mut String, places: &Places) {
    let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
    line(text, &format!("[{cri}]"));
    line(text, &format!("sandbox_image = \"{PAUSE}\""));
    restrict_oom_score(text);
    line(text, &format!("[{cri}.cni]"));
    line(text, &format!("bin_dir = {}", quoted(&places.network_plugins())));
    line(text, &format!("conf_dir = {}", quoted(&places.networks())));
    line(text, &format!("[{cri}.containerd]"));
    line(text, "snapshotter = \"overlayfs\"");
    runc_runtime(text, cri, places);
}

/// The CRI plugins of containerd 2.
fn second_generation(text: &mut String, places: &Places, version: Version) {
    let runtime = "plugins.\"io.containerd.cri.v1.runtime\"";
    let images = "plugins.\"io.containerd.cri.v1.images\"";
    line(text, &format!("[{images}]"));
    line(text, "snapshotter = \"overlayfs\"");
    line(text, &format!("[{images}.pinned_images]"));
    line(text, &format!("sandbox = \"{PAUSE}\""));
    line(text, &format!("[{runtime}]"));
    restrict_oom_score(text);
    line(text, &format!("[{runtime}.cni]"));
    let binaries = quoted(&places.network_plugins());
    if version.minor >= 1 {
        line(text, &format!("bin_dirs = [{binaries}]"));
    } else {
        line(text, &format!("bin_dir = {binaries}"));
    }
    line(text, &format!("conf_dir = {}", quoted(&places.networks())));
    runc_runtime(text, runtime, places);
}

/// Without `CAP_SYS_RESOURCE`, runc cannot lower a sandbox's OOM score and fails with "can't get final child's PID".
fn restrict_oom_score(text: &mut String) {
    line(text, "restrict_oom_score_adj = true");
}

/// The runtime, with runc's state in a place of its own.
fn runc_runtime(text: &mut String, plugin: &str, places: &Places) {
    line(text, &format!("[{plugin}.containerd.runtimes.runc]"));
    line(text, "runtime_type = \"io.containerd.runc.v2\"");
    line(text, &format!("[{plugin}.containerd.runtimes.runc.options]"));
    line(text, &format!("Root = {}", quoted(&places.runc())));
}

/// Adds one line.
fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content}");
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    let escaped = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(major: u32, minor: u32) -> String {
        render(&Places { base: PathBuf::from("/tmp/x"), network_plugins: None }, Version { major, minor })
    }

    #[test]
    fn each_generation_gets_its_own_format() {
        assert!(rendered(1, 6).contains("version = 2\n"));
        assert!(rendered(1, 7).contains("sandbox_image = \"localhost/pause:1\""));
        assert!(rendered(2, 4).contains("version = 3\n"));
        assert!(rendered(2, 4).contains("bin_dirs = ["));
        assert!(rendered(2, 0).contains("bin_dir = "));
    }

    #[test]
    fn nothing_lies_outside_the_directory() {
        for text in [rendered(1, 6), rendered(2, 4)] {
            for path in text.split('"').filter(|word| word.starts_with('/')) {
                assert!(path.starts_with("/tmp/x/"), "{path}");
            }
        }
    }
}
