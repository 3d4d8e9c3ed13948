//! Carrying of times from one run to the next. The stored times are those of a wall clock, which may be set, stale
//! after a boot, or wrong; an age means time that really passed. At each look, all times are therefore moved until
//! their distance from now is the elapsed time according to the time since boot, and never more than is known to have
//! passed.
//!
//! - Within one boot, the time since boot gives the elapsed time. If the wall clock differs, it was set.
//! - Across a boot, at least the time since that boot has passed. The time before it counts only once the wall clock
//!   has run for [`SETTLES`] without a jump: the clock of a machine that has just booted may be stale, or years ahead.
//!   And no more than [`BELIEVED_GAP`] of it counts: whichever clock was wrong for long, the harm is that of a day.
//! - Without a time since boot, the wall clock is the only source, and is believed unless it moved backwards.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::State;
use crate::clock::{BELIEVED_GAP, Clock, Doubt, Misdated, Reading, SETTLES, rounded};
use crate::snapshot::Snapshot;

/// The largest difference between the wall clock and the time since boot that does not count as setting the clock.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// Divisor of the elapsed time that gives the largest correction of the wall clock by slewing: 1 ms a second, twice
/// the amount that kernels allow.
const SLEW: i32 = 1_000;

/// The furthest that a clock may have been set back without a loss, if the time since boot is not known.
const SET_BACK: SignedDuration = SignedDuration::from_mins(5);

/// The start of 2024 in seconds since 1970. No Holystone wrote a state before it.
const EARLIEST: i64 = 1_704_067_200;

/// Time for which a span of wrong times is remembered.
const MISDATED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The last boot of the node, while the time between the run before it and the boot does not count yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Booted {
    /// The time of the boot, by the clock as it is now.
    pub at: Timestamp,
    /// The wall clock at the last run before the boot.
    pub after: Timestamp,
}

/// A jump ahead of the wall clock that is not believed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Jump {
    /// The size of the jump.
    pub by: SignedDuration,
    /// The time since boot when the jump was noticed; zero for a jump across the boot.
    pub up_for: SignedDuration,
}

impl State {
    /// Moves the times to the scale of the clock as it is now. Returns sentences about changes of the clock.
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

    /// Moves the times within one boot, in which the elapsed time is known.
    fn within_a_boot(&mut self, now: Timestamp, then: &Reading, here: &Clock, notices: &mut Vec<String>) {
        // The time since boot is less than before only if it was moved as well.
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
        // The clock was corrected, if it left an impossible time for a possible one.
        let corrected = then.is_wrong && now >= here.built;
        let by = self.jump.map_or(SignedDuration::ZERO, |jump| jump.by).saturating_add(shift);
        self.jump = match self.jump {
            _ if corrected || by <= TOLERANCE => None,
            Some(jump) if shift.is_negative() => Some(Jump { by, ..jump }),
            _ => Some(Jump { by, up_for: here.up_for }),
        };
    }

    /// Moves the times across a boot, since which at least the time since boot has passed.
    fn across_a_boot(&mut self, now: Timestamp, then: &Reading, here: &Clock, notices: &mut Vec<String>) {
        let gap = now.duration_since(then.wall).saturating_sub(here.up_for);
        // The times before the boot become 1 ns older, which separates them from those right after it.
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

    /// Moves the times by the wall clock alone, if the time since boot is unknown now or was at the last run.
    fn by_the_wall(&mut self, now: Timestamp, clock: Option<&Clock>, notices: &mut Vec<String>) {
        self.booted = None;
        self.jump = None;
        // This machine knows the time since boot. A state without it, dated before Holystone, is from a wrong clock.
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

    /// Believes the clock once it has run for long enough, and forgets a span of wrong times after [`MISDATED_FOR`].
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
            // Either clock may have been wrong for longer than any run looked, so no more than a day of it counts.
            let passed = at.duration_since(after).clamp(SignedDuration::ZERO, BELIEVED_GAP);
            self.map_times(|time| if time < at { later(time, -passed) } else { time });
        }
    }

    /// Returns why the wall clock is not trusted at this look, if it is not.
    pub(super) fn doubt(&self, snapshot: &Snapshot) -> Option<Doubt> {
        let here = snapshot.node.clock.as_ref()?;
        if snapshot.taken_at < here.built {
            return Some(Doubt::BeforeBuild { now: snapshot.taken_at, built: here.built });
        }
        self.jump.map(|jump| Doubt::Ahead { by: jump.by })
    }

    /// Advances the state to a later time within a run, which knows how long it took.
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

    /// Changes every time whose distance from now counts. The times of runs stay as the clock gave them.
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

/// Returns a time moved by a duration, saturated at the limits of what can be represented.
fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(time)
}
