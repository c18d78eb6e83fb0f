//! Why a credential was refused, for the operator: whoever showed it is told that it was, and no more (SEC-08).

use std::fmt::Display;

use tracing::info;

use super::Shown;

/// Says so in the log. `why` holds nothing of the credential (PRV-05); what it names is quoted, because strangers choose it.
pub(super) fn tell(shown: Shown<'_>, why: impl Display) {
    let (principal, session) = (shown.sender.principal_id.as_str(), shown.at.session.as_str().escape_debug());
    info!("[{session}] a credential ({}) shown as {principal:?} is refused: {why}", shown.credential.kind);
}

/// What is wrong with a token, in words that hold nothing of it.
pub(super) fn token(error: &jsonwebtoken::errors::Error) -> String {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired; are the clocks right?".to_owned(),
        ErrorKind::ImmatureSignature => "it is not good yet; are the clocks right?".to_owned(),
        ErrorKind::InvalidIssuer => "its `iss` is not --jwt-issuer".to_owned(),
        ErrorKind::InvalidAudience => {
            "its `aud` is neither --jwt-audience nor, without that, the id of the session".to_owned()
        }
        ErrorKind::InvalidSignature => "the key of that name in --jwks has not signed it".to_owned(),
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            "its algorithm is not that of the key in --jwks".to_owned()
        }
        ErrorKind::MissingRequiredClaim(claim) => format!("it has no `{claim}`"),
        _ => "it is no JSON Web Token that can be read".to_owned(),
    }
}
