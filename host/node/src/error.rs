//! The errors between Holystone and a container runtime.
//!
//! Each variant calls for a different next step, and its sentence names that step.
//! The text of a runtime is sanitized before it enters an error.

use std::time::Duration;

use crate::endpoint::Endpoint;

/// The reason why a runtime could not be reached or asked.
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
    /// The socket, or a directory above it, is not accessible to this process.
    #[error(
        "no permission to use {endpoint}: runtimes let only root (or the socket's group) in; run as root, or in a pod as user 0"
    )]
    Denied {
        /// The socket.
        endpoint: Endpoint,
    },
    /// The path is a directory, an ordinary file or another file that is not a socket.
    #[error(
        "{endpoint} is {found}, not a socket: give the path of the socket itself, for example unix:///run/containerd/containerd.sock"
    )]
    NotASocket {
        /// The path.
        endpoint: Endpoint,
        /// The kind of file found at the path.
        found: &'static str,
    },
    /// No process listens on the socket.
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
        /// The operating system's message.
        problem: String,
    },
    /// The listening process does not speak gRPC.
    #[error(
        "whatever listens on {endpoint} does not answer in gRPC ({problem}): give the socket of a container runtime, not for example docker.sock; if it is one, look at the runtime's log"
    )]
    NotGrpc {
        /// The socket.
        endpoint: Endpoint,
        /// The transport's message.
        problem: String,
    },
    /// The gRPC server does not offer the container runtime interface.
    #[error(
        "{endpoint} speaks gRPC but does not offer CRI ({problem}): on containerd, take \"cri\" out of disabled_plugins in its config.toml (Docker's packages put it there) and restart it; if Docker is the runtime, give the socket of cri-dockerd"
    )]
    NoCri {
        /// The socket.
        endpoint: Endpoint,
        /// The server's message.
        problem: String,
    },
    /// The runtime speaks only CRI v1alpha2.
    #[error(
        "the runtime at {endpoint} speaks only CRI v1alpha2, which Kubernetes dropped in 1.26: CRI v1 needs containerd 1.6 or newer, CRI-O 1.23 or newer, or cri-dockerd 0.3 or newer"
    )]
    OnlyAlpha {
        /// The socket.
        endpoint: Endpoint,
    },
    /// The connection or a call exceeded its time limit.
    #[error(
        "{method} on {endpoint} did not answer within {after:?}: the runtime may be overloaded or stuck; look at its log, or allow more time"
    )]
    TimedOut {
        /// The socket.
        endpoint: Endpoint,
        /// The call with its object, or the connection.
        method: String,
        /// The time limit.
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
        /// The runtime's message, or the transport's.
        message: String,
        /// The number of tries.
        tries: u32,
    },
    /// The runtime's answer to a call is not usable.
    #[error(
        "{method} on {endpoint} was answered with {problem}: nothing can be judged by that; please report it to the runtime's developers"
    )]
    Nonsense {
        /// The socket.
        endpoint: Endpoint,
        /// The call.
        method: &'static str,
        /// The defect of the answer.
        problem: String,
    },
}

fn after_tries(tries: u32) -> String {
    if tries > 1 { format!(" (tried {tries} times)") } else { String::new() }
}
