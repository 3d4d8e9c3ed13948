//! The CRI calls that a simulated node answers, as containerd does, and those about images as the runtime that the
//! seed names ([`super::ways`]).
//!
//! The traps of these answers are kept. containerd accepts the removal of an image that is in use, and any runtime
//! that of a missing image. The status of a missing image is no error, but that of a missing container is. Every other
//! call is unimplemented.

use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::stream::Empty;
use holystone_core::container::{Container, Sandbox};
use holystone_core::snapshot::Filesystem;
use jiff::Timestamp;
use k8s_cri::v1;
use k8s_cri::v1::image_service_server::ImageService;
use k8s_cri::v1::runtime_service_server::RuntimeService;
use tokio::sync::broadcast;
use tonic::{Request, Response, Status};

use super::faults::{Code, Method, Pause};
use super::store::{Removal, Store};
use super::ways::{Answered, Flavour};
use super::wire::Cut;
use crate::cri::convert as messages;

#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) store: Arc<Mutex<Store>>,
    pub(super) cuts: broadcast::Sender<Cut>,
}

impl Service {
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and applies its faults. Returns the number of the call among those of its kind.
    pub(super) async fn enter(&self, method: Method) -> Result<u64, Status> {
        let (call, pause, error, cut) = {
            let mut store = self.store();
            let call = store.count(method);
            let halted = store.faults.halt.is_some_and(|halt| store.all_calls() >= halt);
            let pause = if halted { Pause::ForEver } else { store.faults.pause_of(method, call) };
            let error = store.faults.error_of(method, call).map(status);
            (call, pause, error, store.faults.disconnect_of(method, call))
        };
        match pause {
            Pause::None => {}
            Pause::For(time) => tokio::time::sleep(time).await,
            Pause::ForEver => std::future::pending().await,
        }
        if let Some(down) = cut {
            drop(self.cuts.send(down));
            std::future::pending::<()>().await;
        }
        error.map_or(Ok(call), Err)
    }

    /// Removes the image that a name resolves to, and returns the answer of the runtime.
    fn remove(&self, name: &str) -> Answered {
        let mut store = self.store();
        if store.flavour == Flavour::CriO && name.is_empty() {
            return Answered::Refused("no image specified".to_owned());
        }
        let id = store.find(name).map(|image| image.id.to_string());
        store.removals.push(Removal { asked: name.to_owned(), image: id.clone() });
        id.map_or(Answered::Done, |id| store.remove_by(name, &id))
    }
}

fn status(fault: &super::faults::ErrorFault) -> Status {
    let code = match fault.code {
        Code::Cancelled => tonic::Code::Cancelled,
        Code::Unknown => tonic::Code::Unknown,
        Code::InvalidArgument => tonic::Code::InvalidArgument,
        Code::DeadlineExceeded => tonic::Code::DeadlineExceeded,
        Code::NotFound => tonic::Code::NotFound,
        Code::AlreadyExists => tonic::Code::AlreadyExists,
        Code::PermissionDenied => tonic::Code::PermissionDenied,
        Code::ResourceExhausted => tonic::Code::ResourceExhausted,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::Aborted => tonic::Code::Aborted,
        Code::OutOfRange => tonic::Code::OutOfRange,
        Code::Unimplemented => tonic::Code::Unimplemented,
        Code::Internal => tonic::Code::Internal,
        Code::Unavailable => tonic::Code::Unavailable,
        Code::DataLoss => tonic::Code::DataLoss,
        Code::Unauthenticated => tonic::Code::Unauthenticated,
    };
    Status::new(code, &fault.message)
}

fn name_of(image: Option<v1::ImageSpec>) -> String {
    image.unwrap_or_default().image
}

#[tonic::async_trait]
impl ImageService for Service {
    async fn list_images(
        &self,
        request: Request<v1::ListImagesRequest>,
    ) -> Result<Response<v1::ListImagesResponse>, Status> {
        self.enter(Method::ListImages).await?;
        let wanted = name_of(request.into_inner().filter.unwrap_or_default().image);
        let store = self.store();
        let mut images = store.listed();
        // containerd ignores the filter.
        if !wanted.is_empty() && store.flavour != Flavour::Containerd {
            let id = store.find(&wanted).map(|image| image.id.clone());
            images.retain(|image| Some(&image.id) == id.as_ref());
        }
        let images = images.iter().map(messages::image_message).collect();
        Ok(Response::new(v1::ListImagesResponse { images }))
    }

    async fn image_status(
        &self,
        request: Request<v1::ImageStatusRequest>,
    ) -> Result<Response<v1::ImageStatusResponse>, Status> {
        self.enter(Method::ImageStatus).await?;
        let name = name_of(request.into_inner().image);
        let image = self.store().find(&name).map(messages::image_message);
        Ok(Response::new(v1::ImageStatusResponse { image, ..Default::default() }))
    }

    async fn remove_image(
        &self,
        request: Request<v1::RemoveImageRequest>,
    ) -> Result<Response<v1::RemoveImageResponse>, Status> {
        self.enter(Method::RemoveImage).await?;
        match self.remove(&name_of(request.into_inner().image)) {
            Answered::Done => Ok(Response::new(v1::RemoveImageResponse {})),
            Answered::Refused(words) => Err(Status::unknown(words)),
            Answered::Never => std::future::pending().await,
        }
    }

    async fn image_fs_info(
        &self,
        _: Request<v1::ImageFsInfoRequest>,
    ) -> Result<Response<v1::ImageFsInfoResponse>, Status> {
        self.enter(Method::ImageFsInfo).await?;
        let now = Timestamp::now();
        let store = self.store();
        let usage_of = |kind: &str| -> Vec<v1::FilesystemUsage> {
            let of_kind = store.filesystems.iter().filter(|filesystem| is_of_kind(filesystem, kind));
            of_kind.map(|it| messages::filesystem_message(it, store.place_of(it), now)).collect()
        };
        let (image_filesystems, container_filesystems) = (usage_of("images"), usage_of("containers"));
        Ok(Response::new(v1::ImageFsInfoResponse { image_filesystems, container_filesystems }))
    }

    not_simulated! { pull_image: PullImageRequest => PullImageResponse }
}

fn is_of_kind(filesystem: &Filesystem, kind: &str) -> bool {
    filesystem.name.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[tonic::async_trait]
impl RuntimeService for Service {
    type GetContainerEventsStream = Empty<Result<v1::ContainerEventResponse, Status>>;

    async fn version(&self, _: Request<v1::VersionRequest>) -> Result<Response<v1::VersionResponse>, Status> {
        self.enter(Method::Version).await?;
        let store = self.store();
        Ok(Response::new(v1::VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: store.node.runtime_name.clone(),
            runtime_version: store.node.runtime_version.clone(),
            runtime_api_version: "v1".to_owned(),
        }))
    }

    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        self.enter(Method::Status).await?;
        let condition =
            |kind: &str| v1::RuntimeCondition { r#type: kind.to_owned(), status: true, ..Default::default() };
        let status = v1::RuntimeStatus { conditions: vec![condition("RuntimeReady"), condition("NetworkReady")] };
        let mut answer = v1::StatusResponse { status: Some(status), ..Default::default() };
        if request.into_inner().verbose {
            answer.info = messages::runtime_info(&self.store().node.sandbox_images);
        }
        Ok(Response::new(answer))
    }

    async fn list_containers(
        &self,
        request: Request<v1::ListContainersRequest>,
    ) -> Result<Response<v1::ListContainersResponse>, Status> {
        let list = self.enter(Method::ListContainers).await?;
        let mut filter = request.into_inner().filter.unwrap_or_default();
        let mut store = self.store();
        let listed = store.list_containers(list);
        // A filter may shorten ids.
        if let Some(container) = store.container(&filter.id) {
            filter.id.clone_from(&container.id);
        }
        if let Some(sandbox) = store.sandbox(&filter.pod_sandbox_id) {
            filter.pod_sandbox_id.clone_from(&sandbox.id);
        }
        let containers = listed.iter().filter_map(|container| container_if(container, &filter)).collect();
        Ok(Response::new(v1::ListContainersResponse { containers }))
    }

    async fn container_status(
        &self,
        request: Request<v1::ContainerStatusRequest>,
    ) -> Result<Response<v1::ContainerStatusResponse>, Status> {
        self.enter(Method::ContainerStatus).await?;
        let id = request.into_inner().container_id;
        match self.store().container(&id) {
            Some(container) => Ok(Response::new(v1::ContainerStatusResponse {
                status: Some(messages::status_message(container)),
                ..Default::default()
            })),
            None => Err(Status::not_found(format!("an error occurred when try to find container \"{id}\": not found"))),
        }
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<v1::ListPodSandboxRequest>,
    ) -> Result<Response<v1::ListPodSandboxResponse>, Status> {
        self.enter(Method::ListPodSandbox).await?;
        let mut filter = request.into_inner().filter.unwrap_or_default();
        let store = self.store();
        if let Some(sandbox) = store.sandbox(&filter.id) {
            filter.id.clone_from(&sandbox.id);
        }
        let items = store.sandboxes.values().filter_map(|sandbox| sandbox_if(sandbox, &filter)).collect();
        Ok(Response::new(v1::ListPodSandboxResponse { items }))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<v1::PodSandboxStatusRequest>,
    ) -> Result<Response<v1::PodSandboxStatusResponse>, Status> {
        self.enter(Method::PodSandboxStatus).await?;
        let v1::PodSandboxStatusRequest { pod_sandbox_id: id, verbose } = request.into_inner();
        match self.store().sandbox(&id) {
            Some(sandbox) => Ok(Response::new(messages::sandbox_status_message(sandbox, verbose))),
            None => Err(Status::not_found(format!("an error occurred when try to find sandbox: \"{id}\": not found"))),
        }
    }

    fn get_container_events<'life0, 'async_trait>(
        &'life0 self,
        _: Request<v1::GetEventsRequest>,
    ) -> BoxFuture<'async_trait, Result<Response<Self::GetContainerEventsStream>, Status>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(ready(Err(Status::unimplemented("a simulated node has no events"))))
    }

    not_simulated! {
        run_pod_sandbox: RunPodSandboxRequest => RunPodSandboxResponse,
        stop_pod_sandbox: StopPodSandboxRequest => StopPodSandboxResponse,
        remove_pod_sandbox: RemovePodSandboxRequest => RemovePodSandboxResponse,
        create_container: CreateContainerRequest => CreateContainerResponse,
        start_container: StartContainerRequest => StartContainerResponse,
        stop_container: StopContainerRequest => StopContainerResponse,
        remove_container: RemoveContainerRequest => RemoveContainerResponse,
        update_container_resources: UpdateContainerResourcesRequest => UpdateContainerResourcesResponse,
        reopen_container_log: ReopenContainerLogRequest => ReopenContainerLogResponse,
        exec_sync: ExecSyncRequest => ExecSyncResponse,
        exec: ExecRequest => ExecResponse,
        attach: AttachRequest => AttachResponse,
        port_forward: PortForwardRequest => PortForwardResponse,
        container_stats: ContainerStatsRequest => ContainerStatsResponse,
        list_container_stats: ListContainerStatsRequest => ListContainerStatsResponse,
        pod_sandbox_stats: PodSandboxStatsRequest => PodSandboxStatsResponse,
        list_pod_sandbox_stats: ListPodSandboxStatsRequest => ListPodSandboxStatsResponse,
        update_runtime_config: UpdateRuntimeConfigRequest => UpdateRuntimeConfigResponse,
        checkpoint_container: CheckpointContainerRequest => CheckpointContainerResponse,
        list_metric_descriptors: ListMetricDescriptorsRequest => ListMetricDescriptorsResponse,
        list_pod_sandbox_metrics: ListPodSandboxMetricsRequest => ListPodSandboxMetricsResponse,
        runtime_config: RuntimeConfigRequest => RuntimeConfigResponse,
    }
}

fn container_if(container: &Container, filter: &v1::ContainerFilter) -> Option<v1::Container> {
    let message = messages::container_message(container);
    let state = filter.state.as_ref().is_none_or(|wanted| wanted.state == message.state);
    let labels = filter.label_selector.iter().all(|(key, value)| message.labels.get(key) == Some(value));
    let is = |wanted: &str, id: &str| wanted.is_empty() || wanted == id;
    let ids = is(&filter.pod_sandbox_id, &message.pod_sandbox_id) && is(&filter.id, &message.id);
    (state && labels && ids).then_some(message)
}

fn sandbox_if(sandbox: &Sandbox, filter: &v1::PodSandboxFilter) -> Option<v1::PodSandbox> {
    let message = messages::sandbox_message(sandbox);
    let state = filter.state.as_ref().is_none_or(|wanted| wanted.state == message.state);
    let labels = filter.label_selector.iter().all(|(key, value)| message.labels.get(key) == Some(value));
    (state && labels && (filter.id.is_empty() || filter.id == message.id)).then_some(message)
}
