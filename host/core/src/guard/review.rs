//! From proposals to a plan: the rails that are the same for every kind, around those of the kind.
//!
//! In this order: what is not offered, what is wished twice (rail 1), the rails of the kind, what another step covers
//! already, confirmations (rail 6), and the limits of the run (rail 8), which are spent only on what all other rails let
//! through.

use std::collections::{BTreeMap, HashSet};

use super::{Kind, Limits, Operation, ParsedProposal, ParsedWish, Plan, Refusal, Refused, Step};
use crate::confirmation::Counts;
use crate::percent;
use crate::proposal::{Reason, Wish};

/// The rails of one kind, ready to judge by one look at the node.
pub(crate) trait Judge<K: Kind> {
    /// Makes a step of a wish.
    ///
    /// # Errors
    /// Returns the refusal when a rail of this kind says no.
    fn judge(
        &mut self,
        plugin: &str,
        target: &K::Target,
        operation: Operation,
        reason: &Reason,
    ) -> Result<Step<K>, Refusal<K>>;

    /// Returns what is known of a target, whatever the rails say of it.
    fn known(&self, target: &K::Target) -> Known<K>;

    /// Returns the number of entries of a target; none when it is not there.
    fn entries(&self, target: &K::Target) -> u64;

    /// Returns the number of all entries of this kind; nothing where they were not counted.
    fn all_entries(&self) -> Option<u64>;

    /// Returns whether the steps that were taken cover this one already.
    fn is_covered(&self, step: &Step<K>) -> bool;

    /// Corrects the sizes of a step by what the steps that were taken have of them.
    fn share(&self, step: &mut Step<K>);

    /// Takes a step that is in the plan.
    fn take(&mut self, step: &Step<K>);
}

/// The known facts of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known<K: Kind> {
    /// Size in bytes.
    pub(crate) size_bytes: Option<u64>,
    /// Everything else.
    pub(crate) facts: Option<K::Facts>,
    /// The identity by which wishes are counted, if every wish counts, refused or not.
    pub(crate) key: Option<String>,
}

impl<K: Kind> Default for Known<K> {
    fn default() -> Self {
        Self { size_bytes: None, facts: None, key: None }
    }
}

/// Judges the plugins' proposals, in the order given. `before` has the wishes of the runs before, by plugin.
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

/// A review, with what earlier wishes of the run have used up.
struct ReviewRun<'a, K: Kind, J> {
    judge: &'a mut J,
    limits: Limits,
    confirmations: u32,
    before: &'a BTreeMap<String, Counts>,
    wished: HashSet<K::Target>,
    /// The number of entries that were wished.
    entries: u64,
    /// The number of entries, and of bytes, that steps have.
    count: u64,
    bytes: u64,
}

/// A refusal, and the step that there would be if only the run as a whole did not object.
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

    /// Rail 8, the share of all there is. Counts what is wished, not what the other rails would let through: it is the
    /// wish that shows a broken policy.
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

    /// Rail 6.
    fn confirm(&self, step: &Step<K>) -> Result<(), Refusal<K>> {
        let before = self.before.get(step.plugin()).and_then(|counts| counts.get(&step.key()));
        let (runs, needed) = (before.copied().unwrap_or(0).saturating_add(1), self.confirmations);
        if runs < needed { Err(Refusal::NotConfirmed { runs, needed }) } else { Ok(()) }
    }

    /// Rail 8, count and bytes: takes the step from what the run has left.
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
