//! How fast requests may follow each other: coordinators count messages per second, and hang up on whoever sends too many.

use std::time::Duration;

use tokio::time::Instant;

/// Between two requests, in the long run. Servers of this project take 200 messages a second, if nobody has said otherwise, and
/// there are others than requests.
const EACH: Duration = Duration::from_millis(6);
/// So many may come at once before that. Servers of this project take 400.
const AT_ONCE: u32 = 256;

/// Where the requests of a session are in time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When all that was asked so far would have been, one after the other.
    even: Option<Instant>,
}

impl Pace {
    /// When the next `requests` may go out. They count as asked from then on.
    pub(super) fn next(&mut self, requests: usize, now: Instant) -> Instant {
        let even = self.even.map_or(now, |even| even.max(now));
        self.even = Some(even + EACH * u32::try_from(requests).unwrap_or(u32::MAX));
        even.checked_sub(EACH * AT_ONCE).map_or(now, |at| at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_at_once_goes_at_once_and_what_follows_has_its_time() {
        let start = Instant::now() + EACH * AT_ONCE;
        let mut pace = Pace::default();
        for _ in 0..=AT_ONCE / 32 {
            assert_eq!(pace.next(32, start), start);
        }
        assert_eq!(pace.next(32, start), start + EACH * 32);
        let later = start + EACH * 1_000;
        assert_eq!(pace.next(32, later), later, "who was idle may begin anew");
    }

    #[test]
    fn a_server_as_it_comes_takes_it() {
        let start = Instant::now() + EACH * AT_ONCE;
        let mut pace = Pace::default();
        let mut now = start;
        for sent in (0..4_000_u32).step_by(32) {
            now = pace.next(32, now);
            let allowed = 400.0 + 200.0 * (now - start).as_secs_f64();
            assert!(f64::from(sent + 32) < allowed, "{sent} after {:?}", now - start);
        }
    }
}
