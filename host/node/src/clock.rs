//! The clocks of this machine. The wall clock is read once for each run; from then on time goes by the clock that counts
//! from the boot, so that nobody who sets the wall clock meanwhile makes anything older.

use holystone_core::clock::Clock as BootClock;
use jiff::{SignedDuration, Timestamp};
use rustix::time::ClockId;

/// A new id for each boot, made by the kernel.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Where a run has the time from.
#[derive(Clone, Debug)]
pub struct Clock {
    /// What the wall clock said when the run began.
    wall: Timestamp,
    /// The other clock at that time; absent where it cannot be read.
    boot: Option<BootClock>,
    /// Whether it goes on from there.
    goes_on: bool,
}

impl Clock {
    /// Reads the clocks of this machine. `built` is when this program was.
    pub fn of_this_machine(built: Timestamp) -> Self {
        let boot_id = std::fs::read_to_string(BOOT_ID).ok().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        let boot = boot_id.map(|boot_id| BootClock { boot_id, up_for: up_for(), built });
        Self { wall: Timestamp::now(), boot, goes_on: true }
    }

    /// Makes one that knows nothing but the wall clock.
    pub fn of_the_wall() -> Self {
        Self { wall: Timestamp::now(), boot: None, goes_on: true }
    }

    /// Makes a clock that stands at one time, for tests.
    pub fn standing(wall: Timestamp, boot: Option<BootClock>) -> Self {
        Self { wall, boot, goes_on: false }
    }

    /// Tells the time: that of the wall clock when the run began, and what has passed since.
    pub fn now(&self) -> Timestamp {
        let passed = self.boot.as_ref().map_or(SignedDuration::ZERO, |boot| self.passed(boot));
        match &self.boot {
            None if self.goes_on => Timestamp::now(),
            _ => self.wall.saturating_add(passed).unwrap_or(self.wall),
        }
    }

    /// Tells for how long the machine has been up, and what else there is to know of its clock.
    pub fn boot(&self) -> Option<BootClock> {
        let boot = self.boot.as_ref()?;
        Some(BootClock { up_for: boot.up_for.saturating_add(self.passed(boot)), ..boot.clone() })
    }

    fn passed(&self, boot: &BootClock) -> SignedDuration {
        if self.goes_on { up_for().saturating_sub(boot.up_for) } else { SignedDuration::ZERO }
    }
}

/// For how long the machine has been up, suspends included.
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
