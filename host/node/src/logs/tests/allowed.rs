//! Log roots that have to lie in certain directories: what a pod is given is not always what its manifest names.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::filesystem::PathMapping;

/// A node's `/var/log` and `/etc`, and what a pod gets to see.
struct Pod {
    _directory: TempDir,
    node: PathBuf,
}

impl Pod {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let node = directory.path().canonicalize().unwrap();
        for path in ["var/log/app/sub", "var/log/other", "data/logs", "etc/app"] {
            fs::create_dir_all(node.join(path)).unwrap();
        }
        Self { _directory: directory, node }
    }

    fn allowed(&self, paths: &[&str]) -> Vec<PathMapping> {
        let seen = |path: &&str| PathMapping {
            host_path: (*path).into(),
            mounted_at: self.node.join(path.trim_start_matches('/')),
        };
        paths.iter().map(seen).collect()
    }

    /// Opens a root of this path, for which the kubelet has mounted another one of the node.
    fn open(&self, host_path: &str, mounted: &str, allowed: &[&str]) -> Result<(), String> {
        let spec = RootSpec {
            mounted_at: Some(self.node.join(mounted)),
            allowed_in: Some(self.allowed(allowed)),
            ..RootSpec::new("app", host_path)
        };
        LogRoots::open(&[spec], WalkLimits::default(), None).map(drop).map_err(|error| error.to_string())
    }

    fn link(&self, path: &str, target: &str) {
        symlink(self.node.join(target), self.node.join(path)).unwrap();
    }
}

#[test]
fn a_root_that_is_where_it_says_is_opened() {
    let pod = Pod::new();
    for (host_path, mounted) in [
        ("/var/log", "var/log"),
        ("/var/log/", "var/log"),
        ("/var/log/app", "var/log/app"),
        ("/var/log/app/sub", "var/log/app/sub"),
        ("/data/logs", "data/logs"),
    ] {
        assert_eq!(pod.open(host_path, mounted, &["/var/log", "/data"]), Ok(()), "{host_path}");
        assert_eq!(pod.open(host_path, mounted, &["/data", "/var/log"]), Ok(()), "{host_path}");
    }
}

#[test]
fn what_a_link_led_to_is_not_opened() {
    let pod = Pod::new();
    // By other names, by the same name, and by one in the middle.
    pod.link("var/log/evil", "etc/app");
    pod.link("var/log/etc", "etc");
    pod.link("var/log/loop", "var/log/loop");
    pod.link("var/log/app/link", "etc");
    pod.link("var/log/inside", "var/log/other");
    for (host_path, mounted) in [
        ("/var/log/evil", "etc/app"),
        ("/var/log/etc", "etc"),
        ("/var/log/etc/app", "etc/app"),
        ("/var/log/app/link/app", "etc/app"),
        ("/var/log/loop", "etc"),
        // It stays in the directory, and may be led elsewhere the next time.
        ("/var/log/inside", "var/log/other"),
    ] {
        let told = pod.open(host_path, mounted, &["/var/log"]).unwrap_err();
        let expected = format!(
            "what was mounted for {host_path} is what a symbolic link on its path leads to; give the path of the directory \
             itself"
        );
        assert!(told.ends_with(&expected), "{told}");
    }
}

#[test]
fn another_directory_is_not_opened_whatever_its_name() {
    let pod = Pod::new();
    for (host_path, mounted) in [
        ("/var/log/app", "etc/app"),
        ("/var/log/app", "var/log"),
        ("/var/log/app", "var/log/other"),
        ("/var/log", "etc"),
        ("/data/logs", "var/log/app"),
    ] {
        let told = pod.open(host_path, mounted, &["/var/log", "/data"]).unwrap_err();
        let expected =
            format!("what was mounted for {host_path} is another directory; give the path of the directory itself");
        assert!(told.ends_with(&expected), "{told}");
    }
    fs::remove_dir(pod.node.join("var/log/other")).unwrap();
    let told = pod.open("/var/log/other", "etc/app", &["/var/log"]).unwrap_err();
    assert!(told.contains("that /var/log/other is what was mounted cannot be made sure: "), "{told}");
}

#[test]
fn a_root_elsewhere_is_not_opened() {
    let pod = Pod::new();
    for (host_path, allowed, names) in [
        ("/data/logs", &["/var/log"][..], "/var/log"),
        ("/var/logs", &["/var/log"], "/var/log"),
        ("/var/lo", &["/data", "/var/log"], "/data, /var/log"),
        ("/var/log/app", &[], "none"),
    ] {
        let told = pod.open(host_path, "var/log/app", allowed).unwrap_err();
        let expected = format!("{host_path} is not in a directory that log roots may be in here: {names}");
        assert!(told.ends_with(&expected), "{told}");
    }
    // With anything else in the path, nothing is looked for.
    let told = pod.open("/var/log/../../etc", "etc", &["/var/log"]).unwrap_err();
    assert!(!told.is_empty());
}

#[test]
fn without_such_directories_a_root_may_be_anywhere() {
    let pod = Pod::new();
    let spec = RootSpec { mounted_at: Some(pod.node.join("data/logs")), ..RootSpec::new("app", "/srv/app") };
    assert!(LogRoots::open(&[spec], WalkLimits::default(), None).is_ok());
}
