//! Reading the session again: a summary replaces the view and settles what was open (D-029, PAR-12, PAR-22).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use mpac_wire::payload::IntentAnnounce;
use mpac_wire::sideband::{SessionSummary, SummaryIntent};
use mpac_wire::{IntentId, Message, Timestamp};

use super::news::{News, Over};
use super::others::{expiry, standing};
use super::own::MOST_OWN;
use super::{OwnIntent, Participant};

impl Participant {
    /// SESSION_SUMMARY_RESPONSE arrived: what it lists is live, and nothing else. A gap is over, and announces of unknown
    /// fate are settled; of commits a summary says nothing, so read their targets before repeating them.
    pub fn hear_summary(&mut self, now: Timestamp, summary: &SessionSummary) -> Vec<News> {
        self.time_is(now);
        if summary.error.is_some() || summary.session_id != self.session_id || self.closed {
            return self.take_news();
        }
        for intent in &summary.active_intents {
            self.gap.saw_intent(intent.intent_id.as_str());
        }
        for conflict in &summary.open_conflicts {
            self.gap.saw_conflict(conflict.conflict_id.as_str());
        }
        self.others.listed(&summary.active_intents, &self.sender.principal_id, self.now);
        let settled = self.conflicts.listed(&summary.open_conflicts);
        self.thaw_all_but(&summary.open_conflicts, &settled);
        self.read_claims(&summary.active_intents);
        self.read_own_intents(&summary.active_intents);
        self.settle_unknown();
        self.deferrals.read();
        self.unconfirmed.clear();
        if self.gap.close() {
            self.news.push(News::GapClosed);
        }
        self.look_for_free();
        self.take_news()
    }

    fn read_own_intents(&mut self, listed: &[SummaryIntent]) {
        let mine = |it: &&SummaryIntent| it.principal_id == self.sender.principal_id;
        let mine: Vec<&SummaryIntent> = listed.iter().filter(mine).take(MOST_OWN).collect();
        let named: BTreeSet<&IntentId> = mine.iter().map(|it| &it.intent_id).collect();
        let gone: Vec<IntentId> = self.intents.keys().filter(|id| !named.contains(id)).cloned().collect();
        for id in gone {
            self.intent_over(&id, Over::NotListed);
        }
        for it in mine {
            let own = self.intents.entry(it.intent_id.clone()).or_insert_with(|| {
                let announced =
                    IntentAnnounce::new(it.intent_id.clone(), it.objective.clone(), it.scope.clone());
                OwnIntent::new(announced, None, standing(&it.state), None)
            });
            own.announced.scope = it.scope.clone();
            own.standing = standing(&it.state);
        }
    }

    /// Announces whose fate was unknown: listed ones were accepted and are among the own intents already.
    fn settle_unknown(&mut self) {
        for sent in self.answers.forget_unknown() {
            if let Message::IntentAnnounce(announce) = sent.message
                && let Some(own) = self.intents.get_mut(&announce.intent_id)
            {
                // Counted from now: when it was accepted nobody tells.
                own.expires = Some(expiry(announce.ttl_sec.as_ref(), self.now));
                own.expired = false;
                own.announced = announce;
            }
        }
    }
}
