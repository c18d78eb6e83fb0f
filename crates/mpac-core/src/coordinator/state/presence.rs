//! Who was heard when, and when silence makes somebody unavailable (LIV-03 to LIV-05).

use mpac_wire::names::HeartbeatStatus;
use mpac_wire::{MessageId, PrincipalId, Seconds, Timestamp};

use super::super::records::Member;
use super::Session;

impl Session {
    /// Notes that somebody was heard, and moves the moment at which it counts as silent (LIV-03, LIV-04). Says whether it
    /// had been unavailable.
    pub(crate) fn seen(&mut self, principal: &PrincipalId, message: &MessageId) -> bool {
        let timeout = self.config.unavailability_timeout();
        let Some(member) = self.members.get_mut(principal) else { return false };
        member.last_seen = self.now;
        member.last_message = Some(message.clone());
        if is_watched(member) {
            self.deadlines.watch_silence(principal, silent_at(&timeout, self.now));
        } else {
            self.deadlines.ignore_silence(principal);
        }
        !member.available
    }

    /// Watches for silence of somebody who is here and not exempt (LIV-05).
    pub(crate) fn watch_silence(&mut self, principal: &PrincipalId) {
        if let Some(member) = self.members.get(principal) {
            if is_watched(member) {
                let at = silent_at(&self.config.unavailability_timeout(), member.last_seen);
                self.deadlines.watch_silence(principal, at);
            } else {
                self.deadlines.ignore_silence(principal);
            }
        }
    }
}

fn is_watched(member: &Member) -> bool {
    member.available && member.status != HeartbeatStatus::Offline
}

/// A participant is silent when strictly more than the timeout has passed (D-012).
fn silent_at(timeout: &Seconds, last_seen: Timestamp) -> Timestamp {
    Timestamp::from_micros(last_seen.after(timeout).micros().saturating_add(1))
}
