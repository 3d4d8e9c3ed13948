//! The shipped plugins, embedded as components.

use holystone_core::digest;

/// A plugin that comes with the binary.
pub(crate) struct Builtin {
    /// The plugin's name, which is that of its folder in `plugins/`.
    pub(crate) name: &'static str,
    /// The component.
    pub(crate) component: &'static [u8],
    /// The JSON Schema of the plugin's config.
    pub(crate) schema: &'static str,
}

/// The shipped plugins, sorted by name.
pub(crate) const BUILTINS: &[Builtin] = &include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// Finds the shipped plugin of this name.
pub(crate) fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

/// Returns the names and digests of the shipped plugins, sorted by name.
pub fn builtins() -> impl Iterator<Item = (&'static str, String)> {
    BUILTINS.iter().map(|builtin| (builtin.name, digest::of(builtin.component)))
}

/// Returns the names of the shipped plugins, sorted.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|builtin| builtin.name)
}
