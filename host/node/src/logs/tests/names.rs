//! File names of every nasty kind: listed, judged and removed without loss.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::*;

const NASTY: [&[u8]; 20] = [
    b"plain.log",
    b"\xff\xfe not text",
    b"half \xe6\x97 character",
    b"new\nline",
    b"carriage\rreturn\ttab",
    b"\x1b[31mred\x1b[0m",
    b"back\\slash",
    b"\\x41",
    b"...",
    b" leading and trailing ",
    b"-rf",
    b"--",
    b"*",
    b"?[a-z]",
    b"$(rm -rf ~)",
    b"; reboot",
    "日本語.log".as_bytes(),
    "\u{202e}gol.txt".as_bytes(),
    "\u{85}next line".as_bytes(),
    &[b'n'; 255],
];

#[test]
fn every_name_is_listed_and_removed() {
    for confinement in BOTH {
        let scene = Scene::new(confinement);
        for name in NASTY {
            let path = scene.root.join(OsStr::from_bytes(name));
            fs::write(&path, name).unwrap();
        }
        let entries = scene.walk(WalkOptions::default());
        let mut expected: Vec<&[u8]> = NASTY.to_vec();
        expected.sort_unstable();
        let listed: Vec<&[u8]> = entries.iter().map(|entry| entry.path.as_bytes()).collect();
        assert_eq!(listed, expected, "sorted by their bytes");
        for entry in entries {
            // What a plugin gets, and what it hands back.
            let text = entry.path.to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
            let removed = scene.perform(&file(&text));
            assert_eq!(removed, Performed::Done(Removed { entries: 1, size_bytes: entry.size_bytes }), "{text}");
        }
        assert_eq!(fs::read_dir(&scene.root).unwrap().count(), 0);
    }
}

#[test]
fn every_name_is_one_of_a_directory_too() {
    let scene = Scene::new(Confinement::Stepwise);
    for name in NASTY {
        let inside = scene.root.join(OsStr::from_bytes(name)).join(OsStr::from_bytes(name));
        fs::create_dir_all(&inside).unwrap();
        fs::write(inside.join("x.log"), "12345").unwrap();
    }
    for name in NASTY {
        let text = LogPath::from_bytes(name).unwrap().to_string();
        assert_eq!(
            scene.roots.read("app", &LogPath::from_bytes(&[name, name, b"x.log"].join(&b'/')).unwrap(), 1, 3).unwrap(),
            b"234"
        );
        let removed = scene.perform(&directory(&text));
        assert_eq!(removed, Performed::Done(Removed { entries: 3, size_bytes: 5 }), "{text}");
    }
    assert_eq!(fs::read_dir(&scene.root).unwrap().count(), 0);
}
