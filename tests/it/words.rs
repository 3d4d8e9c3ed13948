//! The words of the house: comments, names and pages as CONTRIBUTING.md asks for them.

use std::collections::BTreeMap;

use crate::tidy::{read, root, sources};

/// Words that no comment, page or message uses: the field has better ones.
const AVOIDED: [&str; 8] = ["somebody", "nobody", "whoever", "anew", "tells", "told", "goes on", "comes to"];
/// Plurals that open a comment as nouns and not as verbs.
const NOUNS: [&str; 14] = [
    "Bytes", "Files", "Images", "Its", "Less", "Names", "Nothing", "Others", "Plugins", "Rules", "This", "Times",
    "Was", "Whose",
];
/// Openings of a comment that leave its subject open.
const OPEN_SUBJECTS: [&str; 6] = ["What", "How", "Whether", "Of", "It", "With"];
/// Types that share a name, and why. Every other one has a name of its own.
const NAMED_TWICE: [(&str, &str); 25] = [
    ("Action", "private, or named by its module where both are seen"),
    ("Answer", "the same word of two crates or sides, each in its own sense"),
    ("Answered", "the same word of two crates or sides, each in its own sense"),
    ("Batch", "private, or named by its module where both are seen"),
    ("Clock", "the same word of two crates or sides, each in its own sense"),
    ("Engine", "the same word of two crates or sides, each in its own sense"),
    ("Found", "the same word of two crates or sides, each in its own sense"),
    ("GuardRails", "as the manifest or a flag says it, and as it is carried out"),
    ("HostResult", "the same word of two crates or sides, each in its own sense"),
    ("Kind", "private, or named by its module where both are seen"),
    ("LastRun", "the same word of two crates or sides, each in its own sense"),
    ("Limits", "the same word of two crates or sides, each in its own sense"),
    ("Memory", "the same word of two crates or sides, each in its own sense"),
    ("Mode", "as the manifest or a flag says it, and as it is carried out"),
    ("Node", "private, or named by its module where both are seen"),
    ("Observed", "the same word of two crates or sides, each in its own sense"),
    ("Pace", "as the manifest or a flag says it, and as it is carried out"),
    ("Plugin", "as the manifest or a flag says it, and as it is carried out"),
    ("Prepared", "the same word of two crates or sides, each in its own sense"),
    ("Pressure", "as the manifest or a flag says it, and as it is carried out"),
    ("Problem", "the same word of two crates or sides, each in its own sense"),
    ("Reach", "private, or named by its module where both are seen"),
    ("Reason", "the same word of two crates or sides, each in its own sense"),
    ("State", "private, or named by its module where both are seen"),
    ("Walk", "the same word of two crates or sides, each in its own sense"),
];
/// The code of the host and of the shipped plugins by file, without tests.
fn code() -> impl Iterator<Item = (String, String)> {
    let files = ["host", "plugins"].into_iter().flat_map(sources);
    files.filter(|file| !file.contains("/tests")).map(|file| {
        let text = read(&file);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
        (file, code)
    })
}

/// The text of a comment of its own line.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start().strip_prefix("//")?;
    Some(line.trim_start_matches(['/', '!']).trim_start())
}

/// Returns whether a line begins a function.
fn is_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub")
            || word.starts_with("in") && word.ends_with(')')
            || ["const", "async", "unsafe"].contains(word)
    });
    words.next() == Some("fn")
}

/// The first sentence of the doc comment above a line.
fn doc<'a>(lines: &[&'a str], at: usize) -> Option<&'a str> {
    let above = lines[..at].iter().rev().map(|line| line.trim_start());
    let mut docs =
        above.skip_while(|line| line.starts_with("#[") || *line == ")]").take_while(|line| line.starts_with("///"));
    docs.by_ref().last().map(|line| line.trim_start_matches('/').trim_start())
}

fn opens_with_a_verb(sentence: &str) -> bool {
    let word = sentence.split_whitespace().next().unwrap_or_default().trim_end_matches(['.', ',', ':', ';']);
    let is_word = word.starts_with(|first: char| first.is_ascii_uppercase())
        && word[1..].chars().all(|letter| letter.is_ascii_lowercase());
    is_word && word.ends_with('s') && !NOUNS.contains(&word)
}

#[test]
fn functions_are_described_by_verbs() {
    let (mut all, mut others) = (0, Vec::new());
    for (file, text) in code() {
        let lines: Vec<&str> = text.lines().collect();
        for at in (0..lines.len()).filter(|at| is_function(lines[*at])) {
            let Some(sentence) = doc(&lines, at) else { continue };
            all += 1;
            if !opens_with_a_verb(sentence) {
                others.push(format!("{file}:{}: {sentence}", at + 1));
            }
        }
    }
    assert!(all > 900, "{all}");
    let share = 100 - others.len() * 100 / all;
    assert!(
        share >= 90,
        "{share} % of {all} functions are described by what they do; not these:\n{}",
        others.join("\n")
    );
}

#[test]
fn comments_name_their_subject_and_avoid_private_words() {
    let mut found = Vec::new();
    for (file, text) in code() {
        let mut before = false;
        for (at, line) in text.lines().enumerate() {
            let words = comment(line);
            if let Some(words) = words {
                let first = words.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
                let is_open = !before && OPEN_SUBJECTS.contains(&first);
                if is_open || avoided(words).is_some() {
                    found.push(format!("{file}:{}: {words}", at + 1));
                }
            }
            before = words.is_some();
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Returns the first avoided word of a text.
fn avoided(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase();
    let is_apart = |at: usize, word: &str| {
        let around = [text[..at].chars().next_back(), text[at + word.len()..].chars().next()];
        around.iter().flatten().all(|letter| !letter.is_alphanumeric() && *letter != '_')
    };
    AVOIDED.into_iter().find(|word| text.match_indices(word).any(|(at, word)| is_apart(at, word)))
}

#[test]
fn pages_avoid_private_words() {
    let mut pages: Vec<String> = Vec::new();
    for directory in [
        "",
        "docs",
        "docs/decisions",
        "deploy",
        "examples",
        "wit",
        "plugins/log-retention",
        "plugins/orphan-pod-logs",
        "plugins/unused-images",
    ] {
        for entry in std::fs::read_dir(root().join(directory)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if [".md", ".wit"].iter().any(|ending| name.ends_with(ending)) {
                pages.push(format!("{directory}/{name}").trim_start_matches('/').to_owned());
            }
        }
    }
    assert!(pages.len() > 50, "{pages:?}");
    let mut found = Vec::new();
    for page in pages {
        for (at, line) in read(&page).lines().enumerate() {
            // Names of tests are quoted in code.
            let words: String = line.split('`').step_by(2).collect();
            if let Some(word) = avoided(&words) {
                found.push(format!("{page}:{}: {word}: {line}", at + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_two_types_of_the_host_have_one_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in code().filter(|(file, _)| file.starts_with("host/")) {
        for line in text.lines() {
            // The views of objects are written within a macro.
            let line = line.strip_prefix("    ").filter(|line| line.starts_with("pub struct ")).unwrap_or(line);
            let mut words = line.split(' ').skip_while(|word| word.starts_with("pub"));
            let is_type = words.next().is_some_and(|word| ["struct", "enum", "trait", "type", "union"].contains(&word));
            let name = words.next().unwrap_or_default();
            let name = name.split(|letter: char| !letter.is_ascii_alphanumeric()).next().unwrap_or_default();
            if is_type && !name.is_empty() {
                places.entry(name.to_owned()).or_default().push(file.clone());
            }
        }
    }
    assert!(places.len() > 300, "{}", places.len());
    let allowed: BTreeMap<&str, &str> = NAMED_TWICE.into();
    let twice: Vec<String> = places
        .iter()
        .filter(|(name, files)| files.len() > 1 && !allowed.contains_key(name.as_str()))
        .map(|(name, files)| format!("{name}: {}", files.join(", ")))
        .collect();
    assert!(twice.is_empty(), "{}", twice.join("\n"));
    for (name, _) in allowed {
        assert!(places.get(name).is_some_and(|files| files.len() > 1), "{name} has one place only");
    }
}
