//! What the `format` of a field asks of its text.

use std::str::FromStr;

use super::value::{Bytes, Duration, Parallelism, Percent};
use crate::pattern::Pattern;
use crate::pressure::Disk;
use crate::schedule::{Schedule, zone};

/// Why a text does not have a format.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not what [`Format::expected`] says.
    Unexpected,
    /// In a sentence that names the text.
    Because(String),
}

/// A format of texts.
#[derive(Clone, Copy)]
pub(super) struct Format {
    /// What a text of this format is, in words.
    pub(super) expected: &'static str,
    /// Whether whole numbers are as good as texts.
    pub(super) takes_numbers: bool,
    judge: fn(&str) -> Result<(), Fault>,
}

impl Format {
    /// The format with this name. Formats of numbers are not among them.
    pub(super) fn named(name: &str) -> Option<Self> {
        let text = |expected, judge| Some(Self { expected, takes_numbers: false, judge });
        let number = |expected, judge| Some(Self { expected, takes_numbers: true, judge });
        match name {
            "cron" => text("five cron fields, or one of @hourly, @daily, @weekly, @monthly, @every 90m", cron),
            "time-zone" => text("the IANA name of a time zone, such as Europe/Berlin", time_zone),
            "image-pattern" => text("an image pattern, such as docker.io/minchou/*", image_pattern),
            "duration" => text(Duration::EXPECTED, parses::<Duration>),
            "bytes" => number(Bytes::EXPECTED, parses::<Bytes>),
            "percent" => number(Percent::EXPECTED, parses::<Percent>),
            "parallelism" => number(Parallelism::EXPECTED, parses::<Parallelism>),
            "filesystem" => text("images, or logs: with the name of a log root", parses::<Disk>),
            "name" => {
                text("a name of lower-case letters, digits and '-', with a letter or digit at both ends", name_part)
            }
            "object-name" => {
                text("the name of a Kubernetes object: lower-case letters, digits, '-' and '.'", object_name)
            }
            "config-map-key" => text("a key of letters, digits, '-', '_' and '.'", config_map_key),
            "digest" => text("\"sha256:\" and 64 lower-case hexadecimal digits", digest),
            "endpoint" => {
                text("auto, none, or the absolute path of a socket with or without unix:// in front", endpoint)
            }
            "host-path" => text("an absolute path below /, without . and .. in it", host_path),
            "relative-path" => text("a relative path without . and .. in it", relative_path),
            "filled" => text("text that is not empty", filled),
            _ => None,
        }
    }

    pub(super) fn judge(self, text: &str) -> Result<(), Fault> {
        (self.judge)(text)
    }
}

fn expect(fits: bool) -> Result<(), Fault> {
    if fits { Ok(()) } else { Err(Fault::Unexpected) }
}

fn parses<T: FromStr>(text: &str) -> Result<(), Fault> {
    expect(text.parse::<T>().is_ok())
}

fn cron(text: &str) -> Result<(), Fault> {
    match Schedule::parse(text, None) {
        Ok(schedule) if schedule.is_impossible() => {
            Err(Fault::Because(format!("{text:?} never comes: no date or time is like that")))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::Because(error.to_string())),
    }
}

fn time_zone(text: &str) -> Result<(), Fault> {
    zone(text).map(drop).map_err(|error| Fault::Because(error.to_string()))
}

fn image_pattern(text: &str) -> Result<(), Fault> {
    text.parse::<Pattern>().map(drop).map_err(|error| Fault::Because(error.to_string()))
}

/// A DNS label, but for its length, which the schema limits.
fn name_part(text: &str) -> Result<(), Fault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inside = text.bytes().all(|byte| plain(byte) || byte == b'-');
    expect(inside && text.bytes().next().is_some_and(plain) && text.bytes().last().is_some_and(plain))
}

/// Whether a text can be the name of a plugin or a log root: a DNS label.
pub fn is_name(text: &str) -> bool {
    text.len() <= 63 && name_part(text).is_ok()
}

/// A DNS subdomain.
fn object_name(text: &str) -> Result<(), Fault> {
    expect(text.len() <= 253)?;
    text.split('.').try_for_each(name_part)
}

/// What Kubernetes allows; no such key leads out of the directory that the ConfigMap is mounted at.
fn config_map_key(text: &str) -> Result<(), Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    expect((1..=253).contains(&text.len()) && text.bytes().all(allowed) && text != "." && !text.starts_with(".."))
}

fn digest(text: &str) -> Result<(), Fault> {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    expect(text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(hexadecimal)))
}

fn endpoint(text: &str) -> Result<(), Fault> {
    let path = text.strip_prefix("unix:").map_or(text, |path| path.strip_prefix("//").unwrap_or(path));
    expect(matches!(text, "auto" | "none") || path.starts_with('/') && !path.ends_with('/') && !path.contains('\0'))
}

fn host_path(text: &str) -> Result<(), Fault> {
    let inside = text.strip_prefix('/').map(|path| path.strip_suffix('/').unwrap_or(path));
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    expect(inside.is_some_and(|path| path.split('/').all(plain)))
}

fn relative_path(text: &str) -> Result<(), Fault> {
    expect(!text.starts_with('/')).and_then(|()| host_path(&format!("/{text}")))
}

fn filled(text: &str) -> Result<(), Fault> {
    expect(!text.trim().is_empty() && !text.contains('\0'))
}
