//! The settings of the guard rails: thresholds, patterns and limits.

use jiff::SignedDuration;

use super::logs::LogRails;
use crate::pattern::Pattern;

/// Patterns of images that are kept whatever plugins propose: images that exist on this node only, pause images under
/// any name, and Holystone's own. The operator may lift those in [`LIFTABLE`].
pub const BUILT_IN: [&str; 3] = ["localhost/*", "*pause*", "*/holystone*"];

/// The patterns in [`BUILT_IN`] that the operator may lift.
pub const LIFTABLE: [&str; 2] = ["localhost/*", "*pause*"];

/// The settings of the guard rails; everything else is fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardRails {
    /// Built-in patterns that do not protect on this node (rail 3); patterns outside [`LIFTABLE`] have no effect.
    pub lift: Vec<RailPattern>,
    /// True if an image with several names may be removed although the runtime removes names one by one and may keep
    /// the rest (rail 2). Default: false.
    pub allow_partial_untag: bool,
    /// Images to keep (rail 4).
    pub protect: Vec<RailPattern>,
    /// The minimum time since an image was first seen and last used (rail 5). Zero disables the rail. Default: 10
    /// minutes.
    pub min_age: SignedDuration,
    /// True if an image of unknown age counts as young until the node has been known for [`min_age`](Self::min_age):
    /// for runs of a schedule, where a next run follows. Default: false.
    pub unknown_is_young: bool,
    /// The number of consecutive runs in which a plugin has to propose the same target (rail 6). Default: 1, the
    /// current run.
    pub confirmations: u32,
    /// The time for which a log file counts as in use after its last change if uses cannot be seen (rail 7). Default:
    /// one day.
    pub unknown_open_age: SignedDuration,
    /// The minimum time since the last change of a log file or directory (rail 7). Zero disables the check. Default:
    /// 10 minutes.
    pub settle_time: SignedDuration,
    /// Limits of one run (rail 8).
    pub limits: Limits,
}

/// A pattern that the operator set, and the field or flag that contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RailPattern {
    /// The field or flag: `guardRails.protectImages[0]`, `--protect`.
    pub field: String,
    /// The pattern.
    pub pattern: Pattern,
}

impl RailPattern {
    /// Creates a pattern with its field.
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

/// Limits of one run, over all plugins together. An absent limit does not apply. Images and log entries are counted
/// separately: each may reach the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of entries to remove or truncate; a directory counts with everything in it. Wishes over the
    /// limit are refused one by one.
    pub count: Option<u64>,
    /// The maximum total size to remove or truncate, in bytes: of images by the runtime's figures, of log files by
    /// apparent size. A target that would exceed the limit is refused; a smaller one after it may still fit.
    pub bytes: Option<u64>,
    /// The maximum share of all entries of a kind that the plugins may propose, in percent, 0 to 100. A proposal that
    /// would exceed it is rejected as a whole: a policy that tries to remove nearly everything is a broken policy.
    pub percent: Option<u8>,
}
