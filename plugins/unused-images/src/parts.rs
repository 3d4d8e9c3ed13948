//! The parts of tags: numbers, words, dates, commit hashes, and the words of pre-releases.

use std::cmp::Ordering;

/// A part of a tag, by position in its first 255 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u8,
    pub(crate) end: u8,
}

impl Span {
    /// Builds the part from `start` to `end`; empty if a position is past the 255th.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        match (u8::try_from(start), u8::try_from(end)) {
            (Ok(start), Ok(end)) if start < end => Self { start, end },
            _ => Self::default(),
        }
    }

    /// Returns whether the part is empty.
    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Returns the text of the part.
    pub(crate) fn of(self, text: &str) -> &str {
        text.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }
}

/// Returns whether a byte separates the parts of a tag. A tag cannot have a `+`, but unusual runtimes list it.
pub(crate) fn is_separator(byte: u8) -> bool {
    b".-_+".contains(&byte)
}

/// Returns the run of letters and digits that starts at a position.
pub(crate) fn run_at(tag: &str, start: usize) -> Span {
    let rest = tag.as_bytes().get(start..).unwrap_or_default();
    let length = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
    Span::new(start, start + length)
}

/// Iterates over the runs of letters and digits from a position on.
pub(crate) fn runs(tag: &str, start: usize) -> impl Iterator<Item = Span> {
    let mut at = start;
    std::iter::from_fn(move || {
        at += tag.as_bytes().get(at..)?.iter().position(u8::is_ascii_alphanumeric)?;
        let run = run_at(tag, at);
        at = usize::from(run.end);
        (!run.is_empty()).then_some(run)
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether a whole number is longer than the first number of a version is.
pub(crate) fn is_long(number: &str) -> bool {
    number.len() > 3
}

/// Returns whether a run is a number that counts something, and no commit hash.
pub(crate) fn is_number(run: &str) -> bool {
    is_digits(run) && !is_hash(run)
}

/// Returns whether a run is or may be a commit hash: hexadecimal and long. Dates are no hashes.
pub(crate) fn is_hash(run: &str) -> bool {
    let hash = run.strip_prefix("sha").or_else(|| run.strip_prefix('g')).unwrap_or(run);
    hash.len() >= 6 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) && !is_date(hash)
}

/// Returns whether a run is a date, with or without a time: `20240131`, `202401311230`, `20240131123000`.
fn is_date(run: &str) -> bool {
    if !is_digits(run) || ![8, 12, 14].contains(&run.len()) {
        return false;
    }
    let below = |start: usize, limit: &str| run.get(start..start + 2).is_none_or(|part| part < limit);
    is_day(&run[..4], &run[4..6], &run[6..8]) && below(8, "24") && below(10, "60") && below(12, "60")
}

fn is_day(year: &str, month: &str, day: &str) -> bool {
    let within = |text: &str, first: &str, last: &str| text >= first && text <= last;
    within(year, "1990", "2099") && within(month, "01", "12") && within(day, "01", "31")
}

/// Finds the text before the numbers, and the position of the first number: in the first run that starts with a digit,
/// or with a `v` and a digit. If a hash comes before the numbers, the result is `None`: tags do not share a beginning
/// with a hash.
pub(crate) fn prefix(tag: &str) -> Option<(Span, usize)> {
    for run in runs(tag, 0) {
        let text = run.of(tag);
        let number = text.strip_prefix(['v', 'V']).unwrap_or(text);
        if number.starts_with(|c: char| c.is_ascii_digit()) {
            return Some((Span::new(0, run.start.into()), usize::from(run.end) - number.len()));
        }
        if is_hash(text) {
            return None;
        }
    }
    None
}

/// Returns the beginnings after which a tag shows that long numbers are no counts: a run with a digit or a hash follows
/// there, and the tag is more than a whole number.
pub(crate) fn spoils(tag: &str) -> impl Iterator<Item = &str> {
    let whole = prefix(tag).is_some_and(|(_, start)| is_digits(&tag[start..]));
    let tells = |run: &Span| run.of(tag).bytes().any(|byte| byte.is_ascii_digit()) || is_hash(run.of(tag));
    runs(if whole { "" } else { tag }, 0).filter(tells).map(|run| &tag[..run.start.into()])
}

/// A date at the beginning of a tag, or after its prefix.
pub(crate) struct Date {
    /// Year, month and day.
    pub(crate) numbers: [Span; 4],
    /// Number of digits of the time.
    pub(crate) time: u8,
    /// Position of the end, time included.
    pub(crate) end: usize,
}

/// Parses a date that starts at a position.
pub(crate) fn date(tag: &str, start: usize) -> Option<Date> {
    let rest = &tag[start..];
    let digits = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let at = |from: usize, to: usize| Span::new(start + from, start + to);
    if is_date(&rest[..digits]) {
        let numbers = [at(0, 4), at(4, 6), at(6, 8), Span::default()];
        return Some(Date { numbers, time: u8::try_from(digits - 8).ok()?, end: start + digits });
    }
    let parts = [rest.get(..4)?, rest.get(4..5)?, rest.get(5..7)?, rest.get(7..8)?, rest.get(8..10)?];
    let [year, "-", month, "-", day] = parts else { return None };
    let ends = rest.as_bytes().get(10).is_none_or(|byte| !byte.is_ascii_digit());
    let is_date = [year, month, day].into_iter().all(is_digits) && is_day(year, month, day) && ends;
    is_date.then(|| Date { numbers: [at(0, 4), at(5, 7), at(8, 10), Span::default()], time: 0, end: start + 10 })
}

/// Parses one to four numbers with dots between them, and returns them with the position of their end.
pub(crate) fn version(tag: &str, start: usize) -> Option<([Span; 4], usize)> {
    let bytes = tag.as_bytes();
    let mut numbers = [Span::default(); 4];
    let mut at = start;
    for place in 0..numbers.len() {
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        numbers[place] = Span::new(at, at + digits);
        at += digits;
        let more = bytes.get(at) == Some(&b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !more || place + 1 == numbers.len() {
            return (digits > 0).then_some((numbers, at));
        }
        at += 1;
    }
    None
}

/// The kind of a pre-release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Alpha,
    Beta,
    Candidate,
    Other,
}

/// The beginning of a run that names a pre-release.
pub(crate) struct Marker {
    pub(crate) kind: Kind,
    /// Length of the word.
    pub(crate) word: usize,
    /// Position in the run at which the number after the word ends.
    pub(crate) end: usize,
    /// Set when the word means a pre-release only with a number: `dev` alone is a variant of many images.
    pub(crate) needs_number: bool,
}

/// Parses the word of a pre-release, `attached` to the numbers of a version or in a run of its own. Letters alone, such
/// as `b` in `3.13.0b1`, mean a pre-release only where they are attached: `-b08` is a build.
pub(crate) fn marker(run: &str, attached: bool) -> Option<Marker> {
    let word = run.bytes().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(run.len());
    let kind = match run[..word].to_ascii_lowercase().as_str() {
        "alpha" => Kind::Alpha,
        "beta" => Kind::Beta,
        "rc" | "cr" => Kind::Candidate,
        "a" if attached => Kind::Alpha,
        "b" if attached => Kind::Beta,
        "c" if attached => Kind::Candidate,
        "dev" | "pre" | "preview" | "snapshot" | "milestone" | "ea" => Kind::Other,
        _ => return None,
    };
    let digits = run[word..].bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(run.len() - word);
    Some(Marker { kind, word, end: word + digits, needs_number: run[..word].eq_ignore_ascii_case("dev") })
}

/// A part of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    Word(&'a str),
    Number(&'a str),
    /// A commit hash: the parts after it do not affect the order.
    Hash,
}

/// Splits a variant into its parts.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    let runs = runs(text, 0).map(|run| run.of(text));
    runs.flat_map(|run| {
        let mut rest = run;
        std::iter::from_fn(move || {
            let first = *rest.as_bytes().first()?;
            if rest.len() == run.len() && is_hash(run) {
                rest = "";
                return Some(Token::Hash);
            }
            let is_other = |byte: u8| byte.is_ascii_digit() != first.is_ascii_digit();
            let (token, after) = rest.split_at(rest.bytes().position(is_other).unwrap_or(rest.len()));
            rest = after;
            Some(if first.is_ascii_digit() { Token::Number(token) } else { Token::Word(token) })
        })
    })
}

/// Returns the parts up to and including the first hash.
pub(crate) fn until_hash<'a>(tokens: impl Iterator<Item = Token<'a>>) -> impl Iterator<Item = Token<'a>> {
    let mut over = false;
    tokens.take_while(move |token| !std::mem::replace(&mut over, *token == Token::Hash))
}

/// Compares digits by their value; an empty text is zero.
pub(crate) fn compare_numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Compares numbers with separators between them one by one; a missing number is zero.
pub(crate) fn compare_lists(a: &str, b: &str) -> Ordering {
    let numbers = |text| runs(text, 0).map(move |run| run.of(text));
    let (mut a, mut b) = (numbers(a), numbers(b));
    loop {
        let (next_a, next_b) = (a.next(), b.next());
        if next_a.is_none() && next_b.is_none() {
            return Ordering::Equal;
        }
        match compare_numbers(next_a.unwrap_or_default(), next_b.unwrap_or_default()) {
            Ordering::Equal => {}
            order => return order,
        }
    }
}

/// Compares in natural order: runs of digits by their value, the rest byte by byte, so that `build-10` comes after
/// `build-9`. If texts differ in leading zeros only, they compare as bytes in the end: only equal texts are equal.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (rest_a.first(), rest_b.first()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (number_a, number_b) = (take_digits(&mut rest_a), take_digits(&mut rest_b));
                let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
                if order != Ordering::Equal {
                    return order;
                }
            }
            (Some(x), Some(y)) if x == y => (rest_a, rest_b) = (&rest_a[1..], &rest_b[1..]),
            (Some(x), Some(y)) => return x.cmp(y),
        }
    }
}

/// Takes the digits at the start, and returns them without leading zeros.
fn take_digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let whole = *text;
    let end = whole.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(whole.len());
    *text = &whole[end..];
    let digits = &whole[..end];
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    &digits[zeros..]
}
