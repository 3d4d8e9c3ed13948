//! From proposals to a plan, for what is wished beneath log roots: rail 7 for each target, and around it the rails that
//! concern the run as a whole.
//!
//! 1. A target is wished only once, by whatever path, and not once more as part of a directory.
//! 7. See [`LogGuard::judge`].
//! 6. The same plugin has wished it of the same file in enough runs in a row. It comes after rail 7, because only what
//!    has been looked at is known to be the same file: names of rotated logs go from one to the next.
//! 8. The limits of a run, which are spent only on what all other rails let through.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::{Links, LogGuard, LogRefusal, LogStep, LogTarget, Sight, Unseen};
use crate::confirmation::Wishes;
use crate::logs::LogPath;
use crate::percent;
use crate::proposal::{Proposal, Wish};

/// What looks at everything that is wished beneath log roots have found.
#[derive(Debug, Default)]
pub struct Sights {
    /// By target.
    pub targets: HashMap<LogTarget, Result<Sight, Unseen>>,
    /// How many entries there are beneath all log roots; absent when they were not, or could not be, counted.
    pub entries: Option<u64>,
}

/// What the rails made of wishes about log files and directories. Every wish is in exactly one of the two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogPlan {
    /// What will be done, in the order in which the plugins wished it.
    pub steps: Vec<LogStep>,
    /// What will not be done, and why.
    pub refusals: Vec<LogRefused>,
}

/// A wish about a log file or directory that a rail said no to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogRefused {
    /// The plugin that wished it.
    pub plugin: String,
    /// What it wished.
    pub wish: Wish,
    /// The rail that said no.
    pub refusal: LogRefusal,
    /// Which file it is, of those that count as wished in this run: see [`LogStep::key`].
    #[serde(skip)]
    pub key: Option<String>,
}

impl LogRefused {
    /// What to call the target in a message.
    pub fn name(&self) -> String {
        self.wish.target.name()
    }
}

/// What earlier wishes of the run have used up.
#[derive(Default)]
struct Tally {
    wished: HashSet<LogTarget>,
    wished_entries: u64,
    /// Files and directories that steps are about, by device and inode, and names of files that have several.
    taken: HashSet<(u64, u64)>,
    links: Links,
    /// Directories that are removed as a whole.
    directories: HashSet<LogTarget>,
    /// Directories that something in goes by itself, and that have changed by then.
    parents: HashSet<LogTarget>,
    count: u64,
    bytes: u64,
}

impl Tally {
    /// Returns whether a step is about something that another one takes already: the same file or directory, reached by another
    /// way, something in a directory that goes as a whole, or a directory that something in goes by itself.
    fn has(&self, step: &LogStep) -> bool {
        let is_whole = step.hard_links < 2 || step.target.is_directory;
        above(&step.target).any(|directory| self.directories.contains(&directory))
            || self.parents.contains(&step.target)
            || (is_whole && self.taken.contains(&step.file()))
            || self.links.is_exceeded_by(&step.links)
    }

    fn take(&mut self, step: &LogStep) {
        self.taken.insert(step.file());
        self.links.take(&step.links);
        self.parents.extend(above(&step.target));
        if step.target.is_directory {
            self.directories.insert(step.target.clone());
        }
    }
}

/// The directories that something lies in.
fn above(target: &LogTarget) -> impl Iterator<Item = LogTarget> + '_ {
    let paths = std::iter::successors(target.path.parent(), LogPath::parent);
    paths.map(|path| LogTarget { root: target.root.clone(), path, is_directory: true })
}

/// A wish that is not granted, and which file it is about if only the run as a whole is against it.
struct No(LogRefusal, Option<String>);

impl From<LogRefusal> for No {
    fn from(refusal: LogRefusal) -> Self {
        Self(refusal, None)
    }
}

impl LogGuard<'_> {
    /// Judges what the plugins wish beneath log roots, in the order given, by the looks at their targets.
    pub fn review(&self, proposals: Vec<Proposal>, mut sights: Sights, wishes: &Wishes) -> LogPlan {
        let mut plan = LogPlan::default();
        let mut tally = Tally::default();
        for proposal in proposals {
            let rejection = self.whole_proposal(&proposal, &sights, &mut tally);
            for wish in proposal.wishes {
                let judged = match &rejection {
                    Some(refusal) => Err(refusal.clone().into()),
                    None => self.grant(&proposal.plugin, &wish, &mut sights, wishes, &mut tally),
                };
                match judged {
                    Ok(step) => plan.steps.push(step),
                    Err(No(refusal, key)) => {
                        plan.refusals.push(LogRefused { plugin: proposal.plugin.clone(), wish, refusal, key });
                    }
                }
            }
        }
        plan
    }

    fn grant(
        &self,
        plugin: &str,
        wish: &Wish,
        sights: &mut Sights,
        wishes: &Wishes,
        tally: &mut Tally,
    ) -> Result<LogStep, No> {
        let target = LogTarget::of(wish)?;
        if tally.wished.contains(&target) {
            return Err(LogRefusal::Duplicate.into());
        }
        let unseen = || Err(Unseen::Failed("nobody has looked at it".to_owned()));
        let seen = sights.targets.remove(&target).unwrap_or_else(unseen);
        tally.wished.insert(target);
        let mut step = self.judge(plugin, wish, seen)?;
        if tally.has(&step) {
            return Err(LogRefusal::Duplicate.into());
        }
        let (twice, freed) = tally.links.beyond(&step.links);
        step.size_bytes = step.size_bytes.saturating_sub(twice);
        step.freeable_bytes = step.freeable_bytes.saturating_add(freed);
        let before = wishes.logs.get(plugin).and_then(|counts| counts.get(&step.key()));
        let (runs, needed) = (before.copied().unwrap_or(0).saturating_add(1), self.rails.confirmations);
        if runs < needed {
            return Err(No(LogRefusal::NotConfirmed { runs, needed }, Some(step.key())));
        }
        match self.spend(&step, tally) {
            Ok(()) => {
                tally.take(&step);
                Ok(step)
            }
            Err(refusal) => Err(No(refusal, Some(step.key()))),
        }
    }

    /// Rail 8, the share of all entries. Counts what is wished, not what the other rails would let through: it is the
    /// wish that shows a broken policy.
    fn whole_proposal(&self, proposal: &Proposal, sights: &Sights, tally: &mut Tally) -> Option<LogRefusal> {
        let limit = self.rails.limits.percent?;
        let targets: HashSet<LogTarget> = proposal.wishes.iter().filter_map(|wish| LogTarget::of(wish).ok()).collect();
        let entries = targets.iter().filter_map(|target| sights.targets.get(target)?.as_ref().ok());
        let more = entries.map(Sight::entries).fold(0, u64::saturating_add);
        if more == 0 {
            return None;
        }
        let wished = tally.wished_entries.saturating_add(more);
        let Some(all) = sights.entries else { return Some(LogRefusal::Uncounted { limit }) };
        let share = percent::rounded_up(wished, all).unwrap_or(u64::MAX);
        if share > u64::from(limit) {
            return Some(LogRefusal::OverPercent { limit, wished: share });
        }
        tally.wished_entries = wished;
        None
    }

    /// Rail 8, count and bytes: takes the step from what the run has left.
    fn spend(&self, step: &LogStep, tally: &mut Tally) -> Result<(), LogRefusal> {
        let limits = &self.rails.limits;
        let count = tally.count.saturating_add(step.entries);
        let bytes = tally.bytes.saturating_add(step.size_bytes);
        if let Some(limit) = limits.count.filter(|limit| count > *limit) {
            return Err(LogRefusal::OverCount { limit });
        }
        if let Some(limit) = limits.bytes.filter(|limit| bytes > *limit) {
            return Err(LogRefusal::OverBytes { limit });
        }
        (tally.count, tally.bytes) = (count, bytes);
        Ok(())
    }
}
