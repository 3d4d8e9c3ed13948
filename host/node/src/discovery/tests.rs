use super::*;
use crate::simulated::fixture::snapshot;
use crate::simulated::{Code, Faults, Method, SimulatedNode};

fn env(root: &Path) -> DiscoveryEnv {
    DiscoveryEnv { variable: None, crictl_yaml: root.join("crictl.yaml"), root: root.to_owned() }
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
    for part in ["does not offer CRI", "nobody listens", "there is nothing at", "microk8s", "--endpoint"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}
