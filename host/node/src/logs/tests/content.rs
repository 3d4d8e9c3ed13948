//! Reads of log files.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn content_is_read_in_bounded_pieces() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        scene.file("d/a.log", "0123456789");
        let read = |offset, most| scene.roots.read("app", &path("d/a.log"), offset, most).unwrap();
        assert_eq!(read(0, 4), b"0123");
        assert_eq!(read(8, 100), b"89");
        assert!(read(10, 100).is_empty() && read(u64::MAX, 100).is_empty() && read(0, 0).is_empty());
        let big = fs::File::create(scene.root.join("big")).unwrap();
        big.set_len(5 << 30).unwrap();
        assert_eq!(
            scene.roots.read("app", &path("big"), 4 << 30, usize::MAX).unwrap().len(),
            crate::logs::content::MAX_READ
        );
    }
}

#[test]
fn only_regular_files_beneath_the_root_are_read_and_no_path_of_the_host_is_told() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        fs::write(scene.outside.join("secret"), "secret").unwrap();
        fs::create_dir(scene.root.join("d")).unwrap();
        symlink(scene.outside.join("secret"), scene.root.join("link")).unwrap();
        symlink(&scene.outside, scene.root.join("away")).unwrap();
        let pipe = scene.root.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for (place, kind) in [
            ("missing", "NotFound"),
            ("d/missing", "NotFound"),
            ("away/secret", "NotFound"),
            ("link", "Invalid"),
            ("pipe", "Invalid"),
            ("d", "Invalid"),
            ("", "Invalid"),
        ] {
            let error = scene.roots.read("app", &path(place), 0, 10).unwrap_err();
            assert!(format!("{error:?}").starts_with(kind), "{place}: {error:?}");
            assert!(!error.to_string().contains(scene.root.to_str().unwrap()), "{error}");
        }
    }
}
