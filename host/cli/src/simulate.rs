//! `holystone simulate`: a simulated node as a server, for plugin authors, and for crictl to look at.
//!
//! Beside the socket it leaves a file that says which socket is its own, so that it replaces one that a killed server
//! left behind, and no other.

use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use holystone_core::image::{Image, ImageId};
use holystone_core::snapshot::Snapshot;
use holystone_node::simulated::Flavour;
use holystone_node::{Faults, SimulatedNode};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::SimulateArguments;
use crate::demo;
use crate::exit::{Exit, Usage};
use crate::files;
use crate::observe;

/// What the images that are added to the usual node are called.
const MANY: &str = "docker.io/minchou/many";

/// Serves a node until SIGTERM or SIGINT, and takes its socket away.
pub(crate) async fn simulate(arguments: &SimulateArguments) -> anyhow::Result<Exit> {
    let (snapshot, faults) = node(arguments)?;
    let images = snapshot.images.len();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let own = OwnSocket::clear(&arguments.socket)?;
    let simulated = SimulatedNode::start(&arguments.socket, snapshot, faults)?;
    own.mark()?;
    writeln!(std::io::stdout(), "{images} images are served on {}", simulated.endpoint())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(simulated);
    own.remove();
    Ok(Exit::Done)
}

/// The node that the arguments ask for.
fn node(arguments: &SimulateArguments) -> anyhow::Result<(Snapshot, Faults)> {
    let recorded = arguments.snapshot.as_deref().map(observe::recorded).transpose()?;
    let mut snapshot = match recorded {
        Some(snapshot) => snapshot,
        None => sized(Snapshot::from_json(demo::NODE)?, arguments.images),
    };
    if let Some(runtime) = arguments.runtime {
        snapshot = of_runtime(snapshot, runtime.into());
    }
    let faults = match &arguments.faults {
        Some(path) => faults(path)?,
        None => Faults::none(),
    };
    Ok((snapshot.normalize(), faults))
}

fn faults(path: &Path) -> anyhow::Result<Faults> {
    let bytes = files::read(path, files::MAX_SNAPSHOT)
        .map_err(|error| Usage(format!("--faults: {} {error}", path.display())))?;
    let faults = serde_json::from_slice(&bytes);
    Ok(faults.map_err(|error| Usage(format!("--faults: {}: {error}", path.display())))?)
}

/// The node with so many images: first those that are in use, then its others, then more of one repository.
fn sized(mut snapshot: Snapshot, images: Option<usize>) -> Snapshot {
    let Some(wanted) = images else { return snapshot };
    let usage = holystone_core::usage::Usage::of(&snapshot);
    let mut used: Vec<bool> = (0..snapshot.images.len()).map(|place| !usage.users(place).is_empty()).collect();
    let mut room = wanted.saturating_sub(used.iter().filter(|used| **used).count());
    for kept in &mut used {
        if !*kept && room > 0 {
            (*kept, room) = (true, room - 1);
        }
    }
    let mut kept = used.into_iter();
    snapshot.images.retain(|_| kept.next().unwrap_or(false));
    let Some(model) = snapshot.images.first().cloned() else { return snapshot };
    snapshot.images.extend((0..room).map(|number| Image {
        id: ImageId::new(format!("sha256:{number:064x}")),
        repo_tags: vec![format!("{MANY}:v{number}")],
        repo_digests: Vec::new(),
        pinned: false,
        ..model.clone()
    }));
    snapshot
}

/// The node as another runtime shows it: CRI-O writes ids without the name of their algorithm.
fn of_runtime(mut snapshot: Snapshot, flavour: Flavour) -> Snapshot {
    let (name, version) = match flavour {
        Flavour::Containerd => ("containerd", "2.4.2"),
        Flavour::CriO => ("cri-o", "1.37.0"),
        Flavour::Docker => ("docker", "20.10.24"),
    };
    name.clone_into(&mut snapshot.node.runtime_name);
    version.clone_into(&mut snapshot.node.runtime_version);
    if flavour != Flavour::CriO {
        return snapshot;
    }
    let bare = |id: &mut String| {
        if let Some(hex) = id.strip_prefix("sha256:") {
            *id = hex.to_owned();
        }
    };
    for image in &mut snapshot.images {
        image.id = ImageId::new(image.id.hex());
    }
    for container in &mut snapshot.containers {
        let mentions = &mut container.image;
        [&mut mentions.image_id, &mut mentions.image_ref, &mut mentions.image].into_iter().for_each(bare);
        container.image_volumes.iter_mut().for_each(bare);
    }
    snapshot
}

/// A socket of this command, and the file beside it that says which one it is.
struct OwnSocket {
    socket: PathBuf,
    mark: PathBuf,
}

impl OwnSocket {
    /// Takes away what a killed server left at the path.
    ///
    /// # Errors
    /// When something else is there.
    fn clear(socket: &Path) -> anyhow::Result<Self> {
        let mut mark = socket.as_os_str().to_owned();
        mark.push(".simulated");
        let own = Self { socket: socket.to_owned(), mark: mark.into() };
        let found = match std::fs::symlink_metadata(socket) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(own),
            Err(error) => return Err(error).with_context(|| format!("--socket: {}", socket.display())),
        };
        let place = socket.display();
        let marked = std::fs::read_to_string(&own.mark).ok();
        let is_own = found.file_type().is_socket() && marked.as_deref() == Some(identity(&found).as_str());
        if !is_own {
            let problem = "is there already, and no socket that holystone simulate left behind; name another path, or remove it if nothing uses it";
            return Err(Usage(format!("--socket: {place} {problem}")).into());
        }
        if std::os::unix::net::UnixStream::connect(socket).is_ok() {
            return Err(Usage(format!("--socket: a simulated node is already served on {place}")).into());
        }
        std::fs::remove_file(socket).with_context(|| format!("--socket: {place}"))?;
        Ok(own)
    }

    /// Notes which socket is at the path now.
    fn mark(&self) -> anyhow::Result<()> {
        let found = std::fs::symlink_metadata(&self.socket).with_context(|| self.socket.display().to_string())?;
        std::fs::write(&self.mark, identity(&found)).with_context(|| self.mark.display().to_string())
    }

    /// Forgets it.
    fn remove(&self) {
        drop(std::fs::remove_file(&self.mark));
    }
}

/// What tells a socket from another at the same path.
fn identity(found: &std::fs::Metadata) -> String {
    format!("{}:{}:{}.{}", found.dev(), found.ino(), found.ctime(), found.ctime_nsec())
}
