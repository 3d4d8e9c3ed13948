//! The runtime of plugins: WebAssembly components that read a frozen snapshot and answer with wishes.
//!
//! This crate cannot touch a node. A plugin sees what its granted capabilities show of a [`View`], under [`Limits`] of
//! time, memory and output, in a separate store that is dropped after every call. Every failure becomes a
//! [`PluginError`] with the plugin's name and a stable reason.
//!
//! - [`engine`]: the only configuration of wasmtime.
//! - [`plugin`]: from bytes to a plugin, from a plugin to a proposal.
//! - [`capability`]: the check of a component's imports against its granted capabilities.
//! - `code`: a compiled component, from a worker or from the cache.
//! - [`worker`]: work on untrusted input, in a separate process.
//! - `logs`: a plugin's questions about log directories.
//! - `shape`: the check of a component's declarations against limits before it is compiled.
//! - `v0_1`: the WIT bindings of `holystone:node@0.1` and all conversions to and from them.

pub mod capability;
mod code;
pub mod engine;
pub mod error;
pub mod limits;
mod logs;
pub mod plugin;
mod preflight;
mod v0_1;
mod wasi;
pub mod worker;

pub use capability::Grants;
pub use code::{COMPILE, CacheError};
pub use engine::{ENGINE, Engine, EngineError, WIT};
pub use error::{PluginError, Reason};
pub use holystone_core::manifest::Capability;
pub use limits::Limits;
pub use plugin::{Answer, Plugin};
pub use v0_1::View;
pub use worker::Worker;
