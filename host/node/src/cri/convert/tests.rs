use super::*;

fn info(key: &str, json: &str) -> HashMap<String, String> {
    HashMap::from([(key.to_owned(), json.to_owned())])
}

#[test]
fn an_empty_container_converts() {
    let converted = container(v1::Container::default());
    assert_eq!(converted.created_at, Timestamp::UNIX_EPOCH);
    assert_eq!(converted.state, ContainerState::Created);
    assert_eq!(converted.image.iter().count(), 0);
    assert_eq!(sandbox(v1::PodSandbox::default()).pod, Pod::default());
    assert_eq!(image(v1::Image::default()).id.as_str(), "");
}

#[test]
fn absurd_times_are_clamped() {
    for nanoseconds in [i64::MIN, -1, 0] {
        assert_eq!(timestamp(nanoseconds), Timestamp::UNIX_EPOCH);
    }
    assert_eq!(nanoseconds(timestamp(i64::MAX)), i64::MAX);
    assert_eq!(nanoseconds(Timestamp::MAX), i64::MAX);
    assert_eq!(nanoseconds(Timestamp::MIN), 0);
}

#[test]
fn an_unknown_state_is_unknown() {
    assert_eq!(state(77), ContainerState::Unknown);
    for known in [ContainerState::Created, ContainerState::Running, ContainerState::Exited, ContainerState::Unknown] {
        assert_eq!(state(state_number(known)), known);
    }
}

#[test]
fn only_an_exited_container_has_an_end() {
    let exited = v1::ContainerStatus { state: 2, exit_code: 137, finished_at: 5, ..Default::default() };
    let running = v1::ContainerStatus { state: 1, ..exited.clone() };
    assert_eq!(details(exited.clone()).exit_code, Some(137));
    assert_eq!(details(exited).finished_at, Some(timestamp(5)));
    assert_eq!(details(running), Details::default());
    let without_time = v1::ContainerStatus { state: 2, finished_at: 0, ..Default::default() };
    assert_eq!(details(without_time).finished_at, None);
}

#[test]
fn image_volumes_are_found() {
    let spec = |image: &str, user: &str| v1::ImageSpec {
        image: image.to_owned(),
        user_specified_image: user.to_owned(),
        ..Default::default()
    };
    let mount = |image, host_path: &str| v1::Mount { image, host_path: host_path.to_owned(), ..Default::default() };
    assert_eq!(image_volume(mount(None, "/data")), None);
    assert_eq!(image_volume(mount(Some(spec("sha256:a", "a:1")), "")), Some("sha256:a".to_owned()));
    assert_eq!(image_volume(mount(Some(spec("", "a:1")), "/x")), Some("a:1".to_owned()));
    assert_eq!(image_volume(mount(Some(spec("", "")), "/data")), None);
    assert_eq!(image_volume(mount(Some(spec("", "")), "")), Some(String::new()));
}

#[test]
fn the_pod_comes_from_the_kubelets_labels() {
    let labels = [(POD_UID, "u"), (POD_NAMESPACE, "n"), (POD_NAME, "p")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let pod = container(v1::Container { labels, ..Default::default() }).pod;
    assert_eq!((pod.uid.as_str(), pod.namespace.as_str(), pod.name.as_str()), ("u", "n", "p"));
}

#[test]
fn sandbox_images_are_read_where_they_are() {
    let one = info("config", r#"{"containerd":{},"sandboxImage":"registry.k8s.io/pause:3.9"}"#);
    assert_eq!(sandbox_images(&one), ["registry.k8s.io/pause:3.9"]);
    let two = info("config", r#"{"pinnedImages":{"sandbox":"pause:2","other":"x:1"}}"#);
    assert_eq!(sandbox_images(&two), ["pause:2", "x:1"]);
    for nothing in ["", "{", "[]", "null", r#"{"sandboxImage":7}"#, r#"{"sandboxImage":""}"#] {
        assert!(sandbox_images(&info("config", nothing)).is_empty(), "{nothing}");
    }
    assert!(sandbox_images(&HashMap::new()).is_empty());
}

#[test]
fn several_sandbox_images_survive_the_way_there_and_back() {
    let images = ["a:1", "b:1", "c:1"].map(str::to_owned);
    assert_eq!(sandbox_images(&runtime_info(&images)), images);
    assert!(sandbox_images(&runtime_info(&[])).is_empty());
}

#[test]
fn a_sandbox_tells_its_image() {
    assert_eq!(sandbox_own_image(&info("info", r#"{"pid":7,"image":"localhost/pause:1"}"#)), "localhost/pause:1");
    assert_eq!(sandbox_own_image(&info("info", "not json")), "");
    assert_eq!(sandbox_own_image(&HashMap::new()), "");
}

#[test]
fn filesystems_are_numbered_and_not_repeated() {
    let usage = |path: &str, used| v1::FilesystemUsage {
        fs_id: Some(v1::FilesystemIdentifier { mountpoint: path.to_owned() }),
        used_bytes: Some(v1::UInt64Value { value: used }),
        ..Default::default()
    };
    let answer = v1::ImageFsInfoResponse {
        image_filesystems: vec![usage("/a", 1), usage("/b", 2)],
        container_filesystems: vec![usage("/a", 3), usage("/c", 4), v1::FilesystemUsage::default()],
    };
    let names: Vec<_> = filesystems(answer).into_iter().map(|it| (it.name, it.mountpoint, it.used_bytes)).collect();
    let expected = [
        ("images", "/a", Some(1)),
        ("images-2", "/b", Some(2)),
        ("containers", "/c", Some(4)),
        ("containers-2", "", None),
    ];
    assert_eq!(names, expected.map(|(name, path, used)| (name.to_owned(), path.to_owned(), used)));
    assert!(filesystems(v1::ImageFsInfoResponse::default()).is_empty());
}
