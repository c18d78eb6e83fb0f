//! What is not MPAC on the same socket: the shared workspace and the session summary (`spec/wire.md` §7).

use alloc::string::String;
use alloc::vec::Vec;

use crate::content::Content;
use crate::error::{DecodeError, decode};
use crate::id::{ConflictId, IntentId, PrincipalId, SessionId};
use crate::names::{ConflictCategory, ConflictState, HeartbeatStatus, IntentState, Role, Severity};
use crate::number::Integer;
use crate::object::Raw;
use crate::scope::Scope;
use crate::state_ref::StateRef;
use crate::time::Timestamp;

open_enum! {
    /// What a sideband object is.
    pub enum SidebandType {
        FileList = "FILE_LIST",
        FileListResponse = "FILE_LIST_RESPONSE",
        FileRead = "FILE_READ",
        FileContent = "FILE_CONTENT",
        FileError = "FILE_ERROR",
        FileUpdated = "FILE_UPDATED",
        SessionSummary = "SESSION_SUMMARY",
        SessionSummaryResponse = "SESSION_SUMMARY_RESPONSE",
    }
}

/// A request beside the protocol, answered to the asking connection alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Which files there are.
    FileList,
    /// What is in one; without a path the answer is FILE_ERROR `missing path` (D-025).
    FileRead {
        /// Which one, if it was said.
        path: Option<String>,
    },
    /// How the session stands.
    SessionSummary,
}

object! {
    /// The members of all requests.
    #[doc(hidden)]
    pub struct RequestObject {
        /// Which request.
        req kind as "type": SidebandType,
        /// For FILE_READ; of another type it counts as missing.
        opt path: Raw,
    }
}

impl Request {
    pub(crate) fn read(kind: Option<&Raw>, text: &str) -> Result<Self, DecodeError> {
        let unknown = || DecodeError::UnknownRequest { found: kind.and_then(|kind| kind.read().ok()) };
        let request: RequestObject = decode(text, "").map_err(|_| unknown())?;
        match request.kind {
            SidebandType::FileList => Ok(Self::FileList),
            SidebandType::FileRead => {
                Ok(Self::FileRead { path: request.path.as_ref().and_then(|path| path.read().ok()) })
            }
            SidebandType::SessionSummary => Ok(Self::SessionSummary),
            SidebandType::FileListResponse
            | SidebandType::FileContent
            | SidebandType::FileError
            | SidebandType::FileUpdated
            | SidebandType::SessionSummaryResponse
            | SidebandType::Other(_) => Err(unknown()),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        let (kind, path) = match self {
            Self::FileList => (SidebandType::FileList, None),
            Self::FileRead { path } => (SidebandType::FileRead, path.as_ref()),
            Self::SessionSummary => (SidebandType::SessionSummary, None),
        };
        let mut request = RequestObject::new(kind);
        request.path = path.and_then(|path| Raw::of(path).ok());
        to_json(&request)
    }
}

/// JSON text of one of this module's objects.
pub fn to_json<T: serde::Serialize>(object: &T) -> String {
    // Text keys and JSON values: these objects serialise.
    serde_json::to_string(object).unwrap_or_else(|error| unreachable!("a sideband object is JSON: {error}"))
}

object! {
    /// Answers FILE_LIST.
    pub struct FileListResponse {
        /// [`SidebandType::FileListResponse`].
        req kind as "type": SidebandType,
        /// By path, in code-point order.
        req files: Vec<FileEntry>,
    }
}

object! {
    /// One file of the shared workspace.
    pub struct FileEntry {
        /// Relative, with `/`.
        req path: String,
        /// Its current content's reference.
        req state_ref: StateRef,
        /// In Unicode code points, not bytes.
        req size: Integer,
    }
}

object! {
    /// Answers FILE_READ.
    pub struct FileContent {
        /// [`SidebandType::FileContent`].
        req kind as "type": SidebandType,
        /// As asked.
        req path: String,
        /// The whole of it.
        req content: Content,
        /// Its reference.
        req state_ref: StateRef,
    }
}

object! {
    /// Answers FILE_READ when there is nothing to send.
    pub struct FileError {
        /// [`SidebandType::FileError`].
        req kind as "type": SidebandType,
        /// As asked, or empty.
        req path: String,
        /// `File not found`, `not authorized` (D-126), `too large` (D-134) or `missing path` (D-025).
        req error: String,
    }
}

object! {
    /// Told to every connection when a file has a new content (OCC-07).
    pub struct FileUpdated {
        /// [`SidebandType::FileUpdated`].
        req kind as "type": SidebandType,
        /// Which one.
        req path: String,
        /// Its new reference.
        req state_ref: StateRef,
        /// Who changed it.
        req updated_by: PrincipalId,
    }
}

object! {
    /// Answers SESSION_SUMMARY.
    pub struct SessionSummaryResponse {
        /// [`SidebandType::SessionSummaryResponse`].
        req kind as "type": SidebandType,
        /// How the session stands.
        req session: SessionSummary,
    }
}

object! {
    /// How a session stands (SRV-11). An unknown session has `error` and no `captured_at`.
    pub struct SessionSummary {
        /// Which one.
        req session_id: SessionId,
        /// `session_not_found`.
        opt error: String,
        /// What it shares.
        null workspace_dir: String,
        /// When this was true.
        opt captured_at: Timestamp,
        /// Participants.
        req participant_count: Integer,
        /// Active or suspended intents.
        req active_intent_count: Integer,
        /// Conflicts not settled.
        req open_conflict_count: Integer,
        /// Who is or was here.
        req participants: Vec<SummaryParticipant>,
        /// What they are about.
        req active_intents: Vec<SummaryIntent>,
        /// Where they are in each other's way.
        req open_conflicts: Vec<SummaryConflict>,
    }
}

object! {
    /// A participant in a summary.
    pub struct SummaryParticipant {
        /// Who.
        req principal_id: PrincipalId,
        /// For people.
        req display_name: String,
        /// What it may do.
        req roles: Vec<Role>,
        /// What it is doing.
        req status: HeartbeatStatus,
        /// Whether it is here.
        req is_available: bool,
        /// When it last spoke.
        req last_seen: Timestamp,
    }
}

object! {
    /// An intent in a summary.
    pub struct SummaryIntent {
        /// Which.
        req intent_id: IntentId,
        /// Whose.
        req principal_id: PrincipalId,
        /// What for.
        req objective: String,
        /// ACTIVE or SUSPENDED.
        req state: IntentState,
        /// What it covers.
        req scope: Scope,
        /// Who claims it.
        null claimed_by: PrincipalId,
    }
}

object! {
    /// A conflict in a summary. The Python reference writes an empty text for a principal or intent that it does not know.
    pub struct SummaryConflict {
        /// Which.
        req conflict_id: ConflictId,
        /// Of what kind.
        req category: ConflictCategory,
        /// How grave.
        req severity: Severity,
        /// OPEN, ACKED or ESCALATED.
        req state: ConflictState,
        /// Owner of the newer intent.
        void principal_a: PrincipalId,
        /// Owner of the older intent.
        void principal_b: PrincipalId,
        /// The newer intent.
        void intent_a: IntentId,
        /// The older intent.
        void intent_b: IntentId,
        /// With whom it is; absent until it is escalated. No reference writes it.
        opt escalated_to: PrincipalId,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, Limits};

    #[test]
    fn requests_are_read_and_written() {
        for request in [
            Request::FileList,
            Request::FileRead { path: Some("a/b.py".into()) },
            Request::FileRead { path: None },
            Request::SessionSummary,
        ] {
            let frame = Frame::parse(request.to_json(), &Limits::default()).unwrap();
            assert!(matches!(frame, Frame::Sideband(read) if read == request));
        }
        let frame = Frame::parse(r#"{"type":"FILE_READ","path":7}"#, &Limits::default()).unwrap();
        assert!(matches!(frame, Frame::Sideband(Request::FileRead { path: None })));
    }

    #[test]
    fn an_answer_is_no_request() {
        assert!(Frame::parse(r#"{"type":"FILE_UPDATED"}"#, &Limits::default()).is_err());
    }
}
