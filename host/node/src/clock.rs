//! The clocks of this machine. The wall clock is read once for each run. If the time since boot is known, it is added
//! to that reading, so that setting the wall clock during a run does not change any age.

use holystone_core::clock::Clock as BootClock;
use jiff::{SignedDuration, Timestamp};
use rustix::time::ClockId;

/// The file with the id of this boot; the kernel makes a new id for each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The source of a run's time.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The time of the wall clock when the run began.
    wall: Timestamp,
    /// The boot and the time since boot, read with the wall clock; absent if unreadable or not wanted.
    boot: Option<BootClock>,
    /// True if time passes; a clock for tests stands still.
    goes_on: bool,
}

impl Clock {
    /// Reads the clocks of this machine. `built` is the build time of this program.
    pub fn of_this_machine(built: Timestamp) -> Self {
        let boot_id = std::fs::read_to_string(BOOT_ID).ok().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        let boot = boot_id.map(|boot_id| BootClock { boot_id, up_for: up_for(), built });
        Self { wall: Timestamp::now(), boot, goes_on: true }
    }

    /// Makes a clock that uses the wall clock alone, read at each call of [`Clock::now`].
    pub fn of_the_wall() -> Self {
        Self { wall: Timestamp::now(), boot: None, goes_on: true }
    }

    /// Makes a clock that stands at one time, for tests.
    pub fn standing(wall: Timestamp, boot: Option<BootClock>) -> Self {
        Self { wall, boot, goes_on: false }
    }

    /// Returns the time: the wall clock's when the run began plus the time since then, or the wall clock's now if the
    /// time since boot is unknown.
    pub fn now(&self) -> Timestamp {
        let passed = self.boot.as_ref().map_or(SignedDuration::ZERO, |boot| self.passed(boot));
        match &self.boot {
            None if self.goes_on => Timestamp::now(),
            _ => self.wall.saturating_add(passed).unwrap_or(self.wall),
        }
    }

    /// Returns the boot's id, the time since boot and the build time of this program, if the boot's id is known.
    pub fn boot(&self) -> Option<BootClock> {
        let boot = self.boot.as_ref()?;
        Some(BootClock { up_for: boot.up_for.saturating_add(self.passed(boot)), ..boot.clone() })
    }

    fn passed(&self, boot: &BootClock) -> SignedDuration {
        if self.goes_on { up_for().saturating_sub(boot.up_for) } else { SignedDuration::ZERO }
    }
}

/// Reads the time since boot, suspends included.
fn up_for() -> SignedDuration {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    SignedDuration::new(time.tv_sec, i32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_both_clocks_and_they_go_together() {
        let built = Timestamp::UNIX_EPOCH;
        let clock = Clock::of_this_machine(built);
        let (first, first_boot) = (clock.now(), clock.boot().unwrap());
        let system = std::fs::read_to_string("/proc/uptime").unwrap();
        let up: f64 = system.split(' ').next().unwrap().parse().unwrap();
        assert!((first_boot.up_for.as_secs_f64() - up).abs() < 5.0, "{} and {up}", first_boot.up_for);
        assert!(Timestamp::now().duration_since(first).abs() < SignedDuration::from_secs(5));
        assert_eq!((first_boot.built, first_boot.boot_id.len()), (built, 36));
        std::thread::sleep(std::time::Duration::from_millis(20));
        let (later, later_boot) = (clock.now(), clock.boot().unwrap());
        assert!(later > first && later_boot.up_for > first_boot.up_for);
        assert_eq!(later_boot.boot_id, first_boot.boot_id);
    }

    #[test]
    fn one_that_stands_tells_the_same_time() {
        let at = Timestamp::UNIX_EPOCH;
        let boot = BootClock { boot_id: "a".to_owned(), up_for: SignedDuration::from_secs(7), built: at };
        let clock = Clock::standing(at, Some(boot.clone()));
        assert_eq!((clock.now(), clock.boot(), Clock::standing(at, None).now()), (at, Some(boot), at));
    }
}
