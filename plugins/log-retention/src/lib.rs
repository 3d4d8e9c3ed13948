//! The plugin `log-retention`: removes log files by age, size and number, rule by rule, until enough is free. Its
//! README describes it for operators.
//!
//! - [`config`]: the parser from JSON to a [`Config`], or to all errors in it.
//! - [`directories`]: the search for empty directories.
//! - [`goal`]: the space that has to be free, and the space that is missing.
//! - [`select`]: the decision of one rule, a pure function; natively tested.
//! - [`tally`]: the number of entries that each glob has matched.
//! - `component`: the glue to WIT, in a Wasm build only.

#[cfg(target_arch = "wasm32")]
mod component;
pub mod config;
pub mod directories;
pub mod goal;
pub mod select;
pub mod tally;

pub use config::Config;
pub use goal::Goals;
pub use select::Survey;

/// JSON Schema of the config, for editors and other tools.
pub const SCHEMA: &str = include_str!("../schema.json");
