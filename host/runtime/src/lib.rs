//! Runs plugins: WebAssembly components that read a frozen snapshot and answer with wishes.
//!
//! Nothing here can touch a node. A plugin sees what its granted capabilities show of a [`View`], under [`Limits`]
//! of time, memory and output, in a store of its own that is thrown away after every call; whatever goes wrong
//! becomes a [`PluginError`] with the plugin's name and a stable reason.
//!
//! - [`engine`]: the one place that configures wasmtime.
//! - [`plugin`]: from bytes to a plugin, from a plugin to a proposal.
//! - [`capability`]: what a component asks for, held against what it is granted.
//! - `code`: a component compiled, by a worker or out of the cache.
//! - [`worker`]: work on untrusted input, in a process of its own.
//! - `logs`: a plugin's questions about log directories.
//! - `shape`: what a component is made of, held against limits before it is compiled.
//! - `v0_1`: the WIT bindings of `holystone:node@0.1` and every conversion to and from them.

pub mod capability;
mod code;
pub mod engine;
pub mod error;
pub mod limits;
mod logs;
pub mod plugin;
mod shape;
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
