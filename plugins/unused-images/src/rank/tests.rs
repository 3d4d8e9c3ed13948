use std::cmp::Ordering::{self, Equal, Greater, Less};

use super::{Rank, Series};
use crate::parts::natural;

fn of(tag: &str) -> Rank<'_> {
    Rank::of_tag(tag, None)
}

/// What is known of two tags, asked both ways.
fn known(a: &str, b: &str) -> Option<Ordering> {
    let order = of(a).known(&of(b));
    assert_eq!(of(b).known(&of(a)), order.map(Ordering::reverse), "{b} {a}");
    let total = of(a).total(&of(b));
    assert!(order.is_none_or(|order| order == total), "{a} {b}: the total order says {total:?}");
    order
}

/// A small generator of numbers, the same at every run.
fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    }
}

#[test]
fn tags_of_real_projects_are_ordered() {
    for oldest_first in [
        // postgres, golang, python
        &["16.3", "17beta1", "17beta2", "17rc1", "17.0", "17.1", "18alpha1"][..],
        &["1.21.5", "1.22rc1", "1.22.0-rc2", "1.22.0", "1.22.10", "1.23beta1"],
        &["3.12.1", "3.13.0a6", "3.13.0b1", "3.13.0b10", "3.13.0rc1", "3.13.0", "3.14.0a1"],
        &["1.0.dev5", "1.0", "2.0a3", "2.0b1", "2.0"],
        &["2.0a3", "2.0b1", "2.0c1", "2.0.0"],
        // k3s, rke2, geth
        &["v1.28.2-k3s9", "v1.28.3-rc1-k3s1", "v1.28.3-rc2-k3s1", "v1.28.3-k3s1", "v1.28.3-k3s2", "v1.28.4-rc1-k3s1"],
        &["v1.28.3-rc1-rke2r1", "v1.28.3-rke2r1", "v1.28.3-rke2r10"],
        &["1.13.13", "1.13.14-0.1.0-rc.1", "1.13.14-0.1.0-rc.2", "1.13.14-0.1.0", "1.13.14-0.1.1-rc.1", "1.13.15"],
        // redis, node, java, JBoss, dotnet, bitnami
        &["6.2.14-alpine3.18", "7.2-rc1-alpine", "7.2.4-alpine3.18", "7.2.4-alpine3.19", "8-rc1"],
        &["20.9.0-bookworm", "20.10.0-slim", "21.0.0", "22"],
        &["11.0.21_9-jdk", "11.0.21_10-jdk", "17.0.9_9-jdk", "21_35-jdk", "22-ea-30", "22-ea-31", "22.0.1"],
        &["29.0.1.Final", "30.0.0.Alpha1", "30.0.0.Beta1", "30.0.0.CR1", "30.0.0.Final"],
        &["8.0.1", "9.0.0-preview.7", "9.0.0-preview.10", "9.0.0"],
        &["1.2.3-debian-11-r9", "1.2.3-debian-11-r10", "1.2.3-debian-12-r0", "1.2.4-debian-12-r0"],
        // Semantic versions, builds, git describe, nightlies of go
        &["1.0.0-alpha.1", "1.0.0-alpha.2", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0"],
        &["1.0.0-rc9", "1.0.0-rc10", "1.0.0"],
        &["1.2.3-rc1", "1.2.3-9", "1.2.3-10", "1.2.4-1"],
        &["1.2.3_build.9", "1.2.3_build.10"],
        &["v1.2.3-14-g2414721", "v1.2.3-15-gabcdef0", "v1.2.4-1-g0000001"],
        &["v0.0.0-20240131123000-abcdef123456", "v0.0.0-20240131123001-123456abcdef"],
        &["57-4e91700", "58-917005a", "100-0123456"],
        // With a beginning that they share
        &["chart-1.9.0", "chart-1.10.0-rc1", "chart-1.10.0", "chart-v1.11.0"],
        &["build-9", "build-10", "build-0011"],
        &["amd64-1.9.0", "amd64-1.10.0"],
        // Dates
        &["20231231", "20240131", "2024-02-01", "20240202-1", "2024-02-02-2", "20240203"],
        &["20240131123000", "20240131123001", "20240201000000"],
        &["v20250310-7c8c4a3d", "v20250512-df8de77b"],
        &["jammy-20240111", "jammy-20240125"],
        &["RELEASE.2024-01-31T20-20-33Z", "RELEASE.2024-01-31T20-20-34Z", "RELEASE.2024-02-01T00-00-00Z"],
        &["2023.12.31", "2024.01.05", "2024.1.10", "2024.2"],
        &["22.04", "23.10", "24.04.1"],
    ] {
        for (i, a) in oldest_first.iter().enumerate() {
            for (j, b) in oldest_first.iter().enumerate() {
                assert_eq!(known(a, b), if i == j { None } else { Some(i.cmp(&j)) }, "{a} {b}");
            }
        }
    }
}

#[test]
fn what_tags_do_not_say_is_unknown() {
    for (a, b) in [
        // Names that move, other variants, other machines.
        ("16", "16.3"),
        ("1.27", "1.27.4"),
        ("1.27", "1.27-alpine"),
        ("1.27.4", "1.27.4-alpine"),
        ("1.27.4-alpine3.19", "1.27.4-bookworm"),
        ("1.27.4-alpine", "1.27.4-alpine3.19"),
        ("1.27.4-amd64", "1.27.4-arm64"),
        ("1.22rc1", "1.22rc1-alpine3.19"),
        ("20-dev", "20"),
        ("1.0.x", "1.0.3"),
        // The same version.
        ("v1.2.3", "1.2.3"),
        ("1.2.3", "1.2.03"),
        ("17beta1", "17.0.0-beta1"),
        // To some a revision is newer than what it revises, to others older.
        ("1.2.3", "1.2.3-1"),
        ("1.0.post1", "1.0"),
        ("1.2.3", "1.2.3_5"),
        // Kinds of pre-releases.
        ("1.0.0-SNAPSHOT", "1.0.0-rc1"),
        ("1.0.0-rc", "1.0.0-rc2"),
        ("1.0.0-alpha.1", "1.0.0-alpha.beta"),
        ("8u392-b08-jdk", "8u402-b06-jdk"),
        // Hashes, whatever their digits are.
        ("1.2.3-4e91700", "1.2.3-5e91700"),
        ("1.2.3-1234567", "1.2.3-2345678"),
        ("1.2.3-g1234567-2", "1.2.3-gabcdef0-3"),
        ("sha-ad132f5", "sha-bd132f5"),
        ("4e91700", "5e91700"),
        ("1b23456", "2b23456"),
        ("17a1234", "18a1234"),
        ("4e9170", "5e9170"),
        ("main-4e91700-1700000000", "main-5e91700-1700000001"),
        ("main-1234567-1700000000", "main-2345678-1700000001"),
        ("master-1700000000-abc123", "master-1700000001-abc123"),
        ("0123456789abcdef0123456789abcdef01234567", "1123456789abcdef0123456789abcdef01234567"),
        // Too many numbers, other beginnings, a date beside a version.
        ("1.2.3.4.5", "1.2.3.4.6"),
        ("1.2.3.4.5", "2.0"),
        ("jammy-20240125", "noble-20240225"),
        ("chart-1.0", "2.0"),
        ("20240131", "1.4.0"),
        ("20240131", "20240131123000"),
        ("202401311230", "20240131123001"),
        ("2024-13-01", "2024-14-01"),
        ("latest", "stable"),
        ("latest", "1.0"),
        ("edge", "7"),
        ("", "1"),
        ("1.", "2."),
        ("1..2", "1..3"),
        ("1.2.3-", "1.2.4-"),
        ("１", "２"),
    ] {
        assert_eq!(known(a, b), None, "{a} {b}");
    }
}

#[test]
fn leading_zeros_count_by_value_and_numbers_have_no_limit() {
    assert_eq!(known("007", "8"), Some(Less));
    assert_eq!(known("build-00010", "build-9"), Some(Greater));
    assert_eq!(known("1.99999999999999999999999998", "1.99999999999999999999999999"), Some(Less));
    assert_eq!(known("18446744073709551616", "18446744073709551617"), Some(Less));
    let long = format!("1.{}", "9".repeat(300));
    assert_eq!(of(&long).series(), Series::FirstSeen);
}

#[test]
fn a_long_number_may_be_a_hash() {
    for (tag, long, padded) in [
        ("917005", true, false),
        ("1234567", true, false),
        ("0012345", true, true),
        ("sha-1234567", true, false),
        ("2024", true, false),
        ("123", false, false),
        ("007", false, true),
        ("20240131", false, false),
        ("1234567.1", false, false),
        ("1234567-1", false, false),
    ] {
        assert_eq!((of(tag).may_be_hash(), of(tag).is_padded() && tag != "1234567-1"), (long, padded), "{tag}");
    }
}

#[test]
fn images_that_rank_by_time_need_one() {
    let seen = |tag, time| Rank::first_seen(tag, time);
    let known = |a: &Rank<'_>, b: &Rank<'_>| {
        assert_eq!(a.known(b), b.known(a).map(Ordering::reverse));
        a.known(b)
    };
    assert_eq!(known(&seen(Some("b"), Some(1)), &seen(Some("a"), Some(2))), Some(Less));
    assert_eq!(known(&seen(Some("b"), Some(1)), &seen(Some("a"), Some(1))), None, "seen in the same run");
    assert_eq!(known(&seen(Some("b"), None), &seen(Some("a"), Some(1))), None);
    assert_eq!(known(&seen(Some("b"), None), &seen(Some("a"), None)), None);
    assert_eq!(known(&seen(None, Some(9)), &seen(Some("a"), None)), Some(Less), "without a tag");
    assert_eq!(known(&seen(None, Some(9)), &of("1.0")), Some(Less));
    assert_eq!(known(&seen(None, Some(9)), &seen(None, Some(8))), Some(Greater));
    assert_eq!(known(&seen(None, Some(9)), &seen(None, None)), None);
}

#[test]
fn the_order_agrees_with_semantic_versioning() {
    let mut next = numbers(7);
    let mut any = || {
        let mut text = format!("{}.{}.{}", next(3), next(2), next(3));
        let word = ["-alpha", "-beta", "-rc", ""][next(4)];
        text.push_str(word);
        for index in 0..next(3) {
            text.push(if index == 0 && word.is_empty() { '-' } else { '.' });
            text.push_str(&next(15).to_string());
        }
        text
    };
    let mut decided = 0;
    for _ in 0..20_000 {
        let (a, b) = (any(), any());
        // A number right after the dash is a revision of a release here, and a pre-release there.
        if let Some(order) =
            known(&a, &b).filter(|_| a.contains(char::is_alphabetic) == b.contains(char::is_alphabetic))
        {
            let expected = semver::Version::parse(&a).unwrap().cmp(&semver::Version::parse(&b).unwrap());
            assert_eq!(order, expected, "{a} {b}");
            decided += 1;
        }
    }
    assert!(decided > 10_000, "{decided}");
}

/// Tags of every kind, many of them alike.
fn tags() -> Vec<String> {
    let pieces = [
        "1",
        "2",
        "10",
        "17",
        ".0",
        ".1",
        ".3",
        "-1",
        "-9",
        "rc1",
        "-rc1",
        "b1",
        "-beta.2",
        "-alpine3.19",
        "-k3s1",
        "v",
        "build-",
        "-4e91700",
        "20240131",
        "20240201",
        "2024-01-31",
        "-1234567",
        ".dev5",
        "_5",
        "-SNAPSHOT",
        "latest",
        "-rc",
        "0",
    ];
    let mut next = numbers(11);
    let mut tags: Vec<String> = (0..55).map(|_| (0..=next(4)).map(|_| pieces[next(pieces.len())]).collect()).collect();
    tags.extend(
        ["16", "16.3", "17beta1", "1.2", "1.2-1", "1.2-rc1", "1.2.0-rc1", "1.2.3", "1.2.0.0"].map(str::to_owned),
    );
    tags
}

#[test]
fn the_known_order_is_an_order_and_the_total_one_extends_it() {
    let tags = tags();
    let mut ranks = Vec::new();
    for (place, tag) in tags.iter().enumerate() {
        ranks.push(Rank::of_tag(tag, [None, Some(1), Some(2)][place % 3]));
    }
    for (place, time) in [None, Some(1), Some(2)].into_iter().enumerate() {
        ranks.push(Rank::first_seen(None, time));
        ranks.push(Rank::first_seen(Some(&tags[place]), time));
    }
    for a in &ranks {
        for b in &ranks {
            let order = a.known(b);
            assert_eq!(b.known(a), order.map(Ordering::reverse), "{a:?} {b:?}");
            assert_eq!(b.total(a), a.total(b).reverse(), "{a:?} {b:?}");
            assert!(order.is_none_or(|order| order != Equal && order == a.total(b)), "{a:?} {b:?}");
            for c in &ranks {
                if order == Some(Less) && b.known(c) == Some(Less) {
                    assert_eq!(a.known(c), Some(Less), "{a:?} {b:?} {c:?}");
                }
                if a.total(b).is_le() && b.total(c).is_le() {
                    assert!(a.total(c).is_le(), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }
}

#[test]
fn natural_order() {
    let sorted = [
        "",
        "1",
        "01",
        "2",
        "10",
        "a",
        "build-9",
        "build-10",
        "build-010a",
        "build-11",
        "build-x",
        "c99999999999999999999998",
        "c99999999999999999999999",
    ];
    let mut shuffled = sorted;
    shuffled.reverse();
    shuffled.sort_by(|a, b| natural(a, b));
    // Leading zeros decide last, as bytes: 01 before 1.
    assert_eq!(shuffled[..4], ["", "01", "1", "2"]);
    assert_eq!(shuffled[4..], sorted[4..]);
}

#[test]
fn natural_order_is_total() {
    let mut next = numbers(11);
    let words: Vec<String> = (0..60).map(|_| (0..next(5)).map(|_| char::from(b"0019a-"[next(6)])).collect()).collect();
    for a in &words {
        for b in &words {
            assert_eq!(natural(a, b), natural(b, a).reverse());
            assert_eq!(natural(a, b) == Equal, a == b);
            for c in &words {
                if natural(a, b).is_lt() && natural(b, c).is_lt() {
                    assert!(natural(a, c).is_lt(), "{a} {b} {c}");
                }
            }
        }
    }
}
