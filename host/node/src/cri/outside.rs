//! Containers that containerd has and CRI does not list: those of `ctr` and nerdctl, and those that CRI failed to take
//! over when containerd was started. containerd answers its own API on the socket of CRI; it is asked to list, nothing
//! else.
//!
//! Images and the content that they keep belong to a namespace of containerd, and CRI works in one alone: an image that
//! CRI removes is gone from there, and one of the same name in another namespace stays, with its content. So the
//! containers of that namespace are the ones that can use an image which CRI lists.

use std::collections::HashSet;

use containerd_client::services::v1::ListContainersRequest;
use containerd_client::services::v1::containers_client::ContainersClient;
use futures_util::TryStreamExt;
use holystone_core::container::{Container, OutsideContainer, Sandbox};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::convert;

/// The namespace of CRI: fixed in containerd.
const NAMESPACE: &str = "k8s.io";

/// Lists all containers of CRI's namespace, of CRI and of others, that use an image.
///
/// One by one: all of them in one message, with their specs, may be more than containerd is willing to send.
pub(super) async fn list(mut client: ContainersClient<Channel>) -> Result<Response<Vec<OutsideContainer>>, Status> {
    let mut request = Request::new(ListContainersRequest::default());
    request.metadata_mut().insert("containerd-namespace", MetadataValue::from_static(NAMESPACE));
    let listed = client.list_stream(request).await?.into_inner();
    let user = |message| async move { Ok(convert::outside(message, NAMESPACE)) };
    listed.try_filter_map(user).try_collect::<Vec<_>>().await.map(Response::new)
}

/// Picks those that CRI does not list.
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
