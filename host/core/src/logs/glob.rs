//! Patterns over paths under a log root, with which plugins and their configs select files.
//!
//! - `*` stands for any characters within one component, none included; a leading dot is not special;
//! - `?` stands for one character, or for one byte that is not part of valid UTF-8;
//! - `[a-z_]` stands for one character of a set, `[!a-z_]` for one outside the set; a `]` that comes first belongs to
//!   it;
//! - `**`, as a whole component, stands for any number of components, none included; at the end, for at least one;
//! - `{a,b}` stands for `a` or `b`, each a glob in its place: nested, empty or with slashes in it;
//! - a backslash makes a blank, and all punctuation but `.`, `/` and `_`, literal, and `\xHH` is a byte, as in a
//!   [`LogPath`]: with a backslash before all such punctuation and every blank of a listed path, its backslashes apart,
//!   the path is a glob for exactly itself;
//! - a character that has a meaning in other tools but not in this grammar is an error unless a backslash stands before
//!   it (see `parse`): taken literally, an exclusion would silently exclude nothing.
//!
//! A glob matches a path as a whole and by case. Matching goes component by component with a set of places ([`State`]),
//! so a walk continues from the state of a directory, and time is bounded by the product of the lengths of glob and
//! path.

mod braces;
mod parse;

use super::path::LogPath;

/// Maximum length of a glob, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// Number of places that a [`State`] has bits for: one before each component of each alternative, and one behind the
/// last.
const MAX_PLACES: usize = 64;

/// A parsed glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    /// Components of one alternative after the other, an [`Component::End`] behind each.
    components: Vec<Component>,
    /// Places before the first component of each alternative.
    starts: u64,
    /// Places behind the last component of each alternative.
    ends: u64,
    weight: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    /// `**`
    Any,
    /// A name that matches one of these.
    Name(Vec<Vec<Token>>),
    /// The end of an alternative.
    End,
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

/// The set of places that a glob can have reached after some components of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(u64);

/// The reason why a text is not a glob.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a glob: {problem}")]
pub struct GlobError {
    text: String,
    problem: String,
}

impl Glob {
    /// Returns the glob as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the length of the glob in bytes with its braces written out: the cost of matching it.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Returns the state before any component.
    pub fn start(&self) -> State {
        self.with_skipped(self.starts)
    }

    /// Computes the state after one more component.
    pub fn step(&self, state: State, name: &[u8]) -> State {
        let mut after = 0;
        for (place, component) in self.components.iter().enumerate() {
            if state.0 >> place & 1 == 0 {
                continue;
            }
            after |= match component {
                Component::Any => 1 << place | (self.ends & 1 << (place + 1)),
                Component::Name(names) => u64::from(names.iter().any(|tokens| matches(tokens, name))) << (place + 1),
                Component::End => 0,
            };
        }
        self.with_skipped(after)
    }

    /// Returns whether the path that led to this state matches.
    pub fn accepts(&self, state: State) -> bool {
        state.0 & self.ends != 0
    }

    /// Returns whether anything under the directory that led to this state can match.
    pub fn reaches_beneath(&self, state: State) -> bool {
        state.0 & !self.ends != 0
    }

    /// Returns whether a whole path matches.
    pub fn matches(&self, path: &LogPath) -> bool {
        self.accepts(path.components().fold(self.start(), |state, name| self.step(state, name)))
    }

    /// Adds the places that are reached as well because a `**` may stand for nothing. A `**` at the end may not.
    fn with_skipped(&self, mut places: u64) -> State {
        for (place, component) in self.components.iter().enumerate() {
            if *component == Component::Any && places >> place & 1 == 1 {
                places |= (1 << (place + 1)) & !self.ends;
            }
        }
        State(places)
    }
}

/// Reads one character, or a byte that is not part of one; returns its number and the bytes that it takes.
fn unit(bytes: &[u8]) -> Option<(u32, usize)> {
    let first = *bytes.first()?;
    if first < 0x80 {
        return Some((first.into(), 1));
    }
    let window = bytes.get(..4).unwrap_or(bytes);
    let character = window.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    Some(character.map_or((lone(first), 1), |character| (character.into(), character.len_utf8())))
}

/// Returns the number of a byte that is not part of a character: beyond those of all characters.
fn lone(byte: u8) -> u32 {
    0x11_0000 + u32::from(byte)
}

/// Matches a name as a whole. Only the last `*` is remembered: an earlier one could take nothing that the last cannot.
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
    /// Matches this token against the beginning of a name, and returns the rest of the name.
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

#[cfg(test)]
mod tests;
