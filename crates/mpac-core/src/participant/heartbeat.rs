//! When a heartbeat is due and what it says (LIV-01, LIV-19, PAR-03).

use alloc::string::String;

use mpac_wire::names::HeartbeatStatus;
use mpac_wire::payload::Heartbeat;
use mpac_wire::{Envelope, IntentId, Raw, Seconds, Timestamp};

use super::{Participant, Stamp, silence};

const SHORTEST: Seconds = Seconds::whole(1);

/// What the participant is doing, and when it last said so.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Beat {
    status: HeartbeatStatus,
    intent: Option<IntentId>,
    summary: Option<String>,
    last: Option<Timestamp>,
    /// That it is due has been told.
    told: bool,
}

impl Default for Beat {
    fn default() -> Self {
        Self { status: HeartbeatStatus::Idle, intent: None, summary: None, last: None, told: false }
    }
}

impl Beat {
    /// One was written, or SESSION_INFO came, with which the counting begins.
    pub(super) fn begin(&mut self, now: Timestamp) {
        (self.last, self.told) = (Some(now), false);
    }

    /// Whether one is due and that is news.
    pub(super) fn falls_due(&mut self, interval: &Seconds, now: Timestamp) -> bool {
        let due = !self.told && self.last.is_some_and(|last| now >= last.after(interval));
        self.told |= due;
        due
    }

    /// When the next one is due, unless that has been told.
    pub(super) fn deadline(&self, interval: &Seconds) -> Option<Timestamp> {
        self.last.filter(|_| !self.told).map(|last| last.after(interval))
    }
}

impl Participant {
    /// Seconds between two heartbeats: the session's, and never so many that two lost ones would make us unavailable
    /// (LIV-01, LIV-04).
    pub fn heartbeat_interval(&self) -> Seconds {
        let info = self.session_info();
        let policy = info.and_then(|info| info.liveness_policy.as_ref());
        let patience = policy.and_then(|policy| policy.unavailability_timeout_sec.as_ref());
        let third = patience.map(|patience| Seconds::from_micros(patience.micros() / 3));
        let stated = silence::interval(info);
        third
            .filter(|third| !third.is_zero())
            .map_or_else(|| stated.clone(), |third| third.min(stated.clone()))
            .max(SHORTEST)
    }

    /// Sets what heartbeats say. True when that is something else than before: then one is to be sent at once (PAR-03).
    pub fn set_activity(
        &mut self,
        status: HeartbeatStatus,
        intent: Option<IntentId>,
        summary: Option<String>,
    ) -> bool {
        let beat = &mut self.beat;
        let before = (&beat.status, &beat.intent, &beat.summary);
        let changed = before != (&status, &intent, &summary);
        (beat.status, beat.intent, beat.summary) = (status, intent, summary);
        changed
    }

    /// HEARTBEAT with what [`set_activity`](Self::set_activity) and [`backend_checked`](Self::backend_checked) said last.
    /// An intent that is over is not named (LIV-19).
    pub fn beat(&mut self, stamp: Stamp) -> Envelope {
        self.beat_with(stamp, None)
    }

    /// The same, with something beside it.
    pub(super) fn beat_with(&mut self, stamp: Stamp, extensions: Option<Raw>) -> Envelope {
        let intent = self.beat.intent.clone().filter(|intent| self.intents.contains_key(intent));
        let (status, summary) = (self.beat.status.clone(), self.beat.summary.clone());
        let health = self.backend_report();
        let mut heartbeat = Heartbeat::new(status);
        heartbeat.active_intent_id = intent;
        heartbeat.summary = summary;
        heartbeat.backend_health = health;
        heartbeat.extensions = extensions;
        self.write(stamp, heartbeat)
    }
}
