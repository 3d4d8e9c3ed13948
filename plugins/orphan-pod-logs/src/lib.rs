//! The plugin `orphan-pod-logs`: removes the log directories of pods that are gone. Its README describes it for
//! operators.
//!
//! - [`config`]: the parser from JSON to a [`Config`], or to all errors in it.
//! - [`mod@select`]: the decision, a pure function; natively tested.
//! - [`tally`]: the number of pods' directories in each log root.
//! - `component`: the glue to WIT, in a Wasm build only.

#[cfg(target_arch = "wasm32")]
mod component;
pub mod config;
pub mod select;
pub mod tally;

pub use config::Config;
pub use select::Survey;

/// JSON Schema of the config, for editors and other tools.
pub const SCHEMA: &str = include_str!("../schema.json");
