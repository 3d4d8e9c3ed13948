//! What the pages promise of what stays, and the tests that hold it: `docs/promises.md` names them for each sentence.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use crate::tidy::{read, root, sources};

const TABLE: &str = "docs/promises.md";

/// Words that leave no exception.
const WHOLE: [&str; 9] = ["never", "no", "nothing", "none", "nobody", "all", "every", "everything", "always"];

/// Beginnings of words about what stays and what goes.
const REMOVAL: [&str; 18] = [
    "remov", "stay", "keep", "kept", "goes", "go", "gone", "touch", "truncat", "cut", "protect", "delet", "refus",
    "reject", "lift", "wish", "propos", "take",
];

/// The pages that make promises. On those of the first kind every sentence counts that leaves no exception.
fn pages() -> Vec<(String, bool)> {
    let plugins = fs::read_dir(root().join("plugins")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<String> = plugins
        .filter(|path| path.join("README.md").exists())
        .map(|path| format!("plugins/{}/README.md", path.file_name().unwrap().to_str().unwrap()))
        .collect();
    pages.sort();
    assert!(pages.len() >= 3, "{pages:?}");
    let pages = ["README.md".to_owned()].into_iter().chain(pages).map(|page| (page, false));
    [("GUARD_RAILS.md".to_owned(), true)].into_iter().chain(pages).collect()
}

/// A sentence of a page, and whether it is an item of a list under a heading that says `never`.
struct Sentence {
    text: String,
    is_listed: bool,
}

/// The sentences of a page: of its lines, the items of its lists and the cells of its tables, without headings and code.
fn sentences(page: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    let (mut is_code, mut promises) = (false, false);
    for line in page.lines().map(str::trim) {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if line.starts_with('#') && !is_code {
            promises = words(line).any(|word| word == "never");
        } else if !is_code {
            let (item, is_item) = item(line);
            let cells = if line.starts_with('|') { item.replace("\\|", "\u{0}") } else { item.to_owned() };
            for cell in cells.split(if line.starts_with('|') { '|' } else { '\u{1}' }) {
                for text in cell.split_inclusive(". ").map(str::trim).filter(|text| !text.is_empty()) {
                    found.push(Sentence { text: text.replace('\u{0}', "\\|"), is_listed: is_item && promises });
                }
            }
        }
    }
    found
}

/// A line without the sign of a list, and whether it had one.
fn item(line: &str) -> (&str, bool) {
    let numbered = line.split_once(". ").filter(|(number, _)| number.parse::<u32>().is_ok());
    match line.strip_prefix("- ").or(numbered.map(|(_, rest)| rest)) {
        Some(rest) => (rest, true),
        None => (line, false),
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let is_end = |character: char| !character.is_alphanumeric();
    text.split(is_end).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn is_promise(sentence: &Sentence, all_count: bool) -> bool {
    let is_whole = words(&sentence.text).any(|word| WHOLE.contains(&word.as_str()));
    let is_about_removal = words(&sentence.text).any(|word| REMOVAL.iter().any(|start| word.starts_with(start)));
    sentence.is_listed || is_whole && (all_count || is_about_removal)
}

/// A row of the table: the page, the sentence, and what stands beside it.
struct Row {
    page: String,
    sentence: String,
    held_by: String,
}

fn table() -> Vec<Row> {
    let mut page = String::new();
    let mut rows = Vec::new();
    for line in read(TABLE).lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut page);
        } else if let Some((sentence, held_by)) = line.strip_prefix("- ").and_then(|row| row.rsplit_once(" — ")) {
            rows.push(Row { page: page.clone(), sentence: sentence.to_owned(), held_by: held_by.to_owned() });
        }
    }
    rows
}

/// The names of all tests in the sources.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["host", "plugins", "tests"].into_iter().flat_map(sources) {
        let text = read(&file);
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let function = line.strip_prefix("async fn ").or(line.strip_prefix("fn "));
            if let Some(function) = function.filter(|_| std::mem::take(&mut is_test)) {
                names.insert(function.split('(').next().unwrap().to_owned());
            }
        }
    }
    names
}

#[test]
fn every_promise_names_the_tests_that_hold_it() {
    let (rows, tests) = (table(), tests());
    assert!(tests.len() > 400, "{}", tests.len());
    let mut problems = String::new();
    for (page, all_count) in pages() {
        let sentences = sentences(&read(&page));
        for sentence in sentences.iter().filter(|sentence| is_promise(sentence, all_count)) {
            if !rows.iter().any(|row| row.page == page && row.sentence == sentence.text) {
                writeln!(problems, "{TABLE} lacks, under {page}:\n- {} — `test`", sentence.text).unwrap();
            }
        }
        for row in rows.iter().filter(|row| row.page == page) {
            if !sentences.iter().any(|sentence| sentence.text == row.sentence) {
                writeln!(problems, "{page} does not say any more: {}", row.sentence).unwrap();
            }
        }
    }
    for row in &rows {
        let names: Vec<&str> = row.held_by.split('`').skip(1).step_by(2).collect();
        if names.is_empty() && !row.held_by.starts_with("promises nothing: ") {
            writeln!(problems, "{TABLE}: no test holds: {}", row.sentence).unwrap();
        }
        for name in names.iter().filter(|name| !tests.contains(**name)) {
            writeln!(problems, "{TABLE}: there is no test {name}, which is to hold: {}", row.sentence).unwrap();
        }
        if !pages().iter().any(|(page, _)| *page == row.page) {
            writeln!(problems, "{TABLE}: {} is no page that makes promises", row.page).unwrap();
        }
    }
    assert!(problems.is_empty(), "{problems}");
}

#[test]
fn promises_are_found_in_every_part_of_a_page() {
    let page = "\
# Never here
- an item under never;
## Other
- An item. Nothing is removed. All is well.
1. No image goes.
| a | Every image stays. |
| `x\\|y` never goes | – |
```
nothing is removed
```
It nevertheless goes, noted.
";
    let found = |all_count| -> Vec<String> {
        let sentences = sentences(page).into_iter();
        sentences.filter(|sentence| is_promise(sentence, all_count)).map(|sentence| sentence.text).collect()
    };
    let about_removal =
        ["an item under never;", "Nothing is removed.", "No image goes.", "Every image stays.", "`x\\|y` never goes"];
    assert_eq!(found(false), about_removal);
    assert!(found(true).contains(&"All is well.".to_owned()) && found(true).len() == 6);
}
