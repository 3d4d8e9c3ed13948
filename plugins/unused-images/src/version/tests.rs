use std::cmp::Ordering;

use super::{Version, natural};

/// A small generator of numbers, the same at every run.
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

#[test]
fn tags_that_are_versions_are_ordered() {
    let oldest_first = [
        "0",
        "0.0.1",
        "v0.1",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc9",
        "1.0.0-rc10",
        "1",
        "1.0.0_5",
        "1.0.0+40",
        "1.0.0.1",
        "V1.2",
        "v1.10.0-alpine_3",
        "1.10",
        "2024.01.05",
        "2024.1.10",
        "18446744073709551615",
    ];
    let versions: Vec<_> = oldest_first.iter().map(|tag| Version::parse(tag).unwrap()).collect();
    for (i, a) in versions.iter().enumerate() {
        for (j, b) in versions.iter().enumerate() {
            assert_eq!(a.compare(b), i.cmp(&j), "{} {}", oldest_first[i], oldest_first[j]);
        }
    }
    let equal = |a, b| Version::parse(a).unwrap().compare(&Version::parse(b).unwrap()) == Ordering::Equal;
    assert!(equal("v1.2", "1.2.0") && equal("1", "1.0.0.0"));
}

#[test]
fn other_tags_are_not_versions() {
    for tag in [
        "",
        "v",
        "latest",
        "vv1",
        "1.",
        ".1",
        "1..2",
        "1.2.3.4.5",
        "1.2.3-",
        "1.2.3_",
        "1.2.3-rc_",
        "7e12abc",
        "1.x",
        "-1",
        "+1",
        "18446744073709551616",
        "99999999999999999999999999999",
        "br-1.2",
        "1.2 ",
        "１",
    ] {
        assert!(Version::parse(tag).is_none(), "{tag}");
    }
}

#[test]
fn the_order_is_that_of_the_semver_crate() {
    let mut next = numbers(7);
    let mut any = || {
        let mut text = format!("{}.{}.{}", next(3), next(3), next(12));
        for (index, _) in (0..next(4)).enumerate() {
            text.push(if index == 0 { '-' } else { '.' });
            // Letters or digits, not both: that is where the orders differ on purpose.
            text.push_str(&if next(2) == 0 {
                next(15).to_string()
            } else {
                ["rc", "alpha", "b", "-"][usize::try_from(next(4)).unwrap()].into()
            });
        }
        text
    };
    for _ in 0..20_000 {
        let (a, b) = (any(), any());
        let expected = semver::Version::parse(&a).unwrap().cmp(&semver::Version::parse(&b).unwrap());
        assert_eq!(Version::parse(&a).unwrap().compare(&Version::parse(&b).unwrap()), expected, "{a} {b}");
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
    let words: Vec<String> = (0..60)
        .map(|_| (0..next(5)).map(|_| char::from(b"0019a-"[usize::try_from(next(6)).unwrap()])).collect())
        .collect();
    for a in &words {
        for b in &words {
            assert_eq!(natural(a, b), natural(b, a).reverse());
            assert_eq!(natural(a, b) == Ordering::Equal, a == b);
            for c in &words {
                if natural(a, b).is_lt() && natural(b, c).is_lt() {
                    assert!(natural(a, c).is_lt(), "{a} {b} {c}");
                }
            }
        }
    }
}
