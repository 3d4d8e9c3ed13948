//! Mentions: the possible meanings of a text by which a container names an image.
//!
//! Runtimes write ids and digests with and without their algorithm, shortened, in capitals, or behind a scheme such as
//! `docker-pullable://`. Some texts can be read in two ways (`cafe` is a repository and the beginning of an id).

use std::borrow::Cow;

use crate::reference::{self, Reference};

/// A parsed text by which a container names an image.
#[derive(Debug)]
pub(super) struct Mention<'a> {
    /// The text without its scheme.
    pub(super) text: &'a str,
    /// An id or digest, or its leading digits.
    pub(super) hash: Option<Hash<'a>>,
    /// A repository, with a tag if the text has one.
    pub(super) name: Option<Reference>,
    /// Set when the hash is a digest within the repository, and not another way to read the text.
    pub(super) is_digest: bool,
}

/// An id or digest, or its leading digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hash<'a> {
    /// The algorithm, in lower case; `None` where only digits are written.
    algorithm: Option<Cow<'a, str>>,
    hex: Cow<'a, str>,
}

/// The fewest digits of a shortened id without an algorithm.
const SHORTEST: usize = 3;

impl<'a> Mention<'a> {
    /// Reads a text; a mention without parts may mean any image.
    pub(super) fn read(text: &'a str) -> Self {
        let text = without_scheme(text);
        if let Some((name, digest)) = text.split_once('@') {
            let hash = Hash::read(digest);
            // A name that is none, as in `<none>@sha256:…`, leaves the digest.
            let name = hash.as_ref().and_then(|_| Reference::parse(name).ok());
            return Self { text, is_digest: hash.is_some(), hash, name };
        }
        // An unknown algorithm is read as the name of a repository, and the text after it as a tag.
        let hash = Hash::read(text).filter(|hash| hash.algorithm.is_none() || hash.is_no_name());
        // A known algorithm with too many or other digits is neither a hash nor a name.
        let names_algorithm = |(algorithm, _)| reference::digest_length(&reference::lower_case(algorithm)).is_some();
        let is_hash_alone =
            hash.as_ref().is_some_and(Hash::is_no_name) || text.split_once(':').is_some_and(names_algorithm);
        let name = if is_hash_alone { None } else { Reference::parse(text).ok() };
        Self { text, hash, name, is_digest: false }
    }
}

impl<'a> Hash<'a> {
    /// Reads `sha256:…` or digits alone, in full or shortened; `None` for any other text.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (algorithm, hex) = match text.split_once(':') {
            Some((algorithm, hex)) => (Some(reference::lower_case(algorithm)), hex),
            None => (None, text),
        };
        let hex = reference::lower_case(hex);
        let fits = match &algorithm {
            None => (SHORTEST..=128).contains(&hex.len()) && reference::is_hex(&hex),
            Some(known) if reference::digest_length(known).is_some_and(|length| hex.len() <= length) => {
                !hex.is_empty() && reference::is_hex(&hex)
            }
            Some(_) => reference::full_digest(text).is_some(),
        };
        fits.then_some(Self { algorithm, hex })
    }

    /// Returns whether the text cannot be a name, because it has a known algorithm or as many digits as a full id.
    fn is_no_name(&self) -> bool {
        match &self.algorithm {
            Some(algorithm) => reference::digest_length(algorithm).is_some(),
            None => self.is_full(),
        }
    }

    /// Returns whether the hash has all of its digits.
    pub(super) fn is_full(&self) -> bool {
        match &self.algorithm {
            Some(algorithm) => reference::digest_length(algorithm).is_none_or(|length| self.hex.len() == length),
            None => [64, 96, 128].contains(&self.hex.len()),
        }
    }

    /// Returns the algorithm, derived from the number of digits if it is not written.
    pub(super) fn algorithm(&self) -> &str {
        match (&self.algorithm, self.hex.len()) {
            (Some(algorithm), _) => algorithm,
            (None, 96) => "sha384",
            (None, 128) => "sha512",
            (None, _) => "sha256",
        }
    }

    /// Returns the lookup key, equal for all spellings.
    pub(super) fn key(&self) -> String {
        match self.algorithm() {
            "sha256" => self.hex.to_string(),
            algorithm => format!("{algorithm}:{}", self.hex),
        }
    }

    /// Returns whether this is the whole hash, or its beginning.
    pub(super) fn begins(&self, whole: &Hash<'_>) -> bool {
        let same = self.algorithm() == whole.algorithm() || self.algorithm.is_none() && !self.is_full();
        same && whole.hex.starts_with(&*self.hex)
    }
}

/// Cuts off the scheme that the kubelet and others put before an id or a name: `docker://`, `docker-pullable://` …
fn without_scheme(text: &str) -> &str {
    let is_scheme = |scheme: &str| {
        scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).map_or(text, |(_, rest)| rest)
}
