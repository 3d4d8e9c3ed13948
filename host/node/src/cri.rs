//! The container runtime, over CRI v1: observation of a node, and removal of an image from it.
//!
//! [`Cri::observe`] is the full look on which a run's decisions rest, [`Cri::look`] the cheap second one right before a
//! removal. Both fail closed: a failed call fails the look, because an unseen container protects nothing.
//! [`Cri::remove_image`] is the only deletion, and it takes a [`Clearance`]. Nothing is decided here.

mod cache;
mod call;
mod connect;
pub(crate) mod convert;
mod options;
mod outside;
mod removal;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use containerd_client::services::v1::containers_client::ContainersClient;
use futures_util::{StreamExt, TryStreamExt, stream};
use holystone_core::container::{Container, OutsideContainer, Sandbox, UNKNOWN_IMAGE};
use holystone_core::document::DocumentKind;
use holystone_core::guard::Clearance;
use holystone_core::guard::images::Images;
use holystone_core::image::Image;
use holystone_core::logs::RuntimeDirectory;
use holystone_core::manifest::ApiVersion;
use holystone_core::snapshot::{Filesystem, Memory as Remembered, Node, Snapshot};
use holystone_core::sweep::Attempt;
use holystone_core::text::shown;
use jiff::Timestamp;
use k8s_cri::v1;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1alpha2;
use k8s_cri::v1alpha2::runtime_service_client::RuntimeServiceClient as AlphaClient;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::endpoint::Endpoint;
use crate::error::NodeError;
use crate::logs::RuntimeDirectories;
use cache::{ContainerDetails, Memory, SandboxImages};
use call::CallFailure;
use convert::Details;
pub use options::Options;

/// The largest message accepted or sent. 10 000 images are some 5 MB; a runtime that sends this much is broken.
const MAX_MESSAGE: usize = 256 << 20;

/// The most rounds of a second look. A round that finds new containers or sandboxes is followed by another.
const ROUNDS: u32 = 3;

/// A connection to a container runtime. Clones share the connection and its memory.
#[derive(Clone, Debug)]
pub struct Cri {
    endpoint: Endpoint,
    options: Options,
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    /// The client of containerd's own API, which other runtimes do not offer.
    containers: ContainersClient<Channel>,
    memory: Arc<Mutex<Memory>>,
}

/// The depth of a look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Full,
    Again,
}

/// The lists of a node.
struct Lists {
    images: Vec<Image>,
    containers: Vec<Container>,
    sandboxes: Vec<Sandbox>,
    /// Containers outside CRI; none if the runtime does not list them.
    outside: Option<Vec<OutsideContainer>>,
}

impl Cri {
    /// Connects and checks that a runtime with CRI v1 answers.
    ///
    /// # Errors
    /// Fails with the obstacle; each [`NodeError`] variant calls for a different next step.
    pub async fn connect(endpoint: &Endpoint, options: Options) -> Result<Self, NodeError> {
        let channel = connect::open(endpoint, &options).await?;
        let cri = Self {
            endpoint: endpoint.clone(),
            options,
            runtime: RuntimeServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
            images: ImageServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE),
            containers: ContainersClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE),
            memory: Arc::default(),
        };
        match cri.version().await {
            Ok(_) => Ok(cri),
            Err(failure) => Err(cri.no_cri(failure, channel).await),
        }
    }

    /// Returns the socket of the connection.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Observes the node in full: all lists, the runtime's version and status, details of every container and sandbox,
    /// and filesystems. `now` becomes the snapshot's time, `node_name` its node's name. The node's labels and
    /// everything that only the state file has are left empty.
    ///
    /// # Errors
    /// Fails if any part is unavailable. A container that vanishes meanwhile is left out without an error.
    pub async fn observe(&self, now: Timestamp, node_name: &str) -> Result<Snapshot, NodeError> {
        self.take(now, node_name, Depth::Full).await
    }

    /// Looks again, right before a removal. All lists are fetched again, details only of containers and sandboxes
    /// without remembered ones. The images of each container are complete. Filesystems are left out, and a container
    /// that exited since the full look may lack its exit time and exit code.
    ///
    /// # Errors
    /// Fails as [`Cri::observe`] does.
    pub async fn look(&self, now: Timestamp, node_name: &str) -> Result<Snapshot, NodeError> {
        self.take(now, node_name, Depth::Again).await
    }

    /// Lists the filesystems that hold images and containers, with the usage that the runtime reports. The operating
    /// system's figures are added if the mount point exists for this process, or is mapped by [`Options::image_root`].
    ///
    /// # Errors
    /// Fails if the call to the runtime fails.
    pub async fn filesystems(&self) -> Result<Vec<Filesystem>, NodeError> {
        let filesystems = self.named_filesystems().await?;
        let image_root = self.options.image_root.clone();
        let measured = move |filesystem| crate::filesystem::measured(filesystem, image_root.as_ref());
        let measure = || filesystems.into_iter().map(measured).collect();
        // A filesystem of a dead server would block everything else on this thread.
        Ok(tokio::task::spawn_blocking(measure).await.unwrap_or_default())
    }

    /// Finds the runtime's own directories, by its filesystems, status and socket, and its process.
    ///
    /// # Errors
    /// Fails if a call to the runtime fails.
    pub async fn directories(&self) -> Result<RuntimeDirectories, NodeError> {
        let filesystems = self.named_filesystems().await?;
        let status = self.status().await.map_err(|failure| self.error(failure))?;
        let parts = filesystems.into_iter().map(|filesystem| filesystem.mountpoint);
        let parts = parts.chain(convert::own_directories(&status.info));
        let mut directories: Vec<_> = parts.filter_map(|part| RuntimeDirectory::of_part(&part)).collect();
        directories.extend(self.endpoint.path().to_str().and_then(RuntimeDirectory::of_socket));
        Ok(RuntimeDirectories { directories, process: connect::listener(&self.endpoint).await })
    }

    async fn named_filesystems(&self) -> Result<Vec<Filesystem>, NodeError> {
        let answer = self
            .ask("ImageFsInfo", || {
                let mut client = self.images.clone();
                async move { client.image_fs_info(v1::ImageFsInfoRequest {}).await }
            })
            .await
            .map_err(|failure| self.error(failure))?;
        Ok(convert::filesystems(answer))
    }

    /// Asks the runtime to remove the cleared image, with all its tags. There is no retry, because a clearance would be
    /// outdated after a pause.
    pub async fn remove_image(&self, clearance: Clearance<Images>) -> Attempt {
        let answer = self.request_removal(clearance.asked()).await;
        answer.map_or_else(|failure| removal::refused(&failure, &self.endpoint), |()| Attempt::Accepted)
    }

    async fn take(&self, now: Timestamp, node_name: &str, depth: Depth) -> Result<Snapshot, NodeError> {
        let node = self.node(node_name, depth).await?;
        let Lists { images, containers, sandboxes, outside } = self.lists(depth).await?;
        let node = Node { outside_unseen: outside.is_none(), ..node };
        let outside = outside.unwrap_or_default();
        let filesystems = if depth == Depth::Full { self.filesystems().await? } else { Vec::new() };
        let memory = Remembered::default();
        let snapshot = Snapshot {
            api_version: ApiVersion::V1Alpha1,
            kind: DocumentKind::Snapshot,
            taken_at: now,
            node,
            filesystems,
            images,
            containers,
            sandboxes,
            outside,
            memory,
        };
        Ok(snapshot.normalize())
    }

    /// Lists images, containers and sandboxes, and containers outside CRI. New containers and sandboxes take one call
    /// each, and meanwhile the lists become outdated. A second look, on which removals rest, therefore fetches the
    /// lists again until they have nothing new, in at most [`ROUNDS`] rounds.
    async fn lists(&self, depth: Depth) -> Result<Lists, NodeError> {
        let mut round = 1;
        loop {
            // Images first: a container that starts after their listing is then listed, and protects its image.
            let images = self.list_images().await?;
            let (mut containers, mut sandboxes, all) =
                tokio::try_join!(self.list_containers(), self.list_sandboxes(), Box::pin(self.list_namespace()))?;
            // Before any entry is dropped: a container that CRI has listed is not outside CRI.
            let outside = all.map(|all| outside::unlisted(all, &containers, &sandboxes));
            let all_known = self.memory().knows(&containers, &sandboxes);
            let (details, sandbox_images) =
                tokio::try_join!(self.learn_containers(&containers, depth), self.learn_sandboxes(&sandboxes))?;
            if all_known || depth == Depth::Full || round == ROUNDS {
                cache::complete_containers(&mut containers, &details, &sandboxes);
                cache::complete_sandboxes(&mut sandboxes, &sandbox_images);
                self.settle_containers(&mut containers, &details).await?;
                self.settle_sandboxes(&mut sandboxes, &sandbox_images).await?;
                return Ok(Lists { images, containers, sandboxes, outside });
            }
            round += 1;
        }
    }

    /// Lists all containers of CRI's namespace that use an image, of CRI and of others; `None` if the runtime does not
    /// offer containerd's API.
    async fn list_namespace(&self) -> Result<Option<Vec<OutsideContainer>>, NodeError> {
        if self.memory().answers_as_containerd == Some(false) {
            return Ok(None);
        }
        let answer = self.ask("ListStream of containerd's containers", || outside::list(self.containers.clone())).await;
        match answer {
            Ok(listed) => {
                self.memory().answers_as_containerd = Some(true);
                Ok(Some(listed))
            }
            Err(failure) if self.never_answers(&failure) => {
                self.memory().answers_as_containerd = Some(false);
                Ok(None)
            }
            Err(failure) => Err(self.error(failure)),
        }
    }

    /// Returns whether a failure means that the runtime does not offer the service. A runtime that answered before
    /// does.
    fn never_answers(&self, failure: &CallFailure) -> bool {
        failure.is(Code::Unimplemented) && self.memory().answers_as_containerd.is_none()
    }

    /// Drops containers that have vanished: those without a status that a fresh list does not have either. A container
    /// without a status that is still listed may use any image.
    async fn settle_containers(&self, all: &mut Vec<Container>, known: &ContainerDetails) -> Result<(), NodeError> {
        if all.iter().all(|container| known.contains_key(&container.id)) {
            return Ok(());
        }
        let listed: HashSet<String> = self.list_containers().await?.into_iter().map(|container| container.id).collect();
        all.retain(|container| known.contains_key(&container.id) || listed.contains(&container.id));
        for container in all.iter_mut().filter(|container| !known.contains_key(&container.id)) {
            container.image_volumes.push(UNKNOWN_IMAGE.to_owned());
        }
        Ok(())
    }

    /// Drops sandboxes that have vanished, by the rule of [`Self::settle_containers`].
    async fn settle_sandboxes(&self, all: &mut Vec<Sandbox>, known: &SandboxImages) -> Result<(), NodeError> {
        if all.iter().all(|sandbox| known.contains_key(&sandbox.id)) {
            return Ok(());
        }
        let listed: HashSet<String> = self.list_sandboxes().await?.into_iter().map(|sandbox| sandbox.id).collect();
        all.retain(|sandbox| known.contains_key(&sandbox.id) || listed.contains(&sandbox.id));
        for sandbox in all.iter_mut().filter(|sandbox| !known.contains_key(&sandbox.id)) {
            UNKNOWN_IMAGE.clone_into(&mut sandbox.image);
        }
        Ok(())
    }

    async fn node(&self, name: &str, depth: Depth) -> Result<Node, NodeError> {
        let known = self.memory().node.clone();
        let node = match known {
            Some(node) if depth == Depth::Again => node,
            _ => self.ask_node().await.map_err(|failure| self.error(failure))?,
        };
        self.memory().node = Some(node.clone());
        Ok(Node { name: name.to_owned(), ..node })
    }

    async fn ask_node(&self) -> Result<Node, CallFailure> {
        let version = self.version().await?;
        let status = self.status().await?;
        Ok(Node {
            runtime_name: version.runtime_name,
            runtime_version: version.runtime_version,
            sandbox_images: convert::sandbox_images(&status.info),
            ..Node::default()
        })
    }

    async fn status(&self) -> Result<v1::StatusResponse, CallFailure> {
        self.ask("Status", || {
            let mut client = self.runtime.clone();
            async move { client.status(v1::StatusRequest { verbose: true }).await }
        })
        .await
    }

    async fn version(&self) -> Result<v1::VersionResponse, CallFailure> {
        self.ask("Version", || {
            let mut client = self.runtime.clone();
            async move { client.version(v1::VersionRequest::default()).await }
        })
        .await
    }

    async fn list_images(&self) -> Result<Vec<Image>, NodeError> {
        const METHOD: &str = "ListImages";
        let answer = self
            .ask(METHOD, || {
                let mut client = self.images.clone();
                async move { client.list_images(v1::ListImagesRequest::default()).await }
            })
            .await
            .map_err(|failure| self.error(failure))?;
        let images = merge_twins(answer.images.into_iter().map(convert::image).collect());
        self.check_ids(METHOD, images.iter().map(|image| image.id.as_str()))?;
        Ok(images)
    }

    async fn list_containers(&self) -> Result<Vec<Container>, NodeError> {
        const METHOD: &str = "ListContainers";
        let answer = self
            .ask(METHOD, || {
                let mut client = self.runtime.clone();
                async move { client.list_containers(v1::ListContainersRequest::default()).await }
            })
            .await
            .map_err(|failure| self.error(failure))?;
        let containers: Vec<_> = answer.containers.into_iter().map(convert::container).collect();
        self.check_ids(METHOD, containers.iter().map(|container| container.id.as_str()))?;
        Ok(containers)
    }

    async fn list_sandboxes(&self) -> Result<Vec<Sandbox>, NodeError> {
        const METHOD: &str = "ListPodSandbox";
        let answer = self
            .ask(METHOD, || {
                let mut client = self.runtime.clone();
                async move { client.list_pod_sandbox(v1::ListPodSandboxRequest::default()).await }
            })
            .await
            .map_err(|failure| self.error(failure))?;
        let sandboxes: Vec<_> = answer.items.into_iter().map(convert::sandbox).collect();
        self.check_ids(METHOD, sandboxes.iter().map(|sandbox| sandbox.id.as_str()))?;
        Ok(sandboxes)
    }

    /// Refuses an entry without an id and two entries with one id: a removal or a protection would be ambiguous.
    fn check_ids<'a>(&self, method: &'static str, ids: impl Iterator<Item = &'a str>) -> Result<(), NodeError> {
        let mut seen = HashSet::new();
        for id in ids {
            let problem = match id {
                "" => "an entry without an id".to_owned(),
                id if !seen.insert(id) => format!("two entries with the id {}", shown(id)),
                _ => continue,
            };
            return Err(NodeError::Nonsense { endpoint: self.endpoint.clone(), method, problem });
        }
        Ok(())
    }

    async fn learn_containers(&self, containers: &[Container], depth: Depth) -> Result<ContainerDetails, NodeError> {
        let (mut known, unknown) = self.memory().of_containers(containers, depth == Depth::Full);
        let details: Vec<(String, Option<Details>)> = stream::iter(unknown)
            .map(|id| async move { self.details(&id).await.map(|details| (id, details)) })
            .buffer_unordered(self.options.concurrency.max(1))
            .try_collect()
            .await?;
        known.extend(details.into_iter().filter_map(|(id, details)| Some((id, Arc::new(details?)))));
        self.memory().containers.clone_from(&known);
        Ok(known)
    }

    /// Fetches the details of one container; `None` if it has vanished.
    async fn details(&self, id: &str) -> Result<Option<Details>, NodeError> {
        let answer = self
            .ask_about("ContainerStatus", "container", id, || {
                let mut client = self.runtime.clone();
                let request = v1::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
                async move { client.container_status(request).await }
            })
            .await;
        match answer {
            Ok(v1::ContainerStatusResponse { status: Some(status), .. }) => Ok(Some(convert::details(status))),
            Ok(_) => Err(NodeError::Nonsense {
                endpoint: self.endpoint.clone(),
                method: "ContainerStatus",
                problem: format!("no status of container {}", shown(id)),
            }),
            Err(failure) if failure.is(Code::NotFound) => Ok(None),
            Err(failure) => Err(self.error(failure)),
        }
    }

    async fn learn_sandboxes(&self, sandboxes: &[Sandbox]) -> Result<SandboxImages, NodeError> {
        let (mut known, unknown) = self.memory().of_sandboxes(sandboxes);
        let images: Vec<(String, Option<String>)> = stream::iter(unknown)
            .map(|id| async move { self.sandbox_image(&id).await.map(|image| (id, image)) })
            .buffer_unordered(self.options.concurrency.max(1))
            .try_collect()
            .await?;
        known.extend(images.into_iter().filter_map(|(id, image)| Some((id, image?.into()))));
        self.memory().sandboxes.clone_from(&known);
        Ok(known)
    }

    /// Fetches the image of one sandbox; `None` if the sandbox has vanished, empty if the runtime does not report it.
    async fn sandbox_image(&self, id: &str) -> Result<Option<String>, NodeError> {
        let answer = self
            .ask_about("PodSandboxStatus", "sandbox", id, || {
                let mut client = self.runtime.clone();
                let request = v1::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: true };
                async move { client.pod_sandbox_status(request).await }
            })
            .await;
        match answer {
            Ok(answer) => Ok(Some(convert::sandbox_own_image(&answer.info))),
            Err(failure) if failure.is(Code::NotFound) => Ok(None),
            Err(failure) => Err(self.error(failure)),
        }
    }

    /// Asks the runtime to remove an image. Only [`Self::remove_image`] calls this, with a clearance.
    async fn request_removal(&self, id: &str) -> Result<(), CallFailure> {
        let method = format!("RemoveImage of {}", shown(id));
        let attempt = || {
            let mut client = self.images.clone();
            let request = v1::RemoveImageRequest { image: Some(image_spec(id)) };
            async move { client.remove_image(request).await }
        };
        let once = Options { tries: 1, ..self.options.clone() };
        call::call(method, self.options.removal_timeout, &once, attempt).await.map(|_| ())
    }

    async fn ask<T, F>(&self, method: &str, attempt: impl Fn() -> F) -> Result<T, CallFailure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        call::call(method.to_owned(), self.options.call_timeout, &self.options, attempt).await
    }

    async fn ask_about<T, F>(
        &self,
        method: &str,
        kind: &str,
        id: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T, CallFailure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.ask(&format!("{method} of {kind} {}", shown(id)), attempt).await
    }

    fn error(&self, failure: CallFailure) -> NodeError {
        failure.into_error(&self.endpoint)
    }

    /// Explains the failure of the first call by the server behind the socket.
    async fn no_cri(&self, failure: CallFailure, channel: Channel) -> NodeError {
        let endpoint = self.endpoint.clone();
        // The socket vanished, or its runtime stopped, after the connection was opened.
        if let Some(error) = failure.no_connection() {
            return connect::by_system(&endpoint, error);
        }
        if let Some(problem) = failure.not_grpc() {
            return NodeError::NotGrpc { endpoint, problem };
        }
        if !failure.is(Code::Unimplemented) {
            return self.error(failure);
        }
        let alpha = self
            .ask("Version", || {
                let mut client = AlphaClient::new(channel.clone());
                async move { client.version(v1alpha2::VersionRequest::default()).await }
            })
            .await;
        match alpha {
            Ok(_) => NodeError::OnlyAlpha { endpoint },
            Err(_) => NodeError::NoCri { endpoint, problem: failure.message() },
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn image_spec(id: &str) -> v1::ImageSpec {
    v1::ImageSpec { image: id.to_owned(), ..Default::default() }
}

/// Merges entries with one id into one image with all names. A runtime may list an image once for each image store.
fn merge_twins(mut images: Vec<Image>) -> Vec<Image> {
    images.sort_by(|a, b| a.id.cmp(&b.id));
    images.dedup_by(|twin, image| {
        let same = twin.id == image.id;
        if same {
            image.repo_tags.append(&mut twin.repo_tags);
            image.repo_digests.append(&mut twin.repo_digests);
            image.pinned |= twin.pinned;
            for names in [&mut image.repo_tags, &mut image.repo_digests] {
                names.sort();
                names.dedup();
            }
        }
        same
    });
    images
}

#[cfg(test)]
mod tests;
