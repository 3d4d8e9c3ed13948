//! The calls of the CRI that tests need to bring a node into a state and to see what became of it. Deliberately
//! apart from the product's own client, so that one cannot hide the other's mistake.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use hyper_util::rt::TokioIo;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    Container, ContainerConfig, ContainerMetadata, ContainerState, ContainerStatusRequest, CreateContainerRequest,
    Image, ImageFilter, ImageSpec, ImageStatusRequest, LinuxContainerConfig, LinuxContainerSecurityContext,
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, ListContainersRequest, ListImagesRequest,
    ListPodSandboxRequest, Mount, NamespaceMode, NamespaceOption, PodSandbox, PodSandboxConfig, PodSandboxMetadata,
    RemoveContainerRequest, RemoveImageRequest, RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest,
    StopContainerRequest, StopPodSandboxRequest, VersionRequest, VersionResponse,
};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::process::POLL;

/// A list of ten thousand images is bigger than gRPC's limit of 4 MiB.
const MESSAGE_LIMIT: usize = 64 << 20;
/// How long a container may take to exit by itself.
const EXIT_PATIENCE: Duration = Duration::from_secs(20);
/// How long no call may take.
const CALL_PATIENCE: Duration = Duration::from_mins(2);

/// A client of one containerd's CRI. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Cri {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    logs: PathBuf,
}

/// A pod that was run.
#[derive(Debug, Clone)]
pub struct Pod {
    /// The sandbox's id.
    pub id: String,
    /// The configuration, which each of its containers has to repeat.
    pub config: PodSandboxConfig,
}

/// A container to be created.
#[derive(Debug, Clone, Default)]
pub struct ContainerSpec {
    name: String,
    image: String,
    user_specified_image: String,
    command: Vec<String>,
    args: Vec<String>,
    mounts: Vec<Mount>,
}

impl ContainerSpec {
    /// A container of that name which runs an image, given by tag, by name and digest, or by id as the kubelet does.
    pub fn new(name: &str, image: &str) -> Self {
        Self { name: name.to_owned(), image: image.to_owned(), ..Self::default() }
    }

    /// What stood in the pod's specification, where the image is given by id.
    #[must_use]
    pub fn user_specified_image(mut self, image: &str) -> Self {
        image.clone_into(&mut self.user_specified_image);
        self
    }

    /// A command in place of the image's entry point.
    #[must_use]
    pub fn command(mut self, command: &[&str]) -> Self {
        self.command = command.iter().map(ToString::to_string).collect();
        self
    }

    /// Arguments to the command or to the image's entry point.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args = args.iter().map(ToString::to_string).collect();
        self
    }

    /// Mounts a directory of the node.
    #[must_use]
    pub fn mount(mut self, host: &Path, inside: &str, readonly: bool) -> Self {
        let host_path = host.to_string_lossy().into_owned();
        self.mounts.push(Mount { host_path, container_path: inside.to_owned(), readonly, ..Mount::default() });
        self
    }

    /// Mounts an image, which takes containerd 2.1 or newer.
    #[must_use]
    pub fn mount_image(mut self, image: &str, inside: &str) -> Self {
        let image = Some(ImageSpec { image: image.to_owned(), ..ImageSpec::default() });
        self.mounts.push(Mount { container_path: inside.to_owned(), readonly: true, image, ..Mount::default() });
        self
    }

    /// As the CRI has it.
    fn config(&self) -> ContainerConfig {
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: self.name.clone(), attempt: 0 }),
            image: Some(ImageSpec {
                image: self.image.clone(),
                user_specified_image: self.user_specified_image.clone(),
                ..ImageSpec::default()
            }),
            command: self.command.clone(),
            args: self.args.clone(),
            mounts: self.mounts.clone(),
            labels: HashMap::from([("io.kubernetes.container.name".to_owned(), self.name.clone())]),
            log_path: format!("{}/0.log", self.name),
            // As the kubelet does: a container that says nothing asks for the process ids of its pod.
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    namespace_options: Some(namespaces()),
                    ..LinuxContainerSecurityContext::default()
                }),
                ..LinuxContainerConfig::default()
            }),
            ..ContainerConfig::default()
        }
    }
}

impl Cri {
    /// A client of the socket; pods' logs go beneath the directory. Connects with the first call, and again after
    /// containerd was restarted.
    pub fn new(socket: &Path, logs: &Path) -> anyhow::Result<Self> {
        let socket = socket.to_path_buf();
        // The address only fills the requests' authority: the connector decides where they go.
        let endpoint = Endpoint::try_from("http://localhost").context("make an endpoint")?.timeout(CALL_PATIENCE);
        let channel = endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(socket).await?)) }
        }));
        let runtime = RuntimeServiceClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        let images = ImageServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        Ok(Self { runtime, images, logs: logs.to_path_buf() })
    }

    /// Which runtime answers.
    pub async fn version(&self) -> anyhow::Result<VersionResponse> {
        let response = self.runtime.clone().version(VersionRequest::default()).await;
        Ok(response.context("Version")?.into_inner())
    }

    /// Runs a pod on the host's network, which needs no CNI. `localhost/pause:1` must have been imported.
    pub async fn run_pod(&self, name: &str) -> anyhow::Result<Pod> {
        let config = self.pod_config(name);
        fs::create_dir_all(&config.log_directory).with_context(|| format!("create {}", config.log_directory))?;
        let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
        let response = self.runtime.clone().run_pod_sandbox(request).await;
        let id = response.with_context(|| format!("RunPodSandbox {name}"))?.into_inner().pod_sandbox_id;
        Ok(Pod { id, config })
    }

    /// The configuration of a pod, with the labels and the log directory the kubelet would give it.
    fn pod_config(&self, name: &str) -> PodSandboxConfig {
        let (namespace, uid) = ("default", format!("uid-of-{name}"));
        let labels = [("pod.name", name), ("pod.namespace", namespace), ("pod.uid", &uid)];
        let security = LinuxSandboxSecurityContext {
            namespace_options: Some(namespaces()),
            ..LinuxSandboxSecurityContext::default()
        };
        PodSandboxConfig {
            log_directory: self.logs.join(format!("{namespace}_{name}_{uid}")).to_string_lossy().into_owned(),
            labels: labels.map(|(key, value)| (format!("io.kubernetes.{key}"), value.to_owned())).into(),
            metadata: Some(PodSandboxMetadata {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
                uid,
                attempt: 0,
            }),
            linux: Some(LinuxPodSandboxConfig { security_context: Some(security), ..LinuxPodSandboxConfig::default() }),
            ..PodSandboxConfig::default()
        }
    }

    /// Creates a container and answers its id.
    pub async fn create_container(&self, pod: &Pod, spec: &ContainerSpec) -> anyhow::Result<String> {
        // As the kubelet does.
        let logs = Path::new(&pod.config.log_directory).join(&spec.name);
        fs::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(spec.config()),
            sandbox_config: Some(pod.config.clone()),
        };
        let response = self.runtime.clone().create_container(request).await;
        Ok(response.with_context(|| format!("CreateContainer {}", spec.name))?.into_inner().container_id)
    }

    /// Starts a created container.
    pub async fn start_container(&self, id: &str) -> anyhow::Result<()> {
        let request = StartContainerRequest { container_id: id.to_owned() };
        self.runtime.clone().start_container(request).await.with_context(|| format!("StartContainer {id}"))?;
        Ok(())
    }

    /// Stops a running container.
    pub async fn stop_container(&self, id: &str) -> anyhow::Result<()> {
        let request = StopContainerRequest { container_id: id.to_owned(), timeout: 10 };
        self.runtime.clone().stop_container(request).await.with_context(|| format!("StopContainer {id}"))?;
        Ok(())
    }

    /// Removes a container, running or not.
    pub async fn remove_container(&self, id: &str) -> anyhow::Result<()> {
        let request = RemoveContainerRequest { container_id: id.to_owned() };
        self.runtime.clone().remove_container(request).await.with_context(|| format!("RemoveContainer {id}"))?;
        Ok(())
    }

    /// Creates and starts a container, and answers its id.
    pub async fn running_container(&self, pod: &Pod, spec: &ContainerSpec) -> anyhow::Result<String> {
        let id = self.create_container(pod, spec).await?;
        self.start_container(&id).await?;
        Ok(id)
    }

    /// Creates and starts a container of a [`crate::sleep_image`] that exits at once with code 0, waits until it is
    /// reported as exited, and answers its id.
    pub async fn exited_container(&self, pod: &Pod, name: &str, image: &str) -> anyhow::Result<String> {
        let id = self
            .running_container(pod, &ContainerSpec::new(name, image).user_specified_image(image).args(&["exit", "0"]))
            .await?;
        self.wait_for_state(&id, ContainerState::ContainerExited).await?;
        Ok(id)
    }

    /// Waits, within bounds, until a container has exited, with whatever code.
    pub async fn wait_for_exit(&self, id: &str) -> anyhow::Result<()> {
        self.wait_for_state(id, ContainerState::ContainerExited).await
    }

    /// Waits, within bounds, until a container is in that state.
    pub async fn wait_for_state(&self, id: &str, state: ContainerState) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let containers = self.list_containers().await?;
            let Some(container) = containers.iter().find(|container| container.id == id) else {
                bail!("there is no container {id}");
            };
            if container.state() == state {
                return Ok(());
            }
            let late = start.elapsed() > EXIT_PATIENCE;
            ensure!(!late, "container {id} is {:?} and not {state:?}", container.state());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Stops and removes a pod with everything in it.
    pub async fn remove_pod(&self, id: &str) -> anyhow::Result<()> {
        let pod_sandbox_id = id.to_owned();
        let stop = StopPodSandboxRequest { pod_sandbox_id: pod_sandbox_id.clone() };
        self.runtime.clone().stop_pod_sandbox(stop).await.with_context(|| format!("StopPodSandbox {id}"))?;
        let remove = RemovePodSandboxRequest { pod_sandbox_id };
        self.runtime.clone().remove_pod_sandbox(remove).await.with_context(|| format!("RemovePodSandbox {id}"))?;
        Ok(())
    }

    /// All containers, whatever their state.
    pub async fn list_containers(&self) -> anyhow::Result<Vec<Container>> {
        let response = self.runtime.clone().list_containers(ListContainersRequest::default()).await;
        Ok(response.context("ListContainers")?.into_inner().containers)
    }

    /// All pods, whatever their state.
    pub async fn list_pods(&self) -> anyhow::Result<Vec<PodSandbox>> {
        let response = self.runtime.clone().list_pod_sandbox(ListPodSandboxRequest::default()).await;
        Ok(response.context("ListPodSandbox")?.into_inner().items)
    }

    /// All images.
    pub async fn list_images(&self) -> anyhow::Result<Vec<Image>> {
        let response = self.images.clone().list_images(ListImagesRequest::default()).await;
        Ok(response.context("ListImages")?.into_inner().images)
    }

    /// The images that the runtime lists when it is asked for one.
    pub async fn list_images_of(&self, name: &str) -> anyhow::Result<Vec<Image>> {
        let filter = Some(ImageFilter { image: Some(spec(name)) });
        let response = self.images.clone().list_images(ListImagesRequest { filter }).await;
        Ok(response.with_context(|| format!("ListImages {name}"))?.into_inner().images)
    }

    /// The whole id of the container that a shortened one means.
    pub async fn container_status(&self, id: &str) -> anyhow::Result<String> {
        let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        let response = self.runtime.clone().container_status(request).await;
        let status = response.with_context(|| format!("ContainerStatus {id}"))?.into_inner().status;
        Ok(status.context("no status")?.id)
    }

    /// The ids of all images, sorted.
    pub async fn image_ids(&self) -> anyhow::Result<Vec<String>> {
        let mut ids: Vec<String> = self.list_images().await?.into_iter().map(|image| image.id).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The image of that name or id, if there is one.
    pub async fn image_status(&self, name: &str) -> anyhow::Result<Option<Image>> {
        let request = ImageStatusRequest { image: Some(spec(name)), verbose: false };
        let response = self.images.clone().image_status(request).await;
        Ok(response.with_context(|| format!("ImageStatus {name}"))?.into_inner().image)
    }

    /// Removes the image of that name or id with all its names. One that is not there is fine.
    pub async fn remove_image(&self, name: &str) -> anyhow::Result<()> {
        let request = RemoveImageRequest { image: Some(spec(name)) };
        self.images.clone().remove_image(request).await.with_context(|| format!("RemoveImage {name}"))?;
        Ok(())
    }
}

/// The namespaces of pods and containers: the host's network, which needs no CNI.
fn namespaces() -> NamespaceOption {
    NamespaceOption {
        network: NamespaceMode::Node.into(),
        pid: NamespaceMode::Container.into(),
        ipc: NamespaceMode::Pod.into(),
        ..NamespaceOption::default()
    }
}

/// An image by its name.
fn spec(name: &str) -> ImageSpec {
    ImageSpec { image: name.to_owned(), ..ImageSpec::default() }
}
