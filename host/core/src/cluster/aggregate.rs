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
mod tests {
    use super::*;
    use crate::report::{BriefError, Totals};

    fn aggregate<'a>(desired: u32, states: impl IntoIterator<Item = &'a NodeState>) -> Aggregated {
        super::aggregate(desired, states, Timestamp::from_second(1_780_000_000).unwrap())
    }

    fn node(at: usize, failed: bool) -> NodeState {
        let mut brief = Brief::not_run("the runtime does not answer");
        brief.outcome.result = if failed { RunResult::SomeFailed } else { RunResult::Done };
        brief.outcome.images = Some(Totals {
            removed: 3,
            refused: 1,
            size_removed_bytes: 10,
            filesystem_freed_bytes: Some(-1),
            ..Totals::default()
        });
        brief.plugins = vec![BriefPlugin { name: "p".to_owned(), digest: Some(format!("sha256:{:064}", at % 7 / 6)) }];
        if failed {
            brief.errors =
                (0..9).map(|error| BriefError { message: format!("error {error} of {}", at % 40), count: 1 }).collect();
        }
        NodeState::ended(&format!("node-{at:05}"), &brief.to_message())
    }

    #[test]
    fn each_node_has_its_own_errors() {
        let errors =
            |message: &str| NodeState::ended("a", message).errors().into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(errors(""), ["the pod ended without a report"]);
        assert_eq!(errors("out of\nmemory"), ["the pod ended with out of\\u{a}memory"]);
        assert_eq!(
            errors(&Brief::not_run("the runtime does not answer").to_message()),
            ["the runtime does not answer"]
        );
        assert_eq!(node(3, true).errors()[..2], ["error 0 of 3", "error 1 of 3"]);
        assert_eq!(node(3, false).errors(), [""; 0]);
        for word in [NodeResult::Active, NodeResult::Idle] {
            assert_eq!(NodeState { node: String::new(), times: None, word }.errors(), [""; 0]);
        }
    }

    #[test]
    fn sums_names_and_plugins_of_all_nodes() {
        let states = [
            node(0, false),
            node(1, true),
            NodeState::ended("lost", "oom"),
            NodeState { node: String::new(), times: None, word: NodeResult::Active },
        ];
        let Aggregated { run, plugins, unlike, took_place, .. } = aggregate(6, &states);
        assert_eq!((run.nodes.desired, run.nodes.active, run.nodes.succeeded), (6, 3, 1));
        assert_eq!((run.nodes.failed, run.nodes.skipped, run.nodes.summary.as_str()), (1, 1, "1/6"));
        assert_eq!(
            (run.removed, run.refused, run.size_removed_bytes, run.filesystem_freed_bytes),
            (6, 2, 20, Some(-2))
        );
        assert_eq!(run.errors.len(), 5, "three of one node, its sentence, and the silent one: {:?}", run.errors);
        assert!(run.errors.iter().any(|error| error.message == "the pod ended with oom" && error.nodes == ["lost"]));
        assert_eq!((plugins.len(), unlike.len()), (1, 0));
        assert_eq!(took_place, 2, "something failed on one of them");
    }

    #[test]
    fn five_thousand_nodes_come_to_a_few_kilobytes_in_any_order() {
        let states: Vec<NodeState> = (0..5_000).map(|at| node(at, at % 3 == 0)).collect();
        let folded = aggregate(5_000, &states);
        let size = serde_json::to_string(&folded.run).unwrap().len();
        assert!(size < 8 << 10, "{size}");
        assert_eq!(folded, aggregate(5_000, states.iter().rev()));
        assert_eq!(folded.unlike, ["p"]);
        assert_eq!(folded.plugins[0].digest, Some(format!("sha256:{:064}", 0)), "what most nodes have");
    }

    #[test]
    fn what_was_done_beneath_log_roots_counts_beside_images() {
        let mut brief = Brief::not_run("");
        brief.outcome.result = RunResult::Done;
        brief.outcome.images = Some(Totals {
            planned: 1,
            removed: 2,
            refused: 4,
            no_longer_allowed: 8,
            failed: 16,
            size_removed_bytes: 32,
            filesystem_freed_bytes: Some(64),
            ..Totals::default()
        });
        brief.outcome.logs = Some(Totals {
            planned: 100,
            removed: 200,
            truncated: 300,
            refused: 400,
            no_longer_allowed: 500,
            failed: 600,
            size_removed_bytes: 700,
            filesystem_freed_bytes: Some(800),
            ..Totals::default()
        });
        brief.planned = Some(Planned { size_bytes: 9, repositories: Vec::new() });
        let run = aggregate(1, [&NodeState::ended("a", &brief.to_message())]).run;
        assert_eq!((run.planned, run.size_planned_bytes), (Some(101), Some(9)));
        assert_eq!((run.removed, run.refused, run.failed), (502, 912, 616));
        assert_eq!((run.size_removed_bytes, run.filesystem_freed_bytes), (732, Some(864)));
        brief.outcome.images = None;
        let run = aggregate(1, [&NodeState::ended("a", &brief.to_message())]).run;
        assert_eq!((run.planned, run.removed, run.refused, run.failed), (Some(100), 500, 900, 600));
        assert_eq!((run.size_removed_bytes, run.filesystem_freed_bytes), (700, Some(800)));
    }

    /// A node whose dry run found these: repository, images, bytes; and refused these.
    fn dry(at: usize, repositories: &[(&str, usize, u64)], refusals: &[(&str, usize)]) -> NodeState {
        let mut brief = Brief::not_run("");
        brief.outcome.result = RunResult::Done;
        let planned = repositories.iter().map(|repository| repository.1).sum();
        let refused = refusals.iter().map(|refusal| refusal.1).sum();
        brief.outcome.images = Some(Totals { planned, refused, ..Totals::default() });
        let repositories = repositories.iter().map(|(name, count, size_bytes)| PlannedRepository {
            name: (*name).to_owned(),
            count: *count,
            size_bytes: *size_bytes,
        });
        let size_bytes = repositories.clone().map(|repository| repository.size_bytes).sum();
        brief.planned = Some(Planned { size_bytes, repositories: repositories.collect() });
        brief.refusals = refusals.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect();
        NodeState::ended(&format!("node-{at:05}"), &brief.to_message())
    }

    #[test]
    fn what_dry_runs_would_remove_is_summed_by_repository_and_refusals_by_code() {
        let states = [
            dry(0, &[("a", 1, 10), ("b", 2, 300), ("c", 3, 40)], &[("InUse", 3), ("TooYoung", 1)]),
            dry(
                1,
                &[("b", 1, 100), ("c", 1, 1), ("d", 9, 41), ("e", 1, 5), ("f", 1, 5)],
                &[("InUse", 2), ("Pinned", 3)],
            ),
            node(2, false),
        ];
        for states in [states.iter().collect::<Vec<_>>(), states.iter().rev().collect()] {
            let run = aggregate(3, states).run;
            assert_eq!((run.planned, run.size_planned_bytes), (Some(19), Some(502)));
            let repositories = run.planned_repositories.iter();
            let repositories: Vec<(&str, u64, u64)> =
                repositories.map(|sum| (sum.name.as_str(), sum.count, sum.size_bytes)).collect();
            let expected = [("b", 3, 400), ("c", 4, 41), ("d", 9, 41), ("a", 1, 10), ("e", 1, 5)];
            assert_eq!(repositories, expected, "the five largest, and of those that are as large the first by name");
            let refusals: Vec<(&str, u64)> =
                run.refusals.iter().map(|refusal| (refusal.code.as_str(), refusal.count)).collect();
            assert_eq!(refusals, [("InUse", 5), ("Pinned", 3), ("TooYoung", 1)]);
            assert_eq!((run.removed, run.refused), (3, 10), "what one node removed is beside it");
        }
        let run = aggregate(1, [&node(0, false)]).run;
        assert_eq!((run.planned, run.size_planned_bytes), (None, None), "it was no dry run");
        let run = aggregate(1, [&dry(0, &[], &[])]).run;
        assert_eq!((run.planned, run.size_planned_bytes), (Some(0), Some(0)), "it was one, and found nothing");
    }

    #[test]
    fn what_dry_runs_say_is_bounded_however_much_it_is() {
        let codes: Vec<(String, usize)> = (0..40).map(|at| (format!("Code{at:02}"), at)).collect();
        let codes: Vec<(&str, usize)> = codes.iter().map(|(code, count)| (code.as_str(), *count)).collect();
        let states: Vec<NodeState> = (0..2_000)
            .map(|at| {
                let names: Vec<String> = (0..10).map(|part| format!("{at}-{part}-{}", "r".repeat(300))).collect();
                let repositories: Vec<(&str, usize, u64)> =
                    names.iter().map(|name| (name.as_str(), usize::MAX / 100, u64::MAX / 100)).collect();
                dry(at, &repositories, &codes)
            })
            .collect();
        let run = aggregate(2_000, &states).run;
        assert_eq!((run.planned_repositories.len(), run.refusals.len()), (5, 10));
        assert_eq!(run, aggregate(2_000, states.iter().rev()).run);
        let size = serde_json::to_string(&run).unwrap().len();
        assert!(size < 4 << 10, "{size}");
        assert!(run.size_planned_bytes.unwrap() <= i64::MAX.unsigned_abs());
    }

    #[test]
    fn nodes_keep_the_same_names_once() {
        let told = |state: &NodeState| match &state.word {
            NodeResult::Ended(told) => told.clone(),
            _ => panic!("{state:?}"),
        };
        let first = dry(0, &[("a", 1, 2), ("b", 1, 1)], &[("InUse", 1)]);
        for (second, shares) in [
            (dry(1, &[("b", 5, 5), ("a", 1, 1)], &[("InUse", 7)]), (true, true)),
            (dry(1, &[("b", 5, 5)], &[("InUse", 7)]), (false, true)),
            (dry(1, &[("b", 5, 5), ("a", 1, 1)], &[]), (true, false)),
        ] {
            let (mut state, whole) = (second.clone(), second);
            state.share(&first);
            let (own, other) = (told(&state), told(&first));
            let is_shared = |own: &Tally, other: &Tally| Arc::ptr_eq(&own.names, &other.names);
            let found = (is_shared(&own.repositories, &other.repositories), is_shared(&own.refusals, &other.refusals));
            assert_eq!(found, shares);
            assert_eq!(state, whole, "nothing of it is another");
        }
    }

    #[test]
    fn nodes_keep_the_same_plugins_once() {
        let plugins = |state: &NodeState| match &state.word {
            NodeResult::Ended(told) => Arc::clone(&told.plugins),
            _ => panic!("{state:?}"),
        };
        let first = node(0, false);
        for (at, is_shared) in [(1, true), (6, false)] {
            let (mut state, whole) = (node(at, true), node(at, true));
            state.share(&first);
            assert_eq!(Arc::ptr_eq(&plugins(&state), &plugins(&first)), is_shared);
            assert_eq!(state, whole, "nothing of it is another");
        }
    }

    #[test]
    fn the_largest_reports_come_to_numbers_that_kubernetes_stores() {
        let most = u64::MAX;
        let totals = serde_json::json!({
            "planned": 0, "removed": most, "alreadyGone": 0, "refused": most, "noLongerAllowed": most, "notNeeded": 0,
            "failed": most, "sizeRemovedBytes": most, "filesystemFreedBytes": i64::MAX,
        });
        let largest = serde_json::json!({ "result": "Done", "images": totals });
        let state = NodeState::ended("n", &largest.to_string());
        let run = aggregate(1, [&state]).run;
        assert_eq!((run.removed, run.refused, run.failed), (4_294_967_295, 8_589_934_590, 4_294_967_295));
        assert_eq!((run.size_removed_bytes, run.filesystem_freed_bytes), (1 << 50, Some(1 << 50)));
        let states = vec![state; 20_000];
        let run = aggregate(20_000, &states).run;
        assert_eq!((run.size_removed_bytes, run.filesystem_freed_bytes), (i64::MAX.unsigned_abs(), Some(i64::MAX)));
    }

    #[test]
    fn what_nodes_say_is_cleaned_before_it_is_kept() {
        let error = |text: &str| {
            serde_json::json!({ "result": "SomeFailed", "errors": [{ "message": text, "count": 1 }] }).to_string()
        };
        let long = NodeState::ended("a", &error(&"x".repeat(3_000)));
        let forged = NodeState::ended("b", &error("a\u{7f}b"));
        let much = NodeState::ended("c", &"y".repeat(8 << 20));
        let run = aggregate(3, [&long, &forged, &much]).run;
        let messages: Vec<(&str, &str)> =
            run.errors.iter().map(|error| (error.nodes[0].as_str(), error.message.as_str())).collect();
        let (long, much) = (format!("{}…", "x".repeat(200)), format!("the pod ended with {}…", "y".repeat(200)));
        assert_eq!(messages, [("b", "a\\u{7f}b"), ("c", much.as_str()), ("a", long.as_str())]);
        assert!(serde_json::to_string(&run).unwrap().len() < 1_500);
    }

    #[test]
    fn nodes_that_have_left_still_count() {
        let states = [node(0, false), node(1, false)];
        let nodes = aggregate(1, &states).run.nodes;
        assert_eq!((nodes.desired, nodes.active, nodes.succeeded), (2, 0, 2));
    }
}
