use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use holystone_core::container::ContainerState;
use holystone_core::guard::images::{ImageObjection, Images};
use holystone_core::guard::{Clearance, Refusal};
use holystone_core::report::Outcome;
use holystone_core::sweep::Attempt;
use holystone_core::usage::Usage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::simulated::fixture::{Bench, clearance, container, id, image, snapshot};
use crate::simulated::v1alpha2;
use crate::simulated::{Code as FaultCode, Faults, Method, Moment};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn quick() -> Options {
    Options {
        call_timeout: Duration::from_millis(300),
        removal_timeout: Duration::from_millis(300),
        ..Options::default()
    }
}

fn at(path: &Path) -> Endpoint {
    path.display().to_string().parse().unwrap()
}

async fn failure(path: &Path) -> NodeError {
    Cri::connect(&at(path), Options::probe(Duration::from_secs(2))).await.err().unwrap()
}

/// Serves every connection with the same bytes, then closes it or holds it open.
fn speaks(path: &Path, bytes: &'static [u8], hold: bool) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = [0; 512];
                let _ = stream.read(&mut heard).await;
                let _ = stream.write_all(bytes).await;
                if hold {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
}

#[tokio::test]
async fn a_look_yields_the_seed() {
    let bench = Bench::new(5, Faults::none());
    let cri = bench.connect().await;
    let seen = cri.observe(NOW, "node-1").await.unwrap();
    let filesystem = seen.filesystems[0].clone();
    assert_eq!((filesystem.name.as_str(), filesystem.used_bytes), ("images", Some(600_000)));
    assert_eq!(filesystem.capacity_bytes, None, "figures of this machine got mixed in");
    assert_eq!(Snapshot { filesystems: snapshot(5).filesystems, ..seen }, snapshot(5));
}

#[tokio::test]
async fn names_that_are_none_are_not_seen() {
    let bench = Bench::new(3, Faults::none());
    let nameless = Image {
        repo_tags: vec!["<none>:<none>".to_owned()],
        repo_digests: vec!["<none>@<none>".to_owned()],
        ..image(3)
    };
    bench.node.add_image(nameless.clone());
    let seen = bench.connect().await.observe(NOW, "n").await.unwrap();
    let found = seen.image(nameless.id.as_str()).unwrap();
    assert!(found.is_dangling() && found.references().next().is_none(), "{found:?}");
}

#[tokio::test]
async fn the_second_look_is_cheap_and_complete() {
    let bench = Bench::new(5, Faults::none());
    let cri = bench.connect().await;
    let first = cri.observe(NOW, "node-1").await.unwrap();
    let calls = || {
        [Method::Version, Method::Status, Method::ContainerStatus, Method::PodSandboxStatus, Method::ImageFsInfo]
            .map(|it| bench.node.calls(it))
    };
    let before = calls();
    let second = cri.look(NOW, "node-1").await.unwrap();
    assert_eq!(calls(), before);
    assert_eq!(Snapshot { filesystems: first.filesystems.clone(), ..second }, first);
    let volume = Container { image_volumes: vec![id(4)], ..container("new", 3) };
    bench.node.add_container(volume.clone());
    let third = cri.look(NOW, "node-1").await.unwrap();
    assert!(third.containers.contains(&volume));
    assert_eq!(bench.node.calls(Method::ContainerStatus), before[2] + 1);
}

#[tokio::test]
async fn a_second_look_that_found_something_new_ends_with_lists_taken_after_it() {
    // The second new container appears after the list that shows the first.
    let faults = Faults::none().appearance(2, Moment::After, Container { id: "b".to_owned(), ..container("b", 4) });
    let bench = Bench::new(5, faults);
    let cri = bench.connect().await;
    cri.observe(NOW, "n").await.unwrap();
    bench.node.add_container(Container { id: "a".to_owned(), ..container("a", 3) });
    let seen = cri.look(NOW, "n").await.unwrap();
    assert!(seen.containers.iter().any(|container| container.id == "b"), "it is seen although it came during the look");
    assert_eq!(bench.node.calls(Method::ListContainers), 4, "once in the first look, and until nothing was new");
}

#[tokio::test]
async fn a_look_alone_asks_for_everything_that_protects() {
    let bench = Bench::new(5, Faults::none());
    let seen = bench.connect().await.look(NOW, "node-1").await.unwrap();
    assert_eq!(Snapshot { filesystems: snapshot(5).filesystems, ..seen }, snapshot(5));
}

#[tokio::test]
async fn a_full_look_notices_an_exit_and_forgets_the_gone() {
    let bench = Bench::new(3, Faults::none());
    let cri = bench.connect().await;
    cri.observe(NOW, "node-1").await.unwrap();
    let ended = Container {
        state: ContainerState::Exited,
        finished_at: Some(NOW + jiff::Span::new().seconds(9)),
        exit_code: Some(1),
        ..container("main", 0)
    };
    bench.node.add_container(ended.clone());
    bench.node.remove_container("container-init");
    assert_eq!(cri.observe(NOW, "node-1").await.unwrap().containers, [ended]);
    assert_eq!(cri.memory().containers.len(), 1);
}

#[tokio::test]
async fn a_container_without_status_has_vanished_only_if_a_fresh_list_says_so() {
    // The container stays listed, and its status is never found: its image volumes are unknown.
    let stuck = Bench::new(3, Faults::none().error(Method::ContainerStatus, FaultCode::NotFound, "gone"));
    let cri = stuck.connect().await;
    for seen in [cri.observe(NOW, "n").await.unwrap(), cri.look(NOW, "n").await.unwrap()] {
        let volumes: Vec<_> = seen.containers.iter().map(|container| container.image_volumes.clone()).collect();
        assert_eq!(volumes, [[UNKNOWN_IMAGE], [UNKNOWN_IMAGE]]);
        let usage = Usage::of(&seen);
        assert!((0..3).all(|place| !usage.users(place).is_empty()), "every image may be mounted there");
    }
    // If the status is found again, it counts.
    stuck.node.change_faults(Faults::none());
    assert_eq!(cri.look(NOW, "n").await.unwrap().containers, snapshot(3).containers);
}

#[tokio::test]
async fn a_container_that_vanishes_between_list_and_status_is_left_out() {
    let faults = Faults::none().delay(Method::ContainerStatus, 1, Duration::from_millis(300)).delay(
        Method::ContainerStatus,
        2,
        Duration::from_millis(300),
    );
    for full in [true, false] {
        let bench = Bench::new(3, faults.clone());
        let cri = bench.connect().await;
        let node = &bench.node;
        let vanish = async {
            while node.calls(Method::ListContainers) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(node.remove_container("container-init"));
        };
        let look = async { if full { cri.observe(NOW, "n").await } else { cri.look(NOW, "n").await } };
        let (seen, ()) = tokio::join!(look, vanish);
        let seen = seen.unwrap();
        let names: Vec<&str> = seen.containers.iter().map(|container| container.name.as_str()).collect();
        assert_eq!(names, ["main"]);
        assert!(!seen.containers[0].image_volumes.iter().any(|volume| volume == UNKNOWN_IMAGE));
    }
}

#[tokio::test]
async fn a_sandbox_without_status_that_is_still_listed_may_run_any_image() {
    let bench = Bench::new(3, Faults::none().error(Method::PodSandboxStatus, FaultCode::NotFound, "gone"));
    let seen = bench.connect().await.observe(NOW, "n").await.unwrap();
    assert!(!seen.sandboxes.is_empty() && seen.sandboxes.iter().all(|sandbox| sandbox.image == UNKNOWN_IMAGE));
    let usage = Usage::of(&seen);
    assert!((0..3).all(|place| !usage.users(place).is_empty()));
}

#[tokio::test]
async fn any_other_failure_of_a_status_is_one() {
    let broken = Bench::new(3, Faults::none().error(Method::ContainerStatus, FaultCode::Internal, "broken \u{1b}[31m"));
    let error = broken.connect().await.observe(NOW, "n").await.unwrap_err().to_string();
    assert!(error.contains("ContainerStatus of container container-") && error.contains("broken \\u{1b}"), "{error}");
}

#[tokio::test]
async fn any_list_that_fails_fails_the_look() {
    let methods = [
        Method::Status,
        Method::ListImages,
        Method::ListContainers,
        Method::ListPodSandbox,
        Method::PodSandboxStatus,
        Method::ImageFsInfo,
    ];
    for method in methods {
        let bench = Bench::new(3, Faults::none().error(method, FaultCode::Internal, "no"));
        let error = bench.connect().await.observe(NOW, "n").await.unwrap_err();
        assert!(error.to_string().contains(&format!("{method:?}")), "{error}");
    }
}

#[tokio::test]
async fn only_absence_is_tried_again() {
    let faults = Faults::none().first_errors(2, Method::ListImages, FaultCode::Unavailable, "restarting");
    let bench = Bench::new(3, faults);
    let options = Options { back_off: Duration::from_millis(5), ..Options::default() };
    let cri = Cri::connect(bench.node.endpoint(), options.clone()).await.unwrap();
    assert_eq!(cri.observe(NOW, "n").await.unwrap().images.len(), 3);
    assert_eq!(bench.node.calls(Method::ListImages), 3);

    let faults = Faults::none().error(Method::ListImages, FaultCode::Unavailable, "down").error(
        Method::ListContainers,
        FaultCode::Internal,
        "no",
    );
    let bench = Bench::new(3, faults);
    let cri = Cri::connect(bench.node.endpoint(), options).await.unwrap();
    let error = cri.look(NOW, "n").await.unwrap_err().to_string();
    assert!(error.contains("Unavailable: down (tried 4 times)"), "{error}");
    assert_eq!(bench.node.calls(Method::ListImages), 4);
    cri.list_containers().await.unwrap_err();
    assert_eq!(bench.node.calls(Method::ListContainers), 1);
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_call_is_survived() {
    for down in [0, 300] {
        let bench = Bench::new(5, Faults::none().disconnect(Method::ListImages, 1, Duration::from_millis(down)));
        let cri = bench.connect().await;
        assert_eq!(cri.observe(NOW, "n").await.unwrap().images.len(), 5);
        assert_eq!(bench.node.calls(Method::ListImages), 2);
    }
}

#[tokio::test]
async fn slowness_ends_in_a_timeout_that_names_the_call() {
    let bench = Bench::new(3, Faults::none().latency(Method::ListImages, Duration::from_mins(1)));
    let cri = Cri::connect(bench.node.endpoint(), quick()).await.unwrap();
    let start = Instant::now();
    let error = cri.observe(NOW, "n").await.unwrap_err();
    assert!(matches!(&error, NodeError::TimedOut { method, .. } if method == "ListImages"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(bench.node.calls(Method::ListImages), 1);
}

/// Requests a removal and expects an outcome.
async fn removed(cri: &Cri, clearance: Clearance<Images>) -> Outcome<Images> {
    match cri.remove_image(clearance).await {
        Attempt::Over(outcome) => outcome,
        other => panic!("no outcome: {other:?}"),
    }
}

#[tokio::test]
async fn an_accepted_removal_is_done() {
    let bench = Bench::new(6, Faults::none());
    let cri = bench.connect().await;
    assert_eq!(cri.remove_image(clearance(5)).await, Attempt::Accepted);
    assert_eq!(bench.node.images().len(), 5);
    assert_eq!(bench.node.removals()[0].asked, id(5));
    assert_eq!(cri.filesystems().await.unwrap()[0].used_bytes, Some(599_000));
    let modelled = &bench.node.filesystems()[0];
    assert_eq!((modelled.used_bytes, modelled.available_bytes), (Some(599_000), Some(401_000)));
}

#[tokio::test]
async fn a_removal_that_does_not_go_through_says_why() {
    let faults = Faults::none().in_use(id(3)).sticky(id(4)).hanging(id(5));
    let bench = Bench::new(6, faults);
    let cri = Cri::connect(bench.node.endpoint(), quick()).await.unwrap();
    let refused = removed(&cri, clearance(3)).await;
    let message = "image is in use by a container".to_owned();
    assert_eq!(refused, Outcome::NoLongerAllowed(ImageObjection::RuntimeSaysInUse { message }.into()));
    assert_eq!(cri.remove_image(clearance(4)).await, Attempt::Accepted, "it says so, and keeps the image");
    let Outcome::Failed(text) = removed(&cri, clearance(5)).await else { panic!("it should fail") };
    assert!(text.starts_with("no answer within 300ms (RemoveImage of sha256:"), "{text}");
    assert_eq!(bench.node.images().len(), 6);
}

#[tokio::test]
async fn other_runtimes_ways_of_saying_it() {
    let answer = |code, message: &str| {
        let bench = Bench::new(4, Faults::none().error(Method::RemoveImage, code, message));
        async move { removed(&bench.connect().await, clearance(3)).await }
    };
    assert_eq!(answer(FaultCode::NotFound, "no such image").await, Outcome::AlreadyGone);
    assert_eq!(answer(FaultCode::Unknown, "delete image: image not known").await, Outcome::AlreadyGone);
    assert_eq!(answer(FaultCode::Unknown, "called a write method on a read-only store").await, Outcome::AlreadyGone);
    for words in [
        "conflict: unable to delete 1 (cannot be forced) - image is being used by running container 2",
        "conflict: unable to delete 1 (must be forced) - image is referenced in multiple repositories",
        "Image is in use by a container",
        "image \"a\" is mounted as volume to container with ID: 1",
    ] {
        let Outcome::NoLongerAllowed(Refusal::Own(ImageObjection::RuntimeSaysInUse { message })) =
            answer(FaultCode::Unknown, words).await
        else {
            panic!("{words}")
        };
        assert_eq!(message, words);
    }
    assert!(matches!(answer(FaultCode::FailedPrecondition, "busy").await, Outcome::NoLongerAllowed(_)));
    let Outcome::Failed(text) = answer(FaultCode::Internal, "no space left").await else { panic!("it fails") };
    assert!(text.starts_with("no space left (Internal; RemoveImage of sha256:"), "{text}");
}

/// The decisive words follow the name of the image, however long that is.
#[tokio::test]
async fn a_refusal_is_told_by_all_that_the_runtime_said() {
    for length in [1, 190, 400, 4_000, 60_000] {
        let name = format!("docker.io/minchou/{}:v1", "long-".repeat(length / 5 + 1));
        for (before, after) in [
            (
                "conflict: unable to remove repository reference",
                "(must force) - container 1 is using its referenced image 2",
            ),
            ("delete image", "image is in use by a container"),
            ("conflict: unable to delete", "(cannot be forced) - image is being used by running container 3"),
        ] {
            let words = format!("{before} \"{name}\" {after}");
            let bench = Bench::new(4, Faults::none().error(Method::RemoveImage, FaultCode::Unknown, &words));
            let outcome = removed(&bench.connect().await, clearance(3)).await;
            let Outcome::NoLongerAllowed(refusal @ Refusal::Own(ImageObjection::RuntimeSaysInUse { .. })) = &outcome
            else {
                panic!("{length}: {outcome:?}")
            };
            let shown = refusal.to_string();
            assert!(shown.contains(before) && shown.ends_with(after), "{shown}");
            assert!(shown.chars().count() < 400, "{shown}");
        }
        let words = format!("conflict: unable to delete {name} (cannot be forced) - image has dependent child images");
        let bench = Bench::new(4, Faults::none().error(Method::RemoveImage, FaultCode::Unknown, words));
        let attempt = bench.connect().await.remove_image(clearance(3)).await;
        assert!(
            matches!(&attempt, Attempt::HasChildren(said) if said.ends_with("dependent child images")),
            "{attempt:?}"
        );
    }
    // The search for words is bounded.
    let words = format!("{} image is in use by a container", "x".repeat(200_000));
    let bench = Bench::new(4, Faults::none().error(Method::RemoveImage, FaultCode::Unknown, words));
    let outcome = removed(&bench.connect().await, clearance(3)).await;
    assert!(matches!(&outcome, Outcome::Failed(why) if why.len() < 4_000), "{outcome:?}");
}

#[tokio::test]
async fn a_removal_that_nobody_answers_is_not_repeated_on_an_old_look() {
    let absent = Faults::none().error(Method::RemoveImage, FaultCode::Unavailable, "restarting");
    let cut = Faults::none().disconnect(Method::RemoveImage, 1, Duration::ZERO);
    for faults in [absent, cut] {
        let bench = Bench::new(4, faults);
        let attempt = bench.connect().await.remove_image(clearance(3)).await;
        assert!(matches!(&attempt, Attempt::Unanswered(why) if why.contains("RemoveImage")), "{attempt:?}");
        assert_eq!(bench.node.calls(Method::RemoveImage), 1);
    }
}

#[tokio::test]
async fn looks_at_the_same_time_do_not_take_from_each_other() {
    let bench = Bench::new(5, Faults::none().latency(Method::ContainerStatus, Duration::from_millis(5)));
    let cri = bench.connect().await;
    for round in 0..10 {
        let volume = Container { image_volumes: vec![id(4)], ..container(&format!("new-{round}"), 3) };
        bench.node.add_container(volume.clone());
        let looks = futures_util::future::join_all((0..8).map(|_| cri.look(NOW, "n"))).await;
        assert!(looks.into_iter().all(|seen| seen.unwrap().containers.contains(&volume)));
    }
}

#[tokio::test]
async fn a_container_that_appears_is_seen_by_the_next_look() {
    let faults = Faults::none().appearance(1, Moment::After, container("late", 4)).appearance(
        1,
        Moment::Before,
        container("early", 3),
    );
    let bench = Bench::new(5, faults);
    let cri = bench.connect().await;
    let names = |seen: &Snapshot| seen.containers.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&cri.observe(NOW, "n").await.unwrap()), ["early", "init", "main"]);
    assert_eq!(names(&cri.look(NOW, "n").await.unwrap()), ["early", "init", "late", "main"]);
}

#[tokio::test]
async fn ten_thousand_images_are_one_look() {
    let bench = Bench::new(10_000, Faults::none());
    let cri = bench.connect().await;
    assert_eq!(cri.observe(NOW, "n").await.unwrap().images.len(), 10_000);
    assert_eq!(cri.remove_image(clearance(9)).await, Attempt::Accepted);
}

#[tokio::test]
async fn what_is_no_socket_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cri.sock");
    assert!(matches!(failure(&path).await, NodeError::NoSocket { .. }));
    assert!(matches!(failure(directory.path()).await, NodeError::NotASocket { found: "a directory", .. }));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(failure(&path).await, NodeError::NotASocket { found: "an ordinary file", .. }));
    assert!(matches!(failure(&path.join("below")).await, NodeError::NoSocket { .. }));
    std::fs::remove_file(&path).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(failure(&path).await, NodeError::NobodyListens { .. }));
}

#[tokio::test]
async fn a_socket_without_permission_is_named() {
    let bench = Bench::new(1, Faults::none());
    let path = bench.node.endpoint().path().to_owned();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root has access whatever the mode.
    if !rustix::process::geteuid().is_root() {
        assert!(matches!(failure(&path).await, NodeError::Denied { .. }));
    }
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    assert!(matches!(connect::by_system(&at(&path), &denied), NodeError::Denied { .. }));
}

#[tokio::test]
async fn what_is_no_grpc_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let speakers: [(&str, &'static [u8]); 4] = [
        ("web", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        ("garbage", b"\xff\xfe\x00garbage garbage garbage garbage"),
        ("close", b""),
        ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n"),
    ];
    for (name, bytes) in speakers {
        for hold in [false, !bytes.is_empty()] {
            let path = directory.path().join(format!("{name}{hold}.sock"));
            if path.exists() {
                continue;
            }
            speaks(&path, bytes, hold);
            let error = failure(&path).await;
            assert!(matches!(error, NodeError::NotGrpc { .. }), "{name} {hold}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_silent_socket_times_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("silent.sock");
    speaks(&path, b"", true);
    let error = Cri::connect(&at(&path), Options::probe(Duration::from_millis(200))).await.err().unwrap();
    assert!(matches!(error, NodeError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn grpc_without_cri_is_told_apart_from_the_old_cri() {
    let bench = Bench::new(
        1,
        Faults::none().error(Method::Version, FaultCode::Unimplemented, "unknown service runtime.v1.RuntimeService"),
    );
    let error = failure(bench.node.endpoint().path()).await;
    assert!(matches!(error, NodeError::NoCri { .. }) && error.to_string().contains("disabled_plugins"), "{error}");
    let path = bench.directory().join("alpha.sock");
    v1alpha2::serve(&path);
    let error = failure(&path).await;
    assert!(matches!(error, NodeError::OnlyAlpha { .. }) && error.to_string().contains("containerd 1.6"), "{error}");
}

#[test]
fn twins_are_one_image_with_all_names() {
    let second = Image { repo_tags: vec!["docker.io/other:1".to_owned()], pinned: true, ..image(7) };
    let merged = merge_twins(vec![image(7), image(6), second]);
    assert_eq!(merged.len(), 2);
    assert_eq!(merged[1].repo_tags, ["docker.io/minchou/app:v7", "docker.io/other:1"]);
    assert!(merged[1].pinned);
}

#[tokio::test]
async fn entries_that_cannot_be_told_apart_are_refused() {
    let bench = Bench::new(2, Faults::none());
    bench.node.add_image(Image { id: holystone_core::image::ImageId::new(""), ..image(3) });
    let error = bench.connect().await.observe(NOW, "n").await.unwrap_err();
    assert!(matches!(error, NodeError::Nonsense { method: "ListImages", .. }), "{error}");
}
