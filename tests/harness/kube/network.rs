//! The network of a cluster. The control plane and each node have one of their own, as different machines do, and the
//! control plane's connects them with each other and with this machine:
//!
//! ```text
//! this machine 198.18.N.1 ── 198.18.N.2 control plane 10.97.I.1 ── 10.97.I.2 node I, its pods in 10.244.I.0/24
//! ```
//!
//! The API server listens in the control plane's on port 443 of every address. One of them is that of the service
//! `kubernetes`: pods reach it without anything that translates addresses. No other service has an address that works.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::kube::room::Room;

/// The addresses of services.
pub(crate) const SERVICES: &str = "10.96.0.0/24";
/// The service `kubernetes` is the first of them.
pub(crate) const API_SERVICE: &str = "10.96.0.1";

/// What makes a control plane's network, within its room.
const CONTROL_PLANE: &str = "
    ip link set lo up
    ip address add 10.96.0.1/32 dev lo
    echo 1 >/proc/sys/net/ipv4/ip_forward
";

/// The connection of one cluster with this machine. The kernel removes it with the control plane's network; dropping it
/// does so at once.
#[derive(Debug)]
pub(crate) struct Uplink {
    /// Which one of this machine's it is.
    number: u8,
}

impl Uplink {
    /// Makes the control plane's network and connects it.
    pub(crate) fn open() -> anyhow::Result<(Room, Self)> {
        let room = Room::open(&["--net"], CONTROL_PLANE, Path::new("/"))?;
        // The range is for measuring networks: nobody has it in use.
        for number in 0..=u8::MAX {
            let peer = room.holder();
            match ip(&[], &format!("link add holystone{number} type veth peer name eth0 netns {peer}")) {
                // Another cluster's. Names are unique, and so are the addresses that come with them.
                Err(error) if error.to_string().contains("File exists") => continue,
                other => other?,
            }
            let uplink = Self { number };
            ip(&[], &format!("address add 198.18.{number}.1/30 dev holystone{number}"))?;
            ip(&[], &format!("link set holystone{number} up"))?;
            ip(&room.entering(), &format!("address add {}/30 dev eth0", uplink.address()))?;
            ip(&room.entering(), "link set eth0 up")?;
            ip(&room.entering(), &format!("route add default via 198.18.{number}.1"))?;
            return Ok((room, uplink));
        }
        bail!("this machine has 256 clusters already")
    }

    /// The control plane's address, as this machine sees it.
    pub(crate) fn address(&self) -> String {
        format!("198.18.{}.2", self.number)
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        // Fails where the control plane's network is gone, and with it the connection.
        let _ = ip(&[], &format!("link delete holystone{}", self.number));
    }
}

/// A node's address.
pub(crate) fn node_address(index: usize) -> String {
    format!("10.97.{index}.2")
}

/// Connects a node's network with the control plane's.
pub(crate) fn connect(control_plane: &Room, node: &Room, name: &str, index: usize) -> anyhow::Result<()> {
    let (outer, inner) = (control_plane.entering(), node.entering());
    let (router, address) = (format!("10.97.{index}.1"), node_address(index));
    ip(&outer, &format!("link add {name} type veth peer name eth0 netns {}", node.holder()))?;
    ip(&outer, &format!("address add {router}/24 dev {name}"))?;
    ip(&outer, &format!("link set {name} up"))?;
    ip(&inner, &format!("address add {address}/24 dev eth0"))?;
    ip(&inner, "link set eth0 up")?;
    ip(&inner, &format!("route add default via {router}"))?;
    ip(&outer, &format!("route add 10.244.{index}.0/24 via {address}"))
}

/// Describes the network of a node's pods to its containerd.
pub(crate) fn describe_pods(directory: &Path, index: usize) -> anyhow::Result<()> {
    let addresses = json!({
        "type": "host-local",
        "ranges": [[{ "subnet": format!("10.244.{index}.0/24") }]],
        "routes": [{ "dst": "0.0.0.0/0" }],
    });
    let bridge = json!({ "type": "bridge", "bridge": "pods", "isGateway": true, "ipam": addresses });
    let network = json!({ "cniVersion": "0.4.0", "name": "pods", "plugins": [bridge] });
    fs::write(directory.join("pods.conflist"), network.to_string()).context("describe the network of pods")
}

/// Runs `ip`, with its arguments as they would be typed.
fn ip(prefix: &[OsString], arguments: &str) -> anyhow::Result<()> {
    let mut words = prefix.to_vec();
    words.push("ip".into());
    let output = Command::new(&words[0])
        .args(&words[1..])
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .output()
        .context("run ip")?;
    if !output.status.success() {
        bail!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
