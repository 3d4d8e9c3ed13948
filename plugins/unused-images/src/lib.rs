//! The plugin `unused-images`: removes images that nothing on the node uses, chosen by repository, version and age.
//! What operators need to know stands in its README.
//!
//! - [`config`]: from JSON to a [`Config`], or all that is wrong with it.
//! - [`mod@select`]: the decision, a pure function; natively tested.
//! - [`mod@tally`]: how many images each pattern matches.
//! - `rank`: which of two images is known to be newer.
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
