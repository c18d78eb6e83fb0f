//! Other people's intents, as relays and the coordinator tell of them (PAR-09, PAR-14).
//!
//! An intent changes and ends by its owner's message or the coordinator's. Nobody is told of an expiry, so one is estimated
//! from when the announce was heard, or from when a summary or a refusal named an intent that by then was not known to
//! live; it hides an intent from questions and is not written into the view.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use mpac_wire::names::IntentDisposition;
use mpac_wire::payload::{IntentAnnounce, IntentClaim, IntentUpdate};
use mpac_wire::sideband::SummaryIntent;
use mpac_wire::{IntentId, PrincipalId, Scope, Seconds, Timestamp};

use super::bounded::Shelf;
use crate::scope::{Names, Overlap, contains_target, overlap};

/// How many are remembered.
const MOST: usize = 4_096;
/// An intent without `ttl_sec` (INT-06).
pub(super) const DEFAULT_TTL: Seconds = Seconds::whole(300);

/// Whether an intent can be worked under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It can.
    Active,
    /// It cannot until its owner returns; its scope stays taken.
    Suspended,
}

/// Somebody else's intent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OtherIntent {
    /// Whose.
    pub owner: PrincipalId,
    /// What it covers; `None` when only a conflict or a refusal spoke of it.
    pub scope: Option<Scope>,
    /// Whether it is suspended.
    pub standing: Standing,
    /// When it should have expired, by our clock; suspended ones expire as well (INT-07).
    pub expires: Timestamp,
}

/// Everybody else's intents.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Others(Shelf<IntentId, OtherIntent>);

impl Default for Others {
    fn default() -> Self {
        Self(Shelf::new(MOST))
    }
}

/// The end of an intent that lives so long from now.
pub(super) fn expiry(ttl: Option<&Seconds>, now: Timestamp) -> Timestamp {
    now.after(ttl.unwrap_or(&DEFAULT_TTL))
}

/// How long one is held to live of which only a summary has told: as long as agents of this project announce theirs, who
/// prolong them, and say so, before two thirds of that are over. In half the time it would be taken for free while it lives.
const LISTED: Seconds = Seconds::whole(1_800);

impl Others {
    pub(super) fn get(&self, id: &IntentId) -> Option<&OtherIntent> {
        self.0.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&IntentId, &OtherIntent)> {
        self.0.iter()
    }

    pub(super) fn owns(&self, owner: &PrincipalId, id: &IntentId) -> bool {
        self.0.get(id).is_some_and(|it| it.owner == *owner)
    }

    /// Somebody announced one. An id of somebody else's live intent does not change hands.
    pub(super) fn announced(
        &mut self,
        owner: &PrincipalId,
        announce: &IntentAnnounce,
        (locks, names): (bool, &Names),
        now: Timestamp,
    ) {
        if self.0.get(&announce.intent_id).is_some_and(|it| it.owner != *owner && it.lives(now)) {
            return;
        }
        if let Some(old) = &announce.supersedes_intent_id
            && self.owns(owner, old)
        {
            self.0.remove(old);
        }
        if locks {
            self.0.retain(|_, it| {
                let replaced = it.owner == *owner && replaces(names, &announce.scope, it.scope.as_ref());
                !(replaced && it.standing == Standing::Active)
            });
        }
        let announced = OtherIntent {
            owner: owner.clone(),
            scope: Some(announce.scope.clone()),
            standing: Standing::Active,
            expires: expiry(announce.ttl_sec.as_ref(), now),
        };
        self.0.insert(announce.intent_id.clone(), announced);
    }

    /// Somebody's claim was approved: the new intent is active, with a time to live of its own (D-072).
    pub(super) fn claimed(&mut self, claimer: PrincipalId, claim: IntentClaim, now: Timestamp) {
        let claimed = OtherIntent {
            owner: claimer,
            scope: Some(claim.scope),
            standing: Standing::Active,
            expires: expiry(None, now),
        };
        self.0.insert(claim.new_intent_id, claimed);
    }

    /// Its owner changed one.
    pub(super) fn updated(&mut self, update: &IntentUpdate, now: Timestamp) {
        let Some(known) = self.0.get_mut(&update.intent_id) else { return };
        if let Some(scope) = &update.scope {
            known.scope = Some(scope.clone());
        }
        if update.ttl_sec.is_some() {
            known.expires = expiry(update.ttl_sec.as_ref(), now);
        }
    }

    pub(super) fn stands(&mut self, id: &IntentId, standing: Standing) {
        if let Some(known) = self.0.get_mut(id) {
            known.standing = standing;
        }
    }

    /// Somebody spoke of a live intent whose announce we have not heard.
    pub(super) fn learn(&mut self, id: &IntentId, owner: &PrincipalId, now: Timestamp) {
        if !self.0.contains(id) {
            let expires = expiry(None, now);
            let learnt =
                OtherIntent { owner: owner.clone(), scope: None, standing: Standing::Active, expires };
            self.0.insert(id.clone(), learnt);
        }
    }

    /// A refusal says that it lives: an estimate that it should be over by now was wrong.
    pub(super) fn holds(&mut self, id: &IntentId, owner: &PrincipalId, now: Timestamp) {
        match self.0.get_mut(id) {
            Some(known) if known.lives(now) => {}
            Some(known) => known.expires = expiry(None, now),
            None => self.learn(id, owner, now),
        }
    }

    pub(super) fn over(&mut self, id: &IntentId) {
        self.0.remove(id);
    }

    /// Somebody said GOODBYE (BYE-03 to BYE-06).
    pub(super) fn left(&mut self, owner: &PrincipalId, disposition: Option<&IntentDisposition>) {
        match disposition {
            Some(IntentDisposition::Expire) => {}
            Some(IntentDisposition::Transfer) => self.unavailable(owner),
            _ => self.0.retain(|_, it| it.owner != *owner || it.standing == Standing::Suspended),
        }
    }

    /// Somebody fell silent: the intents are suspended (LIV-07).
    pub(super) fn unavailable(&mut self, owner: &PrincipalId) {
        let theirs = self.0.values_mut().filter(|it| it.owner == *owner);
        theirs.for_each(|it| it.standing = Standing::Suspended);
    }

    /// A summary said who is at work on what.
    pub(super) fn listed(&mut self, listed: &[SummaryIntent], me: &PrincipalId, now: Timestamp) {
        let named: BTreeSet<&IntentId> = listed.iter().map(|it| &it.intent_id).collect();
        self.0.retain(|id, _| named.contains(id));
        for it in listed.iter().filter(|it| it.principal_id != *me) {
            // An estimate that it should be over by now was wrong. How long it has left, no summary tells.
            let estimate = self.0.get(&it.intent_id).filter(|known| known.lives(now)).map(|it| it.expires);
            let expires = estimate.unwrap_or_else(|| now.after(&LISTED));
            let known = OtherIntent {
                owner: it.principal_id.clone(),
                scope: Some(it.scope.clone()),
                standing: standing(&it.state),
                expires,
            };
            self.0.insert(it.intent_id.clone(), known);
        }
    }

    /// The session is over.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The live intents that overlap with a scope.
    pub(super) fn in_the_way(
        &self,
        names: &Names,
        scope: &Scope,
        now: Timestamp,
    ) -> Vec<(IntentId, PrincipalId)> {
        let meets =
            |it: &OtherIntent| it.scope.as_ref().is_none_or(|theirs| overlap(names, scope, theirs).is_some());
        let known = self.0.iter().filter(|(_, it)| it.scope.is_some() && it.lives(now) && meets(it));
        known.map(|(id, it)| (id.clone(), it.owner.clone())).collect()
    }

    /// A live intent of somebody else that covers a target.
    pub(super) fn covering(
        &self,
        names: &Names,
        target: &str,
        now: Timestamp,
    ) -> Option<(&IntentId, &OtherIntent)> {
        let covers = |scope: &Scope| contains_target(names, scope, target) != Some(false);
        self.0.iter().find(|(_, it)| it.lives(now) && it.scope.as_ref().is_some_and(covers))
    }

    /// When the next of those named is presumed to expire.
    pub(super) fn expiry_of<'a>(
        &self,
        ids: impl Iterator<Item = &'a IntentId>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        ids.filter_map(|id| Some(self.0.get(id)?.expires)).filter(|at| *at > now).min()
    }
}

impl OtherIntent {
    pub(super) fn lives(&self, now: Timestamp) -> bool {
        now < self.expires
    }
}

/// At level 0.1.15 an announce takes the place of own intents of the same kind that it directly overlaps (LCK-06).
pub(super) fn replaces(names: &Names, new: &Scope, old: Option<&Scope>) -> bool {
    old.is_some_and(|old| {
        old.kind == new.kind && matches!(overlap(names, old, new), Some(Overlap::Shared(_)))
    })
}

/// What a summary's or an update's word for a state means; every state but ACTIVE and SUSPENDED is over.
pub(super) fn standing(state: &mpac_wire::names::IntentState) -> Standing {
    match state {
        mpac_wire::names::IntentState::Suspended => Standing::Suspended,
        _ => Standing::Active,
    }
}
