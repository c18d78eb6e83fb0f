//! When a request to the Messages API is repeated, and after how long.

use std::time::{Duration, SystemTime};

use crate::naming::draw;

/// Where the chance in a pause comes from: 0 to 255, another one at each call. Tests give their own.
pub type Jitter = fn() -> u8;

/// A real one.
#[must_use]
pub fn random() -> u8 {
    draw().to_le_bytes()[0]
}

/// The pauses between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Attempts in all, the first one included.
    pub attempts: u32,
    /// Longest pause before the second attempt; each further one may be twice as long.
    pub first: Duration,
    /// No pause is longer than this, not even one the server asks for.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// The pause after `failed` failed attempts; `None` when it is time to give up.
    ///
    /// A pause the server asked for is kept to the letter, or not at all if it is longer than `longest`.
    /// Our own is drawn between half and all of its length (`draw` is 0 to 255), so that agents which
    /// failed together do not come back together.
    #[must_use]
    pub fn pause(&self, failed: u32, asked: Option<Duration>, draw: u8) -> Option<Duration> {
        if failed >= self.attempts {
            return None;
        }
        if let Some(asked) = asked {
            return (asked <= self.longest).then_some(asked);
        }
        let full = self.first.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(self.longest);
        Some(full / 2 + (full / 2) * u32::from(draw) / 255)
    }
}

/// 429, every 5xx (529 says overloaded), and no other status.
#[must_use]
pub fn is_passing(status: u16) -> bool {
    status == 429 || (500..600).contains(&status)
}

/// Reads a `retry-after` header: seconds, or the date at which to come again. A date that has passed is no pause at all.
#[must_use]
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    match header.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            let date = httpdate::parse_http_date(header).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_then_end() {
        let backoff = Backoff { attempts: 4, first: S, longest: S * 3 };
        let full: Vec<_> = (1..=4).map(|failed| backoff.pause(failed, None, 255)).collect();
        assert_eq!(full, [Some(S), Some(S * 2), Some(S * 3), None]);
        assert_eq!(backoff.pause(1, None, 0), Some(S / 2), "half at least");
    }

    #[test]
    fn what_the_server_asks_for_is_honoured_within_the_bound() {
        let backoff = Backoff::default();
        assert_eq!(backoff.pause(1, Some(S * 7), 9), Some(S * 7));
        assert_eq!(backoff.pause(1, Some(Duration::ZERO), 9), Some(Duration::ZERO));
        assert_eq!(backoff.pause(1, Some(S * 61), 9), None, "nobody wants to wait for an hour");
    }

    #[test]
    fn only_passing_failures_are_repeated() {
        for status in [429, 500, 503, 529] {
            assert!(is_passing(status), "{status}");
        }
        for status in [200, 400, 401, 403, 404, 413, 600] {
            assert!(!is_passing(status), "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2026 07:28:00 GMT").unwrap();
        assert_eq!(retry_after(" 2 ", now), Some(S * 2));
        assert_eq!(retry_after("0.5", now), Some(S / 2));
        assert_eq!(retry_after("Wed, 21 Oct 2026 07:28:30 GMT", now), Some(S * 30));
        assert_eq!(retry_after("Wed, 21 Oct 2026 07:27:00 GMT", now), Some(Duration::ZERO), "it has passed");
        for odd in ["", "-1", "NaN", "inf", "soon", "Wed, 99 Oct 2026 07:28:00 GMT"] {
            assert_eq!(retry_after(odd, now), None, "{odd}");
        }
    }
}
