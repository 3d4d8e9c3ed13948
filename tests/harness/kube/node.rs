//! A node: a containerd and a kubelet in a room of their own.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::containerd::Containerd;
use crate::kube::control_plane::ControlPlane;
use crate::kube::daemon::Daemon;
use crate::kube::network::{connect, describe_pods, node_address};
use crate::kube::parts::Parts;
use crate::kube::room::Room;
use crate::program::pause_image;

/// What makes a room a node's, beneath the node's directory. Where programs write to a place that is the same for all
/// machines, this node has its own: `/run`, `/var/log`, `/var/lib`, and the settings of the kernel that a kubelet changes.
/// As on a machine, what is mounted later is seen by containers that ask for it.
const NODE: &str = r#"
    mount --make-rshared /
    mkdir -p "$1/run/containerd" "$1/log" "$1/lib"
    mount --bind "$1/log" /var/log
    mount --bind "$1/lib" /var/lib
    cd /proc/sys
    for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_max*; do
        mkdir -p "$1/settings/${setting%/*}"
        cp "$setting" "$1/settings/$setting"
        mount --bind "$1/settings/$setting" "$setting"
    done
    ip link set lo up
    mount --bind "$1/run" /run
"#;

/// A node of a cluster.
#[derive(Debug)]
pub struct Node {
    name: String,
    kubelet: Daemon,
    containerd: Containerd,
    _room: Room,
}

impl Node {
    /// Starts one; it is ready some seconds later.
    pub(crate) async fn start(
        plane: &ControlPlane,
        parts: &Parts,
        parent: &Path,
        index: usize,
    ) -> anyhow::Result<Self> {
        let name = format!("node-{}", if index == 1 { "a" } else { "b" });
        // Each has another containerd, if there are several.
        let tools = &parts.containerds[(index - 1) % parts.containerds.len()];
        let mut containerd = Containerd::prepare(tools, parent, Some(parts.network_plugins.clone()))?;
        describe_pods(&containerd.networks(), index)?;
        let room = Room::open(&["--net", "--mount", "--propagation", "private"], NODE, containerd.directory())?;
        connect(&plane.room, &room, &name, index)?;
        containerd.run_by(room.entering());
        containerd.resume().await?;
        containerd.import(&[pause_image()?]).await?;
        let kubelet = kubelet(plane, &parts.kube, &room, &containerd, &name, &node_address(index))?;
        Ok(Self { name, kubelet, containerd, _room: room })
    }

    /// What the cluster calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its containerd. Its socket is in the directory that the node's pods see as `/run/containerd`.
    pub fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    /// Its containerd, to be stopped and started.
    pub fn containerd_mut(&mut self) -> &mut Containerd {
        &mut self.containerd
    }

    /// Its kubelet.
    pub(crate) fn kubelet(&mut self) -> &mut Daemon {
        &mut self.kubelet
    }

    /// That its kubelet has not ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.kubelet.check().with_context(|| format!("on {}", self.name))
    }

    /// Ends everything on it.
    pub(crate) fn close(mut self) -> anyhow::Result<()> {
        self.kubelet.kill();
        self.containerd.close()
    }
}

/// Starts a node's kubelet.
fn kubelet(
    plane: &ControlPlane,
    kube: &Path,
    room: &Room,
    containerd: &Containerd,
    name: &str,
    address: &str,
) -> anyhow::Result<Daemon> {
    let base = containerd.directory();
    let (config, names) = (base.join("kubelet.json"), base.join("resolv.conf"));
    // There is nobody to ask for names: that nobody answers is known at once.
    fs::write(&names, "nameserver 127.0.0.1\n").context("write a resolv.conf")?;
    let settings = configuration(&containerd.endpoint(), address, &names);
    fs::write(&config, settings.to_string()).context("write the kubelet's configuration")?;
    let mut command = room.entering();
    command.extend([kube.as_os_str().to_owned(), "kubelet".into()]);
    let kubeconfig = plane.files.kubeconfig(&format!("system:node:{name}"));
    command.extend([
        format!("--config={}", config.display()).into(),
        format!("--kubeconfig={}", kubeconfig.display()).into(),
        format!("--hostname-override={name}").into(),
        format!("--node-ip={address}").into(),
    ]);
    Daemon::start("kubelet", command, base.join("kubelet.log"))
}

/// The kubelet's configuration. It leaves the machine's cgroups and swap as they are, removes no pod and no image because
/// of a full disk, and lets whoever reaches it ask it, which only the cluster can.
fn configuration(containerd: &str, address: &str, names: &Path) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": containerd,
        "address": address,
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "cgroupDriver": "cgroupfs",
        "clusterDNS": ["127.0.0.1"],
        // Two kubelets with cgroups for pods would each take the other's for orphans.
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": false,
        "nodeLeaseDurationSeconds": 8,
        "nodeStatusUpdateFrequency": "2s",
        "resolvConf": names,
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    })
}
