//! What has been cleared is removed or truncated, and nothing else.

use std::os::unix::fs::symlink;

use holystone_core::guard::logs::InspectError;

use super::*;

fn done(entries: u64, size_bytes: u64) -> Performed {
    Performed::Done(Removed { entries, size_bytes })
}

#[test]
fn a_file_is_removed_or_cut() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        scene.file("d/a.log.1", "12345");
        let live = scene.file("d/a.log", "1234567");
        assert_eq!(scene.perform(&file("d/a.log.1")), done(1, 5));
        assert_eq!(scene.perform(&truncation("d/a.log")), done(1, 7));
        assert_eq!(fs::metadata(live).unwrap().len(), 0);
        let left: Vec<_> =
            fs::read_dir(scene.root.join("d")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["a.log"]);
    }
}

#[test]
fn one_of_two_names_goes_and_the_other_stays() {
    let scene = Scene::new(Confinement::OneCall);
    let one = scene.file("a", "12345");
    let other = scene.outside.join("other");
    fs::hard_link(&one, &other).unwrap();
    let step = scene.judge(&file("a")).unwrap();
    assert_eq!((step.hard_links(), step.freeable_bytes()), (2, 0));
    assert_eq!(scene.judge(&truncation("a")).unwrap_err().code(), "HardLinked");
    assert_eq!(scene.perform(&file("a")), done(1, 5));
    assert_eq!(fs::read_to_string(other).unwrap(), "12345");
}

#[test]
fn a_directory_goes_as_a_whole_with_its_links_but_not_what_they_lead_to() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        scene.file("d/a.log", "123");
        scene.file("d/e/f/b.log", "45");
        let twin = scene.file("d/twin", "6");
        fs::hard_link(&twin, scene.root.join("d/e/twin")).unwrap();
        fs::write(scene.outside.join("secret"), "s").unwrap();
        symlink(scene.outside.join("secret"), scene.root.join("d/link")).unwrap();
        symlink(&scene.outside, scene.root.join("d/e/away")).unwrap();
        scene.file("stays", "x");
        let step = scene.judge(&directory("d")).unwrap();
        let Performed::Done(removed) = scene.perform(&directory("d")) else { panic!("it goes") };
        assert_eq!(removed.entries, 9);
        assert_eq!(step.size_bytes(), removed.size_bytes);
        assert_eq!(fs::read_to_string(scene.outside.join("secret")).unwrap(), "s");
        assert_eq!(fs::read_dir(&scene.root).unwrap().count(), 1);
    }
}

#[test]
fn what_is_in_the_way_keeps_a_directory_whole() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("d/a/b.log", "x");
    drop(std::os::unix::net::UnixListener::bind(scene.root.join("d/z.sock")).unwrap());
    let refusal = scene.clear(&directory("d")).unwrap_err();
    assert_eq!(refusal.to_string(), "it cannot be removed as a whole: d/z.sock in it is a socket");
    let pod = "shop_web_0f1e2d3c-4b5a-6978-8695-a4b3c2d1e0f0";
    scene.file(&format!("p/{pod}/main/0.log"), "x");
    assert!(scene.clear(&directory("p")).unwrap_err().to_string().contains("for the kubelet"));
    assert!(scene.root.join("d/a/b.log").exists());
}

#[test]
fn no_root_is_removed_by_way_of_another() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("d/e/x.log", "x");
    fs::create_dir_all(scene.outside.join("one")).unwrap();
    fs::create_dir_all(scene.outside.join("two")).unwrap();
    let specs = [
        RootSpec::new("app", &scene.root),
        RootSpec::new("one", scene.outside.join("one")),
        RootSpec::new("two", scene.outside.join("two")),
    ];
    let roots = LogRoots::open(&specs, WalkLimits::default(), None).unwrap();
    // Roots that lay apart when they were opened, and do not any more.
    fs::rename(scene.outside.join("one"), scene.root.join("inner")).unwrap();
    fs::rename(scene.outside.join("two"), scene.root.join("d/e/inner")).unwrap();
    for (target, told) in [("inner", "inner in it is a log root itself"), ("d", "d/e/inner in it is a log root itself")]
    {
        let wish = directory(target);
        let inspection = roots.look(&target_of(&wish), &scene.open_files);
        let refusal = judge(&guard(), &wish, inspection).unwrap_err();
        assert_eq!(refusal.to_string(), format!("it cannot be removed as a whole: {told}"));
    }
}

#[test]
fn nothing_is_reached_through_a_link_or_above_the_root() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        fs::create_dir(scene.outside.join("d")).unwrap();
        fs::write(scene.outside.join("d/secret"), "s").unwrap();
        fs::write(scene.outside.join("secret"), "s").unwrap();
        symlink(&scene.outside, scene.root.join("away")).unwrap();
        symlink("../outside/secret", scene.root.join("link")).unwrap();
        symlink("..", scene.root.join("up")).unwrap();
        let code = |wish: &Wish| scene.clear(wish).unwrap_err().code();
        for wish in [file("away/secret"), truncation("away/secret"), directory("away/d"), file("up/outside/secret")] {
            assert_eq!(code(&wish), "ThroughLink");
        }
        for wish in [file("link"), truncation("link"), directory("away"), directory("link"), directory("up")] {
            assert_eq!(code(&wish), "WrongKind");
        }
        assert_eq!(code(&file("../outside/secret")), "BadPath");
        assert_eq!(code(&file("missing")), "NotFound");
        assert_eq!(fs::read_to_string(scene.outside.join("secret")).unwrap(), "s");
    }
}

#[test]
fn what_changed_after_it_was_cleared_is_left_alone() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        let refused = |wish: &Wish, change: &dyn Fn()| {
            let clearance = scene.clear(wish).unwrap();
            change();
            match scene.roots.perform(clearance) {
                Performed::NoLongerAllowed(refusal) => refusal.code(),
                other => panic!("{other:?}"),
            }
        };
        let path = scene.file("a", "12345");
        assert_eq!(refused(&file("a"), &|| fs::write(&path, "123456").unwrap()), "Changed");
        // Numbers of files are used again at once: the new file may have that of the old one.
        let replace = || {
            fs::remove_file(&path).unwrap();
            fs::write(&path, "123456").unwrap();
        };
        assert_eq!(refused(&file("a"), &replace), "Changed");
        assert_eq!(fs::read_to_string(&path).unwrap(), "123456");
        assert_eq!(refused(&truncation("a"), &|| fs::write(&path, "1").unwrap()), "Changed");
        let link = || fs::hard_link(&path, scene.outside.join("link")).unwrap();
        assert_eq!(refused(&truncation("a"), &link), "HardLinked");
        scene.file("d/e/x", "x");
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(refused(&directory("d"), &|| fs::write(scene.root.join("d/new"), "").unwrap()), "Changed");
        std::thread::sleep(std::time::Duration::from_millis(20));
        let away = || fs::rename(scene.root.join("d"), scene.root.join("d2")).unwrap();
        let clearance = scene.clear(&directory("d")).unwrap();
        away();
        assert_eq!(scene.roots.perform(clearance), Performed::AlreadyGone);
        let clearance = scene.clear(&file("a")).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(scene.roots.perform(clearance), Performed::AlreadyGone);
    }
}

#[test]
fn a_change_deep_in_a_directory_ends_its_removal_and_is_told() {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("d/a", "x");
    scene.file("d/b/c", "x");
    std::thread::sleep(std::time::Duration::from_millis(20));
    let clearance = scene.clear(&directory("d")).unwrap();
    fs::write(scene.root.join("d/b/c"), "y").unwrap();
    let Performed::Failed(problem) = scene.roots.perform(clearance) else { panic!("it changed") };
    assert_eq!(problem, "something in it has changed; one entry in it had gone by then");
    assert_eq!(fs::read_to_string(scene.root.join("d/b/c")).unwrap(), "y");
}

#[test]
fn a_growing_file_is_cut_while_it_is_written_to() {
    let scene = Scene::new(Confinement::OneCall);
    let path = scene.file("a.log", "");
    let writer = Writer::start(&path);
    let mut cut = 0;
    for _ in 0..200 {
        match scene.perform(&truncation("a.log")) {
            Performed::Done(removed) => cut += removed.size_bytes,
            other => panic!("{other:?}"),
        }
        // To remove it is another matter: it may be still for as long as two looks take, or not.
        match scene.judge(&file("a.log")).and_then(|step| guard().clear(&step, scene.look(step.target()))) {
            Ok(_) => {}
            Err(refusal) => assert_eq!(refusal.code(), "Changed"),
        }
    }
    drop(writer);
    assert!(cut > 0 && path.exists());
}

/// Writes to a log until it is dropped, however that comes about, or a gigabyte is full.
struct Writer {
    stop: Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn start(path: &Path) -> Self {
        use std::sync::atomic::Ordering;

        let mut log = fs::OpenOptions::new().append(true).open(path).unwrap();
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let lines = 0..1 << 20;
            for _ in lines.take_while(|_| !stopped.load(Ordering::Relaxed)) {
                std::io::Write::write_all(&mut log, &[b'x'; 1 << 10]).unwrap();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn a_huge_sparse_file_is_cut_and_removed() {
    let scene = Scene::new(Confinement::OneCall);
    let sparse = || fs::File::create(scene.root.join("sparse")).unwrap().set_len(5 << 30).unwrap();
    sparse();
    let step = scene.judge(&file("sparse")).unwrap();
    assert_eq!(step.size_bytes(), 5 << 30);
    assert!(step.freeable_bytes() < 1 << 20, "its holes take nothing");
    assert_eq!(scene.perform(&truncation("sparse")), done(1, 5 << 30));
    sparse();
    assert_eq!(scene.perform(&file("sparse")), done(1, 5 << 30));
}

#[test]
fn links_of_the_kubelet_are_seen_to_dangle() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        let link = format!("web_shop_main-{}.log", "ab".repeat(32));
        let target = scene.root.join("pods/x/0.log");
        let leads = || {
            let inspection = scene.look(&target_of(&file(&link))).unwrap();
            inspection.leads_somewhere
        };
        symlink(&target, scene.root.join(&link)).unwrap();
        assert_eq!(leads(), Some(false), "not even its directory is there");
        scene.file("pods/x/0.log", "x");
        assert_eq!(leads(), Some(true));
        fs::remove_file(scene.root.join(&link)).unwrap();
        symlink(scene.outside.join("0.log"), scene.root.join(&link)).unwrap();
        assert_eq!(leads(), Some(false), "a path of the host is one of ours here");
        fs::remove_file(scene.root.join(&link)).unwrap();
        symlink("../outside", scene.root.join(&link)).unwrap();
        assert_eq!(leads(), None);
    }
}

#[test]
fn a_root_that_is_mounted_elsewhere_does_not_judge_links_by_its_own_paths() {
    let scene = Scene::new(Confinement::OneCall);
    let spec = RootSpec { mounted_at: Some(scene.root.clone()), ..RootSpec::new("app", "/var/log/containers") };
    let roots = LogRoots::open(&[spec], WalkLimits::default(), None).unwrap();
    let link = format!("web_shop_main-{}.log", "ab".repeat(32));
    symlink("/var/log/pods/x/0.log", scene.root.join(&link)).unwrap();
    let inspection = roots.look(&target_of(&file(&link)), &scene.open_files).unwrap();
    assert_eq!(inspection.leads_somewhere, None);
    assert_eq!(
        roots.look(&RootedPath { root: "x".to_owned(), path: path("a"), is_directory: false }, &scene.open_files),
        Err(InspectError::NoSuchRoot)
    );
}

#[test]
fn everything_beneath_the_roots_is_counted() {
    let scene = Scene::new(Confinement::OneCall);
    assert_eq!(scene.roots.count(), Some(0));
    scene.file("d/a", "x");
    scene.file("d/e/b", "x");
    symlink("a", scene.root.join("link")).unwrap();
    assert_eq!(scene.roots.count(), Some(5), "two directories, two files, a link");
    let few = WalkLimits { names: 4, ..WalkLimits::default() };
    let roots = LogRoots::open(&[RootSpec::new("app", &scene.root)], few, None).unwrap();
    assert_eq!(roots.count(), None, "a part would not be all");
}

#[test]
fn when_a_run_is_over_nothing_long_goes_on() {
    let scene = Scene::new(Confinement::OneCall);
    for name in 0..100 {
        scene.file(&format!("d/{name}"), "x");
    }
    std::thread::sleep(std::time::Duration::from_millis(20));
    let cleared = scene.clear(&wish("d", true, Operation::Remove)).unwrap();
    scene.roots.end();
    let Performed::Failed(why) = scene.roots.perform(cleared) else { panic!("it ends") };
    assert!(why.contains("the run was over"), "{why}");
    assert_eq!(fs::read_dir(scene.root.join("d")).unwrap().count(), 100);
    let target = target_of(&wish("d", true, Operation::Remove));
    let inspection = scene.look(&target).unwrap();
    assert!(matches!(
        inspection.tree.unwrap().obstacle,
        Some(holystone_core::guard::logs::DirectoryObstacle::Unseen(..))
    ));
    let seen = scene.roots.look_at([target.clone()], &scene.open_files);
    assert!(matches!(&seen[&target], Err(InspectError::Failed(why)) if why.contains("the run was over")));
    assert_eq!(scene.roots.count(), None);
}

#[test]
fn many_names_of_one_file_go_in_one_run() {
    let scene = Scene::new(Confinement::OneCall);
    let first = scene.file("a", "12345");
    for name in ["b", "c"] {
        fs::hard_link(&first, scene.root.join(name)).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    // Removing one name changes the file, as renaming it would.
    let rails = LogRails {
        unknown_open_age: SignedDuration::ZERO,
        settled_for: SignedDuration::from_secs(1),
        ..LogRails::default()
    };
    let guard = || LogGuard::new(rails, Timestamp::now(), None);
    let step = |name: &str| judge(&guard(), &file(name), scene.look(&target_of(&file(name)))).unwrap();
    let steps = [step("a"), step("b"), step("c")];
    for step in &steps[..2] {
        let clearance = guard().clear(step, scene.look(step.target())).unwrap();
        assert_eq!(scene.roots.perform(clearance), done(1, 5));
    }
    // Somebody else changes it as well.
    fs::rename(scene.root.join("c"), scene.root.join("d")).unwrap();
    fs::rename(scene.root.join("d"), scene.root.join("c")).unwrap();
    assert_eq!(guard().clear(&steps[2], scene.look(steps[2].target())).unwrap_err().code(), "Unsettled");
}

#[test]
fn names_of_one_file_go_by_themselves_and_with_their_directories_in_one_run() {
    let rails = LogRails {
        unknown_open_age: SignedDuration::ZERO,
        settled_for: SignedDuration::from_secs(1),
        ..LogRails::default()
    };
    let guard = || LogGuard::new(rails, Timestamp::now(), None);
    let wishes = [directory("d"), file("y"), directory("e"), file("z")];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
        let scene = Scene::new(Confinement::OneCall);
        let first = scene.file("d/x", "12345");
        fs::create_dir(scene.root.join("e")).unwrap();
        for name in ["d/again", "e/x", "e/again", "y", "z"] {
            fs::hard_link(&first, scene.root.join(name)).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        let judge = |wish: &Wish| judge(&guard(), wish, scene.look(&target_of(wish))).unwrap();
        let steps = order.map(|place: usize| judge(&wishes[place]));
        for step in &steps[..3] {
            let clearance = guard().clear(step, scene.look(step.target())).unwrap();
            let expected = if step.target().is_directory { done(3, 5) } else { done(1, 5) };
            assert_eq!(scene.roots.perform(clearance), expected, "{order:?}: {}", step.name());
        }
        // A change by anybody else counts, also between the last look and the removal.
        let last = scene.root.join(steps[3].target().path.to_string());
        let named = if last.is_dir() { last.join("x") } else { last };
        let clearance = guard().clear(&steps[3], scene.look(steps[3].target())).unwrap();
        // Longer than the grain of change times.
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::set_permissions(&named, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        let told = guard().clear(&steps[3], scene.look(steps[3].target())).unwrap_err();
        assert_eq!(told.code(), if steps[3].target().is_directory { "Changed" } else { "Unsettled" }, "{order:?}");
        if steps[3].target().is_directory {
            let Performed::NoLongerAllowed(refusal) = scene.roots.perform(clearance) else { panic!("{order:?}") };
            assert_eq!(refusal.code(), "Changed");
            assert!(named.exists());
        }
    }
}

#[test]
fn a_date_ahead_of_the_clock_keeps_neither_a_file_nor_a_directory() {
    let scene = Scene::new(Confinement::OneCall);
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_hours(24);
    for path in ["a", "d/b", "d/c/e"] {
        fs::File::options().write(true).open(scene.file(path, "x")).unwrap().set_modified(tomorrow).unwrap();
    }
    fs::hard_link(scene.root.join("d/b"), scene.root.join("d/c/b")).unwrap();
    assert_eq!(scene.perform(&file("a")), done(1, 1));
    assert_eq!(scene.perform(&directory("d")), done(5, 2), "the file with two names counts once");
}

#[test]
fn what_was_just_unpacked_moved_or_renamed_stays_until_it_has_settled() {
    let scene = Scene::new(Confinement::OneCall);
    let year_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * 365);
    let old = |path: &Path| fs::File::options().write(true).open(path).unwrap().set_modified(year_ago).unwrap();
    old(&scene.file("unpacked", "x"));
    let elsewhere = scene.outside.join("elsewhere");
    fs::write(&elsewhere, "x").unwrap();
    old(&elsewhere);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    fs::rename(&elsewhere, scene.root.join("moved")).unwrap();
    let rails = |settled_for| LogRails { unknown_open_age: SignedDuration::ZERO, settled_for, ..LogRails::default() };
    let judge = |settled_for, name: &str| {
        let inspection = scene.look(&target_of(&file(name)));
        judge(&LogGuard::new(rails(settled_for), Timestamp::now(), None), &file(name), inspection)
    };
    for name in ["unpacked", "moved"] {
        let refusal = judge(SignedDuration::from_mins(10), name).unwrap_err();
        assert_eq!(refusal.code(), "Unsettled");
        assert!(refusal.to_string().contains("it may just have been moved, unpacked or restored"), "{refusal}");
    }
    assert!(judge(SignedDuration::from_secs(1), "unpacked").is_ok());
    assert_eq!(judge(SignedDuration::from_secs(1), "moved").unwrap_err().code(), "Unsettled");
    assert!(judge(SignedDuration::ZERO, "moved").is_ok());
}
