use holystone_core::container::ContainerState;
use k8s_cri::v1;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use tonic::transport::{Channel, Endpoint as Address, Uri};

use super::fixture::{Bench, container, id, image, snapshot};
use super::*;

async fn channel(node: &SimulatedNode) -> Channel {
    let path = node.endpoint().path().to_owned();
    let connect = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new) }
    });
    let address = Address::from_static("http://localhost");
    address.connect_with_connector(connect).await.unwrap()
}

fn spec(name: &str) -> v1::ImageSpec {
    v1::ImageSpec { image: name.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn an_image_answers_to_all_its_names() {
    let bench = Bench::new(20, Faults::none());
    let mut images = ImageServiceClient::new(channel(&bench.node).await);
    let short = format!("{:064x}", 3);
    let names = [
        id(3),
        short,
        "docker.io/minchou/app:v3".to_owned(),
        "minchou/app:v3".to_owned(),
        image(3).repo_digests[0].clone(),
    ];
    for name in names {
        let request = v1::ImageStatusRequest { image: Some(spec(&name)), verbose: false };
        let found = images.image_status(request).await.unwrap().into_inner().image;
        assert_eq!(found.unwrap().id, id(3), "{name}");
        // containerd ignores it.
        let filter = Some(v1::ImageFilter { image: Some(spec(&name)) });
        assert_eq!(images.list_images(v1::ListImagesRequest { filter }).await.unwrap().into_inner().images.len(), 20);
    }
    for name in ["", "nothing:1", "sha256:", "0000"] {
        let request = v1::ImageStatusRequest { image: Some(spec(name)), verbose: false };
        assert!(images.image_status(request).await.unwrap().into_inner().image.is_none(), "{name}");
    }
}

#[tokio::test]
async fn removals_never_object() {
    let bench = Bench::new(4, Faults::none());
    let mut images = ImageServiceClient::new(channel(&bench.node).await);
    for name in ["docker.io/minchou/app:v0", "docker.io/minchou/app:v0", "never/was:1"] {
        images.remove_image(v1::RemoveImageRequest { image: Some(spec(name)) }).await.unwrap();
    }
    assert_eq!(bench.node.images(), [id(1), id(2), id(3)]);
    let meant: Vec<_> = bench.node.removals().into_iter().map(|removal| removal.image).collect();
    assert_eq!(meant, [Some(id(0)), None, None]);
}

#[tokio::test]
async fn containers_are_filtered() {
    let bench = Bench::new(4, Faults::none());
    let mut runtime = RuntimeServiceClient::new(channel(&bench.node).await);
    let exited = v1::ContainerState::ContainerExited as i32;
    let cases = [
        (v1::ContainerFilter::default(), 2),
        (v1::ContainerFilter { id: "container-main".to_owned(), ..Default::default() }, 1),
        (v1::ContainerFilter { id: "container-m".to_owned(), ..Default::default() }, 1),
        (v1::ContainerFilter { id: "container-".to_owned(), ..Default::default() }, 0),
        (v1::ContainerFilter { pod_sandbox_id: "sandbox".to_owned(), ..Default::default() }, 2),
        (v1::ContainerFilter { state: Some(v1::ContainerStateValue { state: exited }), ..Default::default() }, 1),
        (v1::ContainerFilter { pod_sandbox_id: "other".to_owned(), ..Default::default() }, 0),
        (v1::ContainerFilter { label_selector: [("a".to_owned(), "init".to_owned())].into(), ..Default::default() }, 1),
        (v1::ContainerFilter { label_selector: [("b".to_owned(), String::new())].into(), ..Default::default() }, 0),
    ];
    for (filter, expected) in cases {
        let request = v1::ListContainersRequest { filter: Some(filter.clone()) };
        let listed = runtime.list_containers(request).await.unwrap().into_inner().containers;
        assert_eq!(listed.len(), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn shortened_ids_are_resolved_where_they_are_unique() {
    let bench = Bench::new(4, Faults::none());
    let mut runtime = RuntimeServiceClient::new(channel(&bench.node).await);
    for (id, found) in [("container-m", true), ("container-main", true), ("container-", false), ("", false)] {
        let request = v1::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        let status = runtime.container_status(request).await.map(|answer| answer.into_inner().status.unwrap().id);
        assert_eq!(status.ok().as_deref(), found.then_some("container-main"), "{id}");
    }
    for (id, found) in [("sand", true), ("sandbox-0", true), ("sandbox-01", false), ("", false)] {
        let request = v1::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        assert_eq!(runtime.pod_sandbox_status(request).await.is_ok(), found, "{id}");
        let filter = Some(v1::PodSandboxFilter { id: id.to_owned(), ..Default::default() });
        let listed = runtime.list_pod_sandbox(v1::ListPodSandboxRequest { filter }).await.unwrap().into_inner().items;
        assert_eq!(listed.len(), usize::from(found || id.is_empty()), "{id}");
    }
}

#[tokio::test]
async fn what_is_missing_or_not_offered_says_so() {
    let bench = Bench::new(1, Faults::none());
    let mut runtime = RuntimeServiceClient::new(channel(&bench.node).await);
    let request = v1::ContainerStatusRequest { container_id: "gone".to_owned(), verbose: false };
    assert_eq!(runtime.container_status(request).await.unwrap_err().code(), tonic::Code::NotFound);
    let request = v1::PodSandboxStatusRequest { pod_sandbox_id: "gone".to_owned(), verbose: false };
    assert_eq!(runtime.pod_sandbox_status(request).await.unwrap_err().code(), tonic::Code::NotFound);
    let stopped = runtime.stop_container(v1::StopContainerRequest::default()).await;
    assert_eq!(stopped.unwrap_err().code(), tonic::Code::Unimplemented);
}

#[tokio::test]
async fn a_dropped_node_leaves_no_socket_and_can_be_followed_by_another() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("cri.sock");
    let first = SimulatedNode::start(&socket, snapshot(1), Faults::none()).unwrap();
    assert!(matches!(SimulatedNode::start(&socket, snapshot(1), Faults::none()), Err(SimulationError::Bind { .. })));
    assert!(socket.exists(), "a failed start took the socket of another");
    drop(first);
    assert!(!socket.exists());
    // A node that was killed leaves its socket behind.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let second = SimulatedNode::start(&socket, snapshot(2), Faults::none()).unwrap();
    assert_eq!(second.images().len(), 2);
}

#[tokio::test]
async fn a_dropped_node_ends_its_connections() {
    let bench = Bench::new(1, Faults::none());
    let mut runtime = RuntimeServiceClient::new(channel(&bench.node).await);
    runtime.version(v1::VersionRequest::default()).await.unwrap();
    drop(bench);
    let call = runtime.version(v1::VersionRequest::default());
    assert!(tokio::time::timeout(std::time::Duration::from_secs(5), call).await.unwrap().is_err());
}

#[tokio::test]
async fn a_node_can_be_changed_while_it_runs() {
    let bench = Bench::new(3, Faults::none());
    bench.node.add_image(image(9));
    assert_eq!(bench.node.filesystems()[0].used_bytes, Some(601_000));
    assert!(bench.node.remove_image(&id(9)) && !bench.node.remove_image(&id(9)));
    assert_eq!(bench.node.filesystems()[0].used_bytes, Some(600_000));
    bench.node.add_container(container("more", 1));
    assert!(bench.node.remove_container("container-more") && !bench.node.remove_container("container-more"));
}

#[test]
fn a_node_needs_a_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let started = SimulatedNode::start(&directory.path().join("cri.sock"), snapshot(1), Faults::none());
    assert!(matches!(started, Err(SimulationError::NoRuntime)));
}

async fn versions(node: &SimulatedNode, calls: usize) -> Vec<Option<tonic::Code>> {
    let mut runtime = RuntimeServiceClient::new(channel(node).await);
    let mut answers = Vec::new();
    for _ in 0..calls {
        answers.push(runtime.version(v1::VersionRequest::default()).await.err().map(|status| status.code()));
    }
    answers
}

#[tokio::test]
async fn errors_come_at_the_calls_that_are_meant_and_with_every_code() {
    let faults = Faults::none().errors_at(&[2, 4], Method::Version, Code::Aborted, "no").later_errors(
        4,
        Method::Version,
        Code::DataLoss,
        "gone",
    );
    let bench = Bench::new(1, faults);
    let (aborted, lost) = (Some(tonic::Code::Aborted), Some(tonic::Code::DataLoss));
    assert_eq!(versions(&bench.node, 6).await, [None, aborted, None, aborted, lost, lost]);
    for code in Code::ALL {
        bench.node.change_faults(Faults::none().error(Method::Version, code, "no"));
        assert_eq!(format!("{:?}", versions(&bench.node, 1).await[0].unwrap()), format!("{code:?}"));
    }
}

#[tokio::test]
async fn a_call_that_hangs_is_one_and_a_halt_is_of_all_that_follow() {
    let bench = Bench::new(1, Faults::none().hang(Method::Version, 2));
    let patience = std::time::Duration::from_millis(100);
    assert_eq!(versions(&bench.node, 1).await, [None]);
    assert!(tokio::time::timeout(patience, versions(&bench.node, 1)).await.is_err());
    assert_eq!(versions(&bench.node, 1).await, [None]);
    bench.node.change_faults(Faults::none().halt(bench.node.all_calls() + 2));
    assert_eq!(versions(&bench.node, 1).await, [None]);
    for _ in 0..2 {
        assert!(tokio::time::timeout(patience, versions(&bench.node, 1)).await.is_err());
    }
    assert_eq!(bench.node.all_calls(), 6);
}

#[tokio::test]
async fn garbled_answers_are_none_and_are_counted() {
    for answer in [Answer::Nonsense, Answer::CutOff, Answer::TooLarge, Answer::WebPage] {
        let bench = Bench::new(1, Faults::none().garble(Method::Version, 2, answer));
        let answers = versions(&bench.node, 3).await;
        assert!(answers[0].is_none() && answers[1].is_some() && answers[2].is_none(), "{answer:?}: {answers:?}");
        assert_eq!(bench.node.calls(Method::Version), 3);
    }
}

#[tokio::test]
async fn images_on_a_disk_take_space_until_they_are_removed() {
    let bench = Bench::new(3, Faults::none().silent(id(1)));
    let disk = tempfile::tempdir().unwrap();
    bench.node.fill_disk(disk.path()).unwrap();
    let files = || std::fs::read_dir(disk.path()).unwrap().count();
    assert_eq!((files(), std::fs::metadata(disk.path().join(format!("{:064x}", 2))).unwrap().len()), (3, 1000));
    let mut images = ImageServiceClient::new(channel(&bench.node).await);
    let told = images.image_fs_info(v1::ImageFsInfoRequest {}).await.unwrap().into_inner().image_filesystems;
    assert_eq!(told[0].fs_id.as_ref().unwrap().mountpoint, disk.path().display().to_string());
    images.remove_image(v1::RemoveImageRequest { image: Some(spec(&id(0))) }).await.unwrap();
    assert_eq!(files(), 2);
    let silent = images.remove_image(v1::RemoveImageRequest { image: Some(spec(&id(1))) });
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), silent).await.is_err());
    assert_eq!((files(), bench.node.images()), (1, vec![id(2)]));
}

#[test]
fn faults_can_be_read_from_a_file() {
    let container = serde_json::to_value(container("late", 1)).unwrap();
    let text = serde_json::json!({
        "latencyMs": {"ListImages": 20},
        "errors": [
            {"method": "Status", "code": "Unavailable", "first": 2},
            {"method": "RemoveImage", "code": "DataLoss", "after": 3},
            {"method": "Version", "code": "Aborted", "after": 4, "first": 5},
        ],
        "delays": [{"method": "Version", "call": 2, "ms": 30}, {"method": "Version", "call": 3}],
        "garbled": [{"method": "ListImages", "call": 1, "answer": "cutOff"}],
        "halt": 90,
        "disconnects": [{"method": "RemoveImage", "call": 3, "downMs": 100}],
        "artifacts": ["e"], "readOnly": ["f"], "parents": {"g": "h"},
        "inUse": ["a"], "sticky": ["b"], "hanging": ["c"], "silent": ["d"],
        "appearances": [{"list": 2, "moment": "after", "container": container}],
    });
    let read: Faults = serde_json::from_value(text).unwrap();
    let millis = std::time::Duration::from_millis;
    let built = Faults::none()
        .latency(Method::ListImages, millis(20))
        .first_errors(2, Method::Status, Code::Unavailable, "")
        .later_errors(3, Method::RemoveImage, Code::DataLoss, "")
        .errors_at(&[5], Method::Version, Code::Aborted, "")
        .delay(Method::Version, 2, millis(30))
        .hang(Method::Version, 3)
        .garble(Method::ListImages, 1, Answer::CutOff)
        .halt(90)
        .disconnect(Method::RemoveImage, 3, millis(100))
        .silent("d")
        .artifact("e")
        .read_only("f")
        .built_on("g", "h")
        .in_use("a")
        .sticky("b")
        .hanging("c")
        .appearance(2, Moment::After, fixture::container("late", 1));
    assert_eq!(read, built);
    assert!(serde_json::from_str::<Faults>(r#"{"typo": 1}"#).is_err());
    assert_eq!(fixture::container("late", 1).state, ContainerState::Running);
}
