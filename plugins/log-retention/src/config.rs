//! The config: what the operator gives to this plugin, from JSON to values that make sense, or everything that is wrong
//! with it.

use holystone_core::config::{Json, Problem, Problems};
use holystone_core::logs::Glob;
use holystone_core::manifest::{Bytes, Duration, Percent};

/// What to look for. Made by [`Config::parse`] only, so that it always makes sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// In the order in which they are followed.
    pub rules: Vec<Rule>,
    /// How much has to be free. Without any of it every rule is followed to its end.
    pub goal: Goal,
}

/// How much has to be free on the filesystem of each log root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Goal {
    /// In bytes; as a share, in inodes as well.
    pub min_free: Option<MinFree>,
    /// In inodes.
    pub min_free_inodes: Option<MinFreeInodes>,
}

/// Which files to keep, and which not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Names of log roots; empty for all.
    pub roots: Vec<String>,
    /// Whether it is about empty directories, and not about files.
    pub is_of_directories: bool,
    /// Globs of what it is about.
    pub include: Vec<String>,
    /// Globs of what it is not about.
    pub exclude: Vec<String>,
    /// In the order in which they were written, whether each glob is of the second kind.
    pub signs: Vec<bool>,
    /// How old a file may get.
    pub max_age: Option<Duration>,
    /// How much the files of a group may take on disk together.
    pub max_total_size: Option<Bytes>,
    /// How many of the newest files of a group stay, whatever else is said.
    pub keep_newest: Option<u32>,
    /// What makes a group.
    pub per: Per,
    /// Cut files that a process holds open.
    pub truncate_open: bool,
}

/// What makes a group of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// One log root.
    #[default]
    Root,
    /// One directory.
    Directory,
}

/// How much has to be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinFree {
    /// So much.
    Bytes(Bytes),
    /// This share of the filesystem.
    Share(Percent),
}

/// How many inodes have to be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinFreeInodes {
    /// So many.
    Number(u32),
    /// This share of those that the filesystem has.
    Share(Percent),
}

const EXAMPLE: &str = r#"{"rules": [{"files": ["**/*.log.*"], "maxAge": "7d"}]}"#;
const BYTES: &str = "a size in quotes such as \"512Mi\", \"10Gi\" or \"1.5G\"";
const DURATION: &str = "a duration in quotes such as \"36h\", \"7d\" or \"30d12h\"";

impl Config {
    /// Reads a config.
    ///
    /// # Errors
    /// All that is wrong, each with the path of its field.
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
        // A ! before a bracket is the beginning of !(a), which the grammar has a sentence for.
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
