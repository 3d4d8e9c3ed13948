//! A plugin that looks at log directories in every way there is, and tells what it got, a line for each removal that
//! nobody offers. Exists for tests only.

#[cfg(target_arch = "wasm32")]
mod component;
