//! The socket of a simulated node, which can break.
//!
//! Each connection is forwarded through a pipe in memory. Cutting all connections and removing the socket, as a
//! restarting runtime does, therefore needs nothing from the gRPC server behind.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

const PIPE: usize = 256 << 10;

/// The end of all connections, with the duration for which the socket is gone afterwards.
pub(super) type Cut = Duration;

pub(super) type Connections = mpsc::UnboundedSender<io::Result<DuplexStream>>;

/// Binds the socket. Replaces a socket on which no earlier node listens any more, and no other file.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error)
            if error.kind() == io::ErrorKind::AddrInUse
                && is_socket(path)
                && std::os::unix::net::UnixStream::connect(path).is_err() =>
        {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        result => result,
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Accepts connections, and interrupts all of them at each cut. Ends when the socket fails or no cut can be received
/// any more.
pub(super) async fn serve(
    path: PathBuf,
    mut listener: UnixListener,
    connections: Connections,
    mut cuts: broadcast::Receiver<Cut>,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(open.spawn(pass_on(stream, connections.clone()))),
                Err(_) => return,
            },
            cut = cuts.recv() => {
                let down = match cut {
                    Ok(down) => down,
                    // The channel keeps the last cuts of many, and the next turn receives them.
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                };
                open.shutdown().await;
                match restart(&path, listener, down).await {
                    Ok(again) => listener = again,
                    Err(_) => return,
                }
            },
            // Ended connections would accumulate otherwise.
            Some(_) = open.join_next() => {},
        }
    }
}

async fn restart(path: &Path, listener: UnixListener, down: Duration) -> io::Result<UnixListener> {
    if down.is_zero() {
        return Ok(listener);
    }
    drop(listener);
    std::fs::remove_file(path)?;
    tokio::time::sleep(down).await;
    bind(path)
}

async fn pass_on(mut outside: UnixStream, connections: Connections) {
    let (mut inside, server) = duplex(PIPE);
    if connections.send(Ok(server)).is_ok() {
        // Either side may end the connection at any time.
        drop(copy_bidirectional(&mut outside, &mut inside).await);
    }
}
