//! The plugins of one run: found, loaded and asked, in the order given. One that fails contributes nothing.
//!
//! - `source`: where a plugin comes from.
//! - `config`: a config that a manifest gives, held against the plugin's schema and shown to the plugin itself.

mod config;
mod source;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use holystone_core::manifest::OnFailure;
use holystone_core::proposal::Proposal;
use holystone_core::report::{PluginFailure, PluginRun};
use holystone_core::text;
use holystone_runtime::{
    Answer, CacheError, Capability, Engine, EngineError, Grants, Limits, Plugin, PluginError, Reason, View, Worker,
};
use tokio::task::JoinSet;

pub(crate) use self::config::{Complaint, SCHEMA, complaints, denied, is_denied_builtin, without_effect};
pub(crate) use self::source::Source;

/// A plugin that an operator has chosen, and what it is given.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// What reports call it.
    pub(crate) name: String,
    pub(crate) source: Source,
    /// The digest that its bytes must have.
    pub(crate) digest: Option<String>,
    pub(crate) grants: Grants,
    /// JSON text.
    pub(crate) config: String,
    pub(crate) limits: Limits,
    pub(crate) on_failure: OnFailure,
}

/// Where compiled plugins are kept from run to run.
#[derive(Clone, Debug)]
pub(crate) enum CacheDir {
    /// In the usual place, if it is of use.
    Usual,
    /// Here.
    At(PathBuf),
    /// Nowhere: they are compiled anew each time.
    Nowhere,
}

/// A plugin that could be loaded, or why not, with its config.
#[derive(Clone)]
pub(crate) struct Loaded {
    name: String,
    source: Source,
    plugin: Result<Plugin, PluginError>,
    config: String,
    limits: Limits,
    on_failure: OnFailure,
}

/// Loads the chosen plugins, all at once: compiling takes a while, and one that takes for ever holds up no other.
///
/// # Errors
/// When no engine can be made. A plugin that cannot be loaded is not an error here.
pub(crate) async fn load(choices: &[Choice], cache: &CacheDir) -> anyhow::Result<Vec<Loaded>> {
    let engine = engine(cache)?;
    // Dropping the set ends its tasks, and with them their workers.
    let mut tasks = JoinSet::new();
    for (place, choice) in choices.iter().cloned().enumerate() {
        let load = choice.load(engine.clone());
        tasks.spawn(async move { (place, load.await) });
    }
    let mut loaded = Vec::new();
    while let Some(plugin) = tasks.join_next().await {
        loaded.push(plugin.context("loading the plugins ended early")?);
    }
    loaded.sort_by_key(|(place, _)| *place);
    Ok(loaded.into_iter().map(|(_, plugin)| plugin).collect())
}

/// What all plugins together have answered.
pub(crate) struct Proposed {
    /// One for each plugin, in their order.
    pub(crate) runs: Vec<PluginRun>,
    /// Those of the plugins that did not fail.
    pub(crate) proposals: Vec<Proposal>,
    /// What the plugins have to say to the operator, each after the plugin's name.
    pub(crate) notices: Vec<String>,
}

/// Asks each plugin for its proposal.
///
/// # Errors
/// When not one plugin has an answer, or one has none without which the run must not take place: then nothing has been
/// decided.
pub(crate) async fn propose(loaded: &[Loaded], view: View) -> anyhow::Result<Proposed> {
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

impl Choice {
    async fn load(self, engine: Engine) -> Loaded {
        let plugin = self.plugin(&engine).await;
        let Self { name, source, config, limits, on_failure, .. } = self;
        Loaded { name, source, plugin, config, limits, on_failure }
    }

    async fn plugin(&self, engine: &Engine) -> Result<Plugin, PluginError> {
        let fail = |reason, message| PluginError { plugin: self.name.clone(), reason, message };
        let bytes = self.source.bytes().map_err(|problem| fail(Reason::FetchFailed, problem))?;
        if let Some(wanted) = &self.digest {
            let found = holystone_core::digest::of(&bytes);
            if *wanted != found {
                let message = format!("its digest must be {wanted}, and {} has {found}", self.source.shown());
                return Err(fail(Reason::DigestMismatch, message));
            }
        }
        Plugin::load(engine, &self.name, bytes, &self.grants, self.limits).await
    }
}

impl Loaded {
    /// What it looks at of a node; absent when it could not be loaded.
    pub(crate) fn uses(&self) -> Option<&[Capability]> {
        self.plugin.as_ref().ok().map(Plugin::uses)
    }

    /// The same plugin with another config.
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

fn engine(cache: &CacheDir) -> anyhow::Result<Engine> {
    let engine = |cache: Option<&Path>| Engine::new(cache, Worker::this_program());
    match cache {
        CacheDir::At(directory) => return Ok(engine(Some(directory))?),
        CacheDir::Usual => {
            if let Some(directory) = usual_cache() {
                match engine(Some(&directory)) {
                    Ok(engine) => return Ok(engine),
                    Err(error @ EngineError::Cache { problem: CacheError::Untrusted(_), .. }) => {
                        tracing::warn!("plugins are compiled without a cache: {error}");
                    }
                    Err(error) => tracing::info!("plugins are compiled without a cache: {error}"),
                }
            }
        }
        CacheDir::Nowhere => {}
    }
    Ok(engine(None)?)
}

/// Where compiled plugins are kept unless a flag says otherwise.
pub(crate) fn usual_cache() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(Path::new("/var/lib/holystone/cache").to_owned());
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(base.join("holystone"))
}
