//! The results of several manifests in one call of `plan` or `run`, in order.

use holystone_agent::RunOutput;

use crate::args::OutputArguments;
use crate::exit::{self, Exit};
use crate::output;

/// A printer of results as they arrive, which also determines the exit code.
pub(crate) struct Results {
    how: OutputArguments,
    /// The expected number of results.
    length: usize,
    printed: usize,
    failed: bool,
    /// Set when failures in runs that took place do not show in the exit code.
    hides_failures: bool,
}

impl Results {
    /// Creates a printer for so many results.
    pub(crate) fn new(length: usize, how: OutputArguments) -> Self {
        Self { how, length, printed: 0, failed: false, hides_failures: false }
    }

    /// Hides failures in runs that took place from the exit code, because another report has them.
    pub(crate) fn hiding_failures(self, hides_failures: bool) -> Self {
        Self { hides_failures, ..self }
    }

    /// Prints a result. An error goes to standard error at once, and the remaining results are still printed.
    ///
    /// # Errors
    /// When the result cannot be printed; or with the error itself, if only one result is expected.
    pub(crate) fn add(&mut self, name: Option<&str>, result: anyhow::Result<RunOutput>) -> anyhow::Result<()> {
        match result {
            Ok(result) => {
                if self.printed > 0 {
                    output::separator(self.how.format)?;
                }
                output::run(&result, self.how)?;
                self.printed += 1;
                self.failed |= result.has_failures() && !self.hides_failures;
                Ok(())
            }
            Err(error) if self.length == 1 => Err(error),
            Err(error) => {
                exit::tell(&error.context(name.unwrap_or_default().to_owned()));
                self.failed = true;
                Ok(())
            }
        }
    }

    /// Returns the result of the call as a whole.
    ///
    /// # Errors
    /// When no run took place.
    pub(crate) fn end(self) -> anyhow::Result<Exit> {
        anyhow::ensure!(self.printed > 0, "none of the {} manifests came to a run", self.length);
        Ok(if self.failed { Exit::SomeFailed } else { Exit::Done })
    }
}
