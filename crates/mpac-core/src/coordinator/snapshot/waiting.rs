//! What waits or belongs together: batches, claims, deferrals, back-offs.

use alloc::borrow::ToOwned;
use alloc::string::ToString;
use alloc::vec::Vec;

use mpac_wire::MessageId;
use mpac_wire::Timestamp;
use mpac_wire::snapshot::{BackoffRecord, BatchRecord, ClaimRecord, DeferralRecord, Snapshot};

use super::super::intent::claim::granted_by_itself;
use super::super::records::{Backoff, Batch, Claim, Deferral};
use super::super::state::{Intent, Session};
use crate::error::RestoreError;
use crate::table::intent::State;

/// Reads them into a session that has its intents and operations.
pub(super) fn read(session: &mut Session, snapshot: &Snapshot) -> Result<(), RestoreError> {
    for record in snapshot.batches.iter().flatten() {
        if session.batches.insert(record.batch_id.clone(), batch(record)).is_some() {
            return Err(RestoreError::repeated("batch", &record.batch_id));
        }
    }
    // With the last of its operations a batch is forgotten itself (SES-27).
    let over: Vec<_> =
        session.batches.keys().filter(|id| !session.is_anything_left_of(id)).cloned().collect();
    over.iter().for_each(|id| drop(session.batches.remove(id)));
    for record in snapshot.pending_claims.iter().flatten() {
        read_claim(session, record, snapshot)?;
    }
    for record in snapshot.deferrals.iter().flatten() {
        if session.deferrals.get(&record.deferral_id).is_some() {
            return Err(RestoreError::repeated("deferral", &record.deferral_id));
        }
        session.deferrals.insert(deferral(record, snapshot.captured_at));
    }
    for record in snapshot.backoff.iter().flatten() {
        session.backoff.insert(backoff(record), usize::MAX);
    }
    Ok(())
}

/// A claim needs a suspended intent that no other claims, and an id for the new one that nothing else has (CLM-02 to
/// CLM-05): granting it would take another's place.
fn read_claim(session: &mut Session, record: &ClaimRecord, snapshot: &Snapshot) -> Result<(), RestoreError> {
    let (id, original, new) = (&record.claim_id, &record.original_intent_id, &record.new_intent_id);
    if session.intents.get(original).map(Intent::state) != Some(State::Suspended) {
        return Err(RestoreError::dangling("claim", id.to_string(), original));
    }
    if session.claims.get(id.as_str()).is_some() {
        return Err(RestoreError::repeated("claim", id));
    }
    if session.intents.contains_key(new) || session.claims.promise(new) {
        return Err(RestoreError::taken("claim", id, new));
    }
    let claim = claim(session, record, snapshot);
    session.claim_ids.insert(id.clone(), usize::MAX);
    if session.claims.insert(claim) { Ok(()) } else { Err(RestoreError::taken("claim", id, original)) }
}

fn claim(session: &Session, record: &ClaimRecord, snapshot: &Snapshot) -> Claim {
    let submitted_at = record.submitted_at.unwrap_or(snapshot.captured_at);
    // A claim's id is an id like a message's.
    let unknown = || {
        MessageId::new(record.claim_id.as_str())
            .unwrap_or_else(|_| unreachable!("it has the length of an id"))
    };
    let ours = record.message_id.is_some();
    Claim {
        id: record.claim_id.clone(),
        original: record.original_intent_id.clone(),
        owner: record.original_principal_id.clone(),
        new_intent: record.new_intent_id.clone(),
        claimer: record.claimer_principal_id.clone(),
        objective: record.objective.clone().unwrap_or_default(),
        scope: record.scope.clone(),
        justification: record.justification.clone(),
        message: record.message_id.clone().unwrap_or_else(unknown),
        submitted_at,
        granted_at: record
            .granted_at
            .or_else(|| if ours { None } else { granted_by_itself(session, submitted_at) }),
    }
}

fn deferral(record: &DeferralRecord, captured: Timestamp) -> Deferral {
    Deferral {
        id: record.deferral_id.clone(),
        principal: record.principal_id.clone(),
        scope: record.scope.clone(),
        reason: record.reason.clone().unwrap_or_else(|| "yielded".to_owned()),
        observed_intents: record.observed_intent_ids.clone().unwrap_or_default(),
        observed_principals: record.observed_principals.clone().unwrap_or_default(),
        category: record.category.clone().unwrap_or_else(|| "queue".to_owned()),
        received_at: record.received_at.unwrap_or(captured),
        expires_at: record.expires_at,
    }
}

fn backoff(record: &BackoffRecord) -> Backoff {
    Backoff {
        principal: record.principal_id.clone(),
        scope: record.scope.clone(),
        rejections: u32::try_from(record.rejections.get()).unwrap_or(u32::MAX),
        not_before: record.not_before,
    }
}

fn batch(record: &BatchRecord) -> Batch {
    Batch {
        atomicity: record.atomicity.clone(),
        principal: record.principal_id.clone(),
        intent: record.intent_id.clone(),
        ops: record.op_ids.clone(),
    }
}
