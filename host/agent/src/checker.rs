//! Checks of manifests beyond their text: missing plugins, configs that plugins reject, missing capabilities, settings
//! that can never have an effect, log roots that are never opened. Every command that reads manifests and the operator
//! share this check. Documents with other problems are checked as well, so that all problems are reported together.

use std::collections::BTreeMap;

use holystone_core::manifest::{Draft, PluginDraft, PluginSource, Problem};
use holystone_core::{digest, text};
use holystone_node::RootSpec;
use tokio::sync::Mutex;

use crate::builtin;
use crate::plugins::{self, CacheDir, ConfigProblem, LoadedPlugin, PluginSpec, Source, Supplies};

/// The advice about a missing log root in a manifest.
pub(crate) const ADD_LOG_ROOT: &str = "add one to spec.logRoots";

/// A checker of documents, which compiles each plugin that comes with Holystone only once.
pub struct Checker {
    cache: CacheDir,
    builtins: Mutex<BTreeMap<String, LoadedPlugin>>,
}

impl Checker {
    /// Creates a checker with this cache of compiled plugins.
    pub fn new(cache: CacheDir) -> Self {
        Self { cache, builtins: Mutex::default() }
    }

    /// Finds all problems with the log roots of a document and with its plugins that come with Holystone. Other plugins
    /// are not available on a machine that runs no pod of the document.
    ///
    /// # Errors
    /// When no plugin can be compiled on this machine.
    pub async fn problems_of_builtins(&self, draft: &Draft<'_>) -> anyhow::Result<Vec<Problem>> {
        self.problems(draft, builtin_source).await
    }

    /// Finds all problems with the plugins and log roots of a document. `source` resolves a plugin on this machine, if
    /// it is available.
    ///
    /// # Errors
    /// When no plugin can be compiled on this machine.
    pub(crate) async fn problems(
        &self,
        draft: &Draft<'_>,
        source: impl Fn(&PluginDraft) -> Option<Source>,
    ) -> anyhow::Result<Vec<Problem>> {
        let mut problems = log_roots(draft);
        problems.extend(digest_problems(draft));
        let names = draft.log_root_names();
        let supplies = Supplies {
            log_roots: names.iter().map(String::as_str).collect(),
            has_runtime: draft.has_runtime(),
            add_log_root: ADD_LOG_ROOT,
        };
        for plugin in draft.plugins() {
            let Some(source) = source(&plugin) else { continue };
            let config = serde_json::Value::Object(plugin.config.clone()).to_string();
            let loaded = self.load(&plugin.name, source).await?.with_config(config);
            let mut found = plugins::config_problems(std::slice::from_ref(&loaded)).await;
            if let Some(granted) = &plugin.capabilities {
                found.extend(plugins::denied(&loaded, granted));
            }
            found.extend(supplies.problems(&[loaded]));
            let placed =
                |found| of_plugin(&plugin.source, plugin.index, found, |path, message| draft.problem(path, message));
            problems.extend(found.into_iter().map(placed));
        }
        Ok(problems)
    }

    /// Loads a plugin with every capability, to ask it about a config.
    async fn load(&self, name: &str, source: Source) -> anyhow::Result<LoadedPlugin> {
        let builtin = match &source {
            Source::Builtin(builtin) => Some(builtin.clone()),
            Source::File(_) => None,
        };
        // The lock is held during compilation, so that each plugin is compiled once.
        let mut builtins = self.builtins.lock().await;
        if let Some(known) = builtin.as_ref().and_then(|builtin| builtins.get(builtin)) {
            return Ok(known.clone());
        }
        let spec = PluginSpec::for_questions(name, source);
        let loaded = plugins::load(&[spec], &self.cache).await?.remove(0);
        if let Some(builtin) = builtin {
            builtins.insert(builtin, loaded.clone());
        }
        Ok(loaded)
    }
}

/// Returns the source of a plugin that comes with Holystone; `None` for other plugins.
pub(crate) fn builtin_source(plugin: &PluginDraft) -> Option<Source> {
    match &plugin.source {
        PluginSource::Builtin(name) => Some(Source::Builtin(name.clone())),
        _ => None,
    }
}

/// Finds the plugins that come with Holystone and that a document pins to another digest. The bytes of other plugins may not
/// have reached their node yet.
pub(crate) fn digest_problems(draft: &Draft<'_>) -> Vec<Problem> {
    let problem = |plugin: &PluginDraft| {
        let (PluginSource::Builtin(name), Some(wanted)) = (&plugin.source, &plugin.digest) else { return None };
        let has = digest::of(builtin::find(name)?.component);
        let message = format!("must be {has}, the digest of {name} in this version of Holystone, or be left out");
        let problem = || draft.problem(&format!("spec.plugins[{}].digest", plugin.index), message);
        (*wanted != has).then(|| problem().found(text::shown(wanted)))
    };
    draft.plugins().iter().filter_map(problem).collect()
}

fn log_roots(draft: &Draft<'_>) -> Vec<Problem> {
    let roots = draft.log_roots();
    let problem = |(index, path): &(usize, String)| {
        // A path that is not absolute is already a problem of the text.
        let sentence = RootSpec::new("root", path).problem().filter(|_| path.starts_with('/'));
        let never = sentence.map(|sentence| format!("{} is never opened as a log root: {sentence}", text::shown(path)));
        let message = never.or_else(|| overlap(&roots, *index, path))?;
        Some(draft.problem(&format!("spec.logRoots[{index}].hostPath"), message))
    };
    roots.iter().filter_map(problem).collect()
}

/// Reports a log root that lies in another one or repeats an earlier one. Links and mounts are only resolved on the
/// node.
fn overlap(roots: &[(usize, String)], index: usize, path: &str) -> Option<String> {
    let plain = |path: &str| path.trim_end_matches('/').to_owned();
    let path = plain(path);
    let holds = |(other, holder): &&(usize, String)| {
        let rest = path.strip_prefix(&plain(holder));
        match rest {
            Some("") => *other < index,
            Some(rest) => rest.starts_with('/'),
            None => false,
        }
    };
    let (other, holder) = roots.iter().filter(|(other, _)| *other != index).find(holds)?;
    let (how, advice) = if plain(holder) == path {
        ("is the same directory as", "declare it once")
    } else {
        ("lies in", "declare the outer one alone and pick by globs, or two that lie apart")
    };
    Some(format!("it {how} spec.logRoots[{other}], {}; {advice}", text::shown(holder)))
}

/// Converts a problem with a plugin to a problem of its manifest.
pub(crate) fn of_plugin(
    source: &PluginSource,
    index: usize,
    found: ConfigProblem,
    problem: impl Fn(&str, String) -> Problem,
) -> Problem {
    let path = match (found.path.as_str(), source) {
        ("source", PluginSource::Builtin(_)) => "source.builtin",
        ("source", PluginSource::File(_)) => "source.file",
        ("source", PluginSource::ConfigMap(_)) => "source.configMap",
        ("source", PluginSource::ImageVolume(_)) => "source.imageVolume",
        (path, _) => path,
    };
    let mut problem = problem(&format!("spec.plugins[{index}].{path}"), found.message);
    (problem.found, problem.suggestion) = (found.found, found.suggestion);
    problem
}
