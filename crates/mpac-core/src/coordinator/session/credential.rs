//! Whether whoever says HELLO is who it says (SEC-06 to SEC-08, SEC-13 to SEC-15, D-123). What the host's verifier
//! found out comes with the frame; what follows from it is here.

use alloc::borrow::ToOwned;

use mpac_wire::names::{CredentialType, Role};
use mpac_wire::payload::Hello;
use mpac_wire::{DecodeError, Timestamp};

use super::super::gate::Facts;
use super::super::records::Proof;
use super::super::state::Session;
use crate::input::{ConnId, Identity};
use crate::refusal::Refusal;

/// Where a HELLO has its credential.
const PLACE: &str = "payload.credential";

/// What was proven, and the roles that go with it.
#[derive(Default)]
pub(super) struct Proven<'a> {
    pub(super) proof: Option<Proof>,
    pub(super) roles: Option<&'a [Role]>,
}

/// The error of a HELLO that cannot be read. One about its credential is not quoted: it may hold the secret (PRV-05).
pub(super) fn unreadable(session: &Session, error: DecodeError) -> Refusal {
    match error {
        DecodeError::Shape { path, .. } if path.starts_with(PLACE) => {
            if session.config.is_open() {
                return DecodeError::shape(path, "this is no credential").into(); // HEL-19
            }
            Refusal::CredentialIllFormed(path)
        }
        error => error.into(),
    }
}

/// Judges the credential of a HELLO, and says what it proved.
pub(super) fn judge<'a>(session: &Session, facts: &Facts<'a>, hello: &Hello) -> Result<Proven<'a>, Refusal> {
    let shown = hello.credential.as_ref();
    if !session.config.is_open() {
        let shown = shown.ok_or(Refusal::CredentialNeeded)?;
        if shown.value.reveal().is_empty() {
            return Err(Refusal::CredentialIllFormed(alloc::format!("{PLACE}.value")));
        }
        if session.config.is_verified() && !names_a_key(&shown.kind) {
            return Err(Refusal::CertificateNeeded(shown.kind.clone())); // SEC-39
        }
        if *facts.identity == Identity::Unproven {
            return Err(Refusal::CredentialUnverifiable(shown.kind.clone()));
        }
    }
    match facts.identity {
        // In the open profile nobody needs to prove anything (SEC-15).
        Identity::Unproven => Ok(Proven::default()),
        Identity::Rejected { method } => Err(Refusal::CredentialRejected(method.clone())),
        Identity::Proven { principal, method, issuer, roles, expires_at } => {
            if *principal != facts.envelope.sender.principal_id {
                return Err(Refusal::CredentialOfAnother(facts.envelope.sender.principal_id.clone()));
            }
            // The earlier of what the verifier knows and what the sender says.
            let said = shown.and_then(|credential| credential.expires_at.as_ref()).map(|time| time.at());
            let expires_at = expires_at.iter().copied().chain(said).min();
            if is_over(expires_at, session.now) {
                return Err(Refusal::CredentialExpired);
            }
            let issuer = issuer.as_deref().map(ToOwned::to_owned);
            let proof = Some(Proof { method: method.clone(), issuer, expires_at });
            Ok(Proven { proof, roles: roles.as_deref() })
        }
    }
}

/// Whether a credential is a certificate, which says whose a key is.
fn names_a_key(kind: &CredentialType) -> bool {
    matches!(kind, CredentialType::X509Chain | CredentialType::MtlsFingerprint)
}

/// Whether the credential that let this connection in has expired since. In the open profile it was not needed.
pub(in super::super) fn has_expired(session: &Session, conn: ConnId) -> bool {
    if session.config.is_open() {
        return false;
    }
    let proof = session.bound(conn).and_then(|member| member.proof.as_ref());
    is_over(proof.and_then(|proof| proof.expires_at), session.now)
}

/// A credential is over at the moment it expires, as intents are (D-012).
fn is_over(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|at| now >= at)
}
