use super::*;
use crate::config::Goal;
use crate::goal::Figures;

const DAY: i64 = 86_400 * SECOND;
const NOW: i64 = 1_000 * DAY;

/// A closed file of so many bytes that changed so many days ago.
fn file(path: &str, days: i64, allocated_bytes: u64) -> File {
    let identity = String::new();
    File {
        modified: NOW - days * DAY,
        root: 0,
        path: path.to_owned(),
        allocated_bytes,
        hard_links: 1,
        identity,
        open: Open::No,
        is_ahead: false,
    }
}

/// One of so many names of a file.
fn named(path: &str, identity: &str, days: i64, allocated_bytes: u64, hard_links: u64) -> File {
    File { hard_links, identity: identity.to_owned(), ..file(path, days, allocated_bytes) }
}

/// A goal of so many free bytes.
fn size(bytes: &str) -> Goal {
    Goal { min_free: Some(crate::config::MinFree::Bytes(bytes.parse().unwrap())), ..Goal::default() }
}

fn rule(json: &str) -> Rule {
    crate::Config::parse(&format!(r#"{{"rules":[{json}]}}"#)).unwrap().rules.remove(0)
}

fn choose_with(rule: &Rule, files: Vec<File>, goals: &mut Goals) -> (Vec<Choice>, usize) {
    let taken = Taken::default();
    let mut survey = Survey::new(rule, NOW, &taken);
    for file in files {
        survey.look(file);
    }
    let mut plan = Vec::new();
    let kept = survey.choose(goals, &mut plan);
    (plan, kept.held_open)
}

fn choose(json: &str, files: Vec<File>) -> Vec<Choice> {
    choose_with(
        &rule(json),
        files,
        &mut Goals::new(Goal::default(), &[Figures::default(), Figures::default(), Figures::default()]),
    )
    .0
}

fn paths(choices: &[Choice]) -> Vec<&str> {
    choices.iter().map(|choice| choice.file.path.as_str()).collect()
}

#[test]
fn what_is_older_than_the_age_goes_the_oldest_first() {
    let chosen = choose(
        r#"{"files":["**"],"maxAge":"7d"}"#,
        vec![file("a", 8, 1), file("b", 7, 1), file("c", 30, 1), file("d", 0, 1), file("e", -5, 1)],
    );
    assert_eq!(paths(&chosen), ["c", "a"], "exactly seven days are not more");
    assert_eq!((chosen[0].kind, chosen[0].text.as_str()), (Kind::TooOld, "last changed 30 days ago, maxAge is 7d"));
}

#[test]
fn the_newest_stay_whatever_their_age() {
    let files = || vec![file("a", 8, 1), file("b", 9, 1), file("c", 10, 1), file("d", 11, 1)];
    let by_age = choose(r#"{"files":["**"],"maxAge":"7d","keepNewest":3}"#, files());
    assert_eq!(paths(&by_age), ["d"]);
    let alone = choose(r#"{"files":["**"],"keepNewest":1}"#, files());
    assert_eq!(paths(&alone), ["d", "c", "b"]);
    assert_eq!((alone[0].kind, alone[0].text.as_str()), (Kind::Superseded, "not among the 1 newest in its log root"));
    assert!(choose(r#"{"files":["**"],"keepNewest":4}"#, files()).is_empty());
    assert!(choose(r#"{"files":["**"],"keepNewest":9}"#, files()).is_empty());
    assert_eq!(choose(r#"{"files":["**"],"keepNewest":0}"#, files()).len(), 4);
}

#[test]
fn a_date_ahead_of_the_clock_counts_as_the_change_of_the_inode() {
    for (modified, changed, expected) in [
        (NOW - DAY, NOW - SECOND, Some((NOW - DAY, false))),
        (NOW + DAY, NOW - DAY, Some((NOW - DAY, true))),
        (i64::MAX, NOW - DAY, Some((NOW - DAY, true))),
        // Written during the run, by whatever program.
        (NOW + SECOND, NOW + SECOND, Some((NOW + SECOND, false))),
        (NOW + DAY, NOW + DAY, None),
        (NOW + DAY, NOW + 2 * DAY, None),
        (i64::MAX, i64::MAX, None),
        // The host does not know whether it has settled, and says so.
        (NOW - DAY, NOW + DAY, Some((NOW - DAY, false))),
    ] {
        assert_eq!(File::time(modified, changed, NOW), expected, "{modified} {changed}");
    }
}

#[test]
fn a_file_dated_ahead_of_the_clock_takes_no_place_among_the_newest() {
    let ahead = |days| File { is_ahead: true, ..file("ahead", days, 1) };
    let chosen = |keep: u32, ahead: File| {
        let json = format!(r#"{{"files":["**"],"keepNewest":{keep}}}"#);
        let mut files = vec![ahead, file("a", 2, 1), file("b", 4, 1), file("c", 6, 1)];
        let chosen = choose(&json, files.clone());
        files.reverse();
        assert_eq!(choose(&json, files), chosen, "in whatever order they come");
        chosen.into_iter().map(|choice| choice.file.path).collect::<Vec<_>>()
    };
    // It may be as old as any, or changed last of all: neither costs another its place.
    assert_eq!(chosen(1, ahead(0)), ["c", "b"]);
    assert_eq!(chosen(1, ahead(3)), ["c", "b", "ahead"], "two others are newer for certain");
    assert_eq!(chosen(2, ahead(5)), ["c", "ahead"]);
    assert_eq!(chosen(4, ahead(9)), Vec::<String>::new(), "there are not as many others");
    let old = choose(r#"{"files":["**"],"maxAge":"7d"}"#, vec![ahead(8), ahead(6)]);
    assert_eq!(old[0].text, "dated ahead of the clock, its inode changed 8 days ago, maxAge is 7d");
    assert_eq!(old.len(), 1);
}

#[test]
fn a_group_over_its_size_loses_its_oldest() {
    let files = || vec![file("d/a", 1, 400), file("d/b", 2, 400), file("e/c", 3, 400), file("e/d", 4, 400)];
    let chosen = choose(r#"{"files":["**"],"maxTotalSize":"1000"}"#, files());
    assert_eq!(paths(&chosen), ["e/d", "e/c"]);
    assert_eq!(chosen[0].text, "among the oldest in its log root, maxTotalSize is 1000");
    let per_directory = choose(r#"{"files":["**"],"maxTotalSize":"500","per":"directory"}"#, files());
    assert_eq!(paths(&per_directory), ["e/d", "d/b"]);
    let kept = choose(r#"{"files":["**"],"maxTotalSize":"10","keepNewest":1,"per":"directory"}"#, files());
    assert_eq!(paths(&kept), ["e/d", "d/b"], "the newest stay although they are too large");
    assert!(choose(r#"{"files":["**"],"maxTotalSize":"1600"}"#, files()).is_empty());
}

#[test]
fn roots_are_groups_of_their_own() {
    let other = |path: &str, days| File { root: 1, ..file(path, days, 400) };
    let chosen = choose(
        r#"{"files":["**"],"keepNewest":1}"#,
        vec![file("a", 1, 1), file("b", 2, 1), other("a", 3), other("b", 4)],
    );
    let places: Vec<(usize, &str)> =
        chosen.iter().map(|choice| (choice.file.root, choice.file.path.as_str())).collect();
    assert_eq!(places, [(1, "b"), (0, "b")]);
}

#[test]
fn files_of_one_time_come_by_their_path() {
    let chosen = choose(r#"{"files":["**"],"keepNewest":1}"#, vec![file("b", 1, 1), file("c", 1, 1), file("a", 1, 1)]);
    assert_eq!(paths(&chosen), ["a", "b"]);
}

#[test]
fn open_files_stay_or_are_cut() {
    let open = |path: &str, state| File { open: state, ..file(path, 9, 50) };
    let young = |path: &str, state| File { modified: NOW - DAY / 2, ..open(path, state) };
    let files = || {
        vec![
            open("a", Open::Yes),
            open("b", Open::No),
            open("c", Open::Unknown),
            young("d", Open::Unknown),
            young("e", Open::No),
        ]
    };
    let json = |truncate| format!(r#"{{"files":["**"],"keepNewest":0,"truncateOpen":{truncate}}}"#);
    let goals = || Goals::new(Goal::default(), &[Figures::default()]);
    let (kept, held_open) = choose_with(&rule(&json(false)), files(), &mut goals());
    assert_eq!((paths(&kept), held_open), (vec!["b", "c", "e"], 2));
    let (cut, held_open) = choose_with(&rule(&json(true)), files(), &mut goals());
    assert_eq!((paths(&cut), held_open), (vec!["a", "b", "c", "d", "e"], 0));
    let truncated: Vec<bool> = cut.iter().map(|choice| choice.truncate).collect();
    assert_eq!(truncated, [true, false, false, true, false]);
    // There is nothing to cut from an empty file, and a second name would be cut as well.
    let pointless =
        vec![File { allocated_bytes: 0, ..open("a", Open::Yes) }, File { hard_links: 2, ..open("b", Open::Yes) }];
    assert!(choose(&json(true), pointless).is_empty());
}

#[test]
fn an_open_file_that_stays_does_not_count_as_gone() {
    let open = File { open: Open::Yes, ..file("a", 9, 600) };
    let chosen = choose(r#"{"files":["**"],"maxTotalSize":"1000"}"#, vec![open, file("b", 8, 300), file("c", 7, 300)]);
    assert_eq!(paths(&chosen), ["b"]);
}

#[test]
fn a_goal_ends_a_rule_as_soon_as_it_is_met() {
    let goal = size("1000");
    let figures = |available| Figures { available_bytes: Some(available), ..Figures::default() };
    let files = || vec![file("a", 12, 100), named("b", "i", 11, 100, 2), file("c", 10, 100), file("d", 9, 100)];
    let old = rule(r#"{"files":["**"],"maxAge":"7d"}"#);
    let chosen = |available| {
        let mut goals = Goals::new(goal, &[figures(available)]);
        let (chosen, _) = choose_with(&old, files(), &mut goals);
        paths(&chosen).join("")
    };
    assert_eq!(chosen(850), "abc", "one of two names frees nothing");
    assert_eq!(chosen(900), "a");
    assert_eq!(chosen(1_000), "");
    assert_eq!(chosen(0), "abcd");
}

#[test]
fn what_an_earlier_rule_took_is_not_there_for_the_next() {
    let first = rule(r#"{"files":["**"],"maxAge":"7d"}"#);
    let second = rule(r#"{"files":["**"],"maxTotalSize":"250"}"#);
    let mut goals = Goals::new(Goal::default(), &[Figures::default()]);
    let (mut plan, mut taken) = (Vec::new(), Taken::default());
    for rule in [&first, &second] {
        let mut survey = Survey::new(rule, NOW, &taken);
        for file in [file("a", 1, 100), file("b", 2, 100), file("c", 3, 100), file("d", 9, 100)] {
            survey.look(file);
        }
        let before = plan.len();
        survey.choose(&mut goals, &mut plan);
        taken.add(&plan[before..]);
    }
    assert_eq!(paths(&plan), ["d", "c"], "300 are left, 250 may be");
}

#[test]
fn a_plan_has_an_end_and_begins_with_the_oldest() {
    let many = (0..50_000).rev().map(|number| file(&format!("{number:05}"), 50_000 - number, 1)).collect();
    let chosen = choose(r#"{"files":["**"],"maxAge":"1h"}"#, many);
    assert_eq!(
        (chosen.len(), chosen[0].file.path.as_str(), chosen[MOST - 1].file.path.as_str()),
        (MOST, "00000", "19999")
    );
    let many = (0..50_000).map(|number| file(&format!("{number:05}"), 50_000 - number, 1)).collect();
    let chosen = choose(r#"{"files":["**"],"maxTotalSize":"49990","keepNewest":40000}"#, many);
    assert_eq!(chosen.len(), 10);
}

#[test]
fn the_order_in_which_files_are_shown_makes_no_difference() {
    let files: Vec<File> =
        (0..200).map(|number| file(&format!("{}/{number}", number % 7), (number * 37) % 50, 10)).collect();
    for json in [
        r#"{"files":["**"],"maxAge":"7d","keepNewest":3,"per":"directory"}"#,
        r#"{"files":["**"],"maxTotalSize":"100","per":"directory"}"#,
        r#"{"files":["**"],"keepNewest":20}"#,
    ] {
        let mut turned = files.clone();
        turned.reverse();
        turned.rotate_left(77);
        assert_eq!(choose(json, files.clone()), choose(json, turned));
    }
}

#[test]
fn ten_names_of_one_file_are_one_file() {
    let snap = |number: u64| named(&format!("snap.{number}"), "i", 1, 10, 10);
    let files = || (0..10).map(snap).chain([file("plain.log", 5, 5)]).collect::<Vec<_>>();
    assert!(choose(r#"{"files":["**"],"maxTotalSize":"20"}"#, files()).is_empty());
    assert!(choose(r#"{"files":["**"],"maxTotalSize":"15"}"#, files()).is_empty());
    assert_eq!(paths(&choose(r#"{"files":["**"],"maxTotalSize":"14"}"#, files())), ["plain.log"]);
    let all = choose(r#"{"files":["**"],"maxTotalSize":"9"}"#, files());
    assert_eq!(all.len(), 11);
    let gains: Vec<u64> = all.iter().map(|choice| choice.gain).collect();
    assert_eq!(gains, [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10], "freed with the last name");
}

#[test]
fn a_name_elsewhere_keeps_all_names_from_going_for_size() {
    let files = || vec![named("a", "i", 9, 10, 3), named("b", "i", 9, 10, 3), file("c", 8, 10), file("d", 7, 10)];
    let by_size = rule(r#"{"files":["**"],"maxTotalSize":"20"}"#);
    let (taken, mut goals, mut plan) =
        (Taken::default(), Goals::new(Goal::default(), &[Figures::default()]), Vec::new());
    let mut survey = Survey::new(&by_size, NOW, &taken);
    for file in files() {
        survey.look(file);
    }
    assert_eq!(survey.choose(&mut goals, &mut plan), Kept { named_elsewhere: 2, ..Kept::default() });
    assert_eq!(paths(&plan), ["c"]);
    let by_age = choose(r#"{"files":["**"],"maxAge":"8d"}"#, files());
    assert_eq!((paths(&by_age), by_age.iter().map(|choice| choice.gain).sum()), (vec!["a", "b"], 0));
    // In groups of their own they are elsewhere for each other.
    let apart = vec![named("x/a", "i", 9, 10, 2), named("y/a", "i", 9, 10, 2)];
    assert!(choose(r#"{"files":["**"],"maxTotalSize":"5","per":"directory"}"#, apart.clone()).is_empty());
    let both = choose(r#"{"files":["**"],"maxTotalSize":"5"}"#, apart);
    assert_eq!((paths(&both), both[1].gain), (vec!["x/a", "y/a"], 10));
}

#[test]
fn snapshots_by_hard_links_keep_whole_files() {
    // Two days share what did not change between them.
    let day =
        |day: i64| vec![named(&format!("daily.{day}/same"), "s", 9, 50, 3), file(&format!("daily.{day}/new"), day, 10)];
    let files: Vec<File> = (0..3).flat_map(day).collect();
    let newest = choose(r#"{"files":["**"],"keepNewest":3}"#, files.clone());
    assert_eq!(
        paths(&newest),
        ["daily.0/same", "daily.1/same", "daily.2/same"],
        "the fourth newest file, by its names"
    );
    assert!(choose(r#"{"files":["**"],"keepNewest":4}"#, files.clone()).is_empty());
    assert!(choose(r#"{"files":["**"],"maxTotalSize":"80"}"#, files.clone()).is_empty());
    let mut turned = files.clone();
    turned.reverse();
    for json in [r#"{"files":["**"],"keepNewest":2}"#, r#"{"files":["**"],"maxTotalSize":"70"}"#] {
        assert_eq!(choose(json, files.clone()), choose(json, turned.clone()));
    }
}

#[test]
fn a_goal_counts_the_last_name_whichever_rule_takes_it() {
    let (first, second) = (rule(r#"{"files":["a"],"maxAge":"1d"}"#), rule(r#"{"files":["b","c"],"maxAge":"1d"}"#));
    let goal = size("10");
    let figures = Figures { available_bytes: Some(0), ..Figures::default() };
    let mut goals = Goals::new(goal, &[figures]);
    let (mut plan, mut taken) = (Vec::new(), Taken::default());
    for (rule, files) in
        [(&first, vec![named("a", "i", 9, 10, 2)]), (&second, vec![named("b", "i", 9, 10, 2), file("c", 8, 10)])]
    {
        let mut survey = Survey::new(rule, NOW, &taken);
        for file in files {
            survey.look(file);
        }
        let before = plan.len();
        survey.choose(&mut goals, &mut plan);
        taken.add(&plan[before..]);
    }
    assert_eq!(paths(&plan), ["a", "b"], "with b the goal is met");
    assert_eq!(plan[1].gain, 10);
}

#[test]
fn empty_directories_go_as_long_as_the_goal_is_not_met() {
    let directory =
        |path: &str| Directory { path: path.to_owned(), modified: NOW - 3 * DAY, changed: 0, allocated_bytes: 4096 };
    let share = Goal { min_free: Some(crate::config::MinFree::Share("10%".parse().unwrap())), ..Goal::default() };
    let full = Figures {
        capacity_bytes: Some(10),
        available_bytes: Some(9),
        inodes: Some(10),
        inodes_free: Some(0),
        ..Figures::default()
    };
    let mut goals = Goals::new(share, &[full]);
    let mut plan = Vec::new();
    take_directories(vec![directory("a"), directory("b")], 0, NOW, &mut goals, &mut plan);
    assert_eq!(paths(&plan), ["a"], "one inode was missing");
    assert!(plan[0].is_directory && plan[0].text == "empty, last changed 3 days ago");
}

#[test]
fn a_rule_about_directories_is_about_settled_ones() {
    let before = |json: &str| NOW - rule(json).scope(NOW).before;
    assert_eq!(before(r#"{"emptyDirectories":["**"]}"#), 600 * SECOND);
    assert_eq!(
        before(r#"{"emptyDirectories":["**"],"maxAge":"1m"}"#),
        60 * SECOND,
        "what is too young is for the host to say"
    );
    assert_eq!(before(r#"{"emptyDirectories":["**"],"maxAge":"2d"}"#), 2 * DAY);
}

/// Removes names one by one on a disk of its own, in which files have identities.
mod against_a_disk {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_group_gets_small_enough_by_whole_files_only(
            names in proptest::collection::vec((0..5_u64, 0..3_u8), 1..14),
            outside in proptest::collection::vec(0..2_u64, 5),
            limit in 0..80_u64,
            keep in proptest::option::of(0..4_u32),
        ) {
            let links = |inode: u64| names.iter().filter(|(other, _)| *other == inode).count() as u64 + outside[usize::try_from(inode).unwrap()];
            let size = |inode: u64| 3 + 7 * inode;
            let files: Vec<File> = names.iter().enumerate().map(|(number, (inode, directory))| {
                // One inode has one age.
                named(&format!("{directory}/{number}"), &format!("i{inode}"), 1 + i64::try_from(*inode).unwrap() % 3, size(*inode), links(*inode))
            }).collect();
            let keeps = keep.map_or_else(String::new, |keep| format!(r#","keepNewest":{keep}"#));
            let json = format!(r#"{{"files":["**"],"maxTotalSize":"{limit}"{keeps}}}"#);
            let chosen = choose(&json, files.clone());
            let gone = |inode: u64| chosen.iter().filter(|choice| choice.file.identity == format!("i{inode}")).count() as u64;
            let here: std::collections::BTreeSet<u64> = names.iter().map(|(inode, _)| *inode).collect();
            let left: u64 = here.iter().filter(|inode| gone(**inode) < links(**inode)).map(|inode| size(*inode)).sum();
            for inode in &here {
                prop_assert!(gone(*inode) == 0 || gone(*inode) == links(*inode), "no file loses a part of its names for a size");
            }
            let all: u64 = here.iter().map(|inode| size(*inode)).sum();
            prop_assert_eq!(chosen.iter().map(|choice| choice.gain).sum::<u64>(), all - left, "what is expected is what goes");
            let kept = here.len() - here.iter().filter(|inode| gone(**inode) > 0).count();
            prop_assert!(kept >= here.len().min(keep.unwrap_or(0) as usize), "the newest files stay");
            if all <= limit {
                prop_assert!(chosen.is_empty());
            }
            if let Some(last) = chosen.last() {
                prop_assert!(left + last.file.allocated_bytes > limit, "not one file more than it takes");
            }
            let mut turned = files;
            turned.reverse();
            prop_assert_eq!(choose(&json, turned), chosen);
        }
    }
}
