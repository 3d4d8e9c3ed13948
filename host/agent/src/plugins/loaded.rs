//! Loading of the plugins of one run, and asking them in the given order.

use std::sync::Arc;

use anyhow::Context as _;
use holystone_core::manifest::OnFailure;
use holystone_core::proposal::Proposal;
use holystone_core::report::{PluginFailure, PluginRun};
use holystone_core::text;
use holystone_runtime::{Answer, Capability, Engine, Limits, Plugin, PluginError, Reason, View};
use tokio::task::JoinSet;

use super::cache::{self, CacheDir};
use super::source::Source;
use super::spec::PluginSpec;

/// A loaded plugin, or the error of loading it, with its config.
#[derive(Clone)]
pub(crate) struct LoadedPlugin {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) plugin: Result<Plugin, PluginError>,
    pub(super) config: String,
    pub(super) limits: Limits,
    on_failure: OnFailure,
}

/// Loads the chosen plugins concurrently: compiling takes a while, and a plugin that never finishes must not hold up
/// the others.
///
/// # Errors
/// When no engine can be created. A plugin that cannot be loaded is not an error here.
pub(crate) async fn load(specs: &[PluginSpec], cache: &CacheDir) -> anyhow::Result<Vec<LoadedPlugin>> {
    let engine = cache::engine(cache)?;
    // Dropping the set ends its tasks, and with them their workers.
    let mut tasks = JoinSet::new();
    for (place, spec) in specs.iter().cloned().enumerate() {
        let engine = engine.clone();
        tasks.spawn(async move { (place, LoadedPlugin::load(spec, &engine).await) });
    }
    let mut loaded = Vec::new();
    while let Some(plugin) = tasks.join_next().await {
        loaded.push(plugin.context("loading the plugins ended early")?);
    }
    loaded.sort_by_key(|(place, _)| *place);
    Ok(loaded.into_iter().map(|(_, plugin)| plugin).collect())
}

/// The answers of all plugins together.
pub(crate) struct Proposed {
    /// The result of each plugin, in order.
    pub(crate) runs: Vec<PluginRun>,
    /// The proposals of the plugins that did not fail.
    pub(crate) proposals: Vec<Proposal>,
    /// The notices of plugins for the operator, each after the plugin's name.
    pub(crate) notices: Vec<String>,
}

/// Asks each plugin for its proposal.
///
/// # Errors
/// When no plugin answers, or a plugin fails whose `onFailure` is `FailRun`: then nothing has been decided.
pub(crate) async fn propose(loaded: &[LoadedPlugin], view: View) -> anyhow::Result<Proposed> {
    let view = Arc::new(view);
    let mut proposed = Proposed { runs: Vec::new(), proposals: Vec::new(), notices: Vec::new() };
    let mut failures = Vec::new();
    let mut needed = Vec::new();
    for one in loaded {
        let answer = one.propose(&view).await;
        proposed.runs.push(one.run(&answer));
        match answer {
            Ok(Answer { proposal, notices, .. }) => {
                proposed.proposals.push(proposal);
                proposed
                    .notices
                    .extend(notices.iter().map(|notice| format!("plugin {}: {notice}", text::shown(&one.name))));
            }
            Err(error) if one.on_failure == OnFailure::FailRun => needed.push(explain(&error)),
            Err(error) => failures.push(explain(&error)),
        }
    }
    if !needed.is_empty() {
        anyhow::bail!("nothing was touched, because onFailure is FailRun: {}", needed.join("; "));
    }
    if proposed.proposals.is_empty() {
        anyhow::bail!("nothing was touched, because no plugin had an answer: {}", failures.join("; "));
    }
    for failure in failures {
        tracing::error!("{failure}");
    }
    Ok(proposed)
}

fn explain(error: &PluginError) -> String {
    let hint = match error.reason {
        Reason::CapabilityDenied => "; --allow grants capabilities, or the field capabilities of the manifest",
        _ => "",
    };
    format!("plugin {} failed with {}: {}{hint}", error.plugin, error.reason, error.message)
}

impl LoadedPlugin {
    async fn load(spec: PluginSpec, engine: &Engine) -> Self {
        let plugin = spec.plugin(engine).await;
        let PluginSpec { name, source, config, limits, on_failure, .. } = spec;
        Self { name, source, plugin, config, limits, on_failure }
    }

    /// Returns the capabilities that the plugin uses; `None` when it could not be loaded.
    pub(crate) fn uses(&self) -> Option<&[Capability]> {
        self.plugin.as_ref().ok().map(Plugin::uses)
    }

    /// Returns the same plugin with another config.
    pub(crate) fn with_config(&self, config: String) -> Self {
        Self { config, ..self.clone() }
    }

    async fn propose(&self, view: &Arc<View>) -> Result<Answer, PluginError> {
        match &self.plugin {
            Ok(plugin) => plugin.propose(view, &self.config).await,
            Err(error) => Err(error.clone()),
        }
    }

    fn run(&self, answer: &Result<Answer, PluginError>) -> PluginRun {
        PluginRun {
            name: self.name.clone(),
            digest: self.plugin.as_ref().ok().map(|plugin| plugin.digest().to_owned()),
            wishes: answer.as_ref().map_or(0, |answer| answer.proposal.wishes.len()),
            matches: answer.as_ref().map_or_else(|_| Vec::new(), |answer| answer.matches.clone()),
            failure: answer
                .as_ref()
                .err()
                .map(|error| PluginFailure { reason: error.reason.to_string(), message: error.message.clone() }),
        }
    }
}
