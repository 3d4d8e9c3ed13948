//! Plugins made for tests, compiled by this crate's build script.

use std::path::Path;

/// A plugin that does whatever harm its config asks for.
pub fn misbehave() -> &'static Path {
    Path::new(env!("GUEST_MISBEHAVE"))
}

/// A plugin that looks at log directories in every way there is.
pub fn walks() -> &'static Path {
    Path::new(env!("GUEST_WALKS"))
}
