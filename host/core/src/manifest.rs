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
//! 3. `rules`: what no schema says, such as names that are given twice, and how fields go together.
//! 4. Only a tree without problems becomes a [`NodeCleanup`].

mod capability;
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

pub use capability::Capability;
pub use check::child as field_path;
pub use crd::{NAME as CRD_NAME, crd};
pub use format::is_name;
pub use meaning::TimetableError;
pub use problem::Problem;
pub use reference::{Entry, explain, markdown};
pub use schema::schema;
pub use spec::{
    Affinity, Amounts, ApiVersion, BuiltIn, CompletionPolicy, CompletionType, ConfigMapKey, FailurePolicy,
    FailurePolicyType, GuardRails, ImagePath, Kind, LogRoot, MaxDeletions, Metadata, Mode, NodeAffinity, NodeCleanup,
    NodeCleanupSpec, NodeExpression, NodeOperator, NodeSelector, NodeSelectorTerm, OnFailure, Pace, Plugin,
    PluginLimits, PluginSource, PodTemplate, Pressure, PullSecret, Resources, Rollout, RolloutEngine, Runtime,
    SeLinuxOptions, SocketMount, TaintEffect, Toleration, TolerationOperator,
};
pub use value::{Bytes, Cpu, Duration, Parallelism, Percent, ValueError};

/// The longest text that is read, in bytes; far more than a cluster would store.
pub const MAX_LENGTH: usize = 4 << 20;

/// The version of manifests, plans, reports and snapshots.
pub const API_VERSION: &str = "holystone.dev/v1alpha1";

/// A text with manifests in it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Where it comes from, for problems: the name of a file.
    pub origin: &'a str,
    /// YAML with any number of documents, or JSON with any number of objects.
    pub text: &'a str,
    /// Whether documents of other kinds may stand in it, which are skipped: in a directory all sorts of files lie
    /// beside a manifest.
    pub skips_others: bool,
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
    let (drafts, problems) = drafts(texts);
    if problems.is_empty() { Ok(drafts.into_iter().filter_map(Draft::found).collect()) } else { Err(problems) }
}

/// Reads all documents of all texts, in their order, with everything that is wrong with them. What else is wrong, with
/// their plugins for example, can be found in a document that has problems already.
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

/// Reads one document that has been parsed already, as far as it can be read.
pub fn draft_of(value: &Value) -> Draft<'static> {
    let document = Node::from(value);
    Draft { origin: "", manifest: one(&document, &mut Vec::new()), document }
}

/// A document, whether or not there are problems with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft<'a> {
    /// The origin of its text.
    pub origin: &'a str,
    /// The manifest; absent when there are problems.
    pub manifest: Option<NodeCleanup>,
    document: Node,
}

/// What can be read of a plugin in a document that may have problems elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginDraft {
    /// Its place in the list.
    pub index: usize,
    /// Its name; empty when that is not known.
    pub name: String,
    /// Where it comes from.
    pub source: PluginSource,
    /// Its config; empty when it is not a map.
    pub config: serde_json::Map<String, Value>,
    /// What it is granted; absent when that is not known.
    pub capabilities: Option<Vec<Capability>>,
    /// The digest that its bytes must have, if it names one.
    pub digest: Option<String>,
}

impl<'a> Draft<'a> {
    fn found(self) -> Option<Found<'a>> {
        let Self { origin, manifest, document } = self;
        manifest.map(|manifest| Found { origin, manifest, document })
    }

    /// Returns the manifest with its place, if there are no problems.
    pub fn as_found(&self) -> Option<Found<'a>> {
        self.clone().found()
    }

    /// Returns a problem with a field.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem::new(self.document.nearest_line(path), path, message).in_text(self.origin)
    }

    /// Reads the plugins of which the source can be read.
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

    /// Reads the places of the log roots that name one.
    pub fn log_roots(&self) -> Vec<(usize, String)> {
        let roots = self.document.at("spec.logRoots").into_iter().flat_map(Node::items).enumerate();
        roots.filter_map(|(index, root)| Some((index, root.get("hostPath")?.text()?.to_owned()))).collect()
    }

    /// Reads the names of the log roots that have one.
    pub fn log_root_names(&self) -> Vec<String> {
        let roots = self.document.at("spec.logRoots").into_iter().flat_map(Node::items);
        roots.filter_map(|root| Some(root.get("name")?.text()?.to_owned())).collect()
    }

    /// Returns whether it asks a container runtime.
    pub fn has_runtime(&self) -> bool {
        self.document.at("spec.runtime.endpoint").and_then(Node::text) != Some("none")
    }
}

/// The problem of texts of which everything is skipped.
pub fn nothing() -> Problem {
    Problem::new(None, "", "there is no NodeCleanup in them")
}

/// The documents that [`read`] skips, with a sentence for each.
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

/// Finds what keeps a manifest from any cluster.
pub fn problems_on_cluster(manifest: &NodeCleanup) -> Vec<Problem> {
    let mut problems = Vec::new();
    // Nothing in it cannot be written.
    let value = serde_json::to_value(manifest).unwrap_or_default();
    rules::check_on_cluster(&Node::from(&value), &mut problems);
    problems
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
