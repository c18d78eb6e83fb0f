//! Own claims on suspended intents: matched by claim id, and nothing is done before the approval (CLM-16).

use mpac_wire::names::ClaimDecision;
use mpac_wire::payload::{IntentAnnounce, IntentClaim, IntentClaimStatus};
use mpac_wire::{ClaimId, MessageId};

use super::bounded::Shelf;
use super::news::{News, Over};
use super::others::{Standing, expiry};
use super::{OwnIntent, Participant};

/// How many are remembered.
const MOST: usize = 64;

/// Own claims that are not decided, with the messages that made them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claims(Shelf<ClaimId, (MessageId, IntentClaim)>);

impl Default for Claims {
    fn default() -> Self {
        Self(Shelf::new(MOST))
    }
}

impl Claims {
    pub(super) fn sent(&mut self, message_id: MessageId, claim: IntentClaim) {
        self.0.insert(claim.claim_id.clone(), (message_id, claim));
    }

    /// The claim was refused, by CLAIM_CONFLICT for instance: the intent is somebody else's to take.
    pub(super) fn refused(&mut self, claim: &ClaimId) {
        self.0.remove(claim);
    }
}

impl Participant {
    /// Own claims that are not decided yet.
    pub fn pending_claims(&self) -> impl Iterator<Item = &ClaimId> {
        self.claims.0.iter().map(|(id, _)| id)
    }

    /// A claim was decided: ours, or somebody's on an intent of ours (PAR-22).
    pub(super) fn claim_decided(&mut self, status: &IntentClaimStatus) {
        let own = match status.decision {
            // Of two claims on one intent only one can be approved, so a waiting one of ours is told apart by its id.
            ClaimDecision::Approved | ClaimDecision::Rejected | ClaimDecision::Withdrawn => {
                self.claims.0.remove(&status.claim_id)
            }
            _ => None,
        };
        let approved = status.decision == ClaimDecision::Approved;
        if approved {
            self.others.over(&status.original_intent_id);
            self.intent_over(&status.original_intent_id, Over::Transferred);
        }
        let Some((message_id, claim)) = own else { return };
        if approved {
            let announced = IntentAnnounce::new(claim.new_intent_id, claim.objective, claim.scope);
            let expires = Some(expiry(None, self.now));
            self.keep(OwnIntent::new(announced, Some(message_id.clone()), Standing::Active, expires));
        }
        self.answers.settle(&message_id, super::Fate::Accepted);
        let (claim, decision) = (status.claim_id.clone(), status.decision.clone());
        self.news.push(News::ClaimDecided { claim, decision, reason: status.reason.clone() });
    }
}
