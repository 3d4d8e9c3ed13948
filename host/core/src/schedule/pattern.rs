//! The dialect as a regular expression, for those who can check a text by nothing else, such as an API server.
//!
//! The expression says everything but what compares two numbers (a range that ends before it starts, a day that no month has, a period
//! of less than a second) and which time zones there are. Every text that [`super::Schedule::parse`] takes matches it.

use super::DESCRIPTORS;
use super::calendar::FIELDS;
use super::field::Bounds;

/// Blanks between fields, as `str::split_whitespace` knows them.
const BLANK: &str = r"[\t-\r\x{85}\p{Z}]";

/// A regular expression that schedules match, in the syntax that RE2 and the crate `regex` share.
pub(crate) fn pattern() -> String {
    let fields = FIELDS.map(|bounds| field(&bounds)).join(&format!("{BLANK}+"));
    let names: Vec<&str> = DESCRIPTORS.iter().map(|(name, _)| *name).collect();
    let number = r"([0-9]+\.?[0-9]*|\.[0-9]+)";
    let every = format!(r"@every \+?({number}(ns|us|\x{{b5}}s|\x{{3bc}}s|ms|s|m|h))+");
    let descriptor = format!("({}|{every})", names.join("|"));
    let zone = "(CRON_)?TZ=[-+A-Za-z0-9_/]* ";
    // Blanks around a descriptor are taken only behind a zone.
    format!("^(({zone})?{BLANK}*{fields}{BLANK}*|{descriptor}|{zone}{BLANK}*{descriptor}{BLANK}*)$")
}

/// A list of numbers, ranges and stars, each with an optional step.
fn field(bounds: &Bounds) -> String {
    let number = number(bounds);
    let step = r"(/\+?0*[1-9][0-9]*)?";
    let item = format!(r"([*?](-[^,/\t-\r\x{{85}}\p{{Z}}]*)?|{number}(-{number})?){step}");
    // A list of nothing is one, too; whether it ever comes is found out later.
    format!("(,+|,*{item}(,+{item})*,*)")
}

/// A number within bounds, or the name of one. Leading zeros and a plus are fine.
fn number(bounds: &Bounds) -> String {
    let tens = bounds.min / 10..=bounds.max / 10;
    let numbers = tens.map(|ten| {
        let first = if ten == bounds.min / 10 { bounds.min % 10 } else { 0 };
        let last = if ten == bounds.max / 10 { bounds.max % 10 } else { 9 };
        let leading = if ten == 0 { String::new() } else { ten.to_string() };
        format!("{leading}[{first}-{last}]")
    });
    let numbers = format!(r"\+?0*({})", numbers.collect::<Vec<_>>().join("|"));
    if bounds.names.is_empty() { numbers } else { format!("({numbers}|(?i:{}))", bounds.names.join("|")) }
}
