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
    check("**/a/**", &["a/a", "a/a/x", "a/a/a/x/y", "x/a/a/a"], &["a", "x/a"]);
    check("**/**/a", &["a", "x/a", "x/y/a", "a/a"], &["x", "a/x"]);
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
    check("[\\x80-\\xff]", &["\\xff", "\\x80"], &["ä"]);
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
        ("\\n", "\\n stands for nothing here; a backslash must stand before"),
        ("\\d+.log", "\\d stands for nothing here"),
        (".*\\.gz", "\\. stands for nothing here"),
        ("logs\\app\\*.log", "\\a stands for nothing here"),
        ("\\xFF", "a backslash must stand before"),
        ("a\\", "a backslash must stand before"),
        ("[\\q]", "a backslash must stand before"),
    ] {
        let error = text.parse::<Glob>().unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!("a".repeat(4097).parse::<Glob>().is_err());
    // Of a long text the sentence names the beginning.
    for (rest, named) in [(77, format!("a//{}", "b".repeat(77))), (78, format!("a//{}…", "b".repeat(77)))] {
        let error = format!("a//{}", "b".repeat(rest)).parse::<Glob>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{named:?} is not a glob: ")), "{error}");
    }
    assert!(["a"; 63].join("/").parse::<Glob>().is_ok());
    assert!(["a"; 64].join("/").parse::<Glob>().is_err());
    assert!(["**"; 63].join("/").parse::<Glob>().unwrap().matches(&path("a")));
}

#[test]
fn braces_are_alternatives() {
    check("*.{log,gz}", &["a.log", "a.gz"], &["a.zip", "a.{log,gz}", "d/a.gz"]);
    check("**/*.{audit,pid}", &["x.audit", "d/e/x.pid"], &["x.pid/y", "x.log"]);
    check("a{,.1,.2}.log", &["a.log", "a.1.log", "a.2.log"], &["a.3.log", "a,.log"]);
    check("{a,{b,c}{1,2}}x", &["ax", "b1x", "c2x"], &["bx", "a1x", "cx"]);
    check("{,old/,very/old/}*.gz", &["a.gz", "old/a.gz", "very/old/a.gz"], &["new/a.gz", "very/a.gz"]);
    check("{**,a}/x", &["x", "b/x", "a/x", "c/d/x"], &["a/y"]);
    check("d/{a,**}", &["d/a", "d/b", "d/b/c"], &["d"]);
    check("{a,b}/{c,d}", &["a/c", "a/d", "b/c", "b/d"], &["a", "c/a"]);
    check("{[,],a}x", &[",x", "ax"], &["]x", "[x"]);
    check("[{,}]", &["{", ",", "}"], &["a"]);
    check("\\{a,b\\}", &["{a,b}"], &["a", "b"]);
    check("{a\\,b,c\\}}", &["a,b", "c}"], &["a", "b"]);
    check("a,b", &["a,b"], &["a", "b"]);
    check("{a,a}{b,b}", &["ab"], &["a"]);
}

#[test]
fn alternatives_know_what_they_can_reach() {
    let glob: Glob = "{a/b,c/**}".parse().unwrap();
    let after = |name: &[u8]| glob.step(glob.start(), name);
    assert!(glob.reaches_beneath(after(b"a")) && glob.reaches_beneath(after(b"c")));
    assert!(!glob.reaches_beneath(after(b"b")) && !glob.accepts(after(b"a")));
    let below = glob.step(after(b"a"), b"b");
    assert!(glob.accepts(below) && !glob.reaches_beneath(below));
    let names: Glob = "x.{a,b}".parse().unwrap();
    assert!(!names.reaches_beneath(names.step(names.start(), b"x.a")));
}

#[test]
fn braces_come_to_a_bounded_number_of_globs() {
    let many = |count: usize| format!("{{{}}}", vec!["a"; count].join(","));
    assert!(many(256).parse::<Glob>().is_ok());
    for text in [
        many(257),
        "{a,b}".repeat(9),
        format!("{}{}", many(100), many(3)),
        format!("{{a,b}}{}", "x".repeat(4_000)) + &"{a,b}".repeat(2),
    ] {
        let error = text.parse::<Glob>().unwrap_err().to_string();
        assert!(
            error.ends_with("its braces come to more than 256 alternatives, or to more than 16384 bytes")
                || error.contains("longer than 4096"),
            "{error}"
        );
    }
    let deep = |depth: usize| format!("{}a{}", "{".repeat(depth), ",b}".repeat(depth));
    assert!(deep(16).parse::<Glob>().is_ok());
    assert!(deep(17).parse::<Glob>().unwrap_err().to_string().ends_with("more than 16 deep within each other"));
    assert!(deep(1_300).parse::<Glob>().is_err());
    let long = ["a"; 30].join("/");
    assert!(format!("{{{long},x/y}}").parse::<Glob>().is_ok());
    let error = format!("{{{long},{long}/b,{long}/b/c}}").parse::<Glob>().unwrap_err().to_string();
    assert!(error.contains("more than 63 components"), "{error}");
    assert_eq!("**/*.{gz,zip}".parse::<Glob>().unwrap().as_str(), "**/*.{gz,zip}");
    assert_eq!("**/*.{gz,zip}".parse::<Glob>().unwrap().weight(), "**/*.gz**/*.zip".len());
}

#[test]
fn lengths_are_allowed_up_to_their_limit() {
    assert!("x".repeat(4096).parse::<Glob>().is_ok());
    let error = "x".repeat(4097).parse::<Glob>().unwrap_err().to_string();
    assert!(error.ends_with("it is longer than 4096 bytes"), "{error}");
    // 256 alternatives of 64 and of 65 bytes.
    let alternatives = |length: usize| format!("{}{}", "x".repeat(length - 8), "{a,b}".repeat(8));
    assert_eq!(alternatives(64).parse::<Glob>().unwrap().weight(), 16 << 10);
    assert!(alternatives(65).parse::<Glob>().unwrap_err().to_string().ends_with("or to more than 16384 bytes"));
}

#[test]
fn what_means_something_in_one_place_only_is_a_name_elsewhere() {
    for quote in ["\"", "'"] {
        let name = LogPath::from_bytes(quote.as_bytes()).unwrap();
        assert!(quote.parse::<Glob>().unwrap().matches(&name), "{quote} alone stands around nothing");
    }
    check("a!b", &["a!b"], &["ab"]);
    check("{a,b},c", &["a,c", "b,c"], &["a", "c"]);
    check("{a,{b,c}},{d,e},f", &["a,d,f", "c,e,f"], &["a,d", "f"]);
}

#[test]
fn what_other_tools_understand_is_refused_and_named() {
    for (text, character, why) in [
        ("$HOME/*.log", '$', "no variable"),
        ("${X}.log", '$', "no variable"),
        (".*gz$", '$', "no end"),
        ("%Y/*.log", '%', "no part of a date"),
        ("app.%i.log", '%', "no part of a date"),
        ("^app", '^', "matches a whole path"),
        ("(a|b).log", '|', "{a,b} does"),
        ("**/+(c|b).*", '(', "{a,b} is a or b"),
        ("!(d)/**", '(', "{a,b} is a or b"),
        ("a@(b)", '(', "{a,b} is a or b"),
        ("*(b)", '(', "{a,b} is a or b"),
        ("x?(b)", '(', "{a,b} is a or b"),
        ("{x,!(b)}", '(', "{a,b} is a or b"),
        ("(?i)x", '(', "{a,b} is a or b"),
        ("!x", '!', "negates nothing"),
        ("~/x", '~', "no home directory"),
        ("~root/x", '~', "no home directory"),
        ("{~/x,y}", '~', "no home directory"),
        ("# old logs", '#', "no comment"),
        ("[0-9]+.log", '+', "repeats nothing"),
        ("[0-9]{4}", '{', "single alternative"),
        ("{1..3}", '{', "{1,2,3}"),
        ("{{ .Values.x }}", '{', "single alternative"),
        ("{}", '{', "single alternative"),
        ("{a,b", '{', "no }"),
        ("a}", '}', "no {"),
        ("`date`", '`', "stands around it"),
        ("x`date`", '`', "runs no command"),
        ("\"*.log\"", '"', "stands around it"),
        ("'*.log'", '\'', "stands around it"),
    ] {
        let error = text.parse::<Glob>().unwrap_err().to_string();
        let (named, escaped) = (format!("is not a glob: {character} "), format!("write \\{character}"));
        assert!(error.contains(&named) && error.contains(why) && error.contains(&escaped), "{text}: {error}");
    }
    for text in ["a.gz ", " a.gz", "a /b", "\t*.log", "*.log\n", "{a, b}", "a\u{a0}"] {
        let error = text.parse::<Glob>().unwrap_err().to_string();
        assert!(error.contains("begins or ends with a blank; leave it out, or write a backslash"), "{text:?}: {error}");
    }
    let class = "[[:digit:]].log".parse::<Glob>().unwrap_err().to_string();
    assert!(class.contains("[: begins no class here; write what it stands for, as in [0-9]"), "{class}");
}

#[test]
fn with_a_backslash_they_are_names() {
    check("\\$HOME", &["$HOME"], &["HOME"]);
    check("\\~a\\%\\^\\|\\`", &["~a%^|`"], &["a"]);
    check("\\!x", &["!x"], &["x"]);
    check("+\\(a\\)", &["+(a)"], &["a"]);
    check("\\ a b\\ ", &[" a b "], &["a b"]);
    check("\\\"a\\\"", &["\"a\""], &["a"]);
    check("a~", &["a~"], &["a"]);
    check("a#1", &["a#1"], &["a"]);
    check("app (1).log", &["app (1).log"], &["app 1.log"]);
    check("a+b", &["a+b"], &["aab"]);
    check("it's 'x'", &["it's 'x'"], &["its x"]);
    check("[$%^|]", &["$", "%", "^", "|"], &["a"]);
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
    fn a_listed_path_with_its_punctuation_escaped_is_a_glob_for_it(names in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"*?[]!-\\\xff\xc3\xa4\n{},()|~$%^#'\"`+@ ab"[..]), 1..6), 1..4)) {
        let path = LogPath::from_bytes(&names.join(&b'/')).unwrap();
        let mut text = String::new();
        for character in path.to_string().chars() {
            if character == ' ' || (character.is_ascii_punctuation() && !"./_\\".contains(character)) {
                text.push('\\');
            }
            text.push(character);
        }
        let glob: Glob = text.parse().unwrap();
        prop_assert!(glob.matches(&path), "{} {}", text, path);
        let other = LogPath::from_bytes(&[path.as_bytes(), b"x"].concat()).unwrap();
        prop_assert!(!glob.matches(&other));
    }

    #[test]
    fn braces_match_what_one_of_their_alternatives_matches(
        parts in prop::collection::vec(prop::collection::vec(prop_oneof!["[ab?*]{0,2}".prop_filter("two stars", |text| !text.contains("**")), "[ab]/[ab*]", Just("**/a".to_owned())], 1..4), 1..4),
        path in prop::collection::vec("[ab]{1,3}", 1..4),
    ) {
        let braces = |alternatives: &Vec<String>| match &alternatives[..] {
            [one] => one.clone(),
            more => format!("{{{}}}", more.join(",")),
        };
        let text: String = parts.iter().map(braces).collect();
        let written_out = parts.iter().fold(vec![String::new()], |texts, alternatives| {
            texts.iter().flat_map(|text| alternatives.iter().map(move |other| format!("{text}{other}"))).collect()
        });
        let each: Vec<Result<Glob, GlobError>> = written_out.iter().map(|text| text.parse()).collect();
        let path: LogPath = path.join("/").parse().unwrap();
        match text.parse::<Glob>() {
            Ok(glob) => prop_assert_eq!(glob.matches(&path), each.into_iter().any(|glob| glob.unwrap().matches(&path))),
            Err(_) => prop_assert!(each.iter().any(Result::is_err) || each.len() * 10 > 64),
        }
    }

    #[test]
    fn nothing_makes_it_panic(text in "[*?\\[\\]!^\\-\\\\x0-9a-f/äß.{},() $]{0,24}", path in "[a-f0-9äß*/]{1,20}") {
        if let (Ok(glob), Ok(path)) = (text.parse::<Glob>(), path.parse::<LogPath>()) {
            let _ = glob.matches(&path);
        }
    }
}
