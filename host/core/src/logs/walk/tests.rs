use proptest::prelude::*;

use super::*;

fn options(prefix: &str, include: &[&str], exclude: &[&str]) -> WalkOptions {
    let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    WalkOptions {
        prefix: prefix.parse().unwrap(),
        include: globs(include),
        exclude: globs(exclude),
        ..WalkOptions::default()
    }
}

/// Walks down to a path; whether it is reached, and yielded there.
fn yields(options: &WalkOptions, path: &str) -> bool {
    let path: LogPath = path.parse().unwrap();
    let beneath = path.as_bytes().strip_prefix(options.prefix.as_bytes()).unwrap();
    let names: Vec<&[u8]> = beneath.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
    let (name, directories) = names.split_last().unwrap();
    let reach = directories
        .iter()
        .try_fold(options.start(), |reach, name| Some(options.enter(&reach?, name, &mut options.counts())));
    reach.flatten().is_some_and(|reach| options.names(&reach, name, None, &mut options.counts()))
}

#[test]
fn without_globs_everything_is_yielded() {
    let options = options("", &[], &[]);
    assert!(yields(&options, "a") && yields(&options, "a/.b/c"));
    assert!(options.wants(FileKind::Socket));
}

#[test]
fn a_directory_left_out_is_not_entered() {
    let options = options("", &["**/*.log"], &["old", "**/private/**"]);
    assert!(yields(&options, "a/b.log"));
    assert!(!yields(&options, "old/b.log"));
    assert!(!yields(&options, "a/private/b.log"));
    assert!(options.enter(&options.start().unwrap(), b"old", &mut options.counts()).is_none());
}

#[test]
fn where_nothing_can_match_nobody_goes() {
    let options = options("", &["app/*.log", "x/**/y"], &[]);
    let start = options.start().unwrap();
    assert!(options.enter(&start, b"other", &mut options.counts()).is_none());
    let app = options.enter(&start, b"app", &mut options.counts()).unwrap();
    assert!(options.enter(&app, b"deeper", &mut options.counts()).is_none());
    assert!(
        options
            .enter(&options.enter(&start, b"x", &mut options.counts()).unwrap(), b"deeper", &mut options.counts())
            .is_some()
    );
}

#[test]
fn globs_are_about_the_whole_path_wherever_the_walk_starts() {
    let options = options("app/sub", &["app/*/*.log"], &[]);
    assert!(yields(&options, "app/sub/a.log"));
    assert!(!yields(&options, "app/sub/deep/a.log"));
    assert!(super::WalkOptions { exclude: vec!["app".parse().unwrap()], ..options }.start().is_none());
}

#[test]
fn what_each_glob_takes_and_leaves_out_is_counted() {
    let options = WalkOptions {
        kinds: vec![FileKind::File],
        ..options("", &["**/*.log", "**/a.*", "x"], &["old", "**/b.log", "**/b.*", "typo.log"])
    };
    let (start, mut counts) = (options.start().unwrap(), options.counts());
    let mut look = |name: &str, kind| options.names(&start, name.as_bytes(), Some(kind), &mut counts);
    assert!(look("a.log", FileKind::File) && look("c.log", FileKind::File) && look("a.gz", FileKind::File));
    assert!(!look("b.log", FileKind::File), "both exclusions leave it out");
    assert!(!look("b.gz", FileKind::File), "it is not included to begin with");
    look("d.log", FileKind::Directory);
    assert!(options.enter(&start, b"old", &mut counts).is_none());
    assert!(options.enter(&start, b"new", &mut counts).is_some());
    assert_eq!((counts.include, counts.exclude), (vec![3, 2, 0], vec![1, 1, 1, 0]));
}

#[test]
fn an_exclusion_counts_what_would_be_yielded_and_directories_where_they_are_not_entered() {
    for (kinds, kind, counted) in [
        (vec![FileKind::File], Some(FileKind::File), 1),
        (vec![FileKind::File], None, 1),
        (vec![FileKind::Symlink], Some(FileKind::File), 0),
        (vec![FileKind::Symlink], Some(FileKind::Directory), 0),
        (vec![FileKind::Directory], Some(FileKind::Directory), 0),
        (Vec::new(), Some(FileKind::Directory), 0),
    ] {
        let options = WalkOptions { kinds: kinds.clone(), ..options("", &[], &["a"]) };
        let mut counts = options.counts();
        assert!(!options.names(&options.start().unwrap(), b"a", kind, &mut counts));
        assert_eq!(counts.exclude, [counted], "{kinds:?} {kind:?}");
    }
}

#[test]
fn kinds_are_picked() {
    let options = WalkOptions { kinds: vec![FileKind::File, FileKind::Symlink], ..WalkOptions::default() };
    assert!(options.wants(FileKind::Symlink) && !options.wants(FileKind::Directory));
}

proptest! {
    /// Whatever is yielded step by step matches as a whole, and the other way round.
    #[test]
    fn step_by_step_is_the_same_as_as_a_whole(
        include in prop::collection::vec("(\\*\\*|[ab*]|[ab]\\*)(/(\\*\\*|[ab]|\\*b)){0,3}", 0..3),
        exclude in prop::collection::vec("(\\*\\*/)?[ab]{1,2}(/\\*\\*)?", 0..2),
        path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        let texts = |texts: &[String]| texts.iter().map(|text| text.parse::<Glob>().unwrap()).collect::<Vec<_>>();
        let options = WalkOptions { include: texts(&include), exclude: texts(&exclude), ..WalkOptions::default() };
        let whole: LogPath = path.parse().unwrap();
        let mut above = Some(whole.clone());
        let mut left_out = false;
        while let Some(path) = above {
            left_out |= options.exclude.iter().any(|glob| glob.matches(&path));
            above = path.parent();
        }
        let matches = options.include.is_empty() || options.include.iter().any(|glob| glob.matches(&whole));
        prop_assert_eq!(yields(&options, &path), matches && !left_out);
    }
}
