//! The results of several manifests in one call of `plan` or `run`, one after the other.

use holystone_agent::RunOutput;

use crate::args::OutputArguments;
use crate::exit::{self, Exit};
use crate::output;

/// Prints results as they come, and adds up how they ended.
pub(crate) struct Results {
    how: OutputArguments,
    /// How many results there will be.
    length: usize,
    printed: usize,
    failed: bool,
    /// Whether failures in runs that took place do not show in the exit code.
    hides_failures: bool,
}

impl Results {
    /// Expects so many results.
    pub(crate) fn new(length: usize, how: OutputArguments) -> Self {
        Self { how, length, printed: 0, failed: false, hides_failures: false }
    }

    /// Leaves failures in runs that took place to another report.
    pub(crate) fn hiding_failures(self, hides_failures: bool) -> Self {
        Self { hides_failures, ..self }
    }

    /// Prints a result. If one is an error, it goes to standard error at once and the others still get their turn.
    ///
    /// # Errors
    /// When it cannot be printed; and with the error of the only one.
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

    /// Returns how the call ends as a whole.
    ///
    /// # Errors
    /// When not one run took place.
    pub(crate) fn end(self) -> anyhow::Result<Exit> {
        anyhow::ensure!(self.printed > 0, "none of the {} manifests came to a run", self.length);
        Ok(if self.failed { Exit::SomeFailed } else { Exit::Done })
    }
}
