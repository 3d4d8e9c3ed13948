//! Paths under a log root: bytes, because file names are bytes, and the text that stands for them.
//!
//! In the text, `\xHH` with two lower-case digits stands for a byte that is not part of valid UTF-8, and for every byte
//! of a control character; `\\` stands for a backslash. The spelling is unique: a text that [`LogPath`] itself would
//! write differently is refused, so that two texts never name one file.

use std::cmp::Ordering;
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Maximum length of a path, in bytes: the system takes no more in one call.
pub const MAX_LENGTH: usize = 4095;
/// Maximum length of a name in a path, in bytes.
pub const MAX_NAME: usize = 255;

/// A path under a log root; the root itself is the empty path. A path has no empty, `.` or `..` components and no
/// leading or trailing `/`.
///
/// Paths sort component by component, so that a directory's content comes right after it.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogPath(Vec<u8>);

/// The reason why bytes or a text are not a path under a log root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A path that begins at the root of the host.
    #[error("it begins with /, but paths are given from the log root on")]
    Absolute,
    /// An empty component: nothing between two slashes, or after the last.
    #[error("it has an empty component (two slashes in a row, or one at the end)")]
    Empty,
    /// A component that stands for another place.
    #[error("it has a component . or .., which leads elsewhere")]
    Dots,
    /// A byte that no name can have.
    #[error("it has a zero byte, which no file name has")]
    Zero,
    /// A path or name beyond its maximum length.
    #[error("it is longer than 4095 bytes, or one of its names is longer than 255")]
    Long,
    /// A text that is not spelt as the host spells it.
    #[error("it is not spelt the way the host spells it: \\\\ is a backslash and \\xHH a byte that needs it")]
    Spelling,
}

impl LogPath {
    /// Returns the path of the root itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Parses a path as the system has it.
    ///
    /// # Errors
    /// Fails if the path leads, or could lead, anywhere else than under the root.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.is_empty() {
            return Ok(Self::root());
        }
        if bytes.first() == Some(&b'/') {
            return Err(PathError::Absolute);
        }
        if bytes.len() > MAX_LENGTH {
            return Err(PathError::Long);
        }
        bytes.split(|byte| *byte == b'/').try_for_each(check_name)?;
        Ok(Self(bytes.to_vec()))
    }

    /// Returns the bytes, with `/` between the components.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether the path is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the components; none for the root.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        // An empty path splits into one empty component.
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// Returns the last component; none for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.0.rsplit(|byte| *byte == b'/').next().filter(|name| !name.is_empty())
    }

    /// Returns the directory that holds the entry; none for the root.
    pub fn parent(&self) -> Option<Self> {
        let name = self.name()?;
        let end = self.0.len().saturating_sub(name.len() + 1);
        Some(Self(self.0.get(..end)?.to_vec()))
    }

    /// Appends a name, for the path of an entry in this directory.
    ///
    /// # Errors
    /// Fails if the name is invalid, or the path would get too long.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        check_name(name)?;
        if self.is_root() {
            return Ok(Self(name.to_vec()));
        }
        let length = self.0.len() + 1 + name.len();
        if length > MAX_LENGTH {
            return Err(PathError::Long);
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&self.0);
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        Ok(Self(bytes))
    }
}

fn check_name(name: &[u8]) -> Result<(), PathError> {
    match name {
        [] => Err(PathError::Empty),
        b"." | b".." => Err(PathError::Dots),
        _ if name.contains(&0) => Err(PathError::Zero),
        // A name with a slash is two names, and the second would go unchecked.
        _ if name.contains(&b'/') => Err(PathError::Empty),
        _ if name.len() > MAX_NAME => Err(PathError::Long),
        _ => Ok(()),
    }
}

impl Ord for LogPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for LogPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Writes bytes as the text that stands for them. The reference for [`decode`].
fn encode(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let escaped =
        |bytes: &[u8], f: &mut fmt::Formatter<'_>| bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"));
    for chunk in bytes.utf8_chunks() {
        let mut plain = 0;
        for (at, character) in chunk.valid().char_indices() {
            if character == '\\' || character.is_control() {
                f.write_str(&chunk.valid()[plain..at])?;
                plain = at + character.len_utf8();
                match character {
                    '\\' => f.write_str("\\\\")?,
                    _ => escaped(&chunk.valid().as_bytes()[at..plain], f)?,
                }
            }
        }
        f.write_str(&chunk.valid()[plain..])?;
        escaped(chunk.invalid(), f)?;
    }
    Ok(())
}

/// Decodes a text to the bytes that it stands for; `None` if a backslash does not begin an escape.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', [b'x', high, low, after @ ..]) => (digit(*high)? << 4 | digit(*low)?, after),
            (b'\\', _) => return None,
            _ => (first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    Some(bytes)
}

/// Returns the value of a lower-case hexadecimal digit.
pub(super) fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl FromStr for LogPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let path = Self::from_bytes(&decode(text).ok_or(PathError::Spelling)?)?;
        // The text escapes a byte that needs no escape.
        if path.to_string() == text { Ok(path) } else { Err(PathError::Spelling) }
    }
}

impl fmt::Display for LogPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        encode(&self.0, f)
    }
}

impl fmt::Debug for LogPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        encode(&self.0, f)?;
        f.write_char('"')
    }
}

impl TryFrom<String> for LogPath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<LogPath> for String {
    fn from(path: LogPath) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests;
