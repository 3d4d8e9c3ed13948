//! Random disks with hard links, files in use, directories and a second root that shows the same: a plan takes every
//! file once, frees what it says, and leaves what is in use.
//!
//! The oracle carries out the plan name by name on a disk of its own, and looks what is left.

use std::collections::BTreeSet;

use proptest::prelude::Strategy;
use proptest::{option, prop_assert, prop_assert_eq, proptest, sample};

use super::*;
use crate::confirmation::Wishes;
use crate::proposal::Proposal;

/// The number of directories and inodes.
const DIRECTORIES: usize = 3;
const INODES: u64 = 5;

/// Files on a disk: which inode each name has, in directories or not.
#[derive(Clone, Debug)]
struct Disk {
    /// Directory (none for the root) and inode.
    names: Vec<(Option<usize>, u64)>,
    /// The number of names of each inode elsewhere.
    outside: Vec<u64>,
    /// The use of each inode.
    uses: Vec<Option<Use>>,
    /// In order, and each with the number of what it is about.
    wished: Vec<(Wished, usize)>,
}

/// A wish about a name, or about a directory.
#[derive(Clone, Copy, Debug)]
enum Wished {
    Name,
    Cut,
    Directory,
    /// A name as a second root would show it: opening refuses that, and nothing is taken twice all the same.
    Again,
}

fn disks() -> impl Strategy<Value = Disk> {
    let names = proptest::collection::vec((option::of(0..DIRECTORIES), 0..INODES), 1..12);
    let outside = proptest::collection::vec(sample::select(vec![0_u64, 0, 1, 2]), 5);
    let how = sample::select(vec![Use::Descriptor, Use::Mapping, Use::Executable, Use::MountSource]);
    let uses = proptest::collection::vec(option::weighted(0.2, how), 5);
    let kinds = vec![Wished::Name, Wished::Name, Wished::Cut, Wished::Directory, Wished::Again];
    let wished = proptest::collection::vec((sample::select(kinds), 0..12_usize), 1..16);
    (names, outside, uses, wished).prop_map(|(names, outside, uses, wished)| Disk { names, outside, uses, wished })
}

impl Disk {
    fn size(inode: u64) -> u64 {
        1 << (4 * inode)
    }

    fn links(&self, inode: u64) -> u64 {
        let here = self.names.iter().filter(|(_, other)| *other == inode).count() as u64;
        here + self.outside[usize::try_from(inode).unwrap()]
    }

    fn in_use(&self, inode: u64) -> Option<Use> {
        self.uses[usize::try_from(inode).unwrap()]
    }

    fn path(&self, name: usize) -> String {
        self.names[name].0.map_or_else(|| format!("n{name}"), |directory| format!("d{directory}/n{name}"))
    }

    fn entry(&self, name: usize) -> FileEntry {
        let inode = self.names[name].1;
        let open = if self.in_use(inode).is_some() { OpenState::Open } else { OpenState::Closed };
        let (size_bytes, allocated_bytes, hard_links) = (Self::size(inode), Self::size(inode), self.links(inode));
        let mut entry = FileEntry { size_bytes, allocated_bytes, hard_links, open, ..entry(&self.path(name)) };
        entry.identity.inode = inode;
        entry
    }

    fn wish(&self, wished: Wished, number: usize) -> (Wish, RootedPath) {
        let name = number % self.names.len();
        let (root, path, is_directory, verb) = match wished {
            Wished::Name => ("app", self.path(name), false, Verb::Remove),
            Wished::Cut => ("app", self.path(name), false, Verb::Truncate),
            Wished::Directory => ("app", format!("d{}", number % DIRECTORIES), true, Verb::Remove),
            Wished::Again => ("again", self.path(name), false, Verb::Remove),
        };
        let place = LogLocation { root: root.to_owned(), path };
        let target = if is_directory { Target::LogDirectory(place) } else { Target::LogFile(place) };
        let wish = wish(target, verb);
        let target = Logs::parse(&wish.target).unwrap();
        (wish, target)
    }

    fn inspection(&self, target: &RootedPath) -> Inspection {
        let path = target.path.to_string();
        if !target.is_directory {
            let entry = self.entry(self.name(&path));
            let in_use = self.in_use(entry.identity.inode).map(used);
            return Inspection { entry, in_use, ..inspection("/x", &path) };
        }
        let directory: usize = path[1..].parse().unwrap();
        let mut entry = FileEntry { kind: FileKind::Directory, hard_links: 2, allocated_bytes: 0, ..entry(&path) };
        entry.identity.inode = 100 + directory as u64;
        let mut tree = Tree::of(&entry, seen_at());
        for name in self.within(&path) {
            let inside = self.entry(name);
            tree.add(&inside, false, seen_at());
            if let Some(how) = self.in_use(inside.identity.inode) {
                tree.add_use(&inside.path, used(how));
            }
        }
        Inspection { entry, tree: Some(tree), ..inspection("/x", &path) }
    }

    fn name(&self, path: &str) -> usize {
        (0..self.names.len()).find(|name| self.path(*name) == path).unwrap()
    }

    /// The names that something has, or that lie in it.
    fn within(&self, path: &str) -> Vec<usize> {
        let beneath = format!("{path}/");
        let is_within = |name: &usize| self.path(*name) == path || self.path(*name).starts_with(&beneath);
        (0..self.names.len()).filter(is_within).collect()
    }

    fn inodes(&self, names: impl IntoIterator<Item = usize>) -> BTreeSet<u64> {
        names.into_iter().map(|name| self.names[name].1).collect()
    }
}

proptest! {
    #[test]
    fn a_plan_takes_every_file_once_frees_what_it_says_and_leaves_what_is_in_use(disk in disks()) {
        let (wishes, targets): (Vec<Wish>, Vec<RootedPath>) =
            disk.wished.iter().map(|(wished, number)| disk.wish(*wished, *number)).unzip();
        let seen = targets.iter().map(|target| (target.clone(), Ok(disk.inspection(target))));
        let inspections = Inspections { targets: seen.collect(), entries: None };
        let proposal = Proposal { plugin: "p".to_owned(), wishes };
        let plan = guard(None).review(vec![proposal.into()], inspections, &Wishes::default());
        prop_assert_eq!(plan.steps.len() + plan.refusals.len(), targets.len());

        let (mut gone, mut cut) = (BTreeSet::new(), BTreeSet::new());
        let mut is_shown_twice = false;
        for step in &plan.steps {
            let names = disk.within(&step.target().path.to_string());
            if step.operation() == Operation::Truncate {
                for inode in disk.inodes(names) {
                    prop_assert_eq!(disk.links(inode), 1, "what is cut has one name");
                    prop_assert!(disk.in_use(inode).is_none_or(|how| how == Use::Descriptor), "it is merely open");
                    prop_assert!(cut.insert(inode), "it is cut once");
                }
                continue;
            }
            for inode in disk.inodes(names.iter().copied()) {
                prop_assert_eq!(disk.in_use(inode), None, "what goes is not in use under any of its names");
            }
            for name in names {
                let is_new = gone.insert(name);
                is_shown_twice |= !is_new;
                prop_assert!(is_new || disk.wished.iter().any(|(wished, _)| matches!(wished, Wished::Again)), "it goes once");
            }
        }
        for inode in 0..INODES {
            let is_of_it = |step: &&Step<Logs>| !step.target().is_directory && step.file().1 == inode;
            let steps = plan.steps.iter().filter(is_of_it).count() as u64;
            prop_assert!(steps <= disk.links(inode).max(1), "a file is taken more often than it has names");
        }
        // What lies in a directory that goes is not known by its inode when a second root shows it: opening refuses that.
        if is_shown_twice || !cut.is_disjoint(&disk.inodes(gone.iter().copied())) {
            return Ok(());
        }
        let is_left = |inode: &u64| {
            disk.outside[usize::try_from(*inode).unwrap()] > 0
                || (0..disk.names.len()).any(|name| disk.names[name].1 == *inode && !gone.contains(&name))
        };
        let taken = disk.inodes(gone.iter().copied());
        let freed: u64 = taken.iter().filter(|inode| !is_left(inode)).chain(&cut).map(|inode| Disk::size(*inode)).sum();
        let sizes: u64 = taken.iter().chain(&cut).map(|inode| Disk::size(*inode)).sum();
        prop_assert_eq!(plan.steps.iter().map(Step::<Logs>::freeable_bytes).sum::<u64>(), freed, "{:?}", plan);
        prop_assert_eq!(plan.steps.iter().map(Step::<Logs>::size_bytes).sum::<u64>(), sizes, "no content counts twice");
    }
}
