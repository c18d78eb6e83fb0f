//! Why a message is refused for its signature, or for the key it names.

use mpac_wire::Fingerprint;
use mpac_wire::names::ErrorCode;
use thiserror::Error;

/// What is wrong with a signature or a key (SEC-22, SEC-23, SEC-32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[expect(clippy::exhaustive_enums, reason = "as for Refusal")]
pub enum SignatureRefusal {
    /// Members sign what they say here.
    #[error("every message of this session is signed, and this one is not")]
    Missing,
    /// The member `signature` holds something else.
    #[error("signature: expected <algorithm>:<fingerprint>:<base64url>")]
    Malformed,
    /// It does not fit the message, or nobody knows its key.
    #[error("the signature does not fit this message, or its key is not known here")]
    Wrong,
    /// Signed by somebody else, or somebody else's key is claimed.
    #[error("the key {0} is not the sender's")]
    KeyOfAnother(Fingerprint),
    /// A key that was replaced long enough ago.
    #[error("the key {0} was replaced and is no good any more")]
    KeyOver(Fingerprint),
    /// A rotation that nothing signs.
    #[error("a key is replaced by a message that the key in use signs, and this one is not signed")]
    RotationUnsigned,
    /// A key that was replaced cannot replace others.
    #[error("only the key in use can be replaced, by a message that it signs; {0} is not")]
    KeyReplaced(Fingerprint),
    /// A key comes back.
    #[error("the key {0} was used before; a rotation needs a new one")]
    KeyUsedBefore(Fingerprint),
    /// Keys are replaced faster than the old ones end.
    #[error("too many keys are good at this time; wait until the replaced ones have ended")]
    TooManyRotations,
}

impl SignatureRefusal {
    pub(super) const fn code(self) -> ErrorCode {
        match self {
            Self::Missing
            | Self::Malformed
            | Self::Wrong
            | Self::KeyOfAnother(_)
            | Self::KeyOver(_)
            | Self::RotationUnsigned
            | Self::KeyReplaced(_)
            | Self::KeyUsedBefore(_) => ErrorCode::AuthorizationFailed,
            Self::TooManyRotations => ErrorCode::MalformedMessage,
        }
    }

    pub(super) const fn requirement(self) -> &'static str {
        match self {
            Self::Missing | Self::Malformed | Self::Wrong | Self::KeyOfAnother(_) => "SEC-23",
            Self::KeyOver(_)
            | Self::RotationUnsigned
            | Self::KeyReplaced(_)
            | Self::KeyUsedBefore(_)
            | Self::TooManyRotations => "SEC-32",
        }
    }
}
