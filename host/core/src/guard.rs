//! The guard rails: the one place where a plugin's wish can become a [`Step`].
//!
//! The rails are numbered and evaluated in this order; the first that says no names the refusal. Plugins can neither
//! see nor switch them.
//!
//! 1. The target is of a kind that this host removes, is wished only once, and exists in the snapshot; and the runtime
//!    did not keep it when it was last asked to remove it.
//! 2. The image is not in use: no container in any state, no sandbox and no image volume refers to it, and none that
//!    may refer to it is left unresolved (see [`crate::usage`]). Where a runtime takes names from an image before it
//!    refuses the removal, an image has no more than one name, unless [`GuardRails::allow_partial_untag`].
//! 3. The image is not one that the node needs for itself: pinned by the runtime, the sandbox (pause) image, matched
//!    by [`BUILT_IN`], or one that Holystone itself or its plugins come in.
//! 4. The image is not protected by the operator's patterns. One protected tag protects the image, because removing
//!    an image drops every tag.
//! 5. The image is not too young: first seen, and in use, at least [`GuardRails::min_age`] ago. What was there when the
//!    node was first seen is of unknown age, and counts as young only while a pod may be starting: while there is a
//!    ready sandbox, not our own, that is younger than that itself; where a schedule brings another run, until the node
//!    has been known for that long. Every image is young on a node that has just booted or lists no pods all of a
//!    sudden, after a loss of what is remembered, and while the clock is not trusted: see `settled`.
//! 6. The wish is confirmed: the same plugin wished it in [`GuardRails::confirmations`] runs in a row.
//! 7. What is said of log files and directories: see [`logs`].
//! 8. The run stays within its limits: count, size, and the share of all there is.
//!
//! Rails 2 to 5 are those of [`images`], rail 7 is that of [`logs`]: a `Judge` for each [`Kind`] of thing. The others,
//! and the way from proposals to a plan, are the same for all kinds: see `review`.
//!
//! Right before a step is performed the rails look once more, at the node as it then is: `ImageGuard::clear` and
//! `LogGuard::clear`.

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

/// An approved removal. Only this module and the judges of kinds within it can make one; there is no way to read one
/// from a file.
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
    /// The plugin that wished it.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// The target to remove or truncate.
    pub fn target(&self) -> &K::Target {
        &self.target
    }

    /// The operation on the target.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// Its size in bytes: of an image, as the runtime counts; of a log file or directory, the apparent size, in sum. Of a
    /// file with several names the first step about it has the size, the others have none.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Why the plugin wished it.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Everything else that is known of the target.
    pub fn facts(&self) -> &K::Facts {
        &self.facts
    }

    /// Returns the number of entries: one, or a directory and all that is in it.
    pub fn entries(&self) -> u64 {
        K::entries(&self.facts)
    }

    /// Returns a name for messages, fit to show.
    pub fn name(&self) -> String {
        K::name(&self.target, &self.facts)
    }

    /// Returns the identity by which wishes are counted from run to run.
    pub fn key(&self) -> String {
        K::key(&self.target, &self.facts)
    }
}

/// Permission to do one thing to one target now, made of a step by a second look at the node. Removals take one of these
/// by value: nothing is removed unjudged, or twice on one look.
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
    /// The target that may be removed or truncated.
    pub fn target(&self) -> &K::Target {
        &self.target
    }

    /// The operation that is permitted.
    pub fn operation(&self) -> Operation {
        self.operation
    }
}

/// A wish that a rail said no to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct Refused<K: Kind> {
    /// The plugin that wished it.
    pub plugin: String,
    /// What it wished.
    pub wish: Wish,
    /// What to call the target in a message.
    pub name: String,
    /// Size in bytes, of an image as the runtime counts; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Everything else that is known of the target, if anything is.
    #[serde(flatten)]
    pub facts: Option<K::Facts>,
    /// The rail that said no.
    pub refusal: Refusal<K>,
    /// The identity by which the wish counts in this run (rail 6), if it counts.
    #[serde(skip)]
    pub key: Option<String>,
}

/// What the rails made of the proposals. Every wish is in exactly one of the two lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct Plan<K: Kind> {
    /// What will be done, in the order in which the plugins wished it.
    pub steps: Vec<Step<K>>,
    /// What will not be done, and why.
    pub refusals: Vec<Refused<K>>,
}

impl<K: Kind> Default for Plan<K> {
    fn default() -> Self {
        Self { steps: Vec::new(), refusals: Vec::new() }
    }
}

impl<K: Kind> Plan<K> {
    /// Returns whether nothing of this kind was wished.
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
