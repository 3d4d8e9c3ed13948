//! The scope of references. A node has many references and few repositories, so everything that depends on the
//! repository alone is computed once for each.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use holystone_core::pattern::{Pattern, PatternError};
use holystone_core::reference::Reference;

use crate::config::Config;

/// An entry of `repositories` without its `!`.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// Index in `repositories`.
    pub(crate) place: usize,
    pattern: Pattern,
    /// Pattern without the tag, if it has one.
    repository: Option<Pattern>,
}

impl Rule {
    /// Parses the pattern at a place of the list.
    pub(crate) fn parse(place: usize, text: &str) -> Result<Self, String> {
        if text.starts_with('!') {
            return Err(format!("{:?} has more than one ! in front", format!("!{text}")));
        }
        let pattern: Pattern = text.parse().map_err(|error: PatternError| error.to_string())?;
        let (name, _) = split(text);
        // A pattern without the tag would take such a name for the leading digits of an id.
        let is_id = (12..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id || pattern.has_hash() {
            return Err(format!(
                "{text:?} names a digest or an image id; name a repository or a tag, \
                 and keep single images by --protect"
            ));
        }
        let repository = pattern.without_tag();
        Ok(Self { place, pattern, repository })
    }

    /// Returns the pattern as it was written.
    pub(crate) fn as_str(&self) -> &str {
        self.pattern.as_str()
    }

    /// Returns whether the rule takes every reference of a repository; `repository` has no tag.
    pub(crate) fn takes_all(&self, repository: &Reference) -> bool {
        self.repository.is_none() && self.pattern.matches_reference(repository)
    }

    /// Returns whether the rule takes a reference.
    pub(crate) fn takes(&self, reference: &Text<'_>) -> bool {
        reference.matches(&self.pattern)
    }

    /// Returns whether the rule takes some tags of a repository.
    pub(crate) fn takes_some(&self, repository: &Reference) -> bool {
        self.repository.as_ref().is_some_and(|pattern| pattern.matches_reference(repository))
    }
}

/// Splits a reference or pattern into the text before the tag, and the tag. A digest is dropped.
pub(crate) fn split(text: &str) -> (&str, Option<&str>) {
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    match name.rfind([':', '/']) {
        Some(at) if name.as_bytes()[at] == b':' => (&name[..at], Some(&name[at + 1..])),
        _ => (name, None),
    }
}

/// A repository and its scope.
pub(crate) struct Repository<'a> {
    /// Full name.
    pub(crate) name: Cow<'a, str>,
    scope: Scope,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Scope of every reference.
    All,
    /// Scope of no reference.
    None,
    /// Scope that depends on the tag.
    Some,
}

/// The repositories that have been seen.
pub(crate) struct Repositories<'a> {
    config: &'a Config,
    all: Vec<Repository<'a>>,
    /// Number of each repository, by every spelling seen and by its full name.
    numbers: HashMap<Cow<'a, str>, usize>,
    /// Repository of the last reference: references come in runs of one repository, an image's tags and then its
    /// digests.
    last: Option<(&'a str, usize)>,
}

impl<'a> Repositories<'a> {
    pub(crate) fn new(config: &'a Config) -> Self {
        Self { config, all: Vec::new(), numbers: HashMap::new(), last: None }
    }

    pub(crate) fn into_all(self) -> Vec<Repository<'a>> {
        self.all
    }

    /// Returns the number of the repository with this spelling; adds the repository if it is new.
    pub(crate) fn number(&mut self, text: &'a str) -> usize {
        if let Some((last, number)) = self.last
            && last == text
        {
            return number;
        }
        let number = self.numbers.get(text).copied().unwrap_or_else(|| self.add(text));
        self.last = Some((text, number));
        number
    }

    fn add(&mut self, text: &'a str) -> usize {
        let repository = judge(text, self.config);
        let known = self.numbers.get(&repository.name).copied();
        let number = known.unwrap_or(self.all.len());
        self.numbers.insert(Cow::Borrowed(text), number);
        if known.is_none() {
            if repository.name != text {
                self.numbers.insert(repository.name.clone(), number);
            }
            self.all.push(repository);
        }
        number
    }

    /// Returns whether a reference of the repository with this number is in scope.
    pub(crate) fn in_scope(&self, number: usize, reference: &Text<'_>) -> bool {
        let takes = |rule: &Rule| rule.takes(reference);
        match self.all[number].scope {
            Scope::All => true,
            Scope::None => false,
            Scope::Some => {
                (self.config.include.is_empty() || self.config.include.iter().any(takes))
                    && !self.config.exclude.iter().any(takes)
            }
        }
    }
}

/// Determines the scope of a repository. A config without includes takes everything: then only images without a tag are
/// considered.
fn judge<'a>(text: &'a str, config: &Config) -> Repository<'a> {
    let Ok(reference) = Reference::parse(text) else {
        // If a name cannot be parsed, patterns match it as a whole and unchanged.
        return Repository { name: Cow::Borrowed(text), scope: Scope::Some };
    };
    let any = |rules: &[Rule], takes: fn(&Rule, &Reference) -> bool| rules.iter().any(|rule| takes(rule, &reference));
    let scope = if any(&config.exclude, Rule::takes_all) {
        Scope::None
    } else if config.include.is_empty() || any(&config.include, Rule::takes_all) {
        if any(&config.exclude, Rule::takes_some) { Scope::Some } else { Scope::All }
    } else if any(&config.include, Rule::takes_some) {
        Scope::Some
    } else {
        Scope::None
    };
    let name = match reference.repository() {
        full if full == text => Cow::Borrowed(text),
        full => Cow::Owned(full.to_owned()),
    };
    Repository { name, scope }
}

/// A reference as a runtime lists it, parsed once and only when needed.
pub(crate) struct Text<'a> {
    text: &'a str,
    parsed: OnceCell<Option<Reference>>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, parsed: OnceCell::new() }
    }

    pub(crate) fn matches(&self, pattern: &Pattern) -> bool {
        match self.parsed.get_or_init(|| Reference::parse(self.text).ok()) {
            Some(reference) => pattern.matches_reference(reference),
            None => pattern.matches_text(self.text),
        }
    }
}
