use super::{Disk, DiskError, Excess, Measure, Need, Pressure};
use crate::snapshot::Filesystem;

fn disk(name: &str, capacity: u64, available: u64) -> Filesystem {
    Filesystem {
        name: name.to_owned(),
        capacity_bytes: Some(capacity),
        available_bytes: Some(available),
        ..Filesystem::default()
    }
}

#[test]
fn a_filesystem_is_written_as_it_is_read() {
    for (text, disk) in [("images", Disk::Images), ("logs:app", Disk::LogRoot("app".to_owned()))] {
        let json = format!("\"{text}\"");
        assert_eq!(serde_json::from_str::<Disk>(&json).unwrap(), disk);
        assert_eq!(serde_json::to_string(&disk).unwrap(), json);
    }
    for text in ["\"logs:\"", "\"\"", "\"image\"", "1"] {
        assert!(serde_json::from_str::<Disk>(text).is_err(), "{text}");
    }
}

#[test]
fn a_run_begins_above_and_ends_at_until() {
    let pressure = Pressure { above: Some(85), until: Some(70), ..Pressure::default() };
    let begin = |available| pressure.to_begin(&[disk("images", 1000, available)]);
    assert_eq!(begin(150), Need::No { used: 85, measure: Measure::Bytes, bound: 85 });
    assert_eq!(begin(149), Need::Yes);
    let go_on = |available| pressure.to_go_on(&[disk("images", 1000, available)]);
    assert_eq!(go_on(299), Need::Yes);
    assert_eq!(go_on(300), Need::No { used: 70, measure: Measure::Bytes, bound: 70 });
}

#[test]
fn until_alone_also_says_when_to_begin() {
    let pressure = Pressure { until: Some(70), ..Pressure::default() };
    assert_eq!(
        pressure.to_begin(&[disk("images", 100, 30)]),
        Need::No { used: 70, measure: Measure::Bytes, bound: 70 }
    );
    assert_eq!(pressure.to_begin(&[disk("images", 100, 29)]), Need::Yes);
}

#[test]
fn without_bounds_there_is_always_a_need() {
    assert_eq!(Pressure::default().to_begin(&[]), Need::Yes);
    assert_eq!(Pressure::default().to_go_on(&[]), Need::Yes);
    let only_above = Pressure { above: Some(50), ..Pressure::default() };
    assert_eq!(only_above.to_go_on(&[disk("images", 100, 99)]), Need::Yes);
}

#[test]
fn what_cannot_be_measured_is_unknown_and_other_filesystems_do_not_count() {
    let pressure = Pressure { above: Some(50), ..Pressure::default() };
    let unmeasured = Filesystem { name: "images".to_owned(), ..Filesystem::default() };
    assert_eq!(pressure.to_begin(&[unmeasured, disk("containers", 100, 0)]), Need::Unknown);
    assert_eq!(pressure.to_begin(&[disk("images", 0, 0)]), Need::Unknown);
}

#[test]
fn the_fullest_of_several_counts_and_no_size_overflows() {
    let pressure = Pressure { above: Some(50), ..Pressure::default() };
    assert_eq!(pressure.to_begin(&[disk("images", 100, 90), disk("images-2", 100, 10)]), Need::Yes);
    let odd = disk("images", u64::MAX, u64::MAX);
    assert_eq!(pressure.to_begin(&[odd]), Need::No { used: 0, measure: Measure::Bytes, bound: 50 });
    assert_eq!(
        pressure.to_begin(&[disk("images", 1, u64::MAX)]),
        Need::No { used: 0, measure: Measure::Bytes, bound: 50 }
    );
}

#[test]
fn the_fuller_of_bytes_and_inodes_counts() {
    let pressure = Pressure { above: Some(85), until: Some(70), ..Pressure::default() };
    let with = |available, inodes_free| Filesystem {
        inodes: Some(1_000),
        inodes_free: Some(inodes_free),
        ..disk("images", 1_000, available)
    };
    assert_eq!(pressure.to_begin(&[with(870, 0)]), Need::Yes, "13 % of the bytes, and no inode left");
    assert_eq!(pressure.to_begin(&[with(0, 870)]), Need::Yes);
    let no = |used, measure, bound| Need::No { used, measure, bound };
    assert_eq!(pressure.to_begin(&[with(870, 150)]), no(85, Measure::Inodes, 85));
    assert_eq!(pressure.to_begin(&[with(150, 870)]), no(85, Measure::Bytes, 85));
    assert_eq!(pressure.to_go_on(&[with(870, 299)]), Need::Yes);
    assert_eq!(pressure.to_go_on(&[with(870, 300)]), no(70, Measure::Inodes, 70));
    assert_eq!(pressure.to_go_on(&[with(300, 300)]), no(70, Measure::Bytes, 70));
    let without = Filesystem { inodes: None, inodes_free: None, ..with(870, 0) };
    assert_eq!(pressure.to_begin(&[without]), no(13, Measure::Bytes, 85), "btrfs counts none");
    for pair in [[with(870, 870), with(870, 0)], [with(870, 0), with(870, 870)]] {
        assert_eq!(pressure.to_begin(&pair), Need::Yes, "of several the fullest");
    }
}

#[test]
fn what_is_in_use_beyond_the_goal_is_what_has_to_go() {
    let pressure = Pressure { above: Some(85), until: Some(70), ..Pressure::default() };
    let with = |available, inodes_free| Filesystem {
        inodes: Some(200),
        inodes_free: Some(inodes_free),
        ..disk("images", 1_001, available)
    };
    let excess = |bytes, inodes| Some(Excess { bytes, inodes });
    // 700 of 1001 bytes may be in use, and 140 of 200 inodes.
    assert_eq!(pressure.excess(&[with(301, 60)]), excess(0, 0));
    assert_eq!(pressure.excess(&[with(300, 59)]), excess(1, 1));
    assert_eq!(pressure.excess(&[with(0, 0)]), excess(301, 60));
    for pair in [[with(0, 60), with(301, 0)], [with(301, 0), with(0, 60)]] {
        assert_eq!(pressure.excess(&pair), excess(301, 60), "of several the most");
    }
    assert_eq!(pressure.excess(&[disk("containers", 100, 0)]), excess(0, 0), "it is another filesystem");
    assert_eq!(pressure.excess(&[disk("images", u64::MAX, 0)]), excess(u64::MAX - u64::MAX / 10 * 7 - 3, 0));
    assert_eq!(Pressure { until: None, ..pressure }.excess(&[with(0, 0)]), None);
}

#[test]
fn an_excess_is_covered_when_bytes_and_inodes_are() {
    let excess = Excess { bytes: 10, inodes: 2 };
    let mut expected = Excess::default();
    assert!(Excess::default().is_covered_by(expected) && !excess.is_covered_by(expected));
    expected.add(10, 1);
    assert!(!excess.is_covered_by(expected), "the inodes are not");
    expected.add(u64::MAX, 1);
    assert!(excess.is_covered_by(expected));
    assert!(!excess.is_covered_by(Excess { bytes: 9, inodes: 2 }));
}

#[test]
fn the_disk_of_a_log_root_counts_where_it_is_asked_for() {
    let pressure = Pressure { disk: "logs:app".parse().unwrap(), above: Some(50), until: None };
    assert_eq!(
        pressure.to_begin(&[disk("images", 100, 0), disk("logs:app", 100, 90)]),
        Need::No { used: 10, measure: Measure::Bytes, bound: 50 }
    );
    assert_eq!(pressure.to_begin(&[disk("images", 100, 90), disk("logs:app", 100, 0)]), Need::Yes);
    assert_eq!(pressure.to_begin(&[disk("images", 100, 90), disk("logs:apps", 100, 0)]), Need::Unknown);
}

#[test]
fn disks_are_written_as_filesystems_are_named() {
    for text in ["images", "logs:app", "logs:logs:x"] {
        assert_eq!(text.parse::<Disk>().unwrap().to_string(), text);
    }
    for text in ["", "logs:", "logs", "containers", "Images"] {
        assert_eq!(text.parse::<Disk>(), Err(DiskError), "{text}");
    }
}
