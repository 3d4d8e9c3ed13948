//! The class of errors that users can fix.

/// Wrong usage: a flag, a config or a file that the user has to fix.
///
/// Callers find this error in an [`anyhow::Error`] by downcasting. Every other error is a failure that also occurs with
/// correct usage.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A mistake, as a sentence.
    #[error("{0}")]
    Invalid(String),
    /// Several mistakes, which are printed on a line each.
    #[error("{title} {}", .problems.join("; "))]
    Problems {
        /// The title of the list, with a colon at its end.
        title: String,
        /// The mistakes, as a sentence each.
        problems: Vec<String>,
    },
}

impl UsageError {
    /// Creates an error of one mistake.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}
