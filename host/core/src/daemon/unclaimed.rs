//! Records that daemons have left behind for deleted NodeCleanups.
//!
//! Each daemon of a cluster keeps its records in its own directory, and nothing on the node shows whether its
//! NodeCleanup still exists. Runs therefore check which daemons live. A daemon that lives holds the lock of its
//! directory. If no daemon does, a run leaves a mark with the time, which a daemon removes when it starts. A directory
//! that has carried a mark for long enough had no daemon in all that time.

use jiff::{SignedDuration, Timestamp};

/// Time without a daemon after which a directory is removed. A daemon that misses its records starts as a new one.
pub const UNCLAIMED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The decision about a directory that no daemon holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A mark with the current time.
    Mark,
    /// A wait, because the mark or the records are not old enough.
    Wait,
    /// Removal of the directory.
    Forget,
}

/// Judges a directory that no daemon holds, by the time of its mark and the last change of any of its records. If the
/// clock was ahead when the mark was made, the time starts again. Records from the future are not old.
pub fn judge(mark: Option<Timestamp>, last_change: Option<Timestamp>, now: Timestamp) -> Verdict {
    let is_old = |time: Timestamp| time.duration_until(now) >= UNCLAIMED;
    match mark {
        Some(mark) if mark <= now => {
            if is_old(mark) && last_change.is_none_or(is_old) {
                Verdict::Forget
            } else {
                Verdict::Wait
            }
        }
        _ => Verdict::Mark,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_forgotten_when_mark_and_records_are_old() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let ago = |days: i64| Some(now - SignedDuration::from_hours(days * 24));
        let almost = Some(now - UNCLAIMED + SignedDuration::from_millis(1));
        for (mark, last_change, verdict) in [
            (None, ago(400), Verdict::Mark),
            (None, None, Verdict::Mark),
            (ago(0), ago(400), Verdict::Wait),
            (ago(29), ago(400), Verdict::Wait),
            (almost, ago(400), Verdict::Wait),
            (ago(30), ago(400), Verdict::Forget),
            (ago(30), ago(30), Verdict::Forget),
            (ago(30), None, Verdict::Forget),
            (ago(30), ago(29), Verdict::Wait),
            (ago(400), almost, Verdict::Wait),
            (ago(400), ago(0), Verdict::Wait),
            (ago(400), ago(-1), Verdict::Wait),
            (ago(-1), ago(400), Verdict::Mark),
        ] {
            assert_eq!(judge(mark, last_change, now), verdict, "{mark:?} {last_change:?}");
        }
    }
}
