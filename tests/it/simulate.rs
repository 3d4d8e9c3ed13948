//! `holystone simulate`: a simulated node as a server of its own.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use holystone_tests::Cri;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{Ended, end, holystone, unused_images};

const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/snapshots/rollout-node.json");

/// A server, and what it said when it began to listen.
struct Server {
    child: Child,
    said: String,
}

impl Server {
    fn start(socket: &Path, more: &[&str]) -> Self {
        let mut child = command(socket, more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        Self { child, said }
    }

    fn end_by(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(socket: &Path, more: &[&str]) -> Command {
    let mut command = holystone();
    command.arg("simulate").arg("--socket").arg(socket).args(more);
    command
}

fn refused(socket: &Path, more: &[&str]) -> Ended {
    end(&mut command(socket, more)).expect(64)
}

fn place() -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("node.sock");
    (directory, socket)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_what_crictl_asks_and_takes_its_socket_away() {
    for signal in [Signal::TERM, Signal::INT] {
        let (directory, socket) = place();
        let server = Server::start(&socket, &["--snapshot", NODE]);
        assert_eq!(server.said, format!("125 images are served on unix://{}\n", socket.display()));
        let cri = Cri::new(&socket, directory.path()).unwrap();
        assert_eq!(cri.version().await.unwrap().runtime_name, "containerd");
        let images = cri.list_images().await.unwrap();
        assert_eq!(images.len(), 125);
        // By a shortened id, as people type it.
        let short = &images[0].id[..19];
        assert_eq!(cri.image_status(short).await.unwrap().unwrap().id, images[0].id);
        assert!(!cri.list_containers().await.unwrap().is_empty() && !cri.list_pods().await.unwrap().is_empty());
        cri.remove_image(short).await.unwrap();
        assert_eq!(cri.list_images().await.unwrap().len(), 124);
        assert_eq!(server.end_by(signal), Some(0));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flavour_and_size_are_chosen() {
    for (runtime, name, id) in [("cri-o", "cri-o", 64), ("docker", "docker", 71), ("containerd", "containerd", 71)] {
        for (images, expected) in [("40", 40), ("400", 400)] {
            let (directory, socket) = place();
            let _server = Server::start(&socket, &["--runtime", runtime, "--images", images]);
            let cri = Cri::new(&socket, directory.path()).unwrap();
            assert_eq!(cri.version().await.unwrap().runtime_name, name);
            let listed = cri.list_images().await.unwrap();
            assert_eq!(listed.len(), expected);
            assert!(listed.iter().all(|image| image.id.len() == id), "{runtime}");
            let endpoint = format!("unix://{}", socket.display());
            let config = r#"{"repositories":["docker.io/minchou/*"],"keepLast":1}"#;
            let report = unused_images("run", &endpoint, config, &[]).expect(0).json();
            assert_eq!(report["images"]["totals"]["failed"], 0);
            assert!(report["images"]["totals"]["removed"].as_u64().unwrap() > 10, "{runtime}");
        }
    }
    // Those in use are there whatever is asked for.
    let (directory, socket) = place();
    let _server = Server::start(&socket, &["--images", "0"]);
    let cri = Cri::new(&socket, directory.path()).unwrap();
    let images = cri.list_images().await.unwrap();
    assert!(!images.is_empty());
    for container in cri.list_containers().await.unwrap() {
        assert!(cri.image_status(&container.image.unwrap().image).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_read_from_a_file() {
    let (directory, socket) = place();
    let faults = directory.path().join("faults.json");
    std::fs::write(&faults, r#"{"errors":[{"method":"ListImages","code":"Internal","message":"on fire"}]}"#).unwrap();
    let _server = Server::start(&socket, &["--faults", faults.to_str().unwrap()]);
    let error = Cri::new(&socket, directory.path()).unwrap().list_images().await.unwrap_err();
    assert!(format!("{error:#}").contains("on fire"), "{error:#}");

    std::fs::write(&faults, r#"{"typo":1}"#).unwrap();
    let ended = refused(&directory.path().join("other.sock"), &["--faults", faults.to_str().unwrap()]);
    assert!(ended.stderr.contains("--faults: ") && ended.stderr.contains("unknown field `typo`"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_socket_of_its_own_is_replaced() {
    let (directory, socket) = place();
    // Somebody's file, directory and link, a socket in use, and one of a runtime that is down.
    std::fs::write(&socket, "mine").unwrap();
    assert!(refused(&socket, &[]).stderr.contains("is there already"));
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "mine");
    std::fs::remove_file(&socket).unwrap();
    std::fs::create_dir(&socket).unwrap();
    refused(&socket, &[]);
    std::fs::remove_dir(&socket).unwrap();
    let target = directory.path().join("target");
    let listener = UnixListener::bind(&target).unwrap();
    std::os::unix::fs::symlink(&target, &socket).unwrap();
    refused(&socket, &[]);
    std::fs::remove_file(&socket).unwrap();
    refused(&target, &[]);
    drop(listener);
    refused(&target, &[]);
    assert!(target.exists(), "the socket of a runtime that is down stays");

    let first = Server::start(&socket, &[]);
    assert!(refused(&socket, &[]).stderr.contains("already served"));
    assert!(Cri::new(&socket, directory.path()).unwrap().version().await.is_ok(), "the first goes on");
    // A killed one leaves its socket behind, which the next takes.
    first.end_by(Signal::KILL);
    assert!(socket.exists());
    let second = Server::start(&socket, &[]);
    assert!(Cri::new(&socket, directory.path()).unwrap().version().await.is_ok());
    assert_eq!(second.end_by(Signal::TERM), Some(0));
    // Another socket at the path of a killed one is not its own.
    Server::start(&socket, &[]).end_by(Signal::KILL);
    std::fs::remove_file(&socket).unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    refused(&socket, &[]);
    assert!(socket.exists());
}

#[test]
fn wrong_usage_is_told() {
    let (_directory, socket) = place();
    for (more, word) in [
        (&["--images", "many"][..], "a whole number"),
        (&["--images", "3", "--snapshot", NODE], "--snapshot"),
        (&["--runtime", "rkt"], "cri-o"),
        (&["--snapshot", "/nowhere.json"], "/nowhere.json"),
    ] {
        let stderr = refused(&socket, more).stderr;
        assert!(stderr.contains(word), "{more:?}: {stderr}");
        assert!(!socket.exists());
    }
    let relative = refused(Path::new("node.sock"), &[]).stderr;
    assert!(relative.contains("absolute path"), "{relative}");
}
