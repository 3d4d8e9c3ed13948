//! The dialect as a regular expression, for programs that can check a text by nothing else, such as an API server.
//!
//! The expression covers the dialect except for time zone names and for comparisons of two numbers: a range that ends
//! before it starts, a day that no month has, a period of less than a second. Every text that
//! [`super::Schedule::parse`] accepts matches the expression.

use super::DESCRIPTORS;
use super::calendar::FIELDS;
use super::field::Bounds;

/// The blanks between fields, as `str::split_whitespace` defines them.
const BLANK: &str = r"[\t-\r\x{85}\p{Z}]";

/// Builds a regular expression that every schedule matches, in the syntax that RE2 and the crate `regex` share.
pub(crate) fn pattern() -> String {
    let fields = FIELDS.map(|bounds| field(&bounds)).join(&format!("{BLANK}+"));
    let names: Vec<&str> = DESCRIPTORS.iter().map(|(name, _)| *name).collect();
    let number = r"([0-9]+\.?[0-9]*|\.[0-9]+)";
    let every = format!(r"@every \+?({number}(ns|us|\x{{b5}}s|\x{{3bc}}s|ms|s|m|h))+");
    let descriptor = format!("({}|{every})", names.join("|"));
    let zone = "(CRON_)?TZ=[-+A-Za-z0-9_/]* ";
    // Blanks around a descriptor are accepted only after a zone.
    format!("^(({zone})?{BLANK}*{fields}{BLANK}*|{descriptor}|{zone}{BLANK}*{descriptor}{BLANK}*)$")
}

/// Builds the expression for a list of numbers, ranges and stars, each with an optional step.
fn field(bounds: &Bounds) -> String {
    let number = number(bounds);
    let step = r"(/\+?0*[1-9][0-9]*)?";
    let item = format!(r"([*?](-[^,/\t-\r\x{{85}}\p{{Z}}]*)?|{number}(-{number})?){step}");
    // A list of commas alone is accepted, too. Whether the schedule ever matches is checked later.
    format!("(,+|,*{item}(,+{item})*,*)")
}

/// Builds the expression for a number within bounds, or for its name. Leading zeros and a plus are accepted.
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
