//! A node in memory: a CRI v1 server on a unix socket, seeded from a snapshot.
//!
//! The node answers as containerd does, and calls about images as the runtime that the seed names. The demo and tests
//! run on it, through the same client code as on a real node. The node runs no containers and pulls no images. Its
//! contents change through [`SimulatedNode`]'s methods, through removals, and through its [`Faults`]. It is served
//! until it is dropped.

/// Implements the calls that a simulated node does not answer, in the form that the service traits require.
macro_rules! not_simulated {
    ($($name:ident: $request:ident => $response:ident),* $(,)?) => {$(
        fn $name<'life0, 'async_trait>(
            &'life0 self,
            _: Request<v1::$request>,
        ) -> BoxFuture<'async_trait, Result<Response<v1::$response>, Status>>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(ready(Err(Status::unimplemented(concat!("a simulated node does not answer ", stringify!($name))))))
        }
    )*};
}

mod containers;
mod faults;
mod garble;
mod service;
mod store;
mod ways;
mod wire;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use holystone_core::container::{Container, OutsideContainer, Sandbox};
use holystone_core::image::Image;
use holystone_core::snapshot::{Filesystem, Snapshot};
use k8s_cri::v1::image_service_server::ImageServiceServer;
use k8s_cri::v1::runtime_service_server::RuntimeServiceServer;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::transport::Server;

use crate::endpoint::Endpoint;
use containers::Containers;
pub use faults::{Answer, Appearance, Code, Delay, Disconnect, ErrorFault, Faults, Garbled, Method, Moment};
use service::Service;
pub use store::Removal;
use store::Store;
pub use ways::Flavour;

/// Capacity of the queue of cuts that the socket has not handled yet; cuts are rare.
const CUTS: usize = 16;

/// A node in memory, serving CRI until it is dropped.
#[derive(Debug)]
pub struct SimulatedNode {
    endpoint: Endpoint,
    socket: PathBuf,
    service: Service,
    /// The tasks of the socket and the server, which end with the node.
    _tasks: JoinSet<()>,
}

/// An error at the start of a simulated node.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The socket cannot be bound.
    #[error("a simulated node cannot listen on {}: {problem}; unix sockets need a path of at most 107 bytes in a directory that can be written to", .socket.display())]
    Bind {
        /// The socket.
        socket: PathBuf,
        /// The system's error.
        problem: io::Error,
    },
    /// The caller is outside of a tokio runtime.
    #[error("a simulated node needs a tokio runtime to run in")]
    NoRuntime,
}

impl SimulatedNode {
    /// Starts to serve the snapshot's node on a socket, which is bound when this returns.
    ///
    /// # Errors
    /// When the socket cannot be bound, or outside of a tokio runtime.
    pub fn start(socket: &Path, snapshot: Snapshot, faults: Faults) -> Result<Self, SimulationError> {
        let endpoint = Endpoint::new(socket);
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(SimulationError::NoRuntime);
        }
        let listener =
            wire::bind(socket).map_err(|problem| SimulationError::Bind { socket: socket.to_owned(), problem })?;
        let (cuts, cut) = broadcast::channel(CUTS);
        let service = Service { store: Arc::new(Mutex::new(Store::of(snapshot, faults))), cuts };
        let (connections, incoming) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(wire::serve(socket.to_owned(), listener, connections, cut));
        tasks.spawn(serve(service.clone(), incoming));
        Ok(Self { endpoint, socket: socket.to_owned(), service, _tasks: tasks })
    }

    /// Returns the endpoint on which the node listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Adds a container, or replaces the one with its id.
    pub fn add_container(&self, container: Container) {
        self.service.store().containers.insert(container.id.clone(), container);
    }

    /// Removes a container. Returns whether it was there.
    pub fn remove_container(&self, id: &str) -> bool {
        self.service.store().containers.remove(id).is_some()
    }

    /// Adds an image, or replaces the one with its id.
    pub fn add_image(&self, image: Image) {
        self.service.store().add_image(image);
    }

    /// Removes an image, as another client on the node might. Returns whether it was there.
    pub fn remove_image(&self, id: &str) -> bool {
        self.service.store().remove_image(id).is_some()
    }

    /// Returns the ids of the images that are there, sorted.
    pub fn images(&self) -> Vec<String> {
        self.service.store().images.keys().cloned().collect()
    }

    /// Returns the `RemoveImage` calls received so far, in order.
    pub fn removals(&self) -> Vec<Removal> {
        self.service.store().removals.clone()
    }

    /// Returns the number of calls of this kind received so far.
    pub fn calls(&self, method: Method) -> u64 {
        self.service.store().calls(method)
    }

    /// Returns the number of calls of any kind received so far.
    pub fn all_calls(&self) -> u64 {
        self.service.store().all_calls()
    }

    /// Replaces the faults, and keeps the counts of calls.
    pub fn change_faults(&self, faults: Faults) {
        self.service.store().faults = faults;
    }

    /// Adds a sandbox, or replaces the one with its id.
    pub fn add_sandbox(&self, sandbox: Sandbox) {
        self.service.store().sandboxes.insert(sandbox.id.clone(), sandbox);
    }

    /// Adds a container that CRI does not list, or replaces the one with its id.
    pub fn add_outside(&self, container: OutsideContainer) {
        self.service.store().outside.insert(container.id.clone(), container);
    }

    /// Makes the images take space in this directory: each image present now has a file of its size there until it is
    /// removed. The node reports the directory as the mount point of its image filesystem.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn fill_disk(&self, directory: &Path) -> io::Result<()> {
        self.service.store().fill(directory)
    }

    /// Returns the seed's filesystems with modelled figures: the size of a removed image becomes free.
    pub fn filesystems(&self) -> Vec<Filesystem> {
        self.service.store().filesystems.clone()
    }
}

impl Drop for SimulatedNode {
    fn drop(&mut self) {
        // The socket may be gone already, with its directory or because of a disconnect.
        drop(std::fs::remove_file(&self.socket));
    }
}

async fn serve(service: Service, incoming: mpsc::UnboundedReceiver<io::Result<tokio::io::DuplexStream>>) {
    let incoming = tokio_stream::wrappers::UnboundedReceiverStream::new(incoming).fuse();
    let garbles = garble::Garbles { service: service.clone() };
    let server = Server::builder()
        .layer(garbles)
        .add_service(RuntimeServiceServer::new(service.clone()))
        .add_service(ImageServiceServer::new(service.clone()))
        .add_service(Containers(service))
        .serve_with_incoming(incoming);
    if let Err(error) = server.await {
        tracing::warn!(%error, "the simulated node stopped serving");
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod v1alpha2;
