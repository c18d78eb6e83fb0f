//! PROTOCOL_ERROR (`spec/wire.md` §6.22).

use alloc::string::String;

use crate::id::{ConflictId, PrincipalId};
use crate::names::ErrorCode;
use crate::object::Raw;

object! {
    /// PROTOCOL_ERROR: a message is refused, or a warning (ERR-01). Never answered by another one (ERR-03).
    pub struct ProtocolError {
        /// What went wrong.
        req error_code: ErrorCode,
        /// The message refused; the references put other ids here too, so it is plain text.
        opt refers_to: String,
        /// For people.
        req description: String,
        /// Who is gone, for PARTICIPANT_UNAVAILABLE (D-050).
        opt affected_principal: PrincipalId,
        /// Which conflict, for RESOLUTION_TIMEOUT (D-116).
        opt conflict_id: ConflictId,
        /// What the newer Python server adds to STALE_INTENT (LCK-11).
        opt duplicate_candidate: Raw,
        /// `retry_after_sec` (BKO-05); `mpac.duplicate`, `mpac.holders` and the like.
        opt extensions: Raw,
    }
}
