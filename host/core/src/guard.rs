//! The guard rails: the only place where a plugin's wish can become a [`Step`].
//!
//! The rails are numbered and evaluated in this order; the first rail that refuses names the refusal. Only the share
//! (rail 8) is checked before all others, for each proposal as a whole. Plugins can neither see nor disable the rails.
//!
//! 1. The target is of a kind that this host removes, is proposed only once, and exists in the snapshot; and the
//!    runtime did not keep it after the last request to remove it.
//! 2. The image is not in use: no container in any state, no sandbox and no image volume references it, and no
//!    reference that may mean it is left unresolved (see [`crate::usage`]). If the runtime removes an image's names
//!    before it refuses the removal, the image has at most one name, unless [`GuardRails::allow_partial_untag`].
//! 3. The node does not need the image for itself: the image is not pinned by the runtime, is not the sandbox (pause)
//!    image, does not match [`BUILT_IN`], and contains neither Holystone nor one of its plugins.
//! 4. The image is not protected by the operator's patterns. One protected tag protects the image, because removing an
//!    image drops every tag.
//! 5. The image is not too young: first seen, and last in use, at least [`GuardRails::min_age`] ago. An image that was
//!    present when the node was first seen is of unknown age. Such an image counts as young only while a pod may be
//!    starting, that is, while a pod other than Holystone's own has a ready sandbox younger than that; and, if a
//!    schedule starts another run, until the node has been known for that long. Every image counts as young after the
//!    recorded state is lost, and on a node that has just booted, suddenly lists no pods, or has a clock that is not
//!    trusted: see `settled`.
//! 6. The wish is confirmed: the same plugin proposed the target in [`GuardRails::confirmations`] consecutive runs.
//! 7. The rules for log files and directories: see [`logs`].
//! 8. The run stays within its limits: count, size, and share of all entries.
//!
//! Rails 2 to 5 are those of [`images`], rail 7 is that of [`logs`]: a `Judge` for each [`Kind`] of target. The
//! others, and the way from proposals to a plan, are the same for all kinds: see `review`.
//!
//! Right before a step is performed, the rails check it again against the current state of the node:
//! `ImageGuard::clear` and `LogGuard::clear`.

pub mod images;
mod kind;
pub mod logs;
mod rails;
mod refusal;
mod review;
mod settled;

use serde::Serialize;

use crate::proposal::{Reason, Wish};

pub use kind::{Kind, Operation, ParsedProposal, ParsedWish};
pub use rails::{BUILT_IN, GuardRails, LIFTABLE, Limits, RailPattern};
pub use refusal::{Objection, Refusal};
pub use settled::Unsettled;

/// A removal or truncation approved by the guard rails. Only this module and the judges of kinds within it can
/// construct a step; a step cannot be deserialized.
///
/// ```compile_fail,E0451
/// # use holystone_core::guard::{Step, images::Images};
/// # fn skip(step: Step<Images>) -> Step<Images> {
/// Step { plugin: "mine".to_owned(), ..step }
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # use holystone_core::guard::{Step, images::Images};
/// let step: Step<Images> = serde_json::from_str("{}").unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct Step<K: Kind> {
    plugin: String,
    target: K::Target,
    operation: Operation,
    size_bytes: u64,
    reason: Reason,
    #[serde(flatten)]
    facts: K::Facts,
}

impl<K: Kind> Step<K> {
    /// Returns the name of the plugin that proposed the step.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Returns the target to remove or truncate.
    pub fn target(&self) -> &K::Target {
        &self.target
    }

    /// Returns the operation on the target.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// Returns the size in bytes. For an image, the runtime's figure; for a log file or directory, the total apparent
    /// size. If a file has several names, the first step for it has the size and the others have zero.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns the plugin's reason for the wish.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Returns all other known facts of the target.
    pub fn facts(&self) -> &K::Facts {
        &self.facts
    }

    /// Returns the number of entries: 1, or a directory and everything in it.
    pub fn entries(&self) -> u64 {
        K::entries(&self.facts)
    }

    /// Returns a name for messages, safe to display.
    pub fn name(&self) -> String {
        K::name(&self.target, &self.facts)
    }

    /// Returns the identity by which wishes are counted across runs: that of the target, and the operation if it is not
    /// the removal.
    pub fn key(&self) -> String {
        let key = K::key(&self.target, &self.facts);
        match self.operation {
            Operation::Remove => key,
            Operation::Truncate => format!("truncate:{key}"),
        }
    }
}

/// A permission for one operation on one target now, made from a step by a second check of the node. Removals take a
/// clearance by value: nothing is removed unchecked, or twice on one check.
///
/// ```compile_fail,E0451
/// # use holystone_core::guard::{Clearance, images::Images};
/// # fn forge(clearance: Clearance<Images>, target: holystone_core::image::ImageId) {
/// let forged = Clearance { target, ..clearance };
/// # }
/// ```
///
/// ```compile_fail,E0382
/// # use holystone_core::guard::{Clearance, logs::Logs};
/// # fn twice(clearance: Clearance<Logs>, remove: fn(Clearance<Logs>)) {
/// remove(clearance);
/// remove(clearance);
/// # }
/// ```
#[derive(Debug)]
pub struct Clearance<K: Kind> {
    target: K::Target,
    operation: Operation,
    permit: K::Permit,
}

impl<K: Kind> Clearance<K> {
    /// Returns the target that may be removed or truncated.
    pub fn target(&self) -> &K::Target {
        &self.target
    }

    /// Returns the permitted operation.
    pub fn operation(&self) -> Operation {
        self.operation
    }
}

/// A wish that a rail refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct Refused<K: Kind> {
    /// The plugin that proposed it.
    pub plugin: String,
    /// The wish as the plugin made it.
    pub wish: Wish,
    /// The name of the target in messages.
    pub name: String,
    /// Size in bytes, for an image the runtime's figure; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// All other known facts of the target, if there are any.
    #[serde(flatten)]
    pub facts: Option<K::Facts>,
    /// The refusal, with the rail that refused.
    pub refusal: Refusal<K>,
    /// The identity by which the wish counts in this run (rail 6), if it counts.
    #[serde(skip)]
    pub key: Option<String>,
}

/// The result of the guard rails' review of the proposals. Every wish is in exactly one of the two lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct Plan<K: Kind> {
    /// The approved steps, in the order in which the plugins proposed them.
    pub steps: Vec<Step<K>>,
    /// The refused wishes, with the reasons.
    pub refusals: Vec<Refused<K>>,
}

impl<K: Kind> Default for Plan<K> {
    fn default() -> Self {
        Self { steps: Vec::new(), refusals: Vec::new() }
    }
}

impl<K: Kind> Plan<K> {
    /// Returns whether no plugin proposed anything of this kind.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.refusals.is_empty()
    }

    /// Returns the plugins and keys of all wishes that count in this run (rail 6).
    pub fn counted(&self) -> impl Iterator<Item = (&str, String)> {
        let steps = self.steps.iter().map(|step| (step.plugin(), step.key()));
        let refused = self.refusals.iter().filter_map(|refused| Some((refused.plugin.as_str(), refused.key.clone()?)));
        steps.chain(refused)
    }
}
