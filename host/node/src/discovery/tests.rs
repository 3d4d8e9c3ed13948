use super::*;
use crate::simulated::fixture::snapshot;
use crate::simulated::{Code, Faults, Method, SimulatedNode};

fn env(root: &Path) -> DiscoveryEnv {
    DiscoveryEnv { variable: None, crictl_yaml: root.join("crictl.yaml"), root: root.to_owned(), run_dir: None }
}

fn node(root: &Path, path: &str, faults: Faults) -> SimulatedNode {
    let socket = root.join(path);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    SimulatedNode::start(&socket, snapshot(1), faults).unwrap()
}

fn old() -> Faults {
    Faults::none().error(Method::Version, Code::Unimplemented, "unknown service runtime.v1.RuntimeService")
}

#[tokio::test]
async fn the_variable_comes_first() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("crictl.yaml"), "runtime-endpoint: /from/yaml\n").unwrap();
    let mut around = env(root.path());
    around.variable = Some("unix:///from/variable".to_owned());
    assert_eq!(discover(&around).await.unwrap().path(), Path::new("/from/variable"));
    around.variable = Some(" ".to_owned());
    assert_eq!(discover(&around).await.unwrap().path(), Path::new("/from/yaml"));
    around.variable = Some("tcp://x".to_owned());
    assert!(discover(&around).await.unwrap_err().to_string().contains("CONTAINER_RUNTIME_ENDPOINT"));
}

#[test]
fn crictls_configuration_is_read_or_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("crictl.yaml");
    let read = |text: &str| {
        std::fs::write(&file, text).unwrap();
        from_crictl_yaml(&file)
    };
    assert!(from_crictl_yaml(&file).unwrap().is_none());
    for unset in
        ["", "# nothing\n", "---\n", "runtime-endpoint:\n", "runtime-endpoint: \"\"\ntimeout: 2\n", "debug: false\n"]
    {
        assert!(read(unset).unwrap().is_none(), "{unset:?}");
    }
    let full = "runtime-endpoint: unix:///run/c.sock\nimage-endpoint: \"\"\ntimeout: 0\ndebug: false\npull-image-on-create: false\n";
    assert_eq!(read(full).unwrap().unwrap().path(), Path::new("/run/c.sock"));
    for broken in ["{", "[1]", "runtime-endpoint: [a]", "text", "runtime-endpoint: tcp://x"] {
        let error = read(broken).unwrap_err().to_string();
        assert!(error.contains("crictl.yaml"), "{broken:?}: {error}");
    }
}

#[test]
fn the_sockets_in_run_are_those_that_pods_need() {
    let in_run: Vec<String> =
        WELL_KNOWN.iter().filter(|path| path.starts_with("run/")).map(|path| format!("/{path}")).collect();
    assert_eq!(in_run, holystone_core::cluster::RUN_SOCKETS);
}

#[tokio::test]
async fn where_run_is_elsewhere_only_the_sockets_in_it_count() {
    let root = tempfile::tempdir().unwrap();
    let _own = node(root.path(), "run/crio/crio.sock", Faults::none());
    let of_the_node = node(root.path(), "host/run/k3s/containerd/containerd.sock", Faults::none());
    std::fs::write(root.path().join("crictl.yaml"), "runtime-endpoint: /from/yaml\n").unwrap();
    let mut around = env(root.path());
    around.variable = Some("unix:///from/variable".to_owned());
    around.run_dir = Some(root.path().join("host/run"));
    assert_eq!(discover(&around).await.unwrap(), *of_the_node.endpoint());
    let other = node(root.path(), "host/run/crio/crio.sock", Faults::none());
    let several = discover(&around).await.unwrap_err().to_string();
    let both = format!("{}, {}", of_the_node.endpoint(), other.endpoint());
    assert_eq!(several, format!("several container runtimes answer here: {both}; choose one with --endpoint"));
    around.run_dir = Some(root.path().join("elsewhere"));
    let none = discover(&around).await.unwrap_err().to_string();
    let missing: Vec<String> = holystone_core::cluster::RUN_SOCKETS
        .iter()
        .map(|socket| root.path().join("elsewhere").join(&socket["/run/".len()..]).display().to_string())
        .collect();
    let expected = format!("there is nothing at {}; name its socket with --endpoint", missing.join(", "));
    assert_eq!(none, format!("no container runtime answers here; {expected}"));
}

#[tokio::test]
async fn the_only_runtime_that_answers_is_found() {
    let root = tempfile::tempdir().unwrap();
    let _old = node(root.path(), WELL_KNOWN[0], old());
    let new = node(root.path(), WELL_KNOWN[2], Faults::none());
    assert_eq!(discover(&env(root.path())).await.unwrap(), *new.endpoint());
}

#[tokio::test]
async fn two_paths_to_one_socket_are_one_runtime() {
    let root = tempfile::tempdir().unwrap();
    let new = node(root.path(), WELL_KNOWN[0], Faults::none());
    std::fs::create_dir(root.path().join("var")).unwrap();
    std::os::unix::fs::symlink("../run", root.path().join("var/run")).unwrap();
    assert_eq!(discover(&env(root.path())).await.unwrap(), *new.endpoint());
}

#[tokio::test]
async fn several_runtimes_are_a_question() {
    let root = tempfile::tempdir().unwrap();
    let nodes = [WELL_KNOWN[0], WELL_KNOWN[5]].map(|path| node(root.path(), path, Faults::none()));
    let error = discover(&env(root.path())).await.unwrap_err().to_string();
    for node in &nodes {
        assert!(error.contains(&node.endpoint().to_string()), "{error}");
    }
    assert!(error.contains("--endpoint"), "{error}");
}

#[tokio::test]
async fn no_runtime_is_explained_socket_by_socket() {
    let root = tempfile::tempdir().unwrap();
    let _old = node(root.path(), WELL_KNOWN[0], old());
    let stale = root.path().join(WELL_KNOWN[5]);
    std::fs::create_dir_all(stale.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let error = discover(&env(root.path())).await.unwrap_err().to_string();
    for part in ["does not offer CRI", "nothing listens", "there is nothing at", "microk8s", "--endpoint"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}
