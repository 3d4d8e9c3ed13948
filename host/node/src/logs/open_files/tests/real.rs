//! Real users of real files: processes, mount namespaces, loop devices and swap.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use holystone_core::guard::Refusal;
use holystone_core::guard::logs::Logs;
use holystone_core::proposal::Wish;

use super::super::*;
use crate::logs::tests::attacks::in_own_mounts;
use crate::logs::tests::{Scene, can, directory, file, is_root, truncation};
use crate::logs::{Confinement, LogRoots, RootSpec, WalkLimits};

/// A process that uses a file until it is dropped.
pub(in crate::logs) struct Holder(Child);

impl Holder {
    /// Starts it, and waits until it says `ready`.
    pub(in crate::logs) fn start(command: &mut Command) -> Option<Self> {
        Self::once_ready(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?)
    }

    /// Starts a shell in a mount namespace of its own, which carries out the script and then becomes `program`, a way
    /// to run `cat`: its echo shows that the process has its last name.
    pub(in crate::logs) fn elsewhere(script: &str, program: &str) -> Option<Self> {
        let script = format!("{script} && exec {program}");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        // A script that failed reads nothing.
        let _ = child.stdin.as_mut()?.write_all(b"ready\n");
        Self::once_ready(child)
    }

    fn once_ready(mut child: Child) -> Option<Self> {
        let mut line = String::new();
        let output = child.stdout.take()?;
        let holder = Self(child);
        BufReader::new(output).read_line(&mut line).ok()?;
        (line.trim() == "ready").then_some(holder)
    }

    pub(in crate::logs) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Compiles the program that holds files in unusual ways.
fn program(scene: &Scene) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/logs/open_files/tests/holder.c");
    let program = scene.outside.join("holder");
    let compiled = Command::new("cc").arg("-pthread").arg(source).arg("-o").arg(&program).status();
    compiled.is_ok_and(|status| status.success()).then_some(program)
}

/// Looks at all processes of this machine.
fn scan(scene: &mut Scene) {
    let processes = Processes { visibility: Visibility::All, ..Processes::default() };
    scene.open_files = Arc::new(scene.roots.open_files(&processes));
}

fn refusal(scene: &Scene, wish: &Wish) -> Refusal<Logs> {
    scene.judge(wish).expect_err("it is in use")
}

/// Returns whether all processes of this machine could be looked at just now.
fn sees_all(scene: &mut Scene) -> bool {
    scan(scene);
    scene.open_files.is_complete()
}

/// A file, and a directory in which it is, are refused with this code; a truncation as well, unless that is harmless.
#[track_caller]
fn in_use(scene: &mut Scene, code: &str, sentence: &str, truncates: bool) {
    scan(scene);
    let refused = refusal(scene, &file("d/held"));
    assert_eq!((refused.code(), refused.to_string().as_str()), (code, sentence));
    assert_eq!(scene.judge(&truncation("d/held")).is_ok(), truncates, "{code}");
    let refused = refusal(scene, &directory("d"));
    assert_eq!((refused.code(), refused.to_string()), (code, format!("d/held in it: {sentence}")));
    assert!(scene.judge(&file("free")).is_ok(), "what nobody uses may go");
}

/// A root with a file to be held, and one that nobody uses.
fn scene() -> Scene {
    let scene = Scene::new(Confinement::OneCall);
    scene.file("d/held", "12345");
    scene.file("free", "12345");
    scene
}

const TAKES_ROOT: &str = "looking at all processes takes root";

#[test]
fn what_threads_and_mappings_use_is_in_use() {
    const TEST: &str = "what_threads_and_mappings_use_is_in_use";
    let mut scene = scene();
    let Some(program) = program(&scene).filter(|_| is_root()) else {
        can(TEST, "it takes root and a C compiler", false);
        return;
    };
    for (way, code, verb, truncates) in [
        ("own-table", "HeldOpen", "holds it open", true),
        ("leader-gone", "HeldOpen", "holds it open", true),
        ("map", "Mapped", "maps it into memory", false),
        ("leader-gone-map", "Mapped", "maps it into memory", false),
    ] {
        let holder = Holder::start(Command::new(&program).arg(way).arg(scene.root.join("d/held"))).expect(way);
        in_use(&mut scene, code, &format!("process {} (holder) {verb}", holder.id()), truncates);
        drop(holder);
        scan(&mut scene);
        assert!(scene.judge(&file("d/held")).is_ok(), "{way}: its user has ended");
    }
    let holder = Holder::start(Command::new(&program).arg("own-directory").arg(scene.root.join("d"))).unwrap();
    scan(&mut scene);
    let refused = refusal(&scene, &directory("d"));
    assert_eq!(refused.to_string(), format!("it is the working directory of process {} (holder)", holder.id()));
}

#[test]
fn what_a_ring_keeps_is_in_use() {
    const TEST: &str = "what_a_ring_keeps_is_in_use";
    let mut scene = scene();
    let held = scene.root.join("d/held");
    let holder = program(&scene).and_then(|program| Holder::start(Command::new(program).arg("ring").arg(&held)));
    let Some(holder) = holder.filter(|_| is_root()) else {
        can(TEST, "it takes root, a C compiler and io_uring", false);
        return;
    };
    let sentence = format!("process {} (holder) holds it open", holder.id());
    in_use(&mut scene, "HeldOpen", &sentence, true);
    fs::rename(scene.root.join("d/held"), scene.root.join("renamed")).unwrap();
    scan(&mut scene);
    assert_eq!(refusal(&scene, &file("renamed")).code(), "HeldOpen");
    fs::hard_link(scene.root.join("renamed"), scene.root.join("other")).unwrap();
    fs::remove_file(scene.root.join("renamed")).unwrap();
    assert!(!sees_all(&mut scene), "the name that it had is gone");
}

#[test]
fn a_process_that_something_is_mounted_over_may_use_everything() {
    in_own_mounts("a_process_that_something_is_mounted_over", || {
        let mut scene = scene();
        let held = fs::File::open(scene.root.join("d/held")).unwrap();
        let holder = Holder::start(Command::new("sh").args(["-c", "echo ready; exec sleep 1000"]).stdin(held)).unwrap();
        let saw_all = sees_all(&mut scene);
        assert_eq!(refusal(&scene, &file("d/held")).code(), "HeldOpen");
        let process = format!("/proc/{}", holder.id());
        rustix::mount::mount("tmpfs", &process, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        assert!(!sees_all(&mut scene));
        rustix::mount::unmount(&process, rustix::mount::UnmountFlags::DETACH).unwrap();
        assert_eq!(sees_all(&mut scene), saw_all);
    });
}

#[test]
fn a_running_executable_is_in_use() {
    let mut scene = scene();
    if !can("a_running_executable_is_in_use", TAKES_ROOT, is_root()) {
        return;
    }
    fs::remove_file(scene.root.join("d/held")).unwrap();
    fs::copy("/bin/sleep", scene.root.join("d/held")).unwrap();
    let shell = format!("exec 3>&1; {0} 1000 3>&- & echo ready >&3; wait", scene.root.join("d/held").display());
    let holder = Holder::start(Command::new("sh").args(["-c", &shell])).unwrap();
    let running = || {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", holder.id())).unwrap();
        let child = children.trim().parse::<u32>().ok()?;
        let executable = fs::read_link(format!("/proc/{child}/exe")).ok()?;
        (executable == scene.root.join("d/held")).then_some(child)
    };
    let child = loop {
        if let Some(child) = running() {
            break child;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    in_use(&mut scene, "Executing", &format!("process {child} (held) executes it"), false);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(child.cast_signed()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

/// Runs a script in a mount namespace of its own, which lasts as long as a process called `cat`.
fn elsewhere(script: &str) -> Option<Holder> {
    Holder::elsewhere(script, "cat")
}

#[test]
fn what_is_mounted_in_another_namespace_is_in_use() {
    const TEST: &str = "what_is_mounted_in_another_namespace_is_in_use";
    let mut scene = scene();
    fs::create_dir(scene.root.join("empty")).unwrap();
    fs::create_dir(scene.root.join("with space")).unwrap();
    let (held, there) = (scene.root.join("d/held"), scene.outside.join("there"));
    fs::write(&there, "").unwrap();
    let Some(holder) = elsewhere(&format!("mount --bind {} {}", held.display(), there.display())).filter(|_| is_root())
    else {
        can(TEST, "it takes root, unshare and mount", false);
        return;
    };
    let name = |holder: &Holder| format!("process {} (cat)", holder.id());
    let source =
        |holder: &Holder| format!("it is the source of a bind mount in the mount namespace of {}", name(holder));
    in_use(&mut scene, "MountSource", &source(&holder), false);
    // Another name of the file is the same file.
    fs::hard_link(&held, scene.root.join("twin")).unwrap();
    assert_eq!(refusal(&scene, &file("twin")).code(), "MountSource");
    fs::remove_file(scene.root.join("twin")).unwrap();
    drop(holder);
    let holder = elsewhere(&format!("mount --bind '{0}' '{0}'", scene.root.join("with space").display())).unwrap();
    scan(&mut scene);
    assert_eq!(refusal(&scene, &directory("with space")).to_string(), source(&holder));
    drop(holder);
    let on = |holder: &Holder| {
        format!(
            "something is mounted on it in the mount namespace of {}, and its removal would detach that mount",
            name(holder)
        )
    };
    let holder = elsewhere(&format!("mount -t tmpfs none {}", scene.root.join("empty").display())).unwrap();
    scan(&mut scene);
    assert_eq!(refusal(&scene, &directory("empty")).to_string(), on(&holder));
    drop(holder);
    let holder = elsewhere(&format!("mount --bind {} {}", there.display(), held.display())).unwrap();
    in_use(&mut scene, "MountPoint", &on(&holder), false);
    drop(holder);
    // The root itself, and what it lies in, are mounted into every pod that writes logs there.
    let holder = elsewhere(&format!("mount --bind {} {}", scene.root.display(), scene.outside.display())).unwrap();
    scan(&mut scene);
    assert!(scene.judge(&file("d/held")).is_ok() && scene.judge(&directory("d")).is_ok());
    drop(holder);
}

#[test]
fn a_namespace_that_no_process_is_in_may_use_everything() {
    const TEST: &str = "a_namespace_that_no_process_is_in_may_use_everything";
    let mut scene = scene();
    let kept = scene.outside.join("kept");
    // A namespace can be kept only on a mount that does not propagate.
    let script =
        format!("mount -t tmpfs none {0} && touch {0}/ns && unshare --mount={0}/ns true", scene.outside.display());
    let Some(holder) = elsewhere(&script).filter(|_| is_root()) else {
        can(TEST, "it takes root, and an unshare that keeps namespaces", false);
        return;
    };
    scan(&mut scene);
    assert!(!scene.open_files.is_complete(), "{} is kept by process {}", kept.display(), holder.id());
    drop(holder);
}

#[test]
fn the_file_of_a_loop_device_is_in_use() {
    const TEST: &str = "the_file_of_a_loop_device_is_in_use";
    let mut scene = scene();
    let held = scene.root.join("d/held");
    fs::File::create(&held).unwrap().set_len(1 << 20).unwrap();
    let attached = Command::new("losetup").args(["--find", "--show"]).arg(&held).output();
    let Some(attached) = attached.ok().filter(|output| output.status.success() && is_root()) else {
        can(TEST, "it takes root and loop devices", false);
        return;
    };
    let device = String::from_utf8(attached.stdout).unwrap().trim().to_owned();
    let name = device.trim_start_matches("/dev/").to_owned();
    let sentence = format!("the loop device {name} is backed by it, or by a file of the same name");
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        in_use(&mut scene, "LoopDevice", &sentence, false);
        // The path may mean something else here, or nothing: the name counts, and the file under any name.
        fs::hard_link(&held, scene.root.join("twin")).unwrap();
        assert_eq!(refusal(&scene, &file("twin")).code(), "LoopDevice");
        scene.file("e/held", "a file of the same name");
        assert_eq!(refusal(&scene, &file("e/held")).code(), "LoopDevice");
    }));
    let detached = Command::new("losetup").args(["--detach", &device]).status().unwrap();
    assert!(detached.success());
    checked.unwrap();
}

/// Attaches a file to a loop device by a script, checks that it is in use, and detaches it.
fn backed(test: &str, scene: &mut Scene, script: &str, check: impl FnOnce(&mut Scene, &str)) {
    let image = scene.root.join("d/image");
    // So long that no file of another test may be behind the device.
    fs::File::create(&image).unwrap().set_len(1 << 40).unwrap();
    fs::create_dir(scene.outside.join("m")).unwrap();
    let unshared = ["--mount", "--propagation", "private", "sh", "-ec", script, "sh"];
    let attached = Command::new("unshare").args(unshared).arg(&image).arg(&scene.outside).output();
    let Some(attached) = attached.ok().filter(|output| output.status.success() && is_root()) else {
        can(test, "it takes root and loop devices", false);
        return;
    };
    let device = String::from_utf8(attached.stdout).unwrap().trim().to_owned();
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        scan(scene);
        check(scene, device.trim_start_matches("/dev/"));
    }));
    assert!(Command::new("losetup").args(["--detach", &device]).status().unwrap().success());
    checked.unwrap();
}

#[test]
fn the_file_of_a_loop_device_is_in_use_when_its_name_is_gone() {
    const TEST: &str = "the_file_of_a_loop_device_is_in_use_when_its_name_is_gone";
    for script in [
        // Mounted by itself, in a mount namespace that is gone.
        "mount -t tmpfs none $2/m; touch $2/m/o; mount --bind $1 $2/m/o; losetup --find --show $2/m/o",
        // By another name, which is gone.
        "ln $1 $2/n; losetup --find --show $2/n; rm $2/n",
    ] {
        let mut scene = scene();
        backed(TEST, &mut scene, script, |scene, device| {
            let sentence =
                format!("the loop device {device} may be backed by it: the kernel does not say by which file it is");
            let refused = refusal(scene, &file("d/image"));
            assert_eq!((refused.code(), refused.to_string()), ("LoopDevice", sentence), "{script}");
            assert_eq!(refusal(scene, &truncation("d/image")).code(), "LoopDevice");
            assert_eq!(refusal(scene, &directory("d")).code(), "LoopDevice");
            assert!(scene.judge(&file("free")).is_ok(), "it is shorter than the device");
        });
    }
}

#[test]
fn what_is_in_a_layer_of_an_overlay_is_in_use() {
    const TEST: &str = "what_is_in_a_layer_of_an_overlay_is_in_use";
    let mut scene = scene();
    let saw_all = sees_all(&mut scene);
    for path in ["on/low", "on/up", "on/work", "beside"] {
        fs::create_dir_all(scene.root.join(path)).unwrap();
    }
    scene.file("on/low/deep/x", "12345");
    scene.file("on/up/x", "12345");
    fs::create_dir(scene.outside.join("m")).unwrap();
    // An upper layer cannot be on every filesystem.
    let mount = format!(
        "mount -t overlay none -o lowerdir={0}/on/low:{0}/on/up {1}/m",
        scene.root.display(),
        scene.outside.display()
    );
    let Some(holder) = elsewhere(&mount).filter(|_| is_root()) else {
        can(TEST, "it takes root, unshare and overlays", false);
        return;
    };
    assert_eq!(sees_all(&mut scene), saw_all, "its layers are found");
    for wish in [file("on/low/deep/x"), file("on/up/x"), truncation("on/up/x"), directory("on/low"), directory("on")] {
        let refused = refusal(&scene, &wish);
        assert_eq!(refused.code(), "MountSource", "{wish:?}: {refused}");
        assert!(refused.to_string().contains(&format!("of process {} (cat)", holder.id())), "{refused}");
    }
    assert!(scene.judge(&file("d/held")).is_ok() && scene.judge(&directory("beside")).is_ok());
    // The root itself, or what it is in, may be the layer.
    let inner = RootSpec::new("app", scene.root.join("on/low/deep"));
    scene.roots = LogRoots::open(&[inner], WalkLimits::default(), None).unwrap();
    scan(&mut scene);
    assert_eq!(refusal(&scene, &file("x")).code(), "MountSource");
    drop(holder);
    scan(&mut scene);
    assert!(scene.judge(&file("x")).is_ok(), "the overlay is gone");
}

#[test]
fn layers_that_are_named_from_a_directory_that_is_not_known_are_known_by_their_ends() {
    const TEST: &str = "layers_that_are_named_from_a_directory_that_is_not_known";
    let mut scene = scene();
    let saw_all = sees_all(&mut scene);
    for path in ["12/fs/x", "13/fs/x", "14/fs/x"] {
        scene.file(path, "12345");
    }
    fs::create_dir(scene.outside.join("m")).unwrap();
    let mount = format!(
        "cd {0} && mount -t overlay none -o lowerdir=12/fs:13/fs {1}/m && cd /",
        scene.root.display(),
        scene.outside.display()
    );
    let Some(_holder) = elsewhere(&mount).filter(|_| is_root()) else {
        can(TEST, "it takes root, unshare and overlays", false);
        return;
    };
    assert_eq!(sees_all(&mut scene), saw_all, "what has other names is not touched by it");
    assert_eq!(refusal(&scene, &file("12/fs/x")).code(), "MountSource");
    assert_eq!(refusal(&scene, &directory("13")).code(), "MountSource");
    assert!(scene.judge(&file("14/fs/x")).is_ok());
}

#[test]
fn a_namespace_whose_only_process_sees_part_of_it_may_use_everything() {
    const TEST: &str = "a_namespace_whose_only_process_sees_part_of_it_may_use_everything";
    let mut scene = scene();
    fs::create_dir(scene.outside.join("jail")).unwrap();
    fs::write(scene.outside.join("there"), "").unwrap();
    let (held, outside) = (scene.root.join("d/held"), scene.outside.display().to_string());
    let jailed = |root: &str| {
        let script = format!("mount --bind {} {outside}/there && mount --bind / {outside}/jail", held.display());
        Holder::elsewhere(&script, &format!("{root} cat"))
    };
    let Some(holder) = jailed("").filter(|_| is_root()) else {
        can(TEST, "it takes root, unshare and chroot", false);
        return;
    };
    let saw_all = sees_all(&mut scene);
    assert_eq!(refusal(&scene, &file("d/held")).code(), "MountSource");
    drop(holder);
    let holder = jailed(&format!("chroot {outside}/jail")).unwrap();
    assert!(!sees_all(&mut scene), "its mounts above the jail do not show");
    drop(holder);
    assert_eq!(sees_all(&mut scene), saw_all);
}

#[test]
fn an_active_swap_file_is_in_use() {
    const TEST: &str = "an_active_swap_file_is_in_use";
    let mut scene = scene();
    let held = scene.root.join("d/held");
    fs::write(&held, vec![0_u8; 1 << 20]).unwrap();
    fs::set_permissions(&held, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let run = |program: &str| Command::new(program).arg(&held).output().is_ok_and(|output| output.status.success());
    if !can(TEST, "it takes root, mkswap, and a filesystem to swap to", is_root() && run("mkswap") && run("swapon")) {
        return;
    }
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let sentence = "the kernel swaps to it, or to a file of the same name (a swap file)";
        in_use(&mut scene, "SwapFile", sentence, false);
    }));
    assert!(run("swapoff"));
    checked.unwrap();
}
