//! The failures of a plugin. A failed plugin stops no other plugin, and removes nothing.

use std::fmt;

/// A failed plugin, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin}: {message}")]
pub struct PluginError {
    /// The name of the plugin.
    pub plugin: String,
    /// The stable part, for metrics and scripts.
    pub reason: Reason,
    /// A sentence for people: what happened and what to do about it. Sanitized for a terminal.
    pub message: String,
}

/// Stable reasons. The names appear in reports and metrics and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Bytes that could not be read: no such builtin, no such file, too large, or no regular file.
    FetchFailed,
    /// Bytes with another digest than the required one.
    DigestMismatch,
    /// Bytes that are not a WebAssembly component.
    NotAComponent,
    /// A component for another version of the interface, or without an export that a plugin must have.
    IncompatibleApi,
    /// An import that was not granted.
    CapabilityDenied,
    /// A component that could not be compiled: it is malformed, or takes too long or too much.
    CompileFailed,
    /// A config that is not valid, according to the plugin itself or the host.
    ConfigInvalid,
    /// A call that did not finish in time.
    Timeout,
    /// A plugin that wanted more memory than it may have, or handed the host too much at once.
    MemoryLimit,
    /// A crash: a panic, an exit, a bad memory access, an answer that cannot be read.
    Trapped,
    /// An answer that the plugin cannot decide, or a plan that the host rejects.
    PlanRejected,
}

impl Reason {
    /// Returns the stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FetchFailed => "FetchFailed",
            Self::DigestMismatch => "DigestMismatch",
            Self::NotAComponent => "NotAComponent",
            Self::IncompatibleApi => "IncompatibleApi",
            Self::CapabilityDenied => "CapabilityDenied",
            Self::CompileFailed => "CompileFailed",
            Self::ConfigInvalid => "ConfigInvalid",
            Self::Timeout => "Timeout",
            Self::MemoryLimit => "MemoryLimit",
            Self::Trapped => "Trapped",
            Self::PlanRejected => "PlanRejected",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
