//! Which directories are opened as log roots: by what they are, whatever path leads there.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use holystone_core::logs::{FileKind, Identity, RuntimeDirectory, WalkOptions};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use super::attacks::in_own_mounts;
use super::*;
use crate::logs::open_files::tests::real::Holder;

fn open(own: &[OwnDirectory], specs: &[RootSpec]) -> Result<LogRoots, String> {
    LogRoots::open_apart_from(own, specs, WalkLimits::default(), None).map_err(|error| error.to_string())
}

/// In both orders, for neither may matter.
#[track_caller]
fn overlap(outer: &Path, inner: &Path) -> [String; 2] {
    let (outer, inner) = (RootSpec::new("outer", outer), RootSpec::new("inner", inner));
    [open(&[], &[outer.clone(), inner.clone()]).unwrap_err(), open(&[], &[inner, outer]).unwrap_err()]
}

const ADVICE: &str = "declare the outer one alone and pick by globs, or two that lie apart";

#[test]
fn a_root_that_lies_in_another_is_refused() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("app/deep/x.log", "x");
    for inner in ["app", "app/deep"] {
        let told = overlap(&scene.root, &scene.root.join(inner));
        assert!(told[0].ends_with(&format!(": it lies in the log root outer; {ADVICE}")), "{told:?}");
        assert!(told[1].ends_with(&format!(": the log root inner lies in it; {ADVICE}")), "{told:?}");
    }
    // Names that only look as if they did.
    fs::create_dir(scene.outside.join("app")).unwrap();
    fs::create_dir(scene.outside.join("app-2")).unwrap();
    let apart = ["app", "app-2"].map(|name| RootSpec::new(name, scene.outside.join(name)));
    assert_eq!(open(&[], &apart).unwrap().names().count(), 2);
}

#[test]
fn one_directory_is_one_root() {
    let scene = Scene::new(Confinement::OneCall);
    let twice = scene.root.join("../root");
    assert!(overlap(&scene.root, &twice)[0].contains("give an absolute path"), "by .. it is none at all");
    let doubled = Path::new("/").join(format!("/{}//", scene.root.display()));
    for told in overlap(&scene.root, &doubled) {
        assert!(told.contains("it is the same directory as the log root "), "{told}");
    }
    in_own_mounts("one_directory_is_one_root", || {
        let bound = scene.outside.join("bound");
        fs::create_dir(&bound).unwrap();
        mount_bind(&scene.root, &bound).unwrap();
        for told in overlap(&scene.root, &bound) {
            assert!(told.contains("it is the same directory as the log root "), "{told}");
        }
        unmount(&bound, UnmountFlags::DETACH).unwrap();
    });
}

#[test]
fn roots_overlap_by_what_they_are_and_not_by_their_paths() {
    in_own_mounts("roots_overlap_by_what_they_are", || {
        let scene = Scene::new(Confinement::OneCall);
        scene.file("app/deep/x.log", "x");
        let bound = scene.outside.join("bound");
        fs::create_dir(&bound).unwrap();
        // What lies in the root is mounted elsewhere.
        mount_bind(scene.root.join("app"), &bound).unwrap();
        fs::create_dir(bound.join("more")).unwrap();
        for inner in [bound.clone(), bound.join("deep"), bound.join("more")] {
            let told = overlap(&scene.root, &inner);
            assert!(told[0].ends_with(&format!("it lies in the log root outer; {ADVICE}")), "{told:?}");
            assert!(told[1].ends_with(&format!("the log root inner lies in it; {ADVICE}")), "{told:?}");
        }
        unmount(&bound, UnmountFlags::DETACH).unwrap();
        // Something else that is mounted in the root is another place: a walk does not enter it.
        mount_bind(&scene.outside, scene.root.join("app/deep")).unwrap();
        let apart = [RootSpec::new("a", &scene.root), RootSpec::new("b", scene.root.join("app/deep"))];
        assert_eq!(open(&[], &apart).unwrap().names().count(), 2);
        unmount(scene.root.join("app/deep"), UnmountFlags::DETACH).unwrap();
    });
}

#[test]
fn a_disk_that_is_mounted_twice_is_one() {
    in_own_mounts("a_disk_that_is_mounted_twice", || {
        let scene = Scene::new(Confinement::OneCall);
        let (one, two) = (scene.outside.join("one"), scene.outside.join("two"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&two).unwrap();
        mount("tmpfs", &one, "tmpfs", MountFlags::empty(), None).unwrap();
        fs::create_dir_all(one.join("app/logs")).unwrap();
        mount_bind(one.join("app"), &two).unwrap();
        for told in overlap(&one.join("app"), &two) {
            assert!(told.contains("it is the same directory as the log root "), "{told}");
        }
        let told = overlap(&one, &two.join("logs"));
        assert!(told[0].contains("it lies in the log root outer"), "{told:?}");
        unmount(&two, UnmountFlags::DETACH).unwrap();
        unmount(&one, UnmountFlags::DETACH).unwrap();
    });
}

/// The directories that a walk through a root comes into, by what they are.
fn entered(root: &Path) -> HashSet<(u64, u64)> {
    let key = |identity: Identity| (identity.device, identity.inode);
    let roots = open(&[], &[RootSpec::new("app", root)]).unwrap();
    let mut walk = roots.walk("app", WalkOptions::default(), &Arc::default()).unwrap();
    let mut found = HashSet::from([key(roots.roots[0].identity())]);
    loop {
        let batch = walk.next(100).unwrap();
        let directories = batch.entries.iter().filter(|entry| entry.kind == FileKind::Directory);
        found.extend(directories.filter(|entry| entry.not_entered.is_none()).map(|entry| key(entry.identity)));
        if batch.is_over {
            return found;
        }
    }
}

#[test]
fn two_roots_open_together_exactly_if_no_directory_is_in_both() {
    in_own_mounts("two_roots_open_together", || {
        let scene = Scene::new(Confinement::OneCall);
        let base = &scene.outside;
        for path in ["a/b/c", "a/x", "ab", "bound", "whole", "disk", "disk-2", "covered/in/it"] {
            fs::create_dir_all(base.join(path)).unwrap();
        }
        mount_bind(base.join("a/b"), base.join("bound")).unwrap();
        mount_bind(base.join("a"), base.join("whole")).unwrap();
        mount("tmpfs", base.join("disk"), "tmpfs", MountFlags::empty(), None).unwrap();
        fs::create_dir_all(base.join("disk/logs/app")).unwrap();
        mount_bind(base.join("disk/logs"), base.join("disk-2")).unwrap();
        mount("tmpfs", base.join("covered/in"), "tmpfs", MountFlags::empty(), None).unwrap();
        fs::create_dir(base.join("covered/in/new")).unwrap();
        let paths = [
            "a",
            "a/b",
            "a/b/c",
            "a/x",
            "ab",
            "bound",
            "bound/c",
            "whole",
            "whole/b",
            "whole/x",
            "disk",
            "disk/logs",
            "disk/logs/app",
            "disk-2",
            "disk-2/app",
            "covered",
            "covered/in",
            "covered/in/new",
        ]
        .map(|path| base.join(path));
        let mut refused = 0;
        for one in &paths {
            for other in &paths {
                let is_in_both = !entered(one).is_disjoint(&entered(other));
                let opened = open(&[], &[RootSpec::new("one", one), RootSpec::new("other", other)]);
                assert_eq!(opened.is_err(), is_in_both, "{} and {}: {opened:?}", one.display(), other.display());
                refused += usize::from(is_in_both);
            }
        }
        assert!(refused > paths.len() && refused < paths.len() * paths.len(), "{refused}");
        for path in ["covered/in", "disk-2", "disk", "whole", "bound"] {
            unmount(base.join(path), UnmountFlags::DETACH).unwrap();
        }
    });
}

#[test]
fn directories_of_the_system_are_none_whatever_path_leads_there() {
    in_own_mounts("directories_of_the_system", || {
        let scene = Scene::new(Confinement::OneCall);
        let at = scene.outside.join("logs");
        fs::create_dir(&at).unwrap();
        let told = |from: &str| {
            mount_bind(from, &at).unwrap();
            let told = open(&[], &[RootSpec::new("app", &at)]).unwrap_err();
            // Declared by a path that is no one's, as in a pod.
            let mounted = RootSpec { mounted_at: Some(at.clone()), ..RootSpec::new("app", "/data/logs") };
            assert_eq!(open(&[], &[mounted]).unwrap_err(), told);
            unmount(&at, UnmountFlags::DETACH).unwrap();
            told
        };
        for (from, words) in [
            ("/usr", ": it is /usr, where the system keeps its own files"),
            ("/usr/share", ": it lies in /usr, where the system keeps its own files"),
            ("/usr/share/doc", ": it lies in /usr, where the system keeps its own files"),
            ("/etc", ": it is /etc, where the system keeps its own files"),
            ("/boot", ": it is /boot, where the system keeps its own files"),
            ("/proc", ": it is /proc, where the system keeps its own files"),
            ("/dev", ": it is /dev, where the system keeps its own files"),
            ("/var/lib/dpkg", ": it is /var/lib/dpkg, where the system keeps its own files"),
            ("/var/lib/dpkg/info", ": it lies in /var/lib/dpkg, where the system keeps its own files"),
            ("/var/lib", ": it holds more than logs; give the directory of the logs themselves"),
            ("/root", ": it holds more than logs; give the directory of the logs themselves"),
            ("/tmp", ": it holds more than logs; give the directory of the logs themselves"),
        ] {
            if Path::new(from).is_dir() {
                let told = told(from);
                let start = format!("it is {from} under another path{words}");
                assert!(told.contains(&start), "{from}: {told}");
            }
        }
        // Of several names of a directory one is named: /bin is a link where /usr is merged.
        assert!(told("/usr/bin").contains("bin under another path: it "));
        let holds = told("/var");
        assert!(holds.contains(": it holds /var/"), "{holds}");
        assert!(holds.ends_with(" under another path; give the directory of the logs themselves"), "{holds}");
        // Logs are where they are allowed to be, by another path as well.
        fs::create_dir_all("/var/log").unwrap();
        mount_bind("/var/log", &at).unwrap();
        assert!(open(&[], &[RootSpec::new("app", &at)]).is_ok());
        unmount(&at, UnmountFlags::DETACH).unwrap();
    });
}

#[test]
fn directories_of_runtimes_and_the_kubelet_are_none() {
    for (path, start) in [
        ("/run/containerd", "it lies in /run, where the system keeps its own files; "),
        ("/var/lib/containerd", "it is /var/lib/containerd, where a container runtime keeps its own files; "),
        ("/var/lib/kubelet/pods", "it lies in /var/lib/kubelet, where Kubernetes keeps its own files; "),
        ("/run/crio", "it lies in /run, where the system keeps its own files; "),
        ("/var/lib/docker/containers", "it lies in /var/lib/docker, where a container runtime keeps its own files; "),
        ("/usr/lib", "it lies in /usr, where the system keeps its own files; "),
    ] {
        // Whether or not they exist: this is known by their paths.
        let expected = format!("log root app ({path}): {start}");
        let told = open(&[], &[RootSpec::new("app", path)]).unwrap_err();
        assert!(told.starts_with(&expected), "{told}");
        let mounted = RootSpec { mounted_at: Some(std::env::temp_dir().join("x")), ..RootSpec::new("app", path) };
        let told = open(&[], &[mounted]).unwrap_err();
        assert!(told.contains(start), "{told}");
    }
}

/// A scene with a runtime's store and state in directories that no rule knows.
fn scene_with_runtime() -> (Scene, RuntimeDirectories) {
    let scene = Scene::new(Confinement::OneCall);
    for path in ["data/store/io.containerd.content.v1.content/blobs", "data/run/io.containerd.grpc.v1.cri", "data/app"]
    {
        fs::create_dir_all(scene.outside.join(path)).unwrap();
    }
    fs::create_dir(scene.outside.join("data/run/app")).unwrap();
    fs::write(scene.outside.join("data/run/c.sock"), "").unwrap();
    let path = |path: &str| scene.outside.join(path).to_str().unwrap().to_owned();
    let store = RuntimeDirectory::of_part(&path("data/store/io.containerd.snapshotter.v1.overlayfs")).unwrap();
    let run = RuntimeDirectory::of_socket(&path("data/run/c.sock")).unwrap();
    (scene, RuntimeDirectories { directories: vec![store, run], process: None })
}

/// Why a root is none beside a runtime with these directories.
#[track_caller]
fn refused(spec: RootSpec, runtime: &RuntimeDirectories) -> String {
    open(&[], &[spec]).unwrap().keep_apart_from(runtime).unwrap_err().to_string()
}

#[test]
fn what_the_runtime_names_as_its_own_is_no_root_wherever_it_is() {
    let (scene, runtime) = scene_with_runtime();
    let store = scene.outside.join("data/store").display().to_string();
    for (path, words) in [
        ("data", format!(": it holds {store}, where the runtime keeps its own files; give ")),
        ("data/store", format!(": it is {store}, where the runtime keeps its own files; give ")),
        ("data/store/io.containerd.content.v1.content/blobs", format!(": it lies in {store}, where the runtime keeps")),
        ("data/run", ", where the runtime's socket is; give ".to_owned()),
        ("data/run/io.containerd.grpc.v1.cri", ", where the runtime's socket is; give ".to_owned()),
    ] {
        let told = refused(RootSpec::new("app", scene.outside.join(path)), &runtime);
        assert!(told.starts_with("log root app (") && told.contains(&words), "{path}: {told}");
    }
    for path in ["data/app", "data/run/app"] {
        let roots = open(&[], &[RootSpec::new("app", scene.outside.join(path))]).unwrap();
        assert_eq!(roots.keep_apart_from(&runtime), Ok(()), "{path}");
    }
}

#[test]
fn what_is_the_runtimes_is_no_root_whatever_path_leads_there() {
    in_own_mounts("what_is_the_runtimes_is_no_root", || {
        let (scene, mut runtime) = scene_with_runtime();
        let at = scene.outside.join("mounted");
        fs::create_dir(&at).unwrap();
        // As in a pod: declared by one path, and mounted at another.
        let mounted = || RootSpec { mounted_at: Some(at.clone()), ..RootSpec::new("app", "/data/logs") };
        for path in ["data", "data/store", "data/store/io.containerd.content.v1.content/blobs", "data/run"] {
            mount_bind(scene.outside.join(path), &at).unwrap();
            for spec in [RootSpec::new("app", &at), mounted()] {
                assert!(refused(spec, &runtime).contains(", where the runtime"), "{path}");
            }
            unmount(&at, UnmountFlags::DETACH).unwrap();
        }
        // In a pod that has only the socket of it, its directory is known all the same.
        let socket = scene.outside.join("socket");
        fs::write(&socket, "").unwrap();
        mount_bind(scene.outside.join("data/run/c.sock"), &socket).unwrap();
        let path = format!("{}/nowhere/c.sock", scene.outside.display());
        fs::create_dir(scene.outside.join("nowhere")).unwrap();
        std::os::unix::fs::symlink(&socket, &path).unwrap();
        runtime.directories = vec![RuntimeDirectory::of_socket(&path).unwrap()];
        assert!(
            refused(RootSpec::new("app", scene.outside.join("data/run")), &runtime).contains("the runtime's socket")
        );
        unmount(&socket, UnmountFlags::DETACH).unwrap();
    });
}

#[test]
fn the_runtime_means_its_directories_as_its_own_process_sees_them() {
    let (scene, mut runtime) = scene_with_runtime();
    let there = scene.outside.join("there");
    fs::create_dir(&there).unwrap();
    let (store, at) = (scene.outside.join("data/store"), there.display());
    let script = format!("mount --bind {} {at}", store.display());
    let Some(process) = Holder::elsewhere(&script, "cat").filter(|_| is_root()) else {
        can("the_runtime_means_its_directories", "it takes root, unshare and mount", false);
        return;
    };
    runtime.directories = vec![RuntimeDirectory::of_part(there.to_str().unwrap()).unwrap()];
    let root = || open(&[], &[RootSpec::new("app", &store)]).unwrap();
    assert_eq!(root().keep_apart_from(&runtime), Ok(()), "here it is another directory");
    runtime.process = Some(process.id());
    let told = root().keep_apart_from(&runtime).unwrap_err().to_string();
    assert!(told.contains(&format!("it is {at}, where the runtime keeps its own files")), "{told}");
}

#[test]
fn what_a_link_of_the_system_leads_to_is_the_systems() {
    in_own_mounts("what_a_link_of_the_system_leads_to", || {
        // As on a node whose kubelet or runtime has been moved to a larger disk.
        let scene = Scene::new(Confinement::OneCall);
        mount("tmpfs", "/var/lib", "tmpfs", MountFlags::empty(), None).unwrap();
        let data = scene.outside.join("data");
        fs::create_dir_all(data.join("kubelet/pods")).unwrap();
        fs::create_dir_all(data.join("containerd/logs")).unwrap();
        fs::create_dir(data.join("logs")).unwrap();
        std::os::unix::fs::symlink(data.join("kubelet"), "/var/lib/kubelet").unwrap();
        fs::create_dir("/var/lib/containerd").unwrap();
        mount_bind(data.join("containerd"), "/var/lib/containerd").unwrap();
        let told = |path: &str| open(&[], &[RootSpec::new("app", data.join(path))]).map(drop).unwrap_err();
        for (path, is, who) in [
            ("kubelet", "it is /var/lib/kubelet under another path: it is /var/lib/kubelet", "Kubernetes"),
            ("kubelet/pods", "it is /var/lib/kubelet/pods under another path: it lies in", "Kubernetes"),
            ("containerd", "it is /var/lib/containerd under another path: it is", "a container runtime"),
            ("containerd/logs", "it is /var/lib/containerd/logs under another path: it lies in", "a container runtime"),
        ] {
            let told = told(path);
            assert!(told.contains(is) && told.contains(&format!("where {who} keeps its own files")), "{path}: {told}");
        }
        let holds = told("");
        assert!(holds.contains("it holds /var/lib/") && holds.contains(" under another path; give"), "{holds}");
        assert!(open(&[], &[RootSpec::new("app", data.join("logs"))]).is_ok());
        unmount("/var/lib/containerd", UnmountFlags::DETACH).unwrap();
        unmount("/var/lib", UnmountFlags::DETACH).unwrap();
    });
}

#[test]
fn holystones_own_directories_are_none() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("var/state/x", "x");
    let own = |path: &str| [OwnDirectory { what: "the state directory".to_owned(), path: scene.root.join(path) }];
    let told = |own: &[OwnDirectory], root: &str| {
        open(own, &[RootSpec::new("app", scene.root.join(root))]).map(drop).unwrap_err()
    };
    for (root, relation) in [("var/state", "is"), ("var", "holds"), ("", "holds")] {
        let path = scene.root.join("var/state");
        let told = told(&own("var/state"), root);
        let expected =
            format!(": it {relation} the state directory, {}; keep logs and the state directory apart", path.display());
        assert!(told.ends_with(&expected), "{told}");
    }
    // It lies in one, does not exist yet, or is reached by a link.
    assert!(told(&own("var"), "var/state").contains(": it lies in the state directory, "));
    assert!(told(&own("var/new/state"), "var").contains(": it holds the state directory, "));
    std::os::unix::fs::symlink(scene.root.join("var"), scene.outside.join("link")).unwrap();
    assert!(told(&own("../outside/link/state"), "var/state").contains(": it is the state directory, "));
    scene.file("var/log/x", "x");
    assert!(open(&own("var/state"), &[RootSpec::new("app", scene.root.join("var/log"))]).is_ok());
    in_own_mounts("holystones_own_directories", || {
        let at = scene.outside.join("bound");
        fs::create_dir(&at).unwrap();
        mount_bind(scene.root.join("var/state"), &at).unwrap();
        let told = open(&own("var/state"), &[RootSpec::new("app", &at)]).map(drop).unwrap_err();
        assert!(told.contains(": it is the state directory, "), "{told}");
        unmount(&at, UnmountFlags::DETACH).unwrap();
    });
}
