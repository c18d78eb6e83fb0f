//! How fast one connection may talk: a token bucket, D-134.

use std::time::{Duration, Instant};

/// A bucket that holds `burst` tokens and gains `per_sec` of them a second; a message takes one.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Time that one token takes to come back.
    period: Duration,
    /// How far `full_at` may lie ahead: the whole bucket.
    capacity: Duration,
    /// When the bucket is full again, if nothing more is taken.
    full_at: Instant,
}

impl RateLimit {
    pub(crate) fn new(per_sec: u32, burst: u32, now: Instant) -> Self {
        let period = Duration::from_secs(1) / per_sec.max(1);
        Self { period, capacity: period * burst.max(1), full_at: now }
    }

    /// Takes a token; false when there is none.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let next = self.full_at.max(now) + self.period;
        let allowed = next <= now + self.capacity;
        if allowed {
            self.full_at = next;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_next_message_does_not() {
        let now = Instant::now();
        let mut limit = RateLimit::new(200, 400, now);
        assert!((0..400).all(|_| limit.take(now)));
        assert!(!limit.take(now));
    }

    #[test]
    fn tokens_come_back_at_the_rate_and_no_faster() {
        let start = Instant::now();
        let mut limit = RateLimit::new(200, 400, start);
        while limit.take(start) {}
        let later = start + Duration::from_secs(1);
        let passed = std::iter::repeat_with(|| limit.take(later)).take_while(|&ok| ok).count();
        assert_eq!(passed, 200);
    }

    #[test]
    fn a_long_silence_earns_no_more_than_a_burst() {
        let start = Instant::now();
        let mut limit = RateLimit::new(10, 20, start);
        let later = start + Duration::from_secs(3600);
        let passed = std::iter::repeat_with(|| limit.take(later)).take_while(|&ok| ok).count();
        assert_eq!(passed, 20);
    }
}
