//! Carrying times over from one run to the next. What is stored are times of a wall clock, which is set, stale after a
//! boot, or wrong; what an age means is time that really passed. So at each look all times are moved until their
//! distance from now is what the time since boot says, and never more than is known to have passed.
//!
//! - Within one boot, the time since boot says what has passed. Where the wall clock says something else, it was set.
//! - Across a boot, at least the time since that boot has passed. What passed before it counts only once the wall clock
//!   has run for [`SETTLES`] without a jump: the clock of a machine that has just booted may be stale, or years ahead.
//!   And no more than [`BELIEVED_GAP`] of it counts: whichever clock was wrong for long, the harm is that of a day.
//! - Without a time since boot the wall clock is all there is, and is believed unless it moved backwards.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::State;
use crate::clock::{BELIEVED_GAP, Clock, Doubt, Misdated, Reading, SETTLES, rounded};
use crate::snapshot::Snapshot;

/// How far the wall clock may differ from the time since boot without having been set.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// Which part of the time that passed the wall clock may be made slower or faster by, to correct it: 1 ms a second, twice
/// of what kernels allow.
const SLEW: i32 = 1_000;

/// How far a clock may have been set back without a loss, where the time since boot is not known.
const SET_BACK: SignedDuration = SignedDuration::from_mins(5);

/// Before this, the start of 2024 in seconds since 1970, there was no Holystone to write a state.
const EARLIEST: i64 = 1_704_067_200;

/// For how long a span of wrong times is remembered.
const MISDATED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The last boot of the node, while the time between the run before it and the boot does not count yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Booted {
    /// When the node booted, by the clock as it is now.
    pub at: Timestamp,
    /// What the clock had said at the last run before.
    pub after: Timestamp,
}

/// A jump ahead of the wall clock that is not believed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Jump {
    /// By how much.
    pub by: SignedDuration,
    /// For how long the node had been up when it was noticed.
    pub up_for: SignedDuration,
}

impl State {
    /// Moves all times to the scale of the clock as it is now. Answers what happened to it.
    pub(super) fn follow(&mut self, now: Timestamp, clock: Option<&Clock>) -> Vec<String> {
        let mut notices = Vec::new();
        match (self.clock.take(), clock) {
            _ if self.since.is_none() => {}
            (Some(then), Some(here)) if then.boot_id == here.boot_id => {
                self.within_a_boot(now, &then, here, &mut notices);
            }
            (Some(then), Some(here)) => self.across_a_boot(now, &then, here, &mut notices),
            _ => self.by_the_wall(now, clock, &mut notices),
        }
        self.map_times(|time| time.min(now));
        self.written_at = now;
        self.clock = clock.map(|here| Reading {
            wall: now,
            boot_id: here.boot_id.clone(),
            up_for: here.up_for,
            is_wrong: now < here.built,
        });
        if let Some(here) = clock {
            self.settle(now, here);
            if now < here.built {
                let doubt = Doubt::BeforeBuild { now, built: here.built };
                notices.push(format!("{doubt}: nothing is removed by age until it is set"));
            }
        }
        notices
    }

    /// The node has not been booted since: what has passed is known.
    fn within_a_boot(&mut self, now: Timestamp, then: &Reading, here: &Clock, notices: &mut Vec<String>) {
        // Less than before only where somebody moves the time since boot as well.
        let passed = here.up_for.saturating_sub(then.up_for).max(SignedDuration::ZERO);
        let shift = now.duration_since(then.wall).saturating_sub(passed);
        if shift.abs() <= TOLERANCE.saturating_add(passed / SLEW) {
            return;
        }
        self.shift(shift);
        let by = rounded(shift.abs());
        let direction = if shift.is_positive() { "ahead" } else { "back" };
        notices.push(format!(
            "the clock was set {direction} by {by:#} since the last run: ages are of the time that really passed"
        ));
        if shift.is_positive() {
            let until = later(then.wall, passed);
            self.misdated = Some(Misdated { from: later(then.wall, -then.up_for), until, noticed_at: now });
        }
        // From a time that cannot be to one that can: it was put right.
        let corrected = then.is_wrong && now >= here.built;
        let by = self.jump.map_or(SignedDuration::ZERO, |jump| jump.by).saturating_add(shift);
        self.jump = match self.jump {
            _ if corrected || by <= TOLERANCE => None,
            Some(jump) if shift.is_negative() => Some(Jump { by, ..jump }),
            _ => Some(Jump { by, up_for: here.up_for }),
        };
    }

    /// The node has been booted since: at least the time since then has passed.
    fn across_a_boot(&mut self, now: Timestamp, then: &Reading, here: &Clock, notices: &mut Vec<String>) {
        let gap = now.duration_since(then.wall).saturating_sub(here.up_for);
        // By a hair more, so that what was before the boot can be told from what came right after it.
        self.shift(gap.saturating_sub(SignedDuration::from_nanos(1)));
        let was_settled = self.jump.is_none() && then.up_for >= SETTLES && !then.is_wrong;
        self.booted = was_settled.then(|| Booted { at: later(now, -here.up_for), after: then.wall });
        self.jump = None;
        if gap < -TOLERANCE {
            notices.push(format!(
                "the clock was set back over a boot of this node, by at least {:#}: ages count the time since the boot",
                rounded(gap.abs())
            ));
        } else if gap > BELIEVED_GAP && !then.is_wrong {
            self.jump = Some(Jump { by: gap, up_for: SignedDuration::ZERO });
            if here.up_for < SETTLES {
                notices.push(format!(
                    "the clock is {:#} ahead of the last run before this boot: that is not believed before the node has been up for {SETTLES:#}",
                    rounded(gap)
                ));
            }
        }
    }

    /// Only the wall clock is known, of then or of now.
    fn by_the_wall(&mut self, now: Timestamp, clock: Option<&Clock>, notices: &mut Vec<String>) {
        self.booted = None;
        self.jump = None;
        // Of a machine that knows the time since boot, the clock is not believed unseen.
        self.losing |= clock.is_some() && self.written_at.as_second() < EARLIEST;
        let back = self.written_at.duration_since(now);
        if back.is_positive() {
            self.shift(-back);
            self.losing |= back > SET_BACK;
            let by = rounded(back);
            notices.push(format!(
                "the state was written {by:#} in the future of this node's clock: ages are those of then"
            ));
        }
    }

    /// Believes the clock, once it has run for long enough.
    fn settle(&mut self, now: Timestamp, here: &Clock) {
        if self.jump.is_some_and(|jump| here.up_for.saturating_sub(jump.up_for) >= SETTLES) {
            self.jump = None;
        }
        if self.misdated.is_some_and(|span| now.duration_since(span.noticed_at) >= MISDATED_FOR) {
            self.misdated = None;
        }
        if self.jump.is_some() || here.up_for < SETTLES || now < here.built {
            return;
        }
        if let Some(Booted { at, after }) = self.booted.take() {
            // Either clock may have been wrong for longer than anybody looked, so no more than a day of it counts.
            let passed = at.duration_since(after).clamp(SignedDuration::ZERO, BELIEVED_GAP);
            self.map_times(|time| if time < at { later(time, -passed) } else { time });
        }
    }

    /// Why the wall clock is not trusted at this look, if it is not.
    pub(super) fn doubt(&self, snapshot: &Snapshot) -> Option<Doubt> {
        let here = snapshot.node.clock.as_ref()?;
        if snapshot.taken_at < here.built {
            return Some(Doubt::BeforeBuild { now: snapshot.taken_at, built: here.built });
        }
        self.jump.map(|jump| Doubt::Ahead { by: jump.by })
    }

    /// Moves on within a run, which knows how long it took.
    pub(super) fn advance_to(&mut self, time: Timestamp) {
        let passed = time.duration_since(self.written_at);
        if passed.is_positive() {
            self.written_at = time;
            if let Some(clock) = &mut self.clock {
                clock.wall = time;
                clock.up_for = clock.up_for.saturating_add(passed);
            }
        }
    }

    fn shift(&mut self, by: SignedDuration) {
        self.map_times(|time| later(time, by));
    }

    /// Changes every time whose distance from now counts. Those of runs are as the clock said them.
    pub(super) fn map_times(&mut self, change: impl Fn(Timestamp) -> Timestamp) {
        let some = |time: &mut Option<Timestamp>| *time = time.map(&change);
        some(&mut self.since);
        some(&mut self.lost);
        for seen in self.images.values_mut() {
            seen.first = change(seen.first);
            some(&mut seen.used);
        }
        if let Some(pods) = &mut self.pods {
            pods.last = change(pods.last);
            some(&mut pods.none_since);
        }
        for counts in &mut self.confirmations {
            counts.counted_at = change(counts.counted_at);
        }
        for kept in self.removals.kept.values_mut() {
            kept.since = change(kept.since);
        }
        if let Some(booted) = &mut self.booted {
            booted.at = change(booted.at);
        }
        if let Some(misdated) = &mut self.misdated {
            misdated.noticed_at = change(misdated.noticed_at);
        }
    }
}

/// A time moved by a duration, which stays within what can be written.
fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(time)
}
