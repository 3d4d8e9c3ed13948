//! The result of a run, and its summaries.

use holystone_core::daemon::{RunResult, RunSummary};
use holystone_core::report::{Brief, PlanReport, PlanTotals, Report, Totals};

use crate::error::UsageError;

/// The result of a run.
pub enum RunOutput {
    /// The plan of a run in the mode `DryRun`.
    Planned(Box<PlanReport>),
    /// The report of a run in the mode `Enforce`.
    Swept(Box<Report>),
}

impl RunOutput {
    /// Returns whether something failed.
    pub fn has_failures(&self) -> bool {
        match self {
            Self::Planned(planned) => planned.plugins.iter().any(|plugin| plugin.failure.is_some()),
            Self::Swept(report) => report.has_failures(),
        }
    }

    /// Explains in a sentence why nothing was removed, or why the sweep ended early; `None` otherwise.
    fn remark(&self) -> Option<String> {
        match self {
            Self::Planned(_) => Some("the mode is DryRun, so nothing was removed".to_owned()),
            Self::Swept(report) => report.ending.as_ref().map(|ending| ending.message.clone()),
        }
    }

    /// Summarises the result for the record of the run.
    fn summary(&self) -> RunSummary {
        let result = if self.has_failures() { RunResult::SomeFailed } else { RunResult::Done };
        let (images, logs) = match self {
            Self::Planned(planned) => {
                (only_planned(&planned.images.totals), planned.logs.as_ref().map(|logs| only_planned(&logs.totals)))
            }
            Self::Swept(report) => (report.images.totals, report.logs.as_ref().map(|logs| logs.totals)),
        };
        RunSummary { result, message: self.remark(), images: Some(images), logs }
    }

    /// Summarises the result in few bytes.
    pub fn brief(&self) -> Brief {
        match self {
            Self::Planned(planned) => Brief::of_plan(planned, self.summary()),
            Self::Swept(report) => Brief::of_report(report),
        }
    }

    /// Converts the result to the JSON that is printed for programs.
    pub fn to_json(&self) -> serde_json::Value {
        // Every plan and report can be serialized.
        match self {
            Self::Planned(planned) => serde_json::to_value(planned),
            Self::Swept(report) => serde_json::to_value(report),
        }
        .unwrap_or_default()
    }
}

/// Builds the totals of a run that only plans: nothing is removed.
fn only_planned(totals: &PlanTotals) -> Totals {
    let PlanTotals { planned, refused, .. } = *totals;
    Totals { planned, refused, ..Totals::default() }
}

/// Summarises an error that prevented the run.
pub fn not_run(error: &anyhow::Error) -> Brief {
    match error.downcast_ref::<UsageError>() {
        Some(UsageError::Problems { title, problems }) => Brief::not_run(title).with_errors(problems),
        _ => Brief::not_run(&format!("{error:#}")),
    }
}
