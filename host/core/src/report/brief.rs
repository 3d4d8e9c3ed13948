//! A report in few bytes: what a pod on a node ends with. Kubernetes keeps 4096 bytes of a container's last words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LogOutcome, Outcome, PlanReport, PluginRun, Report};
use crate::daemon;
use crate::text::shown;

/// How many bytes Kubernetes keeps of a container's termination message.
pub const MAX_BRIEF: usize = 4096;

/// What came of a run on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Brief {
    /// In one word, with counts and sums.
    #[serde(flatten)]
    pub outcome: daemon::Outcome,
    /// What the filesystems of the log roots gained, in bytes; of roots on one filesystem, one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_freed_bytes: Option<i64>,
    /// The plugins, as they were loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<BriefPlugin>,
    /// What failed, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<BriefError>,
    /// How many wishes each rail refused, by the codes of the refusals.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refusals: BTreeMap<String, usize>,
    /// Whether something was left out for want of room.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shortened: bool,
}

/// A plugin, as it was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BriefPlugin {
    /// Its name.
    pub name: String,
    /// The digest of its bytes, where they could be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Something that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BriefError {
    /// A sentence.
    pub message: String,
    /// How often.
    pub count: usize,
}

impl Brief {
    /// Of a run that removed what it could.
    pub fn of_report(report: &Report) -> Self {
        let mut errors = Errors::of_plugins(&report.plugins);
        for step in &report.steps {
            match &step.outcome {
                Outcome::Failed(message) | Outcome::NotAttempted(message) => errors.add(message),
                Outcome::StillListed => errors.add("the runtime still lists an image after its removal"),
                _ => {}
            }
        }
        for step in report.logs.iter().flat_map(|logs| &logs.steps) {
            if let LogOutcome::Failed(message) | LogOutcome::NotAttempted(message) = &step.outcome {
                errors.add(message);
            }
        }
        let result = if report.has_failures() { daemon::RunResult::SomeFailed } else { daemon::RunResult::Done };
        let log_refusals = report.logs.iter().flat_map(|logs| &logs.refusals).map(|refused| refused.refusal.code());
        // Roots on one filesystem have the same figure, which must not count twice.
        let mut freed: Vec<i64> =
            report.logs.iter().flat_map(|logs| logs.filesystem_freed_bytes.values().copied()).collect();
        freed.sort_unstable();
        freed.dedup();
        Self {
            outcome: daemon::Outcome {
                result,
                message: report.ending.as_ref().map(|ending| shown(&ending.message)),
                totals: Some(report.totals),
                log_totals: report.logs.as_ref().map(|logs| logs.totals),
            },
            log_freed_bytes: (!freed.is_empty())
                .then(|| freed.iter().fold(0_i64, |sum, more| sum.saturating_add(*more))),
            plugins: plugins(&report.plugins),
            errors: errors.sorted(),
            refusals: counted(report.refusals.iter().map(|refused| refused.refusal.code()).chain(log_refusals)),
            shortened: false,
        }
    }

    /// Of a run that only planned.
    pub fn of_plan(planned: &PlanReport, outcome: daemon::Outcome) -> Self {
        let log_refusals =
            planned.logs.iter().flat_map(|logs| &logs.plan.refusals).map(|refused| refused.refusal.code());
        Self {
            outcome,
            log_freed_bytes: None,
            plugins: plugins(&planned.plugins),
            errors: Errors::of_plugins(&planned.plugins).sorted(),
            refusals: counted(planned.plan.refusals.iter().map(|refused| refused.refusal.code()).chain(log_refusals)),
            shortened: false,
        }
    }

    /// Of a run that did not take place.
    pub fn not_run(message: &str) -> Self {
        let outcome = daemon::Outcome {
            result: daemon::RunResult::NotRun,
            message: Some(shown(message)),
            totals: None,
            log_totals: None,
        };
        Self::of_record(outcome)
    }

    /// With sentences that say what is wrong in detail.
    #[must_use]
    pub fn with_errors(self, messages: &[String]) -> Self {
        let errors = messages.iter().map(|message| BriefError { message: shown(message), count: 1 }).collect();
        Self { errors, ..self }
    }

    /// Of a run of which only the record is known.
    pub fn of_record(outcome: daemon::Outcome) -> Self {
        Self {
            outcome,
            log_freed_bytes: None,
            plugins: Vec::new(),
            errors: Vec::new(),
            refusals: BTreeMap::new(),
            shortened: false,
        }
    }

    /// As JSON of at most [`MAX_BRIEF`] bytes. What does not fit is left out: first the rarer errors and refusals, then
    /// all of them, then the plugins; totals stay.
    pub fn to_message(&self) -> String {
        for (errors, refusals, with_plugins) in
            [(usize::MAX, usize::MAX, true), (10, 16, true), (3, 8, true), (1, 4, true), (1, 0, false), (0, 0, false)]
        {
            let text = self.shortened(errors, refusals, with_plugins).to_json();
            if text.len() <= MAX_BRIEF {
                return text;
            }
        }
        let outcome = daemon::Outcome { message: None, ..self.outcome.clone() };
        Self { shortened: true, ..Self::of_record(outcome) }.to_json()
    }

    fn shortened(&self, errors: usize, refusals: usize, with_plugins: bool) -> Self {
        let mut brief = self.clone();
        brief.errors.truncate(errors);
        if brief.refusals.len() > refusals {
            let mut by_count: Vec<(String, usize)> = brief.refusals.into_iter().collect();
            by_count.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
            by_count.truncate(refusals);
            brief.refusals = by_count.into_iter().collect();
        }
        if !with_plugins {
            brief.plugins.clear();
        }
        brief.shortened |= brief != *self;
        brief
    }

    fn to_json(&self) -> String {
        // Nothing in it cannot be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a termination message.
    ///
    /// # Errors
    /// When it is not one of ours.
    pub fn from_message(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// Messages, counted.
#[derive(Default)]
struct Errors(BTreeMap<String, usize>);

impl Errors {
    fn of_plugins(plugins: &[PluginRun]) -> Self {
        let mut errors = Self::default();
        for plugin in plugins {
            if let Some(failure) = &plugin.failure {
                errors.add(&format!("plugin {} failed with {}: {}", plugin.name, failure.reason, failure.message));
            }
        }
        errors
    }

    fn add(&mut self, message: &str) {
        *self.0.entry(shown(message)).or_default() += 1;
    }

    fn sorted(self) -> Vec<BriefError> {
        let mut errors: Vec<BriefError> =
            self.0.into_iter().map(|(message, count)| BriefError { message, count }).collect();
        errors.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.message.cmp(&other.message)));
        errors
    }
}

fn plugins(runs: &[PluginRun]) -> Vec<BriefPlugin> {
    runs.iter().map(|run| BriefPlugin { name: run.name.clone(), digest: run.digest.clone() }).collect()
}

fn counted<'a>(codes: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for code in codes {
        *counts.entry(code.to_owned()).or_default() += 1;
    }
    counts
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{LogTotals, Totals};

    fn brief(errors: usize, refusals: usize, plugins: usize) -> Brief {
        let largest = Totals { removed: usize::MAX, size_removed_bytes: u64::MAX, ..Totals::default() };
        Brief {
            outcome: daemon::Outcome {
                result: daemon::RunResult::SomeFailed,
                message: Some(shown(&"é".repeat(500))),
                totals: Some(Totals { filesystem_freed_bytes: Some(i64::MIN), ..largest }),
                log_totals: Some(LogTotals { size_removed_bytes: u64::MAX, ..LogTotals::default() }),
            },
            log_freed_bytes: Some(i64::MIN),
            plugins: (0..plugins)
                .map(|at| BriefPlugin {
                    name: format!("plugin-{at}"),
                    digest: Some(format!("sha256:{}", "0".repeat(64))),
                })
                .collect(),
            errors: (0..errors)
                .map(|at| BriefError {
                    message: shown(&format!("{at} {}", "\"\u{1f600}".repeat(90))),
                    count: errors - at,
                })
                .collect(),
            refusals: (0..refusals).map(|at| (format!("Refusal{at}"), at)).collect(),
            shortened: false,
        }
    }

    #[test]
    fn what_fits_is_read_again_as_it_was() {
        let brief = brief(3, 5, 2);
        let text = brief.to_message();
        assert!(text.len() <= MAX_BRIEF);
        assert_eq!(Brief::from_message(&text).unwrap(), brief);
    }

    #[test]
    fn whatever_there_is_it_fits_and_the_totals_stay() {
        for (errors, refusals, plugins) in [(40, 5, 2), (4, 900, 2), (0, 0, 64), (900, 900, 64), (1, 0, 0)] {
            let whole = brief(errors, refusals, plugins);
            let text = whole.to_message();
            assert!(text.len() <= MAX_BRIEF, "{errors} {refusals} {plugins}: {}", text.len());
            let read = Brief::from_message(&text).unwrap();
            assert_eq!(
                (read.outcome.totals, read.outcome.log_totals),
                (whole.outcome.totals, whole.outcome.log_totals)
            );
            assert_eq!(read.shortened, read != whole, "it says whether something is missing");
            if plugins <= 2 && errors > 0 {
                assert_eq!(read.errors.first(), whole.errors.first(), "the most frequent error stays longest");
            }
        }
    }

    #[test]
    fn foreign_words_are_told_from_ours() {
        for text in ["", "panic", "{}", "{\"result\":\"Maybe\"}"] {
            assert!(Brief::from_message(text).is_err(), "{text}");
        }
    }
}
