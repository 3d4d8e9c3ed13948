//! The shipped plugins, embedded as components.

use holystone_core::digest;

/// A plugin that comes with the binary.
pub(crate) struct Builtin {
    /// Its name, which is that of its folder in `plugins/`.
    pub(crate) name: &'static str,
    /// The component.
    pub(crate) component: &'static [u8],
    /// JSON Schema of its config.
    pub(crate) schema: &'static str,
}

/// All of them, sorted by name.
pub(crate) const BUILTINS: &[Builtin] = &include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// The one of this name.
pub(crate) fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

/// Returns the names and digests of the plugins that come with the binary, sorted by name.
pub fn builtins() -> impl Iterator<Item = (&'static str, String)> {
    BUILTINS.iter().map(|builtin| (builtin.name, digest::of(builtin.component)))
}

/// Their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|builtin| builtin.name)
}
