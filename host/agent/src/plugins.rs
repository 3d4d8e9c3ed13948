//! The plugins of one run: resolved, loaded and asked in the given order. A plugin that fails contributes nothing.
//!
//! - `source`: the source of a plugin.
//! - `spec`: a chosen plugin and its settings; `flags` reads those that flags name.
//! - `cache`: the cache of compiled plugins.
//! - `loaded`: loading the plugins and asking them.
//! - `supplies`: the check that plugins have something to look at.
//! - `config`: the check of a config against the plugin's schema, and by the plugin itself.

mod cache;
mod config;
mod flags;
mod loaded;
mod source;
mod spec;
mod supplies;

pub use self::cache::CacheDir;
pub(crate) use self::cache::usual_cache;
pub use self::config::SCHEMA;
pub(crate) use self::config::{ConfigProblem, config_problems, denied, is_denied_builtin};
pub(crate) use self::flags::specs;
pub(crate) use self::loaded::{LoadedPlugin, Proposed, load, propose};
pub(crate) use self::source::Source;
pub(crate) use self::spec::PluginSpec;
pub(crate) use self::supplies::Supplies;
