//! The edge to one node: what Holystone sees of it and does to it.
//!
//! [`endpoint`] finds the container runtime's socket, [`cri`] speaks with the runtime behind it, [`simulated`] is a
//! node in memory that answers the same way. The only thing here that deletes is [`cri::Cri::remove_image`], and it
//! takes a [`Clearance`](holystone_core::guard::Clearance), which only the guard rails can make.
//! Nothing here decides anything: what to remove is settled elsewhere.

pub mod cri;
pub mod endpoint;
pub mod error;
mod filesystem;
pub mod simulated;

pub use cri::{Attempt, Cri, Options};
pub use endpoint::{Endpoint, EndpointError, Surroundings, discover};
pub use error::NodeError;
pub use simulated::{Faults, SimulatedNode};
