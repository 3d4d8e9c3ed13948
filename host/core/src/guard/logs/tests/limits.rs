//! Times and numbers exactly at their limits.

use super::*;
use crate::clock::Misdated;
use crate::report::PlanPart;

fn directory_entry(path: &str) -> FileEntry {
    FileEntry { kind: FileKind::Directory, ..entry(path) }
}

#[test]
fn rail_7_a_change_at_the_very_time_of_the_look_is_not_ahead_of_the_clock() {
    let changed = |at| with(inspection("/x", "a"), |inspection| inspection.entry.changed = at);
    refused(&file("a"), changed(seen_at()), "Changed");
    refused(&file("a"), changed(seen_at() + SignedDuration::from_nanos(1)), "AheadOfClock");
    let ahead = |at| {
        let mut tree = Tree::of(&directory_entry("d"), seen_at());
        tree.add(&FileEntry { changed: at, ..entry("d/a") }, false, seen_at());
        tree.ahead.map(|(path, at)| (path.to_string(), at))
    };
    assert_eq!(ahead(seen_at()), None);
    let later = seen_at() + SignedDuration::from_nanos(1);
    assert_eq!(ahead(later), Some(("d/a".to_owned(), later)));
}

#[test]
fn rail_7_times_of_a_file_that_is_written_lie_two_seconds_apart_at_the_most() {
    let apart = |seconds: i64| {
        with(inspection("/x", "a"), |inspection| {
            inspection.entry.changed = at(999_990);
            inspection.entry.modified = at(999_990 + seconds);
        })
    };
    for seconds in [0, 2, -2] {
        allowed(&truncate("a"), apart(seconds));
    }
    for seconds in [3, -3] {
        refused(&truncate("a"), apart(seconds), "Unsettled");
    }
}

#[test]
fn rail_7_content_in_a_directory_may_be_dated_up_to_its_last_change_or_ahead_of_the_clock() {
    let step = allowed(&directory("d"), tree_sight("/x", "d"));
    let clearance = guard(None).clear(&step, Ok(tree_sight("/x", "d"))).unwrap();
    let dated = |modified| FileEntry { modified, ..entry("d/a") };
    let later = seen_at() + SignedDuration::from_nanos(1);
    for (modified, is_covered) in [(at(30), true), (at(31), false), (seen_at(), false), (later, true)] {
        assert_eq!(clearance.covers(&dated(modified)).is_ok(), is_covered, "{modified}");
    }
}

#[test]
fn without_a_least_age_files_may_be_dated_wrongly() {
    let mut node = node();
    node.memory.misdated = Some(Misdated { from: at(0), until: at(99), noticed_at: now() });
    let judge = |min_age: i64| {
        let rails = LogRails { min_age: SignedDuration::from_secs(min_age), ..LogRails::default() };
        let guard = LogGuard::new(rails, now(), Some(&node)).on(&node);
        guard.judge_wish("p", &file("a"), Ok(inspection("/x", "a"))).err().map(|refusal| refusal.code())
    };
    assert_eq!((judge(0), judge(1)), (None, Some("Misdated")));
}

#[test]
fn rail_7_only_files_of_real_pods_that_are_gone_may_be_the_kubelets_temporary_ones() {
    let pods = "/var/log/pods";
    let temporary = |pod: &str| format!("{pod}/main/0.log.20260102-030405.tmp");
    let real = temporary("shop_old_ffffffff-4b5a-6978-8695-a4b3c2d1e0f0");
    refused(&file(&real), inspection(pods, &real), "KubeletTemporary");
    allowed(&directory(&real), tree_sight(pods, &real));
    let unreal = temporary("shop_old_7");
    allowed(&file(&unreal), inspection(pods, &unreal));
    allowed(&directory(&unreal), tree_sight(pods, &unreal));
}

#[test]
fn a_tree_has_its_first_use_and_its_first_live_log() {
    for (first, second) in [("d/a", "d/b"), ("d/b", "d/a")] {
        let path = |text: &str| text.parse::<LogPath>().unwrap();
        let mut tree = Tree::of(&directory_entry("d"), seen_at());
        tree.add_use(&path(first), used(Use::Mapping));
        tree.add_use(&path(second), used(Use::Swap));
        assert_eq!(tree.in_use, Some((path(first), used(Use::Mapping))));
        tree.hinder(DirectoryObstacle::ContainerLog(path(first)));
        tree.hinder(DirectoryObstacle::ContainerLog(path(second)));
        assert_eq!(tree.obstacle, Some(DirectoryObstacle::ContainerLog(path(first))));
        assert!(!tree.is_hindered());
        tree.hinder(DirectoryObstacle::TooMuch(path(second)));
        assert_eq!(tree.obstacle, Some(DirectoryObstacle::TooMuch(path(second))));
        tree.hinder(DirectoryObstacle::Root(path(first)));
        assert_eq!(tree.obstacle, Some(DirectoryObstacle::TooMuch(path(second))), "it keeps the first");
    }
}

#[test]
fn a_directory_keeps_so_many_files_with_several_names_apart_and_counts_the_rest_by_name() {
    const MOST: u64 = 100_000;
    let name = |inode| {
        let entry = FileEntry { hard_links: 2, ..entry("d/a") };
        FileEntry { identity: Identity { inode, ..entry.identity }, ..entry }
    };
    let mut links = Links::default();
    for inode in 1..MOST {
        links.add(&name(inode));
    }
    assert_eq!(links.add(&name(MOST)), Some((100, 0)));
    for _ in 0..2 {
        assert_eq!(links.add(&name(MOST + 1)), Some((100, 0)), "the name of a file that frees nothing");
    }
    for inode in [1, MOST] {
        assert_eq!(links.add(&name(inode)), Some((0, 4096)), "the last name of a file that is known");
    }
}

#[test]
fn a_step_that_has_all_names_of_a_file_frees_it_by_itself() {
    let names = |count, links| {
        let mut names = Links::default();
        for _ in 0..count {
            names.add(&FileEntry { hard_links: links, ..entry("d/a") });
        }
        names
    };
    let mut taken = Links::default();
    taken.take(&names(1, 3));
    assert_eq!(taken.beyond(&names(1, 3)), (100, 0));
    assert_eq!(taken.beyond(&names(2, 3)), (100, 4096));
    // One name has gone between the two looks.
    assert_eq!(taken.beyond(&names(2, 2)), (100, 0));
}

#[test]
fn the_totals_of_a_plan_have_the_gain_of_all_steps() {
    let targets = [("a", false), ("d", true)].map(|(path, is_directory)| {
        let seen = if is_directory { tree_sight("/x", path) } else { inspection("/x", path) };
        let seen = with(seen, |inspection| inspection.entry.identity.inode = u64::from(is_directory));
        (RootedPath { root: "app".to_owned(), path: path.parse().unwrap(), is_directory }, Ok(seen))
    });
    let inspections = Inspections { targets: targets.into(), entries: None };
    let wishes = vec![file("a"), directory("d"), file("unseen")];
    let proposal = crate::proposal::Proposal { plugin: "p".to_owned(), wishes };
    let plan = guard(None).review(vec![proposal.into()], inspections, &crate::confirmation::Wishes::default());
    let totals = PlanPart::new(plan, None).totals;
    assert_eq!((totals.planned, totals.refused, totals.entries), (2, 1, 5));
    assert_eq!((totals.size_planned_bytes, totals.freeable_bytes), (400, Some(4096 + 12_288)));
    assert_eq!(PlanPart::<Logs>::new(Plan::default(), None).totals.freeable_bytes, Some(0));
}
