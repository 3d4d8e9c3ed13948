//! The plugins of one run: found, loaded and asked, in the order given. One that fails contributes nothing.
//!
//! - `source`: where a plugin comes from.
//! - `spec`: a plugin that was chosen, and what it is given; `flags` reads those that flags name.
//! - `cache`: where compiled plugins are kept.
//! - `loaded`: loading and asking them.
//! - `supplies`: whether there is what they look at.
//! - `config`: a config that a manifest gives, held against the plugin's schema and shown to the plugin itself.

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
