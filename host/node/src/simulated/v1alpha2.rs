//! A runtime from before CRI v1, for tests, which answers only `Version` of v1alpha2.

use std::future::ready;
use std::path::Path;

use futures_util::future::BoxFuture;
use k8s_cri::v1alpha2 as v1;
use k8s_cri::v1alpha2::runtime_service_server::{RuntimeService, RuntimeServiceServer};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

struct OldRuntime;

pub(crate) fn serve(path: &Path) {
    let incoming = UnixListenerStream::new(UnixListener::bind(path).unwrap());
    tokio::spawn(Server::builder().add_service(RuntimeServiceServer::new(OldRuntime)).serve_with_incoming(incoming));
}

#[tonic::async_trait]
impl RuntimeService for OldRuntime {
    async fn version(&self, _: Request<v1::VersionRequest>) -> Result<Response<v1::VersionResponse>, Status> {
        Ok(Response::new(v1::VersionResponse::default()))
    }

    not_simulated! {
        run_pod_sandbox: RunPodSandboxRequest => RunPodSandboxResponse,
        stop_pod_sandbox: StopPodSandboxRequest => StopPodSandboxResponse,
        remove_pod_sandbox: RemovePodSandboxRequest => RemovePodSandboxResponse,
        pod_sandbox_status: PodSandboxStatusRequest => PodSandboxStatusResponse,
        list_pod_sandbox: ListPodSandboxRequest => ListPodSandboxResponse,
        create_container: CreateContainerRequest => CreateContainerResponse,
        start_container: StartContainerRequest => StartContainerResponse,
        stop_container: StopContainerRequest => StopContainerResponse,
        remove_container: RemoveContainerRequest => RemoveContainerResponse,
        list_containers: ListContainersRequest => ListContainersResponse,
        container_status: ContainerStatusRequest => ContainerStatusResponse,
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
        status: StatusRequest => StatusResponse,
    }
}
