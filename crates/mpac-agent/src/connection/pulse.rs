//! Whether the coordinator still gives signs of life.
//!
//! A coordinator that sends COORDINATOR_STATUS `heartbeat` is expected to go on with it (REC-05). One that does not, such
//! as the Python servers, at least sends pings.

use std::time::Duration;

use tokio::time::Instant;

/// Servers ping every 20 s; three of these may get lost, whatever the session's interval is.
const QUIETEST: Duration = Duration::from_secs(60);

/// The shortest and the longest wait for the answer to a ping.
const PROBE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

/// What was heard, and when.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    interval: Duration,
    frame: Instant,
    status: Option<Instant>,
    silent: bool,
}

impl Pulse {
    /// Begins with SESSION_INFO; `interval` is the session's `heartbeat_interval_sec`.
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, frame: now, status: None, silent: false }
    }

    /// A frame came; true when it ends a silence.
    pub(super) fn beat(&mut self, is_status: bool, now: Instant) -> bool {
        self.frame = now;
        if is_status {
            self.status = Some(now);
        }
        let back = self.silent && self.limit() > now;
        self.silent &= !back;
        back
    }

    /// When the silence would be too long; `None` while it has been called so already.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.silent).then(|| self.limit())
    }

    /// It is too long: for how long nothing has come that should have.
    pub(super) fn missed(&mut self, now: Instant) -> Duration {
        self.silent = true;
        let quiet = now - self.frame;
        self.status.map_or(quiet, |status| now - status)
    }

    /// How long a coordinator that fell silent may take to answer a ping, before the connection counts as broken: one that
    /// is only slow answers in the meantime, and a way that is cut never does.
    pub(super) fn patience(&self) -> Duration {
        (self.interval * 2).clamp(PROBE.0, PROBE.1)
    }

    fn limit(&self) -> Instant {
        let frames = self.frame + (self.interval * 3).max(QUIETEST);
        self.status.map_or(frames, |status| frames.min(status + self.interval * 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn two_intervals_without_a_status_are_too_long_once_there_was_one() {
        let start = Instant::now();
        let mut pulse = Pulse::new(30 * SECOND, start);
        assert!(!pulse.beat(true, start + SECOND));
        assert!(!pulse.beat(false, start + 50 * SECOND), "another frame is no status");
        assert_eq!(pulse.due(), Some(start + 61 * SECOND));
        assert_eq!(pulse.missed(start + 61 * SECOND), 60 * SECOND);
        assert_eq!(pulse.due(), None, "it is told once");
        assert!(!pulse.beat(false, start + 70 * SECOND));
        assert!(pulse.beat(true, start + 71 * SECOND));
        assert_eq!(pulse.due(), Some(start + 131 * SECOND));
    }

    #[test]
    fn who_never_sent_a_status_is_missed_when_nothing_comes_at_all() {
        let start = Instant::now();
        let mut pulse = Pulse::new(30 * SECOND, start);
        assert_eq!(pulse.due(), Some(start + 90 * SECOND));
        assert_eq!(pulse.missed(start + 90 * SECOND), 90 * SECOND);
        assert!(pulse.beat(false, start + 100 * SECOND));
        assert_eq!(Pulse::new(SECOND, start).due(), Some(start + QUIETEST), "pings come every 20 s");
    }

    #[test]
    fn a_ping_is_waited_for_as_the_session_s_rhythm_suggests_and_neither_for_ever_nor_for_a_moment() {
        for (interval, patience) in
            [(SECOND / 10, 2 * SECOND), (3 * SECOND, 6 * SECOND), (30 * SECOND, 10 * SECOND)]
        {
            assert_eq!(Pulse::new(interval, Instant::now()).patience(), patience);
        }
    }
}
