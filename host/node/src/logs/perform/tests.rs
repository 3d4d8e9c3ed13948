use std::fs;

use super::*;
use crate::logs::Confinement;
use crate::logs::tests::{Scene, file};

/// Runs `work` on the name of the cleared file `a`.
fn at_a<T>(scene: &Scene, work: impl FnOnce(&NameInDirectory<'_>) -> T) -> T {
    let clearance = scene.clear(&file("a")).unwrap();
    let root = scene.roots.find("app").unwrap();
    let (directory, is_ended) = (root.handle(), &AtomicBool::new(false));
    work(&NameInDirectory { roots: &scene.roots, root, directory, name: c_name(b"a"), clearance: &clearance, is_ended })
}

#[test]
fn where_there_is_no_room_for_another_name_a_file_is_removed_in_place() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("a", "12345");
    at_a(&scene, |place| assert_eq!(place.remove_in_place().unwrap().size_bytes, 5));
    assert!(!scene.root.join("a").exists());
    scene.file("a", "12345");
    at_a(&scene, |place| {
        scene.file("a", "123456");
        assert!(matches!(place.remove_in_place(), Err(Stopped::Refused(_))));
    });
    assert!(scene.root.join("a").exists());
}

#[test]
fn what_was_taken_aside_by_mistake_gets_its_name_back() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("a", "12345");
    at_a(&scene, |place| {
        scene.file("a", "another");
        let aside = place.take_aside(1).unwrap().unwrap();
        assert!(!scene.root.join("a").exists());
        assert!(matches!(place.remove_aside(&aside), Err(Stopped::Refused(_))));
    });
    assert_eq!(fs::read_to_string(scene.root.join("a")).unwrap(), "another");
}

#[test]
fn what_cannot_get_its_name_back_is_kept_and_told() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("a", "12345");
    let (aside, ended) = at_a(&scene, |place| {
        scene.file("a", "another");
        let aside = place.take_aside(1).unwrap().unwrap();
        scene.file("a", "a third");
        let ended = outcome(place.remove_aside(&aside).map(drop), Removed::default());
        (aside.into_string().unwrap(), ended)
    });
    assert_eq!(fs::read_to_string(scene.root.join("a")).unwrap(), "a third");
    assert_eq!(fs::read_to_string(scene.root.join(&aside)).unwrap(), "another");
    let Performed::Failed(problem) = ended else { panic!("it is told") };
    assert!(problem.contains(&aside) && problem.ends_with("another file has that by now"), "{problem}");
}

#[test]
fn names_that_are_taken_are_passed_over() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("a", "x");
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(scene.root.join("a")).unwrap());
    let next = at_a(&scene, |place| place.unused_name(inode).into_string().unwrap());
    let (head, tail) = next.rsplit_once('-').unwrap();
    let (head, number) = head.rsplit_once('-').unwrap();
    let number: u64 = number.parse().unwrap();
    for taken in number + 1..number + 9 {
        scene.file(&format!("{head}-{taken}-{tail}"), "mine");
    }
    assert!(matches!(scene.perform(&file("a")), Performed::Done(_)));
    assert_eq!(fs::read_dir(&scene.root).unwrap().count(), 8, "who has a name keeps it");
}

#[test]
fn an_errno_becomes_a_sentence_that_says_what_to_do() {
    for (error, words) in [
        (Errno::ROFS, "mounted read-only"),
        (Errno::ACCESS, "no permission"),
        (Errno::PERM, "immutable"),
        (Errno::NOTEMPTY, "something new came"),
        (Errno::IO, "input/output error"),
    ] {
        let Performed::Failed(problem) = outcome(Err(error.into()), Removed::default()) else { panic!("{error}") };
        assert!(problem.contains(words), "{problem}");
    }
    assert_eq!(outcome(Err(Errno::NOENT.into()), Removed::default()), Performed::AlreadyGone);
    let some = Removed { entries: 2, size_bytes: 0 };
    let Performed::Failed(problem) = outcome(Err(Errno::NOENT.into()), some) else { panic!("it failed") };
    assert!(problem.ends_with("; 2 entries in it had gone by then"), "{problem}");
}
