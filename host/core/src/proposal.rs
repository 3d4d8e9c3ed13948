//! Proposals of plugins. Untrusted: nothing here has been checked.

use serde::{Deserialize, Serialize};

use crate::text;

/// All wishes of one plugin, in the plugin's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Name of the plugin.
    pub plugin: String,
    /// The plugin's wishes.
    pub wishes: Vec<Wish>,
}

impl Proposal {
    /// Splits off the wishes under log roots, returned second. Both parts keep their order.
    pub fn part_logs(self) -> (Self, Self) {
        let (logs, others) = self.wishes.into_iter().partition(|wish| wish.target.log_location().is_some());
        (Self { plugin: self.plugin.clone(), wishes: others }, Self { plugin: self.plugin, wishes: logs })
    }
}

/// One wish of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    /// The target of the wish.
    pub target: Target,
    /// The action on the target.
    pub verb: Verb,
    /// The plugin's reason.
    pub reason: Reason,
    /// The space that the plugin expects the filesystem to gain, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_bytes: Option<u64>,
}

/// The target of a wish, as the plugin named it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// An image, by id.
    Image(String),
    /// A container, by id.
    Container(String),
    /// A pod sandbox, by id.
    Sandbox(String),
    /// A file under a log root.
    LogFile(LogLocation),
    /// A directory under a log root, as one unit.
    LogDirectory(LogLocation),
    /// A kind and a name that this version does not know.
    Other(String, String),
}

/// A place under a log root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLocation {
    /// Name of the log root.
    pub root: String,
    /// Path under the log root.
    pub path: String,
}

impl Target {
    /// Returns the kind of target in one or two words; an unknown kind is the plugin's, unsanitized.
    pub fn kind(&self) -> &str {
        match self {
            Self::Image(_) => "image",
            Self::Container(_) => "container",
            Self::Sandbox(_) => "sandbox",
            Self::LogFile(_) => "log file",
            Self::LogDirectory(_) => "log directory",
            Self::Other(kind, _) => kind,
        }
    }

    /// Returns whether the target is a whole directory under a log root.
    pub fn is_log_directory(&self) -> bool {
        matches!(self, Self::LogDirectory(_))
    }

    /// Returns the target's place under a log root, if it has one.
    pub fn log_location(&self) -> Option<&LogLocation> {
        match self {
            Self::LogFile(place) | Self::LogDirectory(place) => Some(place),
            _ => None,
        }
    }

    /// Returns the number of bytes by which the plugin named the target.
    pub fn length(&self) -> usize {
        match self {
            Self::Image(name) | Self::Container(name) | Self::Sandbox(name) => name.len(),
            Self::Other(kind, name) => kind.len().saturating_add(name.len()),
            Self::LogFile(place) | Self::LogDirectory(place) => place.root.len().saturating_add(place.path.len()),
        }
    }

    /// Returns the plugin's name for the target, sanitized: plugins are not trusted with a terminal.
    pub fn name(&self) -> String {
        match self {
            Self::Image(name) | Self::Container(name) | Self::Sandbox(name) | Self::Other(_, name) => text::shown(name),
            Self::LogFile(place) | Self::LogDirectory(place) => text::shown(&format!("{}:{}", place.root, place.path)),
        }
    }
}

/// An action on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// The removal of the target.
    Remove,
    /// The truncation of a file to zero length, in place.
    Truncate,
    /// An action that this version does not know.
    Other,
}

/// The reason for a wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The part that reports count by.
    pub kind: ReasonKind,
    /// One sentence for people; may be empty.
    pub text: String,
}

/// The closed set of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReasonKind {
    /// A target that nothing on the node uses.
    Unused,
    /// An image without any tag.
    Dangling,
    /// A target with newer ones of the same kind.
    Superseded,
    /// A target that has reached an age.
    TooOld,
    /// A target over a size, by itself or with its group.
    TooLarge,
    /// A target whose pod is gone.
    PodGone,
    /// A reason that only the text gives.
    Other,
}

impl ReasonKind {
    /// Returns the word that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Dangling => "dangling",
            Self::Superseded => "superseded",
            Self::TooOld => "too old",
            Self::TooLarge => "too large",
            Self::PodGone => "pod gone",
            Self::Other => "other",
        }
    }
}

impl Reason {
    /// Returns the reason as one sanitized line: the text, or the kind if the text is empty.
    pub fn line(&self) -> String {
        if self.text.is_empty() { self.kind.as_str().to_owned() } else { text::shown(&self.text) }
    }
}
