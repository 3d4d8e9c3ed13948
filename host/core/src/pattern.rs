//! Patterns that pick images: what people write into `repositories`, `protect` and the like.
//!
//! A pattern is one of
//!
//! - a repository, `docker.io/minchou/rollout`: every tag and digest of it;
//! - a repository and a tag, `docker.io/minchou/rollout:v1`;
//! - either with wildcards: `*` stands for any characters including none, also across `/`; `?` for exactly one.
//!   `docker.io/minchou/*`, `*:br-*`, `*pause*`, `registry.example:5000/team-?/app:1.*`;
//! - a digest or an image id: at least the first 12 of its hexadecimal digits, with or without `sha256:` in front;
//! - a repository and a digest, `docker.io/minchou/rollout@sha256:…`; a tag between the two says nothing more.
//!
//! Short names mean Docker Hub as in a [`Reference`]: `nginx*` is `docker.io/library/nginx*`, `minchou/*` is
//! `docker.io/minchou/*`. A pattern that begins with a wildcard can begin anywhere, and nothing is put in front.
//! Matching is by the whole text and by case; there are no partial matches without a `*`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::reference::{self, Reference};

/// The longest pattern, in bytes; longer than any reference.
pub const MAX_LENGTH: usize = 512;

/// A parsed pattern; remembers how it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Leading hexadecimal digits of an image id or digest.
    Hex(String),
    /// Globs over a full reference's parts; an absent part matches everything.
    Reference { repository: String, tag: Option<String>, digest: Option<String> },
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image pattern: {problem}")]
pub struct PatternError {
    text: String,
    problem: &'static str,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let kind = parse(text).map_err(|problem| PatternError { text: text.to_owned(), problem })?;
        Ok(Self { text: text.to_owned(), kind })
    }
}

fn parse(text: &str) -> Result<Kind, &'static str> {
    if text.is_empty() {
        return Err("it is empty; write * to match every image");
    }
    if text.len() > MAX_LENGTH {
        return Err("it is longer than 512 characters");
    }
    if !text.bytes().all(is_pattern_byte) || text.find('[').is_some_and(|bracket| bracket > 0) {
        return Err("it has a character that no reference has; wildcards are * and ? alone");
    }
    if let Some(hex) = text.strip_prefix("sha256:") {
        return hex_prefix(hex).ok_or("sha256: must be followed by 12 to 64 lower-case hexadecimal digits");
    }
    // As crictl prints them. No repository has such a name; taken for one, an image would quietly go unprotected.
    if let Some(id) = hex_prefix(text) {
        return Ok(id);
    }
    parse_reference(text)
}

fn parse_reference(text: &str) -> Result<Kind, &'static str> {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = reference::split_tag(name);
    if name.is_empty() {
        return Err("there is no repository; write *:TAG to match a tag of every repository");
    }
    if tag.is_some_and(str::is_empty) || digest.is_some_and(str::is_empty) {
        return Err("nothing follows its ':' or '@'");
    }
    if name.split('/').any(str::is_empty) {
        return Err("it has an empty path component");
    }
    let (registry, path) = reference::split_registry(name);
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("repositories have no upper-case letters, so it can never match");
    }
    let repository =
        if name.starts_with(['*', '?']) { name.to_owned() } else { reference::full_repository(registry, path) };
    // Runtimes list a tag or a digest, never both in one reference; of the two the digest is the one that decides.
    let tag = tag.filter(|_| digest.is_none());
    Ok(Kind::Reference { repository, tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
}

fn hex_prefix(hex: &str) -> Option<Kind> {
    ((12..=64).contains(&hex.len()) && is_hex(hex)).then(|| Kind::Hex(hex.to_owned()))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What references are made of, and the wildcards. Brackets stand around an IPv6 address and nowhere else: taken for
/// a set of characters they would quietly match nothing.
fn is_pattern_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-/:@+*?[]".contains(&byte)
}

/// What an image goes by, parsed once to be held against many patterns.
#[derive(Clone, Debug)]
pub struct Names<'a> {
    id: &'a str,
    parsed: Vec<Reference>,
    /// Names that do not parse.
    odd: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// The id and all references of an image.
    pub fn of(image: &'a Image) -> Self {
        let mut names = Self { id: image.id.as_str(), parsed: Vec::new(), odd: Vec::new() };
        for text in image.references() {
            match Reference::parse(text) {
                Ok(reference) => names.parsed.push(reference),
                Err(_) => names.odd.push(text),
            }
        }
        names
    }
}

impl Pattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches one of the image's references or its id. The pattern `*` also matches an image
    /// without any reference.
    pub fn matches_image(&self, image: &Image) -> bool {
        self.matches_names(&Names::of(image))
    }

    /// The same for an image whose references are parsed already.
    pub fn matches_names(&self, names: &Names<'_>) -> bool {
        self.text == "*"
            || self.matches_id(names.id)
            || names.parsed.iter().any(|reference| self.matches_reference(reference))
            || names.odd.iter().any(|text| glob(&self.text, text))
    }

    /// Whether the pattern matches a reference as a runtime lists it. A text that does not parse is matched as it
    /// stands, so that an image with an odd name can still be protected.
    pub fn matches_text(&self, text: &str) -> bool {
        match Reference::parse(text) {
            Ok(reference) => self.matches_reference(&reference),
            Err(_) => glob(&self.text, text),
        }
    }

    /// Whether the pattern matches a parsed reference.
    pub fn matches_reference(&self, reference: &Reference) -> bool {
        match &self.kind {
            Kind::Hex(hex) => reference.digest().is_some_and(|digest| has_hex_prefix(digest, hex)),
            Kind::Reference { repository, tag, digest } => {
                glob(repository, reference.repository())
                    && part_matches(tag.as_deref(), reference.tag())
                    && part_matches(digest.as_deref(), reference.digest())
            }
        }
    }

    /// Whether the pattern is this image id, or enough of its leading digits.
    pub fn matches_id(&self, id: &str) -> bool {
        matches!(&self.kind, Kind::Hex(hex) if has_hex_prefix(id, hex))
    }
}

fn has_hex_prefix(digest: &str, hex: &str) -> bool {
    digest.strip_prefix("sha256:").unwrap_or(digest).starts_with(hex)
}

fn part_matches(pattern: Option<&str>, part: Option<&str>) -> bool {
    match (pattern, part) {
        (None, _) => true,
        (Some(pattern), Some(part)) => glob(pattern, part),
        (Some(_), None) => false,
    }
}

/// Matches `text` as a whole against a glob of `*` and `?`. Remembers only the last `*`, which is enough because an
/// earlier one could take nothing that the later one cannot: time is bounded by the product of the lengths.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    star = Some((star_p, star_t + 1));
                    p = star_p + 1;
                    t = star_t + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

#[cfg(test)]
mod tests;
