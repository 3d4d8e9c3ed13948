//! The parser of globs: braces are written out, then the result is read component by component.
//!
//! Characters that have a meaning in shells, regular expressions, `strftime` or templates are refused, with a sentence
//! that names the character: `$`, `%`, `^`, `|` and backquotes; `?(a)`, `*(a)`, `+(a)`, `@(a)`, `!(a)`, `(?i)`; `~`,
//! `#` and `!` in front; a `+` behind a set, `[:alpha:]`, braces with a single alternative or a range; quotes around
//! the whole glob; blanks at the ends of a name.

use std::str::FromStr;

use super::braces::Expansion;
use super::{Component, Glob, GlobError, MAX_LENGTH, MAX_PLACES, Token, lone};
use crate::logs::path::digit;

/// A problem, as a sentence.
pub(super) type GlobProblem = String;

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        parse(text).map_err(|problem| GlobError { text: beginning(text), problem })
    }
}

/// Shortens a text to the length that a sentence has room for.
fn beginning(text: &str) -> String {
    const ROOM: usize = 80;
    let cut = if text.chars().count() > ROOM { "…" } else { "" };
    text.chars().take(ROOM).chain(cut.chars()).collect()
}

fn parse(text: &str) -> Result<Glob, GlobProblem> {
    if text.is_empty() {
        return Err("it is empty; write ** for everything".to_owned());
    }
    if text.len() > MAX_LENGTH {
        return Err("it is longer than 4096 bytes".to_owned());
    }
    if let Some(quote) =
        ['"', '\'', '`'].into_iter().find(|quote| text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote))
    {
        return Err(format!("{quote} stands around it and would be part of it; leave it out, or write \\{quote}"));
    }
    let texts = Expansion::of(text)?;
    let weight = texts.iter().map(String::len).sum();
    let alternatives = texts.iter().map(|text| parse_path(text)).collect::<Result<Vec<_>, _>>()?;
    let mut glob = Glob { text: text.to_owned(), components: Vec::new(), starts: 0, ends: 0, weight };
    for alternative in joined(alternatives) {
        if glob.components.len() + alternative.len() + 1 > MAX_PLACES {
            return Err("it has more than 63 components, those of alternatives with / in them added up".to_owned());
        }
        glob.starts |= 1 << glob.components.len();
        glob.components.extend(alternative);
        glob.ends |= 1 << glob.components.len();
        glob.components.push(Component::End);
    }
    Ok(glob)
}

/// Joins alternatives that differ in one name only, so that `*.{gz,zip}` stays one component.
fn joined(alternatives: Vec<Vec<Component>>) -> Vec<Vec<Component>> {
    let mut joined: Vec<Vec<Component>> = Vec::new();
    for mut alternative in alternatives {
        while let Some(place) = joined.iter().position(|other| difference(other, &alternative).is_some()) {
            let mut other = joined.remove(place);
            let Some(at) = difference(&other, &alternative) else { break };
            if let (Some(Component::Name(names)), Some(Component::Name(more))) =
                (other.get_mut(at), alternative.get_mut(at))
            {
                more.retain(|name| !names.contains(name));
                names.append(more);
            }
            alternative = other;
        }
        joined.push(alternative);
    }
    joined
}

/// Returns the only place where two alternatives differ, if both have a name there; the first name if they are equal.
fn difference(one: &[Component], other: &[Component]) -> Option<usize> {
    if one.len() != other.len() {
        return None;
    }
    let mut places = one.iter().zip(other).enumerate().filter(|(_, (one, other))| one != other).map(|(place, _)| place);
    let place = places.next().or_else(|| one.iter().position(|component| matches!(component, Component::Name(_))))?;
    let are_names = matches!((one.get(place)?, other.get(place)?), (Component::Name(_), Component::Name(_)));
    (are_names && places.next().is_none()).then_some(place)
}

fn parse_path(text: &str) -> Result<Vec<Component>, GlobProblem> {
    text.split('/').map(parse_component).collect()
}

fn parse_component(text: &str) -> Result<Component, GlobProblem> {
    match text {
        "" => return Err("it has an empty component (two slashes in a row, or one at an end)".to_owned()),
        "." | ".." => {
            return Err(format!(
                "it has a component {text}, which no listed path has; paths are given from the log root on, without it"
            ));
        }
        "**" => return Ok(Component::Any),
        _ => {}
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            '*' if after.starts_with('*') => {
                return Err("** must stand alone between slashes, as in logs/**/*.gz; within a name write *".to_owned());
            }
            '*' => push(&mut tokens, Token::Many, after),
            '?' => push(&mut tokens, Token::One, after),
            '[' => {
                let (set, after) = parse_set(after)?;
                push(&mut tokens, set, after)
            }
            '\\' => {
                let (number, after) = parse_escape(after)?;
                push_unit(&mut tokens, number);
                after
            }
            _ if character.is_whitespace() && (rest.len() == text.len() || after.is_empty()) => {
                return Err("a name in it begins or ends with a blank; leave it out, or write a backslash before it where a file's name has it".to_owned());
            }
            _ => {
                push_unit(&mut tokens, character.into());
                after
            }
        };
    }
    Ok(Component::Name(vec![tokens]))
}

fn push<'a>(tokens: &mut Vec<Token>, token: Token, rest: &'a str) -> &'a str {
    tokens.push(token);
    rest
}

/// Adds a literal.
fn push_unit(tokens: &mut Vec<Token>, number: u32) {
    match char::from_u32(number) {
        Some(character) => tokens.extend(character.encode_utf8(&mut [0; 4]).bytes().map(Token::Byte)),
        None => tokens.push(Token::Byte(number.to_le_bytes()[0])),
    }
}

/// Reads the number behind a backslash, and returns it with the rest.
pub(super) fn parse_escape(text: &str) -> Result<(u32, &str), GlobProblem> {
    const RULE: &str = "a backslash must stand before a blank or punctuation other than . / and _, or begin a byte \\xHH in lower-case digits";
    let Some(character) = text.chars().next() else { return Err(format!("it ends with a backslash; {RULE}")) };
    if let [b'x', high, low, ..] = text.as_bytes()
        && let Some((high, low)) = digit(*high).zip(digit(*low))
    {
        let byte = high << 4 | low;
        return Ok((if byte < 0x80 { byte.into() } else { lone(byte) }, &text[3..]));
    }
    let is_escaped = character.is_whitespace() || (character.is_ascii_punctuation() && !"./_".contains(character));
    if is_escaped {
        return Ok((character.into(), &text[character.len_utf8()..]));
    }
    Err(format!("\\{} stands for nothing here; {RULE}", character.escape_default()))
}

/// Reads a set from behind its bracket, and returns it with the rest.
pub(super) fn parse_set(text: &str) -> Result<(Token, &str), GlobProblem> {
    let open = || "a [ has no ]; write \\[ where a file's name has it".to_owned();
    let (is_negated, mut rest) = text.strip_prefix(['!', '^']).map_or((false, text), |rest| (true, rest));
    let mut ranges = Vec::new();
    while ranges.is_empty() || !rest.starts_with(']') {
        if let Some(kind) =
            [":", ".", "="].into_iter().find(|kind| rest.strip_prefix('[').is_some_and(|rest| rest.starts_with(kind)))
        {
            return Err(format!(
                "[{kind} begins no class here; write what it stands for, as in [0-9], or \\[ where a file's name has it"
            ));
        }
        let (from, after) = parse_member(rest)?.ok_or_else(open)?;
        let range = after.strip_prefix('-').filter(|after| !after.starts_with(']'));
        let (to, after) = match range {
            Some(after) => parse_member(after)?.ok_or_else(open)?,
            None => (from, after),
        };
        if from > to {
            return Err("a range in [ ] goes backwards".to_owned());
        }
        ranges.push((from, to));
        rest = after;
    }
    Ok((Token::Set { is_negated, ranges }, &rest[1..]))
}

/// Reads one end of a range.
fn parse_member(text: &str) -> Result<Option<(u32, &str)>, GlobProblem> {
    match text.chars().next() {
        // A name cannot have a slash in it.
        None | Some('/') => Ok(None),
        Some('\\') => parse_escape(&text[1..]).map(Some),
        Some(character) => Ok(Some((character.into(), &text[character.len_utf8()..]))),
    }
}
