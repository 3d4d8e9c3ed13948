//! An adversary with all rights in the log root works against a removal, in thousands of rounds: nothing outside of the
//! root is ever touched, and of what is in it only what was judged.
//!
//! Each round makes anew what is to be removed, has it cleared, and lets the adversary loose at the very moment when it
//! is carried out. Both files, the judged one and the one that the adversary puts in its place, are held open by the
//! test, so that afterwards the system says which of them has lost a name.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use rustix::thread::UnshareFlags;

use super::*;

/// Rounds for each attack and each confinement. With ten attacks on two kinds of wishes that makes far more than 10 000.
const ROUNDS: u64 = 400;
/// A directory must be left alone for a tick of the clock, or a change cannot be told from its making.
const TREE_ROUNDS: u64 = 40;

type Attack = fn(&Scene) -> std::io::Result<()>;

fn exchange(one: &Path, other: &Path) -> std::io::Result<()> {
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// What the adversary does while `root/d/f` is being removed or cut. `root/decoy` and `outside/d/f` are there to be put
/// in its place.
const ATTACKS: [(&str, Attack); 10] = [
    ("another file takes its name", |scene| fs::rename(scene.root.join("decoy"), scene.root.join("d/f"))),
    ("two files change places", |scene| exchange(&scene.root.join("decoy"), &scene.root.join("d/f"))),
    ("its directory changes places with one outside", |scene| {
        exchange(&scene.root.join("d"), &scene.outside.join("d"))
    }),
    ("its directory becomes a link to one outside", |scene| {
        fs::rename(scene.root.join("d"), scene.root.join("away"))?;
        symlink(scene.outside.join("d"), scene.root.join("d"))
    }),
    ("a link to a directory outside changes places with its own", |scene| {
        symlink(scene.outside.join("d"), scene.root.join("away"))?;
        exchange(&scene.root.join("away"), &scene.root.join("d"))
    }),
    ("it becomes a link to a file outside", |scene| {
        symlink(scene.outside.join("d/f"), scene.root.join("link"))?;
        fs::rename(scene.root.join("link"), scene.root.join("d/f"))
    }),
    ("it becomes a second name of a file outside", |scene| {
        fs::hard_link(scene.outside.join("d/f"), scene.root.join("twin"))?;
        fs::rename(scene.root.join("twin"), scene.root.join("d/f"))
    }),
    ("it gets a second name outside", |scene| fs::hard_link(scene.root.join("d/f"), scene.outside.join("twin"))),
    ("it moves away and back", |scene| {
        fs::rename(scene.root.join("d/f"), scene.root.join("away"))?;
        fs::rename(scene.root.join("away"), scene.root.join("d/f"))
    }),
    ("its directory moves outside", |scene| fs::rename(scene.root.join("d"), scene.outside.join("away"))),
];

/// Makes everything anew, and gives what was there before to nobody.
fn set_up(scene: &Scene) -> (File, File, File) {
    for directory in [&scene.root, &scene.outside] {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
    }
    fs::create_dir(scene.outside.join("d")).unwrap();
    fs::write(scene.outside.join("d/f"), "secret").unwrap();
    let judged = File::open(scene.file("d/f", "judged")).unwrap();
    let decoy = File::open(scene.file("decoy", "decoy!")).unwrap();
    (judged, decoy, File::open(scene.outside.join("d/f")).unwrap())
}

fn links(file: &File) -> u64 {
    file.metadata().unwrap().nlink()
}

fn content(file: &File) -> String {
    let mut bytes = [0; 16];
    let read = rustix::io::pread(file, &mut bytes[..], 0).unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

/// Waits for a different, short time in each round, so that the two meet in ever other moments.
fn linger(round: u64) {
    for _ in 0..(round * 7_919) % 3_000 {
        std::hint::spin_loop();
    }
}

/// Carries out what was cleared while the adversary is at work.
fn clash(scene: &Scene, clearance: Clearance<Logs>, attack: Attack, round: u64) -> (Performed, bool) {
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        let adversary = scope.spawn(|| {
            barrier.wait();
            linger(round);
            attack(scene).is_ok()
        });
        barrier.wait();
        linger(round / 2);
        let attempt = scene.roots.perform(clearance);
        (attempt, adversary.join().unwrap())
    })
}

fn in_memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn fight_over_a_file(verb: Operation) {
    let (done, refused, hit) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    for confinement in BOTH {
        let scene = Scene::beneath(&in_memory(), confinement, WalkLimits::default());
        for (name, attack) in ATTACKS {
            for round in 0..ROUNDS {
                let (judged, decoy, secret) = set_up(&scene);
                let clearance = scene.clear(&wish("d/f", false, verb)).unwrap();
                let (attempt, worked) = clash(&scene, clearance, attack, round);
                let told = format!("{name}, round {round}, {confinement:?}: {attempt:?}");
                assert_eq!((links(&secret) > 0, content(&secret).as_str()), (true, "secret"), "outside: {told}");
                assert_eq!((links(&decoy), content(&decoy).as_str()), (1, "decoy!"), "the other file: {told}");
                hit.fetch_add(u64::from(worked), Ordering::Relaxed);
                match attempt {
                    Performed::Done(_) if verb == Operation::Remove => {
                        // The adversary may have given it another name before.
                        assert!(links(&judged) <= u64::from(name.contains("second name outside")), "removed: {told}");
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Performed::Done(_) => {
                        assert_eq!(content(&judged), "", "cut: {told}");
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => {
                        assert_eq!(content(&judged), "judged", "left alone: {told}");
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }
    println!("{verb:?}: done {done:?}, left alone {refused:?}, attacks that came through {hit:?}");
    assert!(done.into_inner() > 0 && refused.into_inner() > 0, "both were fast enough sometimes");
}

#[test]
fn a_file_under_attack_is_removed_itself_or_not_at_all() {
    fight_over_a_file(Operation::Remove);
}

#[test]
fn a_file_under_attack_is_cut_itself_or_not_at_all() {
    fight_over_a_file(Operation::Truncate);
}

/// What the adversary does while `root/d`, with `root/d/sub` in it, is being removed as a whole.
const TREE_ATTACKS: [(&str, Attack); 6] = [
    ("it changes places with one outside", |scene| exchange(&scene.root.join("d"), &scene.outside.join("d"))),
    ("one in it changes places with one outside", |scene| {
        exchange(&scene.root.join("d/sub"), &scene.outside.join("d"))
    }),
    ("one in it becomes a link to one outside", |scene| {
        fs::rename(scene.root.join("d/sub"), scene.root.join("away"))?;
        symlink(scene.outside.join("d"), scene.root.join("d/sub"))
    }),
    ("a link to one outside takes its name", |scene| {
        fs::rename(scene.root.join("d"), scene.root.join("away"))?;
        symlink(&scene.outside, scene.root.join("d"))
    }),
    ("one from outside is moved in", |scene| fs::rename(scene.outside.join("d"), scene.root.join("d/sub/moved"))),
    ("second names of files outside come into it", |scene| {
        for name in 0..20 {
            fs::hard_link(scene.outside.join("d/f"), scene.root.join(format!("d/sub/twin{name}")))?;
        }
        Ok(())
    }),
];

#[test]
fn of_a_directory_under_attack_nothing_goes_but_what_was_in_it() {
    let mut done = 0;
    for confinement in BOTH {
        let scene = Scene::beneath(&in_memory(), confinement, WalkLimits::default());
        for (name, attack) in TREE_ATTACKS {
            for round in 0..TREE_ROUNDS {
                let (_, decoy, secret) = set_up(&scene);
                for file in 0..20 {
                    scene.file(&format!("d/sub/{file}"), "x");
                    scene.file(&format!("d/other/{file}"), "x");
                }
                std::thread::sleep(std::time::Duration::from_millis(12));
                let clearance = scene.clear(&directory("d")).unwrap();
                let (attempt, _) = clash(&scene, clearance, attack, round * 9);
                let told = format!("{name}, round {round}, {confinement:?}: {attempt:?}");
                assert_eq!((links(&secret) > 0, content(&secret).as_str()), (true, "secret"), "outside: {told}");
                assert_eq!((links(&decoy), content(&decoy).as_str()), (1, "decoy!"), "beside it: {told}");
                done += u64::from(matches!(attempt, Performed::Done(_)));
            }
        }
    }
    assert!(done > 0, "it was fast enough sometimes");
}

/// Runs something in a mount namespace of its own, in which nothing reaches anybody else.
pub(in crate::logs) fn in_own_mounts(test: &str, work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let alone = scope.spawn(|| {
            #[expect(deprecated, reason = "only a new table of open files is unsafe, and this asks for none")]
            let unshared = rustix::thread::unshare(UnshareFlags::NEWNS);
            let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
            if can(test, "mounting takes root", unshared.is_ok() && mount_change("/", private).is_ok()) {
                work();
            }
        });
        alone.join().unwrap();
    });
}

#[test]
fn what_is_mounted_in_the_root_is_another_filesystem() {
    in_own_mounts("what_is_mounted_in_the_root", || {
        for confinement in BOTH {
            let scene = Scene::new(confinement);
            set_up(&scene);
            scene.file("d/deep/x", "x");
            // The same filesystem, so that only the mount tells.
            mount_bind(scene.outside.join("d"), scene.root.join("d/deep")).unwrap();
            let code = |wish: &Wish| scene.clear(wish).unwrap_err().code();
            assert_eq!(code(&file("d/deep/f")), "OtherFilesystem");
            assert_eq!(code(&truncation("d/deep/f")), "OtherFilesystem");
            assert_eq!(code(&directory("d/deep")), "OtherFilesystem");
            let refusal = scene.clear(&directory("d")).unwrap_err().to_string();
            assert_eq!(refusal, "it cannot be removed as a whole: another filesystem begins at d/deep in it");
            let options = WalkOptions { prefix: path("d/deep"), ..WalkOptions::default() };
            assert!(scene.roots.walk("app", options, &scene.open_files).is_err());
            assert!(scene.roots.read("app", &path("d/deep/f"), 0, 1).is_err());
            let entries = scene.walk(WalkOptions::default());
            let deep = entries.iter().find(|entry| entry.path == path("d/deep")).unwrap();
            assert!(deep.not_entered.is_some());
            assert!(!entries.iter().any(|entry| entry.path == path("d/deep/f")));
            // A file, too, can be mounted over another.
            mount_bind(scene.outside.join("d/f"), scene.root.join("d/f")).unwrap();
            assert_eq!(code(&file("d/f")), "OtherFilesystem");
            assert_eq!(code(&truncation("d/f")), "OtherFilesystem");
            assert_eq!(fs::read_to_string(scene.outside.join("d/f")).unwrap(), "secret");
            unmount(scene.root.join("d/f"), UnmountFlags::DETACH).unwrap();
            unmount(scene.root.join("d/deep"), UnmountFlags::DETACH).unwrap();
        }
    });
}

#[test]
fn what_is_mounted_over_a_file_under_removal_is_left_alone() {
    in_own_mounts("what_is_mounted_over_a_file", || {
        for confinement in BOTH {
            let scene = Scene::beneath(&in_memory(), confinement, WalkLimits::default());
            for round in 0..200 {
                let (_, _, secret) = set_up(&scene);
                let wished = [file("d/f"), truncation("d/f"), directory("d")];
                let clearance = scene.clear(&wished[usize::try_from(round).unwrap() % 3]).unwrap();
                let over = if round % 2 == 0 { "d" } else { "d/f" };
                let barrier = Barrier::new(2);
                let (attempt, mounted) = std::thread::scope(|scope| {
                    let adversary = scope.spawn(|| {
                        barrier.wait();
                        linger(round);
                        mount_bind(scene.outside.join(over), scene.root.join(over)).is_ok()
                    });
                    barrier.wait();
                    let attempt = scene.roots.perform(clearance);
                    (attempt, adversary.join().unwrap())
                });
                assert_eq!(
                    (links(&secret), content(&secret).as_str()),
                    (1, "secret"),
                    "round {round}, {confinement:?}"
                );
                if mounted && unmount(scene.root.join(over), UnmountFlags::DETACH).is_err() {
                    // It was mounted over the file while that was taken aside, and then nobody can rename it.
                    let Performed::Failed(problem) = attempt else { panic!("round {round}: {attempt:?}") };
                    let aside = problem.split_once("it is now called ").unwrap().1.split_once(' ').unwrap().0;
                    unmount(scene.root.join("d").join(aside), UnmountFlags::DETACH).unwrap();
                }
            }
        }
    });
}

#[test]
fn a_read_only_mount_says_so() {
    in_own_mounts("a_read_only_mount_says_so", || {
        let scene = Scene::new(Confinement::OneCall);
        scene.file("a", "x");
        scene.file("d/b", "x");
        mount_bind(&scene.root, &scene.root).unwrap();
        let flags = rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::RDONLY;
        rustix::mount::mount_remount(&scene.root, flags, "").unwrap();
        let spec = RootSpec::new("app", &scene.root);
        let scene = Scene { roots: LogRoots::open(&[spec], WalkLimits::default(), None).unwrap(), ..scene };
        for wish in [file("a"), truncation("a"), directory("d")] {
            let Performed::Failed(problem) = scene.perform(&wish) else { panic!("nothing can be written") };
            assert_eq!(problem, "its filesystem is mounted read-only: mount it writable where Holystone runs");
        }
        assert_eq!(scene.walk(WalkOptions::default()).len(), 3);
        unmount(&scene.root, UnmountFlags::DETACH).unwrap();
    });
}
