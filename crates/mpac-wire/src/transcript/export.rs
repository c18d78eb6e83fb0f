//! Writing a transcript (SES-20, D-034).

use alloc::vec::Vec;

use super::{Principal, Transcript};
use crate::envelope::{Envelope, Payload};
use crate::error::decode;
use crate::names::{PrincipalType, SecurityProfile};
use crate::received::Members;
use crate::redact::shown;
use crate::snapshot::{ParticipantRecord, Snapshot};
use crate::time::Timestamp;

/// A message that crossed the wire, from a participant or from the coordinator, accepted or refused.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "two facts about a frame, made by every host")]
pub struct Crossed<'a> {
    /// The frame.
    pub text: &'a str,
    /// The coordinator's Lamport clock when it came or went: its place, where it says none itself.
    pub clock: u64,
}

impl Transcript {
    /// The transcript of a session that ended as `snapshot` says. `messages` in the order of arrival, each once: a relay
    /// is the message that came and is not given again. What is no message (sideband, frames that cannot be read) is
    /// left out, and so are the secrets of credentials (PRV-05).
    pub fn export<'a>(
        snapshot: Snapshot,
        exported_at: Timestamp,
        messages: impl IntoIterator<Item = Crossed<'a>>,
    ) -> Self {
        let mut placed: Vec<(u64, Envelope)> = messages.into_iter().filter_map(place).collect();
        placed.sort_by(|(at, one), (after, other)| {
            let sender = |envelope: &Envelope| {
                (envelope.sender.principal_id.clone(), envelope.sender.sender_instance_id.clone())
            };
            // Stable: what is still even stays in the order of arrival.
            at.cmp(after).then_with(|| sender(one).cmp(&sender(other)))
        });
        let level = snapshot.protocol_level.clone().unwrap_or_else(|| snapshot.protocol_version.clone());
        Self::new(
            snapshot.session_id.clone(),
            level,
            exported_at.into(),
            snapshot.security_profile.clone().unwrap_or(SecurityProfile::Open),
            snapshot.participants.iter().flatten().map(principal).collect(),
            placed.into_iter().map(|(_, envelope)| envelope).collect(),
            snapshot,
        )
    }
}

/// A message and its Lamport value, its own or the coordinator's.
fn place(crossed: Crossed<'_>) -> Option<(u64, Envelope)> {
    let mut envelope: Envelope = serde_json::from_str(crossed.text).ok()?;
    let own = envelope.watermark.as_ref().and_then(|watermark| watermark.lamport_value().ok().flatten());
    envelope.payload = without_secret(envelope.payload)?;
    Some((own.unwrap_or(crossed.clock), envelope))
}

/// A credential is replaced by its type; what has none that is listed goes altogether. A chain of certificates is no secret, and
/// the signature of its HELLO covers it: it stays (SEC-29).
fn without_secret(payload: Payload) -> Option<Payload> {
    let mut members: Members = decode(payload.get(), "payload").ok()?;
    let Some(text) = members.extra.get("credential") else { return Some(payload) };
    match shown(text) {
        Some(credential) => {
            let credential = serde_json::from_str(&credential).ok()?;
            members.extra.replace("credential", credential);
        }
        None => members.extra.remove("credential"),
    }
    Some(Payload::of(&members))
}

fn principal(record: &ParticipantRecord) -> Principal {
    let kind = record.principal_type.clone().unwrap_or(PrincipalType::Agent);
    let mut principal = Principal::new(record.principal_id.clone(), kind);
    principal.display_name = record.display_name.clone();
    principal.roles = record.roles.clone();
    principal.capabilities = record.capabilities.clone();
    principal
}
