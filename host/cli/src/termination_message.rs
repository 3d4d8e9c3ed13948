//! The termination message of a pod: the result of a command, in a file of few bytes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use holystone_core::report::Brief;

/// Writes the message. A failed write is only logged, because it must not turn a run into a failure.
pub(crate) fn write(path: &Path, brief: &Brief) {
    if let Err(error) = std::fs::write(path, brief.to_message()) {
        tracing::error!("--termination-message: {} cannot be written: {error}", path.display());
    }
}

/// Writes the error of a command line that cannot be parsed to the termination message that it asks for, if any.
pub(crate) fn write_usage(command_line: &[OsString], error: &clap::Error) {
    let next = |place: usize| command_line.get(place + 1).map(PathBuf::from);
    let path = command_line.iter().enumerate().find_map(|(place, argument)| match argument.to_str() {
        Some("--termination-message") => next(place),
        Some(argument) => argument.strip_prefix("--termination-message=").map(PathBuf::from),
        None => None,
    });
    if let Some(path) = path {
        let text = error.to_string();
        let sentence: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        write(&path, &Brief::not_run(&sentence.join(" ")));
    }
}
