//! The number of images that each pattern of the config matches. Counting takes a pass of its own over the images: the
//! decision stops looking at an image as soon as it is out of scope, and a count must not.

use std::collections::HashMap;

use holystone_core::matches::{KnownNames, PatternMatch};
use holystone_core::reference::Reference;
use holystone_core::text::closest;

use crate::config::{Config, Order};
use crate::scope::{Rule, Text, split};
use crate::select::ImageView;

/// Maximum number of patterns without matches that get a suggestion: finding one requires a look at every name.
const SUGGESTIONS: usize = 8;

/// The number of images that each pattern matches, and notices about patterns without matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Matches of each item of `repositories` and of `keepTags`, and of `order.byTag`, in this order.
    pub matches: Vec<PatternMatch>,
    /// Notices, one for each pattern that matches no image.
    pub notices: Vec<String>,
}

/// Counts for each pattern of the config how many images it matches. Patterns of `keepTags` and `order.byTag` count
/// within the scope only.
pub fn tally<I: ImageView>(images: &[I], config: &Config) -> Tally {
    let rules = in_their_order(config);
    let mut counter = Counter {
        config,
        takes: HashMap::new(),
        counted: vec![0; rules.len()],
        kept: vec![0; config.keep_tags.len()],
        ordered: 0,
        rules,
    };
    for image in images {
        counter.look(image);
    }
    let matches = counter.matches();
    let notices = notices(images, &matches);
    Tally { matches, notices }
}

/// A rule, and whether it excludes the references that it takes.
type Signed<'a> = (&'a Rule, bool);

fn in_their_order(config: &Config) -> Vec<Signed<'_>> {
    let include = config.include.iter().map(|rule| (rule, false));
    let mut rules: Vec<Signed<'_>> = include.chain(config.exclude.iter().map(|rule| (rule, true))).collect();
    rules.sort_by_key(|(rule, _)| rule.place);
    rules
}

/// The part of a repository that a rule takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    All,
    Nothing,
    /// A part that depends on the tag.
    Some,
}

struct Counter<'a> {
    config: &'a Config,
    rules: Vec<Signed<'a>>,
    /// Parts that each rule takes, by name of the repository.
    takes: HashMap<&'a str, Vec<Takes>>,
    counted: Vec<u64>,
    kept: Vec<u64>,
    /// Number of images for which the pattern of the order finds a number.
    ordered: u64,
}

impl<'a> Counter<'a> {
    /// Counts an image once for each pattern that matches one of its references.
    fn look<I: ImageView>(&mut self, image: &'a I) {
        let mut taken = vec![false; self.rules.len()];
        let mut kept = vec![false; self.kept.len()];
        let mut ordered = false;
        for (place, (rule, _)) in self.rules.iter().enumerate() {
            // The pattern `*` takes images without any reference as well.
            taken[place] = rule.as_str() == "*";
        }
        for text in image.tags().iter().chain(image.digests()) {
            let in_scope = self.look_at(text, &mut taken);
            if in_scope {
                let tag = split(text).1.unwrap_or_default();
                ordered = ordered || matches!(&self.config.order, Order::ByTag(pattern) if pattern.pick(tag).is_some());
                let text = Text::new(text);
                for (pattern, kept) in self.config.keep_tags.iter().zip(&mut kept) {
                    *kept = *kept || text.matches(pattern);
                }
            }
        }
        self.ordered += u64::from(ordered);
        for (counts, hits) in [(&mut self.counted, taken), (&mut self.kept, kept)] {
            for (count, hit) in counts.iter_mut().zip(hits) {
                *count += u64::from(hit);
            }
        }
    }

    /// Marks the rules that take a reference; returns whether the reference is in scope.
    fn look_at(&mut self, text: &'a str, hits: &mut [bool]) -> bool {
        let (name, _) = split(text);
        let rules = &self.rules;
        let takes = self.takes.entry(name).or_insert_with(|| judge(rules, name));
        let reference = Text::new(text);
        let (mut included, mut excluded) = (false, false);
        for ((takes, (rule, excludes)), hit) in takes.iter().zip(rules).zip(hits) {
            if *takes == Takes::All || (*takes == Takes::Some && rule.takes(&reference)) {
                *hit = true;
                *(if *excludes { &mut excluded } else { &mut included }) = true;
            }
        }
        included && !excluded
    }

    fn matches(&self) -> Vec<PatternMatch> {
        let rules = self.rules.iter().zip(&self.counted).map(|((rule, excludes), matches)| PatternMatch {
            field: format!("repositories[{}]", rule.place),
            pattern: format!("{}{}", if *excludes { "!" } else { "" }, rule.as_str()),
            matches: *matches,
        });
        let tags = self.config.keep_tags.iter().zip(&self.kept).enumerate();
        let tags = tags.map(|(place, (pattern, matches))| PatternMatch {
            field: format!("keepTags[{place}]"),
            // The tag follows the wildcard for every repository.
            pattern: pattern.as_str().strip_prefix("*:").unwrap_or_default().to_owned(),
            matches: *matches,
        });
        let order = match &self.config.order {
            Order::ByTag(pattern) => Some(PatternMatch {
                field: "order.byTag".to_owned(),
                pattern: pattern.as_str().to_owned(),
                matches: self.ordered,
            }),
            Order::Version | Order::FirstSeen => None,
        };
        rules.chain(tags).chain(order).collect()
    }
}

/// Determines the part of a repository that each rule takes. A name that cannot be parsed is matched as a whole.
fn judge(rules: &[Signed<'_>], name: &str) -> Vec<Takes> {
    let Ok(repository) = Reference::parse(name) else { return vec![Takes::Some; rules.len()] };
    let judge = |(rule, _): &Signed<'_>| match () {
        () if rule.takes_all(&repository) => Takes::All,
        () if rule.takes_some(&repository) => Takes::Some,
        () => Takes::Nothing,
    };
    rules.iter().map(judge).collect()
}

fn notices<I: ImageView>(images: &[I], matches: &[PatternMatch]) -> Vec<String> {
    let mut unmatched = matches.iter().filter(|one| one.matches == 0).peekable();
    if unmatched.peek().is_none() {
        return Vec::new();
    }
    let references = || images.iter().flat_map(|image| image.tags().iter().chain(image.digests())).map(String::as_str);
    let names = KnownNames::of(references());
    let meant = |one: &PatternMatch| {
        if one.field.starts_with("order") {
            return None;
        }
        if one.field.starts_with("keepTags") {
            return closest(&one.pattern, references().filter_map(|text| split(text).1)).map(str::to_owned);
        }
        let (sign, pattern) = one.pattern.strip_prefix('!').map_or(("", one.pattern.as_str()), |rest| ("!", rest));
        names.closest(pattern).map(|meant| format!("{sign}{meant}"))
    };
    let notice = |(number, one): (usize, &PatternMatch)| {
        let meant = if number < SUGGESTIONS { meant(one) } else { None };
        one.notice("image", meant.as_deref())
    };
    unmatched.enumerate().filter_map(notice).collect()
}

#[cfg(test)]
mod tests;
