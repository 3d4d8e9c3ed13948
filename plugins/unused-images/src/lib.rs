//! The plugin `unused-images`: removes images that nothing on the node uses, chosen by repository, version and age. Its
//! README describes it for operators.
//!
//! - [`config`]: the parser from JSON to a [`Config`], or to all errors in it.
//! - [`mod@select`]: the decision, a pure function; natively tested.
//! - [`mod@tally`]: the number of images that each pattern matches.
//! - `rank`: the order of two images, as far as it is known.
//! - `component`: the glue to WIT, in a Wasm build only.

#[cfg(target_arch = "wasm32")]
mod component;
pub mod config;
mod parts;
mod rank;
mod scope;
pub mod select;
mod tag_pattern;
pub mod tally;

pub use config::Config;
pub use select::select;
pub use tally::tally;

/// JSON Schema of the config, for editors and other tools.
pub const SCHEMA: &str = include_str!("../schema.json");
