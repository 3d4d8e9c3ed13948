//! Notices about settings of a policy that have no effect on this run. They are not errors: a setting may have an
//! effect on another node, or later.

use holystone_core::guard::GuardRails;
use holystone_core::manifest::NodeCleanup;
use holystone_core::sweep::Pace;
use holystone_runtime::Capability;

use crate::plugins::{LoadedPlugin, PluginSpec};
use crate::policy::Policy;

/// Lists the settings of a policy that have no effect with these plugins.
pub(crate) fn without_effect(policy: &Policy, loaded: &[LoadedPlugin]) -> Vec<String> {
    let mut notices = Vec::new();
    // Flags grant by default everything that any of several plugins may need, so an unused grant is no mistake.
    if policy.name.is_some() {
        notices.extend(policy.plugins.iter().zip(loaded).filter_map(|(spec, loaded)| unused(spec, loaded)));
    }
    let is_log = |used: &Capability| matches!(used, Capability::Logs | Capability::LogContent);
    let looks_at_logs = |one: &LoadedPlugin| one.uses().is_none_or(|uses| uses.iter().any(is_log));
    if !policy.log_roots.is_empty() && !loaded.iter().any(looks_at_logs) {
        let names: Vec<&str> = policy.log_roots.iter().map(|root| root.name.as_str()).collect();
        notices.push(format!("no plugin looks at log files, so these log roots have no effect: {}", names.join(", ")));
    }
    if !policy.has_runtime() {
        notices.extend(of_images(&policy.rails));
    }
    if policy.log_roots.is_empty() {
        notices.extend(of_log_files(&policy.rails));
    }
    notices.extend(of_limits(&policy.rails));
    notices.extend(of_pace(&policy.pace));
    notices
}

/// Lists the settings of a manifest that have no effect on any node.
pub fn notices_of_manifest(manifest: &NodeCleanup) -> Vec<String> {
    let mut notices = of_limits(&manifest.rails());
    notices.extend(of_pace(&manifest.pace()));
    notices
}

fn of_pace(pace: &Pace) -> Option<String> {
    let is_idle = !pace.pause.is_zero() && pace.in_flight != Pace::default().in_flight;
    is_idle.then(|| "with a pause, removals start one by one, so the limit of concurrency has no effect".to_owned())
}

/// Reports the capabilities that a plugin is granted and does not use.
fn unused(spec: &PluginSpec, loaded: &LoadedPlugin) -> Option<String> {
    let uses = loaded.uses()?;
    let unused = spec.grants.iter().filter(|granted| !uses.contains(granted));
    let unused: Vec<&str> = unused.map(Capability::as_str).collect();
    let sentence = || format!("plugin {} does not use what it is granted: {}", spec.name, unused.join(", "));
    (!unused.is_empty()).then(sentence)
}

/// Reports the image rails that are set, for a policy without a container runtime.
fn of_images(rails: &GuardRails) -> Option<String> {
    let set = [
        ("patterns to protect", !rails.protect.is_empty()),
        ("patterns not to protect", !rails.lift.is_empty()),
        ("leave to remove only some names of an image", rails.allow_partial_untag),
    ];
    idle("without a container runtime there are no images", &set)
}

/// Reports the log rails that are set, for a policy without a log root.
fn of_log_files(rails: &GuardRails) -> Option<String> {
    let usual = GuardRails::default();
    let set = [
        ("the settle time", rails.settle_time != usual.settle_time),
        ("the age of files whose uses are unknown", rails.unknown_open_age != usual.unknown_open_age),
    ];
    idle("without a log root there are no log files", &set)
}

/// Formats a notice about the rails that are set; `None` when none of them is.
fn idle(because: &str, rails: &[(&str, bool)]) -> Option<String> {
    let set: Vec<&str> = rails.iter().filter_map(|(what, is_set)| is_set.then_some(*what)).collect();
    (!set.is_empty()).then(|| format!("{because}, so these have no effect: {}", set.join(", ")))
}

fn of_limits(rails: &GuardRails) -> Vec<String> {
    let limits = &rails.limits;
    let mut notices = Vec::new();
    if limits.percent == Some(100) {
        notices.push("a limit of 100 percent refuses nothing".to_owned());
    }
    for (what, is_zero) in
        [("count", limits.count == Some(0)), ("bytes", limits.bytes == Some(0)), ("percent", limits.percent == Some(0))]
    {
        if is_zero {
            notices.push(format!("the limit of {what} is 0, so every removal is refused"));
        }
    }
    notices
}
