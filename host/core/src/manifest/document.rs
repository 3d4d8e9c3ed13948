//! Parsing of texts into trees: YAML and JSON, any number of documents, every value with its line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Options, Spanned};

use super::MAX_LENGTH;
use super::problem::Problem;
use crate::text;

/// A value and its line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: Option<u64>,
    pub(super) content: Content,
}

/// The values of YAML and JSON. Fields keep their order, and duplicate fields are kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Field>),
}

/// A field of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) line: Option<u64>,
    pub(super) value: Node,
}

/// Splits a text into its documents. A part that cannot be parsed is reported as a problem.
pub(super) fn split(text: &str, problems: &mut Vec<Problem>) -> Vec<Node> {
    if text.len() > MAX_LENGTH {
        problems.push(Problem::new(None, "", format!("the text is longer than {MAX_LENGTH} bytes")));
        return Vec::new();
    }
    let mut documents = Vec::new();
    for (lines, part) in parts(text) {
        let mut found = Vec::new();
        documents.extend(parse(part, &mut found).into_iter().map(|node| node.moved(lines)));
        problems.extend(found.into_iter().map(|problem| problem.moved(lines)));
    }
    if documents.is_empty() && problems.is_empty() {
        problems.push(Problem::new(None, "", "there is no NodeCleanup in it"));
    }
    documents
}

/// Splits a text into consecutive JSON objects, each with the number of lines before it. Any other text is one part.
/// The split is needed because a YAML parser requires `---` between documents.
fn parts(text: &str) -> Vec<(u64, &str)> {
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(object) = objects.next() {
        if object.is_err() || !text.trim_start().starts_with('{') {
            return vec![(0, text)];
        }
        let lines = text[..start].bytes().filter(|byte| *byte == b'\n').count();
        parts.push((lines as u64, &text[start..objects.byte_offset()]));
        start = objects.byte_offset();
    }
    if parts.is_empty() { vec![(0, text)] } else { parts }
}

fn parse(text: &str, problems: &mut Vec<Problem>) -> Vec<Node> {
    let options: Options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    };
    let parsed: Result<Vec<Spanned<Content>>, _> = serde_saphyr::from_multiple_with_options(text, options);
    match parsed {
        Ok(documents) => documents.into_iter().map(Node::from).collect(),
        Err(error) => {
            let line = error.location().map(|location| location.line());
            let hint = line.and_then(|line| hint(text, line)).unwrap_or_default();
            let sentence = error.without_snippet().to_string();
            let sentence = text::shown(sentence.lines().next().unwrap_or_default());
            problems.push(Problem::new(line, "", format!("this is not YAML or JSON: {sentence}{hint}")));
            Vec::new()
        }
    }
}

/// Returns a hint for the most frequent mistake: a schedule or a pattern without quotes.
fn hint(text: &str, line: u64) -> Option<&'static str> {
    let line = text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let value = line.split_once(": ").map_or(line, |(_, value)| value).trim_start_matches(['-', ' ']);
    value.starts_with(['*', '@', '%', '!', '`']).then_some("; what starts with such a character belongs in quotes")
}

impl Node {
    pub(super) fn fields(&self) -> &[Field] {
        match &self.content {
            Content::Map(fields) => fields,
            _ => &[],
        }
    }

    pub(super) fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        match &self.content {
            Content::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// Returns the value of a field. A field that is null counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        let field = self.fields().iter().find(|field| field.name == name)?;
        (field.value.content != Content::Null).then_some(&field.value)
    }

    /// Returns the value at the end of a path of fields.
    pub(super) fn at(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, Node::get)
    }

    /// Returns the line of the value at a path such as `spec.plugins[0].source.file`, or of the last existing value on
    /// the way to it.
    pub(super) fn nearest_line(&self, path: &str) -> Option<u64> {
        let mut node = self;
        let mut line = self.line;
        for step in path.split(['.', '[']) {
            let index = step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok());
            let next = index.map_or_else(|| node.get(step), |index| node.items().get(index));
            let Some(next) = next else { break };
            node = next;
            line = node.line.or(line);
        }
        line
    }

    pub(super) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Content::Map(fields) => {
                fields.iter().map(|field| (field.name.clone(), field.value.to_json())).collect::<Map<_, _>>().into()
            }
        }
    }

    /// Formats the value as JSON on one line, escaped, and cut when it is long.
    pub(super) fn shown(&self) -> String {
        text::shown(&self.to_json().to_string())
    }

    /// Moves the value down by this many lines.
    fn moved(self, lines: u64) -> Self {
        if lines == 0 {
            return self;
        }
        let line = self.line.map(|line| line.saturating_add(lines));
        let content = match self.content {
            Content::List(items) => Content::List(items.into_iter().map(|item| item.moved(lines)).collect()),
            Content::Map(fields) => Content::Map(fields.into_iter().map(|field| field.moved(lines)).collect()),
            scalar => scalar,
        };
        Self { line, content }
    }
}

impl Field {
    fn moved(self, lines: u64) -> Self {
        Self { line: self.line.map(|line| line.saturating_add(lines)), value: self.value.moved(lines), ..self }
    }
}

impl Problem {
    fn moved(self, lines: u64) -> Self {
        Self { line: self.line.map(|line| line.saturating_add(lines)), ..self }
    }
}

impl From<Spanned<Content>> for Node {
    fn from(spanned: Spanned<Content>) -> Self {
        Self { line: line(&spanned), content: spanned.value }
    }
}

fn line<T>(spanned: &Spanned<T>) -> Option<u64> {
    Some(spanned.referenced.line()).filter(|line| *line > 0)
}

/// Conversion of a value that has been parsed elsewhere and has no lines.
impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(*value),
            Value::Number(number) => Content::Number(number.clone()),
            Value::String(text) => Content::Text(text.clone()),
            Value::Array(items) => Content::List(items.iter().map(Node::from).collect()),
            Value::Object(fields) => Content::Map(
                fields
                    .iter()
                    .map(|(name, value)| Field { name: name.clone(), line: None, value: Node::from(value) })
                    .collect(),
            ),
        };
        Self { line: None, content }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyContent)
    }
}

struct AnyContent;

impl<'de> Visitor<'de> for AnyContent {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Content, E> {
        Number::from_f64(value).map(Content::Number).ok_or_else(|| E::custom(format!("{value} is not a number")))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Spanned<Content>>()? {
            items.push(item.into());
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry::<Spanned<String>, Spanned<Content>>()? {
            fields.push(Field { line: line(&name), name: name.value, value: value.into() });
        }
        Ok(Content::Map(fields))
    }
}
