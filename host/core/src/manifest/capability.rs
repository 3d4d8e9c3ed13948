//! The capabilities that plugins can be granted. Each is one interface of the WIT package.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that a plugin may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// The images: tags, digests, size, pinned, who uses them.
    Images,
    /// The containers in every state: pod, image, state, times, exit code, labels.
    Containers,
    /// The pod sandboxes.
    Pods,
    /// The log roots and the files beneath them.
    Logs,
    /// The content of files beneath the log roots.
    LogContent,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Images, Self::Containers, Self::Pods, Self::Logs, Self::LogContent];

    /// Returns its name, which is that of its WIT interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Containers => "containers",
            Self::Pods => "pods",
            Self::Logs => "logs",
            Self::LogContent => "log-content",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Capability {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|capability| capability.as_str() == name).ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.into_iter().map(Self::as_str).collect();
            format!("{name:?} is not a capability; there are {}", all.join(", "))
        })
    }
}
