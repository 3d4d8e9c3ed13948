//! The policy of a run: the settings of a manifest or of flags alone, and the flags that override them.

use std::time::Duration;

use holystone_core::guard::{GuardRails, RailPattern};
use holystone_core::manifest::{Mode, NodeCleanup};
use holystone_core::pattern::Pattern;
use holystone_core::pressure::Disk;
use holystone_core::sweep::Pace;
use holystone_core::text;
use holystone_node::RootSpec;
use holystone_runtime::Capability;
use jiff::SignedDuration;

use crate::error::UsageError;
use crate::plugins::{PluginSpec, Supplies};

/// The default time limit of a run.
const TIME_LIMIT: Duration = Duration::from_mins(30);

/// The settings of a run, except those of its output.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Namespace and name of the manifest; `None` when the policy comes from flags alone.
    pub(crate) name: Option<String>,
    /// The mode: remove, or only report.
    pub(crate) mode: Mode,
    /// The plugins that decide, in this order.
    pub(crate) plugins: Vec<PluginSpec>,
    pub(crate) rails: GuardRails,
    pub(crate) pace: Pace,
    /// The runtime's socket, `auto`, or `none`.
    pub(crate) endpoint: String,
    /// The log directories that plugins may see.
    pub(crate) log_roots: Vec<RootSpec>,
    /// The time limit of the run.
    pub(crate) time_limit: Duration,
    /// Notices for the user about the policy.
    pub(crate) notices: Vec<String>,
}

impl Policy {
    /// Builds a policy of plugins alone, with the default of everything else.
    pub(crate) fn of_plugins(plugins: Vec<PluginSpec>) -> Self {
        Self {
            name: None,
            mode: Mode::Enforce,
            plugins,
            rails: GuardRails::default(),
            pace: Pace::default(),
            endpoint: "auto".to_owned(),
            log_roots: Vec::new(),
            time_limit: TIME_LIMIT,
            notices: Vec::new(),
        }
    }

    /// Builds the policy of a manifest from its plugins and log roots on this machine.
    pub(crate) fn of_manifest(manifest: &NodeCleanup, plugins: Vec<PluginSpec>, log_roots: Vec<RootSpec>) -> Self {
        let deadline = manifest.spec.rollout.completion_policy.active_deadline_seconds;
        Self {
            name: Some(manifest.full_name()),
            mode: manifest.spec.mode,
            plugins,
            rails: manifest.rails(),
            pace: manifest.pace(),
            endpoint: manifest.spec.runtime.endpoint.clone(),
            log_roots,
            time_limit: deadline.map_or(TIME_LIMIT, |seconds| Duration::from_secs(seconds.into())),
            notices: ignored_fields(manifest).into_iter().collect(),
        }
    }

    /// Returns the supplies for the plugins; `add_log_root` is the advice about a missing log root.
    pub(crate) fn supplies<'a>(&'a self, add_log_root: &'a str) -> Supplies<'a> {
        let log_roots = self.log_roots.iter().map(|root| root.name.as_str()).collect();
        Supplies { log_roots, has_runtime: self.has_runtime(), add_log_root }
    }

    /// Returns whether the policy has a container runtime.
    pub(crate) fn has_runtime(&self) -> bool {
        self.endpoint != "none"
    }
}

/// Lists the fields that have no effect on one machine.
fn ignored_fields(manifest: &NodeCleanup) -> Option<String> {
    let fields = manifest.only_on_a_fleet();
    let names = || format!("on one machine these fields mean nothing and are ignored: {}", fields.join(", "));
    (!fields.is_empty()).then(names)
}

/// Settings that override those of a manifest, or the defaults. Absent or empty settings change nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// The mode: remove, or only report.
    pub mode: Option<Mode>,
    /// The runtime's socket, `auto`, or `none`.
    pub endpoint: Option<String>,
    /// The log roots; each replaces the one of the same name.
    pub log_roots: Vec<RootSpec>,
    /// The time limit of the run.
    pub time_limit: Option<Duration>,
    /// The permissions and limits of every plugin.
    pub plugins: PluginOverrides,
    /// The guard rails.
    pub guard_rails: RailOverrides,
    /// The speed and the bounds of the sweep.
    pub pace: PaceOverrides,
}

/// Settings that override the permissions and limits of every plugin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginOverrides {
    /// The parts of the node that plugins may see.
    pub capabilities: Vec<Capability>,
    /// The time limit of a plugin.
    pub timeout: Option<Duration>,
    /// The memory limit of a plugin, in bytes.
    pub memory: Option<usize>,
}

/// Settings that override guard rails. They never take protection from an image that a manifest protects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RailOverrides {
    /// Additional patterns to protect.
    pub protect: Vec<Pattern>,
    /// Built-in patterns that no longer protect.
    pub unprotect: Vec<Pattern>,
    /// Permission to remove only some of the names of an image.
    pub allow_partial_untag: bool,
    /// The least age of an image.
    pub min_age: Option<SignedDuration>,
    /// The number of consecutive runs that have to propose a removal.
    pub confirmations: Option<u32>,
    /// The least age of a file, if it is unknown whether the file is open.
    pub unknown_open_age: Option<SignedDuration>,
    /// The least time since a file or directory was changed or moved.
    pub settle_time: Option<SignedDuration>,
    /// The largest number of removals.
    pub max_count: Option<u64>,
    /// The largest number of bytes to remove.
    pub max_bytes: Option<u64>,
    /// The largest share of all images, or of everything in the log roots, that a plugin may propose.
    pub max_percent: Option<u8>,
}

/// Settings that override the speed and the bounds of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PaceOverrides {
    /// The largest number of removals in flight.
    pub concurrency: Option<usize>,
    /// The pause after the start of each removal.
    pub pause: Option<Duration>,
    /// The filesystem that the bounds are about.
    pub filesystem: Option<Disk>,
    /// The percentage above which anything is removed.
    pub above: Option<u8>,
    /// The percentage at which the sweep stops.
    pub until: Option<u8>,
    /// The number of failures in a row that stops the sweep.
    pub max_failures: Option<u32>,
}

impl Overrides {
    /// Applies these settings to a policy.
    ///
    /// # Errors
    /// Fails with a [`UsageError`], when the resulting bounds of pressure can have no effect.
    pub(crate) fn apply(&self, mut policy: Policy) -> anyhow::Result<Policy> {
        for plugin in &mut policy.plugins {
            self.plugins.apply(plugin);
        }
        self.guard_rails.apply(&mut policy.rails);
        self.pace.apply(&mut policy.pace);
        set(&mut policy.mode, self.mode);
        set(&mut policy.time_limit, self.time_limit);
        set(&mut policy.endpoint, self.endpoint.clone());
        let given = &self.log_roots;
        policy.log_roots.retain(|root| given.iter().all(|given| given.name != root.name));
        policy.log_roots.extend(given.iter().cloned());
        match pressure_problem(&policy) {
            Some(problem) => Err(UsageError::new(problem).into()),
            None => Ok(policy),
        }
    }
}

impl PluginOverrides {
    fn apply(&self, plugin: &mut PluginSpec) {
        if !self.capabilities.is_empty() {
            plugin.grants = self.capabilities.iter().copied().collect();
        }
        set(&mut plugin.limits.timeout, self.timeout);
        set(&mut plugin.limits.memory, self.memory);
    }
}

impl RailOverrides {
    pub(crate) fn apply(&self, rails: &mut GuardRails) {
        let pattern = |flag: &'static str| move |pattern: &Pattern| RailPattern::new(flag, pattern.clone());
        rails.protect.extend(self.protect.iter().map(pattern("--protect")));
        rails.lift.extend(self.unprotect.iter().map(pattern("--unprotect")));
        rails.allow_partial_untag |= self.allow_partial_untag;
        set(&mut rails.min_age, self.min_age);
        set(&mut rails.confirmations, self.confirmations);
        set(&mut rails.unknown_open_age, self.unknown_open_age);
        set(&mut rails.settle_time, self.settle_time);
        rails.limits.count = self.max_count.or(rails.limits.count);
        rails.limits.bytes = self.max_bytes.or(rails.limits.bytes);
        rails.limits.percent = self.max_percent.or(rails.limits.percent);
    }
}

impl PaceOverrides {
    fn apply(&self, pace: &mut Pace) {
        set(&mut pace.in_flight, self.concurrency);
        set(&mut pace.pause, self.pause);
        set(&mut pace.pressure.disk, self.filesystem.clone());
        pace.pressure.above = self.above.or(pace.pressure.above);
        pace.pressure.until = self.until.or(pace.pressure.until);
        set(&mut pace.max_failures, self.max_failures);
    }
}

/// Replaces a value if there is a new one.
fn set<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}

/// Explains why the bounds of pressure can have no effect; `None` when they can.
fn pressure_problem(policy: &Policy) -> Option<String> {
    let pressure = &policy.pace.pressure;
    if let (Some(above), Some(until)) = (pressure.above, pressure.until)
        && until > above
    {
        return Some(format!("--until {until} is more than --above {above}: it would stop before it begins"));
    }
    for (flag, bound) in [("--above", pressure.above), ("--until", pressure.until)] {
        if bound.is_some_and(|bound| bound >= 100) {
            return Some(format!("{flag} 100: no filesystem is ever fuller, so nothing would ever be removed"));
        }
    }
    let is_bounded = pressure.above.is_some() || pressure.until.is_some();
    match &pressure.disk {
        disk if *disk != Disk::Images && !is_bounded => {
            Some(format!("--filesystem {disk} has no effect without --above or --until"))
        }
        Disk::LogRoot(name) if policy.log_roots.iter().all(|root| root.name != *name) => {
            let known: Vec<String> = policy.log_roots.iter().map(|root| format!("logs:{}", root.name)).collect();
            let meant = text::closest(&format!("logs:{name}"), known.iter().map(String::as_str));
            let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            Some(format!("--filesystem logs:{}: there is no log root of this name{meant}", text::shown(name)))
        }
        Disk::Images if is_bounded && !policy.has_runtime() => Some(
            "--above and --until have no effect: without a container runtime images are never measured; \
                  name a log root with --filesystem logs:NAME"
                .to_owned(),
        ),
        _ => None,
    }
}
