//! A field of a schedule: the numbers that it names.

use crate::text;

/// The bounds of the numbers in a field.
pub(super) struct Bounds {
    pub(super) name: &'static str,
    pub(super) min: u8,
    pub(super) max: u8,
    /// The names of the numbers from `min` on.
    pub(super) names: &'static [&'static str],
    /// The addition to the message about a number that is out of bounds, besides the bounds.
    pub(super) hint: &'static str,
}

/// The numbers of a field, none of them over 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CronField {
    numbers: u64,
    /// Set when the field was written as "any": `*`, `?` or `*/1`, alone or in a list.
    any: bool,
}

impl CronField {
    /// Parses a field. Empty items of the list are skipped, so a field of commas has no numbers.
    pub(super) fn parse(text: &str, bounds: &Bounds) -> Result<Self, String> {
        let mut field = Self { numbers: 0, any: false };
        for item in text.split(',').filter(|item| !item.is_empty()) {
            let item = parse_item(item, bounds)
                .map_err(|problem| format!("{problem} in the field {} ({:?})", bounds.name, text::shown(text)))?;
            field.numbers |= item.numbers;
            field.any |= item.any;
        }
        Ok(field)
    }

    pub(super) fn is_any(self) -> bool {
        self.any
    }

    pub(super) fn is_empty(self) -> bool {
        self.numbers == 0
    }

    pub(super) fn contains(self, number: i8) -> bool {
        self.from(number) == Some(number)
    }

    /// Returns the smallest number of the field that is not below this one.
    pub(super) fn from(self, number: i8) -> Option<i8> {
        let below = 1_u64.checked_shl(u32::try_from(number).ok()?)? - 1;
        let left = self.numbers & !below;
        (left != 0).then(|| i8::try_from(left.trailing_zeros()).ok()).flatten()
    }
}

fn parse_item(item: &str, bounds: &Bounds) -> Result<CronField, String> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(parse_step(step)?)),
        None => (item, None),
    };
    let mut ends = range.split('-');
    let first = ends.next().unwrap_or_default();
    // The text after the star is ignored: "*-5" is "*".
    let star = first == "*" || first == "?";
    let (start, end) = if star { (bounds.min, bounds.max) } else { parse_range(first, ends, step.is_some(), bounds)? };
    let step = step.unwrap_or(1);
    let numbers = (start..=end).step_by(step).fold(0, |numbers, number| numbers | 1 << number);
    Ok(CronField { numbers, any: star && step == 1 })
}

fn parse_range<'a>(
    first: &str,
    mut rest: impl Iterator<Item = &'a str>,
    stepped: bool,
    bounds: &Bounds,
) -> Result<(u8, u8), String> {
    let start = parse_number(first, bounds)?;
    let end = match rest.next() {
        Some(last) => parse_number(last, bounds)?,
        None if stepped => bounds.max,
        None => start,
    };
    if rest.next().is_some() {
        return Err("a range has one hyphen, there are more".to_owned());
    }
    if start > end {
        return Err(format!("the range ends before it starts; write {start}-{},{}-{end}", bounds.max, bounds.min));
    }
    Ok((start, end))
}

fn parse_step(text: &str) -> Result<usize, String> {
    match text.parse::<i64>().map(usize::try_from) {
        Ok(Ok(step)) if step > 0 => Ok(step),
        _ => Err(format!("{:?} is not a step, which is a number from 1 on", text::shown(text))),
    }
}

fn parse_number(text: &str, bounds: &Bounds) -> Result<u8, String> {
    let place = bounds.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let number = match place {
        Some(place) => u8::try_from(place).ok().map(|place| bounds.min + place),
        // Leading zeros and a plus are accepted.
        None => text.parse::<i64>().ok().and_then(|number| u8::try_from(number).ok()),
    };
    number.filter(|number| (bounds.min..=bounds.max).contains(number)).ok_or_else(|| {
        let names = match bounds.names {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        format!("{:?} is not a number from {} to {}{names}{}", text::shown(text), bounds.min, bounds.max, bounds.hint)
    })
}
