//! Losing the connection and coming back (PAR-05, LAM-15): the same participant says HELLO again, so its instance id and
//! counter stay; what it had asked is of unknown fate, and what it knew may be out of date.

use mpac_wire::{IntentId, MessageId, Seconds, Timestamp};

use super::Participant;
use super::news::News;

/// Where the participant stands with its coordinator.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Link {
    /// The HELLO without an answer.
    pub(super) asked: Option<MessageId>,
    /// SESSION_INFO has come, and nothing since that ended it (HEL-16).
    pub(super) inside: bool,
    /// The connection was lost, and no SESSION_INFO has come since.
    pub(super) cut_off: bool,
    /// The SESSION_INFO that ended a break of which the coordinator has not been told.
    pub(super) back_by: Option<MessageId>,
    /// What is passed on has taken effect: SESSION_INFO said what it answers, as no Python server does (D-005).
    pub(super) relays_count: bool,
    /// Attempts to connect that failed, one after the other.
    failed: u32,
}

impl Link {
    /// SESSION_INFO came. True when that ends a break.
    pub(super) fn enter(&mut self) -> bool {
        (self.asked, self.inside, self.failed) = (None, true, 0);
        core::mem::take(&mut self.cut_off)
    }
}

/// How long to wait before the next attempt to connect, after so many failed ones: 1, 2, 4, 8, 16, 30, 30 seconds (REC-06).
pub fn retry_delay(failed: u32) -> Seconds {
    Seconds::whole(1_u32.checked_shl(failed.min(5)).unwrap_or(30).min(30))
}

impl Participant {
    /// The connection is gone. What was asked on it is of unknown fate (PAR-12), and own intents are not used before they
    /// have been read again (PAR-22).
    pub fn connection_lost(&mut self, now: Timestamp) -> alloc::vec::Vec<News> {
        self.time_is(now);
        // Who was let in once has missed what was relayed meanwhile, though a successor or a GOODBYE had ended that.
        self.link.cut_off |= self.info.is_some();
        (self.link.inside, self.link.asked, self.link.back_by) = (false, None, None);
        self.decisions.forget();
        self.trust.connection_lost();
        self.unconfirmed = self.intents.keys().cloned().collect();
        let unknown = self.answers.give_up_all();
        unknown.iter().for_each(|id| self.lost_acknowledgement(id));
        unknown.iter().for_each(|id| self.lost_answer(id));
        self.news.extend(unknown.into_iter().map(News::Unanswered));
        self.take_news()
    }

    /// An attempt to connect failed.
    pub fn connect_failed(&mut self) {
        self.link.failed = self.link.failed.saturating_add(1);
    }

    /// How long to wait before the next attempt; see [`retry_delay`].
    pub fn retry_in(&self) -> Seconds {
        retry_delay(self.link.failed)
    }

    /// Own intents whose state is not known, after a break or after being unavailable (PAR-22).
    pub fn unconfirmed(&self) -> impl Iterator<Item = &IntentId> {
        self.unconfirmed.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_half_a_minute() {
        let delays: alloc::vec::Vec<i64> =
            (0..8).chain([u32::MAX]).map(|failed| retry_delay(failed).micros() / 1_000_000).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30, 30, 30]);
    }
}
