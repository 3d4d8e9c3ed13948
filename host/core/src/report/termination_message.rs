//! Compact reports: the termination messages of pods on a node, of which Kubernetes keeps 4096 bytes.

#![allow(clippy::unnecessary_min_or_max, reason = "counts can be larger only where usize has 64 bits")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Outcome, PlanReport, PluginRun, Report, StepResult, Totals};
use crate::daemon;
use crate::guard::images::Images;
use crate::guard::{Kind, Step};
use crate::reference::Reference;
use crate::text::shown;

/// The number of bytes that Kubernetes keeps of a container's termination message.
pub const MAX_BRIEF: usize = 4096;
/// The largest count that a report may have: no node has that many images or files.
const MOST: usize = u32::MAX as usize;
/// The largest size that a report may have, 1 PiB in bytes: no node has such a disk, and Kubernetes can store the sum
/// over all nodes of a cluster.
const MOST_BYTES: i64 = 1 << 50;
/// The maximum number of plugins in a report, as many as a manifest may have.
const MOST_PLUGINS: usize = 64;
/// The maximum length of a refusal's code, in bytes.
const LONGEST_CODE: usize = 64;
/// The maximum number of repositories in a report.
const MOST_REPOSITORIES: usize = 10;

/// The result of a run on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Brief {
    /// The result in one word, with counts and sums.
    #[serde(flatten)]
    pub outcome: daemon::RunSummary,
    /// The plugins of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<BriefPlugin>,
    /// Errors, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<BriefError>,
    /// Number of refused wishes, by the code of the refusal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refusals: BTreeMap<String, usize>,
    /// The removals that a dry run planned; absent if the run was no dry run. Their number is in the totals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Planned>,
    /// True if parts were left out to fit the size limit.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shortened: bool,
}

/// The removals that a dry run planned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// Total size in bytes: of images by the runtime's figures, and of log files.
    pub size_bytes: u64,
    /// The largest repositories, the largest first; images without a name are in no repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<PlannedRepository>,
}

/// A repository with images that a run would remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRepository {
    /// Name of the repository.
    pub name: String,
    /// Number of images.
    pub count: usize,
    /// Total size of the images in bytes, by the runtime's figures.
    pub size_bytes: u64,
}

/// A plugin of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BriefPlugin {
    /// Name of the plugin.
    pub name: String,
    /// The digest of its bytes; absent if the plugin could not be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// An error, with its number of occurrences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BriefError {
    /// The error as a sentence.
    pub message: String,
    /// Number of occurrences.
    pub count: usize,
}

impl Brief {
    /// Summarizes the report of a sweep.
    pub fn of_report(report: &Report) -> Self {
        let mut errors = Errors::of_plugins(&report.plugins);
        errors.add_steps(&report.images.steps);
        errors.add_steps(report.logs.as_ref().map_or(&[], |logs| logs.steps.as_slice()));
        let result = if report.has_failures() { daemon::RunResult::SomeFailed } else { daemon::RunResult::Done };
        Self {
            outcome: daemon::RunSummary {
                result,
                message: report.ending.as_ref().map(|ending| shown(&ending.message)),
                images: Some(report.images.totals),
                logs: report.logs.as_ref().map(|logs| logs.totals),
            },
            plugins: plugins(&report.plugins),
            errors: errors.sorted(),
            refusals: counted(report.refusal_codes()),
            planned: None,
            shortened: false,
        }
    }

    /// Summarizes a dry run.
    pub fn of_plan(planned: &PlanReport, outcome: daemon::RunSummary) -> Self {
        Self {
            outcome,
            plugins: plugins(&planned.plugins),
            errors: Errors::of_plugins(&planned.plugins).sorted(),
            refusals: counted(planned.refusal_codes()),
            planned: Some(Planned::of(planned)),
            shortened: false,
        }
    }

    /// Reports a run that did not take place.
    pub fn not_run(message: &str) -> Self {
        let outcome = daemon::RunSummary {
            result: daemon::RunResult::NotRun,
            message: Some(shown(message)),
            images: None,
            logs: None,
        };
        Self::of_record(outcome)
    }

    /// Replaces the errors with these sentences.
    #[must_use]
    pub fn with_errors(self, messages: &[String]) -> Self {
        let errors = messages.iter().map(|message| BriefError { message: shown(message), count: 1 }).collect();
        Self { errors, ..self }
    }

    /// Creates a report that has only the summary of a run.
    pub fn of_record(outcome: daemon::RunSummary) -> Self {
        Self {
            outcome,
            plugins: Vec::new(),
            errors: Vec::new(),
            refusals: BTreeMap::new(),
            planned: None,
            shortened: false,
        }
    }

    /// Sanitizes a report from any writer, so that it can be stored, displayed and aggregated: escapes and shortens
    /// texts, caps numbers, plugins and repositories, and drops invalid digests and codes. Idempotent.
    #[must_use]
    pub fn cleaned(mut self) -> Self {
        self.outcome.message = self.outcome.message.map(|message| shown(&message));
        self.outcome.images.iter_mut().chain(&mut self.outcome.logs).for_each(clean_totals);
        self.plugins.truncate(MOST_PLUGINS);
        for plugin in &mut self.plugins {
            plugin.name = shown(&plugin.name);
            plugin.digest = plugin.digest.take().filter(|digest| is_digest(digest));
        }
        for error in &mut self.errors {
            error.message = shown(&error.message);
            error.count = error.count.min(MOST);
        }
        self.refusals.retain(|code, _| is_code(code));
        self.refusals.values_mut().for_each(|count| *count = (*count).min(MOST));
        self.planned = self.planned.map(Planned::cleaned);
        self
    }

    /// Writes the report as JSON of at most [`MAX_BRIEF`] bytes. As far as needed, the text omits the rarer errors and
    /// refusals and the smaller repositories, then all refusals and the plugins, then the last error and repository,
    /// then the message. Totals and the planned size stay.
    pub fn to_message(&self) -> String {
        self.fitting().to_json()
    }

    /// Returns the report without the parts that exceed [`MAX_BRIEF`] bytes.
    #[must_use]
    pub fn fitting(&self) -> Self {
        let clean = self.clone().cleaned();
        for room in Room::STEPS {
            let brief = clean.shortened(room);
            if brief.to_json().len() <= MAX_BRIEF {
                return brief;
            }
        }
        let outcome = daemon::RunSummary { message: None, ..clean.outcome };
        let planned = clean.planned.map(|planned| Planned { repositories: Vec::new(), ..planned });
        Self { planned, shortened: true, ..Self::of_record(outcome) }
    }

    fn shortened(&self, Room { errors, refusals, repositories, with_plugins }: Room) -> Self {
        let mut brief = self.clone();
        brief.errors.truncate(errors);
        if let Some(planned) = &mut brief.planned {
            planned.repositories.truncate(repositories);
        }
        let mut by_count: Vec<(String, usize)> = brief.refusals.into_iter().collect();
        by_count.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        by_count.truncate(refusals);
        brief.refusals = by_count.into_iter().collect();
        if !with_plugins {
            brief.plugins.clear();
        }
        brief.shortened |= brief != *self;
        brief
    }

    fn to_json(&self) -> String {
        // Serialization of these types cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Parses a termination message from any writer.
    ///
    /// # Errors
    /// When the text is longer than [`MAX_BRIEF`] bytes or not such a report.
    pub fn from_message(text: &str) -> Result<Self, serde_json::Error> {
        if text.len() > MAX_BRIEF {
            return Err(serde::de::Error::custom("it is longer than a termination message"));
        }
        serde_json::from_str(text).map(Self::cleaned)
    }
}

/// The maximum length of each list.
#[derive(Clone, Copy)]
struct Room {
    errors: usize,
    refusals: usize,
    repositories: usize,
    with_plugins: bool,
}

impl Room {
    /// The lengths to try, the largest first.
    const STEPS: [Self; 6] = [
        Self::new(usize::MAX, usize::MAX, MOST_REPOSITORIES, true),
        Self::new(10, 16, 5, true),
        Self::new(3, 8, 5, true),
        Self::new(1, 4, 3, true),
        Self::new(1, 0, 1, false),
        Self::new(0, 0, 0, false),
    ];

    const fn new(errors: usize, refusals: usize, repositories: usize, with_plugins: bool) -> Self {
        Self { errors, refusals, repositories, with_plugins }
    }
}

impl Planned {
    fn of(planned: &PlanReport) -> Self {
        let mut sizes: BTreeMap<String, (usize, u64)> = BTreeMap::new();
        for step in planned.image_steps() {
            if let Some(name) = repository(step) {
                let (count, size) = sizes.entry(name).or_default();
                *count += 1;
                *size = size.saturating_add(step.size_bytes());
            }
        }
        let log_bytes = planned.logs.as_ref().map_or(0, |logs| logs.totals.size_planned_bytes);
        let repositories =
            sizes.into_iter().map(|(name, (count, size_bytes))| PlannedRepository { name, count, size_bytes });
        let size_bytes = planned.images.totals.size_planned_bytes.saturating_add(log_bytes);
        Self { size_bytes, repositories: repositories.collect() }.cleaned()
    }

    /// Keeps the largest repositories, sanitizes their names and caps the numbers.
    fn cleaned(mut self) -> Self {
        self.size_bytes = self.size_bytes.min(MOST_BYTES.unsigned_abs());
        for repository in &mut self.repositories {
            repository.name = shown(&repository.name);
            repository.count = repository.count.min(MOST);
            repository.size_bytes = repository.size_bytes.min(MOST_BYTES.unsigned_abs());
        }
        self.repositories.sort_by(|one, other| {
            let size = |repository: &PlannedRepository| (repository.size_bytes, repository.count);
            size(other).cmp(&size(one)).then_with(|| one.name.cmp(&other.name))
        });
        self.repositories.truncate(MOST_REPOSITORIES);
        self
    }
}

/// Returns the repository in the first name of a step's image.
fn repository(step: &Step<Images>) -> Option<String> {
    let name = step.references().first()?;
    Some(Reference::parse(name).ok()?.repository().to_owned())
}

fn clean_totals(totals: &mut Totals) {
    let Totals {
        planned,
        removed,
        truncated,
        already_gone,
        refused,
        no_longer_allowed,
        not_needed,
        not_attempted,
        failed,
        entries,
        size_removed_bytes,
        filesystem_freed_bytes,
    } = totals;
    let rest = [not_needed, not_attempted, failed];
    for count in [planned, removed, truncated, already_gone, refused, no_longer_allowed].into_iter().chain(rest) {
        *count = (*count).min(MOST);
    }
    *entries = (*entries).min(MOST as u64);
    *size_removed_bytes = (*size_removed_bytes).min(MOST_BYTES.unsigned_abs());
    *filesystem_freed_bytes = filesystem_freed_bytes.map(|bytes| bytes.clamp(-MOST_BYTES, MOST_BYTES));
}

fn is_digest(text: &str) -> bool {
    let is_figure = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_figure))
}

fn is_code(text: &str) -> bool {
    (1..=LONGEST_CODE).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Error messages with their numbers of occurrences.
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

    fn add_steps<K: Kind>(&mut self, steps: &[StepResult<K>]) {
        for step in steps {
            match &step.outcome {
                Outcome::Failed(message) | Outcome::NotAttempted(message) => self.add(message),
                Outcome::StillListed => self.add("the runtime still lists an image after its removal"),
                _ => {}
            }
        }
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
mod tests;
