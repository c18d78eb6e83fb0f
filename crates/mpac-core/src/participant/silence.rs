//! A coordinator that is not heard of (REC-05, PAR-04): after two heartbeat intervals without a COORDINATOR_STATUS it
//! counts as unavailable, until the next one.

use mpac_wire::payload::SessionInfo;
use mpac_wire::{Seconds, Timestamp};

/// The interval where the session does not name one (LIV-01).
const INTERVAL: Seconds = Seconds::whole(30);

/// When the coordinator last gave a sign of life.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pulse {
    last: Option<Timestamp>,
    /// The silence has been told of.
    told: bool,
    /// Only a coordinator that was heard with a status once is expected to go on with it.
    pub(super) once_heard: bool,
}

impl Pulse {
    /// SESSION_INFO came, with which the waiting begins. True when that ends a silence that was told of.
    pub(super) fn begin(&mut self, now: Timestamp) -> bool {
        (!self.once_heard || self.last.is_some()) && self.beat(now)
    }

    /// A status came; one about an event begins no rhythm. True when that ends a silence that was told of.
    pub(super) fn heard(&mut self, is_heartbeat: bool, now: Timestamp) -> bool {
        (is_heartbeat || !self.once_heard || self.last.is_some()) && self.beat(now)
    }

    fn beat(&mut self, now: Timestamp) -> bool {
        self.last = Some(now);
        core::mem::take(&mut self.told)
    }

    /// Whether it has been silent for strictly more than two intervals (D-012).
    pub(super) fn is_silent(&self, interval: &Seconds, now: Timestamp) -> bool {
        self.limit(interval).is_some_and(|limit| now > limit)
    }

    /// Whether that is news.
    pub(super) fn falls_silent(&mut self, interval: &Seconds, now: Timestamp) -> bool {
        let news = !self.told && self.is_silent(interval, now);
        self.told |= news;
        news
    }

    /// When the silence will be too long, unless it has been told of.
    pub(super) fn deadline(&self, interval: &Seconds) -> Option<Timestamp> {
        let limit = self.limit(interval).filter(|_| !self.told)?;
        Some(Timestamp::from_micros(limit.micros().saturating_add(1)))
    }

    fn limit(&self, interval: &Seconds) -> Option<Timestamp> {
        Some(self.last?.after(interval).after(interval))
    }
}

/// The session's `heartbeat_interval_sec`.
pub(super) fn interval(info: Option<&SessionInfo>) -> Seconds {
    let policy = info.and_then(|info| info.liveness_policy.as_ref());
    let stated = policy.and_then(|policy| policy.heartbeat_interval_sec.clone());
    stated.filter(|stated| !stated.is_zero()).unwrap_or(INTERVAL)
}
