//! Claims on suspended intents. Own ones are matched by claim id, and nothing is done before the approval (CLM-16); those of
//! others are told to the owner and to who governs, so that these know the new intent, which nobody announces.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{ClaimDecision, IntentState};
use mpac_wire::payload::{IntentAnnounce, IntentClaim, IntentClaimStatus};
use mpac_wire::sideband::SummaryIntent;
use mpac_wire::{ClaimId, IntentId, MessageId, PrincipalId};

use super::bounded::Shelf;
use super::news::{News, Over};
use super::others::{Standing, expiry};
use super::{Fate, OwnIntent, Participant};

/// How many are remembered.
const MOST: usize = 64;

/// Claims that are not decided.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claims {
    /// With the messages that made them.
    own: Shelf<ClaimId, (MessageId, IntentClaim)>,
    /// Those that were passed on to us, with who made them.
    others: Shelf<ClaimId, (PrincipalId, IntentClaim)>,
}

impl Default for Claims {
    fn default() -> Self {
        Self { own: Shelf::new(MOST), others: Shelf::new(MOST) }
    }
}

impl Claims {
    pub(super) fn sent(&mut self, message_id: MessageId, claim: IntentClaim) {
        self.own.insert(claim.claim_id.clone(), (message_id, claim));
    }

    pub(super) fn heard(&mut self, claimer: PrincipalId, claim: IntentClaim) {
        self.others.insert(claim.claim_id.clone(), (claimer, claim));
    }

    /// The claim was refused, by CLAIM_CONFLICT for instance: the intent is somebody else's to take.
    pub(super) fn refused(&mut self, claim: &ClaimId) {
        self.own.remove(claim);
    }
}

/// How a claim of this principal was decided, by what a summary lists; `None` while it is pending.
fn shown(
    claim: &IntentClaim,
    me: &PrincipalId,
    listed: &[SummaryIntent],
) -> Option<(ClaimDecision, Option<&'static str>)> {
    let of = |id: &IntentId| listed.iter().find(|it| it.intent_id == *id);
    if of(&claim.new_intent_id).is_some_and(|it| it.principal_id == *me) {
        return Some((ClaimDecision::Approved, None));
    }
    match of(&claim.original_intent_id) {
        Some(original) if original.state == IntentState::Suspended => {
            let pending = original.claimed_by.as_ref() == Some(me);
            (!pending).then_some((ClaimDecision::Rejected, None)) // CLM-11
        }
        Some(_) => Some((ClaimDecision::Withdrawn, Some("original_owner_rejoined"))), // CLM-10
        None => Some((ClaimDecision::Rejected, Some("intent_no_longer_suspended"))),  // CLM-13
    }
}

impl Participant {
    /// Own claims that are not decided yet.
    pub fn pending_claims(&self) -> impl Iterator<Item = &ClaimId> {
        self.claims.own.iter().map(|(id, _)| id)
    }

    /// A claim was decided: ours, or somebody's on an intent of ours (PAR-22).
    pub(super) fn claim_decided(&mut self, status: &IntentClaimStatus) {
        let (own, others) = match status.decision {
            // Of two claims on one intent only one can be approved, so a waiting one of ours is told apart by its id.
            ClaimDecision::Approved | ClaimDecision::Rejected | ClaimDecision::Withdrawn => {
                (self.claims.own.remove(&status.claim_id), self.claims.others.remove(&status.claim_id))
            }
            _ => (None, None),
        };
        let approved = status.decision == ClaimDecision::Approved;
        if approved {
            self.others.over(&status.original_intent_id);
            self.intent_over(&status.original_intent_id, Over::Transferred);
            if own.is_none() {
                self.succeeded(status, others);
            }
        }
        let Some((message_id, claim)) = own else { return };
        self.own_claim_decided(message_id, claim, status.decision.clone(), status.reason.clone());
    }

    /// Somebody else goes on with an intent: who waits for its end waits for the new one's. Where the claim was not heard
    /// that is all that is known, and a summary has to tell the rest (D-029).
    fn succeeded(&mut self, status: &IntentClaimStatus, claim: Option<(PrincipalId, IntentClaim)>) {
        let Some(new) = &status.new_intent_id else { return };
        let claim = claim.filter(|(_, claim)| claim.new_intent_id == *new);
        let unseen_until = claim.is_none().then(|| expiry(None, self.now));
        if let Some((claimer, claim)) = claim {
            self.others.claimed(claimer, claim, self.now);
        }
        self.deferrals.passed_on(&status.original_intent_id, new, unseen_until);
    }

    /// A summary came: own claims that were decided, or lost, while nobody listened. One under way gets an answer yet, and
    /// may not have been there when the summary was written.
    pub(super) fn read_claims(&mut self, listed: &[SummaryIntent]) {
        let mut decided = Vec::new();
        self.claims.own.retain(|_, (message_id, claim)| {
            let under_way = self.answers.get(message_id).is_some_and(|sent| sent.fate == Fate::Waiting);
            let shown = shown(claim, &self.sender.principal_id, listed).filter(|_| !under_way);
            let waits = shown.is_none();
            decided.extend(shown.map(|how| (message_id.clone(), claim.clone(), how)));
            waits
        });
        for (message_id, claim, (decision, reason)) in decided {
            self.own_claim_decided(message_id, claim, decision, reason.map(ToOwned::to_owned));
        }
    }

    fn own_claim_decided(
        &mut self,
        message_id: MessageId,
        claim: IntentClaim,
        decision: ClaimDecision,
        reason: Option<String>,
    ) {
        if decision == ClaimDecision::Approved {
            let announced = IntentAnnounce::new(claim.new_intent_id, claim.objective, claim.scope);
            let expires = Some(expiry(None, self.now));
            self.keep(OwnIntent::new(announced, Some(message_id.clone()), Standing::Active, expires));
        }
        self.answers.settle(&message_id, Fate::Accepted);
        self.news.push(News::ClaimDecided { claim: claim.claim_id, decision, reason });
    }
}
