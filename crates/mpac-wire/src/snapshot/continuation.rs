//! What of a stored session only its coordinator asks for: who goes on with it, and from where exactly.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{ClaimId, ConflictId, PrincipalId, ResolutionId};
use crate::number::Integer;
use crate::signature::PublicKey;
use crate::time::Timestamp;

object! {
    /// To whom a session was handed over.
    pub struct HandoverRecord {
        /// Who goes on.
        req successor_coordinator_id: PrincipalId,
        /// Under which epoch (REC-21).
        req next_coordinator_epoch: Integer,
    }
}

object! {
    /// What no participant can see but a replay from here must know, to say the same.
    pub struct CoordinatorState {
        /// Number of the last input.
        req seq: Integer,
        /// Where ids come from: the seed, in hexadecimal digits,
        req id_seed: String,
        /// its epoch,
        req id_epoch: Integer,
        /// and how many were made.
        req id_counter: Integer,
        /// How many intents, operations and conflicts were received (OPS-30).
        req sequence: Integer,
        /// Nobody has joined yet (D-031).
        opt unopened: bool,
        /// The host has no room for it (SES-02).
        opt no_vacancy: bool,
        /// When it closes as completed, while everything is done (SES-11).
        opt closes_at: Timestamp,
        /// When the next COORDINATOR_STATUS heartbeat is due (REC-01).
        opt next_status_at: Timestamp,
        /// Which files the workspace has.
        opt workspace_files: Vec<String>,
        /// Bytes of these, where that is known.
        opt workspace_file_bytes: BTreeMap<String, Integer>,
        /// Who is connected.
        opt connections: Vec<ConnectionRecord>,
        /// Claim ids used (CLM-05).
        opt claim_ids: Vec<ClaimId>,
        /// Resolution ids used (D-114).
        opt resolution_ids: Vec<ResolutionId>,
        /// Whose claim was refused lately, and until when that matters (D-131).
        opt refused_claimers: BTreeMap<String, Timestamp>,
        /// When the session was last taken up from a snapshot (D-039).
        opt recovered_at: Timestamp,
        /// How: `recovered` or `assumed`.
        opt recovered_as: String,
        /// Who has not been told of that yet (D-038).
        opt untold: Vec<PrincipalId>,
        /// Who was there before and is not back yet (D-039).
        opt awaited: Vec<PrincipalId>,
        /// Whose state has diverged, and in which conflict that is settled (REC-30).
        opt diverged: BTreeMap<String, ConflictId>,
        /// Whose divergence was settled in this epoch.
        opt divergences_settled: Vec<PrincipalId>,
        /// What is only counted any more (SES-27).
        opt forgotten: ForgottenRecord,
        /// With which key the coordinator signs, and since when.
        opt coordinator_key: CoordinatorKeyRecord,
        /// Whose keys are good, and which were (SEC-31).
        opt keys: Vec<KeyRecord>,
        /// A later coordinator has the session: nothing is said any more (REC-26).
        opt retired: bool,
        /// Under which epoch, as far as this one was told (REC-27).
        opt fenced_by_epoch: Integer,
        /// The clock of the last snapshot that was stored before this one (REC-04).
        opt snapshot_lamport_clock: Integer,
    }
}

object! {
    /// The coordinator's key.
    pub struct CoordinatorKeyRecord {
        /// In base64url.
        req public_key: PublicKey,
        /// From when on.
        req valid_from: Timestamp,
    }
}

object! {
    /// Somebody's key.
    pub struct KeyRecord {
        /// Whose.
        req principal_id: PrincipalId,
        /// In base64url, for Ed25519.
        req public_key: PublicKey,
        /// From when on.
        req valid_from: Timestamp,
        /// From when on it is no good; absent for the one in use.
        opt valid_until: Timestamp,
        /// A credential named it.
        opt certified: bool,
    }
}

object! {
    /// How many finished records are not kept any more, by state.
    pub struct ForgottenRecord {
        /// Intents.
        opt intents: BTreeMap<String, Integer>,
        /// Operations.
        opt operations: BTreeMap<String, Integer>,
        /// Conflicts.
        opt conflicts: BTreeMap<String, Integer>,
        /// Participants.
        opt participants: Integer,
        /// Which operations these were, and which states were replaced without one, as a Bloom filter: 16 hexadecimal digits a word
        /// (D-041). There was a `traces` before it, with bits of another hash.
        opt trace_words: String,
    }
}

object! {
    /// One connection.
    pub struct ConnectionRecord {
        /// Its number.
        req conn: Integer,
        /// Who speaks on it.
        opt principal_id: PrincipalId,
        /// HELLOs refused on it (D-018).
        opt refused_hellos: Integer,
        /// When malformed frames came on it lately (D-025).
        opt malformed_at: Vec<Timestamp>,
    }
}
