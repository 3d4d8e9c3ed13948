//! The review of proposals into a plan: the rails that are the same for every kind, around those of the kind.
//!
//! For each proposal, the share of all entries comes first (rail 8). For each wish, the order is then: targets that
//! cannot be parsed, operations that are not offered and targets proposed twice (rail 1), the rails of the kind,
//! targets that another step covers already (rail 1), confirmations (rail 6), and the limits of the run (rail 8).
//! These limits are spent only on steps that all other rails approve.

use std::collections::{BTreeMap, HashSet};

use super::{Kind, Limits, Operation, ParsedProposal, ParsedWish, Plan, Refusal, Refused, Step};
use crate::confirmation::Counts;
use crate::percent;
use crate::proposal::{Reason, Wish};

/// The rails of one kind, prepared for one state of the node.
pub(crate) trait Judge<K: Kind> {
    /// Makes a step from a wish.
    ///
    /// # Errors
    /// Returns the refusal if a rail of this kind refuses.
    fn judge(
        &mut self,
        plugin: &str,
        target: &K::Target,
        operation: Operation,
        reason: &Reason,
    ) -> Result<Step<K>, Refusal<K>>;

    /// Returns the known facts of a target, regardless of the rails.
    fn known(&self, target: &K::Target) -> Known<K>;

    /// Returns the number of entries of a target; 0 if it does not exist.
    fn entries(&self, target: &K::Target) -> u64;

    /// Returns the number of all entries of this kind; `None` if they were not counted.
    fn all_entries(&self) -> Option<u64>;

    /// Returns whether the plan's earlier steps cover this one already.
    fn is_covered(&self, step: &Step<K>) -> bool;

    /// Corrects the sizes of a step for files that it shares with the plan's earlier steps.
    fn share(&self, step: &mut Step<K>);

    /// Records a step that is in the plan.
    fn take(&mut self, step: &Step<K>);
}

/// The known facts of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known<K: Kind> {
    /// Size in bytes.
    pub(crate) size_bytes: Option<u64>,
    /// All other facts.
    pub(crate) facts: Option<K::Facts>,
    /// The identity by which wishes are counted, if every wish of this kind counts, even a refused one.
    pub(crate) key: Option<String>,
}

impl<K: Kind> Default for Known<K> {
    fn default() -> Self {
        Self { size_bytes: None, facts: None, key: None }
    }
}

/// Judges the plugins' proposals, in the order given. `before` holds the wishes of earlier runs, by plugin.
pub(crate) fn review<K: Kind>(
    judge: &mut impl Judge<K>,
    proposals: Vec<ParsedProposal<K>>,
    (limits, confirmations): (Limits, u32),
    before: &BTreeMap<String, Counts>,
) -> Plan<K> {
    let run =
        ReviewRun { judge, limits, confirmations, before, wished: HashSet::new(), entries: 0, count: 0, bytes: 0 };
    run.review(proposals)
}

/// A review in progress, with the part of the limits that earlier wishes have used.
struct ReviewRun<'a, K: Kind, J> {
    judge: &'a mut J,
    limits: Limits,
    confirmations: u32,
    before: &'a BTreeMap<String, Counts>,
    wished: HashSet<K::Target>,
    /// The number of proposed entries, without those of rejected proposals.
    entries: u64,
    /// The numbers of entries and bytes in the plan's steps.
    count: u64,
    bytes: u64,
}

/// A refusal, and the step that all rails but those of the run as a whole (6 and 8) approved.
struct Rejection<K: Kind>(Refusal<K>, Option<Step<K>>);

impl<K: Kind> From<Refusal<K>> for Rejection<K> {
    fn from(refusal: Refusal<K>) -> Self {
        Self(refusal, None)
    }
}

impl<K: Kind, J: Judge<K>> ReviewRun<'_, K, J> {
    fn review(mut self, proposals: Vec<ParsedProposal<K>>) -> Plan<K> {
        let mut plan = Plan::default();
        for proposal in proposals {
            let whole = self.whole_proposal(&proposal);
            for ParsedWish { wish, target } in proposal.wishes {
                let granted = match (&whole, &target) {
                    (Err(refusal), _) | (Ok(()), Err(refusal)) => Err(refusal.clone().into()),
                    (Ok(()), Ok(target)) => self.grant(&proposal.plugin, target, &wish),
                };
                match granted {
                    Ok(step) => plan.steps.push(step),
                    Err(rejection) => plan.refusals.push(self.refused(&proposal.plugin, wish, target.ok(), rejection)),
                }
            }
        }
        plan
    }

    fn grant(&mut self, plugin: &str, target: &K::Target, wish: &Wish) -> Result<Step<K>, Rejection<K>> {
        let operation = K::operation(target, wish.verb).ok_or(Refusal::NotOffered)?;
        if !self.wished.insert(target.clone()) {
            return Err(Refusal::Duplicate.into());
        }
        let mut step = self.judge.judge(plugin, target, operation, &wish.reason)?;
        if self.judge.is_covered(&step) {
            return Err(Refusal::Duplicate.into());
        }
        self.judge.share(&mut step);
        match self.confirm(&step).and_then(|()| self.spend(&step)) {
            Ok(()) => {
                self.judge.take(&step);
                Ok(step)
            }
            Err(refusal) => Err(Rejection(refusal, Some(step))),
        }
    }

    /// Checks the share of all entries (rail 8). All proposed entries count, including those that other rails refuse:
    /// the size of the proposal itself shows a broken policy.
    fn whole_proposal(&mut self, proposal: &ParsedProposal<K>) -> Result<(), Refusal<K>> {
        let Some(limit) = self.limits.percent else { return Ok(()) };
        let targets: HashSet<&K::Target> = proposal.targets().filter(|target| !self.wished.contains(*target)).collect();
        let more = targets.into_iter().map(|target| self.judge.entries(target)).fold(0, u64::saturating_add);
        if more == 0 {
            return Ok(());
        }
        let entries = self.entries.saturating_add(more);
        let all = self.judge.all_entries().ok_or(Refusal::Uncounted { limit })?;
        let wished = percent::rounded_up(entries, all).unwrap_or(u64::MAX);
        if wished > u64::from(limit) {
            return Err(Refusal::OverPercent { limit, wished });
        }
        self.entries = entries;
        Ok(())
    }

    /// Checks the confirmations (rail 6).
    fn confirm(&self, step: &Step<K>) -> Result<(), Refusal<K>> {
        let before = self.before.get(step.plugin()).and_then(|counts| counts.get(&step.key()));
        let (runs, needed) = (before.copied().unwrap_or(0).saturating_add(1), self.confirmations);
        if runs < needed { Err(Refusal::NotConfirmed { runs, needed }) } else { Ok(()) }
    }

    /// Checks the limits of count and bytes (rail 8), and deducts the step from the rest of the run's limits.
    fn spend(&mut self, step: &Step<K>) -> Result<(), Refusal<K>> {
        let count = self.count.saturating_add(step.entries());
        let bytes = self.bytes.saturating_add(step.size_bytes());
        if let Some(limit) = self.limits.count.filter(|limit| count > *limit) {
            return Err(Refusal::OverCount { limit });
        }
        if let Some(limit) = self.limits.bytes.filter(|limit| bytes > *limit) {
            return Err(Refusal::OverBytes { limit });
        }
        (self.count, self.bytes) = (count, bytes);
        Ok(())
    }

    fn refused(
        &self,
        plugin: &str,
        wish: Wish,
        target: Option<K::Target>,
        Rejection(refusal, step): Rejection<K>,
    ) -> Refused<K> {
        let known = target.as_ref().map(|target| self.judge.known(target)).unwrap_or_default();
        let name = match target.zip(known.facts.as_ref()) {
            Some((target, facts)) => K::name(&target, facts),
            None => wish.target.name(),
        };
        let key = known.key.or_else(|| Some(step?.key()));
        let (plugin, size_bytes, facts) = (plugin.to_owned(), known.size_bytes, known.facts);
        Refused { plugin, wish, name, size_bytes, facts, refusal, key }
    }
}
