//! Who was heard when, and when silence makes somebody unavailable (LIV-03 to LIV-05).

use mpac_wire::names::HeartbeatStatus;
use mpac_wire::{MessageId, PrincipalId, Timestamp};

use super::super::deadlines::Cause;
use super::super::records::Member;
use super::Session;
use crate::config::SessionConfig;

impl Session {
    /// Notes that somebody was heard, and moves the moment at which it counts as silent (LIV-03, LIV-04).
    pub(crate) fn seen(&mut self, principal: &PrincipalId, message: &MessageId) {
        let now = self.now;
        if let Some(member) = self.members.get_mut(principal) {
            self.deadlines.remove(silent_at(&self.config, member), &Cause::Silent(principal.clone()));
            member.last_seen = now;
            member.last_message = Some(message.clone());
            self.watch_silence(principal);
        }
    }

    /// Watches for silence of somebody who is here and not exempt (LIV-05).
    pub(crate) fn watch_silence(&mut self, principal: &PrincipalId) {
        if let Some(member) = self.members.get(principal) {
            let at = silent_at(&self.config, member);
            let cause = Cause::Silent(principal.clone());
            if member.available && member.status != HeartbeatStatus::Offline {
                self.deadlines.insert(at, cause);
            } else {
                self.deadlines.remove(at, &cause);
            }
        }
    }
}

/// A participant is silent when strictly more than the timeout has passed (D-012).
fn silent_at(config: &SessionConfig, member: &Member) -> Timestamp {
    let limit = member.last_seen.after(&config.unavailability_timeout());
    Timestamp::from_micros(limit.micros().saturating_add(1))
}
