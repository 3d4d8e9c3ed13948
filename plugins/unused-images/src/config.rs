//! The config: what the operator gives to this plugin, from JSON to a value that [`select`](crate::select())
//! can use, or everything that is wrong with it.

use std::fmt;

use holystone_core::pattern::Pattern;
use holystone_core::text::shown;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::scope::Rule;

/// The names of all fields.
pub const FIELDS: [&str; 6] = ["repositories", "keepLast", "keepTags", "dangling", "maxAge", "unusedFor"];

/// What to look for. Made by [`Config::parse`] only, so that it always makes sense.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub(crate) include: Vec<Rule>,
    pub(crate) exclude: Vec<Rule>,
    pub(crate) keep_last: usize,
    pub(crate) keep_tags: Vec<Pattern>,
    pub(crate) dangling: bool,
    /// Nanoseconds.
    pub(crate) max_age: Option<i64>,
    /// Nanoseconds.
    pub(crate) unused_for: Option<i64>,
}

impl Config {
    /// Reads a config.
    ///
    /// # Errors
    /// All that is wrong, each in one sentence that starts with the path of the field.
    pub fn parse(json: &str) -> Result<Self, Vec<String>> {
        let Fields(fields) = serde_json::from_str(json).map_err(|error| {
            vec![if error.is_data() {
                "config: must be an object such as {\"repositories\": [\"docker.io/minchou/*\"]}".to_owned()
            } else {
                format!("config: must be JSON: {error}")
            }]
        })?;
        let mut parser = Parser::default();
        for (index, (name, value)) in fields.iter().enumerate() {
            if fields[..index].iter().any(|(earlier, _)| earlier == name) {
                parser.error(&shown(name), "is given more than once");
            } else {
                parser.field(name, value);
            }
        }
        parser.finish()
    }
}

/// The fields in the order of the text; a map would silently drop all but the last of the same name.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[derive(Default)]
struct Parser {
    config: Config,
    errors: Vec<String>,
    /// There is an error about `repositories` already, so that none about its absence is called for.
    repositories_wrong: bool,
}

impl Parser {
    fn error(&mut self, path: &str, problem: impl fmt::Display) {
        self.errors.push(format!("{path}: {problem}"));
    }

    fn must_be(&mut self, path: &str, what: &str, found: &Value) {
        let found = shown(&found.to_string());
        self.error(path, format_args!("must be {what}, found {found}"));
    }

    fn field(&mut self, name: &str, value: &Value) {
        match name {
            "repositories" => self.repositories(value),
            "keepLast" => match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
                Some(number) => self.config.keep_last = number as usize,
                None => self.must_be(name, &format!("a whole number from 0 to {}", u32::MAX), value),
            },
            "keepTags" => self.keep_tags(value),
            "dangling" => match value.as_bool() {
                Some(dangling) => self.config.dangling = dangling,
                None => self.must_be(name, "true or false", value),
            },
            "maxAge" => self.config.max_age = self.duration(name, value),
            "unusedFor" => self.config.unused_for = self.duration(name, value),
            _ => match suggestion(name) {
                Some(field) => self.error(&shown(name), format_args!("there is no such field; did you mean {field}?")),
                None => self
                    .error(&shown(name), format_args!("there is no such field; the fields are {}", FIELDS.join(", "))),
            },
        }
    }

    fn repositories(&mut self, value: &Value) {
        let before = self.errors.len();
        match value {
            Value::Array(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    self.repository(&format!("repositories[{index}]"), entry);
                }
            }
            _ => self.must_be("repositories", "a list of image patterns", value),
        }
        self.repositories_wrong = self.errors.len() > before;
    }

    fn repository(&mut self, path: &str, value: &Value) {
        let Value::String(text) = value else {
            return self.must_be(path, "an image pattern in quotes such as \"docker.io/minchou/*\"", value);
        };
        let (list, text) = match text.strip_prefix('!') {
            Some(rest) => (&mut self.config.exclude, rest),
            None => (&mut self.config.include, text.as_str()),
        };
        match Rule::parse(text) {
            Ok(rule) => list.push(rule),
            Err(problem) => self.error(path, problem),
        }
    }

    fn keep_tags(&mut self, value: &Value) {
        let Value::Array(entries) = value else {
            return self.must_be("keepTags", "a list of tags", value);
        };
        for (index, entry) in entries.iter().enumerate() {
            // The tag of a pattern that takes every repository.
            let pattern = entry.as_str().filter(|tag| is_tag_glob(tag)).and_then(|tag| format!("*:{tag}").parse().ok());
            match pattern {
                Some(pattern) => self.config.keep_tags.push(pattern),
                None => self.must_be(
                    &format!("keepTags[{index}]"),
                    "a tag (letters, digits, '_', '.' and '-'; '*' and '?' stand for others), in quotes",
                    entry,
                ),
            }
        }
    }

    fn duration(&mut self, path: &str, value: &Value) -> Option<i64> {
        match value.as_str().map(nanoseconds) {
            Some(Some(nanoseconds)) if nanoseconds > 0 => i64::try_from(nanoseconds).ok().or_else(|| {
                self.must_be(path, "at most 106751d", value);
                None
            }),
            Some(Some(_)) => {
                self.must_be(path, "longer than zero", value);
                None
            }
            _ => {
                self.must_be(path, "a duration in quotes such as \"36h\", \"7d\" or \"30d12h\"", value);
                None
            }
        }
    }

    fn finish(mut self) -> Result<Config, Vec<String>> {
        if self.config.include.is_empty() && !self.config.dangling && !self.repositories_wrong {
            let problem = if self.config.exclude.is_empty() {
                "say which, [\"*\"] for all"
            } else {
                "says only what to leave out; add what to include, \"*\" for all"
            };
            self.error("repositories", problem);
        }
        if self.errors.is_empty() { Ok(self.config) } else { Err(self.errors) }
    }
}

fn is_tag_glob(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-*?".contains(&byte))
}

/// Reads whole numbers with units, largest unit first and each at most once, such as `30d12h`. A day is 24 hours;
/// there are no months and years, which have no fixed length. By hand, because jiff's parser would double the
/// size of the component and the time that a node takes to compile it.
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

/// The field that was probably meant: the same letters but for case, `-` and `_`, or at most two letters off.
fn suggestion(name: &str) -> Option<&'static str> {
    let plain = |text: &str| -> Vec<u8> {
        text.bytes().filter(|byte| !b"-_ ".contains(byte)).map(|byte| byte.to_ascii_lowercase()).collect()
    };
    if name.len() > 32 {
        return None;
    }
    let name = plain(name);
    let distances = FIELDS.into_iter().map(|field| (distance(&name, &plain(field)), field));
    let (distance, field) = distances.min()?;
    (distance <= 2 && name.len() > 2).then_some(field)
}

/// Levenshtein's: how many letters to add, drop or replace.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
