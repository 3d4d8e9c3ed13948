//! The class of errors that users can mend.

/// Wrong usage: a flag, a config or a file that the user has to mend.
///
/// It is found in an [`anyhow::Error`] by downcasting. Every other error is a failure that correct usage can have as well.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// One mistake, as a sentence.
    #[error("{0}")]
    Invalid(String),
    /// Several mistakes, which are printed on a line each.
    #[error("{title} {}", .problems.join("; "))]
    Problems {
        /// Their subject, with a colon at its end.
        title: String,
        /// One sentence each.
        problems: Vec<String>,
    },
}

impl UsageError {
    /// Makes an error of one mistake.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}
