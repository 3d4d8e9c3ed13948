use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::logs::Confinement;
use crate::logs::tests::{Scene, is_root, path};

pub(in crate::logs) mod real;

/// A simulated proc filesystem with one process, and a root with files to use.
struct Proc {
    scene: Scene,
    processes: Processes,
}

impl Proc {
    fn new() -> Self {
        let scene = Scene::new(Confinement::OneCall);
        for name in ["open", "closed", "work/x"] {
            scene.file(name, "x");
        }
        let proc = scene.outside.join("proc");
        let processes = Processes { proc, sys: scene.outside.clone(), visibility: Visibility::All };
        fs::create_dir(scene.outside.join("block")).unwrap();
        let proc = Self { scene, processes };
        proc.task("17/task/17");
        proc.link("17/task/17/fd/3", "open");
        symlink("/nowhere/any/more", proc.processes.proc.join("17/task/17/fd/4")).unwrap();
        proc.link("17/task/17/cwd", "work");
        fs::write(proc.processes.proc.join("17/comm"), "app\n").unwrap();
        proc
    }

    fn task(&self, task: &str) {
        fs::create_dir_all(self.processes.proc.join(task).join("fd")).unwrap();
        fs::write(self.processes.proc.join(task).join("maps"), "").unwrap();
    }

    fn link(&self, from: &str, to: &str) {
        symlink(self.scene.root.join(to), self.processes.proc.join(from)).unwrap();
    }

    fn scan(&self) -> OpenFiles {
        OpenFiles::scan(&self.processes, &self.scene.roots.roots)
    }

    fn states(&self) -> [OpenState; 3] {
        let scanned = self.scan();
        ["open", "closed", "work"].map(|name| scanned.state("app", &self.entry(name)))
    }

    fn entry(&self, name: &str) -> FileEntry {
        let root = &self.scene.roots.roots[0];
        let parent = root.reach(&path(name).parent().unwrap(), PASSAGE).unwrap();
        stat::by_name(parent.as_fd(), &c_name(path(name).name().unwrap())).unwrap().entry(path(name))
    }

    fn usage(&self, name: &str) -> Option<InUse> {
        self.scan().usage("app", &self.entry(name)).cloned()
    }
}

const SEEN: [OpenState; 3] = [OpenState::Open, OpenState::Closed, OpenState::Open];
const UNSURE: [OpenState; 3] = [OpenState::Open, OpenState::Unknown, OpenState::Open];

#[test]
fn what_a_process_has_open_or_works_in_is_in_use() {
    let proc = Proc::new();
    assert_eq!(proc.states(), SEEN);
    assert_eq!(proc.usage("open"), Some(InUse { how: Use::Descriptor, by: "process 17 (app)".into() }));
    assert_eq!(proc.usage("work").unwrap().how, Use::WorkingDirectory);
    assert_eq!(proc.usage("closed"), None);
}

#[test]
fn every_thread_counts_and_the_gravest_use_is_told() {
    let proc = Proc::new();
    proc.task("17/task/18");
    proc.link("17/task/18/fd/3", "closed");
    assert_eq!(proc.usage("closed").unwrap().how, Use::Descriptor);
    proc.link("17/task/18/exe", "closed");
    proc.link("17/task/17/exe", "open");
    assert_eq!(
        (proc.usage("closed").unwrap().how, proc.usage("open").unwrap().how),
        (Use::Executable, Use::Executable)
    );
}

#[test]
fn what_is_not_seen_to_be_in_use_may_be_where_processes_are_hidden() {
    let mut proc = Proc::new();
    proc.processes.visibility = Visibility::Some;
    assert_eq!(proc.states(), UNSURE);
    proc.processes.visibility = Visibility::Detect;
    assert_eq!(proc.states(), UNSURE, "nothing is known of the namespace");
    let namespace = proc.processes.proc.join("self/ns/pid");
    fs::create_dir_all(namespace.parent().unwrap()).unwrap();
    symlink("pid:[4026531999]", &namespace).unwrap();
    // Any user can choose the name of a process in a nested namespace.
    for name in ["kubelet", "k3s", "k3s-server", "kubelite", "hyperkube", "systemd"] {
        fs::write(proc.processes.proc.join("17/comm"), name).unwrap();
        assert_eq!(proc.states(), UNSURE, "a process called {name} proves nothing");
    }
    proc.processes.visibility = Visibility::All;
    assert_eq!(proc.states(), SEEN, "the operator says so");
}

#[test]
fn in_the_first_namespace_all_processes_are_seen_unless_proc_hides_some() {
    let own =
        |options: &str| Table::parse(format!("22 27 0:21 / /proc rw,relatime - proc proc {options}\n").as_bytes());
    let proc = Path::new("/proc");
    assert!(!own("rw").hides_processes(proc) && !own("rw,hidepid=0").hides_processes(proc));
    for hidden in ["rw,hidepid=2", "hidepid=invisible", "rw,hidepid=ptraceable,gid=4", "rw,subset=pid"] {
        assert!(own(hidden).hides_processes(proc), "{hidden}");
    }
    assert!(Table::default().hides_processes(proc), "what is not known is hidden");
    let processes = Processes::default();
    if processes.is_own("pid", FIRST_PID_NAMESPACE) {
        assert!(processes.are_all_visible(&own("rw")));
        assert_eq!(processes.are_all_visible(&own("hidepid=2")), processes.sees_hidden());
    }
}

#[test]
fn what_is_mounted_over_a_process_hides_what_it_uses() {
    let own = |point: &str| Table::parse(format!("60 22 0:99 / {point} rw - tmpfs none rw\n").as_bytes());
    for point in ["/proc/17", "/proc/17/fd", "/proc/17/task/17/maps", "/proc/swaps"] {
        assert!(own(point).covers_processes(Path::new("/proc")), "{point}");
    }
    // Container runtimes mask some of these paths, and systemd mounts one.
    for point in ["/proc", "/proc/sys/fs/binfmt_misc", "/proc/kcore", "/proc/scsi", "/process/17", "/"] {
        assert!(!own(point).covers_processes(Path::new("/proc")), "{point}");
    }
}

#[test]
fn the_files_that_a_ring_keeps_are_read_in_full_or_not_at_all() {
    let read = |text: &str| {
        let paths = tasks::registered_files(text.as_bytes())?;
        Some(paths.into_iter().map(|path| String::from_utf8(path).unwrap()).collect::<Vec<_>>())
    };
    let files =
        "pos:\t0\nUserFiles:\t3\n    0: /var/log/a\\040b\n    1: socket:[17]\n    2: /x (deleted)\nUserBufs:\t0\n";
    assert_eq!(read(files).unwrap(), ["/var/log/a b", "/x (deleted)"]);
    assert_eq!(read("UserFiles:\t0\nUserBufs:\t0\n").unwrap(), [] as [&str; 0]);
    // A busy ring lists less.
    for busy in ["", "pos:\t0\n", "UserFiles:\t2\nUserBufs:\t0\n", "UserFiles:\t2\n    0: /a\n"] {
        assert_eq!(read(busy), None, "{busy:?}");
    }
}

#[test]
fn one_process_that_cannot_be_looked_at_in_full_makes_all_the_rest_unknown() {
    for part in ["fd", "maps", "cwd/x", "exe/x", "ns/mnt/x"] {
        let proc = Proc::new();
        proc.task("18/task/18");
        let part = proc.processes.proc.join("18/task/18").join(part);
        // The part is unreadable: another kind of file, or a link that cannot be followed.
        let broken = if part.ends_with("x") { part.parent().unwrap().to_owned() } else { part };
        let _ = fs::remove_dir(&broken);
        let _ = fs::remove_file(&broken);
        fs::create_dir_all(broken.parent().unwrap()).unwrap();
        match broken.file_name().unwrap().to_str().unwrap() {
            "fd" => fs::write(&broken, "").unwrap(),
            "maps" => fs::create_dir(&broken).unwrap(),
            _ => symlink(&broken, &broken).unwrap(),
        }
        assert_eq!(proc.states(), UNSURE, "{}", broken.display());
        fs::remove_dir_all(proc.processes.proc.join("18")).unwrap();
        assert_eq!(proc.states(), SEEN, "a process that has ended uses nothing");
    }
}

#[test]
fn without_proc_or_sys_nothing_is_known() {
    let mut proc = Proc::new();
    proc.processes.sys = proc.scene.outside.join("nothing");
    assert_eq!(proc.states(), UNSURE);
    proc.processes.proc = proc.scene.outside.join("nothing");
    assert_eq!(proc.states(), [OpenState::Unknown; 3]);
}

#[test]
fn mappings_are_known_by_device_and_inode() {
    let proc = Proc::new();
    let Identity { device, inode, .. } = proc.entry("closed").identity;
    let device = format!("{:02x}:{:02x}", rustix::fs::major(device), rustix::fs::minor(device));
    let maps = format!(
        "7f00-7f01 rw-p 00000000 00:00 0 \n7f02-7f03 rw-s 00000000 {device} {inode} /some where/else (deleted)\n"
    );
    fs::write(proc.processes.proc.join("17/task/17/maps"), maps).unwrap();
    let Some(region) = Region::of(&proc.scene.roots.roots[0], &Table::own().unwrap()) else {
        panic!("the root is on a mount of ours")
    };
    if region.shows_mappings && region.device == region.filesystem {
        assert_eq!(proc.usage("closed").unwrap().how, Use::Mapping);
    }
}

#[test]
fn another_users_processes_hide_what_they_use() {
    if !is_root() {
        println!("SKIPPED another_users_processes_hide_what_they_use: becoming another user takes root");
        return;
    }
    let scene = Scene::new(Confinement::OneCall);
    scene.file("closed", "x");
    let scanned = std::thread::scope(|scope| {
        let nobody = scope.spawn(|| {
            rustix::thread::set_thread_res_uid(None, rustix::fs::Uid::from_raw(65_534), None).unwrap();
            let processes = Processes { visibility: Visibility::All, ..Processes::default() };
            OpenFiles::scan(&processes, &scene.roots.roots)
        });
        nobody.join().unwrap()
    });
    assert!(!scanned.is_complete());
}
