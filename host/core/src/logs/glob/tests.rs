use proptest::prelude::*;

use super::*;

fn path(text: &str) -> LogPath {
    text.parse().unwrap()
}

#[track_caller]
fn check(glob: &str, yes: &[&str], no: &[&str]) {
    let glob: Glob = glob.parse().unwrap();
    for text in yes {
        assert!(glob.matches(&path(text)), "{glob:?} should match {text}");
    }
    for text in no {
        assert!(!glob.matches(&path(text)), "{glob:?} should not match {text}");
    }
}

#[test]
fn stars_stay_within_a_component() {
    check("*.log", &["a.log", ".log", "größer.log"], &["a.log.1", "d/a.log", "A.LOG", "log"]);
    check("a*b*c", &["abc", "aXbXbXc", "abbc"], &["abcd", "ab", "ac"]);
    check("*/x", &["a/x"], &["x", "a/b/x"]);
    check("*", &["a", ".hidden"], &["a/b"]);
}

#[test]
fn a_question_mark_is_one_character_or_one_stray_byte() {
    check("?", &["a", "ä", "日", "\\xff"], &["ab", "\\xff\\xfe"]);
    check("*??", &["日本", "a日"], &["日", "a"]);
    check("a?c", &["abc", "aßc", "a\\xc3c"], &["ac", "abbc"]);
}

#[test]
fn two_stars_cross_components() {
    check("**/*.gz", &["a.gz", "d/a.gz", "d/e/a.gz"], &["a.gz/b", "a"]);
    check("d/**", &["d/a", "d/a/b"], &["d", "e/d/a"]);
    check("d/**/x", &["d/x", "d/a/x", "d/a/b/x"], &["x", "d/x/y"]);
    check("**", &["a", "a/b/c"], &[""]);
    check("**/a/**/b/**", &["a/b/c", "x/a/y/b/z/z"], &["a/b", "b/a/c"]);
}

#[test]
fn sets() {
    check("[abc].log", &["a.log", "c.log"], &["d.log", ".log"]);
    check("app-[0-9][0-9]", &["app-07"], &["app-7", "app-x7"]);
    check("[!a-c]", &["d", "日", "\\xff"], &["b"]);
    check("[^a]", &["b"], &["a"]);
    check("[]x]", &["]", "x"], &["a"]);
    check("[a-]", &["a", "-"], &["b"]);
    check("[\\]\\-\\\\]", &["]", "-", "\\\\"], &["a"]);
    check("[ä-ö]", &["ö"], &["a", "\\xc3"]);
    check("[\\x80-\\xff]", &["\\xff"], &["ä"]);
}

#[test]
fn escapes_are_those_of_paths_and_more() {
    check("\\*\\?\\[x\\]", &["*?[x]"], &["ab[x]", "*?x"]);
    check("a\\\\b", &["a\\\\b"], &["ab"]);
    check("\\xff*\\x0a", &["\\xff\\x0a", "\\xffx\\x0a"], &["ff"]);
    check("\\xc3\\xa4", &["ä"], &["\\xc3"]);
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() {
    for (text, words) in [
        ("", "write ** for everything"),
        ("/var/log/*", "from the log root on"),
        ("a//b", "empty component"),
        ("a/", "empty component"),
        ("../x", "no listed path has"),
        ("a**", "must stand alone"),
        ("**.log", "must stand alone"),
        ("[abc", "has no ]"),
        ("[", "has no ]"),
        ("[]", "has no ]"),
        ("[a/b]", "has no ]"),
        ("[z-a]", "backwards"),
        ("\\n", "a backslash must stand before"),
        ("\\xFF", "a backslash must stand before"),
        ("a\\", "a backslash must stand before"),
        ("[\\q]", "a backslash must stand before"),
    ] {
        let error = text.parse::<Glob>().unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!("a".repeat(4097).parse::<Glob>().is_err());
    assert!(["a"; 63].join("/").parse::<Glob>().is_ok());
    assert!(["a"; 64].join("/").parse::<Glob>().is_err());
    assert!(["**"; 63].join("/").parse::<Glob>().unwrap().matches(&path("a")));
}

#[test]
fn hostile_globs_take_bounded_time() {
    let glob: Glob = "*a".repeat(2_000).parse().unwrap();
    assert!(!glob.matches(&path(&"a".repeat(255))));
    let glob: Glob = format!("{}x", "**/*a*/".repeat(31)).parse().unwrap();
    assert!(!glob.matches(&path(&vec!["a"; 2_000].join("/"))));
}

/// The same language by trying everything.
fn slow(glob: &[&[u8]], path: &[&[u8]]) -> bool {
    match (glob, path) {
        ([], rest) => rest.is_empty(),
        ([b"**"], rest) => !rest.is_empty(),
        ([b"**", others @ ..], rest) => slow(others, rest) || (!rest.is_empty() && slow(glob, &rest[1..])),
        ([one, others @ ..], [name, rest @ ..]) => slow_name(one, name) && slow(others, rest),
        _ => false,
    }
}

fn slow_name(glob: &[u8], name: &[u8]) -> bool {
    match (glob, name) {
        ([], []) => true,
        ([b'*', others @ ..], _) => slow_name(others, name) || (!name.is_empty() && slow_name(glob, &name[1..])),
        ([b'?', others @ ..], [_, rest @ ..]) => slow_name(others, rest),
        ([one, others @ ..], [byte, rest @ ..]) => one == byte && slow_name(others, rest),
        _ => false,
    }
}

proptest! {
    #[test]
    fn agrees_with_trying_everything(
        glob in prop::collection::vec(prop_oneof!["[ab?*]{1,4}".prop_filter("two stars", |text| !text.contains("**")), Just("**".to_owned())], 1..5),
        path in prop::collection::vec("[ab]{1,4}", 1..5),
    ) {
        let parsed: Glob = glob.join("/").parse().unwrap();
        let bytes = |parts: &'_ [String]| parts.iter().map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>();
        let (glob, names) = (bytes(&glob), bytes(&path));
        let (glob, names): (Vec<&[u8]>, Vec<&[u8]>) = (glob.iter().map(Vec::as_slice).collect(), names.iter().map(Vec::as_slice).collect());
        prop_assert_eq!(parsed.matches(&path.join("/").parse().unwrap()), slow(&glob, &names));
    }

    #[test]
    fn a_listed_path_with_its_wildcards_escaped_is_a_glob_for_it(names in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"*?[]!-\\\xff\xc3\xa4\nab"[..]), 1..6), 1..4)) {
        let path = LogPath::from_bytes(&names.join(&b'/')).unwrap();
        let mut text = path.to_string();
        for wildcard in ["*", "?", "["] {
            text = text.replace(wildcard, &format!("\\{wildcard}"));
        }
        let glob: Glob = text.parse().unwrap();
        prop_assert!(glob.matches(&path), "{} {}", text, path);
        let other = LogPath::from_bytes(&[path.as_bytes(), b"x"].concat()).unwrap();
        prop_assert!(!glob.matches(&other));
    }

    #[test]
    fn nothing_makes_it_panic(text in "[*?\\[\\]!^\\-\\\\x0-9a-f/äß.]{0,20}", path in "[a-f0-9äß*/]{1,20}") {
        if let (Ok(glob), Ok(path)) = (text.parse::<Glob>(), path.parse::<LogPath>()) {
            let _ = glob.matches(&path);
        }
    }
}
