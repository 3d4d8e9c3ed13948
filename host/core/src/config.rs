//! Parsing of the configs of shipped plugins. Parsing is strict, and reports all problems together, each with the path
//! of its field.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::text::{closest, shown};

/// A JSON value as it was written. A map would silently drop all but the last of fields with the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses a config, which must be an object.
    ///
    /// # Errors
    /// Fails with a problem, if the text is not JSON or not an object. For the latter, the problem shows the example.
    pub fn config(json: &str, example: &str) -> Result<Vec<(String, Self)>, Vec<Problem>> {
        let whole = |message| Err(vec![Problem { field: String::new(), message }]);
        match serde_json::from_str(json) {
            Ok(Self::Object(fields)) => Ok(fields),
            Ok(_) => whole(format!("must be an object such as {example}")),
            Err(error) => whole(format!("must be JSON: {error}")),
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(_) => f.write_str("a list"),
            Self::Object(_) => f.write_str("an object"),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsWritten)
    }
}

struct AsWritten;

impl<'de> Visitor<'de> for AsWritten {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

/// A problem of a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, for example `keepLast`; empty for the config as a whole.
    pub field: String,
    /// Description of the problem, in a sentence without the path.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "config" } else { &self.field };
        write!(f, "{field}: {}", self.message)
    }
}

impl Problem {
    /// Joins several problems into one line.
    pub fn line(problems: &[Self]) -> String {
        problems.iter().map(Self::to_string).collect::<Vec<_>>().join("; ")
    }
}

/// The problems of a config that were found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem.
    pub fn add(&mut self, path: &str, problem: impl fmt::Display) {
        self.0.push(Problem { field: path.to_owned(), message: problem.to_string() });
    }

    /// Adds the problem that a value is not what it must be.
    pub fn must_be(&mut self, path: &str, what: &str, found: &Json) {
        if let Json::Text(text) = found
            && what.starts_with("a duration")
            && !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
        {
            return self.add(
                path,
                format_args!("has no unit: write for example \"{text}d\" or \"{text}h\", found \"{text}\""),
            );
        }
        self.add(path, format_args!("must be {what}, found {}", shown(&found.to_string())));
    }

    /// Returns the known fields of an object, in the order of `known`. Unknown and repeated fields are reported as
    /// problems.
    pub fn fields<'a, const N: usize>(
        &mut self,
        path: &str,
        fields: &'a [(String, Json)],
        known: [&str; N],
    ) -> [Option<&'a Json>; N] {
        let mut found = [None; N];
        for (name, value) in fields {
            let at = if path.is_empty() { shown(name) } else { format!("{path}.{}", shown(name)) };
            match known.iter().position(|field| field == name) {
                Some(place) if found[place].is_some() => self.add(&at, "is given more than once"),
                Some(place) => found[place] = Some(value),
                None => match closest(name, known) {
                    Some(meant) => self.add(&at, format_args!("there is no such field; did you mean {meant}?")),
                    None => self.add(&at, format_args!("there is no such field; the fields are {}", known.join(", "))),
                },
            }
        }
        found
    }

    /// Parses a text into a value, for example into a duration.
    pub fn parsed<T: FromStr>(&mut self, path: &str, what: &str, value: &Json) -> Option<T> {
        let parsed = match value {
            Json::Text(text) => text.parse().ok(),
            _ => None,
        };
        if parsed.is_none() {
            self.must_be(path, what, value);
        }
        parsed
    }

    /// Reads `true` or `false`.
    pub fn flag(&mut self, path: &str, value: &Json) -> bool {
        let Json::Bool(flag) = value else {
            self.must_be(path, "true or false", value);
            return false;
        };
        *flag
    }

    /// Reads a count, which is a whole number.
    pub fn count(&mut self, path: &str, value: &Json) -> Option<u32> {
        let number = match value {
            Json::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            _ => None,
        };
        if number.is_none() {
            self.must_be(path, &format!("a whole number from 0 to {}", u32::MAX), value);
        }
        number
    }

    /// Reads the items of a list.
    pub fn items<'a>(&mut self, path: &str, what: &str, value: &'a Json) -> &'a [Json] {
        let Json::List(items) = value else {
            self.must_be(path, what, value);
            return &[];
        };
        items
    }

    /// Reads a list of texts, none of them empty, such as names. An empty list is a problem: leaving it out means the
    /// same.
    pub fn names(&mut self, path: &str, what: &str, value: &Json) -> Vec<String> {
        let items = self.items(path, &format!("a list, each item being {what}"), value);
        if items.is_empty() && matches!(value, Json::List(_)) {
            self.add(path, "is empty; leave it out for all of them");
        }
        let mut names = Vec::new();
        for (place, item) in items.iter().enumerate() {
            match item {
                Json::Text(name) if !name.is_empty() => names.push(name.clone()),
                _ => self.must_be(&format!("{path}[{place}]"), &format!("{what}, in quotes"), item),
            }
        }
        names
    }

    /// Returns whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the config, or all its problems.
    ///
    /// # Errors
    /// Fails with the problems.
    pub fn finish<T>(self, config: T) -> Result<T, Vec<Problem>> {
        if self.is_empty() { Ok(config) } else { Err(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(problems: Problems) -> Vec<String> {
        problems.finish(()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_no_object_is_told() {
        let problem = |json| Json::config(json, "{}").unwrap_err().remove(0).to_string();
        assert_eq!(problem("[]"), "config: must be an object such as {}");
        assert!(problem("{").starts_with("config: must be JSON: "));
        assert!(problem(r#"{"a":1} x"#).starts_with("config: must be JSON: "));
    }

    #[test]
    fn every_value_is_kept_as_it_was_written() {
        let fields = Json::config(r#"{"a":[1,-2,0.5,null,true,"x"],"b":{"c":1,"c":2}}"#, "").unwrap();
        let Json::List(items) = &fields[0].1 else { panic!("a list") };
        let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["1", "-2", "0.5", "null", "true", "\"x\""]);
        let Json::Object(inside) = &fields[1].1 else { panic!("an object") };
        assert_eq!(inside.len(), 2, "both of them");
    }

    #[test]
    fn names_are_texts_and_there_are_some() {
        let fields = Json::config(r#"{"good":["a","b"],"empty":[],"bad":["",1],"none":3}"#, "").unwrap();
        let mut problems = Problems::default();
        let [good, empty, bad, none] = problems.fields("", &fields, ["good", "empty", "bad", "none"]);
        assert_eq!(problems.names("good", "a name", good.unwrap()), ["a", "b"]);
        for (path, value) in [("empty", empty), ("bad", bad), ("none", none)] {
            assert!(problems.names(path, "a name", value.unwrap()).is_empty());
        }
        let told = [
            "empty: is empty; leave it out for all of them",
            "bad[0]: must be a name, in quotes, found \"\"",
            "bad[1]: must be a name, in quotes, found 1",
            "none: must be a list, each item being a name, found 3",
        ];
        assert_eq!(texts(problems), told);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let fields =
            Json::config(r#"{"maxAge":1,"maxAge":2,"maxage":3,"else\u001b":4,"list":"x","flag":"yes","size":"x"}"#, "")
                .unwrap();
        let mut problems = Problems::default();
        let [age, list, flag, size] = problems.fields("", &fields, ["maxAge", "list", "flag", "size"]);
        assert_eq!(problems.parsed::<u8>("maxAge", "a text", age.unwrap()), None);
        assert!(problems.items("list", "a list of texts", list.unwrap()).is_empty());
        assert!(!problems.flag("flag", flag.unwrap()));
        assert_eq!(problems.parsed::<u8>("size", "a number in quotes", size.unwrap()), None);
        let told = [
            "maxAge: is given more than once",
            "maxage: there is no such field; did you mean maxAge?",
            "else\\u{1b}: there is no such field; the fields are maxAge, list, flag, size",
            "maxAge: must be a text, found 1",
            "list: must be a list of texts, found \"x\"",
            "flag: must be true or false, found \"yes\"",
            "size: must be a number in quotes, found \"x\"",
        ];
        assert_eq!(texts(problems), told);
        assert_eq!(Problems::default().finish(7), Ok(7));
    }
}
