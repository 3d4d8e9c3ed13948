//! The kinds of targets that plugins propose to remove, and the properties of a kind.
//!
//! To add a kind, write a module with a type that implements [`Kind`] and a `Judge` (see `review`), and add the kind
//! to [`Proposal::by_kind`] and to the parts of [`PlanReport`](crate::report::PlanReport). `kind/tests.rs` implements
//! a toy kind.

use std::fmt::Debug;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::images::Images;
use super::logs::Logs;
use super::{Objection, Refusal};
use crate::proposal::{Proposal, Target, Verb, Wish};

/// A kind of target that plugins propose to remove. Values of the type itself carry no information.
pub trait Kind: Clone + Debug + PartialEq + Eq + Sized {
    /// The sentence for a missing target, as in "no image of this node has this id".
    const NOT_FOUND: &'static str;
    /// The plural, as in "over the limit of images per run".
    const THINGS: &'static str;
    /// The plural for all entries of the kind, as in "40 % of all images".
    const ALL: &'static str;
    /// The expected gain of the filesystem by a removal, in bytes; `None` if gains are unknown for this kind.
    const FREEABLE_BYTES: Option<fn(&Self::Facts) -> u64>;

    /// The parsed target, with everything that can be checked without access to the node.
    type Target: Clone + Debug + PartialEq + Eq + Hash + Serialize;
    /// The host's findings about an approved target; their public part is in plans and reports.
    type Facts: Clone + Debug + PartialEq + Eq + Serialize;
    /// The objections of the rails that only this kind has.
    type Objection: Objection;
    /// The content of a clearance besides target and operation.
    type Permit: Debug;

    /// Parses the target of a wish.
    ///
    /// # Errors
    /// Returns the refusal if the target is of another kind or cannot exist.
    fn parse(target: &Target) -> Result<Self::Target, Refusal<Self>>;

    /// Returns the operation that the verb requests on a target; `None` if the host does not offer it.
    fn operation(target: &Self::Target, verb: Verb) -> Option<Operation>;

    /// Returns a name for messages, safe to display.
    fn name(target: &Self::Target, facts: &Self::Facts) -> String;

    /// Returns the identity of a target across runs.
    fn key(target: &Self::Target, facts: &Self::Facts) -> String;

    /// Returns the number of entries that a target counts as.
    fn entries(facts: &Self::Facts) -> u64;

    /// Returns whether the snapshot's filesystem with this name holds targets of this kind.
    fn is_on(filesystem: &str) -> bool;
}

/// An operation on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// The removal of the target.
    Remove,
    /// The truncation of a file to zero length; the file stays in place.
    Truncate,
}

/// A wish and its parsed target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedWish<K: Kind> {
    /// The wish as the plugin made it.
    pub wish: Wish,
    /// Target; the refusal if the target cannot exist or is of another kind.
    pub target: Result<K::Target, Refusal<K>>,
}

/// The wishes of one plugin for targets of one kind, each parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedProposal<K: Kind> {
    /// Name of the plugin.
    pub plugin: String,
    /// Wishes, in the plugin's order.
    pub wishes: Vec<ParsedWish<K>>,
}

impl<K: Kind> ParsedProposal<K> {
    /// Returns the targets of all wishes that could be parsed.
    pub fn targets(&self) -> impl Iterator<Item = &K::Target> {
        self.wishes.iter().filter_map(|wish| wish.target.as_ref().ok())
    }
}

/// Parses all wishes as wishes for this kind; the others are refused.
impl<K: Kind> From<Proposal> for ParsedProposal<K> {
    fn from(proposal: Proposal) -> Self {
        let read = |wish: Wish| {
            let target = K::parse(&wish.target);
            ParsedWish { wish, target }
        };
        Self { plugin: proposal.plugin, wishes: proposal.wishes.into_iter().map(read).collect() }
    }
}

impl Proposal {
    /// Splits the wishes by kind. Wishes that no other kind claims go to the images, whose rails refuse them.
    pub fn by_kind(self) -> (ParsedProposal<Images>, ParsedProposal<Logs>) {
        let is_log = |wish: &Wish| matches!(wish.target, Target::LogFile(_) | Target::LogDirectory(_));
        let (logs, images) = self.wishes.into_iter().partition(is_log);
        let part = |wishes| Self { plugin: self.plugin.clone(), wishes };
        (part(images).into(), part(logs).into())
    }
}

#[cfg(test)]
mod tests;
