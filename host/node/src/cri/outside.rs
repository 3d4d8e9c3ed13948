//! Containers of containerd that CRI does not list: those of `ctr` and nerdctl, and those that CRI failed to restore
//! when containerd was started. containerd serves its own API on the socket of CRI; only its list of containers is
//! read.
//!
//! Images and their content belong to a namespace of containerd, and CRI works in only one. A removal by CRI does not
//! affect an image of the same name in another namespace, or its content. Therefore only containers of CRI's namespace
//! can use an image that CRI lists.

use std::collections::HashSet;

use containerd_client::services::v1::ListContainersRequest;
use containerd_client::services::v1::containers_client::ContainersClient;
use futures_util::TryStreamExt;
use holystone_core::container::{Container, OutsideContainer, Sandbox};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::convert;

/// The namespace of CRI, which is fixed in containerd.
const NAMESPACE: &str = "k8s.io";

/// Lists all containers of CRI's namespace, of CRI and of others, that use an image.
///
/// The containers are streamed, because one message with all their specs may exceed the limit of containerd.
pub(super) async fn list(mut client: ContainersClient<Channel>) -> Result<Response<Vec<OutsideContainer>>, Status> {
    let mut request = Request::new(ListContainersRequest::default());
    request.metadata_mut().insert("containerd-namespace", MetadataValue::from_static(NAMESPACE));
    let listed = client.list_stream(request).await?.into_inner();
    let user = |message| async move { Ok(convert::outside(message, NAMESPACE)) };
    listed.try_filter_map(user).try_collect::<Vec<_>>().await.map(Response::new)
}

/// Returns the containers that CRI does not list.
pub(super) fn unlisted(
    all: Vec<OutsideContainer>,
    containers: &[Container],
    sandboxes: &[Sandbox],
) -> Vec<OutsideContainer> {
    let listed = containers.iter().map(|it| it.id.as_str()).chain(sandboxes.iter().map(|it| it.id.as_str()));
    let listed: HashSet<&str> = listed.collect();
    all.into_iter().filter(|container| !listed.contains(container.id.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Container, NAMESPACE, OutsideContainer, unlisted};
    use crate::simulated::fixture::{container, snapshot};

    #[test]
    fn what_cri_lists_as_a_container_or_a_sandbox_is_not_outside() {
        let node = snapshot(3);
        let sandbox = node.sandboxes[0].id.as_str();
        let all = ["a", "b", sandbox, "c"].map(|id| OutsideContainer {
            id: id.to_owned(),
            namespace: NAMESPACE.to_owned(),
            image: "x".to_owned(),
        });
        let left = |containers: &[_], sandboxes: &[_]| -> Vec<String> {
            unlisted(all.to_vec(), containers, sandboxes).into_iter().map(|it| it.id).collect()
        };
        let listed = Container { id: "b".to_owned(), ..container("b", 1) };
        assert_eq!(left(&[listed], &node.sandboxes), ["a", "c"]);
        assert_eq!(left(&[], &[]), ["a", "b", sandbox, "c"]);
    }
}
