//! The question on the terminal before anything is removed.

use std::io::{BufRead as _, Write as _};

use async_trait::async_trait;
use holystone_agent::Confirm;
use holystone_core::report::PlanReport;
use holystone_core::text;

use crate::args::OutputArguments;
use crate::output;

/// The user at the terminal, who sees the plan and answers.
pub(crate) struct Terminal;

#[async_trait]
impl Confirm for Terminal {
    async fn confirm(&self, planned: &PlanReport) -> anyhow::Result<()> {
        if planned.is_empty() {
            return Ok(());
        }
        let mut stderr = std::io::stderr();
        output::plan_to(&mut stderr, planned, OutputArguments::default())?;
        write!(stderr, "{} [y/N] ", question(planned))?;
        stderr.flush()?;
        // Standard input is read on a separate thread, so that a signal ends the run and not only the line.
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            std::io::stdin().lock().read_line(&mut answer).map(|_| answer)
        });
        match answer.await??.as_str() {
            "" => anyhow::bail!("nothing was touched: the plan was not confirmed, the input ended without an answer"),
            answer if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
            _ => anyhow::bail!("nothing was touched: the plan was not confirmed"),
        }
    }
}

fn question(planned: &PlanReport) -> String {
    let (images, logs) = (planned.image_steps().len(), planned.log_steps().len());
    let all = planned.images.entries.and_then(|all| usize::try_from(all).ok()).unwrap_or(0);
    let images = text::share(images, all, "image", "images");
    let entries = text::counted(logs, "log file or directory", "log files and directories");
    match (planned.image_steps().len(), logs) {
        (_, 0) => format!("Remove {images}?"),
        (0, _) => format!("Remove or truncate {entries}?"),
        _ => format!("Remove {images}, and remove or truncate {entries}?"),
    }
}
