use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use holystone_core::state::State;
use jiff::{Timestamp, ToSpan as _};
use tempfile::TempDir;

use super::{StateDir, StateDirError};

fn now() -> Timestamp {
    "2026-11-24T06:00:00Z".parse().unwrap()
}

fn made() -> (TempDir, PathBuf, StateDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/state");
    let state_dir = StateDir::make(&path).unwrap();
    (directory, path, state_dir)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_saved_is_found_again_and_is_for_this_user_alone() {
    let (_directory, path, state_dir) = made();
    assert!(state_dir.load(now()).notice.is_none(), "there being none is nothing to tell of");
    let state = State::new(now() - 1.hour());
    state_dir.save(&state).unwrap();
    state_dir.save(&state).unwrap();
    let found = StateDir::open(&path).unwrap().load(now());
    assert_eq!((found.state, found.notice), (state, None));
    assert_eq!((mode(&path), mode(&state_dir.file())), (0o700, 0o600));
    assert_eq!(
        state_dir.names().unwrap().split_off(2),
        ["known", "state.json", "state.reserve"],
        "nothing else is left"
    );
}

#[test]
fn whatever_is_of_no_use_is_told_and_started_anew() {
    let good = State::new(now()).to_json().unwrap();
    let newer = String::from_utf8(good.clone()).unwrap().replace("\"format\":2", "\"format\":9");
    let cases: [(&[u8], &str); 5] = [
        (b"", "cannot be read"),
        (b"\x1b[31m", "cannot be read"),
        (&good[..good.len() / 2], "cannot be read"),
        (b"[1,2,3]", "cannot be read"),
        (newer.as_bytes(), "has format 9"),
    ];
    for (text, words) in cases {
        let (_directory, _, state_dir) = made();
        fs::write(state_dir.file(), text).unwrap();
        let found = state_dir.load(now());
        assert_eq!(found.state, State::new(now()).damaged(), "{words}");
        let notice = found.notice.unwrap();
        assert!(notice.contains(words) && notice.contains("ages are unknown"), "{notice}");
        assert!(!notice.contains('\u{1b}'), "{notice:?}");
        state_dir.save(&found.state).unwrap();
        assert!(state_dir.load(now()).notice.is_none(), "and then it is of use again");
    }
}

#[test]
fn what_is_no_file_is_neither_read_nor_followed() {
    let (directory, _, state_dir) = made();
    let elsewhere = directory.path().join("elsewhere");
    fs::write(&elsewhere, State::new(now()).to_json().unwrap()).unwrap();
    symlink(&elsewhere, state_dir.file()).unwrap();
    assert!(state_dir.load(now()).notice.is_some(), "a link");
    let before = fs::read(&elsewhere).unwrap();
    state_dir.save(&State::new(now() - 1.hour())).unwrap();
    assert_eq!(fs::read(&elsewhere).unwrap(), before, "the link was replaced, not followed");
    assert!(state_dir.load(now()).notice.is_none());

    fs::remove_file(state_dir.file()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        state_dir.file(),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(state_dir.load(now()).notice.unwrap().contains("not an ordinary file"), "a pipe is not waited for");
    fs::remove_file(state_dir.file()).unwrap();
    fs::create_dir(state_dir.file()).unwrap();
    assert!(state_dir.load(now()).notice.is_some(), "a directory");
    let error = state_dir.save(&State::new(now())).unwrap_err();
    assert!(matches!(error, StateDirError::Reserved { .. }), "{error}");
    assert!(error.to_string().contains("could not be written to") && error.to_string().contains("kept beside it"));
}

/// A state of this revision with so many images, known for so long.
fn remembered(revision: u64, images: usize) -> State {
    let mut state = State::new(now() - 9.hours());
    (state.revision, state.since) = (revision, Some(now() - 9.hours()));
    state.own_images = ["own".to_owned()].into();
    let seen = holystone_core::state::Seen { first: now() - 9.hours(), used: None, in_use: false };
    state.images = (0..images).map(|number| (format!("sha256:{number:064}"), seen)).collect();
    state
}

#[test]
fn a_state_that_was_deleted_with_its_reserve_is_a_loss() {
    let (_directory, path, state_dir) = made();
    state_dir.save(&remembered(3, 5)).unwrap();
    for file in ["state.json", "state.reserve"] {
        fs::remove_file(path.join(file)).unwrap();
    }
    let found = state_dir.load(now());
    assert_eq!(found.state, State::new(now()).damaged());
    assert!(found.notice.unwrap().ends_with("ages are unknown: it is missing"));
    // A reserve that is of no use says as much.
    let (_directory, path, state_dir) = made();
    fs::write(path.join("state.reserve"), "x").unwrap();
    assert_eq!(state_dir.load(now()).state, State::new(now()).damaged());
    // A lock alone says only that a run was here.
    let (_directory, _, state_dir) = made();
    let _lock = state_dir.try_lock("lock").unwrap();
    let found = state_dir.load(now());
    assert_eq!((found.state, found.notice), (State::new(now()), None));
}

#[test]
fn a_state_that_is_damaged_or_missing_is_that_of_the_reserve_and_a_loss() {
    for damage in [None, Some(&b""[..]), Some(b"{"), Some(br#"{"format":9}"#)] {
        let (_directory, _, state_dir) = made();
        let state = remembered(3, 50);
        state_dir.save(&state).unwrap();
        match damage {
            Some(text) => fs::write(state_dir.file(), text).unwrap(),
            None => fs::remove_file(state_dir.file()).unwrap(),
        }
        let found = state_dir.load(now());
        assert!(found.notice.unwrap().contains("is damaged, so that ages are unknown"));
        assert_eq!(found.state, state.damaged(), "nothing but trust is lost");
    }
}

#[test]
fn the_newer_one_of_state_and_reserve_counts() {
    let (_directory, path, state_dir) = made();
    let (older, newer) = (remembered(1, 50), remembered(2, 60));
    state_dir.save(&older).unwrap();
    let kept = fs::read(state_dir.file()).unwrap();
    state_dir.save(&newer).unwrap();
    fs::write(state_dir.file(), kept).unwrap();
    assert_eq!(state_dir.load(now()).state, newer);
    // A reserve that is damaged as a whole is none.
    fs::write(path.join("state.reserve"), vec![0xff; 9_000]).unwrap();
    assert_eq!((state_dir.load(now()).state, state_dir.load(now()).notice), (older, None));
}

#[test]
fn a_state_that_is_too_large_is_not_read() {
    let (_directory, _, state_dir) = made();
    fs::File::create(state_dir.file()).unwrap().set_len(super::MAX_FILE + 1).unwrap();
    assert!(state_dir.load(now()).notice.unwrap().contains("more than"));
}

#[test]
fn a_leftover_of_a_write_that_was_cut_off_is_in_nobodys_way() {
    let (directory, path, state_dir) = made();
    let old = State::new(now() - 2.hours());
    state_dir.save(&old).unwrap();
    fs::write(path.join("state.json.new"), b"{\"format\":1,\"wri").unwrap();
    assert_eq!(state_dir.load(now()).state, old);
    let new = State::new(now() - 1.hour());
    state_dir.save(&new).unwrap();
    assert_eq!(state_dir.load(now()).state, new);

    let victim = directory.path().join("victim");
    fs::write(&victim, b"precious").unwrap();
    symlink(&victim, path.join("state.json.new")).unwrap();
    state_dir.save(&old).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn a_directory_that_cannot_be_trusted_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    assert!(matches!(StateDir::open(&path), Err(StateDirError::Missing { .. })));
    fs::write(&path, b"").unwrap();
    for error in [StateDir::open(&path).unwrap_err(), StateDir::make(&path).unwrap_err()] {
        assert!(error.to_string().contains("cannot be used: it is not a directory"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    symlink(directory.path(), &path).unwrap();
    assert!(StateDir::make(&path).unwrap_err().to_string().contains("not a directory"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    assert!(StateDir::make(&path).unwrap_err().to_string().contains("chmod 700"));
}

#[tokio::test]
async fn the_lock_is_held_by_one_and_freed_with_its_holder() {
    let (_directory, path, state_dir) = made();
    let lock = state_dir.lock(Duration::ZERO).await.unwrap();
    let other = StateDir::open(&path).unwrap();
    let error = other.lock(Duration::ZERO).await.unwrap_err();
    let holder = format!("process {} holds", std::process::id());
    assert!(matches!(error, StateDirError::Locked { .. }) && error.to_string().contains(&holder), "{error}");

    let waiting = tokio::spawn(async move { other.lock(Duration::from_mins(1)).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    drop(lock);
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn patience_with_a_lock_ends() {
    let (_directory, path, state_dir) = made();
    let _lock = state_dir.lock(Duration::ZERO).await.unwrap();
    let other = StateDir::open(&path).unwrap();
    assert!(matches!(other.lock(Duration::from_millis(150)).await, Err(StateDirError::Locked { .. })));
}

#[tokio::test]
async fn other_files_are_kept_whole_and_listed_and_forgotten() {
    let (_parent, path, _) = made();
    let directory = StateDir::make(&path).unwrap();
    assert_eq!(directory.kept("run.a.json", 100).unwrap(), None);
    directory.keep("run.a.json", b"one").unwrap();
    directory.keep("run.a.json", b"two").unwrap();
    directory.keep("run.b.json", b"three").unwrap();
    assert_eq!(directory.kept("run.a.json", 3).unwrap().unwrap(), b"two");
    assert!(matches!(directory.kept("run.b.json", 3), Err(StateDirError::Unread { .. })), "it is too long");
    let ours = |names: Vec<String>| names.into_iter().filter(|name| name.starts_with("run.")).collect::<Vec<_>>();
    assert_eq!(ours(directory.names().unwrap()), ["run.a.json", "run.b.json"], "and nothing half written");
    directory.forget("run.a.json").unwrap();
    directory.forget("run.a.json").unwrap();
    assert_eq!(ours(directory.names().unwrap()), ["run.b.json"]);
}

#[tokio::test]
async fn a_node_has_one_daemon_and_runs_besides() {
    let (_parent, path, _) = made();
    let (one, other) = (StateDir::make(&path).unwrap(), StateDir::make(&path).unwrap());
    let daemon = one.lock_daemon().unwrap();
    let message = other.lock_daemon().unwrap_err().to_string();
    assert!(message.contains(&format!("another daemon is under way on this node (process {} ", std::process::id())));
    drop(other.lock(Duration::ZERO).await.unwrap());
    drop(daemon);
    other.lock_daemon().unwrap();
}
