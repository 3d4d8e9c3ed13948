use super::*;

fn problems(json: &str) -> Vec<String> {
    Config::parse(json).unwrap_err().iter().map(ToString::to_string).collect()
}

fn rule(json: &str) -> Rule {
    Config::parse(&format!(r#"{{"rules":[{json}]}}"#)).unwrap().rules.remove(0)
}

#[test]
fn all_fields_are_read() {
    let config = Config::parse(
        r#"{"minFree":"15%","minFreeInodes":"5%","rules":[{"roots":["app"],"files":["**/*.gz","!keep/**"],"maxAge":"7d","maxTotalSize":"10Gi","keepNewest":3,"per":"directory","truncateOpen":true},{"files":["**"],"keepNewest":0}]}"#,
    )
    .unwrap();
    assert_eq!(config.goal.min_free, Some(MinFree::Share("15%".parse().unwrap())));
    assert_eq!(config.goal.min_free_inodes, Some(MinFreeInodes::Share("5%".parse().unwrap())));
    let expected = Rule {
        roots: vec!["app".to_owned()],
        is_of_directories: false,
        include: vec!["**/*.gz".to_owned()],
        exclude: vec!["keep/**".to_owned()],
        signs: vec![false, true],
        max_age: Some("7d".parse().unwrap()),
        max_total_size: Some("10Gi".parse().unwrap()),
        keep_newest: Some(3),
        per: Per::Directory,
        truncate_open: true,
    };
    assert_eq!(config.rules[0], expected);
    assert_eq!(config.rules[1].keep_newest, Some(0));
}

#[test]
fn what_is_left_out_is_harmless() {
    let rule = rule(r#"{"files":["*.log"],"maxAge":"1d"}"#);
    assert_eq!((rule.per, rule.truncate_open, rule.keep_newest), (Per::Root, false, None));
    assert!(rule.roots.is_empty() && rule.exclude.is_empty());
    let config =
        Config::parse(r#"{"rules":[{"files":["*"],"maxAge":"1d"}],"minFree":"20Gi","minFreeInodes":100000}"#).unwrap();
    let (bytes, inodes) = (MinFree::Bytes("20Gi".parse().unwrap()), MinFreeInodes::Number(100_000));
    assert_eq!(config.goal, Goal { min_free: Some(bytes), min_free_inodes: Some(inodes) });
}

#[test]
fn without_a_rule_there_is_nothing_to_do_and_that_is_told() {
    assert_eq!(problems("{}"), ["rules: is missing; give at least one rule"]);
    assert_eq!(problems(r#"{"rules":[]}"#), ["rules: is empty; give at least one rule"]);
    assert_eq!(problems(r#"{"rules":{}}"#), ["rules: must be a list of rules, found an object"]);
    assert!(problems("[]")[0].starts_with("config: must be an object such as {\"rules\""));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_path() {
    let told = problems(
        r#"{"minFree":20,"minFreeInodes":-1,"rules":["x",{"file":["**"],"maxAge":"7 days"},{"files":["a**","!b",3],"keepNewest":-1,"per":"pod","truncateOpen":1,"roots":[],"maxTotalSize":"lots"},{"files":["!b"]}]}"#,
    );
    let starts = [
        "minFree: must be a size in quotes",
        "minFreeInodes: must be a number of inodes such as 100000, or a share in quotes such as \"10%\"",
        "rules[0]: must be an object",
        "rules[1].file: there is no such field; did you mean files?",
        "rules[1].files: is missing",
        "rules[1].maxAge: must be a duration in quotes",
        "rules[2].files[0]: \"a**\" is not a glob: ** must stand alone",
        "rules[2].files[2]: must be a glob in quotes",
        "rules[2].roots: is empty",
        "rules[2].maxTotalSize: must be a size in quotes",
        "rules[2].keepNewest: must be a whole number from 0",
        "rules[2].per: must be \"root\" or \"directory\", found \"pod\"",
        "rules[2].truncateOpen: must be true or false, found 1",
        "rules[3].files: says only what to leave out",
        "rules[3]: says nothing about what is too much",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told}");
    }
}

#[test]
fn globs_of_other_tools_are_mistakes_that_name_the_character() {
    for (glob, character) in [
        ("!(d)/**", '('),
        ("!**/+(c|b).*", '('),
        ("~/x", '~'),
        ("!~/x", '~'),
        ("$HOME/*.log", '$'),
        ("%Y/*.log", '%'),
        ("!%Y/*.log", '%'),
        ("^.*gz$", '^'),
        ("!!x", '!'),
        ("[0-9]+", '+'),
        ("a|b", '|'),
    ] {
        let told = problems(&format!(r#"{{"rules":[{{"files":["**","{glob}"],"maxAge":"1d"}}]}}"#));
        assert_eq!(told.len(), 1, "{glob}: {told:?}");
        let named = format!("is not a glob: {character} ");
        assert!(told[0].starts_with("rules[0].files[1]: ") && told[0].contains(&named), "{glob}: {told:?}");
        assert!(told[0].contains(&format!("write \\{character} where a file's name has it")), "{glob}: {told:?}");
    }
    for glob in ["a.gz ", "! a.gz", "./x", "!./x", "a//b", "a/", "/var/log/x", "!/var/log/x", r"\\d.log", "!"] {
        let told = problems(&format!(r#"{{"rules":[{{"files":["**","{glob}"],"maxAge":"1d"}}]}}"#));
        assert!(told.len() == 1 && told[0].starts_with("rules[0].files[1]: "), "{glob}: {told:?}");
    }
    let rule = rule(r#"{"files":["**","!**/*.{audit,pid}"],"maxAge":"1d"}"#);
    assert_eq!((rule.include, rule.exclude), (vec!["**".to_owned()], vec!["**/*.{audit,pid}".to_owned()]));
}

#[test]
fn an_age_of_nothing_is_a_mistake() {
    let told = problems(r#"{"rules":[{"files":["**"],"maxAge":"0d"}]}"#);
    assert_eq!(told, [r#"rules[0].maxAge: must be longer than zero, found "0d""#]);
}

#[test]
fn a_field_given_twice_is_told_in_a_rule_too() {
    let told = problems(r#"{"rules":[{"files":["**"],"maxAge":"1d","maxAge":"9d"}]}"#);
    assert_eq!(told, ["rules[0].maxAge: is given more than once"]);
}

#[test]
fn the_schema_knows_every_field() {
    for field in [
        "rules",
        "minFree",
        "minFreeInodes",
        "roots",
        "files",
        "emptyDirectories",
        "maxAge",
        "maxTotalSize",
        "keepNewest",
        "per",
        "truncateOpen",
    ] {
        assert!(crate::SCHEMA.contains(&format!("\"{field}\": {{")), "{field}");
    }
}

#[test]
fn a_rule_is_about_files_or_about_empty_directories() {
    let rule = rule(r#"{"emptyDirectories":["**","!keep/**"],"maxAge":"1d"}"#);
    assert!(rule.is_of_directories && rule.include == ["**"] && rule.exclude == ["keep/**"]);
    assert!(Config::parse(r#"{"rules":[{"emptyDirectories":["**"]}]}"#).is_ok());
    let told = problems(
        r#"{"rules":[{"emptyDirectories":["**"],"files":["**"],"maxAge":"1d"},{"emptyDirectories":["a//b"],"keepNewest":1,"truncateOpen":true}]}"#,
    );
    let starts = [
        "rules[0]: has files and emptyDirectories; make two rules of them",
        "rules[1].emptyDirectories[0]: \"a//b\" is not a glob",
        "rules[1].keepNewest: means nothing for emptyDirectories",
        "rules[1].truncateOpen: means nothing for emptyDirectories",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told}");
    }
}
