//! The capabilities that plugins can be granted. Each is one interface of the WIT package.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of the node that a plugin may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Images: tags, digests, size, pinned, and their users.
    Images,
    /// Containers in every state: pod, image, state, times, exit code, labels.
    Containers,
    /// Pod sandboxes.
    Pods,
    /// Log roots and the files under them.
    Logs,
    /// Content of files under the log roots.
    LogContent,
}

impl Capability {
    /// The complete list of capabilities.
    pub const ALL: [Self; 5] = [Self::Images, Self::Containers, Self::Pods, Self::Logs, Self::LogContent];

    /// Returns the name of the capability, which is that of its WIT interface.
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
