//! What an interrupted run has taken aside, found by the next one.

use std::os::unix::fs::MetadataExt as _;

use holystone_core::logs::{AsideDirectory, AsideRecord, aside_name};

use super::*;

/// A record of this scene's own run, as if it had been interrupted.
fn record(scene: &Scene, directories: &[&str]) -> AsideRecord {
    let of = |path: &&str| AsideDirectory { root: "app".to_owned(), path: (*path).to_owned() };
    AsideRecord { runs: vec![scene.roots.aside_run(directories.iter().map(of), Timestamp::now())] }
}

/// Takes a file aside, and tells its name there.
fn take_aside(scene: &Scene, path: &str) -> String {
    let from = scene.root.join(path);
    let name = from.file_name().unwrap().to_str().unwrap();
    let inode = fs::metadata(&from).unwrap().ino();
    let run = &record(scene, &["d"]).runs[0].run;
    let aside = String::from_utf8(aside_name(run, 7, inode, name.as_bytes())).unwrap();
    fs::rename(&from, from.with_file_name(&aside)).unwrap();
    aside
}

fn recover(scene: &Scene, record: AsideRecord) -> Recovered {
    scene.roots.recover(record, &scene.open_files, SignedDuration::from_hours(24))
}

fn names(scene: &Scene, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(scene.root.join(directory)).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_gets_its_name_back() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        for path in ["d/a.log.1", "top", "d/e/.hidden", "d/other"] {
            scene.file(path, "12345");
        }
        for path in ["d/a.log.1", "top", "d/e/.hidden"] {
            take_aside(&scene, path);
        }
        scene.file("d/.holystone-another-run-1-2.x", "not of this run");
        let recovered = recover(&scene, record(&scene, &["d", "", "d/e", "gone"]));
        let told = |name: &str| {
            format!("app:{name}: an interrupted run had taken it aside to remove it; it has its name back")
        };
        assert_eq!(recovered.notices, [told("top"), told("d/a.log.1"), told("d/e/.hidden")]);
        assert_eq!(recovered.record, AsideRecord::default(), "nothing is left to do");
        assert_eq!(names(&scene, "d"), [".holystone-another-run-1-2.x", "a.log.1", "e", "other"]);
        assert_eq!(fs::read_to_string(scene.root.join("d/a.log.1")).unwrap(), "12345");
        assert_eq!(recover(&scene, record(&scene, &["d"])).notices, Vec::<String>::new(), "and once is enough");
    }
}

#[test]
fn a_root_that_is_called_otherwise_by_now_is_the_same() {
    let mut scene = Scene::new(Confinement::OneCall);
    scene.file("d/a.log.1", "12345");
    take_aside(&scene, "d/a.log.1");
    let record = record(&scene, &["d"]);
    scene.roots = LogRoots::open(&[RootSpec::new("renamed", &scene.root)], WalkLimits::default(), None).unwrap();
    let recovered = recover(&scene, record);
    assert!(recovered.notices[0].starts_with("renamed:d/a.log.1: an interrupted run"), "{:?}", recovered.notices);
    assert_eq!((recovered.record, names(&scene, "d")), (AsideRecord::default(), vec!["a.log.1".to_owned()]));
}

#[test]
fn where_another_file_has_the_name_the_removal_is_finished() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("d/a.log.1", "old");
    take_aside(&scene, "d/a.log.1");
    scene.file("d/a.log.1", "new");
    let recovered = recover(&scene, record(&scene, &["d"]));
    assert!(recovered.notices[0].ends_with("another file has its name by now; its removal is finished"));
    assert_eq!((recovered.record, names(&scene, "d")), (AsideRecord::default(), vec!["a.log.1".to_owned()]));
    assert_eq!(fs::read_to_string(scene.root.join("d/a.log.1")).unwrap(), "new");
}

#[test]
fn what_may_not_be_removed_is_kept_told_and_looked_for_again() {
    let keeps = |why: &str, change: &dyn Fn(&mut Scene, &Path) -> AsideRecord| {
        let mut scene = Scene::new(Confinement::OneCall);
        scene.file("d/a.log.1", "old");
        let aside = take_aside(&scene, "d/a.log.1");
        scene.file("d/a.log.1", "new");
        let path = scene.root.join("d").join(&aside);
        let record = change(&mut scene, &path);
        let recovered = recover(&scene, record.clone());
        let told = format!(
            "app:d/{aside}: an interrupted run had taken it aside to remove it; {why}, and another file has its name by now"
        );
        assert_eq!((&recovered.notices, &recovered.record), (&vec![told], &record));
        assert!(path.exists() && fs::read_to_string(scene.root.join("d/a.log.1")).unwrap() == "new");
    };
    keeps("it is not the file that was to be removed", &|scene, path| {
        fs::rename(path, scene.outside.join("kept")).unwrap();
        fs::write(path, "another").unwrap();
        record(scene, &["d"])
    });
    keeps("it has changed since", &|scene, path| {
        let record = record(scene, &["d"]);
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(path, "written").unwrap();
        record
    });
    // However old the content is: since it was taken aside, a process may have opened it.
    keeps("it may be in use", &|scene, path| {
        scene.open_files = Arc::default();
        let old = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * 30);
        fs::File::open(path).unwrap().set_modified(old).unwrap();
        record(scene, &["d"])
    });
    if can("what is in use is kept", "looking at all processes takes root", is_root()) {
        let child = std::cell::RefCell::new(None);
        keeps("it is in use", &|scene, path| {
            let held = fs::File::open(path).unwrap();
            *child.borrow_mut() = std::process::Command::new("sleep").arg("1000").stdin(held).spawn().ok();
            let processes = Processes { visibility: Visibility::All, ..Processes::default() };
            scene.open_files = Arc::new(scene.roots.open_files(&processes));
            record(scene, &["d"])
        });
        let mut child = child.into_inner().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_name_that_was_too_long_and_a_root_that_is_not_there_are_left() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file(&format!("d/{}", "x".repeat(250)), "old");
    take_aside(&scene, &format!("d/{}", "x".repeat(250)));
    let recovered = recover(&scene, record(&scene, &["d"]));
    assert!(recovered.notices[0].ends_with("its own name was too long to be kept, so give it one"));
    let mut elsewhere = record(&scene, &["d"]);
    elsewhere.runs[0].directories[0].root = "other".to_owned();
    assert_eq!(recover(&scene, elsewhere.clone()), Recovered { record: elsewhere, notices: Vec::new() });
}

#[test]
fn a_long_name_is_removed_as_any_other() {
    let scene = Scene::new(Confinement::OneCall);
    let name = "x".repeat(255);
    scene.file(&name, "12345");
    assert!(matches!(scene.perform(&file(&name)), Performed::Done(_)));
    assert_eq!(names(&scene, ""), Vec::<String>::new());
}
