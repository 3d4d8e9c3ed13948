//! The settings of the guard rails: thresholds, patterns and limits.

use jiff::SignedDuration;

use super::logs::LogRails;
use crate::pattern::Pattern;

/// Images that are never removed on any request: those that exist on this node only, pause images under any name,
/// and Holystone's own.
pub const BUILT_IN: [&str; 3] = ["localhost/*", "*pause*", "*/holystone*"];

/// Those of [`BUILT_IN`] that the operator may lift, and no others.
pub const LIFTABLE: [&str; 2] = ["localhost/*", "*pause*"];

/// The settings of the guard rails; everything else is fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardRails {
    /// Built-in patterns that do not protect on this node (rail 3); what is not in [`LIFTABLE`] has no effect.
    pub lift: Vec<RailPattern>,
    /// True if an image of several names may be removed by a runtime that takes its names one by one, and may keep the
    /// rest (rail 2). Default no.
    pub allow_partial_untag: bool,
    /// Images to keep (rail 4).
    pub protect: Vec<RailPattern>,
    /// The shortest time that an image has to have been here (rail 5). Zero switches the rail off. Default 10 minutes.
    pub min_age: SignedDuration,
    /// True if an image of unknown age is young until the node has been known for [`min_age`](Self::min_age): where a
    /// schedule brings the next run. Default: no.
    pub unknown_is_young: bool,
    /// The number of consecutive runs in which a plugin has to wish the same (rail 6). Default 1: this one.
    pub confirmations: u32,
    /// The time for which a log file counts as open where that cannot be seen (rail 7). Default one day.
    pub unknown_open_age: SignedDuration,
    /// For how long a log file or directory has to have been left alone (rail 7). Zero switches that off. Default 10
    /// minutes.
    pub settle_time: SignedDuration,
    /// Limits of one run (rail 8).
    pub limits: Limits,
}

/// A pattern that the operator set, and the field or flag that it was written into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RailPattern {
    /// The field or flag: `guardRails.protectImages[0]`, `--protect`.
    pub field: String,
    /// The pattern.
    pub pattern: Pattern,
}

impl RailPattern {
    /// Puts a pattern and its field together.
    pub fn new(field: impl Into<String>, pattern: Pattern) -> Self {
        Self { field: field.into(), pattern }
    }
}

impl Default for GuardRails {
    fn default() -> Self {
        Self {
            lift: Vec::new(),
            allow_partial_untag: false,
            protect: Vec::new(),
            min_age: SignedDuration::from_mins(10),
            unknown_is_young: false,
            confirmations: 1,
            unknown_open_age: LogRails::default().unknown_open_age,
            settle_time: LogRails::default().settled_for,
            limits: Limits::default(),
        }
    }
}

impl GuardRails {
    /// Returns the settings for log files and directories.
    pub fn for_logs(&self) -> LogRails {
        LogRails {
            unknown_open_age: self.unknown_open_age,
            settled_for: self.settle_time,
            min_age: self.min_age,
            confirmations: self.confirmations,
            limits: self.limits,
        }
    }
}

/// Limits of one run, over all plugins together. An absent limit does not limit. Images and what is beneath log roots
/// are counted apart: each may come to the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most images that may be removed. Wishes past it are refused one by one.
    pub count: Option<u64>,
    /// The most bytes that the removed images may have in sum, by the runtime's sizes. An image that would go past it is
    /// refused; a smaller one after it may still fit.
    pub bytes: Option<u64>,
    /// The largest share of the node's images, 0 to 100, that the plugins may wish to remove. A proposal that would go
    /// past it is rejected as a whole: a policy that wants to remove nearly everything is a broken policy.
    pub percent: Option<u8>,
}
