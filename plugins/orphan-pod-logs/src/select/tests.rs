use super::*;

const HOUR: i64 = 3_600_000_000_000;
const NOW: i64 = 1_000 * HOUR;
const GONE: &str = "0f1e2d3c-4b5a-6978-8695-a4b3c2d1e0f0";
const OTHER: &str = "22222222-4b5a-6978-8695-a4b3c2d1e0f0";
const THERE: &str = "11111111-4b5a-6978-8695-a4b3c2d1e0f0";

fn directory<'a>(path: &'a str, uid: &'a str) -> Entry<'a> {
    Entry {
        path,
        is_directory: true,
        pod_uid: Some(uid),
        modified: NOW - 5 * HOUR,
        changed: NOW - 5 * HOUR,
        allocated_bytes: 4_096,
        hard_links: 2,
        identity: "",
        is_open: false,
        is_hidden: false,
    }
}

fn file<'a>(path: &'a str, uid: &'a str) -> Entry<'a> {
    Entry { is_directory: false, allocated_bytes: 100, hard_links: 1, ..directory(path, uid) }
}

fn choose(entries: &[Entry<'_>]) -> (Vec<Choice>, Kept) {
    let pods = HashSet::from([THERE.to_owned()]);
    let mut survey = Survey::new(&pods, NOW, HOUR);
    for entry in entries {
        survey.look(entry);
    }
    survey.finish()
}

fn paths(entries: &[Entry<'_>]) -> Vec<String> {
    choose(entries).0.into_iter().map(|choice| choice.path).collect()
}

#[test]
fn directories_of_pods_that_are_gone_go_as_a_whole() {
    let (gone, there) = (format!("pods/shop_a_{GONE}"), format!("pods/shop_b_{THERE}"));
    let (main, log) = (format!("{gone}/main"), format!("{gone}/main/0.log"));
    let entries = [
        Entry { pod_uid: None, ..directory("pods", "") },
        directory(&gone, GONE),
        directory(&main, GONE),
        file(&log, GONE),
        directory(&there, THERE),
    ];
    let expected =
        Choice { path: gone.clone(), text: "its pod is gone; last changed 5 hours ago".to_owned(), bytes: 8_292 };
    assert_eq!(choose(&entries), (vec![expected], Kept::default()));
}

#[test]
fn what_changed_within_the_grace_period_stays_however_deep() {
    let gone = format!("shop_a_{GONE}");
    let log = format!("{gone}/main/0.log");
    let young = |changed| [directory(&gone, GONE), Entry { changed, ..file(&log, GONE) }];
    let written = |modified| [directory(&gone, GONE), Entry { modified, ..file(&log, GONE) }];
    assert!(paths(&written(NOW - HOUR)).is_empty());
    assert!(paths(&young(NOW - HOUR)).is_empty());
    assert!(paths(&young(NOW + HOUR)).is_empty());
    assert_eq!(paths(&young(NOW - HOUR - 1)), [gone.as_str()]);
}

#[test]
fn what_is_open_or_out_of_sight_stays() {
    let gone = format!("shop_a_{GONE}");
    let log = format!("{gone}/main/0.log");
    let open = [directory(&gone, GONE), Entry { is_open: true, ..file(&log, GONE) }];
    assert_eq!(choose(&open), (Vec::new(), Kept { in_use: 1, ahead: 0 }));
    let hidden = [directory(&gone, GONE), Entry { is_hidden: true, ..directory(&log, GONE) }];
    assert_eq!(choose(&hidden), (Vec::new(), Kept::default()));
}

#[test]
fn a_date_ahead_of_the_clock_keeps_no_directory_and_a_change_ahead_of_it_is_told() {
    let gone = format!("shop_a_{GONE}");
    let log = format!("{gone}/main/0.log");
    for modified in [NOW + 1, NOW + 24 * HOUR, i64::MAX] {
        let dated = [directory(&gone, GONE), Entry { modified, ..file(&log, GONE) }];
        assert_eq!(paths(&dated), [gone.as_str()]);
        let itself = [Entry { modified, ..directory(&gone, GONE) }];
        assert_eq!(paths(&itself), [gone.as_str()]);
        let young = [directory(&gone, GONE), Entry { modified, changed: NOW - 1, ..file(&log, GONE) }];
        assert_eq!(choose(&young), (Vec::new(), Kept::default()), "it changed within the grace period");
        let changed = [directory(&gone, GONE), Entry { modified, changed: modified, ..file(&log, GONE) }];
        assert_eq!(choose(&changed), (Vec::new(), Kept { in_use: 0, ahead: 1 }));
    }
}

#[test]
fn only_a_pods_own_directory_counts() {
    let (gone, inside) = (format!("shop_a_{GONE}"), "main/0.log".to_owned());
    // A log root that is itself in a pod's directory shows nothing that could be removed as a whole.
    assert!(paths(&[directory("main", GONE), file(&inside, GONE)]).is_empty());
    assert!(paths(&[file(&gone, GONE)]).is_empty(), "a file of that name");
    assert!(paths(&[Entry { pod_uid: None, ..directory(&gone, "") }]).is_empty());
}

#[test]
fn names_that_begin_alike_are_not_mixed_up() {
    let (one, other) = (format!("shop_a_{GONE}"), format!("shop_a_{GONE}x"));
    let entries = [directory(&one, GONE), Entry { is_open: true, pod_uid: None, ..directory(&other, "") }];
    assert_eq!(paths(&entries), [one.as_str()]);
}

#[test]
fn the_last_directory_of_a_walk_that_ended_early_is_not_judged() {
    let (one, two) = (format!("shop_a_{GONE}"), format!("shop_b_{GONE}"));
    let pods = HashSet::new();
    let mut survey = Survey::new(&pods, NOW, HOUR);
    survey.look(&directory(&one, GONE));
    survey.look(&directory(&two, GONE));
    let (choices, _) = survey.cut_short();
    assert_eq!(choices.len(), 1);
    assert_eq!(choices[0].path, one);
}

#[test]
fn a_file_with_several_names_is_freed_with_the_last_directory_that_has_one() {
    let (one, two) = (format!("shop_a_{GONE}"), format!("shop_b_{OTHER}"));
    let names = [format!("{one}/x"), format!("{one}/y"), format!("{two}/x")];
    let freed = |hard_links| {
        let linked = |path, uid| Entry { hard_links, identity: "8:1", ..file(path, uid) };
        let entries = [
            directory(&one, GONE),
            linked(&names[0], GONE),
            linked(&names[1], GONE),
            directory(&two, OTHER),
            linked(&names[2], OTHER),
        ];
        choose(&entries).0.into_iter().map(|choice| choice.bytes).collect::<Vec<_>>()
    };
    assert_eq!(freed(3), [4_096, 4_196]);
    assert_eq!(freed(4), [4_096, 4_096], "a name lies elsewhere");
    let within = [
        directory(&one, GONE),
        Entry { hard_links: 2, identity: "8:1", ..file(&names[0], GONE) },
        Entry { hard_links: 2, identity: "8:1", ..file(&names[1], GONE) },
    ];
    assert_eq!(choose(&within).0[0].bytes, 4_196);
}

#[test]
fn directories_of_pods_are_counted_gone_or_not() {
    let pods = HashSet::from([THERE.to_owned()]);
    let mut survey = Survey::new(&pods, NOW, HOUR);
    let (gone, there, other) = (format!("shop_a_{GONE}"), format!("shop_b_{THERE}"), "plain".to_owned());
    let main = format!("{gone}/main");
    for entry in [directory(&gone, GONE), directory(&main, GONE), directory(&there, THERE)] {
        survey.look(&entry);
    }
    survey.look(&Entry { pod_uid: None, ..directory(&other, "") });
    assert_eq!(survey.of_pods(), 2);
}
