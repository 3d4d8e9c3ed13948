//! The manifest: what a person writes to say what is to be cleaned, when, and within what.
//!
//! [`NodeCleanup`] and what is in it is the only place where the format is written down. Serde reads and writes it,
//! and its JSON Schema, made from the same types and doc comments, is what texts are checked against, what
//! `holystone explain` prints and what becomes the CRD.
//!
//! [`read`] takes texts and gives the manifests in them, or everything that is wrong with them at once:
//!
//! 1. `document`: YAML or JSON becomes trees that know their lines.
//! 2. `check`: each tree is held against the schema: fields, types, and what the `format` of a text asks for.
//! 3. `rules`: what no schema says, such as names that are given twice.
//! 4. Only a tree without problems becomes a [`NodeCleanup`].

mod check;
mod crd;
mod document;
mod format;
mod meaning;
mod problem;
mod reference;
mod rules;
mod schema;
mod spec;
pub mod status;
mod value;

use std::collections::BTreeMap;

use serde_json::Value;

use check::Check;
use document::Node;

pub use check::child as field_path;
pub use crd::{NAME as CRD_NAME, crd};
pub use format::is_name;
pub use meaning::TimetableError;
pub use problem::Problem;
pub use reference::{Entry, explain, markdown};
pub use schema::schema;
pub use spec::{
    ApiVersion, BuiltIn, Capability, CompletionPolicy, CompletionType, ConfigMapKey, FailurePolicy, FailurePolicyType,
    GuardRails, ImagePath, Kind, LogRoot, MaxDeletions, Metadata, Mode, NodeCleanup, NodeCleanupSpec, OnFailure, Pace,
    Plugin, PluginLimits, PluginSource, Pressure, Rollout, RolloutEngine, Runtime, SocketMount, TaintEffect,
    Toleration, TolerationOperator,
};
pub use value::{Bytes, Duration, Parallelism, Percent, ValueError};

/// The longest text that is read, in bytes; far more than a cluster would store.
pub const MAX_LENGTH: usize = 4 << 20;

/// A text with manifests in it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Where it comes from, for problems: the name of a file.
    pub origin: &'a str,
    /// YAML with any number of documents, or JSON with any number of objects.
    pub text: &'a str,
}

/// A manifest, and where it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<'a> {
    /// The origin of its text.
    pub origin: &'a str,
    /// The manifest.
    pub manifest: NodeCleanup,
    document: Node,
}

impl Found<'_> {
    /// Something that is wrong with what a field means rather than with how it is written: a file that is not there,
    /// for example.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem::new(self.document.nearest_line(path), path, message).in_text(self.origin)
    }
}

/// Reads all manifests of all texts, in their order.
///
/// # Errors
/// With everything that is wrong in any of them: then none is to be acted on.
pub fn read<'a>(texts: &[Text<'a>]) -> Result<Vec<Found<'a>>, Vec<Problem>> {
    let mut manifests = Vec::new();
    let mut problems = Vec::new();
    let mut names = BTreeMap::new();
    for text in texts {
        let mut found = Vec::new();
        for document in document::split(text.text, &mut found) {
            let manifest = one(&document, &mut found);
            rules::distinct(&document, text.origin, &mut names, &mut found);
            manifests.extend(manifest.map(|manifest| Found { origin: text.origin, manifest, document }));
        }
        problems.extend(found.into_iter().map(|problem| problem.in_text(text.origin)));
    }
    if problems.is_empty() { Ok(manifests) } else { Err(problems) }
}

/// Checks one manifest that has been parsed already, as the API server hands it out.
///
/// # Errors
/// With everything that is wrong with it.
pub fn from_value(value: &Value) -> Result<NodeCleanup, Vec<Problem>> {
    let mut problems = Vec::new();
    match one(&Node::from(value), &mut problems) {
        Some(manifest) if problems.is_empty() => Ok(manifest),
        _ => Err(problems),
    }
}

/// The manifest in a tree, unless there is a problem with it.
fn one(document: &Node, problems: &mut Vec<Problem>) -> Option<NodeCleanup> {
    let mut found = Vec::new();
    if rules::is_ours(document, &mut found) {
        Check::new(&mut found).node(document, schema(), "");
        rules::check(document, &mut found);
    }
    if !found.is_empty() {
        found.sort_by_key(|problem| problem.line);
        problems.append(&mut found);
        return None;
    }
    match serde_json::from_value(schema::without_nothing(document.to_json(), schema())) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            problems.push(Problem::new(document.line, "", format!("cannot be used: {error}")));
            None
        }
    }
}

#[cfg(test)]
mod tests;
