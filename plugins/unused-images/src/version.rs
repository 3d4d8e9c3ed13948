//! How image tags are compared: as versions where they are versions, else in natural order.

use std::cmp::Ordering;

/// A version as image tags spell it, borrowed from the tag: one to four numbers, `v` allowed in front, then
/// `-` and a pre-release, then `+` or `_` (a tag cannot have a `+`, so tools write `_`) and build metadata.
/// `v1.2` is `1.2.0`.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    numbers: [u64; 4],
    /// Empty for a release.
    pre: &'a str,
    build: &'a str,
}

impl<'a> Version<'a> {
    /// Reads a tag; `None` when it is not a version.
    pub fn parse(tag: &'a str) -> Option<Self> {
        let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
        let (numbers, rest) = split_numbers(text)?;
        let Some(&mark) = rest.as_bytes().first() else {
            return Some(Self { numbers, pre: "", build: "" });
        };
        let rest = &rest[1..];
        let (pre, build) = match mark {
            b'-' => match rest.split_once(['+', '_']) {
                Some((pre, build)) => (pre, Some(build)),
                None => (rest, None),
            },
            b'+' | b'_' => ("", Some(rest)),
            _ => return None,
        };
        let named = (mark != b'-' || !pre.is_empty()) && build != Some("");
        named.then_some(Self { numbers, pre, build: build.unwrap_or_default() })
    }

    /// Precedence as Semantic Versioning has it, with two additions that make the newest one win: numbers within
    /// an identifier count by value (`rc10` is newer than `rc9`), and build metadata decides between versions
    /// that are otherwise equal.
    pub fn compare(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| compare_pre(self.pre, other.pre))
            .then_with(|| natural(self.build, other.build))
    }
}

/// Splits `1.2.3rest`; `None` unless it starts with one to four numbers between dots that fit 64 bits.
fn split_numbers(text: &str) -> Option<([u64; 4], &str)> {
    let bytes = text.as_bytes();
    let mut numbers = [0; 4];
    let mut at = 0;
    for number in &mut numbers {
        let start = at;
        while let Some(byte) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            *number = u64::checked_mul(*number, 10)?.checked_add(u64::from(byte - b'0'))?;
            at += 1;
        }
        if at == start {
            return None;
        }
        if bytes.get(at) != Some(&b'.') {
            return Some((numbers, &text[at..]));
        }
        at += 1;
    }
    None
}

/// A release (no pre-release) is the newest of its numbers; fewer identifiers come before more.
fn compare_pre(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let (mut a, mut b) = (a.split('.'), b.split('.'));
            loop {
                match (a.next(), b.next()) {
                    (None, None) => return Ordering::Equal,
                    (None, Some(_)) => return Ordering::Less,
                    (Some(_), None) => return Ordering::Greater,
                    (Some(a), Some(b)) => match compare_identifier(a, b) {
                        Ordering::Equal => {}
                        unequal => return unequal,
                    },
                }
            }
        }
    }
}

/// A number comes before a word.
fn compare_identifier(a: &str, b: &str) -> Ordering {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    is_number(b).cmp(&is_number(a)).then_with(|| natural(a, b))
}

/// Natural order: runs of digits compare by their value, everything else byte by byte, so that `build-10` comes
/// after `build-9`. Texts that differ in leading zeros only compare as bytes in the end: only equal texts are equal.
pub fn natural(a: &str, b: &str) -> Ordering {
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

/// Takes the digits at the start, and gives them without leading zeros.
fn take_digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let whole = *text;
    let end = whole.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(whole.len());
    *text = &whole[end..];
    let digits = &whole[..end];
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests;
