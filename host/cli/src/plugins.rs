//! The plugins of one run: found, loaded and asked, in the order given. One that fails contributes nothing.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use holystone_core::proposal::Proposal;
use holystone_core::report::{PluginFailure, PluginRun};
use holystone_core::text;
use holystone_runtime::limits::MAX_COMPONENT;
use holystone_runtime::{Engine, Grants, Limits, Plugin, PluginError, Reason, View};
use serde::de::IgnoredAny;

use crate::args::PolicyArguments;
use crate::builtin::{self, BUILTINS};
use crate::exit::Usage;
use crate::files;

/// A plugin as the user names it.
struct Choice {
    source: Source,
    config: String,
}

enum Source {
    Builtin(String),
    File(PathBuf),
}

/// A plugin that could be loaded, or why not, with its config.
pub(crate) struct Loaded {
    name: String,
    plugin: Result<Plugin, PluginError>,
    config: String,
}

/// Loads the chosen plugins, all at once: compiling takes a while, and one that takes for ever holds up no other.
///
/// # Errors
/// When the arguments make no sense or no engine can be made. A plugin that cannot be loaded is not an error here.
pub(crate) async fn load(arguments: &PolicyArguments) -> anyhow::Result<Vec<Loaded>> {
    let choices = choices(&arguments.plugins, &arguments.configs)?;
    let grants: Grants = arguments.capabilities.iter().copied().collect();
    let memory = usize::try_from(arguments.memory.as_u64()).unwrap_or(usize::MAX);
    let limits = Limits { timeout: arguments.timeout, memory, ..Limits::default() };
    let engine = engine(arguments)?;
    let load = |choice: Choice| tokio::spawn(choice.load(engine.clone(), grants.clone(), limits));
    let mut loaded = Vec::new();
    for plugin in choices.into_iter().map(load).collect::<Vec<_>>() {
        loaded.push(plugin.await.context("loading the plugins ended early")?);
    }
    Ok(loaded)
}

/// Asks each plugin for its proposal.
///
/// # Errors
/// When not one plugin has an answer: then nothing has been decided.
pub(crate) async fn propose(loaded: &[Loaded], view: View) -> anyhow::Result<(Vec<PluginRun>, Vec<Proposal>)> {
    let view = Arc::new(view);
    let mut runs = Vec::new();
    let mut proposals = Vec::new();
    let mut failures = Vec::new();
    for one in loaded {
        let answer = one.propose(&view).await;
        runs.push(one.run(&answer));
        match answer {
            Ok(proposal) => proposals.push(proposal),
            Err(error) => failures.push(explain(&error)),
        }
    }
    if proposals.is_empty() {
        anyhow::bail!("nothing was touched, because no plugin had an answer: {}", failures.join("; "));
    }
    for failure in failures {
        tracing::error!("{failure}");
    }
    Ok((runs, proposals))
}

fn explain(error: &PluginError) -> String {
    let hint = if error.reason == Reason::CapabilityDenied { "; --allow grants capabilities" } else { "" };
    format!("plugin {} failed with {}: {}{hint}", error.plugin, error.reason, error.message)
}

impl Choice {
    async fn load(self, engine: Engine, grants: Grants, limits: Limits) -> Loaded {
        let name = self.source.name();
        let plugin = match self.source.bytes(&name) {
            Ok(bytes) => Plugin::load(&engine, &name, bytes, &grants, limits).await,
            Err(error) => Err(error),
        };
        Loaded { name, plugin, config: self.config }
    }
}

impl Loaded {
    async fn propose(&self, view: &Arc<View>) -> Result<Proposal, PluginError> {
        match &self.plugin {
            Ok(plugin) => plugin.propose(view, &self.config).await,
            Err(error) => Err(error.clone()),
        }
    }

    fn run(&self, answer: &Result<Proposal, PluginError>) -> PluginRun {
        PluginRun {
            name: self.name.clone(),
            digest: self.plugin.as_ref().ok().map(|plugin| plugin.digest().to_owned()),
            wishes: answer.as_ref().map_or(0, |proposal| proposal.wishes.len()),
            failure: answer
                .as_ref()
                .err()
                .map(|error| PluginFailure { reason: error.reason.to_string(), message: error.message.clone() }),
        }
    }
}

impl Source {
    fn parse(text: &str) -> Self {
        match text.strip_prefix("builtin:") {
            Some(name) => Self::Builtin(name.to_owned()),
            None => Self::File(text.into()),
        }
    }

    /// A name for reports: that of the builtin, or that of the file without its ending.
    fn name(&self) -> String {
        match self {
            Self::Builtin(name) => text::shown(name),
            Self::File(path) => text::shown(&path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy()),
        }
    }

    fn bytes(&self, name: &str) -> Result<Cow<'static, [u8]>, PluginError> {
        let fail = |message| PluginError { plugin: name.to_owned(), reason: Reason::FetchFailed, message };
        match self {
            Self::Builtin(builtin) => builtin::find(builtin).map(Cow::Borrowed).ok_or_else(|| {
                let all: Vec<&str> = BUILTINS.iter().map(|(name, _)| *name).collect();
                fail(format!("there is no builtin of this name; the builtins are: {}", all.join(", ")))
            }),
            Self::File(path) => files::read(path, MAX_COMPONENT as u64)
                .map(Cow::Owned)
                .map_err(|error| fail(format!("{} {error}", text::shown(&path.display().to_string())))),
        }
    }
}

/// Pairs plugins with configs.
fn choices(plugins: &[String], configs: &[String]) -> anyhow::Result<Vec<Choice>> {
    if configs.len() > plugins.len() {
        let problem = format!("there are {} --config for {} --plugin", configs.len(), plugins.len());
        return Err(Usage(problem).into());
    }
    let configs = configs.iter().map(|config| read_config(config)).collect::<anyhow::Result<Vec<_>>>()?;
    let configs = configs.into_iter().chain(std::iter::repeat("{}".to_owned()));
    Ok(plugins
        .iter()
        .map(|plugin| Source::parse(plugin))
        .zip(configs)
        .map(|(source, config)| Choice { source, config })
        .collect())
}

/// Reads a config, given as JSON or as @FILE. Plugins get the text as it is: read and written again, a field that is
/// given twice would quietly lose one of its values.
fn read_config(argument: &str) -> anyhow::Result<String> {
    let (text, origin) = match argument.strip_prefix('@') {
        Some(path) => {
            let read = files::read(Path::new(path), files::MAX_CONFIG);
            let bytes = read.map_err(|error| Usage(format!("--config: {path} {error}")))?;
            let text = String::from_utf8(bytes);
            (text.map_err(|error| Usage(format!("--config: {path} is not UTF-8: {error}")))?, path)
        }
        None => (argument.to_owned(), "--config"),
    };
    let checked: Result<IgnoredAny, _> = serde_json::from_str(&text);
    checked.map_err(|error| Usage(format!("{origin} is not JSON: {error}")))?;
    Ok(text)
}

fn engine(arguments: &PolicyArguments) -> anyhow::Result<Engine> {
    if let Some(directory) = &arguments.cache_dir {
        return Ok(Engine::new(Some(directory))?);
    }
    if !arguments.no_cache
        && let Some(directory) = default_cache()
    {
        match Engine::new(Some(&directory)) {
            Ok(engine) => return Ok(engine),
            Err(error) => tracing::info!("plugins are compiled anew: {error}"),
        }
    }
    Ok(Engine::new(None)?)
}

fn default_cache() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(Path::new("/var/lib/holystone/cache").to_owned());
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(base.join("holystone"))
}
