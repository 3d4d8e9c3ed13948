//! The edge to one node: what Holystone sees of it and does to it.
//!
//! [`discovery`] finds the container runtime's socket, [`cri`] speaks with the runtime behind it, [`simulated`] is a
//! node in memory that answers the same way. [`state_dir`] keeps what is remembered of the node, and the lock by which
//! runs make way for each other; [`own_pod`](own_pod()) tells where this process itself runs. [`logs`] walks log directories.
//! The only things here that delete are [`cri::Cri::remove_image`] and [`logs::LogRoots::perform`], and they take a
//! [`Clearance`](holystone_core::guard::Clearance),
//! which only the guard rails can make.
//! Nothing here decides anything: what to remove is settled elsewhere.

mod clock;
pub mod cri;
pub mod discovery;
pub mod endpoint;
pub mod error;
mod filesystem;
pub mod logs;
mod mounts;
mod self_pod;
pub mod simulated;
pub mod state_dir;

pub use clock::Clock;
pub use cri::{Cri, Options};
pub use discovery::{DiscoveryEnv, DiscoveryError, discover};
pub use endpoint::{Endpoint, MalformedEndpoint};
pub use error::NodeError;
pub use filesystem::PathMapping;
pub use logs::{
    LogRoots, OpenFiles, OwnDirectory, Performed, Processes, Recovered, RootError, RootReader, RootSpec,
    RuntimeDirectories, Visibility, WalkLimits,
};
pub use self_pod::own_pod;
pub use simulated::{Faults, SimulatedNode};
pub use state_dir::{Found, Lock, StateDir, StateDirError};
