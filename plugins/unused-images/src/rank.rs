//! The rank of an image by its tag, and the order of two images as far as it is known.
//!
//! [`LADDER`] is the whole order. Two images differ first on some rung, and that rung either knows which one is newer
//! or only that they differ.

use std::cmp::Ordering;

use crate::parts::{self, Span, compare_lists, compare_numbers, natural};

/// The source of an image's order within its repository. The order of images of different series is unknown, except
/// that every image with a tag ranks above those without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Series {
    /// The time when an image without a tag in the repository was first seen.
    Untagged,
    /// The time when an image was first seen whose tag does not determine an order.
    FirstSeen,
    /// A date in the tag.
    Date,
    /// A version in the tag.
    Version,
    /// The numbers that the pattern of the config picks.
    ByTag,
}

/// The maturity of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Maturity {
    Alpha,
    Beta,
    Candidate,
    /// A pre-release of another kind, whose order relative to the first three is unknown.
    Other,
    Release,
}

/// The rank of an image by one of its tags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank<'a> {
    tag: &'a str,
    series: Series,
    /// Nanoseconds since 1970.
    first_seen: Option<i64>,
    /// Text before the numbers, for example `build-`. The order of tags with different prefixes is unknown.
    prefix: Span,
    numbers: [Span; 4],
    /// Number of digits of a date that are its time.
    time: u8,
    /// Numbers right after those of the version, or the time of a date: `9` in `1.2.3-9`.
    revision: Span,
    maturity: Maturity,
    /// Word of a pre-release: `rc` in `1.2-rc1`.
    word: Span,
    /// Number of a pre-release: `1` in `1.2-rc1`.
    count: Span,
    /// Rest of the tag before and after the pre-release: `alpine3.19` in `1.2-rc1-alpine3.19`.
    variant: [Span; 2],
}

impl<'a> Rank<'a> {
    /// Ranks an image by when it was first seen. Without a tag, the image ranks below all that have one.
    pub(crate) fn first_seen(tag: Option<&'a str>, first_seen: Option<i64>) -> Self {
        let series = if tag.is_some() { Series::FirstSeen } else { Series::Untagged };
        let (none, maturity) = (Span::default(), Maturity::Release);
        Self {
            tag: tag.unwrap_or_default(),
            series,
            first_seen,
            prefix: none,
            numbers: [none; 4],
            time: 0,
            revision: none,
            maturity,
            word: none,
            count: none,
            variant: [none; 2],
        }
    }

    /// Ranks an image by the version or date in its tag, if there is one, else by when it was first seen.
    pub(crate) fn of_tag(tag: &'a str, first_seen: Option<i64>) -> Self {
        let unknown = Self::first_seen(Some(tag), first_seen);
        unknown.read().unwrap_or(unknown)
    }

    /// Ranks an image by numbers that a pattern has picked from its tag.
    pub(crate) fn by_tag(tag: &'a str, numbers: [Span; 4], first_seen: Option<i64>) -> Self {
        Self { series: Series::ByTag, numbers, ..Self::first_seen(Some(tag), first_seen) }
    }

    /// Returns the same image, ranked by when it was first seen.
    #[must_use]
    pub(crate) fn without_tag_order(self) -> Self {
        Self::first_seen(Some(self.tag), self.first_seen)
    }

    /// Returns the source of the order.
    pub(crate) fn series(&self) -> Series {
        self.series
    }

    /// Returns whether the tag is a whole number that may as well be a commit hash without letters.
    pub(crate) fn may_be_hash(&self) -> bool {
        self.series == Series::Version && self.is_whole() && parts::is_long(self.text(self.numbers[0]))
    }

    /// Returns the text before the numbers.
    pub(crate) fn beginning(&self) -> &'a str {
        self.text(self.prefix)
    }

    /// Returns whether the first number starts with a zero, as no count does.
    pub(crate) fn is_padded(&self) -> bool {
        self.text(self.numbers[0]).starts_with('0')
    }

    /// Returns whether the tag begins with the version or date that orders it, or is ordered by a pattern.
    pub(crate) fn is_plain(&self) -> bool {
        self.series > Series::FirstSeen && self.prefix.is_empty()
    }

    /// Returns whether two images may be ordered by their tags at all.
    pub(crate) fn is_same_series(&self, other: &Self) -> bool {
        by_series(self, other).is_eq()
    }

    /// Compares two images as far as their order is known; returns `None` if it is unknown.
    pub(crate) fn known(&self, other: &Self) -> Option<Ordering> {
        let differs = |rung: &&Rung| (rung.compare)(self, other).is_ne();
        let rung = LADDER.iter().find(differs)?;
        rung.known.then(|| (rung.compare)(self, other))
    }

    /// Compares two images in a total order, oldest first, that agrees with the known order.
    pub(crate) fn total(&self, other: &Self) -> Ordering {
        let rungs = LADDER.iter().map(|rung| (rung.compare)(self, other));
        let first = rungs.into_iter().find(|order| order.is_ne());
        first
            .unwrap_or(Ordering::Equal)
            .then_with(|| self.first_seen.cmp(&other.first_seen))
            .then_with(|| natural(self.tag, other.tag))
    }

    fn text(&self, span: Span) -> &'a str {
        span.of(self.tag)
    }

    /// Returns whether the tag ends with the first number.
    fn is_whole(&self) -> bool {
        usize::from(self.numbers[0].end) == self.tag.len()
    }

    fn is_pre(&self) -> bool {
        self.maturity != Maturity::Release
    }

    /// Returns whether the version is a pre-release of everything that starts with its numbers: `17beta1` comes before
    /// `17.0`.
    fn precedes_number(&self, place: usize) -> bool {
        self.is_pre() && self.revision.is_empty() && self.numbers[place].is_empty()
    }

    fn variants(&self) -> impl Iterator<Item = parts::Token<'a>> {
        parts::tokens(self.text(self.variant[0])).chain(parts::tokens(self.text(self.variant[1])))
    }

    /// Returns the variant with its numbers left out.
    fn shape(&self) -> impl Iterator<Item = Option<&'a str>> {
        parts::until_hash(self.variants()).map(|token| match token {
            parts::Token::Word(word) => Some(word),
            parts::Token::Hash => Some(""),
            parts::Token::Number(_) => None,
        })
    }

    fn variant_numbers(&self) -> impl Iterator<Item = &'a str> {
        parts::until_hash(self.variants()).filter_map(|token| match token {
            parts::Token::Number(number) => Some(number),
            _ => None,
        })
    }

    /// Reads the tag; returns `None` if it has neither a version nor a date.
    fn read(self) -> Option<Self> {
        let tag = self.tag;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || parts::is_separator(byte);
        if tag.len() > 255 || !tag.bytes().all(plain) || tag.ends_with(|c: char| !c.is_ascii_alphanumeric()) {
            return None;
        }
        let (prefix, start) = parts::prefix(tag)?;
        if let Some(date) = parts::date(tag, start) {
            let rank = Self { series: Series::Date, prefix, numbers: date.numbers, time: date.time, ..self };
            return Some(rank.read_rest(date.end - usize::from(date.time), date.end));
        }
        let (numbers, end) = parts::version(tag, start)?;
        let rank = Self { series: Series::Version, prefix, numbers, ..self };
        rank.is_version(end).then(|| rank.read_rest(end, end))
    }

    /// Returns whether the text after the numbers allows them to be those of a version.
    fn is_version(&self, end: usize) -> bool {
        let rest = &self.tag[end..];
        let dotted = !self.numbers[1].is_empty();
        if !dotted && !rest.is_empty() && parts::is_long(self.text(self.numbers[0])) {
            return false;
        }
        let first_run = parts::run_at(self.tag, usize::from(self.numbers[0].start));
        if !dotted && !rest.is_empty() && parts::is_hash(first_run.of(self.tag)) {
            return false;
        }
        let attached = parts::run_at(self.tag, end);
        if !attached.is_empty() {
            return parts::marker(attached.of(self.tag), true).is_some();
        }
        // The text must be neither a fifth number nor the `x` of a tag that moves.
        let next = parts::run_at(self.tag, end + 1).of(self.tag);
        let goes_on =
            rest.starts_with('.') && (next.starts_with(|c: char| c.is_ascii_digit()) || next.eq_ignore_ascii_case("x"));
        rest.is_empty() || !next.is_empty() && !goes_on
    }

    /// Reads the text after the numbers: a revision from `revision` on, a pre-release and variants from `at` on.
    fn read_rest(mut self, revision: usize, mut at: usize) -> Self {
        let attached = !parts::run_at(self.tag, at).is_empty();
        let mut runs = parts::runs(self.tag, at).peekable();
        while let Some(run) = runs.next_if(|run| !attached && parts::is_number(run.of(self.tag))) {
            at = usize::from(run.end);
        }
        if at > revision {
            let start = revision + usize::from(self.time == 0);
            self.revision = Span::new(start, at);
        }
        self.variant = [Span::new(at, self.tag.len()), Span::default()];
        let mut first = attached;
        while let Some(run) = runs.next() {
            let text = run.of(self.tag);
            let number = runs.peek().copied().filter(|next| parts::is_number(next.of(self.tag)));
            let marker = parts::marker(text, first && self.series == Series::Version);
            first = false;
            let Some(marker) =
                marker.filter(|marker| !marker.needs_number || marker.word < text.len() || number.is_some())
            else {
                continue;
            };
            let start = usize::from(run.start);
            let own = Span::new(start + marker.word, start + marker.end);
            self.word = Span::new(start, start + marker.word);
            self.count = if own.is_empty() && marker.end == text.len() { number.unwrap_or(own) } else { own };
            let end = usize::from(self.count.end).max(start + marker.end);
            self.variant = [Span::new(at, start), Span::new(end, self.tag.len())];
            self.maturity = marker.maturity();
            break;
        }
        if self.is_pre() && self.revision.is_empty() && self.series == Series::Version {
            self.drop_zeros();
        }
        self
    }

    /// Makes `1.22.0-rc1` the same version as `1.22rc1`.
    fn drop_zeros(&mut self) {
        for place in (1..self.numbers.len()).rev() {
            if self.text(self.numbers[place]).bytes().any(|byte| byte != b'0') {
                return;
            }
            self.numbers[place] = Span::default();
        }
    }
}

/// A comparison of the order.
pub(crate) struct Rung {
    /// Set when the result shows which image is newer; otherwise the order of images that differ here is unknown.
    pub(crate) known: bool,
    /// Comparison of two images.
    pub(crate) compare: fn(&Rank<'_>, &Rank<'_>) -> Ordering,
}

const fn known(compare: fn(&Rank<'_>, &Rank<'_>) -> Ordering) -> Rung {
    Rung { known: true, compare }
}

const fn unknown(compare: fn(&Rank<'_>, &Rank<'_>) -> Ordering) -> Rung {
    Rung { known: false, compare }
}

/// The order of images of one repository. The first rung on which two images differ decides.
pub(crate) const LADDER: [Rung; 23] = [
    known(|a, b| (a.series != Series::Untagged).cmp(&(b.series != Series::Untagged))),
    unknown(by_series),
    unknown(|a, b| of_seen(a).is_some().cmp(&of_seen(b).is_some())),
    known(|a, b| of_seen(a).cmp(&of_seen(b))),
    known(|a, b| by_number(a, b, 0)),
    known(|a, b| by_pre_release(a, b, 1)),
    unknown(|a, b| by_length(a, b, 1)),
    known(|a, b| by_number(a, b, 1)),
    known(|a, b| by_pre_release(a, b, 2)),
    unknown(|a, b| by_length(a, b, 2)),
    known(|a, b| by_number(a, b, 2)),
    known(|a, b| by_pre_release(a, b, 3)),
    unknown(|a, b| by_length(a, b, 3)),
    known(|a, b| by_number(a, b, 3)),
    unknown(|a, b| (a.time, a.revision.is_empty()).cmp(&(b.time, b.revision.is_empty()))),
    known(|a, b| compare_lists(a.text(a.revision), b.text(b.revision))),
    known(|a, b| b.is_pre().cmp(&a.is_pre())),
    unknown(by_kind_of_pre_release),
    known(|a, b| a.maturity.cmp(&b.maturity)),
    unknown(|a, b| b.count.is_empty().cmp(&a.count.is_empty())),
    known(|a, b| compare_numbers(a.text(a.count), b.text(b.count))),
    unknown(|a, b| a.shape().cmp(b.shape())),
    known(by_variant),
];

fn by_series(a: &Rank<'_>, b: &Rank<'_>) -> Ordering {
    a.series.cmp(&b.series).then_with(|| a.text(a.prefix).cmp(b.text(b.prefix)))
}

/// Returns the time when an image was first seen, if the image ranks by it.
fn of_seen(rank: &Rank<'_>) -> Option<i64> {
    rank.first_seen.filter(|_| rank.series <= Series::FirstSeen)
}

fn by_number(a: &Rank<'_>, b: &Rank<'_>, place: usize) -> Ordering {
    compare_numbers(a.text(a.numbers[place]), b.text(b.numbers[place]))
}

/// Compares a pre-release as older than everything that its numbers may be completed to.
fn by_pre_release(a: &Rank<'_>, b: &Rank<'_>, place: usize) -> Ordering {
    b.precedes_number(place).cmp(&a.precedes_number(place))
}

/// Compares by whether a number is given: `16` is a name for any `16.3`, and moves.
fn by_length(a: &Rank<'_>, b: &Rank<'_>, place: usize) -> Ordering {
    b.numbers[place].is_empty().cmp(&a.numbers[place].is_empty())
}

fn by_kind_of_pre_release(a: &Rank<'_>, b: &Rank<'_>) -> Ordering {
    let kind = |rank: &Rank<'_>| (rank.maturity == Maturity::Other).then(|| rank.text(rank.word).to_ascii_lowercase());
    kind(a).cmp(&kind(b))
}

fn by_variant(a: &Rank<'_>, b: &Rank<'_>) -> Ordering {
    let pairs = a.variant_numbers().zip(b.variant_numbers());
    pairs.map(|(a, b)| compare_numbers(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

impl parts::Marker {
    fn maturity(&self) -> Maturity {
        match self.kind {
            parts::Kind::Alpha => Maturity::Alpha,
            parts::Kind::Beta => Maturity::Beta,
            parts::Kind::Candidate => Maturity::Candidate,
            parts::Kind::Other => Maturity::Other,
        }
    }
}

#[cfg(test)]
mod tests;
