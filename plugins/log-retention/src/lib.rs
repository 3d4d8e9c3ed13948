//! The plugin `log-retention`: removes log files by age, size and number, rule by rule, until enough is free.
//! What operators need to know stands in its README.
//!
//! - [`config`]: from JSON to a [`Config`], or all that is wrong with it.
//! - [`directories`]: which directories are empty.
//! - [`goal`]: how much has to be free, and how much is missing.
//! - [`select`]: the decision of one rule, a pure function; natively tested.
//! - [`tally`]: how many entries each glob has matched.
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
