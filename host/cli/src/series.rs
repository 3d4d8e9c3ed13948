//! One result after the other: what several manifests come to in one call of `plan` or `run`.

use crate::args::OutputArguments;
use crate::exit::{self, Exit};
use crate::output;
use crate::policy::Policy;

/// Prints results as they come, and adds up how they ended.
pub(crate) struct Series {
    output: OutputArguments,
    /// How many results there will be.
    length: usize,
    printed: usize,
    failed: bool,
}

impl Series {
    /// Of so many results.
    pub(crate) fn new(length: usize, output: OutputArguments) -> Self {
        Self { output, length, printed: 0, failed: false }
    }

    /// Prints a result. The error of one does not keep the others from their turn: it is told at once.
    ///
    /// # Errors
    /// When it cannot be printed; and with the error of the only one.
    pub(crate) fn add<T>(
        &mut self,
        policy: &Policy,
        result: anyhow::Result<T>,
        print: impl FnOnce(&T, OutputArguments) -> anyhow::Result<()>,
        has_failures: impl FnOnce(&T) -> bool,
    ) -> anyhow::Result<()> {
        match result {
            Ok(result) => {
                if self.printed > 0 {
                    output::separator(self.output.format)?;
                }
                print(&result, self.output)?;
                self.printed += 1;
                self.failed |= has_failures(&result);
                Ok(())
            }
            Err(error) if self.length == 1 => Err(error),
            Err(error) => {
                exit::tell(&error.context(policy.name.clone().unwrap_or_default()));
                self.failed = true;
                Ok(())
            }
        }
    }

    /// How it ends as a whole.
    ///
    /// # Errors
    /// When not one run took place.
    pub(crate) fn end(self) -> anyhow::Result<Exit> {
        anyhow::ensure!(self.printed > 0, "none of the {} manifests came to a run", self.length);
        Ok(if self.failed { Exit::SomeFailed } else { Exit::Done })
    }
}
