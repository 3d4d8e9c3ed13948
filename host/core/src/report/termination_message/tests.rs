use super::*;

fn brief(errors: usize, refusals: usize, plugins: usize) -> Brief {
    let largest = Totals { removed: usize::MAX, size_removed_bytes: u64::MAX, ..Totals::default() };
    Brief {
        outcome: daemon::RunSummary {
            result: daemon::RunResult::SomeFailed,
            message: Some(shown(&"é".repeat(500))),
            images: Some(Totals { filesystem_freed_bytes: Some(i64::MIN), ..largest }),
            logs: Some(Totals { filesystem_freed_bytes: Some(i64::MIN), ..largest }),
        },
        plugins: (0..plugins)
            .map(|at| BriefPlugin { name: format!("plugin-{at}"), digest: Some(format!("sha256:{}", "0".repeat(64))) })
            .collect(),
        errors: (0..errors)
            .map(|at| BriefError { message: shown(&format!("{at} {}", "\"\u{1f600}".repeat(90))), count: errors - at })
            .collect(),
        refusals: (0..refusals).map(|at| (format!("Refusal{at}"), at)).collect(),
        planned: None,
        shortened: false,
    }
}

/// The same of a dry run.
fn dry(errors: usize, refusals: usize, plugins: usize) -> Brief {
    let planned = Planned { size_bytes: u64::MAX, repositories: repositories(20) };
    Brief { planned: Some(planned), ..brief(errors, refusals, plugins) }
}

/// So many repositories, with names as long as they are shown, in an order that is not that of their sizes.
fn repositories(number: usize) -> Vec<PlannedRepository> {
    let repository = |at: usize| PlannedRepository {
        name: format!("{at:02}{}", "r".repeat(300)),
        count: at + 1,
        size_bytes: u64::try_from(at).unwrap(),
    };
    (0..number).map(repository).collect()
}

#[test]
fn what_fits_is_read_again_as_it_was() {
    for brief in [brief(3, 5, 2), dry(0, 5, 2)] {
        let brief = brief.cleaned();
        let text = brief.to_message();
        assert!(text.len() <= MAX_BRIEF);
        assert_eq!(Brief::from_message(&text).unwrap(), brief);
    }
}

#[test]
fn whatever_there_is_it_fits_and_the_totals_stay() {
    for (errors, refusals, plugins) in [(40, 5, 2), (4, 900, 2), (0, 0, 64), (900, 900, 64), (1, 0, 0)] {
        for whole in [brief(errors, refusals, plugins), dry(errors, refusals, plugins)] {
            let whole = whole.cleaned();
            let text = whole.to_message();
            assert!(text.len() <= MAX_BRIEF, "{errors} {refusals} {plugins}: {}", text.len());
            let read = Brief::from_message(&text).unwrap();
            assert_eq!((read.outcome.images, read.outcome.logs), (whole.outcome.images, whole.outcome.logs));
            assert_eq!(read.shortened, read != whole, "it says whether something is missing");
            if plugins <= 2 && errors > 0 {
                assert_eq!(read.errors.first(), whole.errors.first(), "the most frequent error stays longest");
            }
        }
    }
}

#[test]
fn what_is_planned_is_kept_by_size_and_its_sum_stays_longest() {
    let whole = dry(0, 0, 0).cleaned().planned.unwrap();
    let names: Vec<&str> = whole.repositories.iter().map(|repository| &repository.name[..2]).collect();
    assert_eq!(names, ["19", "18", "17", "16", "15", "14", "13", "12", "11", "10"], "the largest ten");
    assert_eq!((whole.size_bytes, whole.repositories[0].name.chars().count()), (1 << 50, 201));
    for (errors, refusals, plugins, left) in
        [(0, 0, 0, 10), (12, 0, 0, 5), (4, 900, 2, 3), (0, 0, 64, 1), (900, 900, 64, 1)]
    {
        let message = dry(errors, refusals, plugins).to_message();
        let planned = Brief::from_message(&message).unwrap().planned.unwrap();
        assert_eq!(planned.size_bytes, whole.size_bytes, "{errors} {refusals} {plugins}");
        assert_eq!(planned.repositories, whole.repositories[..left], "{errors} {refusals} {plugins}");
    }
    for (one, other) in [(0, 1), (1, 0)] {
        let same = ["a", "b"].map(|name| PlannedRepository { name: name.to_owned(), count: 1, size_bytes: 1 });
        let planned = Planned { size_bytes: 0, repositories: vec![same[one].clone(), same[other].clone()] }.cleaned();
        assert_eq!(planned.repositories, same, "in whatever order they were");
    }
}

#[test]
fn foreign_words_are_told_from_ours() {
    let deep = format!("{{\"result\":\"Done\",\"errors\":{}", "[".repeat(3_000));
    let nested = format!("{{\"result\":\"Done\",\"x\":{}1{}}}", "[".repeat(1_000), "]".repeat(1_000));
    let totals = |field: &str| format!("{{\"result\":\"Done\",\"logs\":{{\"filesystemFreedBytes\":{field}}}}}");
    let numbers = ["1e400", "-1e400", "NaN", "Infinity", "1.5", "\"1\"", "18446744073709551616", "0x10"].map(totals);
    let foreign = ["", "panic", "{}", "{\"result\":\"Maybe\"}", "[]", "null", &deep, &nested];
    for text in foreign.into_iter().chain(numbers.iter().map(String::as_str)) {
        assert!(Brief::from_message(text).is_err(), "{text}");
    }
    assert!(
        Brief::from_message(&totals("-7"))
            .is_ok_and(|brief| brief.outcome.logs.unwrap().filesystem_freed_bytes == Some(-7))
    );
}

#[test]
fn what_is_longer_than_a_termination_message_is_none() {
    let padded = |length: usize| format!("{{\"result\":\"Done\"{}}}", " ".repeat(length - 17));
    assert_eq!(padded(MAX_BRIEF).len(), MAX_BRIEF);
    assert!(Brief::from_message(&padded(MAX_BRIEF)).is_ok());
    assert!(Brief::from_message(&padded(MAX_BRIEF + 1)).is_err());
    assert!(Brief::from_message(&padded(8 << 20)).is_err());
}

#[test]
fn a_report_is_cleaned_on_its_way_in_and_on_its_way_out() {
    let dirty = Brief {
        plugins: (0..70)
            .map(|at| BriefPlugin { name: format!("p{at}\u{202e}"), digest: Some("sha256:00".to_owned()) })
            .collect(),
        errors: vec![BriefError { message: "\u{1b}[2J".repeat(90), count: usize::MAX }],
        refusals: ["InUse", "in use", "", &"x".repeat(65), "a\nb"].map(|code| (code.to_owned(), usize::MAX)).into(),
        ..brief(0, 0, 0)
    };
    let clean = dirty.clone().cleaned();
    assert_eq!(clean.clone().cleaned(), clean, "cleaning twice is cleaning once");
    let totals = clean.outcome.images.unwrap();
    assert_eq!((totals.removed, totals.size_removed_bytes), (MOST, 1 << 50));
    assert_eq!(totals.filesystem_freed_bytes, Some(-1 << 50));
    assert_eq!(clean.outcome.logs, Some(totals), "the totals of every kind");
    assert_eq!((clean.plugins.len(), clean.plugins[3].name.as_str()), (64, "p3\\u{202e}"));
    assert!(clean.plugins.iter().all(|plugin| plugin.digest.is_none()));
    assert_eq!(clean.refusals, BTreeMap::from([("InUse".to_owned(), MOST)]));
    assert_eq!((clean.errors[0].message.chars().count(), clean.errors[0].count), (201, MOST));
    // The message of a pod, and one that another writer puts in its place.
    let out = Brief { plugins: Vec::new(), ..dirty.clone() };
    assert_eq!(Brief::from_message(&out.to_message()).unwrap(), out.clone().cleaned());
    assert_eq!(Brief::from_message(&out.to_json()).unwrap(), out.cleaned());
}
