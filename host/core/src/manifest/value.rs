//! Values with units, as users write them.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::pattern::Pattern;
use crate::pressure::Disk;
use crate::text;

/// The error of a text that is not a valid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not {expected}")]
pub struct ValueError {
    found: String,
    expected: &'static str,
}

impl ValueError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { found: format!("{:?}", text::shown(text)), expected }
    }
}

/// A number or a text, before it is parsed as a value with a unit.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(u64),
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A length of time, such as `30s`, `10m`, `36h` or `7d12h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Duration(SignedDuration);

impl Duration {
    /// The description of a duration, for messages.
    pub const EXPECTED: &str =
        "a duration such as 30s, 10m or 7d12h (units w, d, h, m, s and ms, the largest first, each at most once)";

    const UNITS: [(&str, u64); 6] =
        [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

    /// Creates a duration of whole milliseconds.
    pub const fn from_millis(milliseconds: u32) -> Self {
        Self(SignedDuration::from_millis(milliseconds as i64))
    }

    /// Creates a duration of whole seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self(SignedDuration::from_secs(seconds as i64))
    }

    /// Returns the duration, which is never negative.
    pub const fn get(self) -> SignedDuration {
        self.0
    }

    /// Parses numbers with units, the largest unit first and each at most once. A day is 24 hours.
    fn milliseconds(text: &str) -> Option<i64> {
        let mut units = Self::UNITS.as_slice();
        let mut total = 0_u64;
        let mut rest = text;
        while !rest.is_empty() || text.is_empty() {
            let (number, after) = rest.split_at(rest.find(|character: char| !character.is_ascii_digit())?);
            let unit = after.split(|character: char| character.is_ascii_digit()).next()?;
            let place = units.iter().position(|(name, _)| *name == unit)?;
            total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(units[place].1)?)?;
            units = &units[place + 1..];
            rest = &after[unit.len()..];
        }
        i64::try_from(total).ok()
    }
}

impl FromStr for Duration {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let milliseconds = Self::milliseconds(text).ok_or_else(|| ValueError::new(text, Self::EXPECTED))?;
        Ok(Self(SignedDuration::from_millis(milliseconds)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis().unsigned_abs();
        if rest == 0 {
            return f.write_str("0s");
        }
        // Weeks are parsed but never written: 10d is easier to read than 1w3d.
        for (name, length) in &Self::UNITS[1..] {
            let length = u128::from(*length);
            if rest >= length {
                write!(f, "{}{name}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Duration {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        text.parse()
    }
}

/// A number of bytes, such as `64Mi`, `20Gi` or `1500M`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Scalar")]
pub struct Bytes(u64);

impl Bytes {
    /// The description of a number of bytes, for messages.
    pub const EXPECTED: &str =
        "a number of bytes such as 64Mi, 20Gi or 1.5G (Ki, Mi, Gi and Ti count by 1024; k, M, G and T by 1000)";

    const UNITS: [(&str, u64); 9] = [
        ("Ti", 1 << 40),
        ("Gi", 1 << 30),
        ("Mi", 1 << 20),
        ("Ki", 1 << 10),
        ("T", 1_000_000_000_000),
        ("G", 1_000_000_000),
        ("M", 1_000_000),
        ("k", 1_000),
        ("", 1),
    ];

    /// Creates a number of bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns the number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Parses a decimal number with a unit and an optional `B`. Fractions of a byte are dropped.
    fn bytes(text: &str) -> Option<u64> {
        let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.strip_suffix('B').unwrap_or(unit);
        let unit = if unit == "K" { "k" } else { unit };
        let (_, scale) = Self::UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let parts = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let digits = |text: &str| text.parse::<u64>().ok().map(u128::from);
        let total = digits(whole)? * u128::from(scale) + digits(fraction)? * u128::from(scale) / parts;
        u64::try_from(total).ok()
    }
}

impl FromStr for Bytes {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::bytes(text).map(Self).ok_or_else(|| ValueError::new(text, Self::EXPECTED))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, scale): &(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*scale);
        let (name, scale) = Self::UNITS.into_iter().take(4).find(fits).unwrap_or(("", 1));
        write!(f, "{}{name}", self.0 / scale)
    }
}

impl TryFrom<Scalar> for Bytes {
    type Error = ValueError;

    fn try_from(scalar: Scalar) -> Result<Self, ValueError> {
        scalar.to_string().parse()
    }
}

/// A number of CPUs, such as `500m` or `2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Scalar")]
pub struct Cpu(u64);

impl Cpu {
    /// The description of a number of CPUs, for messages.
    pub const EXPECTED: &str = "a number of CPUs such as 2, 0.5 or 500m (thousandths of one)";

    /// The maximum number of digits of whole numbers, for more CPUs than any machine has.
    const DIGITS: usize = 9;

    /// Creates a number of CPUs from thousandths of a CPU.
    pub const fn from_thousandths(thousandths: u64) -> Self {
        Self(thousandths)
    }

    /// Returns the number of CPUs in thousandths.
    pub const fn get(self) -> u64 {
        self.0
    }

    fn thousandths(text: &str) -> Option<u64> {
        let short = |digits: &str, most: usize| (1..=most).contains(&digits.len()).then(|| whole(digits)).flatten();
        if let Some(digits) = text.strip_suffix('m') {
            return short(digits, Self::DIGITS);
        }
        let (units, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let scale = 10_u64.pow(u32::try_from(3_usize.checked_sub(fraction.len())?).ok()?);
        Some(short(units, Self::DIGITS)? * 1000 + short(fraction, 3)? * scale)
    }
}

impl FromStr for Cpu {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::thousandths(text).map(Self).ok_or_else(|| ValueError::new(text, Self::EXPECTED))
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}m", self.0) }
    }
}

impl TryFrom<Scalar> for Cpu {
    type Error = ValueError;

    fn try_from(scalar: Scalar) -> Result<Self, ValueError> {
        scalar.to_string().parse()
    }
}

/// A share, from `0%` to `100%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Scalar")]
pub struct Percent(u8);

impl Percent {
    /// The description of a share, for messages.
    pub const EXPECTED: &str = "a whole number of percent from 0 to 100, such as 85%";

    /// Returns the share, from 0 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl FromStr for Percent {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let number = text.strip_suffix('%').unwrap_or(text);
        let percent = whole(number).and_then(|number| u8::try_from(number).ok()).filter(|percent| *percent <= 100);
        percent.map(Self).ok_or_else(|| ValueError::new(text, Self::EXPECTED))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl TryFrom<Scalar> for Percent {
    type Error = ValueError;

    fn try_from(scalar: Scalar) -> Result<Self, ValueError> {
        scalar.to_string().parse()
    }
}

/// The number of nodes at a time: an absolute number, or a share of all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
pub enum Parallelism {
    /// A number of nodes.
    Nodes(u32),
    /// A percentage of all nodes.
    Share(Percent),
}

impl Parallelism {
    /// The description of a parallelism, for messages.
    pub const EXPECTED: &str =
        "a number of nodes from 1 on, such as 10, or a share of them from 1% to 100%, such as 10%";
}

impl FromStr for Parallelism {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let parsed = if text.ends_with('%') {
            text.parse().ok().filter(|share: &Percent| share.get() > 0).map(Self::Share)
        } else {
            whole(text).and_then(|nodes| u32::try_from(nodes).ok()).filter(|nodes| *nodes > 0).map(Self::Nodes)
        };
        parsed.ok_or_else(|| ValueError::new(text, Self::EXPECTED))
    }
}

impl fmt::Display for Parallelism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(nodes) => nodes.fmt(f),
            Self::Share(share) => share.fmt(f),
        }
    }
}

impl TryFrom<Scalar> for Parallelism {
    type Error = ValueError;

    fn try_from(scalar: Scalar) -> Result<Self, ValueError> {
        scalar.to_string().parse()
    }
}

/// Serialization that keeps a number a number: OpenKruise parses every string as a share.
impl Serialize for Parallelism {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nodes(nodes) => serializer.serialize_u32(*nodes),
            Self::Share(share) => serializer.collect_str(share),
        }
    }
}

/// Parses a text of digits and nothing else.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Serialization of values as text, in the form that `Display` writes.
macro_rules! written_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

written_as_text!(Duration, Bytes, Cpu, Percent);

macro_rules! schema_with_format {
    ($($name:ident: $schema:ident($format:literal)),* $(,)?) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema($format)
            }
        }
    )*};
}

schema_with_format! {
    Duration: text("duration"),
    Bytes: number_or_text("bytes"),
    Cpu: number_or_text("cpu"),
    Percent: number_or_text("percent"),
    Parallelism: number_or_text("parallelism"),
    Pattern: text("image-pattern"),
    Disk: text("filesystem"),
}

fn text(format: &str) -> Schema {
    json_schema!({ "type": "string", "format": format })
}

/// Builds the schema of an integer or a text, the only mix of types that Kubernetes accepts.
fn number_or_text(format: &str) -> Schema {
    json_schema!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "format": format,
        "x-kubernetes-int-or-string": true,
    })
}

#[cfg(test)]
mod tests;
