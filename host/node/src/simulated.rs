//! A node in memory: a CRI v1 server on a unix socket that answers as containerd does, seeded from a snapshot.
//!
//! The demo runs on it and so do tests, through the same client code as on a real node. It runs no containers and
//! pulls no images; what it holds changes by [`SimulatedNode`]'s methods, by removals, and by the [`Faults`] that it
//! was started with. It is served until it is dropped.

/// Writes out the calls that a simulated node does not answer, in the form that the service traits ask for.
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

/// How many cuts may wait for the socket to notice; they are rare.
const CUTS: usize = 16;

/// A node in memory, serving CRI until it is dropped.
#[derive(Debug)]
pub struct SimulatedNode {
    endpoint: Endpoint,
    socket: PathBuf,
    service: Service,
    /// Ends with the node, and the socket and server in it.
    _tasks: JoinSet<()>,
}

/// Why a simulated node cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The socket cannot be bound.
    #[error("a simulated node cannot listen on {}: {problem}; unix sockets need a path of at most 107 bytes in a directory that can be written to", .socket.display())]
    Bind {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
    /// Called outside of a tokio runtime.
    #[error("a simulated node needs a tokio runtime to run in")]
    NoRuntime,
}

impl SimulatedNode {
    /// Starts to serve the snapshot's node on a socket, which is there when this returns.
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

    /// Where it listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Adds a container, or replaces the one with its id.
    pub fn add_container(&self, container: Container) {
        self.service.store().containers.insert(container.id.clone(), container);
    }

    /// Takes a container away; whether it was there.
    pub fn remove_container(&self, id: &str) -> bool {
        self.service.store().containers.remove(id).is_some()
    }

    /// Adds an image, or replaces the one with its id.
    pub fn add_image(&self, image: Image) {
        self.service.store().add_image(image);
    }

    /// Takes an image away, as somebody else on the node might; whether it was there.
    pub fn remove_image(&self, id: &str) -> bool {
        self.service.store().remove_image(id).is_some()
    }

    /// Ids of the images that are there, sorted.
    pub fn images(&self) -> Vec<String> {
        self.service.store().images.keys().cloned().collect()
    }

    /// The `RemoveImage` calls received so far, in order.
    pub fn removals(&self) -> Vec<Removal> {
        self.service.store().removals.clone()
    }

    /// How many calls of this kind were received so far.
    pub fn calls(&self, method: Method) -> u64 {
        self.service.store().calls(method)
    }

    /// How many calls of any kind were received so far.
    pub fn all_calls(&self) -> u64 {
        self.service.store().all_calls()
    }

    /// Goes on with other faults; the counts of calls go on, too.
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

    /// From now on the images take space in this directory: each has a file of its size there until it is removed, and
    /// the node says that its filesystem is the directory's.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn fill_disk(&self, directory: &Path) -> io::Result<()> {
        self.service.store().fill(directory)
    }

    /// The seed's filesystems with modelled figures: what images took is free when they are gone.
    pub fn filesystems(&self) -> Vec<Filesystem> {
        self.service.store().filesystems.clone()
    }
}

impl Drop for SimulatedNode {
    fn drop(&mut self) {
        // It may be gone already: with its directory, or because the node plays dead.
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
