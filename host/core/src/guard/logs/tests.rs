use std::collections::{BTreeMap, HashMap};

use crate::container::{ImageMentions, Pod, Sandbox};
use crate::fixture;
use crate::guard::{Objection, ParsedProposal, Plan, Refused};
use crate::logs::{NotEntered, Use};
use crate::proposal::{ReasonKind, Wish};

use super::*;

mod disk_properties;
mod limits;
mod properties;
mod reviewing;

const UID: &str = "0f1e2d3c-4b5a-6978-8695-a4b3c2d1e0f0";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// The time of the snapshot in these tests.
fn now() -> Timestamp {
    at(1_000_000)
}

fn wish(target: Target, verb: Verb) -> Wish {
    Wish { target, verb, reason: Reason { kind: ReasonKind::TooOld, text: String::new() }, expected_bytes: None }
}

fn place(path: &str) -> LogLocation {
    LogLocation { root: "app".to_owned(), path: path.to_owned() }
}

fn file(path: &str) -> Wish {
    wish(Target::LogFile(place(path)), Verb::Remove)
}

fn truncate(path: &str) -> Wish {
    wish(Target::LogFile(place(path)), Verb::Truncate)
}

fn directory(path: &str) -> Wish {
    wish(Target::LogDirectory(place(path)), Verb::Remove)
}

/// When looks are over in these tests.
fn seen_at() -> Timestamp {
    at(1_000_010)
}

fn used(how: Use) -> InUse {
    InUse { how, by: "process 17 (app)".into() }
}

/// An old, closed file.
fn entry(path: &str) -> FileEntry {
    FileEntry {
        path: path.parse().unwrap(),
        kind: FileKind::File,
        identity: Identity { device: 1, inode: 2, born: Some(at(5)) },
        size_bytes: 100,
        allocated_bytes: 4096,
        modified: at(10),
        changed: at(20),
        hard_links: 1,
        open: OpenState::Closed,
        pod_uid: None,
        not_entered: None,
    }
}

fn inspection(host_path: &str, path: &str) -> Inspection {
    let place = Place::of(host_path.as_bytes(), &path.parse().unwrap());
    let entry = entry(path);
    Inspection {
        entry,
        place,
        leads_somewhere: None,
        tree: None,
        in_use: None,
        all_uses_seen: true,
        seen_at: seen_at(),
    }
}

/// An old, quiet directory.
fn tree_sight(host_path: &str, path: &str) -> Inspection {
    let mut inspection = inspection(host_path, path);
    inspection.entry.kind = FileKind::Directory;
    inspection.tree = Some(Tree {
        entries: 3,
        size_bytes: 300,
        freeable_bytes: 12_288,
        touched: at(30),
        ahead: None,
        open: OpenState::Closed,
        in_use: None,
        obstacle: None,
        links: Links::default(),
    });
    inspection
}

fn with(mut inspection: Inspection, change: impl FnOnce(&mut Inspection)) -> Inspection {
    change(&mut inspection);
    inspection
}

fn guard(snapshot: Option<&Snapshot>) -> LogGuard<'_> {
    LogGuard::new(LogRails::default(), now(), snapshot)
}

impl LogGuard<'_> {
    /// Reads a wish and judges it.
    fn judge_wish(
        &self,
        plugin: &str,
        wish: &Wish,
        seen: Result<Inspection, InspectError>,
    ) -> Result<Step<Logs>, Refusal<Logs>> {
        let target = Logs::parse(&wish.target)?;
        let operation = Logs::operation(&target, wish.verb).ok_or(Refusal::NotOffered)?;
        self.judge(plugin, &target, operation, &wish.reason, seen)
    }
}

/// A node with one pod.
fn node() -> Snapshot {
    let pod = Pod { uid: UID.to_owned(), namespace: "shop".to_owned(), name: "web".to_owned() };
    let sandbox = Sandbox {
        id: "s".to_owned(),
        pod,
        ready: true,
        created_at: at(1),
        image: String::new(),
        labels: BTreeMap::new(),
    };
    Snapshot { sandboxes: vec![sandbox], ..fixture::snapshot(Vec::new(), Vec::new()) }
}

#[track_caller]
fn refused(wish: &Wish, inspection: Inspection, code: &str) {
    let refusal = guard(Some(&node())).judge_wish("p", wish, Ok(inspection)).unwrap_err();
    assert_eq!(refusal.code(), code, "{refusal}");
}

#[track_caller]
fn allowed(wish: &Wish, inspection: Inspection) -> Step<Logs> {
    guard(Some(&node())).judge_wish("p", wish, Ok(inspection)).unwrap()
}

#[test]
fn rail_7_an_old_closed_file_may_go() {
    let step = allowed(&file("a.log.1"), inspection("/var/log/app", "a.log.1"));
    assert_eq!((step.operation(), step.size_bytes(), step.freeable_bytes()), (Operation::Remove, 100, 4096));
    assert_eq!((step.target().path.to_string().as_str(), step.name().as_str()), ("a.log.1", "app:a.log.1"));
    let clearance = guard(None).clear(&step, Ok(inspection("/var/log/app", "a.log.1"))).unwrap();
    assert_eq!(clearance.target(), step.target());
    assert!(clearance.still_fits(&entry("a.log.1")).is_ok());
}

#[test]
fn rail_7_paths_lead_nowhere_else() {
    for path in ["../etc", "/etc/passwd", "a/../b", "a//b", "\\x41", "a\n"] {
        refused(&file(path), inspection("/var/log/app", "a"), "BadPath");
    }
    refused(&file(""), inspection("/var/log/app", ""), "RootItself");
    refused(&directory(""), tree_sight("/var/log/app", ""), "RootItself");
}

#[test]
fn rail_7_only_what_is_offered() {
    refused(&wish(Target::LogDirectory(place("d")), Verb::Truncate), tree_sight("/x", "d"), "NotOffered");
    refused(&wish(Target::LogFile(place("a")), Verb::Other), inspection("/x", "a"), "NotOffered");
    refused(&wish(Target::Image("i".to_owned()), Verb::Remove), inspection("/x", "a"), "NotOffered");
}

#[test]
fn rail_7_kinds_have_to_fit() {
    for kind in [
        FileKind::Fifo,
        FileKind::Socket,
        FileKind::BlockDevice,
        FileKind::CharacterDevice,
        FileKind::Other,
        FileKind::Directory,
    ] {
        refused(&file("a"), with(inspection("/x", "a"), |inspection| inspection.entry.kind = kind), "WrongKind");
        refused(&truncate("a"), with(inspection("/x", "a"), |inspection| inspection.entry.kind = kind), "WrongKind");
    }
    refused(
        &file("a"),
        with(inspection("/x", "a"), |inspection| inspection.entry.kind = FileKind::Symlink),
        "WrongKind",
    );
    refused(
        &truncate("a"),
        with(inspection("/x", "a"), |inspection| inspection.entry.kind = FileKind::Symlink),
        "WrongKind",
    );
    refused(&directory("a"), inspection("/x", "a"), "WrongKind");
    refused(&file("a"), tree_sight("/x", "a"), "WrongKind");
    refused(&directory("a"), with(tree_sight("/x", "a"), |inspection| inspection.tree = None), "WrongKind");
}

#[test]
fn rail_7_what_cannot_be_seen_stays() {
    for (unseen, code) in [
        (InspectError::NoSuchRoot, "NoSuchRoot"),
        (InspectError::NotFound, "NotFound"),
        (InspectError::ThroughLink, "ThroughLink"),
        (InspectError::OtherFilesystem, "OtherFilesystem"),
        (InspectError::Failed("EIO".to_owned()), "Unseen"),
    ] {
        let refusal = guard(None).judge_wish("p", &file("a"), Err(unseen)).unwrap_err();
        assert_eq!(refusal.code(), code);
        assert_eq!(refusal.rail(), if code == "NotFound" { 1 } else { 7 });
    }
}

#[test]
fn rail_7_what_changed_since_the_plugin_saw_it_stays() {
    let later = now() + SignedDuration::from_secs(1);
    refused(&file("a"), with(inspection("/x", "a"), |inspection| inspection.entry.changed = later), "Changed");
    refused(&file("a"), with(inspection("/x", "a"), |inspection| inspection.entry.modified = later), "Changed");
    let touched = |inspection: &mut Inspection| inspection.tree.as_mut().unwrap().touched = later;
    refused(&directory("a"), with(tree_sight("/x", "a"), touched), "Changed");
    let written = |inspection: &mut Inspection| (inspection.entry.modified, inspection.entry.changed) = (later, later);
    allowed(&truncate("a"), with(inspection("/x", "a"), written));
    let refusal = guard(None).judge_wish("p", &file("a"), Ok(with(inspection("/x", "a"), written))).unwrap_err();
    assert_eq!(refusal.to_string(), "it has changed since the snapshot was taken");
}

#[test]
fn rail_7_the_second_look_sees_any_other_file() {
    let step = allowed(&file("a"), inspection("/x", "a"));
    let ways: [fn(&mut FileEntry); 6] = [
        |entry| entry.identity.inode = 3,
        |entry| entry.identity.device = 3,
        |entry| entry.identity.born = None,
        |entry| entry.size_bytes = 99,
        |entry| entry.modified = at(11),
        |entry| entry.kind = FileKind::Symlink,
    ];
    for change in ways {
        let seen = with(inspection("/x", "a"), |inspection| change(&mut inspection.entry));
        assert_eq!(guard(None).clear(&step, Ok(seen)).unwrap_err().code(), "Changed");
        let clearance = guard(None).clear(&step, Ok(inspection("/x", "a"))).unwrap();
        let mut other = entry("a");
        change(&mut other);
        assert_eq!(clearance.still_fits(&other).unwrap_err().code(), "Changed");
    }
    // A new name of the same file, or new rights, change nothing about it.
    let renamed = with(inspection("/x", "a"), |inspection| inspection.entry.changed = at(999));
    assert!(guard(None).clear(&step, Ok(renamed)).is_ok());
}

#[test]
fn rail_7_a_growing_file_may_be_cut_but_not_removed() {
    let open = |size| {
        with(inspection("/x", "a"), |inspection| {
            inspection.entry.size_bytes = size;
            (inspection.entry.modified, inspection.entry.changed) = (at(size.cast_signed()), at(size.cast_signed()));
            inspection.entry.open = OpenState::Open;
            inspection.in_use = Some(used(Use::Descriptor));
        })
    };
    refused(&file("a"), open(100), "HeldOpen");
    let step = allowed(&truncate("a"), open(100));
    let clearance = guard(None).clear(&step, Ok(open(200))).unwrap();
    assert!(clearance.still_fits(&open(300).entry).is_ok());
    assert_eq!(guard(None).clear(&step, Ok(open(99))).unwrap_err().code(), "Changed");
    assert_eq!(clearance.still_fits(&open(0).entry).unwrap_err().code(), "Changed");
    let other = with(open(300), |inspection| inspection.entry.identity.inode = 3);
    assert_eq!(clearance.still_fits(&other.entry).unwrap_err().code(), "Changed");
    let link = with(open(300), |inspection| inspection.entry.kind = FileKind::Symlink);
    assert_eq!(clearance.still_fits(&link.entry).unwrap_err().code(), "Changed");
}

#[test]
fn rail_7_cutting_a_file_of_two_names_would_cut_the_other() {
    refused(&truncate("a"), with(inspection("/x", "a"), |inspection| inspection.entry.hard_links = 2), "HardLinked");
    let step = allowed(&truncate("a"), inspection("/x", "a"));
    let clearance = guard(None).clear(&step, Ok(inspection("/x", "a"))).unwrap();
    let linked = FileEntry { hard_links: 2, ..entry("a") };
    assert_eq!(clearance.still_fits(&linked).unwrap_err().code(), "HardLinked");
    let removed = allowed(&file("a"), with(inspection("/x", "a"), |inspection| inspection.entry.hard_links = 2));
    assert_eq!((removed.hard_links(), removed.freeable_bytes()), (2, 0), "removing one name frees nothing");
}

#[test]
fn rail_7_unknown_counts_as_open_while_it_is_young() {
    let unknown = |ago: i64| {
        with(inspection("/x", "a"), |inspection| {
            inspection.entry.open = OpenState::Unknown;
            inspection.all_uses_seen = false;
            inspection.entry.changed = now() - SignedDuration::from_hours(ago);
        })
    };
    refused(&file("a"), unknown(23), "MayBeOpen");
    allowed(&file("a"), unknown(24));
    allowed(&file("a"), unknown(25));
    refused(&truncate("a"), unknown(23), "MayBeMapped");
    allowed(&truncate("a"), unknown(24));
    let rails = LogRails { unknown_open_age: SignedDuration::from_hours(1), ..LogRails::default() };
    assert!(LogGuard::new(rails, now(), None).judge_wish("p", &file("a"), Ok(unknown(2))).is_ok());
}

#[test]
fn rail_7_whatever_is_in_use_stays_and_only_what_is_merely_open_is_cut() {
    let ways = [
        (Use::Descriptor, "HeldOpen", "process 17 (app) holds it open"),
        (Use::WorkingDirectory, "HeldOpen", "it is the working directory of process 17 (app)"),
        (Use::RootDirectory, "HeldOpen", "it is the root directory of process 17 (app)"),
        (
            Use::MountPoint,
            "MountPoint",
            "something is mounted on it in the mount namespace of process 17 (app), and its removal would detach that mount",
        ),
        (
            Use::MountSource,
            "MountSource",
            "it is the source of a bind mount in the mount namespace of process 17 (app)",
        ),
        (Use::Executable, "Executing", "process 17 (app) executes it"),
        (Use::Mapping, "Mapped", "process 17 (app) maps it into memory"),
        (
            Use::LoopDevice,
            "LoopDevice",
            "the loop device process 17 (app) is backed by it, or by a file of the same name",
        ),
        (Use::Swap, "SwapFile", "the kernel swaps to it, or to a file of the same name (process 17 (app))"),
    ];
    for (how, code, sentence) in ways {
        let seen = || {
            with(inspection("/x", "a"), |inspection| {
                (inspection.entry.open, inspection.in_use) = (OpenState::Open, Some(used(how)));
            })
        };
        let refusal = guard(None).judge_wish("p", &file("a"), Ok(seen())).unwrap_err();
        assert_eq!((refusal.code(), refusal.to_string().as_str(), refusal.rail()), (code, sentence, 7));
        let cut = guard(None).judge_wish("p", &truncate("a"), Ok(seen()));
        assert_eq!(cut.is_ok(), how == Use::Descriptor, "{how:?}");
        let step = allowed(&file("a"), inspection("/x", "a"));
        assert_eq!(guard(None).clear(&step, Ok(seen())).unwrap_err().code(), code, "by the second look");
        let step = allowed(&truncate("a"), inspection("/x", "a"));
        assert_eq!(guard(None).clear(&step, Ok(seen())).is_ok(), how == Use::Descriptor, "{how:?}");
        let inside = with(tree_sight("/x", "d"), |inspection| {
            inspection.tree.as_mut().unwrap().in_use = Some(("d/y".parse().unwrap(), used(how)));
        });
        let refusal = guard(None).judge_wish("p", &directory("d"), Ok(inside)).unwrap_err();
        assert_eq!((refusal.code(), refusal.to_string()), (code, format!("d/y in it: {sentence}")));
    }
    // Processes choose their names.
    let named = InUse { how: Use::Descriptor, by: "process 17 (\u{1b}[31m)".into() };
    assert_eq!(
        FileObjection::InUse { path: None, in_use: named }.to_string(),
        "process 17 (\\u{1b}[31m) holds it open"
    );
}

#[test]
fn rail_7_what_has_just_arrived_stays_whatever_its_date() {
    let minutes_ago = |minutes| now() - SignedDuration::from_mins(minutes);
    let arrived =
        |minutes: i64| with(inspection("/x", "a"), |inspection| inspection.entry.changed = minutes_ago(minutes));
    let refusal = guard(None).judge_wish("p", &file("a"), Ok(arrived(9))).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "its name, place or attributes changed at 1970-01-12T13:37:40Z, less than 10m ago, though its content is dated \
         1970-01-01T00:00:10Z: it may just have been moved, unpacked or restored"
    );
    refused(&file("a"), arrived(9), "Unsettled");
    refused(&truncate("a"), arrived(9), "Unsettled");
    allowed(&file("a"), arrived(10));
    allowed(&truncate("a"), arrived(10));
    // Between the two looks as well: it was renamed.
    let step = allowed(&file("a"), arrived(10));
    assert_eq!(guard(None).clear(&step, Ok(arrived(1))).unwrap_err().code(), "Unsettled");
    // What is written has both times, and is cut all the time.
    let written = with(arrived(0), |inspection| inspection.entry.modified = minutes_ago(0));
    allowed(&truncate("a"), written.clone());
    let refusal = guard(None).judge_wish("p", &file("a"), Ok(written)).unwrap_err();
    assert_eq!(refusal.to_string(), "it was written at 1970-01-12T13:46:40Z, less than 10m ago");
    let rails = LogRails { settled_for: SignedDuration::ZERO, ..LogRails::default() };
    for wish in [file("a"), truncate("a")] {
        assert!(LogGuard::new(rails, now(), None).judge_wish("p", &wish, Ok(arrived(0))).is_ok());
    }
}

#[test]
fn rail_7_a_date_ahead_of_the_clock_says_nothing() {
    for ahead in [seen_at() + SignedDuration::from_secs(1), now() + SignedDuration::from_hours(24), Timestamp::MAX] {
        let dated = with(inspection("/x", "a"), |inspection| inspection.entry.modified = ahead);
        let step = allowed(&file("a"), dated.clone());
        let clearance = guard(None).clear(&step, Ok(dated.clone())).unwrap();
        assert!(clearance.still_fits(&dated.entry).is_ok());
        allowed(&truncate("a"), dated);
        // The change time is the system's: whether such a file has settled is not known.
        let seen = with(inspection("/x", "a"), |inspection| inspection.entry.changed = ahead);
        let refusal = guard(None).judge_wish("p", &file("a"), Ok(seen)).unwrap_err();
        assert_eq!(refusal.code(), "AheadOfClock");
        assert!(refusal.to_string().ends_with("is ahead of this node's clock, so whether it has settled is unknown"));
        // In a directory as well.
        let inside = FileEntry { modified: ahead, ..entry("d/a") };
        let directory_entry = FileEntry { kind: FileKind::Directory, ..entry("d") };
        let mut tree = Tree::of(&directory_entry, seen_at());
        tree.add(&inside, false, seen_at());
        let seen = with(tree_sight("/x", "d"), |inspection| inspection.tree = Some(tree.clone()));
        let step = allowed(&directory("d"), seen.clone());
        let clearance = guard(None).clear(&step, Ok(seen)).unwrap();
        assert!(clearance.covers(&inside).is_ok(), "it was so when it was judged");
        assert!(clearance.covers(&FileEntry { changed: at(21), ..inside }).is_err(), "it was written since");
        tree.add(&FileEntry { changed: ahead, ..entry("d/b") }, false, seen_at());
        let seen = with(tree_sight("/x", "d"), |inspection| inspection.tree = Some(tree));
        let refusal = guard(None).judge_wish("p", &directory("d"), Ok(seen)).unwrap_err();
        assert!(refusal.to_string().starts_with("d/b in it: its change time, "), "{refusal}");
    }
}

#[test]
fn rail_7_a_directory_is_removed_whole_or_not_at_all() {
    let tree =
        |change: fn(&mut Tree)| with(tree_sight("/x", "d"), |inspection| change(inspection.tree.as_mut().unwrap()));
    let step = allowed(&directory("d"), tree(|_| ()));
    assert_eq!((step.size_bytes(), step.freeable_bytes()), (300, 12_288));
    refused(&directory("d"), tree(|tree| tree.open = OpenState::Open), "HeldOpen");
    let path = "d/x".parse::<LogPath>().unwrap();
    let mapped =
        |inspection: &mut Inspection| inspection.tree.as_mut().unwrap().in_use = Some((path, used(Use::Mapping)));
    let refusal = guard(None).judge_wish("p", &directory("d"), Ok(with(tree_sight("/x", "d"), mapped))).unwrap_err();
    assert_eq!(
        (refusal.code(), refusal.to_string().as_str()),
        ("Mapped", "d/x in it: process 17 (app) maps it into memory")
    );
    let young = |tree: &mut Tree| tree.touched = now() - SignedDuration::from_mins(9);
    refused(
        &directory("d"),
        with(tree_sight("/x", "d"), |inspection| young(inspection.tree.as_mut().unwrap())),
        "Unsettled",
    );
    refused(
        &directory("d"),
        tree(|tree| {
            tree.open = OpenState::Unknown;
            tree.touched = now() - SignedDuration::from_hours(23);
        }),
        "MayBeOpen",
    );
    let obstacles = [
        DirectoryObstacle::Kind("d/s".parse().unwrap(), FileKind::Socket),
        DirectoryObstacle::Kubelet("d/p".parse().unwrap()),
        DirectoryObstacle::Root("d/r".parse().unwrap()),
        DirectoryObstacle::Filesystem("d/m".parse().unwrap()),
        DirectoryObstacle::Unseen("d/x".parse().unwrap(), "EACCES\u{1b}".to_owned()),
        DirectoryObstacle::TooMuch("d/z".parse().unwrap()),
    ];
    for obstacle in obstacles {
        let inspection =
            with(tree_sight("/x", "d"), |inspection| inspection.tree.as_mut().unwrap().obstacle = Some(obstacle));
        refused(&directory("d"), inspection, "Obstacle");
    }
}

#[test]
fn a_tree_is_the_sum_of_what_is_in_it() {
    let directory = FileEntry { kind: FileKind::Directory, hard_links: 3, ..entry("d") };
    let mut tree = Tree::of(&directory, seen_at());
    tree.add(&FileEntry { size_bytes: 1, changed: at(40), ..entry("d/a") }, false, seen_at());
    tree.add(&FileEntry { size_bytes: 2, hard_links: 2, open: OpenState::Unknown, ..entry("d/b") }, false, seen_at());
    tree.add(&FileEntry { kind: FileKind::Symlink, open: OpenState::Open, ..entry("d/c") }, false, seen_at());
    // What a directory says to be its size is not its content's.
    tree.add(&FileEntry { kind: FileKind::Directory, ..entry("d/d") }, false, seen_at());
    let sum = Tree {
        entries: 4,
        size_bytes: 103,
        freeable_bytes: 4 * 4096,
        touched: at(40),
        ahead: None,
        open: OpenState::Open,
        in_use: None,
        obstacle: None,
        links: tree.links.clone(),
    };
    assert_eq!(tree, sum);
}

#[test]
fn a_tree_tells_of_the_first_obstacle() {
    let pod = format!("d/shop_web_{UID}");
    let directory = |path: &str| FileEntry { kind: FileKind::Directory, ..entry(path) };
    let obstacle = |entry: FileEntry, in_pod| {
        let mut tree = Tree::of(&directory("d"), seen_at());
        tree.add(&entry, in_pod, seen_at());
        tree.add(&FileEntry { kind: FileKind::Socket, ..super::tests::entry("d/late") }, false, seen_at());
        tree.obstacle.unwrap()
    };
    let not_entered = |why| FileEntry { not_entered: Some(why), ..directory("d/x") };
    let path = |text: &str| text.parse::<LogPath>().unwrap();
    for (entry, expected) in [
        (FileEntry { kind: FileKind::Fifo, ..entry("d/x") }, DirectoryObstacle::Kind(path("d/x"), FileKind::Fifo)),
        (directory(&pod), DirectoryObstacle::Kubelet(path(&pod))),
        (not_entered(NotEntered::Depth), DirectoryObstacle::TooMuch(path("d/x"))),
        (not_entered(NotEntered::Filesystem), DirectoryObstacle::Filesystem(path("d/x"))),
    ] {
        assert_eq!(obstacle(entry, false), expected);
    }
    assert!(matches!(obstacle(not_entered(NotEntered::Denied), false), DirectoryObstacle::Unseen(..)));
    // Within a pod's own directory the shape of names says nothing more.
    assert_eq!(obstacle(directory(&pod), true), DirectoryObstacle::Kind(path("d/late"), FileKind::Socket));
}

#[test]
fn rail_7_nothing_may_come_into_a_directory_after_it_was_judged() {
    let step = allowed(&directory("d"), tree_sight("/x", "d"));
    let newer = with(tree_sight("/x", "d"), |inspection| inspection.tree.as_mut().unwrap().touched = at(31));
    assert_eq!(guard(None).clear(&step, Ok(newer)).unwrap_err().code(), "Changed");
    let clearance = guard(None).clear(&step, Ok(tree_sight("/x", "d"))).unwrap();
    let inside = |changed| FileEntry { changed: at(changed), ..entry("d/a") };
    let itself = |changed| FileEntry { kind: FileKind::Directory, changed: at(changed), ..entry("d") };
    assert!(clearance.still_fits(&itself(30)).is_ok());
    let other = FileEntry { identity: Identity { device: 1, inode: 3, born: None }, ..itself(30) };
    for changed in [itself(31), itself(99), other, FileEntry { kind: FileKind::File, ..itself(30) }] {
        assert_eq!(clearance.still_fits(&changed).unwrap_err().code(), "Changed", "{changed:?}");
    }
    assert!(clearance.covers(&inside(30)).is_ok());
    assert_eq!(clearance.covers(&inside(31)).unwrap_err().code(), "Changed");
    let of_a_file = allowed(&file("a"), inspection("/x", "a"));
    let of_a_file = guard(None).clear(&of_a_file, Ok(inspection("/x", "a"))).unwrap();
    assert!(of_a_file.covers(&inside(1)).is_err(), "a file has nothing beneath it");
}

#[test]
fn rail_7_what_is_the_kubelets_stays() {
    let pods = "/var/log/pods";
    let of_pod = format!("shop_web_{UID}");
    let path = |rest: &str| format!("{of_pod}/{rest}");
    refused(&file(&path("main/0.log")), inspection(pods, &path("main/0.log")), "LiveContainerLog");
    refused(&truncate(&path("main/0.log")), inspection(pods, &path("main/0.log")), "LiveContainerLog");
    let temporary = path("main/0.log.20260102-030405.tmp");
    refused(&file(&temporary), inspection(pods, &temporary), "KubeletTemporary");
    for rotated in ["main/0.log.20260102-030405", "main/0.log.20260102-030405.gz"] {
        allowed(&file(&path(rotated)), inspection(pods, &path(rotated)));
    }
    for other in ["main/core", "stray", "main/deep/0.log.20260102-030405"] {
        refused(&file(&path(other)), inspection(pods, &path(other)), "PodExists");
    }
    refused(&directory(&of_pod), tree_sight(pods, &of_pod), "PodExists");
    refused(&directory(&path("main")), tree_sight(pods, &path("main")), "PodExists");
    refused(&directory("main"), tree_sight(&format!("{pods}/{of_pod}"), "main"), "PodExists");
    refused(&directory("pods"), tree_sight("/var/log", "pods"), "OfAllPods");
    refused(&directory("containers"), tree_sight("/var/log", "containers"), "OfAllPods");
    let docker = format!("{}-json.log", "ab".repeat(32));
    refused(&truncate(&docker), inspection("/x", &docker), "LiveContainerLog");
}

#[test]
fn rail_7_what_a_pod_that_is_gone_left_may_go() {
    let of_pod = "shop_old_ffffffff-4b5a-6978-8695-a4b3c2d1e0f0";
    allowed(&directory(of_pod), tree_sight("/var/log/pods", of_pod));
    let live = format!("{of_pod}/main/0.log");
    allowed(&file(&live), inspection("/var/log/pods", &live));
    let temporary = format!("{of_pod}/main/0.log.20260102-030405.tmp");
    refused(&file(&temporary), inspection("/var/log/pods", &temporary), "KubeletTemporary");
}

#[test]
fn rail_7_without_the_runtime_every_pod_exists() {
    let of_pod = "shop_old_ffffffff-4b5a-6978-8695-a4b3c2d1e0f0";
    let refusal = |wish: &Wish, inspection| guard(None).judge_wish("p", wish, Ok(inspection)).unwrap_err().code();
    assert_eq!(refusal(&directory(of_pod), tree_sight("/var/log/pods", of_pod)), "PodUnknown");
    let live = format!("{of_pod}/main/0.log");
    assert_eq!(refusal(&file(&live), inspection("/var/log/pods", &live)), "LiveContainerLog");
    // A name of three parts alone makes no pod.
    assert!(guard(None).judge_wish("p", &directory("a_b_c"), Ok(tree_sight("/x", "a_b_c"))).is_ok());
    for path in ["a_b_c/app.log", "a_b_c/x/app.log", "a_b_c/x/app.tmp", "a_b_c/x/y/0.log", "a_b_c/0.log"] {
        assert!(guard(None).judge_wish("p", &file(path), Ok(inspection("/x", path))).is_ok(), "{path}");
    }
}

#[test]
fn rail_7_without_the_runtime_pods_exist_whatever_their_uid() {
    let refusal = |wish: &Wish, inspection| guard(None).judge_wish("p", wish, Ok(inspection)).unwrap_err().code();
    for uid in ["etcd-static-7", "0123456789abcdef0123456789abcdef", "ABCDEF", "etcd_static_7", "7", "a.b"] {
        let of_pod = format!("kube-system_etcd-n1_{uid}");
        let path = |rest: &str| format!("{of_pod}/{rest}");
        for root in ["/var/log/pods", "/data/pods", "/data/elsewhere"] {
            let (live, temporary) = (path("etcd/0.log"), path("etcd/3.log.20260102-030405.tmp"));
            assert_eq!(refusal(&file(&live), inspection(root, &live)), "LiveContainerLog", "{root}/{live}");
            assert_eq!(refusal(&truncate(&live), inspection(root, &live)), "LiveContainerLog", "{root}/{live}");
            assert_eq!(refusal(&file(&temporary), inspection(root, &temporary)), "KubeletTemporary");
            let rotated = path("etcd/0.log.20260102-030405.gz");
            assert!(guard(None).judge_wish("p", &file(&rotated), Ok(inspection(root, &rotated))).is_ok());
        }
        for root in ["/var/log/pods", "/data/pods"] {
            assert_eq!(refusal(&directory(&of_pod), tree_sight(root, &of_pod)), "PodUnknown");
            assert_eq!(refusal(&directory(&path("etcd")), tree_sight(root, &path("etcd"))), "PodUnknown");
            assert_eq!(refusal(&file(&path("stray")), inspection(root, &path("stray"))), "PodUnknown");
        }
        assert_eq!(refusal(&file("0.log"), inspection(&format!("/data/{of_pod}/etcd"), "0.log")), "LiveContainerLog");
    }
}

#[test]
fn rail_7_a_directory_with_the_live_log_of_a_container_stays() {
    let log = || DirectoryObstacle::ContainerLog("d/shop_old_7/main/0.log".parse().unwrap());
    let holding = |root: &str, path: &str| {
        with(tree_sight(root, path), |inspection| {
            inspection.tree.as_mut().unwrap().hinder(log());
        })
    };
    let judge = |known: Option<&Snapshot>, path: &str| {
        guard(known).judge_wish("p", &directory(path), Ok(holding("/x", path))).map_err(|refusal| refusal.code())
    };
    let node = node();
    for known in [None, Some(&node)] {
        assert_eq!(judge(known, "d").unwrap_err(), "Obstacle", "it may be of a pod that exists");
    }
    assert_eq!(judge(None, "d/shop_old_7").unwrap_err(), "Obstacle");
    assert!(judge(Some(&node), "d/shop_old_7").is_ok(), "the pod is known to be gone");
    // Whatever else is in the way counts in any case, in either order.
    for later in [true, false] {
        let mut inspection = tree_sight("/x", "d/shop_old_7");
        let tree = inspection.tree.as_mut().unwrap();
        let kubelet = DirectoryObstacle::Kubelet("d/p".parse().unwrap());
        if later {
            tree.hinder(log());
        }
        tree.hinder(kubelet.clone());
        tree.hinder(log());
        assert_eq!(tree.obstacle, Some(kubelet));
        let judged = guard(Some(&node)).judge_wish("p", &directory("d/shop_old_7"), Ok(inspection));
        assert_eq!(judged.unwrap_err().code(), "Obstacle");
    }
}

#[test]
fn what_is_in_a_tree_shows_live_logs_by_their_place() {
    let found = |path: &str, in_pod| {
        let mut tree = Tree::of(&FileEntry { kind: FileKind::Directory, ..entry("d") }, seen_at());
        tree.add(&entry(path), in_pod, seen_at());
        tree.obstacle
    };
    let live = "d/shop_old_7/main/0.log";
    assert_eq!(found(live, false), Some(DirectoryObstacle::ContainerLog(live.parse().unwrap())));
    assert_eq!(found(live, true), None, "within a directory that is judged as a pod's");
    assert_eq!(found("d/shop_old_7/main/0.log.20260102-030405", false), None);
    assert_eq!(found("d/main/0.log", false), None);
}

#[test]
fn rail_7_a_pod_without_uid_is_known_by_its_name() {
    let mut node = node();
    node.sandboxes[0].pod.uid = String::new();
    let of_pod = "shop_web_ffffffff-4b5a-6978-8695-a4b3c2d1e0f0";
    let judged = guard(Some(&node)).judge_wish("p", &directory(of_pod), Ok(tree_sight("/x", of_pod)));
    assert_eq!(judged.unwrap_err().code(), "PodExists");
}

#[test]
fn rail_7_links_to_containers_logs_go_with_the_container_only() {
    let mut node = node();
    let (alive, gone) = ("ab".repeat(32), "cd".repeat(32));
    node.containers.push(fixture::container(&alive, ImageMentions::default()));
    let link = |id: &str| format!("web_shop_main-{id}.log");
    let inspection = |id: &str, leads_somewhere| {
        with(inspection("/var/log/containers", &link(id)), |inspection| {
            inspection.entry.kind = FileKind::Symlink;
            inspection.leads_somewhere = leads_somewhere;
        })
    };
    let judge = |known, id: &str, leads| {
        guard(known)
            .judge_wish("p", &file(&link(id)), Ok(inspection(id, leads)))
            .map(|_| ())
            .map_err(|refusal| refusal.code())
    };
    assert_eq!(judge(Some(&node), &gone, Some(false)), Ok(()));
    let open = with(inspection(&gone, Some(false)), |inspection| inspection.entry.open = OpenState::Open);
    assert!(guard(Some(&node)).judge_wish("p", &file(&link(&gone)), Ok(open)).is_ok(), "nobody holds a link open");
    assert_eq!(judge(Some(&node), &gone, Some(true)), Err("LinkLeadsSomewhere"));
    assert_eq!(judge(Some(&node), &gone, None), Err("LinkUnseen"));
    assert_eq!(
        judge(Some(&node), &alive, Some(false)),
        Err("ContainerExists"),
        "rotation leaves a moment without a file"
    );
    assert_eq!(judge(None, &gone, Some(false)), Err("ContainerExists"));
}

#[test]
fn every_refusal_is_a_sentence_fit_to_show() {
    let bad: LogPath = "a\\x1b".parse().unwrap();
    for refusal in [
        FileObjection::Unseen { problem: "\u{1b}[2J".to_owned() },
        FileObjection::PodExists { pod: "\u{1b}/x".to_owned() },
        FileObjection::DirectoryObstacle(DirectoryObstacle::Unseen(bad, "\n".to_owned())),
        FileObjection::MayBeOpen { touched: now(), age: SignedDuration::from_hours(24) },
    ] {
        if let FileObjection::DirectoryObstacle(obstacle) = &refusal {
            assert!(obstacle.to_string().starts_with("a\\x1b in it could not be looked at"), "{obstacle}");
        }
        let json = serde_json::to_value(Refusal::from(refusal.clone())).unwrap();
        let message = json["message"].as_str().unwrap();
        assert!(message.len() > 10 && !message.contains(char::is_control), "{message:?}");
        assert_eq!((json["rail"].as_u64(), json["code"].as_str()), (Some(7), Some(refusal.code())));
    }
}

#[test]
fn what_is_of_pods_waits_until_the_node_has_settled_and_all_else_for_the_clock() {
    use crate::clock::{Clock, Doubt, Misdated};
    use crate::snapshot::PodsSeen;

    let other = Snapshot { sandboxes: Vec::new(), ..node() };
    let pods = PodsSeen { last: at(900_000), none_since: Some(at(999_500)) };
    let clock = Clock { boot_id: "b".to_owned(), up_for: SignedDuration::from_mins(9), built: at(0) };
    let mut just_booted = other.clone();
    just_booted.node.clock = Some(clock);
    let mut no_pods = other.clone();
    no_pods.memory.pods = Some(pods);
    let mut jumped = other.clone();
    jumped.memory.clock_doubt = Some(Doubt::Ahead { by: SignedDuration::from_hours(960) });
    let gone = format!("shop_web_{UID}");
    let verdicts = |snapshot: &Snapshot, min_age: i64| {
        let rails = LogRails { min_age: SignedDuration::from_mins(min_age), ..LogRails::default() };
        let taken = Snapshot { taken_at: now(), ..snapshot.clone() };
        let guard = LogGuard::new(rails, now(), Some(&taken)).on(&taken);
        let of_pod = guard.judge_wish("p", &directory(&gone), Ok(tree_sight("/var/log/pods", &gone)));
        let rotated = format!("{gone}/c/0.log.20260101-000000");
        let of_pod_too = guard.judge_wish("p", &file(&rotated), Ok(inspection("/var/log/pods", &rotated)));
        let plain = guard.judge_wish("p", &file("a.log"), Ok(inspection("/var/log/app", "a.log")));
        let cut = guard.judge_wish("p", &truncate("a.log"), Ok(inspection("/var/log/app", "a.log")));
        [of_pod, of_pod_too, plain, cut].map(|verdict| verdict.err().map(|refusal| (refusal.code(), refusal.rail())))
    };
    assert_eq!(verdicts(&other, 10), [None; 4], "settled");
    let (booted, none) = (Some(("JustBooted", 7)), Some(("NoPodsListed", 7)));
    assert_eq!(verdicts(&just_booted, 10), [booted, booted, None, None]);
    assert_eq!(verdicts(&no_pods, 10), [none, none, None, None]);
    assert_eq!(verdicts(&jumped, 10), [Some(("ClockNotTrusted", 7)); 4]);
    for unsettled in [&just_booted, &no_pods, &jumped] {
        assert_eq!(verdicts(unsettled, 0), [None; 4], "switched off");
    }
    no_pods.memory.pods = Some(PodsSeen { none_since: Some(at(999_400)), ..pods });
    assert_eq!(verdicts(&no_pods, 10), [None; 4], "none for ten minutes");

    // The file was changed at second 10.
    for (from, until, expected) in
        [(0, 9, None), (10, 10, Some(("Misdated", 7))), (5, 20, Some(("Misdated", 7))), (11, 99, None)]
    {
        let mut misdated = other.clone();
        misdated.memory.misdated = Some(Misdated { from: at(from), until: at(until), noticed_at: now() });
        assert_eq!(verdicts(&misdated, 10)[2..], [expected; 2], "{from} to {until}");
    }
}
