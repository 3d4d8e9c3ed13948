//! What plugins get of log directories, and how little they can make of it, on made-up ones.

use std::sync::Mutex;

use holystone_core::logs::{Batch, Identity, NotEntered};
use wasmtime_wasi::WasiCtx;

use super::super::generated::holystone::node::log_content::Host as _;
use super::super::generated::holystone::node::logs::{Host as _, HostWalk as _};
use super::*;
use holystone_core::logs::EntryWalk;

/// A root `app` in which every walk has so many entries, in batches of three with an empty one in between.
struct MadeUp {
    entries: usize,
    asked: Mutex<Vec<(String, WalkOptions)>>,
}

struct MadeUpWalk {
    left: usize,
    is_empty_next: bool,
}

fn entry(number: usize) -> FileEntry {
    FileEntry {
        path: LogPath::from_bytes(format!("{number}\u{1b}").as_bytes()).unwrap(),
        kind: FileKind::Directory,
        identity: Identity { device: 1, inode: 2, born: None },
        size_bytes: 3,
        allocated_bytes: 4,
        modified: Timestamp::from_second(5).unwrap(),
        changed: Timestamp::from_second(6).unwrap(),
        hard_links: 7,
        open: OpenState::Open,
        pod_uid: Some("uid".to_owned()),
        not_entered: Some(NotEntered::Depth),
    }
}

impl EntrySource for MadeUp {
    fn roots(&self) -> Vec<String> {
        vec!["app".to_owned()]
    }

    fn filesystem(&self, _root: &str) -> Option<String> {
        Some("8:1".to_owned())
    }

    fn open(&self, root: &str, options: WalkOptions) -> Result<Box<dyn EntryWalk>, LogsError> {
        self.asked.lock().unwrap().push((root.to_owned(), options));
        if root != "app" {
            return Err(LogsError::NotFound("no such root".to_owned()));
        }
        Ok(Box::new(MadeUpWalk { left: self.entries, is_empty_next: false }))
    }

    fn read(&self, _: &str, _: &LogPath, offset: u64, most: usize) -> Result<Vec<u8>, LogsError> {
        if offset > 9 { Err(LogsError::Unavailable("far".to_owned())) } else { Ok(vec![b'x'; most]) }
    }
}

impl EntryWalk for MadeUpWalk {
    fn next(&mut self, most: usize) -> Result<Batch, LogsError> {
        self.is_empty_next = !self.is_empty_next;
        if !self.is_empty_next {
            return Ok(Batch::default());
        }
        if self.left == 13 {
            return Err(LogsError::Limit("thirteen".to_owned()));
        }
        let now = self.left.min(most).min(3_000);
        self.left -= now;
        Ok(Batch { entries: (0..now).map(entry).collect(), is_over: self.left == 0 })
    }

    fn gaps(&self) -> Vec<String> {
        vec!["log root app: a gap".to_owned()]
    }

    fn counts(&self) -> GlobCounts {
        GlobCounts { include: vec![7], exclude: vec![0, 2] }
    }
}

fn state(source: Option<Arc<MadeUp>>) -> State {
    let snapshot = snapshot();
    let view = View::of(&snapshot, &Usage::of(&snapshot));
    let view = match source {
        Some(source) => view.with_logs(source),
        None => view,
    };
    State::new("p", Arc::new(view), WasiCtx::builder().build(), MemoryLimiter::new(1 << 20, 0))
}

fn made_up(entries: usize) -> Arc<MadeUp> {
    Arc::new(MadeUp { entries, asked: Mutex::default() })
}

fn options() -> logs::WalkOptions {
    logs::WalkOptions {
        prefix: String::new(),
        include: Vec::new(),
        exclude: Vec::new(),
        kinds: Vec::new(),
        max_depth: None,
        attributes: Vec::new(),
    }
}

type Change = fn(&mut logs::WalkOptions);

async fn open(state: &mut State) -> Result<Resource<Walk>, types::Error> {
    state.open("app".to_owned(), options()).await.unwrap()
}

#[tokio::test]
async fn without_log_directories_there_are_none() {
    let mut state = state(None);
    assert!(state.roots().await.unwrap().is_empty());
    assert!(matches!(open(&mut state).await, Err(types::Error::NotFound(_))));
    let read = state.read("app".to_owned(), "a".to_owned(), 0, 1).await.unwrap();
    assert!(matches!(read, Err(types::Error::NotFound(sentence)) if sentence == "no log root is named app"));
}

#[tokio::test]
async fn entries_come_as_the_interface_has_them() {
    let mut state = state(Some(made_up(1)));
    let names: Vec<String> = state.roots().await.unwrap().into_iter().map(|root| root.name).collect();
    assert_eq!(names, ["app"]);
    let walk = open(&mut state).await.unwrap();
    let entries = state.next(Resource::new_borrow(walk.rep()), 10).await.unwrap().unwrap();
    let [entry] = &entries[..] else { panic!("one entry") };
    assert_eq!(entry.path, "0\\x1b");
    assert!(matches!((entry.kind, entry.open), (logs::FileKind::Directory, logs::OpenState::Open)));
    assert_eq!((entry.size_bytes, entry.allocated_bytes, entry.hard_links), (3, 4, 7));
    assert_eq!((entry.modified, entry.changed), (5_000_000_000, 6_000_000_000));
    assert_eq!(entry.pod_uid.as_deref(), Some("uid"));
    assert_eq!(entry.attributes, [("not-entered".to_owned(), "depth".to_owned())]);
    for _ in 0..3 {
        assert!(state.next(Resource::new_borrow(walk.rep()), 10).await.unwrap().unwrap().is_empty(), "it stays over");
    }
}

#[tokio::test]
async fn a_batch_is_as_large_as_the_host_likes_and_never_empty_before_the_end() {
    let mut state = state(Some(made_up(2_500)));
    let walk = open(&mut state).await.unwrap();
    let mut sizes = Vec::new();
    for max in [u32::MAX, u32::MAX, u32::MAX, 1, u32::MAX] {
        sizes.push(state.next(Resource::new_borrow(walk.rep()), max).await.unwrap().unwrap().len());
    }
    assert_eq!(sizes, [1_000, 1_000, 500, 0, 0]);
    let none = state.next(Resource::new_borrow(walk.rep()), 0).await.unwrap();
    assert!(matches!(none, Err(types::Error::Invalid(_))), "an empty list would say that it is over");
}

#[tokio::test]
async fn a_limit_is_an_error_every_time() {
    let mut state = state(Some(made_up(13)));
    let walk = open(&mut state).await.unwrap();
    for _ in 0..3 {
        let next = state.next(Resource::new_borrow(walk.rep()), 10).await.unwrap();
        assert!(matches!(next, Err(types::Error::Limit(sentence)) if sentence == "thirteen"));
    }
}

#[tokio::test]
async fn walks_are_few_at_a_time_and_many_one_after_the_other() {
    let mut state = state(Some(made_up(1)));
    let mut walks = Vec::new();
    for _ in 0..MAX_WALKS {
        walks.push(open(&mut state).await.unwrap());
    }
    assert!(matches!(open(&mut state).await, Err(types::Error::Limit(_))));
    state.drop(walks.pop().unwrap()).await.unwrap();
    for _ in 0..5_000 {
        let walk = open(&mut state).await.unwrap();
        state.drop(walk).await.unwrap();
    }
    assert!(open(&mut state).await.is_ok());
    let missing = state.open("x".to_owned(), options()).await.unwrap();
    assert!(matches!(missing, Err(types::Error::Limit(_))), "a root that is not there takes no place either");
    let gone = Resource::new_borrow(999);
    assert!(state.next(gone, 1).await.is_err(), "a walk that was never opened ends the plugin");
}

#[tokio::test]
async fn options_are_read_strictly() {
    let source = made_up(1);
    let mut state = state(Some(Arc::clone(&source)));
    let cases: [(Change, &str); 10] = [
        (|options| options.prefix = "../etc".to_owned(), "prefix: ../etc is no log path"),
        (|options| options.prefix = "\\x41".to_owned(), "is no log path: it is not spelt"),
        (|options| options.include = vec!["*".to_owned(), "a**".to_owned()], "include[1]: "),
        (|options| options.exclude = vec!["[\u{1b}".to_owned()], "exclude[0]: "),
        (|options| options.attributes = vec![("sort\u{1b}".to_owned(), String::new())], "no option named sort\\u{1b}"),
        (|options| options.include = vec!["a".repeat(5_000)], "longer than 4096"),
        (|options| options.include = vec!["*".to_owned(); MAX_GLOBS + 1], "globs"),
        (|options| options.exclude = vec!["a".repeat(4_000); 5], "globs"),
        (
            |options| options.exclude = vec!["$HOME/*".to_owned()],
            "exclude[0]: \"$HOME/*\" is not a glob: $ is no variable",
        ),
        (
            |options| options.include = vec!["{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}".to_owned(); 9],
            "their braces written out",
        ),
    ];
    for (change, words) in cases {
        let mut options = options();
        change(&mut options);
        let error = state.open("app".to_owned(), options).await.unwrap().unwrap_err();
        let (types::Error::Invalid(sentence) | types::Error::Limit(sentence)) = error else { panic!("{words}") };
        assert!(sentence.contains(words) && !sentence.contains('\u{1b}'), "{sentence}");
    }
    assert!(source.asked.lock().unwrap().is_empty());

    let given = logs::WalkOptions {
        prefix: "a\\xff".to_owned(),
        include: vec!["**/*.log".to_owned()],
        exclude: vec!["old".to_owned()],
        kinds: vec![logs::FileKind::File, logs::FileKind::Symlink, logs::FileKind::File],
        max_depth: Some(3),
        attributes: Vec::new(),
    };
    state.open("app".to_owned(), given).await.unwrap().unwrap();
    let (root, taken) = source.asked.lock().unwrap().pop().unwrap();
    assert_eq!((root.as_str(), taken.prefix.as_bytes()), ("app", &b"a\xff"[..]));
    assert_eq!((taken.include[0].as_str(), taken.exclude[0].as_str()), ("**/*.log", "old"));
    assert_eq!((taken.kinds, taken.max_depth), (vec![FileKind::File, FileKind::Symlink], Some(3)));
}

#[tokio::test]
async fn reads_are_bounded() {
    let mut state = state(Some(made_up(1)));
    let read = async |state: &mut State, path: &str, offset, max| {
        state.read("app".to_owned(), path.to_owned(), offset, max).await.unwrap()
    };
    assert_eq!(read(&mut state, "a", 0, 5).await.unwrap(), b"xxxxx");
    assert_eq!(read(&mut state, "a", 0, u32::MAX).await.unwrap().len(), MAX_READ);
    assert!(matches!(read(&mut state, "../a", 0, 5).await, Err(types::Error::Invalid(_))));
    assert!(matches!(read(&mut state, "a", 10, 5).await, Err(types::Error::Unavailable(_))));
}

#[tokio::test]
async fn what_a_walk_could_not_see_counts_like_a_message_of_the_plugin() {
    let mut state = state(Some(made_up(3)));
    for _ in 0..MAX_LOG_LINES * 3 {
        let walk = logs::Host::open(&mut state, "app".to_owned(), options()).await.unwrap().unwrap();
        logs::HostWalk::drop(&mut state, walk).await.unwrap();
    }
    assert_eq!(state.messages.said(), MAX_LOG_LINES * 3, "each walk has one gap");
    assert_eq!(state.messages.handed_on(), MAX_LOG_LINES + 1);
}
