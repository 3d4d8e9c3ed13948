//! Patterns over paths beneath a log root: what plugins and their configs write to pick files.
//!
//! - `*` stands for any characters within one component, none included; a leading dot is nothing special;
//! - `?` stands for one character, or for one byte that is not part of valid UTF-8;
//! - `[a-z_]` stands for one character of a set, `[!a-z_]` for one that is not in it; a `]` that comes first belongs to it;
//! - `**`, as a whole component, stands for any number of components, none included; at the end, for at least one;
//! - a backslash takes its power from `*`, `?`, `[`, `]`, `!`, `-` and `\` itself, and `\xHH` is a byte, as in a
//!   [`LogPath`]: put a backslash before each of `*`, `?` and `[` of a listed path, and it is a glob for exactly that path.
//!
//! A glob matches a path as a whole and by case. It is matched component by component with a set of places
//! ([`State`]), so a walk goes on from what it knows about a directory, and time is bounded by the product of the lengths
//! of glob and path.

use std::str::FromStr;

use super::path::{LogPath, digit};

/// The longest glob, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// How many components a glob may have: a [`State`] has a bit for each place between them.
pub const MAX_COMPONENTS: usize = 63;

/// A parsed glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    /// `**`
    Any,
    /// One name.
    Name(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Many,
    Set {
        is_negated: bool,
        ranges: Vec<(u32, u32)>,
    },
}

/// Where in a glob one can be after some components of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(u64);

/// Why a text is not a glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a glob: {problem}")]
pub struct GlobError {
    text: String,
    problem: &'static str,
}

impl Glob {
    /// The glob as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Before any component.
    pub fn start(&self) -> State {
        self.with_skipped(1)
    }

    /// After one more component.
    pub fn step(&self, state: State, name: &[u8]) -> State {
        let mut after = 0;
        for (place, component) in self.components.iter().enumerate() {
            if state.0 >> place & 1 == 0 {
                continue;
            }
            after |= match component {
                Component::Any => 1 << place | u64::from(place + 1 == self.components.len()) << (place + 1),
                Component::Name(tokens) => u64::from(matches(tokens, name)) << (place + 1),
            };
        }
        self.with_skipped(after)
    }

    /// Whether the path that led to this state matches.
    pub fn accepts(&self, state: State) -> bool {
        state.0 >> self.components.len() & 1 == 1
    }

    /// Whether anything beneath the directory that led to this state can match.
    pub fn reaches_beneath(&self, state: State) -> bool {
        state.0 & !(1 << self.components.len()) != 0
    }

    /// Whether a whole path matches.
    pub fn matches(&self, path: &LogPath) -> bool {
        self.accepts(path.components().fold(self.start(), |state, name| self.step(state, name)))
    }

    /// Adds the places that one is at as well, because a `**` may stand for nothing. One at the end may not.
    fn with_skipped(&self, mut places: u64) -> State {
        let last = self.components.len().saturating_sub(1);
        for (place, component) in self.components.iter().enumerate().take(last) {
            if *component == Component::Any && places >> place & 1 == 1 {
                places |= 1 << (place + 1);
            }
        }
        State(places)
    }
}

/// One character, or a byte that is not part of one; and how many bytes it takes.
fn unit(bytes: &[u8]) -> Option<(u32, usize)> {
    let first = *bytes.first()?;
    if first < 0x80 {
        return Some((first.into(), 1));
    }
    let window = bytes.get(..4).unwrap_or(bytes);
    let character = window.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    Some(character.map_or((lone(first), 1), |character| (character.into(), character.len_utf8())))
}

/// The number of a byte that is not part of a character: beyond all of those.
fn lone(byte: u8) -> u32 {
    0x11_0000 + u32::from(byte)
}

/// Matches a name as a whole. Remembers only the last `*`: an earlier one could take nothing that it cannot.
fn matches(tokens: &[Token], name: &[u8]) -> bool {
    let (mut at, mut rest) = (0, name);
    let mut star: Option<(usize, &[u8])> = None;
    loop {
        if let Some(Token::Many) = tokens.get(at) {
            at += 1;
            if at == tokens.len() {
                return true;
            }
            star = Some((at, rest));
            continue;
        }
        let taken = match tokens.get(at) {
            None if rest.is_empty() => return true,
            None => None,
            Some(token) => token.take(rest),
        };
        if let Some(after) = taken {
            (at, rest) = (at + 1, after);
            continue;
        }
        let Some((after_star, from)) = star else { return false };
        let Some((_, length)) = unit(from) else { return false };
        star = Some((after_star, &from[length..]));
        (at, rest) = (after_star, &from[length..]);
    }
}

impl Token {
    /// What is left of a name when this token has taken its part of it.
    fn take<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        if let Self::Byte(byte) = self {
            return name.strip_prefix(&[*byte]);
        }
        let (number, length) = unit(name)?;
        let fits = match self {
            Self::Set { is_negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&number)) != *is_negated
            }
            _ => true,
        };
        fits.then(|| &name[length..])
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        let components = parse(text).map_err(|problem| GlobError { text: beginning(text), problem })?;
        Ok(Self { text: text.to_owned(), components })
    }
}

/// As much of a text as a sentence has room for.
fn beginning(text: &str) -> String {
    const ROOM: usize = 80;
    let cut = if text.chars().count() > ROOM { "…" } else { "" };
    text.chars().take(ROOM).chain(cut.chars()).collect()
}

const NO_ESCAPE: &str =
    "a backslash must stand before one of * ? [ ] ! - \\, or begin a byte \\xHH in lower-case digits";

fn parse(text: &str) -> Result<Vec<Component>, &'static str> {
    if text.is_empty() {
        return Err("it is empty; write ** for everything");
    }
    if text.len() > MAX_LENGTH {
        return Err("it is longer than 4096 bytes");
    }
    if text.starts_with('/') {
        return Err("it begins with /, but paths are given from the log root on");
    }
    let components = text.split('/').map(parse_component).collect::<Result<Vec<_>, _>>()?;
    if components.len() > MAX_COMPONENTS {
        return Err("it has more than 63 components");
    }
    Ok(components)
}

fn parse_component(text: &str) -> Result<Component, &'static str> {
    match text {
        "" => return Err("it has an empty component (two slashes in a row, or one at the end)"),
        "." | ".." => return Err("it has a component . or .., which no listed path has"),
        "**" => return Ok(Component::Any),
        _ if text.contains("**") => {
            return Err("** must stand alone between slashes, as in logs/**/*.gz; within a name write *");
        }
        _ => {}
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            '*' => push(&mut tokens, Token::Many, after),
            '?' => push(&mut tokens, Token::One, after),
            '[' => parse_set(after, &mut tokens)?,
            '\\' => {
                let (number, after) = parse_escape(after)?;
                push_unit(&mut tokens, number);
                after
            }
            _ => {
                push_unit(&mut tokens, character.into());
                after
            }
        };
    }
    Ok(Component::Name(tokens))
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

/// What stands behind a backslash: its number, and what is left.
fn parse_escape(text: &str) -> Result<(u32, &str), &'static str> {
    match text.as_bytes() {
        [byte @ (b'*' | b'?' | b'[' | b']' | b'!' | b'-' | b'\\'), ..] => Ok(((*byte).into(), &text[1..])),
        [b'x', high, low, ..] => {
            let byte = digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low).ok_or(NO_ESCAPE)?;
            Ok((if byte < 0x80 { byte.into() } else { lone(byte) }, &text[3..]))
        }
        _ => Err(NO_ESCAPE),
    }
}

/// Reads a set from behind its bracket.
fn parse_set<'a>(text: &'a str, tokens: &mut Vec<Token>) -> Result<&'a str, &'static str> {
    const OPEN: &str = "a [ has no ]; write \\[ for the character itself";
    let (is_negated, mut rest) = text.strip_prefix(['!', '^']).map_or((false, text), |rest| (true, rest));
    let mut ranges = Vec::new();
    while ranges.is_empty() || !rest.starts_with(']') {
        let (from, after) = parse_member(rest)?.ok_or(OPEN)?;
        let range = after.strip_prefix('-').filter(|after| !after.starts_with(']'));
        let (to, after) = match range {
            Some(after) => parse_member(after)?.ok_or(OPEN)?,
            None => (from, after),
        };
        if from > to {
            return Err("a range in [ ] goes backwards");
        }
        ranges.push((from, to));
        rest = after;
    }
    tokens.push(Token::Set { is_negated, ranges });
    Ok(&rest[1..])
}

/// One end of a range.
fn parse_member(text: &str) -> Result<Option<(u32, &str)>, &'static str> {
    let Some(character) = text.chars().next() else { return Ok(None) };
    let after = &text[character.len_utf8()..];
    if character == '\\' { parse_escape(after).map(Some) } else { Ok(Some((character.into(), after))) }
}

#[cfg(test)]
mod tests;
