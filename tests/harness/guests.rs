//! Plugins made for tests, compiled by this crate's build script.

use std::path::Path;

/// A plugin that does whatever harm its config asks for.
pub fn misbehave() -> &'static Path {
    Path::new(env!("GUEST_MISBEHAVE"))
}
