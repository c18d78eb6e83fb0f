//! Whether the coordinator still gives signs of life.
//!
//! A coordinator that sends COORDINATOR_STATUS `heartbeat` is expected to go on with it (REC-05). One that does not, such
//! as the Python servers, at least sends pings. After two intervals it counts as silent and is pinged, once an interval; after
//! six the connection is given up though it answers, for something else than the coordinator may be what answers.

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
    silence: Option<Silence>,
}

/// Something that should have come has not, and that was told.
#[derive(Debug, Clone)]
struct Silence {
    /// When the next ping is due.
    ping: Instant,
    /// When it has lasted too long; `None`: as long as pings are answered it has not begun.
    end: Option<Instant>,
}

/// What is to be made of it that nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    /// It has fallen silent: for how long nothing has come that should have.
    Fell(Duration),
    /// It is silent still.
    Still,
    /// For so long that it will not come back by itself.
    TooLong(Duration),
}

impl Pulse {
    /// Begins with SESSION_INFO; `interval` is the session's `heartbeat_interval_sec`.
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, frame: now, status: None, silence: None }
    }

    /// A frame came; true when it ends a silence.
    pub(super) fn beat(&mut self, is_status: bool, now: Instant) -> bool {
        self.frame = now;
        if is_status {
            self.status = Some(now);
        }
        self.limit() > now && self.silence.take().is_some()
    }

    /// When it is to be looked at, if nothing comes.
    pub(super) fn due(&self) -> Instant {
        match &self.silence {
            None => self.limit(),
            Some(silence) => silence.end.map_or(silence.ping, |end| end.min(silence.ping)),
        }
    }

    /// Nothing has come, and it is [`due`](Self::due).
    pub(super) fn missed(&mut self, now: Instant) -> Missed {
        let quiet = now - self.status.unwrap_or(self.frame);
        let ping = now + self.interval.max(PROBE.0);
        match &mut self.silence {
            None => {
                let end = self.status.map(|_| now + (self.interval * 4).max(PROBE.0));
                self.silence = Some(Silence { ping, end });
                Missed::Fell(quiet)
            }
            Some(Silence { end: Some(end), .. }) if *end <= now => Missed::TooLong(quiet),
            Some(silence) => {
                silence.ping = ping;
                Missed::Still
            }
        }
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
        assert_eq!(pulse.due(), start + 61 * SECOND);
        assert_eq!(pulse.missed(start + 61 * SECOND), Missed::Fell(60 * SECOND));
        assert!(!pulse.beat(false, start + 70 * SECOND));
        assert!(pulse.beat(true, start + 71 * SECOND));
        assert_eq!(pulse.due(), start + 131 * SECOND);
    }

    #[test]
    fn who_is_silent_is_pinged_again_and_again_and_given_up_after_six_intervals() {
        let start = Instant::now();
        let mut pulse = Pulse::new(30 * SECOND, start);
        pulse.beat(true, start);
        assert_eq!(pulse.missed(start + 60 * SECOND), Missed::Fell(60 * SECOND), "it is told once");
        for ping in [90, 120, 150] {
            assert!(!pulse.beat(false, start + (ping - 1) * SECOND), "the answer to a ping is no status");
            assert_eq!(pulse.due(), start + ping * SECOND);
            assert_eq!(pulse.missed(start + ping * SECOND), Missed::Still);
        }
        assert_eq!(pulse.due(), start + 180 * SECOND);
        assert_eq!(pulse.missed(start + 180 * SECOND), Missed::TooLong(180 * SECOND));
    }

    #[test]
    fn who_was_held_up_itself_looks_before_it_gives_up() {
        let start = Instant::now();
        let mut pulse = Pulse::new(SECOND, start);
        pulse.beat(true, start);
        assert_eq!(pulse.missed(start + 900 * SECOND), Missed::Fell(900 * SECOND));
        assert_eq!(pulse.due(), start + 902 * SECOND);
    }

    #[test]
    fn who_never_sent_a_status_is_missed_when_nothing_comes_at_all() {
        let start = Instant::now();
        let mut pulse = Pulse::new(30 * SECOND, start);
        assert_eq!(pulse.due(), start + 90 * SECOND);
        assert_eq!(pulse.missed(start + 90 * SECOND), Missed::Fell(90 * SECOND));
        assert!(pulse.beat(false, start + 100 * SECOND));
        assert_eq!(Pulse::new(SECOND, start).due(), start + QUIETEST, "pings come every 20 s");
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
