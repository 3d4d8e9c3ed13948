//! Random targets and looks: whatever is wished, what must stay is never cleared.
//!
//! The oracle spells the rules out anew, by what is there and not by the order in which the rail asks.

use proptest::prelude::{Just, Strategy, any};
use proptest::{option, prop_assert, prop_assert_eq, prop_oneof, proptest, sample};

use super::*;

const GONE: &str = "ffffffff-4b5a-6978-8695-a4b3c2d1e0f0";

/// Few names, most of them ones that mean something to somebody.
fn paths() -> impl Strategy<Value = String> {
    let pod = prop_oneof![
        Just(format!("shop_web_{UID}")),
        Just(format!("shop_web_{GONE}")),
        Just("a_b_c".to_owned()),
        Just("pods".to_owned()),
    ];
    let name = sample::select(vec![
        "0.log",
        "0.log.20260102-030405",
        "0.log.20260102-030405.gz",
        "0.log.20260102-030405.tmp",
        "a.log",
        "main",
    ]);
    let id = sample::select(vec!["ab".repeat(32), "cd".repeat(32)]);
    prop_oneof![
        Just(String::new()),
        Just("../x".to_owned()),
        name.clone().prop_map(str::to_owned),
        pod.clone(),
        (pod.clone(), name.clone()).prop_map(|(pod, name)| format!("{pod}/{name}")),
        (pod, name).prop_map(|(pod, name)| format!("{pod}/main/{name}")),
        id.clone().prop_map(|id| format!("web_shop_main-{id}.log")),
        id.prop_map(|id| format!("{id}/{id}-json.log")),
    ]
}

fn kinds() -> impl Strategy<Value = FileKind> {
    sample::select(vec![
        FileKind::File,
        FileKind::File,
        FileKind::Directory,
        FileKind::Directory,
        FileKind::Symlink,
        FileKind::Fifo,
        FileKind::Socket,
    ])
}

fn opens() -> impl Strategy<Value = OpenState> {
    sample::select(vec![OpenState::Open, OpenState::Closed, OpenState::Unknown])
}

/// Times around the limits: young, a day old, after the snapshot, ahead of the clock.
fn times() -> impl Strategy<Value = Timestamp> {
    sample::select(vec![10_i64, 11, 900_000, 950_000, 999_000, 999_990, 1_000_001, 2_000_000]).prop_map(at)
}

/// A use, and whether all uses were seen.
fn uses() -> impl Strategy<Value = (Option<Use>, bool)> {
    let how = sample::select(vec![Use::Descriptor, Use::MountPoint, Use::Mapping, Use::Swap]);
    (option::weighted(0.3, how), any::<bool>())
}

fn looks() -> impl Strategy<Value = Inspection> {
    let host_path = sample::select(vec!["/var/log/pods", "/var/log", "/var/log/app"]);
    let content = (0..4_u64, sample::select(vec![99_u64, 100, 100, 100, 101]), 1..3_u64);
    let obstacle = option::weighted(0.2, Just(DirectoryObstacle::Kubelet(LogPath::root())));
    (
        paths(),
        host_path,
        kinds(),
        content,
        (times(), times(), times()),
        (opens(), uses()),
        option::of(any::<bool>()),
        obstacle,
    )
        .prop_map(
            |(
                path,
                host_path,
                kind,
                (inode, size, links),
                (modified, changed, inside),
                (open, (how, all_uses_seen)),
                leads,
                obstacle,
            )| {
                let shown = path.parse().unwrap_or_default();
                let place = Place::of(host_path.as_bytes(), &shown);
                let mut entry =
                    FileEntry { kind, size_bytes: size, hard_links: links, modified, changed, open, ..entry("a") };
                (entry.path, entry.identity.inode) = (shown, inode);
                let in_use = how.map(used);
                let tree = (kind == FileKind::Directory).then(|| Tree {
                    entries: 1,
                    size_bytes: 1,
                    freeable_bytes: 1,
                    touched: inside.min(seen_at()).max(entry.touched(seen_at())),
                    ahead: None,
                    open,
                    in_use: in_use.clone().map(|in_use| (entry.path.clone(), in_use)),
                    obstacle,
                    links: Links::default(),
                });
                let seen_at = seen_at();
                Inspection { entry, place, leads_somewhere: leads, tree, in_use, all_uses_seen, seen_at }
            },
        )
}

fn wishes() -> impl Strategy<Value = (bool, Verb)> {
    (any::<bool>(), sample::select(vec![Verb::Remove, Verb::Remove, Verb::Truncate, Verb::Other]))
}

/// Whether the rule says, in words of its own, that nothing may be done.
fn must_stay(path: &str, is_directory: bool, verb: Verb, inspection: &Inspection, known: Option<&Snapshot>) -> bool {
    let entry = &inspection.entry;
    let name = path.rsplit('/').next().unwrap();
    let remove = verb == Verb::Remove;
    let alive = |uid: &str| known.is_none_or(|node| node.sandboxes.iter().any(|sandbox| sandbox.pod.uid == uid));
    let in_pod = |uid: &str| path.contains(&format!("shop_web_{uid}"));
    let of_alive_pod = (in_pod(UID) && alive(UID)) || (in_pod(GONE) && alive(GONE));
    let rotated = name.starts_with("0.log.2026") && !path.contains(".tmp") && path.matches('/').count() == 2;
    // Where the pods are not known, whatever lies as the log that a container writes to is one.
    let may_be_live = known.is_none()
        && path.starts_with("a_b_c/main/0.log")
        && (name == "0.log" || name.rsplit('.').next() == Some("tmp"));
    // What is dated ahead of the clock is as old as its inode.
    let dated = if entry.modified.as_second() > 1_000_010 { entry.changed } else { entry.modified };
    let touched = dated.max(entry.changed).max(inspection.tree.as_ref().map_or(Timestamp::MIN, |tree| tree.touched));
    let ago = 1_000_000 - touched.as_second();
    let how = inspection.in_use.as_ref().map(|in_use| in_use.how);
    let inode_ago = 1_000_000 - entry.changed.as_second();
    let may_die = how.is_some_and(|how| how != Use::Descriptor) || (!inspection.all_uses_seen && ago < 24 * 3_600);
    let has_arrived = (entry.changed.as_second() - entry.modified.as_second()).abs() > 2 && inode_ago < 600;
    let fits = match (is_directory, verb, entry.kind) {
        (true, Verb::Remove, FileKind::Directory) | (false, Verb::Remove | Verb::Truncate, FileKind::File) => true,
        // Of links only those to a container that is gone, and only when it is certain that they lead nowhere.
        (false, Verb::Remove, FileKind::Symlink) => {
            let id = "cd".repeat(32);
            known.is_some() && name == format!("web_shop_main-{id}.log") && inspection.leads_somewhere == Some(false)
        }
        _ => false,
    };
    let tended = match entry.kind {
        FileKind::Symlink => false,
        _ if is_directory => of_alive_pod,
        _ => of_alive_pod && !rotated,
    };
    let open = match entry.open {
        OpenState::Open => true,
        OpenState::Unknown => ago < 24 * 3_600,
        OpenState::Closed => false,
    };
    !fits
        || path.is_empty()
        || path.starts_with("..")
        || (path == "pods" && inspection.place.is_of_all_pods)
        || tended
        || (!is_directory && may_be_live)
        || (!is_directory && path.contains(".tmp") && (in_pod(UID) || in_pod(GONE)))
        || (entry.kind == FileKind::File && name.ends_with("-json.log"))
        || (remove && ago < 600)
        || (remove && entry.changed.as_second() > 1_000_010)
        || ((open || how.is_some()) && remove && entry.kind != FileKind::Symlink)
        || (verb == Verb::Truncate && (may_die || has_arrived))
        || (verb == Verb::Truncate && entry.hard_links > 1)
        || (is_directory && inspection.tree.as_ref().is_none_or(|tree| tree.obstacle.is_some()))
}

fn node_with_container() -> Snapshot {
    let mut node = node();
    node.containers.push(fixture::container(&"ab".repeat(32), ImageMentions::default()));
    node
}

proptest! {
    #[test]
    fn nothing_that_must_stay_becomes_a_step(path in paths(), inspection in looks(), (is_directory, verb) in wishes(), is_known in any::<bool>()) {
        let node = node_with_container();
        let known = is_known.then_some(&node);
        let target = if is_directory { Target::LogDirectory(place(&path)) } else { Target::LogFile(place(&path)) };
        // The look is one at the very path.
        let shown: LogPath = path.parse().unwrap_or_default();
        let place = Place::of(if inspection.place.is_of_all_pods { b"/var/log" } else { b"/var/log/app" }, &shown);
        let inspection = Inspection { place, entry: FileEntry { path: shown, ..inspection.entry }, ..inspection };
        let judged = guard(known).judge_wish("p", &wish(target, verb), Ok(inspection.clone()));
        let must_stay = must_stay(&path, is_directory, verb, &inspection, known);
        prop_assert_eq!(judged.is_err(), must_stay, "{:?}", judged);
    }

    #[test]
    fn a_second_look_clears_only_the_very_same(first in looks(), second in looks(), is_directory in any::<bool>(), truncates in any::<bool>()) {
        let path = first.entry.path.to_string();
        let target = if is_directory { Target::LogDirectory(place(&path)) } else { Target::LogFile(place(&path)) };
        let verb = if truncates { Verb::Truncate } else { Verb::Remove };
        let node = node_with_container();
        let Ok(step) = guard(Some(&node)).judge_wish("p", &wish(target, verb), Ok(first.clone())) else { return Ok(()) };
        let second = Inspection { place: first.place.clone(), entry: FileEntry { path: first.entry.path.clone(), ..second.entry }, ..second };
        if guard(Some(&node)).clear(&step, Ok(second.clone())).is_ok() {
            let (before, after) = (&first.entry, &second.entry);
            prop_assert_eq!((before.identity, before.kind), (after.identity, after.kind));
            match (&first.tree, &second.tree) {
                (Some(before), Some(after)) => prop_assert!(after.touched <= before.touched && after.obstacle.is_none()),
                _ if truncates => prop_assert!(after.size_bytes >= before.size_bytes && after.hard_links == 1),
                _ => prop_assert_eq!((before.size_bytes, before.modified), (after.size_bytes, after.modified)),
            }
            prop_assert!(truncates || after.open != OpenState::Open || after.kind == FileKind::Symlink);
        }
        // Nothing has changed: nothing stands in the way.
        prop_assert!(guard(Some(&node)).clear(&step, Ok(first)).is_ok());
    }
}
