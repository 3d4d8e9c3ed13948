//! The config that the operator gives to this plugin: its parser from JSON to a value that [`select`](crate::select())
//! can use, or to all errors in it.

use holystone_core::config::{Json, Problem, Problems};
use holystone_core::pattern::Pattern;
use holystone_core::text::shown;

use crate::scope::Rule;
use crate::tag_pattern::TagPattern;

/// Names of all fields.
pub const FIELDS: [&str; 7] = ["repositories", "keepLast", "order", "keepTags", "dangling", "maxAge", "unusedFor"];

/// The order by which `keepLast` finds the newest images.
#[derive(Clone, Debug, Default)]
pub(crate) enum Order {
    /// Order by the version or date in the tag; if a tag has neither, by the time when the image was first seen.
    #[default]
    Version,
    /// Order by the time when the image was first seen.
    FirstSeen,
    /// Order by the number in the tag, at the place that the pattern gives; other tags as by default.
    ByTag(TagPattern),
}

/// A valid config. Only [`Config::parse`] builds one.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub(crate) include: Vec<Rule>,
    pub(crate) exclude: Vec<Rule>,
    pub(crate) keep_last: usize,
    pub(crate) order: Order,
    pub(crate) keep_tags: Vec<Pattern>,
    pub(crate) dangling: bool,
    /// Nanoseconds.
    pub(crate) max_age: Option<i64>,
    /// Nanoseconds.
    pub(crate) unused_for: Option<i64>,
}

impl Config {
    /// Parses a config.
    ///
    /// # Errors
    /// Returns all errors, each with the path of its field.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let fields = Json::config(json, "{\"repositories\": [\"docker.io/minchou/*\"]}")?;
        let mut parser = Parser::default();
        let values = parser.problems.fields("", &fields, FIELDS);
        for (name, value) in FIELDS.iter().zip(values) {
            if let Some(value) = value {
                parser.field(name, value);
            }
        }
        parser.finish()
    }
}

#[derive(Default)]
struct Parser {
    config: Config,
    problems: Problems,
    /// Set when there is an error about `repositories` already, so that its absence is not reported as well.
    repositories_wrong: bool,
}

impl Parser {
    fn field(&mut self, name: &str, value: &Json) {
        match name {
            "repositories" => self.repositories(value),
            "keepLast" => {
                let count = self.problems.count(name, value);
                self.config.keep_last = count.map_or(0, |number| number as usize);
            }
            "order" => self.order(value),
            "keepTags" => self.keep_tags(value),
            "dangling" => self.config.dangling = self.problems.flag(name, value),
            "maxAge" => self.config.max_age = self.duration(name, value),
            _ => self.config.unused_for = self.duration(name, value),
        }
    }

    fn repositories(&mut self, value: &Json) {
        let before = self.problems.clone();
        for (index, entry) in self.problems.items("repositories", "a list of image patterns", value).iter().enumerate()
        {
            self.repository(index, entry);
        }
        self.repositories_wrong = self.problems != before;
    }

    fn repository(&mut self, index: usize, value: &Json) {
        let path = format!("repositories[{index}]");
        let Json::Text(text) = value else {
            return self.problems.must_be(&path, "an image pattern in quotes such as \"docker.io/minchou/*\"", value);
        };
        let (list, text) = match text.strip_prefix('!') {
            Some(rest) => (&mut self.config.exclude, rest),
            None => (&mut self.config.include, text.as_str()),
        };
        match Rule::parse(index, text) {
            Ok(rule) => list.push(rule),
            Err(problem) => self.problems.add(&path, problem),
        }
    }

    fn order(&mut self, value: &Json) {
        self.config.order = match value {
            Json::Text(text) if text == "version" => Order::Version,
            Json::Text(text) if text == "firstSeen" => Order::FirstSeen,
            Json::Object(fields) => {
                let pattern = self.order_by_tag(fields);
                pattern.map_or(Order::Version, Order::ByTag)
            }
            _ => {
                let what = "\"version\", \"firstSeen\" or {\"byTag\": PATTERN}, such as {\"byTag\": \"main-*-#\"}";
                self.problems.must_be("order", what, value);
                Order::Version
            }
        };
    }

    fn order_by_tag(&mut self, fields: &[(String, Json)]) -> Option<TagPattern> {
        let before = self.problems.clone();
        let [value] = self.problems.fields("order", fields, ["byTag"]);
        let Some(value) = value else {
            if self.problems == before {
                self.problems.add("order", "is empty; say {\"byTag\": \"main-*-#\"}, or leave it out");
            }
            return None;
        };
        let Json::Text(text) = value else {
            self.problems.must_be("order.byTag", "a tag in quotes such as \"main-*-#\"", value);
            return None;
        };
        let pattern = TagPattern::parse(text).map_err(|problem| format!("{text:?} {problem}"));
        pattern.map_err(|problem| self.problems.add("order.byTag", shown(&problem))).ok()
    }

    fn keep_tags(&mut self, value: &Json) {
        for (index, entry) in self.problems.items("keepTags", "a list of tags", value).iter().enumerate() {
            let tag = match entry {
                Json::Text(tag) => Some(tag).filter(|tag| is_tag_glob(tag)),
                _ => None,
            };
            // The glob becomes the tag of a pattern that matches every repository.
            match tag.and_then(|tag| format!("*:{tag}").parse().ok()) {
                Some(pattern) => self.config.keep_tags.push(pattern),
                None => self.problems.must_be(
                    &format!("keepTags[{index}]"),
                    "a tag (letters, digits, '_', '.' and '-'; '*' and '?' stand for others), in quotes",
                    entry,
                ),
            }
        }
    }

    fn duration(&mut self, path: &str, value: &Json) -> Option<i64> {
        let text = match value {
            Json::Text(text) => Some(text),
            _ => None,
        };
        match text.map(|text| nanoseconds(text)) {
            Some(Some(nanoseconds)) if nanoseconds > 0 => i64::try_from(nanoseconds).ok().or_else(|| {
                self.problems.must_be(path, "at most 106751d", value);
                None
            }),
            Some(Some(_)) => {
                self.problems.must_be(path, "longer than zero", value);
                None
            }
            _ => {
                self.problems.must_be(path, "a duration in quotes such as \"36h\", \"7d\" or \"30d12h\"", value);
                None
            }
        }
    }

    fn finish(mut self) -> Result<Config, Vec<Problem>> {
        if self.config.include.is_empty() && !self.config.dangling && !self.repositories_wrong {
            let problem = if self.config.exclude.is_empty() {
                "say which, [\"*\"] for all"
            } else {
                "says only what to leave out; add what to include, \"*\" for all"
            };
            self.problems.add("repositories", problem);
        } else if self.config.include.is_empty() && !self.config.keep_tags.is_empty() && !self.repositories_wrong {
            let problem = "has no effect: without repositories only images that have no tag are removed; leave it out, or say which repositories";
            self.problems.add("keepTags", problem);
        }
        self.problems.finish(self.config)
    }
}

fn is_tag_glob(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-*?".contains(&byte))
}

/// Parses whole numbers with units, largest unit first and each at most once, such as `30d12h`. A day is 24 hours;
/// there are no months and years, which have no fixed length. The parser is written by hand, because jiff's would
/// double the size of the component and the time that a node takes to compile it.
fn nanoseconds(text: &str) -> Option<u128> {
    const UNITS: [(&str, u128); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut units = UNITS.as_slice();
    let mut total = 0;
    let mut rest = text;
    while !rest.is_empty() || units.len() == UNITS.len() {
        let (number, after) = rest.split_at(rest.find(|character: char| !character.is_ascii_digit())?);
        let place = units.iter().position(|(unit, _)| after.starts_with(unit))?;
        total += u128::from(number.parse::<u64>().ok()?) * units[place].1;
        units = &units[place + 1..];
        rest = &after[1..];
    }
    Some(total * 1_000_000_000)
}

#[cfg(test)]
mod tests;
