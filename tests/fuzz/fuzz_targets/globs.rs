//! Globs of log files and paths beneath a root: a glob on the first line, a path on the second.
#![no_main]

use holystone_core::logs::glob::MAX_LENGTH;
use holystone_core::logs::{Glob, LogPath};
use libfuzzer_sys::fuzz_target;

/// The most components of a glob without braces.
const MAX_DEPTH: usize = 63;

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    // A listed path is escaped; what is no such text may still be a file's name.
    let path = second.parse().or_else(|_| LogPath::from_bytes(second.as_bytes()));
    // No glob is about the root itself, and a walk does not list it.
    let path = path.ok().filter(|path: &LogPath| !path.is_root());
    if let Some(path) = &path {
        let text = escaped(path);
        // A glob has a limited length and depth, a path has not.
        if text.len() <= MAX_LENGTH && path.components().count() <= MAX_DEPTH {
            let spelt: Glob = text.parse().expect("an escaped path is a glob");
            assert!(spelt.matches(path), "{spelt:?} matches the path that it spells");
        }
        assert_eq!(path.to_string().parse().as_ref(), Ok(path), "a path is spelt in one way");
    }
    let Ok(glob) = first.parse::<Glob>() else { return };
    assert_eq!(glob.as_str(), first, "a glob remembers how it was written");
    assert!(glob.weight() <= 16 << 10, "braces come to a bounded length");
    if let Some(path) = &path {
        walked(&glob, path);
        alternatives(&glob, path);
    }
});

/// Puts a backslash before all punctuation that a glob gives a meaning to, and before blanks.
fn escaped(path: &LogPath) -> String {
    let mut text = String::new();
    for character in path.to_string().chars() {
        if character.is_whitespace() || (character.is_ascii_punctuation() && !"./_\\".contains(character)) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// Checks that a walk, which enters only directories that the glob reaches beneath, comes to every path that matches.
fn walked(glob: &Glob, path: &LogPath) {
    let mut state = glob.start();
    let mut is_entered = true;
    for name in path.components() {
        is_entered &= glob.reaches_beneath(state);
        state = glob.step(state, name);
    }
    assert_eq!(glob.accepts(state), glob.matches(path));
    assert!(is_entered || !glob.matches(path), "{glob:?} matches {path} where no walk comes");
}

/// Checks that braces match what one of their alternatives matches, where all of them are next to each other.
fn alternatives(glob: &Glob, path: &LogPath) {
    let text = glob.as_str();
    let Some((alternatives, rest)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else { return };
    if alternatives.contains(['{', '\\', '[']) {
        return;
    }
    let written_out = alternatives.split(',').map(|alternative| format!("{alternative}{rest}").parse::<Glob>());
    // Braces keep apart what would be the syntax of another tool if it stood together, as in {a,}!(b).
    let Ok(each) = written_out.collect::<Result<Vec<_>, _>>() else { return };
    assert_eq!(glob.matches(path), each.iter().any(|glob| glob.matches(path)), "{glob:?} and {path}");
}
