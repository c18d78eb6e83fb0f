//! How often heartbeats are due, by what the session says.

use std::time::Duration;

use mpac_wire::Seconds;
use mpac_wire::payload::session::SessionInfo;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// The interval when the session does not name one.
pub(super) const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(30);
const HEARTBEAT_SHORTEST: Duration = Duration::from_secs(1);
/// Adding it to a clock is safe, and nobody waits longer.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) fn timer(interval: Duration) -> Interval {
    let mut timer = tokio::time::interval_at(Instant::now() + interval, interval);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// The session's `heartbeat_interval_sec`, or its default.
pub(super) fn stated_interval(info: &SessionInfo) -> Duration {
    let policy = info.liveness_policy.as_ref();
    positive(policy.and_then(|policy| policy.heartbeat_interval_sec.as_ref())).unwrap_or(HEARTBEAT_DEFAULT)
}

/// The session's interval, and never so long that two in a row would make us unavailable (LIV-01, LIV-04).
pub(super) fn heartbeat_interval(info: &SessionInfo) -> Duration {
    let policy = info.liveness_policy.as_ref();
    let patience = positive(policy.and_then(|policy| policy.unavailability_timeout_sec.as_ref()));
    let interval = stated_interval(info);
    patience.map_or(interval, |patience| interval.min(patience / 3)).max(HEARTBEAT_SHORTEST)
}

/// No more than [`LONGEST`].
fn positive(seconds: Option<&Seconds>) -> Option<Duration> {
    let micros = u64::try_from(seconds?.micros()).ok().filter(|micros| *micros > 0)?;
    Some(Duration::from_micros(micros).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(policy: &str) -> SessionInfo {
        let text = format!(
            r#"{{"session_id":"s","protocol_version":"0.1.13","security_profile":"open","compliance_profile":"core","watermark_kind":"lamport_clock","state_ref_format":"sha256","granted_roles":[]{policy}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn heartbeats_follow_the_session_and_stay_below_its_patience() {
        let interval = |policy: &str| heartbeat_interval(&info(policy)).as_secs_f64();
        assert_eq!(interval(""), 30.0);
        assert_eq!(interval(r#","liveness_policy":{"heartbeat_interval_sec":5.0}"#), 5.0);
        assert_eq!(
            interval(r#","liveness_policy":{"heartbeat_interval_sec":30,"unavailability_timeout_sec":15}"#),
            5.0
        );
        assert_eq!(interval(r#","liveness_policy":{"heartbeat_interval_sec":0}"#), 30.0);
        assert_eq!(interval(r#","liveness_policy":{"unavailability_timeout_sec":0.5}"#), 1.0);
    }
}
