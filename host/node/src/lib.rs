//! The interface to one node: observation and removal.
//!
//! [`discovery`] finds the container runtime's socket, and [`cri`] calls the runtime behind it. [`simulated`] is a node
//! in memory that answers the same way. [`state_dir`] keeps the state of the node and the lock that keeps runs apart.
//! [`own_pod`](own_pod()) finds the pod of this process. [`logs`] walks log directories. Images and log files are
//! deleted only by [`cri::Cri::remove_image`] and [`logs::LogRoots::perform`], which take a
//! [`Clearance`](holystone_core::guard::Clearance) that only the guard rails can make, and by
//! [`logs::LogRoots::recover`], which finishes interrupted removals. This crate does not choose removals.

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
