//! The conflict and governance layers (`spec/wire.md` §6.18 to §6.21).

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{ConflictId, IntentId, OpId, PrincipalId, ResolutionId};
use crate::names::{AckType, BasisKind, ConflictCategory, Decision, MatchType, Severity};
use crate::number::Number;
use crate::object::Raw;
use crate::scope::Scope;
use crate::watermark::Watermark;

object! {
    /// CONFLICT_REPORT: two parties are in each other's way (CON-01).
    ///
    /// The fields after `suggested_action` are not the specification's; the references send or read them.
    pub struct ConflictReport {
        /// Not used before.
        req conflict_id: ConflictId,
        /// The intents in it (CON-02).
        opt related_intents: Vec<IntentId>,
        /// The operations in it (CON-02).
        opt related_ops: Vec<OpId>,
        /// What kind it is.
        req category: ConflictCategory,
        /// How grave.
        req severity: Severity,
        /// How it was found; the references leave it out (D-107).
        opt basis: Basis,
        /// What the reporter had seen; the references leave it out (CON-03, D-107).
        opt based_on_watermark: Watermark,
        /// For people; the references leave it out (D-107).
        opt description: String,
        /// What might help.
        opt suggested_action: String,
        /// Owner of the newer intent.
        opt principal_a: PrincipalId,
        /// Owner of the older intent.
        opt principal_b: PrincipalId,
        /// The newer intent.
        opt intent_a: IntentId,
        /// The older intent.
        opt intent_b: IntentId,
        /// All owners.
        opt involved_principals: Vec<PrincipalId>,
        /// One scope, in the TypeScript participant's report.
        opt scope_a: Scope,
        /// The other scope.
        opt scope_b: Scope,
        /// The TypeScript participant's description.
        opt details: String,
        /// Which files and symbols, for `dependency_breakage` (SCO-20).
        opt dependency_detail: Raw,
    }
}

object! {
    /// How a conflict was found (`spec/wire.md` §3.4). The TypeScript participant sends it empty.
    pub struct Basis {
        /// By a rule, a guess, a model or a person.
        opt kind: BasisKind,
        /// Which rule.
        opt rule_id: String,
        /// Which matcher.
        opt matcher: String,
        /// How the two statements relate.
        opt match_type: MatchType,
        /// 0.0 to 1.0.
        opt confidence: Number,
        /// The two statements.
        opt matched_pair: Raw,
        /// For people.
        opt explanation: String,
    }
}

object! {
    /// CONFLICT_ACK: somebody in the conflict has seen it (CON-06).
    pub struct ConflictAck {
        /// Which one.
        req conflict_id: ConflictId,
        /// Seen, accepted or disputed.
        req ack_type: AckType,
    }
}

object! {
    /// CONFLICT_ESCALATE: somebody with authority shall decide (CON-07).
    pub struct ConflictEscalate {
        /// Which one.
        req conflict_id: ConflictId,
        /// Who.
        req escalate_to: PrincipalId,
        /// Why.
        req reason: String,
        /// What helps to decide.
        opt context: String,
    }
}

object! {
    /// RESOLUTION: a conflict (or a claim or proposal, D-084) is settled (GOV-01).
    pub struct Resolution {
        /// The references leave it out; the coordinator then makes one (GOV-09).
        opt resolution_id: ResolutionId,
        /// Which conflict, claim, operation or batch.
        req conflict_id: ConflictId,
        /// What was decided.
        req decision: Decision,
        /// Why; the Python participant leaves it out when empty.
        opt rationale: String,
        /// What becomes of intents and operations (GOV-06).
        opt outcome: Outcome,
    }
}

object! {
    /// What becomes of the intents and operations of a conflict (`spec/wire.md` §3.5).
    pub struct Outcome {
        /// Intent or operation ids that may go on.
        opt accepted: Vec<String>,
        /// Intent or operation ids that may not.
        opt rejected: Vec<String>,
        /// Intent or operation ids that become one.
        opt merged: Vec<String>,
        /// Needed when a committed operation is rejected (GOV-05): `not_required`, or the compensating operation.
        opt rollback: String,
    }
}
