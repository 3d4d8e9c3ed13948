//! The result of a run, and its summaries.

use holystone_core::daemon::{Outcome, RunResult};
use holystone_core::report::{Brief, LogPlanTotals, LogTotals, PlanReport, PlanTotals, Report, Totals};

use crate::error::UsageError;

/// The result of a run.
pub enum RunOutput {
    /// Its mode is not to remove anything.
    Planned(Box<PlanReport>),
    /// It has removed what it could.
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

    /// Summarises it in a sentence.
    fn remark(&self) -> Option<String> {
        match self {
            Self::Planned(_) => Some("the mode is DryRun, so nothing was removed".to_owned()),
            Self::Swept(report) => report.ending.as_ref().map(|ending| ending.message.clone()),
        }
    }

    /// Returns the part that is kept on record.
    fn outcome(&self) -> Outcome {
        let result = if self.has_failures() { RunResult::SomeFailed } else { RunResult::Done };
        Outcome { result, message: self.remark(), totals: Some(self.totals()), log_totals: self.log_totals() }
    }

    /// Shortens the report to few bytes.
    pub fn brief(&self) -> Brief {
        match self {
            Self::Planned(planned) => Brief::of_plan(planned, self.outcome()),
            Self::Swept(report) => Brief::of_report(report),
        }
    }

    /// Returns counts and sums; nothing is removed by one that only plans.
    fn totals(&self) -> Totals {
        match self {
            Self::Planned(planned) => {
                let PlanTotals { planned, refused, .. } = planned.totals;
                Totals { planned, refused, ..Totals::default() }
            }
            Self::Swept(report) => report.totals,
        }
    }

    /// Returns the same of log files, where there are log roots.
    fn log_totals(&self) -> Option<LogTotals> {
        match self {
            Self::Planned(planned) => planned.logs.as_ref().map(|logs| {
                let LogPlanTotals { planned, refused, .. } = logs.totals;
                LogTotals { planned, refused, ..LogTotals::default() }
            }),
            Self::Swept(report) => report.logs.as_ref().map(|logs| logs.totals),
        }
    }

    /// Returns the report as it is printed for programs.
    pub fn to_json(&self) -> serde_json::Value {
        // Nothing in it cannot be written.
        match self {
            Self::Planned(planned) => serde_json::to_value(planned),
            Self::Swept(report) => serde_json::to_value(report),
        }
        .unwrap_or_default()
    }
}

/// Summarises an error that kept a run from taking place.
pub fn not_run(error: &anyhow::Error) -> Brief {
    match error.downcast_ref::<UsageError>() {
        Some(UsageError::Problems { title, problems }) => Brief::not_run(title).with_errors(problems),
        _ => Brief::not_run(&format!("{error:#}")),
    }
}
