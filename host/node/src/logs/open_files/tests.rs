use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use super::*;

/// A made-up proc filesystem with one process that has one file open.
struct Proc {
    directory: tempfile::TempDir,
    device: u64,
}

impl Proc {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir_all(path.join("17/fd")).unwrap();
        fs::create_dir_all(path.join("self/ns")).unwrap();
        fs::create_dir(path.join("work")).unwrap();
        fs::write(path.join("17/comm"), "app\n").unwrap();
        for file in ["open", "closed"] {
            fs::write(path.join(file), "").unwrap();
        }
        symlink(path.join("open"), path.join("17/fd/3")).unwrap();
        symlink("/nowhere/any/more", path.join("17/fd/4")).unwrap();
        symlink(path.join("work"), path.join("17/cwd")).unwrap();
        let device = fs::metadata(path).unwrap().dev();
        Self { directory, device }
    }

    fn identity(&self, file: &str) -> Identity {
        let metadata = fs::metadata(self.directory.path().join(file)).unwrap();
        Identity { device: metadata.dev(), inode: metadata.ino(), born: None }
    }

    fn scan(&self, visibility: Visibility) -> OpenFiles {
        let processes = Processes { proc: self.directory.path().to_owned(), visibility };
        OpenFiles::scan(&processes, &HashSet::from([self.device]))
    }

    fn states(&self, visibility: Visibility) -> [OpenState; 3] {
        let scanned = self.scan(visibility);
        ["open", "closed", "work"].map(|file| scanned.state(&self.identity(file)))
    }
}

#[test]
fn what_a_process_has_open_or_works_in_is_open() {
    let proc = Proc::new();
    assert_eq!(proc.states(Visibility::All), [OpenState::Open, OpenState::Closed, OpenState::Open]);
}

#[test]
fn what_is_not_seen_to_be_open_may_be_where_processes_are_hidden() {
    let proc = Proc::new();
    let hidden = [OpenState::Open, OpenState::Unknown, OpenState::Open];
    assert_eq!(proc.states(Visibility::Some), hidden);
    symlink("pid:[4026531999]", proc.directory.path().join("self/ns/pid")).unwrap();
    assert_eq!(proc.states(Visibility::Detect), hidden, "a container's own processes");
    fs::write(proc.directory.path().join("17/comm"), "kubelet\n").unwrap();
    assert_eq!(proc.states(Visibility::Detect)[1], OpenState::Closed, "a node that is a container itself");
}

#[test]
fn in_the_first_namespace_all_processes_are_seen() {
    let proc = Proc::new();
    symlink("pid:[4026531836]", proc.directory.path().join("self/ns/pid")).unwrap();
    assert_eq!(proc.states(Visibility::Detect)[1], OpenState::Closed);
}

#[test]
fn one_process_that_cannot_be_looked_at_makes_all_the_rest_unknown() {
    let proc = Proc::new();
    // Nobody may look: instead of a directory there is something else.
    fs::create_dir(proc.directory.path().join("18")).unwrap();
    fs::write(proc.directory.path().join("18/fd"), "").unwrap();
    assert_eq!(proc.states(Visibility::All), [OpenState::Open, OpenState::Unknown, OpenState::Open]);
    fs::remove_file(proc.directory.path().join("18/fd")).unwrap();
    assert_eq!(proc.states(Visibility::All)[1], OpenState::Closed, "a process that has ended has nothing open");
}

#[test]
fn without_proc_nothing_is_known() {
    let proc = Proc::new();
    let processes = Processes { proc: proc.directory.path().join("nothing"), visibility: Visibility::All };
    let scanned = OpenFiles::scan(&processes, &HashSet::new());
    assert_eq!(scanned.state(&proc.identity("open")), OpenState::Unknown);
}

#[test]
fn another_users_processes_hide_what_they_hold() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED another_users_processes: becoming another user takes root");
        return;
    }
    let proc = Proc::new();
    std::thread::scope(|scope| {
        let nobody = scope.spawn(|| {
            rustix::thread::set_thread_res_uid(None, rustix::fs::Uid::from_raw(65_534), None).unwrap();
            let processes = Processes { proc: "/proc".into(), visibility: Visibility::All };
            OpenFiles::scan(&processes, &HashSet::from([proc.device]))
        });
        let scanned = nobody.join().unwrap();
        assert_eq!(scanned.state(&proc.identity("closed")), OpenState::Unknown);
    });
}
