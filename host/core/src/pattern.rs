//! Patterns that select images, for `repositories`, `protect` and the like.
//!
//! A pattern is one of
//!
//! - a repository, `docker.io/minchou/rollout`: every tag and digest of it;
//! - a repository and a tag, `docker.io/minchou/rollout:v1`;
//! - either with wildcards: `*` stands for any characters including none, also across `/`; `?` for exactly one.
//!   `docker.io/minchou/*`, `*:br-*`, `*pause*`, `registry.example:5000/team-?/app:1.*`;
//! - a digest or an image id: at least the first 12 hexadecimal digits, with or without `sha256:` in front;
//! - a repository and a digest, or the first 12 digits of one, `docker.io/minchou/rollout@sha256:…`, or `@*` for any;
//!   a tag between the two is ignored.
//!
//! Short names mean Docker Hub as in a [`Reference`]: `nginx*` is `docker.io/library/nginx*`, `minchou/*` is
//! `docker.io/minchou/*`. A pattern that begins with a wildcard can begin anywhere, so no prefix is added. Matching is
//! case-sensitive and covers the whole text; without a `*` there are no partial matches. Hosts and digests are equal in
//! all spellings that are equal in a [`Reference`].
//!
//! A text that no image could ever match is rejected: accepted silently, it would protect nothing.

mod grammar;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::image::Image;
use crate::reference::{self, Reference};

/// The longest pattern, in bytes; longer than any reference.
pub const MAX_LENGTH: usize = 1024;

/// The fewest digits that identify an id or digest.
const FEWEST_DIGITS: usize = 12;

/// A parsed pattern, with its original text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    kind: PatternKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PatternKind {
    /// An image id or digest, or its leading digits.
    HashPattern(HashPattern),
    /// Globs over a full reference's parts; an absent part matches everything.
    Reference { repository: String, tag: Option<String>, digest: Option<HashPattern> },
}

/// Leading hexadecimal digits, none for any digest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HashPattern {
    /// The algorithm, in lower case; `None` where only digits are written.
    algorithm: Option<String>,
    hex: String,
}

/// The reason why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image pattern: {problem}")]
pub struct PatternError {
    text: String,
    problem: PatternProblem,
}

type PatternProblem = Cow<'static, str>;

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let kind = parse(text).map_err(|problem| PatternError { text: text.to_owned(), problem })?;
        Ok(Self { text: text.to_owned(), kind })
    }
}

fn parse(text: &str) -> Result<PatternKind, PatternProblem> {
    if text.is_empty() {
        return Err("it is empty; write * to match every image".into());
    }
    if text.len() > MAX_LENGTH {
        return Err("it is longer than 1024 characters".into());
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(format!("no image's name has a scheme; leave out {scheme}://").into());
    }
    if !text.bytes().all(is_pattern_byte) || text.find('[').is_some_and(|bracket| bracket > 0) {
        return Err("it has a character that no reference has; wildcards are * and ? alone".into());
    }
    match parse_hash(text)? {
        Some(hash) => Ok(PatternKind::HashPattern(hash)),
        None => parse_reference(text),
    }
}

/// Reads an id or digest, or its leading digits, as crictl prints them. Read as the name of a repository, such digits
/// would silently leave an image unprotected.
fn parse_hash(text: &str) -> Result<Option<HashPattern>, PatternProblem> {
    let lower = text.to_ascii_lowercase();
    if let Some((algorithm, hex)) = lower.split_once(':')
        && let Some(length) = reference::digest_length(algorithm)
    {
        let fits = (FEWEST_DIGITS..=length).contains(&hex.len()) && reference::is_hex(hex);
        let hash = HashPattern { algorithm: Some(algorithm.to_owned()), hex: hex.to_owned() };
        let problem = || format!("{algorithm}: must be followed by {FEWEST_DIGITS} to {length} hexadecimal digits");
        return if fits { Ok(Some(hash)) } else { Err(problem().into()) };
    }
    let digits = lower.trim_end_matches('*');
    if digits.is_empty() || !reference::is_hex(digits) || !digits.bytes().any(|byte| byte.is_ascii_digit()) {
        // Words such as cafe are names; 12 to 64 such letters are an id.
        let is_id = (FEWEST_DIGITS..=64).contains(&lower.len()) && reference::is_hex(&lower);
        return Ok(is_id.then_some(HashPattern { algorithm: None, hex: lower }));
    }
    let repository = "a repository of Docker Hub is written docker.io/library/NAME";
    match digits.len() {
        0..FEWEST_DIGITS if digits == lower => {
            Err(format!("as an id it needs at least {FEWEST_DIGITS} digits; {repository}").into())
        }
        FEWEST_DIGITS..=128 if digits == lower => Ok(Some(HashPattern { algorithm: None, hex: lower })),
        0..FEWEST_DIGITS => Ok(None),
        _ if digits == lower => Err("it has more digits than any id".into()),
        _ => Err(format!("the leading digits of an id need no *; {repository}").into()),
    }
}

fn parse_reference(text: &str) -> Result<PatternKind, PatternProblem> {
    if text.starts_with('[') && !text.contains('/') {
        return Err(format!("{text} is a registry; write {text}/* for all of its images").into());
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let (name, tag) = reference::split_tag(name);
    if name.is_empty() && digest.is_some() {
        return Err("there is no repository; leave out the @ to match a digest in every repository".into());
    }
    if name.is_empty() {
        return Err("there is no repository; write *:TAG to match a tag of every repository".into());
    }
    if tag.is_some_and(str::is_empty) || digest.is_some_and(str::is_empty) {
        return Err("nothing follows its ':' or '@'".into());
    }
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let repository = parse_repository(name, tag)?;
    let digest = digest.map(parse_digest).transpose()?;
    // Runtimes list a tag or a digest, never both in one reference; of the two, the digest decides.
    let tag = tag.filter(|_| digest.is_none());
    Ok(PatternKind::Reference { repository, tag: tag.map(str::to_owned), digest })
}

fn check_tag(tag: &str) -> Result<(), PatternProblem> {
    let problem = if tag.contains(':') {
        "it has two tags"
    } else if tag.contains('+') {
        "no tag has a '+'; where a version has one, the tag has '-' or '_' in its place"
    } else if fewest_bytes(tag) > reference::MAX_TAG {
        "no tag is longer than 128 characters"
    } else if !grammar::is_tag(tag) {
        "a tag has letters, digits, '_', '.' and '-', and begins with neither of the last two"
    } else {
        return Ok(());
    };
    Err(problem.into())
}

/// Reads a repository with wildcards into its full form.
fn parse_repository(name: &str, tag: Option<&str>) -> Result<String, PatternProblem> {
    if name.split('/').any(str::is_empty) {
        let beneath = name.strip_suffix('/').filter(|name| name.split('/').all(|part| !part.is_empty()));
        return Err(match beneath {
            Some(name) => format!("nothing follows its last '/'; write {name}/* for all that is beneath").into(),
            None => "it has an empty path component".into(),
        });
    }
    check_is_no_registry(name, tag)?;
    let (registry, path) = reference::split_registry(name);
    let is_upper = |byte: u8| byte.is_ascii_uppercase();
    // A dot, a port or `localhost` distinguishes such a registry from a path.
    let has_host = |registry: &str| registry.contains(['.', ':']) || registry.eq_ignore_ascii_case("localhost");
    if path.bytes().any(is_upper) || registry.is_some_and(|registry| !has_host(registry)) {
        return Err("repositories have no upper-case letters, so it can never match".into());
    }
    let repository = match registry {
        Some(registry) if has_wildcard(registry) => format!("{}/{path}", full_glob(registry)),
        // A pattern that begins with a wildcard can begin anywhere.
        None if name.starts_with(['*', '?']) => name.to_owned(),
        // A * matches the library and every other path.
        Some(registry) if path.starts_with('*') => {
            let full = reference::full_repository(Some(registry), "a/b");
            format!("{}/{path}", full.trim_end_matches("/a/b"))
        }
        registry => reference::full_repository(registry, path),
    };
    if repository.split_once('/').is_some_and(|(_, path)| fewest_bytes(path) > reference::MAX_PATH) {
        return Err("no repository is longer than 255 characters, its registry aside".into());
    }
    if !grammar::is_repository(&repository) {
        return Err(
            "no repository is like that: its parts begin and end with a lower-case letter or a digit, and have \
                    one '.', one or two '_', or any number of '-' between them"
                .into(),
        );
    }
    Ok(repository)
}

/// Rejects a registry alone, which would otherwise be read as a repository of Docker Hub.
fn check_is_no_registry(name: &str, tag: Option<&str>) -> Result<(), PatternProblem> {
    let is_host = name.contains('.') && !name.starts_with(['*', '?']);
    if name.contains('/') || !is_host && !name.eq_ignore_ascii_case("localhost") {
        return Ok(());
    }
    let port = tag.filter(|tag| tag.bytes().all(|byte| byte.is_ascii_digit()));
    let host = port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    let repository = if is_host { ", or docker.io/library/NAME for a repository of Docker Hub" } else { "" };
    Err(format!("{name} is a registry; write {host}/* for all of its images{repository}").into())
}

/// Puts a registry with wildcards into full form, as far as the wildcards permit.
fn full_glob(registry: &str) -> String {
    let registry = registry.to_ascii_lowercase();
    let (host, port) = registry.split_once(':').map_or((registry.as_str(), ""), |(host, port)| (host, port));
    let host = host.strip_suffix('.').unwrap_or(host);
    match port {
        "" => host.to_owned(),
        "443" if host.contains('.') => host.to_owned(),
        port => format!("{host}:{port}"),
    }
}

fn parse_digest(digest: &str) -> Result<HashPattern, PatternProblem> {
    let lower = digest.to_ascii_lowercase();
    let (algorithm, hex) = match lower.split_once(':') {
        Some((algorithm, hex)) => (Some(algorithm), hex),
        None => (None, lower.as_str()),
    };
    let digits = hex.trim_end_matches('*');
    let most = algorithm.map_or(Some(128), reference::digest_length).unwrap_or(usize::MAX);
    let is_any = digits.is_empty();
    let fits = is_any || (FEWEST_DIGITS..=most).contains(&digits.len()) && reference::is_hex(digits);
    let is_algorithm = algorithm.is_none_or(reference::is_algorithm);
    if !fits || !is_algorithm {
        return Err("what follows the @ is a digest, at least 12 of its hexadecimal digits, or *".into());
    }
    Ok(HashPattern { algorithm: algorithm.map(str::to_owned), hex: digits.to_owned() })
}

/// Returns the length in bytes of the shortest text that a glob matches.
fn fewest_bytes(glob: &str) -> usize {
    glob.bytes().filter(|byte| *byte != b'*').count()
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

impl HashPattern {
    /// Returns whether a digest or an image id is this one, or begins with these digits.
    fn begins(&self, digest: &str) -> bool {
        // CRI-O lists ids without their algorithm.
        let (algorithm, hex) = digest.split_once(':').unwrap_or(("sha256", digest));
        self.algorithm.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(algorithm))
            && hex.get(..self.hex.len()).is_some_and(|start| start.eq_ignore_ascii_case(&self.hex))
    }
}

/// Returns whether a byte occurs in references or is a wildcard. Brackets enclose only an IPv6 address: read as a set
/// of characters, they would silently match nothing.
fn is_pattern_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-/:@+*?[]".contains(&byte)
}

/// The id and the names of an image, parsed once to be matched against many patterns.
#[derive(Clone, Debug)]
pub struct Names<'a> {
    id: &'a str,
    parsed: Vec<Reference>,
    /// Names that do not parse.
    odd: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// Parses all references of an image.
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
    /// Returns the original text of the pattern.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the pattern matches one of the image's references or its id. The pattern `*` also matches an
    /// image without any reference.
    pub fn matches_image(&self, image: &Image) -> bool {
        self.matches_names(&Names::of(image))
    }

    /// Returns whether the pattern matches an image whose references are already parsed.
    pub fn matches_names(&self, names: &Names<'_>) -> bool {
        self.text == "*"
            || self.matches_id(names.id)
            || names.parsed.iter().any(|reference| self.matches_reference(reference))
            || names.odd.iter().any(|text| glob(&self.text, text))
    }

    /// Returns whether the pattern matches a reference as a runtime lists it. A text that does not parse is matched
    /// unchanged, so that an image with an odd name can still be protected.
    pub fn matches_text(&self, text: &str) -> bool {
        match Reference::parse(text) {
            Ok(reference) => self.matches_reference(&reference),
            Err(_) => glob(&self.text, text),
        }
    }

    /// Returns whether the pattern matches a parsed reference.
    pub fn matches_reference(&self, reference: &Reference) -> bool {
        match &self.kind {
            PatternKind::HashPattern(hash) => reference.digest().is_some_and(|digest| hash.begins(digest)),
            PatternKind::Reference { repository, tag, digest } => {
                glob(repository, reference.repository())
                    && part_matches(tag.as_deref(), reference.tag())
                    && digest.as_ref().is_none_or(|hash| reference.digest().is_some_and(|digest| hash.begins(digest)))
            }
        }
    }

    /// Returns whether the pattern is this image id, or enough of its leading digits.
    pub fn matches_id(&self, id: &str) -> bool {
        matches!(&self.kind, PatternKind::HashPattern(hash) if hash.begins(id))
    }

    /// Returns whether the pattern contains an id or a digest.
    pub fn has_hash(&self) -> bool {
        matches!(&self.kind, PatternKind::HashPattern(_) | PatternKind::Reference { digest: Some(_), .. })
    }

    /// Returns the pattern without its tag; `None` if it has none.
    pub fn without_tag(&self) -> Option<Self> {
        match &self.kind {
            PatternKind::Reference { repository, tag: Some(_), digest } => {
                let kind = PatternKind::Reference { repository: repository.clone(), tag: None, digest: digest.clone() };
                Some(Self { text: repository.clone(), kind })
            }
            _ => None,
        }
    }
}

fn part_matches(pattern: Option<&str>, part: Option<&str>) -> bool {
    match (pattern, part) {
        (None, _) => true,
        (Some(pattern), Some(part)) => glob(pattern, part),
        (Some(_), None) => false,
    }
}

/// Matches `text` as a whole against a glob of `*` and `?`. Remembers only the last `*`, which is enough because an
/// earlier one could match nothing that the later one cannot: time is bounded by the product of the lengths.
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
