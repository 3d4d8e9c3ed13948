use jiff::Timestamp;

use super::{Schedule, zone};

mod conformance;
mod dialect;
mod other_crates;
mod properties;
mod simulation;

/// A time such as `03-01 00:05:00`, in UTC and 2026, or with a year in front.
fn at(text: &str) -> Timestamp {
    let year = if text.len() == "03-01 00:05:00".len() { "2026-" } else { "" };
    format!("{year}{}Z", text.replace(' ', "T")).parse().unwrap()
}

fn schedule(text: &str) -> Schedule {
    Schedule::parse(text, None).unwrap()
}

fn in_zone(text: &str, name: &str) -> Schedule {
    Schedule::parse(text, Some(zone(name).unwrap())).unwrap()
}
