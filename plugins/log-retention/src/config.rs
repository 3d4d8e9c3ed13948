//! The config that the operator gives to this plugin: its parser from JSON to valid values, or to all errors in it.

use holystone_core::config::{Json, Problem, Problems};
use holystone_core::logs::Glob;
use holystone_core::manifest::{Bytes, Duration, Percent};

/// A valid config. Only [`Config::parse`] builds one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Rules, in the order in which they are applied.
    pub rules: Vec<Rule>,
    /// Space that has to be free. Without a goal, every rule is applied to its end.
    pub goal: Goal,
}

/// The space that has to be free on the filesystem of each log root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Goal {
    /// Minimum of free bytes; as a share, of free inodes as well unless `min_free_inodes` is set.
    pub min_free: Option<MinFree>,
    /// Minimum of free inodes.
    pub min_free_inodes: Option<MinFreeInodes>,
}

/// A rule: the files or empty directories that it covers, and the limits beyond which they are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Names of log roots; empty for all.
    pub roots: Vec<String>,
    /// Set when the rule is about empty directories, and not about files.
    pub is_of_directories: bool,
    /// Globs of entries that the rule covers.
    pub include: Vec<String>,
    /// Globs of entries that the rule leaves out.
    pub exclude: Vec<String>,
    /// Kind of each glob in the order in which they were written: set for one of `exclude`.
    pub signs: Vec<bool>,
    /// Maximum age of a file.
    pub max_age: Option<Duration>,
    /// Maximum size of the files of a group together, on disk.
    pub max_total_size: Option<Bytes>,
    /// Number of the newest files of a group that stay in any case.
    pub keep_newest: Option<u32>,
    /// Grouping of the files.
    pub per: Per,
    /// Set when files that are in use are truncated.
    pub truncate_open: bool,
}

/// The grouping of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// A group for each log root.
    #[default]
    Root,
    /// A group for each directory.
    Directory,
}

/// The space that has to be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinFree {
    /// Number of bytes.
    Bytes(Bytes),
    /// Share of the filesystem.
    Share(Percent),
}

/// The inodes that have to be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinFreeInodes {
    /// Number of inodes.
    Number(u32),
    /// Share of the inodes that the filesystem has.
    Share(Percent),
}

const EXAMPLE: &str = r#"{"rules": [{"files": ["**/*.log.*"], "maxAge": "7d"}]}"#;
const BYTES: &str = "a size in quotes such as \"512Mi\", \"10Gi\" or \"1.5G\"";
const DURATION: &str = "a duration in quotes such as \"36h\", \"7d\" or \"30d12h\"";

impl Config {
    /// Parses a config.
    ///
    /// # Errors
    /// Returns all errors, each with the path of its field.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let fields = Json::config(json, EXAMPLE)?;
        let mut problems = Problems::default();
        let [rules, min_free, inodes] = problems.fields("", &fields, ["rules", "minFree", "minFreeInodes"]);
        let goal = Goal {
            min_free: min_free.and_then(|value| min_free_of(&mut problems, value)),
            min_free_inodes: inodes.and_then(|value| min_free_inodes_of(&mut problems, value)),
        };
        let mut config = Self { rules: Vec::new(), goal };
        match rules {
            None => problems.add("rules", "is missing; give at least one rule"),
            Some(value) => {
                let rules = problems.items("rules", "a list of rules", value);
                if matches!(value, Json::List(items) if items.is_empty()) {
                    problems.add("rules", "is empty; give at least one rule");
                }
                for (place, value) in rules.iter().enumerate() {
                    config.rules.extend(rule(&mut problems, &format!("rules[{place}]"), value));
                }
            }
        }
        problems.finish(config)
    }
}

fn min_free_of(problems: &mut Problems, value: &Json) -> Option<MinFree> {
    let what = "a size in quotes such as \"20Gi\", or a share such as \"15%\"";
    match value {
        Json::Text(text) if text.ends_with('%') => problems.parsed("minFree", what, value).map(MinFree::Share),
        _ => problems.parsed("minFree", what, value).map(MinFree::Bytes),
    }
}

fn min_free_inodes_of(problems: &mut Problems, value: &Json) -> Option<MinFreeInodes> {
    let what = "a number of inodes such as 100000, or a share in quotes such as \"10%\"";
    match value {
        Json::Number(number) => {
            let number = number.as_u64().and_then(|number| u32::try_from(number).ok());
            if number.is_none() {
                problems.must_be("minFreeInodes", what, value);
            }
            number.map(MinFreeInodes::Number)
        }
        _ => problems.parsed("minFreeInodes", what, value).map(MinFreeInodes::Share),
    }
}

fn rule(problems: &mut Problems, path: &str, value: &Json) -> Option<Rule> {
    let Json::Object(fields) = value else {
        problems.must_be(path, "an object such as {\"files\": [\"**/*.log.*\"], \"maxAge\": \"7d\"}", value);
        return None;
    };
    let known = ["roots", "files", "emptyDirectories", "maxAge", "maxTotalSize", "keepNewest", "per", "truncateOpen"];
    let [roots, files, directories, max_age, max_total_size, keep_newest, per, truncate_open] =
        problems.fields(path, fields, known);
    let at = |field: &str| format!("{path}.{field}");
    let mut rule = Rule { is_of_directories: directories.is_some(), ..Rule::default() };
    match (files, directories) {
        (Some(_), Some(_)) => {
            problems
                .add(path, "has files and emptyDirectories; make two rules of them, which are followed in their order");
        }
        (Some(value), None) => globs(problems, &at("files"), value, &mut rule),
        (None, Some(value)) => globs(problems, &at("emptyDirectories"), value, &mut rule),
        (None, None) => problems.add(&at("files"), "is missing; [\"**\"] is every file"),
    }
    if directories.is_some() {
        let others = [max_total_size, keep_newest, per, truncate_open];
        let given = known.iter().skip(4).zip(others).filter_map(|(field, value)| value.map(|_| *field));
        for field in given {
            problems.add(&at(field), "means nothing for emptyDirectories, of which all go that are older than maxAge");
        }
    }
    if let Some(value) = roots {
        rule.roots = problems.names(&at("roots"), "the name of a log root", value);
    }
    rule.max_age = max_age.and_then(|value| age(problems, &at("maxAge"), value));
    rule.max_total_size = max_total_size.and_then(|value| problems.parsed(&at("maxTotalSize"), BYTES, value));
    rule.keep_newest = keep_newest.and_then(|value| problems.count(&at("keepNewest"), value));
    rule.per = per.map(|value| group(problems, &at("per"), value)).unwrap_or_default();
    rule.truncate_open = truncate_open.is_some_and(|value| problems.flag(&at("truncateOpen"), value));
    if directories.is_none() && max_age.is_none() && max_total_size.is_none() && keep_newest.is_none() {
        problems.add(path, "says nothing about what is too much; give maxAge, maxTotalSize or keepNewest");
    }
    Some(rule)
}

fn globs(problems: &mut Problems, path: &str, value: &Json, rule: &mut Rule) {
    let before = problems.clone();
    for (place, item) in problems.items(path, "a list of globs", value).iter().enumerate() {
        let path = format!("{path}[{place}]");
        let Json::Text(text) = item else {
            problems.must_be(&path, "a glob in quotes such as \"**/*.log.*\"", item);
            continue;
        };
        // A ! before a parenthesis is the beginning of !(a), which the grammar refuses with a sentence of its own.
        let left_out = text.strip_prefix('!').filter(|glob| !glob.starts_with('('));
        let (list, glob) = match left_out {
            Some(glob) => (&mut rule.exclude, glob),
            None => (&mut rule.include, text.as_str()),
        };
        match glob.parse::<Glob>() {
            Ok(_) => {
                list.push(glob.to_owned());
                rule.signs.push(left_out.is_some());
            }
            Err(error) => problems.add(&path, error),
        }
    }
    if rule.include.is_empty() && *problems == before {
        problems.add(path, "says only what to leave out, or nothing; add what to include, \"**\" for all");
    }
}

fn age(problems: &mut Problems, path: &str, value: &Json) -> Option<Duration> {
    let age = problems.parsed(path, DURATION, value);
    if age == Some(Duration::default()) {
        problems.must_be(path, "longer than zero", value);
    }
    age
}

fn group(problems: &mut Problems, path: &str, value: &Json) -> Per {
    match value {
        Json::Text(text) if text == "directory" => Per::Directory,
        Json::Text(text) if text == "root" => Per::Root,
        _ => {
            problems.must_be(path, "\"root\" or \"directory\"", value);
            Per::default()
        }
    }
}

#[cfg(test)]
mod tests;
