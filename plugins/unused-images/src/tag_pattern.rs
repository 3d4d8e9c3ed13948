//! The pattern of `order.byTag`: a tag in which `#` stands for a number.

use crate::parts::Span;

/// Maximum number of numbers that a pattern may pick.
const NUMBERS: usize = 4;

/// A tag with wildcards: `*` for any characters, `?` for one, `#` for a whole run of digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagPattern(String);

impl TagPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// Fails if the text is no tag, picks nothing or too much, or can match no tag.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-*?#".contains(byte);
        let numbers = text.matches('#').count();
        let digit = |byte: u8| byte.is_ascii_digit() || byte == b'#';
        let adjoins = bytes.windows(2).any(|pair| pair.contains(&b'#') && digit(pair[0]) && digit(pair[1]));
        if text.is_empty() || text.len() > 128 || !bytes.iter().all(allowed) {
            Err("must be a tag of letters, digits, '_', '.' and '-', in which '#' stands for the number to order by, \
                 '*' for any characters and '?' for one"
                .to_owned())
        } else if numbers == 0 {
            Err("picks no number; write # where it stands, as in main-*-#".to_owned())
        } else if numbers > NUMBERS {
            Err(format!("picks {numbers} numbers; at most {NUMBERS} are compared"))
        } else if adjoins {
            Err("can match no tag: # is a whole run of digits, and next to it stands another digit".to_owned())
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Returns the pattern as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the numbers in a tag that matches, where the pattern fits first.
    pub(crate) fn pick(&self, tag: &str) -> Option<[Span; NUMBERS]> {
        let (pattern, text) = (self.0.as_bytes(), tag.as_bytes());
        if text.len() > 255 {
            return None;
        }
        let mut found = Found::default();
        let (mut at, mut place) = (0, 0);
        // The position to retry from after a mismatch: behind the last `*`, which then takes one character more.
        let mut star: Option<(usize, usize, Found)> = None;
        loop {
            let step = match pattern.get(place) {
                None if at == text.len() => return Some(found.numbers),
                None => None,
                Some(b'*') => {
                    star = Some((place + 1, at, found));
                    Some(0)
                }
                Some(b'#') => number_at(text, at).inspect(|length| found.add(at, *length)),
                Some(b'?') => text.get(at).map(|_| 1),
                Some(byte) => (text.get(at) == Some(byte)).then_some(1),
            };
            if let Some(length) = step {
                (at, place) = (at + length, place + 1);
                continue;
            }
            let (after, from, before) = star.filter(|(_, from, _)| *from < text.len())?;
            star = Some((after, from + 1, before));
            (place, at, found) = (after, from + 1, before);
        }
    }
}

/// Returns the length of the run of digits that starts at a position.
fn number_at(text: &[u8], at: usize) -> Option<usize> {
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let starts = at == 0 || !text[at - 1].is_ascii_digit();
    (digits > 0 && starts).then_some(digits)
}

/// The numbers picked so far.
#[derive(Clone, Copy, Default)]
struct Found {
    numbers: [Span; NUMBERS],
    count: usize,
}

impl Found {
    fn add(&mut self, at: usize, length: usize) {
        if let Some(number) = self.numbers.get_mut(self.count) {
            *number = Span::new(at, at + length);
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests;
