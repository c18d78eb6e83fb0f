//! Own intents: those that end without our doing, and those that nobody wants any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use mpac_core::participant::Presence;
use mpac_wire::names::ClaimDecision;
use mpac_wire::payload::intent::IntentWithdraw;
use mpac_wire::{ClaimId, Envelope, IntentId, Message, PrincipalId, Timestamp};
use tokio::time::Instant;

use crate::agent::event::Ended;
use crate::connection::Link;
use crate::error::AgentError;

/// What is kept of them.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Known to be live, with when they expire by our clock.
    live: BTreeMap<IntentId, Option<Timestamp>>,
    /// Told to be over, though the coordinator does not say so.
    expired: BTreeSet<IntentId>,
    /// We ended them ourselves, so that there is nothing to tell.
    withdrawn: BTreeSet<IntentId>,
    /// Nobody wants them: withdrawn as soon as they are there, with the reason, until the withdrawal has come back.
    abandoned: BTreeMap<IntentId, String>,
    /// Our claims, and what they would become.
    claims: BTreeMap<ClaimId, IntentId>,
}

/// Whether a message may change what is ours.
pub(super) fn concerns(envelope: &Envelope, message: &Message, me: &PrincipalId, coordinator: bool) -> bool {
    let own = envelope.sender.principal_id == *me;
    match message {
        Message::IntentAnnounce(_) => own,
        Message::IntentWithdraw(_) | Message::IntentUpdate(_) => own || coordinator,
        Message::IntentClaimStatus(_) | Message::SessionInfo(_) => coordinator,
        _ => false,
    }
}

impl Own {
    /// A message that concerns them.
    pub(super) fn heard(&mut self, envelope: &Envelope, message: &Message, me: &PrincipalId) {
        match message {
            Message::IntentWithdraw(it) if envelope.sender.principal_id == *me => {
                self.withdrawn.insert(it.intent_id.clone());
                self.abandoned.remove(&it.intent_id);
            }
            Message::IntentClaimStatus(it) => {
                let intent = self.claims.remove(&it.claim_id);
                if it.decision != ClaimDecision::Approved
                    && let Some(intent) = intent
                {
                    self.abandoned.remove(&intent); // nothing will come of it
                }
            }
            _ => {}
        }
    }

    /// Ends an intent that nobody wants, now or as soon as it can be.
    pub(super) async fn abandon(&mut self, link: &Link, intent: IntentId, reason: String) {
        self.abandoned.insert(intent, reason);
        self.withdraw_abandoned(link).await;
    }

    /// Announces those again of which nothing tells whether they are still there; whether there are any. Under the same id
    /// each: a coordinator that has it says so.
    pub(super) async fn announce_unknown(&self, link: &Link, but: BTreeSet<IntentId>) -> bool {
        let unknown = link.look(|participant| {
            let own = participant.intents().iter();
            let unknown = own.filter(|(id, _)| participant.presence(id) == Presence::Unknown);
            unknown.map(|(_, own)| own.announced.clone()).collect::<Vec<_>>()
        });
        let mut announced = false;
        for announce in unknown.await.unwrap_or_default() {
            if but.contains(&announce.intent_id) || self.abandoned.contains_key(&announce.intent_id) {
                continue;
            }
            // One that may not be announced now stays unknown, and the next commit under it says so.
            announced |= link.repeat(announce.into(), "the announce").await.is_ok();
        }
        announced
    }

    fn is_claimed(&self, intent: &IntentId) -> bool {
        self.claims.values().any(|claimed| claimed == intent)
    }

    /// Says what was not said yet, or what a break or a silence may have swallowed.
    pub(super) async fn withdraw_abandoned(&mut self, link: &Link) {
        for (intent, reason) in self.abandoned.clone() {
            match link.presence(intent.clone()).await {
                Ok(Presence::Gone) if self.is_claimed(&intent) => {}
                Ok(Presence::Gone) => {
                    self.abandoned.remove(&intent);
                }
                Ok(_) => link.mention(withdrawal(&intent, &reason)),
                Err(_) => return,
            }
        }
    }

    /// When the next one's time is over.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let next =
            self.live.iter().filter(|(id, _)| !self.expired.contains(*id)).filter_map(|(_, at)| *at).min()?;
        let left = u64::try_from(next.since(now()).micros()).unwrap_or_default();
        Instant::now().checked_add(Duration::from_micros(left))
    }

    /// Compares with what the participant knows; those that are over without our doing.
    ///
    /// # Errors
    /// [`AgentError::Lost`].
    pub(super) async fn look(
        &mut self,
        link: &Link,
        by_time: bool,
    ) -> Result<Vec<(IntentId, Ended)>, AgentError> {
        let live = link
            .look(|participant| {
                let own = participant.intents().iter();
                own.map(|(id, own)| (id.clone(), own.expires)).collect::<BTreeMap<_, _>>()
            })
            .await?;
        // A claim that nobody waits for any more was approved.
        for intent in live.keys().filter(|id| !self.live.contains_key(*id)) {
            if let Some(reason) = self.abandoned.get(intent) {
                link.mention(withdrawal(intent, reason));
            }
        }
        let mut ended = Vec::new();
        for (id, _) in std::mem::take(&mut self.live) {
            if !live.contains_key(&id) {
                let told =
                    self.withdrawn.remove(&id) | self.expired.remove(&id) | self.abandoned.contains_key(&id);
                if !told {
                    ended.push((id, Ended::Otherwise));
                }
            }
        }
        self.withdrawn.retain(|id| live.contains_key(id));
        self.live = live;
        let now = now();
        let is_over = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        // One that was prolonged may expire again.
        self.expired.retain(|id| self.live.get(id).is_some_and(|at| is_over(*at)));
        if by_time {
            for (id, at) in &self.live {
                if is_over(*at) && self.expired.insert(id.clone()) {
                    ended.push((id.clone(), Ended::Expired));
                }
            }
        }
        Ok(ended)
    }

    /// A claim was made: its intent may come to life later.
    pub(super) fn claimed(&mut self, claim: ClaimId, becomes: IntentId) {
        self.claims.insert(claim, becomes);
    }
}

fn withdrawal(intent: &IntentId, reason: &str) -> Message {
    let mut withdraw = IntentWithdraw::new(intent.clone());
    withdraw.reason = Some(reason.to_owned());
    withdraw.into()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
