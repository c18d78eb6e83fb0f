//! Every enumerated string of the protocol, in the order of its registry (`spec/wire.md` §4 to §6).

open_enum! {
    /// What a message is (`spec/wire.md` §6).
    pub enum MessageType {
        Hello = "HELLO",
        SessionInfo = "SESSION_INFO",
        Heartbeat = "HEARTBEAT",
        Goodbye = "GOODBYE",
        SessionClose = "SESSION_CLOSE",
        CoordinatorStatus = "COORDINATOR_STATUS",
        IntentAnnounce = "INTENT_ANNOUNCE",
        IntentUpdate = "INTENT_UPDATE",
        IntentWithdraw = "INTENT_WITHDRAW",
        IntentDeferred = "INTENT_DEFERRED",
        IntentClaim = "INTENT_CLAIM",
        IntentClaimStatus = "INTENT_CLAIM_STATUS",
        OpPropose = "OP_PROPOSE",
        OpCommit = "OP_COMMIT",
        OpBatchCommit = "OP_BATCH_COMMIT",
        OpReject = "OP_REJECT",
        OpSupersede = "OP_SUPERSEDE",
        ConflictReport = "CONFLICT_REPORT",
        ConflictAck = "CONFLICT_ACK",
        ConflictEscalate = "CONFLICT_ESCALATE",
        Resolution = "RESOLUTION",
        ProtocolError = "PROTOCOL_ERROR",
    }
}

open_enum! {
    /// What kind of being a principal is.
    pub enum PrincipalType {
        Human = "human",
        Agent = "agent",
        Service = "service",
    }
}

open_enum! {
    /// A role in a session. Only reviewer, owner and arbiter carry governance power (D-044).
    pub enum Role {
        Observer = "observer",
        Contributor = "contributor",
        Reviewer = "reviewer",
        Owner = "owner",
        Arbiter = "arbiter",
        /// The default of the reference libraries; may do what a contributor may.
        Participant = "participant",
    }
}

open_enum! {
    /// How far a session trusts its members (SEC-01).
    pub enum SecurityProfile {
        Open = "open",
        Authenticated = "authenticated",
        Verified = "verified",
    }
}

open_enum! {
    /// Which rules a session plays by (CAP-04 to CAP-06).
    pub enum ComplianceProfile {
        Core = "core",
        Governance = "governance",
        Semantic = "semantic",
    }
}

open_enum! {
    /// Whether operations are authorised before they happen (SES-05).
    pub enum ExecutionModel {
        PreCommit = "pre_commit",
        PostCommit = "post_commit",
    }
}

open_enum! {
    /// How a watermark counts (LAM-01, LAM-02).
    pub enum WatermarkKind {
        LamportClock = "lamport_clock",
        VectorClock = "vector_clock",
        CausalFrontier = "causal_frontier",
        Opaque = "opaque",
    }
}

open_enum! {
    /// What a scope lists (SCO-01).
    pub enum ScopeKind {
        FileSet = "file_set",
        ResourcePath = "resource_path",
        TaskSet = "task_set",
        Query = "query",
        EntitySet = "entity_set",
        Custom = "custom",
    }
}

open_enum! {
    /// Where an intent stands (`spec/requirements.md` §3.1).
    pub enum IntentState {
        Active = "ACTIVE",
        Suspended = "SUSPENDED",
        Expired = "EXPIRED",
        Withdrawn = "WITHDRAWN",
        Superseded = "SUPERSEDED",
        Transferred = "TRANSFERRED",
    }
}

open_enum! {
    /// Where an operation stands (`spec/requirements.md` §3.2).
    pub enum OperationState {
        Proposed = "PROPOSED",
        Committed = "COMMITTED",
        Rejected = "REJECTED",
        Abandoned = "ABANDONED",
        Frozen = "FROZEN",
        Superseded = "SUPERSEDED",
    }
}

open_enum! {
    /// Where a conflict stands (`spec/requirements.md` §3.3).
    pub enum ConflictState {
        Open = "OPEN",
        Acked = "ACKED",
        Escalated = "ESCALATED",
        Resolved = "RESOLVED",
        Closed = "CLOSED",
        Dismissed = "DISMISSED",
    }
}

open_enum! {
    /// How urgent an intent is: low < normal < high < critical, anything else ranks as normal.
    pub enum Priority {
        Low = "low",
        Normal = "normal",
        High = "high",
        Critical = "critical",
    }
}

open_enum! {
    /// What a participant is doing (LIV-19).
    pub enum HeartbeatStatus {
        Idle = "idle",
        Working = "working",
        Blocked = "blocked",
        AwaitingReview = "awaiting_review",
        Offline = "offline",
    }
}

open_enum! {
    /// How a model's provider is doing (BHM-01).
    pub enum ProviderStatus {
        Operational = "operational",
        Degraded = "degraded",
        Down = "down",
        Unknown = "unknown",
    }
}

open_enum! {
    /// Why an agent changed its model.
    pub enum SwitchReason {
        ProviderDown = "provider_down",
        ProviderDegraded = "provider_degraded",
        Manual = "manual",
        CostOptimization = "cost_optimization",
    }
}

open_enum! {
    /// Why a participant leaves.
    pub enum GoodbyeReason {
        UserExit = "user_exit",
        SessionComplete = "session_complete",
        Error = "error",
        Timeout = "timeout",
        /// What the Python agent says.
        Completed = "completed",
    }
}

open_enum! {
    /// What becomes of a leaver's intents (BYE-03 to BYE-06).
    pub enum IntentDisposition {
        Withdraw = "withdraw",
        Transfer = "transfer",
        Expire = "expire",
    }
}

open_enum! {
    /// Why a session ends.
    pub enum CloseReason {
        Completed = "completed",
        Timeout = "timeout",
        Policy = "policy",
        CoordinatorShutdown = "coordinator_shutdown",
        Manual = "manual",
    }
}

open_enum! {
    /// What becomes of active intents at the close (SES-16).
    pub enum CloseDisposition {
        WithdrawAll = "withdraw_all",
        ExpireAll = "expire_all",
    }
}

open_enum! {
    /// What a COORDINATOR_STATUS tells.
    pub enum CoordinatorEvent {
        Heartbeat = "heartbeat",
        Recovered = "recovered",
        Handover = "handover",
        Assumed = "assumed",
        Authorization = "authorization",
        BackendAlert = "backend_alert",
    }
}

open_enum! {
    /// How a session is doing (D-039).
    pub enum SessionHealth {
        Healthy = "healthy",
        Degraded = "degraded",
        Recovering = "recovering",
    }
}

open_enum! {
    /// What became of a claim.
    pub enum ClaimDecision {
        Approved = "approved",
        Rejected = "rejected",
        Withdrawn = "withdrawn",
    }
}

open_enum! {
    /// How a deferral ended.
    pub enum DeferralStatus {
        Resolved = "resolved",
        Expired = "expired",
    }
}

open_enum! {
    /// Whether a batch may be applied in part (BAT-05, BAT-06).
    pub enum Atomicity {
        AllOrNothing = "all_or_nothing",
        BestEffort = "best_effort",
    }
}

open_enum! {
    /// What an operation does to its target; free text beyond these.
    pub enum OpKind {
        Replace = "replace",
        Insert = "insert",
        Delete = "delete",
        Patch = "patch",
    }
}

open_enum! {
    /// Why an operation was refused.
    pub enum RejectReason {
        PolicyViolation = "policy_violation",
        IntentTerminated = "intent_terminated",
        ParticipantUnavailable = "participant_unavailable",
        FrozenScopeFallback = "frozen_scope_fallback",
        BatchValidationFailed = "batch_validation_failed",
        BatchEntriesRejected = "batch_entries_rejected",
        ResolutionRejected = "resolution_rejected",
        Reassociated = "reassociated",
    }
}

open_enum! {
    /// What kind of conflict it is.
    pub enum ConflictCategory {
        ScopeOverlap = "scope_overlap",
        ConcurrentWrite = "concurrent_write",
        SemanticGoalConflict = "semantic_goal_conflict",
        AssumptionContradiction = "assumption_contradiction",
        PolicyViolation = "policy_violation",
        AuthorityConflict = "authority_conflict",
        DependencyBreakage = "dependency_breakage",
        ResourceContention = "resource_contention",
    }
}

open_enum! {
    /// How grave a conflict is: info < low < medium < high < critical.
    pub enum Severity {
        Info = "info",
        Low = "low",
        Medium = "medium",
        High = "high",
        Critical = "critical",
    }
}

open_enum! {
    /// How a conflict was found.
    pub enum BasisKind {
        Rule = "rule",
        Heuristic = "heuristic",
        ModelInference = "model_inference",
        SemanticMatch = "semantic_match",
        HumanReport = "human_report",
    }
}

open_enum! {
    /// How two statements relate.
    pub enum MatchType {
        Contradictory = "contradictory",
        Equivalent = "equivalent",
        Uncertain = "uncertain",
    }
}

open_enum! {
    /// What a participant says to a conflict (D-109).
    pub enum AckType {
        Seen = "seen",
        Accepted = "accepted",
        Disputed = "disputed",
    }
}

open_enum! {
    /// What a resolver decided.
    pub enum Decision {
        Approved = "approved",
        Rejected = "rejected",
        Dismissed = "dismissed",
        HumanOverride = "human_override",
        PolicyOverride = "policy_override",
        Merged = "merged",
    }
}

open_enum! {
    /// What a credential is (SEC-09 to SEC-13).
    pub enum CredentialType {
        BearerToken = "bearer_token",
        MtlsFingerprint = "mtls_fingerprint",
        ApiKey = "api_key",
        X509Chain = "x509_chain",
        Custom = "custom",
    }
}

open_enum! {
    /// How a message is signed (`spec/wire.md` §12).
    pub enum SignatureAlgorithm {
        Ed25519 = "ed25519",
        /// A MAC: both sides have the key, so it proves nothing to others; never in the verified profile.
        HmacSha256 = "hmac-sha256",
    }
}

open_enum! {
    /// What a session does when an agent's backend fails (BHM-03).
    pub enum BackendAction {
        Ignore = "ignore",
        Warn = "warn",
        SuspendAndClaim = "suspend_and_claim",
    }
}

open_enum! {
    /// Whether an agent may change its model by itself (BHM-09 to BHM-12).
    pub enum AutoSwitch {
        Allowed = "allowed",
        NotifyFirst = "notify_first",
        Forbidden = "forbidden",
    }
}

open_enum! {
    /// Who approves a claim (CLM-15).
    pub enum ClaimApproval {
        Governance = "governance",
        Auto = "auto",
    }
}

open_enum! {
    /// What went wrong (`spec/wire.md` §5).
    pub enum ErrorCode {
        MalformedMessage = "MALFORMED_MESSAGE",
        UnknownMessageType = "UNKNOWN_MESSAGE_TYPE",
        InvalidReference = "INVALID_REFERENCE",
        VersionMismatch = "VERSION_MISMATCH",
        CapabilityUnsupported = "CAPABILITY_UNSUPPORTED",
        AuthorizationFailed = "AUTHORIZATION_FAILED",
        ParticipantUnavailable = "PARTICIPANT_UNAVAILABLE",
        ResolutionTimeout = "RESOLUTION_TIMEOUT",
        ScopeFrozen = "SCOPE_FROZEN",
        ClaimConflict = "CLAIM_CONFLICT",
        CoordinatorConflict = "COORDINATOR_CONFLICT",
        StateDivergence = "STATE_DIVERGENCE",
        SessionClosed = "SESSION_CLOSED",
        CredentialRejected = "CREDENTIAL_REJECTED",
        ReplayDetected = "REPLAY_DETECTED",
        ResolutionConflict = "RESOLUTION_CONFLICT",
        CausalGap = "CAUSAL_GAP",
        IntentBackoff = "INTENT_BACKOFF",
        StaleIntent = "STALE_INTENT",
        BackendSwitchDenied = "BACKEND_SWITCH_DENIED",
        /// Not of the specification; the one code on which the Python agent treats a commit as failed.
        StaleStateRef = "STALE_STATE_REF",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_value_never_hides_in_other_and_every_text_survives() {
        for role in Role::LISTED {
            assert_eq!(&Role::from(role.as_str()), role);
        }
        let odd = Role::from("night watch");
        assert_eq!(serde_json::to_string(&odd).unwrap(), r#""night watch""#);
        assert!(matches!(odd, Role::Other(_)));
    }

    #[test]
    fn there_are_22_message_types() {
        assert_eq!(MessageType::LISTED.len(), 22);
    }
}
