//! The connection to a socket, and the reasons why it fails.
//!
//! A file that cannot be a runtime's socket is refused before anything is opened. The operating system's error about
//! the socket itself is taken from the connection attempt, so that there is only one.

use std::error::Error;
use std::fs::FileType;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint as Address, Uri};
use tower::service_fn;

use super::options::Options;
use crate::endpoint::Endpoint;
use crate::error::NodeError;

/// A URI, which gRPC requires and a unix socket ignores.
const NOWHERE: &str = "http://localhost";

/// The largest headers accepted, in bytes. A runtime's error message is a header, with three bytes for every blank. A
/// message beyond the default of 16 KiB would otherwise look like a broken connection.
const MAX_HEADERS: u32 = 1 << 20;

/// Opens a connection, which reconnects by itself after a restart of the runtime.
pub(super) async fn open(endpoint: &Endpoint, options: &Options) -> Result<Channel, NodeError> {
    check_file(endpoint)?;
    let path = endpoint.path().to_owned();
    let connector = service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let address = Address::from_static(NOWHERE).http2_max_header_list_size(MAX_HEADERS);
    let attempt = address.connect_with_connector(connector);
    match tokio::time::timeout(options.connect_timeout, attempt).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(refused(endpoint, &error)),
        Err(_) => Err(NodeError::TimedOut {
            endpoint: endpoint.clone(),
            method: "the connection".to_owned(),
            after: options.connect_timeout,
        }),
    }
}

/// Asks the kernel for the process that listens on the socket; `None` if this pid namespace does not see the process.
pub(super) async fn listener(endpoint: &Endpoint) -> Option<u32> {
    let socket = UnixStream::connect(endpoint.path()).await.ok()?;
    u32::try_from(socket.peer_cred().ok()?.pid()?).ok().filter(|id| *id != 0)
}

fn check_file(endpoint: &Endpoint) -> Result<(), NodeError> {
    let file = std::fs::metadata(endpoint.path()).map_err(|error| by_system(endpoint, &error))?;
    match not_a_socket(file.file_type()) {
        Some(found) => Err(NodeError::NotASocket { endpoint: endpoint.clone(), found }),
        None => Ok(()),
    }
}

fn not_a_socket(file: FileType) -> Option<&'static str> {
    if file.is_socket() {
        None
    } else if file.is_dir() {
        Some("a directory")
    } else if file.is_file() {
        Some("an ordinary file")
    } else {
        Some("some other kind of file")
    }
}

fn refused(endpoint: &Endpoint, error: &(dyn Error + 'static)) -> NodeError {
    let mut next = Some(error);
    let mut problem = String::new();
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return by_system(endpoint, error);
        }
        problem = error.to_string();
        next = error.source();
    }
    NodeError::NotGrpc { endpoint: endpoint.clone(), problem }
}

pub(super) fn by_system(endpoint: &Endpoint, error: &io::Error) -> NodeError {
    let endpoint = endpoint.clone();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => NodeError::NoSocket { endpoint },
        ErrorKind::PermissionDenied => NodeError::Denied { endpoint },
        ErrorKind::ConnectionRefused => NodeError::NobodyListens { endpoint },
        _ => NodeError::Unreachable { endpoint, problem: error.to_string() },
    }
}
