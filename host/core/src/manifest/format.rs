//! The formats of texts: the checks of the reader, and the same checks as patterns for the API server.

use std::str::FromStr;

use super::value::{Bytes, Cpu, Duration, Parallelism, Percent};
use crate::pattern::Pattern;
use crate::pressure::Disk;
use crate::reference::Reference;
use crate::schedule::{self, Schedule, zone};
use crate::text::is_harmful;

/// A violation of a format.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The text does not match the description in [`Format::expected`].
    Unexpected,
    /// The text is wrong for this reason, a sentence that names the text.
    Because(String),
}

/// A format of texts.
#[derive(Clone, Copy)]
pub(super) struct Format {
    /// The description of a text of this format, in words.
    pub(super) expected: &'static str,
    /// The maximum number of characters.
    pub(super) longest: u64,
    /// The condition on whole numbers, in CEL; absent for a format that does not accept numbers.
    pub(super) numbers: Option<&'static str>,
    judge: fn(&str) -> Result<(), Fault>,
    pattern: fn() -> String,
}

/// The maximum length of a path. The API server estimates the cost of a rule by this length, once for each entry of a
/// list.
const LONGEST_PATH: u64 = 1024;
/// The maximum length of a number or a duration, far longer than any that is written.
const LONGEST_NUMBER: u64 = 64;

/// The characters that no path contains on purpose, as they stand in the brackets of a pattern: those of
/// [`is_harmful`]. They are mistakes, such as the end of a line of YAML, or make a path read as another one.
const HARMFUL: &str = r"\x00-\x1f\x7f-\x{9f}\x{ad}\x{61c}\x{180e}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}\x{fff9}-\x{fffb}\x{e0000}-\x{e007f}";
/// Returns the pattern of a part of a path, other than `.` and `..`.
fn path_part() -> String {
    format!(r"([^/.{HARMFUL}][^/{HARMFUL}]*|\.[^/.{HARMFUL}][^/{HARMFUL}]*|\.\.[^/{HARMFUL}]+)")
}

/// The pattern of a DNS label, except for its length.
const DNS_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
/// The pattern of label values, and of label names after their prefix.
const LABEL_PART: &str = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";

impl Format {
    /// Returns the format with this name. Formats of numbers are not included.
    pub(super) fn named(name: &str) -> Option<Self> {
        let text = |expected, longest, judge, pattern| Some(Self { expected, longest, numbers: None, judge, pattern });
        let number = |expected, numbers, judge, pattern| {
            Some(Self { expected, longest: LONGEST_NUMBER, numbers: Some(numbers), judge, pattern })
        };
        match name {
            "cron" => {
                let expected = "five cron fields, or one of @hourly, @daily, @weekly, @monthly, @every 90m";
                text(expected, 1024, cron, schedule::pattern)
            }
            "time-zone" => text("the IANA name of a time zone, such as Europe/Berlin", 64, time_zone, || {
                "^[A-Za-z][-+A-Za-z0-9_/]*$".to_owned()
            }),
            // A colon precedes a tag, a digest or a port, so a pattern neither ends with a colon nor has a colon before
            // a slash.
            "image-pattern" => text("an image pattern, such as docker.io/minchou/*", 1024, image_pattern, || {
                r"^([-A-Za-z0-9._/@+*?\[\]]|:[-A-Za-z0-9._@+*?\[\]:])+$".to_owned()
            }),
            "image-reference" => {
                let expected = "an image reference, such as registry.example.com/cleaners@sha256:…";
                text(expected, 512, image_reference, || r"^([-A-Za-z0-9._/@+\[\]]|:[-A-Za-z0-9._@+\[\]:])+$".to_owned())
            }
            "duration" => text(Duration::EXPECTED, LONGEST_NUMBER, parses::<Duration>, || {
                let units = ["w", "d", "h", "m", "s", "ms"];
                // A duration has at least one unit: each alternative begins with a different unit.
                let from = |first: usize| {
                    let rest = units[first + 1..].iter().map(|unit| format!("([0-9]+{unit})?"));
                    format!("[0-9]+{}{}", units[first], rest.collect::<String>())
                };
                format!("^({})$", (0..units.len()).map(from).collect::<Vec<_>>().join("|"))
            }),
            "bytes" => number(Bytes::EXPECTED, "self >= 0", parses::<Bytes>, || {
                r"^[0-9]+(\.[0-9]+)?(Ti|Gi|Mi|Ki|T|G|M|K|k)?B?$".to_owned()
            }),
            "cpu" => number(Cpu::EXPECTED, "self >= 0 && self <= 999999999", parses::<Cpu>, || {
                r"^([0-9]{1,9}(\.[0-9]{1,3})?|[0-9]{1,9}m)$".to_owned()
            }),
            "percent" => number(Percent::EXPECTED, "self >= 0 && self <= 100", parses::<Percent>, || {
                "^0*([0-9]{1,2}|100)%?$".to_owned()
            }),
            "parallelism" => {
                number(Parallelism::EXPECTED, "self >= 1 && self <= 4294967295", parses::<Parallelism>, || {
                    "^0*([1-9][0-9]{0,9}|([1-9][0-9]?|100)%)$".to_owned()
                })
            }
            "filesystem" => text("images, or logs: with the name of a log root", 68, parses::<Disk>, || {
                r"^(images|logs:[^\x00]+)$".to_owned()
            }),
            "name" => {
                let expected = "a name of lower-case letters, digits and '-', with a letter or digit at both ends";
                text(expected, 63, name_part, || format!("^{DNS_LABEL}$"))
            }
            "object-name" => {
                let expected = "the name of a Kubernetes object: lower-case letters, digits, '-' and '.'";
                text(expected, 253, object_name, || format!(r"^{DNS_LABEL}(\.{DNS_LABEL})*$"))
            }
            "config-map-key" => text("a key of letters, digits, '-', '_' and '.'", 253, config_map_key, || {
                r"^(\.?[-_A-Za-z0-9][-._A-Za-z0-9]*)$".to_owned()
            }),
            "label-key" => {
                text(LABEL_KEY, 317, label_key, || format!(r"^({DNS_LABEL}(\.{DNS_LABEL})*/)?{LABEL_PART}$"))
            }
            "taint-key" => {
                text(LABEL_KEY, 317, taint_key, || format!(r"^(({DNS_LABEL}(\.{DNS_LABEL})*/)?{LABEL_PART})?$"))
            }
            "label-value" => {
                let expected = "the value of a label: up to 63 letters, digits, '-', '_' and '.', with a letter or digit \
                                at both ends";
                text(expected, 63, label_value, || format!("^({LABEL_PART})?$"))
            }
            "selinux-word" => {
                text("a word of SELinux, such as spc_t", 63, selinux_word, || "^[A-Za-z][A-Za-z0-9_.]*$".to_owned())
            }
            "selinux-level" => text("a level of SELinux, such as s0 or s0:c1,c2", 255, selinux_level, || {
                "^s[0-9][-s0-9.,:c]*$".to_owned()
            }),
            "digest" => text("\"sha256:\" and 64 lower-case hexadecimal digits", 71, digest, || {
                "^sha256:[0-9a-f]{64}$".to_owned()
            }),
            "endpoint" => {
                let expected = "auto, none, or the absolute path of a socket with or without unix:// in front";
                text(expected, LONGEST_PATH, endpoint, || {
                    let (plain, last) = (format!("[^{HARMFUL}]"), format!("[^/{HARMFUL}]"));
                    format!("^(auto|none|(unix://)?/{plain}*{last}|unix:/{last}({plain}*{last})?)$")
                })
            }
            "host-path" => text("an absolute path below /, without . and .. in it", LONGEST_PATH, host_path, || {
                format!("^(/{})+/?$", path_part())
            }),
            "relative-path" => text("a relative path without . and .. in it", LONGEST_PATH, relative_path, || {
                format!("^{0}(/{0})*/?$", path_part())
            }),
            "filled" => text("text that is not empty", LONGEST_PATH, filled, || {
                r"^[^\x00]*[^\x00\t-\r\x{85}\p{Z}][^\x00]*$".to_owned()
            }),
            _ => None,
        }
    }

    /// Checks a text, except for its length.
    pub(super) fn judge(self, text: &str) -> Result<(), Fault> {
        (self.judge)(text)
    }

    /// Returns a regular expression that every text of this format matches, in the syntax that RE2 and the crate
    /// `regex` share. A few texts match it and are still refused by [`Format::judge`]: a time zone that does not exist,
    /// a number that is too large.
    pub(super) fn pattern(self) -> String {
        (self.pattern)()
    }
}

/// The description of label keys and taint keys.
const LABEL_KEY: &str = "the name of a label, such as kubernetes.io/arch: up to 63 letters, digits, '-', '_' and '.', with \
                         a letter or digit at both ends, and in front of it, if need be, a DNS name and a '/'";

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

fn image_reference(text: &str) -> Result<(), Fault> {
    Reference::parse(text).map(drop).map_err(|error| Fault::Because(error.to_string()))
}

/// Checks for a DNS label, except for its length, which is limited separately.
fn name_part(text: &str) -> Result<(), Fault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inside = text.bytes().all(|byte| plain(byte) || byte == b'-');
    expect(inside && text.bytes().next().is_some_and(plain) && text.bytes().last().is_some_and(plain))
}

/// Returns whether a text can be the name of a plugin or a log root: a DNS label.
pub fn is_name(text: &str) -> bool {
    text.len() <= 63 && name_part(text).is_ok()
}

/// Returns whether a text can be the name of a Kubernetes object: a DNS subdomain.
pub fn is_object_name(text: &str) -> bool {
    object_name(text).is_ok()
}

/// Returns whether a text can be the key of a label or of an annotation.
pub fn is_label_key(text: &str) -> bool {
    label_key(text).is_ok()
}

/// Returns whether a text can be an SELinux user, role or type.
pub fn is_selinux_word(text: &str) -> bool {
    selinux_word(text).is_ok()
}

/// Checks for a DNS subdomain.
fn object_name(text: &str) -> Result<(), Fault> {
    expect(text.len() <= 253)?;
    text.split('.').try_for_each(name_part)
}

/// Checks for a key that Kubernetes allows. Such a key cannot lead out of the directory where the ConfigMap is mounted.
fn config_map_key(text: &str) -> Result<(), Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    expect((1..=253).contains(&text.len()) && text.bytes().all(allowed) && text != "." && !text.starts_with(".."))
}

/// Checks for a label key that Kubernetes accepts.
fn label_key(text: &str) -> Result<(), Fault> {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.map_or(Ok(()), object_name)?;
    expect(!name.is_empty())?;
    label_value(name)
}

/// Checks for a taint key. An empty key matches every taint, as an absent key does.
fn taint_key(text: &str) -> Result<(), Fault> {
    if text.is_empty() { Ok(()) } else { label_key(text) }
}

/// Checks for a label value, which may be empty.
fn label_value(text: &str) -> Result<(), Fault> {
    let outside = |byte: &u8| byte.is_ascii_alphanumeric();
    let inside = text.bytes().all(|byte| outside(&byte) || b"-_.".contains(&byte));
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    expect(text.len() <= 63 && inside && ends.into_iter().flatten().all(outside))
}

/// Checks for an SELinux user, role or type.
fn selinux_word(text: &str) -> Result<(), Fault> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
    expect(text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic()) && text.bytes().all(inside))
}

/// Checks the characters of SELinux sensitivities and categories; only the node knows which ones exist.
fn selinux_level(text: &str) -> Result<(), Fault> {
    let inside = |byte: u8| byte.is_ascii_digit() || b"-s.,:c".contains(&byte);
    let begins = text.strip_prefix('s').and_then(|rest| rest.bytes().next()).is_some_and(|byte| byte.is_ascii_digit());
    expect(begins && text.bytes().all(inside))
}

fn digest(text: &str) -> Result<(), Fault> {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    expect(text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(hexadecimal)))
}

fn endpoint(text: &str) -> Result<(), Fault> {
    let path = text.strip_prefix("unix:").map_or(text, |path| path.strip_prefix("//").unwrap_or(path));
    let is_path = path.starts_with('/') && !path.ends_with('/') && !path.contains(is_harmful);
    expect(matches!(text, "auto" | "none") || is_path)
}

fn host_path(text: &str) -> Result<(), Fault> {
    let inside = text.strip_prefix('/').map(|path| path.strip_suffix('/').unwrap_or(path));
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(is_harmful);
    expect(inside.is_some_and(|path| path.split('/').all(plain)))
}

fn relative_path(text: &str) -> Result<(), Fault> {
    expect(!text.starts_with('/')).and_then(|()| host_path(&format!("/{text}")))
}

fn filled(text: &str) -> Result<(), Fault> {
    expect(!text.trim().is_empty() && !text.contains('\0'))
}
