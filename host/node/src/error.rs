//! What can go wrong between Holystone and a container runtime.
//!
//! One variant per thing that a person would do differently next, each with a sentence that says what to do.
//! Whatever the runtime itself said has been made fit to show before it gets in here.

use std::time::Duration;

use crate::endpoint::Endpoint;

/// Why a runtime could not be reached or asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The path does not exist.
    #[error(
        "no socket at {endpoint}: is the container runtime running, and is its directory mounted here? Name the socket with --endpoint if it is elsewhere"
    )]
    NoSocket {
        /// The socket.
        endpoint: Endpoint,
    },
    /// The path exists but may not be opened.
    #[error(
        "no permission to use {endpoint}: runtimes let only root (or the socket's group) in; run as root, or in a pod as user 0"
    )]
    Denied {
        /// The socket.
        endpoint: Endpoint,
    },
    /// The path is a file or a directory.
    #[error(
        "{endpoint} is {found}, not a socket: give the path of the socket itself, for example unix:///run/containerd/containerd.sock"
    )]
    NotASocket {
        /// The path.
        endpoint: Endpoint,
        /// What it is instead.
        found: &'static str,
    },
    /// A socket that no process has open.
    #[error(
        "nothing listens on {endpoint}: the socket is there but its runtime is not running; start the runtime, or, if it was restarted while this pod kept the old socket, mount the socket's directory instead of the socket"
    )]
    NobodyListens {
        /// The socket.
        endpoint: Endpoint,
    },
    /// Any other failure to connect.
    #[error("cannot connect to {endpoint}: {problem}")]
    Unreachable {
        /// The socket.
        endpoint: Endpoint,
        /// What the system said.
        problem: String,
    },
    /// Something listens that does not speak gRPC.
    #[error(
        "whatever listens on {endpoint} does not answer in gRPC ({problem}): give the socket of a container runtime, not for example docker.sock; if it is one, look at the runtime's log"
    )]
    NotGrpc {
        /// The socket.
        endpoint: Endpoint,
        /// What went wrong.
        problem: String,
    },
    /// A gRPC server without the container runtime interface.
    #[error(
        "{endpoint} speaks gRPC but does not offer CRI ({problem}): on containerd, take \"cri\" out of disabled_plugins in its config.toml (Docker's packages put it there) and restart it; if Docker is the runtime, give the socket of cri-dockerd"
    )]
    NoCri {
        /// The socket.
        endpoint: Endpoint,
        /// What the server said.
        problem: String,
    },
    /// A runtime that speaks only the version before v1.
    #[error(
        "the runtime at {endpoint} speaks only CRI v1alpha2, which Kubernetes dropped in 1.26: CRI v1 needs containerd 1.6 or newer, CRI-O 1.23 or newer, or cri-dockerd 0.3 or newer"
    )]
    OnlyAlpha {
        /// The socket.
        endpoint: Endpoint,
    },
    /// A call took too long.
    #[error(
        "{method} on {endpoint} did not answer within {after:?}: the runtime may be overloaded or stuck; look at its log, or allow more time"
    )]
    TimedOut {
        /// The socket.
        endpoint: Endpoint,
        /// The call, with its object.
        method: String,
        /// How long it was given.
        after: Duration,
    },
    /// A call failed.
    #[error("{method} on {endpoint} failed: {code}: {message}{}", after_tries(*.tries))]
    Call {
        /// The socket.
        endpoint: Endpoint,
        /// The call, with its object.
        method: String,
        /// The gRPC code's name, for example `Unavailable`.
        code: String,
        /// What the runtime said.
        message: String,
        /// How often it was tried.
        tries: u32,
    },
    /// A call was answered with something that cannot be worked with.
    #[error(
        "{method} on {endpoint} was answered with {problem}: nothing can be judged by that; please report it to the runtime's developers"
    )]
    Nonsense {
        /// The socket.
        endpoint: Endpoint,
        /// The call.
        method: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
}

fn after_tries(tries: u32) -> String {
    if tries > 1 { format!(" (tried {tries} times)") } else { String::new() }
}
