//! What plugins wish for. Untrusted: nothing here has been checked.

use serde::{Deserialize, Serialize};

use crate::text;

/// Everything that one plugin wishes, in the order in which it wishes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Name of the plugin.
    pub plugin: String,
    /// Its wishes.
    pub wishes: Vec<Wish>,
}

impl Proposal {
    /// Parts what is wished beneath log roots from all other wishes. Both parts keep their order.
    pub fn part_logs(self) -> (Self, Self) {
        let (logs, others) = self.wishes.into_iter().partition(|wish| wish.target.log_location().is_some());
        (Self { plugin: self.plugin.clone(), wishes: others }, Self { plugin: self.plugin, wishes: logs })
    }
}

/// One wish of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    /// What to act on.
    pub target: Target,
    /// What to do with it.
    pub verb: Verb,
    /// Why.
    pub reason: Reason,
    /// What the plugin expects the filesystem to gain, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_bytes: Option<u64>,
}

/// What a wish is about, by the name that the plugin gave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// An image, by id.
    Image(String),
    /// A container, by id.
    Container(String),
    /// A pod sandbox, by id.
    Sandbox(String),
    /// A file beneath a log root.
    LogFile(LogLocation),
    /// A directory beneath a log root, as one unit.
    LogDirectory(LogLocation),
    /// A kind and a name that this version has no word for.
    Other(String, String),
}

/// A place beneath a log root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLocation {
    /// Name of the log root.
    pub root: String,
    /// Path beneath it.
    pub path: String,
}

impl Target {
    /// The kind of thing, as one word or two.
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

    /// Whether it is a whole directory beneath a log root.
    pub fn is_log_directory(&self) -> bool {
        matches!(self, Self::LogDirectory(_))
    }

    /// Where it lies beneath a log root, if it does.
    pub fn log_location(&self) -> Option<&LogLocation> {
        match self {
            Self::LogFile(place) | Self::LogDirectory(place) => Some(place),
            _ => None,
        }
    }

    /// How many bytes the plugin spent on naming it.
    pub fn length(&self) -> usize {
        match self {
            Self::Image(name) | Self::Container(name) | Self::Sandbox(name) => name.len(),
            Self::Other(kind, name) => kind.len().saturating_add(name.len()),
            Self::LogFile(place) | Self::LogDirectory(place) => place.root.len().saturating_add(place.path.len()),
        }
    }

    /// The name that the plugin gave, made fit to show: plugins are not trusted with a terminal.
    pub fn name(&self) -> String {
        match self {
            Self::Image(name) | Self::Container(name) | Self::Sandbox(name) | Self::Other(_, name) => text::shown(name),
            Self::LogFile(place) | Self::LogDirectory(place) => text::shown(&format!("{}:{}", place.root, place.path)),
        }
    }
}

/// What to do with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// Take it away.
    Remove,
    /// Cut a file to zero length and leave it in place.
    Truncate,
    /// Something that this version has no word for.
    Other,
}

/// Why a plugin wishes something.
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
    /// Nothing on the node uses it.
    Unused,
    /// An image without any tag.
    Dangling,
    /// Newer ones of the same kind are there.
    Superseded,
    /// It has reached an age.
    TooOld,
    /// It, or the group that it belongs to, is over a size.
    TooLarge,
    /// The pod that it belonged to is gone.
    PodGone,
    /// See the text.
    Other,
}

impl ReasonKind {
    /// The word that people read.
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
    /// The reason as one line, fit to show.
    pub fn line(&self) -> String {
        if self.text.is_empty() { self.kind.as_str().to_owned() } else { text::shown(&self.text) }
    }
}
