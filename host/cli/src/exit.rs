//! The end of the process, decided in one place.

use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use holystone_agent::UsageError;
use holystone_core::text;

/// The result of a command that did what it was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A run that took place, even if there was nothing to do or wishes were refused: 0.
    Done,
    /// A run that took place, with failed steps or plugins: 1.
    SomeFailed,
    /// A check that found problems, which the result reports: 64.
    Invalid,
}

/// The exit code of wrong usage: 64, as in BSD's sysexits.
const USAGE: u8 = 64;
/// The exit code when no run took place: 2.
const NOTHING_DONE: u8 = 2;

/// Converts the result of a command to an exit code, and prints the error, if it is one.
pub(crate) fn code(result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::SomeFailed) => ExitCode::from(1),
        Ok(Exit::Invalid) => ExitCode::from(USAGE),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            ExitCode::from(if error.is::<UsageError>() { USAGE } else { NOTHING_DONE })
        }
    }
}

/// Prints an error to standard error.
pub(crate) fn tell(error: &anyhow::Error) {
    let lines = match error.downcast_ref::<UsageError>() {
        Some(UsageError::Problems { title, problems }) => {
            let problems = problems.iter().map(|problem| format!("  {}", text::escaped(problem)));
            std::iter::once(text::escaped(title).into_owned()).chain(problems).collect::<Vec<_>>().join("\n")
        }
        _ if is_of_output(error) => text::escaped(&format!("standard output cannot be written: {error}")).into_owned(),
        _ => text::escaped(&format!("{error:#}")).into_owned(),
    };
    eprint(&format!("holystone: {lines}\n"));
}

/// Prints the help or the error of a command line that clap did not accept, and returns the exit code.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // A failed write is ignored: the terminal may be gone.
    let _ = error.print();
    if let Some(tip) = tip(error) {
        eprint(&format!("\n  tip: {tip}\n"));
    }
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Returns whether an error is one of writing results: every other one of the system names its file or socket.
fn is_of_output(error: &anyhow::Error) -> bool {
    let is_json = error.downcast_ref::<serde_json::Error>().is_some_and(serde_json::Error::is_io);
    error.chain().count() == 1 && (is_json || error.downcast_ref::<std::io::Error>().is_some())
}

/// Returns what was probably meant, where clap does not know it.
fn tip(error: &clap::Error) -> Option<String> {
    let given = match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(given) => vec![given.clone()],
        ContextValue::Strings(given) => given.clone(),
        _ => return None,
    };
    let is_plugin = |given: &String| given.starts_with("--plugin ");
    match error.kind() {
        ErrorKind::MissingRequiredArgument if given.iter().any(is_plugin) => {
            Some("name manifests with -f, or a plugin with --plugin".to_owned())
        }
        ErrorKind::UnknownArgument => {
            let file = given.first().filter(|given| is_manifest_file(given))?;
            Some(format!("manifests are named with -f: -f {}", text::shown(file)))
        }
        _ => None,
    }
}

/// Returns whether an argument is the name of a file that may hold a manifest.
fn is_manifest_file(argument: &str) -> bool {
    let extension = Path::new(argument).extension().unwrap_or_default();
    !argument.starts_with('-') && ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Returns whether the reader of the output (`head`, a pager) has stopped reading.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

fn eprint(text: &str) {
    use std::io::Write as _;

    // A failed write is ignored: the terminal may be gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
