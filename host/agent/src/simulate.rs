//! A simulated node as a server, for plugin authors and for crictl.
//!
//! Beside the socket, the server leaves a file that identifies it. A later server replaces a socket that a killed
//! server left behind, and no other.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use holystone_core::image::{Image, ImageId};
use holystone_core::snapshot::Snapshot;
use holystone_node::simulated::Flavour;
use holystone_node::{Endpoint, Faults, SimulatedNode};

use crate::error::UsageError;
use crate::{demo, files, recorded};

/// The repository of the images that are added to the default node.
const MANY: &str = "docker.io/minchou/many";

/// The node to serve, and the path of its socket.
#[derive(Clone, Debug)]
pub struct SimulationOptions {
    /// The path of the socket.
    pub socket: PathBuf,
    /// A recorded node instead of the default one; `-` is standard input.
    pub snapshot: Option<PathBuf>,
    /// The number of images of a default node.
    pub images: Option<usize>,
    /// The runtime whose behaviour is simulated, if it is not the recorded one.
    pub runtime: Option<Flavour>,
    /// A file with faults.
    pub faults: Option<PathBuf>,
}

/// A simulated node that is served on a socket.
pub struct Simulation {
    simulated: SimulatedNode,
    images: usize,
    own: OwnSocket,
}

impl Simulation {
    /// Starts a server for the node.
    ///
    /// # Errors
    /// When a file cannot be read, or something else is at the path of the socket.
    pub fn start(options: &SimulationOptions) -> anyhow::Result<Self> {
        let (snapshot, faults) = node(options)?;
        let images = snapshot.images.len();
        let own = OwnSocket::clear(&options.socket)?;
        let simulated = SimulatedNode::start(&options.socket, snapshot, faults)?;
        own.mark()?;
        Ok(Self { simulated, images, own })
    }

    /// Returns the number of images on the node.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Returns the socket.
    pub fn endpoint(&self) -> &Endpoint {
        self.simulated.endpoint()
    }

    /// Stops the server and removes the socket.
    pub fn end(self) {
        drop(self.simulated);
        self.own.remove();
    }
}

/// Builds the node that the options ask for.
fn node(options: &SimulationOptions) -> anyhow::Result<(Snapshot, Faults)> {
    let mut snapshot = match &options.snapshot {
        Some(path) => recorded::read_snapshot(path)?,
        None => sized(Snapshot::from_json(demo::NODE)?, options.images),
    };
    if let Some(runtime) = options.runtime {
        snapshot = of_runtime(snapshot, runtime);
    }
    let faults = match &options.faults {
        Some(path) => faults(path)?,
        None => Faults::none(),
    };
    Ok((snapshot.normalize(), faults))
}

fn faults(path: &Path) -> anyhow::Result<Faults> {
    let bytes = files::read(path, files::MAX_SNAPSHOT)
        .map_err(|error| UsageError::new(format!("--faults: {} {error}", path.display())))?;
    let faults = serde_json::from_slice(&bytes);
    Ok(faults.map_err(|error| UsageError::new(format!("--faults: {}: {error}", path.display())))?)
}

/// Resizes the node to so many images: first those in use, then its others, then generated ones of one repository.
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

/// Converts the node to what another runtime reports: CRI-O writes ids without the name of their algorithm.
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

/// A socket of this command, and the file beside it that identifies it.
struct OwnSocket {
    socket: PathBuf,
    mark: PathBuf,
}

impl OwnSocket {
    /// Removes a socket that a killed server left at the path.
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
            return Err(UsageError::new(format!("--socket: {place} {problem}")).into());
        }
        if std::os::unix::net::UnixStream::connect(socket).is_ok() {
            return Err(UsageError::new(format!("--socket: a simulated node is already served on {place}")).into());
        }
        std::fs::remove_file(socket).with_context(|| format!("--socket: {place}"))?;
        Ok(own)
    }

    /// Records the identity of the socket at the path.
    fn mark(&self) -> anyhow::Result<()> {
        let found = std::fs::symlink_metadata(&self.socket).with_context(|| self.socket.display().to_string())?;
        std::fs::write(&self.mark, identity(&found)).with_context(|| self.mark.display().to_string())
    }

    /// Removes the file beside the socket.
    fn remove(&self) {
        drop(std::fs::remove_file(&self.mark));
    }
}

/// Returns the identity of a socket, which no other socket at the same path shares.
fn identity(found: &std::fs::Metadata) -> String {
    format!("{}:{}:{}.{}", found.dev(), found.ino(), found.ctime(), found.ctime_nsec())
}
