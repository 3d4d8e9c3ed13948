use serde_json::{Value, json};

use super::{Config, FIELDS, Order, nanoseconds};

fn errors(config: &Value) -> Vec<String> {
    errors_of(&config.to_string())
}

fn errors_of(text: &str) -> Vec<String> {
    Config::parse(text).expect_err("should be wrong").iter().map(ToString::to_string).collect()
}

#[test]
fn all_fields_together() {
    let config = Config::parse(
        r#"{"repositories": ["docker.io/minchou/*", "!docker.io/minchou/base:*-lts"], "keepLast": 2,
            "keepTags": ["latest", "*-lts"], "dangling": true, "maxAge": "30d12h", "unusedFor": "36h"}"#,
    )
    .unwrap();
    assert_eq!((config.include.len(), config.exclude.len(), config.keep_tags.len()), (1, 1, 2));
    assert_eq!((config.keep_last, config.dangling), (2, true));
    assert_eq!(config.max_age, Some((30 * 24 + 12) * 3_600_000_000_000));
    assert_eq!(config.unused_for, Some(36 * 3_600_000_000_000));
}

#[test]
fn an_empty_config_is_refused() {
    for empty in [json!({}), json!({"repositories": []}), json!({"dangling": false, "keepLast": 3})] {
        assert_eq!(errors(&empty), [r#"repositories: say which, ["*"] for all"#]);
    }
    assert_eq!(
        errors(&json!({"repositories": ["!nginx"]})),
        [r#"repositories: says only what to leave out; add what to include, "*" for all"#]
    );
    for enough in [r#"{"dangling": true}"#, r#"{"dangling": true, "repositories": ["!nginx"]}"#] {
        assert!(Config::parse(enough).is_ok(), "{enough}");
    }
}

#[test]
fn tags_to_keep_without_repositories_are_a_mistake() {
    let told = "keepTags: has no effect: without repositories only images that have no tag are removed; leave it out, or say which repositories";
    for config in [
        json!({"dangling": true, "keepTags": ["latest"]}),
        json!({"dangling": true, "keepTags": ["latest"], "repositories": []}),
        json!({"dangling": true, "keepTags": ["latest"], "repositories": ["!nginx"]}),
    ] {
        assert_eq!(errors(&config), [told], "{config}");
    }
    for fine in [
        json!({"dangling": true, "keepTags": ["latest"], "repositories": ["nginx"]}),
        json!({"dangling": true, "keepTags": []}),
    ] {
        assert!(Config::parse(&fine.to_string()).is_ok(), "{fine}");
    }
}

#[test]
fn every_error_is_reported_at_once() {
    let wrong = json!({
        "repositories": ["docker.io/minchou/*", "", 7, "a b", "!!nginx", "sha256:0123456789ab", "nginx@sha256:0", "0123456789ab"],
        "keepLast": -1, "keepTags": ["latest", "a:b", null], "dangling": "only", "maxAge": "-1d", "unusedFor": 7,
        "keeplast": 2, "color": "red",
    });
    let mut found = errors(&wrong);
    found.sort();
    assert_eq!(
        found,
        [
            "color: there is no such field; the fields are repositories, keepLast, order, keepTags, dangling, maxAge, unusedFor",
            r#"dangling: must be true or false, found "only""#,
            "keepLast: must be a whole number from 0 to 4294967295, found -1",
            r#"keepTags[1]: must be a tag (letters, digits, '_', '.' and '-'; '*' and '?' stand for others), in quotes, found "a:b""#,
            "keepTags[2]: must be a tag (letters, digits, '_', '.' and '-'; '*' and '?' stand for others), in quotes, found null",
            "keeplast: there is no such field; did you mean keepLast?",
            r#"maxAge: must be a duration in quotes such as "36h", "7d" or "30d12h", found "-1d""#,
            r#"repositories[1]: "" is not an image pattern: it is empty; write * to match every image"#,
            r#"repositories[2]: must be an image pattern in quotes such as "docker.io/minchou/*", found 7"#,
            r#"repositories[3]: "a b" is not an image pattern: it has a character that no reference has; wildcards are * and ? alone"#,
            r#"repositories[4]: "!!nginx" has more than one ! in front"#,
            r#"repositories[5]: "sha256:0123456789ab" names a digest or an image id; name a repository or a tag, and keep single images by --protect"#,
            r#"repositories[6]: "nginx@sha256:0" is not an image pattern: what follows the @ is a digest, at least 12 of its hexadecimal digits, or *"#,
            r#"repositories[7]: "0123456789ab" names a digest or an image id; name a repository or a tag, and keep single images by --protect"#,
            r#"unusedFor: must be a duration in quotes such as "36h", "7d" or "30d12h", found 7"#,
        ]
    );
}

#[test]
fn patterns_that_can_never_match_are_errors_wherever_they_stand() {
    for (pattern, words) in [
        ("acme/app:v1:v2", "two tags"),
        ("rancher/k3s:*+k3s1", "no tag has a '+'"),
        ("Acme/*", "no upper-case letters"),
        ("registry.example.com", "write registry.example.com/* for all of its images"),
        ("acme/app_-*", "no repository is like that"),
        ("6d9ac9237a8", "at least 12 digits"),
    ] {
        for (entry, path) in [(pattern.to_owned(), "repositories[1]: "), (format!("!{pattern}"), "repositories[1]: ")] {
            let found = errors(&json!({ "repositories": ["*", entry] }));
            assert!(found.len() == 1 && found[0].starts_with(path) && found[0].contains(words), "{pattern}: {found:?}");
        }
    }
    for tag in [".v1", "-v1", ".*", "v1+2"] {
        let found = errors(&json!({ "repositories": ["*"], "keepTags": [tag] }));
        assert!(found.len() == 1 && found[0].starts_with("keepTags[0]: must be a tag"), "{tag}: {found:?}");
    }
}

#[test]
fn wrong_types_name_the_field() {
    for field in FIELDS {
        for value in [
            json!(null),
            json!({}),
            json!([{}]),
            json!(1.5),
            json!(-3),
            json!("\u{0}"),
            json!(u64::MAX),
            json!([[[[]]]]),
        ] {
            let found = errors(&json!({field: value}));
            assert!(found.iter().any(|error| error.starts_with(field)), "{field} {value} {found:?}");
            assert!(found.iter().all(|error| !error.contains(char::is_control)), "{found:?}");
        }
    }
}

#[test]
fn unknown_fields_get_a_suggestion() {
    for (wrong, meant) in [
        ("repository", Some("repositories")),
        ("repositorys", Some("repositories")),
        ("keep-last", Some("keepLast")),
        ("KEEPTAGS", Some("keepTags")),
        ("dangeling", Some("dangling")),
        ("max_age", Some("maxAge")),
        ("unusdFor", Some("unusedFor")),
        ("name", None),
        ("x", None),
        ("", None),
        ("minAge", Some("maxAge")),
    ] {
        let error = errors(&json!({"repositories": ["*"], wrong: 1})).remove(0);
        match meant {
            Some(meant) => assert_eq!(error, format!("{wrong}: there is no such field; did you mean {meant}?")),
            None => assert!(error.contains("the fields are"), "{error}"),
        }
    }
    let hostile = "\u{1b}[31m\u{0}".repeat(10_000);
    let error = errors(&json!({"repositories": ["*"], hostile: 1})).remove(0);
    assert!(error.len() < 2_000 && !error.contains(char::is_control), "{error}");
}

#[test]
fn text_that_is_no_object_is_refused() {
    let deep = "[".repeat(100_000);
    let deep_field = format!("{{\"a\":{deep}");
    let deep_closed = format!("{{\"keepLast\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    for text in
        ["", " ", "nul", "{", "{}{}", "{\"a\":1,}", "{\"keepLast\": 1e999}", "\0", "{\"a\":\"\0\"}", &deep, &deep_field]
    {
        let found = errors_of(text);
        assert!(found.len() == 1 && found[0].starts_with("config: must be JSON: "), "{found:?}");
    }
    for text in ["[]", "null", "\"{}\"", "7", "true"] {
        let found = errors_of(text);
        assert!(found.len() == 1 && found[0].starts_with("config: must be an object"), "{found:?}");
    }
    assert!(errors_of(&deep_closed)[0].starts_with("keepLast: must be a whole number"));
    let twice = errors_of(r#"{"repositories": ["*"], "keepLast": 5, "keepLast": 0}"#);
    assert_eq!(twice, ["keepLast: is given more than once"]);
}

#[test]
fn numbers_have_bounds() {
    let config = |number: &str| format!(r#"{{"repositories": ["*"], "keepLast": {number}}}"#);
    assert!(Config::parse(&config("0")).is_ok() && Config::parse(&config("4294967295")).is_ok());
    for wrong in ["4294967296", "-1", "2.0", "1e3", "99999999999999999999999999", "\"2\"", "true"] {
        assert!(errors_of(&config(wrong))[0].starts_with("keepLast: must be a whole number"), "{wrong}");
    }
}

#[test]
fn orders() {
    let order = |order: &str| {
        Config::parse(&format!(r#"{{"repositories": ["*"], "order": {order}}}"#)).map(|config| config.order)
    };
    assert!(matches!(order(r#""version""#), Ok(Order::Version)));
    assert!(matches!(order(r#""firstSeen""#), Ok(Order::FirstSeen)));
    assert!(matches!(order(r#"{"byTag": "main-*-#"}"#), Ok(Order::ByTag(_))));
    assert!(matches!(Config::parse(r#"{"dangling": true}"#).unwrap().order, Order::Version));
    let must = r#"order: must be "version", "firstSeen" or {"byTag": PATTERN}, such as {"byTag": "main-*-#"}, found"#;
    for (wrong, problem) in [
        (r#""semver""#, &*format!(r#"{must} "semver""#)),
        (r#""Version""#, &format!(r#"{must} "Version""#)),
        ("7", &format!("{must} 7")),
        ("null", &format!("{must} null")),
        ("[]", &format!("{must} a list")),
        ("{}", r#"order: is empty; say {"byTag": "main-*-#"}, or leave it out"#),
        (r##"{"bytag": "#"}"##, "order.bytag: there is no such field; did you mean byTag?"),
        (r#"{"byTag": 7}"#, r#"order.byTag: must be a tag in quotes such as "main-*-#", found 7"#),
        (r#"{"byTag": "main-*"}"#, r#"order.byTag: "main-*" picks no number; write # where it stands, as in main-*-#"#),
        (
            r#"{"byTag": "1#"}"#,
            r#"order.byTag: "1#" can match no tag: # is a whole run of digits, and next to it stands another digit"#,
        ),
    ] {
        let config = format!(r#"{{"repositories": ["*"], "order": {wrong}}}"#);
        assert_eq!(errors_of(&config), [problem], "{wrong}");
    }
    let twice = errors_of(r##"{"repositories": ["*"], "order": {"byTag": "#", "byTag": "a-#"}}"##);
    assert_eq!(twice, ["order.byTag: is given more than once"]);
}

#[test]
fn durations() {
    let second = 1_000_000_000;
    for (text, expected) in [
        ("36h", 129_600),
        ("7d", 604_800),
        ("30d12h", 2_635_200),
        ("1w2d3h4m5s", 788_645),
        ("90m", 5_400),
        ("0d1s", 1),
        ("0s", 0),
    ] {
        assert_eq!(nanoseconds(text), Some(expected * second), "{text}");
    }
    for text in [
        "",
        " ",
        "7",
        "d",
        "7d ",
        "7 d",
        "1.5h",
        "-1d",
        "+1d",
        "1h1d",
        "1d1d",
        "1mo",
        "1y",
        "1ms",
        "1D",
        "7dd",
        "99999999999999999999d",
        "1h\0",
        "１d",
        "1é",
    ] {
        assert_eq!(nanoseconds(text), None, "{text}");
    }
    let config = |text: &str| json!({"repositories": ["*"], "maxAge": text});
    assert!(Config::parse(&config("106751d").to_string()).is_ok());
    let age = |text: &str| errors(&config(text));
    assert_eq!(age("106752d"), [r#"maxAge: must be at most 106751d, found "106752d""#]);
    assert_eq!(age("18446744073709551615w").len(), 1);
    assert_eq!(age("0h"), [r#"maxAge: must be longer than zero, found "0h""#]);
}

#[test]
fn the_schema_has_the_same_fields() {
    let schema: Value = serde_json::from_str(crate::SCHEMA).unwrap();
    let mut described: Vec<_> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut fields = FIELDS.to_vec();
    described.sort_unstable();
    fields.sort_unstable();
    assert_eq!(described, fields);
    assert!(schema["properties"].as_object().unwrap().values().all(|field| field["description"].is_string()));
}
