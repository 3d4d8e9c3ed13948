//! The problems of a manifest.

use std::fmt;

use serde::Serialize;

/// A problem with a manifest, and its location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The origin of the text; empty when there is only one text.
    pub origin: String,
    /// The line, counted from 1; absent when it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The field, for example `spec.plugins[0].source`; empty for the document as a whole.
    pub path: String,
    /// The error, and what is allowed instead.
    pub message: String,
    /// The value that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The value that was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl Problem {
    pub(crate) fn new(line: Option<u64>, path: &str, message: impl Into<String>) -> Self {
        Self {
            origin: String::new(),
            line,
            path: path.to_owned(),
            message: message.into(),
            found: None,
            suggestion: None,
        }
    }

    /// Adds the value that was found.
    #[must_use]
    pub fn found(self, found: impl Into<String>) -> Self {
        Self { found: Some(found.into()), ..self }
    }

    /// Adds the value that was probably meant.
    #[must_use]
    pub fn meant(self, suggestion: Option<&str>) -> Self {
        Self { suggestion: suggestion.map(str::to_owned), ..self }
    }

    pub(super) fn in_text(self, origin: &str) -> Self {
        Self { origin: origin.to_owned(), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map(|line| line.to_string());
        let place = match (self.origin.as_str(), line) {
            ("", None) => None,
            ("", Some(line)) => Some(format!("line {line}")),
            (origin, None) => Some(origin.to_owned()),
            (origin, Some(line)) => Some(format!("{origin}:{line}")),
        };
        let path = (!self.path.is_empty()).then(|| self.path.clone());
        for part in [place, path].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(found) = &self.found {
            write!(f, ", found {found}")?;
        }
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean {suggestion}?"),
            None => Ok(()),
        }
    }
}
