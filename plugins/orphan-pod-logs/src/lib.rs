//! The plugin `orphan-pod-logs`: removes the log directories of pods that are gone.
//! What operators need to know stands in its README.
//!
//! - [`config`]: from JSON to a [`Config`], or all that is wrong with it.
//! - [`mod@select`]: the decision, a pure function; natively tested.
//! - [`tally`]: how many directories of pods lie in each log root.
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
