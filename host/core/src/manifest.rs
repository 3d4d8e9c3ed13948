//! The manifest: the file in which users declare what to clean from nodes, when, and within what limits.
//!
//! [`NodeCleanup`] and its fields are the only definition of the format. Serde reads and writes it. Its JSON Schema is
//! made from the same types and doc comments: texts are checked against it, `holystone explain` prints it, and the CRD
//! is made from it.
//!
//! [`read`] turns texts into the manifests in them, or reports all problems together:
//!
//! 1. `document`: YAML or JSON is parsed into trees whose values know their lines.
//! 2. `check`: each tree is checked against the schema: fields, types, and the `format` of each text.
//! 3. `rules`: constraints that the schema cannot express are checked, such as unique names and combinations of fields.
//! 4. A tree without problems becomes a [`NodeCleanup`].

mod capability;
mod check;
mod crd;
mod document;
mod format;
mod problem;
mod reference;
mod resolve;
mod rules;
mod schema;
mod spec;
pub mod status;
mod value;

use std::collections::BTreeMap;

use serde_json::Value;

use check::Check;
use document::Node;

pub use capability::Capability;
pub use check::child as field_path;
pub use crd::{NAME as CRD_NAME, crd};
pub use format::{is_label_key, is_name, is_object_name, is_selinux_word};
pub use problem::Problem;
pub use reference::{ReferenceEntry, explain, markdown};
pub use resolve::TimetableError;
pub use schema::schema;
pub use spec::{
    Affinity, Amounts, ApiVersion, BuiltIn, CompletionPolicy, CompletionType, ConfigMapKey, FailurePolicy,
    FailurePolicyType, GuardRails, ImagePath, Kind, LogRoot, MaxDeletions, Metadata, Mode, NodeAffinity, NodeCleanup,
    NodeCleanupSpec, NodeExpression, NodeOperator, NodeSelector, NodeSelectorTerm, OnFailure, Pace, Plugin,
    PluginLimits, PluginSource, PodTemplate, Pressure, PullSecret, Resources, Rollout, RolloutEngine, Runtime,
    SeLinuxOptions, SocketMount, TaintEffect, Toleration, TolerationOperator,
};
pub use value::{Bytes, Cpu, Duration, Parallelism, Percent, ValueError};

/// The maximum length of a text in bytes, far more than a cluster would store.
pub const MAX_LENGTH: usize = 4 << 20;

/// The API version of manifests, plans, reports and snapshots.
pub const API_VERSION: &str = "holystone.dev/v1alpha1";

/// A text that contains manifests.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The origin of the text, for problems: the name of a file.
    pub origin: &'a str,
    /// YAML with any number of documents, or JSON with any number of objects.
    pub text: &'a str,
    /// Set when documents of other kinds are skipped: a directory may hold other files beside a manifest.
    pub skips_others: bool,
}

/// A manifest and its location.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<'a> {
    /// The origin of its text.
    pub origin: &'a str,
    /// The manifest.
    pub manifest: NodeCleanup,
    document: Node,
}

impl Found<'_> {
    /// Builds the problem of a field whose meaning is wrong rather than its syntax: a file that does not exist, for
    /// example.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem::new(self.document.nearest_line(path), path, message).in_text(self.origin)
    }
}

/// Reads all manifests of all texts, in their order.
///
/// # Errors
/// Returns the problems of all texts. The caller must then act on none of the manifests.
pub fn read<'a>(texts: &[Text<'a>]) -> Result<Vec<Found<'a>>, Vec<Problem>> {
    let (drafts, problems) = drafts(texts);
    if problems.is_empty() { Ok(drafts.into_iter().filter_map(Draft::found).collect()) } else { Err(problems) }
}

/// Reads all documents of all texts, in their order, and returns them with all problems. A document that has problems
/// is returned too: the caller can look for further problems in it, for example with its plugins.
pub fn drafts<'a>(texts: &[Text<'a>]) -> (Vec<Draft<'a>>, Vec<Problem>) {
    let mut drafts = Vec::new();
    let mut problems = Vec::new();
    let mut names = BTreeMap::new();
    for text in texts {
        let mut found = Vec::new();
        for document in document::split(text.text, &mut found) {
            if text.skips_others && rules::other_kind(&document).is_some() {
                continue;
            }
            let manifest = one(&document, &mut found);
            rules::distinct(&document, text.origin, &mut names, &mut found);
            drafts.push(Draft { origin: text.origin, manifest, document });
        }
        problems.extend(found.into_iter().map(|problem| problem.in_text(text.origin)));
    }
    (drafts, problems)
}

/// Reads one document that has been parsed already, as far as it is readable.
pub fn draft_of(value: &Value) -> Draft<'static> {
    let document = Node::from(value);
    Draft { origin: "", manifest: one(&document, &mut Vec::new()), document }
}

/// A document, with or without problems.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft<'a> {
    /// The origin of its text.
    pub origin: &'a str,
    /// The manifest; absent when there are problems.
    pub manifest: Option<NodeCleanup>,
    document: Node,
}

/// The readable part of a plugin in a document that may have problems elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginDraft {
    /// Its index in the list.
    pub index: usize,
    /// Its name; empty when the name is not readable.
    pub name: String,
    /// The source of its bytes.
    pub source: PluginSource,
    /// Its config; empty when the config is not a map.
    pub config: serde_json::Map<String, Value>,
    /// The capabilities that it is granted; absent when they are not readable.
    pub capabilities: Option<Vec<Capability>>,
    /// The digest that its bytes must have, if the manifest names one.
    pub digest: Option<String>,
}

impl<'a> Draft<'a> {
    fn found(self) -> Option<Found<'a>> {
        let Self { origin, manifest, document } = self;
        manifest.map(|manifest| Found { origin, manifest, document })
    }

    /// Returns the manifest with its location, unless there are problems.
    pub fn as_found(&self) -> Option<Found<'a>> {
        self.clone().found()
    }

    /// Builds the problem of a field.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem::new(self.document.nearest_line(path), path, message).in_text(self.origin)
    }

    /// Reads the plugins whose source is readable.
    pub fn plugins(&self) -> Vec<PluginDraft> {
        let read = |(index, node): (usize, &Node)| {
            let field = |name: &str| node.get(name).map(Node::to_json);
            let capabilities = field("capabilities").unwrap_or_else(|| Value::Array(Vec::new()));
            Some(PluginDraft {
                index,
                name: node.get("name").and_then(Node::text).unwrap_or_default().to_owned(),
                source: serde_json::from_value(field("source")?).ok()?,
                config: field("config").and_then(|config| config.as_object().cloned()).unwrap_or_default(),
                capabilities: serde_json::from_value(capabilities).ok(),
                digest: node.get("digest").and_then(Node::text).map(str::to_owned),
            })
        };
        let plugins = self.document.at("spec.plugins").into_iter().flat_map(Node::items);
        plugins.enumerate().filter_map(read).collect()
    }

    /// Reads the index and the host path of each log root that names a path.
    pub fn log_roots(&self) -> Vec<(usize, String)> {
        let roots = self.document.at("spec.logRoots").into_iter().flat_map(Node::items).enumerate();
        roots.filter_map(|(index, root)| Some((index, root.get("hostPath")?.text()?.to_owned()))).collect()
    }

    /// Reads the names of the log roots that have a name.
    pub fn log_root_names(&self) -> Vec<String> {
        let roots = self.document.at("spec.logRoots").into_iter().flat_map(Node::items);
        roots.filter_map(|root| Some(root.get("name")?.text()?.to_owned())).collect()
    }

    /// Returns whether the manifest uses a container runtime.
    pub fn has_runtime(&self) -> bool {
        self.document.at("spec.runtime.endpoint").and_then(Node::text) != Some("none")
    }
}

/// Builds the problem of texts in which every document is skipped.
pub fn nothing() -> Problem {
    Problem::new(None, "", "there is no NodeCleanup in them")
}

/// Lists the documents that [`read`] skips, with a sentence for each.
pub fn skipped(texts: &[Text<'_>]) -> Vec<String> {
    let of = |text: &Text<'_>| {
        let documents = if text.skips_others { document::split(text.text, &mut Vec::new()) } else { Vec::new() };
        let origin = crate::text::shown(text.origin);
        let sentence = move |document: &Node| {
            let place = document.line.map_or_else(|| origin.clone(), |line| format!("{origin}:{line}"));
            Some(format!("{place}: {}, not a NodeCleanup: skipped", rules::other_kind(document)?))
        };
        documents.iter().filter_map(sentence).collect::<Vec<_>>()
    };
    texts.iter().flat_map(of).collect()
}

/// Checks one manifest that has been parsed already, as the API server returns it.
///
/// # Errors
/// Returns all problems of the manifest.
pub fn from_value(value: &Value) -> Result<NodeCleanup, Vec<Problem>> {
    let mut problems = Vec::new();
    match one(&Node::from(value), &mut problems) {
        Some(manifest) if problems.is_empty() => Ok(manifest),
        _ => Err(problems),
    }
}

/// Finds the problems that a manifest has on a cluster only.
pub fn problems_on_cluster(manifest: &NodeCleanup) -> Vec<Problem> {
    let mut problems = Vec::new();
    // Every manifest can be serialized.
    let value = serde_json::to_value(manifest).unwrap_or_default();
    rules::check_on_cluster(&Node::from(&value), &mut problems);
    problems
}

/// Checks a tree and converts it to a manifest, unless there is a problem with it.
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
