//! The intent layer (`spec/wire.md` §6.7 to §6.12).

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{ClaimId, DeferralId, IntentId, PrincipalId};
use crate::names::{ClaimDecision, DeferralStatus, Priority};
use crate::object::Raw;
use crate::scope::Scope;
use crate::time::{ClaimedTime, Seconds};

object! {
    /// INTENT_ANNOUNCE: what the sender is about to do (INT-03).
    pub struct IntentAnnounce: Plain {
        /// Not used before in this session, save for D-024.
        req intent_id: IntentId,
        /// For people.
        req objective: String,
        /// What it will touch.
        req scope: Scope,
        /// What it takes for granted.
        opt assumptions: Vec<String>,
        /// Absent means `normal`.
        opt priority: Priority,
        /// Seconds it stays active without an update, on the coordinator's clock; absent means 300 (INT-05, INT-06).
        opt ttl_sec: Seconds,
        /// Stored; may be unknown (INT-20).
        opt parent_intent_id: IntentId,
        /// An own active intent that this one replaces (INT-17).
        opt supersedes_intent_id: IntentId,
        /// Milliseconds, read only when `ttl_sec` is absent (INT-08).
        opt expiry_ms: Seconds,
    }
}

object! {
    /// INTENT_UPDATE: changes an intent; absent fields stay (INT-12).
    pub struct IntentUpdate: Plain {
        /// Which one.
        req intent_id: IntentId,
        /// The new objective.
        opt objective: String,
        /// The new scope.
        opt scope: Scope,
        /// The new assumptions.
        opt assumptions: Vec<String>,
        /// Seconds from now.
        opt ttl_sec: Seconds,
        /// `mpac.state` and `mpac.cause` in the coordinator's own updates (D-051).
        opt extensions: Raw,
    }
}

object! {
    /// INTENT_WITHDRAW: gives an intent up, or says that it is done (INT-15).
    pub struct IntentWithdraw: Plain {
        /// Which one.
        req intent_id: IntentId,
        /// Why, in free text; the Python agent says `yielded` or `task_completed`.
        opt reason: String,
    }
}

object! {
    /// INTENT_DEFERRED: somebody stepped back for others (DEF-01). Three forms, told apart by their members.
    pub struct IntentDeferred: Plain {
        /// Absent in a participant's message: the coordinator makes one (D-003).
        opt deferral_id: DeferralId,
        /// Who stepped back; only the coordinator's word counts (D-088).
        opt principal_id: PrincipalId,
        /// How it ended, in the coordinator's last word on it.
        opt status: DeferralStatus,
        /// On what.
        opt scope: Scope,
        /// Why.
        opt reason: String,
        /// Seconds it lasts; absent means 60.
        opt ttl_sec: Seconds,
        /// The intents it waits for.
        opt observed_intent_ids: Vec<String>,
        /// The principals it waits for.
        opt observed_principals: Vec<PrincipalId>,
        /// When it ends, in the coordinator's broadcast.
        opt expires_at: ClaimedTime,
        /// `queue` or `duplicate_yield`, others kept (DEF-11).
        opt category: String,
    }
}

object! {
    /// INTENT_CLAIM: asks for somebody's suspended intent (CLM-01).
    pub struct IntentClaim: Plain {
        /// Not used before.
        req claim_id: ClaimId,
        /// The suspended intent.
        req original_intent_id: IntentId,
        /// Its owner (CLM-04).
        req original_principal_id: PrincipalId,
        /// The intent that takes its place once approved.
        req new_intent_id: IntentId,
        /// What the claimer will do.
        req objective: String,
        /// Equal to or inside the original's (CLM-03).
        req scope: Scope,
        /// Why.
        opt justification: String,
    }
}

object! {
    /// INTENT_CLAIM_STATUS: what became of a claim (CLM-12).
    pub struct IntentClaimStatus {
        /// Which claim.
        req claim_id: ClaimId,
        /// On which intent.
        req original_intent_id: IntentId,
        /// The new intent, when approved.
        opt new_intent_id: IntentId,
        /// What was decided.
        req decision: ClaimDecision,
        /// Who approved it, in governance sessions.
        opt approved_by: PrincipalId,
        /// Why, when not approved.
        opt reason: String,
    }
}
