//! The period of an `@every` schedule, in the notation of Go's `time.ParseDuration`.

use jiff::SignedDuration;

use crate::text;

/// The units and their nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // U+00B5, the micro sign
    ("μs", 1_000), // U+03BC, the Greek letter
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The minimum period, in nanoseconds. OpenKruise treats shorter and negative periods as one second; Holystone refuses
/// them as mistakes.
const SHORTEST: i128 = 1_000_000_000;

/// Parses a period in whole seconds, rounded down.
pub(super) fn parse(text: &str) -> Result<SignedDuration, String> {
    let nanoseconds = nanoseconds(text).ok_or_else(|| {
        format!(
            "{:?} is not a duration for @every; write for example 1h30m or 90s (units h, m, s, ms)",
            text::shown(text)
        )
    })?;
    if nanoseconds < SHORTEST {
        return Err(format!("{:?} is no period for @every: the shortest is 1s", text::shown(text)));
    }
    let seconds = nanoseconds.div_euclid(1_000_000_000);
    Ok(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(1)))
}

fn nanoseconds(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let total = if unsigned == "0" { 0 } else { sum(unsigned)? };
    let total = i64::try_from(total).ok()?;
    Some(i128::from(if text.starts_with('-') { -total } else { total }))
}

/// Sums numbers with units, such as `1h30m` or `1.5h`.
fn sum(text: &str) -> Option<u128> {
    let mut total = 0_u128;
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let number = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, after) = rest.split_at(number);
        let unit = after.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *scale)?)?;
        rest = after;
    }
    Some(total)
}

/// Converts a decimal number of units to nanoseconds.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let parse = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u64>().ok().map(u128::from) };
    // Digits beyond the 18th are worth less than a nanosecond in every unit.
    let fraction = fraction.get(..fraction.len().min(18))?;
    let parts = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(parse(whole)? * scale + parse(fraction)? * scale / parts)
}
