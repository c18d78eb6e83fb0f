//! Time as the host tells it, and what falls due.

use alloc::vec::Vec;

use mpac_wire::Timestamp;

use super::news::News;
use super::{Participant, silence};

impl Participant {
    /// Time has passed: what fell due. To be called at [`next_deadline`](Self::next_deadline), and harmless at any time.
    pub fn wake(&mut self, now: Timestamp) -> Vec<News> {
        self.time_is(now);
        if self.closed {
            return self.take_news();
        }
        let interval = silence::interval(self.session_info());
        if self.pulse.falls_silent(&interval, self.now) {
            self.news.push(News::CoordinatorSilent);
        }
        let rhythm = self.heartbeat_interval();
        if self.link.inside && self.beat.falls_due(&rhythm, self.now) {
            self.news.push(News::HeartbeatDue);
        }
        if self.link.inside && self.trust.falls_due(self.now) {
            self.news.push(News::KeyRotationDue);
        }
        let unanswered = self.answers.give_up(self.now);
        unanswered.iter().for_each(|id| self.lost_answer(id));
        self.news.extend(unanswered.into_iter().map(News::Unanswered));
        self.deferrals.sweep(self.now);
        self.look_for_expired();
        self.look_for_free();
        if self.link.inside {
            self.look_at_backend();
        }
        self.take_news()
    }

    /// When something falls due next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.closed {
            return None;
        }
        let silence = self.pulse.deadline(&silence::interval(self.session_info()));
        let inside = self.link.inside;
        let beat = self.beat.deadline(&self.heartbeat_interval()).filter(|_| inside);
        let backend = self.backend_deadline().filter(|_| inside);
        let rotation = self.trust.deadline().filter(|_| inside);
        let expiry = self.intents.values().filter(|own| !own.expired).filter_map(|own| own.expires).min();
        let others = [self.answers.deadline(), self.deferrals.deadline(), self.holder_deadline()];
        others.into_iter().chain([silence, beat, backend, rotation, expiry]).flatten().min()
    }

    /// Whether no COORDINATOR_STATUS has come for more than two heartbeat intervals: degraded mode (REC-05, PAR-04).
    pub fn is_coordinator_silent(&self) -> bool {
        self.pulse.is_silent(&silence::interval(self.session_info()), self.now)
    }

    /// For hosts that may meet a server which never sends COORDINATOR_STATUS: silence counts only after a first `heartbeat`
    /// was heard. A coordinator that follows the specification begins at once (REC-01), so by default SESSION_INFO does it.
    pub const fn expect_status_once_heard(&mut self) {
        self.pulse.once_heard = true;
    }

    /// The host says what time it is, on the clock that its stamps come from. A step back is ignored until overtaken.
    pub(super) fn time_is(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    pub(super) fn take_news(&mut self) -> Vec<News> {
        core::mem::take(&mut self.news)
    }
}
