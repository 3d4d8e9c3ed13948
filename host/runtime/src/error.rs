//! What can go wrong with a plugin. None of it stops another plugin, and all of it means "removes nothing".

use std::fmt;

/// A plugin failed, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin}: {message}")]
pub struct PluginError {
    /// Name of the plugin.
    pub plugin: String,
    /// The stable part, for metrics and scripts.
    pub reason: Reason,
    /// A sentence for people: what happened and what to do about it. Fit to show on a terminal.
    pub message: String,
}

/// Stable reasons. Their names appear in reports and metrics and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its bytes could not be had: no such builtin, no such file, too large, or no regular file.
    FetchFailed,
    /// The bytes are not a WebAssembly component.
    NotAComponent,
    /// It speaks another version of the interface, or does not export what a plugin must.
    IncompatibleApi,
    /// It imports something that it was not granted.
    CapabilityDenied,
    /// It could not be compiled: it is malformed, or takes too long or too much.
    CompileFailed,
    /// Its config is not valid; the plugin itself or the host says so.
    ConfigInvalid,
    /// It did not finish in time.
    Timeout,
    /// It wanted more memory than it may have, or handed the host too much at once.
    MemoryLimit,
    /// It crashed: a panic, an exit, a bad memory access, an answer that cannot be read.
    Trapped,
    /// It answered that it cannot decide, or with a plan that the host does not take.
    PlanRejected,
}

impl Reason {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FetchFailed => "FetchFailed",
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
