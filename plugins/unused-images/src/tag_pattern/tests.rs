use super::TagPattern;

/// The numbers that a pattern picks, as texts.
fn pick<'a>(pattern: &str, tag: &'a str) -> Option<Vec<&'a str>> {
    let spans = TagPattern::parse(pattern).unwrap().pick(tag)?;
    Some(spans.iter().filter(|span| !span.is_empty()).map(|span| span.of(tag)).collect())
}

#[test]
fn a_number_is_picked_where_the_pattern_fits_first() {
    for (pattern, tag, picked) in [
        ("main-*-#", "main-4e91700-1700000000", Some(&["1700000000"][..])),
        ("main-*-#", "main-1234567-1700000000", Some(&["1700000000"])),
        ("main-*-#", "main-a-b-7", Some(&["7"])),
        ("main-*-#", "main-1700000000", None),
        ("main-*-#", "main-a-7x", None),
        ("main-*-#", "dev-a-7", None),
        ("master-#-*", "master-1700000000-abc123", Some(&["1700000000"])),
        ("master-#-*", "master-x-1-2", None),
        ("*-#", "a-12-34", Some(&["34"])),
        ("*-#*", "a-12-34", Some(&["12"])),
        ("*-#-*", "a-x-12-34-y", Some(&["12"])),
        ("#", "42", Some(&["42"])),
        ("*#", "abc123", Some(&["123"])),
        ("*#*", "abc123def456", Some(&["123"])),
        ("*#", "abc123def456", Some(&["456"])),
        ("#-#-#", "2024-01-31", Some(&["2024", "01", "31"])),
        ("*.#.#", "a.1.2.3", Some(&["2", "3"])),
        ("v?.#", "v1.20", Some(&["20"])),
        ("v?.#", "v12.20", None),
        ("r#??", "r9ab", Some(&["9"])),
        ("r#??", "r91b", None),
        ("**#", "x5", Some(&["5"])),
        ("#", "", None),
        ("#", "１", None),
    ] {
        assert_eq!(pick(pattern, tag).as_deref(), picked, "{pattern} {tag}");
    }
    assert_eq!(pick("*#", &format!("{}1", "a".repeat(255))), None, "no runtime has such tags");
}

#[test]
fn a_pattern_that_cannot_match_is_refused() {
    for (pattern, problem) in [
        ("", "must be a tag"),
        ("a:b-#", "must be a tag"),
        ("main (\\d+)", "must be a tag"),
        ("main-#-é", "must be a tag"),
        ("main-*", "picks no number; write # where it stands"),
        ("#.#.#.#.#", "picks 5 numbers; at most 4 are compared"),
        ("##", "can match no tag"),
        ("1#", "can match no tag"),
        ("#0", "can match no tag"),
    ] {
        let error = TagPattern::parse(pattern).unwrap_err();
        assert!(error.starts_with(problem), "{pattern}: {error}");
    }
    assert!(TagPattern::parse(&format!("#{}", "a".repeat(128))).is_err());
    assert!(TagPattern::parse(&format!("#{}", "a".repeat(127))).is_ok());
}

#[test]
fn many_wildcards_take_no_time() {
    let pattern = format!("{}#b", "*a".repeat(60));
    assert_eq!(pick(&pattern, &"a1".repeat(127)), None);
}
