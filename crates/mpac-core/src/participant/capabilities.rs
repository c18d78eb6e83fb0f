//! What this participant can do, in the registry's words (CAP-01), and what it may count on in others (CAP-02).

use mpac_wire::names::{ComplianceProfile, ExecutionModel};

use super::Participant;

/// Everything that [`Participant`] handles, for HELLO (CAP-01).
pub const CAPABILITIES: &[&str] = &[
    "intent.broadcast",
    "intent.update",
    "intent.withdraw",
    "intent.claim",
    "op.propose",
    "op.commit",
    "op.batch_commit",
    "conflict.report",
    "conflict.ack",
    "causality.lamport_clock",
];

impl Participant {
    /// Whether everybody in the session must handle this. HELLO is not passed on, so nobody knows what others advertised:
    /// beyond what the session makes mandatory, nothing may be relied on (CAP-02).
    pub fn may_rely_on(&self, capability: &str) -> bool {
        let Some(info) = self.session_info() else { return false };
        let governed =
            matches!(info.compliance_profile, ComplianceProfile::Governance | ComplianceProfile::Semantic);
        match capability {
            // The core set (CAP-04).
            "intent.broadcast"
            | "op.commit"
            | "op.batch_commit"
            | "conflict.report"
            | "causality.lamport_clock" => true,
            "op.propose" => governed || self.execution_model() == ExecutionModel::PreCommit,
            "intent.claim" | "op.reject" | "governance.override" => governed,
            _ => false,
        }
    }
}
