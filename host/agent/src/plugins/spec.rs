//! A chosen plugin, with its source, config, capabilities and limits.

use holystone_core::manifest::{self, OnFailure};
use holystone_runtime::{Capability, Engine, Grants, Limits, Plugin, PluginError, Reason};

use super::source::Source;

/// The default capabilities of a plugin that flags name.
const GRANTS: [Capability; 4] = [Capability::Images, Capability::Containers, Capability::Pods, Capability::Logs];

/// A plugin that an operator has chosen, and its settings.
#[derive(Clone, Debug)]
pub(crate) struct PluginSpec {
    /// The plugin's name in reports.
    pub(crate) name: String,
    pub(crate) source: Source,
    /// The digest that the plugin's bytes must have.
    pub(crate) digest: Option<String>,
    pub(crate) grants: Grants,
    /// The config, as JSON text.
    pub(crate) config: String,
    pub(crate) limits: Limits,
    pub(crate) on_failure: OnFailure,
}

impl PluginSpec {
    /// Builds the spec of a plugin that a flag names.
    pub(crate) fn of_flag(source: Source, config: String) -> Self {
        Self {
            name: source.name(),
            source,
            digest: None,
            grants: GRANTS.into_iter().collect(),
            config,
            limits: Limits::default(),
            on_failure: OnFailure::Skip,
        }
    }

    /// Builds the spec of a plugin of a manifest.
    pub(crate) fn of_manifest(plugin: &manifest::Plugin, source: Source) -> Self {
        let timeout = plugin.limits.timeout.get().unsigned_abs();
        let memory = usize::try_from(plugin.limits.memory.get()).unwrap_or(usize::MAX);
        Self {
            name: plugin.name.clone(),
            source,
            digest: plugin.digest.clone(),
            grants: plugin.capabilities.iter().copied().collect(),
            config: serde_json::Value::Object(plugin.config.clone()).to_string(),
            limits: Limits { timeout, memory, ..Limits::default() },
            on_failure: plugin.on_failure,
        }
    }

    /// Builds a spec that grants every capability, to ask a plugin about a config.
    pub(crate) fn for_questions(name: &str, source: Source) -> Self {
        let grants = Capability::ALL.into_iter().collect();
        Self { name: name.to_owned(), grants, ..Self::of_flag(source, "{}".to_owned()) }
    }

    /// Compares the digest of the plugin and loads it.
    pub(super) async fn plugin(&self, engine: &Engine) -> Result<Plugin, PluginError> {
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
