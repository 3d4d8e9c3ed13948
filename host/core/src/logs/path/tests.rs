use proptest::prelude::*;

use super::*;

fn path(bytes: &[u8]) -> LogPath {
    LogPath::from_bytes(bytes).unwrap()
}

#[test]
fn plain_names_are_themselves() {
    for text in ["", "a", "a/b.log", "größer/日志.log", "a b/-/~", ".hidden/..x", "\u{202e}txt"] {
        assert_eq!(text.parse::<LogPath>().unwrap().to_string(), text);
        assert_eq!(path(text.as_bytes()).to_string(), text);
    }
}

#[test]
fn bytes_that_are_no_text_are_escaped() {
    for (bytes, text) in [
        (&b"a\xffb"[..], "a\\xffb"),
        (b"a\nb", "a\\x0ab"),
        (b"\x7f\x1b[31m", "\\x7f\\x1b[31m"),
        (b"back\\slash", "back\\\\slash"),
        (b"\\x41", "\\\\x41"),
        // A control character of two bytes, and a character cut in half.
        ("\u{85}".as_bytes(), "\\xc2\\x85"),
        (b"\xe6\x97", "\\xe6\\x97"),
    ] {
        assert_eq!(path(bytes).to_string(), text);
        assert_eq!(text.parse::<LogPath>().unwrap().as_bytes(), bytes);
    }
}

#[test]
fn a_text_in_another_spelling_is_refused() {
    for text in
        ["\\x41", "\\xc3\\xa4", "\\xFF", "\\x5c", "\\", "a\\", "\\x", "\\xf", "\\n", "a\nb", "\\u{41}", "\\xc3ä\\"]
    {
        assert_eq!(text.parse::<LogPath>(), Err(PathError::Spelling), "{text}");
    }
}

#[test]
fn nothing_leads_out_of_the_root() {
    for (text, error) in [
        ("/etc/passwd", PathError::Absolute),
        ("/", PathError::Absolute),
        ("..", PathError::Dots),
        ("a/../../etc", PathError::Dots),
        ("a/.", PathError::Dots),
        ("./a", PathError::Dots),
        ("a//b", PathError::Empty),
        ("a/", PathError::Empty),
        ("a\\x00b", PathError::Zero),
        ("\\x2e\\x2e/etc", PathError::Dots),
        ("a\\x2f\\x2f", PathError::Empty),
    ] {
        assert_eq!(text.parse::<LogPath>(), Err(error), "{text}");
    }
    assert_eq!(LogPath::from_bytes(&[b'a'; 256]), Err(PathError::Long));
    assert_eq!(LogPath::from_bytes(&b"ab/".repeat(2_000)), Err(PathError::Long));
    assert_eq!(path(b"a").join(b"b/c"), Err(PathError::Empty));
    assert_eq!(path(b"a").join(b".."), Err(PathError::Dots));
}

#[test]
fn the_longest_path_is_taken_and_no_longer_one() {
    let directory = [vec!["a".repeat(255); 15], vec!["b".to_owned()]].concat().join("/");
    let (fits, longer) = ("c".repeat(253), "c".repeat(254));
    let longest = path(format!("{directory}/{fits}").as_bytes());
    assert_eq!(longest.as_bytes().len(), MAX_LENGTH);
    assert_eq!(path(directory.as_bytes()).join(fits.as_bytes()), Ok(longest));
    assert_eq!(path(directory.as_bytes()).join(longer.as_bytes()), Err(PathError::Long));
    assert_eq!(LogPath::from_bytes(format!("{directory}/{longer}").as_bytes()), Err(PathError::Long));
}

#[test]
fn parts_of_a_path() {
    let long = path(b"a/b/c.log");
    assert_eq!(long.components().collect::<Vec<_>>(), [&b"a"[..], b"b", b"c.log"]);
    assert_eq!(long.name(), Some(&b"c.log"[..]));
    assert_eq!(long.parent(), Some(path(b"a/b")));
    assert_eq!(path(b"a").parent(), Some(LogPath::root()));
    assert_eq!(path(b"a").join(b"b").unwrap(), path(b"a/b"));
    assert_eq!(LogPath::root().join(b"a").unwrap(), path(b"a"));
    assert_eq!((LogPath::root().name(), LogPath::root().parent()), (None, None));
    assert_eq!(LogPath::root().components().count(), 0);
}

#[test]
fn a_directory_comes_right_before_its_content() {
    let mut paths: Vec<LogPath> =
        ["a-b", "a/z", "a.log", "a", "a/b/c", "", "a/b"].map(|text| text.parse().unwrap()).into();
    paths.sort();
    assert_eq!(
        paths.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["", "a", "a/b", "a/b/c", "a/z", "a-b", "a.log"]
    );
}

/// Any name that a filesystem takes, most of them nasty.
fn names() -> impl Strategy<Value = Vec<u8>> {
    let nasty = prop::sample::select(&b"\\x\n\xff\xc3\xa4\x00./a "[..]);
    prop_oneof![prop::collection::vec(any::<u8>(), 1..20), prop::collection::vec(nasty, 1..20)]
        .prop_map(|mut name| {
            name.iter_mut().filter(|byte| matches!(byte, 0 | b'/')).for_each(|byte| *byte = b'-');
            name
        })
        .prop_filter("dots", |name| name != b"." && name != b"..")
}

proptest! {
    #[test]
    fn every_name_survives_the_round_trip(names in prop::collection::vec(names(), 0..5)) {
        let path = path(&names.join(&b'/'));
        let text = path.to_string();
        prop_assert!(!text.chars().any(char::is_control));
        prop_assert_eq!(text.parse::<LogPath>(), Ok(path));
    }

    #[test]
    fn different_paths_have_different_texts(one in names(), other in names()) {
        prop_assert_eq!(path(&one).to_string() == path(&other).to_string(), one == other);
    }

    #[test]
    fn whatever_is_taken_is_spelt_as_it_was_given(text in "(\\\\|\\\\x[0-9a-f]{2}|x|4|/|\\.|ä|\u{85}|\n){0,12}") {
        if let Ok(path) = text.parse::<LogPath>() {
            prop_assert_eq!(path.to_string(), text.as_str());
            prop_assert!(path.components().all(|name| name != b".." && name != b"." && !name.contains(&0)));
        }
    }

    #[test]
    fn the_order_is_that_of_the_components(one in prop::collection::vec(names(), 1..4), other in prop::collection::vec(names(), 1..4)) {
        prop_assert_eq!(path(&one.join(&b'/')).cmp(&path(&other.join(&b'/'))), one.cmp(&other));
    }
}
