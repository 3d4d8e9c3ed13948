//! Preparation of policies from flags and manifests: parsed, checked and ready to run.

use std::time::Duration;

use holystone_core::manifest::Mode;

use crate::error::UsageError;
use crate::manifests::{Checked, Manifests};
use crate::plugins::{self, CacheDir, ConfigProblem, LoadedPlugin};
use crate::policy::{Overrides, Policy};
use crate::stop::{Stop, StopToken};

/// The time limit for reading and checking manifests, with all of their plugins.
const PREPARATION: Duration = Duration::from_mins(30);

/// A request for policies: manifests, or plugins and configs named by flags, and the overrides.
#[derive(Clone, Debug)]
pub struct PolicyRequest {
    /// The manifests. Without any, `plugins` decide.
    pub manifests: Manifests,
    /// The plugins named by flags: `builtin:NAME`, or the path of a component.
    pub plugins: Vec<String>,
    /// The configs of these plugins, in the same order: JSON, or `@FILE`.
    pub configs: Vec<String>,
    /// The flags that override manifests or defaults.
    pub overrides: Overrides,
    /// The cache of compiled plugins.
    pub cache: CacheDir,
}

/// A policy and its plugins, which are loaded by the check or, without a check, when they are first needed.
pub struct Prepared {
    pub(crate) policy: Policy,
    plugins: Option<Vec<LoadedPlugin>>,
    cache: CacheDir,
}

impl Prepared {
    /// Returns namespace and name of the manifest; `None` when the policy comes from flags alone.
    pub fn name(&self) -> Option<&str> {
        self.policy.name.as_deref()
    }

    /// Returns whether a run removes anything.
    pub fn removes(&self) -> bool {
        self.policy.mode == Mode::Enforce
    }

    /// Prepares a policy whose plugins are loaded when they are needed.
    pub(crate) fn later(policy: Policy, cache: CacheDir) -> Self {
        Self { policy, plugins: None, cache }
    }

    /// Returns the plugins, and loads them if necessary.
    pub(crate) async fn plugins(&mut self) -> anyhow::Result<Vec<LoadedPlugin>> {
        match self.plugins.take() {
            Some(loaded) => Ok(loaded),
            None => plugins::load(&self.policy.plugins, &self.cache).await,
        }
    }
}

/// Reads and checks the requested policies.
///
/// # Errors
/// Fails with all problems together, as a [`UsageError`].
pub async fn prepare(request: &PolicyRequest) -> anyhow::Result<Vec<Prepared>> {
    let PolicyRequest { manifests, overrides, cache, .. } = request;
    if manifests.is_empty() {
        let specs = plugins::specs(&request.plugins, &request.configs)?;
        let policy = overrides.apply(Policy::of_plugins(specs))?;
        let loaded = plugins::load(&policy.plugins, cache).await?;
        check_flags(&policy, &loaded).await?;
        return Ok(vec![Prepared { policy, plugins: Some(loaded), cache: cache.clone() }]);
    }
    let checked = manifests.read(overrides, cache).await?;
    let prepared =
        |checked: Checked| Prepared { policy: checked.policy, plugins: Some(checked.plugins), cache: cache.clone() };
    Ok(checked.into_iter().map(prepared).collect())
}

/// Reads and checks the requested policies, unless that takes too long or a stop is requested.
///
/// # Errors
/// As [`prepare`].
pub async fn prepare_until(request: &PolicyRequest, token: &StopToken) -> anyhow::Result<Vec<Prepared>> {
    Stop::within(PREPARATION, token).before_removals(Box::pin(prepare(request))).await
}

/// Checks the plugins and configs named by flags in the same way as those of a manifest.
async fn check_flags(policy: &Policy, loaded: &[LoadedPlugin]) -> anyhow::Result<()> {
    let specs = &policy.plugins;
    let mut found = plugins::config_problems(loaded).await;
    found.extend(policy.supplies("add one with --log-root NAME=PATH").problems(loaded));
    let several = specs.len() > 1;
    let problem = |found: ConfigProblem| {
        let spec = &specs[found.plugin];
        let flag = match found.path.strip_prefix("config") {
            _ if found.path == "source" => format!("--plugin {}", spec.source.shown()),
            Some("") | None if several => format!("--config of {}", spec.name),
            Some("") | None => "--config".to_owned(),
            Some(path) if several => format!("--config of {}: {}", spec.name, path.trim_start_matches('.')),
            Some(path) => format!("--config: {}", path.trim_start_matches('.')),
        };
        let value = found.found.map(|value| format!(", found {value}")).unwrap_or_default();
        let meant = found.suggestion.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        format!("{flag}: {}{value}{meant}", found.message)
    };
    let problems: Vec<String> = found.into_iter().map(problem).collect();
    match problems.len() {
        0 => Ok(()),
        1 => Err(UsageError::Invalid(problems.concat()).into()),
        number => Err(UsageError::Problems {
            title: format!("the flags cannot be used, there are {number} problems:"),
            problems,
        }
        .into()),
    }
}

#[cfg(test)]
mod tests;
