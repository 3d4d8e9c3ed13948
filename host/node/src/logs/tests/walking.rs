//! Walks: what they list, in what order, and what they do not enter.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, symlink};

use holystone_core::logs::{FileKind, NotEntered, OpenState};
use rustix::fs::{FileType, mknodat};

use super::*;

fn listed(entries: &[FileEntry]) -> Vec<String> {
    entries.iter().map(|entry| entry.path.to_string()).collect()
}

fn options(prefix: &str, include: &[&str], exclude: &[&str]) -> WalkOptions {
    let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    WalkOptions { prefix: path(prefix), include: globs(include), exclude: globs(exclude), ..WalkOptions::default() }
}

#[test]
fn entries_come_in_order_a_directory_before_its_content() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        for name in ["b.log", "a/z.log", "a/b/c.log", "a-b.log", ".hidden", "a/.h"] {
            scene.file(name, "x");
        }
        let all = [".hidden", "a", "a/.h", "a/b", "a/b/c.log", "a/z.log", "a-b.log", "b.log"];
        assert_eq!(listed(&scene.walk(WalkOptions::default())), all);
        assert_eq!(listed(&scene.walk(options("a", &[], &[]))), ["a/.h", "a/b", "a/b/c.log", "a/z.log"]);
        assert_eq!(listed(&scene.walk(options("", &["**/*.log"], &["a/b"]))), ["a/z.log", "a-b.log", "b.log"]);
        let files = WalkOptions { kinds: vec![FileKind::Directory], ..WalkOptions::default() };
        assert_eq!(listed(&scene.walk(files)), ["a", "a/b"]);
        let flat = |most| WalkOptions { max_depth: Some(most), ..WalkOptions::default() };
        assert_eq!(listed(&scene.walk(flat(0))), [".hidden", "a", "a-b.log", "b.log"]);
        let one = scene.walk(flat(1));
        assert_eq!(listed(&one), [".hidden", "a", "a/.h", "a/b", "a/z.log", "a-b.log", "b.log"]);
        assert!(one.iter().all(|entry| entry.not_entered.is_none()), "nobody asked for more");
        assert!(scene.walk(options("a", &[], &["a"])).is_empty());
    }
}

#[test]
fn an_entry_is_what_stat_says() {
    let scene = Scene::new(Confinement::OneCall);
    let file = scene.file("a.log", "12345");
    fs::hard_link(&file, scene.root.join("b.log")).unwrap();
    let sparse = fs::File::create(scene.root.join("sparse")).unwrap();
    sparse.set_len(5 << 30).unwrap();
    let [a, b, big] = &scene.walk(WalkOptions::default())[..] else { panic!("three entries") };
    let metadata = fs::metadata(&file).unwrap();
    assert_eq!((a.size_bytes, a.hard_links, a.kind), (5, 2, FileKind::File));
    assert_eq!(a.allocated_bytes, metadata.blocks() * 512);
    assert_eq!(a.freeable_bytes(), 0);
    assert_eq!(a.modified, Timestamp::try_from(metadata.modified().unwrap()).unwrap());
    assert_eq!((a.identity.inode, a.identity.device), (metadata.ino(), metadata.dev()));
    assert_eq!(a.identity, b.identity);
    assert_eq!(big.size_bytes, 5 << 30);
    assert!(big.allocated_bytes < 1 << 20, "{} bytes on disk", big.allocated_bytes);
}

#[test]
fn times_before_1970_and_far_in_the_future_are_told() {
    let scene = Scene::new(Confinement::OneCall);
    let file = fs::File::create(scene.file("a", "")).unwrap();
    let seconds = std::time::Duration::from_secs_f64;
    file.set_modified(std::time::UNIX_EPOCH - seconds(0.5)).unwrap();
    assert_eq!(scene.walk(WalkOptions::default())[0].modified.as_nanosecond(), -500_000_000);
    file.set_modified(std::time::UNIX_EPOCH + seconds(8e9)).unwrap();
    assert_eq!(scene.walk(WalkOptions::default())[0].modified.as_second(), 8_000_000_000);
}

#[test]
fn everything_is_what_it_is_and_no_link_is_followed() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        fs::write(scene.outside.join("secret"), "s").unwrap();
        symlink(scene.outside.join("secret"), scene.root.join("link")).unwrap();
        symlink(&scene.outside, scene.root.join("away")).unwrap();
        symlink("nowhere", scene.root.join("dangling")).unwrap();
        let node =
            |name: &str, kind, device| mknodat(rustix::fs::CWD, scene.root.join(name), kind, 0o600.into(), device);
        node("pipe", FileType::Fifo, 0).unwrap();
        drop(std::os::unix::net::UnixListener::bind(scene.root.join("socket")).unwrap());
        let mut expected = BTreeMap::from([
            ("away", FileKind::Symlink),
            ("dangling", FileKind::Symlink),
            ("link", FileKind::Symlink),
            ("pipe", FileKind::Fifo),
            ("socket", FileKind::Socket),
        ]);
        if can("everything_is_what_it_is", "making devices", node("null", FileType::CharacterDevice, 0x103).is_ok()) {
            expected.insert("null", FileKind::CharacterDevice);
        }
        let entries = scene.walk(WalkOptions::default());
        let kinds: BTreeMap<String, FileKind> =
            entries.iter().map(|entry| (entry.path.to_string(), entry.kind)).collect();
        assert_eq!(kinds, expected.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect());
        let through = scene.roots.walk("app", options("away", &[], &[]), &scene.open_files).unwrap_err();
        assert_eq!(
            through,
            LogsError::NotFound("away in log root app is no directory, or is behind a symbolic link".to_owned())
        );
    }
}

#[test]
fn pods_are_told_in_the_kubelets_directories() {
    let scene = Scene::new(Confinement::OneCall);
    let uid = "0f1e2d3c-4b5a-6978-8695-a4b3c2d1e0f0";
    scene.file(&format!("shop_web_{uid}/main/0.log"), "x");
    scene.file("a_b_c/d.log", "x");
    for entry in scene.walk(WalkOptions::default()) {
        let expected = entry.path.to_string().starts_with("shop").then(|| uid.to_owned());
        assert_eq!(entry.pod_uid, expected, "{}", entry.path);
    }
    let inside = scene.walk(options(&format!("shop_web_{uid}/main"), &[], &[]));
    assert_eq!(inside[0].pod_uid.as_deref(), Some(uid));
}

#[test]
fn depth_has_a_limit_and_the_entry_says_so() {
    let limits = WalkLimits { depth: 2, ..WalkLimits::default() };
    let scene = Scene::beneath(&std::env::temp_dir(), Confinement::OneCall, limits);
    scene.file("a/b/c/d.log", "x");
    let mut walk = scene.roots.walk("app", WalkOptions::default(), &scene.open_files).unwrap();
    let entries = all(&mut walk);
    assert_eq!(listed(&entries), ["a", "a/b", "a/b/c"]);
    assert_eq!(entries[2].not_entered, Some(NotEntered::Depth));
    let sentences = walk.gaps().sentences();
    let told = "directories not entered because they are deeper than this host goes: 1, the first being a/b/c";
    assert_eq!(sentences, [told]);
}

#[test]
fn very_deep_directories_end_at_the_limit() {
    let scene = Scene::new(Confinement::Stepwise);
    let name = "x".repeat(200);
    let mut directory = fs::File::open(&scene.root).unwrap();
    for _ in 0..100 {
        rustix::fs::mkdirat(&directory, &name, 0o700.into()).unwrap();
        directory = rustix::fs::openat(&directory, &name, rustix::fs::OFlags::DIRECTORY, 0o0.into()).unwrap().into();
    }
    let mut walk = scene.roots.walk("app", WalkOptions::default(), &scene.open_files).unwrap();
    let entries = all(&mut walk);
    assert_eq!(entries.len(), 4_095 / 201, "as deep as a path can be");
    assert!(walk.gaps().sentences()[0].contains("longer than 4095 bytes"), "{:?}", walk.gaps().sentences());
    let refusal = scene.clear(&super::directory(&name)).unwrap_err();
    assert_eq!(refusal.code(), "Obstacle");
}

#[test]
fn the_number_of_names_has_a_limit_and_the_walk_says_so() {
    let limits = WalkLimits { names: 20, ..WalkLimits::default() };
    let scene = Scene::beneath(&std::env::temp_dir(), Confinement::OneCall, limits);
    for name in 0..8 {
        scene.file(&format!("a/{name}"), "x");
        scene.file(&format!("b/{name}"), "x");
        scene.file(&format!("c/{name}"), "x");
    }
    let mut walk = scene.roots.walk("app", WalkOptions::default(), &scene.open_files).unwrap();
    let first = walk.next(1_000).unwrap();
    assert!(!first.is_over);
    assert_eq!(first.entries.len(), 18, "a, b and what is in them: {:?}", listed(&first.entries));
    let LogsError::Limit(sentence) = walk.next(1_000).unwrap_err() else { panic!("a limit") };
    assert!(sentence.starts_with("the walk of log root app ended after 20 names"), "{sentence}");
    assert!(walk.next(1_000).is_err(), "it stays that way");
    assert_eq!(
        scene.clear(&super::directory("a")).unwrap().target().path,
        path("a"),
        "a small part is seen as a whole"
    );
}

#[test]
fn memory_has_a_limit_that_all_walks_share() {
    let limits = WalkLimits { memory: 12 << 10, ..WalkLimits::default() };
    let scene = Scene::beneath(&std::env::temp_dir(), Confinement::OneCall, limits);
    for name in 0..200 {
        scene.file(&format!("{name:010}"), "");
    }
    let open = || scene.roots.walk("app", WalkOptions::default(), &scene.open_files);
    let (first, second) = (open().unwrap(), open().unwrap());
    assert!(matches!(open().unwrap_err(), LogsError::Limit(_)));
    drop((first, second));
    assert_eq!(all(&mut open().unwrap()).len(), 200);
}

#[test]
fn a_batch_without_a_match_ends_too() {
    let scene = Scene::new(Confinement::OneCall);
    for name in 0..12_000 {
        fs::write(scene.root.join(name.to_string()), "").unwrap();
    }
    let mut walk = scene.roots.walk("app", options("", &["none"], &[]), &scene.open_files).unwrap();
    let first = walk.next(10).unwrap();
    assert!(first.entries.is_empty() && !first.is_over);
    assert!(walk.next(10).unwrap().is_over);
    let mut walk = scene.roots.walk("app", WalkOptions::default(), &scene.open_files).unwrap();
    assert_eq!(walk.next(usize::MAX).unwrap().entries.len(), 10_000);
    assert!(walk.next(0).unwrap().entries.is_empty());
}

#[test]
fn what_vanishes_during_a_walk_was_not_there() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        for name in 0..10 {
            scene.file(&format!("a/{name}"), "x");
            scene.file(&format!("b/{name}"), "x");
            scene.file(&format!("c{name}/x"), "x");
        }
        let mut walk = scene.roots.walk("app", WalkOptions::default(), &scene.open_files).unwrap();
        assert_eq!(listed(&walk.next(2).unwrap().entries), ["a", "a/0"]);
        fs::remove_dir_all(scene.root.join("a")).unwrap();
        fs::remove_file(scene.root.join("b/3")).unwrap();
        fs::remove_dir_all(scene.root.join("c5")).unwrap();
        fs::write(scene.root.join("c5"), "a file by now").unwrap();
        let rest = all(&mut walk);
        assert_eq!(rest[0].path.to_string(), "b");
        assert_eq!(rest.len(), 1 + 9 + 9 * 2 + 1);
        assert!(walk.gaps().sentences().is_empty());
    }
}

#[test]
fn open_files_are_told_by_the_processes() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("open.log", "x");
    scene.file("closed.log", "x");
    let processes = Processes { proc: "/proc".into(), visibility: Visibility::All, ..Processes::default() };
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .stdin(fs::File::open(scene.root.join("open.log")).unwrap())
        .spawn()
        .unwrap();
    let open = Arc::new(scene.roots.open_files(&processes));
    let mut walk = scene.roots.walk("app", WalkOptions::default(), &open).unwrap();
    let entries = all(&mut walk);
    let refusal =
        super::judge(&guard(), &file("open.log"), scene.roots.look(&super::target_of(&file("open.log")), &open));
    child.kill().unwrap();
    child.wait().unwrap();
    let [closed, open] = &entries[..] else { panic!("two entries") };
    assert_eq!(open.open, OpenState::Open);
    assert_eq!(refusal.unwrap_err().code(), "HeldOpen");
    // Some machines hide some processes even from root.
    let is_denied = |error: std::io::Error| error.kind() == std::io::ErrorKind::PermissionDenied;
    let is_hidden = |process: PathBuf| {
        let handles = fs::read_dir(process.join("fd")).into_iter().flatten().flatten().map(|entry| entry.path());
        handles.chain([process.join("cwd")]).any(|link| fs::metadata(link).err().is_some_and(is_denied))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let some_are_hidden = processes.filter(|path| path.join("cmdline").exists()).any(is_hidden);
    let expected = if some_are_hidden { OpenState::Unknown } else { OpenState::Closed };
    assert_eq!(closed.open, expected);
}

#[test]
fn what_may_not_be_read_is_told() {
    if !can("what_may_not_be_read_is_told", "becoming another user takes root", is_root()) {
        return;
    }
    let scene = Scene::new(Confinement::OneCall);
    scene.file("closed/a.log", "x");
    scene.file("open/a.log", "x");
    fs::set_permissions(scene.root.join("closed"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::set_permissions(scene.root.join("open"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    as_nobody(|| {
        let mut walk = scene.roots.walk("app", WalkOptions::default(), &scene.open_files).unwrap();
        let entries = all(&mut walk);
        assert_eq!(listed(&entries), ["closed", "open", "open/a.log"]);
        assert_eq!(entries[0].not_entered, Some(NotEntered::Denied));
        assert!(walk.gaps().sentences()[0].contains("no permission"), "{:?}", walk.gaps().sentences());
        let closed = scene.roots.walk("app", options("closed", &[], &[]), &scene.open_files).unwrap_err();
        assert_eq!(
            closed,
            LogsError::Unavailable("closed in log root app cannot be listed: permission denied".to_owned())
        );
        assert_eq!(scene.judge(&super::directory("closed")).unwrap_err().code(), "Unseen");
        // Its user may neither read it nor take it away.
        let Performed::Failed(problem) = scene.perform(&file("open/a.log")) else { panic!("it may not") };
        assert!(problem.contains("no permission"), "{problem}");
        let Performed::Failed(problem) = scene.perform(&truncation("open/a.log")) else { panic!("it may not") };
        assert!(problem.contains("no permission"), "{problem}");
    });
    assert_eq!(fs::read_to_string(scene.root.join("open/a.log")).unwrap(), "x");
}

/// Does something in a thread without any rights.
pub(super) fn as_nobody(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let nobody = scope.spawn(|| {
            // Only this thread: the system calls themselves know nothing of processes.
            rustix::thread::set_thread_res_uid(None, rustix::fs::Uid::from_raw(65_534), None).unwrap();
            work();
        });
        nobody.join().unwrap();
    });
}

#[test]
fn a_hundred_thousand_files_come_in_order() {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let scene = Scene::beneath(&parent, Confinement::OneCall, WalkLimits::default());
    for name in 0..100_000 {
        fs::File::create(scene.root.join(format!("app-{:06}.log", (name * 7_919) % 100_000))).unwrap();
    }
    let mut walk = scene.roots.walk("app", WalkOptions::default(), &scene.open_files).unwrap();
    let mut seen = 0;
    loop {
        let batch = walk.next(1_000).unwrap();
        for entry in &batch.entries {
            assert_eq!(entry.path.to_string(), format!("app-{seen:06}.log"));
            seen += 1;
        }
        if batch.is_over {
            break;
        }
    }
    assert_eq!(seen, 100_000);
}
