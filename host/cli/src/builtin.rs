//! The shipped plugins, embedded as components.

/// Name and component of each, sorted by name.
pub(crate) const BUILTINS: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// The component of this name.
pub(crate) fn find(name: &str) -> Option<&'static [u8]> {
    BUILTINS.iter().find(|(builtin, _)| *builtin == name).map(|(_, bytes)| *bytes)
}
