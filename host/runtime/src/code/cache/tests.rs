use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

const DIGEST: &str = "sha256:00ff";
const OTHER: u32 = 4711;

fn temporary() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap().join("cache");
    (directory, path)
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A cache with one entry, and the entry's file.
fn filled() -> (TempDir, PathBuf, PathBuf) {
    let (directory, path) = temporary();
    let cache = Cache::open(&path).unwrap();
    cache.put(DIGEST, b"code").unwrap();
    assert_eq!(cache.get(DIGEST).as_deref(), Some(&b"code"[..]));
    let entry = path.join("sha256-00ff.code");
    (directory, path, entry)
}

#[track_caller]
fn is_untrusted(path: &Path, words: &[&str]) {
    let error = Cache::open(path).unwrap_err();
    assert!(matches!(error, CacheError::Untrusted(_)), "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
}

#[test]
fn a_missing_cache_is_made_private_and_keeps_code() {
    let (_directory, path, entry) = filled();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(&entry).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Cache::open(&path).unwrap();
    assert_eq!(again.get(DIGEST).as_deref(), Some(&b"code"[..]));
    assert_eq!(again.get("sha256:00fe"), None);
}

#[test]
fn a_relative_cache_is_refused() {
    assert!(matches!(Cache::open(Path::new("cache")), Err(CacheError::Unusable(_))));
}

#[test]
fn a_directory_that_others_can_write_to_is_to_be_deleted_and_not_mended() {
    for bits in [0o777, 0o770, 0o720, 0o702, 0o1777] {
        let (_directory, path, _entry) = filled();
        mode(&path, bits);
        is_untrusted(&path, &["is writable by others", "delete the directory", "rm -r /"]);
        let error = Cache::open(&path).unwrap_err().to_string();
        assert!(!error.contains("chmod"), "what was planted there would stay: {error}");
    }
}

#[test]
fn an_entry_that_others_can_write_to_is_never_used() {
    for bits in [0o666, 0o620, 0o602] {
        let (_directory, path, entry) = filled();
        let before = Cache::open(&path).unwrap();
        mode(&entry, bits);
        assert_eq!(before.get(DIGEST), None, "found out when it is read as well");
        is_untrusted(&path, &["its entry sha256-00ff.code is writable by others", "delete the directory"]);
    }
}

#[test]
fn an_entry_that_is_a_link_or_has_another_name_is_never_used() {
    let (directory, path, entry) = filled();
    let before = Cache::open(&path).unwrap();
    let elsewhere = directory.path().join("elsewhere");
    std::fs::rename(&entry, &elsewhere).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    assert_eq!(before.get(DIGEST), None);
    is_untrusted(&path, &["sha256-00ff.code is a link"]);

    std::fs::remove_file(&entry).unwrap();
    std::fs::hard_link(&elsewhere, &entry).unwrap();
    assert_eq!(before.get(DIGEST), None);
    is_untrusted(&path, &["sha256-00ff.code has 2 names"]);
}

#[test]
fn what_another_user_planted_is_never_used_even_in_a_directory_made_private_since() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED what_another_user_planted: not root");
        return;
    }
    let (_directory, path, entry) = filled();
    let before = Cache::open(&path).unwrap();
    chown(&entry, Some(OTHER), None).unwrap();
    assert_eq!(before.get(DIGEST), None);
    is_untrusted(&path, &["its entry sha256-00ff.code belongs to user 4711, not to user 0", "delete the directory"]);

    // Whatever it is, and whatever it is called.
    std::fs::remove_file(&entry).unwrap();
    std::fs::create_dir(path.join("modules")).unwrap();
    chown(path.join("modules"), Some(OTHER), None).unwrap();
    is_untrusted(&path, &["its entry modules belongs to user 4711"]);

    std::fs::remove_dir(path.join("modules")).unwrap();
    chown(&path, Some(OTHER), None).unwrap();
    is_untrusted(&path, &["it belongs to user 4711, not to user 0"]);
}

#[test]
fn a_directory_above_that_others_can_write_to_is_no_place_for_a_cache() {
    let (directory, path, _entry) = filled();
    for (bits, trusted) in [(0o777, false), (0o770, false), (0o1777, true), (0o755, true)] {
        mode(directory.path(), bits);
        match Cache::open(&path) {
            Ok(_) => assert!(trusted, "{bits:o}"),
            Err(error) => {
                assert!(!trusted && matches!(error, CacheError::Untrusted(_)), "{bits:o}: {error}");
                assert!(error.to_string().contains("who can exchange what is beneath it"), "{error}");
            }
        }
    }
    if rustix::process::geteuid().is_root() {
        chown(directory.path(), Some(OTHER), None).unwrap();
        is_untrusted(&path, &["belongs to user 4711, who can exchange what is beneath it"]);
    }
}

#[test]
fn a_link_to_a_cache_is_followed_to_where_it_is_and_that_is_checked() {
    let (directory, path, _entry) = filled();
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(Cache::open(&link).unwrap().get(DIGEST).is_some());
    mode(&path, 0o777);
    is_untrusted(&link, &["is writable by others"]);
}

#[test]
fn what_is_damaged_or_of_another_component_or_version_is_not_code() {
    let (_directory, path, entry) = filled();
    let cache = Cache::open(&path).unwrap();
    let whole = std::fs::read(&entry).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&entry, &whole[..length]).unwrap();
        assert_eq!(cache.get(DIGEST), None, "cut off at {length}");
    }
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        std::fs::write(&entry, &damaged).unwrap();
        assert_eq!(cache.get(DIGEST), None, "damaged at {place}");
    }
    std::fs::write(path.join("sha256-0000.code"), &whole).unwrap();
    mode(&path.join("sha256-0000.code"), 0o600);
    assert_eq!(cache.get("sha256:0000"), None, "of another component");
    std::fs::write(&entry, &whole).unwrap();
    assert!(cache.get(DIGEST).is_some());
}

#[test]
fn what_was_used_longest_ago_makes_room() {
    let (_directory, path) = temporary();
    let cache = Cache::open(&path).unwrap();
    for (name, age) in [("b", 3), ("a", 1), ("c", 2)] {
        cache.put(name, &[0; 1000]).unwrap();
        let file = File::options().write(true).open(path.join(format!("{name}.code"))).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age * 86_400)).unwrap();
    }
    std::fs::write(path.join(".half"), b"").unwrap();
    let file = File::options().write(true).open(path.join(".half")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(24)).unwrap();
    assert!(cache.get("b").is_some(), "which marks it as used");
    cache.make_room(2_500);
    assert_eq!(["a", "b", "c"].map(|name| cache.get(name).is_some()), [true, true, false]);
    assert!(!path.join(".half").exists());
}
