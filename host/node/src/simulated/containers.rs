//! containerd's own list of containers, which a simulated containerd serves on its socket as a real one does. The
//! crate with containerd's messages has only clients, so the one call is implemented by hand.

use std::convert::Infallible;
use std::task::{Context, Poll};

use containerd_client::services::v1::{ListContainerMessage, ListContainersRequest};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, Iter};
use tonic::body::Body;
use tonic::codegen::{Service as Served, http};
use tonic::server::{Grpc, NamedService, ServerStreamingService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::faults::Method;
use super::service::Service;
use super::ways::Flavour;
use crate::cri::convert as messages;

const LIST: &str = "/containerd.services.containers.v1.Containers/ListStream";

#[derive(Clone, Debug)]
pub(super) struct Containers(pub(super) Service);

impl NamedService for Containers {
    const NAME: &'static str = "containerd.services.containers.v1.Containers";
}

impl Served<http::Request<Body>> for Containers {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_list = request.uri().path() == LIST && self.0.store().flavour == Flavour::Containerd;
        let list = ContainerList(self.0.clone());
        Box::pin(async move {
            if !is_list {
                return Ok(Status::unimplemented("unknown service").into_http());
            }
            Ok(Grpc::new(ProstCodec::default()).server_streaming(list, request).await)
        })
    }
}

struct ContainerList(Service);

impl ServerStreamingService<ListContainersRequest> for ContainerList {
    type Response = ListContainerMessage;
    type ResponseStream = Iter<std::vec::IntoIter<Result<ListContainerMessage, Status>>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<ListContainersRequest>) -> Self::Future {
        let service = self.0.clone();
        Box::pin(async move {
            service.enter(Method::ListStream).await?;
            let namespace = request.metadata().get("containerd-namespace").and_then(|it| it.to_str().ok());
            let namespace = namespace.ok_or_else(|| Status::failed_precondition("namespace is required"))?;
            Ok(Response::new(stream::iter(service.in_namespace(namespace))))
        })
    }
}

impl Service {
    /// Returns the containers of a namespace that CRI does not list. A real containerd also lists CRI's own, which a
    /// client knows already.
    fn in_namespace(&self, namespace: &str) -> Vec<Result<ListContainerMessage, Status>> {
        let store = self.store();
        let others = store.outside.values().filter(|container| container.namespace == namespace);
        others.map(|container| Ok(messages::outside_message(container))).collect()
    }
}
