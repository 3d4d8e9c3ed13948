//! Aggregation of the reports of a run's pods into the last run of a status. The result has a bounded size for any
//! number of nodes, and does not depend on their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::held::{ASK_AGAIN, Held};
use crate::daemon::RunResult;
use crate::manifest::status::{LastRun, Nodes, RefusalCount, RepositorySum, ResolvedPlugin, RunError};
use crate::report::{Brief, BriefPlugin, Planned, PlannedRepository, Totals};
use crate::text::shown;

/// Maximum number of different errors in a status.
pub(super) const ERRORS: usize = 10;
/// Maximum number of nodes that are named for each error.
const NAMES: usize = 5;
/// Maximum number of errors that are kept for one node, besides the message of its outcome.
const OF_ONE_NODE: usize = 3;
/// Maximum number of repositories in a status.
const REPOSITORIES: usize = 5;
/// Maximum number of refusal codes in a status, and of those that are kept for one node.
const CODES: (usize, usize) = (10, 16);

/// The state of one node in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeState {
    /// Name of the node; empty while the pod has none.
    pub node: String,
    /// Start and end of the run on this node, if they are known separately from other nodes.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Result of the run on this node.
    pub word: NodeResult,
}

/// The result of a run on one node.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeResult {
    /// A run that is in progress, or about to start.
    Active,
    /// A daemon that waits for the time of its first run.
    Idle,
    /// A pod that has not started, or does not keep running.
    Waiting(Held),
    /// A run that ended with a report.
    Ended(Box<NodeSummary>),
    /// A run that ended without a report, or a daemon that does not answer; the text says what is known.
    Silent(String),
}

/// The part of a node's report that is kept. A run may have thousands of reports.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSummary {
    result: RunResult,
    sums: Sums,
    errors: Box<[Box<str>]>,
    plugins: Arc<[BriefPlugin]>,
    repositories: Tally,
    refusals: Tally,
}

/// Figures by name, sorted by name.
#[derive(Clone, Debug, PartialEq)]
struct Tally {
    names: Arc<[Box<str>]>,
    /// Counts and bytes, in the order of the names.
    figures: Box<[Figures]>,
}

type Figures = (u64, u64);

impl Tally {
    fn of(figures: BTreeMap<String, Figures>) -> Self {
        let (names, figures): (Vec<Box<str>>, Vec<Figures>) =
            figures.into_iter().map(|(name, figures)| (name.into_boxed_str(), figures)).unzip();
        Self { names: names.into(), figures: figures.into() }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, Figures)> {
        self.names.iter().map(AsRef::as_ref).zip(self.figures.iter().copied())
    }

    /// Shares the names with those of another node, if both are equal.
    fn share(&mut self, other: &Self) {
        if self.names == other.names {
            self.names = Arc::clone(&other.names);
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    /// Number and bytes of removals that dry runs planned; absent without a dry run.
    planned: Option<Figures>,
    removed: u64,
    refused: u64,
    failed: u64,
    size_removed_bytes: u64,
    filesystem_freed_bytes: Option<i64>,
}

impl Sums {
    fn of(totals: &Totals) -> Self {
        Self {
            planned: None,
            removed: totals.removed.saturating_add(totals.truncated) as u64,
            refused: totals.refused.saturating_add(totals.no_longer_allowed) as u64,
            failed: totals.failed as u64,
            size_removed_bytes: totals.size_removed_bytes,
            filesystem_freed_bytes: totals.filesystem_freed_bytes,
        }
    }
}

impl NodeSummary {
    /// Keeps the relevant part of a report, after sanitizing it.
    pub fn of(brief: Brief) -> Self {
        let brief = brief.cleaned();
        let mut sums = Sums { planned: planned(&brief), ..Sums::default() };
        for totals in brief.outcome.images.iter().chain(&brief.outcome.logs) {
            sums.add(&Sums::of(totals));
        }
        let not_run = brief.outcome.message.filter(|_| brief.outcome.result != RunResult::Done);
        let errors = brief.errors.into_iter().take(OF_ONE_NODE).map(|error| error.message);
        Self {
            result: brief.outcome.result,
            sums,
            errors: errors.chain(not_run).map(String::into_boxed_str).collect(),
            plugins: brief.plugins.into(),
            repositories: Tally::of(repositories(brief.planned)),
            refusals: Tally::of(refusals(brief.refusals)),
        }
    }
}

/// Sums up the planned removals of a dry run, of images and under log roots; `None` for other runs.
fn planned(brief: &Brief) -> Option<Figures> {
    let images = brief.outcome.images.map_or(0, |totals| totals.planned);
    let logs = brief.outcome.logs.map_or(0, |totals| totals.planned);
    Some((images.saturating_add(logs) as u64, brief.planned.as_ref()?.size_bytes))
}

fn repositories(planned: Option<Planned>) -> BTreeMap<String, Figures> {
    let mut sums = BTreeMap::new();
    for PlannedRepository { name, count, size_bytes } in planned.into_iter().flat_map(|planned| planned.repositories) {
        add(sums.entry(name).or_default(), (count as u64, size_bytes));
    }
    sums
}

/// Returns the most frequent refusals of a node.
fn refusals(counts: BTreeMap<String, usize>) -> BTreeMap<String, Figures> {
    let counts = counts.into_iter().map(|(code, count)| (code, (count as u64, 0))).collect();
    most(counts, CODES.1, |(count, _)| count).into_iter().collect()
}

/// Selects the names with the largest figures, the largest first.
fn most<N: Ord>(figures: BTreeMap<N, Figures>, number: usize, of: impl Fn(Figures) -> u64 + Copy) -> Vec<(N, Figures)> {
    let mut figures: Vec<(N, Figures)> = figures.into_iter().collect();
    figures.sort_by(|one, other| of(other.1).cmp(&of(one.1)).then_with(|| one.0.cmp(&other.0)));
    figures.truncate(number);
    figures
}

fn add(sum: &mut Figures, more: Figures) {
    *sum = (sum.0.saturating_add(more.0).min(MOST), sum.1.saturating_add(more.1).min(MOST));
}

/// The largest number that Kubernetes stores.
const MOST: u64 = i64::MAX.unsigned_abs();

impl Sums {
    fn add(&mut self, more: &Self) {
        self.removed = self.removed.saturating_add(more.removed).min(MOST);
        self.refused = self.refused.saturating_add(more.refused).min(MOST);
        self.failed = self.failed.saturating_add(more.failed).min(MOST);
        self.size_removed_bytes = self.size_removed_bytes.saturating_add(more.size_removed_bytes).min(MOST);
        self.free(more.filesystem_freed_bytes);
        if let Some(more) = more.planned {
            add(self.planned.get_or_insert_default(), more);
        }
    }

    fn free(&mut self, bytes: Option<i64>) {
        if let Some(bytes) = bytes {
            self.filesystem_freed_bytes = Some(self.filesystem_freed_bytes.unwrap_or_default().saturating_add(bytes));
        }
    }
}

impl NodeState {
    /// Builds the state of a node from the termination message of its pod.
    pub fn ended(node: &str, message: &str) -> Self {
        let word = match Brief::from_message(message) {
            Ok(brief) => NodeResult::Ended(Box::new(NodeSummary::of(brief))),
            Err(_) if message.is_empty() => NodeResult::Silent("the pod ended without a report".to_owned()),
            Err(_) => NodeResult::Silent(format!("the pod ended with {}", shown(message))),
        };
        Self { node: node.to_owned(), times: None, word }
    }

    /// Returns the errors of the node, in the order of its report.
    pub fn errors(&self) -> Vec<&str> {
        match &self.word {
            NodeResult::Active | NodeResult::Idle => Vec::new(),
            NodeResult::Waiting(held) => vec![held.why()],
            NodeResult::Silent(message) => vec![message],
            NodeResult::Ended(told) => told.errors.iter().map(AsRef::as_ref).collect(),
        }
    }

    /// Shares plugins and names with another node of the run, because they are equal on nearly all nodes.
    pub fn share(&mut self, other: &Self) {
        if let (NodeResult::Ended(own), NodeResult::Ended(other)) = (&mut self.word, &other.word) {
            if own.plugins == other.plugins {
                own.plugins = Arc::clone(&other.plugins);
            }
            own.repositories.share(&other.repositories);
            own.refusals.share(&other.refusals);
        }
    }
}

/// The aggregate of the nodes of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aggregated {
    /// Counts, sums and errors. The caller sets name, phase and times.
    pub run: LastRun,
    /// Number of nodes on which the run took place by their reports, with or without failures. A BroadcastJob counts
    /// their pods as done.
    pub took_place: u32,
    /// Plugins, with the digest that most nodes loaded.
    pub plugins: Vec<ResolvedPlugin>,
    /// Plugins whose bytes differ between nodes, or are missing on some.
    pub unlike: Vec<String>,
    /// Number of nodes on which the run is in progress, without nodes that wait for their time or for their pod to
    /// start.
    pub running: u32,
    /// Number of nodes that are not stuck: all but those whose pod has not started in time.
    pub moving: u32,
    /// Number of nodes with a pod, or with a report of one.
    pub seen: u32,
    /// Delay until the next look, even if nothing changes.
    pub again: Option<SignedDuration>,
}

/// Aggregates the nodes of a run. `desired` is the number of nodes that the run is for.
pub fn aggregate<'a>(desired: u32, states: impl IntoIterator<Item = &'a NodeState>, now: Timestamp) -> Aggregated {
    let mut folding = Folding::default();
    for state in states {
        folding.add(state, now);
    }
    folding.folded(desired)
}

#[derive(Default)]
struct Folding<'a> {
    nodes: Nodes,
    running: u32,
    moving: u32,
    seen: u32,
    again: Option<SignedDuration>,
    took_place: u32,
    sums: Sums,
    errors: BTreeMap<&'a str, Vec<&'a str>>,
    /// Number of nodes by plugin and digest.
    plugins: BTreeMap<&'a str, BTreeMap<Option<&'a str>, u32>>,
    repositories: BTreeMap<&'a str, Figures>,
    refusals: BTreeMap<&'a str, Figures>,
}

impl<'a> Folding<'a> {
    fn add(&mut self, state: &'a NodeState, now: Timestamp) {
        self.seen += 1;
        let is_stuck = matches!(&state.word, NodeResult::Waiting(held) if held.patience(now).is_none());
        self.moving += u32::from(!is_stuck);
        match &state.word {
            NodeResult::Active => {
                self.nodes.active += 1;
                self.running += 1;
            }
            NodeResult::Idle => self.nodes.active += 1,
            NodeResult::Waiting(held) => self.wait(&state.node, held, now),
            NodeResult::Silent(message) => {
                self.nodes.skipped += 1;
                self.errors.entry(message).or_default().push(&state.node);
            }
            NodeResult::Ended(told) => {
                self.took_place += u32::from(told.result != RunResult::NotRun);
                match told.result {
                    RunResult::Done => self.nodes.succeeded += 1,
                    RunResult::SomeFailed | RunResult::NotRun => self.nodes.failed += 1,
                }
                self.sums.add(&told.sums);
                for message in &told.errors {
                    self.errors.entry(message).or_default().push(&state.node);
                }
                for (sums, tally) in
                    [(&mut self.repositories, &told.repositories), (&mut self.refusals, &told.refusals)]
                {
                    tally.iter().for_each(|(name, figures)| add(sums.entry(name).or_default(), figures));
                }
                for plugin in &*told.plugins {
                    let digests = self.plugins.entry(&plugin.name).or_default();
                    *digests.entry(plugin.digest.as_deref()).or_default() += 1;
                }
            }
        }
    }

    fn wait(&mut self, node: &'a str, held: &'a Held, now: Timestamp) {
        let again = held.patience(now).or_else(|| held.why.is_none().then_some(ASK_AGAIN));
        self.again = self.again.into_iter().chain(again).min();
        if held.patience(now).is_some() {
            self.nodes.active += 1;
            return;
        }
        // A daemon that ends repeatedly counts like one that does not answer.
        let count = if held.is_daemon { &mut self.nodes.skipped } else { &mut self.nodes.active };
        *count += 1;
        self.nodes.waiting += 1;
        self.errors.entry(held.why()).or_default().push(node);
    }

    fn folded(self, desired: u32) -> Aggregated {
        let Self { mut nodes, sums, took_place, running, moving, seen, again, .. } = self;
        let over = nodes.succeeded + nodes.failed + nodes.skipped;
        // Pods of nodes that have left the cluster count as well.
        nodes.desired = desired.max(over);
        nodes.active = nodes.active.max(nodes.desired - over);
        nodes.summary = summary(&nodes);
        let mut errors: Vec<(&str, Vec<&str>)> = self.errors.into_iter().collect();
        errors.sort_by(|one, other| other.1.len().cmp(&one.1.len()).then_with(|| one.0.cmp(other.0)));
        let repositories = most(self.repositories, REPOSITORIES, |(_, bytes)| bytes).into_iter();
        let refusals = most(self.refusals, CODES.0, |(count, _)| count).into_iter();
        let run = LastRun {
            nodes,
            planned: sums.planned.map(|planned| planned.0),
            size_planned_bytes: sums.planned.map(|planned| planned.1),
            planned_repositories: repositories
                .map(|(name, (count, size_bytes))| RepositorySum { name: name.to_owned(), count, size_bytes })
                .collect(),
            refusals: refusals.map(|(code, (count, _))| RefusalCount { code: code.to_owned(), count }).collect(),
            removed: sums.removed,
            refused: sums.refused,
            failed: sums.failed,
            size_removed_bytes: sums.size_removed_bytes,
            filesystem_freed_bytes: sums.filesystem_freed_bytes,
            errors: errors.into_iter().take(ERRORS).map(|(message, nodes)| node_error(message, nodes)).collect(),
            ..LastRun::default()
        };
        let unlike = self.plugins.iter().filter(|(_, digests)| digests.len() > 1 || digests.contains_key(&None));
        let unlike = unlike.map(|(name, _)| (*name).to_owned()).collect();
        let most = |digests: BTreeMap<Option<&str>, u32>| {
            digests
                .into_iter()
                .filter_map(|(digest, count)| Some((count, digest?)))
                .max()
                .map(|(_, digest)| digest.to_owned())
        };
        let plugins = self
            .plugins
            .into_iter()
            .map(|(name, digests)| ResolvedPlugin { name: name.to_owned(), digest: most(digests) });
        Aggregated { run, took_place, plugins: plugins.collect(), unlike, running, moving, seen, again }
    }
}

fn node_error(message: &str, mut nodes: Vec<&str>) -> RunError {
    nodes.sort_unstable();
    let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    let names = nodes.into_iter().filter(|name| !name.is_empty()).take(NAMES).map(str::to_owned);
    RunError { message: message.to_owned(), count, nodes: names.collect() }
}

/// Formats the numbers of succeeded and desired nodes for people.
pub(super) fn summary(nodes: &Nodes) -> String {
    format!("{}/{}", nodes.succeeded, nodes.desired)
}

#[cfg(test)]
mod tests;
