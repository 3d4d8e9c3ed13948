//! Counts of the images that each of the operator's patterns matched, and notices about patterns that matched none.

use super::ImageGuard;
use crate::image::Image;
use crate::matches::{KnownNames, PatternMatch};
use crate::pattern::Names;

impl ImageGuard<'_> {
    /// Counts the images that each pattern of `protect` and `lift` matched, in this order.
    pub fn matches(&self) -> Vec<PatternMatch> {
        let patterns: Vec<_> = self.rails.protect.iter().chain(&self.rails.lift).collect();
        let mut counts = vec![0; patterns.len()];
        if !patterns.is_empty() {
            for names in self.snapshot.images.iter().map(Names::of) {
                for (count, named) in counts.iter_mut().zip(&patterns) {
                    *count += u64::from(named.pattern.matches_names(&names));
                }
            }
        }
        let counted = patterns.into_iter().zip(counts);
        counted
            .map(|(named, matches)| PatternMatch {
                field: named.field.clone(),
                pattern: named.pattern.as_str().to_owned(),
                matches,
            })
            .collect()
    }

    /// Returns a notice for each pattern without a match, with the name that was probably meant. Without a container
    /// runtime, one notice lists the fields of all these patterns.
    pub fn unmatched(&self, matches: &[PatternMatch]) -> Vec<String> {
        let mut without = matches.iter().filter(|pattern| pattern.matches == 0).peekable();
        if without.peek().is_none() {
            return Vec::new();
        }
        if !self.snapshot.has_runtime() {
            let mut fields: Vec<&str> = without.map(|pattern| pattern.field.as_str()).collect();
            fields.dedup();
            let what = "no container runtime was asked, so these patterns have nothing to match";
            return vec![format!("{what}: {}", fields.join(", "))];
        }
        let names = KnownNames::of(self.snapshot.images.iter().flat_map(Image::references));
        let notice = |pattern: &PatternMatch| pattern.notice("image", names.closest(&pattern.pattern).as_deref());
        without.filter_map(notice).collect()
    }
}

#[cfg(test)]
mod tests;
