//! The one place that reads the time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mpac_wire::Timestamp;

static CLOCK: Mutex<Clock> = Mutex::new(Clock { reached: None });

/// Now, in the core's unit. Goes on whatever becomes of the system clock (D-011).
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    CLOCK.lock().unwrap_or_else(PoisonError::into_inner).read(wall, Instant::now())
}

/// How long from `now` until `at`; nothing when it is past.
pub(crate) fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(at.since(now).micros()).unwrap_or_default())
}

/// Wall time that is never set back: while the system clock is behind, time passes at the monotonic clock's pace.
///
/// Forward it follows the system clock, so that the hours a machine slept count.
#[derive(Debug)]
struct Clock {
    /// When the system clock was last ahead, by both clocks.
    reached: Option<(Timestamp, Instant)>,
}

impl Clock {
    fn read(&mut self, wall: Timestamp, instant: Instant) -> Timestamp {
        if let Some((base, at)) = self.reached {
            let passed = i64::try_from(instant.saturating_duration_since(at).as_micros()).unwrap_or(i64::MAX);
            let steady = Timestamp::from_micros(base.micros().saturating_add(passed));
            if wall <= steady {
                return steady;
            }
        }
        self.reached = Some((wall, instant));
        wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// What a clock that began at (1000 s, 0 s) reads, system and monotonic clock in seconds.
    fn read(readings: &[(i64, u64)]) -> Vec<i64> {
        let start = Instant::now();
        let mut clock = Clock { reached: None };
        let mut at = |(wall, passed): (i64, u64)| {
            let wall = Timestamp::from_micros(wall * SECOND);
            clock.read(wall, start + Duration::from_secs(passed)).micros() / SECOND
        };
        at((1000, 0));
        readings.iter().copied().map(at).collect()
    }

    #[test]
    fn time_goes_on_when_the_system_clock_is_set_back_until_it_is_overtaken() {
        assert_eq!(
            read(&[(1010, 10), (410, 10), (411, 11), (500, 100), (2000, 101)]),
            [1010, 1010, 1011, 1100, 2000]
        );
    }

    #[test]
    fn the_hours_a_machine_slept_count() {
        assert_eq!(read(&[(8200, 1), (8201, 2)]), [8200, 8201]);
    }
}
