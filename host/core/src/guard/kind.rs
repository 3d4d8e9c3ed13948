//! The kinds of things that plugins propose to remove, and what a kind has to say of itself.
//!
//! To add a kind, write a module with a type that implements [`Kind`] and a `Judge` (see `review`), and add it to the
//! parts of [`PlanReport`](crate::report::PlanReport). `tests.rs` beside this file does the first for a toy.

use std::fmt::Debug;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::images::Images;
use super::logs::Logs;
use super::{Objection, Refusal};
use crate::proposal::{Proposal, Target, Verb, Wish};

/// A kind of thing that plugins propose to remove. The type itself has no values that matter.
pub trait Kind: Clone + Debug + PartialEq + Eq + Sized {
    /// One thing of this kind, as in "no image of this node has this id".
    const NOT_FOUND: &'static str;
    /// Several of them, as in "over the limit of images per run".
    const THINGS: &'static str;
    /// All of them, as in "40 % of all images".
    const ALL: &'static str;
    /// Returns what the filesystem should gain by a removal; `None` where gains are unknown for this kind.
    const FREEABLE_BYTES: Option<fn(&Self::Facts) -> u64>;

    /// Which thing it is, with everything that can be checked without a look at the node.
    type Target: Clone + Debug + PartialEq + Eq + Hash + Serialize;
    /// The host's findings about an approved target; the public part of them is in plans and reports.
    type Facts: Clone + Debug + PartialEq + Eq + Serialize;
    /// The objections of the rails of this kind alone.
    type Objection: Objection;
    /// The content of a clearance besides the target.
    type Permit: Debug;

    /// Reads what a wish is about.
    ///
    /// # Errors
    /// Returns the refusal when it is about something else, or about nothing that can exist.
    fn parse(target: &Target) -> Result<Self::Target, Refusal<Self>>;

    /// Returns what is done to a target, where that is asked for; nothing where it is not offered.
    fn operation(target: &Self::Target, verb: Verb) -> Option<Operation>;

    /// Returns a name for messages, fit to show.
    fn name(target: &Self::Target, facts: &Self::Facts) -> String;

    /// Returns the identity of a target from run to run.
    fn key(target: &Self::Target, facts: &Self::Facts) -> String;

    /// Returns the number of entries that a target counts as.
    fn entries(facts: &Self::Facts) -> u64;

    /// Returns whether things of this kind are on the filesystem with this name in a snapshot.
    fn is_on(filesystem: &str) -> bool;
}

/// An operation on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Take it away.
    Remove,
    /// Cut a file to zero length and leave it in place.
    Truncate,
}

/// A wish, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedWish<K: Kind> {
    /// The wish as the plugin made it.
    pub wish: Wish,
    /// Its target; the refusal where it is about nothing that can exist.
    pub target: Result<K::Target, Refusal<K>>,
}

/// The wishes of one plugin for things of one kind, each read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedProposal<K: Kind> {
    /// Name of the plugin.
    pub plugin: String,
    /// Its wishes, in its order.
    pub wishes: Vec<ParsedWish<K>>,
}

impl<K: Kind> ParsedProposal<K> {
    /// Returns the targets of all wishes that could be read.
    pub fn targets(&self) -> impl Iterator<Item = &K::Target> {
        self.wishes.iter().filter_map(|wish| wish.target.as_ref().ok())
    }
}

/// Reads all wishes as ones of this kind; others are refused.
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
    /// Parts the wishes by kind. What no other kind claims is with the images, whose rails refuse it.
    pub fn by_kind(self) -> (ParsedProposal<Images>, ParsedProposal<Logs>) {
        let is_log = |wish: &Wish| matches!(wish.target, Target::LogFile(_) | Target::LogDirectory(_));
        let (logs, images) = self.wishes.into_iter().partition(is_log);
        let part = |wishes| Self { plugin: self.plugin.clone(), wishes };
        (part(images).into(), part(logs).into())
    }
}

#[cfg(test)]
mod tests;
