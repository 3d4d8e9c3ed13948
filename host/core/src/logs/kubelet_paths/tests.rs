use super::*;

const UID: &str = "0f1e2d3c-4b5a-6978-8695-a4b3c2d1e0f0";

fn place(host_path: &str, path: &str) -> Place {
    Place::of(host_path.as_bytes(), &path.parse().unwrap())
}

fn pod(uid: &str) -> PodDirectory {
    PodDirectory { namespace: "shop".to_owned(), name: "web-7.x".to_owned(), uid: uid.to_owned() }
}

#[test]
fn a_pods_directory_is_known_wherever_it_is() {
    let directory = format!("shop_web-7.x_{UID}");
    for (host_path, path, depth) in [
        ("/var/log/pods".to_owned(), directory.clone(), 0),
        ("/var/log".to_owned(), format!("pods/{directory}/main"), 1),
        ("/data/elsewhere".to_owned(), format!("{directory}/main/0.log"), 2),
        (format!("/var/log/pods/{directory}/"), "main/0.log".to_owned(), 2),
        (format!("/var/log/pods/{directory}"), String::new(), 0),
    ] {
        let place = place(&host_path, &path);
        assert_eq!((place.pod.as_ref(), place.depth), (Some(&pod(UID)), depth), "{host_path} {path}");
        assert_eq!(place.pod_uid(), Some(UID));
        assert!(!place.is_of_all_pods);
    }
    assert_eq!(place("/var/log/app", "a/b"), Place::default());
}

#[test]
fn the_kubelets_own_directories_are_known() {
    assert!(place("/var/log/pods", "").is_of_all_pods);
    assert!(place("/var/log/", "containers").is_of_all_pods);
    assert!(!place("/var/log/pods", "x").is_of_all_pods);
    assert!(!place("/data", "pods").is_of_all_pods);
}

#[test]
fn only_uids_that_kubernetes_makes_are_told_to_plugins() {
    let directory = |uid: &str| PodDirectory::parse(format!("shop_web-7.x_{uid}").as_bytes());
    for uid in [UID, "0123456789abcdef0123456789abcdef"] {
        assert!(directory(uid).unwrap().has_real_uid());
    }
    for uid in [
        "1",
        "0F1E2D3C-4b5a-6978-8695-a4b3c2d1e0f0",
        "0f1e2d3c4b5a-6978-8695-a4b3c2d1e0f0",
        "g123456789abcdef0123456789abcdef",
    ] {
        assert_eq!(directory(uid), Some(pod(uid)));
        assert!(!directory(uid).unwrap().has_real_uid(), "{uid}");
        assert_eq!(place("/x", &format!("shop_web-7.x_{uid}")).pod_uid(), None);
    }
    for name in ["shop_web", "_web_1", "shop__1", "shop_w b_1", "shop_web_", "plain"] {
        assert_eq!(PodDirectory::parse(name.as_bytes()), None, "{name}");
    }
    assert_eq!(PodDirectory::parse(b"shop_web\xff_1"), None);
}

#[test]
fn logs_of_containers_are_told_by_name() {
    for (name, what) in [
        ("0.log", ContainerLog::Live),
        ("12.log", ContainerLog::Live),
        ("0.log.20260102-030405", ContainerLog::Rotated),
        ("0.log.20260102-030405.gz", ContainerLog::Rotated),
        ("0.log.20260102-030405.tmp", ContainerLog::Temporary),
        ("x.tmp", ContainerLog::Temporary),
        (".log", ContainerLog::Other),
        ("a.log", ContainerLog::Other),
        ("0.log.1", ContainerLog::Other),
        ("0.log.2026010203-0405", ContainerLog::Other),
        ("0.log.gz", ContainerLog::Other),
        ("0.logs", ContainerLog::Other),
    ] {
        assert_eq!(ContainerLog::of(name.as_bytes()), what, "{name}");
    }
}

#[test]
fn links_to_containers_logs_name_the_container() {
    let id = "ab".repeat(32);
    assert_eq!(container_of_link(format!("web-7_shop_main-{id}.log").as_bytes()), Some(id.as_str()));
    for name in [
        format!("web_shop-{id}.log"),
        format!("web_shop_main-{}.log", &id[1..]),
        format!("web_shop_main-{id}"),
        format!("web__main-{id}.log"),
        "a.log".to_owned(),
    ] {
        assert_eq!(container_of_link(name.as_bytes()), None, "{name}");
    }
    assert!(is_docker_log(format!("{id}-json.log").as_bytes()));
    assert!(!is_docker_log(format!("{id}-json.log.1").as_bytes()));
    assert!(!is_docker_log(b"app-json.log"));
}

#[test]
fn the_uid_of_a_pod_from_a_file_is_any_text() {
    for (name, uid) in [
        ("kube-system_etcd-n1_etcd-static-7", "etcd-static-7"),
        ("kube-system_etcd-n1_etcd_static_7", "etcd_static_7"),
        ("kube-system_etcd-n1_7", "7"),
        ("kube-system_etcd-n1_a b:c", "a b:c"),
    ] {
        let pod = PodDirectory::parse(name.as_bytes()).unwrap();
        assert_eq!((pod.namespace.as_str(), pod.name.as_str(), pod.uid.as_str()), ("kube-system", "etcd-n1", uid));
        assert!(!pod.has_real_uid());
        let path = |rest: &str| format!("{name}/{rest}").parse::<LogPath>().unwrap();
        assert!(is_live_log(&path("etcd/0.log")) && is_live_log(&path("etcd/12.log.20260102-030405.tmp")));
        assert!(!is_live_log(&path("etcd/0.log.20260102-030405")) && !is_live_log(&path("0.log")));
        for other in ["etcd/app.log", "etcd/app.tmp", "etcd/1.tmp", "etcd/.log.tmp"] {
            assert!(!is_live_log(&path(other)), "{other}");
        }
    }
    assert!(is_live_log(&"x/pods/a_b_c/d/0.log".parse().unwrap()));
    assert!(!is_live_log(&"a_b/d/0.log".parse().unwrap()));
}

#[test]
fn a_directory_called_pods_is_one_of_pods() {
    for (host_path, path, is_among_pods) in [
        ("/var/log/pods", "a_b_c", true),
        ("/var/log", "pods/a_b_c/d", true),
        ("/data/pods/a_b_c", "d/0.log", true),
        ("/data", "a_b_c/pods/0.log", false),
        ("/data/podsy", "a_b_c", false),
        ("/", "a_b_c", false),
    ] {
        assert_eq!(place(host_path, path).is_among_pods, is_among_pods, "{host_path} {path}");
    }
}

#[test]
fn what_the_kubelet_or_a_runtime_keeps_keeps_its_directory() {
    let id = "0123456789abcdef".repeat(4);
    let (link, docker, pod) = (format!("web_shop_main-{id}.log"), format!("{id}-json.log"), format!("shop_web_{UID}"));
    let (file, directory, symlink) = (FileKind::File, FileKind::Directory, FileKind::Symlink);
    for (name, kind, kept) in [
        (&*link, symlink, true),
        (&*link, file, false),
        (&*link, directory, false),
        (&*docker, file, true),
        (&*docker, symlink, false),
        (&*docker, directory, false),
        (&*pod, directory, true),
        (&*pod, file, false),
        (&*pod, symlink, false),
        ("shop_web_some-day", directory, false),
        (&*format!("web_shop_main-{}.log", &id[1..]), symlink, false),
        (&*format!("{}-json.log", &id[1..]), file, false),
        (&*format!("{}-json.log", id.replace('a', "g")), file, false),
        ("app.log", file, false),
    ] {
        assert_eq!(is_kept(name.as_bytes(), kind), kept, "{name} {kind:?}");
    }
}
