//! The node of this process: connecting to it, observing it and removing images from it.

use std::path::PathBuf;

use holystone_core::guard::Clearance;
use holystone_core::guard::images::Images;
use holystone_core::report::Outcome;
use holystone_core::snapshot::{Filesystem, Snapshot, share_figures};
use holystone_core::state::State;
use holystone_core::sweep::Attempt;
use holystone_node::{
    Clock, Cri, DiscoveryEnv, Endpoint, NodeError, Options, OwnDirectory, PathMapping, RootSpec, Visibility,
};
use jiff::Timestamp;

use crate::error::UsageError;
use crate::log_access::RootAccess;
use crate::{node_state, plugins};

/// The options to reach the node, and the location of its state.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// The node's name in reports; the host name by default.
    pub node_name: Option<String>,
    /// Uid of the pod that this process runs in; detected from mounts by default.
    pub pod_uid: Option<String>,
    /// Set when this pid namespace has all processes of the node.
    pub trust_pid_namespace: bool,
    /// The path at which this process sees a directory of the image filesystem.
    pub image_root: Option<PathMapping>,
    /// The path at which this process sees `/run` of the node, if it is not its own: `auto` then finds the runtime
    /// there.
    pub run_dir: Option<PathBuf>,
    /// The state directory, if it is not the default one.
    pub state_dir: Option<PathBuf>,
    /// Holystone's own directories besides the default ones; none of them becomes a log root.
    pub own_directories: Vec<OwnDirectory>,
}

/// A connected node, to observe and to clean.
pub(crate) struct LiveNode {
    /// The container runtime; `None` when the endpoint is `none`.
    pub(crate) cri: Option<Cri>,
    /// The log roots.
    pub(crate) logs: RootAccess,
    /// The node's name in reports.
    pub(crate) name: String,
    /// Uid of the pod that this process runs in; empty outside of pods.
    pub(crate) own_pod: String,
    /// The clock that dates the snapshots.
    pub(crate) clock: Clock,
}

/// The day of the build, in seconds since 1970: see the build script.
const BUILT: &str = env!("HOLYSTONE_BUILT");

impl LiveNode {
    /// Opens the log roots, finds the runtime's socket if the endpoint is `auto`, and connects to it.
    pub(crate) async fn connect(endpoint: &str, log_roots: &[RootSpec], options: &NodeOptions) -> anyhow::Result<Self> {
        let mut logs = RootAccess::open(log_roots, &own_directories(options))?;
        if options.trust_pid_namespace {
            logs.processes.visibility = Visibility::All;
        }
        if options.run_dir.is_some() && endpoint != "auto" {
            let problem = format!(
                "--run-dir has no effect with the endpoint {endpoint}; leave it out, or let the endpoint be auto"
            );
            return Err(UsageError::new(problem).into());
        }
        let endpoint = match endpoint {
            "none" => None,
            "auto" => Some(holystone_node::discover(&DiscoveryEnv::from_environment(options.run_dir.clone())).await?),
            given => Some(given.parse::<Endpoint>().map_err(|error| UsageError::new(format!("--endpoint: {error}")))?),
        };
        let cri_options = Options { image_root: options.image_root.clone(), ..Options::default() };
        let cri = match &endpoint {
            Some(endpoint) => {
                tracing::info!(%endpoint, "connecting");
                let cri = Cri::connect(endpoint, cri_options).await?;
                logs.keep_apart_from(&cri).await?;
                Some(cri)
            }
            None => None,
        };
        let pod_uid = options.pod_uid.clone().filter(|uid| !uid.is_empty());
        let own_pod = pod_uid.or_else(holystone_node::own_pod).unwrap_or_default();
        let clock = Clock::of_this_machine(built());
        Ok(Self { cri, logs, name: node_name(options), own_pod, clock })
    }

    /// Observes everything except the content of log directories.
    pub(crate) async fn observe(&self) -> Result<Snapshot, NodeError> {
        let now = self.clock.now();
        let mut snapshot = match &self.cri {
            Some(cri) => cri.observe(now, &self.name).await?,
            None => Snapshot::without_runtime(now, &self.name),
        };
        snapshot.filesystems.extend(self.logs.filesystems());
        Ok(self.named(snapshot.normalize()))
    }

    /// Observes the node again right before a removal, and completes the images from the state.
    pub(crate) async fn look(&self, state: &State) -> Result<Snapshot, NodeError> {
        let now = self.clock.now();
        let snapshot = match &self.cri {
            Some(cri) => cri.look(now, &self.name).await?,
            None => Snapshot::without_runtime(now, &self.name),
        };
        let mut snapshot = self.named(snapshot);
        state.recall(&mut snapshot);
        Ok(snapshot)
    }

    /// Measures the filesystems.
    pub(crate) async fn filesystems(&self) -> Result<Vec<Filesystem>, NodeError> {
        let mut filesystems = match &self.cri {
            Some(cri) => cri.filesystems().await?,
            None => Vec::new(),
        };
        filesystems.extend(self.logs.filesystems());
        filesystems.sort_by(|one, other| one.name.cmp(&other.name));
        share_figures(&mut filesystems);
        Ok(filesystems)
    }

    /// Removes an image. The future does not borrow the node, so any task can await it.
    pub(crate) fn removal(&self, clearance: Clearance<Images>) -> impl Future<Output = Attempt> + Send + use<> {
        let cri = self.cri.clone();
        async move {
            match cri {
                Some(cri) => cri.remove_image(clearance).await,
                None => Attempt::Over(Outcome::Failed("there is no container runtime to ask".to_owned())),
            }
        }
    }

    fn named(&self, mut snapshot: Snapshot) -> Snapshot {
        self.own_pod.clone_into(&mut snapshot.node.own_pod);
        snapshot.node.clock = self.clock.boot();
        snapshot
    }
}

/// Returns the day on which this program was built.
fn built() -> Timestamp {
    BUILT.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_default()
}

/// Lists Holystone's own directories, none of which may become a log root.
fn own_directories(options: &NodeOptions) -> Vec<OwnDirectory> {
    let state = node_state::directory(options.state_dir.as_deref()).ok().map(|path| ("the state directory", path));
    let cache = plugins::usual_cache().map(|path| ("the cache of compiled plugins", path));
    let usual = state.into_iter().chain(cache).map(|(what, path)| OwnDirectory { what: what.to_owned(), path });
    usual.chain(options.own_directories.iter().cloned()).collect()
}

/// Returns the node's name: the given one, or the host name.
pub(crate) fn node_name(options: &NodeOptions) -> String {
    match &options.node_name {
        Some(name) if !name.is_empty() => name.clone(),
        _ => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}
