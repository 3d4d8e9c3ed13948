use super::*;
use crate::goal::Figures;

const DAY: i64 = 86_400 * SECOND;
const NOW: i64 = 1_000 * DAY;

/// A closed file of so many bytes that changed so many days ago.
fn file(path: &str, days: i64, allocated_bytes: u64) -> File {
    File {
        modified: NOW - days * DAY,
        root: 0,
        path: path.to_owned(),
        allocated_bytes,
        hard_links: 1,
        open: Open::No,
        is_ahead: false,
    }
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
    let held_open = survey.choose(goals, &mut plan);
    (plan, held_open)
}

fn choose(json: &str, files: Vec<File>) -> Vec<Choice> {
    choose_with(&rule(json), files, &mut Goals::new(None, &[Figures::default(); 3])).0
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
    let goals = || Goals::new(None, &[Figures::default()]);
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
    let min_free = Some(crate::config::MinFree::Bytes("1000".parse().unwrap()));
    let figures = |available| Figures { available_bytes: Some(available), ..Figures::default() };
    let files = || {
        vec![file("a", 12, 100), File { hard_links: 2, ..file("b", 11, 100) }, file("c", 10, 100), file("d", 9, 100)]
    };
    let old = rule(r#"{"files":["**"],"maxAge":"7d"}"#);
    let chosen = |available| {
        let mut goals = Goals::new(min_free, &[figures(available)]);
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
    let mut goals = Goals::new(None, &[Figures::default()]);
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
