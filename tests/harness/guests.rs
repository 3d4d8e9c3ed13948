//! Plugins made for tests, compiled and assembled by this crate's build script.

use std::path::{Path, PathBuf};

/// A plugin that does whatever harm its config asks for.
pub fn misbehave() -> &'static Path {
    Path::new(env!("GUEST_MISBEHAVE"))
}

/// A plugin that looks at log directories in every way there is.
pub fn walks() -> &'static Path {
    Path::new(env!("GUEST_WALKS"))
}

/// A plugin of which the text lies in `tests/guests`, by the name of its file.
///
/// # Panics
/// When there is none of this name.
pub fn guest(name: &str) -> PathBuf {
    let path = Path::new(env!("GUESTS")).join(name).with_extension("wasm");
    assert!(path.is_file(), "there is no guest {name} in tests/guests");
    path
}
