//! The plugin `unused-images`: removes images that nothing on the node uses, chosen by repository, version and age.
//! What operators need to know stands in its README.
//!
//! - [`config`]: from JSON to a [`Config`], or all that is wrong with it.
//! - [`mod@select`]: the decision, a pure function; natively tested.
//! - [`mod@tally`]: how many images each pattern matches.
//! - [`version`]: how image tags are compared.
//! - `component`: the glue to WIT, in a Wasm build only.

#[cfg(target_arch = "wasm32")]
mod component;
pub mod config;
mod scope;
pub mod select;
pub mod tally;
pub mod version;

pub use config::Config;
pub use select::select;
pub use tally::tally;

/// JSON Schema of the config, for editors and other tools.
pub const SCHEMA: &str = include_str!("../schema.json");
