//! A plugin that does whatever harm its config asks for: `{"do": "loop"}`. Exists for tests only.

#[cfg(target_arch = "wasm32")]
mod component;
