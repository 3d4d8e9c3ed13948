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

/// Times around the limits: young, a day old, after the snapshot.
fn times() -> impl Strategy<Value = Timestamp> {
    sample::select(vec![10_i64, 11, 900_000, 950_000, 999_000, 999_990, 1_000_001]).prop_map(at)
}

fn looks() -> impl Strategy<Value = Sight> {
    let host_path = sample::select(vec!["/var/log/pods", "/var/log", "/var/log/app"]);
    let content = (0..4_u64, sample::select(vec![99_u64, 100, 100, 100, 101]), 1..3_u64);
    let obstacle = option::weighted(0.2, Just(Obstacle::Kubelet(LogPath::root())));
    (paths(), host_path, kinds(), content, (times(), times(), times()), opens(), option::of(any::<bool>()), obstacle)
        .prop_map(
            |(path, host_path, kind, (inode, size, links), (modified, changed, inside), open, leads, obstacle)| {
                let shown = path.parse().unwrap_or_default();
                let place = Place::of(host_path.as_bytes(), &shown);
                let mut entry =
                    FileEntry { kind, size_bytes: size, hard_links: links, modified, changed, open, ..entry("a") };
                (entry.path, entry.identity.inode) = (shown, inode);
                let tree = (kind == FileKind::Directory).then(|| Tree {
                    entries: 1,
                    size_bytes: 1,
                    freeable_bytes: 1,
                    touched: inside.max(entry.touched()),
                    open,
                    obstacle,
                    links: Links::default(),
                });
                Sight { entry, place, leads_somewhere: leads, tree }
            },
        )
}

fn wishes() -> impl Strategy<Value = (bool, Verb)> {
    (any::<bool>(), sample::select(vec![Verb::Remove, Verb::Remove, Verb::Truncate, Verb::Other]))
}

/// Whether the rule says, in words of its own, that nothing may be done.
fn must_stay(path: &str, is_directory: bool, verb: Verb, sight: &Sight, known: Option<&Snapshot>) -> bool {
    let entry = &sight.entry;
    let name = path.rsplit('/').next().unwrap();
    let remove = verb == Verb::Remove;
    let alive = |uid: &str| known.is_none_or(|node| node.sandboxes.iter().any(|sandbox| sandbox.pod.uid == uid));
    let in_pod = |uid: &str| path.contains(&format!("shop_web_{uid}"));
    let of_alive_pod = (in_pod(UID) && alive(UID)) || (in_pod(GONE) && alive(GONE));
    let rotated = name.starts_with("0.log.2026") && !path.contains(".tmp") && path.matches('/').count() == 2;
    let touched =
        entry.modified.max(entry.changed).max(sight.tree.as_ref().map_or(Timestamp::MIN, |tree| tree.touched));
    let ago = 1_000_000 - touched.as_second();
    let fits = match (is_directory, verb, entry.kind) {
        (true, Verb::Remove, FileKind::Directory) | (false, Verb::Remove | Verb::Truncate, FileKind::File) => true,
        // Of links only those to a container that is gone, and only when it is certain that they lead nowhere.
        (false, Verb::Remove, FileKind::Symlink) => {
            let id = "cd".repeat(32);
            known.is_some() && name == format!("web_shop_main-{id}.log") && sight.leads_somewhere == Some(false)
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
        || (path == "pods" && sight.place.is_of_all_pods)
        || tended
        || (!is_directory && path.contains(".tmp") && (in_pod(UID) || in_pod(GONE)))
        || (entry.kind == FileKind::File && name.ends_with("-json.log"))
        || (remove && ago < 0)
        || (open && remove && entry.kind != FileKind::Symlink)
        || (verb == Verb::Truncate && entry.hard_links > 1)
        || (is_directory && (ago < 600 || sight.tree.as_ref().is_none_or(|tree| tree.obstacle.is_some())))
}

fn node_with_container() -> Snapshot {
    let mut node = node();
    node.containers.push(fixture::container(&"ab".repeat(32), ImageMentions::default()));
    node
}

proptest! {
    #[test]
    fn nothing_that_must_stay_becomes_a_step(path in paths(), sight in looks(), (is_directory, verb) in wishes(), is_known in any::<bool>()) {
        let node = node_with_container();
        let known = is_known.then_some(&node);
        let target = if is_directory { Target::LogDirectory(place(&path)) } else { Target::LogFile(place(&path)) };
        // The look is one at the very path.
        let shown: LogPath = path.parse().unwrap_or_default();
        let place = Place::of(if sight.place.is_of_all_pods { b"/var/log" } else { b"/var/log/app" }, &shown);
        let sight = Sight { place, entry: FileEntry { path: shown, ..sight.entry }, ..sight };
        let judged = guard(known).judge("p", &wish(target, verb), Ok(sight.clone()));
        let must_stay = must_stay(&path, is_directory, verb, &sight, known);
        prop_assert_eq!(judged.is_err(), must_stay, "{:?}", judged);
    }

    #[test]
    fn a_second_look_clears_only_the_very_same(first in looks(), second in looks(), is_directory in any::<bool>(), truncates in any::<bool>()) {
        let path = first.entry.path.to_string();
        let target = if is_directory { Target::LogDirectory(place(&path)) } else { Target::LogFile(place(&path)) };
        let verb = if truncates { Verb::Truncate } else { Verb::Remove };
        let node = node_with_container();
        let Ok(step) = guard(Some(&node)).judge("p", &wish(target, verb), Ok(first.clone())) else { return Ok(()) };
        let second = Sight { place: first.place.clone(), entry: FileEntry { path: first.entry.path.clone(), ..second.entry }, ..second };
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

/// Files on a disk: which inode each name has, in directories or not, and how many names each inode has elsewhere.
#[derive(Clone, Debug)]
struct Disk {
    /// Directory (none for the root) and inode.
    names: Vec<(Option<usize>, u64)>,
    outside: Vec<u64>,
    /// What is wished: a name, a directory as a whole, or a name as a second root would show it.
    wished: Vec<(u8, usize)>,
}

fn disks() -> impl Strategy<Value = Disk> {
    let names = proptest::collection::vec((option::of(0..3_usize), 0..5_u64), 1..12);
    let outside = proptest::collection::vec(sample::select(vec![0_u64, 0, 1, 2]), 5);
    let wished = proptest::collection::vec((0..3_u8, 0..12_usize), 1..16);
    (names, outside, wished).prop_map(|(names, outside, wished)| Disk { names, outside, wished })
}

impl Disk {
    fn size(inode: u64) -> u64 {
        1 << (4 * inode)
    }

    fn links(&self, inode: u64) -> u64 {
        let here = self.names.iter().filter(|(_, other)| *other == inode).count() as u64;
        here + self.outside[usize::try_from(inode).unwrap()]
    }

    fn path(&self, name: usize) -> String {
        self.names[name].0.map_or_else(|| format!("n{name}"), |directory| format!("d{directory}/n{name}"))
    }

    fn entry(&self, name: usize) -> FileEntry {
        let inode = self.names[name].1;
        let mut entry = entry(&self.path(name));
        entry.identity.inode = inode;
        FileEntry {
            size_bytes: Self::size(inode),
            allocated_bytes: Self::size(inode),
            hard_links: self.links(inode),
            ..entry
        }
    }

    fn sight(&self, target: &LogTarget) -> Sight {
        let path = target.path.to_string();
        let place = Place::of(b"/x", &target.path);
        if !target.is_directory {
            let name = path.rsplit('n').next().unwrap().parse().unwrap();
            return Sight { entry: self.entry(name), place, leads_somewhere: None, tree: None };
        }
        let directory: usize = path[1..].parse().unwrap();
        let mut entry = FileEntry { kind: FileKind::Directory, hard_links: 2, allocated_bytes: 0, ..entry(&path) };
        entry.identity.inode = 100 + directory as u64;
        let mut tree = Tree::of(&entry);
        let inside = (0..self.names.len()).filter(|name| self.names[*name].0 == Some(directory));
        inside.for_each(|name| tree.add(&self.entry(name), false));
        Sight { entry, place, leads_somewhere: None, tree: Some(tree) }
    }
}

proptest! {
    /// The oracle carries out the plan name by name on a disk of its own, and looks what is left.
    #[test]
    fn what_a_plan_frees_is_what_a_disk_would_gain(disk in disks()) {
        let targets: Vec<LogTarget> = disk.wished.iter().map(|(kind, number)| {
            let name = number % disk.names.len();
            let (root, path, is_directory) = match kind {
                0 => ("app", disk.path(name), false),
                1 => ("app", format!("d{}", number % 3), true),
                _ => ("again", disk.path(name), false),
            };
            LogTarget { root: root.to_owned(), path: path.parse().unwrap(), is_directory }
        }).collect();
        let sights = Sights { targets: targets.iter().map(|target| (target.clone(), Ok(disk.sight(target)))).collect(), entries: None };
        let wishes = targets.iter().map(|target| {
            let place = LogLocation { root: target.root.clone(), path: target.path.to_string() };
            wish(if target.is_directory { Target::LogDirectory(place) } else { Target::LogFile(place) }, Verb::Remove)
        }).collect();
        let plan = guard(None).review(vec![crate::proposal::Proposal { plugin: "p".to_owned(), wishes }], sights, &crate::confirmation::Wishes::default());

        let mut gone = HashSet::new();
        let mut taken = 0_u64;
        for step in &plan.steps {
            let path = step.target().path.to_string();
            let names = (0..disk.names.len()).filter(|name| {
                let own = disk.path(*name);
                own == path || (step.target().is_directory && own.starts_with(&format!("{path}/")))
            });
            for name in names {
                taken += 1;
                gone.insert(name);
            }
        }
        // A second root shows a name that has another one beside it: what is left of that is for opening to refuse.
        let has_twice = gone.len() as u64 != taken;
        let inodes = |names: &HashSet<usize>| names.iter().map(|name| disk.names[*name].1).collect::<HashSet<u64>>();
        let left = |inode: u64| disk.outside[usize::try_from(inode).unwrap()] > 0
            || (0..disk.names.len()).any(|name| disk.names[name].1 == inode && !gone.contains(&name));
        let freed: u64 = inodes(&gone).into_iter().filter(|inode| !left(*inode)).map(Disk::size).sum();
        let sizes: u64 = inodes(&gone).into_iter().map(Disk::size).sum();
        if !has_twice {
            prop_assert_eq!(plan.steps.iter().map(LogStep::freeable_bytes).sum::<u64>(), freed);
            prop_assert_eq!(plan.steps.iter().map(LogStep::size_bytes).sum::<u64>(), sizes, "no content counts twice");
        }
        prop_assert_eq!(plan.steps.len() + plan.refusals.len(), targets.len());
        for inode in 0..5 {
            let names = plan.steps.iter().filter(|step| !step.target().is_directory && step.file().1 == inode).count() as u64;
            prop_assert!(names <= disk.links(inode).max(1), "a file is taken more often than it has names");
        }
    }
}
